/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Renewed certificates. A timer looks at the files of security.* every
 * second; when one is another than before, all are read anew. Good ones
 * become the credentials of connections made from then on, living
 * connections stay. Bad ones (a pair caught between its two renames, too)
 * are told in the log, and the last good ones are kept.
 *
 * Threads: the timer's, and tests. Lock: the transport's, for `watch` and
 * `creds`; files are read with none, by one thread at a time (is_looking).
 */
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "rpc/grpc_inside.h"
#include "rpc/grpc_transport.h"

#define PERIOD_NS (1000 * TK_MS)

static void
stamp_of(const char *path, struct tk_stamp *out)
{
    struct stat stat_of;

    memset(out, 0, sizeof(*out));
    if (path != NULL && *path != '\0' && stat(path, &stat_of) == 0) {
        out->inode = (uint64_t)stat_of.st_ino;
        out->size = (int64_t)stat_of.st_size;
        out->changed_s = (int64_t)stat_of.st_mtim.tv_sec;
        out->changed_ns = (int64_t)stat_of.st_mtim.tv_nsec;
    }
}

static void
look(const struct tk_config *config, struct tk_stamp *out)
{
    stamp_of(config->security_ca_file, &out[0]);
    stamp_of(config->security_cert_file, &out[1]);
    stamp_of(config->security_key_file, &out[2]);
}

/* Takes `creds` over. */
static void
use(struct tk_grpc *grpc, struct tk_creds *creds)
{
    struct tk_creds *old;

    tk_mutex_lock(&grpc->lock);
    old = grpc->creds;
    if (old->digest == creds->digest) {
        old = creds;
    } else {
        creds->version = old->version + 1;
        grpc->creds = creds;
    }
    tk_mutex_unlock(&grpc->lock);
    if (old != creds) {
        tk_log(grpc->log, TIKV_LOG_INFO, "rpc",
               "renewed certificates are used from now on");
    }
    tk_creds_unref(old);
}

static void
reload(struct tk_grpc *grpc)
{
    struct tk_creds *creds;
    tikv_error *error = tk_creds_load(
        grpc->config, grpc->rt->ops->wall(grpc->rt), &creds);

    if (error == NULL) {
        use(grpc, creds);
        return;
    }
    tk_log(grpc->log, TIKV_LOG_WARN, "rpc",
           "the last good certificates are kept: %s",
           tikv_error_message(error));
    tikv_error_free(error);
}

void
tk_grpc_look_at_files(struct tk_transport *transport)
{
    struct tk_grpc *grpc = (struct tk_grpc *)(void *)transport;
    struct tk_stamp stamps[3];
    bool is_first;

    tk_mutex_lock(&grpc->lock);
    is_first = !grpc->watch.is_looking;
    grpc->watch.is_looking = true;
    tk_mutex_unlock(&grpc->lock);
    if (!is_first) {
        return;
    }
    /* Before they are read: what changes meanwhile is seen the next time. */
    look(grpc->config, stamps);
    if (memcmp(stamps, grpc->watch.stamps, sizeof(stamps)) != 0) {
        memcpy(grpc->watch.stamps, stamps, sizeof(stamps));
        reload(grpc);
    }
    tk_mutex_lock(&grpc->lock);
    grpc->watch.is_looking = false;
    tk_mutex_unlock(&grpc->lock);
}

/* The last touch of the transport is the unlock: a closer may free it. */
static void
tick(struct tk_timer *timer)
{
    struct tk_grpc *grpc =
        (struct tk_grpc *)(void *)((char *)timer -
                                   offsetof(struct tk_grpc, watch.timer));
    struct tk_runtime *rt = grpc->rt;
    struct tk_parker *closer;

    tk_grpc_look_at_files(&grpc->base);
    tk_mutex_lock(&grpc->lock);
    closer = grpc->watch.closer;
    grpc->watch.is_armed = !grpc->closed;
    if (grpc->watch.is_armed) {
        rt->ops->arm(rt, &grpc->watch.timer, tk_after(tk_now(rt), PERIOD_NS));
    }
    if (closer != NULL && !tk_ring(closer)) {
        closer = NULL;
    }
    tk_mutex_unlock(&grpc->lock);
    if (closer != NULL) {
        rt->ops->wake(rt, &closer, 1);
    }
}

static bool
is_set(const char *text)
{
    return text != NULL && *text != '\0';
}

void
tk_grpc_watch_look(struct tk_grpc *grpc)
{
    look(grpc->config, grpc->watch.stamps);
}

void
tk_grpc_watch_start(struct tk_grpc *grpc)
{
    const struct tk_config *config = grpc->config;

    if (!is_set(config->security_ca_file) &&
        !is_set(config->security_cert_file) &&
        !is_set(config->security_key_file)) {
        return;
    }
    grpc->watch.timer.fn = tick;
    grpc->watch.is_armed = true;
    grpc->rt->ops->arm(grpc->rt, &grpc->watch.timer,
                       tk_after(tk_now(grpc->rt), PERIOD_NS));
}

void
tk_grpc_watch_stop(struct tk_grpc *grpc)
{
    struct tk_parker *self = tk_self(grpc->rt);
    bool is_over;

    for (;;) {
        tk_park_begin(self);
        tk_mutex_lock(&grpc->lock);
        if (grpc->watch.is_armed &&
            grpc->rt->ops->disarm(grpc->rt, &grpc->watch.timer)) {
            grpc->watch.is_armed = false;
        }
        is_over = !grpc->watch.is_armed;
        grpc->watch.closer = is_over ? NULL : self;
        tk_mutex_unlock(&grpc->lock);
        if (is_over) {
            return;
        }
        grpc->rt->ops->park(grpc->rt, self, TK_NEVER);
    }
}
