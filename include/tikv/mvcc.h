/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIKV_MVCC_H
#define TIKV_MVCC_H

/**
 * All that TiKV keeps of a key of transactions: the lock on it and its
 * versions, the newest first. For tools; nothing is resolved or changed.
 */

#include <tikv/locks.h>

TIKV_BEGIN_DECLS

typedef struct tikv_mvcc tikv_mvcc;

/* What a version is. */
#define TIKV_MVCC_PUT INT32_C(0)
#define TIKV_MVCC_DELETE INT32_C(1)
#define TIKV_MVCC_LOCK INT32_C(2) /* a transaction locked it, no more */
#define TIKV_MVCC_ROLLBACK INT32_C(3) /* a transaction that never commits */

/* Stamped like options: the caller sets `struct_size`, fields may be
 * appended. */
typedef struct tikv_mvcc_version {
    size_t struct_size;
    uint64_t start_ts;  /* names the transaction */
    uint64_t commit_ts; /* of a rollback: start_ts */
    tikv_slice value;   /* absent but for a put */
    int32_t kind;       /* TIKV_MVCC_... */
    int32_t reserved;
} tikv_mvcc_version;

/* What is kept under `key`. Blocks. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_mvcc_get(tikv_client *client, tikv_slice key, const tikv_call *call,
              tikv_mvcc **out);

/* What is kept under some key that the transaction wrote, if it wrote any in
 * the range: tikv_mvcc_key() says which. TiKV looks through everything there.
 * Blocks. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_mvcc_find(tikv_client *client, uint64_t start_ts, tikv_range range,
               const tikv_call *call, tikv_mvcc **out);

/* Absent when nothing was found. Slices of an mvcc live as long as it does. */
TIKV_API tikv_slice
tikv_mvcc_key(const tikv_mvcc *mvcc);

/* False when nobody has locked the key. */
TIKV_API bool
tikv_mvcc_lock(const tikv_mvcc *mvcc, tikv_lock_info *out);

TIKV_API size_t
tikv_mvcc_count(const tikv_mvcc *mvcc);

/* False when `index` is past the end. */
TIKV_API bool
tikv_mvcc_at(const tikv_mvcc *mvcc, size_t index, tikv_mvcc_version *out);

TIKV_API void
tikv_mvcc_free(tikv_mvcc *mvcc);

TIKV_END_DECLS

#endif
