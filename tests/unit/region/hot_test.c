/* SPDX-License-Identifier: Apache-2.0 */
/* First attempts without a worker, and what becomes of trouble.
 * timeout: 120 */
#include "unit/region/world.h"

#include "region/hot.h"

static const struct world_plan three_stores = {
    .cluster = { .stores_count = 3, .pds_count = 1, .regions_count = 1,
                 .replicas_count = 3 },
    .settings = { "rpc.attempt_timeout_ms", "1000" },
};

static void
both(const struct world_plan *plan, world_fn *fn)
{
    uint64_t seed;

    for (seed = 1; seed <= 10; seed++) {
        world_sim(seed, plan, fn);
    }
    world_real(plan, fn);
}

/* ---- a get and a put by the short road ---- */

struct promise {
    struct tk_hot hot; /* first */
    struct kv *kv;
    atomic_uint *runs; /* how often a worker ran it */
};

static tikv_error *
promise_run(struct tikv_future *future, struct tk_op *op)
{
    struct promise *promise = (struct promise *)(void *)future;

    atomic_fetch_add(promise->runs, 1);
    return tk_drive(promise->hot.router, op, &promise->kv->job,
                    &promise->hot.first);
}

static void
promise_fini(struct tikv_future *future)
{
    struct promise *promise = (struct promise *)(void *)future;

    tk_hot_fini(&promise->hot);
    tk_free(promise->kv);
}

static tikv_error *
promise_clean(struct tk_hot *hot, const struct tk_peek *peek,
              struct tk_frame *frame)
{
    struct promise *promise = (struct promise *)(void *)hot;

    snprintf(promise->kv->got, sizeof(promise->kv->got), "%.*s",
             (int)peek->value.len,
             peek->value.data == NULL ? "" : (const char *)peek->value.data);
    tk_frame_unref(frame, 1);
    return NULL;
}

static const struct tk_future_ops promise_ops = { promise_run,
                                                  tk_hot_take_back,
                                                  tk_hot_flush, promise_fini };

static struct promise *
promise_start(struct world *w, enum tk_command command, const char *value,
              const tikv_call *call, atomic_uint *runs)
{
    struct promise *promise = (struct promise *)(void *)tk_future_new(
        w->exec, sizeof(*promise), &promise_ops, TK_KIND_DONE, call,
        20000 * TK_MS);
    struct tk_piece piece = { .count = 1 };
    struct tk_arena *arena = tk_arena_new();
    tikv_slice body;

    promise->kv = kv_new(command, 1, value);
    promise->runs = runs;
    tk_hot_init(&promise->hot, &w->router);
    promise->hot.command = command;
    promise->hot.is_write = command == TK_CMD_RAW_PUT;
    promise->hot.clean = promise_clean;
    world_ok(kv_encode(&promise->kv->job, &piece, arena, &body));
    tk_hot_start(&promise->hot, tk_slice_text("k00000"), tk_slice("", 0),
                 body);
    tk_arena_unref(arena);
    return promise;
}

static tikv_error *
promise_end(struct promise *promise, char *got)
{
    tikv_error *error;

    assert_true(tikv_future_wait(&promise->hot.future, 30000));
    error = tikv_future_take_done(&promise->hot.future);
    if (got != NULL) {
        memcpy(got, promise->kv->got, sizeof(promise->kv->got));
    }
    tikv_future_free(&promise->hot.future);
    return error;
}

static void
clean_and_cold(struct world *w)
{
    struct promise *many[50];
    atomic_uint runs = 0;
    char got[64];
    unsigned i;

    /* The cache is cold: a worker. */
    world_ok(promise_end(
        promise_start(w, TK_CMD_RAW_PUT, "1", NULL, &runs), NULL));
    assert_int_equal(atomic_load(&runs), 1);
    /* Now none is needed. */
    for (i = 0; i < 50; i++) {
        many[i] = promise_start(w, i % 5 == 0 ? TK_CMD_RAW_PUT : TK_CMD_RAW_GET,
                                "2", NULL, &runs);
    }
    for (i = 0; i < 50; i++) {
        world_ok(promise_end(many[i], got));
        if (i % 5 != 0) {
            assert_true(got[0] == '1' || got[0] == '2');
        }
    }
    assert_int_equal(atomic_load(&runs), 1);
}

static void
hot__needs_no_worker_when_all_is_well(void **state)
{
    (void)state;
    both(&three_stores, clean_and_cold);
}

static void
trouble(struct world *w)
{
    atomic_uint runs = 0;
    uint64_t before;
    uint64_t id;
    tikv_error *error;

    kv_put(w, "k00000", "1");
    /* A region error: the worker goes on, it does not begin anew. */
    before = tk_cluster_calls(w->cluster, "tikv.RawGet");
    id = world_fault(w, "on=tikv.RawGet when=first(1) "
                        "do=region_error(epoch_not_match)");
    world_ok(promise_end(promise_start(w, TK_CMD_RAW_GET, "", NULL, &runs),
                         NULL));
    assert_int_equal(atomic_load(&runs), 1);
    assert_int_equal(tk_cluster_calls(w->cluster, "tikv.RawGet"), before + 2);
    tk_cluster_fault_remove(w->cluster, id);
    kv_expect(w, "k00000", "1");
    /* The hot answer was lost and every other attempt is refused: the doubt
     * of the first one stays. */
    world_fault(w, "on=tikv.RawPut when=first(1) do=drop_response");
    world_fault(w, "on=tikv.RawPut do=region_error(raft_entry_too_large)");
    error = promise_end(promise_start(w, TK_CMD_RAW_PUT, "2", NULL, &runs),
                        NULL);
    assert_true(tikv_error_is_undetermined(error));
    assert_int_equal(tikv_error_u64(error, TIKV_ERROR_ATTEMPTS), 2);
    tikv_error_free(error);
    tk_cluster_fault_remove(w->cluster, 0);
}

static void
hot__hands_trouble_to_a_worker(void **state)
{
    (void)state;
    both(&three_stores, trouble);
}

static void
cancels(struct world *w)
{
    atomic_uint runs = 0;
    struct promise *get;
    struct promise *put;
    tikv_call call = TIKV_CALL_INIT;

    kv_put(w, "k00000", "1");
    world_fault(w, "on=tikv.* do=drop_response");
    world_ok(tikv_cancel_new(&call.cancel));
    get = promise_start(w, TK_CMD_RAW_GET, "", &call, &runs);
    put = promise_start(w, TK_CMD_RAW_PUT, "2", &call, &runs);
    tikv_future_wait(&get->hot.future, 20);
    tikv_cancel_raise(call.cancel);
    world_code(promise_end(get, NULL), TIKV_ERR_CANCELLED);
    world_code(promise_end(put, NULL), TIKV_ERR_UNDETERMINED);
    assert_int_equal(atomic_load(&runs), 0);
    /* Cancelled before it begins. */
    put = promise_start(w, TK_CMD_RAW_PUT, "3", &call, &runs);
    world_code(promise_end(put, NULL), TIKV_ERR_CANCELLED);
    tikv_cancel_free(call.cancel);
    tk_cluster_fault_remove(w->cluster, 0);
}

static void
hot__can_be_cancelled(void **state)
{
    (void)state;
    both(&three_stores, cancels);
}

static void
ends_in_time(struct world *w)
{
    atomic_uint runs = 0;
    tikv_call call = TIKV_CALL_INIT;
    int64_t begun = tk_now(w->rt);

    kv_put(w, "k00000", "1");
    world_fault(w, "on=tikv.* do=drop_response");
    call.timeout_ms = 100;
    world_code(promise_end(
                   promise_start(w, TK_CMD_RAW_GET, "", &call, &runs), NULL),
               TIKV_ERR_TIMEOUT);
    world_code(promise_end(
                   promise_start(w, TK_CMD_RAW_PUT, "2", &call, &runs), NULL),
               TIKV_ERR_UNDETERMINED);
    assert_true(tk_now(w->rt) - begun < 600 * TK_MS * harness_stretch());
}

static void
hot__ends_at_its_deadline(void **state)
{
    (void)state;
    both(&three_stores, ends_in_time);
}

static void
shut_under_load(struct world *w)
{
    struct promise *many[60];
    atomic_uint runs = 0;
    unsigned i;

    kv_put(w, "k00000", "1");
    world_fault(w, "on=tikv.* when=prob(0.3) do=region_error(server_is_busy)");
    world_fault(w, "on=tikv.* when=prob(0.3) do=drop_response");
    for (i = 0; i < 60; i++) {
        many[i] = promise_start(w, i % 2 == 0 ? TK_CMD_RAW_PUT : TK_CMD_RAW_GET,
                                "2", NULL, &runs);
    }
    world_shut(w);
    for (i = 0; i < 60; i++) {
        tikv_error *error = promise_end(many[i], NULL);
        tikv_code code = tikv_error_code(error);

        assert_true(code == TIKV_OK || code == TIKV_ERR_CLOSED ||
                    (code == TIKV_ERR_UNDETERMINED && i % 2 == 0));
        tikv_error_free(error);
    }
}

static void
hot__ends_at_close(void **state)
{
    (void)state;
    both(&three_stores, shut_under_load);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(hot__needs_no_worker_when_all_is_well),
        harness_test(hot__hands_trouble_to_a_worker),
        harness_test(hot__can_be_cancelled),
        harness_test(hot__ends_at_its_deadline),
        harness_test(hot__ends_at_close),
    };

    return harness_run(tests);
}
