/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part all options begin with. Sizes are read by memcpy: the caller's
 * struct may be older, newer, or not ours at all. No state.
 */
#include "base/call.h"

#include <string.h>

#include "base/error.h"

/* More than any options struct will ever have: a wild size is an argument
 * error, not a walk through memory. */
#define SIZE_LIMIT 4096

void
tikv_call_init(tikv_call *call, size_t struct_size)
{
    if (call != NULL) {
        size_t size = struct_size < sizeof(*call) ? sizeof(*call) : struct_size;

        memset(call, 0, size);
        call->struct_size = size;
    }
}

static bool
is_zero(const uint8_t *bytes, size_t from, size_t to)
{
    size_t i;

    for (i = from; i < to; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

static tikv_error *
check_call(const tikv_call *call)
{
    if (call->reserved != 0) {
        return tk_error(TIKV_ERR_ARGUMENT, "call.reserved is not 0");
    }
    if (call->timeout_ms < TIKV_FOREVER) {
        return tk_error(TIKV_ERR_ARGUMENT, "call.timeout_ms is %lld",
                        (long long)call->timeout_ms);
    }
    if (call->deadline_ns < 0) {
        return tk_error(TIKV_ERR_ARGUMENT, "call.deadline_ns is %lld",
                        (long long)call->deadline_ns);
    }
    if (call->priority < TIKV_PRIORITY_NORMAL ||
        call->priority > TIKV_PRIORITY_HIGH) {
        return tk_error(TIKV_ERR_ARGUMENT, "call.priority is %d",
                        (int)call->priority);
    }
    return NULL;
}

tikv_error *
tk_call_check(const void *options, size_t known_size)
{
    tikv_call call;

    if (options == NULL) {
        return NULL;
    }
    memcpy(&call.struct_size, options, sizeof(call.struct_size));
    if (call.struct_size < sizeof(call) || call.struct_size > SIZE_LIMIT) {
        return tk_error(TIKV_ERR_ARGUMENT, "call.struct_size is %zu",
                        call.struct_size);
    }
    memcpy(&call, options, sizeof(call));
    if (call.struct_size > known_size &&
        !is_zero(options, known_size, call.struct_size)) {
        return tk_error(TIKV_ERR_ARGUMENT,
                        "options set a field this library does not know");
    }
    return check_call(&call);
}

tikv_error *
tk_options_read(const void *options, size_t known_size, void *copy)
{
    tikv_error *error = tk_call_check(options, known_size);
    size_t size = 0;

    if (error != NULL) {
        return error;
    }
    memset(copy, 0, known_size);
    if (options != NULL) {
        memcpy(&size, options, sizeof(size));
        memcpy(copy, options, size < known_size ? size : known_size);
    }
    memcpy(copy, &known_size, sizeof(known_size));
    return NULL;
}

tikv_error *
tk_call_read(const tikv_call *options, tikv_call *call, tikv_details **details)
{
    static const tikv_call none = TIKV_CALL_INIT;
    const tikv_call *from = &none;
    tikv_call_options copy;

    /* Most calls have none, and clearing a copy first is a good part of what
     * the future of a timestamp costs its caller. */
    *details = NULL;
    if (options != NULL) {
        tikv_error *error = tk_options_read(options, sizeof(copy), &copy);

        if (error != NULL) {
            return error;
        }
        from = &copy.call;
        *details = copy.details;
    }
    *call = *from;
    call->struct_size = sizeof(*call);
    return NULL;
}
