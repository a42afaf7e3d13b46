/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fault rules as the parser leaves them: which requests (selector), when
 * among those (trigger), at which point of their way (stage), and a list of
 * actions. The catalogue of actions is a table in fault_action.c. Everything
 * here is guarded by the cluster's lock.
 *
 *     fault_parse  text to rule            fault         rules and requests
 *     fault_action the catalogue           fault_plan    plans, executing
 *     fault_deed   what changes the world  fault_answer  what changes answers
 *     fault_again  requests that come again  stage       stops in the middle
 */
#ifndef TK_CLUSTER_FAULT_H
#define TK_CLUSTER_FAULT_H

#include "base/rng.h"
#include "cluster/flow.h"
#include "cluster/seen.h"

enum tk_cl_when {
    TK_CL_WHEN_ALWAYS,
    TK_CL_WHEN_NTH,
    TK_CL_WHEN_FIRST,
    TK_CL_WHEN_AFTER,
    TK_CL_WHEN_EVERY,
    TK_CL_WHEN_PROB,
    TK_CL_WHEN_WINDOW,
    TK_CL_WHEN_UNTIL,
    TK_CL_WHEN_ONCE_PER
};

enum tk_cl_act {
    TK_ACT_DELAY,
    TK_ACT_BARRIER,
    TK_ACT_DROP_REQUEST,
    TK_ACT_DROP_RESPONSE,
    TK_ACT_STATUS,
    TK_ACT_BREAK_STREAM,
    TK_ACT_RESET_CONNECTION,
    TK_ACT_GOAWAY,
    TK_ACT_MAX_STREAMS,
    TK_ACT_COMPRESS,
    TK_ACT_DUPLICATE,
    TK_ACT_REORDER,
    TK_ACT_STALE_REPLAY,
    TK_ACT_REGION_ERROR,
    TK_ACT_KEY_ERROR,
    TK_ACT_PARTIAL,
    TK_ACT_UNKNOWN_FIELDS,
    TK_ACT_UNKNOWN_ENUM,
    TK_ACT_CORRUPT,
    TK_ACT_SPLIT,
    TK_ACT_MERGE,
    TK_ACT_TRANSFER,
    TK_ACT_BUMP_CONF_VER,
    TK_ACT_REMOVE_PEER,
    TK_ACT_RESTART_STORE,
    TK_ACT_LOSE_MEMORY_LOCKS,
    TK_ACT_MAX_TS_UNSYNCED,
    TK_ACT_SAFE_TS_HOLD,
    TK_ACT_SAFE_TS_LAG,
    TK_ACT_LOCK_WAIT,
    TK_ACT_ASYNC_COMMIT_FALLBACK,
    TK_ACT_TSO,
    TK_ACT_PD_LEADER_RESIGN,
    TK_ACT_PD_NO_LEADER,
    TK_ACT_PD_MEMBER_DOWN,
    TK_ACT_PD_STALE_REGION,
    TK_ACT_PD_HOLE,
    TK_ACT_PD_LEADER_ABSENT,
    TK_ACT_PD_WRONG_ADDRESS,
    TK_ACT_PARTITION,
    TK_ACT_HEAL,
    TK_ACT_THROTTLE,
    TK_ACT_QUEUE_LIMIT,
    TK_ACT_MEMORY_LIMIT,
    TK_ACT_MESSAGE_LIMIT,
    TK_ACT_CLOCK_SKEW,
    TK_ACT_CRASH,
    TK_ACT_SLOW_SCORE,
    TK_ACT_LOAD,
    TK_ACT_NOT_SERVING,
    TK_ACT_GC,
    TK_ACT_UNIMPLEMENTED,
    TK_ACTS
};

/* tso(...), in the order of their names in fault_action.c. */
enum {
    TK_TSO_JUMP,
    TK_TSO_BACK,
    TK_TSO_FREEZE,
    TK_TSO_OVERFLOW,
    TK_TSO_WRONG_CLUSTER,
    TK_TSO_COUNT_MISMATCH
};

enum {
    TK_WAIT_SKIP_WAKE,
    TK_WAIT_TIMEOUT,
    TK_WAIT_SPURIOUS,
    TK_WAIT_NO_DETECTOR
};

enum {
    TK_CORRUPT_REGION_ID,
    TK_CORRUPT_TRUNCATED,
    TK_CORRUPT_OVERSIZED,
    TK_CORRUPT_GARBAGE
};

enum { TK_EVENT_METHOD, TK_EVENT_LEADER };

enum { TK_ACTIONS_MAX = 8, TK_NAME_MAX = 48 };

struct tk_cl_action {
    uint32_t act; /* enum tk_cl_act */
    bool is_after; /* the request has been executed: behind "apply" */
    uint32_t choice;
    uint64_t low; /* numbers, in the order of the text */
    uint64_t high;
    char name[TK_NAME_MAX]; /* of a barrier, an event's method, parties */
    char other[TK_NAME_MAX];
    tikv_slice key; /* allocated */
    struct tk_cl_error error;
    struct tk_cl_key_fault key_error;
};

struct tk_cl_actions {
    struct tk_cl_action list[TK_ACTIONS_MAX];
    size_t count;
    bool is_terminal; /* one of them decides how the request ends */
};

/* What a number of a row is for; which verbs it may stand beside. */
enum {
    TK_ACT_TERMINAL = 1, /* decides how the request ends */
    TK_ACT_HOLDS = 2,    /* makes it wait */
    TK_ACT_DEED = 4,     /* changes the world */
    TK_ACT_ANSWER = 8    /* changes the answer that is there */
};

struct tk_cl_parser;

struct tk_cl_act_row {
    const char *name;
    const char *row; /* of the catalogue: "F10" */
    const char *arguments;
    bool (*take)(struct tk_cl_parser *, struct tk_cl_action *); /* or NULL */
    uint32_t flags;
};

/* The catalogue, by enum tk_cl_act. */
extern const struct tk_cl_act_row tk_cl_act_rows[TK_ACTS];

enum tk_cl_tri { TK_ANY, TK_NO, TK_YES };

struct tk_cl_selector {
    char *glob;
    uint64_t store_id;  /* 0: any */
    uint64_t region_id; /* 0: any */
    uint64_t peer_id;   /* 0: any */
    uint64_t start_ts;  /* 0: any */
    uint64_t member;    /* number + 1; 0: any */
    uint64_t client;    /* ordinal of its connection; 0: any */
    tikv_slice start;   /* prefix, or start of a range; absent: any key */
    tikv_slice end;
    char *source; /* prefix; NULL: any */
    bool has_range;
    enum tk_cl_tri is_primary;
    enum tk_cl_tri is_retry;
    enum tk_cl_tri replica_read;
    enum tk_cl_tri stale_read;
    enum tk_cl_stage stage;
};

enum { TK_PER_TXN, TK_PER_REGION, TK_PER_STORE, TK_PER_KEY };

struct tk_cl_trigger {
    enum tk_cl_when when;
    uint64_t count;       /* nth ..; window: from, ms; once_per: of what */
    uint64_t until;       /* window: ms */
    uint64_t probability; /* in 2^-32 */
    char method[TK_NAME_MAX]; /* until */
};

struct tk_cl_rule {
    struct tk_cl_rule *next; /* in the order they were added */
    uint64_t id;
    char name[TK_NAME_MAX]; /* id=...; may be empty */
    char *text;
    struct tk_cl_selector selector;
    struct tk_cl_trigger trigger;
    struct tk_cl_actions actions;
    struct tk_cl_actions then; /* from the second hit on; may be empty */
    uint64_t seen;
    uint64_t hits;
    int64_t since;  /* ns, when it was added */
    uint64_t calls; /* until: of the method, when it was added */
    struct tk_buf once; /* hashes of what it has acted on */
    int64_t bucket_at;  /* throttle: tokens, as of then */
    double tokens;
    struct tk_rng rng;
};

/* ---- the parser's hands (fault_parse.c) ---- */

struct tk_cl_parser {
    const char *text;
    const char *at;
    const char *failure; /* NULL so far */
    const char *failed_at;
    bool is_applied; /* "apply" came before */
};

bool
tk_cl_parse_fail(struct tk_cl_parser *parser, const char *at,
                 const char *failure);

/* Takes the word at the cursor when it is this one. */
bool
tk_cl_parse_word(struct tk_cl_parser *parser, const char *word);

bool
tk_cl_parse_char(struct tk_cl_parser *parser, char c);

bool
tk_cl_parse_expect(struct tk_cl_parser *parser, char c);

bool
tk_cl_parse_number(struct tk_cl_parser *parser, uint64_t *out);

/* One of the words; its place. */
bool
tk_cl_parse_choice(struct tk_cl_parser *parser, const char *const *words,
                   size_t count, uint32_t *out, const char *failure);

/* Letters, digits and "._*-", into a buffer. */
bool
tk_cl_parse_name(struct tk_cl_parser *parser, char name[TK_NAME_MAX]);

/* Bytes up to a blank or one of `stops`; \xNN is a byte. Allocated. */
bool
tk_cl_parse_key(struct tk_cl_parser *parser, const char *stops,
                tikv_slice *out);

/* A rule without id and generator. */
tikv_error *
tk_cl_rule_parse(const char *text, struct tk_cl_rule **out);

void
tk_cl_rule_free(struct tk_cl_rule *rule);

/* ---- fault_action.c ---- */

bool
tk_cl_parse_actions(struct tk_cl_parser *parser, struct tk_cl_actions *out);

/* Actions alone, for a barrier that is let go. */
tikv_error *
tk_cl_actions_parse(const char *text, struct tk_cl_actions *out);

void
tk_cl_actions_fini(struct tk_cl_actions *actions);

/* ---- fault.c ---- */

bool
tk_cl_glob_matches(const char *glob, const char *text);

/* ---- fault_subject.c ---- */

/* Where the keys that a method is about lie: a field, and a field inside of
 * it. False: it has none. */
bool
tk_cl_key_fields(uint32_t index, uint32_t *outer, uint32_t *inner);

/* The next key of the request; `*at` starts as 0. */
bool
tk_cl_next_key(const struct tk_cl_request *request, size_t *at,
               tikv_slice *key);

/* Of the request's transaction; 0 when that has no meaning. */
uint64_t
tk_cl_start_ts_of(const struct tk_cl_request *request);

/* Whether its keys hold the primary, as far as the request tells. */
bool
tk_cl_is_primary(const struct tk_cl_request *request);

/* Which region a request is about; 0 when that has no meaning. */
uint64_t
tk_cl_region_id_of(const struct tk_cl_request *request);

/* ---- fault.c ---- */

/* The rules at a stage, in their order: each that matches and triggers is
 * carried out into the plan. `is_moved`: something in the world changed. */
void
tk_cl_rules_at(struct tk_cl_request *request, enum tk_cl_stage stage,
               struct tk_cl_plan *plan, bool *is_moved);

struct tk_cl_rule *
tk_cl_rule_by_id(struct tk_cluster *cluster, uint64_t id);

/* Whether it says how the request ends. */
bool
tk_cl_plan_is_final(const struct tk_cl_plan *plan);

/* ---- fault_plan.c ---- */

/* What another stage adds; `before` is the stage's own. */
void
tk_cl_plan_merge(struct tk_cl_plan *plan, const struct tk_cl_plan *more);

/* One action into the plan, or done at once. */
void
tk_cl_carry_out(struct tk_cl_request *request, struct tk_cl_rule *rule,
                const struct tk_cl_action *action, struct tk_cl_plan *plan,
                bool is_after, bool *is_moved);

/* ---- fault_deed.c ---- */

void
tk_cl_deed(struct tk_cl_request *request, struct tk_cl_rule *rule,
           const struct tk_cl_action *action);

/* ---- fault_again.c ---- */

/* The request is executed `count` times more, each `ms` later. */
void
tk_cl_again_later(struct tk_cl_request *request, uint64_t count, uint64_t ms);

/* ... once, when the event comes. */
void
tk_cl_again_when(struct tk_cl_request *request,
                 const struct tk_cl_action *action);

#endif
