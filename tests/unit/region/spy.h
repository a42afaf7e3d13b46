/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A transport around another that notes what goes to stores: where, through
 * whom, and the context of each request. Addresses can be cut off: then the
 * client cannot reach them while the cluster can.
 */
#ifndef TK_TEST_REGION_SPY_H
#define TK_TEST_REGION_SPY_H

#include "unit/region/world.h"

#include "exec/mutex.h"

#include "wire/proto.h"

#include "metapb.upb.h"

enum { SPY_NOTES = 4096, SPY_LINKS = 64, SPY_STREAMS = 64 };

struct spy_note {
    uint64_t store;     /* the peer's, of the context */
    bool is_forwarded;
    bool replica_read;
    bool stale_read;
    bool is_retry;
    uint32_t busy_threshold_ms;
    uint64_t max_execution_ms;
    uint64_t cluster_id;
    uint64_t buckets_version;
    int32_t priority;
    char source[48];
    enum tk_command command;
    size_t ignored; /* transactions whose locks need not be looked at */
    size_t passed;  /* and those whose locks are read through */
    /* Of a ResolveLock. */
    size_t keys;
    uint64_t commit_version;
    bool is_async; /* and of a Commit */
    bool is_txn_file; /* and of a CheckTxnStatus */
};

struct spy {
    struct tk_transport transport; /* first */
    struct tk_transport *inner;
    struct tk_runtime *rt;
    struct tk_mutex lock;
    struct {
        struct tk_link *link;
        struct tk_link *nowhere;
        char address[64];
        bool is_cut;
    } links[SPY_LINKS];
    size_t links_count;
    struct {
        struct tk_stream *stream;
        size_t link;
        bool is_forwarded;
    } streams[SPY_STREAMS];
    struct spy_note notes[SPY_NOTES];
    size_t count;
    uint64_t forgets_at; /* reads of that version: see spy_forget() */
};

static inline struct spy *
spy_of(struct tk_transport *transport)
{
    return (struct spy *)(void *)transport;
}

/* ---- what is noted ---- */

static inline void
spy_note_resolve(struct spy_note *note, struct tk_arena *arena,
                 tikv_slice request)
{
    const kvrpcpb_ResolveLockRequest *message =
        tk_arena_decode(arena, &kvrpcpb_ResolveLockRequest_msginit,
                        request.data, request.len, NULL);

    assert_non_null(message);
    kvrpcpb_ResolveLockRequest_keys(message, &note->keys);
    note->commit_version = kvrpcpb_ResolveLockRequest_commit_version(message);
    note->is_async = kvrpcpb_ResolveLockRequest_is_async(message);
    note->is_txn_file = kvrpcpb_ResolveLockRequest_is_txn_file(message);
}

static inline void
spy_note_status(struct spy_note *note, struct tk_arena *arena,
                tikv_slice request)
{
    const kvrpcpb_CheckTxnStatusRequest *message =
        tk_arena_decode(arena, &kvrpcpb_CheckTxnStatusRequest_msginit,
                        request.data, request.len, NULL);

    assert_non_null(message);
    note->is_txn_file = kvrpcpb_CheckTxnStatusRequest_is_txn_file(message);
}

static inline void
spy_note(struct spy *spy, enum tk_command command, tikv_slice request,
         bool is_forwarded)
{
    struct tk_arena *arena = tk_arena_new();
    struct tk_cursor cursor = tk_cursor(request);
    uint32_t number = tk_command_row(command)->context_field;
    struct spy_note *note = &spy->notes[spy->count];
    struct tk_field field;

    assert_true(spy->count < SPY_NOTES);
    while (tk_cursor_field(&cursor, &field)) {
        const kvrpcpb_Context *context;
        upb_StringView source;

        if (number == 0 || field.number != number ||
            field.type != TK_WIRE_BYTES) {
            continue;
        }
        context = tk_arena_decode(arena, &kvrpcpb_Context_msginit,
                                  field.bytes.data, field.bytes.len, NULL);
        assert_non_null(context);
        source = kvrpcpb_Context_request_source(context);
        *note = (struct spy_note){
            .store = metapb_Peer_store_id(kvrpcpb_Context_peer(context)),
            .is_forwarded = is_forwarded,
            .replica_read = kvrpcpb_Context_replica_read(context),
            .stale_read = kvrpcpb_Context_stale_read(context),
            .is_retry = kvrpcpb_Context_is_retry_request(context),
            .busy_threshold_ms = kvrpcpb_Context_busy_threshold_ms(context),
            .max_execution_ms =
                kvrpcpb_Context_max_execution_duration_ms(context),
            .cluster_id = kvrpcpb_Context_cluster_id(context),
            .buckets_version = kvrpcpb_Context_buckets_version(context),
            .priority = kvrpcpb_Context_priority(context),
            .command = command,
        };
        if (command == TK_CMD_KV_COMMIT) {
            const kvrpcpb_CommitRequest *commit =
                tk_arena_decode(arena, &kvrpcpb_CommitRequest_msginit,
                                request.data, request.len, NULL);

            assert_non_null(commit);
            note->is_async = kvrpcpb_CommitRequest_use_async_commit(commit);
        }
        snprintf(note->source, sizeof(note->source), "%.*s", (int)source.size,
                 source.size == 0 ? "" : source.data);
        kvrpcpb_Context_resolved_locks(context, &note->ignored);
        kvrpcpb_Context_committed_locks(context, &note->passed);
        if (command == TK_CMD_KV_RESOLVE_LOCK) {
            spy_note_resolve(note, arena, request);
        } else if (command == TK_CMD_KV_CHECK_TXN_STATUS) {
            spy_note_status(note, arena, request);
        }
        spy->count++;
        break;
    }
    tk_arena_unref(arena);
}

/* A BatchCommandsRequest: requests in field 1, each in the field that is its
 * slot. */
static inline void
spy_note_batch(struct spy *spy, tikv_slice bytes, bool is_forwarded)
{
    struct tk_cursor cursor = tk_cursor(bytes);
    struct tk_field field;

    while (tk_cursor_field(&cursor, &field)) {
        struct tk_cursor inner = tk_cursor(field.bytes);
        struct tk_field slot;
        enum tk_command command;

        if (field.number != 1 || field.type != TK_WIRE_BYTES ||
            !tk_cursor_field(&inner, &slot)) {
            continue;
        }
        command = tk_command_by_slot(slot.number);
        if (command != TK_COMMANDS) {
            spy_note(spy, command, slot.bytes, is_forwarded);
        }
    }
}

/* Reads of a version no longer ask for commit timestamps, as if the store did
 * not know of them: need_commit_ts, which follows the version, becomes
 * false. */
static inline void
spy_forget(const struct spy *spy, tikv_slice bytes)
{
    enum { VERSION = 3 << 3, NEED_COMMIT_TS = 4 << 3 };
    uint8_t pattern[16] = { VERSION };
    size_t len = (size_t)(tk_varint_put(pattern + 1, spy->forgets_at) -
                          pattern);
    size_t i;

    pattern[len++] = NEED_COMMIT_TS;
    for (i = 0; spy->forgets_at != 0 && i + len < bytes.len; i++) {
        if (memcmp(bytes.data + i, pattern, len) == 0) {
            ((uint8_t *)(uintptr_t)bytes.data)[i + len] = 0;
        }
    }
}

/* ---- the transport ---- */

static inline size_t
spy_place(struct spy *spy, const struct tk_link *link)
{
    size_t i;

    for (i = 0; spy->links[i].link != link; i++) {
        assert_true(i < spy->links_count);
    }
    return i;
}

static inline struct tk_link *
spy_way(struct spy *spy, struct tk_link *link)
{
    size_t place = spy_place(spy, link);

    return spy->links[place].is_cut ? spy->links[place].nowhere : link;
}

static inline tikv_error *
spy_connect(struct tk_transport *transport, const char *address,
            uint32_t ordinal, struct tk_link **out)
{
    struct spy *spy = spy_of(transport);
    struct tk_link *nowhere = NULL;
    tikv_error *error =
        spy->inner->ops->connect(spy->inner, address, ordinal, out);

    if (error == NULL) {
        error = spy->inner->ops->connect(spy->inner, "127.0.0.1:1", ordinal,
                                         &nowhere);
    }
    if (error == NULL) {
        tk_mutex_lock(&spy->lock);
        assert_true(spy->links_count < SPY_LINKS);
        spy->links[spy->links_count].link = *out;
        spy->links[spy->links_count].nowhere = nowhere;
        snprintf(spy->links[spy->links_count].address, 64, "%s", address);
        spy->links_count++;
        tk_mutex_unlock(&spy->lock);
    }
    return error;
}

static inline void
spy_disconnect(struct tk_transport *transport, struct tk_link *link)
{
    struct spy *spy = spy_of(transport);
    size_t place;

    tk_mutex_lock(&spy->lock);
    place = spy_place(spy, link);
    spy->links[place].link = NULL;
    tk_mutex_unlock(&spy->lock);
    spy->inner->ops->disconnect(spy->inner, spy->links[place].nowhere);
    spy->inner->ops->disconnect(spy->inner, link);
}

static inline bool
spy_call(struct tk_transport *transport, struct tk_link *link,
         const char *path, const char *const *metadata, tikv_slice bytes,
         int64_t deadline, struct tk_unary *unary)
{
    struct spy *spy = spy_of(transport);
    enum tk_command command = tk_command_by_path(path);
    struct tk_link *way;

    tk_mutex_lock(&spy->lock);
    if (command != TK_COMMANDS && strncmp(path, "/tikvpb.Tikv/", 13) == 0) {
        spy_note(spy, command, bytes, metadata != NULL);
    }
    way = spy_way(spy, link);
    tk_mutex_unlock(&spy->lock);
    return spy->inner->ops->call(spy->inner, way, path, metadata, bytes,
                                 deadline, unary);
}

static inline void
spy_call_cancel(struct tk_transport *transport, struct tk_unary *unary)
{
    spy_of(transport)->inner->ops->call_cancel(spy_of(transport)->inner,
                                               unary);
}

static inline bool
spy_is_forwarded(const char *const *metadata)
{
    while (metadata != NULL && metadata[0] != NULL &&
           strcmp(metadata[0], "tikv-forwarded-host") != 0) {
        metadata += 2;
    }
    return metadata != NULL && metadata[0] != NULL;
}

static inline bool
spy_open(struct tk_transport *transport, struct tk_link *link,
         const char *path, const char *const *metadata,
         struct tk_stream *stream)
{
    struct spy *spy = spy_of(transport);
    struct tk_link *way;
    size_t i = 0;

    tk_mutex_lock(&spy->lock);
    way = spy_way(spy, link);
    while (spy->streams[i].stream != NULL &&
           spy->streams[i].stream != stream) {
        i++;
        assert_true(i < SPY_STREAMS);
    }
    spy->streams[i].stream = stream;
    spy->streams[i].is_forwarded = spy_is_forwarded(metadata);
    spy->streams[i].link =
        strcmp(path, "/tikvpb.Tikv/BatchCommands") == 0 ? spy_place(spy, link)
                                                        : SPY_LINKS;
    tk_mutex_unlock(&spy->lock);
    return spy->inner->ops->open(spy->inner, way, path, metadata, stream);
}

static inline bool
spy_send(struct tk_transport *transport, struct tk_stream *stream,
         tikv_slice bytes)
{
    struct spy *spy = spy_of(transport);
    size_t i;

    tk_mutex_lock(&spy->lock);
    for (i = 0; i < SPY_STREAMS; i++) {
        if (spy->streams[i].stream == stream &&
            spy->streams[i].link != SPY_LINKS) {
            spy_note_batch(spy, bytes, spy->streams[i].is_forwarded);
        }
    }
    spy_forget(spy, bytes);
    tk_mutex_unlock(&spy->lock);
    return spy->inner->ops->send(spy->inner, stream, bytes);
}

static inline void
spy_cancel(struct tk_transport *transport, struct tk_stream *stream)
{
    spy_of(transport)->inner->ops->cancel(spy_of(transport)->inner, stream);
}

static inline bool
spy_is_delivering(struct tk_transport *transport)
{
    struct tk_transport *inner = spy_of(transport)->inner;

    return inner->ops->is_delivering(inner);
}

static inline void
spy_set_idle(struct tk_transport *transport,
             void (*fn)(void *arg, struct tk_wakes *), void *arg)
{
    struct tk_transport *inner = spy_of(transport)->inner;

    inner->ops->set_idle(inner, fn, arg);
}

static inline void
spy_close(struct tk_transport *transport)
{
    struct tk_transport *inner = spy_of(transport)->inner;

    inner->ops->close(inner);
}

static inline void
spy_free(struct tk_transport *transport)
{
    struct spy *spy = spy_of(transport);

    spy->inner->ops->free(spy->inner);
    tk_mutex_fini(&spy->lock);
    tk_free(spy);
}

static inline struct tk_transport *
spy_new(struct tk_runtime *rt, struct tk_transport *inner)
{
    static const struct tk_transport_ops ops = {
        .connect = spy_connect,
        .disconnect = spy_disconnect,
        .call = spy_call,
        .call_cancel = spy_call_cancel,
        .open = spy_open,
        .send = spy_send,
        .cancel = spy_cancel,
        .is_delivering = spy_is_delivering,
        .set_idle = spy_set_idle,
        .close = spy_close,
        .free = spy_free,
    };
    struct spy *spy = tk_calloc(sizeof(*spy));

    assert_non_null(spy);
    spy->transport.ops = &ops;
    spy->inner = inner;
    spy->rt = rt;
    tk_mutex_init(&spy->lock, TK_RANK_LEAF);
    return &spy->transport;
}

/* ---- for tests ---- */

/* Takes up or cuts off a store, for the client only. */
static inline void
spy_cut(struct world *w, uint64_t store, bool is_cut)
{
    struct spy *spy = spy_of(w->transport);
    struct tk_stream *streams[SPY_STREAMS];
    char address[64];
    size_t count = 0;
    size_t i;
    size_t j;

    assert_true(tk_cluster_get_address(w->cluster, TK_NODE_STORE | store,
                                       address, sizeof(address)));
    tk_mutex_lock(&spy->lock);
    for (i = 0; i < spy->links_count; i++) {
        if (strcmp(spy->links[i].address, address) != 0) {
            continue;
        }
        spy->links[i].is_cut = is_cut;
        for (j = 0; j < SPY_STREAMS; j++) {
            if (spy->streams[j].stream != NULL &&
                spy->streams[j].link == i) {
                streams[count++] = spy->streams[j].stream;
            }
        }
    }
    tk_mutex_unlock(&spy->lock);
    for (i = 0; i < count; i++) {
        spy->inner->ops->cancel(spy->inner, streams[i]);
    }
}

static inline void
spy_clear(struct world *w)
{
    struct spy *spy = spy_of(w->transport);

    tk_mutex_lock(&spy->lock);
    spy->count = 0;
    tk_mutex_unlock(&spy->lock);
}

static inline const struct spy_note *
spy_last(struct world *w)
{
    struct spy *spy = spy_of(w->transport);

    assert_true(spy->count > 0);
    return &spy->notes[spy->count - 1];
}

#endif
