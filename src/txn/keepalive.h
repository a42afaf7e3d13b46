/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signs of life (2PC-14): while a long commit goes on, its primary lock is
 * given more time to live, again and again. No thread waits for that: a timer
 * pushes a piece of work, which sends one heartbeat and arms the timer.
 *
 *     OFF --start--> WAITING --timer--> WORKING --answered--> WAITING
 *      ^                |                  |
 *      +---stop---------+                  +--refused, too old, stop--> OFF
 *
 * From start until OFF it holds one reference of its owner, which `ended`
 * gives back: a stop never waits. Any thread. Lock: rank REGION, for timers
 * are armed under it.
 */
#ifndef TK_TXN_KEEPALIVE_H
#define TK_TXN_KEEPALIVE_H

#include "exec/exec.h"
#include "exec/mutex.h"
#include "txn/client.h"

enum tk_keepalive_state {
    TK_KEEPALIVE_OFF,
    TK_KEEPALIVE_WAITING,
    TK_KEEPALIVE_WORKING
};

struct tk_keepalives {
    struct tk_txn_client *client;
    struct tk_mutex lock;
    struct tk_keepalive *first; /* those not OFF; guarded by lock */
    bool is_closed;             /* guarded by lock */
};

struct tk_keepalive {
    struct tk_timer timer; /* first */
    struct tk_work work;
    struct tk_keepalives *home;
    uint64_t start_ts;
    tikv_slice primary; /* the owner's */
    void (*ended)(struct tk_keepalive *);

    /* Guarded by the home's lock. */
    enum tk_keepalive_state state;
    bool must_stop;
    unsigned failures; /* in a row; of who works */
    uint64_t sent_count;
    struct tk_keepalive *prev;
    struct tk_keepalive *next;
};

void
tk_keepalives_init(struct tk_keepalives *home, struct tk_txn_client *client);

/* Ends all, and lets none begin. Those at work end with the exec. */
void
tk_keepalives_close(struct tk_keepalives *home);

/* After the exec closed. */
void
tk_keepalives_fini(struct tk_keepalives *home);

/* `ended` is called once with no lock held when this was true; false: it runs
 * already, or the client closes. start_ts and primary are set. */
bool
tk_keepalive_start(struct tk_keepalives *home, struct tk_keepalive *alive);

/* One that never started is left alone. */
void
tk_keepalive_stop(struct tk_keepalive *alive);

#endif
