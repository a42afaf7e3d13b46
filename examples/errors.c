/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an error tells. The class answers what a program must decide; the code
 * and the fields are for those who want to know more.
 */
#include "example.h"

static void
explain(const char *what, const tikv_error *error)
{
    const char *kind;
    uint64_t slept_ms;
    size_t i;

    printf("%-12s %s: %s\n", what, tikv_code_name(tikv_error_code(error)),
           tikv_error_message(error));
    printf("%-12s %" PRIu64 " attempts, region %" PRIu64 ", store %" PRIu64
           "\n",
           "", tikv_error_u64(error, TIKV_ERROR_ATTEMPTS),
           tikv_error_region(error),
           tikv_error_u64(error, TIKV_ERROR_STORE_ID));
    for (i = 0; tikv_error_backoff(error, i, &kind, &slept_ms); i++) {
        printf("%-12s %s %" PRIu64 " ms\n", "", kind, slept_ms);
    }
}

/* The loop that every caller of writes needs, once. */
static const char *
decide(const tikv_error *error)
{
    switch (tikv_error_class(error)) {
    case TIKV_CLASS_NONE:
        return "done";
    case TIKV_CLASS_RETRY_CALL:
    case TIKV_CLASS_RETRY_TXN:
        return "try again";
    case TIKV_CLASS_UNDETERMINED:
        return "read before trying again";
    default:
        return "give up";
    }
}

static void
too_large(tikv_client *client)
{
    static uint8_t bytes[10000];
    tikv_error *error = tikv_raw_put(
        client, (tikv_slice){ bytes, sizeof(bytes) }, text("x"), NULL);

    explain("large key", error);
    expect(tikv_error_code(error) == TIKV_ERR_TOO_LARGE, "TOO_LARGE");
    expect(strcmp(decide(error), "give up") == 0, "a permanent error");
    tikv_error_free(error);
}

static void
cancelled(tikv_client *client)
{
    tikv_raw_options options = TIKV_RAW_OPTIONS_INIT;
    tikv_value *value;
    tikv_error *error;

    must(tikv_cancel_new(&options.call.cancel), "cancel");
    tikv_cancel_raise(options.call.cancel);
    error = tikv_raw_get(client, text("key"), &options, &value);
    explain("cancelled", error);
    expect(tikv_error_code(error) == TIKV_ERR_CANCELLED, "CANCELLED");
    tikv_error_free(error);
    tikv_cancel_free(options.call.cancel);
}

static void
not_atomic(tikv_client *client)
{
    tikv_error *error = tikv_raw_swap(client, text("key"), text("a"),
                                      text("b"), NULL, NULL, NULL);

    explain("no atomic", error);
    expect(tikv_error_code(error) == TIKV_ERR_UNSUPPORTED, "UNSUPPORTED");
    tikv_error_free(error);
}

static void
nobody_there(void)
{
    tikv_config *config;
    tikv_client *client;
    tikv_error *error;

    must(tikv_config_new(&config), "config");
    must(tikv_config_parse(config,
                           "tikv://127.0.0.1:1?pd.open_timeout_ms=300"),
         "parse");
    error = tikv_client_open(config, &client);
    explain("no cluster", error);
    expect(tikv_error_code(error) == TIKV_ERR_PD, "PD");
    tikv_error_free(error);
    tikv_config_free(config);
}

int
main(int argc, char **argv)
{
    tikv_client *client = open_client(argc, argv);

    too_large(client);
    cancelled(client);
    not_atomic(client);
    nobody_there();
    tikv_client_close(client);
    return 0;
}
