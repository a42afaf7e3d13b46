/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The deadlock detector: who waits for whom, as the leader of the first
 * region knows it. Edges are forgotten after a second, when the wait ends and
 * when that leader changes. Who closes a circle is told the way around it.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/fingerprint.h"
#include "base/slice.h"
#include "cluster/txn.h"

enum { EDGE_MS = 1000 };

static struct tk_cl_edge *
edge_new(uint64_t waiter_ts, uint64_t holder_ts, tikv_slice key,
         tikv_slice tag)
{
    struct tk_cl_edge *edge = tk_calloc(sizeof(*edge) + key.len + tag.len);
    uint8_t *bytes;

    if (edge == NULL) {
        return NULL;
    }
    bytes = (uint8_t *)(edge + 1);
    if (key.len > 0) {
        memcpy(bytes, key.data, key.len);
    }
    if (tag.len > 0) {
        memcpy(bytes + key.len, tag.data, tag.len);
    }
    edge->key = tk_slice(bytes, key.len);
    edge->tag = tk_slice(bytes + key.len, tag.len);
    edge->hash = tk_fingerprint64(key);
    edge->waiter_ts = waiter_ts;
    edge->holder_ts = holder_ts;
    return edge;
}

static void
expire(struct tk_cluster *cluster, int64_t now)
{
    struct tk_cl_edge **at = &cluster->edges;

    while (*at != NULL) {
        struct tk_cl_edge *edge = *at;

        if (edge->until <= now) {
            *at = edge->next;
            tk_free(edge);
        } else {
            at = &edge->next;
        }
    }
}

/* Whether `to` can be reached from `from`, breadth first: an edge is linked
 * to the one it was reached from, so the way is read backwards. */
static struct tk_cl_edge *
search(struct tk_cluster *cluster, uint64_t from, uint64_t to)
{
    struct tk_cl_edge *edge;
    struct tk_cl_edge *other;
    bool grows = true;

    for (edge = cluster->edges; edge != NULL; edge = edge->next) {
        edge->link = edge->waiter_ts == from ? edge : NULL;
    }
    while (grows) {
        grows = false;
        for (edge = cluster->edges; edge != NULL; edge = edge->next) {
            if (edge->link != NULL && edge->holder_ts == to) {
                return edge;
            }
            for (other = cluster->edges;
                 edge->link != NULL && other != NULL; other = other->next) {
                if (other->link == NULL &&
                    other->waiter_ts == edge->holder_ts) {
                    other->link = edge;
                    grows = true;
                }
            }
        }
    }
    return NULL;
}

/* Turns the links around: from the first edge of the way to `closing`. */
static struct tk_cl_edge *
turn(struct tk_cl_edge *last, struct tk_cl_edge *closing)
{
    struct tk_cl_edge *after = closing;

    closing->link = NULL;
    for (;;) {
        struct tk_cl_edge *before = last->link;
        bool is_first = before == last;

        last->link = after;
        after = last;
        if (is_first) {
            return last;
        }
        last = before;
    }
}

/* An edge of the same two: a further key, or the same again. */
static bool
is_known(struct tk_cluster *cluster, uint64_t waiter_ts, uint64_t holder_ts,
         tikv_slice key, int64_t until, bool *has_key)
{
    struct tk_cl_edge *edge;
    bool found = false;

    *has_key = false;
    for (edge = cluster->edges; edge != NULL; edge = edge->next) {
        if (edge->waiter_ts == waiter_ts && edge->holder_ts == holder_ts) {
            found = true;
            edge->until = until;
            *has_key = *has_key || tk_slice_equal(edge->key, key);
        }
    }
    return found;
}

bool
tk_cl_detect(struct tk_cluster *cluster, uint64_t waiter_ts,
             uint64_t holder_ts, tikv_slice key, tikv_slice tag,
             struct tk_key_error *error)
{
    int64_t now = tk_now(cluster->rt);
    int64_t until = tk_after(now, EDGE_MS * TK_MS);
    struct tk_cl_edge *edge;
    struct tk_cl_edge *last = NULL;
    bool has_key;

    expire(cluster, now);
    if (is_known(cluster, waiter_ts, holder_ts, key, until, &has_key)) {
        if (has_key) {
            return false;
        }
    } else {
        last = search(cluster, holder_ts, waiter_ts);
    }
    edge = edge_new(waiter_ts, holder_ts, key, tag);
    if (edge == NULL) {
        return false;
    }
    /* The edge that closes the circle is told and then expires at once. */
    edge->until = last == NULL ? until : now;
    edge->next = cluster->edges;
    cluster->edges = edge;
    if (last == NULL) {
        return false;
    }
    *error = (struct tk_key_error){ .kind = TK_KE_DEADLOCK,
                                    .key = key,
                                    .conflict_ts = holder_ts,
                                    .deadlock_hash = last->hash };
    error->chain = turn(last, edge);
    return true;
}

void
tk_cl_detector_forget(struct tk_cluster *cluster, uint64_t waiter_ts,
                      tikv_slice key)
{
    struct tk_cl_edge **at = &cluster->edges;
    int64_t now = tk_now(cluster->rt);

    /* One that is over now may still be told of. */
    while (*at != NULL) {
        struct tk_cl_edge *edge = *at;

        if (edge->waiter_ts == waiter_ts && edge->until > now &&
            tk_slice_equal(edge->key, key)) {
            *at = edge->next;
            tk_free(edge);
        } else {
            at = &edge->next;
        }
    }
}

void
tk_cl_detector_clear(struct tk_cluster *cluster)
{
    while (cluster->edges != NULL) {
        struct tk_cl_edge *edge = cluster->edges;

        cluster->edges = edge->next;
        tk_free(edge);
    }
}
