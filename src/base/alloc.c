/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door to memory. jemalloc is asked by weak references to its own entry
 * points: they are there when the process has it and NULL when not, and
 * every block goes back through the door it came from. Any thread, no locks;
 * the counters of debug builds are relaxed atomics.
 */
#include "base/alloc.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

extern void *
mallocx(size_t size, int flags) __attribute__((weak));
extern void *
rallocx(void *block, size_t size, int flags) __attribute__((weak));
extern void
dallocx(void *block, int flags) __attribute__((weak));

/* jemalloc's MALLOCX_ZERO; part of its ABI. */
#define ZEROED 0x40

#ifdef TK_DEBUG
static _Atomic int64_t live;
static _Atomic uint64_t made;
static _Atomic uint64_t fail_at; /* value of `made` that fails; 0: none */
static _Thread_local uint64_t made_here;

static bool
fails(void)
{
    uint64_t number = atomic_fetch_add(&made, 1) + 1;
    uint64_t wanted = number;

    made_here++;
    return atomic_compare_exchange_strong(&fail_at, &wanted, 0);
}

static void *
count(void *block)
{
    if (block != NULL) {
        atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
    }
    return block;
}

static void
uncount(void)
{
    atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
}

int64_t
tk_alloc_live(void)
{
    return atomic_load_explicit(&live, memory_order_relaxed);
}

uint64_t
tk_alloc_made_here(void)
{
    return made_here;
}

uint64_t
tk_alloc_fail_nth(uint64_t nth)
{
    uint64_t before;

    atomic_store(&fail_at, 0);
    before = atomic_exchange(&made, 0);
    atomic_store(&fail_at, nth);
    return before;
}
#else
static bool
fails(void)
{
    return false;
}

static void *
count(void *block)
{
    return block;
}

static void
uncount(void)
{
}

int64_t
tk_alloc_live(void)
{
    return 0;
}

uint64_t
tk_alloc_made_here(void)
{
    return 0;
}

uint64_t
tk_alloc_fail_nth(uint64_t nth)
{
    (void)nth;
    return 0;
}
#endif

void *
tk_alloc(size_t size)
{
    size_t room = size == 0 ? 1 : size;

    if (fails()) {
        return NULL;
    }
    return count(mallocx != NULL ? mallocx(room, 0) : malloc(room));
}

void *
tk_calloc(size_t size)
{
    size_t room = size == 0 ? 1 : size;

    if (fails()) {
        return NULL;
    }
    return count(mallocx != NULL ? mallocx(room, ZEROED) : calloc(1, room));
}

void *
tk_alloc_array(size_t items, size_t item_size)
{
    size_t size;

    if (__builtin_mul_overflow(items, item_size, &size)) {
        return NULL;
    }
    return tk_alloc(size);
}

void *
tk_realloc(void *block, size_t size)
{
    size_t room = size == 0 ? 1 : size;

    if (block == NULL) {
        return tk_alloc(size);
    }
    if (fails()) {
        return NULL;
    }
    return mallocx != NULL ? rallocx(block, room, 0) : realloc(block, room);
}

void
tk_free(void *block)
{
    if (block == NULL) {
        return;
    }
    uncount();
    if (mallocx != NULL) {
        dallocx(block, 0);
    } else {
        free(block);
    }
}

char *
tk_strdup(const char *text)
{
    size_t size;
    char *copy;

    if (text == NULL) {
        return NULL;
    }
    size = strlen(text) + 1;
    copy = tk_alloc(size);
    if (copy != NULL) {
        memcpy(copy, text, size);
    }
    return copy;
}
