/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routers: services apart from PD that know its regions (PD-6). They announce
 * themselves in PD's meta storage, under a prefix, each with a small JSON
 * text. One of them is picked, at random, when a client opens and when its
 * callers look for who gives timestamps; it stays until it fails. Lock:
 * members.lock, for the result.
 */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "pd/inner.h"

#include "meta_storagepb.upb.h"

struct tk_conn *
tk_router_conn(struct tk_pd *pd)
{
    struct tk_conn *router;

    tk_mutex_lock(&pd->members.lock);
    router = pd->members.router;
    if (router != NULL) {
        tk_conn_ref(router);
    }
    tk_mutex_unlock(&pd->members.lock);
    return router;
}

/* Takes over a reference of `router`, which may be NULL. */
static void
settle(struct tk_pd *pd, struct tk_conn *router)
{
    struct tk_conn *old;

    tk_mutex_lock(&pd->members.lock);
    old = pd->members.router;
    pd->members.router = router;
    tk_mutex_unlock(&pd->members.lock);
    if (old != router) {
        tk_lane_move(&pd->others);
    }
    if (old != NULL) {
        tk_conn_unref(old);
    }
}

void
tk_router_drop(struct tk_pd *pd, const struct tk_conn *router)
{
    struct tk_conn *old = NULL;

    tk_mutex_lock(&pd->members.lock);
    if (pd->members.router == router) {
        old = pd->members.router;
        pd->members.router = NULL;
    }
    tk_mutex_unlock(&pd->members.lock);
    if (old != NULL) {
        tk_conn_unref(old);
    }
}

/* The server of "service-addr"; NULL: there is none. */
static struct tk_conn *
connect_to(struct tk_pd *pd, upb_StringView json)
{
    static const char name[] = "\"service-addr\"";
    const char *end = json.data + json.size;
    const char *at = json.size == 0 ? NULL
                                    : memmem(json.data, json.size, name,
                                             sizeof(name) - 1);
    const char *close = NULL;
    struct tk_addresses one = { NULL, 0 };
    struct tk_conn *conn = NULL;

    if (at != NULL) {
        at += sizeof(name) - 1;
        at = memchr(at, '"', (size_t)(end - at));
    }
    if (at != NULL) {
        at++;
        close = memchr(at, '"', (size_t)(end - at));
    }
    if (close != NULL && tk_addresses_add(&one, at, (size_t)(close - at)) &&
        one.count == 1) {
        conn = tk_rpc_conn(pd->rpc, one.text[0]);
    }
    tk_addresses_fini(&one);
    return conn;
}

static struct tk_conn *
pick(struct tk_pd *pd, const meta_storagepb_GetResponse *answer)
{
    size_t count;
    const meta_storagepb_KeyValue *const *kvs =
        meta_storagepb_GetResponse_kvs(answer, &count);
    struct tk_conn *known = tk_router_conn(pd);

    if (known != NULL || count == 0) {
        return known; /* one that failed was forgotten */
    }
    return connect_to(pd, meta_storagepb_KeyValue_value(
                              kvs[pd->rt->ops->random(pd->rt) % count]));
}

static struct tk_encoded
encode(struct tk_pd *pd, struct tk_arena *arena)
{
    meta_storagepb_GetRequest *request =
        meta_storagepb_GetRequest_new(arena->upb);
    meta_storagepb_RequestHeader *header =
        meta_storagepb_RequestHeader_new(arena->upb);
    char from[64];
    char to[64];

    if (request == NULL || header == NULL) {
        return (struct tk_encoded){ NULL, 0 };
    }
    /* '0' comes after '/': all keys below the prefix. */
    snprintf(from, sizeof(from), "/ms/%llu/router/registry/",
             (unsigned long long)pd->cluster_id);
    snprintf(to, sizeof(to), "/ms/%llu/router/registry0",
             (unsigned long long)pd->cluster_id);
    meta_storagepb_RequestHeader_set_cluster_id(header, pd->cluster_id);
    meta_storagepb_GetRequest_set_header(request, header);
    meta_storagepb_GetRequest_set_key(request, upb_StringView_FromString(from));
    meta_storagepb_GetRequest_set_range_end(request,
                                            upb_StringView_FromString(to));
    return tk_arena_encode(arena, tk_command_row(TK_CMD_META_GET)->request,
                           request);
}

void
tk_routers_look(struct tk_pd *pd, struct tk_op *op, struct tk_conn *leader)
{
    struct tk_arena *arena = tk_arena_new();
    struct tk_pd_ask ask = { TK_CMD_META_GET, { NULL, 0 }, NULL };
    const void *answer = NULL;
    tikv_error *error;

    if (tk_config_int(&pd->config->pd_router) == 0 || arena == NULL) {
        tk_arena_unref(arena);
        return;
    }
    ask.body = encode(pd, arena);
    if (ask.body.data != NULL) {
        error = tk_pd_call_at(pd, op, leader, NULL, &ask, arena, &answer);
        if (error == NULL && answer != NULL) {
            settle(pd, pick(pd, answer));
        }
        /* Without routers PD itself is asked. */
        tikv_error_free(error);
    }
    tk_arena_unref(arena);
}

void
tk_routers_fini(struct tk_pd *pd)
{
    if (pd->members.router != NULL) {
        tk_conn_unref(pd->members.router);
    }
}
