/* SPDX-License-Identifier: Apache-2.0 */
/* Options of a call: older and newer callers, and what is refused. */
#include "harness/harness.h"

#include "base/call.h"

struct options {
    tikv_call call;
    int64_t limit;
};

struct newer {
    struct options known;
    int64_t unknown;
};

static void
options__none_are_all_defaults(void **state)
{
    struct options copy;

    (void)state;
    memset(&copy, 0xff, sizeof(copy));
    assert_null(tk_options_read(NULL, sizeof(copy), &copy));
    assert_int_equal(copy.call.struct_size, sizeof(copy));
    assert_int_equal(copy.call.timeout_ms, 0);
    assert_int_equal(copy.limit, 0);
}

static void
options__of_an_older_caller_are_filled_up(void **state)
{
    tikv_call call = TIKV_CALL_INIT;
    struct options copy;

    (void)state;
    call.timeout_ms = 5;
    memset(&copy, 0xff, sizeof(copy));
    assert_null(tk_options_read(&call, sizeof(copy), &copy));
    assert_int_equal(copy.call.timeout_ms, 5);
    assert_int_equal(copy.limit, 0);
    assert_int_equal(copy.call.struct_size, sizeof(copy));
}

static void
options__of_a_newer_caller_must_not_be_used(void **state)
{
    struct newer newer;
    struct options copy;
    tikv_error *error;

    (void)state;
    tikv_call_init(&newer.known.call, sizeof(newer));
    newer.known.limit = 9;
    assert_null(tk_options_read(&newer, sizeof(copy), &copy));
    assert_int_equal(copy.limit, 9);
    newer.unknown = 1;
    error = tk_options_read(&newer, sizeof(copy), &copy);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_ARGUMENT);
    tikv_error_free(error);
}

static void
refused(const tikv_call *call)
{
    tikv_error *error = tk_call_check(call, sizeof(*call));

    assert_int_equal(tikv_error_code(error), TIKV_ERR_ARGUMENT);
    tikv_error_free(error);
}

static void
call__is_checked_field_by_field(void **state)
{
    tikv_call call = TIKV_CALL_INIT;

    (void)state;
    call.timeout_ms = TIKV_FOREVER;
    call.priority = TIKV_PRIORITY_HIGH;
    assert_null(tk_call_check(&call, sizeof(call)));
    call.timeout_ms = -2;
    refused(&call);
    call.timeout_ms = 0;
    call.deadline_ns = -1;
    refused(&call);
    call.deadline_ns = 0;
    call.priority = 3;
    refused(&call);
    call.priority = 0;
    call.reserved = 1;
    refused(&call);
    call.reserved = 0;
    call.struct_size = 8;
    refused(&call);
    call.struct_size = SIZE_MAX;
    refused(&call);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(options__none_are_all_defaults),
        harness_test(options__of_an_older_caller_are_filled_up),
        harness_test(options__of_a_newer_caller_must_not_be_used),
        harness_test(call__is_checked_field_by_field),
    };

    return harness_run(tests);
}
