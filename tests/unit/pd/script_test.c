/* SPDX-License-Identifier: Apache-2.0 */
/* A PD that breaks its promises: a transport that answers as told. */
#include "harness/harness.h"

#include "base/alloc.h"
#include "base/config.h"
#include "base/error.h"
#include "base/slice.h"
#include "exec/exec.h"
#include "exec/runtime_sim.h"
#include "pd/pd.h"

#include "pdpb.upb.h"

struct tk_link {
    char address[32];
    struct tk_link *next;
};

/* What the next timestamp answers say. */
struct stamp {
    uint32_t count; /* 0: as asked */
    int64_t physical;
    int64_t logical;
    const char *fault; /* NULL: none */
};

struct fake {
    struct tk_transport base; /* first */
    struct tk_runtime *rt;
    struct tk_link *links;
    uint64_t id_a; /* cluster ids of members a:1 and b:1 */
    uint64_t id_b;
    struct stamp stamps[8];
    unsigned stamps_count;
    unsigned stamps_at;
    unsigned streams;
};

struct event {
    struct tk_timer timer; /* first */
    struct fake *fake;
    struct tk_unary *unary;
    struct tk_stream *stream;
    struct tk_frame *frame; /* NULL on a stream: sent, or the end */
    size_t len;
    uint8_t *data;
    bool is_end;
};

static void
fire(struct tk_timer *timer)
{
    struct event *event = (struct event *)(void *)timer;
    struct tk_status status = { .grpc = event->is_end ? 1 : 0,
                                .details = "" };
    tikv_slice data = { event->data, event->len };
    struct tk_wakes wakes;

    tk_wakes_init(&wakes, event->fake->rt);
    if (event->unary != NULL) {
        event->unary->done(event->unary, &status, data, event->frame, &wakes);
    } else if (event->frame != NULL) {
        event->stream->received(event->stream, data, event->frame, &wakes);
    } else if (event->is_end) {
        event->stream->closed(event->stream, &status, &wakes);
    } else {
        event->stream->sent(event->stream, &wakes);
    }
    tk_wakes_flush(&wakes);
    tk_free(event);
}

static struct event *
later(struct fake *fake, int64_t us)
{
    struct event *event = tk_calloc(sizeof(*event));

    assert_non_null(event);
    event->fake = fake;
    event->timer.fn = fire;
    fake->rt->ops->arm(fake->rt, &event->timer,
                       tk_now(fake->rt) + us * 1000);
    return event;
}

static void
answer(struct event *event, const struct upb_MiniTable *table,
       const void *message, struct tk_arena *arena)
{
    struct tk_encoded bytes = tk_arena_encode(arena, table, message);

    event->frame = tk_frame_new(bytes.len, &event->data);
    event->len = bytes.len;
    memcpy(event->data, bytes.data, bytes.len);
    tk_arena_unref(arena);
}

static tikv_error *
fake_connect(struct tk_transport *transport, const char *address,
             uint32_t ordinal, struct tk_link **out)
{
    struct fake *fake = (struct fake *)(void *)transport;
    struct tk_link *link = tk_calloc(sizeof(*link));

    (void)ordinal;
    snprintf(link->address, sizeof(link->address), "%s", address);
    link->next = fake->links;
    fake->links = link;
    *out = link;
    return NULL;
}

static void
fake_disconnect(struct tk_transport *transport, struct tk_link *link)
{
    (void)transport;
    (void)link;
}

static bool
fake_call(struct tk_transport *transport, struct tk_link *link,
          const char *path, const char *const *metadata, tikv_slice bytes,
          int64_t deadline, struct tk_unary *unary)
{
    struct fake *fake = (struct fake *)(void *)transport;
    struct tk_arena *arena = tk_arena_new();
    pdpb_GetMembersResponse *members =
        pdpb_GetMembersResponse_new(arena->upb);
    pdpb_Member *leader =
        pdpb_GetMembersResponse_mutable_leader(members, arena->upb);
    struct event *event = later(fake, 50);

    (void)path;
    (void)metadata;
    (void)bytes;
    (void)deadline;
    pdpb_ResponseHeader_set_cluster_id(
        pdpb_GetMembersResponse_mutable_header(members, arena->upb),
        link->address[0] == 'a' ? fake->id_a : fake->id_b);
    pdpb_Member_add_client_urls(
        leader, upb_StringView_FromString("http://a:1"), arena->upb);
    event->unary = unary;
    answer(event, tk_command_row(TK_CMD_PD_GET_MEMBERS)->response, members,
           arena);
    return true;
}

static void
fake_call_cancel(struct tk_transport *transport, struct tk_unary *unary)
{
    (void)transport;
    (void)unary;
}

static bool
fake_open(struct tk_transport *transport, struct tk_link *link,
          const char *path, const char *const *metadata,
          struct tk_stream *stream)
{
    (void)link;
    (void)path;
    (void)metadata;
    stream->inside = transport;
    ((struct fake *)(void *)transport)->streams++;
    return true;
}

static bool
fake_send(struct tk_transport *transport, struct tk_stream *stream,
          tikv_slice bytes)
{
    struct fake *fake = (struct fake *)(void *)transport;
    struct tk_arena *arena = tk_arena_new();
    const pdpb_TsoRequest *request =
        tk_arena_decode(arena, tk_command_row(TK_CMD_PD_TSO)->request,
                        bytes.data, bytes.len, NULL);
    pdpb_TsoResponse *response = pdpb_TsoResponse_new(arena->upb);
    pdpb_Timestamp *stamp =
        pdpb_TsoResponse_mutable_timestamp(response, arena->upb);
    pdpb_ResponseHeader *header =
        pdpb_TsoResponse_mutable_header(response, arena->upb);
    const struct stamp *told;
    struct event *event;

    assert_non_null(request);
    assert_true(fake->stamps_at < fake->stamps_count);
    told = &fake->stamps[fake->stamps_at++];
    pdpb_ResponseHeader_set_cluster_id(header, fake->id_a);
    if (told->fault != NULL) {
        pdpb_Error *fault = pdpb_ResponseHeader_mutable_error(header,
                                                              arena->upb);

        pdpb_Error_set_type(fault, pdpb_UNKNOWN);
        pdpb_Error_set_message(fault, upb_StringView_FromString(told->fault));
    }
    pdpb_TsoResponse_set_count(response, told->count != 0
                                             ? told->count
                                             : pdpb_TsoRequest_count(request));
    pdpb_Timestamp_set_physical(stamp, told->physical);
    pdpb_Timestamp_set_logical(stamp, told->logical);
    later(fake, 10)->stream = stream;
    event = later(fake, 50);
    event->stream = stream;
    answer(event, tk_command_row(TK_CMD_PD_TSO)->response, response, arena);
    return true;
}

static void
fake_cancel(struct tk_transport *transport, struct tk_stream *stream)
{
    /* Cancelled twice is cancelled once. */
    if (stream->inside != NULL) {
        struct event *event = later((struct fake *)(void *)transport, 200);

        stream->inside = NULL;
        event->stream = stream;
        event->is_end = true;
    }
}

static bool
fake_is_delivering(struct tk_transport *transport)
{
    (void)transport;
    return false;
}

static void
fake_set_idle(struct tk_transport *transport,
              void (*fn)(void *arg, struct tk_wakes *), void *arg)
{
    (void)transport;
    (void)fn;
    (void)arg;
}

/* Waits until all that was scheduled has happened. */
static void
fake_close(struct tk_transport *transport)
{
    struct fake *fake = (struct fake *)(void *)transport;
    struct tk_parker *me = tk_self(fake->rt);
    int64_t until = tk_now(fake->rt) + 10 * TK_MS;

    while (tk_now(fake->rt) < until) {
        tk_park_begin(me);
        fake->rt->ops->park(fake->rt, me, until);
    }
}

static void
fake_free(struct tk_transport *transport)
{
    struct fake *fake = (struct fake *)(void *)transport;

    while (fake->links != NULL) {
        struct tk_link *link = fake->links;

        fake->links = link->next;
        tk_free(link);
    }
    tk_free(fake);
}

static const struct tk_transport_ops fake_ops = {
    .connect = fake_connect,
    .disconnect = fake_disconnect,
    .call = fake_call,
    .call_cancel = fake_call_cancel,
    .open = fake_open,
    .send = fake_send,
    .cancel = fake_cancel,
    .is_delivering = fake_is_delivering,
    .set_idle = fake_set_idle,
    .close = fake_close,
    .free = fake_free,
};

/* ---- a client of it ---- */

struct scene {
    struct tk_runtime *rt;
    struct fake *fake;
    tikv_config *source;
    struct tk_config config;
    struct tk_exec *exec;
    struct tk_rpc *rpc;
    struct tk_pd *pd;
    tikv_error *open_error;
    void (*play)(struct scene *);
    uint64_t id_a;
    uint64_t id_b;
};

static void
scene_main(void *arg)
{
    struct scene *scene = arg;
    struct tk_op op;

    scene->fake = tk_calloc(sizeof(*scene->fake));
    scene->fake->base.ops = &fake_ops;
    scene->fake->rt = scene->rt;
    scene->fake->id_a = scene->id_a;
    scene->fake->id_b = scene->id_b;
    assert_null(tikv_config_new(&scene->source));
    assert_null(tikv_config_set(scene->source, "pd.endpoints", "a:1,b:1"));
    assert_null(
        tk_config_copy(tk_config_of(scene->source), &scene->config));
    assert_null(tk_exec_open(scene->rt, 1, 10, &scene->exec));
    assert_null(tk_rpc_new(scene->rt, &scene->config, NULL,
                           &scene->fake->base, &scene->rpc));
    assert_true(tk_op_init(&op, scene->exec, NULL, 60000 * TK_MS));
    scene->open_error = tk_pd_open(scene->exec, scene->rpc, &scene->config,
                                   NULL, &op, &scene->pd);
    tk_op_fini(&op);
    scene->play(scene);
    tikv_error_free(scene->open_error);
    tk_exec_close_begin(scene->exec);
    if (scene->pd != NULL) {
        tk_pd_close(scene->pd);
    }
    tk_rpc_close(scene->rpc);
    tk_exec_close_end(scene->exec);
    tk_pd_free(scene->pd);
    tk_rpc_free(scene->rpc);
    tk_exec_unref(scene->exec);
    tk_config_fini(&scene->config);
    tikv_config_free(scene->source);
}

static void
play(uint64_t id_a, uint64_t id_b, void (*fn)(struct scene *))
{
    struct scene scene = { .play = fn, .id_a = id_a, .id_b = id_b };

    scene.rt = tk_runtime_sim_new(7);
    if (!tk_runtime_sim_run(scene.rt, scene_main, &scene, 1000000)) {
        print_error("%s\n", tk_runtime_sim_report(scene.rt));
        fail();
    }
    tk_runtime_sim_free(scene.rt);
}

static void
refused(struct scene *scene)
{
    assert_int_equal(tikv_error_code(scene->open_error),
                     TIKV_ERR_CLUSTER_MISMATCH);
    assert_null(scene->pd);
}

static void
members__must_be_of_one_cluster(void **state)
{
    (void)state;
    play(1, 2, refused);
    play(0, 0, refused);
    play(5, 0, refused);
}

static void
tell(struct scene *scene, struct stamp stamp)
{
    scene->fake->stamps[scene->fake->stamps_count++] = stamp;
}

static tikv_error *
ask(struct scene *scene, uint64_t *out)
{
    struct tk_op op;
    tikv_error *error;

    assert_true(tk_op_init(&op, scene->exec, NULL, 10000 * TK_MS));
    error = tk_pd_timestamp(scene->pd, &op, out);
    tk_op_fini(&op);
    return error;
}

static void
counts_differ(struct scene *scene)
{
    uint64_t ts;

    assert_null(scene->open_error);
    tell(scene, (struct stamp){ 0, 10, 5, NULL });
    tell(scene, (struct stamp){ 2, 10, 7, NULL });
    tell(scene, (struct stamp){ 0, 11, 1, NULL });
    assert_null(ask(scene, &ts));
    assert_int_equal(ts, (10 << 18) + 5);
    /* The batch fails, the stream is dropped, a new one is asked. */
    assert_null(ask(scene, &ts));
    assert_int_equal(ts, (11 << 18) + 1);
    assert_int_equal(scene->fake->streams, 2);
}

static void
tso__drops_a_stream_that_miscounts(void **state)
{
    (void)state;
    play(1, 1, counts_differ);
}

static void
goes_back(struct scene *scene)
{
    uint64_t ts;
    tikv_error *error;

    tell(scene, (struct stamp){ 0, 10, 5, NULL });
    tell(scene, (struct stamp){ 0, 10, 5, NULL });
    tell(scene, (struct stamp){ 0, 9, 100, NULL });
    tell(scene, (struct stamp){ 0, 10, 6, NULL });
    assert_null(ask(scene, &ts));
    error = ask(scene, &ts);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_PROTOCOL);
    tikv_error_free(error);
    error = ask(scene, &ts);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_PROTOCOL);
    tikv_error_free(error);
    assert_null(ask(scene, &ts));
    assert_int_equal(ts, (10 << 18) + 6);
}

static void
tso__refuses_time_that_goes_back(void **state)
{
    (void)state;
    play(1, 1, goes_back);
}

/* ---- two questions on their way ---- */

struct wish {
    struct tk_tso_request request; /* first */
    struct tk_signal signal;
    uint64_t ts;
    tikv_error *error;
};

static void
wish_done(struct tk_tso_request *request, uint64_t ts, tikv_error *error,
          struct tk_wakes *wakes)
{
    struct wish *wish = (struct wish *)(void *)request;

    wish->ts = ts;
    wish->error = error;
    tk_signal_set(&wish->signal, wakes);
}

static void
answers_twice(struct scene *scene)
{
    struct wish wishes[2] = { { .request.done = wish_done },
                              { .request.done = wish_done } };
    struct tk_op op;
    uint64_t ts;
    int i;

    /* The second answer is the first one once more; neither question knew
     * of it when it was asked. */
    tell(scene, (struct stamp){ 0, 10, 5, NULL });
    tell(scene, (struct stamp){ 0, 10, 5, NULL });
    tell(scene, (struct stamp){ 0, 10, 7, NULL });
    assert_true(tk_op_init(&op, scene->exec, NULL, 10000 * TK_MS));
    for (i = 0; i < 2; i++) {
        tk_signal_init(&wishes[i].signal, &op);
        assert_true(tk_pd_tso_submit(scene->pd, &wishes[i].request));
    }
    for (i = 0; i < 2; i++) {
        assert_null(tk_op_await(&op, &wishes[i].signal));
    }
    tk_op_fini(&op);
    assert_null(wishes[0].error);
    assert_int_equal(wishes[0].ts, (10 << 18) + 5);
    assert_int_equal(tikv_error_code(wishes[1].error), TIKV_ERR_PD);
    tikv_error_free(wishes[1].error);
    assert_null(ask(scene, &ts));
    assert_int_equal(ts, (10 << 18) + 7);
    assert_int_equal(scene->fake->streams, 2);
}

static void
tso__gives_no_timestamp_twice(void **state)
{
    (void)state;
    play(1, 1, answers_twice);
}

static void
header_errors(struct scene *scene)
{
    uint64_t ts;
    tikv_error *error;
    int64_t begun = tk_now(scene->rt);

    tell(scene, (struct stamp){ 0, 0, 0, "not leader" });
    tell(scene, (struct stamp){ 0, 12, 1, NULL });
    tell(scene, (struct stamp){ 0, 0, 0, "mismatch cluster id, sorry" });
    assert_null(ask(scene, &ts));
    /* The first retry comes at once. */
    assert_true(tk_now(scene->rt) - begun < 50 * TK_MS);
    error = ask(scene, &ts);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_CLUSTER_MISMATCH);
    tikv_error_free(error);
}

static void
tso__reads_errors_of_the_header(void **state)
{
    (void)state;
    play(1, 1, header_errors);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(members__must_be_of_one_cluster),
        harness_test(tso__drops_a_stream_that_miscounts),
        harness_test(tso__refuses_time_that_goes_back),
        harness_test(tso__gives_no_timestamp_twice),
        harness_test(tso__reads_errors_of_the_header),
    };

    return harness_run(tests);
}
