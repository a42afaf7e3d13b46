/* SPDX-License-Identifier: Apache-2.0 */
/* Reads: RD01 to RD33. */
#ifndef TK_CASES_READ_H
#define TK_CASES_READ_H

static const struct script_case read_cases[] = {
    { "RD01", "a commit is seen from its timestamp on",
      "PW 5 x=v\n"
      "C 5 10 x => 10\n"
      "G x 9 => none\n"
      "G x 10 => v\n"
      "G x 11 => v" },
    { "RD02", "an uncommitted lock blocks later readers only",
      "PW 5 x=v\n"
      "G x 4 => none\n"
      "G x 10 => locked x@5 put pk=x ttl=3000" },
    { "RD03", "a lock of type Lock blocks nobody",
      "PW 5 !x\n"
      "G x 10 => none" },
    { "RD05", "a lock that cannot be committed below the reader",
      "PW 2 x=old\n"
      "C 2 3 x => 3\n"
      "PW 10 x=new : min=20\n"
      "G x 15 => old\n"
      "G x 20 => locked x@10 put pk=x ttl=3000 min=20" },
    { "RD06", "who reads the latest passes by primaries only",
      "PW 2 x=old\n"
      "C 2 3 x => 3\n"
      "PW 5 x=v y=w\n"
      "G x MAX => old\n"
      "G y MAX => locked y@5 put pk=x ttl=3000" },
    { "RD07", "but not by the primary of an async commit",
      "PW 5 x=v : async => min=6\n"
      "G x MAX => locked x@5 put pk=x ttl=3000 min=6 async" },
    { "RD08", "resolved locks are passed by",
      "PW 5 x=v\n"
      "G x 10 : bypass=5 => none\n"
      "G x 10 : bypass=4 => locked x@5 put pk=x ttl=3000" },
    { "RD09", "committed locks are read through",
      "PW 2 y=old\n"
      "C 2 3 y => 3\n"
      "PW 5 x=v z=*256\n"
      "PW 5 -y\n"
      "G x 10 : access=5 => v\n"
      "G z 10 : access=5 => *256\n"
      "G y 10 : access=5 => none" },
    { "RD10", "not when the commit timestamp is needed",
      "PW 5 x=v\n"
      "G x 10 : access=5 need => locked x@5 put pk=x ttl=3000" },
    { "RD11", "the commit timestamp is that of the data",
      "PW 5 x=v\n"
      "C 5 6 x => 6\n"
      "G x 10 : need => v @6\n"
      "G x 10 => v\n"
      "PW 10 !x\nC 10 11 x => 11\nPW 12 !x\nC 12 13 x => 13\n"
      "G x 20 : need => v @6\n"
      "PW 20 !x\nC 20 21 x => 21\nPW 22 !x\nC 22 23 x => 23\n"
      "PW 24 !x\nC 24 25 x => 25\nPW 26 !x\nC 26 27 x => 27\n"
      "PW 28 !x\nC 28 29 x => 29\nPW 30 !x\nC 30 31 x => 31\n"
      "PW 32 !x\nC 32 33 x => 33\n"
      "G x 40 : need => v @6" },
    { "RD12", "a delete hides what is older",
      "PW 5 x=v\nC 5 10 x => 10\nPW 15 -x\nC 15 20 x => 20\n"
      "G x 25 => none\n"
      "G x 15 => v" },
    { "RD13", "rollbacks hide nothing",
      "PW 5 x=v\nC 5 10 x => 10\n"
      "RB 12 x\nCL x 15 0\n"
      "M x => 15:rb@15=p 12:rb@12 10:put@5=v\n"
      "G x 20 => v" },
    { "RD14", "values of 255 and 256 bytes",
      "PW 5 x=*255 y=*256\n"
      "M x => lock(put@5=*255 ttl=3000)\n"
      "M y => lock(put@5 ttl=3000) default(5=*256)\n"
      "C 5 6 x y => 6\n"
      "G x 10 => *255\n"
      "G y 10 => *256\n"
      "M y => 6:put@5 default(5=*256)\n"
      "PW 10 x=*255 y=*256\n"
      "RB 10 x y\n"
      "M x => 10:rb@10=p 6:put@5=*255\n"
      "M y => 10:rb@10 6:put@5 default(5=*256)" },
    { "RD15", "an empty value is a value",
      "PW 5 x=\nC 5 6 x => 6\n"
      "G x 10 => -" },
    { "RD16", "a fence hides what has been collected above",
      "PW 10 x=v\nC 10 20 x => 20\nPW 25 x=w\nC 25 30 x => 30\n"
      "CL x 20 0\n"
      "M x => 30:put@25=w 20:put@10=v+over+fence30\n"
      "G x 25 => v\n"
      "G x 30 => w\n"
      "DROPV x 30\n"
      "G x 29 => v\nG x 30 => none\nSC 29 x y 9 => x=v\n"
      "SC 40 x y 9 => none" },
    { "RD17", "RC reads through locks",
      "PW 5 x=v\nC 5 6 x => 6\nPW 10 x=w\n"
      "G x 20 : rc => v" },
    { "RD18", "RCCheckTS refuses when something is newer",
      "PW 5 x=v\nC 5 10 x => 10\n"
      "G x 7 : check => conflict x@7 with 0-10 RcCheckTs\n"
      "G x 10 : check => v\n"
      "RB 20 x\n"
      "G x 15 : check => conflict x@15 with 0-20 RcCheckTs" },
    { "RD19", "RCCheckTS refuses at any lock that writes",
      "PW 20 x=v !y : pk=x\n"
      "G x 10 : check => conflict x@10 with 20-0 RcCheckTs pk=x\n"
      "G y 10 : check => none" },
    { "RD20", "batch get: order kept, missing left out, locks in place",
      "PW 5 a=1\nC 5 6 a => 6\nPW 7 c=3\n"
      "BG 10 a b c a => a=1 (locked c@7 put pk=c ttl=3000) a=1\n"
      "BG 10 a : need => a=1@6" },
    { "RD21", "a lock in memory fails the whole batch, before any region",
      "PW 5 a=1\nC 5 6 a => 6\n"
      "MEM b 7 8\n"
      "BG 10 a b => locked b@7 put pk=b min=8 async and "
      "(locked b@7 put pk=b min=8 async)\n"
      "G b 7 => none\n"
      "G b 10 => locked b@7 put pk=b min=8 async\n"
      "SC 10 a c 10 => locked b@7 put pk=b min=8 async and "
      "(locked b@7 put pk=b min=8 async)\n"
      "UNMEM b\n"
      "BG 10 a b => a=1" },
    { "RD34", "a lock in memory comes before the region's own errors",
      "SPLIT b\nMEM a 7 8\n"
      "SC 10 a - 10 : at=b => locked a@7 put pk=a min=8 async and "
      "(locked a@7 put pk=a min=8 async)\n"
      "G a 10 : at=b => locked a@7 put pk=a min=8 async\n"
      "G a 10 : old => locked a@7 put pk=a min=8 async\n"
      "BG 10 a : old => locked a@7 put pk=a min=8 async and "
      "(locked a@7 put pk=a min=8 async)\n"
      "UNMEM a\nSC 10 a - 10 : at=b => region:key_not_in_region 4 a [b,-)\n"
      "G a 10 : at=b => region:key_not_in_region 4 a [b,-)\n"
      "BG 10 a : at=b => region:key_not_in_region 4 a [b,-)" },
    { "RD22", "scans both ways",
      "PW 1 a=1 b=2 c=3 d=4 e=5\nC 1 2 a b c d e => 2\n"
      "PW 3 -b\nC 3 4 b => 4\nRB 5 c\nPW 6 d=6\n"
      "SC 10 a - 10 => a=1 c=3 (locked d@6 put pk=d ttl=3000) e=5\n"
      "SC 3 a - 10 => a=1 b=2 c=3 d=4 e=5\n"
      "SC 3 b d 10 => b=2 c=3\n"
      "SC 3 a - 2 => a=1 b=2\n"
      "SC 3 e a 10 : rev => d=4 c=3 b=2 a=1\n"
      "SC 3 z b 2 : rev => e=5 d=4\n"
      "SC 10 z - 10 : rev => e=5 (locked d@6 put pk=d ttl=3000) c=3 a=1\n"
      "SC 3 a - 0 => none" },
    { "RD23", "a locked key counts to the limit",
      "PW 1 a=1 c=3\nC 1 2 a c => 2\nPW 3 b=2\n"
      "SC 10 a - 2 => a=1 (locked b@3 put pk=b ttl=3000)\n"
      "SC 10 a - 3 => a=1 (locked b@3 put pk=b ttl=3000) c=3" },
    { "RD24", "samples every second key, and every lock",
      "PW 1 a=1 b=2 c=3 d=4 e=5\nC 1 2 a b c d e => 2\n"
      "SC 10 a - 10 : step=2 => a=1 c=3 e=5\n"
      "PW 3 b=6\n"
      "SC 10 a - 10 : step=2 => a=1 (locked b@3 put pk=b ttl=3000) d=4" },
    { "RD25", "keys without values",
      "PW 1 a=1 b=2\nC 1 2 a b => 2\n"
      "SC 10 a - 10 : key => a=- b=-" },
    { "RD26", "a scan begins inside of the region, and ends with it",
      "PW 1 a=1 b=2 c=3\nC 1 2 a b c => 2\nSPLIT b\n"
      "SC 10 a - 10 => a=1\n"
      "SC 10 b - 10 => b=2 c=3\n"
      "SC 10 a - 10 : at=b => region:key_not_in_region 4 a [b,-)\n"
      "SC 10 z - 10 : rev => c=3 b=2\n"
      "SC 10 z - 10 : rev at=a => region:key_not_in_region 8 z [-,b)\n"
      "G a 10 => 1" },
    { "RD27", "scans at RC see through locks",
      "PW 1 a=1 b=2\nC 1 2 a b => 2\nPW 3 a=3 -b\n"
      "SC 10 a - 10 : rc => a=1 b=2" },
    { "RD28", "scans read through committed locks",
      "PW 1 b=2\nC 1 2 b => 2\nPW 3 a=3 -b\n"
      "SC 10 a - 10 : access=3 => a=3\n"
      "BG 10 a b : access=3 => a=3" },
    { "RD29", "a read raises max_ts",
      "G x 100 => none\n"
      "MAXTS x => 100\n"
      "PW 50 x=v : 1pc => 1pc=101\n"
      "G x MAX => v\n"
      "MAXTS x => 100\n"
      "SC 120 x - 1 => x=v\n"
      "MAXTS x => 120\n"
      "BG 130 x => x=v\n"
      "MAXTS x => 130" },
    { "RD30", "a stale read does not",
      "SAFE x 200\n"
      "G x 100 : stale => none\n"
      "MAXTS x => 0" },
    { "RD31", "all versions of a key",
      "PW 1 x=a\nC 1 2 x => 2\nPW 3 -x\nC 3 4 x => 4\nRB 5 x\n"
      "PW 6 x=*300\n"
      "M x => lock(put@6 ttl=3000) 5:rb@5 4:del@3 2:put@1=a default(6=*300)\n"
      "M y => none" },
    { "RD32", "the first key that a transaction has written",
      "PW 5 x=v y=w\nPW 6 a=1\nC 5 10 y x => 10\n"
      "MS a 5 => x 10:put@5=v\n"
      "MS a 6 => none\n"
      "MS a 7 => none" },
    { "RD33", "collected versions are gone",
      "PW 1 x=a\nC 1 2 x => 2\nPW 3 x=b\nC 3 4 x => 4\n"
      "PW 5 !x\nC 5 6 x => 6\nPW 7 y=1\nC 7 8 y => 8\n"
      "PW 9 -y\nC 9 10 y => 10\nCL x 11 0\nPW 20 x=c\n"
      "GC 12\n"
      "M x => lock(put@20=c ttl=3000) 4:put@3=b\n"
      "M y => none\n"
      "G x 3 => none\n"
      "G x 15 => b" },
    { "MK01", "scans of four moments",
      "PW 5 a=a1 c=c1 e=e1\nC 5 10 a c e => 10\n"
      "PW 15 b=b2\nC 15 20 b => 20\n"
      "PW 25 -c d=d3\nC 25 30 c d => 30\n"
      "PW 35 -e a=a4\nC 35 40 a e => 40\n"
      "SC 9 a - 9 => none\n"
      "SC 10 a - 9 => a=a1 c=c1 e=e1\n"
      "SC 20 a - 9 => a=a1 b=b2 c=c1 e=e1\n"
      "SC 30 a - 9 => a=a1 b=b2 d=d3 e=e1\n"
      "SC 40 a - 9 => a=a4 b=b2 d=d3\n"
      "SC 30 b e 9 => b=b2 d=d3\nSC 20 b - 2 => b=b2 c=c1\n"
      "SC 30 d d 9 => none\n"
      "SC 10 z - 9 : rev => e=e1 c=c1 a=a1\n"
      "SC 20 z - 2 : rev => e=e1 c=c1\n"
      "SC 20 e b 9 : rev => c=c1 b=b2\n"
      "SC 30 e b 9 : rev => d=d3 b=b2\n"
      "SC 40 z - 9 : rev => d=d3 b=b2 a=a4\n"
      "SC 40 a - 9 : rev => none" },
    { "MK02", "scans pass by locks that are resolved",
      "PW 1 a=1 c=1\nC 1 2 a c => 2\nPW 5 a=5 b=5\n"
      "SC 10 a - 9 => (locked a@5 put pk=a ttl=3000) "
      "(locked b@5 put pk=a ttl=3000) c=1\n"
      "SC 10 a - 9 : bypass=5 => a=1 c=1\n"
      "SC 10 z - 9 : rev bypass=5 => c=1 a=1" },
    { "DR01", "a range is deleted with locks and versions",
      "PW 1 a=1 b=2 c=3\nC 1 2 a b => 2\n"
      "DR a c : notify\n"
      "SC 10 a c 10 => a=1 b=2\n"
      "DR a c\n"
      "M a => none\nM b => none\n"
      "M c => lock(put@1=3 ttl=3000)\n"
      "DR b a => region:message\n"
      "DR b - => region:message" },
};

#endif
