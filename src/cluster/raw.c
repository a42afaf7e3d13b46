/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw commands on keys that are named: get, put, delete, their batches, time
 * to live, compare-and-swap. Checks run in TiKV's order: what the request is
 * (version, column family, sizes, ttl), then where it belongs (region, key).
 */
#include "base/slice.h"
#include "cluster/flow.h"
#include "wire/key.h"

static const char ttl_refused[] =
    "ttl is not enabled, but a request with ttl was received";
static const char key_refused[] =
    "max key size exceeded: key is larger than 8192 bytes";
static const char no_memory[] = "out of memory";

int
tk_cl_raw_fail(struct tk_cl_request *request, const char *text)
{
    struct tk_buf *out = request->out;
    size_t pair;
    size_t error;

    if (out->len > request->out_start) {
        tk_buf_cut(out, request->out_start, out->len - request->out_start);
    }
    if (request->method->error != 0) {
        tk_put_text(out, request->method->error, text);
        return TK_GRPC_OK;
    }
    pair = tk_put_begin(out, 2);
    error = tk_put_begin(out, 1);
    tk_put_text(out, 3, text); /* KeyError.abort */
    tk_put_end(out, error);
    tk_put_end(out, pair);
    return TK_GRPC_OK;
}

void
tk_cl_raw_put_pair(struct tk_buf *out, tikv_slice key, tikv_slice value)
{
    size_t pair = tk_put_begin(out, 2);

    tk_put_bytes(out, 2, key);
    tk_put_bytes(out, 3, value);
    tk_put_end(out, pair);
}

bool
tk_cl_raw_check_key(struct tk_cl_request *request, tikv_slice key)
{
    return request->cluster->api == TIKV_CLUSTER_API_V2
               ? tk_cl_check_key(request,
                                 tk_mvcc_encode(&request->cluster->mvcc, key))
               : tk_cl_check_key(request, key);
}

bool
tk_cl_raw_check_bound(struct tk_cl_request *request, tikv_slice key)
{
    return request->cluster->api == TIKV_CLUSTER_API_V2
               ? tk_cl_check_bound(
                     request, tk_mvcc_encode(&request->cluster->mvcc, key))
               : tk_cl_check_bound(request, key);
}

/* NULL, or why the column family cannot be used. */
static const char *
find_cf(const struct tk_cl_request *request, tikv_slice name, enum tk_cf *cf)
{
    *cf = TK_CF_DEFAULT;
    if (name.len == 0) {
        return NULL;
    }
    if (request->cluster->api == TIKV_CLUSTER_API_V2) {
        return "cf is deprecated in API V2";
    }
    if (tk_slice_equal(name, tk_slice_text("lock"))) {
        *cf = TK_CF_LOCK;
    } else if (tk_slice_equal(name, tk_slice_text("write"))) {
        *cf = TK_CF_WRITE;
    } else if (!tk_slice_equal(name, tk_slice_text("default"))) {
        return "invalid cf name";
    }
    return NULL;
}

/* Everything before keys and region; false: answered. */
static bool
open_command(struct tk_cl_request *request, uint32_t cf_field, enum tk_cf *cf)
{
    const char *refusal;

    *cf = TK_CF_DEFAULT;
    if (!tk_cl_check_busy(request)) {
        return false;
    }
    refusal = tk_cl_check_mode(request, true);
    if (refusal == NULL && cf_field != 0) {
        refusal = find_cf(request, request->fields.bytes[cf_field], cf);
    }
    if (refusal != NULL) {
        (void)tk_cl_raw_fail(request, refusal);
    }
    return refusal == NULL;
}

bool
tk_cl_raw_open(struct tk_cl_request *request, uint32_t cf_field,
               enum tk_cf *cf)
{
    return open_command(request, cf_field, cf) && tk_cl_check_region(request);
}

static bool
has_ttl(const struct tk_cl_request *request)
{
    return request->cluster->api != TIKV_CLUSTER_API_V1;
}

static bool
is_too_long(const struct tk_cl_request *request, tikv_slice key)
{
    size_t len = request->cluster->api == TIKV_CLUSTER_API_V2
                     ? tk_key_encoded_len(key.len)
                     : key.len;

    return len > TK_CL_KEY_MAX;
}

/* Values of V2 are written at a timestamp, which the store must be able to
 * choose; and the size. */
static bool
check_write(struct tk_cl_request *request)
{
    const struct tk_cl_error unsynced = {
        .kind = TK_CL_MAX_TIMESTAMP_NOT_SYNCED
    };

    if (request->cluster->api == TIKV_CLUSTER_API_V2 &&
        request->store->max_ts_stale) {
        tk_cl_answer_error(request, &unsynced);
        return false;
    }
    return tk_cl_check_entry(request);
}

static uint64_t
expires_at(const struct tk_cl_request *request, uint64_t ttl)
{
    if (ttl == 0) {
        return 0;
    }
    return ttl > UINT64_MAX - request->now_s ? UINT64_MAX
                                             : request->now_s + ttl;
}

int
tk_cl_raw_get(struct tk_cl_request *request)
{
    tikv_slice key = request->fields.bytes[2];
    const struct tk_raw_item *raw;
    enum tk_cf cf;

    if (!tk_cl_raw_open(request, 3, &cf) ||
        !tk_cl_raw_check_key(request, key)) {
        return TK_GRPC_OK;
    }
    raw = tk_engine_get(&request->cluster->engine, cf, key, request->now_s);
    if (raw == NULL) {
        tk_put_u64(request->out, 4, 1);
    } else {
        tk_put_bytes(request->out, 3, tk_raw_value(raw));
    }
    return TK_GRPC_OK;
}

int
tk_cl_raw_put(struct tk_cl_request *request)
{
    tikv_slice key = request->fields.bytes[2];
    uint64_t ttl = request->fields.numbers[5];
    enum tk_cf cf;

    if (!open_command(request, 4, &cf)) {
        return TK_GRPC_OK;
    }
    if (is_too_long(request, key)) {
        return tk_cl_raw_fail(request, key_refused);
    }
    if (ttl != 0 && !has_ttl(request)) {
        return tk_cl_raw_fail(request, ttl_refused);
    }
    if (!tk_cl_check_region(request) || !tk_cl_raw_check_key(request, key) ||
        !check_write(request)) {
        return TK_GRPC_OK;
    }
    if (!tk_engine_put(&request->cluster->engine, cf, key,
                       request->fields.bytes[3], expires_at(request, ttl))) {
        return tk_cl_raw_fail(request, no_memory);
    }
    return TK_GRPC_OK;
}

int
tk_cl_raw_delete(struct tk_cl_request *request)
{
    tikv_slice key = request->fields.bytes[2];
    enum tk_cf cf;

    if (!open_command(request, 3, &cf)) {
        return TK_GRPC_OK;
    }
    if (is_too_long(request, key)) {
        return tk_cl_raw_fail(request, key_refused);
    }
    if (!tk_cl_check_region(request) || !tk_cl_raw_check_key(request, key) ||
        !check_write(request)) {
        return TK_GRPC_OK;
    }
    tk_engine_delete(&request->cluster->engine, cf, key);
    return TK_GRPC_OK;
}

int
tk_cl_raw_batch_get(struct tk_cl_request *request)
{
    tikv_slice key;
    enum tk_cf cf;
    size_t at = 0;

    if (!tk_cl_raw_open(request, 3, &cf)) {
        return TK_GRPC_OK;
    }
    while (tk_cl_each(request->body, 2, &at, &key)) {
        const struct tk_raw_item *raw;

        if (!tk_cl_raw_check_key(request, key)) {
            return TK_GRPC_OK;
        }
        raw = tk_engine_get(&request->cluster->engine, cf, key,
                            request->now_s);
        if (raw != NULL) {
            tk_cl_raw_put_pair(request->out, key, tk_raw_value(raw));
        }
    }
    return TK_GRPC_OK;
}

/* The ttls of a batch put, one a pair; NULL, or why not. */
static const char *
read_ttls(struct tk_cl_request *request, size_t pairs, struct tk_buf *ttls)
{
    const uint64_t *numbers;
    size_t count;
    size_t i;

    if (!tk_cl_each_number(request->body, 6, ttls)) {
        return "cannot read ttls";
    }
    numbers = (const uint64_t *)(const void *)ttls->data;
    count = ttls->len / sizeof(*numbers);
    if (!has_ttl(request)) {
        for (i = 0; i < count; i++) {
            if (numbers[i] != 0) {
                return ttl_refused;
            }
        }
        tk_buf_clear(ttls);
        return NULL;
    }
    if (count > 1 && count != pairs) {
        return "The length of ttls does not equal to the length of pairs";
    }
    return NULL;
}

static uint64_t
ttl_of(const struct tk_buf *ttls, size_t index)
{
    const uint64_t *numbers = (const uint64_t *)(const void *)ttls->data;
    size_t count = ttls->len / sizeof(*numbers);

    return count == 0 ? 0 : numbers[count == 1 ? 0 : index];
}

/* Checks before the first write: a batch is put whole or not at all. */
static bool
check_pairs(struct tk_cl_request *request)
{
    struct tk_cl_fields pair;
    tikv_slice bytes;
    size_t at = 0;

    while (tk_cl_each(request->body, 2, &at, &bytes)) {
        if (!tk_cl_decode(bytes, &pair)) {
            (void)tk_cl_raw_fail(request, "cannot read a pair");
            return false;
        }
        if (!tk_cl_raw_check_key(request, pair.bytes[2])) {
            return false;
        }
    }
    return check_write(request);
}

static int
put_pairs(struct tk_cl_request *request, enum tk_cf cf,
          const struct tk_buf *ttls)
{
    struct tk_cl_fields pair;
    tikv_slice bytes;
    size_t index = 0;
    size_t at = 0;

    while (tk_cl_each(request->body, 2, &at, &bytes)) {
        uint64_t ttl = ttl_of(ttls, index++);

        if (tk_cl_decode(bytes, &pair) &&
            !tk_engine_put(&request->cluster->engine, cf, pair.bytes[2],
                           pair.bytes[3], expires_at(request, ttl))) {
            return tk_cl_raw_fail(request, no_memory);
        }
    }
    return TK_GRPC_OK;
}

/* The longest key of a repeated field; pairs have theirs inside. */
static bool
keys_fit(const struct tk_cl_request *request, bool in_pairs)
{
    tikv_slice bytes;
    size_t at = 0;

    while (tk_cl_each(request->body, 2, &at, &bytes)) {
        struct tk_cl_fields pair;
        tikv_slice key = bytes;

        if (in_pairs) {
            key = tk_cl_decode(bytes, &pair) ? pair.bytes[2]
                                             : (tikv_slice){ NULL, 0 };
        }
        if (is_too_long(request, key)) {
            return false;
        }
    }
    return true;
}

int
tk_cl_raw_batch_put(struct tk_cl_request *request)
{
    struct tk_buf ttls;
    const char *refusal;
    enum tk_cf cf;
    int status = TK_GRPC_OK;

    if (!open_command(request, 3, &cf)) {
        return TK_GRPC_OK;
    }
    if (!keys_fit(request, true)) {
        return tk_cl_raw_fail(request, key_refused);
    }
    tk_buf_init(&ttls, SIZE_MAX / 4);
    refusal = read_ttls(request, request->fields.counts[2], &ttls);
    if (refusal != NULL) {
        status = tk_cl_raw_fail(request, refusal);
    } else if (tk_cl_check_region(request) && check_pairs(request)) {
        status = put_pairs(request, cf, &ttls);
    }
    tk_buf_fini(&ttls);
    return status;
}

int
tk_cl_raw_batch_delete(struct tk_cl_request *request)
{
    tikv_slice key;
    enum tk_cf cf;
    size_t at = 0;

    if (!open_command(request, 3, &cf)) {
        return TK_GRPC_OK;
    }
    if (!keys_fit(request, false)) {
        return tk_cl_raw_fail(request, key_refused);
    }
    if (!tk_cl_check_region(request)) {
        return TK_GRPC_OK;
    }
    while (tk_cl_each(request->body, 2, &at, &key)) {
        if (!tk_cl_raw_check_key(request, key)) {
            return TK_GRPC_OK;
        }
    }
    if (!check_write(request)) {
        return TK_GRPC_OK;
    }
    at = 0;
    while (tk_cl_each(request->body, 2, &at, &key)) {
        tk_engine_delete(&request->cluster->engine, cf, key);
    }
    return TK_GRPC_OK;
}

int
tk_cl_raw_ttl(struct tk_cl_request *request)
{
    tikv_slice key = request->fields.bytes[2];
    const struct tk_raw_item *raw;
    enum tk_cf cf;

    if (!open_command(request, 3, &cf)) {
        return TK_GRPC_OK;
    }
    if (!has_ttl(request)) {
        return tk_cl_raw_fail(request, ttl_refused);
    }
    if (!tk_cl_check_region(request) || !tk_cl_raw_check_key(request, key)) {
        return TK_GRPC_OK;
    }
    raw = tk_engine_get(&request->cluster->engine, cf, key, request->now_s);
    if (raw == NULL) {
        tk_put_u64(request->out, 4, 1);
    } else if (raw->expires_s != 0) {
        tk_put_u64(request->out, 3, raw->expires_s - request->now_s);
    }
    return TK_GRPC_OK;
}

/* ---- compare-and-swap ---- */

/* A swap that stops under its latch has read already: whoever writes without
 * a latch meanwhile is overwritten unseen. */
static void
note_seen(struct tk_cl_request *request, enum tk_cf cf)
{
    struct tk_cl_stop *stop = request->stop;
    const struct tk_raw_item *raw;

    if (stop == NULL || !stop->is_stopped || !stop->is_latched ||
        stop->has_seen) {
        return;
    }
    raw = tk_engine_get(&request->cluster->engine, cf,
                        request->fields.bytes[2], request->now_s);
    stop->has_seen = true;
    stop->has_seen_none = raw == NULL;
    if (raw != NULL) {
        tk_buf_append_slice(&stop->seen, tk_raw_value(raw));
    }
}

/* The value to compare with; false: there is none. */
static bool
previous(struct tk_cl_request *request, enum tk_cf cf, tikv_slice *value)
{
    const struct tk_cl_stop *stop = request->stop;
    const struct tk_raw_item *raw;

    if (stop != NULL && stop->has_seen) {
        *value = tk_buf_slice(&stop->seen);
        return !stop->has_seen_none;
    }
    raw = tk_engine_get(&request->cluster->engine, cf,
                        request->fields.bytes[2], request->now_s);
    if (raw != NULL) {
        *value = tk_raw_value(raw);
    }
    return raw != NULL;
}

/* Executes a swap that has passed all checks. */
static int
swap_value(struct tk_cl_request *request, enum tk_cf cf)
{
    const struct tk_cl_fields *fields = &request->fields;
    struct tk_engine *engine = &request->cluster->engine;
    tikv_slice key = fields->bytes[2];
    tikv_slice value = { NULL, 0 };
    bool exists = previous(request, cf, &value);
    bool expects_none = fields->numbers[4] != 0;
    bool equal = exists ? !expects_none &&
                              tk_slice_equal(value, fields->bytes[5])
                        : expects_none;

    tk_put_u64(request->out, 3, equal);
    tk_put_u64(request->out, 4, !exists);
    tk_put_bytes(request->out, 5, value);
    if (!equal) {
        return TK_GRPC_OK;
    }
    if (fields->numbers[8] != 0) { /* delete */
        tk_engine_delete(engine, cf, key);
    } else if (!tk_engine_put(engine, cf, key, fields->bytes[3],
                              expires_at(request, fields->numbers[7]))) {
        return tk_cl_raw_fail(request, no_memory);
    }
    return TK_GRPC_OK;
}

int
tk_cl_raw_cas(struct tk_cl_request *request)
{
    enum tk_cf cf;

    if (!open_command(request, 6, &cf)) {
        return TK_GRPC_OK;
    }
    if (request->fields.numbers[7] != 0 && !has_ttl(request)) {
        return tk_cl_raw_fail(request, ttl_refused);
    }
    if (!tk_cl_check_region(request)) {
        note_seen(request, cf);
        return TK_GRPC_OK;
    }
    if (!tk_cl_raw_check_key(request, request->fields.bytes[2]) ||
        !check_write(request)) {
        return TK_GRPC_OK;
    }
    return swap_value(request, cf);
}
