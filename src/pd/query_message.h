/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of pdpb.PD/QueryRegion: a list of questions out, and their answers
 * read. Plain functions, no lock. */
#ifndef TK_PD_QUERY_MESSAGE_H
#define TK_PD_QUERY_MESSAGE_H

#include "pd/inner.h"
#include "pd/query.h"

/* Most questions of one message. */
#define TK_QUERIES_MAX 256

/* `place` of each counts those of its kind; absent without memory. */
struct tk_encoded
tk_query_encode(struct tk_pd *pd, const struct tk_query *first,
                struct tk_arena *arena);

/* Fills in result, data and frame of each. False: the message is an error, or
 * makes no sense; nothing was filled in. */
bool
tk_query_read(struct tk_pd *pd, tikv_slice data, struct tk_frame *frame,
              struct tk_query *first);

#endif
