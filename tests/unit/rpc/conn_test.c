/* SPDX-License-Identifier: Apache-2.0 */
/* Connections as a set: one per address, made when first used, several links
 * in turn, made anew when the address may be somebody else's. */
#include "unit/rpc/fake.h"

/* A call of its own, from its begin to its end. */
static void
call(struct fake *fake, struct tk_conn *conn)
{
    struct asked asked;

    asked_init(&asked, fake, TK_CMD_RAW_CHECKSUM);
    assert_int_equal(tk_conn_submit(conn, &asked.request, false), TK_SUBMIT_OK);
    fake_end_unary(fake);
    assert_int_equal(asked.dones, 1);
}

static void
conn__is_one_per_address_and_connects_when_used(void **state)
{
    struct tk_conn *other;
    struct tk_conn *same;
    struct fake fake;

    (void)state;
    fake_start(&fake, 128, 64);
    other = tk_rpc_conn(fake.rpc, "store:2");
    same = tk_rpc_conn(fake.rpc, "store:1");
    assert_ptr_equal(same, fake.conn);
    assert_ptr_not_equal(other, fake.conn);
    assert_string_equal(tk_conn_address(other), "store:2");
    assert_int_equal(fake.transport.connects, 0);
    call(&fake, fake.conn);
    call(&fake, same);
    assert_int_equal(fake.transport.connects, 1);
    call(&fake, other);
    assert_int_equal(fake.transport.connects, 2);
    tk_conn_unref(other);
    tk_conn_unref(same);
    fake_stop(&fake);
}

static void
conn__takes_its_links_in_turn(void **state)
{
    struct tk_rpc *rpc;
    struct fake fake;
    size_t i;

    (void)state;
    memset(&fake, 0, sizeof(fake));
    atomic_init(&fake.config.rpc_batch_max_count, 128);
    atomic_init(&fake.config.rpc_inflight_max_count, 64);
    fake.connections = 3;
    fake_start_rest(&fake);
    for (i = 0; i < 9; i++) {
        call(&fake, fake.conn);
        assert_int_equal(fake.transport.last_ordinal, i % 3);
    }
    assert_int_equal(fake.transport.connects, 3);
    tk_conn_unref(fake.conn);
    tk_rpc_close(fake.rpc);
    /* No new ones after the close. */
    rpc = fake.rpc;
    assert_null(tk_rpc_conn(rpc, "store:3"));
    assert_null(tk_rpc_conn(rpc, "store:1"));
    tk_rpc_free(rpc);
}

static void
renew__ends_what_is_old_and_begins_anew(void **state)
{
    struct asked asked;
    struct fake fake;
    uint64_t id;

    (void)state;
    fake_start(&fake, 128, 64);
    ask(&fake, &asked, false);
    fake_sent(&fake);
    id = asked_id(&asked);
    fake_answer(&fake, &id, 1);
    tk_conn_renew(fake.conn);
    assert_int_equal(fake.transport.rests_of_used, 1);
    assert_int_equal(fake.transport.cancels, 1);
    /* Waits for the end of the old stream, and goes out on the next. */
    ask(&fake, &asked, false);
    assert_int_equal(asked.dones, 0);
    fake_end(&fake, 1, "ended by the client", false);
    assert_int_equal(fake.transport.opens, 2);
    assert_int_equal(fake.transport.sends, 2);
    id = asked_id(&asked);
    fake_answer(&fake, &id, 1);
    assert_int_equal(asked.dones, 1);
    assert_int_equal(asked.status, TK_REPLY_OK);
    fake_stop(&fake);
}

/* Stores tell the streams of one client apart by it. */
static void
conn__tells_streams_their_number(void **state)
{
    struct asked asked[2];
    struct fake fake;

    (void)state;
    memset(&fake, 0, sizeof(fake));
    fake.connections = 2;
    atomic_init(&fake.config.rpc_batch_max_count, 128);
    atomic_init(&fake.config.rpc_inflight_max_count, 64);
    fake_start_rest(&fake);
    ask(&fake, &asked[0], false);
    assert_string_equal(fake.transport.conn_index, "0");
    fake_end(&fake, 14, "gone", false);
    ask(&fake, &asked[1], false);
    assert_string_equal(fake.transport.conn_index, "1");
    fake_stop(&fake);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(conn__is_one_per_address_and_connects_when_used),
        harness_test(conn__takes_its_links_in_turn),
        harness_test(conn__tells_streams_their_number),
        harness_test(renew__ends_what_is_old_and_begins_anew),
    };

    return harness_run(tests);
}
