/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PD's ports as etcd: the part of it that clients of TiKV use, over the same
 * ledger as everything else. Every member answers, as all of them are etcd.
 * The operations inside of a transaction are the calls of the same name.
 */
#include <stdio.h>

#include "base/alloc.h"
#include "base/slice.h"
#include "cluster/pd_kv.h"

enum { OPS_MAX = 128, DEPTH_MAX = 4, TERM = 2 };

static const int64_t ttl_max = INT64_C(9000000000);

static void
put_header(struct tk_cl_request *request, struct tk_buf *out)
{
    size_t mark = tk_put_begin(out, 1);

    tk_put_u64(out, 1, request->cluster->id);
    tk_put_u64(out, 2, request->member + UINT64_C(1));
    tk_put_u64(out, 3, (uint64_t)request->cluster->pd->ledger.revision);
    tk_put_u64(out, 4, TERM);
    tk_put_end(out, mark);
}

/* ---- operations: a message each, answered into `out` ---- */

static int
no_key(struct tk_cl_request *request)
{
    return tk_cl_status(request, TK_GRPC_INVALID_ARGUMENT,
                        "etcdserver: key is not provided");
}

static int
do_range(struct tk_cl_request *request, const struct tk_cl_fields *fields,
         struct tk_buf *out)
{
    const uint64_t *numbers = fields->numbers;
    const struct tk_cl_query query = {
        .start = fields->bytes[1],
        .end = fields->bytes[2],
        .limit = (int64_t)numbers[3],
        .revision = (int64_t)numbers[4],
        .order = (uint32_t)numbers[5],
        .target = (uint32_t)numbers[6],
        .keys_only = numbers[8] != 0,
        .count_only = numbers[9] != 0,
        .least_mod = (int64_t)numbers[10],
        .most_mod = (int64_t)numbers[11],
        .least_create = (int64_t)numbers[12],
        .most_create = (int64_t)numbers[13],
    };
    enum tk_cl_kv_state state =
        tk_cl_kv_check(request->cluster, query.revision);

    if (query.start.len == 0) {
        return no_key(request);
    }
    if (state != TK_CL_KV_OK) {
        return tk_cl_status(request, TK_GRPC_OUT_OF_RANGE,
                            state == TK_CL_KV_FUTURE
                                ? "etcdserver: mvcc: required revision is a "
                                  "future revision"
                                : "etcdserver: mvcc: required revision has "
                                  "been compacted");
    }
    put_header(request, out);
    tk_cl_kv_range(request->cluster, &query, out);
    return TK_GRPC_OK;
}

static int
do_put(struct tk_cl_request *request, const struct tk_cl_fields *fields,
       struct tk_buf *out)
{
    const struct tk_ledger_version *old =
        tk_ledger_get(&request->cluster->pd->ledger, fields->bytes[1]);
    tikv_slice value = fields->bytes[2];
    int64_t lease = (int64_t)fields->numbers[3];
    struct tk_buf copy;
    bool ok;

    if (fields->bytes[1].len == 0) {
        return no_key(request);
    }
    if ((fields->numbers[5] != 0 || fields->numbers[6] != 0) && old == NULL) {
        return tk_cl_status(request, TK_GRPC_INVALID_ARGUMENT,
                            "etcdserver: key not found");
    }
    if (fields->numbers[6] != 0) {
        lease = old->lease;
    }
    if (lease != 0 && tk_cl_lease_find(request->cluster, lease) == NULL) {
        return tk_cl_status(request, TK_GRPC_NOT_FOUND,
                            "etcdserver: requested lease not found");
    }
    tk_buf_init(&copy, SIZE_MAX / 4);
    if (fields->numbers[5] != 0) {
        tk_buf_append_slice(&copy, tk_ledger_value(old));
        value = tk_buf_slice(&copy);
    }
    ok = !copy.failed &&
         tk_cl_kv_put(request->cluster, fields->bytes[1], value, lease,
                      fields->numbers[4] != 0, out);
    tk_buf_fini(&copy);
    put_header(request, out);
    return ok ? TK_GRPC_OK : tk_cl_pd_no_memory(request);
}

static int
do_delete(struct tk_cl_request *request, const struct tk_cl_fields *fields,
          struct tk_buf *out)
{
    bool ok;

    if (fields->bytes[1].len == 0) {
        return no_key(request);
    }
    ok = tk_cl_kv_delete(request->cluster, fields->bytes[1], fields->bytes[2],
                         fields->numbers[3] != 0, out);
    put_header(request, out);
    return ok ? TK_GRPC_OK : tk_cl_pd_no_memory(request);
}

int
tk_cl_etcd_range(struct tk_cl_request *request)
{
    return do_range(request, &request->fields, request->out);
}

int
tk_cl_etcd_put(struct tk_cl_request *request)
{
    return do_put(request, &request->fields, request->out);
}

int
tk_cl_etcd_delete(struct tk_cl_request *request)
{
    return do_delete(request, &request->fields, request->out);
}

/* ---- transactions ---- */

static int
order_of(const struct tk_ledger_version *version,
         const struct tk_cl_fields *compare)
{
    const uint64_t *numbers = compare->numbers;
    int64_t have[] = { 0, 0, 0, 0, 0 };
    uint64_t target = numbers[2];
    int64_t want;

    if (target == 3) {
        return tk_slice_compare(version == NULL ? tk_slice(NULL, 0)
                                                : tk_ledger_value(version),
                                compare->bytes[7]);
    }
    if (target > 4) {
        return 0;
    }
    if (version != NULL) {
        have[0] = version->version;
        have[1] = version->create;
        have[2] = version->mod;
        have[4] = version->lease;
    }
    want = (int64_t)numbers[target == 4 ? 8 : 4 + target];
    return have[target] < want ? -1 : have[target] > want;
}

/* A comparison of a value that is not there holds for nothing. */
static bool
holds(const struct tk_ledger_version *version,
      const struct tk_cl_fields *compare)
{
    int order = order_of(version, compare);

    if (version == NULL && compare->numbers[2] == 3) {
        return false;
    }
    switch (compare->numbers[1]) {
    case 0:
        return order == 0;
    case 1:
        return order > 0;
    case 2:
        return order < 0;
    default:
        return order != 0;
    }
}

/* Field 64, which is out of the range of tk_cl_fields. */
static bool
compare_holds(struct tk_cl_request *request, tikv_slice bytes)
{
    const struct tk_ledger *ledger = &request->cluster->pd->ledger;
    struct tk_cl_fields compare;
    struct tk_cl_map_at at;
    tikv_slice end;
    size_t place = 0;

    if (!tk_cl_decode(bytes, &compare)) {
        return false;
    }
    if (!tk_cl_each(bytes, 64, &place, &end) || end.len == 0) {
        return holds(tk_ledger_get(ledger, compare.bytes[3]), &compare);
    }
    at = tk_ledger_from(ledger, compare.bytes[3]);
    for (; at.item != NULL &&
           tk_cl_in_span(at.item->key, compare.bytes[3], end);
         tk_cl_map_next(&at)) {
        const struct tk_ledger_version *newest = tk_ledger_item(&at)->newest;

        if (!tk_ledger_is_deleted(newest) && !holds(newest, &compare)) {
            return false;
        }
    }
    return true;
}

static int
do_txn(struct tk_cl_request *request, tikv_slice body, int depth,
       struct tk_buf *out);

/* One RequestOp; its answer is a ResponseOp in field 3. */
static int
do_op(struct tk_cl_request *request, tikv_slice bytes, int depth,
      struct tk_buf *out)
{
    struct tk_cl_fields op;
    struct tk_cl_fields inner;
    size_t mark = tk_put_begin(out, 3);
    uint32_t which = 1;
    size_t answer;
    int status;

    if (!tk_cl_decode(bytes, &op)) {
        return tk_cl_status(request, TK_GRPC_INTERNAL, "cannot read the op");
    }
    while (which < 4 && op.counts[which] == 0) {
        which++;
    }
    if (!tk_cl_decode(op.bytes[which], &inner)) {
        return tk_cl_status(request, TK_GRPC_INTERNAL, "cannot read the op");
    }
    answer = tk_put_begin(out, which);
    if (which == 1) {
        status = do_range(request, &inner, out);
    } else if (which == 2) {
        status = do_put(request, &inner, out);
    } else if (which == 3) {
        status = do_delete(request, &inner, out);
    } else {
        status = do_txn(request, op.bytes[4], depth + 1, out);
    }
    tk_put_end(out, answer);
    tk_put_end(out, mark);
    return status;
}

/* Everything that can be refused is, before anything is changed: nested ones
 * too, whichever side is taken. */
static int
check_ops(struct tk_cl_request *request, tikv_slice body, uint32_t field,
          int depth, struct tk_buf *keys)
{
    tikv_slice bytes;
    size_t count = 0;
    size_t at = 0;
    int status = TK_GRPC_OK;

    while (status == TK_GRPC_OK && tk_cl_each(body, field, &at, &bytes)) {
        struct tk_cl_fields op;
        struct tk_cl_fields put;
        tikv_slice known;
        size_t place = 0;

        if (++count > OPS_MAX || depth > DEPTH_MAX ||
            !tk_cl_decode(bytes, &op)) {
            return tk_cl_status(
                request, TK_GRPC_INVALID_ARGUMENT,
                "etcdserver: too many operations in txn request");
        }
        if (op.counts[4] > 0) {
            status = check_ops(request, op.bytes[4], 2, depth + 1, keys);
            if (status == TK_GRPC_OK) {
                status = check_ops(request, op.bytes[4], 3, depth + 1, keys);
            }
        }
        if (op.counts[2] == 0 || !tk_cl_decode(op.bytes[2], &put)) {
            continue;
        }
        if (put.bytes[1].len == 0) {
            return no_key(request);
        }
        while (tk_cl_each(tk_buf_slice(keys), 1, &place, &known)) {
            if (tk_slice_equal(known, put.bytes[1])) {
                return tk_cl_status(
                    request, TK_GRPC_INVALID_ARGUMENT,
                    "etcdserver: duplicate key given in txn request");
            }
        }
        tk_put_bytes(keys, 1, put.bytes[1]);
    }
    return status;
}

static int
do_txn(struct tk_cl_request *request, tikv_slice body, int depth,
       struct tk_buf *out)
{
    bool succeeds = true;
    tikv_slice bytes;
    size_t at = 0;
    int status = TK_GRPC_OK;

    while (succeeds && tk_cl_each(body, 1, &at, &bytes)) {
        succeeds = compare_holds(request, bytes);
    }
    tk_put_u64(out, 2, succeeds);
    at = 0;
    while (status == TK_GRPC_OK &&
           tk_cl_each(body, succeeds ? 2 : 3, &at, &bytes)) {
        status = do_op(request, bytes, depth, out);
    }
    put_header(request, out);
    return status;
}

int
tk_cl_etcd_txn(struct tk_cl_request *request)
{
    struct tk_buf keys;
    uint32_t side;
    int status = TK_GRPC_OK;

    for (side = 2; status == TK_GRPC_OK && side <= 3; side++) {
        tk_buf_init(&keys, SIZE_MAX / 4);
        status = check_ops(request, request->body, side, 0, &keys);
        tk_buf_fini(&keys);
    }
    if (status != TK_GRPC_OK) {
        return status;
    }
    tk_ledger_begin(&request->cluster->pd->ledger);
    status = do_txn(request, request->body, 0, request->out);
    tk_ledger_end(&request->cluster->pd->ledger);
    return status;
}

int
tk_cl_etcd_compact(struct tk_cl_request *request)
{
    struct tk_ledger *ledger = &request->cluster->pd->ledger;
    int64_t revision = (int64_t)request->fields.numbers[1];

    if (revision > ledger->revision || revision <= ledger->compacted) {
        return tk_cl_status(request, TK_GRPC_OUT_OF_RANGE,
                            revision > ledger->revision
                                ? "etcdserver: mvcc: required revision is a "
                                  "future revision"
                                : "etcdserver: mvcc: required revision has "
                                  "been compacted");
    }
    tk_ledger_compact(ledger, revision);
    put_header(request, request->out);
    return TK_GRPC_OK;
}

/* ---- watching ---- */

static void
begin(struct tk_cluster_stream *stream, const struct tk_cl_watch *watch,
      struct tk_buf *out)
{
    put_header(&stream->request, out);
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
    put_header(request, out);
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
        put_header(request, request->out);
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
    struct tk_cl_pd *pd = request->cluster->pd;
    int64_t ttl_s = (int64_t)request->fields.numbers[1];
    int64_t id = (int64_t)request->fields.numbers[2];
    struct tk_cl_lease **link = &pd->leases;
    struct tk_cl_lease *lease;

    if (ttl_s > ttl_max) {
        return tk_cl_status(request, TK_GRPC_OUT_OF_RANGE,
                            "etcdserver: too large lease TTL");
    }
    if (id != 0 && tk_cl_lease_find(request->cluster, id) != NULL) {
        return tk_cl_status(request, TK_GRPC_FAILED_PRECONDITION,
                            "etcdserver: lease already exists");
    }
    lease = tk_calloc(sizeof(*lease));
    if (lease == NULL) {
        return tk_cl_pd_no_memory(request);
    }
    while (id == 0 || tk_cl_lease_find(request->cluster, id) != NULL) {
        id = ++pd->leases_last;
    }
    lease->id = id;
    lease->ttl_s = ttl_s > 0 ? ttl_s : 1;
    while (*link != NULL) {
        link = &(*link)->next;
    }
    *link = lease;
    renew(request->cluster, lease);
    put_header(request, request->out);
    tk_put_u64(request->out, 2, (uint64_t)id);
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
    put_header(request, request->out);
    return TK_GRPC_OK;
}

/* One message of a LeaseKeepAlive stream; without a lease no TTL. */
int
tk_cl_lease_keep_alive(struct tk_cl_request *request)
{
    int64_t id = (int64_t)request->fields.numbers[1];
    struct tk_cl_lease *lease = tk_cl_lease_find(request->cluster, id);

    put_header(request, request->out);
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

    put_header(request, out);
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
    char text[TK_CL_ADDRESS_MAX + 16];
    uint32_t i;

    put_header(request, out);
    for (i = 0; i < cluster->members_count; i++) {
        size_t mark = tk_put_begin(out, 2);

        tk_put_u64(out, 1, i + UINT64_C(1));
        (void)snprintf(text, sizeof(text), "pd-%u", i);
        tk_put_text(out, 2, text);
        (void)snprintf(text, sizeof(text), "http://%s",
                       cluster->members[i].address);
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

    put_header(request, request->out);
    tk_put_text(request->out, 2, "3.5.9");
    if (cluster->leader != UINT32_MAX) {
        tk_put_u64(request->out, 4, cluster->leader + UINT64_C(1));
    }
    tk_put_u64(request->out, 5, index);
    tk_put_u64(request->out, 6, TERM);
    tk_put_u64(request->out, 7, index);
    return TK_GRPC_OK;
}
