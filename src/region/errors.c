/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of region errors (RS-10): the first row whose field is set wins.
 * What a row's remedy makes of the other replicas is selector_judge.c's. No
 * lock, no state.
 */
#include "region/errors.h"

#include <string.h>

#include "base/redact.h"
#include "base/slice.h"
#include "wire/arena.h"

#include "errorpb.upb.h"
#include "metapb.upb.h"

struct row {
    const char *name;
    bool (*is_set)(const errorpb_Error *);
    enum tk_verdict verdict;
    enum tk_backoff_kind backoff;
    enum tk_invalid invalidate;
    bool suspect_store;
    tikv_code code;
    enum tk_remedy remedy;
};

/* Of what a store said. */
#define TEXT_MAX 512

static bool
has_text(upb_StringView text, const char *word)
{
    return text.size != 0 &&
           memmem(text.data, text.size, word, strlen(word)) != NULL;
}

static bool
busy_by_deadline(const errorpb_Error *error)
{
    return errorpb_Error_has_server_is_busy(error) &&
           has_text(errorpb_ServerIsBusy_reason(
                        errorpb_Error_server_is_busy(error)),
                    "deadline is exceeded");
}

static bool
past_deadline(const errorpb_Error *error)
{
    return has_text(errorpb_Error_message(error), "Deadline is exceeded");
}

static bool
invalid_max_ts(const errorpb_Error *error)
{
    return has_text(errorpb_Error_message(error), "invalid max_ts update");
}

static bool
anything(const errorpb_Error *error)
{
    (void)error;
    return true;
}

#define NONE TK_BACKOFF_KINDS
#define KEEP TK_INVALID_OK
#define FIELD(name) #name, errorpb_Error_has_##name
#define NAMED(name, field) name, errorpb_Error_has_##field
#define PLAIN TK_REMEDY_NONE
#define RETRY(kind, remedy)                                                    \
    TK_VERDICT_RETRY, kind, KEEP, false, TIKV_OK, remedy
#define REGROUP(kind, reason, remedy)                                          \
    TK_VERDICT_REGROUP, kind, reason, false, TIKV_OK, remedy
#define FAIL(code, remedy) TK_VERDICT_FAIL, NONE, KEEP, false, code, remedy

static const struct row rows[] = {
    { FIELD(undetermined_result), TK_VERDICT_IN_DOUBT, NONE, KEEP, false,
      TIKV_ERR_UNDETERMINED, PLAIN },
    /* With a hint the pause is left out. */
    { FIELD(not_leader),
      RETRY(TK_BACKOFF_REGION_SCHEDULING, TK_REMEDY_NOT_LEADER) },
    { FIELD(disk_full), RETRY(TK_BACKOFF_DISK_FULL, PLAIN) },
    { NAMED("recovery_in_progress", RecoveryInProgress),
      REGROUP(TK_BACKOFF_RECOVERY, TK_INVALID_OTHER, PLAIN) },
    { FIELD(is_witness),
      REGROUP(TK_BACKOFF_IS_WITNESS, TK_INVALID_OTHER, PLAIN) },
    { NAMED("flashback_in_progress", FlashbackInProgress),
      FAIL(TIKV_ERR_REGION, TK_REMEDY_FLASHBACK) },
    { NAMED("flashback_not_prepared", FlashbackNotPrepared),
      FAIL(TIKV_ERR_REGION, PLAIN) },
    { FIELD(region_not_found),
      REGROUP(TK_BACKOFF_REGION_MISS, TK_INVALID_NOT_FOUND,
              TK_REMEDY_NOT_FOUND) },
    { FIELD(key_not_in_region),
      REGROUP(TK_BACKOFF_REGION_MISS, TK_INVALID_OTHER, PLAIN) },
    /* With regions the row is changed below. */
    { FIELD(epoch_not_match),
      REGROUP(TK_BACKOFF_REGION_MISS, TK_INVALID_EPOCH, PLAIN) },
    { FIELD(bucket_version_not_match),
      REGROUP(TK_BACKOFF_REGION_MISS, KEEP, PLAIN) },
    { "deadline_exceeded", busy_by_deadline,
      RETRY(TK_BACKOFF_SERVER_BUSY, TK_REMEDY_BUSY_LATE) },
    { FIELD(server_is_busy), RETRY(TK_BACKOFF_SERVER_BUSY, TK_REMEDY_BUSY) },
    /* The group has another leader by now, or will: no pause. */
    { FIELD(stale_command), RETRY(NONE, PLAIN) },
    { FIELD(store_not_match), TK_VERDICT_REGROUP, TK_BACKOFF_REGION_MISS,
      TK_INVALID_STORE, true, TIKV_OK, PLAIN },
    { FIELD(raft_entry_too_large), FAIL(TIKV_ERR_TOO_LARGE, PLAIN) },
    { FIELD(max_timestamp_not_synced),
      RETRY(TK_BACKOFF_MAX_TS_NOT_SYNCED, PLAIN) },
    { FIELD(region_not_initialized),
      RETRY(TK_BACKOFF_REGION_NOT_INITIALIZED, PLAIN) },
    { FIELD(read_index_not_ready),
      RETRY(TK_BACKOFF_REGION_SCHEDULING, PLAIN) },
    { FIELD(proposal_in_merging_mode),
      RETRY(TK_BACKOFF_REGION_SCHEDULING, PLAIN) },
    { FIELD(data_is_not_ready), RETRY(NONE, TK_REMEDY_NOT_READY) },
    { FIELD(mismatch_peer_id),
      REGROUP(TK_BACKOFF_REGION_MISS, TK_INVALID_OTHER, PLAIN) },
    { "deadline_exceeded", past_deadline,
      RETRY(TK_BACKOFF_REGION_SCHEDULING, TK_REMEDY_LATE) },
    { "invalid_max_ts", invalid_max_ts, FAIL(TIKV_ERR_SERVER, PLAIN) },
    /* It may tell of anything, also that the keys are elsewhere. */
    { "unknown", anything,
      REGROUP(TK_BACKOFF_REGION_MISS, TK_INVALID_OTHER, PLAIN) },
};

static void
take_hint(const errorpb_Error *error, struct tk_region_error *out)
{
    const struct metapb_Peer *leader =
        errorpb_NotLeader_leader(errorpb_Error_not_leader(error));

    if (leader != NULL && metapb_Peer_id(leader) != 0) {
        out->leader_peer_id = metapb_Peer_id(leader);
        out->leader_store_id = metapb_Peer_store_id(leader);
        out->backoff = NONE;
    }
}

static void
take_regions(const errorpb_Error *error, struct tk_region_error *out)
{
    out->regions = errorpb_EpochNotMatch_current_regions(
        errorpb_Error_epoch_not_match(error), &out->regions_count);
    if (out->regions_count != 0) {
        /* Real news: the cache is corrected, no pause is needed (BO-6). */
        out->backoff = NONE;
        out->invalidate = TK_INVALID_OK;
    }
}

static const char *
text_of(upb_StringView text, struct tk_arena *arena)
{
    char *copy = text.size == 0 ? NULL : upb_Arena_Malloc(arena->upb, TEXT_MAX);

    return copy == NULL
               ? ""
               : tk_redact_text(text.data, text.size, copy, TEXT_MAX);
}

void
tk_region_error(tikv_slice bytes, struct tk_arena *arena,
                struct tk_region_error *out)
{
    const errorpb_Error *error = tk_arena_decode(
        arena, &errorpb_Error_msginit, bytes.data, bytes.len, NULL);
    const struct row *row = &rows[sizeof(rows) / sizeof(rows[0]) - 1];

    memset(out, 0, sizeof(*out));
    if (error != NULL) {
        for (row = rows; !row->is_set(error); row++) {
        }
    }
    out->name = row->name;
    out->verdict = row->verdict;
    out->backoff = row->backoff;
    out->invalidate = row->invalidate;
    out->suspect_store = row->suspect_store;
    out->code = row->code;
    out->remedy = row->remedy;
    out->message = "";
    if (error == NULL) {
        return;
    }
    out->message = text_of(errorpb_Error_message(error), arena);
    if (errorpb_Error_has_not_leader(error) &&
        row->is_set == errorpb_Error_has_not_leader) {
        take_hint(error, out);
    } else if (row->is_set == errorpb_Error_has_epoch_not_match) {
        take_regions(error, out);
    } else if (row->is_set == errorpb_Error_has_bucket_version_not_match) {
        const errorpb_BucketVersionNotMatch *news =
            errorpb_Error_bucket_version_not_match(error);

        out->buckets_version = errorpb_BucketVersionNotMatch_version(news);
        out->bucket_keys = errorpb_BucketVersionNotMatch_keys(
            news, &out->bucket_keys_count);
    } else if (errorpb_Error_has_server_is_busy(error)) {
        const errorpb_ServerIsBusy *busy =
            errorpb_Error_server_is_busy(error);

        out->busy_ms = errorpb_ServerIsBusy_backoff_ms(busy);
        out->wait_ms = errorpb_ServerIsBusy_estimated_wait_ms(busy);
    }
}
