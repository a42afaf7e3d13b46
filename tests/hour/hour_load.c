/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads of the load: four that block, one that drains a completion
 * queue and cancels some of what it began, one that is told by callbacks, one
 * that waits for whichever is first, two that transfer money in transactions,
 * one that asks for the time. Slots are dealt out in that order.
 */
#include "hour.h"

#include <time.h>

enum {
    QUEUED_FROM = HOUR_CALLERS,
    TOLD_FROM = QUEUED_FROM + HOUR_QUEUED,
    AWAITED_FROM = TOLD_FROM + HOUR_TOLD,
    CANCEL_ONE_IN = 64,
    UNDER_CLOSE = 512
};

static bool
goes_on(const struct hour *hour)
{
    return !atomic_load(&hour->load_must_end);
}

/* ---- raw, by every way to call ---- */

static void *
call_slots(void *arg)
{
    struct hour_slot *slot = arg;

    while (goes_on(slot->hour)) {
        hour_slot_begin(slot);
        hour_slot_call(slot);
    }
    return NULL;
}

static bool
queue_slot(struct hour_slot *slot, tikv_queue *queue)
{
    tikv_future *future;
    tikv_error *error;

    hour_slot_begin(slot);
    future = hour_slot_launch(slot);
    error = tikv_future_post(future, queue, slot);
    if (error != NULL) {
        hour_complain(slot->hour, "post: %s", tikv_error_message(error));
        tikv_error_free(error);
        tikv_future_wait(future, TIKV_FOREVER);
        hour_slot_land(slot, future);
        return false;
    }
    /* The queue owns it, but gives it back to this very thread. */
    if (hour_random(&slot->random) % CANCEL_ONE_IN == 0) {
        tikv_future_cancel(future);
    }
    return true;
}

static void *
queue_slots(void *arg)
{
    struct hour *hour = arg;
    tikv_queue *queue = NULL;
    tikv_error *error = tikv_queue_new(&queue);
    tikv_future *future;
    size_t flying = 0;
    void *tag;

    if (error != NULL) {
        hour_complain(hour, "queue: %s", tikv_error_message(error));
        tikv_error_free(error);
        return NULL;
    }
    while (flying < HOUR_QUEUED) {
        flying += queue_slot(&hour->slots[QUEUED_FROM + flying], queue);
    }
    while (flying > 0) {
        future = tikv_queue_next(queue, 1000, &tag);
        if (future == NULL) {
            continue;
        }
        hour_slot_land(tag, future);
        if (!goes_on(hour) || !queue_slot(tag, queue)) {
            flying--;
        }
    }
    tikv_queue_free(queue);
    return NULL;
}

/* On a thread of the library. */
static void
on_ready(tikv_future *future, void *arg)
{
    struct hour_slot *slot = arg;
    struct hour *hour = slot->hour;
    bool is_second;

    /* The future need not be freed by it: land frees the one that launch
     * gave. */
    (void)future;
    pthread_mutex_lock(&hour->lock);
    is_second = slot->is_told;
    slot->is_told = true;
    pthread_cond_signal(&hour->landed);
    pthread_mutex_unlock(&hour->lock);
    if (is_second) {
        hour_complain(hour, "%s: told twice", slot->key + 1);
    }
}

static bool
tell_slot(struct hour_slot *slot)
{
    tikv_error *error;

    slot->is_told = false;
    hour_slot_begin(slot);
    slot->future = hour_slot_launch(slot);
    error = tikv_future_on_ready(slot->future, on_ready, slot);
    if (error != NULL) {
        hour_complain(slot->hour, "on_ready: %s", tikv_error_message(error));
        tikv_error_free(error);
        tikv_future_wait(slot->future, TIKV_FOREVER);
        hour_slot_land(slot, slot->future);
        slot->future = NULL;
    }
    return error == NULL;
}

/* A slot whose callback came, or NULL when `flying` is 0. */
static struct hour_slot *
next_told(struct hour *hour, size_t flying)
{
    struct hour_slot *slots = &hour->slots[TOLD_FROM];
    struct hour_slot *found = NULL;
    size_t i;

    pthread_mutex_lock(&hour->lock);
    while (flying > 0 && found == NULL) {
        for (i = 0; i < HOUR_TOLD && found == NULL; i++) {
            if (slots[i].future != NULL && slots[i].is_told) {
                found = &slots[i];
            }
        }
        if (found == NULL) {
            pthread_cond_wait(&hour->landed, &hour->lock);
        }
    }
    pthread_mutex_unlock(&hour->lock);
    return found;
}

static void *
tell_slots(void *arg)
{
    struct hour *hour = arg;
    struct hour_slot *slot;
    size_t flying = 0;
    size_t i;

    for (i = 0; i < HOUR_TOLD; i++) {
        flying += tell_slot(&hour->slots[TOLD_FROM + i]);
    }
    while ((slot = next_told(hour, flying)) != NULL) {
        tikv_future *future = slot->future;

        slot->future = NULL;
        hour_slot_land(slot, future);
        if (!goes_on(hour) || !tell_slot(slot)) {
            flying--;
        }
    }
    return NULL;
}

static void *
await_slots(void *arg)
{
    struct hour *hour = arg;
    struct hour_slot *slots = &hour->slots[AWAITED_FROM];
    tikv_future *futures[HOUR_AWAITED];
    size_t flying = HOUR_AWAITED;
    size_t i;

    for (i = 0; i < HOUR_AWAITED; i++) {
        hour_slot_begin(&slots[i]);
        futures[i] = hour_slot_launch(&slots[i]);
    }
    while (flying > 0) {
        i = tikv_future_wait_any(futures, HOUR_AWAITED, 1000);
        if (i == HOUR_AWAITED) {
            continue;
        }
        hour_slot_land(&slots[i], futures[i]);
        futures[i] = NULL;
        if (goes_on(hour)) {
            hour_slot_begin(&slots[i]);
            futures[i] = hour_slot_launch(&slots[i]);
        } else {
            flying--;
        }
    }
    return NULL;
}

static void *
ask_time(void *arg)
{
    struct hour *hour = arg;
    uint64_t last = 0;

    while (goes_on(hour)) {
        tikv_call call = TIKV_CALL_INIT;
        uint64_t now = 0;
        tikv_error *error;

        call.timeout_ms = HOUR_CALL_MS;
        error = tikv_timestamp(hour->client, &call, &now);
        if (error != NULL) {
            (void)hour_take_error(hour, error);
        } else if (now <= last) {
            hour_complain(hour, "a timestamp went back");
        } else {
            last = now;
            atomic_fetch_add(&hour->counters.timestamps, 1);
        }
        hour_rest(1);
    }
    return NULL;
}

/* ---- all of them ---- */

void
hour_load_start(struct hour *hour)
{
    pthread_t *thread = hour->threads;
    size_t i;

    for (i = 0; i < HOUR_CALLERS; i++) {
        pthread_create(thread++, NULL, call_slots, &hour->slots[i]);
    }
    pthread_create(thread++, NULL, queue_slots, hour);
    pthread_create(thread++, NULL, tell_slots, hour);
    pthread_create(thread++, NULL, await_slots, hour);
    for (i = 0; i < HOUR_TELLERS; i++) {
        pthread_create(thread++, NULL, hour_bank_run, hour);
    }
    pthread_create(thread++, NULL, ask_time, hour);
}

bool
hour_load_stop(struct hour *hour)
{
    struct timespec until;
    size_t i;

    atomic_store(&hour->load_must_end, true);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (HOUR_CALL_MS + HOUR_GRACE_MS) / 1000;
    for (i = 0; i < HOUR_THREADS; i++) {
        if (pthread_timedjoin_np(hour->threads[i], NULL, &until) != 0) {
            hour_complain(hour, "a thread waits for an end that never comes");
            return false;
        }
    }
    return true;
}

/* ---- the end ---- */

static void
on_closed(tikv_future *future, void *arg)
{
    struct hour *hour = arg;
    tikv_error *error = tikv_future_take_done(future);

    if (error != NULL) {
        (void)hour_take_error(hour, error);
    }
    atomic_fetch_add(&hour->counters.closed, 1);
}

void
hour_close_under_load(struct hour *hour)
{
    tikv_slice key = { (const uint8_t *)"close", 5 };
    uint64_t told;
    size_t i;

    for (i = 0; i < UNDER_CLOSE; i++) {
        tikv_future *future = tikv_raw_put_async(hour->client, key, key, NULL);
        tikv_error *error = tikv_future_on_ready(future, on_closed, hour);

        if (error != NULL) {
            hour_complain(hour, "on_ready: %s", tikv_error_message(error));
            tikv_error_free(error);
        }
        tikv_future_free(future);
    }
    tikv_client_close(hour->client);
    hour->client = NULL;
    told = atomic_load(&hour->counters.closed);
    if (told != UNDER_CLOSE) {
        hour_complain(hour, "%u callbacks of %u when close returned",
                      (unsigned)told, (unsigned)UNDER_CLOSE);
    }
}
