/* SPDX-License-Identifier: Apache-2.0 */
/* Faults of a served cluster: cuts in the network as sockets see them, and
 * the language of commands from C. */
#include "harness/harness.h"

#include <tikv/error.h>

#include "base/slice.h"
#include "fixture/served.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* A connection that is made within `ms`; -1: none. */
static int
connect_within(const char *address, int ms)
{
    struct sockaddr_in to = { .sin_family = AF_INET };
    const char *colon = strchr(address, ':');
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct pollfd watched = { .fd = fd, .events = POLLOUT };
    int trouble = 0;
    socklen_t len = sizeof(trouble);

    to.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0);
    (void)connect(fd, (struct sockaddr *)(void *)&to, sizeof(to));
    if (poll(&watched, 1, ms) == 1 &&
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &trouble, &len) == 0 &&
        trouble == 0) {
        return fd;
    }
    (void)close(fd);
    return -1;
}

static void
cut__lets_nobody_in_until_healed(void **state)
{
    tikv_cluster *cluster;
    char address[64];
    uint64_t id = 0;
    int fd;

    (void)state;
    assert_null(tikv_cluster_start(NULL, &cluster));
    assert_true(
        tikv_cluster_store_address(cluster, 1, address, sizeof(address)));
    assert_null(
        tikv_cluster_partition(cluster, "client", "store1", false, &id));
    assert_int_equal(connect_within(address, 100), -1);
    tikv_cluster_heal(cluster, id);
    fd = connect_within(address, 5000);
    assert_true(fd >= 0);
    (void)close(fd);
    tikv_cluster_free(cluster);
}

static void
cut__needs_parties(void **state)
{
    tikv_cluster *cluster;
    tikv_error *error;

    (void)state;
    assert_null(tikv_cluster_start(NULL, &cluster));
    error = tikv_cluster_partition(cluster, "client", "store7", false, NULL);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_ARGUMENT);
    tikv_error_free(error);
    tikv_cluster_free(cluster);
}

/* A stream of commands on which one empty command is answered, or not. */
static int
status_of_stream(struct grpc_client *client)
{
    struct grpc_client_stream stream;
    struct tk_buf bytes;

    tk_buf_init(&bytes, MAX_BYTES);
    served_empty_command(&bytes, 7, 0);
    grpc_client_stream_open(&stream, client, BATCH, LONG_MS);
    assert_true(grpc_client_stream_send(&stream, &bytes));
    if (grpc_client_stream_receive(&stream, &bytes)) {
        grpc_client_stream_half_close(&stream);
    }
    tk_buf_fini(&bytes);
    return grpc_client_stream_end(&stream, false);
}

static int
status_of_get(struct grpc_client *client)
{
    struct tk_buf request;
    int status;

    tk_buf_init(&request, MAX_BYTES);
    served_field(&request, 2, tk_slice_text("k"));
    status = grpc_client_unary(client, "/tikvpb.Tikv/RawGet", &request,
                               LONG_MS, NULL);
    tk_buf_fini(&request);
    return status;
}

/* Connections count from 1 in the order in which they came to the node. */
static void
rule__chooses_by_connection(void **state)
{
    enum { ABORTED = 10, INTERNAL = 13 };
    tikv_cluster *cluster = served_start(1, 1);
    struct grpc_client clients[3];
    int i;

    (void)state;
    for (i = 0; i < 3; i++) {
        grpc_client_open(&clients[i], served_address(cluster, 1));
        assert_int_equal(status_of_get(&clients[i]), STATUS_OK);
    }
    assert_null(tikv_cluster_fault(
        cluster, "on=tikv.RawGet client=2 do=status(ABORTED)", NULL));
    assert_null(tikv_cluster_fault(
        cluster, "on=tikv.BatchCommands client=3 do=break_stream(INTERNAL)",
        NULL));
    for (i = 0; i < 3; i++) {
        assert_int_equal(status_of_get(&clients[i]),
                         i == 1 ? ABORTED : STATUS_OK);
        assert_int_equal(status_of_stream(&clients[i]),
                         i == 2 ? INTERNAL : STATUS_OK);
    }
    for (i = 0; i < 3; i++) {
        grpc_client_close(&clients[i]);
    }
    tikv_cluster_free(cluster);
}

static void
add_rule(tikv_cluster *cluster, const char *text)
{
    tikv_error *error = tikv_cluster_fault(cluster, text, NULL);

    if (error != NULL) {
        fail_msg("%s: %s", text, tikv_error_message(error));
    }
}

/* What a rule does to the first connection; returns when the client has come
 * by its second one. Calls that meet the end of the first may fail. */
static void
move_on(tikv_cluster *cluster, struct grpc_client *client, const char *action)
{
    enum { ABORTED = 10, TRIES = 10000 };
    char text[128];
    int tries = 0;

    (void)snprintf(text, sizeof(text), "on=tikv.RawGet when=nth(1) do=%s",
                   action);
    add_rule(cluster, text);
    assert_int_equal(status_of_get(client), STATUS_OK);
    add_rule(cluster, "on=tikv.RawGet client=2 do=status(ABORTED)");
    while (status_of_get(client) != ABORTED) {
        assert_true(tries++ < TRIES);
    }
    tikv_cluster_fault_remove(cluster, 0);
}

/* A call that is under way ends in peace, others take a new connection. */
static void
goaway__lets_calls_end(void **state)
{
    tikv_cluster *cluster = served_start(1, 1);
    struct grpc_client_stream stream;
    struct grpc_client client;
    struct tk_buf bytes;

    (void)state;
    tk_buf_init(&bytes, MAX_BYTES);
    grpc_client_open(&client, served_address(cluster, 1));
    grpc_client_stream_open(&stream, &client, BATCH, LONG_MS);
    for (uint64_t id = 1; id <= 2; id++) {
        tk_buf_clear(&bytes);
        served_empty_command(&bytes, id, 0);
        assert_true(grpc_client_stream_send(&stream, &bytes));
        assert_true(grpc_client_stream_receive(&stream, &bytes));
        if (id == 1) {
            move_on(cluster, &client, "goaway");
        }
    }
    grpc_client_stream_half_close(&stream);
    assert_int_equal(grpc_client_stream_end(&stream, false), STATUS_OK);
    tk_buf_fini(&bytes);
    grpc_client_close(&client);
    tikv_cluster_free(cluster);
}

/* A stream that outlives its server goes down with the node all the same. */
static void
goaway__does_not_outlive_the_node(void **state)
{
    tikv_cluster *cluster = served_start(1, 1);
    struct grpc_client_stream stream;
    struct grpc_client client;

    (void)state;
    grpc_client_open(&client, served_address(cluster, 1));
    grpc_client_stream_open(&stream, &client, BATCH, LONG_MS);
    move_on(cluster, &client, "goaway");
    assert_null(tikv_cluster_store_stop(cluster, 1));
    assert_int_equal(grpc_client_stream_end(&stream, false), STATUS_GONE);
    grpc_client_close(&client);
    tikv_cluster_free(cluster);
}

static void
max_streams__make_calls_wait(void **state)
{
    enum { SHORT_MS = 200 };
    tikv_cluster *cluster = served_start(1, 1);
    struct grpc_client_stream stream;
    struct grpc_client client;
    struct tk_buf bytes;

    (void)state;
    tk_buf_init(&bytes, MAX_BYTES);
    grpc_client_open(&client, served_address(cluster, 1));
    move_on(cluster, &client, "max_streams(1)");
    grpc_client_stream_open(&stream, &client, BATCH, LONG_MS);
    served_empty_command(&bytes, 1, 0);
    assert_true(grpc_client_stream_send(&stream, &bytes));
    assert_true(grpc_client_stream_receive(&stream, &bytes));
    tk_buf_clear(&bytes);
    assert_int_equal(
        grpc_client_unary(&client, HEALTH, &bytes, SHORT_MS, NULL),
        STATUS_DEADLINE);
    assert_int_equal(grpc_client_stream_end(&stream, true), STATUS_CANCELLED);
    assert_int_equal(grpc_client_unary(&client, HEALTH, &bytes, LONG_MS, NULL),
                     STATUS_OK);
    tk_buf_fini(&bytes);
    grpc_client_close(&client);
    tikv_cluster_free(cluster);
}

/* An answer that is worth it comes by gzip, and small to whoever unpacks. */
static void
compress__packs_answers(void **state)
{
    static const uint8_t magic[] = { 0x1f, 0x8b };
    tikv_cluster *cluster = served_start(1, 1);
    struct grpc_client client;
    struct tk_buf bytes;

    (void)state;
    tk_buf_init(&bytes, MAX_BYTES);
    grpc_client_open_raw(&client, served_address(cluster, 1));
    move_on(cluster, &client, "compress(gzip)");
    add_rule(cluster, "on=tikv.RawGet do=corrupt(oversized)");
    assert_int_equal(grpc_client_unary(&client, "/tikvpb.Tikv/RawGet", &bytes,
                                       LONG_MS, &bytes),
                     STATUS_OK);
    assert_true(bytes.len > sizeof(magic) && bytes.len < 1024 * 1024);
    assert_memory_equal(bytes.data, magic, sizeof(magic));
    tk_buf_fini(&bytes);
    grpc_client_close(&client);
    tikv_cluster_free(cluster);
}

/* The carrier of commands counts as a whole. */
static void
message_limit__speaks_as_grpc_does(void **state)
{
    enum { EXHAUSTED = 8 };
    tikv_cluster *cluster = served_start(1, 1);
    struct grpc_client_stream stream;
    struct grpc_client client;
    struct tk_buf bytes;

    (void)state;
    tk_buf_init(&bytes, MAX_BYTES);
    grpc_client_open(&client, served_address(cluster, 1));
    add_rule(cluster, "on=tikv.* do=message_limit(2)");
    assert_int_equal(status_of_get(&client), EXHAUSTED);
    assert_string_equal(client.details,
                        "Received message larger than max (3 vs. 2)");
    served_empty_command(&bytes, 1, 0);
    grpc_client_stream_open(&stream, &client, BATCH, LONG_MS);
    assert_true(grpc_client_stream_send(&stream, &bytes));
    assert_false(grpc_client_stream_receive(&stream, &bytes));
    assert_int_equal(grpc_client_stream_end(&stream, false), EXHAUSTED);
    tk_buf_fini(&bytes);
    grpc_client_close(&client);
    tikv_cluster_free(cluster);
}

static void
command__answers_in_one_line(void **state)
{
    static const struct {
        const char *line;
        const char *answer;
    } cases[] = {
        { "regions", "ok 1" },
        { "split 6b", "ok" },
        { "regions", "ok 2" },
        { "fault on=tikv.RawGet do=delay(1)", "ok 1" },
        { "faults", "ok [{\"id\":1,\"hits\":0,"
                    "\"rule\":\"on=tikv.RawGet do=delay(1)\"}]" },
        { "barrier none", "ok 0" },
        { "release none", "ok 0" },
        { "release none explode", "error actions, at 1: unknown action" },
        { "nemesis often", "error no preset often" },
        { "nemesis calm", "ok" },
        { "partition client moon", "error no party moon" },
        { "heal", "ok" },
        { "store stop", "error usage: store stop N" },
        { "dance", "error unknown command: dance" },
        { "# nothing", "ok" },
    };
    tikv_cluster *cluster;
    char answer[256];

    (void)state;
    assert_null(tikv_cluster_start(NULL, &cluster));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t len = tikv_cluster_command(cluster, cases[i].line, answer,
                                          sizeof(answer));

        assert_string_equal(answer, cases[i].answer);
        assert_int_equal(len, strlen(answer));
    }
    assert_int_equal(tikv_cluster_command(cluster, "regions", answer, 3), 4);
    assert_string_equal(answer, "ok");
    tikv_cluster_free(cluster);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        served_test(cut__lets_nobody_in_until_healed),
        served_test(cut__needs_parties),
        served_test(rule__chooses_by_connection),
        served_test(goaway__lets_calls_end),
        served_test(goaway__does_not_outlive_the_node),
        served_test(max_streams__make_calls_wait),
        served_test(compress__packs_answers),
        served_test(message_limit__speaks_as_grpc_does),
        served_test(command__answers_in_one_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
