/* SPDX-License-Identifier: Apache-2.0 */
/* Pessimistic locks, force lock, pessimistic prewrite, waiting: PL FL PP WQ,
 * and what a change of leader does to locks. */
#ifndef TK_CASES_LOCK_H
#define TK_CASES_LOCK_H

static void
lock_waits_without_client(struct script *script)
{
    script_lines(script, "PL 5 5 x\n"
                         "@1 PL 6 6 x : force wait=0 => wait\n"
                         "@2 PL 7 7 x : wait=0 => wait");
    way_abandon(&script->fx);
    script_lines(script, "LWI x => 6->5:x 7->5:x\n"
                         "WAIT 500\nLWI x => 6->5:x 7->5:x\n"
                         "PRB 5 5 x\nWAIT 0\n"
                         "M x => lock(pess@6 f=6 ttl=3000)\n"
                         "LWI x => 7->6:x\n"
                         "WAIT 500\nLWI x => none\n"
                         "M x => lock(pess@6 f=6 ttl=3000)");
}

static size_t
lock_edges(struct tk_cluster *cluster)
{
    const struct tk_cl_edge *edge;
    size_t count = 0;

    tk_mutex_lock(&cluster->lock);
    for (edge = cluster->edges; edge != NULL; edge = edge->next) {
        count++;
    }
    tk_mutex_unlock(&cluster->lock);
    return count;
}

static void
lock_counts_edges(struct script *script)
{
    struct tk_cluster *cluster = script->fx.cluster;

    script_lines(script, "PL 5 5 a b\n@1 PL 6 6 a : wait=0 => wait");
    assert_int_equal(lock_edges(cluster), 1);
    script_lines(script, "@2 PL 6 6 a : wait=0 => wait");
    assert_int_equal(lock_edges(cluster), 1);
    script_lines(script, "@3 PL 6 6 b : wait=500 => wait");
    assert_int_equal(lock_edges(cluster), 2);
    script_lines(script, "PRB 5 5 a\nWAIT 20");
    assert_int_equal(lock_edges(cluster), 1);
    script_lines(script, "WAIT 480");
    assert_int_equal(lock_edges(cluster), 0);
}

static const struct script_case lock_cases[] = {
    { "RD04", "a pessimistic lock blocks no reader",
      "PL 5 5 x\nG x 10 => none\nG x 10 : check => none" },
    { "PL01", "again: only a larger for_update_ts counts",
      "PL 5 5 x : ttl=10\n"
      "PL 5 8 x : ttl=20\nM x => lock(pess@5 f=8 ttl=20)\n"
      "PL 5 6 x : ttl=30\nM x => lock(pess@5 f=8 ttl=20)" },
    { "PL02", "a newer commit",
      "PW 5 x=v\nC 5 10 x => 10\n"
      "PL 6 9 x => conflict x@6 with 5-10 PessimisticRetry pk=x\n"
      "PL 6 10 x" },
    { "PL03", "a newer rollback",
      "RB 10 x\n"
      "PL 6 9 x => conflict x@6 with 10-10 PessimisticRetry pk=x" },
    { "PL04", "who is rolled back",
      "RB 5 x\nPL 5 6 x => abort\n"
      "PW 3 y=v\nC 3 5 y => 5\nCL y 5 0\nPL 5 6 y => abort\n"
      "RB 5 z\nPW 6 z=v\nC 6 7 z => 7\nPL 5 9 z => abort" },
    { "PL05", "an own prewritten lock", "PW 5 x=v\nPL 5 6 x => abort" },
    { "PL06", "values in the order of keys",
      "PW 1 a=1 b=2 c=3\nC 1 2 a b c => 2\n"
      "PW 3 -b !c\nC 3 4 b c => 4\nPW 5 d=4\nC 5 6 d => 6\nRB 7 d\n"
      "PL 10 10 a b c d e : values => values=1,-,3,4,- missing=01001" },
    { "PL07", "existence alone",
      "PW 1 a=1\nC 1 2 a => 2\n"
      "PL 10 10 a b : exist => missing=01\n"
      "PL 10 10 a b : exist values => values=1,- missing=01" },
    { "PL08", "neither", "PW 1 a=1\nC 1 2 a => 2\nPL 10 10 a b" },
    { "PL09", "must not exist",
      "PW 1 a=1\nC 1 2 a => 2\n"
      "PL 10 10 +a => exists a\nM a => 2:put@1=1\n"
      "PL 10 10 a\nPL 10 10 +a => exists a\nPL 10 10 +b" },
    { "PL10", "only if it exists",
      "PW 1 a=1\nC 1 2 a => 2\n"
      "PL 10 10 b : only values => values=- missing=1\nM b => none\n"
      "PL 10 10 a : only values => values=1 missing=0\n"
      "M a => lock(pess@10 f=10 ttl=3000) 2:put@1=1\n"
      "PL 10 10 a : only => abort" },
    { "PL11", "the value of the latest commit",
      "PW 1 a=1\nC 1 2 a => 2\nPW 3 a=2\nC 3 8 a => 8\n"
      "PL 5 9 a : values => values=2 missing=0\n"
      "PW 1 b=1\nC 1 5 b => 5\nPW 6 b=2\nC 6 7 b => 7\nCL b 5 0\n"
      "DROPV b 7\nM b => 5:put@1=1+over+fence7\n"
      "PL 8 8 b : values => values=- missing=1\nPL 8 8 +b" },
    { "PL12", "locking reads raise max_ts",
      "PL 5 20 x\nMAXTS x => 0\n"
      "PL 5 30 y : values => values=- missing=1\nMAXTS y => 30\n"
      "PL 5 40 z : exist => missing=1\nMAXTS z => 40\n"
      "PL 5 50 +w\nMAXTS w => 50" },
    { "PL13", "all keys or none",
      "PL 5 5 b\n"
      "PL 6 6 a b => locked b@5 pess pk=b ttl=3000 f=5\nM a => none" },
    { "PL14", "no wait",
      "PW 5 x=v\nPL 6 6 x : wait=-1 => locked x@5 put pk=x ttl=3000" },
    { "PL15", "at most a second",
      "PW 5 x=v\n"
      "@1 PL 6 6 x : wait=100 => wait\n"
      "@2 PL 7 7 x : wait=0 => wait\n@3 PL 8 8 x : wait=5000 => wait\n"
      "WAIT 99\n@1 => wait\n"
      "WAIT 1\n@1 => locked x@5 put pk=x ttl=3000\n"
      "WAIT 899\n@2 => wait\n"
      "WAIT 1\n@2 => locked x@5 put pk=x ttl=3000\n"
      "@3 => locked x@5 put pk=x ttl=3000" },
    { "PL16", "after a status check has rolled it back",
      "PL 5.0 5.0 x : ttl=10\n"
      "CTS x 5.0 0 20.0 => TTLExpireRollback\n"
      "PL 5.0 5.0 x => abort" },
    { "PL17", "a request that comes after the commit locks for nothing",
      "PL 5 5 x\nPW 5 x=v : f=5 act=p\nC 5 6 x => 6\n"
      "PL 5 6 x\n"
      "M x => lock(pess@5 f=6 ttl=3000) 6:put@5=v\n"
      "C 5 6 x => 6\nM x => 6:put@5=v" },
    { "PL18", "a large transaction's lock can be pushed",
      "PL 5 5 x : min=6\n"
      "CTS x 5 9 9 => MinCommitTSPushed ttl=3000 "
      "x@5 pess pk=x ttl=3000 f=5 min=10" },
    { "PL19", "a lock in memory is lost with its leader, and amended",
      "PL 5 5 x\nLEAD x 2\nM x => lock(pess@5 f=5 ttl=3000)\n"
      "PL 5 5 y : pk=x\nSTOP 2\n"
      "M x => lock(pess@5 f=5 ttl=3000)\nM y => none\n"
      "PW 5 x=v y=w : f=5 act=pp\nC 5 6 x y => 6\nG y MAX => w" },
    { "AC19", "a new leader has been read at all that was given before",
      "LEAD x 2\nPW 5 x=v : async max=100\n"
      "G x 100 => locked x@5 put pk=x ttl=3000" },

    { "FL01", "no conflict",
      "PW 1 a=1\nC 1 2 a => 2\n"
      "PL 5 5 a : force => normal\n"
      "PL 6 6 b : force values => normal\n"
      "PL 5 5 a : force values => normal exists 1\n"
      "PL 5 5 a : force exist => normal exists" },
    { "FL02", "locked in spite of a newer version",
      "PW 10 x=v\nC 10 20 x => 20\n"
      "PL 15 15 x : force => conflict=20 exists v\n"
      "M x => lock(pess@15 f=20 ttl=3000) 20:put@10=v\n"
      "MAXTS x => 0" },
    { "FL03", "the same again",
      "PW 10 x=v\nC 10 20 x => 20\n"
      "PL 15 15 x : force => conflict=20 exists v\n"
      "PL 15 15 x : force => conflict=20 exists v\n"
      "M x => lock(pess@15 f=20 ttl=3000) 20:put@10=v" },
    { "FL04", "again from later",
      "PW 10 x=v\nC 10 20 x => 20\n"
      "PL 15 15 x : force => conflict=20 exists v\n"
      "PL 15 25 x : force => normal\n"
      "M x => lock(pess@15 f=25 ttl=3000) 20:put@10=v" },
    { "FL05", "must not exist, over a newer version",
      "PW 10 x=v\nC 10 20 x => 20\n"
      "PL 15 15 +x : force => conflict x@15 with 10-20 PessimisticRetry "
      "pk=x failed\n"
      "M x => 20:put@10=v\n"
      "PW 21 -x\nC 21 22 x => 22\n"
      "PL 15 15 +x : force => conflict=22" },
    { "FL06", "only if it exists, over a delete",
      "PW 10 -x\nC 10 20 x => 20\n"
      "PL 15 15 x : force only values => "
      "conflict x@15 with 10-20 PessimisticRetry pk=x failed\n"
      "M x => 20:del@10" },
    { "FL07", "one key alone", "PL 5 5 x y : force => abort failed" },
    { "FL08", "resumed after a commit",
      "PW 5 x=v\n"
      "@1 PL 6 6 x : force wait=0 => wait\n"
      "C 5 10 x => 10\nWAIT 0\n"
      "@1 => conflict=10 exists v\n"
      "M x => lock(pess@6 f=10 ttl=3000) 10:put@5=v" },
    { "FL09", "resumed after a rollback",
      "PW 5 y=v x=v\n"
      "@1 PL 6 6 x : force wait=0 => wait\n"
      "RB 5 x\nWAIT 0\n@1 => normal\n"
      "M x => lock(pess@6 f=6 ttl=3000) 5:rb@5" },
    { "FL10", "no wait",
      "PW 5 x=v\n"
      "PL 6 6 x : force => locked x@5 put pk=x ttl=3000 failed" },
    { "FL11", "a stale lock over the own commit",
      "PL 5 5 x\nPW 5 x=v : f=5 act=p\nC 5 10 x => 10\n"
      "PL 5 6 x : force => conflict=10 exists v\n"
      "CTS x 5 20 20 => NoAction commit=10\nM x => 10:put@5=v" },
    { "FL12", "the prewrite names the for_update_ts it has",
      "PW 10 x=v\nC 10 20 x => 20\n"
      "PL 15 15 x : force => conflict=20 exists v\n"
      "PW 15 x=w : f=25 act=p exp=0:15 => abort unheld\n"
      "PW 15 x=w : f=25 act=p exp=0:25 => abort unheld\n"
      "PW 15 x=w : f=25 act=p exp=0:20\n"
      "C 15 30 x => 30\n"
      "PW 15 x=w : f=25 act=p exp=0:20" },
    { "FL13", "a constraint without mutation",
      "PL 5 5 x\nPW 5 x=w : f=5 act=p exp=1:5 => abort" },
    { "FL14", "who has waited takes it before who comes later",
      "PW 5 x=v\n"
      "@1 PL 6 6 x : force wait=0 => wait\n"
      "C 5 10 x => 10\n"
      "PL 20 20 x => locked x@6 pess pk=x ttl=3000 f=10\n"
      "WAIT 0\n@1 => conflict=10 exists v" },

    { "PP01", "the larger of lock and request",
      "PL 5 8 x : ttl=100 min=20\n"
      "PW 5 x=v : f=6 act=p ttl=50 min=10\n"
      "SL 100 - - 0 => x@5 put pk=x ttl=100 f=8 min=20" },
    { "PP02", "a lock that is lost is amended",
      "PW 1 x=u\nC 1 2 x => 2\n"
      "PW 5 x=v : f=5 act=p\n"
      "M x => lock(put@5=v f=5 ttl=3000) 2:put@1=u" },
    { "PP03", "unless something came after the start",
      "PW 1 x=u\nC 1 5 x => 5\n"
      "PW 5 x=v : f=9 act=p => abort unheld\n"
      "RB 6 y\nPW 6 y=v : f=9 act=p => abort unheld\n"
      "M y => 6:rb@6" },
    { "PP04", "the lock of another",
      "PL 5 5 x\nPW 6 x=v : f=6 act=p => abort unheld" },
    { "PP05", "the lock of another, on a key that was not locked",
      "PW 5 x=v\n"
      "PW 6 x=v : f=6 act=s => locked x@5 put pk=x" },
    { "PP06", "keys that were not locked are not checked, but in a retry",
      "PW 5 x=v\nC 5 10 x => 10\n"
      "PW 6 x=w : f=6 act=s\nRB 6 x\n"
      "PW 7 x=w : f=7 act=s retry => abort unheld\n"
      "PW 5 x=v : f=5 act=s retry\nM x => 10:put@5=v 6:rb@6=p" },
    { "PP07", "newer rollbacks do not count there",
      "PW 1 x=u\nC 1 2 x => 2\nRB 10 x\n"
      "PW 6 x=w : f=6 act=s retry\n"
      "M x => lock(put@6=w f=6 ttl=3000) 10:rb@10 2:put@1=u" },
    { "PP08", "a request that comes after the commit at the same store",
      "PL 5 5 x\nPW 5 x=v y=w : f=5 act=ps\nC 5 10 x y => 10\n"
      "PW 5 y=w : f=5 act=s pk=x\nM y => 10:put@5=w" },
    { "PP09", "uniqueness is checked late",
      "PW 5 x=v\nC 5 10 x => 10\n"
      "PW 6 +x=w : f=20 act=c => "
      "conflict x@6 with 5-10 LazyUniquenessCheck pk=x\n"
      "PW 11 +x=w : f=20 act=c => exists x\n"
      "PW 11 +y=w : f=20 act=c" },
    { "PP10", "twice",
      "PL 5 5 x\nPW 5 x=v : f=5 act=p\nPW 5 x=v : f=5 act=p\n"
      "PL 6 6 y\nPW 6 y=v : f=6 act=p async => min=7\n"
      "G z 50 => none\nPW 6 y=v : f=6 act=p async => min=7" },
    { "PP11", "a lock knows how far below the data is, also an amended one",
      "PW 1 x=u z=u\nC 1 2 x z => 2\nPW 3 !x\nC 3 4 x => 4\n"
      "PW 5 !x !y : f=5 act=pp\n"
      "M x : change => lock(lock@5 f=5 ttl=3000 change=2/2) "
      "4:lock@3 2:put@1=u\n"
      "M y : change => lock(lock@5 f=5 ttl=3000 change=0/1)\n"
      "PL 8 8 z\n"
      "M z : change => lock(pess@8 f=8 ttl=3000 change=2/1) 2:put@1=u\n"
      "PW 8 !z : f=8 act=p\n"
      "M z : change => lock(lock@8 f=8 ttl=3000 change=2/1) 2:put@1=u\n"
      "PW 9 w=v\nM w : change => lock(put@9=v ttl=3000 change=0/0)" },
    { "PP12", "a lock that stays a lock",
      "PW 1 x=u\nC 1 2 x => 2\nPL 5 5 x\nPW 5 !x : f=5 act=p\n"
      "C 5 6 x => 6\nM x => 6:lock@5 2:put@1=u\nG x 10 => u" },
    { "PP13", "one action for each mutation",
      "PW 5 x=v y=w : f=5 act=p => abort" },

    { "WQ01", "the oldest transaction is woken first",
      "PW 5 x=v\n"
      "@1 PL 30 30 x : wait=0 => wait\n@2 PL 20 20 x : wait=0 => wait\n"
      "@3 PL 40 40 x : wait=0 => wait\n"
      "C 5 50 x => 50\nWAIT 0\n"
      "@1 => wait\n"
      "@2 => conflict x@20 with 5-50 PessimisticRetry pk=x\n"
      "@3 => wait" },
    { "WQ02", "who is woken has no lock",
      "PW 5 x=v\n@1 PL 6 6 x : wait=0 => wait\n"
      "RB 5 x\nWAIT 0\n"
      "@1 => conflict x@6 with 5-0 PessimisticRetry pk=x\n"
      "M x => 5:rb@5=p" },
    { "WQ03", "20 ms later the others that waited then",
      "PW 5 x=v\n"
      "@1 PL 20 20 x : wait=0 => wait\n@2 PL 30 30 x : wait=0 => wait\n"
      "C 5 50 x => 50\nWAIT 0\n"
      "@1 => conflict x@20 with 5-50 PessimisticRetry pk=x\n"
      "PL 20 60 x\n@3 PL 40 60 x : wait=0 => wait\n"
      "WAIT 19\n@2 => wait\nWAIT 1\n"
      "@2 => conflict x@30 with 5-50 PessimisticRetry pk=x\n"
      "@3 => wait\nPRB 20 60 x\nWAIT 0\n"
      "@3 => conflict x@40 with 20-0 PessimisticRetry pk=x" },
    { "WQ04", "of force locks only the first goes on",
      "PW 5 x=v\n"
      "@1 PL 30 30 x : force wait=0 => wait\n"
      "@2 PL 20 20 x : force wait=0 => wait\n"
      "C 5 50 x => 50\nWAIT 30\n"
      "@2 => conflict=50 exists v\n@1 => wait\n"
      "PRB 20 50 x\nWAIT 0\n@1 => conflict=50 exists v" },
    { "WQ05", "the later wake-up stops at the first force lock",
      "PW 5 x=v\n"
      "@1 PL 10 10 x : wait=0 => wait\n@2 PL 20 20 x : wait=0 => wait\n"
      "@3 PL 30 30 x : force wait=0 => wait\n"
      "@4 PL 40 40 x : wait=0 => wait\n"
      "C 5 50 x => 50\nWAIT 0\n"
      "@1 => conflict x@10 with 5-50 PessimisticRetry pk=x\n@2 => wait\n"
      "WAIT 20\n"
      "@2 => conflict x@20 with 5-50 PessimisticRetry pk=x\n"
      "@3 => conflict=50 exists v\n@4 => wait" },
    { "WQ06", "who has been resumed and waits again keeps the old limit",
      "PW 5 x=v\n@1 PL 6 6 x : force wait=200 => wait\n"
      "@2 PL 7 7 x : force wait=100 => wait\n"
      "WAIT 50\nRB 5 x\nWAIT 0\n@1 => normal\n@2 => wait\n"
      "WAIT 49\n@2 => wait\nWAIT 1\n"
      "@2 => locked x@6 pess pk=x ttl=3000 f=6 changed=50 failed\n"
      "LWI x => none" },
    { "WQ07", "how long ago the holder has changed",
      "PW 5 x=v\n@1 PL 30 30 x : wait=0 => wait\n"
      "@2 PL 6 6 x : force wait=0 => wait\n"
      "WAIT 100\nRB 5 x\nWAIT 900\n"
      "@2 => normal\n"
      "@1 => locked x@6 pess pk=x ttl=3000 f=6 changed=900" },
    { "WQ08", "two wait for each other",
      "PL 5 5 a\nPL 6 6 b\n"
      "@1 PL 5 5 b : wait=0 => wait\n"
      "PL 6 6 a : wait=0 => deadlock on a@5 hashed 5->6:b 6->5:a\n"
      "PRB 6 6 b\nWAIT 0\n"
      "@1 => conflict b@5 with 6-0 PessimisticRetry pk=b" },
    { "WQ09", "three in a circle",
      "PL 5 5 a\nPL 6 6 b\nPL 7 7 c\n"
      "@1 PL 5 5 b : wait=0 => wait\n@2 PL 6 6 c : wait=0 => wait\n"
      "PL 7 7 a : wait=0 => deadlock on a@5 hashed "
      "5->6:b 6->7:c 7->5:a" },
    { "WQ10", "a first lock never closes a circle",
      "PL 5 5 a\nPL 6 6 b\n"
      "@1 PL 5 5 b : wait=0 => wait\n"
      "@2 PL 6 6 a : wait=0 first => wait" },
    { "WQ11", "edges end with the wait",
      "PL 5 5 a\nPL 6 6 b\n"
      "@1 PL 5 5 b : wait=100 => wait\nWAIT 100\n"
      "@1 => locked b@6 pess pk=b ttl=3000 f=6\n"
      "@2 PL 6 6 a : wait=0 => wait" },
    { "WQ12", "across stores",
      "SPLIT b\nLEAD b 2\nPL 5 5 a\nPL 6 6 b\n"
      "@1 PL 5 5 b : wait=0 => wait\n"
      "PL 6 6 a : wait=0 => deadlock on a@5 hashed 5->6:b 6->5:a" },
    { "WQ13", "the detector forgets all when it moves",
      "SPLIT b\nPL 5 5 a\nPL 6 6 c\n"
      "@1 PL 5 5 c : wait=500 => wait\n"
      "LEAD a 2\n"
      "@2 PL 6 6 a : wait=0 => wait\nWAIT 500\n"
      "@1 => locked c@6 pess pk=c ttl=3000 f=6\n"
      "PL 5 5 c : wait=0 => deadlock on c@6 hashed 6->5:a 5->6:c" },
    { "WQ14", "all that lets go of a lock wakes",
      "PL 5 5 a\n@1 PL 6 6 a : wait=0 => wait\n"
      "PW 5 a=1 : f=5 act=p 1pc => 1pc=6\nWAIT 0\n"
      "@1 => conflict a@6 with 5-6 PessimisticRetry pk=a\n"
      "PL 5.0 5.0 b : ttl=10\n@2 PL 6.0 6.0 b : wait=0 => wait\n"
      "CTS b 5.0 0 20.0 => TTLExpireRollback\nWAIT 0\n"
      "@2 => conflict b@6.0 with 5.0-0 PessimisticRetry pk=b\n"
      "PW 5 c=1\n@3 PL 6 6 c : wait=0 => wait\n"
      "RL c 5:9\nWAIT 0\n"
      "@3 => conflict c@6 with 5-9 PessimisticRetry pk=c\n"
      "PW 7 d=1\n@4 PL 8 8 d : wait=0 => wait\nCL d 7 0\nWAIT 0\n"
      "@4 => conflict d@8 with 7-0 PessimisticRetry pk=d" },
    { "WQ15", "a client that leaves stays in the queue",
      .run = lock_waits_without_client },
    { "WQ18", "the detector survives what happens to its region",
      "SPLIT k\nPL 5 5 a\nPL 6 6 z\nLEAD a 2\n"
      "@1 PL 5 5 z : wait=0 => wait\n"
      "PL 6 6 a : wait=0 => deadlock on a@5 hashed 5->6:z 6->5:a\n"
      "PRB 6 6 z\nWAIT 0\n"
      "@1 => conflict z@5 with 6-0 PessimisticRetry pk=z\n"
      "SPLIT b\nPL 7 7 z\n@1 PL 7 7 a : wait=0 => wait\n"
      "PL 5 5 z : wait=0 => deadlock on z@7 hashed 7->5:a 5->7:z\n"
      "PRB 5 5 a\nWAIT 0\n"
      "@1 => conflict a@7 with 5-0 PessimisticRetry pk=a\n"
      "MERGE a\nPL 8 8 a\n@1 PL 8 8 z : wait=0 => wait\n"
      "PL 7 7 a : wait=0 => deadlock on a@8 hashed 8->7:z 7->8:a" },
    { "WQ20", "the detector has one edge for a key, while there is a wait",
      .run = lock_counts_edges },
    { "WQ19", "a store tells who waits",
      "LWI x => none\n"
      "PL 5 5 x\nPL 6 6 y\n"
      "@1 PL 8 8 x : wait=100 => wait\n@2 PL 7 7 x : wait=100 => wait\n"
      "@3 PL 9 9 y : wait=100 first => wait\n"
      "LWI x => 7->5:x 8->5:x 9->6:y\n"
      "WAIT 100\nLWI x => none" },
    { "WQ16", "a resumed lock makes a circle for who waits on",
      "PL 10 10 k\nPL 12 12 j\n"
      "@1 PL 11 11 k : force wait=0 => wait\n"
      "@2 PL 12 12 k : force wait=0 => wait\n"
      "@3 PL 11 11 j : force wait=0 => wait\n"
      "PRB 10 10 k\nWAIT 0\n"
      "@1 => normal\n"
      "@2 => deadlock on k@11 hashed 11->12:j 12->11:k failed\n"
      "@3 => wait" },
};

#endif
