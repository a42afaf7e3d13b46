/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this room share: the state of the cluster, all of it
 * guarded by one lock of rank CLUSTER, and one request on its way through.
 * Functions named here are called with the lock held unless they say so.
 */
#ifndef TK_CLUSTER_INNER_H
#define TK_CLUSTER_INNER_H

#include "base/rng.h"
#include "cluster/check.h"
#include "cluster/core.h"
#include "cluster/engine.h"
#include "cluster/mvcc.h"
#include "cluster/put.h"
#include "cluster/region.h"
#include "exec/mutex.h"
#include "wire/commands.h"

enum {
    TK_CL_KEY_MAX = 8 * 1024,
    TK_CL_ENTRY_MAX = 8 * 1024 * 1024,
    TK_CL_ADDRESS_MAX = 128
};

struct tk_cl_plan;

/* ---- stores, members ---- */

/* kvrpcpb.DiskFullOpt tells up to which of them a write may go. */
enum tk_cl_disk { TK_CL_DISK_NORMAL, TK_CL_DISK_ALMOST, TK_CL_DISK_FULL_UP };

struct tk_cl_store {
    uint64_t id;
    char address[TK_CL_ADDRESS_MAX];
    bool is_up;
    bool is_removed;
    bool is_offline; /* on its way to be removed */
    bool is_paused;  /* takes requests and does nothing about them */
    enum tk_cl_disk disk;
    uint32_t latency_ms; /* of every request */
    uint32_t starts;     /* how often it has come up */
    int64_t started_ms;
    int64_t beat_ms; /* when it went down; 0 while it is up */
    uint64_t feedbacks;
    int32_t slow_score;
    uint32_t wait_ms; /* what busy thresholds are compared with */
    bool refuses_writes; /* the scheduler is busy */
    int32_t heat;     /* what its latency adds to the score, */
    int64_t heat_ns;  /* as of then; one less a second */
    int64_t load_since;
    int64_t load_ns;
    uint64_t load;
    uint64_t load_floor; /* tells at least so much */
    uint32_t ports; /* invented addresses so far */
    int64_t skew_ms; /* of its clock */
    int64_t safe_ts_lag_ms;
    bool is_safe_ts_held;
    bool is_not_serving; /* what its health service says */
    uint64_t max_ts; /* no commit_ts is computed at or below it */
    bool max_ts_stale; /* a test says so: not synced with PD */
    struct tk_cl_memory_lock *memory_locks;
    struct tk_cl_outcome *outcomes; /* of recent transactions; or NULL */
    struct tk_cl_map queues; /* of who waits for a lock, by key */
};

struct tk_cl_member {
    char address[TK_CL_ADDRESS_MAX];
    bool is_up;
    bool has_led;
};

struct tk_cl_tso {
    int64_t physical_ms;
    int64_t logical;
    int64_t bound_ms; /* what the next leader must pass */
    int64_t tick;     /* wall time of the last one, in steps of 50 ms */
    int64_t frozen_until_ms; /* the physical part stands still */
};

/* ---- requests ---- */

/* What a store reads of kvrpcpb.Context. */
struct tk_cl_context {
    uint64_t region_id;
    uint64_t conf_ver;
    uint64_t version;
    uint64_t peer_id;
    uint64_t store_id;
    uint64_t term;
    uint64_t max_execution_ms;
    uint64_t cluster_id;
    uint64_t api_version;
    uint64_t busy_threshold_ms;
    uint64_t disk_full_opt;
    uint64_t buckets_version;
    uint64_t isolation; /* kvrpcpb.IsolationLevel */
    uint64_t txn_source;
    uint64_t origin; /* kvrpcpb.RequestOrigin */
    bool is_retry;
    bool has_lists; /* resolved_locks, committed_locks */
    bool has_epoch;
    bool replica_read;
    bool stale_read;
};

/* The top-level fields of a message by number: the last bytes and the last
 * number of each. Repeated fields are walked again, tk_cl_each(). */
enum { TK_CL_FIELDS = 17 };

struct tk_cl_fields {
    tikv_slice bytes[TK_CL_FIELDS];
    uint64_t numbers[TK_CL_FIELDS];
    uint32_t counts[TK_CL_FIELDS];
};

struct tk_cl_request {
    struct tk_cluster *cluster;
    const struct tk_cl_method *method;
    struct tk_cl_store *store; /* NULL: at a PD member */
    uint32_t member;
    bool follower_ok; /* pd-allow-follower-handle */
    bool is_quiet;    /* in a stream: no message answers this one */
    bool is_last;     /* in a stream: it ends behind the answer, so: */
    int end_status;
    struct tk_cluster_stream *stream; /* NULL: a unary call */
    tikv_slice body;
    struct tk_cl_fields fields;
    struct tk_cl_context context;
    int64_t arrived; /* ns */
    uint64_t now_s;  /* wall seconds, for TTL */
    struct tk_cl_region *region; /* set by tk_cl_check_region() */
    struct tk_buf *out;          /* the response is appended */
    size_t out_start;
    struct tk_cl_waiter *waiter; /* it has waited for a lock, or does */
    struct tk_cl_plan *plan;     /* while it runs */
    struct tk_cl_stop *stop;     /* flow.h; NULL: it never stopped */
    uint64_t client;             /* ordinal of its connection; 0: unknown */
    uint8_t passed;              /* enum tk_cl_stage, the last one */
    bool is_orphan;              /* nobody waits for the answer */
    char text[160]; /* of a status */
};

/* What a handler gives when there is no answer yet: request->waiter waits
 * for a lock, or request->stop has stopped it. */
enum { TK_CL_PARKED = -1 };

/* Answers into request->out; the result is a gRPC status. */
typedef int tk_cl_handler(struct tk_cl_request *request);

enum {
    TK_CL_WRITE = 1,     /* changes data of a region */
    TK_CL_READ = 2,      /* reads data of a region */
    TK_CL_ANY_CLUSTER = 4, /* no look at the cluster id */
    TK_CL_ANY_MEMBER = 8,  /* PD: any member answers */
    TK_CL_FOLLOWER = 16,   /* PD: a follower may, when it is asked to */
    TK_CL_AT_STORE = 32,   /* where it is known: from the label */
    TK_CL_AT_MEMBER = 64,
    TK_CL_NEEDS_STREAM = 128
};

/* Beside enum tk_command_kind: a stream of requests, one response. */
enum { TK_CL_KIND_UP = 16 };

struct tk_cl_method {
    const char *label; /* "tikv.RawGet" */
    const char *path;
    tk_cl_handler *run; /* NULL: UNIMPLEMENTED */
    uint32_t flags;
    uint32_t slot;         /* in BatchCommands; 0: none */
    uint32_t region_error; /* field of the response; 0: none */
    uint32_t error;        /* field of the command's own; 0: none */
    uint32_t context;      /* field of the request; 0: none */
    uint32_t index;        /* of the counters */
    uint8_t kind;          /* enum tk_command_kind, TK_CL_KIND_UP */
};

/* Behind the commands: methods that no client of ours sends. */
enum { TK_CL_METHODS = TK_COMMANDS + 32 };

struct tk_cluster {
    struct tk_runtime *rt;
    struct tk_mutex lock; /* rank CLUSTER, guards all below */
    struct tk_cluster_events events;
    uint64_t id;
    uint64_t seed;
    uint32_t api;
    bool is_tls;
    uint64_t ids; /* last one given out */
    uint32_t replicas;
    struct tk_engine engine;
    struct tk_mvcc mvcc;
    struct tk_cl_edge *edges; /* of the deadlock detector */
    struct tk_cl_regions regions;
    struct tk_cl_store *stores; /* id - 1 is the place; count is fixed */
    uint32_t stores_count;
    struct tk_cl_member *members; /* count is fixed */
    uint32_t members_count;
    uint32_t leader; /* UINT32_MAX: none */
    bool leader_held; /* leaderless until the next transfer */
    struct tk_cl_tso tso;
    uint32_t scattered; /* where the next scattered leader goes */
    struct tk_cl_pd *pd;
    struct tk_cl_rule *rules;
    uint64_t rules_last;
    bool is_staged; /* somebody wants to know of stages: flow.h */
    struct tk_cl_stop *stops;
    struct tk_cl_gate *gates;
    struct tk_cl_delayed *held;   /* to be overtaken */
    struct tk_cl_delayed *echoes; /* that come again */
    struct tk_cl_watcher *watchers; /* of gates */
    struct tk_cl_undo *undos;       /* of deeds that end by themselves */
    struct tk_buf debts;            /* flow.h, what is owed outside */
    struct tk_buf cuts;             /* cut.c */
    uint64_t cuts_last;
    struct tk_cl_seen_table *seen;  /* seen.c; NULL: nothing yet */
    uint64_t calls[TK_CL_METHODS];
    uint64_t calls_total;
    struct tk_cluster_stream *streams;
    bool has_news; /* some stream has, tk_cl_streams_push() is due */
    struct tk_cl_lag *lags; /* what PD still believes; the oldest first */
    int64_t pd_lag_ms;
    struct tk_cl_destroyed *destroyed; /* ranges that some stores have to */
    struct tk_cl_delayed *delayed; /* unary ones */
    struct tk_cl_keeper *keeper; /* NULL: nothing outlives the process */
    struct tk_buf *journal;      /* the keeper's, for changes; or NULL */
    size_t pending; /* delayed requests, streams' and unary */
    bool shuffles;     /* what batches answer comes in any order, from: */
    struct tk_rng shuffle;
    uint64_t silenced; /* requests that no answer will ever come for */
    struct tk_parker *closer; /* waits for the last of them */
};

/* ---- decode.c ---- */

bool
tk_cl_decode(tikv_slice message, struct tk_cl_fields *out);

/* The next bytes field `number` of a message; `*at` starts as 0. */
bool
tk_cl_each(tikv_slice message, uint32_t number, size_t *at, tikv_slice *out);

/* The same for numbers, packed or not, into a buffer of uint64_t. */
bool
tk_cl_each_number(tikv_slice message, uint32_t number, struct tk_buf *out);

/* Adds what one piece of a Context says. */
bool
tk_cl_context_add(struct tk_cl_context *context, tikv_slice piece);

/* ---- raw.c ---- */

/* Everything before the keys: load, version, column family, region. */
bool
tk_cl_raw_open(struct tk_cl_request *request, uint32_t cf_field,
               enum tk_cf *cf);

/* The command's own error: its text, or a pair with an error. Gives OK. */
int
tk_cl_raw_fail(struct tk_cl_request *request, const char *text);

void
tk_cl_raw_put_pair(struct tk_buf *out, tikv_slice key, tikv_slice value);

/* ---- method.c ---- */

const struct tk_cl_method *
tk_cl_method_by_path(const char *path);

/* Row `index` of the table; its label may be NULL. */
const struct tk_cl_method *
tk_cl_method_at(size_t index);

const struct tk_cl_method *
tk_cl_method_by_slot(uint32_t slot);

const struct tk_cl_method *
tk_cl_method_by_label(const char *label);

/* Sets the text of a status and gives it back. */
int
tk_cl_status(struct tk_cl_request *request, int status, const char *format,
             ...) __attribute__((format(printf, 3, 4)));

/* Checks and runs a request whose body and place are filled in. */
int
tk_cl_run(struct tk_cl_request *request);

/* ---- txn_common.c ---- */

/* What stores keep of transactions. */
void
tk_cl_txn_fini(struct tk_cluster *cluster);

/* The region has a new leader: its store must not commit below what the one
 * before has been read at. Locks in memory move with a plan, else are lost. */
void
tk_cl_txn_lead(struct tk_cluster *cluster, const struct tk_cl_region *region,
               bool is_planned);

/* Everything that the store's memory alone held, but for who waits. */
void
tk_cl_txn_forget(struct tk_cl_store *store);

/* ---- tso.c ---- */

/* The last of `count` timestamps. */
void
tk_cl_tso_take(struct tk_cluster *cluster, uint32_t count, int64_t *physical,
               int64_t *logical);

/* A leader that starts: past everything the one before may have given. */
void
tk_cl_tso_lead(struct tk_cluster *cluster);

/* ---- topology.c ---- */

bool
tk_cl_store_is_up(const struct tk_cluster *cluster, uint64_t store_id);

struct tk_cl_store *
tk_cl_store(struct tk_cluster *cluster, uint64_t store_id);

void
tk_cl_lead(struct tk_cluster *cluster, struct tk_cl_region *region,
           uint64_t peer_id, bool is_planned);

bool
tk_cl_resolve(const struct tk_cluster *cluster, const char *address,
              tk_node *out);

/* The state alone, for deeds of rules: servers are told later. False: it is
 * that way already. */
bool
tk_cl_store_drop(struct tk_cluster *cluster, struct tk_cl_store *store);

bool
tk_cl_store_raise(struct tk_cluster *cluster, struct tk_cl_store *store);

/* ---- members.c: as above ---- */

bool
tk_cl_member_drop(struct tk_cluster *cluster, uint32_t member);

bool
tk_cl_member_raise(struct tk_cluster *cluster, uint32_t member);

void
tk_cl_member_lead(struct tk_cluster *cluster, uint32_t member);

/* ---- fault.c ---- */

void
tk_cl_rules_fini(struct tk_cluster *cluster);

/* ---- stores.c ---- */

/* No lock held: a node has come up or gone down. */
void
tk_cl_tell(struct tk_cluster *cluster, tk_node node, bool up, bool new_port);

/* What the store's state adds to what the rules want of a request. */
void
tk_cl_store_burden(const struct tk_cl_request *request,
                   struct tk_cl_plan *plan);

/* 1 .. 100 */
uint64_t
tk_cl_store_score(struct tk_cluster *cluster,
                  const struct tk_cl_store *store);

/* ---- destroy.c ---- */

void
tk_cl_destroyed_fini(struct tk_cluster *cluster);

/* ---- pd_method.c ---- */

/* PD's rows of the table: `methods` has TK_CL_METHODS places. How many it
 * took behind the commands. */
size_t
tk_cl_pd_methods(struct tk_cl_method *methods);

/* ---- pd_state.c: what PD keeps ---- */

bool
tk_cl_pd_open(struct tk_cluster *cluster);

/* No lock held: its timers end. */
void
tk_cl_pd_close(struct tk_cluster *cluster);

void
tk_cl_pd_free(struct tk_cluster *cluster);

/* Who leads, addresses or services have changed. */
void
tk_cl_pd_publish(struct tk_cluster *cluster);

/* Queues for those who watch what has changed since the last time. */
void
tk_cl_pd_tell(struct tk_cluster *cluster);

/* ---- pd ---- */

/* Field 1 of every answer of PD; type 0 is success. */
void
tk_cl_put_header(struct tk_cl_request *request, uint32_t type,
                 const char *message);

tk_cl_handler tk_cl_raw_get, tk_cl_raw_put, tk_cl_raw_delete,
    tk_cl_raw_batch_get, tk_cl_raw_batch_put, tk_cl_raw_batch_delete,
    tk_cl_raw_ttl, tk_cl_raw_cas, tk_cl_raw_scan, tk_cl_raw_batch_scan,
    tk_cl_raw_delete_range, tk_cl_raw_checksum, tk_cl_raw_coprocessor,
    tk_cl_split_region, tk_cl_health, tk_cl_empty, tk_cl_store_safe_ts,
    tk_cl_check_leader, tk_cl_destroy_range, tk_cl_coprocessor,
    tk_cl_coprocessor_stream,
    tk_cl_flashback_prepare, tk_cl_flashback_finish;
tk_cl_handler tk_cl_txn_get, tk_cl_txn_batch_get, tk_cl_txn_scan,
    tk_cl_txn_buffer_get, tk_cl_txn_prewrite, tk_cl_txn_flush,
    tk_cl_txn_commit, tk_cl_txn_batch_rollback, tk_cl_txn_cleanup,
    tk_cl_txn_heart_beat, tk_cl_txn_check_status,
    tk_cl_txn_check_secondaries, tk_cl_txn_resolve, tk_cl_txn_scan_lock,
    tk_cl_txn_lock, tk_cl_txn_unlock, tk_cl_txn_mvcc_by_key,
    tk_cl_txn_mvcc_by_start, tk_cl_txn_delete_range, tk_cl_txn_broadcast,
    tk_cl_txn_wait_info;
tk_cl_handler tk_cl_pd_members, tk_cl_pd_info, tk_cl_pd_min_ts,
    tk_cl_pd_bootstrapped, tk_cl_pd_alloc_id, tk_cl_pd_recovering,
    tk_cl_pd_store, tk_cl_pd_stores, tk_cl_pd_region, tk_cl_pd_prev_region,
    tk_cl_pd_region_by_id, tk_cl_pd_scan, tk_cl_pd_batch_scan,
    tk_cl_pd_scatter, tk_cl_pd_split, tk_cl_pd_split_scatter,
    tk_cl_pd_operator, tk_cl_pd_tso, tk_cl_pd_query;

/* Field `field`: kvrpcpb.HealthFeedback with the number of the last one;
 * count store->feedbacks up for a new one. */
void
tk_cl_put_health(struct tk_buf *out, uint32_t field,
                 struct tk_cluster *cluster, const struct tk_cl_store *store);

/* ---- call.c ---- */

/* No lock held: unary calls that wait are dropped. */
void
tk_cl_calls_drop(struct tk_cluster *cluster);

struct tk_cl_delayed;

/* A request that waits, whose stream is gone, goes on for nobody; its timer
 * is not armed. */
void
tk_cl_call_adopt(struct tk_cl_delayed *delayed);

/* No lock held: those that wait at the node end now. */
void
tk_cl_calls_break(struct tk_cluster *cluster, tk_node node);

/* ---- txn_wait.c ---- */

/* A parked request goes on by timer. */
void
tk_cl_wait_attach(struct tk_cl_delayed *delayed);

/* The request is given up, it may be while it waits. */
void
tk_cl_wait_forget(struct tk_cl_request *request);

int64_t
tk_cl_wait_deadline(const struct tk_cl_waiter *waiter);

/* ---- call.c ---- */

/* Who a request is for: `node`, or whom its metadata names. A gRPC status;
 * the text of it is in request->text. */
int
tk_cl_address_request(struct tk_cl_request *request, tk_node node,
                      const char *const *metadata);

bool
tk_cl_node_is_up(const struct tk_cluster *cluster, tk_node node);

tk_node
tk_cl_node_of(const struct tk_cl_request *request);

/* ---- stream.c, stream_order.c ---- */

/* The stream of the request ends behind the answer. */
void
tk_cl_stream_last_words(struct tk_cl_request *request, int status,
                        const char *text);

/* The request has more to answer, beginning at a key: the same comes again
 * when this answer is out, faults and all. */
void
tk_cl_stream_go_on(const struct tk_cl_request *request, tikv_slice from);

/* Where it goes on; empty at first. */
tikv_slice
tk_cl_stream_from(const struct tk_cl_request *request);

bool
tk_cl_stream_has_more(const struct tk_cl_request *request);

/* No lock held: streams that others gave something to say, say it. */
void
tk_cl_streams_push(struct tk_cluster *cluster);

/* No lock held: the connections of a node break. */
void
tk_cl_streams_break(struct tk_cluster *cluster, tk_node node);

/* ---- keep.c: answers wait until what they have seen is kept ---- */

struct tk_cl_numbers
tk_cl_numbers(const struct tk_cluster *cluster);

/* What an answer that is made now has seen. */
uint64_t
tk_cl_mark(struct tk_cluster *cluster);

bool
tk_cl_is_kept(const struct tk_cluster *cluster, uint64_t mark);

/* Writes are refused. */
bool
tk_cl_keep_fails(const struct tk_cluster *cluster);

/* True: the answer, with `out`, is given later. False: now. */
bool
tk_cl_hold(struct tk_cluster *cluster, struct tk_cluster_call *call,
           int status, const char *text, struct tk_buf *out);

/* Unlocks, and wakes who keeps what was told meanwhile. */
void
tk_cl_unlock(struct tk_cluster *cluster);

/* ---- cluster.c ---- */

/* Milliseconds since 1970. */
int64_t
tk_cl_wall_ms(struct tk_cluster *cluster);

void
tk_cl_count(struct tk_cluster *cluster, const struct tk_cl_method *method);

#endif
