/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of regions: growing and reading. The idea stands in the header. */
#include "base/regions.h"

#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"

struct region {
    tikv_region_info info; /* its slices are set when it is read */
    size_t start_at;       /* in the list's keys; the end follows */
    size_t peers_at;
    size_t cuts_at;
};

struct peer {
    uint64_t id;
    uint64_t store_id;
    int32_t role;
    uint32_t flags;
};

/* Where one bucket ends and the next one begins; in the list's keys. */
struct cut {
    size_t at;
    size_t len;
};

struct tikv_regions {
    struct region *all;
    size_t count;
    size_t cap;
    struct peer *peers;
    size_t peers_count;
    size_t peers_cap;
    struct cut *cuts;
    size_t cuts_count;
    size_t cuts_cap;
    struct tk_buf keys;
};

tikv_regions *
tk_regions_new(void)
{
    tikv_regions *regions = tk_calloc(sizeof(*regions));

    if (regions != NULL) {
        tk_buf_init(&regions->keys, SIZE_MAX / 4);
    }
    return regions;
}

/* Room for one more; NULL without memory. */
static void *
grow(void *all, size_t size, size_t count, size_t *cap)
{
    size_t wanted = *cap == 0 ? 16 : *cap * 2;
    void *grown = all;

    if (count == *cap) {
        grown = tk_realloc(all, wanted * size);
        *cap = grown == NULL ? *cap : wanted;
    }
    return grown;
}

bool
tk_regions_add(tikv_regions *regions, const tikv_region_info *info)
{
    size_t before = regions->keys.len;
    struct region *all =
        grow(regions->all, sizeof(*all), regions->count, &regions->cap);
    struct region *to;

    if (all == NULL) {
        return false;
    }
    regions->all = all;
    tk_buf_append_slice(&regions->keys, info->start);
    tk_buf_append_slice(&regions->keys, info->end);
    if (regions->keys.failed) {
        return false;
    }
    to = &all[regions->count++];
    to->info = *info;
    to->info.struct_size = sizeof(to->info);
    to->info.peers_count = 0;
    to->start_at = before;
    to->info.buckets_count = 1;
    to->peers_at = regions->peers_count;
    to->cuts_at = regions->cuts_count;
    return true;
}

bool
tk_regions_add_peer(tikv_regions *regions, uint64_t id, uint64_t store_id,
                    int32_t role, uint32_t flags)
{
    struct peer *peers = grow(regions->peers, sizeof(*peers),
                              regions->peers_count, &regions->peers_cap);

    if (peers == NULL) {
        return false;
    }
    regions->peers = peers;
    peers[regions->peers_count++] = (struct peer){ id, store_id, role, flags };
    regions->all[regions->count - 1].info.peers_count++;
    return true;
}

bool
tk_regions_add_cut(tikv_regions *regions, tikv_slice key)
{
    struct cut *cuts = grow(regions->cuts, sizeof(*cuts), regions->cuts_count,
                            &regions->cuts_cap);

    if (cuts == NULL) {
        return false;
    }
    regions->cuts = cuts;
    cuts[regions->cuts_count] = (struct cut){ regions->keys.len, key.len };
    tk_buf_append_slice(&regions->keys, key);
    if (regions->keys.failed) {
        return false;
    }
    regions->cuts_count++;
    regions->all[regions->count - 1].info.buckets_count++;
    return true;
}

bool
tk_info_give(const void *from, size_t known_size, void *out)
{
    size_t size;

    memcpy(&size, out, sizeof(size));
    if (size < sizeof(size)) {
        return false;
    }
    memset(out, 0, size);
    memcpy(out, from, size < known_size ? size : known_size);
    memcpy(out, &size, sizeof(size));
    return true;
}

size_t
tikv_regions_count(const tikv_regions *regions)
{
    return regions == NULL ? 0 : regions->count;
}

bool
tikv_regions_at(const tikv_regions *regions, size_t index,
                tikv_region_info *out)
{
    const struct region *region;
    tikv_region_info info;
    const uint8_t *keys;

    if (out == NULL || index >= tikv_regions_count(regions)) {
        return false;
    }
    region = &regions->all[index];
    keys = regions->keys.data == NULL ? (const uint8_t *)""
                                      : regions->keys.data + region->start_at;
    info = region->info;
    info.start.data = keys;
    info.end.data = keys + info.start.len;
    return tk_info_give(&info, sizeof(info), out);
}

bool
tikv_regions_peer(const tikv_regions *regions, size_t index, size_t peer,
                  tikv_peer_info *out)
{
    const struct region *region;
    const struct peer *from;
    tikv_peer_info info = { .struct_size = sizeof(info) };

    if (out == NULL || index >= tikv_regions_count(regions)) {
        return false;
    }
    region = &regions->all[index];
    if (peer >= region->info.peers_count) {
        return false;
    }
    from = &regions->peers[region->peers_at + peer];
    info.id = from->id;
    info.store_id = from->store_id;
    info.role = from->role;
    info.flags = from->flags;
    return tk_info_give(&info, sizeof(info), out);
}

static tikv_slice
slice_of(const tikv_regions *regions, const struct cut *cut)
{
    return (tikv_slice){ regions->keys.data + cut->at, cut->len };
}

bool
tikv_regions_bucket(const tikv_regions *regions, size_t index, size_t bucket,
                    tikv_range *out)
{
    tikv_region_info info = { .struct_size = sizeof(info) };
    const struct cut *cuts;

    if (out == NULL || !tikv_regions_at(regions, index, &info) ||
        bucket >= info.buckets_count) {
        return false;
    }
    *out = (tikv_range){ info.start, info.end };
    if (info.buckets_count > 1) {
        cuts = regions->cuts + regions->all[index].cuts_at;
        if (bucket > 0) {
            out->start = slice_of(regions, &cuts[bucket - 1]);
        }
        if (bucket < info.buckets_count - 1) {
            out->end = slice_of(regions, &cuts[bucket]);
        }
    }
    return true;
}

void
tikv_regions_free(tikv_regions *regions)
{
    if (regions != NULL) {
        tk_free(regions->cuts);
        tk_buf_fini(&regions->keys);
        tk_free(regions->peers);
        tk_free(regions->all);
        tk_free(regions);
    }
}
