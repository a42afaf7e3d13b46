/* SPDX-License-Identifier: Apache-2.0 */
/* Stale reads while stores are in trouble: each state of the leader and of a
 * follower, read near the leader (label=1) and near the follower (label=2).
 * Rows read as paths.h says; `reloads` is whether the record is to be read
 * anew some time. */
#include "unit/region/paths.h"

struct near {
    const char *path;
    const char *end;
    bool stays;
    bool reloads;
};

struct state {
    const char *name;
    const char *words;
    struct near leader;
    struct near follower;
};

static bool
plays(const struct state *state, unsigned label, const struct near *expected)
{
    struct path_world w;
    char mode[128];
    char end[64];
    bool is_good;

    snprintf(mode, sizeof(mode), "stale label=%u %s", label, state->words);
    path_begin(&w, mode);
    path_play(&w, "", end, sizeof(end));
    is_good = strcmp(w.way, expected->path) == 0 &&
              strcmp(end, expected->end) == 0 &&
              w.is_valid == expected->stays &&
              w.wants_reload == expected->reloads;
    if (!is_good) {
        print_error("%s, near %u: went %s, %s, %s%s, not %s, %s, %s%s\n",
                    state->name, label, w.way, end,
                    w.is_valid ? "stays" : "goes",
                    w.wants_reload ? ", reloads" : "", expected->path,
                    expected->end, expected->stays ? "stays" : "goes",
                    expected->reloads ? ", reloads" : "");
    }
    return is_good;
}

static void
play(const struct state *states, size_t count)
{
    bool is_good = true;
    size_t i;

    for (i = 0; i < count; i++) {
        is_good &= plays(&states[i], 1, &states[i].leader);
        is_good &= plays(&states[i], 2, &states[i].follower);
    }
    assert_true(is_good);
}

#define PLAY(states) play(states, sizeof(states) / sizeof((states)[0]))

static void
state__of_a_follower(void **state)
{
    static const struct state states[] = {
        { "down", "down=2", { "1s", "ok", true, false },
          { "2s 1", "ok", true, false } },
        /* The record knows the life before. */
        { "down and up", "reborn=2", { "1s", "ok", true, true },
          { "1s", "ok", true, true } },
        { "moved", "moved=2", { "1s", "ok", true, false },
          { "2s 1", "ok", false, false } },
        { "behind", "behind=2", { "1s", "ok", true, false },
          { "2s 1", "ok", true, false } },
        { "busy", "busy=2", { "1s", "ok", true, false },
          { "2s 1", "ok", true, false } },
    };

    (void)state;
    PLAY(states);
}

static void
state__of_the_leader(void **state)
{
    static const struct state states[] = {
        /* Another leads by now: stale reads do not ask who. */
        { "elsewhere", "lead=3", { "1s", "ok", true, false },
          { "2s", "ok", true, false } },
        { "moved", "moved=1",
          { "1s", "regroup region_not_found", false, false },
          { "2s", "ok", true, false } },
        { "down", "down=1", { "1s 2r", "ok", true, true },
          { "2s", "ok", true, false } },
        { "down and up", "reborn=1", { "2s", "ok", true, true },
          { "2s", "ok", true, true } },
        { "busy", "busy=1", { "1s 2s", "ok", true, false },
          { "2s", "ok", true, false } },
    };

    (void)state;
    PLAY(states);
}

static void
state__of_both(void **state)
{
    static const struct state states[] = {
        { "busy, busy", "busy=1 busy=2", { "1s 2s 3s", "ok", true, false },
          { "2s 1 3s", "ok", true, false } },
        /* Who has not replicated it is passed over while the leader, whom a
         * replica read would ask, is busy. */
        { "busy, behind", "busy=1 behind=2",
          { "1s 2s 3s", "ok", true, false },
          { "2s 1 2s 3s", "ok", true, false } },
        { "busy, down", "busy=1 down=2", { "1s 2s 3s", "ok", true, false },
          { "2s 1 3s", "ok", true, false } },
        { "down, behind", "down=1 behind=2", { "1s 2r", "ok", true, true },
          { "2s 1 2r", "ok", true, true } },
        { "down, busy", "down=1 busy=2", { "1s 2r 3r", "ok", true, true },
          { "2s 1 3r", "ok", true, true } },
        { "down, down", "down=1 down=2", { "1s 2r 3r", "ok", true, true },
          { "2s 1 3r", "ok", true, true } },
    };

    (void)state;
    PLAY(states);
}

/* Followers that are known to be dead are not asked, whatever the dice show:
 * the record was read anew meanwhile and knows no life but this. */
static void
state__dead_followers_cost_nothing(void **state)
{
    static const struct path rows[] = {
        { "mixed", "mixed dead=2 dead=3", "", "1", "ok", "", true },
        { "follower", "follower dead=2 dead=3", "", "1", "ok", "", true },
        { "one", "follower dead=2", "", "3r", "ok", "", true },
        { "leader", "mixed dead=1", "", "2r", "ok", "", true },
    };
    struct path_world w;
    uint64_t random;

    (void)state;
    PATHS_RUN(&w, rows);
    for (random = 0; random < 100; random++) {
        struct tk_choice choice;

        path_begin(&w, "mixed dead=2 dead=3");
        path_see(&w);
        tk_selector_next(&w.selector, random, &choice);
        assert_int_equal(choice.target, 0);
        assert_int_equal(choice.pause, TK_BACKOFF_KINDS);
        assert_false(choice.replica_read);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(state__of_a_follower),
        harness_test(state__of_the_leader),
        harness_test(state__of_both),
        harness_test(state__dead_followers_cost_nothing),
    };

    return harness_run(tests);
}
