/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing the log: appending, and checkpoints beside it. A frame that could
 * not be written stays the next one to be written, at the same place, so no
 * failure leaves a hole. Everything a name promises is synced before the
 * name: first the files, then the rename, then the directory.
 */
#include "cluster/wal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

void
tk_wal_name(char name[TK_WAL_NAME_MAX], enum tk_wal_kind kind,
            uint64_t number)
{
    (void)snprintf(name, TK_WAL_NAME_MAX, "%s-%016llx",
                   kind == TK_WAL_LOG ? "log" : "checkpoint",
                   (unsigned long long)number);
}

/* What has another ending is removed when the directory is opened. */
static void
unfinished_name(char name[TK_WAL_NAME_MAX], uint64_t number)
{
    (void)snprintf(name, TK_WAL_NAME_MAX, "checkpoint-%016llx.new",
                   (unsigned long long)number);
}

/* A file with nothing but its start; a handle. */
static int
create(struct tk_wal *wal, const char *name, enum tk_wal_kind kind,
       uint64_t number)
{
    const struct tk_disk_ops *ops = wal->disk->ops;
    uint8_t start[TK_WAL_START];
    int file = ops->open(wal->disk, name, true);
    int result;

    if (file < 0) {
        return file;
    }
    tk_wal_fill_start(start, kind, number);
    result = ops->write(wal->disk, file, 0, start, sizeof(start));
    if (result == 0) {
        result = ops->sync(wal->disk, file);
    }
    if (result < 0) {
        ops->close(wal->disk, file);
        (void)ops->remove(wal->disk, name);
        return result;
    }
    return file;
}

static int
put_frame(struct tk_wal *wal, int file, uint64_t number, uint64_t at,
          struct tk_buf *frame, uint32_t flags)
{
    size_t len = frame->len - TK_WAL_HEAD;

    if (frame->failed || len >= TK_WAL_LAST) {
        return -EFBIG;
    }
    tk_wal_fill_head(frame->data, len, flags, number, at);
    return wal->disk->ops->write(wal->disk, file, at, frame->data,
                                 frame->len);
}

int
tk_wal_append(struct tk_wal *wal, struct tk_buf *frame)
{
    const struct tk_disk_ops *ops = wal->disk->ops;
    int result = put_frame(wal, wal->log, wal->number, wal->end, frame, 0);

    if (result == 0 && wal->syncs) {
        result = ops->sync(wal->disk, wal->log);
    }
    if (result < 0) {
        (void)ops->cut(wal->disk, wal->log, wal->end);
        return result;
    }
    wal->end += frame->len;
    return 0;
}

int
tk_wal_rotate(struct tk_wal *wal)
{
    const struct tk_disk_ops *ops = wal->disk->ops;
    uint64_t number = wal->number + 1;
    char name[TK_WAL_NAME_MAX];
    int checkpoint;
    int log;

    unfinished_name(name, number);
    checkpoint = create(wal, name, TK_WAL_CHECKPOINT, number);
    if (checkpoint < 0) {
        return checkpoint;
    }
    tk_wal_name(name, TK_WAL_LOG, number);
    log = create(wal, name, TK_WAL_LOG, number);
    /* Its name before its first frame: else a crash loses them with it. */
    if (log >= 0 && ops->sync_names(wal->disk) < 0) {
        ops->close(wal->disk, log);
        (void)ops->remove(wal->disk, name);
        log = -EIO;
    }
    if (log < 0) {
        ops->close(wal->disk, checkpoint);
        unfinished_name(name, number);
        (void)ops->remove(wal->disk, name);
        return log;
    }
    if (wal->log >= 0) {
        if (!wal->syncs) {
            (void)ops->sync(wal->disk, wal->log);
        }
        ops->close(wal->disk, wal->log);
        wal->before += wal->end;
    }
    wal->log = log;
    wal->end = TK_WAL_START;
    wal->number = number;
    wal->checkpoint = checkpoint;
    wal->written = TK_WAL_START;
    return 0;
}

int
tk_wal_checkpoint(struct tk_wal *wal, struct tk_buf *frame)
{
    int result = put_frame(wal, wal->checkpoint, wal->number, wal->written,
                           frame, 0);

    if (result == 0) {
        wal->written += frame->len;
    }
    return result;
}

/* Whatever is older than the first log. What cannot be removed now is tried
 * again with the next checkpoint, or when the directory is opened. */
static void
remove_stale(struct tk_wal *wal)
{
    char name[TK_WAL_NAME_MAX];

    for (; wal->stale < wal->first; wal->stale++) {
        tk_wal_name(name, TK_WAL_CHECKPOINT, wal->stale);
        (void)wal->disk->ops->remove(wal->disk, name);
        tk_wal_name(name, TK_WAL_LOG, wal->stale);
        (void)wal->disk->ops->remove(wal->disk, name);
    }
}

/* The last frame says how much of the log the ones before it rely on. */
static int
put_last(struct tk_wal *wal)
{
    struct tk_buf last;
    uint8_t *bytes;
    int result = -ENOMEM;
    int i;

    tk_buf_init(&last, TK_WAL_HEAD + 8);
    bytes = tk_buf_grow(&last, TK_WAL_HEAD + 8);
    if (bytes != NULL) {
        for (i = 0; i < 8; i++) {
            bytes[TK_WAL_HEAD + i] = (uint8_t)(wal->end >> (8 * i));
        }
        result = put_frame(wal, wal->checkpoint, wal->number, wal->written,
                           &last, TK_WAL_LAST);
    }
    if (result == 0) {
        wal->written += last.len;
    }
    tk_buf_fini(&last);
    return result;
}

int
tk_wal_checkpoint_end(struct tk_wal *wal)
{
    const struct tk_disk_ops *ops = wal->disk->ops;
    char from[TK_WAL_NAME_MAX];
    char to[TK_WAL_NAME_MAX];
    int result = put_last(wal);

    if (result == 0) {
        result = ops->sync(wal->disk, wal->checkpoint);
    }
    if (result == 0 && !wal->syncs) {
        result = ops->sync(wal->disk, wal->log);
    }
    if (result == 0) {
        unfinished_name(from, wal->number);
        tk_wal_name(to, TK_WAL_CHECKPOINT, wal->number);
        result = ops->rename(wal->disk, from, to);
    }
    if (result < 0) {
        return result;
    }
    /* Renamed, but perhaps not for good: what is older must stay then. */
    result = ops->sync_names(wal->disk);
    ops->close(wal->disk, wal->checkpoint);
    wal->checkpoint = -1;
    if (result == 0) {
        wal->first = wal->number;
        wal->before = 0;
        remove_stale(wal);
    }
    return result;
}

void
tk_wal_checkpoint_drop(struct tk_wal *wal)
{
    char name[TK_WAL_NAME_MAX];

    if (wal->checkpoint < 0) {
        return;
    }
    wal->disk->ops->close(wal->disk, wal->checkpoint);
    wal->checkpoint = -1;
    unfinished_name(name, wal->number);
    (void)wal->disk->ops->remove(wal->disk, name);
}

void
tk_wal_close(struct tk_wal *wal)
{
    if (wal == NULL) {
        return;
    }
    tk_wal_checkpoint_drop(wal);
    if (wal->log >= 0) {
        if (!wal->syncs) {
            (void)wal->disk->ops->sync(wal->disk, wal->log);
        }
        wal->disk->ops->close(wal->disk, wal->log);
    }
    wal->disk->ops->free(wal->disk);
    tk_free(wal);
}
