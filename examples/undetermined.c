/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What to do when commit says that it does not know. The request that decides
 * a transaction, or its answer, can get lost; then TIKV_ERR_UNDETERMINED is
 * the honest answer, and doing the transaction again might do it twice.
 * tikv_txn_outcome() asks the cluster, and decides the transaction if nobody
 * has yet.
 *
 * Networks seldom lose what an example wants lost: this one gives the commit
 * hardly any time, so that now and then an answer comes too late.
 */
#include "example.h"

enum { ROUNDS = 200 };

struct tally {
    int committed;
    int failed;
    int doubts;
    int turned_out_committed;
};

/* Whatever became of it, after this it is known. */
static void
settle(tikv_client *client, const tikv_error *error, struct tally *tally)
{
    tikv_outcome outcome;
    tikv_call call = TIKV_CALL_INIT;

    tally->doubts++;
    call.timeout_ms = 30000; /* a lock may have to expire first */
    must(tikv_txn_outcome(client, tikv_error_u64(error, TIKV_ERROR_START_TS),
                          tikv_error_bytes(error, TIKV_ERROR_PRIMARY), &call,
                          &outcome, NULL),
         "outcome");
    expect(outcome != TIKV_OUTCOME_UNKNOWN, "an outcome within 30 s");
    tally->turned_out_committed += outcome == TIKV_OUTCOME_COMMITTED;
}

static void
write_once(tikv_client *client, int round, struct tally *tally)
{
    tikv_call call = TIKV_CALL_INIT;
    tikv_error *error;
    char key[32];
    tikv_txn *txn;

    snprintf(key, sizeof(key), "doubt/%04d", round);
    must(tikv_txn_begin(client, NULL, &txn), "begin");
    must(tikv_txn_put(txn, text(key), text("written")), "put");
    call.deadline_ns = tikv_now_ns() + 100000 + round * 10000;
    error = tikv_txn_commit(txn, &call, NULL);
    if (error == NULL) {
        tally->committed++;
    } else if (tikv_error_is_undetermined(error)) {
        settle(client, error, tally);
    } else {
        tally->failed++;
    }
    tikv_error_free(error);
    tikv_txn_free(txn);
}

static int
count_written(tikv_client *client)
{
    const tikv_range all = { text("doubt/"), text("doubt0") };
    tikv_range_options options = TIKV_RANGE_OPTIONS_INIT;
    tikv_pairs *pairs;
    tikv_txn *txn;
    int count;

    options.page_count = 2 * ROUNDS;
    must(tikv_txn_begin(client, NULL, &txn), "begin");
    must(tikv_txn_scan(txn, all, &options, &pairs), "scan");
    count = (int)tikv_pairs_count(pairs);
    tikv_pairs_free(pairs);
    tikv_txn_free(txn);
    return count;
}

int
main(int argc, char **argv)
{
    tikv_client *client = open_client(argc, argv);
    struct tally tally = { 0, 0, 0, 0 };
    int before = count_written(client);
    int i;

    for (i = 0; i < ROUNDS; i++) {
        write_once(client, i, &tally);
    }
    printf("%d committed, %d failed, %d in doubt, of which %d committed\n",
           tally.committed, tally.failed, tally.doubts,
           tally.turned_out_committed);
    expect(before != 0 || count_written(client) ==
                              tally.committed + tally.turned_out_committed,
           "what is there is what was committed");
    tikv_client_close(client);
    return 0;
}
