/* SPDX-License-Identifier: Apache-2.0 */
/* Raw commands: RW. */
#ifndef TK_CASES_RAW_H
#define TK_CASES_RAW_H

static void
raw_batch_get_keeps_order(struct script *script)
{
    struct fx *fx = &script->fx;
    kvrpcpb_RawBatchGetRequest *request =
        kvrpcpb_RawBatchGetRequest_new(fx->arena);
    kvrpcpb_Context *context = fx_context(fx, "a");
    const char *const keys[] = { "c", "missing", "a", "c", "b" };
    const char *const found[] = { "c", "a", "c", "b" };
    const kvrpcpb_RawBatchGetResponse *answer;
    const kvrpcpb_KvPair *const *pairs;
    size_t count;

    fx_put(fx, "a", "va");
    fx_put(fx, "b", "vb");
    fx_put(fx, "c", "vc");
    kvrpcpb_RawBatchGetRequest_set_context(request, context);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        (void)kvrpcpb_RawBatchGetRequest_add_keys(request, fx_view(keys[i]),
                                                  fx->arena);
    }
    FX_CALL(fx, fx_node_of(context), "/tikvpb.Tikv/RawBatchGet", kvrpcpb,
            RawBatchGetRequest, request);
    assert_true(fx->replied);
    assert_int_equal(fx->status, TK_GRPC_OK);
    answer = FX_PARSE(fx, kvrpcpb, RawBatchGetResponse);
    assert_false(kvrpcpb_RawBatchGetResponse_has_region_error(answer));
    pairs = kvrpcpb_RawBatchGetResponse_pairs(answer, &count);
    assert_int_equal(count, 4);
    for (size_t i = 0; i < count; i++) {
        upb_StringView value = kvrpcpb_KvPair_value(pairs[i]);

        assert_false(kvrpcpb_KvPair_has_error(pairs[i]));
        fx_assert_view(kvrpcpb_KvPair_key(pairs[i]), found[i]);
        assert_int_equal(value.size, 2);
        assert_int_equal(value.data[1], found[i][0]);
    }
}

static const struct script_case raw_cases[] = {
    { "RW02", "a batch get leaves out what is missing, in order",
      .run = raw_batch_get_keeps_order },
};

#endif
