/* SPDX-License-Identifier: Apache-2.0 */
/* The gRPC C core implementation of the transport table. */
#ifndef TK_RPC_GRPC_TRANSPORT_H
#define TK_RPC_GRPC_TRANSPORT_H

#include "base/config.h"
#include "rpc/transport.h"

/* Reads keepalive, dial, poller and security settings of `config`, which must
 * outlive it. TIKV_ERR_SECURITY names the file and the fault when certificates
 * cannot be used. */
tikv_error *
tk_grpc_transport_new(struct tk_runtime *rt, const struct tk_config *config,
                      struct tk_log *log, struct tk_transport **out);

/* Looks now whether the files of security.* have changed, as a timer does
 * every second: connections made from then on use what is new, if it can be
 * used. Nothing while another thread is at it. */
void
tk_grpc_look_at_files(struct tk_transport *transport);

#endif
