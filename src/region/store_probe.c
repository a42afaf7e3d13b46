/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a suspected store can be reached (ST-5): gRPC's health check, one at
 * a time per store, with stores.probe_ms as its limit.
 *
 *     idle --suspect--> sent --serves--> idle, in
 *                        |  ^
 *              no answer |  | due
 *                        v  |
 *                       waits, out
 *
 * From the first doubt to the first answer the store is doubted, and asked
 * after others. While a store is out its regions go to other peers, all at
 * once and without an attempt each. Every failure has the address checked at
 * the next use, and one in LOOK_EVERY has PD's list looked at, which ends the
 * probes of a store that is gone. Nobody waits here: the check is submitted by
 * the one who suspects or by the alarm, and judged on the transport's thread.
 */
#include "base/error.h"
#include "base/slice.h"
#include "region/store_inner.h"
#include "wire/proto.h"

enum { LOOK_EVERY = 30, GRPC_UNIMPLEMENTED = 12, HEALTH_NOT_SERVING = 2 };

static int64_t
probe_ns(const struct tk_stores *stores)
{
    return tk_config_ns(&stores->config->stores_probe_ms);
}

/* A server that answers at all lives, also when it knows no health checks or
 * not how it is: then attempts decide. */
static bool
tells_of_life(const struct tk_reply *reply)
{
    struct tk_cursor cursor = tk_cursor(tk_slice(reply->data, reply->len));
    struct tk_field field;
    uint64_t status = 0;

    if (reply->status != TK_REPLY_OK) {
        return reply->status == TK_REPLY_FAILED &&
               reply->grpc == GRPC_UNIMPLEMENTED;
    }
    while (tk_cursor_field(&cursor, &field)) {
        if (field.number == 1 && field.type == TK_WIRE_VARINT) {
            status = field.value;
        }
    }
    return status != HEALTH_NOT_SERVING;
}

/* Under the lock. */
static void
settle(struct tk_stores *stores, struct tk_probe *probe, bool is_alive)
{
    struct tk_store *store = &probe->slot->store;
    bool is_gone = atomic_load(&store->is_tombstone);

    probe->is_sent = false;
    probe->is_on = !is_alive && !is_gone && !stores->is_closed;
    atomic_store(&store->is_doubted, false);
    if (is_alive && !is_gone) {
        atomic_store(&store->is_out, false);
    } else if (probe->is_on) {
        uint32_t seen = probe->epoch;

        /* Unless that was done by whoever was sure. */
        atomic_compare_exchange_strong(&store->epoch, &seen, seen + 1);
        probe->failures++;
        probe->due = tk_after(tk_now(stores->rt), probe_ns(stores));
        atomic_store(&store->is_out, true);
        atomic_store(&store->needs_check, true);
        tk_alarm_arm(&stores->probe_alarm, probe->due);
    }
}

static void
end(struct tk_stores *stores, struct tk_probe *probe, bool is_alive)
{
    uint64_t id = probe->slot->store.id;
    uint32_t failures;
    bool is_on;

    tk_mutex_lock(&stores->lock);
    settle(stores, probe, is_alive);
    failures = probe->failures;
    is_on = probe->is_on;
    tk_mutex_unlock(&stores->lock);
    if (is_alive && failures != 0) {
        tk_log(stores->log, TIKV_LOG_INFO, "region",
               "store %llu can be reached again", (unsigned long long)id);
    } else if (is_on && failures == 1) {
        tk_log(stores->log, TIKV_LOG_WARN, "region",
               "store %llu cannot be reached", (unsigned long long)id);
    }
}

/* On the transport's thread. */
static void
probe_done(struct tk_request *request, const struct tk_reply *reply,
           struct tk_wakes *wakes)
{
    struct tk_probe *probe = (struct tk_probe *)(void *)request;
    bool is_alive = tells_of_life(reply);

    (void)wakes;
    tk_frame_unref(reply->frame, 1);
    end(probe->slot->table, probe, is_alive);
}

/* The probe is marked as sent. No lock held. */
static void
send(struct tk_stores *stores, struct tk_probe *probe)
{
    struct tk_conn *conn =
        atomic_load_explicit(&probe->slot->store.conn, memory_order_acquire);

    probe->request = (struct tk_request){ .done = probe_done };
    probe->request.parts.command = TK_CMD_HEALTH_CHECK;
    probe->request.parts.body = tk_slice_text("");
    probe->request.deadline = tk_after(tk_now(stores->rt), probe_ns(stores));
    if (conn == NULL ||
        tk_conn_submit(conn, &probe->request, false) != TK_SUBMIT_OK) {
        end(stores, probe, false);
    }
}

/* Under the lock: a probe that is due, marked as sent, or NULL and when the
 * next one is. */
static struct tk_probe *
take_due(struct tk_stores *stores, int64_t *next)
{
    int64_t now = tk_now(stores->rt);
    size_t i;

    *next = TK_NEVER;
    for (i = 0; i < TK_STORE_BUCKETS && !stores->is_closed; i++) {
        struct tk_store_slot *slot = stores->buckets[i];

        for (; slot != NULL; slot = slot->next) {
            struct tk_probe *probe = &slot->probe;

            if (!probe->is_on || probe->is_sent) {
                continue;
            }
            if (probe->due <= now) {
                probe->is_sent = true;
                return probe;
            }
            *next = probe->due < *next ? probe->due : *next;
        }
    }
    return NULL;
}

static void
ring(void *owner)
{
    struct tk_stores *stores = owner;
    struct tk_probe *probe;
    int64_t next;

    tk_mutex_lock(&stores->lock);
    while ((probe = take_due(stores, &next)) != NULL) {
        bool wants_look = probe->failures % LOOK_EVERY == 1;

        tk_mutex_unlock(&stores->lock);
        if (wants_look) {
            tk_ticker_push(&stores->refresh);
        }
        send(stores, probe);
        tk_mutex_lock(&stores->lock);
    }
    tk_alarm_end(&stores->probe_alarm, next);
}

void
tk_store_probe(struct tk_stores *stores, struct tk_store_slot *slot,
               uint32_t epoch)
{
    bool is_mine = false;

    if (stores->exec == NULL) {
        return;
    }
    tk_mutex_lock(&stores->lock);
    if (!slot->probe.is_on && !stores->is_closed &&
        !atomic_load(&slot->store.is_tombstone)) {
        is_mine = true;
        slot->probe.is_on = true;
        slot->probe.is_sent = true;
        slot->probe.failures = 0;
        slot->probe.epoch = epoch;
        atomic_store(&slot->store.is_doubted, true);
    }
    tk_mutex_unlock(&stores->lock);
    if (is_mine) {
        send(stores, &slot->probe);
    }
}

void
tk_stores_probe_start(struct tk_stores *stores)
{
    tk_alarm_init(&stores->probe_alarm, stores->rt, &stores->lock, stores,
                  ring);
}
