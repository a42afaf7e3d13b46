/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PD's ports as etcd: the part of it that clients of TiKV use, over the same
 * ledger as everything else. Every member answers, as all of them are etcd.
 * The operations inside of a transaction are the calls of the same name.
 */
#include "base/slice.h"
#include "cluster/pd_kv.h"

enum { OPS_MAX = 128, DEPTH_MAX = 4 };

void
tk_cl_etcd_header(struct tk_cl_request *request, struct tk_buf *out)
{
    size_t mark = tk_put_begin(out, 1);

    tk_put_u64(out, 1, request->cluster->id);
    tk_put_u64(out, 2, request->member + UINT64_C(1));
    tk_put_u64(out, 3, (uint64_t)request->cluster->pd->ledger.revision);
    tk_put_u64(out, 4, TK_CL_ETCD_TERM);
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
    tk_cl_etcd_header(request, out);
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
    tk_cl_etcd_header(request, out);
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
    tk_cl_etcd_header(request, out);
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
    tk_cl_etcd_header(request, out);
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
    tk_cl_etcd_header(request, request->out);
    return TK_GRPC_OK;
}
