/* SPDX-License-Identifier: Apache-2.0 */
/* Many keys, many regions, and a cache that must not hold them all.
 * timeout: 240 */
#include "unit/region/made.h"

#include "base/rng.h"

static const struct world_plan three_stores = {
    .cluster = { .stores_count = 3, .pds_count = 1, .regions_count = 1,
                 .replicas_count = 3 },
};

/* ---- jobs of any number of keys; their answers do not matter ---- */

enum { KEY_LEN = 8 };

struct many {
    struct tk_job job; /* first */
    uint8_t *keys;     /* "k0000000" and so on */
    size_t answered;
    size_t pieces;
};

static tikv_slice
many_key(struct tk_job *job, size_t item)
{
    struct many *many = (struct many *)(void *)job;

    return tk_slice(many->keys + item * KEY_LEN, KEY_LEN);
}

static tikv_error *
many_encode(struct tk_job *job, const struct tk_piece *piece,
            struct tk_arena *arena, tikv_slice *body)
{
    (void)job;
    (void)piece;
    (void)arena;
    *body = tk_slice_text("");
    return NULL;
}

static tikv_error *
many_answer(struct tk_job *job, const struct tk_piece *piece, tikv_slice data,
            struct tk_frame *frame)
{
    struct many *many = (struct many *)(void *)job;

    (void)data;
    (void)frame;
    many->answered += piece->count;
    many->pieces++;
    return NULL;
}

static struct many *
many_new(size_t count)
{
    static const struct tk_job_ops ops = { many_key, NULL, many_encode,
                                           many_answer, NULL };
    struct many *many = tk_calloc(sizeof(*many));
    char text[KEY_LEN + 8];
    size_t i;

    assert_non_null(many);
    many->keys = tk_alloc(count * KEY_LEN);
    assert_non_null(many->keys);
    for (i = 0; i < count; i++) {
        snprintf(text, sizeof(text), "k%07u", (unsigned)i);
        memcpy(many->keys + i * KEY_LEN, text, KEY_LEN);
    }
    many->job.ops = &ops;
    many->job.command = TK_CMD_RAW_BATCH_GET;
    many->job.items_count = count;
    many->job.budget_ms = 40000;
    return many;
}

static void
many_free(struct many *many)
{
    tk_free(many->keys);
    tk_free(many);
}

static void
many_run(struct world *w, struct many *many, int64_t timeout_ms)
{
    struct tk_op op;

    many->answered = 0;
    many->pieces = 0;
    assert_true(tk_op_init(&op, w->exec, NULL, timeout_ms * TK_MS));
    world_ok(tk_drive(&w->router, &op, &many->job, NULL));
    tk_op_fini(&op);
    assert_int_equal(many->answered, many->job.items_count);
}

static void
split_every(struct world *w, size_t every, size_t regions)
{
    size_t i;

    for (i = 1; i < regions; i++) {
        char key[16];

        snprintf(key, sizeof(key), "k%07u", (unsigned)(i * every));
        world_ok(tk_cluster_split(w->cluster, tk_slice_text(key)));
    }
}

/* ---- */

enum { KEYS = 1000000, FEW_REGIONS = 1000 };

static void
million(struct world *w)
{
    struct many *many = many_new(KEYS);
    uint64_t scans;

    split_every(w, KEYS / FEW_REGIONS, FEW_REGIONS);
    many_run(w, many, 60000);
    assert_int_equal(many->pieces, FEW_REGIONS);
    /* A message has room for 2,048 keys, so it tells of two or three regions:
     * neither a call per key nor one with all of them. */
    scans = tk_cluster_calls(w->cluster, "pd.BatchScanRegions");
    assert_in_range(scans, KEYS / 2048 / 2, FEW_REGIONS);
    assert_int_equal(tk_cache_count(w->cache), FEW_REGIONS);
    many_run(w, many, 60000);
    assert_int_equal(tk_cluster_calls(w->cluster, "pd.BatchScanRegions"),
                     scans);
    many_free(many);
}

static void
lesson_85__a_million_keys_are_asked_for_in_portions(void **state)
{
    (void)state;
    world_sim(1, &three_stores, million);
}

enum { REGIONS = 10000 };

/* The store that leads them all dies. */
static void
ten_thousand(struct world *w)
{
    struct many *many = many_new(REGIONS);
    uint64_t leader;
    int64_t begun;
    size_t i;

    split_every(w, 1, REGIONS);
    leader = tk_cluster_leader_of(
        w->cluster, tk_cluster_region_of(w->cluster, many_key(&many->job, 0)));
    for (i = 0; i < REGIONS; i++) {
        world_ok(tk_cluster_transfer_leader(
            w->cluster,
            tk_cluster_region_of(w->cluster, many_key(&many->job, i)),
            leader));
    }
    many_run(w, many, 60000);
    assert_int_equal(many->pieces, REGIONS);
    world_ok(tk_cluster_store_stop(w->cluster, leader));
    begun = tk_now(w->rt);
    many_run(w, many, 60000);
    assert_in_range((tk_now(w->rt) - begun) / TK_MS, 0, 30000);
    /* And from now on as if nothing had happened. */
    begun = tk_now(w->rt);
    many_run(w, many, 60000);
    assert_in_range((tk_now(w->rt) - begun) / TK_MS, 0, 5000);
    many_free(many);
}

static void
lesson_91__ten_thousand_regions_survive_a_store(void **state)
{
    (void)state;
    world_sim(1, &three_stores, ten_thousand);
}

/* ---- the cache itself ---- */

static struct tk_region *
made_record(struct tk_cache *cache, uint64_t id, const char *start,
            const char *end)
{
    struct made made = { id, 1, 1, start, end, 1 };
    struct tk_region *region;

    assert_true(put_region(cache, &made));
    tk_mutex_lock(&cache->lock);
    region = tk_cache_by_id(cache, id);
    tk_mutex_unlock(&cache->lock);
    return region;
}

static void
key_of(size_t number, char *out)
{
    snprintf(out, 16, "r%07u", (unsigned)number);
}

/* Whoever walks over more than fits, or looks here and there. */
static void
is_bounded(struct world *w)
{
    enum { MOST = 1000, WALK = 5000 };
    struct tk_rng rng = { 5 };
    char start[16];
    char end[16];
    size_t i;

    for (i = 0; i < 2 * WALK; i++) {
        size_t at = i < WALK ? i : (size_t)tk_rng_below(&rng, WALK);

        key_of(at, start);
        key_of(at + 1, end);
        made_record(w->cache, at + 1, start, end);
        assert_true(tk_cache_count(w->cache) <= MOST);
        assert_true(tk_cache_has(w->cache, tk_slice_text(start)));
        if (i == WALK - 1) {
            /* The last ones of the walk are there. */
            key_of(WALK - MOST + 1, start);
            assert_true(tk_cache_has(w->cache, tk_slice_text(start)));
        }
    }
    assert_int_equal(tk_cache_count(w->cache), MOST);
}

static void
lesson_103__the_cache_has_a_bound(void **state)
{
    struct world_plan plan = three_stores;

    (void)state;
    plan.settings[0] = "region.cache_max_count";
    plan.settings[1] = "1000";
    world_sim(1, &plan, is_bounded);
}

/* Records that came together do not end together. */
static void
ends_apart(struct world *w)
{
    enum { RECORDS = 1000, PARTS = 10 };
    int64_t ttl = tk_config_ns(&w->config.region_cache_ttl_ms);
    int64_t now = tk_now(w->rt);
    unsigned parts[PARTS] = { 0 };
    char start[16];
    char end[16];
    size_t i;

    for (i = 0; i < RECORDS; i++) {
        int64_t late;

        key_of(i, start);
        key_of(i + 1, end);
        late = atomic_load(
                   &made_record(w->cache, i + 1, start, end)->expires) -
               now - ttl;
        assert_in_range(late, 0, ttl / 10);
        parts[late * PARTS / (ttl / 10 + 1)]++;
    }
    for (i = 0; i < PARTS; i++) {
        assert_in_range(parts[i], RECORDS / PARTS / 2, RECORDS / PARTS * 2);
    }
}

static void
lesson_99__records_end_apart(void **state)
{
    (void)state;
    world_sim(1, &three_stores, ends_apart);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(lesson_85__a_million_keys_are_asked_for_in_portions),
        harness_test(lesson_91__ten_thousand_regions_survive_a_store),
        harness_test(lesson_103__the_cache_has_a_bound),
        harness_test(lesson_99__records_end_apart),
    };

    return harness_run(tests);
}
