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

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/client.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/slice.h"
#include "exec/runtime_sim.h"
#include "exec/thread_cache.h"
#include "sim/linear.h"
#include "sim/memory_transport.h"
#include "sim/tap.h"
#include "sim/world.h"
#include "wire/key.h"

#define STORES 3
#define PDS 3
#define NEMESES 2
#define STEPS_MAX UINT64_C(20000000)
#define STATES_MAX UINT64_C(4000000)
/* How far behind its deadline an operation may end: one sweep, a hand-over
 * to a worker and its turn. */
#define SLACK_NS (20 * TK_MS)

/* ---- keys and values ---- */

/* Spread over the keys' first byte, by which regions are cut. */
tikv_slice
tk_world_key(const struct tk_world *world, uint32_t key, char *text)
{
    int len = snprintf(text, TK_SIM_TEXT, "%ck%u",
                       (int)(1 + key * 120 / world->options.keys), key);

    return tk_slice(text, (size_t)len);
}

tikv_slice
tk_world_place(const struct tk_world *world, uint32_t key, char *text)
{
    char plain[TK_SIM_TEXT];
    struct tk_buf encoded;
    size_t len;

    if (world->options.workload != TK_WORKLOAD_BANK) {
        return tk_world_key(world, key, text);
    }
    tk_buf_init(&encoded, TK_SIM_TEXT);
    tk_key_encode(&encoded, tk_bank_key(key, plain));
    len = encoded.len;
    memcpy(text, encoded.data, len);
    tk_buf_fini(&encoded);
    return tk_slice(text, len);
}

static uint32_t
number_at(tikv_slice bytes, size_t at)
{
    uint32_t number = 0;

    if (at >= bytes.len) {
        return TK_SIM_NONE;
    }
    for (; at < bytes.len && bytes.data[at] != '.'; at++) {
        if (bytes.data[at] < '0' || bytes.data[at] > '9') {
            return TK_SIM_NONE;
        }
        number = number * 10 + (uint32_t)(bytes.data[at] - '0');
    }
    return number;
}

uint32_t
tk_world_key_of(tikv_slice key)
{
    return number_at(key, 2);
}

/* The number, a dot and so many bytes that the length varies with it. */
tikv_slice
tk_world_value(uint32_t value, char *text)
{
    int len;

    if (value == 0) {
        return (tikv_slice){ NULL, 0 };
    }
    len = snprintf(text, TK_SIM_TEXT, "v%u.%*s", value, (int)(value % 24), "");
    return tk_slice(text, (size_t)len);
}

uint32_t
tk_world_value_of_slice(tikv_slice bytes)
{
    char text[TK_SIM_TEXT];
    uint32_t value;

    if (bytes.data == NULL) {
        return 0;
    }
    value = bytes.len > 1 && bytes.data[0] == 'v' ? number_at(bytes, 1)
                                                  : TK_SIM_NONE;
    return value == 0 || value == TK_SIM_NONE ||
                   !tk_slice_equal(bytes, tk_world_value(value, text))
               ? TK_SIM_FOREIGN
               : value;
}

uint32_t
tk_world_value_of(const tikv_value *value)
{
    return value == NULL ? 0 : tk_world_value_of_slice(tikv_value_slice(value));
}

/* ---- services ---- */

void
tk_world_sleep(struct tk_world *world, int64_t ns)
{
    struct tk_parker *self = tk_self(world->rt);
    int64_t until = tk_after(tk_now(world->rt), ns);

    while (tk_now(world->rt) < until) {
        tk_park_begin(self);
        world->rt->ops->park(world->rt, self, until);
    }
}

void
tk_world_complain(struct tk_world *world, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    tk_buf_append_text(world->report, text);
}

/* ---- the main fiber ---- */

/* "host:port,..." of all members. */
static void
list_members(struct tk_world *world, char *text, size_t size)
{
    size_t len = 0;
    uint32_t i;

    text[0] = '\0';
    for (i = 0; i < PDS; i++) {
        if (i != 0) {
            text[len++] = ',';
        }
        (void)tk_cluster_get_address(world->cluster, i, text + len,
                                     size - len - 1);
        len += strlen(text + len);
    }
}

/* Few places in the table of requests in flight are soon used again, while
 * late answers to their former owners come in. Some worlds hedge reads. */
static tikv_error *
configure(struct tk_world *world, tikv_config **out)
{
    static const char *const attempts[] = { "20", "50", "150" };
    static const char *const inflights[] = { "16", "64", "65536" };
    static const char *const batches[] = { "1", "3", "128" };
    static const char *const hedges[] = { "0", "0", "3" };
    char endpoints[512];
    const char *const settings[][2] = {
        { "pd.endpoints", endpoints },
        { "pd.timeout_ms", "50" },
        { "rpc.attempt_timeout_ms", attempts[tk_rng_below(&world->rng, 3)] },
        { "rpc.inflight_max_count", inflights[tk_rng_below(&world->rng, 3)] },
        { "rpc.batch_max_count", batches[tk_rng_below(&world->rng, 3)] },
        { "pool.threads_count", world->is_crowded ? "2" : "24" },
        { "read.hedge_ms", hedges[tk_rng_below(&world->rng, 3)] },
        { "read.hedge_percent", "50" },
        { "raw.atomic", world->is_atomic ? "true" : "false" },
    };
    tikv_error *error = tikv_config_new(out);
    size_t i;

    list_members(world, endpoints, sizeof(endpoints));
    for (i = 0; error == NULL && i < sizeof(settings) / sizeof(settings[0]);
         i++) {
        error = tikv_config_set(*out, settings[i][0], settings[i][1]);
    }
    return error;
}

static tikv_error *
open_client(struct tk_world *world)
{
    struct tk_transport *transport = NULL;
    tikv_config *config = NULL;
    tikv_error *error = configure(world, &config);

    if (error == NULL) {
        error =
            tk_memory_transport_new(world->rt, world->cluster, &world->network);
    }
    if (error == NULL) {
        error = tk_tap_new(world->rt, world->network, &world->history,
                           tk_world_key_of, TK_SIM_LATE_NS, &transport);
    }
    if (error == NULL) {
        error =
            tk_client_open_with(world->rt, transport, config, &world->client);
    }
    tikv_config_free(config);
    return error;
}

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
close_client(struct tk_world *world)
{
    tikv_client *client = world->client;

    world->is_closing = true;
    tikv_client_close(client);
    world->client = NULL;
    world->network = NULL;
}

/* Stops the nemeses. */
static void
rest(struct tk_world *world, struct tk_nemesis *nemeses)
{
    uint32_t i;

    world->is_over = true;
    for (i = 0; i < NEMESES; i++) {
        world->rt->ops->join(world->rt, nemeses[i].thread);
    }
}

/* Ends with the client open, or with a complaint. */
static void
work(struct tk_world *world)
{
    const struct tk_runtime_ops *ops = world->rt->ops;
    struct tk_nemesis nemeses[NEMESES];
    struct tk_load loads[TK_SIM_FIBERS_MAX];
    bool closes = world->options.seed % 4 == 3;
    bool is_bank = world->options.workload == TK_WORKLOAD_BANK;
    uint32_t i;

    if (is_bank) {
        tk_bank_open(world);
    }

    for (i = 0; i < world->options.fibers; i++) {
        loads[i] = (struct tk_load){ .world = world,
                                     .number = i + 1,
                                     .rng = { tk_rng_next(&world->rng) } };
        loads[i].thread =
            ops->spawn(world->rt, "load", is_bank ? tk_bank_run : tk_load_run,
                       &loads[i]);
    }
    for (i = 0; i < NEMESES; i++) {
        nemeses[i] = (struct tk_nemesis){ .world = world,
                                          .rng = { tk_rng_next(&world->rng) } };
        nemeses[i].thread =
            ops->spawn(world->rt, "nemesis", tk_nemesis_run, &nemeses[i]);
    }
    if (closes) {
        tk_world_sleep(world, (int64_t)tk_rng_below(&world->rng, 300 * TK_MS));
        rest(world, nemeses);
        close_client(world);
        world->counts->closes++;
    }
    for (i = 0; i < world->options.fibers; i++) {
        ops->join(world->rt, loads[i].thread);
    }
    if (!closes) {
        rest(world, nemeses);
    } else {
        world->is_closing = false;
        tk_nemesis_heal(world);
        (void)check(world, "the second client", open_client(world));
    }
}

static void
live(void *arg)
{
    struct tk_world *world = (struct tk_world *)arg;
    struct tk_cluster_params params = {
        .stores_count = STORES,
        .pds_count = PDS,
        .regions_count = world->options.workload == TK_WORKLOAD_BANK
                             ? 1
                             : 1 + (uint32_t)tk_rng_below(&world->rng, 4),
        .seed = world->options.seed,
    };

    if (!check(world, "cluster",
               tk_cluster_new(world->rt, &params, &world->cluster))) {
        return;
    }
    if (check(world, "client", open_client(world))) {
        work(world);
    }
    if (world->client != NULL) {
        tk_nemesis_heal(world);
        tk_world_sleep(world, TK_SIM_LATE_NS);
        if (world->options.workload == TK_WORKLOAD_BANK) {
            tk_bank_audit(world);
        } else {
            tk_load_read_all(world);
        }
        close_client(world);
    }
    tk_cluster_free(world->cluster);
}

/* ---- the verdict ---- */

static void
count(struct tk_world *world)
{
    const struct tk_history *history = &world->history;
    struct tk_scenario_counts *counts = world->counts;
    size_t i;

    if (world->options.workload == TK_WORKLOAD_BANK) {
        return;
    }
    counts->operations = history->ops_count;
    counts->sends = history->sends_count;
    for (i = 0; i < history->ops_count; i++) {
        const struct tk_sim_op *op = &history->ops[i];

        counts->ok += op->outcome == TK_SIM_OK;
        counts->failed += op->outcome == TK_SIM_FAILED;
        counts->undetermined += op->outcome == TK_SIM_UNDETERMINED;
        counts->swaps += op->kind == TK_SIM_CAS;
        counts->again += op->sends != TK_SIM_NONE &&
                         history->sends[op->sends].next != TK_SIM_NONE;
    }
}

static void
judge_key(struct tk_world *world, uint32_t key)
{
    struct tk_linear_report report;
    enum tk_linear_answer answer =
        tk_linear_check_key(&world->history, key, STATES_MAX, &report);

    world->counts->states += report.states;
    world->counts->histories++;
    if (answer == TK_LINEAR_YES) {
        return;
    }
    tk_world_complain(world, "key %u is %s; it fits up to operation #%u\n", key,
                      answer == TK_LINEAR_NO ? "not linearizable" : "undecided",
                      report.stuck);
    tk_history_print(&world->history, key, report.stuck, world->report);
}

static void
judge(struct tk_world *world)
{
    const char *why;
    uint32_t broken;
    uint32_t key;

    if (world->history.failed) {
        tk_world_complain(world, "no memory for the history\n");
        return;
    }
    if (world->options.workload == TK_WORKLOAD_BANK) {
        return;
    }
    broken = tk_history_rules(&world->history, SLACK_NS, &why);
    if (broken != TK_SIM_NONE) {
        tk_world_complain(world, "operation #%u: %s\n", broken, why);
        tk_history_print(&world->history, world->history.ops[broken].key,
                         broken, world->report);
    }
    for (key = 0; key < world->options.keys; key++) {
        judge_key(world, key);
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
    world.rt = tk_runtime_sim_new(options->seed);
    if (world.rt == NULL) {
        tk_world_complain(&world, "no memory for the runtime\n");
        return;
    }
    if (!tk_runtime_sim_run(world.rt, live, &world, STEPS_MAX)) {
        result->hung = true;
        tk_world_complain(&world, "%s\n", tk_runtime_sim_report(world.rt));
    }
    result->hash = tk_runtime_sim_hash(world.rt);
    result->counts.steps = tk_runtime_sim_steps(world.rt);
    count(&world);
    judge(&world);
    result->passed = result->report.len == 0 && !result->report.failed;
    tk_history_fini(&world.history);
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
