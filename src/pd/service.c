/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who gives timestamps: PD's leader, or a service that stands apart (PD-3).
 *
 *     PD --says API_SVC_MODE, a group is found--> apart
 *     apart --another primary--> apart           the stream moves
 *     apart --says PD_SVC_MODE, or is too old to say--> PD
 *
 * It is looked at when the client opens, and by callers whose timestamp did
 * not come; a PD whose service went apart passes requests on meanwhile. What
 * cannot be found out now stays as it was. Lock: tso.lock, for the result.
 */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/slice.h"
#include "pd/tso.h"

#include "pdpb.upb.h"
#include "tsopb.upb.h"

/* Timestamps are asked for without a keyspace. */
#define NO_KEYSPACE UINT32_C(0xFFFFFFFF)

/* Takes over a reference of `primary`, which may be NULL: PD itself. */
static void
settle(struct tk_pd *pd, struct tk_conn *primary, uint32_t group_id)
{
    struct tk_service *service = &pd->service;
    struct tk_conn *old;

    tk_mutex_lock(&pd->tso.lock);
    old = service->primary;
    service->primary = primary;
    service->group_id = group_id;
    tk_mutex_unlock(&pd->tso.lock);
    if (old != primary) {
        tk_tso_move(pd);
    }
    if (old != NULL) {
        tk_conn_unref(old);
    }
}

/* The connection to a URL; NULL without memory. */
static struct tk_conn *
connect_url(struct tk_pd *pd, upb_StringView url)
{
    struct tk_addresses one = { NULL, 0 };
    struct tk_conn *conn = NULL;

    if (tk_addresses_add(&one, url.data, url.size) && one.count == 1) {
        conn = tk_rpc_conn(pd->rpc, one.text[0]);
    }
    tk_addresses_fini(&one);
    return conn;
}

static bool
stands_apart(const pdpb_GetClusterInfoResponse *info)
{
    size_t count;
    const int32_t *modes = pdpb_GetClusterInfoResponse_serviceModes(info,
                                                                    &count);
    size_t i;

    for (i = 0; i < count; i++) {
        if (modes[i] == pdpb_API_SVC_MODE) {
            return true;
        }
    }
    return false;
}

/* Asks one server of the service for the group and its primary. */
static tikv_error *
find_group(struct tk_pd *pd, struct tk_op *op, struct tk_conn *server,
           struct tk_arena *arena)
{
    struct tk_pd_ask ask = { TK_CMD_TSO_FIND_GROUP_BY_KEYSPACE_ID,
                             { NULL, 0 }, NULL };
    tsopb_FindGroupByKeyspaceIDRequest *request =
        tsopb_FindGroupByKeyspaceIDRequest_new(arena->upb);
    const tsopb_KeyspaceGroupMember *const *members;
    const tsopb_KeyspaceGroup *group;
    const void *answer = NULL;
    tikv_error *error;
    size_t count = 0;
    size_t i;

    if (request != NULL) {
        tsopb_FindGroupByKeyspaceIDRequest_set_header(
            request, tk_service_header(pd, arena, 0, NULL));
        tsopb_FindGroupByKeyspaceIDRequest_set_keyspace_id(request,
                                                           NO_KEYSPACE);
        ask.body = tk_arena_encode(arena, tk_command_row(ask.command)->request,
                                   request);
    }
    if (ask.body.data == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    error = tk_pd_call_at(pd, op, server, NULL, &ask, arena, &answer);
    if (error != NULL) {
        return error;
    }
    group = tsopb_FindGroupByKeyspaceIDResponse_keyspace_group(answer);
    members = group == NULL ? NULL : tsopb_KeyspaceGroup_members(group, &count);
    for (i = 0; i < count; i++) {
        struct tk_conn *primary;

        if (!tsopb_KeyspaceGroupMember_is_primary(members[i])) {
            continue;
        }
        primary =
            connect_url(pd, tsopb_KeyspaceGroupMember_address(members[i]));
        if (primary != NULL) {
            settle(pd, primary, tsopb_KeyspaceGroup_id(group));
            return NULL;
        }
    }
    return tk_error(TIKV_ERR_PD, "no timestamp service is primary");
}

static tikv_error *
find_service(struct tk_pd *pd, struct tk_op *op,
             const pdpb_GetClusterInfoResponse *info, struct tk_arena *arena)
{
    size_t count;
    const upb_StringView *urls = pdpb_GetClusterInfoResponse_tso_urls(info,
                                                                      &count);
    tikv_error *error =
        tk_error(TIKV_ERR_PD, "no timestamp service is known");
    size_t i;

    for (i = 0; i < count && tikv_error_code(error) == TIKV_ERR_PD; i++) {
        struct tk_conn *server = connect_url(pd, urls[i]);

        tikv_error_free(error);
        error = server == NULL ? tk_error_immortal(TIKV_ERR_MEMORY)
                               : find_group(pd, op, server, arena);
        if (server != NULL) {
            tk_conn_unref(server);
        }
    }
    return error;
}

/* Once the leader is known. */
static tikv_error *
look(struct tk_pd *pd, struct tk_op *op, struct tk_conn *leader,
     struct tk_arena *arena)
{
    static const uint8_t empty[1];
    struct tk_pd_ask ask = { TK_CMD_PD_GET_CLUSTER_INFO, { empty, 0 }, NULL };
    const void *info = NULL;
    tikv_error *error = tk_pd_call_at(pd, op, leader, NULL, &ask, arena, &info);

    if (tikv_error_code(error) == TIKV_ERR_UNSUPPORTED) {
        tikv_error_free(error);
        settle(pd, NULL, 0);
        return NULL;
    }
    if (error == NULL && stands_apart(info)) {
        return find_service(pd, op, info, arena);
    }
    if (error == NULL) {
        settle(pd, NULL, 0);
    }
    return error;
}

tikv_error *
tk_service_look(struct tk_pd *pd, struct tk_op *op)
{
    struct tk_conn *leader = tk_members_leader(pd);
    struct tk_arena *arena = tk_arena_new();
    tikv_error *error = NULL;

    if (leader != NULL && arena != NULL) {
        error = look(pd, op, leader, arena);
        tk_routers_look(pd, op, leader);
    }
    tk_arena_unref(arena);
    if (leader != NULL) {
        tk_conn_unref(leader);
    }
    switch (tikv_error_code(error)) {
    case TIKV_ERR_CANCELLED:
    case TIKV_ERR_TIMEOUT:
    case TIKV_ERR_CLOSED:
    case TIKV_ERR_CLUSTER_MISMATCH:
        return error;
    default:
        break;
    }
    if (error != NULL) {
        tk_log(pd->log, TIKV_LOG_INFO, "pd",
               "who gives timestamps stays as it was: %s",
               tikv_error_message(error));
        tikv_error_free(error);
    }
    return NULL;
}

/* ---- the least timestamp of all services ---- */

/* What those asked so far told. */
struct least {
    uint64_t ts; /* UINT64_MAX: nobody told one */
    uint32_t groups;
    uint32_t groups_total;
};

/* One server's part. An error is this server's alone. */
static tikv_error *
ask_least(struct tk_pd *pd, struct tk_op *op, upb_StringView url,
          struct tk_arena *arena, struct least *least)
{
    struct tk_pd_ask ask = { TK_CMD_TSO_GET_MIN_TS, { NULL, 0 }, NULL };
    tsopb_GetMinTSRequest *request = tsopb_GetMinTSRequest_new(arena->upb);
    struct tk_conn *server = connect_url(pd, url);
    const pdpb_Timestamp *stamp;
    const void *answer = NULL;
    tikv_error *error;
    uint64_t ts;

    if (request != NULL) {
        tsopb_GetMinTSRequest_set_header(
            request, tk_service_header(pd, arena, 0, NULL));
        ask.body = tk_arena_encode(arena, tk_command_row(ask.command)->request,
                                   request);
    }
    error = server == NULL || ask.body.data == NULL
                ? tk_error_immortal(TIKV_ERR_MEMORY)
                : tk_pd_call_at(pd, op, server, NULL, &ask, arena, &answer);
    if (server != NULL) {
        tk_conn_unref(server);
    }
    if (error != NULL) {
        return error;
    }
    least->groups_total = tsopb_GetMinTSResponse_keyspace_groups_total(answer);
    stamp = tsopb_GetMinTSResponse_timestamp(answer);
    if (stamp != NULL &&
        tsopb_GetMinTSResponse_keyspace_groups_serving(answer) != 0) {
        least->groups += tsopb_GetMinTSResponse_keyspace_groups_serving(answer);
        ts = tk_pd_stamp(stamp);
        least->ts = ts < least->ts ? ts : least->ts;
    }
    return NULL;
}

/* Of servers that may fail, as long as the others serve all groups. */
static tikv_error *
least_of(struct tk_pd *pd, struct tk_op *op,
         const pdpb_GetClusterInfoResponse *info, struct tk_arena *arena,
         uint64_t *out)
{
    struct least least = { UINT64_MAX, 0, 0 };
    tikv_error *cause = NULL;
    size_t count;
    const upb_StringView *urls = pdpb_GetClusterInfoResponse_tso_urls(info,
                                                                      &count);
    size_t i;

    for (i = 0; i < count; i++) {
        tikv_error *error = ask_least(pd, op, urls[i], arena, &least);

        if (error != NULL) {
            tikv_error_free(cause);
            cause = error;
        }
    }
    if (least.groups != 0 && least.groups >= least.groups_total) {
        tikv_error_free(cause);
        *out = least.ts;
        return NULL;
    }
    return cause != NULL ? cause
                         : tk_error(TIKV_ERR_PD,
                                    "PD: %u of %u groups of keyspaces told a "
                                    "timestamp",
                                    least.groups, least.groups_total);
}

tikv_error *
tk_service_least(struct tk_pd *pd, struct tk_op *op, struct tk_arena *arena,
                 uint64_t *out)
{
    static const uint8_t empty[1];
    struct tk_pd_ask ask = { TK_CMD_PD_GET_CLUSTER_INFO, { empty, 0 }, NULL };
    const void *info = NULL;
    tikv_error *error = tk_pd_call(pd, op, &ask, arena, &info);

    if (tikv_error_code(error) == TIKV_ERR_UNSUPPORTED) {
        tikv_error_free(error);
        return NULL;
    }
    if (error != NULL || !stands_apart(info)) {
        return error;
    }
    return least_of(pd, op, info, arena, out);
}

struct tk_tso_home
tk_service_tso(struct tk_pd *pd)
{
    struct tk_tso_home home = { NULL, NULL, false, 0 };

    tk_mutex_lock(&pd->tso.lock);
    home.conn = pd->service.primary;
    home.is_apart = home.conn != NULL;
    home.group_id = pd->service.group_id;
    if (home.conn != NULL) {
        tk_conn_ref(home.conn);
    }
    tk_mutex_unlock(&pd->tso.lock);
    if (home.conn == NULL) {
        home.conn = tk_members_leader(pd);
    }
    return home;
}

struct tsopb_RequestHeader *
tk_service_header(struct tk_pd *pd, struct tk_arena *arena, uint32_t group_id,
                  const char *callee)
{
    tsopb_RequestHeader *header = tsopb_RequestHeader_new(arena->upb);

    if (header != NULL) {
        tsopb_RequestHeader_set_cluster_id(header, pd->cluster_id);
        tsopb_RequestHeader_set_keyspace_id(header, NO_KEYSPACE);
        tsopb_RequestHeader_set_keyspace_group_id(header, group_id);
        if (callee != NULL) {
            tsopb_RequestHeader_set_callee_id(
                header, upb_StringView_FromString(callee));
        }
    }
    return header;
}

void
tk_service_fini(struct tk_pd *pd)
{
    if (pd->service.primary != NULL) {
        tk_conn_unref(pd->service.primary);
    }
}
