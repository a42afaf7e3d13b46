/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors and their public readers. One block for the error, one for each
 * text, key and list it carries; whatever does not fit into memory is left
 * out, the code never is. The immortal errors are static and never written
 * to, so that any thread may hold them. No locks.
 */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

#define FIELDS (TIKV_ERROR_REGION_MOVED + 1)
#define TEXTS (TIKV_ERROR_LOCK_KEY - TIKV_ERROR_KEY + 1)

/* One edge of a deadlock; the key stands behind it. */
struct edge {
    struct edge *next;
    uint64_t txn;
    uint64_t wait_for_txn;
    size_t key_len;
    uint8_t key[];
};

struct tikv_error {
    tikv_code code;
    bool is_immortal;
    const char *message; /* own block, or literal when `owned` is NULL */
    char *owned;
    tikv_slice texts[TEXTS]; /* own blocks; the key comes first */
    struct edge *edges;
    tikv_key_outcome *outcomes; /* own block */
    size_t outcomes_count;
    uint64_t numbers[FIELDS];
    uint64_t slept_ms[TK_BACKOFF_KINDS];
    bool has_details;
    tikv_details details;
};

struct code_row {
    tikv_code code;
    tikv_class class;
    const char *name;
};

static const struct code_row codes[] = {
    { TIKV_OK, TIKV_CLASS_NONE, "OK" },
    { TIKV_ERR_ARGUMENT, TIKV_CLASS_PERMANENT, "ARGUMENT" },
    { TIKV_ERR_STATE, TIKV_CLASS_PERMANENT, "STATE" },
    { TIKV_ERR_NOT_READY, TIKV_CLASS_RETRY_CALL, "NOT_READY" },
    { TIKV_ERR_TAKEN, TIKV_CLASS_PERMANENT, "TAKEN" },
    { TIKV_ERR_KIND, TIKV_CLASS_PERMANENT, "KIND" },
    { TIKV_ERR_UNSUPPORTED, TIKV_CLASS_PERMANENT, "UNSUPPORTED" },
    { TIKV_ERR_MEMORY, TIKV_CLASS_RETRY_CALL, "MEMORY" },
    { TIKV_ERR_CANCELLED, TIKV_CLASS_CANCELLED, "CANCELLED" },
    { TIKV_ERR_TIMEOUT, TIKV_CLASS_TIMEOUT, "TIMEOUT" },
    { TIKV_ERR_CLOSED, TIKV_CLASS_PERMANENT, "CLOSED" },
    { TIKV_ERR_FORKED, TIKV_CLASS_PERMANENT, "FORKED" },
    { TIKV_ERR_OVERLOAD, TIKV_CLASS_RETRY_CALL, "OVERLOAD" },
    { TIKV_ERR_UNAVAILABLE, TIKV_CLASS_RETRY_CALL, "UNAVAILABLE" },
    { TIKV_ERR_SECURITY, TIKV_CLASS_PERMANENT, "SECURITY" },
    { TIKV_ERR_PROTOCOL, TIKV_CLASS_PERMANENT, "PROTOCOL" },
    { TIKV_ERR_SERVER, TIKV_CLASS_PERMANENT, "SERVER" },
    { TIKV_ERR_CLUSTER_MISMATCH, TIKV_CLASS_PERMANENT, "CLUSTER_MISMATCH" },
    { TIKV_ERR_SERVER_BUSY, TIKV_CLASS_RETRY_CALL, "SERVER_BUSY" },
    { TIKV_ERR_DISK_FULL, TIKV_CLASS_RETRY_CALL, "DISK_FULL" },
    { TIKV_ERR_THROTTLED, TIKV_CLASS_RETRY_CALL, "THROTTLED" },
    { TIKV_ERR_REGION, TIKV_CLASS_RETRY_CALL, "REGION" },
    { TIKV_ERR_PD, TIKV_CLASS_RETRY_CALL, "PD" },
    { TIKV_ERR_WRITE_CONFLICT, TIKV_CLASS_RETRY_TXN, "WRITE_CONFLICT" },
    { TIKV_ERR_KEY_EXISTS, TIKV_CLASS_PERMANENT, "KEY_EXISTS" },
    { TIKV_ERR_DEADLOCK, TIKV_CLASS_RETRY_TXN, "DEADLOCK" },
    { TIKV_ERR_LOCK_WAIT, TIKV_CLASS_RETRY_TXN, "LOCK_WAIT" },
    { TIKV_ERR_ABORTED, TIKV_CLASS_RETRY_TXN, "ABORTED" },
    { TIKV_ERR_TOO_LARGE, TIKV_CLASS_PERMANENT, "TOO_LARGE" },
    { TIKV_ERR_TOO_OLD, TIKV_CLASS_RETRY_TXN, "TOO_OLD" },
    { TIKV_ERR_UNDETERMINED, TIKV_CLASS_UNDETERMINED, "UNDETERMINED" },
    { TIKV_ERR_NO_WAIT, TIKV_CLASS_RETRY_TXN, "NO_WAIT" },
    { TIKV_ERR_ASSERTION, TIKV_CLASS_PERMANENT, "ASSERTION" },
    { TIKV_ERR_USER, TIKV_CLASS_PERMANENT, "USER" }
};

static struct tikv_error immortals[] = {
    { .code = TIKV_ERR_MEMORY,
      .is_immortal = true,
      .message = "out of memory" },
    { .code = TIKV_ERR_CANCELLED,
      .is_immortal = true,
      .message = "the call was cancelled" },
    { .code = TIKV_ERR_TIMEOUT,
      .is_immortal = true,
      .message = "the deadline passed" },
    { .code = TIKV_ERR_CLOSED,
      .is_immortal = true,
      .message = "the client is closed" },
    { .code = TIKV_ERR_FORKED,
      .is_immortal = true,
      .message = "the handle was opened before a fork" }
};

static const struct code_row *
find_code(tikv_code code)
{
    size_t i;

    for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (codes[i].code == code) {
            return &codes[i];
        }
    }
    return NULL;
}

const char *
tikv_code_name(tikv_code code)
{
    const struct code_row *row = find_code(code);

    return row == NULL ? "UNKNOWN" : row->name;
}

const char *
tk_backoff_name(enum tk_backoff_kind kind)
{
    static const char *const names[] = {
#define TK_BACKOFF(id, name, base_ms, cap_ms, jitter, code) name,
#include "base/backoff.def"
#undef TK_BACKOFF
    };

    return (size_t)kind < TK_BACKOFF_KINDS ? names[kind] : "";
}

tikv_error *
tk_error_immortal(tikv_code code)
{
    size_t i;

    for (i = 0; i < sizeof(immortals) / sizeof(immortals[0]); i++) {
        if (immortals[i].code == code) {
            return &immortals[i];
        }
    }
    return &immortals[0];
}

bool
tk_error_is_immortal(const tikv_error *error)
{
    return error != NULL && error->is_immortal;
}

/* The formatted text with `tail` behind it; one line whatever the bytes are.
 * NULL without memory. */
static char *
format_line(const char *tail, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

static char *
format_line(const char *tail, const char *format, va_list args)
{
    va_list again;
    size_t tail_len = strlen(tail);
    char *line = NULL;
    char *at;
    int len;

    va_copy(again, args);
    len = vsnprintf(NULL, 0, format, args);
    if (len >= 0) {
        line = tk_alloc((size_t)len + tail_len + 1);
    }
    if (line != NULL) {
        vsnprintf(line, (size_t)len + 1, format, again);
        memcpy(line + len, tail, tail_len + 1);
        for (at = line; *at != '\0'; at++) {
            if ((unsigned char)*at < 0x20) {
                *at = ' ';
            }
        }
    }
    va_end(again);
    return line;
}

/* Takes `line` over. */
static tikv_error *
make(tikv_code code, char *line)
{
    tikv_error *error = tk_calloc(sizeof(*error));

    if (error == NULL) {
        tk_free(line);
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    error->code = code;
    error->owned = line;
    error->message = line != NULL ? line : tikv_code_name(code);
    return error;
}

tikv_error *
tk_error(tikv_code code, const char *format, ...)
{
    va_list args;
    char *line;

    va_start(args, format);
    line = format_line("", format, args);
    va_end(args);
    return make(code, line);
}

tikv_error *
tikv_error_new(tikv_code code, const char *message)
{
    if (message == NULL) {
        return make(code, NULL);
    }
    return tk_error(code, "%s", message);
}

/* The blocks are the error's own, whatever the slice says. */
static void
free_text(tikv_slice *text)
{
    tk_free((void *)(uintptr_t)text->data);
    *text = (tikv_slice){ NULL, 0 };
}

static void
copy_bytes(const tikv_error *from, tikv_error *to)
{
    const struct edge *edge;
    tikv_error_field i;

    for (i = 0; i < TEXTS; i++) {
        tk_error_set_bytes(to, TIKV_ERROR_KEY + i, from->texts[i]);
    }
    for (edge = from->edges; edge != NULL; edge = edge->next) {
        tk_error_add_wait(to, edge->txn, edge->wait_for_txn,
                          (tikv_slice){ edge->key, edge->key_len });
    }
}

tikv_error *
tk_error_copy(const tikv_error *error)
{
    tikv_error *copy;

    if (error == NULL) {
        return NULL;
    }
    copy = make(error->code, tk_strdup(error->message));
    if (copy->is_immortal) {
        return copy;
    }
    memcpy(copy->numbers, error->numbers, sizeof(copy->numbers));
    memcpy(copy->slept_ms, error->slept_ms, sizeof(copy->slept_ms));
    copy_bytes(error, copy);
    copy->has_details = error->has_details;
    copy->details = error->details;
    if (error->outcomes_count != 0) {
        tk_error_set_outcomes(copy, error->outcomes, error->outcomes_count);
    }
    return copy;
}

tikv_error *
tk_error_mortal(tikv_error *error)
{
    return error->is_immortal ? tk_error_copy(error) : error;
}

tikv_error *
tk_error_wrap(tikv_error *error, const char *format, ...)
{
    size_t prefix_len;
    size_t message_size;
    va_list args;
    char *prefix;
    char *line;

    if (error == NULL) {
        return NULL;
    }
    error = tk_error_mortal(error);
    if (error->is_immortal) {
        return error;
    }
    va_start(args, format);
    prefix = format_line(": ", format, args);
    va_end(args);
    if (prefix == NULL) {
        return error;
    }
    prefix_len = strlen(prefix);
    message_size = strlen(error->message) + 1;
    line = tk_realloc(prefix, prefix_len + message_size);
    if (line == NULL) {
        tk_free(prefix);
        return error;
    }
    memcpy(line + prefix_len, error->message, message_size);
    tk_free(error->owned);
    error->owned = line;
    error->message = line;
    return error;
}

tikv_error *
tk_error_recode(tikv_error *error, tikv_code code)
{
    if (error == NULL || error->code == code) {
        return error;
    }
    if (error->is_immortal) {
        return make(code, tk_strdup(error->message));
    }
    error->code = code;
    if (error->owned == NULL) {
        error->message = tikv_code_name(code);
    }
    return error;
}

void
tk_error_set_u64(tikv_error *error, tikv_error_field field, uint64_t number)
{
    if (error != NULL && !error->is_immortal && field > 0 && field < FIELDS) {
        error->numbers[field] = number;
    }
}

static bool
is_bytes(tikv_error_field field)
{
    return field >= TIKV_ERROR_KEY && field < TIKV_ERROR_KEY + TEXTS;
}

void
tk_error_set_bytes(tikv_error *error, tikv_error_field field, tikv_slice bytes)
{
    tikv_slice *text;
    uint8_t *copy;

    if (error == NULL || error->is_immortal || bytes.data == NULL ||
        !is_bytes(field)) {
        return;
    }
    copy = tk_alloc(bytes.len);
    if (copy == NULL) {
        return;
    }
    memcpy(copy, bytes.data, bytes.len);
    text = &error->texts[field - TIKV_ERROR_KEY];
    free_text(text);
    *text = (tikv_slice){ copy, bytes.len };
}

void
tk_error_set_key(tikv_error *error, tikv_slice key)
{
    tk_error_set_bytes(error, TIKV_ERROR_KEY, key);
}

void
tk_error_add_wait(tikv_error *error, uint64_t txn, uint64_t wait_for_txn,
                  tikv_slice key)
{
    struct edge **at;
    struct edge *edge;

    if (error == NULL || error->is_immortal) {
        return;
    }
    edge = tk_alloc(sizeof(*edge) + key.len);
    if (edge == NULL) {
        return;
    }
    *edge = (struct edge){ NULL, txn, wait_for_txn, key.len };
    if (key.len != 0) {
        memcpy(edge->key, key.data, key.len);
    }
    at = &error->edges;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = edge;
}

void
tk_error_set_backoff(tikv_error *error, enum tk_backoff_kind kind,
                     uint64_t slept_ms)
{
    if (error != NULL && !error->is_immortal &&
        (size_t)kind < TK_BACKOFF_KINDS) {
        error->slept_ms[kind] = slept_ms;
    }
}

void
tk_error_set_spent(tikv_error *error, const struct tk_spent *spent)
{
    if (error != NULL && !error->is_immortal) {
        error->has_details = true;
        error->details.spent = *spent;
    }
}

const tikv_details *
tikv_error_details(const tikv_error *error)
{
    return error == NULL || !error->has_details ? NULL : &error->details;
}

bool
tk_error_set_outcomes(tikv_error *error, const tikv_key_outcome *outcomes,
                      size_t count)
{
    tikv_key_outcome *copy;

    if (error == NULL || error->is_immortal) {
        return false;
    }
    copy = tk_alloc_array(count, sizeof(*copy));
    tk_free(error->outcomes);
    error->outcomes = copy;
    error->outcomes_count = copy == NULL ? 0 : count;
    if (copy == NULL) {
        return false;
    }
    if (count != 0) {
        memcpy(copy, outcomes, count * sizeof(*copy));
    }
    return true;
}

tikv_code
tikv_error_code(const tikv_error *error)
{
    return error == NULL ? TIKV_OK : error->code;
}

tikv_class
tikv_error_class(const tikv_error *error)
{
    const struct code_row *row = find_code(tikv_error_code(error));

    return row == NULL ? TIKV_CLASS_PERMANENT : row->class;
}

const char *
tikv_error_message(const tikv_error *error)
{
    return error == NULL ? "success" : error->message;
}

tikv_slice
tikv_error_key(const tikv_error *error)
{
    return tikv_error_bytes(error, TIKV_ERROR_KEY);
}

uint64_t
tikv_error_region(const tikv_error *error)
{
    return tikv_error_u64(error, TIKV_ERROR_REGION_ID);
}

static bool
has_outcome(const tikv_error *error, tikv_key_outcome outcome)
{
    size_t i;

    for (i = 0; i < error->outcomes_count; i++) {
        if (error->outcomes[i] == outcome) {
            return true;
        }
    }
    return false;
}

bool
tikv_error_is_retryable(const tikv_error *error)
{
    tikv_class class = tikv_error_class(error);

    /* A batch of which a part was done does not qualify. */
    return (class == TIKV_CLASS_RETRY_CALL || class == TIKV_CLASS_RETRY_TXN) &&
           !has_outcome(error, TIKV_KEY_DONE) &&
           !has_outcome(error, TIKV_KEY_UNKNOWN);
}

bool
tikv_error_is_undetermined(const tikv_error *error)
{
    return error != NULL && (error->code == TIKV_ERR_UNDETERMINED ||
                             has_outcome(error, TIKV_KEY_UNKNOWN));
}

uint64_t
tikv_error_u64(const tikv_error *error, tikv_error_field field)
{
    return error == NULL || field <= 0 || field >= FIELDS
               ? 0
               : error->numbers[field];
}

tikv_slice
tikv_error_bytes(const tikv_error *error, tikv_error_field field)
{
    return error == NULL || !is_bytes(field)
               ? (tikv_slice){ NULL, 0 }
               : error->texts[field - TIKV_ERROR_KEY];
}

bool
tikv_error_wait(const tikv_error *error, size_t place, uint64_t *txn,
                uint64_t *wait_for_txn, tikv_slice *key)
{
    const struct edge *edge = error == NULL ? NULL : error->edges;

    while (edge != NULL && place-- != 0) {
        edge = edge->next;
    }
    if (edge == NULL) {
        return false;
    }
    if (txn != NULL) {
        *txn = edge->txn;
    }
    if (wait_for_txn != NULL) {
        *wait_for_txn = edge->wait_for_txn;
    }
    if (key != NULL) {
        *key = (tikv_slice){ edge->key, edge->key_len };
    }
    return true;
}

bool
tikv_error_backoff(const tikv_error *error, size_t place, const char **kind,
                   uint64_t *slept_ms)
{
    size_t i;

    for (i = 0; error != NULL && i < TK_BACKOFF_KINDS; i++) {
        if (error->slept_ms[i] == 0 || place-- != 0) {
            continue;
        }
        if (kind != NULL) {
            *kind = tk_backoff_name((enum tk_backoff_kind)i);
        }
        if (slept_ms != NULL) {
            *slept_ms = error->slept_ms[i];
        }
        return true;
    }
    return false;
}

size_t
tikv_error_outcomes_count(const tikv_error *error)
{
    return error == NULL ? 0 : error->outcomes_count;
}

tikv_key_outcome
tikv_error_outcome(const tikv_error *error, size_t place)
{
    return place < tikv_error_outcomes_count(error) ? error->outcomes[place]
                                                    : TIKV_KEY_NOT_DONE;
}

void
tikv_error_free(tikv_error *error)
{
    size_t i;

    if (error == NULL || error->is_immortal) {
        return;
    }
    tk_free(error->owned);
    for (i = 0; i < TEXTS; i++) {
        free_text(&error->texts[i]);
    }
    while (error->edges != NULL) {
        struct edge *edge = error->edges;

        error->edges = edge->next;
        tk_free(edge);
    }
    tk_free(error->outcomes);
    tk_free(error);
}
