/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files behind <tikv/cluster.h> share: the object, and the checks of
 * arguments that come before everything else.
 */
#ifndef TK_CLUSTER_SERVE_PUBLIC_H
#define TK_CLUSTER_SERVE_PUBLIC_H

#include <tikv/cluster.h>

#include "base/error.h"
#include "cluster/serve/serve.h"

/* Fixed after start. */
struct tikv_cluster {
    struct tk_runtime *rt;
    struct tk_cluster *core;
    struct tk_serve *serve;
    char *endpoints;
};

static inline tikv_error *
tk_public_wrong(const char *what)
{
    return tk_error(TIKV_ERR_ARGUMENT, "%s", what);
}

static inline tikv_error *
tk_public_check(const tikv_cluster *cluster)
{
    return cluster == NULL ? tk_public_wrong("cluster is NULL") : NULL;
}

static inline bool
tk_public_is_slice(tikv_slice key)
{
    return key.data != NULL || key.len == 0;
}

static inline tikv_error *
tk_public_check_key(const tikv_cluster *cluster, tikv_slice key)
{
    if (cluster != NULL && !tk_public_is_slice(key)) {
        return tk_public_wrong("key has a length and no data");
    }
    return tk_public_check(cluster);
}

/* What went wrong in serving the node, after the core agreed. */
static inline tikv_error *
tk_public_trouble(tikv_cluster *cluster, tikv_error *error, tk_node node)
{
    return error != NULL ? error : tk_serve_trouble(cluster->serve, node);
}

/* What the core did is there from now on, before anybody is told. */
static inline tikv_error *
tk_public_settle(tikv_cluster *cluster, tikv_error *error)
{
    return error != NULL ? error : tk_cluster_settle(cluster->core);
}

/* ---- control.c ---- */

/* One command; its answer, without the end of the line. */
void
tk_public_command(tikv_cluster *cluster, const char *line, struct tk_buf *out);

/* The same from the body of a request over HTTP; a status. */
int
tk_public_page(void *cluster, tikv_slice body, struct tk_buf *out);

#endif
