/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share. */
#ifndef TK_RAW_INNER_H
#define TK_RAW_INNER_H

#include "base/slice.h"
#include "raw/raw.h"
#include "region/message.h"

/* One operation on its way: what is asked, who asks, what comes out. */
struct tk_raw_run {
    struct tk_router *router;
    struct tk_op *op;
    const struct tk_raw *raw;
    struct tk_first *first;
    struct tk_outcome *outcome;
};

/* A job's common part. */
void
tk_raw_job_init(struct tk_job *job, const struct tk_job_ops *ops,
                const struct tk_raw_run *run, enum tk_command command);

/* The error behind the text that TiKV answered with, or NULL for no text. */
tikv_error *
tk_raw_server_error(const struct tk_job *job, tikv_slice text);

/* The error behind a pair's KeyError. */
struct kvrpcpb_KvPair;
tikv_error *
tk_raw_pair_error(const struct tk_job *job, const struct kvrpcpb_KvPair *pair);

/* The value of a clean answer to a get. `frame` is borrowed: kept with a
 * reference of its own, or not at all. */
tikv_error *
tk_raw_value_of(const struct tk_peek *peek, struct tk_frame *frame,
                tikv_value **out);

/* The body of a point request: its length, then its bytes. */
size_t
tk_raw_body_len(const struct tk_raw *raw, tikv_slice key);

void
tk_raw_body_put(const struct tk_raw *raw, tikv_slice key, uint8_t *out);

enum tk_command
tk_raw_command(enum tk_raw_kind kind);

tikv_error *
tk_raw_point(struct tk_raw_run *run);

tikv_error *
tk_raw_swap(struct tk_raw_run *run);

tikv_error *
tk_raw_ttl(struct tk_raw_run *run);

tikv_error *
tk_raw_batch_get(struct tk_raw_run *run);

tikv_error *
tk_raw_batch_write(struct tk_raw_run *run);

tikv_error *
tk_raw_delete_range(struct tk_raw_run *run);

tikv_error *
tk_raw_checksum(struct tk_raw_run *run);

tikv_error *
tk_raw_scan(struct tk_raw_run *run);

tikv_error *
tk_raw_batch_scan(struct tk_raw_run *run);

#endif
