/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole state in the words of the journal. Data is dumped piece by
 * piece, with changes between the pieces; what is small is dumped at once,
 * at the very beginning. Two equal states have equal dumps.
 */
#include "base/slice.h"
#include "cluster/journal.h"
#include "cluster/pd.h"

/* Deletions that nobody needs any more are gone, so there is at most one
 * version of a key that is older than the log. */
static void
dump_ledger(struct tk_buf *journal, const struct tk_ledger *ledger)
{
    struct tk_cl_map_at at = tk_ledger_from(ledger, tk_slice(NULL, 0));
    size_t i;

    tk_journal_ledger(journal, ledger);
    for (; at.item != NULL; tk_cl_map_next(&at)) {
        const struct tk_ledger_version *version =
            tk_ledger_item(&at)->newest;

        while (version != NULL && version->mod > ledger->compacted) {
            version = version->older;
        }
        if (version != NULL) {
            tk_journal_entry(journal, version);
        }
    }
    for (i = ledger->log_first; i < tk_ledger_log_end(ledger); i++) {
        tk_journal_entry(journal, tk_ledger_log_at(ledger, i));
    }
}

void
tk_journal_dump_state(struct tk_buf *journal, const struct tk_cluster *cluster)
{
    const struct tk_cl_birth birth = {
        .id = cluster->id,
        .api = cluster->api,
        .stores_count = cluster->stores_count,
        .members_count = cluster->members_count,
        .replicas = cluster->replicas,
    };
    const struct tk_cl_numbers numbers = tk_cl_numbers(cluster);
    const struct tk_cl_lease *lease = cluster->pd->leases;
    size_t i;

    tk_journal_birth(journal, &birth);
    tk_journal_numbers(journal, &numbers);
    for (i = 0; i < cluster->stores_count; i++) {
        tk_journal_store(journal, &cluster->stores[i]);
    }
    for (i = 0; i < cluster->regions.count; i++) {
        tk_journal_region(journal, cluster->regions.sorted[i]);
    }
    for (; lease != NULL; lease = lease->next) {
        tk_journal_lease(journal, lease);
    }
    dump_ledger(journal, &cluster->pd->ledger);
}

/* ---- data ---- */

void
tk_dump_init(struct tk_dump *dump)
{
    dump->part = 0;
    dump->is_begun = false;
    tk_buf_init(&dump->key, SIZE_MAX / 4);
}

void
tk_dump_fini(struct tk_dump *dump)
{
    tk_buf_fini(&dump->key);
}

static void
dump_node(struct tk_buf *journal, const struct tk_mvcc_node *node)
{
    tikv_slice key = tk_mvcc_key(node);
    uint32_t i;

    for (i = 0; i < node->count; i++) {
        tk_journal_version(journal, key, &node->versions[i]);
    }
    if (node->lock != NULL) {
        tk_journal_lock(journal, key, node->lock);
    }
}

static void
dump_item(struct tk_buf *journal, int part, const struct tk_cl_map_item *item)
{
    if (part == TK_CFS) {
        dump_node(journal, (const struct tk_mvcc_node *)(const void *)item);
    } else {
        const struct tk_raw_item *raw =
            (const struct tk_raw_item *)(const void *)item;

        tk_journal_raw(journal, (enum tk_cf)part, item->key,
                       tk_raw_value(raw), raw->expires_s);
    }
}

/* Behind the last key that was written. */
static struct tk_cl_map_at
continue_at(const struct tk_cl_map *map, const struct tk_dump *dump)
{
    tikv_slice key = tk_buf_slice(&dump->key);
    struct tk_cl_map_at at = tk_cl_map_from(map, key);

    if (dump->is_begun && at.item != NULL &&
        tk_slice_equal(at.item->key, key)) {
        tk_cl_map_next(&at);
    }
    return at;
}

bool
tk_journal_dump_data(struct tk_buf *journal, const struct tk_cluster *cluster,
                     struct tk_dump *dump, size_t limit)
{
    size_t end = journal->len + limit;

    for (; dump->part <= TK_CFS; dump->part++) {
        const struct tk_cl_map *map = dump->part == TK_CFS
                                          ? &cluster->mvcc.keys
                                          : &cluster->engine.cfs[dump->part];
        struct tk_cl_map_at at = continue_at(map, dump);

        for (; at.item != NULL; tk_cl_map_next(&at)) {
            dump_item(journal, dump->part, at.item);
            if (journal->len >= end || journal->failed) {
                tk_buf_clear(&dump->key);
                tk_buf_append_slice(&dump->key, at.item->key);
                dump->is_begun = true;
                journal->failed = journal->failed || dump->key.failed;
                return true;
            }
        }
        tk_buf_clear(&dump->key);
        dump->is_begun = false;
    }
    return false;
}
