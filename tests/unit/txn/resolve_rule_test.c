/* SPDX-License-Identifier: Apache-2.0 */
/* Every answer and every cell of the table, one row each. */
#include "harness/harness.h"

#include "txn/resolve_rule.h"

#include "kvrpcpb.upb.h"

static void
fate__of_every_answer(void **state)
{
    static const struct {
        struct tk_answer answer;
        enum tk_fate fate;
    } rows[] = {
        /* ttl, commit, action, lock, async, expired, sync */
        { { 0, 9, kvrpcpb_NoAction, 0, 0, 0, 0 }, TK_FATE_COMMITTED },
        { { 0, 9, kvrpcpb_NoAction, 0, 0, 0, 1 }, TK_FATE_COMMITTED },
        { { 0, 0, kvrpcpb_NoAction, 0, 0, 0, 0 }, TK_FATE_ROLLED_BACK },
        { { 0, 0, kvrpcpb_TTLExpireRollback, 0, 0, 0, 0 },
          TK_FATE_ROLLED_BACK },
        { { 0, 0, kvrpcpb_LockNotExistRollback, 0, 0, 0, 0 },
          TK_FATE_ROLLED_BACK },
        { { 0, 0, kvrpcpb_TTLExpirePessimisticRollback, 0, 0, 0, 0 },
          TK_FATE_NOT_BEGUN },
        { { 0, 0, kvrpcpb_LockNotExistDoNothing, 0, 0, 0, 0 },
          TK_FATE_NOT_BEGUN },
        { { 0, 0, 99, 0, 0, 0, 0 }, TK_FATE_NOT_BEGUN },
        { { 5, 0, kvrpcpb_NoAction, 1, 0, 0, 0 }, TK_FATE_ALIVE },
        { { 5, 0, kvrpcpb_NoAction, 0, 0, 0, 0 }, TK_FATE_ALIVE },
        /* The zeros alone say nothing: the lock is there. */
        { { 0, 0, kvrpcpb_NoAction, 1, 0, 0, 0 }, TK_FATE_ALIVE },
        { { 5, 0, kvrpcpb_MinCommitTSPushed, 1, 0, 0, 0 }, TK_FATE_PUSHED },
        { { 5, 0, kvrpcpb_NoAction, 1, 1, 0, 0 }, TK_FATE_ASYNC },
        { { 5, 0, kvrpcpb_NoAction, 1, 1, 1, 0 }, TK_FATE_ASYNC_EXPIRED },
        { { 5, 0, kvrpcpb_NoAction, 1, 1, 1, 1 }, TK_FATE_ALIVE },
        { { 5, 0, kvrpcpb_MinCommitTSPushed, 1, 1, 0, 1 }, TK_FATE_PUSHED },
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(tk_fate_of(&rows[i].answer), rows[i].fate);
    }
}

static void
action__of_every_cell(void **state)
{
    /* The picture in resolve_rule.h, once more. */
    static const struct {
        enum tk_fate fate;
        enum tk_action cells[4];
    } rows[] = {
        { TK_FATE_COMMITTED,
          { TK_ACT_COMMIT, TK_ACT_COMMIT, TK_ACT_UNLOCK, TK_ACT_UNLOCK } },
        { TK_FATE_ROLLED_BACK,
          { TK_ACT_ROLL_BACK, TK_ACT_ROLL_BACK, TK_ACT_UNLOCK,
            TK_ACT_UNLOCK } },
        { TK_FATE_ALIVE,
          { TK_ACT_WAIT, TK_ACT_WAIT, TK_ACT_WAIT, TK_ACT_WAIT } },
        { TK_FATE_PUSHED,
          { TK_ACT_WAIT, TK_ACT_PASS, TK_ACT_WAIT, TK_ACT_PASS } },
        { TK_FATE_ASYNC,
          { TK_ACT_WAIT, TK_ACT_WAIT, TK_ACT_WAIT, TK_ACT_WAIT } },
        { TK_FATE_ASYNC_EXPIRED,
          { TK_ACT_RECOVER, TK_ACT_RECOVER, TK_ACT_RECOVER,
            TK_ACT_RECOVER } },
        { TK_FATE_NOT_BEGUN,
          { TK_ACT_WAIT, TK_ACT_WAIT, TK_ACT_UNLOCK, TK_ACT_UNLOCK } },
        { TK_FATE_OTHER_PRIMARY,
          { TK_ACT_REFUSE, TK_ACT_REFUSE, TK_ACT_UNLOCK_KEY,
            TK_ACT_UNLOCK_KEY } },
        { TK_FATE_MISSING,
          { TK_ACT_WAIT, TK_ACT_WAIT, TK_ACT_WAIT, TK_ACT_WAIT } },
    };
    size_t i;

    (void)state;
    assert_int_equal(sizeof(rows) / sizeof(rows[0]), TK_FATES);
    for (i = 0; i < TK_FATES; i++) {
        unsigned cell;

        for (cell = 0; cell < 4; cell++) {
            assert_int_equal(
                tk_action_of(rows[i].fate, cell / 2 == 1, cell % 2 == 1),
                rows[i].cells[cell]);
        }
        assert_int_equal(tk_fate_is_final(rows[i].fate), i < 2);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(fate__of_every_answer),
        harness_test(action__of_every_cell),
    };

    return harness_run(tests);
}
