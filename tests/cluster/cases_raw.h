/* SPDX-License-Identifier: Apache-2.0 */
/* Raw commands: RW. */
#ifndef TK_CASES_RAW_H
#define TK_CASES_RAW_H

/* A swap that has compared and not yet written. */
static void
raw_swap_latches(struct script *script)
{
    fault_rule(script, "on=tikv.RawCompareAndSwap stage=apply when=always "
                       "do=barrier(b)");
    script_lines(script, "RPUT k 1\n"
                         "@1 RCAS k 1 2 => wait\n"
                         "RPUT k lost");
    fault_release(script, "b", NULL);
    script_lines(script, "@1 => yes was 1\n"
                         "RGET k => 2\n"
                         "@1 RCAS k 2 3 => wait\n"
                         "@2 RPUT k kept : cas => wait");
    fault_release(script, "b", NULL);
    script_lines(script, "@1 => yes was 2\n"
                         "@2 => ok\n"
                         "RGET k => kept\n"
                         "@1 RCAS k kept - : delete => wait\n"
                         "@2 RDEL k : cas => wait");
    fault_release(script, "b", NULL);
    script_lines(script, "@1 => yes was kept\n@2 => ok\nRGET k => none");
}

/* Checksums are numbers of another implementation of CRC-64/XZ. */
static const struct script_case raw_cases[] = {
    { "RW01", "put, get, delete, batches, scans both ways",
      "RBPUT a=1 b=2 c=3 d=4\n"
      "RPUT e -\n"
      "RGET b => 2\n"
      "RGET e => -\n"
      "RSCAN a - 10 => a=1 b=2 c=3 d=4 e=-\n"
      "RSCAN a c 10 => a=1 b=2\n"
      "RSCAN a - 2 => a=1 b=2\n"
      "RSCAN a - 0 => none\n"
      "RSCAN b - 2 : keys => b=- c=-\n"
      "RSCAN d a 10 : rev => c=3 b=2 a=1\n"
      "RSCAN d b 10 : rev => c=3 b=2\n"
      "RSCAN z - 2 : rev => e=- d=4\n"
      "RSCAN z - 2 : rev keys => e=- d=-\n"
      "RDEL b\n"
      "RDEL missing\n"
      "RGET b => none\n"
      "RBDEL a c x\n"
      "RSCAN a - 10 => d=4 e=-" },
    { "RW02", "a batch get leaves out what is missing, in order",
      "RBPUT a=va b=vb c=vc\n"
      "RBGET c missing a c b => c=vc a=va c=vc b=vb\n"
      "RBGET missing => none" },
    { "RW03", "a time to live ends with a second",
      "RPUT a 1 : ttl=2\n"
      "RPUT b 2\n"
      "RTTL a => 2\n"
      "RTTL b => 0\n"
      "RTTL c => none\n"
      "WAIT 1000\n"
      "RTTL a => 1\n"
      "WAIT 999\n"
      "RTTL a => 1\n"
      "RGET a => 1\n"
      "WAIT 1\n"
      "RGET a => none\n"
      "RTTL a => none\n"
      "RGET b => 2\n"
      "RPUT b 3 : ttl=1\n"
      "RPUT b 4\n"
      "WAIT 1000\n"
      "RGET b => 4",
      .params = { .api = TIKV_CLUSTER_API_V1TTL } },
    { "RW03a", "a V1 store has no time to live",
      "RPUT a 1 : ttl=2 => error ttl\n"
      "RBPUT a=1 b=2 : ttls=0,1 => error ttl\n"
      "RBPUT c=3 : ttls=0,0,0\n"
      "RCAS a none 1 : ttl=1 => error ttl\n"
      "RTTL c => error ttl\n"
      "RSCAN a - 9 => c=3" },
    { "RW03b", "a V1TTL store has nothing but raw keys",
      "RPUT a 1\n"
      "G a 10 => abort\n"
      "PW 10 a=1 => abort\n"
      "RGET a : v2 => error ApiVersionNotMatched\n"
      "RGET a => 1",
      .params = { .api = TIKV_CLUSTER_API_V1TTL } },
    { "RW04", "one ttl for all keys, or one for each",
      "RBPUT a=1 b=2 c=3 : ttls=5,6 => error The\n"
      "RSCAN a - 9 => none\n"
      "RBPUT a=1 b=2 : ttls=7\n"
      "RTTL a => 7\n"
      "RTTL b => 7\n"
      "RBPUT a=1 b=2 : ttls=3,0\n"
      "RTTL a => 3\n"
      "RTTL b => 0\n"
      "RBPUT a=1\n"
      "RTTL a => 0",
      .params = { .api = TIKV_CLUSTER_API_V1TTL } },
    { "RW05", "what has expired is not there for anybody",
      "RPUT a 1 : ttl=1\n"
      "RPUT b 2\n"
      "WAIT 1000\n"
      "RGET a => none\n"
      "RBGET a b => b=2\n"
      "RSCAN a - 9 => b=2\n"
      "RSCAN c - 9 : rev => b=2\n"
      "RBSCAN 9 a, => b=2\n"
      "RSUM a,- => 58737364510542b9 1 2\n"
      "RCAS a 1 3 => no was none\n"
      "RCAS a none 3 => yes was none\n"
      "RTTL a => 0",
      .params = { .api = TIKV_CLUSTER_API_V1TTL } },
    { "RW06", "compare-and-swap: missing and present, none, right, wrong",
      "RCAS k 1 2 => no was none\n"
      "RCAS k 1 - : delete => no was none\n"
      "RGET k => none\n"
      "RCAS k none 1 => yes was none\n"
      "RGET k => 1\n"
      "RCAS k none 2 => no was 1\n"
      "RCAS k none - : delete => no was 1\n"
      "RCAS k 2 3 => no was 1\n"
      "RCAS k 2 - : delete => no was 1\n"
      "RGET k => 1\n"
      "RCAS k 1 2 => yes was 1\n"
      "RGET k => 2\n"
      "RCAS k 2 - : delete => yes was 2\n"
      "RGET k => none\n"
      "RCAS k none - => yes was none\n"
      "RGET k => -\n"
      "RCAS k - 5 => yes was -\n"
      "RGET k => 5" },
    { "RW07", "deleting what is expected to be missing succeeds",
      "RCAS k none - : delete => yes was none\n"
      "RGET k => none" },
    { "RW08", "a checksum of ranges is that of all their pairs",
      "RBPUT a=1 b=2 c=3 d=4\n"
      "RSUM a,- => baad8ae623c28482 4 8\n"
      "RSUM a,c d,- => 0519ccae2db06859 3 6\n"
      "RSUM b,c => 58737364510542b9 1 2\n"
      "RSUM e,- => 0000000000000000 0 0" },
    { "RW09", "a range without an end ends where the next one begins",
      "RBPUT a=1 b=2 c=3 d=4 e=5\n"
      "RBSCAN 9 a, c,d d, => a=1 b=2 c=3 d=4 e=5\n"
      "RBSCAN 1 a, c, => a=1 c=3\n"
      "RBSCAN 9 a,c : keys => a=- b=-\n"
      "RBSCAN 9 b,a => error Invalid\n"
      "RBSCAN 9 a,a => error Invalid\n"
      "RBSCAN 9 c,a e,d : rev => b=2 a=1 d=4\n"
      "RBSCAN 1 e, c, : rev => d=4 b=2\n"
      "RBSCAN 9 a,c : rev => error Invalid" },
    { "RW10", "a range is deleted without its end, and inside of a region",
      "RBPUT a=1 b=2 c=3 d=4 m=5 z=6\n"
      "RDELR b d\n"
      "RSCAN a - 9 => a=1 d=4 m=5 z=6\n"
      "RDELR d d => region:message\n"
      "RDELR d a => region:message\n"
      "SPLIT m\n"
      "RDELR a - => region:key_not_in_region 8 - [-,m)\n"
      "RDELR a z => region:key_not_in_region 8 'z' [-,m)\n"
      "RDELR a d\n"
      "RDELR z -\n"
      "RGET a => none\n"
      "RGET z => none\n"
      "RGET d => 4" },
    { "RW11", "V2: keys of their kind, no column families, one version shown",
      "RPUT a 1 => error InvalidKeyMode\n"
      "RPUT ra 1 : cf=default => error cf\n"
      "RPUT ra 1 : v1 => error ApiVersionNotMatched\n"
      "RPUT ra 1\n"
      "RPUT ra 2\n"
      "RSCAN ra rz 9 => ra=2\n"
      "RSCAN ra s 9 => ra=2\n"
      "RSCAN ra - 9 => error InvalidKeyRangeMode\n"
      "RSCAN ra x 9 => error InvalidKeyRangeMode\n"
      "RSCAN s ra 9 : rev at=ra => ra=2\n"
      "RDEL ra\n"
      "RGET ra => none\n"
      "RTTL ra => none\n"
      "RPUT ra 3 : ttl=1\n"
      "RTTL ra => 1\n"
      "RGET ra => 3\n"
      "WAIT 1000\n"
      "RGET ra => none\n"
      "RBPUT ra=1 rb=2 rc=3\n"
      "RBDEL rb\n"
      "RSCAN rz ra 9 : rev => rc=3 ra=1\n"
      "RBSCAN 9 ra,rb rb,rz => ra=1 rc=3\n"
      "RDELR ra rc\n"
      "RSCAN ra rz 9 => rc=3",
      .params = { .api = TIKV_CLUSTER_API_V2 } },
    { "RW11a", "V2: regions are bounded by encoded keys",
      "SPLIT rm\n"
      "RBPUT ra=1 rl=2\n"
      "RBPUT rm=3 rz=4\n"
      "RGET rm : at=ra => 3\n"
      "RSCAN ra rz 9 => ra=1 rl=2\n"
      "RSCAN rm s 9 => rm=3 rz=4\n"
      "RSCAN rm ra 9 : rev at=ra => rl=2 ra=1\n"
      "RSCAN s ra 9 : rev at=rz => rz=4 rm=3\n"
      "RSCAN rm s 9 : at=ra => region:key_not_in_region 8 rm [-,rm)\n"
      "RDELR ra rn => region:key_not_in_region 8 rn [-,rm)\n"
      "RDELR ra rm\n"
      "RGET rl => none\n"
      "RGET rm => 3",
      .params = { .api = TIKV_CLUSTER_API_V2 } },
    { "RW11b", "V2: transactions on keys of theirs, of both versions",
      "PW 5 xa=1\n"
      "C 5 6 xa => 6\n"
      "G xa 10 => 1\n"
      "SC 10 xa xz 9 => xa=1\n"
      "SC 10 xa y 9 => abort and (abort)\n"
      "G ra 10 => abort\n"
      "PW 5 ra=1 => abort\n"
      "PL 5 5 ma => abort\n"
      "PW 15 ta=1 : v1\n"
      "C 15 16 ta : v1 => 16\n"
      "G ta 20 : v1 => 1\n"
      "G ta 20 => abort\n"
      "G xa 20 : v1 => abort",
      .params = { .api = TIKV_CLUSTER_API_V2 } },
    { "RW12", "column families of V1",
      "RPUT a 1 : cf=foo => error invalid\n"
      "RGET a : cf=foo => error invalid\n"
      "RPUT a 1 : cf=lock\n"
      "RPUT a 2 : cf=write\n"
      "RGET a => none\n"
      "RPUT a 3 : cf=default\n"
      "RGET a => 3\n"
      "RGET a : cf=lock => 1\n"
      "RGET a : cf=write => 2\n"
      "RSCAN a - 9 : cf=lock => a=1\n"
      "RDEL a : cf=lock\n"
      "RGET a : cf=lock => none\n"
      "RGET a => 3" },
    { "RW13", "keys of more than 8 KiB, but not those of a swap",
      "RPUT *8193 v => error max\n"
      "RBPUT a=1 *8193=2 => error max\n"
      "RDEL *8193 => error max\n"
      "RBDEL *8193 => error max\n"
      "RGET a => none\n"
      "RPUT *8192 v\n"
      "RGET *8192 => v\n"
      "RCAS *8193 none v => yes was none\n"
      "RGET *8193 => v" },
    { "RW14", "V2: a store that is not synced with PD refuses raw writes",
      "RPUT ra 1\n"
      "STALE ra\n"
      "RPUT ra 2 => region:max_timestamp_not_synced\n"
      "RBPUT ra=2 => region:max_timestamp_not_synced\n"
      "RDEL ra => region:max_timestamp_not_synced\n"
      "RBDEL ra => region:max_timestamp_not_synced\n"
      "RCAS ra 1 2 => region:max_timestamp_not_synced\n"
      "RGET ra => 1",
      .params = { .api = TIKV_CLUSTER_API_V2 } },
    { "RW14a", "V1: it does not",
      "STALE a\n"
      "RPUT a 1\n"
      "RGET a => 1" },
    { "RW15", "a swap sees only who takes latches", .run = raw_swap_latches },
    { "RW16", "a range is gone once every store has been told",
      "RBPUT b=3 b00000000x=1 d=2\n"
      "PW 5 b=v\nC 5 6 b => 6\n"
      "RDR - c => status:3\n"
      "RDR b - => status:3\n"
      "RDR b c : store=2\n"
      "G b 10 => v\n"
      "RGET b00000000x => 1\n"
      "RDR b c : store=1\n"
      "G b 10 => none\n"
      "RGET b00000000x => none\n"
      "RGET b => 3\n"
      "RGET d => 2\n"
      "PW 15 b=w\n"
      "RDR b c : store=3\n"
      "G b 20 => none\n"
      "M b => none" },
};

#endif
