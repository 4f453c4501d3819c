/* fuzz.h - what every fuzz target stands on.
 *
 * A target is one file with fuzz_one(), which reads its input as a script: every input is a valid
 * one, and the same input does the same thing every time, in virtual time.  What it finds wrong it
 * says by fuzz_fail(), which aborts, so that libFuzzer and AFL keep the input.
 *
 * The same file is linked three ways: with libFuzzer, with AFL's driver for such targets, and with
 * replay.c, which runs inputs that are kept (tests/fuzz/corpus) in the ordinary suite.
 */
#ifndef ASYNCIO_TESTS_FUZZ_H
#define ASYNCIO_TESTS_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <asyncio.h>

/* What libFuzzer and AFL call; it calls fuzz_one, and checks that nothing was left behind. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- for the targets ---- */

/* The input, which is read from its beginning; at the end all is 0. */
struct tape {
    const uint8_t *data;
    size_t size;
};

static inline unsigned tape_byte(struct tape *tape)
{
    if (tape->size == 0)
        return 0;
    tape->size--;
    return *tape->data++;
}

/* Below `limit`, which is at most 65,536. */
static inline unsigned tape_below(struct tape *tape, unsigned limit)
{
    unsigned value = tape_byte(tape);

    if (limit > 256)
        value = value << 8 | tape_byte(tape);
    return value % limit;
}

/* The next `size` bytes, or as many as there are. */
static inline const uint8_t *tape_bytes(struct tape *tape, size_t *size)
{
    const uint8_t *bytes = tape->data;

    if (*size > tape->size)
        *size = tape->size;
    tape->data += *size;
    tape->size -= *size;
    return bytes;
}

/* The target: one run. */
void fuzz_one(struct tape *tape);

__attribute__((noreturn))
ASYNCIO_PRINTF(3, 4) void fuzz_fail(const char *file, int line, const char *format, ...);

/* MUST(held, "the queue has %zu items, the model %zu", n, wanted): what is always so. */
#define MUST(held, ...) ((held) ? (void)0 : fuzz_fail(__FILE__, __LINE__, __VA_ARGS__))

/* A function of the model that runs long: the fuzzer learns nothing from its branches. */
#if defined(__clang__)
#define MODEL __attribute__((no_sanitize("coverage")))
#else
#define MODEL
#endif

/* Runs a main task in virtual time and returns its result. */
int fuzz_run(asyncio_coro *fn, void *arg);

/* Whether a replay with -v wants to see what happens. */
bool fuzz_talks(void);
#define SAY(...) (fuzz_talks() ? (void)printf(__VA_ARGS__) : (void)0)

/* The library may say that: a part of a warning or error, until the run is over. */
void fuzz_allow(const char *text);

#endif
