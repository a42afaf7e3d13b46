/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeping what was told, and the answers that wait for it. Checkpoints are
 * made by the same thread in between, a piece at a time: each at least as
 * long as what was appended meanwhile, so that the log stays within a few
 * times the data.
 */
#include "cluster/keep.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "cluster/pd.h"

enum { PIECE = 256 * 1024, RETRY_MS = 100 };

void
tk_cl_keep_clear(struct tk_buf *frame)
{
    tk_buf_clear(frame);
    (void)tk_buf_grow(frame, TK_WAL_HEAD);
}

static bool
is_empty(const struct tk_buf *frame)
{
    return frame->len <= TK_WAL_HEAD && !frame->failed;
}

/* ---- marks; with the lock ---- */

struct tk_cl_numbers
tk_cl_numbers(const struct tk_cluster *cluster)
{
    return (struct tk_cl_numbers){
        .ids = cluster->ids,
        .tso_bound_ms = cluster->tso.bound_ms,
        .leases_last = cluster->pd->leases_last,
        .max_peers = cluster->pd->max_peers,
    };
}

static void
tell_numbers(struct tk_cl_keeper *keeper)
{
    const struct tk_cl_numbers now = tk_cl_numbers(keeper->cluster);
    const struct tk_cl_numbers *old = &keeper->told;

    if (now.ids != old->ids || now.tso_bound_ms != old->tso_bound_ms ||
        now.leases_last != old->leases_last ||
        now.max_peers != old->max_peers) {
        tk_journal_numbers(&keeper->records, &now);
        keeper->told = now;
    }
}

uint64_t
tk_cl_mark(struct tk_cluster *cluster)
{
    struct tk_cl_keeper *keeper = cluster->keeper;

    if (keeper == NULL) {
        return 0;
    }
    tell_numbers(keeper);
    return keeper->taken + (keeper->records.len - TK_WAL_HEAD) +
           keeper->records.failed;
}

bool
tk_cl_is_kept(const struct tk_cluster *cluster, uint64_t mark)
{
    return cluster->keeper == NULL || mark <= cluster->keeper->kept;
}

bool
tk_cl_keep_fails(const struct tk_cluster *cluster)
{
    return cluster->keeper != NULL && cluster->keeper->is_failing;
}

void
tk_cl_unlock(struct tk_cluster *cluster)
{
    struct tk_cl_keeper *keeper = cluster->keeper;
    struct tk_parker *sleeper = NULL;

    if (keeper != NULL && keeper->sleeper != NULL &&
        !is_empty(&keeper->records) && tk_ring(keeper->sleeper)) {
        sleeper = keeper->sleeper;
    }
    tk_mutex_unlock(&cluster->lock);
    if (sleeper != NULL) {
        cluster->rt->ops->wake(cluster->rt, &sleeper, 1);
    }
}

bool
tk_cl_hold(struct tk_cluster *cluster, struct tk_cluster_call *call,
           int status, const char *text, struct tk_buf *out)
{
    struct tk_cl_keeper *keeper = cluster->keeper;
    uint64_t mark = tk_cl_mark(cluster);
    struct tk_cl_held *held;

    if (tk_cl_is_kept(cluster, mark)) {
        return false;
    }
    held = tk_alloc(sizeof(*held));
    if (held == NULL) {
        out->failed = true;
        return false;
    }
    held->next = NULL;
    held->call = call;
    held->mark = mark;
    held->status = status;
    held->out = *out;
    (void)snprintf(held->text, sizeof(held->text), "%s", text);
    tk_buf_init(out, out->max);
    *keeper->held_end = held;
    keeper->held_end = &held->next;
    return true;
}

/* ---- what becomes of a group ---- */

static const char broken_text[] = "the store cannot keep it: disk";

/* Answers up to a mark, out of the list. */
static struct tk_cl_held *
take_held(struct tk_cl_keeper *keeper, uint64_t mark)
{
    struct tk_cl_held *first = keeper->held;
    struct tk_cl_held **link = &keeper->held;

    while (*link != NULL && (*link)->mark <= mark) {
        link = &(*link)->next;
    }
    if (link == &keeper->held) {
        return NULL;
    }
    keeper->held = *link;
    if (keeper->held == NULL) {
        keeper->held_end = &keeper->held;
    }
    *link = NULL;
    return first;
}

/* No lock held. */
static void
answer_held(struct tk_cl_held *held, bool is_kept)
{
    while (held != NULL) {
        struct tk_cl_held *next = held->next;

        if (!is_kept) {
            held->call->reply(held->call, TK_GRPC_UNAVAILABLE, broken_text,
                              (tikv_slice){ NULL, 0 });
        } else {
            held->call->reply(held->call, held->status, held->text,
                              held->status == TK_GRPC_OK
                                  ? tk_buf_slice(&held->out)
                                  : (tikv_slice){ NULL, 0 });
        }
        tk_buf_fini(&held->out);
        tk_free(held);
        held = next;
    }
}

/* Streams that wait speak again, or break off. */
static void
rouse_streams(struct tk_cluster *cluster, bool is_kept)
{
    struct tk_cluster_stream *stream = cluster->streams;

    for (; stream != NULL; stream = stream->next) {
        if (!stream->is_held) {
            continue;
        }
        stream->is_held = false;
        stream->has_news = true;
        cluster->has_news = true;
        if (!is_kept) {
            tk_cl_stream_break(stream, broken_text);
        }
    }
}

static void
publish(struct tk_cl_keeper *keeper, bool is_kept)
{
    struct tk_cluster *cluster = keeper->cluster;
    struct tk_cl_held *held;

    tk_mutex_lock(&cluster->lock);
    keeper->is_failing = !is_kept;
    if (is_kept) {
        keeper->kept = keeper->taken;
    }
    held = take_held(keeper, is_kept ? keeper->kept : UINT64_MAX);
    rouse_streams(cluster, is_kept);
    tk_mutex_unlock(&cluster->lock);
    answer_held(held, is_kept);
    tk_cl_streams_push(cluster);
}

/* With the lock: everything told becomes the group, which is empty. */
static void
take(struct tk_cl_keeper *keeper)
{
    struct tk_buf empty = keeper->group;

    keeper->taken = tk_cl_mark(keeper->cluster);
    keeper->group = keeper->records;
    keeper->records = empty;
    tk_cl_keep_clear(&keeper->records);
}

/* A journal that lost a change for want of memory can keep nothing more:
 * the group stays as it is, failed. */
static int
append(struct tk_cl_keeper *keeper)
{
    int result = 0;

    if (keeper->group.failed) {
        result = -ENOMEM;
    } else if (!is_empty(&keeper->group)) {
        result = tk_wal_append(keeper->wal, &keeper->group);
    }
    if (result == 0) {
        tk_cl_keep_clear(&keeper->group);
    }
    return result;
}

/* ---- checkpoints ---- */

static int
begin_checkpoint(struct tk_cl_keeper *keeper)
{
    struct tk_cluster *cluster = keeper->cluster;
    int result;

    tk_cl_keep_clear(&keeper->frame);
    tk_mutex_lock(&cluster->lock);
    take(keeper);
    tk_journal_dump_state(&keeper->frame, cluster);
    tk_mutex_unlock(&cluster->lock);
    result = append(keeper);
    publish(keeper, result == 0);
    if (result == 0) {
        result = tk_wal_rotate(keeper->wal);
    }
    if (result == 0) {
        keeper->checkpoint = TK_CL_CHECKPOINT_DATA;
        tk_dump_fini(&keeper->dump);
        tk_dump_init(&keeper->dump);
        result = tk_wal_checkpoint(keeper->wal, &keeper->frame);
    }
    return result;
}

static int
go_on(struct tk_cl_keeper *keeper, size_t piece)
{
    struct tk_cluster *cluster = keeper->cluster;
    bool more;

    if (keeper->checkpoint == TK_CL_CHECKPOINT_END) {
        keeper->checkpoint = TK_CL_CHECKPOINT_NONE;
        return tk_wal_checkpoint_end(keeper->wal);
    }
    tk_cl_keep_clear(&keeper->frame);
    tk_mutex_lock(&cluster->lock);
    more = tk_journal_dump_data(&keeper->frame, cluster, &keeper->dump,
                                piece);
    tk_mutex_unlock(&cluster->lock);
    if (!more) {
        /* Ended in the next step: what the pieces saw is appended then. */
        keeper->checkpoint = TK_CL_CHECKPOINT_END;
    }
    return is_empty(&keeper->frame)
               ? 0
               : tk_wal_checkpoint(keeper->wal, &keeper->frame);
}

/* When the next one is due; the log grows in proportion to the data. */
static void
set_due(struct tk_cl_keeper *keeper, int result)
{
    uint64_t now = tk_wal_log_bytes(keeper->wal);
    uint64_t data = keeper->wal->written * 2;

    if (result < 0) {
        tk_wal_checkpoint_drop(keeper->wal);
        keeper->checkpoint = TK_CL_CHECKPOINT_NONE;
        keeper->due = now + keeper->limit / 4 + 1;
    } else {
        keeper->due = data > keeper->limit ? data : keeper->limit;
    }
}

/* A piece of a checkpoint, if one is due. */
static bool
step_checkpoint(struct tk_cl_keeper *keeper, size_t piece)
{
    int result;

    if (keeper->checkpoint == TK_CL_CHECKPOINT_NONE) {
        if (tk_wal_log_bytes(keeper->wal) < keeper->due) {
            return false;
        }
        result = begin_checkpoint(keeper);
    } else {
        result = go_on(keeper, piece);
    }
    if (result < 0 || keeper->checkpoint == TK_CL_CHECKPOINT_NONE) {
        set_due(keeper, result);
    }
    return true;
}

int
tk_cl_keep_whole(struct tk_cl_keeper *keeper)
{
    int result = begin_checkpoint(keeper);

    while (result == 0 && keeper->checkpoint != TK_CL_CHECKPOINT_NONE) {
        result = go_on(keeper, PIECE);
    }
    set_due(keeper, result);
    return result;
}

enum tk_cl_step
tk_cl_keep_step(struct tk_cl_keeper *keeper)
{
    struct tk_cluster *cluster = keeper->cluster;
    size_t piece;
    bool done;
    int result;

    tk_mutex_lock(&cluster->lock);
    if (is_empty(&keeper->group)) {
        take(keeper);
    }
    done = !is_empty(&keeper->group);
    tk_mutex_unlock(&cluster->lock);
    piece = keeper->group.len > PIECE ? keeper->group.len : PIECE;
    if (done) {
        result = append(keeper);
        publish(keeper, result == 0);
        if (result < 0) {
            return TK_CL_STEP_FAILED;
        }
    }
    done = step_checkpoint(keeper, piece) || done;
    return done ? TK_CL_STEP_DONE : TK_CL_STEP_IDLE;
}

/* ---- the thread ---- */

static void
run(void *arg)
{
    struct tk_cl_keeper *keeper = arg;
    struct tk_cluster *cluster = keeper->cluster;
    struct tk_runtime *rt = cluster->rt;
    struct tk_parker *me = tk_self(rt);
    bool is_closing;

    for (;;) {
        enum tk_cl_step step;

        tk_park_begin(me);
        tk_mutex_lock(&cluster->lock);
        keeper->sleeper = me;
        is_closing = keeper->is_closing;
        tk_mutex_unlock(&cluster->lock);
        step = tk_cl_keep_step(keeper);
        if (is_closing && step != TK_CL_STEP_DONE) {
            return;
        }
        if (step == TK_CL_STEP_FAILED) {
            rt->ops->park(rt, me, tk_after(tk_now(rt), RETRY_MS * TK_MS));
        } else if (step == TK_CL_STEP_IDLE) {
            rt->ops->park(rt, me, TK_NEVER);
        }
    }
}

bool
tk_cl_keep_spawn(struct tk_cl_keeper *keeper)
{
    struct tk_runtime *rt = keeper->cluster->rt;

    keeper->thread = rt->ops->spawn(rt, "tikv-keep", run, keeper);
    return keeper->thread != NULL;
}

void
tk_cl_keep_stop(struct tk_cluster *cluster)
{
    struct tk_cl_keeper *keeper = cluster->keeper;
    struct tk_runtime *rt = cluster->rt;
    struct tk_parker *sleeper;

    if (keeper == NULL || !keeper->is_ready) {
        return;
    }
    tk_mutex_lock(&cluster->lock);
    keeper->is_closing = true;
    sleeper = keeper->sleeper;
    tk_mutex_unlock(&cluster->lock);
    if (keeper->thread != NULL) {
        if (sleeper != NULL && tk_ring(sleeper)) {
            rt->ops->wake(rt, &sleeper, 1);
        }
        rt->ops->join(rt, keeper->thread);
        keeper->thread = NULL;
    } else {
        while (tk_cl_keep_step(keeper) == TK_CL_STEP_DONE) {
        }
    }
}

enum tk_cl_step
tk_cluster_keep(struct tk_cluster *cluster)
{
    return tk_cl_keep_step(cluster->keeper);
}

/* ---- waiting for it without a request ---- */

struct settling {
    struct tk_cluster_call call;
    struct tk_runtime *rt;
    struct tk_parker *me;
    _Atomic int status; /* -1: not yet */
};

static void
on_settled(struct tk_cluster_call *call, int status, const char *message,
           tikv_slice data)
{
    struct settling *settling = call->owner;
    struct tk_runtime *rt = settling->rt;
    struct tk_parker *me = settling->me;

    (void)message;
    (void)data;
    atomic_store(&settling->status, status);
    /* The parker outlives what was waited for. */
    if (tk_ring(me)) {
        rt->ops->wake(rt, &me, 1);
    }
}

tikv_error *
tk_cluster_settle(struct tk_cluster *cluster)
{
    struct settling settling = {
        .call = { on_settled, NULL, &settling },
        .rt = cluster->rt,
        .me = cluster->keeper == NULL ? NULL : tk_self(cluster->rt),
        .status = -1,
    };
    struct tk_buf none;
    bool waits;

    if (cluster->keeper == NULL || cluster->keeper->thread == NULL) {
        return NULL;
    }
    tk_buf_init(&none, 0);
    tk_mutex_lock(&cluster->lock);
    waits = tk_cl_hold(cluster, &settling.call, TK_GRPC_OK, "", &none);
    tk_cl_unlock(cluster);
    while (waits) {
        tk_park_begin(settling.me);
        if (atomic_load(&settling.status) >= 0) {
            break;
        }
        cluster->rt->ops->park(cluster->rt, settling.me, TK_NEVER);
    }
    if (none.failed) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    return waits && settling.status != TK_GRPC_OK
               ? tk_error(TIKV_ERR_DISK_FULL, "%s", broken_text)
               : NULL;
}
