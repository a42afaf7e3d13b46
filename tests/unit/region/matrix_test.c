/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every region error, met by every kind of command, at the first attempt and
 * at the first two: how often is it sent, what is waited for, how often is PD
 * asked again, what comes of it. timeout: 120
 */
#include "unit/region/world.h"

static const struct world_plan three_stores = {
    .cluster = { .stores_count = 3, .pds_count = 1, .regions_count = 1,
                 .replicas_count = 3 },
};

#define NOTHING TK_BACKOFF_KINDS

/* Attempts, pauses and lookups when the error comes once and twice. */
struct effect {
    unsigned attempts[2];
    unsigned pauses[2];
    unsigned lookups[2];
};

#define ONCE_MORE { { 2, 3 }, { 1, 2 }, { 0, 0 } }
#define AT_ONCE { { 2, 3 }, { 0, 0 }, { 0, 0 } }
#define LOOKED_UP { { 2, 3 }, { 1, 2 }, { 1, 2 } }
#define TOLD { { 1, 1 }, { 0, 0 }, { 0, 0 } }

static const struct {
    const char *fault;
    enum tk_backoff_kind kind;
    struct effect effect;
    tikv_code code; /* TIKV_OK: it succeeds in the end */
} errors[] = {
    /* A follower is asked then, and names the leader, who is asked again. */
    { "not_leader,leader=none", TK_BACKOFF_REGION_SCHEDULING,
      { { 3, 4 }, { 1, 2 }, { 0, 0 } }, TIKV_OK },
    { "not_leader,leader=1", NOTHING, AT_ONCE, TIKV_OK },
    { "region_not_found", TK_BACKOFF_REGION_MISS, LOOKED_UP, TIKV_OK },
    { "key_not_in_region", TK_BACKOFF_REGION_MISS, LOOKED_UP, TIKV_OK },
    { "epoch_not_match,regions=current", NOTHING, AT_ONCE, TIKV_OK },
    { "epoch_not_match,regions=none", TK_BACKOFF_REGION_MISS, LOOKED_UP,
      TIKV_OK },
    /* The second time a follower is asked who leads. */
    { "server_is_busy", TK_BACKOFF_SERVER_BUSY,
      { { 2, 4 }, { 1, 2 }, { 0, 0 } }, TIKV_OK },
    { "server_is_busy,estimated_wait_ms=20", TK_BACKOFF_SERVER_BUSY, ONCE_MORE,
      TIKV_OK },
    { "stale_command", NOTHING, AT_ONCE, TIKV_OK },
    { "store_not_match", TK_BACKOFF_REGION_MISS, LOOKED_UP, TIKV_OK },
    { "raft_entry_too_large", NOTHING, TOLD, TIKV_ERR_TOO_LARGE },
    { "max_timestamp_not_synced", TK_BACKOFF_MAX_TS_NOT_SYNCED, ONCE_MORE,
      TIKV_OK },
    { "read_index_not_ready", TK_BACKOFF_REGION_SCHEDULING, ONCE_MORE,
      TIKV_OK },
    { "proposal_in_merging_mode", TK_BACKOFF_REGION_SCHEDULING, ONCE_MORE,
      TIKV_OK },
    { "data_is_not_ready", NOTHING, AT_ONCE, TIKV_OK },
    { "region_not_initialized", TK_BACKOFF_REGION_NOT_INITIALIZED, ONCE_MORE,
      TIKV_OK },
    { "disk_full", TK_BACKOFF_DISK_FULL, ONCE_MORE, TIKV_OK },
    { "recovery_in_progress", TK_BACKOFF_RECOVERY, LOOKED_UP, TIKV_OK },
    { "flashback_in_progress", NOTHING, TOLD, TIKV_ERR_REGION },
    { "flashback_not_prepared", NOTHING, TOLD, TIKV_ERR_REGION },
    { "is_witness", TK_BACKOFF_IS_WITNESS, LOOKED_UP, TIKV_OK },
    { "mismatch_peer_id", TK_BACKOFF_REGION_MISS, LOOKED_UP, TIKV_OK },
    { "bucket_version_not_match", TK_BACKOFF_REGION_MISS, ONCE_MORE,
      TIKV_OK },
    { "message_only", TK_BACKOFF_REGION_MISS, LOOKED_UP, TIKV_OK },
    /* Reads are not in doubt: below. */
    { "undetermined_result", NOTHING, TOLD, TIKV_ERR_UNDETERMINED },
};

static const struct {
    enum tk_command command;
    const char *method;
    size_t count;
    bool is_read;
} commands[] = {
    { TK_CMD_RAW_GET, "RawGet", 1, true },
    { TK_CMD_RAW_BATCH_GET, "RawBatchGet", 5, true },
    { TK_CMD_RAW_PUT, "RawPut", 1, false },
    { TK_CMD_RAW_BATCH_PUT, "RawBatchPut", 5, false },
    { TK_CMD_RAW_COMPARE_AND_SWAP, "RawCompareAndSwap", 1, false },
    { TK_CMD_RAW_DELETE_RANGE, "RawDeleteRange", 0, false },
};

/* As after start: the leader on store 1, known and well. */
static void
begin_anew(struct world *w)
{
    uint64_t region = tk_cluster_region_of(w->cluster, tk_slice_text("a"));
    struct tk_route route;

    tk_cluster_fault_remove(w->cluster, 0);
    world_ok(tk_cluster_transfer_leader(w->cluster, region, 1));
    if (tk_cache_route(w->cache, tk_slice_text("a"), &route)) {
        tk_cache_invalidate(w->cache, &route, TK_INVALID_OTHER);
    }
    kv_put(w, "a", "1");
    kv_put(w, "a", "1");
    if (!tk_cache_route(w->cache, tk_slice_text("a"), &route)) {
        fail_msg("no route");
    }
    assert_int_equal(route.store->id, 1);
}

static bool
is_as_expected(size_t error, size_t command, unsigned times,
               const struct kv *kv, tikv_code code, uint64_t lookups)
{
    enum tk_backoff_kind kind = errors[error].kind;
    struct effect effect = errors[error].effect;
    tikv_code wanted = errors[error].code;
    unsigned pauses;

    if (wanted == TIKV_ERR_UNDETERMINED && commands[command].is_read) {
        wanted = TIKV_OK;
        kind = TK_BACKOFF_REGION_MISS;
        effect = (struct effect)ONCE_MORE;
    }
    pauses = kind == NOTHING ? 0 : kv->job.backoff.attempts[kind];
    if (kv->job.attempts == effect.attempts[times - 1] &&
        pauses == effect.pauses[times - 1] &&
        lookups == effect.lookups[times - 1] && code == wanted &&
        (kind != NOTHING || kv->job.backoff.total_ms == 0)) {
        return true;
    }
    print_error("%s, %s, %u times: %u attempts, %u pauses (%lld ms), %llu "
                "lookups, %s\n",
                errors[error].fault, commands[command].method, times,
                (unsigned)kv->job.attempts, pauses,
                (long long)kv->job.backoff.total_ms,
                (unsigned long long)lookups, tikv_code_name(code));
    return false;
}

static bool
meet(struct world *w, size_t error, size_t command, unsigned times)
{
    struct kv *kv =
        kv_new(commands[command].command, commands[command].count, "1");
    char rule[160];
    uint64_t lookups;
    tikv_error *outcome;
    bool is_good;

    begin_anew(w);
    snprintf(rule, sizeof(rule),
             "on=tikv.%s when=first(%u) do=region_error(%s)",
             commands[command].method, times, errors[error].fault);
    world_fault(w, rule);
    lookups = tk_cluster_calls(w->cluster, "pd.GetRegion") +
              tk_cluster_calls(w->cluster, "pd.BatchScanRegions");
    kv->job.range.start = tk_slice_text("y");
    kv->job.range.end = tk_slice_text("z");
    outcome = kv_run(w, kv, 60000);
    lookups = tk_cluster_calls(w->cluster, "pd.GetRegion") +
              tk_cluster_calls(w->cluster, "pd.BatchScanRegions") - lookups;
    is_good = is_as_expected(error, command, times, kv,
                             tikv_error_code(outcome), lookups);
    is_good = is_good &&
              (outcome != NULL || commands[command].count == 0 ||

                          kv->answered == commands[command].count);
    tikv_error_free(outcome);
    tk_free(kv);
    return is_good;
}

static void
meet_all(struct world *w)
{
    unsigned bad = 0;
    size_t error;
    size_t command;
    unsigned times;

    struct kv *kv = kv_new(TK_CMD_RAW_BATCH_PUT, 5, "1");

    world_ok(kv_run(w, kv, 20000));
    tk_free(kv);
    for (error = 0; error < sizeof(errors) / sizeof(errors[0]); error++) {
        for (command = 0; command < sizeof(commands) / sizeof(commands[0]);
             command++) {
            for (times = 1; times <= 2; times++) {
                bad += !meet(w, error, command, times);
            }
        }
    }
    assert_int_equal(bad, 0);
}

static void
matrix__of_errors_commands_and_attempts(void **state)
{
    (void)state;
    world_sim(1, &three_stores, meet_all);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(matrix__of_errors_commands_and_attempts),
    };

    return harness_run(tests);
}
