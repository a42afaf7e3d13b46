/* SPDX-License-Identifier: Apache-2.0 */
/* See latch.h. */
#include "txn/latch.h"

#include <stdlib.h>

#include <xxhash.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/slice.h"

enum { CROWD = 5 }; /* nodes of a slot before it is swept */

/* Nobody begins so late: what was committed longer ago concerns no one. */
#define IDLE_TS (UINT64_C(2) * 60 * 1000 << 18)

struct tk_latch_node {
    struct tk_latch_node *next; /* of the slot */
    uint64_t hash;
    uint64_t commit_ts; /* the newest known */
    struct tk_latch_ticket *owner;
    struct tk_latch_place *first; /* those who wait */
    struct tk_latch_place *last;
};

struct slot {
    struct tk_latch_node *nodes;
    size_t count;
};

struct tk_latches {
    struct tk_runtime *rt;
    struct tk_mutex lock;
    size_t mask;
    struct slot slots[];
};

struct tk_latches *
tk_latches_new(struct tk_runtime *rt, size_t slots_count)
{
    struct tk_latches *latches;
    size_t count = 1;

    while (count < slots_count) {
        count *= 2;
    }
    latches = tk_calloc(sizeof(*latches) + count * sizeof(struct slot));
    if (latches != NULL) {
        latches->rt = rt;
        latches->mask = count - 1;
        tk_mutex_init(&latches->lock, TK_RANK_LEAF);
    }
    return latches;
}

void
tk_latches_free(struct tk_latches *latches)
{
    size_t i;

    if (latches == NULL) {
        return;
    }
    for (i = 0; i <= latches->mask; i++) {
        struct tk_latch_node *node = latches->slots[i].nodes;

        while (node != NULL) {
            struct tk_latch_node *next = node->next;

            tk_free(node);
            node = next;
        }
    }
    tk_mutex_fini(&latches->lock);
    tk_free(latches);
}

/* ---- tickets ---- */

bool
tk_latch_ticket_init(struct tk_latch_ticket *ticket, uint64_t start_ts,
                     size_t keys_count)
{
    *ticket = (struct tk_latch_ticket){ .start_ts = start_ts };
    ticket->places = tk_alloc_array(keys_count + 1, sizeof(*ticket->places));
    return ticket->places != NULL;
}

void
tk_latch_ticket_fini(struct tk_latch_ticket *ticket)
{
    tk_free(ticket->places);
    ticket->places = NULL;
}

void
tk_latch_ticket_add(struct tk_latch_ticket *ticket, tikv_slice key)
{
    ticket->places[ticket->count++] =
        (struct tk_latch_place){ .hash = XXH3_64bits(key.data, key.len),
                                 .ticket = ticket };
}

static int
compare_places(const void *a, const void *b)
{
    const struct tk_latch_place *left = a;
    const struct tk_latch_place *right = b;

    return left->hash < right->hash ? -1 : left->hash > right->hash;
}

static void
sort_places(struct tk_latch_ticket *ticket)
{
    size_t kept = 0;
    size_t i;

    qsort(ticket->places, ticket->count, sizeof(*ticket->places),
          compare_places);
    for (i = 0; i < ticket->count; i++) {
        if (kept == 0 ||
            ticket->places[kept - 1].hash != ticket->places[i].hash) {
            ticket->places[kept++] = ticket->places[i];
        }
    }
    ticket->count = kept;
}

/* ---- nodes; under the lock ---- */

static void
sweep(struct slot *slot, uint64_t now_ts)
{
    struct tk_latch_node **at = &slot->nodes;

    while (*at != NULL) {
        struct tk_latch_node *node = *at;

        if (node->owner == NULL && node->commit_ts + IDLE_TS < now_ts) {
            *at = node->next;
            slot->count--;
            tk_free(node);
        } else {
            at = &node->next;
        }
    }
}

static struct tk_latch_node *
node_of(struct tk_latches *latches, uint64_t hash, uint64_t now_ts)
{
    struct slot *slot = &latches->slots[hash & latches->mask];
    struct tk_latch_node *node;

    for (node = slot->nodes; node != NULL; node = node->next) {
        if (node->hash == hash) {
            return node;
        }
    }
    if (slot->count >= CROWD) {
        sweep(slot, now_ts);
    }
    node = tk_calloc(sizeof(*node));
    if (node != NULL) {
        node->hash = hash;
        node->next = slot->nodes;
        slot->nodes = node;
        slot->count++;
    }
    return node;
}

static void
queue_up(struct tk_latch_node *node, struct tk_latch_place *place)
{
    place->next = NULL;
    if (node->first == NULL) {
        node->first = place;
    } else {
        node->last->next = place;
    }
    node->last = place;
}

/* False: it is not in the queue any more. */
static bool
step_out(struct tk_latch_node *node, struct tk_latch_place *place)
{
    struct tk_latch_place *before = NULL;
    struct tk_latch_place *at = node->first;

    while (at != NULL && at != place) {
        before = at;
        at = at->next;
    }
    if (at == NULL) {
        return false;
    }
    if (before == NULL) {
        node->first = place->next;
    } else {
        before->next = place->next;
    }
    if (node->last == place) {
        node->last = before;
    }
    return true;
}

/* ---- lock and unlock ---- */

enum turn { TAKEN, WAITS, STALE, NO_MEMORY };

static enum turn
take_next(struct tk_latches *latches, struct tk_op *op,
          struct tk_latch_ticket *ticket)
{
    struct tk_latch_place *place = &ticket->places[ticket->taken];

    place->node = node_of(latches, place->hash, ticket->start_ts);
    if (place->node == NULL) {
        return NO_MEMORY;
    }
    if (place->node->commit_ts > ticket->start_ts) {
        return STALE;
    }
    if (place->node->owner != NULL) {
        tk_signal_init(&ticket->signal, op);
        queue_up(place->node, place);
        return WAITS;
    }
    place->node->owner = ticket;
    ticket->taken++;
    return TAKEN;
}

static tikv_error *
conflict(const struct tk_latch_ticket *ticket)
{
    tikv_error *error =
        tk_error(TIKV_ERR_WRITE_CONFLICT,
                 "transaction %llu: this client committed one of its keys "
                 "since",
                 (unsigned long long)ticket->start_ts);

    tk_error_set_u64(error, TIKV_ERROR_START_TS, ticket->start_ts);
    return error;
}

/* The place was handed over, or the op ended first. */
static tikv_error *
await_turn(struct tk_latches *latches, struct tk_op *op,
           struct tk_latch_ticket *ticket, struct tk_latch_place *place)
{
    tikv_error *error = tk_op_await_turn(op, &ticket->signal);
    bool was_in_queue;

    if (error != NULL) {
        tk_mutex_lock(&latches->lock);
        was_in_queue = step_out(place->node, place);
        tk_mutex_unlock(&latches->lock);
        if (!was_in_queue) {
            tk_op_await_surely(op, &ticket->signal);
        }
        return error;
    }
    return ticket->is_stale ? conflict(ticket) : NULL;
}

tikv_error *
tk_latches_lock(struct tk_latches *latches, struct tk_op *op,
                struct tk_latch_ticket *ticket)
{
    tikv_error *error = NULL;

    sort_places(ticket);
    while (error == NULL && ticket->taken < ticket->count) {
        struct tk_latch_place *place = &ticket->places[ticket->taken];
        enum turn turn;

        tk_mutex_lock(&latches->lock);
        turn = take_next(latches, op, ticket);
        tk_mutex_unlock(&latches->lock);
        if (turn == WAITS) {
            error = await_turn(latches, op, ticket, place);
        } else if (turn == STALE) {
            error = conflict(ticket);
        } else if (turn == NO_MEMORY) {
            error = tk_error_immortal(TIKV_ERR_MEMORY);
        }
    }
    if (error != NULL) {
        tk_latches_unlock(latches, ticket, 0);
    }
    return error;
}

/* To the first in the queue, who may find itself too late. */
static void
hand_over(struct tk_latch_node *node, struct tk_wakes *wakes)
{
    struct tk_latch_place *place = node->first;
    struct tk_latch_ticket *heir;

    node->owner = NULL;
    if (place == NULL) {
        return;
    }
    node->first = place->next;
    heir = place->ticket;
    node->owner = heir;
    heir->is_stale = node->commit_ts > heir->start_ts;
    heir->taken++;
    /* From here on the heir may be gone. */
    tk_signal_set(&heir->signal, wakes);
}

void
tk_latches_unlock(struct tk_latches *latches, struct tk_latch_ticket *ticket,
                  uint64_t commit_ts)
{
    size_t i;

    for (i = 0; i < ticket->taken; i++) {
        struct tk_latch_node *node = ticket->places[i].node;
        struct tk_wakes wakes;

        tk_wakes_init(&wakes, latches->rt);
        tk_mutex_lock(&latches->lock);
        if (commit_ts > node->commit_ts) {
            node->commit_ts = commit_ts;
        }
        hand_over(node, &wakes);
        tk_mutex_unlock(&latches->lock);
        tk_wakes_flush(&wakes);
    }
    ticket->taken = 0;
}
