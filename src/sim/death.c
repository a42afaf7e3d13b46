/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client that dies between any two of its messages: for each strategy of
 * commit, on one region and on several, the same transaction is made by one
 * process after the other. Each dies one message later than the one before,
 * counted from the begin; one of two hears the answer to its last message
 * before that. Nothing else breaks.
 *
 * Another client then reads what it wrote, resolving what lies in its way:
 * all of it or nothing, all when the dead one had been told so, and as
 * tikv_txn_outcome() says when it was in doubt. No lock stays.
 */
#include "exec/runtime.h"
#include "sim/deal.h"
#include "sim/memory_transport.h"

enum { KEYS = 5, MESSAGES_MAX = 64, TIMEOUT_MS = 400 };

struct way {
    tikv_switch async_commit;
    tikv_switch one_phase;
    bool is_split;
};

static const struct way ways[] = {
    { TIKV_OFF, TIKV_OFF, false }, { TIKV_ON, TIKV_OFF, false },
    { TIKV_OFF, TIKV_ON, false },  { TIKV_OFF, TIKV_OFF, true },
    { TIKV_ON, TIKV_OFF, true },   { TIKV_ON, TIKV_ON, true },
};

/* One life: which way, how many messages, and whether it hears the answer to
 * the last of them. */
struct life {
    const struct way *way;
    uint64_t messages;
    bool is_deaf;
};

struct last {
    enum tk_sim_outcome outcome;
    uint64_t start_ts;
    char primary[TK_SIM_TEXT];
    size_t primary_len;
    bool is_over; /* it lived to the end */
};

static tikv_error *
write_all(struct tk_world *world, tikv_txn *txn, uint32_t value)
{
    char text[TK_SIM_TEXT];
    char bytes[TK_SIM_TEXT];
    tikv_error *error = NULL;
    uint32_t i;

    for (i = 0; error == NULL && i < KEYS; i++) {
        error = tikv_txn_put(txn, tk_world_key(world, i, text),
                             tk_world_value(value, bytes));
    }
    return error;
}

static void
count_mode(const tikv_txn_summary *summary, void *arg)
{
    struct tk_world *world = (struct tk_world *)arg;

    if (summary->error == NULL && summary->mode < TK_SIM_MODES) {
        world->counts->modes[summary->mode]++;
    }
}

/* The second seat's process begins, writes, and commits as long as it lives.
 * What it does behind its commit belongs to it, so there is a pause. */
static void
live_and_die(struct tk_world *world, const struct life *life, uint32_t value,
             struct last *last)
{
    struct tk_seat *seat = &world->seats[1];
    tikv_txn_options options = TIKV_TXN_OPTIONS_INIT;
    tikv_call call = TIKV_CALL_INIT;
    tikv_txn *txn = NULL;
    tikv_error *error;
    uint64_t sent;

    *last = (struct last){ .outcome = TK_SIM_FAILED };
    call.timeout_ms = TIMEOUT_MS;
    options.call = call;
    options.call.struct_size = sizeof(options);
    options.async_commit = life->way->async_commit;
    options.one_phase = life->way->one_phase;
    options.on_end = count_mode;
    options.arg = world;
    sent = tk_memory_transport_sent(seat->network);
    tk_memory_transport_kill(seat->network, life->messages, life->is_deaf);
    error = tikv_txn_begin(seat->client, &options, &txn);
    if (error == NULL) {
        last->start_ts = tikv_txn_start_ts(txn);
        error = write_all(world, txn, value);
    }
    if (error == NULL) {
        error = tikv_txn_commit(txn, &call, NULL);
        last->outcome = error == NULL ? TK_SIM_OK
                        : tikv_error_code(error) == TIKV_ERR_UNDETERMINED
                            ? TK_SIM_UNDETERMINED
                            : TK_SIM_FAILED;
    }
    if (last->outcome == TK_SIM_UNDETERMINED) {
        tikv_slice primary = tikv_error_bytes(error, TIKV_ERROR_PRIMARY);

        for (;
             last->primary_len < primary.len && last->primary_len < TK_SIM_TEXT;
             last->primary_len++) {
            last->primary[last->primary_len] =
                (char)primary.data[last->primary_len];
        }
    }
    tk_deal_check_code(world, seat, error);
    tikv_txn_free(txn);
    tk_world_sleep(world, 50 * TK_MS);
    last->is_over =
        !life->is_deaf &&
        tk_memory_transport_sent(seat->network) - sent <= life->messages;
    tikv_error_free(error);
}

static void
hold_to_outcome(struct tk_world *world, struct last *last)
{
    tikv_call call = TIKV_CALL_INIT;
    tikv_outcome outcome = TIKV_OUTCOME_UNKNOWN;
    tikv_slice primary = { (const uint8_t *)last->primary, last->primary_len };
    tikv_error *error;

    if (last->outcome != TK_SIM_UNDETERMINED) {
        return;
    }
    world->counts->undetermined++;
    call.timeout_ms = TK_SIM_FINAL_MS;
    error = tikv_txn_outcome(world->seats[0].client, last->start_ts, primary,
                             &call, &outcome, NULL);
    if (error == NULL && outcome != TIKV_OUTCOME_UNKNOWN) {
        bool happened = outcome == TIKV_OUTCOME_COMMITTED;

        world->counts->decided++;
        world->counts->happened += happened;
        last->outcome = happened ? TK_SIM_OK : TK_SIM_FAILED;
    } else {
        tk_world_complain(world, "a dead client's doubt stays\n");
    }
    tikv_error_free(error);
}

/* The value that all keys have; TK_SIM_NONE when they differ. */
static uint32_t
read_one_value(struct tk_world *world)
{
    tikv_read_options read = TIKV_READ_OPTIONS_INIT;
    tikv_txn *txn = NULL;
    tikv_error *error = tikv_txn_begin(world->seats[0].client, NULL, &txn);
    uint32_t value = 0;
    uint32_t i;

    read.call.timeout_ms = TK_SIM_FINAL_MS;
    for (i = 0; error == NULL && i < KEYS; i++) {
        char text[TK_SIM_TEXT];
        tikv_value *got = NULL;
        uint32_t found;

        /* From the last key on: secondaries, whose primary may be gone. */
        error = tikv_txn_get(txn, tk_world_key(world, KEYS - 1 - i, text),
                             &read, &got);
        found = tk_world_value_of(got);
        tikv_value_free(got);
        value = i == 0 || found == value ? found : TK_SIM_NONE;
    }
    if (error != NULL) {
        tk_world_complain(world, "a reader behind a dead client: %s\n",
                          tikv_error_message(error));
    }
    tikv_txn_free(txn);
    tikv_error_free(error);
    return value;
}

/* How the nth life ended; true: it was long enough to be the last. */
static bool
one_life(struct tk_world *world, const struct life *life, uint32_t *before)
{
    uint32_t value = ++world->values;
    struct last last;
    uint32_t found;
    bool asks_first = tk_rng_below(&world->rng, 2) == 0;

    live_and_die(world, life, value, &last);
    tk_seat_die(world, &world->seats[1], 0, 0);
    world->counts->operations++;
    world->counts->deeds[TK_DEED_DEATH]++;
    if (asks_first) {
        hold_to_outcome(world, &last);
    }
    found = read_one_value(world);
    hold_to_outcome(world, &last);
    if ((found != *before && found != value) ||
        (found == value) != (last.outcome == TK_SIM_OK)) {
        tk_world_complain(world,
                          "way %u, %sdeath after %u messages, said to be %s: "
                          "keys have %u; before %u, after %u\n",
                          (unsigned)(life->way - ways),
                          life->is_deaf ? "deaf " : "",
                          (unsigned)life->messages,
                          last.outcome == TK_SIM_OK ? "committed" : "not",
                          found, *before, value);
    }
    world->counts->ok += found == value;
    world->counts->failed += found != value;
    *before = found == TK_SIM_NONE ? *before : found;
    return last.is_over;
}

static void
audit(struct tk_world *world)
{
    struct life life = {
        .way = &ways[world->options.seed % (sizeof(ways) / sizeof(ways[0]))],
        .is_deaf = true,
    };
    uint32_t before = 0;
    bool is_over = false;
    char text[TK_SIM_TEXT];
    uint32_t i;

    for (i = 1; i < KEYS && life.way->is_split; i++) {
        tikv_error_free(
            tk_cluster_split(world->cluster, tk_world_place(world, i, text)));
    }
    while (!is_over && world->report->len == 0 &&
           life.messages < MESSAGES_MAX) {
        is_over = one_life(world, &life, &before);
        life.messages += !life.is_deaf;
        life.is_deaf = !life.is_deaf;
        tikv_error_free(tk_seat_open(world, &world->seats[1]));
        if (world->seats[1].client == NULL) {
            tk_world_complain(world, "no client follows a dead one\n");
            return;
        }
    }
    if (!is_over) {
        tk_world_complain(world, "%u messages are not enough\n", MESSAGES_MAX);
    }
    tk_deal_end_locks(world);
}

const struct tk_workload tk_workload_death = {
    .is_txn = true,
    .by_hand = true,
    .seats = 2,
    .audit = audit,
};
