/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIKV_RAW_H
#define TIKV_RAW_H

/**
 * Raw key-value: single keys and batches without transactions.
 *
 * What a lost answer means. Reads, puts and deletes are sent again until the
 * call's time or its retry budget is used up; a put that was sent again may
 * have been applied more than once. When a write ends without an answer
 * although it was sent, the error is TIKV_ERR_UNDETERMINED. A swap is never
 * sent again after its answer was lost: TiKV cannot tell a repeated swap from
 * a failed one.
 *
 * Atomic mode. tikv_raw_swap() is linearizable only against writes that also
 * carry the atomic flag. It is a mode of the client (`raw.atomic`), and may be
 * overridden per call. A swap outside of atomic mode is refused with
 * TIKV_ERR_UNSUPPORTED, and so are deletes of several keys inside it, which
 * TiKV cannot do atomically.
 *
 * Raw and transactional data must not share a cluster in API V1.
 *
 * Every key may be empty; an absent key is TIKV_ERR_ARGUMENT. An empty value
 * is a value. Keys and values above `raw.max_key_bytes` and
 * `raw.max_value_bytes` give TIKV_ERR_TOO_LARGE before anything is sent.
 */

#include <tikv/base.h>

TIKV_BEGIN_DECLS

typedef struct tikv_raw_options {
    tikv_call call;

    /* "default", "lock" or "write"; NULL: the client's `raw.column_family`. */
    const char *column_family;

    /* Seconds until a written value is gone, 0: never. Needs a cluster with
     * TTL enabled. */
    uint64_t ttl_s;

    /* Batch put only: one TTL per pair in place of `ttl_s`. */
    const uint64_t *ttls_s;
    size_t ttls_count;

    /* Atomic mode of this call; the default is the client's `raw.atomic`. */
    tikv_switch atomic;
    uint32_t reserved;

    /* Gets the call's account: details.h. NULL: nobody asks. */
    tikv_details *details;
} tikv_raw_options;
#define TIKV_RAW_OPTIONS_INIT                                                  \
    { TIKV_CALL_INIT_SIZED(sizeof(tikv_raw_options)),                          \
      NULL, 0, NULL, 0, 0, 0, NULL }

typedef struct tikv_scan_options {
    tikv_call call;
    const char *column_family;

    /* Pairs in one page, 1 .. TIKV_SCAN_PAGE_MAX; 0: `scan.page_count`. */
    uint32_t page_count;
    uint32_t flags;
    tikv_details *details; /* as above */
} tikv_scan_options;
#define TIKV_SCAN_OPTIONS_INIT                                                 \
    { TIKV_CALL_INIT_SIZED(sizeof(tikv_scan_options)), NULL, 0, 0, NULL }
#define TIKV_SCAN_REVERSE UINT32_C(1)
#define TIKV_SCAN_KEYS_ONLY UINT32_C(2)
#define TIKV_SCAN_PAGE_MAX UINT32_C(10240)

/* INIT for languages without a C preprocessor. */
TIKV_API void
tikv_raw_options_init(tikv_raw_options *options, size_t struct_size);

TIKV_API void
tikv_scan_options_init(tikv_scan_options *options, size_t struct_size);

/* ---- blocking, up to the call's timeout ---- */

/**
 * Reads the value under `key`.
 *
 * `*out` is the value, or NULL when the key holds none. The caller frees it.
 */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_raw_get(tikv_client *client, tikv_slice key,
             const tikv_raw_options *options, tikv_value **out);

/* Writes. An absent `value` is TIKV_ERR_ARGUMENT, an empty one is stored. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_raw_put(tikv_client *client, tikv_slice key, tikv_slice value,
             const tikv_raw_options *options);

/* Deleting a key that is not there succeeds. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_raw_delete(tikv_client *client, tikv_slice key,
                const tikv_raw_options *options);

/**
 * Sets `desired` if `expected` is there; an absent `expected` means no value
 * at all, an absent `desired` deletes.
 *
 * `*swapped` tells whether it did. `*previous` is what was there before, NULL
 * for nothing; the caller frees it. Either may be NULL. Atomic mode only.
 * A lost answer is TIKV_ERR_UNDETERMINED.
 */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_raw_swap(tikv_client *client, tikv_slice key, tikv_slice expected,
              tikv_slice desired, const tikv_raw_options *options,
              bool *swapped, tikv_value **previous);

/* How long the value under `key` has to live. `*found` is false when there is
 * no value, `*ttl_s` 0 when it lives for ever. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_raw_ttl(tikv_client *client, tikv_slice key,
             const tikv_raw_options *options, bool *found, uint64_t *ttl_s);

/* One pair per key, in the order asked, absent values included. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_raw_batch_get(tikv_client *client, const tikv_slice *keys, size_t count,
                   const tikv_raw_options *options, tikv_pairs **out);

/**
 * Writes all pairs; of pairs with the same key the last one wins, with its
 * TTL.
 *
 * Atomic within a region only. On error tikv_error_outcome() tells for each
 * pair whether it was written.
 */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_raw_batch_put(tikv_client *client, const tikv_pair *pairs, size_t count,
                   const tikv_raw_options *options);

/* Deletes all keys; on error tikv_error_outcome() tells which are gone. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_raw_batch_delete(tikv_client *client, const tikv_slice *keys,
                      size_t count, const tikv_raw_options *options);

/* Removes a range, region by region, TTLs notwithstanding. On error a part of
 * it may be gone. A start at or after the end removes nothing. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_raw_delete_range(tikv_client *client, tikv_range range,
                      const tikv_raw_options *options);

/**
 * One page of a range, in the order of the keys; with TIKV_SCAN_REVERSE from
 * its end (excluded) down to its start (included).
 *
 * The page is full unless the range has ended; tikv_pairs_next() gives the
 * range of the page after. TIKV_ERR_ARGUMENT for a page above
 * TIKV_SCAN_PAGE_MAX.
 */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_raw_scan(tikv_client *client, tikv_range range,
              const tikv_scan_options *options, tikv_pairs **out);

/* Several ranges in one call, up to `page_count` pairs of each, one after the
 * other; tikv_pairs_group_end() tells where each ends. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_raw_batch_scan(tikv_client *client, const tikv_range *ranges,
                    size_t count, const tikv_scan_options *options,
                    tikv_pairs **out);

/* The XOR of CRC-64/XZ over key and value of every pair of the ranges, with
 * their number and bytes, computed by TiKV. Column families: default only.
 * Any out parameter may be NULL. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_raw_checksum(tikv_client *client, const tikv_range *ranges, size_t count,
                  const tikv_raw_options *options, uint64_t *crc64_xor,
                  uint64_t *pairs_count, uint64_t *total_bytes);

/* ---- promised; never NULL. In brackets what takes the outcome. ---- */

/* [value] */
TIKV_API TIKV_MUST_USE tikv_future *
tikv_raw_get_async(tikv_client *client, tikv_slice key,
                   const tikv_raw_options *options);

/* [done] */
TIKV_API TIKV_MUST_USE tikv_future *
tikv_raw_put_async(tikv_client *client, tikv_slice key, tikv_slice value,
                   const tikv_raw_options *options);

/* [done] */
TIKV_API TIKV_MUST_USE tikv_future *
tikv_raw_delete_async(tikv_client *client, tikv_slice key,
                      const tikv_raw_options *options);

/* [swap] */
TIKV_API TIKV_MUST_USE tikv_future *
tikv_raw_swap_async(tikv_client *client, tikv_slice key, tikv_slice expected,
                    tikv_slice desired, const tikv_raw_options *options);

/* [ttl] */
TIKV_API TIKV_MUST_USE tikv_future *
tikv_raw_ttl_async(tikv_client *client, tikv_slice key,
                   const tikv_raw_options *options);

/* [pairs] */
TIKV_API TIKV_MUST_USE tikv_future *
tikv_raw_batch_get_async(tikv_client *client, const tikv_slice *keys,
                         size_t count, const tikv_raw_options *options);

/* [done] */
TIKV_API TIKV_MUST_USE tikv_future *
tikv_raw_batch_put_async(tikv_client *client, const tikv_pair *pairs,
                         size_t count, const tikv_raw_options *options);

/* [done] */
TIKV_API TIKV_MUST_USE tikv_future *
tikv_raw_batch_delete_async(tikv_client *client, const tikv_slice *keys,
                            size_t count, const tikv_raw_options *options);

/* [done] */
TIKV_API TIKV_MUST_USE tikv_future *
tikv_raw_delete_range_async(tikv_client *client, tikv_range range,
                            const tikv_raw_options *options);

/* [pairs] */
TIKV_API TIKV_MUST_USE tikv_future *
tikv_raw_scan_async(tikv_client *client, tikv_range range,
                    const tikv_scan_options *options);

/* [pairs] */
TIKV_API TIKV_MUST_USE tikv_future *
tikv_raw_batch_scan_async(tikv_client *client, const tikv_range *ranges,
                          size_t count, const tikv_scan_options *options);

/* [checksum] */
TIKV_API TIKV_MUST_USE tikv_future *
tikv_raw_checksum_async(tikv_client *client, const tikv_range *ranges,
                        size_t count, const tikv_raw_options *options);

TIKV_END_DECLS

#endif
