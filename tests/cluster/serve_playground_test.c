/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tikv-playground as its users meet it: a child process with a line on its
 * standard output, an exit status and, on request, commands.
 */
#include "harness/harness.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture/playground.h"

#define WORDS_MAX 16

struct result {
    int status; /* of the exit; -1: ended by a signal */
    char out[4096];
    char err[4096];
};

static const char *
program(void)
{
    const char *path = playground_program();

    if (path == NULL) {
        print_message("needs tikv-playground\n");
        skip();
    }
    return path;
}

static pid_t
spawn(const char *const *words, int in, int out, int err)
{
    const char *all[WORDS_MAX + 2] = { program() };
    union {
        const char **words;
        char **argv;
    } list = { all };
    pid_t pid;
    size_t i;

    for (i = 0; i < WORDS_MAX && words[i] != NULL; i++) {
        all[i + 1] = words[i];
    }
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(in, STDIN_FILENO);
        dup2(out, STDOUT_FILENO);
        dup2(err, STDERR_FILENO);
        execv(all[0], list.argv);
        _exit(127);
    }
    return pid;
}

static void
read_all(int fd, char *text, size_t size)
{
    size_t len = 0;
    ssize_t got;

    while (len < size - 1 && (got = read(fd, text + len, size - 1 - len)) > 0) {
        len += (size_t)got;
    }
    text[len] = '\0';
    close(fd);
}

/* Runs it to its end with the given standard input. */
static struct result
run(const char *const *words, const char *input)
{
    struct result result;
    int in[2], out[2], err[2];
    int status = 0;
    pid_t pid;

    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(err, O_CLOEXEC), 0);
    pid = spawn(words, in[0], out[1], err[1]);
    close(in[0]);
    close(out[1]);
    close(err[1]);
    assert_int_equal(write(in[1], input, strlen(input)), strlen(input));
    close(in[1]);
    read_all(out[0], result.out, sizeof(result.out));
    read_all(err[0], result.err, sizeof(result.err));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    result.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return result;
}

static void
expect_usage(const char *const *words, const char *complaint)
{
    struct result result = run(words, "");

    assert_int_equal(result.status, 2);
    assert_string_equal(result.out, "");
    if (strstr(result.err, complaint) == NULL) {
        fail_msg("\"%s\" lacks \"%s\"", result.err, complaint);
    }
    /* One line. */
    assert_ptr_equal(strchr(result.err, '\n') + 1,
                     result.err + strlen(result.err));
}

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void
playground__serves_until_it_is_told_to_end(void **state)
{
    static const int signals[] = { SIGTERM, SIGINT };
    size_t i;

    (void)state;
    for (i = 0; i < 2; i++) {
        char line[256] = "";
        char rest[64];
        int ports[3];
        int out[2];
        int status;
        pid_t pid;
        FILE *file;

        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        pid = spawn(WORDS("--stores", "2", "--pds", "3"), STDIN_FILENO, out[1],
                    STDERR_FILENO);
        close(out[1]);
        file = fdopen(out[0], "r");
        assert_non_null(fgets(line, sizeof(line), file));
        assert_int_equal(
            sscanf(line, "ready pd=127.0.0.1:%d,127.0.0.1:%d,127.0.0.1:%d%63s",
                   &ports[0], &ports[1], &ports[2], rest),
            3);
        assert_int_equal(kill(pid, signals[i]), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        assert_null(fgets(line, sizeof(line), file));
        fclose(file);
    }
}

static void
playground__explains_itself(void **state)
{
    struct result result = run(WORDS("--help"), "");

    (void)state;
    assert_int_equal(result.status, 0);
    assert_non_null(strstr(result.out, "--stores N"));
    assert_non_null(strstr(result.out, "--control"));
    result = run(WORDS("--version"), "");
    assert_int_equal(result.status, 0);
    assert_ptr_equal(strstr(result.out, "tikv-playground "), result.out);
}

static void
playground__refuses_what_makes_no_sense(void **state)
{
    (void)state;
    expect_usage(WORDS("--stores", "many"), "--stores: many");
    expect_usage(WORDS("--stores", "0"), "--stores: 0");
    expect_usage(WORDS("--stores", "-1"), "--stores: -1");
    expect_usage(WORDS("--stores", "99999999999999999999"), "--stores");
    expect_usage(WORDS("--stores", "4000000000"), "stores");
    expect_usage(WORDS("--regions", "4000000000"), "regions");
    expect_usage(WORDS("--port", "65536"), "--port: 65536");
    expect_usage(WORDS("--port", "65535"), "65535");
    expect_usage(WORDS("--port", "12x"), "--port: 12x");
    expect_usage(WORDS("--replicas", "2"), "replicas");
    expect_usage(WORDS("--api", "v3"), "v3");
    expect_usage(WORDS("--cluster-id", "0"), "--cluster-id: 0");
    expect_usage(WORDS("--services", "tso,cop"), "--services: cop");
    expect_usage(WORDS("--keyspaces", "a,a"), "\"a\" exists");
    expect_usage(WORDS("--tls-cert", "/nowhere"), "tls_key");
    expect_usage(WORDS("--tls-cert", "/nowhere", "--tls-key", "/nowhere"),
                 "tls_cert: cannot be opened");
    expect_usage(WORDS("--seed"), "--seed needs a value");
    expect_usage(WORDS("--nonsense"), "--nonsense");
    expect_usage(WORDS("extra"), "extra");
    expect_usage(WORDS("--fault", "on=tikv.RawGet do=nonsense"),
                 "do=nonsense: ");
    expect_usage(WORDS("--faults", "/nowhere/at/all"), "/nowhere/at/all");
}

static void
playground__names_a_port_that_is_in_use(void **state)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char port[16];

    (void)state;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    snprintf(port, sizeof(port), "%d", ntohs(address.sin_port));
    expect_usage(WORDS("--port", port), port);
    close(fd);
}

static void
playground__obeys_its_standard_input(void **state)
{
    struct result result = run(
        WORDS("--control", "--stores", "3", "--regions", "4"),
        "regions\nsplit 6b6579\nregions\nmerge 6b6579\nsplit 6b6\nsplit\n"
        "# a remark\n\nstore stop 2\nstore stop 9\nstore start 2 new\n"
        "pd leader\ncalls tikv.RawGet\nfault on=tikv.RawGet do=delay(1)\n"
        "fault clear\nfault on=\ntransfer 77777 1\nstore address 1\ndance\n");
    static const char *const wanted[] = {
        "ready pd=",
        "ok 4",
        "ok",
        "ok 5",
        "ok",
        "error not a key",
        "error usage: split HEXKEY",
        "ok",
        "error ",
        "ok",
        "ok 0",
        "ok 0",
        "ok 1",
        "ok",
        "error ",
        "error ",
        "ok 127.0.0.1:",
        "error unknown command: dance",
    };
    char *rest = result.out;
    size_t i;

    (void)state;
    assert_int_equal(result.status, 0);
    for (i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        char *line = strtok_r(rest, "\n", &rest);

        if (line == NULL || strstr(line, wanted[i]) != line) {
            fail_msg("answer %zu is \"%s\", not \"%s\"", i,
                     line == NULL ? "" : line, wanted[i]);
        }
    }
    assert_null(strtok_r(rest, "\n", &rest));
}

static void
playground__is_steered_while_it_runs(void **state)
{
    static const char *const words[] = { "--stores", "3", "--pds", "3", NULL };
    struct playground playground;
    char answer[256];

    (void)state;
    assert_true(playground_start(&playground, program(), words));
    assert_true(playground_ask(&playground, NULL, 0, "store stop 3"));
    assert_true(playground_ask(&playground, NULL, 0, "store start 3"));
    assert_true(playground_ask(&playground, NULL, 0, "pd transfer 1"));
    assert_true(
        playground_ask(&playground, answer, sizeof(answer), "pd leader"));
    assert_string_equal(answer, "1");
    assert_true(playground_ask(&playground, NULL, 0, "pd leaderless"));
    assert_true(
        playground_ask(&playground, answer, sizeof(answer), "pd leader"));
    assert_string_equal(answer, "none");
    assert_true(playground_stop(&playground));
}

static void
playground__has_what_pd_has(void **state)
{
    static const char *const words[] = { "--keyspaces",  "one,two",
                                         "--services",   "tso,resource",
                                         "--cluster-id", "77",
                                         "--seed",       "5",
                                         NULL };
    struct playground playground;
    char answer[256];

    (void)state;
    assert_true(playground_start(&playground, program(), words));
    assert_true(playground_ask(&playground, answer, sizeof(answer),
                               "keyspace three gc_management_type=unified"));
    assert_string_equal(answer, "3");
    assert_false(playground_ask(&playground, answer, sizeof(answer),
                                "keyspace two"));
    assert_non_null(strstr(answer, "exists"));
    assert_false(playground_ask(&playground, NULL, 0, "keyspace four what"));
    assert_true(
        playground_ask(&playground, answer, sizeof(answer), "regions"));
    assert_string_equal(answer, "9"); /* neighbours share bounds */
    assert_true(playground_ask(&playground, NULL, 0, "set services 7"));
    assert_true(playground_ask(&playground, NULL, 0, "set recovering 1"));
    assert_false(
        playground_ask(&playground, answer, sizeof(answer), "set services 8"));
    assert_string_equal(answer, "error services is at most 7");
    assert_false(
        playground_ask(&playground, answer, sizeof(answer), "set colour 8"));
    assert_string_equal(answer, "error nothing is called \"colour\"");
    assert_true(playground_ask(&playground, NULL, 0, "gc 400000000000000000"));
    /* Encoded it is a key that a raw split gives as it is. */
    assert_true(playground_ask(&playground, NULL, 0, "split txn 6b"));
    assert_true(
        playground_ask(&playground, NULL, 0, "split 6b00000000000000f8"));
    assert_true(
        playground_ask(&playground, answer, sizeof(answer), "regions"));
    assert_string_equal(answer, "10");
    assert_true(playground_stop(&playground));
}

static void
playground__survives_a_line_without_end(void **state)
{
    const size_t len = 100000;
    static const char *const words[] = { NULL };
    struct playground playground;
    char *line = malloc(len + 1);
    char answer[256];

    (void)state;
    memset(line, 'x', len);
    line[len] = '\0';
    assert_true(playground_start(&playground, program(), words));
    assert_false(
        playground_ask(&playground, answer, sizeof(answer), "%s", line));
    assert_string_equal(answer, "error line too long");
    assert_true(playground_ask(&playground, NULL, 0, "regions"));
    assert_true(playground_stop(&playground));
    free(line);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(playground__serves_until_it_is_told_to_end),
        harness_test(playground__explains_itself),
        harness_test(playground__refuses_what_makes_no_sense),
        harness_test(playground__names_a_port_that_is_in_use),
        harness_test(playground__obeys_its_standard_input),
        harness_test(playground__is_steered_while_it_runs),
        harness_test(playground__has_what_pd_has),
        harness_test(playground__survives_a_line_without_end),
    };

    return harness_run(tests);
}
