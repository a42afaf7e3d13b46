/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the time of an operation goes. In the simulation time passes only
 * where somebody waits (and a little with each look at the clock), so every
 * account is exact: next to nothing is left for our own work, and the parts are
 * the delays that the cluster was told.
 */
#include "unit/region/world.h"

#define TICKS_NS (TK_MS / 10)

static const struct world_plan three_stores = {
    .cluster = { .stores_count = 3, .pds_count = 1, .regions_count = 1,
                 .replicas_count = 3 },
};

static void
sim(world_fn *fn)
{
    uint64_t seed;

    for (seed = 1; seed <= 5; seed++) {
        world_sim(seed, &three_stores, fn);
    }
}

/* One get of "a"; what it spent, and its error. */
static tikv_error *
spend(struct world *w, int64_t timeout_ms, struct tk_spent *spent)
{
    struct kv *kv = kv_new(TK_CMD_RAW_GET, 1, NULL);
    struct tk_op op;
    tikv_error *error;
    int64_t total = 0;
    size_t i;

    snprintf(kv->keys[0], sizeof(kv->keys[0]), "a");
    assert_true(tk_op_init(&op, w->exec, NULL, timeout_ms * TK_MS));
    error = tk_op_end(&op, tk_drive(&w->router, &op, &kv->job, NULL));
    *spent = op.spent;
    for (i = 0; i < TK_PARTS; i++) {
        assert_true(spent->ns[i] >= 0);
        total += spent->ns[i];
    }
    assert_int_equal(total, op.seen - op.started);
    assert_true(tk_now(w->rt) - op.seen < TICKS_NS);
    assert_true(spent->ns[TK_PART_OWN] < TICKS_NS);
    tk_op_fini(&op);
    tk_free(kv);
    return error;
}

static void
delays(struct world *w)
{
    struct tk_spent spent;

    world_fault(w, "on=pd.GetRegion do=delay(70)");
    world_fault(w, "on=tikv.RawGet do=delay(40)");
    world_ok(spend(w, 20000, &spent));
    assert_true(spent.ns[TK_PART_PD] >= 70 * TK_MS);
    assert_true(spent.ns[TK_PART_PD] < 100 * TK_MS);
    assert_true(spent.ns[TK_PART_WIRE] >= 40 * TK_MS);
    assert_true(spent.ns[TK_PART_WIRE] < 60 * TK_MS);
    assert_int_equal(spent.ns[TK_PART_BACKOFF], 0);
    assert_int_equal(spent.requests, 1);
    /* The region is known now. */
    world_ok(spend(w, 20000, &spent));
    assert_int_equal(spent.ns[TK_PART_PD], 0);
    assert_true(spent.ns[TK_PART_WIRE] >= 40 * TK_MS);
}

static void
details__put_each_delay_where_it_belongs(void **state)
{
    (void)state;
    sim(delays);
}

/* All pauses are of the kind that the answers ask for. */
static void
storm(struct world *w)
{
    struct tk_spent spent;
    int64_t slept = 0;
    size_t i;

    kv_put(w, "a", "1");
    world_fault(w, "on=tikv.RawGet when=first(25) do=region_error(not_leader)");
    world_ok(spend(w, 20000, &spent));
    assert_int_equal(spent.requests, 26);
    for (i = 0; i < TK_BACKOFF_KINDS; i++) {
        slept += spent.slept_ns[i];
    }
    assert_int_equal(slept, spent.ns[TK_PART_BACKOFF]);
    assert_true(spent.slept_ns[TK_BACKOFF_REGION_SCHEDULING] > 0);
    assert_int_equal(spent.slept_ns[TK_BACKOFF_SERVER_BUSY], 0);
    assert_int_equal(spent.slept_ns[TK_BACKOFF_RPC], 0);
}

static void
details__tell_a_storm_by_its_kind(void **state)
{
    (void)state;
    sim(storm);
}

/* A deadline in the middle of a pause: the whole of it is explained. */
static void
timeout(struct world *w)
{
    const tikv_details *details;
    struct tk_spent spent;
    tikv_error *error;

    kv_put(w, "a", "1");
    world_fault(w, "on=tikv.* do=region_error(server_is_busy)");
    error = spend(w, 500, &spent);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_TIMEOUT);
    details = tikv_error_details(error);
    assert_in_range(tikv_details_u64(details, TIKV_DETAILS_TOTAL_NS),
                    500 * TK_MS, 500 * TK_MS + TICKS_NS);
    assert_int_equal(tikv_details_u64(details, TIKV_DETAILS_BACKOFF_NS),
                     spent.slept_ns[TK_BACKOFF_SERVER_BUSY]);
    assert_true(spent.slept_ns[TK_BACKOFF_SERVER_BUSY] > 400 * TK_MS);
    tikv_error_free(error);
}

static void
details__explain_a_timeout(void **state)
{
    (void)state;
    sim(timeout);
}

/* PD is not there: pauses of its kind, and waits for it. */
static void
no_pd(struct world *w)
{
    struct tk_spent spent;
    tikv_error *error;

    world_fault(w, "on=pd.GetRegion do=status(UNAVAILABLE)");
    error = spend(w, 3000, &spent);
    assert_non_null(error);
    assert_true(spent.slept_ns[TK_BACKOFF_PD_RPC] > 0);
    assert_int_equal(spent.requests, 0);
    assert_int_equal(spent.ns[TK_PART_WIRE], 0);
    assert_non_null(tikv_error_details(error));
    tikv_error_free(error);
}

static void
details__tell_that_pd_is_missing(void **state)
{
    (void)state;
    sim(no_pd);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(details__put_each_delay_where_it_belongs),
        harness_test(details__tell_a_storm_by_its_kind),
        harness_test(details__explain_a_timeout),
        harness_test(details__tell_that_pd_is_missing),
    };

    return harness_run(tests);
}
