/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that somebody else owns: comparing and cutting of tikv_slice. */
#ifndef TK_BASE_SLICE_H
#define TK_BASE_SLICE_H

#include <string.h>

#include <tikv/base.h>

static inline tikv_slice
tk_slice(const void *data, size_t len)
{
    return (tikv_slice){ (const uint8_t *)data, len };
}

/* Without the terminator. */
static inline tikv_slice
tk_slice_text(const char *text)
{
    return (tikv_slice){ (const uint8_t *)text, strlen(text) };
}

/* Below 0, 0, above 0, as memcmp; a prefix comes first. */
static inline int
tk_slice_compare(tikv_slice a, tikv_slice b)
{
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = shorter == 0 ? 0 : memcmp(a.data, b.data, shorter);

    if (order != 0) {
        return order;
    }
    return a.len < b.len ? -1 : a.len > b.len;
}

static inline bool
tk_slice_equal(tikv_slice a, tikv_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Whether `key` lies in [start, end), an empty end being no end. */
static inline bool
tk_slice_in_range(tikv_slice key, tikv_slice start, tikv_slice end)
{
    return tk_slice_compare(key, start) >= 0 &&
           (end.len == 0 || tk_slice_compare(key, end) < 0);
}

/* How many bytes the two begin with alike. */
static inline size_t
tk_slice_common(tikv_slice a, tikv_slice b)
{
    size_t most = a.len < b.len ? a.len : b.len;
    size_t len = 0;

    while (len < most && a.data[len] == b.data[len]) {
        len++;
    }
    return len;
}

/* The eight bytes at `bytes`, as a big-endian number. */
static inline uint64_t
tk_bytes_head(const uint8_t *bytes)
{
    uint64_t head;

    memcpy(&head, bytes, sizeof(head));
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    head = __builtin_bswap64(head);
#endif
    return head;
}

/* The eight bytes after `skip`, as a big-endian number, zero padded: orders
 * like the bytes do. */
static inline uint64_t
tk_slice_head(tikv_slice key, size_t skip)
{
    size_t left = key.len < skip ? 0 : key.len - skip;
    uint64_t head = 0;
    size_t i;

    if (left >= sizeof(head)) {
        return tk_bytes_head(key.data + skip);
    }
    for (i = 0; i < left; i++) {
        head |= (uint64_t)key.data[skip + i] << (56 - 8 * i);
    }
    return head;
}

#endif
