/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What jobs encode and read with: keys as requests want them, messages of the
 * command. No state; any thread.
 */
#ifndef TK_REGION_MESSAGE_H
#define TK_REGION_MESSAGE_H

#include <string.h>

#include "base/slice.h"
#include "region/drive.h"
#include "wire/arena.h"

#include "upb/upb.h"

/* A key, or the end of a range, as a request wants it; in memory of the arena
 * if it has to change. False without memory. */
bool
tk_message_key(const struct tk_key_codec *codec, struct tk_arena *arena,
               tikv_slice key, upb_StringView *out);

bool
tk_message_end(const struct tk_key_codec *codec, struct tk_arena *arena,
               tikv_slice end, upb_StringView *out);

static inline upb_StringView
tk_message_view(tikv_slice bytes)
{
    return upb_StringView_FromDataAndSize((const char *)bytes.data, bytes.len);
}

static inline upb_StringView
tk_message_text(const char *text)
{
    return upb_StringView_FromDataAndSize(text, strlen(text));
}

/* Bytes of a message: data even when empty, because they were found. */
static inline tikv_slice
tk_message_bytes(upb_StringView view)
{
    return tk_slice(view.size == 0 ? "" : view.data, view.size);
}

/* Encodes a request of `job`'s command; MEMORY when that fails, or when
 * `message` is NULL because memory ended earlier. */
tikv_error *
tk_message_encode(struct tk_job *job, struct tk_arena *arena,
                  const void *message, tikv_slice *body)
    __attribute__((warn_unused_result));

/* Decodes an answer to `job` into a fresh arena, which the caller unrefs. The
 * message aliases `frame`. */
tikv_error *
tk_message_decode(struct tk_job *job, tikv_slice response,
                  struct tk_frame *frame, struct tk_arena **arena,
                  void **message) __attribute__((warn_unused_result));

#endif
