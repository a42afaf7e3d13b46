/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events that come while a thread is still inside of the transport: what two
 * threads can do to each other, played by one.
 */
#include "unit/rpc/fake.h"

static void
end_now(struct fake_transport *transport)
{
    struct tk_status status = { 14, "gone", false };
    struct tk_stream *stream = transport->stream;
    struct tk_wakes wakes = { 0 };

    transport->stream = NULL;
    stream->closed(stream, &status, &wakes);
}

static void
sent_now(struct fake_transport *transport)
{
    struct tk_wakes wakes = { 0 };

    transport->stream->sent(transport->stream, &wakes);
}

static void
answer_now(struct fake_transport *transport)
{
    struct fake_message *message = &transport->messages[transport->sends - 1];
    struct tk_wakes wakes = { 0 };
    struct tk_frame *frame;
    struct tk_buf bytes;
    uint8_t *data;

    fake_frame(&bytes, TK_CMD_RAW_GET, message->ids, message->count);
    frame = tk_frame_new(bytes.len, &data);
    assert_non_null(frame);
    memcpy(data, bytes.data, bytes.len);
    transport->stream->received(transport->stream,
                                (tikv_slice){ data, bytes.len }, frame, &wakes);
    tk_buf_fini(&bytes);
    sent_now(transport);
}

static void
race__a_stream_that_ends_while_its_message_is_refused(void **state)
{
    struct asked asked;
    struct fake fake;

    (void)state;
    fake_start(&fake, 128, 64);
    fake.transport.in_send = end_now;
    fake.transport.refuses_send = true;
    assert_int_equal(ask(&fake, &asked, false), TK_SUBMIT_OK);
    /* Only the sender knew it, and it may not enter done. */
    assert_int_equal(asked.dones, 0);
    fake_advance(&fake.runtime, 0);
    assert_int_equal(asked.dones, 1);
    assert_int_equal(asked.status, TK_REPLY_FAILED);
    assert_true(asked.never_sent);
    fake_stop(&fake);
}

static void
race__a_stream_that_ends_while_its_message_is_sent(void **state)
{
    struct asked asked;
    struct fake fake;

    (void)state;
    fake_start(&fake, 128, 64);
    fake.transport.in_send = end_now;
    ask(&fake, &asked, false);
    fake_advance(&fake.runtime, 0);
    assert_int_equal(asked.dones, 1);
    assert_int_equal(asked.status, TK_REPLY_FAILED);
    assert_string_equal(asked.details, "gone");
    assert_false(asked.never_sent);
    fake.transport.in_send = NULL;
    fake_advance(&fake.runtime, 60 * TK_MS);
    ask(&fake, &asked, false);
    assert_int_equal(fake.transport.opens, 2);
    assert_int_equal(fake.transport.sends, 2);
    fake_stop(&fake);
}

static void
race__a_stream_that_ends_while_it_is_opened(void **state)
{
    struct asked asked;
    struct fake fake;

    (void)state;
    fake_start(&fake, 128, 64);
    fake.transport.in_open = end_now;
    assert_int_equal(ask(&fake, &asked, false), TK_SUBMIT_OK);
    assert_int_equal(asked.dones, 0);
    fake_advance(&fake.runtime, 0);
    assert_int_equal(asked.dones, 1);
    assert_true(asked.never_sent);
    assert_int_equal(fake.transport.opens, 1);
    assert_int_equal(fake.transport.sends, 0);
    fake_stop(&fake);
}

static void
race__an_answer_before_send_returns(void **state)
{
    struct asked asked[3];
    struct fake fake;
    size_t i;

    (void)state;
    fake_start(&fake, 2, 64);
    fake.transport.in_send = answer_now;
    for (i = 0; i < 3; i++) {
        ask(&fake, &asked[i], i == 0);
    }
    for (i = 0; i < 3; i++) {
        assert_int_equal(asked[i].dones, 1);
        assert_int_equal(asked[i].status, TK_REPLY_OK);
    }
    assert_int_equal(fake.transport.sends, 2);
    fake_stop(&fake);
}

/* Something failed before and waits for its done, which a submitter may not
 * enter, though it is told that its message is out. */
static void
race__who_tells_sent_while_it_submits_enters_no_done(void **state)
{
    struct asked asked[3];
    struct fake fake;
    uint64_t id;

    (void)state;
    fake_start(&fake, 128, 64);
    ask(&fake, &asked[0], false);
    id = asked_id(&asked[0]);
    fake_sent(&fake);
    fake_answer(&fake, &id, 1);
    fake_advance(&fake.runtime, 1000 * TK_MS);
    fake.transport.in_send = end_now;
    fake.transport.refuses_send = true;
    ask(&fake, &asked[1], false);
    fake.transport.in_send = sent_now;
    fake.transport.refuses_send = false;
    ask(&fake, &asked[2], false);
    assert_int_equal(fake.transport.sends, 2);
    assert_int_equal(asked[1].dones, 0);
    fake_advance(&fake.runtime, 0);
    assert_int_equal(asked[1].dones, 1);
    fake_stop(&fake);
}

/* The submitter of asked_inside is another thread, so to say. */
static struct fake *fake_inside;
static struct asked asked_inside;

static void
submit_now(struct fake_transport *transport)
{
    transport->in_send = NULL;
    assert_int_equal(ask(fake_inside, &asked_inside, false), TK_SUBMIT_OK);
    /* One message at a time, also before `sent` is expected. */
    assert_int_equal(transport->sends, 1);
    sent_now(transport);
    assert_int_equal(transport->sends, 1);
}

static void
race__a_submit_while_another_sends(void **state)
{
    struct asked asked;
    struct fake fake;

    (void)state;
    fake_start(&fake, 128, 64);
    fake_inside = &fake;
    fake.transport.in_send = submit_now;
    ask(&fake, &asked, false);
    assert_int_equal(fake.transport.sends, 2);
    assert_int_equal(fake.transport.messages[1].ids[0],
                     asked_id(&asked_inside));
    fake_stop(&fake);
    assert_int_equal(asked.dones, 1);
    assert_int_equal(asked_inside.dones, 1);
}

static void
close_now(struct fake_transport *transport)
{
    transport->in_send = NULL;
    tk_rpc_close(fake_inside->rpc);
}

static void
race__a_close_while_another_sends(void **state)
{
    struct asked asked;
    struct fake fake;

    (void)state;
    fake_start(&fake, 128, 64);
    fake_inside = &fake;
    fake.transport.in_send = close_now;
    assert_int_equal(ask(&fake, &asked, false), TK_SUBMIT_OK);
    assert_int_equal(asked.dones, 1);
    assert_int_equal(asked.status, TK_REPLY_CLOSED);
    fake_stop(&fake);
    assert_int_equal(asked.dones, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(race__a_stream_that_ends_while_its_message_is_refused),
        harness_test(race__a_stream_that_ends_while_its_message_is_sent),
        harness_test(race__a_stream_that_ends_while_it_is_opened),
        harness_test(race__an_answer_before_send_returns),
        harness_test(race__who_tells_sent_while_it_submits_enters_no_done),
        harness_test(race__a_submit_while_another_sends),
        harness_test(race__a_close_while_another_sends),
    };

    return harness_run(tests);
}
