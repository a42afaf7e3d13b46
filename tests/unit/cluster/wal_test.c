/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log and its checkpoints over a directory in memory: what comes back
 * after it was cut, damaged, full, or without power, at every place.
 *
 * The owner here is a string: every frame adds letters, a checkpoint has
 * them all. So what is read tells exactly which frames came back.
 */
#include "harness/harness.h"

#include <errno.h>

#include "base/error.h"
#include "base/slice.h"
#include "cluster/crc32c.h"
#include "cluster/wal.h"
#include "fixture/platter.h"

#define LOG_1 "log-0000000000000001"
#define LOG_2 "log-0000000000000002"
#define CHECKPOINT_1 "checkpoint-0000000000000001"
#define CHECKPOINT_2 "checkpoint-0000000000000002"

struct text {
    char bytes[4096];
    size_t len;
};

static tikv_error *
add(void *arg, tikv_slice frame)
{
    struct text *text = arg;

    if (frame.len > 0 && frame.data[0] == '=') {
        text->len = 0; /* a checkpoint begins */
        frame.data++;
        frame.len--;
    }
    assert_true(text->len + frame.len < sizeof(text->bytes));
    memcpy(text->bytes + text->len, frame.data, frame.len);
    text->len += frame.len;
    text->bytes[text->len] = '\0';
    return NULL;
}

static void
fill(struct tk_buf *frame, const char *text, size_t len)
{
    tk_buf_clear(frame);
    assert_non_null(tk_buf_grow(frame, TK_WAL_HEAD));
    tk_buf_append(frame, text, len);
}

static int
append(struct tk_wal *wal, const char *text)
{
    struct tk_buf frame;
    int result;

    tk_buf_init(&frame, 65536);
    fill(&frame, text, strlen(text));
    result = tk_wal_append(wal, &frame);
    tk_buf_fini(&frame);
    return result;
}

/* A checkpoint of `text`, in two pieces. */
static int
checkpoint(struct tk_wal *wal, const char *text)
{
    struct tk_buf frame;
    size_t half = strlen(text) / 2;
    char first[4096];
    int result = tk_wal_rotate(wal);

    tk_buf_init(&frame, 65536);
    (void)snprintf(first, sizeof(first), "=%.*s", (int)half, text);
    if (result == 0) {
        fill(&frame, first, half + 1);
        result = tk_wal_checkpoint(wal, &frame);
    }
    if (result == 0) {
        fill(&frame, text + half, strlen(text) - half);
        result = tk_wal_checkpoint(wal, &frame);
    }
    if (result == 0) {
        result = tk_wal_checkpoint_end(wal);
    }
    if (result < 0) {
        tk_wal_checkpoint_drop(wal);
    }
    tk_buf_fini(&frame);
    return result;
}

/* Opens and reads; the error, whose text is in `text`, or NULL. */
static struct tk_wal *
try_open(struct platter *platter, struct text *text)
{
    struct tk_wal *wal = NULL;
    tikv_error *error = tk_wal_open(platter_disk(platter), true, &wal);

    text->len = 0;
    text->bytes[0] = '\0';
    if (error == NULL && !tk_wal_is_new(wal)) {
        error = tk_wal_read(wal, add, text);
    }
    if (error != NULL) {
        (void)snprintf(text->bytes, sizeof(text->bytes), "%s",
                       tikv_error_message(error));
        tikv_error_free(error);
        tk_wal_close(wal);
        return NULL;
    }
    return wal;
}

static struct tk_wal *
must_open(struct platter *platter, const char *expected)
{
    struct text text;
    struct tk_wal *wal = try_open(platter, &text);

    if (wal == NULL || strcmp(text.bytes, expected) != 0) {
        fail_msg("read \"%s\", not \"%s\"", text.bytes, expected);
    }
    return wal;
}

static void
must_fail(struct platter *platter, const char *complaint)
{
    struct text text;
    struct tk_wal *wal = try_open(platter, &text);

    if (wal != NULL) {
        fail_msg("read \"%s\"", text.bytes);
    }
    if (strstr(text.bytes, complaint) == NULL) {
        fail_msg("\"%s\" lacks \"%s\"", text.bytes, complaint);
    }
}

/* A log with frames of several lengths behind checkpoint "ab". */
static void
fill_platter(struct platter *platter)
{
    struct tk_wal *wal;

    platter_init(platter);
    wal = must_open(platter, "");
    assert_true(tk_wal_is_new(wal));
    assert_int_equal(checkpoint(wal, "ab"), 0);
    assert_int_equal(append(wal, "c"), 0);
    assert_int_equal(append(wal, "defg"), 0);
    assert_int_equal(append(wal, ""), 0);
    assert_int_equal(append(wal, "hijklmnopqrstuvw"), 0);
    assert_int_equal(append(wal, "xyz"), 0);
    tk_wal_close(wal);
}

#define ALL "abcdefghijklmnopqrstuvwxyz"

static void
crc32c__has_the_known_values(void **state)
{
    uint8_t bytes[32];
    size_t i;

    (void)state;
    assert_int_equal(tk_crc32c(0, "123456789", 9), 0xe3069283);
    memset(bytes, 0, sizeof(bytes));
    assert_int_equal(tk_crc32c(0, bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, sizeof(bytes));
    assert_int_equal(tk_crc32c(0, bytes, 32), 0x62a8ab43);
    for (i = 0; i <= 9; i++) {
        assert_int_equal(tk_crc32c(tk_crc32c(0, "123456789", i),
                                   "123456789" + i, 9 - i),
                         0xe3069283);
    }
}

static void
wal__reads_what_was_appended(void **state)
{
    struct platter platter;
    struct tk_wal *wal;

    (void)state;
    fill_platter(&platter);
    wal = must_open(&platter, ALL);
    assert_int_equal(wal->dropped, 0);
    assert_int_equal(append(wal, "!"), 0);
    tk_wal_close(wal);
    tk_wal_close(must_open(&platter, ALL "!"));
    platter_fini(&platter);
}

static void
wal__cut_anywhere_keeps_what_is_whole(void **state)
{
    static const size_t ends[] = { 0, 1, 5, 5, 21, 24 };
    struct platter platter;
    struct platter_file *log;
    size_t cut;

    (void)state;
    fill_platter(&platter);
    log = platter_file(&platter, LOG_1);
    for (cut = TK_WAL_START; cut <= log->len; cut++) {
        struct platter copy;
        struct tk_wal *wal;
        char expected[64];
        size_t at = TK_WAL_START;
        size_t frames = 0;

        while (frames < 5 &&
               at + TK_WAL_HEAD + ends[frames + 1] - ends[frames] <= cut) {
            at += TK_WAL_HEAD + ends[frames + 1] - ends[frames];
            frames++;
        }
        (void)snprintf(expected, sizeof(expected), "%.*s",
                       (int)(2 + ends[frames]), ALL);
        platter_copy(&copy, &platter);
        platter_file(&copy, LOG_1)->len = cut;
        wal = must_open(&copy, expected);
        assert_int_equal(wal->dropped, cut - at);
        /* And it goes on from there. */
        assert_int_equal(append(wal, "!"), 0);
        tk_wal_close(wal);
        expected[strlen(expected) + 1] = '\0';
        expected[strlen(expected)] = '!';
        tk_wal_close(must_open(&copy, expected));
        platter_fini(&copy);
    }
    platter_fini(&platter);
}

static void
wal__notices_every_flipped_bit(void **state)
{
    static const char *const names[] = { LOG_1, CHECKPOINT_1 };
    struct platter platter;
    size_t n;
    size_t i;

    (void)state;
    fill_platter(&platter);
    for (n = 0; n < 2; n++) {
        struct platter_file *file = platter_file(&platter, names[n]);

        for (i = 0; i < file->len * 8; i++) {
            /* The last bytes of a start mean nothing. */
            if (i / 8 >= 28 && i / 8 < TK_WAL_START) {
                continue;
            }
            file->data[i / 8] ^= (uint8_t)(1 << i % 8);
            must_fail(&platter, names[n]);
            file->data[i / 8] ^= (uint8_t)(1 << i % 8);
        }
    }
    tk_wal_close(must_open(&platter, ALL));
    platter_fini(&platter);
}

/* A disk without power may have the length of a file, but not its sectors. */
static void
wal__drops_a_last_frame_with_an_empty_sector(void **state)
{
    struct platter platter;
    struct platter_file *log;
    struct tk_wal *wal;
    char text[1500];
    size_t end;

    (void)state;
    fill_platter(&platter);
    memset(text, 'q', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    wal = must_open(&platter, ALL);
    end = (size_t)wal->end;
    assert_int_equal(append(wal, text), 0);
    tk_wal_close(wal);
    log = platter_file(&platter, LOG_1);
    memset(log->data + 512, 0, 512);
    tk_wal_close(must_open(&platter, ALL));
    /* The same before a frame that is good is damage. */
    wal = must_open(&platter, ALL);
    assert_int_equal(append(wal, text), 0);
    assert_int_equal(append(wal, "!"), 0);
    tk_wal_close(wal);
    log = platter_file(&platter, LOG_1);
    memset(log->data + 512, 0, 512);
    assert_true(end < 512);
    must_fail(&platter, "damaged at byte");
    platter_fini(&platter);
}

static void
wal__a_checkpoint_replaces_what_was_before(void **state)
{
    struct platter platter;
    struct tk_wal *wal;

    (void)state;
    fill_platter(&platter);
    wal = must_open(&platter, ALL);
    assert_int_equal(checkpoint(wal, "ABC"), 0);
    assert_int_equal(append(wal, "D"), 0);
    assert_null(platter_file(&platter, LOG_1));
    assert_null(platter_file(&platter, CHECKPOINT_1));
    tk_wal_close(wal);
    tk_wal_close(must_open(&platter, "ABCD"));
    platter_fini(&platter);
}

/* What it relies on must be there: a log that lost its end is no prefix. */
static void
wal__a_checkpoint_needs_the_log_it_saw(void **state)
{
    struct platter platter;
    struct tk_buf frame;
    struct tk_wal *wal;
    size_t len;

    (void)state;
    fill_platter(&platter);
    wal = must_open(&platter, ALL);
    tk_buf_init(&frame, 4096);
    assert_int_equal(tk_wal_rotate(wal), 0);
    assert_int_equal(append(wal, "1"), 0);
    fill(&frame, "=0", 2);
    assert_int_equal(tk_wal_checkpoint(wal, &frame), 0);
    assert_int_equal(append(wal, "2"), 0);
    assert_int_equal(tk_wal_checkpoint_end(wal), 0);
    tk_wal_close(wal);
    tk_wal_close(must_open(&platter, "012"));
    len = platter_file(&platter, LOG_2)->len;
    platter_file(&platter, LOG_2)->len = len - 1;
    must_fail(&platter, LOG_2);
    platter_fini(&platter);
    tk_buf_fini(&frame);
}

/* A checkpoint that was never finished leaves a chain of logs. */
static void
wal__reads_a_chain_of_logs(void **state)
{
    struct platter platter;
    struct tk_wal *wal;

    (void)state;
    fill_platter(&platter);
    wal = must_open(&platter, ALL);
    assert_int_equal(tk_wal_rotate(wal), 0);
    assert_int_equal(append(wal, "1"), 0);
    tk_wal_checkpoint_drop(wal);
    assert_int_equal(tk_wal_rotate(wal), 0);
    assert_int_equal(append(wal, "2"), 0);
    tk_wal_close(wal);
    wal = must_open(&platter, ALL "12");
    assert_int_equal(checkpoint(wal, "Z"), 0);
    tk_wal_close(wal);
    tk_wal_close(must_open(&platter, "Z"));
    assert_null(platter_file(&platter, LOG_1));
    assert_null(platter_file(&platter, LOG_2));
    platter_fini(&platter);
}

/* ---- faults ---- */

/* Letters until the alphabet ends, a checkpoint in the midst of them; every
 * letter is tried until it is appended. After each change of the disk a crash
 * must leave all letters that were, and at most the one under way. */
static void
check_crashes(const struct platter *platter, const char *kept)
{
    struct platter copy;
    struct tk_wal *wal;
    struct text text;
    size_t len = strlen(kept);
    int pass;

    for (pass = 0; pass < 2; pass++) {
        platter_copy(&copy, platter);
        if (pass == 1) {
            platter_power_off(&copy);
        }
        wal = try_open(&copy, &text);
        if (wal == NULL || strncmp(text.bytes, kept, len) != 0 ||
            strlen(text.bytes) > len + 1) {
            fail_msg("pass %d, \"%s\" kept: \"%s\"", pass, kept, text.bytes);
        }
        assert_int_equal(append(wal, "!"), 0);
        tk_wal_close(wal);
        platter_fini(&copy);
    }
}

static bool
run_with_fault(uint64_t fail_at, int fail_with, int times)
{
    struct platter platter;
    struct tk_wal *wal;
    char kept[64] = "";
    char letter[2] = "a";
    int failures = 0;
    bool has_failed;
    bool is_due = false;

    platter_init(&platter);
    wal = must_open(&platter, "");
    assert_int_equal(checkpoint(wal, ""), 0);
    platter.changes = 0;
    platter.fail_at = fail_at;
    platter.fail_with = fail_with;
    platter.fails_on = times > 1;
    while (letter[0] <= 'h') {
        int result = append(wal, letter);

        if (result == 0) {
            kept[strlen(kept)] = letter[0];
            letter[0]++;
            is_due = letter[0] == 'e';
        }
        if (result == 0 && is_due) {
            result = checkpoint(wal, kept);
            is_due = false;
        }
        if (result < 0) {
            assert_int_equal(result == -fail_with || result == -EIO, 1);
            failures++;
            check_crashes(&platter, kept);
        }
        if (failures >= times) {
            platter.fails_on = false;
        }
    }
    has_failed = failures > 0;
    platter.fail_at = 0;
    tk_wal_close(wal);
    check_crashes(&platter, kept);
    tk_wal_close(must_open(&platter, kept));
    platter_fini(&platter);
    return has_failed;
}

static void
wal__survives_a_fault_at_every_operation(void **state)
{
    static const int errors[] = { ENOSPC, EIO };
    uint64_t at;
    size_t e;
    int times;

    (void)state;
    for (e = 0; e < 2; e++) {
        for (times = 1; times <= 3; times++) {
            uint64_t hits = 0;

            /* 8 letters, each a write and a sync, and a checkpoint. */
            for (at = 1; at < 40; at++) {
                hits += run_with_fault(at, errors[e], times);
            }
            assert_true(hits > 20);
        }
    }
}

/* ---- directories ---- */

static void
wal__refuses_what_is_not_its_own(void **state)
{
    struct platter platter;
    struct tk_wal *wal;
    uint8_t *log;

    (void)state;
    platter_init(&platter);
    platter_put(&platter, "letter.txt");
    must_fail(&platter, "platter is not empty (letter.txt)");
    platter_fini(&platter);

    fill_platter(&platter);
    platter_put(&platter, "letter.txt"); /* beside a cluster it may lie */
    wal = must_open(&platter, ALL);
    must_fail(&platter, "in use by another cluster");
    tk_wal_close(wal);
    log = platter_file(&platter, LOG_1)->data;
    log[8] = 2;
    must_fail(&platter, "has format 2, this library knows format 1");
    log[8] = 1;
    log[0] = 'T';
    must_fail(&platter, "is not a file of a cluster");
    platter_fini(&platter);
}

static void
wal__misses_files_that_should_be_there(void **state)
{
    struct platter platter;
    struct tk_disk *disk;

    (void)state;
    fill_platter(&platter);
    disk = platter_disk(&platter);
    assert_int_equal(disk->ops->remove(disk, CHECKPOINT_1), 0);
    must_fail(&platter, "the checkpoint is missing");
    platter_fini(&platter);
    disk->ops->free(disk);

    fill_platter(&platter);
    disk = platter_disk(&platter);
    assert_int_equal(disk->ops->remove(disk, LOG_1), 0);
    must_fail(&platter, "the log is missing");
    platter_fini(&platter);
    disk->ops->free(disk);
}

/* A crash before the first checkpoint had its name is no cluster yet. */
static void
wal__begins_again_after_a_birth_that_failed(void **state)
{
    uint64_t at;

    (void)state;
    for (at = 1; at < 16; at++) {
        struct platter platter;
        struct tk_wal *wal;
        int result;

        platter_init(&platter);
        wal = must_open(&platter, "");
        platter.fail_at = at;
        platter.fails_on = true;
        result = checkpoint(wal, "ab");
        platter.fail_at = 0;
        tk_wal_close(wal);
        wal = try_open(&platter, &(struct text){ .len = 0 });
        assert_non_null(wal);
        if (tk_wal_is_new(wal)) {
            assert_true(result < 0);
            assert_int_equal(checkpoint(wal, "ab"), 0);
        }
        tk_wal_close(wal);
        tk_wal_close(must_open(&platter, "ab"));
        platter_fini(&platter);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(crc32c__has_the_known_values),
        harness_test(wal__reads_what_was_appended),
        harness_test(wal__cut_anywhere_keeps_what_is_whole),
        harness_test(wal__notices_every_flipped_bit),
        harness_test(wal__drops_a_last_frame_with_an_empty_sector),
        harness_test(wal__a_checkpoint_replaces_what_was_before),
        harness_test(wal__a_checkpoint_needs_the_log_it_saw),
        harness_test(wal__reads_a_chain_of_logs),
        harness_test(wal__survives_a_fault_at_every_operation),
        harness_test(wal__refuses_what_is_not_its_own),
        harness_test(wal__misses_files_that_should_be_there),
        harness_test(wal__begins_again_after_a_birth_that_failed),
    };

    return harness_run(tests);
}
