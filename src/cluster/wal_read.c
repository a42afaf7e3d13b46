/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a directory and reading what a log left in it. The one judgement
 * to be made is about the end of the last file: a frame that is cut short,
 * or parts of which never reached the disk, was not acknowledged to anybody
 * and goes; everything else that is wrong has been right once, and is an
 * error rather than silently lost.
 */
#include "cluster/wal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/slice.h"
#include "cluster/crc32c.h"

#define WINDOW (UINT64_C(1) << 20)
#define SECTOR 512

static const char magic[8] = { 't', 'i', 'k', 'v', 'd', 'a', 't', 'a' };

static void
put32(uint8_t *at, uint32_t number)
{
    at[0] = (uint8_t)number;
    at[1] = (uint8_t)(number >> 8);
    at[2] = (uint8_t)(number >> 16);
    at[3] = (uint8_t)(number >> 24);
}

static uint32_t
get32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
           (uint32_t)at[3] << 24;
}

static void
put64(uint8_t *at, uint64_t number)
{
    put32(at, (uint32_t)number);
    put32(at + 4, (uint32_t)(number >> 32));
}

static uint64_t
get64(const uint8_t *at)
{
    return get32(at) | (uint64_t)get32(at + 4) << 32;
}

void
tk_wal_fill_start(uint8_t start[TK_WAL_START], enum tk_wal_kind kind,
                  uint64_t number)
{
    memset(start, 0, TK_WAL_START);
    memcpy(start, magic, sizeof(magic));
    put32(start + 8, TK_WAL_VERSION);
    put32(start + 12, kind);
    put64(start + 16, number);
    put32(start + 24, tk_crc32c(0, start, 24));
}

/* Of length and body, and of the place: a frame is good nowhere else. */
static uint32_t
head_crc(const uint8_t *head, uint64_t number, uint64_t at)
{
    uint8_t place[16];

    put64(place, number);
    put64(place + 8, at);
    return tk_crc32c(tk_crc32c(0, place, sizeof(place)), head, 8);
}

void
tk_wal_fill_head(uint8_t *frame, size_t len, uint32_t flags, uint64_t number,
                 uint64_t at)
{
    put32(frame, (uint32_t)len | flags);
    put32(frame + 4, tk_crc32c(0, frame + TK_WAL_HEAD, len));
    put32(frame + 8, head_crc(frame, number, at));
}

/* ---- one file ---- */

struct reader {
    struct tk_disk *disk;
    int file;
    uint64_t number;
    uint64_t size;
    struct tk_buf window;
    uint64_t window_at;
    char name[TK_WAL_NAME_MAX];
};

static tikv_error *
trouble(const struct reader *reader, int result)
{
    char text[128];

    return tk_error(TIKV_ERR_UNAVAILABLE, "%s/%s: %s", reader->disk->name,
                    reader->name,
                    strerror_r(-result, text, sizeof(text)));
}

static tikv_error *
damaged(const struct reader *reader, uint64_t at)
{
    return tk_error(TIKV_ERR_STATE, "%s/%s is damaged at byte %llu",
                    reader->disk->name, reader->name,
                    (unsigned long long)at);
}

static tikv_error *
reader_open(struct reader *reader, struct tk_disk *disk,
            enum tk_wal_kind kind, uint64_t number)
{
    int64_t size;

    memset(reader, 0, sizeof(*reader));
    tk_buf_init(&reader->window, SIZE_MAX / 4);
    reader->disk = disk;
    reader->number = number;
    tk_wal_name(reader->name, kind, number);
    reader->file = disk->ops->open(disk, reader->name, false);
    if (reader->file < 0) {
        return trouble(reader, reader->file);
    }
    size = disk->ops->size(disk, reader->file);
    if (size < 0) {
        return trouble(reader, (int)size);
    }
    reader->size = (uint64_t)size;
    return NULL;
}

static void
reader_close(struct reader *reader)
{
    if (reader->file >= 0) {
        reader->disk->ops->close(reader->disk, reader->file);
    }
    tk_buf_fini(&reader->window);
}

/* `len` bytes that are in the file; good until the next call. */
static tikv_error *
look(struct reader *reader, uint64_t at, size_t len, const uint8_t **out)
{
    struct tk_buf *window = &reader->window;
    uint64_t want = reader->size - at;
    int64_t got;

    if (at < reader->window_at ||
        at + len > reader->window_at + window->len) {
        want = want > WINDOW && len < WINDOW ? WINDOW : want;
        want = len >= WINDOW ? len : want;
        tk_buf_clear(window);
        if (tk_buf_grow(window, (size_t)want) == NULL) {
            return tk_error_immortal(TIKV_ERR_MEMORY);
        }
        reader->window_at = at;
        got = reader->disk->ops->read(reader->disk, reader->file, at,
                                      window->data, (size_t)want);
        if (got < 0 || (uint64_t)got < want) {
            tk_buf_clear(window);
            return trouble(reader, got < 0 ? (int)got : -EIO);
        }
    }
    *out = window->data + (at - reader->window_at);
    return NULL;
}

static tikv_error *
check_start(struct reader *reader, enum tk_wal_kind kind)
{
    const uint8_t *bytes;
    tikv_error *error;

    if (reader->size < TK_WAL_START) {
        return damaged(reader, reader->size);
    }
    error = look(reader, 0, TK_WAL_START, &bytes);
    if (error != NULL) {
        return error;
    }
    if (memcmp(bytes, magic, sizeof(magic)) != 0) {
        return tk_error(TIKV_ERR_STATE, "%s/%s is not a file of a cluster",
                        reader->disk->name, reader->name);
    }
    if (get32(bytes + 8) != TK_WAL_VERSION) {
        return tk_error(TIKV_ERR_STATE,
                        "%s/%s has format %u, this library knows format %d",
                        reader->disk->name, reader->name,
                        (unsigned)get32(bytes + 8), TK_WAL_VERSION);
    }
    if (get32(bytes + 24) != tk_crc32c(0, bytes, 24) ||
        get32(bytes + 12) != kind || get64(bytes + 16) != reader->number) {
        return damaged(reader, 0);
    }
    return NULL;
}

enum verdict { WHOLE, SHORT, BAD_HEAD, BAD_BODY };

/* What stands at a place of the file; the body when it is WHOLE. */
static tikv_error *
read_frame(struct reader *reader, uint64_t at, enum verdict *verdict,
           uint32_t *flags, tikv_slice *body)
{
    uint64_t left = reader->size - at;
    const uint8_t *bytes;
    tikv_error *error;
    uint32_t crc;
    size_t len;

    *verdict = SHORT;
    if (left < TK_WAL_HEAD) {
        return NULL;
    }
    error = look(reader, at, TK_WAL_HEAD, &bytes);
    if (error != NULL) {
        return error;
    }
    if (get32(bytes + 8) != head_crc(bytes, reader->number, at)) {
        *verdict = BAD_HEAD;
        return NULL;
    }
    *flags = get32(bytes) & TK_WAL_LAST;
    len = get32(bytes) & ~TK_WAL_LAST;
    crc = get32(bytes + 4);
    if (len > left - TK_WAL_HEAD) {
        return NULL;
    }
    error = look(reader, at, TK_WAL_HEAD + len, &bytes);
    if (error == NULL) {
        *body = tk_slice(bytes + TK_WAL_HEAD, len);
        *verdict = crc == tk_crc32c(0, body->data, len) ? WHOLE : BAD_BODY;
    }
    return error;
}

/* Whether a frame that is good begins behind `at`. */
static tikv_error *
has_more(struct reader *reader, uint64_t at, bool *out)
{
    enum verdict verdict = BAD_HEAD;
    uint32_t flags;
    tikv_slice body;
    tikv_error *error = NULL;

    for (at++; error == NULL && at + TK_WAL_HEAD <= reader->size &&
               verdict != WHOLE;
         at++) {
        error = read_frame(reader, at, &verdict, &flags, &body);
    }
    *out = verdict == WHOLE;
    return error;
}

/* A disk that lost its power leaves whole sectors as they were: empty. */
static tikv_error *
has_empty_sector(struct reader *reader, uint64_t at, bool *out)
{
    static const uint8_t zeros[SECTOR];
    tikv_error *error = NULL;
    const uint8_t *bytes;

    *out = false;
    while (error == NULL && !*out && at < reader->size) {
        size_t len = SECTOR - (size_t)(at % SECTOR);

        len = reader->size - at < len ? (size_t)(reader->size - at) : len;
        error = look(reader, at, len, &bytes);
        *out = error == NULL && memcmp(bytes, zeros, len) == 0;
        at += len;
    }
    return error;
}

/* Whether the frame at the end was never finished. */
static tikv_error *
is_torn(struct reader *reader, uint64_t at, enum verdict verdict, bool *out)
{
    tikv_error *error;
    bool more;

    *out = true;
    if (verdict == SHORT) {
        return NULL;
    }
    error = has_more(reader, at, &more);
    if (error == NULL && more) {
        *out = false;
    } else if (error == NULL) {
        error = has_empty_sector(reader, at, out);
    }
    return error;
}

struct sink {
    tikv_error *(*each)(void *arg, tikv_slice);
    void *arg;
};

static tikv_error *
read_checkpoint(struct tk_wal *wal, const struct sink *sink, bool first_only,
                uint64_t *log_end)
{
    struct reader reader;
    uint64_t at = TK_WAL_START;
    enum verdict verdict = WHOLE;
    uint32_t flags = 0;
    tikv_slice body;
    tikv_error *error =
        reader_open(&reader, wal->disk, TK_WAL_CHECKPOINT, wal->first);

    if (error == NULL) {
        error = check_start(&reader, TK_WAL_CHECKPOINT);
    }
    while (error == NULL && flags == 0) {
        error = read_frame(&reader, at, &verdict, &flags, &body);
        if (error == NULL && verdict != WHOLE) {
            error = damaged(&reader, at);
        }
        if (error != NULL) {
            break;
        }
        at += TK_WAL_HEAD + body.len;
        if (flags == 0) {
            error = sink->each(sink->arg, body);
        } else if (body.len == 8) {
            *log_end = get64(body.data);
        } else {
            error = damaged(&reader, at);
        }
        flags = first_only ? TK_WAL_LAST : flags;
    }
    wal->written = at;
    reader_close(&reader);
    return error;
}

/* The last log goes on being written: its handle stays, behind the last
 * frame that is whole. */
static tikv_error *
continue_log(struct tk_wal *wal, struct reader *reader, uint64_t end)
{
    const struct tk_disk_ops *ops = wal->disk->ops;
    uint8_t start[TK_WAL_START];
    int result = 0;

    wal->dropped = reader->size > end ? reader->size - end : 0;
    if (end == 0) {
        tk_wal_fill_start(start, TK_WAL_LOG, reader->number);
        result = ops->write(wal->disk, reader->file, 0, start,
                            sizeof(start));
        end = TK_WAL_START;
    }
    if (result == 0 && reader->size != end) {
        result = ops->cut(wal->disk, reader->file, end);
    }
    /* Also what an earlier life wrote and did not sync is kept from now on:
     * it is shown to clients. */
    if (result == 0) {
        result = ops->sync(wal->disk, reader->file);
    }
    if (result < 0) {
        return trouble(reader, result);
    }
    wal->log = reader->file;
    wal->end = end;
    reader->file = -1;
    return NULL;
}

static tikv_error *
read_log(struct tk_wal *wal, uint64_t number, uint64_t least,
         const struct sink *sink)
{
    bool is_last = number == wal->number;
    struct reader reader;
    uint64_t at = TK_WAL_START;
    enum verdict verdict = WHOLE;
    uint32_t flags;
    tikv_slice body;
    bool torn = false;
    tikv_error *error = reader_open(&reader, wal->disk, TK_WAL_LOG, number);

    if (error == NULL && is_last && reader.size < TK_WAL_START) {
        at = 0; /* a crash right after it was made */
    } else if (error == NULL) {
        error = check_start(&reader, TK_WAL_LOG);
    }
    while (error == NULL && at > 0 && at < reader.size) {
        error = read_frame(&reader, at, &verdict, &flags, &body);
        if (error == NULL && verdict != WHOLE) {
            break;
        }
        if (error == NULL) {
            at += TK_WAL_HEAD + body.len;
            error = sink->each(sink->arg, body);
        }
    }
    if (error == NULL && verdict != WHOLE && is_last) {
        error = is_torn(&reader, at, verdict, &torn);
    }
    if (error == NULL &&
        ((verdict != WHOLE && !torn) || (number == wal->first && at < least))) {
        error = damaged(&reader, at);
    }
    if (error == NULL && is_last) {
        error = continue_log(wal, &reader, at);
    } else if (error == NULL) {
        wal->before += at;
    }
    reader_close(&reader);
    return error;
}

tikv_error *
tk_wal_read_head(struct tk_wal *wal,
                 tikv_error *(*each)(void *arg, tikv_slice), void *arg)
{
    const struct sink sink = { each, arg };
    uint64_t least;

    return read_checkpoint(wal, &sink, true, &least);
}

tikv_error *
tk_wal_read(struct tk_wal *wal, tikv_error *(*each)(void *arg, tikv_slice),
            void *arg)
{
    const struct sink sink = { each, arg };
    uint64_t least = 0;
    tikv_error *error = read_checkpoint(wal, &sink, false, &least);
    uint64_t number;

    for (number = wal->first; error == NULL && number <= wal->number;
         number++) {
        error = read_log(wal, number, least, &sink);
    }
    return error;
}

/* ---- a directory ---- */

struct names {
    struct tk_wal *wal;
    uint64_t oldest;      /* number of anything */
    uint64_t checkpoint;  /* newest */
    uint64_t log;         /* newest */
    char foreign[64];
    char unfinished[8][TK_WAL_NAME_MAX];
    size_t unfinished_count;
};

static bool
read_name(const char *name, const char *prefix, uint64_t *number,
          const char **rest)
{
    size_t len = strlen(prefix);
    char *end;

    if (strncmp(name, prefix, len) != 0 || strlen(name) < len + 16) {
        return false;
    }
    *number = strtoull(name + len, &end, 16);
    *rest = end;
    return end == name + len + 16 && *number > 0;
}

static void
take_name(void *arg, const char *name)
{
    struct names *names = arg;
    const char *rest = "";
    uint64_t number = 0;
    bool is_log = read_name(name, "log-", &number, &rest) && *rest == '\0';
    bool is_checkpoint =
        !is_log && read_name(name, "checkpoint-", &number, &rest);

    if (is_log && number > names->log) {
        names->log = number;
    } else if (is_checkpoint && *rest != '\0') {
        if (names->unfinished_count < 8) {
            (void)snprintf(names->unfinished[names->unfinished_count++],
                           TK_WAL_NAME_MAX, "%s", name);
        }
        return;
    } else if (is_checkpoint && number > names->checkpoint) {
        names->checkpoint = number;
    } else if (!is_log && !is_checkpoint) {
        (void)snprintf(names->foreign, sizeof(names->foreign), "%s", name);
        return;
    }
    if (names->oldest == 0 || number < names->oldest) {
        names->oldest = number;
    }
}

/* A newest log without a frame is of a checkpoint that could not begin: what
 * was before it may have gone on. */
static tikv_error *
shed_empty(struct tk_wal *wal)
{
    bool is_empty = true;

    while (is_empty && wal->number > wal->first) {
        struct reader reader;
        tikv_error *error =
            reader_open(&reader, wal->disk, TK_WAL_LOG, wal->number);

        is_empty = reader.size <= TK_WAL_START;
        reader_close(&reader);
        if (error != NULL) {
            return error;
        }
        if (is_empty) {
            (void)wal->disk->ops->remove(wal->disk, reader.name);
            wal->number--;
        }
    }
    return NULL;
}

/* A log that is all alone is one of a first checkpoint that never was. */
static tikv_error *
check_lonely(struct tk_wal *wal, uint64_t number)
{
    struct reader reader;
    tikv_error *error = reader_open(&reader, wal->disk, TK_WAL_LOG, number);

    if (error == NULL && (number != 1 || reader.size > TK_WAL_START)) {
        error = tk_error(TIKV_ERR_STATE, "%s: the checkpoint is missing",
                         wal->disk->name);
    }
    reader_close(&reader);
    return error;
}

static tikv_error *
take_names(struct tk_wal *wal, const struct names *names)
{
    size_t i;

    if (names->checkpoint == 0 && names->foreign[0] != '\0') {
        return tk_error(TIKV_ERR_ARGUMENT,
                        "%s is not empty (%s) and holds no cluster",
                        wal->disk->name, names->foreign);
    }
    if (names->checkpoint == 0 && names->log != 0) {
        tikv_error *error = check_lonely(wal, names->log);

        if (error != NULL) {
            return error;
        }
    }
    if (names->checkpoint != 0 && names->log < names->checkpoint) {
        return tk_error(TIKV_ERR_STATE, "%s: the log is missing",
                        wal->disk->name);
    }
    for (i = 0; i < names->unfinished_count; i++) {
        (void)wal->disk->ops->remove(wal->disk, names->unfinished[i]);
    }
    wal->first = names->checkpoint;
    wal->number = names->checkpoint == 0 ? 0 : names->log;
    wal->stale = names->checkpoint == 0 ? 1 : names->oldest;
    return names->checkpoint == 0 ? NULL : shed_empty(wal);
}

tikv_error *
tk_wal_open(struct tk_disk *disk, bool syncs, struct tk_wal **out)
{
    struct tk_wal *wal = tk_calloc(sizeof(*wal));
    struct names names = { .wal = wal };
    tikv_error *error = NULL;
    char text[128];
    int result;

    *out = NULL;
    if (wal == NULL) {
        disk->ops->free(disk);
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    wal->disk = disk;
    wal->syncs = syncs;
    wal->log = -1;
    wal->checkpoint = -1;
    result = disk->ops->lock(disk);
    if (result == -EWOULDBLOCK) {
        error = tk_error(TIKV_ERR_ARGUMENT,
                         "%s is in use by another cluster", disk->name);
    } else if (result == 0) {
        result = disk->ops->list(disk, take_name, &names);
    }
    if (error == NULL && result < 0) {
        error = tk_error(TIKV_ERR_UNAVAILABLE, "%s: %s", disk->name,
                         strerror_r(-result, text, sizeof(text)));
    }
    if (error == NULL) {
        error = take_names(wal, &names);
    }
    if (error != NULL) {
        tk_wal_close(wal);
        return error;
    }
    *out = wal;
    return NULL;
}
