/* SPDX-License-Identifier: Apache-2.0 */
/* One round of prewrites, for prewrite.c, which drives and judges it, and
 * prewrite_request.c, which encodes its requests. */
#ifndef TK_TXN_PREWRITE_INNER_H
#define TK_TXN_PREWRITE_INNER_H

#include "txn/commit_inner.h"
#include "txn/lock.h"

struct tk_prewrite {
    struct tk_job job; /* first */
    struct tk_commit *commit;
    const struct tk_commit_hooks *hooks;
    size_t *todo;        /* places of mutations; NULL: all */
    size_t pieces_count; /* answered or given up */
    struct tk_lock_set locks;
    tikv_error *refusal;   /* definite: TiKV said no */
    tikv_error *assertion; /* told only when nothing else failed */
    bool sent_one_phase;
    bool answer_failed; /* the piece is lost next, and was judged already */
    bool has_open;      /* some piece certainly locked nothing */
    bool has_doubt;     /* some piece may have */
};

static inline size_t
tk_prewrite_place(const struct tk_prewrite *round, size_t item)
{
    return round->todo == NULL ? item : round->todo[item];
}

static inline const struct tk_mutation *
tk_prewrite_at(const struct tk_prewrite *round, size_t item)
{
    return tk_commit_at(round->commit, tk_prewrite_place(round, item));
}

static inline tikv_slice
tk_prewrite_value(const struct tk_commit *commit,
                  const struct tk_mutation *mutation)
{
    tikv_slice value = { NULL, 0 };

    (void)tk_entry_value(commit->buffer, mutation->handle, &value);
    return value;
}

static inline bool
tk_prewrite_covers_all(const struct tk_prewrite *round,
                       const struct tk_piece *piece)
{
    return piece->count == round->commit->all_count;
}

/* The job's `encode`. */
tikv_error *
tk_prewrite_encode(struct tk_job *job, const struct tk_piece *piece,
                   struct tk_arena *arena, tikv_slice *body);

#endif
