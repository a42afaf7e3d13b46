/* SPDX-License-Identifier: Apache-2.0 */
/* How keys and values of a world look, and two small services of it. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/slice.h"
#include "exec/runtime.h"
#include "sim/world.h"
#include "wire/key.h"

/* Spread over the keys' first byte, by which regions are cut. */
tikv_slice
tk_world_key(const struct tk_world *world, uint32_t key, char *text)
{
    int len = snprintf(text, TK_SIM_TEXT, "%ck%u",
                       (int)(1 + key * 120 / world->options.keys), key);

    return tk_slice(text, (size_t)len);
}

tikv_slice
tk_world_place(const struct tk_world *world, uint32_t key, char *text)
{
    char plain[TK_SIM_TEXT];
    struct tk_buf encoded;
    size_t len;

    if (!world->workload->is_txn) {
        return tk_world_key(world, key, text);
    }
    tk_buf_init(&encoded, TK_SIM_TEXT);
    tk_key_encode(&encoded, world->workload->key_at == NULL
                                ? tk_world_key(world, key, plain)
                                : world->workload->key_at(key, plain));
    len = encoded.len;
    memcpy(text, encoded.data, len);
    tk_buf_fini(&encoded);
    return tk_slice(text, len);
}

static uint32_t
number_at(tikv_slice bytes, size_t at)
{
    uint32_t number = 0;

    if (at >= bytes.len) {
        return TK_SIM_NONE;
    }
    for (; at < bytes.len && bytes.data[at] != '.'; at++) {
        if (bytes.data[at] < '0' || bytes.data[at] > '9') {
            return TK_SIM_NONE;
        }
        number = number * 10 + (uint32_t)(bytes.data[at] - '0');
    }
    return number;
}

uint32_t
tk_world_key_of(tikv_slice key)
{
    return number_at(key, 2);
}

/* The number, a dot and so many bytes that the length varies with it. */
tikv_slice
tk_world_value(uint32_t value, char *text)
{
    int len;

    if (value == 0) {
        return (tikv_slice){ NULL, 0 };
    }
    len = snprintf(text, TK_SIM_TEXT, "v%u.%*s", value, (int)(value % 24), "");
    return tk_slice(text, (size_t)len);
}

uint32_t
tk_world_value_of_slice(tikv_slice bytes)
{
    char text[TK_SIM_TEXT];
    uint32_t value;

    if (bytes.data == NULL) {
        return 0;
    }
    value = bytes.len > 1 && bytes.data[0] == 'v' ? number_at(bytes, 1)
                                                  : TK_SIM_NONE;
    return value == 0 || value == TK_SIM_NONE ||
                   !tk_slice_equal(bytes, tk_world_value(value, text))
               ? TK_SIM_FOREIGN
               : value;
}

uint32_t
tk_world_value_of(const tikv_value *value)
{
    return value == NULL ? 0 : tk_world_value_of_slice(tikv_value_slice(value));
}

void
tk_world_sleep(struct tk_world *world, int64_t ns)
{
    struct tk_parker *self = tk_self(world->rt);
    int64_t until = tk_after(tk_now(world->rt), ns);

    while (tk_now(world->rt) < until) {
        tk_park_begin(self);
        world->rt->ops->park(world->rt, self, until);
    }
}

void
tk_world_complain(struct tk_world *world, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    tk_buf_append_text(world->report, text);
}
