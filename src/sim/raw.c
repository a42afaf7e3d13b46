/* SPDX-License-Identifier: Apache-2.0 */
/* Raw commands as a workload: load.c calls, history.h and linear.h judge. */
#include "exec/runtime.h"
#include "sim/linear.h"
#include "sim/world.h"

static void
count(struct tk_world *world)
{
    const struct tk_history *history = &world->history;
    struct tk_scenario_counts *counts = world->counts;
    size_t i;

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
        tk_linear_check_key(&world->history, key, TK_SIM_STATES_MAX, &report);

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

    count(world);
    if (world->history.failed) {
        tk_world_complain(world, "no memory for the history\n");
        return;
    }
    broken = tk_history_rules(&world->history, TK_SIM_SLACK_NS, &why);
    if (broken != TK_SIM_NONE) {
        tk_world_complain(world, "operation #%u: %s\n", broken, why);
        tk_history_print(&world->history, world->history.ops[broken].key,
                         broken, world->report);
    }
    for (key = 0; key < world->options.keys; key++) {
        judge_key(world, key);
    }
}

const struct tk_workload tk_workload_raw = {
    .seats = 1,
    .run = tk_load_run,
    .audit = tk_load_read_all,
    .judge = judge,
};
