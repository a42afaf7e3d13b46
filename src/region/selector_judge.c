/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the end of an attempt does to the round (RS-9 .. RS-11): the columns of
 * the error table, and where a row has a remedy, what the other replicas are
 * good for. No lock, no state outside of the struct.
 */
#include "region/selector_inner.h"

/* So often the same leader may be busy without a reason before a follower is
 * asked who leads: a store whose read pool hangs answers like that for ever,
 * and never that it leads no more. */
enum { SUSPECT_AFTER = 2 };

static uint32_t
place_of(const struct tk_selector *selector, uint64_t peer_id)
{
    uint32_t place = 0;

    while (place < selector->count &&
           selector->replicas[place].peer_id != peer_id) {
        place++;
    }
    return place == selector->count ? TK_NOBODY : place;
}

static void
set_retry(struct tk_reaction *reaction, enum tk_backoff_kind backoff)
{
    reaction->verdict = TK_VERDICT_RETRY;
    reaction->backoff = backoff;
    reaction->invalidate = TK_INVALID_OK;
}

static void
not_leader(struct tk_selector *selector, const struct tk_region_error *fault,
           struct tk_reaction *reaction)
{
    uint32_t place;

    selector->replicas[selector->target].flags |= TK_REPLICA_NOT_LEADER;
    if (fault->leader_peer_id == 0) {
        return;
    }
    place = place_of(selector, fault->leader_peer_id);
    if (place == TK_NOBODY) {
        /* The group has members we have not heard of. */
        reaction->verdict = TK_VERDICT_REGROUP;
        reaction->backoff = TK_BACKOFF_KINDS;
        reaction->invalidate = TK_INVALID_STORE;
        return;
    }
    set_retry(reaction, TK_BACKOFF_KINDS);
    /* A doubt is ours alone; its group may know better. */
    if (selector->replicas[place].liveness != TK_DEAD) {
        tk_selector_new_leader(selector, place);
        reaction->leader = place;
        if (tk_selector_leader_is_good(selector)) {
            selector->mode.from = TK_READ_LEADER;
        }
    }
}

/* The leader was busy and did not say for how long. */
static void
suspect_leader(struct tk_selector *selector)
{
    struct tk_replica *leader = &selector->replicas[selector->leader];

    if (selector->mode.from != TK_READ_LEADER || selector->mode.is_stale ||
        selector->mode.leader_only || selector->has_probed ||
        selector->target != selector->leader) {
        return;
    }
    if (selector->busy_peer != leader->peer_id) {
        selector->busy_peer = leader->peer_id;
        selector->busy_count = 0;
    }
    if (++selector->busy_count >= SUSPECT_AFTER) {
        leader->flags |= TK_REPLICA_SUSPECT;
        selector->has_probed = true;
    }
}

bool
tk_selector_has_others(const struct tk_selector *selector)
{
    const struct tk_replica *leader = &selector->replicas[selector->leader];

    return selector->mode.from != TK_READ_LEADER ||
           !tk_selector_leader_is_good(selector) ||
           (leader->flags & TK_REPLICA_BUSY) != 0;
}

static void
busy(struct tk_selector *selector, const struct tk_region_error *fault,
     struct tk_reaction *reaction)
{
    struct tk_replica *target = &selector->replicas[selector->target];

    if (fault->wait_ms != 0) {
        reaction->loaded = selector->target;
        reaction->wait_ms =
            fault->wait_ms > INT32_MAX ? INT32_MAX : (int64_t)fault->wait_ms;
        if (selector->mode.busy_threshold_ms != 0) {
            target->flags |= TK_REPLICA_BUSY;
        }
    } else {
        reaction->slow = selector->target;
        suspect_leader(selector);
    }
    set_retry(reaction, TK_BACKOFF_SERVER_BUSY);
    if (tk_selector_has_others(selector)) {
        /* It may do without the pause. */
        target->flags |= TK_REPLICA_BUSY;
        target->pending = reaction->backoff;
        target->pending_max_ms = reaction->backoff_max_ms;
        reaction->backoff = TK_BACKOFF_KINDS;
    }
}

static void
late(struct tk_selector *selector, struct tk_reaction *reaction)
{
    selector->replicas[selector->target].flags |= TK_REPLICA_TIMED_OUT;
    set_retry(reaction, TK_BACKOFF_KINDS);
}

static void
not_found(struct tk_selector *selector, struct tk_reaction *reaction)
{
    /* Others are stopped at once; this request may know the leader. */
    if (selector->replicas[selector->leader].attempts == 0) {
        enum tk_invalid invalidate = reaction->invalidate;

        set_retry(reaction, TK_BACKOFF_KINDS);
        reaction->invalidate = invalidate;
        selector->mode.from = TK_READ_LEADER;
        selector->has_pass = true;
    }
}

static void
flashback(struct tk_selector *selector, struct tk_reaction *reaction)
{
    if (selector->replica_read && selector->target != selector->leader) {
        set_retry(reaction, TK_BACKOFF_KINDS);
        selector->mode.busy_threshold_ms = 0;
        selector->mode.from = TK_READ_LEADER;
    }
}

static void
begin(struct tk_selector *selector, int64_t spent_ms,
      struct tk_reaction *reaction)
{
    selector->replicas[selector->target].spent_ms += spent_ms;
    *reaction = (struct tk_reaction){
        .verdict = TK_VERDICT_RETRY,
        .backoff = TK_BACKOFF_KINDS,
        .backoff_max_ms = -1,
        .leader = TK_NOBODY,
        .suspect = TK_NOBODY,
        .slow = TK_NOBODY,
        .loaded = TK_NOBODY,
    };
}

void
tk_selector_judge(struct tk_selector *selector,
                  const struct tk_region_error *fault, int64_t spent_ms,
                  struct tk_reaction *reaction)
{
    begin(selector, spent_ms, reaction);
    reaction->verdict = fault->verdict;
    reaction->backoff = fault->backoff;
    reaction->invalidate = fault->invalidate;
    if (fault->busy_ms != 0) {
        reaction->backoff_max_ms =
            fault->busy_ms > INT32_MAX ? INT32_MAX : (int64_t)fault->busy_ms;
    }
    if (fault->suspect_store) {
        reaction->suspect = selector->target;
        reaction->is_sure = true;
    }
    switch (fault->remedy) {
    case TK_REMEDY_NOT_LEADER:
        not_leader(selector, fault, reaction);
        break;
    case TK_REMEDY_BUSY_LATE:
    case TK_REMEDY_LATE:
        if (selector->has_timeout) {
            late(selector, reaction);
        } else if (fault->remedy == TK_REMEDY_BUSY_LATE) {
            busy(selector, fault, reaction);
        }
        break;
    case TK_REMEDY_BUSY:
        busy(selector, fault, reaction);
        break;
    case TK_REMEDY_NOT_READY:
        selector->replicas[selector->target].flags |= TK_REPLICA_NOT_READY;
        break;
    case TK_REMEDY_NOT_FOUND:
        not_found(selector, reaction);
        break;
    case TK_REMEDY_FLASHBACK:
        flashback(selector, reaction);
        break;
    case TK_REMEDY_NONE:
    default:
        break;
    }
}

void
tk_selector_failed(struct tk_selector *selector, bool is_late,
                   int64_t spent_ms, struct tk_reaction *reaction)
{
    begin(selector, spent_ms, reaction);
    if (is_late && selector->has_timeout) {
        late(selector, reaction);
        return;
    }
    reaction->suspect =
        selector->via != TK_NOBODY ? selector->via : selector->target;
    reaction->is_sure = !is_late;
    reaction->slow = reaction->suspect;
    reaction->backoff = TK_BACKOFF_RPC;
}

uint32_t
tk_selector_succeeded(const struct tk_selector *selector)
{
    return selector->replica_read || selector->stale_read ? TK_NOBODY
                                                          : selector->target;
}
