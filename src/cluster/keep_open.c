/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Beginning with a directory: what it holds decides what the cluster is.
 * After that the cluster is what a real one is after all its nodes were
 * killed and started again: what was written is there; what only memory held
 * (locks in memory, queues, the largest timestamps read at) is not, and what
 * may depend on it begins beyond every timestamp given out.
 */
#include "cluster/keep.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/slice.h"
#include "cluster/pd.h"

#define LOG_BYTES (UINT64_C(64) << 20)

struct head {
    struct tk_cl_birth birth;
    bool is_read;
};

static tikv_error *
take_head(void *arg, tikv_slice records)
{
    struct head *head = arg;

    head->is_read = tk_journal_read_birth(records, &head->birth);
    return head->is_read ? NULL
                         : tk_error(TIKV_ERR_STATE,
                                    "the checkpoint begins with no cluster");
}

/* 0 asks for nothing. */
static tikv_error *
agree(const char *what, uint64_t asked, uint64_t found)
{
    return asked == 0 || asked == found
               ? NULL
               : tk_error(TIKV_ERR_ARGUMENT,
                          "%s is %llu in the directory and cannot become "
                          "%llu",
                          what, (unsigned long long)found,
                          (unsigned long long)asked);
}

static tikv_error *
adopt(const struct tk_cl_birth *birth, const struct tk_cluster_params *asked,
      struct tk_cluster_params *found)
{
    tikv_error *error =
        agree("the cluster's id", asked->cluster_id, birth->id);

    if (error == NULL) {
        error = agree("the number of stores", asked->stores_count,
                      birth->stores_count);
    }
    if (error == NULL) {
        error = agree("the number of PD members", asked->pds_count,
                      birth->members_count);
    }
    if (error == NULL) {
        error = agree("the number of replicas", asked->replicas_count,
                      birth->replicas);
    }
    if (error == NULL) {
        error = agree("the api", asked->api, birth->api);
    }
    found->cluster_id = birth->id;
    found->stores_count = birth->stores_count;
    found->pds_count = birth->members_count;
    found->replicas_count = birth->replicas;
    found->api = birth->api;
    found->regions_count = 1; /* until the regions are read */
    return error;
}

tikv_error *
tk_cl_keep_open(const struct tk_cluster_params *params,
                struct tk_cluster_params *found, struct tk_cl_keeper **out)
{
    struct tk_cl_keeper *keeper;
    struct head head = { .is_read = false };
    tikv_error *error;

    *out = NULL;
    *found = *params;
    if (params->disk == NULL) {
        return NULL;
    }
    keeper = tk_calloc(sizeof(*keeper));
    if (keeper == NULL) {
        params->disk->ops->free(params->disk);
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    tk_buf_init(&keeper->records, SIZE_MAX / 4);
    tk_buf_init(&keeper->group, SIZE_MAX / 4);
    tk_buf_init(&keeper->frame, SIZE_MAX / 4);
    tk_dump_init(&keeper->dump);
    keeper->held_end = &keeper->held;
    keeper->limit = params->log_bytes == 0 ? LOG_BYTES : params->log_bytes;
    keeper->steps_alone = params->keeps_by_step;
    error = tk_wal_open(params->disk, !params->keeps_lazily, &keeper->wal);
    if (error == NULL && !tk_wal_is_new(keeper->wal)) {
        error = tk_wal_read_head(keeper->wal, take_head, &head);
    }
    if (error == NULL && head.is_read) {
        error = adopt(&head.birth, params, found);
    }
    if (error != NULL) {
        tk_cl_keep_free(keeper);
        return error;
    }
    *out = keeper;
    return NULL;
}

void
tk_cl_keep_free(struct tk_cl_keeper *keeper)
{
    if (keeper == NULL) {
        return;
    }
    tk_wal_close(keeper->wal);
    tk_dump_fini(&keeper->dump);
    tk_buf_fini(&keeper->frame);
    tk_buf_fini(&keeper->group);
    tk_buf_fini(&keeper->records);
    tk_free(keeper);
}

/* ---- what the directory holds ---- */

static tikv_error *
redo(void *arg, tikv_slice records)
{
    return tk_journal_redo(arg, records);
}

/* The regions cover all keys, each once. */
static bool
are_regions_whole(const struct tk_cluster *cluster)
{
    const struct tk_cl_regions *all = &cluster->regions;
    tikv_slice next = { NULL, 0 };
    size_t i;

    for (i = 0; i < all->count; i++) {
        if (!tk_slice_equal(tk_cl_region_start(all->sorted[i]), next) ||
            (i > 0 && next.len == 0)) {
            return false;
        }
        next = tk_cl_region_end(all->sorted[i]);
    }
    return all->count > 0 && next.len == 0;
}

tikv_error *
tk_cl_keep_recover(struct tk_cluster *cluster, struct tk_wal *wal)
{
    tikv_error *error;

    tk_cl_regions_fini(&cluster->regions);
    tk_ledger_fini(&cluster->pd->ledger);
    tk_ledger_init(&cluster->pd->ledger);
    error = tk_wal_read(wal, redo, cluster);
    if (error == NULL && !are_regions_whole(cluster)) {
        error = tk_error(TIKV_ERR_STATE,
                         "the regions of the directory do not fit together");
    }
    cluster->pd->told = cluster->pd->ledger.revision;
    return error;
}

/* Whoever led leads on, in a new term; where nobody did, one is elected. */
static void
lead_again(struct tk_cluster *cluster, struct tk_cl_region *region)
{
    size_t i;

    for (i = 0; region->leader == 0 && i < region->peers_count; i++) {
        const struct tk_cl_peer *peer = &region->peers[i];

        if (peer->role == 0 && !peer->is_witness &&
            tk_cl_store_is_up(cluster, peer->store_id)) {
            region->leader = peer->id;
        }
    }
    region->term++;
    tk_journal_region(cluster->journal, region);
    tk_cl_txn_lead(cluster, region, false);
}

static void
restart(struct tk_cluster *cluster)
{
    size_t i;

    for (i = 0; i < cluster->stores_count; i++) {
        cluster->stores[i].is_up = !cluster->stores[i].is_removed;
    }
    tk_cl_tso_lead(cluster);
    for (i = 0; i < cluster->regions.count; i++) {
        lead_again(cluster, cluster->regions.sorted[i]);
    }
    tk_cl_lease_arm(cluster);
}

static void
listen_to(struct tk_cluster *cluster, struct tk_buf *journal)
{
    cluster->journal = journal;
    cluster->engine.journal = journal;
    cluster->mvcc.journal = journal;
    cluster->pd->ledger.journal = journal;
}

tikv_error *
tk_cl_keep_start(struct tk_cluster *cluster, struct tk_cl_keeper *keeper)
{
    bool is_new = tk_wal_is_new(keeper->wal);
    tikv_error *error = NULL;
    char text[128];
    int result = 0;

    keeper->cluster = cluster;
    cluster->keeper = keeper;
    tk_cl_keep_clear(&keeper->records);
    tk_cl_keep_clear(&keeper->group);
    if (!is_new) {
        error = tk_cl_keep_recover(cluster, keeper->wal);
    }
    if (error != NULL) {
        return error;
    }
    listen_to(cluster, &keeper->records);
    keeper->told = tk_cl_numbers(cluster);
    if (is_new) {
        result = tk_cl_keep_whole(keeper);
    } else {
        keeper->due = keeper->wal->written * 2;
        keeper->due =
            keeper->due > keeper->limit ? keeper->due : keeper->limit;
        tk_mutex_lock(&cluster->lock);
        restart(cluster);
        tk_mutex_unlock(&cluster->lock);
    }
    if (result < 0) {
        return tk_error(result == -ENOSPC ? TIKV_ERR_DISK_FULL
                                          : TIKV_ERR_UNAVAILABLE,
                        "%s: %s", keeper->wal->disk->name,
                        strerror_r(-result, text, sizeof(text)));
    }
    keeper->is_ready = keeper->steps_alone || tk_cl_keep_spawn(keeper);
    return keeper->is_ready ? NULL : tk_error_immortal(TIKV_ERR_MEMORY);
}
