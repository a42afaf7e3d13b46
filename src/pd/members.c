/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who PD is. A round asks every known member at once, a second each, and the
 * first answer that names a leader ends it for those who wait; rounds are
 * single flight. The first round, at open, hears everybody out, because all
 * must belong to one cluster.
 *
 *     idle --refresh, alarm--> round --first leader, or all are heard--> idle
 *
 * Answers arrive on the transport's thread. Lock: members.lock; a round that
 * found its leader lives on, off the books, until its last answer is in.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/redact.h"
#include "base/slice.h"
#include "pd/inner.h"

#include "pdpb.upb.h"

enum { PROBE_MS = 1000, OPEN_PAUSE_MS = 100, OPEN_PAUSE_MAX_MS = 1000,
       HEALTH_MS = 1000 };

struct probe {
    struct tk_request request; /* first */
    struct tk_round *round;
    struct tk_conn *conn;
};

struct tk_round {
    struct tk_pd *pd;
    bool hears_all; /* the first round */
    size_t count;
    /* Guarded by members.lock. */
    size_t left;         /* answers to come, and the launcher */
    bool is_won;
    bool is_mismatch;
    uint64_t cluster_id; /* of the answers so far; 0: none yet */
    char reason[160];    /* why the last probe without use failed */
    struct probe probes[];
};

/* Says how the round ended; the caller wakes what is returned. Under the
 * lock. */
static struct tk_waiter *
conclude(struct tk_round *round)
{
    struct tk_members *members = &round->pd->members;

    members->has_round = false;
    members->round_ok = round->is_won && !round->is_mismatch;
    if (round->hears_all && members->round_ok) {
        round->pd->cluster_id = round->cluster_id;
    }
    members->round_mismatch = round->is_mismatch;
    memcpy(members->round_reason, round->reason, sizeof(round->reason));
    return tk_waiters_take(&members->waiters);
}

/* One probe, or the launcher, is through with the round. */
static void
leave_round(struct tk_round *round, struct tk_wakes *wakes)
{
    struct tk_pd *pd = round->pd;
    struct tk_waiter *waiters = NULL;
    bool is_last;
    size_t i;

    tk_mutex_lock(&pd->members.lock);
    is_last = --round->left == 0;
    if (is_last && (round->hears_all || !round->is_won)) {
        waiters = conclude(round);
    }
    tk_mutex_unlock(&pd->members.lock);
    tk_waiters_wake(waiters, wakes);
    if (!is_last) {
        return;
    }
    for (i = 0; i < round->count; i++) {
        if (round->probes[i].conn != NULL) {
            tk_conn_unref(round->probes[i].conn);
        }
    }
    tk_free(round);
}

static bool
first_url(const pdpb_Member *member, upb_StringView *out)
{
    size_t count = 0;
    const upb_StringView *urls =
        member == NULL ? NULL : pdpb_Member_client_urls(member, &count);

    if (count == 0 || urls[0].size == 0) {
        return false;
    }
    *out = urls[0];
    return true;
}

/* The members an answer names, then the configured ones as a last resort. */
static bool
list_known(struct tk_pd *pd, const pdpb_GetMembersResponse *answer,
           struct tk_addresses *known, size_t *learned_count)
{
    const struct tk_addresses *configured = &pd->members.configured;
    size_t count;
    const pdpb_Member *const *list =
        pdpb_GetMembersResponse_members(answer, &count);
    size_t i;

    for (i = 0; i < count; i++) {
        upb_StringView url;

        if (first_url(list[i], &url) &&
            !tk_addresses_add(known, url.data, url.size)) {
            return false;
        }
    }
    *learned_count = known->count;
    for (i = 0; i < configured->count; i++) {
        if (!tk_addresses_add(known, configured->text[i],
                              strlen(configured->text[i]))) {
            return false;
        }
    }
    return true;
}

/* Takes over what an answer says; ends the round for those who wait. */
static void
adopt(struct tk_round *round, const pdpb_GetMembersResponse *answer,
      struct tk_wakes *wakes)
{
    struct tk_pd *pd = round->pd;
    struct tk_addresses known = { NULL, 0 };
    struct tk_addresses leading = { NULL, 0 };
    struct tk_conn *leader = NULL;
    struct tk_conn *old = NULL;
    struct tk_waiter *waiters = NULL;
    size_t learned_count = 0;
    bool is_first = false;
    upb_StringView url;

    if (first_url(pdpb_GetMembersResponse_leader(answer), &url) &&
        list_known(pd, answer, &known, &learned_count) &&
        tk_addresses_add(&leading, url.data, url.size) && leading.count == 1) {
        leader = tk_rpc_conn(pd->rpc, leading.text[0]);
    }
    if (leader != NULL) {
        struct tk_addresses previous;

        tk_mutex_lock(&pd->members.lock);
        is_first = !round->is_won && !pd->members.is_closed;
        if (is_first) {
            round->is_won = true;
            previous = pd->members.known;
            pd->members.known = known;
            pd->members.learned_count = learned_count;
            memset(pd->members.benched_until, 0,
                   sizeof(pd->members.benched_until));
            known = previous;
            if (pd->members.leader != leader) {
                pd->members.failing_since = 0;
            }
            old = pd->members.leader;
            pd->members.leader = leader;
            if (!round->hears_all) {
                waiters = conclude(round);
            }
        } else {
            old = leader;
        }
        tk_mutex_unlock(&pd->members.lock);
    }
    tk_addresses_fini(&known);
    tk_addresses_fini(&leading);
    tk_waiters_wake(waiters, wakes);
    if (is_first && old != leader) {
        /* It failed when it was somebody who was down: not waited for. */
        if (tk_conn_state(leader) == TK_LINK_FAILING) {
            tk_conn_renew(leader);
        }
        tk_tso_move(pd);
        tk_lane_move(&pd->direct);
        tk_lane_move(&pd->others);
    }
    if (old != NULL) {
        tk_conn_unref(old);
    }
}

/* False: the answer is of no use; the reason is noted. */
static bool
check_answer(struct tk_round *round, const pdpb_GetMembersResponse *answer)
{
    struct tk_pd *pd = round->pd;
    const pdpb_ResponseHeader *header =
        answer == NULL ? NULL : pdpb_GetMembersResponse_header(answer);
    const pdpb_Error *fault =
        header == NULL ? NULL : pdpb_ResponseHeader_error(header);
    uint64_t id = header == NULL ? 0 : pdpb_ResponseHeader_cluster_id(header);
    bool is_good = false;

    tk_mutex_lock(&pd->members.lock);
    if (answer == NULL) {
        snprintf(round->reason, sizeof(round->reason),
                 "an answer makes no sense");
    } else if (fault != NULL && pdpb_Error_type(fault) != pdpb_OK) {
        upb_StringView text = pdpb_Error_message(fault);

        tk_redact_text(text.data, text.size, round->reason,
                       sizeof(round->reason));
    } else if (id == 0 || (pd->cluster_id != 0 && id != pd->cluster_id) ||
               (round->cluster_id != 0 && id != round->cluster_id)) {
        round->is_mismatch = round->hears_all;
        snprintf(round->reason, sizeof(round->reason),
                 "members belong to different clusters: %llu and %llu",
                 (unsigned long long)id,
                 (unsigned long long)(round->cluster_id != 0 ? round->cluster_id
                                                             : pd->cluster_id));
    } else {
        round->cluster_id = id;
        is_good = true;
        if (!round->is_won) {
            snprintf(round->reason, sizeof(round->reason),
                     "no member knows a leader");
        }
    }
    tk_mutex_unlock(&pd->members.lock);
    return is_good;
}

static void
probe_done(struct tk_request *request, const struct tk_reply *reply,
           struct tk_wakes *wakes)
{
    struct probe *probe = (struct probe *)(void *)request;
    struct tk_round *round = probe->round;
    struct tk_pd *pd = round->pd;
    struct tk_arena *arena;

    tk_mutex_lock(&pd->members.lock);
    tk_members_note(pd, probe->conn, reply->status == TK_REPLY_OK);
    tk_mutex_unlock(&pd->members.lock);
    if (reply->status != TK_REPLY_OK) {
        tk_mutex_lock(&pd->members.lock);
        snprintf(round->reason, sizeof(round->reason), "%s",
                 reply->status == TK_REPLY_EXPIRED ? "no answer in time"
                                                   : reply->details);
        tk_mutex_unlock(&pd->members.lock);
        tk_frame_unref(reply->frame, 1);
        leave_round(round, wakes);
        return;
    }
    arena = tk_arena_new();
    if (arena != NULL) {
        const pdpb_GetMembersResponse *answer = tk_arena_decode(
            arena, tk_command_row(TK_CMD_PD_GET_MEMBERS)->response,
            reply->data, reply->len, reply->frame);

        if (check_answer(round, answer)) {
            adopt(round, answer, wakes);
        }
        tk_arena_unref(arena);
    }
    tk_frame_unref(reply->frame, 1);
    leave_round(round, wakes);
}

/* A round over the members known now. NULL without memory. */
static struct tk_round *
new_round(struct tk_pd *pd, bool hears_all)
{
    struct tk_members *members = &pd->members;
    struct tk_addresses list = { NULL, 0 };
    struct tk_round *round = NULL;
    bool is_whole = true;
    size_t i;

    tk_mutex_lock(&members->lock);
    for (i = 0; i < members->known.count && is_whole; i++) {
        is_whole = tk_addresses_add(&list, members->known.text[i],
                                    strlen(members->known.text[i]));
    }
    tk_mutex_unlock(&members->lock);
    if (is_whole) {
        round = tk_calloc(sizeof(*round) + list.count * sizeof(struct probe));
    }
    if (round != NULL) {
        round->pd = pd;
        round->hears_all = hears_all;
        round->count = list.count;
        round->left = list.count + 1;
        for (i = 0; i < list.count; i++) {
            round->probes[i].round = round;
            round->probes[i].conn = tk_rpc_conn(pd->rpc, list.text[i]);
        }
    }
    tk_addresses_fini(&list);
    return round;
}

/* has_round was set by the caller, under the lock. */
static void
launch(struct tk_pd *pd, bool hears_all, struct tk_wakes *wakes)
{
    struct tk_round *round = new_round(pd, hears_all);
    size_t i;

    if (round == NULL) {
        struct tk_waiter *waiters;

        tk_mutex_lock(&pd->members.lock);
        pd->members.has_round = false;
        pd->members.round_ok = false;
        pd->members.round_mismatch = false;
        snprintf(pd->members.round_reason, sizeof(pd->members.round_reason),
                 "no memory");
        waiters = tk_waiters_take(&pd->members.waiters);
        tk_mutex_unlock(&pd->members.lock);
        tk_waiters_wake(waiters, wakes);
        return;
    }
    for (i = 0; i < round->count; i++) {
        struct probe *probe = &round->probes[i];

        probe->request.done = probe_done;
        probe->request.parts.command = TK_CMD_PD_GET_MEMBERS;
        probe->request.parts.body = tk_slice("", 0);
        probe->request.deadline = tk_after(tk_now(pd->rt), PROBE_MS * TK_MS);
        if (probe->conn == NULL ||
            tk_conn_submit(probe->conn, &probe->request, false) !=
                TK_SUBMIT_OK) {
            leave_round(round, wakes);
        }
    }
    leave_round(round, wakes);
}

static tikv_error *
run_round(struct tk_pd *pd, struct tk_op *op, bool hears_all)
{
    struct tk_members *members = &pd->members;
    struct tk_waiter waiter;
    struct tk_wakes wakes;
    tikv_error *error;
    bool is_mine;

    tk_mutex_lock(&members->lock);
    if (members->is_closed) {
        tk_mutex_unlock(&members->lock);
        return tk_error_immortal(TIKV_ERR_CLOSED);
    }
    tk_waiters_add(&members->waiters, &waiter, op);
    is_mine = !members->has_round;
    members->has_round = true;
    tk_mutex_unlock(&members->lock);
    if (is_mine) {
        tk_wakes_init(&wakes, pd->rt);
        launch(pd, hears_all, &wakes);
        tk_wakes_flush(&wakes);
    }
    error = tk_waiter_await(&members->waiters, &waiter, &members->lock, op);
    if (error != NULL) {
        return error;
    }
    tk_mutex_lock(&members->lock);
    if (members->is_closed) {
        error = tk_error_immortal(TIKV_ERR_CLOSED);
    } else if (!members->round_ok) {
        error = tk_error(members->round_mismatch ? TIKV_ERR_CLUSTER_MISMATCH
                                                 : TIKV_ERR_PD,
                         "PD: %s", members->round_reason);
    }
    tk_mutex_unlock(&members->lock);
    return error;
}

tikv_error *
tk_members_refresh(struct tk_pd *pd, struct tk_op *op)
{
    return run_round(pd, op, false);
}

/* A leader that is asked through others is looked after. */
static int64_t
until_refresh(struct tk_pd *pd)
{
    return tk_members_plan(pd) == TK_PLAN_AROUND
               ? HEALTH_MS * TK_MS
               : tk_config_ns(&pd->config->pd_members_refresh_ms);
}

static void
refresh_by_alarm(void *owner)
{
    struct tk_pd *pd = owner;
    struct tk_members *members = &pd->members;
    struct tk_wakes wakes;
    bool is_mine;

    tk_wakes_init(&wakes, pd->rt);
    tk_mutex_lock(&members->lock);
    is_mine = !members->has_round && !members->is_closed;
    members->has_round = members->has_round || is_mine;
    tk_mutex_unlock(&members->lock);
    if (is_mine) {
        launch(pd, false, &wakes);
    }
    tk_wakes_flush(&wakes);
    tk_mutex_lock(&members->lock);
    tk_alarm_end(&members->alarm,
                 members->is_closed
                     ? TK_NEVER
                     : tk_after(tk_now(pd->rt), until_refresh(pd)));
}

static tikv_error *
find_cluster(struct tk_pd *pd, struct tk_op *op)
{
    int64_t until = tk_after(tk_now(pd->rt),
                             tk_config_ns(&pd->config->pd_open_timeout_ms));
    int64_t pause_ms = OPEN_PAUSE_MS;

    for (;;) {
        tikv_error *error = run_round(pd, op, true);
        tikv_error *woken;

        if (error == NULL || tikv_error_code(error) != TIKV_ERR_PD ||
            tk_after(tk_now(pd->rt), pause_ms * TK_MS) >= until) {
            return error;
        }
        woken = tk_op_pause(op, TK_BACKOFF_PD_RPC, pause_ms * TK_MS);
        if (woken != NULL) {
            if (tikv_error_code(woken) == TIKV_ERR_TIMEOUT) {
                tikv_error_free(woken);
                return error;
            }
            tikv_error_free(error);
            return woken;
        }
        tikv_error_free(error);
        pause_ms = pause_ms * 2 > OPEN_PAUSE_MAX_MS ? OPEN_PAUSE_MAX_MS
                                                    : pause_ms * 2;
    }
}

/* Answers still to come hold on to pd: a second, at most. */
static void
await_idle(struct tk_pd *pd, struct tk_op *op)
{
    struct tk_members *members = &pd->members;
    struct tk_waiter waiter;
    bool is_busy;

    tk_mutex_lock(&members->lock);
    is_busy = members->has_round;
    if (is_busy) {
        tk_waiters_add(&members->waiters, &waiter, op);
    }
    tk_mutex_unlock(&members->lock);
    if (is_busy) {
        tk_op_await_surely(op, &waiter.signal);
    }
}

tikv_error *
tk_members_open(struct tk_pd *pd, struct tk_op *op)
{
    struct tk_members *members = &pd->members;
    tikv_error *error;

    tk_mutex_init(&members->lock, TK_RANK_PD);
    tk_alarm_init(&members->alarm, pd->rt, &members->lock, pd,
                  refresh_by_alarm);
    if (!tk_addresses_parse(&members->configured, pd->config->pd_endpoints) ||
        !tk_addresses_parse(&members->known, pd->config->pd_endpoints)) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    if (members->configured.count == 0) {
        return tk_error(TIKV_ERR_ARGUMENT, "pd.endpoints names no address");
    }
    error = find_cluster(pd, op);
    if (error != NULL) {
        await_idle(pd, op);
        return error;
    }
    tk_mutex_lock(&members->lock);
    tk_alarm_arm(&members->alarm,
                 tk_after(tk_now(pd->rt),
                          tk_config_ns(&pd->config->pd_members_refresh_ms)));
    tk_mutex_unlock(&members->lock);
    return NULL;
}

struct tk_conn *
tk_members_leader(struct tk_pd *pd)
{
    struct tk_conn *leader;

    tk_mutex_lock(&pd->members.lock);
    leader = pd->members.leader;
    if (leader != NULL) {
        tk_conn_ref(leader);
    }
    tk_mutex_unlock(&pd->members.lock);
    return leader;
}

void
tk_members_close(struct tk_pd *pd)
{
    struct tk_members *members = &pd->members;
    struct tk_waiter *waiters;
    struct tk_wakes wakes;

    tk_wakes_init(&wakes, pd->rt);
    tk_mutex_lock(&members->lock);
    members->is_closed = true;
    waiters = tk_waiters_take(&members->waiters);
    tk_mutex_unlock(&members->lock);
    tk_waiters_wake(waiters, &wakes);
    tk_wakes_flush(&wakes);
    tk_alarm_stop(&members->alarm);
}

void
tk_members_fini(struct tk_pd *pd)
{
    struct tk_members *members = &pd->members;

    if (members->leader != NULL) {
        tk_conn_unref(members->leader);
    }
    tk_addresses_fini(&members->known);
    tk_addresses_fini(&members->configured);
    tk_mutex_fini(&members->lock);
}
