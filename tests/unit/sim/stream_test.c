/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams in the simulator: a network that breaks them at every place, and
 * regions that are cut under them. What a stream gave is the beginning of the
 * answer, in order and once; what ended well gave all of it.
 */
#include "harness/harness.h"

#include <tikv/tikv.h>

#include "api/client.h"
#include "base/slice.h"
#include "cluster/core.h"
#include "exec/runtime_sim.h"
#include "sim/memory_transport.h"

#include "coprocessor.upb.h"

enum { PAIRS = 0x6d63, ROWS = 20, PAGE = 3, ROUNDS = 40, SEEDS = 20 };

struct scene {
    struct tk_runtime *rt;
    struct tk_cluster *cluster;
    struct tk_transport *transport; /* the client's */
    tikv_client *client;
    tikv_slice message;
    size_t ended_well;
    size_t broken;
};

static void
ok(tikv_error *error)
{
    if (error != NULL) {
        fail_msg("%s", tikv_error_message(error));
    }
}

static void
open_client(struct scene *scene)
{
    tikv_config *config = NULL;
    char address[64];

    assert_true(
        tk_cluster_get_address(scene->cluster, 0, address, sizeof(address)));
    ok(tk_memory_transport_new(scene->rt, scene->cluster, &scene->transport));
    ok(tikv_config_new(&config));
    ok(tikv_config_set(config, "pd.endpoints", address));
    ok(tk_client_open_with(scene->rt, scene->transport, config,
                           &scene->client));
    tikv_config_free(config);
}

static tikv_error *
write_rows(tikv_txn *txn, void *arg)
{
    tikv_error *error = NULL;
    char key[8];
    size_t i;

    (void)arg;
    for (i = 0; i < ROWS && error == NULL; i++) {
        snprintf(key, sizeof(key), "k%02zu", i);
        error = tikv_txn_put(txn, tk_slice_text(key), tk_slice_text("v"));
    }
    return error;
}

static void
encode(struct scene *scene, upb_Arena *arena)
{
    coprocessor_Request *request = coprocessor_Request_new(arena);
    coprocessor_KeyRange *range =
        coprocessor_Request_add_ranges(request, arena);
    uint64_t ts;

    ok(tikv_timestamp(scene->client, NULL, &ts));
    coprocessor_Request_set_tp(request, PAIRS);
    coprocessor_Request_set_start_ts(request, ts);
    coprocessor_Request_set_paging_size(request, PAGE);
    coprocessor_KeyRange_set_start(range, upb_StringView_FromString("k"));
    coprocessor_KeyRange_set_end(range, upb_StringView_FromString("l"));
    scene->message.data = (const uint8_t *)coprocessor_Request_serialize(
        request, arena, &scene->message.len);
}

/* Of each row the length of the key, "kNN", the length of the value, "v". */
static size_t
check_rows(tikv_value *message, size_t from)
{
    enum { ROW = 4 + 3 + 4 + 1 };
    upb_Arena *arena = upb_Arena_New();
    tikv_slice bytes = tikv_value_slice(message);
    coprocessor_Response *response = coprocessor_Response_parse(
        (const char *)bytes.data, bytes.len, arena);
    upb_StringView data;
    size_t i;

    assert_non_null(response);
    data = coprocessor_Response_data(response);
    assert_int_equal(data.size % ROW, 0);
    for (i = 0; i < data.size / ROW; i++) {
        char key[8];

        snprintf(key, sizeof(key), "k%02zu", from + i);
        assert_memory_equal(data.data + i * ROW + 4, key, 3);
    }
    upb_Arena_Free(arena);
    tikv_value_free(message);
    return i;
}

static void
read_one(struct scene *scene)
{
    tikv_stream *stream = NULL;
    tikv_value *message = NULL;
    size_t seen = 0;
    tikv_error *error =
        tikv_stream_open(scene->client, "CoprocessorStream",
                         tk_slice_text("k"), scene->message, NULL, &stream);

    while (error == NULL) {
        error = tikv_stream_next(stream, TIKV_FOREVER, &message);
        if (error == NULL && message == NULL) {
            break;
        }
        seen += message == NULL ? 0 : check_rows(message, seen);
    }
    if (error == NULL) {
        assert_int_equal(seen, ROWS);
        scene->ended_well++;
    } else {
        assert_int_equal(tikv_error_code(error), TIKV_ERR_UNAVAILABLE);
        assert_in_range(seen, 0, ROWS);
        scene->broken++;
    }
    tikv_error_free(error);
    tikv_stream_free(stream);
}

static void
scene_main(void *arg)
{
    const struct tk_memory_policy flaky = { .delay_min_ns = 20000,
                                            .delay_max_ns = 2000000,
                                            .break_stream = 30000 };
    const struct tk_memory_policy calm = { .delay_min_ns = 20000,
                                           .delay_max_ns = 200000 };
    const struct tk_cluster_params params = { .stores_count = 1,
                                              .pds_count = 1,
                                              .regions_count = 1 };
    struct scene *scene = arg;
    upb_Arena *arena = upb_Arena_New();
    tikv_stream *left = NULL;
    tikv_value *message;
    tikv_error *error;
    size_t i;

    ok(tk_cluster_new(scene->rt, &params, &scene->cluster));
    open_client(scene);
    ok(tikv_txn_run(scene->client, NULL, write_rows, NULL, NULL));
    encode(scene, arena);
    tk_memory_transport_set(scene->transport, &flaky);
    for (i = 0; i < ROUNDS; i++) {
        read_one(scene);
    }
    tk_memory_transport_set(scene->transport, &calm);
    read_one(scene);
    ok(tikv_stream_open(scene->client, "CoprocessorStream",
                        tk_slice_text("k"), scene->message, NULL, &left));
    tikv_client_close(scene->client);
    error = tikv_stream_next(left, TIKV_FOREVER, &message);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_CLOSED);
    tikv_error_free(error);
    tikv_stream_free(left);
    tk_cluster_free(scene->cluster);
    upb_Arena_Free(arena);
}

/* The trace hash. */
static uint64_t
run_seed(uint64_t seed, struct scene *scene)
{
    uint64_t hash;

    scene->rt = tk_runtime_sim_new(seed);
    assert_non_null(scene->rt);
    if (!tk_runtime_sim_run(scene->rt, scene_main, scene, 20000000)) {
        fail_msg("seed %llu: %s", (unsigned long long)seed,
                 tk_runtime_sim_report(scene->rt));
    }
    hash = tk_runtime_sim_hash(scene->rt);
    tk_runtime_sim_free(scene->rt);
    return hash;
}

static void
stream__gives_a_beginning_or_all_of_it(void **state)
{
    struct scene scene = { 0 };
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= SEEDS; seed++) {
        uint64_t hash = run_seed(seed, &scene);

        if (seed == 1) {
            struct scene again = { 0 };

            assert_int_equal(run_seed(seed, &again), hash);
        }
    }
    /* Both were seen, or this says little. */
    assert_true(scene.ended_well > SEEDS && scene.broken > SEEDS);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(stream__gives_a_beginning_or_all_of_it),
    };

    return harness_run(tests);
}
