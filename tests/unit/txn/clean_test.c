/* SPDX-License-Identifier: Apache-2.0 */
/* How locks of decided transactions are removed: by keys or by regions, now
 * or behind a reader's back, and never more than is good. timeout: 120 */
#include "unit/txn/place.h"

#include "txn/resolver_inner.h"
#include "unit/region/spy.h"

static const struct world_plan spied = {
    .cluster = { .stores_count = 1, .pds_count = 1, .regions_count = 1 },
    .wrap = spy_new,
};

static uint64_t
stat_of(struct place *place, enum tk_resolver_stat stat)
{
    return tk_resolver_stat(place->client->resolver, stat);
}

/* Prewritten, and committed as far as the first key. */
static uint64_t
half(struct place *place, data_keys keys, uint64_t txn_size)
{
    struct data_write write = { .start_ts = data_ts(place->router),
                                .keys = keys,
                                .value = "v",
                                .txn_size = txn_size };

    data_prewrite(place->router, &write);
    data_commit(place->router, write.start_ts, data_ts(place->router),
                DATA_KEYS(keys[0]));
    return write.start_ts;
}

/* Two small ones and two that are large or may be, in two regions. */
static void
leave(struct place *place)
{
    place_split(place, "m");
    half(place, DATA_KEYS("a", "b", "c", "n"), 4);
    half(place, DATA_KEYS("d", "e"), 2);
    half(place, DATA_KEYS("f", "g", "h"), 512);
    half(place, DATA_KEYS("o", "p", "q"), 0);
}

/* What has been sent to resolve locks: requests, and how many of them name
 * keys, of how many. */
struct sent {
    size_t requests;
    size_t lite;
    size_t keys;
    size_t async;
    size_t by_source;
};

static struct sent
look(struct place *place, const char *source)
{
    struct spy *spy = spy_of(place->w->transport);
    struct sent sent = { 0, 0, 0, 0, 0 };
    size_t i;

    tk_mutex_lock(&spy->lock);
    for (i = 0; i < spy->count; i++) {
        const struct spy_note *note = &spy->notes[i];

        if (note->command != TK_CMD_KV_RESOLVE_LOCK) {
            continue;
        }
        sent.requests++;
        sent.lite += note->keys != 0;
        sent.keys += note->keys;
        sent.async += note->is_async;
        sent.by_source += strstr(note->source, source) != NULL;
        assert_true(note->keys == 0 || !note->is_async);
        assert_int_not_equal(note->commit_version, 0);
    }
    tk_mutex_unlock(&spy->lock);
    return sent;
}

static void
writer_cleans(struct place *place)
{
    struct place_round round;
    struct sent sent;

    leave(place);
    place_resolve(place, &round, data_ts(place->router), false);
    world_ok(round.error);
    place_forget(&round);
    /* The call came back when all was done. */
    assert_int_equal(data_locks(place->router, NULL), 0);
    sent = look(place, "");
    /* b c | n, e; the regions of g h and of p q. */
    assert_int_equal(sent.requests, 5);
    assert_int_equal(sent.lite, 3);
    assert_int_equal(sent.keys, 4);
    assert_int_equal(sent.async, 0);
    assert_int_equal(stat_of(place, TK_RESOLVER_KEYS_CLEANED), 3);
    assert_int_equal(stat_of(place, TK_RESOLVER_REGION_CLEANED), 2);
    assert_int_equal(stat_of(place, TK_RESOLVER_WRITERS), 1);
    assert_int_equal(stat_of(place, TK_RESOLVER_ENDED), 8);
    assert_int_equal(stat_of(place, TK_RESOLVER_ASKED), 4);
    assert_int_equal(stat_of(place, TK_RESOLVER_COMMITTED), 4);
    assert_int_equal(stat_of(place, TK_RESOLVER_LEFT), 0);
}

static void
lesson_40__small_transactions_go_by_keys_others_by_region(void **state)
{
    (void)state;
    place_run_by(&spied, writer_cleans);
}

/* One round of somebody with a name, over all locks. */
static void
run_round(struct place *place, struct place_round *round, bool for_read,
          int64_t budget_ms)
{
    tikv_call call = TIKV_CALL_INIT;
    struct tk_lock_set locks;
    struct tk_op op;

    memset(round, 0, sizeof(*round));
    tk_backoff_init(&round->backoff, budget_ms);
    round->resolve = (struct tk_resolve){
        .caller_start_ts = data_ts(place->router),
        .for_read = for_read,
        .backoff = &round->backoff,
        .bypass = for_read ? &round->bypass : NULL,
        .access = for_read ? &round->access : NULL,
    };
    tk_lock_set_init(&locks);
    data_locks(place->router, &locks);
    call.request_source = "reader";
    assert_true(tk_op_init(&op, place->w->exec, &call, 20000 * TK_MS));
    round->error = tk_resolver_resolve(place->client->resolver, &op,
                                       &round->resolve, &locks);
    tk_op_fini(&op);
    tk_lock_set_fini(&locks);
}

static void
read_round(struct place *place, struct place_round *round)
{
    run_round(place, round, true, 20000);
}

static void
reader_leaves(struct place *place)
{
    struct place_round round;
    struct sent sent;
    int64_t begun;

    leave(place);
    world_fault(place->w, "on=tikv.KvResolveLock do=delay(500)");
    begun = tk_now(place->w->rt);
    read_round(place, &round);
    world_ok(round.error);
    assert_int_equal(round.resolve.wait_ms, 0);
    assert_int_equal(round.access.count, 4);
    assert_true(tk_now(place->w->rt) - begun < 400 * TK_MS);
    place_forget(&round);
    place_await_locks(place, 0);
    sent = look(place, "reader");
    assert_int_equal(sent.requests, 5);
    assert_int_equal(sent.lite, 3);
    /* Nobody waits for them: TiKV may go on by itself. */
    assert_int_equal(sent.async, 2);
    assert_int_equal(sent.by_source, 5);
    assert_int_equal(stat_of(place, TK_RESOLVER_LEFT), 4);
    assert_int_equal(stat_of(place, TK_RESOLVER_QUEUED), 0);
}

static void
clean__goes_on_behind_readers(void **state)
{
    (void)state;
    place_run_by(&spied, reader_leaves);
}

static void
cleaning_fails(struct place *place)
{
    struct place_round round;
    uint64_t txn = half(place, DATA_KEYS("a", "b"), 2);

    world_fault(place->w, "on=tikv.KvResolveLock do=status(INTERNAL)");
    read_round(place, &round);
    world_ok(round.error);
    assert_true(tk_ts_set_has(&round.access, txn));
    place_forget(&round);
    assert_int_equal(data_locks(place->router, NULL), 1);
}

static void
clean__may_fail_behind_readers(void **state)
{
    (void)state;
    place_run(cleaning_fails);
}

enum { BIG_COUNT = 300, BIG_KEY = 5000, PUSHES = 10 };

/* More than can be kept is left to whoever meets the locks next. */
static void
queue_is_full(struct place *place)
{
    struct tk_resolver *resolver = place->client->resolver;
    const tikv_call call = TIKV_CALL_INIT;
    struct tk_cleaning cleaning = { .how = TK_CLEAN_KEYS,
                                    .commit_ts = 0,
                                    .count = BIG_COUNT };
    tikv_slice keys[BIG_COUNT];
    uint8_t *bytes = tk_alloc(BIG_COUNT * BIG_KEY);
    uint64_t rule;
    unsigned tries = 0;
    size_t i;

    assert_non_null(bytes);
    memset(bytes, 'k', BIG_COUNT * BIG_KEY);
    for (i = 0; i < BIG_COUNT; i++) {
        bytes[i * BIG_KEY] = (uint8_t)(i >> 8);
        bytes[i * BIG_KEY + 1] = (uint8_t)i;
        keys[i] = tk_slice(bytes + i * BIG_KEY, BIG_KEY);
    }
    cleaning.keys = keys;
    rule = world_fault(place->w, "on=tikv.KvResolveLock do=delay(200)");
    for (i = 0; i < PUSHES; i++) {
        cleaning.start_ts = data_ts(place->router);
        tk_clean_later(resolver, &call, &cleaning);
        assert_in_range(stat_of(place, TK_RESOLVER_QUEUED), 0, 2);
    }
    assert_int_equal(stat_of(place, TK_RESOLVER_LEFT), PUSHES);
    assert_in_range(stat_of(place, TK_RESOLVER_DROPPED), PUSHES - 4,
                    PUSHES - 2);
    tk_cluster_fault_remove(place->w->cluster, rule);
    while (stat_of(place, TK_RESOLVER_QUEUED) != 0) {
        assert_in_range(tries++, 0, 5000);
        place_sleep(place, 5);
    }
    cleaning.start_ts = data_ts(place->router);
    tk_clean_later(resolver, &call, &cleaning);
    assert_in_range(stat_of(place, TK_RESOLVER_DROPPED), PUSHES - 4,
                    PUSHES - 2);
    tk_free(bytes);
}

static void
clean__keeps_no_more_than_fits(void **state)
{
    (void)state;
    place_run(queue_is_full);
}

static void
region_errors(struct place *place)
{
    struct place_round round;

    half(place, DATA_KEYS("a", "b"), 2);
    world_fault(place->w, "on=tikv.KvResolveLock when=first(10) "
                          "do=region_error(region_not_found)");
    place_resolve(place, &round, data_ts(place->router), false);
    world_ok(round.error);
    place_forget(&round);
    assert_int_equal(data_locks(place->router, NULL), 0);
    assert_int_equal(place_calls(place, "tikv.KvResolveLock"), 11);
    half(place, DATA_KEYS("a", "b"), 2);
    world_fault(place->w, "on=tikv.KvResolveLock "
                          "do=region_error(region_not_found)");
    run_round(place, &round, false, 100);
    assert_int_equal(tikv_error_code(round.error), TIKV_ERR_REGION);
    place_forget(&round);
    assert_int_equal(data_locks(place->router, NULL), 1);
}

static void
clean__survives_region_errors_within_its_budget(void **state)
{
    (void)state;
    place_run(region_errors);
}

/* Cleaning a region takes pessimistic locks of the transaction with it. */
static void
mixed(struct place *place)
{
    enum { KEYS = 20 };
    struct data_write lock = { .start_ts = data_ts(place->router),
                               .keys = DATA_KEYS("z"),
                               .primary = "primary",
                               .ttl_ms = 20 };
    struct data_write write = { .start_ts = lock.start_ts,
                                .primary = "primary",
                                .value = "v",
                                .ttl_ms = 20,
                                .txn_size = 1000,
                                .for_update_ts = lock.start_ts };
    struct place_round round;
    char names[KEYS][8];
    const char *keys[KEYS + 1];
    size_t i;

    for (i = 0; i < KEYS; i++) {
        snprintf(names[i], sizeof(names[i]), "k%02zu", i);
        keys[i] = names[i];
    }
    keys[KEYS] = NULL;
    write.keys = keys;
    data_lock(place->router, &lock);
    lock.keys = keys;
    data_lock(place->router, &lock);
    data_prewrite(place->router, &write);
    place_outlive(place, lock.start_ts, 20);
    place_resolve(place, &round, data_ts(place->router), false);
    world_ok(round.error);
    place_forget(&round);
    assert_int_equal(data_locks(place->router, NULL), 0);
    assert_int_equal(stat_of(place, TK_RESOLVER_REGION_CLEANED), 1);
    /* Free for others, who do not wait. */
    lock = (struct data_write){ .start_ts = data_ts(place->router),
                                .keys = DATA_KEYS("z") };
    data_lock(place->router, &lock);
}

static void
clean__of_a_region_takes_pessimistic_locks_along(void **state)
{
    (void)state;
    place_run(mixed);
}

/* The primary is rolled back: what is left of a large transaction goes by one
 * request, which says so. */
static void
rolled_back(struct place *place)
{
    enum { KEYS = 20 };
    struct data_write write = { .start_ts = data_ts(place->router),
                                .value = "v",
                                .txn_size = 1000 };
    struct spy *spy = spy_of(place->w->transport);
    struct place_round round;
    char names[KEYS][8];
    const char *keys[KEYS + 1];
    size_t requests = 0;
    size_t i;

    for (i = 0; i < KEYS; i++) {
        snprintf(names[i], sizeof(names[i]), "k%02zu", i);
        keys[i] = names[i];
    }
    keys[KEYS] = NULL;
    write.keys = keys;
    data_prewrite(place->router, &write);
    data_roll_back(place->router, write.start_ts, DATA_KEYS("k00"));
    read_round(place, &round);
    world_ok(round.error);
    assert_true(tk_ts_set_has(&round.bypass, write.start_ts));
    place_forget(&round);
    place_await_locks(place, 0);
    tk_mutex_lock(&spy->lock);
    for (i = 0; i < spy->count; i++) {
        const struct spy_note *note = &spy->notes[i];

        if (note->command == TK_CMD_KV_RESOLVE_LOCK) {
            requests++;
            assert_int_equal(note->keys, 0);
            assert_int_equal(note->commit_version, 0);
            assert_true(note->is_async);
        }
    }
    tk_mutex_unlock(&spy->lock);
    assert_int_equal(requests, 1);
    assert_int_equal(stat_of(place, TK_RESOLVER_ROLLED_BACK), 1);
}

static void
clean__of_what_was_rolled_back_says_so(void **state)
{
    (void)state;
    place_run_by(&spied, rolled_back);
}

/* ---- the same region, twice at once ---- */

struct sharer {
    struct place *place;
    struct tk_cleaning cleaning;
    tikv_error *error;
};

static void
sharer_main(void *arg)
{
    struct sharer *sharer = arg;
    struct tk_backoff backoff;
    struct tk_op op;

    tk_backoff_init(&backoff, 20000);
    place_begin(sharer->place, &op);
    sharer->error = tk_clean(sharer->place->client->resolver, &op, &backoff,
                             &sharer->cleaning);
    tk_op_fini(&op);
}

/* The second begins when the first one's request is at the store, which keeps
 * it for a while; so many requests there were in the end. */
static uint64_t
clean_twice(struct place *place, struct sharer *first, struct sharer *second)
{
    struct tk_runtime *rt = place->w->rt;
    uint64_t before = place_calls(place, "tikv.KvResolveLock");
    struct tk_thread *thread;

    first->place = place;
    second->place = place;
    thread = rt->ops->spawn(rt, "sharer", sharer_main, first);
    assert_non_null(thread);
    while (place_calls(place, "tikv.KvResolveLock") == before) {
        place_sleep(place, 1);
    }
    sharer_main(second);
    rt->ops->join(rt, thread);
    world_ok(first->error);
    world_ok(second->error);
    return place_calls(place, "tikv.KvResolveLock") - before;
}

static void
share(struct place *place)
{
    struct data_write write = { .start_ts = data_ts(place->router),
                                .keys = DATA_KEYS("a", "b", "c"),
                                .value = "v" };
    const tikv_slice key = tk_slice_text("a");
    struct sharer first = { .cleaning = { .how = TK_CLEAN_REGION,
                                          .start_ts = write.start_ts,
                                          .keys = &key,
                                          .count = 1 } };
    struct sharer second = first;

    data_prewrite(place->router, &write);
    first.cleaning.commit_ts = data_ts(place->router);
    second.cleaning.commit_ts = first.cleaning.commit_ts;
    world_fault(place->w, "on=tikv.KvResolveLock do=delay(300)");
    assert_int_equal(clean_twice(place, &first, &second), 1);
    assert_int_equal(data_locks(place->router, NULL), 0);
    /* Another transaction, or keys of its own, is another question. */
    second.cleaning.start_ts++;
    second.cleaning.commit_ts++;
    assert_int_equal(clean_twice(place, &first, &second), 2);
    second = first;
    second.cleaning.how = TK_CLEAN_KEYS;
    assert_int_equal(clean_twice(place, &first, &second), 2);
    first.cleaning.how = TK_CLEAN_KEYS;
    assert_int_equal(clean_twice(place, &first, &second), 2);
}

/* NET-11. */
static void
clean__of_one_region_is_shared_by_those_who_want_it(void **state)
{
    (void)state;
    place_run(share);
}

/* ---- who is held up ---- */

static void
held_up(struct place *place)
{
    struct tk_resolver *resolver = place->client->resolver;
    struct data_write write = { .start_ts = data_ts(place->router),
                                .keys = DATA_KEYS("a", "b"),
                                .value = "v" };
    struct tk_resolve first = { .caller_start_ts = 7 };
    struct tk_resolve second = { .caller_start_ts = 8 };
    struct tk_hold_up entries[2];
    struct tk_lock_set locks;
    struct tk_lock_set seen;

    data_prewrite(place->router, &write);
    tk_lock_set_init(&locks);
    tk_lock_set_init(&seen);
    assert_int_equal(data_locks(place->router, &locks), 2);
    first.locks = &locks;
    second.locks = &locks;
    tk_hold_up_enter(resolver, &entries[0], &first);
    tk_hold_up_enter(resolver, &entries[1], &second);
    world_ok(tk_resolver_held_up(resolver, 100, &seen));
    assert_int_equal(seen.count, 4);
    world_ok(tk_resolver_held_up(resolver, 3, &seen));
    assert_int_equal(seen.count, 3);
    tk_hold_up_leave(resolver, &entries[0]);
    world_ok(tk_resolver_held_up(resolver, 100, &seen));
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.data[0].waiter_ts, 8);
    assert_int_equal(seen.data[0].start_ts, write.start_ts);
    assert_true(tk_slice_equal(seen.data[1].key, tk_slice_text("b")));
    assert_true(tk_slice_equal(seen.data[1].primary, tk_slice_text("a")));
    tk_hold_up_leave(resolver, &entries[1]);
    world_ok(tk_resolver_held_up(resolver, 100, &seen));
    assert_int_equal(seen.count, 0);
    tk_lock_set_fini(&seen);
    tk_lock_set_fini(&locks);
}

static void
lesson_37__who_goes_on_takes_its_own_entry_along(void **state)
{
    (void)state;
    place_run(held_up);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(lesson_40__small_transactions_go_by_keys_others_by_region),
        harness_test(clean__goes_on_behind_readers),
        harness_test(clean__may_fail_behind_readers),
        harness_test(clean__keeps_no_more_than_fits),
        harness_test(clean__survives_region_errors_within_its_budget),
        harness_test(clean__of_a_region_takes_pessimistic_locks_along),
        harness_test(clean__of_what_was_rolled_back_says_so),
        harness_test(clean__of_one_region_is_shared_by_those_who_want_it),
        harness_test(lesson_37__who_goes_on_takes_its_own_entry_along),
    };

    return harness_run(tests);
}
