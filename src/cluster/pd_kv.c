/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ranges over the ledger. What matches is collected first: it may have to be
 * sorted, and is counted beyond the limit. Lists hold pointers to versions,
 * which live as long as nothing is compacted.
 */
#include "cluster/pd_kv.h"

#include <stdlib.h>

#include "base/slice.h"

void
tk_cl_put_kv(struct tk_buf *out, uint32_t field,
             const struct tk_ledger_version *version, bool without_value)
{
    size_t mark = tk_put_begin(out, field);

    tk_put_bytes(out, 1, version->item->map.key);
    tk_put_u64(out, 2, (uint64_t)version->create);
    tk_put_u64(out, 3, (uint64_t)version->mod);
    tk_put_u64(out, 4, (uint64_t)version->version);
    if (!without_value) {
        tk_put_bytes(out, 5, tk_ledger_value(version));
    }
    tk_put_u64(out, 6, (uint64_t)version->lease);
    tk_put_end(out, mark);
}

void
tk_cl_put_event(struct tk_buf *out, uint32_t field,
                const struct tk_cl_watch *watch,
                const struct tk_ledger_version *version)
{
    size_t mark = tk_put_begin(out, field);
    const struct tk_ledger_version *prev = tk_cl_watch_prev(version);

    tk_put_u64(out, 1, tk_ledger_is_deleted(version));
    tk_cl_put_kv(out, 2, version, false);
    if (watch->with_prev && prev != NULL) {
        tk_cl_put_kv(out, 3, prev, false);
    }
    tk_put_end(out, mark);
}

enum tk_cl_kv_state
tk_cl_kv_check(const struct tk_cluster *cluster, int64_t revision)
{
    const struct tk_ledger *ledger = &cluster->pd->ledger;

    if (revision > ledger->revision) {
        return TK_CL_KV_FUTURE;
    }
    return revision > 0 && revision < ledger->compacted ? TK_CL_KV_COMPACTED
                                                        : TK_CL_KV_OK;
}

static bool
is_between(int64_t number, int64_t least, int64_t most)
{
    return (least == 0 || number >= least) && (most == 0 || number <= most);
}

/* Pointers to versions, in the order of keys. */
static void
collect(struct tk_cluster *cluster, const struct tk_cl_query *query,
        struct tk_buf *found)
{
    const struct tk_ledger *ledger = &cluster->pd->ledger;
    int64_t revision =
        query->revision > 0 ? query->revision : ledger->revision;
    struct tk_cl_map_at at = tk_ledger_from(ledger, query->start);

    for (; at.item != NULL &&
           tk_cl_in_span(at.item->key, query->start, query->end);
         tk_cl_map_next(&at)) {
        const struct tk_ledger_version *version =
            tk_ledger_then(tk_ledger_item(&at), revision);

        if (version != NULL &&
            is_between(version->mod, query->least_mod, query->most_mod) &&
            is_between(version->create, query->least_create,
                       query->most_create)) {
            tk_buf_append(found, &version, sizeof(version));
        }
    }
}

static int
compare_numbers(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

static int
compare(const void *left, const void *right, void *arg)
{
    const struct tk_cl_query *query = arg;
    const struct tk_ledger_version *a =
        *(const struct tk_ledger_version *const *)left;
    const struct tk_ledger_version *b =
        *(const struct tk_ledger_version *const *)right;
    int order = 0;

    switch (query->target) {
    case 1:
        order = compare_numbers(a->version, b->version);
        break;
    case 2:
        order = compare_numbers(a->create, b->create);
        break;
    case 3:
        order = compare_numbers(a->mod, b->mod);
        break;
    case 4:
        order = tk_slice_compare(tk_ledger_value(a), tk_ledger_value(b));
        break;
    default:
        break;
    }
    if (order == 0) {
        order = tk_slice_compare(a->item->map.key, b->item->map.key);
    }
    return query->order == 2 ? -order : order;
}

void
tk_cl_kv_range(struct tk_cluster *cluster, const struct tk_cl_query *query,
               struct tk_buf *out)
{
    struct tk_cl_query sorting = *query;
    struct tk_buf found;
    const struct tk_ledger_version **list;
    size_t count;
    size_t i;

    tk_buf_init(&found, SIZE_MAX / 4);
    collect(cluster, query, &found);
    out->failed = out->failed || found.failed;
    list = (const struct tk_ledger_version **)(void *)found.data;
    count = found.len / sizeof(*list);
    if (count > 1 && (query->order == 2 || query->target != 0)) {
        qsort_r(list, count, sizeof(*list), compare, &sorting);
    }
    for (i = 0; !query->count_only && i < count &&
                (query->limit <= 0 || i < (size_t)query->limit);
         i++) {
        tk_cl_put_kv(out, 2, list[i], query->keys_only);
    }
    tk_put_u64(out, 3, !query->count_only && i < count);
    tk_put_u64(out, 4, count);
    tk_buf_fini(&found);
}

bool
tk_cl_kv_put(struct tk_cluster *cluster, tikv_slice key, tikv_slice value,
             int64_t lease, bool with_prev, struct tk_buf *out)
{
    struct tk_ledger *ledger = &cluster->pd->ledger;
    const struct tk_ledger_version *old = tk_ledger_get(ledger, key);

    if (with_prev && old != NULL) {
        tk_cl_put_kv(out, 2, old, false);
    }
    return tk_ledger_put(ledger, key, value, lease);
}

bool
tk_cl_kv_delete(struct tk_cluster *cluster, tikv_slice start, tikv_slice end,
                bool with_prev, struct tk_buf *out)
{
    const struct tk_cl_query query = { .start = start, .end = end };
    struct tk_ledger *ledger = &cluster->pd->ledger;
    bool is_open = ledger->open != 0;
    const struct tk_ledger_version **list;
    struct tk_buf found;
    bool ok;
    size_t count;
    size_t i;

    tk_buf_init(&found, SIZE_MAX / 4);
    collect(cluster, &query, &found);
    ok = !found.failed;
    list = (const struct tk_ledger_version **)(void *)found.data;
    count = found.len / sizeof(*list);
    tk_put_u64(out, 2, count);
    if (!is_open) {
        tk_ledger_begin(ledger);
    }
    for (i = 0; ok && i < count; i++) {
        if (with_prev) {
            tk_cl_put_kv(out, 3, list[i], false);
        }
        ok = tk_ledger_delete(ledger, list[i]->item->map.key);
    }
    if (!is_open) {
        tk_ledger_end(ledger);
    }
    tk_buf_fini(&found);
    return ok;
}
