/* SPDX-License-Identifier: Apache-2.0 */
/* PD's storage: revisions, versions, the log, compaction. */
#include "harness/harness.h"

#include "base/slice.h"
#include "cluster/ledger.h"

static void
put(struct tk_ledger *ledger, const char *key, const char *value)
{
    assert_true(tk_ledger_put(ledger, tk_slice_text(key), tk_slice_text(value),
                              0));
}

static void
drop(struct tk_ledger *ledger, const char *key)
{
    assert_true(tk_ledger_delete(ledger, tk_slice_text(key)));
}

/* What a key was at a revision; NULL: expected not to be there. */
static void
expect_then(const struct tk_ledger *ledger, const char *key, int64_t revision,
            const char *value)
{
    struct tk_cl_map_at at = tk_ledger_from(ledger, tk_slice_text(key));
    const struct tk_ledger_version *version = NULL;

    if (at.item != NULL &&
        tk_slice_equal(at.item->key, tk_slice_text(key))) {
        version = tk_ledger_then(tk_ledger_item(&at), revision);
    }
    assert_int_equal(version == NULL, value == NULL);
    if (value != NULL) {
        assert_true(
            tk_slice_equal(tk_ledger_value(version), tk_slice_text(value)));
    }
}

static void
ledger__numbers_changes(void **state)
{
    const struct tk_ledger_version *version;
    struct tk_ledger ledger;

    (void)state;
    tk_ledger_init(&ledger);
    assert_int_equal(ledger.revision, 1);
    put(&ledger, "a", "1");
    put(&ledger, "a", "2");
    version = tk_ledger_get(&ledger, tk_slice_text("a"));
    assert_int_equal(version->create, 2);
    assert_int_equal(version->mod, 3);
    assert_int_equal(version->version, 2);
    drop(&ledger, "a");
    drop(&ledger, "a");
    drop(&ledger, "b");
    assert_int_equal(ledger.revision, 4);
    assert_null(tk_ledger_get(&ledger, tk_slice_text("a")));
    put(&ledger, "a", "3");
    version = tk_ledger_get(&ledger, tk_slice_text("a"));
    assert_int_equal(version->create, 5);
    assert_int_equal(version->version, 1);
    expect_then(&ledger, "a", 1, NULL);
    expect_then(&ledger, "a", 2, "1");
    expect_then(&ledger, "a", 3, "2");
    expect_then(&ledger, "a", 4, NULL);
    expect_then(&ledger, "a", 5, "3");
    tk_ledger_fini(&ledger);
}

static void
ledger__gives_a_transaction_one_revision(void **state)
{
    struct tk_ledger ledger;
    size_t place;

    (void)state;
    tk_ledger_init(&ledger);
    put(&ledger, "x", "0");
    tk_ledger_begin(&ledger);
    put(&ledger, "a", "1");
    drop(&ledger, "x");
    put(&ledger, "b", "1");
    tk_ledger_end(&ledger);
    tk_ledger_begin(&ledger);
    tk_ledger_end(&ledger);
    assert_int_equal(ledger.revision, 3);
    place = tk_ledger_log_from(&ledger, 3);
    assert_int_equal(tk_ledger_log_end(&ledger) - place, 3);
    assert_true(
        tk_ledger_is_deleted(tk_ledger_log_at(&ledger, place + 1)));
    tk_ledger_fini(&ledger);
}

static void
ledger__forgets_what_is_compacted(void **state)
{
    struct tk_ledger ledger;

    (void)state;
    tk_ledger_init(&ledger);
    put(&ledger, "a", "1"); /* 2 */
    put(&ledger, "b", "1"); /* 3 */
    put(&ledger, "a", "2"); /* 4 */
    drop(&ledger, "b");     /* 5 */
    put(&ledger, "a", "3"); /* 6 */
    tk_ledger_compact(&ledger, 5);
    assert_int_equal(ledger.compacted, 5);
    expect_then(&ledger, "a", 5, "2");
    expect_then(&ledger, "a", 3, NULL);
    expect_then(&ledger, "a", 6, "3");
    assert_int_equal(ledger.map.count, 1);
    assert_int_equal(tk_ledger_log_end(&ledger) -
                         tk_ledger_log_from(&ledger, 0),
                     1);
    put(&ledger, "b", "2");
    assert_int_equal(tk_ledger_get(&ledger, tk_slice_text("b"))->version, 1);
    /* Neither back nor into the future. */
    tk_ledger_compact(&ledger, 3);
    tk_ledger_compact(&ledger, 100);
    assert_int_equal(ledger.compacted, 5);
    tk_ledger_fini(&ledger);
}

static void
ledger__stays_small(void **state)
{
    struct tk_ledger ledger;
    char key[16];
    int i;

    (void)state;
    tk_ledger_init(&ledger);
    put(&ledger, "old", "kept");
    for (i = 0; i < 250000; i++) {
        (void)snprintf(key, sizeof(key), "%d", i % 10);
        put(&ledger, key, "value");
    }
    assert_true(ledger.log_count <= 100000);
    assert_true(ledger.log_room <= 262144);
    assert_true(ledger.compacted > 0);
    expect_then(&ledger, "old", ledger.revision, "kept");
    tk_ledger_fini(&ledger);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(ledger__numbers_changes),
        harness_test(ledger__gives_a_transaction_one_revision),
        harness_test(ledger__forgets_what_is_compacted),
        harness_test(ledger__stays_small),
    };
    return harness_run(tests);
}
