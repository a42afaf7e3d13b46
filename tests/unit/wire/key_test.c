/* SPDX-License-Identifier: Apache-2.0 */
/* Key codecs: documented bytes, order, malformed keys, keyspaces. */
#include "harness/harness.h"

#include "base/alloc.h"
#include "base/rng.h"
#include "base/slice.h"
#include "wire/key.h"

static struct tk_buf
new_buf(void)
{
    struct tk_buf buf;

    tk_buf_init(&buf, 1 << 20);
    return buf;
}

static void
assert_bytes(const struct tk_buf *buf, const void *data, size_t len)
{
    assert_false(buf->failed);
    assert_int_equal(buf->len, len);
    if (len != 0) {
        assert_memory_equal(buf->data, data, len);
    }
}

struct sample {
    uint8_t key[9];
    size_t key_len;
    uint8_t form[18];
    size_t form_len;
};

/* T0922 */
static const struct sample samples[] = {
    { { 0 }, 0, { 0, 0, 0, 0, 0, 0, 0, 0, 0xf7 }, 9 },
    { { 0 }, 1, { 0, 0, 0, 0, 0, 0, 0, 0, 0xf8 }, 9 },
    { { 1, 2, 3 }, 3, { 1, 2, 3, 0, 0, 0, 0, 0, 0xfa }, 9 },
    { { 1, 2, 3, 0 }, 4, { 1, 2, 3, 0, 0, 0, 0, 0, 0xfb }, 9 },
    { { 1, 2, 3, 4, 5, 6, 7 }, 7, { 1, 2, 3, 4, 5, 6, 7, 0, 0xfe }, 9 },
    { { 0 },
      8,
      { 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0xf7 },
      18 },
    { { 1, 2, 3, 4, 5, 6, 7, 8 },
      8,
      { 1, 2, 3, 4, 5, 6, 7, 8, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0xf7 },
      18 },
    { { 1, 2, 3, 4, 5, 6, 7, 8, 9 },
      9,
      { 1, 2, 3, 4, 5, 6, 7, 8, 0xff, 9, 0, 0, 0, 0, 0, 0, 0, 0xf8 },
      18 },
};

static void
key__has_the_documented_bytes(void **state)
{
    size_t i;
    size_t j;

    (void)state;
    for (i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        const struct sample *s = &samples[i];
        struct tk_buf up = new_buf();
        struct tk_buf down = new_buf();
        struct tk_buf back = new_buf();
        tikv_slice rest;

        tk_key_encode(&up, tk_slice(s->key, s->key_len));
        assert_bytes(&up, s->form, s->form_len);
        assert_int_equal(tk_key_encoded_len(s->key_len), s->form_len);
        tk_key_encode_desc(&down, tk_slice(s->key, s->key_len));
        assert_int_equal(down.len, s->form_len);
        for (j = 0; j < s->form_len; j++) {
            assert_int_equal(down.data[j], (uint8_t)~s->form[j]);
        }

        assert_true(tk_key_decode(&back, tk_buf_slice(&up), &rest));
        assert_bytes(&back, s->key, s->key_len);
        assert_int_equal(rest.len, 0);
        tk_buf_clear(&back);
        assert_true(tk_key_decode_desc(&back, tk_buf_slice(&down), NULL));
        assert_bytes(&back, s->key, s->key_len);
        tk_buf_fini(&up);
        tk_buf_fini(&down);
        tk_buf_fini(&back);
    }
}

static int
sign(int number)
{
    return (number > 0) - (number < 0);
}

/* Few different bytes, so that common prefixes are common. */
static size_t
random_key(struct tk_rng *rng, uint8_t *key, size_t max)
{
    static const uint8_t bytes[] = { 0x00, 0x01, 0x7f, 0xf7, 0xfe, 0xff };
    size_t len = tk_rng_below(rng, max + 1);
    size_t i;

    for (i = 0; i < len; i++) {
        key[i] = bytes[tk_rng_below(rng, sizeof(bytes))];
    }
    return len;
}

static void
key__keeps_the_order(void **state)
{
    struct tk_rng rng = { 1 };
    struct tk_buf forms[4] = { new_buf(), new_buf(), new_buf(), new_buf() };
    unsigned i;

    (void)state;
    for (i = 0; i < 20000; i++) {
        uint8_t bytes[2][26];
        tikv_slice a = tk_slice(bytes[0], random_key(&rng, bytes[0], 26));
        tikv_slice b = tk_slice(bytes[1], random_key(&rng, bytes[1], 26));
        int order = sign(tk_slice_compare(a, b));
        unsigned j;

        for (j = 0; j < 4; j++) {
            tk_buf_clear(&forms[j]);
        }
        tk_key_encode(&forms[0], a);
        tk_key_encode(&forms[1], b);
        tk_key_encode_desc(&forms[2], a);
        tk_key_encode_desc(&forms[3], b);
        assert_int_equal(sign(tk_slice_compare(tk_buf_slice(&forms[0]),
                                               tk_buf_slice(&forms[1]))),
                         order);
        assert_int_equal(sign(tk_slice_compare(tk_buf_slice(&forms[2]),
                                               tk_buf_slice(&forms[3]))),
                         -order);
    }
    for (i = 0; i < 4; i++) {
        tk_buf_fini(&forms[i]);
    }
}

/* What decodes encodes to the same bytes again: there is one form per key. */
static void
key__has_one_form(void **state)
{
    struct tk_rng rng = { 2 };
    struct tk_buf key = new_buf();
    struct tk_buf form = new_buf();
    unsigned accepted = 0;
    unsigned i;

    (void)state;
    for (i = 0; i < 200000; i++) {
        uint8_t bytes[20];
        size_t len = random_key(&rng, bytes, sizeof(bytes));
        tikv_slice rest;

        /* A marker that can be right, where one belongs. */
        if (len > 8) {
            bytes[8] = (uint8_t)(0xf0 + tk_rng_below(&rng, 16));
            if (tk_rng_below(&rng, 2) == 0) {
                size_t real = tk_rng_below(&rng, 9);

                memset(bytes + real, 0, 8 - real);
            }
        }
        tk_buf_clear(&key);
        tk_buf_clear(&form);
        tk_buf_append_text(&key, "before");
        if (!tk_key_decode(&key, tk_slice(bytes, len), &rest)) {
            assert_bytes(&key, "before", 6);
            continue;
        }
        accepted++;
        tk_key_encode(&form, tk_slice(key.data + 6, key.len - 6));
        assert_int_equal(form.len + rest.len, len);
        assert_memory_equal(form.data, bytes, form.len);
        assert_ptr_equal(rest.data, bytes + form.len);
    }
    assert_in_range(accepted, 1000, 199000);
    tk_buf_fini(&key);
    tk_buf_fini(&form);
}

static void
key__refuses_malformed_forms(void **state)
{
    struct tk_buf form = new_buf();
    struct tk_buf out = new_buf();
    uint8_t bytes[18];
    size_t len;
    unsigned marker;
    unsigned pad;

    (void)state;
    tk_key_encode(&form, tk_slice_text("12345678"));
    for (len = 0; len < form.len; len++) {
        uint8_t *copy = tk_alloc(len + 1);

        memcpy(copy + 1, form.data, len);
        assert_false(tk_key_decode(&out, tk_slice(copy + 1, len), NULL));
        tk_free(copy);
    }
    memset(bytes, 0, sizeof(bytes));
    for (marker = 0; marker < 0xf7; marker++) {
        bytes[8] = (uint8_t)marker;
        assert_false(tk_key_decode(&out, tk_slice(bytes, 18), NULL));
    }
    for (pad = 1; pad <= 8; pad++) {
        unsigned at;

        for (at = 8 - pad; at < 8; at++) {
            memset(bytes, 0, sizeof(bytes));
            bytes[8] = (uint8_t)(0xff - pad);
            bytes[at] = 1;
            assert_false(tk_key_decode(&out, tk_slice(bytes, 9), NULL));
        }
    }
    assert_int_equal(out.len, 0);
    tk_buf_fini(&form);
    tk_buf_fini(&out);
}

/* T0782, and that nothing fits between. */
static void
prefix_next__is_the_first_key_behind(void **state)
{
    static const struct {
        const char *prefix;
        size_t len;
        const char *next;
        size_t next_len;
    } cases[] = {
        { "\xff", 1, "", 0 },
        { "\xff\xff", 2, "", 0 },
        { "\xff\xff\xff\xff", 4, "", 0 },
        { "", 0, "", 0 },
        { "a", 1, "b", 1 },
        { "a\xff", 2, "b", 1 },
        { "a\xff\xff", 3, "b", 1 },
        { "a\x00", 2, "a\x01", 2 },
        { "\xfe\xff", 2, "\xff", 1 },
    };
    struct tk_buf out = new_buf();
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tk_buf_clear(&out);
        tk_key_prefix_next(&out, tk_slice(cases[i].prefix, cases[i].len));
        assert_bytes(&out, cases[i].next, cases[i].next_len);
    }
    tk_buf_fini(&out);
}

#define BYTES(text) tk_slice(text, sizeof(text) - 1)

static const struct tk_key_codec raw_4242 = { TK_KEYS_RAW_V2, 4242 };

/* T0269, T0942 */
static void
codec__prefixes_keys_with_mode_and_keyspace(void **state)
{
    static const struct {
        struct tk_key_codec codec;
        tikv_slice form;
    } cases[] = {
        { { TK_KEYS_RAW_V1, 0 }, { (const uint8_t *)"key", 3 } },
        { { TK_KEYS_TXN_V1, 0 }, { (const uint8_t *)"key", 3 } },
        { { TK_KEYS_RAW_V2, 4242 },
          { (const uint8_t *)"r\x00\x10\x92"
                             "key",
            7 } },
        { { TK_KEYS_RAW_V2, 0 }, { (const uint8_t *)"r\0\0\0key", 7 } },
        { { TK_KEYS_TXN_V2, 1 }, { (const uint8_t *)"x\0\0\1key", 7 } },
        { { TK_KEYS_TXN_V2, 0xffff },
          { (const uint8_t *)"x\x00\xff\xff"
                             "key",
            7 } },
        { { TK_KEYS_RAW_V2, 0xffffff },
          { (const uint8_t *)"r\xff\xff\xff"
                             "key",
            7 } },
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tk_buf out = new_buf();
        tikv_slice back;

        tk_codec_request_key(&cases[i].codec, &out, BYTES("key"));
        assert_bytes(&out, cases[i].form.data, cases[i].form.len);
        assert_true(
            tk_codec_response_key(&cases[i].codec, tk_buf_slice(&out), &back));
        assert_true(tk_slice_equal(back, BYTES("key")));
        tk_buf_fini(&out);
    }
}

/* T0277, T0274: open ends are the edges of the keyspace, of the last too. */
static void
codec__gives_open_ends_the_edge_of_the_keyspace(void **state)
{
    static const struct {
        struct tk_key_codec codec;
        const char *first;
        const char *behind;
        size_t len;
    } cases[] = {
        { { TK_KEYS_RAW_V1, 0 }, "", "", 0 },
        { { TK_KEYS_TXN_V1, 0 }, "", "", 0 },
        { { TK_KEYS_RAW_V2, 4242 }, "r\x00\x10\x92", "r\x00\x10\x93", 4 },
        { { TK_KEYS_TXN_V2, 0xff }, "x\0\0\xff", "x\0\1\0", 4 },
        { { TK_KEYS_RAW_V2, 0xffffff }, "r\xff\xff\xff", "s\0\0\0", 4 },
        { { TK_KEYS_TXN_V2, 0xffffff }, "x\xff\xff\xff", "y\0\0\0", 4 },
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tk_buf first = new_buf();
        struct tk_buf behind = new_buf();
        struct tk_buf end = new_buf();

        tk_codec_request_key(&cases[i].codec, &first, BYTES(""));
        assert_bytes(&first, cases[i].first, cases[i].len);
        tk_codec_request_end(&cases[i].codec, &behind, BYTES(""));
        assert_bytes(&behind, cases[i].behind, cases[i].len);
        tk_codec_request_end(&cases[i].codec, &end, BYTES("k"));
        assert_int_equal(end.len, cases[i].len + 1);
        assert_memory_equal(end.data, cases[i].first, cases[i].len);
        tk_buf_fini(&first);
        tk_buf_fini(&behind);
        tk_buf_fini(&end);
    }
}

static void
codec__refuses_keys_of_others(void **state)
{
    static const tikv_slice keys[] = {
        { (const uint8_t *)"", 0 },
        { (const uint8_t *)"r\x00\x10", 3 },
        { (const uint8_t *)"r\x00\x10\x93k", 5 },
        { (const uint8_t *)"x\x00\x10\x92k", 5 },
        { (const uint8_t *)"tkey", 4 },
    };
    tikv_slice out;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        assert_false(tk_codec_response_key(&raw_4242, keys[i], &out));
    }
    assert_true(tk_codec_response_key(&raw_4242, BYTES("r\x00\x10\x92"), &out));
    assert_non_null(out.data);
    assert_int_equal(out.len, 0);
}

/* T0263, T0264 */
static void
parse_v2__tells_mode_keyspace_and_key(void **state)
{
    static const tikv_slice others[] = {
        { (const uint8_t *)"", 0 },
        { (const uint8_t *)"x\1\2", 3 },
        { (const uint8_t *)"t\1\2\3key", 7 },
    };
    struct tk_key_codec codec;
    tikv_slice user;
    size_t i;

    (void)state;
    assert_true(tk_key_parse_v2(BYTES("x\1\2\3key"), &codec, &user));
    assert_int_equal(codec.mode, TK_KEYS_TXN_V2);
    assert_int_equal(codec.keyspace_id, 0x010203);
    assert_true(tk_slice_equal(user, BYTES("key")));
    assert_true(tk_key_parse_v2(BYTES("r\xff\xff\xff"), &codec, &user));
    assert_int_equal(codec.mode, TK_KEYS_RAW_V2);
    assert_int_equal(codec.keyspace_id, 0xffffff);
    assert_int_equal(user.len, 0);
    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_false(tk_key_parse_v2(others[i], &codec, &user));
    }
}

/* A key in PD's form is the memcomparable form of the key in a request. */
static void
codec__region_keys_are_encoded_request_keys(void **state)
{
    struct tk_rng rng = { 3 };
    unsigned i;

    (void)state;
    for (i = 0; i < 2000; i++) {
        struct tk_key_codec codec = {
            (enum tk_key_mode)(i % 4),
            (uint32_t)tk_rng_below(&rng, 0x1000000),
        };
        struct tk_buf request = new_buf();
        struct tk_buf wanted = new_buf();
        struct tk_buf got = new_buf();
        uint8_t bytes[30];
        tikv_slice key = tk_slice(bytes, random_key(&rng, bytes, 30));

        tk_codec_request_key(&codec, &request, key);
        tk_buf_append_text(&wanted, "before");
        tk_buf_append_text(&got, "before");
        if (codec.mode == TK_KEYS_RAW_V1) {
            tk_buf_append_slice(&wanted, tk_buf_slice(&request));
        } else {
            tk_key_encode(&wanted, tk_buf_slice(&request));
        }
        tk_codec_region_key(&codec, &got, key);
        assert_bytes(&got, wanted.data, wanted.len);
        if (key.len != 0) {
            got.len = 6;
            tk_codec_region_end(&codec, &got, key);
            assert_bytes(&got, wanted.data, wanted.len);
        }
        tk_buf_fini(&request);
        tk_buf_fini(&wanted);
        tk_buf_fini(&got);
    }
}

static void
codec__region_end_keeps_an_open_end(void **state)
{
    const struct tk_key_codec v1 = { TK_KEYS_TXN_V1, 0 };
    struct tk_buf out = new_buf();
    struct tk_buf wanted = new_buf();

    (void)state;
    tk_codec_region_end(&v1, &out, BYTES(""));
    assert_int_equal(out.len, 0);
    tk_codec_region_end(&raw_4242, &out, BYTES(""));
    tk_key_encode(&wanted, BYTES("r\x00\x10\x93"));
    assert_bytes(&out, wanted.data, wanted.len);
    tk_buf_fini(&out);
    tk_buf_fini(&wanted);
}

struct range_case {
    struct tk_key_codec codec;
    const char *start;
    size_t start_len;
    const char *end;
    size_t end_len;
    bool is_ok;
    const char *user_start;
    const char *user_end;
};

#define B(text) (text), sizeof(text) - 1

/* Bounds before encoding; "" is open. T0281, lesson 140. */
static const struct range_case ranges[] = {
    { { TK_KEYS_RAW_V1, 0 }, B("a"), B("b"), true, "a", "b" },
    { { TK_KEYS_RAW_V1, 0 }, B(""), B(""), true, "", "" },
    { { TK_KEYS_TXN_V1, 0 }, B("a"), B("b"), true, "a", "b" },
    { { TK_KEYS_TXN_V1, 0 }, B(""), B(""), true, "", "" },
    /* inside, at and over the edges */
    { { TK_KEYS_RAW_V2, 1 }, B("r\0\0\1a"), B("r\0\0\1b"), true, "a", "b" },
    { { TK_KEYS_RAW_V2, 1 }, B("r\0\0\1"), B("r\0\0\2"), true, "", "" },
    { { TK_KEYS_RAW_V2, 1 }, B(""), B(""), true, "", "" },
    { { TK_KEYS_RAW_V2, 1 }, B("a"), B("r\0\0\1m"), true, "", "m" },
    { { TK_KEYS_RAW_V2, 1 }, B("r\0\0\0z"), B("r\0\0\1m"), true, "", "m" },
    { { TK_KEYS_RAW_V2, 1 }, B("r\0\0\1m"), B("r\0\0\3"), true, "m", "" },
    { { TK_KEYS_RAW_V2, 1 }, B("r\0\0\1m"), B("x"), true, "m", "" },
    { { TK_KEYS_RAW_V2, 1 }, B("r\0\0\1m"), B(""), true, "m", "" },
    /* outside */
    { { TK_KEYS_RAW_V2, 1 }, B("a"), B("r\0\0\1"), false, "", "" },
    { { TK_KEYS_RAW_V2, 1 }, B(""), B("r\0\0"), false, "", "" },
    { { TK_KEYS_RAW_V2, 1 }, B("r\0\0\2"), B(""), false, "", "" },
    { { TK_KEYS_RAW_V2, 1 }, B("x\0\0\1"), B("x\0\0\2"), false, "", "" },
    /* the last keyspaces, whose space ends in another mode byte */
    { { TK_KEYS_RAW_V2, 0xffffff },
      B("r\xff\xff\xff"
        "a"),
      B("s\0\0\0"),
      true,
      "a",
      "" },
    { { TK_KEYS_RAW_V2, 0xffffff }, B("r\xff\xff\xff"), B("x"), true, "", "" },
    { { TK_KEYS_RAW_V2, 0xffffff }, B("s\0\0\0"), B(""), false, "", "" },
    { { TK_KEYS_RAW_V2, 0xfffffe }, B("r\xff\xff\xff"), B("s"), false, "", "" },
    { { TK_KEYS_TXN_V2, 0xffffff },
      B("x\xff\xff\xff"
        "a"),
      B(""),
      true,
      "a",
      "" },
    { { TK_KEYS_TXN_V2, 0xffffff }, B("y\0\0\0"), B(""), false, "", "" },
};

static void
encode_bound(const struct tk_key_codec *codec, struct tk_buf *out,
             const char *bound, size_t len)
{
    if (codec->mode == TK_KEYS_RAW_V1 || len == 0) {
        tk_buf_append(out, bound, len);
    } else {
        tk_key_encode(out, tk_slice(bound, len));
    }
}

static void
codec__clamps_regions_to_the_keyspace(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        const struct range_case *c = &ranges[i];
        struct tk_buf start = new_buf();
        struct tk_buf end = new_buf();
        struct tk_buf user_start = new_buf();
        struct tk_buf user_end = new_buf();

        encode_bound(&c->codec, &start, c->start, c->start_len);
        encode_bound(&c->codec, &end, c->end, c->end_len);
        tk_buf_append_text(&user_start, "<");
        tk_buf_append_text(&user_end, "<");
        assert_int_equal(tk_codec_region_range(&c->codec, tk_buf_slice(&start),
                                               tk_buf_slice(&end), &user_start,
                                               &user_end),
                         c->is_ok);
        assert_int_equal(user_start.len, 1 + strlen(c->user_start));
        assert_memory_equal(user_start.data + 1, c->user_start,
                            strlen(c->user_start));
        assert_int_equal(user_end.len, 1 + strlen(c->user_end));
        assert_memory_equal(user_end.data + 1, c->user_end,
                            strlen(c->user_end));
        tk_buf_fini(&start);
        tk_buf_fini(&end);
        tk_buf_fini(&user_start);
        tk_buf_fini(&user_end);
    }
}

/* Raw keys of V1 that split regions, seen by a client that expects encoded
 * ones: an error, not nonsense (lesson 142). */
static void
codec__refuses_bounds_that_are_not_encoded(void **state)
{
    const struct tk_key_codec codec = { TK_KEYS_TXN_V1, 0 };
    struct tk_buf start = new_buf();
    struct tk_buf end = new_buf();

    (void)state;
    assert_false(tk_codec_region_range(&codec, BYTES("user-0001"), BYTES(""),
                                       &start, &end));
    assert_false(
        tk_codec_region_range(&codec, BYTES(""), BYTES("k"), &start, &end));
    assert_false(tk_codec_region_range(&raw_4242, BYTES("r\x00\x10\x92k"),
                                       BYTES(""), &start, &end));
    assert_int_equal(start.len, 0);
    assert_int_equal(end.len, 0);
    tk_buf_fini(&start);
    tk_buf_fini(&end);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(key__has_the_documented_bytes),
        harness_test(key__keeps_the_order),
        harness_test(key__has_one_form),
        harness_test(key__refuses_malformed_forms),
        harness_test(prefix_next__is_the_first_key_behind),
        harness_test(codec__prefixes_keys_with_mode_and_keyspace),
        harness_test(codec__gives_open_ends_the_edge_of_the_keyspace),
        harness_test(codec__refuses_keys_of_others),
        harness_test(parse_v2__tells_mode_keyspace_and_key),
        harness_test(codec__region_keys_are_encoded_request_keys),
        harness_test(codec__region_end_keeps_an_open_end),
        harness_test(codec__clamps_regions_to_the_keyspace),
        harness_test(codec__refuses_bounds_that_are_not_encoded),
    };
    return harness_run(tests);
}
