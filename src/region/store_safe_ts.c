/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Up to where all stores serve stale reads (GC-5), looked for when somebody
 * asks, never by a clock: PD names the stores, and each is asked once, many
 * at a time, for ANSWER_MS at most.
 *
 * What a store told holds for good, since its peers only go forward: one that
 * cannot be reached counts with its last word. One that never told makes the
 * answer 0, for nobody knows; 0 told by a store that has no regions, or none
 * that has got anywhere, does not count. UINT64_MAX is nobody's timestamp and
 * no word at all.
 *
 * Threads: the caller's; answers are read on the transport's. Lock:
 * stores.lock, for the words of the slots.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/slice.h"
#include "region/store_inner.h"
#include "wire/proto.h"

#include "kvrpcpb.upb.h"
#include "metapb.upb.h"

enum { ANSWER_MS = 2000, INFLIGHT = 32, ADDRESS_MAX = 300 };

struct question {
    struct tk_request request; /* first */
    struct tk_note note;
    struct tk_op *op;
    struct tk_store_slot *slot;
    upb_StringView address;
    bool is_out;
    /* The answer's, until the note is taken. */
    bool is_closed;
    bool has_told;
    uint64_t ts;
};

struct round {
    struct tk_stores *stores;
    struct tk_op *op;
    tikv_slice body;
    struct question *all;
    size_t count;
    size_t sent;
    size_t out;
    tikv_code failed; /* why there is no answer to be had */
};

/* ---- one store ---- */

static bool
read_answer(const struct tk_reply *reply, uint64_t *ts)
{
    struct tk_cursor cursor = tk_cursor(tk_slice(reply->data, reply->len));
    struct tk_field field;

    *ts = 0;
    while (tk_cursor_field(&cursor, &field)) {
        if (field.number == 1 && field.type == TK_WIRE_VARINT) {
            *ts = field.value;
        }
    }
    return *ts != UINT64_MAX;
}

/* On the transport's thread. */
static void
question_done(struct tk_request *request, const struct tk_reply *reply,
              struct tk_wakes *wakes)
{
    struct question *question = (struct question *)(void *)request;

    question->is_closed = reply->status == TK_REPLY_CLOSED;
    question->has_told =
        reply->status == TK_REPLY_OK && read_answer(reply, &question->ts);
    tk_frame_unref(reply->frame, 1);
    tk_op_push(question->op, &question->note, wakes);
}

static void
send(struct round *round, struct question *question)
{
    enum tk_submit submitted;
    char text[ADDRESS_MAX];
    struct tk_conn *conn;

    if (question->address.size == 0 || question->address.size >= sizeof(text)) {
        return;
    }
    memcpy(text, question->address.data, question->address.size);
    text[question->address.size] = '\0';
    conn = tk_rpc_conn(round->stores->rpc, text);
    if (conn == NULL) {
        round->failed = tk_exec_is_closing(round->op->exec) ? TIKV_ERR_CLOSED
                                                            : TIKV_ERR_MEMORY;
        return;
    }
    question->op = round->op;
    question->request.done = question_done;
    question->request.parts.command = TK_CMD_GET_STORE_SAFE_TS;
    question->request.parts.body = round->body;
    question->request.deadline =
        tk_after(tk_now(round->op->rt), ANSWER_MS * TK_MS);
    submitted = tk_conn_submit(conn, &question->request, false);
    tk_conn_unref(conn);
    if (submitted == TK_SUBMIT_OK) {
        question->is_out = true;
        round->out++;
    } else if (submitted == TK_SUBMIT_CLOSED) {
        round->failed = TIKV_ERR_CLOSED;
    }
}

/* ---- all of them ---- */

static void
take_answers(struct round *round)
{
    struct tk_note *note = tk_op_take(round->op);

    while (note != NULL) {
        struct question *question =
            (struct question *)(void *)((char *)note -
                                        offsetof(struct question, note));
        struct tk_store_slot *slot = question->slot;

        note = note->next;
        question->is_out = false;
        round->out--;
        if (question->is_closed) {
            round->failed = TIKV_ERR_CLOSED;
        }
        tk_mutex_lock(&round->stores->lock);
        if (question->has_told) {
            slot->has_told_safe_ts = true;
            slot->safe_ts =
                slot->safe_ts > question->ts ? slot->safe_ts : question->ts;
        }
        tk_mutex_unlock(&round->stores->lock);
    }
}

/* The op is over: what cannot be taken back is microseconds away. */
static void
take_back(struct round *round)
{
    size_t i;

    for (i = 0; i < round->sent; i++) {
        struct question *question = &round->all[i];
        bool never_sent;

        if (question->is_out &&
            tk_request_take_back(&question->request, &never_sent)) {
            question->is_out = false;
            round->out--;
        }
    }
    while (round->out != 0) {
        take_answers(round);
        if (round->out != 0) {
            tk_park_begin(round->op->me);
            if (atomic_load(&round->op->inbox) == NULL) {
                round->op->rt->ops->park(round->op->rt, round->op->me,
                                         TK_NEVER);
            }
        }
    }
}

static tikv_error *
ask_all(struct round *round)
{
    while (round->sent < round->count || round->out != 0) {
        tikv_error *error = round->failed != TIKV_OK
                                ? tk_error_immortal(round->failed)
                                : tk_op_check(round->op);

        if (error != NULL) {
            take_back(round);
            return error;
        }
        while (round->sent < round->count && round->out < INFLIGHT) {
            send(round, &round->all[round->sent++]);
        }
        if (round->out != 0) {
            /* Close ends what is out, so the op need not be listed. */
            round->op->flying = (uint32_t)round->out;
            tk_op_wait(round->op, TK_NEVER, TK_BACKOFF_KINDS);
            round->op->flying = 0;
        }
        take_answers(round);
    }
    return round->failed != TIKV_OK ? tk_error_immortal(round->failed) : NULL;
}

static uint64_t
least(const struct round *round)
{
    bool is_known = true;
    uint64_t ts = 0;
    size_t i;

    tk_mutex_lock(&round->stores->lock);
    for (i = 0; i < round->count && is_known; i++) {
        const struct tk_store_slot *slot = round->all[i].slot;

        is_known = slot->has_told_safe_ts;
        if (slot->safe_ts != 0 && (ts == 0 || slot->safe_ts < ts)) {
            ts = slot->safe_ts;
        }
    }
    tk_mutex_unlock(&round->stores->lock);
    return is_known ? ts : 0;
}

/* ---- which stores ---- */

static bool
has_label(const struct tk_store *store, const char *key, const char *value)
{
    return tk_store_has_labels(store, &(struct tk_label){ key, value }, 1);
}

/* Appends the store of these facts, if it is one of the scope's. Stores of
 * columns answer at another address than the one that is for queries; those
 * that only compute keep nothing. */
static tikv_error *
add(struct round *round, const metapb_Store *facts, const char *scope)
{
    struct tk_store *store;
    struct question *question;

    if (metapb_Store_state(facts) == metapb_Tombstone) {
        return NULL;
    }
    store = tk_stores_get(round->stores, metapb_Store_id(facts));
    if (store == NULL ||
        !tk_store_take_labels(round->stores,
                              (struct tk_store_slot *)(void *)store, facts)) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    if (has_label(store, "engine", "tiflash_compute") ||
        (strcmp(scope, "global") != 0 && !has_label(store, "zone", scope))) {
        return NULL;
    }
    question = &round->all[round->count++];
    question->slot = (struct tk_store_slot *)(void *)store;
    question->address = atomic_load(&store->is_foreign)
                            ? metapb_Store_peer_address(facts)
                            : metapb_Store_address(facts);
    return NULL;
}

/* All keys: a range without bounds. False without memory. */
static bool
encode(struct tk_arena *arena, tikv_slice *body)
{
    kvrpcpb_StoreSafeTSRequest *request =
        kvrpcpb_StoreSafeTSRequest_new(arena->upb);
    struct tk_encoded encoded;

    if (request == NULL || kvrpcpb_StoreSafeTSRequest_mutable_key_range(
                               request, arena->upb) == NULL) {
        return false;
    }
    encoded = tk_arena_encode(
        arena, tk_command_row(TK_CMD_GET_STORE_SAFE_TS)->request, request);
    *body = tk_slice(encoded.data, encoded.len);
    return encoded.data != NULL;
}

tikv_error *
tk_stores_safe_ts_of(struct tk_stores *stores, struct tk_op *op,
                     const struct metapb_Store *const *facts, size_t count,
                     const char *scope, uint64_t *out)
{
    struct round round = { .stores = stores, .op = op };
    struct tk_arena *arena = tk_arena_new();
    tikv_error *error = NULL;
    size_t i;

    round.all = tk_calloc((count + 1) * sizeof(*round.all));
    if (arena == NULL || round.all == NULL || !encode(arena, &round.body)) {
        error = tk_error_immortal(TIKV_ERR_MEMORY);
    }
    for (i = 0; i < count && error == NULL; i++) {
        error = add(&round, facts[i], scope);
    }
    if (error == NULL) {
        error = ask_all(&round);
    }
    if (error == NULL) {
        *out = least(&round);
    }
    tk_free(round.all);
    tk_arena_unref(arena);
    return error;
}

tikv_error *
tk_stores_safe_ts(struct tk_stores *stores, struct tk_op *op, const char *scope,
                  uint64_t *out)
{
    struct tk_arena *arena = tk_arena_new();
    const struct metapb_Store *const *facts = NULL;
    tikv_error *error;
    size_t count = 0;

    if (arena == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    error = tk_pd_stores(stores->pd, op, arena, &facts, &count);
    if (error == NULL) {
        error = tk_stores_safe_ts_of(stores, op, facts, count, scope, out);
    }
    tk_arena_unref(arena);
    return error;
}
