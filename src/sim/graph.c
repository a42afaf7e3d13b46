/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place is a node and whether the last edge was an rw, so that "no rw after
 * another" is a question of which places an edge joins. A cycle that keeps rw
 * apart has an edge that is none: it is found from places without one.
 *
 * What has no way in or no way out is peeled off first; nothing is left when
 * there is no cycle, which is the rule. From the rest one goes breadth first.
 */
#include "sim/graph.h"

#include <string.h>

#include "base/alloc.h"
#include "sim/history.h"

void
tk_graph_init(struct tk_graph *graph, uint32_t nodes)
{
    memset(graph, 0, sizeof(*graph));
    graph->nodes = nodes;
}

void
tk_graph_fini(struct tk_graph *graph)
{
    tk_free(graph->edges);
    memset(graph, 0, sizeof(*graph));
}

void
tk_graph_add(struct tk_graph *graph, uint32_t from, uint32_t to, uint32_t kind,
             uint32_t key)
{
    if (from == to) {
        return;
    }
    if (graph->count == graph->room) {
        size_t room = graph->room == 0 ? 256 : graph->room * 2;
        struct tk_edge *grown =
            (struct tk_edge *)tk_realloc(graph->edges, room * sizeof(*grown));

        if (grown == NULL) {
            graph->failed = true;
            return;
        }
        graph->edges = grown;
        graph->room = room;
    }
    graph->edges[graph->count++] = (struct tk_edge){ from, to, kind, key };
}

/* Arcs between places, grouped by where they begin. */
struct arc {
    uint32_t to;
    uint32_t edge;
};

struct walk {
    uint32_t places;
    uint32_t *begin; /* of each place; one more: the end */
    struct arc *arcs;
    uint32_t *ways_in;
    uint32_t *queue;
    uint32_t *by;   /* the arc's edge that first led here */
    uint32_t *from; /* and its place; TK_SIM_NONE: not seen */
    bool *is_left;  /* not peeled off */
};

/* Calls for each arc of an edge; their count. */
static uint32_t
arcs_of(const struct tk_edge *edge, bool apart, uint32_t *from, uint32_t *to)
{
    bool is_rw = edge->kind == TK_EDGE_RW;

    if (!apart) {
        from[0] = edge->from * 2;
        to[0] = edge->to * 2;
        return 1;
    }
    from[0] = edge->from * 2;
    from[1] = edge->from * 2 + 1;
    to[0] = to[1] = edge->to * 2 + is_rw;
    return is_rw ? 1 : 2;
}

static bool
walk_new(struct walk *walk, const struct tk_graph *graph)
{
    size_t places = (size_t)graph->nodes * 2;

    memset(walk, 0, sizeof(*walk));
    walk->places = (uint32_t)places;
    walk->begin = (uint32_t *)tk_calloc((places + 2) * sizeof(uint32_t));
    walk->arcs =
        (struct arc *)tk_alloc_array(graph->count * 2 + 1, sizeof(struct arc));
    walk->ways_in = (uint32_t *)tk_calloc((places + 1) * sizeof(uint32_t));
    walk->queue = (uint32_t *)tk_alloc_array(places + 1, sizeof(uint32_t));
    walk->by = (uint32_t *)tk_alloc_array(places + 1, sizeof(uint32_t));
    walk->from = (uint32_t *)tk_alloc_array(places + 1, sizeof(uint32_t));
    walk->is_left = (bool *)tk_alloc_array(places + 1, sizeof(bool));
    return walk->begin != NULL && walk->arcs != NULL && walk->ways_in != NULL &&
           walk->queue != NULL && walk->by != NULL && walk->from != NULL &&
           walk->is_left != NULL;
}

static void
walk_free(struct walk *walk)
{
    tk_free(walk->begin);
    tk_free(walk->arcs);
    tk_free(walk->ways_in);
    tk_free(walk->queue);
    tk_free(walk->by);
    tk_free(walk->from);
    tk_free(walk->is_left);
}

/* Counting sort by where arcs begin. */
static void
sort_arcs(struct walk *walk, const struct tk_graph *graph, uint32_t kinds,
          bool apart)
{
    uint32_t from[2];
    uint32_t to[2];
    uint32_t count;
    uint32_t i;
    size_t e;

    for (e = 0; e < graph->count; e++) {
        if ((graph->edges[e].kind & kinds) == 0) {
            continue;
        }
        count = arcs_of(&graph->edges[e], apart, from, to);
        for (i = 0; i < count; i++) {
            walk->begin[from[i] + 2]++;
            walk->ways_in[to[i]]++;
        }
    }
    for (i = 0; i < walk->places; i++) {
        walk->begin[i + 2] += walk->begin[i + 1];
        walk->is_left[i] = true;
    }
    for (e = 0; e < graph->count; e++) {
        if ((graph->edges[e].kind & kinds) == 0) {
            continue;
        }
        count = arcs_of(&graph->edges[e], apart, from, to);
        for (i = 0; i < count; i++) {
            walk->arcs[walk->begin[from[i] + 1]++] =
                (struct arc){ to[i], (uint32_t)e };
        }
    }
}

/* Peels off what has no way in; how many places are left. */
static uint32_t
peel(struct walk *walk)
{
    uint32_t left = walk->places;
    uint32_t head = 0;
    uint32_t tail = 0;
    uint32_t i;

    for (i = 0; i < walk->places; i++) {
        if (walk->ways_in[i] == 0) {
            walk->queue[tail++] = i;
        }
    }
    while (head < tail) {
        uint32_t place = walk->queue[head++];

        walk->is_left[place] = false;
        left--;
        for (i = walk->begin[place]; i < walk->begin[place + 1]; i++) {
            if (--walk->ways_in[walk->arcs[i].to] == 0) {
                walk->queue[tail++] = walk->arcs[i].to;
            }
        }
    }
    return left;
}

/* The length of a shortest way from `start` back to it, below `limit`. */
static size_t
circle(struct walk *walk, uint32_t start, size_t limit, uint32_t *last)
{
    uint32_t head = 0;
    uint32_t tail = 0;
    uint32_t level_end = 1;
    size_t length = 1;
    uint32_t i;

    memset(walk->from, 0xff, walk->places * sizeof(*walk->from));
    walk->queue[tail++] = start;
    while (head < tail && length < limit) {
        uint32_t place = walk->queue[head++];

        for (i = walk->begin[place]; i < walk->begin[place + 1]; i++) {
            uint32_t to = walk->arcs[i].to;

            if (to == start) {
                walk->by[start] = walk->arcs[i].edge;
                *last = place;
                return length;
            }
            if (walk->is_left[to] && walk->from[to] == TK_SIM_NONE) {
                walk->from[to] = place;
                walk->by[to] = walk->arcs[i].edge;
                walk->queue[tail++] = to;
            }
        }
        if (head == level_end) {
            level_end = tail;
            length++;
        }
    }
    return 0;
}

/* The edges of the way that circle() found, in their order. */
static void
keep_path(const struct walk *walk, uint32_t start, uint32_t last, size_t length,
          uint32_t *path, size_t max)
{
    uint32_t place = last;
    size_t at = length - 1;

    if (at < max) {
        path[at] = walk->by[start];
    }
    while (place != start) {
        at--;
        if (at < max) {
            path[at] = walk->by[place];
        }
        place = walk->from[place];
    }
}

size_t
tk_graph_cycle(struct tk_graph *graph, uint32_t kinds, bool apart,
               uint32_t *path, size_t max)
{
    struct walk walk;
    size_t best = 0;
    uint32_t last = 0;
    uint32_t i;

    if (!walk_new(&walk, graph)) {
        graph->failed = true;
        walk_free(&walk);
        return 0;
    }
    sort_arcs(&walk, graph, kinds, apart);
    if (peel(&walk) != 0) {
        for (i = 0; i < walk.places && best != 2; i += 2) {
            size_t length =
                walk.is_left[i]
                    ? circle(&walk, i, best == 0 ? SIZE_MAX : best, &last)
                    : 0;

            if (length != 0) {
                best = length;
                keep_path(&walk, i, last, length, path, max);
            }
        }
    }
    walk_free(&walk);
    return best;
}
