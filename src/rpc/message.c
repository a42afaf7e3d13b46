/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The open message: encoded requests one behind the other, and for each the
 * slot, offset and length, so that a request can be cut out of it as long as
 * it was not sent. Buffers are swapped at sending and keep their memory.
 * Everything here runs under the pipe's lock.
 */
#include <stddef.h>

#include "base/alloc.h"
#include "base/error.h"
#include "rpc/inside.h"

static uint32_t
open_count(const struct tk_pipe *pipe)
{
    return atomic_load_explicit(&pipe->open_count, memory_order_relaxed);
}

/* The count of pipes with something open changes with it. */
static void
set_open_count(struct tk_pipe *pipe, uint32_t count)
{
    uint32_t old = open_count(pipe);

    atomic_store_explicit(&pipe->open_count, count, memory_order_relaxed);
    if (old == 0 && count != 0) {
        atomic_fetch_add_explicit(&pipe->rpc->open_pipes, 1,
                                  memory_order_relaxed);
    } else if (old != 0 && count == 0) {
        atomic_fetch_sub_explicit(&pipe->rpc->open_pipes, 1,
                                  memory_order_relaxed);
        pipe->must_send = false;
    }
}

static bool
reserve(struct tk_message *message, uint32_t cap)
{
    uint64_t *ids;
    struct tk_entry *entries;

    ids = (uint64_t *)tk_realloc(message->ids, cap * sizeof(*ids));
    if (ids == NULL) {
        return false;
    }
    message->ids = ids;
    entries =
        (struct tk_entry *)tk_realloc(message->entries, cap * sizeof(*entries));
    if (entries == NULL) {
        return false;
    }
    message->entries = entries;
    message->cap = cap;
    return true;
}

tikv_error *
tk_message_init(struct tk_message *message, uint32_t cap)
{
    *message = (struct tk_message){ 0 };
    tk_buf_init(&message->bytes, TK_MESSAGE_BYTES_HARD);
    if (!reserve(message, cap)) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    return NULL;
}

void
tk_message_fini(struct tk_message *message)
{
    tk_buf_fini(&message->bytes);
    tk_free(message->ids);
    tk_free(message->entries);
    *message = (struct tk_message){ 0 };
}

void
tk_message_shrink(struct tk_message *message)
{
    tk_message_fini(message);
    tk_buf_init(&message->bytes, TK_MESSAGE_BYTES_HARD);
}

void
tk_message_discharge(struct tk_pipe *pipe, struct tk_message *message)
{
    if (message->charged != 0) {
        tk_ledger_add(pipe->rpc->ledger, -(int64_t)message->charged);
        message->charged = 0;
    }
}

static void
charge(struct tk_pipe *pipe, struct tk_message *message)
{
    size_t wanted = (message->bytes.len + TK_CHARGE_BYTES - 1) /
                    TK_CHARGE_BYTES * TK_CHARGE_BYTES;

    if (wanted > message->charged) {
        tk_ledger_add(pipe->rpc->ledger, (int64_t)(wanted - message->charged));
        message->charged = wanted;
    }
}

/* A buffer that once held something huge does not keep it for ever. */
static void
recycle(struct tk_pipe *pipe, struct tk_message *message)
{
    tk_message_discharge(pipe, message);
    if (message->bytes.cap > 2 * (size_t)TK_MESSAGE_BYTES) {
        tk_buf_fini(&message->bytes);
        tk_buf_init(&message->bytes, TK_MESSAGE_BYTES_HARD);
    } else {
        tk_buf_clear(&message->bytes);
    }
}

bool
tk_pipe_append(struct tk_pipe *pipe, struct tk_slot *slot,
               const struct tk_parts *parts)
{
    struct tk_message *open = &pipe->open;
    uint32_t count = open_count(pipe);
    size_t before = open->bytes.len;

    if (count != 0 &&
        before + parts->region.len + parts->call.len + parts->body.len >
            (size_t)TK_MESSAGE_BYTES_MAX) {
        return false;
    }
    if (count == open->cap &&
        !reserve(open, count == 0 ? pipe->rpc->cap : count * 2)) {
        return false;
    }
    tk_batch_append(&open->bytes, parts);
    if (open->bytes.failed) {
        open->bytes.failed = false;
        open->bytes.len = before;
        return false;
    }
    if (open->bytes.len > open->charged) {
        charge(pipe, open);
    }
    slot->place = count;
    slot->message = pipe->number;
    open->ids[count] = tk_slots_id(&pipe->slots, slot);
    open->entries[count] =
        (struct tk_entry){ .slot = (uint32_t)(slot - pipe->slots.at),
                           .offset = before,
                           .len = open->bytes.len - before };
    if (count == 0) {
        atomic_store_explicit(&pipe->has_frame, false, memory_order_relaxed);
    }
    set_open_count(pipe, count + 1);
    return true;
}

void
tk_pipe_cut(struct tk_pipe *pipe, struct tk_slot *slot)
{
    struct tk_message *open = &pipe->open;
    uint32_t count = open_count(pipe);
    struct tk_entry cut = open->entries[slot->place];
    uint32_t i;

    tk_buf_cut(&open->bytes, cut.offset, cut.len);
    for (i = slot->place + 1; i < count; i++) {
        open->ids[i - 1] = open->ids[i];
        open->entries[i - 1] = open->entries[i];
        open->entries[i - 1].offset -= cut.len;
        pipe->slots.at[open->entries[i].slot].place = i - 1;
    }
    set_open_count(pipe, count - 1);
    if (count == 1) {
        tk_message_discharge(pipe, open);
    }
}

/* What does not fit the message begins the next one. `out` holds all. */
static bool
keep_rest(struct tk_pipe *pipe, uint32_t from, uint32_t count)
{
    struct tk_message *open = &pipe->open;
    struct tk_message *out = &pipe->out;
    size_t offset = out->entries[from].offset;
    uint32_t i;

    if (open->cap < count - from && !reserve(open, count - from)) {
        return false;
    }
    tk_buf_append(&open->bytes, out->bytes.data + offset,
                  out->bytes.len - offset);
    if (open->bytes.failed) {
        return false;
    }
    for (i = from; i < count; i++) {
        struct tk_slot *slot = &pipe->slots.at[out->entries[i].slot];

        slot->place = i - from;
        slot->message = pipe->number + 1;
        open->ids[i - from] = out->ids[i];
        open->entries[i - from] = out->entries[i];
        open->entries[i - from].offset -= offset;
    }
    charge(pipe, open);
    out->bytes.len = offset;
    return true;
}

static void
swap(struct tk_pipe *pipe)
{
    struct tk_message other = pipe->out;

    pipe->out = pipe->open;
    pipe->open = other;
}

bool
tk_pipe_take_message(struct tk_pipe *pipe, int64_t now)
{
    uint32_t count = open_count(pipe);
    uint32_t taken = count < pipe->rpc->cap ? count : pipe->rpc->cap;
    size_t whole;
    uint32_t i;

    recycle(pipe, &pipe->out);
    swap(pipe);
    whole = pipe->out.bytes.len;
    if (taken < count && !keep_rest(pipe, taken, count)) {
        goto fail;
    }
    tk_batch_append_ids(&pipe->out.bytes, pipe->out.ids, taken);
    if (pipe->out.bytes.failed) {
        goto fail;
    }
    for (i = 0; i < taken; i++) {
        tk_slots_to_wire(&pipe->slots,
                         &pipe->slots.at[pipe->out.entries[i].slot], now,
                         pipe->number);
    }
    set_open_count(pipe, count - taken);
    pipe->number++;
    pipe->stats.messages++;
    pipe->stats.batched += taken;
    if (pipe->rpc->gathers) {
        tk_gather_sent(&pipe->gather, taken);
    }
    return true;

fail:
    /* The bytes are still all there: only lengths and places moved. */
    recycle(pipe, &pipe->open);
    swap(pipe);
    pipe->open.bytes.failed = false;
    pipe->open.bytes.len = whole;
    for (i = 0; i < count; i++) {
        pipe->slots.at[pipe->open.entries[i].slot].place = i;
    }
    return false;
}

void
tk_pipe_doom_open(struct tk_pipe *pipe, enum tk_reply_status status)
{
    uint32_t count = open_count(pipe);
    uint32_t i;

    for (i = 0; i < count; i++) {
        tk_slots_doom(&pipe->slots, &pipe->slots.at[pipe->open.entries[i].slot],
                      status, true);
    }
    recycle(pipe, &pipe->open);
    set_open_count(pipe, 0);
}
