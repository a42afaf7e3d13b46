/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw values in ordered maps. An item is one block: header, key, value; a
 * value that fits into the old block is written over in place.
 */
#include "cluster/engine.h"

#include <string.h>

#include "base/alloc.h"
#include "base/slice.h"
#include "cluster/journal.h"

void
tk_engine_init(struct tk_engine *engine)
{
    int i;

    engine->journal = NULL;
    for (i = 0; i < TK_CFS; i++) {
        tk_cl_map_init(&engine->cfs[i]);
    }
}

static void
drop_item(struct tk_cl_map_item *item)
{
    tk_free(item);
}

void
tk_engine_fini(struct tk_engine *engine)
{
    int i;

    for (i = 0; i < TK_CFS; i++) {
        tk_cl_map_fini(&engine->cfs[i], drop_item);
    }
}

struct tk_raw_item *
tk_engine_get(const struct tk_engine *engine, enum tk_cf cf, tikv_slice key,
              uint64_t now_s)
{
    struct tk_raw_item *raw =
        (struct tk_raw_item *)tk_cl_map_find(&engine->cfs[cf], key);

    return raw != NULL && tk_raw_is_live(raw, now_s) ? raw : NULL;
}

static void
write_value(struct tk_raw_item *raw, tikv_slice value, uint64_t expires_s)
{
    uint8_t *bytes = (uint8_t *)(raw + 1) + raw->item.key.len;

    if (value.len > 0) {
        memcpy(bytes, value.data, value.len);
    }
    raw->len = (uint32_t)value.len;
    raw->expires_s = expires_s;
}

static struct tk_raw_item *
item_new(tikv_slice key, size_t room)
{
    struct tk_raw_item *raw = tk_alloc(sizeof(*raw) + key.len + room);

    if (raw != NULL) {
        uint8_t *bytes = (uint8_t *)(raw + 1);

        if (key.len > 0) {
            memcpy(bytes, key.data, key.len);
        }
        raw->item.key = tk_slice(bytes, key.len);
        raw->room = (uint32_t)room;
    }
    return raw;
}

bool
tk_engine_put(struct tk_engine *engine, enum tk_cf cf, tikv_slice key,
              tikv_slice value, uint64_t expires_s)
{
    struct tk_cl_map *map = &engine->cfs[cf];
    struct tk_raw_item *old = (struct tk_raw_item *)tk_cl_map_find(map, key);
    struct tk_raw_item *raw;

    if (old != NULL && value.len <= old->room) {
        write_value(old, value, expires_s);
        tk_journal_raw(engine->journal, cf, key, value, expires_s);
        return true;
    }
    raw = item_new(key, value.len);
    if (raw == NULL) {
        return false;
    }
    write_value(raw, value, expires_s);
    if (old != NULL) {
        tk_free(tk_cl_map_swap(map, &raw->item));
    } else if (!tk_cl_map_add(map, &raw->item)) {
        tk_free(raw);
        return false;
    }
    tk_journal_raw(engine->journal, cf, key, value, expires_s);
    return true;
}

void
tk_engine_delete(struct tk_engine *engine, enum tk_cf cf, tikv_slice key)
{
    tk_journal_raw_gone(engine->journal, cf, key);
    tk_free(tk_cl_map_remove(&engine->cfs[cf], key));
}

void
tk_engine_delete_range(struct tk_engine *engine, enum tk_cf cf,
                       tikv_slice start, tikv_slice end)
{
    struct tk_cl_map *map = &engine->cfs[cf];
    struct tk_cl_map_at at = tk_cl_map_from(map, start);

    tk_journal_raw_range(engine->journal, cf, start, end);
    while (at.item != NULL && tk_slice_in_range(at.item->key, start, end)) {
        tk_free(tk_cl_map_remove(map, at.item->key));
        at = tk_cl_map_from(map, start);
    }
}
