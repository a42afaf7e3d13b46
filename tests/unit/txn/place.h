/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A world with the transactional side of a client in it. A test body runs in
 * the simulation, with several seeds, and on real threads.
 */
#ifndef TK_TEST_TXN_PLACE_H
#define TK_TEST_TXN_PLACE_H

#include "unit/region/world.h"

#include "fixture/data.h"
#include "txn/client.h"
#include "txn/resolver.h"
#include "txn/snapshot.h"
#include "wire/key.h"

struct place {
    struct world *w;
    struct tk_txn_client *client;
    struct tk_router *router; /* the client's */
};

typedef void
place_fn(struct place *);

/* What a test is about to run; the seeds are run one after the other. */
static place_fn *place_body;

static inline void
place_main(struct world *w)
{
    struct place place = { .w = w };

    world_ok(tk_txn_client_new(&w->router, &place.client));
    place.router = &place.client->router;
    place_body(&place);
    world_shut(w);
    tk_txn_client_free(place.client);
}

static inline void
place_run_by(const struct world_plan *plan, place_fn *body)
{
    uint64_t seed;

    place_body = body;
    for (seed = 1; seed <= 3; seed++) {
        world_sim(seed, plan, place_main);
    }
    world_real(plan, place_main);
}

/* One store, one region. */
static inline void
place_run(place_fn *body)
{
    static const struct world_plan plan = {
        .cluster = { .stores_count = 1, .pds_count = 1, .regions_count = 1 },
    };

    place_run_by(&plan, body);
}

/* Splits before a key of a transaction. */
static inline void
place_split(struct place *place, const char *key)
{
    struct tk_buf encoded;

    tk_buf_init(&encoded, 1000);
    tk_key_encode(&encoded, tk_slice_text(key));
    world_ok(tk_cluster_split(place->w->cluster, tk_buf_slice(&encoded)));
    tk_buf_fini(&encoded);
}

static inline void
place_begin(struct place *place, struct tk_op *op)
{
    assert_true(tk_op_init(op, place->w->exec, NULL, 20000 * TK_MS));
}

/* The rows of a range, page after page, as "a=1,b=2". */
static inline void
place_rows(struct place *place, struct tk_snapshot *snapshot, tikv_range range,
           const struct tk_scan_options *options, const char *expected)
{
    tikv_pairs *before = NULL;
    tikv_pairs *page;
    char text[2048] = "";
    struct tk_op op;
    size_t i;

    place_begin(place, &op);
    do {
        world_ok(tk_snapshot_scan(snapshot, &op, range, options, &page));
        for (i = 0; i < page->count; i++) {
            const tikv_pair *row = &page->data[i];

            snprintf(
                text + strlen(text), sizeof(text) - strlen(text), "%s%.*s=%.*s",
                text[0] == '\0' ? "" : ",", (int)row->key.len,
                (const char *)row->key.data, (int)row->value.len,
                row->value.data == NULL ? "" : (const char *)row->value.data);
        }
        /* The range lies in the page before. */
        tikv_pairs_free(before);
        before = page;
    } while (tikv_pairs_next(page, &range));
    tikv_pairs_free(page);
    tk_op_fini(&op);
    assert_string_equal(text, expected);
}

static inline void
place_sleep(struct place *place, int64_t ms)
{
    struct tk_op op;

    place_begin(place, &op);
    world_ok(tk_op_sleep(&op, ms * TK_MS));
    tk_op_fini(&op);
}

/* Until a transaction with that time to live is over by PD's clock, which
 * goes in steps. */
static inline void
place_outlive(struct place *place, uint64_t start_ts, uint64_t ttl_ms)
{
    while (tk_ts_ms(data_ts(place->router)) <= tk_ts_ms(start_ts) + ttl_ms) {
        place_sleep(place, 5);
    }
}

static inline uint64_t
place_calls(struct place *place, const char *method)
{
    return tk_cluster_calls(place->w->cluster, method);
}

/* One round over all locks there are. */
struct place_round {
    struct tk_resolve resolve;
    struct tk_backoff backoff;
    struct tk_ts_set bypass;
    struct tk_ts_set access;
    tikv_error *error;
};

static inline void
place_resolve(struct place *place, struct place_round *round,
              uint64_t caller_start_ts, bool for_read)
{
    struct tk_lock_set locks;
    struct tk_op op;

    memset(round, 0, sizeof(*round));
    tk_backoff_init(&round->backoff, 20000);
    round->resolve.caller_start_ts = caller_start_ts;
    round->resolve.for_read = for_read;
    round->resolve.backoff = &round->backoff;
    round->resolve.bypass = for_read ? &round->bypass : NULL;
    round->resolve.access = for_read ? &round->access : NULL;
    tk_lock_set_init(&locks);
    data_locks(place->router, &locks);
    place_begin(place, &op);
    round->error = tk_resolver_resolve(place->client->resolver, &op,
                                       &round->resolve, &locks);
    tk_op_fini(&op);
    tk_lock_set_fini(&locks);
}

static inline void
place_forget(struct place_round *round)
{
    tikv_error_free(round->error);
    tk_ts_set_fini(&round->bypass);
    tk_ts_set_fini(&round->access);
}

/* What readers leave behind is done soon. */
static inline void
place_await_locks(struct place *place, size_t count)
{
    unsigned tries = 0;

    while (data_locks(place->router, NULL) != count) {
        assert_in_range(tries++, 0, 1000);
        place_sleep(place, 2);
    }
}

#endif
