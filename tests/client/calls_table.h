/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of exact numbers of requests. A row is held twice: against what the
 * cluster counted, and against the line of perf/README.md that promises it.
 */
#ifndef TK_TEST_CLIENT_CALLS_TABLE_H
#define TK_TEST_CLIENT_CALLS_TABLE_H

#include "client/txn_words.h"

#include <stdlib.h>

static inline void
calls_now(const struct kv *kv, const char *const *methods, size_t count,
          uint64_t *out)
{
    size_t i;

    for (i = 0; i < count; i++) {
        out[i] = txn_calls(kv, methods[i]);
    }
}

/* True: since `before` as many as wanted of each. */
static inline bool
calls_made(const struct kv *kv, const char *row, const char *const *methods,
           size_t count, const uint64_t *before, const uint64_t *wanted)
{
    bool is_right = true;
    size_t i;

    for (i = 0; i < count; i++) {
        uint64_t made = txn_calls(kv, methods[i]) - before[i];

        if (made != wanted[i]) {
            print_error("%s: %s %llu times, not %llu\n", row, methods[i],
                        (unsigned long long)made,
                        (unsigned long long)wanted[i]);
            is_right = false;
        }
    }
    return is_right;
}

/* True: the manual has this row, word by word. */
static inline bool
calls_told(const char *row, size_t count, const uint64_t *wanted)
{
    static char text[1 << 16];
    const char *root = getenv("TK_ROOT");
    char path[4096];
    char line[256];
    FILE *file;
    int len;
    size_t i;

    snprintf(path, sizeof(path), "%s/perf/README.md",
             root == NULL ? "." : root);
    file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    (void)fclose(file);
    len = snprintf(line, sizeof(line), "| %s |", row);
    for (i = 0; i < count; i++) {
        len += snprintf(line + len, sizeof(line) - (size_t)len, " %llu |",
                        (unsigned long long)wanted[i]);
    }
    if (strstr(text, line) == NULL) {
        print_error("perf/README.md lacks: %s\n", line);
        return false;
    }
    return true;
}

#endif
