/* SPDX-License-Identifier: Apache-2.0 */
/* Locks that several transactions share: SH, and what others do to them. */
#ifndef TK_CASES_SHARED_H
#define TK_CASES_SHARED_H

static const struct script_case shared_cases[] = {
    { "SH01", "several hold it, nobody who reads waits",
      "PW 1 x=v\nC 1 2 x => 2\n"
      "PL 5 5 ~x : pk=p\nPL 6 6 ~x : pk=q\n"
      "SL 100 - - 0 => x shared[x@5 pess pk=p ttl=3000 f=5; "
      "x@6 pess pk=q ttl=3000 f=6]\n"
      "M x => lock(shared@0 ttl=0) 2:put@1=v\n"
      "G x 10 => v\nG x 10 : check => v\nG x MAX => v\n"
      "PL 5 8 ~x : pk=p values ttl=9\nPL 5 7 ~x : pk=p\n"
      "SL 5 - - 0 => x shared[x@5 pess pk=p ttl=9 f=8]\n"
      "PL 3 1 ~x : pk=p => conflict x@3 with 1-2 PessimisticRetry pk=p\n"
      "PL 7 7 ~x : pk=p values => values=v missing=0\n"
      "RB 9 x\nPL 9 9 ~x : pk=p => abort" },
    { "SH02", "who wants it alone closes it at once, and waits the next time",
      "PL 5 5 ~x : pk=p\n"
      "PL 7 7 x : wait=0 => locked x shared[x@5 pess pk=p ttl=3000 f=5]\n"
      "@1 PL 8 8 ~x : pk=p wait=0 => wait\n"
      "PL 5 6 ~x : pk=p\n"
      "@2 PL 7 7 x : wait=0 => wait\n"
      "@3 PL 9 9 x : force wait=0 => wait\n"
      "PRB 5 9 x\nM x => none\nWAIT 0\n"
      "@2 => conflict x@7 with 5-0 PessimisticRetry pk=x\n"
      "@1 => wait\nWAIT 20\n"
      "@1 => conflict x@8 with 5-0 PessimisticRetry pk=p\n"
      "@3 => normal\n"
      "PL 5 5 ~y : pk=p\n"
      "PL 7 7 y : force wait=0 => "
      "locked y shared[y@5 pess pk=p ttl=3000 f=5]\n"
      "PL 7 7 a y : wait=-1 => "
      "locked y shared[y@5 pess pk=p ttl=3000 f=5]\n"
      "M a => none" },
    { "SH03", "a lock that is held alone is not shared, not even by its owner",
      "PL 5 5 x\n"
      "PL 6 6 ~x : pk=p => locked x@5 pess pk=x ttl=3000 f=5\n"
      "PL 5 5 ~x : pk=p => locked x@5 pess pk=x ttl=3000 f=5" },
    { "SH04", "who shares it does not get it alone",
      "PL 5 5 ~x : pk=p\n"
      "PL 5 5 x : pk=p wait=0 => "
      "locked x shared[x@5 pess pk=p ttl=3000 f=5]\n"
      "@1 PL 5 5 x : pk=p wait=100 => wait\nWAIT 100\n"
      "@1 => locked x shared[x@5 pess pk=p ttl=3000 f=5]" },
    { "SH05", "a commit ends the own part",
      "PW 1 x=v\nC 1 2 x => 2\n"
      "PL 5 5 ~x : pk=p ttl=10\nPL 6 6 ~x : pk=q\n"
      "PW 5 ~x : pk=p f=5 act=p ttl=20\n"
      "PW 5 ~x : pk=p f=5 act=p ttl=30\n"
      "SL 100 - - 0 => x shared[x@5 lock pk=p ttl=20 f=5; "
      "x@6 pess pk=q ttl=3000 f=6]\n"
      "PW 7 ~x : pk=p f=7 act=p => abort unheld\n"
      "PW 7 ~y : pk=p f=7 act=p => abort unheld\n"
      "PW 6 ~x : pk=q f=6 act=p exp=0:9 => abort unheld\n"
      "PL 5 9 ~x : pk=p => abort\n"
      "C 5 10 x => 10\n"
      "SL 100 - - 0 => x shared[x@6 pess pk=q ttl=3000 f=6]\n"
      "M x => lock(shared@0 ttl=0) 10:lock@5 2:put@1=v\n"
      "PW 5 ~x : pk=p f=5 act=p\n"
      "C 6 11 x => 11\nM x => 10:lock@5 2:put@1=v" },
    { "SH06", "with the last part the key is let go",
      "PL 5 5 ~x : pk=p\nPL 6 6 ~x : pk=q\n"
      "PL 7 7 x => locked x shared[x@5 pess pk=p ttl=3000 f=5; "
      "x@6 pess pk=q ttl=3000 f=6]\n"
      "@1 PL 7 7 x : wait=0 => wait\n"
      "PRB 5 5 x\nWAIT 0\n@1 => wait\n"
      "RB 6 x\nWAIT 0\n"
      "@1 => conflict x@7 with 6-0 PessimisticRetry pk=x\n"
      "M x => 6:rb@6\n"
      "PL 10 10 ~y : pk=p\n"
      "PL 15 15 y => locked y shared[y@10 pess pk=p ttl=3000 f=10]\n"
      "@2 PL 12 12 ~y : pk=p wait=0 => wait\n"
      "@3 PL 13 13 ~y : pk=p wait=0 => wait\n"
      "@4 PL 14 14 y : wait=0 => wait\n"
      "@5 PL 16 16 ~y : pk=p wait=0 => wait\n"
      "PW 10 ~y : pk=p f=10 act=p\nC 10 20 y => 20\nWAIT 0\n"
      "@2 => conflict y@12 with 10-20 PessimisticRetry pk=p\n"
      "@3 => conflict y@13 with 10-20 PessimisticRetry pk=p\n"
      "@4 => wait\n@5 => wait\nWAIT 20\n"
      "@4 => conflict y@14 with 10-20 PessimisticRetry pk=y\n"
      "@5 => conflict y@16 with 10-20 PessimisticRetry pk=p" },
    { "SH07", "not in one phase, not async, not flushed, not as primary",
      "PL 5 5 ~x : pk=p\n"
      "PW 5 ~x : pk=p f=5 act=p async => abort\n"
      "PW 5 ~x : pk=p f=5 act=p 1pc => abort\n"
      "FL 5 1 ~x : pk=p => abort\n"
      "PW 5 ~x : f=5 act=p => abort\nPL 5 5 ~y => abort\n"
      "PW 5 ~y : pk=p f=5 act=s => abort\n"
      "PL 5 5 ~y : pk=p force => abort failed\n"
      "SL 100 - - 0 => x shared[x@5 pess pk=p ttl=3000 f=5]" },
    { "SH08", "other writes meet it as a lock, by its own holders as an error",
      "PL 5 5 ~x : pk=p\n"
      "PW 6 x=v => locked x shared[x@5 pess pk=p ttl=3000 f=5]\n"
      "PW 7 x=v : f=7 act=p => "
      "locked x shared[x@5 pess pk=p ttl=3000 f=5]\n"
      "FL 8 1 x=v => locked x shared[x@5 pess pk=p ttl=3000 f=5]\n"
      "PW 5 x=v : f=5 act=p => abort\n"
      "PW 5 !x : f=5 act=p => abort" },
    { "SH09", "rollbacks end the own part; secondaries look at records",
      "PL 5 5 ~x : pk=p\nPL 6 6 ~x : pk=q\nPL 7 7 ~x : pk=r\n"
      "RB 5 x\nM x => lock(shared@0 ttl=0) 5:rb@5\n"
      "PRB 6 5 x\n"
      "SL 6 - - 0 => x shared[x@6 pess pk=q ttl=3000 f=6]\n"
      "PRB 6 6 x\nPRB 9 9 x\n"
      "SL 100 - - 0 => x shared[x@7 pess pk=r ttl=3000 f=7]\n"
      "CSL 7 x => rolled back\n"
      "M x => lock(shared@0 ttl=0) 7:rb@7=p\n"
      "CL x 7 0\nM x => 7:rb@7=p\n"
      "PL 10.0 10.0 ~y : pk=p ttl=10\n"
      "CL y 10.0 19.0 => locked y@10.0 pess pk=p ttl=10 f=10.0\n"
      "CL y 10.0 21.0\nM y => 10.0:rb@10.0\n"
      "PL 11 11 ~z : pk=p\nPL 12 12 ~z : pk=p\n"
      "PRB 11 11 : at=z\n"
      "SL 100 z - 0 => z shared[z@12 pess pk=p ttl=3000 f=12]" },
    { "SH10", "it is no primary of anybody",
      "PL 5 5 ~x : pk=p\n"
      "CTS x 5 9 9 => primary_mismatch "
      "x shared[x@5 pess pk=p ttl=3000 f=5]\n"
      "CTS x 8 9 9 : rine => primary_mismatch "
      "x shared[x@5 pess pk=p ttl=3000 f=5]" },
    { "SH11", "who waits by force, and finds it shared when it is resumed",
      "PL 5 5 x\n@1 PL 6 6 ~x : pk=p wait=0 => wait\n"
      "@2 PL 7 7 x : force wait=0 => wait\n"
      "PRB 5 5 x\nWAIT 0\n"
      "@1 => conflict x@6 with 5-0 PessimisticRetry pk=p\n"
      "PL 6 6 ~x : pk=p\n@2 => wait\nLWI x => 7->6:x\n"
      "WAIT 20\n"
      "@2 => locked x shared[x@6 pess pk=p ttl=3000 f=6] failed\n"
      "PL 8 8 ~x : pk=q" },
    { "HB04", "nor is it kept alive as one",
      "PL 5 5 ~x : pk=p\n"
      "HB x 5 9000 => primary_mismatch "
      "x shared[x@5 pess pk=p ttl=3000 f=5]\n"
      "HB x 6 9000 => txn_not_found x@6" },
    { "RS07", "parts of one lock in one request",
      "PL 5 5 ~x : pk=p\nPL 6 6 ~x : pk=q\nPL 8 8 ~x : pk=r\n"
      "PW 5 ~x : pk=p f=5 act=p\nPW 6 ~x : pk=q f=6 act=p\n"
      "RL x 8:0\n"
      "PL 7 7 x => locked x shared[x@5 lock pk=p ttl=3000 f=5; "
      "x@6 lock pk=q ttl=3000 f=6]\n"
      "@1 PL 7 7 x : wait=0 => wait\n@2 PL 9 9 x : wait=0 => wait\n"
      "RL x 5:10 6:0\n"
      "M x => 10:lock@5 8:rb@8 6:rb@6\nWAIT 0\n"
      "@1 => conflict x@7 with 6-0 PessimisticRetry pk=x\n@2 => wait" },
    { "SL03", "the parts count, the oldest are kept",
      "PL 4 4 a\nPL 7 7 ~x : pk=p\nPL 5 5 ~x : pk=q\nPL 6 6 ~x : pk=r\n"
      "SL 100 - - 3 => a@4 pess pk=a ttl=3000 f=4, "
      "x shared[x@5 pess pk=q ttl=3000 f=5; "
      "x@6 pess pk=r ttl=3000 f=6]\n"
      "SL 100 - - 1 => a@4 pess pk=a ttl=3000 f=4\n"
      "SL 5 b - 0 => x shared[x@5 pess pk=q ttl=3000 f=5]\n"
      "SL 4 b - 0 => none" },
    { "WQ17", "circles through parts, whose other edges are forgotten",
      "PL 4 4 ~x : pk=p\nPL 5 5 ~x : pk=p\n"
      "PL 6 6 ~y : pk=q\nPL 9 9 ~y : pk=q\nPL 6 6 z\n"
      "PL 5 5 y => locked y shared[y@6 pess pk=q ttl=3000 f=6; "
      "y@9 pess pk=q ttl=3000 f=9]\n"
      "PL 6 6 x => locked x shared[x@4 pess pk=p ttl=3000 f=4; "
      "x@5 pess pk=p ttl=3000 f=5]\n"
      "@1 PL 5 5 y : wait=0 => wait\n"
      "LWI y => 5->6:y 5->9:y\n"
      "PL 6 6 x : wait=0 => deadlock on x@5 hashed 5->6:y 6->5:x\n"
      "@2 PL 4 4 z : wait=0 => wait" },
};

#endif
