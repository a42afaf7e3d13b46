/* SPDX-License-Identifier: Apache-2.0 */
/* Faults of a served cluster: cuts in the network as sockets see them, and
 * the language of commands from C. */
#include "harness/harness.h"

#include <tikv/cluster.h>
#include <tikv/error.h>

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
        cmocka_unit_test(cut__lets_nobody_in_until_healed),
        cmocka_unit_test(cut__needs_parties),
        cmocka_unit_test(command__answers_in_one_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
