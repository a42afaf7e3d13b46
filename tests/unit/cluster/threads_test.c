/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster under several threads and real timers: batches, timestamps,
 * faults and topology at once, streams let go with answers on their way.
 * timeout: 60
 */
#include "unit/cluster/fixture.h"

#include <stdatomic.h>

#include "cluster/inner.h"

enum { THREADS = 4, ROUNDS = 300 };

struct run {
    struct tk_runtime *rt;
    struct tk_cluster *cluster;
    struct tk_thread *thread;
    uint64_t number;
    atomic_uint answers;
    atomic_uint ends;
    uint64_t last_ts;
    bool in_order;
};

static void
batch_message(void *arg, tikv_slice bytes)
{
    struct run *run = arg;

    assert_true(bytes.len > 0);
    atomic_fetch_add(&run->answers, 1);
}

static void
tso_message(void *arg, tikv_slice bytes)
{
    struct run *run = arg;
    upb_Arena *arena = upb_Arena_New();
    const pdpb_TsoResponse *answer =
        pdpb_TsoResponse_parse((const char *)bytes.data, bytes.len, arena);
    const pdpb_Timestamp *timestamp = pdpb_TsoResponse_timestamp(answer);
    uint64_t ts = (uint64_t)pdpb_Timestamp_physical(timestamp) << 18 |
                  (uint64_t)pdpb_Timestamp_logical(timestamp);

    if (ts <= run->last_ts) {
        run->in_order = false;
    }
    run->last_ts = ts;
    atomic_fetch_add(&run->answers, 1);
    upb_Arena_Free(arena);
}

static void
on_end(void *arg, int status, const char *message)
{
    struct run *run = arg;

    (void)status;
    (void)message;
    atomic_fetch_add(&run->ends, 1);
}

/* What a client that has just asked would send. */
static void
fill_context(struct run *run, kvrpcpb_Context *context, upb_Arena *arena)
{
    struct tk_cluster *cluster = run->cluster;
    const struct tk_cl_region *region;

    tk_mutex_lock(&cluster->lock);
    region = cluster->regions
                 .sorted[tk_cl_region_place(&cluster->regions,
                                            fx_slice("k"))];
    kvrpcpb_Context_set_region_id(context, region->id);
    metapb_RegionEpoch_set_version(
        kvrpcpb_Context_mutable_region_epoch(context, arena),
        region->version);
    metapb_Peer_set_id(kvrpcpb_Context_mutable_peer(context, arena),
                       tk_cl_peer_on(region, 1)->id);
    metapb_Peer_set_store_id(kvrpcpb_Context_mutable_peer(context, arena), 1);
    tk_mutex_unlock(&cluster->lock);
}

/* Puts for one message of the batch stream. */
static tikv_slice
batch_bytes(struct run *run, upb_Arena *arena, uint64_t round)
{
    tikvpb_BatchCommandsRequest *frame =
        tikvpb_BatchCommandsRequest_new(arena);
    size_t len;
    const char *bytes;

    for (uint64_t i = 0; i < 8; i++) {
        kvrpcpb_RawPutRequest *put =
            tikvpb_BatchCommandsRequest_Request_mutable_RawPut(
                tikvpb_BatchCommandsRequest_add_requests(frame, arena),
                arena);
        kvrpcpb_Context *context =
            kvrpcpb_RawPutRequest_mutable_context(put, arena);

        fill_context(run, context, arena);
        kvrpcpb_RawPutRequest_set_key(put, fx_view("k"));
        kvrpcpb_RawPutRequest_set_value(put, fx_view("v"));
        (void)tikvpb_BatchCommandsRequest_add_request_ids(
            frame, round * 8 + i, arena);
    }
    bytes = tikvpb_BatchCommandsRequest_serialize(frame, arena, &len);
    return tk_slice(bytes, len);
}

static tikv_slice
tso_bytes(struct run *run, upb_Arena *arena)
{
    pdpb_TsoRequest *request = pdpb_TsoRequest_new(arena);
    const char *bytes;
    size_t len;

    pdpb_RequestHeader_set_cluster_id(
        pdpb_TsoRequest_mutable_header(request, arena),
        tk_cluster_id(run->cluster));
    pdpb_TsoRequest_set_count(request, 3);
    bytes = pdpb_TsoRequest_serialize(request, arena, &len);
    return tk_slice(bytes, len);
}

static void
drive(void *arg)
{
    static const struct tk_cluster_stream_events batch_events = {
        batch_message, on_end
    };
    static const struct tk_cluster_stream_events tso_events = { tso_message,
                                                                on_end };
    struct run *run = arg;
    bool is_tso = run->number % 2 == 1;
    struct tk_cluster_stream *stream = NULL;

    for (uint64_t round = 0; round < ROUNDS; round++) {
        upb_Arena *arena = upb_Arena_New();

        if (stream == NULL) {
            stream = tk_cluster_stream_open(
                run->cluster,
                is_tso ? tk_cluster_pd_leader(run->cluster) : fx_store(1),
                is_tso ? "/pdpb.PD/Tso" : "/tikvpb.Tikv/BatchCommands", NULL,
                is_tso ? &tso_events : &batch_events, run);
        }
        tk_cluster_stream_message(stream,
                                  is_tso ? tso_bytes(run, arena)
                                         : batch_bytes(run, arena, round));
        upb_Arena_Free(arena);
        if (round % 16 == 15) {
            tk_cluster_stream_free(stream);
            stream = NULL;
        }
        if (run->number == 0 && round % 20 == 0) {
            tikv_error_free(tk_cluster_split(run->cluster, fx_slice("j")));
            tikv_error_free(tk_cluster_merge(run->cluster, fx_slice("a")));
            tikv_error_free(
                tk_cluster_pd_transfer(run->cluster, round / 20 % 2));
        }
    }
    tk_cluster_stream_free(stream);
}

static void
cluster__stands_many_threads(void **state)
{
    const struct tk_cluster_params params = { .stores_count = 2,
                                              .pds_count = 2 };
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct run runs[THREADS];
    struct tk_cluster *cluster;

    (void)state;
    assert_non_null(rt);
    assert_null(tk_cluster_new(rt, &params, &cluster));
    assert_null(tk_cluster_fault(
        cluster, "on=tikv.RawPut when=prob(0.05) do=delay(0..2)", NULL));
    assert_null(tk_cluster_fault(
        cluster, "on=pd.Tso when=prob(0.02) do=delay(1)", NULL));
    assert_null(tk_cluster_fault(
        cluster, "on=tikv.RawPut when=prob(0.01) do=break_stream", NULL));
    memset(runs, 0, sizeof(runs));
    for (uint64_t i = 0; i < THREADS; i++) {
        runs[i].rt = rt;
        runs[i].cluster = cluster;
        runs[i].number = i;
        runs[i].in_order = true;
        runs[i].thread = rt->ops->spawn(rt, "drive", drive, &runs[i]);
        assert_non_null(runs[i].thread);
    }
    for (size_t i = 0; i < THREADS; i++) {
        rt->ops->join(rt, runs[i].thread);
        assert_true(atomic_load(&runs[i].answers) > 0);
        assert_true(runs[i].in_order);
    }
    assert_int_equal(cluster->engine.cfs[TK_CF_DEFAULT].count, 1);
    tk_cluster_free(cluster);
    tk_runtime_posix_free(rt);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(cluster__stands_many_threads),
    };
    return harness_run(tests);
}
