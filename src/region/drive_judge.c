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
#include "wire/proto.h"

/* Of coprocessor.Response. */
enum { COPROCESSOR_LATEST_BUCKETS = 12 };

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
        run->job->unanswered++;
    }
}

static int64_t
spent_ms(const struct tk_run *run, const struct tk_shard *shard)
{
    return (tk_now(run->router->rt) - shard->sent_at) / TK_MS;
}

/* The store of the peer that was asked, or of the one who was to forward. */
static struct tk_store *
store_of(const struct tk_shard *shard, uint32_t place, uint32_t *epoch)
{
    if (shard->via != NULL && place == shard->selector.via) {
        *epoch = shard->via_epoch;
        return shard->via;
    }
    *epoch = shard->route.store_epoch;
    return shard->route.store;
}

/* What was learned about stores. */
static void
tell_stores(struct tk_run *run, const struct tk_shard *shard,
            const struct tk_reaction *reaction)
{
    struct tk_stores *stores = run->router->stores;
    int64_t now = tk_now(run->router->rt);
    struct tk_store *store;
    uint32_t epoch;

    if (reaction->suspect != TK_NOBODY) {
        store = store_of(shard, reaction->suspect, &epoch);
        if (reaction->is_sure) {
            tk_stores_suspect(stores, store, epoch);
        } else {
            tk_stores_doubt(stores, store, epoch);
        }
    }
    if (reaction->slow != TK_NOBODY) {
        tk_store_mark_slow(store_of(shard, reaction->slow, &epoch), now);
    }
    if (reaction->loaded != TK_NOBODY) {
        tk_store_set_wait(store_of(shard, reaction->loaded, &epoch), now,
                          reaction->wait_ms);
    }
}

/* The round is over without having known it: the record it was about is
 * gone. */
static void
react_alone(const struct tk_region_error *fault, struct tk_reaction *reaction)
{
    *reaction = (struct tk_reaction){
        .verdict = fault->verdict == TK_VERDICT_RETRY ? TK_VERDICT_REGROUP
                                                      : fault->verdict,
        .backoff = fault->backoff,
        .backoff_max_ms = -1,
        .leader = TK_NOBODY,
        .suspect = TK_NOBODY,
        .slow = TK_NOBODY,
        .loaded = TK_NOBODY,
    };
}

/* The client has retried so much that it must not add to whatever is wrong:
 * the last trouble is the outcome. */
static void
give_up(struct tk_run *run, struct tk_shard *shard)
{
    tikv_error *cause = shard->cause;

    shard->cause = NULL;
    tk_shard_fail(run, shard,
                  tk_error_recode(tk_error_wrap(cause, "no more retries for "
                                                       "now"),
                                  TIKV_ERR_OVERLOAD));
}

static void
go_on(struct tk_run *run, struct tk_shard *shard,
      const struct tk_reaction *reaction)
{
    const struct tk_router *router = run->router;

    if (!tk_stores_may_retry(
            router->stores, tk_now(router->rt),
            tk_config_int(&router->config->retry_per_second_max))) {
        give_up(run, shard);
        return;
    }
    /* A hedge that is alone goes on as the read it stands for. */
    if (reaction->verdict != TK_VERDICT_RETRY || shard->is_hedge) {
        shard->has_round = false;
    }
    shard->is_hedge &= shard->twin != NULL;
    tk_shard_pause(run, shard, reaction->backoff, reaction->backoff_max_ms);
}

static tikv_error *
failure(const struct tk_run *run, const struct tk_shard *shard, bool is_late)
{
    tikv_code code = TIKV_ERR_UNAVAILABLE;

    if (is_late) {
        return tk_error(code, "%s: no answer in time", run->row->name);
    }
    if (shard->grpc == GRPC_UNIMPLEMENTED) {
        code = TIKV_ERR_UNSUPPORTED;
    } else if (shard->grpc == GRPC_UNAUTHENTICATED ||
               shard->grpc == GRPC_PERMISSION_DENIED) {
        code = TIKV_ERR_SECURITY;
    }
    return tk_error(code, "%s: status %d, %s", run->row->name, shard->grpc,
                    shard->details[0] == '\0' ? "no details"
                                              : shard->details);
}

/* The network failed us (RS-11). */
static void
judge_failure(struct tk_run *run, struct tk_shard *shard)
{
    static const struct tk_region_error lost = {
        .verdict = TK_VERDICT_RETRY,
        .backoff = TK_BACKOFF_RPC,
    };
    bool is_late = shard->status == TK_REPLY_EXPIRED;
    struct tk_reaction reaction;

    tk_shard_doubt(run, shard);
    tk_shard_set_cause(shard, failure(run, shard, is_late));
    if (tikv_error_code(shard->cause) != TIKV_ERR_UNAVAILABLE ||
        (run->row->retry == TK_RETRY_NEVER && shard->in_doubt)) {
        tikv_error *cause = shard->cause;

        shard->cause = NULL;
        tk_shard_fail(run, shard, cause);
        return;
    }
    if (tk_shard_has_round(run, shard)) {
        tk_selector_failed(&shard->selector, is_late, spent_ms(run, shard),
                           &reaction);
    } else {
        react_alone(&lost, &reaction);
        reaction.suspect = 0;
        reaction.is_sure = !is_late;
    }
    /* A caller in a hurry says nothing about the store. */
    if (!(is_late && shard->ends_with_op)) {
        tell_stores(run, shard, &reaction);
    }
    go_on(run, shard, &reaction);
}

/* Behind the address is another store: perhaps it has moved, perhaps only
 * its name leads elsewhere now. */
static void
renew(struct tk_store *store)
{
    struct tk_conn *conn =
        atomic_load_explicit(&store->conn, memory_order_acquire);

    if (conn != NULL) {
        tk_conn_renew(conn);
    }
}

/* Puts right what the error says about the cache. */
static void
correct_cache(struct tk_run *run, struct tk_shard *shard,
              const struct tk_region_error *fault,
              struct tk_reaction *reaction)
{
    struct tk_cache *cache = run->router->cache;
    const struct tk_route *route = &shard->route;

    if (fault->suspect_store &&
        tk_stores_suspect(run->router->stores, route->store,
                          route->store_epoch)) {
        renew(route->store);
    }
    tell_stores(run, shard, reaction);
    if (reaction->leader != TK_NOBODY) {
        tk_cache_set_leader(cache, route, fault->leader_peer_id,
                            fault->leader_store_id);
    }
    if (reaction->invalidate != TK_INVALID_OK) {
        tk_cache_invalidate(cache, route, reaction->invalidate);
    }
    if (fault->bucket_keys_count != 0) {
        tk_cache_set_buckets(cache, route, fault->buckets_version,
                             fault->bucket_keys, fault->bucket_keys_count);
    }
    if (fault->regions_count != 0 &&
        tk_cache_epoch_not_match(cache, route, fault->regions,
                                 fault->regions_count)) {
        /* TiKV is behind: the same once more. */
        reaction->backoff = TK_BACKOFF_REGION_MISS;
        reaction->verdict =
            shard->has_round ? TK_VERDICT_RETRY : reaction->verdict;
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
    struct tk_reaction reaction;
    tikv_error *error;

    if (arena == NULL) {
        tk_shard_fail(run, shard, tk_error_immortal(TIKV_ERR_MEMORY));
        return;
    }
    tk_region_error(bytes, arena, &fault);
    error = tk_error(code_of(&fault), "%s: %s%s%s", run->row->name, fault.name,
                     fault.message[0] == '\0' ? "" : ": ", fault.message);
    if (tk_shard_has_round(run, shard)) {
        tk_selector_judge(&shard->selector, &fault, spent_ms(run, shard),
                          &reaction);
    } else {
        react_alone(&fault, &reaction);
    }
    if (reaction.verdict == TK_VERDICT_IN_DOUBT && is_write(run)) {
        shard->in_doubt = true;
        tk_shard_fail(run, shard, error);
    } else if (reaction.verdict == TK_VERDICT_FAIL) {
        tk_shard_fail(run, shard, error);
    } else {
        correct_cache(run, shard, &fault, &reaction);
        tk_shard_set_cause(shard, error);
        if (reaction.verdict == TK_VERDICT_IN_DOUBT) {
            reaction.backoff = TK_BACKOFF_REGION_MISS; /* a read: once more */
        }
        go_on(run, shard, &reaction);
    }
    tk_arena_unref(arena);
}

/* A store that has cut its region otherwise by now says so (RC-10). */
static void
compare_buckets(struct tk_run *run, const struct tk_shard *shard)
{
    struct tk_cursor cursor = tk_cursor(shard->data);
    struct tk_field field;

    while (tk_cursor_field(&cursor, &field)) {
        if (field.number == COPROCESSOR_LATEST_BUCKETS &&
            field.type == TK_WIRE_VARINT &&
            field.value > shard->buckets_version) {
            tk_cache_want_buckets(run->router->cache, &shard->route,
                                  field.value);
        }
    }
}

/* A store that serves is known to, and how well (RS-9, ST-6). */
static void
learn(struct tk_run *run, struct tk_shard *shard)
{
    if (shard->has_round) {
        tk_cache_learn(run->router->cache, tk_shard_key(run, shard),
                       &shard->selector, &shard->route);
    }
    if (tk_run_compares_buckets(run)) {
        compare_buckets(run, shard);
    }
    if (run->job->read.from == TK_READ_PREFER_LEADER) {
        int64_t now = tk_now(run->router->rt);

        tk_store_feel(run->router->stores, shard->route.store, now,
                      now - shard->sent_at);
    }
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
    tk_op_was_server(run->op, tk_worked_ns(job->command, shard->data));
    if (peek.region_error.data != NULL) {
        judge_region_error(run, shard, peek.region_error);
        return;
    }
    tk_shard_win(run, shard);
    learn(run, shard);
    job->feed = shard->feed;
    shard->feed = NULL;
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
    tk_shard_uncount(shard);
    if (shard->status == TK_REPLY_OK) {
        tk_spent_answer(&run->op->spent, tk_shard_is_far(run, shard),
                        shard->data.len);
    }
    if (shard->is_void) {
        tk_shard_drop(run, shard);
        return;
    }
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
