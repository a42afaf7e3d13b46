/* SPDX-License-Identifier: Apache-2.0 */
/* Between messages and keys of the user's. No state; any thread. */
#include "region/message.h"

#include "base/error.h"

typedef void
encode_fn(const struct tk_key_codec *codec, struct tk_buf *out, tikv_slice key);

static bool
encode(const struct tk_key_codec *codec, struct tk_arena *arena, encode_fn *fn,
       tikv_slice key, upb_StringView *out)
{
    struct tk_buf buf;
    char *copy = NULL;

    if (codec->mode == TK_KEYS_RAW_V1 || codec->mode == TK_KEYS_TXN_V1) {
        *out = tk_message_view(key);
        return true;
    }
    tk_buf_init(&buf, SIZE_MAX / 4);
    fn(codec, &buf, key);
    if (!buf.failed) {
        copy = upb_Arena_Malloc(arena->upb, buf.len);
    }
    if (copy != NULL) {
        memcpy(copy, buf.data, buf.len);
        *out = upb_StringView_FromDataAndSize(copy, buf.len);
    }
    tk_buf_fini(&buf);
    return copy != NULL;
}

bool
tk_message_key(const struct tk_key_codec *codec, struct tk_arena *arena,
               tikv_slice key, upb_StringView *out)
{
    return encode(codec, arena, tk_codec_request_key, key, out);
}

bool
tk_message_end(const struct tk_key_codec *codec, struct tk_arena *arena,
               tikv_slice end, upb_StringView *out)
{
    return encode(codec, arena, tk_codec_request_end, end, out);
}

tikv_error *
tk_message_encode(struct tk_job *job, struct tk_arena *arena,
                  const void *message, tikv_slice *body)
{
    struct tk_encoded encoded = { NULL, 0 };

    if (message != NULL) {
        encoded = tk_arena_encode(arena, tk_command_row(job->command)->request,
                                  message);
    }
    if (encoded.data == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    *body = tk_slice(encoded.data, encoded.len);
    return NULL;
}

tikv_error *
tk_message_decode(struct tk_job *job, tikv_slice response,
                  struct tk_frame *frame, struct tk_arena **arena,
                  void **message)
{
    const struct tk_command_row *row = tk_command_row(job->command);

    *arena = tk_arena_new();
    if (*arena == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    *message = tk_arena_decode(*arena, row->response, response.data,
                               response.len, frame);
    if (*message == NULL) {
        tk_arena_unref(*arena);
        *arena = NULL;
        return tk_error(TIKV_ERR_PROTOCOL, "%s: the answer cannot be read",
                        row->name);
    }
    return NULL;
}
