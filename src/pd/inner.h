/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this room share. Locks of rank PD, never two at once:
 * members.lock for who PD is, tso.lock for the timestamp queue, one for each
 * lane of questions about regions. The network is never called with one of
 * them held.
 */
#ifndef TK_PD_INNER_H
#define TK_PD_INNER_H

#include "exec/exec.h"
#include "exec/ticker.h"
#include "pd/breaker.h"
#include "pd/interval.h"
#include "pd/pd.h"
#include "pd/query.h"
#include "pd/waiters.h"

struct pdpb_Error;
struct pdpb_Timestamp;
struct pdpb_RequestHeader;
struct tsopb_RequestHeader;
struct tk_round;
struct tk_tso_stream;

struct tk_addresses {
    char **text;
    size_t count;
};

#define TK_MEMBERS_MAX 64
#define TK_ADDRESS_MAX 144

struct tk_members {
    struct tk_mutex lock;
    struct tk_addresses configured; /* fixed after open */
    /* The rest is guarded by the lock. */
    struct tk_addresses known; /* learned ones first, then the configured */
    size_t learned_count;
    int64_t benched_until[TK_MEMBERS_MAX]; /* of those learned */
    struct tk_conn *leader;    /* counted; NULL: none known */
    struct tk_conn *router;    /* the same; of regions, apart from PD */
    bool has_round;
    struct tk_waiters waiters;
    bool round_ok; /* how the last round ended */
    bool round_mismatch;
    char round_reason[160];
    struct tk_alarm alarm;
    _Atomic int64_t failing_since; /* the leader does not answer; 0: it does;
                                    * written under the lock */
    struct tk_breaker breaker; /* of what is asked about regions */
    bool is_closed;
};

/* Batches in the order in which they were begun. */
struct tk_tso_batches {
    struct tk_tso_batch *oldest;
    struct tk_tso_batch *youngest;
};

struct tk_tso {
    struct tk_mutex lock;
    /* All guarded by the lock. */
    struct tk_tso_batches queue; /* the youngest is being filled */
    size_t queued_count;         /* requests in it */
    struct tk_tso_batch *spare;  /* batches to be used again */
    uint64_t serial;             /* of the batch begun last */
    struct tk_tso_stream *streams;
    bool is_opening;
    size_t flying_count; /* batches sent and not answered, of all streams */
    int64_t sent_at;     /* the last of them */
    int64_t round_trip;  /* of batches, smoothed; 0: not known yet */
    int64_t open_again_at; /* streams beside the leader's that are missing */
    uint64_t newest;   /* the largest timestamp handed out so far */
    int64_t newest_at; /* when it came */
    struct tk_alarm alarm; /* the watchdog */
    int64_t sweep_at;      /* no request has an earlier deadline */
    struct tk_alarm filler; /* a batch has waited long enough for more */
    int64_t fill_until;     /* when it is to ring, should it ring just now */
    int64_t queue_since;    /* the queue is not empty since */
    bool is_closed;
};

/* Guarded by tso.lock. */
struct tk_service {
    struct tk_conn *primary; /* counted; NULL: PD gives timestamps itself */
    uint32_t group_id;       /* of keyspaces */
};

/* Guarded by tso.lock. */
struct tk_oracle {
    struct tk_ticker ticker; /* begins once somebody used the newest */
    struct tk_interval interval;
};

struct tk_pd {
    struct tk_exec *exec;
    struct tk_runtime *rt;
    struct tk_rpc *rpc;
    const struct tk_config *config;
    struct tk_log *log;
    uint64_t cluster_id; /* fixed after open */
    struct tk_members members;
    struct tk_tso tso;
    struct tk_service service;
    struct tk_oracle oracle;
    struct tk_lane direct; /* questions about regions to the leader */
    struct tk_lane others; /* to those who only may know */
};

/* ---- members.c ---- */

tikv_error *
tk_members_open(struct tk_pd *pd, struct tk_op *op);

/* The leader's connection, counted; NULL when none is known. */
struct tk_conn *
tk_members_leader(struct tk_pd *pd);

/* Asks all members who leads; joins a round that is under way. NULL when a
 * leader was found. */
tikv_error *
tk_members_refresh(struct tk_pd *pd, struct tk_op *op)
    __attribute__((warn_unused_result));

void
tk_members_close(struct tk_pd *pd);

/* ---- followers.c ---- */

/* How the leader is asked: itself, through a member that passes on what only
 * the leader can answer, or through all of them (timestamps only). */
enum tk_plan { TK_PLAN_LEADER, TK_PLAN_AROUND, TK_PLAN_SPREAD };

/* Takes no lock. */
enum tk_plan
tk_members_plan(struct tk_pd *pd);

/* A member that does not lead and has not been benched, counted; NULL: there
 * is none. */
struct tk_conn *
tk_members_follower(struct tk_pd *pd);

/* It failed to answer: not asked about regions for a while. */
void
tk_members_bench(struct tk_pd *pd, struct tk_conn *follower);

/* Whom to ask what the leader must answer, counted; NULL: nobody is known.
 * *leader is counted too; NULL: it is the leader that is asked. */
struct tk_conn *
tk_members_way(struct tk_pd *pd, struct tk_conn **leader);

/* A member answered a probe, or not. Under members.lock. */
void
tk_members_note(struct tk_pd *pd, const struct tk_conn *conn, bool answered);

struct tk_tso_home;

/* Where timestamps are to be asked for by the plan, at most
 * TK_TSO_HOMES_MAX; 0: nobody is known. */
size_t
tk_members_homes(struct tk_pd *pd, struct tk_tso_home *homes);

struct tk_pd_forward {
    const char *metadata[5];
    char url[160];
};

/* Metadata of a call that is passed on to `leader` (NULL: it is not), and that
 * a follower may answer itself. NULL: none is needed. */
const char *const *
tk_pd_forward(struct tk_pd *pd, struct tk_conn *leader, bool follower_answers,
              struct tk_pd_forward *out);

void
tk_members_fini(struct tk_pd *pd);

/* ---- addresses.c ---- */

/* Splits "a:1,http://b:2"; false without memory. */
bool
tk_addresses_parse(struct tk_addresses *out, const char *text);

/* Adds one, without its scheme, unless it is there; false without memory. */
bool
tk_addresses_add(struct tk_addresses *out, const char *text, size_t len);

void
tk_addresses_fini(struct tk_addresses *addresses);

/* ---- request.c ---- */

/* PD-11: what a text says about who should be asked. */
enum tk_pd_text { TK_PD_TEXT_OTHER, TK_PD_TEXT_LEADER, TK_PD_TEXT_MISMATCH };

enum tk_pd_text
tk_pd_text(const char *text, size_t len);

struct tk_pd_ask {
    enum tk_command command;
    struct tk_encoded body;
    /* Errors of the response header that are an answer all the same; NULL:
     * none. */
    bool (*is_answer)(const struct pdpb_Error *);
};

struct pdpb_RequestHeader *
tk_pd_header(struct tk_pd *pd, struct tk_arena *arena);

/* One call, tried again until it has an answer or is beyond hope. *out is the
 * decoded response, NULL when a header error was the answer. */
tikv_error *
tk_pd_call(struct tk_pd *pd, struct tk_op *op, const struct tk_pd_ask *ask,
           struct tk_arena *arena, const void **out)
    __attribute__((warn_unused_result));

/* The same to one server, once. */
tikv_error *
tk_pd_call_at(struct tk_pd *pd, struct tk_op *op, struct tk_conn *to,
              const char *const *metadata, const struct tk_pd_ask *ask,
              struct tk_arena *arena, const void **out)
    __attribute__((warn_unused_result));

/* The nth pause of kind pdRPC, in ms. */
int64_t
tk_pd_pause_ms(struct tk_pd *pd, unsigned n);

/* Whether regions may be asked about now (PD-12). Whoever was admitted
 * reports. */
bool
tk_pd_admit(struct tk_pd *pd);

void
tk_pd_report(struct tk_pd *pd, enum tk_breaker_result result);

/* What a call that is not admitted ends with. */
tikv_error *
tk_pd_not_admitted(void);

/* ---- routers.c ---- */

/* A router, counted; NULL: none is known. */
struct tk_conn *
tk_router_conn(struct tk_pd *pd);

/* It failed: forgotten until the next look. */
void
tk_router_drop(struct tk_pd *pd, const struct tk_conn *router);

/* Looks for routers in PD's meta storage. */
void
tk_routers_look(struct tk_pd *pd, struct tk_op *op, struct tk_conn *leader);

void
tk_routers_fini(struct tk_pd *pd);

/* ---- tso.c ---- */

void
tk_tso_init(struct tk_pd *pd);

/* Another member leads: the stream goes there. No lock held. */
void
tk_tso_move(struct tk_pd *pd);

void
tk_tso_close(struct tk_pd *pd);

void
tk_tso_fini(struct tk_pd *pd);

/* ---- service.c ---- */

/* Where timestamps come from, as a stream needs it. */
struct tk_tso_home {
    struct tk_conn *conn; /* counted by whoever got it; NULL: nobody known */
    struct tk_conn *leader; /* counted; whom `conn` is to pass requests on to;
                             * NULL: it gives timestamps itself */
    bool is_apart;
    uint32_t group_id;
};

#define TK_TSO_HOMES_MAX 8

/* Asks PD's leader who gives timestamps. An error ends the op; what could not
 * be found out is none. */
tikv_error *
tk_service_look(struct tk_pd *pd, struct tk_op *op)
    __attribute__((warn_unused_result));

/* The least of what the servers of a service apart would give next; *out stays
 * 0 when there is no such service. */
tikv_error *
tk_service_least(struct tk_pd *pd, struct tk_op *op, struct tk_arena *arena,
                 uint64_t *out) __attribute__((warn_unused_result));

/* Who gives them. */
struct tk_tso_home
tk_service_tso(struct tk_pd *pd);

/* `callee`: the address that is meant, which the server checks; or NULL. */
struct tsopb_RequestHeader *
tk_service_header(struct tk_pd *pd, struct tk_arena *arena, uint32_t group_id,
                  const char *callee);

void
tk_service_fini(struct tk_pd *pd);

/* ---- oracle.c ---- */

/* A timestamp of PD's messages, whose physical half is of milliseconds. */
uint64_t
tk_pd_stamp(const struct pdpb_Timestamp *stamp);

void
tk_oracle_init(struct tk_pd *pd);

/* After tk_tso_close(). */
void
tk_oracle_close(struct tk_pd *pd);

#endif
