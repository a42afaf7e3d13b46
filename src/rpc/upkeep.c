/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The slow care for connections, on a timer of its own that ticks some times
 * per rpc.idle_ms and rpc.age_ms, and every second where certificates can be
 * renewed. Nothing of it is on the way of a request.
 *
 * At rest: a pipe that took no request for rpc.idle_ms ends its stream, then
 * lets go of its link's connection and of its memory. A request that comes
 * meanwhile waits for the end of that stream and goes out on the next: it does
 * not fail.
 *
 * Change of guard: a connection has its pipes twice where it can get too old.
 * When the connection of one on duty is stale, the others take over what is
 * new, on connections of their own; those relieved serve what they have and
 * come to rest. There is no next change before that. A route follows the
 * connection whose links it uses.
 *
 * Slow and hanging: what has waited on a stream for 30 s, and for 90 s, is
 * counted once and told to the log, with the oldest of its kind.
 *
 * Threads: the timer's. Locks: RPC for the alarm, STREAM for one pipe.
 */
#include "rpc/inside.h"

#define TICKS 6
#define TICK_MAX_NS (30000 * TK_MS)
#define TICK_MIN_NS (10 * TK_MS)
#define WATCH_NS (1000 * TK_MS)
#define SLOW_NS (30000 * TK_MS)
#define HANGING_NS (90000 * TK_MS)

/* ---- rest ---- */

/* Lock held. */
static bool
is_unused(struct tk_pipe *pipe)
{
    return pipe->slots.busy == 0 && pipe->calls == 0 && pipe->in_send == 0 &&
           !pipe->sending && !pipe->closed &&
           atomic_load_explicit(&pipe->open_count, memory_order_relaxed) == 0;
}

/* Lock held; let go of and taken again. */
static void
end_stream(struct tk_pipe *pipe)
{
    struct tk_transport *transport = pipe->rpc->transport;

    /* Neither sends nor opens before its end has come. */
    pipe->state = TK_PIPE_RESTING;
    pipe->calls++;
    tk_mutex_unlock(&pipe->lock);
    transport->ops->cancel(transport, &pipe->stream);
    tk_mutex_lock(&pipe->lock);
    pipe->calls--;
    /* What came meanwhile, if the end came, too. */
    tk_pipe_kick(pipe);
    tk_mutex_lock(&pipe->lock);
}

/* Lock held, nothing in flight, no stream. An address that is never asked
 * again must cost next to nothing: stores that come back come by new ones. */
static void
shrink(struct tk_pipe *pipe)
{
    tk_slots_shrink(&pipe->slots);
    tk_message_shrink(&pipe->open);
    tk_message_shrink(&pipe->out);
    tk_lone_shrink(pipe);
}

/* True: nothing of it is left on the network that it knows of. */
static bool
rest_pipe(struct tk_pipe *pipe, int64_t now, int64_t patience)
{
    struct tk_transport *transport = pipe->rpc->transport;
    struct tk_link *link =
        atomic_load_explicit(&pipe->link, memory_order_acquire);
    bool is_down;

    if (link == NULL && pipe->conn->base == NULL) {
        return true;
    }
    tk_mutex_lock(&pipe->lock);
    if (pipe->stats.requests != pipe->seen_requests) {
        pipe->seen_requests = pipe->stats.requests;
        pipe->idle_since = now;
    }
    is_down = false;
    if (now - pipe->idle_since >= patience && is_unused(pipe)) {
        if (pipe->state == TK_PIPE_UP) {
            end_stream(pipe);
        }
        is_down = pipe->state == TK_PIPE_DOWN && is_unused(pipe);
        if (is_down) {
            shrink(pipe);
        }
    }
    tk_mutex_unlock(&pipe->lock);
    if (is_down && link != NULL && transport->ops->rest != NULL) {
        transport->ops->rest(transport, link, false);
    }
    return is_down;
}

/* ---- slow and hanging ---- */

/* Whether it came of age since the last look. */
static bool
is_new(const struct tk_slot *slot, int64_t now, int64_t last, int64_t age)
{
    return slot->sent_at <= now - age && slot->sent_at > last - age;
}

static void
inspect(struct tk_pipe *pipe, int64_t now)
{
    enum tk_command oldest = TK_COMMANDS;
    int64_t since = now;
    uint32_t slow = 0;
    uint32_t hanging = 0;
    uint32_t index;

    tk_mutex_lock(&pipe->lock);
    for (index = pipe->slots.wire.head; index != TK_SLOT_NONE;
         index = pipe->slots.at[index].next) {
        const struct tk_slot *slot = &pipe->slots.at[index];

        /* In the order of sending. */
        if (slot->sent_at > now - SLOW_NS) {
            break;
        }
        if (oldest == TK_COMMANDS) {
            oldest = (enum tk_command)slot->command;
            since = slot->sent_at;
        }
        slow += is_new(slot, now, pipe->looked_at, SLOW_NS);
        hanging += is_new(slot, now, pipe->looked_at, HANGING_NS);
    }
    pipe->looked_at = now;
    pipe->stats.slow += slow;
    pipe->stats.hanging += hanging;
    tk_mutex_unlock(&pipe->lock);
    if (slow != 0 || hanging != 0) {
        tk_log(pipe->rpc->log, TIKV_LOG_WARN, "rpc",
               "%s: %u more requests without an answer for 30 s, %u for 90 s; "
               "the oldest, %s, for %lld s",
               pipe->conn->address, slow, hanging,
               tk_command_row(oldest)->name,
               (long long)((now - since) / (1000 * TK_MS)));
    }
}

/* ---- change of guard ---- */

static bool
is_stale(struct tk_rpc *rpc, struct tk_conn *conn, uint32_t guard, int64_t now)
{
    struct tk_transport *transport = rpc->transport;
    int64_t before = rpc->age_ns != 0 ? now - rpc->age_ns : INT64_MIN;
    uint32_t i;

    for (i = guard; i < guard + rpc->pipes_count; i++) {
        struct tk_link *link = atomic_load_explicit(&conn->pipes[i].link,
                                                    memory_order_acquire);

        if (link != NULL && transport->ops->is_stale != NULL &&
            transport->ops->is_stale(transport, link, before)) {
            return true;
        }
    }
    return false;
}

/* The others begin on connections of their own. */
static void
change_guard(struct tk_rpc *rpc, struct tk_conn *conn, uint32_t guard)
{
    struct tk_transport *transport = rpc->transport;
    uint32_t i;

    for (i = guard; i < guard + rpc->pipes_count; i++) {
        struct tk_link *link = atomic_load_explicit(&conn->pipes[i].link,
                                                    memory_order_acquire);

        if (link != NULL && transport->ops->rest != NULL) {
            transport->ops->rest(transport, link, true);
        }
    }
    atomic_store_explicit(&conn->guard, guard, memory_order_relaxed);
}

static void
renew(struct tk_conn *conn)
{
    struct tk_transport *transport = conn->rpc->transport;
    uint32_t i;

    for (i = 0; i < conn->pipes_count; i++) {
        struct tk_link *link = atomic_load_explicit(&conn->pipes[i].link,
                                                    memory_order_acquire);

        if (link != NULL && transport->ops->rest != NULL) {
            transport->ops->rest(transport, link, true);
        }
        tk_mutex_lock(&conn->pipes[i].lock);
        if (conn->pipes[i].state == TK_PIPE_UP) {
            end_stream(&conn->pipes[i]);
        }
        tk_mutex_unlock(&conn->pipes[i].lock);
    }
}

void
tk_conn_renew(struct tk_conn *conn)
{
    struct tk_conn *route = tk_rpc_first(conn->rpc);

    renew(conn);
    for (; route != NULL; route = route->next) {
        if (route->base == conn) {
            renew(route);
        }
    }
}

static void
care(struct tk_rpc *rpc, struct tk_conn *conn, int64_t now)
{
    uint32_t guard = atomic_load_explicit(&conn->guard, memory_order_relaxed);
    int64_t patience = rpc->idle_ns != 0 ? rpc->idle_ns : TK_NEVER;
    bool are_relieved = true;
    uint32_t i;

    for (i = 0; i < conn->pipes_count; i++) {
        inspect(&conn->pipes[i], now);
    }
    for (i = 0; i < conn->pipes_count; i++) {
        bool is_on_duty = i >= guard && i < guard + rpc->pipes_count;
        bool is_at_rest =
            rest_pipe(&conn->pipes[i], now, is_on_duty ? patience : 0);

        are_relieved = are_relieved && (is_on_duty || is_at_rest);
    }
    if (!are_relieved) {
        return;
    }
    if (conn->base != NULL) {
        guard = atomic_load_explicit(&conn->base->guard, memory_order_relaxed);
        atomic_store_explicit(&conn->guard, guard, memory_order_relaxed);
    } else if (rpc->guards_count == 2 && is_stale(rpc, conn, guard, now)) {
        change_guard(rpc, conn, guard == 0 ? rpc->pipes_count : 0);
    }
}

/* ---- the alarm ---- */

static void
tick(void *owner)
{
    struct tk_rpc *rpc = owner;
    struct tk_conn *conn;
    int64_t now = tk_now(rpc->rt);

    for (conn = tk_rpc_first(rpc); conn != NULL; conn = conn->next) {
        care(rpc, conn, now);
    }
    tk_mutex_lock(&rpc->lock);
    tk_alarm_end(&rpc->upkeep,
                 rpc->closing ? TK_NEVER : tk_after(now, rpc->tick_ns));
}

void
tk_upkeep_want(struct tk_rpc *rpc)
{
    if (rpc->tick_ns != 0 && !rpc->closing) {
        tk_alarm_arm(&rpc->upkeep, tk_after(tk_now(rpc->rt), rpc->tick_ns));
    }
}

static bool
is_set(const char *text)
{
    return text != NULL && *text != '\0';
}

static int64_t
lesser(int64_t tick, int64_t ns)
{
    return ns > 0 && ns / TICKS < tick ? ns / TICKS : tick;
}

void
tk_upkeep_init(struct tk_rpc *rpc, const struct tk_config *config)
{
    bool is_watched = is_set(config->security_ca_file) ||
                      is_set(config->security_cert_file);
    int64_t tick_ns = TICK_MAX_NS;

    rpc->idle_ns = tk_config_ns(&config->rpc_idle_ms);
    rpc->age_ns = tk_config_ns(&config->rpc_age_ms);
    rpc->guards_count = rpc->age_ns != 0 || is_watched ? 2 : 1;
    if (rpc->idle_ns == 0 && rpc->guards_count == 1) {
        return;
    }
    tick_ns = lesser(tick_ns, rpc->idle_ns);
    tick_ns = lesser(tick_ns, rpc->age_ns);
    if (tick_ns < TICK_MIN_NS) {
        tick_ns = TICK_MIN_NS;
    }
    if (is_watched && tick_ns > WATCH_NS) {
        tick_ns = WATCH_NS;
    }
    rpc->tick_ns = tick_ns;
    tk_alarm_init(&rpc->upkeep, rpc->rt, &rpc->lock, rpc, tick);
}
