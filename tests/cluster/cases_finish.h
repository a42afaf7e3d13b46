/* SPDX-License-Identifier: Apache-2.0 */
/* Commit, rollbacks, ResolveLock, ScanLock: CM RB RS SL. */
#ifndef TK_CASES_FINISH_H
#define TK_CASES_FINISH_H

/* No answer tells the source: it is looked up. */
static void
finish_keeps_source(struct script *script)
{
    struct tk_cluster *cluster = script->fx.cluster;
    const struct tk_mvcc_node *node;

    script_lines(script, "PW 5 x=v y=w : src=7\nPL 6 6 z\n"
                         "PW 6 z=u : f=6 act=p src=9\n"
                         "PW 8 o=1 : 1pc src=3 => 1pc=9");
    tk_mutex_lock(&cluster->lock);
    node = tk_mvcc_find(&cluster->mvcc, fx_slice("y"));
    assert_int_equal(node->lock->txn_source, 7);
    node = tk_mvcc_find(&cluster->mvcc, fx_slice("o"));
    assert_int_equal(node->versions[0].txn_source, 3);
    tk_mutex_unlock(&cluster->lock);
    script_lines(script, "C 5 10 x y => 10\nC 6 11 z => 11");
    tk_mutex_lock(&cluster->lock);
    node = tk_mvcc_find(&cluster->mvcc, fx_slice("y"));
    assert_int_equal(node->versions[0].txn_source, 7);
    node = tk_mvcc_find(&cluster->mvcc, fx_slice("z"));
    assert_int_equal(node->versions[0].txn_source, 9);
    tk_mutex_unlock(&cluster->lock);
}

/* The first request resolves and is answered with an error all the same. */
static void
finish_resolves_again(struct script *script)
{
    script_lines(script, "MANY 20 300");
    assert_null(tk_cluster_fault(
        script->fx.cluster,
        "on=tikv.KvResolveLock when=nth(1) do=apply,"
        "region_error(stale_command)",
        NULL));
    script_lines(script, "RL k 20:30 => region:stale_command\n"
                         "RL k 20:30\nSL 100 - - 0 => none\n"
                         "M k000 => 30:put@20=v 10:put@5=v\n"
                         "M k299 => 30:put@20=v 10:put@5=v\n"
                         "M k300 => 10:put@5=v");
}

static const struct script_case finish_cases[] = {
    { "CM01", "a commit again, also with another timestamp",
      "PW 5 x=v\nC 5 10 x => 10\nC 5 10 x => 10\nC 5 12 x => 12\n"
      "M x => 10:put@5=v" },
    { "CM02", "no lock, no record", "C 5 10 x => lock_not_found x" },
    { "CM03", "after a rollback",
      "PW 5 x=v\nRB 5 x\n"
      "C 5 10 x => lock_not_found x" },
    { "CM04", "not below min_commit_ts",
      "PW 5 x=v y=w : min=10\n"
      "C 5 9 x => expired x@5 at 9 min=10\n"
      "C 5 9 y => expired y@5 at 9 min=10 +debug\n"
      "C 5 10 x y => 10" },
    { "CM05", "not at or below the start",
      "PW 5 x=v\nC 5 5 x => abort\nC 5 4 x => abort" },
    { "CM06", "an own pessimistic lock is let go",
      "PL 5 5 x\nC 5 10 x => 10\nM x => none" },
    { "CM07", "all keys or none",
      "PW 5 x=v\n"
      "C 5 10 x y => lock_not_found y\n"
      "M x => lock(put@5=v ttl=3000)" },
    { "CM08", "a commit in the place of a rollback of another",
      "PW 10 x=v : async => min=11\n"
      "CL x 15 0\n"
      "M x => lock(put@10=v ttl=3000 rb=15) 15:rb@15=p\n"
      "C 10 15 x => 15\n"
      "M x => 15:put@10=v+over" },
    { "CM09", "a long value stays",
      "PW 5 x=*300\nC 5 6 x => 6\n"
      "M x => 6:put@5 default(5=*300)\nG x 10 => *300" },
    { "CM10", "the answer names the timestamp",
      "PW 5 x=v\nC 5 77 x => 77" },
    { "CM11", "a secondary's error brings the versions",
      "PW 5 x=v\nC 5 6 x => 6\n"
      "C 7 10 x : secondary => lock_not_found x +debug" },
    { "CM12", "the source of a transaction goes from lock to version",
      .run = finish_keeps_source },
    { "MK03", "who is late",
      "PW 5 x=v\nRB 5 x\nPW 11 x=w\n"
      "C 5 10 x => lock_not_found x\nC 11 12 x => 12\nC 11 12 x => 12\n"
      "PW 3 a=1 x=2 => conflict x@3 with 11-12 Optimistic pk=a\n"
      "PW 20 x=v\nCL x 20 0\n"
      "PW 4 x=3 => conflict x@4 with 20-20 Optimistic pk=x\n"
      "PW 30 y=v : min=31\n"
      "CTS y 30 100 100 => MinCommitTSPushed ttl=3000 "
      "y@30 put pk=y ttl=3000 min=101\n"
      "C 30 40 y => expired y@30 at 40 min=101\nC 30 101 y => 101" },
    { "RB01", "a primary's rollback is protected",
      "PW 5 x=v y=w\nRB 5 x y\n"
      "M x => 5:rb@5=p\nM y => 5:rb@5" },
    { "RB02", "a rollback without a lock",
      "RB 5 x\nM x => 5:rb@5\n"
      "PW 5 x=v => conflict x@5 with 5-5 SelfRolledBack pk=x" },
    { "RB03", "not after a commit",
      "PW 5 x=v\nC 5 6 x => 6\n"
      "RB 5 x => abort\nG x 10 => v" },
    { "RB04", "twice", "PW 5 x=v\nRB 5 x\nRB 5 x\nM x => 5:rb@5=p" },
    { "RB05", "unprotected ones collapse",
      "RB 1 x\nRB 2 x\nM x => 2:rb@2\n"
      "CL y 1 0\nRB 2 y\nM y => 2:rb@2 1:rb@1=p" },
    { "RB06", "over the commit of another",
      "PW 5 x=v\nC 5 10 x => 10\n"
      "RB 10 x\nM x => 10:put@5=v\n"
      "CL x 10 0\nM x => 10:put@5=v+over+fence0\n"
      "G x 10 => v" },
    { "RB07", "the fence is the next newer data",
      "PW 10 x=v\nC 10 20 x => 20\nPW 25 -x\nC 25 30 x => 30\n"
      "CL x 20 0\n"
      "M x => 30:del@25 20:put@10=v+over+fence30\n"
      "PW 10 y=v\nC 10 20 y => 20\nCL y 20 0\n"
      "M y => 20:put@10=v+over+fence0" },
    { "RB08", "which Lock and Rollback records are not",
      "PW 10 x=v\nC 10 20 x => 20\nPW 22 !x\nC 22 23 x => 23\n"
      "RB 24 x\nPW 25 x=w\nC 25 30 x => 30\n"
      "CL x 20 0\n"
      "M x => 30:put@25=w 24:rb@24 23:lock@22 20:put@10=v+over+fence30" },
    { "RB09", "twice over a commit",
      "PW 5 x=v\nC 5 10 x => 10\nCL x 10 0\n"
      "PW 12 x=w\nC 12 13 x => 13\nCL x 10 0\n"
      "M x => 13:put@12=w 10:put@5=v+over+fence0" },
    { "RB10", "cleanup waits until the lock is past its time",
      "PW 5.0 x=v : ttl=10\n"
      "CL x 5.0 14.0 => locked x@5.0 put pk=x ttl=10\n"
      "CL x 5.0 15.0 => locked x@5.0 put pk=x ttl=10\n"
      "CL x 5.0 16.0\n"
      "M x => 5.0:rb@5.0=p" },
    { "RB11", "cleanup without a time does not",
      "PW 5.0 x=v : ttl=10\nCL x 5.0 0\nM x => 5.0:rb@5.0=p" },
    { "RB12", "cleanup after the commit",
      "PW 5 x=v\nC 5 6 x => 6\nCL x 5 0 => 6" },
    { "RB13", "an async lock remembers the rollback of another",
      "PW 10 x=v : async => min=11\nCL x 15 0\n"
      "M x => lock(put@10=v ttl=3000 rb=15) 15:rb@15=p\n"
      "C 10 15 x => 15\n"
      "M x => 15:put@10=v+over\n"
      "PW 10 y=v : async => min=16\nCL y 16 0\nC 10 17 y => 17\n"
      "M y => 17:put@10=v 16:rb@16=p" },
    { "RB14", "others do not",
      "PW 10 x=v\nCL x 15 0\n"
      "M x => lock(put@10=v ttl=3000) 15:rb@15=p\n"
      "PW 20 y=v : async => min=21\nCL y 20 0\n"
      "PW 20 z=v : async min=40 => min=40\nCL z 30 0\n"
      "M z => lock(put@20=v ttl=3000) 30:rb@30=p\n"
      "CL z 5 0\n"
      "M z => lock(put@20=v ttl=3000) 30:rb@30=p 5:rb@5=p\n"
      "PW 50 w=v : async => min=51\nRB 60 w\n"
      "M w => lock(put@50=v ttl=3000) 60:rb@60" },
    { "RB15", "a long value goes with the rollback",
      "PW 5 x=*300 y=v\nRB 5 x y\n"
      "M x => 5:rb@5=p\nM y => 5:rb@5" },
    { "RB16", "pessimistic rollback up to for_update_ts",
      "PL 5 10 x\n"
      "PRB 5 9 x\nM x => lock(pess@5 f=10 ttl=3000)\n"
      "PRB 5 10 x\nM x => none\n"
      "PL 5 10 x\nPRB 5 11 x\nM x => none" },
    { "RB17", "pessimistic rollback touches nothing else",
      "PW 5 x=v\nPRB 5 10 x\nPL 6 6 y\nPRB 7 10 y z\n"
      "M x => lock(put@5=v ttl=3000)\n"
      "M y => lock(pess@6 f=6 ttl=3000)\n"
      "M z => none" },
    { "RB18", "pessimistic rollback of a region",
      "PL 5 5 a\nPL 5 9 b : pk=a\nPW 5 c=1 : pk=a f=5 act=s\n"
      "PL 6 6 d\nSPLIT e\nPL 5 5 f : pk=a\n"
      "PRB 5 8 : at=a\n"
      "SL 100 a - 0 => b@5 pess pk=a ttl=3000 f=9, "
      "c@5 put pk=a ttl=3000 f=5, d@6 pess pk=d ttl=3000 f=6\n"
      "SL 100 e - 0 => f@5 pess pk=a ttl=3000 f=5" },
    { "RB19", "rollback of a pessimistic lock leaves a record",
      "PL 5 5 x\nRB 5 x\nM x => 5:rb@5=p" },
    { "RB20", "cleanup raises max_ts", "CL x 50 0\nMAXTS x => 50" },

    { "RS01", "one transaction of a region",
      "PW 5 a=1 b=1\nPW 6 c=1\n"
      "RL a 5:10\n"
      "SL 100 - - 0 => c@6 put pk=c ttl=3000\n"
      "SC 5 a c 10 => none\nSC 20 a c 10 => a=1 b=1\n"
      "RL a 6:0\nM c => 6:rb@6=p" },
    { "RS02", "several at once",
      "PW 5 a=1\nPW 6 b=1\nPW 7 c=1\n"
      "RL a 5:10 6:0\n"
      "M a => 10:put@5=1\nM b => 6:rb@6=p\n"
      "M c => lock(put@7=1 ttl=3000)" },
    { "RS03", "more locks than one batch holds",
      "MANY 5 600\n"
      "SL 100 - - 2 => k000@5 put pk=k000 ttl=3000, "
      "k001@5 put pk=k000 ttl=3000\n"
      "RL k 5:10\n"
      "SL 100 - - 0 => none\n"
      "M k000 => 10:put@5=v\nM k255 => 10:put@5=v\n"
      "M k256 => 10:put@5=v\nM k599 => 10:put@5=v",
      .run = finish_resolves_again },
    { "RS04", "named keys only",
      "PW 5 a=1 b=1\n"
      "RL a 5:10 : keys=a\n"
      "M a => 10:put@5=1\nM b => lock(put@5=1 ttl=3000)\n"
      "RL a 5:10 : keys=b,c => lock_not_found c\n"
      "M b => lock(put@5=1 ttl=3000)\n"
      "RL a 6:0 : keys=c\nM c => 6:rb@6" },
    { "RS05", "a pessimistic lock that was left behind",
      "PL 5 5 b : pk=a\nPW 5 a=1 : f=5 act=s\nLEAD a 2\n"
      "RL a 5:10\n"
      "M a => 10:put@5=1\nM b => none" },
    { "RS06", "not at or below the start",
      "PW 5 a=1\nRL a 5:5 => abort\nM a => lock(put@5=1 ttl=3000)" },
    { "RS08", "twice", "PW 5 a=1\nRL a 5:6\nRL a 5:6\nM a => 6:put@5=1" },
    { "RS09", "locks in memory are not seen",
      "PL 5 5 x\nRL x 5:0\nM x => lock(pess@5 f=5 ttl=3000)" },

    { "SL01", "locks up to a timestamp, of any type",
      "PW 5 a=1 -b !c\nPL 6 6 d\nPW 7 e=1\n"
      "SL 6 - - 0 => a@5 put pk=a ttl=3000, b@5 del pk=a ttl=3000, "
      "c@5 lock pk=a ttl=3000, d@6 pess pk=d ttl=3000 f=6\n"
      "SL 7 b d 0 => b@5 del pk=a ttl=3000, c@5 lock pk=a ttl=3000\n"
      "SL 7 c - 2 => c@5 lock pk=a ttl=3000, d@6 pess pk=d ttl=3000 f=6" },
    { "SL02", "a prewrite that is under way",
      "MEM x 5 10\n"
      "SL 5 - - 0 => locked x@5 put pk=x min=10 async\n"
      "SL 4 - - 0 => none\nSL 5 y - 0 => none" },
    { "SL04", "raises max_ts",
      "SL 50 - - 0 => none\nPW 20 x=v : async => min=51" },
};

#endif
