/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record held to its timestamps: who reads at one sees the newest version
 * that was committed at it or before, and nobody committed a key between the
 * start and the commit of another one that writes it. Commits that follow each
 * other in time have timestamps that do, unless the later one does without by
 * its options. Sharper than any search for an order, but only as good as what
 * the client says about timestamps.
 *
 * And timestamps themselves: whoever asks after somebody was answered gets a
 * larger one, and nobody gets one twice.
 */
#ifndef TK_SIM_TIMELINE_H
#define TK_SIM_TIMELINE_H

#include "sim/record.h"

enum tk_timeline_fault {
    TK_TIMELINE_FITS,
    TK_TIMELINE_READ,  /* not the newest version at its timestamp */
    TK_TIMELINE_WRITE, /* two versions of a key overlap */
    TK_TIMELINE_ORDER, /* below who had been committed before it asked */
    TK_TIMELINE_MEMORY
};

struct tk_timeline_report {
    uint32_t txn; /* that does not fit */
    uint32_t other;
    uint32_t key;
    uint32_t expected; /* of a read: the value, 0 for none */
    uint32_t found;
    uint64_t versions;
    uint64_t reads;
};

/* Values in doubt may be read or not. A reading is its last value. */
enum tk_timeline_fault
tk_timeline_check(const struct tk_record *record,
                  struct tk_timeline_report *report);

/* A timestamp that was asked for. */
struct tk_stamp {
    int64_t invoked;
    int64_t returned;
    uint64_t ts;
};

/* Sorts them. The place of one that is not larger than another which had
 * been answered before it was asked for, or that was given twice; `count`
 * when all is well. */
size_t
tk_stamps_check(struct tk_stamp *stamps, size_t count);

#endif
