/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalogue of fault actions, row by row: each has a check that sees what
 * the action does, and a row without one fails.
 */
#include "fixture/script.h"
#include "fixture/way.h"
#include "unit/cluster/pd_fixture.h"

#include "cluster/fault.h"
#include "cluster/pd.h"

static struct {
    enum tk_cluster_line line;
    tk_node node;
    uint64_t value;
    int lines;
} told;

static void
on_line(void *arg, tk_node node, enum tk_cluster_line line, uint64_t value)
{
    (void)arg;
    told.line = line;
    told.node = node;
    told.value = value;
    told.lines++;
}

static void
rule(struct script *script, const char *text)
{
    tikv_error *error = tk_cluster_fault(script->fx.cluster, text, NULL);

    if (error != NULL) {
        fail_msg("%s: %s", text, tikv_error_message(error));
    }
}

static struct tk_cl_store *
store_one(struct script *script)
{
    return &script->fx.cluster->stores[0];
}

/* ---- checks that lines cannot make ---- */

static const kvrpcpb_GetResponse *
get(struct script *script, const char *key)
{
    struct fx *fx = &script->fx;
    kvrpcpb_GetRequest *request = kvrpcpb_GetRequest_new(fx->arena);

    script->total = 0;
    script->options = 0;
    kvrpcpb_GetRequest_set_context(request, script_context(script, key));
    kvrpcpb_GetRequest_set_key(request, fx_view(key));
    kvrpcpb_GetRequest_set_version(request, 10);
    FX_CALL(fx, fx_store(1), "/tikvpb.Tikv/KvGet", kvrpcpb, GetRequest,
            request);
    assert_true(fx->replied);
    assert_int_equal(fx->status, TK_GRPC_OK);
    return FX_PARSE(fx, kvrpcpb, GetResponse);
}

static void
let_go(struct script *script)
{
    uint64_t count = 0;

    assert_int_equal(tk_cluster_barrier_waiting(script->fx.cluster, "b"), 1);
    assert_true(tk_cluster_barrier_wait(script->fx.cluster, "b", 1, 0));
    assert_null(tk_cluster_barrier_release(script->fx.cluster, "b", NULL,
                                           &count));
    assert_int_equal(count, 1);
    script_lines(script, "WAIT 0\n@1 => none");
}

static void
every_region_error(struct script *script)
{
    char text[128];
    char what[64];
    int kind;

    for (kind = 0; kind < TK_CL_ERROR_KINDS; kind++) {
        const char *name = tk_cl_error_name((enum tk_cl_error_kind)kind);

        tk_cluster_fault_remove(script->fx.cluster, 0);
        (void)snprintf(text, sizeof(text),
                       "on=tikv.KvGet do=region_error(%s)", name);
        rule(script, text);
        assert_true(kvrpcpb_GetResponse_has_region_error(get(script, "x")));
        (void)snprintf(what, sizeof(what), "region_error:%s", name);
        assert_int_equal(
            tk_cluster_seen(script->fx.cluster, "tikv.KvGet", what), 1);
    }
}

static bool
has_retryable(const kvrpcpb_KeyError *error)
{
    return kvrpcpb_KeyError_retryable(error).size > 0;
}

static bool
has_abort(const kvrpcpb_KeyError *error)
{
    return kvrpcpb_KeyError_abort(error).size > 0;
}

static void
every_key_error(struct script *script)
{
    static bool (*const has[TK_KEY_FAULTS])(const kvrpcpb_KeyError *) = {
        kvrpcpb_KeyError_has_locked,
        has_retryable,
        has_abort,
        kvrpcpb_KeyError_has_conflict,
        kvrpcpb_KeyError_has_already_exist,
        kvrpcpb_KeyError_has_deadlock,
        kvrpcpb_KeyError_has_commit_ts_expired,
        kvrpcpb_KeyError_has_txn_not_found,
        kvrpcpb_KeyError_has_commit_ts_too_large,
        kvrpcpb_KeyError_has_assertion_failed,
        kvrpcpb_KeyError_has_primary_mismatch,
        kvrpcpb_KeyError_has_txn_lock_not_found,
        kvrpcpb_KeyError_has_lock_upgrade_conflict,
        kvrpcpb_KeyError_has_shared_lock_lost,
    };
    char text[128];
    char what[64];
    int kind;

    for (kind = 0; kind < TK_KEY_FAULTS; kind++) {
        const char *name = tk_cl_key_fault_name((enum tk_key_fault_kind)kind);
        const kvrpcpb_KeyError *error;

        tk_cluster_fault_remove(script->fx.cluster, 0);
        (void)snprintf(text, sizeof(text),
                       "on=tikv.KvGet do=key_error(%s,start_ts=3)", name);
        rule(script, text);
        error = kvrpcpb_GetResponse_error(get(script, "x"));
        assert_non_null(error);
        assert_true(has[kind](error));
        (void)snprintf(what, sizeof(what), "key_error:%s", name);
        assert_int_equal(
            tk_cluster_seen(script->fx.cluster, "tikv.KvGet", what), 1);
    }
}

static void
scan_is_cut(struct script *script)
{
    static char answer[SCRIPT_TEXT];

    script_say(script, "SC 10 a z 10", answer);
    assert_non_null(strstr(answer, "a=1"));
    assert_null(strstr(answer, "b=2"));
    assert_non_null(strstr(answer, "locked"));
}

static void
field_is_unknown(struct script *script)
{
    assert_non_null(get(script, "x"));
    assert_non_null(memmem(script->fx.data, script->fx.len,
                           "of a later version", 18));
}

static void
enum_is_unknown(struct script *script)
{
    struct fx *fx = &script->fx;
    kvrpcpb_CheckTxnStatusRequest *request =
        kvrpcpb_CheckTxnStatusRequest_new(fx->arena);

    kvrpcpb_CheckTxnStatusRequest_set_context(request,
                                              script_context(script, "x"));
    kvrpcpb_CheckTxnStatusRequest_set_primary_key(request, fx_view("x"));
    kvrpcpb_CheckTxnStatusRequest_set_lock_ts(request, 5);
    FX_CALL(fx, fx_store(1), "/tikvpb.Tikv/KvCheckTxnStatus", kvrpcpb,
            CheckTxnStatusRequest, request);
    assert_int_equal(kvrpcpb_CheckTxnStatusResponse_action(
                         FX_PARSE(fx, kvrpcpb, CheckTxnStatusResponse)),
                     99);
}

static void
every_corruption(struct script *script)
{
    uint64_t id = metapb_Region_id(
        pdpb_GetRegionResponse_region(fx_region(&script->fx, "x")));

    rule(script, "on=tikv.KvGet do=corrupt(truncated)");
    assert_null(get(script, "x"));
    tk_cluster_fault_remove(script->fx.cluster, 0);
    rule(script, "on=tikv.KvGet do=corrupt(garbage)");
    assert_null(get(script, "x"));
    tk_cluster_fault_remove(script->fx.cluster, 0);
    rule(script, "on=tikv.KvGet do=corrupt(oversized)");
    assert_non_null(get(script, "x"));
    assert_true(script->fx.len >= 8 * 1024 * 1024);
    tk_cluster_fault_remove(script->fx.cluster, 0);
    rule(script, "on=pd.GetRegion do=corrupt(region_id)");
    assert_int_equal(metapb_Region_id(pdpb_GetRegionResponse_region(
                         fx_region(&script->fx, "x"))),
                     id + 1000);
}

static void
one_region_more(struct script *script)
{
    assert_int_equal(tk_cluster_regions_count(script->fx.cluster), 2);
}

static void
one_region(struct script *script)
{
    assert_int_equal(tk_cluster_regions_count(script->fx.cluster), 1);
}

static void
leader_has_moved(struct script *script)
{
    const struct tk_cl_region *region = script->fx.cluster->regions.sorted[0];

    assert_int_equal(tk_cluster_leader_of(script->fx.cluster, region->id), 2);
}

static void
conf_ver_is_up(struct script *script)
{
    assert_int_equal(script->fx.cluster->regions.sorted[0]->conf_ver, 4);
}

static void
peer_is_gone(struct script *script)
{
    assert_int_equal(script->fx.cluster->regions.sorted[0]->peers_count, 2);
}

static void
store_comes_back(struct script *script)
{
    assert_false(tk_cluster_is_up(script->fx.cluster, fx_store(1)));
    fx_wait(&script->fx, 50);
    assert_true(tk_cluster_is_up(script->fx.cluster, fx_store(1)));
}

static void
safe_ts_stands(struct script *script)
{
    struct tk_cluster *cluster = script->fx.cluster;
    struct tk_cl_region *region = cluster->regions.sorted[0];
    uint64_t before = tk_cl_safe_ts(cluster, region, &region->peers[0]);

    fx_wait(&script->fx, 60000);
    assert_int_equal(tk_cl_safe_ts(cluster, region, &region->peers[0]),
                     before);
}

static void
safe_ts_lags(struct script *script)
{
    struct tk_cluster *cluster = script->fx.cluster;
    struct tk_cl_region *region = cluster->regions.sorted[0];
    uint64_t lagging;

    fx_wait(&script->fx, 60000);
    lagging = tk_cl_safe_ts(cluster, region, &region->peers[0]);
    store_one(script)->safe_ts_lag_ms = 0;
    assert_int_equal((tk_cl_safe_ts(cluster, region, &region->peers[0]) >>
                      18) - (lagging >> 18), 3000);
}

static void
every_wait(struct script *script)
{
    struct tk_cluster *cluster = script->fx.cluster;

    rule(script, "on=tikv.KvPessimisticLock start_ts=6 do=lock_wait(timeout)");
    script_lines(script, "PL 5 5 x\n@1 PL 6 6 x : wait=500 => wait\nWAIT 0\n"
                         "@1 => locked x@5 pess pk=x ttl=3000 f=5");
    tk_cluster_fault_remove(cluster, 0);
    rule(script, "on=tikv.KvPessimisticLock start_ts=6 do=lock_wait(spurious)");
    script_lines(script, "@1 PL 6 6 x : wait=500 => wait\nWAIT 0\n"
                         "@1 => conflict x@6 with 5-0 PessimisticRetry pk=x");
    tk_cluster_fault_remove(cluster, 0);
    rule(script,
         "on=tikv.KvPessimisticLock start_ts=6 do=lock_wait(skip_wake)");
    script_lines(script, "@1 PL 6 6 x : wait=500 => wait\nPRB 5 5 x\n"
                         "WAIT 100\n@1 => wait\nWAIT 500");
    tk_cluster_fault_remove(cluster, 0);
    rule(script, "on=tikv.KvPessimisticLock do=lock_wait(no_detector)");
    script_lines(script, "PL 7 7 a\nPL 8 8 b\n@2 PL 7 7 b : wait=500 => wait\n"
                         "@3 PL 8 8 a : wait=500 => wait");
}

/* The answer to one request for 3 timestamps, under the rule. */
static const pdpb_TsoResponse *
ask_tso(struct script *script, const char *text)
{
    struct fx *fx = &script->fx;
    pdpb_TsoRequest *request = pdpb_TsoRequest_new(fx->arena);
    struct px_stream stream;

    tk_cluster_fault_remove(fx->cluster, 0);
    rule(script, text);
    pdpb_TsoRequest_set_header(request, fx_header(fx));
    pdpb_TsoRequest_set_count(request, 3);
    px_open(&stream, fx, "/pdpb.PD/Tso");
    PX_SEND(&stream, pdpb, TsoRequest, request);
    assert_int_equal(stream.count, 1);
    assert_false(stream.ended);
    tk_cluster_stream_free(stream.stream);
    return pdpb_TsoResponse_parse((const char *)stream.messages[0].data,
                                  stream.messages[0].len, fx->arena);
}

/* Each lie alone: what it does not change is as it was. */
static void
tso_lies(struct script *script)
{
    uint64_t id = tk_cluster_id(script->fx.cluster);
    const pdpb_TsoResponse *answer;

    answer = ask_tso(script, "on=pd.Tso do=tso(wrong_cluster_id)");
    assert_int_not_equal(
        pdpb_ResponseHeader_cluster_id(pdpb_TsoResponse_header(answer)), id);
    assert_int_equal(pdpb_TsoResponse_count(answer), 3);
    answer = ask_tso(script, "on=pd.Tso do=tso(count_mismatch)");
    assert_int_equal(
        pdpb_ResponseHeader_cluster_id(pdpb_TsoResponse_header(answer)), id);
    assert_int_equal(pdpb_TsoResponse_count(answer), 4);
}

static void
tso_changes(struct script *script)
{
    struct tk_cl_tso *tso = &script->fx.cluster->tso;
    int64_t before = tso->physical_ms;

    (void)get(script, "x");
    assert_int_equal(tso->physical_ms, before + 7000);
    tk_cluster_fault_remove(script->fx.cluster, 0);
    rule(script, "on=tikv.KvGet do=tso(back,7000)");
    (void)get(script, "x");
    assert_int_equal(tso->physical_ms, before);
    tk_cluster_fault_remove(script->fx.cluster, 0);
    rule(script, "on=tikv.KvGet when=nth(1) do=tso(logical_overflow),"
                 "tso(freeze,500)");
    (void)get(script, "x");
    assert_true(tso->logical >= (1 << 18) - 2);
    assert_true(tso->frozen_until_ms > tso->physical_ms);
    tso_lies(script);
}

static void
pd_has_moved(struct script *script)
{
    assert_int_equal(tk_cluster_pd_leader(script->fx.cluster), 1);
}

static void
pd_comes_back(struct script *script)
{
    assert_int_equal(tk_cluster_pd_leader(script->fx.cluster), UINT32_MAX);
    fx_wait(&script->fx, 20);
    assert_int_equal(tk_cluster_pd_leader(script->fx.cluster), 0);
}

static void
member_comes_back(struct script *script)
{
    assert_false(tk_cluster_is_up(script->fx.cluster, 1));
    fx_wait(&script->fx, 20);
    assert_true(tk_cluster_is_up(script->fx.cluster, 1));
}

static void
region_is_stale(struct script *script)
{
    const struct tk_cl_region *region = script->fx.cluster->regions.sorted[0];

    assert_int_equal(
        metapb_RegionEpoch_version(metapb_Region_region_epoch(
            pdpb_GetRegionResponse_region(fx_region(&script->fx, "a")))),
        region->version - 1);
}

static void
region_is_missing(struct script *script)
{
    assert_false(
        pdpb_GetRegionResponse_has_region(fx_region(&script->fx, "a")));
}

static void
leader_is_missing(struct script *script)
{
    const pdpb_GetRegionResponse *answer = fx_region(&script->fx, "a");

    assert_true(pdpb_GetRegionResponse_has_region(answer));
    assert_false(pdpb_GetRegionResponse_has_leader(answer));
}

static void
address_is_wrong(struct script *script)
{
    struct fx *fx = &script->fx;
    pdpb_GetStoreRequest *request = pdpb_GetStoreRequest_new(fx->arena);

    pdpb_GetStoreRequest_set_header(request, fx_header(fx));
    pdpb_GetStoreRequest_set_store_id(request, 1);
    FX_CALL(fx, 0, "/pdpb.PD/GetStore", pdpb, GetStoreRequest, request);
    fx_assert_view(metapb_Store_address(pdpb_GetStoreResponse_store(
                       FX_PARSE(fx, pdpb, GetStoreResponse))),
                   "127.0.0.1:1");
}

static void
heals(struct script *script)
{
    assert_null(tk_cluster_partition(script->fx.cluster, "client", "store1", 0,
                                     false, NULL));
    assert_non_null(script->fx.cluster->cuts.data);
    (void)fx_region(&script->fx, "x");
    assert_int_equal(script->fx.cluster->cuts.len, 0);
    script_lines(script, "G x 10 => none");
}

static void
reset_is_told(struct script *script)
{
    (void)script;
    assert_int_equal(told.lines, 1);
    assert_int_equal(told.line, TK_CLUSTER_LINE_RESET);
}

static void
expect_told(enum tk_cluster_line line, uint64_t value)
{
    assert_int_equal(told.lines, 1);
    assert_int_equal(told.line, line);
    assert_int_equal(told.node, fx_store(1));
    assert_int_equal(told.value, value);
}

static void
goaway_is_told(struct script *script)
{
    (void)script;
    expect_told(TK_CLUSTER_LINE_GOAWAY, 0);
}

static void
streams_are_told(struct script *script)
{
    (void)script;
    expect_told(TK_CLUSTER_LINE_STREAMS, 3);
}

static void
compression_is_told(struct script *script)
{
    (void)script;
    expect_told(TK_CLUSTER_LINE_COMPRESS, 1);
}

static void
clock_is_behind(struct script *script)
{
    assert_int_equal(store_one(script)->skew_ms, -5000);
}

static void
score_is_high(struct script *script)
{
    assert_int_equal(
        tk_cl_store_score(script->fx.cluster, store_one(script)), 80);
}

static void
load_is_high(struct script *script)
{
    assert_int_equal(store_one(script)->load_floor, 70);
}

static void
health_is_bad(struct script *script)
{
    struct fx *fx = &script->fx;

    fx_call_with(fx, fx_store(1), "/grpc.health.v1.Health/Check", NULL, "", 0);
    assert_true(fx->replied);
    assert_memory_equal(fx->data, "\x08\x02", 2);
    fx_wait(fx, 20);
    assert_false(store_one(script)->is_not_serving);
}

/* ---- the table ---- */

static const struct {
    uint32_t act;
    const char *setup;
    const char *rule; /* NULL: the check brings its own */
    const char *lines;
    void (*check)(struct script *);
} checks[] = {
    { TK_ACT_DELAY, "", "on=tikv.KvGet do=delay(5)",
      "@1 G x 10 => wait\nWAIT 4\n@1 => wait\nWAIT 1\n@1 => none", NULL },
    { TK_ACT_BARRIER, "", "on=tikv.KvGet do=barrier(b)", "@1 G x 10 => wait",
      let_go },
    { TK_ACT_DROP_REQUEST, "", "on=tikv.KvPrewrite do=drop_request",
      "PW 5 x=v => dropped\nM x => none", NULL },
    { TK_ACT_DROP_RESPONSE, "", "on=tikv.KvPrewrite do=drop_response",
      "PW 5 x=v => dropped\nM x => lock(put@5=v ttl=3000)", NULL },
    { TK_ACT_STATUS, "", "on=tikv.KvPrewrite do=apply,status(ABORTED)",
      "PW 5 x=v => status:10\nM x => lock(put@5=v ttl=3000)", NULL },
    { TK_ACT_BREAK_STREAM, "", "on=tikv.KvPrewrite do=break_stream(INTERNAL)",
      "PW 5 x=v => status:13\nM x => none", NULL },
    { TK_ACT_RESET_CONNECTION, "", "on=tikv.KvGet do=reset_connection",
      "G x 10 => status:14", reset_is_told },
    { TK_ACT_GOAWAY, "", "on=tikv.KvGet do=goaway", "G x 10 => none",
      goaway_is_told },
    { TK_ACT_MAX_STREAMS, "", "on=tikv.KvGet do=max_streams(3)",
      "G x 10 => none", streams_are_told },
    { TK_ACT_COMPRESS, "", "on=tikv.KvGet do=compress(gzip)",
      "G x 10 => none", compression_is_told },
    { TK_ACT_DUPLICATE, "", "on=tikv.KvPessimisticLock do=duplicate(1,5)",
      "PL 5 5 x\nPRB 5 5 x\nM x => none\nWAIT 5\n"
      "M x => lock(pess@5 f=5 ttl=3000)", NULL },
    { TK_ACT_REORDER, "", "on=tikv.KvGet when=nth(1) do=reorder(1)",
      "@1 G x 10 => wait\nG y 10 => none\nWAIT 0\n@1 => none", NULL },
    { TK_ACT_STALE_REPLAY, "",
      "on=tikv.KvPessimisticLock do=stale_replay(commit)",
      "PL 5 5 y : pk=x\nPRB 5 5 y\nPW 5 x=v\nC 5 6 x => 6\nWAIT 0\n"
      "M y => lock(pess@5 f=5 ttl=3000)", NULL },
    { TK_ACT_REGION_ERROR, "", NULL, "", every_region_error },
    { TK_ACT_KEY_ERROR, "", NULL, "", every_key_error },
    { TK_ACT_PARTIAL, "PW 5 a=1 b=2\nC 5 6 a b => 6",
      "on=tikv.KvScan do=partial(1)", "", scan_is_cut },
    { TK_ACT_UNKNOWN_FIELDS, "", "on=tikv.KvGet do=unknown_fields", "",
      field_is_unknown },
    { TK_ACT_UNKNOWN_ENUM, "", "on=tikv.KvCheckTxnStatus do=unknown_enum", "",
      enum_is_unknown },
    { TK_ACT_CORRUPT, "", NULL, "", every_corruption },
    { TK_ACT_SPLIT, "", "on=tikv.KvGet when=nth(1) do=split(m)",
      "G x 10 => region:epoch_not_match 4[m,-)3.2 5/1 6/2 7/3 "
      "8[-,m)3.2 9/1 10/2 11/3", one_region_more },
    { TK_ACT_MERGE, "SPLIT m", "on=tikv.KvScanLock do=merge",
      "SL 100 m - 0 => region:epoch_not_match 4[-,-)3.3 5/1 6/2 7/3",
      one_region },
    { TK_ACT_TRANSFER, "", "on=tikv.KvGet when=nth(1) do=transfer(2)",
      "G x 10 => region:not_leader 4 6/2", leader_has_moved },
    { TK_ACT_BUMP_CONF_VER, "", "on=tikv.KvGet when=nth(1) do=bump_conf_ver",
      "G x 10 => none", conf_ver_is_up },
    { TK_ACT_REMOVE_PEER, "", "on=tikv.KvGet when=nth(1) do=remove_peer(3)",
      "G x 10 => none", peer_is_gone },
    { TK_ACT_RESTART_STORE, "", "on=tikv.KvGet do=restart_store(50)",
      "G x 10 => status:14", store_comes_back },
    { TK_ACT_LOSE_MEMORY_LOCKS, "PL 5 5 x",
      "on=tikv.KvGet do=lose_memory_locks", "G y 10 => none\nM x => none",
      NULL },
    { TK_ACT_MAX_TS_UNSYNCED, "",
      "on=tikv.KvGet when=nth(1) do=max_ts_unsynced(20)",
      "G x 10 => none\n"
      "PW 5 x=v : async => region:max_timestamp_not_synced\n"
      "WAIT 20\nPW 5 x=v : async => min=11", NULL },
    { TK_ACT_SAFE_TS_HOLD, "", "on=tikv.KvGet do=safe_ts_hold",
      "G x 10 => none", safe_ts_stands },
    { TK_ACT_SAFE_TS_LAG, "", "on=tikv.KvGet do=safe_ts_lag(3000)",
      "G x 10 => none", safe_ts_lags },
    { TK_ACT_LOCK_WAIT, "", NULL, "", every_wait },
    { TK_ACT_ASYNC_COMMIT_FALLBACK, "",
      "on=tikv.KvPrewrite do=async_commit_fallback(2)",
      "PW 5 x=v y=w : async=y\nSL 100 - - 0 => "
      "x@5 put pk=x ttl=3000 min=6 async[y], y@5 put pk=x ttl=3000", NULL },
    { TK_ACT_TSO, "", "on=tikv.KvGet do=tso(jump,7000)", "", tso_changes },
    { TK_ACT_PD_LEADER_RESIGN, "", "on=tikv.KvGet do=leader_resign",
      "G x 10 => none", pd_has_moved },
    { TK_ACT_PD_NO_LEADER, "", "on=tikv.KvGet do=no_leader(20)",
      "G x 10 => none", pd_comes_back },
    { TK_ACT_PD_MEMBER_DOWN, "", "on=tikv.KvGet do=member_down(1,20)",
      "G x 10 => none", member_comes_back },
    { TK_ACT_PD_STALE_REGION, "SPLIT m", "on=pd.GetRegion do=stale_region", "",
      region_is_stale },
    { TK_ACT_PD_HOLE, "", "on=pd.GetRegion do=hole", "", region_is_missing },
    { TK_ACT_PD_LEADER_ABSENT, "", "on=pd.GetRegion do=leader_absent", "",
      leader_is_missing },
    { TK_ACT_PD_WRONG_ADDRESS, "", "on=pd.GetStore do=wrong_store_address", "",
      address_is_wrong },
    { TK_ACT_PARTITION, "", "on=tikv.KvGet do=partition(client,store1,20)",
      "G x 10 => none\nG x 10 => dropped\nWAIT 20\nG x 10 => none", NULL },
    { TK_ACT_HEAL, "", "on=pd.GetRegion do=heal", "", heals },
    { TK_ACT_THROTTLE, "", "on=tikv.KvGet do=throttle(1)",
      "G x 10 => none\nG x 10 => region:busy 'too many requests' backoff=10\n"
      "WAIT 1000\nG x 10 => none", NULL },
    { TK_ACT_QUEUE_LIMIT, "", "on=tikv.KvGet do=queue_limit(0)",
      "G x 10 => region:busy 'queue is full' backoff=10", NULL },
    { TK_ACT_MEMORY_LIMIT, "", "on=tikv.KvGet do=memory_limit(1)",
      "G x 10 => region:busy 'memory is exhausted' backoff=10", NULL },
    { TK_ACT_MESSAGE_LIMIT, "", "on=tikv.KvPrewrite do=message_limit(1000)",
      "PW 5 x=*999 => status:8\nM x => none\nPW 5 x=v\n"
      "M x => lock(put@5=v ttl=3000)", NULL },
    { TK_ACT_CLOCK_SKEW, "", "on=tikv.KvGet do=clock_skew(-5000)",
      "G x 10 => none", clock_is_behind },
    { TK_ACT_CRASH, "PW 5 x=v", "on=tikv.KvCommit do=apply,crash(50)",
      "C 5 6 x => status:14\nM x => 6:put@5=v", store_comes_back },
    { TK_ACT_SLOW_SCORE, "", "on=tikv.KvGet do=slow_score(80)",
      "G x 10 => none", score_is_high },
    { TK_ACT_LOAD, "", "on=tikv.KvGet do=transport_load(70)",
      "G x 10 => none", load_is_high },
    { TK_ACT_NOT_SERVING, "", "on=tikv.KvGet do=not_serving(20)",
      "G x 10 => none", health_is_bad },
    { TK_ACT_GC, "PW 5 x=v\nC 5 6 x => 6\nPW 7 x=w\nC 7 8 x => 8",
      "on=tikv.KvGet do=gc(9)", "G y 10 => none\nM x => 8:put@7=w", NULL },
    { TK_ACT_UNIMPLEMENTED, "", "on=tikv.KvGet do=unimplemented",
      "G x 10 => status:12", NULL },
};

static void
catalogue__acts_row_by_row(void **state)
{
    static const struct tk_cluster_events events = { .line = on_line };
    static struct script script;
    static const struct script_case unit = { .id = "catalogue" };

    (void)state;
    for (uint32_t act = 0; act < TK_ACTS; act++) {
        size_t i = 0;
        char what[64];

        while (i < sizeof(checks) / sizeof(checks[0]) &&
               checks[i].act != act) {
            i++;
        }
        if (i == sizeof(checks) / sizeof(checks[0])) {
            fail_msg("%s has no check", tk_cl_act_rows[act].name);
        }
        print_message("# %s %s\n", tk_cl_act_rows[act].row,
                      tk_cl_act_rows[act].name);
        assert_null(script_run(&script, &unit, &way_direct));
        memset(&told, 0, sizeof(told));
        tk_cluster_set_events(script.fx.cluster, &events);
        script_lines(&script, checks[i].setup);
        if (checks[i].rule != NULL) {
            rule(&script, checks[i].rule);
        }
        script_lines(&script, checks[i].lines);
        if (checks[i].check != NULL) {
            checks[i].check(&script);
        }
        (void)snprintf(what, sizeof(what), "fault:%s",
                       tk_cl_act_rows[act].name);
        assert_true(tk_cluster_seen(script.fx.cluster, NULL, what) > 0);
        script_close(&script);
    }
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(catalogue__acts_row_by_row),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
