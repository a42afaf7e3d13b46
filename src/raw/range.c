/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on whole ranges, region by region: delete range and checksum.
 * Both are jobs of a range; the loop clamps the pieces to the regions. No
 * state; one thread.
 */
#include "base/error.h"
#include "raw/inner.h"

#include "kvrpcpb.upb.h"

struct ranged {
    struct tk_job job; /* first */
    const struct tk_raw_run *run;
};

static const struct tk_raw_run *
run_of(const struct tk_job *job)
{
    return ((const struct ranged *)(const void *)job)->run;
}

static bool
is_empty(const tikv_range *range)
{
    return range->end.len != 0 &&
           tk_slice_compare(range->start, range->end) >= 0;
}

static tikv_error *
delete_encode(struct tk_job *job, const struct tk_piece *piece,
              struct tk_arena *arena, tikv_slice *body)
{
    const struct tk_raw_run *run = run_of(job);
    kvrpcpb_RawDeleteRangeRequest *message =
        kvrpcpb_RawDeleteRangeRequest_new(arena->upb);
    upb_StringView start;
    upb_StringView end;

    if (message == NULL ||
        !tk_message_key(&run->router->codec, arena, piece->start, &start) ||
        !tk_message_end(&run->router->codec, arena, piece->end, &end)) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    kvrpcpb_RawDeleteRangeRequest_set_start_key(message, start);
    kvrpcpb_RawDeleteRangeRequest_set_end_key(message, end);
    kvrpcpb_RawDeleteRangeRequest_set_cf(
        message, tk_message_text(run->raw->column_family));
    return tk_message_encode(job, arena, message, body);
}

static tikv_error *
delete_answer(struct tk_job *job, const struct tk_piece *piece,
              tikv_slice response, struct tk_frame *frame)
{
    struct tk_peek peek;

    (void)piece;
    (void)frame;
    tk_peek(job->command, response, &peek);
    if (!peek.is_valid) {
        return tk_error(TIKV_ERR_PROTOCOL,
                        "RawDeleteRange: the answer cannot be read");
    }
    return tk_raw_server_error(job, peek.error);
}

tikv_error *
tk_raw_delete_range(struct tk_raw_run *run)
{
    static const struct tk_job_ops ops = { .encode = delete_encode,
                                           .answer = delete_answer };
    struct ranged ranged;

    if (is_empty(run->raw->many.ranges)) {
        return NULL;
    }
    ranged.run = run;
    tk_raw_job_init(&ranged.job, &ops, run, TK_CMD_RAW_DELETE_RANGE);
    ranged.job.range = run->raw->many.ranges[0];
    return tk_drive(run->router, run->op, &ranged.job, NULL);
}

static tikv_error *
sum_encode(struct tk_job *job, const struct tk_piece *piece,
           struct tk_arena *arena, tikv_slice *body)
{
    const struct tk_raw_run *run = run_of(job);
    kvrpcpb_RawChecksumRequest *message =
        kvrpcpb_RawChecksumRequest_new(arena->upb);
    kvrpcpb_KeyRange *range =
        message == NULL
            ? NULL
            : kvrpcpb_RawChecksumRequest_add_ranges(message, arena->upb);
    upb_StringView start;
    upb_StringView end;

    if (range == NULL ||
        !tk_message_key(&run->router->codec, arena, piece->start, &start) ||
        !tk_message_end(&run->router->codec, arena, piece->end, &end)) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    kvrpcpb_RawChecksumRequest_set_algorithm(message, kvrpcpb_Crc64_Xor);
    kvrpcpb_KeyRange_set_start_key(range, start);
    kvrpcpb_KeyRange_set_end_key(range, end);
    return tk_message_encode(job, arena, message, body);
}

/* outcome.number: checksum, pairs, bytes. */
static tikv_error *
sum_answer(struct tk_job *job, const struct tk_piece *piece,
           tikv_slice response, struct tk_frame *frame)
{
    uint64_t *sums = run_of(job)->outcome->number;
    const kvrpcpb_RawChecksumResponse *answer;
    struct tk_arena *arena;
    void *message;
    tikv_error *error =
        tk_message_decode(job, response, frame, &arena, &message);

    (void)piece;
    if (error != NULL) {
        return error;
    }
    answer = message;
    error = tk_raw_server_error(
        job, tk_message_bytes(kvrpcpb_RawChecksumResponse_error(answer)));
    sums[0] ^= kvrpcpb_RawChecksumResponse_checksum(answer);
    sums[1] += kvrpcpb_RawChecksumResponse_total_kvs(answer);
    sums[2] += kvrpcpb_RawChecksumResponse_total_bytes(answer);
    tk_arena_unref(arena);
    return error;
}

tikv_error *
tk_raw_checksum(struct tk_raw_run *run)
{
    static const struct tk_job_ops ops = { .encode = sum_encode,
                                           .answer = sum_answer };
    tikv_error *error = NULL;
    struct ranged ranged;
    size_t i;

    memset(run->outcome->number, 0, sizeof(run->outcome->number));
    for (i = 0; i < run->raw->count && error == NULL; i++) {
        if (is_empty(&run->raw->many.ranges[i])) {
            continue;
        }
        ranged.run = run;
        tk_raw_job_init(&ranged.job, &ops, run, TK_CMD_RAW_CHECKSUM);
        ranged.job.range = run->raw->many.ranges[i];
        error = tk_drive(run->router, run->op, &ranged.job, NULL);
    }
    return error;
}
