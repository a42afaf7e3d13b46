/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The longest reading of a key is its order; all others must begin it. Each
 * neighbourhood in an order, and each reading that ends inside of it, is an
 * edge of the graph. See anomaly.h.
 *
 * A reading is what was there before the transaction: its own appends, which
 * stand at the end of what it read, are taken off. Only readings count of
 * transactions that failed, and they do: they were of a snapshot too.
 */
#include "sim/anomaly.h"

#include <string.h>

#include "base/alloc.h"
#include "sim/graph.h"

const char *const tk_anomaly_names[TK_ANOMALIES] = {
    [TK_ANOMALY_FOREIGN] = "foreign value",
    [TK_ANOMALY_DUPLICATE] = "duplicate",
    [TK_ANOMALY_INCOMPATIBLE] = "incompatible orders",
    [TK_ANOMALY_INTERNAL] = "internal",
    [TK_ANOMALY_G1A] = "G1a",
    [TK_ANOMALY_G1B] = "G1b",
    [TK_ANOMALY_LOST] = "lost write",
    [TK_ANOMALY_LOST_UPDATE] = "lost update",
    [TK_ANOMALY_G0] = "G0",
    [TK_ANOMALY_G1C] = "G1c",
    [TK_ANOMALY_G_SINGLE] = "G-single",
    [TK_ANOMALY_G_NONADJACENT] = "G-nonadjacent",
    [TK_ANOMALY_G2_ITEM] = "G2-item",
    [TK_ANOMALY_G2_TIME] = "G2-item in real time",
};

/* A written value, by its number. */
struct written {
    uint32_t txn; /* TK_SIM_NONE: nobody wrote it */
    uint32_t key;
    uint32_t place;    /* in the key's order, from 1; 0: never read */
    bool is_overtaken; /* by a later write of its transaction to the key */
};

/* A step, with what was there before its transaction. */
struct reading {
    uint32_t txn;
    uint32_t key;
    const uint32_t *values;
    uint32_t count;
    bool writes;
    uint32_t value;
};

struct order {
    const uint32_t *values;
    uint32_t count;
};

struct find {
    const struct tk_record *record;
    struct tk_anomalies *out;
    struct written *written;
    uint32_t written_count;
    struct reading *readings;
    size_t readings_count;
    struct order *orders;
    uint32_t keys;
    struct tk_graph graph;
};

static const struct tk_record_txn *
txn_of(const struct find *find, uint32_t txn)
{
    return &find->record->txns[txn];
}

static void
note(struct find *find, enum tk_anomaly kind, uint32_t key, uint32_t a,
     uint32_t b)
{
    if (find->out->counts[kind]++ == 0) {
        find->out->firsts[kind].key = key;
        find->out->firsts[kind].txns[0] = a;
        find->out->firsts[kind].txns[1] = b;
        find->out->firsts[kind].count = b == TK_SIM_NONE ? 1 : 2;
    }
}

/* ---- what was written, what was read ---- */

static bool
find_new(struct find *find)
{
    const struct tk_record *record = find->record;
    size_t i;

    for (i = 0; i < record->steps_count; i++) {
        const struct tk_record_step *step = &record->steps[i];

        if (step->is_write && step->value >= find->written_count) {
            find->written_count = step->value + 1;
        }
        if (step->key >= find->keys) {
            find->keys = step->key + 1;
        }
    }
    find->written = (struct written *)tk_alloc_array(
        (size_t)find->written_count + 1, sizeof(*find->written));
    find->readings = (struct reading *)tk_alloc_array(record->steps_count + 1,
                                                      sizeof(*find->readings));
    find->orders = (struct order *)tk_calloc(((size_t)find->keys + 1) *
                                             sizeof(*find->orders));
    if (find->written == NULL || find->readings == NULL ||
        find->orders == NULL) {
        return false;
    }
    for (i = 0; i < find->written_count; i++) {
        find->written[i] = (struct written){ TK_SIM_NONE, 0, 0, false };
    }
    return true;
}

static bool
is_prefix(const uint32_t *a, uint32_t a_count, const uint32_t *b,
          uint32_t b_count)
{
    return a_count <= b_count &&
           (a_count == 0 || memcmp(a, b, a_count * sizeof(*a)) == 0);
}

/* The step before at the same key, if it contradicts this one: it reads what
 * that one read and wrote. */
static bool
agrees(const struct find *find, const struct tk_record_step *before,
       const struct tk_record_step *step)
{
    const uint32_t *values = find->record->values;
    uint32_t own = before->is_write;

    return step->count == before->count + own &&
           is_prefix(values + before->first, before->count,
                     values + step->first, step->count) &&
           (own == 0 || values[step->first + before->count] == before->value);
}

static void
take_txn(struct find *find, uint32_t number)
{
    const struct tk_record_txn *txn = txn_of(find, number);
    const struct tk_record_step *steps = find->record->steps + txn->first;
    uint32_t i;
    uint32_t j;

    for (i = 0; i < txn->count; i++) {
        const struct tk_record_step *before = NULL;
        uint32_t own = 0;

        for (j = 0; j < i; j++) {
            if (steps[j].key == steps[i].key) {
                before = &steps[j];
                own += steps[j].is_write;
            }
        }
        if (before != NULL && !agrees(find, before, &steps[i])) {
            note(find, TK_ANOMALY_INTERNAL, steps[i].key, number, TK_SIM_NONE);
            continue;
        }
        find->readings[find->readings_count++] = (struct reading){
            .txn = number,
            .key = steps[i].key,
            .values = find->record->values + steps[i].first,
            .count = steps[i].count - own,
            .writes = steps[i].is_write,
            .value = steps[i].value,
        };
    }
    for (i = 0; i < txn->count; i++) {
        if (!steps[i].is_write) {
            continue;
        }
        find->written[steps[i].value] =
            (struct written){ number, steps[i].key, 0, false };
        for (j = 0; j < i; j++) {
            if (steps[j].is_write && steps[j].key == steps[i].key) {
                find->written[steps[j].value].is_overtaken = true;
            }
        }
    }
}

/* ---- orders ---- */

/* NULL: nobody put that value there. */
static struct written *
written_of(const struct find *find, uint32_t key, uint32_t value)
{
    struct written *written =
        value < find->written_count ? &find->written[value] : NULL;

    return written == NULL || written->txn == TK_SIM_NONE || written->key != key
               ? NULL
               : written;
}

static void
take_order(struct find *find, uint32_t key)
{
    const struct order *order = &find->orders[key];
    uint32_t i;

    for (i = 0; i < order->count; i++) {
        struct written *written = written_of(find, key, order->values[i]);

        if (written == NULL) {
            note(find, TK_ANOMALY_FOREIGN, key, TK_SIM_NONE, TK_SIM_NONE);
        } else if (written->place != 0) {
            note(find, TK_ANOMALY_DUPLICATE, key, written->txn, TK_SIM_NONE);
        } else {
            written->place = i + 1;
            if (txn_of(find, written->txn)->outcome == TK_SIM_FAILED) {
                note(find, TK_ANOMALY_G1A, key, written->txn, TK_SIM_NONE);
            }
        }
    }
}

static void
find_orders(struct find *find)
{
    size_t i;
    uint32_t key;

    for (i = 0; i < find->readings_count; i++) {
        const struct reading *reading = &find->readings[i];
        struct order *order = &find->orders[reading->key];

        if (reading->count > order->count) {
            order->values = reading->values;
            order->count = reading->count;
        }
    }
    for (key = 0; key < find->keys; key++) {
        take_order(find, key);
    }
    for (i = 0; i < find->readings_count; i++) {
        const struct reading *reading = &find->readings[i];
        const struct order *order = &find->orders[reading->key];
        const struct written *last =
            reading->count == 0
                ? NULL
                : written_of(find, reading->key,
                             reading->values[reading->count - 1]);

        if (!is_prefix(reading->values, reading->count, order->values,
                       order->count)) {
            note(find, TK_ANOMALY_INCOMPATIBLE, reading->key, reading->txn,
                 TK_SIM_NONE);
        }
        if (last != NULL && last->is_overtaken) {
            note(find, TK_ANOMALY_G1B, reading->key, reading->txn, last->txn);
        }
    }
}

/* ---- writes that are gone ---- */

static void
find_lost(struct find *find, const struct reading *write)
{
    const struct tk_record_txn *writer = txn_of(find, write->txn);
    uint32_t place = find->written[write->value].place;
    size_t i;

    for (i = 0; i < find->readings_count; i++) {
        const struct reading *other = &find->readings[i];

        if (other->key != write->key || other->txn == write->txn) {
            continue;
        }
        if (!txn_of(find, other->txn)->is_past &&
            txn_of(find, other->txn)->invoked > writer->returned &&
            (place == 0 || place > other->count)) {
            note(find, TK_ANOMALY_LOST, write->key, write->txn, other->txn);
        }
        if (other->writes && other->txn > write->txn &&
            other->count == write->count &&
            txn_of(find, other->txn)->outcome == TK_SIM_OK) {
            note(find, TK_ANOMALY_LOST_UPDATE, write->key, write->txn,
                 other->txn);
        }
    }
}

/* ---- the graph ---- */

/* Its writes are there, as far as one knows. */
static bool
has_happened(const struct find *find, uint32_t txn)
{
    enum tk_sim_outcome outcome = txn_of(find, txn)->outcome;

    return outcome == TK_SIM_OK || outcome == TK_SIM_UNDETERMINED;
}

static void
add_order(struct find *find, uint32_t key)
{
    const struct order *order = &find->orders[key];
    uint32_t i;

    for (i = 1; i < order->count; i++) {
        const struct written *a = written_of(find, key, order->values[i - 1]);
        const struct written *b = written_of(find, key, order->values[i]);

        if (a != NULL && b != NULL) {
            tk_graph_add(&find->graph, a->txn, b->txn, TK_EDGE_WW, key);
        }
    }
}

static void
add_reading(struct find *find, const struct reading *reading)
{
    const struct order *order = &find->orders[reading->key];
    const struct written *seen = NULL;
    const struct written *next = NULL;

    if (!has_happened(find, reading->txn)) {
        return;
    }
    if (reading->count != 0) {
        seen =
            written_of(find, reading->key, reading->values[reading->count - 1]);
    }
    if (reading->count < order->count) {
        next = written_of(find, reading->key, order->values[reading->count]);
    }
    if (seen != NULL) {
        tk_graph_add(&find->graph, seen->txn, reading->txn, TK_EDGE_WR,
                     reading->key);
    }
    if (next != NULL) {
        tk_graph_add(&find->graph, reading->txn, next->txn, TK_EDGE_RW,
                     reading->key);
    }
}

/* Edges from those that had ended when `late` began; not from those that are
 * before another one of them. */
static void
add_past(struct find *find, uint32_t late)
{
    const struct tk_record *record = find->record;
    int64_t began = record->txns[late].invoked;
    int64_t newest = INT64_MIN;
    uint32_t i;

    if (record->txns[late].outcome != TK_SIM_OK || record->txns[late].is_past) {
        return;
    }
    for (i = 0; i < record->txns_count; i++) {
        const struct tk_record_txn *txn = &record->txns[i];

        if (txn->outcome == TK_SIM_OK && txn->returned < began &&
            txn->invoked > newest) {
            newest = txn->invoked;
        }
    }
    for (i = 0; i < record->txns_count; i++) {
        const struct tk_record_txn *txn = &record->txns[i];

        if (txn->outcome == TK_SIM_OK && txn->returned < began &&
            txn->returned >= newest) {
            tk_graph_add(&find->graph, i, late, TK_EDGE_RT, 0);
        }
    }
}

static void
note_cycle(struct find *find, enum tk_anomaly kind, const uint32_t *path,
           size_t length)
{
    uint32_t i;

    if (find->out->counts[kind]++ != 0) {
        return;
    }
    find->out->firsts[kind].key = find->graph.edges[path[0]].key;
    for (i = 0; i < length && i < TK_ANOMALY_TXNS_MAX; i++) {
        find->out->firsts[kind].txns[i] = find->graph.edges[path[i]].from;
    }
    find->out->firsts[kind].count = i;
}

static void
find_cycles(struct find *find)
{
    enum { WRITES = TK_EDGE_WW | TK_EDGE_RT, READS = WRITES | TK_EDGE_WR };
    enum { ITEMS = TK_EDGE_WW | TK_EDGE_WR | TK_EDGE_RW };
    struct tk_graph *graph = &find->graph;
    uint32_t path[TK_ANOMALY_TXNS_MAX];
    enum tk_anomaly kind = TK_ANOMALY_G0;
    size_t length =
        tk_graph_cycle(graph, WRITES, false, path, TK_ANOMALY_TXNS_MAX);
    size_t rws = 0;
    size_t i;

    if (length == 0) {
        kind = TK_ANOMALY_G1C;
        length = tk_graph_cycle(graph, READS, false, path, TK_ANOMALY_TXNS_MAX);
    }
    if (length == 0) {
        length = tk_graph_cycle(graph, READS | TK_EDGE_RW, true, path,
                                TK_ANOMALY_TXNS_MAX);
        for (i = 0; i < length && i < TK_ANOMALY_TXNS_MAX; i++) {
            rws += graph->edges[path[i]].kind == TK_EDGE_RW;
        }
        kind = rws == 1 ? TK_ANOMALY_G_SINGLE : TK_ANOMALY_G_NONADJACENT;
    }
    if (length != 0) {
        note_cycle(find, kind, path, length);
        return;
    }
    length = tk_graph_cycle(graph, ITEMS, false, path, TK_ANOMALY_TXNS_MAX);
    if (length != 0) {
        note_cycle(find, TK_ANOMALY_G2_ITEM, path, length);
    }
    length = tk_graph_cycle(graph, ITEMS | TK_EDGE_RT, false, path,
                            TK_ANOMALY_TXNS_MAX);
    if (length != 0) {
        note_cycle(find, TK_ANOMALY_G2_TIME, path, length);
    }
}

void
tk_anomalies_find(const struct tk_record *record, struct tk_anomalies *out)
{
    struct find find = { .record = record, .out = out };
    uint32_t i;

    memset(out, 0, sizeof(*out));
    tk_graph_init(&find.graph, (uint32_t)record->txns_count);
    if (find_new(&find)) {
        for (i = 0; i < record->txns_count; i++) {
            take_txn(&find, i);
        }
        find_orders(&find);
        for (i = 0; i < find.readings_count; i++) {
            const struct reading *reading = &find.readings[i];

            if (reading->writes &&
                txn_of(&find, reading->txn)->outcome == TK_SIM_OK) {
                find_lost(&find, reading);
            }
            add_reading(&find, reading);
        }
        for (i = 0; i < find.keys; i++) {
            add_order(&find, i);
        }
        for (i = 0; i < record->txns_count; i++) {
            add_past(&find, i);
        }
        find_cycles(&find);
    } else {
        out->failed = true;
    }
    out->failed = out->failed || find.graph.failed || record->failed;
    tk_graph_fini(&find.graph);
    tk_free(find.written);
    tk_free(find.readings);
    tk_free(find.orders);
}

size_t
tk_anomalies_print(const struct tk_record *record,
                   const struct tk_anomalies *anomalies, uint32_t allowed,
                   struct tk_buf *out)
{
    size_t found = 0;
    uint32_t kind;
    uint32_t i;

    for (kind = 0; kind < TK_ANOMALIES; kind++) {
        if (anomalies->counts[kind] == 0 || (allowed & (1u << kind)) != 0) {
            continue;
        }
        found++;
        tk_buf_printf(out, "%s, %llu times; at key %u:\n",
                      tk_anomaly_names[kind],
                      (unsigned long long)anomalies->counts[kind],
                      anomalies->firsts[kind].key);
        for (i = 0; i < anomalies->firsts[kind].count; i++) {
            tk_record_print(record, anomalies->firsts[kind].txns[i], out);
        }
    }
    return found;
}
