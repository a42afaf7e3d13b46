/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tikv-playground --data, killed at random moments under load: every write
 * that was acknowledged is there in its next life, transactions are there
 * whole or not at all, timestamps go up, regions that were split stay so.
 * TK_KILLS says how often, 8 times if it does not; `make kills` 200 times.
 *
 * timeout: 900
 */
#include "harness/harness.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fixture/load.h"
#include "fixture/playground.h"

enum { WORKERS = 4, NODES = 1 + LOAD_STORES };

struct kills {
    struct load_shared shared;
    struct load_worker workers[WORKERS];
    struct playground playground;
    char directory[64];
    char port[16];
    uint64_t dice;
    unsigned long regions;
};

static uint64_t
dice(struct kills *kills)
{
    kills->dice = kills->dice * UINT64_C(6364136223846793005) +
                  UINT64_C(1442695040888963407);
    return kills->dice >> 33;
}

static bool
is_free(uint16_t port)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(port) };
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
    is = bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    close(fd);
    return is;
}

/* So many in a row, below those that the system gives to others. */
static unsigned
free_ports(struct kills *kills)
{
    for (;;) {
        unsigned port = 12000 + (unsigned)(dice(kills) % 19000);
        unsigned i = 0;

        while (i < NODES && is_free((uint16_t)(port + i))) {
            i++;
        }
        if (i == NODES) {
            return port;
        }
    }
}

/* ---- one life ---- */

static void
start(struct kills *kills)
{
    const char *arguments[] = {
        "--data",    kills->directory, "--port",     kills->port,
        "--stores",  "3",              "--regions",  "4",
        "--data-log", "1",             NULL
    };
    char answer[64];
    unsigned i;

    assert_non_null(playground_program());
    assert_true(playground_start(&kills->playground, playground_program(),
                                 arguments));
    /* The same address in every life. */
    if (kills->shared.pd[0] != '\0') {
        assert_string_equal(kills->shared.pd, kills->playground.endpoints);
    }
    (void)snprintf(kills->shared.pd, sizeof(kills->shared.pd), "%s",
                   kills->playground.endpoints);
    for (i = 0; i < LOAD_STORES; i++) {
        assert_true(playground_ask(
            &kills->playground, kills->shared.stores[i],
            sizeof(kills->shared.stores[i]), "store address %u", i + 1));
    }
    assert_true(playground_ask(&kills->playground, answer, sizeof(answer),
                               "regions"));
    /* A last split may have been done and not answered. */
    assert_in_range(strtoul(answer, NULL, 10), kills->regions,
                    kills->regions + 1);
    kills->regions = strtoul(answer, NULL, 10);
}

static void
check_all(struct kills *kills)
{
    unsigned i;

    for (i = 0; i < WORKERS; i++) {
        load_open(&kills->workers[i]);
        if (!load_meet(&kills->workers[i]) ||
            !load_check(&kills->workers[i])) {
            fail_msg("%s", kills->workers[i].wrong);
        }
    }
}

static void *
work(void *arg)
{
    return load_run(arg) ? NULL : arg;
}

/* Splits that are acknowledged count. */
static void
split(struct kills *kills)
{
    if (playground_ask(&kills->playground, NULL, 0, "split %02x%06x",
                       (unsigned)(dice(kills) % 250),
                       (unsigned)(dice(kills) & 0xffffff))) {
        kills->regions++;
    }
}

/* Everything is under way when the kill comes, after so many milliseconds. */
static void
run_and_kill(struct kills *kills)
{
    pthread_t threads[WORKERS];
    int ms = 1 + (int)(dice(kills) % 150);
    struct pollfd watched;
    void *failed;
    unsigned i;

    watched.fd = fileno(kills->playground.answers);
    watched.events = POLLIN;
    for (i = 0; i < WORKERS; i++) {
        assert_int_equal(
            pthread_create(&threads[i], NULL, work, &kills->workers[i]), 0);
    }
    if (kills->regions < 200) {
        split(kills);
    }
    /* It has nothing to say, unless it ends by itself. */
    assert_int_equal(poll(&watched, 1, ms), 0);
    assert_int_equal(kill(kills->playground.pid, SIGKILL), 0);
    (void)playground_stop(&kills->playground);
    for (i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        if (failed != NULL) {
            fail_msg("%s", kills->workers[i].wrong);
        }
        load_close(&kills->workers[i]);
    }
}

static void
kills__lose_nothing_that_was_acknowledged(void **state)
{
    static struct kills kills;
    const char *text = getenv("TK_KILLS");
    int count = text == NULL ? 8 : (int)strtol(text, NULL, 10);
    char command[128];
    unsigned i;
    int round;

    (void)state;
    if (playground_program() == NULL) {
        print_message("needs tikv-playground\n");
        skip();
    }
    grpc_init();
    kills.dice = (uint64_t)getpid();
    kills.regions = 4;
    (void)snprintf(kills.directory, sizeof(kills.directory),
                   "/tmp/tikv-kills-XXXXXX");
    assert_non_null(mkdtemp(kills.directory));
    (void)snprintf(kills.port, sizeof(kills.port), "%u", free_ports(&kills));
    for (i = 0; i < WORKERS; i++) {
        load_init(&kills.workers[i], &kills.shared, i + 1);
    }
    for (round = 0; round < count; round++) {
        start(&kills);
        check_all(&kills);
        run_and_kill(&kills);
    }
    start(&kills);
    check_all(&kills);
    for (i = 0; i < WORKERS; i++) {
        load_close(&kills.workers[i]);
    }
    assert_true(playground_stop(&kills.playground));
    print_message("# %d kills, %llu writes acknowledged, %lu regions\n",
                  count, (unsigned long long)kills.shared.acknowledged,
                  kills.regions);
    assert_true(kills.shared.acknowledged > 0);
    (void)snprintf(command, sizeof(command), "rm -r %s", kills.directory);
    assert_int_equal(system(command), 0);
    grpc_shutdown_blocking();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kills__lose_nothing_that_was_acknowledged),
    };

    return harness_run(tests);
}
