/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Region checks, each row alone with its fields and the order between rows,
 * and what splits and merges do to epochs (RG01 to RG08).
 */
#include "unit/cluster/fixture.h"

#include "cluster/inner.h"
#include "wire/key.h"

static const struct tk_cluster_params three = { .stores_count = 3,
                                                .pds_count = 1 };

static struct tk_cl_region *
inner_region(struct fx *fx, const char *key)
{
    return tk_cl_region_by_id(&fx->cluster->regions,
                              tk_cluster_region_of(fx->cluster,
                                                   fx_slice(key)));
}

static void
check__names_the_right_store(void **state)
{
    kvrpcpb_Context *context;
    const errorpb_StoreNotMatch *error;
    struct fx fx;

    (void)state;
    fx_open(&fx, &three);
    context = fx_context(&fx, "a");
    error = errorpb_Error_store_not_match(
        fx_get_error(&fx, context, fx_store(2), "a"));
    assert_non_null(error);
    assert_int_equal(errorpb_StoreNotMatch_request_store_id(error), 1);
    assert_int_equal(errorpb_StoreNotMatch_actual_store_id(error), 2);
    fx_close(&fx);
}

static void
check__names_the_missing_region(void **state)
{
    kvrpcpb_Context *context;
    const errorpb_RegionNotFound *error;
    struct fx fx;

    (void)state;
    fx_open(&fx, &three);
    context = fx_context(&fx, "a");
    kvrpcpb_Context_set_region_id(context, 999);
    error = errorpb_Error_region_not_found(
        fx_get_error(&fx, context, fx_node_of(context), "a"));
    assert_non_null(error);
    assert_int_equal(errorpb_RegionNotFound_region_id(error), 999);
    fx_close(&fx);
}

static metapb_Peer *
peer_of(struct fx *fx, kvrpcpb_Context *context)
{
    return kvrpcpb_Context_mutable_peer(context, fx->arena);
}

/* The context turned to the peer on another store. */
static kvrpcpb_Context *
context_on(struct fx *fx, const char *key, uint64_t store_id)
{
    kvrpcpb_Context *context = fx_context(fx, key);
    const struct tk_cl_peer *peer =
        tk_cl_peer_on(inner_region(fx, key), store_id);

    metapb_Peer_set_id(peer_of(fx, context), peer->id);
    metapb_Peer_set_store_id(peer_of(fx, context), store_id);
    return context;
}

static void
check__names_both_peer_ids(void **state)
{
    kvrpcpb_Context *context;
    const errorpb_MismatchPeerId *error;
    struct fx fx;

    (void)state;
    fx_open(&fx, &three);
    context = fx_context(&fx, "a");
    metapb_Peer_set_id(peer_of(&fx, context), 77);
    error = errorpb_Error_mismatch_peer_id(
        fx_get_error(&fx, context, fx_node_of(context), "a"));
    assert_non_null(error);
    assert_int_equal(errorpb_MismatchPeerId_request_peer_id(error), 77);
    assert_int_equal(errorpb_MismatchPeerId_store_peer_id(error),
                     inner_region(&fx, "a")->leader);
    fx_close(&fx);
}

static void
check__leads_to_the_leader(void **state)
{
    kvrpcpb_Context *context;
    const errorpb_NotLeader *error;
    struct fx fx;

    (void)state;
    fx_open(&fx, &three);
    context = context_on(&fx, "a", 2);
    error = errorpb_Error_not_leader(
        fx_get_error(&fx, context, fx_store(2), "a"));
    assert_non_null(error);
    assert_int_equal(errorpb_NotLeader_region_id(error),
                     kvrpcpb_Context_region_id(context));
    assert_int_equal(metapb_Peer_store_id(errorpb_NotLeader_leader(error)),
                     1);
    assert_null(tk_cluster_transfer_leader(
        fx.cluster, kvrpcpb_Context_region_id(context), 0));
    assert_int_equal(tk_cluster_leader_of(fx.cluster,
                                          kvrpcpb_Context_region_id(context)),
                     0);
    error = errorpb_Error_not_leader(
        fx_get_error(&fx, context, fx_store(2), "a"));
    assert_non_null(error);
    assert_null(errorpb_NotLeader_leader(error));
    assert_null(tk_cluster_transfer_leader(
        fx.cluster, kvrpcpb_Context_region_id(context), 2));
    assert_null(fx_get_error(&fx, context, fx_store(2), "a"));
    fx_close(&fx);
}

static void
check__knows_states_of_a_peer(void **state)
{
    struct tk_cl_region *region;
    kvrpcpb_Context *context;
    const errorpb_Error *error;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    context = fx_context(&fx, "a");
    region = inner_region(&fx, "a");
    region->is_recovering = true;
    error = fx_get_error(&fx, context, fx_store(1), "a");
    assert_int_equal(
        errorpb_RecoveryInProgress_region_id(
            errorpb_Error_RecoveryInProgress(error)),
        region->id);
    region->is_recovering = false;
    region->peers[0].is_witness = true;
    error = fx_get_error(&fx, context, fx_store(1), "a");
    assert_int_equal(
        errorpb_IsWitness_region_id(errorpb_Error_is_witness(error)),
        region->id);
    region->peers[0].is_witness = false;
    region->peers[0].state = TK_CL_PEER_UNINITIALIZED;
    error = fx_get_error(&fx, context, fx_store(1), "a");
    assert_int_equal(errorpb_RegionNotInitialized_region_id(
                         errorpb_Error_region_not_initialized(error)),
                     region->id);
    region->peers[0].state = TK_CL_PEER_SNAPSHOT;
    error = fx_get_error(&fx, context, fx_store(1), "a");
    assert_non_null(error);
    assert_null(errorpb_Error_region_not_initialized(error));
    fx_close(&fx);
}

static void
check__knows_states_of_a_region(void **state)
{
    struct tk_cl_region *region;
    kvrpcpb_Context *context;
    const errorpb_Error *error;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    context = fx_context(&fx, "a");
    region = inner_region(&fx, "a");
    kvrpcpb_Context_set_term(context, region->term - 2);
    assert_non_null(errorpb_Error_stale_command(
        fx_get_error(&fx, context, fx_store(1), "a")));
    kvrpcpb_Context_set_term(context, region->term - 1);
    assert_null(fx_get_error(&fx, context, fx_store(1), "a"));
    region->in_flashback = true;
    region->flashback_ts = 42;
    error = fx_get_error(&fx, context, fx_store(1), "a");
    assert_int_equal(errorpb_FlashbackInProgress_flashback_start_ts(
                         errorpb_Error_FlashbackInProgress(error)),
                     42);
    region->in_flashback = false;
    region->is_merging = true;
    assert_null(fx_get_error(&fx, context, fx_store(1), "a"));
    error = kvrpcpb_RawPutResponse_region_error(
        fx_put_at(&fx, context, "a", "1", 0));
    assert_int_equal(errorpb_ProposalInMergingMode_region_id(
                         errorpb_Error_proposal_in_merging_mode(error)),
                     region->id);
    kvrpcpb_Context_set_replica_read(context, true);
    assert_non_null(errorpb_Error_read_index_not_ready(
        fx_get_error(&fx, context, fx_store(1), "a")));
    region->is_merging = false;
    fx_expect(&fx, "a", NULL);
    kvrpcpb_Context_clear_region_epoch(context);
    error = fx_get_error(&fx, context, fx_store(1), "a");
    assert_non_null(error);
    assert_null(errorpb_Error_epoch_not_match(error));
    fx_close(&fx);
}

static void
check__gives_the_range_with_a_stray_key(void **state)
{
    kvrpcpb_Context *context;
    const errorpb_KeyNotInRegion *error;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    fx_split(&fx, "b");
    fx_split(&fx, "d");
    context = fx_context(&fx, "c");
    error = errorpb_Error_key_not_in_region(
        fx_get_error(&fx, context, fx_store(1), "x"));
    assert_non_null(error);
    fx_assert_view(errorpb_KeyNotInRegion_key(error), "x");
    fx_assert_view(errorpb_KeyNotInRegion_start_key(error), "b");
    fx_assert_view(errorpb_KeyNotInRegion_end_key(error), "d");
    assert_int_equal(errorpb_KeyNotInRegion_region_id(error),
                     kvrpcpb_Context_region_id(context));
    assert_non_null(fx_get_error(&fx, context, fx_store(1), "d"));
    assert_null(fx_get_error(&fx, context, fx_store(1), "b"));
    fx_close(&fx);
}

static void
check__refuses_large_writes(void **state)
{
    kvrpcpb_RawPutRequest *request;
    kvrpcpb_Context *context;
    const errorpb_Error *error;
    size_t size = 9 * 1024 * 1024;
    char *value;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    value = upb_Arena_Malloc(fx.arena, size);
    memset(value, 'v', size);
    request = kvrpcpb_RawPutRequest_new(fx.arena);
    context = fx_context(&fx, "a");
    kvrpcpb_RawPutRequest_set_context(request, context);
    kvrpcpb_RawPutRequest_set_key(request, fx_view("a"));
    kvrpcpb_RawPutRequest_set_value(
        request, upb_StringView_FromDataAndSize(value, size));
    FX_CALL(&fx, fx_store(1), "/tikvpb.Tikv/RawPut", kvrpcpb, RawPutRequest,
            request);
    error = kvrpcpb_RawPutResponse_region_error(
        FX_PARSE(&fx, kvrpcpb, RawPutResponse));
    assert_non_null(errorpb_Error_raft_entry_too_large(error));
    assert_true(errorpb_RaftEntryTooLarge_entry_size(
                    errorpb_Error_raft_entry_too_large(error)) > size);
    fx_expect(&fx, "a", NULL);
    fx_close(&fx);
}

static void
check__has_an_order(void **state)
{
    kvrpcpb_Context *context;
    struct tk_cl_region *region;
    metapb_RegionEpoch *epoch;
    const errorpb_Error *error;
    struct fx fx;

    (void)state;
    fx_open(&fx, &three);
    context = fx_context(&fx, "a");
    epoch = kvrpcpb_Context_mutable_region_epoch(context, fx.arena);
    metapb_RegionEpoch_set_version(epoch, 100);
    /* The wrong store beats the wrong epoch. */
    assert_non_null(errorpb_Error_store_not_match(
        fx_get_error(&fx, context, fx_store(2), "a")));
    /* Not the leader beats a wrong epoch. */
    context = context_on(&fx, "a", 2);
    epoch = kvrpcpb_Context_mutable_region_epoch(context, fx.arena);
    metapb_RegionEpoch_set_version(epoch, 100);
    assert_non_null(errorpb_Error_not_leader(
        fx_get_error(&fx, context, fx_store(2), "a")));
    /* A witness says so to a read of its epoch, not to others. */
    region = inner_region(&fx, "a");
    tk_cl_peer_on(region, 2)->is_witness = true;
    assert_non_null(errorpb_Error_not_leader(
        fx_get_error(&fx, context, fx_store(2), "a")));
    context = context_on(&fx, "a", 2);
    assert_non_null(errorpb_Error_is_witness(
        fx_get_error(&fx, context, fx_store(2), "a")));
    error = kvrpcpb_RawPutResponse_region_error(
        fx_put_at(&fx, context, "a", "1", 0));
    assert_non_null(errorpb_Error_not_leader(error));
    /* The epoch beats the key. */
    context = fx_context(&fx, "a");
    fx_split(&fx, "m");
    assert_non_null(errorpb_Error_epoch_not_match(
        fx_get_error(&fx, context, fx_store(1), "z")));
    fx_close(&fx);
}

static void
check__lets_replicas_read(void **state)
{
    kvrpcpb_Context *context;
    const errorpb_NotLeader *error;
    struct fx fx;

    (void)state;
    fx_open(&fx, &three);
    fx_put(&fx, "a", "1");
    context = context_on(&fx, "a", 3);
    kvrpcpb_Context_set_replica_read(context, true);
    assert_null(fx_get_error(&fx, context, fx_store(3), "a"));
    assert_non_null(kvrpcpb_RawPutResponse_region_error(
        fx_put_at(&fx, context, "a", "2", 0)));
    assert_null(tk_cluster_transfer_leader(
        fx.cluster, kvrpcpb_Context_region_id(context), 0));
    error = errorpb_Error_not_leader(
        fx_get_error(&fx, context, fx_store(3), "a"));
    assert_non_null(error);
    assert_null(errorpb_NotLeader_leader(error));
    fx_close(&fx);
}

static void
check__compares_the_load(void **state)
{
    kvrpcpb_Context *context;
    const errorpb_ServerIsBusy *busy;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    context = fx_context(&fx, "a");
    fx.cluster->stores[0].wait_ms = 50;
    kvrpcpb_Context_set_busy_threshold_ms(context, 50);
    assert_null(fx_get_error(&fx, context, fx_store(1), "a"));
    kvrpcpb_Context_set_busy_threshold_ms(context, 49);
    /* Before the region is looked at. */
    kvrpcpb_Context_set_region_id(context, 999);
    busy = errorpb_Error_server_is_busy(
        fx_get_error(&fx, context, fx_store(1), "a"));
    assert_non_null(busy);
    assert_int_equal(errorpb_ServerIsBusy_estimated_wait_ms(busy), 50);
    /* Writes are not concerned. */
    assert_null(errorpb_Error_server_is_busy(
        kvrpcpb_RawPutResponse_region_error(
            fx_put_at(&fx, context, "a", "1", 0))));
    fx_close(&fx);
}

static const kvrpcpb_SplitRegionResponse *
split_keys(struct fx *fx, kvrpcpb_Context *context, const char *const *keys,
           bool is_raw)
{
    kvrpcpb_SplitRegionRequest *request =
        kvrpcpb_SplitRegionRequest_new(fx->arena);

    kvrpcpb_SplitRegionRequest_set_context(request, context);
    kvrpcpb_SplitRegionRequest_set_is_raw_kv(request, is_raw);
    for (; *keys != NULL; keys++) {
        (void)kvrpcpb_SplitRegionRequest_add_split_keys(
            request, fx_view(*keys), fx->arena);
    }
    FX_CALL(fx, fx_node_of(context), "/tikvpb.Tikv/SplitRegion", kvrpcpb,
            SplitRegionRequest, request);
    assert_int_equal(fx->status, TK_GRPC_OK);
    return FX_PARSE(fx, kvrpcpb, SplitRegionResponse);
}

static const kvrpcpb_SplitRegionResponse *
split(struct fx *fx, kvrpcpb_Context *context, const char *const *keys)
{
    return split_keys(fx, context, keys, true);
}

/* Regions are bounded by them as they lie in the engine. */
static void
split__encodes_the_keys_of_transactions(void **state)
{
    const char *const keys[] = { "abcdefghi", "b", NULL };
    const kvrpcpb_SplitRegionResponse *answer;
    const metapb_Region *const *regions;
    upb_StringView bound;
    size_t count = 0;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    answer = split_keys(&fx, fx_context(&fx, "a"), keys, false);
    regions = kvrpcpb_SplitRegionResponse_regions(answer, &count);
    assert_int_equal(count, 3);
    bound = metapb_Region_end_key(regions[0]);
    assert_int_equal(bound.size, 18);
    assert_memory_equal(bound.data, "abcdefgh\xffi\0\0\0\0\0\0\0\xf8", 18);
    bound = metapb_Region_end_key(regions[1]);
    assert_int_equal(bound.size, 9);
    assert_memory_equal(bound.data, "b\0\0\0\0\0\0\0\xf8", 9);
    /* There is nothing left to do, which is an error. */
    answer = split_keys(&fx, fx_context(&fx, "c"), keys + 1, false);
    assert_non_null(kvrpcpb_SplitRegionResponse_region_error(answer));
    fx_close(&fx);
}

static void
split__leaves_the_right_end_to_the_old_id(void **state)
{
    const char *const keys[] = { "m", "g", NULL };
    const kvrpcpb_SplitRegionResponse *answer;
    const metapb_Region *const *regions;
    const errorpb_Error *error;
    kvrpcpb_Context *old;
    size_t count = 0;
    struct fx fx;

    (void)state;
    fx_open(&fx, &three);
    old = fx_context(&fx, "a");
    answer = split(&fx, fx_context(&fx, "a"), keys);
    regions = kvrpcpb_SplitRegionResponse_regions(answer, &count);
    assert_int_equal(count, 3);
    assert_false(kvrpcpb_SplitRegionResponse_has_left(answer));
    for (size_t i = 0; i < count; i++) {
        const metapb_RegionEpoch *epoch =
            metapb_Region_region_epoch(regions[i]);
        size_t peers = 0;

        assert_int_equal(metapb_RegionEpoch_version(epoch), 3);
        assert_int_equal(metapb_RegionEpoch_conf_ver(epoch), 3);
        (void)metapb_Region_peers(regions[i], &peers);
        assert_int_equal(peers, 3);
        assert_int_equal(tk_cluster_leader_of(fx.cluster,
                                              metapb_Region_id(regions[i])),
                         1);
    }
    fx_assert_view(metapb_Region_start_key(regions[0]), "");
    fx_assert_view(metapb_Region_end_key(regions[0]), "g");
    fx_assert_view(metapb_Region_start_key(regions[1]), "g");
    fx_assert_view(metapb_Region_end_key(regions[1]), "m");
    fx_assert_view(metapb_Region_start_key(regions[2]), "m");
    fx_assert_view(metapb_Region_end_key(regions[2]), "");
    assert_int_equal(metapb_Region_id(regions[2]),
                     kvrpcpb_Context_region_id(old));
    /* An older client is told of the pieces to the left. */
    error = fx_get_error(&fx, old, fx_store(1), "a");
    regions = errorpb_EpochNotMatch_current_regions(
        errorpb_Error_epoch_not_match(error), &count);
    assert_int_equal(count, 3);
    fx_assert_view(metapb_Region_start_key(regions[0]), "m");
    fx_assert_view(metapb_Region_start_key(regions[1]), "g");
    fx_assert_view(metapb_Region_start_key(regions[2]), "");
    fx_close(&fx);
}

static void
check__compares_versions_alone(void **state)
{
    const errorpb_Error *error;
    kvrpcpb_Context *newer;
    size_t count = 0;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    fx_split(&fx, "g");
    /* A newer one only of the region. */
    newer = fx_context(&fx, "z");
    metapb_RegionEpoch_set_version(
        kvrpcpb_Context_mutable_region_epoch(newer, fx.arena), 9);
    error = fx_get_error(&fx, newer, fx_store(1), "z");
    (void)errorpb_EpochNotMatch_current_regions(
        errorpb_Error_epoch_not_match(error), &count);
    assert_int_equal(count, 1);
    /* The number of the configuration does not matter to requests. */
    newer = fx_context(&fx, "z");
    metapb_RegionEpoch_set_conf_ver(
        kvrpcpb_Context_mutable_region_epoch(newer, fx.arena), 1);
    assert_null(fx_get_error(&fx, newer, fx_store(1), "z"));
    fx_close(&fx);
}

static void
split__takes_only_keys_inside(void **state)
{
    const char *const at_start[] = { "b", NULL };
    const char *const outside[] = { "c", "x", NULL };
    const char *const none[] = { NULL };
    const char *const twice[] = { "c", "c", "b", NULL };
    const kvrpcpb_SplitRegionResponse *answer;
    size_t count = 0;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    fx_split(&fx, "b");
    fx_split(&fx, "d");
    fx_split(&fx, "d");
    assert_int_equal(tk_cluster_regions_count(fx.cluster), 3);
    answer = split(&fx, fx_context(&fx, "b"), at_start);
    assert_true(kvrpcpb_SplitRegionResponse_has_region_error(answer));
    answer = split(&fx, fx_context(&fx, "b"), none);
    assert_true(kvrpcpb_SplitRegionResponse_has_region_error(answer));
    answer = split(&fx, fx_context(&fx, "b"), outside);
    assert_non_null(errorpb_Error_key_not_in_region(
        kvrpcpb_SplitRegionResponse_region_error(answer)));
    assert_int_equal(tk_cluster_regions_count(fx.cluster), 3);
    answer = split(&fx, fx_context(&fx, "b"), twice);
    (void)kvrpcpb_SplitRegionResponse_regions(answer, &count);
    assert_int_equal(count, 2);
    assert_true(kvrpcpb_SplitRegionResponse_has_left(answer));
    fx_assert_view(metapb_Region_start_key(
                       kvrpcpb_SplitRegionResponse_right(answer)),
                   "c");
    fx_close(&fx);
}

static void
merge__keeps_the_right_neighbour(void **state)
{
    kvrpcpb_Context *source;
    kvrpcpb_Context *target;
    struct tk_cl_region *region;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    fx_split(&fx, "b"); /* versions 2 */
    fx_split(&fx, "d"); /* [b, d) and [d, ) have 3 */
    fx_put(&fx, "a", "1");
    fx_put(&fx, "c", "3");
    source = fx_context(&fx, "a");
    target = fx_context(&fx, "c");
    assert_null(tk_cluster_merge(fx.cluster, fx_slice("a")));
    assert_int_equal(tk_cluster_regions_count(fx.cluster), 2);
    assert_non_null(errorpb_Error_region_not_found(
        fx_get_error(&fx, source, fx_store(1), "a")));
    assert_non_null(errorpb_Error_epoch_not_match(
        fx_get_error(&fx, target, fx_store(1), "c")));
    region = inner_region(&fx, "a");
    assert_int_equal(region->id, kvrpcpb_Context_region_id(target));
    assert_int_equal(region->version, 4); /* max(2 + 1, 3) + 1 */
    fx_expect(&fx, "a", "1");
    fx_expect(&fx, "c", "3");
    /* The last one has nobody to its right. */
    {
        tikv_error *error = tk_cluster_merge(fx.cluster, fx_slice("z"));

        assert_int_equal(tikv_error_code(error), TIKV_ERR_ARGUMENT);
        tikv_error_free(error);
    }
    fx_close(&fx);
}

static void
split_and_merge__change_nothing_of_the_data(void **state)
{
    char key[24];
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    for (int i = 0; i < 50; i++) {
        (void)snprintf(key, sizeof(key), "k%02d", i);
        fx_put(&fx, key, key);
    }
    for (int i = 49; i >= 0; i -= 3) {
        (void)snprintf(key, sizeof(key), "k%02d", i);
        fx_split(&fx, key);
    }
    while (tk_cluster_regions_count(fx.cluster) > 1) {
        for (int i = 0; i < 50; i += 7) {
            (void)snprintf(key, sizeof(key), "k%02d", i);
            fx_expect(&fx, key, key);
        }
        assert_null(tk_cluster_merge(fx.cluster, fx_slice("k")));
    }
    fx_close(&fx);
}

/* Bounds are encoded keys: transactional clients decode them. */
static void
regions__start_split_evenly(void **state)
{
    static const uint32_t counts[] = { 4, 256, 300 };
    struct tk_cluster_params params = { .stores_count = 3 };
    struct tk_buf start;
    struct tk_buf key;
    uint64_t id;
    struct fx fx;

    (void)state;
    tk_buf_init(&start, 100);
    tk_buf_init(&key, 100);
    for (size_t n = 0; n < 3; n++) {
        uint32_t count = counts[n];
        uint32_t space = count > 256 ? 65536 : 256;

        params.regions_count = count;
        fx_open(&fx, &params);
        assert_int_equal(tk_cluster_regions_count(fx.cluster), count);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t place = (uint32_t)((uint64_t)i * space / count);
            tikv_slice rest;

            assert_true(tk_cluster_region_at(fx.cluster, i, &id, &start));
            assert_int_equal(tk_cluster_leader_of(fx.cluster, id), i % 3 + 1);
            tk_buf_clear(&key);
            if (i == 0) {
                assert_int_equal(start.len, 0);
                continue;
            }
            assert_true(tk_key_decode(&key, tk_buf_slice(&start), &rest));
            assert_int_equal(rest.len, 0);
            assert_true(key.len == 1 || (space == 65536 && key.len == 2));
            assert_int_equal(space == 256 ? key.data[0]
                                          : key.data[0] << 8 |
                                                (key.len == 2 ? key.data[1]
                                                              : 0),
                             place);
        }
        assert_false(tk_cluster_region_at(fx.cluster, count, &id, &start));
        fx_put(&fx, "a", "1");
        fx_expect(&fx, "a", "1");
        fx_close(&fx);
    }
    tk_buf_fini(&key);
    tk_buf_fini(&start);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(check__names_the_right_store),
        harness_test(check__names_the_missing_region),
        harness_test(check__names_both_peer_ids),
        harness_test(check__leads_to_the_leader),
        harness_test(check__knows_states_of_a_peer),
        harness_test(check__knows_states_of_a_region),
        harness_test(check__gives_the_range_with_a_stray_key),
        harness_test(check__refuses_large_writes),
        harness_test(check__has_an_order),
        harness_test(check__lets_replicas_read),
        harness_test(check__compares_the_load),
        harness_test(split__leaves_the_right_end_to_the_old_id),
        harness_test(split__encodes_the_keys_of_transactions),
        harness_test(check__compares_versions_alone),
        harness_test(split__takes_only_keys_inside),
        harness_test(merge__keeps_the_right_neighbour),
        harness_test(split_and_merge__change_nothing_of_the_data),
        harness_test(regions__start_split_evenly),
    };
    return harness_run(tests);
}
