/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers in transactions of one key each: read, write, delete, swap when
 * the value is still the one just read; beside them reads of several keys at
 * timestamps of the past, and timestamps alone.
 *
 * A transaction that reads the newest and writes is linearizable, so each
 * key's history is searched for an order (linear.h); all reads, those of the
 * past too, are held to the commit timestamps (timeline.h), and timestamps to
 * the clock, while PD's members come and go.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/slice.h"
#include "exec/runtime.h"
#include "sim/deal.h"
#include "sim/linear.h"

struct plan {
    uint32_t key;
    bool reads;
    bool writes;
    bool swaps; /* only when it finds `expected` */
    uint32_t expected;
    uint32_t value;
};

static tikv_error *
body(struct tk_deal *deal)
{
    const struct plan *plan = (const struct plan *)deal->plan;
    tikv_error *error = NULL;
    uint32_t found = 0;

    if (plan->reads) {
        error = tk_deal_get(deal, plan->key, &found);
    }
    if (error == NULL && plan->writes &&
        (!plan->swaps || found == plan->expected)) {
        error = tk_deal_put(deal, plan->key, plan->value);
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
    uint64_t dice = tk_rng_below(&load->rng, 10);
    struct plan plan = {
        .key = (uint32_t)tk_rng_below(&load->rng, world->options.keys),
        .reads = dice >= 3,
        .writes = dice < 7,
        .swaps = dice == 6,
    };
    struct tk_deal deal = { .world = world,
                            .seat = seat,
                            .rng = &load->rng,
                            .body = body,
                            .plan = &plan };

    /* A delete is not told apart from another one: those are blind. */
    if (dice != 0) {
        plan.value = ++world->values;
    }
    plan.expected = guess(&world->record, plan.key);
    (void)tk_deal_run(&deal, load->number);
}

/* ---- the newest, without a timestamp ---- */

static void
read_newest(struct tk_load *load, struct tk_seat *seat)
{
    struct tk_world *world = load->world;
    struct tk_record_step step = {
        .key = (uint32_t)tk_rng_below(&load->rng, world->options.keys),
    };
    tikv_snapshot_options options = TIKV_SNAPSHOT_OPTIONS_INIT;
    tikv_read_options read = TIKV_READ_OPTIONS_INIT;
    tikv_snapshot *snapshot = NULL;
    tikv_value *value = NULL;
    char text[TK_SIM_TEXT];
    tikv_error *error;
    uint32_t found;
    uint32_t txn;

    options.version = TIKV_VERSION_NEWEST;
    read.call.timeout_ms = 400;
    read.call.cancel = seat->died;
    txn = tk_record_begin(&world->record, load->number, tk_now(world->rt),
                          tk_now(world->rt) + read.call.timeout_ms * TK_MS);
    error = tikv_snapshot_open(seat->client, &options, &snapshot);
    if (error == NULL) {
        error = tikv_snapshot_get(snapshot, tk_world_key(world, step.key, text),
                                  &read, &value);
    }
    if (error == NULL) {
        found = tk_world_value_of(value);
        step.count = found != 0;
        step.first = tk_record_values(&world->record, &found, step.count);
        tk_record_steps(&world->record, txn, &step, 1);
    }
    tk_deal_check_code(world, seat, error);
    tk_record_end(&world->record, txn, tk_now(world->rt),
                  error == NULL ? TK_SIM_OK : TK_SIM_FAILED,
                  tikv_error_code(error));
    tikv_value_free(value);
    tikv_snapshot_free(snapshot);
    tikv_error_free(error);
}

/* ---- the past ---- */

static void
keep_pairs(struct tk_world *world, const tikv_pairs *pairs, uint32_t first,
           struct tk_record_step *steps, size_t count)
{
    const tikv_pair *data = tikv_pairs_data(pairs);
    size_t i;
    size_t j;

    for (i = 0; i < count; i++) {
        char text[TK_SIM_TEXT];
        tikv_slice name = tk_world_key(world, (uint32_t)(first + i), text);
        uint32_t found = 0;

        for (j = 0; j < tikv_pairs_count(pairs); j++) {
            if (tk_slice_equal(data[j].key, name)) {
                found = tk_world_value_of_slice(data[j].value);
            }
        }
        steps[i] = (struct tk_record_step){
            .key = (uint32_t)(first + i),
            .first = tk_record_values(&world->record, &found, found != 0),
            .count = found != 0,
        };
    }
}

/* A batch or a page of a scan: all keys from `first` on. */
static tikv_error *
read_many(struct tk_load *load, struct tk_seat *seat, tikv_snapshot *snapshot,
          uint32_t first, tikv_pairs **pairs)
{
    struct tk_world *world = load->world;
    char texts[TK_SIM_KEYS_MAX][TK_SIM_TEXT];
    tikv_slice keys[TK_SIM_KEYS_MAX];
    uint32_t count = world->options.keys - first;
    uint32_t i;

    for (i = 0; i < count; i++) {
        keys[i] = tk_world_key(world, first + i, texts[i]);
    }
    if (tk_rng_below(&load->rng, 2) == 0) {
        tikv_read_options options = TIKV_READ_OPTIONS_INIT;

        options.call.timeout_ms = 400;
        options.call.cancel = seat->died;
        return tikv_snapshot_batch_get(snapshot, keys, count, &options, pairs);
    } else {
        tikv_range_options options = TIKV_RANGE_OPTIONS_INIT;
        tikv_range range = { keys[0], { NULL, 0 } };

        options.call.timeout_ms = 400;
        options.call.cancel = seat->died;
        options.page_count = TK_SIM_KEYS_MAX;
        return tikv_snapshot_scan(snapshot, range, &options, pairs);
    }
}

static void
read_past(struct tk_load *load, struct tk_seat *seat)
{
    struct tk_world *world = load->world;
    struct tk_record_step steps[TK_RECORD_STEPS_MAX];
    tikv_snapshot_options options = TIKV_SNAPSHOT_OPTIONS_INIT;
    uint32_t first = (uint32_t)tk_rng_below(&load->rng, world->options.keys);
    tikv_snapshot *snapshot = NULL;
    tikv_pairs *pairs = NULL;
    tikv_error *error;
    uint32_t txn;

    if (world->stamps_count == 0) {
        return;
    }
    options.version =
        world->stamps[tk_rng_below(&load->rng, world->stamps_count)].ts;
    txn = tk_record_begin(&world->record, load->number, tk_now(world->rt),
                          tk_now(world->rt) + 400 * TK_MS);
    error = tikv_snapshot_open(seat->client, &options, &snapshot);
    if (error == NULL) {
        error = read_many(load, seat, snapshot, first, &pairs);
    }
    if (error == NULL) {
        size_t count = world->options.keys - first;

        keep_pairs(world, pairs, first, steps, count);
        tk_record_steps(&world->record, txn, steps, count);
        world->counts->past++;
    }
    if (txn != TK_SIM_NONE) {
        world->record.txns[txn].start_ts = options.version;
        world->record.txns[txn].is_past = true;
    }
    tk_deal_check_code(world, seat, error);
    tk_record_end(&world->record, txn, tk_now(world->rt),
                  error == NULL ? TK_SIM_OK : TK_SIM_FAILED,
                  tikv_error_code(error));
    tikv_pairs_free(pairs);
    tikv_snapshot_free(snapshot);
    tikv_error_free(error);
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
            read_newest(load, seat);
        } else if (dice <= 2) {
            read_past(load, seat);
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
        event->kind = !step->is_blind    ? TK_SIM_CAS
                      : step->value == 0 ? TK_SIM_DELETE
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
