/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cycles by their kinds: which edges count, whether an rw may follow another,
 * that the shortest one is found, and that it says the same as a search that
 * tries everything.
 */
#include "harness/harness.h"

#include "base/rng.h"
#include "sim/graph.h"

#define ALL (TK_EDGE_WW | TK_EDGE_WR | TK_EDGE_RW | TK_EDGE_RT)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static size_t
cycle_of(const struct tk_edge *edges, size_t count, uint32_t kinds, bool apart)
{
    struct tk_graph graph;
    uint32_t path[16];
    size_t length;
    size_t i;

    tk_graph_init(&graph, 8);
    for (i = 0; i < count; i++) {
        tk_graph_add(&graph, edges[i].from, edges[i].to, edges[i].kind, 0);
    }
    length = tk_graph_cycle(&graph, kinds, apart, path, COUNT(path));
    assert_false(graph.failed);
    for (i = 0; i < length; i++) {
        const struct tk_edge *edge = &graph.edges[path[i]];
        const struct tk_edge *next = &graph.edges[path[(i + 1) % length]];

        assert_int_equal(edge->to, next->from);
        assert_true((edge->kind & kinds) != 0);
        assert_false(apart && edge->kind == TK_EDGE_RW &&
                     next->kind == TK_EDGE_RW);
    }
    tk_graph_fini(&graph);
    return length;
}

static void
graph__finds_the_shortest_cycle(void **state)
{
    static const struct tk_edge edges[] = {
        { 0, 1, TK_EDGE_WW, 0 }, { 1, 2, TK_EDGE_WR, 0 },
        { 2, 3, TK_EDGE_RW, 0 }, { 3, 0, TK_EDGE_WW, 0 },
        { 2, 0, TK_EDGE_RT, 0 }, { 5, 6, TK_EDGE_WW, 0 },
        { 6, 7, TK_EDGE_WW, 0 }, { 4, 4, TK_EDGE_WW, 0 },
    };

    (void)state;
    assert_int_equal(cycle_of(edges, COUNT(edges), ALL, false), 3);
    assert_int_equal(cycle_of(edges, COUNT(edges), ALL & ~TK_EDGE_RT, false),
                     4);
    assert_int_equal(cycle_of(edges, COUNT(edges), TK_EDGE_WW, false), 0);
    assert_int_equal(cycle_of(edges, 3, ALL, false), 0);
}

static void
graph__keeps_rw_apart_where_asked(void **state)
{
    static const struct tk_edge skew[] = {
        { 0, 1, TK_EDGE_RW, 0 },
        { 1, 0, TK_EDGE_RW, 0 },
    };
    static const struct tk_edge read_only[] = {
        { 0, 1, TK_EDGE_RW, 0 },
        { 1, 2, TK_EDGE_RW, 0 },
        { 2, 0, TK_EDGE_WR, 0 },
    };
    static const struct tk_edge apart[] = {
        { 0, 1, TK_EDGE_RW, 0 },
        { 1, 2, TK_EDGE_WW, 0 },
        { 2, 3, TK_EDGE_RW, 0 },
        { 3, 0, TK_EDGE_WR, 0 },
    };

    (void)state;
    assert_int_equal(cycle_of(skew, COUNT(skew), ALL, false), 2);
    assert_int_equal(cycle_of(skew, COUNT(skew), ALL, true), 0);
    assert_int_equal(cycle_of(read_only, COUNT(read_only), ALL, true), 0);
    assert_int_equal(cycle_of(read_only, COUNT(read_only), ALL, false), 3);
    assert_int_equal(cycle_of(apart, COUNT(apart), ALL, true), 4);
}

/* The shortest closed walk from `start` within `left` edges, by trying all. */
static size_t
try_all(const struct tk_edge *edges, size_t count, uint32_t start,
        uint32_t node, bool was_rw, bool apart, size_t made, size_t limit)
{
    size_t best = 0;
    size_t i;

    for (i = 0; i < count && made < limit; i++) {
        bool is_rw = edges[i].kind == TK_EDGE_RW;
        size_t found;

        if (edges[i].from != node || edges[i].to == node ||
            (apart && was_rw && is_rw)) {
            continue;
        }
        found = edges[i].to == start && !(apart && is_rw)
                    ? made + 1
                    : try_all(edges, count, start, edges[i].to, is_rw, apart,
                              made + 1, limit);
        if (found != 0 && (best == 0 || found < best)) {
            best = found;
        }
    }
    return best;
}

static void
graph__agrees_with_a_search_that_tries_everything(void **state)
{
    struct tk_rng rng = { 7 };
    size_t cycles = 0;
    int round;

    (void)state;
    for (round = 0; round < 3000; round++) {
        struct tk_edge edges[9];
        size_t count = 2 + tk_rng_below(&rng, 8);
        bool apart = tk_rng_below(&rng, 2) == 0;
        size_t best = 0;
        size_t found;
        size_t i;

        for (i = 0; i < count; i++) {
            edges[i] = (struct tk_edge){
                (uint32_t)tk_rng_below(&rng, 5),
                (uint32_t)tk_rng_below(&rng, 5),
                tk_rng_below(&rng, 2) == 0 ? TK_EDGE_RW : TK_EDGE_WW, 0
            };
        }
        for (i = 0; i < 5; i++) {
            size_t one = try_all(edges, count, (uint32_t)i, (uint32_t)i, false,
                                 apart, 0, best == 0 ? 9 : best - 1);

            best = one != 0 ? one : best;
        }
        found = cycle_of(edges, count, ALL, apart);
        assert_int_equal(found, best);
        cycles += found != 0;
    }
    assert_true(cycles > 300 && cycles < 2700);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(graph__finds_the_shortest_cycle),
        harness_test(graph__keeps_rw_apart_where_asked),
        harness_test(graph__agrees_with_a_search_that_tries_everything),
    };

    return harness_run(tests);
}
