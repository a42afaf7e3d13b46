/* SPDX-License-Identifier: Apache-2.0 */
/* Policies of waiting for company. See gather.h. */
#include "rpc/gather.h"

/* Of the newest message in the mean of their sizes. */
#define SIZE_WEIGHT 0.2

static double
share_of(const tk_setting *percent)
{
    return (double)tk_config_int(percent) / 100;
}

void
tk_gather_rules_init(struct tk_gather_rules *rules,
                     const struct tk_config *config)
{
    rules->policy =
        (enum tk_gather_policy)tk_config_int(&config->rpc_batch_policy);
    rules->wait_ns = tk_config_int(&config->rpc_batch_wait_us) * 1000;
    rules->count = (uint32_t)tk_config_int(&config->rpc_batch_wait_count);
    rules->reach = (uint32_t)tk_config_int(&config->rpc_batch_reach_count);
    rules->weight = share_of(&config->rpc_batch_weight_percent);
    rules->sure = share_of(&config->rpc_batch_sure_percent);
    rules->round = share_of(&config->rpc_batch_round_percent);
    rules->overload_ns = tk_config_int(&config->rpc_overload_wait_us) * 1000;
    rules->overload_load = (uint64_t)tk_config_int(&config->rpc_overload_load);
}

void
tk_gather_init(struct tk_gather *gather, const struct tk_gather_rules *rules)
{
    *gather = (struct tk_gather){ .pause_ns = -1,
                                  .per_message = rules->count };
}

/* The mean moves with every pause that is looked at. */
static bool
is_dense(struct tk_gather *gather, const struct tk_gather_rules *rules,
         int64_t pause)
{
    int64_t most = rules->wait_ns * rules->reach;
    double sample = (double)(pause < most ? pause : most);

    gather->pause_ns = gather->pause_ns < 0
                           ? sample
                           : rules->weight * sample +
                                 (1 - rules->weight) * gather->pause_ns;
    return gather->pause_ns < rules->sure * (double)rules->wait_ns;
}

static bool
is_likely(struct tk_gather *gather, const struct tk_gather_rules *rules,
          int64_t pause)
{
    gather->share = rules->weight * (pause < rules->wait_ns) +
                    (1 - rules->weight) * gather->share;
    return gather->share > rules->sure;
}

/* As many as lately came at once. */
static uint32_t
usual(const struct tk_gather *gather, const struct tk_gather_rules *rules)
{
    uint32_t whole = (uint32_t)gather->per_message;

    return whole + (gather->per_message - whole >= rules->round);
}

/* For how many a message waits whose first request came after `pause`. */
static uint32_t
target_of(struct tk_gather *gather, const struct tk_gather_rules *rules,
          int64_t pause)
{
    uint32_t target = 1;

    switch (rules->policy) {
    case TK_GATHER_FLOW:
        return 0;
    case TK_GATHER_BASIC:
        break;
    case TK_GATHER_POSITIVE:
        target = pause > 0 ? rules->count : 1;
        break;
    case TK_GATHER_STANDARD:
        if (pause > 0 && is_dense(gather, rules, pause)) {
            target = usual(gather, rules);
        }
        break;
    case TK_GATHER_CHANCE:
        if (pause > 0 && is_likely(gather, rules, pause)) {
            target = usual(gather, rules);
        }
        break;
    }
    return target == 0 ? 1 : target;
}

void
tk_gather_add(struct tk_gather *gather, const struct tk_gather_rules *rules,
              bool is_first, uint64_t load, int64_t now)
{
    if (is_first && rules->overload_ns != 0 && load > rules->overload_load) {
        gather->target = rules->count;
        gather->until = now + rules->overload_ns;
    } else if (is_first) {
        int64_t pause = gather->latest == 0 ? 0 : now - gather->latest;

        gather->target = target_of(gather, rules, pause);
        gather->until = now + rules->wait_ns;
    }
    gather->latest = now;
}

void
tk_gather_sent(struct tk_gather *gather, uint32_t count)
{
    gather->per_message =
        SIZE_WEIGHT * count + (1 - SIZE_WEIGHT) * gather->per_message;
}
