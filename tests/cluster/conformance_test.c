/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance cases: what a store answers to transactional requests, one
 * script a case (fixture/script.h). Here they run directly on the core.
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

enum { TABLES = sizeof(tables) / sizeof(tables[0]), TESTS_MAX = 400 };

static void
run_case(void **state)
{
    const struct script_case *unit = *state;
    int64_t before = tk_alloc_live();
    const char *wrong = script_run(unit, script_direct);

    if (wrong != NULL) {
        print_error("%s: %s\n%s\n", unit->id, unit->about, wrong);
        fail();
    }
    assert_int_equal(tk_alloc_live(), before);
}

int
main(void)
{
    static struct CMUnitTest tests[TESTS_MAX];
    size_t count = 0;

    for (size_t t = 0; t < TABLES; t++) {
        for (size_t i = 0; i < tables[t].count; i++) {
            const struct script_case *unit = &tables[t].cases[i];

            assert_true(count < TESTS_MAX);
            tests[count].name = unit->id;
            tests[count].test_func = run_case;
            memcpy(&tests[count].initial_state, &unit, sizeof(unit));
            count++;
        }
    }
    return _cmocka_run_group_tests(__FILE__, tests, count, NULL, NULL);
}
