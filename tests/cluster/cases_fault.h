/* SPDX-License-Identifier: Apache-2.0 */
/* Injected faults: FI. */
#ifndef TK_CASES_FAULT_H
#define TK_CASES_FAULT_H

static void
fault_commit_answer_is_lost(struct script *script)
{
    struct fx *fx = &script->fx;
    uint64_t rule;

    script_lines(script, "PW 5 x=v");
    assert_null(tk_cluster_fault(
        fx->cluster, "on=tikv.KvCommit when=nth(1) do=drop_response", &rule));
    script_lines(script, "C 5 6 x => dropped\n"
                         "M x => 6:put@5=v\n"
                         "C 5 6 x => 6\n"
                         "M x => 6:put@5=v");
    assert_int_equal(tk_cluster_fault_hits(fx->cluster, rule), 1);
}

static const struct script_case fault_cases[] = {
    { "FI01", "a commit whose answer is lost is sent again",
      .run = fault_commit_answer_is_lost },
};

#endif
