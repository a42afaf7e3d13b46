/* SPDX-License-Identifier: Apache-2.0 */
/* Walking over pairs. No state beyond the walk; any thread. */
#include "wire/pairs.h"

#include "base/slice.h"

/* Fields of KvPair. */
enum { FIELD_ERROR = 1, FIELD_KEY = 2, FIELD_VALUE = 3 };

void
tk_pairs_walk_init(struct tk_pairs_walk *walk, tikv_slice answer,
                   uint32_t field)
{
    walk->cursor = tk_cursor(answer);
    walk->field = field;
    walk->is_broken = false;
}

/* Of a field that comes twice the last one counts. A known number with an
 * unexpected type is an unknown field. */
static bool
read_pair(tikv_slice bytes, struct tk_wire_pair *out)
{
    struct tk_cursor cursor = tk_cursor(bytes);
    struct tk_field field;

    out->key = tk_slice("", 0);
    out->value = tk_slice("", 0);
    out->has_error = false;
    while (tk_cursor_field(&cursor, &field)) {
        if (field.type != TK_WIRE_BYTES) {
            continue;
        }
        switch (field.number) {
        case FIELD_KEY:
            out->key = field.bytes;
            break;
        case FIELD_VALUE:
            out->value = field.bytes;
            break;
        case FIELD_ERROR:
            out->has_error = true;
            break;
        default:
            break;
        }
    }
    return tk_cursor_is_done(&cursor);
}

bool
tk_pairs_walk_next(struct tk_pairs_walk *walk, struct tk_wire_pair *out)
{
    struct tk_field field;

    while (tk_cursor_field(&walk->cursor, &field)) {
        if (field.number == walk->field && field.type == TK_WIRE_BYTES) {
            walk->is_broken = !read_pair(field.bytes, out);
            return !walk->is_broken;
        }
    }
    walk->is_broken = !tk_cursor_is_done(&walk->cursor);
    return false;
}
