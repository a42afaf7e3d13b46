/* SPDX-License-Identifier: Apache-2.0 */
/* One commit by the machine alone, in a place: what tests of it share. */
#ifndef TK_TEST_TXN_ATTEMPT_H
#define TK_TEST_TXN_ATTEMPT_H

#include "unit/txn/place.h"

#include "txn/commit_inner.h"

/* One commit: a buffer, the machine, and what it wanted besides. */
struct
try {
    struct place *place;
    struct tk_buffer *buffer;
    struct tk_commit_rules rules;
    struct tk_commit commit;
    unsigned alive_count;
    bool has_left;
    uint64_t commit_ts;
    int64_t timeout_ms;
};

static inline void
keep_alive(void *arg)
{
    ((struct try *)arg)->alive_count++;
}

static inline void
leave(void *arg)
{
    ((struct try *)arg)->has_left = true;
}

enum strategy { TWO_PHASES, ASYNC, ONE_PHASE, STRATEGIES };

static inline void
try_init(struct try *try, struct place *place, enum strategy strategy)
{
    *try = (struct try){ .place = place, .timeout_ms = 20000 };
    try->buffer = tk_buffer_new();
    assert_non_null(try->buffer);
    try->rules.async_commit = strategy == ASYNC;
    try->rules.one_phase = strategy == ONE_PHASE;
    try->rules.arg = try;
}

static inline void
put(struct try *try, const char *key)
{
    world_ok(tk_buffer_set(try->buffer, tk_slice_text(key), tk_slice_text("v"),
                           TK_KEY_NO_CHANGE));
}

static inline void
put_all(struct try *try, data_keys keys)
{
    for (; *keys != NULL; keys++) {
        put(try, *keys);
    }
}

static inline tikv_error *
commit_at(struct try *try, uint64_t start_ts)
{
    const struct tk_commit_hooks hooks = { keep_alive, leave, try };
    tikv_error *error;
    struct tk_op op;

    tk_commit_init(&try->commit, try->place->client, try->buffer, start_ts,
                   &try->rules);
    assert_true(
        tk_op_init(&op, try->place->w->exec, NULL, try->timeout_ms * TK_MS));
    error = tk_commit_run(&try->commit, &op, &hooks);
    tk_op_fini(&op);
    try->commit_ts = try->commit.commit_ts;
    return error;
}

/* What a chore would do. */
static inline void
finish(struct try *try)
{
    struct tk_op op;

    if (try->has_left) {
        place_begin(try->place, &op);
        tk_commit_finish(&try->commit, &op);
        tk_op_fini(&op);
    }
}

static inline void
try_fini(struct try *try)
{
    tk_commit_fini(&try->commit);
    tk_buffer_free(try->buffer);
}

static inline struct tk_txn_fate
fate_of(struct place *place, uint64_t start_ts, const char *primary)
{
    struct tk_txn_fate fate;
    struct tk_backoff backoff;
    struct tk_op op;

    tk_backoff_init(&backoff, 20000);
    place_begin(place, &op);
    world_ok(tk_resolver_ask(place->client->resolver, &op, &backoff, start_ts,
                             tk_slice_text(primary), TK_ASK_LOOK, &fate));
    tk_op_fini(&op);
    return fate;
}

static inline void
commit_code(tikv_error *error, tikv_code code)
{
    world_code(error, code);
}

#endif
