/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lessons of the field about batch streams: what a request that nobody waits
 * for must not do to others, and that all counts return to where they were.
 */
#include "base/rng.h"
#include "unit/rpc/fake.h"

enum { WINDOW = 16, ROUNDS = 20000 };

struct chaos {
    struct fake fake;
    struct tk_rng rng;
    struct asked asked[WINDOW];
    bool is_flying[WINDOW];
    unsigned ended;
};

static void
settle(struct chaos *chaos, size_t i)
{
    if (chaos->is_flying[i] && chaos->asked[i].dones != 0) {
        assert_int_equal(chaos->asked[i].dones, 1);
        chaos->is_flying[i] = false;
        chaos->ended++;
    }
}

static void
begin(struct chaos *chaos, size_t i)
{
    bool hold = tk_rng_below(&chaos->rng, 2) == 0;

    if (!chaos->is_flying[i]) {
        /* A slot that leaked would be BUSY some time. */
        assert_int_equal(ask(&chaos->fake, &chaos->asked[i], hold),
                         TK_SUBMIT_OK);
        chaos->is_flying[i] = true;
    }
}

static void
leave(struct chaos *chaos, size_t i)
{
    bool never_sent;

    if (chaos->is_flying[i] &&
        tk_request_take_back(&chaos->asked[i].request, &never_sent)) {
        assert_int_equal(chaos->asked[i].dones, 0);
        chaos->is_flying[i] = false;
        chaos->ended++;
    }
}

/* The answer of one, whether or not somebody waits for it. */
static void
answer(struct chaos *chaos, size_t i)
{
    uint64_t id = asked_id(&chaos->asked[i]);

    if (chaos->fake.transport.stream != NULL && id != 0) {
        fake_answer(&chaos->fake, &id, 1);
    }
}

static void
drop_messages(struct fake *fake)
{
    while (fake->transport.sends > 0) {
        tk_buf_fini(&fake->transport.messages[--fake->transport.sends].bytes);
    }
}

static void
stir(struct chaos *chaos)
{
    struct fake *fake = &chaos->fake;
    size_t i = (size_t)tk_rng_below(&chaos->rng, WINDOW);

    switch (tk_rng_below(&chaos->rng, 16)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
        begin(chaos, i);
        break;
    case 5:
    case 6:
        leave(chaos, i);
        break;
    case 7:
        fake_advance(&fake->runtime, TK_MS);
        break;
    case 8:
        if (fake->transport.stream != NULL &&
            tk_rng_below(&chaos->rng, 8) == 0) {
            fake_end(fake, 14, "gone", false);
        }
        break;
    case 9:
        if (tk_rng_below(&chaos->rng, 64) == 0) {
            fake_advance(&fake->runtime, 1100 * TK_MS);
        }
        break;
    case 10:
    case 11:
        if (fake->transport.stream != NULL) {
            fake_sent(fake);
        }
        break;
    default:
        answer(chaos, i);
        break;
    }
    for (i = 0; i < WINDOW; i++) {
        settle(chaos, i);
    }
    drop_messages(fake);
}

static void
lesson_119__who_left_holds_up_nobody(void **state)
{
    static struct chaos memory; /* aligned, as a parker must be */
    struct chaos *chaos = &memory;
    struct asked last;
    uint64_t id;
    size_t i;

    (void)state;
    memset(chaos, 0, sizeof(*chaos));
    chaos->rng.state = 119;
    fake_start(&chaos->fake, 128, 2 * WINDOW);
    for (i = 0; i < ROUNDS; i++) {
        stir(chaos);
    }
    assert_true(chaos->ended > ROUNDS / 8);
    /* After all that a request is answered like the first. */
    fake_advance(&chaos->fake.runtime, 3000 * TK_MS);
    ask(&chaos->fake, &last, false);
    if (chaos->fake.transport.sends == 0) {
        fake_sent(&chaos->fake);
        tk_rpc_flush(chaos->fake.rpc, &last.request);
    }
    id = asked_id(&last);
    fake_answer(&chaos->fake, &id, 1);
    assert_int_equal(last.dones, 1);
    assert_int_equal(last.status, TK_REPLY_OK);
    fake_stop(&chaos->fake);
}

static void
lesson_120__counts_return_to_nothing(void **state)
{
    static struct chaos memory; /* aligned, as a parker must be */
    struct chaos *chaos = &memory;
    size_t i;

    (void)state;
    memset(chaos, 0, sizeof(*chaos));
    chaos->rng.state = 120;
    /* As many places as there are requests: one too few would be seen. */
    fake_start(&chaos->fake, 128, WINDOW);
    for (i = 0; i < ROUNDS; i++) {
        stir(chaos);
    }
    fake_advance(&chaos->fake.runtime, 3000 * TK_MS);
    for (i = 0; i < WINDOW; i++) {
        settle(chaos, i);
        assert_false(chaos->is_flying[i]);
    }
    assert_false(tk_conn_is_busy(chaos->fake.conn));
    if (chaos->fake.transport.stream != NULL) {
        fake_sent(&chaos->fake);
    }
    assert_true(tk_ledger_bytes(tk_rpc_ledger(chaos->fake.rpc)) == 0);
    fake_stop(&chaos->fake);
}

static void
lesson_121__a_request_is_copied_when_it_is_queued(void **state)
{
    uint8_t body[] = { 0x12, 0x01, 'k' };
    struct asked asked;
    struct tk_buf wanted;
    struct fake fake;
    uint64_t id;

    (void)state;
    fake_start(&fake, 128, 64);
    asked_init(&asked, &fake, TK_CMD_RAW_GET);
    asked.request.parts.body = (tikv_slice){ body, sizeof(body) };
    tk_buf_init(&wanted, 4096);
    tk_batch_append(&wanted, &asked.request.parts);
    assert_int_equal(tk_conn_submit(fake.conn, &asked.request, true),
                     TK_SUBMIT_OK);
    /* Its owner may do with it what it likes, also for its next attempt. */
    memset(body, 0xff, sizeof(body));
    asked.request.parts.body = (tikv_slice){ NULL, 0 };
    tk_rpc_flush(fake.rpc, &asked.request);
    id = asked_id(&asked);
    tk_batch_append_ids(&wanted, &id, 1);
    assert_int_equal(fake.transport.messages[0].bytes.len, wanted.len);
    assert_memory_equal(fake.transport.messages[0].bytes.data, wanted.data,
                        wanted.len);
    tk_buf_fini(&wanted);
    fake_stop(&fake);
}

static void
lesson_126__tables_keep_nothing_of_what_is_over(void **state)
{
    struct asked asked;
    struct fake fake;
    int64_t living = 0;
    uint64_t id;
    size_t i;

    (void)state;
    fake_start(&fake, 128, 64);
    for (i = 0; i < ROUNDS; i++) {
        if (i == ROUNDS / 2) {
            living = tk_alloc_live();
        }
        ask(&fake, &asked, false);
        id = asked_id(&asked);
        fake_sent(&fake);
        fake_answer(&fake, &id, 1);
        drop_messages(&fake);
    }
    assert_true(tk_alloc_live() == living);
    fake_stop(&fake);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(lesson_119__who_left_holds_up_nobody),
        harness_test(lesson_120__counts_return_to_nothing),
        harness_test(lesson_121__a_request_is_copied_when_it_is_queued),
        harness_test(lesson_126__tables_keep_nothing_of_what_is_over),
    };

    return harness_run(tests);
}
