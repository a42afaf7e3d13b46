/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search. Sets are remembered by a sum of 128 random bits per event: two
 * sets that meet by chance could hide an order, once in 2^64 searches.
 * No recursion, so that it runs on any stack. One thread.
 */
#include "sim/linear.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "exec/runtime.h"

struct place {
    uint64_t high;
    uint64_t low;
};

/* One event taken, and how to take it back. */
struct step {
    size_t event;
    uint32_t value; /* before */
    int64_t front;  /* before */
    bool is_free;   /* nothing else needs to be tried in its place */
};

struct search {
    const struct tk_linear_event *events;
    size_t count;
    bool *taken;
    struct place *marks;
    uint32_t *wants; /* number of the value an event asks for; NONE */
    uint32_t *gives; /* number of the value it leaves */
    uint32_t *asked; /* by number: events left that ask for it */
    struct step *steps;
    size_t steps_count;
    size_t owed;  /* events that are not optional and not taken */
    size_t first; /* none before it is owed */
    uint32_t value;
    int64_t front; /* the latest call of those taken */
    struct place place;
    struct place *seen; /* open addressing; a power of two */
    size_t seen_count;
    size_t seen_room;
    uint64_t states_max;
    bool gave_up;
};

static int
compare(const void *a, const void *b)
{
    const struct tk_linear_event *x = (const struct tk_linear_event *)a;
    const struct tk_linear_event *y = (const struct tk_linear_event *)b;

    if (x->call != y->call) {
        return x->call < y->call ? -1 : 1;
    }
    if (x->op != y->op) {
        return x->op < y->op ? -1 : 1;
    }
    return x->is_optional - y->is_optional;
}

/* ---- where it has been ---- */

/* An optional event that can no longer be of use. */
static bool
is_dead(const struct search *search, size_t index)
{
    return search->events[index].ret < search->front ||
           search->asked[search->gives[index]] == 0;
}

/* Whether the dead were taken makes no difference for what may follow. */
static struct place
here(const struct search *search)
{
    struct place place = search->place;
    struct tk_rng mixer;
    size_t i;

    for (i = 0; i < search->count; i++) {
        if (search->events[i].is_optional && !search->taken[i] &&
            is_dead(search, i)) {
            place.high += search->marks[i].high;
            place.low += search->marks[i].low;
        }
    }
    mixer.state = place.low + search->value;
    place.high += tk_rng_next(&mixer);
    place.low = tk_rng_next(&mixer) | 1; /* 0, 0 is an empty slot */
    return place;
}

static void
insert(struct place *seen, size_t room, struct place place)
{
    size_t at = (size_t)place.high & (room - 1);

    while (seen[at].low != 0) {
        at = (at + 1) & (room - 1);
    }
    seen[at] = place;
}

static bool
make_room(struct search *search)
{
    size_t room = search->seen_room == 0 ? 1024 : search->seen_room * 2;
    struct place *seen;
    size_t i;

    if (search->seen_count * 2 < search->seen_room) {
        return true;
    }
    seen = (struct place *)tk_calloc(room * sizeof(*seen));
    if (seen == NULL) {
        return false;
    }
    for (i = 0; i < search->seen_room; i++) {
        if (search->seen[i].low != 0) {
            insert(seen, room, search->seen[i]);
        }
    }
    tk_free(search->seen);
    search->seen = seen;
    search->seen_room = room;
    return true;
}

/* True when this set with this value is met for the first time. */
static bool
is_new(struct search *search)
{
    struct place place = here(search);
    size_t at;

    if (search->seen_count >= search->states_max || !make_room(search)) {
        search->gave_up = true;
        return false;
    }
    at = (size_t)place.high & (search->seen_room - 1);
    while (search->seen[at].low != 0) {
        if (search->seen[at].low == place.low &&
            search->seen[at].high == place.high) {
            return false;
        }
        at = (at + 1) & (search->seen_room - 1);
    }
    search->seen[at] = place;
    search->seen_count++;
    return true;
}

/* ---- steps ---- */

/* What the register holds afterwards; false: the answer does not fit. */
static bool
apply(const struct tk_linear_event *event, uint32_t *value)
{
    bool met;

    switch (event->kind) {
    case TK_SIM_GET:
        return event->result == *value;
    case TK_SIM_PUT:
        *value = event->value;
        return true;
    case TK_SIM_DELETE:
        *value = 0;
        return true;
    case TK_SIM_CAS:
        met = event->expected == *value;
        if (event->is_optional) {
            *value = event->value;
            return met;
        }
        if (event->result != *value || event->swapped != met) {
            return false;
        }
        if (met) {
            *value = event->value;
        }
        return true;
    }
    return false;
}

/* The earliest end of what is owed: nothing called later comes before it. */
static int64_t
limit_of(const struct search *search)
{
    int64_t limit = TK_NEVER;
    size_t i;

    for (i = search->first;
         i < search->count && search->events[i].call <= limit; i++) {
        if (!search->taken[i] && !search->events[i].is_optional &&
            search->events[i].ret < limit) {
            limit = search->events[i].ret;
        }
    }
    return limit;
}

/* Whether an event that may come next asks for the value: taking an optional
 * event before anything else would be for nothing. */
static bool
is_asked_for(const struct search *search, size_t writer, uint32_t value,
             int64_t limit)
{
    size_t i;

    for (i = 0; i < search->count && search->events[i].call <= limit; i++) {
        const struct tk_linear_event *event = &search->events[i];

        if (search->taken[i] || i == writer) {
            continue;
        }
        if (event->is_optional) {
            if (event->kind == TK_SIM_CAS && event->expected == value) {
                return true;
            }
        } else if ((event->kind == TK_SIM_GET || event->kind == TK_SIM_CAS) &&
                   event->result == value) {
            return true;
        }
    }
    return false;
}

/* Whether another optional event does the same, is over no later and was
 * called no later: that one is taken first. */
static bool
has_a_better_twin(const struct search *search, size_t index)
{
    const struct tk_linear_event *event = &search->events[index];
    size_t i;

    for (i = 0; i < search->count && search->events[i].call <= event->call;
         i++) {
        const struct tk_linear_event *twin = &search->events[i];

        if (twin->is_optional && !search->taken[i] && i != index &&
            twin->ret >= search->front && twin->value == event->value &&
            (twin->kind == TK_SIM_CAS) == (event->kind == TK_SIM_CAS) &&
            twin->expected == event->expected &&
            (twin->ret < event->ret ||
             (twin->ret == event->ret && i < index))) {
            return true;
        }
    }
    return false;
}

static bool
take(struct search *search, size_t index, int64_t limit)
{
    const struct tk_linear_event *event = &search->events[index];
    uint32_t value = search->value;

    if (!apply(event, &value) ||
        (event->is_optional &&
         (is_dead(search, index) || has_a_better_twin(search, index) ||
          !is_asked_for(search, index, value, limit)))) {
        return false;
    }
    search->steps[search->steps_count++] =
        (struct step){ index, search->value, search->front, false };
    search->taken[index] = true;
    search->owed -= !event->is_optional;
    if (search->wants[index] != TK_SIM_NONE) {
        search->asked[search->wants[index]]--;
    }
    search->value = value;
    if (event->call > search->front) {
        search->front = event->call;
    }
    search->place.high += search->marks[index].high;
    search->place.low += search->marks[index].low;
    while (search->first < search->count &&
           (search->taken[search->first] ||
            search->events[search->first].is_optional)) {
        search->first++;
    }
    return true;
}

/* Gives the event that was taken last. */
static size_t
take_back(struct search *search)
{
    struct step *step = &search->steps[--search->steps_count];

    search->taken[step->event] = false;
    search->owed += !search->events[step->event].is_optional;
    if (search->wants[step->event] != TK_SIM_NONE) {
        search->asked[search->wants[step->event]]++;
    }
    search->value = step->value;
    search->front = step->front;
    search->place.high -= search->marks[step->event].high;
    search->place.low -= search->marks[step->event].low;
    if (step->event < search->first) {
        search->first = step->event;
    }
    return step->event;
}

static void
remember_longest(const struct search *search, struct tk_linear_report *report)
{
    size_t done = search->steps_count;

    if (report->stuck == TK_SIM_NONE || done > report->longest) {
        report->longest = done;
        report->stuck = search->first < search->count
                            ? search->events[search->first].op
                            : TK_SIM_NONE;
    }
}

/* Whether an order that fits may as well go on with this read: it changes
 * nothing now, and if it is late, no optional event would be too late. */
static bool
is_free(const struct search *search, size_t index)
{
    const struct tk_linear_event *event = &search->events[index];
    uint32_t value = search->value;
    size_t i;

    if (search->taken[index] || event->is_optional || event->result != value ||
        !apply(event, &value) || value != search->value ||
        event->kind == TK_SIM_PUT || event->kind == TK_SIM_DELETE) {
        return false;
    }
    for (i = 0; i < index && event->call > search->front; i++) {
        if (search->events[i].is_optional && !search->taken[i] &&
            search->events[i].ret >= search->front &&
            search->events[i].ret < event->call) {
            return false;
        }
    }
    return true;
}

/* Takes one event, from `next` on, that leads to a place not yet seen. */
static bool
advance(struct search *search, size_t next)
{
    int64_t limit = limit_of(search);
    size_t i;

    for (i = 0;
         next == 0 && i < search->count && search->events[i].call <= limit;
         i++) {
        if (is_free(search, i) && take(search, i, limit)) {
            search->steps[search->steps_count - 1].is_free = true;
            if (is_new(search)) {
                return true;
            }
            (void)take_back(search);
            return false;
        }
    }
    for (i = next; i < search->count && search->events[i].call <= limit; i++) {
        if (!search->taken[i] && take(search, i, limit)) {
            if (is_new(search)) {
                return true;
            }
            (void)take_back(search);
        }
    }
    return false;
}

/* Depth first; true when nothing is owed any more. */
static bool
run(struct search *search, struct tk_linear_report *report)
{
    size_t next = 0;

    (void)is_new(search);
    while (search->owed != 0 && !search->gave_up) {
        if (advance(search, next)) {
            remember_longest(search, report);
            next = 0;
            continue;
        }
        /* Back to the last step that had a choice. */
        do {
            if (search->steps_count == 0) {
                return false;
            }
            next = take_back(search) + 1;
        } while (search->steps[search->steps_count].is_free);
    }
    return search->owed == 0;
}

/* The value an event must find, if it must; true. */
static bool
wanted_by(const struct tk_linear_event *event, uint32_t *value)
{
    if (event->kind == TK_SIM_PUT || event->kind == TK_SIM_DELETE) {
        return false;
    }
    *value = event->is_optional ? event->expected : event->result;
    return true;
}

/* Values that are asked for get the numbers 1 .. count, others 0, for which
 * nobody asks. */
static uint32_t
number_of(const struct search *search, uint32_t value)
{
    uint32_t wanted;
    size_t i;

    for (i = 0; i < search->count; i++) {
        if (wanted_by(&search->events[i], &wanted) && wanted == value) {
            return (uint32_t)i + 1;
        }
    }
    return 0;
}

static void
number_values(struct search *search)
{
    uint32_t value;
    size_t i;

    for (i = 0; i < search->count; i++) {
        const struct tk_linear_event *event = &search->events[i];

        search->wants[i] = TK_SIM_NONE;
        if (wanted_by(event, &value)) {
            search->wants[i] = number_of(search, value);
            search->asked[search->wants[i]]++;
        }
        search->gives[i] =
            number_of(search, event->kind == TK_SIM_DELETE ? 0 : event->value);
    }
}

static bool
prepare(struct search *search)
{
    struct tk_rng rng = { UINT64_C(0x6c696e656172) };
    size_t count = search->count + 1;
    size_t i;

    search->taken = (bool *)tk_calloc(count * sizeof(*search->taken));
    search->marks =
        (struct place *)tk_alloc_array(count, sizeof(*search->marks));
    search->steps =
        (struct step *)tk_alloc_array(count, sizeof(*search->steps));
    search->wants = (uint32_t *)tk_calloc(count * sizeof(uint32_t));
    search->gives = (uint32_t *)tk_calloc(count * sizeof(uint32_t));
    search->asked = (uint32_t *)tk_calloc(count * sizeof(uint32_t));
    if (search->taken == NULL || search->marks == NULL ||
        search->steps == NULL || search->wants == NULL ||
        search->gives == NULL || search->asked == NULL) {
        return false;
    }
    number_values(search);
    search->front = INT64_MIN;
    search->first = search->count;
    for (i = search->count; i > 0; i--) {
        search->marks[i - 1].high = tk_rng_next(&rng);
        search->marks[i - 1].low = tk_rng_next(&rng);
        if (!search->events[i - 1].is_optional) {
            search->owed++;
            search->first = i - 1;
        }
    }
    return true;
}

enum tk_linear_answer
tk_linear_check(struct tk_linear_event *events, size_t count, uint32_t value,
                uint64_t states_max, struct tk_linear_report *report)
{
    struct search search = { .events = events,
                             .count = count,
                             .value = value,
                             .states_max = states_max };
    enum tk_linear_answer answer = TK_LINEAR_UNDECIDED;

    *report = (struct tk_linear_report){ 0, 0, TK_SIM_NONE };
    if (count != 0) {
        qsort(events, count, sizeof(*events), compare);
    }
    if (prepare(&search)) {
        remember_longest(&search, report);
        if (run(&search, report)) {
            answer = TK_LINEAR_YES;
        } else if (!search.gave_up) {
            answer = TK_LINEAR_NO;
        }
    }
    report->states = search.seen_count;
    tk_free(search.taken);
    tk_free(search.marks);
    tk_free(search.steps);
    tk_free(search.wants);
    tk_free(search.gives);
    tk_free(search.asked);
    tk_free(search.seen);
    return answer;
}

/* ---- from a history ---- */

/* The send that a done operation's own event stands for: the one answered
 * in its time, else any. */
static uint32_t
own_send(const struct tk_history *history, const struct tk_sim_op *op)
{
    uint32_t best = op->sends;
    uint32_t i;

    for (i = op->sends; i != TK_SIM_NONE; i = history->sends[i].next) {
        if (history->sends[i].verdict == TK_SIM_APPLIED &&
            history->sends[i].over <= op->returned) {
            best = i;
        }
    }
    return best;
}

static size_t
add_events(const struct tk_history *history, uint32_t index,
           struct tk_linear_event *out)
{
    const struct tk_sim_op *op = &history->ops[index];
    struct tk_linear_event event = { .call = op->invoked,
                                     .ret = op->returned,
                                     .kind = op->kind,
                                     .value = op->value,
                                     .expected = op->expected,
                                     .result = op->result,
                                     .swapped = op->swapped,
                                     .op = index };
    uint32_t own = TK_SIM_NONE;
    size_t count = 0;
    uint32_t i;

    if (op->outcome == TK_SIM_FAILED ||
        (op->kind == TK_SIM_GET && op->outcome != TK_SIM_OK)) {
        return 0;
    }
    if (op->outcome == TK_SIM_OK) {
        out[count++] = event;
        own = own_send(history, op);
    }
    /* A swap is applied once, if at all, and was answered. */
    if (op->kind == TK_SIM_GET ||
        (op->kind == TK_SIM_CAS && op->outcome == TK_SIM_OK)) {
        return count;
    }
    for (i = op->sends; i != TK_SIM_NONE; i = history->sends[i].next) {
        const struct tk_sim_send *send = &history->sends[i];

        if (i == own || send->verdict == TK_SIM_REFUSED ||
            (op->kind == TK_SIM_CAS && count != 0)) {
            continue;
        }
        /* What was found is unknown, so a swap cannot be demanded. */
        event.is_optional =
            send->verdict == TK_SIM_PENDING || op->kind == TK_SIM_CAS;
        event.call = send->at;
        event.ret = send->over;
        out[count++] = event;
    }
    return count;
}

enum tk_linear_answer
tk_linear_check_key(const struct tk_history *history, uint32_t key,
                    uint64_t states_max, struct tk_linear_report *report)
{
    struct tk_linear_event *events;
    enum tk_linear_answer answer;
    size_t count = 0;
    size_t i;

    events = (struct tk_linear_event *)tk_alloc_array(
        history->ops_count + history->sends_count + 1, sizeof(*events));
    if (events == NULL || history->failed) {
        tk_free(events);
        *report = (struct tk_linear_report){ 0, 0, TK_SIM_NONE };
        return TK_LINEAR_UNDECIDED;
    }
    for (i = 0; i < history->ops_count; i++) {
        if (history->ops[i].key == key) {
            count += add_events(history, (uint32_t)i, events + count);
        }
    }
    answer = tk_linear_check(events, count, 0, states_max, report);
    tk_free(events);
    return answer;
}
