/* SPDX-License-Identifier: Apache-2.0 */
/* The arithmetic of waiting (BO-2, BO-3, BO-4). Server-busy sleeps do not
 * count against the budget but have a limit of their own. No lock: one owner
 * at a time. */
#include "region/backoff.h"

#include <string.h>

#include "base/error.h"

#define EXCLUDED_MAX_MS 600000

struct row {
    int64_t base_ms;
    int64_t cap_ms;
    enum tk_jitter jitter;
    tikv_code code;
};

static const struct row rows[TK_BACKOFF_KINDS] = {
#define TK_BACKOFF(id, name, base_ms, cap_ms, jitter, code)                    \
    { base_ms, cap_ms, TK_JITTER_##jitter, code },
#include "base/backoff.def"
#undef TK_BACKOFF
};

#define TK_BACKOFF(id, name, base_ms, cap_ms, jitter, code)                    \
    _Static_assert((base_ms) >= 2 && (cap_ms) >= (base_ms),                    \
                   "backoff bounds of " name);
#include "base/backoff.def"
#undef TK_BACKOFF

int64_t
tk_backoff_base_ms(enum tk_backoff_kind kind)
{
    return rows[kind].base_ms;
}

void
tk_backoff_init(struct tk_backoff *backoff, int64_t budget_ms)
{
    memset(backoff, 0, sizeof(*backoff));
    backoff->budget_ms = budget_ms;
}

void
tk_backoff_fork(struct tk_backoff *backoff, const struct tk_backoff *from)
{
    *backoff = *from;
    memset(backoff->attempts, 0, sizeof(backoff->attempts));
    memset(backoff->last_ms, 0, sizeof(backoff->last_ms));
}

void
tk_backoff_adopt(struct tk_backoff *backoff, const struct tk_backoff *child)
{
    int64_t budget_ms = backoff->budget_ms;

    *backoff = *child;
    backoff->budget_ms = budget_ms;
}

void
tk_backoff_carry(struct tk_backoff *backoff, const struct tk_backoff *from)
{
    backoff->total_ms = from->total_ms;
    backoff->excluded_ms = from->excluded_ms;
    memcpy(backoff->slept_ms, from->slept_ms, sizeof(backoff->slept_ms));
}

static int64_t
below(uint64_t random, int64_t limit)
{
    return limit <= 0 ? 0 : (int64_t)(random % (uint64_t)limit);
}

int64_t
tk_backoff_pause(enum tk_jitter jitter, int64_t base_ms, int64_t cap_ms,
                 unsigned attempts, int64_t last_ms, uint64_t random)
{
    int64_t full = attempts >= 32 || base_ms << attempts > cap_ms
                       ? cap_ms
                       : base_ms << attempts;
    int64_t spread;

    switch (jitter) {
    case TK_JITTER_NONE:
        return full;
    case TK_JITTER_EARLY:
        return full - below(random, full / 4 + 1);
    case TK_JITTER_FULL:
        return below(random, full);
    case TK_JITTER_EQUAL:
        return full / 2 + below(random, full / 2);
    case TK_JITTER_DECORRELATED:
    default:
        spread = 3 * (last_ms == 0 ? base_ms : last_ms) - base_ms;
        full = base_ms + below(random, spread);
        return full > cap_ms ? cap_ms : full;
    }
}

static bool
is_used_up(const struct tk_backoff *backoff, enum tk_backoff_kind kind)
{
    int64_t counted = backoff->total_ms - backoff->excluded_ms;

    if (backoff->budget_ms <= 0) {
        return false;
    }
    return counted >= backoff->budget_ms ||
           (kind == TK_BACKOFF_SERVER_BUSY &&
            backoff->excluded_ms >= EXCLUDED_MAX_MS &&
            backoff->excluded_ms >= backoff->budget_ms);
}

int64_t
tk_backoff_next(struct tk_backoff *backoff, enum tk_backoff_kind kind,
                int64_t ceiling_ms, uint64_t random)
{
    const struct row *row = &rows[kind];
    int64_t pause;

    if (is_used_up(backoff, kind)) {
        return -1;
    }
    pause = tk_backoff_pause(row->jitter, row->base_ms, row->cap_ms,
                             backoff->attempts[kind], backoff->last_ms[kind],
                             random);
    backoff->last_ms[kind] = (uint32_t)pause;
    if (ceiling_ms >= 0 && pause > ceiling_ms) {
        pause = ceiling_ms;
    }
    if (backoff->attempts[kind] < UINT16_MAX) {
        backoff->attempts[kind]++;
    }
    backoff->slept_ms[kind] += (uint32_t)pause;
    backoff->total_ms += pause;
    if (kind == TK_BACKOFF_SERVER_BUSY) {
        backoff->excluded_ms += pause;
    }
    return pause;
}

void
tk_backoff_undo(struct tk_backoff *backoff, enum tk_backoff_kind kind,
                int64_t ms)
{
    if (backoff->attempts[kind] > 0) {
        backoff->attempts[kind]--;
    }
    backoff->slept_ms[kind] -= (uint32_t)ms;
    backoff->total_ms -= ms;
    if (kind == TK_BACKOFF_SERVER_BUSY) {
        backoff->excluded_ms -= ms;
    }
}

int64_t
tk_backoff_left_ms(const struct tk_backoff *backoff)
{
    int64_t left = backoff->budget_ms - backoff->total_ms +
                   backoff->excluded_ms;

    if (backoff->budget_ms <= 0) {
        return TK_NEVER / TK_MS;
    }
    return left > 0 ? left : 0;
}

void
tk_backoff_charge(struct tk_backoff *backoff, enum tk_backoff_kind kind,
                  int64_t ms)
{
    if (ms > 0) {
        backoff->slept_ms[kind] += (uint32_t)ms;
        backoff->total_ms += ms;
    }
}

enum tk_backoff_kind
tk_backoff_dominant(const struct tk_backoff *backoff)
{
    enum tk_backoff_kind dominant = TK_BACKOFF_KINDS;
    uint32_t most = 0;
    unsigned kind;

    for (kind = 0; kind < TK_BACKOFF_KINDS; kind++) {
        if (kind != TK_BACKOFF_SERVER_BUSY && backoff->slept_ms[kind] > most) {
            most = backoff->slept_ms[kind];
            dominant = (enum tk_backoff_kind)kind;
        }
    }
    return dominant;
}

tikv_error *
tk_backoff_exceeded(const struct tk_backoff *backoff, tikv_error *cause)
{
    enum tk_backoff_kind dominant = tk_backoff_dominant(backoff);
    tikv_error *error;

    if (dominant == TK_BACKOFF_KINDS && cause != NULL) {
        error = tk_error_wrap(cause, "gave up after %lld ms of waiting",
                              (long long)backoff->total_ms);
    } else {
        tikv_code code = dominant == TK_BACKOFF_KINDS ? TIKV_ERR_SERVER_BUSY
                                                      : rows[dominant].code;

        error = tk_error(
            code, "gave up after %lld ms of waiting, most of it %s%s%s",
            (long long)backoff->total_ms,
            dominant == TK_BACKOFF_KINDS ? "tikvServerBusy"
                                         : tk_backoff_name(dominant),
            cause == NULL ? "" : ": ",
            cause == NULL ? "" : tikv_error_message(cause));
        tikv_error_free(cause);
    }
    tk_backoff_describe(backoff, error);
    return error;
}

void
tk_backoff_describe(const struct tk_backoff *backoff, tikv_error *error)
{
    unsigned kind;

    for (kind = 0; kind < TK_BACKOFF_KINDS; kind++) {
        if (backoff->slept_ms[kind] != 0) {
            tk_error_set_backoff(error, (enum tk_backoff_kind)kind,
                                 backoff->slept_ms[kind]);
        }
    }
}
