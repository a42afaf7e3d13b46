/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PD's beginning and end, and the small things that its files share: keys of
 * the ledger, numbers in them, refusals. Also what a cluster announces of its
 * services, for clients that look for them in the ledger.
 */
#include "cluster/pd.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/slice.h"

tikv_slice
tk_cl_pd_key(const struct tk_cluster *cluster, char buffer[TK_PD_KEY_MAX],
             const char *format, ...)
{
    int len = snprintf(buffer, TK_PD_KEY_MAX, "/pd/%llu/",
                       (unsigned long long)cluster->id);
    va_list args;

    va_start(args, format);
    (void)vsnprintf(buffer + len, TK_PD_KEY_MAX - (size_t)len, format, args);
    va_end(args);
    return tk_slice_text(buffer);
}

const char *
tk_cl_pd_url(const struct tk_cluster *cluster, uint32_t member,
             char buffer[TK_PD_URL_MAX])
{
    (void)snprintf(buffer, TK_PD_URL_MAX, "%s://%s",
                   cluster->is_tls ? "https" : "http",
                   cluster->members[member].address);
    return buffer;
}

uint64_t
tk_cl_pd_number(tikv_slice text)
{
    uint64_t number = 0;
    size_t i;

    for (i = 0; i < text.len; i++) {
        uint8_t digit = (uint8_t)(text.data[i] - '0');

        if (digit > 9 || number > (UINT64_MAX - digit) / 10) {
            return 0;
        }
        number = number * 10 + digit;
    }
    return number;
}

uint64_t
tk_cl_pd_read(struct tk_cluster *cluster, tikv_slice key)
{
    const struct tk_ledger_version *version =
        tk_ledger_get(&cluster->pd->ledger, key);

    return version == NULL ? 0 : tk_cl_pd_number(tk_ledger_value(version));
}

bool
tk_cl_pd_write(struct tk_cluster *cluster, tikv_slice key, uint64_t number)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
    return tk_ledger_put(&cluster->pd->ledger, key, tk_slice_text(text), 0);
}

int
tk_cl_pd_refuse(struct tk_cl_request *request, uint32_t type,
                const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    tk_cl_put_header(request, type, text);
    return TK_GRPC_OK;
}

int
tk_cl_pd_no_memory(struct tk_cl_request *request)
{
    request->out->failed = true;
    return TK_GRPC_OK;
}

bool
tk_cl_in_span(tikv_slice key, tikv_slice start, tikv_slice end)
{
    if (end.len == 0) {
        return tk_slice_equal(key, start);
    }
    if (end.len == 1 && end.data[0] == 0) {
        return tk_slice_compare(key, start) >= 0;
    }
    return tk_slice_in_range(key, start, end);
}

size_t
tk_cl_prefix_end(tikv_slice prefix, uint8_t *out)
{
    size_t len = prefix.len;

    while (len > 0 && prefix.data[len - 1] == 0xff) {
        len--;
    }
    if (len > 0) {
        memcpy(out, prefix.data, len);
        out[len - 1]++;
    }
    return len;
}

bool
tk_cl_has_prefix(tikv_slice key, const char *prefix)
{
    size_t len = strlen(prefix);

    return key.len >= len && memcmp(key.data, prefix, len) == 0;
}

/* ---- what is announced ---- */

/* A key that has the value, or is gone when there is none. */
static void
announce(struct tk_cluster *cluster, tikv_slice key, const struct tk_buf *value)
{
    struct tk_ledger *ledger = &cluster->pd->ledger;
    const struct tk_ledger_version *old = tk_ledger_get(ledger, key);

    if (value == NULL) {
        (void)tk_ledger_delete(ledger, key);
    } else if (!value->failed &&
               (old == NULL || !tk_slice_equal(tk_ledger_value(old),
                                               tk_buf_slice(value)))) {
        (void)tk_ledger_put(ledger, key, tk_buf_slice(value), 0);
    }
}

/* tsopb.Participant and resource_manager.Participant look alike. */
static void
announce_primary(struct tk_cluster *cluster, const char *what, bool on)
{
    char key[TK_PD_KEY_MAX];
    char text[TK_PD_URL_MAX];
    struct tk_buf value;
    uint32_t leader = cluster->leader;

    (void)snprintf(key, sizeof(key), "/ms/%llu/%s/primary",
                   (unsigned long long)cluster->id, what);
    if (!on || leader == UINT32_MAX) {
        announce(cluster, tk_slice_text(key), NULL);
        return;
    }
    tk_buf_init(&value, SIZE_MAX / 4);
    (void)snprintf(text, sizeof(text), "pd-%u", leader);
    tk_put_text(&value, 1, text);
    tk_put_u64(&value, 2, leader + UINT64_C(1));
    tk_put_text(&value, 3, tk_cl_pd_url(cluster, leader, text));
    announce(cluster, tk_slice_text(key), &value);
    tk_buf_fini(&value);
}

static void
announce_routers(struct tk_cluster *cluster, bool on)
{
    char key[TK_PD_KEY_MAX];
    char url[TK_PD_URL_MAX];
    struct tk_buf value;
    uint32_t i;

    for (i = 0; i < cluster->members_count; i++) {
        (void)snprintf(key, sizeof(key), "/ms/%llu/router/registry/pd-%u",
                       (unsigned long long)cluster->id, i);
        tk_buf_init(&value, SIZE_MAX / 4);
        tk_buf_printf(&value,
                      "{\"service-addr\":\"%s\",\"name\":\"pd-%u\"}",
                      tk_cl_pd_url(cluster, i, url), i);
        announce(cluster, tk_slice_text(key), on ? &value : NULL);
        tk_buf_fini(&value);
    }
}

void
tk_cl_pd_publish(struct tk_cluster *cluster)
{
    uint32_t services = cluster->pd->services;

    announce_primary(cluster, "tso/00000",
                     (services & TK_CLUSTER_SERVICE_TSO) != 0);
    announce_primary(cluster, "resource_manager",
                     (services & TK_CLUSTER_SERVICE_RESOURCE) != 0);
    announce_routers(cluster, (services & TK_CLUSTER_SERVICE_ROUTER) != 0);
    tk_cl_pd_tell(cluster);
}

void
tk_cluster_set_services(struct tk_cluster *cluster, uint32_t services)
{
    tk_mutex_lock(&cluster->lock);
    cluster->pd->services = services;
    tk_cl_pd_publish(cluster);
    tk_mutex_unlock(&cluster->lock);
    tk_cl_streams_push(cluster);
}

void
tk_cluster_set_recovering(struct tk_cluster *cluster, bool is_recovering)
{
    tk_mutex_lock(&cluster->lock);
    cluster->pd->is_recovering = is_recovering;
    tk_mutex_unlock(&cluster->lock);
}

void
tk_cluster_set_scatter_ms(struct tk_cluster *cluster, int64_t ms)
{
    tk_mutex_lock(&cluster->lock);
    cluster->pd->scatter_ms = ms;
    tk_mutex_unlock(&cluster->lock);
}

void
tk_cluster_set_hidden(struct tk_cluster *cluster, uint64_t region_id)
{
    tk_mutex_lock(&cluster->lock);
    cluster->pd->hidden = region_id;
    tk_mutex_unlock(&cluster->lock);
}

void
tk_cluster_set_suffix_bits(struct tk_cluster *cluster, uint32_t bits)
{
    tk_mutex_lock(&cluster->lock);
    cluster->pd->suffix_bits = bits;
    tk_mutex_unlock(&cluster->lock);
}

/* ---- beginning and end ---- */

bool
tk_cl_pd_open(struct tk_cluster *cluster)
{
    struct tk_cl_pd *pd = tk_calloc(sizeof(*pd));

    if (pd == NULL) {
        return false;
    }
    cluster->pd = pd;
    pd->cluster = cluster;
    tk_ledger_init(&pd->ledger);
    pd->max_peers = cluster->replicas;
    pd->min_resolved = tk_calloc(cluster->stores_count * sizeof(uint64_t));
    if (pd->min_resolved == NULL || !tk_cl_keyspace_init(cluster) ||
        !tk_cl_groups_init(cluster)) {
        return false;
    }
    pd->told = pd->ledger.revision;
    return true;
}

void
tk_cl_pd_close(struct tk_cluster *cluster)
{
    struct tk_cl_pd *pd = cluster->pd;

    if (pd == NULL) {
        return;
    }
    tk_mutex_lock(&cluster->lock);
    pd->is_closing = true;
    /* One that is firing counts as pending until it is through. */
    if (pd->lease_armed &&
        cluster->rt->ops->disarm(cluster->rt, &pd->lease_timer)) {
        pd->lease_armed = false;
        cluster->pending--;
    }
    tk_mutex_unlock(&cluster->lock);
}

void
tk_cl_pd_free(struct tk_cluster *cluster)
{
    struct tk_cl_pd *pd = cluster->pd;

    if (pd == NULL) {
        return;
    }
    tk_cl_leases_free(cluster);
    tk_cl_groups_free(cluster);
    tk_cl_buckets_free(cluster);
    tk_ledger_fini(&pd->ledger);
    tk_free(pd->min_resolved);
    tk_free(pd);
    cluster->pd = NULL;
}
