/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a channel: the arguments, each for a reason. No state, any thread.
 */
#include <limits.h>

#include <tikv/version.h>

#include "base/error.h"
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
    add_int(args, GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    add_int(args, GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 3000);
}

static void
fill(struct args *args, const struct tk_config *config, uint32_t ordinal)
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
    if (config->security_ca_file[0] != '\0' &&
        config->security_target_name[0] != '\0') {
        add_text(args, GRPC_SSL_TARGET_NAME_OVERRIDE_ARG,
                 config->security_target_name);
    }
}

tikv_error *
tk_grpc_channel(const struct tk_config *config, const char *address,
                uint32_t ordinal, grpc_channel **out)
{
    grpc_channel_credentials *creds;
    struct args args;
    grpc_channel_args all;
    tikv_error *error = tk_grpc_creds(config, &creds);

    *out = NULL;
    if (error != NULL) {
        return tk_error_wrap(error, "connection to %s", address);
    }
    fill(&args, config, ordinal);
    all.num_args = args.count;
    all.args = args.at;
    *out = grpc_channel_create(address, creds, &all);
    grpc_channel_credentials_release(creds);
    if (*out == NULL) {
        return tk_error(TIKV_ERR_UNAVAILABLE, "no channel to %s", address);
    }
    return NULL;
}
