/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The production runtime: a thread sleeps with a futex, on the word of its
 * parker's group. The parker hangs on a thread-specific key, whose destructor
 * returns it.
 *
 * Threads: one for timers, started when the first is armed; it sleeps on its
 * parker until the earliest one. Lock: TIMER, guards heap and timer thread.
 * Threads of ours block all signals: they are the host's business.
 */
#include "exec/parker.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/debug.h"
#include "base/rng.h"
#include "exec/fork.h"
#include "exec/mutex.h"
#include "exec/timers.h"

struct posix {
    struct tk_runtime rt;
    _Atomic uint64_t seed;
    uint32_t fork_number;
    struct tk_mutex lock;
    struct tk_timers timers;         /* guarded by lock */
    uint64_t armed;                  /* guarded by lock; order of arming */
    struct tk_thread *thread;        /* guarded by lock */
    _Atomic(struct tk_parker *) bed; /* of the timer thread, once it runs */
    _Atomic bool is_ending;
};

struct tk_thread {
    pthread_t thread;
    uint32_t fork_number;
    struct tk_parker *parker; /* taken by the parent: the child cannot fail */
    void (*fn)(void *);
    void *arg;
    char name[16];
};

static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static bool has_key; /* written under key_once */
static _Thread_local struct tk_parker *mine;

static void
thread_ends(void *parker)
{
    mine = NULL;
    tk_parker_give(parker);
}

static void
make_key(void)
{
    has_key = pthread_key_create(&key, thread_ends) == 0;
}

/* The destructor runs only for a thread whose value is set. */
static bool
adopt(struct tk_parker *parker)
{
    pthread_once(&key_once, make_key);
    if (!has_key || pthread_setspecific(key, parker) != 0) {
        return false;
    }
    mine = parker;
    return true;
}

static struct tk_parker *
posix_self(struct tk_runtime *rt)
{
    struct tk_parker *parker = mine;

    (void)rt;
    if (parker != NULL) {
        return parker;
    }
    parker = tk_parker_take(NULL);
    if (parker != NULL && !adopt(parker)) {
        tk_parker_give(parker);
        return NULL;
    }
    return parker;
}

/* Threads sleep in groups of as many as a futex's bitset tells apart: those
 * of one group that a frame completes are woken by one system call, and the
 * waker is not preempted by each. A park that meets a wake of others returns
 * for no reason, which it may. */
#define GROUP 32U

static _Atomic uint32_t *
group_word(const struct tk_parker *parker)
{
    return &tk_parker_at(parker->index / GROUP * GROUP)->generation;
}

static uint32_t
group_bit(const struct tk_parker *parker)
{
    return UINT32_C(1) << parker->index % GROUP;
}

static void
posix_park(struct tk_runtime *rt, struct tk_parker *self, int64_t until)
{
    struct timespec limit = { 0 };
    _Atomic uint32_t *word = group_word(self);
    /* Read before lying down: who finds us asleep raises it afterwards. */
    uint32_t generation = atomic_load(word);

    (void)rt;
    if (!tk_parker_lie_down(self)) {
        return;
    }
    if (until > 0) {
        limit.tv_sec = (time_t)(until / 1000000000);
        limit.tv_nsec = (long)(until % 1000000000);
    }
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, generation,
            until == TK_NEVER ? NULL : &limit, NULL, group_bit(self));
    tk_parker_get_up(self);
}

void
tk_thread_wake(struct tk_parker *const *parkers, size_t count)
{
    uint64_t done = 0;
    size_t i;
    size_t j;

    TK_ASSERT(count <= 64, "too many parkers to wake at once");
    for (i = 0; i < count; i++) {
        _Atomic uint32_t *word = group_word(parkers[i]);
        uint32_t bits = 0;

        if ((done >> i & 1) != 0) {
            continue;
        }
        for (j = i; j < count; j++) {
            if (group_word(parkers[j]) == word) {
                bits |= group_bit(parkers[j]);
                done |= UINT64_C(1) << j;
            }
        }
        atomic_fetch_add(word, 1);
        syscall(SYS_futex, word, FUTEX_WAKE_BITSET_PRIVATE, INT_MAX, NULL, NULL,
                bits);
    }
}

static void
posix_wake(struct tk_runtime *rt, struct tk_parker *const *parkers, size_t n)
{
    (void)rt;
    TK_ASSERT(n == 0 || tk_mutex_held() == 0, "wake with a lock held");
    tk_thread_wake(parkers, n);
}

static void *
thread_main(void *arg)
{
    struct tk_thread *thread = arg;
    bool is_adopted = adopt(thread->parker);

    mine = thread->parker;
    mine->is_library = true;
    pthread_setname_np(pthread_self(), thread->name);
    thread->fn(thread->arg);
    if (!is_adopted) {
        thread_ends(thread->parker);
    }
    return NULL;
}

static struct tk_thread *
posix_spawn(struct tk_runtime *rt, const char *name, void (*fn)(void *),
            void *arg)
{
    struct tk_thread *thread = tk_calloc(sizeof(*thread));
    sigset_t all;
    sigset_t before;
    int failed;

    (void)rt;
    if (thread == NULL) {
        return NULL;
    }
    thread->fork_number = tk_fork_number();
    thread->fn = fn;
    thread->arg = arg;
    strncpy(thread->name, name, sizeof(thread->name) - 1);
    thread->parker = tk_parker_take(NULL);
    if (thread->parker == NULL) {
        tk_free(thread);
        return NULL;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&thread->thread, NULL, thread_main, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0) {
        tk_parker_give(thread->parker);
        tk_free(thread);
        return NULL;
    }
    return thread;
}

static void
posix_join(struct tk_runtime *rt, struct tk_thread *thread)
{
    (void)rt;
    TK_ASSERT(tk_mutex_held() == 0, "join with a lock held");
    /* In a forked child the thread does not exist. */
    if (thread->fork_number == tk_fork_number()) {
        pthread_join(thread->thread, NULL);
    }
    tk_free(thread);
}

static int64_t
posix_now(struct tk_runtime *rt)
{
    (void)rt;
    return tk_clock_monotonic();
}

static int64_t
posix_wall(struct tk_runtime *rt)
{
    struct timespec now;

    (void)rt;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* splitmix64 whose state several threads advance. */
static uint64_t
posix_random(struct tk_runtime *rt)
{
    struct posix *posix = (struct posix *)rt;
    struct tk_rng rng = { atomic_fetch_add_explicit(
        &posix->seed, UINT64_C(0x9e3779b97f4a7c15), memory_order_relaxed) };

    return tk_rng_next(&rng);
}

/* Fires what is due; when the next one is. */
static int64_t
fire(struct posix *posix)
{
    for (;;) {
        struct tk_timer *first;

        tk_mutex_lock(&posix->lock);
        first = posix->timers.root;
        if (first == NULL || first->when > tk_clock_monotonic()) {
            int64_t when = first == NULL ? TK_NEVER : first->when;

            tk_mutex_unlock(&posix->lock);
            return when;
        }
        tk_timers_remove(&posix->timers, first);
        tk_mutex_unlock(&posix->lock);
        first->fn(first);
    }
}

static void
timers_main(void *arg)
{
    struct posix *posix = arg;
    struct tk_parker *me = posix_self(&posix->rt);

    atomic_store(&posix->bed, me);
    for (;;) {
        int64_t until;

        tk_park_begin(me);
        if (atomic_load(&posix->is_ending)) {
            break;
        }
        until = fire(posix);
        posix_park(&posix->rt, me, until);
    }
    atomic_store(&posix->bed, NULL);
}

static void
ring_timer_thread(struct posix *posix)
{
    struct tk_parker *bed = atomic_load(&posix->bed);

    /* No bed yet: the thread looks at the heap before it sleeps. */
    if (bed != NULL && tk_ring(bed)) {
        tk_thread_wake(&bed, 1);
    }
}

static void
posix_arm(struct tk_runtime *rt, struct tk_timer *timer, int64_t when)
{
    struct posix *posix = (struct posix *)rt;
    bool is_first;

    tk_mutex_lock(&posix->lock);
    tk_timers_remove(&posix->timers, timer);
    timer->when = when;
    timer->order = posix->armed++;
    tk_timers_add(&posix->timers, timer);
    is_first = posix->timers.root == timer;
    if (posix->thread == NULL) {
        /* Where no thread can be had the next arm tries again. */
        posix->thread = posix_spawn(rt, "tikv-timer", timers_main, posix);
    }
    tk_mutex_unlock(&posix->lock);
    if (is_first) {
        ring_timer_thread(posix);
    }
}

static bool
posix_disarm(struct tk_runtime *rt, struct tk_timer *timer)
{
    struct posix *posix = (struct posix *)rt;
    bool was_armed;

    tk_mutex_lock(&posix->lock);
    was_armed = tk_timers_remove(&posix->timers, timer);
    tk_mutex_unlock(&posix->lock);
    return was_armed;
}

static const struct tk_runtime_ops ops = { .now = posix_now,
                                           .self = posix_self,
                                           .park = posix_park,
                                           .wake = posix_wake,
                                           .spawn = posix_spawn,
                                           .join = posix_join,
                                           .random = posix_random,
                                           .arm = posix_arm,
                                           .disarm = posix_disarm,
                                           .wall = posix_wall };

static uint64_t
fresh_seed(void)
{
    uint64_t seed;

    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) !=
        (ssize_t)sizeof(seed)) {
        seed = (uint64_t)tk_clock_monotonic() ^ (uint64_t)getpid() << 32;
    }
    return seed;
}

struct tk_runtime *
tk_runtime_posix_new(void)
{
    struct posix *posix = tk_calloc(sizeof(*posix));

    if (posix == NULL) {
        return NULL;
    }
    posix->rt.ops = &ops;
    atomic_init(&posix->seed, fresh_seed());
    posix->fork_number = tk_fork_number();
    tk_mutex_init(&posix->lock, TK_RANK_TIMER);
    return &posix->rt;
}

void
tk_runtime_posix_free(struct tk_runtime *rt)
{
    struct posix *posix = (struct posix *)rt;

    if (posix == NULL) {
        return;
    }
    if (posix->fork_number == tk_fork_number()) {
        TK_ASSERT(posix->timers.root == NULL,
                  "a runtime was freed with a timer armed");
        if (posix->thread != NULL) {
            atomic_store(&posix->is_ending, true);
            ring_timer_thread(posix);
            posix_join(rt, posix->thread);
        }
        tk_mutex_fini(&posix->lock);
    } else {
        tk_free(posix->thread);
    }
    tk_free(posix);
}

struct tk_runtime *
tk_runtime_threads(void)
{
    static struct posix threads = { .rt = { .ops = &ops },
                                    .seed = 1,
                                    .lock = { PTHREAD_MUTEX_INITIALIZER,
                                              TK_RANK_TIMER } };

    return &threads.rt;
}
