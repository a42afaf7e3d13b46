/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one copy of the data that all stores show: three column families of raw
 * values, each with the second at which it expires. Expired values stay until
 * they are written over or deleted; readers pass by them. Guarded by the
 * cluster's lock.
 */
#ifndef TK_CLUSTER_ENGINE_H
#define TK_CLUSTER_ENGINE_H

#include "base/buf.h"
#include "cluster/map.h"

enum tk_cf { TK_CF_DEFAULT, TK_CF_LOCK, TK_CF_WRITE, TK_CFS };

struct tk_raw_item {
    struct tk_cl_map_item item;
    uint64_t expires_s; /* 0: never */
    uint32_t len;
    uint32_t room; /* for a value, behind the key */
};

struct tk_engine {
    struct tk_cl_map cfs[TK_CFS];
    struct tk_buf *journal; /* where changes are told; or NULL */
};

void
tk_engine_init(struct tk_engine *engine);

void
tk_engine_fini(struct tk_engine *engine);

/* NULL when it is missing, or expired at `now_s`. */
struct tk_raw_item *
tk_engine_get(const struct tk_engine *engine, enum tk_cf cf, tikv_slice key,
              uint64_t now_s);

/* False without memory; the value is as before then. */
bool
tk_engine_put(struct tk_engine *engine, enum tk_cf cf, tikv_slice key,
              tikv_slice value, uint64_t expires_s);

void
tk_engine_delete(struct tk_engine *engine, enum tk_cf cf, tikv_slice key);

/* [start, end), without end where `end` is empty. */
void
tk_engine_delete_range(struct tk_engine *engine, enum tk_cf cf,
                       tikv_slice start, tikv_slice end);

static inline tikv_slice
tk_raw_value(const struct tk_raw_item *raw)
{
    return (tikv_slice){ raw->item.key.data + raw->item.key.len, raw->len };
}

static inline bool
tk_raw_is_live(const struct tk_raw_item *raw, uint64_t now_s)
{
    return raw->expires_s == 0 || raw->expires_s > now_s;
}

#endif
