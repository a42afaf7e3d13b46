/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Presets: sets of rules under one name. A nemesis breaks things at random,
 * the more the higher its intensity, the same for the same seed; a version
 * makes the servers as old as that.
 */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "cluster/fault.h"

enum { RULE_BYTES = 256, INTENSITY_MAX = 100 };

/* Of a nemesis: out of a thousand requests at full intensity. */
struct row {
    const char *preset;
    uint32_t most;
    const char *on;
    const char *action;
};

static const struct row rows[] = {
    { "flaky_net", 200, "on=tikv.*", "do=delay(1..20)" },
    { "flaky_net", 50, "on=tikv.*", "do=drop_request" },
    { "flaky_net", 50, "on=tikv.*", "do=drop_response" },
    { "flaky_net", 50, "on=tikv.*", "do=duplicate(1,5)" },
    { "flaky_net", 50, "on=tikv.*", "do=reorder(2,20)" },
    { "flaky_net", 20, "on=tikv.*", "do=status(UNAVAILABLE)" },
    { "flaky_net", 10, "on=tikv.BatchCommands", "do=break_stream" },
    { "flaky_net", 50, "on=pd.*", "do=delay(1..20)" },

    { "leaders_dance", 80, "on=tikv.*", "do=transfer(next)" },
    { "leaders_dance", 80, "on=tikv.* stage=apply", "do=transfer(next)" },
    { "leaders_dance", 50, "on=tikv.*",
      "do=region_error(not_leader,leader=none)" },
    { "leaders_dance", 50, "on=tikv.*",
      "do=region_error(not_leader,leader=wrong)" },
    { "leaders_dance", 30, "on=tikv.*", "do=lose_memory_locks" },
    { "leaders_dance", 30, "on=tikv.*", "do=max_ts_unsynced(20)" },

    { "split_storm", 80, "on=tikv.*", "do=split" },
    { "split_storm", 50, "on=tikv.* stage=apply", "do=split" },
    { "split_storm", 120, "on=tikv.*", "do=merge" },
    { "split_storm", 50, "on=tikv.*", "do=bump_conf_ver" },
    { "split_storm", 30, "on=tikv.*",
      "do=region_error(epoch_not_match,regions=none)" },

    { "pd_dance", 50, "on=pd.*", "do=leader_resign" },
    { "pd_dance", 30, "on=tikv.*", "do=no_leader(20)" },
    { "pd_dance", 80, "on=pd.*", "do=stale_region" },
    { "pd_dance", 50, "on=pd.*", "do=leader_absent" },
    { "pd_dance", 30, "on=pd.Tso", "do=tso(jump,50)" },
    { "pd_dance", 50, "on=pd.*", "do=delay(1..10)" },

    { "undetermined", 80, "on=tikv.KvPrewrite", "do=drop_response" },
    { "undetermined", 150, "on=tikv.KvCommit", "do=drop_response" },
    { "undetermined", 80, "on=tikv.KvCommit", "do=apply,status(UNAVAILABLE)" },
    { "undetermined", 80, "on=tikv.KvCommit",
      "do=apply,region_error(undetermined_result)" },
    { "undetermined", 80, "on=tikv.KvCommit",
      "do=region_error(undetermined_result)" },
    { "undetermined", 80, "on=tikv.KvPrewrite", "do=stale_replay(commit)" },
    { "undetermined", 100, "on=tikv.RawPut", "do=drop_response" },
    { "undetermined", 100, "on=tikv.RawCompareAndSwap", "do=drop_response" },
};

static const char nemesis[] = "nemesis";

/* What servers of 5.4 do not know. */
static const char *const missing[] = {
    "tikv.GetHealthFeedback",  "tikv.KvFlush",
    "tikv.KvBufferBatchGet",   "tikv.BroadcastTxnStatus",
    "pd.QueryRegion",          "pd.BatchScanRegions",
    "pd.SetGCBarrier",         "pd.DeleteGCBarrier",
    "pd.AdvanceGCSafePoint",   "pd.AdvanceTxnSafePoint",
    "pd.GetGCState",           "pd.GetAllKeyspacesGCStates"
};

static tikv_error *
add_row(struct tk_cluster *cluster, size_t index, uint32_t intensity,
        uint64_t seed)
{
    const struct row *row = &rows[index];
    uint32_t chance = row->most * intensity * 10 / INTENSITY_MAX;
    char text[RULE_BYTES];
    struct tk_cl_rule *rule;
    tikv_error *error;
    uint64_t id = 0;

    (void)snprintf(text, sizeof(text), "id=%s %s when=prob(0.%04u) %s",
                   nemesis, row->on, chance, row->action);
    error = tk_cluster_fault(cluster, text, &id);
    if (error != NULL) {
        return error;
    }
    tk_mutex_lock(&cluster->lock);
    rule = tk_cl_rule_by_id(cluster, id);
    if (rule != NULL) {
        rule->rng.state =
            cluster->seed ^ seed * UINT64_C(0xbf58476d1ce4e5b9) ^
            (index + 1) * UINT64_C(0x9e3779b97f4a7c15);
    }
    tk_mutex_unlock(&cluster->lock);
    return NULL;
}

tikv_error *
tk_cluster_nemesis(struct tk_cluster *cluster, const char *preset,
                   uint32_t intensity, uint64_t seed)
{
    bool is_all = strcmp(preset, "everything") == 0;
    bool is_known = is_all || strcmp(preset, "calm") == 0;
    tikv_error *error = NULL;
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        is_known = is_known || strcmp(preset, rows[i].preset) == 0;
    }
    if (!is_known || intensity > INTENSITY_MAX) {
        return is_known ? tk_error(TIKV_ERR_ARGUMENT,
                                   "intensity is at most %d", INTENSITY_MAX)
                        : tk_error(TIKV_ERR_ARGUMENT, "no preset %s", preset);
    }
    tk_cluster_fault_remove_named(cluster, nemesis);
    for (i = 0; error == NULL && i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (is_all || strcmp(preset, rows[i].preset) == 0) {
            error = add_row(cluster, i, intensity, seed);
        }
    }
    return error;
}

const char *
tk_cluster_nemesis_name(size_t index)
{
    static const char *const names[] = { "calm",     "flaky_net",
                                         "leaders_dance", "split_storm",
                                         "pd_dance", "undetermined",
                                         "everything" };

    return index < sizeof(names) / sizeof(names[0]) ? names[index] : NULL;
}

tikv_error *
tk_cluster_version(struct tk_cluster *cluster, const char *version)
{
    char text[RULE_BYTES];
    tikv_error *error = NULL;
    size_t i;

    tk_cluster_fault_remove_named(cluster, "version");
    if (strcmp(version, "latest") == 0) {
        return NULL;
    }
    if (strcmp(version, "5.4") != 0) {
        return tk_error(TIKV_ERR_ARGUMENT, "latest or 5.4, not %s", version);
    }
    for (i = 0;
         error == NULL && i < sizeof(missing) / sizeof(missing[0]); i++) {
        (void)snprintf(text, sizeof(text), "id=version on=%s do=unimplemented",
                       missing[i]);
        error = tk_cluster_fault(cluster, text, NULL);
    }
    return error;
}
