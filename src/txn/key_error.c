/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One row per kind of KeyError, most telling first: TiKV sets a text beside
 * some messages (a conflict is `retryable` too). Texts that mean something
 * are recognised by the names TiKV's errors have. No state; any thread.
 */
#include "txn/key_error.h"

#include <string.h>

#include "base/error.h"
#include "base/redact.h"
#include "base/slice.h"

#include "upb/upb.h"

#include "deadlock.upb.h"
#include "kvrpcpb.upb.h"

#define TEXT_MAX 400

/* What a row works with. */
struct told {
    const kvrpcpb_KeyError *problem;
    const struct tk_key_codec *codec;
    const char *name; /* of the command */
};

static tikv_slice
bytes_of(upb_StringView view)
{
    return tk_slice(view.size == 0 ? "" : view.data, view.size);
}

/* A key that is not of our keyspace is shown as it is. */
static void
set_key(const struct told *told, tikv_error *error, tikv_error_field field,
        upb_StringView view)
{
    tikv_slice key;

    if (view.size == 0) {
        return;
    }
    if (!tk_codec_response_key(told->codec, bytes_of(view), &key)) {
        key = bytes_of(view);
    }
    tk_error_set_bytes(error, field, key);
}

static void
set_u64(tikv_error *error, tikv_error_field field, uint64_t number)
{
    tk_error_set_u64(error, field, number);
}

static tikv_error *
of_lock(const struct told *told)
{
    const kvrpcpb_LockInfo *lock = kvrpcpb_KeyError_locked(told->problem);
    uint64_t holder = kvrpcpb_LockInfo_lock_version(lock);
    tikv_error *error = tk_error(TIKV_ERR_LOCK_WAIT,
                                 "%s: the key is locked by transaction %llu",
                                 told->name, (unsigned long long)holder);

    set_u64(error, TIKV_ERROR_LOCK_TS, holder);
    set_u64(error, TIKV_ERROR_LOCK_TTL_MS, kvrpcpb_LockInfo_lock_ttl(lock));
    set_u64(error, TIKV_ERROR_MIN_COMMIT_TS,
            kvrpcpb_LockInfo_min_commit_ts(lock));
    set_key(told, error, TIKV_ERROR_KEY, kvrpcpb_LockInfo_key(lock));
    set_key(told, error, TIKV_ERROR_PRIMARY,
            kvrpcpb_LockInfo_primary_lock(lock));
    return error;
}

static tikv_error *
of_conflict(const struct told *told)
{
    static const char *const reasons[] = {
        [TIKV_CONFLICT_UNKNOWN] = "",
        [TIKV_CONFLICT_OPTIMISTIC] = " (optimistic)",
        [TIKV_CONFLICT_PESSIMISTIC_RETRY] = " (pessimistic retry)",
        [TIKV_CONFLICT_SELF_ROLLED_BACK] = " (rolled back by others)",
        [TIKV_CONFLICT_RC_CHECK_TS] = " (newer than a checked read)",
        [TIKV_CONFLICT_LAZY_UNIQUENESS] = " (lazy uniqueness check)",
        [TIKV_CONFLICT_NOT_LOCKED] = " (a key that was not locked)"
    };
    const kvrpcpb_WriteConflict *conflict =
        kvrpcpb_KeyError_conflict(told->problem);
    int32_t reason = kvrpcpb_WriteConflict_reason(conflict);
    bool is_known =
        reason >= 0 && (size_t)reason < sizeof(reasons) / sizeof(reasons[0]);
    tikv_error *error = tk_error(
        TIKV_ERR_WRITE_CONFLICT,
        "%s: transaction %llu meets a write of %llu committed at %llu%s",
        told->name,
        (unsigned long long)kvrpcpb_WriteConflict_start_ts(conflict),
        (unsigned long long)kvrpcpb_WriteConflict_conflict_ts(conflict),
        (unsigned long long)kvrpcpb_WriteConflict_conflict_commit_ts(conflict),
        is_known ? reasons[reason] : "");

    set_u64(error, TIKV_ERROR_START_TS,
            kvrpcpb_WriteConflict_start_ts(conflict));
    set_u64(error, TIKV_ERROR_CONFLICT_TS,
            kvrpcpb_WriteConflict_conflict_ts(conflict));
    set_u64(error, TIKV_ERROR_CONFLICT_COMMIT_TS,
            kvrpcpb_WriteConflict_conflict_commit_ts(conflict));
    set_u64(error, TIKV_ERROR_REASON, (uint64_t)(uint32_t)reason);
    set_key(told, error, TIKV_ERROR_KEY, kvrpcpb_WriteConflict_key(conflict));
    set_key(told, error, TIKV_ERROR_PRIMARY,
            kvrpcpb_WriteConflict_primary(conflict));
    return error;
}

static tikv_error *
of_existing(const struct told *told)
{
    const kvrpcpb_AlreadyExist *exists =
        kvrpcpb_KeyError_already_exist(told->problem);
    tikv_error *error =
        tk_error(TIKV_ERR_KEY_EXISTS, "%s: the key exists already", told->name);

    set_key(told, error, TIKV_ERROR_KEY, kvrpcpb_AlreadyExist_key(exists));
    return error;
}

static tikv_error *
of_deadlock(const struct told *told)
{
    const kvrpcpb_Deadlock *deadlock = kvrpcpb_KeyError_deadlock(told->problem);
    const deadlock_WaitForEntry *const *edges;
    tikv_error *error = tk_error(
        TIKV_ERR_DEADLOCK, "%s: a deadlock with transaction %llu", told->name,
        (unsigned long long)kvrpcpb_Deadlock_lock_ts(deadlock));
    size_t count;
    size_t i;

    set_u64(error, TIKV_ERROR_LOCK_TS, kvrpcpb_Deadlock_lock_ts(deadlock));
    set_u64(error, TIKV_ERROR_KEY_HASH,
            kvrpcpb_Deadlock_deadlock_key_hash(deadlock));
    set_key(told, error, TIKV_ERROR_LOCK_KEY,
            kvrpcpb_Deadlock_lock_key(deadlock));
    set_key(told, error, TIKV_ERROR_KEY,
            kvrpcpb_Deadlock_deadlock_key(deadlock));
    edges = kvrpcpb_Deadlock_wait_chain(deadlock, &count);
    for (i = 0; i < count; i++) {
        tikv_slice key = bytes_of(deadlock_WaitForEntry_key(edges[i]));

        (void)tk_codec_response_key(told->codec, key, &key);
        tk_error_add_wait(error, deadlock_WaitForEntry_txn(edges[i]),
                          deadlock_WaitForEntry_wait_for_txn(edges[i]), key);
    }
    return error;
}

static tikv_error *
of_commit_ts_expired(const struct told *told)
{
    const kvrpcpb_CommitTsExpired *expired =
        kvrpcpb_KeyError_commit_ts_expired(told->problem);
    uint64_t tried = kvrpcpb_CommitTsExpired_attempted_commit_ts(expired);
    uint64_t least = kvrpcpb_CommitTsExpired_min_commit_ts(expired);
    tikv_error *error = tk_error(
        TIKV_ERR_ABORTED, "%s: commit ts %llu, but readers ask for %llu",
        told->name, (unsigned long long)tried, (unsigned long long)least);

    set_u64(error, TIKV_ERROR_START_TS,
            kvrpcpb_CommitTsExpired_start_ts(expired));
    set_u64(error, TIKV_ERROR_COMMIT_TS, tried);
    set_u64(error, TIKV_ERROR_MIN_COMMIT_TS, least);
    set_key(told, error, TIKV_ERROR_KEY, kvrpcpb_CommitTsExpired_key(expired));
    return error;
}

static tikv_error *
of_commit_ts_too_large(const struct told *told)
{
    const kvrpcpb_CommitTsTooLarge *large =
        kvrpcpb_KeyError_commit_ts_too_large(told->problem);
    uint64_t ts = kvrpcpb_CommitTsTooLarge_commit_ts(large);
    tikv_error *error =
        tk_error(TIKV_ERR_ABORTED, "%s: commit ts %llu is above the bound",
                 told->name, (unsigned long long)ts);

    set_u64(error, TIKV_ERROR_COMMIT_TS, ts);
    return error;
}

static tikv_error *
of_missing_txn(const struct told *told)
{
    const kvrpcpb_TxnNotFound *missing =
        kvrpcpb_KeyError_txn_not_found(told->problem);
    uint64_t start_ts = kvrpcpb_TxnNotFound_start_ts(missing);
    tikv_error *error =
        tk_error(TIKV_ERR_ABORTED, "%s: no trace of transaction %llu",
                 told->name, (unsigned long long)start_ts);

    set_u64(error, TIKV_ERROR_START_TS, start_ts);
    set_key(told, error, TIKV_ERROR_PRIMARY,
            kvrpcpb_TxnNotFound_primary_key(missing));
    return error;
}

static tikv_error *
of_missing_lock(const struct told *told)
{
    const kvrpcpb_TxnLockNotFound *missing =
        kvrpcpb_KeyError_txn_lock_not_found(told->problem);
    tikv_error *error = tk_error(
        TIKV_ERR_ABORTED, "%s: the transaction's lock is gone", told->name);

    set_key(told, error, TIKV_ERROR_KEY, kvrpcpb_TxnLockNotFound_key(missing));
    return error;
}

static tikv_error *
of_assertion(const struct told *told)
{
    const kvrpcpb_AssertionFailed *failed =
        kvrpcpb_KeyError_assertion_failed(told->problem);
    int32_t assertion = kvrpcpb_AssertionFailed_assertion(failed);
    tikv_error *error =
        tk_error(TIKV_ERR_ASSERTION, "%s: the key was asserted %s", told->name,
                 assertion == kvrpcpb_NotExist ? "not to exist" : "to exist");

    set_u64(error, TIKV_ERROR_START_TS,
            kvrpcpb_AssertionFailed_start_ts(failed));
    set_u64(error, TIKV_ERROR_CONFLICT_TS,
            kvrpcpb_AssertionFailed_existing_start_ts(failed));
    set_u64(error, TIKV_ERROR_CONFLICT_COMMIT_TS,
            kvrpcpb_AssertionFailed_existing_commit_ts(failed));
    set_u64(error, TIKV_ERROR_ASSERTION, (uint64_t)(uint32_t)assertion);
    set_key(told, error, TIKV_ERROR_KEY, kvrpcpb_AssertionFailed_key(failed));
    return error;
}

static tikv_error *
of_primary_mismatch(const struct told *told)
{
    const kvrpcpb_PrimaryMismatch *mismatch =
        kvrpcpb_KeyError_primary_mismatch(told->problem);
    const kvrpcpb_LockInfo *lock = kvrpcpb_PrimaryMismatch_lock_info(mismatch);
    tikv_error *error =
        tk_error(TIKV_ERR_ABORTED,
                 "%s: the key is not its transaction's primary", told->name);

    if (lock != NULL) {
        set_u64(error, TIKV_ERROR_LOCK_TS, kvrpcpb_LockInfo_lock_version(lock));
        set_key(told, error, TIKV_ERROR_KEY, kvrpcpb_LockInfo_key(lock));
        set_key(told, error, TIKV_ERROR_PRIMARY,
                kvrpcpb_LockInfo_primary_lock(lock));
    }
    return error;
}

static tikv_error *
of_upgrade_conflict(const struct told *told)
{
    const kvrpcpb_LockUpgradeConflict *conflict =
        kvrpcpb_KeyError_lock_upgrade_conflict(told->problem);
    tikv_error *error = tk_error(
        TIKV_ERR_ABORTED, "%s: another transaction upgrades the shared lock",
        told->name);

    set_u64(error, TIKV_ERROR_START_TS,
            kvrpcpb_LockUpgradeConflict_start_ts(conflict));
    set_u64(error, TIKV_ERROR_LOCK_TS,
            kvrpcpb_LockUpgradeConflict_owner_start_ts(conflict));
    set_key(told, error, TIKV_ERROR_KEY,
            kvrpcpb_LockUpgradeConflict_key(conflict));
    return error;
}

static tikv_error *
of_lost_share(const struct told *told)
{
    const kvrpcpb_SharedLockLost *lost =
        kvrpcpb_KeyError_shared_lock_lost(told->problem);
    tikv_error *error =
        tk_error(TIKV_ERR_ABORTED, "%s: the shared lock is lost", told->name);

    set_u64(error, TIKV_ERROR_START_TS, kvrpcpb_SharedLockLost_start_ts(lost));
    set_key(told, error, TIKV_ERROR_KEY, kvrpcpb_SharedLockLost_key(lost));
    return error;
}

/* TiKV's errors that travel as text only. What is not here is final. */
static tikv_code
code_of_text(tikv_slice text)
{
    static const struct {
        const char *phrase;
        tikv_code code;
    } phrases[] = {
        { "PessimisticLockNotFound", TIKV_ERR_ABORTED },
        { "PessimisticLockRolledBack", TIKV_ERR_ABORTED },
        { "PessimisticLock not found", TIKV_ERR_ABORTED },
        { "KeyTooLarge", TIKV_ERR_TOO_LARGE },
        { "max key size exceeded", TIKV_ERR_TOO_LARGE },
        { "ApiVersionNotMatched", TIKV_ERR_UNSUPPORTED },
        { "Api version in request does not match", TIKV_ERR_UNSUPPORTED },
    };
    char line[TEXT_MAX + 1];
    size_t len = text.len < TEXT_MAX ? text.len : TEXT_MAX;
    size_t i;

    memcpy(line, text.data, len);
    line[len] = '\0';
    for (i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++) {
        if (strstr(line, phrases[i].phrase) != NULL) {
            return phrases[i].code;
        }
    }
    return TIKV_ERR_SERVER;
}

static tikv_error *
of_text(const struct told *told, tikv_code code, tikv_slice text)
{
    return tk_error_said(code, told->name, (const char *)text.data, text.len);
}

struct row {
    bool (*is_told)(const kvrpcpb_KeyError *);
    tikv_error *(*error)(const struct told *);
};

static const struct row rows[] = {
    { kvrpcpb_KeyError_has_locked, of_lock },
    { kvrpcpb_KeyError_has_already_exist, of_existing },
    { kvrpcpb_KeyError_has_deadlock, of_deadlock },
    { kvrpcpb_KeyError_has_commit_ts_expired, of_commit_ts_expired },
    { kvrpcpb_KeyError_has_conflict, of_conflict },
    { kvrpcpb_KeyError_has_assertion_failed, of_assertion },
    { kvrpcpb_KeyError_has_primary_mismatch, of_primary_mismatch },
    { kvrpcpb_KeyError_has_txn_lock_not_found, of_missing_lock },
    { kvrpcpb_KeyError_has_txn_not_found, of_missing_txn },
    { kvrpcpb_KeyError_has_commit_ts_too_large, of_commit_ts_too_large },
    { kvrpcpb_KeyError_has_lock_upgrade_conflict, of_upgrade_conflict },
    { kvrpcpb_KeyError_has_shared_lock_lost, of_lost_share },
};

tikv_error *
tk_key_error(const kvrpcpb_KeyError *problem, const struct tk_key_codec *codec,
             enum tk_command command)
{
    struct told told = { problem, codec, tk_command_row(command)->name };
    tikv_slice retryable = bytes_of(kvrpcpb_KeyError_retryable(problem));
    tikv_slice abort = bytes_of(kvrpcpb_KeyError_abort(problem));
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].is_told(problem)) {
            return rows[i].error(&told);
        }
    }
    if (retryable.len != 0) {
        return of_text(&told, TIKV_ERR_ABORTED, retryable);
    }
    if (abort.len != 0) {
        return of_text(&told, code_of_text(abort), abort);
    }
    return tk_error(TIKV_ERR_PROTOCOL, "%s: an error of a kind unknown to us",
                    told.name);
}
