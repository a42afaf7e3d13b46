/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every raw operation does alike: setting up a job, the errors that TiKV
 * answers with. No state; any thread.
 */
#include "base/error.h"
#include "base/redact.h"
#include "raw/inner.h"

#include "kvrpcpb.upb.h"

/* Longest work that TiKV is asked for in one request of a kind that names a
 * limit of its own. */
#define EXECUTION_MS 20000

#define ERROR_TEXT_MAX 400

struct kind {
    enum tk_command command;
    bool limits_execution;
    tikv_error *(*run)(struct tk_raw_run *);
};

static const struct kind kinds[TK_RAW_KINDS] = {
    [TK_RAW_GET] = { TK_CMD_RAW_GET, false, tk_raw_point },
    [TK_RAW_PUT] = { TK_CMD_RAW_PUT, false, tk_raw_point },
    [TK_RAW_DELETE] = { TK_CMD_RAW_DELETE, true, tk_raw_point },
    [TK_RAW_SWAP] = { TK_CMD_RAW_COMPARE_AND_SWAP, true, tk_raw_swap },
    [TK_RAW_TTL] = { TK_CMD_RAW_GET_KEY_TTL, false, tk_raw_ttl },
    [TK_RAW_BATCH_GET] = { TK_CMD_RAW_BATCH_GET, true, tk_raw_batch_get },
    [TK_RAW_BATCH_PUT] = { TK_CMD_RAW_BATCH_PUT, true, tk_raw_batch_write },
    [TK_RAW_BATCH_DELETE] = { TK_CMD_RAW_BATCH_DELETE, true,
                              tk_raw_batch_write },
    [TK_RAW_DELETE_RANGE] = { TK_CMD_RAW_DELETE_RANGE, true,
                              tk_raw_delete_range },
    [TK_RAW_SCAN] = { TK_CMD_RAW_SCAN, false, tk_raw_scan },
    [TK_RAW_BATCH_SCAN] = { TK_CMD_RAW_SCAN, false, tk_raw_batch_scan },
    [TK_RAW_CHECKSUM] = { TK_CMD_RAW_CHECKSUM, false, tk_raw_checksum },
};

enum tk_command
tk_raw_command(enum tk_raw_kind kind)
{
    return kinds[kind].command;
}

uint64_t
tk_raw_max_execution_ms(const struct tk_config *config, enum tk_raw_kind kind)
{
    int64_t attempt = tk_config_int(&config->rpc_attempt_timeout_ms);

    if (!kinds[kind].limits_execution) {
        return 0;
    }
    return (uint64_t)(attempt < EXECUTION_MS ? attempt : EXECUTION_MS);
}

tikv_error *
tk_raw_run(struct tk_router *router, struct tk_op *op, const struct tk_raw *raw,
           struct tk_first *first, struct tk_outcome *outcome)
{
    struct tk_raw_run run = { router, op, raw, first, outcome };
    tikv_error *error = kinds[raw->kind].run(&run);

    if (error != NULL) {
        tk_raw_outcome_fini(outcome);
    }
    return error;
}

void
tk_raw_outcome_fini(struct tk_outcome *outcome)
{
    tikv_value_free(outcome->value);
    tikv_pairs_free(outcome->pairs);
    outcome->value = NULL;
    outcome->pairs = NULL;
}

void
tk_raw_job_init(struct tk_job *job, const struct tk_job_ops *ops,
                const struct tk_raw_run *run, enum tk_command command)
{
    const struct tk_config *config = run->router->config;

    memset(job, 0, sizeof(*job));
    job->ops = ops;
    job->command = command;
    job->budget_ms = tk_config_int(&config->backoff_raw_ms) *
                     tk_config_int(&config->backoff_weight);
    job->max_execution_ms = tk_raw_max_execution_ms(config, run->raw->kind);
}

/* TiKV says so in words only, with and without its error's name. */
static bool
says_no_ttl(tikv_slice text)
{
    static const char *const phrases[] = { "ttl is not enabled",
                                           "ttlnotenabled", "ttl not enabled" };
    char lower[ERROR_TEXT_MAX + 1];
    size_t len = text.len < ERROR_TEXT_MAX ? text.len : ERROR_TEXT_MAX;
    size_t i;

    for (i = 0; i < len; i++) {
        uint8_t byte = text.data[i];

        lower[i] = (char)(byte >= 'A' && byte <= 'Z' ? byte + 32 : byte);
    }
    lower[len] = '\0';
    for (i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++) {
        if (strstr(lower, phrases[i]) != NULL) {
            return true;
        }
    }
    return false;
}

tikv_error *
tk_raw_server_error(const struct tk_job *job, tikv_slice text)
{
    if (text.len == 0) {
        return NULL;
    }
    return tk_error_said(
        says_no_ttl(text) ? TIKV_ERR_UNSUPPORTED : TIKV_ERR_SERVER,
        tk_command_row(job->command)->name, (const char *)text.data, text.len);
}

tikv_error *
tk_raw_pair_error(const struct tk_job *job, const kvrpcpb_KvPair *pair)
{
    const kvrpcpb_KeyError *problem = kvrpcpb_KvPair_error(pair);
    upb_StringView text;
    tikv_error *error;
    tikv_slice words;

    if (problem == NULL) {
        return NULL;
    }
    text = kvrpcpb_KeyError_abort(problem);
    if (text.size == 0) {
        text = kvrpcpb_KeyError_retryable(problem);
    }
    words = text.size == 0 ? tk_slice_text("an error of the key")
                           : tk_slice(text.data, text.size);
    error = tk_raw_server_error(job, words);
    if (kvrpcpb_KvPair_key(pair).size != 0) {
        tk_error_set_key(error, tk_message_bytes(kvrpcpb_KvPair_key(pair)));
    }
    return error;
}

tikv_error *
tk_raw_value_of(const struct tk_peek *peek, struct tk_frame *frame,
                tikv_value **out)
{
    bool alias = peek->value.len >= TK_VALUE_ALIAS_MIN && frame != NULL;

    *out = NULL;
    if (peek->not_found) {
        return NULL;
    }
    if (alias) {
        tk_frame_ref(frame);
    }
    *out = tk_value_new(peek->value, alias ? frame : NULL);
    return *out == NULL ? tk_error_immortal(TIKV_ERR_MEMORY) : NULL;
}
