/* SPDX-License-Identifier: Apache-2.0 */
/* Commands on the standard input of a playground: one line each, one line of
 * answer. The language is the library's, but for "quit". */
#include "playground.h"

#include <stdio.h>
#include <string.h>

enum { ANSWER_BYTES = 1024 * 1024 };

bool
playground_command(tikv_cluster *cluster, char *line)
{
    static char answer[ANSWER_BYTES];

    line += strspn(line, " \t");
    if (*line == '\0' || *line == '#') {
        return true;
    }
    if (strcmp(line, "quit") == 0) {
        (void)puts("ok");
        return false;
    }
    (void)tikv_cluster_command(cluster, line, answer, sizeof(answer));
    (void)puts(answer);
    return true;
}
