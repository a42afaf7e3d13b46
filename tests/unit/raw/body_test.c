/* SPDX-License-Identifier: Apache-2.0 */
/* Requests encoded by hand, read back by upb; and copies for futures. */
#include "harness/harness.h"
#include "raw/inner.h"

#include "kvrpcpb.upb.h"

static tikv_slice
text(const char *string)
{
    return tk_slice_text(string);
}

static bool
says(upb_StringView view, const char *wanted)
{
    return view.size == strlen(wanted) &&
           memcmp(view.data, wanted, view.size) == 0;
}

/* The body in memory of the arena, so that upb may point into it. */
static void *
round_trip(const struct tk_raw *raw, struct tk_arena *arena)
{
    size_t len = tk_raw_body_len(raw, raw->key);
    uint8_t *body = upb_Arena_Malloc(arena->upb, len + 1);
    void *message;

    assert_non_null(body);
    body[len] = 0xa5;
    tk_raw_body_put(raw, raw->key, body);
    assert_int_equal(body[len], 0xa5);
    message = tk_arena_decode(
        arena, tk_command_row(tk_raw_command(raw->kind))->request, body, len,
        NULL);
    assert_non_null(message);
    return message;
}

static void
body__of_a_get_and_of_a_ttl(void **state)
{
    struct tk_raw raw = { .kind = TK_RAW_GET,
                          .key = text("key"),
                          .column_family = "lock" };
    struct tk_arena *arena = tk_arena_new();
    const kvrpcpb_RawGetRequest *get = round_trip(&raw, arena);
    const kvrpcpb_RawGetKeyTTLRequest *ttl;

    (void)state;
    assert_true(says(kvrpcpb_RawGetRequest_key(get), "key"));
    assert_true(says(kvrpcpb_RawGetRequest_cf(get), "lock"));
    raw.kind = TK_RAW_TTL;
    ttl = round_trip(&raw, arena);
    assert_true(says(kvrpcpb_RawGetKeyTTLRequest_key(ttl), "key"));
    assert_true(says(kvrpcpb_RawGetKeyTTLRequest_cf(ttl), "lock"));
    raw = (struct tk_raw){ .kind = TK_RAW_GET,
                           .key = text(""),
                           .column_family = "" };
    assert_int_equal(tk_raw_body_len(&raw, raw.key), 0);
    tk_arena_unref(arena);
}

static void
body__of_a_put_and_of_a_delete(void **state)
{
    static char big[70000];
    struct tk_raw raw = { .kind = TK_RAW_PUT,
                          .key = text("key"),
                          .value = tk_slice(big, sizeof(big)),
                          .column_family = "write",
                          .ttl_s = UINT64_MAX,
                          .atomic = true };
    struct tk_arena *arena = tk_arena_new();
    const kvrpcpb_RawPutRequest *put = round_trip(&raw, arena);
    const kvrpcpb_RawDeleteRequest *gone;

    (void)state;
    assert_true(says(kvrpcpb_RawPutRequest_key(put), "key"));
    assert_int_equal(kvrpcpb_RawPutRequest_value(put).size, sizeof(big));
    assert_true(says(kvrpcpb_RawPutRequest_cf(put), "write"));
    assert_true(kvrpcpb_RawPutRequest_ttl(put) == UINT64_MAX);
    assert_true(kvrpcpb_RawPutRequest_for_cas(put));
    raw.kind = TK_RAW_DELETE;
    gone = round_trip(&raw, arena);
    assert_true(says(kvrpcpb_RawDeleteRequest_key(gone), "key"));
    assert_true(says(kvrpcpb_RawDeleteRequest_cf(gone), "write"));
    assert_true(kvrpcpb_RawDeleteRequest_for_cas(gone));
    raw.atomic = false;
    assert_false(kvrpcpb_RawDeleteRequest_for_cas(round_trip(&raw, arena)));
    tk_arena_unref(arena);
}

static void
body__of_a_swap_tells_absent_from_empty(void **state)
{
    struct tk_raw raw = { .kind = TK_RAW_SWAP,
                          .key = text("key"),
                          .value = text("new"),
                          .expected = text("old"),
                          .column_family = "",
                          .ttl_s = 9,
                          .atomic = true };
    struct tk_arena *arena = tk_arena_new();
    const kvrpcpb_RawCASRequest *cas = round_trip(&raw, arena);

    (void)state;
    assert_true(says(kvrpcpb_RawCASRequest_key(cas), "key"));
    assert_true(says(kvrpcpb_RawCASRequest_value(cas), "new"));
    assert_true(says(kvrpcpb_RawCASRequest_previous_value(cas), "old"));
    assert_false(kvrpcpb_RawCASRequest_previous_not_exist(cas));
    assert_false(kvrpcpb_RawCASRequest_delete(cas));
    assert_int_equal(kvrpcpb_RawCASRequest_ttl(cas), 9);
    raw.expected = text("");
    assert_false(
        kvrpcpb_RawCASRequest_previous_not_exist(round_trip(&raw, arena)));
    raw.expected = (tikv_slice){ NULL, 0 };
    assert_true(
        kvrpcpb_RawCASRequest_previous_not_exist(round_trip(&raw, arena)));
    raw.value = (tikv_slice){ NULL, 0 };
    cas = round_trip(&raw, arena);
    assert_true(kvrpcpb_RawCASRequest_delete(cas));
    assert_int_equal(kvrpcpb_RawCASRequest_ttl(cas), 0);
    tk_arena_unref(arena);
}

/* A copy equals what was copied, and nothing of it lies in the original. */
static void
copy__keeps_absent_empty_and_full_apart(void **state)
{
    const tikv_pair pairs[] = { { text("a"), text("") },
                                { text(""), text("value") } };
    const uint64_t ttls[] = { 7, 0 };
    const tikv_range ranges[] = { { { NULL, 0 }, text("z") } };
    struct tk_raw raw = { .kind = TK_RAW_BATCH_PUT,
                          .count = 2,
                          .many.pairs = pairs,
                          .ttls_s = ttls };
    uint8_t *memory = malloc(tk_raw_copy_size(&raw));
    struct tk_raw copy;

    (void)state;
    assert_int_equal(tk_raw_copy_size(&raw),
                     sizeof(pairs) + sizeof(ttls) + 1 + 5);
    tk_raw_copy(&raw, &copy, memory);
    assert_int_equal(copy.ttls_s[0], 7);
    assert_true(copy.many.pairs != pairs && copy.ttls_s != ttls);
    assert_true(tk_slice_equal(copy.many.pairs[0].key, text("a")));
    assert_non_null(copy.many.pairs[0].value.data);
    assert_int_equal(copy.many.pairs[0].value.len, 0);
    assert_true(tk_slice_equal(copy.many.pairs[1].value, text("value")));
    assert_true(copy.many.pairs[1].value.data != pairs[1].value.data);
    free(memory);

    raw = (struct tk_raw){ .kind = TK_RAW_SCAN,
                           .count = 1,
                           .many.ranges = ranges };
    memory = malloc(tk_raw_copy_size(&raw));
    tk_raw_copy(&raw, &copy, memory);
    assert_null(copy.many.ranges[0].start.data);
    assert_true(tk_slice_equal(copy.many.ranges[0].end, text("z")));
    free(memory);

    raw = (struct tk_raw){ .kind = TK_RAW_SWAP,
                           .key = text("k"),
                           .expected = text(""),
                           .value = { NULL, 0 } };
    memory = malloc(tk_raw_copy_size(&raw) + 1);
    tk_raw_copy(&raw, &copy, memory);
    assert_null(copy.value.data);
    assert_non_null(copy.expected.data);
    assert_true(tk_slice_equal(copy.key, raw.key));
    free(memory);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(body__of_a_get_and_of_a_ttl),
        harness_test(body__of_a_put_and_of_a_delete),
        harness_test(body__of_a_swap_tells_absent_from_empty),
        harness_test(copy__keeps_absent_empty_and_full_apart),
    };
    return harness_run(tests);
}
