/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster without gRPC: PD members and stores as nodes that are called
 * with bytes and answer with bytes. Three ways in, all through here: direct
 * (tests, the simulator), unary gRPC and streams (cluster/serve).
 *
 * Threads: any. One lock, rank CLUSTER, guards the whole state; a message of
 * a batch stream is executed under one hold of it. Answers are given with no
 * lock held, on the thread that called, or on the runtime's timer thread when
 * a fault or a wait delays them.
 */
#ifndef TK_CLUSTER_CORE_H
#define TK_CLUSTER_CORE_H

#include <tikv/cluster.h>

#include "base/buf.h"
#include "exec/runtime.h"

struct tk_cluster;
struct tk_disk;

struct tk_cluster_params {
    uint32_t stores_count; /* zeros as in tikv_cluster_options */
    uint32_t pds_count;
    uint32_t regions_count;
    uint32_t replicas_count;
    uint32_t api;
    uint64_t cluster_id;
    uint64_t seed;
    struct tk_disk *disk; /* what outlives the process; NULL: nothing.
                           * Taken, also when the cluster cannot be made */
    bool keeps_lazily;    /* safe from the process's end alone */
    bool keeps_by_step;   /* no thread: the owner calls tk_cluster_keep() */
    uint64_t log_bytes;   /* that make a checkpoint; 0: 64 MiB */
    bool is_tls; /* how it is served: members have https addresses */
    bool shuffles; /* answers of batches: any grouping, any order */
};

/* Nodes: PD member m is m (0 ..), store s is TK_NODE_STORE | s. */
typedef uint64_t tk_node;
#define TK_NODE_STORE (UINT64_C(1) << 63)

/* gRPC status numbers that the core answers with. */
enum {
    TK_GRPC_OK = 0,
    TK_GRPC_CANCELLED = 1,
    TK_GRPC_UNKNOWN = 2,
    TK_GRPC_INVALID_ARGUMENT = 3,
    TK_GRPC_DEADLINE_EXCEEDED = 4,
    TK_GRPC_NOT_FOUND = 5,
    TK_GRPC_RESOURCE_EXHAUSTED = 8,
    TK_GRPC_FAILED_PRECONDITION = 9,
    TK_GRPC_ABORTED = 10,
    TK_GRPC_OUT_OF_RANGE = 11,
    TK_GRPC_UNIMPLEMENTED = 12,
    TK_GRPC_INTERNAL = 13,
    TK_GRPC_UNAVAILABLE = 14
};

enum tk_cluster_line {
    TK_CLUSTER_LINE_RESET, /* all of them break */
    TK_CLUSTER_LINE_CUT,   /* nothing arrives any more, nobody is told */
    TK_CLUSTER_LINE_HEAL,
    /* New connections in place of the old ones, which are told to go when
     * their calls are done; with another setting from then on. */
    TK_CLUSTER_LINE_GOAWAY,
    TK_CLUSTER_LINE_STREAMS, /* `value` calls at a time each; 0: any */
    TK_CLUSTER_LINE_COMPRESS /* `value` 1: answers by gzip; 0: plain */
};

/* What serving must know of the world outside of the core: called with no
 * lock held, after the core's state has changed. */
struct tk_cluster_events {
    /* The node is to be reachable or not; `new_port` as in store_start: the
     * server listens elsewhere and tells with tk_cluster_set_address().
     * Otherwise it listens at the address the core knows. Stores that trade
     * addresses both go down, then up. */
    void (*up)(void *arg, tk_node node, bool new_port);
    void (*down)(void *arg, tk_node node);
    void *arg;
    /* What a rule does to the connections of a node; may be NULL. */
    void (*line)(void *arg, tk_node node, enum tk_cluster_line line,
                 uint64_t value);
};

/* Services that PD has as their own: where they are is announced, and TSO is
 * to be had from them. They are the members, on the same ports. */
#define TK_CLUSTER_SERVICE_TSO 1u
#define TK_CLUSTER_SERVICE_ROUTER 2u
#define TK_CLUSTER_SERVICE_RESOURCE 4u

/* The runtime gives clock, timers and randomness; it outlives the cluster. */
tikv_error *
tk_cluster_new(struct tk_runtime *rt, const struct tk_cluster_params *params,
               struct tk_cluster **out);

/* No call is in flight and no stream open, except dropped ones. */
void
tk_cluster_free(struct tk_cluster *cluster);

void
tk_cluster_set_events(struct tk_cluster *cluster,
                      const struct tk_cluster_events *events);

/* Where a node is reached: "host:port", what PD tells others. In simulation
 * invented names. Copied. */
void
tk_cluster_set_address(struct tk_cluster *cluster, tk_node node,
                       const char *address);

bool
tk_cluster_get_address(struct tk_cluster *cluster, tk_node node, char *buffer,
                       size_t size);

/* The node reached under an address, if it is up. */
bool
tk_cluster_resolve(struct tk_cluster *cluster, const char *address,
                   tk_node *out);

bool
tk_cluster_is_up(struct tk_cluster *cluster, tk_node node);

uint64_t
tk_cluster_id(struct tk_cluster *cluster);

uint32_t
tk_cluster_stores_count(struct tk_cluster *cluster);

uint32_t
tk_cluster_pds_count(struct tk_cluster *cluster);

/* ---- unary ---- */

struct tk_cluster_call {
    /* Once, with no lock held, or never when a fault drops the answer (then
     * `dropped` is called instead: the answer will not come). Data is
     * borrowed for the call of reply. */
    void (*reply)(struct tk_cluster_call *, int status, const char *message,
                  tikv_slice data);
    void (*dropped)(struct tk_cluster_call *);
    void *owner;
    uint64_t client; /* ordinal of the connection; 0: unknown */
};

/* `path` is "/tikvpb.Tikv/RawGet"; `metadata` key, value, ..., NULL, or
 * NULL. Bytes are read before it returns. The call stays the caller's and
 * must live until reply or dropped, which may come before it returns. */
void
tk_cluster_unary(struct tk_cluster *cluster, tk_node node, const char *path,
                 const char *const *metadata, tikv_slice bytes,
                 struct tk_cluster_call *call);

/* ---- streams: BatchCommands, Tso ---- */

struct tk_cluster_stream;

struct tk_cluster_stream_events {
    /* One message to the client; borrowed bytes; no lock held; any thread,
     * one at a time, in order. */
    void (*message)(void *arg, tikv_slice bytes);
    /* The last event: the stream is over for the server. */
    void (*end)(void *arg, int status, const char *message);
};

/* NULL when the node does not know the method: UNIMPLEMENTED. */
struct tk_cluster_stream *
tk_cluster_stream_open(struct tk_cluster *cluster, tk_node node,
                       const char *path, const char *const *metadata,
                       const struct tk_cluster_stream_events *events,
                       void *arg);

/* On which connection it came, by ordinal; before its first message. */
void
tk_cluster_stream_client(struct tk_cluster_stream *stream, uint64_t client);

/* A message of the client. */
void
tk_cluster_stream_message(struct tk_cluster_stream *stream, tikv_slice bytes);

/* The client half-closes: what is in flight is finished, then end(OK). */
void
tk_cluster_stream_finish(struct tk_cluster_stream *stream);

/* Lets go of the stream at any time; no event comes after it returned. */
void
tk_cluster_stream_free(struct tk_cluster_stream *stream);

/* ---- data ---- */

/* Garbage collection of all regions at once: versions that nobody who reads
 * at `safe_point` or later sees. */
void
tk_cluster_gc(struct tk_cluster *cluster, uint64_t safe_point);

/* ---- on disk ---- */

enum tk_cl_step { TK_CL_STEP_IDLE, TK_CL_STEP_DONE, TK_CL_STEP_FAILED };

/* Where there is no thread for it: keeps what was told, gives the answers
 * that waited for that, goes on with a checkpoint. */
enum tk_cl_step
tk_cluster_keep(struct tk_cluster *cluster);

/* Waits until everything that has happened is kept. */
tikv_error *
tk_cluster_settle(struct tk_cluster *cluster);

/* ---- topology, faults, counters: what <tikv/cluster.h> promises ---- */

uint64_t
tk_cluster_region_of(struct tk_cluster *cluster, tikv_slice key);

size_t
tk_cluster_regions_count(struct tk_cluster *cluster);

/* The nth region in the order of keys: for nemeses. False past the end. */
bool
tk_cluster_region_at(struct tk_cluster *cluster, size_t index, uint64_t *id,
                     struct tk_buf *start);

tikv_error *
tk_cluster_split(struct tk_cluster *cluster, tikv_slice key);

tikv_error *
tk_cluster_merge(struct tk_cluster *cluster, tikv_slice key);

tikv_error *
tk_cluster_merge_prepare(struct tk_cluster *cluster, uint64_t region_id);

tikv_error *
tk_cluster_merge_commit(struct tk_cluster *cluster, uint64_t region_id);

tikv_error *
tk_cluster_merge_rollback(struct tk_cluster *cluster, uint64_t region_id);

tikv_error *
tk_cluster_peer_set(struct tk_cluster *cluster, uint64_t region_id,
                    uint64_t store_id, uint32_t kind);

tikv_error *
tk_cluster_peer_state(struct tk_cluster *cluster, uint64_t region_id,
                      uint64_t store_id, uint32_t state);

tikv_error *
tk_cluster_region_recovering(struct tk_cluster *cluster, uint64_t region_id,
                             bool is_recovering);

tikv_error *
tk_cluster_safe_ts_hold(struct tk_cluster *cluster, uint64_t region_id,
                        uint64_t store_id, uint64_t ts);

tikv_error *
tk_cluster_safe_ts_release(struct tk_cluster *cluster, uint64_t region_id,
                           uint64_t store_id);

uint64_t
tk_cluster_safe_ts(struct tk_cluster *cluster, uint64_t region_id,
                   uint64_t store_id);

tikv_error *
tk_cluster_transfer_leader(struct tk_cluster *cluster, uint64_t region_id,
                           uint64_t store_id);

uint64_t
tk_cluster_leader_of(struct tk_cluster *cluster, uint64_t region_id);

tikv_error *
tk_cluster_store_stop(struct tk_cluster *cluster, uint64_t store_id);

tikv_error *
tk_cluster_store_start(struct tk_cluster *cluster, uint64_t store_id,
                       bool new_port);

tikv_error *
tk_cluster_store_swap(struct tk_cluster *cluster, uint64_t a, uint64_t b);

tikv_error *
tk_cluster_store_remove(struct tk_cluster *cluster, uint64_t store_id);

tikv_error *
tk_cluster_store_busy(struct tk_cluster *cluster, uint64_t store_id,
                      uint32_t wait_ms, bool refuses_writes);

tikv_error *
tk_cluster_store_disk(struct tk_cluster *cluster, uint64_t store_id,
                      uint32_t level);

tikv_error *
tk_cluster_store_slow(struct tk_cluster *cluster, uint64_t store_id,
                      uint32_t latency_ms);

tikv_error *
tk_cluster_store_score(struct tk_cluster *cluster, uint64_t store_id,
                       uint32_t score);

tikv_error *
tk_cluster_store_pause(struct tk_cluster *cluster, uint64_t store_id,
                       bool is_paused);

tikv_error *
tk_cluster_store_offline(struct tk_cluster *cluster, uint64_t store_id,
                         bool is_offline);

tikv_error *
tk_cluster_store_unsynced(struct tk_cluster *cluster, uint64_t store_id,
                          bool is_unsynced);

tikv_error *
tk_cluster_pd_stop(struct tk_cluster *cluster, uint32_t member);

tikv_error *
tk_cluster_pd_start(struct tk_cluster *cluster, uint32_t member);

tikv_error *
tk_cluster_pd_transfer(struct tk_cluster *cluster, uint32_t member);

void
tk_cluster_pd_leaderless(struct tk_cluster *cluster);

void
tk_cluster_pd_lag(struct tk_cluster *cluster, uint32_t ms);

uint32_t
tk_cluster_pd_leader(struct tk_cluster *cluster);

/* ---- PD: what a test sets ---- */

/* TK_CLUSTER_SERVICE_..., at any time. */
void
tk_cluster_set_services(struct tk_cluster *cluster, uint32_t services);

/* What IsSnapshotRecovering tells. */
void
tk_cluster_set_recovering(struct tk_cluster *cluster, bool is_recovering);

/* A region that PD does not know, though it is there; 0: all are known. */
void
tk_cluster_set_hidden(struct tk_cluster *cluster, uint64_t region_id);

/* How long an operator of scattering runs; 0 to begin with. */
void
tk_cluster_set_scatter_ms(struct tk_cluster *cluster, int64_t ms);

/* Timestamps as servers of old with local TSO give them. */
void
tk_cluster_set_suffix_bits(struct tk_cluster *cluster, uint32_t bits);

/* `config` is name, value, ..., NULL, or NULL. Without its regions it is
 * hidden from lookups by name, unless those are shown. */
tikv_error *
tk_cluster_keyspace_create(struct tk_cluster *cluster, const char *name,
                           const char *const *config, bool with_regions,
                           uint32_t *id);

bool
tk_cluster_keyspace_exists(struct tk_cluster *cluster, const char *name);

void
tk_cluster_keyspace_show_unsplit(struct tk_cluster *cluster, bool shows);

/* Buckets of a region, for as long as it is not split or merged: keys with
 * the region's bounds, in order. No keys: none. */
tikv_error *
tk_cluster_set_buckets(struct tk_cluster *cluster, uint64_t region_id,
                       uint64_t version, const tikv_slice *keys,
                       size_t count);

/* A page of a node's HTTP service, JSON appended to `out`; the HTTP status.
 * `target` is path and query, `body` what came behind the head. */
int
tk_cluster_http(struct tk_cluster *cluster, tk_node node, const char *method,
                const char *target, tikv_slice body, struct tk_buf *out);

/* ---- faults ---- */

tikv_error *
tk_cluster_fault(struct tk_cluster *cluster, const char *rule, uint64_t *id);

void
tk_cluster_fault_remove(struct tk_cluster *cluster, uint64_t id);

/* Those with id=NAME. */
void
tk_cluster_fault_remove_named(struct tk_cluster *cluster, const char *name);

uint64_t
tk_cluster_fault_hits(struct tk_cluster *cluster, uint64_t id);

/* The nth rule that is there. False past the end. */
bool
tk_cluster_fault_at(struct tk_cluster *cluster, size_t index, uint64_t *id,
                    uint64_t *hits, struct tk_buf *text);

/* Rules that break things at random, in place of the preset before: "calm",
 * "flaky_net", "leaders_dance", "split_storm", "pd_dance", "undetermined",
 * "everything"; intensity from 0 to 100. */
tikv_error *
tk_cluster_nemesis(struct tk_cluster *cluster, const char *preset,
                   uint32_t intensity, uint64_t seed);

/* NULL past the last. */
const char *
tk_cluster_nemesis_name(size_t index);

/* Servers as old as that: "5.4", or "latest". */
tikv_error *
tk_cluster_version(struct tk_cluster *cluster, const char *version);

/* ---- barriers: do=barrier(NAME) ---- */

/* How many requests stand there. */
uint64_t
tk_cluster_barrier_waiting(struct tk_cluster *cluster, const char *name);

/* Waits until `count` stand there. False: not in time. */
bool
tk_cluster_barrier_wait(struct tk_cluster *cluster, const char *name,
                        uint64_t count, int64_t timeout_ms);

/* Lets all of them go on; `action`, which may be NULL, is what becomes of
 * them instead ("drop_response"). `count` may be NULL. */
tikv_error *
tk_cluster_barrier_release(struct tk_cluster *cluster, const char *name,
                           const char *action, uint64_t *count);

/* ---- the network ---- */

/* Parties are "client", "pdN", "pd*", "storeN", "store*"; `direction` 0 both
 * ways, 1 a to b, 2 b to a. */
tikv_error *
tk_cluster_partition(struct tk_cluster *cluster, const char *a, const char *b,
                     uint32_t direction, bool rejects, uint64_t *id);

/* 0 heals everything. */
void
tk_cluster_heal(struct tk_cluster *cluster, uint64_t id);

/* ---- what was produced ---- */

/* How often the method (NULL: any) has met `what`: "region_error:KIND",
 * "key_error:KIND", "fault:ACTION". */
uint64_t
tk_cluster_seen(struct tk_cluster *cluster, const char *method,
                const char *what);

/* All that is not zero; called with the cluster's lock held. */
void
tk_cluster_seen_each(struct tk_cluster *cluster,
                     void (*each)(void *arg, const char *method,
                                  const char *what, uint64_t count),
                     void *arg);

uint64_t
tk_cluster_calls(struct tk_cluster *cluster, const char *method);

#endif
