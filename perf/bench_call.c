/* SPDX-License-Identifier: Apache-2.0 */
/* One operation: its choice, its blocking form, its promised form. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

enum { FILL_BYTES = 4 << 20 };

bool
bench_caller_init(struct bench_caller *caller,
                  const struct bench_options *options, tikv_client *client,
                  struct bench_keys *keys, const uint8_t *value, uint64_t seed,
                  uint64_t places)
{
    memset(caller, 0, sizeof(*caller));
    caller->options = options;
    caller->client = client;
    caller->keys = keys;
    caller->value = value;
    caller->random = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    caller->room = malloc(places * options->key_bytes);
    caller->slices = calloc(places, sizeof(*caller->slices));
    caller->pairs = calloc(places, sizeof(*caller->pairs));
    return caller->room != NULL && caller->slices != NULL &&
           caller->pairs != NULL;
}

void
bench_caller_fini(struct bench_caller *caller)
{
    free(caller->room);
    free(caller->slices);
    free(caller->pairs);
}

void
bench_choose(struct bench_caller *caller, struct bench_op *op)
{
    const uint8_t *percent = caller->options->workload->percent;
    uint64_t throw =
        percent[BENCH_READ] == 100 ? 0 : bench_random(&caller->random) % 100;
    unsigned kind = 0;

    while (kind + 1 < BENCH_KINDS && throw >= percent[kind]) {
        throw -= percent[kind];
        kind++;
    }
    op->kind = (enum bench_kind)kind;
    op->is_second = false;
    op->number = op->kind == BENCH_INSERT ? bench_keys_insert(caller->keys)
                 : op->kind == BENCH_BATCH_GET || op->kind == BENCH_BATCH_PUT ||
                         op->kind == BENCH_TSO
                     ? 0
                     : bench_keys_pick(caller->keys, &caller->random);
}

static tikv_slice
value_of(const struct bench_caller *caller)
{
    return (tikv_slice){ caller->value, caller->options->value_bytes };
}

static tikv_slice
key_of(struct bench_caller *caller, const struct bench_op *op)
{
    return bench_keys_spell(caller->keys, op->number, caller->room);
}

/* Keys and pairs of a batch. */
static size_t
gather(struct bench_caller *caller)
{
    uint64_t i;

    for (i = 0; i < caller->options->batch; i++) {
        caller->slices[i] = bench_keys_spell(
            caller->keys, bench_keys_pick(caller->keys, &caller->random),
            caller->room + i * caller->options->key_bytes);
        caller->pairs[i] = (tikv_pair){ caller->slices[i], value_of(caller) };
    }
    return caller->options->batch;
}

static tikv_scan_options
scan_of(struct bench_caller *caller)
{
    tikv_scan_options scan = TIKV_SCAN_OPTIONS_INIT;
    uint64_t most = caller->options->scan;
    bool is_mixed = caller->options->workload->percent[BENCH_SCAN] < 100;

    scan.page_count =
        (uint32_t)(is_mixed ? 1 + bench_random(&caller->random) % most : most);
    return scan;
}

static void
see_value(struct bench_caller *caller, tikv_error *error, tikv_value *value)
{
    caller->misses += error == NULL && value == NULL;
    tikv_value_free(value);
}

static void
see_pairs(struct bench_caller *caller, const struct bench_op *op,
          tikv_error *error, tikv_pairs *pairs)
{
    const tikv_pair *data = tikv_pairs_data(pairs);
    size_t i, count = tikv_pairs_count(pairs);

    if (error == NULL && op->kind == BENCH_BATCH_GET) {
        for (i = 0; i < count; i++) {
            caller->misses += data[i].value.data == NULL;
        }
    }
    tikv_pairs_free(pairs);
}

/* A write was answered, well or not. */
static void
see_done(struct bench_caller *caller, const struct bench_op *op)
{
    if (op->kind == BENCH_INSERT) {
        atomic_fetch_add_explicit(&caller->keys->landed, 1,
                                  memory_order_relaxed);
    }
}

static tikv_error *
call_read(struct bench_caller *caller, const struct bench_op *op)
{
    tikv_value *value = NULL;
    tikv_error *error =
        tikv_raw_get(caller->client, key_of(caller, op), NULL, &value);

    see_value(caller, error, value);
    return error;
}

static tikv_error *
call_write(struct bench_caller *caller, const struct bench_op *op)
{
    tikv_error *error = tikv_raw_put(caller->client, key_of(caller, op),
                                     value_of(caller), NULL);

    see_done(caller, op);
    return error;
}

static tikv_error *
call_pairs(struct bench_caller *caller, const struct bench_op *op)
{
    tikv_pairs *pairs = NULL;
    tikv_error *error;

    if (op->kind == BENCH_SCAN) {
        tikv_scan_options scan = scan_of(caller);
        tikv_range range = { key_of(caller, op), { NULL, 0 } };

        error = tikv_raw_scan(caller->client, range, &scan, &pairs);
    } else {
        size_t count = gather(caller);

        error = tikv_raw_batch_get(caller->client, caller->slices, count, NULL,
                                   &pairs);
    }
    see_pairs(caller, op, error, pairs);
    return error;
}

static tikv_error *
call_swap(struct bench_caller *caller, const struct bench_op *op)
{
    bool swapped = true;
    tikv_error *error =
        tikv_raw_swap(caller->client, key_of(caller, op), value_of(caller),
                      value_of(caller), NULL, &swapped, NULL);

    caller->misses += error == NULL && !swapped;
    return error;
}

tikv_error *
bench_call(struct bench_caller *caller, struct bench_op *op)
{
    tikv_error *error;
    uint64_t timestamp;
    size_t count;

    switch (op->kind) {
    case BENCH_READ:
        return call_read(caller, op);
    case BENCH_UPDATE:
    case BENCH_INSERT:
        return call_write(caller, op);
    case BENCH_MODIFY:
        error = call_read(caller, op);
        return error != NULL ? error : call_write(caller, op);
    case BENCH_BATCH_PUT:
        count = gather(caller);
        return tikv_raw_batch_put(caller->client, caller->pairs, count, NULL);
    case BENCH_CAS:
        return call_swap(caller, op);
    case BENCH_TSO:
        return tikv_timestamp(caller->client, NULL, &timestamp);
    case BENCH_SCAN:
    case BENCH_BATCH_GET:
    case BENCH_KINDS:
    default:
        return call_pairs(caller, op);
    }
}

static tikv_future *
launch_many(struct bench_caller *caller, const struct bench_op *op)
{
    size_t count = gather(caller);

    return op->kind == BENCH_BATCH_GET
               ? tikv_raw_batch_get_async(caller->client, caller->slices, count,
                                          NULL)
               : tikv_raw_batch_put_async(caller->client, caller->pairs, count,
                                          NULL);
}

tikv_future *
bench_launch(struct bench_caller *caller, const struct bench_op *op)
{
    tikv_client *client = caller->client;
    tikv_scan_options scan;
    tikv_range range;

    switch (op->kind) {
    case BENCH_UPDATE:
    case BENCH_INSERT:
        return tikv_raw_put_async(client, key_of(caller, op), value_of(caller),
                                  NULL);
    case BENCH_BATCH_GET:
    case BENCH_BATCH_PUT:
        return launch_many(caller, op);
    case BENCH_CAS:
        return tikv_raw_swap_async(client, key_of(caller, op), value_of(caller),
                                   value_of(caller), NULL);
    case BENCH_TSO:
        return tikv_timestamp_async(client, NULL);
    case BENCH_SCAN:
        scan = scan_of(caller);
        range = (tikv_range){ key_of(caller, op), { NULL, 0 } };
        return tikv_raw_scan_async(client, range, &scan);
    case BENCH_READ:
    case BENCH_MODIFY:
    case BENCH_KINDS:
    default:
        return tikv_raw_get_async(client, key_of(caller, op), NULL);
    }
}

static tikv_error *
take_read(struct bench_caller *caller, struct bench_op *op, tikv_future *future,
          tikv_future **next)
{
    tikv_value *value = NULL;
    tikv_error *error = tikv_future_take_value(future, &value);

    see_value(caller, error, value);
    if (error == NULL && op->kind == BENCH_MODIFY) {
        op->is_second = true;
        *next = tikv_raw_put_async(caller->client, key_of(caller, op),
                                   value_of(caller), NULL);
    }
    return error;
}

static tikv_error *
take_first(struct bench_caller *caller, struct bench_op *op,
           tikv_future *future, tikv_future **next)
{
    tikv_pairs *pairs = NULL;
    tikv_error *error;
    uint64_t timestamp;
    bool swapped = true;

    switch (op->kind) {
    case BENCH_UPDATE:
    case BENCH_INSERT:
    case BENCH_BATCH_PUT:
        see_done(caller, op);
        return tikv_future_take_done(future);
    case BENCH_CAS:
        error = tikv_future_take_swap(future, &swapped, NULL);
        caller->misses += error == NULL && !swapped;
        return error;
    case BENCH_TSO:
        return tikv_future_take_u64(future, &timestamp);
    case BENCH_SCAN:
    case BENCH_BATCH_GET:
        error = tikv_future_take_pairs(future, &pairs);
        see_pairs(caller, op, error, pairs);
        return error;
    case BENCH_READ:
    case BENCH_MODIFY:
    case BENCH_KINDS:
    default:
        return take_read(caller, op, future, next);
    }
}

tikv_error *
bench_take(struct bench_caller *caller, struct bench_op *op,
           tikv_future *future, tikv_future **next)
{
    tikv_error *error;

    *next = NULL;
    error = op->is_second ? tikv_future_take_done(future)
                          : take_first(caller, op, future, next);
    tikv_future_free(future);
    return error;
}

bool
bench_fill(struct bench_caller *caller)
{
    const struct bench_options *options = caller->options;
    uint64_t most =
        FILL_BYTES / (options->key_bytes + options->value_bytes) + 1;
    uint64_t i, j, count;

    most = most > BENCH_FILL_COUNT ? BENCH_FILL_COUNT : most;
    for (i = 0; i < options->keys; i += count) {
        tikv_error *error;

        count = options->keys - i < most ? options->keys - i : most;
        for (j = 0; j < count; j++) {
            caller->pairs[j].key = bench_keys_spell(
                caller->keys, i + j, caller->room + j * options->key_bytes);
            caller->pairs[j].value = value_of(caller);
        }
        error = tikv_raw_batch_put(caller->client, caller->pairs, count, NULL);
        if (error != NULL) {
            fprintf(stderr, "tikv-bench: filling: %s\n",
                    tikv_error_message(error));
            tikv_error_free(error);
            return false;
        }
    }
    return true;
}
