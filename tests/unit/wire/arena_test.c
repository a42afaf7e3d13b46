/* SPDX-License-Identifier: Apache-2.0 */
/* Arenas: references, recycling, what keeps a source alive, memory's end. */
#include "harness/harness.h"

#include <pthread.h>

#include "exec/thread_cache.h"
#include "wire/arena.h"

#include "random_message.h"

#include "keyspacepb.upb.h"
#include "kvrpcpb.upb.h"

struct source {
    struct tk_frame frame;
    unsigned drops;
};

static void
count_drop(struct tk_frame *frame)
{
    ((struct source *)(void *)frame)->drops++;
}

/* The unknown field of the entry ends the message: the place where upb as it
 * comes reads out of bounds; scripts/deps.sh mends it. */
static void
arena__decodes_a_map_entry_with_unknown_fields(void **state)
{
    static const uint8_t bytes[] = "\x12\x0d" /* KeyspaceMeta.name */
                                   "a longer name"
                                   "\x3a\x0a" /* KeyspaceMeta.config */
                                   "\x0a\x01k\x12\x01v"
                                   "\x1a\x02uu";
    struct tk_arena *arena = tk_arena_new();
    const keyspacepb_KeyspaceMeta *meta;
    upb_StringView value = upb_StringView_FromDataAndSize(NULL, 0);

    (void)state;
    meta = tk_arena_decode(arena, &keyspacepb_KeyspaceMeta_msginit, bytes,
                           sizeof(bytes) - 1, NULL);
    assert_non_null(meta);
    assert_true(keyspacepb_KeyspaceMeta_config_get(
        meta, upb_StringView_FromString("k"), &value));
    assert_int_equal(value.size, 1);
    assert_memory_equal(value.data, "v", 1);
    tk_arena_unref(arena);
}

static void
arena__keeps_its_sources_alive(void **state)
{
    static const uint8_t bytes[] = "\x1a\x14"
                                   "a value of 20 bytes!";
    struct source sources[3];
    struct tk_arena *arena = tk_arena_new();
    unsigned i;

    (void)state;
    for (i = 0; i < 3; i++) {
        const kvrpcpb_RawGetResponse *answer;

        tk_frame_init(&sources[i].frame, count_drop);
        sources[i].drops = 0;
        answer = tk_arena_decode(arena, &kvrpcpb_RawGetResponse_msginit, bytes,
                                 sizeof(bytes) - 1, &sources[i].frame);
        assert_non_null(answer);
        assert_ptr_equal(kvrpcpb_RawGetResponse_value(answer).data, bytes + 2);
        /* A second message out of the first source. */
        assert_non_null(tk_arena_decode(arena, &kvrpcpb_RawGetResponse_msginit,
                                        bytes, sizeof(bytes) - 1,
                                        &sources[0].frame));
        tk_frame_unref(&sources[i].frame, 1);
        assert_int_equal(sources[i].drops, 0);
    }
    tk_frame_ref(&arena->frame);
    tk_arena_unref(arena);
    assert_int_equal(sources[0].drops + sources[1].drops + sources[2].drops, 0);
    tk_frame_unref(&arena->frame, 1);
    for (i = 0; i < 3; i++) {
        assert_int_equal(sources[i].drops, 1);
    }
}

static void
arena__is_recycled_by_its_thread(void **state)
{
    struct tk_arena *first = tk_arena_new();
    unsigned i;

    (void)state;
    tk_arena_unref(first);
    for (i = 0; i < 100; i++) {
        struct tk_arena *again = tk_arena_new();

        assert_ptr_equal(again, first);
        assert_null(again->source);
        /* More than the block holds, so that upb asks for more. */
        assert_non_null(upb_Arena_Malloc(again->upb, 100000));
        tk_arena_unref(again);
    }
    tk_arena_unref(NULL);
}

enum { MANY = 100 };

static void
cache__is_bounded(void **state)
{
    struct tk_arena *arenas[MANY];
    int64_t before;
    unsigned i;

    (void)state;
    tk_thread_cache_drain();
    before = tk_alloc_live();
    for (i = 0; i < MANY; i++) {
        arenas[i] = tk_arena_new();
        assert_non_null(arenas[i]);
    }
    for (i = 0; i < MANY; i++) {
        tk_arena_unref(arenas[i]);
    }
    assert_in_range(tk_alloc_live() - before, 1, 16);
    tk_thread_cache_drain();
    assert_int_equal(tk_alloc_live(), before);
}

static void *
use_arenas(void *arg)
{
    struct tk_arena **handed = arg;
    struct tk_arena *own[8];
    unsigned i;

    for (i = 0; i < 8; i++) {
        own[i] = tk_arena_new();
    }
    for (i = 0; i < 8; i++) {
        tk_arena_unref(own[i]);
    }
    /* One of another thread ends in this thread's cache. */
    tk_arena_unref(*handed);
    *handed = tk_arena_new();
    return NULL;
}

static void
cache__ends_with_its_thread(void **state)
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    struct tk_arena *handed[THREADS];
    unsigned i;

    (void)state;
    for (i = 0; i < THREADS; i++) {
        handed[i] = tk_arena_new();
        assert_int_equal(
            pthread_create(&threads[i], NULL, use_arenas, &handed[i]), 0);
    }
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_non_null(handed[i]);
        tk_arena_unref(handed[i]);
    }
}

static void
decode__refuses_other_bytes(void **state)
{
    struct tk_arena *arena = tk_arena_new();

    (void)state;
    assert_null(tk_arena_decode(arena, &kvrpcpb_RawGetResponse_msginit,
                                (const uint8_t *)"\x1a\x05", 2, NULL));
    assert_non_null(
        tk_arena_decode(arena, &kvrpcpb_RawGetResponse_msginit, NULL, 0, NULL));
    tk_arena_unref(arena);
}

static void
encode__of_an_empty_message_is_not_absent(void **state)
{
    struct tk_arena *arena = tk_arena_new();
    struct tk_encoded out =
        tk_arena_encode(arena, &kvrpcpb_RawGetRequest_msginit,
                        kvrpcpb_RawGetRequest_new(arena->upb));

    (void)state;
    assert_non_null(out.data);
    assert_int_equal(out.len, 0);
    tk_arena_unref(arena);
}

/* Every allocation fails once: a refusal each time, and nothing is lost. */
static void
arena__survives_the_end_of_memory(void **state)
{
    struct tk_rng rng = { 31 };
    struct tk_buf bytes;
    unsigned nth;
    unsigned refusals = 0;
    bool is_done = false;

    (void)state;
    tk_buf_init(&bytes, 1 << 24);
    while (bytes.len < 20000) {
        random_message(&rng, &bytes, &kvrpcpb_PrewriteResponse_msginit, 2,
                       false);
    }
    for (nth = 1; !is_done; nth++) {
        struct tk_arena *arena;
        void *message = NULL;
        struct tk_encoded out = { NULL, 0 };

        tk_thread_cache_drain();
        tk_alloc_fail_nth(nth);
        arena = tk_arena_new();
        if (arena != NULL) {
            message = tk_arena_decode(arena, &kvrpcpb_PrewriteResponse_msginit,
                                      bytes.data, bytes.len, NULL);
        }
        if (message != NULL) {
            out = tk_arena_encode(arena, &kvrpcpb_PrewriteResponse_msginit,
                                  message);
        }
        is_done = tk_alloc_fail_nth(0) < nth;
        assert_int_equal(out.data != NULL, is_done);
        refusals += out.data == NULL;
        tk_arena_unref(arena);
        assert_in_range(nth, 1, 1000);
    }
    assert_in_range(refusals, 3, 100);
    tk_buf_fini(&bytes);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(arena__decodes_a_map_entry_with_unknown_fields),
        harness_test(arena__keeps_its_sources_alive),
        harness_test(arena__is_recycled_by_its_thread),
        harness_test(cache__is_bounded),
        harness_test(cache__ends_with_its_thread),
        harness_test(decode__refuses_other_bytes),
        harness_test(encode__of_an_empty_message_is_not_absent),
        harness_test(arena__survives_the_end_of_memory),
    };
    return harness_run(tests);
}
