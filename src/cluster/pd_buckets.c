/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buckets of regions, as PD serves them to who asks. They are set by the
 * test, and hold for one version of a region: splitting or merging it makes
 * them void.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "base/slice.h"
#include "cluster/pd.h"

const struct tk_cl_buckets *
tk_cl_buckets_of(struct tk_cluster *cluster, const struct tk_cl_region *region)
{
    const struct tk_cl_buckets *buckets = cluster->pd->buckets;

    while (buckets != NULL && buckets->region_id != region->id) {
        buckets = buckets->next;
    }
    return buckets != NULL && buckets->region_version == region->version
               ? buckets
               : NULL;
}

void
tk_cl_put_buckets(struct tk_buf *out, uint32_t field,
                  struct tk_cluster *cluster,
                  const struct tk_cl_region *region)
{
    const struct tk_cl_buckets *buckets = tk_cl_buckets_of(cluster, region);
    size_t mark;

    if (buckets != NULL) {
        mark = tk_put_begin(out, field);
        tk_put_u64(out, 1, region->id);
        tk_put_u64(out, 2, buckets->version);
        tk_buf_append_slice(out, tk_buf_slice(&buckets->keys));
        tk_put_end(out, mark);
    }
}

static void
drop(struct tk_cluster *cluster, uint64_t region_id)
{
    struct tk_cl_buckets **link = &cluster->pd->buckets;

    while (*link != NULL) {
        struct tk_cl_buckets *buckets = *link;

        if (buckets->region_id == region_id || region_id == 0) {
            *link = buckets->next;
            tk_buf_fini(&buckets->keys);
            tk_free(buckets);
        } else {
            link = &buckets->next;
        }
    }
}

void
tk_cl_buckets_free(struct tk_cluster *cluster)
{
    drop(cluster, 0);
}

static tikv_error *
check(const struct tk_cl_region *region, const tikv_slice *keys, size_t count)
{
    size_t i;

    if (count < 2 || !tk_slice_equal(keys[0], tk_cl_region_start(region)) ||
        !tk_slice_equal(keys[count - 1], tk_cl_region_end(region))) {
        return tk_error(TIKV_ERR_ARGUMENT,
                        "buckets begin and end where the region does");
    }
    for (i = 1; i < count; i++) {
        bool is_open_end = i + 1 == count && keys[i].len == 0;

        if (!is_open_end && tk_slice_compare(keys[i - 1], keys[i]) >= 0) {
            return tk_error(TIKV_ERR_ARGUMENT, "bucket keys are not ordered");
        }
    }
    return NULL;
}

tikv_error *
tk_cluster_set_buckets(struct tk_cluster *cluster, uint64_t region_id,
                       uint64_t version, const tikv_slice *keys,
                       size_t count)
{
    struct tk_cl_buckets *buckets = tk_calloc(sizeof(*buckets));
    const struct tk_cl_region *region;
    tikv_error *error = NULL;
    size_t i;

    if (buckets == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    tk_buf_init(&buckets->keys, SIZE_MAX / 4);
    for (i = 0; i < count; i++) {
        tk_put_bytes_always(&buckets->keys, 3, keys[i]);
    }
    tk_mutex_lock(&cluster->lock);
    region = tk_cl_region_by_id(&cluster->regions, region_id);
    if (region == NULL) {
        error = tk_error(TIKV_ERR_ARGUMENT, "no region %llu",
                         (unsigned long long)region_id);
    } else if (count > 0) {
        error = check(region, keys, count);
    }
    if (error == NULL && buckets->keys.failed) {
        error = tk_error_immortal(TIKV_ERR_MEMORY);
    }
    if (error == NULL) {
        drop(cluster, region_id);
    }
    if (error == NULL && count > 0) {
        buckets->region_id = region_id;
        buckets->region_version = region->version;
        buckets->version = version;
        buckets->next = cluster->pd->buckets;
        cluster->pd->buckets = buckets;
        buckets = NULL;
    }
    tk_mutex_unlock(&cluster->lock);
    if (buckets != NULL) {
        tk_buf_fini(&buckets->keys);
        tk_free(buckets);
    }
    return error;
}
