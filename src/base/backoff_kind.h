/* SPDX-License-Identifier: Apache-2.0 */
/* Names for the rows of backoff.def; errors report time slept by them. */
#ifndef TK_BASE_BACKOFF_KIND_H
#define TK_BASE_BACKOFF_KIND_H

enum tk_backoff_kind {
#define TK_BACKOFF(id, name, base_ms, cap_ms, jitter, code) TK_BACKOFF_##id,
#include "base/backoff.def"
#undef TK_BACKOFF
    TK_BACKOFF_KINDS
};

#endif
