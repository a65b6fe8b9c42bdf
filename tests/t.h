// The test harness. A test file includes this and holds TEST() functions; it is linked with
// tests/lib/t.c, which has main(), runs them in order and prints "N passed, N failed, N skipped".
//
//     #include "tests/t.h"
//     TEST(bits_count)
//     {
//         EXPECT_EQ(popcount32(0xf0), 4);
//         if (!EXPECT(table != NULL)) {
//             return;
//         }
//     }
//
// Every EXPECT is an expression that is true when it held; a failed one is printed with both values
// and the test goes on. A test that fails anywhere counts as one failure.
// Run a program with names as arguments to run only those tests, -l to list them.

#ifndef DOPPEL_TESTS_T_H
#define DOPPEL_TESTS_T_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// One test; filled in and registered by TEST().
struct t_test {
    const char *name, *file;
    int line;
    void (*run)(void);
    struct t_test *next;
};

#define TEST(name)                                                                                 \
    static void t_run_##name(void);                                                                \
    static struct t_test t_test_##name = {#name, __FILE__, __LINE__, t_run_##name, NULL};          \
    __attribute__((constructor)) static void t_register_##name(void)                               \
    {                                                                                              \
        t_register(&t_test_##name);                                                                \
    }                                                                                              \
    static void t_run_##name(void)

// The condition holds.
#define EXPECT(cond) t_expect((cond) ? 1 : 0, __FILE__, __LINE__, #cond)
// Two integers (or pointers) are equal. Both are widened to 64 bits by C's rules for their types.
#define EXPECT_EQ(a, b) t_expect_eq((uint64_t)(a), (uint64_t)(b), __FILE__, __LINE__, #a " == " #b)
// Two strings are equal; either may be NULL.
#define EXPECT_STR(a, b) t_expect_str((a), (b), __FILE__, __LINE__, #a " == " #b)
// `n` bytes are equal.
#define EXPECT_MEM(a, b, n) t_expect_mem((a), (b), (n), __FILE__, __LINE__, #a " == " #b)
// Fails the test with a message in printf form.
#define FAIL(...) t_fail(__FILE__, __LINE__, __VA_ARGS__)
// Marks the running test as skipped, with the reason; the test then returns by itself.
#define SKIP(reason) t_skip(reason)

void t_register(struct t_test *test);
bool t_expect(bool ok, const char *file, int line, const char *what);
bool t_expect_eq(uint64_t a, uint64_t b, const char *file, int line, const char *what);
bool t_expect_str(const char *a, const char *b, const char *file, int line, const char *what);
bool t_expect_mem(const void *a, const void *b, size_t n, const char *file, int line,
                  const char *what);
__attribute__((format(printf, 3, 4))) void t_fail(const char *file, int line, const char *fmt, ...);
void t_skip(const char *reason);

// A line of context shown before a failure of the running test ("case 17: add al, 0x80"); replaced
// by the next call, forgotten when the test ends.
__attribute__((format(printf, 1, 2))) void t_context(const char *fmt, ...);

// For a test that runs many cases from a table or a data file: adds these to the totals in place of
// the one case that the test otherwise is. Failed cases must have been reported by FAIL or EXPECT.
void t_cases(unsigned long passed, unsigned long failed, unsigned long skipped);

// How much to do, chosen by T_LEVEL: "quick" while developing, "full" in CI (default), "long" by
// hand.
uint64_t t_amount(uint64_t quick, uint64_t full, uint64_t lots);

// The host is itself emulated (qemu-user, tests/run's TEST_WRAPPER): slow, and its clock runs on.
bool t_emulated(void);

// A repeatable random source (splitmix64). t_seed() is T_SEED from the environment, or 1.
struct t_rng {
    uint64_t state;
};
uint64_t t_seed(void);
uint64_t t_rand(struct t_rng *rng);
// Uniform enough in 0..n-1; n is at least 1.
uint64_t t_rand_below(struct t_rng *rng, uint64_t n);

// Paths, valid until the next call: a file in the source tree ("tests/insn/x.dat"), and one in the
// build directory ("tests/priv/x.bin").
const char *t_source_path(const char *name);
const char *t_build_path(const char *name);

#endif
