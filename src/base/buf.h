/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing run of bytes with a limit given at birth. Failure (limit or
 * memory) is sticky: append as you like and look once, at the end.
 */
#ifndef TK_BASE_BUF_H
#define TK_BASE_BUF_H

#include <stdbool.h>
#include <stdint.h>

#include <tikv/base.h>

struct tk_buf {
    uint8_t *data;
    size_t len;
    size_t cap;
    size_t max;
    bool failed;
};

void
tk_buf_init(struct tk_buf *buf, size_t max);

void
tk_buf_fini(struct tk_buf *buf);

/* Forgets the bytes and the failure, keeps the memory. */
void
tk_buf_clear(struct tk_buf *buf);

/* Room for `len` more bytes at the end, or NULL; they count at once. */
uint8_t *
tk_buf_grow(struct tk_buf *buf, size_t len);

void
tk_buf_append(struct tk_buf *buf, const void *data, size_t len);

void
tk_buf_append_slice(struct tk_buf *buf, tikv_slice bytes);

void
tk_buf_append_text(struct tk_buf *buf, const char *text);

void
tk_buf_printf(struct tk_buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Cuts `len` bytes at `offset` out. */
void
tk_buf_cut(struct tk_buf *buf, size_t offset, size_t len);

/* A base-128 varint, as protobuf writes it. */
void
tk_buf_varint(struct tk_buf *buf, uint64_t number);

tikv_slice
tk_buf_slice(const struct tk_buf *buf);

#endif
