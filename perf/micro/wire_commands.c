/* SPDX-License-Identifier: Apache-2.0 */
/* What the reader of a stream must see of an answer: value, region error. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "perf_micro.h"
#include "wire/commands.h"

enum { VALUE = 100, ERROR = 60 };

static void *
begin_bytes(uint64_t field, size_t len)
{
    struct tk_buf *answer = malloc(sizeof(*answer));
    uint8_t bytes[VALUE];

    memset(bytes, 'v', sizeof(bytes));
    if (answer != NULL) {
        tk_buf_init(answer, 1 << 20);
        tk_buf_varint(answer, field << 3 | 2);
        tk_buf_varint(answer, len);
        tk_buf_append(answer, bytes, len);
    }
    return answer;
}

static void *
begin_value(void)
{
    return begin_bytes(3, VALUE);
}

static void *
begin_error(void)
{
    return begin_bytes(1, ERROR);
}

static void
end(void *state)
{
    tk_buf_fini(state);
    free(state);
}

static void
run(void *state, uint64_t operations)
{
    tikv_slice answer = tk_buf_slice(state);
    struct tk_peek peek;
    uint64_t i;

    for (i = 0; i < operations; i++) {
        tk_peek(TK_CMD_RAW_GET, answer, &peek);
        micro_keep(&peek);
    }
}

static const struct micro_cell cells[] = {
    { "peek-value", 10000000, begin_value, run, end, 10000 },
    { "peek-region-error", 10000000, begin_error, run, end, 0 },
};

int
main(int argc, char **argv)
{
    return micro_main(cells, sizeof(cells) / sizeof(cells[0]), NULL, argc,
                      argv);
}
