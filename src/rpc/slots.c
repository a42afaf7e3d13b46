/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots are linked by their numbers, so the table may move when it grows. It
 * grows by doubling and is given back only when its pipe comes to rest: at
 * steady state nothing is allocated.
 * The free list is a queue, not a stack: an id is repeated as late as can be.
 * Guarded by the pipe's lock.
 */
#include "rpc/slots.h"

#include <string.h>

#include "base/alloc.h"

#define FIRST_COUNT 64
#define GENERATIONS 4096

static void
chain_init(struct tk_chain *chain)
{
    chain->head = TK_SLOT_NONE;
    chain->tail = TK_SLOT_NONE;
}

static void
chain_push(struct tk_slots *slots, struct tk_chain *chain, struct tk_slot *slot)
{
    uint32_t index = (uint32_t)(slot - slots->at);

    slot->next = TK_SLOT_NONE;
    slot->prev = chain->tail;
    if (chain->tail == TK_SLOT_NONE) {
        chain->head = index;
    } else {
        slots->at[chain->tail].next = index;
    }
    chain->tail = index;
}

static void
chain_remove(struct tk_slots *slots, struct tk_chain *chain,
             struct tk_slot *slot)
{
    if (slot->prev == TK_SLOT_NONE) {
        chain->head = slot->next;
    } else {
        slots->at[slot->prev].next = slot->next;
    }
    if (slot->next == TK_SLOT_NONE) {
        chain->tail = slot->prev;
    } else {
        slots->at[slot->next].prev = slot->prev;
    }
}

void
tk_slots_init(struct tk_slots *slots, uint32_t max)
{
    memset(slots, 0, sizeof(*slots));
    slots->max = max;
    slots->earliest = TK_NEVER;
    chain_init(&slots->free);
    chain_init(&slots->wire);
    chain_init(&slots->ghosts);
    chain_init(&slots->doomed);
}

void
tk_slots_fini(struct tk_slots *slots)
{
    tk_free(slots->at);
    slots->at = NULL;
}

/* What others read without the lock stays as it is. */
void
tk_slots_shrink(struct tk_slots *slots)
{
    if (slots->busy == 0 && slots->ghosts.head == TK_SLOT_NONE) {
        tk_free(slots->at);
        slots->at = NULL;
        slots->made = 0;
        chain_init(&slots->free);
    }
}

static void
count_wire(struct tk_slots *slots, int change)
{
    uint32_t count =
        atomic_load_explicit(&slots->wire_count, memory_order_relaxed);

    atomic_store_explicit(&slots->wire_count, count + (uint32_t)change,
                          memory_order_relaxed);
}

static bool
grow(struct tk_slots *slots)
{
    uint32_t count = slots->made == 0 ? FIRST_COUNT : slots->made * 2;
    struct tk_slot *at;

    if (count > slots->max) {
        count = slots->max;
    }
    if (count == slots->made) {
        return false;
    }
    at = (struct tk_slot *)tk_realloc(slots->at, count * sizeof(*at));
    if (at == NULL) {
        return false;
    }
    slots->at = at;
    while (slots->made < count) {
        struct tk_slot *slot = &at[slots->made++];

        memset(slot, 0, sizeof(*slot));
        chain_push(slots, &slots->free, slot);
    }
    return true;
}

struct tk_slot *
tk_slots_take(struct tk_slots *slots, struct tk_request *request)
{
    struct tk_slot *slot = tk_slots_head(slots, &slots->free);

    if (slot == NULL && grow(slots)) {
        slot = tk_slots_head(slots, &slots->free);
    }
    if (slot != NULL) {
        chain_remove(slots, &slots->free, slot);
    } else {
        slot = tk_slots_head(slots, &slots->ghosts);
        if (slot == NULL) {
            return NULL;
        }
        chain_remove(slots, &slots->ghosts, slot);
    }
    slot->generation = (uint16_t)((slot->generation + 1) % GENERATIONS);
    if (slot->generation == 0) {
        slot->generation = 1;
    }
    slot->request = request;
    slot->lone = NULL;
    slot->deadline = request->deadline;
    slot->command = (uint16_t)request->parts.command;
    slot->state = TK_SLOT_OPEN;
    slot->never_sent = false;
    slot->haunts = false;
    if (slot->deadline < slots->earliest) {
        slots->earliest = slot->deadline;
    }
    slots->busy++;
    return slot;
}

uint32_t
tk_slots_id(const struct tk_slots *slots, const struct tk_slot *slot)
{
    return (uint32_t)slot->generation << 16 | (uint32_t)(slot - slots->at);
}

struct tk_slot *
tk_slots_find(const struct tk_slots *slots, uint64_t id)
{
    uint64_t index = id & 0xffff;

    if (index >= slots->made || slots->at[index].state == TK_SLOT_FREE ||
        slots->at[index].generation != id >> 16) {
        return NULL;
    }
    return &slots->at[index];
}

/* Out of the list of its state. */
static void
unlink_slot(struct tk_slots *slots, struct tk_slot *slot)
{
    switch ((enum tk_slot_state)slot->state) {
    case TK_SLOT_WIRE:
        chain_remove(slots, &slots->wire, slot);
        count_wire(slots, -1);
        break;
    case TK_SLOT_GHOST:
        chain_remove(slots, &slots->ghosts, slot);
        break;
    case TK_SLOT_DOOMED:
        chain_remove(slots, &slots->doomed, slot);
        break;
    case TK_SLOT_FREE:
    case TK_SLOT_OPEN:
    case TK_SLOT_LONE:
        break;
    }
}

void
tk_slots_to_wire(struct tk_slots *slots, struct tk_slot *slot, int64_t now,
                 uint64_t message)
{
    slot->state = TK_SLOT_WIRE;
    slot->sent_at = now;
    slot->message = message;
    chain_push(slots, &slots->wire, slot);
    count_wire(slots, 1);
}

void
tk_slots_doom(struct tk_slots *slots, struct tk_slot *slot,
              enum tk_reply_status status, bool never_sent)
{
    unlink_slot(slots, slot);
    slot->haunts = slot->state == TK_SLOT_WIRE;
    slot->state = TK_SLOT_DOOMED;
    slot->status = (uint8_t)status;
    slot->never_sent = never_sent;
    slot->lone = NULL;
    chain_push(slots, &slots->doomed, slot);
}

void
tk_slots_forget(struct tk_slots *slots, struct tk_slot *slot)
{
    if (slot->state != TK_SLOT_WIRE &&
        !(slot->state == TK_SLOT_DOOMED && slot->haunts)) {
        tk_slots_release(slots, slot);
        return;
    }
    unlink_slot(slots, slot);
    slot->state = TK_SLOT_GHOST;
    slot->request = NULL;
    slots->busy--;
    chain_push(slots, &slots->ghosts, slot);
}

void
tk_slots_release(struct tk_slots *slots, struct tk_slot *slot)
{
    unlink_slot(slots, slot);
    if (slot->state != TK_SLOT_GHOST) {
        slots->busy--;
    }
    slot->state = TK_SLOT_FREE;
    slot->request = NULL;
    slot->lone = NULL;
    chain_push(slots, &slots->free, slot);
}

void
tk_slots_lay_ghosts(struct tk_slots *slots)
{
    struct tk_slot *slot;
    uint32_t i;

    while ((slot = tk_slots_head(slots, &slots->ghosts)) != NULL) {
        tk_slots_release(slots, slot);
    }
    for (i = slots->doomed.head; i != TK_SLOT_NONE; i = slots->at[i].next) {
        slots->at[i].haunts = false;
    }
}
