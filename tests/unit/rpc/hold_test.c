/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a message goes out: each rule of rpc.h alone, on a clock that the test
 * moves.
 */
#include "unit/rpc/fake.h"

static void
hold__sends_at_once_what_is_not_held(void **state)
{
    struct asked asked[2];
    struct fake fake;

    (void)state;
    fake_start(&fake, 128, 64);
    ask(&fake, &asked[0], false);
    assert_int_equal(fake.transport.sends, 1);
    /* One at a time: the second waits for `sent`, and goes then. */
    ask(&fake, &asked[1], false);
    assert_int_equal(fake.transport.sends, 1);
    fake_sent(&fake);
    assert_int_equal(fake.transport.sends, 2);
    fake_stop(&fake);
}

#ifdef TK_DEBUG
static void
hold__needs_no_memory_at_steady_state(void **state)
{
    struct asked asked[32];
    uint64_t ids[32];
    struct fake fake;
    uint64_t made;
    size_t round;
    size_t i;

    (void)state;
    fake_start(&fake, 128, 64);
    for (round = 0; round < 20; round++) {
        made = tk_alloc_made_here();
        for (i = 0; i < 32; i++) {
            assert_int_equal(ask(&fake, &asked[i], true), TK_SUBMIT_OK);
        }
        /* Both buffers have been the open one after two rounds. */
        assert_true(round < 2 || tk_alloc_made_here() == made);
        tk_rpc_flush(fake.rpc, NULL);
        fake_sent(&fake);
        for (i = 0; i < 32; i++) {
            ids[i] = asked_id(&asked[i]);
        }
        fake_answer(&fake, ids, 32);
        for (i = 0; i < 32; i++) {
            assert_int_equal(asked[i].dones, 1);
        }
    }
    fake_stop(&fake);
}

/* Messages that are held one behind the other do not each call for a sweep:
 * the one that is armed comes again by itself. */
static void
hold__calls_for_one_sweep_in_a_row(void **state)
{
    struct asked asked[8];
    struct fake fake;
    uint64_t id;
    size_t i;

    (void)state;
    fake_start(&fake, 128, 64);
    for (i = 0; i < 8; i++) {
        int64_t due;

        ask(&fake, &asked[i], true);
        due = fake.runtime.armed[0]->when;
        assert_true(due <= fake.runtime.now + TK_MS);
        tk_rpc_flush(fake.rpc, NULL);
        fake_sent(&fake);
        id = asked_id(&asked[i]);
        fake_answer(&fake, &id, 1);
        fake_advance(&fake.runtime, TK_MS / 2);
        /* It fired, and is armed for the next; or it was left alone. */
        assert_int_equal(fake.runtime.armed_count, 1);
        assert_true(fake.runtime.armed[0]->when <= fake.runtime.now + TK_MS);
    }
    fake_stop(&fake);
}
#endif

/* The poller wakes for more than frames. */
static void
hold__outlasts_events_that_answer_nothing(void **state)
{
    struct asked asked[3];
    struct fake fake;
    uint64_t id;

    (void)state;
    fake_start(&fake, 128, 64);
    ask(&fake, &asked[0], false);
    ask(&fake, &asked[1], true);
    fake_sent(&fake);
    fake_idle(&fake);
    assert_int_equal(fake.transport.sends, 1);
    /* A frame that came before a message began is none for it. */
    tk_rpc_flush(fake.rpc, NULL);
    fake_sent(&fake);
    id = asked_id(&asked[0]);
    fake_answer(&fake, &id, 1);
    ask(&fake, &asked[2], true);
    fake_idle(&fake);
    assert_int_equal(fake.transport.sends, 2);
    id = asked_id(&asked[1]);
    fake_answer(&fake, &id, 1);
    fake_idle(&fake);
    assert_int_equal(fake.transport.sends, 3);
    fake_stop(&fake);
}

/* A store with much to do answers late and all the time: what is held goes on
 * waiting for company, as long as messages follow each other. */
static void
hold__outlasts_an_old_request_beside_young_ones(void **state)
{
    struct asked asked[4];
    struct fake fake;

    (void)state;
    fake_start(&fake, 128, 64);
    ask(&fake, &asked[0], false);
    fake_sent(&fake);
    fake_advance(&fake.runtime, TK_MS - 1);
    ask(&fake, &asked[1], false);
    fake_sent(&fake);
    fake_advance(&fake.runtime, TK_MS / 2);
    ask(&fake, &asked[2], true);
    assert_int_equal(fake.transport.sends, 2);
    /* Now the last one is old too: nothing can be hoped for. */
    fake_advance(&fake.runtime, TK_MS / 2 + 2);
    ask(&fake, &asked[3], true);
    assert_int_equal(fake.transport.sends, 3);
    assert_int_equal(fake.transport.messages[2].count, 2);
    fake_stop(&fake);
}

static void
hold__ends_at_the_cap(void **state)
{
    struct asked asked[4];
    struct fake fake;
    size_t i;

    (void)state;
    fake_start(&fake, 4, 64);
    for (i = 0; i < 3; i++) {
        ask(&fake, &asked[i], true);
        assert_int_equal(fake.transport.sends, 0);
    }
    ask(&fake, &asked[3], true);
    assert_int_equal(fake.transport.sends, 1);
    assert_int_equal(fake.transport.messages[0].count, 4);
    fake_stop(&fake);
}

static void
hold__ends_when_its_owner_will_wait(void **state)
{
    struct asked asked[3];
    struct fake fake;

    (void)state;
    fake_start(&fake, 128, 64);
    ask(&fake, &asked[0], false);
    fake_sent(&fake);
    ask(&fake, &asked[1], true);
    /* What is on the wire already is no reason to send another message. */
    tk_rpc_flush(fake.rpc, &asked[0].request);
    assert_int_equal(fake.transport.sends, 1);
    tk_rpc_flush(fake.rpc, &asked[1].request);
    assert_int_equal(fake.transport.sends, 2);
    fake_sent(&fake);
    ask(&fake, &asked[2], true);
    tk_rpc_flush(fake.rpc, NULL);
    assert_int_equal(fake.transport.sends, 3);
    fake_stop(&fake);
}

static void
hold__ends_with_the_batch_of_events(void **state)
{
    struct asked asked[3];
    struct fake fake;

    (void)state;
    fake_start(&fake, 128, 64);
    fake.transport.is_delivering = true;
    /* Submitted by the reader: held, although not asked to. */
    ask(&fake, &asked[0], false);
    ask(&fake, &asked[1], false);
    assert_int_equal(fake.transport.sends, 0);
    fake_idle(&fake);
    assert_int_equal(fake.transport.sends, 1);
    assert_int_equal(fake.transport.messages[0].count, 2);
    fake.transport.is_delivering = false;
    fake_stop(&fake);
}

static void
hold__ends_after_a_millisecond(void **state)
{
    struct asked asked;
    struct fake fake;

    (void)state;
    fake_start(&fake, 128, 64);
    ask(&fake, &asked, true);
    fake_advance(&fake.runtime, TK_MS - 1);
    assert_int_equal(fake.transport.sends, 0);
    fake_advance(&fake.runtime, 1);
    assert_int_equal(fake.transport.sends, 1);
    fake_stop(&fake);
}

static void
hold__ends_after_a_millisecond_beside_a_slower_sweep(void **state)
{
    struct asked asked[2];
    struct fake fake;

    (void)state;
    fake_start(&fake, 128, 64);
    ask(&fake, &asked[0], false);
    fake_sent(&fake);
    /* The sweep is armed for 10 ms: a held request brings it forward. */
    ask(&fake, &asked[1], true);
    fake_advance(&fake.runtime, TK_MS);
    assert_int_equal(fake.transport.sends, 2);
    fake_stop(&fake);
}

static void
hold__does_not_wait_for_a_slow_answer(void **state)
{
    struct asked asked[3];
    struct fake fake;

    (void)state;
    fake_start(&fake, 128, 64);
    ask(&fake, &asked[0], false);
    fake_sent(&fake);
    ask(&fake, &asked[1], true);
    assert_int_equal(fake.transport.sends, 1);
    tk_rpc_flush(fake.rpc, &asked[1].request);
    fake_sent(&fake);
    fake.runtime.now += TK_MS + 1;
    ask(&fake, &asked[2], true);
    assert_int_equal(fake.transport.sends, 3);
    fake_stop(&fake);
}

static void
hold__is_ignored_by_the_urgent(void **state)
{
    struct asked asked[2];
    struct fake fake;

    (void)state;
    fake_start(&fake, 128, 64);
    ask(&fake, &asked[0], true);
    asked_init(&asked[1], &fake, TK_CMD_RAW_GET);
    asked[1].request.is_urgent = true;
    fake.transport.is_delivering = true;
    tk_conn_submit(fake.conn, &asked[1].request, true);
    assert_int_equal(fake.transport.sends, 1);
    assert_int_equal(fake.transport.messages[0].count, 2);
    fake.transport.is_delivering = false;
    fake_stop(&fake);
}

static void
sent__sends_the_held_only_with_a_reason(void **state)
{
    struct asked asked[6];
    struct fake fake;
    uint64_t id;

    (void)state;
    fake_start(&fake, 128, 64);
    ask(&fake, &asked[0], false);
    ask(&fake, &asked[1], true);
    fake_sent(&fake);
    assert_int_equal(fake.transport.sends, 1);
    tk_rpc_flush(fake.rpc, NULL);
    assert_int_equal(fake.transport.sends, 2);
    /* With nothing on the wire there is nothing to wait for. */
    ask(&fake, &asked[2], true);
    id = asked_id(&asked[0]);
    fake_answer(&fake, &id, 1);
    id = asked_id(&asked[1]);
    fake_answer(&fake, &id, 1);
    assert_int_equal(fake.transport.sends, 2);
    fake_sent(&fake);
    assert_int_equal(fake.transport.sends, 3);
    fake_stop(&fake);
}

static void
message__never_counts_more_than_the_cap(void **state)
{
    struct asked asked[11];
    struct fake fake;
    size_t i;

    (void)state;
    fake_start(&fake, 4, 64);
    for (i = 0; i < 11; i++) {
        ask(&fake, &asked[i], false);
    }
    fake_sent(&fake);
    fake_sent(&fake);
    fake_sent(&fake);
    assert_int_equal(fake.transport.sends, 4);
    assert_int_equal(fake.transport.messages[0].count, 1);
    assert_int_equal(fake.transport.messages[1].count, 4);
    assert_int_equal(fake.transport.messages[2].count, 4);
    assert_int_equal(fake.transport.messages[3].count, 2);
    for (i = 1; i < 11; i++) {
        assert_int_equal(fake.transport.messages[(i + 3) / 4].ids[(i + 3) % 4],
                         asked_id(&asked[i]));
    }
    fake_stop(&fake);
}

static void
conn__is_busy_while_something_is_on_the_wire(void **state)
{
    struct asked asked;
    struct fake fake;
    uint64_t id;

    (void)state;
    fake_start(&fake, 128, 64);
    assert_false(tk_conn_is_busy(fake.conn));
    ask(&fake, &asked, true);
    assert_false(tk_conn_is_busy(fake.conn));
    tk_rpc_flush(fake.rpc, NULL);
    assert_true(tk_conn_is_busy(fake.conn));
    id = asked_id(&asked);
    fake_answer(&fake, &id, 1);
    assert_false(tk_conn_is_busy(fake.conn));
    fake_stop(&fake);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(hold__sends_at_once_what_is_not_held),
#ifdef TK_DEBUG
        harness_test(hold__needs_no_memory_at_steady_state),
        harness_test(hold__calls_for_one_sweep_in_a_row),
#endif
        harness_test(hold__outlasts_events_that_answer_nothing),
        harness_test(hold__outlasts_an_old_request_beside_young_ones),
        harness_test(hold__ends_at_the_cap),
        harness_test(hold__ends_when_its_owner_will_wait),
        harness_test(hold__ends_with_the_batch_of_events),
        harness_test(hold__ends_after_a_millisecond),
        harness_test(hold__ends_after_a_millisecond_beside_a_slower_sweep),
        harness_test(hold__does_not_wait_for_a_slow_answer),
        harness_test(hold__is_ignored_by_the_urgent),
        harness_test(sent__sends_the_held_only_with_a_reason),
        harness_test(message__never_counts_more_than_the_cap),
        harness_test(conn__is_busy_while_something_is_on_the_wire),
    };

    return harness_run(tests);
}
