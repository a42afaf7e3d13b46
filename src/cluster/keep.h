/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What makes a cluster outlive its process. Changes are told to a journal
 * under the cluster's lock; a thread takes what was told since it last
 * looked, always between two holds of the lock, and appends it to the log as
 * one frame: what happened under one hold is there as a whole or not at all,
 * and everything that waits shares one sync. Answers wait until what they
 * have seen is kept:
 *
 *     told --take--> group --append, sync--> kept --> answers go out
 *
 * A mark is a place in the stream of all that was told. Where nothing is
 * kept there is no keeper, and every mark is 0.
 *
 * When the disk fails, answers that wait are broken off like those of a
 * store that dies, later writes are refused as DiskFull before they do
 * anything, and the group is tried again until it is kept.
 */
#ifndef TK_CLUSTER_KEEP_H
#define TK_CLUSTER_KEEP_H

#include "cluster/inner.h"
#include "cluster/journal.h"
#include "cluster/wal.h"

/* An answer that waits. */
struct tk_cl_held {
    struct tk_cl_held *next;
    struct tk_cluster_call *call;
    uint64_t mark;
    int status;
    struct tk_buf out;
    char text[160];
};

enum tk_cl_checkpoint {
    TK_CL_CHECKPOINT_NONE,
    TK_CL_CHECKPOINT_DATA, /* piece by piece */
    TK_CL_CHECKPOINT_END   /* all pieces are written */
};

struct tk_cl_keeper {
    struct tk_cluster *cluster;
    /* Guarded by the cluster's lock. */
    struct tk_buf records; /* told and not taken, behind room for a head */
    uint64_t taken;        /* marks */
    uint64_t kept;
    struct tk_cl_numbers told;
    struct tk_cl_held *held; /* in order of marks */
    struct tk_cl_held **held_end;
    struct tk_parker *sleeper; /* the thread's own; NULL: none yet */
    bool is_failing;
    bool is_closing;
    /* Of the thread, or of who steps in its place. */
    struct tk_thread *thread;
    struct tk_wal *wal;
    struct tk_buf group; /* taken and not kept */
    struct tk_buf frame; /* of a checkpoint */
    struct tk_dump dump;
    enum tk_cl_checkpoint checkpoint;
    uint64_t limit;   /* of the log: what is less makes no checkpoint */
    uint64_t due;     /* size of the log that makes the next one */
    bool steps_alone; /* no thread */
    bool is_ready;    /* tk_cl_keep_start() is through */
};

/* Makes, or finds, what `params` ask for; `found` is `params` with what the
 * directory knows. *out stays NULL when nothing is to be kept. */
tikv_error *
tk_cl_keep_open(const struct tk_cluster_params *params,
                struct tk_cluster_params *found, struct tk_cl_keeper **out);

/* Before anybody else has the cluster: brings it to what the directory
 * holds, or that to what the cluster is. The cluster's from now on. */
tikv_error *
tk_cl_keep_start(struct tk_cluster *cluster, struct tk_cl_keeper *keeper);

/* Everything told is kept, if that can be; all answers are given. */
void
tk_cl_keep_stop(struct tk_cluster *cluster);

void
tk_cl_keep_free(struct tk_cl_keeper *keeper);

/* ---- keep.c, between its files ---- */

enum tk_cl_step
tk_cl_keep_step(struct tk_cl_keeper *keeper);

/* What the directory holds, into a cluster that keeps nothing. */
tikv_error *
tk_cl_keep_recover(struct tk_cluster *cluster, struct tk_wal *wal);

/* One checkpoint from beginning to end, nobody else there; -errno. */
int
tk_cl_keep_whole(struct tk_cl_keeper *keeper);

bool
tk_cl_keep_spawn(struct tk_cl_keeper *keeper);

/* Empty, but for the room of a head. */
void
tk_cl_keep_clear(struct tk_buf *frame);

#endif
