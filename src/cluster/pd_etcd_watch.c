/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PD's ports as etcd, beside its keys: several watches in one stream, leases,
 * and who the members are.
 */
#include <stdio.h>

#include "base/alloc.h"
#include "base/slice.h"
#include "cluster/pd_kv.h"

static const int64_t ttl_max = INT64_C(9000000000);

/* ---- watching ---- */

static void
begin(struct tk_cluster_stream *stream, const struct tk_cl_watch *watch,
      struct tk_buf *out)
{
    tk_cl_etcd_header(&stream->request, out);
    tk_put_u64(out, 2, (uint64_t)watch->id);
}

static void
event(struct tk_cluster_stream *stream, const struct tk_cl_watch *watch,
      const struct tk_ledger_version *version, struct tk_buf *out)
{
    (void)stream;
    tk_cl_put_event(out, 11, watch, version);
}

static void
answer_watch(struct tk_cl_request *request, struct tk_buf *out, int64_t id,
             bool is_new)
{
    tk_cl_etcd_header(request, out);
    tk_put_u64(out, 2, (uint64_t)id);
    tk_put_u64(out, is_new ? 3 : 4, 1);
}

/* "created" goes out ahead of what has happened already. */
static int
create_watch(struct tk_cl_request *request, tikv_slice body)
{
    static const struct tk_cl_watch_kind kind = { begin, event };
    struct tk_cluster_stream *stream = request->stream;
    const struct tk_ledger *ledger = &request->cluster->pd->ledger;
    struct tk_cl_message *message;
    struct tk_cl_fields fields;
    struct tk_cl_watch *watch;
    struct tk_buf filters;
    size_t i;

    if (!tk_cl_decode(body, &fields)) {
        return tk_cl_status(request, TK_GRPC_INTERNAL, "cannot read it");
    }
    watch = tk_cl_watch_add(stream, &kind, fields.bytes[1], fields.bytes[2],
                            (int64_t)fields.numbers[3]);
    message = tk_cl_message_new(stream);
    if (watch == NULL || message == NULL) {
        tk_cl_message_free(stream, message);
        return tk_cl_pd_no_memory(request);
    }
    watch->with_prev = fields.numbers[6] != 0;
    tk_buf_init(&filters, SIZE_MAX / 4);
    (void)tk_cl_each_number(body, 5, &filters);
    for (i = 0; i + 8 <= filters.len; i += 8) {
        watch->no_put = watch->no_put || filters.data[i] == 0;
        watch->no_delete = watch->no_delete || filters.data[i] == 1;
    }
    tk_buf_fini(&filters);
    answer_watch(request, &message->bytes, watch->id, true);
    tk_cl_stream_queue(stream, message);
    if (watch->since < ledger->compacted) {
        answer_watch(request, request->out, watch->id, false);
        tk_put_u64(request->out, 5, (uint64_t)ledger->compacted);
        (void)tk_cl_watch_remove(stream, watch->id);
        return TK_GRPC_OK;
    }
    tk_cl_watch_tell(stream, watch);
    request->is_quiet = true;
    return TK_GRPC_OK;
}

/* One message of a Watch stream. */
int
tk_cl_etcd_watch(struct tk_cl_request *request)
{
    struct tk_cl_fields fields;

    if (request->fields.counts[1] > 0) {
        return create_watch(request, request->fields.bytes[1]);
    }
    if (request->fields.counts[3] > 0) {
        tk_cl_etcd_header(request, request->out);
        tk_put_u64(request->out, 2, (uint64_t)-1);
        return TK_GRPC_OK;
    }
    if (!tk_cl_decode(request->fields.bytes[2], &fields) ||
        !tk_cl_watch_remove(request->stream, (int64_t)fields.numbers[1])) {
        request->is_quiet = true;
        return TK_GRPC_OK;
    }
    answer_watch(request, request->out, (int64_t)fields.numbers[1], false);
    return TK_GRPC_OK;
}

/* ---- leases ---- */

static int
no_lease(struct tk_cl_request *request)
{
    return tk_cl_status(request, TK_GRPC_NOT_FOUND,
                        "etcdserver: requested lease not found");
}

static void
renew(struct tk_cluster *cluster, struct tk_cl_lease *lease)
{
    lease->ends_ms = tk_cl_wall_ms(cluster) + lease->ttl_s * 1000;
    tk_cl_lease_arm(cluster);
}

int
tk_cl_lease_grant(struct tk_cl_request *request)
{
    int64_t ttl_s = (int64_t)request->fields.numbers[1];
    int64_t id = (int64_t)request->fields.numbers[2];
    struct tk_cl_lease *lease;

    if (ttl_s > ttl_max) {
        return tk_cl_status(request, TK_GRPC_OUT_OF_RANGE,
                            "etcdserver: too large lease TTL");
    }
    if (id != 0 && tk_cl_lease_find(request->cluster, id) != NULL) {
        return tk_cl_status(request, TK_GRPC_FAILED_PRECONDITION,
                            "etcdserver: lease already exists");
    }
    lease = tk_cl_lease_add(request->cluster, id, ttl_s > 0 ? ttl_s : 1);
    if (lease == NULL) {
        return tk_cl_pd_no_memory(request);
    }
    tk_cl_lease_arm(request->cluster);
    tk_cl_etcd_header(request, request->out);
    tk_put_u64(request->out, 2, (uint64_t)lease->id);
    tk_put_u64(request->out, 3, (uint64_t)lease->ttl_s);
    return TK_GRPC_OK;
}

int
tk_cl_lease_end(struct tk_cl_request *request)
{
    int64_t id = (int64_t)request->fields.numbers[1];

    if (tk_cl_lease_find(request->cluster, id) == NULL) {
        return no_lease(request);
    }
    if (!tk_cl_lease_revoke(request->cluster, id)) {
        return tk_cl_pd_no_memory(request);
    }
    tk_cl_lease_arm(request->cluster);
    tk_cl_etcd_header(request, request->out);
    return TK_GRPC_OK;
}

/* One message of a LeaseKeepAlive stream; without a lease no TTL. */
int
tk_cl_lease_keep_alive(struct tk_cl_request *request)
{
    int64_t id = (int64_t)request->fields.numbers[1];
    struct tk_cl_lease *lease = tk_cl_lease_find(request->cluster, id);

    tk_cl_etcd_header(request, request->out);
    tk_put_u64(request->out, 2, (uint64_t)id);
    if (lease != NULL) {
        renew(request->cluster, lease);
        tk_put_u64(request->out, 3, (uint64_t)lease->ttl_s);
    }
    return TK_GRPC_OK;
}

int
tk_cl_lease_left(struct tk_cl_request *request)
{
    struct tk_cluster *cluster = request->cluster;
    int64_t id = (int64_t)request->fields.numbers[1];
    const struct tk_cl_lease *lease = tk_cl_lease_find(cluster, id);
    struct tk_cl_map_at at =
        tk_ledger_from(&cluster->pd->ledger, tk_slice(NULL, 0));
    struct tk_buf *out = request->out;

    tk_cl_etcd_header(request, out);
    tk_put_u64(out, 2, (uint64_t)id);
    if (lease == NULL) {
        tk_put_u64(out, 3, (uint64_t)-1);
        return TK_GRPC_OK;
    }
    tk_put_u64(out, 3,
               (uint64_t)((lease->ends_ms - tk_cl_wall_ms(cluster)) / 1000));
    tk_put_u64(out, 4, (uint64_t)lease->ttl_s);
    for (; request->fields.numbers[2] != 0 && at.item != NULL;
         tk_cl_map_next(&at)) {
        const struct tk_ledger_version *newest = tk_ledger_item(&at)->newest;

        if (newest->lease == id && !tk_ledger_is_deleted(newest)) {
            tk_put_bytes(out, 5, at.item->key);
        }
    }
    return TK_GRPC_OK;
}

/* ---- the cluster ---- */

int
tk_cl_etcd_members(struct tk_cl_request *request)
{
    struct tk_cluster *cluster = request->cluster;
    struct tk_buf *out = request->out;
    char text[TK_PD_URL_MAX];
    uint32_t i;

    tk_cl_etcd_header(request, out);
    for (i = 0; i < cluster->members_count; i++) {
        size_t mark = tk_put_begin(out, 2);

        tk_put_u64(out, 1, i + UINT64_C(1));
        (void)snprintf(text, sizeof(text), "pd-%u", i);
        tk_put_text(out, 2, text);
        (void)tk_cl_pd_url(cluster, i, text);
        tk_put_text(out, 3, text);
        tk_put_text(out, 4, text);
        tk_put_end(out, mark);
    }
    return TK_GRPC_OK;
}

int
tk_cl_etcd_status(struct tk_cl_request *request)
{
    struct tk_cluster *cluster = request->cluster;
    uint64_t index = (uint64_t)cluster->pd->ledger.revision;

    tk_cl_etcd_header(request, request->out);
    tk_put_text(request->out, 2, "3.5.9");
    if (cluster->leader != UINT32_MAX) {
        tk_put_u64(request->out, 4, cluster->leader + UINT64_C(1));
    }
    tk_put_u64(request->out, 5, index);
    tk_put_u64(request->out, 6, TK_CL_ETCD_TERM);
    tk_put_u64(request->out, 7, index);
    return TK_GRPC_OK;
}
