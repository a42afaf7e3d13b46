/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making errors. An error belongs to whoever holds it; it is passed up or
 * freed, never dropped. The immortal ones (memory, cancelled, timeout,
 * closed, forked) cost no allocation, and setters leave them alone: a call
 * that wants facts in its timeout makes a fresh one with tk_error().
 */
#ifndef TK_BASE_ERROR_H
#define TK_BASE_ERROR_H

#include <tikv/error.h>

#include "base/spent.h"

/* Never NULL: where memory ends it is the immortal memory error. */
tikv_error *
tk_error(tikv_code code, const char *format, ...)
    __attribute__((format(printf, 2, 3), warn_unused_result));

/* MEMORY, CANCELLED, TIMEOUT, CLOSED, FORKED. */
tikv_error *
tk_error_immortal(tikv_code code) __attribute__((warn_unused_result));

bool
tk_error_is_immortal(const tikv_error *error);

/* Prefixes the message: "context: message". Takes and returns the error; an
 * immortal one is replaced by a mortal one of the same code. */
tikv_error *
tk_error_wrap(tikv_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3), warn_unused_result));

/* Another error with the same facts and another code; takes `error`. */
tikv_error *
tk_error_recode(tikv_error *error, tikv_code code)
    __attribute__((warn_unused_result));

/* The same error, or in place of an immortal one a mortal of its code. */
tikv_error *
tk_error_mortal(tikv_error *error) __attribute__((warn_unused_result));

tikv_error *
tk_error_copy(const tikv_error *error) __attribute__((warn_unused_result));

void
tk_error_set_u64(tikv_error *error, tikv_error_field field, uint64_t number);

/* Copies `key`; without memory the key stays absent. */
void
tk_error_set_key(tikv_error *error, tikv_slice key);

/* TIKV_ERROR_KEY, _PRIMARY or _LOCK_KEY; as above. */
void
tk_error_set_bytes(tikv_error *error, tikv_error_field field,
                   tikv_slice bytes);

/* One more edge of a deadlock; without memory it is left out. */
void
tk_error_add_wait(tikv_error *error, uint64_t txn, uint64_t wait_for_txn,
                  tikv_slice key);

void
tk_error_set_backoff(tikv_error *error, enum tk_backoff_kind kind,
                     uint64_t slept_ms);

/* The account of the call that ends with it. */
void
tk_error_set_spent(tikv_error *error, const struct tk_spent *spent);

/* Copies `count` outcomes. False without memory: the error has none then. */
bool
tk_error_set_outcomes(tikv_error *error, const tikv_key_outcome *outcomes,
                      size_t count);

/* Established name of a kind, "regionMiss". */
const char *
tk_backoff_name(enum tk_backoff_kind kind);

#endif
