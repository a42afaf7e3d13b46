/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cluster called directly, under a clock that moves only when the test
 * says so. Requests are made and answers read with the generated code, so
 * the cluster's hand-written reading and writing is compared with it.
 */
#ifndef TK_TEST_CLUSTER_FIXTURE_H
#define TK_TEST_CLUSTER_FIXTURE_H

#include "harness/harness.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/slice.h"
#include "cluster/core.h"
#include "exec/runtime.h"
#include <tikv/error.h>

#include "errorpb.upb.h"
#include "kvrpcpb.upb.h"
#include "metapb.upb.h"
#include "pdpb.upb.h"
#include "tikvpb.upb.h"

/* ---- a clock: asked by any thread, moved by the test's own ---- */

enum { FX_TIMERS = 256 };

struct fx_clock {
    struct tk_runtime rt;
    _Atomic int64_t now;
    pthread_mutex_t lock; /* guards all below */
    struct tk_timer *timers[FX_TIMERS];
    size_t count;
    struct tk_parker self;
};

static inline struct fx_clock *
fx_clock_of(struct tk_runtime *rt)
{
    return (struct fx_clock *)(void *)rt;
}

static inline int64_t
fx_now(struct tk_runtime *rt)
{
    return fx_clock_of(rt)->now;
}

static inline int64_t
fx_wall(struct tk_runtime *rt)
{
    return INT64_C(1700000000000000000) + fx_clock_of(rt)->now;
}

static inline struct tk_parker *
fx_self(struct tk_runtime *rt)
{
    return &fx_clock_of(rt)->self;
}

static inline bool
fx_take_timer(struct fx_clock *clock, const struct tk_timer *timer)
{
    size_t i;

    for (i = 0; i < clock->count; i++) {
        if (clock->timers[i] == timer) {
            clock->count--;
            memmove(&clock->timers[i], &clock->timers[i + 1],
                    (clock->count - i) * sizeof(clock->timers[0]));
            return true;
        }
    }
    return false;
}

static inline bool
fx_disarm(struct tk_runtime *rt, struct tk_timer *timer)
{
    struct fx_clock *clock = fx_clock_of(rt);
    bool was_armed;

    pthread_mutex_lock(&clock->lock);
    was_armed = fx_take_timer(clock, timer);
    pthread_mutex_unlock(&clock->lock);
    return was_armed;
}

static inline void
fx_arm(struct tk_runtime *rt, struct tk_timer *timer, int64_t when)
{
    struct fx_clock *clock = fx_clock_of(rt);

    pthread_mutex_lock(&clock->lock);
    (void)fx_take_timer(clock, timer);
    assert_true(clock->count < FX_TIMERS);
    timer->when = when;
    clock->timers[clock->count++] = timer;
    pthread_mutex_unlock(&clock->lock);
}

/* The first timer that is due until then, disarmed; NULL: none. */
static inline struct tk_timer *
fx_due(struct fx_clock *clock, int64_t until)
{
    struct tk_timer *first = NULL;
    size_t i;

    pthread_mutex_lock(&clock->lock);
    for (i = 0; i < clock->count; i++) {
        if (clock->timers[i]->when <= until &&
            (first == NULL || clock->timers[i]->when < first->when)) {
            first = clock->timers[i];
        }
    }
    if (first != NULL) {
        (void)fx_take_timer(clock, first);
        if (first->when > clock->now) {
            clock->now = first->when;
        }
    }
    pthread_mutex_unlock(&clock->lock);
    return first;
}

/* Moves the clock, and fires what is due on the way, in order. */
static inline void
fx_advance(struct fx_clock *clock, int64_t ms)
{
    int64_t until = clock->now + ms * TK_MS;
    struct tk_timer *timer;

    while ((timer = fx_due(clock, until)) != NULL) {
        timer->fn(timer);
    }
    clock->now = until;
}

static inline void
fx_clock_init(struct fx_clock *clock)
{
    static const struct tk_runtime_ops ops = {
        .now = fx_now,
        .wall = fx_wall,
        .self = fx_self,
        .arm = fx_arm,
        .disarm = fx_disarm,
    };

    memset(clock, 0, sizeof(*clock));
    clock->rt.ops = &ops;
    clock->now = 1000 * TK_MS;
    (void)pthread_mutex_init(&clock->lock, NULL);
}

/* ---- a cluster ---- */

struct fx;

/* How unary requests get to the cluster and answers back; fixture/way.h has
 * others than the direct call. */
struct fx_way {
    const char *name;

    /* Between the cluster's beginning and its end. */
    void (*open)(struct fx *fx);
    void (*close)(struct fx *fx);

    /* As tk_cluster_unary(): when it returns the request has been executed,
     * and answered unless it waits inside of the cluster. */
    void (*call)(struct fx *fx, tk_node node, const char *path,
                 const char *const *metadata, tikv_slice bytes,
                 struct tk_cluster_call *call);

    /* Takes what the cluster has answered meanwhile. */
    void (*settle)(struct fx *fx);

    /* What the cluster is made with may be changed; NULL: it is not. */
    void (*shape)(struct tk_cluster_params *params);
};

struct fx {
    struct fx_clock clock;
    struct tk_cluster *cluster;
    const struct fx_way *way; /* NULL: direct */
    upb_Arena *arena;
    struct tk_cluster_call call; /* of the last unary call */
    bool replied;
    bool dropped;
    int status;
    char message[256];
    const char *data;
    size_t len;
};

static inline void
fx_reply(struct tk_cluster_call *call, int status, const char *message,
         tikv_slice data)
{
    struct fx *fx = call->owner;
    char *copy = upb_Arena_Malloc(fx->arena, data.len + 1);

    assert_false(fx->replied);
    assert_false(fx->dropped);
    if (data.len > 0) {
        memcpy(copy, data.data, data.len);
    }
    fx->data = copy;
    fx->len = data.len;
    fx->replied = true;
    fx->status = status;
    (void)snprintf(fx->message, sizeof(fx->message), "%s", message);
}

static inline void
fx_dropped(struct tk_cluster_call *call)
{
    struct fx *fx = call->owner;

    assert_false(fx->replied);
    fx->dropped = true;
}

static inline void
fx_open_by(struct fx *fx, const struct tk_cluster_params *params,
           const struct fx_way *way)
{
    static const struct tk_cluster_params plain;
    struct tk_cluster_params shape = params == NULL ? plain : *params;

    memset(fx, 0, sizeof(*fx));
    fx->way = way;
    fx_clock_init(&fx->clock);
    fx->arena = upb_Arena_New();
    if (way != NULL && way->shape != NULL) {
        way->shape(&shape);
    }
    assert_null(tk_cluster_new(&fx->clock.rt, &shape, &fx->cluster));
    if (way != NULL) {
        way->open(fx);
    }
}

static inline void
fx_open(struct fx *fx, const struct tk_cluster_params *params)
{
    fx_open_by(fx, params, NULL);
}

static inline void
fx_close(struct fx *fx)
{
    if (fx->way != NULL) {
        fx->way->close(fx);
    }
    tk_cluster_free(fx->cluster);
    upb_Arena_Free(fx->arena);
    (void)pthread_mutex_destroy(&fx->clock.lock);
}

/* Sends by the way of the fixture. */
static inline void
fx_send(struct fx *fx, tk_node node, const char *path,
        const char *const *metadata, tikv_slice bytes,
        struct tk_cluster_call *call)
{
    if (fx->way != NULL) {
        fx->way->call(fx, node, path, metadata, bytes, call);
    } else {
        tk_cluster_unary(fx->cluster, node, path, metadata, bytes, call);
    }
}

/* After the cluster has done something by itself. */
static inline void
fx_settle(struct fx *fx)
{
    if (fx->way != NULL) {
        fx->way->settle(fx);
    }
}

/* Moves the clock of the cluster. */
static inline void
fx_wait(struct fx *fx, int64_t ms)
{
    fx_advance(&fx->clock, ms);
    fx_settle(fx);
}

static inline upb_StringView
fx_view(const char *text)
{
    return upb_StringView_FromString(text);
}

/* A copy that lives as long as the fixture. */
static inline upb_StringView
fx_copy(struct fx *fx, const char *text)
{
    size_t len = strlen(text);
    char *copy = upb_Arena_Malloc(fx->arena, len + 1);

    memcpy(copy, text, len + 1);
    return upb_StringView_FromDataAndSize(copy, len);
}

static inline tikv_slice
fx_slice(const char *text)
{
    return tk_slice_text(text);
}

static inline void
fx_call_with(struct fx *fx, tk_node node, const char *path,
             const char *const *metadata, const char *bytes, size_t len)
{
    fx->replied = false;
    fx->dropped = false;
    fx->call.reply = fx_reply;
    fx->call.dropped = fx_dropped;
    fx->call.owner = fx;
    fx_send(fx, node, path, metadata, tk_slice(bytes, len), &fx->call);
}

/* Serializes, calls, and expects an answer with status OK. */
#define FX_CALL(fx, node, path, package, type, request)                        \
    do {                                                                       \
        size_t fx_len_;                                                        \
        char *fx_bytes_ = package##_##type##_serialize((request),              \
                                                       (fx)->arena, &fx_len_); \
        fx_call_with((fx), (node), (path), NULL, fx_bytes_, fx_len_);          \
    } while (0)

#define FX_PARSE(fx, package, type)                                            \
    package##_##type##_parse((fx)->data, (fx)->len, (fx)->arena)

#define fx_assert_view(view, text)                                             \
    do {                                                                       \
        upb_StringView fx_view_ = (view);                                      \
        assert_int_equal(fx_view_.size, strlen(text));                         \
        assert_memory_equal(fx_view_.data, (text), strlen(text));              \
    } while (0)

/* ---- PD ---- */

static inline pdpb_RequestHeader *
fx_header(struct fx *fx)
{
    pdpb_RequestHeader *header = pdpb_RequestHeader_new(fx->arena);

    pdpb_RequestHeader_set_cluster_id(header, tk_cluster_id(fx->cluster));
    return header;
}

static inline const pdpb_GetRegionResponse *
fx_region_of(struct fx *fx, tikv_slice key)
{
    pdpb_GetRegionRequest *request = pdpb_GetRegionRequest_new(fx->arena);

    pdpb_GetRegionRequest_set_header(request, fx_header(fx));
    pdpb_GetRegionRequest_set_region_key(
        request,
        upb_StringView_FromDataAndSize((const char *)key.data, key.len));
    /* Rules may be at work on PD, too. */
    for (int tries = 0; tries < 100; tries++) {
        int waits = 0;

        FX_CALL(fx, tk_cluster_pd_leader(fx->cluster), "/pdpb.PD/GetRegion",
                pdpb, GetRegionRequest, request);
        while (!fx->replied && !fx->dropped && waits++ < 100) {
            fx_wait(fx, 10);
        }
        if (fx->replied && fx->status == TK_GRPC_OK) {
            return FX_PARSE(fx, pdpb, GetRegionResponse);
        }
    }
    fail_msg("no answer from PD: %d", fx->status);
    return NULL;
}

static inline const pdpb_GetRegionResponse *
fx_region(struct fx *fx, const char *key)
{
    return fx_region_of(fx, fx_slice(key));
}

/* What a client would send for a key: region, epoch, leader. */
static inline kvrpcpb_Context *
fx_context_of(struct fx *fx, tikv_slice key)
{
    const pdpb_GetRegionResponse *answer = fx_region_of(fx, key);
    const metapb_Region *region = pdpb_GetRegionResponse_region(answer);
    const metapb_RegionEpoch *from = metapb_Region_region_epoch(region);
    const metapb_Peer *leader = pdpb_GetRegionResponse_leader(answer);
    kvrpcpb_Context *context = kvrpcpb_Context_new(fx->arena);
    metapb_RegionEpoch *epoch =
        kvrpcpb_Context_mutable_region_epoch(context, fx->arena);
    metapb_Peer *peer = kvrpcpb_Context_mutable_peer(context, fx->arena);

    kvrpcpb_Context_set_region_id(context, metapb_Region_id(region));
    metapb_RegionEpoch_set_conf_ver(epoch,
                                    metapb_RegionEpoch_conf_ver(from));
    metapb_RegionEpoch_set_version(epoch, metapb_RegionEpoch_version(from));
    if (leader == NULL) {
        size_t count;

        leader = metapb_Region_peers(region, &count)[0];
    }
    metapb_Peer_set_id(peer, metapb_Peer_id(leader));
    metapb_Peer_set_store_id(peer, metapb_Peer_store_id(leader));
    return context;
}

static inline kvrpcpb_Context *
fx_context(struct fx *fx, const char *key)
{
    return fx_context_of(fx, fx_slice(key));
}

static inline tk_node
fx_store(uint64_t id)
{
    return TK_NODE_STORE | id;
}

static inline tk_node
fx_node_of(const kvrpcpb_Context *context)
{
    return fx_store(metapb_Peer_store_id(kvrpcpb_Context_peer(context)));
}

/* ---- raw commands ---- */

static inline const kvrpcpb_RawPutResponse *
fx_put_at(struct fx *fx, kvrpcpb_Context *context, const char *key,
          const char *value, uint64_t ttl)
{
    kvrpcpb_RawPutRequest *request = kvrpcpb_RawPutRequest_new(fx->arena);

    kvrpcpb_RawPutRequest_set_context(request, context);
    kvrpcpb_RawPutRequest_set_key(request, fx_view(key));
    kvrpcpb_RawPutRequest_set_value(request, fx_view(value));
    kvrpcpb_RawPutRequest_set_ttl(request, ttl);
    FX_CALL(fx, fx_node_of(context), "/tikvpb.Tikv/RawPut", kvrpcpb,
            RawPutRequest, request);
    return fx->replied && fx->status == TK_GRPC_OK
               ? FX_PARSE(fx, kvrpcpb, RawPutResponse)
               : NULL;
}

static inline void
fx_put_ttl(struct fx *fx, const char *key, const char *value, uint64_t ttl)
{
    const kvrpcpb_RawPutResponse *answer =
        fx_put_at(fx, fx_context(fx, key), key, value, ttl);

    assert_non_null(answer);
    assert_false(kvrpcpb_RawPutResponse_has_region_error(answer));
    assert_int_equal(kvrpcpb_RawPutResponse_error(answer).size, 0);
}

static inline void
fx_put(struct fx *fx, const char *key, const char *value)
{
    fx_put_ttl(fx, key, value, 0);
}

static inline const kvrpcpb_RawGetResponse *
fx_get_at(struct fx *fx, kvrpcpb_Context *context, tk_node node,
          const char *key)
{
    kvrpcpb_RawGetRequest *request = kvrpcpb_RawGetRequest_new(fx->arena);

    kvrpcpb_RawGetRequest_set_context(request, context);
    kvrpcpb_RawGetRequest_set_key(request, fx_view(key));
    FX_CALL(fx, node, "/tikvpb.Tikv/RawGet", kvrpcpb, RawGetRequest, request);
    return fx->replied && fx->status == TK_GRPC_OK
               ? FX_PARSE(fx, kvrpcpb, RawGetResponse)
               : NULL;
}

/* Expects a value, or with NULL none. */
static inline void
fx_expect(struct fx *fx, const char *key, const char *value)
{
    kvrpcpb_Context *context = fx_context(fx, key);
    const kvrpcpb_RawGetResponse *answer =
        fx_get_at(fx, context, fx_node_of(context), key);

    assert_non_null(answer);
    assert_false(kvrpcpb_RawGetResponse_has_region_error(answer));
    assert_int_equal(kvrpcpb_RawGetResponse_not_found(answer), value == NULL);
    fx_assert_view(kvrpcpb_RawGetResponse_value(answer),
                   value == NULL ? "" : value);
}

/* The region error that a get is answered with; NULL for none. */
static inline const errorpb_Error *
fx_get_error(struct fx *fx, kvrpcpb_Context *context, tk_node node,
             const char *key)
{
    const kvrpcpb_RawGetResponse *answer =
        fx_get_at(fx, context, node, key);

    assert_non_null(answer);
    if (!kvrpcpb_RawGetResponse_has_region_error(answer)) {
        return NULL;
    }
    assert_true(
        errorpb_Error_message(kvrpcpb_RawGetResponse_region_error(answer))
            .size > 0);
    return kvrpcpb_RawGetResponse_region_error(answer);
}

static inline void
fx_split(struct fx *fx, const char *key)
{
    assert_null(tk_cluster_split(fx->cluster, fx_slice(key)));
}

#endif
