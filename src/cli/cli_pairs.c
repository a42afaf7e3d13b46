/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of pairs: reading and writing TSV and JSON lines. */
#include "cli_pairs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

bool
cli_pairs_format(const struct cli *cli, const char *format, const char *path,
                 bool *is_json)
{
    const char *dot = strrchr(path, '.');

    if (format == NULL) {
        *is_json = cli->json ||
                   (dot != NULL && (strcmp(dot, ".jsonl") == 0 ||
                                    strcmp(dot, ".ndjson") == 0 ||
                                    strcmp(dot, ".json") == 0));
        return true;
    }
    *is_json = strcmp(format, "jsonl") == 0;
    if (!*is_json && strcmp(format, "tsv") != 0) {
        cli_usage(cli, "--format must be tsv or jsonl, not \"%s\"", format);
        return false;
    }
    return true;
}

static bool
copy_text(const struct cli *cli, const char *text, bool is_hex,
          tikv_slice *out)
{
    struct cli mode = *cli;

    mode.hex = is_hex;
    return cli_bytes(&mode, text, out);
}

/* One column, unescaped in place, as bytes of its own. */
static bool
read_column(const struct cli *cli, char *column, size_t len, tikv_slice *out)
{
    uint8_t *bytes;

    if (cli->hex) {
        column[len] = '\0';
        return strlen(column) == len && copy_text(cli, column, true, out);
    }
    if (!cli_unescape(column, &len) || (bytes = malloc(len + 1)) == NULL) {
        return false;
    }
    memcpy(bytes, column, len);
    *out = (tikv_slice){ bytes, len };
    return true;
}

static bool
read_seconds(char *column, size_t len, uint64_t *out)
{
    char *end;

    column[len] = '\0';
    errno = 0;
    *out = strtoull(column, &end, 10);
    return len > 0 && *column >= '0' && *column <= '9' &&
           end == column + len && errno == 0;
}

static bool
read_tsv(const struct cli *cli, char *line, size_t len, struct cli_pair *out,
         const char **why)
{
    char *tab = memchr(line, '\t', len), *value, *second;
    size_t value_len;

    if (tab == NULL) {
        *why = "no tab between key and value";
        return false;
    }
    value = tab + 1;
    value_len = len - (size_t)(value - line);
    second = memchr(value, '\t', value_len);
    if (second != NULL) {
        size_t ttl_len = value_len - (size_t)(second + 1 - value);

        value_len = (size_t)(second - value);
        if (!read_seconds(second + 1, ttl_len, &out->ttl_s)) {
            *why = "the third column must be seconds to live";
            return false;
        }
    }
    if (!read_column(cli, line, (size_t)(tab - line), &out->key)) {
        *why = "the key has a broken escape";
        return false;
    }
    if (!read_column(cli, value, value_len, &out->value)) {
        cli_bytes_free(&out->key);
        *why = "the value has a broken escape";
        return false;
    }
    return true;
}

/* Member `name` or `name_hex` as bytes. */
static bool
read_member(const struct cli *cli, const cJSON *object, const char *name,
            const char *hex_name, tikv_slice *out)
{
    const cJSON *text = cJSON_GetObjectItemCaseSensitive(object, name);
    const cJSON *hex = cJSON_GetObjectItemCaseSensitive(object, hex_name);

    if (cJSON_IsString(hex)) {
        return copy_text(cli, hex->valuestring, true, out);
    }
    return cJSON_IsString(text) &&
           copy_text(cli, text->valuestring, false, out);
}

/* A text cannot hold a NUL for cJSON: it would end there unnoticed. */
static bool
has_nul_escape(const char *line)
{
    for (; *line != '\0'; line++) {
        if (*line == '\\') {
            line++;
            if (strncmp(line, "u0000", 5) == 0) {
                return true;
            }
            if (*line == '\0') {
                return false;
            }
        }
    }
    return false;
}

static bool
read_json(const struct cli *cli, char *line, size_t len, struct cli_pair *out,
          const char **why)
{
    cJSON *object = cJSON_ParseWithLength(line, len);
    const cJSON *ttl = cJSON_GetObjectItemCaseSensitive(object, "ttl");

    *why = NULL;
    if (!cJSON_IsObject(object)) {
        *why = "not a JSON object";
    } else if (has_nul_escape(line)) {
        *why = "a NUL character: use key_hex or value_hex";
    } else if (ttl != NULL &&
               (!cJSON_IsNumber(ttl) || ttl->valuedouble < 0 ||
                ttl->valuedouble > 1e15)) {
        *why = "\"ttl\" must be seconds to live";
    } else if (!read_member(cli, object, "key", "key_hex", &out->key)) {
        *why = "no text \"key\" or digits \"key_hex\"";
    } else if (!read_member(cli, object, "value", "value_hex",
                            &out->value)) {
        cli_bytes_free(&out->key);
        *why = "no text \"value\" or digits \"value_hex\"";
    } else if (ttl != NULL) {
        out->ttl_s = (uint64_t)ttl->valuedouble;
    }
    cJSON_Delete(object);
    return *why == NULL;
}

bool
cli_pairs_read(const struct cli *cli, bool is_json, char *line, size_t len,
               struct cli_pair *out, const char **why)
{
    *out = (struct cli_pair){ { NULL, 0 }, { NULL, 0 }, 0 };
    return is_json ? read_json(cli, line, len, out, why)
                   : read_tsv(cli, line, len, out, why);
}

void
cli_pairs_write(const struct cli *cli, bool is_json, FILE *out,
                const tikv_pair *pair)
{
    if (is_json) {
        fputc('{', out);
        cli_put_json(cli, out, "key", pair->key);
        fputc(',', out);
        cli_put_json(cli, out, "value", pair->value);
        fputs("}\n", out);
        return;
    }
    cli_put_bytes(cli, out, pair->key);
    fputc('\t', out);
    cli_put_bytes(cli, out, pair->value);
    fputc('\n', out);
}
