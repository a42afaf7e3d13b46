/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fault rules and requests: who matches, and when a rule acts. Each request
 * is shown to all rules of a stage in the order they were added; what does
 * not end the request adds up, and the first rule that ends it is the last.
 * Each rule counts its own matches and has its own generator, so rules do
 * not disturb each other's sequences.
 */
#include "cluster/fault.h"

#include <string.h>

#include "base/error.h"
#include "base/slice.h"

bool
tk_cl_glob_matches(const char *glob, const char *text)
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

/* ---- selectors ---- */

static bool
has_prefix(tikv_slice text, tikv_slice prefix)
{
    return text.len >= prefix.len &&
           (prefix.len == 0 || memcmp(text.data, prefix.data, prefix.len) == 0);
}

static bool
any_key_matches(const struct tk_cl_selector *selector,
                const struct tk_cl_request *request)
{
    tikv_slice key;
    size_t at = 0;

    while (tk_cl_next_key(request, &at, &key)) {
        if (selector->has_range
                ? tk_slice_in_range(key, selector->start, selector->end)
                : has_prefix(key, selector->start)) {
            return true;
        }
    }
    return false;
}

static bool
source_matches(const struct tk_cl_request *request, const char *prefix)
{
    enum { SOURCE = 24 };
    tikv_slice piece;
    tikv_slice source = { NULL, 0 };
    size_t at = 0;

    while (request->method->context != 0 &&
           tk_cl_each(request->body, request->method->context, &at, &piece)) {
        size_t inside = 0;

        while (tk_cl_each(piece, SOURCE, &inside, &source)) {
        }
    }
    return has_prefix(source, tk_slice_text(prefix));
}

static bool
tri_matches(enum tk_cl_tri wanted, bool is)
{
    return wanted == TK_ANY || is == (wanted == TK_YES);
}

/* An injected error needs a field to be in. */
static bool
can_answer(const struct tk_cl_actions *actions,
           const struct tk_cl_method *method)
{
    size_t i;

    for (i = 0; i < actions->count; i++) {
        uint32_t act = actions->list[i].act;

        if ((act == TK_ACT_REGION_ERROR && method->region_error == 0) ||
            (act == TK_ACT_KEY_ERROR &&
             (method->error == 0 || strncmp(method->label, "tikv.Kv", 7)))) {
            return false;
        }
    }
    return true;
}

static bool
place_matches(const struct tk_cl_selector *selector,
              const struct tk_cl_request *request)
{
    if (selector->store_id != 0 && (request->store == NULL ||
                                    request->store->id != selector->store_id)) {
        return false;
    }
    if (selector->member != 0 && (request->store != NULL ||
                                  request->member + 1 != selector->member)) {
        return false;
    }
    return selector->client == 0 || request->client == selector->client;
}

static bool
rule_matches(const struct tk_cl_rule *rule,
             const struct tk_cl_request *request)
{
    const struct tk_cl_selector *selector = &rule->selector;
    const struct tk_cl_context *context = &request->context;

    if (!place_matches(selector, request) ||
        !tk_cl_glob_matches(selector->glob, request->method->label) ||
        !can_answer(&rule->actions, request->method) ||
        !can_answer(&rule->then, request->method)) {
        return false;
    }
    return (selector->region_id == 0 ||
            tk_cl_region_id_of(request) == selector->region_id) &&
           (selector->peer_id == 0 || context->peer_id == selector->peer_id) &&
           (selector->start_ts == 0 ||
            tk_cl_start_ts_of(request) == selector->start_ts) &&
           tri_matches(selector->is_retry, context->is_retry) &&
           tri_matches(selector->replica_read, context->replica_read) &&
           tri_matches(selector->stale_read, context->stale_read) &&
           (selector->is_primary == TK_ANY ||
            tri_matches(selector->is_primary, tk_cl_is_primary(request))) &&
           (selector->source == NULL ||
            source_matches(request, selector->source)) &&
           ((selector->start.data == NULL && !selector->has_range) ||
            any_key_matches(selector, request));
}

/* ---- triggers ---- */

static uint64_t
hash_of(uint64_t hash, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    size_t i;

    for (i = 0; i < len; i++) {
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* What `once_per` counts by. */
static uint64_t
subject_of(const struct tk_cl_rule *rule, const struct tk_cl_request *request)
{
    uint64_t number = 0;
    tikv_slice key = { NULL, 0 };
    size_t at = 0;

    switch (rule->trigger.count) {
    case TK_PER_TXN:
        number = tk_cl_start_ts_of(request);
        break;
    case TK_PER_REGION:
        number = tk_cl_region_id_of(request);
        break;
    case TK_PER_STORE:
        number = request->store == NULL ? 0 : request->store->id;
        break;
    default:
        (void)tk_cl_next_key(request, &at, &key);
        return hash_of(UINT64_C(0xcbf29ce484222325), key.data, key.len);
    }
    return hash_of(UINT64_C(0xcbf29ce484222325), &number, sizeof(number));
}

static bool
is_first_time(struct tk_cl_rule *rule, const struct tk_cl_request *request)
{
    uint64_t subject = subject_of(rule, request);
    const uint64_t *known = (const uint64_t *)(const void *)rule->once.data;
    size_t i;

    for (i = 0; i < rule->once.len / sizeof(subject); i++) {
        if (known[i] == subject) {
            return false;
        }
    }
    tk_buf_append(&rule->once, &subject, sizeof(subject));
    return !rule->once.failed;
}

static uint64_t
calls_of(const struct tk_cluster *cluster, const char *label)
{
    const struct tk_cl_method *method = tk_cl_method_by_label(label);

    return method == NULL ? 0 : cluster->calls[method->index];
}

static bool
rule_triggers(struct tk_cl_rule *rule, const struct tk_cl_request *request)
{
    const struct tk_cl_trigger *trigger = &rule->trigger;
    int64_t passed = tk_now(request->cluster->rt) - rule->since;

    rule->seen++;
    switch (trigger->when) {
    case TK_CL_WHEN_ALWAYS:
        return true;
    case TK_CL_WHEN_NTH:
        return rule->seen == trigger->count;
    case TK_CL_WHEN_FIRST:
        return rule->seen <= trigger->count;
    case TK_CL_WHEN_AFTER:
        return rule->seen > trigger->count;
    case TK_CL_WHEN_EVERY:
        return rule->seen % trigger->count == 0;
    case TK_CL_WHEN_PROB:
        return (tk_rng_next(&rule->rng) & UINT32_MAX) < trigger->probability;
    case TK_CL_WHEN_WINDOW:
        return (uint64_t)(passed / TK_MS) >= trigger->count &&
               (uint64_t)(passed / TK_MS) < trigger->until;
    case TK_CL_WHEN_UNTIL:
        return calls_of(request->cluster, trigger->method) - rule->calls <
               trigger->count;
    case TK_CL_WHEN_ONCE_PER:
        return is_first_time(rule, request);
    }
    return false;
}

static void
act(struct tk_cl_request *request, struct tk_cl_rule *rule,
    struct tk_cl_plan *plan, bool *is_moved)
{
    bool is_then = rule->hits > 0 && rule->then.count > 0;
    const struct tk_cl_actions *actions =
        is_then ? &rule->then : &rule->actions;
    bool has_later = false;
    size_t i;

    rule->hits++;
    for (i = 0; i < actions->count; i++) {
        const struct tk_cl_action *action = &actions->list[i];
        uint32_t flags = tk_cl_act_rows[action->act].flags;

        if (action->is_after && (flags & (TK_ACT_HOLDS | TK_ACT_DEED)) != 0) {
            has_later = true;
        } else {
            tk_cl_carry_out(request, rule, action, plan, action->is_after,
                            is_moved);
        }
    }
    if (has_later && plan->later_count < TK_LATER_MAX) {
        plan->later[plan->later_count].rule = rule->id;
        plan->later[plan->later_count++].is_then = is_then;
    }
}

bool
tk_cl_plan_is_final(const struct tk_cl_plan *plan)
{
    return plan->skip || plan->silent || plan->break_stream ||
           plan->has_error || plan->is_reset || plan->status != TK_GRPC_OK ||
           (plan->twists & TK_TWIST_KEY_ERROR) != 0;
}

void
tk_cl_rules_at(struct tk_cl_request *request, enum tk_cl_stage stage,
               struct tk_cl_plan *plan, bool *is_moved)
{
    struct tk_cl_rule *rule = request->cluster->rules;

    for (; rule != NULL && !tk_cl_plan_is_final(plan); rule = rule->next) {
        if (rule->selector.stage != stage || !rule_matches(rule, request)) {
            continue;
        }
        if (rule_triggers(rule, request)) {
            act(request, rule, plan, is_moved);
        } else if (rule->hits > 0) {
            plan->seen_by = rule->id;
        }
    }
}

/* ---- the list ---- */

struct tk_cl_rule *
tk_cl_rule_by_id(struct tk_cluster *cluster, uint64_t id)
{
    struct tk_cl_rule *rule = cluster->rules;

    while (rule != NULL && rule->id != id) {
        rule = rule->next;
    }
    return rule;
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
    made->since = tk_now(cluster->rt);
    made->calls = calls_of(cluster, made->trigger.method);
    made->rng.state =
        cluster->seed ^ (made->id * UINT64_C(0x9e3779b97f4a7c15));
    for (link = &cluster->rules; *link != NULL; link = &(*link)->next) {
    }
    *link = made;
    if (id != NULL) {
        *id = made->id;
    }
    tk_cl_stage_count(cluster);
    tk_mutex_unlock(&cluster->lock);
    return NULL;
}

static void
remove_rules(struct tk_cluster *cluster, uint64_t id, const char *name)
{
    struct tk_cl_rule **link = &cluster->rules;

    while (*link != NULL) {
        struct tk_cl_rule *rule = *link;

        if (name != NULL ? strcmp(rule->name, name) == 0
                         : id == 0 || rule->id == id) {
            *link = rule->next;
            tk_cl_rule_free(rule);
        } else {
            link = &rule->next;
        }
    }
    tk_cl_stage_count(cluster);
}

void
tk_cluster_fault_remove(struct tk_cluster *cluster, uint64_t id)
{
    tk_mutex_lock(&cluster->lock);
    remove_rules(cluster, id, NULL);
    tk_mutex_unlock(&cluster->lock);
}

void
tk_cluster_fault_remove_named(struct tk_cluster *cluster, const char *name)
{
    tk_mutex_lock(&cluster->lock);
    remove_rules(cluster, 0, name);
    tk_mutex_unlock(&cluster->lock);
}

uint64_t
tk_cluster_fault_hits(struct tk_cluster *cluster, uint64_t id)
{
    const struct tk_cl_rule *rule;
    uint64_t hits;

    tk_mutex_lock(&cluster->lock);
    rule = tk_cl_rule_by_id(cluster, id);
    hits = rule == NULL ? 0 : rule->hits;
    tk_mutex_unlock(&cluster->lock);
    return hits;
}

bool
tk_cluster_fault_at(struct tk_cluster *cluster, size_t index, uint64_t *id,
                    uint64_t *hits, struct tk_buf *text)
{
    const struct tk_cl_rule *rule;

    tk_mutex_lock(&cluster->lock);
    for (rule = cluster->rules; rule != NULL && index > 0; index--) {
        rule = rule->next;
    }
    if (rule != NULL) {
        *id = rule->id;
        *hits = rule->hits;
        tk_buf_clear(text);
        tk_buf_append_text(text, rule->text);
    }
    tk_mutex_unlock(&cluster->lock);
    return rule != NULL;
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
