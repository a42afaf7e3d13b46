/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members beside the leader, and what they are good for: asked about regions
 * they answer by themselves, with a benched one left out for a while (PD-2);
 * asked for what only the leader knows they pass it on, when all of them
 * share that work, or when the leader cannot be reached from here (PD-4).
 *
 *     leader answers --3 s without an answer--> AROUND --it answers--> LEADER
 *
 * Lock: members.lock, for lists of addresses.
 */
#include <stdio.h>
#include <string.h>

#include "pd/inner.h"

enum { UNREACHABLE_MS = 3000, HEALTH_MS = 1000, BENCH_MS = 10000 };

enum tk_plan
tk_members_plan(struct tk_pd *pd)
{
    int64_t since;

    if (tk_config_int(&pd->config->tso_follower_proxy) != 0) {
        return TK_PLAN_SPREAD;
    }
    if (tk_config_int(&pd->config->region_forwards) == 0) {
        return TK_PLAN_LEADER;
    }
    since = atomic_load_explicit(&pd->members.failing_since,
                                 memory_order_relaxed);
    return since != 0 && tk_now(pd->rt) - since >= UNREACHABLE_MS * TK_MS
               ? TK_PLAN_AROUND
               : TK_PLAN_LEADER;
}

void
tk_members_note(struct tk_pd *pd, const struct tk_conn *conn, bool answered)
{
    struct tk_members *members = &pd->members;
    int64_t now = tk_now(pd->rt);

    if (conn != members->leader) {
        return;
    }
    if (answered) {
        members->failing_since = 0;
    } else if (members->failing_since == 0) {
        members->failing_since = now;
    }
    if (!answered && tk_config_int(&pd->config->region_forwards) != 0) {
        tk_alarm_hasten(&members->alarm, tk_after(now, HEALTH_MS * TK_MS));
    }
}

/* ---- who does not lead ---- */

/* The addresses, at most `max`; `leader` is whose they are not. */
static size_t
list_followers(struct tk_pd *pd, bool without_benched, const char *leader,
               char (*out)[TK_ADDRESS_MAX], size_t max)
{
    struct tk_members *members = &pd->members;
    int64_t now = tk_now(pd->rt);
    size_t count = 0;
    size_t i;

    tk_mutex_lock(&members->lock);
    for (i = 0; i < members->learned_count && count < max; i++) {
        const char *address = members->known.text[i];
        bool is_benched = i < TK_MEMBERS_MAX &&
                          members->benched_until[i] > now;

        if (strcmp(address, leader) != 0 && !(without_benched && is_benched)) {
            snprintf(out[count++], TK_ADDRESS_MAX, "%s", address);
        }
    }
    tk_mutex_unlock(&members->lock);
    return count;
}

static struct tk_conn *
any_follower(struct tk_pd *pd, bool without_benched, const char *leader)
{
    char addresses[TK_TSO_HOMES_MAX][TK_ADDRESS_MAX];
    size_t count = list_followers(pd, without_benched, leader, addresses,
                                  TK_TSO_HOMES_MAX);

    return count == 0
               ? NULL
               : tk_rpc_conn(pd->rpc,
                             addresses[pd->rt->ops->random(pd->rt) % count]);
}

struct tk_conn *
tk_members_follower(struct tk_pd *pd)
{
    struct tk_conn *leader = tk_members_leader(pd);
    struct tk_conn *follower = any_follower(
        pd, true, leader == NULL ? "" : tk_conn_address(leader));

    if (leader != NULL) {
        tk_conn_unref(leader);
    }
    return follower;
}

void
tk_members_bench(struct tk_pd *pd, struct tk_conn *follower)
{
    struct tk_members *members = &pd->members;
    size_t i;

    tk_mutex_lock(&members->lock);
    for (i = 0; i < members->learned_count && i < TK_MEMBERS_MAX; i++) {
        if (strcmp(members->known.text[i], tk_conn_address(follower)) == 0) {
            members->benched_until[i] =
                tk_after(tk_now(pd->rt), BENCH_MS * TK_MS);
        }
    }
    tk_mutex_unlock(&members->lock);
}

/* ---- ways to the leader ---- */

struct tk_conn *
tk_members_way(struct tk_pd *pd, struct tk_conn **leader)
{
    struct tk_conn *conn = tk_members_leader(pd);
    struct tk_conn *other = NULL;

    *leader = NULL;
    if (conn != NULL && tk_members_plan(pd) == TK_PLAN_AROUND) {
        other = any_follower(pd, false, tk_conn_address(conn));
    }
    if (other == NULL) {
        return conn;
    }
    *leader = conn;
    return other;
}

size_t
tk_members_homes(struct tk_pd *pd, struct tk_tso_home *homes)
{
    char addresses[TK_TSO_HOMES_MAX - 1][TK_ADDRESS_MAX];
    size_t count = 0;
    size_t i;

    homes[0] = tk_service_tso(pd);
    if (homes[0].conn == NULL || homes[0].is_apart) {
        return homes[0].conn != NULL;
    }
    switch (tk_members_plan(pd)) {
    case TK_PLAN_LEADER:
        break;
    case TK_PLAN_AROUND:
        tk_conn_unref(homes[0].conn);
        homes[0].conn = tk_members_way(pd, &homes[0].leader);
        return homes[0].conn != NULL;
    case TK_PLAN_SPREAD:
        count = list_followers(pd, false, tk_conn_address(homes[0].conn),
                               addresses, TK_TSO_HOMES_MAX - 1);
        break;
    }
    for (i = 0; i < count; i++) {
        struct tk_tso_home *home = &homes[i + 1];

        *home = (struct tk_tso_home){ .conn = tk_rpc_conn(pd->rpc,
                                                          addresses[i]),
                                      .leader = homes[0].conn };
        if (home->conn == NULL) {
            break;
        }
        tk_conn_ref(home->leader);
    }
    return i + 1;
}

static bool
is_set(const char *text)
{
    return text != NULL && *text != '\0';
}

const char *const *
tk_pd_forward(struct tk_pd *pd, struct tk_conn *leader, bool follower_answers,
              struct tk_pd_forward *out)
{
    const struct tk_config *config = pd->config;
    bool is_secure =
        is_set(config->security_ca_file) || is_set(config->security_ca_pem);
    size_t at = 0;

    if (leader != NULL) {
        /* PD takes URLs here, and nothing else. */
        snprintf(out->url, sizeof(out->url), "http%s://%s",
                 is_secure ? "s" : "", tk_conn_address(leader));
        out->metadata[at++] = "pd-forwarded-host";
        out->metadata[at++] = out->url;
    }
    if (follower_answers) {
        out->metadata[at++] = "pd-allow-follower-handle";
        out->metadata[at++] = "";
    }
    out->metadata[at] = NULL;
    return at == 0 ? NULL : out->metadata;
}
