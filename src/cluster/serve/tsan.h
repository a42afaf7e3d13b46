/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gRPC is not instrumented, so ThreadSanitizer does not see that a completion
 * happens after the batch it completes. These two say so; elsewhere they are
 * nothing.
 */
#ifndef TK_CLUSTER_SERVE_TSAN_H
#define TK_CLUSTER_SERVE_TSAN_H

#if defined(__SANITIZE_THREAD__)
#define TK_SERVE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TK_SERVE_TSAN 1
#endif
#endif

#ifdef TK_SERVE_TSAN
#include <sanitizer/tsan_interface.h>
#endif

/* Before a tag is given to gRPC. */
static inline void
tk_serve_tag_leaves(void *tag)
{
#ifdef TK_SERVE_TSAN
    __tsan_release(tag);
#else
    (void)tag;
#endif
}

/* After a tag came out of a completion queue. */
static inline void
tk_serve_tag_returns(void *tag)
{
#ifdef TK_SERVE_TSAN
    __tsan_acquire(tag);
#else
    (void)tag;
#endif
}

#endif
