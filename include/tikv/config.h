/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIKV_CONFIG_H
#define TIKV_CONFIG_H

/**
 * Configuration of one client, by name and text. Nothing is read from the
 * environment. A config is the caller's business: one thread at a time.
 *
 * A name marked * can also be changed on a living client with
 * tikv_client_set(). Switches take true, false, on, off, 1, 0.
 *
 * name                      default   bounds
 * pd.endpoints              -         host:port,host:port
 * pd.timeout_ms           * 3000      10 .. 60000
 * pd.open_timeout_ms        10000     10 .. 600000
 * pd.members_refresh_ms     60000     100 .. 3600000
 * pd.low_resolution_ms    * 2000      10 .. 3600000
 * pd.breaker_percent      * 0         0 .. 100, 0 is never
 * pd.router               * true      a switch
 * pd.follower_handle      * false     a switch
 * tso.batch_max_count       10000     1 .. 100000
 * tso.batch_wait_us       * 0         0 .. 10000
 * tso.inflight_count      * 1         1 .. 64
 * tso.follower_proxy      * false     a switch
 * client.zone               -         a text
 * txn.scope                 global    a text, empty is global
 * call.timeout_ms         * 20000     1 .. 3600000
 * backoff.raw_ms          * 20000     1 .. 3600000
 * backoff.txn_read_ms     * 20000     1 .. 3600000
 * backoff.weight          * 2         1 .. 100
 * pool.threads_count        8         1 .. 1024
 * pool.queue_max_count      100000    1 .. 10000000
 * pool.callbacks_max_count  1000000   1 .. 10000000
 * memory.max_bytes        * 1073741824 0 .. 1099511627776, 0 is unlimited
 * rpc.connections_count     1         1 .. 64
 * rpc.pollers_count         1         1 .. 64
 * rpc.batch_max_count       128       1 .. 4096
 * rpc.batch_policy          flow      flow, basic, standard, positive, chance
 * rpc.batch_wait_us         100       1 .. 10000
 * rpc.batch_wait_count      8         1 .. 4096
 * rpc.batch_reach_count     5         1 .. 1000
 * rpc.batch_weight_percent  20        1 .. 100
 * rpc.batch_sure_percent    80        0 .. 1000
 * rpc.batch_round_percent   80        1 .. 100
 * rpc.overload_wait_us      0         0 .. 10000, 0 is not at all
 * rpc.overload_load         200       0 .. 1000000
 * rpc.attempt_timeout_ms  * 30000     1 .. 600000
 * rpc.dial_timeout_ms       5000      10 .. 60000
 * rpc.keepalive_ms          10000     1000 .. 3600000
 * rpc.keepalive_timeout_ms  3000      50 .. 600000
 * rpc.inflight_max_count    65536     16 .. 65536
 * rpc.request_max_bytes     1073741824 1024 .. 2000000000
 * rpc.reconnect_ms          100       100 .. 60000
 * rpc.reconnect_max_ms      3000      100 .. 600000
 * rpc.idle_ms               180000    0 .. 86400000, 0 is never
 * rpc.age_ms                0         0 .. 86400000, 0 is unlimited
 * rpc.window_bytes          0         0 .. 1073741824, 0 adapts to the network
 * rpc.compression           none      none, gzip
 * region.cache_ttl_ms     * 600000    10 .. 86400000
 * region.cache_max_count  * 10000000  1 .. 1000000000
 * region.sweep_ms         * 10000     10 .. 3600000
 * region.preload            false     a switch
 * region.refresh_ms         0         0 .. 86400000, 0 is never
 * read.hedge_ms           * 0         0 .. 60000, 0 is never
 * read.hedge_percent      * 5         0 .. 100
 * retry.per_second_max    * 0         0 .. 1000000, 0 is unlimited
 * region.forwarding       * false     a switch
 * stores.refresh_ms       * 60000     100 .. 3600000
 * stores.inflight_max_count * 0       0 .. 65536, 0 is unlimited
 * stores.probe_ms         * 1000      10 .. 60000
 * raw.atomic              * false     a switch
 * raw.column_family         -         a text
 * raw.max_key_bytes       * 8192      1 .. 1048576
 * raw.max_value_bytes     * 6291456   1 .. 1073741824
 * raw.batch_put_bytes     * 16384     1 .. 8388608
 * raw.batch_keys_count    * 512       1 .. 65536
 * scan.page_count         * 256       1 .. 10240
 * txn.async_commit        * true      a switch
 * txn.one_phase           * true      a switch
 * txn.async_keys_count    * 256       1 .. 65536
 * txn.async_bytes         * 4096      1 .. 1048576
 * txn.safe_window_ms      * 2000      0 .. 60000
 * txn.batch_bytes         * 16384     1 .. 8388608
 * txn.max_bytes           * 104857600 1 .. 1099511627776
 * txn.max_entry_bytes     * 6291456   1 .. 125829120
 * txn.heartbeat_ms        * 10000     10 .. 600000
 * txn.heartbeat_bytes     * 33554432  0 .. 1099511627776
 * txn.max_age_ms          * 3600000   1000 .. 86400000
 * txn.attempts_count      * 20        1 .. 10000
 * txn.latches_count         0         0 .. 1048576, 0 is none
 * txn.close_wait_ms       * 5000      0 .. 600000
 * txn.split_keys_count    * 100000    1 .. 9223372036854775807
 * txn.split_bytes         * 33554432  1 .. 1099511627776
 * security.ca_file          -         a path; a CA turns TLS on
 * security.cert_file        -         a path, with security.key_file
 * security.key_file         -         a path, with security.cert_file
 * security.ca_pem           -         the text of such a file, in its place
 * security.cert_pem         -         the text of such a file, in its place
 * security.key_pem          -         the text of such a file, in its place
 * security.target_name      -         a text
 * security.verify_cn        -         name,name; empty allows all
 * log.level               * warn      off, error, warn, info, debug
 * log.redact              * on        on, off, marker
 */

#include <tikv/base.h>

TIKV_BEGIN_DECLS

TIKV_API TIKV_MUST_USE tikv_error *
tikv_config_new(tikv_config **out);

/* TIKV_ERR_ARGUMENT names the setting, the value and its bounds; the config
 * is unchanged then. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_config_set(tikv_config *config, const char *name, const char *value);

/* The text of a setting, or NULL when there is none of that name. It lives
 * until the next change of `config`. */
TIKV_API const char *
tikv_config_get(const tikv_config *config, const char *name);

/* Takes over a connection string (feature CFG-3):
 * tikv://host:port[,host:port...][?name=value&name=value]
 * where the names are those of the table, or client-go's: `cluster` is
 * accepted and ignored, `disableGC` must be true or false. A text without
 * "://" is a plain list of endpoints. Changes nothing on error. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_config_parse(tikv_config *config, const char *text);

/* The table itself, for tools: false when `index` is past its end. */
TIKV_API bool
tikv_config_describe(size_t index, const char **name,
                     const char **default_value, const char **text);

#define TIKV_LOG_ERROR INT32_C(1)
#define TIKV_LOG_WARN INT32_C(2)
#define TIKV_LOG_INFO INT32_C(3)
#define TIKV_LOG_DEBUG INT32_C(4)

/* Called from any thread, one line at a time. `room` is a literal. */
typedef void
tikv_log_fn(int32_t level, const char *room, const char *text, void *arg);

/* Where the lines of a client opened with this config go; without a sink
 * they go nowhere. */
TIKV_API void
tikv_config_log(tikv_config *config, tikv_log_fn *fn, void *arg);

TIKV_API void
tikv_config_free(tikv_config *config);

TIKV_END_DECLS

#endif
