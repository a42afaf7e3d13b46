/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls about GC states: what they may change, and how they answer. A
 * refusal is an error in the header.
 */
#include <stdio.h>

#include "base/slice.h"
#include "cluster/pd_gc.h"

static const char worker[] = "gc_worker";

static bool
is_worker(tikv_slice id)
{
    return tk_slice_equal(id, tk_slice_text(worker));
}

bool
tk_cl_gc_redirect(struct tk_cl_request *request, uint32_t asked, bool strict,
                  uint32_t *out)
{
    struct tk_cl_keyspace keyspace;

    *out = TK_CL_NULL_KEYSPACE;
    if (asked >> 24 != 0) {
        return true;
    }
    if (!tk_cl_keyspace_find(request->cluster, asked, &keyspace)) {
        (void)tk_cl_pd_refuse(request, TK_PD_UNKNOWN,
                              "keyspace %u does not exist", asked);
        return false;
    }
    if (tk_cl_keyspace_has(&keyspace, "gc_management_type",
                           "keyspace_level")) {
        *out = asked;
    } else if (strict) {
        (void)tk_cl_pd_refuse(request, TK_PD_UNKNOWN,
                              "keyspace %u does not manage its GC", asked);
        return false;
    }
    return true;
}

/* The scope in field 2 of a request. */
static bool
scope_of(struct tk_cl_request *request, bool strict, uint32_t *out)
{
    struct tk_cl_fields scope;
    uint32_t asked = TK_CL_NULL_KEYSPACE;

    if (request->fields.counts[2] > 0 &&
        tk_cl_decode(request->fields.bytes[2], &scope)) {
        asked = (uint32_t)scope.numbers[1];
    }
    return tk_cl_gc_redirect(request, asked, strict, out);
}

uint64_t
tk_cl_gc_max_txn_point(struct tk_cluster *cluster)
{
    uint64_t most = tk_cl_gc_txn_point(cluster, TK_CL_NULL_KEYSPACE);
    struct tk_cl_keyspace keyspace;
    uint64_t next = 0;

    while (tk_cl_keyspace_next(cluster, next, &keyspace)) {
        uint64_t point = tk_cl_gc_txn_point(cluster, keyspace.id);

        most = point > most ? point : most;
        next = keyspace.id + UINT64_C(1);
    }
    return most;
}

int64_t
tk_cl_gc_ends(struct tk_cluster *cluster, int64_t ttl_s)
{
    int64_t now_ms = tk_cl_wall_ms(cluster);

    return ttl_s > (INT64_MAX - now_ms) / 1000 - 1 ? INT64_MAX
                                                   : now_ms + ttl_s * 1000;
}

static void
put_barrier(struct tk_cl_request *request, uint32_t field,
            const struct tk_cl_barrier *barrier)
{
    struct tk_buf *out = request->out;
    size_t mark = tk_put_begin(out, field);
    int64_t left = INT64_MAX;

    if (barrier->ends_ms != INT64_MAX) {
        left = (barrier->ends_ms - tk_cl_wall_ms(request->cluster)) / 1000;
        left = left > 0 ? left : 0;
    }
    tk_put_bytes(out, 1, barrier->id);
    tk_put_u64(out, 2, barrier->ts);
    tk_put_u64(out, 3, (uint64_t)left);
    tk_put_end(out, mark);
}

static void
put_barriers(struct tk_cl_request *request, uint32_t field, bool global,
             uint32_t keyspace)
{
    char buffer[TK_PD_KEY_MAX];
    tikv_slice prefix =
        tk_cl_gc_barriers(request->cluster, buffer, global, keyspace);
    struct tk_cl_map_at at =
        tk_ledger_from(&request->cluster->pd->ledger, prefix);
    struct tk_cl_barrier barrier;

    while (tk_cl_gc_next_barrier(request->cluster, prefix, &at, &barrier)) {
        put_barrier(request, field, &barrier);
    }
}

/* ---- safe points ---- */

int
tk_cl_gc_advance_txn(struct tk_cl_request *request)
{
    struct tk_cluster *cluster = request->cluster;
    uint64_t target = request->fields.numbers[3];
    struct tk_cl_advance advance;
    uint32_t keyspace;

    if (!scope_of(request, true, &keyspace)) {
        return TK_GRPC_OK;
    }
    if (target < tk_cl_gc_txn_point(cluster, keyspace)) {
        return tk_cl_pd_refuse(request, TK_PD_UNKNOWN,
                               "txn safe point cannot go back to %llu",
                               (unsigned long long)target);
    }
    if (!tk_cl_gc_advance_point(cluster, keyspace, target, &advance)) {
        return tk_cl_pd_no_memory(request);
    }
    tk_cl_put_header(request, 0, NULL);
    tk_put_u64(request->out, 2, advance.before);
    tk_put_u64(request->out, 3, advance.now);
    tk_put_text(request->out, 4, advance.now != target ? advance.blocker : "");
    return TK_GRPC_OK;
}

int
tk_cl_gc_advance(struct tk_cl_request *request)
{
    struct tk_cluster *cluster = request->cluster;
    uint64_t target = request->fields.numbers[3];
    uint32_t keyspace;
    uint64_t before;

    if (!scope_of(request, true, &keyspace)) {
        return TK_GRPC_OK;
    }
    before = tk_cl_gc_point(cluster, keyspace);
    if (target < before) {
        return tk_cl_pd_refuse(request, TK_PD_UNKNOWN,
                               "gc safe point cannot go back to %llu",
                               (unsigned long long)target);
    }
    if (target > tk_cl_gc_txn_point(cluster, keyspace)) {
        return tk_cl_pd_refuse(request, TK_PD_UNKNOWN,
                               "gc safe point %llu is beyond the txn one",
                               (unsigned long long)target);
    }
    if (target != before && !tk_cl_gc_set_point(cluster, keyspace, target)) {
        return tk_cl_pd_no_memory(request);
    }
    tk_cl_put_header(request, 0, NULL);
    tk_put_u64(request->out, 2, before);
    tk_put_u64(request->out, 3, target);
    return TK_GRPC_OK;
}

/* ---- barriers ---- */

static int
set_barrier(struct tk_cl_request *request, bool global, uint32_t keyspace,
            uint32_t field)
{
    struct tk_cluster *cluster = request->cluster;
    int64_t ttl_s = (int64_t)request->fields.numbers[field + 2];
    struct tk_cl_barrier barrier = { .id = request->fields.bytes[field],
                                     .ts = request->fields.numbers[field + 1] };
    uint64_t point = global ? tk_cl_gc_max_txn_point(cluster)
                            : tk_cl_gc_txn_point(cluster, keyspace);

    if (barrier.id.len == 0 || is_worker(barrier.id)) {
        return tk_cl_pd_refuse(request, TK_PD_UNKNOWN, "invalid barrier id");
    }
    if (barrier.ts == 0 || ttl_s <= 0) {
        return tk_cl_pd_refuse(request, TK_PD_UNKNOWN,
                               "invalid barrier ts or ttl");
    }
    if (barrier.ts < point) {
        return tk_cl_pd_refuse(request, TK_PD_UNKNOWN,
                               "barrier ts %llu is behind txn safe point %llu",
                               (unsigned long long)barrier.ts,
                               (unsigned long long)point);
    }
    barrier.ends_ms = tk_cl_gc_ends(cluster, ttl_s);
    if (!tk_cl_gc_put_barrier(cluster, global, keyspace, &barrier)) {
        return tk_cl_pd_no_memory(request);
    }
    tk_cl_put_header(request, 0, NULL);
    put_barrier(request, 2, &barrier);
    return TK_GRPC_OK;
}

static int
delete_barrier(struct tk_cl_request *request, bool global, uint32_t keyspace,
               uint32_t field)
{
    tikv_slice id = request->fields.bytes[field];
    struct tk_cl_barrier barrier;

    if (id.len == 0 || is_worker(id)) {
        return tk_cl_pd_refuse(request, TK_PD_UNKNOWN, "invalid barrier id");
    }
    tk_cl_put_header(request, 0, NULL);
    if (tk_cl_gc_drop_barrier(request->cluster, global, keyspace, id,
                              &barrier)) {
        put_barrier(request, 2, &barrier);
    }
    return TK_GRPC_OK;
}

int
tk_cl_gc_set(struct tk_cl_request *request)
{
    uint32_t keyspace;

    return scope_of(request, false, &keyspace)
               ? set_barrier(request, false, keyspace, 3)
               : TK_GRPC_OK;
}

int
tk_cl_gc_delete(struct tk_cl_request *request)
{
    uint32_t keyspace;

    return scope_of(request, false, &keyspace)
               ? delete_barrier(request, false, keyspace, 3)
               : TK_GRPC_OK;
}

int
tk_cl_gc_set_global(struct tk_cl_request *request)
{
    return set_barrier(request, true, 0, 2);
}

int
tk_cl_gc_delete_global(struct tk_cl_request *request)
{
    return delete_barrier(request, true, 0, 2);
}

/* ---- states ---- */

static void
put_state(struct tk_cl_request *request, uint32_t field, uint32_t keyspace,
          bool with_barriers)
{
    struct tk_buf *out = request->out;
    size_t mark = tk_put_begin(out, field);
    size_t scope = tk_put_begin(out, 1);

    tk_put_u64(out, 1, keyspace);
    tk_put_end(out, scope);
    tk_put_u64(out, 2, keyspace != TK_CL_NULL_KEYSPACE);
    tk_put_u64(out, 3, tk_cl_gc_txn_point(request->cluster, keyspace));
    tk_put_u64(out, 4, tk_cl_gc_point(request->cluster, keyspace));
    if (with_barriers) {
        put_barriers(request, 5, false, keyspace);
    }
    tk_put_end(out, mark);
}

int
tk_cl_gc_state(struct tk_cl_request *request)
{
    uint32_t keyspace;

    if (!scope_of(request, false, &keyspace)) {
        return TK_GRPC_OK;
    }
    tk_cl_put_header(request, 0, NULL);
    put_state(request, 2, keyspace, request->fields.numbers[3] == 0);
    if (request->fields.numbers[4] != 0) {
        size_t mark = tk_put_begin(request->out, 3);

        put_barriers(request, 1, true, 0);
        tk_put_end(request->out, mark);
    }
    return TK_GRPC_OK;
}

/* A keyspace without a state of its own is named, and no more. */
static void
put_scope(struct tk_cl_request *request, uint32_t field, uint32_t keyspace)
{
    size_t mark = tk_put_begin(request->out, field);
    size_t scope = tk_put_begin(request->out, 1);

    tk_put_u64(request->out, 1, keyspace);
    tk_put_end(request->out, scope);
    tk_put_end(request->out, mark);
}

int
tk_cl_gc_states(struct tk_cl_request *request)
{
    bool with_barriers = request->fields.numbers[2] == 0;
    struct tk_cl_keyspace keyspace;
    uint64_t next = 0;

    tk_cl_put_header(request, 0, NULL);
    put_state(request, 2, TK_CL_NULL_KEYSPACE, with_barriers);
    while (tk_cl_keyspace_next(request->cluster, next, &keyspace)) {
        next = keyspace.id + UINT64_C(1);
        if (keyspace.state != 0) {
            continue;
        }
        if (tk_cl_keyspace_has(&keyspace, "gc_management_type",
                               "keyspace_level")) {
            put_state(request, 2, keyspace.id, with_barriers);
        } else {
            put_scope(request, 2, keyspace.id);
        }
    }
    if (request->fields.numbers[3] == 0) {
        put_barriers(request, 3, true, 0);
    }
    return TK_GRPC_OK;
}
