/* SPDX-License-Identifier: Apache-2.0 */
/* The table of resolve_rule.h, and how an answer becomes a fate. No state;
 * any thread. */
#include "txn/resolve_rule.h"

#include "kvrpcpb.upb.h"

enum tk_fate
tk_fate_of(const struct tk_answer *answer)
{
    if (answer->commit_ts != 0) {
        return TK_FATE_COMMITTED;
    }
    if (answer->ttl_ms != 0 || answer->has_lock) {
        if (answer->has_lock && answer->is_async && !answer->is_sync) {
            return answer->is_expired ? TK_FATE_ASYNC_EXPIRED : TK_FATE_ASYNC;
        }
        return answer->action == kvrpcpb_MinCommitTSPushed ? TK_FATE_PUSHED
                                                           : TK_FATE_ALIVE;
    }
    switch (answer->action) {
    case kvrpcpb_NoAction:
    case kvrpcpb_TTLExpireRollback:
    case kvrpcpb_LockNotExistRollback:
        return TK_FATE_ROLLED_BACK;
    default:
        /* TTLExpirePessimisticRollback, LockNotExistDoNothing, and whatever
         * comes after them: decided is only what is known to be. */
        return TK_FATE_NOT_BEGUN;
    }
}

enum tk_action
tk_action_of(enum tk_fate fate, bool is_pessimistic, bool for_read)
{
    /* [fate][pessimistic][reader] */
    static const uint8_t table[TK_FATES][2][2] = {
        [TK_FATE_COMMITTED] = { { TK_ACT_COMMIT, TK_ACT_COMMIT },
                                { TK_ACT_UNLOCK, TK_ACT_UNLOCK } },
        [TK_FATE_ROLLED_BACK] = { { TK_ACT_ROLL_BACK, TK_ACT_ROLL_BACK },
                                  { TK_ACT_UNLOCK, TK_ACT_UNLOCK } },
        [TK_FATE_ALIVE] = { { TK_ACT_WAIT, TK_ACT_WAIT },
                            { TK_ACT_WAIT, TK_ACT_WAIT } },
        [TK_FATE_PUSHED] = { { TK_ACT_WAIT, TK_ACT_PASS },
                             { TK_ACT_WAIT, TK_ACT_PASS } },
        [TK_FATE_ASYNC] = { { TK_ACT_WAIT, TK_ACT_WAIT },
                            { TK_ACT_WAIT, TK_ACT_WAIT } },
        [TK_FATE_ASYNC_EXPIRED] = { { TK_ACT_RECOVER, TK_ACT_RECOVER },
                                    { TK_ACT_RECOVER, TK_ACT_RECOVER } },
        [TK_FATE_NOT_BEGUN] = { { TK_ACT_WAIT, TK_ACT_WAIT },
                                { TK_ACT_UNLOCK, TK_ACT_UNLOCK } },
        [TK_FATE_OTHER_PRIMARY] = { { TK_ACT_REFUSE, TK_ACT_REFUSE },
                                    { TK_ACT_UNLOCK_KEY, TK_ACT_UNLOCK_KEY } },
        [TK_FATE_MISSING] = { { TK_ACT_WAIT, TK_ACT_WAIT },
                              { TK_ACT_WAIT, TK_ACT_WAIT } },
    };

    return (enum tk_action)table[fate][is_pessimistic][for_read];
}
