/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Injected faults (FI), and requests that are stopped in the middle of their
 * way (ST).
 */
#ifndef TK_CASES_FAULT_H
#define TK_CASES_FAULT_H

#include "cluster/bank.h"

static uint64_t
fault_rule(struct script *script, const char *text)
{
    uint64_t id = 0;
    tikv_error *error = tk_cluster_fault(script->fx.cluster, text, &id);

    if (error != NULL) {
        fail_msg("%s: %s", text, tikv_error_message(error));
    }
    return id;
}

/* Whoever stands at the barrier goes on; `action` may be NULL. */
static void
fault_release(struct script *script, const char *barrier, const char *action)
{
    uint64_t count = 0;

    assert_null(tk_cluster_barrier_release(script->fx.cluster, barrier,
                                           action, &count));
    assert_int_equal(count, 1);
    fx_wait(&script->fx, 0);
}

static uint64_t
fault_seen(struct script *script, const char *method, const char *what)
{
    return tk_cluster_seen(script->fx.cluster, method, what);
}

/* ---- FI ---- */

static void
fault_commit_answer_is_lost(struct script *script)
{
    struct fx *fx = &script->fx;
    uint64_t rule;

    script_lines(script, "PW 5 x=v");
    rule = fault_rule(script,
                      "on=tikv.KvCommit when=nth(1) do=drop_response");
    script_lines(script, "C 5 6 x => dropped\n"
                         "M x => 6:put@5=v\n"
                         "C 5 6 x => 6\n"
                         "M x => 6:put@5=v");
    assert_int_equal(tk_cluster_fault_hits(fx->cluster, rule), 1);
}

static void
fault_prewrite_comes_after_commit(struct script *script)
{
    fault_rule(script,
               "on=tikv.KvPrewrite when=nth(1) do=stale_replay(commit)");
    script_lines(script, "PW 5 x=v\nC 5 6 x => 6\nWAIT 0\n"
                         "M x => 6:put@5=v\nG x 10 => v");
    assert_int_equal(fault_seen(script, "tikv.KvPrewrite",
                                "fault:stale_replay"), 1);
}

static void
fault_prewrite_comes_after_rollback(struct script *script)
{
    fault_rule(script,
               "on=tikv.KvPrewrite when=nth(1) do=stale_replay(rollback)");
    script_lines(script,
                 "PW 5 x=v\nRB 5 x\nWAIT 0\n"
                 "M x => 5:rb@5=p\n"
                 "PW 5 x=v => conflict x@5 with 5-5 SelfRolledBack pk=x\n"
                 "M x => 5:rb@5=p");
}

static void
fault_lock_comes_after_commit(struct script *script)
{
    fault_rule(script, "on=tikv.KvPessimisticLock key=y when=nth(1) "
                       "do=stale_replay(commit)");
    script_lines(script,
                 "PL 5 5 x\nPL 5 5 y : pk=x\nPRB 5 5 y\nM y => none\n"
                 "PW 5 x=v : f=5 act=p\nC 5 6 x => 6\n"
                 "WAIT 0\n"
                 "M y => lock(pess@5 f=5 ttl=3000)\n"
                 "CTS x 5 0 0 => NoAction commit=6\n"
                 "LEAD y 2\nRL y 5:6\n"
                 "M y => none\nM x => 6:put@5=v");
}

static void
fault_result_is_undetermined(struct script *script)
{
    script_lines(script, "PW 5 x=v");
    fault_rule(script, "on=tikv.KvCommit txn=primary when=nth(1) "
                       "do=apply,region_error(undetermined_result) "
                       "then=region_error(undetermined_result)");
    script_lines(script, "C 5 6 x => region:undetermined_result\n"
                         "M x => 6:put@5=v");
    fault_rule(script, "on=tikv.KvCommit do=region_error(undetermined_result)");
    script_lines(script, "PW 7 x=w\n"
                         "C 7 8 x => region:undetermined_result\n"
                         "M x => lock(put@7=w ttl=3000) 6:put@5=v");
    assert_int_equal(fault_seen(script, "tikv.KvCommit",
                                "region_error:undetermined_result"), 2);
}

/* ---- ST ---- */

static void
stage_shows_async_locks(struct script *script)
{
    fault_rule(script, "on=tikv.KvPrewrite stage=memlock when=nth(1) "
                       "do=barrier(m)");
    script_lines(script,
                 "@1 PW 10 x=v y=w : async=y => wait\n"
                 "M x => none\n"
                 "G x 10 => none\n"
                 "G x 20 => locked x@10 put pk=x ttl=3000 min=11 async[y]\n"
                 "BG 20 a y => locked y@10 put pk=x ttl=3000 min=11 async and "
                 "(locked y@10 put pk=x ttl=3000 min=11 async)\n"
                 "SC 20 a z 10 => locked x@10 put pk=x ttl=3000 min=11 "
                 "async[y] and (locked x@10 put pk=x ttl=3000 min=11 "
                 "async[y])");
    fault_release(script, "m", NULL);
    /* The timestamp is the one that readers were shown. */
    script_lines(script, "@1 => min=11\n"
                         "M x => lock(put@10=v ttl=3000)\n"
                         "C 10 11 x y => 11\nG x 20 => v");
}

static void
stage_shows_one_phase_locks(struct script *script)
{
    fault_rule(script, "on=tikv.KvPrewrite stage=apply when=nth(1) "
                       "do=barrier(m)");
    script_lines(script, "@1 PW 10 x=v : 1pc => wait\n"
                         "G x 20 => locked x@10 put pk=x ttl=3000 min=11\n"
                         "M x => none");
    fault_release(script, "m", NULL);
    script_lines(script, "@1 => 1pc=11\nM x => 11:put@10=v\nG x 20 => v");
}

static void
stage_keeps_latches(struct script *script)
{
    fault_rule(script, "on=tikv.KvPrewrite stage=latched when=nth(1) "
                       "do=barrier(m)");
    script_lines(script, "@1 PW 5 x=v => wait\n"
                         "@2 C 5 6 x => wait\n"
                         "@3 PW 8 x=w => wait\n"
                         "PW 9 z=w\n"
                         "M x => none");
    fault_release(script, "m", NULL);
    script_lines(script, "@1\n@2 => 6\n@3\n"
                         "M x => lock(put@8=w ttl=3000) 6:put@5=v");
}

static void
stage_checks_region_again(struct script *script)
{
    fault_rule(script,
               "on=tikv.KvPrewrite stage=apply when=nth(1) do=split(m)");
    script_lines(script, "PW 5 x=v => region:epoch_not_match "
                         "4[m,-)3.2 5/1 6/2 7/3 "
                         "8[-,m)3.2 9/1 10/2 11/3\nM x => none\n"
                         "PW 5 x=v");
    fault_rule(script, "on=tikv.KvCommit stage=apply when=nth(1) "
                       "do=transfer(next)");
    script_lines(script, "C 5 6 x => region:not_leader 4 6/2\n"
                         "M x => lock(put@5=v ttl=3000)\n"
                         "C 5 6 x => 6");
}

static void
stage_leader_changes_meanwhile(struct script *script)
{
    fault_rule(script, "on=tikv.KvPrewrite stage=memlock when=nth(1) "
                       "do=barrier(m)");
    script_lines(script, "@1 PW 10 x=v : async => wait\nLEAD x 2");
    fault_release(script, "m", NULL);
    script_lines(script, "@1 => region:not_leader 4 6/2\nM x => none\n"
                         "G x 20 => none");
}

static void
stage_is_let_go_otherwise(struct script *script)
{
    script_lines(script, "PW 5 x=v");
    fault_rule(script, "on=tikv.KvCommit stage=applied when=nth(1) "
                       "do=barrier(m)");
    fault_rule(script, "on=tikv.KvBatchRollback stage=pre when=nth(1) "
                       "do=barrier(n)");
    script_lines(script, "@1 C 5 6 x => wait\nM x => 6:put@5=v\n"
                         "@2 RB 7 y => wait\nM y => none");
    fault_release(script, "m", "region_error(server_is_busy)");
    fault_release(script, "n", "region_error(stale_command)");
    script_lines(script, "@1 => region:busy 'busy'\nM x => 6:put@5=v\n"
                         "@2 => region:stale_command\nM y => none");
}

static const struct script_case fault_cases[] = {
    { "FI01", "a commit whose answer is lost is sent again",
      .run = fault_commit_answer_is_lost },
    { "FI02", "a prewrite again after the commit leaves no lock",
      .run = fault_prewrite_comes_after_commit },
    { "FI03", "a prewrite again after the rollback is refused",
      .run = fault_prewrite_comes_after_rollback },
    { "FI04", "a lock again after the commit is cleaned away",
      .run = fault_lock_comes_after_commit },
    { "FI05", "an undetermined commit may be done or not",
      .run = fault_result_is_undetermined },
    { "FI06", "money moves under every preset", .run = bank_under_presets },

    { "ST01", "async commit shows its locks before it is applied",
      .run = stage_shows_async_locks },
    { "ST02", "so does one-phase commit", .run = stage_shows_one_phase_locks },
    { "ST03", "writes of latched keys wait, first come first served",
      .run = stage_keeps_latches },
    { "ST04", "between check and apply the region changes",
      .run = stage_checks_region_again },
    { "ST05", "the leader changes while locks are shown",
      .run = stage_leader_changes_meanwhile },
    { "ST06", "a barrier decides how requests end",
      .run = stage_is_let_go_otherwise },
};

#endif
