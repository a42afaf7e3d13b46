/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Points and batches. What the cache does not know is sorted, equal keys
 * become one, and goes through rounds: a job over what is still wanted, then
 * the locks it met are resolved.
 *
 *     wanted --job--> found or not found      (done)
 *        ^     \----> locked --resolve--+
 *        +------------------------------+
 *
 * A problem of a whole answer leaves all its keys wanted: the pairs beside it
 * are not all there are (lesson 39). No lock; the caller's thread.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "region/message.h"
#include "txn/snapshot_inner.h"

#include "kvrpcpb.upb.h"

/* Keys of one request. */
#define PIECE_COUNT 5120
#define PIECE_BYTES (1024 * 1024)

/* One key, as often as it was asked for. */
struct want {
    tikv_slice key;
    size_t index; /* the first place in `found` */
    bool is_done;
    struct tk_found found;
};

struct gets {
    struct tk_job job; /* first */
    struct tk_reading reading;
    struct want *wants; /* ascending */
    size_t count;
    struct want **left; /* the job's items: not done, ascending */
    size_t left_count;
    tikv_pairs *hold;
    bool with_commit_ts;
};

static struct gets *
gets_of(struct tk_job *job)
{
    return (struct gets *)(void *)job;
}

static tikv_slice
gets_key(struct tk_job *job, size_t item)
{
    return gets_of(job)->left[item]->key;
}

static size_t
gets_weight(struct tk_job *job, size_t item)
{
    return gets_of(job)->left[item]->key.len;
}

static const struct tk_key_codec *
codec_of(const struct gets *gets)
{
    return &gets->reading.snapshot->client->router.codec;
}

/* ---- one key ---- */

static tikv_error *
get_encode(struct tk_job *job, const struct tk_piece *piece,
           struct tk_arena *arena, tikv_slice *body)
{
    const struct gets *gets = gets_of(job);
    kvrpcpb_GetRequest *message = kvrpcpb_GetRequest_new(arena->upb);
    upb_StringView key;

    if (message == NULL || !tk_message_key(codec_of(gets), arena,
                                           gets_key(job, piece->first), &key)) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    kvrpcpb_GetRequest_set_key(message, key);
    kvrpcpb_GetRequest_set_version(message,
                                   gets->reading.snapshot->options.version);
    kvrpcpb_GetRequest_set_need_commit_ts(message, gets->with_commit_ts);
    return tk_message_encode(job, arena, message, body);
}

/* Found, or known not to be there. */
static tikv_error *
take(struct gets *gets, struct want *want, tikv_slice value, uint64_t commit_ts)
{
    if (value.data != NULL && gets->with_commit_ts && commit_ts == 0) {
        return tk_error(TIKV_ERR_PROTOCOL,
                        "%s: no commit ts, although it was asked for",
                        tk_command_row(gets->job.command)->name);
    }
    want->is_done = true;
    want->found.value = value;
    want->found.commit_ts = commit_ts;
    return NULL;
}

static tikv_error *
read_get(struct gets *gets, struct want *want,
         const kvrpcpb_GetResponse *answer)
{
    const kvrpcpb_KeyError *problem = kvrpcpb_GetResponse_error(answer);
    tikv_slice value = { NULL, 0 };

    if (problem != NULL) {
        return tk_reading_problem(&gets->reading, &gets->job, problem,
                                  want->key);
    }
    tk_snapshot_details(gets->reading.snapshot,
                        kvrpcpb_GetResponse_exec_details_v2(answer));
    if (!kvrpcpb_GetResponse_not_found(answer)) {
        value = tk_message_bytes(kvrpcpb_GetResponse_value(answer));
    }
    return take(gets, want, value, kvrpcpb_GetResponse_commit_ts(answer));
}

/* Values alias the answer: `hold` keeps its memory. Takes the arena over. */
static tikv_error *
keep(struct gets *gets, struct tk_arena *arena, tikv_error *error)
{
    if (error != NULL) {
        tk_arena_unref(arena);
        return error;
    }
    return tk_pairs_hold(gets->hold, &arena->frame)
               ? NULL
               : tk_error_immortal(TIKV_ERR_MEMORY);
}

static tikv_error *
get_answer(struct tk_job *job, const struct tk_piece *piece,
           tikv_slice response, struct tk_frame *frame)
{
    struct gets *gets = gets_of(job);
    struct tk_arena *arena;
    void *message;
    tikv_error *error =
        tk_message_decode(job, response, frame, &arena, &message);

    return error != NULL
               ? error
               : keep(gets, arena,
                      read_get(gets, gets->left[piece->first], message));
}

/* ---- many ---- */

static tikv_error *
batch_encode(struct tk_job *job, const struct tk_piece *piece,
             struct tk_arena *arena, tikv_slice *body)
{
    const struct gets *gets = gets_of(job);
    kvrpcpb_BatchGetRequest *message = kvrpcpb_BatchGetRequest_new(arena->upb);
    upb_StringView *keys = message == NULL
                               ? NULL
                               : kvrpcpb_BatchGetRequest_resize_keys(
                                     message, piece->count, arena->upb);
    size_t i;

    if (keys == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    for (i = 0; i < piece->count; i++) {
        if (!tk_message_key(codec_of(gets), arena,
                            gets_key(job, piece->first + i), &keys[i])) {
            return tk_error_immortal(TIKV_ERR_MEMORY);
        }
    }
    kvrpcpb_BatchGetRequest_set_version(
        message, gets->reading.snapshot->options.version);
    kvrpcpb_BatchGetRequest_set_need_commit_ts(message, gets->with_commit_ts);
    return tk_message_encode(job, arena, message, body);
}

/* The item of the piece with that key. */
static struct want *
find(const struct gets *gets, const struct tk_piece *piece, tikv_slice key)
{
    size_t low = piece->first;
    size_t high = piece->first + piece->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (tk_slice_compare(gets->left[middle]->key, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < piece->first + piece->count &&
                   tk_slice_equal(gets->left[low]->key, key)
               ? gets->left[low]
               : NULL;
}

static tikv_error *
read_pair(struct gets *gets, const struct tk_piece *piece,
          const kvrpcpb_KvPair *pair)
{
    const kvrpcpb_KeyError *problem = kvrpcpb_KvPair_error(pair);
    struct want *want = NULL;
    tikv_slice key;

    if (problem != NULL) {
        return tk_reading_problem(&gets->reading, &gets->job, problem,
                                  (tikv_slice){ NULL, 0 });
    }
    if (tk_codec_response_key(
            codec_of(gets), tk_message_bytes(kvrpcpb_KvPair_key(pair)), &key)) {
        want = find(gets, piece, key);
    }
    return want == NULL
               ? tk_error(TIKV_ERR_PROTOCOL,
                          "KvBatchGet: a key that was not asked for")
               : take(gets, want, tk_message_bytes(kvrpcpb_KvPair_value(pair)),
                      kvrpcpb_KvPair_commit_ts(pair));
}

/* What was neither answered nor locked is not there. */
static void
settle(struct gets *gets, const struct tk_piece *piece, size_t first_lock)
{
    const struct tk_lock_set *locks = &gets->reading.locks;
    size_t i;

    for (i = piece->first; i < piece->first + piece->count; i++) {
        gets->left[i]->is_done = true;
    }
    for (i = first_lock; i < locks->count; i++) {
        struct want *want = find(gets, piece, locks->data[i].key);

        if (want != NULL) {
            want->is_done = false;
        }
    }
}

static tikv_error *
read_batch(struct gets *gets, const struct tk_piece *piece,
           const kvrpcpb_BatchGetResponse *answer)
{
    const kvrpcpb_KeyError *problem = kvrpcpb_BatchGetResponse_error(answer);
    size_t first_lock = gets->reading.locks.count;
    const kvrpcpb_KvPair *const *pairs;
    tikv_error *error = NULL;
    size_t count;
    size_t i;

    if (problem != NULL) {
        return tk_reading_problem(&gets->reading, &gets->job, problem,
                                  (tikv_slice){ NULL, 0 });
    }
    tk_snapshot_details(gets->reading.snapshot,
                        kvrpcpb_BatchGetResponse_exec_details_v2(answer));
    pairs = kvrpcpb_BatchGetResponse_pairs(answer, &count);
    for (i = 0; i < count && error == NULL; i++) {
        error = read_pair(gets, piece, pairs[i]);
    }
    if (error == NULL) {
        settle(gets, piece, first_lock);
    }
    return error;
}

static tikv_error *
batch_answer(struct tk_job *job, const struct tk_piece *piece,
             tikv_slice response, struct tk_frame *frame)
{
    struct gets *gets = gets_of(job);
    struct tk_arena *arena;
    void *message;
    tikv_error *error =
        tk_message_decode(job, response, frame, &arena, &message);

    return error != NULL ? error
                         : keep(gets, arena, read_batch(gets, piece, message));
}

/* ---- rounds ---- */

static void
find_left(struct gets *gets)
{
    size_t i;

    gets->left_count = 0;
    for (i = 0; i < gets->count; i++) {
        if (!gets->wants[i].is_done) {
            gets->left[gets->left_count++] = &gets->wants[i];
        }
    }
}

static tikv_error *
run_round(struct gets *gets, struct tk_first *first)
{
    static const struct tk_job_ops get = { .key = gets_key,
                                           .encode = get_encode,
                                           .answer = get_answer };
    static const struct tk_job_ops batch = { .key = gets_key,
                                             .weight = gets_weight,
                                             .encode = batch_encode,
                                             .answer = batch_answer };
    bool is_one = gets->count == 1;
    tikv_error *error =
        tk_reading_job(&gets->reading, &gets->job, is_one ? &get : &batch,
                       is_one ? TK_CMD_KV_GET : TK_CMD_KV_BATCH_GET);

    if (error != NULL) {
        return error;
    }
    gets->job.items_count = gets->left_count;
    gets->job.piece_count_max = PIECE_COUNT;
    gets->job.piece_bytes_max = PIECE_BYTES;
    error = tk_reading_drive(&gets->reading, &gets->job, first);
    return error == NULL ? tk_reading_resolve(&gets->reading) : error;
}

static tikv_error *
run_rounds(struct gets *gets, struct tk_first *first)
{
    tikv_error *error = NULL;

    find_left(gets);
    while (error == NULL && gets->left_count != 0) {
        error = run_round(gets, first);
        find_left(gets);
    }
    return error == NULL ? tk_reading_check(&gets->reading) : error;
}

static int
compare_wants(const void *a, const void *b)
{
    const struct want *left = a;
    const struct want *right = b;
    int order = tk_slice_compare(left->key, right->key);

    return order != 0
               ? order
               : (left->index > right->index) - (left->index < right->index);
}

/* From the cache, into memory of `hold`. */
static bool
from_cache(struct gets *gets, tikv_slice key, struct tk_found *found,
           bool *is_known)
{
    struct tk_snapshot *snapshot = gets->reading.snapshot;
    const struct tk_read_entry *entry;
    bool has_memory = true;

    tk_mutex_lock(&snapshot->lock);
    entry = tk_read_cache_find(&snapshot->cache, key, gets->with_commit_ts);
    *is_known = entry != NULL;
    if (entry != NULL && entry->exists) {
        has_memory =
            tk_pairs_copy(gets->hold, tk_read_value(entry), &found->value);
        found->commit_ts = gets->with_commit_ts ? entry->commit_ts : 0;
    }
    tk_mutex_unlock(&snapshot->lock);
    return has_memory;
}

/* Wants, sorted, without what the cache knows. False without memory. */
static bool
begin(struct gets *gets, const tikv_slice *keys, size_t count,
      struct tk_found *found)
{
    size_t hits = 0;
    size_t i;

    for (i = 0; i < count; i++) {
        bool is_known;

        if (!from_cache(gets, keys[i], &found[i], &is_known)) {
            return false;
        }
        if (is_known) {
            hits++;
        } else {
            gets->wants[gets->count++] =
                (struct want){ .key = keys[i], .index = i };
        }
    }
    tk_snapshot_count(gets->reading.snapshot, TK_STAT_CACHE_HITS, hits);
    if (gets->count > 1) {
        qsort(gets->wants, gets->count, sizeof(*gets->wants), compare_wants);
    }
    return true;
}

/* Equal keys: the first of them asks, all get the answer. */
static void
mark_doubles(struct gets *gets)
{
    size_t kept = 0;
    size_t i;

    for (i = 1; i < gets->count; i++) {
        if (tk_slice_equal(gets->wants[kept].key, gets->wants[i].key)) {
            gets->wants[i].is_done = true;
        } else {
            kept = i;
        }
    }
}

static void
give(struct gets *gets, struct tk_found *found)
{
    const struct want *first = NULL;
    size_t i;

    for (i = 0; i < gets->count; i++) {
        if (first == NULL || !tk_slice_equal(first->key, gets->wants[i].key)) {
            first = &gets->wants[i];
            tk_snapshot_remember(gets->reading.snapshot, first->key,
                                 first->found.value, gets->with_commit_ts,
                                 first->found.commit_ts);
        }
        found[gets->wants[i].index] = first->found;
    }
}

tikv_error *
tk_snapshot_get_after(struct tk_snapshot *snapshot, struct tk_op *op,
                      const tikv_slice *keys, size_t count, bool with_commit_ts,
                      struct tk_first *first, tikv_pairs *hold,
                      struct tk_found *found)
{
    struct gets gets = { .hold = hold, .with_commit_ts = with_commit_ts };
    tikv_error *error;

    memset(found, 0, count * sizeof(*found));
    if (count == 0) {
        return NULL;
    }
    error = tk_reading_init(&gets.reading, snapshot, op);
    gets.reading.is_lite = count == 1;
    gets.reading.waits_for_cleaning = with_commit_ts;
    gets.wants = tk_alloc_array(count, sizeof(*gets.wants));
    gets.left = tk_alloc_array(count, sizeof(*gets.left));
    if (error == NULL && (gets.wants == NULL || gets.left == NULL ||
                          !begin(&gets, keys, count, found))) {
        error = tk_error_immortal(TIKV_ERR_MEMORY);
    }
    if (error == NULL) {
        mark_doubles(&gets);
        error = run_rounds(&gets, first);
    }
    if (error == NULL) {
        give(&gets, found);
    } else {
        memset(found, 0, count * sizeof(*found));
    }
    tk_free(gets.wants);
    tk_free(gets.left);
    tk_reading_fini(&gets.reading);
    return error;
}

tikv_error *
tk_snapshot_get(struct tk_snapshot *snapshot, struct tk_op *op,
                const tikv_slice *keys, size_t count, bool with_commit_ts,
                tikv_pairs *hold, struct tk_found *found)
{
    return tk_snapshot_get_after(snapshot, op, keys, count, with_commit_ts,
                                 NULL, hold, found);
}
