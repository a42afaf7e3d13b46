/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine of commit.h: a table of steps, each of which does its part and
 * names the next state. Steps return why the transaction cannot go on; where
 * that leads, the outcome decides.
 */
#include "txn/commit_inner.h"

#include "base/error.h"
#include "txn/lock.h"
#include "txn/resolver.h"
#include "txn/writes.h"

#include "kvrpcpb.upb.h"

/* Older ones may have lost their history to GC. */
#define AGE_MAX_MS (UINT64_C(24) * 3600 * 1000)

/* ---- what the phases share ---- */

bool
tk_shield_init(struct tk_shield *shield, struct tk_op *op)
{
    shield->outer = op;
    shield->call = *op->call;
    shield->call.cancel = NULL;
    shield->call.timeout_ms = TIKV_FOREVER;
    shield->call.deadline_ns = op->deadline;
    return tk_op_init(&shield->op, op->exec, &shield->call, TK_NEVER);
}

void
tk_shield_fini(struct tk_shield *shield)
{
    tk_op_fold(shield->outer, &shield->op);
    tk_op_fini(&shield->op);
}

void
tk_commit_job(struct tk_commit *commit, struct tk_job *job,
              const struct tk_job_ops *ops, enum tk_command command,
              size_t count, int64_t budget_ms)
{
    const struct tk_config *config = commit->client->router.config;

    *job = (struct tk_job){ .ops = ops, .command = command };
    job->items_count = count;
    job->piece_bytes_max = (size_t)tk_config_int(&config->txn_batch_bytes);
    job->budget_ms = tk_txn_budget(&commit->client->router, budget_ms);
    job->max_execution_ms = TK_WRITE_EXECUTION_MS;
    job->tells_doubt = true;
    job->context = commit->rules.context;
}

uint64_t
tk_commit_age_ms(const struct tk_commit *commit)
{
    int64_t passed = tk_now(commit->client->router.rt) - commit->began_at;
    uint64_t here = passed > 0 ? (uint64_t)(passed / TK_MS) : 0;
    uint64_t now = tk_txn_time_ms(commit->client);
    uint64_t start = tk_ts_ms(commit->start_ts);

    return now > start && now - start > here ? now - start : here;
}

void
tk_commit_describe(const struct tk_commit *commit, tikv_error *error)
{
    tk_error_set_u64(error, TIKV_ERROR_START_TS, commit->start_ts);
    tk_error_set_bytes(error, TIKV_ERROR_PRIMARY, commit->primary);
}

/* Keeps the mutations that have all of `with` and none of `without`; checks
 * of absence left no lock and never stay. */
static void
keep_keys(struct tk_commit *commit, uint8_t with, uint8_t without)
{
    struct tk_mutations *mutations = &commit->keys.mutations;
    size_t primary = TK_NO_PRIMARY;
    size_t kept = 0;
    size_t i;

    for (i = 0; i < mutations->count; i++) {
        struct tk_mutation mutation = mutations->items[i];

        if (mutation.op == kvrpcpb_CheckNotExists ||
            (mutation.flags & with) != with ||
            (mutation.flags & without) != 0) {
            continue;
        }
        if (i == commit->keys.primary) {
            primary = kept;
        }
        mutations->items[kept++] = mutation;
    }
    mutations->count = kept;
    commit->keys.primary = primary;
}

/* ---- steps ---- */

typedef tikv_error *
step_fn(struct tk_commit *commit, struct tk_op *op,
        const struct tk_commit_hooks *hooks);

static tikv_error *
collect(struct tk_commit *commit, struct tk_op *op,
        const struct tk_commit_hooks *hooks)
{
    const tikv_slice not_chosen = { NULL, 0 };
    const struct tk_collect_filter filter = { commit->rules.filter,
                                              commit->rules.arg };
    tikv_error *error =
        tk_collect(commit->buffer, false, not_chosen, filter, &commit->keys);

    (void)op;
    (void)hooks;
    if (error != NULL) {
        return error;
    }
    commit->all_count = commit->keys.mutations.count;
    commit->summary.keys_count = commit->all_count;
    commit->summary.bytes_count = commit->keys.bytes;
    if (commit->all_count == 0) {
        commit->state = TK_COMMIT_DONE;
        return NULL;
    }
    if (commit->start_ts == UINT64_MAX) {
        return tk_error(TIKV_ERR_ARGUMENT,
                        "start_ts %llu is for reading the newest: nothing can "
                        "be committed",
                        (unsigned long long)commit->start_ts);
    }
    commit->primary =
        tk_entry_key(tk_commit_at(commit, commit->keys.primary)->handle);
    commit->state = TK_COMMIT_PREPARE;
    return NULL;
}

static tikv_error *
check_age(const struct tk_commit *commit)
{
    uint64_t age_ms = tk_commit_age_ms(commit);

    return age_ms <= AGE_MAX_MS
               ? NULL
               : tk_error(TIKV_ERR_TOO_OLD,
                          "the transaction began %llu ms ago, %llu are allowed",
                          (unsigned long long)age_ms,
                          (unsigned long long)AGE_MAX_MS);
}

/* One phase needs one request. Where the cache knows better, TiKV need not be
 * asked, nor PD for the timestamp that goes with it. */
static bool
fits_one_request(const struct tk_commit *commit)
{
    const struct tk_router *router = &commit->client->router;
    tikv_slice last =
        tk_entry_key(tk_commit_at(commit, commit->all_count - 1)->handle);
    struct tk_route routes[2];

    if (commit->all_count == 1) {
        return true;
    }
    if (commit->keys.bytes >
        (uint64_t)tk_config_int(&router->config->txn_batch_bytes)) {
        return false;
    }
    return !tk_cache_route(router->cache,
                           tk_entry_key(tk_commit_at(commit, 0)->handle),
                           &routes[0]) ||
           !tk_cache_route(router->cache, last, &routes[1]) ||
           routes[0].region_id == routes[1].region_id;
}

static void
choose_strategy(struct tk_commit *commit)
{
    const struct tk_config *config = commit->client->router.config;
    const struct tk_collected *keys = &commit->keys;
    bool is_plain = keys->has_shared || commit->rules.commit_check != NULL ||
                    commit->rules.log != NULL ||
                    keys->checks_count == commit->all_count ||
                    strcmp(config->txn_scope, "global") != 0;

    commit->use_one_phase =
        commit->rules.one_phase && !is_plain && fits_one_request(commit);
    commit->use_async =
        commit->rules.async_commit && !is_plain &&
        commit->all_count <=
            (uint64_t)tk_config_int(&config->txn_async_keys_count) &&
        keys->key_bytes <= (uint64_t)tk_config_int(&config->txn_async_bytes);
}

/* Async and one-phase commit get their timestamp from TiKV. For the order of
 * real time it has to be above any that PD gave before now; and it must stay
 * near, so that what was checked now still holds then. */
static tikv_error *
set_limits(struct tk_commit *commit, struct tk_op *op)
{
    const struct tk_config *config = commit->client->router.config;
    uint64_t base = commit->start_ts + (tk_commit_age_ms(commit) << 18);
    tikv_error *error = NULL;
    uint64_t ts = 0;

    if (!commit->rules.causal || commit->rules.commit_after_ts != 0) {
        int64_t from = tk_now(op->rt);

        error = tk_commit_timestamp(commit, op, &ts);
        commit->summary.floor_ns = (uint64_t)(tk_now(op->rt) - from);
        if (error != NULL) {
            return error;
        }
        tk_min_commit_raise(&commit->min_commit, ts + 1, TK_MIN_COMMIT_COMMIT);
    }
    commit->max_commit_ts =
        (ts > base ? ts : base) +
        ((uint64_t)tk_config_int(&config->txn_safe_window_ms) << 18);
    if (commit->rules.schema_check != NULL) {
        error = commit->rules.schema_check(commit->max_commit_ts,
                                           commit->rules.arg);
    }
    return error;
}

/* Waits for other commits of this client that write the same keys. */
static tikv_error *
take_latches(struct tk_commit *commit, struct tk_op *op)
{
    struct tk_latches *latches = commit->client->writes->latches;
    int64_t from = tk_now(op->rt);
    tikv_error *error;
    size_t i;

    if (latches == NULL) {
        return NULL;
    }
    if (!tk_latch_ticket_init(&commit->latch, commit->start_ts,
                              commit->all_count)) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    for (i = 0; i < commit->all_count; i++) {
        tk_latch_ticket_add(&commit->latch,
                            tk_entry_key(tk_commit_at(commit, i)->handle));
    }
    error = tk_latches_lock(latches, op, &commit->latch);
    commit->summary.latch_ns = (uint64_t)(tk_now(op->rt) - from);
    return error;
}

static tikv_error *
prepare(struct tk_commit *commit, struct tk_op *op,
        const struct tk_commit_hooks *hooks)
{
    tikv_error *error = tk_op_check(op);

    (void)hooks;
    if (error == NULL) {
        error = check_age(commit);
    }
    if (error == NULL) {
        error = take_latches(commit, op);
    }
    if (error != NULL) {
        return error;
    }
    tk_commit_presplit(commit, op);
    choose_strategy(commit);
    (void)tk_min_commit_claim(&commit->min_commit);
    tk_min_commit_raise(&commit->min_commit, commit->start_ts + 1,
                        TK_MIN_COMMIT_COMMIT);
    if (commit->use_async || commit->use_one_phase) {
        error = set_limits(commit, op);
    }
    commit->state = TK_COMMIT_PREWRITE;
    return error;
}

/* One phase was asked for and not granted. Where an answer was lost, TiKV may
 * have committed all at once, and a region that was split since lets the keys
 * come again in several requests, each of which just succeeds. Those of an
 * async commit are told the timestamp; else only the primary knows it. */
static tikv_error *
leave_one_phase(struct tk_commit *commit, struct tk_op *op)
{
    struct tk_txn_fate fate = { .state = TK_TXN_UNKNOWN };
    struct tk_backoff backoff;
    tikv_error *error = NULL;

    if (commit->sent_one_phase && commit->some_unanswered &&
        !commit->use_async) {
        tk_backoff_init(&backoff, tk_txn_budget(&commit->client->router,
                                                TK_BUDGET_PREWRITE_MS));
        error = tk_resolver_ask(commit->client->resolver, op, &backoff,
                                commit->start_ts, commit->primary, TK_ASK_LOOK,
                                &fate);
    }
    if (error != NULL) {
        return error;
    }
    if (fate.state == TK_TXN_COMMITTED) {
        commit->commit_ts = fate.commit_ts;
        commit->in_one_phase = true;
    } else {
        commit->use_one_phase = false;
        commit->summary.fallbacks |= TIKV_FALLBACK_1PC;
    }
    return NULL;
}

static tikv_error *
prewrite(struct tk_commit *commit, struct tk_op *op,
         const struct tk_commit_hooks *hooks)
{
    bool is_point = commit->use_async || commit->use_one_phase;
    int64_t from = tk_now(op->rt);
    tikv_error *error;

    if (is_point) {
        tk_outcome_reach(&commit->outcome, TK_OUTCOME_SENT);
    }
    error = tk_commit_log_start(commit, op);
    if (error == NULL) {
        error = tk_commit_log_join(commit, op,
                                   tk_commit_prewrite(commit, op, hooks));
    }
    if (error == NULL && commit->use_one_phase && !commit->in_one_phase) {
        error = leave_one_phase(commit, op);
    }
    commit->summary.prewrite_ns = (uint64_t)(tk_now(op->rt) - from);
    if (error != NULL) {
        return error;
    }
    /* From here on keys are enough. */
    tk_buffer_discard_values(commit->buffer);
    if (commit->in_one_phase || commit->use_async ||
        commit->keys.checks_count == commit->all_count) {
        if (commit->use_async && !commit->in_one_phase) {
            commit->commit_ts = commit->answered_ts;
        }
        commit->state = TK_COMMIT_COMMITTED;
        return NULL;
    }
    keep_keys(commit, 0, 0);
    commit->state = TK_COMMIT_TIMESTAMP;
    return NULL;
}

static tikv_error *
timestamp(struct tk_commit *commit, struct tk_op *op,
          const struct tk_commit_hooks *hooks)
{
    const struct tk_commit_rules *rules = &commit->rules;
    int64_t from = tk_now(op->rt);
    tikv_error *error = tk_commit_timestamp(commit, op, &commit->commit_ts);

    (void)hooks;
    commit->summary.timestamp_ns += (uint64_t)(tk_now(op->rt) - from);
    if (error == NULL) {
        error = check_age(commit);
    }
    if (error == NULL && rules->schema_check != NULL) {
        error = rules->schema_check(commit->commit_ts, rules->arg);
    }
    if (error == NULL && rules->commit_check != NULL) {
        error = rules->commit_check(commit->commit_ts, rules->arg);
    }
    if (error == NULL) {
        error = tk_op_check(op);
    }
    commit->state = TK_COMMIT_PRIMARY;
    return error;
}

static tikv_error *
commit_primary(struct tk_commit *commit, struct tk_op *op,
               const struct tk_commit_hooks *hooks)
{
    int64_t from = tk_now(op->rt);
    tikv_error *error;
    bool expired;

    (void)hooks;
    error = tk_commit_primary(commit, op, &expired);
    commit->summary.commit_ns += (uint64_t)(tk_now(op->rt) - from);
    if (error == NULL && expired) {
        /* No request sent so far can commit any more. */
        commit->outcome = TK_OUTCOME_NONE;
        commit->state = TK_COMMIT_TIMESTAMP;
    } else if (error == NULL) {
        commit->state = TK_COMMIT_COMMITTED;
    }
    return error;
}

/* The transaction is committed; what is left are locks. */
static tikv_error *
committed(struct tk_commit *commit, struct tk_op *op,
          const struct tk_commit_hooks *hooks)
{
    const struct tk_txn_fate fate = { .state = TK_TXN_COMMITTED,
                                      .commit_ts = commit->commit_ts };

    (void)op;
    tk_outcome_reach(&commit->outcome, TK_OUTCOME_COMMITTED);
    keep_keys(commit, 0, TK_MUTATION_DONE);
    if (commit->in_one_phase) {
        commit->keys.mutations.count = 0;
    }
    if (commit->keys.mutations.count != 0) {
        tk_resolver_learn(commit->client->resolver, commit->start_ts, &fate);
        hooks->leave(hooks->arg);
    }
    commit->state = TK_COMMIT_DONE;
    return NULL;
}

/* A prewrite whose answer got lost may come to TiKV when all is over, and
 * then make the last lock that an async commit waits for. Only a decision
 * recorded at the primary ends that. True: the transaction turned out to be
 * committed. */
static bool
prove_failure(struct tk_commit *commit, struct tk_op *op)
{
    struct tk_txn_fate fate = { .state = TK_TXN_UNKNOWN };
    struct tk_shield shield;
    struct tk_backoff backoff;
    tikv_error *error = tk_error_immortal(TIKV_ERR_MEMORY);

    tk_backoff_init(
        &backoff, tk_txn_budget(&commit->client->router, TK_BUDGET_CLEANUP_MS));
    if (tk_shield_init(&shield, op)) {
        error = tk_resolver_ask(commit->client->resolver, &shield.op, &backoff,
                                commit->start_ts, commit->primary, TK_ASK_END,
                                &fate);
        tk_shield_fini(&shield);
    }
    if (error != NULL ||
        (fate.state != TK_TXN_COMMITTED && fate.state != TK_TXN_ROLLED_BACK)) {
        tk_outcome_reach(&commit->outcome, TK_OUTCOME_UNDETERMINED);
    } else if (fate.state == TK_TXN_COMMITTED) {
        commit->commit_ts = fate.commit_ts;
    }
    tikv_error_free(error);
    return error == NULL && fate.state == TK_TXN_COMMITTED;
}

static tikv_error *
failed(struct tk_commit *commit, struct tk_op *op,
       const struct tk_commit_hooks *hooks)
{
    bool is_point = commit->use_async || commit->use_one_phase;

    if (is_point && commit->some_unanswered && !commit->is_refused &&
        prove_failure(commit, op)) {
        tikv_error_free(commit->error);
        commit->error = NULL;
        commit->state = TK_COMMIT_COMMITTED;
        return NULL;
    }
    if (commit->outcome == TK_OUTCOME_UNDETERMINED) {
        commit->state = TK_COMMIT_UNDETERMINED;
        return NULL;
    }
    tk_outcome_reach(&commit->outcome, TK_OUTCOME_FAILED);
    /* What was refused left nothing behind, unless an answer was lost. */
    keep_keys(commit, commit->some_unanswered ? 0 : TK_MUTATION_PREWRITTEN, 0);
    if (commit->keys.mutations.count != 0 &&
        (commit->some_prewritten || commit->some_unanswered)) {
        hooks->leave(hooks->arg);
    }
    commit->state = TK_COMMIT_DONE;
    return NULL;
}

static tikv_error *
undetermined(struct tk_commit *commit, struct tk_op *op,
             const struct tk_commit_hooks *hooks)
{
    (void)op;
    (void)hooks;
    commit->error = tk_error_recode(
        tk_error_wrap(commit->error, "the transaction may have been "
                                     "committed, the answer is missing"),
        TIKV_ERR_UNDETERMINED);
    commit->state = TK_COMMIT_DONE;
    return NULL;
}

static step_fn *const steps[] = {
    [TK_COMMIT_COLLECT] = collect,
    [TK_COMMIT_PREPARE] = prepare,
    [TK_COMMIT_PREWRITE] = prewrite,
    [TK_COMMIT_TIMESTAMP] = timestamp,
    [TK_COMMIT_PRIMARY] = commit_primary,
    [TK_COMMIT_COMMITTED] = committed,
    [TK_COMMIT_FAILED] = failed,
    [TK_COMMIT_UNDETERMINED] = undetermined,
};

/* ---- the machine ---- */

void
tk_commit_init(struct tk_commit *commit, struct tk_txn_client *client,
               struct tk_buffer *buffer, uint64_t start_ts,
               const struct tk_commit_rules *rules)
{
    *commit = (struct tk_commit){
        .client = client,
        .buffer = buffer,
        .rules = *rules,
        .start_ts = start_ts,
        .began_at = tk_now(client->router.rt),
        .keys = { .primary = TK_NO_PRIMARY },
        .summary = { .struct_size = sizeof(tikv_txn_summary),
                     .start_ts = start_ts },
    };
    tk_min_commit_init(&commit->min_commit);
}

void
tk_commit_fini(struct tk_commit *commit)
{
    tk_collected_fini(&commit->keys);
    tk_latch_ticket_fini(&commit->latch);
    tk_min_commit_fini(&commit->min_commit);
}

static uint32_t
mode_of(const struct tk_commit *commit)
{
    return commit->all_count == 0                          ? TIKV_MODE_NOTHING
           : commit->in_one_phase || commit->use_one_phase ? TIKV_MODE_1PC
           : commit->use_async                             ? TIKV_MODE_ASYNC
                                                           : TIKV_MODE_2PC;
}

tikv_error *
tk_commit_run(struct tk_commit *commit, struct tk_op *op,
              const struct tk_commit_hooks *hooks)
{
    tikv_error *error;

    while (commit->state != TK_COMMIT_DONE) {
        error = steps[commit->state](commit, op, hooks);
        if (error != NULL) {
            commit->error = error;
            commit->state = commit->outcome == TK_OUTCOME_UNDETERMINED
                                ? TK_COMMIT_UNDETERMINED
                                : TK_COMMIT_FAILED;
        }
    }
    if (commit->outcome != TK_OUTCOME_COMMITTED) {
        commit->commit_ts = 0;
    }
    if (commit->latch.taken != 0) {
        tk_latches_unlock(commit->client->writes->latches, &commit->latch,
                          commit->commit_ts);
    }
    tk_commit_log_end(commit);
    commit->summary.mode = mode_of(commit);
    commit->summary.commit_ts = commit->commit_ts;
    error = commit->error;
    commit->error = NULL;
    tk_commit_describe(commit, error);
    return error;
}
