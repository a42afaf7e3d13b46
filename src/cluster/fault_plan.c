/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From rules to what happens to a request: actions are written down in a
 * plan when it comes in, and the plan is followed when it runs. Actions
 * behind "apply" that wait or change the world are looked up again when it
 * has run: if their rule has been removed meanwhile, they do not happen.
 */
#include <string.h>

#include "base/alloc.h"
#include "cluster/fault.h"

enum { GATE_MS = 60000, REORDER_MS = 1000 };

static int64_t
between(struct tk_rng *rng, uint64_t low, uint64_t high)
{
    uint64_t ms = low + (low == high ? 0 : tk_rng_below(rng, high - low + 1));

    return (int64_t)ms * TK_MS;
}

static int64_t
ms_or(uint64_t ms, int64_t otherwise)
{
    return (ms == 0 || ms > INT32_MAX ? otherwise : (int64_t)ms) * TK_MS;
}

/* ---- waiting ---- */

static void
plan_hold(struct tk_cluster *cluster, struct tk_cl_rule *rule,
          const struct tk_cl_action *action, struct tk_cl_hold *hold)
{
    if (action->act == TK_ACT_DELAY) {
        hold->ns += between(&rule->rng, action->low, action->high);
    } else if (action->act == TK_ACT_BARRIER) {
        hold->gate = tk_cl_gate(cluster, action->name);
        hold->ns = ms_or(action->low, GATE_MS);
    } else {
        hold->rule = rule->id;
        hold->left = action->low;
        hold->ns = ms_or(action->high, REORDER_MS);
    }
}

/* ---- back-pressure ---- */

/* A bucket of one second's tokens. */
static bool
has_token(struct tk_cluster *cluster, struct tk_cl_rule *rule, uint64_t rate)
{
    int64_t now = tk_now(cluster->rt);
    double fresh =
        (double)(now - rule->bucket_at) / 1e9 * (double)rate;

    rule->tokens = rule->bucket_at == 0 ? (double)rate : rule->tokens + fresh;
    if (rule->tokens > (double)rate) {
        rule->tokens = (double)rate;
    }
    rule->bucket_at = now;
    if (rule->tokens < 1) {
        return false;
    }
    rule->tokens -= 1;
    return true;
}

/* As the transport refuses what it would have to read. */
static void
plan_message_limit(const struct tk_cl_request *request,
                   const struct tk_cl_action *action, struct tk_cl_plan *plan)
{
    if (request->body.len > action->low) {
        plan->skip = true;
        plan->status = TK_GRPC_RESOURCE_EXHAUSTED;
        plan->is_too_large = true;
        plan->number = action->low;
    }
}

static void
plan_limit(struct tk_cl_request *request, struct tk_cl_rule *rule,
           const struct tk_cl_action *action, struct tk_cl_plan *plan)
{
    struct tk_cluster *cluster = request->cluster;
    const char *reason = NULL;

    if (request->method->region_error == 0) {
        return;
    }
    if (action->act == TK_ACT_THROTTLE) {
        reason = has_token(cluster, rule, action->low)
                     ? NULL
                     : "too many requests";
    } else if (action->act == TK_ACT_QUEUE_LIMIT) {
        reason = cluster->pending >= action->low ? "queue is full" : NULL;
    } else if ((uint64_t)tk_alloc_live() > action->low) {
        reason = "memory is exhausted";
    }
    if (reason != NULL) {
        plan->skip = true;
        plan->has_error = true;
        plan->error = (struct tk_cl_error){ .kind = TK_CL_SERVER_IS_BUSY,
                                            .reason = reason,
                                            .backoff_ms = 10 };
    }
}

/* ---- ends, answers ---- */

static void
plan_end(const struct tk_cl_action *action, struct tk_cl_plan *plan,
         bool is_after)
{
    plan->skip = !is_after;
    switch (action->act) {
    case TK_ACT_DROP_REQUEST:
        plan->silent = true;
        plan->skip = true;
        break;
    case TK_ACT_DROP_RESPONSE:
        plan->silent = true;
        plan->skip = false;
        break;
    case TK_ACT_STATUS:
        plan->status = (int)action->choice;
        break;
    case TK_ACT_UNIMPLEMENTED:
        plan->status = TK_GRPC_UNIMPLEMENTED;
        break;
    case TK_ACT_BREAK_STREAM:
        plan->break_stream = true;
        plan->status = (int)action->choice;
        break;
    case TK_ACT_RESET_CONNECTION:
    case TK_ACT_CRASH:
        plan->is_reset = true;
        break;
    case TK_ACT_REGION_ERROR:
        plan->has_error = true;
        plan->error = action->error;
        break;
    default:
        plan->twists |= TK_TWIST_KEY_ERROR;
        plan->key_error = action->key_error;
        break;
    }
}

static void
plan_answer(const struct tk_cl_action *action, struct tk_cl_plan *plan)
{
    static const uint32_t waits[] = { TK_TWIST_NO_WAKE, TK_TWIST_WAIT_TIMEOUT,
                                      TK_TWIST_WAIT_SPURIOUS,
                                      TK_TWIST_NO_DETECTOR };
    uint32_t twist = 0;

    switch (action->act) {
    case TK_ACT_PARTIAL:
        twist = TK_TWIST_PARTIAL;
        plan->number = action->low;
        break;
    case TK_ACT_ASYNC_COMMIT_FALLBACK:
        twist = TK_TWIST_FALLBACK;
        plan->number = action->low == 0 ? 1 : action->low;
        break;
    case TK_ACT_UNKNOWN_FIELDS:
        twist = TK_TWIST_UNKNOWN_FIELDS;
        break;
    case TK_ACT_UNKNOWN_ENUM:
        twist = TK_TWIST_UNKNOWN_ENUM;
        break;
    case TK_ACT_CORRUPT:
        twist = TK_TWIST_CORRUPT;
        plan->corruption = action->choice;
        break;
    case TK_ACT_LOCK_WAIT:
        twist = waits[action->choice];
        break;
    case TK_ACT_TSO:
        twist = action->choice == TK_TSO_WRONG_CLUSTER ? TK_TWIST_WRONG_CLUSTER
                : action->choice == TK_TSO_COUNT_MISMATCH ? TK_TWIST_COUNT
                                                          : 0;
        break;
    case TK_ACT_PD_STALE_REGION:
        twist = TK_TWIST_STALE_REGION;
        break;
    case TK_ACT_PD_HOLE:
        twist = TK_TWIST_HOLE;
        break;
    case TK_ACT_PD_LEADER_ABSENT:
        twist = TK_TWIST_NO_LEADER;
        break;
    default:
        twist = TK_TWIST_ADDRESS;
        break;
    }
    plan->twists |= twist;
}

void
tk_cl_carry_out(struct tk_cl_request *request, struct tk_cl_rule *rule,
                const struct tk_cl_action *action, struct tk_cl_plan *plan,
                bool is_after, bool *is_moved)
{
    uint32_t flags = tk_cl_act_rows[action->act].flags;

    tk_cl_seen_act(request, action->act);
    if ((flags & TK_ACT_HOLDS) != 0) {
        plan_hold(request->cluster, rule, action,
                  is_after ? &plan->after : &plan->before);
    }
    if ((flags & TK_ACT_DEED) != 0) {
        tk_cl_deed(request, rule, action);
        *is_moved = true;
    }
    if ((flags & TK_ACT_TERMINAL) != 0) {
        plan_end(action, plan, is_after);
    }
    if ((flags & TK_ACT_ANSWER) != 0) {
        plan_answer(action, plan);
    }
    if (action->act == TK_ACT_DUPLICATE) {
        tk_cl_again_later(request, action->low, action->high);
    } else if (action->act == TK_ACT_STALE_REPLAY) {
        tk_cl_again_when(request, action);
    } else if (action->act == TK_ACT_THROTTLE ||
               action->act == TK_ACT_QUEUE_LIMIT ||
               action->act == TK_ACT_MEMORY_LIMIT) {
        plan_limit(request, rule, action, plan);
    } else if (action->act == TK_ACT_MESSAGE_LIMIT) {
        plan_message_limit(request, action, plan);
    }
}

/* ---- at the beginning ---- */

/* What selectors look at. */
static void
read_request(struct tk_cl_request *request)
{
    tikv_slice piece;
    size_t at = 0;

    memset(&request->context, 0, sizeof(request->context));
    (void)tk_cl_decode(request->body, &request->fields);
    while (request->method->context != 0 &&
           tk_cl_each(request->body, request->method->context, &at,
                      &piece)) {
        (void)tk_cl_context_add(&request->context, piece);
    }
}

/* The network between the client and the node. */
static bool
plan_cut(struct tk_cl_request *request, struct tk_cl_plan *plan)
{
    const struct tk_cluster *cluster = request->cluster;
    tk_node node = tk_cl_node_of(request);
    uint32_t mode = TK_CUT_DROP;

    if (cluster->cuts.len == 0) {
        return false;
    }
    if (tk_cl_is_cut(cluster, TK_PARTY_CLIENT, node, &mode)) {
        plan->skip = true;
    } else if (!tk_cl_is_cut(cluster, node, TK_PARTY_CLIENT, &mode)) {
        return false;
    }
    plan->silent = mode == TK_CUT_DROP;
    plan->break_stream = mode == TK_CUT_REJECT;
    plan->status = mode == TK_CUT_REJECT ? TK_GRPC_UNAVAILABLE : TK_GRPC_OK;
    return true;
}

void
tk_cl_plan(struct tk_cl_request *request, struct tk_cl_plan *plan)
{
    bool is_moved = false;

    memset(plan, 0, sizeof(*plan));
    if (plan_cut(request, plan) || request->cluster->rules == NULL) {
        return;
    }
    read_request(request);
    tk_cl_rules_at(request, TK_STAGE_RECV, plan, &is_moved);
}

void
tk_cl_plan_carrier(struct tk_cl_request *carrier, struct tk_cl_plan *plan)
{
    struct tk_cl_rule *rule;
    bool is_moved = false;

    memset(plan, 0, sizeof(*plan));
    if (plan_cut(carrier, plan)) {
        return;
    }
    for (rule = carrier->cluster->rules; rule != NULL; rule = rule->next) {
        /* A glob means the requests inside. */
        if (strcmp(rule->selector.glob, carrier->method->label) == 0) {
            tk_cl_rules_at(carrier, TK_STAGE_RECV, plan, &is_moved);
            return;
        }
    }
}

/* ---- execution, and behind it ---- */

static void
carry_out_later(struct tk_cl_request *request, struct tk_cl_plan *plan)
{
    bool is_moved = false;
    size_t i;
    size_t j;

    for (i = 0; i < plan->later_count; i++) {
        struct tk_cl_rule *rule =
            tk_cl_rule_by_id(request->cluster, plan->later[i].rule);
        const struct tk_cl_actions *actions;

        if (rule == NULL) {
            continue;
        }
        actions = plan->later[i].is_then ? &rule->then : &rule->actions;
        for (j = 0; j < actions->count; j++) {
            const struct tk_cl_action *action = &actions->list[j];
            uint32_t flags = tk_cl_act_rows[action->act].flags;

            if (action->is_after &&
                (flags & (TK_ACT_HOLDS | TK_ACT_DEED)) != 0) {
                tk_cl_carry_out(request, rule, action, plan, true, &is_moved);
            }
        }
    }
    plan->later_count = 0;
}

void
tk_cl_plan_merge(struct tk_cl_plan *plan, const struct tk_cl_plan *more)
{
    size_t i;

    plan->after.ns += more->after.ns;
    if (more->after.gate != NULL || more->after.rule != 0) {
        plan->after = more->after;
    }
    plan->skip = plan->skip || more->skip;
    plan->silent = plan->silent || more->silent;
    plan->break_stream = plan->break_stream || more->break_stream;
    plan->is_reset = plan->is_reset || more->is_reset;
    plan->is_too_large = plan->is_too_large || more->is_too_large;
    plan->status = more->status != TK_GRPC_OK ? more->status : plan->status;
    plan->twists |= more->twists;
    plan->corruption |= more->corruption;
    plan->number = more->number != 0 ? more->number : plan->number;
    plan->seen_by = more->seen_by != 0 ? more->seen_by : plan->seen_by;
    if (more->has_error) {
        plan->has_error = true;
        plan->error = more->error;
    }
    if ((more->twists & TK_TWIST_KEY_ERROR) != 0) {
        plan->key_error = more->key_error;
    }
    for (i = 0; i < more->later_count && plan->later_count < TK_LATER_MAX;
         i++) {
        plan->later[plan->later_count++] = more->later[i];
    }
}

/* Rules of the stages behind the execution: what waits then, waits with the
 * answer; what ends, ends it without taking anything back. */
static void
look_behind(struct tk_cl_request *request, struct tk_cl_plan *plan)
{
    struct tk_cl_plan more;
    bool is_moved = false;
    int stage;

    for (stage = TK_STAGE_APPLIED; stage <= TK_STAGE_SEND; stage++) {
        memset(&more, 0, sizeof(more));
        tk_cl_rules_at(request, (enum tk_cl_stage)stage, &more, &is_moved);
        more.skip = false;
        if (tk_cl_holds(&more.before)) {
            more.after = more.before;
        }
        tk_cl_plan_merge(plan, &more);
    }
    carry_out_later(request, plan);
}

int
tk_cl_plan_status(struct tk_cl_request *request, const struct tk_cl_plan *plan)
{
    if (plan->is_too_large) {
        return tk_cl_status(request, plan->status,
                            "Received message larger than max (%llu vs. %llu)",
                            (unsigned long long)request->body.len,
                            (unsigned long long)plan->number);
    }
    return tk_cl_status(request, plan->status,
                        plan->break_stream ? "connection reset"
                                           : "injected by a rule");
}

static int
end_as_planned(struct tk_cl_request *request, struct tk_cl_plan *plan)
{
    if (plan->is_reset) {
        tk_cl_owe(request->cluster, tk_cl_node_of(request), TK_OWE_RESET);
        return tk_cl_status(request, TK_GRPC_UNAVAILABLE, "connection reset");
    }
    if (plan->status != TK_GRPC_OK) {
        return tk_cl_plan_status(request, plan);
    }
    if (plan->has_error) {
        tk_cl_answer_error(request, &plan->error);
    }
    if (plan->twists != 0) {
        tk_cl_twist(request, plan);
    }
    if (request->out->failed) {
        return tk_cl_status(request, TK_GRPC_RESOURCE_EXHAUSTED,
                            "out of memory");
    }
    return TK_GRPC_OK;
}

static int
run(struct tk_cl_request *request, struct tk_cl_plan *plan)
{
    int status = TK_GRPC_OK;

    request->plan = plan;
    if (!plan->skip &&
        !tk_cl_node_is_up(request->cluster, tk_cl_node_of(request))) {
        /* A rule has taken it down just now. */
        return tk_cl_status(request, TK_GRPC_UNAVAILABLE, "node is down");
    }
    if (!plan->skip) {
        status = tk_cl_run(request);
    }
    if (status == TK_CL_PARKED) {
        return status;
    }
    if (!plan->skip) {
        carry_out_later(request, plan);
        if (request->cluster->is_staged) {
            look_behind(request, plan);
        }
        if (request->cluster->echoes != NULL && status == TK_GRPC_OK) {
            tk_cl_again_executed(request);
        }
    }
    if (plan->seen_by != 0) {
        tk_cl_hold_overtake(request->cluster, plan->seen_by);
    }
    if (plan->silent || status != TK_GRPC_OK) {
        return status;
    }
    return end_as_planned(request, plan);
}

int
tk_cl_run_planned(struct tk_cl_request *request, struct tk_cl_plan *plan)
{
    int status = run(request, plan);

    request->plan = NULL;
    if (status != TK_CL_PARKED) {
        request->cluster->silenced += plan->silent && !request->is_orphan;
        tk_cl_stop_forget(request);
    }
    return status;
}
