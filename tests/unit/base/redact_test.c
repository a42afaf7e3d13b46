/* SPDX-License-Identifier: Apache-2.0 */
/* What texts tell of keys, in each mode. */
#include "harness/harness.h"

#include "base/error.h"
#include "base/redact.h"
#include "base/slice.h"

static int
begin(void **state)
{
    (void)state;
    tk_redact_set(TK_REDACT_ON);
    return 0;
}

static void
becomes(const char *text, const char *wanted)
{
    char buffer[512];

    assert_ptr_equal(
        tk_redact_text(text, strlen(text), buffer, sizeof(buffer)), buffer);
    assert_string_equal(buffer, wanted);
}

static void
key__is_a_length_and_a_hash(void **state)
{
    char a[64];
    char b[64];

    begin(state);
    tk_redact_key(tk_slice_text("secret-1"), a, sizeof(a));
    tk_redact_key(tk_slice_text("secret-2"), b, sizeof(b));
    assert_null(strstr(a, "secret"));
    assert_non_null(strstr(a, "8 bytes"));
    assert_string_not_equal(a, b);
    tk_redact_key(tk_slice_text("secret-1"), b, sizeof(b));
    assert_string_equal(a, b);
    tk_redact_key(tk_slice_text("secret-1"), b, 5);
    assert_int_equal(strlen(b), 4);
}

static void
key__is_hex_where_that_is_wanted(void **state)
{
    char text[64];

    (void)state;
    tk_redact_set(TK_REDACT_OFF);
    assert_string_equal(tk_redact_key(tk_slice("z\x00\xff", 3), text, 64),
                        "7A00FF");
    assert_string_equal(tk_redact_key(tk_slice("z\x00\xff", 3), text, 6),
                        "7A00F");
    tk_redact_set(TK_REDACT_MARKER);
    assert_string_equal(tk_redact_key(tk_slice("z\x00\xff", 3), text, 64),
                        "\xe2\x80\xb9" "7A00FF\xe2\x80\xba");
    begin(state);
}

/* As servers write them. */
static void
text__hides_what_may_be_a_key(void **state)
{
    begin(state);
    becomes("key 7480000000000000FF is not in region 5",
            "key ? is not in region 5");
    becomes("key is locked primary_lock: 616263 lock_version: 448",
            "key is locked primary_lock: ? lock_version: 448");
    becomes("raw_key: \"a \\\" b\", size 12", "raw_key: ?, size 12");
    becomes("KeyTooLarge { key: [116, 128, 0] }", "KeyTooLarge { key: ? }");
    becomes("range [7A01, 7a02) of region 3", "range [?, ?) of region 3");
    becomes("found z\\000\\377 there", "found ? there");
    becomes("found \x01\xfe there", "found ? there");
    becomes("start_key=user_42", "start_key=?");
    becomes("deadbeef", "?");
    becomes("an open \"quote", "an open ?");
}

static void
text__keeps_what_is_none(void **state)
{
    static const char *const plain[] = {
        "",
        "region 12 not found, start_ts 446312394823172097",
        "the leader is at 127.0.0.1:20160 (store 4)",
        "key is locked (backoff or cleanup)",
        "write conflict: a faded bad decade",
        "[region 5] peer 7 is not leader",
        "Api version in request does not match with TiKV storage",
    };
    size_t i;

    begin(state);
    for (i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        becomes(plain[i], plain[i]);
    }
}

static void
text__is_whole_or_marked_in_the_other_modes(void **state)
{
    (void)state;
    tk_redact_set(TK_REDACT_OFF);
    becomes("key \"a\" in 7A00FF00", "key \"a\" in 7A00FF00");
    tk_redact_set(TK_REDACT_MARKER);
    becomes("key \"a\" in 7A00FF00",
            "key \xe2\x80\xb9\"a\"\xe2\x80\xba in \xe2\x80\xb9"
            "7A00FF00\xe2\x80\xba");
    begin(state);
}

static void
text__is_cut_at_the_buffer(void **state)
{
    char buffer[8];

    begin(state);
    assert_string_equal(tk_redact_text("abcdefgh ijk", 12, buffer, 8),
                        "abcdefg");
    assert_string_equal(tk_redact_text("abc \"secret\" x", 14, buffer, 8),
                        "abc ? x");
    assert_string_equal(tk_redact_text("abc", 3, buffer, 1), "");
}

static void
error__tells_who_said_what(void **state)
{
    tikv_error *error;

    begin(state);
    error = tk_error_said(TIKV_ERR_SERVER, "KvGet", "bad key: secret", 15);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_SERVER);
    assert_non_null(strstr(tikv_error_message(error), "KvGet: bad key: ?"));
    tikv_error_free(error);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(key__is_a_length_and_a_hash),
        harness_test(key__is_hex_where_that_is_wanted),
        harness_test(text__hides_what_may_be_a_key),
        harness_test(text__keeps_what_is_none),
        harness_test(text__is_whole_or_marked_in_the_other_modes),
        harness_test(text__is_cut_at_the_buffer),
        harness_test(error__tells_who_said_what),
    };

    return harness_run(tests);
}
