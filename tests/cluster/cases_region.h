/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regions, peers, stores: RG. A case begins with region 4 on the stores 1 to
 * 3, with the peers 5 to 7; 5 leads. REGION writes id, range, conf_ver and
 * version, and peers with their stores.
 */
#ifndef TK_CASES_REGION_H
#define TK_CASES_REGION_H

static void
region_ignores_old_peers(struct script *script)
{
    struct fx *fx = &script->fx;
    kvrpcpb_Context *context = fx_context(fx, "a");
    metapb_RegionEpoch *epoch =
        kvrpcpb_Context_mutable_region_epoch(context, fx->arena);

    fx_put(fx, "a", "1");
    metapb_RegionEpoch_set_conf_ver(epoch,
                                    metapb_RegionEpoch_conf_ver(epoch) - 1);
    assert_null(fx_get_error(fx, context, fx_node_of(context), "a"));
    metapb_RegionEpoch_set_version(epoch,
                                   metapb_RegionEpoch_version(epoch) - 1);
    assert_true(errorpb_Error_has_epoch_not_match(
        fx_get_error(fx, context, fx_node_of(context), "a")));
}

/* Between the checks and the change the world moves. */
static void
region_split_before_apply(struct script *script)
{
    script_lines(script, "PW 2 x=old\nC 2 3 x => 3");
    fault_rule(script,
               "on=tikv.KvPrewrite stage=apply when=nth(1) do=split(m)");
    script_lines(script, "PW 5 x=new => region:epoch_not_match "
                         "4[m,-)3.2 5/1 6/2 7/3 "
                         "8[-,m)3.2 9/1 10/2 11/3\n"
                         "M x => 3:put@2=old\n"
                         "PW 5 x=new");
}

static void
region_store_moves_away(struct script *script)
{
    struct tk_cluster *cluster = script->fx.cluster;
    char old[128];
    char now[128];
    tk_node node;

    /* Ports of servers that other cases go on with stay where they are. */
    if (way_is_served(&script->fx)) {
        script_lines(script,
                     "G x 10 : store=2 node=3 => region:store_not_match 2 3");
        return;
    }
    assert_true(tk_cluster_get_address(cluster, fx_store(2), old,
                                       sizeof(old)));
    assert_null(tk_cluster_store_stop(cluster, 2));
    assert_false(tk_cluster_resolve(cluster, old, &node));
    assert_null(tk_cluster_store_start(cluster, 2, true));
    tk_cluster_set_address(cluster, fx_store(2), "127.0.0.1:1");
    assert_true(tk_cluster_get_address(cluster, fx_store(2), now,
                                       sizeof(now)));
    assert_string_not_equal(now, old);
    assert_false(tk_cluster_resolve(cluster, old, &node));
    /* Another store takes the address, and gets what was meant for the
     * first one. */
    tk_cluster_set_address(cluster, fx_store(3), old);
    assert_true(tk_cluster_resolve(cluster, old, &node));
    assert_true(node == fx_store(3));
    script_lines(script,
                 "G x 10 : store=2 node=3 => region:store_not_match 2 3");
}

static void
region_requests_are_forwarded(struct script *script)
{
    struct fx *fx = &script->fx;
    kvrpcpb_Context *context = fx_context(fx, "a");
    kvrpcpb_RawGetRequest *request = kvrpcpb_RawGetRequest_new(fx->arena);
    char address[128];
    const char *const metadata[] = { "tikv-forwarded-host", address, NULL };
    char *bytes;
    size_t len;

    fx_put(fx, "a", "1");
    assert_true(tk_cluster_get_address(fx->cluster, fx_store(1), address,
                                       sizeof(address)));
    kvrpcpb_RawGetRequest_set_context(request, context);
    kvrpcpb_RawGetRequest_set_key(request, fx_view("a"));
    bytes = kvrpcpb_RawGetRequest_serialize(request, fx->arena, &len);
    /* Store 2 refuses it for itself, and carries it to store 1. */
    fx_call_with(fx, fx_store(2), "/tikvpb.Tikv/RawGet", NULL, bytes, len);
    assert_true(errorpb_Error_has_store_not_match(
        kvrpcpb_RawGetResponse_region_error(
            FX_PARSE(fx, kvrpcpb, RawGetResponse))));
    fx_call_with(fx, fx_store(2), "/tikvpb.Tikv/RawGet", metadata, bytes,
                 len);
    assert_int_equal(fx->status, TK_GRPC_OK);
    fx_assert_view(kvrpcpb_RawGetResponse_value(
                       FX_PARSE(fx, kvrpcpb, RawGetResponse)),
                   "1");
    assert_null(tk_cluster_store_stop(fx->cluster, 1));
    fx_call_with(fx, fx_store(2), "/tikvpb.Tikv/RawGet", metadata, bytes,
                 len);
    assert_int_equal(fx->status, TK_GRPC_UNAVAILABLE);
}

static void
region_buckets_are_compared(struct script *script)
{
    const tikv_slice keys[] = { fx_slice(""), fx_slice("m"), fx_slice("") };

    script_lines(script, "PW 5 x=1\nC 5 6 x => 6\n"
                         "COP 10 a,z : buckets=9 => x=1");
    assert_null(
        tk_cluster_set_buckets(script->fx.cluster, 4, 7, keys, 3));
    script_lines(script,
                 "COP 10 a,z : buckets=6 => "
                 "region:bucket_version_not_match 7 - 'm' -\n"
                 "COP 10 a,z : buckets=7 => x=1 buckets=7\n"
                 "COP 10 a,z => x=1 buckets=7\n"
                 "G x 10 : buckets=6 => 1\n"
                 "SC 10 a - 9 : buckets=6 => x=1");
}

static void
region_pd_learns_late(struct script *script)
{
    tk_cluster_pd_lag(script->fx.cluster, 100);
    script_lines(script, "SPLIT m\n"
                         "REGION z => 4[-,-)3.1 5/1 6/2 7/3\n"
                         "G z 10 => region:epoch_not_match "
                         "4[m,-)3.2 5/1 6/2 7/3 8[-,m)3.2 9/1 10/2 11/3\n"
                         "WAIT 99\n"
                         "REGION z => 4[-,-)3.1 5/1 6/2 7/3\n"
                         "WAIT 1\n"
                         "REGION z => 4[m,-)3.2 5/1 6/2 7/3\n"
                         "LEAD z 2\n"
                         "G z 10 => region:not_leader 4 6/2\n"
                         "WAIT 100\n"
                         "G z 10 => none");
}

static const struct script_case region_cases[] = {
    { "RG01", "every refusal alone",
      "G x 10 : node=2 => region:store_not_match 1 2\n"
      "G x 10 : region=99 => region:region_not_found 99\n"
      "G x 10 : peer=77 => region:mismatch_peer_id 77 5\n"
      "RECOVER x 1\n"
      "G x 10 => region:RecoveryInProgress 4\n"
      "RECOVER x 0\n"
      "G x 10 : store=2 => region:not_leader 4 5/1\n"
      "PW 5 x=1 : store=2 => region:not_leader 4 5/1\n"
      "STATE x 2 nodata\n"
      "G x 10 : store=2 replica => region:is_witness 4\n"
      "STATE x 1 uninitialized\n"
      "G x 10 => region:region_not_initialized 4\n"
      "STATE x 1 snapshot\n"
      "G x 10 => region:message\n"
      "STATE x 1 ready\n"
      "G x 10 : term=3 => region:stale_command\n"
      "G x 10 : term=4 => none\n"
      "G x 10 : ver=9 => region:epoch_not_match 4[-,-)3.1 5/1 6/2 7/3\n"
      "G x 10 : noepoch => region:message\n"
      "BUSY 1 50\n"
      "G x 10 : busy=20 => region:busy "
      "'estimated wait time exceeds threshold' wait=50\n"
      "G x 10 : busy=60 => none\n"
      "BUSY 1 0 refuse\n"
      "PW 5 x=1 => region:busy 'scheduler is busy'\n"
      "G x 10 => none\n"
      "BUSY 1 0\n"
      "SLOW 1 20\n"
      "@1 G x 10 : exec=10 => wait\n"
      "WAIT 20\n"
      "@1 => region:busy 'deadline is exceeded'\n"
      "SLOW 1 0\n"
      "SPLIT m\n"
      "BG 10 a x => region:key_not_in_region 8 x [-,m)\n"
      "PW 5 a=1 x=1 => region:key_not_in_region 8 x [-,m)\n"
      "PEER a 3 none\n"
      "G a 10 : store=3 => region:region_not_found 8" },
    { "RG01a", "a disk that is almost full, and full",
      "PW 5 x=1\n"
      "DISK 1 1\n"
      "PW 6 y=1 => region:disk_full 1\n"
      "PL 6 6 y => region:disk_full 1\n"
      "PW 6 y=1 : disk=1\n"
      "C 5 7 x => 7\n"
      "RPUT a 1\n"
      "DISK 1 2\n"
      "C 6 8 y => region:disk_full 1\n"
      "RPUT a 1 => region:disk_full 1\n"
      "C 6 8 y : disk=2 => 8\n"
      "G x 10 => 1\n"
      "DISK 1 0\n"
      "DISK 2 1\n"
      "PW 9 z=1\n"
      "DISK 3 1\n"
      "PW 11 y=1 => region:disk_full 2 3" },
    { "RG02", "which refusal comes first",
      "G x 10 : node=2 ver=9 => region:store_not_match 1 2\n"
      "G x 10 : region=99 peer=77 ver=9 => region:region_not_found 99\n"
      "G x 10 : peer=77 ver=9 => region:mismatch_peer_id 77 5\n"
      "G x 10 : store=2 ver=9 => region:not_leader 4 5/1\n"
      "G x 10 : term=3 ver=9 => region:stale_command\n"
      "PEER x 2 witness\n"
      "G x 10 : store=2 => region:is_witness 4\n"
      "G x 10 : store=2 ver=9 => region:not_leader 4 5/1\n"
      "PW 5 x=1 : store=2 => region:not_leader 4 5/1\n"
      "G x 10 : store=2 ver=9 replica => region:is_witness 4\n"
      "RECOVER x 1\n"
      "G x 10 : store=2 => region:RecoveryInProgress 4" },
    { "RG03", "one region becomes three, the old one is the last",
      "SPLITR a d m => 8[-,d)3.3 9/1 10/2 11/3 12[d,m)3.3 13/1 14/2 15/3 "
      "4[m,-)3.3 5/1 6/2 7/3\n"
      "REGION a => 8[-,d)3.3 9/1 10/2 11/3\n"
      "REGION d => 12[d,m)3.3 13/1 14/2 15/3\n"
      "G z 10 : ver=1 => region:epoch_not_match 4[m,-)3.3 5/1 6/2 7/3 "
      "12[d,m)3.3 13/1 14/2 15/3 8[-,d)3.3 9/1 10/2 11/3\n"
      "G z 10 : ver=2 => region:epoch_not_match 4[m,-)3.3 5/1 6/2 7/3 "
      "12[d,m)3.3 13/1 14/2 15/3\n"
      "G z 10 : ver=4 => region:epoch_not_match 4[m,-)3.3 5/1 6/2 7/3\n"
      "SPLITR a b => 16[-,b)3.4 17/1 18/2 19/3 8[b,d)3.4 9/1 10/2 11/3" },
    { "RG04", "a change of peers alone does not make a request stale",
      .run = region_ignores_old_peers },
    { "RG04a", "peers go, change and come, a step each",
      "PEER x 3 none\n"
      "REGION x => 4[-,-)4.1 5/1 6/2\n"
      "PEER x 3 learner\n"
      "REGION x => 4[-,-)5.1 5/1 6/2 8/3L\n"
      "G x 10 : store=3 => region:not_leader 4 5/1\n"
      "G x 10 : store=3 replica => none\n"
      "PEER x 3 voter\n"
      "REGION x => 4[-,-)6.1 5/1 6/2 8/3\n"
      "PEER x 1 witness\n"
      "G x 10 => none\n"
      "G x 10 : store=1 => region:is_witness 4\n"
      "PW 5 x=1 : store=1 => region:not_leader 4 6/2\n"
      "PEER x 2 none\n"
      "REGION x => 4[-,-)8.1 5/1W 8/3\n"
      "PW 5 x=1" },
    { "RG05", "a region that was merged is gone, its neighbour newer",
      "SPLIT m\n"
      "PW 5 a=1\nC 5 6 a => 6\n"
      "MERGE a\n"
      "G a 10 : region=8 => region:region_not_found 8\n"
      "REGION a => 4[-,-)3.4 5/1 6/2 7/3\n"
      "G a 10 => 1\n"
      "G a 10 : ver=2 => region:epoch_not_match 4[-,-)3.4 5/1 6/2 7/3" },
    { "RG05a", "between the steps of a merge nobody writes",
      "SPLIT m\n"
      "PW 5 a=1\nC 5 6 a => 6\n"
      "MERGE a prepare\n"
      "REGION a => 8[-,m)4.3 9/1 10/2 11/3\n"
      "PW 15 a=2 => region:proposal_in_merging_mode 8\n"
      "SPLITR a b => region:proposal_in_merging_mode 8\n"
      "PW 15 a=2 : ver=2 => region:epoch_not_match "
      "8[-,m)4.3 9/1 10/2 11/3\n"
      "G a 10 => 1\n"
      "G a 10 : store=2 replica => region:read_index_not_ready 8\n"
      "PW 15 z=2\n"
      "MERGE a rollback\n"
      "REGION a => 8[-,m)4.4 9/1 10/2 11/3\n"
      "PW 15 a=2\n"
      "MERGE a prepare\n"
      "MERGE a commit\n"
      "REGION a => 4[-,-)3.6 5/1 6/2 7/3\n"
      "C 15 16 a z => 16" },
    { "RG06", "a split between check and change: nothing is changed",
      .run = region_split_before_apply },
    { "RG07", "a write of more than 8 MiB",
      "PW 5 x=*8388608 => region:raft_entry_too_large 4 8388645\n"
      "M x => none" },
    { "RG08", "keys to split at: at the start, twice, outside, none",
      "SPLITR a => region:message\n"
      "SPLITR a d d => 8[-,d)3.2 9/1 10/2 11/3 4[d,-)3.2 5/1 6/2 7/3\n"
      "SPLITR d d => region:message\n"
      "SPLITR d e d => 12[d,e)3.3 13/1 14/2 15/3 4[e,-)3.3 5/1 6/2 7/3\n"
      "SPLITR a e => region:key_not_in_region 8 e [-,d)\n"
      "SPLITR a b : ver=1 => region:epoch_not_match "
      "8[-,d)3.2 9/1 10/2 11/3" },
    { "RG09", "stale reads up to the safe timestamp, at every peer",
      "PW 2 x=old\nC 2 3 x => 3\n"
      "PW 5 x=new\n"
      "G x 10 : stale => region:data_is_not_ready 4 5 safe=5\n"
      "G x 10 : stale store=2 => region:data_is_not_ready 4 6 safe=5\n"
      "G x 4 : stale => old\n"
      "G x 4 : stale store=3 => old\n"
      "BG 4 x : stale store=3 => x=old\n"
      "SC 6 x - 9 : stale store=3 => region:data_is_not_ready 4 7 safe=5\n"
      "G x 5 : stale store=2 => locked x@5 put pk=x ttl=3000\n"
      "C 5 6 x => 6\n"
      "WAIT 400\n"
      "G x 10 : stale => new\n"
      "G x 10 : stale store=2 => new\n"
      "SAFE x 7 2\n"
      "G x 8 : stale store=2 => region:data_is_not_ready 4 6 safe=7\n"
      "G x 8 : stale store=3 => new\n"
      "FREE x\n"
      "G x 8 : stale store=2 => new\n"
      "PEER x 3 learner\n"
      "G x 8 : stale store=3 => new\n"
      "PW 1700000001000.5 !y\n"
      "PL 1700000001000.7 1700000001000.7 z\n"
      "WAIT 1000\n"
      "G x 1700000001100.0 : stale => new" },
    { "RG10", "a read at a follower asks the leader",
      "G x 100 : store=2 replica => none\n"
      "MAXTS x => 100\n"
      "MEM x 110 120\n"
      "G x 115 : store=2 replica => none\n"
      "G x 130 : store=2 replica => locked x@110 put pk=x min=120 "
      "async\n"
      "G x 130 : store=2 replica bypass=110 => locked x@110 put pk=x "
      "min=120 async\n"
      "SC 130 a - 9 : store=3 replica => locked x@110 put pk=x "
      "min=120 async and (locked x@110 put pk=x min=120 async)\n"
      "G x 130 : store=2 replica rc => none\n"
      "UNMEM x\n"
      "PW 200 p=v\n"
      "G p MAX => none\n"
      "G p MAX : store=2 replica => locked p@200 put pk=p ttl=3000\n"
      "MAXTS x => 130" },
    { "RG11", "a store moves, and another takes its address",
      .run = region_store_moves_away },
    { "RG12", "a store carries requests to another",
      .run = region_requests_are_forwarded },
    { "RG13", "the least safe timestamp of a store's peers",
      "SPLIT m\n"
      "SAFE a 30 1\nSAFE z 20 1\n"
      "SAFETS 1 => 20\n"
      "SAFETS 1 a b => 30\n"
      "SAFETS 1 n - => 20\n"
      "SAFETS 1 a z => 20\n"
      "SAFE z 0 1\n"
      "SAFETS 1 => 30\n"
      "SAFE a 0 1\n"
      "SAFETS 1 => 0" },
    { "RG14", "only the coprocessor compares buckets",
      .run = region_buckets_are_compared },
    { "RG15", "locks of the leader's memory move with it, or are lost",
      "PL 5 5 x\n"
      "LEAD x 2\n"
      "M x => lock(pess@5 f=5 ttl=3000)\n"
      "PL 8 8 y\n"
      "M y => lock(pess@8 f=8 ttl=3000)\n"
      "LEAD x 0\n"
      "LEAD x 3\n"
      "M x => lock(pess@5 f=5 ttl=3000)\n"
      "M y => none\n"
      "G x 300 => none\n"
      "STOP 3\n"
      "START 3\n"
      "PW 310 y=1" },
    { "RG16", "flashback",
      "PW 2 a=1 b=1\nC 2 3 a b => 3\n"
      "PW 5 a=2 c=2\nC 5 6 a c => 6\n"
      "PW 7 b=3\n"
      "FBF 20 4 21 - - => region:FlashbackNotPrepared 4\n"
      "FBP 20 4 - -\n"
      "FBP 20 4 - -\n"
      "FBP 30 4 - - => region:FlashbackInProgress 4 20\n"
      "G a 19 => 2\n"
      "G a 25 => region:FlashbackInProgress 4 20\n"
      "PW 25 a=3 => region:FlashbackInProgress 4 20\n"
      "C 7 8 b => region:FlashbackInProgress 4 20\n"
      "SPLITR a m => region:FlashbackInProgress 4 20\n"
      "FBF 20 4 21 - -\n"
      "FBF 20 4 21 - -\n"
      "M b => 7:rb@7=p 3:put@2=1\n"
      "SC 25 a - 9 => a=1 b=1\n"
      "SC 10 a - 9 => a=2 b=1 c=2\n"
      "M c => 21:del@20 6:put@5=2\n"
      "PW 25 a=3" },
    { "RG17", "a follower without a leader",
      "LEAD x 0\n"
      "G x 10 : store=2 replica => region:not_leader 4\n"
      "G x 10 : store=2 => region:not_leader 4\n"
      "LEAD x 2\n"
      "G x 10 : store=3 replica => none" },
    { "RG18", "PD learns late", .run = region_pd_learns_late },
    { "RG19", "the coprocessor: pairs, pages, tasks, locks",
      "PW 5 a=1 b=2 c=3 x=4\nC 5 6 a b c x => 6\n"
      "COP 10 a,c x, => a=1 b=2 x=4\n"
      "COP 10 a,z : page=2 => a=1 b=2 [a,c)\n"
      "COP 10 c,z : page=2 => c=3 x=4 [c,z)\n"
      "COP 4 a,z => none\n"
      "COP 10 a,z : tp=105 => other\n"
      "PW 15 b=5\n"
      "COP 20 a,z => locked b@15 put pk=b ttl=3000\n"
      "COP 14 a,z => a=1 b=2 c=3 x=4\n"
      "COP 10 a,z : ver=9 => region:epoch_not_match "
      "4[-,-)3.1 5/1 6/2 7/3\n"
      "SPLIT m\n"
      "COP 14 a,m : task=m, => a=1 b=2 c=3 task7:x=4" },
};

#endif
