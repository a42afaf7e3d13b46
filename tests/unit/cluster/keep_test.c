/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cluster that keeps its state: answers wait for the disk, and what was
 * answered is there after every kind of end. Whether all state is kept is
 * the business of the conformance cases, which run over such a cluster too.
 */
#include "fixture/kept.h"
#include "unit/cluster/fixture.h"

#include <errno.h>

struct kept {
    struct fx fx;
    struct platter platter;
};

static struct tk_cluster_params
params_of(struct platter *platter)
{
    struct tk_cluster_params params;

    memset(&params, 0, sizeof(params));
    params.disk = platter_disk(platter);
    params.keeps_by_step = true;
    return params;
}

static void
open_on(struct kept *kept, uint32_t stores)
{
    struct tk_cluster_params params = params_of(&kept->platter);

    params.stores_count = stores;
    fx_open(&kept->fx, &params);
}

static void
begin(struct kept *kept, uint32_t stores)
{
    platter_init(&kept->platter);
    open_on(kept, stores);
}

static void
end(struct kept *kept)
{
    fx_close(&kept->fx);
    platter_fini(&kept->platter);
}

/* As kill -9 does: what was not appended is lost. */
static void
crash(struct kept *kept)
{
    struct platter copy;
    int64_t now = kept->fx.clock.now;

    platter_copy(&copy, &kept->platter);
    end(kept);
    kept->platter = copy;
    open_on(kept, 0);
    kept->fx.clock.now = now;
}

static void
settle(struct kept *kept)
{
    assert_int_equal(kept_settle(kept->fx.cluster), TK_CL_STEP_IDLE);
}

/* A request of PD, settled. */
static const pdpb_GetRegionResponse *
region(struct kept *kept, const char *key)
{
    struct fx *fx = &kept->fx;
    pdpb_GetRegionRequest *request = pdpb_GetRegionRequest_new(fx->arena);

    pdpb_GetRegionRequest_set_header(request, fx_header(fx));
    pdpb_GetRegionRequest_set_region_key(request, fx_view(key));
    FX_CALL(fx, tk_cluster_pd_leader(fx->cluster), "/pdpb.PD/GetRegion", pdpb,
            GetRegionRequest, request);
    (void)kept_settle(fx->cluster);
    assert_true(fx->replied);
    return FX_PARSE(fx, pdpb, GetRegionResponse);
}

static kvrpcpb_Context *
context(struct kept *kept, const char *key)
{
    (void)region(kept, key); /* nothing waits behind it */
    return fx_context(&kept->fx, key);
}

static void
put(struct kept *kept, const char *key, const char *value)
{
    (void)fx_put_at(&kept->fx, context(kept, key), key, value, 0);
}

static void
expect(struct kept *kept, const char *key, const char *value)
{
    (void)context(kept, key);
    fx_expect(&kept->fx, key, value);
}

static void
count_reply(struct tk_cluster_call *call, int status, const char *message,
            tikv_slice data)
{
    int *replies = call->owner;

    (void)message;
    (void)data;
    assert_int_equal(status, TK_GRPC_OK);
    ++*replies;
}

static void
keep__answers_wait_for_the_disk(void **state)
{
    int replies = 0;
    struct tk_cluster_call other = { count_reply, NULL, &replies, 0 };
    kvrpcpb_RawGetRequest *request;
    kvrpcpb_Context *where;
    const char *bytes;
    size_t len;
    struct kept kept;

    (void)state;
    begin(&kept, 1);
    where = context(&kept, "k");
    put(&kept, "k", "v");
    assert_false(kept.fx.replied);
    settle(&kept);
    assert_true(kept.fx.replied);
    assert_int_equal(kept.fx.status, TK_GRPC_OK);
    /* A read that sees nothing new does not wait. */
    expect(&kept, "k", "v");
    /* One that sees what is not kept yet does. */
    put(&kept, "k", "w");
    request = kvrpcpb_RawGetRequest_new(kept.fx.arena);
    kvrpcpb_RawGetRequest_set_context(request, where);
    kvrpcpb_RawGetRequest_set_key(request, fx_view("k"));
    bytes = kvrpcpb_RawGetRequest_serialize(request, kept.fx.arena, &len);
    tk_cluster_unary(kept.fx.cluster, fx_store(1), "/tikvpb.Tikv/RawGet",
                     NULL, tk_slice(bytes, len), &other);
    assert_false(kept.fx.replied);
    assert_int_equal(replies, 0);
    settle(&kept);
    assert_true(kept.fx.replied);
    assert_int_equal(replies, 1);
    end(&kept);
}

static void
keep__what_was_answered_is_there_after_a_crash(void **state)
{
    struct kept kept;

    (void)state;
    begin(&kept, 1);
    put(&kept, "a", "1");
    settle(&kept);
    put(&kept, "b", "2");
    settle(&kept);
    put(&kept, "c", "3"); /* nobody heard of it */
    crash(&kept);
    settle(&kept);
    expect(&kept, "a", "1");
    expect(&kept, "b", "2");
    expect(&kept, "c", NULL);
    end(&kept);
}

static uint64_t
timestamp(struct kept *kept)
{
    struct fx *fx = &kept->fx;
    pdpb_GetMinTSRequest *request = pdpb_GetMinTSRequest_new(fx->arena);
    const pdpb_Timestamp *ts;

    pdpb_GetMinTSRequest_set_header(request, fx_header(fx));
    FX_CALL(fx, tk_cluster_pd_leader(fx->cluster), "/pdpb.PD/GetMinTS", pdpb,
            GetMinTSRequest, request);
    settle(kept);
    assert_true(fx->replied);
    assert_int_equal(fx->status, TK_GRPC_OK);
    ts = pdpb_GetMinTSResponse_timestamp(
        FX_PARSE(fx, pdpb, GetMinTSResponse));
    return (uint64_t)pdpb_Timestamp_physical(ts) << 18 |
           (uint64_t)pdpb_Timestamp_logical(ts);
}

static void
keep__timestamps_and_ids_never_go_back(void **state)
{
    struct kept kept;
    uint64_t last = 0;
    uint64_t ids = 0;
    int i;

    (void)state;
    begin(&kept, 3);
    for (i = 0; i < 4; i++) {
        uint64_t now = timestamp(&kept);
        char key[2] = { (char)('a' + i), '\0' };

        assert_true(now > last);
        last = now;
        fx_split(&kept.fx, key);
        settle(&kept);
        assert_true(kept.fx.cluster->ids > ids);
        ids = kept.fx.cluster->ids;
        crash(&kept);
        settle(&kept);
        assert_int_equal(kept.fx.cluster->ids, ids);
        /* Even where the clock stands far back. */
        kept.fx.clock.now -= 2000 * TK_MS;
    }
    end(&kept);
}

static void
keep__a_start_is_a_restart_of_all_nodes(void **state)
{
    struct kept kept;
    struct tk_cl_region *one;
    uint64_t id;
    uint64_t term;
    uint64_t given;

    (void)state;
    begin(&kept, 3);
    assert_null(tk_cluster_store_stop(kept.fx.cluster, 2));
    assert_null(tk_cluster_pd_stop(kept.fx.cluster, 0));
    fx_split(&kept.fx, "m");
    id = tk_cluster_region_of(kept.fx.cluster, fx_slice("z"));
    assert_null(tk_cluster_transfer_leader(kept.fx.cluster, id, 0));
    one = tk_cl_region_by_id(&kept.fx.cluster->regions, id);
    term = one->term;
    assert_null(tk_cluster_pd_start(kept.fx.cluster, 0));
    assert_null(tk_cluster_pd_transfer(kept.fx.cluster, 0));
    given = timestamp(&kept);
    crash(&kept);
    one = tk_cl_region_by_id(&kept.fx.cluster->regions, id);
    assert_int_equal(tk_cluster_regions_count(kept.fx.cluster), 2);
    assert_true(one->term > term);
    assert_true(one->leader != 0);
    assert_true(tk_cluster_is_up(kept.fx.cluster, fx_store(2)));
    /* Nothing is committed below what was read before. */
    assert_true(kept.fx.cluster->stores[0].max_ts > given ||
                kept.fx.cluster->stores[1].max_ts > given);
    end(&kept);
}

static void
keep__a_removed_store_stays_away(void **state)
{
    struct kept kept;

    (void)state;
    begin(&kept, 3);
    assert_null(tk_cluster_store_remove(kept.fx.cluster, 2));
    settle(&kept);
    crash(&kept);
    assert_false(tk_cluster_is_up(kept.fx.cluster, fx_store(2)));
    kept_check(kept.fx.cluster, &kept.platter, &kept.fx.clock.rt);
    end(&kept);
}

/* ---- topology: what tests do to it, in any order ---- */

static void
keep__keeps_regions_through_a_storm(void **state)
{
    struct kept kept;
    uint64_t dice = 7;
    int i;

    (void)state;
    begin(&kept, 3);
    for (i = 0; i < 400; i++) {
        struct tk_cluster *cluster = kept.fx.cluster;
        char text[3] = { 0 };
        tikv_slice key;

        dice = dice * UINT64_C(6364136223846793005) + 1442695040888963407U;
        text[0] = (char)('a' + (dice >> 33) % 26);
        text[1] = (char)('a' + (dice >> 40) % 3);
        key = fx_slice(text);
        switch ((dice >> 50) % 4) {
        case 0:
        case 1:
            assert_null(tk_cluster_split(cluster, key));
            break;
        case 2:
            tikv_error_free(tk_cluster_merge(cluster, key));
            break;
        default:
            tikv_error_free(tk_cluster_transfer_leader(
                cluster, tk_cluster_region_of(cluster, key),
                (dice >> 55) % 4));
        }
        if (i % 20 == 0) {
            kept_check(cluster, &kept.platter, &kept.fx.clock.rt);
        }
        if (i % 100 == 99) {
            settle(&kept);
            crash(&kept);
        }
    }
    end(&kept);
}

/* ---- disks that fail ---- */

static void
keep__a_full_disk_breaks_calls_and_refuses_writes(void **state)
{
    const kvrpcpb_RawPutResponse *answer;
    kvrpcpb_Context *where;
    struct kept kept;

    (void)state;
    begin(&kept, 1);
    where = context(&kept, "k");
    kept.platter.fail_at = kept.platter.changes + 1;
    kept.platter.fails_on = true;
    (void)fx_put_at(&kept.fx, where, "k", "v", 0);
    assert_false(kept.fx.replied);
    assert_int_equal(kept_settle(kept.fx.cluster), TK_CL_STEP_FAILED);
    assert_true(kept.fx.replied);
    assert_int_equal(kept.fx.status, TK_GRPC_UNAVAILABLE);
    /* Not executed. */
    (void)fx_put_at(&kept.fx, where, "x", "v", 0);
    kept.platter.fails_on = false;
    settle(&kept);
    assert_true(kept.fx.replied);
    answer = FX_PARSE(&kept.fx, kvrpcpb, RawPutResponse);
    assert_true(errorpb_Error_has_disk_full(
        kvrpcpb_RawPutResponse_region_error(answer)));
    /* There is room again: what was under way is kept by now. */
    put(&kept, "y", "w");
    settle(&kept);
    crash(&kept);
    settle(&kept);
    expect(&kept, "k", "v");
    expect(&kept, "x", NULL);
    expect(&kept, "y", "w");
    end(&kept);
}

/* One fault at every operation of a life with checkpoints: what was
 * acknowledged is there, and state and directory never part for good. */
static void
keep__loses_nothing_to_any_single_fault(void **state)
{
    uint64_t at;

    (void)state;
    for (at = 1; at < 120; at++) {
        struct tk_cluster_params params;
        struct kept kept;
        bool acknowledged[40];
        char key[16];
        int i;

        platter_init(&kept.platter);
        params = params_of(&kept.platter);
        params.log_bytes = 64;
        fx_open(&kept.fx, &params);
        kept.platter.fail_at = kept.platter.changes + at;
        kept.platter.fail_with = at % 2 == 0 ? ENOSPC : EIO;
        for (i = 0; i < 40; i++) {
            (void)snprintf(key, sizeof(key), "key%d", i);
            put(&kept, key, key);
            while (kept_settle(kept.fx.cluster) == TK_CL_STEP_FAILED) {
            }
            acknowledged[i] =
                kept.fx.replied && kept.fx.status == TK_GRPC_OK;
        }
        kept_check(kept.fx.cluster, &kept.platter, &kept.fx.clock.rt);
        crash(&kept);
        settle(&kept);
        for (i = 0; i < 40; i++) {
            (void)snprintf(key, sizeof(key), "key%d", i);
            if (acknowledged[i]) {
                expect(&kept, key, key);
            }
        }
        end(&kept);
    }
}

/* ---- logs that end anywhere ---- */

static void
keep__every_cut_of_the_log_is_a_moment_of_the_past(void **state)
{
    enum { MOMENTS = 24 };
    struct tk_buf moments[MOMENTS];
    struct platter_file *log;
    struct tk_buf now;
    struct kept kept;
    size_t last = 0;
    size_t cut;
    int i;

    (void)state;
    begin(&kept, 3);
    tk_buf_init(&now, SIZE_MAX / 4);
    for (i = 0; i < MOMENTS; i++) {
        char key[16];

        tk_buf_init(&moments[i], SIZE_MAX / 4);
        kept_dump(kept.fx.cluster, &moments[i]);
        (void)snprintf(key, sizeof(key), "%c%d", 'a' + i % 7, i);
        if (i % 5 == 4) {
            fx_split(&kept.fx, key);
        } else {
            put(&kept, key, "a value that is not too short");
        }
        settle(&kept);
    }
    log = platter_file(&kept.platter, "log-0000000000000001");
    for (cut = TK_WAL_START; cut < log->len; cut++) {
        struct platter copy;

        platter_copy(&copy, &kept.platter);
        platter_file(&copy, "log-0000000000000001")->len = cut;
        assert_null(kept_read(&copy, &kept.fx.clock.rt, &now));
        /* The same moment as of a shorter log, or the next one. */
        while (last < MOMENTS && (now.len != moments[last].len ||
                                  memcmp(now.data, moments[last].data,
                                         now.len) != 0)) {
            last++;
        }
        if (last == MOMENTS) {
            fail_msg("cut at %zu", cut);
        }
        platter_fini(&copy);
    }
    assert_int_equal(last, MOMENTS - 1);
    for (i = 0; i < MOMENTS; i++) {
        tk_buf_fini(&moments[i]);
    }
    tk_buf_fini(&now);
    end(&kept);
}

/* ---- bounds ---- */

static void
keep__the_log_stays_within_a_few_times_the_data(void **state)
{
    struct tk_cluster_params params;
    struct kept kept;
    char value[512];
    uint64_t most = 0;
    int i;

    (void)state;
    platter_init(&kept.platter);
    params = params_of(&kept.platter);
    params.log_bytes = 4096;
    fx_open(&kept.fx, &params);
    memset(value, 'v', sizeof(value));
    value[sizeof(value) - 1] = '\0';
    for (i = 0; i < 200; i++) {
        uint64_t log;

        put(&kept, i % 2 == 0 ? "even" : "odd", value);
        settle(&kept);
        log = tk_wal_log_bytes(kept.fx.cluster->keeper->wal);
        most = log > most ? log : most;
    }
    assert_true(kept.fx.cluster->keeper->wal->first > 5);
    assert_true(most < 3 * 4096);
    end(&kept);
}

/* ---- beginning ---- */

static void
expect_refusal(struct platter *platter, struct tk_cluster_params *params,
               const char *complaint)
{
    struct tk_cluster *cluster = NULL;
    struct fx_clock clock;
    tikv_error *error;

    fx_clock_init(&clock);
    params->disk = platter_disk(platter);
    params->keeps_by_step = true;
    error = tk_cluster_new(&clock.rt, params, &cluster);
    assert_non_null(error);
    assert_null(cluster);
    if (strstr(tikv_error_message(error), complaint) == NULL) {
        fail_msg("\"%s\" lacks \"%s\"", tikv_error_message(error), complaint);
    }
    tikv_error_free(error);
}

static void
keep__the_directory_decides_what_the_cluster_is(void **state)
{
    struct tk_cluster_params params = { .stores_count = 2 };
    struct kept kept;
    uint64_t id;

    (void)state;
    begin(&kept, 3);
    id = tk_cluster_id(kept.fx.cluster);
    expect_refusal(&kept.platter, &params, "in use by another cluster");
    settle(&kept);
    crash(&kept);
    assert_int_equal(tk_cluster_id(kept.fx.cluster), id);
    assert_int_equal(tk_cluster_stores_count(kept.fx.cluster), 3);
    kept.platter.is_locked = false;
    expect_refusal(&kept.platter, &params, "the number of stores is 3");
    params.stores_count = 3;
    params.api = TIKV_CLUSTER_API_V1TTL;
    expect_refusal(&kept.platter, &params, "the api is 0");
    params.api = 0;
    params.cluster_id = id + 1;
    expect_refusal(&kept.platter, &params, "the cluster's id is");
    end(&kept);
}

static void
keep__a_damaged_directory_is_told(void **state)
{
    struct tk_cluster_params params = { .stores_count = 0 };
    struct kept kept;
    struct platter_file *file;

    (void)state;
    begin(&kept, 1);
    put(&kept, "k", "v");
    settle(&kept);
    kept.platter.is_locked = false;
    file = platter_file(&kept.platter, "checkpoint-0000000000000001");
    file->data[file->len / 2] ^= 1;
    expect_refusal(&kept.platter, &params,
                   "platter/checkpoint-0000000000000001 is damaged at byte");
    end(&kept);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(keep__answers_wait_for_the_disk),
        harness_test(keep__what_was_answered_is_there_after_a_crash),
        harness_test(keep__timestamps_and_ids_never_go_back),
        harness_test(keep__a_start_is_a_restart_of_all_nodes),
        harness_test(keep__a_removed_store_stays_away),
        harness_test(keep__keeps_regions_through_a_storm),
        harness_test(keep__a_full_disk_breaks_calls_and_refuses_writes),
        harness_test(keep__loses_nothing_to_any_single_fault),
        harness_test(keep__every_cut_of_the_log_is_a_moment_of_the_past),
        harness_test(keep__the_log_stays_within_a_few_times_the_data),
        harness_test(keep__the_directory_decides_what_the_cluster_is),
        harness_test(keep__a_damaged_directory_is_told),
    };

    return harness_run(tests);
}
