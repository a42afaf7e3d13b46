/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wrong with a record of transactions on lists, in the words of Adya
 * and of Elle. A list tells more than a value: whoever reads it sees all that
 * was put into it, in order, so who came before whom follows from the
 * readings alone, without a timestamp.
 *
 * Snapshot isolation forbids everything but a cycle with two rw in a row,
 * which is write skew. What TiKV promises beyond that, that later readers see
 * what was committed before they began, is in the edges of real time.
 */
#ifndef TK_SIM_ANOMALY_H
#define TK_SIM_ANOMALY_H

#include "sim/record.h"

enum tk_anomaly {
    TK_ANOMALY_FOREIGN,       /* read what nobody put there */
    TK_ANOMALY_DUPLICATE,     /* one value twice in a list */
    TK_ANOMALY_INCOMPATIBLE,  /* two readings, neither begins the other */
    TK_ANOMALY_INTERNAL,      /* a transaction contradicts itself */
    TK_ANOMALY_G1A,           /* aborted read */
    TK_ANOMALY_G1B,           /* intermediate read */
    TK_ANOMALY_LOST,          /* committed, and a later reader misses it */
    TK_ANOMALY_LOST_UPDATE,   /* two wrote over the same version */
    TK_ANOMALY_G0,            /* a cycle of ww */
    TK_ANOMALY_G1C,           /* of ww and wr */
    TK_ANOMALY_G_SINGLE,      /* with one rw: read skew and its like */
    TK_ANOMALY_G_NONADJACENT, /* with several, none after another */
    TK_ANOMALY_G2_ITEM,       /* with two in a row: write skew */
    TK_ANOMALY_G2_TIME,       /* the same with real time: not linear */
    TK_ANOMALIES
};

/* What every transaction of TiKV may show. */
#define TK_ANOMALIES_OF_SNAPSHOTS                                              \
    (1u << TK_ANOMALY_G2_ITEM | 1u << TK_ANOMALY_G2_TIME)

extern const char *const tk_anomaly_names[TK_ANOMALIES];

#define TK_ANOMALY_TXNS_MAX 8

struct tk_anomalies {
    uint64_t counts[TK_ANOMALIES];
    struct {
        uint32_t key;
        uint32_t count; /* of txns */
        uint32_t txns[TK_ANOMALY_TXNS_MAX];
    } firsts[TK_ANOMALIES]; /* an example of each */
    bool failed;            /* no memory: nothing can be said */
};

/* Of cycles it finds one of the worst kind, and those of G2 besides. */
void
tk_anomalies_find(const struct tk_record *record, struct tk_anomalies *out);

/* Those that are found and not in `allowed` (a set of bits), with the
 * transactions of their examples; how many kinds. */
size_t
tk_anomalies_print(const struct tk_record *record,
                   const struct tk_anomalies *anomalies, uint32_t allowed,
                   struct tk_buf *out);

#endif
