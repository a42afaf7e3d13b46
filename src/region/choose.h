/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the cache and the selector: shows a selector the record a round is
 * about and the stores of its peers, and does to the record what the choice
 * says. Everything happens inside one epoch section; no lock, no wait.
 */
#ifndef TK_REGION_CHOOSE_H
#define TK_REGION_CHOOSE_H

#include "region/cache.h"
#include "region/selector.h"

/* What a round is for. */
struct tk_round {
    const struct tk_read_mode *mode;
    bool is_read;
    bool has_timeout;
    bool may_forward;
};

/* Begins a round in the record of `key` that `route` came from. False: the
 * cache has another record by now. */
bool
tk_cache_begin_round(struct tk_cache *cache, tikv_slice key,
                     const struct tk_route *route,
                     const struct tk_round *round,
                     struct tk_selector *selector);

/* The first attempt was made without a selector, to the peer of the route:
 * the round takes it over. */
bool
tk_cache_adopt_attempt(struct tk_selector *selector,
                       const struct tk_route *route);

/* The next attempt: *route gets its target and *via the store of the one who
 * forwards, or NULL. With nobody left *route stays, and *via is the store the
 * choice suspects, if it does. False: the round is over because the cache has
 * another record. */
bool
tk_cache_choose(struct tk_cache *cache, tikv_slice key,
                struct tk_selector *selector, uint64_t random,
                struct tk_choice *choice, struct tk_route *route,
                struct tk_store **via);

/* The last attempt of the round succeeded: who leads, who forwards. */
void
tk_cache_learn(struct tk_cache *cache, tikv_slice key,
               const struct tk_selector *selector,
               const struct tk_route *route);

#endif
