/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded cluster as any gRPC client sees it: unary calls, streams,
 * stores that go and come back, connections that are no gRPC at all.
 */
#include "harness/harness.h"

#include <sys/socket.h>
#include <unistd.h>

#include <tikv/cluster.h>
#include <tikv/error.h>

#include "base/slice.h"
#include "fixture/served.h"
#include "wire/proto.h"

/* Marks the ids of one BatchCommandsResponse as seen. */
static size_t
mark_ids(const struct tk_buf *frame, bool *seen, size_t count)
{
    struct tk_cursor cursor = tk_cursor(tk_buf_slice(frame));
    struct tk_field at;
    size_t marked = 0;

    while (tk_cursor_field(&cursor, &at)) {
        struct tk_cursor ids = tk_cursor(at.bytes);
        uint64_t id;

        if (at.number != 2 || at.type != TK_WIRE_BYTES) {
            continue;
        }
        while (tk_cursor_varint(&ids, &id)) {
            assert_true(id < count);
            assert_false(seen[id]);
            seen[id] = true;
            marked++;
        }
    }
    return marked;
}

static void
expect_argument(tikv_error *error, const char *words)
{
    assert_non_null(error);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_ARGUMENT);
    if (strstr(tikv_error_message(error), words) == NULL) {
        fail_msg("\"%s\" lacks \"%s\"", tikv_error_message(error), words);
    }
    tikv_error_free(error);
}

/* ---- options and arguments ---- */

static void
serve__refuses_options_that_make_no_sense(void **state)
{
    struct {
        tikv_cluster_options known;
        uint64_t unknown;
    } larger = { TIKV_CLUSTER_OPTIONS_INIT, 0 };
    tikv_cluster_options options = TIKV_CLUSTER_OPTIONS_INIT;
    tikv_cluster *cluster = NULL;

    (void)state;
    expect_argument(tikv_cluster_start(&options, NULL), "out");
    options.struct_size = 3;
    expect_argument(tikv_cluster_start(&options, &cluster), "struct_size");
    tikv_cluster_options_init(&options, sizeof(options));
    options.reserved = 1;
    expect_argument(tikv_cluster_start(&options, &cluster), "reserved");
    options.reserved = 0;
    options.api = 7;
    expect_argument(tikv_cluster_start(&options, &cluster), "api");
    options.api = 0;
    options.base_port = 65535;
    expect_argument(tikv_cluster_start(&options, &cluster), "base_port");
    larger.known.struct_size = sizeof(larger);
    larger.unknown = 1;
    expect_argument(tikv_cluster_start(&larger.known, &cluster),
                    "does not know");
    larger.unknown = 0;
    assert_null(tikv_cluster_start(&larger.known, &cluster));
    tikv_cluster_free(cluster);
}

static void
serve__checks_every_argument(void **state)
{
    const tikv_slice wild = { NULL, 3 };
    const tikv_slice key = { (const uint8_t *)"k", 1 };
    tikv_cluster *cluster = served_start(1, 1);
    char small[3];

    (void)state;
    expect_argument(tikv_cluster_split(NULL, key), "NULL");
    expect_argument(tikv_cluster_split(cluster, wild), "no data");
    expect_argument(tikv_cluster_merge(cluster, wild), "no data");
    expect_argument(tikv_cluster_store_stop(cluster, 9), "9");
    expect_argument(tikv_cluster_store_start(NULL, 1, false), "NULL");
    expect_argument(tikv_cluster_store_swap(cluster, 1, 1), "itself");
    expect_argument(tikv_cluster_pd_stop(cluster, 5), "5");
    expect_argument(tikv_cluster_fault(cluster, NULL, NULL), "rule");
    assert_int_equal(tikv_cluster_region_of(NULL, key), 0);
    assert_int_equal(tikv_cluster_regions_count(NULL), 0);
    assert_int_equal(tikv_cluster_calls(NULL, NULL), 0);
    assert_false(tikv_cluster_store_address(cluster, 1, small, sizeof(small)));
    assert_false(tikv_cluster_store_address(cluster, 2, small, sizeof(small)));
    assert_string_equal(tikv_cluster_endpoints(NULL), "");
    tikv_cluster_free(cluster);
    tikv_cluster_free(NULL);
}

static void
serve__names_the_port_that_is_in_use(void **state)
{
    tikv_cluster_options options = TIKV_CLUSTER_OPTIONS_INIT;
    tikv_cluster *first = served_start(1, 1);
    tikv_cluster *second = NULL;
    char words[64];

    (void)state;
    options.base_port = served_port(tikv_cluster_endpoints(first));
    snprintf(words, sizeof(words), "port %u is in use",
             (unsigned)options.base_port);
    expect_argument(tikv_cluster_start(&options, &second), words);
    assert_null(second);
    tikv_cluster_free(first);
}

/* ---- calls ---- */

static void
serve__is_healthy_on_every_port(void **state)
{
    tikv_cluster *cluster = served_start(3, 3);
    char endpoints[256];
    char *rest = endpoints;
    char *address;
    int members = 0;
    uint64_t i;

    (void)state;
    snprintf(endpoints, sizeof(endpoints), "%s",
             tikv_cluster_endpoints(cluster));
    while ((address = strtok_r(rest, ",", &rest)) != NULL) {
        assert_int_equal(served_health(address, LONG_MS), STATUS_OK);
        members++;
    }
    assert_int_equal(members, 3);
    for (i = 1; i <= 3; i++) {
        assert_int_equal(served_health(served_address(cluster, i), LONG_MS),
                         STATUS_OK);
    }
    tikv_cluster_free(cluster);
}

static void
serve__says_what_it_does_not_know(void **state)
{
    tikv_cluster *cluster = served_start(1, 1);
    struct grpc_client client;
    struct tk_buf request;

    (void)state;
    tk_buf_init(&request, MAX_BYTES);
    grpc_client_open(&client, served_address(cluster, 1));
    assert_int_equal(grpc_client_unary(&client, "/tikvpb.Tikv/Nonsense",
                                       &request, LONG_MS, NULL),
                     STATUS_UNIMPLEMENTED);
    assert_non_null(strstr(client.details, "Nonsense"));
    assert_int_equal(grpc_client_unary(&client, "/pdpb.PD/SyncRegions",
                                       &request, LONG_MS, NULL),
                     STATUS_UNIMPLEMENTED);
    served_field(&request, 1, tk_slice_text("of.somebody"));
    assert_int_equal(
        grpc_client_unary(&client, HEALTH, &request, LONG_MS, NULL),
        STATUS_NOT_FOUND);
    grpc_client_close(&client);
    tk_buf_fini(&request);
    tikv_cluster_free(cluster);
}

static void
serve__takes_messages_larger_than_grpc_does_by_default(void **state)
{
    const size_t size = 9 * 1024 * 1024;
    tikv_cluster *cluster = served_start(1, 1);
    struct grpc_client client;
    struct tk_buf request;
    struct tk_buf out;
    char *value = calloc(1, size);

    (void)state;
    tk_buf_init(&request, MAX_BYTES);
    tk_buf_init(&out, MAX_BYTES);
    served_field(&request, 3, tk_slice(value, size));
    grpc_client_open(&client, served_address(cluster, 1));
    assert_int_equal(grpc_client_unary(&client, "/tikvpb.Tikv/RawPut", &request,
                                       LONG_MS, &out),
                     STATUS_OK);
    assert_true(out.len > 0); /* a region error: there was no context */
    assert_int_equal(tikv_cluster_calls(cluster, "tikv.RawPut"), 1);
    grpc_client_close(&client);
    tk_buf_fini(&request);
    tk_buf_fini(&out);
    free(value);
    tikv_cluster_free(cluster);
}

static void
serve__answers_every_request_of_a_stream_once(void **state)
{
    enum { COUNT = 2000 };
    tikv_cluster *cluster = served_start(1, 1);
    bool seen[COUNT] = { false };
    struct grpc_client_stream stream;
    struct grpc_client client;
    struct tk_buf message;
    size_t answered = 0;
    uint64_t i;

    (void)state;
    tk_buf_init(&message, MAX_BYTES);
    grpc_client_open(&client, served_address(cluster, 1));
    grpc_client_stream_open(&stream, &client, BATCH, LONG_MS);
    for (i = 0; i < COUNT; i++) {
        served_empty_command(&message, i, i % 100 == 0 ? 20 : 0);
        assert_true(grpc_client_stream_send(&stream, &message));
    }
    grpc_client_stream_half_close(&stream);
    while (grpc_client_stream_receive(&stream, &message)) {
        answered += mark_ids(&message, seen, COUNT);
    }
    assert_int_equal(answered, COUNT);
    assert_int_equal(grpc_client_stream_end(&stream, false), STATUS_OK);
    assert_int_equal(tikv_cluster_calls(cluster, "tikv.BatchCommands"), COUNT);
    grpc_client_close(&client);
    tk_buf_fini(&message);
    tikv_cluster_free(cluster);
}

static void
serve__lets_a_client_cancel(void **state)
{
    tikv_cluster *cluster = served_start(1, 1);
    struct grpc_client_stream stream;
    struct grpc_client client;
    struct tk_buf message;

    (void)state;
    tk_buf_init(&message, MAX_BYTES);
    grpc_client_open(&client, served_address(cluster, 1));
    grpc_client_stream_open(&stream, &client, BATCH, LONG_MS);
    served_empty_command(&message, 1, 0);
    assert_true(grpc_client_stream_send(&stream, &message));
    assert_true(grpc_client_stream_receive(&stream, &message));
    served_empty_command(&message, 2, 10000);
    assert_true(grpc_client_stream_send(&stream, &message));
    assert_int_equal(grpc_client_stream_end(&stream, true), STATUS_CANCELLED);
    assert_int_equal(served_health(served_address(cluster, 1), LONG_MS),
                     STATUS_OK);
    grpc_client_close(&client);
    tk_buf_fini(&message);
    tikv_cluster_free(cluster);
}

static void
serve__leaves_a_dropped_answer_to_the_deadline(void **state)
{
    tikv_cluster *cluster = served_start(1, 1);
    struct grpc_client client;
    struct tk_buf request;

    (void)state;
    tk_buf_init(&request, MAX_BYTES);
    assert_null(tikv_cluster_fault(
        cluster, "on=tikv.RawGet when=first(1) do=drop_response", NULL));
    assert_null(tikv_cluster_fault(
        cluster, "on=tikv.RawPut when=first(1) do=delay(300)", NULL));
    grpc_client_open(&client, served_address(cluster, 1));
    assert_int_equal(
        grpc_client_unary(&client, "/tikvpb.Tikv/RawGet", &request, 200, NULL),
        STATUS_DEADLINE);
    assert_int_equal(
        grpc_client_unary(&client, "/tikvpb.Tikv/RawPut", &request, 100, NULL),
        STATUS_DEADLINE);
    assert_int_equal(grpc_client_unary(&client, "/tikvpb.Tikv/RawGet", &request,
                                       LONG_MS, NULL),
                     STATUS_OK);
    grpc_client_close(&client);
    tk_buf_fini(&request);
    tikv_cluster_free(cluster);
}

/* ---- connections that are no gRPC ---- */

static void
serve__answers_http_and_closes_on_noise(void **state)
{
    static const char request[] = "GET /pd/api/v1/none HTTP/1.1\r\n"
                                  "Host: x\r\n\r\n";
    tikv_cluster *cluster = served_start(1, 1);
    uint16_t port = served_port(tikv_cluster_endpoints(cluster));
    char answer[512] = "";
    size_t len = 0;
    ssize_t got;
    int fd = served_connect(port);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL),
                     sizeof(request) - 1);
    while ((got = recv(fd, answer + len, sizeof(answer) - 1 - len, 0)) > 0) {
        len += (size_t)got;
    }
    assert_int_equal(got, 0);
    answer[len] = '\0';
    assert_non_null(strstr(answer, "HTTP/1.1 404 "));
    close(fd);

    fd = served_connect(port);
    assert_true(fd >= 0);
    assert_int_equal(send(fd, "\x16\x03\x01", 3, MSG_NOSIGNAL), 3);
    assert_true(recv(fd, answer, sizeof(answer), 0) <= 0);
    close(fd);
    fd = served_connect(
        port); /* says nothing: must not keep the cluster alive */
    tikv_cluster_free(cluster);
    assert_true(recv(fd, answer, sizeof(answer), 0) <= 0);
    close(fd);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        served_test(serve__refuses_options_that_make_no_sense),
        served_test(serve__checks_every_argument),
        served_test(serve__names_the_port_that_is_in_use),
        served_test(serve__is_healthy_on_every_port),
        served_test(serve__says_what_it_does_not_know),
        served_test(serve__takes_messages_larger_than_grpc_does_by_default),
        served_test(serve__answers_every_request_of_a_stream_once),
        served_test(serve__lets_a_client_cancel),
        served_test(serve__leaves_a_dropped_answer_to_the_deadline),
        served_test(serve__answers_http_and_closes_on_noise),
    };

    return harness_run(tests);
}
