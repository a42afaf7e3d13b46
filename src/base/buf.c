/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing run of bytes. Grows by doubling up to its limit; a failure keeps
 * what is there and refuses all that comes after, so that half a message can
 * never be taken for a whole one. One owner at a time.
 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

#define FIRST_CAP 64

void
tk_buf_init(struct tk_buf *buf, size_t max)
{
    *buf = (struct tk_buf){ .max = max };
}

void
tk_buf_fini(struct tk_buf *buf)
{
    tk_free(buf->data);
    *buf = (struct tk_buf){ 0 };
}

void
tk_buf_clear(struct tk_buf *buf)
{
    buf->len = 0;
    buf->failed = false;
}

static bool
reserve(struct tk_buf *buf, size_t len)
{
    size_t cap = buf->cap < FIRST_CAP ? FIRST_CAP : buf->cap;
    size_t wanted;
    uint8_t *data;

    if (buf->failed || len > buf->max || buf->len > buf->max - len) {
        buf->failed = true;
        return false;
    }
    wanted = buf->len + len;
    if (wanted <= buf->cap && buf->data != NULL) {
        return true;
    }
    while (cap < wanted) {
        cap = cap > SIZE_MAX / 2 ? wanted : cap * 2;
    }
    data = tk_realloc(buf->data, cap);
    if (data == NULL) {
        buf->failed = true;
        return false;
    }
    buf->data = data;
    buf->cap = cap;
    return true;
}

uint8_t *
tk_buf_grow(struct tk_buf *buf, size_t len)
{
    uint8_t *place;

    if (!reserve(buf, len)) {
        return NULL;
    }
    place = buf->data + buf->len;
    buf->len += len;
    return place;
}

void
tk_buf_append(struct tk_buf *buf, const void *data, size_t len)
{
    uint8_t *place = tk_buf_grow(buf, len);

    if (place != NULL && len != 0) {
        memcpy(place, data, len);
    }
}

void
tk_buf_append_slice(struct tk_buf *buf, tikv_slice bytes)
{
    tk_buf_append(buf, bytes.data, bytes.len);
}

void
tk_buf_append_text(struct tk_buf *buf, const char *text)
{
    tk_buf_append(buf, text, strlen(text));
}

void
tk_buf_printf(struct tk_buf *buf, const char *format, ...)
{
    char small[256];
    va_list args;
    int len;

    va_start(args, format);
    len = vsnprintf(small, sizeof(small), format, args);
    va_end(args);
    if (len < 0) {
        buf->failed = true;
        return;
    }
    if ((size_t)len < sizeof(small)) {
        tk_buf_append(buf, small, (size_t)len);
        return;
    }
    /* The terminator needs a place too; it is not counted. */
    if ((size_t)len >= buf->max || !reserve(buf, (size_t)len + 1)) {
        buf->failed = true;
        return;
    }
    va_start(args, format);
    vsnprintf((char *)buf->data + buf->len, (size_t)len + 1, format, args);
    va_end(args);
    buf->len += (size_t)len;
}

void
tk_buf_cut(struct tk_buf *buf, size_t offset, size_t len)
{
    if (offset >= buf->len) {
        return;
    }
    if (len > buf->len - offset) {
        len = buf->len - offset;
    }
    memmove(buf->data + offset, buf->data + offset + len,
            buf->len - offset - len);
    buf->len -= len;
}

void
tk_buf_varint(struct tk_buf *buf, uint64_t number)
{
    uint8_t bytes[10];
    size_t len = 0;

    while (number >= 0x80) {
        bytes[len++] = (uint8_t)(number | 0x80);
        number >>= 7;
    }
    bytes[len++] = (uint8_t)number;
    tk_buf_append(buf, bytes, len);
}

tikv_slice
tk_buf_slice(const struct tk_buf *buf)
{
    return (tikv_slice){ buf->data, buf->len };
}
