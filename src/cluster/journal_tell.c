/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records as bytes: a kind, then its fields in a fixed order, numbers as
 * varints, bytes with their length before them. Whoever gives a structure a
 * field that outlives a crash adds it here and in journal_redo.c.
 */
#include "cluster/journal.h"

#include "cluster/pd.h"

/* A new field changes a size: does it outlive a crash? */
#define IS_KNOWN(type, size)                                                   \
    _Static_assert(sizeof(void *) != 8 || sizeof(struct type) == (size),       \
                   #type " has changed: tell and redo its new fields")
IS_KNOWN(tk_mvcc_lock, 128);
IS_KNOWN(tk_mvcc_version, 48);
IS_KNOWN(tk_cl_region, 120);
IS_KNOWN(tk_cl_peer, 56);
IS_KNOWN(tk_raw_item, 32);
IS_KNOWN(tk_ledger_version, 56);

static void
put_bytes(struct tk_buf *journal, tikv_slice bytes)
{
    tk_buf_varint(journal, bytes.len);
    tk_buf_append_slice(journal, bytes);
}

static void
put_kind(struct tk_buf *journal, enum tk_record kind)
{
    tk_buf_varint(journal, kind);
}

void
tk_journal_birth(struct tk_buf *journal, const struct tk_cl_birth *birth)
{
    put_kind(journal, TK_RECORD_CLUSTER);
    tk_buf_varint(journal, birth->id);
    tk_buf_varint(journal, birth->api);
    tk_buf_varint(journal, birth->stores_count);
    tk_buf_varint(journal, birth->members_count);
    tk_buf_varint(journal, birth->replicas);
}

void
tk_journal_numbers(struct tk_buf *journal,
                   const struct tk_cl_numbers *numbers)
{
    put_kind(journal, TK_RECORD_NUMBERS);
    tk_buf_varint(journal, numbers->ids);
    tk_buf_varint(journal, (uint64_t)numbers->tso_bound_ms);
    tk_buf_varint(journal, (uint64_t)numbers->leases_last);
    tk_buf_varint(journal, numbers->max_peers);
}

void
tk_journal_store(struct tk_buf *journal, const struct tk_cl_store *store)
{
    if (journal == NULL) {
        return;
    }
    put_kind(journal, TK_RECORD_STORE);
    tk_buf_varint(journal, store->id);
    tk_buf_varint(journal, (uint64_t)store->is_removed |
                               (uint64_t)store->is_offline << 1);
}

static void
put_peer(struct tk_buf *journal, const struct tk_cl_peer *peer)
{
    tk_buf_varint(journal, peer->id);
    tk_buf_varint(journal, peer->store_id);
    tk_buf_varint(journal, (uint64_t)peer->role);
    tk_buf_varint(journal, peer->is_witness);
    tk_buf_varint(journal, peer->state);
}

void
tk_journal_region(struct tk_buf *journal, const struct tk_cl_region *region)
{
    size_t i;

    if (journal == NULL) {
        return;
    }
    put_kind(journal, TK_RECORD_REGION);
    tk_buf_varint(journal, region->id);
    put_bytes(journal, tk_cl_region_start(region));
    put_bytes(journal, tk_cl_region_end(region));
    tk_buf_varint(journal, region->conf_ver);
    tk_buf_varint(journal, region->version);
    tk_buf_varint(journal, region->term);
    tk_buf_varint(journal, region->leader);
    tk_buf_varint(journal, region->is_merging);
    tk_buf_varint(journal, region->in_flashback);
    tk_buf_varint(journal, region->flashback_ts);
    tk_buf_varint(journal, region->peers_count);
    for (i = 0; i < region->peers_count; i++) {
        put_peer(journal, &region->peers[i]);
    }
}

void
tk_journal_region_gone(struct tk_buf *journal, uint64_t id)
{
    if (journal != NULL) {
        put_kind(journal, TK_RECORD_REGION_GONE);
        tk_buf_varint(journal, id);
    }
}

/* Its end is not written down: a new start gives every lease its whole time
 * again, as a new leader of etcd does. */
void
tk_journal_lease(struct tk_buf *journal, const struct tk_cl_lease *lease)
{
    if (journal != NULL) {
        put_kind(journal, TK_RECORD_LEASE);
        tk_buf_varint(journal, (uint64_t)lease->id);
        tk_buf_varint(journal, (uint64_t)lease->ttl_s);
    }
}

void
tk_journal_lease_gone(struct tk_buf *journal, int64_t id)
{
    if (journal != NULL) {
        put_kind(journal, TK_RECORD_LEASE_GONE);
        tk_buf_varint(journal, (uint64_t)id);
    }
}

void
tk_journal_ledger(struct tk_buf *journal, const struct tk_ledger *ledger)
{
    put_kind(journal, TK_RECORD_LEDGER);
    tk_buf_varint(journal, (uint64_t)ledger->revision);
    tk_buf_varint(journal, (uint64_t)ledger->compacted);
}

void
tk_journal_entry(struct tk_buf *journal,
                 const struct tk_ledger_version *version)
{
    if (journal == NULL) {
        return;
    }
    put_kind(journal, TK_RECORD_ENTRY);
    put_bytes(journal, version->item->map.key);
    tk_buf_varint(journal, (uint64_t)version->create);
    tk_buf_varint(journal, (uint64_t)version->mod);
    tk_buf_varint(journal, (uint64_t)version->version);
    tk_buf_varint(journal, (uint64_t)version->lease);
    put_bytes(journal, tk_ledger_value(version));
}

void
tk_journal_compact(struct tk_buf *journal, int64_t revision)
{
    if (journal != NULL) {
        put_kind(journal, TK_RECORD_COMPACT);
        tk_buf_varint(journal, (uint64_t)revision);
    }
}

/* ---- raw data ---- */

void
tk_journal_raw(struct tk_buf *journal, enum tk_cf cf, tikv_slice key,
               tikv_slice value, uint64_t expires_s)
{
    if (journal == NULL) {
        return;
    }
    put_kind(journal, TK_RECORD_RAW);
    tk_buf_varint(journal, cf);
    put_bytes(journal, key);
    put_bytes(journal, value);
    tk_buf_varint(journal, expires_s);
}

void
tk_journal_raw_gone(struct tk_buf *journal, enum tk_cf cf, tikv_slice key)
{
    if (journal != NULL) {
        put_kind(journal, TK_RECORD_RAW_GONE);
        tk_buf_varint(journal, cf);
        put_bytes(journal, key);
    }
}

void
tk_journal_raw_range(struct tk_buf *journal, enum tk_cf cf, tikv_slice start,
                     tikv_slice end)
{
    if (journal != NULL) {
        put_kind(journal, TK_RECORD_RAW_RANGE);
        tk_buf_varint(journal, cf);
        put_bytes(journal, start);
        put_bytes(journal, end);
    }
}

/* ---- transactional data ---- */

/* None, or one with its bytes: an empty value is not no value. */
static void
put_value(struct tk_buf *journal, const struct tk_mvcc_value *value)
{
    tk_buf_varint(journal, value != NULL);
    if (value != NULL) {
        put_bytes(journal, tk_mvcc_bytes(value));
    }
}

static void
put_names(struct tk_buf *journal, const struct tk_mvcc_names *names)
{
    uint32_t i;

    put_bytes(journal, names->primary);
    tk_buf_varint(journal, names->count);
    for (i = 0; i < names->count; i++) {
        put_bytes(journal, names->secondaries[i]);
    }
}

/* The lock without its parts. */
static void
put_lock(struct tk_buf *journal, const struct tk_mvcc_lock *lock)
{
    uint32_t i;

    tk_buf_varint(journal, lock->type);
    tk_buf_varint(journal, lock->is_async | lock->has_conflict << 1 |
                               lock->is_shrinking << 2);
    tk_buf_varint(journal, lock->start_ts);
    tk_buf_varint(journal, lock->ttl);
    tk_buf_varint(journal, lock->for_update_ts);
    tk_buf_varint(journal, lock->txn_size);
    tk_buf_varint(journal, lock->min_commit_ts);
    tk_buf_varint(journal, lock->generation);
    tk_buf_varint(journal, lock->txn_source);
    tk_buf_varint(journal, lock->changed_ts);
    tk_buf_varint(journal, lock->changed_versions);
    tk_buf_varint(journal, lock->rollbacks_count);
    for (i = 0; i < lock->rollbacks_count; i++) {
        tk_buf_varint(journal, lock->rollbacks[i]);
    }
    put_value(journal, lock->value);
    put_names(journal, lock->names);
}

void
tk_journal_lock(struct tk_buf *journal, tikv_slice key,
                const struct tk_mvcc_lock *lock)
{
    const struct tk_mvcc_lock *part;
    uint64_t count = 0;

    if (journal == NULL || lock->in_memory) {
        return;
    }
    for (part = lock->parts; part != NULL; part = part->next) {
        count++;
    }
    put_kind(journal, TK_RECORD_LOCK);
    put_bytes(journal, key);
    put_lock(journal, lock);
    tk_buf_varint(journal, count);
    for (part = lock->parts; part != NULL; part = part->next) {
        put_lock(journal, part);
    }
}

void
tk_journal_lock_gone(struct tk_buf *journal, tikv_slice key)
{
    if (journal != NULL) {
        put_kind(journal, TK_RECORD_LOCK_GONE);
        put_bytes(journal, key);
    }
}

void
tk_journal_version(struct tk_buf *journal, tikv_slice key,
                   const struct tk_mvcc_version *version)
{
    if (journal == NULL) {
        return;
    }
    put_kind(journal, TK_RECORD_VERSION);
    put_bytes(journal, key);
    tk_buf_varint(journal, version->type);
    tk_buf_varint(journal, version->is_protected |
                               version->is_overlapped << 1 |
                               version->has_fence << 2);
    tk_buf_varint(journal, version->commit_ts);
    tk_buf_varint(journal, version->start_ts);
    tk_buf_varint(journal, version->fence);
    tk_buf_varint(journal, version->txn_source);
    put_value(journal, version->value);
}

void
tk_journal_version_gone(struct tk_buf *journal, tikv_slice key,
                        uint64_t commit_ts)
{
    if (journal != NULL) {
        put_kind(journal, TK_RECORD_VERSION_GONE);
        put_bytes(journal, key);
        tk_buf_varint(journal, commit_ts);
    }
}

void
tk_journal_txn_range(struct tk_buf *journal, tikv_slice start,
                     tikv_slice end)
{
    if (journal != NULL) {
        put_kind(journal, TK_RECORD_TXN_RANGE);
        put_bytes(journal, start);
        put_bytes(journal, end);
    }
}
