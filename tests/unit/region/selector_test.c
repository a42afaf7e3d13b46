/* SPDX-License-Identifier: Apache-2.0 */
/* The selector beyond its paths: scores, who owes a pause, what ends a round,
 * what is learned on the way. */
#include "unit/region/paths.h"

static struct tk_choice
choose(struct path_world *w, uint64_t random)
{
    struct tk_choice choice;

    path_see(w);
    tk_selector_next(&w->selector, random, &choice);
    path_take_choice(w, &choice);
    return choice;
}

static struct tk_reaction
judge(struct path_world *w, const char *word)
{
    struct tk_arena *arena = tk_arena_new();
    struct tk_region_error fault;
    struct tk_reaction reaction;

    path_fault(word, arena, &fault);
    tk_selector_judge(&w->selector, &fault, 10, &reaction);
    path_take_reaction(w, &reaction);
    tk_arena_unref(arena);
    return reaction;
}

enum { NEW = 1, NORMAL = 2, LEADER = 4, MATCHES = 8, FAST = 16 };

static unsigned
score(struct path_world *w, enum tk_read_from from, uint32_t place)
{
    struct tk_read_mode mode = w->mode;

    mode.from = from;
    path_see(w);
    return tk_selector_score(&w->selector, &mode, place);
}

static void
score__has_a_bit_for_each_virtue(void **state)
{
    struct path_world w;

    (void)state;
    path_begin(&w, "follower");
    assert_int_equal(score(&w, TK_READ_FOLLOWER, 0), MATCHES | FAST | NEW);
    assert_int_equal(score(&w, TK_READ_FOLLOWER, 1),
                     MATCHES | FAST | NEW | NORMAL);
    assert_int_equal(score(&w, TK_READ_MIXED, 0),
                     MATCHES | FAST | NEW | NORMAL);
    assert_int_equal(score(&w, TK_READ_PREFER_LEADER, 0),
                     MATCHES | FAST | NEW | LEADER);
    w.stores[0].is_slow = true;
    assert_int_equal(score(&w, TK_READ_PREFER_LEADER, 0),
                     MATCHES | NEW | NORMAL);
    assert_int_equal(score(&w, TK_READ_LEARNER, 1), MATCHES | FAST | NEW);
    path_begin(&w, "mixed label=2");
    assert_int_equal(score(&w, TK_READ_MIXED, 0), FAST | NEW | LEADER);
    assert_int_equal(score(&w, TK_READ_MIXED, 1),
                     FAST | NEW | NORMAL | MATCHES);
    w.selector.replicas[1].attempts = 1;
    assert_int_equal(score(&w, TK_READ_MIXED, 1), FAST | NORMAL | MATCHES);
    path_begin(&w, "learner learner4");
    assert_int_equal(score(&w, TK_READ_LEARNER, 3),
                     MATCHES | FAST | NEW | NORMAL);
}

static void
score__draws_among_equals(void **state)
{
    unsigned hits[3] = { 0, 0, 0 };
    uint64_t i;

    (void)state;
    for (i = 0; i < 300; i++) {
        struct path_world w;

        path_begin(&w, "mixed");
        hits[choose(&w, i).target]++;
    }
    assert_int_equal(hits[0], 100);
    assert_int_equal(hits[1], 100);
    assert_int_equal(hits[2], 100);
}

static void
flags__are_bits_of_their_own(void **state)
{
    static const uint8_t flags[] = { TK_REPLICA_TIMED_OUT,
                                     TK_REPLICA_NOT_READY,
                                     TK_REPLICA_NOT_LEADER, TK_REPLICA_BUSY,
                                     TK_REPLICA_SUSPECT };
    uint8_t all = 0;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(flags); i++) {
        assert_int_equal(all & flags[i], 0);
        assert_int_equal(flags[i] & (flags[i] - 1), 0);
        all |= flags[i];
    }
}

static void
round__ends_with_the_region(void **state)
{
    struct path_world w;
    struct tk_choice choice;

    (void)state;
    path_begin(&w, "stale");
    assert_int_equal(choose(&w, 0).target, 0);
    assert_int_equal(choose(&w, 0).target, 1);
    assert_int_equal(choose(&w, 0).target, 2);
    choice = choose(&w, 0);
    assert_int_equal(choice.target, TK_NOBODY);
    assert_int_equal(choice.invalidate, TK_INVALID_OTHER);
    path_begin(&w, "stale");
    assert_int_equal(choose(&w, 0).target, 0);
    w.is_valid = false;
    choice = choose(&w, 0);
    assert_int_equal(choice.target, TK_NOBODY);
    assert_int_equal(choice.invalidate, TK_INVALID_OK);
}

static void
pause__is_left_out_while_there_are_others(void **state)
{
    struct path_world w;
    unsigned i;

    (void)state;
    path_begin(&w, "stale");
    for (i = 0; i < 3; i++) {
        choose(&w, 0);
        assert_true(tk_selector_has_others(&w.selector));
    }
    path_begin(&w, "leader");
    for (i = 0; i < 9; i++) {
        assert_int_equal(choose(&w, 0).target, 0);
        assert_false(tk_selector_has_others(&w.selector));
    }
    assert_int_equal(choose(&w, 0).target, 0);
    assert_true(tk_selector_has_others(&w.selector));
}

static void
pause__is_owed_to_each_store(void **state)
{
    struct path_world w;
    struct tk_choice choice;
    struct tk_replica *replicas;

    (void)state;
    path_begin(&w, "follower");
    replicas = w.selector.replicas;
    replicas[0].pending = TK_BACKOFF_REGION_SCHEDULING;
    replicas[1].pending = TK_BACKOFF_RPC;
    replicas[1].pending = TK_BACKOFF_SERVER_BUSY; /* the last one counts */
    replicas[1].pending_max_ms = 70;
    replicas[2].pending = TK_BACKOFF_DISK_FULL;
    choice = choose(&w, 1);
    assert_int_equal(choice.target, 2);
    assert_int_equal(choice.pause, TK_BACKOFF_DISK_FULL);
    assert_int_equal(replicas[2].pending, TK_BACKOFF_KINDS);
    replicas[0].attempts = 1;
    replicas[1].attempts = 1;
    choice = choose(&w, 0);
    assert_int_equal(choice.target, TK_NOBODY);
    assert_int_equal(choice.pause, TK_BACKOFF_SERVER_BUSY);
    assert_int_equal(choice.pause_max_ms, 70);
}

static void
leader__is_asked_so_often_and_so_long(void **state)
{
    struct path_world w;
    unsigned i;

    (void)state;
    path_begin(&w, "leader");
    for (i = 0; i < 10; i++) {
        assert_int_equal(choose(&w, 0).target, 0);
        judge(&w, "max_ts");
    }
    assert_int_equal(choose(&w, 0).target, 1);
    judge(&w, "leader1"); /* confirmed: once more */
    assert_int_equal(choose(&w, 0).target, 0);
    judge(&w, "max_ts");
    assert_int_equal(choose(&w, 0).target, 2);
    judge(&w, "leader");
    assert_int_equal(choose(&w, 0).target, TK_NOBODY);
    assert_false(w.is_valid);
    path_begin(&w, "leader");
    assert_int_equal(choose(&w, 0).target, 0);
    judge(&w, "max_ts");
    w.selector.replicas[0].spent_ms = 50000;
    assert_int_equal(choose(&w, 0).target, 1);
}

static void
leader__is_left_while_its_life_is_in_doubt(void **state)
{
    struct path_world w;
    struct tk_choice choice;

    (void)state;
    path_begin(&w, "leader forward");
    path_see(&w);
    w.selector.replicas[0].liveness = TK_LIFE_UNKNOWN;
    tk_selector_next(&w.selector, 0, &choice);
    /* No forwarding before it is known to be dead. */
    assert_int_equal(choice.target, 1);
    assert_int_equal(choice.via, TK_NOBODY);
    w.selector.replicas[0].liveness = TK_DEAD;
    tk_selector_next(&w.selector, 0, &choice);
    assert_int_equal(choice.target, 0);
    assert_int_equal(choice.via, 2);
}

static void
lesson_90__a_hint_to_an_unknown_peer_costs_no_pause(void **state)
{
    struct path_world w;
    struct tk_reaction reaction;

    (void)state;
    path_begin(&w, "leader");
    choose(&w, 0);
    reaction = judge(&w, "leader9");
    assert_int_equal(reaction.verdict, TK_VERDICT_REGROUP);
    assert_int_equal(reaction.backoff, TK_BACKOFF_KINDS);
    assert_int_equal(reaction.invalidate, TK_INVALID_STORE);
}

static void
leader__is_who_answers_a_plain_request(void **state)
{
    struct path_world w;

    (void)state;
    path_begin(&w, "leader");
    choose(&w, 0);
    judge(&w, "leader");
    assert_int_equal(choose(&w, 0).target, 1);
    assert_int_equal(tk_selector_succeeded(&w.selector), 1);
    path_begin(&w, "follower");
    assert_int_equal(choose(&w, 0).target, 1);
    assert_int_equal(tk_selector_succeeded(&w.selector), TK_NOBODY);
    path_begin(&w, "stale");
    choose(&w, 0);
    assert_int_equal(tk_selector_succeeded(&w.selector), TK_NOBODY);
}

static void
threshold__moves_reads_to_the_least_busy(void **state)
{
    struct path_world w;
    struct tk_choice choice;

    (void)state;
    path_begin(&w, "leader threshold=50");
    choice = choose(&w, 0);
    assert_int_equal(choice.target, 0);
    assert_int_equal(choice.busy_threshold_ms, 50);
    judge(&w, "busy500");
    choice = choose(&w, 0);
    assert_int_equal(choice.target, 1);
    assert_true(choice.replica_read);
    assert_int_equal(choice.busy_threshold_ms, 50);
    judge(&w, "busy150");
    choice = choose(&w, 0);
    assert_int_equal(choice.target, 2);
    judge(&w, "busy400");
    /* All are busy: the leader, however long it takes. */
    choice = choose(&w, 0);
    assert_int_equal(choice.target, 0);
    assert_false(choice.replica_read);
    assert_int_equal(choice.busy_threshold_ms, 0);
    assert_true(w.is_valid);
    /* 120 ms later. */
    w.stores[0].wait_ms = 380;
    w.stores[1].wait_ms = 30;
    w.stores[2].wait_ms = 280;
    path_begin(&w, "leader threshold=50 on");
    choice = choose(&w, 0);
    assert_int_equal(choice.target, 1);
    assert_true(choice.replica_read);
    path_begin(&w, "write threshold=50 on");
    assert_int_equal(choose(&w, 0).target, 0);
}

static void
reload__is_wanted_when_a_peer_has_a_new_life(void **state)
{
    struct path_world w;
    struct tk_choice choice;

    (void)state;
    path_begin(&w, "mixed");
    w.stores[1].is_stale = true;
    path_see(&w);
    w.selector.replicas[1].is_resolved = true;
    tk_selector_next(&w.selector, 0, &choice);
    assert_true(choice.reload_later);
    assert_int_equal(choice.target, 0);
    /* While it is dead there is nothing to learn. */
    path_begin(&w, "mixed");
    w.stores[1].is_stale = true;
    w.stores[1].is_dead = true;
    assert_false(choose(&w, 0).reload_later);
    /* The leader's is always wanted. */
    path_begin(&w, "mixed");
    w.stores[0].is_stale = true;
    w.stores[0].is_dead = true;
    choice = choose(&w, 0);
    assert_true(choice.reload_later);
    assert_int_equal(choice.target, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(score__has_a_bit_for_each_virtue),
        harness_test(score__draws_among_equals),
        harness_test(flags__are_bits_of_their_own),
        harness_test(round__ends_with_the_region),
        harness_test(pause__is_left_out_while_there_are_others),
        harness_test(pause__is_owed_to_each_store),
        harness_test(leader__is_asked_so_often_and_so_long),
        harness_test(leader__is_left_while_its_life_is_in_doubt),
        harness_test(lesson_90__a_hint_to_an_unknown_peer_costs_no_pause),
        harness_test(leader__is_who_answers_a_plain_request),
        harness_test(threshold__moves_reads_to_the_least_busy),
        harness_test(reload__is_wanted_when_a_peer_has_a_new_life),
    };

    return harness_run(tests);
}
