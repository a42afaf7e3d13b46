/* SPDX-License-Identifier: Apache-2.0 */
/* What the resolver remembers, and sets of timestamps. */
#include "harness/harness.h"

#include "txn/resolver.h"
#include "txn/status_cache.h"

static void
status_cache__forgets_the_oldest_first(void **state)
{
    struct tk_status_cache cache;
    uint64_t commit_ts;
    uint64_t i;

    (void)state;
    assert_true(tk_status_cache_init(&cache));
    for (i = 1; i <= TK_STATUS_CACHE_MAX + 100; i++) {
        assert_true(tk_status_cache_save(&cache, i, i % 2 == 0 ? 0 : i + 1));
        assert_true(tk_status_cache_find(&cache, i, &commit_ts));
    }
    for (i = 1; i <= 100; i++) {
        assert_false(tk_status_cache_find(&cache, i, &commit_ts));
    }
    for (i = 101; i <= TK_STATUS_CACHE_MAX + 100; i++) {
        assert_true(tk_status_cache_find(&cache, i, &commit_ts));
        assert_int_equal(commit_ts, i % 2 == 0 ? 0 : i + 1);
    }
    tk_status_cache_fini(&cache);
}

/* Lesson 26. */
static void
lesson_26__a_contradicting_status_is_refused(void **state)
{
    struct tk_status_cache cache;
    uint64_t commit_ts;

    (void)state;
    assert_true(tk_status_cache_init(&cache));
    assert_true(tk_status_cache_save(&cache, 10, 12));
    assert_true(tk_status_cache_save(&cache, 10, 12));
    assert_false(tk_status_cache_save(&cache, 10, 0));
    assert_false(tk_status_cache_save(&cache, 10, 13));
    assert_true(tk_status_cache_find(&cache, 10, &commit_ts));
    assert_int_equal(commit_ts, 12);
    assert_int_equal(cache.count, 1);
    tk_status_cache_fini(&cache);
}

static void
ts_set__is_sorted_and_has_no_doubles(void **state)
{
    struct tk_ts_set set = { NULL, 0, 0 };
    uint64_t i;

    (void)state;
    for (i = 0; i < 300; i++) {
        assert_true(tk_ts_set_add(&set, i * 7919 % 100));
    }
    assert_int_equal(set.count, 100);
    for (i = 0; i < 100; i++) {
        assert_int_equal(set.data[i], i);
        assert_true(tk_ts_set_has(&set, i));
    }
    assert_false(tk_ts_set_has(&set, 100));
    tk_ts_set_fini(&set);
    assert_false(tk_ts_set_has(&set, 1));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(status_cache__forgets_the_oldest_first),
        harness_test(lesson_26__a_contradicting_status_is_refused),
        harness_test(ts_set__is_sorted_and_has_no_doubles),
    };

    return harness_run(tests);
}
