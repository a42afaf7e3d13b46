/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of settings in <tikv/config.h> is what the library does: the same
 * names in the same order, the same defaults, bounds that hold at both ends,
 * and hot settings exactly where the manual has its star.
 */
#include "harness/harness.h"

#include <ctype.h>
#include <limits.h>

#include <tikv/error.h>

#include "base/config.h"

struct row {
    char name[64];
    char initial[64];
    bool is_hot;
    bool has_bounds;
    long long low;
    long long high;
};

static struct row rows[256];
static size_t rows_count;

static const char *
header_path(void)
{
    const char *root = getenv("TK_ROOT");
    static char path[4096];

    snprintf(path, sizeof(path), "%s/include/tikv/config.h", root ? root : ".");
    return path;
}

/* ` * name  * default  bounds`, the star being optional. */
static bool
read_row(const char *line, struct row *row)
{
    int used = 0;

    memset(row, 0, sizeof(*row));
    if (sscanf(line, " * %63[a-z0-9_.]%n", row->name, &used) != 1 ||
        !strchr(row->name, '.') || !isspace((unsigned char)line[used])) {
        return false;
    }
    line += used;
    while (*line == ' ') {
        line++;
    }
    if (line[0] == '*' && line[1] == ' ') {
        row->is_hot = true;
        line++;
    }
    if (sscanf(line, " %63s%n", row->initial, &used) != 1) {
        return false;
    }
    row->has_bounds =
        sscanf(line + used, " %lld .. %lld", &row->low, &row->high) == 2;
    return true;
}

static int
read_manual(void **state)
{
    char line[256];
    bool in_table = false;
    FILE *in = fopen(header_path(), "r");

    (void)state;
    if (!in) {
        return -1;
    }
    while (fgets(line, sizeof(line), in) && rows_count < 256) {
        if (!in_table) {
            in_table = strstr(line, " * name ") != NULL;
        } else if (!read_row(line, &rows[rows_count])) {
            break;
        } else {
            rows_count++;
        }
    }
    fclose(in);
    return 0;
}

static void
manual__names_every_setting_in_order_with_its_default(void **state)
{
    const char *name = NULL;
    const char *initial = NULL;
    const char *text = NULL;

    (void)state;
    assert_true(rows_count > 10);
    for (size_t i = 0; i < rows_count; i++) {
        assert_true(tikv_config_describe(i, &name, &initial, &text));
        assert_string_equal(name, rows[i].name);
        if (strcmp(rows[i].initial, "-") == 0) {
            assert_true(!initial || !*initial);
        } else {
            assert_non_null(initial);
            assert_string_equal(initial, rows[i].initial);
        }
        assert_non_null(text);
        assert_true(strlen(text) > 0);
    }
    assert_false(tikv_config_describe(rows_count, &name, &initial, &text));
}

static bool
takes(tikv_config *config, const char *name, long long value)
{
    char text[32];

    snprintf(text, sizeof(text), "%lld", value);
    tikv_error *error = tikv_config_set(config, name, text);
    tikv_error_free(error);
    return error == NULL;
}

static void
manual__tells_the_bounds_that_hold(void **state)
{
    tikv_config *config = NULL;
    size_t checked = 0;

    (void)state;
    assert_null(tikv_config_new(&config));
    for (size_t i = 0; i < rows_count; i++) {
        const struct row *row = &rows[i];
        if (!row->has_bounds) {
            continue;
        }
        if (!takes(config, row->name, row->low) ||
            !takes(config, row->name, row->high)) {
            fail_msg("%s refuses a bound of the manual", row->name);
        }
        if ((row->low != LLONG_MIN && takes(config, row->name, row->low - 1)) ||
            (row->high != LLONG_MAX &&
             takes(config, row->name, row->high + 1))) {
            fail_msg("%s takes what lies beyond the manual's bounds",
                     row->name);
        }
        checked++;
    }
    assert_true(checked > 5);
    tikv_config_free(config);
}

static void
manual__has_a_star_where_a_living_client_can_change_it(void **state)
{
    tikv_config *config = NULL;
    struct tk_config copy;

    (void)state;
    assert_null(tikv_config_new(&config));
    assert_null(tikv_config_set(config, "pd.endpoints", "127.0.0.1:2379"));
    assert_null(tk_config_copy(tk_config_of(config), &copy));
    for (size_t i = 0; i < rows_count; i++) {
        const char *value = tikv_config_get(config, rows[i].name);
        tikv_error *error =
            tk_config_set_hot(&copy, rows[i].name, value ? value : "");
        bool is_hot = error == NULL;
        tikv_error_free(error);
        if (is_hot != rows[i].is_hot) {
            fail_msg("%s: the manual says %s", rows[i].name,
                     rows[i].is_hot ? "hot" : "fixed");
        }
    }
    tk_config_fini(&copy);
    tikv_config_free(config);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(manual__names_every_setting_in_order_with_its_default),
        cmocka_unit_test(manual__tells_the_bounds_that_hold),
        cmocka_unit_test(
            manual__has_a_star_where_a_living_client_can_change_it),
    };
    return cmocka_run_group_tests_name(__FILE__, tests, read_manual, NULL);
}
