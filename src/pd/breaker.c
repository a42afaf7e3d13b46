/* SPDX-License-Identifier: Apache-2.0 */
/* The circuit breaker; see the picture in the header. */
#include "pd/breaker.h"

#define SECOND_NS INT64_C(1000000000)
#define WINDOW_NS (30 * SECOND_NS)
#define PAUSE_NS (10 * SECOND_NS)

/* Fewer calls in a window prove nothing: ten each second. */
#define WINDOW_CALLS 300

static void
new_window(struct tk_breaker *breaker, int64_t now)
{
    breaker->state = TK_BREAKER_CLOSED;
    breaker->until = now + WINDOW_NS;
    breaker->calls = 0;
    breaker->failures = 0;
}

static void
open_up(struct tk_breaker *breaker, int64_t now)
{
    breaker->state = TK_BREAKER_OPEN;
    breaker->until = now + PAUSE_NS;
}

/* The window is over. */
static void
judge(struct tk_breaker *breaker, int64_t now, int64_t percent)
{
    if (breaker->calls >= WINDOW_CALLS &&
        (int64_t)breaker->failures * 100 > percent * (int64_t)breaker->calls) {
        open_up(breaker, now);
    } else {
        new_window(breaker, now);
    }
}

bool
tk_breaker_admit(struct tk_breaker *breaker, int64_t now, int64_t percent)
{
    if (percent == 0) {
        new_window(breaker, now);
        return true;
    }
    if (breaker->state == TK_BREAKER_CLOSED && now >= breaker->until) {
        judge(breaker, now, percent);
    }
    if (breaker->state == TK_BREAKER_OPEN && now >= breaker->until) {
        breaker->state = TK_BREAKER_HALF_OPEN;
        breaker->is_trying = false;
    }
    if (breaker->state == TK_BREAKER_HALF_OPEN && !breaker->is_trying) {
        breaker->is_trying = true;
        return true;
    }
    return breaker->state == TK_BREAKER_CLOSED;
}

void
tk_breaker_report(struct tk_breaker *breaker, int64_t now, int64_t percent,
                  enum tk_breaker_result result)
{
    if (percent == 0 || breaker->state == TK_BREAKER_OPEN) {
        return;
    }
    if (breaker->state == TK_BREAKER_HALF_OPEN) {
        breaker->is_trying = false;
        if (result == TK_BREAKER_GOOD) {
            new_window(breaker, now);
        } else if (result == TK_BREAKER_BAD) {
            open_up(breaker, now);
        }
        return;
    }
    if (now >= breaker->until) {
        judge(breaker, now, percent);
    }
    if (breaker->state == TK_BREAKER_CLOSED && result != TK_BREAKER_NOTHING) {
        breaker->calls++;
        breaker->failures += result == TK_BREAKER_BAD;
    }
}
