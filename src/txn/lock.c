/* SPDX-License-Identifier: Apache-2.0 */
/* Locks out of LockInfo messages: bytes are copied, so that an answer can go
 * as soon as it was read. No lock; one thread. */
#include "txn/lock.h"

#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/slice.h"

#include "upb/upb.h"

#include "kvrpcpb.upb.h"

void
tk_lock_set_init(struct tk_lock_set *set)
{
    memset(set, 0, sizeof(*set));
}

void
tk_lock_set_fini(struct tk_lock_set *set)
{
    tk_lock_set_clear(set);
    tk_free(set->data);
    set->data = NULL;
    set->cap = 0;
}

void
tk_lock_set_clear(struct tk_lock_set *set)
{
    tk_arena_unref(set->arena);
    set->arena = NULL;
    set->count = 0;
}

static tikv_slice
bytes_of(upb_StringView view)
{
    return tk_slice(view.size == 0 ? "" : view.data, view.size);
}

static tikv_error *
copy_bytes(struct tk_lock_set *set, tikv_slice from, tikv_slice *out)
{
    uint8_t *copy = upb_Arena_Malloc(set->arena->upb, from.len + 1);

    if (copy == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    if (from.len != 0) {
        memcpy(copy, from.data, from.len);
    }
    *out = tk_slice(copy, from.len);
    return NULL;
}

static tikv_error *
copy_key(struct tk_lock_set *set, const struct tk_key_codec *codec,
         upb_StringView from, tikv_slice *out)
{
    tikv_slice key;

    if (!tk_codec_response_key(codec, bytes_of(from), &key)) {
        return tk_error(TIKV_ERR_PROTOCOL,
                        "a lock with a key outside of the keyspace");
    }
    return copy_bytes(set, key, out);
}

static tikv_error *
copy_secondaries(struct tk_lock_set *set, const struct tk_key_codec *codec,
                 const kvrpcpb_LockInfo *info, struct tk_lock *lock)
{
    size_t count;
    const upb_StringView *keys = kvrpcpb_LockInfo_secondaries(info, &count);
    tikv_error *error = NULL;
    tikv_slice *copies;
    size_t i;

    if (count == 0) {
        return NULL;
    }
    copies = upb_Arena_Malloc(set->arena->upb, count * sizeof(*copies));
    if (copies == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    for (i = 0; i < count && error == NULL; i++) {
        error = copy_key(set, codec, keys[i], &copies[i]);
    }
    lock->secondaries = copies;
    lock->secondaries_count = count;
    return error;
}

static bool
grow(struct tk_lock_set *set)
{
    size_t cap = set->cap == 0 ? 4 : set->cap * 2;
    struct tk_lock *data;

    if (set->arena == NULL) {
        set->arena = tk_arena_new();
    }
    if (set->arena == NULL) {
        return false;
    }
    if (set->count < set->cap) {
        return true;
    }
    data = cap > SIZE_MAX / sizeof(*data)
               ? NULL
               : tk_realloc(set->data, cap * sizeof(*data));
    if (data == NULL) {
        return false;
    }
    set->data = data;
    set->cap = cap;
    return true;
}

/* One transaction's lock; `key` is where the message names none. */
static tikv_error *
add_one(struct tk_lock_set *set, const struct tk_key_codec *codec,
        const kvrpcpb_LockInfo *info, tikv_slice key)
{
    upb_StringView named = kvrpcpb_LockInfo_key(info);
    struct tk_lock lock = {
        .start_ts = kvrpcpb_LockInfo_lock_version(info),
        .ttl_ms = kvrpcpb_LockInfo_lock_ttl(info),
        .txn_size = kvrpcpb_LockInfo_txn_size(info),
        .for_update_ts = kvrpcpb_LockInfo_lock_for_update_ts(info),
        .min_commit_ts = kvrpcpb_LockInfo_min_commit_ts(info),
        .last_update_ms = kvrpcpb_LockInfo_duration_to_last_update_ms(info),
        .kind = (uint8_t)kvrpcpb_LockInfo_lock_type(info),
        .is_async = kvrpcpb_LockInfo_use_async_commit(info),
        .is_txn_file = kvrpcpb_LockInfo_is_txn_file(info),
    };
    tikv_error *error;

    if (lock.start_ts == 0) {
        return tk_error(TIKV_ERR_PROTOCOL, "a lock of no transaction");
    }
    if (!grow(set)) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    error = named.size == 0 && key.data != NULL
                ? copy_bytes(set, key, &lock.key)
                : copy_key(set, codec, named, &lock.key);
    if (error == NULL) {
        error = copy_key(set, codec, kvrpcpb_LockInfo_primary_lock(info),
                         &lock.primary);
    }
    if (error == NULL) {
        error = copy_secondaries(set, codec, info, &lock);
    }
    if (error == NULL) {
        set->data[set->count++] = lock;
    }
    return error;
}

tikv_error *
tk_lock_set_add(struct tk_lock_set *set, const struct tk_key_codec *codec,
                const kvrpcpb_LockInfo *info, tikv_slice key)
{
    const kvrpcpb_LockInfo *const *holders;
    tikv_error *error = NULL;
    tikv_slice wrapped;
    size_t count;
    size_t i;

    if (kvrpcpb_LockInfo_lock_type(info) != TK_LOCK_SHARED) {
        return add_one(set, codec, info, key);
    }
    /* Holders that name no key hold the wrapper's. */
    if (tk_codec_response_key(codec, bytes_of(kvrpcpb_LockInfo_key(info)),
                              &wrapped) &&
        wrapped.len != 0) {
        key = wrapped;
    }
    holders = kvrpcpb_LockInfo_shared_lock_infos(info, &count);
    for (i = 0; i < count && error == NULL; i++) {
        error = add_one(set, codec, holders[i], key);
    }
    return error;
}

bool
tk_lock_set_copy(struct tk_lock_set *set, const struct tk_lock *lock,
                 uint64_t waiter_ts)
{
    struct tk_lock copy = *lock;
    tikv_error *error = NULL;

    if (!grow(set)) {
        return false;
    }
    error = copy_bytes(set, lock->key, &copy.key);
    if (error == NULL) {
        error = copy_bytes(set, lock->primary, &copy.primary);
    }
    if (error != NULL) {
        tikv_error_free(error);
        return false;
    }
    copy.secondaries = NULL;
    copy.secondaries_count = 0;
    copy.waiter_ts = waiter_ts;
    set->data[set->count++] = copy;
    return true;
}

bool
tk_lock_is_met(const kvrpcpb_KeyError *error)
{
    return error != NULL && kvrpcpb_KeyError_has_locked(error);
}

tikv_error *
tk_lock_set_meet(struct tk_lock_set *set, const struct tk_key_codec *codec,
                 const kvrpcpb_KeyError *error, tikv_slice key)
{
    return tk_lock_set_add(set, codec, kvrpcpb_KeyError_locked(error), key);
}
