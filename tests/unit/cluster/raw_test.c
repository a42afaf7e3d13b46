/* SPDX-License-Identifier: Apache-2.0 */
/* The raw commands, case by case of the conformance list (RW01 to RW13). */
#include "unit/cluster/fixture.h"

static const struct tk_cluster_params ttl_params = {
    .api = TIKV_CLUSTER_API_V1TTL
};

static void
raw__keeps_what_is_put(void **state)
{
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    fx_expect(&fx, "a", NULL);
    fx_put(&fx, "a", "1");
    fx_put(&fx, "b", "");
    fx_expect(&fx, "a", "1");
    fx_expect(&fx, "b", "");
    fx_put(&fx, "a", "a value that is longer than the first one");
    fx_expect(&fx, "a", "a value that is longer than the first one");
    fx_put(&fx, "a", "short");
    fx_expect(&fx, "a", "short");
    fx_close(&fx);
}

static void
delete_key(struct fx *fx, const char *key)
{
    kvrpcpb_RawDeleteRequest *request =
        kvrpcpb_RawDeleteRequest_new(fx->arena);
    kvrpcpb_Context *context = fx_context(fx, key);
    const kvrpcpb_RawDeleteResponse *answer;

    kvrpcpb_RawDeleteRequest_set_context(request, context);
    kvrpcpb_RawDeleteRequest_set_key(request, fx_view(key));
    FX_CALL(fx, fx_node_of(context), "/tikvpb.Tikv/RawDelete", kvrpcpb,
            RawDeleteRequest, request);
    answer = FX_PARSE(fx, kvrpcpb, RawDeleteResponse);
    assert_int_equal(kvrpcpb_RawDeleteResponse_error(answer).size, 0);
    assert_false(kvrpcpb_RawDeleteResponse_has_region_error(answer));
}

static void
raw__deletes_also_what_is_missing(void **state)
{
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    fx_put(&fx, "a", "1");
    delete_key(&fx, "a");
    delete_key(&fx, "a");
    fx_expect(&fx, "a", NULL);
    fx_close(&fx);
}

/* Concatenated "key=value " of pairs, "!" for an error. */
static const char *
pairs_text(struct fx *fx, const kvrpcpb_KvPair *const *pairs, size_t count)
{
    size_t room = 1;
    char *text;
    size_t len = 0;

    for (size_t i = 0; i < count; i++) {
        room += kvrpcpb_KvPair_key(pairs[i]).size +
                kvrpcpb_KvPair_value(pairs[i]).size + 4;
    }
    text = upb_Arena_Malloc(fx->arena, room);
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        upb_StringView key = kvrpcpb_KvPair_key(pairs[i]);
        upb_StringView value = kvrpcpb_KvPair_value(pairs[i]);

        len += (size_t)snprintf(text + len, room - len, "%s%.*s=%.*s ",
                                kvrpcpb_KvPair_has_error(pairs[i]) ? "!" : "",
                                (int)key.size, key.data, (int)value.size,
                                value.data);
    }
    return text;
}

struct scan {
    const char *start;
    const char *end;
    uint32_t limit;
    bool key_only;
    bool reverse;
    const char *expected;
};

static const char *
scan(struct fx *fx, const struct scan *wanted, const char *route)
{
    kvrpcpb_RawScanRequest *request = kvrpcpb_RawScanRequest_new(fx->arena);
    kvrpcpb_Context *context = fx_context(fx, route);
    const kvrpcpb_RawScanResponse *answer;
    const kvrpcpb_KvPair *const *pairs;
    size_t count = 0;

    kvrpcpb_RawScanRequest_set_context(request, context);
    kvrpcpb_RawScanRequest_set_start_key(request, fx_view(wanted->start));
    kvrpcpb_RawScanRequest_set_end_key(request, fx_view(wanted->end));
    kvrpcpb_RawScanRequest_set_limit(request, wanted->limit);
    kvrpcpb_RawScanRequest_set_key_only(request, wanted->key_only);
    kvrpcpb_RawScanRequest_set_reverse(request, wanted->reverse);
    FX_CALL(fx, fx_node_of(context), "/tikvpb.Tikv/RawScan", kvrpcpb,
            RawScanRequest, request);
    answer = FX_PARSE(fx, kvrpcpb, RawScanResponse);
    if (kvrpcpb_RawScanResponse_has_region_error(answer)) {
        return "region error";
    }
    pairs = kvrpcpb_RawScanResponse_kvs(answer, &count);
    return pairs_text(fx, pairs, count);
}

static void
raw_scan__goes_both_ways(void **state)
{
    static const struct scan scans[] = {
        { "", "", 10, false, false, "a=1 b=2 c=3 d=4 " },
        { "b", "", 10, false, false, "b=2 c=3 d=4 " },
        { "aa", "d", 10, false, false, "b=2 c=3 " },
        { "a", "", 2, false, false, "a=1 b=2 " },
        { "a", "", 0, false, false, "" },
        { "a", "c", 10, true, false, "a= b= " },
        { "e", "", 10, false, false, "" },
        { "e", "", 10, false, true, "d=4 c=3 b=2 a=1 " },
        { "d", "b", 10, false, true, "c=3 b=2 " },
        { "d", "", 1, false, true, "c=3 " },
        { "d", "bb", 10, true, true, "c= " },
        { "", "", 10, false, true, "" },
    };
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    fx_put(&fx, "c", "3");
    fx_put(&fx, "a", "1");
    fx_put(&fx, "d", "4");
    fx_put(&fx, "b", "2");
    for (size_t i = 0; i < sizeof(scans) / sizeof(scans[0]); i++) {
        assert_string_equal(scan(&fx, &scans[i], scans[i].start),
                            scans[i].expected);
    }
    fx_close(&fx);
}

static void
raw_scan__ends_with_its_region(void **state)
{
    const struct scan forward = { "a", "", 10, false, false, NULL };
    const struct scan backward = { "c", "", 10, false, true, NULL };
    const struct scan outside = { "x", "", 10, false, false, NULL };
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    fx_put(&fx, "a", "1");
    fx_put(&fx, "b", "2");
    fx_put(&fx, "c", "3");
    fx_split(&fx, "b");
    fx_split(&fx, "c");
    assert_string_equal(scan(&fx, &forward, "a"), "a=1 ");
    /* The bound of a reverse scan may be the end of the region. */
    assert_string_equal(scan(&fx, &backward, "b"), "b=2 ");
    assert_string_equal(scan(&fx, &outside, "a"), "region error");
    fx_close(&fx);
}

/* `ranges`: start, end, start, end, ..., NULL. */
static const char *
batch_scan(struct fx *fx, const char *const *ranges, uint32_t limit,
           bool reverse)
{
    kvrpcpb_RawBatchScanRequest *request =
        kvrpcpb_RawBatchScanRequest_new(fx->arena);
    kvrpcpb_Context *context = fx_context(fx, "");
    const kvrpcpb_RawBatchScanResponse *answer;
    const kvrpcpb_KvPair *const *pairs;
    size_t count = 0;

    kvrpcpb_RawBatchScanRequest_set_context(request, context);
    kvrpcpb_RawBatchScanRequest_set_each_limit(request, limit);
    kvrpcpb_RawBatchScanRequest_set_reverse(request, reverse);
    for (size_t i = 0; ranges[i] != NULL; i += 2) {
        kvrpcpb_KeyRange *range =
            kvrpcpb_RawBatchScanRequest_add_ranges(request, fx->arena);

        kvrpcpb_KeyRange_set_start_key(range, fx_view(ranges[i]));
        kvrpcpb_KeyRange_set_end_key(range, fx_view(ranges[i + 1]));
    }
    FX_CALL(fx, fx_node_of(context), "/tikvpb.Tikv/RawBatchScan", kvrpcpb,
            RawBatchScanRequest, request);
    answer = FX_PARSE(fx, kvrpcpb, RawBatchScanResponse);
    pairs = kvrpcpb_RawBatchScanResponse_kvs(answer, &count);
    return pairs_text(fx, pairs, count);
}

static void
raw_batch_scan__fills_in_omitted_ends(void **state)
{
    const char *const omitted[] = { "a", "", "c", "", NULL };
    const char *const given[] = { "a", "b", "c", "d", NULL };
    const char *const wrong[] = { "b", "a", NULL };
    const char *const reverse[] = { "d", "b", NULL };
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    fx_put(&fx, "a", "1");
    fx_put(&fx, "b", "2");
    fx_put(&fx, "c", "3");
    fx_put(&fx, "d", "4");
    assert_string_equal(batch_scan(&fx, omitted, 10, false),
                        "a=1 b=2 c=3 d=4 ");
    assert_string_equal(batch_scan(&fx, omitted, 1, false), "a=1 c=3 ");
    assert_string_equal(batch_scan(&fx, given, 10, false), "a=1 c=3 ");
    assert_string_equal(batch_scan(&fx, wrong, 10, false), "!= ");
    assert_string_equal(batch_scan(&fx, reverse, 10, true), "c=3 b=2 ");
    assert_string_equal(batch_scan(&fx, wrong, 10, true), "a=1 ");
    fx_close(&fx);
}

static const char *
batch_get(struct fx *fx, const char *const *keys)
{
    kvrpcpb_RawBatchGetRequest *request =
        kvrpcpb_RawBatchGetRequest_new(fx->arena);
    kvrpcpb_Context *context = fx_context(fx, keys[0]);
    const kvrpcpb_RawBatchGetResponse *answer;
    const kvrpcpb_KvPair *const *pairs;
    size_t count = 0;

    kvrpcpb_RawBatchGetRequest_set_context(request, context);
    for (size_t i = 0; keys[i] != NULL; i++) {
        (void)kvrpcpb_RawBatchGetRequest_add_keys(request, fx_view(keys[i]),
                                                  fx->arena);
    }
    FX_CALL(fx, fx_node_of(context), "/tikvpb.Tikv/RawBatchGet", kvrpcpb,
            RawBatchGetRequest, request);
    answer = FX_PARSE(fx, kvrpcpb, RawBatchGetResponse);
    if (kvrpcpb_RawBatchGetResponse_has_region_error(answer)) {
        return "region error";
    }
    pairs = kvrpcpb_RawBatchGetResponse_pairs(answer, &count);
    return pairs_text(fx, pairs, count);
}

static void
raw_batch_get__omits_what_is_missing(void **state)
{
    const char *const keys[] = { "c", "missing", "a", "c", NULL };
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    fx_put(&fx, "a", "1");
    fx_put(&fx, "c", "3");
    assert_string_equal(batch_get(&fx, keys), "c=3 a=1 c=3 ");
    fx_split(&fx, "b");
    assert_string_equal(batch_get(&fx, keys), "region error");
    fx_close(&fx);
}

/* Pairs k0=v0, k1=v1, ...; the error's text. */
static const char *
batch_put(struct fx *fx, size_t pairs, const uint64_t *ttls, size_t count)
{
    kvrpcpb_RawBatchPutRequest *request =
        kvrpcpb_RawBatchPutRequest_new(fx->arena);
    kvrpcpb_Context *context = fx_context(fx, "k");
    upb_StringView error;
    char *text;

    kvrpcpb_RawBatchPutRequest_set_context(request, context);
    for (size_t i = 0; i < pairs; i++) {
        kvrpcpb_KvPair *pair =
            kvrpcpb_RawBatchPutRequest_add_pairs(request, fx->arena);
        char *bytes = upb_Arena_Malloc(fx->arena, 24);

        (void)snprintf(bytes, 24, "k%zu", i);
        kvrpcpb_KvPair_set_key(pair, fx_view(bytes));
        kvrpcpb_KvPair_set_value(pair, fx_view("v"));
    }
    for (size_t i = 0; i < count; i++) {
        (void)kvrpcpb_RawBatchPutRequest_add_ttls(request, ttls[i],
                                                  fx->arena);
    }
    FX_CALL(fx, fx_node_of(context), "/tikvpb.Tikv/RawBatchPut", kvrpcpb,
            RawBatchPutRequest, request);
    error = kvrpcpb_RawBatchPutResponse_error(
        FX_PARSE(fx, kvrpcpb, RawBatchPutResponse));
    text = upb_Arena_Malloc(fx->arena, error.size + 1);
    if (error.size > 0) {
        memcpy(text, error.data, error.size);
    }
    text[error.size] = '\0';
    return text;
}

/* Whether it lives, and for how many seconds more. */
static int64_t
ttl_of(struct fx *fx, const char *key)
{
    kvrpcpb_RawGetKeyTTLRequest *request =
        kvrpcpb_RawGetKeyTTLRequest_new(fx->arena);
    kvrpcpb_Context *context = fx_context(fx, key);
    const kvrpcpb_RawGetKeyTTLResponse *answer;

    kvrpcpb_RawGetKeyTTLRequest_set_context(request, context);
    kvrpcpb_RawGetKeyTTLRequest_set_key(request, fx_view(key));
    FX_CALL(fx, fx_node_of(context), "/tikvpb.Tikv/RawGetKeyTTL", kvrpcpb,
            RawGetKeyTTLRequest, request);
    answer = FX_PARSE(fx, kvrpcpb, RawGetKeyTTLResponse);
    if (kvrpcpb_RawGetKeyTTLResponse_error(answer).size > 0) {
        return -2;
    }
    return kvrpcpb_RawGetKeyTTLResponse_not_found(answer)
               ? -1
               : (int64_t)kvrpcpb_RawGetKeyTTLResponse_ttl(answer);
}

static void
raw_batch_put__takes_one_ttl_or_one_each(void **state)
{
    const uint64_t ttls[] = { 10, 20, 0 };
    struct fx fx;

    (void)state;
    fx_open(&fx, &ttl_params);
    assert_string_equal(batch_put(&fx, 3, ttls, 0), "");
    assert_int_equal(ttl_of(&fx, "k2"), 0);
    assert_string_equal(batch_put(&fx, 3, ttls, 1), "");
    assert_int_equal(ttl_of(&fx, "k0"), 10);
    assert_int_equal(ttl_of(&fx, "k2"), 10);
    assert_string_equal(batch_put(&fx, 3, ttls, 3), "");
    assert_int_equal(ttl_of(&fx, "k0"), 10);
    assert_int_equal(ttl_of(&fx, "k1"), 20);
    assert_int_equal(ttl_of(&fx, "k2"), 0);
    assert_true(strstr(batch_put(&fx, 3, ttls, 2), "length of ttls") != NULL);
    fx_close(&fx);

    fx_open(&fx, NULL);
    assert_string_equal(batch_put(&fx, 3, &ttls[2], 1), "");
    assert_true(strstr(batch_put(&fx, 3, ttls, 1), "ttl") != NULL);
    fx_close(&fx);
}

static void
raw_ttl__is_refused_without_ttl_storage(void **state)
{
    const kvrpcpb_RawPutResponse *answer;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    answer = fx_put_at(&fx, fx_context(&fx, "a"), "a", "1", 5);
    assert_true(kvrpcpb_RawPutResponse_error(answer).size > 0);
    fx_expect(&fx, "a", NULL);
    assert_int_equal(ttl_of(&fx, "a"), -2);
    fx_close(&fx);
}

static void
raw_ttl__counts_down_and_ends(void **state)
{
    const struct scan all = { "", "", 10, false, false, NULL };
    const char *const keys[] = { "a", "b", NULL };
    struct fx fx;

    (void)state;
    fx_open(&fx, &ttl_params);
    fx_put_ttl(&fx, "a", "1", 5);
    fx_put(&fx, "b", "2");
    assert_int_equal(ttl_of(&fx, "a"), 5);
    assert_int_equal(ttl_of(&fx, "b"), 0);
    assert_int_equal(ttl_of(&fx, "c"), -1);
    fx_advance(&fx.clock, 4000);
    assert_int_equal(ttl_of(&fx, "a"), 1);
    fx_expect(&fx, "a", "1");
    fx_advance(&fx.clock, 1000);
    fx_expect(&fx, "a", NULL);
    assert_int_equal(ttl_of(&fx, "a"), -1);
    assert_string_equal(scan(&fx, &all, ""), "b=2 ");
    assert_string_equal(batch_get(&fx, keys), "b=2 ");
    fx_put(&fx, "a", "3");
    fx_expect(&fx, "a", "3");
    fx_close(&fx);
}

struct swap {
    const char *key;
    const char *expected; /* NULL: none */
    const char *value;    /* NULL: delete */
    bool succeeds;
    const char *previous; /* NULL: none */
};

static void
swap(struct fx *fx, const struct swap *wanted, uint64_t ttl)
{
    kvrpcpb_RawCASRequest *request = kvrpcpb_RawCASRequest_new(fx->arena);
    kvrpcpb_Context *context = fx_context(fx, wanted->key);
    const kvrpcpb_RawCASResponse *answer;

    kvrpcpb_RawCASRequest_set_context(request, context);
    kvrpcpb_RawCASRequest_set_key(request, fx_view(wanted->key));
    kvrpcpb_RawCASRequest_set_previous_not_exist(request,
                                                 wanted->expected == NULL);
    if (wanted->expected != NULL) {
        kvrpcpb_RawCASRequest_set_previous_value(request,
                                                 fx_view(wanted->expected));
    }
    if (wanted->value == NULL) {
        kvrpcpb_RawCASRequest_set_delete(request, true);
    } else {
        kvrpcpb_RawCASRequest_set_value(request, fx_view(wanted->value));
    }
    kvrpcpb_RawCASRequest_set_ttl(request, ttl);
    FX_CALL(fx, fx_node_of(context), "/tikvpb.Tikv/RawCompareAndSwap",
            kvrpcpb, RawCASRequest, request);
    answer = FX_PARSE(fx, kvrpcpb, RawCASResponse);
    assert_int_equal(kvrpcpb_RawCASResponse_error(answer).size, 0);
    assert_int_equal(kvrpcpb_RawCASResponse_succeed(answer),
                     wanted->succeeds);
    assert_int_equal(kvrpcpb_RawCASResponse_previous_not_exist(answer),
                     wanted->previous == NULL);
    fx_assert_view(kvrpcpb_RawCASResponse_previous_value(answer),
                   wanted->previous == NULL ? "" : wanted->previous);
}

static void
raw_swap__follows_the_matrix(void **state)
{
    static const struct swap swaps[] = {
        { "a", "x", "1", false, NULL },
        { "a", "x", NULL, false, NULL },
        { "a", NULL, NULL, true, NULL },
        { "a", NULL, "1", true, NULL },
        { "a", NULL, "2", false, "1" },
        { "a", NULL, NULL, false, "1" },
        { "a", "x", "2", false, "1" },
        { "a", "x", NULL, false, "1" },
        { "a", "1", "2", true, "1" },
        { "a", "2", NULL, true, "2" },
        { "a", NULL, "", true, NULL },
        { "a", "", "3", true, "" },
        { "a", "3", "4", true, "3" },
    };
    const struct swap brief = { "b", NULL, "1", true, NULL };
    struct fx fx;

    (void)state;
    fx_open(&fx, &ttl_params);
    for (size_t i = 0; i < sizeof(swaps) / sizeof(swaps[0]); i++) {
        swap(&fx, &swaps[i], 0);
    }
    fx_expect(&fx, "a", "4");
    swap(&fx, &brief, 2);
    fx_advance(&fx.clock, 2000);
    swap(&fx, &brief, 2); /* the expired value is none */
    fx_close(&fx);
}

static void
raw_delete_range__is_half_open(void **state)
{
    static const struct {
        const char *start;
        const char *end;
        bool refused;
    } cases[] = { { "b", "b", true },
                  { "c", "b", true },
                  { "a", "z", true },
                  { "a", "", true },
                  { "a", "c", false } };
    const struct scan all = { "", "", 10, false, false, NULL };
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    fx_put(&fx, "a", "1");
    fx_put(&fx, "b", "2");
    fx_put(&fx, "c", "3");
    fx_split(&fx, "m");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        kvrpcpb_RawDeleteRangeRequest *request =
            kvrpcpb_RawDeleteRangeRequest_new(fx.arena);
        kvrpcpb_Context *context = fx_context(&fx, "a");

        kvrpcpb_RawDeleteRangeRequest_set_context(request, context);
        kvrpcpb_RawDeleteRangeRequest_set_start_key(request,
                                                    fx_view(cases[i].start));
        kvrpcpb_RawDeleteRangeRequest_set_end_key(request,
                                                  fx_view(cases[i].end));
        FX_CALL(&fx, fx_node_of(context), "/tikvpb.Tikv/RawDeleteRange",
                kvrpcpb, RawDeleteRangeRequest, request);
        assert_int_equal(kvrpcpb_RawDeleteRangeResponse_has_region_error(
                             FX_PARSE(&fx, kvrpcpb, RawDeleteRangeResponse)),
                         cases[i].refused);
    }
    assert_string_equal(scan(&fx, &all, ""), "c=3 ");
    fx_close(&fx);
}

/* CRC-64/XZ bit by bit. */
static uint64_t
crc64(uint64_t crc, const char *text)
{
    crc = ~crc;
    for (; *text != '\0'; text++) {
        crc ^= (uint8_t)*text;
        for (int i = 0; i < 8; i++) {
            crc = (crc & 1) != 0
                      ? crc >> 1 ^ UINT64_C(0xc96c5795d7870f42)
                      : crc >> 1;
        }
    }
    return ~crc;
}

static void
raw_checksum__is_the_xor_over_keys(void **state)
{
    kvrpcpb_RawChecksumRequest *request;
    const kvrpcpb_RawChecksumResponse *answer;
    kvrpcpb_Context *context;
    struct fx fx;

    (void)state;
    assert_true(crc64(0, "123456789") == UINT64_C(0x995dc9bbdf1939fa));
    fx_open(&fx, &ttl_params);
    fx_put(&fx, "a", "one");
    fx_put(&fx, "b", "two");
    fx_put(&fx, "c", "three");
    fx_put_ttl(&fx, "bb", "gone", 1);
    fx_advance(&fx.clock, 1000);
    request = kvrpcpb_RawChecksumRequest_new(fx.arena);
    context = fx_context(&fx, "a");
    kvrpcpb_RawChecksumRequest_set_context(request, context);
    for (int i = 0; i < 2; i++) {
        kvrpcpb_KeyRange *range =
            kvrpcpb_RawChecksumRequest_add_ranges(request, fx.arena);

        kvrpcpb_KeyRange_set_start_key(range, fx_view(i == 0 ? "a" : "c"));
        kvrpcpb_KeyRange_set_end_key(range, fx_view(i == 0 ? "c" : ""));
    }
    FX_CALL(&fx, fx_node_of(context), "/tikvpb.Tikv/RawChecksum", kvrpcpb,
            RawChecksumRequest, request);
    answer = FX_PARSE(&fx, kvrpcpb, RawChecksumResponse);
    assert_true(kvrpcpb_RawChecksumResponse_checksum(answer) ==
                (crc64(0, "aone") ^ crc64(0, "btwo") ^ crc64(0, "cthree")));
    assert_int_equal(kvrpcpb_RawChecksumResponse_total_kvs(answer), 3);
    assert_int_equal(kvrpcpb_RawChecksumResponse_total_bytes(answer), 14);
    fx_close(&fx);
}

static const kvrpcpb_RawPutResponse *
put_in(struct fx *fx, const char *cf, upb_StringView key, int32_t api)
{
    kvrpcpb_RawPutRequest *request = kvrpcpb_RawPutRequest_new(fx->arena);
    kvrpcpb_Context *context = fx_context(fx, "a");

    kvrpcpb_Context_set_api_version(context, api);
    kvrpcpb_RawPutRequest_set_context(request, context);
    kvrpcpb_RawPutRequest_set_key(request, key);
    kvrpcpb_RawPutRequest_set_value(request, fx_view(cf));
    kvrpcpb_RawPutRequest_set_cf(request, fx_view(cf));
    FX_CALL(fx, fx_node_of(context), "/tikvpb.Tikv/RawPut", kvrpcpb,
            RawPutRequest, request);
    return FX_PARSE(fx, kvrpcpb, RawPutResponse);
}

static void
raw__knows_three_column_families(void **state)
{
    static const char *const cfs[] = { "", "lock", "write" };
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(kvrpcpb_RawPutResponse_error(
                             put_in(&fx, cfs[i], fx_view("k"), 0))
                             .size,
                         0);
    }
    assert_true(kvrpcpb_RawPutResponse_error(
                    put_in(&fx, "foo", fx_view("k"), 0))
                    .size > 0);
    fx_expect(&fx, "k", "");
    (void)put_in(&fx, "default", fx_view("k"), 0);
    fx_expect(&fx, "k", "default");
    for (size_t i = 1; i < 3; i++) {
        kvrpcpb_RawGetRequest *request =
            kvrpcpb_RawGetRequest_new(fx.arena);
        kvrpcpb_Context *context = fx_context(&fx, "k");

        kvrpcpb_RawGetRequest_set_context(request, context);
        kvrpcpb_RawGetRequest_set_key(request, fx_view("k"));
        kvrpcpb_RawGetRequest_set_cf(request, fx_view(cfs[i]));
        FX_CALL(&fx, fx_node_of(context), "/tikvpb.Tikv/RawGet", kvrpcpb,
                RawGetRequest, request);
        fx_assert_view(kvrpcpb_RawGetResponse_value(
                           FX_PARSE(&fx, kvrpcpb, RawGetResponse)),
                       cfs[i]);
    }
    fx_close(&fx);
}

static void
raw__refuses_other_api_versions_and_long_keys(void **state)
{
    static char bytes[8193];
    upb_StringView key = { bytes, sizeof(bytes) };
    struct fx fx;

    (void)state;
    memset(bytes, 'k', sizeof(bytes));
    fx_open(&fx, NULL);
    assert_true(kvrpcpb_RawPutResponse_error(
                    put_in(&fx, "", fx_view("k"), kvrpcpb_V2))
                    .size > 0);
    assert_true(
        kvrpcpb_RawPutResponse_error(put_in(&fx, "", key, 0)).size > 0);
    key.size--;
    assert_int_equal(
        kvrpcpb_RawPutResponse_error(put_in(&fx, "", key, 0)).size, 0);
    fx_close(&fx);
}

static void
raw_coprocessor__has_none(void **state)
{
    kvrpcpb_RawCoprocessorRequest *request;
    kvrpcpb_Context *context;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    request = kvrpcpb_RawCoprocessorRequest_new(fx.arena);
    context = fx_context(&fx, "a");
    kvrpcpb_RawCoprocessorRequest_set_context(request, context);
    FX_CALL(&fx, fx_node_of(context), "/tikvpb.Tikv/RawCoprocessor", kvrpcpb,
            RawCoprocessorRequest, request);
    assert_true(kvrpcpb_RawCoprocessorResponse_error(
                    FX_PARSE(&fx, kvrpcpb, RawCoprocessorResponse))
                    .size > 0);
    fx_close(&fx);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(raw__keeps_what_is_put),
        harness_test(raw__deletes_also_what_is_missing),
        harness_test(raw_scan__goes_both_ways),
        harness_test(raw_scan__ends_with_its_region),
        harness_test(raw_batch_scan__fills_in_omitted_ends),
        harness_test(raw_batch_get__omits_what_is_missing),
        harness_test(raw_batch_put__takes_one_ttl_or_one_each),
        harness_test(raw_ttl__is_refused_without_ttl_storage),
        harness_test(raw_ttl__counts_down_and_ends),
        harness_test(raw_swap__follows_the_matrix),
        harness_test(raw_delete_range__is_half_open),
        harness_test(raw_checksum__is_the_xor_over_keys),
        harness_test(raw__knows_three_column_families),
        harness_test(raw__refuses_other_api_versions_and_long_keys),
        harness_test(raw_coprocessor__has_none),
    };
    return harness_run(tests);
}
