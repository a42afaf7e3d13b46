/* SPDX-License-Identifier: Apache-2.0 */
/* Growing arrays, two rules and a print. See record.h. One thread. */
#include "sim/record.h"

#include <string.h>

#include "base/alloc.h"
#include "exec/runtime.h"

void
tk_record_init(struct tk_record *record)
{
    memset(record, 0, sizeof(*record));
}

void
tk_record_fini(struct tk_record *record)
{
    tk_free(record->txns);
    tk_free(record->steps);
    tk_free(record->values);
    memset(record, 0, sizeof(*record));
}

/* Room for `more` items behind `count`. */
static void *
grow(struct tk_record *record, void *items, size_t count, size_t more,
     size_t *room, size_t size)
{
    size_t wanted = *room == 0 ? 64 : *room;
    void *grown;

    while (wanted < count + more) {
        wanted *= 2;
    }
    if (wanted == *room) {
        return items;
    }
    grown = tk_realloc(items, wanted * size);
    if (grown == NULL) {
        record->failed = true;
        return NULL;
    }
    *room = wanted;
    return grown;
}

uint32_t
tk_record_begin(struct tk_record *record, uint32_t fiber, int64_t now,
                int64_t deadline)
{
    struct tk_record_txn *txns =
        (struct tk_record_txn *)grow(record, record->txns, record->txns_count,
                                     1, &record->txns_room, sizeof(*txns));

    if (txns == NULL) {
        return TK_SIM_NONE;
    }
    record->txns = txns;
    txns[record->txns_count] = (struct tk_record_txn){
        .fiber = fiber,
        .invoked = now,
        .returned = TK_NEVER,
        .deadline = deadline,
    };
    return (uint32_t)record->txns_count++;
}

uint32_t
tk_record_values(struct tk_record *record, const uint32_t *values, size_t count)
{
    uint32_t first = (uint32_t)record->values_count;
    uint32_t *grown =
        (uint32_t *)grow(record, record->values, record->values_count, count,
                         &record->values_room, sizeof(*grown));

    if (grown == NULL) {
        return 0;
    }
    record->values = grown;
    if (count != 0) {
        memcpy(grown + first, values, count * sizeof(*values));
    }
    record->values_count += count;
    return first;
}

void
tk_record_steps(struct tk_record *record, uint32_t txn,
                const struct tk_record_step *steps, size_t count)
{
    struct tk_record_step *grown;

    if (txn >= record->txns_count || record->txns[txn].count != 0) {
        return;
    }
    grown = (struct tk_record_step *)grow(record, record->steps,
                                          record->steps_count, count,
                                          &record->steps_room, sizeof(*grown));
    if (grown == NULL) {
        return;
    }
    record->steps = grown;
    record->txns[txn].first = (uint32_t)record->steps_count;
    record->txns[txn].count = (uint32_t)count;
    if (count != 0) {
        memcpy(grown + record->steps_count, steps, count * sizeof(*steps));
    }
    record->steps_count += count;
}

void
tk_record_end(struct tk_record *record, uint32_t txn, int64_t now,
              enum tk_sim_outcome outcome, int32_t code)
{
    struct tk_record_txn *slot;

    if (txn >= record->txns_count) {
        return;
    }
    slot = &record->txns[txn];
    if (slot->ends++ == 0) {
        slot->outcome = outcome;
        slot->code = code;
        slot->returned = now;
    }
}

void
tk_record_decide(struct tk_record *record, uint32_t txn, int64_t now,
                 enum tk_sim_outcome outcome, uint64_t commit_ts)
{
    struct tk_record_txn *slot;

    if (txn >= record->txns_count) {
        return;
    }
    slot = &record->txns[txn];
    if (slot->outcome == TK_SIM_UNDETERMINED) {
        slot->outcome = outcome;
        slot->commit_ts = commit_ts;
        slot->deadline = TK_NEVER; /* held when the doubt was told */
        slot->returned = now;
    }
}

uint32_t
tk_record_rules(const struct tk_record *record, int64_t slack, const char **why)
{
    size_t i;

    for (i = 0; i < record->txns_count; i++) {
        const struct tk_record_txn *txn = &record->txns[i];

        *why = NULL;
        if (txn->ends != 1) {
            *why = txn->ends == 0 ? "never ended" : "ended twice";
        } else if (txn->deadline != TK_NEVER &&
                   txn->returned > tk_after(txn->deadline, slack)) {
            *why = "ended long after its deadline";
        } else if (txn->outcome == TK_SIM_OK && txn->commit_ts != 0 &&
                   txn->commit_ts <= txn->start_ts) {
            *why = "was committed before it began";
        }
        if (*why != NULL) {
            return (uint32_t)i;
        }
    }
    return TK_SIM_NONE;
}

static void
print_step(const struct tk_record *record, const struct tk_record_step *step,
           struct tk_buf *out)
{
    uint32_t i;

    tk_buf_printf(out, "  %u:[", step->key);
    for (i = 0; i < step->count; i++) {
        tk_buf_printf(out, "%s%u", i == 0 ? "" : " ",
                      record->values[step->first + i]);
    }
    tk_buf_append_text(out, "]");
    if (step->is_write) {
        tk_buf_printf(out, "<-%u", step->value);
    }
}

void
tk_record_print(const struct tk_record *record, uint32_t txn,
                struct tk_buf *out)
{
    static const char *const outcomes[] = { "runs", "committed", "failed",
                                            "in doubt" };
    const struct tk_record_txn *slot;
    uint32_t i;

    if (txn >= record->txns_count) {
        return;
    }
    slot = &record->txns[txn];
    tk_buf_printf(
        out, "T%u fiber %u, %lld..%lld us, %llu to %llu, %s (%d):", txn,
        slot->fiber, (long long)(slot->invoked / 1000),
        (long long)(slot->returned / 1000), (unsigned long long)slot->start_ts,
        (unsigned long long)slot->commit_ts, outcomes[slot->outcome],
        (int)slot->code);
    for (i = 0; i < slot->count; i++) {
        print_step(record, &record->steps[slot->first + i], out);
    }
    tk_buf_append_text(out, "\n");
}
