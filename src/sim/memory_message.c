/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages as timers. Numbers are drawn only where the policy has a chance or
 * a range, so that a policy without faults costs no randomness and the same
 * seed draws the same numbers. See memory_inside.h for threads and lock.
 */
#include <stdio.h>

#include "base/alloc.h"
#include "sim/memory_inside.h"

#define MILLION 1000000

static _Thread_local const struct tk_memory *delivering;

bool
tk_memory_is_delivering(struct tk_transport *transport)
{
    return (const void *)delivering == (const void *)transport;
}

bool
tk_memory_chance(struct tk_memory *memory, uint32_t ppm)
{
    return ppm != 0 && memory->rt->ops->random(memory->rt) % MILLION < ppm;
}

int64_t
tk_memory_arrival(struct tk_memory *memory)
{
    int64_t delay = memory->policy.delay_min_ns;
    int64_t range = memory->policy.delay_max_ns - delay;

    if (range > 0) {
        delay +=
            (int64_t)(memory->rt->ops->random(memory->rt) % (uint64_t)range);
    }
    return tk_after(tk_now(memory->rt), delay);
}

/* The memory behind a message, once it was delivered or dropped. */
static void
release(struct tk_memory_message *message)
{
    struct tk_line *line = message->line;

    tk_frame_unref(message->frame, 1);
    message->frame = NULL;
    if (!message->is_embedded) {
        tk_free(message);
    }
    tk_line_unref(line);
}

static void
unlist(struct tk_memory *memory, struct tk_memory_message *message)
{
    if (message->prev != NULL) {
        message->prev->next = message->next;
    } else {
        memory->scheduled = message->next;
    }
    if (message->next != NULL) {
        message->next->prev = message->prev;
    }
}

/* The last touch of the transport is the unlock: a closer may free it. */
static void
fire(struct tk_timer *timer)
{
    struct tk_memory_message *message =
        (struct tk_memory_message *)(void *)timer;
    struct tk_memory *memory = message->line->memory;
    struct tk_runtime *rt = memory->rt;
    struct tk_parker *closer;
    struct tk_wakes wakes;

    tk_mutex_lock(&memory->lock);
    unlist(memory, message);
    memory->firing++;
    tk_mutex_unlock(&memory->lock);
    tk_wakes_init(&wakes, rt);
    tk_trace(rt, (uint64_t)message->kind << 32 | message->data.len);
    delivering = memory;
    tk_line_deliver(message->line, message, &wakes);
    if (memory->idle != NULL) {
        memory->idle(memory->idle_arg, &wakes);
    }
    delivering = NULL;
    tk_wakes_flush(&wakes);
    tk_mutex_lock(&memory->lock);
    release(message);
    memory->firing--;
    closer = memory->closer;
    if (closer != NULL && !tk_ring(closer)) {
        closer = NULL;
    }
    tk_mutex_unlock(&memory->lock);
    if (closer != NULL) {
        rt->ops->wake(rt, &closer, 1);
    }
}

struct tk_memory_message *
tk_memory_message(struct tk_line *line, enum tk_memory_kind kind, size_t len,
                  uint8_t **data)
{
    struct tk_memory_message *message =
        (struct tk_memory_message *)tk_calloc(sizeof(*message));

    if (message == NULL) {
        return NULL;
    }
    if (data != NULL) {
        message->frame = tk_frame_new(len, data);
        if (message->frame == NULL) {
            tk_free(message);
            return NULL;
        }
        message->data = (tikv_slice){ *data, len };
    }
    message->line = line;
    message->kind = kind;
    return message;
}

void
tk_memory_schedule(struct tk_memory_message *message, int64_t when)
{
    struct tk_memory *memory = message->line->memory;

    tk_line_ref(message->line);
    message->timer.fn = fire;
    message->prev = NULL;
    message->next = memory->scheduled;
    if (memory->scheduled != NULL) {
        memory->scheduled->prev = message;
    }
    memory->scheduled = message;
    memory->rt->ops->arm(memory->rt, &message->timer, when);
}

void
tk_memory_schedule_after(struct tk_memory_message *message, int64_t *after)
{
    int64_t when = tk_memory_arrival(message->line->memory);

    if (when <= *after) {
        when = *after + 1;
    }
    *after = when;
    tk_memory_schedule(message, when);
}

bool
tk_memory_unschedule(struct tk_memory_message *message)
{
    struct tk_memory *memory = message->line->memory;

    if (!memory->rt->ops->disarm(memory->rt, &message->timer)) {
        return false;
    }
    unlist(memory, message);
    release(message);
    return true;
}

void
tk_line_conclude(struct tk_line *line, int status, bool never_sent,
                 const char *text, struct tk_frame *frame, tikv_slice data,
                 int64_t when)
{
    if (line->is_concluded) {
        tk_frame_unref(frame, 1);
        return;
    }
    line->is_concluded = true;
    line->last.status = status;
    line->last.never_sent = never_sent;
    line->last.frame = frame;
    line->last.data = data;
    snprintf(line->last.text, sizeof(line->last.text), "%s", text);
    tk_memory_schedule(&line->last, when);
}

void
tk_memory_cut_short(struct tk_memory *memory)
{
    struct tk_runtime *rt = memory->rt;
    int64_t now = tk_now(rt);
    struct tk_memory_message *message = memory->scheduled;
    struct tk_memory_message *next;
    struct tk_line *line;

    for (; message != NULL; message = next) {
        next = message->next;
        if (message->kind != TK_MEMORY_LAST) {
            tk_memory_unschedule(message);
        } else if (rt->ops->disarm(rt, &message->timer)) {
            rt->ops->arm(rt, &message->timer, now);
        }
    }
    for (line = memory->live; line != NULL; line = line->next) {
        tk_line_conclude(line, TK_GRPC_CANCELLED, false,
                         "the transport is closed", NULL,
                         (tikv_slice){ NULL, 0 }, now);
    }
}

void
tk_memory_wait(struct tk_memory *memory, bool for_lines)
{
    struct tk_runtime *rt = memory->rt;
    struct tk_parker *self = tk_self(rt);
    bool is_over;

    for (;;) {
        tk_park_begin(self);
        tk_mutex_lock(&memory->lock);
        is_over = memory->firing == 0 && memory->scheduled == NULL &&
                  memory->live == NULL && (!for_lines || memory->counted == 0);
        memory->closer = is_over ? NULL : self;
        tk_mutex_unlock(&memory->lock);
        if (is_over) {
            return;
        }
        rt->ops->park(rt, self, TK_NEVER);
    }
}
