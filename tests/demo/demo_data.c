/* SPDX-License-Identifier: Apache-2.0 */
/* The data file as sorted records, its checksum, and the table's rows. */
#include "demo.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <lzma.h>

tikv_slice
demo_key(const struct demo_record *record)
{
    return (tikv_slice){ (const uint8_t *)record->key, record->key_len };
}

tikv_slice
demo_value(const struct demo_record *record)
{
    return (tikv_slice){ (const uint8_t *)record->value, record->value_len };
}

bool
demo_same(tikv_slice a, tikv_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static int
by_key(const void *a, const void *b)
{
    const struct demo_record *left = a, *right = b;

    return strcmp(left->key, right->key);
}

static char *
read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    size_t room = 0;
    ssize_t len;

    if (file == NULL) {
        fprintf(stderr, "demo: %s: %s\n", path, strerror(errno));
        return NULL;
    }
    len = getdelim(&text, &room, '\0', file);
    fclose(file);
    if (len <= 0) {
        fprintf(stderr, "demo: %s is empty\n", path);
        free(text);
        return NULL;
    }
    return text;
}

/* "0041;LATIN CAPITAL LETTER A;..." becomes key unicode/0041. */
static void
add_line(struct demo_data *data, char *line)
{
    struct demo_record *record = &data->records[data->count];
    int digits = (int)strcspn(line, ";");

    if (*line == '\0' || digits > 16) {
        return;
    }
    record->key_len = (size_t)snprintf(record->key, sizeof(record->key),
                                       "unicode/%.*s", digits, line);
    record->value = line;
    record->value_len = strlen(line);
    data->count++;
}

static void
add_checksum(struct demo_data *data, const struct demo_record *record)
{
    uint64_t crc = lzma_crc64((const uint8_t *)record->key, record->key_len,
                              0);

    data->crc64_xor ^= lzma_crc64((const uint8_t *)record->value,
                                  record->value_len, crc);
    data->bytes += record->key_len + record->value_len;
}

bool
demo_load(const char *path, struct demo_data *data)
{
    char *line, *rest;
    size_t i, lines = 1;

    memset(data, 0, sizeof(*data));
    data->text = read_file(path);
    if (data->text == NULL) {
        return false;
    }
    for (line = data->text; *line != '\0'; line++) {
        lines += *line == '\n';
    }
    data->records = calloc(lines, sizeof(*data->records));
    rest = data->text;
    while (data->records != NULL && (line = strsep(&rest, "\n")) != NULL) {
        add_line(data, line);
    }
    if (data->count == 0) {
        fprintf(stderr, "demo: %s holds no records\n", path);
        return false;
    }
    qsort(data->records, data->count, sizeof(*data->records), by_key);
    for (i = 0; i < data->count; i++) {
        add_checksum(data, &data->records[i]);
    }
    return true;
}

void
demo_unload(struct demo_data *data)
{
    free(data->records);
    free(data->text);
}

bool
demo_write_tsv(const struct demo_data *data, const char *path,
               uint64_t ttl_s)
{
    FILE *file = fopen(path, "w");
    size_t i;

    for (i = 0; file != NULL && i < data->count; i++) {
        fprintf(file, "%s\t%s", data->records[i].key, data->records[i].value);
        if (ttl_s > 0) {
            fprintf(file, "\t%" PRIu64, ttl_s);
        }
        fputc('\n', file);
    }
    if (file == NULL || fclose(file) != 0) {
        fprintf(stderr, "demo: %s: %s\n", path, strerror(errno));
        return false;
    }
    return true;
}

bool
demo_row(const struct demo_step *step)
{
    double ms = (double)(tikv_now_ns() - step->started_ns) / 1e6;

    printf("  %-44s %8zu %9.0f ms  %s\n", step->name, step->records, ms,
           step->is_right ? "right" : "WRONG");
    fflush(stdout);
    return step->is_right;
}

void
demo_wrong(struct demo_step *step, const char *format, ...)
{
    va_list values;

    if (step->is_right) { /* the first difference says enough */
        fprintf(stderr, "demo: %s: ", step->name);
        va_start(values, format);
        vfprintf(stderr, format, values);
        va_end(values);
        fputc('\n', stderr);
    }
    step->is_right = false;
}
