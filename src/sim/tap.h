/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A transport around another one that reads what passes and changes nothing:
 * every request of a raw write is recorded in the history as a send of the
 * operation whose group its context names as request source ("sim" and the
 * number), every answer judges it.
 *
 * One thread: for the simulation only.
 */
#ifndef TK_SIM_TAP_H
#define TK_SIM_TAP_H

#include "rpc/transport.h"
#include "sim/history.h"

#define TK_SIM_SOURCE "sim"

/* The register of a raw key: its number, or TK_SIM_NONE. */
typedef uint32_t
tk_tap_key_fn(tikv_slice key);

/* Takes `inner` over, also when it fails. A request is executed within
 * `late_ns` after it was sent, or never: a promise of who sets the delays. */
tikv_error *
tk_tap_new(struct tk_runtime *rt, struct tk_transport *inner,
           struct tk_history *history, tk_tap_key_fn *key_of, int64_t late_ns,
           struct tk_transport **out);

#endif
