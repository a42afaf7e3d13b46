/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk over pairs against upb: the same pairs out of the same bytes, and
 * no byte beyond them, whatever they are.
 */
#include "harness/harness.h"

#include "wire/arena.h"
#include "wire/pairs.h"

#include "random_message.h"

#include "kvrpcpb.upb.h"

#define FIELD_PAIRS 2

static void
expect_bytes(tikv_slice ours, upb_StringView theirs)
{
    assert_non_null(ours.data);
    assert_int_equal(ours.len, theirs.size);
    assert_memory_equal(ours.data, theirs.data, ours.len);
}

/* What upb takes the walk takes, with the same pairs. Returns how many. */
static size_t
compare(const uint8_t *data, size_t len)
{
    const upb_MiniTable *table = &kvrpcpb_RawBatchGetResponse_msginit;
    struct tk_arena *arena = tk_arena_new();
    const void *message = tk_arena_decode(arena, table, data, len, NULL);
    const kvrpcpb_KvPair *const *pairs = NULL;
    struct tk_pairs_walk walk;
    struct tk_wire_pair pair;
    size_t count = 0;
    size_t seen = 0;

    if (message != NULL) {
        pairs = kvrpcpb_RawBatchGetResponse_pairs(message, &count);
    }
    tk_pairs_walk_init(&walk, (tikv_slice){ data, len }, FIELD_PAIRS);
    while (tk_pairs_walk_next(&walk, &pair)) {
        if (message != NULL) {
            assert_true(seen < count);
            assert_int_equal(pair.has_error,
                             kvrpcpb_KvPair_has_error(pairs[seen]));
            expect_bytes(pair.key, kvrpcpb_KvPair_key(pairs[seen]));
            expect_bytes(pair.value, kvrpcpb_KvPair_value(pairs[seen]));
        }
        seen++;
    }
    if (message != NULL) {
        assert_false(walk.is_broken);
        assert_int_equal(seen, count);
    }
    tk_arena_unref(arena);
    return seen;
}

static void
random_answer(struct tk_rng *rng, struct tk_buf *out)
{
    random_message(rng, out, &kvrpcpb_RawBatchGetResponse_msginit, 4, false);
}

static void
pairs__agree_with_upb(void **state)
{
    struct tk_rng rng = { 31 };
    size_t seen = 0;
    unsigned round;

    (void)state;
    for (round = 0; round < 5000; round++) {
        struct tk_buf answer;
        uint8_t *copy;

        tk_buf_init(&answer, 1 << 24);
        random_answer(&rng, &answer);
        copy = exact_copy(answer.data, answer.len);
        seen += compare(copy, answer.len);
        tk_free(copy);
        tk_buf_fini(&answer);
    }
    assert_true(seen > 1000);
}

static void
pairs__survive_every_truncation(void **state)
{
    struct tk_rng rng = { 32 };
    unsigned round;

    (void)state;
    for (round = 0; round < 60; round++) {
        struct tk_buf answer;
        size_t len;

        tk_buf_init(&answer, 1 << 24);
        random_answer(&rng, &answer);
        for (len = 0; len < answer.len && len < 1000; len++) {
            uint8_t *copy = exact_copy(answer.data, len);

            (void)compare(copy, len);
            tk_free(copy);
        }
        tk_buf_fini(&answer);
    }
}

/* Damage may make groups, which upb takes and we do not. */
static void
pairs__survive_damage(void **state)
{
    struct tk_rng rng = { 33 };
    unsigned round;

    (void)state;
    for (round = 0; round < 5000; round++) {
        struct tk_pairs_walk walk;
        struct tk_wire_pair pair;
        struct tk_buf answer;
        uint8_t *copy;

        tk_buf_init(&answer, 1 << 24);
        random_answer(&rng, &answer);
        copy = exact_copy(answer.data, answer.len);
        if (answer.len != 0) {
            copy[tk_rng_below(&rng, answer.len)] = (uint8_t)tk_rng_next(&rng);
        }
        tk_pairs_walk_init(&walk, (tikv_slice){ copy, answer.len },
                           FIELD_PAIRS);
        while (tk_pairs_walk_next(&walk, &pair)) {
            assert_true(pair.value.len <= answer.len);
            assert_true(pair.key.len <= answer.len);
        }
        assert_true(walk.is_broken || tk_cursor_is_done(&walk.cursor));
        tk_free(copy);
        tk_buf_fini(&answer);
    }
}

static void
pairs__know_an_empty_error_and_a_broken_pair(void **state)
{
    static const uint8_t empty_error[] = { 0x12, 2, 0x0a, 0 };
    static const uint8_t broken[] = { 0x12, 3, 0x12, 4, 'k' };
    struct tk_pairs_walk walk;
    struct tk_wire_pair pair;

    (void)state;
    tk_pairs_walk_init(&walk, tk_slice(empty_error, sizeof(empty_error)),
                       FIELD_PAIRS);
    assert_true(tk_pairs_walk_next(&walk, &pair));
    assert_true(pair.has_error);
    assert_false(tk_pairs_walk_next(&walk, &pair));
    assert_false(walk.is_broken);
    tk_pairs_walk_init(&walk, tk_slice(broken, sizeof(broken)), FIELD_PAIRS);
    assert_false(tk_pairs_walk_next(&walk, &pair));
    assert_true(walk.is_broken);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(pairs__agree_with_upb),
        harness_test(pairs__survive_every_truncation),
        harness_test(pairs__survive_damage),
        harness_test(pairs__know_an_empty_error_and_a_broken_pair),
    };

    return harness_run(tests);
}
