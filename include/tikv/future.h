/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIKV_FUTURE_H
#define TIKV_FUTURE_H

/**
 * The outcome of one operation, promised by the `_async` twin of a call.
 *
 *     running --answer, error, cancel, close--> READY --take--> TAKEN
 *
 * A future is never NULL: a refusal is a future too, ready at once. It can be
 * used from any thread and freed at any moment, also inside its callback;
 * letting go never cancels the operation. The outcome can be taken once.
 */

#include <tikv/base.h>

TIKV_BEGIN_DECLS

typedef void
tikv_future_fn(tikv_future *future, void *arg);

/* Looks. Never blocks. */
TIKV_API bool
tikv_future_ready(const tikv_future *future);

/* Waits. True means ready; the outcome may still be an error. 0 is a look.
 * On a thread of the library (inside a callback) it does not block but
 * reports what is. */
TIKV_API bool
tikv_future_wait(tikv_future *future, int64_t timeout_ms);

/* The place of the first one ready, or `count` when the time is over.
 * NULL places are skipped. */
TIKV_API size_t
tikv_future_wait_any(tikv_future *const *futures, size_t count,
                     int64_t timeout_ms);

/* True when all are ready. NULL places count as ready. */
TIKV_API bool
tikv_future_wait_all(tikv_future *const *futures, size_t count,
                     int64_t timeout_ms);

/* Be told: `fn` is called exactly once, never inside this function, also after
 * cancel, close or free. `fn` gets a future to take from, which is valid
 * during the call and need not be freed by it. A client has one thread for
 * callbacks, begun by the first: they run one at a time, in the order in which
 * their futures became ready, and a slow one delays only other callbacks. It
 * may begin operations and blocking calls; closing the client waits for it.
 * TIKV_ERR_STATE when the future already has a callback or a queue,
 * TIKV_ERR_OVERLOAD when `pool.callbacks_max_count` have not returned,
 * TIKV_ERR_CLOSED when its client is being closed or was before. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_future_on_ready(tikv_future *future, tikv_future_fn *fn, void *arg);

/* Instead of a callback: the queue gives the future back when it is ready,
 * together with `tag`. The queue owns it until then. On error the caller
 * keeps it. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_future_post(tikv_future *future, tikv_queue *queue, void *tag);

/* Asks that it stop. An operation that had not started, or can be stopped
 * without doubt, ends TIKV_ERR_CANCELLED; a write whose answer is lost ends
 * TIKV_ERR_UNDETERMINED; otherwise it ends as it ends. */
TIKV_API void
tikv_future_cancel(tikv_future *future);

/* Take the outcome: an error, or what the operation promised. Before it is
 * ready TIKV_ERR_NOT_READY, a second time TIKV_ERR_TAKEN, with the wrong
 * function TIKV_ERR_KIND; none of the three changes the future. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_future_take_done(tikv_future *future);

TIKV_API TIKV_MUST_USE tikv_error *
tikv_future_take_value(tikv_future *future, tikv_value **out);

TIKV_API TIKV_MUST_USE tikv_error *
tikv_future_take_pairs(tikv_future *future, tikv_pairs **out);

TIKV_API TIKV_MUST_USE tikv_error *
tikv_future_take_swap(tikv_future *future, bool *swapped,
                      tikv_value **previous);

TIKV_API TIKV_MUST_USE tikv_error *
tikv_future_take_u64(tikv_future *future, uint64_t *out);

TIKV_API TIKV_MUST_USE tikv_error *
tikv_future_take_ttl(tikv_future *future, bool *found, uint64_t *ttl_s);

TIKV_API TIKV_MUST_USE tikv_error *
tikv_future_take_checksum(tikv_future *future, uint64_t *crc64_xor,
                          uint64_t *pairs_count, uint64_t *total_bytes);

/* Lets go. The operation runs on; a callback still comes. */
TIKV_API void
tikv_future_free(tikv_future *future);

/* What reads give. Slices live as long as the object. */
TIKV_API tikv_slice
tikv_value_slice(const tikv_value *value);

TIKV_API void
tikv_value_free(tikv_value *value);

TIKV_API const tikv_pair *
tikv_pairs_data(const tikv_pairs *pairs);

TIKV_API size_t
tikv_pairs_count(const tikv_pairs *pairs);

/* Whether the range goes on; if so, `*rest` is the range of the next page.
 * Its slices live as long as `pairs`. */
TIKV_API bool
tikv_pairs_next(const tikv_pairs *pairs, tikv_range *rest);

/* A batch scan answers its ranges one after the other: how many pairs stand
 * before the end of the answer to range `index`. */
TIKV_API size_t
tikv_pairs_group_end(const tikv_pairs *pairs, size_t index);

TIKV_API void
tikv_pairs_free(tikv_pairs *pairs);

/**
 * A completion queue, for programs with an event loop of their own: its
 * descriptor is readable while something is ready. One queue may collect
 * futures of several clients; any thread may take from it.
 */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_queue_new(tikv_queue **out);

/* For poll, epoll, libuv, asyncio: do not read from it or close it. -1 when
 * the process is out of descriptors. */
TIKV_API int
tikv_queue_fd(tikv_queue *queue);

/* A ready future, the caller's again, or NULL when the time is over. On a
 * thread of the library it does not block. */
TIKV_API TIKV_MUST_USE tikv_future *
tikv_queue_next(tikv_queue *queue, int64_t timeout_ms, void **tag);

/* Up to `max` ready futures in one call; waits for the first one only.
 * `tags` may be NULL. Returns how many. */
TIKV_API size_t
tikv_queue_drain(tikv_queue *queue, tikv_future **futures, void **tags,
                 size_t max, int64_t timeout_ms);

/* Lets go of every future that is still inside. No thread may be waiting. */
TIKV_API void
tikv_queue_free(tikv_queue *queue);

/**
 * One switch that ends any number of calls, blocking ones too: pass it in
 * `tikv_call.cancel`. Once raised it stays raised. Free it when no call that
 * carries it is running.
 */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_cancel_new(tikv_cancel **out);

/* Any thread, any time, any number of times. Never blocks. */
TIKV_API void
tikv_cancel_raise(tikv_cancel *cancel);

TIKV_API bool
tikv_cancel_raised(const tikv_cancel *cancel);

TIKV_API void
tikv_cancel_free(tikv_cancel *cancel);

TIKV_END_DECLS

#endif
