/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is read from certificates and keys, and that no text, however broken,
 * is read past its end.
 */
#include "base/alloc.h"
#include "harness/harness.h"
#include "rpc/pem.h"
#include "unit/rpc/certs.h"

static void
is_error(tikv_error *error, const char *part)
{
    assert_non_null(error);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_SECURITY);
    if (strstr(tikv_error_message(error), part) == NULL) {
        fail_msg("%s", tikv_error_message(error));
    }
    tikv_error_free(error);
}

static void
cert__tells_its_name_and_dates(void **state)
{
    struct tk_cert_facts facts;
    char date[16];

    (void)state;
    assert_null(tk_pem_cert("x", certs_node_b_old, &facts));
    assert_string_equal(facts.common_name, "store-b");
    assert_int_equal(facts.not_before, INT64_C(1577836800));
    assert_int_equal(facts.not_after, INT64_C(1609459200));
    /* Years past 2049 are told in another way. */
    assert_null(tk_pem_cert("x", certs_rsa, &facts));
    assert_string_equal(facts.common_name, "store-rsa");
    assert_int_equal(facts.not_after, INT64_C(4733510400));
    tk_pem_date(facts.not_after, date, sizeof(date));
    assert_string_equal(date, "2120-01-01");
    tk_pem_date(INT64_C(951782399), date, sizeof(date));
    assert_string_equal(date, "2000-02-28");
    tk_pem_date(INT64_C(951782400), date, sizeof(date));
    assert_string_equal(date, "2000-02-29");
    tk_pem_date(0, date, sizeof(date));
    assert_string_equal(date, "1970-01-01");
}

static void
bundle__ends_with_its_last(void **state)
{
    static char both[sizeof(certs_node_b_old) + sizeof(certs_authority) + 8];
    int64_t end;

    (void)state;
    snprintf(both, sizeof(both), "# a\n%s\n# b\n%s", certs_node_b_old,
             certs_authority);
    assert_null(tk_pem_bundle("x", both, &end));
    assert_int_equal(end, INT64_C(4733510400));
    assert_null(tk_pem_bundle("x", certs_node_b_old, &end));
    assert_int_equal(end, INT64_C(1609459200));
    both[sizeof(certs_node_b_old) + 200] = '!';
    is_error(tk_pem_bundle("x", both, &end), "broken");
    is_error(tk_pem_bundle("x", "", &end), "no PEM block");
}

static void
pair__knows_each_spelling_of_a_key(void **state)
{
    static const char encrypted[] =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n"
        "-----END ENCRYPTED PRIVATE KEY-----\n";

    (void)state;
    assert_null(tk_pem_pair("c", certs_node, "k", certs_node_key));
    assert_null(tk_pem_pair("c", certs_node_b, "k", certs_node_b_key));
    assert_null(tk_pem_pair("c", certs_node_b, "k", certs_node_b_key_sec1));
    assert_null(tk_pem_pair("c", certs_rsa, "k", certs_rsa_key));
    assert_null(tk_pem_pair("c", certs_rsa, "k", certs_rsa_key_pkcs1));
    is_error(tk_pem_pair("c", certs_node, "k", certs_node_b_key),
             "k: the key does not belong to the certificate of c");
    is_error(tk_pem_pair("c", certs_rsa, "k", certs_node_b_key_sec1),
             "does not belong");
    is_error(tk_pem_pair("c", certs_rsa, "k", certs_rsa), "no PEM block");
    is_error(tk_pem_pair("c", certs_rsa_key, "k", certs_rsa_key),
             "no PEM block");
    is_error(tk_pem_pair("c", certs_rsa, "k", encrypted), "encrypted");
}

/* Each text is in memory of exactly its size: a sanitizer sees a step past
 * the end. */
static void
try(const char *text, size_t len)
{
    struct tk_cert_facts facts;
    char *copy = (char *)tk_alloc(len + 1);
    int64_t end;

    assert_non_null(copy);
    memcpy(copy, text, len);
    copy[len] = '\0';
    tikv_error_free(tk_pem_cert("x", copy, &facts));
    tikv_error_free(tk_pem_bundle("x", copy, &end));
    tikv_error_free(tk_pem_pair("c", copy, "k", certs_node_key));
    tikv_error_free(tk_pem_pair("c", certs_node, "k", copy));
    tk_free(copy);
}

static void
pem__survives_broken_texts(void **state)
{
    static const char *const texts[] = { certs_node, certs_node_key,
                                         certs_node_b_key_sec1 };
    static const char letters[] = "A/9g-:=\n";
    char work[2048];
    size_t i;
    size_t at;
    size_t letter;

    (void)state;
    for (i = 0; i < 3; i++) {
        size_t len = strlen(texts[i]);

        for (at = 0; at < len; at++) {
            try(texts[i], at);
            memcpy(work, texts[i], len + 1);
            for (letter = 0; letters[letter] != '\0'; letter++) {
                work[at] = letters[letter];
                try(work, len);
            }
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(cert__tells_its_name_and_dates),
        harness_test(bundle__ends_with_its_last),
        harness_test(pair__knows_each_spelling_of_a_key),
        harness_test(pem__survives_broken_texts),
    };

    return harness_run(tests);
}
