/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The conformance cases: what stores and members answer, each case run by
 * every way to them (fixture/way.h): N of `N passed` counts case and way. A
 * case is a script (fixture/script.h) or a function; a table for each area.
 *
 * timeout: 120
 */
#include "fixture/script.h"
#include "fixture/way.h"

#include "base/alloc.h"
#include "cluster/txn.h"

/* Most cases are their first three fields. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#include "cluster/cases_batch.h"
#include "cluster/cases_fault.h"
#include "cluster/cases_finish.h"
#include "cluster/cases_lock.h"
#include "cluster/cases_pd.h"
#include "cluster/cases_raw.h"
#include "cluster/cases_read.h"
#include "cluster/cases_region.h"
#include "cluster/cases_shared.h"
#include "cluster/cases_status.h"
#include "cluster/cases_write.h"

#define TABLE(cases)                                                           \
    {                                                                          \
        (cases), sizeof(cases) / sizeof((cases)[0])                            \
    }

static const struct {
    const struct script_case *cases;
    size_t count;
} tables[] = {
    TABLE(read_cases), TABLE(write_cases),  TABLE(finish_cases),
    TABLE(lock_cases), TABLE(status_cases), TABLE(shared_cases),
    TABLE(batch_cases), TABLE(raw_cases),
    TABLE(region_cases), TABLE(pd_cases),   TABLE(fault_cases),
};

static const struct fx_way *const ways[] = { &way_direct, &way_unary,
                                             &way_batch, &way_kept };

/* What the specification lists: a case for each number of a letter pair.
 * Areas that are being written may lack some, and say which. */
static const struct {
    const char *area;
    int last;
    bool is_growing;
} listed[] = {
    { "RD", 33, false }, { "PW", 25, false }, { "PL", 19, false },
    { "FL", 14, false }, { "PP", 13, false }, { "CM", 12, false },
    { "RB", 20, false }, { "CT", 23, false }, { "CS", 8, false },
    { "RS", 8, false },  { "SL", 4, false },  { "HB", 4, false },
    { "AC", 18, false }, { "FU", 12, false }, { "SH", 10, false },
    { "WQ", 18, false }, { "RW", 15, false }, { "RG", 17, false },
    { "PD", 12, false }, { "BC", 6, false },  { "FI", 6, false },
};

enum {
    TABLES = sizeof(tables) / sizeof(tables[0]),
    WAYS = sizeof(ways) / sizeof(ways[0]),
    AREAS = sizeof(listed) / sizeof(listed[0]),
    TESTS_MAX = 2000,
    STILL_MS = 20
};

struct run {
    const struct script_case *unit;
    const struct fx_way *way;
    char name[32];
};

static struct script script;
static int64_t blocks; /* before the case */

/* A connection that has just been made still has its beginnings freed. */
static void
come_to_rest(void)
{
    int still = way_rest() ? 0 : STILL_MS;

    while (still < STILL_MS) {
        int64_t live = tk_alloc_live();

        (void)way_pump(1);
        still = tk_alloc_live() == live ? still + 1 : 0;
    }
}

static int
before_case(void **state)
{
    (void)state;
    come_to_rest();
    blocks = tk_alloc_live();
    return 0;
}

static void
run_case(void **state)
{
    const struct run *run = *state;
    const char *wrong = script_run(&script, run->unit, run->way);

    if (wrong != NULL) {
        print_error("%s: %s\n%s\n", run->name, run->unit->about, wrong);
        fail();
    }
}

/* Servers let go of a call shortly after the client has its answer. */
static int
after_case(void **state)
{
    const struct run *run = *state;
    int patience = 2000;

    script_close(&script);
    come_to_rest();
    /* Fewer is no leak of this case: something older was let go late. */
    while (tk_alloc_live() > blocks && patience-- > 0) {
        (void)way_pump(1);
    }
    if (tk_alloc_live() > blocks) {
        print_error("%s: %lld blocks stay\n", run->name,
                    (long long)(tk_alloc_live() - blocks));
        return -1;
    }
    return 0;
}

/* ---- the tables hold what is listed, once ---- */

static size_t
count_of(const char *id)
{
    size_t found = 0;

    for (size_t t = 0; t < TABLES; t++) {
        for (size_t i = 0; i < tables[t].count; i++) {
            found += strcmp(tables[t].cases[i].id, id) == 0;
        }
    }
    return found;
}

static void
tables__hold_every_listed_case_once(void **state)
{
    size_t wrong = 0;
    char id[32];

    (void)state;
    for (size_t a = 0; a < AREAS; a++) {
        for (int n = 1; n <= listed[a].last; n++) {
            size_t found;

            (void)snprintf(id, sizeof(id), "%s%02d", listed[a].area, n);
            found = count_of(id);
            if (found == 0 && listed[a].is_growing) {
                print_message("# missing: %s\n", id);
            } else if (found != 1) {
                print_error("%s is there %zu times\n", id, found);
                wrong++;
            }
        }
    }
    assert_int_equal(wrong, 0);
}

/* ---- the program ---- */

static int
begin(void **state)
{
    (void)state;
    way_begin();
    return 0;
}

static int
end(void **state)
{
    (void)state;
    way_end();
    return 0;
}

static void
add_test(struct CMUnitTest *test, struct run *run,
         const struct script_case *unit, const struct fx_way *way)
{
    run->unit = unit;
    run->way = way;
    (void)snprintf(run->name, sizeof(run->name), "%s %s", unit->id,
                   way->name);
    test->name = run->name;
    test->test_func = run_case;
    test->setup_func = before_case;
    test->teardown_func = after_case;
    test->initial_state = run;
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
                assert_true(count < TESTS_MAX - 1);
                add_test(&tests[count], &runs[count], &tables[t].cases[i],
                         ways[w]);
                count++;
            }
        }
    }
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(
        tables__hold_every_listed_case_once);
    return _cmocka_run_group_tests(__FILE__, tests, count, begin, end);
}
