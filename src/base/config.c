/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that walks the table of settings. A config has one owner; the
 * numbers of a living client are relaxed atomics that tk_config_set_hot()
 * changes while others read. No locks.
 */
#include "base/config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/config_table.h"
#include "base/error.h"

static bool
is_text(const struct tk_setting_row *row)
{
    return row->kind == TK_SETTING_TEXT || row->kind == TK_SETTING_ENDPOINTS;
}

static tk_setting *
number_of(struct tk_config *config, const struct tk_setting_row *row)
{
    return (tk_setting *)(void *)((char *)config + row->place);
}

static char **
text_of(struct tk_config *config, const struct tk_setting_row *row)
{
    return (char **)(void *)((char *)config + row->place);
}

static int64_t
number_in(const struct tk_config *config, const struct tk_setting_row *row)
{
    return tk_config_int(
        (const tk_setting *)(const void *)((const char *)config + row->place));
}

static const char *
text_in(const struct tk_config *config, const struct tk_setting_row *row)
{
    return *(char *const *)(const void *)((const char *)config + row->place);
}

static const struct tk_setting_row *
find(const char *name)
{
    size_t i;

    for (i = 0; name != NULL && i < tk_settings_count; i++) {
        if (strcmp(tk_settings[i].name, name) == 0) {
            return &tk_settings[i];
        }
    }
    return NULL;
}

static bool
read_int(const char *text, int64_t *out)
{
    char *end;
    long long number;

    if (*text != '-' && (*text < '0' || *text > '9')) {
        return false;
    }
    errno = 0;
    number = strtoll(text, &end, 10);
    *out = number;
    return end != text && *end == '\0' && errno == 0;
}

static bool
read_switch(const char *text, int64_t *out)
{
    static const char *const words[] = {
        "false", "true", "off", "on", "0", "1"
    };
    size_t i;

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = (int64_t)(i & 1);
            return true;
        }
    }
    return false;
}

/* One of its words; its place is the number. */
static tikv_error *
read_word(const struct tk_setting_row *row, const char *text, int64_t *out)
{
    const char *const *words = tk_setting_words(row);
    char all[80] = "";
    int64_t i;

    for (i = 0; i <= row->max; i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = i;
            return NULL;
        }
        snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s",
                 i == 0 ? "" : ", ", words[i]);
    }
    return tk_error(TIKV_ERR_ARGUMENT, "%s: \"%s\" is not one of %s", row->name,
                    text, all);
}

static tikv_error *
read_number(const struct tk_setting_row *row, const char *text, int64_t *out)
{
    if (row->kind == TK_SETTING_SWITCH) {
        return read_switch(text, out)
                   ? NULL
                   : tk_error(TIKV_ERR_ARGUMENT,
                              "%s: \"%s\" is not one of true, false, on, "
                              "off, 1, 0",
                              row->name, text);
    }
    if (tk_setting_words(row) != NULL) {
        return read_word(row, text, out);
    }
    if (!read_int(text, out) || *out < row->min || *out > row->max) {
        return tk_error(TIKV_ERR_ARGUMENT,
                        "%s: \"%s\" is not a number within %" PRId64
                        " .. %" PRId64,
                        row->name, text, row->min, row->max);
    }
    return NULL;
}

static tikv_error *
set_text(struct tk_config *config, const struct tk_setting_row *row,
         const char *value)
{
    char **place = text_of(config, row);
    char *copy;

    if (row->kind == TK_SETTING_ENDPOINTS && *value != '\0') {
        tikv_error *error = tk_endpoints_check(value);

        if (error != NULL) {
            return tk_error_wrap(error, "%s", row->name);
        }
    }
    if (*value == '\0' && place == &config->txn_scope) {
        value = row->initial;
    }
    copy = tk_strdup(value);
    if (copy == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    tk_free(*place);
    *place = copy;
    return NULL;
}

static tikv_error *
set_row(struct tk_config *config, const struct tk_setting_row *row,
        const char *value)
{
    int64_t number;
    tikv_error *error;

    if (is_text(row)) {
        return set_text(config, row, value);
    }
    error = read_number(row, value, &number);
    if (error == NULL) {
        atomic_store_explicit(number_of(config, row), number,
                              memory_order_relaxed);
    }
    return error;
}

static tikv_error *
find_checked(const char *name, const char *value,
             const struct tk_setting_row **out)
{
    *out = find(name);
    if (*out == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "there is no setting \"%s\"",
                        name == NULL ? "" : name);
    }
    if (value == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "%s: no value", name);
    }
    return NULL;
}

tikv_error *
tikv_config_set(tikv_config *config, const char *name, const char *value)
{
    const struct tk_setting_row *row;
    tikv_error *error;

    if (config == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "no config");
    }
    error = find_checked(name, value, &row);
    return error != NULL ? error : set_row(&config->values, row, value);
}

tikv_error *
tk_config_set_hot(struct tk_config *config, const char *name, const char *value)
{
    const struct tk_setting_row *row;
    tikv_error *error = find_checked(name, value, &row);

    if (error != NULL) {
        return error;
    }
    if (!row->is_hot) {
        return tk_error(TIKV_ERR_STATE, "%s: fixed when the client was opened",
                        name);
    }
    return set_row(config, row, value);
}

const char *
tikv_config_get(const tikv_config *config, const char *name)
{
    const struct tk_setting_row *row = find(name);
    int64_t number;
    char *lent;

    if (config == NULL || row == NULL) {
        return NULL;
    }
    if (is_text(row)) {
        return text_in(&config->values, row);
    }
    number = number_in(&config->values, row);
    if (row->kind == TK_SETTING_SWITCH) {
        return number != 0 ? "true" : "false";
    }
    if (tk_setting_words(row) != NULL) {
        return tk_setting_words(row)[number];
    }
    lent = config->lent[row - tk_settings];
    snprintf(lent, sizeof(config->lent[0]), "%" PRId64, number);
    return lent;
}

bool
tikv_config_describe(size_t place, const char **name,
                     const char **default_value, const char **text)
{
    if (place >= tk_settings_count) {
        return false;
    }
    if (name != NULL) {
        *name = tk_settings[place].name;
    }
    if (default_value != NULL) {
        *default_value = tk_settings[place].initial;
    }
    if (text != NULL) {
        *text = tk_settings[place].prose;
    }
    return true;
}

const struct tk_config *
tk_config_of(const tikv_config *config)
{
    return &config->values;
}

/* A file or its text; *out is the name of the one that is set, or NULL. */
static tikv_error *
check_source(const char *file, const char *file_name, const char *pem,
             const char *pem_name, const char **out)
{
    *out = *file != '\0' ? file_name : *pem != '\0' ? pem_name : NULL;
    if (*file != '\0' && *pem != '\0') {
        return tk_error(TIKV_ERR_ARGUMENT, "%s and %s are both set", file_name,
                        pem_name);
    }
    return NULL;
}

static tikv_error *
check_together(const struct tk_config *config)
{
    const char *ca = NULL;
    const char *cert = NULL;
    const char *key = NULL;
    tikv_error *error;

    error = check_source(config->security_ca_file, "security.ca_file",
                         config->security_ca_pem, "security.ca_pem", &ca);
    if (error == NULL) {
        error =
            check_source(config->security_cert_file, "security.cert_file",
                         config->security_cert_pem, "security.cert_pem", &cert);
    }
    if (error == NULL) {
        error =
            check_source(config->security_key_file, "security.key_file",
                         config->security_key_pem, "security.key_pem", &key);
    }
    if (error != NULL) {
        return error;
    }
    if ((cert == NULL) != (key == NULL)) {
        return tk_error(TIKV_ERR_ARGUMENT, "%s is set but %s is not",
                        cert != NULL ? cert : key,
                        cert != NULL ? "security.key_file"
                                     : "security.cert_file");
    }
    if (ca == NULL && (cert != NULL || *config->security_verify_cn != '\0')) {
        return tk_error(TIKV_ERR_ARGUMENT,
                        "%s is set but security.ca_file is not: TLS would be "
                        "off",
                        cert != NULL ? cert : "security.verify_cn");
    }
    return NULL;
}

tikv_error *
tk_config_copy(const struct tk_config *from, struct tk_config *out)
{
    tikv_error *error = check_together(from);
    size_t i;

    memset(out, 0, sizeof(*out));
    for (i = 0; error == NULL && i < tk_settings_count; i++) {
        const struct tk_setting_row *row = &tk_settings[i];

        if (is_text(row)) {
            error = set_text(out, row, text_in(from, row));
        } else {
            atomic_init(number_of(out, row), number_in(from, row));
        }
    }
    out->log_fn = from->log_fn;
    out->log_arg = from->log_arg;
    if (error != NULL) {
        tk_config_fini(out);
    }
    return error;
}

void
tk_config_fini(struct tk_config *config)
{
    size_t i;

    for (i = 0; i < tk_settings_count; i++) {
        if (is_text(&tk_settings[i])) {
            tk_free(*text_of(config, &tk_settings[i]));
        }
    }
    memset(config, 0, sizeof(*config));
}

tikv_error *
tikv_config_new(tikv_config **out)
{
    tikv_config *config;
    tikv_error *error = NULL;
    size_t i;

    if (out == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "out is NULL");
    }
    *out = NULL;
    config = tk_calloc(sizeof(*config));
    if (config == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    config->lent = tk_calloc(tk_settings_count * sizeof(config->lent[0]));
    if (config->lent == NULL) {
        error = tk_error_immortal(TIKV_ERR_MEMORY);
    }
    for (i = 0; error == NULL && i < tk_settings_count; i++) {
        error =
            set_row(&config->values, &tk_settings[i], tk_settings[i].initial);
    }
    if (error != NULL) {
        tikv_config_free(config);
        return error;
    }
    *out = config;
    return NULL;
}

void
tikv_config_log(tikv_config *config, tikv_log_fn *fn, void *arg)
{
    if (config != NULL) {
        config->values.log_fn = fn;
        config->values.log_arg = arg;
    }
}

void
tikv_config_free(tikv_config *config)
{
    if (config != NULL) {
        tk_config_fini(&config->values);
        tk_free(config->lent);
        tk_free(config);
    }
}
