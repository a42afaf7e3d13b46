/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transfers between accounts by many fibers, each with a note of itself in
 * the same transaction, while the world breaks. What every commit was said to
 * have done is written down; in the healed world all of it must be true:
 *
 *   - a note is there if, and only if, its transfer was said to be committed;
 *   - doubts are decided by tikv_txn_outcome(), and rightly;
 *   - every balance follows from the notes, so nothing was lost or done twice;
 *   - in every snapshot on the way all accounts hold the same sum.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/slice.h"
#include "sim/deal.h"

enum { BALANCE = 100, OUTCOME_MS = 200, READ_MS = 500 };

static size_t
account_key(uint32_t account, char *text)
{
    return (size_t)snprintf(text, TK_SIM_TEXT, "account/%02u", account);
}

static size_t
note_key(uint32_t fiber, uint32_t number, char *text)
{
    return (size_t)snprintf(text, TK_SIM_TEXT, "note/%02u/%04u", fiber, number);
}

static tikv_slice
bank_key(uint32_t account, char *text)
{
    return tk_slice(text, account_key(account, text));
}

/* ---- bodies of transactions ---- */

static tikv_error *
put_balance(tikv_txn *txn, uint32_t account, int64_t balance)
{
    char key[TK_SIM_TEXT];
    char text[TK_SIM_TEXT];
    int len = snprintf(text, sizeof(text), "%lld", (long long)balance);

    return tikv_txn_put(txn, bank_key(account, key),
                        tk_slice(text, (size_t)len));
}

static bool
read_balance(tikv_slice bytes, int64_t *balance)
{
    char text[TK_SIM_TEXT] = "";
    long long number;

    if (bytes.len == 0 || bytes.len >= sizeof(text)) {
        return false;
    }
    memcpy(text, bytes.data, bytes.len);
    if (sscanf(text, "%lld", &number) != 1) {
        return false;
    }
    *balance = number;
    return true;
}

static tikv_error *
add(struct tk_world *world, tikv_txn *txn, uint32_t account, int64_t amount)
{
    char key[TK_SIM_TEXT];
    tikv_read_options read = TIKV_READ_OPTIONS_INIT;
    tikv_value *value = NULL;
    tikv_error *error;
    int64_t balance;

    read.call.timeout_ms = READ_MS;
    error = tikv_txn_get(txn, bank_key(account, key), &read, &value);
    if (error != NULL) {
        return error;
    }
    if (value == NULL || !read_balance(tikv_value_slice(value), &balance)) {
        tk_world_complain(world, "account %u is gone\n", account);
    } else {
        error = put_balance(txn, account, balance + amount);
    }
    tikv_value_free(value);
    return error;
}

struct task {
    struct tk_world *world;
    const struct tk_transfer *transfer;
    uint32_t fiber;
    uint32_t number;
};

static tikv_error *
move_amount(tikv_txn *txn, void *arg)
{
    const struct task *task = (const struct task *)arg;
    const struct tk_transfer *transfer = task->transfer;
    char key[TK_SIM_TEXT];
    tikv_error *error =
        add(task->world, txn, transfer->from, -transfer->amount);

    if (error == NULL) {
        error = add(task->world, txn, transfer->to, transfer->amount);
    }
    if (error == NULL) {
        error = tikv_txn_insert(
            txn, tk_slice(key, note_key(task->fiber, task->number, key)),
            tk_slice("1", 1));
    }
    return error;
}

static tikv_error *
open_accounts(tikv_txn *txn, void *arg)
{
    const struct tk_world *world = (const struct tk_world *)arg;
    tikv_error *error = NULL;
    uint32_t i;

    for (i = 0; error == NULL && i < world->options.keys; i++) {
        error = put_balance(txn, i, BALANCE);
    }
    return error;
}

static void
open_bank(struct tk_world *world)
{
    tikv_error *error =
        tikv_txn_run(world->seats[0].client, NULL, open_accounts, world, NULL);

    if (error != NULL) {
        tk_world_complain(world, "accounts: %s\n", tikv_error_message(error));
        tikv_error_free(error);
    }
}

/* ---- a fiber ---- */

/* Doubt stays doubt until somebody knows better. */
static void
ask_outcome(struct tk_world *world, const struct tk_seat *seat,
            struct tk_transfer *transfer, uint32_t timeout_ms)
{
    tikv_call call = TIKV_CALL_INIT;
    tikv_outcome outcome = TIKV_OUTCOME_UNKNOWN;
    tikv_error *error;

    call.timeout_ms = timeout_ms;
    call.cancel = seat->died;
    error = tikv_txn_outcome(seat->client, transfer->start_ts,
                             tk_slice(transfer->primary, transfer->primary_len),
                             &call, &outcome, NULL);
    if (error == NULL && outcome != TIKV_OUTCOME_UNKNOWN) {
        transfer->fate = outcome == TIKV_OUTCOME_COMMITTED
                             ? TK_TRANSFER_COMMITTED
                             : TK_TRANSFER_FAILED;
        world->counts->decided++;
        world->counts->happened += outcome == TIKV_OUTCOME_COMMITTED;
    }
    tikv_error_free(error);
}

static void
note_doubt(struct tk_world *world, struct tk_transfer *transfer,
           const tikv_error *error)
{
    tikv_slice primary = tikv_error_bytes(error, TIKV_ERROR_PRIMARY);

    transfer->fate = TK_TRANSFER_DOUBT;
    transfer->start_ts = tikv_error_u64(error, TIKV_ERROR_START_TS);
    transfer->primary_len = primary.len;
    world->counts->undetermined++;
    if (transfer->start_ts == 0 || primary.len == 0 ||
        primary.len > sizeof(transfer->primary)) {
        tk_world_complain(world, "a doubt that does not say about what\n");
        transfer->primary_len = 0;
        return;
    }
    memcpy(transfer->primary, primary.data, primary.len);
}

static void
count_mode(const tikv_txn_summary *summary, void *arg)
{
    struct tk_world *world = (struct tk_world *)arg;

    if (summary->error == NULL && summary->mode < TK_SIM_MODES) {
        world->counts->modes[summary->mode]++;
    }
}

static void
run_transfer(struct tk_load *load, const struct tk_seat *seat,
             struct tk_transfer *transfer, uint32_t number)
{
    struct tk_world *world = load->world;
    struct task task = { world, transfer, load->number, number };
    tikv_txn_options options = TIKV_TXN_OPTIONS_INIT;
    tikv_error *error;

    options.call.timeout_ms = 100 + (uint32_t)tk_rng_below(&load->rng, 2000);
    options.call.cancel = seat->died;
    options.on_end = count_mode;
    options.arg = world;
    options.async_commit =
        tk_rng_below(&load->rng, 3) == 0 ? TIKV_OFF : TIKV_ON;
    options.one_phase = tk_rng_below(&load->rng, 2) == 0 ? TIKV_OFF : TIKV_ON;
    options.causal = tk_rng_below(&load->rng, 4) == 0 ? TIKV_ON : TIKV_OFF;
    world->counts->operations++;
    error = tikv_txn_run(seat->client, &options, move_amount, &task, NULL);
    if (error == NULL) {
        transfer->fate = TK_TRANSFER_COMMITTED;
        world->counts->ok++;
    } else if (tikv_error_code(error) == TIKV_ERR_UNDETERMINED) {
        note_doubt(world, transfer, error);
        if (!world->is_closing && !seat->is_dying &&
            tk_rng_below(&load->rng, 2) == 0) {
            ask_outcome(world, seat, transfer, OUTCOME_MS);
        }
    } else {
        transfer->fate = TK_TRANSFER_FAILED;
        world->counts->failed++;
    }
    tikv_error_free(error);
}

/* All accounts as of one moment. False: it could not be read just now. */
static bool
sum_of_accounts(struct tk_world *world, const struct tk_seat *seat,
                const tikv_call *call, int64_t *sum, int64_t *balances)
{
    tikv_slice keys[TK_SIM_KEYS_MAX];
    char texts[TK_SIM_KEYS_MAX][TK_SIM_TEXT];
    tikv_pairs *pairs = NULL;
    tikv_txn *txn = NULL;
    tikv_txn_options options = TIKV_TXN_OPTIONS_INIT;
    tikv_error *error;
    uint32_t i;

    for (i = 0; i < world->options.keys; i++) {
        keys[i] = bank_key(i, texts[i]);
    }
    options.call.timeout_ms = call->timeout_ms;
    error = tikv_txn_begin(seat->client, &options, &txn);
    if (error == NULL) {
        tikv_read_options read = TIKV_READ_OPTIONS_INIT;

        read.call = *call;
        error =
            tikv_txn_batch_get(txn, keys, world->options.keys, &read, &pairs);
    }
    *sum = 0;
    for (i = 0; error == NULL && i < world->options.keys; i++) {
        if (!read_balance(tikv_pairs_data(pairs)[i].value, &balances[i])) {
            tk_world_complain(world, "account %u is gone\n", i);
        } else {
            *sum += balances[i];
        }
    }
    tikv_pairs_free(pairs);
    tikv_txn_free(txn);
    tikv_error_free(error);
    return pairs != NULL;
}

static void
look_at_sum(struct tk_load *load, const struct tk_seat *seat)
{
    struct tk_world *world = load->world;
    int64_t balances[TK_SIM_KEYS_MAX];
    tikv_call call = TIKV_CALL_INIT;
    int64_t sum;

    call.timeout_ms = 500;
    call.cancel = seat->died;
    if (sum_of_accounts(world, seat, &call, &sum, balances)) {
        world->counts->histories++;
        if (sum != BALANCE * (int64_t)world->options.keys) {
            tk_world_complain(world, "a snapshot holds %lld in all\n",
                              (long long)sum);
        }
    }
}

static void
run(void *arg)
{
    struct tk_load *load = (struct tk_load *)arg;
    struct tk_world *world = load->world;
    uint32_t count = world->options.keys;
    uint32_t i;

    tk_self(world->rt)->is_library = false;
    for (i = 0; i < TK_TRANSFERS_MAX; i++) {
        struct tk_transfer *transfer = &world->transfers[load->number][i];
        struct tk_seat *seat = tk_seat_enter(world, &load->rng);

        if (seat == NULL) {
            return;
        }
        if (tk_rng_below(&load->rng, 4) == 0) {
            look_at_sum(load, seat);
        }
        transfer->from = (uint32_t)tk_rng_below(&load->rng, count);
        transfer->to = (transfer->from + 1 +
                        (uint32_t)tk_rng_below(&load->rng, count - 1)) %
                       count;
        transfer->amount = 1 + (int64_t)tk_rng_below(&load->rng, 9);
        run_transfer(load, seat, transfer, i);
        tk_seat_leave(seat);
        tk_world_sleep(world, (int64_t)tk_rng_below(&load->rng,
                                                    (uint64_t)world->pause_ns));
    }
}

/* ---- the audit of the healed world ---- */

/* Whether the note is there; the snapshot is a fresh one. */
static bool
has_note(struct tk_world *world, uint32_t fiber, uint32_t number, bool *found)
{
    tikv_read_options options = TIKV_READ_OPTIONS_INIT;
    char key[TK_SIM_TEXT];
    tikv_value *value = NULL;
    tikv_txn *txn = NULL;
    tikv_error *error = tikv_txn_begin(world->seats[0].client, NULL, &txn);

    options.call.timeout_ms = TK_SIM_FINAL_MS;
    if (error == NULL) {
        error = tikv_txn_get(txn, tk_slice(key, note_key(fiber, number, key)),
                             &options, &value);
    }
    if (error != NULL) {
        tk_world_complain(world, "a healed cluster: note %u/%u: %s\n", fiber,
                          number, tikv_error_message(error));
    }
    *found = value != NULL;
    tikv_value_free(value);
    tikv_txn_free(txn);
    tikv_error_free(error);
    return error == NULL;
}

static void
audit_transfer(struct tk_world *world, uint32_t fiber, uint32_t number,
               int64_t *balances)
{
    struct tk_transfer *transfer = &world->transfers[fiber][number];
    bool found;

    if (transfer->fate == TK_TRANSFER_NONE) {
        return;
    }
    if (transfer->fate == TK_TRANSFER_DOUBT) {
        ask_outcome(world, &world->seats[0], transfer, TK_SIM_FINAL_MS);
    }
    if (transfer->fate == TK_TRANSFER_DOUBT) {
        tk_world_complain(world, "transfer %u/%u stays in doubt\n", fiber,
                          number);
    }
    if (!has_note(world, fiber, number, &found)) {
        return;
    }
    if (found != (transfer->fate == TK_TRANSFER_COMMITTED)) {
        tk_world_complain(world,
                          "transfer %u/%u was said to be %s; its note "
                          "is %s\n",
                          fiber, number,
                          transfer->fate == TK_TRANSFER_COMMITTED
                              ? "committed"
                              : "not committed",
                          found ? "there" : "missing");
    }
    if (found) {
        balances[transfer->from] -= transfer->amount;
        balances[transfer->to] += transfer->amount;
    }
}

static void
audit(struct tk_world *world)
{
    int64_t wanted[TK_SIM_KEYS_MAX];
    int64_t found[TK_SIM_KEYS_MAX];
    tikv_call call = TIKV_CALL_INIT;
    int64_t sum;
    uint32_t i;
    uint32_t j;

    for (i = 0; i < world->options.keys; i++) {
        wanted[i] = BALANCE;
    }
    for (i = 0; i <= TK_SIM_FIBERS_MAX; i++) {
        for (j = 0; j < TK_TRANSFERS_MAX; j++) {
            audit_transfer(world, i, j, wanted);
        }
    }
    call.timeout_ms = TK_SIM_FINAL_MS;
    if (!sum_of_accounts(world, &world->seats[0], &call, &sum, found)) {
        tk_world_complain(world, "a healed cluster: accounts are silent\n");
        return;
    }
    for (i = 0; i < world->options.keys; i++) {
        if (found[i] != wanted[i]) {
            tk_world_complain(world, "account %u holds %lld, not %lld\n", i,
                              (long long)found[i], (long long)wanted[i]);
        }
    }
    tk_deal_end_locks(world);
    tk_deal_lose(world);
}

const struct tk_workload tk_workload_bank = {
    .is_txn = true,
    .seats = 3,
    .key_at = bank_key,
    .open = open_bank,
    .run = run,
    .audit = audit,
};
