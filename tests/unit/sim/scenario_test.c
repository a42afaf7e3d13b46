/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timeout: 120
 *
 * Whole worlds: the client keeps its promises under faults, a seed repeats
 * itself whatever ran before it, and the faults do happen.
 */
#include "harness/harness.h"

#include "sim/scenario.h"

static void
run(uint64_t seed, struct tk_scenario_result *result)
{
    struct tk_scenario_options options = { .seed = seed };

    tk_scenario_run(&options, result);
    if (!result->passed) {
        tk_buf_append(&result->report, "", 1);
        print_message("seed %u:\n%s\n", (unsigned)seed,
                      (const char *)result->report.data);
    }
    assert_true(result->passed);
}

static void
scenario__keeps_the_promises(void **state)
{
    struct tk_scenario_counts sum = { 0 };
    uint64_t seed;
    size_t i;

    (void)state;
    for (seed = 1; seed <= 40; seed++) {
        struct tk_scenario_result result;

        run(seed, &result);
        tk_scenario_add(&sum, &result.counts);
        tk_scenario_fini(&result);
    }
    assert_int_equal(sum.closes, 10);
    assert_true(sum.ok > sum.operations / 2);
    assert_true(sum.undetermined > 40);
    assert_true(sum.swaps > 100);
    assert_true(sum.again > 100);
    assert_true(sum.faults > 100);
    for (i = 0; i < TK_DEEDS; i++) {
        assert_true(sum.deeds[i] > 0);
    }
}

static void
scenario__repeats_itself_whatever_ran_before(void **state)
{
    uint64_t hashes[8];
    uint64_t seed;

    (void)state;
    for (seed = 0; seed < 16; seed++) {
        uint64_t place = seed < 8 ? seed : 15 - seed;
        struct tk_scenario_result result;

        run(100 + place, &result);
        if (seed < 8) {
            hashes[place] = result.hash;
        }
        assert_true(hashes[place] == result.hash);
        tk_scenario_fini(&result);
    }
    assert_true(hashes[0] != hashes[1]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(scenario__keeps_the_promises),
        harness_test(scenario__repeats_itself_whatever_ran_before),
    };

    return harness_run(tests);
}
