/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client without its faces: pd, cache and loop over the real rpc, the
 * in-process transport and the cluster core. The same test body runs in the
 * simulation (world_sim) and on real threads (world_real).
 */
#ifndef TK_TEST_REGION_WORLD_H
#define TK_TEST_REGION_WORLD_H

#include "harness/harness.h"

#include "base/alloc.h"
#include "base/config.h"
#include "base/error.h"
#include "base/slice.h"
#include "exec/exec.h"
#include "exec/runtime_sim.h"
#include "region/drive.h"
#include "sim/memory_transport.h"
#include "wire/arena.h"

#include "kvrpcpb.upb.h"

struct world {
    struct tk_runtime *rt;
    struct tk_cluster *cluster;
    struct tk_transport *transport; /* the rpc's */
    tikv_config *source;
    struct tk_config config;
    struct tk_exec *exec;
    struct tk_rpc *rpc;
    struct tk_pd *pd;
    struct tk_stores *stores;
    struct tk_cache *cache;
    struct tk_router router;
    bool is_sim; /* time passes only where somebody waits for it */
    bool is_closed;
};

typedef void
world_fn(struct world *);

/* What a test wants beyond the defaults. */
struct world_plan {
    struct tk_cluster_params cluster;
    const char *settings[16]; /* name, value, ... */
    const char *endpoints;    /* NULL: all members */
    void (*prepare)(struct world *); /* before pd opens */
    bool opens_pd_itself;
    struct tk_transport *(*wrap)(struct tk_runtime *, struct tk_transport *);
};

#define world_ok(error) world_ok_at((error), __LINE__)

static inline void
world_ok_at(tikv_error *error, int line)
{
    if (error != NULL) {
        print_error("line %d: %s: %s\n", line,
                    tikv_code_name(tikv_error_code(error)),
                    tikv_error_message(error));
        fail();
    }
}

static inline void
world_endpoints(struct world *w, const struct world_plan *plan)
{
    char text[512] = "";
    uint32_t i;

    for (i = 0; i < tk_cluster_pds_count(w->cluster); i++) {
        char one[64];

        assert_true(tk_cluster_get_address(w->cluster, i, one, sizeof(one)));
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s",
                 i == 0 ? "" : ",", one);
    }
    world_ok(tikv_config_set(w->source, "pd.endpoints",
                             plan->endpoints == NULL ? text
                                                     : plan->endpoints));
}

static inline void
world_open(struct world *w, const struct world_plan *plan)
{
    size_t i;

    world_ok(tk_cluster_new(w->rt, &plan->cluster, &w->cluster));
    world_ok(tk_memory_transport_new(w->rt, w->cluster, &w->transport));
    if (plan->wrap != NULL) {
        w->transport = plan->wrap(w->rt, w->transport);
    }
    world_ok(tikv_config_new(&w->source));
    world_endpoints(w, plan);
    /* Each look for a region is a call that can be counted and broken. */
    world_ok(tikv_config_set(w->source, "pd.router", "false"));
    for (i = 0; i + 1 < 16 && plan->settings[i] != NULL; i += 2) {
        world_ok(tikv_config_set(w->source, plan->settings[i],
                                 plan->settings[i + 1]));
    }
    world_ok(tk_config_copy(tk_config_of(w->source), &w->config));
    world_ok(tk_exec_open(w->rt, 2, 1000, &w->exec));
    world_ok(tk_rpc_new(w->rt, &w->config, NULL, w->transport, &w->rpc));
    if (plan->prepare != NULL) {
        plan->prepare(w);
    }
    if (!plan->opens_pd_itself) {
        struct tk_op op;

        assert_true(tk_op_init(&op, w->exec, NULL, 60000 * TK_MS));
        world_ok(
            tk_pd_open(w->exec, w->rpc, &w->config, NULL, &op, &w->pd));
        tk_op_fini(&op);
    }
    w->stores = tk_stores_new(w->pd, w->rpc, NULL);
    w->router = (struct tk_router){ w->exec,   w->rt,    w->rpc,
                                    w->pd,     w->stores, NULL,
                                    &w->config, NULL,     { 0, 0 } };
    w->cache = tk_cache_new(w->rt, w->pd, w->stores, &w->router.codec,
                            &w->config, NULL);
    w->router.cache = w->cache;
    if (w->pd != NULL) {
        tk_stores_start(w->stores, w->exec, &w->config);
        tk_cache_start(w->cache, w->exec);
    }
}

/* Ends everything that runs; what is left can only be freed. */
static inline void
world_shut(struct world *w)
{
    if (!w->is_closed) {
        w->is_closed = true;
        tk_exec_close_begin(w->exec);
        if (w->pd != NULL) {
            tk_pd_close(w->pd);
        }
        tk_rpc_close(w->rpc);
        tk_exec_close_end(w->exec);
    }
}

static inline void
world_close(struct world *w)
{
    world_shut(w);
    tk_cache_free(w->cache);
    tk_stores_free(w->stores);
    tk_pd_free(w->pd);
    tk_rpc_free(w->rpc);
    tk_exec_unref(w->exec);
    tk_config_fini(&w->config);
    tikv_config_free(w->source);
    tk_cluster_free(w->cluster);
}

struct world_run {
    struct world world;
    const struct world_plan *plan;
    world_fn *fn;
};

static inline void
world_main(void *arg)
{
    struct world_run *run = arg;

    world_open(&run->world, run->plan);
    run->fn(&run->world);
    world_close(&run->world);
}

/* The trace hash of the run. */
static inline uint64_t
world_sim(uint64_t seed, const struct world_plan *plan, world_fn *fn)
{
    struct world_run run = { .world = { .is_sim = true },
                             .plan = plan,
                             .fn = fn };
    uint64_t hash;

    run.world.rt = tk_runtime_sim_new(seed);
    assert_non_null(run.world.rt);
    if (!tk_runtime_sim_run(run.world.rt, world_main, &run, 20000000)) {
        print_error("seed %llu: %s\n", (unsigned long long)seed,
                    tk_runtime_sim_report(run.world.rt));
        fail();
    }
    hash = tk_runtime_sim_hash(run.world.rt);
    tk_runtime_sim_free(run.world.rt);
    return hash;
}

static inline void
world_real(const struct world_plan *plan, world_fn *fn)
{
    struct world_run run = { .plan = plan, .fn = fn };

    run.world.rt = tk_runtime_posix_new();
    assert_non_null(run.world.rt);
    world_main(&run);
    tk_runtime_posix_free(run.world.rt);
}

/* ---- faults ---- */

static inline uint64_t
world_fault(struct world *w, const char *rule)
{
    uint64_t id = 0;

    world_ok(tk_cluster_fault(w->cluster, rule, &id));
    return id;
}

static inline void
world_policy(struct world *w, struct tk_memory_policy policy)
{
    tk_memory_transport_set(w->transport, &policy);
}

/* ---- operations ---- */

enum { WORLD_KEYS_MAX = 4096 };

/* A job over keys "k00000".. or given ones; one value for all. */
struct kv {
    struct tk_job job; /* first */
    size_t count;
    const char *value;
    char keys[WORLD_KEYS_MAX][8];
    char got[64]; /* of a point get; "" for none */
    size_t answered;
    size_t pieces;
    size_t lost;
    size_t in_doubt;
    struct tk_spent spent; /* of the last run */
};

static inline tikv_slice
kv_key(struct tk_job *job, size_t item)
{
    return tk_slice_text(((struct kv *)(void *)job)->keys[item]);
}

static inline upb_StringView
kv_view(tikv_slice bytes)
{
    return upb_StringView_FromDataAndSize((const char *)bytes.data, bytes.len);
}

static inline const void *
kv_request(struct kv *kv, const struct tk_piece *piece, upb_Arena *arena)
{
    upb_StringView value =
        upb_StringView_FromString(kv->value == NULL ? "" : kv->value);
    tikv_slice key = kv_key(&kv->job, piece->first);
    size_t i;

    if (kv->job.command == TK_CMD_RAW_GET) {
        kvrpcpb_RawGetRequest *get = kvrpcpb_RawGetRequest_new(arena);

        kvrpcpb_RawGetRequest_set_key(get, kv_view(key));
        return get;
    }
    if (kv->job.command == TK_CMD_RAW_PUT) {
        kvrpcpb_RawPutRequest *put = kvrpcpb_RawPutRequest_new(arena);

        kvrpcpb_RawPutRequest_set_key(put, kv_view(key));
        kvrpcpb_RawPutRequest_set_value(put, value);
        return put;
    }
    if (kv->job.command == TK_CMD_RAW_COMPARE_AND_SWAP) {
        kvrpcpb_RawCASRequest *cas = kvrpcpb_RawCASRequest_new(arena);

        kvrpcpb_RawCASRequest_set_key(cas, kv_view(key));
        kvrpcpb_RawCASRequest_set_value(cas, value);
        kvrpcpb_RawCASRequest_set_previous_not_exist(cas, true);
        return cas;
    }
    if (kv->job.command == TK_CMD_RAW_DELETE_RANGE) {
        kvrpcpb_RawDeleteRangeRequest *range =
            kvrpcpb_RawDeleteRangeRequest_new(arena);

        kvrpcpb_RawDeleteRangeRequest_set_start_key(range,
                                                    kv_view(piece->start));
        kvrpcpb_RawDeleteRangeRequest_set_end_key(range, kv_view(piece->end));
        return range;
    }
    if (kv->job.command == TK_CMD_RAW_BATCH_PUT) {
        kvrpcpb_RawBatchPutRequest *puts =
            kvrpcpb_RawBatchPutRequest_new(arena);

        for (i = 0; i < piece->count; i++) {
            kvrpcpb_KvPair *pair =
                kvrpcpb_RawBatchPutRequest_add_pairs(puts, arena);

            kvrpcpb_KvPair_set_key(
                pair, kv_view(kv_key(&kv->job, piece->first + i)));
            kvrpcpb_KvPair_set_value(pair, value);
        }
        return puts;
    }
    {
        kvrpcpb_RawBatchGetRequest *gets =
            kvrpcpb_RawBatchGetRequest_new(arena);

        for (i = 0; i < piece->count; i++) {
            kvrpcpb_RawBatchGetRequest_add_keys(
                gets, kv_view(kv_key(&kv->job, piece->first + i)), arena);
        }
        return gets;
    }
}

static inline tikv_error *
kv_encode(struct tk_job *job, const struct tk_piece *piece,
          struct tk_arena *arena, tikv_slice *body)
{
    struct kv *kv = (struct kv *)(void *)job;
    struct tk_encoded encoded =
        tk_arena_encode(arena, tk_command_row(job->command)->request,
                        kv_request(kv, piece, arena->upb));

    *body = tk_slice(encoded.data, encoded.len);
    return encoded.data == NULL ? tk_error_immortal(TIKV_ERR_MEMORY) : NULL;
}

static inline tikv_error *
kv_answer(struct tk_job *job, const struct tk_piece *piece, tikv_slice data,
          struct tk_frame *frame)
{
    struct kv *kv = (struct kv *)(void *)job;
    struct tk_peek peek;

    (void)frame;
    tk_peek(job->command, data, &peek);
    if (peek.error.data != NULL) {
        return tk_error(TIKV_ERR_SERVER, "%.*s", (int)peek.error.len,
                        (const char *)peek.error.data);
    }
    if (job->command == TK_CMD_RAW_GET) {
        snprintf(kv->got, sizeof(kv->got), "%.*s", (int)peek.value.len,
                 peek.value.data == NULL ? "" : (const char *)peek.value.data);
    }
    if (job->command == TK_CMD_RAW_BATCH_GET) {
        struct tk_arena *arena = tk_arena_new();
        const kvrpcpb_RawBatchGetResponse *answer = tk_arena_decode(
            arena, tk_command_row(job->command)->response, data.data, data.len,
            frame);
        size_t pairs;

        kvrpcpb_RawBatchGetResponse_pairs(answer, &pairs);
        assert_int_equal(pairs, piece->count);
        tk_arena_unref(arena);
    }
    kv->answered += piece->count;
    kv->pieces++;
    return NULL;
}

static inline void
kv_lost(struct tk_job *job, const struct tk_piece *piece, bool in_doubt)
{
    struct kv *kv = (struct kv *)(void *)job;

    kv->lost += piece->count;
    kv->in_doubt += in_doubt ? piece->count : 0;
}

static const struct tk_job_ops kv_ops = { kv_key, NULL, kv_encode, kv_answer,
                                          kv_lost };

static inline struct kv *
kv_new(enum tk_command command, size_t count, const char *value)
{
    struct kv *kv = tk_calloc(sizeof(*kv));
    size_t i;

    assert_non_null(kv);
    kv->job.ops = &kv_ops;
    kv->job.command = command;
    kv->job.items_count = count;
    kv->job.budget_ms = 40000;
    kv->count = count;
    kv->value = value;
    for (i = 0; i < count; i++) {
        snprintf(kv->keys[i], sizeof(kv->keys[i]), "k%05u", (unsigned)i);
    }
    return kv;
}

/* Runs and keeps the job for a look at it. */
static inline tikv_error *
kv_run(struct world *w, struct kv *kv, int64_t timeout_ms)
{
    struct tk_op op;
    tikv_error *error;

    assert_true(tk_op_init(&op, w->exec, NULL, timeout_ms * TK_MS));
    error = tk_drive(&w->router, &op, &kv->job, NULL);
    kv->spent = op.spent;
    tk_op_fini(&op);
    return error;
}

/* One operation on one key; `got` may be NULL. */
static inline tikv_error *
kv_point(struct world *w, enum tk_command command, const char *key,
         const char *value, char *got)
{
    struct kv *kv = kv_new(command, 1, value);
    tikv_error *error;

    snprintf(kv->keys[0], sizeof(kv->keys[0]), "%s", key);
    error = kv_run(w, kv, 20000);
    if (got != NULL) {
        memcpy(got, kv->got, sizeof(kv->got));
    }
    tk_free(kv);
    return error;
}

static inline void
kv_put(struct world *w, const char *key, const char *value)
{
    world_ok(kv_point(w, TK_CMD_RAW_PUT, key, value, NULL));
}

static inline void
kv_expect(struct world *w, const char *key, const char *value)
{
    char got[64];

    world_ok(kv_point(w, TK_CMD_RAW_GET, key, NULL, got));
    assert_string_equal(got, value);
}

static inline void
world_code(tikv_error *error, tikv_code code)
{
    if (tikv_error_code(error) != code) {
        print_error("%s: %s\n", tikv_code_name(tikv_error_code(error)),
                    tikv_error_message(error));
    }
    assert_int_equal(tikv_error_code(error), code);
    tikv_error_free(error);
}

#endif
