/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIKV_CLUSTER_H
#define TIKV_CLUSTER_H

/**
 * An embedded cluster for tests: PD members and TiKV stores in this process,
 * serving the real gRPC services on loopback, in memory or, when it is told
 * a directory, with a log that outlives it. Library
 * `libtikvcluster`; the program `tikv-playground` is the same thing alone.
 *
 * It is a deliverable of its own: any client in any language can be pointed
 * at it. Regions split, merge and move, stores stop and restart, members
 * resign, and faults are injected, all under the test's control. All
 * functions may be called from any thread; none blocks for long.
 */

#include <tikv/base.h>

TIKV_BEGIN_DECLS

typedef struct tikv_cluster tikv_cluster;

typedef struct tikv_cluster_options {
    size_t struct_size;
    uint32_t stores_count;   /* 0: 1 */
    uint32_t pds_count;      /* 0: 1 */
    uint32_t regions_count;  /* 0: 1; split evenly over first bytes */
    uint32_t replicas_count; /* voters of a region; 0: min(3, stores) */
    uint16_t base_port;      /* first port; 0: free ones */
    uint16_t reserved;
    uint32_t api;            /* TIKV_CLUSTER_API_... */
    uint64_t cluster_id;     /* 0: made from the seed */
    uint64_t seed;
    const char *data_dir;    /* what outlives the cluster; NULL: nothing */
    uint32_t data_sync;      /* TIKV_CLUSTER_SYNC_... */
    uint32_t data_log_mb;    /* log between checkpoints, MiB; 0: 64 */
    /* PEM text, or the path of a file that holds it, each. Certificate and
     * key turn TLS on at all ports, for gRPC and HTTP alike; with an
     * authority clients must show a certificate that it signed. Read at the
     * start. */
    const char *tls_ca;
    const char *tls_cert;
    const char *tls_key;
    const char *keyspaces;   /* "name,name": made at the start, ids from 1 */
    uint64_t services;       /* TIKV_CLUSTER_SERVICE_..., or-ed */
} tikv_cluster_options;
#define TIKV_CLUSTER_OPTIONS_INIT                                              \
    { sizeof(tikv_cluster_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, 0, 0,     \
      NULL, NULL, NULL, NULL, 0 }
/* storage.api-version of the stores: raw keys without a time to live and
 * transactions; raw keys that may have one, alone; both in keyspaces. */
#define TIKV_CLUSTER_API_V1 UINT32_C(0)
#define TIKV_CLUSTER_API_V1TTL UINT32_C(1)
#define TIKV_CLUSTER_API_V2 UINT32_C(2)
/* What PD has as services of their own; they are on the members' ports. */
#define TIKV_CLUSTER_SERVICE_TSO UINT64_C(1)
#define TIKV_CLUSTER_SERVICE_ROUTER UINT64_C(2)
#define TIKV_CLUSTER_SERVICE_RESOURCE UINT64_C(4)

/**
 * `data_dir` is made if it is missing, its parent is not. What a client has
 * been answered is there when a cluster is started with the directory again,
 * however the one before ended: data, locks, regions, and what PD keeps.
 * Locks that a real store has in memory only, and stores that were stopped,
 * are as after a restart of all nodes. The cluster in the directory decides:
 * a field that asks for another number of stores, members or replicas,
 * another api or id is an error, 0 asks for nothing; `regions_count` is of
 * the beginning. One cluster at a time has the directory.
 *
 * ALWAYS waits for the disk before it answers; many answers share one wait.
 * PROCESS waits for the system only: what was answered outlives the process,
 * but perhaps not the machine. While the disk is full, writes are refused
 * with disk_full and calls that were under way break.
 */
#define TIKV_CLUSTER_SYNC_ALWAYS UINT32_C(0)
#define TIKV_CLUSTER_SYNC_PROCESS UINT32_C(1)

TIKV_API void
tikv_cluster_options_init(tikv_cluster_options *options, size_t struct_size);

/* Makes a cluster and starts to serve; ready when it returns. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_start(const tikv_cluster_options *options, tikv_cluster **out);

/* Stops serving, drops all data that is not in `data_dir`. Calls in flight
 * end with UNAVAILABLE. */
TIKV_API void
tikv_cluster_free(tikv_cluster *cluster);

/* "127.0.0.1:p1,127.0.0.1:p2": what a client's pd.endpoints wants. It lives
 * as long as the cluster. */
TIKV_API const char *
tikv_cluster_endpoints(const tikv_cluster *cluster);

TIKV_API uint64_t
tikv_cluster_id(const tikv_cluster *cluster);

/* ---- regions; keys are the client's raw keys ---- */

/* The region that holds `key`. */
TIKV_API uint64_t
tikv_cluster_region_of(tikv_cluster *cluster, tikv_slice key);

/* The same for a key of a transaction: regions are bounded by such keys in
 * an encoded form. */
TIKV_API uint64_t
tikv_cluster_region_of_txn(tikv_cluster *cluster, tikv_slice key);

TIKV_API size_t
tikv_cluster_regions_count(tikv_cluster *cluster);

/* The original id keeps the right part. Splitting at a boundary that exists
 * changes nothing. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_split(tikv_cluster *cluster, tikv_slice key);

/* At a key of transactions. A bound that is not of that form makes
 * transactional clients fail, as in a real cluster. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_split_txn(tikv_cluster *cluster, tikv_slice key);

/* Merges the region of `key` with its right neighbour, which stays. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_merge(tikv_cluster *cluster, tikv_slice key);

/* The same in steps. Prepared, the region has another epoch and answers
 * writes with proposal_in_merging_mode, until its neighbour takes its range
 * or the merge is rolled back, with a further epoch. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_merge_prepare(tikv_cluster *cluster, uint64_t region_id);

TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_merge_commit(tikv_cluster *cluster, uint64_t region_id);

TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_merge_rollback(tikv_cluster *cluster, uint64_t region_id);

/* Moves the leader of a region, with the locks of its memory; store 0 leaves
 * it without one, and then they are lost. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_transfer_leader(tikv_cluster *cluster, uint64_t region_id,
                             uint64_t store_id);

TIKV_API uint64_t
tikv_cluster_leader_of(tikv_cluster *cluster, uint64_t region_id);

/* Makes what the store has of a region a voter, a learner or a witness, adds
 * such a peer, or with NONE removes it: one step of conf_ver. A leader hands
 * over before. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_peer_set(tikv_cluster *cluster, uint64_t region_id,
                      uint64_t store_id, uint32_t kind);
#define TIKV_CLUSTER_PEER_NONE UINT32_C(0)
#define TIKV_CLUSTER_PEER_VOTER UINT32_C(1)
#define TIKV_CLUSTER_PEER_LEARNER UINT32_C(2)
#define TIKV_CLUSTER_PEER_WITNESS UINT32_C(3)

/* What a peer can do: everything, or it answers region_not_initialized, an
 * error of a message alone, or is_witness. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_peer_state(tikv_cluster *cluster, uint64_t region_id,
                        uint64_t store_id, uint32_t state);
#define TIKV_CLUSTER_PEER_READY UINT32_C(0)
#define TIKV_CLUSTER_PEER_UNINITIALIZED UINT32_C(1)
#define TIKV_CLUSTER_PEER_SNAPSHOT UINT32_C(2)
#define TIKV_CLUSTER_PEER_NO_DATA UINT32_C(3)

/* While it is in recovery, a region answers recovery_in_progress. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_region_recovering(tikv_cluster *cluster, uint64_t region_id,
                               bool is_recovering);

/**
 * Safe timestamps. Stale reads are served up to a peer's own, above that they
 * are data_is_not_ready. Every 200 ms a leader takes over PD's timestamp, but
 * stays at the start of the oldest transaction that has a lock in the region;
 * other peers follow a tick later. hold() keeps peers at `ts`, also below
 * what they had, until release(). Region 0 is all regions, store 0 all
 * stores; safe_ts() is the least of the peers then, 0 without any.
 */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_safe_ts_hold(tikv_cluster *cluster, uint64_t region_id,
                          uint64_t store_id, uint64_t ts);

TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_safe_ts_release(tikv_cluster *cluster, uint64_t region_id,
                             uint64_t store_id);

TIKV_API uint64_t
tikv_cluster_safe_ts(tikv_cluster *cluster, uint64_t region_id,
                     uint64_t store_id);

/* ---- stores, with ids 1 .. stores_count at the start ---- */

/* The listener closes and connections break; PD still knows the store. Its
 * leaders move to other stores that are up, where the region has any. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_store_stop(tikv_cluster *cluster, uint64_t store_id);

/* Back again: on another port when `new_port` is set, else on the same. PD
 * learns the address at once. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_store_start(tikv_cluster *cluster, uint64_t store_id,
                         bool new_port);

/* "127.0.0.1:port", copied into `buffer`; false when there is no such store
 * or it does not fit. */
TIKV_API bool
tikv_cluster_store_address(tikv_cluster *cluster, uint64_t store_id,
                           char *buffer, size_t size);

/* Two stores trade their addresses: old addresses then answer
 * StoreNotMatch. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_store_swap(tikv_cluster *cluster, uint64_t a, uint64_t b);

/* Gone for good: state Tombstone, peers removed from regions. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_store_remove(tikv_cluster *cluster, uint64_t store_id);

/* PD shows it as going (offline) or not; it serves as before. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_store_offline(tikv_cluster *cluster, uint64_t store_id,
                           bool is_offline);

/* The store takes connections and requests, and does nothing about them. What
 * came meanwhile stays without an answer. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_store_pause(tikv_cluster *cluster, uint64_t store_id,
                         bool is_paused);

/* Every request takes that much longer, and the slow score of the store rises
 * with each; it falls by one a second. 0: no longer. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_store_slow(tikv_cluster *cluster, uint64_t store_id,
                        uint32_t latency_ms);

/* The score that its health feedback begins from: 1 (fine, as at the start)
 * to 100. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_store_score(tikv_cluster *cluster, uint64_t store_id,
                         uint32_t score);

/* Reads whose busy threshold is below `wait_ms` are server_is_busy, with that
 * number; with `refuses_writes` all writes are. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_store_busy(tikv_cluster *cluster, uint64_t store_id,
                        uint32_t wait_ms, bool refuses_writes);

/* On an almost full disk prewrites, flushes and pessimistic locks need the
 * context's leave, on a full one every write does: else disk_full. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_store_disk(tikv_cluster *cluster, uint64_t store_id,
                        uint32_t level);
#define TIKV_CLUSTER_DISK_NORMAL UINT32_C(0)
#define TIKV_CLUSTER_DISK_ALMOST_FULL UINT32_C(1)
#define TIKV_CLUSTER_DISK_FULL UINT32_C(2)

/* The store does not know PD's timestamp, as shortly after it became leader:
 * async commit, one-phase commit and raw writes of API V2 are
 * max_timestamp_not_synced. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_store_unsynced(tikv_cluster *cluster, uint64_t store_id,
                            bool is_unsynced);

/* ---- PD members, numbered from 0 ---- */

TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_pd_stop(tikv_cluster *cluster, uint32_t member);

TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_pd_start(tikv_cluster *cluster, uint32_t member);

/* The leader resigns in favour of `member`. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_pd_transfer(tikv_cluster *cluster, uint32_t member);

/* No member leads until the next transfer. */
TIKV_API void
tikv_cluster_pd_leaderless(tikv_cluster *cluster);

/* From now on PD learns of regions, leaders and new addresses that much later
 * than they change; 0: at once, as at the start. */
TIKV_API void
tikv_cluster_pd_lag(tikv_cluster *cluster, uint32_t ms);

/* The leading member, or UINT32_MAX. */
TIKV_API uint32_t
tikv_cluster_pd_leader(tikv_cluster *cluster);

/* Makes a keyspace, with the regions it wants. `config` is name, value, ...,
 * NULL, or NULL. `*id` may be NULL. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_keyspace(tikv_cluster *cluster, const char *name,
                      const char *const *config, uint32_t *id);

/* Buckets of a region until it is split or merged: `count` keys from its
 * start to its end. 0: none. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_buckets(tikv_cluster *cluster, uint64_t region_id,
                     uint64_t version, const tikv_slice *keys, size_t count);

/**
 * Sets what PD does, at any time: "services", as in the options;
 * "hidden_region", a region that PD does not know though it is there;
 * "scatter_ms", how long an operator of scattering runs; "suffix_bits", of
 * timestamps as servers with local TSO gave them; "recovering", what
 * IsSnapshotRecovering tells; "unsplit_keyspaces", whether keyspaces are
 * found by name before their regions are there. All are 0 at the start.
 */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_set(tikv_cluster *cluster, const char *name, uint64_t value);

/* ---- data ---- */

/* Garbage collection everywhere at once: versions go that nobody sees who
 * reads at `safe_point` or later. PD's safe points are not asked. */
TIKV_API void
tikv_cluster_gc(tikv_cluster *cluster, uint64_t safe_point);

/* ---- faults ---- */

/**
 * Adds one rule. The text is the rule language:
 *
 *   [id=NAME] on=GLOB [SELECTOR...] [when=TRIGGER] do=ACTION[,ACTION...]
 *       [then=ACTION[,ACTION...]]
 *
 * GLOB is matched against the method, "tikv.RawGet", "pd.GetRegion",
 * "pd.Tso", also for a request inside BatchCommands. SELECTOR: store=N,
 * region=N, peer=N, member=N, key=PREFIX or key=[START,END), start_ts=N,
 * txn=primary|secondary, retry=, replica_read= and stale_read=yes|no,
 * source=PREFIX of the request source, client=N, the Nth connection to the
 * node since it came up, and stage=, the point of the request's
 * way where the rule looks: recv (the default, before all checks), pre
 * (behind them), latched, memlock (locks of async commit and 1PC are shown),
 * apply, applied (done, not answered), send.
 *
 * TRIGGER: always (the default), nth(K), first(K), after(K), every(K),
 * prob(P), window(FROM,TO) in ms since the rule was added,
 * until(METHOD,N) calls of it, once_per(txn|region|store|key). From the
 * second time on a rule does what `then` says, if it says anything.
 *
 * ACTION, "apply," in front of it: behind the execution:
 *
 *   delay(MS|A..B) barrier(NAME[,MS]) reorder(K[,MS])
 *   drop_request drop_response status(NAME) unimplemented
 *   break_stream[(NAME)] reset_connection goaway
 *   max_streams(N) compress(none|gzip) of the node from now on: its clients
 *     are told to come by new connections, as goaway does
 *   duplicate(N[,MS]) stale_replay(commit|rollback|leader|METHOD)
 *   region_error(KIND[,FIELD=N]...) with the names of errorpb, and
 *     recovery_in_progress, flashback_in_progress, flashback_not_prepared,
 *     message_only; not_leader,leader=STORE|none|wrong;
 *     epoch_not_match,regions=current|none|N; server_is_busy,backoff_ms=N
 *   key_error(KIND[,FIELD=N]...) with the members of kvrpcpb.KeyError;
 *     start_ts, commit_ts, min_commit_ts, ttl, reason
 *   partial(N) unknown_fields unknown_enum
 *   corrupt(region_id|truncated|oversized|garbage)
 *   split[(KEY)] merge transfer(STORE|next|none) bump_conf_ver
 *   remove_peer(STORE) restart_store[(MS)] crash[(MS)]
 *   lose_memory_locks max_ts_unsynced(MS) safe_ts_hold[(MS)] safe_ts_lag(MS)
 *   lock_wait(skip_wake|timeout|spurious|no_detector)
 *   async_commit_fallback[(N)] gc[(TS)]
 *   tso(jump,MS|back,MS|freeze,MS|logical_overflow|wrong_cluster_id|
 *     count_mismatch)
 *   leader_resign no_leader(MS) member_down(N[,MS]) stale_region hole
 *   leader_absent wrong_store_address
 *   partition(A,B[,drop|reject][,to|from|both][,MS]) heal
 *   throttle(PER_SECOND) queue_limit(N) memory_limit(BYTES)
 *   message_limit(BYTES) of a request, or of the message with commands
 *   clock_skew([-]MS) slow_score(N) transport_load(N) not_serving[(MS)]
 *
 * `*id`, which may be NULL, is for tikv_cluster_fault_remove(). A text that
 * cannot be understood is TIKV_ERR_ARGUMENT and says where.
 */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_fault(tikv_cluster *cluster, const char *rule, uint64_t *id);

/* 0 removes all of them. */
TIKV_API void
tikv_cluster_fault_remove(tikv_cluster *cluster, uint64_t id);

/* How often a rule has acted. */
TIKV_API uint64_t
tikv_cluster_fault_hits(tikv_cluster *cluster, uint64_t id);

/* Waits until `count` requests stand at a barrier. False: not in time. */
TIKV_API bool
tikv_cluster_barrier_wait(tikv_cluster *cluster, const char *name,
                          uint64_t count, int64_t timeout_ms);

/* Lets those that stand there go on, and tells how many; `action` is what
 * becomes of them instead, such as "drop_response". Both may be NULL. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_barrier_release(tikv_cluster *cluster, const char *name,
                             const char *action, uint64_t *count);

/* Breaks things at random, the same for the same seed, in place of the preset
 * before: "calm" (nothing), "flaky_net", "leaders_dance", "split_storm",
 * "pd_dance", "undetermined", "everything". Intensity is 0 to 100. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_nemesis(tikv_cluster *cluster, const char *preset,
                     uint32_t intensity, uint64_t seed);

/* Cuts the network between two parties: "client", "pd0", "pd*", "store1",
 * "store*". What is sent is lost, or with `rejects` refused. `id` may be
 * NULL. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_cluster_partition(tikv_cluster *cluster, const char *a, const char *b,
                       bool rejects, uint64_t *id);

/* 0 heals all cuts. */
TIKV_API void
tikv_cluster_heal(tikv_cluster *cluster, uint64_t id);

/* ---- commands ---- */

/* One command of the language that tikv-playground takes on its standard
 * input, on "POST /playground" at PD's ports and from `tikv-cli cluster`:
 * "split 6b", "store stop 2". The answer, "ok ..." or "error ...", is copied
 * as far as it fits, with a terminator; its whole length. */
TIKV_API size_t
tikv_cluster_command(tikv_cluster *cluster, const char *line, char *buffer,
                     size_t size);

/* ---- what the cluster saw ---- */

/* Requests of a method so far: "tikv.RawGet", "pd.Tso", ...; a request
 * inside BatchCommands counts by its own name, the message that carried it as
 * "tikv.BatchCommands". NULL: all requests but those messages. */
TIKV_API uint64_t
tikv_cluster_calls(tikv_cluster *cluster, const char *method);

/* How often a method, or any (NULL), has met "region_error:KIND",
 * "key_error:KIND" or "fault:ACTION". */
TIKV_API uint64_t
tikv_cluster_seen(tikv_cluster *cluster, const char *method, const char *what);

TIKV_END_DECLS

#endif
