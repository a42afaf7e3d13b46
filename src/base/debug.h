/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Assertions of debug builds (TK_DEBUG): they name a broken rule of the
 * library itself and abort. Release builds never abort; the condition is not
 * evaluated there.
 */
#ifndef TK_BASE_DEBUG_H
#define TK_BASE_DEBUG_H

#ifdef TK_DEBUG
#include <stdio.h>
#include <stdlib.h>
#define TK_ASSERT(condition, rule)                                             \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fputs("libtikv: " rule "\n", stderr);                              \
            abort();                                                           \
        }                                                                      \
    } while (0)
#else
#define TK_ASSERT(condition, rule)                                             \
    do {                                                                       \
        (void)sizeof(condition);                                               \
    } while (0)
#endif

#endif
