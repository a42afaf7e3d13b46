/* SPDX-License-Identifier: Apache-2.0 */
/* The two halves of tikv-playground: starting and ending; commands. */
#ifndef PLAYGROUND_H
#define PLAYGROUND_H

#include <tikv/cluster.h>
#include <tikv/tikv.h>

/* A whole decimal number in [low, high]. */
bool
playground_number(const char *text, uint64_t low, uint64_t high, uint64_t *out);

/* Executes one command line, which is changed, and prints its one line of
 * answer. False: the command was to end. */
bool
playground_command(tikv_cluster *cluster, char *line);

#endif
