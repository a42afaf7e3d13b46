/* SPDX-License-Identifier: Apache-2.0 */
/* The adaptive interval, by a clock of the test's. */
#include "harness/harness.h"

#include "pd/interval.h"

enum { MINUTE = 60000 };

static void
interval__shrinks_for_short_reads_and_recovers(void **state)
{
    struct tk_interval interval = { 0 };
    int64_t now = 10 * MINUTE;

    (void)state;
    assert_false(tk_interval_configure(&interval, 2000));
    assert_int_equal(interval.state, TK_INTERVAL_NORMAL);

    /* Data older than the interval needs nothing. */
    assert_false(tk_interval_read(&interval, 3000, now));
    tk_interval_tick(&interval, now);
    assert_int_equal(interval.current_ms, 2000);

    assert_true(tk_interval_read(&interval, 1000, now));
    assert_int_equal(interval.current_ms, 900);
    assert_int_equal(interval.state, TK_INTERVAL_ADAPTING);
    /* The same wish again: nothing to do. */
    assert_false(tk_interval_read(&interval, 1000, now));

    now += 5 * MINUTE - 1;
    tk_interval_tick(&interval, now);
    assert_int_equal(interval.state, TK_INTERVAL_ADAPTING);
    now += 1;
    tk_interval_tick(&interval, now);
    assert_int_equal(interval.state, TK_INTERVAL_RECOVERING);
    assert_int_equal(interval.current_ms, 900);
    now += 1000;
    tk_interval_tick(&interval, now);
    assert_int_equal(interval.current_ms, 920);
    now += 2000;
    tk_interval_tick(&interval, now);
    assert_int_equal(interval.current_ms, 960);

    /* A read close above the interval holds it where it is. */
    assert_false(tk_interval_read(&interval, 1160, now));
    assert_int_equal(interval.state, TK_INTERVAL_ADAPTING);
    now += 1000;
    tk_interval_tick(&interval, now);
    assert_int_equal(interval.current_ms, 960);
    now += 5 * MINUTE;
    tk_interval_tick(&interval, now);
    /* One a little older does not. */
    assert_false(tk_interval_read(&interval, 1161, now));
    assert_int_equal(interval.state, TK_INTERVAL_RECOVERING);
    now += 51900;
    tk_interval_tick(&interval, now);
    assert_int_equal(interval.current_ms, 1998);
    assert_int_equal(interval.state, TK_INTERVAL_RECOVERING);
    now += 1000;
    tk_interval_tick(&interval, now);
    assert_int_equal(interval.current_ms, 2000);
    assert_int_equal(interval.state, TK_INTERVAL_NORMAL);
}

static void
interval__has_a_least(void **state)
{
    struct tk_interval interval = { 0 };

    (void)state;
    tk_interval_configure(&interval, 2000);
    assert_true(tk_interval_read(&interval, 520, 0));
    assert_int_equal(interval.current_ms, 500);
    assert_false(tk_interval_read(&interval, 0, 0));
    assert_int_equal(interval.current_ms, 500);
    /* A read of the future is as young as can be. */
    tk_interval_configure(&interval, 400);
    tk_interval_configure(&interval, 3000);
    assert_true(tk_interval_read(&interval, -5, 0));
    assert_int_equal(interval.current_ms, 500);
}

static void
interval__follows_the_setting(void **state)
{
    struct tk_interval interval = { 0 };

    (void)state;
    tk_interval_configure(&interval, 2000);
    /* At once while normal, both ways. */
    assert_false(tk_interval_configure(&interval, 3000));
    assert_int_equal(interval.current_ms, 3000);
    assert_true(tk_interval_configure(&interval, 1500));
    assert_int_equal(interval.current_ms, 1500);

    /* While short only to become shorter. */
    tk_interval_read(&interval, 1000, 0);
    assert_false(tk_interval_configure(&interval, 4000));
    assert_int_equal(interval.current_ms, 900);
    assert_int_equal(interval.state, TK_INTERVAL_ADAPTING);
    assert_true(tk_interval_configure(&interval, 800));
    assert_int_equal(interval.current_ms, 800);
    assert_int_equal(interval.state, TK_INTERVAL_NORMAL);

    /* A short one is never adjusted. */
    assert_true(tk_interval_configure(&interval, 500));
    assert_int_equal(interval.state, TK_INTERVAL_FIXED);
    assert_false(tk_interval_read(&interval, 100, 0));
    assert_int_equal(interval.current_ms, 500);
    tk_interval_tick(&interval, 10 * MINUTE);
    assert_int_equal(interval.current_ms, 500);
    assert_false(tk_interval_configure(&interval, 2000));
    assert_int_equal(interval.state, TK_INTERVAL_NORMAL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(interval__shrinks_for_short_reads_and_recovers),
        harness_test(interval__has_a_least),
        harness_test(interval__follows_the_setting),
    };

    return harness_run(tests);
}
