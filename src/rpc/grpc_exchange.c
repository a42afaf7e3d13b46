/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of an exchange: taken from the free list, its call made, asked to
 * stop from any thread, ended on the poller. See grpc_inside.h.
 */
#include <stdio.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/support/alloc.h>

#include "base/alloc.h"
#include "base/redact.h"
#include "rpc/grpc_inside.h"

static void
prepare(struct tk_exchange *exchange, struct tk_link *link,
        struct tk_channel *channel, const void *owner)
{
    tk_mutex_lock(&exchange->lock);
    exchange->owner = owner;
    exchange->link = link;
    exchange->channel = channel;
    exchange->call = NULL;
    exchange->ops_out = 0;
    exchange->has_status = false;
    exchange->is_sending = false;
    exchange->is_asked = false;
    exchange->stop = GRPC_STATUS_OK;
    tk_mutex_unlock(&exchange->lock);
    exchange->stream = NULL;
    exchange->unary = NULL;
    exchange->is_paced = false;
    grpc_metadata_array_init(&exchange->initial);
    grpc_metadata_array_init(&exchange->trailing);
    exchange->status = GRPC_STATUS_UNKNOWN;
    exchange->details = grpc_empty_slice();
    exchange->incoming = NULL;
    exchange->outgoing = NULL;
}

/* Transport's lock held. */
static struct tk_exchange *
pick(struct tk_grpc *grpc)
{
    struct tk_exchange *exchange = grpc->free;

    if (exchange != NULL) {
        grpc->free = exchange->next;
    } else {
        exchange = (struct tk_exchange *)tk_calloc(sizeof(*exchange));
        if (exchange == NULL) {
            return NULL;
        }
        exchange->grpc = grpc;
        exchange->begun.exchange = exchange;
        exchange->ended.exchange = exchange;
        exchange->received.exchange = exchange;
        exchange->sent.exchange = exchange;
        tk_mutex_init(&exchange->lock, TK_RANK_WIRE);
        exchange->next_of_all = grpc->all;
        grpc->all = exchange;
    }
    exchange->prev = NULL;
    exchange->next = grpc->live;
    if (grpc->live != NULL) {
        grpc->live->prev = exchange;
    }
    grpc->live = exchange;
    grpc->live_count++;
    exchange->is_told = false;
    return exchange;
}

struct tk_exchange *
tk_exchange_begin(struct tk_grpc *grpc, struct tk_link *link, const void *owner)
{
    struct tk_channel *channel = tk_link_channel(grpc, link);
    struct tk_exchange *exchange = NULL;

    tk_mutex_lock(&grpc->lock);
    if (channel != NULL && !grpc->closed) {
        exchange = pick(grpc);
    }
    tk_mutex_unlock(&grpc->lock);
    if (exchange != NULL) {
        prepare(exchange, link, channel, owner);
    } else {
        tk_channel_unref(channel);
    }
    return exchange;
}

grpc_call *
tk_exchange_call(struct tk_exchange *exchange, const char *path,
                 gpr_timespec deadline, uint32_t ops, grpc_status_code *stop)
{
    grpc_slice method = grpc_slice_from_copied_string(path);
    grpc_call *call = grpc_channel_create_call(
        exchange->channel->channel, NULL, GRPC_PROPAGATE_DEFAULTS,
        exchange->link->poller->cq, method, NULL, deadline, NULL);
    bool is_closed;

    grpc_slice_unref(method);
    grpc_call_ref(call);
    /* Closing tells the live ones after it has set `closed`; one that had
     * not yet an owner then finds out here. */
    tk_mutex_lock(&exchange->grpc->lock);
    is_closed = exchange->grpc->closed;
    tk_mutex_unlock(&exchange->grpc->lock);
    tk_mutex_lock(&exchange->lock);
    exchange->call = call;
    exchange->ops_out = ops;
    if (is_closed && exchange->stop == GRPC_STATUS_OK) {
        exchange->stop = GRPC_STATUS_CANCELLED;
    }
    *stop = exchange->stop;
    tk_mutex_unlock(&exchange->lock);
    return call;
}

bool
tk_exchange_op_done(struct tk_exchange *exchange, bool is_status)
{
    bool is_last;

    tk_mutex_lock(&exchange->lock);
    exchange->ops_out--;
    if (is_status) {
        exchange->has_status = true;
    }
    is_last = exchange->ops_out == 0 && exchange->has_status;
    tk_mutex_unlock(&exchange->lock);
    return is_last;
}

bool
tk_exchange_op_leaves(struct tk_exchange *exchange)
{
    bool is_last;

    tk_mutex_lock(&exchange->lock);
    is_last = exchange->ops_out == 1 && exchange->has_status;
    if (!is_last) {
        exchange->ops_out--;
    }
    tk_mutex_unlock(&exchange->lock);
    return !is_last;
}

/* A call that was never given to a connection has no peer yet: C core then
 * answers with the channel's target instead. A target that looks like a peer
 * proves nothing. */
static bool
has_no_peer(const struct tk_exchange *exchange)
{
    char *peer = grpc_call_get_peer(exchange->call);
    char *target = grpc_channel_get_target(exchange->channel->channel);
    bool is_same = peer != NULL && target != NULL &&
                   strcmp(peer, target) == 0 && strncmp(peer, "ip", 2) != 0 &&
                   strncmp(peer, "unix", 4) != 0;

    gpr_free(peer);
    gpr_free(target);
    return is_same;
}

/* A deadline or a cancel ends a call from above, while its bytes may be on
 * their way to a connection that the call has not heard of yet. */
static bool
can_tell(grpc_status_code status)
{
    return status != GRPC_STATUS_OK && status != GRPC_STATUS_CANCELLED &&
           status != GRPC_STATUS_DEADLINE_EXCEEDED;
}

void
tk_exchange_status(struct tk_exchange *exchange, char *buffer, size_t size,
                   struct tk_status *out)
{
    size_t len = GRPC_SLICE_LENGTH(exchange->details);
    const char *text = (const char *)GRPC_SLICE_START_PTR(exchange->details);
    grpc_call *call;

    /* What C core itself says of a connection names no keys, but hosts. */
    if (exchange->status == GRPC_STATUS_UNAVAILABLE) {
        snprintf(buffer, size, "%.*s", (int)(len < size ? len : size), text);
    } else {
        tk_redact_text(text, len, buffer, size);
    }
    out->grpc = (int)exchange->status;
    out->details = buffer;
    out->never_sent = can_tell(exchange->status) && has_no_peer(exchange);
    if (exchange->status == GRPC_STATUS_UNAVAILABLE ||
        exchange->status == GRPC_STATUS_UNKNOWN) {
        tk_creds_explain(exchange->channel->creds,
                         exchange->grpc->rt->ops->wall(exchange->grpc->rt),
                         out->never_sent, buffer, size);
    }
    grpc_slice_unref(exchange->details);
    grpc_metadata_array_destroy(&exchange->initial);
    grpc_metadata_array_destroy(&exchange->trailing);
    tk_mutex_lock(&exchange->lock);
    call = exchange->call;
    exchange->call = NULL;
    exchange->owner = NULL;
    tk_mutex_unlock(&exchange->lock);
    grpc_call_unref(call);
}

void
tk_exchange_end(struct tk_exchange *exchange)
{
    struct tk_grpc *grpc = exchange->grpc;
    bool is_last;

    tk_channel_unref(exchange->channel);
    exchange->channel = NULL;
    tk_mutex_lock(&grpc->lock);
    if (exchange->prev != NULL) {
        exchange->prev->next = exchange->next;
    } else {
        grpc->live = exchange->next;
    }
    if (exchange->next != NULL) {
        exchange->next->prev = exchange->prev;
    }
    exchange->next = grpc->free;
    grpc->free = exchange;
    is_last = --grpc->live_count == 0 && grpc->closed;
    tk_mutex_unlock(&grpc->lock);
    if (is_last) {
        tk_grpc_pollers_shutdown(grpc);
    }
}

void
tk_exchange_stop(struct tk_exchange *exchange, const void *owner,
                 const struct tk_link *link, grpc_status_code status)
{
    grpc_call *call = NULL;

    tk_mutex_lock(&exchange->lock);
    if (exchange->owner != NULL &&
        (owner == NULL || exchange->owner == owner) &&
        (link == NULL || exchange->link == link) &&
        exchange->stop == GRPC_STATUS_OK) {
        exchange->stop = status;
        call = exchange->call;
        if (call != NULL) {
            grpc_call_ref(call);
        }
    }
    tk_mutex_unlock(&exchange->lock);
    if (call != NULL) {
        grpc_call_cancel_with_status(call, status, "ended by the client", NULL);
        grpc_call_unref(call);
    }
}

void
tk_exchange_stop_all(struct tk_grpc *grpc, const struct tk_link *link,
                     grpc_status_code status)
{
    struct tk_exchange *exchange;

    for (;;) {
        tk_mutex_lock(&grpc->lock);
        exchange = grpc->live;
        while (exchange != NULL && exchange->is_told) {
            exchange = exchange->next;
        }
        if (exchange != NULL) {
            exchange->is_told = true;
        }
        tk_mutex_unlock(&grpc->lock);
        if (exchange == NULL) {
            break;
        }
        tk_exchange_stop(exchange, NULL, link, status);
    }
    if (link == NULL) {
        return;
    }
    /* Others of the list were only looked at. */
    tk_mutex_lock(&grpc->lock);
    for (exchange = grpc->live; exchange != NULL; exchange = exchange->next) {
        exchange->is_told = false;
    }
    tk_mutex_unlock(&grpc->lock);
}

void
tk_exchange_free_all(struct tk_grpc *grpc)
{
    struct tk_exchange *exchange;

    while ((exchange = grpc->all) != NULL) {
        grpc->all = exchange->next_of_all;
        tk_mutex_fini(&exchange->lock);
        tk_free(exchange);
    }
}

/* ---- metadata ---- */

size_t
tk_metadata_fill(grpc_metadata *array, const char *const *metadata)
{
    size_t count = 0;

    while (metadata != NULL && count < TK_METADATA_MAX &&
           metadata[2 * count] != NULL) {
        memset(&array[count], 0, sizeof(array[count]));
        array[count].key = grpc_slice_from_copied_string(metadata[2 * count]);
        array[count].value =
            grpc_slice_from_copied_string(metadata[2 * count + 1]);
        count++;
    }
    return count;
}

void
tk_metadata_drop(grpc_metadata *array, size_t count)
{
    while (count-- > 0) {
        grpc_slice_unref(array[count].key);
        grpc_slice_unref(array[count].value);
    }
}

/* ---- frames ---- */

struct grpc_frame {
    struct tk_frame frame;
    grpc_slice slice;
};

static void
drop_frame(struct tk_frame *frame)
{
    struct grpc_frame *ours = (struct grpc_frame *)(void *)frame;

    grpc_slice_unref(ours->slice);
    tk_free(ours);
}

/* One slice is taken as it lies; several are read into one. */
static bool
read_slice(grpc_byte_buffer *buffer, grpc_slice *out)
{
    grpc_byte_buffer_reader reader;

    if (buffer->type == GRPC_BB_RAW &&
        buffer->data.raw.compression == GRPC_COMPRESS_NONE &&
        buffer->data.raw.slice_buffer.count == 1) {
        *out = grpc_slice_ref(buffer->data.raw.slice_buffer.slices[0]);
        return true;
    }
    if (!grpc_byte_buffer_reader_init(&reader, buffer)) {
        return false;
    }
    *out = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
    return true;
}

struct tk_frame *
tk_grpc_frame(grpc_byte_buffer *buffer, tikv_slice *data)
{
    struct grpc_frame *ours = (struct grpc_frame *)tk_alloc(sizeof(*ours));

    if (ours != NULL && !read_slice(buffer, &ours->slice)) {
        tk_free(ours);
        ours = NULL;
    }
    grpc_byte_buffer_destroy(buffer);
    if (ours == NULL) {
        return NULL;
    }
    tk_frame_init(&ours->frame, drop_frame);
    /* The bytes of a short slice lie inside of it: point into our copy. */
    data->data = GRPC_SLICE_START_PTR(ours->slice);
    data->len = GRPC_SLICE_LENGTH(ours->slice);
    return &ours->frame;
}
