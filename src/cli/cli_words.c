/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Words in and out of the command line: options, numbers, bytes as text,
 * hexadecimal digits, escapes and JSON.
 */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct cli_option *
find_option(const struct cli_option *options, size_t count, const char *name)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (strcmp(options[i].name, name) == 0) {
            return &options[i];
        }
    }
    return NULL;
}

bool
cli_options(const struct cli *cli, int *argc, char **argv,
            const struct cli_option *options, size_t count)
{
    int from = 0, to = 0;

    while (from < *argc) {
        char *word = argv[from++];
        const struct cli_option *option;

        if (strcmp(word, "--") == 0) {
            break;
        }
        if (strncmp(word, "--", 2) != 0) {
            argv[to++] = word;
            continue;
        }
        option = find_option(options, count, word);
        if (option == NULL) {
            cli_usage(cli, "unknown option %s", word);
            return false;
        }
        if (option->set != NULL) {
            *option->set = true;
        } else if (from < *argc) {
            *option->value = argv[from++];
        } else {
            cli_usage(cli, "option %s wants a value", word);
            return false;
        }
    }
    while (from < *argc) {
        argv[to++] = argv[from++];
    }
    *argc = to;
    return true;
}

bool
cli_number(const struct cli *cli, const char *what, const char *text,
           uint64_t min, uint64_t max, uint64_t *out)
{
    char *end;
    unsigned long long number;

    errno = 0;
    number = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 ||
        number < min || number > max) {
        cli_usage(cli, "%s must be a number from %llu to %llu, not \"%s\"",
                  what, (unsigned long long)min, (unsigned long long)max,
                  text);
        return false;
    }
    *out = number;
    return true;
}

static int
digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool
from_hex(const char *word, uint8_t *bytes, size_t *len)
{
    size_t i, digits = strlen(word);

    if (digits % 2 != 0) {
        return false;
    }
    for (i = 0; i < digits; i += 2) {
        int high = digit(word[i]), low = digit(word[i + 1]);

        if (high < 0 || low < 0) {
            return false;
        }
        bytes[i / 2] = (uint8_t)(high << 4 | low);
    }
    *len = digits / 2;
    return true;
}

bool
cli_bytes(const struct cli *cli, const char *word, tikv_slice *out)
{
    uint8_t *bytes;
    size_t len;

    *out = (tikv_slice){ NULL, 0 };
    if (word == NULL) {
        return true;
    }
    len = strlen(word);
    bytes = malloc(len + 1);
    if (bytes == NULL) {
        cli_usage(cli, "out of memory");
        return false;
    }
    memcpy(bytes, word, len + 1);
    if (cli->hex && !from_hex(word, bytes, &len)) {
        free(bytes);
        cli_usage(cli, "\"%s\" is not a row of hexadecimal digits", word);
        return false;
    }
    *out = (tikv_slice){ bytes, len };
    return true;
}

void
cli_bytes_free(tikv_slice *bytes)
{
    union {
        const uint8_t *borrowed;
        void *owned;
    } memory = { bytes->data };

    free(memory.owned);
    *bytes = (tikv_slice){ NULL, 0 };
}

bool
cli_unescape(char *text, size_t *len)
{
    size_t from = 0, to = 0;

    while (from < *len) {
        char c = text[from++];

        if (c != '\\') {
            text[to++] = c;
            continue;
        }
        if (from == *len) {
            return false;
        }
        c = text[from++];
        if (c == 'x') {
            int high, low;

            if (*len - from < 2 || (high = digit(text[from])) < 0 ||
                (low = digit(text[from + 1])) < 0) {
                return false;
            }
            text[to++] = (char)(high << 4 | low);
            from += 2;
            continue;
        }
        if (strchr("tnr\\", c) == NULL || c == '\0') {
            return false;
        }
        text[to++] = c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : c;
    }
    *len = to;
    return true;
}

/* Bytes of the UTF-8 sequence at the start, 0 when it is none (overlong
 * forms, surrogates and numbers past U+10FFFF included). */
static size_t
utf8_len(const uint8_t *at, size_t left)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t i, len;
    uint32_t point;

    if (at[0] < 0x80) {
        return 1;
    }
    len = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    if (at[0] < 0xc2 || at[0] > 0xf4 || len > left) {
        return 0;
    }
    point = at[0] & (0xffU >> (len + 1));
    for (i = 1; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
        point = point << 6 | (at[i] & 0x3fU);
    }
    if (point < least[len] || point > 0x10ffff ||
        (point >= 0xd800 && point <= 0xdfff)) {
        return 0;
    }
    return len;
}

bool
cli_is_utf8(tikv_slice bytes)
{
    size_t at = 0;

    while (at < bytes.len) {
        size_t len = utf8_len(bytes.data + at, bytes.len - at);

        if (len == 0) {
            return false;
        }
        at += len;
    }
    return true;
}

static void
put_hex(FILE *out, tikv_slice bytes)
{
    size_t i;

    for (i = 0; i < bytes.len; i++) {
        fprintf(out, "%02x", bytes.data[i]);
    }
}

void
cli_put_bytes(const struct cli *cli, FILE *out, tikv_slice bytes)
{
    size_t at = 0;

    if (cli->hex) {
        put_hex(out, bytes);
        return;
    }
    while (at < bytes.len) {
        uint8_t c = bytes.data[at];
        size_t len = utf8_len(bytes.data + at, bytes.len - at);

        if (c == '\\') {
            fputs("\\\\", out);
        } else if (c == '\t') {
            fputs("\\t", out);
        } else if (c == '\n') {
            fputs("\\n", out);
        } else if (c == '\r') {
            fputs("\\r", out);
        } else if (len == 0 || c < 0x20 || c == 0x7f) {
            fprintf(out, "\\x%02x", c);
            len = 1;
        } else {
            fwrite(bytes.data + at, 1, len, out);
        }
        at += len;
    }
}

void
cli_put_json(const struct cli *cli, FILE *out, const char *name,
             tikv_slice bytes)
{
    size_t i;

    if (cli->hex || !cli_is_utf8(bytes)) {
        fprintf(out, "\"%s_hex\":\"", name);
        put_hex(out, bytes);
        fputc('"', out);
        return;
    }
    fprintf(out, "\"%s\":\"", name);
    for (i = 0; i < bytes.len; i++) {
        uint8_t c = bytes.data[i];

        if (c == '"' || c == '\\') {
            fprintf(out, "\\%c", c);
        } else if (c < 0x20 || c == 0x7f) {
            fprintf(out, "\\u%04x", c);
        } else {
            fputc(c, out);
        }
    }
    fputc('"', out);
}

tikv_slice *
cli_read_words(const struct cli *cli, int argc, char **argv)
{
    tikv_slice *words = calloc((size_t)argc + 1, sizeof(*words));
    int i;

    if (words == NULL) {
        cli_usage(cli, "out of memory");
        return NULL;
    }
    for (i = 0; i < argc; i++) {
        if (!cli_bytes(cli, argv[i], &words[i])) {
            while (i-- > 0) {
                cli_bytes_free(&words[i]);
            }
            free(words);
            return NULL;
        }
    }
    return words;
}

void
cli_free_words(tikv_slice *words, int count)
{
    int i;

    for (i = 0; i < count; i++) {
        cli_bytes_free(&words[i]);
    }
    free(words);
}

int
cli_split(char *line, char **words, int max)
{
    char *from = line, *to = line;
    int count = 0;

    for (;;) {
        char quote = '\0';

        while (*from == ' ' || *from == '\t' || *from == '\n') {
            from++;
        }
        if (*from == '\0' || count == max) {
            return count;
        }
        words[count++] = to;
        while (*from != '\0' &&
               (quote != '\0' || strchr(" \t\n", *from) == NULL)) {
            if (quote == '\0' && (*from == '"' || *from == '\'')) {
                quote = *from++;
            } else if (quote != '\0' && *from == quote) {
                quote = '\0';
                from++;
            } else {
                from += *from == '\\' && from[1] != '\0' && quote != '\'';
                *to++ = *from++;
            }
        }
        if (quote != '\0') {
            return -1;
        }
        from += *from != '\0';
        *to++ = '\0';
    }
}
