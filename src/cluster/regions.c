/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regions: a sorted array for lookups by key, chains by id for requests,
 * cutting and joining with TiKV's epochs. The set never has holes.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/slice.h"
#include "cluster/inner.h"
#include "cluster/journal.h"

static size_t
bucket_of(const struct tk_cl_regions *regions, uint64_t id)
{
    return (size_t)(id * UINT64_C(0x9e3779b97f4a7c15) >> 32) &
           (regions->buckets_count - 1);
}

struct tk_cl_region *
tk_cl_region_by_id(const struct tk_cl_regions *regions, uint64_t id)
{
    struct tk_cl_region *region;

    if (regions->buckets_count == 0) {
        return NULL;
    }
    region = regions->buckets[bucket_of(regions, id)];
    while (region != NULL && region->id != id) {
        region = region->next;
    }
    return region;
}

size_t
tk_cl_region_place(const struct tk_cl_regions *regions, tikv_slice key)
{
    size_t low = 0;
    size_t high = regions->count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (tk_slice_compare(tk_cl_region_start(regions->sorted[middle]),
                             key) <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? 0 : low - 1;
}

struct tk_cl_peer *
tk_cl_peer_on(const struct tk_cl_region *region, uint64_t store_id)
{
    size_t i;

    for (i = 0; i < region->peers_count; i++) {
        if (region->peers[i].store_id == store_id) {
            return &region->peers[i];
        }
    }
    return NULL;
}

struct tk_cl_peer *
tk_cl_peer_of(const struct tk_cl_region *region, uint64_t peer_id)
{
    size_t i;

    for (i = 0; peer_id != 0 && i < region->peers_count; i++) {
        if (region->peers[i].id == peer_id) {
            return &region->peers[i];
        }
    }
    return NULL;
}

/* False without memory. */
static bool
set_range(struct tk_cl_region *region, tikv_slice start, tikv_slice end)
{
    uint8_t *bytes = tk_alloc(start.len + end.len + 1);

    if (bytes == NULL) {
        return false;
    }
    if (start.len > 0) {
        memcpy(bytes, start.data, start.len);
    }
    if (end.len > 0) {
        memcpy(bytes + start.len, end.data, end.len);
    }
    tk_free(region->start);
    region->start = bytes;
    region->start_len = start.len;
    region->end_len = end.len;
    return true;
}

struct tk_cl_region *
tk_cl_region_new(uint64_t id, tikv_slice start, tikv_slice end,
                 size_t peers_count)
{
    struct tk_cl_region *region = tk_calloc(sizeof(*region));

    if (region == NULL) {
        return NULL;
    }
    region->id = id;
    region->peers_count = peers_count;
    region->peers = tk_calloc(sizeof(*region->peers) * (peers_count + 1));
    if (region->peers == NULL || !set_range(region, start, end)) {
        tk_cl_region_free(region);
        return NULL;
    }
    return region;
}

void
tk_cl_region_free(struct tk_cl_region *region)
{
    if (region != NULL) {
        tk_free(region->peers);
        tk_free(region->start);
        tk_free(region);
    }
}

struct tk_cl_region *
tk_cl_region_copy(const struct tk_cl_region *region)
{
    struct tk_cl_region *copy =
        tk_cl_region_new(region->id, tk_cl_region_start(region),
                         tk_cl_region_end(region), region->peers_count);
    struct tk_cl_region made;

    if (copy != NULL) {
        memcpy(copy->peers, region->peers,
               region->peers_count * sizeof(*region->peers));
        made = *region;
        made.start = copy->start;
        made.peers = copy->peers;
        made.next = NULL;
        *copy = made;
    }
    return copy;
}

static bool
grow_buckets(struct tk_cl_regions *regions)
{
    size_t count = regions->buckets_count == 0 ? 16
                                               : regions->buckets_count * 2;
    struct tk_cl_region **buckets = tk_calloc(count * sizeof(*buckets));
    size_t i;

    if (buckets == NULL) {
        return false;
    }
    tk_free(regions->buckets);
    regions->buckets = buckets;
    regions->buckets_count = count;
    for (i = 0; i < regions->count; i++) {
        struct tk_cl_region *region = regions->sorted[i];
        size_t bucket = bucket_of(regions, region->id);

        region->next = buckets[bucket];
        buckets[bucket] = region;
    }
    return true;
}

/* Room for `more` regions, so that adding them cannot fail. */
static bool
make_room(struct tk_cl_regions *regions, size_t more)
{
    size_t need = regions->count + more;

    if (need > regions->room) {
        size_t room = need * 2;
        struct tk_cl_region **sorted =
            tk_realloc(regions->sorted, room * sizeof(*sorted));

        if (sorted == NULL) {
            return false;
        }
        regions->sorted = sorted;
        regions->room = room;
    }
    while (regions->buckets_count < need) {
        if (!grow_buckets(regions)) {
            return false;
        }
    }
    return true;
}

bool
tk_cl_regions_add(struct tk_cl_regions *regions, struct tk_cl_region *region)
{
    tikv_slice start = tk_cl_region_start(region);
    size_t place;
    size_t bucket;

    if (!make_room(regions, 1)) {
        return false;
    }
    place = tk_cl_region_place(regions, start);
    if (place < regions->count &&
        tk_slice_compare(tk_cl_region_start(regions->sorted[place]), start) <
            0) {
        place++;
    }
    memmove(&regions->sorted[place + 1], &regions->sorted[place],
            (regions->count - place) * sizeof(region));
    regions->sorted[place] = region;
    regions->count++;
    bucket = bucket_of(regions, region->id);
    region->next = regions->buckets[bucket];
    regions->buckets[bucket] = region;
    return true;
}

void
tk_cl_regions_remove(struct tk_cl_regions *regions,
                     struct tk_cl_region *region)
{
    size_t place = tk_cl_region_place(regions, tk_cl_region_start(region));
    struct tk_cl_region **link =
        &regions->buckets[bucket_of(regions, region->id)];

    while (*link != region) {
        link = &(*link)->next;
    }
    *link = region->next;
    regions->count--;
    memmove(&regions->sorted[place], &regions->sorted[place + 1],
            (regions->count - place) * sizeof(region));
}

void
tk_cl_regions_fini(struct tk_cl_regions *regions)
{
    size_t i;

    for (i = 0; i < regions->count; i++) {
        tk_cl_region_free(regions->sorted[i]);
    }
    tk_free(regions->sorted);
    tk_free(regions->buckets);
    memset(regions, 0, sizeof(*regions));
}

/* Ids are given out only when everything has been made. */
static struct tk_cl_region *
piece_new(const struct tk_cl_region *from, tikv_slice start, tikv_slice end)
{
    struct tk_cl_region *piece =
        tk_cl_region_new(0, start, end, from->peers_count);

    if (piece != NULL) {
        memcpy(piece->peers, from->peers,
               from->peers_count * sizeof(*from->peers));
        piece->conf_ver = from->conf_ver;
        piece->term = from->term;
        piece->leader = from->leader;
        piece->in_flashback = from->in_flashback;
        piece->flashback_ts = from->flashback_ts;
    }
    return piece;
}

static void
name_piece(struct tk_cluster *cluster, struct tk_cl_region *piece)
{
    uint64_t leader = piece->leader;
    size_t i;

    piece->id = ++cluster->ids;
    piece->leader = 0;
    for (i = 0; i < piece->peers_count; i++) {
        bool leads = leader != 0 && piece->peers[i].id == leader;

        piece->peers[i].id = ++cluster->ids;
        if (leads) {
            piece->leader = piece->peers[i].id;
        }
    }
}

bool
tk_cl_region_cut(struct tk_cluster *cluster, struct tk_cl_region *region,
                 const tikv_slice *keys, size_t count)
{
    struct tk_cl_region **pieces = tk_calloc((count + 1) * sizeof(*pieces));
    tikv_slice start = tk_cl_region_start(region);
    bool done = false;
    size_t i;

    if (pieces == NULL) {
        return false;
    }
    for (i = 0; i < count; i++) {
        pieces[i] = piece_new(region, start, keys[i]);
        if (pieces[i] == NULL) {
            goto out;
        }
        start = keys[i];
    }
    if (!make_room(&cluster->regions, count)) {
        goto out;
    }
    tk_cl_pd_lags(cluster);
    tk_cl_regions_remove(&cluster->regions, region);
    done = set_range(region, start, tk_cl_region_end(region));
    if (done) {
        region->version += count;
        /* First what gives way: no two regions may begin at one key. */
        tk_journal_region(cluster->journal, region);
        for (i = 0; i < count; i++) {
            name_piece(cluster, pieces[i]);
            pieces[i]->version = region->version;
            tk_journal_region(cluster->journal, pieces[i]);
            (void)tk_cl_regions_add(&cluster->regions, pieces[i]);
            pieces[i] = NULL;
        }
    }
    (void)tk_cl_regions_add(&cluster->regions, region);
out:
    for (i = 0; i < count; i++) {
        tk_cl_region_free(pieces[i]);
    }
    tk_free(pieces);
    return done;
}

bool
tk_cl_region_join(struct tk_cluster *cluster, struct tk_cl_region *source,
                  struct tk_cl_region *target)
{
    bool done;

    tk_cl_regions_remove(&cluster->regions, target);
    done = set_range(target, tk_cl_region_start(source),
                     tk_cl_region_end(target));
    if (done) {
        tk_cl_regions_remove(&cluster->regions, source);
        if (source->version > target->version) {
            target->version = source->version;
        }
        target->version++;
        tk_journal_region_gone(cluster->journal, source->id);
        tk_journal_region(cluster->journal, target);
        tk_cl_region_free(source);
    }
    (void)tk_cl_regions_add(&cluster->regions, target);
    return done;
}
