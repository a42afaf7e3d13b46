/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer of put.h. A nested message gets one byte for its length in
 * advance; one longer than 127 bytes is moved up when it is closed.
 */
#include "cluster/put.h"

#include <string.h>

#include "base/slice.h"
#include "wire/proto.h"

enum { VARINT = 0, BYTES = 2, SHORT = 0x80 };

void
tk_put_u64_always(struct tk_buf *buf, uint32_t field, uint64_t number)
{
    tk_buf_varint(buf, (uint64_t)field << 3 | VARINT);
    tk_buf_varint(buf, number);
}

void
tk_put_bytes_always(struct tk_buf *buf, uint32_t field, tikv_slice bytes)
{
    tk_buf_varint(buf, (uint64_t)field << 3 | BYTES);
    tk_buf_varint(buf, bytes.len);
    tk_buf_append(buf, bytes.data, bytes.len);
}

void
tk_put_text(struct tk_buf *buf, uint32_t field, const char *text)
{
    tk_put_bytes(buf, field, tk_slice_text(text));
}

size_t
tk_put_begin(struct tk_buf *buf, uint32_t field)
{
    tk_buf_varint(buf, (uint64_t)field << 3 | BYTES);
    tk_buf_varint(buf, 0);
    return buf->len;
}

void
tk_put_end(struct tk_buf *buf, size_t mark)
{
    size_t len = buf->len - mark;
    size_t more;

    if (buf->failed) {
        return;
    }
    if (len < SHORT) {
        buf->data[mark - 1] = (uint8_t)len;
        return;
    }
    more = tk_varint_len(len) - 1;
    if (tk_buf_grow(buf, more) == NULL) {
        return;
    }
    memmove(buf->data + mark + more, buf->data + mark, len);
    tk_varint_put(buf->data + mark - 1, len);
}

void
tk_put_packed(struct tk_buf *buf, uint32_t field, const uint64_t *numbers,
              size_t count)
{
    size_t mark;
    size_t i;

    if (count == 0) {
        return;
    }
    mark = tk_put_begin(buf, field);
    for (i = 0; i < count; i++) {
        tk_buf_varint(buf, numbers[i]);
    }
    tk_put_end(buf, mark);
}
