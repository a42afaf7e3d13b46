/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command table: one row per RPC (commands.def). Dispatch, batching,
 * context, metrics labels, key encoding and the cluster's routing all come
 * from the row; adding an RPC is adding a row. A test walks the descriptors
 * and fails on a key-bearing field that no row names.
 */
#ifndef TK_WIRE_COMMANDS_H
#define TK_WIRE_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>

#include <tikv/base.h>

struct upb_MiniTable;

enum tk_command {
#define TK_COMMAND(id, ...) TK_CMD_##id,
#include "wire/commands.def"
#undef TK_COMMAND
    TK_COMMANDS
};

/* What may be done about an attempt that ended without an answer. */
enum tk_retry_class {
    TK_RETRY_READ,   /* send again: nothing was changed */
    TK_RETRY_WRITE,  /* send again; without an answer in the end: in doubt */
    TK_RETRY_NEVER,  /* once sent, in doubt (compare-and-swap) */
    TK_RETRY_CONTROL /* no data: PD, health */
};

/* How the messages of a call go. */
enum tk_command_kind {
    TK_KIND_UNARY,
    TK_KIND_DOWN, /* one request, a stream of responses */
    TK_KIND_BIDI, /* streams both ways */
    TK_KIND_SLOT  /* only inside of BatchCommands: has no path, "" */
};

struct tk_command_row {
    const char *name;  /* "RawGet": label, and after "tikv." in rules */
    const char *label; /* "tikv.RawGet", "pd.GetRegion" */
    const char *path;  /* "/tikvpb.Tikv/RawGet" */
    const struct upb_MiniTable *request;
    const struct upb_MiniTable *response;
    uint8_t kind;           /* enum tk_command_kind */
    uint16_t slot;          /* field in BatchCommands.Request; 0: unary */
    uint8_t context_field;  /* of kvrpcpb.Context in the request; 0: none */
    uint8_t region_error;   /* field in the response; 0: none */
    uint8_t error;          /* field of the command's own error; 0: none */
    uint8_t not_found;      /* bool field: a point read found nothing */
    uint8_t value;          /* bytes field: a point read's value */
    bool is_hot;            /* first attempt may go without a worker */
    uint8_t retry;          /* enum tk_retry_class */
    uint32_t timeout_ms;    /* of one attempt; 0: the configured one */
    const char *key_fields; /* "key start_key end_key ...": CODEC-3 */
};

const struct tk_command_row *
tk_command_row(enum tk_command command);

/* By method path; TK_COMMANDS when unknown. */
enum tk_command
tk_command_by_path(const char *path);

/* Of TiKV's own services, by the name of the method; TK_COMMANDS when
 * unknown. */
enum tk_command
tk_command_by_name(const char *name);

/* By slot in BatchCommands; TK_COMMANDS when unknown. */
enum tk_command
tk_command_by_slot(uint32_t slot);

/* What the reader of a stream must know of an answer, found by walking its
 * top-level fields by the numbers of the row; no order is assumed. */
struct tk_peek {
    bool is_valid; /* the walk reached the end of the bytes */
    bool not_found;
    tikv_slice region_error; /* absent when there is none */
    tikv_slice error;        /* text or message; empty text is no error */
    tikv_slice value;        /* absent when there is none */
};

void
tk_peek(enum tk_command command, tikv_slice response, struct tk_peek *out);

/* How long the server worked on it, as it says itself; 0: it does not. */
int64_t
tk_worked_ns(enum tk_command command, tikv_slice response);

/* The field of the response it says so in; 0: none. For tests. */
uint32_t
tk_worked_field(enum tk_command command);

/* No region error, no error. */
static inline bool
tk_peek_is_clean(const struct tk_peek *peek)
{
    return peek->is_valid && peek->region_error.data == NULL &&
           peek->error.data == NULL;
}

#endif
