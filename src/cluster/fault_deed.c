/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Actions that change the world: topology, PD, clocks, what a store keeps in
 * memory. They happen at once, under the cluster's lock, so nothing happens
 * between them and the request. What ends by itself has a timer of its own
 * (an undo); what must be told to the servers outside is owed until the lock
 * is let go.
 */
#include "cluster/fault.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/slice.h"
#include "cluster/cut.h"
#include "cluster/journal.h"
#include "cluster/pd.h"
#include "cluster/txn.h"

enum { BACK_MS = 100, LOGICAL_MAX = (1 << 18) - 1 };

/* ---- what is owed ---- */

struct debt {
    tk_node node;
    struct tk_parker *parker; /* to be woken; or NULL */
    enum tk_cl_debt what;
    enum tk_cluster_line line; /* TK_OWE_LINE */
    uint64_t value;
};

static void
owe(struct tk_cluster *cluster, const struct debt *debt)
{
    tk_buf_append(&cluster->debts, debt, sizeof(*debt));
    cluster->has_news = true; /* whoever unlocks looks */
}

void
tk_cl_owe(struct tk_cluster *cluster, tk_node node, enum tk_cl_debt what)
{
    const struct debt debt = { .node = node, .what = what };

    owe(cluster, &debt);
}

void
tk_cl_owe_wake(struct tk_cluster *cluster, struct tk_parker *parker)
{
    const struct debt debt = { .parker = parker };

    owe(cluster, &debt);
}

static void
pay(struct tk_cluster *cluster, const struct debt *debt,
    const struct tk_cluster_events *events)
{
    if (debt->parker != NULL) {
        cluster->rt->ops->wake(cluster->rt, &debt->parker, 1);
        return;
    }
    switch (debt->what) {
    case TK_OWE_DOWN:
    case TK_OWE_UP:
        tk_cl_tell(cluster, debt->node, debt->what == TK_OWE_UP, false);
        break;
    case TK_OWE_RESET:
        tk_cl_streams_break(cluster, debt->node);
        if (events->line != NULL) {
            events->line(events->arg, debt->node, TK_CLUSTER_LINE_RESET, 0);
        }
        break;
    case TK_OWE_CUT:
    case TK_OWE_HEAL:
        if (events->line != NULL) {
            events->line(events->arg, debt->node,
                         debt->what == TK_OWE_CUT ? TK_CLUSTER_LINE_CUT
                                                  : TK_CLUSTER_LINE_HEAL,
                         0);
        }
        break;
    case TK_OWE_LINE:
        if (events->line != NULL) {
            events->line(events->arg, debt->node, debt->line, debt->value);
        }
        break;
    }
}

void
tk_cl_debts_pay(struct tk_cluster *cluster)
{
    struct tk_cluster_events events;
    struct debt debt;

    for (;;) {
        tk_mutex_lock(&cluster->lock);
        if (cluster->debts.len < sizeof(debt)) {
            tk_mutex_unlock(&cluster->lock);
            return;
        }
        memcpy(&debt, cluster->debts.data, sizeof(debt));
        tk_buf_cut(&cluster->debts, 0, sizeof(debt));
        events = cluster->events;
        tk_mutex_unlock(&cluster->lock);
        pay(cluster, &debt, &events);
    }
}

/* ---- what ends by itself ---- */

enum undo {
    UNDO_STORE_DOWN,
    UNDO_MEMBER_DOWN,
    UNDO_NO_LEADER,
    UNDO_MAX_TS,
    UNDO_SAFE_TS,
    UNDO_SERVING,
    UNDO_CUT
};

struct tk_cl_undo {
    struct tk_timer timer; /* first */
    struct tk_cl_undo *next;
    struct tk_cluster *cluster;
    enum undo what;
    uint64_t number; /* store, member, cut */
};

static void
undo(struct tk_cluster *cluster, enum undo what, uint64_t number)
{
    struct tk_cl_store *store = tk_cl_store(cluster, number);

    switch (what) {
    case UNDO_STORE_DOWN:
        if (store != NULL && tk_cl_store_raise(cluster, store)) {
            tk_cl_owe(cluster, TK_NODE_STORE | number, TK_OWE_UP);
        }
        break;
    case UNDO_MEMBER_DOWN:
        if (tk_cl_member_raise(cluster, (uint32_t)number)) {
            tk_cl_owe(cluster, number, TK_OWE_UP);
        }
        break;
    case UNDO_NO_LEADER:
        if (cluster->leader == UINT32_MAX) {
            tk_cl_member_lead(cluster, (uint32_t)number);
        }
        break;
    case UNDO_MAX_TS:
        store->max_ts_stale = false;
        break;
    case UNDO_SAFE_TS:
        store->is_safe_ts_held = false;
        break;
    case UNDO_SERVING:
        store->is_not_serving = false;
        break;
    case UNDO_CUT:
        tk_cl_cut_remove(cluster, number);
        break;
    }
}

static void
fire(struct tk_timer *timer)
{
    struct tk_cl_undo *due = (struct tk_cl_undo *)timer;
    struct tk_cluster *cluster = due->cluster;
    struct tk_cl_undo **link;

    tk_mutex_lock(&cluster->lock);
    for (link = &cluster->undos; *link != NULL && *link != due;
         link = &(*link)->next) {
    }
    if (*link == due) {
        *link = due->next;
        undo(cluster, due->what, due->number);
    }
    tk_free(due);
    tk_cl_unlock(cluster);
    tk_cl_streams_push(cluster);
    /* Last: the cluster may be gone afterwards. */
    tk_mutex_lock(&cluster->lock);
    tk_cl_delayed_gone(cluster);
}

/* Without memory it stays as it is. */
static void
undo_later(struct tk_cluster *cluster, enum undo what, uint64_t number,
           uint64_t ms)
{
    struct tk_cl_undo *later = tk_calloc(sizeof(*later));

    if (later == NULL) {
        return;
    }
    later->timer.fn = fire;
    later->cluster = cluster;
    later->what = what;
    later->number = number;
    later->next = cluster->undos;
    cluster->undos = later;
    cluster->pending++;
    cluster->rt->ops->arm(
        cluster->rt, &later->timer,
        tk_after(tk_now(cluster->rt),
                 (int64_t)(ms > INT32_MAX ? INT32_MAX : ms) * TK_MS));
}

void
tk_cl_deeds_drop(struct tk_cluster *cluster)
{
    tk_mutex_lock(&cluster->lock);
    while (cluster->undos != NULL) {
        struct tk_cl_undo *later = cluster->undos;

        cluster->undos = later->next;
        if (cluster->rt->ops->disarm(cluster->rt, &later->timer)) {
            cluster->pending--;
            tk_free(later);
        }
    }
    tk_mutex_unlock(&cluster->lock);
}

/* ---- regions ---- */

/* The region that a request is about, also by its first key. */
static struct tk_cl_region *
region_of(struct tk_cl_request *request)
{
    struct tk_cl_regions *all = &request->cluster->regions;
    struct tk_cl_region *region =
        tk_cl_region_by_id(all, tk_cl_region_id_of(request));

    return region != NULL ? region : all->sorted[0];
}

/* A key of the request's, or of the rule, as regions know it. */
static tikv_slice
region_key(struct tk_cl_request *request, tikv_slice key)
{
    return strncmp(request->method->label, "tikv.Kv", 7) == 0
               ? tk_mvcc_encode(&request->cluster->mvcc, key)
               : key;
}

static void
split(struct tk_cl_request *request, const struct tk_cl_action *action)
{
    tikv_slice key = action->key;
    struct tk_buf ids;
    size_t at = 0;

    if (key.data == NULL && !tk_cl_next_key(request, &at, &key)) {
        return;
    }
    tk_buf_init(&ids, SIZE_MAX / 4);
    key = region_key(request, key);
    (void)tk_cl_split_keys(request->cluster, &key, 1, &ids);
    tk_buf_fini(&ids);
}

/* With the right neighbour; the last region is joined by its left one. */
static void
merge(struct tk_cl_request *request)
{
    struct tk_cl_regions *all = &request->cluster->regions;
    size_t place = tk_cl_region_place(
        all, tk_cl_region_start(region_of(request)));

    if (all->count < 2) {
        return;
    }
    place -= place + 1 == all->count;
    (void)tk_cl_region_join(request->cluster, all->sorted[place],
                            all->sorted[place + 1]);
}

static void
transfer(struct tk_cl_request *request, const struct tk_cl_action *action)
{
    struct tk_cluster *cluster = request->cluster;
    struct tk_cl_region *region = region_of(request);
    size_t first = 0;
    size_t i;

    if (action->choice == 2) {
        tk_cl_lead(cluster, region, 0, false);
        return;
    }
    for (i = 0; i < region->peers_count; i++) {
        if (region->peers[i].id == region->leader) {
            first = i + 1;
        }
    }
    for (i = 0; i < region->peers_count; i++) {
        const struct tk_cl_peer *peer =
            &region->peers[(first + i) % region->peers_count];

        if (peer->role == 0 && !peer->is_witness &&
            tk_cl_store_is_up(cluster, peer->store_id) &&
            (action->choice == 1 || peer->store_id == action->low)) {
            tk_cl_lead(cluster, region, peer->id, true);
            return;
        }
    }
}

/* ---- stores ---- */

/* Nothing, where the request is at PD. */
static void
take_down(struct tk_cl_request *request, uint64_t ms)
{
    struct tk_cluster *cluster = request->cluster;
    struct tk_cl_store *store = request->store;

    if (store != NULL && tk_cl_store_drop(cluster, store)) {
        tk_cl_owe(cluster, TK_NODE_STORE | store->id, TK_OWE_DOWN);
        undo_later(cluster, UNDO_STORE_DOWN, store->id,
                   ms == 0 ? BACK_MS : ms);
    }
}

static void
lose_locks(struct tk_cl_request *request)
{
    const struct tk_cl_region *region = region_of(request);

    tk_mvcc_leave_memory(&request->cluster->mvcc, tk_cl_region_start(region),
                         tk_cl_region_end(region), true);
}

static void
change_store(struct tk_cl_request *request, const struct tk_cl_action *action)
{
    struct tk_cluster *cluster = request->cluster;
    struct tk_cl_store *store = request->store;

    if (store == NULL) {
        return;
    }
    switch (action->act) {
    case TK_ACT_MAX_TS_UNSYNCED:
        store->max_ts_stale = true;
        undo_later(cluster, UNDO_MAX_TS, store->id, action->low);
        break;
    case TK_ACT_SAFE_TS_HOLD:
        store->is_safe_ts_held = true;
        if (action->low != 0) {
            undo_later(cluster, UNDO_SAFE_TS, store->id, action->low);
        }
        break;
    case TK_ACT_SAFE_TS_LAG:
        store->safe_ts_lag_ms = (int64_t)(action->low % INT32_MAX);
        break;
    case TK_ACT_CLOCK_SKEW:
        store->skew_ms = (int64_t)(action->low % INT32_MAX) *
                         (action->choice == 1 ? -1 : 1);
        break;
    case TK_ACT_SLOW_SCORE:
        store->slow_score = (int32_t)(action->low % 101);
        break;
    case TK_ACT_LOAD:
        store->load_floor = action->low;
        break;
    default:
        store->is_not_serving = true;
        if (action->low != 0) {
            undo_later(cluster, UNDO_SERVING, store->id, action->low);
        }
        break;
    }
}

/* ---- PD ---- */

/* The next member that is up, or the one that leads. */
static uint32_t
next_member(const struct tk_cluster *cluster)
{
    uint32_t from = cluster->leader == UINT32_MAX ? 0 : cluster->leader;
    uint32_t i;

    for (i = 1; i <= cluster->members_count; i++) {
        uint32_t member = (from + i) % cluster->members_count;

        if (cluster->members[member].is_up) {
            return member;
        }
    }
    return from;
}

static void
change_tso(struct tk_cluster *cluster, const struct tk_cl_action *action)
{
    struct tk_cl_tso *tso = &cluster->tso;
    int64_t ms = (int64_t)(action->low % INT32_MAX);

    switch (action->choice) {
    case TK_TSO_JUMP:
        tso->physical_ms += ms;
        tso->bound_ms += ms;
        break;
    case TK_TSO_BACK:
        tso->physical_ms -= ms;
        break;
    case TK_TSO_FREEZE:
        tso->frozen_until_ms = tk_cl_wall_ms(cluster) + ms;
        break;
    case TK_TSO_OVERFLOW:
        tso->logical = LOGICAL_MAX - 1;
        break;
    default:
        break;
    }
}

static void
change_pd(struct tk_cluster *cluster, const struct tk_cl_action *action)
{
    uint32_t member = cluster->leader;
    uint32_t down = (uint32_t)(action->low % UINT32_MAX);

    switch (action->act) {
    case TK_ACT_PD_LEADER_RESIGN:
        tk_cl_member_lead(cluster, next_member(cluster));
        break;
    case TK_ACT_PD_NO_LEADER:
        if (member == UINT32_MAX) {
            break;
        }
        cluster->leader = UINT32_MAX;
        cluster->leader_held = true;
        tk_cl_pd_publish(cluster);
        undo_later(cluster, UNDO_NO_LEADER, member, action->low);
        break;
    default:
        if (tk_cl_member_drop(cluster, down)) {
            tk_cl_owe(cluster, down, TK_OWE_DOWN);
            undo_later(cluster, UNDO_MEMBER_DOWN, down,
                       action->high == 0 ? BACK_MS : action->high);
        }
        break;
    }
}

static void
partition(struct tk_cluster *cluster, const struct tk_cl_action *action)
{
    uint64_t id = tk_cl_cut_add(cluster, action->name, action->other,
                                action->high, action->choice);

    if (action->low != 0) {
        undo_later(cluster, UNDO_CUT, id, action->low);
    }
}

/* ---- all of them ---- */

static void
collect_garbage(struct tk_cluster *cluster, uint64_t safe_point)
{
    int64_t physical;
    int64_t logical;

    if (safe_point == 0) {
        tk_cl_tso_take(cluster, 1, &physical, &logical);
        safe_point = (uint64_t)physical << 18 | (uint64_t)logical;
    }
    tk_mvcc_gc(&cluster->mvcc, safe_point);
}

static void
change_region(struct tk_cl_request *request, const struct tk_cl_action *action)
{
    switch (action->act) {
    case TK_ACT_SPLIT:
        split(request, action);
        break;
    case TK_ACT_MERGE:
        merge(request);
        break;
    case TK_ACT_TRANSFER:
        transfer(request, action);
        break;
    case TK_ACT_BUMP_CONF_VER:
        region_of(request)->conf_ver++;
        tk_journal_region(request->cluster->journal, region_of(request));
        break;
    case TK_ACT_REMOVE_PEER:
        if (region_of(request)->peers_count > 1) {
            tk_cl_peer_remove(request->cluster, region_of(request),
                              action->low);
        }
        break;
    default:
        lose_locks(request);
        break;
    }
}

/* Of the node that was called. */
static void
change_line(struct tk_cl_request *request, const struct tk_cl_action *action)
{
    struct debt debt = { .node = tk_cl_node_of(request),
                         .what = TK_OWE_LINE,
                         .line = TK_CLUSTER_LINE_GOAWAY };

    if (action->act == TK_ACT_MAX_STREAMS) {
        debt.line = TK_CLUSTER_LINE_STREAMS;
        debt.value = action->low;
    } else if (action->act == TK_ACT_COMPRESS) {
        debt.line = TK_CLUSTER_LINE_COMPRESS;
        debt.value = action->choice;
    }
    owe(request->cluster, &debt);
}

void
tk_cl_deed(struct tk_cl_request *request, struct tk_cl_rule *rule,
           const struct tk_cl_action *action)
{
    struct tk_cluster *cluster = request->cluster;

    (void)rule;
    switch (action->act) {
    case TK_ACT_SPLIT:
    case TK_ACT_MERGE:
    case TK_ACT_TRANSFER:
    case TK_ACT_BUMP_CONF_VER:
    case TK_ACT_REMOVE_PEER:
    case TK_ACT_LOSE_MEMORY_LOCKS:
        change_region(request, action);
        break;
    case TK_ACT_RESTART_STORE:
    case TK_ACT_CRASH:
        take_down(request, action->low);
        break;
    case TK_ACT_TSO:
        change_tso(cluster, action);
        break;
    case TK_ACT_PD_LEADER_RESIGN:
    case TK_ACT_PD_NO_LEADER:
    case TK_ACT_PD_MEMBER_DOWN:
        change_pd(cluster, action);
        break;
    case TK_ACT_PARTITION:
        partition(cluster, action);
        break;
    case TK_ACT_HEAL:
        tk_cl_cut_remove(cluster, 0);
        break;
    case TK_ACT_GOAWAY:
    case TK_ACT_MAX_STREAMS:
    case TK_ACT_COMPRESS:
        change_line(request, action);
        break;
    case TK_ACT_GC:
        collect_garbage(cluster, action->low);
        break;
    default:
        change_store(request, action);
        break;
    }
}
