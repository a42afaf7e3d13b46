/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Safe points and what holds them back. A keyspace that manages its GC itself
 * has a state of its own, all others share that of the null keyspace. The
 * transaction safe point is where a real PD has it, so that etcd's clients
 * see it too:
 *
 *     gc_safe_point <= txn_safe_point <= every barrier that has not expired
 */
#include "cluster/pd_gc.h"

#include <stdio.h>

#include "base/slice.h"

static tikv_slice
txn_key(char buffer[TK_PD_KEY_MAX], uint32_t keyspace)
{
    static const char path[] = "/tidb/store/gcworker/saved_safe_point";

    if (keyspace == TK_CL_NULL_KEYSPACE) {
        return tk_slice_text(path);
    }
    (void)snprintf(buffer, TK_PD_KEY_MAX, "/keyspaces/tidb/%u%s", keyspace,
                   path);
    return tk_slice_text(buffer);
}

static tikv_slice
gc_key(struct tk_cluster *cluster, char buffer[TK_PD_KEY_MAX],
       uint32_t keyspace)
{
    return keyspace == TK_CL_NULL_KEYSPACE
               ? tk_cl_pd_key(cluster, buffer, "gc/safe_point")
               : tk_cl_pd_key(cluster, buffer, "keyspaces/gc_safe_point/%08u",
                              keyspace);
}

uint64_t
tk_cl_gc_txn_point(struct tk_cluster *cluster, uint32_t keyspace)
{
    char buffer[TK_PD_KEY_MAX];

    return tk_cl_pd_read(cluster, txn_key(buffer, keyspace));
}

uint64_t
tk_cl_gc_point(struct tk_cluster *cluster, uint32_t keyspace)
{
    char buffer[TK_PD_KEY_MAX];

    return tk_cl_pd_read(cluster, gc_key(cluster, buffer, keyspace));
}

bool
tk_cl_gc_set_point(struct tk_cluster *cluster, uint32_t keyspace,
                   uint64_t point)
{
    char buffer[TK_PD_KEY_MAX];

    return tk_cl_pd_write(cluster, gc_key(cluster, buffer, keyspace), point);
}

/* ---- barriers ---- */

/* Where they lie; `global` ones belong to no keyspace. */
tikv_slice
tk_cl_gc_barriers(struct tk_cluster *cluster, char buffer[TK_PD_KEY_MAX],
                  bool global, uint32_t keyspace)
{
    return global ? tk_cl_pd_key(cluster, buffer, "gc/global_barriers/")
                  : tk_cl_pd_key(cluster, buffer, "gc/barriers/%u/", keyspace);
}

static bool
is_expired(const struct tk_cl_barrier *barrier, int64_t now_ms)
{
    return barrier->ends_ms != INT64_MAX && now_ms > barrier->ends_ms;
}

bool
tk_cl_gc_next_barrier(struct tk_cluster *cluster, tikv_slice prefix,
                      struct tk_cl_map_at *at, struct tk_cl_barrier *out)
{
    int64_t now_ms = tk_cl_wall_ms(cluster);

    for (; at->item != NULL; tk_cl_map_next(at)) {
        const struct tk_ledger_item *item = tk_ledger_item(at);
        struct tk_cl_fields fields;

        if (item->map.key.len < prefix.len ||
            memcmp(item->map.key.data, prefix.data, prefix.len) != 0) {
            return false;
        }
        if (tk_ledger_is_deleted(item->newest) ||
            !tk_cl_decode(tk_ledger_value(item->newest), &fields)) {
            continue;
        }
        out->id = tk_slice(item->map.key.data + prefix.len,
                           item->map.key.len - prefix.len);
        out->ts = fields.numbers[1];
        out->ends_ms = (int64_t)fields.numbers[2];
        if (!is_expired(out, now_ms)) {
            tk_cl_map_next(at);
            return true;
        }
    }
    return false;
}

static bool
barrier_key(struct tk_cluster *cluster, struct tk_buf *key, bool global,
            uint32_t keyspace, tikv_slice id)
{
    char buffer[TK_PD_KEY_MAX];

    tk_buf_init(key, SIZE_MAX / 4);
    tk_buf_append_slice(
        key, tk_cl_gc_barriers(cluster, buffer, global, keyspace));
    tk_buf_append_slice(key, id);
    return !key->failed;
}

bool
tk_cl_gc_put_barrier(struct tk_cluster *cluster, bool global,
                     uint32_t keyspace, const struct tk_cl_barrier *barrier)
{
    struct tk_buf value;
    struct tk_buf key;
    bool ok = barrier_key(cluster, &key, global, keyspace, barrier->id);

    tk_buf_init(&value, SIZE_MAX / 4);
    tk_put_u64(&value, 1, barrier->ts);
    tk_put_u64(&value, 2, (uint64_t)barrier->ends_ms);
    ok = ok && !value.failed &&
         tk_ledger_put(&cluster->pd->ledger, tk_buf_slice(&key),
                       tk_buf_slice(&value), 0);
    tk_buf_fini(&value);
    tk_buf_fini(&key);
    return ok;
}

bool
tk_cl_gc_drop_barrier(struct tk_cluster *cluster, bool global,
                      uint32_t keyspace, tikv_slice id,
                      struct tk_cl_barrier *out)
{
    const struct tk_ledger_version *version = NULL;
    struct tk_cl_fields fields;
    struct tk_buf key;
    bool found = false;

    if (barrier_key(cluster, &key, global, keyspace, id)) {
        version = tk_ledger_get(&cluster->pd->ledger, tk_buf_slice(&key));
    }
    if (version != NULL && tk_cl_decode(tk_ledger_value(version), &fields)) {
        *out = (struct tk_cl_barrier){ id, fields.numbers[1],
                                       (int64_t)fields.numbers[2] };
        found = !is_expired(out, tk_cl_wall_ms(cluster));
        (void)tk_ledger_delete(&cluster->pd->ledger, tk_buf_slice(&key));
    }
    tk_buf_fini(&key);
    return found;
}

/* Deletes what has expired under a prefix. */
static bool
sweep(struct tk_cluster *cluster, tikv_slice prefix)
{
    struct tk_ledger *ledger = &cluster->pd->ledger;
    int64_t now_ms = tk_cl_wall_ms(cluster);
    struct tk_cl_map_at at = tk_ledger_from(ledger, prefix);

    while (at.item != NULL && at.item->key.len >= prefix.len &&
           memcmp(at.item->key.data, prefix.data, prefix.len) == 0) {
        const struct tk_ledger_version *newest = tk_ledger_item(&at)->newest;
        struct tk_cl_fields fields;
        struct tk_cl_barrier barrier = { { NULL, 0 }, 0, INT64_MAX };

        if (!tk_ledger_is_deleted(newest) &&
            tk_cl_decode(tk_ledger_value(newest), &fields)) {
            barrier.ends_ms = (int64_t)fields.numbers[2];
        }
        if (is_expired(&barrier, now_ms)) {
            /* The map may change: begin again. */
            if (!tk_ledger_delete(ledger, at.item->key)) {
                return false;
            }
            at = tk_ledger_from(ledger, prefix);
        } else {
            tk_cl_map_next(&at);
        }
    }
    return true;
}

/* ---- advancing ---- */

static void
hold_back(struct tk_cl_advance *advance, uint64_t ts, const char *what,
          tikv_slice id)
{
    int shown = id.len > 80 ? 80 : (int)id.len;
    const char *text =
        shown > 0 ? (const char *)(const void *)id.data : "";

    if (ts >= advance->now) {
        return;
    }
    advance->now = ts;
    (void)snprintf(advance->name, sizeof(advance->name), "%.*s", shown, text);
    (void)snprintf(advance->blocker, sizeof(advance->blocker),
                   "%s \"%.*s\" at %llu", what, shown, text,
                   (unsigned long long)ts);
}

static bool
hold_by_barriers(struct tk_cluster *cluster, bool global, uint32_t keyspace,
                 struct tk_cl_advance *advance)
{
    char buffer[TK_PD_KEY_MAX];
    tikv_slice prefix = tk_cl_gc_barriers(cluster, buffer, global, keyspace);
    struct tk_cl_barrier barrier;
    struct tk_cl_map_at at;

    if (!sweep(cluster, prefix)) {
        return false;
    }
    at = tk_ledger_from(&cluster->pd->ledger, prefix);
    while (tk_cl_gc_next_barrier(cluster, prefix, &at, &barrier)) {
        hold_back(advance, barrier.ts,
                  global ? "global GC barrier" : "GC barrier", barrier.id);
    }
    return true;
}

/* Servers of old announce their oldest transaction as text under etcd. */
static void
hold_by_servers(struct tk_cluster *cluster, uint32_t keyspace,
                struct tk_cl_advance *advance)
{
    static const char path[] = "/tidb/server/minstartts/";
    char prefix[TK_PD_KEY_MAX];
    struct tk_cl_map_at at;

    if (keyspace == TK_CL_NULL_KEYSPACE) {
        (void)snprintf(prefix, sizeof(prefix), "%s", path);
    } else {
        (void)snprintf(prefix, sizeof(prefix), "/keyspaces/tidb/%u%s",
                       keyspace, path);
    }
    at = tk_ledger_from(&cluster->pd->ledger, tk_slice_text(prefix));
    while (at.item != NULL && tk_cl_has_prefix(at.item->key, prefix)) {
        const struct tk_ledger_version *newest = tk_ledger_item(&at)->newest;
        uint64_t ts = tk_ledger_is_deleted(newest)
                          ? 0
                          : tk_cl_pd_number(tk_ledger_value(newest));

        if (ts != 0) {
            hold_back(advance, ts, "TiDB min start ts", at.item->key);
        }
        tk_cl_map_next(&at);
    }
}

bool
tk_cl_gc_advance_point(struct tk_cluster *cluster, uint32_t keyspace,
                       uint64_t target, struct tk_cl_advance *out)
{
    char buffer[TK_PD_KEY_MAX];

    memset(out, 0, sizeof(*out));
    out->before = tk_cl_gc_txn_point(cluster, keyspace);
    out->now = target;
    if (!hold_by_barriers(cluster, false, keyspace, out) ||
        !hold_by_barriers(cluster, true, 0, out)) {
        return false;
    }
    hold_by_servers(cluster, keyspace, out);
    if (out->now < out->before) {
        out->now = out->before;
    }
    return out->now == out->before ||
           tk_cl_pd_write(cluster, txn_key(buffer, keyspace), out->now);
}
