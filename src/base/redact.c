/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hiding keys. Texts of servers have no grammar: they are walked piece by
 * piece, and a piece that looks like bytes is hidden. Hiding too much costs a
 * word of a message, hiding too little a secret. Numbers stay readable, being
 * timestamps and ids, unless a word before them says that they are a key.
 */
#include "base/redact.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"

#define MARK_BEGIN "\xe2\x80\xb9"
#define MARK_END "\xe2\x80\xba"

/* Hex of so many digits is one whatever they are; shorter, if letters and
 * numbers are mixed. */
#define HEX_LONG 8
#define HEX_SHORT 4

/* Of what a server said in one error. */
#define SAID_MAX 512

static _Atomic int redact_mode; /* relaxed */

void
tk_redact_set(enum tk_redact mode)
{
    atomic_store_explicit(&redact_mode, mode, memory_order_relaxed);
}

static enum tk_redact
mode_now(void)
{
    return (enum tk_redact)atomic_load_explicit(&redact_mode,
                                                memory_order_relaxed);
}

/* ---- writing, cut at the end ---- */

struct out {
    char *data;
    size_t len;
    size_t size;
};

static void
put(struct out *out, const char *bytes, size_t len)
{
    size_t room = out->size - 1 - out->len;

    if (len > room) {
        len = room;
    }
    memcpy(out->data + out->len, bytes, len);
    out->len += len;
    out->data[out->len] = '\0';
}

static void
hide(struct out *out, const char *bytes, size_t len)
{
    if (mode_now() == TK_REDACT_ON) {
        put(out, "?", 1);
    } else {
        put(out, MARK_BEGIN, 3);
        put(out, bytes, len);
        put(out, MARK_END, 3);
    }
}

/* ---- keys of ours ---- */

static void
put_hash(struct out *out, tikv_slice key)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    char text[64];
    size_t i;

    for (i = 0; i < key.len; i++) {
        hash = (hash ^ key.data[i]) * UINT64_C(0x100000001b3);
    }
    /* Mixed once more: FNV leaves short keys readable in its low bits. */
    hash = (hash ^ hash >> 32) * UINT64_C(0xd6e8feb86659fd93);
    hash ^= hash >> 32;
    put(out, text,
        (size_t)snprintf(text, sizeof(text), "key(%zu bytes, %016" PRIx64 ")",
                         key.len, hash));
}

const char *
tk_redact_key(tikv_slice key, char *buffer, size_t size)
{
    static const char digits[] = "0123456789ABCDEF";
    enum tk_redact mode = mode_now();
    struct out out = { buffer, 0, size };
    size_t i;

    *buffer = '\0';
    if (mode == TK_REDACT_ON) {
        put_hash(&out, key);
        return buffer;
    }
    put(&out, MARK_BEGIN, mode == TK_REDACT_MARKER ? 3 : 0);
    for (i = 0; i < key.len; i++) {
        put(&out, &digits[key.data[i] >> 4], 1);
        put(&out, &digits[key.data[i] & 15], 1);
    }
    put(&out, MARK_END, mode == TK_REDACT_MARKER ? 3 : 0);
    return buffer;
}

/* ---- texts of servers ---- */

static bool
is_odd(char c)
{
    return c == '\\' || !isprint((unsigned char)c);
}

static bool
is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || is_odd(c);
}

/* A string in quotes, with them; an open one goes to the end. */
static size_t
quoted_len(const char *text, size_t len)
{
    size_t i;

    for (i = 1; i < len; i++) {
        if (text[i] == '\\') {
            i++;
        } else if (text[i] == '"') {
            return i + 1;
        }
    }
    return len;
}

/* A list of numbers in brackets; 0: something else. */
static size_t
list_len(const char *text, size_t len)
{
    size_t i = 1;

    while (i < len && (isdigit((unsigned char)text[i]) || text[i] == ',' ||
                       text[i] == ' ')) {
        i++;
    }
    return i > 1 && i < len && text[i] == ']' ? i + 1 : 0;
}

static size_t
word_len(const char *text, size_t len)
{
    size_t i = 0;

    while (i < len && is_word(text[i])) {
        i++;
    }
    return i;
}

/* What follows it may be a key. */
static bool
announces_key(const char *word, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        if ((len - i >= 3 && strncasecmp(word + i, "key", 3) == 0) ||
            (len - i >= 7 && strncasecmp(word + i, "primary", 7) == 0)) {
            return true;
        }
    }
    return false;
}

struct look {
    size_t digits;
    size_t hex_letters;
    size_t capitals;
    size_t odd;
};

static struct look
look_at(const char *word, size_t len)
{
    struct look look = { 0, 0, 0, 0 };
    size_t i;

    for (i = 0; i < len; i++) {
        unsigned char c = (unsigned char)word[i];

        look.digits += isdigit(c) != 0;
        look.hex_letters += isxdigit(c) && !isdigit(c);
        look.capitals += isupper(c) != 0;
        look.odd += is_odd(word[i]);
    }
    return look;
}

static bool
may_be_key(const char *word, size_t len, bool is_announced, bool is_assigned)
{
    struct look look = look_at(word, len);

    if (look.odd != 0) {
        return true;
    }
    if (is_announced) {
        return is_assigned || look.digits != 0 || look.capitals != 0;
    }
    return look.digits + look.hex_letters == len && look.hex_letters != 0 &&
           (len >= HEX_LONG || (len >= HEX_SHORT && look.digits != 0));
}

const char *
tk_redact_text(const char *text, size_t len, char *buffer, size_t size)
{
    struct out out = { buffer, 0, size };
    bool is_announced = false;
    bool is_assigned = false;
    size_t i = 0;

    *buffer = '\0';
    if (mode_now() == TK_REDACT_OFF) {
        put(&out, text, len);
        return buffer;
    }
    while (i < len) {
        size_t list = text[i] == '[' ? list_len(text + i, len - i) : 0;
        size_t word = word_len(text + i, len - i);

        if (text[i] == '"' || list != 0) {
            size_t taken = list != 0 ? list : quoted_len(text + i, len - i);

            hide(&out, text + i, taken);
            is_announced = false;
            i += taken;
        } else if (word != 0) {
            if (may_be_key(text + i, word, is_announced, is_assigned)) {
                hide(&out, text + i, word);
                is_announced = false;
            } else {
                put(&out, text + i, word);
                is_announced = announces_key(text + i, word);
            }
            is_assigned = false;
            i += word;
        } else {
            is_assigned |= text[i] == ':' || text[i] == '=';
            put(&out, text + i, 1);
            i++;
        }
    }
    return buffer;
}

tikv_error *
tk_error_said(tikv_code code, const char *who, const char *text, size_t len)
{
    char said[SAID_MAX];

    return tk_error(code, "%s: %s", who,
                    tk_redact_text(text, len, said, sizeof(said)));
}
