/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys in texts that leave the library: messages of errors, lines of the log.
 * One mode for the process, log.redact:
 *
 *     ON      keys of ours are a length and a hash, so that two texts about
 *             one key can be matched and none can be read; in texts of servers
 *             what may be a key is "?"
 *     OFF     keys are in upper-case hex, texts of servers as they came
 *     MARKER  as OFF, with what ON would hide between the marks U+2039 and
 *             U+203A, for tools that hide it later
 *
 * The facts of an error (tikv_error_key) are for the program and never hidden.
 */
#ifndef TK_BASE_REDACT_H
#define TK_BASE_REDACT_H

#include <stddef.h>

#include <tikv/error.h>

/* In the order of the words of log.redact. */
enum tk_redact { TK_REDACT_ON, TK_REDACT_OFF, TK_REDACT_MARKER };

void
tk_redact_set(enum tk_redact mode);

/* A key of ours as text; cut at `size`. Returns `buffer`. */
const char *
tk_redact_key(tikv_slice key, char *buffer, size_t size);

/* What a server said, which may name keys: quoted, in hex, as a list of
 * bytes, escaped, or behind a word such as "key". Cut at `size`. Returns
 * `buffer`. */
const char *
tk_redact_text(const char *text, size_t len, char *buffer, size_t size);

/* "WHO: what it said", redacted, as an error. */
tikv_error *
tk_error_said(tikv_code code, const char *who, const char *text, size_t len)
    __attribute__((warn_unused_result));

#endif
