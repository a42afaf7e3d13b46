/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of "host:port": from the configuration, and from URLs that members
 * report. No lock: the owner's. */
#include <string.h>

#include "base/alloc.h"
#include "pd/inner.h"

static void
strip_scheme(const char **text, size_t *len)
{
    static const char *const schemes[] = { "http://", "https://" };
    size_t i;

    for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t scheme_len = strlen(schemes[i]);

        if (*len > scheme_len && memcmp(*text, schemes[i], scheme_len) == 0) {
            *text += scheme_len;
            *len -= scheme_len;
            break;
        }
    }
    while (*len > 0 && (*text)[*len - 1] == '/') {
        (*len)--;
    }
}

static bool
contains(const struct tk_addresses *list, const char *text, size_t len)
{
    size_t i;

    for (i = 0; i < list->count; i++) {
        if (strlen(list->text[i]) == len &&
            memcmp(list->text[i], text, len) == 0) {
            return true;
        }
    }
    return false;
}

bool
tk_addresses_add(struct tk_addresses *out, const char *text, size_t len)
{
    char *copy;
    char **grown;

    strip_scheme(&text, &len);
    if (len == 0 || out->count == TK_MEMBERS_MAX || contains(out, text, len)) {
        return true;
    }
    grown = tk_realloc(out->text, (out->count + 1) * sizeof(*grown));
    if (grown == NULL) {
        return false;
    }
    out->text = grown;
    copy = tk_alloc(len + 1);
    if (copy == NULL) {
        return false;
    }
    memcpy(copy, text, len);
    copy[len] = '\0';
    out->text[out->count++] = copy;
    return true;
}

bool
tk_addresses_parse(struct tk_addresses *out, const char *text)
{
    while (*text != '\0') {
        size_t len;

        text += strspn(text, ", \t");
        len = strcspn(text, ", \t");
        if (!tk_addresses_add(out, text, len)) {
            return false;
        }
        text += len;
    }
    return true;
}

void
tk_addresses_fini(struct tk_addresses *addresses)
{
    size_t i;

    for (i = 0; i < addresses->count; i++) {
        tk_free(addresses->text[i]);
    }
    tk_free(addresses->text);
    addresses->text = NULL;
    addresses->count = 0;
}
