/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between gRPC's slices and ours. A message that arrived in one piece is read
 * where it lies; only one in several pieces is copied together. Any thread,
 * no locks.
 */
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>

#include "base/slice.h"
#include "cluster/serve/inside.h"

bool
tk_serve_text(char *buffer, size_t size, grpc_slice text)
{
    size_t len = GRPC_SLICE_LENGTH(text);

    if (len >= size) {
        return false;
    }
    memcpy(buffer, GRPC_SLICE_START_PTR(text), len);
    buffer[len] = '\0';
    return true;
}

/* The transport's own words mean nothing to a service. */
static bool
is_of_transport(grpc_slice key)
{
    static const char *const names[] = { "user-agent", "accept-encoding",
                                         "grpc-accept-encoding" };
    size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (grpc_slice_str_cmp(key, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

void
tk_serve_metadata_read(struct tk_serve_metadata *out,
                       const grpc_metadata_array *metadata)
{
    size_t used = 0;
    size_t count = 0;
    size_t i;

    for (i = 0; i < metadata->count && count < TK_SERVE_METADATA_MAX; i++) {
        const grpc_metadata *pair = &metadata->metadata[i];
        size_t need =
            GRPC_SLICE_LENGTH(pair->key) + GRPC_SLICE_LENGTH(pair->value) + 2;
        char *key = out->text + used;
        char *value = key + GRPC_SLICE_LENGTH(pair->key) + 1;

        if (is_of_transport(pair->key) || need > sizeof(out->text) - used) {
            continue;
        }
        tk_serve_text(key, need, pair->key);
        tk_serve_text(value, need, pair->value);
        out->list[2 * count] = key;
        out->list[2 * count + 1] = value;
        count++;
        used += need;
    }
    out->list[2 * count] = NULL;
}

bool
tk_serve_message_init(struct tk_serve_message *message,
                      grpc_byte_buffer *buffer)
{
    grpc_byte_buffer_reader reader;
    grpc_slice *only = NULL;
    bool whole = false;

    message->has_slice = false;
    message->bytes = tk_slice("", 0);
    if (!grpc_byte_buffer_reader_init(&reader, buffer)) {
        return false;
    }
    if (grpc_byte_buffer_reader_peek(&reader, &only)) {
        whole = GRPC_SLICE_LENGTH(*only) == grpc_byte_buffer_length(buffer);
        message->has_slice = true;
    }
    if (message->has_slice && whole) {
        message->slice = grpc_slice_ref(*only);
    } else if (message->has_slice) {
        grpc_byte_buffer_reader_destroy(&reader);
        if (!grpc_byte_buffer_reader_init(&reader, buffer)) {
            message->has_slice = false;
            return false;
        }
        message->slice = grpc_byte_buffer_reader_readall(&reader);
    }
    grpc_byte_buffer_reader_destroy(&reader);
    if (message->has_slice) {
        message->bytes = tk_slice(GRPC_SLICE_START_PTR(message->slice),
                                  GRPC_SLICE_LENGTH(message->slice));
    }
    return true;
}

void
tk_serve_message_fini(struct tk_serve_message *message)
{
    if (message->has_slice) {
        grpc_slice_unref(message->slice);
        message->has_slice = false;
    }
}

grpc_byte_buffer *
tk_serve_buffer(tikv_slice bytes)
{
    grpc_slice slice =
        grpc_slice_from_copied_buffer((const char *)bytes.data, bytes.len);
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);

    grpc_slice_unref(slice);
    return buffer;
}
