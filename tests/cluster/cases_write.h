/* SPDX-License-Identifier: Apache-2.0 */
/* Prewrite, async commit and 1PC, Flush: PW AC FU. */
#ifndef TK_CASES_WRITE_H
#define TK_CASES_WRITE_H

static const struct script_case write_cases[] = {
    { "PW01", "a newer commit is a conflict",
      "PW 5 x=v\nC 5 10 x => 10\n"
      "PW 7 x=w => conflict x@7 with 5-10 Optimistic pk=x\n"
      "M x => 10:put@5=v" },
    { "PW02", "a commit at the own start is none",
      "PW 5 x=v\nC 5 10 x => 10\nPW 10 x=w\n"
      "C 10 11 x => 11" },
    { "PW03", "unless that place also holds the own rollback",
      "PW 5 x=v\nC 5 10 x => 10\nCL x 10 0\n"
      "PW 10 x=w => conflict x@10 with 5-10 SelfRolledBack pk=x" },
    { "PW04", "who is rolled back cannot come again",
      "RB 5 x\n"
      "PW 5 x=v => conflict x@5 with 5-5 SelfRolledBack pk=x\n"
      "M x => 5:rb@5" },
    { "PW05", "newer rollbacks of others count",
      "RB 10 x\n"
      "PW 5 x=v => conflict x@5 with 10-10 Optimistic pk=x" },
    { "PW06", "a prewrite twice changes nothing",
      "PW 5 x=v : ttl=3000\n"
      "PW 5 x=w : ttl=9000\n"
      "M x => lock(put@5=v ttl=3000)" },
    { "PW07", "a lock of another; an own one that is pessimistic",
      "PW 5 x=v : size=3\n"
      "PW 6 x=w => locked x@5 put pk=x ttl=3000 size=3\n"
      "PL 7 7 y\n"
      "PW 7 y=w => abort" },
    { "PW08", "insert",
      "PW 5 x=v\nC 5 6 x => 6\n"
      "PW 7 +x=w => exists x\n"
      "PW 7 !x\nC 7 8 x => 8\nRB 9 x\n"
      "PW 10 +x=w => exists x\n"
      "PW 11 -x\nC 11 12 x => 12\n"
      "PW 13 +x=w\nC 13 14 x => 14\nG x 15 => w" },
    { "PW09", "check of absence leaves no lock",
      "PW 5 x=v\nC 5 6 x => 6\n"
      "PW 7 ?x => exists x\n"
      "PW 7 ?y\n"
      "M y => none\n"
      "PW 7 ?y : f=7 act=s => abort" },
    { "PW10", "insert and check raise max_ts",
      "PW 5 x=v\nMAXTS x => 0\n"
      "PW 7 +y=v\nMAXTS y => 7\n"
      "PW 9 ?z\nMAXTS z => 9" },
    { "PW11", "one error for each locked key, nothing written",
      "PW 5 a=1 b=1\n"
      "PW 6 a=2 f=2 b=2 => locked a@5 put pk=a ttl=3000, "
      "locked b@5 put pk=a ttl=3000\n"
      "M f => none" },
    { "PW12", "a conflict stands alone",
      "PW 5 b=1\nC 5 10 b => 10\nPW 6 c=1\n"
      "PW 7 a=2 c=2 b=2 => conflict b@7 with 5-10 Optimistic pk=a\n"
      "M a => none" },
    { "PW13", "many mutations look for versions once",
      "PW 5 +a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1 i=1 j=1 k=1 l=1 m=1\n"
      "C 5 6 a b c d e f g h i j k l m => 6\n"
      "PW 4 a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1 i=1 j=1 k=1 l=1 m=1 => "
      "conflict a@4 with 5-6 Optimistic pk=a\n"
      "PW 7 +a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1 i=1 j=1 k=1 l=1 m=1 => "
      "exists a" },
    { "PW14", "committed, and the key is locked again by another",
      "PW 5 x=v\nC 5 6 x => 6\nPW 7 x=w\n"
      "PW 5 x=v\n"
      "PW 5 x=v z=v\n"
      "M x => lock(put@7=w ttl=3000) 6:put@5=v\n"
      "M z => none" },
    { "PW15", "committed: a retry leaves no lock",
      "PW 5 x=v y=v\nC 5 6 x y => 6\n"
      "PW 5 x=v y=v\n"
      "M x => 6:put@5=v\n"
      "M y => 6:put@5=v" },
    { "PW16", "a retry after the record has been collected locks again",
      "PW 5 -x\nC 5 6 x => 6\nGC 10\n"
      "PW 5 -x\n"
      "M x => lock(del@5 ttl=3000)" },
    { "PW17", "no lock is left by a conflict",
      "PW 5 c=1\nC 5 10 c => 10\n"
      "PW 7 a=2 b=2 c=2 => conflict c@7 with 5-10 Optimistic pk=a\n"
      "SL 100 - - 0 => none" },
    { "PW18", "what a lock says of its transaction",
      "PW 5 x=v y=w : ttl=77 size=9\n"
      "SL 100 - - 0 => x@5 put pk=x ttl=77 size=9, "
      "y@5 put pk=x ttl=77 size=9" },
    { "PW19", "assertions",
      "PW 5 x^e=v : assert=strict => assertion x@5 exist 0-0\n"
      "PW 5 x=v\nC 5 6 x => 6\n"
      "PW 7 x^n=v : assert=strict => assertion x@7 notexist 5-6\n"
      "PW 7 -x\nC 7 8 x => 8\n"
      "PW 9 x^e=v : assert=strict => assertion x@9 exist 7-8\n"
      "PW 9 x^n=v : assert=strict" },
    { "PW20", "fast assertions look at nothing themselves",
      "PL 5 5 x\n"
      "PW 5 x^e=v : f=5 act=p assert=fast\n"
      "PL 6 6 y\n"
      "PW 6 y^e=v : f=6 act=p assert=strict => assertion y@6 exist 0-0" },
    { "PW21", "a conflict behind a failed assertion wins",
      "PW 5 b=1\nC 5 10 b => 10\n"
      "PW 7 a^e=2 b=2 : assert=strict => "
      "conflict b@7 with 5-10 Optimistic pk=a" },
    { "PW22", "and so does the own rollback",
      "RB 5 x\n"
      "PW 5 x^e=v : assert=strict skip => "
      "conflict x@5 with 5-5 SelfRolledBack pk=x" },
    { "PW23", "an assertion looks beneath Lock records",
      "PW 5 x=v\nC 5 6 x => 6\nPW 7 !x\nC 7 8 x => 8\n"
      "PW 9 x^e=w : assert=strict\n" },
    { "PW24", "a fenced version does not exist",
      "PW 5 x=v\nC 5 10 x => 10\nPW 12 x=w\nC 12 15 x => 15\n"
      "CL x 10 0\n"
      "M x => 15:put@12=w 10:put@5=v+over+fence15\n"
      "PW 20 x^n=w : assert=strict => assertion x@20 notexist 12-15\n"
      "DROPV x 15\n"
      "PW 20 x^e=w : assert=strict => assertion x@20 exist 0-0\n"
      "PW 20 x^n=w : assert=strict" },
    { "PW25", "a delete has no value to clean",
      "PW 5 x=*300\nC 5 6 x => 6\nPW 7 -x=*300\n"
      "RB 7 x\n"
      "M x => 7:rb@7=p 6:put@5 default(5=*300)" },

    { "AC01", "the smallest commit timestamp",
      "PW 5 x=v : async => min=6\n"
      "G y 20 => none\n"
      "PW 7 y=v : async => min=21\n"
      "PW 8 z=v : async min=30 => min=30\n"
      "PL 9 40 w\n"
      "PW 9 w=v : async f=40 act=p => min=41\n"
      "M z => lock(put@8=v ttl=3000)" },
    { "AC02", "the primary names the secondaries",
      "PW 5 x=v y=w : async=y => min=6\n"
      "SL 100 - - 0 => x@5 put pk=x ttl=3000 min=6 async[y], "
      "y@5 put pk=x ttl=3000 min=6 async" },
    { "AC03", "past max_commit_ts it becomes a plain prewrite",
      "G x 20 => none\n"
      "PW 5 x=v : async max=10\n"
      "G x 20 => locked x@5 put pk=x ttl=3000\n"
      "PW 6 y=w z=w : async=z max=30 => min=21\n" },
    { "AC04", "a retry over a lock that fell back falls back too",
      "PW 5 y=w : pk=x\n"
      "PW 5 y=w x=v : pk=x async=y\n"
      "SL 100 - - 0 => x@5 put pk=x ttl=3000, y@5 put pk=x ttl=3000" },
    { "AC05", "1PC writes versions at once",
      "PL 5 5 x\n"
      "PW 5 x=v !y : 1pc f=5 act=ps => 1pc=6\n"
      "M x => 6:put@5=v\n"
      "M y => 6:lock@5" },
    { "AC06", "1PC past max_commit_ts becomes two phases",
      "G x 20 => none\n"
      "PW 5 x=v y=w : 1pc max=10\n"
      "SL 100 - - 0 => x@5 put pk=x ttl=3000, y@5 put pk=x ttl=3000\n"
      "G x MAX => none" },
    { "AC07", "1PC again answers the same",
      "PW 5 x=v : 1pc => 1pc=6\n"
      "G x 20 => v\n"
      "PW 5 x=v : 1pc => 1pc=6\n"
      "M x => 6:put@5=v" },
    { "AC08", "1PC over a lock writes nothing",
      "PW 4 y=1\n"
      "PW 5 x=v y=w : 1pc => locked y@4 put pk=y ttl=3000\n"
      "M x => none" },
    { "AC09", "readers meet a prewrite that is under way",
      "MEM x 5 10\n"
      "G x 9 => none\n"
      "G x 10 => locked x@5 put pk=x min=10 async\n"
      "UNMEM x\n"
      "PW 5 x=v : async min=10 => min=11\n"
      "C 5 11 x => 11\n"
      "G x 10 => none\nG x 11 => v" },
    { "AC10", "who reads first is not overtaken",
      "G x 100 => none\n"
      "PW 50 x=v : async => min=101\n"
      "G x 100 => none\n"
      "C 50 101 x => 101\n"
      "G x 100 => none" },
    { "AC11", "all secondaries there: the commit can be computed",
      "PW 5 x=v y=w : async=y => min=6\n"
      "CTS x 5 20 20 => NoAction ttl=3000 "
      "x@5 put pk=x ttl=3000 min=6 async[y]\n"
      "CSL 5 y => y@5 put pk=x ttl=3000 min=6 async\n"
      "RL x 5:6\n"
      "G x MAX => v\nG y MAX => w" },
    { "AC12", "one secondary is not async: rolled back after its time",
      "PW 5.0 x=v : async=y ttl=10 => min=5.1\n"
      "PW 5.0 y=w : pk=x ttl=10\n"
      "CTS x 5.0 20.0 20.0 => NoAction ttl=10 "
      "x@5.0 put pk=x ttl=10 min=5.1 async[y]\n"
      "CSL 5.0 y => y@5.0 put pk=x ttl=10\n"
      "CTS x 5.0 20.0 20.0 : force => TTLExpireRollback\n"
      "M x => 5.0:rb@5.0=p" },
    { "AC13", "max_ts is not synced",
      "STALE x\n"
      "PW 5 x=v : async => region:max_timestamp_not_synced\n"
      "PW 5 x=v : 1pc => region:max_timestamp_not_synced\n"
      "PW 5 x=v" },
    { "AC14", "committed already, whatever may be the limit now",
      "PW 5 x=v : async max=20 => min=6\nC 5 6 x => 6\n"
      "PW 7 x=w\nC 7 30 x => 30\nG x 40 => w\n"
      "PW 5 x=v : async max=20 => min=6\n"
      "M x => 30:put@7=w 6:put@5=v" },
    { "AC15", "1PC: a check gives the same timestamp",
      "PW 5 x=v : 1pc => 1pc=6\n"
      "CTS x 5 20 20 : rine => NoAction commit=6" },
    { "AC16", "a check of absence does not depend on readers",
      "G x 100 => none\n"
      "PW 50 ?x : 1pc min=60 => 1pc=60\n"
      "PW 51 ?x : 1pc => 1pc=52\n"
      "M x => none" },
    { "AC17", "max_ts rises between two keys",
      "PW 40 x=v : async max=50 => min=41\n"
      "G z 60 => none\n"
      "PW 40 x=v y=w : async=y max=50\n"
      "SL 100 - - 0 => x@40 put pk=x ttl=3000 min=41 async, "
      "y@40 put pk=x ttl=3000\n"
      "PW 40 x=v y=w : async=y max=50" },
    { "AC18", "a check with the latest of all pushes nothing",
      "PW 5 x=v : min=6\n"
      "CTS x 5 MAX 10 => MinCommitTSPushed ttl=3000 "
      "x@5 put pk=x ttl=3000 min=6\n"
      "C 5 6 x => 6" },

    { "KE01", "keys that are too long, whose encoding counts",
      "PW 5 *7272=v : pk=p\n"
      "PW 5 *7280=v : pk=p => abort\nFL 5 1 *7280=v : pk=p => abort\n"
      "PL 5 5 *7280 : pk=p => abort\n"
      "PW 5 a=1 *9000=v => abort\nM a => none" },
    { "KE02", "where only raw data is kept",
      "PW 5 x=v => abort\nPL 5 5 x => abort\nFL 5 1 x=v => abort\n"
      "G x 9 => abort\nBG 9 x => abort and (abort)\n"
      "SC 9 x - 9 => abort and (abort)\nBBG 9 x => abort\n"
      "C 5 6 x => lock_not_found x\nRB 5 x\nSL 9 x - 0 => none",
      .params = { .api = TIKV_CLUSTER_API_V1TTL } },
    { "FU01", "the last flush counts",
      "FL 5 1 x=a y=*300\nFL 5 2 x=b\n"
      "C 5 6 x y => 6\n"
      "G x 10 => b\nG y 10 => *300" },
    { "FU02", "an older generation is passed over",
      "FL 5 2 x=b\nFL 5 1 x=a\nFL 5 2 x=c\n"
      "C 5 6 x => 6\nG x 10 => b" },
    { "FU03", "generations begin at one", "FL 5 0 x=a => abort" },
    { "FU04", "insert over an own flush",
      "FL 5 1 x=a\n"
      "FL 5 2 +x=b => exists x\n"
      "FL 5 3 -x\nFL 5 4 +x=c\n"
      "PW 1 y=v\nC 1 2 y => 2\n"
      "FL 5 5 -y\n"
      "FL 5 6 +y=c => exists y" },
    { "FU05", "assertions hold for the first flush",
      "FL 5 1 x^n=a : assert=strict\n"
      "FL 5 2 x^e=b : assert=strict\n"
      "FL 5 1 y^e=a : assert=strict => assertion y@5 exist 0-0" },
    { "FU06", "a flushed lock can be pushed",
      "FL 5 1 x=a y=b : min=100\n"
      "SL 100 - - 0 => x@5 put pk=x ttl=3000 size=MAX min=6, "
      "y@5 put pk=x ttl=3000 size=MAX min=6\n"
      "CTS x 5 20 10 => MinCommitTSPushed ttl=3000 "
      "x@5 put pk=x ttl=3000 size=MAX min=21" },
    { "FU07", "conflicts and locks",
      "PW 5 x=v\nC 5 10 x => 10\nPW 6 y=v z=v\n"
      "FL 7 1 x=a => conflict x@7 with 5-10 Optimistic pk=x\n"
      "FL 7 1 y=a z=a => locked y@6 put pk=y ttl=3000, "
      "locked z@6 put pk=y ttl=3000" },
    { "FU08", "the rollback of a flushed lock is protected",
      "FL 5.0 1 x=a y=b : ttl=10\n"
      "CTS x 5.0 20.0 20.0 => TTLExpireRollback\n"
      "RL x 5.0:0\n"
      "M y => 5.0:rb@5.0=p\n"
      "FL 5.0 2 y=c : pk=x => "
      "conflict y@5.0 with 5.0-5.0 SelfRolledBack pk=x" },
    { "FU09", "a transaction reads what it has flushed",
      "FL 5 1 a=1 -b c=*300\nPW 6 d=4\n"
      "BBG 5 a b c d e => a=1 b=- c=*300\n"
      "MAXTS a => 5\n"
      "MEM e 7 8\nBBG 9 a e => locked e@7 put pk=e min=8 async\nUNMEM e" },
    { "FU10", "told that a transaction is through, a prewrite is a retry",
      "PW 5 x=v\nC 5 9 x => 9\n"
      "BTS x 5 9\n"
      "PW 5 !x y=1 : pk=x f=5 act=ss" },
    { "FU11", "keys in any order, each once",
      "FL 5 1 a=1 b=2\n"
      "BBG 5 b a b => a=1 b=2" },
    { "FU12", "a reader pushes a flushed lock and passes",
      "FL 5 1 x=a\n"
      "G x 20 => locked x@5 put pk=x ttl=3000 size=MAX min=6\n"
      "CTS x 5 20 20 => MinCommitTSPushed ttl=3000 "
      "x@5 put pk=x ttl=3000 size=MAX min=21\n"
      "G x 20 => none" },
};

#endif
