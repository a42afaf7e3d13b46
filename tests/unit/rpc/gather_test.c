/* SPDX-License-Identifier: Apache-2.0 */
/* Policies by which messages wait for a time: each rule, then the pipe. */
#include "unit/rpc/fake.h"

#include "rpc/gather.h"

#define US INT64_C(1000)

/* The numbers the settings have of themselves. */
static void
usual_settings(struct tk_config *config, enum tk_gather_policy policy)
{
    atomic_init(&config->rpc_batch_policy, policy);
    atomic_init(&config->rpc_batch_wait_us, 100);
    atomic_init(&config->rpc_batch_wait_count, 8);
    atomic_init(&config->rpc_batch_reach_count, 5);
    atomic_init(&config->rpc_batch_weight_percent, 20);
    atomic_init(&config->rpc_batch_sure_percent, 80);
    atomic_init(&config->rpc_batch_round_percent, 80);
    atomic_init(&config->rpc_overload_load, 200);
}

/* ---- the rules alone ---- */

struct lone_gather {
    struct tk_config config;
    struct tk_gather_rules rules;
    struct tk_gather gather;
    int64_t now;
};

static void
lone_init(struct lone_gather *lone, enum tk_gather_policy policy)
{
    memset(lone, 0, sizeof(*lone));
    usual_settings(&lone->config, policy);
    tk_gather_rules_init(&lone->rules, &lone->config);
    tk_gather_init(&lone->gather, &lone->rules);
    lone->now = 1000 * TK_MS;
}

/* For how many the message waits that begins after a pause. */
static uint32_t
after(struct lone_gather *lone, int64_t pause)
{
    lone->now += pause;
    tk_gather_add(&lone->gather, &lone->rules, true, 0, lone->now);
    return lone->gather.target;
}

static void
basic__never_waits(void **state)
{
    struct lone_gather lone;
    int i;

    (void)state;
    lone_init(&lone, TK_GATHER_BASIC);
    for (i = 0; i < 5; i++) {
        assert_int_equal(after(&lone, US), 1);
    }
}

static void
positive__always_waits_for_the_same_count(void **state)
{
    struct lone_gather lone;

    (void)state;
    lone_init(&lone, TK_GATHER_POSITIVE);
    /* There is no pause before the first one, or at one instant. */
    assert_int_equal(after(&lone, 0), 1);
    assert_int_equal(after(&lone, US), 8);
    assert_int_equal(lone.gather.until, lone.now + 100 * US);
    tk_gather_sent(&lone.gather, 1000);
    assert_int_equal(after(&lone, 5000 * TK_MS), 8);
    assert_int_equal(after(&lone, 0), 1);
}

static void
standard__waits_while_pauses_are_short(void **state)
{
    struct lone_gather lone;
    int i;

    (void)state;
    lone_init(&lone, TK_GATHER_STANDARD);
    assert_int_equal(after(&lone, 0), 1);
    /* The first is the mean: below 80 us, and at them. */
    assert_int_equal(after(&lone, 79 * US), 8);
    lone_init(&lone, TK_GATHER_STANDARD);
    after(&lone, 0);
    assert_int_equal(after(&lone, 80 * US), 1);
    /* 80 * .8 + 79 * .2 is below. */
    assert_int_equal(after(&lone, 79 * US), 8);
    /* A long pause counts as five waits: nine short ones make up for it. */
    lone_init(&lone, TK_GATHER_STANDARD);
    after(&lone, 0);
    assert_int_equal(after(&lone, 1000 * TK_MS), 1);
    for (i = 1; i < 9; i++) {
        assert_int_equal(after(&lone, 1), 1);
    }
    assert_int_equal(after(&lone, 1), 8);
}

static void
standard__waits_for_as_many_as_lately_came(void **state)
{
    struct lone_gather lone;

    (void)state;
    lone_init(&lone, TK_GATHER_STANDARD);
    after(&lone, 0);
    lone.gather.per_message = 1;
    assert_int_equal(after(&lone, US), 1);
    lone.gather.per_message = 1.79;
    assert_int_equal(after(&lone, US), 1);
    lone.gather.per_message = 1.81;
    assert_int_equal(after(&lone, US), 2);
    /* 8 * .8 + 20 * .2 */
    tk_gather_init(&lone.gather, &lone.rules);
    after(&lone, 0);
    tk_gather_sent(&lone.gather, 20);
    assert_int_equal(after(&lone, US), 10);
}

static void
chance__waits_when_most_pauses_are_short(void **state)
{
    struct lone_gather lone;
    int i;

    (void)state;
    lone_init(&lone, TK_GATHER_CHANCE);
    after(&lone, 0);
    /* 1 - .8^8 is above .8, 1 - .8^7 is not. */
    for (i = 1; i < 8; i++) {
        assert_int_equal(after(&lone, 99 * US), 1);
    }
    assert_int_equal(after(&lone, 99 * US), 8);
    /* As long as the wait is not short. */
    assert_int_equal(after(&lone, 100 * US), 1);
}

static void
numbers__make_a_policy_of_ones_own(void **state)
{
    struct lone_gather lone;

    (void)state;
    lone_init(&lone, TK_GATHER_STANDARD);
    atomic_store(&lone.config.rpc_batch_wait_us, 1000);
    atomic_store(&lone.config.rpc_batch_wait_count, 3);
    atomic_store(&lone.config.rpc_batch_reach_count, 1);
    atomic_store(&lone.config.rpc_batch_weight_percent, 100);
    atomic_store(&lone.config.rpc_batch_sure_percent, 50);
    atomic_store(&lone.config.rpc_batch_round_percent, 10);
    tk_gather_rules_init(&lone.rules, &lone.config);
    tk_gather_init(&lone.gather, &lone.rules);
    after(&lone, 0);
    assert_int_equal(after(&lone, 500 * US), 1);
    assert_int_equal(after(&lone, 499 * US), 3);
    assert_int_equal(lone.gather.until, lone.now + TK_MS);
    assert_int_equal(after(&lone, 1000 * TK_MS), 1);
    assert_int_equal(after(&lone, US), 3);
    lone.gather.per_message = 2.2;
    assert_int_equal(after(&lone, US), 3);
}

static void
overload__waits_whatever_the_policy(void **state)
{
    struct lone_gather lone;

    (void)state;
    lone_init(&lone, TK_GATHER_FLOW);
    tk_gather_add(&lone.gather, &lone.rules, true, 201, lone.now);
    assert_int_equal(lone.gather.target, 0);
    atomic_store(&lone.config.rpc_overload_wait_us, 700);
    tk_gather_rules_init(&lone.rules, &lone.config);
    tk_gather_add(&lone.gather, &lone.rules, true, 200, lone.now);
    assert_int_equal(lone.gather.target, 0);
    tk_gather_add(&lone.gather, &lone.rules, true, 201, lone.now);
    assert_int_equal(lone.gather.target, 8);
    assert_int_equal(lone.gather.until, lone.now + 700 * US);
}

/* ---- on a pipe ---- */

static void
start(struct fake *fake, enum tk_gather_policy policy, int64_t cap)
{
    memset(fake, 0, sizeof(*fake));
    usual_settings(&fake->config, policy);
    atomic_init(&fake->config.rpc_batch_max_count, cap);
    atomic_init(&fake->config.rpc_inflight_max_count, 64);
    fake_start_rest(fake);
}

/* The first message, before which there was no pause. */
static void
send_first(struct fake *fake, struct asked *asked)
{
    ask(fake, asked, false);
    assert_int_equal(fake->transport.sends, 1);
    fake_sent(fake);
    fake_advance(&fake->runtime, US);
}

static void
pipe__waits_for_the_count(void **state)
{
    struct asked asked[9];
    struct fake fake;
    size_t i;

    (void)state;
    start(&fake, TK_GATHER_POSITIVE, 128);
    send_first(&fake, &asked[0]);
    for (i = 1; i < 8; i++) {
        ask(&fake, &asked[i], true);
        assert_int_equal(fake.transport.sends, 1);
    }
    ask(&fake, &asked[8], true);
    assert_int_equal(fake.transport.sends, 2);
    assert_int_equal(fake.transport.messages[1].count, 8);
    fake_stop(&fake);
}

static void
pipe__waits_for_the_time_and_for_nothing_else(void **state)
{
    struct asked asked[3];
    struct fake fake;
    uint64_t id;

    (void)state;
    start(&fake, TK_GATHER_POSITIVE, 128);
    send_first(&fake, &asked[0]);
    ask(&fake, &asked[1], false);
    /* Neither an answer, nor somebody who waits for his own. */
    id = asked_id(&asked[0]);
    fake_answer(&fake, &id, 1);
    fake_idle(&fake);
    tk_rpc_flush(fake.rpc, NULL);
    tk_rpc_flush(fake.rpc, &asked[1].request);
    fake_advance(&fake.runtime, 50 * US);
    ask(&fake, &asked[2], false);
    fake_advance(&fake.runtime, 50 * US - 1);
    assert_int_equal(fake.transport.sends, 1);
    fake_advance(&fake.runtime, 1);
    assert_int_equal(fake.transport.sends, 2);
    assert_int_equal(fake.transport.messages[1].count, 2);
    fake_stop(&fake);
}

/* While a message is handed over the time of the next one runs. */
static void
pipe__keeps_the_time_beside_a_send(void **state)
{
    struct asked asked[3];
    struct fake fake;

    (void)state;
    start(&fake, TK_GATHER_POSITIVE, 128);
    send_first(&fake, &asked[0]);
    ask(&fake, &asked[1], false);
    fake_advance(&fake.runtime, 100 * US);
    assert_int_equal(fake.transport.sends, 2);
    /* The sweep for deadlines comes within the wait. */
    fake_advance(&fake.runtime,
                 fake.runtime.armed[0]->when - fake.runtime.now - 30 * US);
    ask(&fake, &asked[2], false);
    fake_advance(&fake.runtime, 60 * US);
    fake_sent(&fake);
    assert_int_equal(fake.transport.sends, 2);
    fake_advance(&fake.runtime, 40 * US);
    assert_int_equal(fake.transport.sends, 3);
    fake_stop(&fake);
}

static void
pipe__sends_urgent_and_full_messages_at_once(void **state)
{
    struct asked asked[6];
    struct fake fake;
    size_t i;

    (void)state;
    start(&fake, TK_GATHER_POSITIVE, 4);
    send_first(&fake, &asked[0]);
    for (i = 1; i < 5; i++) {
        assert_int_equal(fake.transport.sends, 1);
        ask(&fake, &asked[i], false);
    }
    assert_int_equal(fake.transport.sends, 2);
    fake_sent(&fake);
    fake_advance(&fake.runtime, US);
    asked_init(&asked[5], &fake, TK_CMD_RAW_GET);
    asked[5].request.is_urgent = true;
    tk_conn_submit(fake.conn, &asked[5].request, false);
    assert_int_equal(fake.transport.sends, 3);
    fake_stop(&fake);
}

static void
pipe__hears_of_overload(void **state)
{
    struct tk_buf bytes;
    struct asked asked[2];
    struct fake fake;
    uint64_t id;

    (void)state;
    memset(&fake, 0, sizeof(fake));
    usual_settings(&fake.config, TK_GATHER_FLOW);
    atomic_init(&fake.config.rpc_overload_wait_us, 300);
    atomic_init(&fake.config.rpc_batch_max_count, 128);
    atomic_init(&fake.config.rpc_inflight_max_count, 64);
    fake_start_rest(&fake);
    send_first(&fake, &asked[0]);
    id = asked_id(&asked[0]);
    fake_frame(&bytes, TK_CMD_RAW_GET, &id, 1);
    tk_buf_varint(&bytes, 3 << 3); /* transport_layer_load */
    tk_buf_varint(&bytes, 201);
    fake_receive(&fake, &bytes);
    tk_buf_fini(&bytes);
    ask(&fake, &asked[1], false);
    fake_advance(&fake.runtime, 300 * US - 1);
    assert_int_equal(fake.transport.sends, 1);
    fake_advance(&fake.runtime, 1);
    assert_int_equal(fake.transport.sends, 2);
    fake_stop(&fake);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(basic__never_waits),
        harness_test(positive__always_waits_for_the_same_count),
        harness_test(standard__waits_while_pauses_are_short),
        harness_test(standard__waits_for_as_many_as_lately_came),
        harness_test(chance__waits_when_most_pauses_are_short),
        harness_test(numbers__make_a_policy_of_ones_own),
        harness_test(overload__waits_whatever_the_policy),
        harness_test(pipe__waits_for_the_count),
        harness_test(pipe__waits_for_the_time_and_for_nothing_else),
        harness_test(pipe__keeps_the_time_beside_a_send),
        harness_test(pipe__sends_urgent_and_full_messages_at_once),
        harness_test(pipe__hears_of_overload),
    };

    return harness_run(tests);
}
