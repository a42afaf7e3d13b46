/* SPDX-License-Identifier: Apache-2.0 */
/* What the examples share, so that each shows its own subject only: opening a
 * client from the first argument, and ending on an error. raw_hello.c does
 * without it. */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tikv/tikv.h>

static inline tikv_slice
text(const char *string)
{
    return (tikv_slice){ (const uint8_t *)string, strlen(string) };
}

/* Prints the error and ends the program; does nothing on success. */
static inline void
must(tikv_error *error, const char *what)
{
    if (error != NULL) {
        fprintf(stderr, "%s: %s: %s\n", what,
                tikv_code_name(tikv_error_code(error)),
                tikv_error_message(error));
        tikv_error_free(error);
        exit(1);
    }
}

/* Ends the program when something is not as this example says. */
static inline void
expect(bool claim, const char *what)
{
    if (!claim) {
        fprintf(stderr, "unexpected: %s\n", what);
        exit(1);
    }
}

static inline tikv_client *
open_client(int argc, char **argv)
{
    tikv_client *client;

    must(tikv_client_connect(argc > 1 ? argv[1] : "127.0.0.1:2379", &client),
         "open");
    return client;
}

#endif
