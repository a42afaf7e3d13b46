/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `make demo`: real data through the whole client while the cluster moves
 * under it. Each step compares what came back with the file, byte for byte;
 * any difference fails the program.
 */
#ifndef DEMO_H
#define DEMO_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <tikv/tikv.h>

#include "fixture/playground.h"

/* One line of the data file: its first field makes the key. */
struct demo_record {
    char key[32];
    size_t key_len;
    const char *value; /* the line itself, in demo_data.text */
    size_t value_len;
};

/* The file, in the order of the keys. */
struct demo_data {
    char *text;
    struct demo_record *records;
    size_t count;
    uint64_t crc64_xor;
    uint64_t bytes;
};

/* False after a message. */
bool
demo_load(const char *path, struct demo_data *data);

void
demo_unload(struct demo_data *data);

/* Writes the records as TSV for `tikv-cli import`; ttl_s 0: two columns. */
bool
demo_write_tsv(const struct demo_data *data, const char *path,
               uint64_t ttl_s);

tikv_slice
demo_key(const struct demo_record *record);

tikv_slice
demo_value(const struct demo_record *record);

bool
demo_same(tikv_slice a, tikv_slice b);

/* A step: a line of the table, and whether all was as it must be. */
struct demo_step {
    const char *name;
    size_t records;
    int64_t started_ns;
    bool is_right;
};

/* Prints one row; false when the step was not right. */
bool
demo_row(const struct demo_step *step);

/* Complains on stderr and marks the step wrong. */
void
demo_wrong(struct demo_step *step, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Every record, read by blocking calls from `threads` threads. */
bool
demo_read_blocking(tikv_client *client, const struct demo_data *data,
                   unsigned threads);

/* Every record, through futures of one thread. */
bool
demo_read_futures(tikv_client *client, const struct demo_data *data);

/* The whole range, page by page. */
bool
demo_scan(tikv_client *client, const struct demo_data *data, bool reverse);

bool
demo_checksum(tikv_client *client, const struct demo_data *data);

/* Every record has the time to live it was written with. */
bool
demo_ttl(tikv_client *client, const struct demo_data *data, uint64_t ttl_s);

/* The cluster moves: splits, leaders, one store, PD's leader, until told to
 * stop. */
struct demo_unrest {
    struct playground *playground;
    const struct demo_data *data;
    bool is_encoded; /* keys of transactions */
    pthread_t thread;
    _Atomic bool stop;
    unsigned splits;
    unsigned moves;
    unsigned restarts;
    unsigned resignations;
    bool is_right;
};

void
demo_unrest_start(struct demo_unrest *unrest);

bool
demo_unrest_stop(struct demo_unrest *unrest);

/* A record's key in hexadecimal, as regions are cut: `is_encoded` for keys of
 * transactions, which TiKV keeps in the memcomparable form. */
#define DEMO_HEX_MAX 128

void
demo_hex(const struct demo_record *record, bool is_encoded,
         char hex[DEMO_HEX_MAX]);

/* Transfers between accounts, one for each record, while the cluster moves
 * and answers get lost; then everything is checked. */
bool
demo_transfers(struct playground *playground, tikv_client *client,
               const struct demo_data *data);

#endif
