/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A transaction step by step: begin, read, write, savepoints, commit; what a
 * conflict looks like; and a transaction that is given up.
 */
#include "example.h"

static void
show(tikv_txn *txn, const char *key)
{
    tikv_value *value;

    must(tikv_txn_get(txn, text(key), NULL, &value), "get");
    if (value == NULL) {
        printf("%s: nothing\n", key);
    } else {
        tikv_slice bytes = tikv_value_slice(value);

        printf("%s: %.*s\n", key, (int)bytes.len, (const char *)bytes.data);
    }
    tikv_value_free(value);
}

static tikv_txn *
begin(tikv_client *client)
{
    tikv_txn *txn;

    must(tikv_txn_begin(client, NULL, &txn), "begin");
    return txn;
}

static void
write_with_savepoints(tikv_client *client)
{
    tikv_txn *txn = begin(client);
    uint64_t commit_ts;
    size_t savepoint;

    must(tikv_txn_put(txn, text("city"), text("Bergen")), "put");
    must(tikv_txn_savepoint(txn, &savepoint), "savepoint");
    must(tikv_txn_put(txn, text("city"), text("Oslo")), "put");
    show(txn, "city"); /* its own writes */
    must(tikv_txn_savepoint_rollback(txn, savepoint), "back");
    show(txn, "city");
    must(tikv_txn_commit(txn, NULL, &commit_ts), "commit");
    printf("committed %lld ms after 1970\n",
           (long long)TIKV_TIMESTAMP_MS(commit_ts));
    tikv_txn_free(txn);
}

static void
lose_a_race(tikv_client *client)
{
    tikv_txn *slow = begin(client);
    tikv_txn *quick = begin(client);
    tikv_error *error;

    must(tikv_txn_put(slow, text("city"), text("Tromso")), "put");
    must(tikv_txn_put(quick, text("city"), text("Bodo")), "put");
    must(tikv_txn_commit(quick, NULL, NULL), "commit");
    error = tikv_txn_commit(slow, NULL, NULL);
    expect(tikv_error_code(error) == TIKV_ERR_WRITE_CONFLICT, "a conflict");
    expect(tikv_error_is_retryable(error), "it can be tried again");
    printf("as expected: %s\n", tikv_error_message(error));
    tikv_error_free(error);
    tikv_txn_free(slow);
    tikv_txn_free(quick);
}

int
main(int argc, char **argv)
{
    tikv_client *client = open_client(argc, argv);
    tikv_txn *reader;
    tikv_txn *txn;

    write_with_savepoints(client);
    reader = begin(client);
    lose_a_race(client);
    show(reader, "city"); /* as of its start */
    tikv_txn_free(reader);

    /* Given up: freeing would have been enough. */
    txn = begin(client);
    must(tikv_txn_delete(txn, text("city")), "delete");
    must(tikv_txn_rollback(txn, NULL), "rollback");
    tikv_txn_free(txn);

    txn = begin(client);
    show(txn, "city");
    tikv_txn_free(txn);
    tikv_client_close(client);
    return 0;
}
