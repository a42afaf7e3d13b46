/* SPDX-License-Identifier: Apache-2.0 */
/* A slice of `make leaders`: PD's leader killed again and again while callers
 * ask for timestamps. timeout: 180 */
#include "harness/harness.h"

#include "fixture/leaders.h"

static void
kill_leaders(uint64_t seed, const char *const *settings)
{
    const struct leaders_plan plan = { .kills = 15,
                                       .threads = 3,
                                       .outstanding = 32,
                                       .timeout_ms = 10000,
                                       .slack_ms = 2000 * harness_stretch(),
                                       .seed = seed,
                                       .settings = settings };
    struct leaders_result result;

    assert_true(leaders_run(&plan, &result));
    if (!leaders_held(&result)) {
        print_error("errors %llu, late %llu, backward %llu, twice %llu: %s\n",
                    (unsigned long long)result.errors,
                    (unsigned long long)result.late,
                    (unsigned long long)result.backward,
                    (unsigned long long)result.twice, result.complaint);
    }
    assert_true(leaders_held(&result));
    assert_int_equal(result.kills, 15);
    assert_true(result.timestamps > 0);
}

static void
lesson_134__no_request_outlives_a_killed_leader(void **state)
{
    static const char *const many[] = { "tso.inflight_count", "4", NULL };

    (void)state;
    kill_leaders(1, NULL);
    kill_leaders(2, many);
}

static void
lesson_135__nor_when_followers_pass_requests_on(void **state)
{
    static const char *const proxy[] = { "tso.follower_proxy", "true", NULL };
    static const char *const both[] = { "tso.follower_proxy", "true",
                                        "tso.inflight_count", "4", NULL };

    (void)state;
    kill_leaders(3, proxy);
    kill_leaders(4, both);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(lesson_134__no_request_outlives_a_killed_leader),
        harness_test(lesson_135__nor_when_followers_pass_requests_on),
    };

    return harness_run(tests);
}
