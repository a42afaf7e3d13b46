/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PD and stores as programs of others see them: pages over HTTP on the ports
 * of gRPC, etcd's calls, streams of which only the server speaks.
 */
#include "harness/harness.h"

#include <sys/socket.h>
#include <unistd.h>

#include <tikv/cluster.h>

#include "base/slice.h"
#include "fixture/grpc_client.h"
#include "fixture/served.h"

/* Sends `text` in two pieces, reads until the other side ends. */
static void
ask(uint16_t port, const char *text, struct tk_buf *answer)
{
    size_t len = strlen(text);
    int fd = served_connect(port);
    uint8_t bytes[4096];
    ssize_t got;

    assert_true(fd >= 0);
    tk_buf_clear(answer);
    assert_int_equal(send(fd, text, 5, MSG_NOSIGNAL), 5);
    assert_int_equal(send(fd, text + 5, len - 5, MSG_NOSIGNAL), len - 5);
    while ((got = recv(fd, bytes, sizeof(bytes), 0)) > 0) {
        tk_buf_append(answer, bytes, (size_t)got);
    }
    assert_int_equal(got, 0);
    tk_buf_append(answer, "", 1);
    close(fd);
}

static void
expect(uint16_t port, const char *text, const char *status, const char *part)
{
    struct tk_buf answer;
    const char *shown;

    tk_buf_init(&answer, MAX_BYTES);
    ask(port, text, &answer);
    shown = (const char *)answer.data;
    if (strncmp(shown, "HTTP/1.1 ", 9) != 0 ||
        strncmp(shown + 9, status, 3) != 0 || strstr(shown, part) == NULL) {
        fail_msg("%s: %s", text, shown);
    }
    tk_buf_fini(&answer);
}

static void
serve_http__shows_pages(void **state)
{
    tikv_cluster *cluster = served_start(1, 1);
    uint16_t pd = served_port(tikv_cluster_endpoints(cluster));
    uint16_t store = served_port(served_address(cluster, 1));

    (void)state;
    expect(pd, "GET /pd/api/v1/version HTTP/1.1\r\nHost: x\r\n\r\n", "200",
           "\r\n\r\n{\"version\":\"v");
    expect(store, "GET /config HTTP/1.1\r\n\r\n", "200", "\"enable-ttl\"");
    expect(store, "GET /status HTTP/1.1\r\n\r\n", "200",
           "Content-Length: 0\r\n");
    expect(pd, "POST /pd/api/v1/version HTTP/1.1\r\nContent-Length: 3\r\n"
               "\r\nabc",
           "405", "not allowed");
    expect(pd, "GARBAGE\r\n\r\n", "400", "\r\n\r\n");
    expect(pd,
           "POST /pd/api/v2/keyspaces HTTP/1.1\r\ncontent-length:  14\r\n"
           "\r\n{\"name\":\"one\"}",
           "200", "\"name\":\"one\",\"state\":\"ENABLED\"");
    tikv_cluster_free(cluster);
}

/* More than a socket's buffers take at once. */
static void
serve_http__shows_large_pages(void **state)
{
    const tikv_cluster_options options = {
        .struct_size = sizeof(options),
        .regions_count = 20000,
    };
    tikv_cluster *cluster = NULL;
    struct tk_buf answer;

    (void)state;
    assert_null(tikv_cluster_start(&options, &cluster));
    tk_buf_init(&answer, MAX_BYTES);
    ask(served_port(tikv_cluster_endpoints(cluster)),
        "GET /pd/api/v1/regions HTTP/1.1\r\n\r\n", &answer);
    assert_true(answer.len > 2000000);
    assert_string_equal((const char *)answer.data + answer.len - 3, "]}");
    tk_buf_fini(&answer);
    tikv_cluster_free(cluster);
}

static void
serve_etcd__is_watched_and_changed(void **state)
{
    tikv_cluster *cluster = served_start(1, 1);
    struct grpc_client_stream stream;
    struct grpc_client client;
    struct tk_buf message;
    struct tk_buf answer;

    (void)state;
    tk_buf_init(&message, MAX_BYTES);
    tk_buf_init(&answer, MAX_BYTES);
    grpc_client_open(&client, tikv_cluster_endpoints(cluster));
    assert_int_equal(grpc_client_unary(&client,
                                       "/etcdserverpb.Cluster/MemberList",
                                       &message, LONG_MS, &answer),
                     STATUS_OK);
    assert_true(answer.len > 0);
    /* From the first revision on: whichever comes first, it is told. */
    served_field(&message, 2, tk_slice_text("k"));
    served_number(&message, 4, 1);
    grpc_client_stream_open(&stream, &client,
                            "/meta_storagepb.MetaStorage/Watch", LONG_MS);
    assert_true(grpc_client_stream_send(&stream, &message));
    /* No more is said: the stream stays all the same. */
    grpc_client_stream_half_close(&stream);
    tk_buf_clear(&message);
    served_field(&message, 1, tk_slice_text("k"));
    served_field(&message, 2, tk_slice_text("value"));
    assert_int_equal(grpc_client_unary(&client, "/etcdserverpb.KV/Put",
                                       &message, LONG_MS, NULL),
                     STATUS_OK);
    assert_true(grpc_client_stream_receive(&stream, &answer));
    assert_non_null(memmem(answer.data, answer.len, "value", 5));
    (void)grpc_client_stream_end(&stream, true);
    grpc_client_close(&client);
    tk_buf_fini(&answer);
    tk_buf_fini(&message);
    tikv_cluster_free(cluster);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        served_test(serve_http__shows_pages),
        served_test(serve_http__shows_large_pages),
        served_test(serve_etcd__is_watched_and_changed),
    };
    return harness_run(tests);
}
