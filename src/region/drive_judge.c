/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the end of an attempt means. An answer is definite for its attempt,
 * whatever it says; an attempt that was sent and never answered leaves a
 * write in doubt, and the doubt stays, until a later attempt succeeds.
 *
 * Runs on the runner's thread.
 */
#include "base/error.h"
#include "region/drive_inner.h"
#include "region/errors.h"

enum {
    GRPC_PERMISSION_DENIED = 7,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_UNAUTHENTICATED = 16
};

static bool
is_write(const struct tk_run *run)
{
    return !run->job->is_repeatable &&
           (run->row->retry == TK_RETRY_WRITE ||
            run->row->retry == TK_RETRY_NEVER);
}

void
tk_shard_doubt(struct tk_run *run, struct tk_shard *shard)
{
    if (!shard->never_sent && is_write(run)) {
        shard->in_doubt = true;
    }
}

/* The network failed us (RS-11). */
static void
judge_failure(struct tk_run *run, struct tk_shard *shard)
{
    struct tk_router *router = run->router;
    const char *details = shard->details[0] == '\0' ? "no details"
                                                     : shard->details;
    bool is_late = shard->status == TK_REPLY_EXPIRED;
    tikv_code code = TIKV_ERR_UNAVAILABLE;

    tk_shard_doubt(run, shard);
    if (!is_late) {
        code = shard->grpc == GRPC_UNIMPLEMENTED ? TIKV_ERR_UNSUPPORTED
               : shard->grpc == GRPC_UNAUTHENTICATED ||
                       shard->grpc == GRPC_PERMISSION_DENIED
                   ? TIKV_ERR_SECURITY
                   : TIKV_ERR_UNAVAILABLE;
    }
    tk_shard_set_cause(
        shard, is_late ? tk_error(TIKV_ERR_UNAVAILABLE, "%s: no answer in time",
                                  run->row->name)
                       : tk_error(code, "%s: status %d, %s", run->row->name,
                                  shard->grpc, details));
    if (code != TIKV_ERR_UNAVAILABLE ||
        (run->row->retry == TK_RETRY_NEVER && shard->in_doubt)) {
        tikv_error *cause = shard->cause;

        shard->cause = NULL;
        tk_shard_fail(run, shard, cause);
        return;
    }
    /* A caller in a hurry says nothing about the store. */
    if (!(is_late && shard->ends_with_op)) {
        if (!is_late) {
            tk_stores_suspect(router->stores, shard->route.store,
                              shard->route.store_epoch);
        }
        tk_cache_next_peer(router->cache, &shard->route);
    }
    tk_shard_pause(run, shard, TK_BACKOFF_RPC, -1);
}

/* Puts right what the error says about the cache. True: the keys may be
 * tried again where they were. */
static void
correct_cache(struct tk_run *run, struct tk_shard *shard,
              struct tk_region_error *fault)
{
    struct tk_cache *cache = run->router->cache;
    const struct tk_route *route = &shard->route;

    if (fault->suspect_store) {
        tk_stores_suspect(run->router->stores, route->store,
                          route->store_epoch);
    }
    if (fault->leader_peer_id != 0) {
        tk_cache_set_leader(cache, route, fault->leader_peer_id,
                            fault->leader_store_id);
    } else if (fault->remedy == TK_REMEDY_NOT_LEADER) {
        tk_cache_next_peer(cache, route);
    }
    if (fault->invalidate != TK_INVALID_OK) {
        tk_cache_invalidate(cache, route, fault->invalidate);
    }
    if (fault->regions_count != 0 &&
        tk_cache_epoch_not_match(cache, route, fault->regions,
                                 fault->regions_count)) {
        fault->backoff = TK_BACKOFF_REGION_MISS;
    }
}

static tikv_code
code_of(const struct tk_region_error *fault)
{
    if (fault->backoff == TK_BACKOFF_SERVER_BUSY) {
        return TIKV_ERR_SERVER_BUSY;
    }
    if (fault->backoff == TK_BACKOFF_DISK_FULL) {
        return TIKV_ERR_DISK_FULL;
    }
    return fault->code != TIKV_OK ? fault->code : TIKV_ERR_REGION;
}

static void
judge_region_error(struct tk_run *run, struct tk_shard *shard,
                   tikv_slice bytes)
{
    struct tk_arena *arena = tk_arena_new();
    struct tk_region_error fault;
    tikv_error *error;

    if (arena == NULL) {
        tk_shard_fail(run, shard, tk_error_immortal(TIKV_ERR_MEMORY));
        return;
    }
    tk_region_error(bytes, arena, &fault);
    error = tk_error(code_of(&fault), "%s: %s%s%s", run->row->name, fault.name,
                     fault.message[0] == '\0' ? "" : ": ", fault.message);
    if (fault.verdict == TK_VERDICT_IN_DOUBT && is_write(run)) {
        shard->in_doubt = true;
        tk_shard_fail(run, shard, error);
    } else if (fault.verdict == TK_VERDICT_FAIL) {
        tk_shard_fail(run, shard, error);
    } else {
        correct_cache(run, shard, &fault);
        tk_shard_set_cause(shard, error);
        if (fault.verdict == TK_VERDICT_IN_DOUBT) {
            fault.backoff = TK_BACKOFF_REGION_MISS; /* a read: once more */
        }
        tk_shard_pause(run, shard, fault.backoff,
                       fault.busy_ms == 0 ? -1
                       : fault.busy_ms > INT32_MAX
                           ? INT32_MAX
                           : (int64_t)fault.busy_ms);
    }
    tk_arena_unref(arena);
}

static void
judge_answer(struct tk_run *run, struct tk_shard *shard)
{
    struct tk_job *job = run->job;
    struct tk_peek peek;
    tikv_error *error;

    tk_peek(job->command, shard->data, &peek);
    if (!peek.is_valid) {
        tk_shard_doubt(run, shard);
        tk_shard_fail(run, shard,
                      tk_error(TIKV_ERR_PROTOCOL,
                               "%s: the answer makes no sense",
                               run->row->name));
        return;
    }
    if (peek.region_error.data != NULL) {
        judge_region_error(run, shard, peek.region_error);
        return;
    }
    error = job->ops->answer(job, &shard->piece, shard->data, shard->frame);
    if (error != NULL) {
        tk_shard_fail(run, shard, error);
    } else {
        tk_shard_finish(run, shard);
    }
}

void
tk_shard_judge(struct tk_run *run, struct tk_shard *shard)
{
    switch (shard->status) {
    case TK_REPLY_OK:
        judge_answer(run, shard);
        break;
    case TK_REPLY_CLOSED:
        tk_shard_doubt(run, shard);
        tk_shard_fail(run, shard, tk_error_immortal(TIKV_ERR_CLOSED));
        break;
    case TK_REPLY_FAILED:
    case TK_REPLY_EXPIRED:
    default:
        judge_failure(run, shard);
        break;
    }
}
