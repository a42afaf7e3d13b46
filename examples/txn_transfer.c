/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Money moves between accounts, by several threads at once, and none is lost:
 * tikv_txn_run() begins, calls the body, commits, and does it again when
 * somebody else was faster. The body reads and writes, nothing else, because
 * it may run many times.
 */
#include <pthread.h>

#include "example.h"

enum { ACCOUNTS = 8, MONEY = 100, THREADS = 4, TRANSFERS = 25 };

struct transfer {
    int from;
    int to;
    int64_t amount;
};

static tikv_client *client;

static tikv_slice
account(int number, char room[32])
{
    snprintf(room, 32, "account/%03d", number);
    return text(room);
}

static tikv_error *
read_balance(tikv_txn *txn, int number, int64_t *out)
{
    char room[32];
    tikv_value *value;
    tikv_error *error =
        tikv_txn_get(txn, account(number, room), NULL, &value);

    if (error == NULL && value == NULL) {
        error = tikv_error_new(TIKV_ERR_USER, "no such account");
    } else if (error == NULL) {
        memcpy(out, tikv_value_slice(value).data, sizeof(*out));
    }
    tikv_value_free(value);
    return error;
}

static tikv_error *
write_balance(tikv_txn *txn, int number, int64_t balance)
{
    char room[32];

    return tikv_txn_put(
        txn, account(number, room),
        (tikv_slice){ (const uint8_t *)&balance, sizeof(balance) });
}

static tikv_error *
transfer(tikv_txn *txn, void *arg)
{
    const struct transfer *t = arg;
    int64_t from, to;
    tikv_error *error;

    if ((error = read_balance(txn, t->from, &from)) != NULL ||
        (error = read_balance(txn, t->to, &to)) != NULL) {
        return error;
    }
    if (from < t->amount) {
        return NULL; /* nothing written: nothing happens */
    }
    if ((error = write_balance(txn, t->from, from - t->amount)) != NULL ||
        (error = write_balance(txn, t->to, to + t->amount)) != NULL) {
        return error;
    }
    return NULL;
}

static tikv_error *
open_accounts(tikv_txn *txn, void *arg)
{
    tikv_error *error = NULL;
    int i;

    (void)arg;
    for (i = 0; error == NULL && i < ACCOUNTS; i++) {
        error = write_balance(txn, i, MONEY);
    }
    return error;
}

static void *
move_money(void *arg)
{
    unsigned seed = *(unsigned *)arg;
    int i;

    for (i = 0; i < TRANSFERS; i++) {
        struct transfer t = { .amount = rand_r(&seed) % MONEY };

        t.from = rand_r(&seed) % ACCOUNTS;
        t.to = (t.from + 1 + rand_r(&seed) % (ACCOUNTS - 1)) % ACCOUNTS;
        must(tikv_txn_run(client, NULL, transfer, &t, NULL), "transfer");
    }
    return NULL;
}

/* All accounts as of one moment, whatever goes on meanwhile. */
static tikv_error *
add_up(tikv_txn *txn, void *arg)
{
    int64_t *sum = arg;
    tikv_error *error = NULL;
    int i;

    *sum = 0;
    for (i = 0; error == NULL && i < ACCOUNTS; i++) {
        int64_t balance = 0;

        error = read_balance(txn, i, &balance);
        *sum += balance;
    }
    return error;
}

int
main(int argc, char **argv)
{
    unsigned seeds[THREADS] = { 1, 2, 3, 4 };
    pthread_t threads[THREADS];
    int64_t sum;
    int i;

    client = open_client(argc, argv);
    must(tikv_txn_run(client, NULL, open_accounts, NULL, NULL), "open");
    for (i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, move_money, &seeds[i]);
    }
    must(tikv_txn_run(client, NULL, add_up, &sum, NULL), "add up");
    expect(sum == ACCOUNTS * MONEY, "the sum while money moves");
    for (i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    must(tikv_txn_run(client, NULL, add_up, &sum, NULL), "add up");
    printf("%d transfers, %lld in all accounts\n", THREADS * TRANSFERS,
           (long long)sum);
    expect(sum == ACCOUNTS * MONEY, "the sum");
    tikv_client_close(client);
    return 0;
}
