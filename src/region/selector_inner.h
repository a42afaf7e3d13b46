/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of the selector share, choice and judgement; no state,
 * no lock. */
#ifndef TK_REGION_SELECTOR_INNER_H
#define TK_REGION_SELECTOR_INNER_H

#include "region/selector.h"

/* The working leader may be asked, suspected or not. */
bool
tk_selector_leader_is_good(const struct tk_selector *selector);

/* A hint names this replica. */
void
tk_selector_new_leader(struct tk_selector *selector, uint32_t place);

/* Another replica may be asked without a pause. */
bool
tk_selector_has_others(const struct tk_selector *selector);

/* What the replica is worth in that mode; for tests. */
unsigned
tk_selector_score(const struct tk_selector *selector,
                  const struct tk_read_mode *mode, uint32_t place);

#endif
