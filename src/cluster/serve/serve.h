/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster on loopback: a gRPC server for each PD member and store over
 * the core. Listening sockets are ours: what begins with the HTTP/2 preface
 * is handed to gRPC, anything else is answered as HTTP/1.1.
 *
 * Threads: one accepts for the whole cluster, one completes the calls of all
 * PD members, one those of each store. All of them come from the runtime.
 */
#ifndef TK_CLUSTER_SERVE_SERVE_H
#define TK_CLUSTER_SERVE_SERVE_H

#include "cluster/core.h"

struct tk_serve;

/* PEM text, or the path of a file that holds it. Certificate and key turn TLS
 * on, an authority makes clients show a certificate too. */
struct tk_serve_tls {
    const char *ca;
    const char *cert;
    const char *key;
};

/* Listens for every node of `core` and tells it the addresses and its events.
 * PD members take the ports from `base_port` on and stores those after them;
 * 0: free ones. `tls`, which is read at once, may be NULL. Runtime and core
 * must outlive it. */
tikv_error *
tk_serve_start(struct tk_runtime *rt, struct tk_cluster *core,
               uint16_t base_port, const struct tk_serve_tls *tls,
               struct tk_serve **out);

/* Who answers "POST /playground" on the ports of PD: a status over HTTP, the
 * answer is appended. Called on the accepting thread. */
typedef int tk_serve_control(void *arg, tikv_slice body, struct tk_buf *out);

void
tk_serve_set_control(struct tk_serve *serve, tk_serve_control *control,
                     void *arg);

/* Refuses, breaks all connections, waits until every call has let go, joins
 * the threads. What the core answers later falls into a void: free the core
 * between stop and free. Not on a thread of the cluster's own. */
void
tk_serve_stop(struct tk_serve *serve);

/* Serves another core of the same shape from now on, from the same addresses;
 * no call is in flight and no stream open. The old one is left alone. */
void
tk_serve_use(struct tk_serve *serve, struct tk_cluster *core);

/* Waits for the core's last words. */
void
tk_serve_free(struct tk_serve *serve);

/* "127.0.0.1:port" of a node. False: no such node, or no room. */
bool
tk_serve_address(struct tk_serve *serve, tk_node node, char *buffer,
                 size_t size);

/* NULL, or why a node that is to be reachable is not: no port, no thread. The
 * caller's; told once. */
tikv_error *
tk_serve_trouble(struct tk_serve *serve, tk_node node)
    __attribute__((warn_unused_result));

#endif
