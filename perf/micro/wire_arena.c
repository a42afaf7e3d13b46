/* SPDX-License-Identifier: Apache-2.0 */
/* Decoding into a recycled arena: an answer with one value, and one with 100
 * pairs; per answer. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "perf_micro.h"
#include "wire/arena.h"

#include "kvrpcpb.upb.h"

enum { KEY = 20, VALUE = 100, PAIRS = 100 };

static void
append_bytes(struct tk_buf *out, uint64_t field, const void *data, size_t len)
{
    tk_buf_varint(out, field << 3 | 2);
    tk_buf_varint(out, len);
    tk_buf_append(out, data, len);
}

static struct tk_buf *
new_answer(void)
{
    struct tk_buf *answer = malloc(sizeof(*answer));

    if (answer != NULL) {
        tk_buf_init(answer, 1 << 20);
    }
    return answer;
}

static void *
begin_value(void)
{
    struct tk_buf *answer = new_answer();
    char value[VALUE];

    memset(value, 'v', sizeof(value));
    if (answer != NULL) {
        append_bytes(answer, 3, value, sizeof(value));
    }
    return answer;
}

/* RawScanResponse: field 2 the pairs, whose fields 2 and 3 are the bytes. */
static void *
begin_scan(void)
{
    struct tk_buf *answer = new_answer();
    char value[VALUE];
    unsigned i;

    memset(value, 'v', sizeof(value));
    for (i = 0; answer != NULL && i < PAIRS; i++) {
        tk_buf_varint(answer, 2 << 3 | 2);
        tk_buf_varint(answer, KEY + VALUE + 4);
        append_bytes(answer, 2, value, KEY);
        append_bytes(answer, 3, value, VALUE);
    }
    return answer;
}

static void
end(void *state)
{
    tk_buf_fini(state);
    free(state);
}

static void
decode(const struct tk_buf *answer, const upb_MiniTable *table,
       uint64_t operations)
{
    uint64_t i;

    for (i = 0; i < operations; i++) {
        struct tk_arena *arena = tk_arena_new();

        if (arena == NULL || tk_arena_decode(arena, table, answer->data,
                                             answer->len, NULL) == NULL) {
            abort();
        }
        tk_arena_unref(arena);
    }
}

static void
run_value(void *state, uint64_t operations)
{
    decode(state, &kvrpcpb_RawGetResponse_msginit, operations);
}

static void
run_scan(void *state, uint64_t operations)
{
    decode(state, &kvrpcpb_RawScanResponse_msginit, operations);
}

static const struct micro_cell cells[] = {
    { "decode-value", 2000000, begin_value, run_value, end, 5000 },
    { "decode-100-pairs", 50000, begin_scan, run_scan, end, 500 },
};

int
main(int argc, char **argv)
{
    return micro_main(cells, sizeof(cells) / sizeof(cells[0]), NULL, argc,
                      argv);
}
