/* SPDX-License-Identifier: Apache-2.0 */
/* A line of progress with rate and time to go, on a terminal only. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct cli_progress {
    const char *what;  /* "imported" */
    uint64_t total;    /* of whatever `part` counts; 0: not known */
    int64_t started_ns;
    int64_t shown_ns;
    bool is_terminal;
    bool was_shown;
};

void
cli_progress_init(struct cli_progress *progress, const char *what,
                  uint64_t total);

/* `pairs` so far, `part` of the total. Draws ten times a second. */
void
cli_progress_show(struct cli_progress *progress, uint64_t pairs,
                  uint64_t part);

/* Wipes the line. */
void
cli_progress_end(struct cli_progress *progress);

#endif
