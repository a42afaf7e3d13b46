/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request's way through the cluster: the stages it passes, what the fault
 * rules plan for it, and where it may be held. Who is held in the middle of a
 * command has changed nothing yet; it keeps its keys latched and its locks in
 * memory shown, and runs from its start when it goes on, so region checks are
 * made again as they are before a real store proposes. No thread waits.
 *
 *     recv -> pre -> latched -> memlock -> apply -> applied -> send
 *
 * All of it is guarded by the cluster's lock.
 */
#ifndef TK_CLUSTER_FLOW_H
#define TK_CLUSTER_FLOW_H

#include "cluster/inner.h"

enum tk_cl_stage {
    TK_STAGE_RECV,    /* before all checks */
    TK_STAGE_PRE,     /* behind the checks of region and epoch */
    TK_STAGE_LATCHED, /* a write, with the latches of its keys */
    TK_STAGE_MEMLOCK, /* async commit and 1PC: locks shown in memory */
    TK_STAGE_APPLY,   /* a write, just before it is done */
    TK_STAGE_APPLIED, /* done, not answered */
    TK_STAGE_SEND,    /* the last point before the answer */
    TK_STAGES
};

/* ---- plans ---- */

/* A place where requests stop until a test lets them go. Lives as long as
 * the cluster. */
struct tk_cl_gate {
    struct tk_cl_gate *next;
    struct tk_cl_delayed *first; /* in order of arrival */
    uint64_t arrived;            /* so far */
    char name[];
};

struct tk_cl_hold {
    int64_t ns;              /* wait so long; at a gate: at most */
    struct tk_cl_gate *gate; /* or NULL */
    uint64_t rule;           /* reorder: until the rule has met `left` more */
    uint64_t left;
};

enum tk_key_fault_kind {
    TK_KF_LOCKED,
    TK_KF_RETRYABLE,
    TK_KF_ABORT,
    TK_KF_CONFLICT,
    TK_KF_ALREADY_EXIST,
    TK_KF_DEADLOCK,
    TK_KF_COMMIT_TS_EXPIRED,
    TK_KF_TXN_NOT_FOUND,
    TK_KF_COMMIT_TS_TOO_LARGE,
    TK_KF_ASSERTION_FAILED,
    TK_KF_PRIMARY_MISMATCH,
    TK_KF_TXN_LOCK_NOT_FOUND,
    TK_KF_LOCK_UPGRADE_CONFLICT,
    TK_KF_SHARED_LOCK_LOST,
    TK_KEY_FAULTS
};

/* A KeyError that a rule makes; zeros are taken from the request. */
struct tk_cl_key_fault {
    enum tk_key_fault_kind kind;
    uint64_t start_ts; /* of the other transaction */
    uint64_t commit_ts;
    uint64_t min_commit_ts;
    uint64_t ttl;
    uint64_t reason; /* kvrpcpb.WriteConflict.Reason */
};

/* How the answer, or the execution, is bent. */
enum {
    TK_TWIST_PARTIAL = 1,
    TK_TWIST_UNKNOWN_FIELDS = 2,
    TK_TWIST_UNKNOWN_ENUM = 4,
    TK_TWIST_CORRUPT = 8,
    TK_TWIST_KEY_ERROR = 16,
    TK_TWIST_STALE_REGION = 32,
    TK_TWIST_HOLE = 64,
    TK_TWIST_NO_LEADER = 128,
    TK_TWIST_ADDRESS = 256,
    TK_TWIST_WRONG_CLUSTER = 512,
    TK_TWIST_COUNT = 1024,
    TK_TWIST_NOT_SERVING = 2048,
    TK_TWIST_FALLBACK = 4096,
    TK_TWIST_NO_WAKE = 8192,
    TK_TWIST_WAIT_TIMEOUT = 16384,
    TK_TWIST_WAIT_SPURIOUS = 32768,
    TK_TWIST_NO_DETECTOR = 65536
};

enum { TK_LATER_MAX = 4 };

/* What the rules want of one request. */
struct tk_cl_plan {
    struct tk_cl_hold before; /* until it is executed */
    struct tk_cl_hold after;  /* from then until it is answered */
    bool skip;                /* not executed */
    bool silent;              /* not answered */
    bool break_stream;
    bool has_error;
    bool is_reset;     /* the node's connections break */
    bool is_too_large; /* for the limit that is in `number` */
    int status;        /* TK_GRPC_OK: none */
    uint32_t twists;
    uint32_t corruption;
    uint64_t number; /* partial: how many stay; fallback: which key */
    struct tk_cl_error error;
    struct tk_cl_key_fault key_error;
    /* Actions behind "apply": of that rule, unless it is gone by then. */
    struct {
        uint64_t rule;
        bool is_then;
    } later[TK_LATER_MAX];
    size_t later_count;
    uint64_t seen_by; /* a rule that counts who overtakes; 0: none */
};

static inline bool
tk_cl_holds(const struct tk_cl_hold *hold)
{
    return hold->ns > 0;
}

/* ---- fault_plan.c ---- */

void
tk_cl_plan(struct tk_cl_request *request, struct tk_cl_plan *plan);

/* For a message that carries requests. */
void
tk_cl_plan_carrier(struct tk_cl_request *carrier, struct tk_cl_plan *plan);

/* The status that the plan ends a request by; `text` of it has the words. */
int
tk_cl_plan_status(struct tk_cl_request *request,
                  const struct tk_cl_plan *plan);

/* Runs the request as planned, holds aside; the gRPC status. */
int
tk_cl_run_planned(struct tk_cl_request *request, struct tk_cl_plan *plan);

/* ---- stage.c ---- */

/* A request that has stopped in the middle, or has been. */
struct tk_cl_stop {
    struct tk_cl_stop *next; /* of the cluster */
    bool is_stopped;         /* now: the handler has left */
    bool is_again;           /* to run again at once */
    bool wants_latch;        /* others hold its keys */
    bool is_latched;
    bool is_raw;
    struct tk_cl_hold hold;
    struct tk_buf keys;        /* latched: length, bytes, ... */
    struct tk_buf memory_keys; /* shown as locked: the same */
    struct tk_buf seen; /* of a swap: the value that it compares */
    bool has_seen;
    bool has_seen_none;
    struct tk_cl_store *store; /* of the locks in memory */
    uint64_t start_ts;
    struct tk_cl_delayed *delayed;
};

bool
tk_cl_pass_slowly(struct tk_cl_request *request, enum tk_cl_stage stage);

bool
tk_cl_enter_slowly(struct tk_cl_request *request);

/* The request comes to a stage. False: it has stopped or is answered, its
 * handler drops what it has and leaves with OK. */
static inline bool
tk_cl_pass(struct tk_cl_request *request, enum tk_cl_stage stage)
{
    return !request->cluster->is_staged || tk_cl_pass_slowly(request, stage);
}

/* Behind the checks: the stages that all commands have. As above. */
static inline bool
tk_cl_enter(struct tk_cl_request *request)
{
    return !request->cluster->is_staged || tk_cl_enter_slowly(request);
}

/* Takes a lock that readers shall meet while the request is stopped. */
void
tk_cl_stop_show(struct tk_cl_request *request, tikv_slice key,
                struct tk_mvcc_lock *lock);

/* No longer needed: latches, locks in memory. */
void
tk_cl_stop_forget(struct tk_cl_request *request);

/* It waits for a lock: no latches meanwhile. */
void
tk_cl_stop_unlatch(struct tk_cl_request *request);

/* Whether rules or latches want to know of stages. */
void
tk_cl_stage_count(struct tk_cluster *cluster);

/* ---- gate.c ---- */

/* Made at need; NULL without memory. */
struct tk_cl_gate *
tk_cl_gate(struct tk_cluster *cluster, const char *name);

/* The request waits; when it goes on at the latest. */
int64_t
tk_cl_hold_begin(struct tk_cl_delayed *delayed, const struct tk_cl_hold *hold);

void
tk_cl_hold_end(struct tk_cl_delayed *delayed);

/* A request went by the rule: who waits to be overtaken counts. */
void
tk_cl_hold_overtake(struct tk_cluster *cluster, uint64_t rule);

/* Goes on by its timer, now. */
void
tk_cl_delayed_go(struct tk_cl_delayed *delayed);

void
tk_cl_gates_fini(struct tk_cluster *cluster);

/* ---- fault_answer.c ---- */

void
tk_cl_twist(struct tk_cl_request *request, const struct tk_cl_plan *plan);

static inline bool
tk_cl_is_twisted(const struct tk_cl_request *request, uint32_t twist)
{
    return request->plan != NULL && (request->plan->twists & twist) != 0;
}

const char *
tk_cl_key_fault_name(enum tk_key_fault_kind kind);

/* ---- fault_again.c ---- */

/* A request has been executed: those that wait for that come again. */
void
tk_cl_again_executed(struct tk_cl_request *request);

/* No lock held: none of them comes any more. */
void
tk_cl_again_drop(struct tk_cluster *cluster);

void
tk_cl_again_led(struct tk_cluster *cluster, const struct tk_cl_region *region);

/* ---- fault_deed.c: what is owed to the world outside of the lock ---- */

enum tk_cl_debt {
    TK_OWE_DOWN,
    TK_OWE_UP,
    TK_OWE_RESET,
    TK_OWE_CUT,
    TK_OWE_HEAL,
    TK_OWE_LINE
};

void
tk_cl_owe(struct tk_cluster *cluster, tk_node node, enum tk_cl_debt debt);

/* A parker that was asleep and has been rung. */
void
tk_cl_owe_wake(struct tk_cluster *cluster, struct tk_parker *parker);

/* No lock held. */
void
tk_cl_debts_pay(struct tk_cluster *cluster);

/* No lock held: what would end by itself stays. */
void
tk_cl_deeds_drop(struct tk_cluster *cluster);

/* ---- cut.c: who cannot reach whom ---- */

enum { TK_CUT_DROP, TK_CUT_REJECT };

/* Between two parties, in that direction; the mode if so. */
bool
tk_cl_is_cut(const struct tk_cluster *cluster, tk_node from, tk_node to,
             uint32_t *mode);

/* The client, as a party. */
#define TK_PARTY_CLIENT (UINT64_C(1) << 62)

/* ---- delayed.c: requests that run or are answered later ---- */

struct tk_cl_delayed {
    struct tk_timer timer;
    struct tk_cluster *cluster;
    struct tk_cluster_call *call;     /* unary, or NULL */
    struct tk_cluster_stream *stream; /* or NULL: freed in the meantime */
    struct tk_cl_delayed *next;       /* of the stream, or of all unary */
    struct tk_cl_delayed *prev;
    struct tk_cl_gate *gate;      /* where it waits, or NULL */
    struct tk_cl_delayed *behind; /* at the same gate */
    struct tk_cl_delayed *held;   /* of all that wait to be overtaken */
    uint64_t overtaken_at;        /* rule; 0: it does not wait for that */
    uint64_t left;
    uint64_t id; /* in the batch */
    int64_t due; /* while it is parked */
    struct tk_cl_plan plan;
    struct tk_cl_request request; /* its bytes are `body` and `out` */
    struct tk_buf body;
    struct tk_buf out;
    uint32_t starts; /* of the store, when the request came */
    int status;
    bool is_after;   /* executed, and held before the answer */
    bool is_ripe;    /* its time has come, not its turn */
    bool is_done;    /* executed, and not parked */
    bool is_dropped; /* unary: the cluster ends, do not wait any longer */
};

/* A copy of the request; NULL without memory. */
struct tk_cl_delayed *
tk_cl_delayed_new(const struct tk_cl_request *request,
                  const struct tk_cl_plan *plan);

/* Any lock or none. */
void
tk_cl_delayed_free(struct tk_cl_delayed *delayed);

/* Nobody waits for it any more: it leaves gates, queues, latches. */
void
tk_cl_delayed_forget(struct tk_cl_delayed *delayed);

/* Executes unless that has been done, or the node is down by now. */
void
tk_cl_delayed_run(struct tk_cl_delayed *delayed);

/* What is next: when to look at it again, or TK_CL_READY, the answer may be
 * given. The first one begins, others are by its timer. */
#define TK_CL_READY INT64_MIN

/* TK_CL_PARKED: it has been run and waits; else it waits to be run. */
int64_t
tk_cl_delayed_begin(struct tk_cl_delayed *delayed, int status);

/* `status` of a request that has been run already, with its answer. */
int64_t
tk_cl_delayed_begin_after(struct tk_cl_delayed *delayed, int status,
                          const struct tk_buf *out);

int64_t
tk_cl_delayed_step(struct tk_cl_delayed *delayed);

/* When to look at one that is parked. */
int64_t
tk_cl_delayed_due(const struct tk_cl_delayed *delayed);

/* One less; unlocks, and rings who waits for the last. */
void
tk_cl_delayed_gone(struct tk_cluster *cluster);

#endif
