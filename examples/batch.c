/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many keys in one call. A batch is split by region and sent in parallel; it
 * is not atomic, so on an error one asks which keys are done.
 */
#include "example.h"

enum { COUNT = 1000 };

static char names[COUNT][16];
static char numbers[COUNT][16];

/* What to do with a batch put that failed: only the keys that are not known
 * to be written need another look. */
static void
report(const tikv_error *error)
{
    size_t i, done = 0, unknown = 0;

    for (i = 0; i < tikv_error_outcomes_count(error); i++) {
        done += tikv_error_outcome(error, i) == TIKV_KEY_DONE;
        unknown += tikv_error_outcome(error, i) == TIKV_KEY_UNKNOWN;
    }
    fprintf(stderr, "batch put: %s: %zu written, %zu in doubt\n",
            tikv_error_message(error), done, unknown);
}

int
main(int argc, char **argv)
{
    tikv_client *client = open_client(argc, argv);
    static tikv_pair pairs[COUNT];
    static tikv_slice keys[COUNT + 1];
    tikv_pairs *found;
    tikv_error *error;
    size_t i;

    for (i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof(names[i]), "batch/%06zu", i);
        snprintf(numbers[i], sizeof(numbers[i]), "%zu", i * i);
        pairs[i] = (tikv_pair){ text(names[i]), text(numbers[i]) };
        keys[i] = text(names[i]);
    }
    keys[COUNT] = text("batch/none");

    error = tikv_raw_batch_put(client, pairs, COUNT, NULL);
    if (error != NULL) {
        report(error);
    }
    must(error, "batch put");

    /* One pair per key, in the order asked; no data: there is no value. */
    must(tikv_raw_batch_get(client, keys, COUNT + 1, NULL, &found),
         "batch get");
    expect(tikv_pairs_count(found) == COUNT + 1, "one pair per key");
    for (i = 0; i < COUNT; i++) {
        tikv_slice value = tikv_pairs_data(found)[i].value;
        expect(value.len == strlen(numbers[i]) &&
                   memcmp(value.data, numbers[i], value.len) == 0,
               "the value that was written");
    }
    expect(tikv_pairs_data(found)[COUNT].value.data == NULL, "an absent key");
    tikv_pairs_free(found);

    must(tikv_raw_batch_delete(client, keys, COUNT, NULL), "batch delete");
    printf("%d keys written, read and deleted\n", COUNT);
    tikv_client_close(client);
    return 0;
}
