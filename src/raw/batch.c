/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches of keys: get, put, delete. The keys are sorted once; equal ones
 * form a group, which is one item of the job. Of a group's pairs the last one
 * given is written, and all of them share its outcome.
 *
 * An answer of a get is written to every place of the result that asked for
 * the key; the result keeps the answers' memory. No lock; one thread.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "base/sort.h"
#include "raw/inner.h"
#include "wire/pairs.h"

#include "kvrpcpb.upb.h"

/* Of kvrpcpb.RawBatchGetResponse. */
#define FIELD_PAIRS 2

struct batch {
    struct tk_job job; /* first */
    struct tk_raw_run *run;
    struct tk_sorted *entries; /* by key, then by index */
    size_t *groups;        /* where each begins; one more than there are */
    size_t groups_count;
    tikv_key_outcome *outcomes; /* of groups; writes only */
    tikv_pairs *pairs;          /* gets only */
};

static struct batch *
batch_of(struct tk_job *job)
{
    return (struct batch *)(void *)job;
}

static tikv_slice
key_at(const struct tk_raw *raw, size_t index)
{
    return raw->kind == TK_RAW_BATCH_PUT ? raw->many.pairs[index].key
                                         : raw->many.keys[index];
}

/* Of the sorted entries. */
static void
group_entries(struct batch *batch, size_t count)
{
    size_t i;

    batch->groups_count = 0;
    for (i = 0; i < count; i++) {
        if (i == 0 ||
            !tk_slice_equal(batch->entries[i - 1].key, batch->entries[i].key)) {
            batch->groups[batch->groups_count++] = i;
        }
    }
    batch->groups[batch->groups_count] = count;
}

static void
batch_fini(struct batch *batch)
{
    tk_free(batch->entries);
    tk_free(batch->groups);
    tk_free(batch->outcomes);
    tikv_pairs_free(batch->pairs);
}

static bool
batch_init(struct batch *batch, struct tk_raw_run *run,
           const struct tk_job_ops *ops)
{
    const struct tk_config *config = run->router->config;
    size_t count = run->raw->count;
    size_t i;

    memset(batch, 0, sizeof(*batch));
    tk_raw_job_init(&batch->job, ops, run, tk_raw_command(run->raw->kind));
    batch->run = run;
    batch->entries = tk_alloc_array(count, sizeof(*batch->entries));
    batch->groups = tk_alloc_array(count + 1, sizeof(*batch->groups));
    if (batch->entries == NULL || batch->groups == NULL) {
        return false;
    }
    for (i = 0; i < count; i++) {
        batch->entries[i].key = key_at(run->raw, i);
        batch->entries[i].index = i;
    }
    if (!tk_sort_keys(batch->entries, count)) {
        return false;
    }
    group_entries(batch, count);
    batch->job.items_count = batch->groups_count;
    if (run->raw->kind == TK_RAW_BATCH_PUT) {
        batch->job.piece_bytes_max =
            (size_t)tk_config_int(&config->raw_batch_put_bytes);
    } else {
        batch->job.piece_count_max =
            (size_t)tk_config_int(&config->raw_batch_keys_count);
    }
    return true;
}

static tikv_slice
batch_key(struct tk_job *job, size_t item)
{
    const struct batch *batch = batch_of(job);

    return batch->entries[batch->groups[item]].key;
}

/* The pair that counts of a group: the last one given. */
static size_t
last_index(const struct batch *batch, size_t item)
{
    return batch->entries[batch->groups[item + 1] - 1].index;
}

/* ---- get ---- */

static tikv_error *
get_encode(struct tk_job *job, const struct tk_piece *piece,
           struct tk_arena *arena, tikv_slice *body)
{
    const struct batch *batch = batch_of(job);
    kvrpcpb_RawBatchGetRequest *message =
        kvrpcpb_RawBatchGetRequest_new(arena->upb);
    upb_StringView *keys = message == NULL
                               ? NULL
                               : kvrpcpb_RawBatchGetRequest_resize_keys(
                                     message, piece->count, arena->upb);
    size_t i;

    if (keys == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    for (i = 0; i < piece->count; i++) {
        if (!tk_message_key(&batch->run->router->codec, arena,
                            batch_key(job, piece->first + i), &keys[i])) {
            return tk_error_immortal(TIKV_ERR_MEMORY);
        }
    }
    kvrpcpb_RawBatchGetRequest_set_cf(
        message, tk_message_text(batch->run->raw->column_family));
    return tk_message_encode(job, arena, message, body);
}

/* The group of a key within a piece; the piece's end when it has none.
 * Answers come in the order of the question: `guess` is looked at first. */
static size_t
find_group(struct tk_job *job, const struct tk_piece *piece, tikv_slice key,
           size_t guess)
{
    size_t low = piece->first;
    size_t end = piece->first + piece->count;
    size_t high = end;
    size_t middle = guess;

    while (low < high) {
        int order = tk_slice_compare(key, batch_key(job, middle));

        if (order == 0) {
            return middle;
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
        middle = low + (high - low) / 2;
    }
    return end;
}

/* The value is the answer for all of the key's group, at *group or behind it
 * as a rule; moves *group behind that. */
static tikv_error *
take_pair(struct batch *batch, const struct tk_piece *piece,
          const struct tk_wire_pair *pair, size_t *group)
{
    size_t end = piece->first + piece->count;
    tikv_slice key = pair->key;
    size_t found = end;
    tikv_error *error;
    size_t i;

    if (tk_codec_response_key(&batch->run->router->codec, key, &key)) {
        found = find_group(&batch->job, piece, key,
                           *group < end ? *group : piece->first);
    }
    if (found == end) {
        error = tk_error(TIKV_ERR_PROTOCOL,
                         "RawBatchGet: answer to a key not asked for");
        tk_error_set_key(error, key);
        return error;
    }
    for (i = batch->groups[found]; i < batch->groups[found + 1]; i++) {
        batch->pairs->data[batch->entries[i].index].value = pair->value;
    }
    *group = found + 1;
    return NULL;
}

/* Some pair has an error: the first one's. */
static tikv_error *
tell_error(struct tk_job *job, tikv_slice response, struct tk_frame *frame)
{
    const kvrpcpb_KvPair *const *pairs;
    struct tk_arena *arena;
    void *message;
    tikv_error *error =
        tk_message_decode(job, response, frame, &arena, &message);
    size_t count;
    size_t i;

    if (error != NULL) {
        return error;
    }
    pairs = kvrpcpb_RawBatchGetResponse_pairs(message, &count);
    for (i = 0; i < count && error == NULL; i++) {
        error = tk_raw_pair_error(job, pairs[i]);
    }
    tk_arena_unref(arena);
    return error;
}

static tikv_error *
get_answer(struct tk_job *job, const struct tk_piece *piece,
           tikv_slice response, struct tk_frame *frame)
{
    struct batch *batch = batch_of(job);
    struct tk_pairs_walk walk;
    struct tk_wire_pair pair;
    size_t group = piece->first;
    tikv_error *error = NULL;

    tk_frame_ref(frame);
    if (!tk_pairs_hold(batch->pairs, frame)) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    tk_pairs_walk_init(&walk, response, FIELD_PAIRS);
    while (error == NULL && tk_pairs_walk_next(&walk, &pair)) {
        error = pair.has_error ? tell_error(job, response, frame)
                               : take_pair(batch, piece, &pair, &group);
    }
    if (error == NULL && walk.is_broken) {
        error = tk_error(TIKV_ERR_PROTOCOL, "%s: the answer cannot be read",
                         tk_command_row(job->command)->name);
    }
    return error;
}

/* One pair per key asked for, its value absent so far. */
static tikv_pairs *
empty_answer(const struct tk_raw *raw)
{
    tikv_pairs *pairs = tk_pairs_new(raw->count);
    struct tk_frame *frame;
    uint8_t *bytes;
    size_t size = 0;
    size_t i;

    for (i = 0; i < raw->count; i++) {
        size += raw->many.keys[i].len;
    }
    frame = pairs == NULL ? NULL : tk_frame_new(size + 1, &bytes);
    if (frame == NULL || !tk_pairs_hold(pairs, frame)) {
        tikv_pairs_free(pairs);
        return NULL;
    }
    for (i = 0; i < raw->count; i++) {
        tikv_slice key = raw->many.keys[i];

        if (key.len != 0) {
            memcpy(bytes, key.data, key.len);
        }
        pairs->data[i] =
            (tikv_pair){ tk_slice(bytes, key.len), tk_slice(NULL, 0) };
        bytes += key.len;
    }
    pairs->count = raw->count;
    return pairs;
}

tikv_error *
tk_raw_batch_get(struct tk_raw_run *run)
{
    static const struct tk_job_ops ops = { .key = batch_key,
                                           .encode = get_encode,
                                           .answer = get_answer };
    struct batch batch;
    tikv_error *error = NULL;

    if (!batch_init(&batch, run, &ops) ||
        (batch.pairs = empty_answer(run->raw)) == NULL) {
        error = tk_error_immortal(TIKV_ERR_MEMORY);
    } else if (run->raw->count != 0) {
        error = tk_drive(run->router, run->op, &batch.job, NULL);
    }
    if (error == NULL) {
        run->outcome->pairs = batch.pairs;
        batch.pairs = NULL;
    }
    batch_fini(&batch);
    return error;
}

/* ---- put, delete ---- */

static size_t
put_weight(struct tk_job *job, size_t item)
{
    const struct batch *batch = batch_of(job);
    const tikv_pair *pair =
        &batch->run->raw->many.pairs[last_index(batch, item)];

    return pair->key.len + pair->value.len;
}

/* One TTL per pair, always, and the first one in the field that servers
 * before it know. */
static bool
put_ttls(const struct batch *batch, const struct tk_piece *piece,
         kvrpcpb_RawBatchPutRequest *message, upb_Arena *arena)
{
    const struct tk_raw *raw = batch->run->raw;
    uint64_t *ttls =
        kvrpcpb_RawBatchPutRequest_resize_ttls(message, piece->count, arena);
    size_t i;

    if (ttls == NULL) {
        return false;
    }
    for (i = 0; i < piece->count; i++) {
        ttls[i] = raw->ttls_s == NULL
                      ? raw->ttl_s
                      : raw->ttls_s[last_index(batch, piece->first + i)];
    }
    kvrpcpb_RawBatchPutRequest_set_ttl(message, ttls[0]);
    return true;
}

static tikv_error *
put_encode(struct tk_job *job, const struct tk_piece *piece,
           struct tk_arena *arena, tikv_slice *body)
{
    const struct batch *batch = batch_of(job);
    const struct tk_raw *raw = batch->run->raw;
    kvrpcpb_RawBatchPutRequest *message =
        kvrpcpb_RawBatchPutRequest_new(arena->upb);
    size_t i;

    if (message == NULL || !put_ttls(batch, piece, message, arena->upb)) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    for (i = 0; i < piece->count; i++) {
        const tikv_pair *given =
            &raw->many.pairs[last_index(batch, piece->first + i)];
        kvrpcpb_KvPair *pair =
            kvrpcpb_RawBatchPutRequest_add_pairs(message, arena->upb);
        upb_StringView key;

        if (pair == NULL || !tk_message_key(&batch->run->router->codec, arena,
                                            given->key, &key)) {
            return tk_error_immortal(TIKV_ERR_MEMORY);
        }
        kvrpcpb_KvPair_set_key(pair, key);
        kvrpcpb_KvPair_set_value(pair, tk_message_view(given->value));
    }
    kvrpcpb_RawBatchPutRequest_set_cf(message,
                                      tk_message_text(raw->column_family));
    kvrpcpb_RawBatchPutRequest_set_for_cas(message, raw->atomic);
    return tk_message_encode(job, arena, message, body);
}

static tikv_error *
delete_encode(struct tk_job *job, const struct tk_piece *piece,
              struct tk_arena *arena, tikv_slice *body)
{
    const struct batch *batch = batch_of(job);
    kvrpcpb_RawBatchDeleteRequest *message =
        kvrpcpb_RawBatchDeleteRequest_new(arena->upb);
    upb_StringView *keys = message == NULL
                               ? NULL
                               : kvrpcpb_RawBatchDeleteRequest_resize_keys(
                                     message, piece->count, arena->upb);
    size_t i;

    if (keys == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    for (i = 0; i < piece->count; i++) {
        if (!tk_message_key(&batch->run->router->codec, arena,
                            batch_key(job, piece->first + i), &keys[i])) {
            return tk_error_immortal(TIKV_ERR_MEMORY);
        }
    }
    kvrpcpb_RawBatchDeleteRequest_set_cf(
        message, tk_message_text(batch->run->raw->column_family));
    return tk_message_encode(job, arena, message, body);
}

static void
mark(struct batch *batch, const struct tk_piece *piece,
     tikv_key_outcome outcome)
{
    size_t i;

    for (i = 0; i < piece->count; i++) {
        batch->outcomes[piece->first + i] = outcome;
    }
}

static tikv_error *
write_answer(struct tk_job *job, const struct tk_piece *piece,
             tikv_slice response, struct tk_frame *frame)
{
    struct tk_peek peek;
    tikv_error *error;

    (void)frame;
    tk_peek(job->command, response, &peek);
    if (!peek.is_valid) {
        mark(batch_of(job), piece, TIKV_KEY_UNKNOWN);
        return tk_error(TIKV_ERR_PROTOCOL, "%s: the answer cannot be read",
                        tk_command_row(job->command)->name);
    }
    error = tk_raw_server_error(job, peek.error);
    if (error == NULL) {
        mark(batch_of(job), piece, TIKV_KEY_DONE);
    }
    return error;
}

static void
write_lost(struct tk_job *job, const struct tk_piece *piece, bool in_doubt)
{
    if (in_doubt) {
        mark(batch_of(job), piece, TIKV_KEY_UNKNOWN);
    }
}

/* Puts the outcomes of the groups into the error, one per key given. */
static tikv_error *
tell_outcomes(const struct batch *batch, tikv_error *error)
{
    size_t count = batch->run->raw->count;
    tikv_key_outcome *all = tk_alloc_array(count, sizeof(*all));
    size_t group;
    size_t i;

    if (all == NULL) {
        return error;
    }
    for (group = 0; group < batch->groups_count; group++) {
        for (i = batch->groups[group]; i < batch->groups[group + 1]; i++) {
            all[batch->entries[i].index] = batch->outcomes[group];
        }
    }
    if (tk_error_is_immortal(error)) {
        error = tk_error_wrap(error, "%s",
                              tk_command_row(batch->job.command)->name);
    }
    (void)tk_error_set_outcomes(error, all, count);
    tk_free(all);
    return error;
}

tikv_error *
tk_raw_batch_write(struct tk_raw_run *run)
{
    static const struct tk_job_ops puts = { .key = batch_key,
                                            .weight = put_weight,
                                            .encode = put_encode,
                                            .answer = write_answer,
                                            .lost = write_lost };
    static const struct tk_job_ops deletes = { .key = batch_key,
                                               .encode = delete_encode,
                                               .answer = write_answer,
                                               .lost = write_lost };
    bool is_put = run->raw->kind == TK_RAW_BATCH_PUT;
    struct batch batch;
    tikv_error *error = NULL;

    if (run->raw->count == 0) {
        return NULL;
    }
    if (batch_init(&batch, run, is_put ? &puts : &deletes)) {
        /* Zero is TIKV_KEY_NOT_DONE. */
        batch.outcomes =
            tk_calloc(batch.groups_count * sizeof(*batch.outcomes));
    }
    if (batch.outcomes == NULL) {
        error = tk_error_immortal(TIKV_ERR_MEMORY);
    } else {
        error = tk_drive(run->router, run->op, &batch.job, NULL);
        if (error != NULL) {
            error = tell_outcomes(&batch, error);
        }
    }
    batch_fini(&batch);
    return error;
}
