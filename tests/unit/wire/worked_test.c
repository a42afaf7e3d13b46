/* SPDX-License-Identifier: Apache-2.0 */
/* How long a server says it worked, and where responses say so: compared with
 * the generated tables and with what upb encodes. */
#include "harness/harness.h"

#include "base/slice.h"
#include "wire/commands.h"

#include "kvrpcpb.upb.h"

/* The field whose message is ExecDetailsV2; 0: none. */
static uint32_t
field_of(const upb_MiniTable *table)
{
    uint16_t i;

    for (i = 0; i < table->field_count; i++) {
        const upb_MiniTable_Field *field = &table->fields[i];

        if (field->descriptortype == kUpb_FieldType_Message &&
            table->subs[field->submsg_index].submsg ==
                &kvrpcpb_ExecDetailsV2_msginit) {
            return field->number;
        }
    }
    return 0;
}

static void
worked__knows_the_field_of_every_response(void **state)
{
    unsigned i;

    (void)state;
    for (i = 0; i < TK_COMMANDS; i++) {
        const struct tk_command_row *row = tk_command_row((enum tk_command)i);

        if (field_of(row->response) != tk_worked_field((enum tk_command)i)) {
            fail_msg("%s: field %u", row->name, field_of(row->response));
        }
    }
}

static tikv_slice
encode(kvrpcpb_GetResponse *answer, upb_Arena *arena)
{
    size_t len;
    char *bytes = kvrpcpb_GetResponse_serialize(answer, arena, &len);

    return tk_slice(bytes, len);
}

static void
worked__reads_old_and_new_accounts(void **state)
{
    upb_Arena *arena = upb_Arena_New();
    kvrpcpb_GetResponse *answer = kvrpcpb_GetResponse_new(arena);
    kvrpcpb_ExecDetailsV2 *details;
    kvrpcpb_TimeDetailV2 *fine;
    kvrpcpb_TimeDetail *coarse;

    (void)state;
    assert_int_equal(tk_worked_ns(TK_CMD_KV_GET, encode(answer, arena)), 0);
    details = kvrpcpb_GetResponse_mutable_exec_details_v2(answer, arena);
    coarse = kvrpcpb_ExecDetailsV2_mutable_time_detail(details, arena);
    kvrpcpb_TimeDetail_set_wait_wall_time_ms(coarse, 2);
    kvrpcpb_TimeDetail_set_process_wall_time_ms(coarse, 3);
    assert_int_equal(tk_worked_ns(TK_CMD_KV_GET, encode(answer, arena)),
                     5000000);
    kvrpcpb_TimeDetail_set_total_rpc_wall_time_ns(coarse, 5700000);
    assert_int_equal(tk_worked_ns(TK_CMD_KV_GET, encode(answer, arena)),
                     5700000);
    fine = kvrpcpb_ExecDetailsV2_mutable_time_detail_v2(details, arena);
    kvrpcpb_TimeDetailV2_set_process_wall_time_ns(fine, 6000000);
    assert_int_equal(tk_worked_ns(TK_CMD_KV_GET, encode(answer, arena)),
                     6000000);
    kvrpcpb_TimeDetailV2_set_total_rpc_wall_time_ns(fine, 6500000);
    assert_int_equal(tk_worked_ns(TK_CMD_KV_GET, encode(answer, arena)),
                     6500000);
    /* Nonsense is no time. */
    kvrpcpb_TimeDetailV2_set_total_rpc_wall_time_ns(fine, UINT64_MAX);
    assert_int_equal(tk_worked_ns(TK_CMD_KV_GET, encode(answer, arena)),
                     6000000);
    assert_int_equal(tk_worked_ns(TK_CMD_RAW_GET, encode(answer, arena)), 0);
    upb_Arena_Free(arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(worked__knows_the_field_of_every_response),
        harness_test(worked__reads_old_and_new_accounts),
    };

    return harness_run(tests);
}
