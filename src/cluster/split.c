/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Splitting and scattering on request: SplitRegion at a store, SplitRegions,
 * ScatterRegion and GetOperator at PD. The cutting itself is regions.c.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/slice.h"
#include "cluster/pd.h"
#include "wire/key.h"

enum { OPERATOR_RUNNING = 4 }; /* 0: success */

static int
compare_keys(const void *left, const void *right)
{
    return tk_slice_compare(*(const tikv_slice *)left,
                            *(const tikv_slice *)right);
}

/* Sorts, and keeps what differs from its neighbour and from `start`. */
static size_t
sort_keys(tikv_slice *keys, size_t count, tikv_slice start)
{
    size_t kept = 0;
    size_t i;

    if (count > 0) {
        qsort(keys, count, sizeof(*keys), compare_keys);
    }
    for (i = 0; i < count; i++) {
        if (!tk_slice_equal(keys[i], start) &&
            (kept == 0 || !tk_slice_equal(keys[i], keys[kept - 1]))) {
            keys[kept++] = keys[i];
        }
    }
    return kept;
}

/* The repeated bytes of a field; NULL without memory. */
static tikv_slice *
read_keys(tikv_slice body, uint32_t field, size_t *count)
{
    size_t room = 0;
    size_t at = 0;
    tikv_slice key;
    tikv_slice *keys;

    while (tk_cl_each(body, field, &at, &key)) {
        room++;
    }
    keys = tk_alloc((room + 1) * sizeof(*keys));
    *count = 0;
    at = 0;
    while (keys != NULL && tk_cl_each(body, field, &at, &key)) {
        keys[(*count)++] = key;
    }
    return keys;
}

static int
answer_message(struct tk_cl_request *request, const char *message)
{
    const struct tk_cl_error error = { .message = message };

    tk_cl_answer_error(request, &error);
    return TK_GRPC_OK;
}

static int
cut_and_answer(struct tk_cl_request *request, const tikv_slice *keys,
               size_t count)
{
    struct tk_cl_regions *all = &request->cluster->regions;
    struct tk_cl_region *region = request->region;
    size_t place;
    size_t i;

    if (!tk_cl_region_cut(request->cluster, region, keys, count)) {
        return answer_message(request, "out of memory");
    }
    place = tk_cl_region_place(all, tk_cl_region_start(region));
    if (count == 1) {
        tk_cl_put_region(request->out, 2, all->sorted[place - 1]);
        tk_cl_put_region(request->out, 3, region);
    }
    for (i = 0; i <= count; i++) {
        tk_cl_put_region(request->out, 4, all->sorted[place - count + i]);
    }
    return TK_GRPC_OK;
}

/* Regions of transactional data are bounded by encoded keys: these become
 * slices of `out`. False without memory. */
static bool
encode_keys(tikv_slice *keys, size_t count, struct tk_buf *out)
{
    size_t at = 0;
    size_t i;

    for (i = 0; i < count; i++) {
        tk_key_encode(out, keys[i]);
        keys[i].len = tk_key_encoded_len(keys[i].len);
    }
    for (i = 0; i < count && !out->failed; i++) {
        keys[i].data = out->data + at;
        at += keys[i].len;
    }
    return !out->failed;
}

int
tk_cl_split_region(struct tk_cl_request *request)
{
    bool is_raw = request->fields.numbers[4] != 0 &&
                  request->cluster->api != TIKV_CLUSTER_API_V2;
    struct tk_buf encoded;
    tikv_slice *keys;
    size_t count;
    size_t i;
    int status = TK_GRPC_OK;

    if (!tk_cl_check_region(request)) {
        return TK_GRPC_OK;
    }
    tk_buf_init(&encoded, SIZE_MAX / 4);
    keys = read_keys(request->body, 3, &count);
    if (keys == NULL) {
        return answer_message(request, "out of memory");
    }
    if (count == 0 && request->fields.counts[2] > 0) {
        keys[count++] = request->fields.bytes[2];
    }
    if (count == 0) {
        status = answer_message(request, "missing split key");
        goto out;
    }
    if (!is_raw && !encode_keys(keys, count, &encoded)) {
        status = answer_message(request, "out of memory");
        goto out;
    }
    for (i = 0; i < count; i++) {
        if (!tk_cl_check_key(request, keys[i])) {
            goto out;
        }
    }
    count = sort_keys(keys, count, tk_cl_region_start(request->region));
    status = count == 0 ? answer_message(request,
                                         "no valid key found for split.")
                        : cut_and_answer(request, keys, count);
out:
    tk_free(keys);
    tk_buf_fini(&encoded);
    return status;
}

bool
tk_cl_split_keys(struct tk_cluster *cluster, tikv_slice *keys, size_t count,
                 struct tk_buf *ids)
{
    struct tk_cl_regions *all = &cluster->regions;
    size_t kept = sort_keys(keys, count, tk_slice(NULL, 0));
    size_t i = 0;

    while (i < kept) {
        struct tk_cl_region *region =
            all->sorted[tk_cl_region_place(all, keys[i])];
        tikv_slice end = tk_cl_region_end(region);
        size_t first;
        size_t place;

        if (tk_slice_equal(keys[i], tk_cl_region_start(region))) {
            i++;
            continue;
        }
        first = i;
        while (i < kept &&
               (end.len == 0 || tk_slice_compare(keys[i], end) < 0)) {
            i++;
        }
        if (!tk_cl_region_cut(cluster, region, &keys[first], i - first)) {
            return false;
        }
        place = tk_cl_region_place(all, tk_cl_region_start(region));
        for (first = i - first; first > 0; first--) {
            tk_buf_append(ids, &all->sorted[place - first]->id,
                          sizeof(uint64_t));
        }
    }
    return true;
}

/* Moves the leader to the next store in turn that can take it. */
static void
scatter(struct tk_cluster *cluster, struct tk_cl_region *region)
{
    size_t i;

    for (i = 0; i < region->peers_count; i++) {
        size_t turn = cluster->scattered++ % region->peers_count;
        const struct tk_cl_peer *peer = &region->peers[turn];

        if (peer->role == 0 && !peer->is_witness &&
            tk_cl_store_is_up(cluster, peer->store_id)) {
            tk_cl_lead(cluster, region, peer->id, true);
            break;
        }
    }
    region->operator_kind = "scatter-region";
    region->operator_ends =
        tk_after(tk_now(cluster->rt), cluster->pd->scatter_ms * TK_MS);
}

static size_t
scatter_ids(struct tk_cluster *cluster, const struct tk_buf *ids,
            struct tk_buf *failed)
{
    const uint64_t *numbers = (const uint64_t *)(const void *)ids->data;
    size_t count = ids->len / sizeof(*numbers);
    size_t i;

    for (i = 0; i < count; i++) {
        struct tk_cl_region *region =
            tk_cl_region_by_id(&cluster->regions, numbers[i]);

        if (region != NULL) {
            scatter(cluster, region);
        } else {
            tk_buf_append(failed, &numbers[i], sizeof(numbers[i]));
        }
    }
    return count;
}

static void
put_ids(struct tk_cl_request *request, uint32_t field,
        const struct tk_buf *ids)
{
    tk_put_packed(request->out, field,
                  (const uint64_t *)(const void *)ids->data,
                  ids->len / sizeof(uint64_t));
}

int
tk_cl_pd_scatter(struct tk_cl_request *request)
{
    struct tk_buf ids;
    struct tk_buf failed;
    size_t count;

    tk_buf_init(&ids, SIZE_MAX / 4);
    tk_buf_init(&failed, SIZE_MAX / 4);
    (void)tk_cl_each_number(request->body, 6, &ids);
    if (ids.len == 0) {
        uint64_t id = request->fields.numbers[2];

        if (tk_cl_region_by_id(&request->cluster->regions, id) == NULL) {
            /* One that PD has not heard of yet may be told with the call. */
            bool is_told = request->fields.counts[3] > 0;

            tk_cl_put_header(request, is_told ? 0 : 6, "region not found");
            goto out;
        }
        tk_buf_append(&ids, &id, sizeof(id));
    }
    count = scatter_ids(request->cluster, &ids, &failed);
    tk_cl_put_header(request, 0, NULL);
    if (count > 0) {
        tk_put_u64(request->out, 2,
                   100 - 100 * (failed.len / sizeof(uint64_t)) / count);
    }
    put_ids(request, 3, &failed);
out:
    tk_buf_fini(&failed);
    tk_buf_fini(&ids);
    return TK_GRPC_OK;
}

static int
split_at_pd(struct tk_cl_request *request, bool scattering)
{
    struct tk_buf ids;
    struct tk_buf failed;
    size_t count;
    tikv_slice *keys = read_keys(request->body, 2, &count);

    tk_buf_init(&ids, SIZE_MAX / 4);
    tk_buf_init(&failed, SIZE_MAX / 4);
    if (keys == NULL ||
        !tk_cl_split_keys(request->cluster, keys, count, &ids)) {
        tk_cl_put_header(request, 1, "out of memory");
    } else {
        tk_cl_put_header(request, 0, NULL);
        tk_put_u64(request->out, 2, 100);
        if (scattering) {
            (void)scatter_ids(request->cluster, &ids, &failed);
            tk_put_u64(request->out, 3, 100);
        }
        put_ids(request, scattering ? 4 : 3, &ids);
    }
    tk_buf_fini(&failed);
    tk_buf_fini(&ids);
    tk_free(keys);
    return TK_GRPC_OK;
}

int
tk_cl_pd_split(struct tk_cl_request *request)
{
    return split_at_pd(request, false);
}

int
tk_cl_pd_split_scatter(struct tk_cl_request *request)
{
    return split_at_pd(request, true);
}

int
tk_cl_pd_operator(struct tk_cl_request *request)
{
    const struct tk_cl_region *region = tk_cl_region_by_id(
        &request->cluster->regions, request->fields.numbers[2]);

    if (region == NULL || region->operator_kind == NULL) {
        tk_cl_put_header(request, 6, "Not Found");
        return TK_GRPC_OK;
    }
    tk_cl_put_header(request, 0, NULL);
    tk_put_u64(request->out, 2, region->id);
    tk_put_text(request->out, 3, region->operator_kind);
    if (tk_now(request->cluster->rt) < region->operator_ends) {
        tk_put_u64(request->out, 4, OPERATOR_RUNNING);
    }
    tk_put_text(request->out, 5, "leader,region");
    return TK_GRPC_OK;
}
