/* SPDX-License-Identifier: Apache-2.0 */
/* The versions of a key, for tools. An mvcc has one owner, and all of it lies
 * in the answer that brought it. No lock. */
#include <tikv/mvcc.h>

#include <string.h>

#include "api/client.h"
#include "base/alloc.h"
#include "base/call.h"
#include "base/error.h"
#include "region/message.h"
#include "txn/versions.h"

#include "kvrpcpb.upb.h"

/* A later field must not be read from an older caller's padding. */
_Static_assert(sizeof(tikv_mvcc_version) ==
                   offsetof(tikv_mvcc_version, reserved) + sizeof(int32_t),
               "no padding at the end");

struct tikv_mvcc {
    struct tk_versions inner;
    const kvrpcpb_MvccWrite *const *writes;
    const kvrpcpb_MvccValue *const *values;
    size_t writes_count;
    size_t values_count;
    uint8_t key[]; /* of a question by key */
};

/* One question, on this thread. */
static tikv_error *
ask(tikv_client *client, struct tk_op *op, tikv_mvcc *mvcc, tikv_slice key,
    uint64_t start_ts, const tikv_range *range)
{
    struct tk_backoff backoff;

    tk_backoff_init(&backoff,
                    tk_config_int(&client->config.backoff_txn_read_ms) *
                        tk_config_int(&client->config.backoff_weight));
    return range == NULL
               ? tk_versions_get(client->txns, op, &backoff, key, &mvcc->inner)
               : tk_versions_find(client->txns, op, &backoff, start_ts, *range,
                                  &mvcc->inner);
}

static tikv_error *
run(tikv_client *client, const tikv_call *call, tikv_slice key,
    uint64_t start_ts, const tikv_range *range, tikv_mvcc **out)
{
    tikv_error *error = tk_door_refusal(client);
    tikv_details *details;
    tikv_mvcc *mvcc;
    struct tk_op op;
    tikv_call copy;

    if (error == NULL) {
        error = tk_call_read(call, &copy, &details);
    }
    if (error == NULL) {
        error = tk_door_enter(client, &copy, &op);
    }
    if (error != NULL) {
        return error;
    }
    op.details = details;
    mvcc = tk_calloc(sizeof(*mvcc) + key.len + 1);
    if (mvcc == NULL) {
        error = tk_error_immortal(TIKV_ERR_MEMORY);
    } else {
        if (key.len != 0) {
            memcpy(mvcc->key, key.data, key.len);
        }
        error = ask(client, &op, mvcc, tk_slice(mvcc->key, key.len), start_ts,
                    range);
    }
    error = tk_op_end(&op, error);
    tk_door_leave(client, &op);
    if (error != NULL) {
        tk_free(mvcc);
        return error;
    }
    if (mvcc->inner.info != NULL) {
        mvcc->writes =
            kvrpcpb_MvccInfo_writes(mvcc->inner.info, &mvcc->writes_count);
        mvcc->values =
            kvrpcpb_MvccInfo_values(mvcc->inner.info, &mvcc->values_count);
    }
    *out = mvcc;
    return NULL;
}

tikv_error *
tikv_mvcc_get(tikv_client *client, tikv_slice key, const tikv_call *call,
              tikv_mvcc **out)
{
    if (out == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "out is NULL");
    }
    *out = NULL;
    return key.data == NULL ? tk_error(TIKV_ERR_ARGUMENT, "key is absent")
                            : run(client, call, key, 0, NULL, out);
}

tikv_error *
tikv_mvcc_find(tikv_client *client, uint64_t start_ts, tikv_range range,
               const tikv_call *call, tikv_mvcc **out)
{
    if (out == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "out is NULL");
    }
    *out = NULL;
    return start_ts == 0 ? tk_error(TIKV_ERR_ARGUMENT, "start_ts is 0")
                         : run(client, call, (tikv_slice){ NULL, 0 }, start_ts,
                               &range, out);
}

tikv_slice
tikv_mvcc_key(const tikv_mvcc *mvcc)
{
    return mvcc == NULL ? (tikv_slice){ NULL, 0 } : mvcc->inner.key;
}

bool
tikv_mvcc_lock(const tikv_mvcc *mvcc, tikv_lock_info *out)
{
    const kvrpcpb_MvccLock *lock =
        mvcc == NULL || mvcc->inner.info == NULL
            ? NULL
            : kvrpcpb_MvccInfo_lock(mvcc->inner.info);
    tikv_lock_info info;
    size_t size;

    if (lock == NULL || out == NULL) {
        return false;
    }
    info = (tikv_lock_info){
        .struct_size = out->struct_size,
        .key = mvcc->inner.key,
        .primary = mvcc->inner.primary,
        .start_ts = kvrpcpb_MvccLock_start_ts(lock),
        .ttl_ms = kvrpcpb_MvccLock_ttl(lock),
        .txn_size = kvrpcpb_MvccLock_txn_size(lock),
        .for_update_ts = kvrpcpb_MvccLock_for_update_ts(lock),
        .kind = kvrpcpb_MvccLock_type(lock),
        .is_async = kvrpcpb_MvccLock_use_async_commit(lock),
    };
    size = out->struct_size < sizeof(info) ? out->struct_size : sizeof(info);
    memcpy(out, &info, size);
    return true;
}

size_t
tikv_mvcc_count(const tikv_mvcc *mvcc)
{
    return mvcc == NULL ? 0 : mvcc->writes_count;
}

/* Short ones stand beside the version, the others by themselves. */
static tikv_slice
value_of(const tikv_mvcc *mvcc, const kvrpcpb_MvccWrite *write)
{
    size_t i;

    for (i = 0; i < mvcc->values_count; i++) {
        if (kvrpcpb_MvccValue_start_ts(mvcc->values[i]) ==
            kvrpcpb_MvccWrite_start_ts(write)) {
            return tk_message_bytes(kvrpcpb_MvccValue_value(mvcc->values[i]));
        }
    }
    return tk_message_bytes(kvrpcpb_MvccWrite_short_value(write));
}

bool
tikv_mvcc_at(const tikv_mvcc *mvcc, size_t place, tikv_mvcc_version *out)
{
    const kvrpcpb_MvccWrite *write;
    tikv_mvcc_version version;
    size_t size;

    if (out == NULL || place >= tikv_mvcc_count(mvcc)) {
        return false;
    }
    write = mvcc->writes[place];
    version = (tikv_mvcc_version){
        .struct_size = out->struct_size,
        .start_ts = kvrpcpb_MvccWrite_start_ts(write),
        .commit_ts = kvrpcpb_MvccWrite_commit_ts(write),
        .kind = kvrpcpb_MvccWrite_type(write),
    };
    if (version.kind == TIKV_MVCC_PUT) {
        version.value = value_of(mvcc, write);
    }
    size =
        out->struct_size < sizeof(version) ? out->struct_size : sizeof(version);
    memcpy(out, &version, size);
    return true;
}

void
tikv_mvcc_free(tikv_mvcc *mvcc)
{
    if (mvcc != NULL) {
        tk_versions_fini(&mvcc->inner);
        tk_free(mvcc);
    }
}
