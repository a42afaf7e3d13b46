/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of a transaction: what begin is given, and what replaces it later.
 * Under the transaction's lock once others know it.
 */
#include "txn/txn.h"

#include <string.h>

#include "base/alloc.h"
#include "base/call.h"
#include "base/error.h"
#include "base/slice.h"
#include "wire/proto.h"

#define COMMIT_AFTER_MS 1000

/* Fields of kvrpcpb.Context. */
enum { CONTEXT_DISK_FULL = 19, CONTEXT_TXN_SOURCE = 25 };

/* ---- what the caller wants ---- */

static tikv_error *
check_switch(const char *name, tikv_switch wanted)
{
    return wanted >= TIKV_DEFAULT && wanted <= TIKV_OFF
               ? NULL
               : tk_error(TIKV_ERR_ARGUMENT, "%s is %d: not a switch", name,
                          (int)wanted);
}

static tikv_error *
check_choice(const char *name, uint32_t wanted, uint32_t max)
{
    return wanted <= max
               ? NULL
               : tk_error(TIKV_ERR_ARGUMENT, "%s is %u: not one of 0 .. %u",
                          name, (unsigned)wanted, (unsigned)max);
}

tikv_error *
tk_txn_read_options(const struct tk_config *config,
                    const tikv_txn_options *options, tikv_txn_options *out)
{
    tikv_error *error = tk_options_read(options, sizeof(*out), out);

    if (error == NULL && out->reserved != 0) {
        error = tk_error(TIKV_ERR_ARGUMENT, "reserved is not 0");
    }
    if (error == NULL) {
        error = check_switch("async_commit", out->async_commit);
    }
    if (error == NULL) {
        error = check_switch("one_phase", out->one_phase);
    }
    if (error == NULL) {
        error = check_switch("causal", out->causal);
    }
    if (error == NULL) {
        error =
            check_choice("assertions", out->assertions, TIKV_ASSERTIONS_STRICT);
    }
    if (error == NULL) {
        error = check_choice("locks", out->locks, TIKV_LOCKS_FAIL);
    }
    if (error == NULL) {
        error =
            check_choice("disk_full", out->disk_full, TIKV_DISK_FULL_ALREADY);
    }
    if (error != NULL) {
        return error;
    }
    out->call.struct_size = sizeof(out->call);
    if (out->attempts_count == 0) {
        out->attempts_count =
            (uint32_t)tk_config_int(&config->txn_attempts_count);
    }
    if (out->max_bytes == 0) {
        out->max_bytes = (uint64_t)tk_config_int(&config->txn_max_bytes);
    }
    if (out->max_entry_bytes == 0) {
        out->max_entry_bytes =
            (uint64_t)tk_config_int(&config->txn_max_entry_bytes);
    }
    if (out->commit_after_ms == 0) {
        out->commit_after_ms = COMMIT_AFTER_MS;
    }
    return NULL;
}

static bool
is_on(tikv_switch wanted, const tk_setting *setting)
{
    return wanted == TIKV_DEFAULT ? tk_config_int(setting) != 0
                                  : wanted == TIKV_ON;
}

static uint8_t *
put_number(uint8_t *at, uint32_t field, uint64_t number)
{
    if (number != 0) {
        at = tk_varint_put(at, field << 3 | TK_WIRE_VARINT);
        at = tk_varint_put(at, number);
    }
    return at;
}

static void
set_rules(tikv_txn *txn, const tikv_txn_options *options)
{
    const struct tk_config *config = txn->client->router.config;
    uint64_t after_ts = txn->rules.commit_after_ts;
    uint8_t *end;

    txn->rules = (struct tk_commit_rules){
        .async_commit = is_on(options->async_commit, &config->txn_async_commit),
        .one_phase = is_on(options->one_phase, &config->txn_one_phase),
        .causal = options->causal == TIKV_ON,
        .fails_on_locks = options->locks == TIKV_LOCKS_FAIL,
        .assertions = (uint8_t)options->assertions,
        .commit_after_ts = options->commit_after_ts > after_ts
                               ? options->commit_after_ts
                               : after_ts,
        .commit_after_ms = options->commit_after_ms,
        .schema_check = options->schema_check,
        .commit_check = options->commit_check,
        .filter = options->filter,
        .log = options->log,
        .logged = options->logged,
        .arg = options->arg,
    };
    end = put_number(txn->context, CONTEXT_DISK_FULL, options->disk_full);
    end = put_number(end, CONTEXT_TXN_SOURCE, options->source);
    txn->rules.context = tk_slice(txn->context, (size_t)(end - txn->context));
    txn->on_end = options->on_end;
    txn->on_background = options->on_background;
    txn->on_memory = options->on_memory;
    txn->arg = options->arg;
}

/* ---- the part of every call ---- */

static size_t
text_size(const char *text)
{
    return text == NULL ? 0 : strlen(text) + 1;
}

static const char *
copy_text(const char *text, uint8_t **at)
{
    size_t size = text_size(text);
    char *copy = (char *)*at;

    if (text == NULL) {
        return NULL;
    }
    memcpy(copy, text, size);
    *at += size;
    return copy;
}

static size_t
call_size(const tikv_call *call)
{
    return text_size(call->request_source) + text_size(call->resource_group) +
           call->resource_tag.len + call->trace_id.len;
}

static tikv_slice
copy_bytes(tikv_slice bytes, uint8_t **at)
{
    tikv_slice copy = { NULL, 0 };

    if (bytes.len != 0) {
        memcpy(*at, bytes.data, bytes.len);
        copy = tk_slice(*at, bytes.len);
        *at += bytes.len;
    }
    return copy;
}

/* What the calls of the transaction have in common. Calls that go on may
 * still read the texts of before, so those stay. */
static bool
set_call(tikv_txn *txn, const tikv_call *call)
{
    size_t size = call_size(call);
    struct tk_txn_texts *texts = NULL;
    uint8_t *at = NULL;

    if (size != 0) {
        texts = tk_alloc(sizeof(*texts) + size);
        if (texts == NULL) {
            return false;
        }
        texts->next = txn->texts;
        txn->texts = texts;
        at = texts->bytes;
    }
    txn->call = (tikv_call)TIKV_CALL_INIT;
    txn->call.request_source = copy_text(call->request_source, &at);
    txn->call.resource_group = copy_text(call->resource_group, &at);
    txn->call.resource_tag = copy_bytes(call->resource_tag, &at);
    txn->call.trace_id = copy_bytes(call->trace_id, &at);
    txn->call.priority = call->priority;
    return true;
}

void
tk_txn_free_texts(tikv_txn *txn)
{
    while (txn->texts != NULL) {
        struct tk_txn_texts *texts = txn->texts;

        txn->texts = texts->next;
        tk_free(texts);
    }
}

bool
tk_txn_apply_options(tikv_txn *txn, const tikv_txn_options *options)
{
    if (!set_call(txn, &options->call)) {
        return false;
    }
    tk_buffer_set_limits(txn->buffer, options->max_entry_bytes,
                         options->max_bytes);
    set_rules(txn, options);
    return true;
}

tikv_error *
tk_txn_set_options(tikv_txn *txn, const tikv_txn_options *options)
{
    tikv_error *error = tk_txn_open(txn);
    uint64_t size;

    if (error != NULL) {
        return error;
    }
    size = tk_buffer_size(txn->buffer);
    if (size > options->max_bytes) {
        error = tk_error(TIKV_ERR_TOO_LARGE,
                         "%llu bytes are written, more than max_bytes, %llu",
                         (unsigned long long)size,
                         (unsigned long long)options->max_bytes);
        tk_error_set_u64(error, TIKV_ERROR_SIZE_BYTES, size);
        tk_error_set_u64(error, TIKV_ERROR_LIMIT_BYTES, options->max_bytes);
    } else if (!tk_txn_apply_options(txn, options)) {
        error = tk_error_immortal(TIKV_ERR_MEMORY);
    }
    tk_mutex_unlock(&txn->lock);
    return error;
}

void
tk_txn_call(tikv_txn *txn, const tikv_call *call, tikv_call *out)
{
    tikv_call own;

    tk_mutex_lock(&txn->lock);
    own = txn->call;
    tk_mutex_unlock(&txn->lock);
    if (call == NULL) {
        *out = own;
        return;
    }
    *out = *call;
    out->struct_size = sizeof(*out);
    if (out->request_source == NULL) {
        out->request_source = own.request_source;
    }
    if (out->resource_group == NULL) {
        out->resource_group = own.resource_group;
    }
    if (out->resource_tag.data == NULL) {
        out->resource_tag = own.resource_tag;
    }
    if (out->trace_id.data == NULL) {
        out->trace_id = own.trace_id;
    }
    if (out->priority == TIKV_PRIORITY_NORMAL) {
        out->priority = own.priority;
    }
}
