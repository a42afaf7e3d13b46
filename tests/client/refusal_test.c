/* SPDX-License-Identifier: Apache-2.0 */
/* What makes no sense is refused with a sentence that names it, also where
 * there is no object yet to refuse it. */
#include "harness/harness.h"

#include <tikv/tikv.h>

static void
expect(tikv_error *error, tikv_code code, const char *word)
{
    assert_int_equal(tikv_error_code(error), code);
    assert_non_null(strstr(tikv_error_message(error), word));
    tikv_error_free(error);
}

static void
makers__refuse_to_have_nowhere_to_put_it(void **state)
{
    (void)state;
    expect(tikv_config_new(NULL), TIKV_ERR_ARGUMENT, "out");
    expect(tikv_queue_new(NULL), TIKV_ERR_ARGUMENT, "out");
    expect(tikv_cancel_new(NULL), TIKV_ERR_ARGUMENT, "out");
    expect(tikv_client_open(NULL, NULL), TIKV_ERR_ARGUMENT, "out");
}

static void
enders__take_null(void **state)
{
    (void)state;
    tikv_config_free(NULL);
    tikv_queue_free(NULL);
    tikv_cancel_free(NULL);
    tikv_client_close(NULL);
    tikv_future_free(NULL);
    tikv_value_free(NULL);
    tikv_pairs_free(NULL);
    tikv_regions_free(NULL);
    tikv_stores_free(NULL);
    tikv_error_free(NULL);
}

static void
readers__of_null_read_nothing(void **state)
{
    tikv_range rest;
    const char *kind;
    uint64_t ms;

    (void)state;
    assert_null(tikv_value_slice(NULL).data);
    assert_int_equal(tikv_pairs_count(NULL), 0);
    assert_null(tikv_pairs_data(NULL));
    assert_false(tikv_pairs_next(NULL, &rest));
    assert_int_equal(tikv_pairs_group_end(NULL, 0), 0);
    assert_int_equal(tikv_regions_count(NULL), 0);
    assert_int_equal(tikv_stores_count(NULL), 0);
    assert_null(tikv_config_get(NULL, "pd.endpoints"));
    assert_false(tikv_error_backoff(NULL, 0, &kind, &ms));
    assert_int_equal(tikv_error_outcomes_count(NULL), 0);
    assert_false(tikv_cancel_raised(NULL));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(makers__refuse_to_have_nowhere_to_put_it),
        harness_test(enders__take_null),
        harness_test(readers__of_null_read_nothing),
    };

    return harness_run(tests);
}
