/* SPDX-License-Identifier: Apache-2.0 */
/* Counts by method and thing; "region_error:not_leader" is a thing's name. */
#include "cluster/seen.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "cluster/fault.h"

enum {
    ACTS_AT = TK_CL_ERROR_KINDS + TK_KEY_FAULTS,
    THINGS = ACTS_AT + TK_ACTS,
    NAME_BYTES = 64
};

struct tk_cl_seen_table {
    uint32_t counts[TK_CL_METHODS][THINGS];
};

static void
count(const struct tk_cl_request *request, size_t thing)
{
    struct tk_cluster *cluster = request->cluster;

    if (cluster->seen == NULL) {
        cluster->seen = tk_calloc(sizeof(*cluster->seen));
    }
    if (cluster->seen != NULL) {
        cluster->seen->counts[request->method->index][thing]++;
    }
}

void
tk_cl_seen_region_error(const struct tk_cl_request *request,
                        enum tk_cl_error_kind kind)
{
    count(request, (size_t)kind);
}

void
tk_cl_seen_key_error(const struct tk_cl_request *request,
                     enum tk_key_fault_kind kind)
{
    count(request, TK_CL_ERROR_KINDS + (size_t)kind);
}

void
tk_cl_seen_act(const struct tk_cl_request *request, uint32_t act)
{
    count(request, ACTS_AT + (size_t)act);
}

static void
name_of(size_t thing, char name[NAME_BYTES])
{
    const char *kind = "region_error";
    const char *what;

    if (thing < TK_CL_ERROR_KINDS) {
        what = tk_cl_error_name((enum tk_cl_error_kind)thing);
    } else if (thing < ACTS_AT) {
        kind = "key_error";
        what = tk_cl_key_fault_name(
            (enum tk_key_fault_kind)(thing - TK_CL_ERROR_KINDS));
    } else {
        kind = "fault";
        what = tk_cl_act_rows[thing - ACTS_AT].name;
    }
    (void)snprintf(name, NAME_BYTES, "%s:%s", kind, what);
}

uint64_t
tk_cluster_seen(struct tk_cluster *cluster, const char *method,
                const char *what)
{
    const struct tk_cl_method *known =
        method == NULL ? NULL : tk_cl_method_by_label(method);
    char name[NAME_BYTES];
    uint64_t sum = 0;
    size_t thing = 0;
    size_t i;

    for (; thing < THINGS; thing++) {
        name_of(thing, name);
        if (strcmp(name, what) == 0) {
            break;
        }
    }
    tk_mutex_lock(&cluster->lock);
    for (i = 0; thing < THINGS && cluster->seen != NULL && i < TK_CL_METHODS;
         i++) {
        if (method == NULL || (known != NULL && known->index == i)) {
            sum += cluster->seen->counts[i][thing];
        }
    }
    tk_mutex_unlock(&cluster->lock);
    return sum;
}

void
tk_cluster_seen_each(struct tk_cluster *cluster,
                     void (*each)(void *, const char *method, const char *what,
                                  uint64_t count),
                     void *arg)
{
    char name[NAME_BYTES];
    size_t method;
    size_t thing;

    tk_mutex_lock(&cluster->lock);
    for (method = 0; cluster->seen != NULL && method < TK_CL_METHODS;
         method++) {
        for (thing = 0; thing < THINGS; thing++) {
            uint32_t seen = cluster->seen->counts[method][thing];

            if (seen > 0) {
                name_of(thing, name);
                each(arg, tk_cl_method_at(method)->label, name, seen);
            }
        }
    }
    tk_mutex_unlock(&cluster->lock);
}
