/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regions and stores as PD tells them, for tools and embedders. A list keeps
 * the decoded messages in one arena; keys are turned into the client's. No
 * lock: a list has one owner.
 */
#include <tikv/topology.h>

#include <string.h>

#include "api/client.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/call.h"
#include "base/error.h"
#include "base/regions.h"
#include "base/slice.h"
#include "region/buckets.h"

#include "metapb.upb.h"

/* Regions asked for at a time. */
#define REGIONS_PAGE 1024

struct store {
    tikv_store_info info;
    const char **labels; /* key, value, key, value, ... */
};

struct tikv_stores {
    struct tk_arena *arena; /* of everything below */
    struct store *all;
    size_t count;
};

/* ---- regions ---- */

static tikv_error *
no_memory(void)
{
    return tk_error_immortal(TIKV_ERR_MEMORY);
}

static tikv_slice
bytes_of(upb_StringView view)
{
    return tk_slice(view.size == 0 ? "" : view.data, view.size);
}

static bool
has_peer(const metapb_Peer *const *peers, size_t count, uint64_t id)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (peers[i] != NULL && metapb_Peer_id(peers[i]) == id) {
            return true;
        }
    }
    return false;
}

static bool
add_peers(tikv_regions *regions, const struct tk_pd_region *from)
{
    uint64_t leader = from->leader == NULL ? 0 : metapb_Peer_id(from->leader);
    bool is_good = true;
    size_t count;
    size_t i;
    const metapb_Peer *const *peers = metapb_Region_peers(from->region, &count);

    for (i = 0; i < count && is_good; i++) {
        uint64_t id = metapb_Peer_id(peers[i]);
        uint32_t flags =
            (id == leader && leader != 0 ? TIKV_PEER_IS_LEADER : 0) |
            (has_peer(from->down, from->down_count, id) ? TIKV_PEER_IS_DOWN
                                                        : 0) |
            (has_peer(from->pending, from->pending_count, id)
                 ? TIKV_PEER_IS_PENDING
                 : 0);

        is_good =
            tk_regions_add_peer(regions, id, metapb_Peer_store_id(peers[i]),
                                metapb_Peer_role(peers[i]), flags);
    }
    return is_good;
}

/* False without memory. */
static bool
read_buckets(tikv_client *client, const metapb_Buckets *from,
             struct tk_buckets **out)
{
    const upb_StringView *keys;
    size_t count;

    *out = NULL;
    if (from == NULL) {
        return true;
    }
    keys = metapb_Buckets_keys(from, &count);
    return tk_buckets_new(&client->router.codec, metapb_Buckets_version(from),
                          keys, count, out);
}

/* Appends one region; `next` becomes its end, as the client knows it. */
static tikv_error *
add_region(tikv_client *client, tikv_regions *regions,
           const struct tk_pd_region *from, struct tk_buf *next)
{
    const metapb_Region *message = from->region;
    const metapb_RegionEpoch *epoch = metapb_Region_region_epoch(message);
    tikv_region_info info = { .id = metapb_Region_id(message) };
    tikv_error *error = NULL;
    struct tk_buckets *buckets;
    struct tk_buf start;

    tk_buf_init(&start, SIZE_MAX / 4);
    tk_buf_clear(next);
    if (!tk_codec_region_range(
            &client->router.codec, bytes_of(metapb_Region_start_key(message)),
            bytes_of(metapb_Region_end_key(message)), &start, next)) {
        error = tk_error(TIKV_ERR_PROTOCOL,
                         "PD: region %llu has bounds that are no keys",
                         (unsigned long long)info.id);
    } else if (start.failed || next->failed) {
        error = no_memory();
    }
    if (!read_buckets(client, from->buckets, &buckets) && error == NULL) {
        error = no_memory();
    }
    info.conf_ver = epoch == NULL ? 0 : metapb_RegionEpoch_conf_ver(epoch);
    info.version = epoch == NULL ? 0 : metapb_RegionEpoch_version(epoch);
    info.leader_store_id =
        from->leader == NULL ? 0 : metapb_Peer_store_id(from->leader);
    info.start = tk_buf_slice(&start);
    info.end = tk_buf_slice(next);
    info.buckets_version = buckets == NULL ? 0 : buckets->version;
    if (error == NULL &&
        (!tk_regions_add(regions, &info) || !add_peers(regions, from) ||
         !tk_buckets_tell(buckets, (tikv_range){ info.start, info.end },
                          regions))) {
        error = no_memory();
    }
    tk_buckets_free(buckets);
    tk_buf_fini(&start);
    return error;
}

/* One page, from `from` on, in keys of the client's; *more is false when the
 * range has ended. */
static tikv_error *
list_page(tikv_client *client, struct tk_op *op, tikv_range range, size_t limit,
          tikv_regions *regions, struct tk_buf *next, bool *more)
{
    struct tk_arena *arena = tk_arena_new();
    struct tk_pd_region *page = NULL;
    struct tk_buf keys[2];
    uint32_t wanted =
        limit != 0 && limit - tikv_regions_count(regions) < REGIONS_PAGE
            ? (uint32_t)(limit - tikv_regions_count(regions))
            : REGIONS_PAGE;
    tikv_error *error = NULL;
    size_t count = 0;
    size_t i;

    tk_buf_init(&keys[0], SIZE_MAX / 4);
    tk_buf_init(&keys[1], SIZE_MAX / 4);
    tk_codec_region_key(&client->router.codec, &keys[0], range.start);
    if (range.end.len != 0) {
        tk_codec_region_key(&client->router.codec, &keys[1], range.end);
    }
    if (arena == NULL || keys[0].failed || keys[1].failed) {
        error = no_memory();
    } else {
        tikv_range encoded = { tk_buf_slice(&keys[0]), tk_buf_slice(&keys[1]) };

        error = tk_pd_regions_in(client->router.pd, op, &encoded, 1, wanted,
                                 TK_PD_LEADER, arena, &page, &count);
    }
    *more = count == wanted;
    for (i = 0; i < count && error == NULL; i++) {
        error = add_region(client, regions, &page[i], next);
        if (error == NULL && next->len == 0) {
            *more = false;
        }
    }
    tk_buf_fini(&keys[0]);
    tk_buf_fini(&keys[1]);
    tk_arena_unref(arena);
    return error;
}

static tikv_error *
list_regions(tikv_client *client, struct tk_op *op, tikv_range range,
             size_t limit, tikv_regions *regions)
{
    struct tk_buf next;
    struct tk_buf from;
    bool more = true;
    tikv_error *error = NULL;

    if (range.end.len != 0 && tk_slice_compare(range.start, range.end) >= 0) {
        return NULL;
    }
    tk_buf_init(&next, SIZE_MAX / 4);
    tk_buf_init(&from, SIZE_MAX / 4);
    while (more && error == NULL &&
           (limit == 0 || tikv_regions_count(regions) < limit)) {
        error = list_page(client, op, range, limit, regions, &next, &more);
        tk_buf_clear(&from);
        tk_buf_append_slice(&from, tk_buf_slice(&next));
        range.start = tk_buf_slice(&from);
        if (error == NULL && from.failed) {
            error = no_memory();
        }
        if (range.end.len != 0 &&
            tk_slice_compare(range.start, range.end) >= 0) {
            more = false;
        }
    }
    tk_buf_fini(&next);
    tk_buf_fini(&from);
    return error;
}

tikv_error *
tikv_regions_list(tikv_client *client, tikv_range range, size_t limit,
                  const tikv_call *call, tikv_regions **out)
{
    tikv_error *error = tk_door_refusal(client);
    tikv_regions *regions;
    tikv_details *details;
    struct tk_op op;
    tikv_call copy;

    if (out == NULL) {
        tikv_error_free(error);
        return tk_error(TIKV_ERR_ARGUMENT, "out is NULL");
    }
    *out = NULL;
    if (error == NULL) {
        error = tk_call_read(call, &copy, &details);
    }
    if (error != NULL) {
        return error;
    }
    regions = tk_regions_new();
    if (regions == NULL) {
        return no_memory();
    }
    error = tk_door_enter(client, &copy, &op);
    if (error == NULL) {
        op.details = details;
        error =
            tk_op_end(&op, list_regions(client, &op, range, limit, regions));
        tk_door_leave(client, &op);
    }
    if (error != NULL) {
        tikv_regions_free(regions);
        return error;
    }
    *out = regions;
    return NULL;
}

/* ---- stores ---- */

static const char *
state_name(int32_t state)
{
    switch (state) {
    case metapb_Up:
        return "Up";
    case metapb_Offline:
        return "Offline";
    case metapb_Tombstone:
        return "Tombstone";
    default:
        return "Unknown";
    }
}

/* upb's strings carry no terminator. False without memory. */
static bool
copy_text(struct tk_arena *arena, upb_StringView view, const char **out)
{
    char *text = upb_Arena_Malloc(arena->upb, view.size + 1);

    if (text == NULL) {
        return false;
    }
    if (view.size != 0) {
        memcpy(text, view.data, view.size);
    }
    text[view.size] = '\0';
    *out = text;
    return true;
}

static bool
copy_store(struct tk_arena *arena, const metapb_Store *from, struct store *to)
{
    const metapb_StoreLabel *const *labels;
    size_t count;
    size_t i;

    labels = metapb_Store_labels(from, &count);
    memset(to, 0, sizeof(*to));
    to->info.id = metapb_Store_id(from);
    to->info.state = state_name(metapb_Store_state(from));
    to->info.labels_count = count;
    to->labels =
        upb_Arena_Malloc(arena->upb, (2 * count + 1) * sizeof(*to->labels));
    if (to->labels == NULL ||
        !copy_text(arena, metapb_Store_address(from), &to->info.address) ||
        !copy_text(arena, metapb_Store_version(from), &to->info.version)) {
        return false;
    }
    for (i = 0; i < count; i++) {
        if (!copy_text(arena, metapb_StoreLabel_key(labels[i]),
                       &to->labels[2 * i]) ||
            !copy_text(arena, metapb_StoreLabel_value(labels[i]),
                       &to->labels[2 * i + 1])) {
            return false;
        }
    }
    return true;
}

/* What requests have found out. */
static void
tell_experience(const struct tk_router *router, tikv_store_info *info)
{
    const struct tk_store *store = tk_stores_find(router->stores, info->id);
    int64_t now = tk_now(router->rt);

    if (store == NULL) {
        return;
    }
    switch (tk_store_liveness(store)) {
    case TK_ALIVE:
        info->liveness = TIKV_STORE_ALIVE;
        break;
    case TK_DEAD:
        info->liveness = TIKV_STORE_DEAD;
        break;
    case TK_LIFE_UNKNOWN:
    default:
        info->liveness = TIKV_STORE_UNKNOWN;
    }
    info->slow_score = (uint32_t)tk_store_score(store, now);
    info->wait_ms = (uint64_t)tk_store_wait_ms(store, now);
}

static tikv_error *
list_stores(tikv_client *client, struct tk_op *op, tikv_stores *stores)
{
    struct tk_arena *arena = stores->arena;
    const metapb_Store *const *all;
    size_t count;
    size_t i;
    tikv_error *error =
        tk_pd_stores(client->router.pd, op, arena, &all, &count);

    if (error != NULL) {
        return error;
    }
    stores->all =
        upb_Arena_Malloc(arena->upb, (count + 1) * sizeof(*stores->all));
    if (stores->all == NULL) {
        return no_memory();
    }
    for (i = 0; i < count; i++) {
        struct store *to = &stores->all[stores->count];

        if (metapb_Store_state(all[i]) == metapb_Tombstone) {
            continue;
        }
        if (!copy_store(arena, all[i], to)) {
            return no_memory();
        }
        tell_experience(&client->router, &to->info);
        stores->count++;
    }
    return NULL;
}

tikv_error *
tikv_stores_list(tikv_client *client, const tikv_call *call, tikv_stores **out)
{
    tikv_error *error = tk_door_refusal(client);
    tikv_stores *stores;
    tikv_details *details;
    struct tk_op op;
    tikv_call copy;

    if (out == NULL) {
        tikv_error_free(error);
        return tk_error(TIKV_ERR_ARGUMENT, "out is NULL");
    }
    *out = NULL;
    if (error == NULL) {
        error = tk_call_read(call, &copy, &details);
    }
    if (error != NULL) {
        return error;
    }
    stores = tk_calloc(sizeof(*stores));
    if (stores == NULL) {
        return no_memory();
    }
    stores->arena = tk_arena_new();
    error =
        stores->arena == NULL ? no_memory() : tk_door_enter(client, &copy, &op);
    if (error == NULL) {
        op.details = details;
        error = tk_op_end(&op, list_stores(client, &op, stores));
        tk_door_leave(client, &op);
    }
    if (error != NULL) {
        tikv_stores_free(stores);
        return error;
    }
    *out = stores;
    return NULL;
}

size_t
tikv_stores_count(const tikv_stores *stores)
{
    return stores == NULL ? 0 : stores->count;
}

bool
tikv_stores_at(const tikv_stores *stores, size_t index, tikv_store_info *out)
{
    if (out == NULL || index >= tikv_stores_count(stores)) {
        return false;
    }
    return tk_info_give(&stores->all[index].info, sizeof(*out), out);
}

bool
tikv_stores_label(const tikv_stores *stores, size_t index, size_t label,
                  const char **key, const char **value)
{
    const struct store *store;

    if (index >= tikv_stores_count(stores)) {
        return false;
    }
    store = &stores->all[index];
    if (label >= store->info.labels_count) {
        return false;
    }
    if (key != NULL) {
        *key = store->labels[2 * label];
    }
    if (value != NULL) {
        *value = store->labels[2 * label + 1];
    }
    return true;
}

void
tikv_stores_free(tikv_stores *stores)
{
    if (stores != NULL) {
        tk_arena_unref(stores->arena);
        tk_free(stores);
    }
}
