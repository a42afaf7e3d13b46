/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands to a running tikv-playground: what the library's
 * tikv_cluster_command() understands, sent to a member of PD as the body of
 * an HTTP request, with keys and words as the other commands of tikv-cli have
 * them. Members are tried in turn: one that was stopped does not answer.
 */
#include "cli_run.h"

#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 8192
#define TIMEOUT_MS 10000L

static const struct {
    const char *words; /* as they are typed */
    const char *sent;  /* in their place */
    const char *rest;
    bool has_key; /* the next word is a key, as --hex has it */
} commands[] = {
    { "faults add", "fault", "RULE", false },
    { "faults list", "faults", "", false },
    { "faults remove", "fault clear", "[ID]", false },
    { "faults hits", "fault hits", "ID", false },
    { "nemesis", "nemesis", "PRESET [INTENSITY [SEED]]", false },
    { "version", "version", "latest|5.4", false },
    { "barrier", "barrier", "NAME", false },
    { "release", "release", "NAME [ACTION]", false },
    { "partition", "partition", "A B [drop|reject]", false },
    { "heal", "heal", "[ID]", false },
    { "split txn", "split txn", "KEY", true },
    { "split", "split", "KEY", true },
    { "merge", "merge", "KEY", true },
    { "region", "region", "[KEY]", true },
    { "regions", "regions", "", false },
    { "leader", "leader", "REGION", false },
    { "transfer", "transfer", "REGION STORE", false },
    { "store stop", "store stop", "N", false },
    { "store start", "store start", "N [new]", false },
    { "store swap", "store swap", "A B", false },
    { "store remove", "store remove", "N", false },
    { "store address", "store address", "N", false },
    { "pd stop", "pd stop", "N", false },
    { "pd start", "pd start", "N", false },
    { "pd transfer", "pd transfer", "N", false },
    { "pd leaderless", "pd leaderless", "", false },
    { "pd leader", "pd leader", "", false },
    { "calls", "calls", "[METHOD]", false },
    { "seen", "seen", "[METHOD]", false },
    { "gc", "gc", "TIMESTAMP", false },
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static int
show_list(void)
{
    size_t i;

    for (i = 0; i < COMMANDS; i++) {
        printf("cluster %s%s%s\n", commands[i].words,
               commands[i].rest[0] == '\0' ? "" : " ", commands[i].rest);
    }
    return CLI_OK;
}

/* How many words of argv the command's name takes; 0: it is another. */
static int
words_of(const char *words, int argc, char **argv)
{
    const char *space = strchr(words, ' ');
    size_t first = space == NULL ? strlen(words) : (size_t)(space - words);

    if (argc < 1 || strlen(argv[0]) != first ||
        strncmp(argv[0], words, first) != 0) {
        return 0;
    }
    if (space == NULL) {
        return 1;
    }
    return argc > 1 && strcmp(argv[1], space + 1) == 0 ? 2 : 0;
}

static bool
add_text(char *line, const char *text)
{
    size_t len = strlen(line);

    if (len + strlen(text) + 1 > LINE_BYTES ||
        strpbrk(text, "\r\n") != NULL) {
        return false;
    }
    memcpy(line + len, text, strlen(text) + 1);
    return true;
}

static bool
add_key(const struct cli *cli, char *line, const char *word)
{
    char digits[3];
    tikv_slice key;
    bool fits = true;
    size_t i;

    if (!cli_bytes(cli, word, &key)) {
        return false;
    }
    for (i = 0; fits && i < key.len; i++) {
        (void)snprintf(digits, sizeof(digits), "%02x", key.data[i]);
        fits = add_text(line, digits);
    }
    cli_bytes_free(&key);
    return fits;
}

/* The line to send; false after a message. */
static bool
make_line(const struct cli *cli, int argc, char **argv, char *line)
{
    bool fits;
    size_t i;
    int used = 0;
    int at;

    line[0] = '\0';
    for (i = 0; i < COMMANDS; i++) {
        used = words_of(commands[i].words, argc, argv);
        if (used > 0) {
            break;
        }
    }
    if (i == COMMANDS) {
        (void)cli_usage(cli, "unknown command \"cluster %s\"; try \"cluster "
                             "help\"", argc > 0 ? argv[0] : "");
        return false;
    }
    fits = add_text(line, commands[i].sent);
    for (at = used; fits && at < argc; at++) {
        fits = add_text(line, " ") &&
               (commands[i].has_key && at == used
                    ? add_key(cli, line, argv[at])
                    : add_text(line, argv[at]));
    }
    if (!fits) {
        (void)cli_usage(cli, "cluster: the command is too long or no line");
    }
    return fits;
}

/* ---- sending ---- */

struct answer {
    char *text;
    size_t len;
};

static size_t
take_bytes(char *bytes, size_t size, size_t count, void *arg)
{
    struct answer *answer = arg;
    char *longer = realloc(answer->text, answer->len + size * count + 1);

    if (longer == NULL) {
        return 0;
    }
    memcpy(longer + answer->len, bytes, size * count);
    answer->text = longer;
    answer->len += size * count;
    answer->text[answer->len] = '\0';
    return size * count;
}

/* The client's own settings of TLS. */
static bool
set_tls(const struct cli *cli, CURL *curl)
{
    static const struct {
        const char *setting;
        CURLoption option;
    } files[] = { { "security.ca_file", CURLOPT_CAINFO },
                  { "security.cert_file", CURLOPT_SSLCERT },
                  { "security.key_file", CURLOPT_SSLKEY } };
    bool any = false;
    size_t i;

    for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        const char *name = tikv_config_get(cli->config, files[i].setting);

        if (name != NULL && *name != '\0') {
            curl_easy_setopt(curl, files[i].option, name);
            any = true;
        }
    }
    return any;
}

/* NULL, or why the member did not answer. */
static const char *
ask(const struct cli *cli, CURL *curl, const char *member, size_t len,
    const char *line, struct answer *answer)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    char address[512];
    CURLcode code;

    curl_easy_reset(curl);
    (void)snprintf(address, sizeof(address), "%s://%.*s/playground",
                   set_tls(cli, curl) ? "https" : "http", (int)len, member);
    curl_easy_setopt(curl, CURLOPT_URL, address);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, line);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
                     cli->timeout_ms > 0 ? (long)cli->timeout_ms : TIMEOUT_MS);
    code = curl_easy_perform(curl);
    curl_slist_free_all(headers);
    return code == CURLE_OK ? NULL : curl_easy_strerror(code);
}

/* ---- what came ---- */

static void
put_item(const struct cli *cli, const cJSON *item)
{
    const cJSON *member;
    char *text;

    if (cli->json) {
        text = cJSON_PrintUnformatted(item);
        puts(text == NULL ? "" : text);
        cJSON_free(text);
        return;
    }
    cJSON_ArrayForEach(member, item)
    {
        fputs(member == item->child ? "" : "\t", stdout);
        if (cJSON_IsString(member)) {
            fputs(member->valuestring, stdout);
        } else {
            printf("%.0f", member->valuedouble);
        }
    }
    puts("");
}

static void
put_value(const struct cli *cli, const char *value)
{
    cJSON *list = *value == '[' ? cJSON_Parse(value) : NULL;
    const cJSON *item;

    if (list != NULL) {
        cJSON_ArrayForEach(item, list)
        {
            put_item(cli, item);
        }
        cJSON_Delete(list);
    } else if (cli->json) {
        bool is_number = *value != '\0' &&
                         value[strspn(value, "0123456789")] == '\0';

        printf("{\"result\":%s%s%s}\n", is_number ? "" : "\"", value,
               is_number ? "" : "\"");
    } else if (*value != '\0') {
        puts(value);
    }
}

static int
show(const struct cli *cli, struct answer *answer)
{
    const char *text = "";

    if (answer->text != NULL) {
        answer->text[strcspn(answer->text, "\r\n")] = '\0';
        text = answer->text;
    }
    if (strncmp(text, "ok", 2) == 0) {
        put_value(cli, text + 2 + (text[2] == ' '));
        return CLI_OK;
    }
    if (strncmp(text, "error ", 6) == 0) {
        return cli_usage(cli, "%s", text + 6);
    }
    (void)cli_usage(cli, "this is no tikv-playground: %.100s", text);
    return CLI_CLUSTER;
}

int
cli_cluster(struct cli *cli, int argc, char **argv)
{
    const char *members = tikv_config_get(cli->config, "pd.endpoints");
    const char *trouble = NULL;
    struct answer answer = { NULL, 0 };
    char line[LINE_BYTES];
    int status = CLI_CLUSTER;
    CURL *curl;

    if (argc == 0 || strcmp(argv[0], "help") == 0 ||
        strcmp(argv[0], "--help") == 0) {
        return show_list();
    }
    if (*members == '\0') {
        return cli_usage(cli, "which cluster? say --pd HOST:PORT");
    }
    if (!make_line(cli, argc, argv, line)) {
        return CLI_USAGE;
    }
    curl = curl_easy_init();
    trouble = curl == NULL ? "no memory" : "nobody there";
    while (trouble != NULL && curl != NULL && *members != '\0') {
        size_t len = strcspn(members, ",");

        trouble = ask(cli, curl, members, len, line, &answer);
        members += len + (members[len] == ',');
    }
    if (trouble != NULL) {
        (void)cli_usage(cli, "cluster: %s", trouble);
    } else {
        status = show(cli, &answer);
    }
    free(answer.text);
    curl_easy_cleanup(curl);
    return status;
}
