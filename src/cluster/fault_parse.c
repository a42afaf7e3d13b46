/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rule language of <tikv/cluster.h>: words, selectors and triggers;
 * actions are fault_action.c's. One pass over the text; the first thing that
 * cannot be understood is reported with its place.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/slice.h"
#include "cluster/fault.h"

bool
tk_cl_parse_fail(struct tk_cl_parser *parser, const char *at,
                 const char *failure)
{
    if (parser->failure == NULL) {
        parser->failure = failure;
        parser->failed_at = at;
    }
    return false;
}

static bool
fail(struct tk_cl_parser *parser, const char *at, const char *failure)
{
    return tk_cl_parse_fail(parser, at, failure);
}

static bool
is_end(char c)
{
    return c == '\0' || c == ' ' || c == '\t' || c == '\n';
}

static bool
is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '_';
}

bool
tk_cl_parse_word(struct tk_cl_parser *parser, const char *word)
{
    size_t len = strlen(word);

    if (strncmp(parser->at, word, len) != 0 || is_word(parser->at[len])) {
        return false;
    }
    parser->at += len;
    return true;
}

bool
tk_cl_parse_char(struct tk_cl_parser *parser, char c)
{
    if (*parser->at != c) {
        return false;
    }
    parser->at++;
    return true;
}

bool
tk_cl_parse_expect(struct tk_cl_parser *parser, char c)
{
    const char *failure = c == '('   ? "'(' expected"
                          : c == ')' ? "')' expected"
                          : c == ',' ? "',' expected"
                                     : "'=' expected";

    return tk_cl_parse_char(parser, c) || fail(parser, parser->at, failure);
}

bool
tk_cl_parse_number(struct tk_cl_parser *parser, uint64_t *out)
{
    const char *start = parser->at;
    uint64_t number = 0;

    while (*parser->at >= '0' && *parser->at <= '9') {
        uint64_t digit = (uint64_t)(*parser->at - '0');

        if (number > (UINT64_MAX - digit) / 10) {
            return fail(parser, start, "number is too large");
        }
        number = number * 10 + digit;
        parser->at++;
    }
    *out = number;
    return parser->at > start || fail(parser, start, "number expected");
}

bool
tk_cl_parse_choice(struct tk_cl_parser *parser, const char *const *words,
                   size_t count, uint32_t *out, const char *failure)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (tk_cl_parse_word(parser, words[i])) {
            *out = (uint32_t)i;
            return true;
        }
    }
    return fail(parser, parser->at, failure);
}

bool
tk_cl_parse_name(struct tk_cl_parser *parser, char name[TK_NAME_MAX])
{
    const char *start = parser->at;
    size_t len;

    while (is_word(*parser->at) || *parser->at == '.' || *parser->at == '*' ||
           *parser->at == '-' || *parser->at == ':') {
        parser->at++;
    }
    len = (size_t)(parser->at - start);
    if (len == 0 || len >= TK_NAME_MAX) {
        return fail(parser, start, "name expected");
    }
    memcpy(name, start, len);
    name[len] = '\0';
    return true;
}

/* Up to the next blank; allocated. */
static bool
take_text(struct tk_cl_parser *parser, const char *failure, char **out)
{
    const char *start = parser->at;
    size_t len;

    while (!is_end(*parser->at)) {
        parser->at++;
    }
    len = (size_t)(parser->at - start);
    if (len == 0) {
        return fail(parser, start, failure);
    }
    tk_free(*out);
    *out = tk_alloc(len + 1);
    if (*out == NULL) {
        return fail(parser, start, "out of memory");
    }
    memcpy(*out, start, len);
    (*out)[len] = '\0';
    return true;
}

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* One byte of a key: as it is, "\xNN" or "\\". */
static bool
take_byte(struct tk_cl_parser *parser, uint8_t *out)
{
    const char *at = parser->at;

    if (at[0] != '\\') {
        *out = (uint8_t)at[0];
        parser->at++;
        return true;
    }
    if (at[1] == '\\') {
        *out = '\\';
        parser->at += 2;
        return true;
    }
    if (at[1] == 'x' && hex_digit(at[2]) >= 0 && hex_digit(at[3]) >= 0) {
        *out = (uint8_t)(hex_digit(at[2]) * 16 + hex_digit(at[3]));
        parser->at += 4;
        return true;
    }
    return fail(parser, at, "'\\xNN' or '\\\\' expected");
}

bool
tk_cl_parse_key(struct tk_cl_parser *parser, const char *stops,
                tikv_slice *out)
{
    const char *start = parser->at;
    size_t len = 0;
    uint8_t *bytes = tk_alloc(strlen(start) + 1);

    tk_free((void *)(uintptr_t)out->data);
    *out = (tikv_slice){ bytes, 0 };
    if (bytes == NULL) {
        return fail(parser, start, "out of memory");
    }
    while (!is_end(*parser->at) && strchr(stops, *parser->at) == NULL) {
        if (!take_byte(parser, &bytes[len])) {
            return false;
        }
        len++;
    }
    out->len = len;
    return true;
}

/* A prefix, or "[START,END)": either may be empty. */
static bool
take_keys(struct tk_cl_parser *parser, struct tk_cl_selector *selector)
{
    const char *start = parser->at;

    selector->has_range = tk_cl_parse_char(parser, '[');
    if (selector->has_range) {
        return tk_cl_parse_key(parser, ",", &selector->start) &&
               tk_cl_parse_expect(parser, ',') &&
               tk_cl_parse_key(parser, ")", &selector->end) &&
               tk_cl_parse_expect(parser, ')');
    }
    return tk_cl_parse_key(parser, "", &selector->start) &&
           (selector->start.len > 0 || fail(parser, start, "key expected"));
}

/* ---- triggers ---- */

/* "0.25"; the part before the point is 0 or 1. */
static bool
take_probability(struct tk_cl_parser *parser, uint64_t *out)
{
    const char *start = parser->at;
    uint64_t whole = 0;
    uint64_t part = 0;
    uint64_t scale = 1;

    if (!tk_cl_parse_number(parser, &whole)) {
        return false;
    }
    if (tk_cl_parse_char(parser, '.')) {
        while (*parser->at >= '0' && *parser->at <= '9') {
            if (scale < UINT64_C(1000000000)) {
                part = part * 10 + (uint64_t)(*parser->at - '0');
                scale *= 10;
            }
            parser->at++;
        }
    }
    if (whole > 1 || (whole == 1 && part > 0)) {
        return fail(parser, start, "probability from 0 to 1 expected");
    }
    *out = (whole << 32) + (part << 32) / scale;
    return true;
}

static bool
take_trigger_words(struct tk_cl_parser *parser, struct tk_cl_trigger *trigger)
{
    static const char *const things[] = { "txn", "region", "store", "key" };
    uint32_t thing = 0;

    switch (trigger->when) {
    case TK_CL_WHEN_PROB:
        return take_probability(parser, &trigger->probability);
    case TK_CL_WHEN_WINDOW:
        return tk_cl_parse_number(parser, &trigger->count) &&
               tk_cl_parse_expect(parser, ',') &&
               tk_cl_parse_number(parser, &trigger->until);
    case TK_CL_WHEN_UNTIL:
        return tk_cl_parse_name(parser, trigger->method) &&
               tk_cl_parse_expect(parser, ',') &&
               tk_cl_parse_number(parser, &trigger->count);
    case TK_CL_WHEN_ONCE_PER:
        if (!tk_cl_parse_choice(parser, things, 4, &thing,
                                "txn, region, store or key expected")) {
            return false;
        }
        trigger->count = thing;
        return true;
    case TK_CL_WHEN_ALWAYS:
    case TK_CL_WHEN_NTH:
    case TK_CL_WHEN_FIRST:
    case TK_CL_WHEN_AFTER:
    case TK_CL_WHEN_EVERY:
        break;
    }
    return tk_cl_parse_number(parser, &trigger->count);
}

static bool
take_when(struct tk_cl_parser *parser, struct tk_cl_trigger *trigger)
{
    static const char *const names[] = { "always", "nth",    "first",
                                         "after",  "every",  "prob",
                                         "window", "until",  "once_per" };
    const char *start = parser->at;
    uint32_t which = 0;

    if (!tk_cl_parse_choice(parser, names, sizeof(names) / sizeof(names[0]),
                            &which, "unknown trigger")) {
        return false;
    }
    trigger->when = (enum tk_cl_when)which;
    if (trigger->when == TK_CL_WHEN_ALWAYS) {
        return true;
    }
    if (!tk_cl_parse_expect(parser, '(') ||
        !take_trigger_words(parser, trigger)) {
        return false;
    }
    if (trigger->count == 0 && (trigger->when == TK_CL_WHEN_NTH ||
                                trigger->when == TK_CL_WHEN_EVERY)) {
        return fail(parser, start, "counts start at 1");
    }
    return tk_cl_parse_expect(parser, ')');
}

/* ---- items ---- */

static bool
take_tri(struct tk_cl_parser *parser, const char *no, const char *yes,
         enum tk_cl_tri *out)
{
    const char *const words[] = { no, yes };
    uint32_t which = 0;

    if (!tk_cl_parse_choice(parser, words, 2, &which,
                            strcmp(yes, "yes") == 0
                                ? "yes or no expected"
                                : "primary or secondary expected")) {
        return false;
    }
    *out = which == 0 ? TK_NO : TK_YES;
    return true;
}

static bool
take_stage(struct tk_cl_parser *parser, enum tk_cl_stage *out)
{
    static const char *const names[TK_STAGES] = {
        "recv", "pre", "latched", "memlock", "apply", "applied", "send"
    };
    uint32_t which = 0;

    if (!tk_cl_parse_choice(parser, names, TK_STAGES, &which,
                            "unknown stage")) {
        return false;
    }
    *out = (enum tk_cl_stage)which;
    return true;
}

enum item {
    ITEM_RULE,
    ITEM_ID,
    ITEM_ON,
    ITEM_STORE,
    ITEM_REGION,
    ITEM_PEER,
    ITEM_MEMBER,
    ITEM_CLIENT,
    ITEM_START_TS,
    ITEM_KEY,
    ITEM_TXN,
    ITEM_RETRY,
    ITEM_REPLICA_READ,
    ITEM_STALE_READ,
    ITEM_SOURCE,
    ITEM_STAGE,
    ITEM_WHEN,
    ITEM_DO,
    ITEM_THEN,
    ITEMS
};

static const char *const item_names[ITEMS] = {
    "rule",  "id",     "on",       "store", "region", "peer",  "member",
    "client", "start_ts", "key",   "txn",   "retry",  "replica_read",
    "stale_read", "source", "stage", "when", "do",    "then"
};

static bool
take_selector(struct tk_cl_parser *parser, uint32_t item,
              struct tk_cl_selector *selector)
{
    uint64_t number = 0;

    switch (item) {
    case ITEM_ON:
        return take_text(parser, "method expected", &selector->glob);
    case ITEM_SOURCE:
        return take_text(parser, "source expected", &selector->source);
    case ITEM_STORE:
        return tk_cl_parse_number(parser, &selector->store_id);
    case ITEM_REGION:
        return tk_cl_parse_number(parser, &selector->region_id);
    case ITEM_PEER:
        return tk_cl_parse_number(parser, &selector->peer_id);
    case ITEM_CLIENT:
        return tk_cl_parse_number(parser, &selector->client);
    case ITEM_START_TS:
        return tk_cl_parse_number(parser, &selector->start_ts);
    case ITEM_MEMBER:
        if (!tk_cl_parse_number(parser, &number)) {
            return false;
        }
        selector->member = number + 1;
        return true;
    case ITEM_KEY:
        return take_keys(parser, selector);
    case ITEM_TXN:
        return take_tri(parser, "secondary", "primary", &selector->is_primary);
    case ITEM_RETRY:
        return take_tri(parser, "no", "yes", &selector->is_retry);
    case ITEM_REPLICA_READ:
        return take_tri(parser, "no", "yes", &selector->replica_read);
    case ITEM_STALE_READ:
        return take_tri(parser, "no", "yes", &selector->stale_read);
    case ITEM_STAGE:
        return take_stage(parser, &selector->stage);
    default:
        return false;
    }
}

static bool
take_item(struct tk_cl_parser *parser, struct tk_cl_rule *rule)
{
    uint32_t item = 0;

    if (!tk_cl_parse_choice(parser, item_names, ITEMS, &item,
                            "on=, a selector, when=, do= or then= expected")) {
        return false;
    }
    if (item == ITEM_RULE) {
        return true; /* a word of courtesy before the rest */
    }
    if (!tk_cl_parse_expect(parser, '=')) {
        return false;
    }
    switch (item) {
    case ITEM_ID:
        return tk_cl_parse_name(parser, rule->name);
    case ITEM_WHEN:
        return take_when(parser, &rule->trigger);
    case ITEM_DO:
        return tk_cl_parse_actions(parser, &rule->actions);
    case ITEM_THEN:
        return tk_cl_parse_actions(parser, &rule->then);
    default:
        return take_selector(parser, item, &rule->selector);
    }
}

static bool
parse(struct tk_cl_parser *parser, struct tk_cl_rule *rule)
{
    for (;;) {
        while (*parser->at != '\0' && is_end(*parser->at)) {
            parser->at++;
        }
        if (*parser->at == '\0') {
            break;
        }
        if (!take_item(parser, rule)) {
            return false;
        }
        if (!is_end(*parser->at)) {
            return fail(parser, parser->at, "blank expected");
        }
    }
    if (rule->selector.glob == NULL) {
        return fail(parser, parser->at, "on= is missing");
    }
    return rule->actions.count > 0 ||
           fail(parser, parser->at, "do= is missing");
}

tikv_error *
tk_cl_rule_parse(const char *text, struct tk_cl_rule **out)
{
    struct tk_cl_parser parser = { text, text, NULL, NULL, false };
    struct tk_cl_rule *rule = tk_calloc(sizeof(*rule));

    *out = NULL;
    if (rule == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    tk_buf_init(&rule->once, SIZE_MAX / 4);
    rule->text = tk_strdup(text);
    if (rule->text == NULL || !parse(&parser, rule)) {
        tk_cl_rule_free(rule);
        return parser.failure == NULL
                   ? tk_error_immortal(TIKV_ERR_MEMORY)
                   : tk_error(TIKV_ERR_ARGUMENT, "fault rule, at %zu: %s",
                              (size_t)(parser.failed_at - text) + 1,
                              parser.failure);
    }
    *out = rule;
    return NULL;
}

void
tk_cl_rule_free(struct tk_cl_rule *rule)
{
    if (rule != NULL) {
        tk_cl_actions_fini(&rule->actions);
        tk_cl_actions_fini(&rule->then);
        tk_free(rule->selector.glob);
        tk_free(rule->selector.source);
        tk_free((void *)(uintptr_t)rule->selector.start.data);
        tk_free((void *)(uintptr_t)rule->selector.end.data);
        tk_free(rule->text);
        tk_buf_fini(&rule->once);
        tk_free(rule);
    }
}
