/* SPDX-License-Identifier: Apache-2.0 */
/* What the run tells while it goes on and when it is over. */
#include "hour.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What may be more at the end than at the beginning: caches fill up, and
 * what grows for ever grows beyond this within an hour. */
enum {
    RSS_KB_MORE = 8192,
    RSS_PART_MORE = 10, /* or a tenth, where that is more */
    THREADS_MORE = 4,
    THREADS_STAY = 1, /* liburcu's, which is the process's */
    FILES_MORE = 16
};

void
hour_rest(int64_t ms)
{
    struct timespec time = { (time_t)(ms / 1000), (long)(ms % 1000 * 1000000) };

    (void)nanosleep(&time, NULL);
}

void
hour_complain(struct hour *hour, const char *format, ...)
{
    va_list values;

    pthread_mutex_lock(&hour->lock);
    if (hour->complaints++ == 0) {
        va_start(values, format);
        (void)vsnprintf(hour->complaint, sizeof(hour->complaint), format,
                        values);
        va_end(values);
    }
    pthread_mutex_unlock(&hour->lock);
}

static bool
is_expected(tikv_code code)
{
    switch (code) {
    case TIKV_ERR_CANCELLED:
    case TIKV_ERR_TIMEOUT:
    case TIKV_ERR_CLOSED:
    case TIKV_ERR_UNAVAILABLE:
    case TIKV_ERR_SERVER_BUSY:
    case TIKV_ERR_REGION:
    case TIKV_ERR_PD:
    case TIKV_ERR_WRITE_CONFLICT:
    case TIKV_ERR_LOCK_WAIT:
    case TIKV_ERR_ABORTED:
    case TIKV_ERR_UNDETERMINED:
        return true;
    default:
        return false;
    }
}

bool
hour_take_error(struct hour *hour, tikv_error *error)
{
    tikv_code code = tikv_error_code(error);
    bool is_in_doubt = tikv_error_is_undetermined(error);
    size_t i = 0;

    atomic_fetch_add(&hour->counters.errors, 1);
    pthread_mutex_lock(&hour->lock);
    while (i < hour->codes_count && hour->codes[i].code != code) {
        i++;
    }
    if (i == hour->codes_count && i < HOUR_CODES) {
        hour->codes_count++;
        hour->codes[i].code = code;
    }
    if (i < HOUR_CODES) {
        hour->codes[i].count++;
    }
    pthread_mutex_unlock(&hour->lock);
    if (!is_expected(code)) {
        hour_complain(hour, "%s: %s", tikv_code_name(code),
                      tikv_error_message(error));
    }
    tikv_error_free(error);
    return is_in_doubt;
}

uint64_t
hour_ended(const struct hour *hour)
{
    uint64_t sum = 0;
    size_t i;

    for (i = 0; i < HOUR_SLOTS; i++) {
        sum += atomic_load(&hour->slots[i].ended);
    }
    return sum;
}

void
hour_watch(struct hour *hour)
{
    int64_t limit = (HOUR_CALL_MS + HOUR_GRACE_MS) * HOUR_MS;
    int64_t now = tikv_now_ns();
    size_t i;

    for (i = 0; i < HOUR_SLOTS; i++) {
        struct hour_slot *slot = &hour->slots[i];

        if (atomic_load(&slot->is_flying) &&
            now - atomic_load(&slot->started_at) > limit) {
            hour_complain(hour, "%s: an operation does not end", slot->key + 1);
        }
    }
}

/* ---- growth ---- */

static uint32_t
status_number(const char *name)
{
    FILE *file = fopen("/proc/self/status", "r");
    unsigned long number = 0;
    char line[256];

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0) {
            number = strtoul(line + strlen(name), NULL, 10);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return (uint32_t)number;
}

static uint32_t
count_files(void)
{
    DIR *folder = opendir("/proc/self/fd");
    uint32_t count = 0;

    while (folder != NULL && readdir(folder) != NULL) {
        count++;
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return count;
}

void
hour_sample(struct hour_sample *out)
{
    out->rss_kb = status_number("VmRSS:");
    out->threads = status_number("Threads:");
    out->files = count_files();
}

void
hour_sample_after(const struct hour_sample *before, struct hour_sample *out)
{
    int tries = 500;

    do {
        hour_rest(10);
        hour_sample(out);
    } while (out->threads > before->threads + THREADS_STAY && --tries > 0);
}

static int
by_size(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;

    return left < right ? -1 : left > right;
}

/* Of one field (by its place) of the samples of a quarter. */
static uint32_t
median(const struct hour *hour, unsigned quarter, size_t offset)
{
    uint64_t from = hour->samples_count * quarter / 4;
    uint64_t count = hour->samples_count * (quarter + 1) / 4 - from;
    uint32_t *numbers = calloc(count + 1, sizeof(*numbers));
    uint32_t middle = 0;
    uint64_t i;

    if (numbers != NULL) {
        for (i = 0; i < count; i++) {
            memcpy(&numbers[i], (const char *)&hour->samples[from + i] + offset,
                   sizeof(numbers[i]));
        }
        qsort(numbers, count, sizeof(*numbers), by_size);
        middle = numbers[count / 2];
        free(numbers);
    }
    return middle;
}

static struct hour_sample
quarter_of(const struct hour *hour, unsigned quarter)
{
    return (struct hour_sample){
        median(hour, quarter, offsetof(struct hour_sample, rss_kb)),
        median(hour, quarter, offsetof(struct hour_sample, threads)),
        median(hour, quarter, offsetof(struct hour_sample, files))
    };
}

void
hour_judge_growth(struct hour *hour)
{
    uint32_t more;

    hour->early = quarter_of(hour, 1);
    hour->late = quarter_of(hour, 3);
    more = hour->early.rss_kb / RSS_PART_MORE;
    if (hour->late.rss_kb >
        hour->early.rss_kb + (more > RSS_KB_MORE ? more : RSS_KB_MORE)) {
        hour_complain(hour, "memory grew from %u to %u KiB", hour->early.rss_kb,
                      hour->late.rss_kb);
    }
    if (hour->late.threads > hour->early.threads + THREADS_MORE) {
        hour_complain(hour, "threads grew from %u to %u", hour->early.threads,
                      hour->late.threads);
    }
    if (hour->late.files > hour->early.files + FILES_MORE) {
        hour_complain(hour, "descriptors grew from %u to %u", hour->early.files,
                      hour->late.files);
    }
    if (hour->after.threads > hour->before.threads + THREADS_STAY) {
        hour_complain(hour, "%u threads after the close, %u before the open",
                      hour->after.threads, hour->before.threads);
    }
}

/* ---- texts ---- */

/* On a terminal one line that is written over each second, elsewhere one each
 * minute. */
void
hour_progress(struct hour *hour, uint64_t second)
{
    const struct hour_counters *counters = &hour->counters;
    const struct hour_sample *now = &hour->samples[hour->samples_count - 1];
    uint64_t ended = hour_ended(hour);
    bool is_due = !hour->is_quiet && (hour->is_terminal || second % 60 == 0);

    if (is_due) {
        fprintf(stderr,
                "%s%5" PRIu64 " s to go %8" PRIu64 " op/s %8" PRIu64
                " transfers %6" PRIu64 " errors %5" PRIu64 " breaks %4" PRIu64
                " restarts %7u KiB %" PRIu64 " wrong%s",
                hour->is_terminal ? "\r" : "", hour->duration_s - second,
                ended - hour->ended_before, atomic_load(&counters->transfers),
                atomic_load(&counters->errors), atomic_load(&counters->breaks),
                atomic_load(&counters->restarts), now->rss_kb,
                hour->complaints, hour->is_terminal ? "\033[K" : "\n");
    }
    hour->ended_before = ended;
}

static void
print_json(FILE *out, const struct hour *hour)
{
    const struct hour_counters *counters = &hour->counters;
    size_t i;

    fprintf(out,
            "{\"duration_s\":%" PRIu64 ",\"operations\":%" PRIu64
            ",\"transfers\":%" PRIu64 ",\"timestamps\":%" PRIu64
            ",\"breaks\":%" PRIu64 ",\"resets\":%" PRIu64
            ",\"restarts\":%" PRIu64 ",\"resignations\":%" PRIu64
            ",\"errors\":%" PRIu64 ",\"in_doubt\":%" PRIu64,
            hour->duration_s, hour_ended(hour), counters->transfers,
            counters->timestamps, counters->breaks, counters->resets,
            counters->restarts, counters->resignations, counters->errors,
            counters->doubts);
    fprintf(out,
            ",\"early\":{\"rss_kb\":%u,\"threads\":%u,\"files\":%u}"
            ",\"late\":{\"rss_kb\":%u,\"threads\":%u,\"files\":%u}"
            ",\"errors_by_code\":{",
            hour->early.rss_kb, hour->early.threads, hour->early.files,
            hour->late.rss_kb, hour->late.threads, hour->late.files);
    for (i = 0; i < hour->codes_count; i++) {
        fprintf(out, "%s\"%s\":%" PRIu64, i == 0 ? "" : ",",
                tikv_code_name(hour->codes[i].code), hour->codes[i].count);
    }
    fprintf(out, "},\"complaints\":%" PRIu64 "}\n", hour->complaints);
}

static void
print_table(const struct hour *hour)
{
    const struct hour_counters *counters = &hour->counters;
    size_t i;

    printf("operations   %" PRIu64 ", each ended once; %" PRIu64
           " errors, %" PRIu64 " in doubt\n",
           hour_ended(hour), counters->errors, counters->doubts);
    printf("transfers    %" PRIu64 ", timestamps %" PRIu64 "\n",
           counters->transfers, counters->timestamps);
    printf("unrest       %" PRIu64 " streams broken, %" PRIu64
           " resets, %" PRIu64 " restarts, %" PRIu64 " resignations\n",
           counters->breaks, counters->resets, counters->restarts,
           counters->resignations);
    printf("second and last quarter: memory %u and %u KiB, threads %u and %u, "
           "descriptors %u and %u\n",
           hour->early.rss_kb, hour->late.rss_kb, hour->early.threads,
           hour->late.threads, hour->early.files, hour->late.files);
    for (i = 0; i < hour->codes_count; i++) {
        printf("  %-14s %" PRIu64 "\n", tikv_code_name(hour->codes[i].code),
               hour->codes[i].count);
    }
    if (hour->complaints != 0) {
        printf("WRONG        %" PRIu64 " times; the first: %s\n",
               hour->complaints, hour->complaint);
    }
}

bool
hour_report(struct hour *hour, const char *json)
{
    FILE *out = NULL;

    if (json != NULL && strcmp(json, "-") == 0) {
        print_json(stdout, hour);
    } else {
        print_table(hour);
        out = json == NULL ? NULL : fopen(json, "w");
        if (out != NULL) {
            print_json(out, hour);
            fclose(out);
        } else if (json != NULL) {
            hour_complain(hour, "%s cannot be written", json);
        }
    }
    return hour->complaints == 0;
}
