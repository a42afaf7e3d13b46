/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS in front of the nodes. gRPC takes over plain connections only, so it is
 * ended here: a tunnel speaks TLS on the accepted socket and plain text on a
 * pair of local ones, whose other side is accepted as if it had come in
 * plain. What shares the port with gRPC is thereby encrypted as well.
 *
 * Of the accepting thread alone.
 */
#ifndef TK_CLUSTER_SERVE_TLS_H
#define TK_CLUSTER_SERVE_TLS_H

#include <openssl/ssl.h>

#include "cluster/serve/inside.h"

/* Certificates are read and checked here. NULL and an error, or NULL and no
 * error when `from` asks for no TLS. */
tikv_error *
tk_serve_tls_new(const struct tk_serve_tls *from, SSL_CTX **out);

/* ---- tunnel.c ---- */

struct tk_serve_tunnel;

/* Takes the accepted socket; the plain end, which the caller closes, or -1. */
int
tk_serve_tunnel_dig(struct tk_serve *serve, int fd);

/* `watch` is what epoll points to. */
void
tk_serve_tunnel_step(struct tk_serve *serve, enum tk_serve_watch *watch);

/* Fills in those that have ended, or have taken too long about it. True: some
 * wait for that, look again in time. */
bool
tk_serve_tunnel_sweep(struct tk_serve *serve, bool all);

#endif
