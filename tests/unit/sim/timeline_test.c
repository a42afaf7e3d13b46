/* SPDX-License-Identifier: Apache-2.0 */
/* Records that fit their timestamps, and records that do not; timestamps that
 * grow, and those that do not; ends of transactions. */
#include "harness/harness.h"

#include "exec/runtime.h"
#include "sim/timeline.h"
#include "unit/sim/record_text.h"

struct line {
    enum tk_sim_outcome outcome;
    uint64_t start_ts;
    uint64_t commit_ts;
    const char *steps;
};

static struct tk_timeline_report report;

static enum tk_timeline_fault
check(const struct line *lines, size_t count)
{
    enum tk_timeline_fault fault;
    struct tk_record record;
    size_t i;

    tk_record_init(&record);
    for (i = 0; i < count; i++) {
        text_txn(&record, lines[i].outcome, 0, 0, lines[i].start_ts,
                 lines[i].commit_ts, lines[i].steps);
    }
    fault = tk_timeline_check(&record, &report);
    tk_record_fini(&record);
    return fault;
}

#define CHECK(...)                                                             \
    check((const struct line[]){ __VA_ARGS__ },                                \
          sizeof((const struct line[]){ __VA_ARGS__ }) / sizeof(struct line))

static void
timeline__takes_reads_of_their_moment(void **state)
{
    (void)state;
    assert_int_equal(
        CHECK({ TK_SIM_OK, 1, 5, "0:+1" }, { TK_SIM_OK, 7, 9, "0:1+2" },
              { TK_SIM_OK, 4, 0, "0:" }, { TK_SIM_OK, 5, 0, "0:1" },
              { TK_SIM_FAILED, 8, 0, "0:1+3" }, { TK_SIM_OK, 10, 0, "0:2" },
              { TK_SIM_OK, 11, 12, "0:2+4 0:2,4+5 0:2,4,5" },
              { TK_SIM_OK, 20, 0, "0:2,4,5 1:" }),
        TK_TIMELINE_FITS);
    assert_int_equal(report.versions, 3);
    assert_int_equal(report.reads, 9);
}

static void
timeline__refutes_reads_of_another_moment(void **state)
{
    (void)state;
    assert_int_equal(
        CHECK({ TK_SIM_OK, 1, 5, "0:+1" }, { TK_SIM_OK, 6, 0, "0:" }),
        TK_TIMELINE_READ);
    assert_int_equal(report.txn, 1);
    assert_int_equal(report.other, 0);
    assert_int_equal(report.expected, 1);
    assert_int_equal(report.found, 0);
    assert_int_equal(
        CHECK({ TK_SIM_OK, 1, 5, "0:+1" }, { TK_SIM_OK, 4, 0, "0:1" }),
        TK_TIMELINE_READ);
    assert_int_equal(
        CHECK({ TK_SIM_FAILED, 1, 0, "0:+1" }, { TK_SIM_OK, 4, 0, "0:1" }),
        TK_TIMELINE_READ);
}

static void
timeline__refutes_writers_that_overlap(void **state)
{
    (void)state;
    assert_int_equal(
        CHECK({ TK_SIM_OK, 1, 5, "0:+1" }, { TK_SIM_OK, 4, 9, "0:+2" }),
        TK_TIMELINE_WRITE);
    assert_int_equal(report.txn, 1);
    assert_int_equal(report.other, 0);
    assert_int_equal(
        CHECK({ TK_SIM_OK, 1, 5, "0:+1" }, { TK_SIM_OK, 4, 9, "1:+2" }),
        TK_TIMELINE_FITS);
}

static void
timeline__lets_doubts_be_read_or_not(void **state)
{
    (void)state;
    assert_int_equal(CHECK({ TK_SIM_UNDETERMINED, 1, 0, "0:+1" },
                           { TK_SIM_OK, 4, 0, "0:1" },
                           { TK_SIM_OK, 4, 0, "0:" }),
                     TK_TIMELINE_FITS);
}

struct moment {
    int64_t invoked;
    int64_t asked;
    int64_t returned;
    uint64_t commit_ts;
    bool is_causal;
};

/* Two commits that have no key in common. */
static enum tk_timeline_fault
check_order(const struct moment *early, const struct moment *late)
{
    const struct moment *moments[] = { late, early };
    enum tk_timeline_fault fault;
    struct tk_record record;
    uint32_t i;

    tk_record_init(&record);
    for (i = 0; i < 2; i++) {
        uint32_t txn = text_txn(&record, TK_SIM_OK, moments[i]->invoked,
                                moments[i]->returned, 1, moments[i]->commit_ts,
                                i == 0 ? "0:+1" : "1:+2");

        record.txns[txn].asked = moments[i]->asked;
        record.txns[txn].is_causal = moments[i]->is_causal;
    }
    fault = tk_timeline_check(&record, &report);
    tk_record_fini(&record);
    return fault;
}

static void
timeline__refutes_commits_against_time(void **state)
{
    struct moment early = { 10, 12, 20, 7, false };
    struct moment late = { 5, 21, 30, 6, false };

    (void)state;
    assert_int_equal(check_order(&early, &late), TK_TIMELINE_ORDER);
    assert_int_equal(report.txn, 0);
    assert_int_equal(report.other, 1);
    late.is_causal = true;
    assert_int_equal(check_order(&early, &late), TK_TIMELINE_FITS);
    late.is_causal = false;
    early.is_causal = true;
    assert_int_equal(check_order(&early, &late), TK_TIMELINE_ORDER);
    late.commit_ts = 7;
    assert_int_equal(check_order(&early, &late), TK_TIMELINE_FITS);
    late.commit_ts = 6;
    late.asked = 20;
    assert_int_equal(check_order(&early, &late), TK_TIMELINE_FITS);
    late.asked = 0;
    assert_int_equal(check_order(&early, &late), TK_TIMELINE_FITS);
}

static void
timeline__takes_an_insert_for_a_look(void **state)
{
    struct tk_record record;
    uint32_t txn;

    (void)state;
    tk_record_init(&record);
    text_txn(&record, TK_SIM_OK, 0, 1, 1, 5, "0:+1");
    txn = text_txn(&record, TK_SIM_OK, 2, 3, 6, 9, "0:+2");
    record.steps[record.txns[txn].first].is_blind = true;
    assert_int_equal(tk_timeline_check(&record, &report), TK_TIMELINE_FITS);
    record.steps[record.txns[txn].first].is_insert = true;
    assert_int_equal(tk_timeline_check(&record, &report), TK_TIMELINE_READ);
    assert_int_equal(report.expected, 1);
    record.txns[txn].outcome = TK_SIM_FAILED;
    assert_int_equal(tk_timeline_check(&record, &report), TK_TIMELINE_FITS);
    tk_record_fini(&record);
}

static void
stamps__grow_with_time(void **state)
{
    struct tk_stamp good[] = {
        { 0, 5, 10 }, { 3, 8, 7 }, { 6, 9, 11 }, { 4, 20, 30 }, { 10, 11, 12 },
    };
    struct tk_stamp late[] = { { 0, 5, 10 }, { 6, 9, 9 } };
    struct tk_stamp twice[] = { { 0, 5, 10 }, { 3, 9, 10 } };

    (void)state;
    assert_int_equal(tk_stamps_check(good, 5), 5);
    assert_int_equal(tk_stamps_check(late, 2), 1);
    assert_int_equal(late[1].ts, 10);
    assert_int_equal(tk_stamps_check(twice, 2), 1);
    assert_int_equal(tk_stamps_check(NULL, 0), 0);
}

static void
record__holds_ends_to_their_rules(void **state)
{
    struct tk_record record;
    const char *why = NULL;
    uint32_t txn;

    (void)state;
    tk_record_init(&record);
    txn = text_txn(&record, TK_SIM_OK, 0, 9, 3, 7, "0:+1");
    assert_int_equal(tk_record_rules(&record, 0, &why), TK_SIM_NONE);
    record.txns[txn].returned = 12;
    assert_int_equal(tk_record_rules(&record, 3, &why), TK_SIM_NONE);
    assert_int_equal(tk_record_rules(&record, 2, &why), txn);
    record.txns[txn].deadline = TK_NEVER;
    assert_int_equal(tk_record_rules(&record, 2, &why), TK_SIM_NONE);
    record.txns[txn].start_ts = 7;
    assert_int_equal(tk_record_rules(&record, 2, &why), txn);
    record.txns[txn].start_ts = 3;
    tk_record_end(&record, txn, 13, TK_SIM_FAILED, 0);
    assert_int_equal(tk_record_rules(&record, 9, &why), txn);
    assert_int_equal(record.txns[txn].outcome, TK_SIM_OK);
    record.txns[txn].ends = 1;
    txn = tk_record_begin(&record, 0, 0, 5);
    assert_int_equal(tk_record_rules(&record, 9, &why), txn);
    tk_record_fini(&record);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(timeline__takes_reads_of_their_moment),
        harness_test(timeline__refutes_reads_of_another_moment),
        harness_test(timeline__refutes_writers_that_overlap),
        harness_test(timeline__lets_doubts_be_read_or_not),
        harness_test(timeline__refutes_commits_against_time),
        harness_test(timeline__takes_an_insert_for_a_look),
        harness_test(stamps__grow_with_time),
        harness_test(record__holds_ends_to_their_rules),
    };

    return harness_run(tests);
}
