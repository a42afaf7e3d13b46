/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a transaction: options, begin, end, and who holds it. See
 * txn.h for the phases and the lock.
 */
#include "txn/txn.h"

#include <string.h>

#include "base/alloc.h"
#include "base/call.h"
#include "base/error.h"
#include "base/slice.h"
#include "wire/proto.h"

#define COMMIT_AFTER_MS 1000

/* Fields of kvrpcpb.Context. */
enum { CONTEXT_DISK_FULL = 19, CONTEXT_TXN_SOURCE = 25 };

/* ---- options ---- */

static tikv_error *
check_switch(const char *name, tikv_switch wanted)
{
    return wanted >= TIKV_DEFAULT && wanted <= TIKV_OFF
               ? NULL
               : tk_error(TIKV_ERR_ARGUMENT, "%s is %d: not a switch", name,
                          (int)wanted);
}

static tikv_error *
check_choice(const char *name, uint32_t wanted, uint32_t max)
{
    return wanted <= max
               ? NULL
               : tk_error(TIKV_ERR_ARGUMENT, "%s is %u: not one of 0 .. %u",
                          name, (unsigned)wanted, (unsigned)max);
}

tikv_error *
tk_txn_read_options(const struct tk_config *config,
                    const tikv_txn_options *options, tikv_txn_options *out)
{
    tikv_error *error = tk_options_read(options, sizeof(*out), out);

    if (error == NULL && out->reserved != 0) {
        error = tk_error(TIKV_ERR_ARGUMENT, "reserved is not 0");
    }
    if (error == NULL) {
        error = check_switch("async_commit", out->async_commit);
    }
    if (error == NULL) {
        error = check_switch("one_phase", out->one_phase);
    }
    if (error == NULL) {
        error = check_switch("causal", out->causal);
    }
    if (error == NULL) {
        error =
            check_choice("assertions", out->assertions, TIKV_ASSERTIONS_STRICT);
    }
    if (error == NULL) {
        error = check_choice("locks", out->locks, TIKV_LOCKS_FAIL);
    }
    if (error == NULL) {
        error =
            check_choice("disk_full", out->disk_full, TIKV_DISK_FULL_ALREADY);
    }
    if (error != NULL) {
        return error;
    }
    out->call.struct_size = sizeof(out->call);
    if (out->attempts_count == 0) {
        out->attempts_count =
            (uint32_t)tk_config_int(&config->txn_attempts_count);
    }
    if (out->max_bytes == 0) {
        out->max_bytes = (uint64_t)tk_config_int(&config->txn_max_bytes);
    }
    if (out->max_entry_bytes == 0) {
        out->max_entry_bytes =
            (uint64_t)tk_config_int(&config->txn_max_entry_bytes);
    }
    if (out->commit_after_ms == 0) {
        out->commit_after_ms = COMMIT_AFTER_MS;
    }
    return NULL;
}

static bool
is_on(tikv_switch wanted, const tk_setting *setting)
{
    return wanted == TIKV_DEFAULT ? tk_config_int(setting) != 0
                                  : wanted == TIKV_ON;
}

static uint8_t *
put_number(uint8_t *at, uint32_t field, uint64_t number)
{
    if (number != 0) {
        at = tk_varint_put(at, field << 3 | TK_WIRE_VARINT);
        at = tk_varint_put(at, number);
    }
    return at;
}

static void
set_rules(tikv_txn *txn, const tikv_txn_options *options)
{
    const struct tk_config *config = txn->client->router.config;
    uint8_t *end;

    txn->rules = (struct tk_commit_rules){
        .async_commit = is_on(options->async_commit, &config->txn_async_commit),
        .one_phase = is_on(options->one_phase, &config->txn_one_phase),
        .causal = options->causal == TIKV_ON,
        .fails_on_locks = options->locks == TIKV_LOCKS_FAIL,
        .assertions = (uint8_t)options->assertions,
        .commit_after_ts = options->commit_after_ts,
        .commit_after_ms = options->commit_after_ms,
        .schema_check = options->schema_check,
        .commit_check = options->commit_check,
        .arg = options->arg,
    };
    end = put_number(txn->context, CONTEXT_DISK_FULL, options->disk_full);
    end = put_number(end, CONTEXT_TXN_SOURCE, options->source);
    txn->rules.context = tk_slice(txn->context, (size_t)(end - txn->context));
    txn->on_end = options->on_end;
    txn->on_background = options->on_background;
    txn->arg = options->arg;
}

/* ---- begin ---- */

static size_t
text_size(const char *text)
{
    return text == NULL ? 0 : strlen(text) + 1;
}

static const char *
copy_text(const char *text, uint8_t **at)
{
    size_t size = text_size(text);
    char *copy = (char *)*at;

    if (text == NULL) {
        return NULL;
    }
    memcpy(copy, text, size);
    *at += size;
    return copy;
}

static size_t
call_size(const tikv_call *call)
{
    return text_size(call->request_source) + text_size(call->resource_group) +
           call->resource_tag.len + call->trace_id.len;
}

static tikv_slice
copy_bytes(tikv_slice bytes, uint8_t **at)
{
    tikv_slice copy = { NULL, 0 };

    if (bytes.len != 0) {
        memcpy(*at, bytes.data, bytes.len);
        copy = tk_slice(*at, bytes.len);
        *at += bytes.len;
    }
    return copy;
}

/* What holds for the whole transaction; the texts stand behind the struct. */
static void
set_call(tikv_txn *txn, const tikv_call *call)
{
    uint8_t *at = (uint8_t *)(txn + 1);

    txn->call = (tikv_call)TIKV_CALL_INIT;
    txn->call.request_source = copy_text(call->request_source, &at);
    txn->call.resource_group = copy_text(call->resource_group, &at);
    txn->call.resource_tag = copy_bytes(call->resource_tag, &at);
    txn->call.trace_id = copy_bytes(call->trace_id, &at);
    txn->call.priority = call->priority;
}

static tikv_txn *
txn_new(struct tk_txn_client *client, const tikv_txn_options *options,
        uint64_t start_ts)
{
    struct tk_snapshot_options reads = { .version = start_ts };
    size_t size = sizeof(tikv_txn) + call_size(&options->call);
    tikv_txn *txn = tk_calloc(size);

    if (txn == NULL) {
        return NULL;
    }
    atomic_init(&txn->refs, 1);
    tk_mutex_init(&txn->lock, TK_RANK_LEAF);
    txn->client = client;
    txn->exec = client->router.exec;
    tk_exec_ref(txn->exec);
    txn->start_ts = start_ts;
    txn->buffer = tk_buffer_new();
    txn->snapshot = tk_snapshot_new(client, &reads);
    if (txn->buffer == NULL || txn->snapshot == NULL) {
        tk_txn_unref(txn);
        return NULL;
    }
    tk_buffer_set_limits(txn->buffer, options->max_entry_bytes,
                         options->max_bytes);
    set_call(txn, &options->call);
    set_rules(txn, options);
    return txn;
}

tikv_error *
tk_txn_begin(struct tk_txn_client *client, struct tk_op *op,
             const tikv_txn_options *options, tikv_txn **out)
{
    uint64_t start_ts = options->start_ts;
    tikv_error *error = NULL;

    *out = NULL;
    if (start_ts == 0) {
        error = tk_pd_timestamp(client->router.pd, op, &start_ts);
    }
    if (error != NULL) {
        return error;
    }
    *out = txn_new(client, options, start_ts);
    return *out == NULL ? tk_error_immortal(TIKV_ERR_MEMORY) : NULL;
}

void
tk_txn_ref(tikv_txn *txn)
{
    atomic_fetch_add_explicit(&txn->refs, 1, memory_order_relaxed);
}

void
tk_txn_unref(tikv_txn *txn)
{
    if (atomic_fetch_sub_explicit(&txn->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    if (txn->has_commit) {
        tk_commit_fini(&txn->commit);
    }
    if (txn->snapshot != NULL) {
        tk_snapshot_unref(txn->snapshot);
    }
    if (txn->buffer != NULL) {
        tk_buffer_free(txn->buffer);
    }
    tk_mutex_fini(&txn->lock);
    tk_exec_unref(txn->exec);
    tk_free(txn);
}

void
tk_txn_call(const tikv_txn *txn, const tikv_call *call, tikv_call *out)
{
    if (call == NULL) {
        *out = txn->call;
        return;
    }
    *out = *call;
    out->struct_size = sizeof(*out);
    if (out->request_source == NULL) {
        out->request_source = txn->call.request_source;
    }
    if (out->resource_group == NULL) {
        out->resource_group = txn->call.resource_group;
    }
    if (out->resource_tag.data == NULL) {
        out->resource_tag = txn->call.resource_tag;
    }
    if (out->trace_id.data == NULL) {
        out->trace_id = txn->call.trace_id;
    }
    if (out->priority == TIKV_PRIORITY_NORMAL) {
        out->priority = txn->call.priority;
    }
}

/* ---- the end ---- */

static tikv_error *
wrong_phase(const tikv_txn *txn, enum tk_txn_phase phase)
{
    return tk_error(TIKV_ERR_STATE, "transaction %llu %s",
                    (unsigned long long)txn->start_ts,
                    phase == TK_TXN_ENDING ? "is just being ended"
                                           : "has ended");
}

tikv_error *
tk_txn_open(tikv_txn *txn)
{
    enum tk_txn_phase phase;

    tk_mutex_lock(&txn->lock);
    phase = txn->phase;
    if (phase == TK_TXN_OPEN) {
        return NULL;
    }
    tk_mutex_unlock(&txn->lock);
    return wrong_phase(txn, phase);
}

tikv_error *
tk_txn_claim_end(tikv_txn *txn)
{
    tikv_error *error = tk_txn_open(txn);

    if (error == NULL) {
        txn->phase = TK_TXN_ENDING;
        tk_mutex_unlock(&txn->lock);
    }
    return error;
}

static void
set_ended(tikv_txn *txn)
{
    tk_mutex_lock(&txn->lock);
    txn->phase = TK_TXN_ENDED;
    tk_mutex_unlock(&txn->lock);
}

tikv_slice
tk_txn_primary(const tikv_txn *txn)
{
    const tikv_slice none = { NULL, 0 };

    return atomic_load(&txn->is_named) ? txn->primary : none;
}

size_t
tk_txn_count(tikv_txn *txn)
{
    size_t count;

    tk_mutex_lock(&txn->lock);
    count = txn->phase == TK_TXN_OPEN ? tk_buffer_count(txn->buffer) : 0;
    tk_mutex_unlock(&txn->lock);
    return count;
}

uint64_t
tk_txn_size(tikv_txn *txn)
{
    uint64_t size;

    tk_mutex_lock(&txn->lock);
    size = txn->phase == TK_TXN_OPEN ? tk_buffer_size(txn->buffer) : 0;
    tk_mutex_unlock(&txn->lock);
    return size;
}

static void
alive_ended(struct tk_keepalive *alive)
{
    tk_txn_unref(
        (tikv_txn *)(void *)((char *)alive - offsetof(tikv_txn, alive)));
}

static void
keep_alive(void *arg)
{
    tikv_txn *txn = arg;

    txn->alive.start_ts = txn->start_ts;
    txn->alive.primary = txn->commit.primary;
    txn->alive.ended = alive_ended;
    tk_txn_ref(txn);
    if (!tk_keepalive_start(&txn->client->writes->keepalives, &txn->alive)) {
        tk_txn_unref(txn);
    }
}

static void
run_chore(struct tk_chore *chore, struct tk_op *op)
{
    tikv_txn *txn =
        (tikv_txn *)(void *)((char *)chore - offsetof(tikv_txn, chore));

    tk_commit_finish(&txn->commit, op);
    if (txn->on_background != NULL) {
        txn->on_background(false, txn->arg);
    }
    tk_txn_unref(txn);
}

/* The commit's last word: the chore begins when the caller is done. */
static void
leave(void *arg)
{
    tikv_txn *txn = arg;

    txn->chore.run = run_chore;
}

static void
start_chore(tikv_txn *txn)
{
    if (txn->chore.run == NULL) {
        return;
    }
    if (txn->on_background != NULL) {
        txn->on_background(true, txn->arg);
    }
    txn->chore.limit_ns = TK_CHORE_LIMIT_MS * TK_MS;
    txn->chore.call = &txn->call;
    tk_txn_ref(txn);
    tk_chores_add(&txn->client->writes->chores, &txn->chore);
}

tikv_error *
tk_txn_commit(tikv_txn *txn, struct tk_op *op, uint64_t *commit_ts)
{
    const struct tk_commit_hooks hooks = { .keep_alive = keep_alive,
                                           .leave = leave,
                                           .arg = txn };
    tikv_error *error;

    tk_commit_init(&txn->commit, txn->client, txn->buffer, txn->start_ts,
                   &txn->rules);
    txn->has_commit = true;
    error = tk_commit_run(&txn->commit, op, &hooks);
    tk_keepalive_stop(&txn->alive);
    atomic_store(&txn->commit_ts, txn->commit.commit_ts);
    *commit_ts = txn->commit.commit_ts;
    txn->primary = txn->commit.primary;
    atomic_store(&txn->is_named, true);
    set_ended(txn);
    if (txn->on_end != NULL) {
        txn->commit.summary.error = error;
        txn->on_end(&txn->commit.summary, txn->arg);
    }
    start_chore(txn);
    return error;
}

void
tk_txn_rollback(tikv_txn *txn)
{
    set_ended(txn);
}
