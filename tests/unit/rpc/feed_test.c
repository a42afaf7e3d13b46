/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams down, step by step: when the request is answered, when the next
 * message is asked for, and that every end comes once and leaves nothing.
 */
#include "unit/rpc/fake.h"

#include "base/slice.h"
#include "rpc/feed.h"

#define LEASE (500 * TK_MS)
/* What the ledger is charged for an open stream. */
#define OPEN_BYTES 16384

static size_t feeds;
static size_t nexts;
static bool refuses;

static bool
script_feed(struct tk_transport *transport, struct tk_link *link,
            const char *path, const char *const *metadata, tikv_slice bytes,
            struct tk_stream *stream)
{
    struct fake_transport *fake = fake_of(transport);

    (void)link;
    assert_int_equal(tk_mutex_held(), 0);
    assert_string_equal(path, "/tikvpb.Tikv/CoprocessorStream");
    assert_int_equal(bytes.len, 3);
    snprintf(fake->forwarded_to, sizeof(fake->forwarded_to), "%s",
             metadata != NULL && metadata[1] != NULL ? metadata[1] : "");
    feeds++;
    if (refuses || fake->is_closed) {
        return false;
    }
    fake->stream = stream;
    return true;
}

static void
script_next(struct tk_transport *transport, struct tk_stream *stream)
{
    assert_int_equal(tk_mutex_held(), 0);
    assert_ptr_equal(fake_of(transport)->stream, stream);
    nexts++;
}

/* A request, and what became of it. */
struct streamed {
    struct tk_request request;
    unsigned dones;
    enum tk_reply_status status;
    bool never_sent;
    uint32_t len;
    struct tk_feed *feed;
};

static void
streamed_done(struct tk_request *request, const struct tk_reply *reply,
              struct tk_wakes *wakes)
{
    struct streamed *streamed = (struct streamed *)(void *)request;

    (void)wakes;
    assert_int_equal(tk_mutex_held(), 0);
    streamed->dones++;
    streamed->status = reply->status;
    streamed->never_sent = reply->never_sent;
    streamed->len = reply->len;
    streamed->feed = reply->feed;
    assert_true((reply->feed != NULL) == (reply->status == TK_REPLY_OK));
    tk_frame_unref(reply->frame, 1);
}

struct script {
    struct fake fake;
    struct tk_transport_ops ops;
    struct streamed streamed;
    struct tk_op op;
};

static int64_t
held(const struct script *script)
{
    return tk_ledger_bytes(tk_rpc_ledger(script->fake.rpc));
}

static void
begin(struct script *script, const char *forward_to)
{
    static const uint8_t body[] = { 0x12, 0x01, 'k' };
    struct streamed *streamed = &script->streamed;

    feeds = 0;
    nexts = 0;
    fake_start(&script->fake, 128, 64);
    script->ops = fake_transport_ops;
    script->ops.feed = script_feed;
    script->ops.next = script_next;
    script->fake.transport.base.ops = &script->ops;
    memset(&script->op, 0, sizeof(script->op));
    script->op.rt = &script->fake.runtime.base;
    script->op.me = &script->fake.runtime.parker;
    script->op.deadline = TK_NEVER;
    memset(streamed, 0, sizeof(*streamed));
    streamed->request.done = streamed_done;
    streamed->request.parts.command = TK_CMD_COPROCESSOR_STREAM;
    streamed->request.parts.body = (tikv_slice){ body, sizeof(body) };
    streamed->request.deadline = script->fake.runtime.now + 1000 * TK_MS;
    streamed->request.forward_to = forward_to;
    assert_int_equal(
        tk_conn_submit(script->fake.conn, &streamed->request, false),
        TK_SUBMIT_OK);
    assert_int_equal(feeds, 1);
}

static void
say(struct script *script, const char *text)
{
    struct tk_buf bytes;

    tk_buf_init(&bytes, 1000);
    tk_buf_append(&bytes, text, strlen(text));
    fake_receive(&script->fake, &bytes);
    tk_buf_fini(&bytes);
}

static void
expect(struct script *script, const char *text)
{
    struct tk_feed_message message;

    assert_null(
        tk_feed_next(script->streamed.feed, &script->op, LEASE, &message));
    if (text == NULL) {
        assert_true(message.is_end);
        assert_null(message.frame);
        return;
    }
    assert_false(message.is_end);
    assert_true(tk_slice_equal(message.data, tk_slice_text(text)));
    tk_frame_unref(message.frame, 1);
}

static void
expect_error(struct script *script, tikv_code code, uint64_t grpc)
{
    struct tk_feed_message message;
    tikv_error *error =
        tk_feed_next(script->streamed.feed, &script->op, LEASE, &message);

    assert_int_equal(tikv_error_code(error), code);
    assert_int_equal(tikv_error_u64(error, TIKV_ERROR_GRPC_STATUS), grpc);
    assert_null(message.frame);
    tikv_error_free(error);
}

static void
feed__answers_its_request_with_the_first_message(void **state)
{
    struct script script;

    (void)state;
    begin(&script, NULL);
    assert_int_equal(script.streamed.dones, 0);
    say(&script, "one");
    assert_int_equal(script.streamed.dones, 1);
    assert_int_equal(script.streamed.status, TK_REPLY_OK);
    assert_int_equal(script.streamed.len, 3);
    expect(&script, "one");
    fake_end(&script.fake, 0, "", false);
    expect(&script, NULL);
    expect(&script, NULL);
    assert_int_equal(script.streamed.dones, 1);
    tk_feed_drop(script.streamed.feed);
    assert_int_equal(script.fake.transport.cancels, 0);
    assert_int_equal(held(&script), 0);
    fake_stop(&script.fake);
}

static void
feed__asks_for_the_next_when_one_was_taken(void **state)
{
    struct script script;

    (void)state;
    begin(&script, NULL);
    say(&script, "one");
    assert_int_equal(nexts, 0);
    assert_int_equal(held(&script), OPEN_BYTES + 3);
    expect(&script, "one");
    assert_int_equal(nexts, 1);
    assert_int_equal(held(&script), OPEN_BYTES);
    /* Nothing there: the taker's time is over, and may begin anew. */
    script.op.deadline = script.fake.runtime.now;
    expect_error(&script, TIKV_ERR_TIMEOUT, 0);
    script.op.deadline = TK_NEVER;
    say(&script, "two");
    assert_int_equal(nexts, 1);
    expect(&script, "two");
    assert_int_equal(nexts, 2);
    say(&script, "three");
    fake_end(&script.fake, 0, "", false);
    /* Behind the last nothing is asked for. */
    expect(&script, "three");
    assert_int_equal(nexts, 2);
    expect(&script, NULL);
    tk_feed_drop(script.streamed.feed);
    assert_int_equal(held(&script), 0);
    fake_stop(&script.fake);
}

static void
feed__may_be_empty(void **state)
{
    struct script script;

    (void)state;
    begin(&script, NULL);
    fake_end(&script.fake, 0, "", false);
    assert_int_equal(script.streamed.dones, 1);
    assert_int_equal(script.streamed.status, TK_REPLY_OK);
    assert_int_equal(script.streamed.len, 0);
    expect(&script, NULL);
    tk_feed_drop(script.streamed.feed);
    fake_stop(&script.fake);
}

static void
feed__lost_before_its_first_message_fails_the_request(void **state)
{
    struct script script;

    (void)state;
    begin(&script, NULL);
    fake_end(&script.fake, 14, "gone", true);
    assert_int_equal(script.streamed.dones, 1);
    assert_int_equal(script.streamed.status, TK_REPLY_FAILED);
    assert_true(script.streamed.never_sent);
    assert_int_equal(held(&script), 0);
    fake_stop(&script.fake);
}

static void
feed__lost_later_gives_what_is_at_hand_and_an_error(void **state)
{
    struct script script;

    (void)state;
    begin(&script, NULL);
    say(&script, "one");
    fake_end(&script.fake, 14, "gone", false);
    assert_int_equal(script.streamed.dones, 1);
    expect(&script, "one");
    assert_int_equal(nexts, 0);
    expect_error(&script, TIKV_ERR_UNAVAILABLE, 14);
    expect_error(&script, TIKV_ERR_UNAVAILABLE, 14);
    tk_feed_drop(script.streamed.feed);
    assert_int_equal(script.fake.transport.cancels, 0);
    fake_stop(&script.fake);
}

static void
feed__is_cancelled_when_a_message_takes_too_long(void **state)
{
    struct script script;

    (void)state;
    begin(&script, NULL);
    say(&script, "one");
    script.fake.runtime.now += 10 * LEASE;
    /* Its time begins when it is asked for. */
    expect(&script, "one");
    script.fake.runtime.now += LEASE - 1;
    say(&script, "two");
    script.fake.runtime.now += 10 * LEASE;
    expect(&script, "two");
    script.fake.runtime.now += LEASE;
    expect_error(&script, TIKV_ERR_UNAVAILABLE, 0);
    assert_int_equal(script.fake.transport.cancels, 1);
    fake_end(&script.fake, 1, "ended", false);
    tk_feed_drop(script.streamed.feed);
    assert_int_equal(script.fake.transport.cancels, 1);
    assert_int_equal(held(&script), 0);
    fake_stop(&script.fake);
}

static void
feed__of_a_request_that_expires_is_cancelled(void **state)
{
    struct script script;

    (void)state;
    begin(&script, NULL);
    fake_advance(&script.fake.runtime, 1100 * TK_MS);
    assert_int_equal(script.streamed.dones, 1);
    assert_int_equal(script.streamed.status, TK_REPLY_EXPIRED);
    assert_int_equal(script.fake.transport.cancels, 1);
    /* The message was on its way: nobody wants it. */
    say(&script, "late");
    assert_int_equal(script.streamed.dones, 1);
    fake_end(&script.fake, 1, "ended", false);
    assert_int_equal(held(&script), 0);
    fake_stop(&script.fake);
}

static void
feed__of_a_request_taken_back_is_cancelled(void **state)
{
    struct script script;
    bool never_sent;

    (void)state;
    begin(&script, NULL);
    assert_true(
        tk_request_take_back(&script.streamed.request, &never_sent));
    assert_false(never_sent);
    assert_int_equal(script.fake.transport.cancels, 1);
    fake_end(&script.fake, 1, "ended", false);
    assert_int_equal(script.streamed.dones, 0);
    assert_int_equal(held(&script), 0);
    fake_stop(&script.fake);
}

/* Dropped with a message at hand. */
static void
feed__dropped_is_cancelled(void **state)
{
    struct script script;

    (void)state;
    begin(&script, NULL);
    say(&script, "one");
    tk_feed_drop(script.streamed.feed);
    assert_int_equal(script.fake.transport.cancels, 1);
    fake_end(&script.fake, 1, "ended", false);
    assert_int_equal(held(&script), 0);
    fake_stop(&script.fake);
}

static void
feed__refused_ends_its_request_unsent(void **state)
{
    struct script script;

    (void)state;
    refuses = true;
    begin(&script, NULL);
    refuses = false;
    fake_advance(&script.fake.runtime, 20 * TK_MS);
    assert_int_equal(script.streamed.dones, 1);
    assert_int_not_equal(script.streamed.status, TK_REPLY_OK);
    assert_true(script.streamed.never_sent);
    assert_int_equal(held(&script), 0);
    fake_stop(&script.fake);
}

static void
feed__names_the_host_to_forward_to(void **state)
{
    struct script script;

    (void)state;
    begin(&script, "store:2");
    assert_string_equal(script.fake.transport.forwarded_to, "store:2");
    fake_end(&script.fake, 0, "", false);
    tk_feed_drop(script.streamed.feed);
    fake_stop(&script.fake);
}

static void
feed__ends_with_the_rpc_and_outlives_it(void **state)
{
    struct script script;

    (void)state;
    begin(&script, NULL);
    say(&script, "one");
    fake_stop(&script.fake);
    expect(&script, "one");
    expect_error(&script, TIKV_ERR_UNAVAILABLE, 1);
    tk_feed_drop(script.streamed.feed);
}

static void
feed__not_begun_ends_with_the_rpc(void **state)
{
    struct script script;

    (void)state;
    begin(&script, NULL);
    fake_stop(&script.fake);
    assert_int_equal(script.streamed.dones, 1);
    assert_int_equal(script.streamed.status, TK_REPLY_CLOSED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(feed__answers_its_request_with_the_first_message),
        harness_test(feed__asks_for_the_next_when_one_was_taken),
        harness_test(feed__may_be_empty),
        harness_test(feed__lost_before_its_first_message_fails_the_request),
        harness_test(feed__lost_later_gives_what_is_at_hand_and_an_error),
        harness_test(feed__is_cancelled_when_a_message_takes_too_long),
        harness_test(feed__of_a_request_that_expires_is_cancelled),
        harness_test(feed__of_a_request_taken_back_is_cancelled),
        harness_test(feed__dropped_is_cancelled),
        harness_test(feed__refused_ends_its_request_unsent),
        harness_test(feed__names_the_host_to_forward_to),
        harness_test(feed__ends_with_the_rpc_and_outlives_it),
        harness_test(feed__not_begun_ends_with_the_rpc),
    };

    return harness_run(tests);
}
