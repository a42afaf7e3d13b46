/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bank transfers: read two accounts, write them back, commit. Rows differ in
 * the strategy of the commit and in how the calls are made:
 *
 *     futures  one thread, a window of transfers, each in one of the phases
 *              TIMESTAMP --> READ --> COMMIT, the oldest is waited for
 *     threads  blocking calls
 *
 * A conflict is counted and the transfer begun anew. After each row the money
 * is counted.
 */
#include "perf_txn.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "perf_usage.h"

enum { START = 1000, WARMUP_MS = 500, FILL = 1000, CELL = 8 };

enum phase { TIMESTAMP, READ, COMMIT };

struct load {
    struct perf_txn *perf;
    tikv_client *client;
    _Atomic bool must_end;
    _Atomic uint64_t transfers;
    _Atomic uint64_t conflicts;
    _Atomic bool is_broken;
};

struct mover {
    struct load *load;
    pthread_t thread;
    uint64_t random;
};

struct flight {
    enum phase phase;
    tikv_future *future;
    tikv_txn *txn;
    char names[2][32];
    tikv_slice keys[2];
};

static uint64_t
draw(uint64_t *random, uint64_t below)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random % below;
}

static void
choose(struct mover *mover, char names[2][32], tikv_slice keys[2])
{
    uint64_t accounts = mover->load->perf->accounts;
    uint64_t from = draw(&mover->random, accounts);
    uint64_t to =
        accounts < 2
            ? from
            : (from + 1 + draw(&mover->random, accounts - 1)) % accounts;

    keys[0] = perf_txn_key(names[0], sizeof(names[0]), "acc", from);
    keys[1] = perf_txn_key(names[1], sizeof(names[1]), "acc", to);
}

/* ---- one transfer ---- */

static tikv_error *
move(tikv_txn *txn, const tikv_pairs *pairs)
{
    const tikv_pair *data = tikv_pairs_data(pairs);
    tikv_error *error = NULL;
    int i;

    for (i = 0; error == NULL && i < 2; i++) {
        int64_t balance = 0;

        if (data[i].value.len != CELL) {
            return tikv_error_new(TIKV_ERR_USER, "an account is missing");
        }
        memcpy(&balance, data[i].value.data, CELL);
        balance += i == 0 ? -1 : 1;
        error = tikv_txn_put(txn, data[i].key,
                             (tikv_slice){ (const uint8_t *)&balance, CELL });
    }
    return error;
}

/* Takes the error. False when the row is over for good. */
static bool
judge(struct load *load, tikv_error *error)
{
    if (error == NULL) {
        atomic_fetch_add(&load->transfers, 1);
    } else if (tikv_error_is_retryable(error)) {
        atomic_fetch_add(&load->conflicts, 1);
        tikv_error_free(error);
    } else if (!atomic_exchange(&load->is_broken, true)) {
        return perf_txn_ok(error);
    } else {
        tikv_error_free(error);
    }
    return !atomic_load(&load->is_broken);
}

static void *
block(void *arg)
{
    struct mover *mover = arg;
    struct load *load = mover->load;
    bool goes_on = true;

    while (goes_on && !atomic_load(&load->must_end)) {
        char names[2][32];
        tikv_slice keys[2];
        tikv_pairs *pairs = NULL;
        tikv_txn *txn = NULL;
        tikv_error *error = tikv_txn_begin(load->client, NULL, &txn);

        choose(mover, names, keys);
        if (error == NULL) {
            error = tikv_txn_batch_get(txn, keys, 2, NULL, &pairs);
        }
        if (error == NULL) {
            error = move(txn, pairs);
        }
        if (error == NULL) {
            error = tikv_txn_commit(txn, NULL, NULL);
        }
        tikv_pairs_free(pairs);
        tikv_txn_free(txn);
        goes_on = judge(load, error);
    }
    return NULL;
}

/* ---- many by one thread ---- */

static void
launch(struct mover *mover, struct flight *flight)
{
    choose(mover, flight->names, flight->keys);
    flight->phase = TIMESTAMP;
    flight->future = tikv_timestamp_async(mover->load->client, NULL);
}

/* The outcome of a phase, and the next one. True: the transfer is over, with
 * *error. */
static bool
step(struct mover *mover, struct flight *flight, tikv_error **error)
{
    tikv_txn_options options = TIKV_TXN_OPTIONS_INIT;
    tikv_future *future = flight->future;
    tikv_pairs *pairs = NULL;

    flight->future = NULL;
    switch (flight->phase) {
    case TIMESTAMP:
        *error = tikv_future_take_u64(future, &options.start_ts);
        if (*error == NULL) {
            *error =
                tikv_txn_begin(mover->load->client, &options, &flight->txn);
        }
        if (*error == NULL) {
            flight->future =
                tikv_txn_batch_get_async(flight->txn, flight->keys, 2, NULL);
        }
        flight->phase = READ;
        break;
    case READ:
        *error = tikv_future_take_pairs(future, &pairs);
        if (*error == NULL) {
            *error = move(flight->txn, pairs);
        }
        if (*error == NULL) {
            flight->future = tikv_txn_commit_async(flight->txn, NULL);
        }
        flight->phase = COMMIT;
        break;
    case COMMIT:
    default:
        *error = tikv_future_take_u64(future, NULL);
        break;
    }
    tikv_pairs_free(pairs);
    tikv_future_free(future);
    return flight->future == NULL;
}

static void *
promise(void *arg)
{
    struct mover *mover = arg;
    struct load *load = mover->load;
    uint64_t window = load->perf->outstanding;
    struct flight *flights = calloc(window, sizeof(*flights));
    bool goes_on = flights != NULL;
    uint64_t flying = 0;
    uint64_t at;

    for (; goes_on && flying < window; flying++) {
        launch(mover, &flights[flying]);
    }
    for (at = 0; flying > 0; at = (at + 1) % window) {
        struct flight *flight = &flights[at];
        tikv_error *error = NULL;

        if (flight->future == NULL ||
            !tikv_future_wait(flight->future, 60000) ||
            !step(mover, flight, &error)) {
            continue;
        }
        tikv_txn_free(flight->txn);
        flight->txn = NULL;
        goes_on = judge(load, error) && goes_on;
        if (goes_on && !atomic_load(&load->must_end)) {
            launch(mover, flight);
        } else {
            flying--;
        }
    }
    free(flights);
    return NULL;
}

/* ---- rows ---- */

static const struct row {
    const char *name;
    const char *settings[5];
    bool has_threads;
} rows[] = {
    { "2pc, futures",
      { "txn.async_commit", "off", "txn.one_phase", "off", NULL },
      false },
    { "async, futures",
      { "txn.async_commit", "on", "txn.one_phase", "off", NULL },
      false },
    { "1pc, futures",
      { "txn.async_commit", "off", "txn.one_phase", "on", NULL },
      false },
    { "2pc, threads",
      { "txn.async_commit", "off", "txn.one_phase", "off", NULL },
      true },
    { "async, threads",
      { "txn.async_commit", "on", "txn.one_phase", "off", NULL },
      true },
    { "1pc, threads",
      { "txn.async_commit", "off", "txn.one_phase", "on", NULL },
      true },
};

static bool
fill(struct perf_txn *perf, tikv_client *client)
{
    const int64_t start = START;
    bool is_good = true;
    uint64_t i = 0;

    while (is_good && i < perf->accounts) {
        tikv_txn *txn = NULL;
        uint64_t until = i + FILL;

        is_good = perf_txn_ok(tikv_txn_begin(client, NULL, &txn));
        for (; is_good && i < perf->accounts && i < until; i++) {
            char name[32];

            is_good = perf_txn_ok(
                tikv_txn_put(txn, perf_txn_key(name, sizeof(name), "acc", i),
                             (tikv_slice){ (const uint8_t *)&start, CELL }));
        }
        is_good = is_good && perf_txn_ok(tikv_txn_commit(txn, NULL, NULL));
        tikv_txn_free(txn);
    }
    return is_good;
}

/* The sum of all accounts is what it was. */
static bool
count_money(struct perf_txn *perf, tikv_client *client)
{
    tikv_range rest = { { (const uint8_t *)"acc", 3 },
                        { (const uint8_t *)"acd", 3 } };
    tikv_pairs *pairs = NULL;
    tikv_txn *txn = NULL;
    int64_t sum = 0;
    bool is_good = perf_txn_ok(tikv_txn_begin(client, NULL, &txn));
    bool has_more = is_good;

    while (has_more) {
        tikv_pairs *before = pairs;
        size_t i;

        is_good = perf_txn_ok(tikv_txn_scan(txn, rest, NULL, &pairs));
        tikv_pairs_free(before);
        if (!is_good) {
            pairs = NULL;
            break;
        }
        for (i = 0; i < tikv_pairs_count(pairs); i++) {
            int64_t balance = 0;

            memcpy(&balance, tikv_pairs_data(pairs)[i].value.data, CELL);
            sum += balance;
        }
        has_more = tikv_pairs_next(pairs, &rest);
    }
    tikv_pairs_free(pairs);
    tikv_txn_free(txn);
    if (is_good && sum != (int64_t)perf->accounts * START) {
        fprintf(stderr, "perf-txn: the sum is %" PRId64 "\n", sum);
        is_good = false;
    }
    return is_good;
}

struct figures {
    double per_s;
    double cpu_us;
};

static void
print(const struct perf_txn *perf, const struct row *row,
      const struct figures *got, const struct figures *base, uint64_t conflicts,
      const struct usage *used)
{
    if (perf->json != stdout) {
        printf("%-16s %10.0f transfers/s %6.2fx %8.1f us CPU %6.2fx %8" PRIu64
               " conflicts%s\n",
               row->name, got->per_s,
               base->per_s == 0 ? 0 : got->per_s / base->per_s, got->cpu_us,
               base->cpu_us == 0 ? 0 : got->cpu_us / base->cpu_us, conflicts,
               usage_is_clean(used) ? "" : "  (not a clean run)");
        fflush(stdout);
    }
    if (perf->json != NULL) {
        fprintf(perf->json,
                "{\"row\":\"%s\",\"transfers_per_s\":%.1f,"
                "\"cpu_us_per_transfer\":%.2f,\"conflicts\":%" PRIu64
                ",\"ratio_to_2pc\":%.3f,\"cpu_ratio_to_2pc\":%.3f,"
                "\"steal_ticks\":%" PRIu64 "}\n",
                row->name, got->per_s, got->cpu_us, conflicts,
                base->per_s == 0 ? 0 : got->per_s / base->per_s,
                base->cpu_us == 0 ? 0 : got->cpu_us / base->cpu_us,
                used->steal_ticks);
    }
}

static bool
measure(struct perf_txn *perf, const struct row *row, struct figures *got,
        struct figures *base)
{
    uint64_t count = row->has_threads ? perf->threads : 1;
    struct load load = { .perf = perf,
                         .client = perf_txn_client(perf, row->settings) };
    struct mover *movers = calloc(count, sizeof(*movers));
    struct usage from, to;
    uint64_t done, conflicts, i;
    bool is_good;

    for (i = 0; movers != NULL && load.client != NULL && i < count; i++) {
        movers[i].load = &load;
        movers[i].random = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
        pthread_create(&movers[i].thread, NULL,
                       row->has_threads ? block : promise, &movers[i]);
    }
    usleep(WARMUP_MS * 1000);
    usage_now(&from);
    done = atomic_load(&load.transfers);
    conflicts = atomic_load(&load.conflicts);
    usleep((useconds_t)(perf->duration_s * 1000000));
    usage_now(&to);
    done = atomic_load(&load.transfers) - done;
    conflicts = atomic_load(&load.conflicts) - conflicts;
    atomic_store(&load.must_end, true);
    while (i > 0) {
        pthread_join(movers[--i].thread, NULL);
    }
    to = usage_between(&from, &to);
    got->per_s = (double)done * 1e9 / (double)to.wall_ns;
    got->cpu_us = done == 0 ? 0 : (double)to.cpu_ns / 1e3 / (double)done;
    if (base->per_s == 0) {
        *base = *got;
    }
    print(perf, row, got, base, conflicts, &to);
    is_good = load.client != NULL && movers != NULL && done != 0 &&
              !atomic_load(&load.is_broken) && count_money(perf, load.client);
    tikv_client_close(load.client);
    free(movers);
    return is_good;
}

bool
perf_txn_transfers(struct perf_txn *perf)
{
    static const char *const none[] = { NULL };
    struct figures base[2] = { { 0, 0 }, { 0, 0 } }; /* 2PC of its kind */
    tikv_client *client = perf_txn_client(perf, none);
    bool is_good = client != NULL && fill(perf, client);
    size_t i;

    tikv_client_close(client);
    for (i = 0; is_good && i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct figures got;

        if (perf->only != NULL && strstr(rows[i].name, perf->only) == NULL) {
            continue;
        }
        if (!perf->is_quiet) {
            fprintf(stderr, "perf-txn: %s\n", rows[i].name);
        }
        is_good = measure(perf, &rows[i], &got, &base[rows[i].has_threads]);
    }
    return is_good;
}
