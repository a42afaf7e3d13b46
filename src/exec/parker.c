/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of parkers. Chunks are mapped once and never returned, so the
 * index in a future's word can be followed at any time. Places that threads
 * and fibers left lie on two lists, one for each kind: a ring meant for a
 * thread can then never disturb a fiber.
 *
 * Any thread, no locks (a forked child must be able to take a place): lists
 * are stacks of indices with a counter against reuse between look and swap.
 */
#include "exec/parker.h"

#include <sys/mman.h>

#include "base/debug.h"
#include "exec/mutex.h"

#define CHUNK_BITS 10
#define CHUNK (UINT32_C(1) << CHUNK_BITS)
#define CHUNKS ((TK_PARKERS_MAX >> CHUNK_BITS) + 1)

static _Atomic(struct tk_parker *) chunks[CHUNKS];
static _Atomic uint32_t made; /* indices 1 .. made are handed out */

/* Low half the index on top, high half the counter. */
static _Atomic uint64_t free_threads;
static _Atomic uint64_t free_fibers;

struct tk_parker *
tk_parker_at(uint32_t at)
{
    struct tk_parker *chunk =
        atomic_load_explicit(&chunks[at >> CHUNK_BITS], memory_order_acquire);

    return &chunk[at & (CHUNK - 1)];
}

uint32_t
tk_parkers_count(void)
{
    return atomic_load_explicit(&made, memory_order_acquire);
}

static struct tk_parker *
pop(_Atomic uint64_t *list)
{
    uint64_t top = atomic_load_explicit(list, memory_order_acquire);

    while ((uint32_t)top != 0) {
        struct tk_parker *parker = tk_parker_at((uint32_t)top);
        uint64_t next =
            atomic_load_explicit(&parker->free_next, memory_order_relaxed);
        uint64_t turn = (top >> 32) + 1;

        if (atomic_compare_exchange_weak_explicit(list, &top, turn << 32 | next,
                                                  memory_order_acq_rel,
                                                  memory_order_acquire)) {
            return parker;
        }
    }
    return NULL;
}

static bool
ensure_chunk(uint32_t number)
{
    size_t size = CHUNK * sizeof(struct tk_parker);
    struct tk_parker *none = NULL;
    void *fresh;

    if (atomic_load_explicit(&chunks[number], memory_order_acquire) != NULL) {
        return true;
    }
    fresh = mmap(NULL, size, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fresh == MAP_FAILED) {
        return false;
    }
    if (!atomic_compare_exchange_strong(&chunks[number], &none, fresh)) {
        munmap(fresh, size);
    }
    return true;
}

static struct tk_parker *
make(void)
{
    uint32_t last = atomic_load_explicit(&made, memory_order_acquire);
    struct tk_parker *parker;

    do {
        if (last == TK_PARKERS_MAX || !ensure_chunk((last + 1) >> CHUNK_BITS)) {
            return NULL;
        }
    } while (!atomic_compare_exchange_weak(&made, &last, last + 1));
    parker = tk_parker_at(last + 1);
    parker->index = last + 1;
    return parker;
}

struct tk_parker *
tk_parker_take(struct tk_runtime *home)
{
    struct tk_parker *parker = pop(home == NULL ? &free_threads : &free_fibers);

    if (parker == NULL) {
        parker = make();
    }
    if (parker != NULL) {
        atomic_store_explicit(&parker->home, home, memory_order_release);
        atomic_store(&parker->word, TK_PARKER_IDLE);
        atomic_store(&parker->inside, NULL);
        parker->fiber = NULL;
        parker->is_library = false;
    }
    return parker;
}

void
tk_parker_give(struct tk_parker *parker)
{
    _Atomic uint64_t *list =
        atomic_load(&parker->home) == NULL ? &free_threads : &free_fibers;
    uint64_t top = atomic_load_explicit(list, memory_order_relaxed);
    uint64_t fresh;

    atomic_store(&parker->inside, NULL);
    do {
        atomic_store_explicit(&parker->free_next, (uint32_t)top,
                              memory_order_relaxed);
        fresh = ((top >> 32) + 1) << 32 | parker->index;
    } while (!atomic_compare_exchange_weak_explicit(
        list, &top, fresh, memory_order_acq_rel, memory_order_relaxed));
}

bool
tk_parker_lie_down(struct tk_parker *parker)
{
    uint32_t idle = TK_PARKER_IDLE;

    TK_ASSERT(tk_mutex_held() == 0, "park with a lock held");
    if (atomic_compare_exchange_strong(&parker->word, &idle,
                                       TK_PARKER_ASLEEP)) {
        return true;
    }
    tk_parker_get_up(parker);
    return false;
}

void
tk_parker_get_up(struct tk_parker *parker)
{
    atomic_exchange(&parker->word, TK_PARKER_IDLE);
}

bool
tk_ring(struct tk_parker *parker)
{
    return atomic_exchange(&parker->word, TK_PARKER_RUNG) == TK_PARKER_ASLEEP;
}

void
tk_park_begin(struct tk_parker *self)
{
    atomic_exchange(&self->word, TK_PARKER_IDLE);
}

void
tk_wakes_ring(struct tk_wakes *wakes, struct tk_parker *parker)
{
    if (!tk_ring(parker)) {
        return;
    }
    if (tk_wakes_is_full(wakes)) {
        tk_wakes_flush(wakes);
    }
    wakes->parkers[wakes->count++] = parker;
}

void
tk_wakes_flush(struct tk_wakes *wakes)
{
    size_t threads = 0;
    size_t i;

    TK_ASSERT(wakes->count == 0 || tk_mutex_held() == 0,
              "wake with a lock held");
    for (i = 0; i < wakes->count; i++) {
        struct tk_parker *parker = wakes->parkers[i];
        struct tk_runtime *home =
            atomic_load_explicit(&parker->home, memory_order_acquire);

        if (home == NULL) {
            wakes->parkers[threads++] = parker;
        } else {
            home->ops->wake(home, &parker, 1);
        }
    }
    tk_thread_wake(wakes->parkers, threads);
    wakes->count = 0;
}
