/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fault rules at work. Each request is shown to all rules in the order they
 * were added; delays add up, and the first rule that does more than delay
 * decides. Each rule counts its own matches and has its own generator, so
 * rules do not disturb each other's sequences.
 */
#include <string.h>

#include "base/error.h"
#include "base/slice.h"
#include "cluster/fault.h"

static bool
glob_matches(const char *glob, const char *text)
{
    const char *star = NULL;
    const char *back = NULL;

    while (*text != '\0') {
        if (*glob == '*') {
            star = glob++;
            back = text;
        } else if (*glob == '?' || *glob == *text) {
            glob++;
            text++;
        } else if (star != NULL) {
            glob = star + 1;
            text = ++back;
        } else {
            return false;
        }
    }
    while (*glob == '*') {
        glob++;
    }
    return *glob == '\0';
}

static bool
has_prefix(tikv_slice key, tikv_slice prefix)
{
    return key.len >= prefix.len &&
           memcmp(key.data, prefix.data, prefix.len) == 0;
}

/* Where the keys of a method lie: a field, and a field inside of it. */
static bool
key_fields(uint32_t index, uint32_t *outer, uint32_t *inner)
{
    *outer = 2;
    *inner = 0;
    switch (index) {
    case TK_CMD_RAW_BATCH_PUT:
        *inner = 2;
        return true;
    case TK_CMD_RAW_BATCH_SCAN:
        *inner = 1;
        return true;
    case TK_CMD_RAW_CHECKSUM:
    case TK_CMD_PD_BATCH_SCAN_REGIONS:
        *outer = 3;
        *inner = 1;
        return true;
    case TK_CMD_RAW_COPROCESSOR:
        *outer = 4;
        *inner = 1;
        return true;
    case TK_CMD_SPLIT_REGION:
        *outer = 3;
        return true;
    case TK_CMD_RAW_GET:
    case TK_CMD_RAW_PUT:
    case TK_CMD_RAW_DELETE:
    case TK_CMD_RAW_GET_KEY_TTL:
    case TK_CMD_RAW_COMPARE_AND_SWAP:
    case TK_CMD_RAW_BATCH_GET:
    case TK_CMD_RAW_BATCH_DELETE:
    case TK_CMD_RAW_SCAN:
    case TK_CMD_RAW_DELETE_RANGE:
    case TK_CMD_PD_GET_REGION:
    case TK_CMD_PD_GET_PREV_REGION:
    case TK_CMD_PD_SCAN_REGIONS:
    case TK_CMD_PD_SPLIT_REGIONS:
    case TK_CMD_PD_SPLIT_AND_SCATTER_REGIONS:
        return true;
    default:
        return false;
    }
}

static bool
any_key_matches(const struct tk_cl_request *request, tikv_slice prefix)
{
    uint32_t outer;
    uint32_t inner;
    tikv_slice key;
    size_t at = 0;

    if (!key_fields(request->method->index, &outer, &inner)) {
        return false;
    }
    while (tk_cl_each(request->body, outer, &at, &key)) {
        struct tk_cl_fields fields;

        if (inner != 0) {
            key = tk_cl_decode(key, &fields) ? fields.bytes[inner]
                                             : (tikv_slice){ NULL, 0 };
        }
        if (has_prefix(key, prefix)) {
            return true;
        }
    }
    return false;
}

/* Which region a request is about; 0 when that has no meaning. */
static uint64_t
region_of(const struct tk_cl_request *request)
{
    const struct tk_cl_regions *all = &request->cluster->regions;

    if (request->method->context != 0) {
        return request->context.region_id;
    }
    switch (request->method->index) {
    case TK_CMD_PD_GET_REGION_BY_ID:
    case TK_CMD_PD_GET_OPERATOR:
        return request->fields.numbers[2];
    case TK_CMD_PD_GET_REGION:
        return all->sorted[tk_cl_region_place(all, request->fields.bytes[2])]
            ->id;
    default:
        return 0;
    }
}

static bool
rule_matches(const struct tk_cl_rule *rule,
             const struct tk_cl_request *request)
{
    if (rule->store_id != 0 && (request->store == NULL ||
                                request->store->id != rule->store_id)) {
        return false;
    }
    if (rule->plan.has_error && request->method->region_error == 0) {
        return false;
    }
    if (!glob_matches(rule->glob, request->method->label)) {
        return false;
    }
    if (rule->region_id != 0 && region_of(request) != rule->region_id) {
        return false;
    }
    return rule->key.data == NULL || any_key_matches(request, rule->key);
}

static bool
rule_triggers(struct tk_cl_rule *rule)
{
    rule->seen++;
    switch (rule->when) {
    case TK_CL_WHEN_ALWAYS:
        return true;
    case TK_CL_WHEN_NTH:
        return rule->seen == rule->count;
    case TK_CL_WHEN_FIRST:
        return rule->seen <= rule->count;
    case TK_CL_WHEN_AFTER:
        return rule->seen > rule->count;
    case TK_CL_WHEN_EVERY:
        return rule->seen % rule->count == 0;
    case TK_CL_WHEN_PROB:
        return (tk_rng_next(&rule->rng) & UINT32_MAX) < rule->probability;
    }
    return false;
}

static int64_t
between(struct tk_rng *rng, int64_t low, int64_t high)
{
    if (low == high) {
        return low;
    }
    return low + (int64_t)tk_rng_below(rng, (uint64_t)(high - low) + 1);
}

/* True when the rule decides. */
static bool
apply_rule(struct tk_cl_rule *rule, struct tk_cl_plan *plan)
{
    int64_t before =
        between(&rule->rng, rule->before_min_ns, rule->before_max_ns);
    int64_t after =
        between(&rule->rng, rule->after_min_ns, rule->after_max_ns);

    rule->hits++;
    before += plan->before_ns;
    after += plan->after_ns;
    if (rule->is_terminal) {
        *plan = rule->plan;
    }
    plan->before_ns = before;
    plan->after_ns = after;
    return rule->is_terminal;
}

void
tk_cl_plan(struct tk_cl_request *request, struct tk_cl_plan *plan)
{
    struct tk_cl_rule *rule = request->cluster->rules;
    tikv_slice piece;
    size_t at = 0;

    memset(plan, 0, sizeof(*plan));
    if (rule == NULL) {
        return;
    }
    memset(&request->context, 0, sizeof(request->context));
    (void)tk_cl_decode(request->body, &request->fields);
    while (request->method->context != 0 &&
           tk_cl_each(request->body, request->method->context, &at,
                      &piece)) {
        (void)tk_cl_context_add(&request->context, piece);
    }
    for (; rule != NULL; rule = rule->next) {
        if (rule_matches(rule, request) && rule_triggers(rule) &&
            apply_rule(rule, plan)) {
            return;
        }
    }
}

void
tk_cl_plan_carrier(struct tk_cluster *cluster, const char *label,
                   uint64_t store_id, struct tk_cl_plan *plan)
{
    struct tk_cl_rule *rule;

    memset(plan, 0, sizeof(*plan));
    for (rule = cluster->rules; rule != NULL; rule = rule->next) {
        if (strcmp(rule->glob, label) == 0 && !rule->plan.has_error &&
            (rule->store_id == 0 || rule->store_id == store_id) &&
            rule_triggers(rule) && apply_rule(rule, plan)) {
            return;
        }
    }
}

int
tk_cl_run_planned(struct tk_cl_request *request,
                  const struct tk_cl_plan *plan)
{
    int status = TK_GRPC_OK;

    if (!plan->skip) {
        status = tk_cl_run(request);
    }
    if (plan->silent || status != TK_GRPC_OK) {
        return status;
    }
    if (plan->break_stream) {
        return tk_cl_status(request, TK_GRPC_UNAVAILABLE,
                            "connection reset");
    }
    if (plan->status != TK_GRPC_OK) {
        return tk_cl_status(request, plan->status, "injected by a rule");
    }
    if (plan->has_error) {
        tk_cl_answer_error(request, &plan->error);
    }
    if (request->out->failed) {
        return tk_cl_status(request, TK_GRPC_RESOURCE_EXHAUSTED,
                            "out of memory");
    }
    return TK_GRPC_OK;
}

tikv_error *
tk_cluster_fault(struct tk_cluster *cluster, const char *rule, uint64_t *id)
{
    struct tk_cl_rule **link;
    struct tk_cl_rule *made;
    tikv_error *error;

    if (rule == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "fault rule: no text");
    }
    error = tk_cl_rule_parse(rule, &made);
    if (error != NULL) {
        return error;
    }
    tk_mutex_lock(&cluster->lock);
    made->id = ++cluster->rules_last;
    made->rng.state =
        cluster->seed ^ (made->id * UINT64_C(0x9e3779b97f4a7c15));
    for (link = &cluster->rules; *link != NULL; link = &(*link)->next) {
    }
    *link = made;
    if (id != NULL) {
        *id = made->id;
    }
    tk_mutex_unlock(&cluster->lock);
    return NULL;
}

void
tk_cluster_fault_remove(struct tk_cluster *cluster, uint64_t id)
{
    struct tk_cl_rule **link;

    tk_mutex_lock(&cluster->lock);
    link = &cluster->rules;
    while (*link != NULL) {
        struct tk_cl_rule *rule = *link;

        if (id == 0 || rule->id == id) {
            *link = rule->next;
            tk_cl_rule_free(rule);
        } else {
            link = &rule->next;
        }
    }
    tk_mutex_unlock(&cluster->lock);
}

uint64_t
tk_cluster_fault_hits(struct tk_cluster *cluster, uint64_t id)
{
    const struct tk_cl_rule *rule;
    uint64_t hits = 0;

    tk_mutex_lock(&cluster->lock);
    for (rule = cluster->rules; rule != NULL; rule = rule->next) {
        if (rule->id == id) {
            hits = rule->hits;
        }
    }
    tk_mutex_unlock(&cluster->lock);
    return hits;
}

void
tk_cl_rules_fini(struct tk_cluster *cluster)
{
    while (cluster->rules != NULL) {
        struct tk_cl_rule *rule = cluster->rules;

        cluster->rules = rule->next;
        tk_cl_rule_free(rule);
    }
}
