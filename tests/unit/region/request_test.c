/* SPDX-License-Identifier: Apache-2.0 */
/* What every request bears, and what follows from what an answer bears.
 * timeout: 120 */
#include "unit/region/spy.h"

#include "base/call.h"
#include "region/store_inner.h"

#include "coprocessor.upb.h"
#include "metapb.upb.h"

static const struct world_plan three_stores = {
    .cluster = { .stores_count = 3, .pds_count = 1, .regions_count = 1,
                 .replicas_count = 3 },
    .wrap = spy_new,
};

static void
pause(struct world *w, int64_t ms)
{
    struct tk_op op;

    assert_true(tk_op_init(&op, w->exec, NULL, TK_NEVER));
    world_ok(tk_op_sleep(&op, ms * TK_MS));
    tk_op_fini(&op);
}

/* ---- jobs whose answers do not matter ---- */

static tikv_error *
encode_nothing(struct tk_job *job, const struct tk_piece *piece,
               struct tk_arena *arena, tikv_slice *body)
{
    (void)job;
    (void)piece;
    (void)arena;
    *body = tk_slice_text("");
    return NULL;
}

static tikv_error *
take_anything(struct tk_job *job, const struct tk_piece *piece,
              tikv_slice data, struct tk_frame *frame)
{
    (void)job;
    (void)piece;
    (void)data;
    (void)frame;
    return NULL;
}

static const struct tk_job_ops empty_ops = { kv_key, NULL, encode_nothing,
                                             take_anything, kv_lost };

static tikv_error *
run_as(struct world *w, struct kv *kv, const tikv_call *call)
{
    struct tk_op op;
    tikv_error *error;

    assert_true(tk_op_init(&op, w->exec, call, 1000 * TK_MS));
    error = tk_drive(&w->router, &op, &kv->job, NULL);
    tk_op_fini(&op);
    return error;
}

static bool
goes_to_stores(const struct tk_command_row *row)
{
    return strncmp(row->label, "tikv.", 5) == 0 &&
           row->kind == TK_KIND_UNARY && row->context_field != 0;
}

/* Of whatever kind, however it ends. */
static void
every_command(struct world *w)
{
    static const tikv_priority priorities[] = { TIKV_PRIORITY_NORMAL,
                                                TIKV_PRIORITY_LOW,
                                                TIKV_PRIORITY_HIGH };
    unsigned seen = 0;
    unsigned command;

    kv_put(w, "k00000", "1");
    for (command = 0; command < TK_COMMANDS; command++) {
        struct kv *kv = kv_new((enum tk_command)command, 1, NULL);
        tikv_priority priority = priorities[command % 3];
        tikv_call call = TIKV_CALL_INIT;

        if (goes_to_stores(tk_command_row((enum tk_command)command))) {
            kv->job.ops = &empty_ops;
            call.priority = priority;
            spy_clear(w);
            tikv_error_free(run_as(w, kv, &call));
            assert_int_equal(spy_last(w)->command, command);
            assert_int_equal(spy_last(w)->cluster_id,
                             tk_pd_cluster_id(w->pd));
            assert_int_not_equal(spy_last(w)->cluster_id, 0);
            assert_int_equal(spy_last(w)->priority, priority);
            seen++;
        }
        tk_free(kv);
    }
    assert_true(seen > 40);
}

static void
request__bears_cluster_and_priority(void **state)
{
    (void)state;
    world_sim(1, &three_stores, every_command);
}

static void
every_mode(struct world *w)
{
    static const enum tk_command commands[] = {
        TK_CMD_KV_GET, TK_CMD_KV_BATCH_GET, TK_CMD_KV_SCAN, TK_CMD_RAW_GET,
        TK_CMD_RAW_BATCH_GET
    };
    uint64_t leader;
    size_t i;
    unsigned round;

    kv_put(w, "k00000", "1");
    leader = tk_cluster_leader_of(
        w->cluster,
        tk_cluster_region_of(w->cluster, tk_slice_text("k00000")));
    for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        struct kv *kv = kv_new(commands[i], 3, NULL);

        kv->job.ops = &empty_ops;
        /* Whoever reads decides before each call. */
        for (round = 0; round < 12; round++) {
            uint64_t store = leader % 3 + 1;
            bool names_other = round % 3 == 1;

            kv->job.read.from = round % 3 == 0 ? TK_READ_LEADER
                                               : TK_READ_MIXED;
            kv->job.read.stores = names_other ? &store : &leader;
            kv->job.read.stores_count = round % 3 == 0 ? 0 : 1;
            spy_clear(w);
            world_ok(run_as(w, kv, NULL));
            assert_int_equal(spy_last(w)->command, commands[i]);
            assert_int_equal(spy_last(w)->store, names_other ? store : leader);
            assert_int_equal(spy_last(w)->replica_read, names_other);
            assert_false(spy_last(w)->stale_read);
        }
        tk_free(kv);
    }
}

static void
request__goes_where_its_read_says(void **state)
{
    (void)state;
    world_sim(1, &three_stores, every_mode);
}

/* ---- bytes ---- */

static void
set_zone(struct world *w, uint64_t store, const char *zone)
{
    struct tk_arena *arena = tk_arena_new();
    metapb_Store *facts = metapb_Store_new(arena->upb);
    metapb_StoreLabel *label = metapb_Store_add_labels(facts, arena->upb);

    metapb_StoreLabel_set_key(label, upb_StringView_FromString("zone"));
    metapb_StoreLabel_set_value(label, upb_StringView_FromString(zone));
    assert_true(tk_store_take_labels(
        w->stores,
        (struct tk_store_slot *)(void *)tk_stores_get(w->stores, store),
        facts));
    tk_arena_unref(arena);
}

/* Store 0 is the leader's. */
static struct tk_spent
spent_by(struct world *w, uint64_t store)
{
    struct kv *kv = kv_new(TK_CMD_RAW_GET, 1, NULL);
    struct tk_spent spent;
    struct tk_op op;

    if (store != 0) {
        kv->job.read.from = TK_READ_MIXED;
        kv->job.read.stores = &store;
        kv->job.read.stores_count = 1;
    }
    assert_true(tk_op_init(&op, w->exec, NULL, 10000 * TK_MS));
    world_ok(tk_drive(&w->router, &op, &kv->job, NULL));
    spent = op.spent;
    tk_op_fini(&op);
    tk_free(kv);
    assert_true(store == 0 || spy_last(w)->store == store);
    return spent;
}

static void
two_zones(struct world *w)
{
    struct tk_spent near;
    struct tk_spent far;
    struct tk_spent unknown;

    kv_put(w, "k00000", "0123456789");
    pause(w, 100); /* all stores were looked at */
    set_zone(w, 1, "here");
    set_zone(w, 2, "there");
    near = spent_by(w, 1);
    far = spent_by(w, 2);
    unknown = spent_by(w, 3);
    assert_in_range(near.bytes[TK_TRAFFIC_OUT], 20, 100);
    assert_in_range(near.bytes[TK_TRAFFIC_IN], 10, 100);
    assert_int_equal(near.bytes[TK_TRAFFIC_FAR_OUT], 0);
    assert_int_equal(near.bytes[TK_TRAFFIC_FAR_IN], 0);
    assert_int_equal(far.bytes[TK_TRAFFIC_FAR_OUT],
                     far.bytes[TK_TRAFFIC_OUT]);
    assert_int_equal(far.bytes[TK_TRAFFIC_FAR_IN], far.bytes[TK_TRAFFIC_IN]);
    assert_in_range(far.bytes[TK_TRAFFIC_FAR_IN], 10, 100);
    assert_int_equal(unknown.bytes[TK_TRAFFIC_FAR_OUT], 0);
    /* A repeated request is counted again. */
    world_fault(w, "on=tikv.RawGet when=first(1) do=region_error(disk_full)");
    near = spent_by(w, 0);
    assert_int_equal(near.requests, 2);
    assert_true(near.bytes[TK_TRAFFIC_OUT] >
                unknown.bytes[TK_TRAFFIC_OUT] * 3 / 2);
}

static void
request__bytes_are_counted_by_zone(void **state)
{
    struct world_plan plan = three_stores;

    (void)state;
    plan.settings[0] = "client.zone";
    plan.settings[1] = "here";
    world_sim(1, &plan, two_zones);
}

/* ---- buckets ---- */

static tikv_error *
encode_task(struct tk_job *job, const struct tk_piece *piece,
            struct tk_arena *arena, tikv_slice *body)
{
    enum { PAIRS = 0x6d63 };
    coprocessor_Request *request = coprocessor_Request_new(arena->upb);
    coprocessor_KeyRange *range =
        coprocessor_Request_add_ranges(request, arena->upb);
    struct tk_encoded encoded;

    (void)job;
    (void)piece;
    coprocessor_Request_set_tp(request, PAIRS);
    coprocessor_Request_set_start_ts(request, 1);
    coprocessor_KeyRange_set_start(range, upb_StringView_FromString("a"));
    coprocessor_KeyRange_set_end(range, upb_StringView_FromString("b"));
    encoded = tk_arena_encode(arena, &coprocessor_Request_msginit, request);
    *body = tk_slice(encoded.data, encoded.len);
    return NULL;
}

static const struct tk_job_ops task_ops = { kv_key, NULL, encode_task,
                                            take_anything, kv_lost };

static void
set_buckets(struct world *w, uint64_t version)
{
    tikv_slice keys[3] = { tk_slice_text(""), tk_slice_text("m"),
                           tk_slice_text("") };

    world_ok(tk_cluster_set_buckets(
        w->cluster, tk_cluster_region_of(w->cluster, tk_slice_text("a")),
        version, keys, 3));
}

static void
run_task(struct world *w)
{
    struct kv *kv = kv_new(TK_CMD_COPROCESSOR, 1, NULL);

    kv->job.ops = &task_ops;
    world_ok(run_as(w, kv, NULL));
    tk_free(kv);
}

static uint64_t
lookups(struct world *w)
{
    return tk_cluster_calls(w->cluster, "pd.GetRegion");
}

static void
compares_buckets(struct world *w)
{
    uint64_t before;

    kv_put(w, "a", "1");
    before = lookups(w);
    run_task(w);
    assert_int_equal(spy_last(w)->buckets_version, 0);
    assert_int_equal(lookups(w), before);
    /* The answer tells of some: PD is asked once, at the next look. */
    set_buckets(w, 5);
    run_task(w);
    assert_int_equal(spy_last(w)->buckets_version, 0);
    run_task(w);
    assert_int_equal(spy_last(w)->buckets_version, 5);
    run_task(w);
    assert_int_equal(spy_last(w)->buckets_version, 5);
    assert_int_equal(lookups(w), before + 1);
    /* The store has others than those we name: it says which. */
    set_buckets(w, 7);
    run_task(w);
    assert_int_equal(spy_last(w)->buckets_version, 7);
    /* Nobody else compares them. */
    kv_put(w, "a", "2");
    assert_int_equal(spy_last(w)->buckets_version, 0);
    assert_int_equal(lookups(w), before + 1);
}

static void
request__of_a_coprocessor_names_its_buckets(void **state)
{
    (void)state;
    world_sim(1, &three_stores, compares_buckets);
}

/* ---- peers that are down for PD ---- */

enum { DOWN_MS = 610000 };

/* Reads for so long; how many of them the store got. */
static unsigned
reads_at(struct world *w, uint64_t store, int64_t ms)
{
    int64_t until = tk_now(w->rt) + ms * TK_MS;
    struct spy *spy = spy_of(w->transport);
    unsigned hits = 0;

    while (tk_now(w->rt) < until) {
        struct kv *kv = kv_new(TK_CMD_RAW_GET, 1, NULL);
        size_t i;

        kv->job.read.from = TK_READ_MIXED;
        spy_clear(w);
        world_ok(kv_run(w, kv, 20000));
        for (i = 0; i < spy->count; i++) {
            hits += spy->notes[i].store == store;
        }
        tk_free(kv);
        pause(w, 100);
    }
    return hits;
}

static void
peer_goes_down(struct world *w)
{
    uint64_t leader;
    uint64_t other;

    kv_put(w, "k00000", "1");
    leader = tk_cluster_leader_of(
        w->cluster,
        tk_cluster_region_of(w->cluster, tk_slice_text("k00000")));
    other = leader % 3 + 1;
    assert_true(reads_at(w, other, 3000) > 0);
    world_ok(tk_cluster_store_stop(w->cluster, other));
    pause(w, DOWN_MS);
    /* PD says so, and the record ends in time to hear it. */
    reads_at(w, other, 3000);
    assert_int_equal(reads_at(w, other, 10000), 0);
    world_ok(tk_cluster_store_start(w->cluster, other, false));
    assert_true(reads_at(w, other, 4500) > 0);
}

static void
request__shuns_a_peer_that_is_down(void **state)
{
    struct world_plan plan = three_stores;

    (void)state;
    plan.settings[0] = "region.cache_ttl_ms";
    plan.settings[1] = "2000";
    plan.settings[2] = "region.sweep_ms";
    plan.settings[3] = "200";
    world_sim(1, &plan, peer_goes_down);
}

/* ---- pieces ---- */

struct pieces {
    struct kv kv; /* first */
    char text[128];
};

static tikv_error *
note_piece(struct tk_job *job, const struct tk_piece *piece, tikv_slice data,
           struct tk_frame *frame)
{
    struct pieces *pieces = (struct pieces *)(void *)job;
    size_t at = strlen(pieces->text);

    snprintf(pieces->text + at, sizeof(pieces->text) - at, "%s[%.*s,%.*s)",
             at == 0 ? "" : " ", (int)piece->start.len,
             (const char *)piece->start.data, (int)piece->end.len,
             (const char *)piece->end.data);
    return kv_answer(job, piece, data, frame);
}

static const struct tk_job_ops piece_ops = { kv_key, NULL, kv_encode,
                                             note_piece, kv_lost };

static void
cuts_ranges(struct world *w)
{
    static const char *const bounds[] = { "a", "b", "d", "z" };
    static const struct {
        const char *start;
        const char *end;
        const char *pieces;
    } rows[] = {
        { "aa", "ab", "[aa,ab)" },
        { "ac", "bb", "[ac,b) [b,bb)" },
        { "bz", "d2", "[bz,d) [d,d2)" },
        { "d5", "d9", "[d5,d9)" },
        { "a", "z", "[a,b) [b,d) [d,z)" },
    };
    size_t i;

    for (i = 0; i < 4; i++) {
        world_ok(tk_cluster_split(w->cluster, tk_slice_text(bounds[i])));
    }
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pieces *pieces = tk_calloc(sizeof(*pieces));

        pieces->kv.job.ops = &piece_ops;
        pieces->kv.job.command = TK_CMD_RAW_DELETE_RANGE;
        pieces->kv.job.budget_ms = 20000;
        pieces->kv.job.range.start = tk_slice_text(rows[i].start);
        pieces->kv.job.range.end = tk_slice_text(rows[i].end);
        world_ok(kv_run(w, &pieces->kv, 20000));
        assert_string_equal(pieces->text, rows[i].pieces);
        tk_free(pieces);
    }
}

static void
request__of_a_range_is_cut_at_regions(void **state)
{
    (void)state;
    world_sim(1, &three_stores, cuts_ranges);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(request__bears_cluster_and_priority),
        harness_test(request__goes_where_its_read_says),
        harness_test(request__bytes_are_counted_by_zone),
        harness_test(request__of_a_coprocessor_names_its_buckets),
        harness_test(request__shuns_a_peer_that_is_down),
        harness_test(request__of_a_range_is_cut_at_regions),
    };

    return harness_run(tests);
}
