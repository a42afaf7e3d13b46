/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the in-process transport.
 *
 * A line is one stream or one unary call. It is counted: one for its owner
 * until the last event was delivered, one per scheduled message, one for an
 * answer the cluster owes. At 0 it goes to the free list; its memory is freed
 * with the transport, so a late cancel finds it. A line ends by its message
 * `last`, which is part of it: ending needs no memory.
 *
 *     live --conclude: `last` is scheduled--> concluded --delivered--> ended
 *
 * Threads: all events are delivered by the runtime's timers, one at a time.
 * One lock, rank WIRE, held for moments; cluster and callbacks are entered
 * without it, timers are armed under it.
 */
#ifndef TK_SIM_MEMORY_INSIDE_H
#define TK_SIM_MEMORY_INSIDE_H

#include "base/buf.h"
#include "exec/mutex.h"
#include "sim/memory_transport.h"

#define TK_MEMORY_METADATA_MAX 8

struct tk_memory;
struct tk_line;

enum tk_memory_kind {
    TK_MEMORY_BEGIN, /* a stream reaches its server */
    TK_MEMORY_REQUEST,
    TK_MEMORY_SENT,
    TK_MEMORY_ANSWER,
    TK_MEMORY_LIMIT, /* the deadline of a unary call */
    TK_MEMORY_LAST
};

struct tk_memory_message {
    struct tk_timer timer; /* first: the timer is the message */
    struct tk_line *line;
    struct tk_memory_message *next; /* of all scheduled */
    struct tk_memory_message *prev;
    enum tk_memory_kind kind;
    bool is_embedded;
    struct tk_frame *frame;
    tikv_slice data;
    int status; /* LAST */
    bool never_sent;
    char text[160];
};

struct tk_line {
    struct tk_memory *memory;
    struct tk_line *next; /* live or free list */
    struct tk_line *prev;
    struct tk_line *next_of_all;
    uint32_t refs;
    const void *owner; /* NULL: ended */
    struct tk_stream *stream;
    struct tk_unary *unary;
    struct tk_link *link; /* NULL: disconnected */
    bool is_concluded;
    int64_t out_at; /* the last message each way: order is kept */
    int64_t in_at;
    char path[96];
    struct tk_buf metadata;
    const char *pairs[2 * TK_MEMORY_METADATA_MAX + 1];
    struct tk_memory_message last;
    struct tk_memory_message limit;
    struct tk_cluster_stream *server; /* timers only */
    bool is_fed;   /* a stream down: what follows is about it */
    bool is_asked; /* the owner waits for a message */
    bool has_end;  /* OK, behind what waits to be asked for */
    struct tk_memory_message *kept; /* by the sender, oldest first */
    struct tk_memory_message **kept_end;
    struct tk_cluster_call call;
};

struct tk_link {
    struct tk_link *next;
    uint64_t client; /* its place among those to the address, from 1 */
    char address[256];
};

struct tk_memory {
    struct tk_transport base;
    struct tk_runtime *rt;
    struct tk_cluster *cluster;
    void (*idle)(void *, struct tk_wakes *); /* fixed before the first link */
    void *idle_arg;

    struct tk_mutex lock; /* rank WIRE */
    struct tk_memory_policy policy;
    uint64_t sent;
    uint64_t lives; /* until so many are sent */
    bool is_deaf;   /* behind the last of them */
    struct tk_link *links;
    struct tk_line *live;
    struct tk_line *free;
    struct tk_line *all;
    struct tk_memory_message *scheduled;
    uint32_t counted; /* lines with references */
    uint32_t firing;
    bool closed;
    struct tk_parker *closer;
};

/* ---- memory_message.c; all with the lock held ---- */

/* True with a chance of `ppm` in a million; draws only if there is one. */
bool
tk_memory_chance(struct tk_memory *memory, uint32_t ppm);

/* The client's process has died. */
static inline bool
tk_memory_is_dead(const struct tk_memory *memory)
{
    return memory->sent > memory->lives;
}

static inline bool
tk_memory_hears(const struct tk_memory *memory)
{
    return memory->is_deaf ? memory->sent < memory->lives
                           : memory->sent <= memory->lives;
}

/* Now and a delay of the policy. */
int64_t
tk_memory_arrival(struct tk_memory *memory);

/* A message with room for `len` bytes at *data; NULL without memory. */
struct tk_memory_message *
tk_memory_message(struct tk_line *line, enum tk_memory_kind kind, size_t len,
                  uint8_t **data);

void
tk_memory_schedule(struct tk_memory_message *message, int64_t when);

/* Not before `*after`, which moves. */
void
tk_memory_schedule_after(struct tk_memory_message *message, int64_t *after);

/* Off the clock and gone; false: it fires, or fired. */
bool
tk_memory_unschedule(struct tk_memory_message *message);

/* The line's end comes at `when`. The first of several counts; takes the
 * reference of `frame`. */
void
tk_line_conclude(struct tk_line *line, int status, bool never_sent,
                 const char *text, struct tk_frame *frame, tikv_slice data,
                 int64_t when);

/* Takes what is scheduled off the clock, and ends all that is live. */
void
tk_memory_cut_short(struct tk_memory *memory);

/* Waits until nothing fires and nobody waits for an event (`for_lines`: and
 * the cluster owes nothing). Takes the lock itself. */
void
tk_memory_wait(struct tk_memory *memory, bool for_lines);

/* ---- memory_line.c ---- */

/* NULL: closed, or no memory. Takes the lock, and keeps it on success. */
struct tk_line *
tk_line_begin(struct tk_memory *memory, struct tk_link *link, const char *path,
              const char *const *metadata, const void *owner);

/* With the lock. */
void
tk_line_ref(struct tk_line *line);

void
tk_line_unref(struct tk_line *line);

/* Delivers one message, on a timer, without the lock. */
void
tk_line_deliver(struct tk_line *line, struct tk_memory_message *message,
                struct tk_wakes *wakes);

/* With the lock: the end, after a delay of the policy. */
void
tk_line_conclude_soon(struct tk_line *line, int status, bool never_sent,
                      const char *text);

/* With the lock: the owner wants one more message. */
void
tk_line_next(struct tk_line *line);

bool
tk_memory_is_delivering(struct tk_transport *transport);

#endif
