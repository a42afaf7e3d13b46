/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvrpcpb.Context by hand: what is zero is left out, as protobuf does, except
 * where presence says something (epoch, peer, keyspace). No state; any
 * thread.
 */
#include "wire/context.h"

#include <string.h>

#include "wire/proto.h"

/* Fields of kvrpcpb.Context. */
enum {
    CONTEXT_REGION_ID = 1,
    CONTEXT_EPOCH = 2,
    CONTEXT_PEER = 3,
    CONTEXT_PRIORITY = 6,
    CONTEXT_REPLICA_READ = 12,
    CONTEXT_MAX_EXECUTION_MS = 14,
    CONTEXT_STALE_READ = 17,
    CONTEXT_RESOURCE_TAG = 18,
    CONTEXT_IS_RETRY = 20,
    CONTEXT_API_VERSION = 21,
    CONTEXT_SOURCE = 24,
    CONTEXT_BUSY_THRESHOLD_MS = 27,
    CONTEXT_RESOURCE_CONTROL = 28,
    CONTEXT_KEYSPACE_NAME = 31,
    CONTEXT_KEYSPACE_ID = 32,
    CONTEXT_BUCKETS_VERSION = 33,
    CONTEXT_CLUSTER_ID = 35,
    CONTEXT_TRACE_ID = 36
};

/* Of metapb.RegionEpoch, metapb.Peer, kvrpcpb.ResourceControlContext. */
enum { EPOCH_CONF_VER = 1, EPOCH_VERSION = 2 };
enum { PEER_ID = 1, PEER_STORE_ID = 2, PEER_ROLE = 3, PEER_IS_WITNESS = 4 };
enum { CONTROL_GROUP = 1 };

static const uint8_t all[] = {
    CONTEXT_REGION_ID,        CONTEXT_EPOCH,
    CONTEXT_PEER,             CONTEXT_PRIORITY,
    CONTEXT_REPLICA_READ,     CONTEXT_MAX_EXECUTION_MS,
    CONTEXT_STALE_READ,       CONTEXT_RESOURCE_TAG,
    CONTEXT_IS_RETRY,         CONTEXT_API_VERSION,
    CONTEXT_SOURCE,           CONTEXT_BUSY_THRESHOLD_MS,
    CONTEXT_RESOURCE_CONTROL, CONTEXT_KEYSPACE_NAME,
    CONTEXT_KEYSPACE_ID,      CONTEXT_CLUSTER_ID,
    CONTEXT_TRACE_ID,
};

bool
tk_context_has(uint32_t field)
{
    return field <= UINT8_MAX &&
           memchr(all, (int)field, sizeof(all)) != NULL;
}

static void
put_present(struct tk_buf *out, uint32_t field, uint64_t number)
{
    tk_buf_varint(out, field << 3 | TK_WIRE_VARINT);
    tk_buf_varint(out, number);
}

static void
put_number(struct tk_buf *out, uint32_t field, uint64_t number)
{
    if (number != 0) {
        put_present(out, field, number);
    }
}

/* Enums are signed and sign-extended. */
static void
put_enum(struct tk_buf *out, uint32_t field, int32_t number)
{
    put_number(out, field, (uint64_t)(int64_t)number);
}

static size_t
number_len(uint32_t field, uint64_t number)
{
    return number == 0 ? 0 : tk_varint_len(field << 3) + tk_varint_len(number);
}

static void
put_head(struct tk_buf *out, uint32_t field, size_t len)
{
    tk_buf_varint(out, field << 3 | TK_WIRE_BYTES);
    tk_buf_varint(out, len);
}

static void
put_bytes(struct tk_buf *out, uint32_t field, tikv_slice bytes)
{
    if (bytes.len != 0) {
        put_head(out, field, bytes.len);
        tk_buf_append_slice(out, bytes);
    }
}

static void
put_text(struct tk_buf *out, uint32_t field, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        put_head(out, field, strlen(text));
        tk_buf_append_text(out, text);
    }
}

static void
put_epoch(struct tk_buf *out, const struct tk_context_region *region)
{
    put_head(out, CONTEXT_EPOCH,
             number_len(EPOCH_CONF_VER, region->conf_ver) +
                 number_len(EPOCH_VERSION, region->version));
    put_number(out, EPOCH_CONF_VER, region->conf_ver);
    put_number(out, EPOCH_VERSION, region->version);
}

static void
put_peer(struct tk_buf *out, const struct tk_context_region *region)
{
    uint64_t role = (uint64_t)(int64_t)region->peer_role;

    put_head(out, CONTEXT_PEER,
             number_len(PEER_ID, region->peer_id) +
                 number_len(PEER_STORE_ID, region->store_id) +
                 number_len(PEER_ROLE, role) +
                 number_len(PEER_IS_WITNESS, region->is_witness));
    put_number(out, PEER_ID, region->peer_id);
    put_number(out, PEER_STORE_ID, region->store_id);
    put_number(out, PEER_ROLE, role);
    put_number(out, PEER_IS_WITNESS, region->is_witness);
}

void
tk_context_region(struct tk_buf *out, const struct tk_context_region *region)
{
    if (region->region_id != 0) {
        put_number(out, CONTEXT_REGION_ID, region->region_id);
        put_epoch(out, region);
        put_peer(out, region);
    }
    put_enum(out, CONTEXT_API_VERSION, region->api_version);
    put_text(out, CONTEXT_KEYSPACE_NAME, region->keyspace_name);
    if (region->has_keyspace) {
        put_present(out, CONTEXT_KEYSPACE_ID, region->keyspace_id);
    }
    put_number(out, CONTEXT_CLUSTER_ID, region->cluster_id);
}

static void
put_group(struct tk_buf *out, const char *group)
{
    size_t len = group == NULL ? 0 : strlen(group);

    if (len != 0) {
        put_head(out, CONTEXT_RESOURCE_CONTROL,
                 tk_varint_len(CONTROL_GROUP << 3) + tk_varint_len(len) + len);
        put_text(out, CONTROL_GROUP, group);
    }
}

bool
tk_context_is_plain(const tikv_call *call)
{
    return call->priority == TIKV_PRIORITY_NORMAL &&
           call->request_source == NULL && call->resource_group == NULL &&
           call->resource_tag.len == 0 && call->trace_id.len == 0;
}

size_t
tk_context_plain(uint8_t *out, uint64_t max_execution_ms)
{
    uint8_t *at = out;

    if (max_execution_ms != 0) {
        at = tk_varint_put(at, CONTEXT_MAX_EXECUTION_MS << 3 | TK_WIRE_VARINT);
        at = tk_varint_put(at, max_execution_ms);
    }
    return (size_t)(at - out);
}

void
tk_context_call(struct tk_buf *out, const struct tk_context_call *call)
{
    const tikv_call *user = call->call;

    put_number(out, CONTEXT_MAX_EXECUTION_MS, call->max_execution_ms);
    put_number(out, CONTEXT_IS_RETRY, call->is_retry);
    put_number(out, CONTEXT_REPLICA_READ, call->replica_read);
    put_number(out, CONTEXT_STALE_READ, call->stale_read);
    put_number(out, CONTEXT_BUSY_THRESHOLD_MS, call->busy_threshold_ms);
    put_number(out, CONTEXT_BUCKETS_VERSION, call->buckets_version);
    if (user != NULL) {
        put_enum(out, CONTEXT_PRIORITY, user->priority);
        put_bytes(out, CONTEXT_RESOURCE_TAG, user->resource_tag);
        put_text(out, CONTEXT_SOURCE,
                 call->source != NULL ? call->source : user->request_source);
        put_group(out, user->resource_group);
        put_bytes(out, CONTEXT_TRACE_ID, user->trace_id);
    }
}
