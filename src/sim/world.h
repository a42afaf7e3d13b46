/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the fibers of one scenario share. One thread, no locks: a fiber is
 * left only inside calls of the client and of the runtime.
 */
#ifndef TK_SIM_WORLD_H
#define TK_SIM_WORLD_H

#include <tikv/tikv.h>

#include "base/rng.h"
#include "cluster/core.h"
#include "rpc/transport.h"
#include "sim/history.h"
#include "sim/record.h"
#include "sim/scenario.h"
#include "sim/timeline.h"

/* A message and a delayed request take no longer than this; a request that
 * was sent is executed within the third, or never. */
#define TK_SIM_MESSAGE_NS (40 * TK_MS)
#define TK_SIM_DELAY_MS 20
#define TK_SIM_LATE_NS (80 * TK_MS)

/* How far behind its deadline an operation may end: one sweep, a hand-over
 * to a worker and its turn. */
#define TK_SIM_SLACK_NS (20 * TK_MS)
#define TK_SIM_STATES_MAX UINT64_C(4000000)

/* What the healed world is given: more than locks live. */
#define TK_SIM_FINAL_MS 60000

/* A transfer of bank.c, and what became of it as far as its fiber knows. */
#define TK_TRANSFERS_MAX 24

enum tk_transfer_fate {
    TK_TRANSFER_NONE,
    TK_TRANSFER_COMMITTED,
    TK_TRANSFER_FAILED,
    TK_TRANSFER_DOUBT
};

struct tk_transfer {
    enum tk_transfer_fate fate;
    uint32_t from;
    uint32_t to;
    int64_t amount;
    uint64_t start_ts; /* of a doubt */
    char primary[64];
    size_t primary_len;
};

/* A client and its network: a process that may die. Its place is then empty
 * until nobody is inside of its calls any more, and taken by another one. */
#define TK_SIM_SEATS_MAX 3

struct tk_seat {
    tikv_client *client;          /* NULL: nobody */
    struct tk_transport *network; /* below the tap */
    tikv_cancel *died;            /* of all calls */
    uint32_t users;               /* fibers inside */
    bool is_dying;
};

/* An undetermined transaction of the record, by what it told of itself. */
#define TK_SIM_DOUBTS_MAX 512

struct tk_doubt {
    uint32_t txn;
    uint64_t start_ts;
    char primary[64];
    size_t primary_len;
};

#define TK_SIM_STAMPS_MAX 1024

struct tk_world {
    struct tk_runtime *rt;
    struct tk_cluster *cluster;
    const struct tk_workload *workload;
    struct tk_seat seats[TK_SIM_SEATS_MAX];
    uint32_t seats_count;
    struct tk_history history; /* of raw operations */
    struct tk_record record;   /* of transactions */
    struct tk_doubt doubts[TK_SIM_DOUBTS_MAX];
    size_t doubts_count;
    struct tk_stamp stamps[TK_SIM_STAMPS_MAX];
    size_t stamps_count;
    struct tk_scenario_options options;
    struct tk_scenario_counts *counts;
    struct tk_buf *report;
    struct tk_rng rng; /* the main fiber's */
    bool is_atomic;
    bool is_guarded;  /* what is read is locked, too */
    bool is_crowded;  /* fewer workers than futures */
    bool is_closing;  /* no call begins any more */
    int64_t pause_ns; /* at most, between the calls of a fiber */
    bool is_over;     /* the nemesis rests; clients are not to give up */
    uint32_t groups;
    uint32_t values;
    /* Of each fiber, which count from 1. */
    struct tk_transfer transfers[TK_SIM_FIBERS_MAX + 1][TK_TRANSFERS_MAX];
};

/* A fiber that calls the client until its rounds are over or it closes. */
struct tk_load {
    struct tk_world *world;
    uint32_t number;
    struct tk_rng rng;
    struct tk_thread *thread;
};

/* ---- workloads ---- */

struct tk_workload {
    bool is_txn;
    bool by_hand; /* its fibers hold objects of a client between calls */
    uint32_t seats;
    uint32_t rounds_max; /* of a fiber; 0: as the seed says */
    tikv_slice (*key_at)(uint32_t key, char *text); /* NULL: tk_world_key */
    void (*open)(struct tk_world *);  /* before anything breaks; NULL */
    void (*run)(void *load);          /* a fiber; NULL: nothing breaks */
    void (*audit)(struct tk_world *); /* of the healed world */
    void (*judge)(struct tk_world *); /* after its end; NULL */
};

extern const struct tk_workload tk_workload_raw;
extern const struct tk_workload tk_workload_bank;
extern const struct tk_workload tk_workload_register;
extern const struct tk_workload tk_workload_append;
extern const struct tk_workload tk_workload_skew;
extern const struct tk_workload tk_workload_death;

/* ---- keys and values: names.c ---- */

/* Room for a key or a value. */
#define TK_SIM_TEXT 64

tikv_slice
tk_world_key(const struct tk_world *world, uint32_t key, char *text);

uint32_t
tk_world_key_of(tikv_slice key);

/* Where regions are cut at that key: as TiKV keeps it. */
tikv_slice
tk_world_place(const struct tk_world *world, uint32_t key, char *text);

/* `value` 0 is absent. */
tikv_slice
tk_world_value(uint32_t value, char *text);

uint32_t
tk_world_value_of(const tikv_value *value);

uint32_t
tk_world_value_of_slice(tikv_slice bytes);

/* Sleeps; not to be ended early. */
void
tk_world_sleep(struct tk_world *world, int64_t ns);

/* A sentence for the report; the scenario has failed. */
void
tk_world_complain(struct tk_world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- clients: seats.c ---- */

/* A client takes the seat. */
tikv_error *
tk_seat_open(struct tk_world *world, struct tk_seat *seat);

/* Under load, unless the fibers are kept out by is_dying. */
void
tk_seat_close(struct tk_seat *seat);

/* What makes its client give up before the time is over is turned off. */
void
tk_seat_calm(struct tk_seat *seat);

/* A seat with a client, which stays until it is left; NULL: no call begins
 * any more. */
struct tk_seat *
tk_seat_enter(struct tk_world *world, struct tk_rng *rng);

void
tk_seat_leave(struct tk_seat *seat);

/* The process dies when it has sent `more` messages or `ns` have passed, and
 * vanishes when its fibers have noticed. */
void
tk_seat_die(struct tk_world *world, struct tk_seat *seat, uint64_t more,
            int64_t ns);

/* ---- load.c ---- */

void
tk_load_run(void *load);

/* Reads every key, one by one and in one batch, as operations of the
 * history; what fails is complained about. */
void
tk_load_read_all(struct tk_world *world);

/* ---- nemesis.c ---- */

struct tk_nemesis {
    struct tk_world *world;
    struct tk_rng rng;
    struct tk_thread *thread;
};

void
tk_nemesis_run(void *nemesis);

/* One that has nothing in mind but clients. */
void
tk_nemesis_reap(void *nemesis);

/* Everything as if nothing had been. */
void
tk_nemesis_heal(struct tk_world *world);

#endif
