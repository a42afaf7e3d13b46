/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tikv-playground: an embedded cluster that runs until it is told to end.
 * The main thread waits for a signal and, when asked to, for commands on the
 * standard input; the threads of the cluster never see the signals.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "playground.h"

#define LINE_BYTES 65536

struct playground {
    struct playground_options options;
    tikv_cluster *cluster;
    int signal_fd;
    char line[LINE_BYTES];
    size_t line_len;
    bool line_skipped; /* the rest of a line that was too long */
};

/* Takes the error; `about` may be empty. */
static int
fail(const char *about, tikv_error *error)
{
    int status =
        tikv_error_code(error) == TIKV_ERR_ARGUMENT ? EXIT_USAGE : EXIT_CLUSTER;

    (void)fprintf(stderr, "tikv-playground: %s%s%s\n", about,
                  about[0] == '\0' ? "" : ": ", tikv_error_message(error));
    tikv_error_free(error);
    return status;
}

/* Before any thread is started, so that all of them inherit the mask. */
static bool
catch_signals(struct playground *playground)
{
    sigset_t ending;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&ending);
    (void)sigaddset(&ending, SIGTERM);
    (void)sigaddset(&ending, SIGINT);
    if (sigprocmask(SIG_BLOCK, &ending, NULL) != 0) {
        return false;
    }
    playground->signal_fd = signalfd(-1, &ending, SFD_CLOEXEC);
    return playground->signal_fd >= 0;
}

/* Every whole line in the buffer. False: end. */
static bool
run_lines(struct playground *playground)
{
    char *start = playground->line;
    char *end = start + playground->line_len;
    bool go_on = true;

    while (go_on && start < end) {
        char *stop = memchr(start, '\n', (size_t)(end - start));

        if (stop == NULL) {
            break;
        }
        *stop = '\0';
        if (playground->line_skipped) {
            (void)printf("error line too long\n");
            playground->line_skipped = false;
        } else if (strlen(start) != (size_t)(stop - start)) {
            (void)printf("error a zero byte in the line\n");
        } else {
            start[strcspn(start, "\r")] = '\0';
            go_on = playground_command(playground->cluster, start);
        }
        start = stop + 1;
    }
    playground->line_len = (size_t)(end - start);
    memmove(playground->line, start, playground->line_len);
    if (playground->line_len == LINE_BYTES) {
        playground->line_skipped = true;
        playground->line_len = 0;
    }
    return fflush(stdout) == 0 && go_on;
}

/* False: end, also with the standard input. */
static bool
read_commands(struct playground *playground)
{
    ssize_t len = read(STDIN_FILENO, playground->line + playground->line_len,
                       LINE_BYTES - playground->line_len);

    if (len < 0 && (errno == EINTR || errno == EAGAIN)) {
        return true;
    }
    if (len <= 0) {
        return false;
    }
    playground->line_len += (size_t)len;
    return run_lines(playground);
}

static void
wait_for_end(struct playground *playground)
{
    struct pollfd watched[2] = {
        { .fd = playground->signal_fd, .events = POLLIN },
        { .fd = playground->options.control ? STDIN_FILENO : -1,
          .events = POLLIN },
    };

    for (;;) {
        if (poll(watched, 2, -1) < 0 && errno != EINTR) {
            return;
        }
        if (watched[0].revents != 0) {
            return;
        }
        if (watched[1].revents != 0 && !read_commands(playground)) {
            return;
        }
    }
}

static int
serve(struct playground *playground)
{
    tikv_error *error;
    size_t i;

    if (!catch_signals(playground)) {
        (void)fprintf(stderr, "tikv-playground: signals: %s\n",
                      strerror(errno));
        return EXIT_CLUSTER;
    }
    error = tikv_cluster_start(&playground->options.cluster,
                               &playground->cluster);
    if (error != NULL) {
        return fail("", error);
    }
    for (i = 0; i < playground->options.faults_count; i++) {
        const char *rule = playground->options.faults[i];
        const char *place = playground->options.places[i];

        error = tikv_cluster_fault(playground->cluster, rule, NULL);
        if (error != NULL) {
            return fail(place != NULL ? place : rule, error);
        }
    }
    if (printf("ready pd=%s\n", tikv_cluster_endpoints(playground->cluster)) <
            0 ||
        fflush(stdout) != 0) {
        (void)fprintf(stderr, "tikv-playground: standard output: %s\n",
                      strerror(errno));
        return EXIT_CLUSTER;
    }
    wait_for_end(playground);
    return EXIT_OK;
}

int
main(int argc, char **argv)
{
    struct playground *playground = calloc(1, sizeof(*playground));
    int status;

    if (playground == NULL) {
        return EXIT_CLUSTER;
    }
    playground->signal_fd = -1;
    status = playground_options_read(&playground->options, argc, argv);
    if (status == EXIT_OK && !playground->options.done) {
        status = serve(playground);
    }
    tikv_cluster_free(playground->cluster);
    playground_options_free(&playground->options);
    if (playground->signal_fd >= 0) {
        (void)close(playground->signal_fd);
    }
    free(playground);
    return status;
}
