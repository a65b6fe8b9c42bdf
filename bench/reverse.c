/*
 * bench/reverse DISK [MIB [STEPS]]: what going back costs, in milliseconds of elapsed time, with
 * Debian's root disk (tools/debian-root.sh), 512 MiB, its past kept in MIB [256] since power-on.
 *
 * Two guests: at its login, idle; and with a shell that works without end. In each, ten seconds of
 * the guest's time after a key was received:
 *   first step    reverse-step from the present; then more of them, median and worst
 *   last write    of a word that was written when the key came, by its physical address and by
 *                 all linear ones that lead to it
 *   nothing met   a watchpoint on a linear address that nobody writes, in a past that begins there
 *   in a hot page one amid the stack, which is written all the time, so that all of one second is
 *                 run, and each write to that page looked at
 * and what keeping the past costs the boot, and in memory.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "doppel.h"

enum { TAIL = 64, STEP = 20000000 };
#define LIMIT UINT64_C(60000000000)
#define SEC   UINT64_C(1000000000)
#define RAM   (UINT64_C(512) << 20)

struct heard {
    char tail[TAIL + 1];
    const char *want;
    bool seen;
};

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void hear(void *ctx, const uint8_t *data, size_t len)
{
    struct heard *h = ctx;
    for (size_t i = 0; i < len; i++) {
        memmove(h->tail, h->tail + 1, TAIL - 1);
        h->tail[TAIL - 1] = data[i] ? (char)data[i] : ' ';
        h->seen |= strstr(h->tail, h->want) != NULL;
    }
}

static void die(const char *what, const char *why)
{
    fprintf(stderr, "bench: %s: %s\n", what, why);
    exit(1);
}

static struct doppel_vm *create(const char *disk, uint64_t history)
{
    static char drive[5000];
    struct doppel_options o;
    struct doppel_error e = {"", false};
    doppel_options_init(&o, DOPPEL_ABI);
    snprintf(drive, sizeof drive, "file=%s,format=qcow2,snapshot=on", disk);
    o.drive[o.ndrives++] = drive;
    o.boot = "order=c";
    o.ram_bytes = RAM;
    o.serial[0] = "null";
    o.speed = "max";
    o.rtc_epoch = 1700000000;
    o.seed = 1;
    o.history = history;
    struct doppel_vm *vm = doppel_create(&o, &e);
    if (!vm) {
        die("create", e.msg);
    }
    return vm;
}

static void type(struct doppel_vm *vm, const char *text)
{
    if (!doppel_post_input(vm, "com1.rx", text, (uint32_t)strlen(text))) {
        die("serial input", text);
    }
}

/* Run until the guest prints a text. */
static void expect(struct doppel_vm *vm, const char *want)
{
    static struct heard h;
    memset(&h, ' ', TAIL);
    h.tail[TAIL] = 0;
    h.want = want;
    h.seen = false;
    doppel_serial_listen(vm, 0, hear, &h);
    while (!h.seen && doppel_icount(vm) < LIMIT) { /* a step is short also where it waits */
        doppel_run_until(vm, doppel_icount(vm) + STEP, doppel_vtime(vm) + SEC / 10);
    }
    if (!h.seen) {
        die("never printed", want);
    }
    doppel_serial_listen(vm, 0, NULL, NULL);
}

static void run_for(struct doppel_vm *vm, uint64_t ns)
{
    enum doppel_stop why = doppel_run_until(vm, DOPPEL_NO_LIMIT, doppel_vtime(vm) + ns);
    if (why != DOPPEL_LIMIT) {
        die("run", doppel_failure(vm));
    }
}

static uint64_t *ram_copy(struct doppel_vm *vm)
{
    uint64_t *p = calloc(1, RAM);
    if (!p) {
        abort();
    }
    for (uint64_t at = 0; at < RAM; at += 4096) { /* not where there is none */
        doppel_memory_read(vm, DOPPEL_PHYSICAL, at, p + at / 8, 4096);
    }
    return p;
}

/* A word that changed from a to b, in a page that did not from b to c. */
static uint64_t changed_word(const uint64_t *a, const uint64_t *b, const uint64_t *c)
{
    for (uint64_t page = (16u << 20) / 8; page < RAM / 8; page += 512) {
        if (memcmp(b + page, c + page, 4096) == 0) {
            for (uint64_t i = page; i < page + 512; i++) {
                if (a[i] != b[i]) {
                    return i * 8;
                }
            }
        }
    }
    die("search", "no word was written");
    return 0;
}

enum { MAX_POINTS = 16 };

struct points {
    struct doppel_point p[MAX_POINTS];
    unsigned n;
};

/* Linear addresses that lead to physical address pa by the tables at `table`, which map what begins
 * at `base`, in entries of 1 << bits bytes. */
static void aliases(struct doppel_vm *vm, uint64_t pa, uint64_t table, uint64_t base, unsigned bits,
                    struct points *list)
{
    uint64_t entry[512];
    if (doppel_memory_read(vm, DOPPEL_PHYSICAL, table, entry, sizeof entry) != sizeof entry) {
        return;
    }
    for (uint64_t i = 0; i < 512; i++) {
        uint64_t la = base | i << bits, to = entry[i] & UINT64_C(0x000ffffffffff000);
        la |= bits == 39 && i >= 256 ? UINT64_C(0xffff) << 48 : 0;
        bool page = bits == 12 || (bits < 39 && (entry[i] & 0x80));
        to &= page ? ~((UINT64_C(1) << bits) - 1) : ~UINT64_C(0);
        if (!(entry[i] & 1)) {
            continue;
        }
        if (!page) {
            aliases(vm, pa, to, la, bits - 9, list);
        } else if (pa - to < UINT64_C(1) << bits && list->n < MAX_POINTS) {
            list->p[list->n++] =
                (struct doppel_point){DOPPEL_POINT_WRITE, false, la + (pa - to), 8};
        }
    }
}

static uint64_t reg(struct doppel_vm *vm, const char *name)
{
    uint8_t v[DOPPEL_REG_BYTES];
    uint64_t val;
    doppel_reg_get(vm, 0, (unsigned)doppel_reg_find(name), v);
    memcpy(&val, v, sizeof val);
    return val;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void reverse_step(struct doppel_vm *vm)
{
    uint64_t want = doppel_icount(vm) - 1;
    if (doppel_reverse_step(vm, 0) != DOPPEL_BREAK || doppel_icount(vm) != want) {
        die("reverse-step", doppel_failure(vm));
    }
}

static void steps(struct doppel_vm *vm, unsigned n)
{
    double *ms = calloc(n, sizeof *ms), from = now_ms(), cpu = cpu_ms();
    reverse_step(vm);
    printf("  reverse-step       first %.1f (%.1f of processors)", now_ms() - from, cpu_ms() - cpu);
    for (unsigned i = 0; i < n; i++) {
        cpu = cpu_ms();
        reverse_step(vm);
        ms[i] = cpu_ms() - cpu;
    }
    qsort(ms, n, sizeof *ms, by_size);
    printf(", then of processors median %.1f, worst %.1f of %u (goal 50)\n", ms[n / 2], ms[n - 1],
           n);
    free(ms);
}

static void to_present(struct doppel_vm *vm)
{
    uint64_t first, last;
    struct doppel_error e;
    doppel_history_range(vm, &first, &last);
    if (!doppel_goto(vm, last, &e)) {
        die("goto", e.msg);
    }
}

static void search(struct doppel_vm *vm, const char *name, const struct points *list)
{
    uint64_t icount = doppel_icount(vm), vtime = doppel_vtime(vm);
    struct doppel_error e;
    for (unsigned i = 0; i < list->n; i++) {
        if (!doppel_break_add(vm, &list->p[i], &e)) {
            die("point", e.msg);
        }
    }
    double from = now_ms(), cpu = cpu_ms();
    enum doppel_stop why = doppel_reverse_continue(vm);
    double took = now_ms() - from;
    cpu = cpu_ms() - cpu;
    if (why != DOPPEL_BREAK && why != DOPPEL_LIMIT) {
        die("reverse-continue", doppel_failure(vm));
    }
    printf("  %-18s %14.1f, %.1f of processors (goal 2000): %s %.2f s back, %.0f million "
           "instructions\n",
           name, took, cpu, why == DOPPEL_BREAK ? "met" : "not met",
           (double)(vtime - doppel_vtime(vm)) / 1e9, (double)(icount - doppel_icount(vm)) / 1e6);
    doppel_break_clear(vm);
    to_present(vm);
}

static void to_stdout(void *ctx, const char *text, size_t len)
{
    (void)ctx;
    fwrite(text, 1, len, stdout);
}

/* A word that was not written lately, in a page that is: of the kernel's stack, at its other end.
 */
static uint64_t hot_word(struct doppel_vm *vm)
{
    return (reg(vm, "rsp") | 4095) - 7;
}

static void measure(struct doppel_vm *vm, const char *key, uint64_t history, unsigned nsteps)
{
    struct doppel_error e;
    uint64_t *before = ram_copy(vm);
    type(vm, key);
    run_for(vm, SEC / 5);
    uint64_t *after = ram_copy(vm);
    run_for(vm, 10 * SEC);
    uint64_t *now = ram_copy(vm);
    uint64_t pa = changed_word(before, after, now);
    struct points word = {{{DOPPEL_POINT_WRITE, true, pa, 8}}, 1}, linear = {.n = 0};
    struct points none = {{{DOPPEL_POINT_WRITE, false, UINT64_C(0xfffff00000000000), 8}}, 1};
    free(before);
    free(after);
    free(now);
    steps(vm, nsteps);
    search(vm, "last write", &word);
    aliases(vm, pa, reg(vm, "cr3") & UINT64_C(0x000ffffffffff000), 0, 39, &linear);
    search(vm, "by linear address", &linear);
    printf("  ");
    doppel_command(vm, "info history", to_stdout, NULL);
    doppel_history(vm, 0, &e);
    doppel_history(vm, history, &e);
    run_for(vm, 10 * SEC);
    search(vm, "nothing met", &none);
    doppel_history(vm, 0, &e);
    doppel_history(vm, history, &e);
    run_for(vm, SEC);
    struct points often = {{{DOPPEL_POINT_WRITE, false, hot_word(vm), 8}}, 1};
    search(vm, "in a hot page", &often);
    fflush(stdout);
}

static struct doppel_vm *boot(const char *disk, uint64_t history)
{
    double cpu = cpu_ms();
    struct doppel_vm *vm = create(disk, 0);
    expect(vm, "login: ");
    doppel_destroy(vm);
    double plain = cpu_ms() - cpu;
    cpu = cpu_ms();
    vm = create(disk, history);
    expect(vm, "login: ");
    cpu = cpu_ms() - cpu;
    printf("boot to a login: %.0f ms of processors, %.0f with its past kept\n", plain, cpu);
    return vm;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: reverse DISK [MIB [STEPS]]\n");
        return 2;
    }
    uint64_t history = (uint64_t)(argc > 2 ? atoi(argv[2]) : 256) << 20;
    unsigned nsteps = argc > 3 ? (unsigned)atoi(argv[3]) : 100;
    const char *state = argc > 4 ? argv[4] : NULL;
    struct doppel_vm *vm;
    struct doppel_error e;
    if (state) { /* of the guest at its login: for who measures again and again */
        vm = create(argv[1], history);
        if (!doppel_load_file(vm, state, &e)) {
            expect(vm, "login: ");
            doppel_save_file(vm, state, &e);
        }
    } else {
        vm = boot(argv[1], history);
    }
    run_for(vm, SEC);
    printf("idle\n");
    measure(vm, "r", history, nsteps);
    type(vm, "oot\r");
    expect(vm, "Password: ");
    run_for(vm, SEC / 2);
    type(vm, "root\r");
    expect(vm, "~#");
    type(vm, "while :; do read x; while :; do for i in /etc/*; do x=$x$i; done; x=; done; done\r");
    run_for(vm, 2 * SEC);
    printf("busy\n");
    measure(vm, "\r", history, nsteps);
    doppel_destroy(vm);
    return 0;
}
