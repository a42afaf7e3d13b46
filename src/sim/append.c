/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists that transactions read and append to, in two workloads:
 *
 *   append  some steps at keys by chance; the verdict is anomaly.h's
 *   skew    reads two keys and appends to one of them, which snapshot
 *           isolation lets two do that should exclude each other. In every
 *           other seed what is read is locked as well: then nobody may.
 *
 * Both are held to the timestamps as well (timeline.h).
 */
#include "exec/runtime.h"
#include "sim/anomaly.h"
#include "sim/deal.h"

#define STEPS_MAX 4

struct plan {
    uint32_t count;
    uint32_t keys[STEPS_MAX];
    uint32_t values[STEPS_MAX]; /* 0: only read */
    bool guards;
    int64_t pause_ns; /* between reading and committing */
};

static tikv_error *
guard(struct tk_deal *deal, const struct plan *plan)
{
    char texts[STEPS_MAX][TK_SIM_TEXT];
    tikv_slice keys[STEPS_MAX];
    uint32_t i;

    for (i = 0; i < plan->count; i++) {
        keys[i] = tk_world_key(deal->world, plan->keys[i], texts[i]);
    }
    return tikv_txn_lock(deal->txn, keys, plan->count, NULL);
}

static tikv_error *
body(struct tk_deal *deal)
{
    const struct plan *plan = (const struct plan *)deal->plan;
    tikv_error *error = NULL;
    uint32_t i;

    for (i = 0; error == NULL && i < plan->count; i++) {
        error = tk_deal_list(deal, plan->keys[i], plan->values[i]);
    }
    if (error == NULL && plan->guards) {
        error = guard(deal, plan);
    }
    tk_world_sleep(deal->world, plan->pause_ns);
    return error;
}

static void
plan_append(struct tk_load *load, struct plan *plan)
{
    struct tk_world *world = load->world;
    uint32_t i;

    plan->count = 1 + (uint32_t)tk_rng_below(&load->rng, STEPS_MAX);
    for (i = 0; i < plan->count; i++) {
        plan->keys[i] = (uint32_t)tk_rng_below(&load->rng, world->options.keys);
        if (tk_rng_below(&load->rng, 2) == 0) {
            plan->values[i] = ++world->values;
        }
    }
}

/* Keys in pairs; the last one of an odd number is with the first. */
static void
plan_skew(struct tk_load *load, struct plan *plan)
{
    struct tk_world *world = load->world;
    uint32_t key =
        2 * (uint32_t)tk_rng_below(&load->rng, (world->options.keys + 1) / 2);
    uint64_t dice = tk_rng_below(&load->rng, 5);

    plan->count = 2;
    plan->keys[0] = key;
    plan->keys[1] = (key + 1) % world->options.keys;
    if (dice < 4) {
        plan->values[dice % 2] = ++world->values;
        plan->guards = world->is_guarded;
        plan->pause_ns = (int64_t)tk_rng_below(&load->rng, 2 * TK_MS);
    }
}

static void
run(struct tk_load *load, void (*make)(struct tk_load *, struct plan *))
{
    struct tk_world *world = load->world;
    uint32_t i;

    tk_self(world->rt)->is_library = false;
    for (i = 0; i < world->options.rounds; i++) {
        struct tk_seat *seat = tk_seat_enter(world, &load->rng);
        struct plan plan = { 0 };
        struct tk_deal deal = { .world = world,
                                .seat = seat,
                                .rng = &load->rng,
                                .body = body,
                                .plan = &plan };

        if (seat == NULL) {
            return;
        }
        make(load, &plan);
        (void)tk_deal_run(&deal, load->number);
        tk_seat_leave(seat);
        tk_world_sleep(world, (int64_t)tk_rng_below(&load->rng,
                                                    (uint64_t)world->pause_ns));
    }
}

static void
run_append(void *load)
{
    run((struct tk_load *)load, plan_append);
}

static void
run_skew(void *load)
{
    run((struct tk_load *)load, plan_skew);
}

/* ---- the healed world ---- */

static tikv_error *
body_all(struct tk_deal *deal)
{
    tikv_error *error = NULL;
    uint32_t i;

    for (i = 0; error == NULL && i < deal->world->options.keys; i++) {
        error = tk_deal_list(deal, i, 0);
    }
    return error;
}

static void
audit(struct tk_world *world)
{
    tk_deal_decide_all(world);
    tk_deal_end_locks(world);
    tk_deal_run_last(world, body_all);
    tk_deal_lose(world);
}

static void
judge(struct tk_world *world, uint32_t allowed)
{
    struct tk_anomalies anomalies;

    tk_anomalies_find(&world->record, &anomalies);
    if (anomalies.failed) {
        tk_world_complain(world, "no memory for the graph\n");
    }
    (void)tk_anomalies_print(&world->record, &anomalies, allowed,
                             world->report);
    world->counts->histories++;
    world->counts->skews += anomalies.counts[TK_ANOMALY_G2_ITEM] != 0;
}

static void
judge_append(struct tk_world *world)
{
    judge(world, TK_ANOMALIES_OF_SNAPSHOTS);
}

static void
judge_skew(struct tk_world *world)
{
    judge(world, world->is_guarded ? 0 : TK_ANOMALIES_OF_SNAPSHOTS);
    world->counts->guarded += world->is_guarded;
}

const struct tk_workload tk_workload_append = {
    .is_txn = true,
    .by_hand = true,
    .seats = 3,
    .rounds_max = 40,
    .run = run_append,
    .audit = audit,
    .judge = judge_append,
};

const struct tk_workload tk_workload_skew = {
    .is_txn = true,
    .by_hand = true,
    .seats = 3,
    .rounds_max = 40,
    .run = run_skew,
    .audit = audit,
    .judge = judge_skew,
};
