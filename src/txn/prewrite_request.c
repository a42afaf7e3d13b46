/* SPDX-License-Identifier: Apache-2.0 */
/* The request of a prewrite (2PC-4). No state; the committer's thread. */
#include "base/error.h"
#include "txn/prewrite_inner.h"

#include "kvrpcpb.upb.h"

enum { NEIGHBOURS = 16 };

static bool
has_primary(const struct tk_prewrite *round, const struct tk_piece *piece)
{
    size_t primary = round->commit->keys.primary;
    size_t i;

    for (i = 0; i < piece->count; i++) {
        if (tk_prewrite_place(round, piece->first + i) == primary) {
            return true;
        }
    }
    return false;
}

static int
assertion_of(const struct tk_mutation *mutation)
{
    return (mutation->flags & TK_MUTATION_ASSERT_EXIST) != 0 ? kvrpcpb_Exist
           : (mutation->flags & TK_MUTATION_ASSERT_ABSENT) != 0
               ? kvrpcpb_NotExist
               : kvrpcpb_None;
}

static bool
put_mutations(struct tk_prewrite *round, const struct tk_piece *piece,
              struct tk_arena *arena, kvrpcpb_PrewriteRequest *message)
{
    struct tk_commit *commit = round->commit;
    size_t i;

    for (i = 0; i < piece->count; i++) {
        const struct tk_mutation *from =
            tk_prewrite_at(round, piece->first + i);
        kvrpcpb_Mutation *to =
            kvrpcpb_PrewriteRequest_add_mutations(message, arena->upb);
        upb_StringView key;

        if (to == NULL || !tk_message_key(&commit->client->router.codec, arena,
                                          tk_entry_key(from->handle), &key)) {
            return false;
        }
        kvrpcpb_Mutation_set_op(to, from->op);
        kvrpcpb_Mutation_set_key(to, key);
        if (from->op == kvrpcpb_Put || from->op == kvrpcpb_Insert) {
            tikv_slice value = tk_prewrite_value(commit, from);

            kvrpcpb_Mutation_set_value(
                to, upb_StringView_FromDataAndSize((const char *)value.data,
                                                   value.len));
        }
        if (commit->rules.assertions != kvrpcpb_Off) {
            kvrpcpb_Mutation_set_assertion(to, assertion_of(from));
        }
    }
    return true;
}

/* The primary of an async commit names all other keys that get a lock. */
static bool
put_secondaries(struct tk_commit *commit, struct tk_arena *arena,
                kvrpcpb_PrewriteRequest *message)
{
    size_t i;

    for (i = 0; i < commit->keys.mutations.count; i++) {
        const struct tk_mutation *mutation = tk_commit_at(commit, i);
        upb_StringView key;

        if (i == commit->keys.primary ||
            mutation->op == kvrpcpb_CheckNotExists) {
            continue;
        }
        if (!tk_message_key(&commit->client->router.codec, arena,
                            tk_entry_key(mutation->handle), &key) ||
            !kvrpcpb_PrewriteRequest_add_secondaries(message, key,
                                                     arena->upb)) {
            return false;
        }
    }
    return true;
}

static bool
lies_in(const struct tk_commit *commit, size_t place, uint64_t region_id)
{
    struct tk_route route;

    return tk_cache_route(commit->client->router.cache,
                          tk_entry_key(tk_commit_at(commit, place)->handle),
                          &route) &&
           route.region_id == region_id;
}

/* Keys of the transaction in the region of the piece, as far as the cache
 * knows. It tells others whether to remove single locks or all of a region,
 * so that more than NEIGHBOURS on one side need not be counted. */
static uint64_t
keys_in_region(struct tk_prewrite *round, const struct tk_piece *piece)
{
    struct tk_commit *commit = round->commit;
    size_t count = commit->keys.mutations.count;
    size_t first = tk_prewrite_place(round, piece->first);
    size_t last = tk_prewrite_place(round, piece->first + piece->count - 1);
    size_t before = 0;
    size_t after = 0;

    while (before < NEIGHBOURS && before < first &&
           lies_in(commit, first - before - 1, piece->region_id)) {
        before++;
    }
    while (after < NEIGHBOURS && last + after + 1 < count &&
           lies_in(commit, last + after + 1, piece->region_id)) {
        after++;
    }
    return last - first + 1 + before + after;
}

/* As long as TiKV may choose a timestamp for some key of it, nobody may find
 * an async commit expired at another. */
static uint64_t
lock_ttl_ms(const struct tk_commit *commit)
{
    uint64_t ttl = tk_lock_ttl_ms(commit->keys.bytes, tk_commit_age_ms(commit));
    uint64_t least = tk_ts_ms(commit->max_commit_ts) + 1;
    uint64_t start = tk_ts_ms(commit->start_ts);

    return commit->use_async && least > start + ttl ? least - start : ttl;
}

tikv_error *
tk_prewrite_encode(struct tk_job *job, const struct tk_piece *piece,
                   struct tk_arena *arena, tikv_slice *body)
{
    struct tk_prewrite *round = (struct tk_prewrite *)(void *)job;
    struct tk_commit *commit = round->commit;
    kvrpcpb_PrewriteRequest *message = kvrpcpb_PrewriteRequest_new(arena->upb);
    bool is_all = tk_prewrite_covers_all(round, piece);
    upb_StringView primary;

    if (message == NULL || !put_mutations(round, piece, arena, message) ||
        !tk_message_key(&commit->client->router.codec, arena, commit->primary,
                        &primary)) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    kvrpcpb_PrewriteRequest_set_primary_lock(message, primary);
    kvrpcpb_PrewriteRequest_set_start_version(message, commit->start_ts);
    kvrpcpb_PrewriteRequest_set_lock_ttl(message, lock_ttl_ms(commit));
    kvrpcpb_PrewriteRequest_set_txn_size(message, keys_in_region(round, piece));
    kvrpcpb_PrewriteRequest_set_min_commit_ts(
        message, tk_min_commit_get(&commit->min_commit));
    kvrpcpb_PrewriteRequest_set_assertion_level(message,
                                                commit->rules.assertions);
    if (commit->use_async) {
        kvrpcpb_PrewriteRequest_set_use_async_commit(message, true);
        if (has_primary(round, piece) &&
            !put_secondaries(commit, arena, message)) {
            return tk_error_immortal(TIKV_ERR_MEMORY);
        }
    }
    if (commit->use_one_phase && is_all) {
        kvrpcpb_PrewriteRequest_set_try_one_pc(message, true);
        round->sent_one_phase = true;
        commit->sent_one_phase = true;
    }
    if (commit->use_async || (commit->use_one_phase && is_all)) {
        kvrpcpb_PrewriteRequest_set_max_commit_ts(message,
                                                  commit->max_commit_ts);
    }
    return tk_message_encode(job, arena, message, body);
}
