/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One table of settings: name, kind, place in struct tk_config, bounds,
 * default, prose. The manual in <tikv/config.h> is compared with it by a
 * lint. Values are atomics, so that hot settings can be changed on a living
 * client; texts are fixed once the client is open.
 */
#ifndef TK_BASE_CONFIG_H
#define TK_BASE_CONFIG_H

#include <stdatomic.h>

#include <tikv/config.h>

#include "base/log.h"

typedef _Atomic int64_t tk_setting; /* relaxed */

struct tk_config {
    tk_setting pd_timeout_ms;
    tk_setting pd_open_timeout_ms;
    tk_setting pd_members_refresh_ms;
    tk_setting pd_low_resolution_ms;
    tk_setting pd_breaker_percent;
    tk_setting pd_router;
    tk_setting pd_follower_handle;
    tk_setting tso_batch_max_count;
    tk_setting tso_batch_wait_us;
    tk_setting tso_inflight_count;
    tk_setting tso_follower_proxy;
    tk_setting call_timeout_ms;
    tk_setting backoff_raw_ms;
    tk_setting backoff_txn_read_ms;
    tk_setting backoff_weight;
    tk_setting pool_threads_count;
    tk_setting pool_queue_max_count;
    tk_setting pool_callbacks_max_count;
    tk_setting memory_max_bytes;
    tk_setting rpc_connections_count;
    tk_setting rpc_pollers_count;
    tk_setting rpc_batch_max_count;
    tk_setting rpc_batch_policy; /* enum tk_gather_policy */
    tk_setting rpc_batch_wait_us;
    tk_setting rpc_batch_wait_count;
    tk_setting rpc_batch_reach_count;
    tk_setting rpc_batch_weight_percent;
    tk_setting rpc_batch_sure_percent;
    tk_setting rpc_batch_round_percent;
    tk_setting rpc_overload_wait_us;
    tk_setting rpc_overload_load;
    tk_setting rpc_attempt_timeout_ms;
    tk_setting rpc_dial_timeout_ms;
    tk_setting rpc_keepalive_ms;
    tk_setting rpc_keepalive_timeout_ms;
    tk_setting rpc_inflight_max_count;
    tk_setting rpc_request_max_bytes;
    tk_setting rpc_reconnect_ms;
    tk_setting rpc_reconnect_max_ms;
    tk_setting rpc_idle_ms;
    tk_setting rpc_age_ms;
    tk_setting rpc_window_bytes;
    tk_setting rpc_compression; /* 0 none, 1 gzip */
    tk_setting region_cache_ttl_ms;
    tk_setting region_cache_max_count;
    tk_setting region_sweep_ms;
    tk_setting region_preload;
    tk_setting region_refresh_ms;
    tk_setting region_forwards;
    tk_setting read_hedge_ms;
    tk_setting read_hedge_percent;
    tk_setting retry_per_second_max;
    tk_setting stores_inflight_max;
    tk_setting stores_refresh_ms;
    tk_setting stores_probe_ms;
    tk_setting raw_atomic;
    tk_setting raw_max_key_bytes;
    tk_setting raw_max_value_bytes;
    tk_setting raw_batch_put_bytes;
    tk_setting raw_batch_keys_count;
    tk_setting scan_page_count;
    tk_setting txn_async_commit;
    tk_setting txn_one_phase;
    tk_setting txn_async_keys_count;
    tk_setting txn_async_bytes;
    tk_setting txn_safe_window_ms;
    tk_setting txn_batch_bytes;
    tk_setting txn_max_bytes;
    tk_setting txn_max_entry_bytes;
    tk_setting txn_heartbeat_ms;
    tk_setting txn_heartbeat_bytes;
    tk_setting txn_max_age_ms;
    tk_setting txn_attempts_count;
    tk_setting txn_latches_count;
    tk_setting txn_close_wait_ms;
    tk_setting txn_split_keys;
    tk_setting txn_split_bytes;
    tk_setting log_level;
    tk_setting log_redact; /* enum tk_redact */

    /* Never NULL; "" when not set. */
    char *pd_endpoints;
    char *client_zone;
    char *txn_scope;
    char *raw_column_family;
    char *security_ca_file;
    char *security_cert_file;
    char *security_key_file;
    char *security_ca_pem;
    char *security_cert_pem;
    char *security_key_pem;
    char *security_target_name;
    char *security_verify_cn;

    tikv_log_fn *log_fn;
    void *log_arg;
};

/* The most rows the table can have. */
#define TK_SETTINGS_MAX 96

/* `lent` is the text tikv_config_get() makes of a number, one per row, so
 * that the answer of one name outlives the question for the next. */
struct tikv_config {
    struct tk_config values;
    char (*lent)[24];
};

const struct tk_config *
tk_config_of(const tikv_config *config);

/* Copies, and checks what only makes sense together: a certificate without
 * its key, or without a CA. (Single texts were checked when they were set;
 * missing endpoints are the opener's to refuse.) `out` is finished with
 * tk_config_fini(), and is empty on error. */
tikv_error *
tk_config_copy(const struct tk_config *from, struct tk_config *out);

void
tk_config_fini(struct tk_config *config);

/* NULL, or what is wrong with a list host:port,host:port. */
tikv_error *
tk_endpoints_check(const char *text);

/* tikv_config_set() on a living client: refuses names that are not hot. */
tikv_error *
tk_config_set_hot(struct tk_config *config, const char *name,
                  const char *value);

static inline int64_t
tk_config_ns(const tk_setting *ms)
{
    return atomic_load_explicit(ms, memory_order_relaxed) * 1000000;
}

static inline int64_t
tk_config_int(const tk_setting *setting)
{
    return atomic_load_explicit(setting, memory_order_relaxed);
}

#endif
