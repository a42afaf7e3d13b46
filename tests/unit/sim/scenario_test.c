/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timeout: 120
 *
 * Whole worlds: the client keeps its promises under faults, a seed repeats
 * itself whatever ran before it, and the faults do happen.
 */
#include "harness/harness.h"

#include <string.h>

#include <tikv/txn.h>

#include "sim/scenario.h"

static void
run(enum tk_sim_workload workload, uint64_t seed,
    struct tk_scenario_result *result)
{
    struct tk_scenario_options options = { .seed = seed, .workload = workload };

    tk_scenario_run(&options, result);
    if (!result->passed) {
        tk_buf_append(&result->report, "", 1);
        print_message("%s, seed %u:\n%s\n", tk_sim_workload_names[workload],
                      (unsigned)seed, (const char *)result->report.data);
    }
    assert_true(result->passed);
}

static void
run_some(enum tk_sim_workload workload, uint64_t first, uint64_t count,
         struct tk_scenario_counts *sum)
{
    uint64_t i;

    memset(sum, 0, sizeof(*sum));
    for (i = 0; i < count; i++) {
        struct tk_scenario_result result;

        run(workload, first + i, &result);
        tk_scenario_add(sum, &result.counts);
        tk_scenario_fini(&result);
    }
}

static void
scenario__raw_commands_keep_their_promises(void **state)
{
    struct tk_scenario_counts sum;
    size_t i;

    (void)state;
    run_some(TK_WORKLOAD_RAW, 1, 40, &sum);
    assert_int_equal(sum.closes, 10);
    assert_true(sum.ok > sum.operations / 2);
    assert_true(sum.undetermined > 40);
    assert_true(sum.swaps > 100);
    assert_true(sum.again > 100);
    assert_true(sum.faults > 100);
    for (i = 0; i < TK_DEEDS; i++) {
        assert_int_equal(sum.deeds[i] > 0, i != TK_DEED_DEATH);
    }
}

static void
check_txns(const struct tk_scenario_counts *sum)
{
    size_t i;

    assert_true(sum->ok > sum->operations / 2);
    assert_true(sum->undetermined > 10);
    assert_int_equal(sum->decided, sum->undetermined);
    assert_true(sum->happened > 0 && sum->happened < sum->decided);
    assert_true(sum->modes[TIKV_MODE_2PC] > 50);
    assert_true(sum->modes[TIKV_MODE_ASYNC] > 50);
    assert_true(sum->modes[TIKV_MODE_1PC] > 50);
    for (i = 0; i < TK_DEEDS; i++) {
        assert_true(sum->deeds[i] > 0);
    }
}

/* Kills, partitions (messages that are lost for a while), a PD without its
 * leader or members, splits, merges, moved leaders: the schedules by which
 * async commit with retries lost writes elsewhere. */
static void
lesson_24__appends_and_transfers_survive_every_schedule(void **state)
{
    struct tk_scenario_counts sum;

    (void)state;
    run_some(TK_WORKLOAD_APPEND, 1, 16, &sum);
    check_txns(&sum);
    assert_int_equal(sum.histories, 16);
    run_some(TK_WORKLOAD_BANK, 1, 16, &sum);
    check_txns(&sum);
    assert_true(sum.histories > 100);
}

static void
scenario__registers_are_linearizable_and_timestamps_grow(void **state)
{
    struct tk_scenario_counts sum;

    (void)state;
    run_some(TK_WORKLOAD_REGISTER, 1, 16, &sum);
    check_txns(&sum);
    assert_true(sum.past > 100);
    assert_true(sum.stamps > 100);
}

static void
scenario__write_skew_is_found_unless_guarded(void **state)
{
    struct tk_scenario_counts sum;

    (void)state;
    run_some(TK_WORKLOAD_SKEW, 1, 16, &sum);
    check_txns(&sum);
    assert_int_equal(sum.guarded, 8);
    assert_true(sum.skews > 0 && sum.skews <= 8);
}

/* Six ways to commit, each cut at every message. */
static void
scenario__a_client_may_die_between_any_two_messages(void **state)
{
    struct tk_scenario_counts sum;

    (void)state;
    run_some(TK_WORKLOAD_DEATH, 0, 12, &sum);
    assert_true(sum.deeds[TK_DEED_DEATH] > 60);
    assert_true(sum.undetermined > 5);
    assert_int_equal(sum.decided, sum.undetermined);
    assert_true(sum.ok > 10 && sum.failed > 10);
    assert_true(sum.modes[TIKV_MODE_2PC] > 0);
    assert_true(sum.modes[TIKV_MODE_ASYNC] > 0);
    assert_true(sum.modes[TIKV_MODE_1PC] > 0);
}

static void
scenario__repeats_itself_whatever_ran_before(void **state)
{
    uint64_t hashes[2 * TK_WORKLOADS];
    uint64_t i;

    (void)state;
    for (i = 0; i < 4 * TK_WORKLOADS; i++) {
        uint64_t place = i < 2 * TK_WORKLOADS ? i : 4 * TK_WORKLOADS - 1 - i;
        struct tk_scenario_result result;

        run((enum tk_sim_workload)(place % TK_WORKLOADS), 100 + place, &result);
        if (i < 2 * TK_WORKLOADS) {
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
        harness_test(scenario__raw_commands_keep_their_promises),
        harness_test(lesson_24__appends_and_transfers_survive_every_schedule),
        harness_test(scenario__registers_are_linearizable_and_timestamps_grow),
        harness_test(scenario__write_skew_is_found_unless_guarded),
        harness_test(scenario__a_client_may_die_between_any_two_messages),
        harness_test(scenario__repeats_itself_whatever_ran_before),
    };

    return harness_run(tests);
}
