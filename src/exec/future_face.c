/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs of <tikv/future.h>. A waiter puts the index of its parker into
 * the future's word; the completer rings it. Before a thread sleeps it
 * flushes what the futures wait for, since requests are held back for
 * company. On threads of the library, and in a forked child, waits only look.
 */
#include "exec/future.h"

#include "base/error.h"
#include "exec/exec_inside.h"
#include "exec/queue.h"

static bool
is_ready(const struct tikv_future *future)
{
    return (atomic_load(&future->word) & TK_FUTURE_READY) != 0;
}

bool
tikv_future_ready(const tikv_future *future)
{
    return future == NULL || is_ready(future);
}

/* --- Waiting ------------------------------------------------------------- */

/* Who waits, and until when. */
struct wait {
    struct tk_exec *exec;
    struct tk_parker *me;
    int64_t until;
};

static int64_t
now_of(const struct wait *wait)
{
    return wait->exec->ops->now(wait->exec->rt);
}

static void
doze(const struct wait *wait)
{
    wait->exec->ops->park(wait->exec->rt, wait->me, wait->until);
}

/* False: this thread must not sleep. */
static bool
wait_init(struct wait *wait, const struct tikv_future *future,
          int64_t timeout_ms)
{
    if (timeout_ms == 0 || tk_exec_is_forked(future->exec)) {
        return false;
    }
    wait->exec = future->exec;
    wait->me = wait->exec->ops->self(wait->exec->rt);
    if (wait->me == NULL || wait->me->is_library) {
        return false;
    }
    wait->until = timeout_ms < 0 || timeout_ms > TK_NEVER / TK_MS
                      ? TK_NEVER
                      : tk_after(now_of(wait), timeout_ms * TK_MS);
    return true;
}

static void
sign_in(struct wait *wait, struct tikv_future *future)
{
    uint32_t mine = wait->me->index << TK_FUTURE_PARKER_SHIFT;
    uint32_t word = atomic_load(&future->word);

    for (;;) {
        uint32_t other = word >> TK_FUTURE_PARKER_SHIFT
                                     << TK_FUTURE_PARKER_SHIFT;
        uint32_t wanted = other == 0 ? word | mine : word | TK_FUTURE_MANY;

        if (other == mine || (word & TK_FUTURE_READY) ||
            atomic_compare_exchange_weak(&future->word, &word, wanted)) {
            return;
        }
    }
}

/* Else a later waiter would meet a stranger and pay for MANY. */
static void
sign_out(struct wait *wait, struct tikv_future *future)
{
    uint32_t mine = wait->me->index;
    uint32_t word = atomic_load(&future->word);

    while (word >> TK_FUTURE_PARKER_SHIFT == mine &&
           !atomic_compare_exchange_weak(
               &future->word, &word,
               word & ((UINT32_C(1) << TK_FUTURE_PARKER_SHIFT) - 1))) {
    }
}

static bool
sleep_for(struct wait *wait, struct tikv_future *future)
{
    sign_in(wait, future);
    tk_future_flush(future);
    for (;;) {
        tk_park_begin(wait->me);
        if (is_ready(future)) {
            return true;
        }
        if (now_of(wait) >= wait->until) {
            break;
        }
        doze(wait);
    }
    sign_out(wait, future);
    return is_ready(future);
}

bool
tikv_future_wait(tikv_future *future, int64_t timeout_ms)
{
    struct wait wait;

    if (tikv_future_ready(future)) {
        return true;
    }
    if (!wait_init(&wait, future, timeout_ms)) {
        return is_ready(future);
    }
    return sleep_for(&wait, future);
}

static size_t
first_ready(tikv_future *const *futures, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (futures[i] != NULL && is_ready(futures[i])) {
            return i;
        }
    }
    return count;
}

size_t
tikv_future_wait_any(tikv_future *const *futures, size_t count,
                     int64_t timeout_ms)
{
    size_t ready = first_ready(futures, count);
    struct wait wait;
    size_t any = 0;
    size_t i;

    while (any < count && futures[any] == NULL) {
        any++;
    }
    if (ready < count || any == count) {
        return ready;
    }
    if (!wait_init(&wait, futures[any], timeout_ms)) {
        return first_ready(futures, count);
    }
    for (i = any; i < count; i++) {
        if (futures[i] != NULL) {
            sign_in(&wait, futures[i]);
            tk_future_flush(futures[i]);
        }
    }
    for (;;) {
        tk_park_begin(wait.me);
        ready = first_ready(futures, count);
        if (ready < count || now_of(&wait) >= wait.until) {
            break;
        }
        doze(&wait);
    }
    for (i = any; i < count; i++) {
        if (futures[i] != NULL) {
            sign_out(&wait, futures[i]);
        }
    }
    return ready < count ? ready : first_ready(futures, count);
}

bool
tikv_future_wait_all(tikv_future *const *futures, size_t count,
                     int64_t timeout_ms)
{
    struct wait wait;
    bool may_sleep = false;
    size_t i;

    for (i = 0; i < count; i++) {
        if (tikv_future_ready(futures[i])) {
            continue;
        }
        if (!may_sleep) {
            if (!wait_init(&wait, futures[i], timeout_ms)) {
                break;
            }
            may_sleep = true;
        }
        tk_future_flush(futures[i]);
    }
    for (i = 0; i < count; i++) {
        if (!tikv_future_ready(futures[i]) &&
            (!may_sleep || !sleep_for(&wait, futures[i]))) {
            return false;
        }
    }
    return true;
}

/* --- Being told ---------------------------------------------------------- */

/* What a future without an exec has for everybody. */
static tikv_error *
immortal_error(const struct tikv_future *future)
{
    return future == tk_future_orphan()
               ? tk_error(TIKV_ERR_ARGUMENT, "client is NULL")
               : tk_error_immortal(TIKV_ERR_MEMORY);
}

/* Who may write fn, arg and queue. */
static tikv_error *
claim(struct tikv_future *future)
{
    if (future->exec == NULL) {
        return immortal_error(future);
    }
    if (tk_exec_is_forked(future->exec)) {
        return tk_error_immortal(TIKV_ERR_FORKED);
    }
    if (atomic_fetch_or(&future->word, TK_FUTURE_CLAIMED) & TK_FUTURE_CLAIMED) {
        return tk_error(TIKV_ERR_STATE, "the future has a callback or a queue");
    }
    return NULL;
}

static void
unclaim(struct tikv_future *future)
{
    atomic_fetch_and(&future->word, ~(TK_FUTURE_CLAIMED | TK_FUTURE_NOTIFY));
}

tikv_error *
tikv_future_on_ready(tikv_future *future, tikv_future_fn *fn, void *arg)
{
    struct tk_wakes wakes;
    tikv_error *error;

    if (future == NULL || fn == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "no future, or no function");
    }
    error = claim(future);
    if (error != NULL) {
        return error;
    }
    error = tk_dispatch_admit(future->exec);
    if (error != NULL) {
        unclaim(future);
        return error;
    }
    future->fn = fn;
    future->arg = arg;
    tk_future_ref(future);
    if (!(atomic_fetch_or(&future->word, TK_FUTURE_NOTIFY) & TK_FUTURE_READY)) {
        return NULL;
    }
    tk_wakes_init(&wakes, future->exec->rt);
    if (!tk_future_dispatch(future, &wakes)) {
        unclaim(future);
        tk_future_unref(future);
        return tk_error_immortal(TIKV_ERR_CLOSED);
    }
    tk_wakes_flush(&wakes);
    return NULL;
}

tikv_error *
tikv_future_post(tikv_future *future, tikv_queue *queue, void *tag)
{
    struct tk_wakes wakes;
    tikv_error *error;

    if (future == NULL || queue == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "no future, or no queue");
    }
    error = claim(future);
    if (error != NULL) {
        return error;
    }
    future->queue = queue;
    future->arg = tag;
    tk_queue_expect(queue, future);
    if (atomic_fetch_or(&future->word, TK_FUTURE_NOTIFY) & TK_FUTURE_READY) {
        tk_wakes_init(&wakes, NULL);
        tk_future_dispatch(future, &wakes);
        tk_wakes_flush(&wakes);
    }
    return NULL;
}

void
tikv_future_cancel(tikv_future *future)
{
    if (future != NULL) {
        tk_future_cancel(future);
    }
}

/* --- Taking -------------------------------------------------------------- */

/* Whether the caller may move the outcome out; `*error` is the answer when
 * not, or the operation's own error. */
static bool
take(struct tikv_future *future, enum tk_future_kind kind, tikv_error **error)
{
    *error = NULL;
    if (future == NULL) {
        *error = tk_error(TIKV_ERR_ARGUMENT, "no future");
    } else if (future->exec == NULL) {
        *error = immortal_error(future);
    } else if (future->kind != TK_KIND_ANY && future->kind != kind) {
        *error =
            tk_error(TIKV_ERR_KIND, "the future does not promise this outcome");
    } else if (!is_ready(future)) {
        *error = tk_exec_is_forked(future->exec)
                     ? tk_error_immortal(TIKV_ERR_FORKED)
                     : tk_error(TIKV_ERR_NOT_READY, "the future is running");
    } else if (atomic_fetch_or(&future->word, TK_FUTURE_TAKEN) &
               TK_FUTURE_TAKEN) {
        *error = tk_error(TIKV_ERR_TAKEN, "the outcome was taken before");
    } else {
        *error = future->error;
        future->error = NULL;
    }
    return *error == NULL;
}

tikv_error *
tikv_future_take_done(tikv_future *future)
{
    tikv_error *error;

    (void)take(future, TK_KIND_DONE, &error);
    return error;
}

/* Hands the value over to `out`, or drops it where nobody wants it. */
static void
move_value(struct tikv_future *future, tikv_value **out)
{
    tikv_value *value = tk_future_give_value(future);

    if (out != NULL) {
        *out = value;
    } else {
        tikv_value_free(value);
    }
}

tikv_error *
tikv_future_take_value(tikv_future *future, tikv_value **out)
{
    tikv_error *error;

    if (out != NULL) {
        *out = NULL;
    }
    if (take(future, TK_KIND_VALUE, &error)) {
        move_value(future, out);
    }
    return error;
}

tikv_error *
tikv_future_take_pairs(tikv_future *future, tikv_pairs **out)
{
    tikv_error *error;

    if (out != NULL) {
        *out = NULL;
    }
    if (take(future, TK_KIND_PAIRS, &error)) {
        if (out != NULL) {
            *out = future->outcome.pairs;
        } else {
            tikv_pairs_free(future->outcome.pairs);
        }
        future->outcome.pairs = NULL;
    }
    return error;
}

tikv_error *
tikv_future_take_regions(tikv_future *future, tikv_regions **out)
{
    tikv_error *error;

    if (out != NULL) {
        *out = NULL;
    }
    if (take(future, TK_KIND_REGIONS, &error)) {
        if (out != NULL) {
            *out = future->outcome.regions;
        } else {
            tikv_regions_free(future->outcome.regions);
        }
        future->outcome.regions = NULL;
    }
    return error;
}

tikv_error *
tikv_future_take_swap(tikv_future *future, bool *swapped, tikv_value **previous)
{
    tikv_error *error;

    if (previous != NULL) {
        *previous = NULL;
    }
    if (take(future, TK_KIND_SWAP, &error)) {
        if (swapped != NULL) {
            *swapped = future->outcome.flag;
        }
        move_value(future, previous);
    }
    return error;
}

static void
put_number(uint64_t *out, uint64_t number)
{
    if (out != NULL) {
        *out = number;
    }
}

tikv_error *
tikv_future_take_u64(tikv_future *future, uint64_t *out)
{
    tikv_error *error;

    if (take(future, TK_KIND_U64, &error)) {
        put_number(out, future->outcome.number[0]);
    }
    return error;
}

tikv_error *
tikv_future_take_ttl(tikv_future *future, bool *found, uint64_t *ttl_s)
{
    tikv_error *error;

    if (take(future, TK_KIND_TTL, &error)) {
        if (found != NULL) {
            *found = future->outcome.flag;
        }
        put_number(ttl_s, future->outcome.number[0]);
    }
    return error;
}

tikv_error *
tikv_future_take_checksum(tikv_future *future, uint64_t *crc64_xor,
                          uint64_t *pairs_count, uint64_t *total_bytes)
{
    tikv_error *error;

    if (take(future, TK_KIND_CHECKSUM, &error)) {
        put_number(crc64_xor, future->outcome.number[0]);
        put_number(pairs_count, future->outcome.number[1]);
        put_number(total_bytes, future->outcome.number[2]);
    }
    return error;
}

void
tikv_future_free(tikv_future *future)
{
    if (future != NULL) {
        tk_future_unref(future);
    }
}
