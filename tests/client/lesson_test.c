/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timeout: 120
 *
 * Lessons of the field about whole clients: closing under load, opening that
 * fails, keys in texts.
 */
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "fixture/kv.h"

enum { CALLS = 1000, OPENS = 40, SLACK = 16 };

/* ---- closing ---- */

/* It takes 20 ms; what a busy machine does to that is not ours. */
#define CLOSE_NS INT64_C(500000000)

static void
on_end(tikv_future *future, void *arg)
{
    tikv_error *error = tikv_future_take_done(future);
    tikv_code code = tikv_error_code(error);

    if (code == TIKV_OK || code == TIKV_ERR_CLOSED ||
        code == TIKV_ERR_UNDETERMINED) {
        atomic_fetch_add((_Atomic uint32_t *)arg, 1);
    }
    tikv_error_free(error);
}

static void
lesson_122__a_close_ends_a_thousand_calls(void **state)
{
    const struct kv_plan plan = { .stores = 3, .regions = 6 };
    _Atomic uint32_t ended = 0;
    int64_t begun;
    struct kv kv;
    size_t i;

    (void)state;
    kv_open(&kv, &plan);
    kv_put(kv.client, "k", "v");
    for (i = 0; i < CALLS; i++) {
        char key[2] = { (char)(i % 250 + 1), 0 };
        tikv_future *future =
            tikv_raw_put_async(kv.client, kv_text(key), kv_text("v"), NULL);

        kv_ok(tikv_future_on_ready(future, on_end, &ended));
        tikv_future_free(future);
        if (i == CALLS / 2) {
            kv_ok(tikv_cluster_store_stop(kv.cluster, 2));
        }
    }
    begun = tikv_now_ns();
    tikv_client_close(kv.client);
    assert_true(tikv_now_ns() - begun < CLOSE_NS * harness_stretch());
    assert_int_equal(atomic_load(&ended), CALLS);
    tikv_cluster_free(kv.cluster);
}

static size_t
count_entries(const char *path)
{
    DIR *folder = opendir(path);
    size_t count = 0;

    assert_non_null(folder);
    while (readdir(folder) != NULL) {
        count++;
    }
    closedir(folder);
    return count;
}

static void
lesson_123__opening_and_closing_leaves_nothing(void **state)
{
    int64_t living = 0;
    size_t files = 0;
    size_t threads = 0;
    int64_t until;
    struct kv kv;
    size_t i;

    (void)state;
    kv_open_plain(&kv);
    for (i = 0; i < OPENS; i++) {
        tikv_client *client = kv_client(&kv, NULL);

        kv_put(client, "k", "v");
        kv_expect(client, "k", "v");
        tikv_client_close(client);
        if (i == 2) {
            files = count_entries("/proc/self/fd");
            threads = count_entries("/proc/self/task");
            living = tk_alloc_live();
        }
    }
    /* The cluster's ends of connections close in their own time, and gRPC has
     * a thread more or less: what an open leaves behind is there 37 times. */
    until = tikv_now_ns() + INT64_C(20000000000);
    while (count_entries("/proc/self/fd") > files + SLACK ||
           count_entries("/proc/self/task") > threads + SLACK ||
           tk_alloc_live() > living + SLACK) {
        assert_true(tikv_now_ns() < until);
        sched_yield();
    }
    kv_close(&kv);
}

/* ---- opening ---- */

/* Memory ends at each allocation of this thread in turn: the open fails, or
 * does without, and leaves nothing behind, which the harness sees. */
static void
lesson_125__every_step_of_opening_may_fail(void **state)
{
    tikv_config *config = NULL;
    tikv_client *client;
    tikv_error *error;
    unsigned failed = 0;
    struct kv kv;
    uint64_t made;
    uint64_t nth;

    (void)state;
    kv_open_plain(&kv);
    kv_ok(tikv_config_new(&config));
    kv_ok(tikv_config_parse(config, tikv_cluster_endpoints(kv.cluster)));
    kv_ok(tikv_config_set(config, "pd.open_timeout_ms", "1000"));
    (void)tk_alloc_fail_nth(0);
    kv_ok(tikv_client_open(config, &client));
    made = tk_alloc_fail_nth(0);
    tikv_client_close(client);
    for (nth = 1; nth <= made; nth += 1 + nth / 16) {
        (void)tk_alloc_fail_nth(nth);
        error = tikv_client_open(config, &client);
        (void)tk_alloc_fail_nth(0);
        assert_true((error == NULL) == (client != NULL));
        failed += error != NULL;
        tikv_error_free(error);
        tikv_client_close(client);
    }
    assert_true(failed > 0 || made == 0);
    kv_ok(tikv_client_open(config, &client));
    kv_put(client, "k", "v");
    tikv_client_close(client);
    tikv_config_free(config);
    kv_close(&kv);
}

/* ---- keys in texts ---- */

struct ears {
    pthread_mutex_t lock;
    unsigned lines;
    char heard[400];
};

#define PLANTED "Pl4ntedSecret"
#define PLANTED_HEX "506c346e746564536563726574"

static bool
tells(const char *text)
{
    return strcasestr(text, PLANTED) != NULL ||
           strcasestr(text, PLANTED_HEX) != NULL;
}

static void
listen(int32_t level, const char *room, const char *text, void *arg)
{
    struct ears *ears = arg;

    (void)level;
    (void)room;
    pthread_mutex_lock(&ears->lock);
    ears->lines++;
    if (tells(text) && ears->heard[0] == '\0') {
        (void)snprintf(ears->heard, sizeof(ears->heard), "%s", text);
    }
    pthread_mutex_unlock(&ears->lock);
}

static void
check_text(tikv_error *error)
{
    if (tells(tikv_error_message(error))) {
        fail_msg("%s", tikv_error_message(error));
    }
    tikv_error_free(error);
}

/* Everything goes wrong in turn with keys of one name. */
static void
fail_in_every_way(struct kv *kv, tikv_client *client)
{
    static const char *const rules[] = {
        "on=tikv.Raw* when=first(3) do=region_error(not_leader)",
        "on=tikv.Raw* when=first(3) do=region_error(epoch_not_match)",
        "on=tikv.Raw* do=region_error(key_not_in_region)",
        "on=tikv.Raw* do=region_error(region_not_found)",
        "on=tikv.Raw* do=region_error(server_is_busy)",
        "on=tikv.Raw* do=region_error(message_only)",
        "on=tikv.Raw* do=break_stream",
        "on=tikv.Raw* do=drop_response",
        "on=pd.GetRegion do=status(UNAVAILABLE)",
        "on=tikv.Kv* do=key_error(abort)",
        "on=tikv.Kv* do=key_error(retryable)",
    };
    tikv_slice key = kv_text(PLANTED "/key");
    tikv_raw_options options = TIKV_RAW_OPTIONS_INIT;
    tikv_call call = TIKV_CALL_INIT;
    size_t i;

    options.call.timeout_ms = 150;
    call.timeout_ms = 150;
    for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        uint64_t rule = kv_fault(kv, rules[i]);
        tikv_value *value = NULL;
        tikv_txn *txn = NULL;

        check_text(tikv_raw_put(client, key, kv_text(PLANTED), &options));
        check_text(tikv_raw_get(client, key, &options, &value));
        tikv_value_free(value);
        check_text(tikv_txn_begin(client, NULL, &txn));
        check_text(tikv_txn_put(txn, key, kv_text(PLANTED)));
        check_text(tikv_txn_commit(txn, &call, NULL));
        tikv_txn_free(txn);
        tikv_cluster_fault_remove(kv->cluster, rule);
    }
}

/* Of which the log tells, however little time the calls above had. */
static void
lose_a_stream(struct kv *kv, tikv_client *client)
{
    tikv_value *value = NULL;

    kv_fault(kv, "on=tikv.Raw* when=first(1) do=break_stream");
    check_text(tikv_raw_get(client, kv_text(PLANTED "/key"), NULL, &value));
    tikv_value_free(value);
}

static void
conflict(tikv_client *client)
{
    tikv_slice key = kv_text(PLANTED "/other");
    tikv_txn *first = NULL;
    tikv_txn *second = NULL;
    tikv_error *error;

    kv_ok(tikv_txn_begin(client, NULL, &first));
    kv_ok(tikv_txn_begin(client, NULL, &second));
    kv_ok(tikv_txn_put(first, key, kv_text("1")));
    kv_ok(tikv_txn_put(second, key, kv_text("2")));
    kv_ok(tikv_txn_commit(first, NULL, NULL));
    error = tikv_txn_commit(second, NULL, NULL);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_WRITE_CONFLICT);
    /* The key is a fact of the error, for who asks for it. */
    assert_true(kv_equal(tikv_error_key(error), key));
    check_text(error);
    tikv_txn_free(first);
    tikv_txn_free(second);
}

static void
lesson_155__no_text_tells_a_key(void **state)
{
    struct ears ears = { .lock = PTHREAD_MUTEX_INITIALIZER };
    tikv_config *config = NULL;
    tikv_client *client = NULL;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    kv_ok(tikv_config_new(&config));
    kv_ok(tikv_config_parse(config, tikv_cluster_endpoints(kv.cluster)));
    kv_ok(tikv_config_set(config, "log.level", "debug"));
    tikv_config_log(config, listen, &ears);
    kv_ok(tikv_client_open(config, &client));
    fail_in_every_way(&kv, client);
    lose_a_stream(&kv, client);
    conflict(client);
    tikv_client_close(client);
    assert_true(ears.lines > 0 && tells("key " PLANTED_HEX));
    assert_string_equal(ears.heard, "");
    tikv_config_free(config);
    kv_close(&kv);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(lesson_122__a_close_ends_a_thousand_calls),
        harness_test(lesson_123__opening_and_closing_leaves_nothing),
        harness_test(lesson_125__every_step_of_opening_may_fail),
        harness_test(lesson_155__no_text_tells_a_key),
    };

    return harness_run(tests);
}
