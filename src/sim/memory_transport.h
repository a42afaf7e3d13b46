/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transport table in process, on the cluster core. Each message is a
 * timer of the runtime, so it runs in the simulator and, on the timer thread,
 * in production. A network with faults: what it does to messages is a policy
 * that may change at any time.
 */
#ifndef TK_SIM_MEMORY_TRANSPORT_H
#define TK_SIM_MEMORY_TRANSPORT_H

#include "cluster/core.h"
#include "rpc/transport.h"

/* Chances are out of a million, per message. */
struct tk_memory_policy {
    int64_t delay_min_ns;
    int64_t delay_max_ns;
    uint32_t lose_request;     /* it never arrives; deadlines end the wait */
    uint32_t lose_answer;      /* executed, and nothing comes back */
    uint32_t duplicate_answer; /* of BatchCommands, where answers have names;
                                * the second out of order */
    uint32_t break_stream;     /* of a unary call: executed, then an error */
};

/* Messages take 20 to 200 us and nothing goes wrong. Runtime and cluster
 * outlive it; free waits for what the cluster still owes. */
tikv_error *
tk_memory_transport_new(struct tk_runtime *rt, struct tk_cluster *cluster,
                        struct tk_transport **out);

void
tk_memory_transport_set(struct tk_transport *transport,
                        const struct tk_memory_policy *policy);

/* The client's process dies when it wants to send one message more than
 * `more` from now on: nothing leaves it any more, no answer comes; what is on
 * its way arrives. A deaf one hears nothing as soon as it has sent them. */
void
tk_memory_transport_kill(struct tk_transport *transport, uint64_t more,
                         bool is_deaf);

/* Messages that the client sent, those included that were lost. */
uint64_t
tk_memory_transport_sent(struct tk_transport *transport);

#endif
