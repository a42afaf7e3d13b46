/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The version of the library that runs. No state; callable at any time.
 */
#include <tikv/version.h>

uint32_t
tikv_version_number(void)
{
    return TIKV_VERSION_NUMBER;
}

const char *
tikv_version_string(void)
{
    return TIKV_VERSION_STRING;
}
