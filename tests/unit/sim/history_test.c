/* SPDX-License-Identifier: Apache-2.0 */
/* The record of operations and sends, and the rules that need no search. */
#include "harness/harness.h"

#include "exec/runtime.h"
#include "sim/history.h"

#define SLACK 5

static uint32_t
begin(struct tk_history *history, enum tk_sim_kind kind, int64_t invoked)
{
    struct tk_sim_op op = { .group = (uint32_t)history->ops_count,
                            .key = 1,
                            .kind = kind,
                            .value = 7,
                            .invoked = invoked,
                            .deadline = invoked + 100 };

    return tk_history_begin(history, &op);
}

static const char *
verdict_of(struct tk_history *history, uint32_t wanted)
{
    const char *why;
    uint32_t op = tk_history_rules(history, SLACK, &why);

    assert_int_equal(op, wanted);
    tk_history_fini(history);
    return why;
}

static void
history__keeps_what_it_is_told(void **state)
{
    struct tk_history history;
    uint32_t op;
    uint32_t send;
    uint32_t i;

    (void)state;
    tk_history_init(&history);
    for (i = 0; i < 200; i++) {
        op = begin(&history, TK_SIM_PUT, i);
        assert_int_equal(op, i);
        send = tk_history_send(&history, i, 1, i + 1, i + 50);
        assert_int_equal(history.sends[send].op, op);
    }
    assert_int_equal(tk_history_send(&history, 3, 2, 0, 1), TK_SIM_NONE);
    assert_int_equal(tk_history_send(&history, 999, 1, 0, 1), TK_SIM_NONE);
    assert_int_equal(tk_history_doubts(&history, 9), 1);
    send = tk_history_send(&history, 9, 1, 20, 70);
    assert_int_equal(tk_history_doubts(&history, 9), 2);
    tk_history_judge(&history, send, 30, TK_SIM_REFUSED);
    tk_history_judge(&history, send, 31, TK_SIM_APPLIED);
    assert_int_equal(tk_history_doubts(&history, 9), 1);
    assert_int_equal(history.sends[send].over, 30);
    assert_false(history.failed);
    tk_history_fini(&history);
}

static void
rules__accept_an_answered_write(void **state)
{
    struct tk_history history;
    uint32_t op;

    (void)state;
    tk_history_init(&history);
    op = begin(&history, TK_SIM_PUT, 10);
    tk_history_judge(&history, tk_history_send(&history, 0, 1, 11, 60), 15,
                     TK_SIM_REFUSED);
    tk_history_judge(&history, tk_history_send(&history, 0, 1, 16, 60), 20,
                     TK_SIM_APPLIED);
    tk_history_end(&history, op, 21, TK_SIM_OK, 0);
    assert_null(verdict_of(&history, TK_SIM_NONE));
}

static void
rules__want_one_end_in_time(void **state)
{
    struct tk_history history;
    uint32_t op;

    (void)state;
    tk_history_init(&history);
    begin(&history, TK_SIM_GET, 10);
    assert_string_equal(verdict_of(&history, 0), "it never ended");

    op = begin(&history, TK_SIM_GET, 10);
    tk_history_end(&history, op, 20, TK_SIM_OK, 0);
    tk_history_end(&history, op, 21, TK_SIM_FAILED, 202);
    assert_int_equal(history.ops[op].outcome, TK_SIM_OK);
    assert_string_equal(verdict_of(&history, 0), "it ended more than once");

    op = begin(&history, TK_SIM_GET, 10);
    tk_history_end(&history, op, 110 + SLACK, TK_SIM_FAILED, 202);
    assert_null(verdict_of(&history, TK_SIM_NONE));
    op = begin(&history, TK_SIM_GET, 10);
    tk_history_end(&history, op, 111 + SLACK, TK_SIM_FAILED, 202);
    assert_string_equal(verdict_of(&history, 0), "it ended after its deadline");
}

static void
rules__refute_a_swap_sent_again_in_doubt(void **state)
{
    struct tk_history history;
    uint32_t op;
    uint32_t send;

    (void)state;
    tk_history_init(&history);
    op = begin(&history, TK_SIM_CAS, 10);
    send = tk_history_send(&history, 0, 1, 11, 60);
    tk_history_judge(&history, send, 14, TK_SIM_REFUSED);
    tk_history_send(&history, 0, 1, 15, 60);
    tk_history_end(&history, op, 30, TK_SIM_UNDETERMINED, 407);
    assert_null(verdict_of(&history, TK_SIM_NONE));

    op = begin(&history, TK_SIM_CAS, 10);
    tk_history_send(&history, 0, 1, 11, 60);
    tk_history_send(&history, 0, 1, 15, 60);
    tk_history_end(&history, op, 30, TK_SIM_UNDETERMINED, 407);
    assert_string_equal(verdict_of(&history, 0),
                        "a swap was sent again while it was in doubt");

    /* The refusal came too late to know it. */
    op = begin(&history, TK_SIM_CAS, 10);
    send = tk_history_send(&history, 0, 1, 11, 60);
    tk_history_send(&history, 0, 1, 15, 60);
    tk_history_judge(&history, send, 16, TK_SIM_REFUSED);
    tk_history_end(&history, op, 30, TK_SIM_UNDETERMINED, 407);
    assert_string_equal(verdict_of(&history, 0),
                        "a swap was sent again while it was in doubt");
}

static void
rules__refute_lies_about_writes(void **state)
{
    struct tk_history history;
    uint32_t op;

    (void)state;
    tk_history_init(&history);
    op = begin(&history, TK_SIM_DELETE, 10);
    tk_history_send(&history, 0, 1, 11, 60);
    tk_history_end(&history, op, 30, TK_SIM_FAILED, 201);
    assert_string_equal(
        verdict_of(&history, 0),
        "it is called failed, and a request of it may be applied");

    op = begin(&history, TK_SIM_PUT, 10);
    tk_history_send(&history, 0, 1, 11, 60);
    tk_history_end(&history, op, 30, TK_SIM_OK, 0);
    assert_string_equal(verdict_of(&history, 0),
                        "it is called done, and nobody answered");

    op = begin(&history, TK_SIM_GET, 10);
    tk_history_end(&history, op, 30, TK_SIM_UNDETERMINED, 407);
    assert_string_equal(verdict_of(&history, 0),
                        "a read is called undetermined");
}

static void
print__shows_one_key(void **state)
{
    struct tk_history history;
    struct tk_buf out;
    uint32_t op;

    (void)state;
    tk_history_init(&history);
    tk_buf_init(&out, 65536);
    op = begin(&history, TK_SIM_PUT, 10 * TK_MS);
    tk_history_send(&history, 0, 1, 11 * TK_MS, 60 * TK_MS);
    tk_history_end(&history, op, 30 * TK_MS, TK_SIM_UNDETERMINED, 407);
    begin(&history, TK_SIM_GET, 12 * TK_MS);
    tk_history_print(&history, 1, op, &out);
    tk_buf_append(&out, "", 1);
    assert_false(out.failed);
    assert_string_equal((const char *)out.data,
                        "key 1; times in ms\n"
                        "-> #0 fiber 0 [10.000, 30.000] put v7: "
                        "undetermined (407)\n"
                        "      sent at 11.000, pending until 60.000\n"
                        "   #1 fiber 0 [12.000, ...] get: running\n");
    tk_buf_clear(&out);
    tk_history_print(&history, 2, TK_SIM_NONE, &out);
    assert_int_equal(out.len, strlen("key 2; times in ms\n"));
    tk_buf_fini(&out);
    tk_history_fini(&history);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(history__keeps_what_it_is_told),
        harness_test(rules__accept_an_answered_write),
        harness_test(rules__want_one_end_in_time),
        harness_test(rules__refute_a_swap_sent_again_in_doubt),
        harness_test(rules__refute_lies_about_writes),
        harness_test(print__shows_one_key),
    };

    return harness_run(tests);
}
