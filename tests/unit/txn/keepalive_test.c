/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signs of life of long commits, in virtual time: when they are sent, when
 * they end, and that a lock kept alive outlives its first time to live.
 */
#include "unit/txn/place.h"

#include "txn/txn.h"

enum { BEAT_MS = 1000 };

static const struct world_plan plan = {
    .cluster = { .stores_count = 1, .pds_count = 1, .regions_count = 1 },
    .settings = { "txn.heartbeat_ms", "1000", "txn.heartbeat_bytes", "0",
                  "txn.async_commit", "off", "txn.one_phase", "off",
                  "txn.max_age_ms", "20000" },
};

static void
run_with(const struct world_plan *with, place_fn *body)
{
    uint64_t seed;

    place_body = body;
    for (seed = 1; seed <= 5; seed++) {
        world_sim(seed, with, place_main);
    }
}

static void
run(place_fn *body)
{
    run_with(&plan, body);
}

/* Between prewrite and commit: holds the transaction up, once: a rival may
 * push the commit ts meanwhile, and then there is a second try. */
struct hold {
    struct place *place;
    int64_t ms;
};

static tikv_error *
hold_up(uint64_t ts, void *arg)
{
    struct hold *hold = arg;
    int64_t left = hold->ms;

    (void)ts;
    for (hold->ms = 0; left > 0; left -= BEAT_MS / 2) {
        place_sleep(hold->place, left < BEAT_MS / 2 ? left : BEAT_MS / 2);
    }
    return NULL;
}

static tikv_txn *
begin(struct place *place, struct hold *hold, int64_t ms)
{
    tikv_txn_options wanted = TIKV_TXN_OPTIONS_INIT;
    tikv_txn_options options;
    struct tk_op op;
    tikv_txn *txn;

    *hold = (struct hold){ place, ms };
    wanted.commit_check = hold_up;
    wanted.arg = hold;
    world_ok(tk_txn_read_options(&place->w->config, &wanted, &options));
    place_begin(place, &op);
    world_ok(tk_txn_begin(place->client, &op, &options, &txn));
    tk_op_fini(&op);
    world_ok(tk_txn_put(txn, tk_slice_text("a"), tk_slice_text("1")));
    world_ok(tk_txn_put(txn, tk_slice_text("b"), tk_slice_text("1")));
    return txn;
}

static tikv_error *
commit(struct place *place, tikv_txn *txn)
{
    tikv_error *error;
    struct tk_op op;
    uint64_t ts;

    assert_true(tk_op_init(&op, place->w->exec, NULL, 100000 * TK_MS));
    world_ok(tk_txn_claim_end(txn));
    error = tk_txn_commit(txn, &op, &ts);
    tk_op_fini(&op);
    tk_txn_unref(txn);
    return error;
}

static uint64_t
beats(struct place *place)
{
    return place_calls(place, "tikv.KvTxnHeartBeat");
}

static void
held_up(struct place *place)
{
    struct hold hold;

    world_ok(commit(place, begin(place, &hold, 0)));
    assert_int_equal(beats(place), 0);
    world_ok(commit(place, begin(place, &hold, BEAT_MS * 3 / 2)));
    assert_int_equal(beats(place), 1);
    /* None comes after the end. */
    place_sleep(place, 5 * BEAT_MS);
    assert_int_equal(beats(place), 1);
    tk_writes_close(place->client->writes);
    assert_int_equal(data_locks(place->router, NULL), 0);
}

static void
keepalive__beats_while_the_commit_is_held_up(void **state)
{
    (void)state;
    run(held_up);
}

static void
small(struct place *place)
{
    struct hold hold;

    world_ok(commit(place, begin(place, &hold, 3 * BEAT_MS)));
    assert_int_equal(beats(place), 0);
}

static void
keepalive__is_for_large_transactions(void **state)
{
    struct world_plan large = plan;

    (void)state;
    large.settings[3] = "100";
    run_with(&large, small);
}

/* Somebody who wants the key, all the time. */
struct rival {
    struct place *place;
    bool is_over;
    unsigned tries;
};

static void
rival_main(void *arg)
{
    struct rival *rival = arg;

    place_sleep(rival->place, 10);
    while (!rival->is_over) {
        struct place_round round;

        place_resolve(rival->place, &round, data_ts(rival->place->router),
                      false);
        world_ok(round.error);
        place_forget(&round);
        place_sleep(rival->place, 500);
        rival->tries++;
    }
}

/* 6 s, where a lock lives 3 s unless it is kept alive. */
static void
outlives(struct place *place)
{
    struct rival rival = { .place = place };
    struct tk_runtime *rt = place->w->rt;
    struct tk_thread *thread = rt->ops->spawn(rt, "rival", rival_main, &rival);
    struct hold hold;

    world_ok(commit(place, begin(place, &hold, 6 * BEAT_MS)));
    rival.is_over = true;
    rt->ops->join(rt, thread);
    assert_true(rival.tries > 5);
    assert_in_range(beats(place), 4, 6);
    tk_writes_close(place->client->writes);
}

static void
keepalive__saves_the_lock_from_a_rival(void **state)
{
    (void)state;
    run(outlives);
}

static void
dies(struct place *place)
{
    struct rival rival = { .place = place };
    struct tk_runtime *rt = place->w->rt;
    struct tk_thread *thread = rt->ops->spawn(rt, "rival", rival_main, &rival);
    struct hold hold;

    world_code(commit(place, begin(place, &hold, 6 * BEAT_MS)),
               TIKV_ERR_ABORTED);
    rival.is_over = true;
    rt->ops->join(rt, thread);
    assert_int_equal(beats(place), 0);
    tk_writes_close(place->client->writes);
    assert_int_equal(data_locks(place->router, NULL), 0);
}

static void
keepalive__without_it_the_lock_is_lost(void **state)
{
    struct world_plan none = plan;

    (void)state;
    none.settings[3] = "1000000";
    run_with(&none, dies);
}

/* Too old: it beats no more, and the lock may go. */
static void
too_old(struct place *place)
{
    struct hold hold;
    uint64_t count;

    world_ok(commit(place, begin(place, &hold, 40 * BEAT_MS)));
    count = beats(place);
    assert_in_range(count, 18, 21);
}

static void
keepalive__ends_when_the_transaction_is_too_old(void **state)
{
    (void)state;
    run(too_old);
}

/* The client closes while a commit is held up: nothing is left of it. */
static void
closing(struct place *place)
{
    struct hold hold;
    tikv_txn *txn = begin(place, &hold, 0);

    txn->alive.start_ts = txn->start_ts;
    tk_keepalives_close(&place->client->writes->keepalives);
    assert_false(tk_keepalive_start(&place->client->writes->keepalives,
                                    &txn->alive));
    world_ok(commit(place, txn));
    assert_int_equal(beats(place), 0);
}

static void
lesson_52__no_keepalive_begins_while_the_client_closes(void **state)
{
    (void)state;
    run(closing);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(keepalive__beats_while_the_commit_is_held_up),
        harness_test(keepalive__is_for_large_transactions),
        harness_test(keepalive__saves_the_lock_from_a_rival),
        harness_test(keepalive__without_it_the_lock_is_lost),
        harness_test(keepalive__ends_when_the_transaction_is_too_old),
        harness_test(lesson_52__no_keepalive_begins_while_the_client_closes),
    };

    return harness_run(tests);
}
