/* SPDX-License-Identifier: Apache-2.0 */
/* Between tso.c, which keeps the lists, tso_stream.c, which serves them, and
 * timestamp.c, the face of both. Lock: tso.lock. */
#ifndef TK_PD_TSO_H
#define TK_PD_TSO_H

#include "pd/inner.h"

struct tk_tso_batch {
    struct tk_tso_batch *next;
    struct tk_tso_request *first; /* linked by next and prev */
    uint32_t count;               /* asked for: requests taken back since
                                     leave holes */
    int64_t deadline;
};

struct tk_tso_stream {
    struct tk_stream stream; /* first */
    struct tk_pd *pd;
    struct tk_conn *conn; /* counted */
    struct tk_tso_home home;
    /* Guarded by tso.lock. */
    uint32_t refs;
    bool is_open;
    bool is_sending;
    bool is_doomed;
    bool has_answered;
};

/* Under the lock: its done is called in a moment. */
bool
tk_tso_is_leaving(const struct tk_tso_request *request);

/* ---- lists, under the lock: what is taken is leaving ---- */

struct tk_tso_request *
tk_tso_take_queue(struct tk_tso *tso);

struct tk_tso_batch *
tk_tso_take_batches(struct tk_tso *tso);

/* The oldest; NULL: none. */
struct tk_tso_batch *
tk_tso_pop_batch(struct tk_tso *tso);

/* Out of the queue or its batch. */
void
tk_tso_unlink(struct tk_tso *tso, struct tk_tso_request *request);

/* ---- ending what is leaving; no lock held ---- */

void
tk_tso_fail_list(struct tk_tso_request *first, tikv_code code,
                 const char *why, struct tk_wakes *wakes);

/* Frees the batches too. */
void
tk_tso_fail_batches(struct tk_tso_batch *batch, tikv_code code,
                    const char *why, struct tk_wakes *wakes);

/* ---- the stream ---- */

/* No lock held. */
void
tk_tso_unref_stream(struct tk_tso_stream *stream);

/* Under the lock: nothing more is sent on it. True: the caller, after the
 * lock, must call tk_tso_doom_end(). */
bool
tk_tso_doom(struct tk_tso_stream *stream);

void
tk_tso_doom_end(struct tk_tso_stream *stream);

/* Sends what can be sent. Any thread, no lock held. */
void
tk_tso_pump(struct tk_pd *pd, struct tk_wakes *wakes);

#endif
