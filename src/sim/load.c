/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fiber that calls the client, one call after the other or a few futures at
 * a time, and writes down when each began and how it ended.
 *
 * A call is one request of the public API: one key, or a batch whose keys are
 * an operation of the history each. Its memory lives until it has ended and,
 * for a future, until the callback has run.
 */
#include <stdio.h>

#include "base/alloc.h"
#include "base/slice.h"
#include "sim/tap.h"
#include "sim/world.h"

#define BATCH_MAX 4
#define WINDOW_MAX 3

struct call {
    struct tk_world *world;
    struct tk_load *load;
    enum tk_sim_kind kind;
    bool is_batch;
    bool calls_back;
    bool is_over;
    size_t count;
    uint32_t keys[BATCH_MAX];
    uint32_t values[BATCH_MAX];
    uint32_t ops[BATCH_MAX];
    uint32_t expected;
    char key_texts[BATCH_MAX][TK_SIM_TEXT];
    char value_texts[BATCH_MAX][TK_SIM_TEXT];
    char expected_text[TK_SIM_TEXT];
    tikv_slice slices[BATCH_MAX];
    tikv_pair pairs[BATCH_MAX];
    char source[32];
    tikv_raw_options options;
    tikv_cancel *cancel;
    struct tk_timer timer; /* raises cancel */
    bool raises;
    tikv_future *future;
    struct tk_parker *owner; /* waits for the callback */
};

static uint64_t
below(struct call *call, uint64_t limit)
{
    return tk_rng_below(&call->load->rng, limit);
}

/* ---- before ---- */

static void
raise_cancel(struct tk_timer *timer)
{
    struct call *call =
        (struct call *)(void *)((char *)timer - offsetof(struct call, timer));

    tikv_cancel_raise(call->cancel);
}

/* Distinct keys, and a fresh value for each that is written. */
static void
choose_keys(struct call *call)
{
    struct tk_world *world = call->world;
    uint32_t first = (uint32_t)below(call, world->options.keys);
    size_t i;

    for (i = 0; i < call->count; i++) {
        call->keys[i] = (first + (uint32_t)i) % world->options.keys;
        call->slices[i] =
            tk_world_key(world, call->keys[i], call->key_texts[i]);
        if (call->kind == TK_SIM_PUT || call->kind == TK_SIM_CAS) {
            call->values[i] = ++world->values;
        }
        call->pairs[i].key = call->slices[i];
        call->pairs[i].value =
            tk_world_value(call->values[i], call->value_texts[i]);
    }
}

/* What a swap expects: mostly what was written lately, so that it has a
 * chance; else nothing. */
static void
choose_expected(struct call *call)
{
    const struct tk_history *history = &call->world->history;
    size_t i;

    if (below(call, 5) == 0) {
        return;
    }
    for (i = history->ops_count; i > 0; i--) {
        const struct tk_sim_op *op = &history->ops[i - 1];

        if (op->key == call->keys[0] && op->outcome == TK_SIM_OK &&
            op->kind != TK_SIM_DELETE) {
            call->expected = op->kind == TK_SIM_PUT ||
                                     (op->kind == TK_SIM_CAS && op->swapped)
                                 ? op->value
                                 : op->result;
            return;
        }
    }
}

static void
choose_options(struct call *call)
{
    static const int64_t timeouts[] = { 15, 60, 250, 1500 };
    struct tk_world *world = call->world;

    tikv_raw_options_init(&call->options, sizeof(call->options));
    snprintf(call->source, sizeof(call->source), TK_SIM_SOURCE "%u",
             world->groups);
    call->options.call.request_source = call->source;
    call->options.call.timeout_ms = timeouts[below(call, 4)];
    if (below(call, 8) == 0) {
        tikv_error *error = tikv_cancel_new(&call->cancel);

        tikv_error_free(error);
        call->options.call.cancel = call->cancel;
        call->raises = call->cancel != NULL && below(call, 4) != 0;
    }
}

static void
begin(struct call *call)
{
    struct tk_world *world = call->world;
    int64_t now = tk_now(world->rt);
    size_t i;

    for (i = 0; i < call->count; i++) {
        struct tk_sim_op op = {
            .group = world->groups,
            .key = call->keys[i],
            .fiber = call->load->number,
            .kind = call->kind,
            .value = call->values[i],
            .expected = call->expected,
            .invoked = now,
            .deadline = now + call->options.call.timeout_ms * TK_MS,
        };

        call->ops[i] = tk_history_begin(&world->history, &op);
    }
    if (call->raises) {
        call->timer.fn = raise_cancel;
        world->rt->ops->arm(world->rt, &call->timer,
                            now + (int64_t)below(call, 30 * TK_MS));
    }
}

static struct call *
call_new(struct tk_load *load)
{
    struct tk_world *world = load->world;
    struct call *call = (struct call *)tk_calloc(sizeof(*call));
    uint64_t dice;

    if (call == NULL) {
        world->history.failed = true;
        return NULL;
    }
    call->world = world;
    call->load = load;
    dice = below(call, 100);
    if (dice < 40) {
        call->kind = TK_SIM_GET;
    } else if (dice < 70) {
        call->kind = TK_SIM_PUT;
    } else if (dice < 80) {
        call->kind = TK_SIM_DELETE;
    } else {
        call->kind = world->is_atomic ? TK_SIM_CAS : TK_SIM_PUT;
    }
    call->is_batch = call->kind != TK_SIM_CAS && below(call, 5) == 0 &&
                     !(call->kind == TK_SIM_DELETE && world->is_atomic);
    call->count = call->is_batch ? 1 + below(call, BATCH_MAX) : 1;
    if (call->count > world->options.keys) {
        call->count = world->options.keys;
    }
    world->groups++;
    choose_keys(call);
    if (call->kind == TK_SIM_CAS) {
        choose_expected(call);
    }
    choose_options(call);
    return call;
}

static void
call_free(struct call *call)
{
    if (call->raises) {
        (void)call->world->rt->ops->disarm(call->world->rt, &call->timer);
    }
    tikv_cancel_free(call->cancel);
    tikv_future_free(call->future);
    tk_free(call);
}

/* ---- after ---- */

static enum tk_sim_outcome
outcome_of(const struct call *call, const tikv_error *error, size_t index)
{
    if (error == NULL) {
        return TK_SIM_OK;
    }
    if (call->is_batch && index < tikv_error_outcomes_count(error)) {
        tikv_key_outcome outcome = tikv_error_outcome(error, index);

        return outcome == TIKV_KEY_DONE       ? TK_SIM_OK
               : outcome == TIKV_KEY_NOT_DONE ? TK_SIM_FAILED
                                              : TK_SIM_UNDETERMINED;
    }
    return tikv_error_is_undetermined(error) ? TK_SIM_UNDETERMINED
                                             : TK_SIM_FAILED;
}

static bool
may_end_with(const struct call *call, tikv_code code)
{
    switch (code) {
    case TIKV_OK:
    case TIKV_ERR_TIMEOUT:
    case TIKV_ERR_UNAVAILABLE:
    case TIKV_ERR_REGION:
    case TIKV_ERR_SERVER_BUSY:
    case TIKV_ERR_PD:
    case TIKV_ERR_OVERLOAD: /* where retries are rationed */
        return true;
    case TIKV_ERR_CLOSED:
        return call->world->is_closing;
    case TIKV_ERR_CANCELLED:
        return call->cancel != NULL || call->future != NULL;
    case TIKV_ERR_UNDETERMINED:
        return call->kind != TK_SIM_GET;
    default:
        return false;
    }
}

/* Takes `error`. Values of reads are in the operations already. */
static void
settle(struct call *call, tikv_error *error)
{
    struct tk_world *world = call->world;
    int64_t now = tk_now(world->rt);
    int32_t code = tikv_error_code(error);
    size_t i;

    if (!may_end_with(call, code)) {
        tk_world_complain(world, "operation #%u ended with %s: %s\n",
                          call->ops[0], tikv_code_name(code),
                          tikv_error_message(error));
    }
    for (i = 0; i < call->count; i++) {
        enum tk_sim_outcome outcome = outcome_of(call, error, i);

        tk_history_end(&world->history, call->ops[i], now, outcome, code);
        tk_trace(world->rt, (uint64_t)call->ops[i] << 32 |
                                (uint64_t)outcome << 28 | (uint64_t)code);
    }
    tikv_error_free(error);
}

static void
keep_result(struct call *call, size_t index, uint32_t result, bool swapped)
{
    struct tk_sim_op *op;

    if (call->ops[index] != TK_SIM_NONE) {
        op = &call->world->history.ops[call->ops[index]];
        op->result = result;
        op->swapped = swapped;
        tk_trace(call->world->rt, result);
    }
}

static void
keep_value(struct call *call, tikv_value *value, bool swapped)
{
    keep_result(call, 0, tk_world_value_of(value), swapped);
    tikv_value_free(value);
}

static void
keep_pairs(struct call *call, tikv_pairs *pairs)
{
    const tikv_pair *data = tikv_pairs_data(pairs);
    size_t i;

    if (tikv_pairs_count(pairs) != call->count) {
        tk_world_complain(call->world, "a batch of %zu gave %zu pairs\n",
                          call->count, tikv_pairs_count(pairs));
    }
    for (i = 0; i < call->count && i < tikv_pairs_count(pairs); i++) {
        if (!tk_slice_equal(data[i].key, call->slices[i])) {
            tk_world_complain(call->world, "pair %zu has another key\n", i);
        }
        keep_result(call, i, tk_world_value_of_slice(data[i].value), false);
    }
    tikv_pairs_free(pairs);
}

/* ---- blocking ---- */

static void
run_blocking(struct call *call)
{
    tikv_client *client = call->world->seats[0].client;
    const tikv_raw_options *options = &call->options;
    tikv_slice expected = tk_world_value(call->expected, call->expected_text);
    tikv_pairs *pairs = NULL;
    tikv_value *value = NULL;
    tikv_error *error = NULL;
    bool swapped = false;

    begin(call);
    switch (call->kind) {
    case TK_SIM_GET:
        error = call->is_batch
                    ? tikv_raw_batch_get(client, call->slices, call->count,
                                         options, &pairs)
                    : tikv_raw_get(client, call->slices[0], options, &value);
        break;
    case TK_SIM_PUT:
        error = call->is_batch ? tikv_raw_batch_put(client, call->pairs,
                                                    call->count, options)
                               : tikv_raw_put(client, call->slices[0],
                                              call->pairs[0].value, options);
        break;
    case TK_SIM_DELETE:
        error = call->is_batch
                    ? tikv_raw_batch_delete(client, call->slices, call->count,
                                            options)
                    : tikv_raw_delete(client, call->slices[0], options);
        break;
    case TK_SIM_CAS:
        error = tikv_raw_swap(client, call->slices[0], expected,
                              call->pairs[0].value, options, &swapped, &value);
        break;
    }
    if (error == NULL && pairs != NULL) {
        keep_pairs(call, pairs);
    } else if (error == NULL && !call->is_batch) {
        keep_value(call, value, swapped);
    }
    settle(call, error);
}

/* ---- futures ---- */

static void
start(struct call *call)
{
    tikv_client *client = call->world->seats[0].client;
    const tikv_raw_options *options = &call->options;
    tikv_slice expected = tk_world_value(call->expected, call->expected_text);

    begin(call);
    switch (call->kind) {
    case TK_SIM_GET:
        call->future =
            call->is_batch
                ? tikv_raw_batch_get_async(client, call->slices, call->count,
                                           options)
                : tikv_raw_get_async(client, call->slices[0], options);
        break;
    case TK_SIM_PUT:
        call->future = call->is_batch
                           ? tikv_raw_batch_put_async(client, call->pairs,
                                                      call->count, options)
                           : tikv_raw_put_async(client, call->slices[0],
                                                call->pairs[0].value, options);
        break;
    case TK_SIM_DELETE:
        call->future =
            call->is_batch
                ? tikv_raw_batch_delete_async(client, call->slices, call->count,
                                              options)
                : tikv_raw_delete_async(client, call->slices[0], options);
        break;
    case TK_SIM_CAS:
        call->future = tikv_raw_swap_async(client, call->slices[0], expected,
                                           call->pairs[0].value, options);
        break;
    }
}

static void
take(struct call *call, tikv_future *future)
{
    tikv_pairs *pairs = NULL;
    tikv_value *value = NULL;
    bool swapped = false;
    tikv_error *error;

    if (call->kind == TK_SIM_CAS) {
        error = tikv_future_take_swap(future, &swapped, &value);
    } else if (call->kind != TK_SIM_GET) {
        error = tikv_future_take_done(future);
    } else if (call->is_batch) {
        error = tikv_future_take_pairs(future, &pairs);
    } else {
        error = tikv_future_take_value(future, &value);
    }
    if (error == NULL && pairs != NULL) {
        keep_pairs(call, pairs);
    } else if (error == NULL && !call->is_batch) {
        keep_value(call, value, swapped);
    }
    settle(call, error);
    call->is_over = true;
}

static void
called_back(tikv_future *future, void *arg)
{
    struct call *call = (struct call *)arg;
    struct tk_runtime *rt = call->world->rt;
    struct tk_parker *owner = call->owner;
    struct tk_wakes wakes;

    take(call, future);
    tk_wakes_init(&wakes, rt);
    tk_wakes_ring(&wakes, owner);
    tk_wakes_flush(&wakes);
}

static bool
ask_to_be_called(struct call *call)
{
    tikv_error *error;

    call->owner = tk_self(call->world->rt);
    error = tikv_future_on_ready(call->future, called_back, call);
    if (error == NULL) {
        call->calls_back = true;
    } else if (tikv_error_code(error) != TIKV_ERR_CLOSED ||
               !call->world->is_closing) {
        tk_world_complain(call->world, "on_ready: %s\n",
                          tikv_error_message(error));
    }
    tikv_error_free(error);
    return call->calls_back;
}

static void
await_callback(struct call *call)
{
    struct tk_runtime *rt = call->world->rt;

    while (!call->is_over) {
        tk_park_begin(call->owner);
        if (!call->is_over) {
            rt->ops->park(rt, call->owner, TK_NEVER);
        }
    }
}

static size_t
count_futures(tikv_future *const *futures, size_t count)
{
    size_t found = 0;
    size_t i;

    for (i = 0; i < count; i++) {
        found += futures[i] != NULL;
    }
    return found;
}

/* A few futures at once, some of them cancelled, taken as they get ready. */
static void
run_futures(struct tk_load *load)
{
    struct tk_world *world = load->world;
    struct call *calls[WINDOW_MAX] = { NULL };
    size_t count = 1 + tk_rng_below(&load->rng, WINDOW_MAX);
    tikv_future *futures[WINDOW_MAX];
    size_t left;
    size_t i;

    for (i = 0; i < count; i++) {
        calls[i] = world->is_closing ? NULL : call_new(load);
        futures[i] = NULL;
        if (calls[i] == NULL) {
            continue;
        }
        start(calls[i]);
        if (below(calls[i], 3) != 0 || !ask_to_be_called(calls[i])) {
            futures[i] = calls[i]->future;
        }
    }
    if (tk_rng_below(&load->rng, 4) == 0) {
        tk_world_sleep(world, (int64_t)tk_rng_below(&load->rng, 5 * TK_MS));
        i = tk_rng_below(&load->rng, count);
        if (calls[i] != NULL && !calls[i]->is_over) {
            tikv_future_cancel(calls[i]->future);
        }
    }
    for (left = count_futures(futures, count); left != 0;) {
        i = tikv_future_wait_any(futures, count, 20);
        if (i < count) {
            take(calls[i], futures[i]);
            futures[i] = NULL;
            left--;
        }
    }
    for (i = 0; i < count; i++) {
        if (calls[i] != NULL) {
            if (calls[i]->calls_back) {
                await_callback(calls[i]);
            }
            call_free(calls[i]);
        }
    }
}

/* ---- fibers ---- */

void
tk_load_run(void *arg)
{
    struct tk_load *load = (struct tk_load *)arg;
    struct tk_world *world = load->world;
    uint32_t i;

    /* A program's thread, though the runtime spawned it: waits wait. */
    tk_self(world->rt)->is_library = false;
    for (i = 0; i < world->options.rounds && !world->is_closing; i++) {
        if (tk_rng_below(&load->rng, 3) == 0) {
            run_futures(load);
        } else {
            struct call *call = call_new(load);

            if (call != NULL) {
                run_blocking(call);
                call_free(call);
            }
        }
        tk_world_sleep(world, (int64_t)tk_rng_below(&load->rng,
                                                    (uint64_t)world->pause_ns));
    }
}

/* A call of this kind for `count` keys from `first` on, without surprises. */
static void
read_some(struct tk_load *load, uint32_t first, size_t count)
{
    struct tk_world *world = load->world;
    struct call *call = (struct call *)tk_calloc(sizeof(*call));
    size_t i;

    if (call == NULL) {
        world->history.failed = true;
        return;
    }
    call->world = world;
    call->load = load;
    call->is_batch = count > 1;
    call->count = count;
    world->groups++;
    for (i = 0; i < count; i++) {
        call->keys[i] = first + (uint32_t)i;
        call->slices[i] =
            tk_world_key(world, call->keys[i], call->key_texts[i]);
    }
    tikv_raw_options_init(&call->options, sizeof(call->options));
    call->options.call.timeout_ms = 20000;
    run_blocking(call);
    for (i = 0; i < count && !world->history.failed; i++) {
        const struct tk_sim_op *op = &world->history.ops[call->ops[i]];

        if (op->outcome != TK_SIM_OK) {
            tk_world_complain(world, "a healed cluster: operation #%u: %s\n",
                              call->ops[i], tikv_code_name(op->code));
        }
    }
    call_free(call);
}

void
tk_load_read_all(struct tk_world *world)
{
    struct tk_load load = { .world = world, .number = 0 };
    uint32_t i;

    for (i = 0; i < world->options.keys; i += BATCH_MAX) {
        uint32_t rest = world->options.keys - i;

        read_some(&load, i, rest < BATCH_MAX ? rest : BATCH_MAX);
    }
    for (i = 0; i < world->options.keys; i++) {
        read_some(&load, i, 1);
    }
}
