/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timeout: 120
 *
 * Sends over real gRPC, below the rpc: who is told that a message is out, and
 * that streams end once however sends and ends meet.
 */
#include <pthread.h>

#include "base/alloc.h"
#include "cluster/serve/serve.h"
#include "harness/harness.h"
#include "rpc/grpc_transport.h"

#define PATH "/tikvpb.Tikv/BatchCommands"
#define SENDS 200
#define STREAMS 300

struct world {
    struct tk_runtime *rt;
    struct tk_cluster *core;
    struct tk_serve *serve;
    struct tk_config config;
    struct tk_transport *transport;
    struct tk_link *link;
};

struct line {
    struct tk_stream stream; /* first */
    struct tk_parker *owner;
    pthread_t sender;
    _Atomic uint32_t told;
    _Atomic uint32_t told_by_sender;
    _Atomic uint32_t told_late; /* after closed */
    _Atomic uint32_t closed;
};

static void
line_received(struct tk_stream *stream, tikv_slice data,
              struct tk_frame *frame, struct tk_wakes *wakes)
{
    (void)stream;
    (void)data;
    (void)wakes;
    tk_frame_unref(frame, 1);
}

static void
line_sent(struct tk_stream *stream, struct tk_wakes *wakes)
{
    struct line *line = (struct line *)(void *)stream;

    if (pthread_equal(pthread_self(), line->sender)) {
        atomic_fetch_add(&line->told_by_sender, 1);
    }
    if (atomic_load(&line->closed) != 0) {
        atomic_fetch_add(&line->told_late, 1);
    }
    atomic_fetch_add(&line->told, 1);
    tk_wakes_ring(wakes, line->owner);
}

static void
line_closed(struct tk_stream *stream, const struct tk_status *status,
            struct tk_wakes *wakes)
{
    struct line *line = (struct line *)(void *)stream;
    struct tk_parker *owner = line->owner;

    (void)status;
    atomic_fetch_add(&line->closed, 1);
    tk_wakes_ring(wakes, owner);
}

static void
start(struct world *world)
{
    static char nothing[1];
    struct tk_cluster_params params = { .stores_count = 1, .seed = 3 };
    struct tk_config *config = &world->config;
    char address[64];

    memset(world, 0, sizeof(*world));
    world->rt = tk_runtime_posix_new();
    assert_non_null(world->rt);
    assert_null(tk_cluster_new(world->rt, &params, &world->core));
    assert_null(tk_serve_start(world->rt, world->core, 0, NULL, &world->serve));
    atomic_init(&config->rpc_pollers_count, 1);
    atomic_init(&config->rpc_dial_timeout_ms, 2000);
    atomic_init(&config->rpc_keepalive_ms, 10000);
    atomic_init(&config->rpc_keepalive_timeout_ms, 3000);
    config->security_ca_file = nothing;
    config->security_cert_file = nothing;
    config->security_key_file = nothing;
    config->security_target_name = nothing;
    assert_null(
        tk_grpc_transport_new(world->rt, config, NULL, &world->transport));
    assert_true(tk_serve_address(world->serve, TK_NODE_STORE | 1, address,
                                 sizeof(address)));
    assert_null(world->transport->ops->connect(world->transport, address, 0,
                                               &world->link));
}

static void
stop(struct world *world)
{
    world->transport->ops->disconnect(world->transport, world->link);
    world->transport->ops->close(world->transport);
    world->transport->ops->free(world->transport);
    tk_serve_stop(world->serve);
    tk_cluster_free(world->core);
    tk_serve_free(world->serve);
    tk_runtime_posix_free(world->rt);
}

static void
open_line(struct world *world, struct line *line)
{
    memset(line, 0, sizeof(*line));
    line->stream.received = line_received;
    line->stream.sent = line_sent;
    line->stream.closed = line_closed;
    line->owner = tk_self(world->rt);
    line->sender = pthread_self();
    assert_true(world->transport->ops->open(world->transport, world->link, PATH,
                                            NULL, &line->stream));
}

/* An empty BatchCommandsRequest is answered by nothing. */
static bool
send_one(struct world *world, struct line *line)
{
    static const uint8_t nothing[1];

    return world->transport->ops->send(world->transport, &line->stream,
                                       (tikv_slice){ nothing, 0 });
}

/* Until `wanted` were told, or the line is closed. */
static bool
await_told(struct world *world, struct line *line, uint32_t wanted)
{
    for (;;) {
        tk_park_begin(line->owner);
        if (atomic_load(&line->told) == wanted) {
            return true;
        }
        if (atomic_load(&line->closed) != 0) {
            return false;
        }
        world->rt->ops->park(world->rt, line->owner, TK_NEVER);
    }
}

static void
end_line(struct world *world, struct line *line)
{
    world->transport->ops->cancel(world->transport, &line->stream);
    for (;;) {
        tk_park_begin(line->owner);
        if (atomic_load(&line->closed) != 0) {
            break;
        }
        world->rt->ops->park(world->rt, line->owner, TK_NEVER);
    }
    assert_false(send_one(world, line));
    assert_int_equal(atomic_load(&line->closed), 1);
    assert_int_equal(atomic_load(&line->told_late), 0);
}

/* Each of them would cost the poller a wake-up. */
static void
grpc__a_message_that_is_out_at_once_is_told_by_its_sender(void **state)
{
    struct world world;
    struct line line;
    uint32_t i;

    (void)state;
    start(&world);
    open_line(&world, &line);
    for (i = 1; i <= SENDS; i++) {
        assert_true(send_one(&world, &line));
        assert_true(await_told(&world, &line, i));
    }
    end_line(&world, &line);
    assert_int_equal(atomic_load(&line.told), SENDS);
    /* The first waits for the connection, another now and then for a thread
     * that happens to write. */
    assert_true(atomic_load(&line.told_by_sender) > SENDS / 2);
    stop(&world);
}

struct ender {
    struct world *world;
    struct line *_Atomic line; /* to cancel; NULL: done */
    _Atomic bool is_over;
};

static void
ender_main(void *arg)
{
    struct ender *ender = (struct ender *)arg;

    while (!atomic_load(&ender->is_over)) {
        struct line *line = atomic_exchange(&ender->line, NULL);

        if (line != NULL) {
            ender->world->transport->ops->cancel(ender->world->transport,
                                                 &line->stream);
        }
    }
}

static void
grpc__sends_and_ends_meet_and_each_stream_ends_once(void **state)
{
    struct world world;
    struct ender ender = { .world = &world };
    struct line *lines = tk_calloc(STREAMS * sizeof(*lines));
    struct tk_thread *thread;
    uint32_t i;

    (void)state;
    assert_non_null(lines);
    start(&world);
    thread = world.rt->ops->spawn(world.rt, "ender", ender_main, &ender);
    assert_non_null(thread);
    for (i = 0; i < STREAMS; i++) {
        struct line *line = &lines[i];
        uint32_t accepted = 0;

        open_line(&world, line);
        do {
            if (accepted == i % 7) {
                atomic_store(&ender.line, line);
            }
        } while (send_one(&world, line) &&
                 await_told(&world, line, ++accepted));
        end_line(&world, line);
        assert_true(atomic_load(&line->told) <= accepted);
        assert_true(accepted >= i % 7);
    }
    atomic_store(&ender.is_over, true);
    world.rt->ops->join(world.rt, thread);
    stop(&world);
    for (i = 0; i < STREAMS; i++) {
        assert_int_equal(atomic_load(&lines[i].closed), 1);
        assert_int_equal(atomic_load(&lines[i].told_late), 0);
    }
    tk_free(lines);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(grpc__a_message_that_is_out_at_once_is_told_by_its_sender),
        harness_test(grpc__sends_and_ends_meet_and_each_stream_ends_once),
    };

    return harness_run(tests);
}
