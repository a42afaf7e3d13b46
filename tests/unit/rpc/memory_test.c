/* SPDX-License-Identifier: Apache-2.0 */
/* What requests and answers are charged with, when that ends, and who is
 * refused at the ceiling. */
#include "unit/rpc/fake.h"

static int64_t
held(struct fake *fake)
{
    return tk_ledger_bytes(tk_rpc_ledger(fake->rpc));
}

static void
ledger__follows_a_request_and_its_answer(void **state)
{
    struct asked asked;
    struct fake fake;
    uint64_t id;

    (void)state;
    fake_start(&fake, 128, 64);
    assert_true(held(&fake) == 0);
    ask(&fake, &asked, false);
    assert_true(held(&fake) > 0);
    fake_sent(&fake);
    assert_true(held(&fake) == 0);
    asked.keeps_frame = true;
    id = asked_id(&asked);
    fake_answer(&fake, &id, 1);
    assert_true(held(&fake) > 0);
    tk_frame_unref(asked.frame, 1);
    assert_true(held(&fake) == 0);
    fake_stop(&fake);
}

static void
ledger__counts_what_waits_for_a_stream(void **state)
{
    static uint8_t body[100000];
    struct asked first;
    struct asked asked[4];
    struct fake fake;
    bool never_sent;
    size_t i;

    (void)state;
    fake_start(&fake, 128, 64);
    ask(&fake, &first, false);
    /* No `sent`: what comes now waits in the open message. */
    for (i = 0; i < 4; i++) {
        asked_init(&asked[i], &fake, TK_CMD_RAW_PUT);
        asked[i].request.parts.body = (tikv_slice){ body, sizeof(body) };
        assert_int_equal(tk_conn_submit(fake.conn, &asked[i].request, false),
                         TK_SUBMIT_OK);
    }
    assert_true(held(&fake) >= 4 * (int64_t)sizeof(body));
    for (i = 0; i < 4; i++) {
        assert_true(tk_request_take_back(&asked[i].request, &never_sent));
    }
    fake_sent(&fake);
    assert_true(held(&fake) == 0);
    /* Lost with the stream, or failed at once: given back, too. */
    ask(&fake, &asked[0], false);
    fake_end(&fake, 14, "gone", false);
    ask(&fake, &asked[1], false);
    fake_advance(&fake.runtime, 0);
    assert_int_equal(asked[0].dones + asked[1].dones, 2);
    assert_true(held(&fake) == 0);
    fake_stop(&fake);
}

static void
ledger__counts_calls_of_their_own(void **state)
{
    struct asked asked;
    struct fake fake;

    (void)state;
    fake_start(&fake, 128, 64);
    asked_init(&asked, &fake, TK_CMD_RAW_CHECKSUM);
    assert_int_equal(tk_conn_submit(fake.conn, &asked.request, false),
                     TK_SUBMIT_OK);
    assert_true(held(&fake) > 0);
    fake_end_unary(&fake);
    assert_int_equal(asked.dones, 1);
    assert_true(held(&fake) == 0);
    fake_stop(&fake);
}

static void
ceiling__refuses_data_and_lets_ends_of_transactions_pass(void **state)
{
    struct asked asked[3];
    struct fake fake;

    (void)state;
    fake_start(&fake, 128, 64);
    atomic_store(&fake.config.memory_max_bytes, 1000);
    ask(&fake, &asked[0], false);
    assert_true(held(&fake) >= 1000);
    asked_init(&asked[1], &fake, TK_CMD_RAW_GET);
    assert_int_equal(tk_conn_submit(fake.conn, &asked[1].request, false),
                     TK_SUBMIT_FULL);
    asked_init(&asked[2], &fake, TK_CMD_KV_COMMIT);
    assert_int_equal(tk_conn_submit(fake.conn, &asked[2].request, false),
                     TK_SUBMIT_OK);
    /* The setting is hot; 0 is none. */
    atomic_store(&fake.config.memory_max_bytes, 0);
    assert_int_equal(tk_conn_submit(fake.conn, &asked[1].request, false),
                     TK_SUBMIT_OK);
    fake_stop(&fake);
    assert_int_equal(asked[1].dones, 1);
}

static void
request__that_is_too_large_never_goes(void **state)
{
    static uint8_t body[5000];
    struct asked asked;
    struct fake fake;

    (void)state;
    fake_start_sized(&fake, 4096);
    asked_init(&asked, &fake, TK_CMD_RAW_PUT);
    asked.request.parts.body = (tikv_slice){ body, sizeof(body) };
    assert_int_equal(tk_conn_submit(fake.conn, &asked.request, false),
                     TK_SUBMIT_TOO_LARGE);
    asked_init(&asked, &fake, TK_CMD_RAW_CHECKSUM);
    asked.request.parts.body = (tikv_slice){ body, sizeof(body) };
    assert_int_equal(tk_conn_submit(fake.conn, &asked.request, false),
                     TK_SUBMIT_TOO_LARGE);
    assert_int_equal(fake.transport.opens, 0);
    assert_null(fake.transport.unary);
    fake_stop(&fake);
    assert_int_equal(asked.dones, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(ledger__follows_a_request_and_its_answer),
        harness_test(ledger__counts_what_waits_for_a_stream),
        harness_test(ledger__counts_calls_of_their_own),
        harness_test(ceiling__refuses_data_and_lets_ends_of_transactions_pass),
        harness_test(request__that_is_too_large_never_goes),
    };

    return harness_run(tests);
}
