/* SPDX-License-Identifier: Apache-2.0 */
/* Between tso.c, which keeps the lists, tso_stream.c, which reads answers,
 * tso_send.c, which asks, and timestamp.c, the face of them. Lock: tso.lock. */
#ifndef TK_PD_TSO_H
#define TK_PD_TSO_H

#include "pd/inner.h"

/* Requests that are asked for in one message. Its memory stays a batch's
 * until pd is freed, and `serial` changes when it leaves the lists: so whole
 * batches move at once, and a request finds out whether it is still in one. */
struct tk_tso_batch {
    struct tk_tso_batch *next;
    struct tk_tso_request *first; /* linked by next and prev */
    struct tk_tso_request *last;
    uint64_t serial; /* 0: in no list */
    size_t count;    /* of the requests */
    uint32_t asked;  /* their number when sent: those taken back since leave
                      * holes */
    int64_t sent_at;
    int64_t deadline;
};

struct tk_tso_stream {
    struct tk_stream stream; /* first */
    struct tk_pd *pd;
    struct tk_tso_home home; /* fixed; its connections are counted */
    /* Guarded by tso.lock. */
    struct tk_tso_stream *next;
    struct tk_tso_batches flying; /* sent, not answered */
    uint64_t newest; /* what comes from here is newer */
    uint32_t refs;
    bool is_listed;
    bool is_open;
    bool is_sending;
    bool is_doomed;
    bool has_answered;
};

/* ---- lists, under the lock ---- */

/* An empty batch behind the others of the queue; NULL without memory. */
struct tk_tso_batch *
tk_tso_begin(struct tk_tso *tso);

/* The oldest batch of the queue that has requests; NULL: none. */
struct tk_tso_batch *
tk_tso_take(struct tk_tso *tso);

void
tk_tso_append(struct tk_tso_batches *list, struct tk_tso_batch *batch);

/* Whether it is in a list; if not, its done is called in a moment, or was. */
bool
tk_tso_has(const struct tk_tso_request *request);

/* Out of its batch, which has it. */
void
tk_tso_unlink(struct tk_tso *tso, struct tk_tso_request *request);

/* Batches, linked by next, that leave: their requests are about to end. */
struct tk_tso_batch *
tk_tso_leave_queue(struct tk_tso *tso);

struct tk_tso_batch *
tk_tso_leave_stream(struct tk_tso_stream *stream);

/* The oldest of a stream alone; NULL: none. */
struct tk_tso_batch *
tk_tso_leave_oldest(struct tk_tso_stream *stream);

/* ---- ending what has left; no lock held ---- */

void
tk_tso_fail(struct tk_tso *tso, struct tk_tso_batch *batches, tikv_code code,
            const char *why, struct tk_wakes *wakes);

/* The memory of batches whose requests have ended. */
void
tk_tso_spare(struct tk_tso *tso, struct tk_tso_batch *batches);

/* ---- streams ---- */

/* No lock held. */
void
tk_tso_unref_stream(struct tk_tso_stream *stream);

/* Under the lock. */
void
tk_tso_unlist_stream(struct tk_tso_stream *stream);

/* Under the lock: nothing more is sent on it. True: the caller, after the
 * lock, must call tk_tso_doom_end(). */
bool
tk_tso_doom(struct tk_tso_stream *stream);

void
tk_tso_doom_end(struct tk_tso_stream *stream);

void
tk_tso_home_fini(struct tk_tso_home *home);

/* The events of a stream. */
void
tk_tso_received(struct tk_stream *base, tikv_slice data,
                struct tk_frame *frame, struct tk_wakes *wakes);

void
tk_tso_sent(struct tk_stream *base, struct tk_wakes *wakes);

void
tk_tso_closed(struct tk_stream *base, const struct tk_status *status,
              struct tk_wakes *wakes);

/* Under the lock: whether another message may be under way. */
bool
tk_tso_has_room(struct tk_pd *pd);

/* Sends what can be sent. Any thread, no lock held. */
void
tk_tso_pump(struct tk_pd *pd, struct tk_wakes *wakes);

#endif
