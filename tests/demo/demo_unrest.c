/* SPDX-License-Identifier: Apache-2.0 */
/* The cluster moves while it is read: a thread that splits regions, moves
 * leaders, restarts one store and makes PD's leader resign. */
#include "demo.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STORES = 3, MEMBERS = 3, PAUSE_MS = 20 };

static void
pause_ms(long ms)
{
    struct timespec time = { ms / 1000, ms % 1000 * 1000000 };

    nanosleep(&time, NULL);
}

/* Groups of eight bytes, each followed by 255 less its padding. */
static size_t
encode(const struct demo_record *record, uint8_t *out)
{
    size_t len = 0;
    size_t at = 0;
    size_t count;

    do {
        count = record->key_len - at < 8 ? record->key_len - at : 8;
        memset(out + len, 0, 8);
        memcpy(out + len, record->key + at, count);
        out[len + 8] = (uint8_t)(255 - (8 - count));
        len += 9;
        at += count;
    } while (count == 8);
    return len;
}

void
demo_hex(const struct demo_record *record, bool is_encoded,
         char hex[DEMO_HEX_MAX])
{
    uint8_t bytes[DEMO_HEX_MAX / 2];
    size_t len = record->key_len;
    size_t i;

    memcpy(bytes, record->key, len);
    if (is_encoded) {
        len = encode(record, bytes);
    }
    for (i = 0; i < len; i++) {
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    }
}

static void
must(struct demo_unrest *unrest, bool is_ok, const char *what,
     const char *answer)
{
    if (!is_ok) {
        fprintf(stderr, "demo: %s: %s\n", what, answer);
        unrest->is_right = false;
    }
}

static void
split(struct demo_unrest *unrest, size_t at)
{
    char hex[DEMO_HEX_MAX], answer[256] = "";

    demo_hex(&unrest->data->records[at % unrest->data->count],
             unrest->is_encoded, hex);
    must(unrest,
         playground_ask(unrest->playground, answer, sizeof(answer),
                        "split %s", hex),
         "split", answer);
    unrest->splits++;
}

/* The region of some record goes to another store. */
static void
move(struct demo_unrest *unrest, size_t at, unsigned store)
{
    char hex[DEMO_HEX_MAX], answer[256] = "";

    demo_hex(&unrest->data->records[at % unrest->data->count],
             unrest->is_encoded, hex);
    if (playground_ask(unrest->playground, answer, sizeof(answer),
                       "region %s", hex)) {
        unsigned long long region = strtoull(answer, NULL, 10);

        /* Refused while that store is down: then it stays. */
        unrest->moves += playground_ask(unrest->playground, answer,
                                        sizeof(answer), "transfer %llu %u",
                                        region, store);
    } else {
        must(unrest, false, "region", answer);
    }
}

static void
restart(struct demo_unrest *unrest)
{
    char answer[256] = "";
    bool is_ok = playground_ask(unrest->playground, answer, sizeof(answer),
                                "store stop 2");

    pause_ms(5 * PAUSE_MS);
    is_ok = playground_ask(unrest->playground, answer, sizeof(answer),
                           "store start 2 new") &&
            is_ok;
    must(unrest, is_ok, "restart of store 2", answer);
    unrest->restarts++;
}

static void
resign(struct demo_unrest *unrest, unsigned member)
{
    char answer[256] = "";

    must(unrest,
         playground_ask(unrest->playground, answer, sizeof(answer),
                        "pd transfer %u", member),
         "pd transfer", answer);
    unrest->resignations++;
}

static void *
disturb(void *arg)
{
    struct demo_unrest *unrest = arg;
    unsigned round = 0;
    size_t at = 0;

    while (!unrest->stop) {
        at += 7919; /* a prime: wanders over the whole file */
        move(unrest, at, 1 + round % STORES);
        if (round % 4 == 1) {
            split(unrest, at + 1000);
        }
        if (round % 16 == 5) {
            restart(unrest);
        }
        if (round % 16 == 11) {
            resign(unrest, round / 16 % MEMBERS);
        }
        round++;
        pause_ms(PAUSE_MS);
    }
    return NULL;
}

void
demo_unrest_start(struct demo_unrest *unrest)
{
    unrest->stop = false;
    unrest->is_right = true;
    pthread_create(&unrest->thread, NULL, disturb, unrest);
}

bool
demo_unrest_stop(struct demo_unrest *unrest)
{
    unrest->stop = true;
    pthread_join(unrest->thread, NULL);
    return unrest->is_right;
}
