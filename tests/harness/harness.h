/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What cmocka lacks: a test that leaves blocks of tk_alloc behind fails, a
 * test that hangs says where before the runner ends it, a function filter
 * for `make check T=file.function*`, and a way to say what a test needs.
 *
 * A test file is one program:
 *
 *     #include "harness/harness.h"
 *
 *     static void
 *     slice__equals_itself(void **state) { ... }
 *
 *     int
 *     main(void)
 *     {
 *         const struct CMUnitTest tests[] = {
 *             harness_test(slice__equals_itself),
 *         };
 *         return harness_run(tests);
 *     }
 *
 * A line "timeout: 120" in a comment among the first twenty of the file
 * gives it more than the usual 60 seconds; instruments stretch that.
 */
#ifndef TK_HARNESS_H
#define TK_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A test that must free all it takes from tk_alloc. */
#define harness_test(function)                                                 \
    cmocka_unit_test_setup_teardown(function, harness_leak_begin,              \
                                    harness_leak_end)

#define harness_run(tests)                                                     \
    cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL)

/* For tests with fixtures of their own: call first in setup, last in
 * teardown. Both return what cmocka's setup and teardown return. */
int
harness_leak_begin(void **state);

int
harness_leak_end(void **state);

/* Skips the running test, and says so, where the environment variable is
 * absent; gives its value otherwise. */
const char *
harness_need(const char *variable);

/* How much slower this build is than a plain one: limits of time inside a
 * test are multiplied by it. */
unsigned
harness_stretch(void);

#endif
