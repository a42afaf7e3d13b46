/* SPDX-License-Identifier: Apache-2.0 */
/* What client and server of the bare C core measurements share. */
#ifndef FLOOR_CORE_H
#define FLOOR_CORE_H

#include <grpc/grpc.h>

#define FLOOR_UNARY "/floor/Unary"
#define FLOOR_STREAM "/floor/Stream"

/* Serves echo in a child process until the parent dies or kills it; returns
 * its pid and the port. Call before grpc_init(). */
int
floor_serve(int *port);

/* A channel with the settings that the client uses. */
grpc_channel *
floor_channel(int port);

#endif
