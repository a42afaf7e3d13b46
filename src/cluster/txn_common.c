/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every transactional command begins and ends with, and what a store
 * keeps beside the data: the largest timestamp it was read at, locks of
 * prewrites that are under way, the end of recent transactions. None of that
 * is replicated.
 */
#include "cluster/txn.h"

#include <string.h>

#include "base/alloc.h"
#include "base/slice.h"

enum { OUTCOMES = 1024, DRIFT_MS = 60000, ORIGIN_TIDB = 1 };

/* A hashed place each, the newer one stays. */
struct tk_cl_outcome {
    uint64_t start_ts;
    uint64_t commit_ts;     /* 0: it is under way, and */
    uint64_t min_commit_ts; /* will not be committed before this */
};

bool
tk_cl_txn_admit(struct tk_cl_request *request, bool looks_at_version)
{
    struct tk_key_error error;
    const char *refusal;

    if (!tk_cl_check_busy(request)) {
        return false;
    }
    refusal = looks_at_version ? tk_cl_check_mode(request, false) : NULL;
    if (refusal != NULL) {
        tk_key_error_abort(&error, refusal);
        (void)tk_cl_txn_fail(request, &error);
    }
    return refusal == NULL;
}

bool
tk_cl_txn_open(struct tk_cl_request *request, bool looks_at_version)
{
    return tk_cl_txn_admit(request, looks_at_version) &&
           tk_cl_check_region(request);
}

bool
tk_cl_txn_check_key(struct tk_cl_request *request, tikv_slice key)
{
    return tk_cl_check_key(request,
                           tk_mvcc_encode(&request->cluster->mvcc, key));
}

bool
tk_cl_txn_check_keys(struct tk_cl_request *request, uint32_t field)
{
    tikv_slice key;
    size_t at = 0;

    while (tk_cl_each(request->body, field, &at, &key)) {
        if (!tk_cl_txn_check_key(request, key)) {
            return false;
        }
    }
    return tk_cl_check_entry(request);
}

/* Reads of many keys have the error in a pair as well. */
static bool
answers_pairs(const struct tk_cl_request *request)
{
    return request->method->run == tk_cl_txn_batch_get ||
           request->method->run == tk_cl_txn_scan;
}

int
tk_cl_txn_fail(struct tk_cl_request *request, const struct tk_key_error *error)
{
    struct tk_buf *out = request->out;
    size_t pair;

    if (out->len > request->out_start) {
        tk_buf_cut(out, request->out_start, out->len - request->out_start);
    }
    if (answers_pairs(request)) {
        pair = tk_put_begin(out, 2);
        tk_cl_put_key_error(out, 1, error);
        tk_put_end(out, pair);
    }
    tk_cl_put_key_error(out, request->method->error, error);
    return TK_GRPC_OK;
}

void
tk_cl_put_exec(struct tk_cl_request *request, uint32_t field,
               const struct tk_cl_stats *stats)
{
    struct tk_buf *out = request->out;
    int64_t passed = tk_now(request->cluster->rt) - request->arrived;
    uint64_t wall = passed > 0 ? (uint64_t)passed : 1;
    size_t mark = tk_put_begin(out, field);
    size_t part = tk_put_begin(out, 1);

    tk_put_u64(out, 4, wall);
    tk_put_end(out, part);
    if (stats != NULL) {
        part = tk_put_begin(out, 2);
        tk_put_u64(out, 1, stats->versions);
        tk_put_u64(out, 2, stats->passed);
        tk_put_u64(out, 8, stats->size);
        tk_put_end(out, part);
    }
    part = tk_put_begin(out, 4);
    tk_put_u64(out, 5, wall);
    tk_put_end(out, part);
    tk_put_end(out, mark);
}

void
tk_cl_txn_begin(struct tk_cl_txn *txn, struct tk_cl_request *request,
                uint64_t start_ts)
{
    memset(&txn->error, 0, sizeof(txn->error));
    txn->request = request;
    txn->mvcc = &request->cluster->mvcc;
    txn->start_ts = start_ts;
    tk_mvcc_batch_init(&txn->batch, txn->mvcc);
}

void
tk_cl_txn_apply(struct tk_cl_txn *txn)
{
    struct tk_cl_queue *released =
        tk_cl_wait_collect(txn->request->store, &txn->batch);

    tk_mvcc_apply(&txn->batch);
    tk_cl_wait_release(released);
}

int
tk_cl_txn_end(struct tk_cl_txn *txn, uint32_t exec_field)
{
    if (txn->batch.failed || txn->mvcc->scratch.failed) {
        tk_mvcc_drop(&txn->batch);
        return tk_cl_status(txn->request, TK_GRPC_RESOURCE_EXHAUSTED,
                            "out of memory");
    }
    if (txn->error.kind != TK_KE_NONE) {
        (void)tk_cl_txn_fail(txn->request, &txn->error);
        tk_mvcc_drop(&txn->batch);
    } else if (!tk_cl_pass(txn->request, TK_STAGE_APPLY)) {
        tk_mvcc_drop(&txn->batch);
        return TK_GRPC_OK;
    } else {
        tk_cl_txn_apply(txn);
    }
    if (exec_field != 0) {
        tk_cl_put_exec(txn->request, exec_field, NULL);
    }
    return TK_GRPC_OK;
}

/* ---- timestamps ---- */

static uint64_t
last_given(struct tk_cluster *cluster)
{
    return (uint64_t)cluster->tso.physical_ms << 18 |
           (uint64_t)cluster->tso.logical;
}

static bool
is_given(struct tk_cl_request *request, uint64_t ts, bool exact)
{
    struct tk_cluster *cluster = request->cluster;
    int64_t now_ms = tk_cl_wall_ms(cluster);
    int64_t physical;
    int64_t logical;

    if (ts <= last_given(cluster)) {
        return true;
    }
    if (!exact || request->context.origin == ORIGIN_TIDB) {
        if (now_ms < cluster->tso.physical_ms) {
            now_ms = cluster->tso.physical_ms;
        }
        return tk_ts_ms(ts) <= (uint64_t)(now_ms + DRIFT_MS);
    }
    tk_cl_tso_take(cluster, 1, &physical, &logical);
    return ts <= last_given(cluster);
}

bool
tk_cl_raise_max_ts(struct tk_cl_request *request, uint64_t ts, bool exact)
{
    const struct tk_cl_error error = {
        .message = "invalid max_ts update: beyond the timestamps of PD"
    };
    struct tk_cl_store *store = request->store;

    if (ts <= store->max_ts || ts == TK_TS_MAX) {
        return true;
    }
    if (!is_given(request, ts, exact)) {
        tk_cl_answer_error(request, &error);
        return false;
    }
    store->max_ts = ts;
    return true;
}

/* ---- locks in memory ---- */

bool
tk_cl_memory_lock_add(struct tk_cl_store *store, tikv_slice key,
                      struct tk_mvcc_lock *lock)
{
    struct tk_cl_memory_lock *entry = tk_alloc(sizeof(*entry) + key.len);
    struct tk_cl_memory_lock **link = &store->memory_locks;
    uint8_t *bytes;

    if (entry == NULL) {
        tk_mvcc_lock_free(lock);
        return false;
    }
    bytes = (uint8_t *)(entry + 1);
    if (key.len > 0) {
        memcpy(bytes, key.data, key.len);
    }
    entry->key = tk_slice(bytes, key.len);
    entry->lock = lock;
    while (*link != NULL && tk_slice_compare((*link)->key, key) < 0) {
        link = &(*link)->next;
    }
    entry->next = *link;
    *link = entry;
    return true;
}

const struct tk_mvcc_lock *
tk_cl_memory_lock(const struct tk_cl_store *store, tikv_slice key,
                  uint64_t start_ts)
{
    const struct tk_cl_memory_lock *entry = store->memory_locks;

    while (entry != NULL && (entry->lock->start_ts != start_ts ||
                             !tk_slice_equal(entry->key, key))) {
        entry = entry->next;
    }
    return entry == NULL ? NULL : entry->lock;
}

void
tk_cl_memory_lock_remove(struct tk_cl_store *store, tikv_slice key)
{
    struct tk_cl_memory_lock **at = &store->memory_locks;

    while (*at != NULL) {
        struct tk_cl_memory_lock *entry = *at;

        if (tk_slice_equal(entry->key, key)) {
            *at = entry->next;
            tk_mvcc_lock_free(entry->lock);
            tk_free(entry);
            return;
        }
        at = &entry->next;
    }
}

/* ---- leaders ---- */

void
tk_cl_txn_lead(struct tk_cluster *cluster, const struct tk_cl_region *region,
               bool is_planned)
{
    const struct tk_cl_peer *leader = tk_cl_peer_of(region, region->leader);
    struct tk_cl_store *store;
    int64_t physical;
    int64_t logical;

    if (region->start_len == 0) {
        tk_cl_detector_clear(cluster);
    }
    tk_mvcc_leave_memory(&cluster->mvcc, tk_cl_region_start(region),
                         tk_cl_region_end(region), !is_planned);
    if (leader != NULL) {
        store = tk_cl_store(cluster, leader->store_id);
        tk_cl_tso_take(cluster, 1, &physical, &logical);
        store->max_ts = tk_ts_max(store->max_ts, last_given(cluster));
    }
}

/* ---- ends of transactions ---- */

static size_t
place_of(uint64_t start_ts)
{
    return (size_t)(start_ts * UINT64_C(0x9e3779b97f4a7c15) >> 54);
}

/* NULL: not known. */
static const struct tk_cl_outcome *
outcome_of(const struct tk_cl_store *store, uint64_t start_ts)
{
    const struct tk_cl_outcome *entry;

    if (store->outcomes == NULL) {
        return NULL;
    }
    entry = &store->outcomes[place_of(start_ts)];
    return entry->start_ts == start_ts ? entry : NULL;
}

uint64_t
tk_cl_outcome(const struct tk_cl_store *store, uint64_t start_ts)
{
    const struct tk_cl_outcome *entry = outcome_of(store, start_ts);

    return entry == NULL ? 0 : entry->commit_ts;
}

uint64_t
tk_cl_outcome_floor(const struct tk_cl_store *store, uint64_t start_ts)
{
    const struct tk_cl_outcome *entry = outcome_of(store, start_ts);

    return entry == NULL ? 0 : entry->min_commit_ts;
}

static void
remember(struct tk_cl_store *store, const struct tk_cl_outcome *outcome)
{
    if (store->outcomes == NULL) {
        store->outcomes = tk_calloc(OUTCOMES * sizeof(*store->outcomes));
        if (store->outcomes == NULL) {
            return; /* a cache: it may forget */
        }
    }
    store->outcomes[place_of(outcome->start_ts)] = *outcome;
}

void
tk_cl_outcome_add(struct tk_cl_store *store, uint64_t start_ts,
                  uint64_t commit_ts)
{
    const struct tk_cl_outcome outcome = { .start_ts = start_ts,
                                           .commit_ts = commit_ts };

    remember(store, &outcome);
}

void
tk_cl_outcome_alive(struct tk_cl_store *store, uint64_t start_ts,
                    uint64_t min_commit_ts)
{
    const struct tk_cl_outcome outcome = { .start_ts = start_ts,
                                           .min_commit_ts = min_commit_ts };

    if (tk_cl_outcome_floor(store, start_ts) <= min_commit_ts &&
        tk_cl_outcome(store, start_ts) == 0) {
        remember(store, &outcome);
    }
}

void
tk_cl_outcome_forget(struct tk_cl_store *store, uint64_t start_ts)
{
    if (outcome_of(store, start_ts) != NULL) {
        store->outcomes[place_of(start_ts)].start_ts = 0;
    }
}

void
tk_cluster_gc(struct tk_cluster *cluster, uint64_t safe_point)
{
    tk_mutex_lock(&cluster->lock);
    tk_mvcc_gc(&cluster->mvcc, safe_point);
    tk_mutex_unlock(&cluster->lock);
}

void
tk_cl_txn_forget(struct tk_cl_store *store)
{
    while (store->memory_locks != NULL) {
        tk_cl_memory_lock_remove(store, store->memory_locks->key);
    }
    tk_free(store->outcomes);
    store->outcomes = NULL;
    store->max_ts = 0;
}

void
tk_cl_txn_fini(struct tk_cluster *cluster)
{
    uint32_t i;

    tk_cl_detector_clear(cluster);
    for (i = 0; cluster->stores != NULL && i < cluster->stores_count; i++) {
        tk_cl_txn_forget(&cluster->stores[i]);
        tk_cl_wait_fini(&cluster->stores[i]);
    }
}
