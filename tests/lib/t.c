// The harness behind tests/t.h: registration, expectations, main().
//
// Output, read by tests/run as well as by people: one line "PASS name", "FAIL name" or
// "SKIP name: reason" for each test (PASS only with -v), the failed expectations before it, and the
// totals in the last line. Exit status 1 when something failed. Unbuffered, so that a crash loses
// nothing: with -v, "RUN name" comes first.

#include "tests/t.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SHOWN = 20 }; // failures printed per test; the rest are counted

static struct t_test *first, **last = &first;

// The running test.
static unsigned long failures;
static bool skipped, has_cases;
static unsigned long cases[3];
static char context[1024];
static const char *skip_reason;

void t_register(struct t_test *test)
{
    *last = test;
    last = &test->next;
}

static bool begin_failure(const char *file, int line)
{
    failures++;
    if (failures == MAX_SHOWN + 1) {
        printf("  (further failures of this test are not shown)\n");
    }
    if (failures > MAX_SHOWN) {
        return false;
    }
    if (context[0] != '\0') {
        printf("  in %s\n", context);
    }
    const char *root = T_SRCDIR;
    size_t n = strlen(root);
    printf("  %s:%d: ", strncmp(file, root, n) == 0 && file[n] == '/' ? file + n + 1 : file, line);
    return true;
}

bool t_expect(bool ok, const char *file, int line, const char *what)
{
    if (!ok && begin_failure(file, line)) {
        printf("expected %s\n", what);
    }
    return ok;
}

bool t_expect_eq(uint64_t a, uint64_t b, const char *file, int line, const char *what)
{
    if (a != b && begin_failure(file, line)) {
        printf("expected %s\n    left  0x%" PRIx64 " (%" PRId64 ")\n    right 0x%" PRIx64
               " (%" PRId64 ")\n",
               what, a, (int64_t)a, b, (int64_t)b);
    }
    return a == b;
}

bool t_expect_str(const char *a, const char *b, const char *file, int line, const char *what)
{
    bool ok = a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
    if (!ok && begin_failure(file, line)) {
        printf("expected %s\n    left  \"%s\"\n    right \"%s\"\n", what, a ? a : "(null)",
               b ? b : "(null)");
    }
    return ok;
}

bool t_expect_mem(const void *a, const void *b, size_t n, const char *file, int line,
                  const char *what)
{
    const unsigned char *x = a, *y = b;
    size_t i = 0;
    while (i < n && x[i] == y[i]) {
        i++;
    }
    if (i < n && begin_failure(file, line)) {
        printf("expected %s; they differ from byte %zu of %zu: 0x%02x, 0x%02x\n", what, i, n, x[i],
               y[i]);
    }
    return i == n;
}

void t_fail(const char *file, int line, const char *fmt, ...)
{
    if (begin_failure(file, line)) {
        va_list ap;
        va_start(ap, fmt);
        vprintf(fmt, ap);
        va_end(ap);
        putchar('\n');
    }
}

void t_skip(const char *reason)
{
    skipped = true;
    skip_reason = reason;
}

void t_context(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(context, sizeof context, fmt, ap);
    va_end(ap);
}

void t_cases(unsigned long passed, unsigned long failed, unsigned long skips)
{
    has_cases = true;
    cases[0] += passed;
    cases[1] += failed;
    cases[2] += skips;
}

uint64_t t_amount(uint64_t quick, uint64_t full, uint64_t lots)
{
    const char *level = getenv("T_LEVEL");
    if (level != NULL && strcmp(level, "quick") == 0) {
        return quick;
    }
    return level != NULL && strcmp(level, "long") == 0 ? lots : full;
}

bool t_emulated(void)
{
    const char *wrapper = getenv("TEST_WRAPPER");
    return wrapper && wrapper[0];
}

uint64_t t_seed(void)
{
    const char *seed = getenv("T_SEED");
    return seed != NULL ? strtoull(seed, NULL, 0) : 1;
}

// splitmix64, from Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators (2014).
uint64_t t_rand(struct t_rng *rng)
{
    uint64_t z = rng->state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

uint64_t t_rand_below(struct t_rng *rng, uint64_t n)
{
    return t_rand(rng) % n;
}

static const char *join(const char *dir, const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

const char *t_source_path(const char *name)
{
    return join(T_SRCDIR, name);
}

const char *t_build_path(const char *name)
{
    const char *build = getenv("BUILD");
    return join(build != NULL ? build : ".", name);
}

static bool wanted(const struct t_test *test, int argc, char **argv)
{
    bool named = false;
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-') {
            named = true;
            if (strcmp(argv[i], test->name) == 0) {
                return true;
            }
        }
    }
    return !named;
}

int main(int argc, char **argv)
{
    bool verbose = false, list = false;
    unsigned long total[3] = {0, 0, 0};
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < argc; i++) {
        verbose |= strcmp(argv[i], "-v") == 0;
        list |= strcmp(argv[i], "-l") == 0;
    }
    unsigned long ran = 0;
    for (struct t_test *test = first; test != NULL; test = test->next) {
        if (!wanted(test, argc, argv)) {
            continue;
        }
        ran++;
        if (list) {
            printf("%s\n", test->name);
            continue;
        }
        if (verbose) {
            printf("RUN %s\n", test->name);
        }
        failures = 0;
        skipped = has_cases = false;
        memset(cases, 0, sizeof cases);
        context[0] = '\0';
        test->run();
        bool failed = failures > 0 || cases[1] > 0;
        if (failed) {
            printf("FAIL %s (%lu failures)\n", test->name, failures);
        } else if (skipped) {
            printf("SKIP %s: %s\n", test->name, skip_reason);
        } else if (verbose) {
            printf("PASS %s\n", test->name);
        }
        if (!has_cases) {
            cases[failed ? 1 : skipped ? 2 : 0] = 1;
        } else if (failed && cases[1] == 0) {
            cases[1] = 1;
        }
        for (int i = 0; i < 3; i++) {
            total[i] += cases[i];
        }
    }
    if (list) {
        return 0;
    }
    if (ran == 0) {
        printf("FAIL no test of that name here\n");
        total[1] = 1;
    }
    printf("%lu passed, %lu failed, %lu skipped\n", total[0], total[1], total[2]);
    return total[1] > 0 ? 1 : 0;
}
