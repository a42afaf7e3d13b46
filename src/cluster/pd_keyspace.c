/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keyspaces: one key of the ledger each, holding its meta as it goes over the
 * wire. A keyspace whose region boundaries are not cut yet is hidden from
 * lookups by name.
 */
#include <stdio.h>

#include "base/error.h"
#include "base/slice.h"
#include "cluster/pd.h"

enum {
    ENABLED = 0,
    DISABLED = 1,
    ARCHIVED = 2,
    GONE = 3,
    ID_MAX = 0xffffff,
    BOUNDARIES = 4,
    BOUNDARY_LEN = 9
};

static tikv_slice
prefix_of(const struct tk_cluster *cluster, char buffer[TK_PD_KEY_MAX])
{
    return tk_cl_pd_key(cluster, buffer, "keyspaces/meta/");
}

static bool
read_meta(tikv_slice meta, struct tk_cl_keyspace *out)
{
    struct tk_cl_fields fields;

    if (!tk_cl_decode(meta, &fields)) {
        return false;
    }
    out->id = (uint32_t)fields.numbers[1];
    out->name = fields.bytes[2];
    out->state = (uint32_t)fields.numbers[3];
    out->meta = meta;
    return true;
}

bool
tk_cl_keyspace_find(struct tk_cluster *cluster, uint32_t id,
                    struct tk_cl_keyspace *out)
{
    char buffer[TK_PD_KEY_MAX];
    const struct tk_ledger_version *version = tk_ledger_get(
        &cluster->pd->ledger,
        tk_cl_pd_key(cluster, buffer, "keyspaces/meta/%08u", id));

    return version != NULL && read_meta(tk_ledger_value(version), out);
}

bool
tk_cl_keyspace_next(struct tk_cluster *cluster, uint64_t from,
                    struct tk_cl_keyspace *out)
{
    char prefix[TK_PD_KEY_MAX];
    char buffer[TK_PD_KEY_MAX];
    struct tk_cl_map_at at = tk_ledger_from(
        &cluster->pd->ledger,
        tk_cl_pd_key(cluster, buffer, "keyspaces/meta/%08llu",
                     (unsigned long long)from));

    (void)prefix_of(cluster, prefix);
    for (; at.item != NULL && tk_cl_has_prefix(at.item->key, prefix);
         tk_cl_map_next(&at)) {
        const struct tk_ledger_version *newest = tk_ledger_item(&at)->newest;

        if (!tk_ledger_is_deleted(newest) &&
            read_meta(tk_ledger_value(newest), out)) {
            return true;
        }
    }
    return false;
}

bool
tk_cl_keyspace_has(const struct tk_cl_keyspace *keyspace, const char *name,
                   const char *value)
{
    struct tk_cl_fields entry;
    tikv_slice bytes;
    size_t at = 0;

    while (tk_cl_each(keyspace->meta, 7, &at, &bytes)) {
        if (tk_cl_decode(bytes, &entry) &&
            tk_slice_equal(entry.bytes[1], tk_slice_text(name)) &&
            tk_slice_equal(entry.bytes[2], tk_slice_text(value))) {
            return true;
        }
    }
    return false;
}

bool
tk_cl_keyspace_named(struct tk_cluster *cluster, tikv_slice name,
                     struct tk_cl_keyspace *out)
{
    uint64_t next = 0;

    while (tk_cl_keyspace_next(cluster, next, out)) {
        if (tk_slice_equal(out->name, name)) {
            return true;
        }
        next = out->id + UINT64_C(1);
    }
    return false;
}

/* ---- region boundaries ---- */

/* Begin and end of raw and of transactional data, encoded: four bytes are a
 * group of eight with four zeros, whose marker is 0xff - 4. */
static void
boundary(uint32_t id, uint32_t which, uint8_t out[BOUNDARY_LEN])
{
    uint32_t mode = which < 2 ? 'r' : 'x';
    uint32_t number = (mode << 24) + id + (which & 1);

    memset(out, 0, BOUNDARY_LEN);
    out[0] = (uint8_t)(number >> 24);
    out[1] = (uint8_t)(number >> 16);
    out[2] = (uint8_t)(number >> 8);
    out[3] = (uint8_t)number;
    out[8] = 0xff - 4;
}

static bool
is_split(struct tk_cluster *cluster, uint32_t id)
{
    const struct tk_cl_regions *all = &cluster->regions;
    uint8_t key[BOUNDARY_LEN];
    uint32_t i;

    for (i = 0; i < BOUNDARIES; i++) {
        tikv_slice bytes = tk_slice(key, sizeof(key));

        boundary(id, i, key);
        if (!tk_slice_equal(
                tk_cl_region_start(all->sorted[tk_cl_region_place(all, bytes)]),
                bytes)) {
            return false;
        }
    }
    return true;
}

static bool
split(struct tk_cluster *cluster, uint32_t id)
{
    uint8_t bytes[BOUNDARIES][BOUNDARY_LEN];
    tikv_slice keys[BOUNDARIES];
    struct tk_buf ids;
    uint32_t i;
    bool ok;

    for (i = 0; i < BOUNDARIES; i++) {
        boundary(id, i, bytes[i]);
        keys[i] = tk_slice(bytes[i], BOUNDARY_LEN);
    }
    tk_buf_init(&ids, SIZE_MAX / 4);
    ok = tk_cl_split_keys(cluster, keys, BOUNDARIES, &ids);
    tk_buf_fini(&ids);
    return ok;
}

/* ---- making ---- */

static void
put_config(struct tk_buf *out, const char *name, const char *value)
{
    size_t mark = tk_put_begin(out, 7);

    tk_put_text(out, 1, name);
    tk_put_text(out, 2, value);
    tk_put_end(out, mark);
}

static bool
add(struct tk_cluster *cluster, uint32_t id, const char *name,
    const char *const *config)
{
    uint64_t now_s = (uint64_t)(tk_cl_wall_ms(cluster) / 1000);
    char buffer[TK_PD_KEY_MAX];
    struct tk_buf meta;
    bool ok;

    tk_buf_init(&meta, SIZE_MAX / 4);
    tk_put_u64_always(&meta, 1, id);
    tk_put_text(&meta, 2, name);
    tk_put_u64(&meta, 4, now_s);
    tk_put_u64(&meta, 5, now_s);
    put_config(&meta, "tso_keyspace_group_id", "0");
    put_config(&meta, "user_kind", "basic");
    for (; config != NULL && config[0] != NULL; config += 2) {
        put_config(&meta, config[0], config[1]);
    }
    ok = !meta.failed &&
         tk_ledger_put(
             &cluster->pd->ledger,
             tk_cl_pd_key(cluster, buffer, "keyspaces/meta/%08u", id),
             tk_buf_slice(&meta), 0);
    tk_buf_fini(&meta);
    return ok;
}

bool
tk_cl_keyspace_init(struct tk_cluster *cluster)
{
    return add(cluster, 0, "DEFAULT", NULL);
}

tikv_error *
tk_cluster_keyspace_create(struct tk_cluster *cluster, const char *name,
                           const char *const *config, bool with_regions,
                           uint32_t *out)
{
    struct tk_cl_keyspace keyspace;
    tikv_error *error = NULL;
    uint64_t id = 0;

    tk_mutex_lock(&cluster->lock);
    while (tk_cl_keyspace_next(cluster, id, &keyspace)) {
        id = keyspace.id + UINT64_C(1);
    }
    if (name[0] == '\0' ||
        tk_cl_keyspace_named(cluster, tk_slice_text(name), &keyspace)) {
        error = tk_error(TIKV_ERR_ARGUMENT, "keyspace \"%s\" exists", name);
    } else if (id > ID_MAX) {
        error = tk_error(TIKV_ERR_ARGUMENT, "too many keyspaces");
    } else if (!add(cluster, (uint32_t)id, name, config) ||
               (with_regions && !split(cluster, (uint32_t)id))) {
        error = tk_error_immortal(TIKV_ERR_MEMORY);
    } else if (out != NULL) {
        *out = (uint32_t)id;
    }
    tk_cl_pd_tell(cluster);
    tk_mutex_unlock(&cluster->lock);
    tk_cl_streams_push(cluster);
    return error;
}

bool
tk_cluster_keyspace_exists(struct tk_cluster *cluster, const char *name)
{
    struct tk_cl_keyspace keyspace;
    bool found;

    tk_mutex_lock(&cluster->lock);
    found = tk_cl_keyspace_named(cluster, tk_slice_text(name), &keyspace);
    tk_mutex_unlock(&cluster->lock);
    return found;
}

void
tk_cluster_keyspace_show_unsplit(struct tk_cluster *cluster, bool shows)
{
    tk_mutex_lock(&cluster->lock);
    cluster->pd->shows_unsplit = shows;
    tk_mutex_unlock(&cluster->lock);
}

/* ---- calls ---- */

static int
answer(struct tk_cl_request *request, const struct tk_cl_keyspace *keyspace)
{
    tk_cl_put_header(request, 0, NULL);
    tk_put_bytes_always(request->out, 2, keyspace->meta);
    return TK_GRPC_OK;
}

static int
not_found(struct tk_cl_request *request)
{
    return tk_cl_pd_refuse(request, TK_PD_ENTRY_NOT_FOUND,
                           "keyspace does not exist");
}

static bool
is_visible(struct tk_cluster *cluster, const struct tk_cl_keyspace *keyspace)
{
    return keyspace->id == 0 || cluster->pd->shows_unsplit ||
           is_split(cluster, keyspace->id);
}

int
tk_cl_keyspace_load(struct tk_cl_request *request)
{
    struct tk_cl_keyspace keyspace;

    return tk_cl_keyspace_named(request->cluster, request->fields.bytes[2],
                                &keyspace) &&
                   is_visible(request->cluster, &keyspace)
               ? answer(request, &keyspace)
               : not_found(request);
}

int
tk_cl_keyspace_lookup(struct tk_cl_request *request)
{
    return tk_cl_keyspace_load(request);
}

int
tk_cl_keyspace_by_id(struct tk_cl_request *request)
{
    struct tk_cl_keyspace keyspace;

    return tk_cl_keyspace_find(request->cluster,
                               (uint32_t)request->fields.numbers[2],
                               &keyspace)
               ? answer(request, &keyspace)
               : not_found(request);
}

int
tk_cl_keyspace_all(struct tk_cl_request *request)
{
    uint64_t next = request->fields.numbers[2];
    uint64_t limit = request->fields.numbers[3];
    struct tk_cl_keyspace keyspace;
    uint64_t count = 0;

    tk_cl_put_header(request, 0, NULL);
    while ((limit == 0 || count < limit) &&
           tk_cl_keyspace_next(request->cluster, next, &keyspace)) {
        tk_put_bytes_always(request->out, 2, keyspace.meta);
        next = keyspace.id + UINT64_C(1);
        count++;
    }
    return TK_GRPC_OK;
}

/* ENABLED <-> DISABLED -> ARCHIVED -> TOMBSTONE */
static bool
may_become(uint32_t from, uint32_t to)
{
    return from == to || (from == ENABLED && to == DISABLED) ||
           (from == DISABLED && (to == ENABLED || to == ARCHIVED)) ||
           (from == ARCHIVED && to == GONE);
}

/* The meta with another state: a later field wins over an earlier one. */
static bool
change_state(struct tk_cluster *cluster, const struct tk_cl_keyspace *keyspace,
             uint32_t state)
{
    char buffer[TK_PD_KEY_MAX];
    struct tk_buf meta;
    bool ok;

    tk_buf_init(&meta, SIZE_MAX / 4);
    tk_buf_append_slice(&meta, keyspace->meta);
    tk_put_u64_always(&meta, 3, state);
    tk_put_u64_always(&meta, 5, (uint64_t)(tk_cl_wall_ms(cluster) / 1000));
    ok = !meta.failed &&
         tk_ledger_put(&cluster->pd->ledger,
                       tk_cl_pd_key(cluster, buffer, "keyspaces/meta/%08u",
                                    keyspace->id),
                       tk_buf_slice(&meta), 0);
    tk_buf_fini(&meta);
    return ok;
}

int
tk_cl_keyspace_update(struct tk_cl_request *request)
{
    struct tk_cluster *cluster = request->cluster;
    uint32_t id = (uint32_t)request->fields.numbers[2];
    uint32_t state = (uint32_t)request->fields.numbers[3];
    struct tk_cl_keyspace keyspace;

    if (!tk_cl_keyspace_find(cluster, id, &keyspace)) {
        return not_found(request);
    }
    if (id == 0 || state > GONE || !may_become(keyspace.state, state)) {
        return tk_cl_pd_refuse(request, TK_PD_UNKNOWN,
                               "keyspace %u cannot become state %u", id,
                               state);
    }
    if (keyspace.state != state &&
        (!change_state(cluster, &keyspace, state) ||
         !tk_cl_keyspace_find(cluster, id, &keyspace))) {
        return tk_cl_pd_no_memory(request);
    }
    return answer(request, &keyspace);
}

/* ---- watching ---- */

static void
begin(struct tk_cluster_stream *stream, const struct tk_cl_watch *watch,
      struct tk_buf *out)
{
    struct tk_cl_request request = { .cluster = stream->cluster, .out = out };

    (void)watch;
    tk_cl_put_header(&request, 0, NULL);
}

static void
event(struct tk_cluster_stream *stream, const struct tk_cl_watch *watch,
      const struct tk_ledger_version *version, struct tk_buf *out)
{
    (void)stream;
    (void)watch;
    tk_put_bytes_always(out, 2, tk_ledger_value(version));
}

int
tk_cl_keyspace_watch(struct tk_cl_request *request)
{
    static const struct tk_cl_watch_kind kind = { begin, event };
    char buffer[TK_PD_KEY_MAX];
    uint8_t end[TK_PD_KEY_MAX];
    tikv_slice prefix = prefix_of(request->cluster, buffer);
    struct tk_cl_watch *watch =
        tk_cl_watch_add(request->stream, &kind, prefix,
                        tk_slice(end, tk_cl_prefix_end(prefix, end)), 0);

    if (watch == NULL) {
        return tk_cl_pd_no_memory(request);
    }
    watch->no_delete = true;
    /* This message has all there are, changes follow. */
    memset(request->fields.numbers, 0, sizeof(request->fields.numbers));
    return tk_cl_keyspace_all(request);
}
