/* SPDX-License-Identifier: Apache-2.0 */
/* The log: its level, one line each, and keys that cannot be read. */
#include "harness/harness.h"

#include "base/log.h"
#include "base/slice.h"

static char last[2048];
static int count;

static void
keep(int32_t level, const char *room, const char *text, void *arg)
{
    assert_ptr_equal(arg, &count);
    snprintf(last, sizeof(last), "%d %s %s", (int)level, room, text);
    count++;
}

static void
log__passes_what_its_level_admits(void **state)
{
    struct tk_log log = { .level = TIKV_LOG_WARN, .fn = keep, .arg = &count };

    (void)state;
    count = 0;
    tk_log(&log, TIKV_LOG_INFO, "rpc", "not %s", "seen");
    assert_int_equal(count, 0);
    tk_log(&log, TIKV_LOG_WARN, "rpc", "seen\n%d", 5);
    assert_int_equal(count, 1);
    assert_string_equal(last, "2 rpc seen 5");
    tk_log(&log, TIKV_LOG_ERROR, "rpc", "%02000d", 7);
    assert_int_equal(count, 2);
    tk_log(NULL, TIKV_LOG_ERROR, "rpc", "nobody");
    atomic_store(&log.level, 0);
    tk_log(&log, TIKV_LOG_ERROR, "rpc", "off");
    assert_int_equal(count, 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(log__passes_what_its_level_admits),
    };

    return harness_run(tests);
}
