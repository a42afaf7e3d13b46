/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Meta storage: the ledger for clients of PD, which find resource groups and
 * addresses of services here. Errors are in its own header.
 */
#include "base/slice.h"
#include "cluster/pd_kv.h"

enum { META_UNKNOWN = 1, META_COMPACTED = 2 };

static void
put_header(struct tk_cluster *cluster, struct tk_buf *out, uint32_t type,
           const char *message)
{
    size_t mark = tk_put_begin(out, 1);

    tk_put_u64(out, 1, cluster->id);
    if (type != 0) {
        size_t error = tk_put_begin(out, 2);

        tk_put_u64(out, 1, type);
        tk_put_text(out, 2, message);
        tk_put_end(out, error);
    }
    tk_put_u64(out, 3, (uint64_t)cluster->pd->ledger.revision);
    tk_put_end(out, mark);
}

static int
refuse(struct tk_cl_request *request, uint32_t type, const char *message)
{
    put_header(request->cluster, request->out, type, message);
    return TK_GRPC_OK;
}

int
tk_cl_meta_get(struct tk_cl_request *request)
{
    const struct tk_cl_query query = {
        .start = request->fields.bytes[2],
        .end = request->fields.bytes[3],
        .limit = (int64_t)request->fields.numbers[4],
        .revision = (int64_t)request->fields.numbers[5],
    };
    enum tk_cl_kv_state state =
        tk_cl_kv_check(request->cluster, query.revision);

    if (query.start.len == 0) {
        return refuse(request, META_UNKNOWN, "key is not provided");
    }
    if (state == TK_CL_KV_FUTURE) {
        return refuse(request, META_UNKNOWN,
                      "required revision is a future revision");
    }
    if (state == TK_CL_KV_COMPACTED) {
        return refuse(request, META_COMPACTED,
                      "required revision has been compacted");
    }
    put_header(request->cluster, request->out, 0, NULL);
    tk_cl_kv_range(request->cluster, &query, request->out);
    return TK_GRPC_OK;
}

/* The body comes first, the header knows the new revision. */
int
tk_cl_meta_put(struct tk_cl_request *request)
{
    struct tk_cl_fields *fields = &request->fields;
    int64_t lease = (int64_t)fields->numbers[4];

    if (fields->bytes[2].len == 0) {
        return refuse(request, META_UNKNOWN, "key is not provided");
    }
    if (lease != 0 && tk_cl_lease_find(request->cluster, lease) == NULL) {
        return refuse(request, META_UNKNOWN, "requested lease not found");
    }
    if (!tk_cl_kv_put(request->cluster, fields->bytes[2], fields->bytes[3],
                      lease, fields->numbers[5] != 0, request->out)) {
        return tk_cl_pd_no_memory(request);
    }
    put_header(request->cluster, request->out, 0, NULL);
    return TK_GRPC_OK;
}

int
tk_cl_meta_delete(struct tk_cl_request *request)
{
    struct tk_cl_fields *fields = &request->fields;

    if (fields->bytes[2].len == 0) {
        return refuse(request, META_UNKNOWN, "key is not provided");
    }
    if (!tk_cl_kv_delete(request->cluster, fields->bytes[2], fields->bytes[3],
                         fields->numbers[4] != 0, request->out)) {
        return tk_cl_pd_no_memory(request);
    }
    put_header(request->cluster, request->out, 0, NULL);
    return TK_GRPC_OK;
}

static void
begin(struct tk_cluster_stream *stream, const struct tk_cl_watch *watch,
      struct tk_buf *out)
{
    (void)watch;
    put_header(stream->cluster, out, 0, NULL);
}

static void
event(struct tk_cluster_stream *stream, const struct tk_cl_watch *watch,
      const struct tk_ledger_version *version, struct tk_buf *out)
{
    (void)stream;
    tk_cl_put_event(out, 3, watch, version);
}

int
tk_cl_meta_watch(struct tk_cl_request *request)
{
    static const struct tk_cl_watch_kind kind = { begin, event };
    const struct tk_ledger *ledger = &request->cluster->pd->ledger;
    int64_t since = (int64_t)request->fields.numbers[4];
    struct tk_cl_watch *watch;

    if (request->fields.bytes[2].len == 0) {
        return tk_cl_status(request, TK_GRPC_INVALID_ARGUMENT,
                            "key is not provided");
    }
    if (since > 0 && since < ledger->compacted) {
        put_header(request->cluster, request->out, META_COMPACTED,
                   "required watch revision is compacted");
        tk_put_u64(request->out, 2, (uint64_t)ledger->compacted);
        tk_cl_stream_last_words(request, TK_GRPC_OK, "");
        return TK_GRPC_OK;
    }
    watch = tk_cl_watch_add(request->stream, &kind, request->fields.bytes[2],
                            request->fields.bytes[3], since);
    if (watch == NULL) {
        return tk_cl_pd_no_memory(request);
    }
    watch->with_prev = request->fields.numbers[5] != 0;
    tk_cl_watch_tell(request->stream, watch);
    request->is_quiet = true;
    return TK_GRPC_OK;
}
