/* SPDX-License-Identifier: Apache-2.0 */
/* Framing of BatchCommands: 128 point reads with their ids into a message,
 * 128 answers of 100 bytes out of one; per request and answer. */
#include <stdlib.h>
#include <string.h>

#include "perf_micro.h"
#include "wire/batch.h"

enum { BATCH = 128, VALUE = 100, SLOT_RAW_GET = 13 };

struct framing {
    struct tk_buf frame;
    uint64_t ids[BATCH];
};

static void *
begin_append(void)
{
    struct framing *framing = calloc(1, sizeof(*framing));
    unsigned i;

    if (framing != NULL) {
        tk_buf_init(&framing->frame, 1 << 20);
        for (i = 0; i < BATCH; i++) {
            framing->ids[i] = 1000000 + i;
        }
    }
    return framing;
}

static void
end(void *state)
{
    struct framing *framing = state;

    tk_buf_fini(&framing->frame);
    free(framing);
}

static void
run_append(void *state, uint64_t operations)
{
    static const uint8_t bytes[64] = { 0x0a, 0x12, 0x08, 0x4d };
    struct framing *framing = state;
    struct tk_parts parts = { .command = TK_CMD_RAW_GET,
                              .region = { bytes, 20 },
                              .call = { bytes, 6 },
                              .body = { bytes, 11 } };
    uint64_t done, i;

    for (done = 0; done < operations; done += BATCH) {
        tk_buf_clear(&framing->frame);
        for (i = 0; i < BATCH; i++) {
            tk_batch_append(&framing->frame, &parts);
        }
        tk_batch_append_ids(&framing->frame, framing->ids, BATCH);
    }
    micro_keep(framing->frame.data);
}

/* BatchCommandsResponse: field 1 the answers, field 2 their ids. */
static void *
begin_split(void)
{
    struct framing *framing = begin_append();
    uint8_t value[VALUE];
    unsigned i;

    if (framing == NULL) {
        return NULL;
    }
    memset(value, 'v', sizeof(value));
    for (i = 0; i < BATCH; i++) {
        tk_buf_varint(&framing->frame, 1 << 3 | 2);
        tk_buf_varint(&framing->frame, VALUE + 4);
        tk_buf_varint(&framing->frame, SLOT_RAW_GET << 3 | 2);
        tk_buf_varint(&framing->frame, VALUE + 2);
        tk_buf_varint(&framing->frame, 3 << 3 | 2);
        tk_buf_varint(&framing->frame, VALUE);
        tk_buf_append(&framing->frame, value, VALUE);
    }
    tk_batch_append_ids(&framing->frame, framing->ids, BATCH);
    return framing;
}

static void
run_split(void *state, uint64_t operations)
{
    const struct framing *framing = state;
    uint64_t done = 0, id;
    enum tk_command command;
    tikv_slice answer;

    while (done < operations) {
        struct tk_split split;

        if (!tk_split_init(&split, tk_buf_slice(&framing->frame))) {
            abort();
        }
        while (tk_split_next(&split, &id, &command, &answer)) {
            micro_keep(answer.data);
            done++;
        }
    }
}

static const struct micro_cell cells[] = {
    { "append", 12800000, begin_append, run_append, end, 12800 },
    { "split", 12800000, begin_split, run_split, end, 12800 },
};

int
main(int argc, char **argv)
{
    return micro_main(cells, sizeof(cells) / sizeof(cells[0]), NULL, argc,
                      argv);
}
