/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commands.def against the facts of the wire (tests/wire-facts.tsv, read from
 * the root of the sources): every number of every row, every slot, and every
 * field of a request in which a key could travel.
 */
#include "harness/harness.h"

#include "base/alloc.h"
#include "wire/commands.h"

#include "upb/msg_internal.h"

/* Fields of requests that hold bytes and no key of the user. */
static const struct {
    const char *message;
    const char *field;
    const char *reason;
} exempt_fields[] = {
#define EXEMPT(message, field, reason)                                         \
    {                                                                          \
        message, field, reason                                                 \
    }
    EXEMPT("kvrpcpb.RawPutRequest", "value", "a value"),
    EXEMPT("kvrpcpb.RawCASRequest", "value", "a value"),
    EXEMPT("kvrpcpb.RawCASRequest", "previous_value", "a value"),
    EXEMPT("kvrpcpb.RawCoprocessorRequest", "data", "the plug-in's own"),
    EXEMPT("coprocessor.Request", "data", "a plan"),
    EXEMPT("coprocessor.BatchRequest", "data", "a plan"),
    EXEMPT("mpp.DispatchTaskRequest", "encoded_plan", "a plan"),
    EXEMPT("kvrpcpb.CompactRequest", "start_key", "TiFlash's own cursor"),
    EXEMPT("pdpb.UpdateServiceGCSafePointRequest", "service_id", "a name"),
    EXEMPT("pdpb.UpdateServiceSafePointV2Request", "service_id", "a name"),
    EXEMPT("pdpb.ScatterRegionRequest", "region", "given back as PD gave it"),
    EXEMPT("pdpb.StoreGlobalConfigRequest", "changes", "settings of PD"),
    EXEMPT("meta_storagepb.GetRequest", "key", "names in PD's store"),
    EXEMPT("meta_storagepb.GetRequest", "range_end", "names in PD's store"),
    EXEMPT("meta_storagepb.PutRequest", "key", "names in PD's store"),
    EXEMPT("meta_storagepb.PutRequest", "value", "a value in PD's store"),
    EXEMPT("meta_storagepb.DeleteRequest", "key", "names in PD's store"),
    EXEMPT("meta_storagepb.DeleteRequest", "range_end", "names in PD's store"),
    EXEMPT("meta_storagepb.WatchRequest", "key", "names in PD's store"),
    EXEMPT("meta_storagepb.WatchRequest", "range_end", "names in PD's store"),
    EXEMPT("tikvpb.BatchCommandsRequest", "requests", "rows of their own"),
#undef EXEMPT
};

enum { EXEMPT_COUNT = sizeof(exempt_fields) / sizeof(exempt_fields[0]) };

static bool exempt_used[EXEMPT_COUNT];

/* Methods of tikvpb.Tikv between stores, or of TiFlash among itself. */
static const char *const foreign_methods[] = {
    "KvImport",
    "DelegateCoprocessor",
    "Raft",
    "BatchRaft",
    "Snapshot",
    "TabletSnapshot",
    "CheckLeader",
    "ReportMPPTaskStatus",
    "GetEstimateTiCICount",
    "tryAddLock",
    "tryMarkDelete",
    "EstablishDisaggTask",
    "CancelDisaggTask",
    "FetchDisaggPages",
    "GetDisaggConfig",
};

struct fact {
    char *kind;
    char *name;
    char *member;
    char *number;
    char *label;
    char *type;
};

static struct {
    char *text;
    struct fact *items;
    size_t count;
} facts;

static char *
next_cell(char **at)
{
    char *cell = *at;
    char *end = cell + strcspn(cell, "\t");

    *at = *end == '\0' ? end : end + 1;
    *end = '\0';
    return cell;
}

static int
read_facts(void **state)
{
    FILE *file = fopen("tests/wire-facts.tsv", "r");
    char *line;
    char *rest;
    long size;

    if (file == NULL || fseek(file, 0, SEEK_END) != 0 ||
        (size = ftell(file)) <= 0) {
        return -1;
    }
    rewind(file);
    facts.text = tk_calloc((size_t)size + 1);
    facts.items = tk_alloc_array((size_t)size / 8, sizeof(struct fact));
    if (facts.text == NULL || facts.items == NULL ||
        fread(facts.text, 1, (size_t)size, file) != (size_t)size) {
        fclose(file);
        return -1;
    }
    fclose(file);
    for (line = strtok_r(facts.text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        struct fact *fact = &facts.items[facts.count];

        if (line[0] != '#') {
            fact->kind = next_cell(&line);
            fact->name = next_cell(&line);
            fact->member = next_cell(&line);
            fact->number = next_cell(&line);
            fact->label = next_cell(&line);
            fact->type = next_cell(&line);
            facts.count++;
        }
    }
    (void)state;
    return 0;
}

static int
free_facts(void **state)
{
    (void)state;
    tk_free(facts.items);
    tk_free(facts.text);
    return 0;
}

static bool
is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* Calls for the fields of a message: `i` must be declared. */
#define for_fields(i, message)                                                 \
    for ((i) = 0; (i) < facts.count; (i)++)                                    \
        if (is(facts.items[i].kind, "field") &&                                \
            is(facts.items[i].name, (message)))

/* The rpc with that path, or NULL. */
static const struct fact *
rpc_of(const char *path)
{
    char name[128];
    size_t i;

    for (i = 0; i < facts.count; i++) {
        const struct fact *fact = &facts.items[i];

        if (is(fact->kind, "rpc")) {
            snprintf(name, sizeof(name), "/%s/%s", fact->name, fact->member);
            if (is(name, path)) {
                return fact;
            }
        }
    }
    return NULL;
}

struct messages {
    char request[96];
    char response[96];
};

static void
messages_of(const struct tk_command_row *row, struct messages *out)
{
    const struct fact *rpc = rpc_of(row->path);

    if (row->kind == TK_KIND_SLOT) {
        snprintf(out->request, sizeof(out->request),
                 "tikvpb.BatchCommands%sRequest", row->name);
        snprintf(out->response, sizeof(out->response),
                 "tikvpb.BatchCommands%sResponse", row->name);
        return;
    }
    assert_non_null(rpc);
    assert_int_equal(
        sscanf(rpc->type, "%95s -> %95s", out->request, out->response), 2);
}

/* The generated table is that of the message: the same field numbers. */
static void
assert_is_table_of(const upb_MiniTable *table, const char *message)
{
    size_t count = 0;
    size_t i;

    for_fields(i, message)
    {
        unsigned number = (unsigned)strtoul(facts.items[i].number, NULL, 10);
        unsigned j = 0;

        while (j < table->field_count && table->fields[j].number != number) {
            j++;
        }
        assert_true(j < table->field_count);
        count++;
    }
    assert_int_equal(count, table->field_count);
}

/* The field of `message` with that type (NULL: any) and one of the names
 * (separated by blanks; NULL: any), or 0. */
static unsigned
find_field(const char *message, const char *names, const char *type)
{
    char name[64];
    char all[128];
    size_t i;

    for_fields(i, message)
    {
        const struct fact *fact = &facts.items[i];

        snprintf(name, sizeof(name), " %s ", fact->member);
        snprintf(all, sizeof(all), " %s ", names == NULL ? "" : names);
        if ((type == NULL || is(fact->type, type)) &&
            (names == NULL || strstr(all, name) != NULL)) {
            return (unsigned)strtoul(fact->number, NULL, 10);
        }
    }
    return 0;
}

static void
commands__agree_with_the_facts(void **state)
{
    unsigned i;

    (void)state;
    for (i = 0; i < TK_COMMANDS; i++) {
        const struct tk_command_row *row = tk_command_row((enum tk_command)i);
        struct messages messages;
        unsigned not_found;
        unsigned value;

        messages_of(row, &messages);
        assert_is_table_of(row->request, messages.request);
        assert_is_table_of(row->response, messages.response);
        assert_int_equal(row->context_field,
                         find_field(messages.request, NULL, "kvrpcpb.Context"));
        assert_int_equal(
            row->region_error,
            find_field(messages.response, "region_error", "errorpb.Error"));
        assert_int_equal(
            row->error,
            find_field(messages.response, "error errors other_error", NULL));
        not_found = find_field(messages.response, "not_found", "bool");
        value = find_field(messages.response, "value", "bytes");
        assert_int_equal(row->not_found, not_found);
        assert_int_equal(row->value, not_found != 0 ? value : 0);
    }
}

static void
commands__have_the_kind_of_their_rpc(void **state)
{
    unsigned i;

    (void)state;
    for (i = 0; i < TK_COMMANDS; i++) {
        const struct tk_command_row *row = tk_command_row((enum tk_command)i);
        const struct fact *rpc = rpc_of(row->path);
        const char *dot = strchr(row->label, '.');

        assert_non_null(dot);
        assert_string_equal(dot + 1, row->name);
        if (row->kind == TK_KIND_SLOT) {
            assert_string_equal(row->path, "");
            assert_int_not_equal(row->slot, 0);
            continue;
        }
        assert_non_null(rpc);
        assert_string_equal(rpc->member, row->name);
        assert_int_equal(row->kind, is(rpc->label, "") ? TK_KIND_UNARY
                                    : is(rpc->label, "server-stream")
                                        ? TK_KIND_DOWN
                                        : TK_KIND_BIDI);
    }
}

/* Slots and rows are one to one, and both oneofs agree. */
static void
slots__agree_with_the_facts(void **state)
{
    static const char *const sides[] = { "tikvpb.BatchCommandsRequest.Request",
                                         "tikvpb.BatchCommandsResponse."
                                         "Response" };
    unsigned side;
    unsigned i;
    size_t j;

    (void)state;
    for (side = 0; side < 2; side++) {
        unsigned slots = 0;
        unsigned rows = 0;

        for_fields(j, sides[side])
        {
            const struct fact *fact = &facts.items[j];
            enum tk_command command =
                tk_command_by_slot((uint32_t)strtoul(fact->number, NULL, 10));
            struct messages messages;

            /* TiKV does not serve it, no client sends it. */
            if (is(fact->member, "Import")) {
                assert_int_equal(command, TK_COMMANDS);
                continue;
            }
            assert_int_not_equal(command, TK_COMMANDS);
            messages_of(tk_command_row(command), &messages);
            assert_string_equal(fact->type, side == 0 ? messages.request
                                                      : messages.response);
            slots++;
        }
        for (i = 0; i < TK_COMMANDS; i++) {
            rows += tk_command_row((enum tk_command)i)->slot != 0;
        }
        assert_int_equal(slots, rows);
    }
}

static void
slots__unknown_ones_have_no_command(void **state)
{
    static const uint32_t slots[] = { 0,   27,  32,         41,        254,
                                      256, 257, UINT16_MAX, UINT32_MAX };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
        assert_int_equal(tk_command_by_slot(slots[i]), TK_COMMANDS);
    }
}

static void
paths__find_their_command_and_no_other(void **state)
{
    static const char *const others[] = {
        "",
        "/",
        "/tikvpb.Tikv/",
        "/tikvpb.Tikv/Empty",
        "/tikvpb.Tikv/RawGe",
        "/tikvpb.Tikv/RawGetX",
        "tikvpb.Tikv/RawGet",
        "/tikvpb.tikv/RawGet",
        "/pdpb.PD/RawGet",
    };
    unsigned i;

    (void)state;
    for (i = 0; i < TK_COMMANDS; i++) {
        const struct tk_command_row *row = tk_command_row((enum tk_command)i);

        assert_int_equal(tk_command_by_path(row->path),
                         row->kind == TK_KIND_SLOT ? TK_COMMANDS : i);
    }
    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_int_equal(tk_command_by_path(others[i]), TK_COMMANDS);
    }
}

static void
commands__cover_what_tikv_offers_clients(void **state)
{
    size_t i;
    size_t j;

    (void)state;
    for (i = 0; i < facts.count; i++) {
        const struct fact *fact = &facts.items[i];
        bool is_foreign = false;
        char path[128];

        if (!is(fact->kind, "rpc") || !is(fact->name, "tikvpb.Tikv")) {
            continue;
        }
        for (j = 0; j < sizeof(foreign_methods) / sizeof(foreign_methods[0]);
             j++) {
            is_foreign = is_foreign || is(fact->member, foreign_methods[j]);
        }
        snprintf(path, sizeof(path), "/%s/%s", fact->name, fact->member);
        if ((tk_command_by_path(path) == TK_COMMANDS) != is_foreign) {
            fail_msg("%s needs a row or a place among the foreign", path);
        }
    }
}

/* Whether bytes can travel in the message, at any depth. */
static bool
has_bytes(const char *message, unsigned depth)
{
    size_t i;

    if (depth == 8 || is(message, "kvrpcpb.Context")) {
        return false;
    }
    for_fields(i, message)
    {
        if (is(facts.items[i].type, "bytes") ||
            has_bytes(facts.items[i].type, depth + 1)) {
            return true;
        }
    }
    return false;
}

static bool
is_key_field(const struct tk_command_row *row, const char *name)
{
    size_t len = strlen(name);
    const char *at = row->key_fields;

    while (*at != '\0') {
        size_t word = strcspn(at, " ");

        if (word == len && memcmp(at, name, len) == 0) {
            return true;
        }
        at += word;
        at += *at == ' ';
    }
    return false;
}

static bool
is_exempt(const char *message, const char *field)
{
    size_t i;

    for (i = 0; i < EXEMPT_COUNT; i++) {
        if (is(exempt_fields[i].message, message) &&
            is(exempt_fields[i].field, field)) {
            exempt_used[i] = true;
            return true;
        }
    }
    return false;
}

static unsigned
count_words(const char *text)
{
    unsigned count = 0;

    while (*text != '\0') {
        size_t word = strcspn(text, " ");

        count += word != 0;
        text += word;
        text += *text == ' ';
    }
    return count;
}

/* CODEC-3: nothing that could be a key is passed on unlooked at. */
static void
key_fields__name_all_that_could_be_keys(void **state)
{
    unsigned i;
    size_t j;

    (void)state;
    for (i = 0; i < TK_COMMANDS; i++) {
        const struct tk_command_row *row = tk_command_row((enum tk_command)i);
        struct messages messages;
        unsigned named = 0;

        messages_of(row, &messages);
        for_fields(j, messages.request)
        {
            const struct fact *fact = &facts.items[j];
            bool is_key = is_key_field(row, fact->member);
            bool may_be_key =
                is(fact->type, "bytes") || has_bytes(fact->type, 0);

            named += is_key;
            if (is_key ? !may_be_key
                       : may_be_key &&
                             !is_exempt(messages.request, fact->member)) {
                fail_msg("%s: field %s", row->label, fact->member);
            }
        }
        assert_int_equal(named, count_words(row->key_fields));
    }
    for (j = 0; j < EXEMPT_COUNT; j++) {
        if (!exempt_used[j]) {
            fail_msg("%s.%s (%s) is exempt for nothing",
                     exempt_fields[j].message, exempt_fields[j].field,
                     exempt_fields[j].reason);
        }
    }
}

/* T0276: a compaction's cursor is not a key, so the codec leaves it alone. */
static void
key_fields__leave_a_compaction_alone(void **state)
{
    (void)state;
    assert_string_equal(tk_command_row(TK_CMD_COMPACT)->key_fields, "");
}

static void
retry_classes__never_repeat_a_swap(void **state)
{
    unsigned i;

    (void)state;
    assert_int_equal(tk_command_row(TK_CMD_RAW_COMPARE_AND_SWAP)->retry,
                     TK_RETRY_NEVER);
    assert_int_equal(tk_command_row(TK_CMD_RAW_GET)->retry, TK_RETRY_READ);
    assert_int_equal(tk_command_row(TK_CMD_RAW_PUT)->retry, TK_RETRY_WRITE);
    assert_int_equal(tk_command_row(TK_CMD_RAW_DELETE_RANGE)->retry,
                     TK_RETRY_WRITE);
    assert_int_equal(tk_command_row(TK_CMD_KV_COMMIT)->retry, TK_RETRY_WRITE);
    assert_int_equal(tk_command_row(TK_CMD_PD_GET_REGION)->retry,
                     TK_RETRY_CONTROL);
    for (i = 0; i < TK_COMMANDS; i++) {
        const struct tk_command_row *row = tk_command_row((enum tk_command)i);

        /* The peek must be able to tell that a hot answer is clean. */
        assert_true(!row->is_hot || row->region_error != 0);
    }
}

static void
names__are_of_tikv_and_not_of_pd(void **state)
{
    (void)state;
    assert_int_equal(tk_command_by_name("Coprocessor"), TK_CMD_COPROCESSOR);
    assert_int_equal(tk_command_by_name("KvGet"), TK_CMD_KV_GET);
    assert_int_equal(tk_command_by_name("GetRegionProperties"),
                     TK_CMD_DEBUG_GET_REGION_PROPERTIES);
    assert_int_equal(tk_command_by_name("GetRegion"), TK_COMMANDS);
    assert_int_equal(tk_command_by_name("kvget"), TK_COMMANDS);
    /* Has no path of its own. */
    assert_int_equal(tk_command_by_name("Empty"), TK_COMMANDS);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(commands__agree_with_the_facts),
        harness_test(commands__have_the_kind_of_their_rpc),
        harness_test(slots__agree_with_the_facts),
        harness_test(slots__unknown_ones_have_no_command),
        harness_test(paths__find_their_command_and_no_other),
        harness_test(names__are_of_tikv_and_not_of_pd),
        harness_test(commands__cover_what_tikv_offers_clients),
        harness_test(key_fields__name_all_that_could_be_keys),
        harness_test(key_fields__leave_a_compaction_alone),
        harness_test(retry_classes__never_repeat_a_swap),
    };
    return cmocka_run_group_tests_name(__FILE__, tests, read_facts, free_facts);
}
