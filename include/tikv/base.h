/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIKV_BASE_H
#define TIKV_BASE_H

/**
 * The words every other header speaks: opaque objects, bytes, ranges, and
 * the part that all options of a call begin with.
 *
 * Rules that hold wherever an entry does not say otherwise:
 *
 * - Objects are opaque and ended by one function that takes NULL and cannot
 *   fail. Client, future and queue may be used from any thread.
 * - Bytes that go in are borrowed for the call; an `_async` call has copied
 *   what it needs before it returns. Bytes that come out belong to an object
 *   that the caller frees, once, however many pairs it holds.
 * - A slice without `data` is absent; one with `data` and no `len` is empty.
 *   A get that finds nothing succeeds and gives no value.
 * - An error is an object of the receiver, NULL is success (error.h).
 * - Out parameters are last, and written only on success; objects among
 *   them are set to NULL first, so that freeing them is always right.
 * - Only functions that say so block. Durations are int64_t and carry their
 *   unit in the name.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define TIKV_API __attribute__((visibility("default")))
#define TIKV_MUST_USE __attribute__((warn_unused_result))
#else
#define TIKV_API
#define TIKV_MUST_USE
#endif

#ifdef __cplusplus
#define TIKV_BEGIN_DECLS extern "C" {
#define TIKV_END_DECLS }
#else
#define TIKV_BEGIN_DECLS
#define TIKV_END_DECLS
#endif

TIKV_BEGIN_DECLS

/* Objects of the library. Their layout is private for ever. */
typedef struct tikv_config tikv_config;
typedef struct tikv_client tikv_client;
typedef struct tikv_cancel tikv_cancel;
typedef struct tikv_future tikv_future;
typedef struct tikv_queue tikv_queue;
typedef struct tikv_value tikv_value;
typedef struct tikv_pairs tikv_pairs;
typedef struct tikv_error tikv_error;
typedef struct tikv_details tikv_details;

/* Bytes that somebody else owns. No `data`: absent. No `len`: empty. */
typedef struct tikv_slice {
    const uint8_t *data;
    size_t len;
} tikv_slice;

typedef struct tikv_pair {
    tikv_slice key;
    tikv_slice value;
} tikv_pair;

/* From `start` up to, and without, `end`. An empty or absent `end` is no
 * end; an empty or absent `start` is the very beginning. */
typedef struct tikv_range {
    tikv_slice start;
    tikv_slice end;
} tikv_range;

/* No limit, where a duration is asked for. */
#define TIKV_FOREVER INT64_C(-1)

/* A switch that leaves the default alone unless it is set. */
typedef int32_t tikv_switch;
#define TIKV_DEFAULT INT32_C(0)
#define TIKV_ON INT32_C(1)
#define TIKV_OFF INT32_C(2)

/* How a call is weighed against others, by TiKV and in our own queues. */
typedef int32_t tikv_priority;
#define TIKV_PRIORITY_NORMAL INT32_C(0)
#define TIKV_PRIORITY_LOW INT32_C(1)
#define TIKV_PRIORITY_HIGH INT32_C(2)

/**
 * What every call that may wait can be told. All options structs begin with
 * it; functions with no options of their own take it alone. Zero is always
 * the default, and NULL in place of options means all defaults.
 *
 * `struct_size` is the size of the whole options struct this part begins, as
 * its INIT macro sets it. The library reads the smaller of the caller's size
 * and its own, and refuses with TIKV_ERR_ARGUMENT a larger struct whose
 * unknown part is not zero. So structs of options may grow under a program
 * that was built before: as long as the soname stays, fields are only added
 * at the end. With a new one (version.h) they may find a better order. This
 * part itself never grows: it is frozen, like the three structs above.
 */
typedef struct tikv_call {
    size_t struct_size;

    /* The whole call: routing, retries, waits and backoff. 0 is the
     * client's `call.timeout_ms`, TIKV_FOREVER no limit. */
    int64_t timeout_ms;

    /* An absolute end on the clock of tikv_now_ns(), or 0. When both are
     * given the earlier one holds. */
    int64_t deadline_ns;

    /* Ends the call when it is cancelled; see tikv_cancel_new(). Must live
     * until the call has ended, a future's call included. */
    tikv_cancel *cancel;

    /* Who asks, for TiKV's accounting: Context.request_source. */
    const char *request_source;

    /* Context.resource_control_context.resource_group_name. */
    const char *resource_group;

    /* Context.resource_group_tag. */
    tikv_slice resource_tag;

    /* Context.trace_id: joins TiKV's logs and traces to the caller's. */
    tikv_slice trace_id;

    tikv_priority priority;

    /* Keeps the frozen size; must be zero. */
    uint32_t reserved;
} tikv_call;
#define TIKV_CALL_INIT_SIZED(size)                                             \
    { (size), 0, 0, NULL, NULL, NULL, { NULL, 0 }, { NULL, 0 }, 0, 0 }
#define TIKV_CALL_INIT TIKV_CALL_INIT_SIZED(sizeof(tikv_call))

/**
 * For functions that take a `tikv_call` alone: `&options.call` of this has the
 * call's account in `details` (details.h), or NULL.
 */
typedef struct tikv_call_options {
    tikv_call call;
    tikv_details *details;
} tikv_call_options;
#define TIKV_CALL_OPTIONS_INIT                                                 \
    { TIKV_CALL_INIT_SIZED(sizeof(tikv_call_options)), NULL }

/* TIKV_CALL_INIT for languages without a C preprocessor. */
TIKV_API void
tikv_call_init(tikv_call *call, size_t struct_size);

/* Now, in nanoseconds, on the clock of `deadline_ns` (monotonic). */
TIKV_API int64_t
tikv_now_ns(void);

TIKV_END_DECLS

#endif
