/* SPDX-License-Identifier: Apache-2.0 */
/* Every field of errorpb.Error has its row. */
#include "harness/harness.h"

#include "base/slice.h"
#include "region/errors.h"
#include "wire/arena.h"

#include "errorpb.upb.h"
#include "metapb.upb.h"

struct expected {
    unsigned field;
    const char *name;
    enum tk_verdict verdict;
    enum tk_backoff_kind backoff;
    enum tk_invalid invalidate;
};

#define NONE TK_BACKOFF_KINDS

static const struct expected table[] = {
    { 2, "not_leader", TK_VERDICT_RETRY, TK_BACKOFF_REGION_SCHEDULING,
      TK_INVALID_OK },
    { 3, "region_not_found", TK_VERDICT_REGROUP, TK_BACKOFF_REGION_MISS,
      TK_INVALID_NOT_FOUND },
    { 4, "key_not_in_region", TK_VERDICT_REGROUP, TK_BACKOFF_REGION_MISS,
      TK_INVALID_OTHER },
    { 5, "epoch_not_match", TK_VERDICT_REGROUP, TK_BACKOFF_REGION_MISS,
      TK_INVALID_EPOCH },
    { 6, "server_is_busy", TK_VERDICT_RETRY, TK_BACKOFF_SERVER_BUSY,
      TK_INVALID_OK },
    { 7, "stale_command", TK_VERDICT_RETRY, NONE, TK_INVALID_OK },
    { 8, "store_not_match", TK_VERDICT_REGROUP, TK_BACKOFF_REGION_MISS,
      TK_INVALID_STORE },
    { 9, "raft_entry_too_large", TK_VERDICT_FAIL, NONE, TK_INVALID_OK },
    { 10, "max_timestamp_not_synced", TK_VERDICT_RETRY,
      TK_BACKOFF_MAX_TS_NOT_SYNCED, TK_INVALID_OK },
    { 11, "read_index_not_ready", TK_VERDICT_RETRY,
      TK_BACKOFF_REGION_SCHEDULING, TK_INVALID_OK },
    { 12, "proposal_in_merging_mode", TK_VERDICT_RETRY,
      TK_BACKOFF_REGION_SCHEDULING, TK_INVALID_OK },
    { 13, "data_is_not_ready", TK_VERDICT_RETRY, NONE, TK_INVALID_OK },
    { 14, "region_not_initialized", TK_VERDICT_RETRY,
      TK_BACKOFF_REGION_NOT_INITIALIZED, TK_INVALID_OK },
    { 15, "disk_full", TK_VERDICT_RETRY, TK_BACKOFF_DISK_FULL, TK_INVALID_OK },
    { 16, "recovery_in_progress", TK_VERDICT_REGROUP, TK_BACKOFF_RECOVERY,
      TK_INVALID_OTHER },
    { 17, "flashback_in_progress", TK_VERDICT_FAIL, NONE, TK_INVALID_OK },
    { 18, "flashback_not_prepared", TK_VERDICT_FAIL, NONE, TK_INVALID_OK },
    { 19, "is_witness", TK_VERDICT_REGROUP, TK_BACKOFF_IS_WITNESS,
      TK_INVALID_OTHER },
    { 20, "mismatch_peer_id", TK_VERDICT_REGROUP, TK_BACKOFF_REGION_MISS,
      TK_INVALID_OTHER },
    { 21, "bucket_version_not_match", TK_VERDICT_REGROUP,
      TK_BACKOFF_REGION_MISS, TK_INVALID_OK },
    { 22, "undetermined_result", TK_VERDICT_IN_DOUBT, NONE, TK_INVALID_OK },
    { 99, "unknown", TK_VERDICT_REGROUP, TK_BACKOFF_REGION_MISS,
      TK_INVALID_OTHER },
};

/* An error with an empty message in one field, as it stands on the wire. */
static tikv_slice
only_field(unsigned field, uint8_t buffer[4])
{
    size_t len = 0;
    unsigned tag = field << 3 | 2;

    while (tag >= 0x80) {
        buffer[len++] = (uint8_t)(tag | 0x80);
        tag >>= 7;
    }
    buffer[len++] = (uint8_t)tag;
    buffer[len++] = 0;
    return tk_slice(buffer, len);
}

static void
errors__have_a_row_for_every_field(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct tk_arena *arena = tk_arena_new();
        struct tk_region_error fault;
        uint8_t buffer[4];

        tk_region_error(only_field(table[i].field, buffer), arena, &fault);
        assert_string_equal(fault.name, table[i].name);
        assert_int_equal(fault.verdict, table[i].verdict);
        assert_int_equal(fault.backoff, table[i].backoff);
        assert_int_equal(fault.invalidate, table[i].invalidate);
        assert_int_equal(fault.suspect_store, table[i].field == 8);
        assert_int_equal(fault.remedy == TK_REMEDY_NOT_LEADER,
                         table[i].field == 2);
        assert_int_equal(fault.code != TIKV_OK,
                         fault.verdict == TK_VERDICT_FAIL ||
                             fault.verdict == TK_VERDICT_IN_DOUBT);
        tk_arena_unref(arena);
    }
}

static void
lesson_89__fields_of_the_future_are_tried_again(void **state)
{
    unsigned field;

    (void)state;
    for (field = 60; field < 1000; field++) {
        struct tk_arena *arena = tk_arena_new();
        struct tk_region_error fault;
        uint8_t buffer[4];

        tk_region_error(only_field(field, buffer), arena, &fault);
        assert_string_equal(fault.name, "unknown");
        assert_int_equal(fault.verdict, TK_VERDICT_REGROUP);
        assert_int_equal(fault.backoff, TK_BACKOFF_REGION_MISS);
        assert_int_equal(fault.invalidate, TK_INVALID_OTHER);
        tk_arena_unref(arena);
    }
}

static void
errors__read_garbage_as_unknown(void **state)
{
    struct tk_arena *arena = tk_arena_new();
    struct tk_region_error fault;

    (void)state;
    tk_region_error(tk_slice("\xff\xff\xff", 3), arena, &fault);
    assert_string_equal(fault.name, "unknown");
    assert_string_equal(fault.message, "");
    tk_region_error(tk_slice("", 0), arena, &fault);
    assert_string_equal(fault.name, "unknown");
    tk_arena_unref(arena);
}

static tikv_slice
encode(struct tk_arena *arena, const errorpb_Error *error)
{
    struct tk_encoded encoded =
        tk_arena_encode(arena, &errorpb_Error_msginit, error);

    assert_non_null(encoded.data);
    return tk_slice(encoded.data, encoded.len);
}

static void
errors__take_the_facts_out(void **state)
{
    struct tk_arena *arena = tk_arena_new();
    errorpb_Error *error = errorpb_Error_new(arena->upb);
    struct tk_region_error fault;
    metapb_Peer *leader = errorpb_NotLeader_mutable_leader(
        errorpb_Error_mutable_not_leader(error, arena->upb), arena->upb);

    (void)state;
    metapb_Peer_set_id(leader, 7);
    metapb_Peer_set_store_id(leader, 3);
    errorpb_Error_set_message(error, upb_StringView_FromString("psst"));
    tk_region_error(encode(arena, error), arena, &fault);
    assert_int_equal(fault.leader_peer_id, 7);
    assert_int_equal(fault.leader_store_id, 3);
    assert_int_equal(fault.backoff, NONE);
    assert_int_equal(fault.verdict, TK_VERDICT_RETRY);
    assert_string_equal(fault.message, "psst");

    error = errorpb_Error_new(arena->upb);
    errorpb_EpochNotMatch_add_current_regions(
        errorpb_Error_mutable_epoch_not_match(error, arena->upb), arena->upb);
    tk_region_error(encode(arena, error), arena, &fault);
    assert_int_equal(fault.regions_count, 1);
    assert_int_equal(fault.backoff, NONE);
    assert_int_equal(fault.invalidate, TK_INVALID_OK);

    error = errorpb_Error_new(arena->upb);
    errorpb_ServerIsBusy_set_backoff_ms(
        errorpb_Error_mutable_server_is_busy(error, arena->upb), 70);
    tk_region_error(encode(arena, error), arena, &fault);
    assert_int_equal(fault.busy_ms, 70);
    errorpb_ServerIsBusy_set_estimated_wait_ms(
        errorpb_Error_mutable_server_is_busy(error, arena->upb), 90);
    errorpb_ServerIsBusy_set_reason(
        errorpb_Error_mutable_server_is_busy(error, arena->upb),
        upb_StringView_FromString("the deadline is exceeded, sorry"));
    tk_region_error(encode(arena, error), arena, &fault);
    assert_string_equal(fault.name, "deadline_exceeded");
    assert_int_equal(fault.wait_ms, 90);
    tk_arena_unref(arena);
}

static void
errors__know_some_texts(void **state)
{
    struct tk_arena *arena = tk_arena_new();
    errorpb_Error *error = errorpb_Error_new(arena->upb);
    struct tk_region_error fault;

    (void)state;
    errorpb_Error_set_message(
        error, upb_StringView_FromString("Deadline is exceeded"));
    tk_region_error(encode(arena, error), arena, &fault);
    assert_string_equal(fault.name, "deadline_exceeded");
    assert_int_equal(fault.verdict, TK_VERDICT_RETRY);
    errorpb_Error_set_message(
        error, upb_StringView_FromString("invalid max_ts update: 9"));
    tk_region_error(encode(arena, error), arena, &fault);
    assert_int_equal(fault.verdict, TK_VERDICT_FAIL);
    tk_arena_unref(arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(errors__have_a_row_for_every_field),
        harness_test(lesson_89__fields_of_the_future_are_tried_again),
        harness_test(errors__read_garbage_as_unknown),
        harness_test(errors__take_the_facts_out),
        harness_test(errors__know_some_texts),
    };

    return harness_run(tests);
}
