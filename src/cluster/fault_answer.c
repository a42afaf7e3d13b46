/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Actions that change an answer: KeyErrors, answers cut short, fields that
 * nobody knows, broken bytes, and what a stale or wrong PD would say. They
 * work on the bytes of the answer. Appending is changing here: of a number
 * that is there twice the last one counts, and messages that are there twice
 * are one.
 */
#include <string.h>

#include "base/fingerprint.h"
#include "base/slice.h"
#include "cluster/fault.h"
#include "cluster/txn.h"
#include "wire/proto.h"

enum {
    UNKNOWN_NUMBER = 1999,
    UNKNOWN_BYTES = 2000,
    UNKNOWN_VALUE = 99,
    OVERSIZE = 8 * 1024 * 1024,
    WRONG_BY = 1000,
    TTL = 3000
};

/* ---- KeyErrors ---- */

static const char *const key_names[TK_KEY_FAULTS] = {
    "locked",           "retryable",         "abort",
    "conflict",         "already_exist",     "deadlock",
    "commit_ts_expired", "txn_not_found",    "commit_ts_too_large",
    "assertion_failed", "primary_mismatch",  "txn_lock_not_found",
    "lock_upgrade_conflict", "shared_lock_lost"
};

/* The members of kvrpcpb.KeyError. */
static const uint32_t key_fields[TK_KEY_FAULTS] = { 1, 2, 3,  4,  5,  6,  7,
                                                    8, 9, 10, 11, 12, 13, 14 };

const char *
tk_cl_key_fault_name(enum tk_key_fault_kind kind)
{
    return key_names[kind];
}

static void
put_lock(struct tk_buf *out, uint32_t field, tikv_slice key,
         const struct tk_cl_key_fault *fault)
{
    size_t mark = tk_put_begin(out, field);

    tk_put_bytes(out, 1, key);
    tk_put_u64(out, 2, fault->start_ts);
    tk_put_bytes(out, 3, key);
    tk_put_u64(out, 4, fault->ttl == 0 ? TTL : fault->ttl);
    tk_put_u64(out, 9, fault->min_commit_ts);
    tk_put_end(out, mark);
}

/* Fields of the members that are messages, in groups that look alike. */
static void
put_member(struct tk_buf *out, tikv_slice key, uint64_t own_ts,
           const struct tk_cl_key_fault *fault)
{
    switch (fault->kind) {
    case TK_KF_CONFLICT:
        tk_put_u64(out, 1, own_ts);
        tk_put_u64(out, 2, fault->start_ts);
        tk_put_bytes(out, 3, key);
        tk_put_bytes(out, 4, key);
        tk_put_u64(out, 5, fault->commit_ts);
        tk_put_u64(out, 6, fault->reason == 0 ? 1 : fault->reason);
        break;
    case TK_KF_DEADLOCK:
        tk_put_u64(out, 1, fault->start_ts);
        tk_put_bytes(out, 2, key);
        tk_put_u64(out, 3, tk_fingerprint64(key));
        tk_put_bytes(out, 5, key);
        break;
    case TK_KF_COMMIT_TS_EXPIRED:
        tk_put_u64(out, 1, own_ts);
        tk_put_u64(out, 2, fault->commit_ts);
        tk_put_bytes(out, 3, key);
        tk_put_u64(out, 4, fault->min_commit_ts);
        break;
    case TK_KF_TXN_NOT_FOUND:
        tk_put_u64(out, 1, own_ts);
        tk_put_bytes(out, 2, key);
        break;
    case TK_KF_COMMIT_TS_TOO_LARGE:
        tk_put_u64(out, 1, fault->commit_ts);
        break;
    case TK_KF_ASSERTION_FAILED:
        tk_put_u64(out, 1, own_ts);
        tk_put_bytes(out, 2, key);
        tk_put_u64(out, 3, fault->reason == 0 ? 1 : fault->reason);
        tk_put_u64(out, 4, fault->start_ts);
        tk_put_u64(out, 5, fault->commit_ts);
        break;
    case TK_KF_PRIMARY_MISMATCH:
        put_lock(out, 1, key, fault);
        break;
    case TK_KF_LOCK_UPGRADE_CONFLICT:
        tk_put_bytes(out, 1, key);
        tk_put_u64(out, 2, own_ts);
        tk_put_u64(out, 3, fault->start_ts);
        tk_put_u64(out, 4, fault->reason == 0 ? 1 : fault->reason);
        break;
    case TK_KF_SHARED_LOCK_LOST:
        tk_put_bytes(out, 1, key);
        tk_put_u64(out, 2, own_ts);
        break;
    case TK_KF_LOCKED:
    case TK_KF_RETRYABLE:
    case TK_KF_ABORT:
    case TK_KF_ALREADY_EXIST:
    case TK_KF_TXN_LOCK_NOT_FOUND:
    case TK_KEY_FAULTS:
        tk_put_bytes(out, 1, key);
        break;
    }
}

static void
put_key_error(struct tk_cl_request *request, uint32_t field,
              const struct tk_cl_key_fault *fault)
{
    struct tk_buf *out = request->out;
    tikv_slice key = { NULL, 0 };
    size_t mark = tk_put_begin(out, field);
    size_t at = 0;
    size_t member;

    (void)tk_cl_next_key(request, &at, &key);
    if (fault->kind == TK_KF_LOCKED) {
        put_lock(out, 1, key, fault);
    } else if (fault->kind == TK_KF_RETRYABLE || fault->kind == TK_KF_ABORT) {
        tk_put_text(out, key_fields[fault->kind], "injected by a rule");
    } else {
        if (fault->kind == TK_KF_CONFLICT ||
            fault->kind == TK_KF_TXN_LOCK_NOT_FOUND) {
            tk_put_text(out, 2, "injected by a rule");
        }
        member = tk_put_begin(out, key_fields[fault->kind]);
        put_member(out, key, tk_cl_start_ts_of(request), fault);
        tk_put_end(out, member);
    }
    tk_put_end(out, mark);
}

static bool
answers_pairs(const struct tk_cl_request *request)
{
    return request->method->index == TK_CMD_KV_BATCH_GET ||
           request->method->index == TK_CMD_KV_SCAN;
}

static void
answer_key_error(struct tk_cl_request *request,
                 const struct tk_cl_key_fault *fault)
{
    struct tk_buf *out = request->out;
    size_t pair;

    tk_buf_cut(out, request->out_start, out->len - request->out_start);
    if (answers_pairs(request)) {
        pair = tk_put_begin(out, 2);
        put_key_error(request, 1, fault);
        tk_put_end(out, pair);
    }
    put_key_error(request, request->method->error, fault);
    tk_cl_seen_key_error(request, fault->kind);
}

/* ---- rewriting ---- */

/* A field as it was. */
static void
copy(struct tk_buf *out, const uint8_t *from, const struct tk_cursor *to)
{
    tk_buf_append(out, from, (size_t)(to->at - from));
}

/* The answer so far, taken out. */
static void
take(struct tk_cl_request *request, struct tk_buf *old)
{
    struct tk_buf *out = request->out;

    tk_buf_init(old, SIZE_MAX / 4);
    tk_buf_append(old, out->data + request->out_start,
                  out->len - request->out_start);
    tk_buf_cut(out, request->out_start, out->len - request->out_start);
}

/* metapb.Region with the epoch of before its last change. */
static void
put_stale(struct tk_buf *out, uint32_t number, tikv_slice region)
{
    struct tk_cursor cursor = tk_cursor(region);
    size_t mark = tk_put_begin(out, number);
    struct tk_cl_fields epoch;
    struct tk_field field;
    const uint8_t *from = cursor.at;

    while (tk_cursor_field(&cursor, &field)) {
        if (field.number == 4 && tk_cl_decode(field.bytes, &epoch)) {
            size_t inner = tk_put_begin(out, 4);

            tk_put_u64(out, 1, epoch.numbers[1]);
            tk_put_u64(out, 2, epoch.numbers[2] - (epoch.numbers[2] > 1));
            tk_put_end(out, inner);
        } else {
            copy(out, from, &cursor);
        }
        from = cursor.at;
    }
    tk_put_end(out, mark);
}

/* pdpb.Region: region 1, leader 2. */
static void
put_bent(struct tk_buf *out, uint32_t number, tikv_slice region,
         uint32_t twists)
{
    struct tk_cursor cursor = tk_cursor(region);
    size_t mark = tk_put_begin(out, number);
    struct tk_field field;
    const uint8_t *from = cursor.at;

    while (tk_cursor_field(&cursor, &field)) {
        if (field.number == 1 && (twists & TK_TWIST_STALE_REGION) != 0) {
            put_stale(out, 1, field.bytes);
        } else if (field.number != 2 || (twists & TK_TWIST_NO_LEADER) == 0) {
            copy(out, from, &cursor);
        }
        from = cursor.at;
    }
    tk_put_end(out, mark);
}

/* metapb.Store with an address where nobody listens. */
static void
put_moved(struct tk_buf *out, uint32_t number, tikv_slice store)
{
    size_t mark = tk_put_begin(out, number);

    tk_buf_append_slice(out, store);
    tk_put_text(out, 2, "127.0.0.1:1");
    tk_put_end(out, mark);
}

/* The fields of an answer of PD that hold metapb.Region, its leader alone,
 * and pdpb.Region; 0: none. False: the method does not tell of regions. */
static bool
region_fields(uint32_t index, uint32_t *meta, uint32_t *leader, uint32_t *both)
{
    *meta = 2;
    *leader = 3;
    *both = 0;
    switch (index) {
    case TK_CMD_PD_GET_REGION:
    case TK_CMD_PD_GET_PREV_REGION:
    case TK_CMD_PD_GET_REGION_BY_ID:
        return true;
    case TK_CMD_PD_SCAN_REGIONS:
        *both = 4;
        return true;
    case TK_CMD_PD_BATCH_SCAN_REGIONS:
        *meta = 0;
        *leader = 0;
        *both = 2;
        return true;
    default:
        return false;
    }
}

static void
bend_regions(struct tk_cl_request *request, uint32_t twists)
{
    struct tk_buf old;
    struct tk_cursor cursor;
    struct tk_field field;
    const uint8_t *from;
    uint32_t meta;
    uint32_t leader;
    uint32_t both;

    if (!region_fields(request->method->index, &meta, &leader, &both)) {
        return;
    }
    take(request, &old);
    cursor = tk_cursor(tk_buf_slice(&old));
    from = cursor.at;
    while (tk_cursor_field(&cursor, &field)) {
        if (field.number != 1 && (twists & TK_TWIST_HOLE) != 0) {
            /* nothing but the header */
        } else if (field.number == meta &&
                   (twists & TK_TWIST_STALE_REGION) != 0) {
            put_stale(request->out, meta, field.bytes);
        } else if (field.number == leader &&
                   (twists & TK_TWIST_NO_LEADER) != 0) {
            if (both != 0) { /* in a list others come behind it */
                tk_put_end(request->out, tk_put_begin(request->out, leader));
            }
        } else if (field.number == both) {
            put_bent(request->out, both, field.bytes, twists);
        } else {
            copy(request->out, from, &cursor);
        }
        from = cursor.at;
    }
    tk_buf_fini(&old);
}

static void
bend_addresses(struct tk_cl_request *request)
{
    struct tk_buf old;
    struct tk_cursor cursor;
    struct tk_field field;
    const uint8_t *from;

    if (request->method->index != TK_CMD_PD_GET_STORE &&
        request->method->index != TK_CMD_PD_GET_ALL_STORES) {
        return;
    }
    take(request, &old);
    cursor = tk_cursor(tk_buf_slice(&old));
    from = cursor.at;
    while (tk_cursor_field(&cursor, &field)) {
        if (field.number == 2) {
            put_moved(request->out, 2, field.bytes);
        } else {
            copy(request->out, from, &cursor);
        }
        from = cursor.at;
    }
    tk_buf_fini(&old);
}

/* ---- cut short ---- */

/* The repeated field that a method answers with; 0: none. */
static uint32_t
list_of(uint32_t index)
{
    switch (index) {
    case TK_CMD_KV_SCAN:
    case TK_CMD_KV_BATCH_GET:
    case TK_CMD_RAW_SCAN:
    case TK_CMD_RAW_BATCH_GET:
    case TK_CMD_RAW_BATCH_SCAN:
        return 2;
    case TK_CMD_KV_SCAN_LOCK:
    case TK_CMD_KV_BUFFER_BATCH_GET:
        return 3;
    default:
        return 0;
    }
}

/* A pair that could not be read, behind those that could. */
static void
put_broken_pair(struct tk_cl_request *request)
{
    const struct tk_cl_key_fault locked = { .kind = TK_KF_LOCKED,
                                            .start_ts = 1,
                                            .ttl = 1 };
    size_t pair = tk_put_begin(request->out, 2);

    put_key_error(request, 1, &locked);
    tk_put_end(request->out, pair);
}

static void
cut_short(struct tk_cl_request *request, uint64_t most)
{
    const struct tk_cl_error busy = { .kind = TK_CL_SERVER_IS_BUSY,
                                      .reason = "stopped half-way" };
    uint32_t list = list_of(request->method->index);
    struct tk_cursor cursor;
    struct tk_field field;
    const uint8_t *from;
    struct tk_buf old;
    uint64_t kept = 0;

    if (request->method->index == TK_CMD_KV_RESOLVE_LOCK) {
        tk_cl_answer_error(request, &busy);
    }
    if (list == 0) {
        return;
    }
    take(request, &old);
    cursor = tk_cursor(tk_buf_slice(&old));
    from = cursor.at;
    while (tk_cursor_field(&cursor, &field)) {
        if (field.number != list || kept++ < most) {
            copy(request->out, from, &cursor);
        }
        from = cursor.at;
    }
    if (kept > most && answers_pairs(request)) {
        put_broken_pair(request);
    }
    tk_buf_fini(&old);
}

/* ---- unknown, broken ---- */

static void
add_unknown(struct tk_cl_request *request)
{
    tk_put_u64(request->out, UNKNOWN_NUMBER, 1);
    tk_put_text(request->out, UNKNOWN_BYTES, "of a later version");
}

/* A number that the enum does not have, where the answer has one. */
static void
add_unknown_enum(struct tk_cl_request *request)
{
    size_t mark;

    if (request->method->index == TK_CMD_KV_CHECK_TXN_STATUS) {
        tk_put_u64(request->out, 5, UNKNOWN_VALUE);
    } else if (request->method->index == TK_CMD_PD_GET_STORE) {
        mark = tk_put_begin(request->out, 2);
        tk_put_u64(request->out, 3, UNKNOWN_VALUE);
        tk_put_end(request->out, mark);
    } else {
        add_unknown(request);
    }
}

static void
put_filler(struct tk_buf *out)
{
    static const uint8_t zeros[4096];
    size_t mark = tk_put_begin(out, UNKNOWN_BYTES);
    size_t i;

    for (i = 0; i < OVERSIZE / sizeof(zeros); i++) {
        tk_buf_append(out, zeros, sizeof(zeros));
    }
    tk_put_end(out, mark);
}

static void
corrupt(struct tk_cl_request *request, uint32_t how)
{
    struct tk_buf *out = request->out;
    size_t len = out->len - request->out_start;
    size_t mark;

    if (how == TK_CORRUPT_TRUNCATED && len > 0) {
        tk_buf_cut(out, out->len - (len + 1) / 2, (len + 1) / 2);
        /* Behind a whole field it would be sound: begin another. */
        tk_buf_append(out, "\x0a\x7f", 2);
    } else if (how == TK_CORRUPT_OVERSIZED) {
        put_filler(out);
    } else if (how == TK_CORRUPT_GARBAGE) {
        tk_buf_cut(out, request->out_start, len);
        tk_buf_append(out, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    } else if (how == TK_CORRUPT_REGION_ID) {
        mark = tk_put_begin(out, 2);
        tk_put_u64(out, 1, tk_cl_region_id_of(request) + WRONG_BY);
        tk_put_end(out, mark);
    }
}

void
tk_cl_twist(struct tk_cl_request *request, const struct tk_cl_plan *plan)
{
    uint32_t twists = plan->twists;
    struct tk_buf *out = request->out;
    struct tk_cl_fields fields;
    size_t mark;

    if ((twists & TK_TWIST_KEY_ERROR) != 0) {
        answer_key_error(request, &plan->key_error);
    }
    if ((twists & TK_TWIST_PARTIAL) != 0) {
        cut_short(request, plan->number);
    }
    if ((twists & (TK_TWIST_STALE_REGION | TK_TWIST_HOLE |
                   TK_TWIST_NO_LEADER)) != 0) {
        bend_regions(request, twists);
    }
    if ((twists & TK_TWIST_ADDRESS) != 0) {
        bend_addresses(request);
    }
    if ((twists & TK_TWIST_COUNT) != 0 &&
        tk_cl_decode(tk_slice(out->data + request->out_start,
                              out->len - request->out_start),
                     &fields)) {
        tk_put_u64(out, 2, fields.numbers[2] + 1);
    }
    if ((twists & TK_TWIST_WRONG_CLUSTER) != 0) {
        mark = tk_put_begin(out, 1);
        tk_put_u64(out, 1, request->cluster->id + WRONG_BY);
        tk_put_end(out, mark);
    }
    if ((twists & TK_TWIST_UNKNOWN_FIELDS) != 0) {
        add_unknown(request);
    }
    if ((twists & TK_TWIST_UNKNOWN_ENUM) != 0) {
        add_unknown_enum(request);
    }
    if ((twists & TK_TWIST_CORRUPT) != 0) {
        corrupt(request, plan->corruption);
    }
}
