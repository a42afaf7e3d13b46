/* SPDX-License-Identifier: Apache-2.0 */
/* The account of calls as the caller sees it. No lock: one call at a time
 * adds to one, and nobody reads meanwhile. */
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/spent.h"

tikv_error *
tikv_details_new(tikv_details **out)
{
    if (out == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "out is NULL");
    }
    *out = tk_calloc(sizeof(**out));
    return *out == NULL ? tk_error_immortal(TIKV_ERR_MEMORY) : NULL;
}

void
tikv_details_clear(tikv_details *details)
{
    if (details != NULL) {
        memset(&details->spent, 0, sizeof(details->spent));
    }
}

void
tikv_details_free(tikv_details *details)
{
    tk_free(details);
}

void
tk_spent_add(struct tk_spent *to, const struct tk_spent *from)
{
    size_t i;

    for (i = 0; i < TK_PARTS; i++) {
        to->ns[i] += from->ns[i];
    }
    for (i = 0; i < TK_BACKOFF_KINDS; i++) {
        to->slept_ns[i] += from->slept_ns[i];
    }
    to->calls += from->calls;
    to->requests += from->requests;
    to->hedges += from->hedges;
    for (i = 0; i < TK_TRAFFICS; i++) {
        to->bytes[i] += from->bytes[i];
    }
}

static uint64_t
part(const struct tk_spent *spent, enum tk_part which)
{
    return (uint64_t)spent->ns[which];
}

static uint64_t
total(const struct tk_spent *spent)
{
    uint64_t sum = 0;
    size_t i;

    for (i = 0; i < TK_PARTS; i++) {
        sum += part(spent, (enum tk_part)i);
    }
    return sum;
}

uint64_t
tikv_details_u64(const tikv_details *details, tikv_details_field field)
{
    const struct tk_spent *spent;

    if (details == NULL) {
        return 0;
    }
    spent = &details->spent;
    switch (field) {
    case TIKV_DETAILS_TOTAL_NS:
        return total(spent);
    case TIKV_DETAILS_QUEUE_NS:
        return part(spent, TK_PART_QUEUE);
    case TIKV_DETAILS_PD_NS:
        return part(spent, TK_PART_PD);
    case TIKV_DETAILS_BACKOFF_NS:
        return part(spent, TK_PART_BACKOFF);
    case TIKV_DETAILS_WIRE_NS:
        return part(spent, TK_PART_WIRE);
    case TIKV_DETAILS_SERVER_NS:
        return part(spent, TK_PART_SERVER);
    case TIKV_DETAILS_OWN_NS:
        return part(spent, TK_PART_OWN);
    case TIKV_DETAILS_CALLS:
        return spent->calls;
    case TIKV_DETAILS_REQUESTS:
        return spent->requests;
    case TIKV_DETAILS_HEDGES:
        return spent->hedges;
    case TIKV_DETAILS_SENT_BYTES:
        return spent->bytes[TK_TRAFFIC_OUT];
    case TIKV_DETAILS_RECEIVED_BYTES:
        return spent->bytes[TK_TRAFFIC_IN];
    case TIKV_DETAILS_FAR_SENT_BYTES:
        return spent->bytes[TK_TRAFFIC_FAR_OUT];
    case TIKV_DETAILS_FAR_RECEIVED_BYTES:
        return spent->bytes[TK_TRAFFIC_FAR_IN];
    default:
        return 0;
    }
}

bool
tikv_details_backoff(const tikv_details *details, size_t place,
                     const char **kind, uint64_t *slept_ns)
{
    size_t i;

    for (i = 0; details != NULL && i < TK_BACKOFF_KINDS; i++) {
        if (details->spent.slept_ns[i] == 0 || place-- != 0) {
            continue;
        }
        if (kind != NULL) {
            *kind = tk_backoff_name((enum tk_backoff_kind)i);
        }
        if (slept_ns != NULL) {
            *slept_ns = (uint64_t)details->spent.slept_ns[i];
        }
        return true;
    }
    return false;
}
