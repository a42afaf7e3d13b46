/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that move money and count: the sum never changes, whatever the
 * strategy and however regions split meanwhile; and writers of one key never
 * overlap in time. timeout: 300
 */
#include "client/txn_words.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "exec/runtime.h"

static const char *const two_phases[] = { TXN_2PC, NULL };
static const char *const async[] = { TXN_ASYNC, NULL };
static const char *const either[] = { NULL };

/* ---- transfers ---- */

enum { ACCOUNTS = 100, SUM = 1000, TRANSFERS = 30, TELLERS = 4 };

struct bank {
    struct kv kv;
    _Atomic unsigned open; /* tellers that still move */
    _Atomic unsigned moved;
};

struct teller {
    struct bank *bank;
    unsigned seed;
    bool was_empty;
};

static tikv_slice
account(char *name, size_t size, unsigned number)
{
    return kv_number(name, size, "acc", number);
}

static tikv_error *
read_balance(tikv_txn *txn, unsigned number, long *out)
{
    char name[32];
    tikv_value *value = NULL;
    tikv_error *error =
        tikv_txn_get(txn, account(name, sizeof(name), number), NULL, &value);
    char text[24] = "";

    if (error == NULL) {
        tikv_slice bytes = tikv_value_slice(value);

        snprintf(text, sizeof(text), "%.*s", (int)bytes.len,
                 (const char *)bytes.data);
        *out = strtol(text, NULL, 10);
    }
    tikv_value_free(value);
    return error;
}

static tikv_error *
write_balance(tikv_txn *txn, unsigned number, long balance)
{
    char name[32];
    char text[24];

    snprintf(text, sizeof(text), "%ld", balance);
    return tikv_txn_put(txn, account(name, sizeof(name), number),
                        kv_text(text));
}

static unsigned
draw(unsigned *seed)
{
    *seed = *seed * 1103515245 + 12345;
    return *seed >> 16;
}

/* An empty account gives nothing: the whole is rolled back. */
static tikv_error *
transfer(tikv_txn *txn, void *arg)
{
    struct teller *teller = arg;
    unsigned from = draw(&teller->seed) % ACCOUNTS;
    unsigned to = (from + 1 + draw(&teller->seed) % (ACCOUNTS - 1)) % ACCOUNTS;
    long amount = 1 + (long)(draw(&teller->seed) % (2 * SUM));
    long source = 0;
    long target = 0;
    tikv_error *error = read_balance(txn, from, &source);

    if (error == NULL) {
        error = read_balance(txn, to, &target);
    }
    teller->was_empty = error == NULL && source < amount;
    if (teller->was_empty) {
        return tikv_error_new(TIKV_ERR_USER, "the account is empty");
    }
    if (error == NULL) {
        error = write_balance(txn, from, source - amount);
    }
    return error == NULL ? write_balance(txn, to, target + amount) : error;
}

static void
teller_main(void *arg)
{
    struct teller *teller = arg;
    unsigned i;

    for (i = 0; i < TRANSFERS; i++) {
        tikv_error *error =
            tikv_txn_run(teller->bank->kv.client, NULL, transfer, teller, NULL);

        if (teller->was_empty) {
            kv_fails(error, TIKV_ERR_USER);
        } else {
            kv_ok(error);
            atomic_fetch_add(&teller->bank->moved, 1);
        }
    }
    atomic_fetch_sub(&teller->bank->open, 1);
}

/* One look at all accounts. */
static long
count_money(tikv_client *client)
{
    tikv_range_options options = TIKV_RANGE_OPTIONS_INIT;
    tikv_txn *txn = txn_begin(client);
    tikv_pairs *pairs;
    long sum = 0;
    size_t i;

    options.page_count = ACCOUNTS;
    kv_ok(tikv_txn_scan(txn, kv_range("acc", "acd"), &options, &pairs));
    assert_int_equal(tikv_pairs_count(pairs), ACCOUNTS);
    for (i = 0; i < ACCOUNTS; i++) {
        tikv_slice bytes = tikv_pairs_data(pairs)[i].value;
        char text[24];

        snprintf(text, sizeof(text), "%.*s", (int)bytes.len,
                 (const char *)bytes.data);
        sum += strtol(text, NULL, 10);
    }
    tikv_pairs_free(pairs);
    tikv_txn_free(txn);
    return sum;
}

static void
open_accounts(struct bank *bank)
{
    tikv_txn *txn = txn_begin(bank->kv.client);
    unsigned i;

    for (i = 0; i < ACCOUNTS; i++) {
        kv_ok(write_balance(txn, i, SUM));
    }
    txn_commit(txn);
}

static void
run_bank(const char *const *settings)
{
    const struct kv_plan plan = { .stores = 3, .settings = settings };
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct teller tellers[TELLERS];
    struct tk_thread *threads[TELLERS];
    struct bank bank = { .open = TELLERS };
    unsigned splits = 0;
    unsigned i;

    kv_open(&bank.kv, &plan);
    open_accounts(&bank);
    for (i = 0; i < TELLERS; i++) {
        tellers[i] = (struct teller){ .bank = &bank, .seed = i + 1 };
        threads[i] = rt->ops->spawn(rt, "teller", teller_main, &tellers[i]);
    }
    /* At least one look, while they are at it where that lasts. */
    do {
        char name[32];

        if (splits < ACCOUNTS / 10) {
            (void)account(name, sizeof(name), ++splits * 10 - 5);
            txn_split(&bank.kv, name);
        }
        assert_int_equal(count_money(bank.kv.client), ACCOUNTS * SUM);
    } while (atomic_load(&bank.open) != 0);
    for (i = 0; i < TELLERS; i++) {
        rt->ops->join(rt, threads[i]);
    }
    assert_true(atomic_load(&bank.moved) > 0);
    assert_int_equal(count_money(bank.kv.client), ACCOUNTS * SUM);
    txn_leaves_no_lock(&bank.kv);
    kv_close(&bank.kv);
    tk_runtime_posix_free(rt);
}

static void
bank__keeps_its_sum(void **state)
{
    (void)state;
    run_bank(two_phases);
    run_bank(async);
    run_bank(either);
}

/* ---- one key, many writers ---- */

enum { WRITERS = 10, WRITES = 10 };

struct span {
    uint64_t start_ts;
    uint64_t commit_ts;
};

struct writer {
    tikv_client *client;
    struct span spans[WRITES];
    uint64_t start_ts;
};

static tikv_error *
write_one(tikv_txn *txn, void *arg)
{
    struct writer *writer = arg;

    writer->start_ts = tikv_txn_start_ts(txn);
    return tikv_txn_put(txn, kv_text("hot"), kv_text("v"));
}

static void
writer_main(void *arg)
{
    tikv_txn_options options = TIKV_TXN_OPTIONS_INIT;
    struct writer *writer = arg;
    unsigned i;

    options.attempts_count = 10000;
    options.call.timeout_ms = 120000;
    for (i = 0; i < WRITES; i++) {
        struct span *span = &writer->spans[i];

        kv_ok(tikv_txn_run(writer->client, &options, write_one, writer,
                           &span->commit_ts));
        span->start_ts = writer->start_ts;
    }
}

static int
by_start(const void *a, const void *b)
{
    const struct span *left = a;
    const struct span *right = b;

    return left->start_ts < right->start_ts ? -1
                                            : left->start_ts > right->start_ts;
}

static void
writers__of_one_key_never_overlap(void **state)
{
    const struct kv_plan plan = { .stores = 1 };
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct tk_thread *threads[WRITERS];
    struct writer writers[WRITERS];
    struct span all[WRITERS * WRITES];
    struct kv kv;
    unsigned i;

    (void)state;
    kv_open(&kv, &plan);
    for (i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){ .client = kv.client };
        threads[i] = rt->ops->spawn(rt, "writer", writer_main, &writers[i]);
    }
    for (i = 0; i < WRITERS; i++) {
        rt->ops->join(rt, threads[i]);
        memcpy(&all[i * WRITES], writers[i].spans, sizeof(writers[i].spans));
    }
    qsort(all, WRITERS * WRITES, sizeof(all[0]), by_start);
    for (i = 0; i < WRITERS * WRITES; i++) {
        assert_true(all[i].start_ts < all[i].commit_ts);
        assert_true(i == 0 || all[i - 1].commit_ts <= all[i].start_ts);
    }
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
    tk_runtime_posix_free(rt);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(bank__keeps_its_sum),
        harness_test(writers__of_one_key_never_overlap),
    };

    return harness_run(tests);
}
