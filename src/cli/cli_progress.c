/* SPDX-License-Identifier: Apache-2.0 */
/* A line of progress with rate and time to go, on a terminal only. */
#include "cli_progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include <tikv/base.h>

#define SECOND 1000000000

void
cli_progress_init(struct cli_progress *progress, const char *what,
                  uint64_t total)
{
    progress->what = what;
    progress->total = total;
    progress->started_ns = tikv_now_ns();
    progress->shown_ns = progress->started_ns;
    progress->is_terminal = isatty(STDERR_FILENO) != 0;
    progress->was_shown = false;
}

static void
draw_bar(double share)
{
    enum { WIDTH = 24 };
    int i;

    fputc('[', stderr);
    for (i = 0; i < WIDTH; i++) {
        fputc((double)i < share * WIDTH ? '#' : '.', stderr);
    }
    fputc(']', stderr);
}

void
cli_progress_show(struct cli_progress *progress, uint64_t pairs,
                  uint64_t part)
{
    int64_t now = tikv_now_ns();
    double seconds = (double)(now - progress->started_ns) / SECOND;

    if (!progress->is_terminal || now - progress->shown_ns < SECOND / 10) {
        return;
    }
    progress->shown_ns = now;
    progress->was_shown = true;
    fputs("\r\033[K", stderr);
    if (progress->total > 0 && part > 0) {
        double share = (double)part / (double)progress->total;

        share = share > 1 ? 1 : share;
        draw_bar(share);
        fprintf(stderr, " %3.0f%%  ETA %.0f s  ", share * 100,
                seconds * (1 - share) / share);
    }
    fprintf(stderr, "%" PRIu64 " pairs %s, %.0f/s", pairs, progress->what,
            (double)pairs / seconds);
    fflush(stderr);
}

void
cli_progress_end(struct cli_progress *progress)
{
    if (progress->was_shown) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
}
