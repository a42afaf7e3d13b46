/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PEM blocks, and the little DER that is looked at: every read is bounded by
 * the element it lies in, and what cannot be read is an error, never a guess.
 */
#include "rpc/pem.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"

#define DER_MAX (1 << 16)
#define DAY INT64_C(86400)

enum {
    DER_INTEGER = 0x02,
    DER_BITS = 0x03,
    DER_OCTETS = 0x04,
    DER_OID = 0x06,
    DER_UTC_TIME = 0x17,
    DER_TIME = 0x18,
    DER_SEQUENCE = 0x30,
    DER_SET = 0x31,
    DER_CONTEXT_0 = 0xa0,
    DER_CONTEXT_1 = 0xa1
};

enum key_kind { KEY_OTHER, KEY_RSA, KEY_EC };

/* The part that a certificate and its key have in common: the modulus or the
 * point; empty where it is not known. */
struct public_key {
    enum key_kind kind;
    tikv_slice value;
};

/* ---- DER ---- */

/* Takes the first element off `in`; false: it is not of this tag. */
static bool
der_take(tikv_slice *in, uint8_t tag, tikv_slice *out)
{
    size_t head = 2;
    size_t len;
    size_t i;

    if (in->len < 2 || in->data[0] != tag) {
        return false;
    }
    len = in->data[1];
    if (len >= 0x80) {
        size_t width = len & 0x7f;

        if (width == 0 || width > 3 || in->len < 2 + width) {
            return false;
        }
        for (len = 0, i = 0; i < width; i++) {
            len = len << 8 | in->data[2 + i];
        }
        head += width;
    }
    if (len > in->len - head) {
        return false;
    }
    *out = (tikv_slice){ in->data + head, len };
    in->data += head + len;
    in->len -= head + len;
    return true;
}

static bool
is_oid(tikv_slice oid, const uint8_t *bytes, size_t len)
{
    return oid.len == len && memcmp(oid.data, bytes, len) == 0;
}

/* AlgorithmIdentifier. */
static bool
read_kind(tikv_slice *in, enum key_kind *out)
{
    static const uint8_t rsa[] = { 0x2a, 0x86, 0x48, 0x86, 0xf7,
                                   0x0d, 0x01, 0x01, 0x01 };
    static const uint8_t ec[] = { 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01 };
    tikv_slice algorithm;
    tikv_slice oid;

    if (!der_take(in, DER_SEQUENCE, &algorithm) ||
        !der_take(&algorithm, DER_OID, &oid)) {
        return false;
    }
    *out = is_oid(oid, rsa, sizeof(rsa)) ? KEY_RSA
           : is_oid(oid, ec, sizeof(ec)) ? KEY_EC
                                         : KEY_OTHER;
    return true;
}

static int
two_digits(const uint8_t *at)
{
    if (at[0] < '0' || at[0] > '9' || at[1] < '0' || at[1] > '9') {
        return -1;
    }
    return (at[0] - '0') * 10 + at[1] - '0';
}

/* Days since 1970 of a date of the Gregorian calendar; years count from
 * March, so that the leap day is the last. */
static int64_t
days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t years = month > 2 ? year : year - 1;
    int64_t months = month > 2 ? month - 3 : month + 9;

    return years * 365 + years / 4 - years / 100 + years / 400 +
           (months * 153 + 2) / 5 + day - 1 - 719468;
}

/* Both kinds of time are told in UTC, with seconds. */
static bool
read_time(tikv_slice *in, int64_t *out)
{
    int part[6]; /* year in its century, month, day, hour, minute, second */
    tikv_slice text;
    int century = -1;
    size_t i;

    if (der_take(in, DER_TIME, &text)) {
        if (text.len != 15) {
            return false;
        }
        century = two_digits(text.data);
        text.data += 2;
        text.len -= 2;
    } else if (!der_take(in, DER_UTC_TIME, &text) || text.len != 13) {
        return false;
    }
    for (i = 0; i < 6; i++) {
        part[i] = two_digits(text.data + 2 * i);
        if (part[i] < 0) {
            return false;
        }
    }
    if (century < 0) {
        century = part[0] < 50 ? 20 : 19;
    }
    if (part[1] < 1 || part[1] > 12) {
        return false;
    }
    *out = days_of(century * 100 + part[0], part[1], part[2]) * DAY +
           part[3] * 3600 + part[4] * 60 + part[5];
    return true;
}

/* The last common name counts: names go from the general to the special. */
static bool
read_name(tikv_slice *in, char *out, size_t size)
{
    static const uint8_t common[] = { 0x55, 0x04, 0x03 };
    tikv_slice name;
    tikv_slice set;
    tikv_slice pair;
    tikv_slice oid;

    out[0] = '\0';
    if (!der_take(in, DER_SEQUENCE, &name)) {
        return false;
    }
    while (der_take(&name, DER_SET, &set)) {
        while (der_take(&set, DER_SEQUENCE, &pair)) {
            if (!der_take(&pair, DER_OID, &oid) || pair.len < 2) {
                return false;
            }
            if (is_oid(oid, common, sizeof(common))) {
                tikv_slice text;

                if (!der_take(&pair, pair.data[0], &text) ||
                    text.len >= size) {
                    return false;
                }
                memcpy(out, text.data, text.len);
                out[text.len] = '\0';
            }
        }
    }
    return true;
}

/* SubjectPublicKeyInfo. */
static bool
read_public(tikv_slice *in, struct public_key *out)
{
    tikv_slice info;
    tikv_slice bits;
    tikv_slice rsa;

    *out = (struct public_key){ .kind = KEY_OTHER };
    if (!der_take(in, DER_SEQUENCE, &info) || !read_kind(&info, &out->kind) ||
        !der_take(&info, DER_BITS, &bits) || bits.len < 1) {
        return false;
    }
    bits.data++; /* bits unused in the last byte */
    bits.len--;
    if (out->kind == KEY_RSA) {
        return der_take(&bits, DER_SEQUENCE, &rsa) &&
               der_take(&rsa, DER_INTEGER, &out->value);
    }
    out->value = bits;
    return true;
}

static bool
read_cert(tikv_slice in, struct tk_cert_facts *facts, struct public_key *key)
{
    tikv_slice cert;
    tikv_slice body;
    tikv_slice part;

    if (!der_take(&in, DER_SEQUENCE, &cert) ||
        !der_take(&cert, DER_SEQUENCE, &body)) {
        return false;
    }
    (void)der_take(&body, DER_CONTEXT_0, &part);   /* version */
    if (!der_take(&body, DER_INTEGER, &part) ||    /* serial number */
        !der_take(&body, DER_SEQUENCE, &part) ||   /* signature's kind */
        !der_take(&body, DER_SEQUENCE, &part) ||   /* issuer */
        !der_take(&body, DER_SEQUENCE, &part)) {   /* dates */
        return false;
    }
    return read_time(&part, &facts->not_before) &&
           read_time(&part, &facts->not_after) &&
           read_name(&body, facts->common_name, sizeof(facts->common_name)) &&
           read_public(&body, key);
}

static bool
read_rsa_key(tikv_slice in, struct public_key *out)
{
    tikv_slice key;
    tikv_slice version;

    out->kind = KEY_RSA;
    return der_take(&in, DER_SEQUENCE, &key) &&
           der_take(&key, DER_INTEGER, &version) &&
           der_take(&key, DER_INTEGER, &out->value);
}

/* The point may be left out. */
static bool
read_ec_key(tikv_slice in, struct public_key *out)
{
    tikv_slice key;
    tikv_slice part;

    out->kind = KEY_EC;
    if (!der_take(&in, DER_SEQUENCE, &key) ||
        !der_take(&key, DER_INTEGER, &part) ||
        !der_take(&key, DER_OCTETS, &part)) {
        return false;
    }
    (void)der_take(&key, DER_CONTEXT_0, &part); /* the curve */
    if (der_take(&key, DER_CONTEXT_1, &part)) {
        if (!der_take(&part, DER_BITS, &out->value) || out->value.len < 1) {
            return false;
        }
        out->value.data++;
        out->value.len--;
    }
    return true;
}

static bool
read_key(const char *label, tikv_slice in, struct public_key *out)
{
    tikv_slice key;
    tikv_slice part;

    *out = (struct public_key){ .kind = KEY_OTHER };
    if (strcmp(label, "RSA PRIVATE KEY") == 0) {
        return read_rsa_key(in, out);
    }
    if (strcmp(label, "EC PRIVATE KEY") == 0) {
        return read_ec_key(in, out);
    }
    if (!der_take(&in, DER_SEQUENCE, &key) ||
        !der_take(&key, DER_INTEGER, &part) || !read_kind(&key, &out->kind) ||
        !der_take(&key, DER_OCTETS, &part)) {
        return false;
    }
    switch (out->kind) {
    case KEY_RSA:
        return read_rsa_key(part, out);
    case KEY_EC:
        return read_ec_key(part, out);
    case KEY_OTHER:
        break;
    }
    return true;
}

/* ---- PEM ---- */

static int
digit_of(char c)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c == '\0' ? NULL : strchr(digits, c);

    return at == NULL ? -1 : (int)(at - digits);
}

static bool
read_base64(const char *at, const char *end, struct tk_buf *out)
{
    uint32_t bits = 0;
    uint32_t count = 0;

    for (; at < end; at++) {
        int digit = digit_of(*at);

        if (digit >= 0) {
            bits = bits << 6 | (uint32_t)digit;
            count += 6;
            if (count >= 8) {
                uint8_t byte = (uint8_t)(bits >> (count - 8));

                count -= 8;
                tk_buf_append(out, &byte, 1);
            }
        } else if (*at != '=' && *at != '\n' && *at != '\r' && *at != ' ' &&
                   *at != '\t') {
            return false;
        }
    }
    return !out->failed && out->len != 0;
}

struct block {
    const char *begin; /* the text between the lines */
    const char *end;
    const char *next;
    char label[48];
};

/* The next block whose label ends in `last_words`: those of keys vary. */
static bool
find_block(const char *text, const char *last_words, struct block *out)
{
    static const char begin[] = "-----BEGIN ";
    const char *at = text;
    char line[80];

    while ((at = strstr(at, begin)) != NULL) {
        const char *label = at + sizeof(begin) - 1;
        const char *over = strstr(label, "-----");
        size_t len = over == NULL ? 0 : (size_t)(over - label);
        size_t tail = strlen(last_words);

        at = label;
        if (len < tail || len >= sizeof(out->label) ||
            memcmp(over - tail, last_words, tail) != 0) {
            continue;
        }
        memcpy(out->label, label, len);
        out->label[len] = '\0';
        snprintf(line, sizeof(line), "-----END %s-----", out->label);
        out->begin = over + 5;
        out->end = strstr(out->begin, line);
        if (out->end == NULL) {
            return false;
        }
        out->next = out->end + strlen(line);
        return true;
    }
    return false;
}

static tikv_error *
no_block(const char *what, const char *last_words)
{
    return tk_error(TIKV_ERR_SECURITY, "%s: no PEM block \"%s\"", what,
                    last_words);
}

/* The block's bytes are in `der`, where *key points. */
static tikv_error *
decode_cert(const char *what, const struct block *block, struct tk_buf *der,
            struct tk_cert_facts *facts, struct public_key *key)
{
    if (!read_base64(block->begin, block->end, der) ||
        !read_cert(tk_buf_slice(der), facts, key)) {
        return tk_error(TIKV_ERR_SECURITY, "%s: a broken certificate", what);
    }
    return NULL;
}

tikv_error *
tk_pem_cert(const char *what, const char *text, struct tk_cert_facts *out)
{
    struct public_key key;
    struct block block;
    struct tk_buf der;
    tikv_error *error;

    if (!find_block(text, "CERTIFICATE", &block)) {
        return no_block(what, "CERTIFICATE");
    }
    tk_buf_init(&der, DER_MAX);
    error = decode_cert(what, &block, &der, out, &key);
    tk_buf_fini(&der);
    return error;
}

tikv_error *
tk_pem_bundle(const char *what, const char *text, int64_t *not_after)
{
    tikv_error *error = NULL;
    struct tk_cert_facts facts;
    struct public_key key;
    struct block block;
    struct tk_buf der;

    if (!find_block(text, "CERTIFICATE", &block)) {
        return no_block(what, "CERTIFICATE");
    }
    *not_after = INT64_MIN;
    tk_buf_init(&der, DER_MAX);
    do {
        tk_buf_clear(&der);
        error = decode_cert(what, &block, &der, &facts, &key);
        if (error == NULL && facts.not_after > *not_after) {
            *not_after = facts.not_after;
        }
    } while (error == NULL && find_block(block.next, "CERTIFICATE", &block));
    tk_buf_fini(&der);
    return error;
}

/* The bytes of a key do not stay behind in memory that is given back. */
static void
drop_key(struct tk_buf *der)
{
    volatile uint8_t *at = der->data;
    size_t i;

    for (i = 0; i < der->len; i++) {
        at[i] = 0;
    }
    tk_buf_fini(der);
}

static tikv_error *
decode_key(const char *what, const char *text, struct tk_buf *der,
           struct public_key *out)
{
    struct block block;

    if (!find_block(text, "PRIVATE KEY", &block)) {
        return no_block(what, "PRIVATE KEY");
    }
    if (strncmp(block.label, "ENCRYPTED", 9) == 0 ||
        memchr(block.begin, ':', (size_t)(block.end - block.begin)) != NULL) {
        return tk_error(TIKV_ERR_SECURITY,
                        "%s: the key is encrypted; only plain keys can be "
                        "used",
                        what);
    }
    if (!read_base64(block.begin, block.end, der) ||
        !read_key(block.label, tk_buf_slice(der), out)) {
        return tk_error(TIKV_ERR_SECURITY, "%s: a broken key", what);
    }
    return NULL;
}

static bool
belong_together(const struct public_key *cert, const struct public_key *key)
{
    if (cert->kind != key->kind) {
        return false;
    }
    return key->kind == KEY_OTHER || key->value.len == 0 ||
           (key->value.len == cert->value.len &&
            memcmp(key->value.data, cert->value.data, key->value.len) == 0);
}

tikv_error *
tk_pem_pair(const char *what_cert, const char *cert, const char *what_key,
            const char *key)
{
    struct tk_cert_facts facts;
    struct public_key owner;
    struct public_key own;
    tikv_error *error;
    struct block block;
    struct tk_buf cert_der;
    struct tk_buf key_der;

    if (!find_block(cert, "CERTIFICATE", &block)) {
        return no_block(what_cert, "CERTIFICATE");
    }
    tk_buf_init(&cert_der, DER_MAX);
    tk_buf_init(&key_der, DER_MAX);
    error = decode_cert(what_cert, &block, &cert_der, &facts, &owner);
    if (error == NULL) {
        error = decode_key(what_key, key, &key_der, &own);
    }
    if (error == NULL && !belong_together(&owner, &own)) {
        error = tk_error(TIKV_ERR_SECURITY,
                         "%s: the key does not belong to the certificate of "
                         "%s",
                         what_key, what_cert);
    }
    tk_buf_fini(&cert_der);
    drop_key(&key_der);
    return error;
}

/* The way back of days_of(). */
void
tk_pem_date(int64_t seconds, char *out, size_t size)
{
    int64_t days = seconds / DAY - (seconds % DAY < 0) + 719468;
    int64_t era = days / 146097;
    int64_t of_era = days % 146097;
    int64_t years =
        (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * years + years / 4 - years / 100);
    int64_t months = (5 * of_year + 2) / 153;
    int64_t day = of_year - (153 * months + 2) / 5 + 1;
    int64_t month = months < 10 ? months + 3 : months - 9;

    snprintf(out, size, "%04lld-%02lld-%02lld",
             (long long)(years + era * 400 + (month <= 2)), (long long)month,
             (long long)day);
}
