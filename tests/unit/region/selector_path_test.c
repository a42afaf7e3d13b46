/* SPDX-License-Identifier: Apache-2.0 */
/* The published access paths: which stores a request visits, and how, when
 * the answers are these. Rows read as paths.h says. */
#include "unit/region/paths.h"

static void
path__mixes_errors_1(void **state)
{
    static const struct path rows[] = {
        { "01", "stale", "not_ready busy", "1s 2r 3r", "ok", "", true },
        { "02", "stale label=2", "not_ready", "2s 1", "ok", "", true },
        { "03", "stale label=2", "not_ready busy", "2s 1 2s", "ok", "", true },
        { "04", "stale label=2 timeout", "not_ready leader2", "2s 1 2", "ok",
          "", true },
        { "05", "stale label=2 timeout", "late leader2", "2s 1 3s", "ok", "",
          true },
        { "06", "leader timeout", "late", "1 2r", "ok", "", true },
        { "07", "leader timeout", "leader3 late", "1 3 2r", "ok", "", true },
        { "08", "write timeout", "leader3 late", "1 3 2", "ok", "tikvRPC+1",
          true },
        { "09", "leader timeout", "leader late leader2", "1 2 3", "nobody",
          "regionScheduling+1", true },
        { "10", "stale timeout", "late busy busy", "1s 2s 3s", "nobody",
          "tikvServerBusy+1", true },
        { "11", "mixed timeout", "busy busy late", "1 2r 3r", "nobody",
          "tikvServerBusy+1", true },
        { "12", "stale label=3", "busy busy", "3s 1 2s", "ok", "", true },
        { "13", "stale label=2", "not_ready busy busy busy", "2s 1 2s 3s",
          "nobody", "tikvServerBusy+1", false },
        { "14", "stale lead=2", "not_ready busy busy", "1s 2 3s 1s", "ok", "",
          true },
        { "15", "stale lead=2", "not_ready busy busy busy", "1s 2 3s 1s",
          "nobody", "tikvServerBusy+1", false },
        { "16", "mixed label=2 timeout", "late busy", "2r 1 3r", "ok", "",
          true },
        { "17", "stale timeout", "busy busy10", "1s 2s 3s", "ok", "", true },
        { "18", "mixed lead=3", "busy busy busy", "1r 2r 3", "nobody",
          "tikvServerBusy+1", false },
        { "19", "prefer lead=3", "busy busy busy", "3 1r 2r", "nobody",
          "tikvServerBusy+1", false },
        { "20", "prefer label=2 lead=3", "busy busy busy", "2r 3 1r", "nobody",
          "tikvServerBusy+1", false },
    };
    struct path_world w;

    (void)state;
    PATHS_RUN(&w, rows);
}

static void
path__mixes_errors_2(void **state)
{
    static const struct path rows[] = {
        { "01", "mixed label=2 timeout", "late disk_full not_prepared",
          "2r 1 3r", "fail flashback_not_prepared", "tikvDiskFull+1", true },
        { "02", "leader timeout", "leader leader3 late", "1 2 3", "nobody",
          "regionScheduling+1", true },
        { "03", "mixed timeout", "busy busy late", "1 2r 3r", "nobody",
          "tikvServerBusy+1", true },
        { "04", "stale label=3", "not_ready leader", "3s 1 3r", "ok",
          "regionScheduling+1", true },
        { "05", "mixed label=2 timeout", "flashback", "2r 1", "ok", "", true },
        { "06", "stale label=1 timeout", "not_ready busy", "1s 2r 3r", "ok",
          "", true },
        { "07", "write", "late leader leader2 busy late", "1 2 3 2 2",
          "nobody", "tikvRPC+2 regionScheduling+1 tikvServerBusy+1", false },
        { "08", "stale", "late not_initialized late", "1s 2r 3r", "nobody",
          "tikvRPC+2 regionNotInitialized+1", false },
        { "09", "stale label=2 timeout", "late leader2", "2s 1 3s", "ok", "",
          true },
        { "10", "mixed label=2 timeout", "late busy", "2r 1 3r", "ok", "",
          true },
        { "11", "mixed label=3 lead=2 timeout", "late busy", "3r 2 1r", "ok",
          "", true },
        { "12", "leader timeout", "leader late leader2", "1 2 3", "nobody",
          "regionScheduling+1", true },
    };
    struct path_world w;

    (void)state;
    PATHS_RUN(&w, rows);
}

/* ---- every error in every mode ---- */

struct basic {
    const char *word;
    const char *pause;
};

static const struct {
    const char *mode;
    const char *first; /* a plain success visits this */
    const char *path;  /* one retry visits these */
    bool is_leader;
} basic_modes[] = {
    { "leader", "1", "1 1", true },     { "write", "1", "1 1", true },
    { "follower", "2r", "2r 3r", false }, { "mixed", "1", "1 2r", false },
    { "prefer", "1", "1 2r", false },   { "stale", "1s", "1s 2r", false },
};

static void
path__retries_once(void **state)
{
    static const struct basic errors[] = {
        { "busy", "tikvServerBusy+1" },
        { "busy10", "tikvServerBusy+1" },
        { "stale_command", "" },
        { "max_ts", "maxTsNotSynced+1" },
        { "merging", "regionScheduling+1" },
        { "read_index", "regionScheduling+1" },
        { "not_initialized", "regionNotInitialized+1" },
        { "disk_full", "tikvDiskFull+1" },
    };
    struct path_world w;
    size_t i;
    size_t j;

    (void)state;
    for (i = 0; i < sizeof(basic_modes) / sizeof(basic_modes[0]); i++) {
        for (j = 0; j < sizeof(errors) / sizeof(errors[0]); j++) {
            bool is_busy = strncmp(errors[j].word, "busy", 4) == 0;
            bool is_stale = strcmp(basic_modes[i].mode, "stale") == 0;
            struct path row = {
                errors[j].word,
                basic_modes[i].mode,
                errors[j].word,
                is_busy && is_stale ? "1s 2s" : basic_modes[i].path,
                "ok",
                is_busy && !basic_modes[i].is_leader ? "" : errors[j].pause,
                true,
            };

            paths_run(&w, &row, 1);
        }
    }
}

static void
path__ends_at_once(void **state)
{
    static const struct {
        const char *word;
        const char *end;
        const char *pause;
        bool stays;
    } errors[] = {
        { "not_found", "regroup region_not_found", "", false },
        { "key_not_in", "regroup key_not_in_region", "", false },
        { "epoch", "regroup epoch_not_match", "", false },
        { "store_not_match", "regroup store_not_match", "", false },
        { "too_large", "fail raft_entry_too_large", "", true },
        { "recovery", "regroup recovery_in_progress",
          "regionRecoveryInProgress+1", false },
        { "not_prepared", "fail flashback_not_prepared", "", true },
        { "witness", "regroup is_witness", "isWitness+1", false },
        { "mismatch", "regroup mismatch_peer_id", "", false },
        { "bucket", "regroup bucket_version_not_match", "", true },
    };
    struct path_world w;
    size_t i;
    size_t j;

    (void)state;
    for (i = 0; i < sizeof(basic_modes) / sizeof(basic_modes[0]); i++) {
        for (j = 0; j < sizeof(errors) / sizeof(errors[0]); j++) {
            struct path row = {
                errors[j].word,  basic_modes[i].mode, errors[j].word,
                basic_modes[i].first, errors[j].end,  errors[j].pause,
                errors[j].stays,
            };

            if (j == 0 && strcmp(row.mode, "follower") == 0) {
                /* Others stop, this one asks the leader. */
                row.path = "2r 1";
                row.end = "ok";
            }
            paths_run(&w, &row, 1);
        }
    }
}

/* ---- leader ---- */

static void
path__reads_from_the_leader(void **state)
{
    static const struct path rows[] = {
        { "01", "leader", "", "1", "ok", "", true },
        { "02", "leader", "busy10 busy", "1 1 1", "ok", "tikvServerBusy+2",
          true },
        { "03", "leader",
          "busy busy busy busy busy busy busy busy busy busy busy",
          "1 1 2 3 1 1 1 1 1 1 1 1", "ok", "tikvServerBusy+11", true },
        { "04a", "leader", "leader", "1 2", "ok", "regionScheduling+1", true },
        { "04b", "leader", "leader leader", "1 2 3", "ok",
          "regionScheduling+2", true },
        { "04c", "leader", "leader leader leader", "1 2 3", "nobody",
          "regionScheduling+3", false },
        { "05", "leader", "leader3", "1 3", "ok", "", true },
        { "06", "leader", "leader3 busy", "1 3 3", "ok", "tikvServerBusy+1",
          true },
        { "07", "leader", "late", "1 2", "ok", "tikvRPC+1", true },
        { "08", "leader", "late leader1 leader1", "1 2 3", "nobody",
          "tikvRPC+1", false },
        { "09", "leader", "late busy busy", "1 2 3", "nobody",
          "tikvRPC+1 tikvServerBusy+1", false },
        { "10a", "leader threshold=10", "leader leader3 busy20 leader",
          "1 2 3 3", "nobody", "regionScheduling+2 tikvServerBusy+1", false },
        { "10b", "leader threshold=10", "leader leader3 busy20 busy",
          "1 2 3 3 3", "ok", "regionScheduling+1 tikvServerBusy+2", true },
        { "11a", "leader", "leader", "1 2", "ok", "regionScheduling+1", true },
        { "11b", "leader on", "leader3", "2 3", "ok", "", true },
        { "11c", "leader on", "busy", "3 3", "ok", "tikvServerBusy+1", true },
    };
    struct path_world w;

    (void)state;
    PATHS_RUN(&w, rows);
}

static void
path__reads_from_followers(void **state)
{
    static const struct path rows[] = {
        { "01", "follower", "", "2r", "ok", "", true },
        { "02", "follower", "busy10 busy", "2r 3r 1", "ok", "", true },
        { "03", "follower", "busy busy busy", "2r 3r 1", "nobody",
          "tikvServerBusy+1", false },
        { "04", "follower", "late busy", "2r 3r 1", "ok", "tikvRPC+1", true },
        { "05", "follower timeout", "late busy", "2r 3r 1", "ok", "", true },
    };
    struct path_world w;

    (void)state;
    PATHS_RUN(&w, rows);
}

static void
path__mixes_and_prefers(void **state)
{
    static const struct path rows[] = {
        { "01a", "mixed", "", "1", "ok", "", true },
        { "01b", "prefer", "", "1", "ok", "", true },
        { "02a", "mixed", "busy10 stale_command busy", "1 2r 3r", "nobody",
          "tikvServerBusy+1", false },
        { "02b", "prefer", "busy10 stale_command busy", "1 2r 3r", "nobody",
          "tikvServerBusy+1", false },
        { "03a", "mixed", "busy not_found", "1 2r", "regroup region_not_found",
          "", false },
        { "03b", "prefer", "busy not_found", "1 2r",
          "regroup region_not_found", "", false },
        { "04a", "mixed", "late busy", "1 2r 3r", "ok", "tikvRPC+1", true },
        { "04b", "prefer", "late busy", "1 2r 3r", "ok", "tikvRPC+1", true },
        { "04c", "mixed timeout", "late busy", "1 2r 3r", "ok", "", true },
        { "04d", "prefer timeout", "late busy", "1 2r 3r", "ok", "", true },
        { "05a", "mixed label=2", "late busy", "2r 1 3r", "ok", "tikvRPC+1",
          true },
        { "05b", "prefer lead=3", "late busy", "3 1r 2r", "ok", "tikvRPC+1",
          true },
        { "05c", "prefer label=2 lead=3", "late busy", "2r 3 1r", "ok",
          "tikvRPC+1", true },
        { "06a", "prefer", "busy", "1 2r", "ok", "", true },
        { "06b", "prefer on", "busy busy busy", "2r 3r 1", "nobody",
          "tikvServerBusy+1", false },
        { "06c", "prefer", "busy busy", "1 2r 3r", "ok", "", true },
        { "06d", "prefer on", "busy busy busy", "3r 1", "nobody",
          "tikvServerBusy+1", false },
    };
    struct path_world w;

    (void)state;
    PATHS_RUN(&w, rows);
}

static void
path__reads_stale(void **state)
{
    static const struct path rows[] = {
        { "01a", "stale", "", "1s", "ok", "", true },
        { "01b", "stale", "not_ready", "1s 2r", "ok", "", true },
        { "01c", "stale label=2", "not_ready", "2s 1", "ok", "", true },
        { "02", "stale", "not_ready busy busy", "1s 2r 3r", "nobody",
          "tikvServerBusy+1", false },
        { "03", "stale label=2", "not_ready leader3", "2s 1 3", "ok", "",
          true },
        { "04", "stale label=2", "not_ready leader busy busy", "2s 1 2r 3r",
          "nobody", "regionScheduling+1 tikvServerBusy+1", false },
        { "05", "stale label=2", "not_ready leader3 busy leader2 busy",
          "2s 1 3 3 2 2", "ok", "tikvServerBusy+2", true },
        { "06", "stale label=2", "not_ready not_found", "2s 1",
          "regroup region_not_found", "", false },
        { "07a", "stale timeout", "late busy", "1s 2s 3s", "ok", "", true },
        { "07b", "stale label=2 timeout", "late busy", "2s 1 3s", "ok", "",
          true },
        { "07c", "stale label=2 timeout", "late late", "2s 1 3s", "ok", "",
          true },
        { "08a", "stale label=2", "late late", "2s 1 3r", "ok", "tikvRPC+2",
          true },
        { "08b", "stale label=2 on", "busy", "3s", "nobody",
          "tikvServerBusy+1", false },
        { "09a", "stale lead=2", "not_ready busy busy busy", "1s 2 3s 1s",
          "nobody", "tikvServerBusy+1", false },
        { "09b", "stale label=2", "not_ready busy busy busy", "2s 1 2s 3s",
          "nobody", "tikvServerBusy+1", false },
    };
    struct path_world w;

    (void)state;
    PATHS_RUN(&w, rows);
}

/* A stale read is tried once where it belongs, then as a plain read at the
 * leader; nobody is asked twice for the same. */
static void
lesson_104__a_stale_read_ends_as_a_plain_one(void **state)
{
    static const struct path rows[] = {
        { "follower", "stale label=2", "not_ready", "2s 1", "ok", "", true },
        { "leader", "stale label=1", "not_ready", "1s 2r", "ok", "", true },
        { "all", "stale label=2", "not_ready leader read_index read_index",
          "2s 1 2r 3r", "nobody", "regionScheduling+3", false },
    };
    struct path_world w;

    (void)state;
    PATHS_RUN(&w, rows);
}

static void
lesson_105__who_was_not_ready_is_read_as_a_replica(void **state)
{
    static const struct path rows[] = {
        { "label", "stale label=3", "not_ready leader", "3s 1 3r", "ok",
          "regionScheduling+1", true },
        { "none", "stale lead=2", "not_ready leader busy", "1s 2 3r 1r", "ok",
          "regionScheduling+1", true },
    };
    struct path_world w;

    (void)state;
    PATHS_RUN(&w, rows);
}

static void
lesson_106__a_slow_leader_gets_no_replica_reads(void **state)
{
    static const struct path rows[] = {
        { "busy", "stale label=2", "not_ready busy", "2s 1 2s", "ok", "",
          true },
        { "late", "stale label=2 timeout", "late late", "2s 1 3s", "ok", "",
          true },
        { "busy first", "stale", "busy busy", "1s 2s 3s", "ok", "", true },
    };
    struct path_world w;

    (void)state;
    PATHS_RUN(&w, rows);
}

static void
path__tries_idle_replicas(void **state)
{
    static const struct path rows[] = {
        { "01", "write threshold=10", "busy busy", "1 1 2", "ok",
          "tikvServerBusy+2", true },
        { "02", "leader threshold=10", "busy20 busy20", "1 2r 3r", "ok", "",
          true },
        { "03", "leader threshold=10", "busy20 busy20 busy20", "1 2r 3r 1",
          "ok", "tikvServerBusy+1", true },
        { "04a", "leader threshold=10", "leader leader3 busy20 leader",
          "1 2 3 3", "nobody", "regionScheduling+2 tikvServerBusy+1", false },
        { "04b", "leader threshold=10", "leader leader3 busy20 busy",
          "1 2 3 3 3", "ok", "regionScheduling+1 tikvServerBusy+2", true },
    };
    struct path_world w;

    (void)state;
    PATHS_RUN(&w, rows);
}

static void
path__asks_who_leads_when_the_leader_hangs(void **state)
{
    static const struct path rows[] = {
        { "01", "leader", "busy", "1 1", "ok", "tikvServerBusy+1", true },
        { "02", "leader", "busy busy", "1 1 2", "ok", "tikvServerBusy+2",
          true },
        { "03a", "leader", "busy busy leader3", "1 1 2 3", "ok",
          "tikvServerBusy+2", true },
        { "03b", "leader on", "", "3", "ok", "", true },
        { "04", "leader", "busy busy leader1 busy busy", "1 1 2 1 1 1", "ok",
          "tikvServerBusy+4", true },
        { "05", "leader", "busy busy leader", "1 1 2 3", "ok",
          "regionScheduling+1 tikvServerBusy+2", true },
        { "06", "leader", "busy leader2 busy busy", "1 1 2 2 3", "ok",
          "tikvServerBusy+3", true },
        { "07", "leader", "busy busy10 busy", "1 1 1 2", "ok",
          "tikvServerBusy+3", true },
        { "08", "leader", "busy busy leader leader", "1 1 2 3 1", "ok",
          "regionScheduling+2 tikvServerBusy+2", true },
        { "09a", "stale", "busy busy", "1s 2s 3s", "ok", "", true },
        { "09b", "follower", "busy busy", "2r 3r 1", "ok", "", true },
        { "09c", "leader leader_only", "busy busy busy", "1 1 1 1", "ok",
          "tikvServerBusy+3", true },
        { "10", "leader alone", "busy busy busy", "1 1 1 1", "ok",
          "tikvServerBusy+3", true },
    };
    struct path_world w;

    (void)state;
    PATHS_RUN(&w, rows);
}

static void
path__meets_a_flashback(void **state)
{
    static const struct path rows[] = {
        { "01a", "leader timeout", "flashback", "1",
          "fail flashback_in_progress", "", true },
        { "01b", "mixed", "flashback", "1", "fail flashback_in_progress", "",
          true },
        { "02a", "leader timeout", "late flashback flashback", "1 2r 3r",
          "nobody", "", true },
        { "02b", "mixed timeout", "late flashback flashback", "1 2r 3r",
          "nobody", "", true },
    };
    struct path_world w;

    (void)state;
    PATHS_RUN(&w, rows);
}

static void
path__forwards(void **state)
{
    static const struct path rows[] = {
        { "01a", "leader forward", "late", "1 2>1", "ok", "tikvRPC+1", true },
        { "01b", "leader forward on", "", "2>1", "ok", "", true },
        { "02", "leader forward", "late late late", "1 2>1 3>1", "nobody",
          "tikvRPC+3", false },
        { "03", "leader forward", "late leader2 late busy", "1 2>1 2 3>2",
          "nobody", "tikvRPC+2 tikvServerBusy+1", false },
        { "04", "leader forward", "late busy10 busy10", "1 2>1 3>1", "nobody",
          "tikvRPC+1 tikvServerBusy+2", false },
        { "05a", "write forward", "leader", "1 2", "ok", "regionScheduling+1",
          true },
        { "05b", "write forward", "late leader", "1 2>1 3", "ok",
          "tikvRPC+1 regionScheduling+1", true },
        { "05c", "write forward", "leader2 late leader", "1 2 3>2", "nobody",
          "tikvRPC+1 regionScheduling+1", false },
    };
    struct path_world w;

    (void)state;
    PATHS_RUN(&w, rows);
}

static void
path__reads_from_learners(void **state)
{
    static const struct path rows[] = {
        { "01", "learner learner4", "", "4r", "ok", "", true },
        { "02", "learner learner4", "busy", "4r 1", "ok", "", true },
    };
    struct path_world w;

    (void)state;
    PATHS_RUN(&w, rows);
}

static void
path__avoids_slow_stores(void **state)
{
    static const struct path rows[] = {
        { "plain", "mixed lead=3", "", "1r", "ok", "", true },
        { "plain slow", "mixed lead=3 slow=1", "", "2r", "ok", "", true },
        { "plain busy", "mixed lead=3", "busy", "1r 2r", "ok", "", true },
        { "plain slow busy", "mixed lead=3 slow=1", "busy", "2r 3", "ok", "",
          true },
        { "label", "mixed label=1 lead=3", "", "1r", "ok", "", true },
        { "label slow", "mixed label=1 lead=3 slow=1", "", "3", "ok", "",
          true },
        { "label busy", "mixed label=1 lead=3", "busy", "1r 3", "ok", "",
          true },
        { "label slow busy", "mixed label=1 lead=3 slow=1", "busy", "3 2r",
          "ok", "", true },
        { "stale", "stale lead=3", "", "1s", "ok", "", true },
        { "stale slow", "stale lead=3 slow=1", "", "2s", "ok", "", true },
        { "stale busy", "stale lead=3", "busy", "1s 3", "ok", "", true },
        { "stale slow busy", "stale lead=3 slow=1", "busy", "2s 3", "ok", "",
          true },
        { "stale label", "stale label=1 lead=3", "", "1s", "ok", "", true },
        { "stale label slow", "stale label=1 lead=3 slow=1", "", "3s", "ok",
          "", true },
        { "stale label busy", "stale label=1 lead=3", "busy", "1s 3", "ok", "",
          true },
        { "stale label slow busy", "stale label=1 lead=3 slow=1", "busy",
          "3s 2s", "ok", "", true },
    };
    struct path_world w;

    (void)state;
    PATHS_RUN(&w, rows);
}

/* A read that may take 1 ms asks all three and drops nothing; the round after
 * it has the command's own time. */
static void
path__gives_every_replica_its_time(void **state)
{
    static const struct path rows[] = {
        { "leader", "leader timeout", "late late late", "1 2r 3r", "nobody",
          "", true },
        { "again", "leader on", "", "1", "ok", "", true },
        { "follower", "follower timeout", "late late late", "2r 3r 1",
          "nobody", "", true },
        { "mixed", "mixed timeout", "late late late", "1 2r 3r", "nobody", "",
          true },
        { "stale", "stale timeout", "late late late", "1s 2s 3s", "nobody",
          "", true },
        { "stale leader", "stale label=1 timeout", "late", "1s 2s", "ok", "",
          true },
        { "told", "leader timeout", "busy_late late_there", "1 2r 3r", "ok",
          "", true },
        { "write", "write timeout", "late", "1 2", "ok", "tikvRPC+1", true },
        { "told a write", "write", "busy_late late_there", "1 1 1", "ok",
          "regionScheduling+1 tikvServerBusy+1", true },
    };
    struct path_world w;

    (void)state;
    PATHS_RUN(&w, rows);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(path__mixes_errors_1),
        harness_test(path__mixes_errors_2),
        harness_test(path__retries_once),
        harness_test(path__ends_at_once),
        harness_test(path__reads_from_the_leader),
        harness_test(path__reads_from_followers),
        harness_test(path__mixes_and_prefers),
        harness_test(path__reads_stale),
        harness_test(lesson_104__a_stale_read_ends_as_a_plain_one),
        harness_test(lesson_105__who_was_not_ready_is_read_as_a_replica),
        harness_test(lesson_106__a_slow_leader_gets_no_replica_reads),
        harness_test(path__tries_idle_replicas),
        harness_test(path__asks_who_leads_when_the_leader_hangs),
        harness_test(path__meets_a_flashback),
        harness_test(path__forwards),
        harness_test(path__reads_from_learners),
        harness_test(path__avoids_slow_stores),
        harness_test(path__gives_every_replica_its_time),
    };

    return harness_run(tests);
}
