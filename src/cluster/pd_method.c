/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PD's rows of the table of methods: those that clients of ours call, by
 * their command, and behind them those that only others do.
 */
#include "cluster/pd.h"

struct row {
    uint32_t index;
    tk_cl_handler *run;
    uint32_t flags;
};

struct other {
    const char *label;
    const char *path;
    tk_cl_handler *run;
    uint32_t flags;
    uint8_t kind;
};

/* What has no header, or one of its own. */
#define FREE TK_CL_ANY_CLUSTER
/* What every member answers. */
#define OPEN (TK_CL_ANY_CLUSTER | TK_CL_ANY_MEMBER)

static const struct row rows[] = {
    { TK_CMD_PD_GET_CLUSTER_CONFIG, tk_cl_pd_get_config, 0 },
    { TK_CMD_PD_GET_GC_SAFE_POINT, tk_cl_gc_safe_point, 0 },
    { TK_CMD_PD_UPDATE_GC_SAFE_POINT, tk_cl_gc_update, 0 },
    { TK_CMD_PD_UPDATE_SERVICE_GC_SAFE_POINT, tk_cl_gc_service, 0 },
    { TK_CMD_PD_GET_GC_SAFE_POINT_V2, tk_cl_gc_safe_point_v2, 0 },
    { TK_CMD_PD_UPDATE_GC_SAFE_POINT_V2, tk_cl_gc_update_v2, 0 },
    { TK_CMD_PD_UPDATE_SERVICE_SAFE_POINT_V2, tk_cl_gc_service_v2, 0 },
    { TK_CMD_PD_WATCH_GC_SAFE_POINT_V2, tk_cl_gc_watch, 0 },
    { TK_CMD_PD_GET_ALL_GC_SAFE_POINT_V2, tk_cl_gc_all_v2, 0 },
    { TK_CMD_PD_ADVANCE_GC_SAFE_POINT, tk_cl_gc_advance, 0 },
    { TK_CMD_PD_ADVANCE_TXN_SAFE_POINT, tk_cl_gc_advance_txn, 0 },
    { TK_CMD_PD_SET_GC_BARRIER, tk_cl_gc_set, 0 },
    { TK_CMD_PD_DELETE_GC_BARRIER, tk_cl_gc_delete, 0 },
    { TK_CMD_PD_SET_GLOBAL_GC_BARRIER, tk_cl_gc_set_global, 0 },
    { TK_CMD_PD_DELETE_GLOBAL_GC_BARRIER, tk_cl_gc_delete_global, 0 },
    { TK_CMD_PD_GET_GC_STATE, tk_cl_gc_state, 0 },
    { TK_CMD_PD_GET_ALL_KEYSPACES_GC_STATES, tk_cl_gc_states, 0 },
    { TK_CMD_PD_STORE_GLOBAL_CONFIG, tk_cl_config_store, FREE },
    { TK_CMD_PD_LOAD_GLOBAL_CONFIG, tk_cl_config_load, FREE },
    { TK_CMD_PD_WATCH_GLOBAL_CONFIG, tk_cl_config_watch, FREE },
    { TK_CMD_PD_SET_EXTERNAL_TIMESTAMP, tk_cl_pd_set_external, 0 },
    { TK_CMD_PD_GET_EXTERNAL_TIMESTAMP, tk_cl_pd_get_external, 0 },
    { TK_CMD_ROUTER_GET_REGION, tk_cl_router_region, TK_CL_ANY_MEMBER },
    { TK_CMD_ROUTER_GET_PREV_REGION, tk_cl_router_prev_region,
      TK_CL_ANY_MEMBER },
    { TK_CMD_ROUTER_GET_REGION_BY_ID, tk_cl_router_region_by_id,
      TK_CL_ANY_MEMBER },
    { TK_CMD_ROUTER_QUERY_REGION, tk_cl_router_query, TK_CL_ANY_MEMBER },
    { TK_CMD_ROUTER_BATCH_SCAN_REGIONS, tk_cl_router_batch_scan,
      TK_CL_ANY_MEMBER },
    { TK_CMD_ROUTER_GET_STORE, tk_cl_router_store, TK_CL_ANY_MEMBER },
    { TK_CMD_ROUTER_GET_ALL_STORES, tk_cl_router_stores, TK_CL_ANY_MEMBER },
    { TK_CMD_TSO_TSO, tk_cl_tso_stream, OPEN },
    { TK_CMD_TSO_FIND_GROUP_BY_KEYSPACE_ID, tk_cl_tso_find_group, OPEN },
    { TK_CMD_TSO_GET_MIN_TS, tk_cl_tso_min_ts, OPEN },
    { TK_CMD_KEYSPACE_LOAD_KEYSPACE, tk_cl_keyspace_load, 0 },
    { TK_CMD_KEYSPACE_LOOKUP_KEYSPACE, tk_cl_keyspace_lookup, 0 },
    { TK_CMD_KEYSPACE_LOAD_KEYSPACE_BY_ID, tk_cl_keyspace_by_id, 0 },
    { TK_CMD_KEYSPACE_WATCH_KEYSPACES, tk_cl_keyspace_watch, 0 },
    { TK_CMD_KEYSPACE_UPDATE_KEYSPACE_STATE, tk_cl_keyspace_update, 0 },
    { TK_CMD_KEYSPACE_GET_ALL_KEYSPACES, tk_cl_keyspace_all, 0 },
    { TK_CMD_META_GET, tk_cl_meta_get, FREE },
    { TK_CMD_META_PUT, tk_cl_meta_put, FREE },
    { TK_CMD_META_DELETE, tk_cl_meta_delete, FREE },
    { TK_CMD_META_WATCH, tk_cl_meta_watch, FREE },
    { TK_CMD_RM_LIST_RESOURCE_GROUPS, tk_cl_groups_list, FREE },
    { TK_CMD_RM_GET_RESOURCE_GROUP, tk_cl_group_get, FREE },
    { TK_CMD_RM_ADD_RESOURCE_GROUP, tk_cl_group_add, FREE },
    { TK_CMD_RM_MODIFY_RESOURCE_GROUP, tk_cl_group_modify, FREE },
    { TK_CMD_RM_DELETE_RESOURCE_GROUP, tk_cl_group_delete, FREE },
    { TK_CMD_RM_ACQUIRE_TOKEN_BUCKETS, tk_cl_group_tokens, FREE },
    { TK_CMD_HEALTH_CHECK, tk_cl_health_check, OPEN },
    { TK_CMD_HEALTH_WATCH, tk_cl_health_watch, OPEN },
};

#define PD(name) "pd." #name, "/pdpb.PD/" #name
#define ETCD(service, name)                                                    \
    "etcd." #name, "/etcdserverpb." #service "/" #name

static const struct other others[] = {
    { PD(AllocID), tk_cl_pd_alloc_id, 0, TK_KIND_UNARY },
    { PD(IsSnapshotRecovering), tk_cl_pd_recovering, 0, TK_KIND_UNARY },
    { PD(Bootstrap), tk_cl_pd_bootstrap, 0, TK_KIND_UNARY },
    { PD(PutStore), tk_cl_pd_put_store, 0, TK_KIND_UNARY },
    { PD(StoreHeartbeat), tk_cl_pd_store_beat, 0, TK_KIND_UNARY },
    { PD(RegionHeartbeat), tk_cl_pd_region_beat, 0, TK_KIND_BIDI },
    { PD(AskSplit), tk_cl_pd_ask_split, 0, TK_KIND_UNARY },
    { PD(AskBatchSplit), tk_cl_pd_ask_batch_split, 0, TK_KIND_UNARY },
    { PD(ReportSplit), tk_cl_pd_header_only, 0, TK_KIND_UNARY },
    { PD(ReportBatchSplit), tk_cl_pd_header_only, 0, TK_KIND_UNARY },
    { PD(SyncRegions), tk_cl_pd_sync, 0, TK_KIND_BIDI },
    { PD(ReportBuckets), tk_cl_pd_header_only, 0, TK_CL_KIND_UP },
    { PD(ReportMinResolvedTS), tk_cl_pd_report_min_ts, 0, TK_KIND_UNARY },
    { PD(PutClusterConfig), tk_cl_pd_put_config, 0, TK_KIND_UNARY },
    { PD(GetDCLocationInfo), tk_cl_pd_header_only, 0, TK_KIND_UNARY },
    { PD(SyncMaxTS), tk_cl_pd_header_only, 0, TK_KIND_UNARY },
    { ETCD(KV, Range), tk_cl_etcd_range, OPEN, TK_KIND_UNARY },
    { ETCD(KV, Put), tk_cl_etcd_put, OPEN, TK_KIND_UNARY },
    { ETCD(KV, DeleteRange), tk_cl_etcd_delete, OPEN, TK_KIND_UNARY },
    { ETCD(KV, Txn), tk_cl_etcd_txn, OPEN, TK_KIND_UNARY },
    { ETCD(KV, Compact), tk_cl_etcd_compact, OPEN, TK_KIND_UNARY },
    { ETCD(Watch, Watch), tk_cl_etcd_watch, OPEN, TK_KIND_BIDI },
    { ETCD(Lease, LeaseGrant), tk_cl_lease_grant, OPEN, TK_KIND_UNARY },
    { ETCD(Lease, LeaseRevoke), tk_cl_lease_end, OPEN, TK_KIND_UNARY },
    { ETCD(Lease, LeaseKeepAlive), tk_cl_lease_keep_alive, OPEN,
      TK_KIND_BIDI },
    { ETCD(Lease, LeaseTimeToLive), tk_cl_lease_left, OPEN, TK_KIND_UNARY },
    { ETCD(Cluster, MemberList), tk_cl_etcd_members, OPEN, TK_KIND_UNARY },
    { ETCD(Maintenance, Status), tk_cl_etcd_status, OPEN, TK_KIND_UNARY },
};

/* One more is the stores'. */
_Static_assert(sizeof(others) / sizeof(others[0]) <
                   TK_CL_METHODS - TK_COMMANDS,
               "the table of methods is full");

size_t
tk_cl_pd_methods(struct tk_cl_method *methods)
{
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        methods[rows[i].index].run = rows[i].run;
        methods[rows[i].index].flags = rows[i].flags;
    }
    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct tk_cl_method *method = &methods[TK_COMMANDS + i];

        method->label = others[i].label;
        method->path = others[i].path;
        method->run = others[i].run;
        method->flags = others[i].flags;
        method->kind = others[i].kind;
    }
    return sizeof(others) / sizeof(others[0]);
}
