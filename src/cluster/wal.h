/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log with checkpoints, of bytes whose meaning is its owner's. Appended
 * frames are there after a crash, whole and in order, or not there; a
 * checkpoint makes what was before it needless. In the directory:
 *
 *     log-N          frames since checkpoint N began
 *     checkpoint-N   frames that make what was then, and marks its own end
 *
 * N goes up. While a checkpoint is written appending goes on, in the next
 * log; it takes effect by a rename, and then older files are removed. What
 * it holds may be newer than its beginning, so frames of the log that follow
 * must say what is, not what to add. Frames have checksums: a last one that
 * was not written to its end is dropped, other damage is an error.
 *
 * One thread at a time. Numbers below 0 are negative errno.
 */
#ifndef TK_CLUSTER_WAL_H
#define TK_CLUSTER_WAL_H

#include "base/buf.h"
#include "cluster/disk.h"

/* A frame is built in a buffer that begins with so many bytes for the log. */
enum { TK_WAL_HEAD = 12 };

struct tk_wal {
    struct tk_disk *disk;
    bool syncs;        /* appended is safe from the machine's end, too */
    uint64_t first;    /* of the logs that are needed; 0: it is new */
    uint64_t number;   /* of the log that is written */
    int log;           /* handle; -1: none */
    uint64_t end;      /* of its frames */
    uint64_t before;   /* bytes of needed logs before it */
    int checkpoint;    /* handle, while one is written; else -1 */
    uint64_t written;  /* of it, or of the last one */
    uint64_t stale;    /* the first old number that may still be there */
    uint64_t dropped;  /* bytes of a frame that was not whole */
};

/* Takes the disk, also when it fails: in use, foreign, of another format. */
tikv_error *
tk_wal_open(struct tk_disk *disk, bool syncs, struct tk_wal **out);

void
tk_wal_close(struct tk_wal *wal);

/* There is nothing to read, and no checkpoint yet. */
static inline bool
tk_wal_is_new(const struct tk_wal *wal)
{
    return wal->first == 0;
}

/* Every frame in order, the checkpoint's first; stops at the first error.
 * Once, before anything is written. */
tikv_error *
tk_wal_read(struct tk_wal *wal, tikv_error *(*each)(void *arg, tikv_slice),
            void *arg);

/* The first frame, that of the owner's choice: before tk_wal_read(). */
tikv_error *
tk_wal_read_head(struct tk_wal *wal,
                 tikv_error *(*each)(void *arg, tikv_slice), void *arg);

/* `frame` with its head. After an error the same frame may be tried again,
 * and no other. */
int
tk_wal_append(struct tk_wal *wal, struct tk_buf *frame);

/* Begins a checkpoint of what has been appended by now. */
int
tk_wal_rotate(struct tk_wal *wal);

/* One frame more of it. */
int
tk_wal_checkpoint(struct tk_wal *wal, struct tk_buf *frame);

/* It is whole and holds nothing that was not appended by now. */
int
tk_wal_checkpoint_end(struct tk_wal *wal);

void
tk_wal_checkpoint_drop(struct tk_wal *wal);

/* What a recovery would read after the checkpoint. */
static inline uint64_t
tk_wal_log_bytes(const struct tk_wal *wal)
{
    return wal->before + wal->end;
}

/* ---- wal_read.c ---- */

/* Files begin with magic, version, kind, number, checksum. */
enum { TK_WAL_START = 32, TK_WAL_VERSION = 1, TK_WAL_NAME_MAX = 40 };
enum tk_wal_kind { TK_WAL_LOG = 1, TK_WAL_CHECKPOINT = 2 };

/* The last frame of a checkpoint has this bit in its length. */
#define TK_WAL_LAST UINT32_C(0x80000000)

void
tk_wal_name(char name[TK_WAL_NAME_MAX], enum tk_wal_kind kind,
            uint64_t number);

void
tk_wal_fill_start(uint8_t start[TK_WAL_START], enum tk_wal_kind kind,
                  uint64_t number);

/* Checksums of a frame at a place of a file. */
void
tk_wal_fill_head(uint8_t *frame, size_t len, uint32_t flags, uint64_t number,
                 uint64_t at);

#endif
