/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PD about regions: by key, by id, the one before, by range, by many ranges,
 * and the stream that mixes them. The set of regions has no holes; one region
 * can be kept from PD, as if nobody had reported it yet.
 */
#include "base/slice.h"
#include "cluster/pd.h"

enum { ERROR_UNKNOWN = 1, DOWN_MS = 600000 };

static const struct tk_cl_peer *
leader_of(const struct tk_cl_region *region)
{
    return tk_cl_peer_of(region, region->leader);
}

static bool
is_known(const struct tk_cl_request *request,
         const struct tk_cl_region *region)
{
    return region != NULL && region->id != request->cluster->pd->hidden;
}

static struct tk_cl_region *
region_at(struct tk_cl_request *request, tikv_slice key)
{
    const struct tk_cl_regions *all = tk_cl_pd_regions(request->cluster);
    struct tk_cl_region *region = all->sorted[tk_cl_region_place(all, key)];

    return is_known(request, region) ? region : NULL;
}

static struct tk_cl_region *
region_of_id(struct tk_cl_request *request, uint64_t id)
{
    struct tk_cl_region *region =
        tk_cl_region_by_id(tk_cl_pd_regions(request->cluster), id);

    return is_known(request, region) ? region : NULL;
}

/* A member that does not lead has what the leader passes on to it: nothing
 * while there is none. */
static bool
knows_nothing(const struct tk_cl_request *request)
{
    return request->cluster->leader == UINT32_MAX;
}

static bool
leads(const struct tk_cl_request *request)
{
    return request->cluster->leader == request->member;
}

static int
not_found(struct tk_cl_request *request)
{
    return tk_cl_pd_refuse(request, TK_PD_REGION_NOT_FOUND,
                           "region not found");
}

/* NULL when `key` lies in the first region, or in one that is not known. */
static struct tk_cl_region *
region_before(struct tk_cl_request *request, tikv_slice key)
{
    const struct tk_cl_regions *all = tk_cl_pd_regions(request->cluster);
    size_t place = tk_cl_region_place(all, key);

    return place == 0 || !is_known(request, all->sorted[place]) ||
                   !is_known(request, all->sorted[place - 1])
               ? NULL
               : all->sorted[place - 1];
}

/* What the region's leader would report: peers whose store has been down for
 * long, and those that lag. */
static void
put_sick_peers(struct tk_cl_request *request, uint32_t down_field,
               uint32_t pending_field, const struct tk_cl_region *region)
{
    int64_t now_ms = tk_cl_wall_ms(request->cluster);
    struct tk_buf *out = request->out;
    size_t i;

    for (i = 0; i < region->peers_count; i++) {
        const struct tk_cl_peer *peer = &region->peers[i];
        const struct tk_cl_store *store =
            tk_cl_store(request->cluster, peer->store_id);
        int64_t down_ms =
            store == NULL || store->is_up ? 0 : now_ms - store->beat_ms;

        if (down_ms >= DOWN_MS) {
            size_t mark = tk_put_begin(out, down_field);

            tk_cl_put_peer(out, 1, peer);
            tk_put_u64(out, 2, (uint64_t)(down_ms / 1000));
            tk_put_end(out, mark);
        }
        if (peer->state != TK_CL_PEER_NORMAL) {
            tk_cl_put_peer(out, pending_field, peer);
        }
    }
}

/* No region is an answer of the leader too: an OK header alone. Followers do
 * not have buckets. */
static int
answer_region(struct tk_cl_request *request, const struct tk_cl_region *region)
{
    if (!leads(request) && (region == NULL || knows_nothing(request))) {
        return not_found(request);
    }
    tk_cl_put_header(request, 0, NULL);
    if (region != NULL) {
        tk_cl_put_region(request->out, 2, region);
        if (leader_of(region) != NULL) {
            tk_cl_put_peer(request->out, 3, leader_of(region));
        }
        put_sick_peers(request, 5, 6, region);
        if (leads(request) && request->fields.numbers[3] != 0) {
            tk_cl_put_buckets(request->out, 7, request->cluster, region);
        }
    }
    return TK_GRPC_OK;
}

int
tk_cl_pd_region(struct tk_cl_request *request)
{
    return answer_region(request,
                         region_at(request, request->fields.bytes[2]));
}

int
tk_cl_pd_prev_region(struct tk_cl_request *request)
{
    return answer_region(request,
                         region_before(request, request->fields.bytes[2]));
}

int
tk_cl_pd_region_by_id(struct tk_cl_request *request)
{
    return answer_region(request,
                         region_of_id(request, request->fields.numbers[2]));
}

/* pdpb.Region and RegionResponse look alike. An absent leader is an empty
 * peer, not none. */
static void
put_pd_region(struct tk_cl_request *request, uint32_t field,
              const struct tk_cl_region *region, bool with_buckets)
{
    struct tk_buf *out = request->out;
    size_t mark = tk_put_begin(out, field);

    tk_cl_put_region(out, 1, region);
    tk_cl_put_peer(out, 2, leader_of(region));
    put_sick_peers(request, 3, 4, region);
    if (with_buckets && leads(request)) {
        tk_cl_put_buckets(out, 5, request->cluster, region);
    }
    tk_put_end(out, mark);
}

static bool
starts_before(const struct tk_cl_region *region, tikv_slice end)
{
    return end.len == 0 ||
           tk_slice_compare(tk_cl_region_start(region), end) < 0;
}

int
tk_cl_pd_scan(struct tk_cl_request *request)
{
    const struct tk_cl_regions *all = tk_cl_pd_regions(request->cluster);
    tikv_slice end = request->fields.bytes[4];
    int32_t limit = (int32_t)request->fields.numbers[3];
    size_t first = tk_cl_region_place(all, request->fields.bytes[2]);
    size_t count = 0;
    size_t i;

    if (knows_nothing(request)) {
        return not_found(request);
    }
    tk_cl_put_header(request, 0, NULL);
    for (i = first; i < all->count; i++) {
        const struct tk_cl_region *region = all->sorted[i];

        if ((i > first && !starts_before(region, end)) ||
            (limit > 0 && count >= (size_t)limit)) {
            break;
        }
        if (!is_known(request, region)) {
            continue;
        }
        count++;
        tk_cl_put_region(request->out, 2, region);
        tk_cl_put_peer(request->out, 3, leader_of(region));
        put_pd_region(request, 4, region, false);
    }
    return TK_GRPC_OK;
}

static bool
read_range(tikv_slice body, size_t *at, tikv_range *out)
{
    struct tk_cl_fields fields;
    tikv_slice bytes;

    if (!tk_cl_each(body, 3, at, &bytes) || !tk_cl_decode(bytes, &fields)) {
        return false;
    }
    *out = (tikv_range){ fields.bytes[1], fields.bytes[2] };
    return true;
}

/* NULL, or what is wrong with the ranges. */
static const char *
check_ranges(tikv_slice body)
{
    tikv_range range;
    tikv_slice last = { NULL, 0 };
    bool is_first = true;
    size_t at = 0;

    while (read_range(body, &at, &range)) {
        if (range.end.len > 0 &&
            tk_slice_compare(range.start, range.end) > 0) {
            return "invalid key range, start key > end key";
        }
        if (!is_first &&
            (last.len == 0 || tk_slice_compare(range.start, last) < 0)) {
            return "invalid key range, ranges overlapped";
        }
        last = range.end;
        is_first = false;
    }
    return NULL;
}

/* The regions of all ranges, up to the limit. False: one that is not known
 * lies in between. */
static bool
put_ranges(struct tk_cl_request *request)
{
    const struct tk_cl_regions *all = tk_cl_pd_regions(request->cluster);
    int32_t limit = (int32_t)request->fields.numbers[4];
    bool with_buckets = request->fields.numbers[2] != 0;
    bool is_whole = true;
    size_t next = 0; /* behind the last region that was looked at */
    size_t count = 0;
    size_t at = 0;
    tikv_range range;

    while (read_range(request->body, &at, &range)) {
        size_t place = tk_cl_region_place(all, range.start);

        if (place < next) {
            place = next;
        }
        while (place < all->count && (limit <= 0 || count < (size_t)limit) &&
               starts_before(all->sorted[place], range.end)) {
            if (is_known(request, all->sorted[place])) {
                put_pd_region(request, 2, all->sorted[place], with_buckets);
                count++;
            } else {
                is_whole = false;
            }
            next = ++place;
        }
    }
    return is_whole;
}

int
tk_cl_pd_batch_scan(struct tk_cl_request *request)
{
    const char *refusal = check_ranges(request->body);
    bool wants_all = request->fields.numbers[5] != 0;

    if (refusal != NULL) {
        tk_cl_put_header(request, ERROR_UNKNOWN, refusal);
        return TK_GRPC_OK;
    }
    if (knows_nothing(request)) {
        return not_found(request);
    }
    tk_cl_put_header(request, 0, NULL);
    if (!put_ranges(request) && wants_all) {
        tk_buf_clear(request->out);
        return tk_cl_pd_refuse(request, TK_PD_NOT_ALL_RANGES,
                               "found a hole between regions");
    }
    return TK_GRPC_OK;
}

static bool
is_listed(const struct tk_buf *ids, uint64_t id)
{
    const uint64_t *numbers = (const uint64_t *)(const void *)ids->data;
    size_t count = ids->len / sizeof(*numbers);
    size_t i;

    for (i = 0; i < count; i++) {
        if (numbers[i] == id) {
            return true;
        }
    }
    return false;
}

static void
list_id(struct tk_buf *ids, uint64_t id)
{
    if (id != 0 && !is_listed(ids, id)) {
        tk_buf_append(ids, &id, sizeof(id));
    }
}

static void
put_key_ids(struct tk_cl_request *request, uint32_t key_field, bool before,
            struct tk_buf *ids)
{
    size_t mark = 0;
    size_t at = 0;
    tikv_slice key;
    bool any = false;

    while (tk_cl_each(request->body, key_field, &at, &key)) {
        const struct tk_cl_region *region = before
                                                ? region_before(request, key)
                                                : region_at(request, key);

        if (!any) {
            mark = tk_put_begin(request->out, before ? 3 : 2);
            any = true;
        }
        tk_buf_varint(request->out, region == NULL ? 0 : region->id);
        list_id(ids, region == NULL ? 0 : region->id);
    }
    if (any) {
        tk_put_end(request->out, mark);
    }
}

/* One message of a QueryRegion stream. */
int
tk_cl_pd_query(struct tk_cl_request *request)
{
    struct tk_buf wanted;
    struct tk_buf ids;
    const uint64_t *numbers;
    size_t i;

    if (knows_nothing(request)) {
        return not_found(request);
    }
    tk_buf_init(&ids, SIZE_MAX / 4);
    tk_buf_init(&wanted, SIZE_MAX / 4);
    tk_cl_put_header(request, 0, NULL);
    put_key_ids(request, 4, false, &ids);
    put_key_ids(request, 5, true, &ids);
    (void)tk_cl_each_number(request->body, 3, &wanted);
    numbers = (const uint64_t *)(const void *)wanted.data;
    for (i = 0; i < wanted.len / sizeof(*numbers); i++) {
        list_id(&ids, numbers[i]);
    }
    numbers = (const uint64_t *)(const void *)ids.data;
    for (i = 0; i < ids.len / sizeof(*numbers); i++) {
        const struct tk_cl_region *region =
            region_of_id(request, numbers[i]);
        size_t entry = tk_put_begin(request->out, 4);

        tk_put_u64_always(request->out, 1, numbers[i]);
        if (region != NULL) {
            put_pd_region(request, 2, region,
                          request->fields.numbers[2] != 0);
        } else {
            tk_put_end(request->out, tk_put_begin(request->out, 2));
        }
        tk_put_end(request->out, entry);
    }
    tk_buf_fini(&wanted);
    tk_buf_fini(&ids);
    return TK_GRPC_OK;
}
