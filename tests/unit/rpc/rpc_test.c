/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The batch stream step by step: what ends a request, and how often. The
 * rules of when a message goes out are in hold_test.c.
 */
#include "unit/rpc/fake.h"

static void
batch__completes_each_request_once(void **state)
{
    struct asked asked[3];
    struct fake fake;
    uint64_t ids[3];
    size_t i;

    (void)state;
    fake_start(&fake, 128, 64);
    for (i = 0; i < 3; i++) {
        assert_int_equal(ask(&fake, &asked[i], i < 2), TK_SUBMIT_OK);
        ids[i] = asked_id(&asked[i]);
        assert_int_not_equal(ids[i], 0);
    }
    assert_int_equal(fake.transport.sends, 1);
    assert_int_equal(fake.transport.messages[0].count, 3);
    fake_sent(&fake);
    fake_answer(&fake, ids, 3);
    fake_answer(&fake, ids, 3);
    for (i = 0; i < 3; i++) {
        char expected[32];

        snprintf(expected, sizeof(expected), "%llu",
                 (unsigned long long)ids[i]);
        assert_int_equal(asked[i].dones, 1);
        assert_int_equal(asked[i].status, TK_REPLY_OK);
        assert_string_equal(asked[i].data, expected);
    }
    fake_stop(&fake);
}

static void
batch__keeps_the_frame_for_who_keeps_an_answer(void **state)
{
    struct asked asked[2];
    struct fake fake;
    uint64_t ids[2];

    (void)state;
    fake_start(&fake, 128, 64);
    ask(&fake, &asked[0], true);
    ask(&fake, &asked[1], false);
    asked[0].keeps_frame = true;
    ids[0] = asked_id(&asked[0]);
    ids[1] = asked_id(&asked[1]);
    fake_answer(&fake, ids, 2);
    assert_non_null(asked[0].frame);
    assert_int_equal(atomic_load(&asked[0].frame->refs), 1);
    tk_frame_unref(asked[0].frame, 1);
    fake_stop(&fake);
}

static void
batch__refuses_an_answer_of_another_command(void **state)
{
    struct asked asked;
    struct tk_buf bytes;
    struct fake fake;
    uint64_t id;

    (void)state;
    fake_start(&fake, 128, 64);
    ask(&fake, &asked, false);
    id = asked_id(&asked);
    fake_frame(&bytes, TK_CMD_RAW_PUT, &id, 1);
    fake_receive(&fake, &bytes);
    tk_buf_fini(&bytes);
    assert_int_equal(asked.dones, 1);
    assert_int_equal(asked.status, TK_REPLY_FAILED);
    assert_non_null(strstr(asked.details, "another command"));
    fake_stop(&fake);
}

static void
batch__ends_the_stream_for_a_broken_frame(void **state)
{
    static const uint8_t unequal[] = { 0x12, 0x01, 0x01 }; /* an id, alone */
    static const uint8_t cut[] = { 0x0a, 0x7f, 0x00 };
    struct asked asked;
    struct tk_buf bytes;
    struct fake fake;

    (void)state;
    fake_start(&fake, 128, 64);
    ask(&fake, &asked, false);
    tk_buf_init(&bytes, 64);
    tk_buf_append(&bytes, unequal, sizeof(unequal));
    fake_receive(&fake, &bytes);
    assert_int_equal(fake.transport.cancels, 1);
    assert_int_equal(asked.dones, 0);
    fake_end(&fake, 1, "cancelled", false);
    assert_int_equal(asked.dones, 1);
    assert_int_equal(asked.status, TK_REPLY_FAILED);
    assert_non_null(strstr(asked.details, "broken"));

    fake_advance(&fake.runtime, 60 * TK_MS);
    ask(&fake, &asked, false);
    tk_buf_clear(&bytes);
    tk_buf_append(&bytes, cut, sizeof(cut));
    fake_receive(&fake, &bytes);
    assert_int_equal(fake.transport.cancels, 2);
    fake_end(&fake, 1, "cancelled", false);
    assert_int_equal(asked.dones, 1);
    tk_buf_fini(&bytes);
    fake_stop(&fake);
}

static void
take_back__cuts_an_unsent_request_out(void **state)
{
    struct asked asked[3];
    struct fake fake;
    bool never_sent = false;
    uint64_t ids[2];

    (void)state;
    fake_start(&fake, 128, 64);
    ask(&fake, &asked[0], true);
    ask(&fake, &asked[1], true);
    ask(&fake, &asked[2], true);
    assert_true(tk_request_take_back(&asked[1].request, &never_sent));
    assert_true(never_sent);
    tk_rpc_flush(fake.rpc, &asked[2].request);
    assert_int_equal(fake.transport.messages[0].count, 2);
    ids[0] = asked_id(&asked[0]);
    ids[1] = asked_id(&asked[2]);
    assert_int_equal(fake.transport.messages[0].ids[0], ids[0]);
    assert_int_equal(fake.transport.messages[0].ids[1], ids[1]);
    fake_answer(&fake, ids, 2);
    assert_int_equal(asked[0].dones, 1);
    assert_int_equal(asked[1].dones, 0);
    assert_int_equal(asked[2].dones, 1);
    assert_false(tk_request_take_back(&asked[0].request, &never_sent));
    fake_stop(&fake);
}

static void
take_back__leaves_the_bytes_of_the_others(void **state)
{
    static const uint8_t bodies[6] = { 1, 2, 3, 4, 5, 6 };
    struct asked asked[6];
    struct tk_buf expected;
    struct fake fake;
    bool never_sent;
    uint64_t ids[3];
    size_t i;

    (void)state;
    fake_start(&fake, 128, 64);
    for (i = 0; i < 6; i++) {
        asked_init(&asked[i], &fake, TK_CMD_RAW_GET);
        asked[i].request.parts.body = (tikv_slice){ bodies, i + 1 };
        tk_conn_submit(fake.conn, &asked[i].request, true);
    }
    assert_true(tk_request_take_back(&asked[0].request, &never_sent));
    assert_true(tk_request_take_back(&asked[2].request, &never_sent));
    assert_true(tk_request_take_back(&asked[5].request, &never_sent));
    tk_rpc_flush(fake.rpc, NULL);
    tk_buf_init(&expected, 4096);
    for (i = 0; i < 3; i++) {
        const struct asked *left = &asked[i == 0 ? 1 : i + 2];

        tk_batch_append(&expected, &left->request.parts);
        ids[i] = asked_id(left);
    }
    tk_batch_append_ids(&expected, ids, 3);
    assert_int_equal(fake.transport.messages[0].bytes.len, expected.len);
    assert_memory_equal(fake.transport.messages[0].bytes.data, expected.data,
                        expected.len);
    tk_buf_fini(&expected);
    fake_stop(&fake);
}

static void
take_back__drops_the_late_answer(void **state)
{
    struct asked asked[2];
    struct tk_rpc_stats stats;
    struct fake fake;
    bool never_sent = true;
    uint64_t old;

    (void)state;
    fake_start(&fake, 128, 64);
    ask(&fake, &asked[0], false);
    fake_sent(&fake);
    old = asked_id(&asked[0]);
    assert_true(tk_request_take_back(&asked[0].request, &never_sent));
    assert_false(never_sent);
    ask(&fake, &asked[1], false);
    assert_int_not_equal(asked_id(&asked[1]), old);
    fake_answer(&fake, &old, 1);
    assert_int_equal(asked[0].dones, 0);
    assert_int_equal(asked[1].dones, 0);
    tk_rpc_stats(fake.rpc, &stats);
    assert_int_equal(stats.late_answers, 1);
    fake_stop(&fake);
    assert_int_equal(asked[1].dones, 1);
}

static void
slots__tell_a_recycled_slot_from_its_last_owner(void **state)
{
    struct asked first[16];
    struct asked second[16];
    struct fake fake;
    uint64_t ids[16];
    bool never_sent;
    size_t i;

    (void)state;
    fake_start(&fake, 128, 16);
    for (i = 0; i < 16; i++) {
        assert_int_equal(ask(&fake, &first[i], i != 15), TK_SUBMIT_OK);
        ids[i] = asked_id(&first[i]);
    }
    fake_sent(&fake);
    for (i = 0; i < 16; i++) {
        assert_true(tk_request_take_back(&first[i].request, &never_sent));
    }
    /* Every slot is a ghost: they must be used again, under new ids. */
    for (i = 0; i < 16; i++) {
        assert_int_equal(ask(&fake, &second[i], i != 15), TK_SUBMIT_OK);
    }
    fake_answer(&fake, ids, 16);
    for (i = 0; i < 16; i++) {
        assert_int_equal(first[i].dones, 0);
        assert_int_equal(second[i].dones, 0);
        ids[i] = asked_id(&second[i]);
    }
    fake_answer(&fake, ids, 16);
    for (i = 0; i < 16; i++) {
        assert_int_equal(second[i].dones, 1);
        assert_int_equal(second[i].status, TK_REPLY_OK);
    }
    fake_stop(&fake);
}

static void
sweep__expires_attempts(void **state)
{
    struct asked wire;
    struct asked open;
    struct fake fake;
    uint64_t id;

    (void)state;
    fake_start(&fake, 128, 64);
    ask(&fake, &wire, false);
    asked_init(&open, &fake, TK_CMD_RAW_GET);
    open.request.deadline = fake.runtime.now + 20 * TK_MS;
    /* No `sent`: the second stays in the open message. */
    assert_int_equal(tk_conn_submit(fake.conn, &open.request, false),
                     TK_SUBMIT_OK);
    fake_advance(&fake.runtime, 19 * TK_MS);
    assert_int_equal(open.dones, 0);
    fake_advance(&fake.runtime, 11 * TK_MS);
    assert_int_equal(open.dones, 1);
    assert_int_equal(open.status, TK_REPLY_EXPIRED);
    assert_true(open.never_sent);
    fake_advance(&fake.runtime, 1000 * TK_MS);
    assert_int_equal(wire.dones, 1);
    assert_int_equal(wire.status, TK_REPLY_EXPIRED);
    assert_false(wire.never_sent);
    assert_int_equal(fake.transport.sends, 1);
    /* Nothing is in flight any more: the timer rests. */
    assert_int_equal(fake.runtime.armed_count, 0);
    id = asked_id(&wire);
    fake_answer(&fake, &id, 1);
    assert_int_equal(wire.dones, 1);
    fake_stop(&fake);
}

static void
loss__fails_what_was_sent_and_resends_what_was_not(void **state)
{
    struct asked warm;
    struct asked sent;
    struct asked open;
    struct fake fake;
    uint64_t id;

    (void)state;
    fake_start(&fake, 128, 64);
    ask(&fake, &warm, false);
    id = asked_id(&warm);
    fake_answer(&fake, &id, 1);
    fake_sent(&fake);
    fake_advance(&fake.runtime, 100 * TK_MS);
    ask(&fake, &sent, false);
    ask(&fake, &open, false);
    assert_int_equal(fake.transport.sends, 2);
    fake_end(&fake, 14, "gone", false);
    assert_int_equal(sent.dones, 1);
    assert_int_equal(sent.status, TK_REPLY_FAILED);
    assert_int_equal(sent.grpc, 14);
    assert_false(sent.never_sent);
    assert_string_equal(sent.details, "gone");
    assert_int_equal(open.dones, 0);
    assert_int_equal(fake.transport.opens, 2);
    assert_int_equal(fake.transport.sends, 3);
    id = asked_id(&open);
    assert_int_equal(fake.transport.messages[2].ids[0], id);
    fake_answer(&fake, &id, 1);
    assert_int_equal(open.status, TK_REPLY_OK);
    fake_stop(&fake);
}

static void
loss__backs_off_from_a_dead_store(void **state)
{
    struct asked asked;
    struct fake fake;

    (void)state;
    fake_start(&fake, 128, 64);
    ask(&fake, &asked, false);
    fake_end(&fake, 14, "connection refused", true);
    assert_int_equal(asked.dones, 1);
    assert_true(asked.never_sent);

    /* At once, without another stream, and not inside of submit. */
    assert_int_equal(ask(&fake, &asked, false), TK_SUBMIT_OK);
    assert_int_equal(asked.dones, 0);
    fake_advance(&fake.runtime, 0);
    assert_int_equal(asked.dones, 1);
    assert_int_equal(asked.status, TK_REPLY_FAILED);
    assert_true(asked.never_sent);
    assert_string_equal(asked.details, "connection refused");
    assert_int_equal(fake.transport.opens, 1);

    fake_advance(&fake.runtime, 50 * TK_MS);
    ask(&fake, &asked, false);
    assert_int_equal(fake.transport.opens, 2);
    fake_end(&fake, 14, "connection refused", true);
    /* The second wait is twice as long. */
    fake_advance(&fake.runtime, 60 * TK_MS);
    ask(&fake, &asked, false);
    assert_int_equal(fake.transport.opens, 2);
    fake_advance(&fake.runtime, 50 * TK_MS);
    ask(&fake, &asked, false);
    assert_int_equal(fake.transport.opens, 3);
    fake_stop(&fake);
    assert_int_equal(asked.status, TK_REPLY_CLOSED);
}

static void
loss__knows_a_refused_message_was_never_sent(void **state)
{
    struct asked asked;
    struct fake fake;

    (void)state;
    fake_start(&fake, 128, 64);
    fake.transport.refuses_send = true;
    ask(&fake, &asked, false);
    assert_int_equal(asked.dones, 0);
    fake_end(&fake, 14, "gone", false);
    assert_int_equal(asked.dones, 1);
    assert_int_equal(asked.status, TK_REPLY_FAILED);
    assert_true(asked.never_sent);
    fake_stop(&fake);
}

static void
loss__names_why_there_is_no_link(void **state)
{
    struct asked asked;
    struct fake fake;

    (void)state;
    fake_start(&fake, 128, 64);
    fake.transport.refuses_connect = true;
    assert_int_equal(ask(&fake, &asked, false), TK_SUBMIT_OK);
    fake_advance(&fake.runtime, 0);
    assert_int_equal(asked.status, TK_REPLY_FAILED);
    assert_true(asked.never_sent);
    assert_non_null(strstr(asked.details, "no way to store:1"));
    fake.transport.refuses_connect = false;
    fake_advance(&fake.runtime, 50 * TK_MS);
    ask(&fake, &asked, false);
    assert_int_equal(fake.transport.sends, 1);
    fake_stop(&fake);
}

static void
submit__is_busy_at_the_bound(void **state)
{
    struct asked asked[17];
    struct fake fake;
    uint64_t id;
    size_t i;

    (void)state;
    fake_start(&fake, 128, 16);
    for (i = 0; i < 16; i++) {
        assert_int_equal(ask(&fake, &asked[i], false), TK_SUBMIT_OK);
    }
    assert_int_equal(ask(&fake, &asked[16], false), TK_SUBMIT_BUSY);
    id = asked_id(&asked[0]);
    fake_answer(&fake, &id, 1);
    assert_int_equal(ask(&fake, &asked[16], false), TK_SUBMIT_OK);
    fake_stop(&fake);
    for (i = 0; i < 17; i++) {
        assert_int_equal(asked[i].dones, 1);
    }
}

static void
submit__allocates_nothing_at_steady_state(void **state)
{
    struct asked asked[8];
    struct fake fake;
    uint64_t ids[8];
    uint64_t made;
    size_t round;
    size_t i;

    (void)state;
    fake_start(&fake, 128, 64);
    for (round = 0; round < 12; round++) {
        if (round == 4) {
            tk_alloc_fail_nth(0);
        }
        for (i = 0; i < 8; i++) {
            ask(&fake, &asked[i], i != 7);
            ids[i] = asked_id(&asked[i]);
        }
        fake_sent(&fake);
        fake_answer(&fake, ids, 8);
    }
    /* The fake's own: one for the message it keeps, three for the frame it
     * makes. Builds that do not count say 0. */
    made = tk_alloc_fail_nth(0);
    assert_true(made == 8 * 4 || made == 0);
    fake_stop(&fake);
}

static void
unary__goes_by_its_own_path(void **state)
{
    struct tk_status ok = { .details = "" };
    struct asked asked;
    struct fake fake;
    struct tk_frame *frame;
    struct tk_unary *unary;
    uint8_t *data;

    (void)state;
    fake_start(&fake, 128, 64);
    asked_init(&asked, &fake, TK_CMD_PD_GET_MEMBERS);
    assert_int_equal(tk_conn_submit(fake.conn, &asked.request, true),
                     TK_SUBMIT_OK);
    assert_string_equal(fake.transport.path, "/pdpb.PD/GetMembers");
    frame = tk_frame_new(2, &data);
    memcpy(data, "ab", 2);
    unary = fake.transport.unary;
    fake.transport.unary = NULL;
    unary->done(unary, &ok, (tikv_slice){ data, 2 }, frame, &fake.wakes);
    assert_int_equal(asked.dones, 1);
    assert_int_equal(asked.status, TK_REPLY_OK);
    assert_string_equal(asked.data, "ab");
    assert_int_equal(fake.transport.sends, 0);
    fake_stop(&fake);
}

static void
unary__is_cancelled_when_nobody_waits(void **state)
{
    struct tk_status cancelled = { .grpc = 1, .details = "cancelled" };
    struct asked asked;
    struct fake fake;
    struct tk_unary *unary;
    bool never_sent = true;

    (void)state;
    fake_start(&fake, 128, 64);
    asked_init(&asked, &fake, TK_CMD_PD_GET_MEMBERS);
    tk_conn_submit(fake.conn, &asked.request, false);
    fake_advance(&fake.runtime, 1020 * TK_MS);
    assert_int_equal(asked.dones, 1);
    assert_int_equal(asked.status, TK_REPLY_EXPIRED);
    assert_int_equal(fake.transport.unary_cancels, 1);
    unary = fake.transport.unary;
    fake.transport.unary = NULL;
    unary->done(unary, &cancelled, (tikv_slice){ NULL, 0 }, NULL, &fake.wakes);
    assert_int_equal(asked.dones, 1);

    asked_init(&asked, &fake, TK_CMD_PD_GET_MEMBERS);
    tk_conn_submit(fake.conn, &asked.request, false);
    assert_true(tk_request_take_back(&asked.request, &never_sent));
    assert_false(never_sent);
    assert_int_equal(fake.transport.unary_cancels, 2);
    fake_stop(&fake);
    assert_int_equal(asked.dones, 0);
}

/* Memory: callers who all give up must not outrun the end of their calls. */
static void
unary__that_nobody_waits_for_are_bounded(void **state)
{
    struct tk_status cancelled = { .grpc = 1, .details = "cancelled" };
    enum tk_submit submitted = TK_SUBMIT_OK;
    struct tk_unary *unary = NULL;
    struct asked asked;
    struct fake fake;
    bool never_sent;
    unsigned given_up = 0;

    (void)state;
    fake_start(&fake, 128, 64);
    while (given_up <= 4096) {
        asked_init(&asked, &fake, TK_CMD_PD_GET_MEMBERS);
        submitted = tk_conn_submit(fake.conn, &asked.request, false);
        if (submitted != TK_SUBMIT_OK) {
            break;
        }
        assert_true(tk_request_take_back(&asked.request, &never_sent));
        unary = fake.transport.unary;
        fake.transport.unary = NULL; /* it holds one only */
        given_up++;
    }
    assert_int_equal(submitted, TK_SUBMIT_BUSY);
    assert_in_range(given_up, 64, 4096);

    /* One of them ends: there is room for one. */
    assert_non_null(unary);
    unary->done(unary, &cancelled, (tikv_slice){ NULL, 0 }, NULL, &fake.wakes);
    asked_init(&asked, &fake, TK_CMD_PD_GET_MEMBERS);
    assert_int_equal(tk_conn_submit(fake.conn, &asked.request, false),
                     TK_SUBMIT_OK);
    assert_true(tk_request_take_back(&asked.request, &never_sent));
    fake_stop(&fake);
}

static void
close__ends_everything_once(void **state)
{
    struct asked wire;
    struct asked open;
    struct asked alone;
    struct asked late;
    struct fake fake;

    (void)state;
    fake_start(&fake, 128, 64);
    ask(&fake, &wire, false);
    ask(&fake, &open, true);
    asked_init(&alone, &fake, TK_CMD_PD_GET_MEMBERS);
    tk_conn_submit(fake.conn, &alone.request, false);
    tk_rpc_close(fake.rpc);
    assert_int_equal(wire.dones, 1);
    assert_int_equal(open.dones, 1);
    assert_int_equal(alone.dones, 1);
    assert_int_equal(wire.status, TK_REPLY_CLOSED);
    assert_int_equal(open.status, TK_REPLY_CLOSED);
    assert_int_equal(alone.status, TK_REPLY_CLOSED);
    assert_true(open.never_sent);
    assert_false(wire.never_sent);
    assert_int_equal(ask(&fake, &late, false), TK_SUBMIT_CLOSED);
    assert_int_equal(late.dones, 0);
    assert_null(tk_rpc_conn(fake.rpc, "store:2"));
    tk_rpc_close(fake.rpc);
    assert_int_equal(wire.dones, 1);
    fake_stop(&fake);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(batch__completes_each_request_once),
        harness_test(batch__keeps_the_frame_for_who_keeps_an_answer),
        harness_test(batch__refuses_an_answer_of_another_command),
        harness_test(batch__ends_the_stream_for_a_broken_frame),
        harness_test(take_back__cuts_an_unsent_request_out),
        harness_test(take_back__leaves_the_bytes_of_the_others),
        harness_test(take_back__drops_the_late_answer),
        harness_test(slots__tell_a_recycled_slot_from_its_last_owner),
        harness_test(sweep__expires_attempts),
        harness_test(loss__fails_what_was_sent_and_resends_what_was_not),
        harness_test(loss__backs_off_from_a_dead_store),
        harness_test(loss__knows_a_refused_message_was_never_sent),
        harness_test(loss__names_why_there_is_no_link),
        harness_test(submit__is_busy_at_the_bound),
        harness_test(submit__allocates_nothing_at_steady_state),
        harness_test(unary__goes_by_its_own_path),
        harness_test(unary__is_cancelled_when_nobody_waits),
        harness_test(unary__that_nobody_waits_for_are_bounded),
        harness_test(close__ends_everything_once),
    };

    return harness_run(tests);
}
