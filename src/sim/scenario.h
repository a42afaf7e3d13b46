/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One simulated world from its birth to its end: a cluster, a network, the
 * shipped client, fibers that call it and a nemesis, and the verdict over
 * what they saw. All of it follows from the seed.
 */
#ifndef TK_SIM_SCENARIO_H
#define TK_SIM_SCENARIO_H

#include "base/buf.h"

#define TK_SIM_KEYS_MAX 16
#define TK_SIM_FIBERS_MAX 16

enum tk_sim_deed {
    TK_DEED_NETWORK, /* another policy of delays, losses, duplicates */
    TK_DEED_SPLIT,
    TK_DEED_MERGE,
    TK_DEED_TRANSFER,
    TK_DEED_LEADERLESS,
    TK_DEED_STORE_STOP,
    TK_DEED_STORE_START,
    TK_DEED_STORE_SWAP,
    TK_DEED_PD_TRANSFER,
    TK_DEED_PD_LEADERLESS,
    TK_DEED_PD_STOP,
    TK_DEED_PD_START,
    TK_DEED_PD_RESTART,    /* the leader goes, and comes back */
    TK_DEED_STORE_TROUBLE, /* paused, slow or busy for a while */
    TK_DEED_PEER,          /* becomes a learner or goes, for a while */
    TK_DEED_SAFE_TS,       /* a replica that falls behind for a while */
    TK_DEED_PD_LAG,        /* PD learns late, for a while */
    TK_DEED_AMBUSH,        /* prewrites unanswered, and then a split */
    TK_DEED_FAULT,
    TK_DEED_DEATH, /* of a client's process */
    TK_DEEDS
};

extern const char *const tk_sim_deed_names[TK_DEEDS];

enum tk_sim_workload {
    TK_WORKLOAD_RAW,      /* registers; the verdict is linearizability */
    TK_WORKLOAD_BANK,     /* transfers; the verdict is bank.c's */
    TK_WORKLOAD_REGISTER, /* transactions of a key; linearizability */
    TK_WORKLOAD_APPEND,   /* of several lists; snapshot isolation */
    TK_WORKLOAD_SKEW,     /* that read what others write */
    TK_WORKLOAD_DEATH,    /* one that dies, at each of its messages */
    TK_WORKLOADS
};

extern const char *const tk_sim_workload_names[TK_WORKLOADS];

/* By TIKV_MODE_... */
#define TK_SIM_MODES 4

struct tk_scenario_options {
    uint64_t seed;
    enum tk_sim_workload workload;
    uint32_t fibers; /* zeros: what the seed says */
    uint32_t rounds; /* calls of one fiber */
    uint32_t keys;
};

/* What happened; sums of several scenarios are made with add. */
struct tk_scenario_counts {
    uint64_t operations;
    uint64_t ok;
    uint64_t failed;
    uint64_t undetermined;
    uint64_t decided;             /* of these, by tikv_txn_outcome() */
    uint64_t happened;            /* of these: it was committed */
    uint64_t modes[TK_SIM_MODES]; /* commits */
    uint64_t past;                /* reads at old timestamps */
    uint64_t stamps;              /* timestamps held to the clock */
    uint64_t replicas;            /* snapshots of others than the leader */
    uint64_t stales;              /* of stale reads */
    uint64_t skews;    /* records with write skew, where it is allowed */
    uint64_t guarded;  /* records where it is not */
    uint64_t locks;    /* left behind when all was over, before readers came */
    uint64_t stubborn; /* of these: readers did not resolve them */
    uint64_t swaps;
    uint64_t sends;  /* requests of writes on the wire */
    uint64_t again;  /* sent more than once */
    uint64_t states; /* of the checker */
    uint64_t histories;
    uint64_t closes; /* under load */
    uint64_t steps;
    uint64_t faults; /* times a rule of the cluster acted */
    uint64_t deeds[TK_DEEDS];
};

struct tk_scenario_result {
    bool passed;
    bool hung; /* the world could not be taken down: end the process */
    uint64_t hash;
    struct tk_scenario_counts counts;
    struct tk_buf report; /* why it failed; a readable history */
};

/* Runs it; `result` is finished with tk_scenario_fini(). */
void
tk_scenario_run(const struct tk_scenario_options *options,
                struct tk_scenario_result *result);

void
tk_scenario_fini(struct tk_scenario_result *result);

void
tk_scenario_add(struct tk_scenario_counts *sum,
                const struct tk_scenario_counts *counts);

#endif
