/*
 * selftest: what a user program relies on, checked inside the guest.
 *
 * A static program for the initrd of the boot tests, built for amd64 and i386 from this one file,
 * and run on the host too where that is an x86: what it expects is what silicon does. It covers
 * what instruction tests do not reach: the kernel's and the CPU's sides of signals, faults,
 * single-stepping, context switches with FPU state, threads, copy-on-write, time, code written at
 * run time, and glibc's string functions, which pick their variants by CPUID.
 *
 * Prints a line for each failure, then "selftest: N passed, N failed"; exit status 1 on failure.
 */
#define _GNU_SOURCE
#include <fenv.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include <asm/ldt.h>
#include <sys/syscall.h>

#ifdef __x86_64__
#define SP "rsp"
#else
#define SP "esp"
#endif

static int passed, failed;

static void check(unsigned long long got, unsigned long long want, const char *what)
{
    if (got == want) {
        passed++;
    } else {
        failed++;
        printf("selftest: %s is 0x%llx, not 0x%llx\n", what, got, want);
    }
}

#define CHECK(got, want) check((unsigned long long)(got), (unsigned long long)(want), #got)

/* ---- integers ---- */

static uint32_t sha_rotate(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

/* The first 32 bits of the fractional part of the square (or cube) root of a prime, by integers. */
static uint32_t root_fraction(uint64_t prime, int power)
{
    uint64_t r = 0; /* floor(root * 2^32), bit by bit: r^2 <= p 2^64, r^3 <= p 2^96 */
    for (int bit = 35; bit >= 0; bit--) {
        uint64_t t = r | (uint64_t)1 << bit;
        uint32_t a[6] = {1}, x[2] = {(uint32_t)t, (uint32_t)(t >> 32)};
        for (int k = 0; k < power; k++) { /* a *= t */
            uint32_t out[6] = {0};
            for (int i = 0; i < 6; i++) {
                uint64_t carry = 0;
                for (int j = 0; i + j < 6; j++) {
                    carry += (uint64_t)a[i] * (j < 2 ? x[j] : 0) + out[i + j];
                    out[i + j] = (uint32_t)carry;
                    carry >>= 32;
                }
            }
            memcpy(a, out, sizeof a);
        }
        uint32_t limit[6] = {0};
        limit[power] = (uint32_t)prime;
        int i = 5;
        while (i > 0 && a[i] == limit[i]) {
            i--;
        }
        if (a[i] <= limit[i]) {
            r = t;
        }
    }
    return (uint32_t)r;
}

/* SHA-256 of one block whose content is `text` (FIPS 180-4), with constants made from primes. */
static void sha256_block(const char *text, uint32_t h[8])
{
    uint32_t k[64], w[64], s[8];
    unsigned prime = 1;
    for (int i = 0; i < 64; i++) {
        bool composite;
        do {
            prime++;
            composite = false;
            for (unsigned d = 2; d * d <= prime; d++) {
                composite |= prime % d == 0;
            }
        } while (composite);
        k[i] = root_fraction(prime, 3);
        if (i < 8) {
            h[i] = root_fraction(prime, 2);
        }
    }
    uint8_t block[64] = {0};
    size_t n = strlen(text);
    memcpy(block, text, n);
    block[n] = 0x80;
    block[62] = (uint8_t)(n * 8 >> 8);
    block[63] = (uint8_t)(n * 8);
    for (int i = 0; i < 16; i++) {
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    }
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] + (sha_rotate(a, 7) ^ sha_rotate(a, 18) ^ a >> 3) +
               (sha_rotate(b, 17) ^ sha_rotate(b, 19) ^ b >> 10);
    }
    memcpy(s, h, sizeof s);
    for (int i = 0; i < 64; i++) {
        uint32_t e = sha_rotate(s[4], 6) ^ sha_rotate(s[4], 11) ^ sha_rotate(s[4], 25);
        uint32_t t = s[7] + e + ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i];
        uint32_t a = sha_rotate(s[0], 2) ^ sha_rotate(s[0], 13) ^ sha_rotate(s[0], 22);
        uint32_t u = a + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 7 * sizeof s[0]);
        s[4] += t;
        s[0] = t + u;
    }
    for (int i = 0; i < 8; i++) {
        h[i] += s[i];
    }
}

static void test_integers(void)
{
    uint32_t h[8];
    sha256_block("abc", h); /* FIPS 180-4's example */
    CHECK(h[0], 0xba7816bfu);
    CHECK(h[7], 0xf20015adu);

    volatile int64_t a = INT64_C(-0x123456789abcdef), b = 0x76543;
    CHECK(a / b, (unsigned long long)-(INT64_C(0x123456789abcdef) / 0x76543));
    CHECK(a % b + (a / b) * b == a, 1);
    uint64_t x = 88172645463325252u; /* xorshift64 and its first value (Marsaglia 2003) */
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    CHECK(x, 8748534153485358512u);
    unsigned collatz = 0, n = 837799; /* 524 steps: the longest below a million */
    while (n != 1) {
        n = n % 2 ? 3 * n + 1 : n / 2;
        collatz++;
        if (collatz > 10000) {
            break;
        }
    }
    CHECK(collatz, 524u);
}

/* ---- floating point: known bits ---- */

static uint64_t bits(double d)
{
    uint64_t u;
    memcpy(&u, &d, 8);
    return u;
}

static void test_floating_point(void)
{
    volatile double two = 2.0, tenth = 0.1, zero = 0.0;
    CHECK(bits(__builtin_sqrt(two)), 0x3ff6a09e667f3bcdu);
    CHECK(bits(tenth + 0.2), 0x3fd3333333333334u);
    CHECK(bits(zero * -two), 0x8000000000000000u);
    CHECK(bits(two / zero), 0x7ff0000000000000u);
    CHECK(bits(zero / zero) & 0x7fffffffffffffffu, 0x7ff8000000000000u);
    volatile double tiny = 4.9406564584124654e-324;
    CHECK(bits(tiny * 3), 3u);

    /* Rounding modes through both units. */
    volatile double third;
    volatile long double lthird;
    const int modes[4] = {FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};
    const uint64_t want[4] = {0x3fd5555555555555u, 0x3fd5555555555555u, 0x3fd5555555555556u,
                              0x3fd5555555555555u};
    const uint64_t lwant[4] = {0xaaaaaaaaaaaaaaabu, 0xaaaaaaaaaaaaaaaau, 0xaaaaaaaaaaaaaaabu,
                               0xaaaaaaaaaaaaaaaau};
    for (int i = 0; i < 4; i++) {
        volatile double one = 1, three = 3;
        volatile long double lone = 1, lthree = 3;
        fesetround(modes[i]);
        third = one / three;
        lthird = lone / lthree;
        fesetround(FE_TONEAREST);
        uint64_t m;
        memcpy(&m, (const void *)&lthird, 8);
        CHECK(bits(third), want[i]);
        CHECK(m, lwant[i]);
    }
    feclearexcept(FE_ALL_EXCEPT);
    volatile double big = 1e308;
    big = big * 10;
    CHECK(fetestexcept(FE_OVERFLOW | FE_INEXACT | FE_INVALID), (FE_OVERFLOW | FE_INEXACT));
    /* x87 functions at arguments whose results are known in closed form. */
    long double l;
    __asm__("fldpi" : "=t"(l));
    uint64_t m;
    memcpy(&m, &l, 8);
    CHECK(m, 0xc90fdaa22168c235u);
    __asm__("fld1; fld1; fpatan; fmul %%st(1); fstp %%st(1)" : "=t"(l) : "0"(4.0L)); /* pi */
    memcpy(&m, &l, 8);
    CHECK(m, 0xc90fdaa22168c235u);
    __asm__("f2xm1" : "=t"(l) : "0"(1.0L));
    CHECK(l == 1.0L, 1);
}

/* ---- string functions against plain loops, over alignments and lengths ---- */

static void test_strings(void)
{
    static unsigned char a[1024], b[1024], want[1024];
    int bad = 0;
    for (size_t from = 0; from < 40; from += 7) {
        for (size_t to = 0; to < 40; to += 3) {
            for (size_t n = 0; n < 700; n = n < 70 ? n + 3 : n + 113) {
                for (size_t i = 0; i < sizeof a; i++) {
                    a[i] = want[i] = (unsigned char)(i * 7 + n);
                }
                for (size_t i = 0; i < n; i++) {
                    want[to + i] = (unsigned char)((from + i) * 7 + n);
                }
                memcpy(b, a, sizeof b);
                memmove(a + to, a + from, n);
                memcpy(b + to, want + to, n);
                bad += memcmp(a, want, sizeof a) != 0 || memcmp(b, want, sizeof b) != 0;
                memset(a + to, 'x', n);
                a[to + n] = 0;
                bad += strlen((char *)a + to) != n;
                bad += n > 0 && memchr(a + to, 0, n + 1) != a + to + n;
                if (n > 4) {
                    a[to + n - 2] = 'y';
                    bad += strchr((char *)a + to, 'y') != (char *)a + to + n - 2;
                    bad += strstr((char *)a + to, "xyx") != (char *)a + to + n - 3;
                }
            }
        }
    }
    CHECK(bad, 0u);
    char text[64];
    snprintf(text, sizeof text, "%.10f %e %Lg %a", 3.14159265358979, 6.02214076e23, 1e-5L, 1.0 / 3);
    CHECK(strcmp(text, "3.1415926536 6.022141e+23 1e-05 0x1.5555555555555p-2"), 0u);
    CHECK(bits(strtod("1.7976931348623157e308", NULL)), 0x7fefffffffffffffu);
}

/* ---- signals ---- */

static sigjmp_buf back;
static volatile sig_atomic_t got_signal, got_code, steps;
static void *volatile got_address;

static void on_fault(int sig, siginfo_t *info, void *context)
{
    (void)context;
    got_signal = sig;
    got_code = info->si_code;
    got_address = info->si_addr;
    siglongjmp(back, 1);
}

static void on_trap(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    (void)sig;
    (void)info;
    if (++steps >= 20) {
        uc->uc_mcontext.gregs[REG_EFL] &= ~0x100;
    }
}

static void handle(int sig, void (*fn)(int, siginfo_t *, void *))
{
    struct sigaction sa = {0};
    sa.sa_sigaction = fn;
    sa.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
    sigaction(sig, &sa, NULL);
}

#define FAULTS(expr, sig, code)                                                                    \
    do {                                                                                           \
        got_signal = got_code = 0;                                                                 \
        if (sigsetjmp(back, 1) == 0) {                                                             \
            expr;                                                                                  \
        }                                                                                          \
        CHECK(got_signal, (sig));                                                                  \
        CHECK(got_code, (code));                                                                   \
    } while (0)

static volatile int ticks;
static void on_alarm(int sig)
{
    (void)sig;
    ticks++;
}

static void test_signals(void)
{
    static char stack[65536];
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&alternate, NULL);
    const int faults[] = {SIGFPE, SIGSEGV, SIGILL, SIGBUS, SIGTRAP};
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        handle(faults[i], on_fault);
    }
    volatile int zero = 0, number = 7;
    FAULTS(number = number / zero, SIGFPE, FPE_INTDIV);
    number = INT32_MIN;
    volatile int minus = -1;
    FAULTS(number = number / minus, SIGFPE, FPE_INTDIV);
    FAULTS(__asm__ volatile("ud2"), SIGILL, ILL_ILLOPN);
    FAULTS(__asm__ volatile("hlt"), SIGSEGV, SI_KERNEL);
    FAULTS(__asm__ volatile("int3"), SIGTRAP, SI_KERNEL);

    char *page = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    FAULTS(((volatile char *)page)[5] = 1, SIGSEGV, SEGV_ACCERR);
    CHECK(got_address == page + 5, 1);
    munmap(page + 4096, 4096);
    FAULTS((void)*(volatile int *)(page + 4094), SIGSEGV, SEGV_MAPERR);
    CHECK(got_address == page + 4096, 1);

    feenableexcept(FE_DIVBYZERO);
    volatile double dzero = 0, done = 1;
    FAULTS(done = done / dzero, SIGFPE, FPE_FLTDIV);
    fedisableexcept(FE_ALL_EXCEPT);
    fesetenv(FE_DFL_ENV);

    handle(SIGTRAP, on_trap);
    __asm__ volatile("pushf\n\torl $0x100, (%%" SP ")\n\tpopf\n"
                     "1: nop\n\tcmpl $20, %0\n\tjl 1b" ::"m"(steps)
                     : "cc", "memory");
    CHECK(steps, 20u);

    /* A timer interrupts a computation in floating point, which must not notice. */
    struct itimerval timer = {.it_interval = {0, 2000}, .it_value = {0, 2000}};
    signal(SIGALRM, on_alarm);
    setitimer(ITIMER_REAL, &timer, NULL);
    double sum = 0;
    unsigned long turns = 0;
    while (ticks < 5 && turns < 2000000000ul) {
        sum = 0;
        for (int i = 1; i <= 1000; i++) {
            sum += 1.0 / i;
        }
        turns++;
        if (bits(sum) != 0x401df11f45f4e618u) {
            break;
        }
    }
    memset(&timer, 0, sizeof timer);
    setitimer(ITIMER_REAL, &timer, NULL);
    CHECK(bits(sum), 0x401df11f45f4e618u); /* the 1000th harmonic number, summed upward */
    CHECK(ticks >= 5, 1);
}

/* ---- processes, threads, memory ---- */

static atomic_uint counter;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned locked;

static void *worker(void *arg)
{
    volatile double x = (double)(intptr_t)arg;
    for (int i = 0; i < 5000; i++) {
        atomic_fetch_add(&counter, 1);
        pthread_mutex_lock(&lock);
        locked++;
        pthread_mutex_unlock(&lock);
        x = x * 1.5 - x * 0.5;
        if (i % 512 == 0) {
            sched_yield();
        }
    }
    return x == (double)(intptr_t)arg ? arg : NULL;
}

static void test_processes(void)
{
    int fds[2];
    volatile int mine = 1;
    CHECK(pipe(fds), 0u);
    pid_t child = fork();
    if (child == 0) {
        mine = 2; /* copy on write: the parent's stays 1 */
        long n = write(fds[1], "hello", 5);
        _exit(n == 5 && mine == 2 ? 42 : 1);
    }
    char text[8] = "";
    int status = 0;
    CHECK(read(fds[0], text, 5), 5u);
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42, 1);
    CHECK(mine, 1);
    CHECK(strcmp(text, "hello"), 0u);

    pthread_t threads[4];
    for (intptr_t i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, worker, (void *)(i + 1));
    }
    for (intptr_t i = 0; i < 4; i++) {
        void *result;
        pthread_join(threads[i], &result);
        CHECK((intptr_t)result, (uintptr_t)(i + 1));
    }
    CHECK(counter, 20000u);
    CHECK(locked, 20000u);

    struct timespec t0, t1;
    clock_gettime(CLOCK_MONOTONIC, &t0);
    usleep(20000);
    clock_gettime(CLOCK_MONOTONIC, &t1);
    int64_t ns = (int64_t)(t1.tv_sec - t0.tv_sec) * 1000000000 + t1.tv_nsec - t0.tv_nsec;
    CHECK(ns >= 20000000 && ns < INT64_C(10000000000), 1);
}

/* Code written at run time: rewritten in place between calls, and across a page boundary. */
static void test_written_code(void)
{
    unsigned char *code =
        mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int wrong = 0;
    for (int i = 0; i < 1000; i++) {
        unsigned char *p = code + (i % 2 ? 4093 : 64); /* 4093: the immediate crosses the page */
        p[0] = 0xb8;                                   /* mov eax, imm32; ret */
        memcpy(p + 1, &i, 4);
        p[5] = 0xc3;
        int (*f)(void);
        memcpy(&f, &p, sizeof f);
        wrong += f() != i;
    }
    CHECK(wrong, 0u);
#ifdef __x86_64__
    /* NX. Not on i386: without PAE there is none, and Linux 6.1 with PAE loses bit 63 of user
     * pages' rights in a 32-bit variable (vm_get_page_prot). */
    code = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    handle(SIGSEGV, on_fault);
    int (*f)(void);
    memcpy(&f, &code, sizeof f);
    code[0] = 0xc3;
    FAULTS(f(), SIGSEGV, SEGV_ACCERR);
#endif
}

/* A 16-byte segment in the LDT: the last byte is readable, the one behind faults. */
static void test_segment_limit(void)
{
    static char data[32] = "0123456789abcdefXYZ";
    struct user_desc d = {0};
    if ((uintptr_t)data > 0xffffffffu) {
        return;
    }
    d.base_addr = (unsigned)(uintptr_t)data;
    d.limit = 15;
    d.seg_32bit = 1;
    d.useable = 1;
    if (syscall(SYS_modify_ldt, 1, &d, sizeof d) != 0) {
        return;
    }
#ifdef __i386__
    unsigned char c = 0;
    unsigned selector = 7;
    __asm__ volatile("mov %1, %%fs\n\tmovb %%fs:15, %0" : "=q"(c) : "r"(selector));
    CHECK(c, (unsigned)'f');
    handle(SIGSEGV, on_fault);
    FAULTS(__asm__ volatile("movb %%fs:16, %0" : "=q"(c)), SIGSEGV, SI_KERNEL);
    __asm__ volatile("mov %0, %%fs" ::"r"(0));
#endif
}

int main(void)
{
    test_integers();
    test_floating_point();
    test_strings();
    test_signals();
    test_processes();
    test_written_code();
    test_segment_limit();
    printf("selftest: %d passed, %d failed\n", passed, failed);
    return failed > 0;
}
