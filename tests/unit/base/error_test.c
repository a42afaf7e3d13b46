/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: codes and classes, context, facts, and what is left of them when
 * memory ends. */
#include "harness/harness.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/slice.h"

static void
error__reads_null_as_success(void **state)
{
    (void)state;
    assert_int_equal(tikv_error_code(NULL), TIKV_OK);
    assert_int_equal(tikv_error_class(NULL), TIKV_CLASS_NONE);
    assert_non_null(tikv_error_message(NULL));
    assert_null(tikv_error_key(NULL).data);
    assert_false(tikv_error_is_retryable(NULL));
    assert_false(tikv_error_is_undetermined(NULL));
    assert_int_equal(tikv_error_outcomes_count(NULL), 0);
    assert_false(tikv_error_backoff(NULL, 0, NULL, NULL));
    tikv_error_free(NULL);
}

/* After T0359: context is put before the cause and the cause stays. */
static void
error__keeps_the_cause_behind_its_context(void **state)
{
    tikv_error *error = tk_error(TIKV_ERR_UNAVAILABLE, "refused by %s", "peer");
    tikv_error *other = tk_error(TIKV_ERR_UNAVAILABLE, "refused by %s", "peer");

    (void)state;
    assert_ptr_not_equal(error, other);
    assert_string_equal(tikv_error_message(error), "refused by peer");
    error = tk_error_wrap(error, "store %d at %s", 7, "h:1");
    assert_string_equal(tikv_error_message(error),
                        "store 7 at h:1: refused by peer");
    assert_int_equal(tikv_error_code(error), TIKV_ERR_UNAVAILABLE);
    assert_string_equal(tikv_error_message(other), "refused by peer");
    tikv_error_free(error);
    tikv_error_free(other);
}

/* After T0536: an error without a cause has a message all the same. */
static void
error__has_a_message_without_a_cause(void **state)
{
    tikv_error *error = tikv_error_new(TIKV_ERR_REGION, NULL);

    (void)state;
    assert_string_equal(tikv_error_message(error), "REGION");
    error = tk_error_recode(error, TIKV_ERR_PD);
    assert_string_equal(tikv_error_message(error), "PD");
    error = tk_error_wrap(error, "asking");
    assert_string_equal(tikv_error_message(error), "asking: PD");
    tikv_error_free(error);
}

static void
error__message_is_one_line(void **state)
{
    tikv_error *error = tikv_error_new(TIKV_ERR_SERVER, "two\nlines\tand tab");

    (void)state;
    assert_string_equal(tikv_error_message(error), "two lines and tab");
    tikv_error_free(error);
}

static void
error__tells_its_class(void **state)
{
    static const struct {
        tikv_code code;
        tikv_class class;
        bool is_retryable;
    } rows[] = { { TIKV_ERR_ARGUMENT, TIKV_CLASS_PERMANENT, false },
                 { TIKV_ERR_OVERLOAD, TIKV_CLASS_RETRY_CALL, true },
                 { TIKV_ERR_REGION, TIKV_CLASS_RETRY_CALL, true },
                 { TIKV_ERR_WRITE_CONFLICT, TIKV_CLASS_RETRY_TXN, true },
                 { TIKV_ERR_UNDETERMINED, TIKV_CLASS_UNDETERMINED, false },
                 { TIKV_ERR_CANCELLED, TIKV_CLASS_CANCELLED, false },
                 { TIKV_ERR_TIMEOUT, TIKV_CLASS_TIMEOUT, false },
                 { 9999, TIKV_CLASS_PERMANENT, false } };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        tikv_error *error = tikv_error_new(rows[i].code, "x");

        assert_int_equal(tikv_error_class(error), rows[i].class);
        assert_int_equal(tikv_error_is_retryable(error), rows[i].is_retryable);
        tikv_error_free(error);
    }
    assert_string_equal(tikv_code_name(TIKV_ERR_TIMEOUT), "TIMEOUT");
    assert_string_equal(tikv_code_name(TIKV_OK), "OK");
    assert_string_equal(tikv_code_name(9999), "UNKNOWN");
}

static void
error__carries_facts(void **state)
{
    tikv_error *error = tk_error(TIKV_ERR_SERVER_BUSY, "busy");
    tikv_error *copy;
    const char *kind;
    uint64_t slept;

    (void)state;
    tk_error_set_u64(error, TIKV_ERROR_REGION_ID, 17);
    tk_error_set_u64(error, TIKV_ERROR_ATTEMPTS, 3);
    tk_error_set_u64(error, 77, 1);
    tk_error_set_key(error, tk_slice("k\0y", 3));
    tk_error_set_backoff(error, TK_BACKOFF_SERVER_BUSY, 20);
    tk_error_set_backoff(error, TK_BACKOFF_RPC, 10);
    copy = tk_error_copy(error);
    tikv_error_free(error);

    assert_int_equal(tikv_error_region(copy), 17);
    assert_int_equal(tikv_error_u64(copy, TIKV_ERROR_ATTEMPTS), 3);
    assert_int_equal(tikv_error_u64(copy, 77), 0);
    assert_int_equal(tikv_error_u64(copy, -1), 0);
    assert_int_equal(tikv_error_bytes(copy, TIKV_ERROR_KEY).len, 3);
    assert_memory_equal(tikv_error_key(copy).data, "k\0y", 3);
    assert_null(tikv_error_bytes(copy, TIKV_ERROR_ATTEMPTS).data);
    assert_true(tikv_error_backoff(copy, 0, &kind, &slept));
    assert_string_equal(kind, "tikvRPC");
    assert_int_equal(slept, 10);
    assert_true(tikv_error_backoff(copy, 1, &kind, &slept));
    assert_string_equal(kind, "tikvServerBusy");
    assert_false(tikv_error_backoff(copy, 2, &kind, &slept));
    tikv_error_free(copy);
}

static void
error__carries_bytes_and_a_chain_of_waits(void **state)
{
    tikv_error *error = tk_error(TIKV_ERR_DEADLOCK, "a circle");
    tikv_error *copy;
    uint64_t waits[2];
    tikv_slice key;

    (void)state;
    tk_error_set_bytes(error, TIKV_ERROR_PRIMARY, tk_slice_text("p"));
    tk_error_set_bytes(error, TIKV_ERROR_PRIMARY, tk_slice_text("primary"));
    tk_error_set_bytes(error, TIKV_ERROR_LOCK_KEY, tk_slice_text(""));
    tk_error_set_bytes(error, 99, tk_slice_text("nowhere"));
    tk_error_set_u64(error, TIKV_ERROR_SAFE_POINT, 7);
    tk_error_add_wait(error, 1, 2, tk_slice_text("a"));
    tk_error_add_wait(error, 2, 1, tk_slice_text("b"));
    copy = tk_error_copy(error);
    tikv_error_free(error);
    assert_true(tk_slice_equal(tikv_error_bytes(copy, TIKV_ERROR_PRIMARY),
                               tk_slice_text("primary")));
    assert_non_null(tikv_error_bytes(copy, TIKV_ERROR_LOCK_KEY).data);
    assert_null(tikv_error_bytes(copy, TIKV_ERROR_KEY).data);
    assert_null(tikv_error_bytes(copy, 99).data);
    assert_null(tikv_error_bytes(copy, 103).data);
    assert_null(tikv_error_bytes(NULL, TIKV_ERROR_PRIMARY).data);
    assert_int_equal(tikv_error_u64(copy, TIKV_ERROR_SAFE_POINT), 7);
    assert_true(tikv_error_wait(copy, 1, &waits[0], &waits[1], &key));
    assert_int_equal(waits[0], 2);
    assert_int_equal(waits[1], 1);
    assert_true(tk_slice_equal(key, tk_slice_text("b")));
    assert_true(tikv_error_wait(copy, 0, NULL, NULL, NULL));
    assert_false(tikv_error_wait(copy, 2, NULL, NULL, NULL));
    assert_false(tikv_error_wait(NULL, 0, NULL, NULL, NULL));
    tikv_error_free(copy);
}

static void
error__with_keys_done_is_not_retryable(void **state)
{
    static const tikv_key_outcome some[] = { TIKV_KEY_NOT_DONE, TIKV_KEY_DONE };
    static const tikv_key_outcome lost[] = { TIKV_KEY_NOT_DONE,
                                             TIKV_KEY_UNKNOWN };
    tikv_error *error = tk_error(TIKV_ERR_REGION, "half");

    (void)state;
    assert_true(tikv_error_is_retryable(error));
    assert_true(tk_error_set_outcomes(error, some, 2));
    assert_false(tikv_error_is_retryable(error));
    assert_false(tikv_error_is_undetermined(error));
    assert_int_equal(tikv_error_outcome(error, 1), TIKV_KEY_DONE);
    assert_int_equal(tikv_error_outcome(error, 2), TIKV_KEY_NOT_DONE);
    assert_true(tk_error_set_outcomes(error, lost, 2));
    assert_true(tikv_error_is_undetermined(error));
    assert_int_equal(tikv_error_outcomes_count(error), 2);
    tikv_error_free(error);
}

static void
error__immortals_are_left_alone(void **state)
{
    tikv_error *error = tk_error_immortal(TIKV_ERR_TIMEOUT);
    tikv_error *wrapped;

    (void)state;
    assert_true(tk_error_is_immortal(error));
    tk_error_set_u64(error, TIKV_ERROR_REGION_ID, 5);
    tk_error_set_key(error, tk_slice("k", 1));
    assert_false(tk_error_set_outcomes(error, NULL, 0));
    assert_int_equal(tikv_error_region(error), 0);
    wrapped = tk_error_wrap(error, "get");
    assert_ptr_not_equal(wrapped, error);
    assert_int_equal(tikv_error_code(wrapped), TIKV_ERR_TIMEOUT);
    assert_string_equal(tikv_error_message(wrapped),
                        "get: the deadline passed");
    tikv_error_free(wrapped);
    tikv_error_free(error);
    wrapped = tk_error_recode(error, TIKV_ERR_UNDETERMINED);
    assert_int_equal(tikv_error_code(wrapped), TIKV_ERR_UNDETERMINED);
    assert_string_equal(tikv_error_message(wrapped), tikv_error_message(error));
    tikv_error_free(wrapped);
}

#ifdef TK_DEBUG
static void
error__survives_every_failed_allocation(void **state)
{
    uint64_t nth;

    (void)state;
    for (nth = 1; nth < 12; nth++) {
        tikv_error *error;
        tikv_error *copy;

        tk_alloc_fail_nth(nth);
        error = tk_error(TIKV_ERR_REGION, "text");
        tk_error_set_key(error, tk_slice("key", 3));
        error = tk_error_wrap(error, "context");
        copy = tk_error_copy(error);
        tk_alloc_fail_nth(0);
        assert_non_null(tikv_error_message(error));
        assert_true(tikv_error_code(error) == TIKV_ERR_REGION ||
                    tikv_error_code(error) == TIKV_ERR_MEMORY);
        assert_non_null(copy);
        tikv_error_free(copy);
        tikv_error_free(error);
    }
}
#endif

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(error__reads_null_as_success),
        harness_test(error__keeps_the_cause_behind_its_context),
        harness_test(error__has_a_message_without_a_cause),
        harness_test(error__message_is_one_line),
        harness_test(error__tells_its_class),
        harness_test(error__carries_facts),
        harness_test(error__carries_bytes_and_a_chain_of_waits),
        harness_test(error__with_keys_done_is_not_retryable),
        harness_test(error__immortals_are_left_alone),
#ifdef TK_DEBUG
        harness_test(error__survives_every_failed_allocation),
#endif
    };

    return harness_run(tests);
}
