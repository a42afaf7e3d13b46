/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The choice of a replica (RS-4 .. RS-8): the leader while it is any good,
 * else whoever has the highest score. No lock, no state outside of the
 * struct.
 */
#include "region/selector.h"

#include <string.h>

#include "region/backoff.h"
#include "region/selector_inner.h"

enum { LEADER_ATTEMPTS = 10, LEADER_MS = 50000 };

/* Worth of a candidate, the weightier the higher. */
enum {
    SCORE_NOT_ATTEMPTED = 1,
    SCORE_NORMAL = 2,
    SCORE_LEADER = 4,
    SCORE_MATCHES = 8,
    SCORE_NOT_SLOW = 16
};

/* Whom the mixed strategy takes. */
struct mix {
    bool takes_leader;
    bool prefers_leader;
    bool leader_only;
    bool learner_only;
    bool uses_labels;     /* else all match alike */
    uint32_t busy_threshold_ms; /* 0: however busy */
};

void
tk_selector_init(struct tk_selector *selector, const struct tk_read_mode *mode,
                 bool is_read, bool has_timeout, bool may_forward,
                 uint32_t count)
{
    uint32_t i;

    memset(selector, 0, offsetof(struct tk_selector, replicas));
    memset(selector->replicas, 0, count * sizeof(selector->replicas[0]));
    if (is_read) {
        selector->mode = *mode;
    }
    if (selector->mode.is_stale) {
        selector->mode.from = TK_READ_MIXED;
    }
    selector->is_read = is_read;
    selector->has_timeout = is_read && has_timeout;
    selector->may_forward = may_forward;
    selector->proxy = TK_NOBODY;
    selector->target = TK_NOBODY;
    selector->via = TK_NOBODY;
    selector->count = count;
    for (i = 0; i < count; i++) {
        selector->replicas[i].pending = TK_BACKOFF_KINDS;
    }
}

/* A group whose leader is dead may sleep until a follower is asked: so a
 * leader that is not known to live is not asked again. */
bool
tk_selector_leader_is_good(const struct tk_selector *selector)
{
    const struct tk_replica *leader = &selector->replicas[selector->leader];

    return leader->liveness == TK_ALIVE && !leader->is_stale &&
           leader->attempts < LEADER_ATTEMPTS &&
           leader->spent_ms < LEADER_MS &&
           (leader->flags &
            (TK_REPLICA_TIMED_OUT | TK_REPLICA_NOT_LEADER)) == 0;
}

/* Its group named it: it gets a chance, and if it had used them up, one. */
void
tk_selector_new_leader(struct tk_selector *selector, uint32_t place)
{
    struct tk_replica *leader = &selector->replicas[place];

    if (leader->attempts >= LEADER_ATTEMPTS || leader->spent_ms >= LEADER_MS) {
        leader->attempts = LEADER_ATTEMPTS - 1;
        leader->spent_ms = 0;
    }
    leader->is_stale = false;
    leader->flags &= (uint8_t)~(TK_REPLICA_NOT_LEADER | TK_REPLICA_SUSPECT);
    selector->leader = place;
}

static uint32_t
leader_or_nobody(const struct tk_selector *selector)
{
    const struct tk_replica *leader = &selector->replicas[selector->leader];

    return tk_selector_leader_is_good(selector) &&
                   (leader->flags & TK_REPLICA_SUSPECT) == 0
               ? selector->leader
               : TK_NOBODY;
}

static bool
is_candidate(const struct tk_selector *selector, const struct mix *mix,
             uint32_t place)
{
    const struct tk_replica *replica = &selector->replicas[place];
    bool is_leader = place == selector->leader;
    /* What it had not replicated for a stale read it may have for a plain
     * one. */
    uint32_t most =
        (replica->flags & TK_REPLICA_NOT_READY) != 0 && !is_leader ? 2 : 1;

    if (replica->is_stale || replica->liveness == TK_DEAD ||
        replica->attempts >= most || (mix->leader_only && !is_leader)) {
        return false;
    }
    if (mix->busy_threshold_ms > 0 &&
        (is_leader || (replica->flags & TK_REPLICA_BUSY) != 0 ||
         replica->wait_ms > (int64_t)mix->busy_threshold_ms)) {
        return false;
    }
    return is_leader || !mix->prefers_leader || !replica->is_slow;
}

static unsigned
score_of(const struct tk_selector *selector, const struct mix *mix,
         uint32_t place)
{
    const struct tk_replica *replica = &selector->replicas[place];
    bool has_labels = mix->uses_labels && selector->mode.labels_count > 0;
    unsigned score = 0;

    if (!mix->uses_labels || replica->matches) {
        score |= SCORE_MATCHES;
    }
    if (place != selector->leader) {
        if (!mix->learner_only || replica->is_learner) {
            score |= SCORE_NORMAL;
        }
    } else if (mix->prefers_leader) {
        score |= replica->is_slow ? SCORE_NORMAL : SCORE_LEADER;
    } else if (mix->takes_leader) {
        score |= has_labels ? SCORE_LEADER : SCORE_NORMAL;
    }
    if (!replica->is_slow) {
        score |= SCORE_NOT_SLOW;
    }
    if (replica->attempts == 0) {
        score |= SCORE_NOT_ATTEMPTED;
    }
    return score;
}

unsigned
tk_selector_score(const struct tk_selector *selector,
                  const struct tk_read_mode *mode, uint32_t place)
{
    struct mix mix = {
        .takes_leader = mode->from == TK_READ_MIXED ||
                        mode->from == TK_READ_PREFER_LEADER,
        .prefers_leader = mode->from == TK_READ_PREFER_LEADER,
        .learner_only = mode->from == TK_READ_LEARNER,
        .uses_labels = true,
    };

    return score_of(selector, &mix, place);
}

/* Records of regions whose peers moved to a new life are read anew some
 * time. */
static bool
tells_of_change(const struct tk_selector *selector, uint32_t place)
{
    const struct tk_replica *replica = &selector->replicas[place];

    return replica->is_stale &&
           (place == selector->leader ||
            (replica->liveness == TK_ALIVE && replica->is_resolved));
}

/* The highest score, one of equals at random. */
static uint32_t
best_of(const struct tk_selector *selector, const struct mix *mix,
        uint64_t random, struct tk_choice *choice)
{
    uint32_t best[TK_REPLICAS_MAX];
    uint32_t count = 0;
    unsigned most = 0;
    uint32_t i;

    for (i = 0; i < selector->count; i++) {
        unsigned score;

        choice->reload_later |= tells_of_change(selector, i);
        if (!is_candidate(selector, mix, i)) {
            continue;
        }
        score = score_of(selector, mix, i);
        if (count == 0 || score > most) {
            most = score;
            count = 0;
        }
        if (score == most) {
            best[count++] = i;
        }
    }
    return count == 0 ? TK_NOBODY : best[random % count];
}

static bool
has_timed_out(const struct tk_selector *selector)
{
    uint32_t i;

    for (i = 0; i < selector->count; i++) {
        if ((selector->replicas[i].flags & TK_REPLICA_TIMED_OUT) != 0) {
            return true;
        }
    }
    return false;
}

static uint32_t
mixed(struct tk_selector *selector, const struct mix *mix, uint64_t random,
      struct tk_choice *choice)
{
    struct tk_replica *leader = &selector->replicas[selector->leader];
    uint32_t place = best_of(selector, mix, random, choice);

    if (place != TK_NOBODY || mix->busy_threshold_ms > 0) {
        return place;
    }
    if ((leader->flags & TK_REPLICA_SUSPECT) != 0) {
        /* The suspicion led nowhere. */
        leader->flags &= (uint8_t)~TK_REPLICA_SUSPECT;
        if (tk_selector_leader_is_good(selector)) {
            return selector->leader;
        }
    }
    /* A caller in a hurry says nothing about the region. */
    if (!has_timed_out(selector)) {
        choice->invalidate = TK_INVALID_OTHER;
    }
    choice->why = "all replicas were asked";
    return TK_NOBODY;
}

/* ---- leader ---- */

static bool
may_be_proxy(const struct tk_selector *selector, uint32_t place)
{
    const struct tk_replica *replica = &selector->replicas[place];

    return place != selector->leader && replica->attempts == 0 &&
           replica->liveness == TK_ALIVE && !replica->is_stale;
}

/* Who forwards to a leader that only we cannot reach. True: that is the
 * choice, also where nobody is left. */
static bool
forwards(struct tk_selector *selector, struct tk_choice *choice)
{
    const struct tk_replica *leader = &selector->replicas[selector->leader];
    uint32_t i;

    if (!selector->may_forward || selector->count < 2 ||
        leader->liveness != TK_DEAD ||
        (leader->flags & TK_REPLICA_NOT_LEADER) != 0) {
        return false;
    }
    if (selector->proxy < selector->count &&
        may_be_proxy(selector, selector->proxy)) {
        choice->via = selector->proxy;
    }
    for (i = 0; i < selector->count && choice->via == TK_NOBODY; i++) {
        if (may_be_proxy(selector, i)) {
            choice->via = i;
        }
    }
    if (choice->via != TK_NOBODY) {
        choice->target = selector->leader;
    } else {
        choice->suspect = selector->leader;
        choice->reload_now = true;
        choice->why = "nobody can forward to the leader";
    }
    return true;
}

/* Requests wait long at the leader: an idle follower, if there is one. */
static void
spare_leader(struct tk_selector *selector, uint64_t random,
             struct tk_choice *choice)
{
    const struct tk_replica *leader = &selector->replicas[selector->leader];
    struct mix mix = { .busy_threshold_ms = selector->mode.busy_threshold_ms };
    uint32_t idle;

    if (mix.busy_threshold_ms == 0 ||
        (leader->wait_ms <= (int64_t)mix.busy_threshold_ms &&
         (leader->flags & TK_REPLICA_BUSY) == 0)) {
        return;
    }
    idle = mixed(selector, &mix, random, choice);
    if (idle != TK_NOBODY) {
        choice->target = idle;
        choice->replica_read = true;
    } else {
        selector->mode.busy_threshold_ms = 0;
    }
}

static void
next_from_leader(struct tk_selector *selector, uint64_t random,
                 struct tk_choice *choice)
{
    struct mix mix = { .leader_only = selector->mode.leader_only };

    if (forwards(selector, choice)) {
        return;
    }
    choice->target = leader_or_nobody(selector);
    if (choice->target != TK_NOBODY) {
        spare_leader(selector, random, choice);
        return;
    }
    choice->target = mixed(selector, &mix, random, choice);
    /* Asked as if it led, a follower says who does; but where the leader is
     * only too slow for this read, its data is wanted. */
    choice->replica_read =
        choice->target != TK_NOBODY && choice->target != selector->leader &&
        selector->is_read &&
        (selector->replicas[selector->leader].flags & TK_REPLICA_TIMED_OUT) !=
            0;
}

/* ---- the other modes ---- */

/* A stale read asks others with a plain replica read only if the leader, whom
 * they ask in turn, was asked and not found slow. */
static bool
may_read_replica(const struct tk_selector *selector)
{
    const struct tk_replica *leader = &selector->replicas[selector->leader];

    return leader->attempts != 0 &&
           (leader->flags & (TK_REPLICA_TIMED_OUT | TK_REPLICA_BUSY)) == 0;
}

static void
next_from_any(struct tk_selector *selector, uint64_t random,
              struct tk_choice *choice)
{
    const struct tk_read_mode *mode = &selector->mode;
    struct mix mix = {
        .takes_leader = mode->from == TK_READ_MIXED ||
                        mode->from == TK_READ_PREFER_LEADER,
        .prefers_leader = mode->from == TK_READ_PREFER_LEADER,
        .leader_only = mode->leader_only,
        .learner_only = mode->from == TK_READ_LEARNER,
        .uses_labels = true,
    };
    uint32_t place;

    if (mode->is_stale && selector->attempts == 2) {
        place = leader_or_nobody(selector);
        if (place != TK_NOBODY && selector->replicas[place].attempts == 0) {
            choice->target = place; /* a plain read */
            return;
        }
    }
    place = mixed(selector, &mix, random, choice);
    choice->target = place;
    if (place == TK_NOBODY) {
        return;
    }
    if (!mode->is_stale) {
        choice->replica_read = selector->is_read && place != selector->leader;
        return;
    }
    choice->replica_read =
        (selector->attempts != 1 ||
         (!selector->replicas[place].matches && place != selector->leader)) &&
        may_read_replica(selector);
    choice->stale_read = !choice->replica_read;
}

/* ---- */

/* The longest pause that is owed anywhere. */
static void
owe_largest(const struct tk_selector *selector, struct tk_choice *choice)
{
    uint32_t i;

    for (i = 0; i < selector->count; i++) {
        const struct tk_replica *replica = &selector->replicas[i];

        if (replica->pending != TK_BACKOFF_KINDS &&
            (choice->pause == TK_BACKOFF_KINDS ||
             tk_backoff_base_ms(replica->pending) >
                 tk_backoff_base_ms(choice->pause))) {
            choice->pause = replica->pending;
            choice->pause_max_ms = replica->pending_max_ms;
        }
    }
}

/* Nobody was asked in this round, because all are dead as far as we know:
 * then the leader is, rather than waiting for a probe that finds one alive. */
static bool
is_hopeless(const struct tk_selector *selector)
{
    uint32_t i;

    for (i = 0; i < selector->count; i++) {
        if (selector->replicas[i].liveness != TK_DEAD) {
            return false;
        }
    }
    return selector->attempts == 1 &&
           !selector->replicas[selector->leader].is_stale;
}

static void
count_attempt(struct tk_selector *selector, struct tk_choice *choice)
{
    struct tk_replica *target = &selector->replicas[choice->target];

    target->attempts++;
    if (choice->via != TK_NOBODY) {
        selector->replicas[choice->via].attempts++;
    }
    choice->pause = target->pending;
    choice->pause_max_ms = target->pending_max_ms;
    target->pending = TK_BACKOFF_KINDS;
}

void
tk_selector_next(struct tk_selector *selector, uint64_t random,
                 struct tk_choice *choice)
{
    *choice = (struct tk_choice){ .target = TK_NOBODY,
                                  .via = TK_NOBODY,
                                  .pause = TK_BACKOFF_KINDS,
                                  .pause_max_ms = -1,
                                  .suspect = TK_NOBODY };
    if (!selector->region_is_valid && !selector->has_pass) {
        choice->why = "the region has changed";
    } else {
        selector->has_pass = false;
        selector->attempts++;
        if (selector->mode.from == TK_READ_LEADER) {
            next_from_leader(selector, random, choice);
        } else {
            next_from_any(selector, random, choice);
        }
        if (choice->target == TK_NOBODY && is_hopeless(selector)) {
            choice->target = selector->leader;
            choice->is_last_resort = true;
            choice->invalidate = TK_INVALID_OK;
            choice->suspect = TK_NOBODY;
            choice->reload_now = false;
        }
    }
    choice->busy_threshold_ms = selector->mode.busy_threshold_ms;
    selector->target = choice->target;
    selector->via = choice->via;
    selector->replica_read = choice->replica_read;
    selector->stale_read = choice->stale_read;
    if (choice->target != TK_NOBODY) {
        count_attempt(selector, choice);
    } else {
        owe_largest(selector, choice);
    }
}
