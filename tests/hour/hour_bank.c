/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions: money moves between accounts and its sum stays. A transfer
 * whose outcome is not known changes nothing about that. */
#include "hour.h"

#include <stdio.h>
#include <string.h>

enum { BALANCE = 1000, COUNT_ONE_IN = 64, PEACE_MS = 60000 };

struct account {
    char name[16];
    tikv_slice key;
};

struct transfer {
    struct account from;
    struct account to;
    uint64_t amount;
};

struct sum {
    struct account accounts[HOUR_ACCOUNTS];
    uint64_t total;
    size_t found;
};

/* Their first bytes are spread over the regions. */
static void
name(struct account *account, uint64_t index)
{
    (void)snprintf(account->name, sizeof(account->name), "%caccount/%02u",
                   (char)(index * 251 / HOUR_ACCOUNTS + 1), (unsigned)index);
    account->key =
        (tikv_slice){ (const uint8_t *)account->name, strlen(account->name) };
}

static tikv_error *
put(tikv_txn *txn, const struct account *account, uint64_t balance)
{
    return tikv_txn_put(
        txn, account->key,
        (tikv_slice){ (const uint8_t *)&balance, sizeof(balance) });
}

static tikv_error *
get(tikv_txn *txn, const struct account *account, uint64_t *balance)
{
    tikv_value *value = NULL;
    tikv_error *error = tikv_txn_get(txn, account->key, NULL, &value);

    *balance = 0;
    if (error == NULL && value != NULL) {
        memcpy(balance, tikv_value_slice(value).data, sizeof(*balance));
    }
    tikv_value_free(value);
    return error;
}

static tikv_error *
move(tikv_txn *txn, void *arg)
{
    struct transfer *transfer = arg;
    uint64_t from = 0, to = 0;
    tikv_error *error = get(txn, &transfer->from, &from);

    if (error == NULL) {
        error = get(txn, &transfer->to, &to);
    }
    if (error == NULL && from >= transfer->amount) {
        error = put(txn, &transfer->from, from - transfer->amount);
        if (error == NULL) {
            error = put(txn, &transfer->to, to + transfer->amount);
        }
    }
    return error;
}

static tikv_error *
add_up(tikv_txn *txn, void *arg)
{
    struct sum *sum = arg;
    tikv_slice keys[HOUR_ACCOUNTS];
    tikv_pairs *pairs = NULL;
    tikv_error *error;
    uint64_t balance;
    size_t i;

    sum->total = 0;
    sum->found = 0;
    for (i = 0; i < HOUR_ACCOUNTS; i++) {
        name(&sum->accounts[i], i);
        keys[i] = sum->accounts[i].key;
    }
    error = tikv_txn_batch_get(txn, keys, HOUR_ACCOUNTS, NULL, &pairs);
    for (i = 0; error == NULL && i < tikv_pairs_count(pairs); i++) {
        const tikv_pair *pair = &tikv_pairs_data(pairs)[i];

        if (pair->value.len == sizeof(balance)) {
            memcpy(&balance, pair->value.data, sizeof(balance));
            sum->total += balance;
            sum->found++;
        }
    }
    tikv_pairs_free(pairs);
    return error;
}

static tikv_error *
fill(tikv_txn *txn, void *arg)
{
    struct sum *sum = arg;
    tikv_error *error = NULL;
    size_t i;

    for (i = 0; error == NULL && i < HOUR_ACCOUNTS; i++) {
        name(&sum->accounts[i], i);
        error = put(txn, &sum->accounts[i], BALANCE);
    }
    return error;
}

/* True: it was done. */
static bool
run(struct hour *hour, tikv_txn_fn *body, void *arg, int64_t timeout_ms)
{
    tikv_txn_options options = TIKV_TXN_OPTIONS_INIT;
    tikv_error *error;

    options.call.timeout_ms = timeout_ms;
    error = tikv_txn_run(hour->client, &options, body, arg, NULL);
    if (error == NULL) {
        return true;
    }
    if (timeout_ms == PEACE_MS) {
        hour_complain(hour, "a transaction in peace: %s",
                      tikv_error_message(error));
        tikv_error_free(error);
    } else {
        (void)hour_take_error(hour, error);
    }
    return false;
}

static void
count(struct hour *hour, int64_t timeout_ms)
{
    struct sum sum;

    if (run(hour, add_up, &sum, timeout_ms) &&
        (sum.found != HOUR_ACCOUNTS ||
         sum.total != (uint64_t)HOUR_ACCOUNTS * BALANCE)) {
        hour_complain(hour, "%zu accounts hold %llu", sum.found,
                      (unsigned long long)sum.total);
    }
}

void *
hour_bank_run(void *arg)
{
    struct hour *hour = arg;
    uint64_t random = hour->seed + (uint64_t)tikv_now_ns();

    while (!atomic_load(&hour->load_must_end)) {
        uint64_t from = hour_random(&random) % HOUR_ACCOUNTS;
        uint64_t step = 1 + hour_random(&random) % (HOUR_ACCOUNTS - 1);
        struct transfer transfer = { .amount = hour_random(&random) % 10 };

        name(&transfer.from, from);
        name(&transfer.to, (from + step) % HOUR_ACCOUNTS);
        if (run(hour, move, &transfer, HOUR_CALL_MS)) {
            atomic_fetch_add(&hour->counters.transfers, 1);
        }
        if (hour_random(&random) % COUNT_ONE_IN == 0) {
            count(hour, HOUR_CALL_MS);
        }
    }
    return NULL;
}

void
hour_bank_open(struct hour *hour)
{
    struct sum sum;

    (void)run(hour, fill, &sum, PEACE_MS);
    count(hour, PEACE_MS);
}

void
hour_bank_check(struct hour *hour)
{
    count(hour, PEACE_MS);
}
