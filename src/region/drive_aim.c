/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the next attempt of a shard goes: the region of its first key, and
 * the replica. Most first attempts go to the leader that is known to be well,
 * without a selector; a round is begun when there is a choice to make, or
 * something to remember.
 *
 * Runs on the runner's thread.
 */
#include "base/error.h"
#include "region/drive_inner.h"

/* So long PD is waited for where there is something to go on with. */
#define ASK_NS (1000 * TK_MS)

bool
tk_run_reads(const struct tk_run *run)
{
    switch ((int)run->job->command) {
    case TK_CMD_RAW_GET:
    case TK_CMD_RAW_BATCH_GET:
    case TK_CMD_RAW_SCAN:
    case TK_CMD_RAW_BATCH_SCAN:
    case TK_CMD_RAW_GET_KEY_TTL:
    case TK_CMD_KV_GET:
    case TK_CMD_KV_BATCH_GET:
    case TK_CMD_KV_SCAN:
    case TK_CMD_COPROCESSOR:
    case TK_CMD_COPROCESSOR_STREAM:
        return true;
    default:
        return false;
    }
}

tikv_slice
tk_shard_key(const struct tk_run *run, const struct tk_shard *shard)
{
    return tk_run_is_range(run)
               ? shard->piece.start
               : run->job->ops->key(run->job, shard->piece.first);
}

bool
tk_shard_needs_end(const struct tk_run *run, const struct tk_shard *shard)
{
    return tk_run_is_range(run) || shard->piece.count > 1;
}

/* ---- PD ---- */

/* PD may take no longer than what is left of the shard's budget, nor than
 * `most_ns`: meanwhile the op ends earlier. */
struct loan {
    int64_t deadline;
    int64_t begun;
    int64_t slept_ms;
};

static struct loan
lend(struct tk_run *run, const struct tk_shard *shard, int64_t most_ns)
{
    struct tk_op *op = run->op;
    int64_t now = tk_now(op->rt);
    int64_t left_ms = tk_backoff_left_ms(&shard->backoff);
    int64_t left_ns = left_ms > most_ns / TK_MS ? most_ns : left_ms * TK_MS;
    /* As a pause, so a question to PD may overdraw the budget once. */
    int64_t until = tk_after(now, left_ns < ASK_NS ? ASK_NS : left_ns);
    struct loan loan = { op->deadline, now, shard->backoff.total_ms };

    op->deadline = until < op->deadline ? until : op->deadline;
    return loan;
}

/* The op has its deadline again. What ended only the loan ends the budget: the
 * wait for PD is told with the other pauses. */
static tikv_error *
settle(struct tk_run *run, struct tk_shard *shard, const struct loan *loan,
       tikv_error *error)
{
    struct tk_op *op = run->op;
    tikv_error *end;

    op->deadline = loan->deadline;
    if (error == NULL || tikv_error_code(error) != TIKV_ERR_TIMEOUT) {
        return error;
    }
    end = tk_op_check(op);
    if (end != NULL) {
        tikv_error_free(end);
        return error;
    }
    tk_backoff_charge(&shard->backoff, TK_BACKOFF_PD_RPC,
                      (tk_now(op->rt) - loan->begun) / TK_MS -
                          (shard->backoff.total_ms - loan->slept_ms));
    return tk_backoff_exceeded(&shard->backoff, error);
}

/* ---- the region ---- */

static tikv_slice
key_of(void *arg, size_t item)
{
    struct tk_job *job = arg;

    return job->ops->key(job, item);
}

/* Where the first region is not known, the next ones often are not either:
 * one call of PD tells of many. */
static tikv_error *
look_ahead(struct tk_run *run, struct tk_shard *shard, tikv_slice key)
{
    const struct tk_piece *piece = &shard->piece;
    struct tk_wants wants = {
        .key = tk_run_is_range(run) ? NULL : key_of,
        .arg = run->job,
        .first = piece->first,
        .count = piece->count,
        .range = { piece->start, piece->end },
    };

    return tk_cache_has(run->router->cache, key)
               ? NULL
               : tk_cache_fill(run->router->cache, run->op, &wants);
}

/* The region of the first key; what lies beyond it is cut off. */
static tikv_error *
locate(struct tk_run *run, struct tk_shard *shard, tikv_slice key)
{
    struct tk_cache *cache = run->router->cache;
    bool needs_end = tk_shard_needs_end(run, shard);
    struct loan loan = lend(run, shard, TK_NEVER);
    tikv_error *error = needs_end ? look_ahead(run, shard, key) : NULL;

    if (error == NULL) {
        error = tk_cache_locate(cache, run->op, key, false, &shard->backoff,
                                &shard->route, NULL,
                                needs_end ? &run->end : NULL);
    }
    error = settle(run, shard, &loan, error);
    if (error == NULL && run->end.failed) {
        error = tk_error_immortal(TIKV_ERR_MEMORY);
    }
    if (error == NULL) {
        shard->has_route = true;
        shard->piece.region_id = shard->route.region_id;
        error = needs_end ? tk_shard_cut(run, shard) : NULL;
    }
    return error;
}

/* ---- the round ---- */

static bool
begin_round(struct tk_run *run, struct tk_shard *shard, tikv_slice key)
{
    const struct tk_read_mode *mode = &run->job->read;
    struct tk_round round = {
        .mode = mode,
        .is_read = tk_run_reads(run),
        .has_timeout = mode->timeout_ms > 0 && !shard->lacks_timeout,
        .may_forward =
            tk_config_int(&run->router->config->region_forwards) != 0,
    };

    shard->has_round = tk_cache_begin_round(run->router->cache, key,
                                            &shard->route, &round,
                                            &shard->selector);
    return shard->has_round;
}

bool
tk_shard_has_round(struct tk_run *run, struct tk_shard *shard)
{
    if (!shard->has_round &&
        begin_round(run, shard, tk_shard_key(run, shard)) &&
        !tk_cache_adopt_attempt(&shard->selector, &shard->route)) {
        shard->has_round = false;
    }
    return shard->has_round;
}

/* The leader, as long as nothing speaks against it. */
static bool
is_plain(const struct tk_run *run)
{
    const struct tk_read_mode *mode = &run->job->read;

    return !tk_run_reads(run) ||
           (mode->from == TK_READ_LEADER && !mode->is_stale &&
            mode->busy_threshold_ms == 0);
}

static bool
is_well(const struct tk_route *route)
{
    struct tk_store *store = route->store;

    return atomic_load_explicit(&store->conn, memory_order_acquire) != NULL &&
           !atomic_load(&store->needs_check) &&
           tk_store_liveness(store) == TK_ALIVE &&
           atomic_load(&store->epoch) == route->store_epoch;
}

static void
set_how(struct tk_shard *shard, const struct tk_choice *choice,
        struct tk_store *via)
{
    shard->via = via;
    shard->via_epoch = via == NULL ? 0 : atomic_load(&via->epoch);
    shard->replica_read = choice != NULL && choice->replica_read;
    shard->stale_read = choice != NULL && choice->stale_read;
    shard->busy_threshold_ms = choice == NULL ? 0 : choice->busy_threshold_ms;
}

/* Nobody is left: the keys are looked up anew, after what is owed. */
static void
end_round(struct tk_run *run, struct tk_shard *shard,
          const struct tk_choice *choice, struct tk_store *suspect)
{
    if (choice->suspect != TK_NOBODY && suspect != NULL &&
        !atomic_load(&suspect->is_out)) {
        tk_stores_suspect(run->router->stores, suspect,
                          atomic_load(&suspect->epoch));
    }
    if (shard->cause == NULL) {
        tk_shard_set_cause(shard, tk_error(TIKV_ERR_REGION, "%s: %s",
                                           run->row->name, choice->why));
    }
    shard->lacks_timeout |= shard->selector.has_timeout;
    shard->has_round = false;
    tk_shard_pause(run, shard,
                   choice->pause != TK_BACKOFF_KINDS ? choice->pause
                                                     : TK_BACKOFF_REGION_MISS,
                   choice->pause_max_ms);
}

enum found { FOUND_AIM, FOUND_NEWS, FOUND_NOTHING };

/* FOUND_NEWS: the region changed meanwhile. FOUND_NOTHING: the shard is on a
 * list. */
static enum found
choose(struct tk_run *run, struct tk_shard *shard, tikv_slice key,
       bool *is_last_resort)
{
    struct tk_runtime *rt = run->router->rt;
    struct tk_choice choice;
    struct tk_store *via;

    if (!tk_cache_choose(run->router->cache, key, &shard->selector,
                         rt->ops->random(rt), &choice, &shard->route, &via)) {
        shard->has_round = false;
        return FOUND_NEWS;
    }
    *is_last_resort = choice.is_last_resort;
    if (choice.target == TK_NOBODY) {
        end_round(run, shard, &choice, via);
        return FOUND_NOTHING;
    }
    set_how(shard, &choice, via);
    if (choice.pause != TK_BACKOFF_KINDS) {
        shard->is_aimed = true;
        tk_shard_pause(run, shard, choice.pause, choice.pause_max_ms);
        return FOUND_NOTHING;
    }
    return FOUND_AIM;
}

/* ---- the store ---- */

/* The store's present connection, or the one before where PD does not say in
 * time whether it has moved: then the next look at all stores does. */
static tikv_error *
resolve(struct tk_run *run, struct tk_shard *shard, struct tk_store *store,
        struct tk_conn **out)
{
    struct tk_stores *stores = run->router->stores;
    struct tk_conn *known =
        atomic_load_explicit(&store->conn, memory_order_acquire);
    struct loan loan;
    tikv_error *error;

    if (known != NULL && !atomic_load(&store->needs_check)) {
        *out = known;
        return NULL;
    }
    loan = lend(run, shard, known != NULL ? ASK_NS : TK_NEVER);
    error = tk_stores_resolve(stores, store, run->op, out);
    if (error == NULL || known == NULL) {
        return settle(run, shard, &loan, error);
    }
    run->op->deadline = loan.deadline;
    if (tikv_error_code(error) == TIKV_ERR_TIMEOUT ||
        tikv_error_code(error) == TIKV_ERR_PD) {
        tikv_error_free(error);
        error = tk_op_check(run->op);
    }
    if (error == NULL) {
        tk_stores_put_off(stores, store);
        *out = known;
    }
    return error;
}

/* The connection to whoever gets the request. NULL without error: there is
 * none, or its store is where it could not be reached. */
static tikv_error *
reach(struct tk_run *run, struct tk_shard *shard, bool is_last_resort,
      struct tk_conn **out)
{
    struct tk_store *store =
        shard->via != NULL ? shard->via : shard->route.store;
    bool was_asked = atomic_load(&store->needs_check);
    tikv_error *error = resolve(run, shard, store, out);

    if (error != NULL && tikv_error_code(error) == TIKV_ERR_UNAVAILABLE) {
        tikv_error_free(error);
        error = NULL;
        *out = NULL;
    }
    /* What it is shows when it is asked for. */
    if (error == NULL && ((was_asked && !is_last_resort &&
                           atomic_load(&store->is_out)) ||
                          atomic_load(&store->is_foreign))) {
        *out = NULL;
    }
    return error;
}

/* Whether an out leader has moved, PD knows; only then a choice can be made.
 * If PD does not help in time, the choice is made without. */
static void
ask_where(struct tk_run *run, struct tk_shard *shard, struct tk_store *store)
{
    struct tk_conn *conn;

    if (atomic_load(&store->is_out) && atomic_load(&store->needs_check)) {
        tikv_error_free(resolve(run, shard, store, &conn));
    }
}

static bool
aim_first(struct tk_run *run, struct tk_shard *shard, tikv_slice key)
{
    struct tk_cache *cache = run->router->cache;
    tikv_error *error;

    set_how(shard, NULL, NULL);
    if (is_plain(run) && !tk_shard_needs_end(run, shard) &&
        tk_cache_route(cache, key, &shard->route)) {
        shard->has_route = true;
        shard->piece.region_id = shard->route.region_id;
        return true;
    }
    error = locate(run, shard, key);
    if (error != NULL) {
        tk_shard_fail(run, shard, error);
        return false;
    }
    if (is_plain(run) && is_well(&shard->route)) {
        return true;
    }
    ask_where(run, shard, shard->route.store);
    if (!begin_round(run, shard, key)) {
        /* Replaced since it was found. */
        tk_shard_pause(run, shard, TK_BACKOFF_KINDS, -1);
        return false;
    }
    return true;
}

/* The bounds that the body was made for are no more: nothing is sent. What
 * the last answer said of it stands in the message. */
static bool
has_moved(struct tk_run *run, struct tk_shard *shard)
{
    const struct tk_region_pin *pin = &run->job->pin;
    tikv_error *error;

    if (pin->region_id == 0 || (shard->route.region_id == pin->region_id &&
                                shard->route.version == pin->version)) {
        return false;
    }
    error = tk_error(TIKV_ERR_REGION,
                     "%s: region %llu of version %llu is there no more%s%s",
                     run->row->name, (unsigned long long)pin->region_id,
                     (unsigned long long)pin->version,
                     shard->cause == NULL ? "" : ": ",
                     shard->cause == NULL ? ""
                                          : tikv_error_message(shard->cause));
    tk_error_set_u64(error, TIKV_ERROR_REGION_MOVED, 1);
    tk_shard_fail(run, shard, error);
    return true;
}

struct tk_conn *
tk_shard_aim(struct tk_run *run, struct tk_shard *shard)
{
    tikv_slice key = tk_shard_key(run, shard);
    bool is_aimed = shard->is_aimed;
    bool is_last_resort = false;
    struct tk_conn *conn = NULL;

    shard->is_aimed = false;
    if (!shard->has_round &&
        (!aim_first(run, shard, key) || has_moved(run, shard))) {
        return NULL;
    }
    while (conn == NULL) {
        tikv_error *error;

        if (shard->has_round && !is_aimed) {
            switch (choose(run, shard, key, &is_last_resort)) {
            case FOUND_AIM:
                break;
            case FOUND_NEWS:
                tk_shard_pause(run, shard, TK_BACKOFF_KINDS, -1);
                return NULL;
            case FOUND_NOTHING:
            default:
                return NULL;
            }
        }
        is_aimed = false;
        error = reach(run, shard, is_last_resort, &conn);
        if (error == NULL && conn == NULL && !shard->has_round &&
            !tk_shard_has_round(run, shard)) {
            tk_shard_pause(run, shard, TK_BACKOFF_REGION_MISS, -1);
            return NULL;
        }
        if (error != NULL) {
            tk_shard_fail(run, shard, error);
            return NULL;
        }
        if (conn == NULL && shard->cause == NULL) {
            tk_shard_set_cause(shard, tk_error(TIKV_ERR_UNAVAILABLE,
                                               "the store is not there"));
        }
    }
    return conn;
}
