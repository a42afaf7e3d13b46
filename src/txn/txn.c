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

/* ---- begin ---- */

static tikv_txn *
txn_new(struct tk_txn_client *client, const tikv_txn_options *options,
        uint64_t start_ts)
{
    struct tk_snapshot_options reads = { .version = start_ts };
    tikv_txn *txn = tk_calloc(sizeof(*txn));

    if (txn == NULL) {
        return NULL;
    }
    atomic_init(&txn->refs, 1);
    tk_mutex_init(&txn->lock, TK_RANK_LEAF);
    txn->client = client;
    txn->exec = client->router.exec;
    tk_exec_ref(txn->exec);
    txn->ledger = tk_ledger_ref(tk_rpc_ledger(client->router.rpc));
    txn->start_ts = start_ts;
    txn->buffer = tk_buffer_new();
    txn->snapshot = tk_snapshot_new(client, &reads);
    if (txn->buffer == NULL || txn->snapshot == NULL ||
        !tk_txn_apply_options(txn, options)) {
        tk_txn_unref(txn);
        return NULL;
    }
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
    tk_ledger_add(txn->ledger, -(int64_t)txn->told_memory);
    tk_ledger_unref(txn->ledger);
    tk_txn_free_texts(txn);
    tk_mutex_fini(&txn->lock);
    tk_exec_unref(txn->exec);
    tk_free(txn);
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
        txn->was_read_only = !tk_buffer_is_dirty(txn->buffer);
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
tk_txn_memory(tikv_txn *txn)
{
    uint64_t bytes;

    tk_mutex_lock(&txn->lock);
    bytes = txn->phase == TK_TXN_OPEN ? tk_buffer_footprint(txn->buffer) : 0;
    tk_mutex_unlock(&txn->lock);
    return bytes;
}

bool
tk_txn_is_read_only(tikv_txn *txn)
{
    bool is_read_only;

    tk_mutex_lock(&txn->lock);
    is_read_only = txn->phase == TK_TXN_OPEN ? !tk_buffer_is_dirty(txn->buffer)
                                             : txn->was_read_only;
    tk_mutex_unlock(&txn->lock);
    return is_read_only;
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
