/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The main fiber of a world, and the verdict.
 *
 *     open -> load and nemesis -> [close under load] -> heal -> rest until
 *     nothing old can be executed -> [open again] -> read all -> close
 *
 * Then, outside of the simulation, the rules and the search. See world.h.
 */
#include "sim/scenario.h"

#include <string.h>

#include "base/alloc.h"
#include "exec/runtime_sim.h"
#include "exec/thread_cache.h"
#include "sim/world.h"

#define STORES 3
#define PDS 3
#define NEMESES 3
#define STEPS_MAX UINT64_C(20000000)

const char *const tk_sim_workload_names[TK_WORKLOADS] = {
    [TK_WORKLOAD_RAW] = "raw",           [TK_WORKLOAD_BANK] = "bank",
    [TK_WORKLOAD_REGISTER] = "register", [TK_WORKLOAD_APPEND] = "append",
    [TK_WORKLOAD_SKEW] = "skew",         [TK_WORKLOAD_DEATH] = "death",
};

static const struct tk_workload *const workloads[TK_WORKLOADS] = {
    [TK_WORKLOAD_RAW] = &tk_workload_raw,
    [TK_WORKLOAD_BANK] = &tk_workload_bank,
    [TK_WORKLOAD_REGISTER] = &tk_workload_register,
    [TK_WORKLOAD_APPEND] = &tk_workload_append,
    [TK_WORKLOAD_SKEW] = &tk_workload_skew,
    [TK_WORKLOAD_DEATH] = &tk_workload_death,
};

/* ---- the main fiber ---- */

static bool
check(struct tk_world *world, const char *what, tikv_error *error)
{
    bool ok = error == NULL;

    if (!ok) {
        tk_world_complain(world, "%s: %s\n", what, tikv_error_message(error));
    }
    tikv_error_free(error);
    return ok;
}

static void
open_clients(struct tk_world *world)
{
    uint32_t i;

    for (i = 0; i < world->seats_count; i++) {
        if (world->seats[i].client == NULL) {
            (void)check(world, "client", tk_seat_open(world, &world->seats[i]));
        }
    }
}

static void
close_clients(struct tk_world *world)
{
    uint32_t i;

    world->is_closing = true;
    for (i = 0; i < world->seats_count; i++) {
        if (world->seats[i].client != NULL) {
            tk_seat_close(&world->seats[i]);
        }
    }
}

/* Stops the nemeses. */
static void
rest(struct tk_world *world, struct tk_nemesis *nemeses)
{
    uint32_t i;

    world->is_over = true;
    for (i = 0; i < NEMESES; i++) {
        if (nemeses[i].thread != NULL) {
            world->rt->ops->join(world->rt, nemeses[i].thread);
        }
    }
}

/* One of them has clients in mind, where there are several. */
static void
awake(struct tk_world *world, struct tk_nemesis *nemeses)
{
    uint32_t i;

    for (i = 0; i < NEMESES; i++) {
        bool reaps = i == NEMESES - 1;

        nemeses[i] = (struct tk_nemesis){ .world = world,
                                          .rng = { tk_rng_next(&world->rng) } };
        if (!reaps || world->seats_count > 1) {
            nemeses[i].thread = world->rt->ops->spawn(
                world->rt, "nemesis", reaps ? tk_nemesis_reap : tk_nemesis_run,
                &nemeses[i]);
        }
    }
}

/* The end in the middle of everything. Who commits by hand holds objects of
 * the client: those processes die. */
static void
end_early(struct tk_world *world, struct tk_nemesis *nemeses)
{
    uint32_t i;

    tk_world_sleep(world, (int64_t)tk_rng_below(&world->rng, 300 * TK_MS));
    rest(world, nemeses);
    world->is_closing = true;
    for (i = 0; i < world->seats_count; i++) {
        struct tk_seat *seat = &world->seats[i];

        if (seat->client == NULL) {
            continue;
        }
        if (world->workload->by_hand) {
            tk_seat_die(world, seat, tk_rng_below(&world->rng, 8), TK_MS);
        } else {
            tk_seat_close(seat);
        }
    }
    world->counts->closes++;
}

/* Ends with the clients open, or with a complaint. */
static void
work(struct tk_world *world)
{
    const struct tk_runtime_ops *ops = world->rt->ops;
    struct tk_nemesis nemeses[NEMESES];
    struct tk_load loads[TK_SIM_FIBERS_MAX];
    bool closes = world->options.seed % 4 == 3;
    uint32_t i;

    if (world->workload->open != NULL) {
        world->workload->open(world);
    }
    for (i = 0; i < world->options.fibers; i++) {
        loads[i] = (struct tk_load){ .world = world,
                                     .number = i + 1,
                                     .rng = { tk_rng_next(&world->rng) } };
        loads[i].thread =
            ops->spawn(world->rt, "load", world->workload->run, &loads[i]);
    }
    awake(world, nemeses);
    if (closes) {
        end_early(world, nemeses);
    }
    for (i = 0; i < world->options.fibers; i++) {
        ops->join(world->rt, loads[i].thread);
    }
    if (!closes) {
        rest(world, nemeses);
    }
    world->is_closing = false;
    tk_nemesis_heal(world);
    open_clients(world);
}

static void
live(void *arg)
{
    struct tk_world *world = (struct tk_world *)arg;
    struct tk_cluster_params params = {
        .stores_count = STORES,
        .pds_count = PDS,
        .regions_count = world->workload->is_txn
                             ? 1
                             : 1 + (uint32_t)tk_rng_below(&world->rng, 4),
        .seed = world->options.seed,
    };

    if (!check(world, "cluster",
               tk_cluster_new(world->rt, &params, &world->cluster))) {
        return;
    }
    open_clients(world);
    if (world->report->len == 0 && world->workload->run != NULL) {
        work(world);
    }
    if (world->seats[0].client != NULL) {
        tk_world_sleep(world, TK_SIM_LATE_NS);
        world->workload->audit(world);
    }
    close_clients(world);
    tk_cluster_free(world->cluster);
}

/* ---- the verdict ---- */

/* What all records of transactions are held to. */
static void
judge_record(struct tk_world *world)
{
    const struct tk_record *record = &world->record;
    struct tk_timeline_report report;
    enum tk_timeline_fault fault = tk_timeline_check(record, &report);
    const char *why;
    uint32_t broken = tk_record_rules(record, TK_SIM_SLACK_NS, &why);

    if (record->failed || fault == TK_TIMELINE_MEMORY) {
        tk_world_complain(world, "no memory for the record\n");
        return;
    }
    if (broken != TK_SIM_NONE) {
        tk_world_complain(world, "T%u %s\n", broken, why);
        tk_record_print(record, broken, world->report);
    }
    if (fault == TK_TIMELINE_READ) {
        tk_world_complain(world, "T%u read %u at key %u, where %u was\n",
                          report.txn, report.found, report.key,
                          report.expected);
    } else if (fault == TK_TIMELINE_WRITE) {
        tk_world_complain(world, "T%u wrote key %u over what it had not seen\n",
                          report.txn, report.key);
    } else if (fault == TK_TIMELINE_ORDER) {
        tk_world_complain(world,
                          "T%u was committed before T%u, which had "
                          "ended when it asked\n",
                          report.txn, report.other);
    }
    if (fault != TK_TIMELINE_FITS) {
        tk_record_print(record, report.txn, world->report);
        tk_record_print(record, report.other, world->report);
    }
}

static void
judge(struct tk_world *world)
{
    if (world->record.txns_count != 0) {
        judge_record(world);
    }
    if (world->workload->judge != NULL) {
        world->workload->judge(world);
    }
}

/* What the seed says where nobody said otherwise. */
static void
fill_options(struct tk_world *world)
{
    struct tk_scenario_options *options = &world->options;
    uint32_t fibers = 3 + (uint32_t)tk_rng_below(&world->rng, 5);
    uint32_t rounds = 30 + (uint32_t)tk_rng_below(&world->rng, 50);
    uint32_t keys = 2 + (uint32_t)tk_rng_below(&world->rng, 5);

    if (tk_rng_below(&world->rng, 3) == 0) {
        world->pause_ns = TK_MS / 5;
        rounds *= 4;
    } else {
        world->pause_ns = 4 * TK_MS;
    }
    options->fibers = options->fibers == 0 ? fibers : options->fibers;
    options->rounds = options->rounds == 0 ? rounds : options->rounds;
    options->keys = options->keys == 0 ? keys : options->keys;
    if (options->fibers > TK_SIM_FIBERS_MAX) {
        options->fibers = TK_SIM_FIBERS_MAX;
    }
    if (options->keys > TK_SIM_KEYS_MAX) {
        options->keys = TK_SIM_KEYS_MAX;
    }
    world->is_atomic = tk_rng_below(&world->rng, 3) != 0;
    world->is_crowded = tk_rng_below(&world->rng, 3) == 0;
    world->is_guarded = options->seed % 2 == 0;
    world->workload = workloads[options->workload];
    world->seats_count = world->workload->seats;
    if (world->workload->rounds_max != 0 &&
        options->rounds > world->workload->rounds_max) {
        options->rounds = world->workload->rounds_max;
    }
}

void
tk_scenario_run(const struct tk_scenario_options *options,
                struct tk_scenario_result *result)
{
    struct tk_world world = { .options = *options,
                              .counts = &result->counts,
                              .report = &result->report,
                              .rng = { options->seed } };
    int64_t blocks;

    memset(result, 0, sizeof(*result));
    tk_buf_init(&result->report, (size_t)4 << 20);
    tk_thread_cache_drain();
    blocks = tk_alloc_live();
    fill_options(&world);
    tk_history_init(&world.history);
    tk_record_init(&world.record);
    world.rt = tk_runtime_sim_new(options->seed);
    if (world.rt == NULL) {
        tk_world_complain(&world, "no memory for the runtime\n");
        return;
    }
    if (!tk_runtime_sim_run(world.rt, live, &world, STEPS_MAX)) {
        result->hung = true;
        tk_buf_append_text(&result->report, tk_runtime_sim_report(world.rt));
    }
    result->hash = tk_runtime_sim_hash(world.rt);
    result->counts.steps = tk_runtime_sim_steps(world.rt);
    judge(&world);
    result->passed = result->report.len == 0 && !result->report.failed;
    tk_history_fini(&world.history);
    tk_record_fini(&world.record);
    tk_runtime_sim_free(world.rt);
    tk_thread_cache_drain();
    if (result->passed && tk_alloc_live() != blocks) {
        tk_world_complain(&world, "%lld blocks of memory are left\n",
                          (long long)(tk_alloc_live() - blocks));
        result->passed = false;
    }
}

void
tk_scenario_fini(struct tk_scenario_result *result)
{
    tk_buf_fini(&result->report);
}

void
tk_scenario_add(struct tk_scenario_counts *sum,
                const struct tk_scenario_counts *counts)
{
    size_t i;

    sum->operations += counts->operations;
    sum->ok += counts->ok;
    sum->failed += counts->failed;
    sum->undetermined += counts->undetermined;
    sum->decided += counts->decided;
    sum->happened += counts->happened;
    sum->past += counts->past;
    sum->stamps += counts->stamps;
    sum->replicas += counts->replicas;
    sum->stales += counts->stales;
    sum->skews += counts->skews;
    sum->guarded += counts->guarded;
    sum->locks += counts->locks;
    sum->stubborn += counts->stubborn;
    for (i = 0; i < TK_SIM_MODES; i++) {
        sum->modes[i] += counts->modes[i];
    }
    sum->swaps += counts->swaps;
    sum->sends += counts->sends;
    sum->again += counts->again;
    sum->states += counts->states;
    sum->histories += counts->histories;
    sum->closes += counts->closes;
    sum->steps += counts->steps;
    sum->faults += counts->faults;
    for (i = 0; i < TK_DEEDS; i++) {
        sum->deeds[i] += counts->deeds[i];
    }
}
