/* SPDX-License-Identifier: Apache-2.0 */
/* Settings by name: the table, bounds, connection strings, combinations. */
#include "harness/harness.h"

#include "base/alloc.h"
#include "base/config.h"
#include "base/error.h"

static void
ends_with(tikv_error *error, tikv_code code, const char *part)
{
    assert_int_equal(tikv_error_code(error), code);
    if (part != NULL && strstr(tikv_error_message(error), part) == NULL) {
        fail_msg("\"%s\" lacks \"%s\"", tikv_error_message(error), part);
    }
    tikv_error_free(error);
}

static void
config__begins_with_the_defaults_of_its_table(void **state)
{
    tikv_config *config;
    const char *name;
    const char *initial;
    const char *text;
    size_t i;

    (void)state;
    assert_null(tikv_config_new(&config));
    for (i = 0; tikv_config_describe(i, &name, &initial, &text); i++) {
        assert_string_equal(tikv_config_get(config, name), initial);
        assert_true(*text != '\0');
        assert_null(tikv_config_set(config, name, initial));
    }
    assert_true(i > 40);
    assert_false(tikv_config_describe(i, NULL, NULL, NULL));
    assert_null(tikv_config_get(config, "no.such"));
    tikv_config_free(config);
    tikv_config_free(NULL);
}

static void
config__lends_texts_until_the_next_change(void **state)
{
    tikv_config *config;
    const char *one;
    const char *two;

    (void)state;
    assert_null(tikv_config_new(&config));
    one = tikv_config_get(config, "call.timeout_ms");
    two = tikv_config_get(config, "backoff.weight");
    assert_string_equal(one, "20000");
    assert_string_equal(two, "2");
    tikv_config_free(config);
}

/* T0002: an empty scope is the global one. */
static void
config__reads_an_empty_scope_as_global(void **state)
{
    tikv_config *config;

    (void)state;
    assert_null(tikv_config_new(&config));
    assert_string_equal(tikv_config_get(config, "txn.scope"), "global");
    assert_null(tikv_config_set(config, "txn.scope", "bj"));
    assert_string_equal(tikv_config_get(config, "txn.scope"), "bj");
    assert_null(tikv_config_set(config, "txn.scope", ""));
    assert_string_equal(tikv_config_get(config, "txn.scope"), "global");
    assert_null(tikv_config_set(config, "txn.scope", "global"));
    assert_string_equal(tikv_config_get(config, "txn.scope"), "global");
    tikv_config_free(config);
}

/* T0003: the default is 3 s, 50 ms the least, and the refusal names both the
 * least and the value. */
static void
config__bounds_the_keepalive_timeout(void **state)
{
    const char *name = "rpc.keepalive_timeout_ms";
    tikv_config *config;
    tikv_error *error;

    (void)state;
    assert_null(tikv_config_new(&config));
    assert_string_equal(tikv_config_get(config, name), "3000");
    assert_null(tikv_config_set(config, name, "50"));
    error = tikv_config_set(config, name, "40");
    assert_non_null(strstr(tikv_error_message(error), "50"));
    assert_non_null(strstr(tikv_error_message(error), name));
    ends_with(error, TIKV_ERR_ARGUMENT, "\"40\"");
    assert_string_equal(tikv_config_get(config, name), "50");
    tikv_config_free(config);
}

static void
config__refuses_what_is_not_a_value(void **state)
{
    static const char *const numbers[] = {
        "", " 5", "5 ", "0x10", "1e3", "+5", "five", "99999999999999999999"
    };
    tikv_config *config;
    size_t i;

    (void)state;
    assert_null(tikv_config_new(&config));
    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        ends_with(tikv_config_set(config, "call.timeout_ms", numbers[i]),
                  TIKV_ERR_ARGUMENT, "call.timeout_ms");
    }
    ends_with(tikv_config_set(config, "call.timeout_ms", NULL),
              TIKV_ERR_ARGUMENT, NULL);
    ends_with(tikv_config_set(config, "raw.atomic", "yes"), TIKV_ERR_ARGUMENT,
              "\"yes\"");
    ends_with(tikv_config_set(config, "log.level", "loud"), TIKV_ERR_ARGUMENT,
              "debug");
    ends_with(tikv_config_set(config, "no.such", "1"), TIKV_ERR_ARGUMENT,
              "no.such");
    ends_with(tikv_config_set(config, NULL, "1"), TIKV_ERR_ARGUMENT, NULL);
    assert_string_equal(tikv_config_get(config, "call.timeout_ms"), "20000");
    tikv_config_free(config);
}

static void
config__reads_switches_and_levels(void **state)
{
    static const char *const words[] = {
        "false", "true", "off", "on", "0", "1"
    };
    tikv_config *config;
    size_t i;

    (void)state;
    assert_null(tikv_config_new(&config));
    for (i = 0; i < 6; i++) {
        assert_null(tikv_config_set(config, "raw.atomic", words[i]));
        assert_string_equal(tikv_config_get(config, "raw.atomic"),
                            i % 2 == 1 ? "true" : "false");
    }
    assert_null(tikv_config_set(config, "log.level", "debug"));
    assert_int_equal(tk_config_int(&tk_config_of(config)->log_level),
                     TIKV_LOG_DEBUG);
    assert_int_equal(tk_config_ns(&tk_config_of(config)->pd_timeout_ms),
                     INT64_C(3000000000));
    tikv_config_free(config);
}

static void
config__refuses_bad_endpoints(void **state)
{
    static const char *const good[] = { "h:1", "10.0.0.1:2379,h-2.x:65535",
                                        "[::1]:2379", "" };
    static const char *const bad[] = { "h",          "h:",       ":1",
                                       "h:0",        "h:65536",  "h:1,",
                                       ",h:1",       "h:1,,i:2", "h:1 ,i:2",
                                       "http://h:1", "h:1/p",    "::1:5",
                                       "[x]:1",      "[::1:1" };
    tikv_config *config;
    size_t i;

    (void)state;
    assert_null(tikv_config_new(&config));
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ends_with(tikv_config_set(config, "pd.endpoints", bad[i]),
                  TIKV_ERR_ARGUMENT, "pd.endpoints");
    }
    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_null(tikv_config_set(config, "pd.endpoints", good[i]));
        assert_string_equal(tikv_config_get(config, "pd.endpoints"), good[i]);
    }
    tikv_config_free(config);
}

static void
parse__takes_a_connection_string(void **state)
{
    tikv_config *config;

    (void)state;
    assert_null(tikv_config_new(&config));
    assert_null(tikv_config_parse(
        config, "tikv://a:1,b:2?cluster=9&disableGC=true&raw.atomic=on"
                "&security.ca_file=%2Fetc%2fca%20x.pem&keyspaceName="));
    assert_string_equal(tikv_config_get(config, "pd.endpoints"), "a:1,b:2");
    assert_string_equal(tikv_config_get(config, "raw.atomic"), "true");
    assert_string_equal(tikv_config_get(config, "security.ca_file"),
                        "/etc/ca x.pem");
    assert_null(tikv_config_parse(config, "tikv://c:3/"));
    assert_string_equal(tikv_config_get(config, "pd.endpoints"), "c:3");
    assert_string_equal(tikv_config_get(config, "raw.atomic"), "true");
    assert_null(tikv_config_parse(config, "d:4,e:5"));
    assert_string_equal(tikv_config_get(config, "pd.endpoints"), "d:4,e:5");
    tikv_config_free(config);
}

static void
parse__changes_nothing_on_error(void **state)
{
    static const struct {
        const char *text;
        tikv_code code;
    } rows[] = { { "mysql://a:1", TIKV_ERR_ARGUMENT },
                 { "tikv://", TIKV_ERR_ARGUMENT },
                 { "tikv://?raw.atomic=on", TIKV_ERR_ARGUMENT },
                 { "tikv://a", TIKV_ERR_ARGUMENT },
                 { "tikv://a:1/path", TIKV_ERR_ARGUMENT },
                 { "tikv://a:1?disableGC=1", TIKV_ERR_ARGUMENT },
                 { "tikv://a:1?raw.atomic=on&no.such=1", TIKV_ERR_ARGUMENT },
                 { "tikv://a:1?raw.atomic", TIKV_ERR_ARGUMENT },
                 { "tikv://a:1?txn.scope=%zz", TIKV_ERR_ARGUMENT },
                 { "tikv://a:1?txn.scope=a%00b", TIKV_ERR_ARGUMENT },
                 { "tikv://a:1?txn.scope=%4", TIKV_ERR_ARGUMENT },
                 { "tikv://a:1?keyspaceName=k", TIKV_ERR_UNSUPPORTED },
                 { "", TIKV_ERR_ARGUMENT },
                 { "a", TIKV_ERR_ARGUMENT } };
    tikv_config *config;
    size_t i;

    (void)state;
    assert_null(tikv_config_new(&config));
    assert_null(tikv_config_set(config, "pd.endpoints", "z:9"));
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ends_with(tikv_config_parse(config, rows[i].text), rows[i].code, NULL);
        assert_string_equal(tikv_config_get(config, "pd.endpoints"), "z:9");
        assert_string_equal(tikv_config_get(config, "raw.atomic"), "false");
    }
    ends_with(tikv_config_parse(config, NULL), TIKV_ERR_ARGUMENT, NULL);
    tikv_config_free(config);
}

static void
copy__refuses_a_certificate_without_its_key(void **state)
{
    struct tk_config copy;
    tikv_config *config;

    (void)state;
    assert_null(tikv_config_new(&config));
    assert_null(tikv_config_set(config, "security.cert_file", "/c"));
    ends_with(tk_config_copy(tk_config_of(config), &copy), TIKV_ERR_ARGUMENT,
              "security.key_file");
    assert_null(tikv_config_set(config, "security.key_file", "/k"));
    ends_with(tk_config_copy(tk_config_of(config), &copy), TIKV_ERR_ARGUMENT,
              "security.ca_file");
    assert_null(tikv_config_set(config, "security.ca_file", "/a"));
    assert_null(tk_config_copy(tk_config_of(config), &copy));
    tikv_config_free(config);
    assert_string_equal(copy.security_key_file, "/k");
    tk_config_fini(&copy);
}

static void
copy__refuses_a_file_beside_its_text(void **state)
{
    static const char *const names[] = { "security.ca", "security.cert",
                                         "security.key" };
    struct tk_config copy;
    char name[2][40];
    size_t i;

    (void)state;
    for (i = 0; i < 3; i++) {
        tikv_config *config;

        assert_null(tikv_config_new(&config));
        snprintf(name[0], sizeof(name[0]), "%s_file", names[i]);
        snprintf(name[1], sizeof(name[1]), "%s_pem", names[i]);
        assert_null(tikv_config_set(config, name[0], "/x"));
        assert_null(tikv_config_set(config, name[1], "x"));
        ends_with(tk_config_copy(tk_config_of(config), &copy),
                  TIKV_ERR_ARGUMENT, name[1]);
        tikv_config_free(config);
    }
}

/* Names would be checked by nobody. */
static void
copy__refuses_names_without_tls(void **state)
{
    struct tk_config copy;
    tikv_config *config;

    (void)state;
    assert_null(tikv_config_new(&config));
    assert_null(tikv_config_set(config, "security.verify_cn", "store"));
    ends_with(tk_config_copy(tk_config_of(config), &copy), TIKV_ERR_ARGUMENT,
              "security.verify_cn");
    assert_null(tikv_config_set(config, "security.ca_pem", "x"));
    assert_null(tk_config_copy(tk_config_of(config), &copy));
    tikv_config_free(config);
    assert_string_equal(copy.security_verify_cn, "store");
    tk_config_fini(&copy);
}

static void
config__reads_a_compression(void **state)
{
    tikv_config *config;

    (void)state;
    assert_null(tikv_config_new(&config));
    assert_null(tikv_config_set(config, "rpc.compression", "gzip"));
    assert_string_equal(tikv_config_get(config, "rpc.compression"), "gzip");
    ends_with(tikv_config_set(config, "rpc.compression", "brotli"),
              TIKV_ERR_ARGUMENT, "none, gzip");
    assert_string_equal(tikv_config_get(config, "rpc.compression"), "gzip");
    tikv_config_free(config);
}

static void
set_hot__changes_only_hot_settings(void **state)
{
    struct tk_config copy;
    tikv_config *config;

    (void)state;
    assert_null(tikv_config_new(&config));
    assert_null(tk_config_copy(tk_config_of(config), &copy));
    tikv_config_free(config);
    assert_null(tk_config_set_hot(&copy, "call.timeout_ms", "7"));
    assert_int_equal(tk_config_int(&copy.call_timeout_ms), 7);
    ends_with(tk_config_set_hot(&copy, "pool.threads_count", "7"),
              TIKV_ERR_STATE, "pool.threads_count");
    assert_int_equal(tk_config_int(&copy.pool_threads_count), 8);
    ends_with(tk_config_set_hot(&copy, "call.timeout_ms", "0"),
              TIKV_ERR_ARGUMENT, "\"0\"");
    tk_config_fini(&copy);
}

#ifdef TK_DEBUG
static void
parse__survives_every_failed_allocation(void **state)
{
    tikv_config *config;
    uint64_t nth = 0;
    tikv_error *error;

    (void)state;
    assert_null(tikv_config_new(&config));
    do {
        tk_alloc_fail_nth(++nth);
        error = tikv_config_parse(config, "tikv://a:1?txn.scope=bj");
        tk_alloc_fail_nth(0);
        if (error != NULL) {
            assert_string_equal(tikv_config_get(config, "pd.endpoints"), "");
            ends_with(error, TIKV_ERR_MEMORY, NULL);
            error = NULL;
            continue;
        }
        break;
    } while (nth < 1000);
    assert_true(nth > 10);
    assert_string_equal(tikv_config_get(config, "txn.scope"), "bj");
    tikv_config_free(config);
}
#endif

static void
config__names_the_words_of_a_policy(void **state)
{
    static const char *const words[] = { "flow", "basic", "standard",
                                         "positive", "chance" };
    tikv_config *config;
    size_t i;

    (void)state;
    assert_null(tikv_config_new(&config));
    for (i = 0; i < 5; i++) {
        assert_null(tikv_config_set(config, "rpc.batch_policy", words[i]));
        assert_string_equal(tikv_config_get(config, "rpc.batch_policy"),
                            words[i]);
        assert_int_equal(
            tk_config_int(&tk_config_of(config)->rpc_batch_policy), i);
    }
    ends_with(tikv_config_set(config, "rpc.batch_policy", ""),
              TIKV_ERR_ARGUMENT, "flow, basic, standard, positive, chance");
    ends_with(tikv_config_set(config, "rpc.batch_policy", "custom{}"),
              TIKV_ERR_ARGUMENT, "custom{}");
    assert_string_equal(tikv_config_get(config, "rpc.batch_policy"), "chance");
    tikv_config_free(config);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(config__begins_with_the_defaults_of_its_table),
        harness_test(config__lends_texts_until_the_next_change),
        harness_test(config__reads_an_empty_scope_as_global),
        harness_test(config__bounds_the_keepalive_timeout),
        harness_test(config__refuses_what_is_not_a_value),
        harness_test(config__reads_switches_and_levels),
        harness_test(config__refuses_bad_endpoints),
        harness_test(parse__takes_a_connection_string),
        harness_test(parse__changes_nothing_on_error),
        harness_test(copy__refuses_a_certificate_without_its_key),
        harness_test(copy__refuses_a_file_beside_its_text),
        harness_test(copy__refuses_names_without_tls),
        harness_test(config__reads_a_compression),
        harness_test(set_hot__changes_only_hot_settings),
#ifdef TK_DEBUG
        harness_test(parse__survives_every_failed_allocation),
        harness_test(config__names_the_words_of_a_policy),
#endif
    };

    return harness_run(tests);
}
