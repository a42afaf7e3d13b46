/* SPDX-License-Identifier: Apache-2.0 */
/* See deal.h. Times are virtual: a call's timeout is what is left then. */
#include "sim/deal.h"

#include <stdio.h>
#include <string.h>

#include "base/slice.h"
#include "exec/runtime.h"

enum { LIST_MAX = 400, OUTCOME_MS = 200 };

static uint64_t
below(struct tk_deal *deal, uint64_t limit)
{
    return tk_rng_below(deal->rng, limit);
}

static void
set_call(const struct tk_deal *deal, tikv_call *call)
{
    int64_t left = deal->deadline - tk_now(deal->world->rt);

    call->timeout_ms = left < TK_MS ? 1 : left / TK_MS;
    call->cancel = deal->seat->died;
}

tikv_read_options
tk_deal_reads(const struct tk_deal *deal)
{
    tikv_read_options options = TIKV_READ_OPTIONS_INIT;

    set_call(deal, &options.call);
    return options;
}

/* ---- steps ---- */

static void
add_step(struct tk_deal *deal, uint32_t key, const uint32_t *values,
         size_t count)
{
    if (deal->count < TK_RECORD_STEPS_MAX) {
        deal->steps[deal->count++] = (struct tk_record_step){
            .key = key,
            .first = tk_record_values(&deal->world->record, values, count),
            .count = (uint32_t)count,
        };
    }
}

tikv_error *
tk_deal_get(struct tk_deal *deal, uint32_t key, uint32_t *value)
{
    tikv_read_options options = tk_deal_reads(deal);
    char text[TK_SIM_TEXT];
    tikv_value *got = NULL;
    tikv_error *error = tikv_txn_get(
        deal->txn, tk_world_key(deal->world, key, text), &options, &got);

    if (error == NULL) {
        *value = tk_world_value_of(got);
        add_step(deal, key, value, *value == 0 ? 0 : 1);
    }
    tikv_value_free(got);
    return error;
}

tikv_error *
tk_deal_put(struct tk_deal *deal, uint32_t key, uint32_t value)
{
    char text[TK_SIM_TEXT];
    char bytes[TK_SIM_TEXT];
    tikv_slice name = tk_world_key(deal->world, key, text);
    struct tk_record_step *step;
    tikv_error *error = value == 0 ? tikv_txn_delete(deal->txn, name)
                                   : tikv_txn_put(deal->txn, name,
                                                  tk_world_value(value, bytes));

    if (error != NULL) {
        return error;
    }
    if (deal->count == 0 || deal->steps[deal->count - 1].key != key) {
        add_step(deal, key, NULL, 0);
        deal->steps[deal->count - 1].is_blind = true;
    }
    step = &deal->steps[deal->count - 1];
    step->is_write = true;
    step->value = value;
    return NULL;
}

tikv_error *
tk_deal_insert(struct tk_deal *deal, uint32_t key, uint32_t value)
{
    char text[TK_SIM_TEXT];
    char bytes[TK_SIM_TEXT];
    tikv_error *error =
        tikv_txn_insert(deal->txn, tk_world_key(deal->world, key, text),
                        tk_world_value(value, bytes));

    if (error == NULL) {
        struct tk_record_step *step = &deal->steps[deal->count];

        add_step(deal, key, NULL, 0);
        step->is_write = true;
        step->is_blind = true;
        step->is_insert = true;
        step->value = value;
    }
    return error;
}

size_t
tk_deal_parse(tikv_slice bytes, uint32_t *values, size_t max)
{
    size_t count = 0;
    size_t i = 0;

    while (i < bytes.len && count < max) {
        uint32_t number = 0;

        for (; i < bytes.len && bytes.data[i] != ' '; i++) {
            number = bytes.data[i] < '0' || bytes.data[i] > '9'
                         ? TK_SIM_FOREIGN
                         : number * 10 + (uint32_t)(bytes.data[i] - '0');
        }
        values[count++] = number;
        i++;
    }
    return count;
}

tikv_error *
tk_deal_list(struct tk_deal *deal, uint32_t key, uint32_t value)
{
    tikv_read_options options = tk_deal_reads(deal);
    uint32_t values[LIST_MAX];
    char text[TK_SIM_TEXT];
    tikv_slice name = tk_world_key(deal->world, key, text);
    struct tk_buf bytes;
    tikv_value *got = NULL;
    tikv_error *error = tikv_txn_get(deal->txn, name, &options, &got);

    if (error != NULL) {
        return error;
    }
    tk_buf_init(&bytes, 8192);
    if (got != NULL) {
        tk_buf_append_slice(&bytes, tikv_value_slice(got));
    }
    tikv_value_free(got);
    add_step(deal, key, values,
             tk_deal_parse(tk_buf_slice(&bytes), values, LIST_MAX));
    if (value != 0) {
        tk_buf_printf(&bytes, "%s%u", bytes.len == 0 ? "" : " ", value);
        error = bytes.failed
                    ? NULL
                    : tikv_txn_put(deal->txn, name, tk_buf_slice(&bytes));
        deal->world->record.failed |= bytes.failed;
    }
    if (error == NULL && value != 0) {
        deal->steps[deal->count - 1].is_write = true;
        deal->steps[deal->count - 1].value = value;
    }
    tk_buf_fini(&bytes);
    return error;
}

/* ---- a transaction ---- */

static tikv_error *
attempt(tikv_txn *txn, void *arg)
{
    struct tk_deal *deal = (struct tk_deal *)arg;
    tikv_error *error;

    deal->txn = txn;
    deal->count = 0;
    deal->start_ts = tikv_txn_start_ts(txn);
    error = deal->body(deal);
    deal->asked = tk_now(deal->world->rt);
    return error;
}

static void
count_mode(const tikv_txn_summary *summary, void *arg)
{
    struct tk_deal *deal = (struct tk_deal *)arg;
    struct tk_scenario_counts *counts = deal->world->counts;

    if (summary->error == NULL && summary->mode < TK_SIM_MODES) {
        counts->modes[summary->mode]++;
    }
}

static void
choose_options(struct tk_deal *deal, tikv_txn_options *options)
{
    static const int64_t timeouts[] = { 60, 400, 2000, 8000 };

    deal->deadline =
        tk_now(deal->world->rt) +
        (deal->is_last ? TK_SIM_FINAL_MS : timeouts[below(deal, 4)]) * TK_MS;
    set_call(deal, &options->call);
    options->async_commit = below(deal, 3) == 0 ? TIKV_OFF : TIKV_ON;
    options->one_phase = below(deal, 2) == 0 ? TIKV_OFF : TIKV_ON;
    deal->is_causal = below(deal, 4) == 0;
    options->causal = deal->is_causal ? TIKV_ON : TIKV_OFF;
    options->on_end = count_mode;
    options->arg = deal;
}

/* The waits of a future only look where fibers are of the library. */
static tikv_error *
commit_by_future(struct tk_deal *deal, const tikv_call *call)
{
    tikv_future *future = tikv_txn_commit_async(deal->txn, call);
    tikv_error *error;

    if (below(deal, 6) == 0) {
        tk_world_sleep(deal->world, (int64_t)below(deal, 5 * TK_MS));
        tikv_future_cancel(future);
    }
    while (!tikv_future_wait(future, 20)) {
    }
    error = tikv_future_take_u64(future, &deal->commit_ts);
    tikv_future_free(future);
    return error;
}

static tikv_error *
by_hand(struct tk_deal *deal, const tikv_txn_options *options)
{
    tikv_txn *txn = NULL;
    tikv_call call = TIKV_CALL_INIT;
    tikv_error *error = tikv_txn_begin(deal->seat->client, options, &txn);

    if (error == NULL) {
        error = attempt(txn, deal);
    }
    if (error == NULL) {
        set_call(deal, &call);
        error = below(deal, 2) == 0
                    ? tikv_txn_commit(txn, &call, &deal->commit_ts)
                    : commit_by_future(deal, &call);
    } else if (txn != NULL && below(deal, 2) == 0) {
        tikv_error_free(tikv_txn_rollback(txn, NULL));
    }
    tikv_txn_free(txn);
    return error;
}

void
tk_deal_check_code(struct tk_world *world, const struct tk_seat *seat,
                   const tikv_error *error)
{
    switch (tikv_error_code(error)) {
    case TIKV_OK:
    case TIKV_ERR_TIMEOUT:
    case TIKV_ERR_UNAVAILABLE:
    case TIKV_ERR_REGION:
    case TIKV_ERR_SERVER_BUSY:
    case TIKV_ERR_PD:
    case TIKV_ERR_WRITE_CONFLICT:
    case TIKV_ERR_LOCK_WAIT:
    case TIKV_ERR_ABORTED:
    case TIKV_ERR_OVERLOAD: /* where retries are rationed */
    case TIKV_ERR_UNDETERMINED:
    case TIKV_ERR_CANCELLED: /* who dies, and some futures */
        return;
    default:
        tk_world_complain(world, "client %u: a transaction ended with %s: %s\n",
                          (unsigned)(seat - world->seats),
                          tikv_code_name(tikv_error_code(error)),
                          tikv_error_message(error));
    }
}

/* ---- doubts ---- */

/* True: it is none any more. */
static bool
ask(struct tk_world *world, const struct tk_seat *seat,
    const struct tk_doubt *doubt, int64_t timeout_ms)
{
    tikv_call call = TIKV_CALL_INIT;
    tikv_outcome outcome = TIKV_OUTCOME_UNKNOWN;
    uint64_t commit_ts = 0;
    tikv_error *error;

    call.timeout_ms = timeout_ms;
    call.cancel = seat->died;
    error = tikv_txn_outcome(seat->client, doubt->start_ts,
                             tk_slice(doubt->primary, doubt->primary_len),
                             &call, &outcome, &commit_ts);
    if (error == NULL && outcome != TIKV_OUTCOME_UNKNOWN) {
        tk_record_decide(&world->record, doubt->txn, tk_now(world->rt),
                         outcome == TIKV_OUTCOME_COMMITTED ? TK_SIM_OK
                                                           : TK_SIM_FAILED,
                         commit_ts);
        world->counts->decided++;
        world->counts->happened += outcome == TIKV_OUTCOME_COMMITTED;
        return true;
    }
    tikv_error_free(error);
    return false;
}

static void
keep_doubt(struct tk_deal *deal, const tikv_error *error)
{
    struct tk_world *world = deal->world;
    tikv_slice primary = tikv_error_bytes(error, TIKV_ERROR_PRIMARY);
    struct tk_doubt doubt = {
        .txn = deal->number,
        .start_ts = tikv_error_u64(error, TIKV_ERROR_START_TS),
        .primary_len = primary.len,
    };

    world->counts->undetermined++;
    if (doubt.start_ts != deal->start_ts || primary.len == 0 ||
        primary.len > sizeof(doubt.primary) ||
        world->doubts_count == TK_SIM_DOUBTS_MAX) {
        tk_world_complain(world, "T%u is in doubt about something else\n",
                          deal->number);
        return;
    }
    memcpy(doubt.primary, primary.data, primary.len);
    if (below(deal, 2) == 0 || deal->seat->is_dying ||
        !ask(world, deal->seat, &doubt, OUTCOME_MS)) {
        world->doubts[world->doubts_count++] = doubt;
    }
}

void
tk_deal_decide_all(struct tk_world *world)
{
    size_t i;

    for (i = 0; i < world->doubts_count; i++) {
        if (!ask(world, &world->seats[0], &world->doubts[i], TK_SIM_FINAL_MS)) {
            tk_world_complain(world, "T%u stays in doubt\n",
                              world->doubts[i].txn);
        }
    }
    world->doubts_count = 0;
}

enum tk_sim_outcome
tk_deal_run(struct tk_deal *deal, uint32_t fiber)
{
    struct tk_world *world = deal->world;
    tikv_txn_options options = TIKV_TXN_OPTIONS_INIT;
    enum tk_sim_outcome outcome;
    tikv_error *error;

    choose_options(deal, &options);
    deal->number = tk_record_begin(&world->record, fiber, tk_now(world->rt),
                                   deal->deadline);
    world->counts->operations++;
    error = below(deal, 2) == 0 ? tikv_txn_run(deal->seat->client, &options,
                                               attempt, deal, &deal->commit_ts)
                                : by_hand(deal, &options);
    outcome = error == NULL ? TK_SIM_OK
              : tikv_error_code(error) == TIKV_ERR_UNDETERMINED
                  ? TK_SIM_UNDETERMINED
                  : TK_SIM_FAILED;
    if (!deal->inserts || tikv_error_code(error) != TIKV_ERR_KEY_EXISTS) {
        tk_deal_check_code(world, deal->seat, error);
    }
    tk_record_steps(&world->record, deal->number, deal->steps, deal->count);
    if (deal->number != TK_SIM_NONE) {
        world->record.txns[deal->number].start_ts = deal->start_ts;
        world->record.txns[deal->number].commit_ts = deal->commit_ts;
        world->record.txns[deal->number].asked = deal->asked;
        world->record.txns[deal->number].is_causal = deal->is_causal;
    }
    tk_record_end(&world->record, deal->number, tk_now(world->rt), outcome,
                  tikv_error_code(error));
    tk_trace(world->rt, (uint64_t)deal->number << 32 | (uint64_t)outcome << 28 |
                            (uint64_t)tikv_error_code(error));
    world->counts->ok += outcome == TK_SIM_OK;
    world->counts->failed += outcome == TK_SIM_FAILED;
    if (outcome == TK_SIM_UNDETERMINED) {
        keep_doubt(deal, error);
    }
    tikv_error_free(error);
    return outcome;
}

void
tk_deal_run_last(struct tk_world *world, tk_deal_fn *body)
{
    struct tk_deal deal = { .world = world,
                            .seat = &world->seats[0],
                            .rng = &world->rng,
                            .body = body,
                            .is_last = true };

    if (tk_deal_run(&deal, 0) != TK_SIM_OK) {
        tk_world_complain(world, "a healed cluster: T%u failed\n", deal.number);
    }
}
