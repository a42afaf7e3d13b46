/* SPDX-License-Identifier: Apache-2.0 */
/* Up to where all stores serve stale reads: the stores are the embedded
 * cluster's, which PD's list or the test's own names. timeout: 120 */
#include "region/store_inner.h"
#include "unit/region/world.h"

#include "metapb.upb.h"

static const char method[] = "tikv.GetStoreSafeTS";

static const struct world_plan three_stores = {
    .cluster = { .stores_count = 3,
                 .pds_count = 1,
                 .regions_count = 4,
                 .replicas_count = 3 },
};

static void
seeds(const struct world_plan *plan, world_fn *fn)
{
    uint64_t seed;

    for (seed = 1; seed <= 5; seed++) {
        world_sim(seed, plan, fn);
    }
}

/* Every peer on that store, 0: on all, is at `ts`. */
static void
hold(struct world *w, uint64_t store, uint64_t ts)
{
    world_ok(tk_cluster_safe_ts_hold(w->cluster, 0, store, ts));
}

/* What all stores that PD lists say together. */
static uint64_t
ask(struct world *w)
{
    uint64_t ts = 7;
    struct tk_op op;

    assert_true(tk_op_init(&op, w->exec, NULL, 20000 * TK_MS));
    world_ok(tk_stores_safe_ts(w->stores, &op, "global", &ts));
    tk_op_fini(&op);
    return ts;
}

/* ---- stores as a test wants them ---- */

struct facts {
    struct tk_arena *arena;
    const metapb_Store *all[128];
    size_t count;
};

static upb_StringView
view(const char *text)
{
    return upb_StringView_FromString(text);
}

static void
label(metapb_Store *store, struct facts *facts, const char *key,
      const char *value)
{
    metapb_StoreLabel *label =
        metapb_Store_add_labels(store, facts->arena->upb);

    metapb_StoreLabel_set_key(label, view(key));
    metapb_StoreLabel_set_value(label, view(value));
}

/* A store that is called `id` and answers as that of the cluster does; 0: at
 * an address where nobody is. */
static metapb_Store *
add(struct world *w, struct facts *facts, uint64_t id, uint64_t at)
{
    metapb_Store *store = metapb_Store_new(facts->arena->upb);
    char *text = upb_Arena_Malloc(facts->arena->upb, 64);

    snprintf(text, 64, "%s", "store.invalid:1");
    assert_true(at == 0 || tk_cluster_get_address(
                               w->cluster, TK_NODE_STORE | at, text, 64));
    metapb_Store_set_id(store, id);
    metapb_Store_set_address(store, view(text));
    facts->all[facts->count++] = store;
    return store;
}

static void
begin(struct facts *facts)
{
    *facts = (struct facts){ .arena = tk_arena_new() };
    assert_non_null(facts->arena);
}

static tikv_error *
ask_within(struct world *w, const struct facts *facts, const char *scope,
           int64_t limit_ms, uint64_t *ts)
{
    tikv_error *error;
    struct tk_op op;

    assert_true(tk_op_init(&op, w->exec, NULL, limit_ms * TK_MS));
    error = tk_stores_safe_ts_of(w->stores, &op, facts->all, facts->count,
                                 scope, ts);
    tk_op_fini(&op);
    return error;
}

static uint64_t
ask_of(struct world *w, const struct facts *facts, const char *scope)
{
    uint64_t ts = 7;

    world_ok(ask_within(w, facts, scope, 20000, &ts));
    return ts;
}

/* ---- what stores say ---- */

static void
takes_the_least(struct world *w)
{
    hold(w, 1, 100);
    hold(w, 2, 80);
    hold(w, 3, 120);
    assert_int_equal(ask(w), 80);
    assert_int_equal(tk_cluster_calls(w->cluster, method), 3);
    hold(w, 2, 110);
    assert_int_equal(ask(w), 100);
}

static void
safe_ts__is_the_least_of_all_stores(void **state)
{
    (void)state;
    seeds(&three_stores, takes_the_least);
}

static void
skips_zeros(struct world *w)
{
    hold(w, 0, 0);
    assert_int_equal(ask(w), 0);
    assert_int_equal(ask(w), 0);
    assert_int_equal(tk_cluster_calls(w->cluster, method), 6);
    hold(w, 1, 100);
    hold(w, 3, 101);
    assert_int_equal(ask(w), 100);
}

static void
safe_ts__is_not_that_of_stores_that_tell_zero(void **state)
{
    (void)state;
    seeds(&three_stores, skips_zeros);
}

static void
knows_zones(struct world *w)
{
    struct facts facts;

    begin(&facts);
    label(add(w, &facts, 1, 1), &facts, "zone", "z1");
    label(add(w, &facts, 2, 2), &facts, "zone", "z2");
    add(w, &facts, 3, 3);
    hold(w, 1, 100);
    hold(w, 2, 10);
    hold(w, 3, 50);
    assert_int_equal(ask_of(w, &facts, "z1"), 100);
    assert_int_equal(tk_cluster_calls(w->cluster, method), 1);
    assert_int_equal(ask_of(w, &facts, "z2"), 10);
    assert_int_equal(ask_of(w, &facts, "global"), 10);
    assert_int_equal(ask_of(w, &facts, "z3"), 0);
    tk_arena_unref(facts.arena);
}

static void
safe_ts__of_a_zone_is_that_of_its_stores(void **state)
{
    (void)state;
    seeds(&three_stores, knows_zones);
}

/* At the address for queries a store of columns would not answer this. */
static void
asks_columns_elsewhere(struct world *w)
{
    struct facts facts;
    metapb_Store *store;

    begin(&facts);
    hold(w, 1, 100);
    hold(w, 2, 90);
    add(w, &facts, 1, 1);
    store = add(w, &facts, 11, 0);
    label(store, &facts, "engine", "tiflash");
    metapb_Store_set_peer_address(store,
                                  metapb_Store_address(add(w, &facts, 2, 2)));
    facts.count--;
    store = add(w, &facts, 12, 0);
    label(store, &facts, "engine", "tiflash_compute");
    store = add(w, &facts, 13, 0);
    metapb_Store_set_state(store, metapb_Tombstone);
    assert_int_equal(ask_of(w, &facts, "global"), 90);
    assert_int_equal(tk_cluster_calls(w->cluster, method), 2);
    tk_arena_unref(facts.arena);
}

static void
safe_ts__of_columns_is_asked_at_the_address_for_peers(void **state)
{
    (void)state;
    seeds(&three_stores, asks_columns_elsewhere);
}

/* ---- stores that say nothing ---- */

static void
never_guesses(struct world *w)
{
    struct facts facts;

    begin(&facts);
    assert_int_equal(ask_of(w, &facts, "global"), 0); /* no store at all */
    hold(w, 0, 100);
    add(w, &facts, 1, 1);
    add(w, &facts, 9, 0);
    assert_int_equal(ask_of(w, &facts, "global"), 0); /* 9 never told */
    facts.count = 1;
    assert_int_equal(ask_of(w, &facts, "global"), 100);

    /* One that told and fails now, and one that fails from the start. */
    add(w, &facts, 2, 2);
    (void)world_fault(w, "on=tikv.GetStoreSafeTS store=1 "
                         "do=status(UNAVAILABLE)");
    hold(w, 2, 130);
    assert_int_equal(ask_of(w, &facts, "global"), 100);
    (void)world_fault(w, "on=tikv.GetStoreSafeTS do=unimplemented");
    add(w, &facts, 3, 3);
    assert_int_equal(ask_of(w, &facts, "global"), 0);
    tk_cluster_fault_remove(w->cluster, 0);

    /* No word but the largest number, from a store that told before and from
     * one that never did. */
    hold(w, 0, UINT64_MAX);
    assert_int_equal(ask_of(w, &facts, "global"), 0);
    facts.count = 2;
    assert_int_equal(ask_of(w, &facts, "global"), 100);
    tk_arena_unref(facts.arena);
}

static void
lesson_112__the_safe_ts_is_known_or_zero(void **state)
{
    (void)state;
    seeds(&three_stores, never_guesses);
}

static void
goes_forward(struct world *w)
{
    hold(w, 0, 100);
    assert_int_equal(ask(w), 100);
    hold(w, 2, 60);
    assert_int_equal(ask(w), 100);
    hold(w, 2, 0);
    assert_int_equal(ask(w), 100);
    hold(w, 0, 101);
    assert_int_equal(ask(w), 101);
}

static void
safe_ts__of_a_store_only_goes_forward(void **state)
{
    (void)state;
    seeds(&three_stores, goes_forward);
}

/* ---- time ---- */

static void
asks_many_at_a_time(struct world *w)
{
    struct facts facts;
    int64_t started;
    uint64_t id;

    begin(&facts);
    for (id = 1; id <= 100; id++) {
        add(w, &facts, id, 1 + id % 3);
    }
    hold(w, 0, 100);
    (void)world_fault(w, "on=tikv.GetStoreSafeTS do=delay(1000)");
    started = tk_now(w->rt);
    assert_int_equal(ask_of(w, &facts, "global"), 100);
    /* Four rounds of 32 and less. */
    assert_in_range(tk_now(w->rt) - started, 4000 * TK_MS, 4500 * TK_MS);
    assert_int_equal(tk_cluster_calls(w->cluster, method), 100);
    tk_arena_unref(facts.arena);
}

static void
safe_ts__asks_many_stores_at_a_time(void **state)
{
    (void)state;
    seeds(&three_stores, asks_many_at_a_time);
}

static void
waits_for_nobody_long(struct world *w)
{
    struct facts facts;
    uint64_t ts = 7;
    int64_t started;
    uint64_t id;

    hold(w, 0, 100);
    assert_int_equal(ask(w), 100);
    begin(&facts);
    for (id = 1; id <= 3; id++) {
        add(w, &facts, id, id);
    }
    (void)world_fault(w, "on=tikv.GetStoreSafeTS store=2 do=drop_request");
    hold(w, 0, 110);
    started = tk_now(w->rt);
    assert_int_equal(ask_of(w, &facts, "global"), 100);
    assert_in_range(tk_now(w->rt) - started, 2000 * TK_MS, 3100 * TK_MS);

    /* The caller has less time than that. */
    started = tk_now(w->rt);
    world_code(ask_within(w, &facts, "global", 300, &ts), TIKV_ERR_TIMEOUT);
    assert_in_range(tk_now(w->rt) - started, 300 * TK_MS, 400 * TK_MS);
    assert_int_equal(ts, 7);
    tk_arena_unref(facts.arena);
}

static void
safe_ts__waits_for_no_store_long(void **state)
{
    (void)state;
    seeds(&three_stores, waits_for_nobody_long);
}

/* Nobody is at home any more: that is no answer of 0. */
static void
ends_with_the_client(struct world *w)
{
    struct facts facts;
    uint64_t ts = 7;
    struct tk_op op;

    begin(&facts);
    add(w, &facts, 1, 1);
    assert_true(tk_op_init(&op, w->exec, NULL, 20000 * TK_MS));
    world_shut(w);
    world_code(tk_stores_safe_ts_of(w->stores, &op, facts.all, facts.count,
                                    "global", &ts),
               TIKV_ERR_CLOSED);
    assert_int_equal(ts, 7);
    tk_op_fini(&op);
    tk_arena_unref(facts.arena);
}

static void
safe_ts__of_a_closed_client_is_an_error(void **state)
{
    (void)state;
    seeds(&three_stores, ends_with_the_client);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        harness_test(safe_ts__is_the_least_of_all_stores),
        harness_test(safe_ts__is_not_that_of_stores_that_tell_zero),
        harness_test(safe_ts__of_a_zone_is_that_of_its_stores),
        harness_test(safe_ts__of_columns_is_asked_at_the_address_for_peers),
        harness_test(lesson_112__the_safe_ts_is_known_or_zero),
        harness_test(safe_ts__of_a_store_only_goes_forward),
        harness_test(safe_ts__asks_many_stores_at_a_time),
        harness_test(safe_ts__waits_for_no_store_long),
        harness_test(safe_ts__of_a_closed_client_is_an_error),
    };

    return harness_run(tests);
}
