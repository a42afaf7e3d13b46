/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hedged reads on a cluster with a slow store: the tail is cut, the budget
 * holds, the first valid answer wins, and the other one ends exactly once.
 * timeout: 120
 */
#include "unit/region/spy.h"

#include "region/store_inner.h"

enum { SLOW_MS = 400, HEDGE_MS = 20 };

/* In the simulation time passes only where somebody waits for it. A machine
 * may sleep for as long as it likes, so there all is slower still, and what
 * comes too late is not measured. */
static int64_t
slow_ms(const struct world *w)
{
    return w->is_sim ? SLOW_MS : 10 * SLOW_MS;
}

static bool
is_below(const struct world *w, int64_t ms, int64_t most)
{
    return !w->is_sim || ms < most;
}

static const struct world_plan hedging = {
    .cluster = { .stores_count = 3, .pds_count = 1, .regions_count = 1,
                 .replicas_count = 3 },
    .settings = { "read.hedge_ms", "20", "read.hedge_percent", "100" },
    .wrap = spy_new,
};

static const struct world_plan thrifty = {
    .cluster = { .stores_count = 3, .pds_count = 1, .regions_count = 1,
                 .replicas_count = 3 },
    .settings = { "read.hedge_ms", "20", "read.hedge_percent", "10" },
    .wrap = spy_new,
};

static void
sim(const struct world_plan *plan, world_fn *fn)
{
    uint64_t seed;

    for (seed = 1; seed <= 5; seed++) {
        world_sim(seed, plan, fn);
    }
}

static uint64_t
leader_of(struct world *w)
{
    return tk_cluster_leader_of(
        w->cluster, tk_cluster_region_of(w->cluster, tk_slice_text("a")));
}

static void
slow_leader(struct world *w, const char *when)
{
    char rule[128];

    snprintf(rule, sizeof(rule), "on=tikv.* store=%llu %s do=delay(%d)",
             (unsigned long long)leader_of(w), when, (int)slow_ms(w));
    world_fault(w, rule);
}

/* One read; the milliseconds it took. */
static int64_t
read_for(struct world *w, struct kv *kv, int64_t timeout_ms,
         struct tk_spent *spent, tikv_error **error)
{
    struct tk_op op;
    int64_t passed;

    assert_true(tk_op_init(&op, w->exec, NULL, timeout_ms * TK_MS));
    *error = tk_op_end(&op, tk_drive(&w->router, &op, &kv->job, NULL));
    passed = (tk_now(w->rt) - op.started) / TK_MS;
    *spent = op.spent;
    tk_op_fini(&op);
    return passed;
}

static struct kv *
reader(void)
{
    struct kv *kv = kv_new(TK_CMD_RAW_GET, 1, NULL);

    snprintf(kv->keys[0], sizeof(kv->keys[0]), "a");
    return kv;
}

static int64_t
read_once(struct world *w, struct kv *kv, struct tk_spent *spent)
{
    tikv_error *error;
    int64_t ms = read_for(w, kv, 20000, spent, &error);

    world_ok(error);
    assert_string_equal(kv->got, "1");
    return ms;
}

static void
cut(struct world *w)
{
    const struct tk_hedges *hedges = &w->stores->hedges;
    struct kv *kv = reader();
    struct tk_spent spent;
    uint64_t sent;
    uint64_t won;
    int64_t ms;

    kv_put(w, "a", "1");
    spy_clear(w);
    ms = read_once(w, kv, &spent);
    assert_true(is_below(w, ms, HEDGE_MS));
    assert_int_equal(spent.requests, 1 + spent.hedges);
    assert_true(is_below(w, (int64_t)spent.hedges, 1));
    sent = atomic_load(&hedges->sent);
    won = atomic_load(&hedges->won);
    slow_leader(w, "");
    ms = read_once(w, kv, &spent);
    assert_true(ms >= HEDGE_MS && ms < slow_ms(w) / 2);
    assert_int_equal(spent.requests, 2);
    assert_int_equal(spent.hedges, 1);
    assert_true(spy_last(w)->replica_read);
    assert_int_not_equal(spy_last(w)->store, leader_of(w));
    assert_int_equal(atomic_load(&hedges->sent), sent + 1);
    assert_int_equal(atomic_load(&hedges->won), won + 1);
    tk_free(kv);
}

static void
hedge__asks_a_replica_when_the_leader_is_late(void **state)
{
    (void)state;
    sim(&hedging, cut);
    world_real(&hedging, cut);
}

/* One read of twenty is slow: with a share of a tenth none stays so. */
static void
tail(struct world *w)
{
    const struct tk_hedges *hedges = &w->stores->hedges;
    struct kv *kv = reader();
    int64_t longest = 0;
    unsigned i;

    kv_put(w, "a", "1");
    for (i = 0; i < 200; i++) {
        struct tk_spent spent;
        int64_t ms;

        if (i == 20) {
            slow_leader(w, "when=every(20)");
        }
        ms = read_once(w, kv, &spent);
        longest = ms > longest ? ms : longest;
    }
    assert_true(longest < SLOW_MS / 2);
    assert_int_equal(atomic_load(&hedges->sent), 9);
    assert_int_equal(atomic_load(&hedges->won), 9);
    assert_int_equal(atomic_load(&hedges->refused), 0);
    tk_free(kv);
}

static void
hedge__cuts_the_tail(void **state)
{
    (void)state;
    sim(&thrifty, tail);
}

/* All reads are slow: only the share is sent twice. */
static void
budget(struct world *w)
{
    const struct tk_hedges *hedges = &w->stores->hedges;
    struct kv *kv = reader();
    unsigned slow = 0;
    unsigned i;

    kv_put(w, "a", "1");
    slow_leader(w, "");
    for (i = 0; i < 100; i++) {
        struct tk_spent spent;

        slow += read_once(w, kv, &spent) >= SLOW_MS;
    }
    assert_int_equal(atomic_load(&hedges->sent), 10);
    assert_int_equal(atomic_load(&hedges->refused), 90);
    assert_int_equal(slow, 90);
    tk_free(kv);
}

static void
hedge__keeps_to_its_share(void **state)
{
    (void)state;
    sim(&thrifty, budget);
}

/* What the second one meets is no trouble of the read's. */
static void
useless(struct world *w)
{
    const struct tk_hedges *hedges = &w->stores->hedges;
    struct kv *kv = reader();
    struct tk_spent spent;

    kv_put(w, "a", "1");
    slow_leader(w, "");
    world_fault(w, "on=tikv.RawGet replica_read=yes "
                   "do=region_error(server_is_busy)");
    assert_true(read_once(w, kv, &spent) >= slow_ms(w));
    assert_int_equal(spent.requests, 2);
    assert_int_equal(spent.ns[TK_PART_BACKOFF], 0);
    assert_int_equal(atomic_load(&hedges->won), 0);
    tk_free(kv);
}

static void
hedge__that_fails_does_not_disturb(void **state)
{
    (void)state;
    sim(&hedging, useless);
    world_real(&hedging, useless);
}

/* Of a replica that nobody has asked yet the address may be unknown when the
 * time comes. */
static void
stranger(struct world *w)
{
    struct kv *kv = reader();
    struct tk_spent spent;
    int64_t ms;

    world_fault(w, "on=pd.GetAllStores do=delay(100)");
    kv_put(w, "a", "1");
    slow_leader(w, "");
    ms = read_once(w, kv, &spent);
    assert_true(ms > 2 * HEDGE_MS && is_below(w, ms, SLOW_MS / 2));
    assert_int_equal(spent.hedges, 1);
    tk_free(kv);
}

static void
hedge__waits_for_the_address_of_a_replica(void **state)
{
    (void)state;
    sim(&hedging, stranger);
}

/* The first one fails while the second is under way: that one goes on. */
static void
widow(struct world *w)
{
    struct kv *kv = reader();
    struct tk_spent spent;
    char rule[160];
    int64_t ms;

    kv_put(w, "a", "1");
    snprintf(rule, sizeof(rule), "on=tikv.RawGet store=%llu do=delay(60)",
             (unsigned long long)leader_of(w));
    world_fault(w, rule);
    snprintf(rule, sizeof(rule),
             "on=tikv.RawGet store=%llu do=region_error(server_is_busy)",
             (unsigned long long)leader_of(w));
    world_fault(w, rule);
    world_fault(w, "on=tikv.RawGet replica_read=yes do=delay(100)");
    ms = read_once(w, kv, &spent);
    assert_true(ms >= HEDGE_MS + 100 && ms < 300);
    assert_int_equal(spent.requests, 2);
    assert_int_equal(spent.ns[TK_PART_BACKOFF], 0);
    tk_free(kv);
}

static void
hedge__goes_on_when_the_first_fails(void **state)
{
    (void)state;
    sim(&hedging, widow);
}

/* Nobody answers: the op ends at its deadline, and takes both back. */
static void
both_late(struct world *w)
{
    int64_t limit = w->is_sim ? 100 : 2000;
    struct kv *kv = reader();
    struct tk_spent spent;
    tikv_error *error;
    int64_t ms;

    kv_put(w, "a", "1");
    world_fault(w, "on=tikv.RawGet do=drop_request");
    ms = read_for(w, kv, limit, &spent, &error);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_TIMEOUT);
    assert_int_equal(spent.requests, 2);
    assert_true(ms >= limit && is_below(w, ms, limit + 20));
    assert_int_equal(kv->lost, 1);
    tikv_error_free(error);
    tk_free(kv);
}

static void
hedge__ends_with_the_deadline(void **state)
{
    (void)state;
    sim(&hedging, both_late);
    world_real(&hedging, both_late);
}

/* Each region's request on its own, and each key answered once. */
static void
batch(struct world *w)
{
    struct kv *kv = kv_new(TK_CMD_RAW_BATCH_PUT, 60, "1");
    struct tk_spent spent;
    tikv_error *error;
    size_t i;

    for (i = 10; i < 60; i += 10) {
        world_ok(tk_cluster_split(w->cluster, tk_slice_text(kv->keys[i])));
    }
    world_ok(kv_run(w, kv, 20000));
    kv->job.command = TK_CMD_RAW_BATCH_GET;
    kv->answered = 0;
    slow_leader(w, "");
    assert_true(read_for(w, kv, 20000, &spent, &error) < slow_ms(w));
    world_ok(error);
    assert_int_equal(kv->answered, 60);
    assert_true(spent.hedges >= 1 && spent.hedges <= 6);
    tk_free(kv);
}

static void
hedge__answers_each_part_once(void **state)
{
    (void)state;
    sim(&hedging, batch);
    world_real(&hedging, batch);
}

static void
never(struct world *w)
{
    const struct tk_hedges *hedges = &w->stores->hedges;
    struct kv *kv = reader();
    struct tk_spent spent;
    tikv_error *error;

    kv_put(w, "a", "1");
    slow_leader(w, "");
    kv->job.read.leader_only = true;
    assert_true(read_once(w, kv, &spent) >= SLOW_MS);
    kv->job.read.leader_only = false;
    kv->job.command = TK_CMD_RAW_PUT;
    kv->value = "1";
    assert_true(read_for(w, kv, 20000, &spent, &error) >= SLOW_MS);
    world_ok(error);
    assert_int_equal(spent.requests, 1);
    assert_int_equal(atomic_load(&hedges->sent), 0);
    tk_free(kv);
}

static void
hedge__is_not_for_writes_or_reads_of_the_leader_alone(void **state)
{
    (void)state;
    sim(&hedging, never);
}

/* A stale read's second is what the selector makes it: of the leader, with
 * the same version, and no stale one. */
static void
stale(struct world *w)
{
    struct kv *kv = reader();
    struct tk_spent spent;

    kv_put(w, "a", "1");
    world_fault(w, "on=tikv.RawGet when=first(1) do=delay(400)");
    kv->job.read.is_stale = true;
    spy_clear(w);
    assert_true(read_once(w, kv, &spent) < SLOW_MS / 2);
    assert_int_equal(spent.requests, 2);
    assert_false(spy_last(w)->stale_read && spy_last(w)->replica_read);
    tk_free(kv);
}

static void
hedge__keeps_what_a_stale_read_means(void **state)
{
    (void)state;
    sim(&hedging, stale);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(hedge__asks_a_replica_when_the_leader_is_late),
        harness_test(hedge__cuts_the_tail),
        harness_test(hedge__keeps_to_its_share),
        harness_test(hedge__that_fails_does_not_disturb),
        harness_test(hedge__waits_for_the_address_of_a_replica),
        harness_test(hedge__goes_on_when_the_first_fails),
        harness_test(hedge__ends_with_the_deadline),
        harness_test(hedge__answers_each_part_once),
        harness_test(hedge__is_not_for_writes_or_reads_of_the_leader_alone),
        harness_test(hedge__keeps_what_a_stale_read_means),
    };

    return harness_run(tests);
}
