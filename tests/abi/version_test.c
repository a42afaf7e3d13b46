/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The version is told in several forms by one header; they must agree.
 */
#include "harness/harness.h"

#include <tikv/version.h>

static void
version__is_the_same_in_every_form(void **state)
{
    char text[64];

    (void)state;
    snprintf(text, sizeof(text), "%d.%d.%d", TIKV_VERSION_MAJOR,
             TIKV_VERSION_MINOR, TIKV_VERSION_PATCH);
    assert_string_equal(text, TIKV_VERSION_STRING);
    assert_string_equal(text, tikv_version_string());
    assert_int_equal(tikv_version_number(), TIKV_VERSION_NUMBER);
    assert_int_equal(TIKV_VERSION_NUMBER,
                     TIKV_VERSION_MAJOR * 1000000 + TIKV_VERSION_MINOR * 1000 +
                         TIKV_VERSION_PATCH);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(version__is_the_same_in_every_form),
    };
    return harness_run(tests);
}
