/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protobuf written field by field into a buffer: what the cluster answers is
 * a handful of fields, most often a value, and needs no tree of messages.
 * Zero, false and empty are left out, as proto3 has it; the `_always` form
 * writes them (members of a oneof, empty messages).
 */
#ifndef TK_CLUSTER_PUT_H
#define TK_CLUSTER_PUT_H

#include "base/buf.h"

void
tk_put_u64_always(struct tk_buf *buf, uint32_t field, uint64_t number);

void
tk_put_bytes_always(struct tk_buf *buf, uint32_t field, tikv_slice bytes);

/* Opens a nested message: everything up to the end goes in. */
size_t
tk_put_begin(struct tk_buf *buf, uint32_t field);

void
tk_put_end(struct tk_buf *buf, size_t mark);

static inline void
tk_put_u64(struct tk_buf *buf, uint32_t field, uint64_t number)
{
    if (number != 0) {
        tk_put_u64_always(buf, field, number);
    }
}

static inline void
tk_put_bytes(struct tk_buf *buf, uint32_t field, tikv_slice bytes)
{
    if (bytes.len > 0) {
        tk_put_bytes_always(buf, field, bytes);
    }
}

void
tk_put_text(struct tk_buf *buf, uint32_t field, const char *text);

/* All numbers of one repeated field, packed. */
void
tk_put_packed(struct tk_buf *buf, uint32_t field, const uint64_t *numbers,
              size_t count);

#endif
