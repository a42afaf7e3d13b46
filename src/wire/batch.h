/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Framing of BatchCommands without decoding what is inside: requests are
 * appended as bytes, responses are split into slices. Every varint and
 * length is checked; ids may come packed or one by one, in any order of
 * fields; a frame with unequal counts is refused.
 */
#ifndef TK_WIRE_BATCH_H
#define TK_WIRE_BATCH_H

#include "base/buf.h"
#include "wire/commands.h"

/* One request, wherever its parts lie. The context of the attempt is the
 * concatenation of `region` and `call`: protobuf fields concatenate, so the
 * part that belongs to the region is encoded once per region, and the body
 * never again on a retry. */
struct tk_parts {
    enum tk_command command;
    tikv_slice region; /* encoded Context fields; may be empty */
    tikv_slice call;   /* more encoded Context fields; may be empty */
    tikv_slice body;   /* the encoded request without its context */
};

/* The whole request as the unary call wants it. */
void
tk_parts_append(struct tk_buf *out, const struct tk_parts *parts);

size_t
tk_parts_len(const struct tk_parts *parts);

/* Appends field 1 of BatchCommandsRequest: the request in its slot. */
void
tk_batch_append(struct tk_buf *requests, const struct tk_parts *parts);

/* Field 2: all ids, packed. */
void
tk_batch_append_ids(struct tk_buf *out, const uint64_t *ids, size_t count);

/* A walk over one BatchCommandsResponse. */
struct tk_split {
    tikv_slice frame;
    size_t count;      /* responses == ids */
    uint64_t load;     /* transport_layer_load */
    tikv_slice health; /* health_feedback; absent when none */
    uint64_t sent_ns;  /* tikv_send_time_ns */
    /* cursors */
    size_t response_at;
    size_t id_at;
    size_t id_end;
};

/* Counts and checks the outer layer. False: not a valid frame. */
bool
tk_split_init(struct tk_split *split, tikv_slice frame);

/* The next id with its response: the command by its slot (TK_COMMANDS when
 * unknown or empty) and the response's bytes. False at the end. */
bool
tk_split_next(struct tk_split *split, uint64_t *id, enum tk_command *command,
              tikv_slice *response);

#endif
