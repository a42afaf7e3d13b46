/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What PD keeps and who watches it, for the pd_ files. Keyspaces, safe
 * points, barriers, resource groups and configuration are keys of one ledger,
 * as in a real PD; the rest is a handful of numbers. Everything is guarded by
 * the cluster's lock.
 */
#ifndef TK_CLUSTER_PD_H
#define TK_CLUSTER_PD_H

#include "cluster/inner.h"
#include "cluster/ledger.h"
#include "cluster/stream.h"

#define TK_CL_NULL_KEYSPACE UINT32_C(0xffffffff)

/* pdpb.ErrorType */
enum {
    TK_PD_UNKNOWN = 1,
    TK_PD_STORE_TOMBSTONE = 3,
    TK_PD_ALREADY_BOOTSTRAPPED = 4,
    TK_PD_REGION_NOT_FOUND = 6,
    TK_PD_CONFIG_NOT_FOUND = 7,
    TK_PD_ENTRY_NOT_FOUND = 9,
    TK_PD_INVALID_VALUE = 10,
    TK_PD_DATA_COMPACTED = 11,
    TK_PD_NOT_ALL_RANGES = 12
};

enum { TK_PD_KEY_MAX = 512, TK_PD_URL_MAX = TK_CL_ADDRESS_MAX + 16 };

struct tk_cl_lease {
    struct tk_cl_lease *next; /* in order of ids */
    int64_t id;
    int64_t ttl_s;
    int64_t ends_ms; /* wall clock */
};

struct tk_cl_group; /* tokens of a resource group, pd_resource.c */

struct tk_cl_buckets {
    struct tk_cl_buckets *next;
    uint64_t region_id;
    uint64_t region_version; /* they hold for this one only */
    uint64_t version;
    struct tk_buf keys; /* repeated field 3 of metapb.Buckets */
};

struct tk_cl_pd {
    struct tk_ledger ledger;
    int64_t told; /* revision that watches know of */
    uint32_t services; /* TK_CLUSTER_SERVICE_... */
    uint32_t max_peers;
    uint32_t suffix_bits;
    uint64_t hidden; /* a region that nobody has told PD of; 0: none */
    bool is_recovering;
    bool shows_unsplit; /* keyspaces whose regions are not cut yet */
    bool is_closing;
    int64_t scatter_ms;
    uint64_t *min_resolved; /* by store */
    struct tk_cl_lease *leases;
    int64_t leases_last;
    struct tk_timer lease_timer;
    bool lease_armed;
    struct tk_cluster *cluster; /* for the timer */
    struct tk_cl_group *groups;
    struct tk_cl_buckets *buckets;
};

/* ---- pd_state.c ---- */

/* "/pd/<cluster>/" and what follows. */
tikv_slice
tk_cl_pd_key(const struct tk_cluster *cluster, char buffer[TK_PD_KEY_MAX],
             const char *format, ...) __attribute__((format(printf, 3, 4)));

/* "http://host:port" of a member, or https. */
const char *
tk_cl_pd_url(const struct tk_cluster *cluster, uint32_t member,
             char buffer[TK_PD_URL_MAX]);

/* A decimal number; 0 when it is none. */
uint64_t
tk_cl_pd_number(tikv_slice text);

uint64_t
tk_cl_pd_read(struct tk_cluster *cluster, tikv_slice key);

/* As above, false without memory. */
bool
tk_cl_pd_write(struct tk_cluster *cluster, tikv_slice key, uint64_t number);

/* An answer that is nothing but a header with an error. Gives OK. */
int
tk_cl_pd_refuse(struct tk_cl_request *request, uint32_t type,
                const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Memory ended: the request fails as a whole. Gives OK. */
int
tk_cl_pd_no_memory(struct tk_cl_request *request);

/* The key as etcd means it: `end` empty is `start` alone, one zero byte is
 * everything from `start` on. */
bool
tk_cl_in_span(tikv_slice key, tikv_slice start, tikv_slice end);

/* The end of all keys with a prefix, into room of the same length; its
 * length, 0 when there is none. */
size_t
tk_cl_prefix_end(tikv_slice prefix, uint8_t *out);

bool
tk_cl_has_prefix(tikv_slice key, const char *prefix);

/* ---- pd_watch.c ---- */

struct tk_cl_watch;

struct tk_cl_watch_kind {
    /* The message around the events. */
    void (*begin)(struct tk_cluster_stream *, const struct tk_cl_watch *,
                  struct tk_buf *out);
    void (*event)(struct tk_cluster_stream *, const struct tk_cl_watch *,
                  const struct tk_ledger_version *version,
                  struct tk_buf *out);
};

struct tk_cl_watch {
    struct tk_cl_watch *next;
    const struct tk_cl_watch_kind *kind;
    int64_t id;
    int64_t since; /* the first revision that was not told */
    tikv_slice start;
    tikv_slice end;
    bool with_prev;
    bool no_put;
    bool no_delete;
    uint8_t bytes[]; /* of start and end */
};

/* Begins with `since`, or with what comes next when that is 0. Past events
 * are queued by the first tk_cl_watch_tell(). NULL without memory. */
struct tk_cl_watch *
tk_cl_watch_add(struct tk_cluster_stream *stream,
                const struct tk_cl_watch_kind *kind, tikv_slice start,
                tikv_slice end, int64_t since);

/* False: there is none of that id. */
bool
tk_cl_watch_remove(struct tk_cluster_stream *stream, int64_t id);

/* Queues what has happened and was not told yet. */
void
tk_cl_watch_tell(struct tk_cluster_stream *stream, struct tk_cl_watch *watch);

/* The version before, for events that carry it; NULL when there was none. */
const struct tk_ledger_version *
tk_cl_watch_prev(const struct tk_ledger_version *version);

/* ---- pd_kv.c: what etcd and meta storage have in common ---- */

/* metapb's and etcd's KeyValue look alike. */
void
tk_cl_put_kv(struct tk_buf *out, uint32_t field,
             const struct tk_ledger_version *version, bool without_value);

/* Event of both. */
void
tk_cl_put_event(struct tk_buf *out, uint32_t field,
                const struct tk_cl_watch *watch,
                const struct tk_ledger_version *version);

/* ---- pd_lease.c ---- */

struct tk_cl_lease *
tk_cl_lease_find(struct tk_cluster *cluster, int64_t id);

/* A new one, with an id of its own; `id` 0: made up. NULL without memory. */
struct tk_cl_lease *
tk_cl_lease_add(struct tk_cluster *cluster, int64_t id, int64_t ttl_s);

/* It alone, if it is there. */
void
tk_cl_lease_forget(struct tk_cluster *cluster, int64_t id);

/* Keys of the lease go with it. False without memory. */
bool
tk_cl_lease_revoke(struct tk_cluster *cluster, int64_t id);

/* Waits for the next lease to end. */
void
tk_cl_lease_arm(struct tk_cluster *cluster);

void
tk_cl_leases_free(struct tk_cluster *cluster);

/* ---- pd_keyspace.c ---- */

struct tk_cl_keyspace {
    uint32_t id;
    uint32_t state; /* keyspacepb.KeyspaceState */
    tikv_slice name;
    tikv_slice meta; /* keyspacepb.KeyspaceMeta */
};

bool
tk_cl_keyspace_find(struct tk_cluster *cluster, uint32_t id,
                    struct tk_cl_keyspace *out);

/* The first one with an id of `from` or more. */
bool
tk_cl_keyspace_next(struct tk_cluster *cluster, uint64_t from,
                    struct tk_cl_keyspace *out);

bool
tk_cl_keyspace_has(const struct tk_cl_keyspace *keyspace, const char *name,
                   const char *value);

bool
tk_cl_keyspace_named(struct tk_cluster *cluster, tikv_slice name,
                     struct tk_cl_keyspace *out);

/* What a new cluster has: DEFAULT. */
bool
tk_cl_keyspace_init(struct tk_cluster *cluster);

/* ---- pd_http_keyspace.c ---- */

enum { TK_PD_HTTP_OK = 200, TK_PD_HTTP_NOT_FOUND = 404 };

/* What follows ".../keyspaces" in the request. */
int
tk_cl_http_keyspaces(struct tk_cluster *cluster, const char *rest,
                     struct tk_buf *out);

/* Makes one as the JSON in `body` says. Without the lock. */
int
tk_cl_http_keyspace_make(struct tk_cluster *cluster, tikv_slice body,
                         struct tk_buf *out);

/* ---- pd_resource.c ---- */

bool
tk_cl_groups_init(struct tk_cluster *cluster);

void
tk_cl_groups_free(struct tk_cluster *cluster);

/* ---- pd_buckets.c ---- */

/* Of this version of the region; NULL: none. */
const struct tk_cl_buckets *
tk_cl_buckets_of(struct tk_cluster *cluster,
                 const struct tk_cl_region *region);

void
tk_cl_put_buckets(struct tk_buf *out, uint32_t field,
                  struct tk_cluster *cluster,
                  const struct tk_cl_region *region);

void
tk_cl_buckets_free(struct tk_cluster *cluster);

/* ---- pd_etcd.c ---- */

tk_cl_handler tk_cl_etcd_range, tk_cl_etcd_put, tk_cl_etcd_delete,
    tk_cl_etcd_txn, tk_cl_etcd_compact, tk_cl_etcd_watch, tk_cl_etcd_members,
    tk_cl_etcd_status, tk_cl_lease_grant, tk_cl_lease_end,
    tk_cl_lease_keep_alive, tk_cl_lease_left;

tk_cl_handler tk_cl_gc_safe_point, tk_cl_gc_update, tk_cl_gc_service,
    tk_cl_gc_safe_point_v2, tk_cl_gc_update_v2, tk_cl_gc_service_v2,
    tk_cl_gc_watch, tk_cl_gc_all_v2, tk_cl_gc_advance, tk_cl_gc_advance_txn,
    tk_cl_gc_set, tk_cl_gc_delete, tk_cl_gc_set_global,
    tk_cl_gc_delete_global, tk_cl_gc_state, tk_cl_gc_states;
tk_cl_handler tk_cl_pd_get_config, tk_cl_pd_put_config, tk_cl_pd_set_external,
    tk_cl_pd_get_external, tk_cl_config_store, tk_cl_config_load,
    tk_cl_config_watch;
tk_cl_handler tk_cl_meta_get, tk_cl_meta_put, tk_cl_meta_delete,
    tk_cl_meta_watch;
tk_cl_handler tk_cl_keyspace_load, tk_cl_keyspace_lookup,
    tk_cl_keyspace_by_id, tk_cl_keyspace_update, tk_cl_keyspace_all,
    tk_cl_keyspace_watch;
tk_cl_handler tk_cl_groups_list, tk_cl_group_get, tk_cl_group_add,
    tk_cl_group_modify, tk_cl_group_delete, tk_cl_group_tokens;
/* ---- tso.c ---- */

/* So many timestamps at once: a status. */
int
tk_cl_tso_check(struct tk_cl_request *request, uint32_t count);

/* Fields 2 and 3 of a Tso answer. */
void
tk_cl_tso_answer(struct tk_cl_request *request, uint32_t count);

/* One timestamp. */
void
tk_cl_tso_put_one(struct tk_cl_request *request, uint32_t field);

tk_cl_handler tk_cl_tso_stream, tk_cl_tso_find_group, tk_cl_tso_min_ts,
    tk_cl_router_region, tk_cl_router_prev_region, tk_cl_router_region_by_id,
    tk_cl_router_query, tk_cl_router_batch_scan, tk_cl_router_store,
    tk_cl_router_stores;
tk_cl_handler tk_cl_health_check, tk_cl_health_watch;
tk_cl_handler tk_cl_pd_bootstrap, tk_cl_pd_put_store, tk_cl_pd_store_beat,
    tk_cl_pd_region_beat, tk_cl_pd_ask_split, tk_cl_pd_ask_batch_split,
    tk_cl_pd_report_min_ts, tk_cl_pd_header_only, tk_cl_pd_sync;

#endif
