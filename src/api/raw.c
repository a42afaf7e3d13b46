/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The blocking doors of raw operations: arguments into a struct tk_raw, run
 * on the caller's thread, outcome to the out parameters. Any thread, no lock.
 */
#include <tikv/raw.h>

#include <string.h>

#include "api/client.h"
#include "base/call.h"
#include "base/error.h"
#include "raw/raw.h"

/* A later field must not be read from an older caller's padding. */
_Static_assert(sizeof(tikv_raw_options) ==
                   offsetof(tikv_raw_options, details) + sizeof(void *),
               "no padding at the end");
_Static_assert(sizeof(tikv_scan_options) ==
                   offsetof(tikv_scan_options, details) + sizeof(void *),
               "no padding at the end");

void
tikv_raw_options_init(tikv_raw_options *options, size_t struct_size)
{
    if (options != NULL) {
        tikv_call_init(&options->call, struct_size);
    }
}

void
tikv_scan_options_init(tikv_scan_options *options, size_t struct_size)
{
    if (options != NULL) {
        tikv_call_init(&options->call, struct_size);
    }
}

static bool
is_scan(const struct tk_raw *raw)
{
    return raw->kind == TK_RAW_SCAN || raw->kind == TK_RAW_BATCH_SCAN;
}

/* `options` are those of the raw's kind. */
static tikv_error *
run(tikv_client *client, struct tk_raw *raw, const void *options,
    struct tk_outcome *outcome)
{
    tikv_error *error = tk_door_refusal(client);
    struct tk_op op;
    tikv_call call;

    memset(outcome, 0, sizeof(*outcome));
    if (error != NULL) {
        return error;
    }
    error = is_scan(raw)
                ? tk_raw_read_scan_options(&client->config, options, raw, &call)
                : tk_raw_read_options(&client->config, options, raw, &call);
    if (error == NULL) {
        error = tk_raw_check(&client->config, raw);
    }
    if (error == NULL) {
        error = tk_door_enter(client, &call, &op);
    }
    if (error != NULL) {
        return error;
    }
    op.details = raw->details;
    error = tk_op_end(
        &op, tk_raw_run(&client->router, &op, raw, NULL, outcome));
    tk_door_leave(client, &op);
    return error;
}

static tikv_error *
no_out(void)
{
    return tk_error(TIKV_ERR_ARGUMENT, "an out parameter is NULL");
}

tikv_error *
tikv_raw_get(tikv_client *client, tikv_slice key,
             const tikv_raw_options *options, tikv_value **out)
{
    struct tk_raw raw = { .kind = TK_RAW_GET, .key = key };
    struct tk_outcome outcome;
    tikv_error *error;

    if (out == NULL) {
        return no_out();
    }
    error = run(client, &raw, options, &outcome);
    *out = outcome.value;
    return error;
}

tikv_error *
tikv_raw_put(tikv_client *client, tikv_slice key, tikv_slice value,
             const tikv_raw_options *options)
{
    struct tk_raw raw = { .kind = TK_RAW_PUT, .key = key, .value = value };
    struct tk_outcome outcome;

    return run(client, &raw, options, &outcome);
}

tikv_error *
tikv_raw_delete(tikv_client *client, tikv_slice key,
                const tikv_raw_options *options)
{
    struct tk_raw raw = { .kind = TK_RAW_DELETE, .key = key };
    struct tk_outcome outcome;

    return run(client, &raw, options, &outcome);
}

tikv_error *
tikv_raw_swap(tikv_client *client, tikv_slice key, tikv_slice expected,
              tikv_slice desired, const tikv_raw_options *options,
              bool *swapped, tikv_value **previous)
{
    struct tk_raw raw = {
        .kind = TK_RAW_SWAP, .key = key, .expected = expected, .value = desired
    };
    struct tk_outcome outcome;
    tikv_error *error = run(client, &raw, options, &outcome);

    if (previous != NULL) {
        *previous = outcome.value;
    } else {
        tikv_value_free(outcome.value);
    }
    if (error == NULL && swapped != NULL) {
        *swapped = outcome.flag;
    }
    return error;
}

tikv_error *
tikv_raw_ttl(tikv_client *client, tikv_slice key,
             const tikv_raw_options *options, bool *found, uint64_t *ttl_s)
{
    struct tk_raw raw = { .kind = TK_RAW_TTL, .key = key };
    struct tk_outcome outcome;
    tikv_error *error = run(client, &raw, options, &outcome);

    if (error == NULL && found != NULL) {
        *found = outcome.flag;
    }
    if (error == NULL && ttl_s != NULL) {
        *ttl_s = outcome.number[0];
    }
    return error;
}

tikv_error *
tikv_raw_batch_get(tikv_client *client, const tikv_slice *keys, size_t count,
                   const tikv_raw_options *options, tikv_pairs **out)
{
    struct tk_raw raw = { .kind = TK_RAW_BATCH_GET,
                          .count = count,
                          .many.keys = keys };
    struct tk_outcome outcome;
    tikv_error *error;

    if (out == NULL) {
        return no_out();
    }
    error = run(client, &raw, options, &outcome);
    *out = outcome.pairs;
    return error;
}

tikv_error *
tikv_raw_batch_put(tikv_client *client, const tikv_pair *pairs, size_t count,
                   const tikv_raw_options *options)
{
    struct tk_raw raw = { .kind = TK_RAW_BATCH_PUT,
                          .count = count,
                          .many.pairs = pairs };
    struct tk_outcome outcome;

    return run(client, &raw, options, &outcome);
}

tikv_error *
tikv_raw_batch_delete(tikv_client *client, const tikv_slice *keys, size_t count,
                      const tikv_raw_options *options)
{
    struct tk_raw raw = { .kind = TK_RAW_BATCH_DELETE,
                          .count = count,
                          .many.keys = keys };
    struct tk_outcome outcome;

    return run(client, &raw, options, &outcome);
}

tikv_error *
tikv_raw_delete_range(tikv_client *client, tikv_range range,
                      const tikv_raw_options *options)
{
    struct tk_raw raw = { .kind = TK_RAW_DELETE_RANGE,
                          .count = 1,
                          .many.ranges = &range };
    struct tk_outcome outcome;

    return run(client, &raw, options, &outcome);
}

tikv_error *
tikv_raw_scan(tikv_client *client, tikv_range range,
              const tikv_scan_options *options, tikv_pairs **out)
{
    struct tk_raw raw = { .kind = TK_RAW_SCAN,
                          .count = 1,
                          .many.ranges = &range };
    struct tk_outcome outcome;
    tikv_error *error;

    if (out == NULL) {
        return no_out();
    }
    error = run(client, &raw, options, &outcome);
    *out = outcome.pairs;
    return error;
}

tikv_error *
tikv_raw_batch_scan(tikv_client *client, const tikv_range *ranges, size_t count,
                    const tikv_scan_options *options, tikv_pairs **out)
{
    struct tk_raw raw = { .kind = TK_RAW_BATCH_SCAN,
                          .count = count,
                          .many.ranges = ranges };
    struct tk_outcome outcome;
    tikv_error *error;

    if (out == NULL) {
        return no_out();
    }
    error = run(client, &raw, options, &outcome);
    *out = outcome.pairs;
    return error;
}

tikv_error *
tikv_raw_checksum(tikv_client *client, const tikv_range *ranges, size_t count,
                  const tikv_raw_options *options, uint64_t *crc64_xor,
                  uint64_t *pairs_count, uint64_t *total_bytes)
{
    struct tk_raw raw = { .kind = TK_RAW_CHECKSUM,
                          .count = count,
                          .many.ranges = ranges };
    uint64_t *const outs[] = { crc64_xor, pairs_count, total_bytes };
    struct tk_outcome outcome;
    tikv_error *error = run(client, &raw, options, &outcome);
    size_t i;

    for (i = 0; error == NULL && i < 3; i++) {
        if (outs[i] != NULL) {
            *outs[i] = outcome.number[i];
        }
    }
    return error;
}
