/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIKV_DETAILS_H
#define TIKV_DETAILS_H

/**
 * Where the time of calls went: an account that the caller owns and gives to
 * calls, in the `details` of their options. Each call adds to it what it took
 * before it returns, or before its future is ready, whatever its outcome; one
 * that was refused at the door adds nothing. So one account may be of one
 * call, of the pages of a scan, or of a transaction from begin to commit.
 *
 * One call at a time may have it, and it must live until that call has ended.
 * Nobody pays for an account that is not asked for; every error has its own,
 * tikv_error_details().
 *
 *     queue    before a worker took a future's operation
 *     pd       waiting for PD: regions, stores, timestamps
 *     backoff  pauses between attempts, by kind
 *     wire     waiting for stores, less
 *     server   what they say they worked; raw answers do not tell
 *     own      everything else
 *
 * The parts are of the call's own line of time, so they add up to the total:
 * when several requests are under way, the wait is told once, and is the
 * server's as far as the request that ended it was.
 */

#include <tikv/base.h>

TIKV_BEGIN_DECLS

TIKV_API TIKV_MUST_USE tikv_error *
tikv_details_new(tikv_details **out);

/* Empties it for other calls. */
TIKV_API void
tikv_details_clear(tikv_details *details);

TIKV_API void
tikv_details_free(tikv_details *details);

/* By number; new ones come without new functions, unknown ones are 0. */
typedef int32_t tikv_details_field;
enum {
    TIKV_DETAILS_TOTAL_NS = 1,
    TIKV_DETAILS_QUEUE_NS = 2,
    TIKV_DETAILS_PD_NS = 3,
    TIKV_DETAILS_BACKOFF_NS = 4,
    TIKV_DETAILS_WIRE_NS = 5,
    TIKV_DETAILS_SERVER_NS = 6,
    TIKV_DETAILS_OWN_NS = 7,
    TIKV_DETAILS_CALLS = 8,    /* that added to it */
    TIKV_DETAILS_REQUESTS = 9, /* sent to stores, repeated ones included */
    TIKV_DETAILS_HEDGES = 10,  /* of them second ones, `read.hedge_ms` */

    /* Requests to stores and their answers, without envelopes; the far ones
     * are those of stores whose label "zone" is not `client.zone`. */
    TIKV_DETAILS_SENT_BYTES = 11,
    TIKV_DETAILS_RECEIVED_BYTES = 12,
    TIKV_DETAILS_FAR_SENT_BYTES = 13,
    TIKV_DETAILS_FAR_RECEIVED_BYTES = 14
};

/* NULL reads as an empty one. */
TIKV_API uint64_t
tikv_details_u64(const tikv_details *details, tikv_details_field field);

/* Backoff by kind: `*kind` is the field's established name ("regionMiss",
 * "tikvRPC", ...). Returns false when `index` is past the last kind that
 * slept. */
TIKV_API bool
tikv_details_backoff(const tikv_details *details, size_t index,
                     const char **kind, uint64_t *slept_ns);

/* The account of the call that failed; it lives as long as the error. NULL
 * for an error that no running call came to, and for those that cost no
 * memory: MEMORY, CANCELLED, CLOSED, FORKED. */
TIKV_API const tikv_details *
tikv_error_details(const tikv_error *error);

TIKV_END_DECLS

#endif
