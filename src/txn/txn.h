/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of tikv_txn: a buffer over a snapshot, and the commit.
 *
 *     OPEN --tk_txn_claim_end--> ENDING --commit, rollback--> ENDED
 *
 * Reads and writes are taken while it is OPEN. The lock guards phase and
 * buffer and is held for memory work only: a read copies what the buffer
 * knows and then asks the snapshot without it. From ENDING on the buffer
 * belongs to who ends the transaction.
 *
 * Counted: the application has one reference, each future one, a keep-alive
 * and a chore one. After the client is closed only memory is left of it: who
 * wants more enters the exec first.
 */
#ifndef TK_TXN_TXN_H
#define TK_TXN_TXN_H

#include <tikv/txn.h>

#include "txn/commit.h"
#include "txn/keepalive.h"
#include "txn/snapshot.h"
#include "txn/writes.h"

enum tk_txn_phase { TK_TXN_OPEN, TK_TXN_ENDING, TK_TXN_ENDED };

/* Copies of a call's texts. */
struct tk_txn_texts {
    struct tk_txn_texts *next;
    uint8_t bytes[];
};

struct tikv_txn {
    _Atomic uint32_t refs;
    struct tk_txn_client *client; /* only inside the exec */
    struct tk_exec *exec;         /* counted */
    uint64_t start_ts;            /* fixed, as all down to `lock` */
    struct tk_snapshot *snapshot;

    struct tk_mutex lock;    /* rank LEAF */
    enum tk_txn_phase phase; /* guarded by lock, as all down to `primary` */
    tikv_call call;          /* source, group, tag, priority; in `texts` */
    struct tk_txn_texts *texts;
    struct tk_commit_rules rules; /* of who ends it, as all that follows */
    uint8_t context[32];          /* rules.context */
    tikv_txn_end_fn *on_end;
    tikv_txn_background_fn *on_background;
    tikv_txn_memory_fn *on_memory;
    void *arg;
    struct tk_buffer *buffer;
    size_t told_memory;       /* to on_memory, and charged to the ledger */
    struct tk_ledger *ledger; /* counted */
    bool was_read_only;

    tikv_slice primary; /* written before is_named, then fixed */
    _Atomic bool is_named;
    _Atomic uint64_t commit_ts;

    struct tk_commit commit; /* of who ends it */
    bool has_commit;
    struct tk_chore chore;
    struct tk_keepalive alive;
};

/* `options` were read. Waits only for a timestamp, where they name none. */
tikv_error *
tk_txn_begin(struct tk_txn_client *client, struct tk_op *op,
             const tikv_txn_options *options, tikv_txn **out)
    __attribute__((warn_unused_result));

void
tk_txn_ref(tikv_txn *txn);

void
tk_txn_unref(tikv_txn *txn);

/* Absent before a commit ended. */
tikv_slice
tk_txn_primary(const tikv_txn *txn);

/* Of the buffer; 0 once the transaction has ended. */
size_t
tk_txn_count(tikv_txn *txn);

uint64_t
tk_txn_size(tikv_txn *txn);

uint64_t
tk_txn_memory(tikv_txn *txn);

/* Also true of one that has ended so. */
bool
tk_txn_is_read_only(tikv_txn *txn);

/* NULL under the lock, or STATE without it. */
tikv_error *
tk_txn_open(tikv_txn *txn) __attribute__((warn_unused_result));

/* From OPEN to ENDING; STATE for who comes second. */
tikv_error *
tk_txn_claim_end(tikv_txn *txn) __attribute__((warn_unused_result));

/* In ENDING, by who claimed it. */
tikv_error *
tk_txn_commit(tikv_txn *txn, struct tk_op *op, uint64_t *commit_ts)
    __attribute__((warn_unused_result));

void
tk_txn_rollback(tikv_txn *txn);

/* ---- txn_options.c ---- */

/* Checks the options and reads them; ARGUMENT. `call` gets their call. */
tikv_error *
tk_txn_read_options(const struct tk_config *config,
                    const tikv_txn_options *options, tikv_txn_options *out)
    __attribute__((warn_unused_result));

/* `options` were read. False without memory: nothing changed. Under the lock,
 * or before anybody knows the transaction. */
bool
tk_txn_apply_options(tikv_txn *txn, const tikv_txn_options *options);

/* The same of an open transaction: STATE, TOO_LARGE, MEMORY. */
tikv_error *
tk_txn_set_options(tikv_txn *txn, const tikv_txn_options *options)
    __attribute__((warn_unused_result));

void
tk_txn_free_texts(tikv_txn *txn);

/* `call` of the application, which may be NULL, with what the transaction
 * knows where it says nothing. */
void
tk_txn_call(tikv_txn *txn, const tikv_call *call, tikv_call *out);

/* ---- txn_write.c: memory work alone ---- */

tikv_error *
tk_txn_put(tikv_txn *txn, tikv_slice key, tikv_slice value)
    __attribute__((warn_unused_result));

tikv_error *
tk_txn_insert(tikv_txn *txn, tikv_slice key, tikv_slice value)
    __attribute__((warn_unused_result));

tikv_error *
tk_txn_delete(tikv_txn *txn, tikv_slice key)
    __attribute__((warn_unused_result));

/* On an error some of the keys are marked, which costs nothing but a lock. */
tikv_error *
tk_txn_lock(tikv_txn *txn, const tikv_slice *keys, size_t count)
    __attribute__((warn_unused_result));

tikv_error *
tk_txn_assert(tikv_txn *txn, tikv_slice key, tikv_assertion assertion)
    __attribute__((warn_unused_result));

tikv_error *
tk_txn_savepoint(tikv_txn *txn, size_t *savepoint)
    __attribute__((warn_unused_result));

tikv_error *
tk_txn_savepoint_end(tikv_txn *txn, size_t savepoint, bool keeps)
    __attribute__((warn_unused_result));

/* The keys written since with their values; absent: deleted. */
tikv_error *
tk_txn_savepoint_writes(tikv_txn *txn, size_t savepoint, tikv_pairs **out)
    __attribute__((warn_unused_result));

/* ---- txn_read.c ---- */

tikv_error *
tk_txn_get(tikv_txn *txn, struct tk_op *op, tikv_slice key, bool with_commit_ts,
           tikv_value **out) __attribute__((warn_unused_result));

tikv_error *
tk_txn_batch_get(tikv_txn *txn, struct tk_op *op, const tikv_slice *keys,
                 size_t count, bool with_commit_ts, tikv_pairs **out)
    __attribute__((warn_unused_result));

tikv_error *
tk_txn_scan(tikv_txn *txn, struct tk_op *op, tikv_range range,
            const struct tk_scan_options *options, tikv_pairs **out)
    __attribute__((warn_unused_result));

#endif
