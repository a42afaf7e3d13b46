/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of tikv-playground: options; starting and ending; commands. */
#ifndef PLAYGROUND_H
#define PLAYGROUND_H

#include <tikv/cluster.h>
#include <tikv/tikv.h>

/* Exit statuses. */
enum { EXIT_OK = 0, EXIT_USAGE = 2, EXIT_CLUSTER = 3 };

enum { PLAYGROUND_FAULTS_MAX = 256 };

struct playground_options {
    tikv_cluster_options cluster;
    char *faults[PLAYGROUND_FAULTS_MAX];
    char *places[PLAYGROUND_FAULTS_MAX]; /* "FILE:LINE"; NULL: an option */
    size_t faults_count;
    bool control;
    bool done; /* help or version was asked for, and shown */
};

/* An exit status; what is wrong has been printed. Free in any case. */
int
playground_options_read(struct playground_options *options, int argc,
                        char **argv);

void
playground_options_free(struct playground_options *options);

/* Executes one command line, which is changed, and prints its one line of
 * answer. False: the command was to end. */
bool
playground_command(tikv_cluster *cluster, char *line);

#endif
