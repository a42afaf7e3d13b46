/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests of PD share: calls at the leader with a header, and a stream
 * that keeps what it was told.
 */
#ifndef TK_TEST_CLUSTER_PD_FIXTURE_H
#define TK_TEST_CLUSTER_PD_FIXTURE_H

#include "unit/cluster/fixture.h"

/* Calls at the leader; the answer is parsed when it is OK, else NULL. */
#define PX_CALL(fx, path, package, type, request, answer)                      \
    (px_call((fx), (path),                                                     \
             package##_##type##_serialize((request), (fx)->arena, &px_len)),   \
     (fx)->status == TK_GRPC_OK                                                \
         ? package##_##answer##_parse((fx)->data, (fx)->len, (fx)->arena)      \
         : NULL)

static size_t px_len; /* of the request that is being made */

static inline void
px_call(struct fx *fx, const char *path, const char *bytes)
{
    fx_call_with(fx, tk_cluster_pd_leader(fx->cluster), path, NULL, bytes,
                 px_len);
    assert_true(fx->replied);
}

static inline void
px_expect_ok(struct fx *fx)
{
    if (!fx->replied || fx->status != TK_GRPC_OK) {
        fail_msg("status %d: %s", fx->status, fx->message);
    }
}

/* The type of the header's error; 0: none. */
static inline int
px_error(const pdpb_ResponseHeader *header)
{
    const pdpb_Error *error = pdpb_ResponseHeader_error(header);

    return error == NULL ? 0 : (int)pdpb_Error_type(error);
}

enum { PX_MESSAGES = 64 };

struct px_stream {
    struct fx *fx;
    struct tk_cluster_stream *stream;
    tikv_slice messages[PX_MESSAGES];
    size_t count;
    size_t read;
    bool ended;
    int status;
    char text[256];
};

static inline void
px_message(void *arg, tikv_slice bytes)
{
    struct px_stream *stream = arg;
    uint8_t *copy = upb_Arena_Malloc(stream->fx->arena, bytes.len + 1);

    assert_false(stream->ended);
    assert_true(stream->count < PX_MESSAGES);
    if (bytes.len > 0) {
        memcpy(copy, bytes.data, bytes.len);
    }
    stream->messages[stream->count++] = tk_slice(copy, bytes.len);
}

static inline void
px_end(void *arg, int status, const char *message)
{
    struct px_stream *stream = arg;

    assert_false(stream->ended);
    stream->ended = true;
    stream->status = status;
    (void)snprintf(stream->text, sizeof(stream->text), "%s", message);
}

static inline void
px_open_at(struct px_stream *stream, struct fx *fx, tk_node node,
           const char *path, const char *const *metadata)
{
    static const struct tk_cluster_stream_events events = { px_message,
                                                            px_end };

    memset(stream, 0, sizeof(*stream));
    stream->fx = fx;
    stream->stream = tk_cluster_stream_open(fx->cluster, node, path, metadata,
                                            &events, stream);
    assert_non_null(stream->stream);
}

static inline void
px_open(struct px_stream *stream, struct fx *fx, const char *path)
{
    px_open_at(stream, fx, tk_cluster_pd_leader(fx->cluster), path, NULL);
}

static inline void
px_send(struct px_stream *stream, const char *bytes, size_t len)
{
    tk_cluster_stream_message(stream->stream, tk_slice(bytes, len));
}

/* Serializes and sends. */
#define PX_SEND(stream, package, type, request)                                \
    do {                                                                       \
        size_t px_len_;                                                        \
        char *px_bytes_ = package##_##type##_serialize(                        \
            (request), (stream)->fx->arena, &px_len_);                         \
        px_send((stream), px_bytes_, px_len_);                                 \
    } while (0)

/* The next message, which must be there. */
static inline tikv_slice
px_next(struct px_stream *stream)
{
    if (stream->read >= stream->count) {
        fail_msg("no message; ended %d, status %d %s", stream->ended,
                 stream->status, stream->text);
    }
    return stream->messages[stream->read++];
}

#define PX_NEXT(stream, package, type)                                         \
    px_parse_##package##_##type((stream)->fx, px_next(stream))

/* Defines the parser that PX_NEXT uses. */
#define PX_PARSER(package, type)                                               \
    static inline const package##_##type *                                     \
    px_parse_##package##_##type(struct fx *fx, tikv_slice bytes)               \
    {                                                                          \
        const package##_##type *message = package##_##type##_parse(            \
            (const char *)bytes.data, bytes.len, fx->arena);                   \
                                                                               \
        assert_non_null(message);                                              \
        return message;                                                        \
    }

static inline void
px_close(struct px_stream *stream)
{
    tk_cluster_stream_free(stream->stream);
    stream->stream = NULL;
}

#endif
