/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client's life, through the public functions: opening and what can go
 * wrong, settings, draining, closing, forking, PD members that change.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "fixture/kv_calls.h"

static tikv_error *
open_with(const char *endpoints, const char *name, const char *value,
          tikv_client **out)
{
    tikv_config *config;
    tikv_error *error;

    kv_ok(tikv_config_new(&config));
    if (endpoints != NULL) {
        kv_ok(tikv_config_set(config, "pd.endpoints", endpoints));
    }
    if (name != NULL) {
        kv_ok(tikv_config_set(config, name, value));
    }
    error = tikv_client_open(config, out);
    tikv_config_free(config);
    return error;
}

static void
expect_refusal(tikv_error *error, tikv_code code, const char *word)
{
    if (tikv_error_code(error) != code ||
        strstr(tikv_error_message(error), word) == NULL) {
        fail_msg("%d: %s", (int)tikv_error_code(error),
                 tikv_error_message(error));
    }
    tikv_error_free(error);
}

static void
open__names_what_is_missing_or_wrong(void **state)
{
    tikv_client *client = (tikv_client *)state;

    expect_refusal(open_with(NULL, NULL, NULL, &client), TIKV_ERR_ARGUMENT,
                   "pd.endpoints");
    assert_null(client);
    expect_refusal(tikv_client_open(NULL, &client), TIKV_ERR_ARGUMENT,
                   "config");
    expect_refusal(tikv_client_connect(NULL, &client), TIKV_ERR_ARGUMENT,
                   "endpoints");
    expect_refusal(tikv_client_connect("", &client), TIKV_ERR_ARGUMENT, "");
    expect_refusal(tikv_client_connect("http://a:1", &client),
                   TIKV_ERR_ARGUMENT, "http");
    expect_refusal(
        open_with("127.0.0.1:1", "raw.column_family", "cf1", &client),
        TIKV_ERR_ARGUMENT, "raw.column_family");
    assert_null(client);
}

static void
open__gives_up_in_time_where_nobody_answers(void **state)
{
    int64_t begin = tikv_now_ns();
    tikv_client *client;

    (void)state;
    kv_fails(open_with("127.0.0.1:1,127.0.0.1:2", "pd.open_timeout_ms", "300",
                       &client),
             TIKV_ERR_PD);
    assert_null(client);
    assert_true(tikv_now_ns() - begin <
                harness_stretch() * INT64_C(3000000000));
}

static void
open__refuses_endpoints_of_two_clusters(void **state)
{
    tikv_cluster *clusters[2];
    tikv_client *client;
    char both[256];
    size_t i;

    (void)state;
    for (i = 0; i < 2; i++) {
        tikv_cluster_options options = TIKV_CLUSTER_OPTIONS_INIT;

        options.cluster_id = 100 + i;
        kv_ok(tikv_cluster_start(&options, &clusters[i]));
    }
    snprintf(both, sizeof(both), "%s,%s", tikv_cluster_endpoints(clusters[0]),
             tikv_cluster_endpoints(clusters[1]));
    kv_fails(open_with(both, NULL, NULL, &client), TIKV_ERR_CLUSTER_MISMATCH);
    assert_null(client);
    tikv_cluster_free(clusters[0]);
    tikv_cluster_free(clusters[1]);
}

static void
connect__takes_a_list_and_a_connection_string(void **state)
{
    char text[256];
    tikv_client *client;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    kv_ok(tikv_client_connect(tikv_cluster_endpoints(kv.cluster), &client));
    assert_true(tikv_client_cluster_id(client) == tikv_cluster_id(kv.cluster));
    kv_put(client, "k", "v");
    tikv_client_close(client);
    snprintf(text, sizeof(text), "tikv://%s?raw.atomic=on",
             tikv_cluster_endpoints(kv.cluster));
    kv_ok(tikv_client_connect(text, &client));
    kv_ok(tikv_raw_swap(client, kv_text("k"), kv_text("v"), kv_text("w"), NULL,
                        NULL, NULL));
    tikv_client_close(client);
    kv_expect(kv.client, "k", "w");
    kv_close(&kv);
}

static void
clients__of_two_clusters_live_in_one_process(void **state)
{
    struct kv a;
    struct kv b;

    (void)state;
    kv_open_plain(&a);
    kv_open_plain(&b);
    kv_put(a.client, "k", "in a");
    kv_expect(b.client, "k", NULL);
    kv_put(b.client, "k", "in b");
    kv_close(&a);
    kv_expect(b.client, "k", "in b");
    kv_close(&b);
}

static void
set__changes_hot_settings_only(void **state)
{
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    kv_ok(tikv_client_set(kv.client, "call.timeout_ms", "50"));
    (void)kv_fault(&kv, "on=tikv.RawGet do=drop_request");
    kv_fails(kv_rows[0].call(kv.client, NULL), TIKV_ERR_TIMEOUT);
    expect_refusal(tikv_client_set(kv.client, "pool.threads_count", "3"),
                   TIKV_ERR_STATE, "pool.threads_count");
    expect_refusal(tikv_client_set(kv.client, "call.timeout_ms", "soon"),
                   TIKV_ERR_ARGUMENT, "soon");
    expect_refusal(tikv_client_set(kv.client, "no.such", "1"),
                   TIKV_ERR_ARGUMENT, "no.such");
    expect_refusal(tikv_client_set(kv.client, NULL, "1"), TIKV_ERR_ARGUMENT,
                   "name");
    kv_fails(tikv_client_set(NULL, "call.timeout_ms", "1"), TIKV_ERR_ARGUMENT);
    kv_close(&kv);
}

static void
drain__waits_until_nothing_is_in_flight(void **state)
{
    tikv_future *future;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    kv_ok(tikv_client_drain(kv.client, 0));
    (void)kv_fault(&kv, "on=tikv.RawScan do=drop_request");
    future = kv_rows[9].promise(kv.client, NULL);
    kv_fails(tikv_client_drain(kv.client, 30), TIKV_ERR_TIMEOUT);
    tikv_future_cancel(future);
    kv_ok(tikv_client_drain(kv.client, 10000));
    assert_true(tikv_future_ready(future));
    tikv_future_free(future);
    kv_fails(tikv_client_drain(kv.client, -2), TIKV_ERR_ARGUMENT);
    kv_close(&kv);
}

static void
close_it(tikv_future *future, void *arg)
{
    (void)future;
    tikv_client_close(arg);
}

static void
close__in_a_callback_only_begins(void **state)
{
    tikv_future *future;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    future = kv_rows[9].promise(kv.client, NULL);
    kv_ok(tikv_future_on_ready(future, close_it, kv.client));
    while (tikv_client_drain(kv.client, 10000) == NULL &&
           tikv_client_set(kv.client, "log.level", "warn") == NULL) {
    }
    kv_fails(kv_rows[0].call(kv.client, NULL), TIKV_ERR_CLOSED);
    tikv_future_free(future);
    kv_close(&kv);
}

static void
close__leaves_values_errors_and_futures_alive(void **state)
{
    tikv_future *future;
    tikv_value *value;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    kv_put(kv.client, "k", "value");
    kv_ok(tikv_raw_get(kv.client, kv_text("k"), NULL, &value));
    future = tikv_raw_get_async(kv.client, kv_text("k"), NULL);
    assert_true(tikv_future_wait(future, 10000));
    kv_close(&kv);
    assert_true(kv_equal(tikv_value_slice(value), kv_text("value")));
    tikv_value_free(value);
    kv_ok(tikv_future_take_value(future, &value));
    assert_true(kv_equal(tikv_value_slice(value), kv_text("value")));
    tikv_value_free(value);
    tikv_future_free(future);
    tikv_client_close(NULL);
}

/* In the child: 0 when everything is refused at once. */
static int
child(tikv_client *client, tikv_future *running)
{
    size_t i;

    for (i = 0; i < KV_ROWS; i++) {
        tikv_future *future = kv_rows[i].promise(client, NULL);

        if (tikv_error_code(kv_rows[i].call(client, NULL)) != TIKV_ERR_FORKED ||
            !tikv_future_wait(future, 1000) ||
            tikv_error_code(kv_rows[i].take(future)) != TIKV_ERR_FORKED) {
            return 1;
        }
        tikv_future_free(future);
    }
    if (tikv_future_wait(running, 1000)) {
        return 2;
    }
    if (tikv_error_code(tikv_client_drain(client, 1000)) != TIKV_ERR_FORKED ||
        tikv_error_code(tikv_client_set(client, "raw.atomic", "on")) !=
            TIKV_ERR_FORKED ||
        tikv_error_code(tikv_timestamp(client, NULL, &(uint64_t){ 0 })) !=
            TIKV_ERR_FORKED) {
        return 3;
    }
    tikv_client_close(client);
    return 0;
}

static void
fork__refuses_in_the_child_and_works_in_the_parent(void **state)
{
    tikv_future *running;
    struct kv kv;
    int status = -1;
    pid_t pid;

    (void)state;
    kv_open_plain(&kv);
    kv_put(kv.client, "k", "v");
    (void)kv_fault(&kv, "on=tikv.RawScan when=first(1) do=delay(200)");
    running = kv_rows[9].promise(kv.client, NULL);
    pid = fork();
    assert_int_not_equal(pid, -1);
    if (pid == 0) {
        alarm(30);
        _exit(child(kv.client, running));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(tikv_future_wait(running, 10000));
    kv_ok(kv_rows[9].take(running));
    tikv_future_free(running);
    kv_expect(kv.client, "k", "v");
    kv_close(&kv);
}

static void
client__outlives_pd_leaders(void **state)
{
    const struct kv_plan plan = { .stores = 3, .pds = 3 };
    uint64_t before;
    uint64_t after;
    struct kv kv;
    uint32_t i;

    (void)state;
    kv_open(&kv, &plan);
    kv_ok(tikv_timestamp(kv.client, NULL, &before));
    for (i = 0; i < 3; i++) {
        char key[2] = { (char)('a' + i), '\0' };

        kv_ok(tikv_cluster_pd_transfer(kv.cluster, (i + 1) % 3));
        kv_ok(tikv_cluster_split(kv.cluster, kv_text(key)));
        kv_put(kv.client, key, "v");
        kv_ok(tikv_timestamp(kv.client, NULL, &after));
        assert_true(after > before);
        before = after;
    }
    kv_ok(tikv_cluster_pd_stop(kv.cluster, tikv_cluster_pd_leader(kv.cluster)));
    kv_ok(tikv_cluster_split(kv.cluster, kv_text("m")));
    kv_put(kv.client, "m", "v");
    kv_ok(tikv_timestamp(kv.client, NULL, &after));
    assert_true(after > before);
    kv_close(&kv);
}

static void
error__tells_where_how_often_and_how_long(void **state)
{
    static const char *const settings[] = { "backoff.raw_ms", "300",
                                            "backoff.weight", "1", NULL };
    const struct kv_plan plan = { .stores = 1, .settings = settings };
    const char *kind = NULL;
    uint64_t slept = 0;
    tikv_error *error;
    tikv_value *value;
    struct kv kv;

    (void)state;
    kv_open(&kv, &plan);
    kv_put(kv.client, "k", "v");
    (void)kv_fault(&kv, "on=tikv.RawGet do=region_error(read_index_not_ready)");
    error = tikv_raw_get(kv.client, kv_text("k"), NULL, &value);
    assert_non_null(error);
    assert_true(tikv_error_is_retryable(error));
    assert_true(tikv_error_region(error) ==
                tikv_cluster_region_of(kv.cluster, kv_text("k")));
    assert_true(tikv_error_u64(error, TIKV_ERROR_STORE_ID) == 1);
    assert_true(tikv_error_u64(error, TIKV_ERROR_ATTEMPTS) > 2);
    assert_true(tikv_error_u64(error, TIKV_ERROR_BACKOFF_MS) > 0);
    assert_true(tikv_error_u64(error, TIKV_ERROR_ELAPSED_MS) > 0);
    assert_true(tikv_error_backoff(error, 0, &kind, &slept));
    assert_non_null(kind);
    assert_true(slept > 0);
    assert_non_null(strstr(tikv_error_message(error), "read_index_not_ready"));
    tikv_error_free(error);
    kv_close(&kv);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(open__names_what_is_missing_or_wrong),
        harness_test(open__gives_up_in_time_where_nobody_answers),
        harness_test(open__refuses_endpoints_of_two_clusters),
        harness_test(connect__takes_a_list_and_a_connection_string),
        harness_test(clients__of_two_clusters_live_in_one_process),
        harness_test(set__changes_hot_settings_only),
        harness_test(drain__waits_until_nothing_is_in_flight),
        harness_test(close__in_a_callback_only_begins),
        harness_test(close__leaves_values_errors_and_futures_alive),
        harness_test(fork__refuses_in_the_child_and_works_in_the_parent),
        harness_test(client__outlives_pd_leaders),
        harness_test(error__tells_where_how_often_and_how_long),
    };
    return harness_run(tests);
}
