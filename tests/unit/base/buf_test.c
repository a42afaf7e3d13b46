/* SPDX-License-Identifier: Apache-2.0 */
/* Growing bytes: appending, the limit, sticky failure, cutting, varints. */
#include "harness/harness.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/slice.h"

static void
buf__appends_what_it_is_given(void **state)
{
    struct tk_buf buf;

    (void)state;
    tk_buf_init(&buf, SIZE_MAX);
    tk_buf_append_text(&buf, "one ");
    tk_buf_append_slice(&buf, tk_slice("two", 3));
    tk_buf_printf(&buf, " %d %0300d", 3, 4);
    assert_false(buf.failed);
    assert_int_equal(buf.len, 4 + 3 + 3 + 300);
    assert_memory_equal(buf.data, "one two 3 000", 13);
    assert_int_equal(buf.data[buf.len - 1], '4');
    tk_buf_fini(&buf);
}

static void
buf__fails_for_good_at_its_limit(void **state)
{
    struct tk_buf buf;

    (void)state;
    tk_buf_init(&buf, 5);
    tk_buf_append_text(&buf, "12345");
    assert_false(buf.failed);
    tk_buf_append_text(&buf, "6");
    assert_true(buf.failed);
    tk_buf_append(&buf, "", 0);
    assert_null(tk_buf_grow(&buf, 0));
    assert_int_equal(buf.len, 5);
    tk_buf_clear(&buf);
    assert_false(buf.failed);
    tk_buf_printf(&buf, "%0300d", 1);
    assert_true(buf.failed);
    tk_buf_fini(&buf);
}

static void
buf__cuts_bytes_out(void **state)
{
    struct tk_buf buf;

    (void)state;
    tk_buf_init(&buf, 100);
    tk_buf_append_text(&buf, "abcdef");
    tk_buf_cut(&buf, 1, 2);
    assert_memory_equal(buf.data, "adef", 4);
    tk_buf_cut(&buf, 3, 100);
    assert_int_equal(buf.len, 3);
    tk_buf_cut(&buf, 3, 1);
    assert_int_equal(buf.len, 3);
    tk_buf_fini(&buf);
}

static void
buf__writes_varints_as_protobuf_does(void **state)
{
    static const uint8_t expected[] = { 0x00, 0x7f, 0x80, 0x01, 0xac, 0x02,
                                        0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                        0xff, 0xff, 0xff, 0x01 };
    struct tk_buf buf;

    (void)state;
    tk_buf_init(&buf, 100);
    tk_buf_varint(&buf, 0);
    tk_buf_varint(&buf, 127);
    tk_buf_varint(&buf, 128);
    tk_buf_varint(&buf, 300);
    tk_buf_varint(&buf, UINT64_MAX);
    assert_int_equal(buf.len, sizeof(expected));
    assert_memory_equal(buf.data, expected, sizeof(expected));
    tk_buf_fini(&buf);
}

#ifdef TK_DEBUG
static void
buf__reports_the_end_of_memory(void **state)
{
    struct tk_buf buf;

    (void)state;
    tk_buf_init(&buf, 1000);
    tk_alloc_fail_nth(1);
    tk_buf_append_text(&buf, "x");
    tk_alloc_fail_nth(0);
    assert_true(buf.failed);
    assert_int_equal(tk_buf_slice(&buf).len, 0);
    tk_buf_fini(&buf);
}
#endif

static void
slice__orders_like_bytes(void **state)
{
    tikv_slice a = tk_slice_text("a");
    tikv_slice ab = tk_slice_text("ab");

    (void)state;
    assert_true(tk_slice_compare(a, ab) < 0);
    assert_true(tk_slice_compare(ab, a) > 0);
    assert_true(tk_slice_compare(tk_slice("\xff", 1), ab) > 0);
    assert_true(tk_slice_equal(a, tk_slice("a", 1)));
    assert_true(tk_slice_equal(tk_slice(NULL, 0), tk_slice("", 0)));
    assert_true(tk_slice_in_range(ab, a, tk_slice(NULL, 0)));
    assert_false(tk_slice_in_range(ab, a, ab));
    assert_true(tk_slice_head(ab, 0) == UINT64_C(0x6162000000000000));
    assert_true(tk_slice_head(ab, 1) == UINT64_C(0x6200000000000000));
    assert_true(tk_slice_head(ab, 5) == 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(buf__appends_what_it_is_given),
        harness_test(buf__fails_for_good_at_its_limit),
        harness_test(buf__cuts_bytes_out),
        harness_test(buf__writes_varints_as_protobuf_does),
#ifdef TK_DEBUG
        harness_test(buf__reports_the_end_of_memory),
#endif
        harness_test(slice__orders_like_bytes),
    };

    return harness_run(tests);
}
