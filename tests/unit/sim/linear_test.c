/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search against histories whose answer is known, against a search that
 * tries everything, and against clients with a bug.
 */
#include "harness/harness.h"

#include "base/rng.h"
#include "exec/runtime.h"
#include "sim/linear.h"

#define STATES_MAX 1000000
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct tk_linear_event
get(int64_t call, int64_t ret, uint32_t result)
{
    return (struct tk_linear_event){
        .call = call, .ret = ret, .kind = TK_SIM_GET, .result = result
    };
}

static struct tk_linear_event
put(int64_t call, int64_t ret, uint32_t value)
{
    return (struct tk_linear_event){
        .call = call, .ret = ret, .kind = TK_SIM_PUT, .value = value
    };
}

static struct tk_linear_event
swap(int64_t call, int64_t ret, uint32_t expected, uint32_t value, bool swapped,
     uint32_t found)
{
    return (struct tk_linear_event){ .call = call,
                                     .ret = ret,
                                     .kind = TK_SIM_CAS,
                                     .expected = expected,
                                     .value = value,
                                     .swapped = swapped,
                                     .result = found };
}

static struct tk_linear_event
del(int64_t call, int64_t ret)
{
    return (struct tk_linear_event){ .call = call,
                                     .ret = ret,
                                     .kind = TK_SIM_DELETE };
}

static struct tk_linear_event
maybe(struct tk_linear_event event)
{
    event.is_optional = true;
    return event;
}

static enum tk_linear_answer
answer_of(const struct tk_linear_event *events, size_t count)
{
    struct tk_linear_event copy[16];
    struct tk_linear_report report;
    size_t i;

    assert_true(count <= COUNT(copy));
    for (i = 0; i < count; i++) {
        copy[i] = events[i];
        copy[i].op = (uint32_t)i;
    }
    return tk_linear_check(copy, count, 0, STATES_MAX, &report);
}

#define yes(...)                                                               \
    do {                                                                       \
        const struct tk_linear_event events[] = { __VA_ARGS__ };               \
        assert_int_equal(answer_of(events, COUNT(events)), TK_LINEAR_YES);     \
    } while (0)
#define no(...)                                                                \
    do {                                                                       \
        const struct tk_linear_event events[] = { __VA_ARGS__ };               \
        assert_int_equal(answer_of(events, COUNT(events)), TK_LINEAR_NO);      \
    } while (0)

static void
linear__knows_registers(void **state)
{
    (void)state;
    yes(get(1, 2, 0));
    no(get(1, 2, 5));
    yes(put(1, 2, 5), get(3, 4, 5));
    no(put(1, 2, 5), get(3, 4, 0)); /* stale */
    yes(put(1, 5, 5), get(2, 3, 0), get(3, 4, 5));
    no(put(1, 5, 5), get(2, 3, 5), get(4, 5, 0)); /* new, then old */
    yes(put(1, 4, 5), put(2, 6, 6), get(7, 8, 5));
    no(put(1, 2, 5), put(3, 4, 6), get(7, 8, 5));
    yes(put(1, 2, 5), put(2, 4, 6), get(7, 8, 5)); /* they touch */
    no(put(1, 9, 5), put(1, 9, 6), get(2, 3, 5), get(4, 5, 6), get(6, 7, 5));
    yes(put(1, 2, 5), del(3, 4), get(5, 6, 0));
    no(put(1, 2, 5), del(3, 4), get(5, 6, 5));
    no(put(1, 2, 5), get(3, 4, TK_SIM_FOREIGN));
}

static void
linear__knows_swaps(void **state)
{
    (void)state;
    yes(swap(1, 2, 0, 5, true, 0), get(3, 4, 5));
    no(swap(1, 2, 0, 5, true, 0), get(3, 4, 0));
    yes(put(1, 2, 5), swap(3, 4, 6, 7, false, 5), get(5, 6, 5));
    no(put(1, 2, 5), swap(3, 4, 5, 7, false, 5)); /* refused for nothing */
    no(put(1, 2, 5), swap(3, 4, 6, 7, true, 6));  /* done by mistake */
    no(put(1, 2, 5), swap(3, 4, 6, 7, false, 8)); /* found what is not */
    /* Two winners of one value. */
    no(put(1, 2, 5), swap(3, 6, 5, 7, true, 5), swap(3, 6, 5, 8, true, 5));
    yes(put(1, 2, 5), swap(3, 6, 5, 7, true, 5), swap(3, 6, 5, 8, false, 7));
    /* Sent again after it had been done: it finds what it wrote itself. */
    no(put(1, 2, 5), swap(3, 6, 5, 7, false, 7), get(7, 8, 7));
}

static void
linear__lets_doubtful_writes_happen_or_not(void **state)
{
    (void)state;
    yes(maybe(put(1, TK_NEVER, 5)), get(3, 4, 0), get(5, 6, 0));
    yes(maybe(put(1, TK_NEVER, 5)), get(3, 4, 0), get(5, 6, 5));
    no(maybe(put(1, TK_NEVER, 5)), get(3, 4, 5), get(5, 6, 0));
    no(maybe(put(4, TK_NEVER, 5)), get(1, 2, 5)); /* before it was sent */
    /* In the network until 5, and no longer. */
    yes(maybe(put(1, 5, 5)), get(2, 3, 0), get(5, 6, 5));
    yes(maybe(put(1, 5, 5)), get(2, 6, 0), get(7, 8, 5));
    no(maybe(put(1, 5, 5)), get(6, 7, 0), get(8, 9, 5));
    /* One attempt is applied once, two of them twice. */
    no(maybe(put(1, 9, 5)), put(2, 3, 6), get(3, 4, 5), put(5, 6, 7),
       get(7, 8, 5));
    yes(maybe(put(1, 9, 5)), maybe(put(1, 9, 5)), put(2, 3, 6), get(3, 4, 5),
        put(5, 6, 7), get(7, 8, 5));
    yes(put(1, 2, 5), maybe(swap(3, 9, 5, 6, false, 0)), get(4, 5, 5),
        get(6, 7, 6));
    no(put(1, 2, 5), maybe(swap(3, 9, 7, 6, false, 0)), get(6, 7, 6));
    /* A doubtful swap on top of a doubtful put. */
    yes(maybe(put(1, 9, 5)), maybe(swap(2, 9, 5, 6, false, 0)), get(3, 4, 0),
        get(6, 7, 6));
}

static void
linear__says_where_it_is_stuck(void **state)
{
    struct tk_linear_event events[] = { put(1, 2, 5), get(3, 4, 5),
                                        get(5, 6, 9), get(7, 8, 5) };
    struct tk_linear_report report;
    uint32_t i;

    (void)state;
    for (i = 0; i < COUNT(events); i++) {
        events[i].op = 10 + i;
    }
    assert_int_equal(
        tk_linear_check(events, COUNT(events), 0, STATES_MAX, &report),
        TK_LINEAR_NO);
    assert_int_equal(report.longest, 2);
    assert_int_equal(report.stuck, 12);
    assert_int_equal(tk_linear_check(events, COUNT(events), 0, 1, &report),
                     TK_LINEAR_UNDECIDED);
    assert_int_equal(tk_linear_check(NULL, 0, 0, STATES_MAX, &report),
                     TK_LINEAR_YES);
}

/* ---- against everything ---- */

/* Places events one after the other in every order, moments included. */
static bool
try_all(const struct tk_linear_event *events, size_t count, uint32_t taken,
        int64_t moment, uint32_t value)
{
    bool is_owed = false;
    size_t i;

    for (i = 0; i < count; i++) {
        is_owed |= !(taken >> i & 1) && !events[i].is_optional;
    }
    if (!is_owed) {
        return true;
    }
    for (i = 0; i < count; i++) {
        const struct tk_linear_event *event = &events[i];
        int64_t at = event->call > moment ? event->call : moment;
        uint32_t after = value;

        if ((taken >> i & 1) || at > event->ret) {
            continue;
        }
        if (event->kind == TK_SIM_PUT || event->kind == TK_SIM_DELETE) {
            after = event->value;
        } else if (event->is_optional) {
            after = value == event->expected ? event->value : value;
        } else if (event->result != value) {
            continue;
        } else if (event->kind == TK_SIM_CAS) {
            if (event->swapped != (value == event->expected)) {
                continue;
            }
            after = event->swapped ? event->value : value;
        }
        if (try_all(events, count, taken | UINT32_C(1) << i, at, after)) {
            return true;
        }
    }
    return false;
}

static struct tk_linear_event
random_event(struct tk_rng *rng)
{
    int64_t call = (int64_t)tk_rng_below(rng, 12);
    struct tk_linear_event event = {
        .call = call,
        .ret = call + 1 + (int64_t)tk_rng_below(rng, 6),
        .kind = (enum tk_sim_kind)tk_rng_below(rng, 4),
        .value = (uint32_t)tk_rng_below(rng, 3),
        .expected = (uint32_t)tk_rng_below(rng, 3),
        .result = (uint32_t)tk_rng_below(rng, 3),
    };

    event.swapped = event.expected == event.result;
    if (event.kind == TK_SIM_DELETE) {
        event.value = 0;
    }
    if (event.kind != TK_SIM_GET && tk_rng_below(rng, 2) == 0) {
        event.is_optional = true;
        event.ret = tk_rng_below(rng, 2) == 0 ? TK_NEVER : event.ret;
    }
    return event;
}

static void
linear__agrees_with_trying_everything(void **state)
{
    struct tk_rng rng = { 42 };
    unsigned counts[2] = { 0, 0 };
    unsigned round;

    (void)state;
    for (round = 0; round < 20000; round++) {
        struct tk_linear_event events[7];
        size_t count = 2 + tk_rng_below(&rng, COUNT(events) - 1);
        bool expected;
        size_t i;

        for (i = 0; i < count; i++) {
            events[i] = random_event(&rng);
        }
        expected = try_all(events, count, 0, INT64_MIN, 0);
        counts[expected]++;
        assert_int_equal(answer_of(events, count),
                         expected ? TK_LINEAR_YES : TK_LINEAR_NO);
    }
    assert_true(counts[0] > 1000 && counts[1] > 1000);
}

/* ---- clients with a bug ---- */

enum bug {
    BUG_NONE,
    BUG_STALE_READ,    /* a read gives what was there before */
    BUG_LOST_WRITE,    /* a put is called done, and nobody did it */
    BUG_CALLED_FAILED, /* a put that was done is called failed */
    BUG_SWAP_RESENT,   /* a swap is sent again; the second answer counts */
    BUG_LATE_WRITE,    /* a put is called done before it is */
    BUGS
};

#define FIBERS 4
#define ROUNDS 20
#define ATTEMPTS 3
#define LATE 300

/* What a register saw: one execution of one send. */
struct execution {
    int64_t at;
    uint32_t op;
    bool answers; /* its answer is the operation's */
};

struct model {
    struct tk_history history;
    struct tk_rng rng;
    struct execution executions[FIBERS * ROUNDS * (ATTEMPTS + 1)];
    size_t count;
    uint32_t victim; /* the operation that meets the bug */
};

static int64_t
draw(struct model *model, uint64_t limit)
{
    return 1 + (int64_t)tk_rng_below(&model->rng, limit);
}

static void
execute_at(struct model *model, int64_t at, uint32_t op, bool answers)
{
    model->executions[model->count++] = (struct execution){ at, op, answers };
}

/* Sends until an answer is there in time. Answers and requests get lost,
 * requests come late, also after the operation. */
static int64_t
attempt(struct model *model, uint32_t op, enum tk_sim_kind kind, int64_t now)
{
    int tries = kind == TK_SIM_CAS ? 1 : ATTEMPTS;
    int i;

    for (i = 0; i < tries; i++) {
        int64_t at = now + draw(model, 10);
        bool is_slow = tk_rng_below(&model->rng, 10) == 0;
        int64_t done = at + draw(model, is_slow ? LATE - 10 : 30);
        int64_t back = done + draw(model, 20);
        bool is_lost = tk_rng_below(&model->rng, 10) == 0;
        bool is_answered =
            !is_lost && tk_rng_below(&model->rng, 10) != 0 && back <= at + 60;
        uint32_t send = tk_history_send(&model->history, op, 0, at, at + LATE);

        if (!is_lost) {
            execute_at(model, done, op, is_answered);
        }
        if (is_answered) {
            tk_history_judge(&model->history, send, back, TK_SIM_APPLIED);
            tk_history_end(&model->history, op, back + 1, TK_SIM_OK, 0);
            return back + 1;
        }
        now = at + 60;
    }
    tk_history_end(&model->history, op, now,
                   kind == TK_SIM_GET ? TK_SIM_FAILED : TK_SIM_UNDETERMINED, 1);
    return now;
}

static int
by_time(const void *a, const void *b)
{
    const struct execution *x = (const struct execution *)a;
    const struct execution *y = (const struct execution *)b;

    if (x->at != y->at) {
        return x->at < y->at ? -1 : 1;
    }
    return x->op < y->op ? -1 : x->op > y->op;
}

static void
answer(struct tk_sim_op *op, uint32_t found, bool met)
{
    op->result = found;
    op->swapped = op->kind == TK_SIM_CAS && met;
}

/* The register itself. */
static void
execute(struct model *model)
{
    uint32_t value = 0;
    size_t i;

    qsort(model->executions, model->count, sizeof(model->executions[0]),
          by_time);
    for (i = 0; i < model->count; i++) {
        const struct execution *execution = &model->executions[i];
        struct tk_sim_op *op = &model->history.ops[execution->op];
        bool met = op->expected == value;

        if (execution->answers) {
            answer(op, value, met);
        }
        if (op->kind == TK_SIM_PUT || (op->kind == TK_SIM_CAS && met)) {
            value = op->value;
        } else if (op->kind == TK_SIM_DELETE) {
            value = 0;
        }
    }
}

static struct execution *
answering(struct model *model, uint32_t op)
{
    size_t i;

    for (i = 0; i < model->count; i++) {
        if (model->executions[i].op == op && model->executions[i].answers) {
            return &model->executions[i];
        }
    }
    return NULL;
}

/* Whether somebody read what the operation wrote. */
static bool
was_read(const struct model *model, uint32_t value)
{
    size_t i;

    for (i = 0; i < model->history.ops_count; i++) {
        const struct tk_sim_op *op = &model->history.ops[i];

        if (op->kind == TK_SIM_GET && op->outcome == TK_SIM_OK &&
            op->result == value) {
            return true;
        }
    }
    return false;
}

/* What the network does to the victim; the register then runs again. */
static bool
spoil_network(struct model *model, uint32_t index, enum bug bug)
{
    struct tk_sim_op *op = &model->history.ops[index];
    struct execution *execution = answering(model, index);

    if (op->outcome != TK_SIM_OK || execution == NULL ||
        !was_read(model, op->value) ||
        (op->kind == TK_SIM_CAS && !op->swapped)) {
        return false;
    }
    if (bug == BUG_SWAP_RESENT && op->kind == TK_SIM_CAS) {
        execution->answers = false;
        execute_at(model, execution->at + 1, index, true);
        return true;
    }
    if (bug == BUG_LOST_WRITE && op->kind == TK_SIM_PUT) {
        *execution = model->executions[--model->count];
        return true;
    }
    if (bug == BUG_LATE_WRITE && op->kind == TK_SIM_PUT) {
        execution->at = op->returned + 100;
        return true;
    }
    if (bug == BUG_CALLED_FAILED && op->kind == TK_SIM_PUT) {
        op->outcome = TK_SIM_FAILED;
        return true;
    }
    return false;
}

/* Gives the victim's read the value that was overwritten last before it. */
static bool
spoil_read(struct model *model, uint32_t index)
{
    struct tk_sim_op *op = &model->history.ops[index];
    uint32_t before = 0;
    uint32_t last = 0;
    size_t i;

    if (op->kind != TK_SIM_GET || op->outcome != TK_SIM_OK) {
        return false;
    }
    for (i = 0; i < model->count && model->executions[i].at < op->invoked;
         i++) {
        const struct tk_sim_op *writer =
            &model->history.ops[model->executions[i].op];

        if (writer->kind == TK_SIM_PUT) {
            before = last;
            last = writer->value;
        }
    }
    if (op->result != last || before == last) {
        return false;
    }
    op->result = before;
    return true;
}

static void
run_model(struct model *model, uint64_t seed, enum bug bug)
{
    int64_t now[FIBERS] = { 0 };
    uint32_t at;
    uint32_t i;

    memset(model, 0, sizeof(*model));
    tk_history_init(&model->history);
    model->rng.state = seed;
    model->victim = TK_SIM_NONE;
    for (i = 0; i < FIBERS * ROUNDS; i++) {
        uint64_t dice = tk_rng_below(&model->rng, 20);
        struct tk_sim_op op = {
            .group = i,
            .fiber = i % FIBERS,
            .kind = dice < 14   ? TK_SIM_GET
                    : dice < 17 ? TK_SIM_PUT
                    : dice < 19 ? TK_SIM_CAS
                                : TK_SIM_DELETE,
            .value = i + 1,
            .expected = (uint32_t)tk_rng_below(&model->rng, i + 1),
            .invoked = now[i % FIBERS] + draw(model, 20),
            .deadline = TK_NEVER,
        };
        uint32_t index = tk_history_begin(&model->history, &op);

        if (op.kind == TK_SIM_CAS && (i & 1) == 0) {
            model->history.ops[index].expected = 0;
        }
        now[i % FIBERS] = attempt(model, index, op.kind, op.invoked);
    }
    execute(model);
    at = (uint32_t)tk_rng_below(&model->rng, FIBERS * ROUNDS);
    for (i = 0; i < FIBERS * ROUNDS && bug != BUG_NONE &&
                bug != BUG_STALE_READ && model->victim == TK_SIM_NONE;
         i++) {
        if (spoil_network(model, (at + i) % (FIBERS * ROUNDS), bug)) {
            model->victim = (at + i) % (FIBERS * ROUNDS);
        }
    }
    execute(model);
    for (i = 0; i < FIBERS * ROUNDS && bug == BUG_STALE_READ &&
                model->victim == TK_SIM_NONE;
         i++) {
        if (spoil_read(model, (at + i) % (FIBERS * ROUNDS))) {
            model->victim = (at + i) % (FIBERS * ROUNDS);
        }
    }
}

/* How many of `seeds` histories with the bug are refuted by the search. */
static unsigned
count_refuted(enum bug bug, unsigned seeds, unsigned *victims)
{
    static struct model model;
    unsigned refuted = 0;
    unsigned seed;

    *victims = 0;
    for (seed = 1; seed <= seeds; seed++) {
        struct tk_linear_report report;
        enum tk_linear_answer answer;

        run_model(&model, seed, bug);
        assert_false(model.history.failed);
        answer = tk_linear_check_key(&model.history, 0, STATES_MAX, &report);
        assert_int_not_equal(answer, TK_LINEAR_UNDECIDED);
        refuted += answer == TK_LINEAR_NO;
        *victims += model.victim != TK_SIM_NONE;
        tk_history_fini(&model.history);
    }
    return refuted;
}

static void
linear__accepts_a_client_without_a_bug(void **state)
{
    unsigned victims;

    (void)state;
    assert_int_equal(count_refuted(BUG_NONE, 500, &victims), 0);
}

static void
linear__refutes_clients_with_a_bug(void **state)
{
    /* Of a hundred with one wrong operation. A value that nobody else wrote
     * is always found out; elsewhere a concurrent write may explain it. */
    static const unsigned least[BUGS] = {
        [BUG_STALE_READ] = 50,     [BUG_LOST_WRITE] = 25,
        [BUG_CALLED_FAILED] = 100, [BUG_SWAP_RESENT] = 100,
        [BUG_LATE_WRITE] = 45,
    };
    int bug;

    (void)state;
    for (bug = BUG_STALE_READ; bug < BUGS; bug++) {
        unsigned victims;
        unsigned refuted = count_refuted((enum bug)bug, 200, &victims);

        print_message("bug %d: %u of %u refuted\n", bug, refuted, victims);
        assert_true(victims >= 50);
        assert_true(refuted * 100 >= victims * least[bug]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(linear__knows_registers),
        harness_test(linear__knows_swaps),
        harness_test(linear__lets_doubtful_writes_happen_or_not),
        harness_test(linear__says_where_it_is_stuck),
        harness_test(linear__agrees_with_trying_everything),
        harness_test(linear__accepts_a_client_without_a_bug),
        harness_test(linear__refutes_clients_with_a_bug),
    };

    return harness_run(tests);
}
