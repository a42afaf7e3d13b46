/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shortest whole program: put a value, get it back.
 *
 *     raw_hello HOST:PORT[,HOST:PORT...]      (PD members)
 */
#include <stdio.h>
#include <string.h>

#include <tikv/tikv.h>

static tikv_slice
text(const char *string)
{
    return (tikv_slice){ (const uint8_t *)string, strlen(string) };
}

static tikv_error *
print_user(tikv_client *client, tikv_slice key)
{
    tikv_value *value;
    tikv_error *error = tikv_raw_get(client, key, NULL, &value);

    if (error == NULL && value == NULL) {
        puts("no such user");
    } else if (error == NULL) {
        tikv_slice bytes = tikv_value_slice(value);
        printf("%.*s\n", (int)bytes.len, (const char *)bytes.data);
    }
    tikv_value_free(value);
    return error;
}

int
main(int argc, char **argv)
{
    tikv_client *client;
    tikv_error *error =
        tikv_client_connect(argc > 1 ? argv[1] : "127.0.0.1:2379", &client);

    if (error == NULL) {
        error = tikv_raw_put(client, text("user/42"), text("Ada"), NULL);
    }
    if (error == NULL) {
        error = print_user(client, text("user/42"));
    }
    if (error == NULL) {
        error = print_user(client, text("user/43"));
    }
    if (error != NULL) {
        fprintf(stderr, "raw_hello: %s: %s\n",
                tikv_code_name(tikv_error_code(error)),
                tikv_error_message(error));
    }
    tikv_client_close(client);
    int status = error == NULL ? 0 : 1;
    tikv_error_free(error);
    return status;
}
