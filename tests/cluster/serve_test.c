/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The embedded cluster as any gRPC client sees it: unary calls, streams,
 * stores that go and come back, connections that are no gRPC at all.
 */
#include "harness/harness.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include <tikv/cluster.h>
#include <tikv/error.h>

#include "base/slice.h"
#include "fixture/grpc_client.h"
#include "wire/proto.h"

#define HEALTH "/grpc.health.v1.Health/Check"
#define BATCH "/tikvpb.Tikv/BatchCommands"
#define MAX_BYTES (64 * 1024 * 1024)
#define LONG_MS 20000

enum { STATUS_OK = 0, STATUS_CANCELLED = 1, STATUS_DEADLINE = 4 };
enum { STATUS_NOT_FOUND = 5, STATUS_UNIMPLEMENTED = 12, STATUS_GONE = 14 };

static tikv_cluster *
start(uint32_t stores, uint32_t pds)
{
    tikv_cluster_options options = TIKV_CLUSTER_OPTIONS_INIT;
    tikv_cluster *cluster = NULL;
    tikv_error *error;

    options.stores_count = stores;
    options.pds_count = pds;
    error = tikv_cluster_start(&options, &cluster);
    if (error != NULL) {
        print_message("%s\n", tikv_error_message(error));
    }
    assert_null(error);
    return cluster;
}

static const char *
address_of(tikv_cluster *cluster, uint64_t store)
{
    static char buffer[2][64];
    static int next;
    char *address = buffer[next++ % 2];

    assert_true(tikv_cluster_store_address(cluster, store, address, 64));
    return address;
}

static uint16_t
port_of(const char *address)
{
    return (uint16_t)strtoul(strchr(address, ':') + 1, NULL, 10);
}

/* A plain connection; -1 when refused. */
static int
plain(uint16_t port)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    struct timeval limit = { 20, 0 };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        assert_int_equal(errno, ECONNREFUSED);
        close(fd);
        return -1;
    }
    return fd;
}

static bool
is_refused(uint16_t port)
{
    int fd = plain(port);

    if (fd >= 0) {
        close(fd);
    }
    return fd < 0;
}

static void
field(struct tk_buf *out, uint32_t number, tikv_slice bytes)
{
    tk_buf_varint(out, number << 3 | TK_WIRE_BYTES);
    tk_buf_varint(out, bytes.len);
    tk_buf_append_slice(out, bytes);
}

static void
number(struct tk_buf *out, uint32_t field_number, uint64_t value)
{
    tk_buf_varint(out, field_number << 3 | TK_WIRE_VARINT);
    tk_buf_varint(out, value);
}

/* BatchCommandsRequest with one BatchCommandsEmptyRequest. */
static void
empty_command(struct tk_buf *out, uint64_t id, uint64_t delay_ms)
{
    struct tk_buf inner;
    struct tk_buf slot;

    tk_buf_init(&inner, MAX_BYTES);
    tk_buf_init(&slot, MAX_BYTES);
    number(&inner, 1, id);
    number(&inner, 2, delay_ms);
    field(&slot, 255, tk_buf_slice(&inner));
    tk_buf_clear(out);
    field(out, 1, tk_buf_slice(&slot));
    number(out, 2, id);
    tk_buf_fini(&inner);
    tk_buf_fini(&slot);
}

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

static int
health(const char *address, int64_t timeout_ms)
{
    struct grpc_client client;
    struct tk_buf nothing;
    struct tk_buf out;
    int status;

    tk_buf_init(&nothing, MAX_BYTES);
    tk_buf_init(&out, MAX_BYTES);
    grpc_client_open(&client, address);
    status = grpc_client_unary(&client, HEALTH, &nothing, timeout_ms, &out);
    if (status == STATUS_OK) {
        assert_int_equal(out.len, 2);
        assert_memory_equal(out.data, "\x08\x01", 2);
    }
    grpc_client_close(&client);
    tk_buf_fini(&out);
    return status;
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
    tikv_cluster *cluster = start(1, 1);
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
    tikv_cluster *first = start(1, 1);
    tikv_cluster *second = NULL;
    char words[64];

    (void)state;
    options.base_port = port_of(tikv_cluster_endpoints(first));
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
    tikv_cluster *cluster = start(3, 3);
    char endpoints[256];
    char *rest = endpoints;
    char *address;
    int members = 0;
    uint64_t i;

    (void)state;
    snprintf(endpoints, sizeof(endpoints), "%s",
             tikv_cluster_endpoints(cluster));
    while ((address = strtok_r(rest, ",", &rest)) != NULL) {
        assert_int_equal(health(address, LONG_MS), STATUS_OK);
        members++;
    }
    assert_int_equal(members, 3);
    for (i = 1; i <= 3; i++) {
        assert_int_equal(health(address_of(cluster, i), LONG_MS), STATUS_OK);
    }
    tikv_cluster_free(cluster);
}

static void
serve__says_what_it_does_not_know(void **state)
{
    tikv_cluster *cluster = start(1, 1);
    struct grpc_client client;
    struct tk_buf request;

    (void)state;
    tk_buf_init(&request, MAX_BYTES);
    grpc_client_open(&client, address_of(cluster, 1));
    assert_int_equal(grpc_client_unary(&client, "/tikvpb.Tikv/Nonsense",
                                       &request, LONG_MS, NULL),
                     STATUS_UNIMPLEMENTED);
    assert_non_null(strstr(client.details, "Nonsense"));
    assert_int_equal(grpc_client_unary(&client, "/pdpb.PD/SyncRegions",
                                       &request, LONG_MS, NULL),
                     STATUS_UNIMPLEMENTED);
    field(&request, 1, tk_slice_text("of.somebody"));
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
    tikv_cluster *cluster = start(1, 1);
    struct grpc_client client;
    struct tk_buf request;
    struct tk_buf out;
    char *value = calloc(1, size);

    (void)state;
    tk_buf_init(&request, MAX_BYTES);
    tk_buf_init(&out, MAX_BYTES);
    field(&request, 3, tk_slice(value, size));
    grpc_client_open(&client, address_of(cluster, 1));
    assert_int_equal(grpc_client_unary(&client, "/tikvpb.Tikv/RawPut",
                                       &request, LONG_MS, &out),
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
    tikv_cluster *cluster = start(1, 1);
    bool seen[COUNT] = { false };
    struct grpc_client_stream stream;
    struct grpc_client client;
    struct tk_buf message;
    size_t answered = 0;
    uint64_t i;

    (void)state;
    tk_buf_init(&message, MAX_BYTES);
    grpc_client_open(&client, address_of(cluster, 1));
    grpc_client_stream_open(&stream, &client, BATCH, LONG_MS);
    for (i = 0; i < COUNT; i++) {
        empty_command(&message, i, i % 100 == 0 ? 20 : 0);
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
    tikv_cluster *cluster = start(1, 1);
    struct grpc_client_stream stream;
    struct grpc_client client;
    struct tk_buf message;

    (void)state;
    tk_buf_init(&message, MAX_BYTES);
    grpc_client_open(&client, address_of(cluster, 1));
    grpc_client_stream_open(&stream, &client, BATCH, LONG_MS);
    empty_command(&message, 1, 0);
    assert_true(grpc_client_stream_send(&stream, &message));
    assert_true(grpc_client_stream_receive(&stream, &message));
    empty_command(&message, 2, 10000);
    assert_true(grpc_client_stream_send(&stream, &message));
    assert_int_equal(grpc_client_stream_end(&stream, true), STATUS_CANCELLED);
    assert_int_equal(health(address_of(cluster, 1), LONG_MS), STATUS_OK);
    grpc_client_close(&client);
    tk_buf_fini(&message);
    tikv_cluster_free(cluster);
}

static void
serve__leaves_a_dropped_answer_to_the_deadline(void **state)
{
    tikv_cluster *cluster = start(1, 1);
    struct grpc_client client;
    struct tk_buf request;

    (void)state;
    tk_buf_init(&request, MAX_BYTES);
    assert_null(tikv_cluster_fault(
        cluster, "on=tikv.RawGet when=first(1) do=drop_response", NULL));
    assert_null(tikv_cluster_fault(
        cluster, "on=tikv.RawPut when=first(1) do=delay(300)", NULL));
    grpc_client_open(&client, address_of(cluster, 1));
    assert_int_equal(grpc_client_unary(&client, "/tikvpb.Tikv/RawGet",
                                       &request, 200, NULL),
                     STATUS_DEADLINE);
    assert_int_equal(grpc_client_unary(&client, "/tikvpb.Tikv/RawPut",
                                       &request, 100, NULL),
                     STATUS_DEADLINE);
    assert_int_equal(grpc_client_unary(&client, "/tikvpb.Tikv/RawGet",
                                       &request, LONG_MS, NULL),
                     STATUS_OK);
    grpc_client_close(&client);
    tk_buf_fini(&request);
    tikv_cluster_free(cluster);
}

/* ---- stores that go and come back ---- */

static void
serve__breaks_connections_when_a_store_stops(void **state)
{
    tikv_cluster *cluster = start(2, 1);
    uint16_t port = port_of(address_of(cluster, 1));
    struct grpc_client_stream stream;
    struct grpc_client client;
    struct tk_buf message;
    int status;

    (void)state;
    tk_buf_init(&message, MAX_BYTES);
    grpc_client_open(&client, address_of(cluster, 1));
    grpc_client_stream_open(&stream, &client, BATCH, LONG_MS);
    empty_command(&message, 1, 0);
    assert_true(grpc_client_stream_send(&stream, &message));
    assert_true(grpc_client_stream_receive(&stream, &message));

    assert_null(tikv_cluster_store_stop(cluster, 1));
    assert_true(is_refused(port));
    assert_false(grpc_client_stream_receive(&stream, &message));
    status = grpc_client_stream_end(&stream, false);
    assert_int_equal(status, STATUS_GONE);

    assert_null(tikv_cluster_store_start(cluster, 1, false));
    assert_int_equal(port_of(address_of(cluster, 1)), port);
    assert_int_equal(health(address_of(cluster, 1), LONG_MS), STATUS_OK);
    tk_buf_clear(&message);
    /* The client that was cut off finds the way back by itself. */
    assert_int_equal(
        grpc_client_unary(&client, HEALTH, &message, LONG_MS, NULL),
        STATUS_OK);
    grpc_client_close(&client);
    tk_buf_fini(&message);
    tikv_cluster_free(cluster);
}

static void
serve__restarts_a_store_on_another_port(void **state)
{
    tikv_cluster *cluster = start(2, 1);
    uint16_t port = port_of(address_of(cluster, 2));
    int i;

    (void)state;
    for (i = 0; i < 5; i++) {
        uint16_t old = port_of(address_of(cluster, 2));

        assert_null(tikv_cluster_store_stop(cluster, 2));
        assert_null(tikv_cluster_store_start(cluster, 2, true));
        assert_int_not_equal(port_of(address_of(cluster, 2)), old);
        assert_true(is_refused(old));
        assert_int_equal(health(address_of(cluster, 2), LONG_MS), STATUS_OK);
    }
    assert_int_not_equal(port_of(address_of(cluster, 2)), port);
    assert_null(tikv_cluster_store_stop(cluster, 2));
    assert_null(tikv_cluster_store_stop(cluster, 2));
    assert_true(is_refused(port_of(address_of(cluster, 2))));
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
    number(&peer, 2, store);
    number(&context, 1, 999999);
    field(&context, 3, tk_buf_slice(&peer));
    field(&request, 1, tk_buf_slice(&context));
    grpc_client_open(&client, address);
    assert_int_equal(grpc_client_unary(&client, "/tikvpb.Tikv/RawGet",
                                       &request, LONG_MS, &out),
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
    tikv_cluster *cluster = start(3, 1);
    uint16_t one = port_of(address_of(cluster, 1));
    uint16_t two = port_of(address_of(cluster, 2));

    (void)state;
    assert_true(is_store(address_of(cluster, 1), 1));
    assert_false(is_store(address_of(cluster, 1), 2));
    assert_null(tikv_cluster_store_swap(cluster, 1, 2));
    assert_int_equal(port_of(address_of(cluster, 1)), two);
    assert_int_equal(port_of(address_of(cluster, 2)), one);
    assert_true(is_store(address_of(cluster, 1), 1));
    assert_false(is_store(address_of(cluster, 2), 1));
    assert_true(is_store(address_of(cluster, 2), 2));
    tikv_cluster_free(cluster);
}

static void
serve__stops_and_starts_pd_members(void **state)
{
    tikv_cluster *cluster = start(1, 3);
    char first[64];

    (void)state;
    snprintf(first, sizeof(first), "%s", tikv_cluster_endpoints(cluster));
    *strchr(first, ',') = '\0';
    assert_null(tikv_cluster_pd_stop(cluster, 0));
    assert_true(is_refused(port_of(first)));
    assert_int_not_equal(tikv_cluster_pd_leader(cluster), 0);
    assert_null(tikv_cluster_pd_start(cluster, 0));
    assert_int_equal(health(first, LONG_MS), STATUS_OK);
    tikv_cluster_free(cluster);
}

/* ---- connections that are no gRPC ---- */

static void
serve__answers_http_and_closes_on_noise(void **state)
{
    static const char request[] = "GET /pd/api/v1/none HTTP/1.1\r\n"
                                  "Host: x\r\n\r\n";
    tikv_cluster *cluster = start(1, 1);
    uint16_t port = port_of(tikv_cluster_endpoints(cluster));
    char answer[512] = "";
    size_t len = 0;
    ssize_t got;
    int fd = plain(port);

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

    fd = plain(port);
    assert_true(fd >= 0);
    assert_int_equal(send(fd, "\x16\x03\x01", 3, MSG_NOSIGNAL), 3);
    assert_true(recv(fd, answer, sizeof(answer), 0) <= 0);
    close(fd);
    fd = plain(port); /* says nothing: must not keep the cluster alive */
    tikv_cluster_free(cluster);
    assert_true(recv(fd, answer, sizeof(answer), 0) <= 0);
    close(fd);
}

/* ---- ends ---- */

static int
descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;

    while (readdir(dir) != NULL) {
        count++;
    }
    closedir(dir);
    return count;
}

static void
serve__starts_and_stops_a_hundred_times(void **state)
{
    struct grpc_client client;
    struct tk_buf nothing;
    int before;
    int i;

    (void)state;
    tk_buf_init(&nothing, MAX_BYTES);
    tikv_cluster_free(start(3, 3));
    before = descriptors();
    for (i = 0; i < 100; i++) {
        tikv_cluster *cluster = start(3, i % 3 == 0 ? 3 : 1);

        if (i % 4 == 0) {
            grpc_client_open(&client, address_of(cluster, 2));
            assert_int_equal(
                grpc_client_unary(&client, HEALTH, &nothing, LONG_MS, NULL),
                STATUS_OK);
            tikv_cluster_free(cluster);
            grpc_client_close(&client);
        } else {
            tikv_cluster_free(cluster);
        }
    }
    assert_int_equal(descriptors(), before);
}

static void
serve__ends_under_calls_in_flight(void **state)
{
    tikv_cluster *cluster = start(1, 1);
    struct grpc_client_stream streams[16];
    struct grpc_client client;
    struct tk_buf message;
    int i;

    (void)state;
    tk_buf_init(&message, MAX_BYTES);
    assert_null(
        tikv_cluster_fault(cluster, "on=tikv.RawGet do=delay(100000)", NULL));
    grpc_client_open(&client, address_of(cluster, 1));
    for (i = 0; i < 16; i++) {
        bool unary = i % 2 == 0;

        grpc_client_stream_open(&streams[i], &client,
                                unary ? "/tikvpb.Tikv/RawGet" : BATCH,
                                LONG_MS);
        empty_command(&message, 1, 100000);
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
            empty_command(&message, (uint64_t)i, 0);
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
    tikv_cluster *cluster = start(2, 1);
    struct load loads[THREADS];
    pthread_t threads[THREADS];
    int i;

    (void)state;
    for (i = 0; i < THREADS; i++) {
        memset(&loads[i], 0, sizeof(loads[i]));
        snprintf(loads[i].address, sizeof(loads[i].address), "%s",
                 address_of(cluster, 1));
        assert_int_equal(
            pthread_create(&threads[i], NULL, load_run, &loads[i]), 0);
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

static int
setup(void **state)
{
    grpc_init();
    return harness_leak_begin(state);
}

static int
teardown(void **state)
{
    int status = harness_leak_end(state);

    grpc_shutdown_blocking();
    return status;
}

#define serve_test(function)                                                   \
    cmocka_unit_test_setup_teardown(function, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        serve_test(serve__refuses_options_that_make_no_sense),
        serve_test(serve__checks_every_argument),
        serve_test(serve__names_the_port_that_is_in_use),
        serve_test(serve__is_healthy_on_every_port),
        serve_test(serve__says_what_it_does_not_know),
        serve_test(serve__takes_messages_larger_than_grpc_does_by_default),
        serve_test(serve__answers_every_request_of_a_stream_once),
        serve_test(serve__lets_a_client_cancel),
        serve_test(serve__leaves_a_dropped_answer_to_the_deadline),
        serve_test(serve__breaks_connections_when_a_store_stops),
        serve_test(serve__restarts_a_store_on_another_port),
        serve_test(serve__swaps_the_addresses_of_two_stores),
        serve_test(serve__stops_and_starts_pd_members),
        serve_test(serve__answers_http_and_closes_on_noise),
        harness_test(serve__starts_and_stops_a_hundred_times),
        serve_test(serve__comes_back_under_load),
        serve_test(serve__ends_under_calls_in_flight),
    };

    return harness_run(tests);
}
