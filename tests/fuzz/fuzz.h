/* SPDX-License-Identifier: Apache-2.0 */
/* What a fuzz target includes first: the entry, and a check that no build
 * flag takes out. */
#ifndef TK_FUZZ_H
#define TK_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void
fuzz_check(bool is_true)
{
    if (!is_true) {
        abort();
    }
}

#endif
