/* SPDX-License-Identifier: Apache-2.0 */
/* From a buffer to mutations: the table of 2PC-1, the primary, the TTL. */
#include "unit/txn/words.h"

#include "txn/collect.h"

#include "kvrpcpb.upb.h"

static const struct tk_collect_filter no_filter = { NULL, NULL };

static int
op_of(const char *value, uint16_t flags, bool is_pessimistic)
{
    struct tk_buffer_item item = { .flags = flags };

    if (value != NULL) {
        item.value = tk_slice_text(value);
    }
    return tk_collect_op(&item, is_pessimistic);
}

static void
collect__knows_what_each_key_becomes(void **state)
{
    const uint16_t shared = TK_KEY_LOCKED | TK_KEY_LOCKED_SHARED;

    (void)state;
    assert_int_equal(op_of(NULL, 0, false), -1);
    assert_int_equal(op_of(NULL, TK_KEY_LOCKED, false), kvrpcpb_Lock);
    assert_int_equal(op_of(NULL, shared, true), kvrpcpb_SharedLock);
    assert_int_equal(op_of("v", 0, false), kvrpcpb_Put);
    assert_int_equal(op_of("v", TK_KEY_LOCKED, true), kvrpcpb_Put);
    assert_int_equal(op_of("v", TK_KEY_PRESUME_ABSENT, false), kvrpcpb_Insert);
    assert_int_equal(op_of("v", TK_KEY_IGNORE, false), -1);
    assert_int_equal(op_of("v", TK_KEY_IGNORE | TK_KEY_LOCKED, true),
                     kvrpcpb_Lock);
    assert_int_equal(op_of("", 0, false), kvrpcpb_Del);
    assert_int_equal(op_of("", TK_KEY_PRESUME_ABSENT, false),
                     kvrpcpb_CheckNotExists);
    assert_int_equal(op_of("", TK_KEY_PRESUME_ABSENT, true), kvrpcpb_Del);
    assert_int_equal(op_of("", TK_KEY_NEWLY_INSERTED, false), -1);
    assert_int_equal(op_of("", TK_KEY_NEWLY_INSERTED | TK_KEY_LOCKED, true),
                     kvrpcpb_Lock);
    assert_int_equal(op_of("", TK_KEY_IGNORE, false), -1);
}

static void
collect__walks_in_order_and_counts(void **state)
{
    struct tk_buffer *buffer = tk_buffer_new();
    struct tk_collected keys;

    (void)state;
    put(buffer, "c", "333");
    put(buffer, "b", "22");
    drop(buffer, "d");
    mark(buffer, "a", TK_KEY_SET(TK_KEY_READABLE));
    mark(buffer, "b", TK_KEY_ASSERT_THAT_EXISTS);
    mark(buffer, "c", TK_KEY_ASSERT_UNKNOWN);
    assert_null(tk_collect(buffer, false, NOTHING, no_filter, &keys));
    assert_int_equal(keys.mutations.count, 3);
    assert_int_equal(keys.primary, 0);
    assert_int_equal(keys.bytes, 3 + 5);
    assert_int_equal(keys.key_bytes, 3);
    assert_int_equal(keys.mutations.items[0].flags, TK_MUTATION_ASSERT_EXIST);
    assert_int_equal(keys.mutations.items[1].flags, 0);
    assert_int_equal(keys.mutations.items[2].op, kvrpcpb_Del);
    tk_collected_fini(&keys);
    tk_buffer_free(buffer);
}

static void
collect__takes_the_primary_that_was_chosen(void **state)
{
    struct tk_buffer *buffer = tk_buffer_new();
    struct tk_collected keys;

    (void)state;
    put(buffer, "a", "1");
    put(buffer, "b", "1");
    assert_null(tk_collect(buffer, true, tk_slice_text("b"), no_filter, &keys));
    assert_int_equal(keys.primary, 1);
    tk_collected_fini(&keys);
    tk_buffer_free(buffer);
}

static void
collect__never_makes_a_check_the_primary_unless_all_are(void **state)
{
    struct tk_buffer *buffer = tk_buffer_new();
    struct tk_collected keys;

    (void)state;
    mark(buffer, "a", TK_KEY_PRESUME);
    drop(buffer, "a");
    assert_null(tk_collect(buffer, false, NOTHING, no_filter, &keys));
    assert_int_equal(keys.primary, 0);
    assert_int_equal(keys.checks_count, 1);
    tk_collected_fini(&keys);
    put(buffer, "b", "1");
    assert_null(tk_collect(buffer, false, NOTHING, no_filter, &keys));
    assert_int_equal(keys.primary, 1);
    assert_int_equal(keys.checks_count, 1);
    tk_collected_fini(&keys);
    tk_buffer_free(buffer);
}

static void
collect__refuses_a_shared_lock_as_primary(void **state)
{
    const tk_key_change shared =
        TK_KEY_SET(TK_KEY_LOCKED | TK_KEY_LOCKED_SHARED);
    struct tk_buffer *buffer = tk_buffer_new();
    struct tk_collected keys;

    (void)state;
    mark(buffer, "a", shared);
    expect_code(tk_collect(buffer, true, NOTHING, no_filter, &keys),
                TIKV_ERR_UNSUPPORTED);
    tk_collected_fini(&keys);
    put(buffer, "b", "1");
    expect_code(tk_collect(buffer, true, tk_slice_text("a"), no_filter, &keys),
                TIKV_ERR_UNSUPPORTED);
    tk_collected_fini(&keys);
    assert_null(tk_collect(buffer, true, NOTHING, no_filter, &keys));
    assert_int_equal(keys.primary, 1);
    assert_true(keys.has_shared);
    tk_collected_fini(&keys);
    tk_buffer_free(buffer);
}

static void
collect__gives_large_locks_more_time(void **state)
{
    (void)state;
    assert_int_equal(tk_lock_ttl_ms(0, 0), 3000);
    assert_int_equal(tk_lock_ttl_ms(16383, 0), 3000);
    assert_int_equal(tk_lock_ttl_ms(16384, 0), 3000);
    assert_int_equal(tk_lock_ttl_ms(1 << 20, 0), 6000);
    assert_int_equal(tk_lock_ttl_ms(4 << 20, 0), 12000);
    assert_int_equal(tk_lock_ttl_ms(UINT64_C(1) << 40, 0), 20000);
    /* From the start of the transaction. */
    assert_int_equal(tk_lock_ttl_ms(0, 1234), 4234);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(collect__knows_what_each_key_becomes),
        harness_test(collect__walks_in_order_and_counts),
        harness_test(collect__takes_the_primary_that_was_chosen),
        harness_test(collect__never_makes_a_check_the_primary_unless_all_are),
        harness_test(collect__refuses_a_shared_lock_as_primary),
        harness_test(collect__gives_large_locks_more_time),
    };

    return harness_run(tests);
}
