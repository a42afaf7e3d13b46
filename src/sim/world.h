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
#include "sim/scenario.h"

/* A message and a delayed request take no longer than this; a request that
 * was sent is executed within the third, or never. */
#define TK_SIM_MESSAGE_NS (40 * TK_MS)
#define TK_SIM_DELAY_MS 20
#define TK_SIM_LATE_NS (80 * TK_MS)

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

struct tk_world {
    struct tk_runtime *rt;
    struct tk_cluster *cluster;
    struct tk_transport *network; /* below the tap; NULL without a client */
    tikv_client *client;
    struct tk_history history;
    struct tk_scenario_options options;
    struct tk_scenario_counts *counts;
    struct tk_buf *report;
    struct tk_rng rng; /* the main fiber's */
    bool is_atomic;
    bool is_crowded; /* fewer workers than futures and callbacks */
    bool is_closing;  /* no call begins any more */
    int64_t pause_ns; /* at most, between the calls of a fiber */
    bool is_over;     /* the nemesis rests */
    uint32_t groups;
    uint32_t values;
    /* Of each fiber, which count from 1. */
    struct tk_transfer transfers[TK_SIM_FIBERS_MAX + 1][TK_TRANSFERS_MAX];
};

/* ---- keys and values ---- */

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

/* ---- load.c ---- */

/* A fiber that calls the client until its rounds are over or it closes. */
struct tk_load {
    struct tk_world *world;
    uint32_t number;
    struct tk_rng rng;
    struct tk_thread *thread;
};

void
tk_load_run(void *load);

/* Reads every key, one by one and in one batch, as operations of the
 * history; what fails is complained about. */
void
tk_load_read_all(struct tk_world *world);

/* ---- bank.c ---- */

tikv_slice
tk_bank_key(uint32_t account, char *text);

/* Before anything breaks. */
void
tk_bank_open(struct tk_world *world);

void
tk_bank_run(void *load);

void
tk_bank_audit(struct tk_world *world);

/* ---- nemesis.c ---- */

struct tk_nemesis {
    struct tk_world *world;
    struct tk_rng rng;
    struct tk_thread *thread;
};

void
tk_nemesis_run(void *nemesis);

/* Everything as if nothing had been. */
void
tk_nemesis_heal(struct tk_world *world);

#endif
