/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that one address passes on to another: a batch stream for each
 * host, told when it begins, all of them on the links of one connection.
 */
#include "unit/rpc/fake.h"

static void
ask_by(struct fake *fake, struct asked *asked, const char *host)
{
    asked_init(asked, fake, TK_CMD_RAW_GET);
    asked->request.forward_to = host;
    assert_int_equal(tk_conn_submit(fake->conn, &asked->request, false),
                     TK_SUBMIT_OK);
}

static struct fake_route *
route_to(struct fake *fake, const char *host)
{
    size_t i;

    for (i = 0; i < FAKE_ROUTES_MAX; i++) {
        if (strcmp(fake->transport.routes[i].host, host) == 0) {
            return &fake->transport.routes[i];
        }
    }
    return NULL;
}

static void
answer_route(struct fake *fake, struct fake_route *route)
{
    struct tk_stream *direct = fake->transport.stream;

    fake->transport.stream = route->stream;
    route->stream->sent(route->stream, &fake->wakes);
    fake_answer(fake, route->ids, route->count);
    fake->transport.stream = direct;
}

static void
end_route(struct fake *fake, struct fake_route *route)
{
    struct tk_status status = { 14, "injected", false };
    struct tk_stream *stream = route->stream;

    route->stream = NULL;
    stream->closed(stream, &status, &fake->wakes);
}

static void
route__has_one_stream_for_each_host(void **state)
{
    static const char *const hosts[] = { "a:1", "b:1", "c:1" };
    struct asked asked[9];
    struct asked direct;
    struct fake fake;
    uint64_t id;
    size_t i;

    (void)state;
    fake_start(&fake, 128, 64);
    ask(&fake, &direct, false);
    for (i = 0; i < 9; i++) {
        ask_by(&fake, &asked[i], hosts[i % 3]);
        answer_route(&fake, route_to(&fake, hosts[i % 3]));
        assert_int_equal(asked[i].dones, 1);
        assert_int_equal(asked[i].status, TK_REPLY_OK);
    }
    for (i = 0; i < 3; i++) {
        assert_int_equal(route_to(&fake, hosts[i])->opens, 1);
    }
    /* The direct one is another still, and all have one connection. */
    assert_int_equal(fake.transport.opens, 1);
    assert_int_equal(fake.transport.messages[0].count, 1);
    assert_int_equal(fake.transport.connects, 1);
    assert_int_equal(direct.dones, 0);
    id = asked_id(&direct);
    fake_answer(&fake, &id, 1);
    assert_int_equal(direct.dones, 1);
    fake_stop(&fake);
}

static void
route__fails_alone(void **state)
{
    struct asked direct;
    struct asked a;
    struct asked b;
    struct fake fake;
    uint64_t id;

    (void)state;
    fake_start(&fake, 128, 64);
    ask(&fake, &direct, false);
    ask_by(&fake, &a, "a:1");
    ask_by(&fake, &b, "b:1");
    end_route(&fake, route_to(&fake, "a:1"));
    assert_int_equal(a.dones, 1);
    assert_int_equal(a.status, TK_REPLY_FAILED);
    assert_int_equal(b.dones, 0);
    assert_int_equal(direct.dones, 0);
    answer_route(&fake, route_to(&fake, "b:1"));
    id = asked_id(&direct);
    fake_answer(&fake, &id, 1);
    assert_int_equal(b.status, TK_REPLY_OK);
    assert_int_equal(direct.status, TK_REPLY_OK);
    assert_int_equal(a.dones, 1);
    fake_stop(&fake);
}

static void
route__all_streams_are_opened_again_once(void **state)
{
    static const char *const hosts[] = { "a:1", "b:1", "c:1" };
    struct asked asked[4];
    struct fake fake;
    uint64_t id;
    size_t i;

    (void)state;
    fake_start(&fake, 128, 64);
    ask(&fake, &asked[3], false);
    for (i = 0; i < 3; i++) {
        ask_by(&fake, &asked[i], hosts[i]);
    }
    for (i = 0; i < 3; i++) {
        end_route(&fake, route_to(&fake, hosts[i]));
    }
    fake_end(&fake, 14, "injected", false);
    for (i = 0; i < 4; i++) {
        assert_int_equal(asked[i].dones, 1);
        assert_int_equal(asked[i].status, TK_REPLY_FAILED);
    }
    fake_advance(&fake.runtime, 60 * TK_MS);
    ask(&fake, &asked[3], false);
    id = asked_id(&asked[3]);
    fake_answer(&fake, &id, 1);
    assert_int_equal(asked[3].status, TK_REPLY_OK);
    for (i = 0; i < 3; i++) {
        ask_by(&fake, &asked[i], hosts[i]);
        answer_route(&fake, route_to(&fake, hosts[i]));
        assert_int_equal(asked[i].status, TK_REPLY_OK);
        assert_int_equal(route_to(&fake, hosts[i])->opens, 2);
    }
    assert_int_equal(fake.transport.opens, 2);
    assert_int_equal(fake.transport.connects, 1);
    fake_stop(&fake);
}

static void
route__can_be_taken_back_and_closed(void **state)
{
    struct asked asked[3];
    struct fake fake;
    bool never_sent = true;

    (void)state;
    fake_start(&fake, 128, 64);
    ask_by(&fake, &asked[0], "a:1");
    ask_by(&fake, &asked[1], "a:1");
    ask_by(&fake, &asked[2], "b:1");
    assert_true(tk_request_take_back(&asked[0].request, &never_sent));
    assert_false(never_sent);
    assert_true(tk_request_take_back(&asked[1].request, &never_sent));
    assert_true(never_sent);
    fake_stop(&fake);
    assert_int_equal(asked[0].dones + asked[1].dones, 0);
    assert_int_equal(asked[2].dones, 1);
    assert_int_equal(asked[2].status, TK_REPLY_CLOSED);
}

static void
route__unary_calls_name_the_host(void **state)
{
    struct asked asked;
    struct fake fake;

    (void)state;
    fake_start(&fake, 128, 64);
    asked_init(&asked, &fake, TK_CMD_RAW_CHECKSUM);
    assert_int_equal(tk_conn_submit(fake.conn, &asked.request, false),
                     TK_SUBMIT_OK);
    assert_string_equal(fake.transport.forwarded_to, "");
    fake_end_unary(&fake);
    asked_init(&asked, &fake, TK_CMD_RAW_CHECKSUM);
    asked.request.forward_to = "a:1";
    assert_int_equal(tk_conn_submit(fake.conn, &asked.request, false),
                     TK_SUBMIT_OK);
    assert_string_equal(fake.transport.forwarded_to, "a:1");
    fake_end_unary(&fake);
    fake_stop(&fake);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(route__has_one_stream_for_each_host),
        harness_test(route__fails_alone),
        harness_test(route__all_streams_are_opened_again_once),
        harness_test(route__can_be_taken_back_and_closed),
        harness_test(route__unary_calls_name_the_host),
    };

    return harness_run(tests);
}
