/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at locks and ending their transactions. A list has one owner; no
 * lock of its own. */
#include <tikv/locks.h>

#include <string.h>

#include "api/client.h"
#include "base/alloc.h"
#include "base/call.h"
#include "base/error.h"
#include "base/slice.h"
#include "pd/oracle.h"
#include "txn/locks.h"
#include "txn/resolver.h"

#define KEY_MAX (1 << 20)
#define PAGE_COUNT 1024

struct tikv_locks {
    struct tk_lock_set set;
    struct tk_buf next; /* start of the rest; its end follows */
    size_t start_len;
    bool ended;
};

/* A range, an upper version and an op: what both calls begin with. */
static tikv_error *
enter(tikv_client *client, const tikv_call *call, tikv_call *copy,
      struct tk_op *op, struct tk_backoff *backoff, uint64_t *max_version)
{
    tikv_error *error = tk_door_refusal(client);
    tikv_details *details;

    if (error == NULL) {
        error = tk_call_read(call, copy, &details);
    }
    if (error == NULL) {
        error = tk_door_enter(client, copy, op);
    }
    if (error != NULL) {
        return error;
    }
    op->details = details;
    tk_backoff_init(backoff,
                    tk_config_int(&client->config.backoff_txn_read_ms) *
                        tk_config_int(&client->config.backoff_weight));
    /* TiKV takes a version from the future for corruption. */
    error =
        *max_version == 0
            ? tk_pd_timestamp(client->router.pd, op, max_version)
            : tk_pd_check_read_ts(client->router.pd, op, *max_version, false);
    if (error != NULL) {
        error = tk_op_end(op, error);
        tk_door_leave(client, op);
    }
    return error;
}

static tikv_error *
scan(tikv_client *client, struct tk_op *op, struct tk_backoff *backoff,
     tikv_range range, uint64_t max_version, uint32_t limit, tikv_locks *locks)
{
    tikv_error *error =
        tk_locks_scan(client->txns, op, backoff, range, max_version,
                      limit == 0 ? PAGE_COUNT : limit, &locks->set,
                      &locks->next, &locks->ended);

    locks->start_len = locks->next.len;
    tk_buf_append_slice(&locks->next, range.end);
    return error == NULL && locks->next.failed
               ? tk_error_immortal(TIKV_ERR_MEMORY)
               : error;
}

tikv_error *
tikv_locks_scan(tikv_client *client, tikv_range range, uint64_t max_version,
                uint32_t limit, const tikv_call *call, tikv_locks **out)
{
    struct tk_backoff backoff;
    tikv_locks *locks;
    tikv_error *error;
    struct tk_op op;
    tikv_call copy;

    if (out == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "out is NULL");
    }
    *out = NULL;
    error = enter(client, call, &copy, &op, &backoff, &max_version);
    if (error != NULL) {
        return error;
    }
    locks = tk_calloc(sizeof(*locks));
    if (locks == NULL) {
        error = tk_error_immortal(TIKV_ERR_MEMORY);
    } else {
        tk_lock_set_init(&locks->set);
        tk_buf_init(&locks->next, KEY_MAX);
        error = scan(client, &op, &backoff, range, max_version, limit, locks);
    }
    error = tk_op_end(&op, error);
    tk_door_leave(client, &op);
    if (error != NULL) {
        tikv_locks_free(locks);
        return error;
    }
    *out = locks;
    return NULL;
}

size_t
tikv_locks_count(const tikv_locks *locks)
{
    return locks == NULL ? 0 : locks->set.count;
}

bool
tikv_locks_at(const tikv_locks *locks, size_t place, tikv_lock_info *out)
{
    const struct tk_lock *lock;
    tikv_lock_info info;
    size_t size;

    if (out == NULL || place >= tikv_locks_count(locks)) {
        return false;
    }
    lock = &locks->set.data[place];
    size = out->struct_size < sizeof(info) ? out->struct_size : sizeof(info);
    info = (tikv_lock_info){ .struct_size = out->struct_size,
                             .key = lock->key,
                             .primary = lock->primary,
                             .start_ts = lock->start_ts,
                             .ttl_ms = lock->ttl_ms,
                             .txn_size = lock->txn_size,
                             .for_update_ts = lock->for_update_ts,
                             .min_commit_ts = lock->min_commit_ts,
                             .kind = lock->kind,
                             .is_async = lock->is_async,
                             .waiter_ts = lock->waiter_ts };
    memcpy(out, &info, size);
    return true;
}

bool
tikv_locks_next(const tikv_locks *locks, tikv_range *rest)
{
    if (locks == NULL || locks->ended || rest == NULL) {
        return false;
    }
    rest->start = tk_slice(locks->next.data, locks->start_len);
    rest->end = tk_slice(locks->next.data + locks->start_len,
                         locks->next.len - locks->start_len);
    return true;
}

void
tikv_locks_free(tikv_locks *locks)
{
    if (locks != NULL) {
        tk_lock_set_fini(&locks->set);
        tk_buf_fini(&locks->next);
        tk_free(locks);
    }
}

tikv_error *
tikv_locks_resolve(tikv_client *client, tikv_range range, uint64_t max_version,
                   const tikv_call *call, uint64_t *count)
{
    struct tk_backoff backoff;
    uint64_t met = 0;
    tikv_error *error;
    struct tk_op op;
    tikv_call copy;

    error = enter(client, call, &copy, &op, &backoff, &max_version);
    if (error != NULL) {
        return error;
    }
    error = tk_op_end(&op, tk_locks_resolve(client->txns, &op, &backoff, range,
                                            max_version, &met));
    tk_door_leave(client, &op);
    if (error == NULL && count != NULL) {
        *count = met;
    }
    return error;
}

tikv_error *
tikv_locks_held_up(tikv_client *client, tikv_locks **out)
{
    tikv_error *error = tk_door_refusal(client);
    tikv_locks *locks;

    if (out == NULL) {
        tikv_error_free(error);
        return tk_error(TIKV_ERR_ARGUMENT, "out is NULL");
    }
    *out = NULL;
    if (error != NULL) {
        return error;
    }
    locks = tk_calloc(sizeof(*locks));
    if (locks == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    tk_lock_set_init(&locks->set);
    tk_buf_init(&locks->next, KEY_MAX);
    locks->ended = true;
    error =
        tk_resolver_held_up(client->txns->resolver, PAGE_COUNT, &locks->set);
    if (error != NULL) {
        tikv_locks_free(locks);
        return error;
    }
    *out = locks;
    return NULL;
}

uint64_t
tikv_locks_u64(const tikv_client *client, tikv_locks_field field)
{
    /* In the order of the numbers. */
    _Static_assert((int)TIKV_LOCKS_QUEUED == (int)TK_RESOLVER_STATS,
                   "fields and statistics are the same");

    return client == NULL || field < 1 || field > (int32_t)TK_RESOLVER_STATS
               ? 0
               : tk_resolver_stat(client->txns->resolver,
                                  (enum tk_resolver_stat)(field - 1));
}
