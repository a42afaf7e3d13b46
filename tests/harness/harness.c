/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The harness of harness.h. All on the main thread of a test program, apart
 * from the alarm, whose handler uses only what is safe in one.
 *
 * The alarm fires a little before the runner's limit, so that a hang leaves
 * a stack in the log; the runner's own timeout is the one that counts.
 */
#include "harness/harness.h"

#include <execinfo.h>
#include <signal.h>
#include <unistd.h>

/* Weak: a program that links nothing of base has nothing to leak. */
extern int64_t
tk_alloc_live(void) __attribute__((weak));

/* Weak too: blocks that a thread keeps for later are no leak. */
extern void
tk_thread_cache_drain(void) __attribute__((weak));

static int64_t live_at_begin;

/* A test that failed left threads behind, which go on taking and freeing:
 * from then on the count tells of them, and of no other test. */
static bool has_leaked;

static int64_t
count_live(void)
{
    if (tk_thread_cache_drain) {
        tk_thread_cache_drain();
    }
    return tk_alloc_live ? tk_alloc_live() : 0;
}

static void
say_where(int number)
{
    static const char text[] = "# the time limit is near; stack:\n";
    void *frames[64];
    int count = backtrace(frames, 64);

    (void)number;
    if (write(STDERR_FILENO, text, sizeof(text) - 1) > 0) {
        backtrace_symbols_fd(frames, count, STDERR_FILENO);
    }
    _exit(124);
}

static void
arm_alarm(void)
{
    const char *limit = getenv("TK_TEST_LIMIT");
    struct sigaction action = { .sa_handler = say_where };
    void *frame[1];

    if (!limit) {
        return;
    }
    /* The first call loads a library, which a handler may not. */
    (void)backtrace(frame, 1);
    sigaction(SIGALRM, &action, NULL);
    unsigned seconds = (unsigned)strtoul(limit, NULL, 10);
    alarm(seconds > 4 ? seconds - 2 : seconds);
}

/* cmocka chooses before it runs anything, so this is a constructor. */
__attribute__((constructor)) static void
harness_begin(void)
{
    static char pattern[256];
    const char *function = getenv("TK_TEST_FUNCTION");

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (function && *function) {
        snprintf(pattern, sizeof(pattern), "*%s", function);
        cmocka_set_test_filter(pattern);
    }
    arm_alarm();
}

int
harness_leak_begin(void **state)
{
    (void)state;
    live_at_begin = count_live();
    return 0;
}

int
harness_leak_end(void **state)
{
    int64_t live = count_live();

    (void)state;
    if (live != live_at_begin && !has_leaked) {
        has_leaked = true;
        print_error("leak: %lld blocks before the test, %lld after it\n",
                    (long long)live_at_begin, (long long)live);
        return -1;
    }
    return 0;
}

const char *
harness_need(const char *variable)
{
    const char *value = getenv(variable);

    if (!value || !*value) {
        print_message("needs %s in the environment\n", variable);
        skip();
    }
    return value;
}

unsigned
harness_stretch(void)
{
    const char *text = getenv("TK_STRETCH");
    unsigned long value = text ? strtoul(text, NULL, 10) : 1;

    return value > 0 && value < 1000 ? (unsigned)value : 1;
}
