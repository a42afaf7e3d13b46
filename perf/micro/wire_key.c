/* SPDX-License-Identifier: Apache-2.0 */
/* Memcomparable form of keys of 20 bytes, there and back. */
#include <stdlib.h>

#include "perf_micro.h"
#include "wire/key.h"

struct coding {
    struct tk_buf from;
    struct tk_buf to;
};

static const uint8_t key[20] = "t_77_r_000000012345";

static void *
begin(void)
{
    struct coding *coding = malloc(sizeof(*coding));

    if (coding != NULL) {
        tk_buf_init(&coding->from, 4096);
        tk_buf_init(&coding->to, 4096);
        tk_key_encode(&coding->from, (tikv_slice){ key, sizeof(key) });
    }
    return coding;
}

static void
end(void *state)
{
    struct coding *coding = state;

    tk_buf_fini(&coding->from);
    tk_buf_fini(&coding->to);
    free(coding);
}

static void
run_encode(void *state, uint64_t operations)
{
    struct coding *coding = state;
    uint64_t i;

    for (i = 0; i < operations; i++) {
        tk_buf_clear(&coding->to);
        tk_key_encode(&coding->to, (tikv_slice){ key, sizeof(key) });
        micro_keep(coding->to.data);
    }
}

static void
run_decode(void *state, uint64_t operations)
{
    struct coding *coding = state;
    uint64_t i;

    for (i = 0; i < operations; i++) {
        tk_buf_clear(&coding->to);
        if (!tk_key_decode(&coding->to, tk_buf_slice(&coding->from), NULL)) {
            abort();
        }
    }
}

static const struct micro_cell cells[] = {
    { "encode", 10000000, begin, run_encode, end, 10000 },
    { "decode", 10000000, begin, run_decode, end, 10000 },
};

int
main(int argc, char **argv)
{
    return micro_main(cells, sizeof(cells) / sizeof(cells[0]), NULL, argc,
                      argv);
}
