/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalogue of what rules can do: one row an action, with the text it is
 * made of. What each does is in fault_plan.c (the request's fate), _deed.c
 * (the world) and _answer.c (the answer).
 */
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "cluster/fault.h"

/* ---- arguments ---- */

static bool
take_one(struct tk_cl_parser *parser, struct tk_cl_action *action)
{
    return tk_cl_parse_expect(parser, '(') &&
           tk_cl_parse_number(parser, &action->low) &&
           tk_cl_parse_expect(parser, ')');
}

/* "(N)", or nothing: then 0. */
static bool
take_maybe(struct tk_cl_parser *parser, struct tk_cl_action *action)
{
    return *parser->at != '(' || take_one(parser, action);
}

/* "(N)" or "(N,M)". */
static bool
take_two(struct tk_cl_parser *parser, struct tk_cl_action *action)
{
    return tk_cl_parse_expect(parser, '(') &&
           tk_cl_parse_number(parser, &action->low) &&
           (!tk_cl_parse_char(parser, ',') ||
            tk_cl_parse_number(parser, &action->high)) &&
           tk_cl_parse_expect(parser, ')');
}

static bool
take_delay(struct tk_cl_parser *parser, struct tk_cl_action *action)
{
    const char *start = parser->at;

    if (!tk_cl_parse_expect(parser, '(') ||
        !tk_cl_parse_number(parser, &action->low)) {
        return false;
    }
    action->high = action->low;
    if (tk_cl_parse_char(parser, '.') &&
        (!tk_cl_parse_char(parser, '.') ||
         !tk_cl_parse_number(parser, &action->high))) {
        return tk_cl_parse_fail(parser, parser->at, "delay(A..B) expected");
    }
    if (action->high < action->low || action->high > INT32_MAX) {
        return tk_cl_parse_fail(parser, start, "delay is out of range");
    }
    return tk_cl_parse_expect(parser, ')');
}

/* "(NAME)" or "(NAME,MS)". */
static bool
take_barrier(struct tk_cl_parser *parser, struct tk_cl_action *action)
{
    return tk_cl_parse_expect(parser, '(') &&
           tk_cl_parse_name(parser, action->name) &&
           (!tk_cl_parse_char(parser, ',') ||
            tk_cl_parse_number(parser, &action->low)) &&
           tk_cl_parse_expect(parser, ')');
}

static const char *const statuses[] = {
    "OK",           "CANCELLED",          "UNKNOWN",
    "INVALID_ARGUMENT", "DEADLINE_EXCEEDED",  "NOT_FOUND",
    "ALREADY_EXISTS",   "PERMISSION_DENIED",  "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION", "ABORTED",         "OUT_OF_RANGE",
    "UNIMPLEMENTED",    "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS",        "UNAUTHENTICATED"
};

static bool
take_status(struct tk_cl_parser *parser, struct tk_cl_action *action)
{
    uint32_t status = 0;
    const size_t count = sizeof(statuses) / sizeof(statuses[0]);

    if (!tk_cl_parse_expect(parser, '(') ||
        !tk_cl_parse_choice(parser, statuses + 1, count - 1, &status,
                            "unknown status")) {
        return false;
    }
    action->choice = status + 1;
    return tk_cl_parse_expect(parser, ')');
}

static bool
take_break(struct tk_cl_parser *parser, struct tk_cl_action *action)
{
    action->choice = TK_GRPC_UNAVAILABLE;
    return *parser->at != '(' || take_status(parser, action);
}

static bool
take_event(struct tk_cl_parser *parser, struct tk_cl_action *action)
{
    static const char *const words[] = { "commit", "rollback", "leader" };
    static const char *const methods[] = { "tikv.KvCommit",
                                           "tikv.KvBatchRollback", "" };
    size_t i;

    if (!tk_cl_parse_expect(parser, '(')) {
        return false;
    }
    for (i = 0; i < 3; i++) {
        if (tk_cl_parse_word(parser, words[i])) {
            action->choice = i == 2 ? TK_EVENT_LEADER : TK_EVENT_METHOD;
            memcpy(action->name, methods[i], strlen(methods[i]) + 1);
            return tk_cl_parse_expect(parser, ')');
        }
    }
    action->choice = TK_EVENT_METHOD;
    return tk_cl_parse_name(parser, action->name) &&
           tk_cl_parse_expect(parser, ')');
}

/* "(WORD)" of a list. */
static bool
take_choice(struct tk_cl_parser *parser, struct tk_cl_action *action,
            const char *const *words, size_t count)
{
    return tk_cl_parse_expect(parser, '(') &&
           tk_cl_parse_choice(parser, words, count, &action->choice,
                              "unknown word") &&
           tk_cl_parse_expect(parser, ')');
}

static bool
take_corruption(struct tk_cl_parser *parser, struct tk_cl_action *action)
{
    static const char *const words[] = { "region_id", "truncated", "oversized",
                                         "garbage" };

    return take_choice(parser, action, words, 4);
}

static bool
take_compress(struct tk_cl_parser *parser, struct tk_cl_action *action)
{
    static const char *const words[] = { "none", "gzip" };

    return take_choice(parser, action, words, 2);
}

static bool
take_lock_wait(struct tk_cl_parser *parser, struct tk_cl_action *action)
{
    static const char *const words[] = { "skip_wake", "timeout", "spurious",
                                         "no_detector" };

    return take_choice(parser, action, words, 4);
}

/* "(jump,MS)", "(freeze,MS)", "(count_mismatch)" ... */
static bool
take_tso(struct tk_cl_parser *parser, struct tk_cl_action *action)
{
    static const char *const words[] = { "jump",     "back",
                                         "freeze",   "logical_overflow",
                                         "wrong_cluster_id",
                                         "count_mismatch" };

    return tk_cl_parse_expect(parser, '(') &&
           tk_cl_parse_choice(parser, words, 6, &action->choice,
                              "unknown word") &&
           (action->choice > TK_TSO_FREEZE ||
            (tk_cl_parse_expect(parser, ',') &&
             tk_cl_parse_number(parser, &action->low))) &&
           tk_cl_parse_expect(parser, ')');
}

/* "(MS)" ahead, "(-MS)" behind. */
static bool
take_skew(struct tk_cl_parser *parser, struct tk_cl_action *action)
{
    if (!tk_cl_parse_expect(parser, '(')) {
        return false;
    }
    action->choice = tk_cl_parse_char(parser, '-') ? 1 : 0;
    return tk_cl_parse_number(parser, &action->low) &&
           tk_cl_parse_expect(parser, ')');
}

static bool
take_split(struct tk_cl_parser *parser, struct tk_cl_action *action)
{
    return *parser->at != '(' ||
           (tk_cl_parse_expect(parser, '(') &&
            tk_cl_parse_key(parser, ")", &action->key) &&
            tk_cl_parse_expect(parser, ')'));
}

/* "(STORE)", "(next)", "(none)". */
static bool
take_transfer(struct tk_cl_parser *parser, struct tk_cl_action *action)
{
    if (!tk_cl_parse_expect(parser, '(')) {
        return false;
    }
    if (tk_cl_parse_word(parser, "next")) {
        action->choice = 1;
    } else if (tk_cl_parse_word(parser, "none")) {
        action->choice = 2;
    } else if (!tk_cl_parse_number(parser, &action->low)) {
        return false;
    }
    return tk_cl_parse_expect(parser, ')');
}

/* A party of a partition: "client", "pd*", "pd0", "store*", "store2". */
static bool
take_party(struct tk_cl_parser *parser, char name[TK_NAME_MAX])
{
    const char *start = parser->at;

    if (!tk_cl_parse_name(parser, name)) {
        return false;
    }
    if (strcmp(name, "client") == 0 ||
        (strncmp(name, "pd", 2) == 0 && name[2] != '\0') ||
        (strncmp(name, "store", 5) == 0 && name[5] != '\0')) {
        return true;
    }
    return tk_cl_parse_fail(parser, start, "client, pdN or storeN expected");
}

/* "(A,B[,drop|reject][,to|from|both][,MS])". */
static bool
take_partition(struct tk_cl_parser *parser, struct tk_cl_action *action)
{
    if (!tk_cl_parse_expect(parser, '(') ||
        !take_party(parser, action->name) ||
        !tk_cl_parse_expect(parser, ',') ||
        !take_party(parser, action->other)) {
        return false;
    }
    while (tk_cl_parse_char(parser, ',')) {
        if (tk_cl_parse_word(parser, "reject")) {
            action->choice = TK_CUT_REJECT;
        } else if (tk_cl_parse_word(parser, "to")) {
            action->high = 1;
        } else if (tk_cl_parse_word(parser, "from")) {
            action->high = 2;
        } else if (!tk_cl_parse_word(parser, "drop") &&
                   !tk_cl_parse_word(parser, "both") &&
                   !tk_cl_parse_number(parser, &action->low)) {
            return false;
        }
    }
    return tk_cl_parse_expect(parser, ')');
}

/* ---- errors ---- */

static bool
take_leader(struct tk_cl_parser *parser, struct tk_cl_error *error)
{
    if (tk_cl_parse_word(parser, "none")) {
        error->no_leader = true;
        return true;
    }
    if (tk_cl_parse_word(parser, "wrong")) {
        error->wrong_leader = true;
        return true;
    }
    return tk_cl_parse_number(parser, &error->leader_store);
}

static bool
take_regions(struct tk_cl_parser *parser, struct tk_cl_error *error)
{
    if (tk_cl_parse_word(parser, "none")) {
        error->no_regions = true;
        return true;
    }
    if (*parser->at >= '0' && *parser->at <= '9') {
        return tk_cl_parse_number(parser, &error->regions);
    }
    return tk_cl_parse_word(parser, "current") ||
           tk_cl_parse_fail(parser, parser->at,
                            "'current', 'none' or a number expected");
}

struct number_field {
    const char *name;
    uint32_t kind;
    size_t offset;
};

static bool
take_numbers(struct tk_cl_parser *parser, const struct number_field *fields,
             size_t count, uint32_t kind, void *error)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (fields[i].kind == kind &&
            tk_cl_parse_word(parser, fields[i].name)) {
            return tk_cl_parse_expect(parser, '=') &&
                   tk_cl_parse_number(
                       parser, (uint64_t *)(void *)((char *)error +
                                                    fields[i].offset));
        }
    }
    return tk_cl_parse_fail(parser, parser->at,
                            "this error has no such field");
}

/* One ",FIELD=VALUE" of a region error. */
static bool
take_error_field(struct tk_cl_parser *parser, struct tk_cl_error *error)
{
#define NUMBER(name, kind, field)                                              \
    { name, kind, offsetof(struct tk_cl_error, field) }
    static const struct number_field numbers[] = {
        NUMBER("backoff_ms", TK_CL_SERVER_IS_BUSY, backoff_ms),
        NUMBER("estimated_wait_ms", TK_CL_SERVER_IS_BUSY, wait_ms),
        NUMBER("applied_index", TK_CL_SERVER_IS_BUSY, number),
        NUMBER("entry_size", TK_CL_RAFT_ENTRY_TOO_LARGE, number),
        NUMBER("safe_ts", TK_CL_DATA_IS_NOT_READY, number),
        NUMBER("flashback_start_ts", TK_CL_FLASHBACK_IN_PROGRESS, number),
        NUMBER("version", TK_CL_BUCKET_VERSION_NOT_MATCH, number),
    };
#undef NUMBER

    if (error->kind == TK_CL_NOT_LEADER && tk_cl_parse_word(parser, "leader")) {
        return tk_cl_parse_expect(parser, '=') && take_leader(parser, error);
    }
    if (error->kind == TK_CL_EPOCH_NOT_MATCH &&
        tk_cl_parse_word(parser, "regions")) {
        return tk_cl_parse_expect(parser, '=') && take_regions(parser, error);
    }
    return take_numbers(parser, numbers, sizeof(numbers) / sizeof(numbers[0]),
                        error->kind, error);
}

static bool
take_region_error(struct tk_cl_parser *parser, struct tk_cl_action *action)
{
    struct tk_cl_error *error = &action->error;
    int i;

    if (!tk_cl_parse_expect(parser, '(')) {
        return false;
    }
    for (i = 0; i < TK_CL_ERROR_KINDS; i++) {
        if (tk_cl_parse_word(parser,
                             tk_cl_error_name((enum tk_cl_error_kind)i))) {
            break;
        }
    }
    if (i == TK_CL_ERROR_KINDS) {
        return tk_cl_parse_fail(parser, parser->at, "unknown region error");
    }
    error->kind = (enum tk_cl_error_kind)i;
    while (tk_cl_parse_char(parser, ',')) {
        if (!take_error_field(parser, error)) {
            return false;
        }
    }
    return tk_cl_parse_expect(parser, ')');
}

static bool
take_key_error(struct tk_cl_parser *parser, struct tk_cl_action *action)
{
#define NUMBER(field) { #field, 0, offsetof(struct tk_cl_key_fault, field) }
    static const struct number_field numbers[] = {
        NUMBER(start_ts), NUMBER(commit_ts), NUMBER(min_commit_ts),
        NUMBER(ttl),      NUMBER(reason),
    };
#undef NUMBER
    const char *names[TK_KEY_FAULTS];
    uint32_t kind = 0;
    int i;

    for (i = 0; i < TK_KEY_FAULTS; i++) {
        names[i] = tk_cl_key_fault_name((enum tk_key_fault_kind)i);
    }
    if (!tk_cl_parse_expect(parser, '(') ||
        !tk_cl_parse_choice(parser, names, TK_KEY_FAULTS, &kind,
                            "unknown key error")) {
        return false;
    }
    action->key_error.kind = (enum tk_key_fault_kind)kind;
    while (tk_cl_parse_char(parser, ',')) {
        if (!take_numbers(parser, numbers,
                          sizeof(numbers) / sizeof(numbers[0]), 0,
                          &action->key_error)) {
            return false;
        }
    }
    return tk_cl_parse_expect(parser, ')');
}

/* ---- the catalogue ---- */

#define ENDS TK_ACT_TERMINAL
#define HOLDS TK_ACT_HOLDS
#define DEED TK_ACT_DEED
#define ANSWER TK_ACT_ANSWER

const struct tk_cl_act_row tk_cl_act_rows[TK_ACTS] = {
    [TK_ACT_DELAY] = { "delay", "F1", "(MS|A..B)", take_delay, HOLDS },
    [TK_ACT_BARRIER] = { "barrier", "D.3", "(NAME[,MS])", take_barrier,
                         HOLDS },
    [TK_ACT_DROP_REQUEST] = { "drop_request", "F2", "", NULL, ENDS },
    [TK_ACT_DROP_RESPONSE] = { "drop_response", "F3", "", NULL, ENDS },
    [TK_ACT_STATUS] = { "status", "F4 F5 F24", "(NAME)", take_status, ENDS },
    [TK_ACT_BREAK_STREAM] = { "break_stream", "F6", "[(NAME)]", take_break,
                              ENDS },
    [TK_ACT_RESET_CONNECTION] = { "reset_connection", "F6", "", NULL, ENDS },
    [TK_ACT_GOAWAY] = { "goaway", "F6", "", NULL, DEED },
    [TK_ACT_MAX_STREAMS] = { "max_streams", "F24", "(N)", take_one, DEED },
    [TK_ACT_COMPRESS] = { "compress", "F24", "(none|gzip)", take_compress,
                          DEED },
    [TK_ACT_DUPLICATE] = { "duplicate", "F7", "(N[,MS])", take_two, 0 },
    [TK_ACT_REORDER] = { "reorder", "F8", "(K[,MS])", take_two, HOLDS },
    [TK_ACT_STALE_REPLAY] = { "stale_replay", "F9",
                              "(commit|rollback|leader|METHOD)", take_event,
                              0 },
    [TK_ACT_REGION_ERROR] = { "region_error", "F10", "(KIND[,FIELD=N]...)",
                              take_region_error, ENDS },
    [TK_ACT_KEY_ERROR] = { "key_error", "F11", "(KIND[,FIELD=N]...)",
                           take_key_error, ENDS },
    [TK_ACT_PARTIAL] = { "partial", "F12", "(N)", take_one, ANSWER },
    [TK_ACT_UNKNOWN_FIELDS] = { "unknown_fields", "F13", "", NULL, ANSWER },
    [TK_ACT_UNKNOWN_ENUM] = { "unknown_enum", "F13", "", NULL, ANSWER },
    [TK_ACT_CORRUPT] = { "corrupt", "F14",
                         "(region_id|truncated|oversized|garbage)",
                         take_corruption, ANSWER },
    [TK_ACT_SPLIT] = { "split", "F15", "[(KEY)]", take_split, DEED },
    [TK_ACT_MERGE] = { "merge", "F15", "", NULL, DEED },
    [TK_ACT_TRANSFER] = { "transfer", "F15", "(STORE|next|none)",
                          take_transfer, DEED },
    [TK_ACT_BUMP_CONF_VER] = { "bump_conf_ver", "F15", "", NULL, DEED },
    [TK_ACT_REMOVE_PEER] = { "remove_peer", "F15", "(STORE)", take_one, DEED },
    [TK_ACT_RESTART_STORE] = { "restart_store", "F15", "[(MS)]", take_maybe,
                               DEED },
    [TK_ACT_LOSE_MEMORY_LOCKS] = { "lose_memory_locks", "F16", "", NULL,
                                   DEED },
    [TK_ACT_MAX_TS_UNSYNCED] = { "max_ts_unsynced", "F17", "(MS)", take_one,
                                 DEED },
    [TK_ACT_SAFE_TS_HOLD] = { "safe_ts_hold", "F18", "[(MS)]", take_maybe,
                              DEED },
    [TK_ACT_SAFE_TS_LAG] = { "safe_ts_lag", "F18", "(MS)", take_one, DEED },
    [TK_ACT_LOCK_WAIT] = { "lock_wait", "F19",
                           "(skip_wake|timeout|spurious|no_detector)",
                           take_lock_wait, ANSWER },
    [TK_ACT_ASYNC_COMMIT_FALLBACK] = { "async_commit_fallback", "F20",
                                       "[(N)]", take_maybe, ANSWER },
    [TK_ACT_TSO] = { "tso", "F21",
                     "(jump,MS|back,MS|freeze,MS|logical_overflow|"
                     "wrong_cluster_id|count_mismatch)",
                     take_tso, DEED | ANSWER },
    [TK_ACT_PD_LEADER_RESIGN] = { "leader_resign", "F22", "", NULL, DEED },
    [TK_ACT_PD_NO_LEADER] = { "no_leader", "F22", "(MS)", take_one, DEED },
    [TK_ACT_PD_MEMBER_DOWN] = { "member_down", "F22", "(N[,MS])", take_two,
                                DEED },
    [TK_ACT_PD_STALE_REGION] = { "stale_region", "F22", "", NULL, ANSWER },
    [TK_ACT_PD_HOLE] = { "hole", "F22", "", NULL, ANSWER },
    [TK_ACT_PD_LEADER_ABSENT] = { "leader_absent", "F22", "", NULL, ANSWER },
    [TK_ACT_PD_WRONG_ADDRESS] = { "wrong_store_address", "F22", "", NULL,
                                  ANSWER },
    [TK_ACT_PARTITION] = { "partition", "F23",
                           "(A,B[,drop|reject][,to|from|both][,MS])",
                           take_partition, DEED },
    [TK_ACT_HEAL] = { "heal", "F23", "", NULL, DEED },
    [TK_ACT_THROTTLE] = { "throttle", "F25", "(PER_SECOND)", take_one, 0 },
    [TK_ACT_QUEUE_LIMIT] = { "queue_limit", "F25", "(N)", take_one, 0 },
    [TK_ACT_MEMORY_LIMIT] = { "memory_limit", "F25", "(BYTES)", take_one, 0 },
    [TK_ACT_MESSAGE_LIMIT] = { "message_limit", "F24", "(BYTES)", take_one,
                               0 },
    [TK_ACT_CLOCK_SKEW] = { "clock_skew", "F26", "([-]MS)", take_skew, DEED },
    [TK_ACT_CRASH] = { "crash", "F27", "[(MS)]", take_maybe, DEED | ENDS },
    [TK_ACT_SLOW_SCORE] = { "slow_score", "F28", "(N)", take_one, DEED },
    [TK_ACT_LOAD] = { "transport_load", "F28", "(N)", take_one, DEED },
    [TK_ACT_NOT_SERVING] = { "not_serving", "F28", "[(MS)]", take_maybe,
                             DEED },
    [TK_ACT_GC] = { "gc", "F29", "[(TS)]", take_maybe, DEED },
    [TK_ACT_UNIMPLEMENTED] = { "unimplemented", "F30", "", NULL, ENDS },
};

/* ---- lists ---- */

static bool
take_action(struct tk_cl_parser *parser, struct tk_cl_actions *out)
{
    struct tk_cl_action *action = &out->list[out->count];
    const struct tk_cl_act_row *row = NULL;
    const char *start = parser->at;
    int i;

    for (i = 0; row == NULL && i < TK_ACTS; i++) {
        if (tk_cl_parse_word(parser, tk_cl_act_rows[i].name)) {
            row = &tk_cl_act_rows[i];
            action->act = (uint32_t)i;
        }
    }
    if (row == NULL) {
        return tk_cl_parse_fail(parser, start, "unknown action");
    }
    if (out->is_terminal && (row->flags & (ENDS | HOLDS)) != 0) {
        return tk_cl_parse_fail(parser, start,
                                (row->flags & ENDS) != 0
                                    ? "a second action after one that ends"
                                    : "waiting comes first");
    }
    action->is_after = parser->is_applied;
    out->is_terminal = out->is_terminal || (row->flags & ENDS) != 0;
    out->count++;
    return row->take == NULL || row->take(parser, action);
}

bool
tk_cl_parse_actions(struct tk_cl_parser *parser, struct tk_cl_actions *out)
{
    parser->is_applied = false;
    do {
        if (tk_cl_parse_word(parser, "apply")) {
            parser->is_applied = true;
            continue;
        }
        if (out->count == TK_ACTIONS_MAX) {
            return tk_cl_parse_fail(parser, parser->at, "too many actions");
        }
        if (!take_action(parser, out)) {
            return false;
        }
    } while (tk_cl_parse_char(parser, ','));
    return out->count > 0 ||
           tk_cl_parse_fail(parser, parser->at, "action expected");
}

tikv_error *
tk_cl_actions_parse(const char *text, struct tk_cl_actions *out)
{
    struct tk_cl_parser parser = { text, text, NULL, NULL, false };

    memset(out, 0, sizeof(*out));
    if (tk_cl_parse_actions(&parser, out) && *parser.at == '\0') {
        return NULL;
    }
    tk_cl_actions_fini(out);
    return tk_error(TIKV_ERR_ARGUMENT, "actions, at %zu: %s",
                    (size_t)((parser.failed_at == NULL ? parser.at
                                                       : parser.failed_at) -
                             text) + 1,
                    parser.failure == NULL ? "end expected" : parser.failure);
}

void
tk_cl_actions_fini(struct tk_cl_actions *actions)
{
    size_t i;

    for (i = 0; i < actions->count; i++) {
        tk_free((void *)(uintptr_t)actions->list[i].key.data);
    }
    memset(actions, 0, sizeof(*actions));
}
