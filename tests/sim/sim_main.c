/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tikv-sim: scenarios of many seeds, each run twice, because the same seed
 * must give the same trace. A seed that fails says why and how to run it
 * again. Exit status: 0 all passed, 1 some failed, 2 usage.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <tikv/txn.h>

#include "sim/scenario.h"

struct settings {
    uint64_t seeds;
    uint64_t from;
    bool is_off[TK_WORKLOADS];
    bool is_verbose;
    bool is_json;
    bool is_once; /* no second run */
};

struct totals {
    uint64_t passed;
    uint64_t failed;
    uint64_t mismatches;
    struct tk_scenario_counts counts[TK_WORKLOADS];
};

static const char usage[] =
    "usage: tikv-sim [--seeds N] [--from S] [--seed S] [--workload NAME]\n"
    "                [--once] [--verbose] [--json]\n"
    "\n"
    "Runs the client against a simulated cluster, network and clock that\n"
    "break in ways that follow from a seed, and checks what it was told.\n"
    "\n"
    "  --seeds N   how many seeds (50)\n"
    "  --from S    the first seed (1)\n"
    "  --seed S    this one seed only\n"
    "  --workload NAME\n"
    "              one of them only (all):\n"
    "              raw: registers of raw keys, linearizable\n"
    "              bank: transfers, checked by notes and balances\n"
    "              register: transactions of one key, linearizable;\n"
    "              old timestamps; timestamps\n"
    "              append: lists in transactions, free of forbidden cycles\n"
    "              skew: write skew, allowed or guarded against\n"
    "              death: a client dies at each of its messages\n"
    "  --once      do not run each world twice\n"
    "  --verbose   a line for each seed\n"
    "  --json      one JSON object per seed, and one of the sums\n"
    "  --help      this text\n";

static bool
read_number(const char *text, uint64_t *out)
{
    char *end;

    if (text == NULL || text[0] < '0' || text[0] > '9') {
        return false;
    }
    errno = 0;
    *out = strtoull(text, &end, 0);
    return errno == 0 && *end == '\0';
}

/* Only that one. */
static bool
choose_workload(const char *name, struct settings *settings)
{
    bool is_known = false;
    size_t i;

    for (i = 0; i < TK_WORKLOADS; i++) {
        settings->is_off[i] =
            name == NULL || strcmp(name, tk_sim_workload_names[i]) != 0;
        is_known = is_known || !settings->is_off[i];
    }
    return is_known;
}

/* -1: go on; else the exit status. */
static int
read_settings(int argc, char **argv, struct settings *settings)
{
    int i;

    for (i = 1; i < argc; i++) {
        const char *name = argv[i];
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        uint64_t *number = NULL;

        if (strcmp(name, "--help") == 0) {
            fputs(usage, stdout);
            return 0;
        } else if (strcmp(name, "--verbose") == 0) {
            settings->is_verbose = true;
            continue;
        } else if (strcmp(name, "--once") == 0) {
            settings->is_once = true;
            continue;
        } else if (strcmp(name, "--json") == 0) {
            settings->is_json = true;
            continue;
        } else if (strcmp(name, "--workload") == 0) {
            if (!choose_workload(value, settings)) {
                fprintf(stderr, "tikv-sim: --workload is none of them\n%s",
                        usage);
                return 2;
            }
            i++;
            continue;
        } else if (strcmp(name, "--seeds") == 0) {
            number = &settings->seeds;
        } else if (strcmp(name, "--from") == 0) {
            number = &settings->from;
        } else if (strcmp(name, "--seed") == 0) {
            number = &settings->from;
            settings->seeds = 1;
        } else {
            fprintf(stderr, "tikv-sim: unknown argument %s\n%s", name, usage);
            return 2;
        }
        if (!read_number(value, number)) {
            fprintf(stderr, "tikv-sim: %s needs a number, not %s\n", name,
                    value == NULL ? "nothing" : value);
            return 2;
        }
        i++;
    }
    return -1;
}

static double
seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void
show_progress(uint64_t done, uint64_t all, uint64_t failed, double began)
{
    double spent = seconds() - began;
    double left = done == 0 ? 0 : spent / (double)done * (double)(all - done);

    if (isatty(STDERR_FILENO)) {
        fprintf(stderr,
                "\r%" PRIu64 "/%" PRIu64 " seeds, %" PRIu64
                " failed, %.0f s, %.0f s left  ",
                done, all, failed, spent, left);
    }
}

static void
clear_progress(void)
{
    if (isatty(STDERR_FILENO)) {
        fputs("\r\033[K", stderr);
    }
}

/* A name as JSON keys are here: with underscores. */
static void
print_key(const char *name)
{
    printf(",\"");
    for (; *name != '\0'; name++) {
        putchar(*name == ' ' ? '_' : *name);
    }
    printf("\":");
}

static void
print_counts(const struct tk_scenario_counts *counts)
{
    size_t i;

    printf("\"operations\":%" PRIu64 ",\"ok\":%" PRIu64 ",\"failed\":%" PRIu64
           ",\"undetermined\":%" PRIu64 ",\"decided\":%" PRIu64
           ",\"swaps\":%" PRIu64 ",\"committed_in_doubt\":%" PRIu64
           ",\"two_phase\":%" PRIu64 ",\"async\":%" PRIu64
           ",\"one_phase\":%" PRIu64 ",\"past_reads\":%" PRIu64
           ",\"replica_snapshots\":%" PRIu64 ",\"stale_snapshots\":%" PRIu64
           ",\"timestamps\":%" PRIu64 ",\"write_skews\":%" PRIu64
           ",\"guarded\":%" PRIu64 ",\"locks_left\":%" PRIu64
           ",\"locks_readers_left\":%" PRIu64 ",\"write_requests\":%" PRIu64
           ",\"writes_sent_again\":%" PRIu64 ",\"histories\":%" PRIu64
           ",\"states\":%" PRIu64 ",\"closes\":%" PRIu64 ",\"steps\":%" PRIu64
           ",\"rule_hits\":%" PRIu64,
           counts->operations, counts->ok, counts->failed, counts->undetermined,
           counts->decided, counts->swaps, counts->happened,
           counts->modes[TIKV_MODE_2PC], counts->modes[TIKV_MODE_ASYNC],
           counts->modes[TIKV_MODE_1PC], counts->past, counts->replicas,
           counts->stales, counts->stamps, counts->skews, counts->guarded,
           counts->locks, counts->stubborn, counts->sends, counts->again,
           counts->histories, counts->states, counts->closes, counts->steps,
           counts->faults);
    for (i = 0; i < TK_DEEDS; i++) {
        print_key(tk_sim_deed_names[i]);
        printf("%" PRIu64, counts->deeds[i]);
    }
}

static void
print_seed(const struct settings *settings,
           const struct tk_scenario_options *options, bool passed,
           const struct tk_scenario_result *result)
{
    uint64_t seed = options->seed;
    const char *name = tk_sim_workload_names[options->workload];

    if (settings->is_json) {
        printf("{\"seed\":%" PRIu64 ",\"workload\":\"%s\",\"passed\":%s,"
               "\"hash\":\"%016" PRIx64 "\",",
               seed, name, passed ? "true" : "false", result->hash);
        print_counts(&result->counts);
        puts("}");
    } else if (settings->is_verbose) {
        printf("seed %" PRIu64 ", %s: %s, %" PRIu64 " operations, %" PRIu64
               " undetermined, %" PRIu64 " steps, hash %016" PRIx64 "\n",
               seed, name, passed ? "passed" : "FAILED",
               result->counts.operations, result->counts.undetermined,
               result->counts.steps, result->hash);
    }
}

static void
tell_again(const struct tk_scenario_options *options, const char *what,
           const char *program)
{
    clear_progress();
    fprintf(stderr,
            "seed %" PRIu64 " %s; again: %s --seed %" PRIu64 " --workload %s\n",
            options->seed, what, program, options->seed,
            tk_sim_workload_names[options->workload]);
}

static void
print_failure(const struct tk_scenario_options *options, const char *program,
              const struct tk_scenario_result *result)
{
    tell_again(options, "failed", program);
    if (result->report.len != 0) {
        fwrite(result->report.data, 1, result->report.len, stderr);
        fputc('\n', stderr);
    }
}

/* False: the process cannot go on. */
static bool
run_one(const struct settings *settings,
        const struct tk_scenario_options *options, const char *program,
        struct totals *totals)
{
    struct tk_scenario_result first;
    struct tk_scenario_result second;
    bool is_repeated = true;
    bool passed;
    bool hung;

    tk_scenario_run(options, &first);
    hung = first.hung;
    passed = first.passed;
    if (!hung && !settings->is_once) {
        tk_scenario_run(options, &second);
        is_repeated =
            second.hash == first.hash && second.passed == first.passed;
        hung = second.hung;
        tk_scenario_fini(&second);
    }
    if (!passed) {
        print_failure(options, program, &first);
    }
    if (!is_repeated) {
        tell_again(options, "gave another trace the second time", program);
        totals->mismatches++;
        passed = false;
    }
    totals->passed += passed;
    totals->failed += !passed;
    tk_scenario_add(&totals->counts[options->workload], &first.counts);
    print_seed(settings, options, passed, &first);
    tk_scenario_fini(&first);
    return !hung;
}

static bool
run_seed(const struct settings *settings, uint64_t seed, const char *program,
         struct totals *totals)
{
    struct tk_scenario_options options = { .seed = seed };
    bool goes_on = true;
    size_t i;

    for (i = 0; goes_on && i < TK_WORKLOADS; i++) {
        options.workload = (enum tk_sim_workload)i;
        goes_on =
            settings->is_off[i] || run_one(settings, &options, program, totals);
    }
    return goes_on;
}

/* What the workload alone counts. */
static void
print_own(enum tk_sim_workload workload,
          const struct tk_scenario_counts *counts)
{
    switch (workload) {
    case TK_WORKLOAD_RAW:
        printf("  %" PRIu64 " swaps; %" PRIu64 " write requests, %" PRIu64
               " operations sent again; %" PRIu64
               " histories linearizable, by %" PRIu64 " states\n",
               counts->swaps, counts->sends, counts->again, counts->histories,
               counts->states);
        break;
    case TK_WORKLOAD_BANK:
        printf("  %" PRIu64 " snapshots on the way added up\n",
               counts->histories);
        break;
    case TK_WORKLOAD_REGISTER:
        printf("  %" PRIu64 " histories linearizable, by %" PRIu64
               " states; %" PRIu64 " reads of the past, %" PRIu64
               " timestamps in order\n"
               "  %" PRIu64 " snapshots of other replicas, %" PRIu64 " stale\n",
               counts->histories, counts->states, counts->past, counts->stamps,
               counts->replicas, counts->stales);
        break;
    case TK_WORKLOAD_APPEND:
    case TK_WORKLOAD_SKEW:
        printf("  %" PRIu64 " records without a forbidden cycle; %" PRIu64
               " with write skew where it is allowed, %" PRIu64
               " guarded against it\n",
               counts->histories, counts->skews, counts->guarded);
        break;
    case TK_WORKLOAD_DEATH:
    case TK_WORKLOADS:
        break;
    }
}

static void
print_workload(enum tk_sim_workload workload,
               const struct tk_scenario_counts *counts)
{
    printf("%s: %" PRIu64 " %s: %" PRIu64 " ok, %" PRIu64 " failed, %" PRIu64
           " undetermined",
           tk_sim_workload_names[workload], counts->operations,
           workload == TK_WORKLOAD_RAW ? "operations" : "transactions",
           counts->ok, counts->failed, counts->undetermined);
    if (workload != TK_WORKLOAD_RAW) {
        printf(", of which %" PRIu64 " decided (%" PRIu64 " committed)\n"
               "  committed by 2pc %" PRIu64 ", async %" PRIu64 ", 1pc %" PRIu64
               "; locks left behind %" PRIu64 ", of which readers did not "
               "resolve %" PRIu64,
               counts->decided, counts->happened, counts->modes[TIKV_MODE_2PC],
               counts->modes[TIKV_MODE_ASYNC], counts->modes[TIKV_MODE_1PC],
               counts->locks, counts->stubborn);
    }
    putchar('\n');
    print_own(workload, counts);
}

static void
print_deeds(const struct tk_scenario_counts *counts)
{
    size_t i;

    printf("done to them:");
    for (i = 0; i < TK_DEEDS; i++) {
        printf("%s %s %" PRIu64, i == 0 ? "" : ",", tk_sim_deed_names[i],
               counts->deeds[i]);
    }
    printf("; rules acted %" PRIu64 " times; clients closed under load %" PRIu64
           "; %" PRIu64 " steps\n",
           counts->faults, counts->closes, counts->steps);
}

/* Every deed of the nemesis and every time one of its rules acted. */
static uint64_t
count_faults(const struct tk_scenario_counts *counts)
{
    uint64_t count = counts->faults;
    size_t i;

    for (i = 0; i < TK_DEEDS; i++) {
        count += counts->deeds[i];
    }
    return count;
}

static void
sum_up(const struct totals *totals, struct tk_scenario_counts *all,
       struct tk_scenario_counts *txns)
{
    size_t i;

    for (i = 0; i < TK_WORKLOADS; i++) {
        tk_scenario_add(all, &totals->counts[i]);
        if (i != TK_WORKLOAD_RAW) {
            tk_scenario_add(txns, &totals->counts[i]);
        }
    }
}

static void
print_together(const struct totals *totals)
{
    struct tk_scenario_counts all = { 0 };
    struct tk_scenario_counts txns = { 0 };

    sum_up(totals, &all, &txns);
    print_deeds(&all);
    printf("together: %" PRIu64 " transactions, %" PRIu64 " faults; %" PRIu64
           " transactions undetermined, of which %" PRIu64 " decided; %" PRIu64
           " raw operations\n",
           txns.operations, count_faults(&all), txns.undetermined, txns.decided,
           all.operations - txns.operations);
}

static void
print_together_json(const struct totals *totals)
{
    struct tk_scenario_counts all = { 0 };
    struct tk_scenario_counts txns = { 0 };

    sum_up(totals, &all, &txns);
    printf(",\"together\":{\"transactions\":%" PRIu64 ",\"faults\":%" PRIu64
           ",\"undetermined\":%" PRIu64 ",\"decided\":%" PRIu64
           ",\"raw_operations\":%" PRIu64 "}",
           txns.operations, count_faults(&all), txns.undetermined, txns.decided,
           all.operations - txns.operations);
}

static void
print_summary(const struct settings *settings, const struct totals *totals,
              double spent)
{
    size_t i;

    for (i = 0; i < TK_WORKLOADS; i++) {
        if (!settings->is_off[i]) {
            print_workload((enum tk_sim_workload)i, &totals->counts[i]);
        }
    }
    print_together(totals);
    printf("%.1f s, %" PRIu64 " hash mismatches\n", spent, totals->mismatches);
}

int
main(int argc, char **argv)
{
    struct settings settings = { .seeds = 50, .from = 1 };
    struct totals totals = { 0 };
    double began = seconds();
    int status = read_settings(argc, argv, &settings);
    uint64_t i;

    if (status >= 0) {
        return status;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (i = 0; i < settings.seeds; i++) {
        show_progress(i, settings.seeds, totals.failed, began);
        if (!run_seed(&settings, settings.from + i, argv[0], &totals)) {
            fprintf(stderr, "the simulation hangs; no further seed\n");
            break;
        }
    }
    clear_progress();
    if (settings.is_json) {
        printf("{\"passed\":%" PRIu64 ",\"failed\":%" PRIu64
               ",\"hash_mismatches\":%" PRIu64 ",",
               totals.passed, totals.failed, totals.mismatches);
        for (i = 0; i < TK_WORKLOADS; i++) {
            printf("%s\"%s\":{", i == 0 ? "" : ",", tk_sim_workload_names[i]);
            print_counts(&totals.counts[i]);
            putchar('}');
        }
        print_together_json(&totals);
        puts("}");
    } else {
        print_summary(&settings, &totals, seconds() - began);
        printf("%" PRIu64 " passed, %" PRIu64 " failed\n", totals.passed,
               totals.failed);
    }
    return totals.failed == 0 ? 0 : 1;
}
