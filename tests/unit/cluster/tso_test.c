/* SPDX-License-Identifier: Apache-2.0 */
/* Timestamps of the Tso stream: order, form, leaders (PD03 to PD05). */
#include "unit/cluster/fixture.h"

static const struct tk_cluster_params params_3 = { .stores_count = 3,
                                                   .pds_count = 3 };

/* ---- a stream that keeps the last answer ---- */

struct tso {
    struct fx *fx;
    struct tk_cluster_stream *stream;
    int answers;
    bool ended;
    int status;
    char message[200];
    int64_t physical;
    int64_t logical;
    uint32_t count;
};

static void
tso_message(void *arg, tikv_slice bytes)
{
    struct tso *tso = arg;
    const pdpb_TsoResponse *answer = pdpb_TsoResponse_parse(
        (const char *)bytes.data, bytes.len, tso->fx->arena);
    const pdpb_Timestamp *timestamp = pdpb_TsoResponse_timestamp(answer);

    tso->answers++;
    tso->count = pdpb_TsoResponse_count(answer);
    tso->physical = pdpb_Timestamp_physical(timestamp);
    tso->logical = pdpb_Timestamp_logical(timestamp);
}

static void
tso_end(void *arg, int status, const char *message)
{
    struct tso *tso = arg;

    assert_false(tso->ended);
    tso->ended = true;
    tso->status = status;
    (void)snprintf(tso->message, sizeof(tso->message), "%s", message);
}

static void
tso_open(struct tso *tso, struct fx *fx, uint32_t member)
{
    static const struct tk_cluster_stream_events events = { tso_message,
                                                            tso_end };

    memset(tso, 0, sizeof(*tso));
    tso->fx = fx;
    tso->stream = tk_cluster_stream_open(fx->cluster, member, "/pdpb.PD/Tso",
                                         NULL, &events, tso);
    assert_non_null(tso->stream);
}

static void
tso_ask_as(struct tso *tso, uint32_t count, uint64_t cluster_id)
{
    pdpb_TsoRequest *request = pdpb_TsoRequest_new(tso->fx->arena);
    pdpb_RequestHeader *header = fx_header(tso->fx);
    size_t len;
    const char *bytes;

    pdpb_RequestHeader_set_cluster_id(header, cluster_id);
    pdpb_TsoRequest_set_header(request, header);
    pdpb_TsoRequest_set_count(request, count);
    bytes = pdpb_TsoRequest_serialize(request, tso->fx->arena, &len);
    tk_cluster_stream_message(tso->stream, tk_slice(bytes, len));
}

/* The last timestamp of the answer. */
static uint64_t
tso_ask(struct tso *tso, uint32_t count)
{
    tso_ask_as(tso, count, tk_cluster_id(tso->fx->cluster));
    assert_false(tso->ended);
    assert_int_equal(tso->count, count);
    return (uint64_t)tso->physical << 18 | (uint64_t)tso->logical;
}

static void
tso__never_gives_a_timestamp_twice(void **state)
{
    struct tso streams[16];
    struct fx fx;
    uint64_t last = 0;

    (void)state;
    fx_open(&fx, NULL);
    for (int i = 0; i < 16; i++) {
        tso_open(&streams[i], &fx, 0);
    }
    for (int i = 0; i < 2000; i++) {
        uint32_t count = (uint32_t)(i * 37 % 5000 + 1);
        uint64_t ts = tso_ask(&streams[i * 7 % 16], count);

        assert_true(ts - count >= last);
        assert_true((ts & 0x3ffff) >= count);
        last = ts;
        if (i % 10 == 0) {
            fx_advance(&fx.clock, i % 70);
        }
    }
    for (int i = 0; i < 16; i++) {
        tk_cluster_stream_free(streams[i].stream);
    }
    fx_close(&fx);
}

static void
tso__follows_the_clock_on_a_grid(void **state)
{
    struct tso tso;
    struct fx fx;
    int64_t physical;

    (void)state;
    fx_open(&fx, NULL);
    tso_open(&tso, &fx, 0);
    (void)tso_ask(&tso, 1);
    physical = tso.physical;
    assert_int_equal(physical, fx_wall(&fx.clock.rt) / TK_MS);
    fx_advance(&fx.clock, 10);
    (void)tso_ask(&tso, 1);
    assert_int_equal(tso.physical, physical);
    assert_int_equal(tso.logical, 2);
    fx_advance(&fx.clock, 200);
    (void)tso_ask(&tso, 5);
    assert_true(tso.physical > physical);
    assert_true(fx_wall(&fx.clock.rt) / TK_MS - tso.physical < 50);
    assert_int_equal(tso.logical, 5);
    tk_cluster_stream_free(tso.stream);
    fx_close(&fx);
}

static void
tso__moves_physical_when_logical_is_full(void **state)
{
    struct tso tso;
    struct fx fx;
    int64_t physical;

    (void)state;
    fx_open(&fx, NULL);
    tso_open(&tso, &fx, 0);
    (void)tso_ask(&tso, 200000);
    physical = tso.physical;
    (void)tso_ask(&tso, 200000);
    assert_int_equal(tso.physical, physical + 1);
    assert_int_equal(tso.logical, 200000);
    tk_cluster_stream_free(tso.stream);
    fx_close(&fx);
}

static void
tso__ends_the_stream_on_bad_requests(void **state)
{
    struct tso tso;
    struct fx fx;

    (void)state;
    fx_open(&fx, &params_3);
    tso_open(&tso, &fx, 0);
    tso_ask_as(&tso, 0, tk_cluster_id(fx.cluster));
    assert_true(tso.ended);
    assert_int_equal(tso.status, TK_GRPC_UNKNOWN);
    tk_cluster_stream_free(tso.stream);
    tso_open(&tso, &fx, 0);
    tso_ask_as(&tso, 1, 0);
    assert_int_equal(tso.status, TK_GRPC_FAILED_PRECONDITION);
    tk_cluster_stream_free(tso.stream);
    tso_open(&tso, &fx, 1);
    tso_ask_as(&tso, 1, tk_cluster_id(fx.cluster));
    assert_int_equal(tso.status, TK_GRPC_UNKNOWN);
    assert_null(strstr(tso.message, "not leader"));
    tk_cluster_stream_free(tso.stream);
    tso_open(&tso, &fx, 0);
    tk_cluster_stream_finish(tso.stream);
    assert_true(tso.ended);
    assert_int_equal(tso.status, TK_GRPC_OK);
    tk_cluster_stream_free(tso.stream);
    fx_close(&fx);
}

static void
tso__grows_over_a_change_of_leader(void **state)
{
    struct tso old;
    struct tso fresh;
    struct fx fx;
    uint64_t before;
    int64_t physical;

    (void)state;
    fx_open(&fx, &params_3);
    tso_open(&old, &fx, 0);
    before = tso_ask(&old, 10);
    physical = old.physical;
    assert_null(tk_cluster_pd_transfer(fx.cluster, 1));
    assert_int_equal(tk_cluster_pd_leader(fx.cluster), 1);
    tso_open(&fresh, &fx, 1);
    assert_true(tso_ask(&fresh, 1) > before);
    /* The saved bound was ahead of what was given out. */
    assert_true(fresh.physical > physical + 1000);
    tso_ask_as(&old, 1, tk_cluster_id(fx.cluster));
    assert_true(old.ended);
    assert_int_equal(old.status, TK_GRPC_UNKNOWN);
    assert_non_null(strstr(old.message, "not leader"));
    before = tso_ask(&fresh, 1);
    fx_advance(&fx.clock, 20);
    assert_true(tso_ask(&fresh, 1) > before);
    tk_cluster_stream_free(old.stream);
    tk_cluster_stream_free(fresh.stream);
    fx_close(&fx);
}

static void
tso__breaks_with_its_member(void **state)
{
    struct tso tso;
    struct tso fresh;
    struct fx fx;
    uint64_t before;

    (void)state;
    fx_open(&fx, &params_3);
    tso_open(&tso, &fx, 0);
    before = tso_ask(&tso, 10);
    assert_null(tk_cluster_pd_stop(fx.cluster, 0));
    assert_true(tso.ended);
    assert_int_equal(tso.status, TK_GRPC_UNAVAILABLE);
    assert_int_equal(tk_cluster_pd_leader(fx.cluster), 1);
    tso_open(&fresh, &fx, 1);
    assert_true(tso_ask(&fresh, 1) > before);
    tk_cluster_stream_free(fresh.stream);
    tk_cluster_stream_free(tso.stream);
    fx_close(&fx);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(tso__never_gives_a_timestamp_twice),
        harness_test(tso__follows_the_clock_on_a_grid),
        harness_test(tso__moves_physical_when_logical_is_full),
        harness_test(tso__ends_the_stream_on_bad_requests),
        harness_test(tso__grows_over_a_change_of_leader),
        harness_test(tso__breaks_with_its_member),
    };
    return harness_run(tests);
}
