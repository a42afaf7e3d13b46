/* SPDX-License-Identifier: Apache-2.0 */
/* Options of a transaction as they are read: defaults, and what is refused. */
#include "unit/txn/place.h"

#include "txn/txn.h"

static void
read_all(struct world *w)
{
    const struct tk_config *config = &w->config;
    tikv_txn_options wanted = TIKV_TXN_OPTIONS_INIT;
    tikv_txn_options options;

    world_ok(tk_txn_read_options(config, NULL, &options));
    assert_int_equal(options.commit_after_ms, 1000);
    assert_int_equal(options.attempts_count, 20);
    assert_int_equal(options.max_bytes, 100 << 20);
    assert_int_equal(options.max_entry_bytes, 6 << 20);
    wanted.commit_after_ms = 2000;
    world_ok(tk_txn_read_options(config, &wanted, &options));
    assert_int_equal(options.commit_after_ms, 2000);
    wanted.commit_after_ms = -1;
    world_ok(tk_txn_read_options(config, &wanted, &options));
    assert_int_equal(options.commit_after_ms, -1);
    wanted.reserved = 1;
    world_code(tk_txn_read_options(config, &wanted, &options),
               TIKV_ERR_ARGUMENT);
    wanted.reserved = 0;
    wanted.disk_full = TIKV_DISK_FULL_ALREADY + 1;
    world_code(tk_txn_read_options(config, &wanted, &options),
               TIKV_ERR_ARGUMENT);
    world_shut(w);
}

static void
options__default_and_keep_the_time_to_wait(void **state)
{
    static const struct world_plan plan = {
        .cluster = { .stores_count = 1, .pds_count = 1, .regions_count = 1 },
    };

    (void)state;
    world_sim(1, &plan, read_all);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(options__default_and_keep_the_time_to_wait),
    };

    return harness_run(tests);
}
