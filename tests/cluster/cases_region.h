/* SPDX-License-Identifier: Apache-2.0 */
/* Regions, peers, stores: RG. */
#ifndef TK_CASES_REGION_H
#define TK_CASES_REGION_H

static void
region_ignores_old_peers(struct script *script)
{
    struct fx *fx = &script->fx;
    kvrpcpb_Context *context = fx_context(fx, "a");
    metapb_RegionEpoch *epoch =
        kvrpcpb_Context_mutable_region_epoch(context, fx->arena);

    fx_put(fx, "a", "1");
    metapb_RegionEpoch_set_conf_ver(epoch,
                                    metapb_RegionEpoch_conf_ver(epoch) - 1);
    assert_null(fx_get_error(fx, context, fx_node_of(context), "a"));
    metapb_RegionEpoch_set_version(epoch,
                                   metapb_RegionEpoch_version(epoch) - 1);
    assert_true(errorpb_Error_has_epoch_not_match(
        fx_get_error(fx, context, fx_node_of(context), "a")));
}

static const struct script_case region_cases[] = {
    { "RG04", "a change of peers alone does not make a request stale",
      .run = region_ignores_old_peers },
};

#endif
