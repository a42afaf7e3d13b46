/* SPDX-License-Identifier: Apache-2.0 */
/* Timestamps from a service that stands apart from PD. timeout: 120 */
#include "unit/region/world.h"

static void
stand_apart(struct world *w)
{
    tk_cluster_set_services(w->cluster, TK_CLUSTER_SERVICE_TSO);
}

static const struct world_plan apart = {
    .cluster = { .stores_count = 1, .pds_count = 3, .replicas_count = 1 },
    .prepare = stand_apart,
};

static const struct world_plan together = {
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

static uint64_t
timestamp(struct world *w)
{
    struct tk_op op;
    uint64_t ts = 0;

    assert_true(tk_op_init(&op, w->exec, NULL, 10000 * TK_MS));
    world_ok(tk_pd_timestamp(w->pd, &op, &ts));
    tk_op_fini(&op);
    return ts;
}

static uint64_t
from_service(struct world *w)
{
    return tk_cluster_calls(w->cluster, "tso.Tso");
}

static uint64_t
from_pd(struct world *w)
{
    return tk_cluster_calls(w->cluster, "pd.Tso");
}

static void
follows_the_primary(struct world *w)
{
    uint64_t last = 0;
    uint32_t i;

    for (i = 0; i < 12; i++) {
        uint64_t ts = timestamp(w);

        assert_true(ts > last);
        last = ts;
        if (i % 4 == 3) {
            world_ok(tk_cluster_pd_transfer(w->cluster, (i + 1) / 4 % 3));
        }
    }
    assert_true(from_service(w) >= 12);
    assert_int_equal(from_pd(w), 0);
}

static void
service__gives_timestamps_and_its_primary_is_followed(void **state)
{
    (void)state;
    both(&apart, follows_the_primary);
}

/* ---- while the client lives ---- */

struct asker {
    struct world *w;
    atomic_bool is_over;
    uint64_t count;
};

static void
ask_on(void *arg)
{
    struct asker *asker = arg;
    uint64_t last = 0;

    while (!atomic_load(&asker->is_over)) {
        uint64_t ts = timestamp(asker->w);

        assert_true(ts > last);
        last = ts;
        asker->count++;
    }
}

static void
pass_ms(struct world *w, int64_t ms)
{
    struct tk_op op;

    assert_true(tk_op_init(&op, w->exec, NULL, 60000 * TK_MS));
    world_ok(tk_op_sleep(&op, ms * TK_MS));
    tk_op_fini(&op);
}

static void
switches(struct world *w)
{
    struct asker asker = { w, false, 0 };
    struct tk_thread *thread =
        w->rt->ops->spawn(w->rt, "asker", ask_on, &asker);
    uint64_t before;

    pass_ms(w, 20);
    assert_int_equal(from_service(w), 0);

    /* PD passes requests on; who looks for the leader finds the service. */
    tk_cluster_set_services(w->cluster, TK_CLUSTER_SERVICE_TSO);
    pass_ms(w, 20);
    world_ok(tk_cluster_pd_transfer(w->cluster, 1));
    pass_ms(w, 300);
    assert_true(from_service(w) > 0);

    /* The service is switched off under its callers. */
    tk_cluster_set_services(w->cluster, 0);
    pass_ms(w, 300);
    before = from_pd(w);
    pass_ms(w, 50);
    assert_true(from_pd(w) > before);

    atomic_store(&asker.is_over, true);
    w->rt->ops->join(w->rt, thread);
    assert_true(asker.count > 0);
}

static void
service__switches_while_callers_wait(void **state)
{
    (void)state;
    both(&together, switches);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(service__gives_timestamps_and_its_primary_is_followed),
        harness_test(service__switches_while_callers_wait),
    };

    return harness_run(tests);
}
