/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks in the healed world: those that the dead and the unlucky have left go
 * when readers come, and a commit that fails while all is well leaves none.
 */
#include <stdio.h>

#include "base/slice.h"
#include "exec/runtime.h"
#include "sim/deal.h"
#include "wire/key.h"

/* How many locks the cluster holds; UINT64_MAX: it did not say. */
static uint64_t
count_locks(struct tk_world *world)
{
    const tikv_range all = { { NULL, 0 }, { NULL, 0 } };
    tikv_call call = TIKV_CALL_INIT;
    tikv_locks *locks = NULL;
    uint64_t count = UINT64_MAX;
    tikv_error *error;

    call.timeout_ms = TK_SIM_FINAL_MS;
    error = tikv_locks_scan(world->seats[0].client, all, 0, 0, &call, &locks);
    if (error == NULL) {
        count = tikv_locks_count(locks);
    } else {
        tk_world_complain(world, "a healed cluster: locks: %s\n",
                          tikv_error_message(error));
    }
    tikv_locks_free(locks);
    tikv_error_free(error);
    return count;
}

/* Everything, page by page. */
static void
read_everything(struct tk_world *world)
{
    tikv_range range = { { NULL, 0 }, { NULL, 0 } };
    tikv_range_options options = TIKV_RANGE_OPTIONS_INIT;
    tikv_pairs *before = NULL;
    tikv_txn *txn = NULL;
    tikv_error *error = tikv_txn_begin(world->seats[0].client, NULL, &txn);
    bool goes_on = true;

    options.call.timeout_ms = TK_SIM_FINAL_MS;
    while (error == NULL && goes_on) {
        tikv_pairs *pairs = NULL;

        error = tikv_txn_scan(txn, range, &options, &pairs);
        goes_on = error == NULL && tikv_pairs_next(pairs, &range);
        tikv_pairs_free(before);
        before = pairs;
    }
    if (error != NULL) {
        tk_world_complain(world, "a healed cluster: a scan: %s\n",
                          tikv_error_message(error));
    }
    tikv_pairs_free(before);
    tikv_txn_free(txn);
    tikv_error_free(error);
}

static void
resolve_all(struct tk_world *world)
{
    const tikv_range all = { { NULL, 0 }, { NULL, 0 } };
    tikv_call call = TIKV_CALL_INIT;
    tikv_error *error;

    call.timeout_ms = TK_SIM_FINAL_MS;
    error = tikv_locks_resolve(world->seats[0].client, all, 0, &call, NULL);
    if (error != NULL) {
        tk_world_complain(world, "a healed cluster: resolving: %s\n",
                          tikv_error_message(error));
    }
    tikv_error_free(error);
}

/* Readers resolve the locks they meet, some behind their backs, and some they
 * only pass as long as those may be alive: it takes rounds. Locks without a
 * value are in no reader's way; they are for who ends all of them. */
void
tk_deal_end_locks(struct tk_world *world)
{
    uint64_t left = count_locks(world);
    uint32_t round;

    world->counts->locks += left == UINT64_MAX ? 0 : left;
    for (round = 0; round < 4 && left != 0 && left != UINT64_MAX; round++) {
        read_everything(world);
        tk_world_sleep(world, 500 * TK_MS);
        left = count_locks(world);
    }
    if (left != 0 && left != UINT64_MAX) {
        world->counts->stubborn += left;
        resolve_all(world);
        left = count_locks(world);
    }
    if (left != 0 && left != UINT64_MAX) {
        tk_world_complain(world, "%llu locks stay for ever\n",
                          (unsigned long long)left);
    }
}

/* ---- a commit that fails ---- */

enum { LOSERS_KEYS = 3 };

/* Keys behind all others, each in a region of its own as far as it goes. */
static tikv_slice
loser_key(uint32_t number, char *text)
{
    return tk_slice(text,
                    (size_t)snprintf(text, TK_SIM_TEXT, "~loser/%u", number));
}

static void
split_losers(struct tk_world *world)
{
    struct tk_buf place;
    char text[TK_SIM_TEXT];
    uint32_t i;

    for (i = 0; i < LOSERS_KEYS; i++) {
        tk_buf_init(&place, TK_SIM_TEXT);
        tk_key_encode(&place, loser_key(i, text));
        tikv_error_free(tk_cluster_split(world->cluster, tk_buf_slice(&place)));
        tk_buf_fini(&place);
    }
}

static tikv_error *
put_losers(tikv_txn *txn, uint32_t first, uint32_t end)
{
    char text[TK_SIM_TEXT];
    tikv_error *error = NULL;
    uint32_t i;

    for (i = first; error == NULL && i < end; i++) {
        error = tikv_txn_put(txn, loser_key(i, text), tk_slice("x", 1));
    }
    return error;
}

/* Somebody else writes one of the keys of a transaction that has begun, which
 * then fails: with the others locked, the primary or secondaries. */
static tikv_error *
lose(struct tk_world *world, uint32_t contested, tikv_switch async_commit)
{
    tikv_client *client = world->seats[0].client;
    tikv_txn_options options = TIKV_TXN_OPTIONS_INIT;
    tikv_txn *loser = NULL;
    tikv_txn *winner = NULL;
    tikv_error *error;

    options.call.timeout_ms = TK_SIM_FINAL_MS;
    options.async_commit = async_commit;
    options.one_phase = TIKV_OFF;
    error = tikv_txn_begin(client, &options, &loser);
    if (error == NULL) {
        error = put_losers(loser, 0, LOSERS_KEYS);
    }
    if (error == NULL) {
        error = tikv_txn_begin(client, &options, &winner);
    }
    if (error == NULL) {
        error = put_losers(winner, contested, contested + 1);
    }
    if (error == NULL) {
        error = tikv_txn_commit(winner, NULL, NULL);
    }
    if (error == NULL) {
        error = tikv_txn_commit(loser, NULL, NULL);
    }
    tikv_txn_free(winner);
    tikv_txn_free(loser);
    return error;
}

void
tk_deal_lose(struct tk_world *world)
{
    uint32_t i;

    split_losers(world);
    for (i = 0; i < 2 * LOSERS_KEYS; i++) {
        tikv_error *error = lose(world, i / 2, i % 2 == 0 ? TIKV_OFF : TIKV_ON);
        uint64_t left;

        if (tikv_error_code(error) != TIKV_ERR_WRITE_CONFLICT) {
            tk_world_complain(world,
                              "a healed cluster: who lost ended %s: %s\n",
                              tikv_code_name(tikv_error_code(error)),
                              tikv_error_message(error));
        }
        tikv_error_free(error);
        tk_world_sleep(world, 500 * TK_MS);
        left = count_locks(world);
        if (left != 0 && left != UINT64_MAX) {
            tk_world_complain(world, "who lost has left %llu locks\n",
                              (unsigned long long)left);
        }
    }
}
