/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the options of a call: the sizes of caller and library may differ,
 * and what the library does not know must be zero. */
#ifndef TK_BASE_CALL_H
#define TK_BASE_CALL_H

#include <tikv/error.h>

/* Checks an options struct that begins with a tikv_call and copies what both
 * sides know of it into `copy`, `known_size` bytes, the rest of which becomes
 * zero and whose call has `known_size` as its size. NULL `options` are all
 * defaults. ARGUMENT leaves `copy` undefined. */
tikv_error *
tk_options_read(const void *options, size_t known_size, void *copy)
    __attribute__((warn_unused_result));

/* A call that a function takes alone: with or without an account. `call` has
 * its own size afterwards. */
tikv_error *
tk_call_read(const tikv_call *options, tikv_call *call, tikv_details **details)
    __attribute__((warn_unused_result));

/* The check alone. */
tikv_error *
tk_call_check(const void *options, size_t known_size)
    __attribute__((warn_unused_result));

#endif
