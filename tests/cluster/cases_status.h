/* SPDX-License-Identifier: Apache-2.0 */
/* What became of a transaction: CT CS HB. */
#ifndef TK_CASES_STATUS_H
#define TK_CASES_STATUS_H

static const struct script_case status_cases[] = {
    { "CT01", "nothing there",
      "CTS x 5 9 9 => txn_not_found x@5\n"
      "M x => none\n"
      "CTS x 5 9 9 : rine => LockNotExistRollback\n"
      "M x => 5:rb@5=p\n"
      "CTS x 5 9 9 => NoAction" },
    { "CT02", "nothing there, for a pessimistic lock",
      "CTS x 5 9 9 : rine rpl => LockNotExistDoNothing\n"
      "M x => none\n"
      "CTS x 5 9 9 : rpl => txn_not_found x@5" },
    { "CT03", "a large transaction: who does not read does not push",
      "PW 5.0 x=v : ttl=100 min=5.1\n"
      "CTS x 5.0 0 6.0 => NoAction ttl=100 x@5.0 put pk=x ttl=100 min=5.1" },
    { "CT04", "a reader pushes",
      "PW 5.0 x=v : ttl=100 min=5.1\n"
      "CTS x 5.0 6.0 7.0 => MinCommitTSPushed ttl=100 "
      "x@5.0 put pk=x ttl=100 min=7.0\n"
      "C 5.0 6.5 x => expired x@5.0 at 6.5 min=7.0" },
    { "CT05", "never back",
      "PW 5.0 x=v : ttl=100 min=7.0\n"
      "CTS x 5.0 9.0 8.0 => MinCommitTSPushed ttl=100 "
      "x@5.0 put pk=x ttl=100 min=9.1\n"
      "CTS x 5.0 8.0 10.0 => MinCommitTSPushed ttl=100 "
      "x@5.0 put pk=x ttl=100 min=9.1" },
    { "CT06", "up to the present",
      "PW 5.0 x=v : ttl=100 min=9.1\n"
      "CTS x 5.0 13.1 13.3 => MinCommitTSPushed ttl=100 "
      "x@5.0 put pk=x ttl=100 min=13.3" },
    { "CT07", "who reads the latest of all",
      "PW 5.0 x=v : ttl=100 min=9.1\n"
      "CTS x 5.0 MAX 13.0 => MinCommitTSPushed ttl=100 "
      "x@5.0 put pk=x ttl=100 min=9.1\n"
      "SL MAX - - 0 => x@5.0 put pk=x ttl=100 min=9.1" },
    { "CT08", "a lock that cannot be pushed",
      "PW 5.0 x=v : ttl=100\n"
      "CTS x 5.0 9.0 9.0 => NoAction ttl=100 x@5.0 put pk=x ttl=100" },
    { "CT09", "past its time",
      "PW 5.0 x=v : ttl=10\n"
      "CTS x 5.0 0 15.0 => NoAction ttl=10 x@5.0 put pk=x ttl=10\n"
      "CTS x 5.0 0 16.0 => TTLExpireRollback\n"
      "M x => 5.0:rb@5.0=p\n"
      "CTS x 5.0 0 16.0 => NoAction" },
    { "CT10", "committed",
      "PW 5 x=v\nC 5 6 x => 6\nCTS x 5 9 9 => NoAction commit=6\n"
      "PW 7 x=w\nCTS x 5 9 9 : rine => NoAction commit=6" },
    { "CT11", "a lock of another",
      "PW 7 x=w\n"
      "CTS x 5 9 9 => txn_not_found x@5\n"
      "CTS x 5 9 9 : rine => LockNotExistRollback\n"
      "M x => lock(put@7=w ttl=3000) 5:rb@5=p" },
    { "CT12", "an async lock of another remembers it",
      "PW 7 x=w : async => min=8\n"
      "CTS x 8 9 9 : rine => LockNotExistRollback\n"
      "M x => lock(put@7=w ttl=3000 rb=8) 8:rb@8=p" },
    { "CT13", "an async lock is not ended here, unless forced",
      "PW 5.0 x=v : async ttl=10 => min=5.1\n"
      "CTS x 5.0 8.0 9.0 => NoAction ttl=10 "
      "x@5.0 put pk=x ttl=10 min=5.1 async\n"
      "CTS x 5.0 80.0 90.0 => NoAction ttl=10 "
      "x@5.0 put pk=x ttl=10 min=5.1 async\n"
      "CTS x 5.0 9.0 9.0 : force => MinCommitTSPushed ttl=10 "
      "x@5.0 put pk=x ttl=10 min=9.1 async\n"
      "CTS x 5.0 80.0 90.0 : force => TTLExpireRollback" },
    { "CT14", "a pessimistic primary past its time",
      "PL 5.0 5.0 x : ttl=10\n"
      "CTS x 5.0 0 20.0 : rpl => TTLExpirePessimisticRollback\n"
      "M x => none\n"
      "PL 5.0 5.0 x : ttl=10\n"
      "CTS x 5.0 0 20.0 => TTLExpireRollback\n"
      "M x => 5.0:rb@5.0=p" },
    { "CT15", "a pessimistic primary alive",
      "PL 5.0 5.0 x : ttl=10\n"
      "CTS x 5.0 9.0 9.0 => NoAction ttl=10 x@5.0 pess pk=x ttl=10 f=5.0\n"
      "PL 5.0 5.0 y : ttl=10 min=5.1\n"
      "CTS y 5.0 9.0 9.0 => MinCommitTSPushed ttl=10 "
      "y@5.0 pess pk=y ttl=10 f=5.0 min=9.1" },
    { "CT16", "not the primary",
      "PW 5 x=v y=w\n"
      "CTS y 5 9 9 : vip => primary_mismatch y@5 put pk=x ttl=3000\n"
      "CTS x 5 9 9 : vip => NoAction ttl=3000 x@5 put pk=x ttl=3000" },
    { "CT17", "a pessimistic lock with another primary is stale",
      "PL 5 5 y : pk=x\n"
      "CTS y 5 9 9 : vip => txn_not_found y@5\n"
      "M y => lock(pess@5 f=5 ttl=3000)\n"
      "CTS y 5 9 9 : vip rine => LockNotExistRollback\n"
      "M y => 5:rb@5=p" },
    { "CT18", "unless a pessimistic lock is asked for",
      "PL 5 5 y : pk=x\n"
      "CTS y 5 9 9 : vip rpl rine => "
      "primary_mismatch y@5 pess pk=x ttl=3000 f=5" },
    { "CT19", "what each status is answered with",
      "RB 1 a\nCTS a 1 9 9 => NoAction\n"
      "PW 5.0 b=v : ttl=10\nCTS b 5.0 0 20.0 => TTLExpireRollback\n"
      "CTS c 5 9 9 : rine => LockNotExistRollback\n"
      "PL 5.0 5.0 d : ttl=10\n"
      "CTS d 5.0 0 20.0 : rpl => TTLExpirePessimisticRollback\n"
      "CTS e 5 9 9 : rine rpl => LockNotExistDoNothing\n"
      "PW 5 f=v\nC 5 9 f => 9\nCTS f 5 9 20 => NoAction commit=9\n"
      "PW 5 g=v h=w : ttl=8 min=6\n"
      "CTS g 5 0 5 => NoAction ttl=8 g@5 put pk=g ttl=8 min=6\n"
      "CTS h 5 9 9 => MinCommitTSPushed ttl=8 g@5 put pk=g ttl=8 min=10\n"
      "CTS i 5 9 9 => txn_not_found i@5" },
    { "CT20", "rolled back before",
      "RB 5 x\nCTS x 5 9 9 : rine => NoAction\nM x => 5:rb@5" },
    { "CT21", "raises max_ts to all it names",
      "CTS x 5 9 12 : rine => LockNotExistRollback\nMAXTS x => 12\n"
      "CTS x 5 20 12 => NoAction\nMAXTS x => 20\n"
      "CTS x 30 MAX MAX : rine => LockNotExistRollback\nMAXTS x => 30" },
    { "CT22", "a time that PD has not given",
      "PW 5 x=v\n"
      "CTS x 5 9 9000000000000.0 => region:message\n"
      "CL x 9000000000000.0 0 => region:message\n"
      "SL 9000000000000.0 - - 0 => region:message\n"
      "CSL 9000000000000.0 x => region:message\n"
      "G x 9000000000000.0 => region:message\n"
      "CTS y 5 9 1700000031000.0 : rine => region:message\n"
      "CTS y 5 9 1700000031000.0 : rine tidb => LockNotExistRollback\n"
      "CTS y 5 9 1700000099000.0 : rine tidb => region:message\n"
      "G y 1700000032000.0 => none\nG y 1700000099000.0 => region:message" },
    { "CT23", "ttl 0, and alive in the same millisecond",
      "PW 5.0 x=v : ttl=0\n"
      "CTS x 5.0 0 5.9 => NoAction x@5.0 put pk=x\n"
      "CTS x 5.0 0 6.0 => TTLExpireRollback" },

    { "CS01", "all locked",
      "PW 5 x=v y=w z=u : async=y,z => min=6\n"
      "CSL 5 y z => y@5 put pk=x ttl=3000 min=6 async, "
      "z@5 put pk=x ttl=3000 min=6 async\n"
      "M y => lock(put@5=w ttl=3000)" },
    { "CS02", "one committed",
      "PW 5 x=v y=w z=u : async=y,z => min=6\nC 5 7 z => 7\n"
      "CSL 5 y z => commit=7" },
    { "CS03", "one missing",
      "PW 5 y=w : pk=x async => min=6\n"
      "CSL 5 y z => rolled back\n"
      "M z => 5:rb@5=p\n"
      "PW 5 z=u : pk=x => conflict z@5 with 5-5 SelfRolledBack pk=x\n"
      "M y => lock(put@5=w ttl=3000)" },
    { "CS04", "a pessimistic lock",
      "PL 5 5 y : pk=x\nCSL 5 y => rolled back\nM y => 5:rb@5=p" },
    { "CS05", "an async lock of another",
      "PW 4 y=w : async => min=5\n"
      "CSL 5 y => rolled back\n"
      "M y => lock(put@4=w ttl=3000 rb=5) 5:rb@5=p" },
    { "CS06", "rolled back before, without protection",
      "RB 5 y\nCSL 5 y => rolled back\nM y => 5:rb@5" },
    { "CS07", "stops at the first that decides",
      "CSL 5 y z => rolled back\nM y => 5:rb@5=p\nM z => none" },

    { "CS08", "a stale lock over the own commit",
      "PL 5 5 x\nPW 5 x=v : f=5 act=p\nC 5 10 x => 10\n"
      "PL 5 6 x : force => conflict=10 exists v\n"
      "CSL 5 x => commit=10\nM x => 10:put@5=v" },

    { "HB01", "a larger time counts",
      "PW 5 x=v : ttl=10\n"
      "HB x 5 5 => 10\nHB x 5 20 => 20\nHB x 5 15 => 20\n"
      "M x => lock(put@5=v ttl=20)\n"
      "PL 6 6 y : ttl=10\nHB y 6 30 => 30" },
    { "HB02", "no such lock",
      "HB x 5 20 => txn_not_found x@5\n"
      "PW 6 x=v\nHB x 5 20 => txn_not_found x@5\n"
      "C 6 7 x => 7\nHB x 6 20 => txn_not_found x@6" },
    { "HB03", "min_commit_ts, of flushed locks alone",
      "PW 5 x=v : min=6\nHB x 5 20 50 => 3000\n"
      "CTS x 5 0 9 => NoAction ttl=3000 x@5 put pk=x ttl=3000 min=6\n"
      "FL 7 1 y=v\nHB y 7 20 50 => 3000\n"
      "CTS y 7 0 9 => NoAction ttl=3000 "
      "y@7 put pk=y ttl=3000 size=MAX min=50" },
};

#endif
