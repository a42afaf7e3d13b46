/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command table and what is read straight off it: lookups by path and by
 * slot, and the peek into a response. All of it is constant data; any thread.
 */
#include "wire/commands.h"

#include <string.h>

#include "base/slice.h"
#include "wire/proto.h"

#include "coprocessor.upb.h"
#include "debugpb.upb.h"
#include "health.upb.h"
#include "keyspacepb.upb.h"
#include "kvrpcpb.upb.h"
#include "meta_storagepb.upb.h"
#include "mpp.upb.h"
#include "pdpb.upb.h"
#include "resource_manager.upb.h"
#include "tikvpb.upb.h"
#include "tsopb.upb.h"

/* Service names on the wire, and their short forms in labels. */
#define PATH_TIKV "/tikvpb.Tikv/"
#define PATH_DEBUG "/debugpb.Debug/"
#define PATH_PD "/pdpb.PD/"
#define PATH_ROUTER "/routerpb.Router/"
#define PATH_TSO "/tsopb.TSO/"
#define PATH_KEYSPACE "/keyspacepb.Keyspace/"
#define PATH_META "/meta_storagepb.MetaStorage/"
#define PATH_RM "/resource_manager.ResourceManager/"
#define PATH_HEALTH "/grpc.health.v1.Health/"

#define LABEL_TIKV "tikv."
#define LABEL_DEBUG "debug."
#define LABEL_PD "pd."
#define LABEL_ROUTER "router."
#define LABEL_TSO "tso."
#define LABEL_KEYSPACE "keyspace."
#define LABEL_META "meta_storage."
#define LABEL_RM "resource_manager."
#define LABEL_HEALTH "health."

#define PATH_OF_UNARY(service, method) PATH_##service #method
#define PATH_OF_DOWN(service, method) PATH_##service #method
#define PATH_OF_BIDI(service, method) PATH_##service #method
#define PATH_OF_SLOT(service, method) ""

static const struct tk_command_row rows[TK_COMMANDS] = {
#define TK_COMMAND(id, service, method, kind_, request_, response_, slot_,     \
                   context_, region_error_, error_, not_found_, value_,        \
                   is_hot_, retry_, timeout_ms_, key_fields_)                  \
    [TK_CMD_##id] = {                                                          \
        .name = #method,                                                       \
        .label = LABEL_##service #method,                                      \
        .path = PATH_OF_##kind_(service, method),                              \
        .request = &request_##_msginit,                                        \
        .response = &response_##_msginit,                                      \
        .kind = TK_KIND_##kind_,                                               \
        .slot = (slot_),                                                       \
        .context_field = (context_),                                           \
        .region_error = (region_error_),                                       \
        .error = (error_),                                                     \
        .not_found = (not_found_),                                             \
        .value = (value_),                                                     \
        .is_hot = (is_hot_),                                                   \
        .retry = TK_RETRY_##retry_,                                            \
        .timeout_ms = (timeout_ms_),                                           \
        .key_fields = (key_fields_),                                           \
    },
#include "wire/commands.def"
#undef TK_COMMAND
};

/* Of the paths, without the terminator. */
static const uint8_t path_lens[TK_COMMANDS] = {
#define TK_COMMAND(id, service, method, kind, ...)                             \
    [TK_CMD_##id] = sizeof(PATH_OF_##kind(service, method)) - 1,
#include "wire/commands.def"
#undef TK_COMMAND
};

/* Commands by slot, plus one. Commands without a slot fill places behind the
 * last slot, which nobody looks at: every place is initialised once. */
enum { SLOTS = 256 };

static const uint8_t by_slot[SLOTS + TK_COMMANDS] = {
#define TK_COMMAND(id, service, method, kind, request, response, slot, ...)    \
    [(slot) == 0 ? SLOTS + (int)TK_CMD_##id : (slot)] = TK_CMD_##id + 1,
#include "wire/commands.def"
#undef TK_COMMAND
};

_Static_assert(TK_COMMANDS < 255, "by_slot holds bytes");

const struct tk_command_row *
tk_command_row(enum tk_command command)
{
    return &rows[command];
}

enum tk_command
tk_command_by_path(const char *path)
{
    size_t len = strlen(path);
    unsigned i;

    for (i = 0; i < TK_COMMANDS; i++) {
        if (path_lens[i] == len && len != 0 &&
            memcmp(rows[i].path, path, len) == 0) {
            return (enum tk_command)i;
        }
    }
    return TK_COMMANDS;
}

enum tk_command
tk_command_by_name(const char *name)
{
    unsigned i;

    for (i = 0; i < TK_COMMANDS; i++) {
        const struct tk_command_row *row = &rows[i];

        if ((strncmp(row->path, PATH_TIKV, sizeof(PATH_TIKV) - 1) == 0 ||
             strncmp(row->path, PATH_DEBUG, sizeof(PATH_DEBUG) - 1) == 0) &&
            strcmp(row->name, name) == 0) {
            return (enum tk_command)i;
        }
    }
    return TK_COMMANDS;
}

enum tk_command
tk_command_by_slot(uint32_t slot)
{
    if (slot >= SLOTS || by_slot[slot] == 0) {
        return TK_COMMANDS;
    }
    return (enum tk_command)(by_slot[slot] - 1);
}

/* Whether the command's own error is a text. Asked only when one is there
 * and empty: an empty message is an error, an empty text is none. */
static bool
is_error_text(const struct tk_command_row *row)
{
    uint16_t i;

    for (i = 0; i < row->response->field_count; i++) {
        const upb_MiniTable_Field *field = &row->response->fields[i];

        if (field->number == row->error) {
            return field->descriptortype == kUpb_FieldType_String;
        }
    }
    return false;
}

static void
peek_bytes(const struct tk_command_row *row, const struct tk_field *field,
           struct tk_peek *out)
{
    if (field->number == row->region_error) {
        out->region_error = field->bytes;
    } else if (field->number == row->error) {
        out->error = field->bytes;
        if (field->bytes.len == 0 && is_error_text(row)) {
            out->error = (tikv_slice){ NULL, 0 };
        }
    } else if (field->number == row->value) {
        out->value = field->bytes;
    }
}

void
tk_peek(enum tk_command command, tikv_slice response, struct tk_peek *out)
{
    const struct tk_command_row *row = tk_command_row(command);
    struct tk_cursor cursor = tk_cursor(response);
    struct tk_field field;

    memset(out, 0, sizeof(*out));
    while (tk_cursor_field(&cursor, &field)) {
        if (field.type == TK_WIRE_BYTES) {
            peek_bytes(row, &field, out);
        } else if (field.type == TK_WIRE_VARINT &&
                   field.number == row->not_found) {
            out->not_found = field.value != 0;
        }
    }
    out->is_valid = tk_cursor_is_done(&cursor);
}
