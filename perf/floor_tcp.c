/* SPDX-License-Identifier: Apache-2.0 */
/* Bare TCP: ping-pong and pipelined echo over loopback. */
#include "floor.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MESSAGE = 100, BLOCK = 65536 };

static void
fail(const char *what)
{
    perror(what);
    exit(1);
}

static int
listen_anywhere(struct sockaddr_in *address)
{
    socklen_t len = sizeof(*address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    memset(address, 0, sizeof(*address));
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)address, len) != 0 ||
        listen(fd, 1) != 0 ||
        getsockname(fd, (struct sockaddr *)address, &len) != 0) {
        fail("perf-floor: listen");
    }
    return fd;
}

static bool
write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t done = write(fd, data, len);

        if (done <= 0) {
            return false;
        }
        data += done;
        len -= (size_t)done;
    }
    return true;
}

static void
echo(int listener)
{
    static char block[BLOCK];
    int one = 1, fd = accept(listener, NULL, NULL);
    ssize_t len;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    while ((len = read(fd, block, sizeof(block))) > 0 &&
           write_all(fd, block, (size_t)len)) {
    }
    _exit(0);
}

void
floor_tcp(struct floor_result *result, unsigned depth, unsigned seconds)
{
    static char out[MESSAGE * 256], in[MESSAGE * 256];
    struct sockaddr_in address;
    struct usage from, to;
    int one = 1, fd, listener = listen_anywhere(&address);
    pid_t child = fork();

    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        echo(listener);
    }
    close(listener);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (child < 0 || fd < 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        fail("perf-floor: connect");
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    result->operations = 0;
    usage_now(&from);
    do {
        size_t got = 0, want = (size_t)depth * MESSAGE;

        if (!write_all(fd, out, want)) {
            fail("perf-floor: write");
        }
        while (got < want) {
            ssize_t len = read(fd, in, want - got);

            if (len <= 0) {
                fail("perf-floor: read");
            }
            got += (size_t)len;
        }
        result->operations += depth;
    } while (usage_clock() - from.wall_ns < (int64_t)seconds * 1000000000);
    usage_now(&to);
    result->usage = usage_between(&from, &to);
    close(fd);
    waitpid(child, NULL, 0);
}
