/* openssl_memory.c - see openssl_memory.h.
 *
 * Blocks are those of malloc, so that the sanitizers know who made them, and the table of them has
 * their addresses inverted, so that a search for leaks does not find them there.
 */
#include "openssl_memory.h"

#include <openssl/crypto.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ground/fault.h"

enum { PLACES = 1 << 16 };

struct block {
    uintptr_t inverted; /* 0: free */
    const char *file;
    int line;
    long number;
};

static struct block blocks[PLACES];
static long alive, ever_asked, asked, fails_at; /* 0: none fails */
static bool fails_on, tortured, paused;
static char failed_at[200];
static void (*watcher)(void);
static const char *only_of;

/* ---- the table ---- */

static size_t place_of(uintptr_t inverted)
{
    return (size_t)((inverted * 0x9e3779b97f4a7c15U) >> 40) % PLACES;
}

static void note(void *memory, const char *file, int line)
{
    uintptr_t inverted = ~(uintptr_t)memory;
    size_t i = place_of(inverted);

    if (memory == NULL)
        return;
    if (++alive > PLACES / 2)
        abort(); /* far more than any test has */
    while (blocks[i].inverted != 0)
        i = (i + 1) % PLACES;
    blocks[i] = (struct block){ inverted, file, line, ever_asked };
}

/* Those behind it that are there because its place was taken move up. */
static void close_gap(size_t gap)
{
    for (size_t i = (gap + 1) % PLACES; blocks[i].inverted != 0; i = (i + 1) % PLACES) {
        size_t home = place_of(blocks[i].inverted);

        if ((i - home) % PLACES < (i - gap) % PLACES)
            continue;
        blocks[gap] = blocks[i];
        gap = i;
    }
    blocks[gap] = (struct block){ 0 };
}

static void forget(uintptr_t address)
{
    uintptr_t inverted = ~address;
    size_t i = place_of(inverted);

    if (address == 0)
        return;
    while (blocks[i].inverted != inverted) {
        if (blocks[i].inverted == 0)
            abort(); /* given back twice, or never got */
        i = (i + 1) % PLACES;
    }
    alive--;
    close_gap(i);
}

/* ---- what OpenSSL calls ---- */

static bool is_refused(const char *file, int line)
{
    ever_asked++;
    if (watcher != NULL)
        watcher();
    if (paused || (only_of != NULL && strstr(file, only_of) == NULL))
        return false;
    if (tortured)
        return fault_fails();
    if (++asked == fails_at)
        snprintf(failed_at, sizeof failed_at, "%s:%d", file, line);
    return asked == fails_at || (fails_on && fails_at > 0 && asked > fails_at);
}

/* As OpenSSL's own: no bytes are no block, and to ask for none gives a block back. */
static void *get(size_t size, const char *file, int line)
{
    if (size == 0 || is_refused(file, line))
        return NULL;
    void *memory = malloc(size);
    note(memory, file, line);
    return memory;
}

static void give_back(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    forget((uintptr_t)memory);
    free(memory);
}

static void *resize(void *memory, size_t size, const char *file, int line)
{
    if (size == 0)
        give_back(memory, file, line);
    if (size == 0 || is_refused(file, line))
        return NULL;
    uintptr_t before = (uintptr_t)memory;
    void *moved = realloc(memory, size);
    if (moved == NULL)
        return NULL;
    forget(before);
    note(moved, file, line);
    return moved;
}

/* Before the first use of OpenSSL, which is in constructors, too. */
__attribute__((constructor(101))) static void stand_between(void)
{
    if (CRYPTO_set_mem_functions(get, resize, give_back) != 1)
        abort();
}

/* ---- what tests call ---- */

void openssl_memory_fail(long n, bool and_on)
{
    asked = 0;
    fails_at = n;
    fails_on = and_on;
    if (n > 0)
        failed_at[0] = '\0';
}

long openssl_memory_asked(void)
{
    return asked;
}

const char *openssl_memory_failed_at(void)
{
    return failed_at;
}

void openssl_memory_watch(void (*look)(void))
{
    watcher = look;
}

void openssl_memory_only_of(const char *file)
{
    only_of = file;
}

void openssl_memory_pause(bool on)
{
    paused = on;
}

void openssl_memory_torture(bool on)
{
    tortured = on;
}

long openssl_memory_ever_asked(void)
{
    return ever_asked;
}

static bool is_kept_for_good(const struct block *block)
{
    return strstr(block->file, "crypto/err/") != NULL ||
           strstr(block->file, "crypto/property/property.c") != NULL ||
           strstr(block->file, "crypto/lhash/lhash.c") != NULL; /* where that cache is kept */
}

const char *openssl_memory_left_since(long since)
{
    static char text[2000];
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < PLACES && used < sizeof text; i++) {
        const struct block *block = &blocks[i];

        if (block->inverted != 0 && block->number > since && !is_kept_for_good(block))
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s:%d",
                                     used > 0 ? " " : "", block->file, block->line);
    }
    return text;
}
