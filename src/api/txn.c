/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The blocking doors of transactions: arguments checked, the client entered,
 * the plain function of src/txn called on the caller's thread. Any thread.
 */
#include "api/txn.h"

#include <string.h>

#include "base/call.h"
#include "base/error.h"

/* A later field must not be read from an older caller's padding. */
_Static_assert(sizeof(tikv_txn_options) ==
                   offsetof(tikv_txn_options, details) + sizeof(void *),
               "no padding at the end");

void
tikv_txn_options_init(tikv_txn_options *options, size_t struct_size)
{
    if (options != NULL) {
        tikv_call_init(&options->call, struct_size);
    }
}

/* ---- what the doors share ---- */

tikv_error *
tk_txn_door_refusal(const tikv_txn *txn)
{
    if (txn == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "txn is NULL");
    }
    return tk_exec_refusal(txn->exec);
}

tikv_error *
tk_txn_door_enter(tikv_txn *txn, const tikv_call *call,
                  struct tk_txn_door *door)
{
    tikv_details *details;
    tikv_call own;
    tikv_error *error;

    if (txn == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "txn is NULL");
    }
    error = tk_call_read(call, &own, &details);
    if (error == NULL) {
        error = tk_exec_enter(txn->exec);
    }
    if (error != NULL) {
        return error;
    }
    tk_txn_call(txn, &own, &door->call);
    if (!tk_op_init(
            &door->op, txn->exec, &door->call,
            tk_config_ns(&txn->client->router.config->call_timeout_ms))) {
        tk_exec_leave(txn->exec);
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    door->op.details = details;
    return NULL;
}

tikv_error *
tk_txn_door_leave(tikv_txn *txn, struct tk_txn_door *door, tikv_error *error)
{
    error = tk_op_end(&door->op, error);
    tk_op_fini(&door->op);
    tk_exec_leave(txn->exec);
    return error;
}

tikv_error *
tk_txn_door_key(tikv_slice key)
{
    return key.data != NULL ? NULL
                            : tk_error(TIKV_ERR_ARGUMENT, "key is absent");
}

tikv_error *
tk_txn_door_keys(const tikv_slice *keys, size_t count)
{
    size_t i;

    if (count > PTRDIFF_MAX / sizeof(tikv_pair) ||
        (keys == NULL && count != 0)) {
        return tk_error(TIKV_ERR_ARGUMENT, "keys is %s, count %zu",
                        keys == NULL ? "NULL" : "given", count);
    }
    for (i = 0; i < count; i++) {
        if (keys[i].data == NULL) {
            return tk_error(TIKV_ERR_ARGUMENT, "keys[%zu] is absent", i);
        }
    }
    return NULL;
}

tikv_error *
tk_txn_door_range(tikv_range range)
{
    return (range.start.data == NULL && range.start.len != 0) ||
                   (range.end.data == NULL && range.end.len != 0)
               ? tk_error(TIKV_ERR_ARGUMENT,
                          "an end of the range has a length and no data")
               : NULL;
}

static tikv_error *
no_out(const char *name)
{
    return tk_error(TIKV_ERR_ARGUMENT, "%s is NULL", name);
}

/* ---- begin and end ---- */

tikv_error *
tikv_txn_begin(tikv_client *client, const tikv_txn_options *options,
               tikv_txn **out)
{
    tikv_error *error = tk_door_refusal(client);
    tikv_txn_options copy;
    struct tk_op op;

    if (out != NULL) {
        *out = NULL;
    }
    if (error == NULL && out == NULL) {
        error = no_out("out");
    }
    if (error == NULL) {
        error = tk_txn_read_options(&client->config, options, &copy);
    }
    if (error == NULL) {
        error = tk_door_enter(client, &copy.call, &op);
    }
    if (error != NULL) {
        return error;
    }
    op.details = copy.details;
    error = tk_op_end(&op, tk_txn_begin(client->txns, &op, &copy, out));
    tk_door_leave(client, &op);
    return error;
}

tikv_error *
tikv_txn_set_options(tikv_txn *txn, const tikv_txn_options *options)
{
    tikv_error *error = tk_txn_door_refusal(txn);
    tikv_txn_options copy;

    if (error != NULL) {
        return error;
    }
    error = tk_exec_enter(txn->exec);
    if (error != NULL) {
        return error;
    }
    error = tk_txn_read_options(txn->client->router.config, options, &copy);
    if (error == NULL) {
        error = tk_txn_set_options(txn, &copy);
    }
    tk_exec_leave(txn->exec);
    return error;
}

tikv_error *
tikv_txn_commit(tikv_txn *txn, const tikv_call *call, uint64_t *commit_ts)
{
    struct tk_txn_door door;
    tikv_error *error = tk_txn_door_enter(txn, call, &door);
    uint64_t ts = 0;

    if (error != NULL) {
        return error;
    }
    error = tk_txn_claim_end(txn);
    if (error == NULL) {
        error = tk_txn_commit(txn, &door.op, &ts);
    }
    error = tk_txn_door_leave(txn, &door, error);
    if (error == NULL && commit_ts != NULL) {
        *commit_ts = ts;
    }
    return error;
}

tikv_error *
tikv_txn_rollback(tikv_txn *txn, const tikv_call *call)
{
    tikv_error *error = tk_txn_door_refusal(txn);

    if (error == NULL) {
        error = tk_call_check(call, sizeof(tikv_call_options));
    }
    if (error == NULL) {
        error = tk_txn_claim_end(txn);
    }
    if (error == NULL) {
        tk_txn_rollback(txn);
    }
    return error;
}

void
tikv_txn_free(tikv_txn *txn)
{
    if (txn != NULL) {
        tk_txn_unref(txn);
    }
}

uint64_t
tikv_txn_start_ts(const tikv_txn *txn)
{
    return txn == NULL ? 0 : txn->start_ts;
}

uint64_t
tikv_txn_commit_ts(const tikv_txn *txn)
{
    return txn == NULL ? 0 : atomic_load(&txn->commit_ts);
}

tikv_slice
tikv_txn_primary(const tikv_txn *txn)
{
    const tikv_slice none = { NULL, 0 };

    return txn == NULL ? none : tk_txn_primary(txn);
}

/* ---- reads ---- */

tikv_error *
tikv_txn_get(tikv_txn *txn, tikv_slice key, const tikv_read_options *options,
             tikv_value **out)
{
    tikv_error *error = out == NULL ? no_out("out") : tk_txn_door_key(key);
    struct tk_read read = { .kind = TK_READ_GET };
    struct tk_txn_door door;
    tikv_call call;

    if (out != NULL) {
        *out = NULL;
    }
    if (error == NULL) {
        error = tk_read_options(options, &read, &call);
    }
    if (error == NULL) {
        error = tk_txn_door_enter(txn, &call, &door);
    }
    if (error != NULL) {
        return error;
    }
    door.op.details = read.details;
    error = tk_txn_get(txn, &door.op, key, read.with_commit_ts, out);
    return tk_txn_door_leave(txn, &door, error);
}

tikv_error *
tikv_txn_batch_get(tikv_txn *txn, const tikv_slice *keys, size_t count,
                   const tikv_read_options *options, tikv_pairs **out)
{
    tikv_error *error =
        out == NULL ? no_out("out") : tk_txn_door_keys(keys, count);
    struct tk_read read = { .kind = TK_READ_BATCH_GET };
    struct tk_txn_door door;
    tikv_call call;

    if (out != NULL) {
        *out = NULL;
    }
    if (error == NULL) {
        error = tk_read_options(options, &read, &call);
    }
    if (error == NULL) {
        error = tk_txn_door_enter(txn, &call, &door);
    }
    if (error != NULL) {
        return error;
    }
    door.op.details = read.details;
    error =
        tk_txn_batch_get(txn, &door.op, keys, count, read.with_commit_ts, out);
    return tk_txn_door_leave(txn, &door, error);
}

tikv_error *
tikv_txn_scan(tikv_txn *txn, tikv_range range,
              const tikv_range_options *options, tikv_pairs **out)
{
    tikv_error *error = out == NULL ? no_out("out") : tk_txn_door_range(range);
    struct tk_read read = { .kind = TK_READ_SCAN };
    struct tk_txn_door door;
    tikv_call call;

    if (out != NULL) {
        *out = NULL;
    }
    if (error == NULL) {
        error = tk_range_options(options, &read, &call);
    }
    if (error == NULL) {
        error = tk_txn_door_enter(txn, &call, &door);
    }
    if (error != NULL) {
        return error;
    }
    door.op.details = read.details;
    error = tk_txn_scan(txn, &door.op, range, &read.scan, out);
    return tk_txn_door_leave(txn, &door, error);
}
