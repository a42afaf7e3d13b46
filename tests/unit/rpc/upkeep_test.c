/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections at rest and the change of guard, on a clock that the test
 * moves: when they come, what keeps them away, and that a request that meets
 * them is not hurt.
 */
#include "unit/rpc/fake.h"

#define MINUTE (60000 * TK_MS)

static void
ask_and_answer(struct fake *fake, struct asked *asked)
{
    uint64_t id;

    assert_int_equal(ask(fake, asked, false), TK_SUBMIT_OK);
    assert_non_null(fake->transport.stream);
    fake_sent(fake);
    id = asked_id(asked);
    fake_answer(fake, &id, 1);
    assert_int_equal(asked->dones, 1);
    assert_int_equal(asked->status, TK_REPLY_OK);
}

static void
rest__comes_after_three_minutes(void **state)
{
    struct asked asked;
    struct fake fake;
    int64_t living;

    (void)state;
    fake_start_with(&fake, 128, 64, 180000, 0);
    living = tk_alloc_live();
    fake_advance(&fake.runtime, 10 * MINUTE);
    ask_and_answer(&fake, &asked);
    assert_true(tk_alloc_live() > living);
    fake_advance(&fake.runtime, 3 * MINUTE - TK_MS);
    assert_int_equal(fake.transport.cancels, 0);
    fake_advance(&fake.runtime, MINUTE);
    assert_int_equal(fake.transport.cancels, 1);
    assert_int_equal(fake.transport.rests, 0);
    fake_end(&fake, 1, "ended by the client", false);
    fake_advance(&fake.runtime, MINUTE);
    assert_true(fake.transport.rests > 0);
    /* Tables and messages are given back: an address that nobody uses any
     * more costs less than one that was never used. */
    assert_true(tk_alloc_live() < living);
    /* Nobody asks for a stream. */
    assert_int_equal(fake.transport.opens, 1);
    ask_and_answer(&fake, &asked);
    assert_int_equal(fake.transport.opens, 2);
    fake_stop(&fake);
}

static void
rest__does_not_come_to_who_works(void **state)
{
    struct asked asked;
    struct fake fake;
    uint64_t id;
    size_t i;

    (void)state;
    fake_start_with(&fake, 128, 64, 180000, 0);
    for (i = 0; i < 10; i++) {
        ask_and_answer(&fake, &asked);
        fake_advance(&fake.runtime, 2 * MINUTE);
    }
    /* One request that takes long. */
    asked_init(&asked, &fake, TK_CMD_RAW_GET);
    asked.request.deadline = fake.runtime.now + 60 * MINUTE;
    assert_int_equal(tk_conn_submit(fake.conn, &asked.request, false),
                     TK_SUBMIT_OK);
    fake_sent(&fake);
    fake_advance(&fake.runtime, 20 * MINUTE);
    assert_int_equal(fake.transport.cancels, 0);
    assert_int_equal(fake.transport.rests, 0);
    id = asked_id(&asked);
    fake_answer(&fake, &id, 1);
    assert_int_equal(asked.status, TK_REPLY_OK);
    assert_int_equal(fake.transport.opens, 1);
    fake_stop(&fake);
}

/* Lesson 124: a request that meets the end of an unused stream waits for the
 * next, and does not fail. */
static void
lesson_124__rest_hurts_no_late_request(void **state)
{
    struct asked asked;
    struct fake fake;
    uint64_t id;

    (void)state;
    fake_start_with(&fake, 128, 64, 180000, 0);
    ask_and_answer(&fake, &asked);
    fake_advance(&fake.runtime, 4 * MINUTE);
    assert_int_equal(fake.transport.cancels, 1);
    assert_int_equal(ask(&fake, &asked, false), TK_SUBMIT_OK);
    assert_int_equal(fake.transport.sends, 1);
    assert_int_equal(asked.dones, 0);
    fake_end(&fake, 1, "ended by the client", false);
    assert_int_equal(fake.transport.opens, 2);
    assert_int_equal(fake.transport.sends, 2);
    fake_sent(&fake);
    id = asked_id(&asked);
    fake_answer(&fake, &id, 1);
    assert_int_equal(asked.dones, 1);
    assert_int_equal(asked.status, TK_REPLY_OK);
    fake_stop(&fake);
}

static void
rest__never_comes_if_switched_off(void **state)
{
    struct asked asked;
    struct fake fake;

    (void)state;
    fake_start_with(&fake, 128, 64, 0, 0);
    ask_and_answer(&fake, &asked);
    fake_advance(&fake.runtime, 600 * MINUTE);
    assert_int_equal(fake.transport.cancels, 0);
    assert_int_equal(fake.runtime.armed_count, 0);
    fake_stop(&fake);
}

/* What is on the old stream is answered there, what is new goes out on a
 * stream of its own; the old one goes when it has nothing left. */
static void
age__changes_the_guard_without_hurting_requests(void **state)
{
    const struct tk_status over = { .grpc = 14, .details = "over" };
    struct asked before;
    struct asked after;
    struct tk_stream *young;
    struct tk_stream *old;
    struct fake fake;
    uint64_t id;

    (void)state;
    fake_start_with(&fake, 128, 64, 0, 60000);
    asked_init(&before, &fake, TK_CMD_RAW_GET);
    before.request.deadline = fake.runtime.now + 60 * MINUTE;
    assert_int_equal(tk_conn_submit(fake.conn, &before.request, false),
                     TK_SUBMIT_OK);
    fake_sent(&fake);
    old = fake.transport.stream;
    fake.transport.stream = NULL;
    fake.transport.is_stale = true;
    fake_advance(&fake.runtime, 10000 * TK_MS);
    fake.transport.is_stale = false;
    ask_and_answer(&fake, &after);
    assert_int_equal(fake.transport.opens, 2);
    young = fake.transport.stream;
    assert_ptr_not_equal(old, young);
    /* The old one has its answer to give. */
    fake.transport.stream = old;
    fake_advance(&fake.runtime, 30 * MINUTE);
    assert_int_equal(fake.transport.cancels, 0);
    assert_int_equal(before.dones, 0);
    id = asked_id(&before);
    fake_answer(&fake, &id, 1);
    assert_int_equal(before.dones, 1);
    assert_int_equal(before.status, TK_REPLY_OK);
    fake_advance(&fake.runtime, 10000 * TK_MS);
    assert_int_equal(fake.transport.cancels, 1);
    fake_end(&fake, 1, "ended by the client", false);
    fake_advance(&fake.runtime, 10000 * TK_MS);
    assert_true(fake.transport.rests > 0);
    /* Back to the first, on a connection that is not the old one. */
    assert_int_equal(fake.transport.rests_of_used, 0);
    fake.transport.is_stale = true;
    fake_advance(&fake.runtime, 10000 * TK_MS);
    fake.transport.is_stale = false;
    assert_int_equal(fake.transport.rests_of_used, 1);
    ask_and_answer(&fake, &after);
    assert_int_equal(fake.transport.opens, 3);
    assert_ptr_equal(fake.transport.stream, old);
    young->closed(young, &over, &fake.wakes);
    fake_stop(&fake);
}

static void
expect_slow(struct fake *fake, uint64_t slow, uint64_t hanging)
{
    struct tk_rpc_stats stats;

    tk_rpc_stats(fake->rpc, &stats);
    assert_int_equal(stats.slow, slow);
    assert_int_equal(stats.hanging, hanging);
}

static void
inspection__counts_the_slow_and_the_hanging_once(void **state)
{
    struct asked slow[3];
    struct asked quick;
    struct fake fake;
    uint64_t ids[3];
    size_t i;

    (void)state;
    fake_start_with(&fake, 128, 64, 180000, 0);
    for (i = 0; i < 3; i++) {
        asked_init(&slow[i], &fake, TK_CMD_RAW_GET);
        slow[i].request.deadline = fake.runtime.now + 60 * MINUTE;
        assert_int_equal(tk_conn_submit(fake.conn, &slow[i].request, i < 2),
                         TK_SUBMIT_OK);
        ids[i] = asked_id(&slow[i]);
    }
    fake_sent(&fake);
    ask_and_answer(&fake, &quick);
    fake_advance(&fake.runtime, 20000 * TK_MS);
    expect_slow(&fake, 0, 0);
    fake_advance(&fake.runtime, MINUTE);
    expect_slow(&fake, 3, 0);
    fake_answer(&fake, ids, 1);
    fake_advance(&fake.runtime, MINUTE);
    expect_slow(&fake, 3, 2);
    fake_advance(&fake.runtime, 5 * MINUTE);
    expect_slow(&fake, 3, 2);
    fake_answer(&fake, ids + 1, 2);
    assert_int_equal(slow[2].status, TK_REPLY_OK);
    fake_stop(&fake);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(rest__comes_after_three_minutes),
        harness_test(rest__does_not_come_to_who_works),
        harness_test(lesson_124__rest_hurts_no_late_request),
        harness_test(rest__never_comes_if_switched_off),
        harness_test(age__changes_the_guard_without_hurting_requests),
        harness_test(inspection__counts_the_slow_and_the_hanging_once),
    };

    return harness_run(tests);
}
