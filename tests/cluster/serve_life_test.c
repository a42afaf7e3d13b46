/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lives of an embedded cluster and of its nodes: stores that stop, come
 * back, move and trade places under running clients, and clean ends.
 */
#include "harness/harness.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include <tikv/cluster.h>

#include "base/alloc.h"
#include "fixture/served.h"

/* ---- stores that go and come back ---- */

static void
serve__breaks_connections_when_a_store_stops(void **state)
{
    tikv_cluster *cluster = served_start(2, 1);
    uint16_t port = served_port(served_address(cluster, 1));
    struct grpc_client_stream stream;
    struct grpc_client client;
    struct tk_buf message;
    int status;

    (void)state;
    tk_buf_init(&message, MAX_BYTES);
    grpc_client_open(&client, served_address(cluster, 1));
    grpc_client_stream_open(&stream, &client, BATCH, LONG_MS);
    served_empty_command(&message, 1, 0);
    assert_true(grpc_client_stream_send(&stream, &message));
    assert_true(grpc_client_stream_receive(&stream, &message));

    assert_null(tikv_cluster_store_stop(cluster, 1));
    assert_true(served_refuses(port));
    assert_false(grpc_client_stream_receive(&stream, &message));
    status = grpc_client_stream_end(&stream, false);
    assert_int_equal(status, STATUS_GONE);

    assert_null(tikv_cluster_store_start(cluster, 1, false));
    assert_int_equal(served_port(served_address(cluster, 1)), port);
    assert_int_equal(served_health(served_address(cluster, 1), LONG_MS),
                     STATUS_OK);
    tk_buf_clear(&message);
    /* The client that was cut off finds the way back by itself. */
    assert_int_equal(
        grpc_client_unary(&client, HEALTH, &message, LONG_MS, NULL), STATUS_OK);
    grpc_client_close(&client);
    tk_buf_fini(&message);
    tikv_cluster_free(cluster);
}

static void
serve__restarts_a_store_on_another_port(void **state)
{
    tikv_cluster *cluster = served_start(2, 1);
    uint16_t port = served_port(served_address(cluster, 2));
    int i;

    (void)state;
    for (i = 0; i < 5; i++) {
        uint16_t old = served_port(served_address(cluster, 2));

        assert_null(tikv_cluster_store_stop(cluster, 2));
        assert_null(tikv_cluster_store_start(cluster, 2, true));
        assert_int_not_equal(served_port(served_address(cluster, 2)), old);
        assert_true(served_refuses(old));
        assert_int_equal(served_health(served_address(cluster, 2), LONG_MS),
                         STATUS_OK);
    }
    assert_int_not_equal(served_port(served_address(cluster, 2)), port);
    assert_null(tikv_cluster_store_stop(cluster, 2));
    assert_null(tikv_cluster_store_stop(cluster, 2));
    assert_true(served_refuses(served_port(served_address(cluster, 2))));
    tikv_cluster_free(cluster);
}

/* Whether the store at the address takes itself for `store`: with its own id
 * a request fails for its region, with another one for the store. */
static bool
is_store(const char *address, uint64_t store)
{
    struct grpc_client client;
    struct tk_buf peer, context, request, out;
    bool found;

    tk_buf_init(&peer, MAX_BYTES);
    tk_buf_init(&context, MAX_BYTES);
    tk_buf_init(&request, MAX_BYTES);
    tk_buf_init(&out, MAX_BYTES);
    served_number(&peer, 2, store);
    served_number(&context, 1, 999999);
    served_field(&context, 3, tk_buf_slice(&peer));
    served_field(&request, 1, tk_buf_slice(&context));
    grpc_client_open(&client, address);
    assert_int_equal(grpc_client_unary(&client, "/tikvpb.Tikv/RawGet", &request,
                                       LONG_MS, &out),
                     STATUS_OK);
    tk_buf_append(&out, "", 1);
    found = memmem(out.data, out.len, "store", 5) == NULL;
    grpc_client_close(&client);
    tk_buf_fini(&peer);
    tk_buf_fini(&context);
    tk_buf_fini(&request);
    tk_buf_fini(&out);
    return found;
}

static void
serve__swaps_the_addresses_of_two_stores(void **state)
{
    tikv_cluster *cluster = served_start(3, 1);
    uint16_t one = served_port(served_address(cluster, 1));
    uint16_t two = served_port(served_address(cluster, 2));

    (void)state;
    assert_true(is_store(served_address(cluster, 1), 1));
    assert_false(is_store(served_address(cluster, 1), 2));
    assert_null(tikv_cluster_store_swap(cluster, 1, 2));
    assert_int_equal(served_port(served_address(cluster, 1)), two);
    assert_int_equal(served_port(served_address(cluster, 2)), one);
    assert_true(is_store(served_address(cluster, 1), 1));
    assert_false(is_store(served_address(cluster, 2), 1));
    assert_true(is_store(served_address(cluster, 2), 2));
    tikv_cluster_free(cluster);
}

static void
serve__stops_and_starts_pd_members(void **state)
{
    tikv_cluster *cluster = served_start(1, 3);
    char first[64];

    (void)state;
    snprintf(first, sizeof(first), "%s", tikv_cluster_endpoints(cluster));
    *strchr(first, ',') = '\0';
    assert_null(tikv_cluster_pd_stop(cluster, 0));
    assert_true(served_refuses(served_port(first)));
    assert_int_not_equal(tikv_cluster_pd_leader(cluster), 0);
    assert_null(tikv_cluster_pd_start(cluster, 0));
    assert_int_equal(served_health(first, LONG_MS), STATUS_OK);
    tikv_cluster_free(cluster);
}

/* ---- ends ---- */

static int
entries(const char *path)
{
    DIR *dir = opendir(path);
    int count = 0;

    assert_non_null(dir);

    while (readdir(dir) != NULL) {
        count++;
    }
    closedir(dir);
    return count;
}

/* One that keeps its state: always the same one. */
static tikv_cluster *
start_kept(const char *directory)
{
    tikv_cluster_options options = TIKV_CLUSTER_OPTIONS_INIT;
    tikv_cluster *cluster = NULL;

    options.stores_count = 3;
    options.data_dir = directory;
    assert_null(tikv_cluster_start(&options, &cluster));
    return cluster;
}

static void
remove_kept(const char *directory)
{
    DIR *dir = opendir(directory);
    struct dirent *entry;

    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.') {
            assert_int_equal(unlinkat(dirfd(dir), entry->d_name, 0), 0);
        }
    }
    closedir(dir);
    assert_int_equal(rmdir(directory), 0);
}

/* A hundred times, or TK_LIVES: no block, descriptor or thread stays. */
static void
serve__starts_and_stops_without_a_trace(void **state)
{
    const char *text = getenv("TK_LIVES");
    int lives = text == NULL ? 100 : (int)strtol(text, NULL, 10);
    char directory[] = "/tmp/tikv-lives-XXXXXX";
    struct grpc_client client;
    struct tk_buf nothing;
    int patience = 1000000;
    int64_t blocks;
    int descriptors;
    int threads;
    int i;

    (void)state;
    assert_non_null(mkdtemp(directory));
    tk_buf_init(&nothing, MAX_BYTES);
    tikv_cluster_free(served_start(3, 3));
    blocks = tk_alloc_live();
    descriptors = entries("/proc/self/fd");
    threads = entries("/proc/self/task");
    for (i = 0; i < lives; i++) {
        tikv_cluster *cluster = i % 5 == 1
                                    ? start_kept(directory)
                                    : served_start(3, i % 3 == 0 ? 3 : 1);

        if (i % 4 == 0) {
            grpc_client_open(&client, served_address(cluster, 2));
            assert_int_equal(
                grpc_client_unary(&client, HEALTH, &nothing, LONG_MS, NULL),
                STATUS_OK);
            tikv_cluster_free(cluster);
            grpc_client_close(&client);
        } else {
            tikv_cluster_free(cluster);
        }
        assert_int_equal(tk_alloc_live(), blocks);
    }
    assert_int_equal(entries("/proc/self/fd"), descriptors);
    /* Threads of gRPC itself are let go, not joined. */
    while (entries("/proc/self/task") > threads && patience-- > 0) {
        sched_yield();
    }
    assert_true(entries("/proc/self/task") <= threads);
    remove_kept(directory);
}

static void
serve__ends_under_calls_in_flight(void **state)
{
    tikv_cluster *cluster = served_start(1, 1);
    struct grpc_client_stream streams[16];
    struct grpc_client client;
    struct tk_buf message;
    int i;

    (void)state;
    tk_buf_init(&message, MAX_BYTES);
    assert_null(
        tikv_cluster_fault(cluster, "on=tikv.RawGet do=delay(100000)", NULL));
    grpc_client_open(&client, served_address(cluster, 1));
    for (i = 0; i < 16; i++) {
        bool unary = i % 2 == 0;

        grpc_client_stream_open(&streams[i], &client,
                                unary ? "/tikvpb.Tikv/RawGet" : BATCH, LONG_MS);
        served_empty_command(&message, 1, 100000);
        if (unary) {
            tk_buf_clear(&message);
        }
        assert_true(grpc_client_stream_send(&streams[i], &message));
        if (unary) {
            grpc_client_stream_half_close(&streams[i]);
        }
    }
    while (tikv_cluster_calls(cluster, "tikv.RawGet") < 8) {
        sched_yield();
    }
    tikv_cluster_free(cluster);
    for (i = 0; i < 16; i++) {
        assert_int_equal(grpc_client_stream_end(&streams[i], false),
                         STATUS_GONE);
    }
    grpc_client_close(&client);
    tk_buf_fini(&message);
}

struct load {
    char address[64];
    _Atomic bool ending;
    _Atomic uint64_t served;
    _Atomic int wrong; /* a status that nobody should see */
};

static void *
load_run(void *arg)
{
    struct load *load = arg;
    struct grpc_client client;
    struct tk_buf message;

    tk_buf_init(&message, MAX_BYTES);
    grpc_client_open(&client, load->address);
    while (!atomic_load(&load->ending)) {
        struct grpc_client_stream stream;
        int i;
        int status;

        grpc_client_stream_open(&stream, &client, BATCH, LONG_MS);
        for (i = 0; i < 20; i++) {
            served_empty_command(&message, (uint64_t)i, 0);
            if (!grpc_client_stream_send(&stream, &message) ||
                !grpc_client_stream_receive(&stream, &message)) {
                break;
            }
            atomic_fetch_add(&load->served, 1);
        }
        status = grpc_client_stream_end(&stream, true);
        if (status != STATUS_CANCELLED && status != STATUS_GONE) {
            atomic_store(&load->wrong, status);
        }
        tk_buf_clear(&message);
        status = grpc_client_unary(&client, HEALTH, &message, LONG_MS, NULL);
        if (status != STATUS_OK && status != STATUS_GONE) {
            atomic_store(&load->wrong, status);
        }
    }
    grpc_client_close(&client);
    tk_buf_fini(&message);
    return NULL;
}

static void
serve__comes_back_under_load(void **state)
{
    enum { THREADS = 4, ROUNDS = 30 };
    tikv_cluster *cluster = served_start(2, 1);
    struct load loads[THREADS];
    pthread_t threads[THREADS];
    int i;

    (void)state;
    for (i = 0; i < THREADS; i++) {
        memset(&loads[i], 0, sizeof(loads[i]));
        snprintf(loads[i].address, sizeof(loads[i].address), "%s",
                 served_address(cluster, 1));
        assert_int_equal(pthread_create(&threads[i], NULL, load_run, &loads[i]),
                         0);
    }
    for (i = 0; i < ROUNDS; i++) {
        struct load *load = &loads[i % THREADS];
        uint64_t before = atomic_load(&load->served);

        if (i % 3 == 2) {
            assert_null(tikv_cluster_store_swap(cluster, 1, 2));
        } else {
            assert_null(tikv_cluster_store_stop(cluster, 1));
            assert_null(tikv_cluster_store_stop(cluster, 2));
            assert_null(tikv_cluster_store_start(cluster, 1, false));
            assert_null(tikv_cluster_store_start(cluster, 2, false));
        }
        /* Each of them is served again, by whoever has the address now. */
        while (atomic_load(&load->served) <= before + 2) {
            sched_yield();
        }
    }
    for (i = 0; i < THREADS; i++) {
        atomic_store(&loads[i].ending, true);
        pthread_join(threads[i], NULL);
    }
    tikv_cluster_free(cluster);
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(atomic_load(&loads[i].wrong), 0);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        served_test(serve__breaks_connections_when_a_store_stops),
        served_test(serve__restarts_a_store_on_another_port),
        served_test(serve__swaps_the_addresses_of_two_stores),
        served_test(serve__stops_and_starts_pd_members),
        harness_test(serve__starts_and_stops_without_a_trace),
        served_test(serve__ends_under_calls_in_flight),
        served_test(serve__comes_back_under_load),
    };

    return harness_run(tests);
}
