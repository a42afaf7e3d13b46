/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UnsafeDestroyRange. Real stores each forget their own copy of a range; here
 * there is one copy. A store that is told forgets the part that it leads, and
 * once every store that is up has been told, all of the range is forgotten.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/slice.h"
#include "cluster/inner.h"
#include "wire/key.h"

enum { RANGES_MAX = 64 };

/* A range that some stores have not heard of. */
struct tk_cl_destroyed {
    struct tk_cl_destroyed *next; /* the newest first */
    tikv_range range;             /* behind `told` */
    uint8_t told[];               /* by store */
};

void
tk_cl_destroyed_fini(struct tk_cluster *cluster)
{
    while (cluster->destroyed != NULL) {
        struct tk_cl_destroyed *destroyed = cluster->destroyed;

        cluster->destroyed = destroyed->next;
        tk_free(destroyed);
    }
}

static struct tk_cl_destroyed *
find(struct tk_cluster *cluster, tikv_range range)
{
    struct tk_cl_destroyed *destroyed = cluster->destroyed;
    uint8_t *bytes;

    while (destroyed != NULL &&
           (!tk_slice_equal(destroyed->range.start, range.start) ||
            !tk_slice_equal(destroyed->range.end, range.end))) {
        destroyed = destroyed->next;
    }
    if (destroyed != NULL) {
        return destroyed;
    }
    destroyed = tk_calloc(sizeof(*destroyed) + cluster->stores_count +
                          range.start.len + range.end.len);
    if (destroyed != NULL) {
        bytes = &destroyed->told[cluster->stores_count];
        memcpy(bytes, range.start.data, range.start.len);
        memcpy(bytes + range.start.len, range.end.data, range.end.len);
        destroyed->range.start = tk_slice(bytes, range.start.len);
        destroyed->range.end =
            tk_slice(bytes + range.start.len, range.end.len);
        destroyed->next = cluster->destroyed;
        cluster->destroyed = destroyed;
    }
    return destroyed;
}

/* Takes it out, and what is too old to be completed. */
static void
prune(struct tk_cluster *cluster, const struct tk_cl_destroyed *done)
{
    struct tk_cl_destroyed **link = &cluster->destroyed;
    size_t count = 0;

    while (*link != NULL) {
        struct tk_cl_destroyed *destroyed = *link;

        if (destroyed == done || ++count > RANGES_MAX) {
            *link = destroyed->next;
            tk_free(destroyed);
        } else {
            link = &destroyed->next;
        }
    }
}

/* A range of encoded keys; raw values of V1 lie among them as they are. */
static void
forget_encoded(struct tk_cluster *cluster, tikv_range range)
{
    enum tk_cf cf;

    if (range.end.len > 0 && tk_slice_compare(range.start, range.end) >= 0) {
        return;
    }
    tk_mvcc_delete_range(&cluster->mvcc, range.start, range.end);
    for (cf = TK_CF_DEFAULT;
         cluster->api != TIKV_CLUSTER_API_V2 && cf < TK_CFS; cf++) {
        tk_engine_delete_range(&cluster->engine, cf, range.start, range.end);
    }
}

/* Raw values of V2 are kept by their keys as requests have them. */
static void
forget_raw(struct tk_cluster *cluster, tikv_range range)
{
    if (cluster->api == TIKV_CLUSTER_API_V2 &&
        tk_slice_compare(range.start, range.end) < 0) {
        tk_engine_delete_range(&cluster->engine, TK_CF_DEFAULT, range.start,
                               range.end);
    }
}

/* False without memory. */
static bool
forget_part(struct tk_cluster *cluster, const struct tk_cl_region *region,
            tikv_range encoded, tikv_range raw)
{
    struct tk_cl_bounds bounds;
    bool ok = tk_cl_bounds_open(&bounds, cluster, region);

    if (ok) {
        forget_encoded(cluster,
                       tk_cl_clip(encoded, tk_cl_region_start(region),
                                  tk_cl_region_end(region)));
        forget_raw(cluster, tk_cl_clip(raw, bounds.start, bounds.end));
    }
    tk_cl_bounds_close(&bounds);
    return ok;
}

static bool
forget_led(struct tk_cl_request *request, tikv_range encoded, tikv_range raw)
{
    struct tk_cluster *cluster = request->cluster;
    bool ok = true;
    size_t i;

    for (i = 0; ok && i < cluster->regions.count; i++) {
        const struct tk_cl_region *region = cluster->regions.sorted[i];
        const struct tk_cl_peer *leader =
            tk_cl_peer_of(region, region->leader);

        if (leader != NULL && leader->store_id == request->store->id) {
            ok = forget_part(cluster, region, encoded, raw);
        }
    }
    return ok;
}

static bool
all_told(const struct tk_cluster *cluster,
         const struct tk_cl_destroyed *destroyed)
{
    uint32_t i;

    for (i = 0; i < cluster->stores_count; i++) {
        if (cluster->stores[i].is_up && destroyed->told[i] == 0) {
            return false;
        }
    }
    return true;
}

static bool
destroy(struct tk_cl_request *request, tikv_range encoded, tikv_range raw)
{
    struct tk_cluster *cluster = request->cluster;
    struct tk_cl_destroyed *destroyed = find(cluster, raw);
    bool is_done;

    if (destroyed == NULL || !forget_led(request, encoded, raw)) {
        return false;
    }
    destroyed->told[request->store->id - 1] = 1;
    is_done = all_told(cluster, destroyed);
    if (is_done) {
        forget_encoded(cluster, encoded);
        forget_raw(cluster, raw);
    }
    prune(cluster, is_done ? destroyed : NULL);
    return true;
}

int
tk_cl_destroy_range(struct tk_cl_request *request)
{
    tikv_range raw = { request->fields.bytes[2], request->fields.bytes[3] };
    tikv_range encoded;
    struct tk_buf start;
    struct tk_buf end;

    /* A real store does not survive an open end. */
    if (raw.start.len == 0 || raw.end.len == 0) {
        return tk_cl_status(request, TK_GRPC_INVALID_ARGUMENT,
                            "the range has an open end");
    }
    if (tk_slice_compare(raw.start, raw.end) >= 0) {
        return TK_GRPC_OK;
    }
    tk_buf_init(&start, SIZE_MAX / 4);
    tk_buf_init(&end, SIZE_MAX / 4);
    tk_key_encode(&start, raw.start);
    tk_key_encode(&end, raw.end);
    encoded = (tikv_range){ tk_buf_slice(&start), tk_buf_slice(&end) };
    if (start.failed || end.failed || !destroy(request, encoded, raw)) {
        tk_put_text(request->out, 2, "out of memory");
    }
    tk_buf_fini(&start);
    tk_buf_fini(&end);
    return TK_GRPC_OK;
}
