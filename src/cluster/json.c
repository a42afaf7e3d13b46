/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON by hand: enough for small requests of tools, whose strings are names
 * and whose numbers nobody needs. No state besides the reader's; no lock.
 */
#include "cluster/json.h"

#include <string.h>

void
tk_json_init(struct tk_json *json, tikv_slice text)
{
    json->at = text.data;
    json->end = text.data + text.len;
    json->failed = text.len == 0;
}

/* The next byte that is no space; 0 at the end. */
static uint8_t
look(struct tk_json *json)
{
    while (!json->failed && json->at < json->end &&
           memchr(" \t\r\n", *json->at, 4) != NULL) {
        json->at++;
    }
    return json->failed || json->at == json->end ? 0 : *json->at;
}

static bool
take(struct tk_json *json, uint8_t wanted)
{
    if (look(json) != wanted) {
        json->failed = true;
        return false;
    }
    json->at++;
    return true;
}

bool
tk_json_enter(struct tk_json *json)
{
    return take(json, '{');
}

bool
tk_json_member(struct tk_json *json, struct tk_buf *name)
{
    uint8_t next = look(json);

    if (next == '}') {
        json->at++;
        return false;
    }
    if (next == ',') {
        json->at++;
    }
    tk_buf_clear(name);
    return tk_json_string(json, name) && take(json, ':');
}

static int
hex_digit(uint8_t letter)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = strchr(digits, letter | 0x20);

    if (letter >= '0' && letter <= '9') {
        return letter - '0';
    }
    return letter < 'A' || found == NULL || *found == '\0'
               ? -1
               : (int)(found - digits);
}

/* The four digits behind \u; halves of pairs are refused. */
static bool
take_code(struct tk_json *json, struct tk_buf *out)
{
    uint32_t code = 0;
    uint8_t bytes[3];
    size_t len = 1;
    int i;

    for (i = 0; i < 4; i++) {
        int digit = json->at < json->end ? hex_digit(*json->at++) : -1;

        if (digit < 0) {
            return false;
        }
        code = code << 4 | (uint32_t)digit;
    }
    if (code >= 0xd800 && code < 0xe000) {
        return false;
    }
    bytes[0] = (uint8_t)code;
    if (code >= 0x800) {
        bytes[0] = (uint8_t)(0xe0 | code >> 12);
        bytes[len++] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        bytes[len++] = (uint8_t)(0x80 | (code & 0x3f));
    } else if (code >= 0x80) {
        bytes[0] = (uint8_t)(0xc0 | code >> 6);
        bytes[len++] = (uint8_t)(0x80 | (code & 0x3f));
    }
    tk_buf_append(out, bytes, len);
    return true;
}

static bool
take_escape(struct tk_json *json, struct tk_buf *out)
{
    static const char names[] = "\"\\/bfnrt";
    static const char meant[] = "\"\\/\b\f\n\r\t";
    const char *found;

    if (json->at == json->end) {
        return false;
    }
    if (*json->at == 'u') {
        json->at++;
        return take_code(json, out);
    }
    found = memchr(names, *json->at++, sizeof(names) - 1);
    if (found == NULL) {
        return false;
    }
    tk_buf_append(out, &meant[found - names], 1);
    return true;
}

bool
tk_json_string(struct tk_json *json, struct tk_buf *out)
{
    if (!take(json, '"')) {
        return false;
    }
    while (json->at < json->end && *json->at != '"') {
        uint8_t letter = *json->at++;

        if (letter == '\\' ? !take_escape(json, out) : letter < ' ') {
            json->failed = true;
            return false;
        }
        if (letter != '\\') {
            tk_buf_append(out, &letter, 1);
        }
    }
    tk_buf_append(out, "", 1);
    return take(json, '"');
}

/* Depth is counted, not stacked: which bracket closes which does not matter
 * to who skips. */
void
tk_json_skip(struct tk_json *json)
{
    struct tk_buf ignored;
    size_t depth = 0;

    tk_buf_init(&ignored, SIZE_MAX / 4);
    do {
        uint8_t next = look(json);

        if (next == '"') {
            tk_buf_clear(&ignored);
            (void)tk_json_string(json, &ignored);
        } else if (next == '{' || next == '[') {
            json->at++;
            depth++;
        } else if (depth > 0 && (next == '}' || next == ']')) {
            json->at++;
            depth--;
        } else if (depth > 0 && (next == ',' || next == ':')) {
            json->at++;
        } else {
            const uint8_t *start = json->at;

            while (json->at < json->end &&
                   strchr(",:{}[]\" \t\r\n", *json->at) == NULL) {
                json->at++;
            }
            json->failed = json->failed || json->at == start;
        }
    } while (depth > 0 && !json->failed);
    tk_buf_fini(&ignored);
}

void
tk_json_put(struct tk_buf *out, tikv_slice text)
{
    size_t i;

    tk_buf_append_text(out, "\"");
    for (i = 0; i < text.len; i++) {
        uint8_t letter = text.data[i];

        if (letter < ' ') {
            tk_buf_printf(out, "\\u%04x", letter);
        } else {
            tk_buf_append_text(out,
                               letter == '"' || letter == '\\' ? "\\" : "");
            tk_buf_append(out, &letter, 1);
        }
    }
    tk_buf_append_text(out, "\"");
}
