/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Versions hang at their key, newest first; the log points to them in the
 * order of changes. Compaction cuts the log's beginning and, with it, the
 * versions that were replaced and the deletions that nobody needs any more.
 * The log is bounded: one that is full is compacted by half.
 */
#include "cluster/ledger.h"

#include <string.h>

#include "base/alloc.h"
#include "base/slice.h"
#include "cluster/journal.h"

enum { LOG_MAX = 100000, LOG_MIN = 64 };

void
tk_ledger_init(struct tk_ledger *ledger)
{
    memset(ledger, 0, sizeof(*ledger));
    tk_cl_map_init(&ledger->map);
    ledger->revision = 1;
}

static void
free_versions(struct tk_ledger_version *version)
{
    while (version != NULL) {
        struct tk_ledger_version *older = version->older;

        tk_free(version);
        version = older;
    }
}

static void
drop_item(struct tk_cl_map_item *map)
{
    struct tk_ledger_item *item = (struct tk_ledger_item *)(void *)map;

    free_versions(item->newest);
    tk_free(item);
}

void
tk_ledger_fini(struct tk_ledger *ledger)
{
    tk_cl_map_fini(&ledger->map, drop_item);
    tk_free(ledger->log);
    ledger->log = NULL;
}

void
tk_ledger_begin(struct tk_ledger *ledger)
{
    ledger->open = ledger->revision + 1;
}

void
tk_ledger_end(struct tk_ledger *ledger)
{
    ledger->open = 0;
}

/* The place for one more; false without memory. */
static bool
make_room(struct tk_ledger *ledger)
{
    size_t room = ledger->log_room == 0 ? LOG_MIN : ledger->log_room * 2;
    struct tk_ledger_version **log;

    if (ledger->log_count >= LOG_MAX && ledger->open == 0) {
        tk_ledger_compact(
            ledger,
            ledger->log[ledger->log_first + ledger->log_count / 2]->mod);
    }
    if (ledger->log_first + ledger->log_count < ledger->log_room) {
        return true;
    }
    if (ledger->log_first > ledger->log_count) {
        memmove(ledger->log, ledger->log + ledger->log_first,
                ledger->log_count * sizeof(struct tk_ledger_version *));
        ledger->log_first = 0;
        return true;
    }
    log = tk_realloc(ledger->log, room * sizeof(struct tk_ledger_version *));
    if (log == NULL) {
        return false;
    }
    ledger->log = log;
    ledger->log_room = room;
    return true;
}

static struct tk_ledger_item *
find(const struct tk_ledger *ledger, tikv_slice key)
{
    return (struct tk_ledger_item *)(void *)tk_cl_map_find(&ledger->map, key);
}

static struct tk_ledger_item *
add_item(struct tk_ledger *ledger, tikv_slice key)
{
    struct tk_ledger_item *item = tk_calloc(sizeof(*item) + key.len);

    if (item == NULL) {
        return NULL;
    }
    if (key.len > 0) {
        memcpy(item->key, key.data, key.len);
    }
    item->map.key = tk_slice(item->key, key.len);
    if (!tk_cl_map_add(&ledger->map, &item->map)) {
        tk_free(item);
        return NULL;
    }
    return item;
}

static void
append(struct tk_ledger *ledger, struct tk_ledger_item *item,
       struct tk_ledger_version *version)
{
    version->item = item;
    version->older = item->newest;
    version->mod = ledger->open != 0 ? ledger->open : ledger->revision + 1;
    ledger->revision = version->mod;
    item->newest = version;
    ledger->log[tk_ledger_log_end(ledger)] = version;
    ledger->log_count++;
}

bool
tk_ledger_put(struct tk_ledger *ledger, tikv_slice key, tikv_slice value,
              int64_t lease)
{
    struct tk_ledger_version *version =
        tk_calloc(sizeof(*version) + value.len);
    struct tk_ledger_item *item;
    const struct tk_ledger_version *old;

    if (version == NULL) {
        return false;
    }
    version->len = value.len;
    if (value.len > 0) {
        memcpy(version->value, value.data, value.len);
    }
    /* Compacting may drop an item: look for it afterwards. */
    item = make_room(ledger) ? find(ledger, key) : NULL;
    if (item == NULL) {
        item = tk_ledger_log_end(ledger) < ledger->log_room
                   ? add_item(ledger, key)
                   : NULL;
    }
    if (item == NULL) {
        tk_free(version);
        return false;
    }
    old = item->newest;
    version->lease = lease;
    append(ledger, item, version);
    if (old != NULL && !tk_ledger_is_deleted(old)) {
        version->create = old->create;
        version->version = old->version + 1;
    } else {
        version->create = version->mod;
        version->version = 1;
    }
    tk_journal_entry(ledger->journal, version);
    return true;
}

bool
tk_ledger_delete(struct tk_ledger *ledger, tikv_slice key)
{
    struct tk_ledger_version *version;
    struct tk_ledger_item *item;

    if (tk_ledger_get(ledger, key) == NULL) {
        return true;
    }
    version = tk_calloc(sizeof(*version));
    if (version == NULL || !make_room(ledger)) {
        tk_free(version);
        return false;
    }
    item = find(ledger, key);
    append(ledger, item, version);
    tk_journal_entry(ledger->journal, version);
    return true;
}

bool
tk_ledger_redo(struct tk_ledger *ledger, tikv_slice key, tikv_slice value,
               const struct tk_ledger_version *facts)
{
    bool is_old = facts->mod <= ledger->compacted;
    int64_t revision = ledger->revision;
    bool ok;

    /* Nothing is compacted meanwhile: that has a record of its own. */
    ledger->open = facts->mod;
    ok = tk_ledger_put(ledger, key, value, facts->lease);
    ledger->open = 0;
    if (ok) {
        struct tk_ledger_version *made =
            ledger->log[tk_ledger_log_end(ledger) - 1];

        made->create = facts->create;
        made->version = facts->version;
        /* Before the log begins there is one version, and no order. */
        ledger->log_count -= is_old ? 1 : 0;
    }
    if (ledger->revision < revision) {
        ledger->revision = revision;
    }
    return ok;
}

const struct tk_ledger_version *
tk_ledger_get(const struct tk_ledger *ledger, tikv_slice key)
{
    const struct tk_ledger_item *item = find(ledger, key);

    return item == NULL || tk_ledger_is_deleted(item->newest) ? NULL
                                                              : item->newest;
}

const struct tk_ledger_version *
tk_ledger_then(const struct tk_ledger_item *item, int64_t revision)
{
    const struct tk_ledger_version *version = item->newest;

    while (version != NULL && version->mod > revision) {
        version = version->older;
    }
    return version == NULL || tk_ledger_is_deleted(version) ? NULL : version;
}

size_t
tk_ledger_log_from(const struct tk_ledger *ledger, int64_t revision)
{
    size_t low = ledger->log_first;
    size_t high = tk_ledger_log_end(ledger);

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (ledger->log[middle]->mod < revision) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The version that was the last one at `revision` keeps no older ones; true
 * when that leaves nothing of the item. */
static bool
cut_behind(struct tk_ledger_item *item, int64_t revision)
{
    struct tk_ledger_version **link = &item->newest;

    while (*link != NULL && (*link)->mod > revision) {
        link = &(*link)->older;
    }
    if (*link != NULL) {
        free_versions((*link)->older);
        (*link)->older = NULL;
        if (tk_ledger_is_deleted(*link)) {
            tk_free(*link);
            *link = NULL;
        }
    }
    return item->newest == NULL;
}

void
tk_ledger_compact(struct tk_ledger *ledger, int64_t revision)
{
    struct tk_cl_map_at at = tk_ledger_from(ledger, tk_slice(NULL, 0));
    size_t end;

    if (revision <= ledger->compacted || revision > ledger->revision) {
        return;
    }
    end = tk_ledger_log_from(ledger, revision + 1);
    while (at.item != NULL) {
        struct tk_ledger_item *item = (struct tk_ledger_item *)(void *)at.item;

        if (cut_behind(item, revision)) {
            (void)tk_cl_map_remove(&ledger->map, item->map.key);
            at = tk_ledger_from(ledger, item->map.key);
            tk_free(item);
        } else {
            tk_cl_map_next(&at);
        }
    }
    ledger->log_count -= end - ledger->log_first;
    ledger->log_first = end;
    ledger->compacted = revision;
    tk_journal_compact(ledger->journal, revision);
}
