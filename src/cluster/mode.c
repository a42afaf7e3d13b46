/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a command fits the API version of the cluster: V1 and V1TTL take
 * requests of V1, V2 takes raw ones of V2 and transactions of both, and all
 * keys of a command in V2 begin with the letter of their kind.
 */
#include "base/slice.h"
#include "cluster/inner.h"

enum shape {
    KEYS,  /* a field, repeated or not */
    INNER, /* field 2 of messages */
    RANGE, /* a field and the one of the end */
    RANGES /* fields 1 and 2 of messages */
};

static const struct place {
    uint32_t index;
    enum shape shape;
    uint32_t field;
    uint32_t end;
    uint32_t reverse; /* a flag: ends are exchanged */
} places[] = {
    { TK_CMD_RAW_GET, KEYS, 2, 0, 0 },
    { TK_CMD_RAW_BATCH_GET, KEYS, 2, 0, 0 },
    { TK_CMD_RAW_PUT, KEYS, 2, 0, 0 },
    { TK_CMD_RAW_BATCH_PUT, INNER, 2, 0, 0 },
    { TK_CMD_RAW_DELETE, KEYS, 2, 0, 0 },
    { TK_CMD_RAW_BATCH_DELETE, KEYS, 2, 0, 0 },
    { TK_CMD_RAW_SCAN, RANGE, 2, 7, 6 },
    { TK_CMD_RAW_BATCH_SCAN, RANGES, 2, 0, 6 },
    { TK_CMD_RAW_DELETE_RANGE, RANGE, 2, 3, 0 },
    { TK_CMD_RAW_GET_KEY_TTL, KEYS, 2, 0, 0 },
    { TK_CMD_RAW_COMPARE_AND_SWAP, KEYS, 2, 0, 0 },
    { TK_CMD_RAW_CHECKSUM, RANGES, 3, 0, 0 },
    { TK_CMD_RAW_COPROCESSOR, RANGES, 4, 0, 0 },
    { TK_CMD_KV_GET, KEYS, 2, 0, 0 },
    { TK_CMD_KV_BATCH_GET, KEYS, 2, 0, 0 },
    { TK_CMD_KV_BUFFER_BATCH_GET, KEYS, 2, 0, 0 },
    { TK_CMD_KV_SCAN, RANGE, 2, 7, 6 },
    { TK_CMD_KV_PREWRITE, INNER, 2, 0, 0 },
    { TK_CMD_KV_FLUSH, INNER, 2, 0, 0 },
    { TK_CMD_KV_PESSIMISTIC_LOCK, INNER, 2, 0, 0 },
    { TK_CMD_KV_DELETE_RANGE, RANGE, 2, 3, 0 },
    { TK_CMD_COPROCESSOR, RANGES, 4, 0, 0 },
    { TK_CMD_COPROCESSOR_STREAM, RANGES, 4, 0, 0 },
};

static const char bad_version[] =
    "ApiVersionNotMatched: not the api version of this storage";
static const char bad_key[] =
    "InvalidKeyMode: the key is not of the kind of the request";
static const char bad_range[] =
    "InvalidKeyRangeMode: the range is not of the kind of the request";

static bool
versions_match(const struct tk_cl_request *request, bool is_raw)
{
    uint64_t asked = request->context.api_version; /* kvrpcpb.APIVersion */

    switch (request->cluster->api) {
    case TIKV_CLUSTER_API_V1:
        return asked == 0;
    case TIKV_CLUSTER_API_V1TTL:
        return asked == 0 && is_raw;
    default:
        return asked == 2 || (asked == 0 && !is_raw);
    }
}

/* Keys of TiDB, of raw values, of transactions. */
static bool
is_kind(const struct tk_cl_request *request, bool is_raw, uint8_t first)
{
    if (is_raw) {
        return first == 'r';
    }
    return request->context.api_version == 0 ? first == 'm' || first == 't'
                                             : first == 'x';
}

static bool
key_fits(const struct tk_cl_request *request, bool is_raw, tikv_slice key)
{
    return key.len > 0 && is_kind(request, is_raw, key.data[0]);
}

/* The end is not in the range: the next letter alone is good for raw keys,
 * while those of transactions are encoded before they are looked at. */
static bool
range_fits(const struct tk_cl_request *request, bool is_raw, tikv_slice start,
           tikv_slice end)
{
    if (!key_fits(request, is_raw, start) || end.len == 0) {
        return false;
    }
    return end.data[0] == start.data[0] ||
           (is_raw && end.len == 1 && end.data[0] == start.data[0] + 1);
}

static const char *
check_messages(const struct tk_cl_request *request, bool is_raw,
               const struct place *place)
{
    bool is_reverse =
        place->reverse != 0 && request->fields.numbers[place->reverse] != 0;
    struct tk_cl_fields inner;
    tikv_slice bytes;
    size_t at = 0;

    while (tk_cl_each(request->body, place->field, &at, &bytes)) {
        if (place->shape == KEYS) {
            if (!key_fits(request, is_raw, bytes)) {
                return bad_key;
            }
        } else if (!tk_cl_decode(bytes, &inner)) {
            return bad_key;
        } else if (place->shape == INNER) {
            if (!key_fits(request, is_raw, inner.bytes[2])) {
                return bad_key;
            }
        } else if (!range_fits(request, is_raw,
                               inner.bytes[is_reverse ? 2 : 1],
                               inner.bytes[is_reverse ? 1 : 2])) {
            return bad_range;
        }
    }
    return NULL;
}

static const char *
check_keys(const struct tk_cl_request *request, bool is_raw,
           const struct place *place)
{
    const struct tk_cl_fields *fields = &request->fields;
    tikv_slice start = fields->bytes[place->field];

    if (place->shape == RANGE) {
        tikv_slice end = fields->bytes[place->end];
        bool is_reverse =
            place->reverse != 0 && fields->numbers[place->reverse] != 0;

        return range_fits(request, is_raw, is_reverse ? end : start,
                          is_reverse ? start : end)
                   ? NULL
                   : bad_range;
    }
    /* The empty key is not even in the message. */
    if (place->shape == KEYS && fields->counts[place->field] == 0) {
        return bad_key;
    }
    return check_messages(request, is_raw, place);
}

const char *
tk_cl_check_mode(const struct tk_cl_request *request, bool is_raw)
{
    size_t i;

    if (!versions_match(request, is_raw)) {
        return bad_version;
    }
    if (request->cluster->api != TIKV_CLUSTER_API_V2) {
        return NULL;
    }
    for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (places[i].index == request->method->index) {
            return check_keys(request, is_raw, &places[i]);
        }
    }
    return NULL;
}
