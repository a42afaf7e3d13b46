/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes of a transaction: into the buffer, under the transaction's lock, on
 * the caller's thread. Nothing here waits.
 */
#include "txn/txn.h"

#include "base/error.h"

/* Lets go of the lock, and tells the memory without it. */
static tikv_error *
finish(tikv_txn *txn, tikv_error *error)
{
    size_t bytes = tk_buffer_footprint(txn->buffer);
    tikv_txn_memory_fn *tell =
        bytes != txn->told_memory ? txn->on_memory : NULL;
    void *arg = txn->arg;

    tk_ledger_add(txn->ledger, (int64_t)bytes - (int64_t)txn->told_memory);
    txn->told_memory = bytes;
    tk_mutex_unlock(&txn->lock);
    if (tell != NULL) {
        tell(bytes, arg);
    }
    return error;
}

/* Nothing here waits: without room a write fails. */
static tikv_error *
refuse_without_room(const tikv_txn *txn)
{
    int64_t max =
        tk_config_int(&txn->client->router.config->memory_max_bytes);
    tikv_error *error;

    if (!tk_ledger_is_full(txn->ledger, max)) {
        return NULL;
    }
    error = tk_error(TIKV_ERR_OVERLOAD,
                     "the client holds all of its memory.max_bytes, %lld",
                     (long long)max);
    tk_error_set_u64(error, TIKV_ERROR_LIMIT_BYTES, (uint64_t)max);
    return error;
}

tikv_error *
tk_txn_put(tikv_txn *txn, tikv_slice key, tikv_slice value)
{
    tikv_error *error = tk_txn_open(txn);

    if (error != NULL) {
        return error;
    }
    error = refuse_without_room(txn);
    return finish(txn, error != NULL ? error
                                     : tk_buffer_set(txn->buffer, key, value,
                                                     TK_KEY_NO_CHANGE));
}

/* What the transaction itself wrote it knows; the rest is for the commit to
 * check. A key that it deleted may have been there before: no claim then,
 * unless the key was claimed to be absent already. */
tikv_error *
tk_txn_insert(tikv_txn *txn, tikv_slice key, tikv_slice value)
{
    tikv_error *error = tk_txn_open(txn);
    tk_key_change change = TK_KEY_PRESUME;
    struct tk_buffer_item item;

    if (error != NULL) {
        return error;
    }
    if (tk_buffer_get(txn->buffer, key, &item) && item.value.data != NULL) {
        if (item.value.len != 0) {
            tk_mutex_unlock(&txn->lock);
            error = tk_error(TIKV_ERR_KEY_EXISTS,
                             "transaction %llu wrote the key before",
                             (unsigned long long)txn->start_ts);
            tk_error_set_key(error, key);
            return error;
        }
        change = TK_KEY_NO_CHANGE;
    }
    error = refuse_without_room(txn);
    return finish(txn, error != NULL ? error
                                     : tk_buffer_set(txn->buffer, key, value,
                                                     change));
}

tikv_error *
tk_txn_delete(tikv_txn *txn, tikv_slice key)
{
    tikv_error *error = tk_txn_open(txn);

    return error != NULL ? error
                         : finish(txn, tk_buffer_remove(txn->buffer, key,
                                                        TK_KEY_NO_CHANGE));
}

tikv_error *
tk_txn_lock(tikv_txn *txn, const tikv_slice *keys, size_t count)
{
    tikv_error *error = tk_txn_open(txn);
    size_t i;

    if (error != NULL) {
        return error;
    }
    for (i = 0; error == NULL && i < count; i++) {
        error = tk_buffer_mark(txn->buffer, keys[i], TK_KEY_SET(TK_KEY_LOCKED));
    }
    return finish(txn, error);
}

tikv_error *
tk_txn_assert(tikv_txn *txn, tikv_slice key, tikv_assertion assertion)
{
    static const tk_key_change changes[] = {
        [TIKV_ASSERT_NONE] = TK_KEY_ASSERT_NONE,
        [TIKV_ASSERT_EXIST] = TK_KEY_ASSERT_THAT_EXISTS,
        [TIKV_ASSERT_ABSENT] = TK_KEY_ASSERT_THAT_ABSENT,
        [TIKV_ASSERT_UNKNOWN] = TK_KEY_ASSERT_UNKNOWN,
    };
    tikv_error *error;

    if (assertion < TIKV_ASSERT_NONE || assertion > TIKV_ASSERT_UNKNOWN) {
        return tk_error(TIKV_ERR_ARGUMENT, "assertion is %d", (int)assertion);
    }
    error = tk_txn_open(txn);
    return error != NULL ? error
                         : finish(txn, tk_buffer_mark(txn->buffer, key,
                                                      changes[assertion]));
}

tikv_error *
tk_txn_savepoint(tikv_txn *txn, size_t *savepoint)
{
    tikv_error *error = tk_txn_open(txn);

    return error != NULL ? error
                         : finish(txn, tk_buffer_stage(txn->buffer, savepoint));
}

static tikv_error *
refuse_ended(const tikv_txn *txn, size_t savepoint)
{
    size_t depth = tk_buffer_depth(txn->buffer);

    return savepoint != 0 && savepoint <= depth
               ? NULL
               : tk_error(TIKV_ERR_STATE,
                          "savepoint %zu has ended, there are %zu", savepoint,
                          depth);
}

/* Stages end from the newest down to the one that is meant. */
tikv_error *
tk_txn_savepoint_end(tikv_txn *txn, size_t savepoint, bool keeps)
{
    tikv_error *error = tk_txn_open(txn);
    size_t depth;

    if (error != NULL) {
        return error;
    }
    depth = tk_buffer_depth(txn->buffer);
    error = refuse_ended(txn, savepoint);
    while (error == NULL && depth >= savepoint) {
        error = keeps ? tk_buffer_release(txn->buffer, depth)
                      : tk_buffer_cleanup(txn->buffer, depth);
        depth--;
    }
    return finish(txn, error);
}

struct writes {
    tikv_pairs *pairs;
    bool has_room;
};

static void
add_write(void *arg, const struct tk_buffer_item *item)
{
    struct writes *writes = arg;
    tikv_slice key = item->key;
    tikv_slice value = { NULL, 0 };

    writes->has_room =
        writes->has_room && tk_pairs_copy(writes->pairs, item->key, &key) &&
        (item->value.len == 0 ||
         tk_pairs_copy(writes->pairs, item->value, &value)) &&
        tk_pairs_add(writes->pairs, key, value);
}

tikv_error *
tk_txn_savepoint_writes(tikv_txn *txn, size_t savepoint, tikv_pairs **out)
{
    struct writes writes = { tk_pairs_new(0), true };
    tikv_error *error = writes.pairs == NULL
                            ? tk_error_immortal(TIKV_ERR_MEMORY)
                            : tk_txn_open(txn);

    if (error == NULL) {
        error = refuse_ended(txn, savepoint);
        if (error == NULL) {
            error = tk_buffer_inspect(txn->buffer, savepoint, add_write,
                                      &writes);
        }
        tk_mutex_unlock(&txn->lock);
    }
    if (error == NULL && !writes.has_room) {
        error = tk_error_immortal(TIKV_ERR_MEMORY);
    }
    if (error != NULL) {
        tikv_pairs_free(writes.pairs);
        return error;
    }
    *out = writes.pairs;
    return NULL;
}
