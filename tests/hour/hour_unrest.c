/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is broken when. Each second one store loses its batch streams at the
 * next message; on top of that, by the second: all connections of a store are
 * reset, a store stops for a while and comes back on the same or a new port,
 * PD's leader resigns.
 */
#include "hour.h"

#include <inttypes.h>

enum { STORES = 3, MEMBERS = 3, DOWN_MS = 300 };

/* A command that the cluster may refuse (a rule met what is down). */
static bool
ask(struct hour *hour, const char *what, uint64_t number, const char *tail)
{
    bool is_ok = playground_ask(&hour->playground, NULL, 0, "%s%" PRIu64 "%s",
                                what, number, tail);

    if (!is_ok) {
        atomic_fetch_add(&hour->counters.refused, 1);
    }
    return is_ok;
}

static void
restart(struct hour *hour, uint64_t store, bool is_new)
{
    char answer[256] = "";

    if (!ask(hour, "store stop ", store, "")) {
        return;
    }
    hour_rest(DOWN_MS);
    if (!playground_ask(&hour->playground, answer, sizeof(answer),
                        "store start %" PRIu64 "%s", store,
                        is_new ? " new" : "")) {
        hour_complain(hour, "store %" PRIu64 " did not start: %s", store,
                      answer);
        return;
    }
    atomic_fetch_add(&hour->counters.restarts, 1);
}

static void
disturb(struct hour *hour, uint64_t second)
{
    uint64_t store = 1 + second % STORES;
    struct hour_counters *counters = &hour->counters;

    (void)playground_ask(&hour->playground, NULL, 0, "fault clear");
    if (ask(hour, "fault on=tikv.BatchCommands store=", store,
            " when=nth(1) do=break_stream")) {
        atomic_fetch_add(&counters->breaks, 1);
    }
    if (second % 7 == 3 &&
        ask(hour, "fault on=tikv.BatchCommands store=", 1 + store % STORES,
            " when=nth(1) do=reset_connection")) {
        atomic_fetch_add(&counters->resets, 1);
    }
    if (second % 10 == 5) {
        restart(hour, 1 + second / 10 % STORES, second / 30 % 2 == 0);
    }
    if (second % 15 == 9 &&
        ask(hour, "pd transfer ", second / 15 % MEMBERS, "")) {
        atomic_fetch_add(&counters->resignations, 1);
    }
}

static void *
run(void *arg)
{
    struct hour *hour = arg;
    int64_t begun = tikv_now_ns();
    uint64_t second;

    for (second = 1; !atomic_load(&hour->unrest_must_end); second++) {
        int64_t due = begun + (int64_t)second * 1000 * HOUR_MS;

        disturb(hour, second);
        while (!atomic_load(&hour->unrest_must_end) && tikv_now_ns() < due) {
            hour_rest(10);
        }
    }
    return NULL;
}

void
hour_unrest_start(struct hour *hour)
{
    pthread_create(&hour->unrest, NULL, run, hour);
}

void
hour_unrest_stop(struct hour *hour)
{
    atomic_store(&hour->unrest_must_end, true);
    pthread_join(hour->unrest, NULL);
    (void)playground_ask(&hour->playground, NULL, 0, "fault clear");
}
