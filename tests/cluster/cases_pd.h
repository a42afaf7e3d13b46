/* SPDX-License-Identifier: Apache-2.0 */
/* PD: PD. */
#ifndef TK_CASES_PD_H
#define TK_CASES_PD_H

/* The ids of all stores, as digits. */
static const char *
pd_stores_text(struct fx *fx, bool without_removed, char *text)
{
    pdpb_GetAllStoresRequest *request =
        pdpb_GetAllStoresRequest_new(fx->arena);
    const pdpb_GetAllStoresResponse *answer;
    const metapb_Store *const *stores;
    size_t count;

    pdpb_GetAllStoresRequest_set_header(request, fx_header(fx));
    pdpb_GetAllStoresRequest_set_exclude_tombstone_stores(request,
                                                          without_removed);
    FX_CALL(fx, tk_cluster_pd_leader(fx->cluster), "/pdpb.PD/GetAllStores",
            pdpb, GetAllStoresRequest, request);
    assert_int_equal(fx->status, TK_GRPC_OK);
    answer = FX_PARSE(fx, pdpb, GetAllStoresResponse);
    stores = pdpb_GetAllStoresResponse_stores(answer, &count);
    for (size_t i = 0; i < count; i++) {
        text[i] = (char)('0' + metapb_Store_id(stores[i]));
    }
    text[count] = '\0';
    return text;
}

static void
pd_tells_of_removed_stores(struct script *script)
{
    struct fx *fx = &script->fx;
    pdpb_GetStoreRequest *request = pdpb_GetStoreRequest_new(fx->arena);
    const metapb_Store *store;
    char text[8];

    assert_null(tk_cluster_store_remove(fx->cluster, 3));
    assert_string_equal(pd_stores_text(fx, false, text), "123");
    assert_string_equal(pd_stores_text(fx, true, text), "12");
    pdpb_GetStoreRequest_set_header(request, fx_header(fx));
    pdpb_GetStoreRequest_set_store_id(request, 3);
    FX_CALL(fx, tk_cluster_pd_leader(fx->cluster), "/pdpb.PD/GetStore", pdpb,
            GetStoreRequest, request);
    store = pdpb_GetStoreResponse_store(FX_PARSE(fx, pdpb, GetStoreResponse));
    assert_int_equal(metapb_Store_id(store), 3);
    assert_int_equal(metapb_Store_state(store), metapb_Tombstone);
    assert_int_equal(metapb_Store_node_state(store), metapb_Removed);
}

static const struct script_case pd_cases[] = {
    { "PD12", "a removed store is told of, unless it is not wanted",
      .run = pd_tells_of_removed_stores },
};

#endif
