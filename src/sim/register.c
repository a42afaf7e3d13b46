/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers in transactions of one key each: read, write, delete, swap when
 * the value is still the one just read, insert; beside them reads of several
 * keys at timestamps of the past (past.h), and timestamps alone.
 *
 * A transaction that reads the newest and writes is linearizable, so each
 * key's history is searched for an order (linear.h); all reads, those of the
 * past too, are held to the commit timestamps (timeline.h), and timestamps to
 * the clock, while PD's members come and go.
 */
#include <string.h>

#include "base/alloc.h"
#include "exec/runtime.h"
#include "sim/deal.h"
#include "sim/linear.h"
#include "sim/past.h"

struct plan {
    uint32_t key;
    bool reads;
    bool writes;
    bool swaps; /* only when it finds `expected` */
    bool inserts;
    uint32_t expected;
    uint32_t value;
};

/* What the transaction has just written itself is what it reads. */
static tikv_error *
look_back(struct tk_deal *deal, const struct plan *plan)
{
    tikv_read_options options = tk_deal_reads(deal);
    char text[TK_SIM_TEXT];
    tikv_value *value = NULL;
    tikv_error *error =
        tikv_txn_get(deal->txn, tk_world_key(deal->world, plan->key, text),
                     &options, &value);

    if (error == NULL && tk_world_value_of(value) != plan->value) {
        tk_world_complain(deal->world, "T%u wrote %u and reads %u\n",
                          deal->number, plan->value, tk_world_value_of(value));
    }
    tikv_value_free(value);
    return error;
}

static tikv_error *
body(struct tk_deal *deal)
{
    const struct plan *plan = (const struct plan *)deal->plan;
    tikv_error *error = NULL;
    uint32_t found = 0;

    if (plan->inserts) {
        return tk_deal_insert(deal, plan->key, plan->value);
    }
    if (plan->reads) {
        error = tk_deal_get(deal, plan->key, &found);
    }
    if (error == NULL && plan->writes &&
        (!plan->swaps || found == plan->expected)) {
        error = tk_deal_put(deal, plan->key, plan->value);
        if (error == NULL && plan->value % 4 == 0) {
            error = look_back(deal, plan);
        }
    }
    return error;
}

/* What was read or written there lately. */
static uint32_t
guess(const struct tk_record *record, uint32_t key)
{
    size_t i;

    for (i = record->steps_count; i > 0; i--) {
        const struct tk_record_step *step = &record->steps[i - 1];

        if (step->key == key) {
            return step->is_write ? step->value
                   : step->count != 0
                       ? record->values[step->first + step->count - 1]
                       : 0;
        }
    }
    return 0;
}

static void
run_txn(struct tk_load *load, struct tk_seat *seat)
{
    struct tk_world *world = load->world;
    uint64_t dice = tk_rng_below(&load->rng, 12);
    struct plan plan = {
        .key = (uint32_t)tk_rng_below(&load->rng, world->options.keys),
        .reads = dice >= 3,
        .writes = dice<7, .swaps = dice == 6, .inserts = dice> 9,
    };
    struct tk_deal deal = { .world = world,
                            .seat = seat,
                            .rng = &load->rng,
                            .body = body,
                            .plan = &plan,
                            .inserts = plan.inserts };

    /* A delete is not told apart from another one: those are blind. */
    if (dice > 1) {
        plan.value = ++world->values;
    }
    plan.expected = guess(&world->record, plan.key);
    (void)tk_deal_run(&deal, load->number);
}

/* ---- timestamps ---- */

static void
take_stamp(struct tk_load *load, struct tk_seat *seat)
{
    struct tk_world *world = load->world;
    struct tk_stamp stamp = { .invoked = tk_now(world->rt) };
    tikv_call call = TIKV_CALL_INIT;
    tikv_error *error;

    call.timeout_ms = 300;
    call.cancel = seat->died;
    error = tikv_timestamp(seat->client, &call, &stamp.ts);
    stamp.returned = tk_now(world->rt);
    if (error == NULL && world->stamps_count < TK_SIM_STAMPS_MAX) {
        world->stamps[world->stamps_count++] = stamp;
        world->counts->stamps++;
    }
    if (stamp.returned > stamp.invoked + 300 * TK_MS + TK_SIM_SLACK_NS) {
        tk_world_complain(world, "a timestamp came after its deadline\n");
    }
    tk_deal_check_code(world, seat, error);
    tikv_error_free(error);
}

static void
run(void *arg)
{
    struct tk_load *load = (struct tk_load *)arg;
    struct tk_world *world = load->world;
    uint32_t i;

    tk_self(world->rt)->is_library = false;
    for (i = 0; i < world->options.rounds; i++) {
        struct tk_seat *seat = tk_seat_enter(world, &load->rng);
        uint64_t dice = tk_rng_below(&load->rng, 12);

        if (seat == NULL) {
            return;
        }
        if (dice == 0) {
            tk_past_read_newest(load, seat);
        } else if (dice <= 2) {
            tk_past_read(load, seat);
        } else if (dice <= 4) {
            take_stamp(load, seat);
        } else {
            run_txn(load, seat);
        }
        tk_seat_leave(seat);
        tk_world_sleep(world, (int64_t)tk_rng_below(&load->rng,
                                                    (uint64_t)world->pause_ns));
    }
}

/* ---- the healed world ---- */

static tikv_error *
body_all(struct tk_deal *deal)
{
    tikv_error *error = NULL;
    uint32_t value;
    uint32_t i;

    for (i = 0; error == NULL && i < deal->world->options.keys; i++) {
        error = tk_deal_get(deal, i, &value);
    }
    return error;
}

static void
audit(struct tk_world *world)
{
    tk_deal_decide_all(world);
    tk_deal_end_locks(world);
    tk_deal_run_last(world, body_all);
    tk_deal_lose(world);
}

/* ---- the verdict ---- */

/* What one transaction did to a key that it alone was about; 0 or 1. */
static size_t
make_event(const struct tk_record *record, uint32_t number, uint32_t key,
           struct tk_linear_event *event)
{
    const struct tk_record_txn *txn = &record->txns[number];
    const struct tk_record_step *step = &record->steps[txn->first];
    bool happened = txn->outcome != TK_SIM_FAILED;

    if (txn->count != 1 || step->key != key || txn->is_past ||
        (step->is_blind && !happened)) {
        return 0;
    }
    *event = (struct tk_linear_event){
        .call = txn->invoked,
        .ret = txn->returned,
        .kind = TK_SIM_GET,
        .op = number,
        .result = step->count == 0 ? 0 : record->values[step->first],
    };
    if (step->is_write && happened) {
        event->kind = !step->is_blind || step->is_insert ? TK_SIM_CAS
                      : step->value == 0                 ? TK_SIM_DELETE
                                                         : TK_SIM_PUT;
        event->value = step->value;
        event->expected = event->result;
        event->swapped = true;
        if (txn->outcome == TK_SIM_UNDETERMINED) {
            event->is_optional = true;
            event->ret = TK_NEVER;
        }
    }
    return 1;
}

static void
judge_key(struct tk_world *world, uint32_t key, struct tk_linear_event *events)
{
    const struct tk_record *record = &world->record;
    struct tk_linear_report report;
    enum tk_linear_answer answer;
    size_t count = 0;
    uint32_t i;

    for (i = 0; i < record->txns_count; i++) {
        count += make_event(record, i, key, &events[count]);
    }
    answer = tk_linear_check(events, count, 0, TK_SIM_STATES_MAX, &report);
    world->counts->states += report.states;
    world->counts->histories++;
    if (answer != TK_LINEAR_YES) {
        tk_world_complain(world, "key %u is %s; it fits up to T%u\n", key,
                          answer == TK_LINEAR_NO ? "not linearizable"
                                                 : "undecided",
                          report.stuck);
        for (i = 0; i < record->txns_count; i++) {
            if (record->txns[i].count != 0 &&
                record->steps[record->txns[i].first].key == key) {
                tk_record_print(record, i, world->report);
            }
        }
    }
}

static void
judge(struct tk_world *world)
{
    struct tk_linear_event *events = (struct tk_linear_event *)tk_alloc_array(
        world->record.txns_count + 1, sizeof(*events));
    size_t bad = tk_stamps_check(world->stamps, world->stamps_count);
    uint32_t key;

    if (bad != world->stamps_count) {
        tk_world_complain(world, "timestamp %llu is not above all before it\n",
                          (unsigned long long)world->stamps[bad].ts);
    }
    for (key = 0; events != NULL && key < world->options.keys; key++) {
        judge_key(world, key, events);
    }
    tk_free(events);
}

const struct tk_workload tk_workload_register = {
    .is_txn = true,
    .by_hand = true,
    .seats = 3,
    .rounds_max = 40,
    .run = run,
    .audit = audit,
    .judge = judge,
};
