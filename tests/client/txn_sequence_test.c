/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every sequence of up to three writes of one key, on a key that is there and
 * on one that is not, against a model of what a transaction is to make of it.
 * timeout: 300
 */
#include "client/txn_words.h"

enum step { PUT, INSERT, DELETE, LOCK, STEPS };

enum own { NOTHING, VALUE, TOMBSTONE };

/* What the transaction says of the key. */
struct model {
    enum own own;
    bool must_be_absent; /* claimed by an insert, and never taken back */
    char value;
};

/* False: the insert is refused at once. */
static bool
apply(struct model *model, enum step step, char value)
{
    if (step == INSERT && model->own == VALUE) {
        return false;
    }
    if (step == INSERT && model->own == NOTHING) {
        model->must_be_absent = true;
    }
    if (step == PUT || step == INSERT) {
        model->own = VALUE;
        model->value = value;
    } else if (step == DELETE) {
        model->own = TOMBSTONE;
    }
    return true;
}

static void
write_step(tikv_txn *txn, struct model *model, enum step step, char value)
{
    const tikv_slice key = kv_text("k");
    bool goes = apply(model, step, value);

    switch (step) {
    case PUT:
        kv_ok(tikv_txn_put(txn, key, kv_bytes(&value, 1)));
        break;
    case INSERT:
        if (goes) {
            kv_ok(tikv_txn_insert(txn, key, kv_bytes(&value, 1)));
        } else {
            kv_fails(tikv_txn_insert(txn, key, kv_bytes(&value, 1)),
                     TIKV_ERR_KEY_EXISTS);
        }
        break;
    case DELETE:
        kv_ok(tikv_txn_delete(txn, key));
        break;
    case LOCK:
        kv_ok(tikv_txn_lock(txn, &key, 1, NULL));
        break;
    case STEPS:
    default:
        fail();
    }
}

/* The steps of `sequence`, base STEPS, `length` of them. */
static void
run_sequence(tikv_client *client, unsigned sequence, unsigned length,
             bool is_there)
{
    struct model model = { .own = NOTHING };
    char wanted[2] = { 0 };
    tikv_txn *txn = txn_begin(client);
    unsigned i;

    if (is_there) {
        txn_put(txn, "k", "x");
    } else {
        kv_ok(tikv_txn_delete(txn, kv_text("k")));
    }
    txn_commit(txn);
    txn = txn_begin(client);
    for (i = 0; i < length; i++) {
        write_step(txn, &model, (enum step)(sequence % STEPS), (char)('0' + i));
        sequence /= STEPS;
    }
    wanted[0] = model.own == VALUE                 ? model.value
                : is_there && model.own == NOTHING ? 'x'
                                                   : '\0';
    txn_expect(txn, "k", wanted[0] == '\0' ? NULL : wanted);
    if (model.must_be_absent && is_there) {
        kv_fails(tikv_txn_commit(txn, NULL, NULL), TIKV_ERR_KEY_EXISTS);
        tikv_txn_free(txn);
        txn_sees(client, "k", "x");
        return;
    }
    txn_commit(txn);
    txn_sees(client, "k", wanted[0] == '\0' ? NULL : wanted);
}

static void
lesson_153__no_sequence_of_writes_loses_a_check(void **state)
{
    static const char *const two_phases[] = { TXN_2PC, NULL };
    const struct kv_plan plans[] = { { .stores = 1, .settings = two_phases },
                                     { .stores = 1 } };
    unsigned plan;

    (void)state;
    for (plan = 0; plan < 2; plan++) {
        unsigned count = 1;
        unsigned length;
        struct kv kv;

        kv_open(&kv, &plans[plan]);
        for (length = 1; length <= 3; length++) {
            unsigned sequence;

            count *= STEPS;
            for (sequence = 0; sequence < count; sequence++) {
                run_sequence(kv.client, sequence, length, false);
                run_sequence(kv.client, sequence, length, true);
            }
        }
        txn_leaves_no_lock(&kv);
        kv_close(&kv);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(lesson_153__no_sequence_of_writes_loses_a_check),
    };

    return harness_run(tests);
}
