/* SPDX-License-Identifier: Apache-2.0 */
/* The record, its rules and its print. See history.h. One thread. */
#include "sim/history.h"

#include <string.h>

#include "base/alloc.h"
#include "exec/runtime.h"

void
tk_history_init(struct tk_history *history)
{
    memset(history, 0, sizeof(*history));
}

void
tk_history_fini(struct tk_history *history)
{
    tk_free(history->ops);
    tk_free(history->sends);
    memset(history, 0, sizeof(*history));
}

/* Room for one item more. */
static bool
grow(struct tk_history *history, void **items, size_t count, size_t *room,
     size_t size)
{
    size_t more = *room == 0 ? 64 : *room * 2;
    void *grown;

    if (count < *room) {
        return true;
    }
    grown = tk_realloc(*items, more * size);
    if (grown == NULL) {
        history->failed = true;
        return false;
    }
    *items = grown;
    *room = more;
    return true;
}

uint32_t
tk_history_begin(struct tk_history *history, const struct tk_sim_op *op)
{
    struct tk_sim_op *slot;
    void *items = history->ops;

    if (!grow(history, &items, history->ops_count, &history->ops_room,
              sizeof(*op))) {
        return TK_SIM_NONE;
    }
    history->ops = (struct tk_sim_op *)items;
    slot = &history->ops[history->ops_count];
    *slot = *op;
    slot->outcome = TK_SIM_RUNNING;
    slot->returned = TK_NEVER;
    slot->ends = 0;
    slot->sends = TK_SIM_NONE;
    return (uint32_t)history->ops_count++;
}

void
tk_history_end(struct tk_history *history, uint32_t op, int64_t now,
               enum tk_sim_outcome outcome, int32_t code)
{
    struct tk_sim_op *slot;

    if (op >= history->ops_count) {
        return;
    }
    slot = &history->ops[op];
    if (slot->ends++ == 0) {
        slot->outcome = outcome;
        slot->code = code;
        slot->returned = now;
    }
}

/* Sends come soon after their operation began: the search is short. */
static uint32_t
find(const struct tk_history *history, uint32_t group, uint32_t key)
{
    size_t i;

    for (i = history->ops_count; i > 0; i--) {
        const struct tk_sim_op *op = &history->ops[i - 1];

        if (op->group == group && op->key == key) {
            return (uint32_t)(i - 1);
        }
    }
    return TK_SIM_NONE;
}

uint32_t
tk_history_send(struct tk_history *history, uint32_t group, uint32_t key,
                int64_t now, int64_t over)
{
    uint32_t op = find(history, group, key);
    void *items = history->sends;

    if (op == TK_SIM_NONE ||
        !grow(history, &items, history->sends_count, &history->sends_room,
              sizeof(*history->sends))) {
        return TK_SIM_NONE;
    }
    history->sends = (struct tk_sim_send *)items;
    history->sends[history->sends_count] = (struct tk_sim_send){
        .op = op,
        .next = history->ops[op].sends,
        .at = now,
        .over = over,
    };
    history->ops[op].sends = (uint32_t)history->sends_count;
    return (uint32_t)history->sends_count++;
}

void
tk_history_judge(struct tk_history *history, uint32_t send, int64_t now,
                 enum tk_sim_verdict verdict)
{
    struct tk_sim_send *slot;

    if (send >= history->sends_count) {
        return;
    }
    slot = &history->sends[send];
    if (slot->verdict == TK_SIM_PENDING) {
        slot->verdict = verdict;
        if (now < slot->over) {
            slot->over = now;
        }
    }
}

uint32_t
tk_history_doubts(const struct tk_history *history, uint32_t op)
{
    uint32_t count = 0;
    uint32_t i;

    for (i = history->ops[op].sends; i != TK_SIM_NONE;
         i = history->sends[i].next) {
        count += history->sends[i].verdict != TK_SIM_REFUSED;
    }
    return count;
}

/* ---- rules ---- */

/* Whether a send left while another one was still, or was already, more than
 * refused. */
static bool
was_resent_in_doubt(const struct tk_history *history,
                    const struct tk_sim_op *op)
{
    uint32_t later;
    uint32_t earlier;

    for (later = op->sends; later != TK_SIM_NONE;
         later = history->sends[later].next) {
        int64_t at = history->sends[later].at;

        for (earlier = history->sends[later].next; earlier != TK_SIM_NONE;
             earlier = history->sends[earlier].next) {
            const struct tk_sim_send *send = &history->sends[earlier];

            if (send->verdict != TK_SIM_REFUSED || send->over > at) {
                return true;
            }
        }
    }
    return false;
}

static bool
was_answered(const struct tk_history *history, const struct tk_sim_op *op)
{
    uint32_t i;

    for (i = op->sends; i != TK_SIM_NONE; i = history->sends[i].next) {
        if (history->sends[i].verdict == TK_SIM_APPLIED &&
            history->sends[i].over <= op->returned) {
            return true;
        }
    }
    return false;
}

static const char *
broken_rule(const struct tk_history *history, size_t index, int64_t slack)
{
    const struct tk_sim_op *op = &history->ops[index];

    if (op->ends == 0) {
        return "it never ended";
    }
    if (op->ends > 1) {
        return "it ended more than once";
    }
    if (op->returned > tk_after(op->deadline, slack)) {
        return "it ended after its deadline";
    }
    if (op->kind == TK_SIM_GET) {
        return op->outcome == TK_SIM_UNDETERMINED
                   ? "a read is called undetermined"
                   : NULL;
    }
    if (op->kind == TK_SIM_CAS && was_resent_in_doubt(history, op)) {
        return "a swap was sent again while it was in doubt";
    }
    if (op->outcome == TK_SIM_FAILED &&
        tk_history_doubts(history, (uint32_t)index) != 0) {
        return "it is called failed, and a request of it may be applied";
    }
    if (op->outcome == TK_SIM_OK && !was_answered(history, op)) {
        return "it is called done, and nobody answered";
    }
    return NULL;
}

uint32_t
tk_history_rules(const struct tk_history *history, int64_t slack,
                 const char **why)
{
    size_t i;

    for (i = 0; i < history->ops_count; i++) {
        *why = broken_rule(history, i, slack);
        if (*why != NULL) {
            return (uint32_t)i;
        }
    }
    *why = NULL;
    return TK_SIM_NONE;
}

/* ---- print ---- */

static void
print_value(struct tk_buf *out, uint32_t value)
{
    if (value == 0) {
        tk_buf_printf(out, "none");
    } else if (value == TK_SIM_FOREIGN) {
        tk_buf_printf(out, "foreign bytes");
    } else {
        tk_buf_printf(out, "v%u", value);
    }
}

static void
print_call(struct tk_buf *out, const struct tk_sim_op *op)
{
    switch (op->kind) {
    case TK_SIM_GET:
        tk_buf_printf(out, "get");
        if (op->outcome == TK_SIM_OK) {
            tk_buf_printf(out, " = ");
            print_value(out, op->result);
        }
        break;
    case TK_SIM_PUT:
        tk_buf_printf(out, "put ");
        print_value(out, op->value);
        break;
    case TK_SIM_DELETE:
        tk_buf_printf(out, "delete");
        break;
    case TK_SIM_CAS:
        tk_buf_printf(out, "swap ");
        print_value(out, op->expected);
        tk_buf_printf(out, " -> ");
        print_value(out, op->value);
        if (op->outcome == TK_SIM_OK) {
            tk_buf_printf(out, " %s, found ", op->swapped ? "done" : "refused");
            print_value(out, op->result);
        }
        break;
    }
}

static void
print_sends(struct tk_buf *out, const struct tk_history *history,
            const struct tk_sim_op *op)
{
    static const char *const names[] = { "pending until", "refused",
                                         "applied by" };
    uint32_t i;

    for (i = op->sends; i != TK_SIM_NONE; i = history->sends[i].next) {
        const struct tk_sim_send *send = &history->sends[i];

        tk_buf_printf(out, "      sent at %.3f, %s %.3f\n",
                      (double)send->at / 1e6, names[send->verdict],
                      (double)send->over / 1e6);
    }
}

void
tk_history_print(const struct tk_history *history, uint32_t key, uint32_t mark,
                 struct tk_buf *out)
{
    static const char *const outcomes[] = { "running", "ok", "failed",
                                            "undetermined" };
    size_t i;

    tk_buf_printf(out, "key %u; times in ms\n", key);
    for (i = 0; i < history->ops_count; i++) {
        const struct tk_sim_op *op = &history->ops[i];

        if (op->key != key) {
            continue;
        }
        tk_buf_printf(out, "%s #%zu fiber %u [%.3f, ", i == mark ? "->" : "  ",
                      i, op->fiber, (double)op->invoked / 1e6);
        if (op->returned == TK_NEVER) {
            tk_buf_printf(out, "...] ");
        } else {
            tk_buf_printf(out, "%.3f] ", (double)op->returned / 1e6);
        }
        print_call(out, op);
        tk_buf_printf(out, ": %s", outcomes[op->outcome]);
        if (op->code != 0) {
            tk_buf_printf(out, " (%d)", op->code);
        }
        tk_buf_printf(out, "\n");
        print_sends(out, history, op);
    }
}
