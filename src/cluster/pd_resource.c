/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The resource manager: groups are keys of the ledger, where clients watch
 * them; their tokens are here. A bucket fills with time, up to its burst, and
 * what cannot be given at once is given to be spent over the period that the
 * client asks for. Errors of old custom: a message in the answer for a group
 * that is not there, a status for what may not be done.
 */
#include "cluster/pd.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/slice.h"

enum {
    NAME_MAX_LEN = 32,
    PRIORITY_MAX = 16,
    PRIORITY_MIDDLE = 8,
    RU_MODE = 1,
    RAW_MODE = 2,
    PERIOD_MS = 5000,
    USES = 14 /* fields of resource_manager.Consumption, and 0 */
};

struct tk_cl_group {
    struct tk_cl_group *next;
    uint32_t keyspace;
    int64_t filled; /* ns */
    double tokens;
    double uses[USES];
    size_t name_len;
    uint8_t name[];
};

struct settings {
    double fill_rate;
    double burst; /* below 0: no limit */
};

static const char controller[] =
    "{\"degraded-mode-wait-duration\":\"0s\",\"ltb-max-wait-duration\":\"30s\","
    "\"ltb-token-rpc-max-delay\":\"1s\",\"request-unit\":{"
    "\"read-base-cost\":0.125,\"read-per-batch-base-cost\":0.5,"
    "\"read-cost-per-byte\":0.0000152587890625,\"write-base-cost\":1,"
    "\"write-per-batch-base-cost\":1,\"write-cost-per-byte\":0.0009765625,"
    "\"read-cpu-ms-cost\":0.3333333333333333},"
    "\"enable-controller-trace-log\":\"false\"}";

/* ---- numbers that are no varints ---- */

static double
as_double(uint64_t bits)
{
    double number;

    memcpy(&number, &bits, sizeof(number));
    return number;
}

static void
put_double(struct tk_buf *out, uint32_t field, double number)
{
    uint64_t bits;
    uint8_t bytes[8];
    size_t i;

    if (number > 0 || number < 0) {
        memcpy(&bits, &number, sizeof(bits));
        for (i = 0; i < sizeof(bytes); i++) {
            bytes[i] = (uint8_t)(bits >> (8 * i));
        }
        tk_buf_varint(out, (uint64_t)field << 3 | 1);
        tk_buf_append(out, bytes, sizeof(bytes));
    }
}

/* Whether the field is a whole number in Consumption. */
static bool
is_whole(uint32_t field)
{
    return field == 9 || field == 10;
}

/* ---- where groups are ---- */

/* KeyspaceIDValue in a field; absent: the null keyspace. */
static uint32_t
keyspace_in(const struct tk_cl_fields *fields, uint32_t field)
{
    struct tk_cl_fields value;

    return fields->counts[field] > 0 &&
                   tk_cl_decode(fields->bytes[field], &value)
               ? (uint32_t)value.numbers[1]
               : TK_CL_NULL_KEYSPACE;
}

static void
put_keyspace(struct tk_buf *out, uint32_t field, uint32_t keyspace)
{
    size_t mark;

    if (keyspace != TK_CL_NULL_KEYSPACE) {
        mark = tk_put_begin(out, field);
        tk_put_u64_always(out, 1, keyspace);
        tk_put_end(out, mark);
    }
}

static void
append_key(struct tk_buf *out, uint32_t keyspace, tikv_slice name)
{
    if (keyspace == TK_CL_NULL_KEYSPACE) {
        tk_buf_append_text(out, "resource_group/settings/");
    } else {
        tk_buf_printf(out, "resource_group/keyspace/settings/%u/", keyspace);
    }
    tk_buf_append_slice(out, name);
}

static bool
write_group(struct tk_cluster *cluster, uint32_t keyspace, tikv_slice name,
            tikv_slice group)
{
    struct tk_buf key;
    bool ok;

    tk_buf_init(&key, SIZE_MAX / 4);
    append_key(&key, keyspace, name);
    ok = !key.failed && tk_ledger_put(&cluster->pd->ledger, tk_buf_slice(&key),
                                      group, 0);
    tk_buf_fini(&key);
    return ok;
}

static const struct tk_ledger_version *
find(struct tk_cluster *cluster, uint32_t keyspace, tikv_slice name)
{
    const struct tk_ledger_version *version = NULL;
    struct tk_buf key;

    tk_buf_init(&key, SIZE_MAX / 4);
    append_key(&key, keyspace, name);
    if (!key.failed) {
        version = tk_ledger_get(&cluster->pd->ledger, tk_buf_slice(&key));
    }
    tk_buf_fini(&key);
    return version;
}

/* default exists in every keyspace, made when it is first asked for. */
static bool
make_default(struct tk_cluster *cluster, uint32_t keyspace)
{
    static const char name[] = "default";
    struct tk_buf group;
    size_t units;
    size_t bucket;
    size_t limits;
    bool ok;

    if (find(cluster, keyspace, tk_slice_text(name)) != NULL) {
        return true;
    }
    tk_buf_init(&group, SIZE_MAX / 4);
    tk_put_text(&group, 1, name);
    tk_put_u64(&group, 2, RU_MODE);
    units = tk_put_begin(&group, 3);
    bucket = tk_put_begin(&group, 1);
    limits = tk_put_begin(&group, 1);
    tk_put_u64(&group, 1, INT32_MAX);
    tk_put_u64(&group, 2, (uint64_t)-1);
    tk_put_end(&group, limits);
    tk_put_end(&group, bucket);
    tk_put_end(&group, units);
    tk_put_u64(&group, 5, PRIORITY_MIDDLE);
    put_keyspace(&group, 9, keyspace);
    ok = !group.failed && write_group(cluster, keyspace, tk_slice_text(name),
                                      tk_buf_slice(&group));
    tk_buf_fini(&group);
    return ok;
}

bool
tk_cl_groups_init(struct tk_cluster *cluster)
{
    return make_default(cluster, TK_CL_NULL_KEYSPACE) &&
           tk_ledger_put(&cluster->pd->ledger,
                         tk_slice_text("resource_group/controller"),
                         tk_slice_text(controller), 0);
}

void
tk_cl_groups_free(struct tk_cluster *cluster)
{
    while (cluster->pd->groups != NULL) {
        struct tk_cl_group *group = cluster->pd->groups;

        cluster->pd->groups = group->next;
        tk_free(group);
    }
}

/* ---- tokens ---- */

static struct settings
settings_of(const struct tk_ledger_version *version, tikv_slice *raw)
{
    struct settings settings = { 0, 0 };
    struct tk_cl_fields fields;

    *raw = tk_slice(NULL, 0);
    if (tk_cl_decode(tk_ledger_value(version), &fields) &&
        tk_cl_decode(fields.bytes[3], &fields) &&
        tk_cl_decode(fields.bytes[1], &fields)) {
        *raw = fields.bytes[1];
        if (tk_cl_decode(*raw, &fields)) {
            int64_t burst = (int64_t)fields.numbers[2];

            settings.fill_rate = (double)fields.numbers[1];
            settings.burst =
                burst == 0 ? settings.fill_rate : (double)burst;
        }
    }
    return settings;
}

/* Where the tokens of the group are; a new one begins full. */
static struct tk_cl_group *
tokens_of(struct tk_cluster *cluster, uint32_t keyspace, tikv_slice name,
          const struct settings *settings)
{
    struct tk_cl_group *group = cluster->pd->groups;

    while (group != NULL &&
           (group->keyspace != keyspace ||
            !tk_slice_equal(tk_slice(group->name, group->name_len), name))) {
        group = group->next;
    }
    if (group != NULL) {
        return group;
    }
    group = tk_calloc(sizeof(*group) + name.len);
    if (group == NULL) {
        return NULL;
    }
    group->keyspace = keyspace;
    group->filled = tk_now(cluster->rt);
    group->tokens = settings->burst > 0 ? settings->burst : 0;
    group->name_len = name.len;
    if (name.len > 0) {
        memcpy(group->name, name.data, name.len);
    }
    group->next = cluster->pd->groups;
    cluster->pd->groups = group;
    return group;
}

static void
fill(struct tk_cluster *cluster, struct tk_cl_group *group,
     const struct settings *settings)
{
    int64_t now = tk_now(cluster->rt);

    group->tokens +=
        settings->fill_rate * (double)(now - group->filled) / 1e9;
    group->filled = now;
    if (settings->burst >= 0 && group->tokens > settings->burst) {
        group->tokens = settings->burst;
    }
}

/* What is given of `asked`; `*trickle_ms` over what time. What is given ahead
 * of time is owed, so more than one client cannot have it. */
static double
grant(struct tk_cl_group *group, const struct settings *settings, double asked,
      uint64_t period_ms, uint64_t *trickle_ms)
{
    double most =
        group->tokens + settings->fill_rate * (double)period_ms / 1e3;

    *trickle_ms = 0;
    if (settings->burst < 0) {
        return asked;
    }
    if (asked <= group->tokens) {
        group->tokens -= asked;
        return asked;
    }
    *trickle_ms = period_ms;
    asked = asked < most ? asked : most;
    asked = asked > 0 ? asked : 0;
    group->tokens -= asked;
    return asked;
}

static void
add_uses(struct tk_cl_group *group, tikv_slice consumption)
{
    struct tk_cl_fields fields;
    uint32_t i;

    if (tk_cl_decode(consumption, &fields)) {
        for (i = 1; i < USES; i++) {
            group->uses[i] += is_whole(i) ? (double)fields.numbers[i]
                                          : as_double(fields.numbers[i]);
        }
    }
}

/* All items of units in a TokenBucketRequest's RequestRU. */
static bool
asked_units(tikv_slice units, double *out)
{
    struct tk_cl_fields item;
    tikv_slice bytes;
    size_t at = 0;
    bool any = false;

    *out = 0;
    while (tk_cl_each(units, 1, &at, &bytes)) {
        if (tk_cl_decode(bytes, &item) && item.numbers[1] == 0) {
            double value = as_double(item.numbers[2]);

            *out += value > 0 ? value : 0;
            any = true;
        }
    }
    return any;
}

static void
put_grant(struct tk_buf *out, tikv_slice name, uint32_t keyspace,
          tikv_slice settings, double tokens, uint64_t trickle_ms)
{
    size_t response = tk_put_begin(out, 2);
    size_t granted;
    size_t bucket;

    tk_put_bytes(out, 1, name);
    granted = tk_put_begin(out, 2);
    bucket = tk_put_begin(out, 2);
    tk_put_bytes(out, 1, settings);
    put_double(out, 2, tokens);
    tk_put_end(out, bucket);
    tk_put_u64(out, 3, trickle_ms);
    tk_put_end(out, granted);
    put_keyspace(out, 4, keyspace);
    tk_put_end(out, response);
}

static void
take_tokens(struct tk_cl_request *request, tikv_slice bytes,
            uint64_t period_ms)
{
    struct tk_cluster *cluster = request->cluster;
    const struct tk_ledger_version *version;
    struct tk_cl_fields fields;
    struct settings settings;
    struct tk_cl_group *group;
    tikv_slice raw;
    uint32_t keyspace;
    uint64_t trickle_ms;
    double asked;

    if (!tk_cl_decode(bytes, &fields)) {
        return;
    }
    keyspace = keyspace_in(&fields, 7);
    version = find(cluster, keyspace, fields.bytes[1]);
    if (version == NULL) {
        return;
    }
    settings = settings_of(version, &raw);
    group = tokens_of(cluster, keyspace, fields.bytes[1], &settings);
    if (group == NULL) {
        request->out->failed = true;
        return;
    }
    add_uses(group, fields.bytes[4]);
    if (fields.numbers[5] == 0 && asked_units(fields.bytes[2], &asked)) {
        fill(cluster, group, &settings);
        asked = grant(group, &settings, asked, period_ms, &trickle_ms);
        put_grant(request->out, fields.bytes[1], keyspace, raw, asked,
                  trickle_ms);
    }
}

/* One message of an AcquireTokenBuckets stream. */
int
tk_cl_group_tokens(struct tk_cl_request *request)
{
    uint64_t period_ms = request->fields.numbers[2];
    tikv_slice bytes;
    size_t at = 0;

    if (period_ms == 0) {
        period_ms = PERIOD_MS;
    }
    while (tk_cl_each(request->body, 1, &at, &bytes)) {
        take_tokens(request, bytes, period_ms);
    }
    return TK_GRPC_OK;
}

/* ---- groups ---- */

static void
put_group(struct tk_cl_request *request, uint32_t field,
          const struct tk_ledger_version *version, uint32_t keyspace,
          tikv_slice name, bool with_uses)
{
    struct tk_buf *out = request->out;
    const struct tk_cl_group *group = request->cluster->pd->groups;
    size_t mark = tk_put_begin(out, field);
    uint32_t i;

    tk_buf_append_slice(out, tk_ledger_value(version));
    while (group != NULL &&
           (group->keyspace != keyspace ||
            !tk_slice_equal(tk_slice(group->name, group->name_len), name))) {
        group = group->next;
    }
    if (with_uses && group != NULL) {
        size_t uses = tk_put_begin(out, 8);

        for (i = 1; i < USES; i++) {
            if (is_whole(i)) {
                tk_put_u64(out, i, (uint64_t)group->uses[i]);
            } else {
                put_double(out, i, group->uses[i]);
            }
        }
        tk_put_end(out, uses);
    }
    tk_put_end(out, mark);
}

int
tk_cl_groups_list(struct tk_cl_request *request)
{
    struct tk_cluster *cluster = request->cluster;
    uint32_t keyspace = keyspace_in(&request->fields, 2);
    bool with_uses = request->fields.numbers[1] != 0;
    struct tk_buf key;
    struct tk_cl_map_at at;
    tikv_slice prefix;

    if (!make_default(cluster, keyspace)) {
        return tk_cl_pd_no_memory(request);
    }
    tk_buf_init(&key, SIZE_MAX / 4);
    append_key(&key, keyspace, tk_slice(NULL, 0));
    prefix = tk_buf_slice(&key);
    at = tk_ledger_from(&cluster->pd->ledger, prefix);
    for (; at.item != NULL && at.item->key.len >= prefix.len &&
           memcmp(at.item->key.data, prefix.data, prefix.len) == 0;
         tk_cl_map_next(&at)) {
        const struct tk_ledger_version *newest = tk_ledger_item(&at)->newest;

        if (!tk_ledger_is_deleted(newest)) {
            put_group(request, 2, newest, keyspace,
                      tk_slice(at.item->key.data + prefix.len,
                               at.item->key.len - prefix.len),
                      with_uses);
        }
    }
    tk_buf_fini(&key);
    return TK_GRPC_OK;
}

static int
print_name(char out[NAME_MAX_LEN * 2], tikv_slice name)
{
    int len = name.len < NAME_MAX_LEN * 2 - 1 ? (int)name.len
                                              : NAME_MAX_LEN * 2 - 1;

    return snprintf(out, NAME_MAX_LEN * 2, "%.*s", len,
                    len == 0 ? "" : (const char *)(const void *)name.data);
}

int
tk_cl_group_get(struct tk_cl_request *request)
{
    struct tk_cluster *cluster = request->cluster;
    tikv_slice name = request->fields.bytes[1];
    uint32_t keyspace = keyspace_in(&request->fields, 3);
    const struct tk_ledger_version *version;
    char text[NAME_MAX_LEN * 2 + 32];
    char shown[NAME_MAX_LEN * 2];
    size_t mark;

    if (!make_default(cluster, keyspace)) {
        return tk_cl_pd_no_memory(request);
    }
    version = find(cluster, keyspace, name);
    if (version != NULL) {
        put_group(request, 2, version, keyspace, name,
                  request->fields.numbers[2] != 0);
        return TK_GRPC_OK;
    }
    (void)print_name(shown, name);
    (void)snprintf(text, sizeof(text), "resource group not found: %s", shown);
    mark = tk_put_begin(request->out, 1);
    tk_put_text(request->out, 1, text);
    tk_put_end(request->out, mark);
    return TK_GRPC_OK;
}

/* NULL, or what is wrong with a group. */
static const char *
check_group(const struct tk_cl_fields *group)
{
    if (group->bytes[1].len == 0 || group->bytes[1].len > NAME_MAX_LEN) {
        return "invalid resource group name";
    }
    if (group->numbers[5] > PRIORITY_MAX) {
        return "invalid resource group priority";
    }
    if (group->numbers[2] == RU_MODE ? group->counts[3] == 0
                                     : group->numbers[2] != RAW_MODE) {
        return "invalid resource group mode or settings";
    }
    return NULL;
}

static int
put_and_answer(struct tk_cl_request *request, bool is_new)
{
    struct tk_cluster *cluster = request->cluster;
    struct tk_cl_fields group;
    const char *wrong = "no resource group";
    uint32_t keyspace;
    struct tk_buf meta;
    bool ok;

    if (request->fields.counts[1] > 0 &&
        tk_cl_decode(request->fields.bytes[1], &group)) {
        wrong = check_group(&group);
    }
    if (wrong != NULL) {
        return tk_cl_status(request, TK_GRPC_UNKNOWN, "%s", wrong);
    }
    keyspace = keyspace_in(&group, 9);
    if (!make_default(cluster, keyspace)) {
        return tk_cl_pd_no_memory(request);
    }
    if ((find(cluster, keyspace, group.bytes[1]) != NULL) == is_new) {
        return tk_cl_status(request, TK_GRPC_UNKNOWN,
                            is_new ? "resource group already exists"
                                   : "resource group not found");
    }
    tk_buf_init(&meta, SIZE_MAX / 4);
    tk_buf_append_slice(&meta, request->fields.bytes[1]);
    if (group.numbers[5] == 0) {
        tk_put_u64(&meta, 5, PRIORITY_MIDDLE);
    }
    ok = !meta.failed && write_group(cluster, keyspace, group.bytes[1],
                                     tk_buf_slice(&meta));
    tk_buf_fini(&meta);
    tk_put_text(request->out, 2, "Success!");
    return ok ? TK_GRPC_OK : tk_cl_pd_no_memory(request);
}

int
tk_cl_group_add(struct tk_cl_request *request)
{
    return put_and_answer(request, true);
}

int
tk_cl_group_modify(struct tk_cl_request *request)
{
    return put_and_answer(request, false);
}

static void
forget_tokens(struct tk_cluster *cluster, uint32_t keyspace, tikv_slice name)
{
    struct tk_cl_group **link = &cluster->pd->groups;

    while (*link != NULL) {
        struct tk_cl_group *group = *link;

        if (group->keyspace == keyspace &&
            tk_slice_equal(tk_slice(group->name, group->name_len), name)) {
            *link = group->next;
            tk_free(group);
        } else {
            link = &group->next;
        }
    }
}

int
tk_cl_group_delete(struct tk_cl_request *request)
{
    struct tk_cluster *cluster = request->cluster;
    tikv_slice name = request->fields.bytes[1];
    uint32_t keyspace = keyspace_in(&request->fields, 2);
    struct tk_buf key;
    bool ok;

    if (tk_slice_equal(name, tk_slice_text("default"))) {
        return tk_cl_status(request, TK_GRPC_UNKNOWN,
                            "cannot delete default group");
    }
    if (find(cluster, keyspace, name) == NULL) {
        return tk_cl_status(request, TK_GRPC_UNKNOWN,
                            "resource group not found");
    }
    tk_buf_init(&key, SIZE_MAX / 4);
    append_key(&key, keyspace, name);
    ok = !key.failed &&
         tk_ledger_delete(&cluster->pd->ledger, tk_buf_slice(&key));
    tk_buf_fini(&key);
    forget_tokens(cluster, keyspace, name);
    tk_put_text(request->out, 2, "Success!");
    return ok ? TK_GRPC_OK : tk_cl_pd_no_memory(request);
}
