/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What TiKV says about a key, as an error of ours: the whole of
 * kvrpcpb.KeyError, one row per kind (ERR-3). Facts go into the error's
 * fields, keys without the keyspace's prefix. No state; any thread.
 *
 * Those whom a kind concerns look at the message first: a lock is resolved
 * (lock.h), a primary mismatch or a missing transaction is news for the
 * resolver, a commit ts that expired is corrected by the committer. What
 * reaches the caller of the library comes through here.
 */
#ifndef TK_TXN_KEY_ERROR_H
#define TK_TXN_KEY_ERROR_H

#include <tikv/error.h>

#include "wire/commands.h"
#include "wire/key.h"

struct kvrpcpb_KeyError;

/* Never NULL. `command` is who was told so. */
tikv_error *
tk_key_error(const struct kvrpcpb_KeyError *problem,
             const struct tk_key_codec *codec, enum tk_command command)
    __attribute__((warn_unused_result));

#endif
