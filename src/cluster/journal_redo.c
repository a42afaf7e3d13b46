/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records read back. They passed a checksum, so what cannot be read was
 * written by something else than this code, and is an error. What a record
 * takes away may be gone already, what it puts may be there: the dump of a
 * checkpoint is newer than its beginning.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/slice.h"
#include "cluster/journal.h"
#include "cluster/pd.h"

/* Fields in order; failure is sticky. */
struct records {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
    bool no_memory;
};

static uint64_t
number(struct records *in)
{
    uint64_t value = 0;
    unsigned shift = 0;

    while (in->at < in->end && shift < 64) {
        uint8_t byte = *in->at++;

        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            return value;
        }
        shift += 7;
    }
    in->failed = true;
    return 0;
}

/* One that is at most `most`. */
static uint64_t
limited(struct records *in, uint64_t most)
{
    uint64_t value = number(in);

    in->failed = in->failed || value > most;
    return in->failed ? 0 : value;
}

static bool
flag(struct records *in)
{
    return limited(in, 1) != 0;
}

static tikv_slice
bytes(struct records *in)
{
    uint64_t len = number(in);
    tikv_slice out = { in->at, 0 };

    if (in->failed || len > (uint64_t)(in->end - in->at)) {
        in->failed = true;
        return out;
    }
    out.len = (size_t)len;
    in->at += len;
    return out;
}

static void
or_memory(struct records *in, bool done)
{
    in->no_memory = in->no_memory || !done;
}

static void
read_birth(struct records *in, struct tk_cl_birth *birth)
{
    birth->id = number(in);
    birth->api = (uint32_t)limited(in, UINT32_MAX);
    birth->stores_count = (uint32_t)limited(in, UINT32_MAX);
    birth->members_count = (uint32_t)limited(in, UINT32_MAX);
    birth->replicas = (uint32_t)limited(in, UINT32_MAX);
}

bool
tk_journal_read_birth(tikv_slice records, struct tk_cl_birth *out)
{
    struct records in = { .at = records.data,
                          .end = records.data + records.len };
    bool is_birth = number(&in) == TK_RECORD_CLUSTER;

    read_birth(&in, out);
    return is_birth && !in.failed;
}

/* ---- regions, PD ---- */

static void
redo_birth(struct records *in)
{
    struct tk_cl_birth birth;

    read_birth(in, &birth); /* the cluster was made with it */
}

static void
redo_numbers(struct tk_cluster *cluster, struct records *in)
{
    cluster->ids = number(in);
    cluster->tso.bound_ms = (int64_t)limited(in, INT64_MAX / 2);
    cluster->pd->leases_last = (int64_t)number(in);
    cluster->pd->max_peers = (uint32_t)limited(in, UINT32_MAX);
}

static void
redo_store(struct tk_cluster *cluster, struct records *in)
{
    struct tk_cl_store *store = tk_cl_store(cluster, number(in));
    uint64_t state = number(in);

    if (store == NULL || state > 3) {
        in->failed = true;
    } else {
        store->is_removed = (state & 1) != 0;
        store->is_offline = (state & 2) != 0;
    }
}

static void
read_peer(struct records *in, struct tk_cl_peer *peer)
{
    peer->id = number(in);
    peer->store_id = number(in);
    peer->role = (int32_t)limited(in, INT32_MAX);
    peer->is_witness = flag(in);
    peer->state =
        (enum tk_cl_peer_state)limited(in, TK_CL_PEER_WAIT_DATA);
}

static struct tk_cl_region *
read_region(struct tk_cluster *cluster, struct records *in)
{
    uint64_t id = number(in);
    tikv_slice start = bytes(in);
    tikv_slice end = bytes(in);
    struct tk_cl_region head;
    struct tk_cl_region *region;
    size_t i;

    head.conf_ver = number(in);
    head.version = number(in);
    head.term = number(in);
    head.leader = number(in);
    head.is_merging = flag(in);
    head.in_flashback = flag(in);
    head.flashback_ts = number(in);
    head.peers_count = (size_t)limited(in, cluster->stores_count);
    if (in->failed) {
        return NULL;
    }
    region = tk_cl_region_new(id, start, end, head.peers_count);
    if (region == NULL) {
        in->no_memory = true;
        return NULL;
    }
    region->conf_ver = head.conf_ver;
    region->version = head.version;
    region->term = head.term;
    region->leader = head.leader;
    region->is_merging = head.is_merging;
    region->in_flashback = head.in_flashback;
    region->flashback_ts = head.flashback_ts;
    for (i = 0; i < region->peers_count; i++) {
        read_peer(in, &region->peers[i]);
    }
    return region;
}

static void
drop_region(struct tk_cluster *cluster, uint64_t id)
{
    struct tk_cl_region *old = tk_cl_region_by_id(&cluster->regions, id);

    if (old != NULL) {
        tk_cl_regions_remove(&cluster->regions, old);
        tk_cl_region_free(old);
    }
}

static void
redo_region(struct tk_cluster *cluster, struct records *in)
{
    struct tk_cl_region *region = read_region(cluster, in);

    if (region != NULL) {
        drop_region(cluster, region->id);
        if (in->failed || !tk_cl_regions_add(&cluster->regions, region)) {
            tk_cl_region_free(region);
            in->no_memory = true;
        }
    }
}

static void
redo_lease(struct tk_cluster *cluster, struct records *in)
{
    int64_t id = (int64_t)number(in);
    int64_t ttl_s = (int64_t)limited(in, INT64_MAX / 2000);

    if (!in->failed && tk_cl_lease_find(cluster, id) == NULL) {
        or_memory(in, tk_cl_lease_add(cluster, id, ttl_s) != NULL);
    }
}

static void
redo_ledger(struct tk_cluster *cluster, struct records *in)
{
    cluster->pd->ledger.revision = (int64_t)number(in);
    cluster->pd->ledger.compacted = (int64_t)number(in);
}

static void
redo_entry(struct tk_cluster *cluster, struct records *in)
{
    struct tk_ledger_version facts;
    tikv_slice key = bytes(in);
    tikv_slice value;

    memset(&facts, 0, sizeof(facts));
    facts.create = (int64_t)number(in);
    facts.mod = (int64_t)number(in);
    facts.version = (int64_t)number(in);
    facts.lease = (int64_t)number(in);
    value = bytes(in);
    if (!in->failed) {
        or_memory(in, tk_ledger_redo(&cluster->pd->ledger, key, value,
                                     &facts));
    }
}

/* ---- raw data ---- */

static enum tk_cf
cf_of(struct records *in)
{
    return (enum tk_cf)limited(in, TK_CFS - 1);
}

static void
redo_raw(struct tk_cluster *cluster, struct records *in)
{
    enum tk_cf cf = cf_of(in);
    tikv_slice key = bytes(in);
    tikv_slice value = bytes(in);
    uint64_t expires_s = number(in);

    if (!in->failed) {
        or_memory(in, tk_engine_put(&cluster->engine, cf, key, value,
                                    expires_s));
    }
}

static void
redo_raw_gone(struct tk_cluster *cluster, struct records *in)
{
    enum tk_cf cf = cf_of(in);
    tikv_slice key = bytes(in);

    if (!in->failed) {
        tk_engine_delete(&cluster->engine, cf, key);
    }
}

static void
redo_raw_range(struct tk_cluster *cluster, struct records *in)
{
    enum tk_cf cf = cf_of(in);
    tikv_slice start = bytes(in);
    tikv_slice end = bytes(in);

    if (!in->failed) {
        tk_engine_delete_range(&cluster->engine, cf, start, end);
    }
}

/* ---- transactional data ---- */

static struct tk_mvcc_value *
read_value(struct records *in)
{
    struct tk_mvcc_value *value = NULL;
    bool has = flag(in);
    tikv_slice data = has ? bytes(in) : tk_slice(NULL, 0);

    if (has && !in->failed) {
        value = tk_mvcc_value_new(data);
        or_memory(in, value != NULL);
    }
    return value;
}

static struct tk_mvcc_names *
read_names(struct records *in)
{
    tikv_slice primary = bytes(in);
    uint32_t count = (uint32_t)limited(in, UINT32_MAX / 64);
    struct tk_mvcc_names *names = NULL;
    tikv_slice *secondaries;
    uint32_t i;

    if (in->failed || count > (uint64_t)(in->end - in->at)) {
        in->failed = true;
        return NULL;
    }
    secondaries = tk_alloc_array(count + UINT32_C(1), sizeof(*secondaries));
    for (i = 0; secondaries != NULL && i < count; i++) {
        secondaries[i] = bytes(in);
    }
    if (secondaries != NULL && !in->failed) {
        names = tk_mvcc_names_new(primary, secondaries, count);
    }
    or_memory(in, in->failed || names != NULL);
    tk_free(secondaries);
    return names;
}

static void
read_rollbacks(struct records *in, struct tk_mvcc_lock *lock)
{
    uint64_t count = number(in);
    uint64_t i;

    if (in->failed || count > (uint64_t)(in->end - in->at)) {
        in->failed = true;
        return;
    }
    if (count > 0) {
        lock->rollbacks = tk_alloc_array((size_t)count, sizeof(uint64_t));
        or_memory(in, lock->rollbacks != NULL);
    }
    for (i = 0; lock->rollbacks != NULL && i < count; i++) {
        lock->rollbacks[i] = number(in);
        lock->rollbacks_count++;
    }
}

static void
read_lock(struct records *in, struct tk_mvcc_lock *lock)
{
    uint64_t flags;

    memset(lock, 0, sizeof(*lock));
    lock->type = (uint8_t)limited(in, UINT8_MAX);
    flags = limited(in, 7);
    lock->is_async = (flags & 1) != 0;
    lock->has_conflict = (flags & 2) != 0;
    lock->is_shrinking = (flags & 4) != 0;
    lock->start_ts = number(in);
    lock->ttl = number(in);
    lock->for_update_ts = number(in);
    lock->txn_size = number(in);
    lock->min_commit_ts = number(in);
    lock->generation = number(in);
    lock->txn_source = number(in);
    lock->changed_ts = number(in);
    lock->changed_versions = number(in);
    read_rollbacks(in, lock);
    lock->value = read_value(in);
    lock->names = read_names(in);
}

/* In their order, behind the lock they are parts of. */
static void
read_parts(struct records *in, struct tk_mvcc_lock *lock)
{
    struct tk_mvcc_lock **link = &lock->parts;
    uint64_t count = number(in);

    for (; count > 0 && !in->failed && !in->no_memory; count--) {
        *link = tk_alloc(sizeof(**link));
        if (*link == NULL) {
            in->no_memory = true;
            return;
        }
        read_lock(in, *link);
        link = &(*link)->next;
    }
}

static void
redo_lock(struct tk_cluster *cluster, struct records *in)
{
    tikv_slice key = bytes(in);
    struct tk_mvcc_lock *lock = tk_alloc(sizeof(*lock));
    struct tk_mvcc_batch batch;

    if (lock == NULL) {
        in->no_memory = true;
        return;
    }
    read_lock(in, lock);
    read_parts(in, lock);
    tk_mvcc_batch_init(&batch, &cluster->mvcc);
    if (in->failed || in->no_memory) {
        tk_mvcc_lock_free(lock);
    } else {
        tk_mvcc_set_lock(&batch, tk_mvcc_batch_node(&batch, key), lock);
        in->no_memory = batch.failed;
    }
    if (batch.failed) {
        tk_mvcc_drop(&batch);
    } else {
        tk_mvcc_apply(&batch);
    }
}

static void
redo_lock_gone(struct tk_cluster *cluster, struct records *in)
{
    struct tk_mvcc_node *node = tk_mvcc_find(&cluster->mvcc, bytes(in));
    struct tk_mvcc_batch batch;

    if (!in->failed && node != NULL && node->lock != NULL) {
        tk_mvcc_batch_init(&batch, &cluster->mvcc);
        tk_mvcc_drop_lock(&batch, node, node->lock->start_ts, 0);
        tk_mvcc_apply(&batch);
    }
}

static void
redo_version(struct tk_cluster *cluster, struct records *in)
{
    tikv_slice key = bytes(in);
    struct tk_mvcc_version version;
    struct tk_mvcc_batch batch;
    uint64_t flags;

    memset(&version, 0, sizeof(version));
    version.type = (uint8_t)limited(in, UINT8_MAX);
    flags = limited(in, 7);
    version.is_protected = (flags & 1) != 0;
    version.is_overlapped = (flags & 2) != 0;
    version.has_fence = (flags & 4) != 0;
    version.commit_ts = number(in);
    version.start_ts = number(in);
    version.fence = number(in);
    version.txn_source = number(in);
    version.value = read_value(in);
    if (!in->failed && !in->no_memory) {
        tk_mvcc_batch_init(&batch, &cluster->mvcc);
        tk_mvcc_put_version(&batch, tk_mvcc_batch_node(&batch, key),
                            &version);
        in->no_memory = batch.failed;
        if (batch.failed) {
            tk_mvcc_drop(&batch);
        } else {
            tk_mvcc_apply(&batch);
        }
    }
    tk_mvcc_value_unref(version.value);
}

static void
redo_version_gone(struct tk_cluster *cluster, struct records *in)
{
    struct tk_mvcc_node *node = tk_mvcc_find(&cluster->mvcc, bytes(in));
    uint64_t commit_ts = number(in);
    struct tk_mvcc_batch batch;

    if (!in->failed && node != NULL) {
        tk_mvcc_batch_init(&batch, &cluster->mvcc);
        tk_mvcc_drop_version(&batch, node, commit_ts);
        tk_mvcc_apply(&batch);
    }
}

static void
redo_txn_range(struct tk_cluster *cluster, struct records *in)
{
    tikv_slice start = bytes(in);
    tikv_slice end = bytes(in);

    if (!in->failed) {
        tk_mvcc_delete_range(&cluster->mvcc, start, end);
    }
}

static void
redo_one(struct tk_cluster *cluster, struct records *in)
{
    switch ((enum tk_record)number(in)) {
    case TK_RECORD_CLUSTER:
        redo_birth(in);
        break;
    case TK_RECORD_NUMBERS:
        redo_numbers(cluster, in);
        break;
    case TK_RECORD_STORE:
        redo_store(cluster, in);
        break;
    case TK_RECORD_REGION:
        redo_region(cluster, in);
        break;
    case TK_RECORD_REGION_GONE:
        drop_region(cluster, number(in));
        break;
    case TK_RECORD_LEASE:
        redo_lease(cluster, in);
        break;
    case TK_RECORD_LEASE_GONE:
        tk_cl_lease_forget(cluster, (int64_t)number(in));
        break;
    case TK_RECORD_LEDGER:
        redo_ledger(cluster, in);
        break;
    case TK_RECORD_ENTRY:
        redo_entry(cluster, in);
        break;
    case TK_RECORD_COMPACT:
        tk_ledger_compact(&cluster->pd->ledger, (int64_t)number(in));
        break;
    case TK_RECORD_RAW:
        redo_raw(cluster, in);
        break;
    case TK_RECORD_RAW_GONE:
        redo_raw_gone(cluster, in);
        break;
    case TK_RECORD_RAW_RANGE:
        redo_raw_range(cluster, in);
        break;
    case TK_RECORD_LOCK:
        redo_lock(cluster, in);
        break;
    case TK_RECORD_LOCK_GONE:
        redo_lock_gone(cluster, in);
        break;
    case TK_RECORD_VERSION:
        redo_version(cluster, in);
        break;
    case TK_RECORD_VERSION_GONE:
        redo_version_gone(cluster, in);
        break;
    case TK_RECORD_TXN_RANGE:
        redo_txn_range(cluster, in);
        break;
    default:
        in->failed = true;
    }
}

tikv_error *
tk_journal_redo(struct tk_cluster *cluster, tikv_slice records)
{
    struct records in = { .at = records.data,
                          .end = records.data + records.len };

    while (in.at < in.end && !in.failed && !in.no_memory) {
        redo_one(cluster, &in);
    }
    if (in.no_memory && !in.failed) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    return in.failed ? tk_error(TIKV_ERR_STATE,
                                "a record of the journal cannot be read")
                     : NULL;
}
