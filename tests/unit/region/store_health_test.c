/* SPDX-License-Identifier: Apache-2.0 */
/* Slow scores of both sides, estimates of load, labels. */
#include "harness/harness.h"

#include "base/error.h"
#include "base/slice.h"
#include "exec/runtime.h"
#include "region/store_inner.h"
#include "wire/arena.h"

#include "metapb.upb.h"

#define SECOND (1000 * TK_MS)

static struct tk_stores *
new_table(void)
{
    struct tk_stores *stores = tk_stores_new(NULL, NULL, NULL);

    assert_non_null(stores);
    return stores;
}

static void
slow__is_what_the_store_tells(void **state)
{
    struct tk_stores *stores = new_table();
    struct tk_store *store = tk_stores_get(stores, 1);
    int64_t now = 1000 * SECOND;

    (void)state;
    assert_false(tk_store_is_slow(store, now));
    tk_store_tell(store, now, 50);
    assert_false(tk_store_is_slow(store, now));
    now += SECOND;
    tk_store_tell(store, now, 100);
    assert_true(tk_store_is_slow(store, now));
    /* It holds a while, then falls by twenty a minute. */
    assert_true(tk_store_is_slow(store, now + 15 * SECOND));
    assert_true(tk_store_is_slow(store, now + 74 * SECOND));
    assert_false(tk_store_is_slow(store, now + 79 * SECOND));
    assert_false(tk_store_is_slow(store, now + 3600 * SECOND));
    tk_stores_free(stores);
}

static void
slow__news_that_come_too_often_are_dropped(void **state)
{
    struct tk_stores *stores = new_table();
    struct tk_store *store = tk_stores_get(stores, 1);
    int64_t now = 1000 * SECOND;

    (void)state;
    tk_store_tell(store, now, 100);
    tk_store_tell(store, now + 50 * TK_MS, 1);
    assert_true(tk_store_is_slow(store, now + 50 * TK_MS));
    tk_store_tell(store, now + SECOND, 90);
    assert_true(tk_store_is_slow(store, now + SECOND));
    tk_store_tell(store, now + 2 * SECOND, 50);
    assert_false(tk_store_is_slow(store, now + 2 * SECOND));
    assert_false(tk_store_is_slow(tk_stores_get(stores, 2), now));
    tk_stores_free(stores);
}

static void
slow__is_what_either_side_says(void **state)
{
    struct tk_stores *stores = new_table();
    struct tk_store *store = tk_stores_get(stores, 1);
    int64_t now = 1000 * SECOND;

    (void)state;
    tk_store_mark_slow(store, now);
    assert_true(tk_store_is_slow(store, now));
    tk_store_tell(store, now, 100);
    tk_store_tell(store, now + 14 * 60 * SECOND, 100);
    /* Ours has recovered by then, its own has not. */
    assert_true(tk_store_is_slow(store, now + 14 * 60 * SECOND));
    tk_store_tell(store, now + 15 * 60 * SECOND, 1);
    assert_false(tk_store_is_slow(store, now + 15 * 60 * SECOND));
    tk_stores_free(stores);
}

/* Slots of 15 s with `count` requests of `us` each. */
static int64_t
feel(struct tk_stores *stores, struct tk_store *store, int64_t now,
     unsigned slots, unsigned count, int64_t us)
{
    while (slots-- > 0) {
        unsigned i;

        for (i = 0; i < count; i++) {
            tk_store_feel(stores, store, now, us * 1000);
        }
        now += 15 * SECOND;
    }
    return now;
}

static void
slow__is_what_takes_ever_longer(void **state)
{
    struct tk_stores *stores = new_table();
    struct tk_store *store = tk_stores_get(stores, 1);
    int64_t now = 1000 * SECOND;
    unsigned i;

    (void)state;
    /* Up and down is nothing. */
    for (i = 1; i <= 100; i++) {
        now = feel(stores, store, now, 1, 100, i * 1000);
    }
    for (i = 100; i >= 1; i--) {
        now = feel(stores, store, now, 1, 100, i * 1000);
    }
    assert_false(tk_store_is_slow(store, now));
    /* Fewer and slower, again and again, is. */
    now = feel(stores, store, now, 10, 100, 1000);
    for (i = 1; i <= 6; i++) {
        now = feel(stores, store, now, 1, 100 - i * 12, i * i * 9000);
    }
    assert_true(tk_store_is_slow(store, now));
    tk_stores_free(stores);
}

static void
slow__is_one_request_of_half_a_minute(void **state)
{
    struct tk_stores *stores = new_table();
    struct tk_store *store = tk_stores_get(stores, 1);

    (void)state;
    tk_store_feel(stores, store, SECOND, 29 * SECOND);
    assert_false(tk_store_is_slow(store, SECOND));
    tk_store_feel(stores, store, SECOND, 30 * SECOND);
    assert_true(tk_store_is_slow(store, SECOND));
    tk_stores_free(stores);
}

static void
wait__runs_down(void **state)
{
    struct tk_stores *stores = new_table();
    struct tk_store *store = tk_stores_get(stores, 1);

    (void)state;
    assert_int_equal(tk_store_wait_ms(store, SECOND), 0);
    tk_store_set_wait(store, SECOND, 500);
    assert_int_equal(tk_store_wait_ms(store, SECOND), 500);
    assert_int_equal(tk_store_wait_ms(store, SECOND + 380 * TK_MS), 120);
    assert_int_equal(tk_store_wait_ms(store, 2 * SECOND), 0);
    tk_stores_free(stores);
}

static void
take(struct tk_stores *stores, uint64_t id, const char *const *pairs)
{
    struct tk_arena *arena = tk_arena_new();
    metapb_Store *facts = metapb_Store_new(arena->upb);
    size_t i;

    for (i = 0; pairs[i] != NULL; i += 2) {
        metapb_StoreLabel *label =
            metapb_Store_add_labels(facts, arena->upb);

        metapb_StoreLabel_set_key(label, upb_StringView_FromString(pairs[i]));
        metapb_StoreLabel_set_value(label,
                                    upb_StringView_FromString(pairs[i + 1]));
    }
    assert_true(tk_store_take_labels(
        stores, (struct tk_store_slot *)(void *)tk_stores_get(stores, id),
        facts));
    tk_arena_unref(arena);
}

static void
labels__are_the_stores_own(void **state)
{
    static const char *const first[] = { "zone", "z1", "host", "", NULL };
    static const char *const second[] = { "zone", "z2", NULL };
    static const struct tk_label z1 = { "zone", "z1" };
    static const struct tk_label both[] = { { "zone", "z1" },
                                            { "host", "" } };
    struct tk_stores *stores = new_table();
    struct tk_store *store = tk_stores_get(stores, 1);
    const struct tk_labels *seen;

    (void)state;
    assert_false(tk_store_has_labels(store, &z1, 1));
    assert_true(tk_store_has_labels(store, &z1, 0));
    take(stores, 1, first);
    assert_true(tk_store_has_labels(store, &z1, 1));
    assert_true(tk_store_has_labels(store, both, 2));
    assert_false(tk_store_has_labels(tk_stores_get(stores, 2), &z1, 1));
    /* The same again changes nothing, a new life does. */
    seen = atomic_load(&store->labels);
    take(stores, 1, first);
    assert_ptr_equal(atomic_load(&store->labels), seen);
    take(stores, 1, second);
    assert_false(tk_store_has_labels(store, &z1, 1));
    assert_ptr_equal(tk_stores_get(stores, 1), store);
    tk_stores_free(stores);
}

static void
store__of_columns_serves_nothing(void **state)
{
    static const char *const rows[][5] = {
        { "engine", "tiflash", NULL },
        { "zone", "z1", "engine", "tiflash_compute", NULL },
        { "engine", "tikv", NULL },
        { "zone", "tiflash", NULL },
        { NULL },
    };
    struct tk_stores *stores = new_table();
    uint64_t id;

    (void)state;
    for (id = 0; id < sizeof(rows) / sizeof(rows[0]); id++) {
        take(stores, id, rows[id]);
        assert_int_equal(tk_store_liveness(tk_stores_get(stores, id)),
                         id < 2 ? TK_DEAD : TK_ALIVE);
    }
    tk_stores_free(stores);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(slow__is_what_the_store_tells),
        harness_test(slow__news_that_come_too_often_are_dropped),
        harness_test(slow__is_what_either_side_says),
        harness_test(slow__is_what_takes_ever_longer),
        harness_test(slow__is_one_request_of_half_a_minute),
        harness_test(wait__runs_down),
        harness_test(labels__are_the_stores_own),
        harness_test(store__of_columns_serves_nothing),
    };

    return harness_run(tests);
}
