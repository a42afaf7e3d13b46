/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation of a short life of a cluster fails once. */
#include "unit/cluster/fixture.h"

#include "base/alloc.h"

struct quiet {
    int events;
};

static void
on_message(void *arg, tikv_slice bytes)
{
    struct quiet *quiet = arg;

    (void)bytes;
    quiet->events++;
}

static void
on_end(void *arg, int status, const char *message)
{
    struct quiet *quiet = arg;

    (void)message;
    assert_int_not_equal(status, TK_GRPC_OK);
    quiet->events++;
}

static void
on_reply(struct tk_cluster_call *call, int status, const char *message,
         tikv_slice data)
{
    int *replies = call->owner;

    (void)status;
    (void)message;
    (void)data;
    (*replies)++;
}

static void
on_dropped(struct tk_cluster_call *call)
{
    (void)call;
    fail_msg("dropped");
}

/* One RawPut in region 2 of a fresh cluster, as bytes of the wire. */
static const char put_bytes[] =
    "\x0a\x0e\x08\x02\x12\x04\x08\x01\x10\x01\x1a\x04\x08\x03\x10\x01"
    "\x12\x01k\x1a\x03val";
static const char batch_bytes[] =
    "\x0a\x1a\x7a\x18"
    "\x0a\x0e\x08\x02\x12\x04\x08\x01\x10\x01\x1a\x04\x08\x03\x10\x01"
    "\x12\x01k\x1a\x03val"
    "\x12\x01\x05";

static void
live(struct fx_clock *clock, int *replies, struct quiet *quiet)
{
    static const struct tk_cluster_stream_events events = { on_message,
                                                            on_end };
    struct tk_cluster_call call = { on_reply, on_dropped, replies, 0 };
    struct tk_cluster_call late = { on_reply, on_dropped, replies, 0 };
    struct tk_cluster_stream *stream;
    struct tk_cluster *cluster;
    const struct tk_cluster_params params = { 0 };
    tikv_error *error = tk_cluster_new(&clock->rt, &params, &cluster);

    if (error != NULL) {
        assert_int_equal(tikv_error_code(error), TIKV_ERR_MEMORY);
        assert_null(cluster);
        tikv_error_free(error);
        return;
    }
    tk_cluster_unary(cluster, fx_store(1), "/tikvpb.Tikv/RawPut", NULL,
                     tk_slice(put_bytes, sizeof(put_bytes) - 1), &call);
    assert_int_equal(*replies, 1);
    stream = tk_cluster_stream_open(cluster, fx_store(1),
                                    "/tikvpb.Tikv/BatchCommands", NULL,
                                    &events, quiet);
    if (stream != NULL) {
        tk_cluster_stream_message(
            stream, tk_slice(batch_bytes, sizeof(batch_bytes) - 1));
        assert_int_equal(quiet->events, 1);
    }
    tikv_error_free(tk_cluster_fault(
        cluster, "on=tikv.* key=k do=delay(5)", NULL));
    tk_cluster_unary(cluster, fx_store(1), "/tikvpb.Tikv/RawPut", NULL,
                     tk_slice(put_bytes, sizeof(put_bytes) - 1), &late);
    if (stream != NULL) {
        tk_cluster_stream_message(
            stream, tk_slice(batch_bytes, sizeof(batch_bytes) - 1));
    }
    tikv_error_free(tk_cluster_split(cluster, fx_slice("j")));
    tikv_error_free(tk_cluster_merge(cluster, fx_slice("a")));
    fx_advance(clock, 10);
    assert_int_equal(*replies, 2);
    assert_int_equal(
        tk_cluster_region_of(cluster, fx_slice("z")) != 0, true);
    tk_cluster_stream_free(stream);
    tk_cluster_free(cluster);
}

static void
cluster__survives_the_end_of_memory(void **state)
{
    uint64_t nth = 0;
    uint64_t made;

    (void)state;
    do {
        struct fx_clock clock;
        struct quiet quiet = { 0 };
        int replies = 0;

        nth++;
        fx_clock_init(&clock);
        (void)tk_alloc_fail_nth(nth);
        live(&clock, &replies, &quiet);
        made = tk_alloc_fail_nth(0);
        assert_int_equal(clock.count, 0);
    } while (nth <= made);
    assert_true(nth > 20);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(cluster__survives_the_end_of_memory),
    };
    return harness_run(tests);
}
