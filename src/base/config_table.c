/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings, one row each, and the words of those that are not numbers. A
 * test holds it against the manual in <tikv/config.h>. Constants; no locks.
 */
#include "base/config_table.h"

#include "base/config.h"

#define INT TK_SETTING_INT
#define SWITCH TK_SETTING_SWITCH
#define LEVEL TK_SETTING_LEVEL
#define COMPRESSION TK_SETTING_COMPRESSION
#define POLICY TK_SETTING_POLICY
#define REDACTION TK_SETTING_REDACTION
#define TEXT TK_SETTING_TEXT
#define ENDPOINTS TK_SETTING_ENDPOINTS
#define HOT true
#define AT(member) offsetof(struct tk_config, member)

/* One row per line or two, in the order of <tikv/config.h>:
 * name, kind, place, min, max, default, HOT or 0, prose. */
/* clang-format off */
const struct tk_setting_row tk_settings[] = {
    { "pd.endpoints", ENDPOINTS, AT(pd_endpoints), 0, 0, "", 0,
      "addresses of placement drivers, host:port,host:port" },
    { "pd.timeout_ms", INT, AT(pd_timeout_ms), 10, 60000, "3000", HOT,
      "one request to a placement driver" },
    { "pd.open_timeout_ms", INT, AT(pd_open_timeout_ms), 10, 600000, "10000", 0,
      "finding the cluster when a client is opened" },
    { "pd.members_refresh_ms", INT, AT(pd_members_refresh_ms),
      100, 3600000, "60000", 0,
      "time between looks at the list of placement drivers" },
    { "pd.low_resolution_ms", INT, AT(pd_low_resolution_ms),
      10, 3600000, "2000", HOT,
      "age at which the timestamp kept at hand is renewed" },
    { "pd.breaker_percent", INT, AT(pd_breaker_percent), 0, 100, "0", HOT,
      "failures among requests about regions, above which none is sent for "
      "10 s; 0 is never" },
    { "pd.router", SWITCH, AT(pd_router), 0, 1, "true", HOT,
      "regions are asked for in a stream, many at once" },
    { "pd.follower_handle", SWITCH, AT(pd_follower_handle), 0, 1, "false", HOT,
      "the first look for a region may ask a member that does not lead" },
    { "tso.batch_max_count", INT, AT(tso_batch_max_count),
      1, 100000, "10000", 0,
      "timestamps asked for in one request" },
    { "tso.batch_wait_us", INT, AT(tso_batch_wait_us), 0, 10000, "0", HOT,
      "how long a request that is not full waits for more callers" },
    { "tso.inflight_count", INT, AT(tso_inflight_count), 1, 64, "1", HOT,
      "requests for timestamps on their way at once" },
    { "tso.follower_proxy", SWITCH, AT(tso_follower_proxy),
      0, 1, "false", HOT,
      "timestamps are asked for at all members, which pass it on to the "
      "leader" },
    { "client.zone", TEXT, AT(client_zone), 0, 0, "", 0,
      "where the client is, as stores tell it by their label zone" },
    { "txn.scope", TEXT, AT(txn_scope), 0, 0, "global", 0,
      "scope of transactions; empty is global" },
    { "call.timeout_ms", INT, AT(call_timeout_ms), 1, 3600000, "20000", HOT,
      "a whole call that names no timeout" },
    { "backoff.raw_ms", INT, AT(backoff_raw_ms), 1, 3600000, "20000", HOT,
      "time a raw call may sleep between attempts, before the weight" },
    { "backoff.txn_read_ms", INT, AT(backoff_txn_read_ms),
      1, 3600000, "20000", HOT,
      "the same, of a read of a snapshot, locks in its way included" },
    { "backoff.weight", INT, AT(backoff_weight), 1, 100, "2", HOT,
      "factor on every budget of sleep" },
    { "pool.threads_count", INT, AT(pool_threads_count), 1, 1024, "8", 0,
      "workers that run operations behind futures" },
    { "pool.queue_max_count", INT, AT(pool_queue_max_count),
      1, 10000000, "100000", 0,
      "operations waiting for a worker before new ones are refused" },
    { "pool.callbacks_max_count", INT, AT(pool_callbacks_max_count),
      1, 10000000, "1000000", 0,
      "callbacks that have not returned before new ones are refused" },
    { "memory.max_bytes", INT, AT(memory_max_bytes),
      0, 1099511627776, "1073741824", HOT,
      "held for the application before calls wait: requests, answers, writes "
      "of transactions; 0 is unlimited" },
    { "rpc.connections_count", INT, AT(rpc_connections_count), 1, 64, "1", 0,
      "connections to one store" },
    { "rpc.pollers_count", INT, AT(rpc_pollers_count), 1, 64, "1", 0,
      "threads that serve all connections" },
    { "rpc.batch_max_count", INT, AT(rpc_batch_max_count), 1, 4096, "128", 0,
      "requests in one message" },
    { "rpc.batch_policy", POLICY, AT(rpc_batch_policy), 0, 4, "flow", 0,
      "what messages wait for: answers (flow), nothing (basic), or more "
      "requests, for the numbers below" },
    { "rpc.batch_wait_us", INT, AT(rpc_batch_wait_us), 1, 10000, "100", 0,
      "how long a message waits for more requests" },
    { "rpc.batch_wait_count", INT, AT(rpc_batch_wait_count), 1, 4096, "8", 0,
      "for how many, under positive and for overloaded stores" },
    { "rpc.batch_reach_count", INT, AT(rpc_batch_reach_count),
      1, 1000, "5", 0,
      "a longer pause counts as so many waits, under standard" },
    { "rpc.batch_weight_percent", INT, AT(rpc_batch_weight_percent),
      1, 100, "20", 0,
      "weight of the newest pause between messages" },
    { "rpc.batch_sure_percent", INT, AT(rpc_batch_sure_percent),
      0, 1000, "80", 0,
      "of the wait, below which the mean pause must be under standard; of "
      "pauses, above which must be shorter under chance" },
    { "rpc.batch_round_percent", INT, AT(rpc_batch_round_percent),
      1, 100, "80", 0,
      "of a request from which the mean is rounded up" },
    { "rpc.overload_wait_us", INT, AT(rpc_overload_wait_us),
      0, 10000, "0", 0,
      "how long messages to an overloaded store wait; 0 is not at all" },
    { "rpc.overload_load", INT, AT(rpc_overload_load), 0, 1000000, "200", 0,
      "what a store tells of its load above which it is overloaded" },
    { "rpc.attempt_timeout_ms", INT, AT(rpc_attempt_timeout_ms),
      1, 600000, "30000", HOT,
      "one attempt at one store" },
    { "rpc.dial_timeout_ms", INT, AT(rpc_dial_timeout_ms), 10, 60000, "5000", 0,
      "making a connection" },
    { "rpc.keepalive_ms", INT, AT(rpc_keepalive_ms), 1000, 3600000, "10000", 0,
      "silence before a connection is probed" },
    { "rpc.keepalive_timeout_ms", INT, AT(rpc_keepalive_timeout_ms),
      50, 600000, "3000", 0,
      "a probe without answer before the connection is given up" },
    { "rpc.inflight_max_count", INT, AT(rpc_inflight_max_count),
      16, 65536, "65536", 0,
      "requests without answer on one connection" },
    { "rpc.request_max_bytes", INT, AT(rpc_request_max_bytes),
      1024, 2000000000, "1073741824", 0,
      "one request; a larger one is refused before it is sent" },
    { "rpc.reconnect_ms", INT, AT(rpc_reconnect_ms), 100, 60000, "100", 0,
      "wait before the second attempt to connect; grows by 1.6" },
    { "rpc.reconnect_max_ms", INT, AT(rpc_reconnect_max_ms),
      100, 600000, "3000", 0,
      "longest wait between attempts to connect" },
    { "rpc.idle_ms", INT, AT(rpc_idle_ms), 0, 86400000, "180000", 0,
      "a connection unused for so long is let go; 0 is never" },
    { "rpc.age_ms", INT, AT(rpc_age_ms), 0, 86400000, "0", 0,
      "a connection so old is replaced; 0 is unlimited" },
    { "rpc.window_bytes", INT, AT(rpc_window_bytes), 0, 1073741824, "0", 0,
      "bytes under way to us on one stream; 0 adapts to the network" },
    { "rpc.compression", COMPRESSION, AT(rpc_compression), 0, 1, "none", 0,
      "of what is sent: none or gzip" },
    { "region.cache_ttl_ms", INT, AT(region_cache_ttl_ms),
      10, 86400000, "600000", HOT,
      "a cached region nobody asked for" },
    { "region.cache_max_count", INT, AT(region_cache_max_count),
      1, 1000000000, "10000000", HOT,
      "cached regions; beyond it old ones make room" },
    { "region.sweep_ms", INT, AT(region_sweep_ms), 10, 3600000, "10000", HOT,
      "time between looks for cached regions that have ended" },
    { "region.preload", SWITCH, AT(region_preload), 0, 1, "false", 0,
      "all regions are loaded in the background at open" },
    { "region.refresh_ms", INT, AT(region_refresh_ms), 0, 86400000, "0", 0,
      "time between loads of all regions; 0 is never" },
    { "read.hedge_ms", INT, AT(read_hedge_ms), 0, 60000, "0", HOT,
      "a read that late is also sent to another replica; 0 is never" },
    { "read.hedge_percent", INT, AT(read_hedge_percent), 0, 100, "5", HOT,
      "of reads that may be sent twice for that" },
    { "retry.per_second_max", INT, AT(retry_per_second_max),
      0, 1000000, "0", HOT,
      "retries of all calls together; 0 is unlimited" },
    { "region.forwarding", SWITCH, AT(region_forwards), 0, 1, "false", HOT,
      "a leader only we cannot reach is asked through a follower" },
    { "stores.refresh_ms", INT, AT(stores_refresh_ms),
      100, 3600000, "60000", HOT,
      "time between looks at the addresses of all stores" },
    { "stores.inflight_max_count", INT, AT(stores_inflight_max),
      0, 65536, "0", HOT,
      "requests under way to one store; 0 is unlimited" },
    { "stores.probe_ms", INT, AT(stores_probe_ms), 10, 60000, "1000", HOT,
      "one probe of a store that failed, and the pause between two" },
    { "raw.atomic", SWITCH, AT(raw_atomic), 0, 1, "false", HOT,
      "raw writes are ordered with compare-and-swap" },
    { "raw.column_family", TEXT, AT(raw_column_family), 0, 0, "", 0,
      "column family of raw calls that name none" },
    { "raw.max_key_bytes", INT, AT(raw_max_key_bytes), 1, 1048576, "8192", HOT,
      "longest raw key" },
    { "raw.max_value_bytes", INT, AT(raw_max_value_bytes),
      1, 1073741824, "6291456", HOT,
      "longest raw value" },
    { "raw.batch_put_bytes", INT, AT(raw_batch_put_bytes),
      1, 8388608, "16384", HOT,
      "size of one request of a batch put" },
    { "raw.batch_keys_count", INT, AT(raw_batch_keys_count),
      1, 65536, "512", HOT,
      "keys in one request of a batch get or delete" },
    { "scan.page_count", INT, AT(scan_page_count), 1, 10240, "256", HOT,
      "pairs in one request of a scan" },
    { "txn.async_commit", SWITCH, AT(txn_async_commit), 0, 1, "true", HOT,
      "transactions may be committed by their prewrites" },
    { "txn.one_phase", SWITCH, AT(txn_one_phase), 0, 1, "true", HOT,
      "transactions in one region may be committed by one request" },
    { "txn.async_keys_count", INT, AT(txn_async_keys_count),
      1, 65536, "256", HOT,
      "keys of an async commit at most" },
    { "txn.async_bytes", INT, AT(txn_async_bytes), 1, 1048576, "4096", HOT,
      "bytes of these keys at most" },
    { "txn.safe_window_ms", INT, AT(txn_safe_window_ms), 0, 60000, "2000", HOT,
      "how far the timestamp of an async commit may lie ahead" },
    { "txn.batch_bytes", INT, AT(txn_batch_bytes), 1, 8388608, "16384", HOT,
      "keys and values in one request of a commit" },
    { "txn.max_bytes", INT, AT(txn_max_bytes),
      1, 1099511627776, "104857600", HOT,
      "keys and values of a transaction" },
    { "txn.max_entry_bytes", INT, AT(txn_max_entry_bytes),
      1, 125829120, "6291456", HOT,
      "one key with its value" },
    { "txn.heartbeat_ms", INT, AT(txn_heartbeat_ms), 10, 600000, "10000", HOT,
      "time between signs of life of a long commit" },
    { "txn.heartbeat_bytes", INT, AT(txn_heartbeat_bytes),
      0, 1099511627776, "33554432", HOT,
      "size from which a commit is a long one" },
    { "txn.max_age_ms", INT, AT(txn_max_age_ms), 1000, 86400000, "3600000", HOT,
      "age from which locks are not kept alive any more" },
    { "txn.attempts_count", INT, AT(txn_attempts_count), 1, 10000, "20", HOT,
      "attempts of tikv_txn_run" },
    { "txn.latches_count", INT, AT(txn_latches_count), 0, 1048576, "0", 0,
      "slots of local latches, which queue commits; 0 is none" },
    { "txn.close_wait_ms", INT, AT(txn_close_wait_ms), 0, 600000, "5000", HOT,
      "how long close waits for locks to be removed" },
    { "txn.split_keys_count", INT, AT(txn_split_keys), 1, INT64_MAX, "100000",
      HOT, "keys of a commit in one region from which that is split before" },
    { "txn.split_bytes", INT, AT(txn_split_bytes), 1, 1099511627776, "33554432",
      HOT, "of them in one of its parts" },
    { "security.ca_file", TEXT, AT(security_ca_file), 0, 0, "", 0,
      "PEM file of trusted roots; its presence turns TLS on" },
    { "security.cert_file", TEXT, AT(security_cert_file), 0, 0, "", 0,
      "PEM file of the client's certificate" },
    { "security.key_file", TEXT, AT(security_key_file), 0, 0, "", 0,
      "PEM file of the client's key" },
    { "security.ca_pem", TEXT, AT(security_ca_pem), 0, 0, "", 0,
      "PEM text of trusted roots, in place of security.ca_file" },
    { "security.cert_pem", TEXT, AT(security_cert_pem), 0, 0, "", 0,
      "PEM text, in place of security.cert_file" },
    { "security.key_pem", TEXT, AT(security_key_pem), 0, 0, "", 0,
      "PEM text, in place of security.key_file" },
    { "security.target_name", TEXT, AT(security_target_name), 0, 0, "", 0,
      "name expected in servers' certificates" },
    { "security.verify_cn", TEXT, AT(security_verify_cn), 0, 0, "", 0,
      "common names servers may have, name,name; empty allows all" },
    { "log.level", LEVEL, AT(log_level), 0, 4, "warn", HOT,
      "off, error, warn, info or debug" },
    { "log.redact", REDACTION, AT(log_redact), 0, 2, "on", HOT,
      "keys in texts, of the whole process: on hides them, off shows them in "
      "hex, marker puts them between marks" },
};
/* clang-format on */

const size_t tk_settings_count = sizeof(tk_settings) / sizeof(tk_settings[0]);

_Static_assert(sizeof(tk_settings) / sizeof(tk_settings[0]) <= TK_SETTINGS_MAX,
               "more rows than lent texts");

const char *const *
tk_setting_words(const struct tk_setting_row *row)
{
    static const char *const levels[] = { "off", "error", "warn", "info",
                                          "debug" };
    static const char *const compressions[] = { "none", "gzip" };
    static const char *const policies[] = { "flow", "basic", "standard",
                                            "positive", "chance" };
    static const char *const redactions[] = { "on", "off", "marker" };

    switch (row->kind) {
    case LEVEL:
        return levels;
    case COMPRESSION:
        return compressions;
    case POLICY:
        return policies;
    case REDACTION:
        return redactions;
    case INT:
    case SWITCH:
    case TEXT:
    case ENDPOINTS:
        break;
    }
    return NULL;
}
