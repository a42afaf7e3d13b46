/* SPDX-License-Identifier: Apache-2.0 */
/* The doors of a transaction's writes, which never wait. Any thread. */
#include "api/txn.h"

#include "base/call.h"
#include "base/error.h"

static tikv_error *
check(const tikv_txn *txn, tikv_slice key)
{
    tikv_error *error = tk_txn_door_refusal(txn);

    return error == NULL ? tk_txn_door_key(key) : error;
}

static tikv_error *
check_value(const tikv_txn *txn, tikv_slice key, tikv_slice value)
{
    tikv_error *error = check(txn, key);

    if (error == NULL && value.data == NULL) {
        error = tk_error(TIKV_ERR_ARGUMENT, "value is absent");
    }
    return error;
}

tikv_error *
tikv_txn_put(tikv_txn *txn, tikv_slice key, tikv_slice value)
{
    tikv_error *error = check_value(txn, key, value);

    return error == NULL ? tk_txn_put(txn, key, value) : error;
}

tikv_error *
tikv_txn_insert(tikv_txn *txn, tikv_slice key, tikv_slice value)
{
    tikv_error *error = check_value(txn, key, value);

    return error == NULL ? tk_txn_insert(txn, key, value) : error;
}

tikv_error *
tikv_txn_delete(tikv_txn *txn, tikv_slice key)
{
    tikv_error *error = check(txn, key);

    return error == NULL ? tk_txn_delete(txn, key) : error;
}

tikv_error *
tikv_txn_lock(tikv_txn *txn, const tikv_slice *keys, size_t count,
              const tikv_call *call)
{
    tikv_error *error = tk_txn_door_refusal(txn);

    if (error == NULL) {
        error = tk_txn_door_keys(keys, count);
    }
    if (error == NULL) {
        error = tk_call_check(call, sizeof(tikv_call_options));
    }
    return error == NULL ? tk_txn_lock(txn, keys, count) : error;
}

tikv_error *
tikv_txn_assert(tikv_txn *txn, tikv_slice key, tikv_assertion assertion)
{
    tikv_error *error = check(txn, key);

    return error == NULL ? tk_txn_assert(txn, key, assertion) : error;
}

size_t
tikv_txn_count(tikv_txn *txn)
{
    return txn == NULL ? 0 : tk_txn_count(txn);
}

uint64_t
tikv_txn_size(tikv_txn *txn)
{
    return txn == NULL ? 0 : tk_txn_size(txn);
}

uint64_t
tikv_txn_memory(tikv_txn *txn)
{
    return txn == NULL ? 0 : tk_txn_memory(txn);
}

bool
tikv_txn_is_read_only(tikv_txn *txn)
{
    return txn == NULL || tk_txn_is_read_only(txn);
}

tikv_error *
tikv_txn_savepoint(tikv_txn *txn, size_t *savepoint)
{
    tikv_error *error = tk_txn_door_refusal(txn);

    if (error == NULL && savepoint == NULL) {
        error = tk_error(TIKV_ERR_ARGUMENT, "savepoint is NULL");
    }
    return error == NULL ? tk_txn_savepoint(txn, savepoint) : error;
}

tikv_error *
tikv_txn_savepoint_release(tikv_txn *txn, size_t savepoint)
{
    tikv_error *error = tk_txn_door_refusal(txn);

    return error == NULL ? tk_txn_savepoint_end(txn, savepoint, true) : error;
}

tikv_error *
tikv_txn_savepoint_rollback(tikv_txn *txn, size_t savepoint)
{
    tikv_error *error = tk_txn_door_refusal(txn);

    return error == NULL ? tk_txn_savepoint_end(txn, savepoint, false) : error;
}

tikv_error *
tikv_txn_savepoint_writes(tikv_txn *txn, size_t savepoint, tikv_pairs **out)
{
    tikv_error *error = tk_txn_door_refusal(txn);

    if (error == NULL && out == NULL) {
        error = tk_error(TIKV_ERR_ARGUMENT, "out is NULL");
    }
    if (out != NULL) {
        *out = NULL;
    }
    return error == NULL ? tk_txn_savepoint_writes(txn, savepoint, out) : error;
}
