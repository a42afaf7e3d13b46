/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that is sick in the way that SICK in its environment says;
 * harness.t proves that each way is told. timeout: 3
 */
#include "harness/harness.h"

#include <signal.h>
#include <unistd.h>

static int64_t blocks;

/* Stands for the library's count of living blocks. */
int64_t
tk_alloc_live(void);

int64_t
tk_alloc_live(void)
{
    return blocks;
}

static void
sick__or_well(void **state)
{
    const char *how = getenv("SICK");

    (void)state;
    if (strcmp(how, "fails") == 0) {
        assert_int_equal(1, 2);
    } else if (strcmp(how, "hangs") == 0) {
        pause();
    } else if (strcmp(how, "leaks") == 0) {
        blocks++;
    } else if (strcmp(how, "dies") == 0) {
        _exit(0);
    } else if (strcmp(how, "crashes") == 0) {
        raise(SIGSEGV);
    } else if (strcmp(how, "skips") == 0) {
        harness_need("TK_NOBODY_SETS_THIS");
    }
}

static void
sick__is_well_otherwise(void **state)
{
    (void)state;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(sick__or_well),
        harness_test(sick__is_well_otherwise),
    };
    return harness_run(tests);
}
