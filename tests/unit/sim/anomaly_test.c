/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records with one anomaly each, which has to be named, and records without:
 * made by hand, and by a store of versions that keeps snapshot isolation, or
 * breaks one of its rules.
 */
#include "harness/harness.h"

#include <string.h>

#include "base/rng.h"
#include "exec/runtime.h"
#include "sim/anomaly.h"
#include "unit/sim/record_text.h"

#define BIT(kind) (1u << (kind))
#define CASE_TXNS 5

struct line {
    enum tk_sim_outcome outcome; /* RUNNING: no line */
    int64_t invoked;
    int64_t returned;
    const char *steps;
};

static uint32_t
kinds_of(const struct tk_anomalies *found)
{
    uint32_t kinds = 0;
    uint32_t i;

    assert_false(found->failed);
    for (i = 0; i < TK_ANOMALIES; i++) {
        kinds |= found->counts[i] != 0 ? BIT(i) : 0;
    }
    return kinds;
}

static uint32_t
look_at(const struct line *lines)
{
    struct tk_anomalies found;
    struct tk_record record;
    struct tk_buf text;
    uint32_t kinds;
    size_t i;

    tk_record_init(&record);
    tk_buf_init(&text, 65536);
    for (i = 0; i < CASE_TXNS && lines[i].outcome != TK_SIM_RUNNING; i++) {
        text_txn(&record, lines[i].outcome, lines[i].invoked, lines[i].returned,
                 0, 0, lines[i].steps);
    }
    tk_anomalies_find(&record, &found);
    kinds = kinds_of(&found);
    assert_int_equal(tk_anomalies_print(&record, &found, 0, &text) != 0,
                     kinds != 0);
    assert_int_equal(text.len != 0, kinds != 0);
    tk_buf_fini(&text);
    tk_record_fini(&record);
    return kinds;
}

static const struct wrong {
    uint32_t kinds; /* exactly these */
    struct line lines[CASE_TXNS];
} wrongs[] = {
    { BIT(TK_ANOMALY_FOREIGN),
      { { TK_SIM_OK, 0, 9, "0:+1" }, { TK_SIM_OK, 0, 9, "0:1,7" } } },
    { BIT(TK_ANOMALY_FOREIGN),
      { { TK_SIM_OK, 0, 9, "0:+1 1:+2" }, { TK_SIM_OK, 0, 9, "1:2,1" } } },
    { BIT(TK_ANOMALY_DUPLICATE),
      { { TK_SIM_OK, 0, 9, "0:+1" }, { TK_SIM_OK, 0, 9, "0:1,1" } } },
    { BIT(TK_ANOMALY_INCOMPATIBLE) | BIT(TK_ANOMALY_G1C),
      { { TK_SIM_FAILED, 0, 9, "0:1" },
        { TK_SIM_FAILED, 0, 9, "0:2,1" },
        { TK_SIM_OK, 0, 9, "0:+1" },
        { TK_SIM_OK, 0, 9, "0:1+2" } } },
    { BIT(TK_ANOMALY_INTERNAL), { { TK_SIM_OK, 0, 9, "0:+1 0:" } } },
    { BIT(TK_ANOMALY_INTERNAL),
      { { TK_SIM_OK, 0, 3, "0:+1" }, { TK_SIM_OK, 2, 9, "0:1 0:" } } },
    { BIT(TK_ANOMALY_G1A),
      { { TK_SIM_FAILED, 0, 9, "0:+1" }, { TK_SIM_OK, 0, 9, "0:1" } } },
    { BIT(TK_ANOMALY_G1B) | BIT(TK_ANOMALY_G_SINGLE),
      { { TK_SIM_OK, 0, 9, "0:+1 0:1+2" },
        { TK_SIM_OK, 0, 9, "0:1" },
        { TK_SIM_OK, 0, 9, "0:1,2" } } },
    /* Committed before the reader began. */
    { BIT(TK_ANOMALY_LOST),
      { { TK_SIM_OK, 0, 3, "0:+1" }, { TK_SIM_OK, 5, 9, "0:" } } },
    /* The same, and the write is known to be there. */
    { BIT(TK_ANOMALY_LOST) | BIT(TK_ANOMALY_G_SINGLE),
      { { TK_SIM_OK, 0, 3, "0:+1" },
        { TK_SIM_OK, 5, 9, "0:" },
        { TK_SIM_OK, 5, 9, "0:1" } } },
    { BIT(TK_ANOMALY_LOST_UPDATE),
      { { TK_SIM_OK, 0, 9, "0:+1" },
        { TK_SIM_OK, 0, 9, "0:+2" },
        { TK_SIM_OK, 0, 9, "0:2" } } },
    /* Both are there, and the second had not seen the first. */
    { BIT(TK_ANOMALY_LOST_UPDATE) | BIT(TK_ANOMALY_G_SINGLE),
      { { TK_SIM_OK, 0, 9, "0:+1" },
        { TK_SIM_OK, 0, 9, "0:+2" },
        { TK_SIM_OK, 0, 9, "0:1,2" } } },
    /* Keys disagree about who wrote first. */
    { BIT(TK_ANOMALY_G0) | BIT(TK_ANOMALY_LOST_UPDATE),
      { { TK_SIM_OK, 0, 9, "0:+1 1:+2" },
        { TK_SIM_OK, 0, 9, "0:+3 1:+4" },
        { TK_SIM_OK, 0, 9, "0:1,3 1:4,2" } } },
    /* Each reads what the other wrote. */
    { BIT(TK_ANOMALY_G1C),
      { { TK_SIM_OK, 0, 9, "0:+1 1:2" }, { TK_SIM_OK, 0, 9, "1:+2 0:1" } } },
    /* Half of what the writer wrote. */
    { BIT(TK_ANOMALY_G_SINGLE),
      { { TK_SIM_OK, 0, 9, "0:+1 1:+2" },
        { TK_SIM_OK, 0, 9, "0:1 1:" },
        { TK_SIM_OK, 0, 9, "0:1 1:2" } } },
    /* Two readers see two writers in two orders: the long fork. */
    { BIT(TK_ANOMALY_G_NONADJACENT),
      { { TK_SIM_OK, 0, 9, "0:+1" },
        { TK_SIM_OK, 0, 9, "1:+2" },
        { TK_SIM_OK, 0, 9, "0:1 1:" },
        { TK_SIM_OK, 0, 9, "0: 1:2" } } },
    { BIT(TK_ANOMALY_G2_ITEM) | BIT(TK_ANOMALY_G2_TIME),
      { { TK_SIM_OK, 0, 9, "0: 1:+1" },
        { TK_SIM_OK, 0, 9, "1: 0:+2" },
        { TK_SIM_OK, 0, 9, "0:2 1:1" } } },
    /* An undetermined one that is seen has happened. */
    { BIT(TK_ANOMALY_G_SINGLE),
      { { TK_SIM_UNDETERMINED, 0, 9, "0:+1 1:+2" },
        { TK_SIM_OK, 0, 9, "0:1 1:" },
        { TK_SIM_OK, 0, 9, "0:1 1:2" } } },
};

static void
anomaly__each_one_is_named(void **state)
{
    uint32_t all = 0;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
        uint32_t kinds = look_at(wrongs[i].lines);

        if (kinds != wrongs[i].kinds) {
            print_message("case %zu: %x\n", i, kinds);
        }
        assert_int_equal(kinds, wrongs[i].kinds);
        all |= kinds;
    }
    assert_int_equal(all, BIT(TK_ANOMALIES) - 1);
}

static const struct line rights[][CASE_TXNS] = {
    { { TK_SIM_RUNNING, 0, 0, "" } },
    { { TK_SIM_OK, 0, 9, "0: 0:+1 0:1+2 0:1,2" },
      { TK_SIM_OK, 10, 12, "0:1,2" } },
    { { TK_SIM_OK, 0, 9, "0:+1" },
      { TK_SIM_OK, 2, 9, "0:" },
      { TK_SIM_OK, 8, 9, "0:1" } },
    { { TK_SIM_FAILED, 0, 3, "0:+1" }, { TK_SIM_OK, 4, 5, "0:" } },
    { { TK_SIM_UNDETERMINED, 0, 3, "0:+1" }, { TK_SIM_OK, 4, 5, "0:" } },
    { { TK_SIM_UNDETERMINED, 0, 3, "0:+1" },
      { TK_SIM_OK, 4, 5, "0:1" },
      { TK_SIM_OK, 4, 5, "0:" } },
    { { TK_SIM_FAILED, 0, 9, "0:+1" },
      { TK_SIM_FAILED, 0, 9, "0:+2" },
      { TK_SIM_OK, 0, 9, "0:+3" } },
};

static void
anomaly__right_records_have_none(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(rights) / sizeof(rights[0]); i++) {
        assert_int_equal(look_at(rights[i]), 0);
    }
}

/* ---- a store that keeps snapshot isolation, or not ---- */

enum { KEYS = 3, TXNS = 60, LENGTH = 16 };

enum slip {
    SLIP_NONE,
    SLIP_CONFLICT, /* commits over versions newer than its snapshot */
    SLIP_SNAPSHOT, /* reads the newest version, not that of its snapshot */
    SLIP_STALE,    /* a snapshot of some time ago */
    SLIP_DIRTY,    /* reads what has not been committed */
};

struct version {
    uint32_t values[LENGTH];
    uint32_t count;
    int64_t commit;
};

struct store {
    struct version versions[KEYS][TXNS + 1];
    size_t counts[KEYS];
    struct tk_rng rng;
    struct tk_record record;
    enum slip slip;
};

static const struct version *
read_at(const struct store *store, uint32_t key, int64_t ts)
{
    size_t i = store->counts[key];

    while (i > 1 && store->versions[key][i - 1].commit > ts) {
        i--;
    }
    return &store->versions[key][i - 1];
}

/* Two transactions at a time, whose steps alternate. */
struct open {
    uint32_t txn;
    int64_t start;
    struct tk_record_step steps[3];
    struct version written[3];
    size_t count;
};

static void
make_step(struct store *store, struct open *open, const struct open *other,
          uint32_t *values)
{
    uint32_t key = (uint32_t)tk_rng_below(&store->rng, KEYS);
    const struct version *seen;
    struct tk_record_step *step = &open->steps[open->count];
    size_t i;

    for (i = 0; i < open->count; i++) {
        if (open->steps[i].key == key) {
            return;
        }
    }
    seen =
        read_at(store, key,
                store->slip == SLIP_SNAPSHOT && open->count != 0 ? INT64_MAX
                                                                 : open->start);
    if (store->slip == SLIP_DIRTY) {
        for (i = 0; i < other->count; i++) {
            if (other->steps[i].key == key && other->steps[i].is_write) {
                seen = &other->written[i];
            }
        }
    }
    *step = (struct tk_record_step){
        .key = key,
        .first = tk_record_values(&store->record, seen->values, seen->count),
        .count = seen->count,
    };
    open->written[open->count] = *seen;
    if (tk_rng_below(&store->rng, 2) == 0 && seen->count < LENGTH) {
        struct version *written = &open->written[open->count];

        step->is_write = true;
        step->value = ++*values;
        written->values[written->count++] = step->value;
    }
    open->count++;
}

static void
commit(struct store *store, struct open *open, int64_t now)
{
    bool conflicts = false;
    size_t i;

    for (i = 0; i < open->count; i++) {
        uint32_t key = open->steps[i].key;

        conflicts =
            conflicts ||
            (open->steps[i].is_write &&
             store->versions[key][store->counts[key] - 1].commit > open->start);
    }
    if (store->slip == SLIP_CONFLICT) {
        conflicts = false;
    }
    for (i = 0; i < open->count && !conflicts; i++) {
        uint32_t key = open->steps[i].key;

        if (open->steps[i].is_write) {
            open->written[i].commit = now;
            store->versions[key][store->counts[key]++] = open->written[i];
        }
    }
    tk_record_steps(&store->record, open->txn, open->steps, open->count);
    tk_record_end(&store->record, open->txn, now,
                  conflicts ? TK_SIM_FAILED : TK_SIM_OK, 0);
}

static uint32_t
kinds_of_store(uint64_t seed, enum slip slip)
{
    static struct store store;
    struct tk_anomalies found;
    uint32_t values = 0;
    int64_t now = 10;
    int i;

    memset(&store, 0, sizeof(store));
    store.rng.state = seed;
    store.slip = slip;
    tk_record_init(&store.record);
    for (i = 0; i < KEYS; i++) {
        store.counts[i] = 1;
    }
    for (i = 0; i < TXNS; i += 2) {
        struct open pair[2] = { { .start = 0 }, { .start = 0 } };
        int turn;

        for (turn = 0; turn < 2; turn++) {
            pair[turn].start = now - (slip == SLIP_STALE ? 8 : 0);
            pair[turn].txn = tk_record_begin(&store.record, 0, now++, TK_NEVER);
        }
        for (turn = 0; turn < 4; turn++) {
            make_step(&store, &pair[turn % 2], &pair[1 - turn % 2], &values);
        }
        commit(&store, &pair[0], now++);
        make_step(&store, &pair[1], &pair[0], &values);
        commit(&store, &pair[1], now++);
        now += 2;
    }
    tk_anomalies_find(&store.record, &found);
    tk_record_fini(&store.record);
    return kinds_of(&found);
}

static void
anomaly__a_store_is_as_good_as_its_rules(void **state)
{
    uint32_t seen[SLIP_DIRTY + 1] = { 0 };
    uint32_t refuted[SLIP_DIRTY + 1] = { 0 };
    uint64_t seed;
    int slip;

    (void)state;
    for (seed = 1; seed <= 100; seed++) {
        for (slip = SLIP_NONE; slip <= SLIP_DIRTY; slip++) {
            uint32_t kinds = kinds_of_store(seed, (enum slip)slip);

            seen[slip] |= kinds;
            refuted[slip] += (kinds & ~TK_ANOMALIES_OF_SNAPSHOTS) != 0;
        }
    }
    assert_int_equal(seen[SLIP_NONE], TK_ANOMALIES_OF_SNAPSHOTS);
    assert_int_equal(refuted[SLIP_NONE], 0);
    assert_true((seen[SLIP_CONFLICT] & BIT(TK_ANOMALY_LOST_UPDATE)) != 0);
    assert_true((seen[SLIP_SNAPSHOT] & BIT(TK_ANOMALY_G_SINGLE)) != 0);
    assert_true((seen[SLIP_STALE] & BIT(TK_ANOMALY_LOST)) != 0);
    assert_true((seen[SLIP_DIRTY] & BIT(TK_ANOMALY_G1A)) != 0);
    assert_true((seen[SLIP_DIRTY] & BIT(TK_ANOMALY_G1C)) != 0);
    for (slip = SLIP_CONFLICT; slip <= SLIP_DIRTY; slip++) {
        print_message("slip %d: refuted in %u of 100\n", slip, refuted[slip]);
        assert_true(refuted[slip] >= (slip == SLIP_SNAPSHOT ? 20 : 90));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(anomaly__each_one_is_named),
        harness_test(anomaly__right_records_have_none),
        harness_test(anomaly__a_store_is_as_good_as_its_rules),
    };

    return harness_run(tests);
}
