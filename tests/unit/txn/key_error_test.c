/* SPDX-License-Identifier: Apache-2.0 */
/* Every kind of KeyError by its bytes, written by hand: code, class, facts,
 * keys without the keyspace's prefix. */
#include "harness/harness.h"

#include "base/error.h"
#include "base/slice.h"
#include "txn/key_error.h"
#include "txn/lock.h"
#include "wire/proto.h"

#include "kvrpcpb.upb.h"

static struct tk_arena *arena;

static void
put_u64(struct tk_buf *out, uint32_t field, uint64_t number)
{
    tk_buf_varint(out, field << 3 | TK_WIRE_VARINT);
    tk_buf_varint(out, number);
}

static void
put_text(struct tk_buf *out, uint32_t field, const char *text)
{
    tk_buf_varint(out, field << 3 | TK_WIRE_BYTES);
    tk_buf_varint(out, strlen(text));
    tk_buf_append_text(out, text);
}

static void
put_message(struct tk_buf *out, uint32_t field, struct tk_buf *message)
{
    tk_buf_varint(out, field << 3 | TK_WIRE_BYTES);
    tk_buf_varint(out, message->len);
    tk_buf_append_slice(out, tk_buf_slice(message));
    tk_buf_clear(message);
}

static const kvrpcpb_KeyError *
decode(struct tk_buf *bytes)
{
    const kvrpcpb_KeyError *problem = tk_arena_decode(
        arena, &kvrpcpb_KeyError_msginit, bytes->data, bytes->len, NULL);

    assert_non_null(problem);
    return problem;
}

static tikv_error *
error_of(struct tk_buf *bytes, enum tk_key_mode mode)
{
    struct tk_key_codec codec = { mode, 1 };

    return tk_key_error(decode(bytes), &codec, TK_CMD_KV_PREWRITE);
}

static void
expect_bytes(const tikv_error *error, tikv_error_field field, const char *text)
{
    tikv_slice bytes = tikv_error_bytes(error, field);

    assert_int_equal(bytes.len, strlen(text));
    assert_memory_equal(bytes.data, text, bytes.len);
}

static int
setup(void **state)
{
    int result = harness_leak_begin(state);

    arena = tk_arena_new();
    return result;
}

static int
teardown(void **state)
{
    tk_arena_unref(arena);
    return harness_leak_end(state);
}

static void
key_error__of_a_conflict_tells_both_transactions(void **state)
{
    struct tk_buf inner;
    struct tk_buf outer;
    tikv_error *error;

    (void)state;
    tk_buf_init(&inner, 1000);
    tk_buf_init(&outer, 1000);
    put_u64(&inner, 1, 10);
    put_u64(&inner, 2, 11);
    put_text(&inner, 3, "k");
    put_text(&inner, 4, "p");
    put_u64(&inner, 5, 12);
    put_u64(&inner, 6, 3);
    put_message(&outer, 4, &inner);
    put_text(&outer, 2, "write conflict");
    error = error_of(&outer, TK_KEYS_TXN_V1);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_WRITE_CONFLICT);
    assert_int_equal(tikv_error_class(error), TIKV_CLASS_RETRY_TXN);
    assert_int_equal(tikv_error_u64(error, TIKV_ERROR_START_TS), 10);
    assert_int_equal(tikv_error_u64(error, TIKV_ERROR_CONFLICT_TS), 11);
    assert_int_equal(tikv_error_u64(error, TIKV_ERROR_CONFLICT_COMMIT_TS), 12);
    assert_int_equal(tikv_error_u64(error, TIKV_ERROR_REASON),
                     TIKV_CONFLICT_SELF_ROLLED_BACK);
    expect_bytes(error, TIKV_ERROR_KEY, "k");
    expect_bytes(error, TIKV_ERROR_PRIMARY, "p");
    assert_non_null(strstr(tikv_error_message(error), "rolled back"));
    tikv_error_free(error);
    tk_buf_fini(&inner);
    tk_buf_fini(&outer);
}

static void
key_error__of_a_deadlock_has_the_chain(void **state)
{
    struct tk_buf inner;
    struct tk_buf edge;
    struct tk_buf outer;
    tikv_error *error;
    uint64_t waits[2];
    tikv_slice key;

    (void)state;
    tk_buf_init(&inner, 1000);
    tk_buf_init(&edge, 1000);
    tk_buf_init(&outer, 1000);
    put_u64(&inner, 1, 20);
    put_text(&inner, 2, "held");
    put_u64(&inner, 3, 77);
    put_u64(&edge, 1, 1);
    put_u64(&edge, 2, 2);
    put_text(&edge, 4, "x");
    put_message(&inner, 4, &edge);
    put_message(&outer, 6, &inner);
    error = error_of(&outer, TK_KEYS_TXN_V1);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_DEADLOCK);
    assert_int_equal(tikv_error_u64(error, TIKV_ERROR_LOCK_TS), 20);
    assert_int_equal(tikv_error_u64(error, TIKV_ERROR_KEY_HASH), 77);
    expect_bytes(error, TIKV_ERROR_LOCK_KEY, "held");
    assert_true(tikv_error_wait(error, 0, &waits[0], &waits[1], &key));
    assert_int_equal(waits[0], 1);
    assert_int_equal(waits[1], 2);
    assert_true(tk_slice_equal(key, tk_slice_text("x")));
    assert_false(tikv_error_wait(error, 1, NULL, NULL, NULL));
    tikv_error_free(error);
    tk_buf_fini(&inner);
    tk_buf_fini(&edge);
    tk_buf_fini(&outer);
}

/* Kinds that are a message, with the number of their field. */
static void
key_error__of_every_kind_has_its_code(void **state)
{
    static const struct {
        uint32_t field;
        tikv_code code;
        tikv_class class;
    } kinds[] = {
        { 1, TIKV_ERR_LOCK_WAIT, TIKV_CLASS_RETRY_TXN },
        { 4, TIKV_ERR_WRITE_CONFLICT, TIKV_CLASS_RETRY_TXN },
        { 5, TIKV_ERR_KEY_EXISTS, TIKV_CLASS_PERMANENT },
        { 6, TIKV_ERR_DEADLOCK, TIKV_CLASS_RETRY_TXN },
        { 7, TIKV_ERR_ABORTED, TIKV_CLASS_RETRY_TXN },
        { 8, TIKV_ERR_ABORTED, TIKV_CLASS_RETRY_TXN },
        { 9, TIKV_ERR_ABORTED, TIKV_CLASS_RETRY_TXN },
        { 10, TIKV_ERR_ASSERTION, TIKV_CLASS_PERMANENT },
        { 11, TIKV_ERR_ABORTED, TIKV_CLASS_RETRY_TXN },
        { 12, TIKV_ERR_ABORTED, TIKV_CLASS_RETRY_TXN },
        { 13, TIKV_ERR_ABORTED, TIKV_CLASS_RETRY_TXN },
        { 14, TIKV_ERR_ABORTED, TIKV_CLASS_RETRY_TXN },
        { 55, TIKV_ERR_PROTOCOL, TIKV_CLASS_PERMANENT },
    };
    struct tk_buf none;
    struct tk_buf bytes;
    size_t i;

    (void)state;
    tk_buf_init(&none, 10);
    tk_buf_init(&bytes, 1000);
    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        tikv_error *error;

        tk_buf_clear(&bytes);
        put_message(&bytes, kinds[i].field, &none);
        error = error_of(&bytes, TK_KEYS_TXN_V1);
        assert_int_equal(tikv_error_code(error), kinds[i].code);
        assert_int_equal(tikv_error_class(error), kinds[i].class);
        tikv_error_free(error);
    }
    tk_buf_fini(&bytes);
}

static void
key_error__of_a_text_is_read(void **state)
{
    static const struct {
        uint32_t field;
        const char *text;
        tikv_code code;
    } texts[] = {
        { 2, "restart please", TIKV_ERR_ABORTED },
        { 3, "PessimisticLockNotFound { .. }", TIKV_ERR_ABORTED },
        { 3, "Error(Txn(.. max key size exceeded ..))", TIKV_ERR_TOO_LARGE },
        { 3, "ApiVersionNotMatched", TIKV_ERR_UNSUPPORTED },
        { 3, "Committed { .. }", TIKV_ERR_SERVER },
    };
    struct tk_buf bytes;
    size_t i;

    (void)state;
    tk_buf_init(&bytes, 1000);
    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        tikv_error *error;

        tk_buf_clear(&bytes);
        put_text(&bytes, texts[i].field, texts[i].text);
        error = error_of(&bytes, TK_KEYS_TXN_V1);
        assert_int_equal(tikv_error_code(error), texts[i].code);
        assert_non_null(strstr(tikv_error_message(error), texts[i].text));
        tikv_error_free(error);
    }
    tk_buf_fini(&bytes);
}

static void
key_error__shows_the_users_key(void **state)
{
    struct tk_buf inner;
    struct tk_buf outer;
    tikv_error *error;

    (void)state;
    tk_buf_init(&inner, 1000);
    tk_buf_init(&outer, 1000);
    tk_buf_varint(&inner, 1 << 3 | TK_WIRE_BYTES);
    tk_buf_varint(&inner, 7);
    tk_buf_append(&inner, "x\0\0\1key", 7);
    put_message(&outer, 5, &inner);
    error = error_of(&outer, TK_KEYS_TXN_V2);
    expect_bytes(error, TIKV_ERROR_KEY, "key");
    tikv_error_free(error);
    tk_buf_fini(&inner);
    tk_buf_fini(&outer);
}

static void
put_lock(struct tk_buf *out, uint32_t field, uint64_t start_ts, uint64_t kind,
         const char *key, struct tk_buf *scratch)
{
    put_text(scratch, 1, "primary");
    put_u64(scratch, 2, start_ts);
    if (key != NULL) {
        put_text(scratch, 3, key);
    }
    put_u64(scratch, 6, kind);
    put_text(scratch, 10, "s1");
    put_text(scratch, 10, "s2");
    put_message(out, field, scratch);
}

static void
lock_set__expands_a_shared_lock(void **state)
{
    struct tk_key_codec codec = { TK_KEYS_TXN_V1, 0 };
    struct tk_lock_set set;
    struct tk_buf scratch;
    struct tk_buf wrapper;
    struct tk_buf outer;
    const kvrpcpb_KeyError *problem;

    (void)state;
    tk_buf_init(&scratch, 1000);
    tk_buf_init(&wrapper, 1000);
    tk_buf_init(&outer, 1000);
    put_text(&wrapper, 3, "k");
    put_u64(&wrapper, 6, TK_LOCK_SHARED);
    put_lock(&wrapper, 12, 5, TK_LOCK_LOCK, NULL, &scratch);
    put_lock(&wrapper, 12, 6, TK_LOCK_SHARED_PESSIMISTIC, NULL, &scratch);
    put_message(&outer, 1, &wrapper);
    problem = decode(&outer);
    tk_lock_set_init(&set);
    assert_true(tk_lock_is_met(problem));
    assert_null(
        tk_lock_set_meet(&set, &codec, problem, (tikv_slice){ NULL, 0 }));
    assert_int_equal(set.count, 2);
    assert_true(tk_slice_equal(set.data[0].key, tk_slice_text("k")));
    assert_true(tk_slice_equal(set.data[1].primary, tk_slice_text("primary")));
    assert_int_equal(set.data[1].start_ts, 6);
    assert_true(tk_lock_is_pessimistic(&set.data[1]));
    assert_false(tk_lock_is_pessimistic(&set.data[0]));
    assert_int_equal(set.data[0].secondaries_count, 2);
    assert_true(
        tk_slice_equal(set.data[0].secondaries[1], tk_slice_text("s2")));
    tk_lock_set_fini(&set);
    tk_buf_fini(&scratch);
    tk_buf_fini(&wrapper);
    tk_buf_fini(&outer);
}

static void
lock_set__takes_a_lock_without_ttl(void **state)
{
    struct tk_key_codec codec = { TK_KEYS_TXN_V1, 0 };
    struct tk_lock_set set;
    struct tk_buf scratch;
    struct tk_buf outer;

    (void)state;
    tk_buf_init(&scratch, 1000);
    tk_buf_init(&outer, 1000);
    put_lock(&outer, 1, 5, TK_LOCK_PUT, NULL, &scratch);
    tk_lock_set_init(&set);
    assert_null(
        tk_lock_set_meet(&set, &codec, decode(&outer), tk_slice_text("asked")));
    assert_int_equal(set.data[0].ttl_ms, 0);
    assert_true(tk_slice_equal(set.data[0].key, tk_slice_text("asked")));
    tk_lock_set_fini(&set);
    tk_buf_fini(&scratch);
    tk_buf_fini(&outer);
}

static void
lock_set__refuses_what_is_not_ours(void **state)
{
    struct tk_key_codec codec = { TK_KEYS_TXN_V2, 1 };
    struct tk_lock_set set;
    struct tk_buf scratch;
    struct tk_buf outer;
    tikv_error *error;

    (void)state;
    tk_buf_init(&scratch, 1000);
    tk_buf_init(&outer, 1000);
    put_lock(&outer, 1, 5, TK_LOCK_PUT, "k", &scratch);
    tk_lock_set_init(&set);
    error =
        tk_lock_set_meet(&set, &codec, decode(&outer), (tikv_slice){ NULL, 0 });
    assert_int_equal(tikv_error_code(error), TIKV_ERR_PROTOCOL);
    tikv_error_free(error);
    tk_buf_clear(&outer);
    put_lock(&outer, 1, 0, TK_LOCK_PUT, "k", &scratch);
    codec.mode = TK_KEYS_TXN_V1;
    error =
        tk_lock_set_meet(&set, &codec, decode(&outer), (tikv_slice){ NULL, 0 });
    assert_int_equal(tikv_error_code(error), TIKV_ERR_PROTOCOL);
    tikv_error_free(error);
    assert_int_equal(set.count, 0);
    tk_lock_set_fini(&set);
    tk_buf_fini(&scratch);
    tk_buf_fini(&outer);
}

#define arena_test(function)                                                   \
    cmocka_unit_test_setup_teardown(function, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        arena_test(key_error__of_a_conflict_tells_both_transactions),
        arena_test(key_error__of_a_deadlock_has_the_chain),
        arena_test(key_error__of_every_kind_has_its_code),
        arena_test(key_error__of_a_text_is_read),
        arena_test(key_error__shows_the_users_key),
        arena_test(lock_set__expands_a_shared_lock),
        arena_test(lock_set__takes_a_lock_without_ttl),
        arena_test(lock_set__refuses_what_is_not_ours),
    };

    return harness_run(tests);
}
