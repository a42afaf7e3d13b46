/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance cases: what a store answers to transactional requests, one
 * script a case (fixture/script.h), each run by every way into the core.
 */
#include "fixture/script.h"

#include "base/alloc.h"

#include "cluster/cases_finish.h"
#include "cluster/cases_lock.h"
#include "cluster/cases_read.h"
#include "cluster/cases_status.h"
#include "cluster/cases_write.h"

static const struct {
    const struct script_case *cases;
    size_t count;
} tables[] = {
    { read_cases, sizeof(read_cases) / sizeof(read_cases[0]) },
    { write_cases, sizeof(write_cases) / sizeof(write_cases[0]) },
    { finish_cases, sizeof(finish_cases) / sizeof(finish_cases[0]) },
    { lock_cases, sizeof(lock_cases) / sizeof(lock_cases[0]) },
    { status_cases, sizeof(status_cases) / sizeof(status_cases[0]) },
};

enum { TABLES = sizeof(tables) / sizeof(tables[0]), TESTS_MAX = 1200 };

static const struct {
    const char *name;
    script_way *way;
} ways[] = { { "direct", script_direct }, { "batch", script_batch } };

enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

struct run {
    const struct script_case *unit;
    script_way *way;
    char name[32];
};

static void
run_case(void **state)
{
    const struct run *run = *state;
    const struct script_case *unit = run->unit;
    int64_t before = tk_alloc_live();
    const char *wrong = script_run(unit, run->way);

    if (wrong != NULL) {
        print_error("%s: %s\n%s\n", run->name, unit->about, wrong);
        fail();
    }
    assert_int_equal(tk_alloc_live(), before);
}

int
main(void)
{
    static struct CMUnitTest tests[TESTS_MAX];
    static struct run runs[TESTS_MAX];
    size_t count = 0;

    for (size_t w = 0; w < WAYS; w++) {
        for (size_t t = 0; t < TABLES; t++) {
            for (size_t i = 0; i < tables[t].count; i++) {
                struct run *run = &runs[count];

                assert_true(count < TESTS_MAX);
                run->unit = &tables[t].cases[i];
                run->way = ways[w].way;
                (void)snprintf(run->name, sizeof(run->name), "%s %s",
                               run->unit->id, ways[w].name);
                tests[count].name = run->name;
                tests[count].test_func = run_case;
                tests[count].initial_state = run;
                count++;
            }
        }
    }
    return _cmocka_run_group_tests(__FILE__, tests, count, NULL, NULL);
}
