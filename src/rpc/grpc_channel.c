/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channel of a link: its arguments, each for a reason, and its versions.
 * A link makes one when something begins, and another when credentials were
 * renewed, it was at rest, or it got too old. The one replaced serves those
 * that are on it and goes with the last of them. Any thread; C core is
 * entered without the transport's lock.
 */
#include <limits.h>

#include <grpc/compression.h>

#include <tikv/version.h>

#include "base/alloc.h"
#include "rpc/grpc_inside.h"

#define ARGS_MAX 24
#define STRINGIZE(x) #x
#define TEXT(x) STRINGIZE(x)
#define AGENT                                                                  \
    "libtikv/" TEXT(TIKV_VERSION_MAJOR) "." TEXT(TIKV_VERSION_MINOR) "." TEXT( \
        TIKV_VERSION_PATCH)

struct args {
    grpc_arg at[ARGS_MAX];
    size_t count;
};

/* C core's field is not const; it does not write there. */
static char *
plain(const char *text)
{
    union {
        const char *in;
        char *out;
    } same = { .in = text };

    return same.out;
}

static void
add_int(struct args *args, const char *key, int value)
{
    grpc_arg *arg = &args->at[args->count++];

    arg->type = GRPC_ARG_INTEGER;
    arg->key = plain(key);
    arg->value.integer = value;
}

static void
add_text(struct args *args, const char *key, const char *value)
{
    grpc_arg *arg = &args->at[args->count++];

    arg->type = GRPC_ARG_STRING;
    arg->key = plain(key);
    arg->value.string = plain(value);
}

static void
add_liveness(struct args *args, const struct tk_config *config)
{
    int64_t dial = tk_config_int(&config->rpc_dial_timeout_ms);

    /* A connection that went silent is found by pings while a stream is
     * open. Not without streams: PD takes that for abuse and hangs up. */
    add_int(args, GRPC_ARG_KEEPALIVE_TIME_MS,
            (int)tk_config_int(&config->rpc_keepalive_ms));
    add_int(args, GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
            (int)tk_config_int(&config->rpc_keepalive_timeout_ms));
    add_int(args, GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 0);
    add_int(args, GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    /* The "minimum backoff" is the limit of one connection attempt. */
    add_int(args, GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, (int)dial);
    add_int(args, GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS,
            (int)tk_config_int(&config->rpc_reconnect_ms));
    add_int(args, GRPC_ARG_MAX_RECONNECT_BACKOFF_MS,
            (int)tk_config_int(&config->rpc_reconnect_max_ms));
}

static void
add_flow(struct args *args, const struct tk_config *config)
{
    int64_t window = tk_config_int(&config->rpc_window_bytes);
    bool is_gzip = tk_config_int(&config->rpc_compression) != 0;

    /* A window asked for is kept to: the probe would change it. */
    if (window != 0) {
        add_int(args, GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, (int)window);
        add_int(args, GRPC_ARG_HTTP2_BDP_PROBE, 0);
    }
    /* A minimal stack leaves both out unless they are asked for. Answers may
     * be compressed whatever we do. */
    add_int(args, GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 1);
    if (is_gzip) {
        add_int(args, GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 1);
        add_int(args, GRPC_COMPRESSION_CHANNEL_DEFAULT_ALGORITHM,
                GRPC_COMPRESS_GZIP);
    }
}

static void
fill(struct args *args, const struct tk_config *config, uint32_t ordinal,
     bool is_tls)
{
    args->count = 0;
    /* Cheaper calls; the deadline filter must come back by hand, or a call
     * to a dead address never ends. */
    add_int(args, GRPC_ARG_MINIMAL_STACK, 1);
    add_int(args, GRPC_ARG_ENABLE_DEADLINE_CHECKS, 1);
    /* Attempts are ours: routing and budgets decide them. */
    add_int(args, GRPC_ARG_ENABLE_RETRIES, 0);
    add_int(args, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, -1);
    add_int(args, GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, -1);
    /* Else channels with equal arguments share one connection. */
    add_int(args, GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    add_int(args, "tikv.ordinal", (int)ordinal);
    /* Nothing is read from the environment or from DNS texts. */
    add_int(args, GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    add_int(args, GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
    add_text(args, GRPC_ARG_PRIMARY_USER_AGENT_STRING, AGENT);
    add_liveness(args, config);
    add_flow(args, config);
    if (is_tls && config->security_target_name[0] != '\0') {
        add_text(args, GRPC_SSL_TARGET_NAME_OVERRIDE_ARG,
                 config->security_target_name);
    }
}

/* Takes the reference of `creds`; NULL without memory. */
static struct tk_channel *
make(struct tk_grpc *grpc, const struct tk_link *link, struct tk_creds *creds)
{
    struct tk_channel *channel =
        (struct tk_channel *)tk_calloc(sizeof(*channel));
    grpc_channel_args all;
    struct args args;

    if (channel == NULL) {
        tk_creds_unref(creds);
        return NULL;
    }
    fill(&args, grpc->config, link->ordinal, creds->is_tls);
    all.num_args = args.count;
    all.args = args.at;
    atomic_init(&channel->refs, 1);
    channel->creds = creds;
    channel->made_at = tk_now(grpc->rt);
    /* Never NULL: what is wrong shows when it is used. */
    channel->channel = grpc_channel_create(link->address, creds->creds, &all);
    return channel;
}

void
tk_channel_unref(struct tk_channel *channel)
{
    if (channel != NULL &&
        atomic_fetch_sub_explicit(&channel->refs, 1, memory_order_acq_rel) ==
            1) {
        grpc_channel_destroy(channel->channel);
        tk_creds_unref(channel->creds);
        tk_free(channel);
    }
}

/* Transport's lock held. */
static struct tk_channel *
usable(struct tk_grpc *grpc, struct tk_link *link)
{
    struct tk_channel *channel = link->channel;

    if (channel == NULL || channel->creds != grpc->creds) {
        return NULL;
    }
    atomic_fetch_add_explicit(&channel->refs, 1, memory_order_relaxed);
    return channel;
}

struct tk_channel *
tk_link_channel(struct tk_grpc *grpc, struct tk_link *link)
{
    struct tk_channel *old = NULL;
    struct tk_creds *creds;
    struct tk_channel *made;
    struct tk_channel *channel;

    tk_mutex_lock(&grpc->lock);
    channel = usable(grpc, link);
    creds = grpc->creds;
    if (channel == NULL) {
        atomic_fetch_add_explicit(&creds->refs, 1, memory_order_relaxed);
    }
    tk_mutex_unlock(&grpc->lock);
    if (channel != NULL) {
        return channel;
    }
    made = make(grpc, link, creds);
    if (made == NULL) {
        return NULL;
    }
    tk_mutex_lock(&grpc->lock);
    /* Somebody else may have been faster. */
    channel = usable(grpc, link);
    if (channel == NULL) {
        old = link->channel;
        link->channel = made;
        channel = made;
        atomic_fetch_add_explicit(&made->refs, 1, memory_order_relaxed);
    } else {
        old = made;
    }
    tk_mutex_unlock(&grpc->lock);
    tk_channel_unref(old);
    return channel;
}

void
tk_link_drop(struct tk_grpc *grpc, struct tk_link *link, bool is_used)
{
    struct tk_channel *channel;

    tk_mutex_lock(&grpc->lock);
    channel = link->channel;
    /* New references are made under the lock only. */
    if (!is_used && channel != NULL &&
        atomic_load_explicit(&channel->refs, memory_order_relaxed) != 1) {
        channel = NULL;
    }
    if (channel != NULL) {
        link->channel = NULL;
    }
    tk_mutex_unlock(&grpc->lock);
    tk_channel_unref(channel);
}

void
tk_grpc_rest(struct tk_transport *transport, struct tk_link *link, bool is_used)
{
    tk_link_drop((struct tk_grpc *)(void *)transport, link, is_used);
}

bool
tk_grpc_is_stale(struct tk_transport *transport, struct tk_link *link,
                 int64_t before)
{
    struct tk_grpc *grpc = (struct tk_grpc *)(void *)transport;
    bool is_stale;

    tk_mutex_lock(&grpc->lock);
    is_stale = link->channel != NULL && (link->channel->made_at < before ||
                                         link->channel->creds != grpc->creds);
    tk_mutex_unlock(&grpc->lock);
    return is_stale;
}

enum tk_link_state
tk_grpc_state(struct tk_transport *transport, struct tk_link *link)
{
    struct tk_grpc *grpc = (struct tk_grpc *)(void *)transport;
    enum tk_link_state state = TK_LINK_RESTS;
    struct tk_channel *channel;

    tk_mutex_lock(&grpc->lock);
    channel = link->channel;
    if (channel != NULL) {
        atomic_fetch_add_explicit(&channel->refs, 1, memory_order_relaxed);
    }
    tk_mutex_unlock(&grpc->lock);
    if (channel == NULL) {
        return TK_LINK_RESTS;
    }
    switch (grpc_channel_check_connectivity_state(channel->channel, 0)) {
    case GRPC_CHANNEL_IDLE:
        state = TK_LINK_IDLE;
        break;
    case GRPC_CHANNEL_CONNECTING:
        state = TK_LINK_CONNECTING;
        break;
    case GRPC_CHANNEL_READY:
        state = TK_LINK_READY;
        break;
    case GRPC_CHANNEL_TRANSIENT_FAILURE:
    case GRPC_CHANNEL_SHUTDOWN:
        state = TK_LINK_FAILING;
        break;
    }
    tk_channel_unref(channel);
    return state;
}
