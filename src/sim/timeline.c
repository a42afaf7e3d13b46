/* SPDX-License-Identifier: Apache-2.0 */
/* Versions sorted by key and timestamp, and a look at each reading. */
#include "sim/timeline.h"

#include <stdlib.h>

#include "base/alloc.h"

struct version {
    uint32_t key;
    uint32_t value;
    uint64_t start_ts;
    uint64_t commit_ts;
    uint32_t txn;
};

static int
by_time(const void *left, const void *right)
{
    const struct version *a = (const struct version *)left;
    const struct version *b = (const struct version *)right;

    if (a->key != b->key) {
        return a->key < b->key ? -1 : 1;
    }
    return a->commit_ts == b->commit_ts  ? 0
           : a->commit_ts < b->commit_ts ? -1
                                         : 1;
}

static bool
is_last_write(const struct tk_record *record, const struct tk_record_txn *txn,
              uint32_t at)
{
    const struct tk_record_step *steps = record->steps + txn->first;
    uint32_t i;

    for (i = at + 1; i < txn->count; i++) {
        if (steps[i].is_write && steps[i].key == steps[at].key) {
            return false;
        }
    }
    return steps[at].is_write;
}

static bool
is_behind_write(const struct tk_record *record, const struct tk_record_txn *txn,
                uint32_t at)
{
    const struct tk_record_step *steps = record->steps + txn->first;
    uint32_t i;

    for (i = 0; i < at; i++) {
        if (steps[i].is_write && steps[i].key == steps[at].key) {
            return true;
        }
    }
    return false;
}

static size_t
collect(const struct tk_record *record, struct version *versions)
{
    size_t count = 0;
    size_t i;
    uint32_t j;

    for (i = 0; i < record->txns_count; i++) {
        const struct tk_record_txn *txn = &record->txns[i];

        for (j = 0;
             txn->outcome == TK_SIM_OK && txn->commit_ts != 0 && j < txn->count;
             j++) {
            const struct tk_record_step *step = &record->steps[txn->first + j];

            if (is_last_write(record, txn, j)) {
                versions[count++] =
                    (struct version){ step->key, step->value, txn->start_ts,
                                      txn->commit_ts, (uint32_t)i };
            }
        }
    }
    if (count != 0) {
        qsort(versions, count, sizeof(*versions), by_time);
    }
    return count;
}

/* Who had been committed before `late` asked for its commit has no larger
 * timestamp; the same one is fine, TiKV's may be the next of PD's. The first
 * that has, or TK_SIM_NONE. */
static uint32_t
find_overtaken(const struct tk_record *record, const struct tk_record_txn *late)
{
    size_t i;

    if (late->outcome != TK_SIM_OK || late->commit_ts == 0 ||
        late->asked == 0 || late->is_causal) {
        return TK_SIM_NONE;
    }
    for (i = 0; i < record->txns_count; i++) {
        const struct tk_record_txn *early = &record->txns[i];

        if (early->outcome == TK_SIM_OK && early->commit_ts > late->commit_ts &&
            early->returned < late->asked) {
            return (uint32_t)i;
        }
    }
    return TK_SIM_NONE;
}

/* The newest one of the key at `ts`, or NULL. */
static const struct version *
version_at(const struct version *versions, size_t count, uint32_t key,
           uint64_t ts)
{
    size_t low = 0;
    size_t high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct version *version = &versions[middle];

        if (version->key < key ||
            (version->key == key && version->commit_ts <= ts)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low != 0 && versions[low - 1].key == key ? &versions[low - 1] : NULL;
}

/* Whether the value is of one that nobody knows enough of. */
static bool
is_in_doubt(const struct tk_record *record, uint32_t key, uint32_t value)
{
    size_t i;
    uint32_t j;

    for (i = 0; i < record->txns_count; i++) {
        const struct tk_record_txn *txn = &record->txns[i];

        for (j = 0; j < txn->count; j++) {
            const struct tk_record_step *step = &record->steps[txn->first + j];

            if (step->is_write && step->key == key && step->value == value &&
                (txn->outcome == TK_SIM_UNDETERMINED ||
                 (txn->outcome == TK_SIM_OK && txn->commit_ts == 0))) {
                return true;
            }
        }
    }
    return false;
}

static bool
check_txn(const struct tk_record *record, uint32_t number,
          const struct version *versions, size_t count,
          struct tk_timeline_report *report)
{
    const struct tk_record_txn *txn = &record->txns[number];
    uint32_t i;

    for (i = 0; i < txn->count; i++) {
        const struct tk_record_step *step = &record->steps[txn->first + i];
        const struct version *version;
        uint32_t found = 0;

        bool looks =
            !step->is_blind || (step->is_insert && txn->outcome == TK_SIM_OK);

        if (txn->start_ts == 0 || !looks || is_behind_write(record, txn, i)) {
            continue;
        }
        if (step->count != 0) {
            found = record->values[step->first + step->count - 1];
        }
        version = version_at(versions, count, step->key, txn->start_ts);
        report->reads++;
        report->expected = version == NULL ? 0 : version->value;
        if (found != report->expected &&
            !is_in_doubt(record, step->key, found)) {
            report->txn = number;
            report->other = version == NULL ? TK_SIM_NONE : version->txn;
            report->key = step->key;
            report->found = found;
            return false;
        }
    }
    return true;
}

static enum tk_timeline_fault
check(const struct tk_record *record, const struct version *versions,
      size_t count, struct tk_timeline_report *report)
{
    size_t i;

    for (i = 1; i < count; i++) {
        if (versions[i].key == versions[i - 1].key &&
            versions[i].start_ts < versions[i - 1].commit_ts) {
            report->txn = versions[i].txn;
            report->other = versions[i - 1].txn;
            report->key = versions[i].key;
            return TK_TIMELINE_WRITE;
        }
    }
    for (i = 0; i < record->txns_count; i++) {
        if (!check_txn(record, (uint32_t)i, versions, count, report)) {
            return TK_TIMELINE_READ;
        }
        report->other = find_overtaken(record, &record->txns[i]);
        if (report->other != TK_SIM_NONE) {
            report->txn = (uint32_t)i;
            return TK_TIMELINE_ORDER;
        }
    }
    return TK_TIMELINE_FITS;
}

enum tk_timeline_fault
tk_timeline_check(const struct tk_record *record,
                  struct tk_timeline_report *report)
{
    struct version *versions = (struct version *)tk_alloc_array(
        record->steps_count + 1, sizeof(*versions));
    enum tk_timeline_fault fault = TK_TIMELINE_MEMORY;

    *report =
        (struct tk_timeline_report){ .txn = TK_SIM_NONE, .other = TK_SIM_NONE };
    if (versions != NULL && !record->failed) {
        report->versions = collect(record, versions);
        fault = check(record, versions, report->versions, report);
    }
    tk_free(versions);
    return fault;
}

/* ---- timestamps ---- */

static int
by_ts(const void *left, const void *right)
{
    const struct tk_stamp *a = (const struct tk_stamp *)left;
    const struct tk_stamp *b = (const struct tk_stamp *)right;

    return a->ts == b->ts ? 0 : a->ts < b->ts ? -1 : 1;
}

/* In the order of timestamps: nobody may have been answered before somebody
 * in front of him asked. */
size_t
tk_stamps_check(struct tk_stamp *stamps, size_t count)
{
    int64_t asked = INT64_MIN;
    size_t i;

    if (count != 0) {
        qsort(stamps, count, sizeof(*stamps), by_ts);
    }
    for (i = 0; i < count; i++) {
        if ((i != 0 && stamps[i].ts == stamps[i - 1].ts) ||
            stamps[i].returned < asked) {
            return i;
        }
        if (stamps[i].invoked > asked) {
            asked = stamps[i].invoked;
        }
    }
    return count;
}
