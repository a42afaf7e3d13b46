/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of transactions as text, for tests of checkers. Steps are separated
 * by blanks: "0:1,2" reads 1 and 2 at key 0, "0:1,2+3" reads them and writes
 * 3, "0:" reads nothing.
 */
#ifndef TK_TESTS_SIM_RECORD_TEXT_H
#define TK_TESTS_SIM_RECORD_TEXT_H

#include <stdlib.h>

#include "sim/record.h"

static inline const char *
text_step(struct tk_record *record, const char *at, struct tk_record_step *step)
{
    uint32_t values[32];
    char *end;

    *step = (struct tk_record_step){ .key = (uint32_t)strtoul(at, &end, 10) };
    while (*end == ':' || *end == ',') {
        end++;
        if (*end >= '0' && *end <= '9') {
            values[step->count++] = (uint32_t)strtoul(end, &end, 10);
        }
    }
    if (*end == '+') {
        step->is_write = true;
        step->value = (uint32_t)strtoul(end + 1, &end, 10);
    }
    step->first = tk_record_values(record, values, step->count);
    return end;
}

/* A transaction from `invoked` to `returned` with these steps; the timestamps
 * are for who cares. */
static inline uint32_t
text_txn(struct tk_record *record, enum tk_sim_outcome outcome, int64_t invoked,
         int64_t returned, uint64_t start_ts, uint64_t commit_ts,
         const char *text)
{
    struct tk_record_step steps[TK_RECORD_STEPS_MAX];
    uint32_t txn = tk_record_begin(record, 0, invoked, returned);
    size_t count = 0;

    while (*text != '\0') {
        text = text_step(record, text, &steps[count++]);
        text += *text == ' ';
    }
    tk_record_steps(record, txn, steps, count);
    record->txns[txn].start_ts = start_ts;
    record->txns[txn].commit_ts = commit_ts;
    tk_record_end(record, txn, returned, outcome, 0);
    return txn;
}

#endif
