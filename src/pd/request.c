/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One unary call to PD's leader, tried again by the rules of PD-11: texts
 * that tell of another leader lead to a look for it and a try at once, then
 * every 100 ms; silence and unavailability to a look and a pause of kind
 * pdRPC. It ends with the op or with the budget of pauses. Runs on the
 * caller's thread; takes members.lock for a moment, through members.c.
 */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/redact.h"
#include "base/slice.h"
#include "pd/inner.h"
#include "wire/proto.h"

#include "pdpb.upb.h"

enum {
    LEADER_TRIES = 20,
    LEADER_PAUSE_MS = 100,
    DETAILS_MAX = 160,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_UNAVAILABLE = 14,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_UNAUTHENTICATED = 16
};

enum verdict { ANSWERED, OTHER_LEADER, TRY_AGAIN, HOPELESS };

/* One attempt; done fills it and sets the signal last. */
struct attempt {
    struct tk_request request;
    struct tk_signal signal;
    enum tk_reply_status status;
    int grpc;
    tikv_slice data;
    struct tk_frame *frame;
    char details[DETAILS_MAX];
};

static bool
has_text(const char *text, size_t len, const char *word)
{
    return len != 0 && memmem(text, len, word, strlen(word)) != NULL;
}

enum tk_pd_text
tk_pd_text(const char *text, size_t len)
{
    static const char *const leader[] = { "no leader", "not leader",
                                          "is not served", "not primary",
                                          "mismatch callee id" };
    size_t i;

    if (has_text(text, len, "mismatch cluster id")) {
        return TK_PD_TEXT_MISMATCH;
    }
    for (i = 0; i < sizeof(leader) / sizeof(leader[0]); i++) {
        if (has_text(text, len, leader[i])) {
            return TK_PD_TEXT_LEADER;
        }
    }
    return TK_PD_TEXT_OTHER;
}

struct pdpb_RequestHeader *
tk_pd_header(struct tk_pd *pd, struct tk_arena *arena)
{
    pdpb_RequestHeader *header = pdpb_RequestHeader_new(arena->upb);

    if (header != NULL) {
        pdpb_RequestHeader_set_cluster_id(header, pd->cluster_id);
        pdpb_RequestHeader_set_caller_id(header,
                                         upb_StringView_FromString("libtikv"));
    }
    return header;
}

int64_t
tk_pd_pause_ms(struct tk_pd *pd, unsigned n)
{
    /* The row of kind pdRPC, with equal jitter. */
    static const int64_t rows[][2] = {
#define TK_BACKOFF(id, name, base_ms, cap_ms, jitter, code) { base_ms, cap_ms },
#include "base/backoff.def"
#undef TK_BACKOFF
    };
    int64_t base = rows[TK_BACKOFF_PD_RPC][0];
    int64_t cap = rows[TK_BACKOFF_PD_RPC][1];
    int64_t full = n >= 16 || base << n > cap ? cap : base << n;
    uint64_t random = pd->rt->ops->random(pd->rt);

    return full / 2 + (int64_t)(random % (uint64_t)(full / 2));
}

static void
attempt_done(struct tk_request *request, const struct tk_reply *reply,
             struct tk_wakes *wakes)
{
    struct attempt *attempt = (struct attempt *)(void *)request;

    attempt->status = reply->status;
    attempt->grpc = reply->grpc;
    attempt->data = tk_slice(reply->data, reply->len);
    attempt->frame = reply->frame;
    snprintf(attempt->details, sizeof(attempt->details), "%s", reply->details);
    tk_signal_set(&attempt->signal, wakes);
}

/* Sends once and waits: what came back is in `attempt`. Takes over a
 * reference of `conn`, which may be NULL. */
static tikv_error *
send_once(struct tk_pd *pd, struct tk_op *op, struct tk_conn *conn,
          const char *const *metadata, const struct tk_pd_ask *ask,
          struct attempt *attempt)
{
    int64_t until =
        tk_after(tk_now(pd->rt), tk_config_ns(&pd->config->pd_timeout_ms));
    enum tk_submit submitted;
    tikv_error *error;
    bool never_sent;

    memset(attempt, 0, sizeof(*attempt));
    if (conn == NULL) {
        attempt->status = TK_REPLY_FAILED;
        snprintf(attempt->details, DETAILS_MAX, "no leader is known");
        return NULL;
    }
    tk_signal_init(&attempt->signal, op);
    attempt->request.done = attempt_done;
    attempt->request.parts.command = ask->command;
    attempt->request.parts.body = tk_slice(ask->body.data, ask->body.len);
    attempt->request.deadline = until < op->deadline ? until : op->deadline;
    submitted = tk_conn_submit_alone(conn, &attempt->request, metadata);
    tk_conn_unref(conn);
    if (submitted != TK_SUBMIT_OK) {
        attempt->status = submitted == TK_SUBMIT_CLOSED ? TK_REPLY_CLOSED
                                                        : TK_REPLY_FAILED;
        snprintf(attempt->details, DETAILS_MAX, "too much is in flight");
        return NULL;
    }
    error = tk_op_await(op, &attempt->signal);
    if (error != NULL &&
        !tk_request_take_back(&attempt->request, &never_sent)) {
        tk_op_await_surely(op, &attempt->signal);
        tk_frame_unref(attempt->frame, 1);
    }
    return error;
}

/* Field 1 of every response of PD. */
static const pdpb_ResponseHeader *
read_header(struct tk_arena *arena, tikv_slice data)
{
    struct tk_cursor cursor = { data.data, data.data + data.len };
    struct tk_field field;

    while (tk_cursor_field(&cursor, &field)) {
        if (field.number == 1 && field.type == TK_WIRE_BYTES) {
            return tk_arena_decode(arena, &pdpb_ResponseHeader_msginit,
                                   field.bytes.data, field.bytes.len, NULL);
        }
    }
    return NULL;
}

static enum verdict
judge_text(const char *text, size_t len, tikv_error **cause)
{
    enum tk_pd_text kind = tk_pd_text(text, len);
    tikv_code code =
        kind == TK_PD_TEXT_MISMATCH ? TIKV_ERR_CLUSTER_MISMATCH : TIKV_ERR_PD;

    *cause = tk_error_said(code, "PD", text, len);
    return kind == TK_PD_TEXT_MISMATCH ? HOPELESS
           : kind == TK_PD_TEXT_LEADER ? OTHER_LEADER
                                       : TRY_AGAIN;
}

static enum verdict
judge_failure(const struct attempt *attempt, tikv_error **cause)
{
    if (attempt->status == TK_REPLY_CLOSED) {
        *cause = tk_error_immortal(TIKV_ERR_CLOSED);
        return HOPELESS;
    }
    if (attempt->status == TK_REPLY_EXPIRED) {
        *cause = tk_error(TIKV_ERR_PD, "PD: no answer in time");
        return TRY_AGAIN;
    }
    if (attempt->grpc == GRPC_UNIMPLEMENTED) {
        *cause = tk_error(TIKV_ERR_UNSUPPORTED, "PD: %s", attempt->details);
        return HOPELESS;
    }
    if (attempt->grpc == GRPC_UNAUTHENTICATED ||
        attempt->grpc == GRPC_PERMISSION_DENIED) {
        *cause = tk_error(TIKV_ERR_SECURITY, "PD: %s", attempt->details);
        return HOPELESS;
    }
    return judge_text(attempt->details, strlen(attempt->details), cause);
}

static enum verdict
judge_answer(struct tk_pd *pd, const struct tk_pd_ask *ask,
             const struct attempt *attempt, struct tk_arena *arena,
             const void **out, tikv_error **cause)
{
    const pdpb_ResponseHeader *header = read_header(arena, attempt->data);
    const pdpb_Error *fault =
        header == NULL ? NULL : pdpb_ResponseHeader_error(header);

    if (header != NULL && pdpb_ResponseHeader_cluster_id(header) != 0 &&
        pdpb_ResponseHeader_cluster_id(header) != pd->cluster_id) {
        *cause = tk_error(TIKV_ERR_CLUSTER_MISMATCH,
                          "PD answers for another cluster");
        return HOPELESS;
    }
    if (fault != NULL && pdpb_Error_type(fault) != pdpb_OK) {
        upb_StringView text = pdpb_Error_message(fault);

        *out = NULL;
        if (ask->is_answer != NULL && ask->is_answer(fault)) {
            return ANSWERED;
        }
        return judge_text(text.data, text.size, cause);
    }
    *out = tk_arena_decode(arena, tk_command_row(ask->command)->response,
                           attempt->data.data, attempt->data.len,
                           attempt->frame);
    if (*out == NULL) {
        *cause = tk_error(TIKV_ERR_PROTOCOL, "PD: the answer makes no sense");
        return HOPELESS;
    }
    return ANSWERED;
}

/* Lets go of the attempt's frame. */
static enum verdict
judge(struct tk_pd *pd, const struct tk_pd_ask *ask, struct attempt *attempt,
      struct tk_arena *arena, const void **out, tikv_error **cause)
{
    enum verdict verdict;

    if (attempt->status != TK_REPLY_OK) {
        return judge_failure(attempt, cause);
    }
    verdict = judge_answer(pd, ask, attempt, arena, out, cause);
    tk_frame_unref(attempt->frame, 1);
    return verdict;
}

/* What the retries of one call have cost. */
struct course {
    unsigned leader_tries;
    unsigned pauses;
    uint64_t attempts;
    int64_t slept_ms;
};

/* Pauses and looks for the leader; an error ends the call. */
static tikv_error *
recover(struct tk_pd *pd, struct tk_op *op, enum verdict verdict,
        struct course *course)
{
    int64_t budget_ms = tk_config_int(&pd->config->backoff_raw_ms) *
                        tk_config_int(&pd->config->backoff_weight);
    int64_t pause_ms;
    tikv_error *error;

    if (verdict == OTHER_LEADER && course->leader_tries < LEADER_TRIES) {
        pause_ms = course->leader_tries++ == 0 ? 0 : LEADER_PAUSE_MS;
    } else if (course->slept_ms >= budget_ms) {
        return tk_error(TIKV_ERR_PD, "PD: gave up after %lld ms of pauses",
                        (long long)course->slept_ms);
    } else {
        pause_ms = tk_pd_pause_ms(pd, course->pauses++);
    }
    if (pause_ms > 0) {
        error = tk_op_pause(op, TK_BACKOFF_PD_RPC, pause_ms * TK_MS);
        if (error != NULL) {
            return error;
        }
        course->slept_ms += pause_ms;
    }
    error = tk_members_refresh(pd, op);
    /* Nobody leads just now: the next try finds out, or the budget ends. */
    if (error != NULL && tikv_error_code(error) == TIKV_ERR_PD) {
        tikv_error_free(error);
        error = NULL;
    }
    return error;
}

/* Joins why the call ends with what went wrong before; takes both. */
static tikv_error *
finish(tikv_error *end, tikv_error *cause, const struct course *course)
{
    if (end == NULL) {
        end = cause;
    } else if (cause != NULL) {
        tikv_code code = tikv_error_code(end);

        if (code == TIKV_ERR_TIMEOUT || code == TIKV_ERR_PD) {
            end = tk_error_wrap(end, "%s", tikv_error_message(cause));
        }
        tikv_error_free(cause);
    }
    if (!tk_error_is_immortal(end)) {
        tk_error_set_u64(end, TIKV_ERROR_ATTEMPTS, course->attempts);
        tk_error_set_backoff(end, TK_BACKOFF_PD_RPC,
                             (uint64_t)course->slept_ms);
    }
    return end;
}

/* ---- the breaker of region calls (PD-12) ---- */

static bool
is_about_regions(enum tk_command command)
{
    return command == TK_CMD_PD_GET_REGION ||
           command == TK_CMD_PD_GET_PREV_REGION ||
           command == TK_CMD_PD_GET_REGION_BY_ID ||
           command == TK_CMD_PD_SCAN_REGIONS ||
           command == TK_CMD_PD_BATCH_SCAN_REGIONS;
}

bool
tk_pd_admit(struct tk_pd *pd)
{
    bool is_admitted;

    tk_mutex_lock(&pd->members.lock);
    is_admitted =
        tk_breaker_admit(&pd->members.breaker, tk_now(pd->rt),
                         tk_config_int(&pd->config->pd_breaker_percent));
    tk_mutex_unlock(&pd->members.lock);
    return is_admitted;
}

void
tk_pd_report(struct tk_pd *pd, enum tk_breaker_result result)
{
    tk_mutex_lock(&pd->members.lock);
    tk_breaker_report(&pd->members.breaker, tk_now(pd->rt),
                      tk_config_int(&pd->config->pd_breaker_percent), result);
    tk_mutex_unlock(&pd->members.lock);
}

tikv_error *
tk_pd_not_admitted(void)
{
    return tk_error(TIKV_ERR_PD, "PD: is not asked about regions for now, too "
                                 "many requests failed");
}

/* `attempt` is NULL when it was taken back. */
static void
report(struct tk_pd *pd, const struct tk_pd_ask *ask,
       const struct attempt *attempt)
{
    enum tk_breaker_result result = TK_BREAKER_NOTHING;

    if (!is_about_regions(ask->command)) {
        return;
    }
    if (attempt != NULL) {
        bool is_bad = attempt->status == TK_REPLY_EXPIRED ||
                      (attempt->status == TK_REPLY_FAILED &&
                       (attempt->grpc == GRPC_DEADLINE_EXCEEDED ||
                        attempt->grpc == GRPC_RESOURCE_EXHAUSTED ||
                        attempt->grpc == GRPC_UNAVAILABLE));

        result = is_bad ? TK_BREAKER_BAD : TK_BREAKER_GOOD;
    }
    tk_pd_report(pd, result);
}

/* Itself, or through another while it cannot be reached. */
static tikv_error *
send_to_leader(struct tk_pd *pd, struct tk_op *op, const struct tk_pd_ask *ask,
               struct attempt *attempt)
{
    struct tk_conn *leader;
    struct tk_conn *conn = tk_members_way(pd, &leader);
    struct tk_pd_forward forward;
    tikv_error *error =
        send_once(pd, op, conn, tk_pd_forward(pd, leader, false, &forward),
                  ask, attempt);

    if (leader != NULL) {
        tk_conn_unref(leader);
    }
    return error;
}

tikv_error *
tk_pd_call(struct tk_pd *pd, struct tk_op *op, const struct tk_pd_ask *ask,
           struct tk_arena *arena, const void **out)
{
    struct course course = { 0, 0, 0, 0 };
    tikv_error *cause = NULL;

    for (;;) {
        struct attempt attempt;
        enum verdict verdict;
        tikv_error *error = tk_op_check(op);

        if (error == NULL && is_about_regions(ask->command) &&
            !tk_pd_admit(pd)) {
            error = tk_pd_not_admitted();
        } else if (error == NULL) {
            error = send_to_leader(pd, op, ask, &attempt);
            report(pd, ask, error == NULL ? &attempt : NULL);
        }
        if (error != NULL) {
            return finish(error, cause, &course);
        }
        course.attempts++;
        tikv_error_free(cause);
        cause = NULL;
        verdict = judge(pd, ask, &attempt, arena, out, &cause);
        if (verdict == ANSWERED) {
            return NULL;
        }
        if (verdict == HOPELESS) {
            return finish(NULL, cause, &course);
        }
        error = recover(pd, op, verdict, &course);
        if (error != NULL) {
            return finish(error, cause, &course);
        }
    }
}

tikv_error *
tk_pd_call_at(struct tk_pd *pd, struct tk_op *op, struct tk_conn *to,
              const char *const *metadata, const struct tk_pd_ask *ask,
              struct tk_arena *arena, const void **out)
{
    struct attempt attempt;
    tikv_error *cause = NULL;
    tikv_error *error = tk_op_check(op);

    if (error == NULL) {
        tk_conn_ref(to);
        error = send_once(pd, op, to, metadata, ask, &attempt);
    }
    if (error == NULL) {
        (void)judge(pd, ask, &attempt, arena, out, &cause);
        error = cause;
    }
    return error;
}
