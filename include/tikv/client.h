/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIKV_CLIENT_H
#define TIKV_CLIENT_H

/**
 * A client is one connection to one cluster: its threads, its caches, its
 * configuration. A process may have several.
 *
 * Fork: a client opened before fork() answers TIKV_ERR_FORKED at once in the
 * child, never hangs, and can be closed there. Open a new one instead.
 *
 * gRPC: an application with gRPC of its own shares C core with the library,
 * and with it one cached completion per thread. Call nothing of ours from
 * inside of C++'s CompletionQueue::DoThenAsyncNext(), or between
 * grpc_completion_queue_thread_local_cache_init() and its flush: what was in
 * the cache would be lost.
 */

#include <tikv/base.h>

TIKV_BEGIN_DECLS

/* Finds the cluster and makes a client of it. Reads `config` once; it may be
 * freed right after. Blocks until a PD leader answered, at the longest
 * `pd.open_timeout_ms`. TIKV_ERR_ARGUMENT when no endpoint is configured,
 * TIKV_ERR_PD when none of them answers, TIKV_ERR_CLUSTER_MISMATCH when they
 * belong to different clusters. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_client_open(const tikv_config *config, tikv_client **out);

/* The same from text: "host:port,host:port" or a tikv:// connection string
 * (see tikv_config_parse()). */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_client_connect(const char *endpoints, tikv_client **out);

/* Waits until nothing is in flight: calls, futures, and what goes on behind
 * transactions, as the commit of their other keys and the locks that readers
 * clean away. Blocks. TIKV_ERR_TIMEOUT when something still is. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_client_drain(tikv_client *client, int64_t timeout_ms);

/* Cancels what runs, finishes every future with TIKV_ERR_CLOSED (a write that
 * was sent and not answered with TIKV_ERR_UNDETERMINED), calls every
 * outstanding callback, waits until all have returned, joins the threads.
 * Blocks. Futures, values and errors may be freed afterwards, in any order.
 * Must not be called from a callback: there it only begins the closing, and
 * the client is never freed. */
TIKV_API void
tikv_client_close(tikv_client *client);

/* Changes a setting that config.h marks as hot, on the living client. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_client_set(tikv_client *client, const char *name, const char *value);

TIKV_API uint64_t
tikv_client_cluster_id(const tikv_client *client);

/**
 * What the client holds for the application right now, in bytes, about:
 * requests that wait or are being written, received answers as long as one of
 * their values lives (a value keeps the whole message it came with), writes
 * of transactions that are not freed. Above `memory.max_bytes` calls wait, up
 * to their time, and then fail with TIKV_ERR_OVERLOAD; writes into a
 * transaction fail at once. What ends a transaction passes: commits of what is
 * locked, rollbacks.
 */
TIKV_API uint64_t
tikv_client_bytes_in_use(const tikv_client *client);

TIKV_END_DECLS

#endif
