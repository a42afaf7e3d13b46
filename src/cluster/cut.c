/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list of cuts, each one way between two parties. It is short: whoever
 * asks walks it.
 */
#include "cluster/cut.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cluster/core.h"

struct cut {
    uint64_t id;
    tk_node from;
    tk_node to;
    uint32_t mode;
};

static const struct cut *
cuts_of(const struct tk_cluster *cluster, size_t *count)
{
    *count = cluster->cuts.len / sizeof(struct cut);
    return (const struct cut *)(const void *)cluster->cuts.data;
}

bool
tk_cl_is_cut(const struct tk_cluster *cluster, tk_node from, tk_node to,
             uint32_t *mode)
{
    size_t count;
    const struct cut *cuts = cuts_of(cluster, &count);
    size_t i;

    for (i = 0; i < count; i++) {
        if (cuts[i].from == from && cuts[i].to == to) {
            *mode = cuts[i].mode;
            return true;
        }
    }
    return false;
}

/* Whether a party of that index goes by the name. */
static bool
is_named(const char *name, const char *kind, uint64_t index)
{
    size_t len = strlen(kind);

    return strncmp(name, kind, len) == 0 &&
           (strcmp(name + len, "*") == 0 ||
            (name[len] >= '0' && name[len] <= '9' &&
             strtoull(name + len, NULL, 10) == index));
}

/* The nth party that has the name; false behind the last. */
static bool
party(const struct tk_cluster *cluster, const char *name, size_t nth,
      tk_node *out)
{
    uint64_t i;

    if (strcmp(name, "client") == 0) {
        *out = TK_PARTY_CLIENT;
        return nth == 0;
    }
    for (i = 0; i < cluster->members_count; i++) {
        if (is_named(name, "pd", i) && nth-- == 0) {
            *out = i;
            return true;
        }
    }
    for (i = 1; i <= cluster->stores_count; i++) {
        if (is_named(name, "store", i) && nth-- == 0) {
            *out = TK_NODE_STORE | i;
            return true;
        }
    }
    return false;
}

/* Servers let connections hang where both ways are cut. */
static void
tell(struct tk_cluster *cluster, tk_node a, tk_node b)
{
    tk_node node = a == TK_PARTY_CLIENT ? b : a;
    uint32_t mode = TK_CUT_REJECT;
    bool is_cut;

    if (a != TK_PARTY_CLIENT && b != TK_PARTY_CLIENT) {
        return;
    }
    is_cut = tk_cl_is_cut(cluster, TK_PARTY_CLIENT, node, &mode) &&
             mode == TK_CUT_DROP;
    tk_cl_owe(cluster, node, is_cut ? TK_OWE_CUT : TK_OWE_HEAL);
    if (!is_cut && mode == TK_CUT_REJECT &&
        tk_cl_is_cut(cluster, TK_PARTY_CLIENT, node, &mode)) {
        tk_cl_owe(cluster, node, TK_OWE_RESET);
    }
}

uint64_t
tk_cl_cut_add(struct tk_cluster *cluster, const char *a, const char *b,
              uint64_t direction, uint32_t mode)
{
    uint64_t id = ++cluster->cuts_last;
    tk_node from;
    tk_node to;
    size_t i;
    size_t j;

    for (i = 0; party(cluster, a, i, &from); i++) {
        for (j = 0; party(cluster, b, j, &to); j++) {
            const struct cut there = { id, from, to, mode };
            const struct cut back = { id, to, from, mode };

            if (from == to) {
                continue;
            }
            if (direction != 2) {
                tk_buf_append(&cluster->cuts, &there, sizeof(there));
            }
            if (direction != 1) {
                tk_buf_append(&cluster->cuts, &back, sizeof(back));
            }
            tell(cluster, from, to);
        }
    }
    return id;
}

void
tk_cl_cut_remove(struct tk_cluster *cluster, uint64_t id)
{
    size_t at = 0;

    while (at < cluster->cuts.len) {
        struct cut cut;

        memcpy(&cut, cluster->cuts.data + at, sizeof(cut));
        if (id != 0 && cut.id != id) {
            at += sizeof(cut);
            continue;
        }
        tk_buf_cut(&cluster->cuts, at, sizeof(cut));
        tell(cluster, cut.from, cut.to);
    }
}

tikv_error *
tk_cluster_partition(struct tk_cluster *cluster, const char *a, const char *b,
                     uint32_t direction, bool rejects, uint64_t *id)
{
    const char *nobody;
    uint64_t made;
    tk_node node;

    tk_mutex_lock(&cluster->lock);
    nobody = !party(cluster, a, 0, &node)   ? a
             : !party(cluster, b, 0, &node) ? b
                                            : NULL;
    if (nobody != NULL) {
        tk_mutex_unlock(&cluster->lock);
        return tk_error(TIKV_ERR_ARGUMENT, "no party %s", nobody);
    }
    made = tk_cl_cut_add(cluster, a, b, direction,
                         rejects ? TK_CUT_REJECT : TK_CUT_DROP);
    tk_mutex_unlock(&cluster->lock);
    tk_cl_streams_push(cluster);
    if (id != NULL) {
        *id = made;
    }
    return NULL;
}

void
tk_cluster_heal(struct tk_cluster *cluster, uint64_t id)
{
    tk_mutex_lock(&cluster->lock);
    tk_cl_cut_remove(cluster, id);
    tk_mutex_unlock(&cluster->lock);
    tk_cl_streams_push(cluster);
}
