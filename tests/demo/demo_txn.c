/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transactional half: each record of the file is an account, threads move
 * amounts between them and write down each transfer in the same transaction,
 * while the cluster moves and answers get lost. Whatever the commits were
 * said to have done must be true in the end: a transfer's note is there if,
 * and only if, it was committed, and every balance follows from the notes.
 */
#include "demo.h"

#include <stdlib.h>
#include <string.h>

enum {
    BALANCE = 1000,
    LOAD_BATCH = 2000,
    THREADS = 6,
    TRANSFERS = 100, /* of each thread */
    AMOUNT_MAX = 50,
    OUTCOME_MS = 30000
};

static const char *const faults[] = {
    "on=tikv.KvCommit when=prob(0.01) do=region_error(undetermined_result)",
    "on=tikv.KvCommit when=prob(0.01) "
    "do=apply,region_error(undetermined_result)",
    "on=tikv.KvPrewrite when=prob(0.01) "
    "do=apply,region_error(undetermined_result)",
    "on=tikv.KvCommit when=prob(0.04) do=apply,status(UNAVAILABLE)",
    "on=tikv.KvPrewrite when=prob(0.04) do=apply,status(UNAVAILABLE)",
    "on=tikv.KvPrewrite when=prob(0.04) do=status(UNAVAILABLE)",
    "on=tikv.KvGet when=prob(0.02) do=region_error(server_is_busy)",
};

struct transfer {
    const struct demo_data *data;
    size_t from;
    size_t to;
    int64_t amount;
    unsigned thread;
    unsigned number;
};

enum fate { PENDING, COMMITTED, NOT_COMMITTED };

struct mover {
    pthread_t thread;
    tikv_client *client;
    const struct demo_data *data;
    struct demo_step step;
    unsigned number;
    uint64_t random;
    enum fate fates[TRANSFERS];
    struct transfer transfers[TRANSFERS];
    unsigned doubts;
    unsigned decided;
};

/* ---- one transfer ---- */

static size_t
note_key(char *text, size_t size, unsigned thread, unsigned number)
{
    return (size_t)snprintf(text, size, "transfer/%u/%04u", thread, number);
}

static tikv_slice
slice_of(const char *text, size_t len)
{
    return (tikv_slice){ (const uint8_t *)text, len };
}

static tikv_error *
put_number(tikv_txn *txn, tikv_slice key, int64_t number)
{
    char text[32];
    int len = snprintf(text, sizeof(text), "%lld", (long long)number);

    return tikv_txn_put(txn, key, slice_of(text, (size_t)len));
}

static int64_t
number_in(tikv_slice bytes)
{
    char text[32] = "";

    if (bytes.len == 0 || bytes.len >= sizeof(text)) {
        return INT64_MIN;
    }
    memcpy(text, bytes.data, bytes.len);
    return strtoll(text, NULL, 10);
}

static tikv_error *
add(tikv_txn *txn, tikv_slice key, int64_t amount)
{
    tikv_value *value = NULL;
    tikv_error *error = tikv_txn_get(txn, key, NULL, &value);

    if (error == NULL && value != NULL) {
        error = put_number(txn, key,
                           number_in(tikv_value_slice(value)) + amount);
    }
    tikv_value_free(value);
    return error;
}

static tikv_error *
move_amount(tikv_txn *txn, void *arg)
{
    const struct transfer *transfer = arg;
    const struct demo_record *records = transfer->data->records;
    char key[64];
    char note[96];
    size_t key_len = note_key(key, sizeof(key), transfer->thread,
                              transfer->number);
    int note_len = snprintf(note, sizeof(note), "%zu %zu %lld", transfer->from,
                            transfer->to, (long long)transfer->amount);
    tikv_error *error =
        add(txn, demo_key(&records[transfer->from]), -transfer->amount);

    if (error == NULL) {
        error = add(txn, demo_key(&records[transfer->to]), transfer->amount);
    }
    if (error == NULL) {
        error = tikv_txn_insert(txn, slice_of(key, key_len),
                                slice_of(note, (size_t)note_len));
    }
    return error;
}

/* ---- a thread of them ---- */

static uint64_t
random_below(struct mover *mover, uint64_t bound)
{
    mover->random = mover->random * UINT64_C(6364136223846793005) + 1;
    return (mover->random >> 33) % bound;
}

/* What became of a commit whose answer was lost. */
static enum fate
ask_outcome(struct mover *mover, const tikv_error *doubt)
{
    tikv_call call = TIKV_CALL_INIT;
    tikv_outcome outcome = TIKV_OUTCOME_UNKNOWN;
    tikv_error *error;

    call.timeout_ms = OUTCOME_MS;
    error = tikv_txn_outcome(mover->client,
                             tikv_error_u64(doubt, TIKV_ERROR_START_TS),
                             tikv_error_bytes(doubt, TIKV_ERROR_PRIMARY),
                             &call, &outcome, NULL);
    mover->doubts++;
    if (error != NULL || outcome == TIKV_OUTCOME_UNKNOWN) {
        demo_wrong(&mover->step, "no outcome: %s", tikv_error_message(error));
        tikv_error_free(error);
        return PENDING;
    }
    mover->decided++;
    return outcome == TIKV_OUTCOME_COMMITTED ? COMMITTED : NOT_COMMITTED;
}

static enum fate
run_transfer(struct mover *mover, struct transfer *transfer)
{
    tikv_error *error = tikv_txn_run(mover->client, NULL, move_amount,
                                     transfer, NULL);
    enum fate fate = NOT_COMMITTED;

    if (error == NULL) {
        return COMMITTED;
    }
    if (tikv_error_code(error) == TIKV_ERR_UNDETERMINED) {
        fate = ask_outcome(mover, error);
    } else if (tikv_error_code(error) != TIKV_ERR_WRITE_CONFLICT) {
        /* Attempts may run out; nothing else is expected. */
        demo_wrong(&mover->step, "%s", tikv_error_message(error));
    }
    tikv_error_free(error);
    return fate;
}

static void *
move_many(void *arg)
{
    struct mover *mover = arg;
    unsigned i;

    for (i = 0; i < TRANSFERS; i++) {
        size_t from = random_below(mover, mover->data->count);
        size_t step = 1 + random_below(mover, mover->data->count - 1);

        mover->transfers[i] = (struct transfer){
            .data = mover->data,
            .from = from,
            .to = (from + step) % mover->data->count,
            .amount = 1 + (int64_t)random_below(mover, AMOUNT_MAX),
            .thread = mover->number,
            .number = i,
        };
        mover->fates[i] = run_transfer(mover, &mover->transfers[i]);
        mover->step.records += mover->fates[i] == COMMITTED;
    }
    return NULL;
}

static bool
run_movers(struct mover *movers, tikv_client *client,
           const struct demo_data *data)
{
    struct demo_step step = { "transfers, 6 threads", 0, tikv_now_ns(), true };
    unsigned i;

    for (i = 0; i < THREADS; i++) {
        movers[i].client = client;
        movers[i].data = data;
        movers[i].step = step;
        movers[i].number = i;
        movers[i].random = i + 1;
        pthread_create(&movers[i].thread, NULL, move_many, &movers[i]);
    }
    for (i = 0; i < THREADS; i++) {
        pthread_join(movers[i].thread, NULL);
        step.records += movers[i].step.records;
        step.is_right = step.is_right && movers[i].step.is_right;
    }
    return demo_row(&step);
}

/* ---- before ---- */

struct load {
    const struct demo_data *data;
    size_t first;
};

static tikv_error *
load_batch(tikv_txn *txn, void *arg)
{
    const struct load *load = arg;
    tikv_error *error = NULL;
    size_t i;

    for (i = load->first;
         error == NULL && i < load->data->count && i < load->first + LOAD_BATCH;
         i++) {
        error = put_number(txn, demo_key(&load->data->records[i]), BALANCE);
    }
    return error;
}

static bool
open_accounts(tikv_client *client, const struct demo_data *data)
{
    struct demo_step step = { "an account for each record", 0, tikv_now_ns(),
                              true };
    struct load load = { data, 0 };

    for (; load.first < data->count && step.is_right;
         load.first += LOAD_BATCH) {
        tikv_error *error = tikv_txn_run(client, NULL, load_batch, &load, NULL);

        if (error != NULL) {
            demo_wrong(&step, "%s", tikv_error_message(error));
            tikv_error_free(error);
        }
    }
    step.records = data->count;
    return demo_row(&step);
}

/* ---- afterwards ---- */

/* Calls `see` with each pair of the range as of the transaction. */
static bool
each_pair(tikv_txn *txn, const char *begin, const char *end,
          bool (*see)(void *arg, const tikv_pair *pair), void *arg,
          struct demo_step *step)
{
    tikv_range range = { slice_of(begin, strlen(begin)),
                         slice_of(end, strlen(end)) };
    tikv_range_options options = TIKV_RANGE_OPTIONS_INIT;
    tikv_pairs *page = NULL, *before = NULL;
    bool more = true;

    options.page_count = 1000;
    while (more && step->is_right) {
        tikv_error *error = tikv_txn_scan(txn, range, &options, &page);
        size_t i;

        if (error != NULL) {
            demo_wrong(step, "%s", tikv_error_message(error));
            tikv_error_free(error);
        }
        for (i = 0; i < tikv_pairs_count(page); i++) {
            if (!see(arg, &tikv_pairs_data(page)[i])) {
                demo_wrong(step, "a pair that nobody wrote");
            }
            step->records++;
        }
        more = tikv_pairs_next(page, &range);
        tikv_pairs_free(before);
        before = page;
        page = NULL;
    }
    tikv_pairs_free(before);
    return step->is_right;
}

struct audit {
    const struct demo_data *data;
    const struct mover *movers;
    int64_t *balances; /* by the notes, then less what is there */
    int64_t sum;
    size_t at;
    unsigned notes;
};

/* A note says what was asked for, and only of what was committed. */
static bool
see_note(void *arg, const tikv_pair *pair)
{
    struct audit *audit = arg;
    const struct transfer *transfer;
    char key[64] = "", note[96] = "", wanted[96];
    unsigned thread, number;

    if (pair->key.len >= sizeof(key) || pair->value.len >= sizeof(note)) {
        return false;
    }
    memcpy(key, pair->key.data, pair->key.len);
    memcpy(note, pair->value.data, pair->value.len);
    if (sscanf(key, "transfer/%u/%u", &thread, &number) != 2 ||
        thread >= THREADS || number >= TRANSFERS ||
        audit->movers[thread].fates[number] != COMMITTED) {
        return false;
    }
    transfer = &audit->movers[thread].transfers[number];
    snprintf(wanted, sizeof(wanted), "%zu %zu %lld", transfer->from,
             transfer->to, (long long)transfer->amount);
    audit->balances[transfer->from] -= transfer->amount;
    audit->balances[transfer->to] += transfer->amount;
    audit->notes++;
    return strcmp(note, wanted) == 0;
}

static bool
see_account(void *arg, const tikv_pair *pair)
{
    struct audit *audit = arg;
    size_t at = audit->at++;
    int64_t balance = number_in(pair->value);

    audit->sum += balance;
    return at < audit->data->count &&
           demo_same(pair->key, demo_key(&audit->data->records[at])) &&
           balance == audit->balances[at];
}

static bool
audit_all(tikv_txn *txn, struct audit *audit)
{
    struct demo_step notes = { "a note of each transfer, and no other", 0,
                               tikv_now_ns(), true };
    struct demo_step accounts = { "balances and their sum", 0, 0, true };
    unsigned committed = 0;
    unsigned i, j;

    for (i = 0; i < THREADS; i++) {
        for (j = 0; j < TRANSFERS; j++) {
            committed += audit->movers[i].fates[j] == COMMITTED;
        }
    }
    for (i = 0; i < audit->data->count; i++) {
        audit->balances[i] = BALANCE;
    }
    if (each_pair(txn, "transfer/", "transfer0", see_note, audit, &notes) &&
        audit->notes != committed) {
        demo_wrong(&notes, "%u notes of %u transfers", audit->notes,
                   committed);
    }
    demo_row(&notes);
    accounts.started_ns = tikv_now_ns();
    if (each_pair(txn, "unicode/", "unicode0", see_account, audit,
                  &accounts) &&
        (audit->at != audit->data->count ||
         audit->sum != BALANCE * (int64_t)audit->data->count)) {
        demo_wrong(&accounts, "%zu accounts hold %lld", audit->at,
                   (long long)audit->sum);
    }
    return demo_row(&accounts) && notes.is_right;
}

static bool
check_all(tikv_client *client, const struct demo_data *data,
          const struct mover *movers)
{
    struct audit audit = { .data = data, .movers = movers };
    tikv_txn *txn = NULL;
    tikv_error *error = tikv_txn_begin(client, NULL, &txn);
    bool is_right = false;

    audit.balances = calloc(data->count, sizeof(*audit.balances));
    if (error == NULL && audit.balances != NULL) {
        is_right = audit_all(txn, &audit);
    } else {
        fprintf(stderr, "demo: %s\n", tikv_error_message(error));
    }
    tikv_error_free(error);
    tikv_txn_free(txn);
    free(audit.balances);
    return is_right;
}

/* ---- all of it ---- */

static bool
unsettle(struct playground *playground)
{
    char answer[256] = "";
    size_t i;

    for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        if (!playground_ask(playground, answer, sizeof(answer), "fault %s",
                            faults[i])) {
            fprintf(stderr, "demo: fault: %s\n", answer);
            return false;
        }
    }
    return true;
}

static void
tell(const struct demo_unrest *unrest, const struct mover *movers)
{
    unsigned doubts = 0, decided = 0;
    unsigned i;

    for (i = 0; i < THREADS; i++) {
        doubts += movers[i].doubts;
        decided += movers[i].decided;
    }
    printf("  meanwhile: %u splits, %u leader moves, %u restarts, %u "
           "resignations; %u commits in doubt, %u of them decided\n",
           unrest->splits, unrest->moves, unrest->restarts,
           unrest->resignations, doubts, decided);
}

bool
demo_transfers(struct playground *playground, tikv_client *client,
               const struct demo_data *data)
{
    struct demo_unrest unrest = { .playground = playground,
                                  .data = data,
                                  .is_encoded = true };
    struct mover *movers = calloc(THREADS, sizeof(*movers));
    bool is_right = movers != NULL && open_accounts(client, data) &&
                    unsettle(playground);

    if (is_right) {
        demo_unrest_start(&unrest);
        is_right = run_movers(movers, client, data);
        is_right = demo_unrest_stop(&unrest) && is_right;
        tell(&unrest, movers);
        is_right = playground_ask(playground, NULL, 0, "fault clear") &&
                   is_right;
        is_right = check_all(client, data, movers) && is_right;
    }
    free(movers);
    return is_right;
}
