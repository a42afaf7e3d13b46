/* SPDX-License-Identifier: Apache-2.0 */
/* Timestamps: unique, growing, each request ends. timeout: 120 */
#include "unit/region/world.h"

static const struct world_plan one_pd = {
    .cluster = { .stores_count = 1, .pds_count = 1, .replicas_count = 1 },
};

static const struct world_plan three_pds = {
    .cluster = { .stores_count = 1, .pds_count = 3, .replicas_count = 1 },
};

static void
both(const struct world_plan *plan, world_fn *fn)
{
    uint64_t seed;

    for (seed = 1; seed <= 5; seed++) {
        world_sim(seed, plan, fn);
    }
    world_real(plan, fn);
}

static tikv_error *
timestamp(struct world *w, int64_t timeout_ms, uint64_t *out)
{
    struct tk_op op;
    tikv_error *error;

    assert_true(tk_op_init(&op, w->exec, NULL, timeout_ms * TK_MS));
    error = tk_pd_timestamp(w->pd, &op, out);
    tk_op_fini(&op);
    return error;
}

static void
growing(struct world *w)
{
    uint64_t last = 0;
    int i;

    for (i = 0; i < 100; i++) {
        uint64_t ts;

        world_ok(timestamp(w, 10000, &ts));
        assert_true(ts > last);
        last = ts;
    }
}

static void
tso__grows(void **state)
{
    (void)state;
    both(&one_pd, growing);
}

/* ---- many at once ---- */

enum { CROWD = 500 };

struct asked {
    struct tk_tso_request request; /* first */
    struct tk_signal signal;
    uint64_t ts;
    tikv_error *error;
    unsigned ends;
};

static void
asked_done(struct tk_tso_request *request, uint64_t ts, tikv_error *error,
           struct tk_wakes *wakes)
{
    struct asked *asked = (struct asked *)(void *)request;

    asked->ts = ts;
    asked->error = error;
    asked->ends++;
    tk_signal_set(&asked->signal, wakes);
}

static void
batches(struct world *w)
{
    struct asked *asked = tk_calloc(CROWD * sizeof(*asked));
    struct tk_op op;
    uint64_t messages;
    size_t i;

    assert_true(tk_op_init(&op, w->exec, NULL, 10000 * TK_MS));
    for (i = 0; i < CROWD; i++) {
        asked[i].request.done = asked_done;
        tk_signal_init(&asked[i].signal, &op);
        assert_true(tk_pd_tso_submit(w->pd, &asked[i].request));
        if (i == CROWD / 2) {
            /* Taken back from the middle: its done does not come. */
            assert_true(tk_pd_tso_take_back(w->pd, &asked[i].request) ||
                        tk_op_await(&op, &asked[i].signal) == NULL);
        }
    }
    for (i = 0; i < CROWD; i++) {
        if (i != CROWD / 2) {
            world_ok(tk_op_await(&op, &asked[i].signal));
            world_ok(asked[i].error);
            assert_int_equal(asked[i].ends, 1);
        }
    }
    for (i = 1; i < CROWD; i++) {
        if (i != CROWD / 2 && i - 1 != CROWD / 2) {
            assert_true(asked[i].ts > asked[i - 1].ts);
        }
    }
    messages = tk_cluster_calls(w->cluster, "pd.Tso");
    assert_true(messages >= 2 && messages < CROWD / 2);
    tk_op_fini(&op);
    tk_free(asked);
}

static void
tso__asks_for_many_in_one_request(void **state)
{
    (void)state;
    both(&one_pd, batches);
}

static void
full(struct world *w)
{
    struct asked asked[64];
    struct tk_op op;
    size_t count = 0;
    size_t i;

    memset(asked, 0, sizeof(asked));
    assert_true(tk_op_init(&op, w->exec, NULL, 10000 * TK_MS));
    world_fault(w, "on=pd.Tso do=drop_response");
    for (i = 0; i < 64; i++) {
        asked[i].request.done = asked_done;
        tk_signal_init(&asked[i].signal, &op);
        if (!tk_pd_tso_submit(w->pd, &asked[i].request)) {
            break;
        }
        count++;
    }
    assert_true(count < 64);
    tk_cluster_fault_remove(w->cluster, 0);
    for (i = 0; i < count; i++) {
        world_ok(tk_op_await(&op, &asked[i].signal));
        tikv_error_free(asked[i].error);
    }
    tk_op_fini(&op);
}

static void
tso__has_a_bounded_queue(void **state)
{
    struct world_plan plan = one_pd;

    (void)state;
    plan.settings[0] = "tso.batch_max_count";
    plan.settings[1] = "8";
    world_sim(3, &plan, full);
}

/* ---- leader changes under load ---- */

struct load {
    struct world *w;
    atomic_bool *is_over;
    unsigned count;
};

static void
ask_on(void *arg)
{
    struct load *load = arg;
    uint64_t last = 0;

    while (!atomic_load(load->is_over)) {
        uint64_t ts;

        world_ok(timestamp(load->w, 60000, &ts));
        assert_true(ts > last);
        last = ts;
        load->count++;
    }
}

static void
sleep_ms(struct world *w, int64_t ms)
{
    struct tk_op op;

    assert_true(tk_op_init(&op, w->exec, NULL, 60000 * TK_MS));
    world_ok(tk_op_sleep(&op, ms * TK_MS));
    tk_op_fini(&op);
}

static void
leaders_change(struct world *w)
{
    atomic_bool is_over = false;
    struct load load[4];
    struct tk_thread *threads[4];
    unsigned i;

    for (i = 0; i < 4; i++) {
        load[i] = (struct load){ w, &is_over, 0 };
        threads[i] = w->rt->ops->spawn(w->rt, "asker", ask_on, &load[i]);
    }
    for (i = 0; i < 6; i++) {
        sleep_ms(w, 20);
        world_ok(tk_cluster_pd_transfer(w->cluster, (i + 1) % 3));
    }
    sleep_ms(w, 20);
    tk_cluster_pd_leaderless(w->cluster);
    sleep_ms(w, 300);
    world_ok(tk_cluster_pd_transfer(w->cluster, 2));
    sleep_ms(w, 20);
    world_ok(tk_cluster_pd_stop(w->cluster, 2));
    if (tk_cluster_pd_leader(w->cluster) == UINT32_MAX) {
        world_ok(tk_cluster_pd_transfer(w->cluster, 0));
    }
    sleep_ms(w, 100);
    atomic_store(&is_over, true);
    for (i = 0; i < 4; i++) {
        w->rt->ops->join(w->rt, threads[i]);
        assert_true(load[i].count > 0);
    }
}

static void
tso__survives_leader_changes_under_load(void **state)
{
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= 20; seed++) {
        world_sim(seed, &three_pds, leaders_change);
    }
    world_real(&three_pds, leaders_change);
}

static void
late_answers(struct world *w)
{
    uint64_t ts;
    int64_t begun;

    world_ok(timestamp(w, 10000, &ts));
    world_fault(w, "on=pd.Tso when=first(1) do=drop_response");
    begun = tk_now(w->rt);
    world_ok(timestamp(w, 10000, &ts));
    /* The watchdog gave the stream up. */
    assert_true(tk_now(w->rt) - begun >= 200 * TK_MS);
    assert_true(tk_now(w->rt) - begun < 1000 * TK_MS * harness_stretch());
}

static void
tso__gives_a_silent_stream_up(void **state)
{
    struct world_plan plan = one_pd;

    (void)state;
    plan.settings[0] = "pd.timeout_ms";
    plan.settings[1] = "200";
    both(&plan, late_answers);
}

static void
deadline(struct world *w)
{
    tikv_error *error;
    uint64_t ts;
    int64_t begun = tk_now(w->rt);

    tk_cluster_pd_leaderless(w->cluster);
    error = timestamp(w, 700, &ts);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_TIMEOUT);
    assert_true(tk_now(w->rt) - begun < 900 * TK_MS * harness_stretch());
    tikv_error_free(error);
}

static void
tso__ends_at_its_deadline(void **state)
{
    (void)state;
    both(&three_pds, deadline);
}

static void
shut_later(void *arg)
{
    struct world *w = arg;

    sleep_ms(w, 30);
    world_shut(w);
}

static void
closes(struct world *w)
{
    struct tk_thread *thread;
    uint64_t ts;

    world_fault(w, "on=pd.Tso do=drop_response");
    thread = w->rt->ops->spawn(w->rt, "closer", shut_later, w);
    world_code(timestamp(w, 20000, &ts), TIKV_ERR_CLOSED);
    w->rt->ops->join(w->rt, thread);
    world_code(timestamp(w, 20000, &ts), TIKV_ERR_CLOSED);
}

static void
tso__ends_at_close(void **state)
{
    (void)state;
    both(&one_pd, closes);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(tso__grows),
        harness_test(tso__asks_for_many_in_one_request),
        harness_test(tso__has_a_bounded_queue),
        harness_test(tso__survives_leader_changes_under_load),
        harness_test(tso__gives_a_silent_stream_up),
        harness_test(tso__ends_at_its_deadline),
        harness_test(tso__ends_at_close),
    };

    return harness_run(tests);
}
