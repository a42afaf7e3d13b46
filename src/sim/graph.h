/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has to come before whom, and cycles in that.
 *
 *     ww   it wrote what the other one wrote over
 *     wr   it wrote what the other one read
 *     rw   it read what the other one wrote over
 *     rt   it had ended when the other one began
 *
 * One thread.
 */
#ifndef TK_SIM_GRAPH_H
#define TK_SIM_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TK_EDGE_WW 1u
#define TK_EDGE_WR 2u
#define TK_EDGE_RW 4u
#define TK_EDGE_RT 8u

struct tk_edge {
    uint32_t from;
    uint32_t to;
    uint32_t kind; /* one TK_EDGE_... */
    uint32_t key;  /* of rt: meaningless */
};

struct tk_graph {
    uint32_t nodes;
    struct tk_edge *edges;
    size_t count;
    size_t room;
    bool failed; /* no memory */
};

void
tk_graph_init(struct tk_graph *graph, uint32_t nodes);

void
tk_graph_fini(struct tk_graph *graph);

/* An edge to oneself says nothing and is left out. */
void
tk_graph_add(struct tk_graph *graph, uint32_t from, uint32_t to, uint32_t kind,
             uint32_t key);

/* A shortest cycle of edges of `kinds`; with `apart` one where no rw follows
 * another. Its length, the numbers of its edges in `path` up to `max` of
 * them. 0: there is none, or `failed` was set. */
size_t
tk_graph_cycle(struct tk_graph *graph, uint32_t kinds, bool apart,
               uint32_t *path, size_t max);

#endif
