/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The demo's order: a playground with three stores and three PD members,
 * regions, import by tikv-cli, then reading everything back while the cluster
 * moves; export and comparison; the example programs; a second playground with
 * times to live.
 */
#include "demo.h"

#include <stdlib.h>
#include <string.h>

enum { REGIONS = 24, THREADS = 8, TTL_S = 86400 };

struct demo {
    const char *bin;
    const char *work;
    struct demo_data data;
    struct playground cluster;
};

static tikv_client *
open_client(const char *endpoints)
{
    tikv_client *client;
    tikv_error *error = tikv_client_connect(endpoints, &client);

    if (error != NULL) {
        fprintf(stderr, "demo: open: %s\n", tikv_error_message(error));
        tikv_error_free(error);
    }
    return client;
}

static bool
start(struct playground *playground, const char *bin, const char *api)
{
    const char *arguments[] = { "--stores", "3",   "--pds", "3", "--port",
                                "0",        "--api", api,   NULL };
    char path[4096];

    snprintf(path, sizeof(path), "%s/tikv-playground", bin);
    return playground_start(playground, path, arguments);
}

/* So that the file lies in REGIONS regions, on all stores. */
static bool
split(struct playground *playground, const struct demo_data *data,
      bool is_encoded)
{
    struct demo_step step = { "split into regions", 0, tikv_now_ns(), true };
    size_t i;

    for (i = 1; i < REGIONS; i++) {
        const struct demo_record *record =
            &data->records[i * data->count / REGIONS];
        char hex[DEMO_HEX_MAX], answer[256];

        demo_hex(record, is_encoded, hex);
        if (!playground_ask(playground, answer, sizeof(answer), "split %s",
                            hex)) {
            demo_wrong(&step, "%s", answer);
        }
        step.records++;
    }
    step.records++;
    return demo_row(&step);
}

/* Runs tikv-cli on `endpoints`; its output, if any, is a complaint. */
static bool
run_cli(const struct demo *demo, const char *endpoints, const char *name,
        const char *words, const char *file, const char *after)
{
    struct demo_step step = { name, demo->data.count, tikv_now_ns(), true };
    char command[8192];
    int status;

    snprintf(command, sizeof(command),
             "'%s/tikv-cli' --pd '%s' %s '%s/%s' %s 2>>'%s/cli.log'", demo->bin,
             endpoints, words, demo->work, file, after, demo->work);
    status = system(command);
    if (status != 0) {
        demo_wrong(&step, "tikv-cli %s ended with %d; see cli.log", words,
                   status);
    }
    return demo_row(&step);
}

static bool
same_files(const struct demo *demo, const char *a, const char *b)
{
    struct demo_step step = { "exported file equals the imported one",
                              demo->data.count, tikv_now_ns(), true };
    char command[8192];

    snprintf(command, sizeof(command), "cmp '%s/%s' '%s/%s'", demo->work, a,
             demo->work, b);
    if (system(command) != 0) {
        demo_wrong(&step, "%s and %s differ", a, b);
    }
    return demo_row(&step);
}

static bool
write_inputs(const struct demo *demo)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s/records.tsv", demo->work);
    if (!demo_write_tsv(&demo->data, path, 0)) {
        return false;
    }
    snprintf(path, sizeof(path), "%s/records-ttl.tsv", demo->work);
    return demo_write_tsv(&demo->data, path, TTL_S);
}

static bool
read_all(tikv_client *client, const struct demo_data *data)
{
    bool is_right = demo_read_blocking(client, data, THREADS);

    is_right = demo_read_futures(client, data) && is_right;
    is_right = demo_scan(client, data, false) && is_right;
    is_right = demo_scan(client, data, true) && is_right;
    return demo_checksum(client, data) && is_right;
}

static bool
under_unrest(struct demo *demo)
{
    tikv_client *client = open_client(demo->cluster.endpoints);
    struct demo_unrest unrest = { .playground = &demo->cluster,
                                  .data = &demo->data };
    bool is_right = client != NULL;

    puts("while regions split, leaders move, a store restarts and PD's "
         "leader resigns:");
    demo_unrest_start(&unrest);
    is_right = is_right && read_all(client, &demo->data);
    is_right = demo_unrest_stop(&unrest) && is_right;
    printf("  meanwhile: %u splits, %u leader moves, %u restarts on a new "
           "port, %u resignations\n",
           unrest.splits, unrest.moves, unrest.restarts,
           unrest.resignations);
    tikv_client_close(client);
    return is_right && unrest.moves > 0 && unrest.restarts > 0;
}

static bool
with_ttl(struct demo *demo)
{
    struct playground cluster;
    tikv_client *client;
    bool is_right;

    puts("on a cluster with times to live:");
    if (!start(&cluster, demo->bin, "v1ttl")) {
        return false;
    }
    is_right = split(&cluster, &demo->data, false) &&
               run_cli(demo, cluster.endpoints,
                       "import with a TTL per pair, by tikv-cli", "import",
                       "records-ttl.tsv", "");
    client = is_right ? open_client(cluster.endpoints) : NULL;
    is_right = client != NULL && demo_ttl(client, &demo->data, TTL_S) &&
               read_all(client, &demo->data);
    tikv_client_close(client);
    return playground_stop(&cluster) && is_right;
}

static bool
with_transactions(struct demo *demo)
{
    struct playground cluster;
    tikv_client *client;
    bool is_right;

    puts("transactions, while the same goes on and answers get lost:");
    if (!start(&cluster, demo->bin, "v1")) {
        return false;
    }
    client = split(&cluster, &demo->data, true)
                 ? open_client(cluster.endpoints)
                 : NULL;
    is_right = client != NULL &&
               demo_transfers(&cluster, client, &demo->data);
    tikv_client_close(client);
    return playground_stop(&cluster) && is_right;
}

static bool
run(struct demo *demo)
{
    bool is_right;

    printf("  %-44s %8s %12s\n", "step", "records", "time");
    is_right = split(&demo->cluster, &demo->data, false) &&
               run_cli(demo, demo->cluster.endpoints, "import by tikv-cli",
                       "import", "records.tsv", "") &&
               under_unrest(demo) &&
               run_cli(demo, demo->cluster.endpoints, "export by tikv-cli",
                       "export", "exported.tsv", "unicode/ unicode0");
    return is_right;
}

static bool
run_example(const struct demo *demo, const char *endpoints, const char *path)
{
    const char *slash = strrchr(path, '/');
    struct demo_step step = { slash == NULL ? path : slash + 1, 0,
                              tikv_now_ns(), true };
    char command[8192];

    snprintf(command, sizeof(command), "'%s' '%s' >>'%s/examples.log' 2>&1",
             path, endpoints, demo->work);
    if (system(command) != 0) {
        demo_wrong(&step, "failed; see examples.log");
    }
    return demo_row(&step);
}

/* On a cluster of their own: the first one's regions are cut at raw keys,
 * which transactions cannot read as bounds. */
static bool
run_examples(const struct demo *demo, char **paths, int count)
{
    struct playground cluster;
    bool is_right = true;
    int i;

    puts("the examples:");
    if (!start(&cluster, demo->bin, "v1")) {
        return false;
    }
    for (i = 0; i < count; i++) {
        is_right = run_example(demo, cluster.endpoints, paths[i]) && is_right;
    }
    return playground_stop(&cluster) && is_right;
}

int
main(int argc, char **argv)
{
    struct demo demo = { 0 };
    bool is_right;

    if (argc < 4) {
        fputs("usage: demo BIN-FOLDER DATA-FILE WORK-FOLDER [EXAMPLE]...\n",
              stderr);
        return 2;
    }
    demo.bin = argv[1];
    demo.work = argv[3];
    if (!demo_load(argv[2], &demo.data) || !write_inputs(&demo) ||
        !start(&demo.cluster, demo.bin, "v1")) {
        return 1;
    }
    is_right = run(&demo) && same_files(&demo, "records.tsv", "exported.tsv");
    is_right = run_examples(&demo, argv + 4, argc - 4) && is_right;
    is_right = playground_stop(&demo.cluster) && is_right;
    is_right = with_ttl(&demo) && is_right;
    is_right = with_transactions(&demo) && is_right;
    puts(is_right ? "the demo is right" : "the demo is WRONG");
    demo_unload(&demo.data);
    return is_right ? 0 : 1;
}
