/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One directory of files, as the log of a cluster uses it: read, written and
 * cut at places, synced, renamed. A table of functions, so that a test can
 * put a directory in memory under the log, whose writes fail and whose power
 * goes off. Numbers below 0 are negative errno. One thread at a time.
 */
#ifndef TK_CLUSTER_DISK_H
#define TK_CLUSTER_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tikv/error.h>

struct tk_disk;

struct tk_disk_ops {
    /* Nobody else has the directory from now on. -EWOULDBLOCK: somebody
     * has. */
    int (*lock)(struct tk_disk *);

    /* Every name but the lock's. */
    int (*list)(struct tk_disk *, void (*)(void *arg, const char *), void *);

    /* A handle, from 0. A file that is created is empty. */
    int (*open)(struct tk_disk *, const char *name, bool create);
    void (*close)(struct tk_disk *, int file);

    int64_t (*size)(struct tk_disk *, int file);

    /* Bytes read: less than `len` at the end only. */
    int64_t (*read)(struct tk_disk *, int file, uint64_t at, void *, size_t);

    /* All of them, or an error and nobody knows how many. */
    int (*write)(struct tk_disk *, int file, uint64_t at, const void *,
                 size_t);
    int (*cut)(struct tk_disk *, int file, uint64_t size);
    int (*sync)(struct tk_disk *, int file);

    /* Names: they are safe after sync_names(). */
    int (*rename)(struct tk_disk *, const char *from, const char *to);
    int (*remove)(struct tk_disk *, const char *name);
    int (*sync_names)(struct tk_disk *);
    void (*free)(struct tk_disk *);
};

struct tk_disk {
    const struct tk_disk_ops *ops;
    const char *name; /* for messages */
};

/* A directory, made when it is missing (its parent is not). */
tikv_error *
tk_disk_open(const char *path, struct tk_disk **out);

#endif
