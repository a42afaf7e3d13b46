/* SPDX-License-Identifier: Apache-2.0 */
/* A number that changes in a forked child: a handle keeps the one it was
 * opened with, each entry compares (one relaxed load). */
#ifndef TK_EXEC_FORK_H
#define TK_EXEC_FORK_H

#include <stdint.h>

/* Registers the handler at the first call. */
uint32_t
tk_fork_number(void);

#endif
