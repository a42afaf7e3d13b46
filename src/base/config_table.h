/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a row of the table of settings says. config.c walks the table; a new
 * setting is a row of config_table.c. Constants.
 */
#ifndef TK_BASE_CONFIG_TABLE_H
#define TK_BASE_CONFIG_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tk_setting_kind {
    TK_SETTING_INT,
    TK_SETTING_SWITCH,
    TK_SETTING_LEVEL,
    TK_SETTING_COMPRESSION,
    TK_SETTING_POLICY,
    TK_SETTING_REDACTION,
    TK_SETTING_TEXT,
    TK_SETTING_ENDPOINTS
};

struct tk_setting_row {
    const char *name;
    enum tk_setting_kind kind;
    size_t place; /* in struct tk_config */
    int64_t min;
    int64_t max;
    const char *initial;
    bool is_hot;
    const char *prose;
};

/* In the order of <tikv/config.h>. */
extern const struct tk_setting_row tk_settings[];
extern const size_t tk_settings_count;

/* The words of a row whose numbers have names, by number; NULL: they have
 * none. */
const char *const *
tk_setting_words(const struct tk_setting_row *row);

#endif
