/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rule language of <tikv/cluster.h>. One pass over the text; the first
 * thing that cannot be understood is reported with its place.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/slice.h"
#include "cluster/fault.h"

struct parser {
    const char *text;
    const char *at;
    const char *failure; /* NULL so far */
    const char *failed_at;
    struct tk_cl_rule *rule;
    bool is_applied; /* "apply" came before */
};

static bool
fail(struct parser *parser, const char *at, const char *failure)
{
    if (parser->failure == NULL) {
        parser->failure = failure;
        parser->failed_at = at;
    }
    return false;
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

/* Takes the word at the cursor when it is this one. */
static bool
take_word(struct parser *parser, const char *word)
{
    size_t len = strlen(word);

    if (strncmp(parser->at, word, len) != 0 || is_word(parser->at[len])) {
        return false;
    }
    parser->at += len;
    return true;
}

static bool
take(struct parser *parser, char c)
{
    if (*parser->at != c) {
        return false;
    }
    parser->at++;
    return true;
}

static bool
expect(struct parser *parser, char c)
{
    static const char *const failures[] = { "'(' expected", "')' expected",
                                            "'=' expected" };
    const char *which = c == '(' ? failures[0]
                        : c == ')' ? failures[1]
                                   : failures[2];

    return take(parser, c) || fail(parser, parser->at, which);
}

static bool
take_number(struct parser *parser, uint64_t *out)
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

static bool
take_glob(struct parser *parser)
{
    const char *start = parser->at;
    size_t len;

    while (!is_end(*parser->at)) {
        parser->at++;
    }
    len = (size_t)(parser->at - start);
    if (len == 0) {
        return fail(parser, start, "method expected");
    }
    tk_free(parser->rule->glob);
    parser->rule->glob = tk_alloc(len + 1);
    if (parser->rule->glob == NULL) {
        return fail(parser, start, "out of memory");
    }
    memcpy(parser->rule->glob, start, len);
    parser->rule->glob[len] = '\0';
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

/* A key up to the next blank; \xNN is a byte, \\ a backslash. */
static bool
take_key(struct parser *parser)
{
    const char *start = parser->at;
    size_t len = 0;
    uint8_t *bytes = tk_alloc(strlen(start) + 1);

    if (bytes == NULL) {
        return fail(parser, start, "out of memory");
    }
    tk_free(parser->rule->key_bytes);
    parser->rule->key_bytes = bytes;
    while (!is_end(*parser->at)) {
        const char *at = parser->at;

        if (at[0] != '\\') {
            bytes[len++] = (uint8_t)at[0];
            parser->at++;
        } else if (at[1] == '\\') {
            bytes[len++] = '\\';
            parser->at += 2;
        } else if (at[1] == 'x' && hex_digit(at[2]) >= 0 &&
                   hex_digit(at[3]) >= 0) {
            bytes[len++] =
                (uint8_t)(hex_digit(at[2]) * 16 + hex_digit(at[3]));
            parser->at += 4;
        } else {
            return fail(parser, at, "'\\xNN' or '\\\\' expected");
        }
    }
    parser->rule->key = tk_slice(bytes, len);
    return len > 0 || fail(parser, start, "key expected");
}

/* "0.25"; the part before the point is 0 or 1. */
static bool
take_probability(struct parser *parser)
{
    const char *start = parser->at;
    uint64_t whole = 0;
    uint64_t part = 0;
    uint64_t scale = 1;

    if (!take_number(parser, &whole)) {
        return false;
    }
    if (take(parser, '.')) {
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
    parser->rule->probability =
        (whole << 32) + (part << 32) / scale;
    return true;
}

static bool
take_when(struct parser *parser)
{
    static const struct {
        const char *name;
        enum tk_cl_when when;
    } names[] = { { "nth", TK_CL_WHEN_NTH },
                  { "first", TK_CL_WHEN_FIRST },
                  { "after", TK_CL_WHEN_AFTER },
                  { "every", TK_CL_WHEN_EVERY },
                  { "prob", TK_CL_WHEN_PROB } };
    struct tk_cl_rule *rule = parser->rule;
    const char *start = parser->at;
    size_t i;

    if (take_word(parser, "always")) {
        rule->when = TK_CL_WHEN_ALWAYS;
        return true;
    }
    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!take_word(parser, names[i].name)) {
            continue;
        }
        rule->when = names[i].when;
        if (!expect(parser, '(') ||
            !(rule->when == TK_CL_WHEN_PROB
                  ? take_probability(parser)
                  : take_number(parser, &rule->count))) {
            return false;
        }
        if (rule->count == 0 && (rule->when == TK_CL_WHEN_NTH ||
                                 rule->when == TK_CL_WHEN_EVERY)) {
            return fail(parser, start, "counts start at 1");
        }
        return expect(parser, ')');
    }
    return fail(parser, start, "unknown trigger");
}

static bool
take_delay(struct parser *parser)
{
    struct tk_cl_rule *rule = parser->rule;
    const char *start = parser->at;
    uint64_t low = 0;
    uint64_t high;

    if (!expect(parser, '(') || !take_number(parser, &low)) {
        return false;
    }
    high = low;
    if (take(parser, '.') && (!take(parser, '.') ||
                              !take_number(parser, &high))) {
        return fail(parser, parser->at, "delay(A..B) expected");
    }
    if (high < low || high > INT32_MAX) {
        return fail(parser, start, "delay is out of range");
    }
    if (parser->is_applied) {
        rule->after_min_ns = (int64_t)low * TK_MS;
        rule->after_max_ns = (int64_t)high * TK_MS;
    } else {
        rule->before_min_ns = (int64_t)low * TK_MS;
        rule->before_max_ns = (int64_t)high * TK_MS;
    }
    return expect(parser, ')');
}

static bool
take_status(struct parser *parser)
{
    static const char *const names[] = {
        "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
        "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
        "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL",
        "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"
    };
    int i;

    if (!expect(parser, '(')) {
        return false;
    }
    for (i = 1; i < (int)(sizeof(names) / sizeof(names[0])); i++) {
        if (take_word(parser, names[i])) {
            parser->rule->plan.status = i;
            return expect(parser, ')');
        }
    }
    return fail(parser, parser->at, "unknown status");
}

static bool
take_leader(struct parser *parser, struct tk_cl_error *error)
{
    if (take_word(parser, "none")) {
        error->no_leader = true;
        return true;
    }
    return take_number(parser, &error->leader_store);
}

static bool
take_regions(struct parser *parser, struct tk_cl_error *error)
{
    if (take_word(parser, "none")) {
        error->no_regions = true;
        return true;
    }
    return take_word(parser, "current") ||
           fail(parser, parser->at, "'current' or 'none' expected");
}

/* One ",FIELD=VALUE" of a region error. */
static bool
take_error_field(struct parser *parser, struct tk_cl_error *error)
{
    static const struct {
        const char *name;
        enum tk_cl_error_kind kind;
        size_t offset;
    } numbers[] = {
        { "backoff_ms", TK_CL_SERVER_IS_BUSY,
          offsetof(struct tk_cl_error, backoff_ms) },
        { "estimated_wait_ms", TK_CL_SERVER_IS_BUSY,
          offsetof(struct tk_cl_error, wait_ms) },
        { "entry_size", TK_CL_RAFT_ENTRY_TOO_LARGE,
          offsetof(struct tk_cl_error, number) },
        { "safe_ts", TK_CL_DATA_IS_NOT_READY,
          offsetof(struct tk_cl_error, number) },
        { "flashback_start_ts", TK_CL_FLASHBACK_IN_PROGRESS,
          offsetof(struct tk_cl_error, number) },
        { "version", TK_CL_BUCKET_VERSION_NOT_MATCH,
          offsetof(struct tk_cl_error, number) },
    };
    size_t i;

    if (error->kind == TK_CL_NOT_LEADER && take_word(parser, "leader")) {
        return expect(parser, '=') && take_leader(parser, error);
    }
    if (error->kind == TK_CL_EPOCH_NOT_MATCH &&
        take_word(parser, "regions")) {
        return expect(parser, '=') && take_regions(parser, error);
    }
    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (error->kind == numbers[i].kind &&
            take_word(parser, numbers[i].name)) {
            return expect(parser, '=') &&
                   take_number(parser,
                               (uint64_t *)(void *)((char *)error +
                                                    numbers[i].offset));
        }
    }
    return fail(parser, parser->at, "this error has no such field");
}

static bool
take_region_error(struct parser *parser)
{
    struct tk_cl_error *error = &parser->rule->plan.error;
    int i;

    if (!expect(parser, '(')) {
        return false;
    }
    for (i = 0; i < TK_CL_ERROR_KINDS; i++) {
        if (take_word(parser, tk_cl_error_name((enum tk_cl_error_kind)i))) {
            break;
        }
    }
    if (i == TK_CL_ERROR_KINDS) {
        return fail(parser, parser->at, "unknown region error");
    }
    error->kind = (enum tk_cl_error_kind)i;
    parser->rule->plan.has_error = true;
    while (take(parser, ',')) {
        if (!take_error_field(parser, error)) {
            return false;
        }
    }
    return expect(parser, ')');
}

static bool
take_terminal(struct parser *parser)
{
    struct tk_cl_rule *rule = parser->rule;
    struct tk_cl_plan *plan = &rule->plan;
    const char *start = parser->at;
    bool taken = true;

    if (rule->is_terminal) {
        return fail(parser, start, "a second action after one that ends");
    }
    if (take_word(parser, "drop_request")) {
        plan->silent = true;
        plan->skip = true;
    } else if (take_word(parser, "drop_response")) {
        plan->silent = true;
    } else if (take_word(parser, "break_stream")) {
        plan->break_stream = true;
        plan->skip = !parser->is_applied;
    } else if (take_word(parser, "status")) {
        plan->skip = !parser->is_applied;
        taken = take_status(parser);
    } else if (take_word(parser, "region_error")) {
        plan->skip = !parser->is_applied;
        taken = take_region_error(parser);
    } else {
        return fail(parser, start, "unknown action");
    }
    rule->is_terminal = true;
    return taken;
}

static bool
take_actions(struct parser *parser)
{
    bool any = false;

    do {
        const char *start = parser->at;

        if (take_word(parser, "apply")) {
            parser->is_applied = true;
            continue;
        }
        if (take_word(parser, "delay")) {
            if (parser->rule->is_terminal) {
                return fail(parser, start, "delay comes first");
            }
            if (!take_delay(parser)) {
                return false;
            }
        } else if (!take_terminal(parser)) {
            return false;
        }
        any = true;
    } while (take(parser, ','));
    return any || fail(parser, parser->at, "action expected");
}

static bool
take_item(struct parser *parser, bool *has_actions)
{
    struct tk_cl_rule *rule = parser->rule;
    const char *start = parser->at;

    if (take_word(parser, "on")) {
        return expect(parser, '=') && take_glob(parser);
    }
    if (take_word(parser, "store")) {
        return expect(parser, '=') && take_number(parser, &rule->store_id);
    }
    if (take_word(parser, "region")) {
        return expect(parser, '=') && take_number(parser, &rule->region_id);
    }
    if (take_word(parser, "key")) {
        return expect(parser, '=') && take_key(parser);
    }
    if (take_word(parser, "when")) {
        return expect(parser, '=') && take_when(parser);
    }
    if (take_word(parser, "do")) {
        *has_actions = true;
        return expect(parser, '=') && take_actions(parser);
    }
    return fail(parser, start,
                "on=, store=, region=, key=, when= or do= expected");
}

static bool
parse(struct parser *parser)
{
    bool has_actions = false;

    for (;;) {
        while (*parser->at != '\0' && is_end(*parser->at)) {
            parser->at++;
        }
        if (*parser->at == '\0') {
            break;
        }
        if (!take_item(parser, &has_actions)) {
            return false;
        }
        if (!is_end(*parser->at)) {
            return fail(parser, parser->at, "blank expected");
        }
    }
    if (parser->rule->glob == NULL) {
        return fail(parser, parser->at, "on= is missing");
    }
    return has_actions || fail(parser, parser->at, "do= is missing");
}

tikv_error *
tk_cl_rule_parse(const char *text, struct tk_cl_rule **out)
{
    struct parser parser = { text, text, NULL, NULL, NULL, false };

    *out = NULL;
    parser.rule = tk_calloc(sizeof(*parser.rule));
    if (parser.rule == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    if (!parse(&parser)) {
        tk_cl_rule_free(parser.rule);
        return tk_error(TIKV_ERR_ARGUMENT, "fault rule, at %zu: %s",
                        (size_t)(parser.failed_at - text) + 1,
                        parser.failure);
    }
    *out = parser.rule;
    return NULL;
}

void
tk_cl_rule_free(struct tk_cl_rule *rule)
{
    if (rule != NULL) {
        tk_free(rule->glob);
        tk_free(rule->key_bytes);
        tk_free(rule);
    }
}
