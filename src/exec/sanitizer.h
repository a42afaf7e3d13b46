/* SPDX-License-Identifier: Apache-2.0 */
/* Which sanitizer this build has, and what fibers and epochs must tell it. */
#ifndef TK_EXEC_SANITIZER_H
#define TK_EXEC_SANITIZER_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TK_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define TK_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define TK_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define TK_TSAN 1
#endif

#ifndef TK_ASAN
#define TK_ASAN 0
#endif
#ifndef TK_TSAN
#define TK_TSAN 0
#endif

#if TK_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if TK_TSAN
#include <sanitizer/tsan_interface.h>
#endif

#endif
