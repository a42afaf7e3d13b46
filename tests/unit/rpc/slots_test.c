/* SPDX-License-Identifier: Apache-2.0 */
/* The table of requests in flight: which ids may come again, and when. */
#include "base/alloc.h"
#include "harness/harness.h"
#include "rpc/slots.h"

#define MAX 16
#define REUSES (4200 * MAX)

static struct tk_slots *
start(struct tk_slots *slots)
{
    tk_slots_init(slots, MAX);
    return slots;
}

static void
slots__never_give_the_id_of_a_ghost(void **state)
{
    struct tk_request request = { .deadline = TK_NEVER };
    struct tk_slots slots;
    struct tk_slot *slot;
    uint32_t ghost;
    uint32_t i;

    (void)state;
    start(&slots);
    slot = tk_slots_take(&slots, &request);
    ghost = tk_slots_id(&slots, slot);
    tk_slots_to_wire(&slots, slot, 1, 1);
    tk_slots_forget(&slots, slot);
    for (i = 0; i < REUSES; i++) {
        slot = tk_slots_take(&slots, &request);
        assert_non_null(slot);
        assert_int_not_equal(tk_slots_id(&slots, slot), ghost);
        assert_int_not_equal(tk_slots_id(&slots, slot), 0);
        tk_slots_release(&slots, slot);
    }
    /* Its answer comes, or its stream ends: the slot is free again. */
    assert_non_null(tk_slots_find(&slots, ghost));
    tk_slots_lay_ghosts(&slots);
    assert_null(tk_slots_find(&slots, ghost));
    tk_slots_fini(&slots);
}

static void
slots__doomed_on_the_wire_leave_a_ghost(void **state)
{
    struct tk_request request = { .deadline = TK_NEVER };
    struct tk_slots slots;
    struct tk_slot *slot;
    uint32_t id;

    (void)state;
    start(&slots);
    slot = tk_slots_take(&slots, &request);
    id = tk_slots_id(&slots, slot);
    tk_slots_to_wire(&slots, slot, 1, 1);
    tk_slots_doom(&slots, slot, TK_REPLY_EXPIRED, false);
    tk_slots_forget(&slots, slot);
    assert_int_equal(tk_slots_find(&slots, id)->state, TK_SLOT_GHOST);
    assert_int_equal(slots.busy, 0);

    slot = tk_slots_take(&slots, &request);
    id = tk_slots_id(&slots, slot);
    tk_slots_to_wire(&slots, slot, 1, 1);
    tk_slots_doom(&slots, slot, TK_REPLY_FAILED, false);
    tk_slots_lay_ghosts(&slots);
    tk_slots_forget(&slots, slot);
    assert_null(tk_slots_find(&slots, id));
    assert_int_equal(slots.busy, 0);
    tk_slots_fini(&slots);
}

static void
slots__are_bounded(void **state)
{
    struct tk_request request = { .deadline = TK_NEVER };
    struct tk_slots slots;
    size_t i;

    (void)state;
    start(&slots);
    for (i = 0; i < MAX; i++) {
        assert_non_null(tk_slots_take(&slots, &request));
    }
    assert_null(tk_slots_take(&slots, &request));
    tk_slots_release(&slots, &slots.at[3]);
    assert_non_null(tk_slots_take(&slots, &request));
    tk_slots_fini(&slots);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(slots__never_give_the_id_of_a_ghost),
        harness_test(slots__doomed_on_the_wire_leave_a_ghost),
        harness_test(slots__are_bounded),
    };

    return harness_run(tests);
}
