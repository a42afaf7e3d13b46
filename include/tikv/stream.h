/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIKV_STREAM_H
#define TIKV_STREAM_H

/**
 * Requests of TiKV's own protocol that are answered by a stream of messages:
 * "CoprocessorStream", "BatchCoprocessor". They are made, and their options
 * are, as <tikv/request.h> tells.
 *
 *     open --first message--> reading --the server's last--> at its end
 *                                \--loss, silence, cancel--> broken
 *
 * Opening sends the request and waits for the first message, and until then
 * retries like tikv_request_send(): region errors, busy or lost stores, other
 * replicas. From then on nothing is retried, because what was read cannot be
 * taken back: a stream that is lost in its middle, or whose region moves away
 * (TIKV_ERR_REGION), ends with an error, and no message comes twice.
 *
 * Messages come at the reader's pace. One lies ready while the one before it
 * is looked at; what is not asked for stays with the store, so a slow reader
 * takes no memory. An open stream and its message count in
 * tikv_client_bytes_in_use().
 */

#include <tikv/request.h>

TIKV_BEGIN_DECLS

typedef struct tikv_stream tikv_stream;

/* Blocks until the first message is there, which `next` gives then. The call
 * in `options` is that of opening; `cancel` in it must live as long as the
 * stream, and ends that, too. `attempt_timeout_ms` holds for each further
 * message: a store that is silent so long has its stream ended. ARGUMENT as
 * for tikv_request_send(); UNSUPPORTED for methods without a stream. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_stream_open(tikv_client *client, const char *method, tikv_slice key,
                 tikv_slice message, const tikv_request_options *options,
                 tikv_stream **out);

/* The next message, as it came and the caller's to free; NULL without an
 * error is the end, and stays it. Blocks while it is on its way, `timeout_ms`
 * at the most, or TIKV_FOREVER: TIKV_ERR_TIMEOUT then, and the stream can be
 * asked again. Any other error ends it: the same error comes again. For one
 * thread at a time. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_stream_next(tikv_stream *stream, int64_t timeout_ms, tikv_value **out);

/* Ends a stream that is not at its end, and tells the store. Messages that
 * were given stay. May come after the client was closed, which ends all its
 * streams: `next` is CLOSED then. */
TIKV_API void
tikv_stream_free(tikv_stream *stream);

TIKV_END_DECLS

#endif
