/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hedged reads: when the answer to a read is `read.hedge_ms` late, the same is
 * asked of another replica, and the first valid answer is the one. Off unless
 * it is set, and never more than a share of the reads (`read.hedge_percent`),
 * so that a cluster that is slow because it has too much to do does not get
 * more of it.
 *
 *     sent ----late, credit----> twins, both sent
 *     sent ----late, no replica to be asked----> looked at again, as late
 *       twin answers validly     the other is taken back, or its answer is
 *                                thrown away when it comes
 *       twin gets into trouble   retires; the other goes on alone
 *
 * The second is a replica read: whoever answers asks the leader first how far
 * it has to be, so both say the same. A stale read stays what it was. A read
 * that may go to the leader only is never hedged.
 *
 * Runs on the runner's thread.
 */
#include "region/drive_inner.h"
#include "wire/context.h"

int64_t
tk_run_hedge_ns(const struct tk_run *run)
{
    const struct tk_config *config = run->router->config;

    return tk_run_reads(run) && !run->job->read.leader_only
               ? tk_config_ns(&config->read_hedge_ms)
               : 0;
}

/* Both are on their own from now on. */
static void
part(struct tk_shard *shard)
{
    shard->twin->twin = NULL;
    shard->twin = NULL;
}

bool
tk_shard_retire(struct tk_run *run, struct tk_shard *shard)
{
    if (shard->twin == NULL) {
        return false;
    }
    part(shard);
    tk_shard_drop(run, shard);
    return true;
}

void
tk_shard_win(struct tk_run *run, struct tk_shard *shard)
{
    struct tk_shard *loser = shard->twin;
    bool never_sent;

    if (loser == NULL) {
        return;
    }
    part(shard);
    tk_stores_hedge_ended(run->router->stores, shard->is_hedge);
    if (tk_request_take_back(&loser->request, &never_sent)) {
        tk_shards_remove(&run->sent, loser);
        tk_shard_uncount(loser);
        tk_shard_drop(run, loser);
    } else {
        loser->is_void = true; /* its note is in, or about to be */
    }
}

/* Another replica than the one that is being asked, and its connection. */
static struct tk_conn *
aim(struct tk_run *run, struct tk_shard *hedge)
{
    struct tk_cache *cache = run->router->cache;
    struct tk_runtime *rt = run->router->rt;
    struct tk_read_mode mode = run->job->read;
    struct tk_round round = { .mode = &mode, .is_read = true };
    tikv_slice key = tk_shard_key(run, hedge);
    struct tk_choice choice;
    struct tk_store *via;

    mode.busy_threshold_ms = 0;
    if (mode.from == TK_READ_LEADER) {
        mode.from = TK_READ_MIXED;
    }
    if (!tk_cache_begin_round(cache, key, &hedge->route, &round,
                              &hedge->selector) ||
        !tk_cache_adopt_attempt(&hedge->selector, &hedge->route) ||
        !tk_cache_choose(cache, key, &hedge->selector, rt->ops->random(rt),
                         &choice, &hedge->route, &via) ||
        choice.target == TK_NOBODY || choice.pause != TK_BACKOFF_KINDS ||
        via != NULL) {
        return NULL;
    }
    hedge->has_round = true;
    hedge->replica_read = choice.replica_read;
    hedge->stale_read = choice.stale_read;
    return atomic_load_explicit(&hedge->route.store->conn,
                                memory_order_acquire);
}

/* False: nobody can be asked just now. */
static bool
hedge_one(struct tk_run *run, struct tk_shard *shard)
{
    const struct tk_config *config = run->router->config;
    struct tk_shard *hedge = tk_shard_new(run);
    struct tk_conn *conn;

    if (hedge == NULL) {
        return true;
    }
    hedge->is_hedge = true;
    hedge->piece = shard->piece;
    hedge->route = shard->route;
    hedge->has_route = true;
    hedge->lacks_timeout = shard->lacks_timeout;
    hedge->arena = shard->arena;
    hedge->body = shard->body;
    tk_frame_ref(&hedge->arena->frame);
    tk_backoff_fork(&hedge->backoff, &shard->backoff);
    conn = aim(run, hedge);
    if (conn == NULL ||
        !tk_stores_may_hedge(run->router->stores,
                             tk_config_int(&config->read_hedge_percent))) {
        tk_shard_drop(run, hedge);
        return conn != NULL;
    }
    hedge->twin = shard;
    shard->twin = hedge;
    run->op->spent.hedges++;
    tk_shard_submit(run, hedge, conn);
    return true;
}

int64_t
tk_run_hedge(struct tk_run *run)
{
    int64_t now = tk_now(run->router->rt);
    int64_t earliest = TK_NEVER;
    struct tk_shard *shard = run->sent.first;

    while (shard != NULL) {
        /* A hedge goes to the list's end, and has no time of its own. */
        struct tk_shard *next = shard->next;

        if (shard->hedge_at <= now && run->sent.count < TK_DRIVE_INFLIGHT) {
            /* The address of a replica that was never asked may be on its
             * way. */
            shard->hedge_at = hedge_one(run, shard)
                                  ? TK_NEVER
                                  : tk_after(now, run->hedge_ns);
        }
        if (shard->hedge_at > now && shard->hedge_at < earliest) {
            earliest = shard->hedge_at;
        }
        shard = next;
    }
    return earliest;
}
