/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls about GC that came before states and barriers, mapped onto them:
 * the worker's service safe point is the transaction safe point, other
 * services' are barriers, and what a service learns is only how far the
 * transaction safe point is. V2 names a keyspace, else it is the same.
 */
#include "base/slice.h"
#include "cluster/pd_gc.h"

static bool
is_text(tikv_slice bytes, const char *text)
{
    return tk_slice_equal(bytes, tk_slice_text(text));
}

static int
answer_point(struct tk_cl_request *request, uint32_t keyspace)
{
    tk_cl_put_header(request, 0, NULL);
    tk_put_u64(request->out, 2, tk_cl_gc_point(request->cluster, keyspace));
    return TK_GRPC_OK;
}

static int
update(struct tk_cl_request *request, uint32_t keyspace, uint64_t target)
{
    struct tk_cluster *cluster = request->cluster;

    if (target > tk_cl_gc_txn_point(cluster, keyspace)) {
        return tk_cl_status(request, TK_GRPC_UNKNOWN,
                            "gc safe point %llu is beyond the txn one",
                            (unsigned long long)target);
    }
    if (target > tk_cl_gc_point(cluster, keyspace) &&
        !tk_cl_gc_set_point(cluster, keyspace, target)) {
        return tk_cl_pd_no_memory(request);
    }
    return answer_point(request, keyspace);
}

static int
answer_service(struct tk_cl_request *request, const char *service,
               uint64_t point)
{
    tk_cl_put_header(request, 0, NULL);
    tk_put_text(request->out, 2, service);
    tk_put_u64(request->out, 3, (uint64_t)INT64_MAX);
    tk_put_u64(request->out, 4, point);
    return TK_GRPC_OK;
}

static int
update_worker(struct tk_cl_request *request, uint32_t keyspace,
              uint64_t target, int64_t ttl_s)
{
    struct tk_cluster *cluster = request->cluster;
    struct tk_cl_advance advance;

    if (ttl_s != INT64_MAX) {
        return tk_cl_status(request, TK_GRPC_UNKNOWN,
                            "the ttl of gc_worker must be infinite");
    }
    if (target < tk_cl_gc_txn_point(cluster, keyspace)) {
        return tk_cl_status(request, TK_GRPC_UNKNOWN,
                            "txn safe point cannot go back to %llu",
                            (unsigned long long)target);
    }
    if (!tk_cl_gc_advance_point(cluster, keyspace, target, &advance)) {
        return tk_cl_pd_no_memory(request);
    }
    return answer_service(request,
                          advance.now != target && advance.name[0] != '\0'
                              ? advance.name
                              : "gc_worker",
                          advance.now);
}

static int
update_service(struct tk_cl_request *request, uint32_t keyspace,
               tikv_slice service, int64_t ttl_s, uint64_t target)
{
    struct tk_cluster *cluster = request->cluster;
    struct tk_cl_barrier barrier = { .id = service, .ts = target };
    bool global = keyspace == TK_CL_NULL_KEYSPACE &&
                  is_text(service, "native_br");
    uint64_t point = global ? tk_cl_gc_max_txn_point(cluster)
                            : tk_cl_gc_txn_point(cluster, keyspace);

    if (service.len == 0) {
        return tk_cl_status(request, TK_GRPC_UNKNOWN, "no service id");
    }
    if (is_text(service, "gc_worker")) {
        return update_worker(request, keyspace, target, ttl_s);
    }
    if (ttl_s <= 0) {
        (void)tk_cl_gc_drop_barrier(cluster, global, keyspace, service,
                                    &barrier);
    } else if (target >= point && target > 0) {
        barrier.ends_ms = tk_cl_gc_ends(cluster, ttl_s);
        if (!tk_cl_gc_put_barrier(cluster, global, keyspace, &barrier)) {
            return tk_cl_pd_no_memory(request);
        }
    }
    return answer_service(request, "gc_worker",
                          tk_cl_gc_txn_point(cluster, keyspace));
}

int
tk_cl_gc_safe_point(struct tk_cl_request *request)
{
    return answer_point(request, TK_CL_NULL_KEYSPACE);
}

int
tk_cl_gc_update(struct tk_cl_request *request)
{
    return update(request, TK_CL_NULL_KEYSPACE, request->fields.numbers[2]);
}

int
tk_cl_gc_service(struct tk_cl_request *request)
{
    return update_service(request, TK_CL_NULL_KEYSPACE,
                          request->fields.bytes[2],
                          (int64_t)request->fields.numbers[3],
                          request->fields.numbers[4]);
}

int
tk_cl_gc_safe_point_v2(struct tk_cl_request *request)
{
    uint32_t keyspace;

    return tk_cl_gc_redirect(request, (uint32_t)request->fields.numbers[2],
                             false, &keyspace)
               ? answer_point(request, keyspace)
               : TK_GRPC_OK;
}

int
tk_cl_gc_update_v2(struct tk_cl_request *request)
{
    uint32_t keyspace;

    return tk_cl_gc_redirect(request, (uint32_t)request->fields.numbers[2],
                             false, &keyspace)
               ? update(request, keyspace, request->fields.numbers[3])
               : TK_GRPC_OK;
}

int
tk_cl_gc_service_v2(struct tk_cl_request *request)
{
    uint32_t keyspace;

    return tk_cl_gc_redirect(request, (uint32_t)request->fields.numbers[2],
                             false, &keyspace)
               ? update_service(request, keyspace, request->fields.bytes[3],
                                (int64_t)request->fields.numbers[5],
                                request->fields.numbers[4])
               : TK_GRPC_OK;
}

/* ---- of all keyspaces ---- */

int
tk_cl_gc_all_v2(struct tk_cl_request *request)
{
    struct tk_buf *out = request->out;
    struct tk_cl_keyspace keyspace;
    uint64_t next = 0;

    tk_cl_put_header(request, 0, NULL);
    while (tk_cl_keyspace_next(request->cluster, next, &keyspace)) {
        next = keyspace.id + UINT64_C(1);
        if (tk_cl_keyspace_has(&keyspace, "gc_management_type",
                               "keyspace_level")) {
            size_t mark = tk_put_begin(out, 2);

            tk_put_u64_always(out, 1, keyspace.id);
            tk_put_u64(out, 2,
                       tk_cl_gc_point(request->cluster, keyspace.id));
            tk_put_end(out, mark);
        }
    }
    tk_put_u64(out, 3, (uint64_t)request->cluster->pd->ledger.revision);
    return TK_GRPC_OK;
}

static void
begin(struct tk_cluster_stream *stream, const struct tk_cl_watch *watch,
      struct tk_buf *out)
{
    struct tk_cl_request request = { .cluster = stream->cluster, .out = out };

    (void)watch;
    tk_cl_put_header(&request, 0, NULL);
    tk_put_u64(out, 3, (uint64_t)stream->cluster->pd->ledger.revision);
}

static void
event(struct tk_cluster_stream *stream, const struct tk_cl_watch *watch,
      const struct tk_ledger_version *version, struct tk_buf *out)
{
    tikv_slice key = version->item->map.key;
    size_t skip = watch->start.len;
    size_t mark = tk_put_begin(out, 2);

    (void)stream;
    tk_put_u64_always(out, 1, tk_cl_pd_number(tk_slice(key.data + skip,
                                                       key.len - skip)));
    tk_put_u64(out, 2, tk_cl_pd_number(tk_ledger_value(version)));
    tk_put_u64(out, 3, tk_ledger_is_deleted(version));
    tk_put_end(out, mark);
}

int
tk_cl_gc_watch(struct tk_cl_request *request)
{
    static const struct tk_cl_watch_kind kind = { begin, event };
    char buffer[TK_PD_KEY_MAX];
    uint8_t end[TK_PD_KEY_MAX];
    tikv_slice prefix = tk_cl_pd_key(request->cluster, buffer,
                                     "keyspaces/gc_safe_point/");
    struct tk_cl_watch *watch = tk_cl_watch_add(
        request->stream, &kind, prefix,
        tk_slice(end, tk_cl_prefix_end(prefix, end)),
        (int64_t)request->fields.numbers[2]);

    if (watch == NULL) {
        return tk_cl_pd_no_memory(request);
    }
    tk_cl_watch_tell(request->stream, watch);
    request->is_quiet = true;
    return TK_GRPC_OK;
}
