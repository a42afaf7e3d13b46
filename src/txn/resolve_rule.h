/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is to be done about a lock: a table over what is known of its
 * transaction, what kind of lock it is, and who asks. Nothing else decides.
 *
 *                        prewrite lock             pessimistic lock
 *     fate               writer      reader        writer      reader
 *     committed          commit      commit        unlock      unlock
 *     rolled back        roll back   roll back     unlock      unlock
 *     alive              wait        wait          wait        wait
 *     alive, pushed      wait        pass          wait        pass
 *     async, alive       wait        wait          wait        wait
 *     async, expired     recover     recover       recover     recover
 *     not begun          wait        wait          unlock      unlock
 *     other primary      refuse      refuse        unlock key  unlock key
 *
 * "Not begun" is a transaction of which no prewrite is known and whose
 * pessimistic primary lock is gone: it may still change its primary and
 * begin, so nothing but pessimistic locks may be removed (lesson 27). "Other
 * primary" says that the lock names a primary that is none: of a pessimistic
 * lock that is a leftover, of a prewrite lock it cannot be.
 */
#ifndef TK_TXN_RESOLVE_RULE_H
#define TK_TXN_RESOLVE_RULE_H

#include <stdbool.h>
#include <stdint.h>

enum tk_fate {
    TK_FATE_COMMITTED,
    TK_FATE_ROLLED_BACK,
    TK_FATE_ALIVE,
    TK_FATE_PUSHED,
    TK_FATE_ASYNC,
    TK_FATE_ASYNC_EXPIRED,
    TK_FATE_NOT_BEGUN,
    TK_FATE_OTHER_PRIMARY,
    TK_FATE_MISSING, /* no trace, and nothing was rolled back: ask again */
    TK_FATES
};

enum tk_action {
    TK_ACT_WAIT,
    TK_ACT_PASS,      /* the reader ignores the lock */
    TK_ACT_COMMIT,    /* the lock becomes a write */
    TK_ACT_ROLL_BACK, /* the lock goes, a rollback stays */
    TK_ACT_UNLOCK,    /* the pessimistic lock goes, nothing stays */
    TK_ACT_UNLOCK_KEY, /* the same, of this key and no other */
    TK_ACT_RECOVER,   /* the secondaries decide */
    TK_ACT_REFUSE     /* it cannot be */
};

/* What CheckTxnStatus says, in the words of kvrpcpb.Action and beside it. */
struct tk_answer {
    uint64_t ttl_ms;
    uint64_t commit_ts;
    int32_t action;  /* of kvrpcpb.Action */
    bool has_lock;   /* the primary's is told */
    bool is_async;   /* of that lock */
    bool is_expired; /* start + ttl is over, by PD's time */
    bool is_sync;    /* asked with force_sync_commit */
};

/* TTL 0 and commit ts 0 alone say nothing: the action does (lesson 26). */
enum tk_fate
tk_fate_of(const struct tk_answer *answer);

enum tk_action
tk_action_of(enum tk_fate fate, bool is_pessimistic, bool for_read);

/* Known for ever: may be cached. */
static inline bool
tk_fate_is_final(enum tk_fate fate)
{
    return fate == TK_FATE_COMMITTED || fate == TK_FATE_ROLLED_BACK;
}

#endif
