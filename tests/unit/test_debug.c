/*
 * The debugging API: points and steps stop where they should, and leave no trace: a machine that
 * was stopped thousands of times ends with the digest of one that never was. Guests: bytes of
 * multiboot code in 32-bit protected mode, and the built-in demo, which begins in real mode.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doppel.h"
#include "tests/lib/kernel.h"
#include "tests/t.h"
#include "util/bits.h"

enum { ENTRY = KERNEL_ENTRY, DATA = 0x180000 };

static struct doppel_vm *start(const void *code, size_t len, const char *engine, unsigned cpus)
{
    struct doppel_options o;
    struct doppel_error e;
    doppel_options_init(&o, DOPPEL_ABI);
    o.rtc_epoch = 1700000000;
    o.seed = 7;
    o.ram_bytes = 4u << 20;
    o.engine = engine;
    o.cpus = cpus;
    char name[64]; /* which the kernel is told: always the same */
    snprintf(name, sizeof name, "/tmp/doppel-debug-%d", (int)getpid());
    char *path = code ? kernel_make(name, code, len) : NULL;
    o.kernel = path;
    struct doppel_vm *vm = doppel_create(&o, &e);
    if (!vm) {
        FAIL("%s", e.msg);
        exit(1);
    }
    if (path) {
        unlink(path);
        free(path);
    }
    return vm;
}

static uint64_t reg(struct doppel_vm *vm, unsigned cpu, const char *name)
{
    uint8_t v[DOPPEL_REG_BYTES];
    int i = doppel_reg_find(name);
    EXPECT(i >= 0 && doppel_reg_get(vm, cpu, (unsigned)i, v));
    return le64_get(v);
}

static void add(struct doppel_vm *vm, enum doppel_point_kind kind, bool physical, uint64_t at,
                uint64_t len)
{
    struct doppel_error e = {""};
    struct doppel_point p = {kind, physical, at, len};
    if (!doppel_break_add(vm, &p, &e)) {
        FAIL("%s", e.msg);
    }
}

/* A loop that calls, stores and reads: 32-bit.
 *      mov ebx, DATA; mov ecx, 1000
 * loop: call fn; mov [ebx], ecx; add eax, [ebx+4]; dec ecx; jnz loop
 *      mov edi, DATA+0x100; mov ecx, 64; cld; rep stosb; jmp $
 * fn:  add edx, ecx; ret */
enum {
    LOOP = ENTRY + 10,
    STORE = LOOP + 5,
    LOAD = STORE + 2,
    AFTER_LOAD = LOAD + 3,
    REP = AFTER_LOAD + 3 + 5 + 5 + 1,
    END = REP + 2,
    FN = END + 2,
};
static const uint8_t loop_code[] = {
    0xbb, 0x00,          0x00, 0x18, 0x00, 0xb9, 0xe8, 0x03, 0x00, 0x00, /* mov, mov */
    0xe8, FN - LOOP - 5, 0x00, 0x00, 0x00,                               /* call */
    0x89, 0x0b,                                                          /* mov [ebx], ecx */
    0x03, 0x43,          0x04,                                           /* add eax, [ebx+4] */
    0x49, 0x75,          0xf3,                                           /* dec, jnz */
    0xbf, 0x00,          0x01, 0x18, 0x00, 0xb9, 0x40, 0x00, 0x00, 0x00, /* mov, mov */
    0xfc, 0xf3,          0xaa, 0xeb, 0xfe,                               /* cld, rep stosb, jmp */
    0x01, 0xca,          0xc3,                                           /* add, ret */
};

static const char *const engines[] = {"interp", "jit,threshold=1", "jit", "jit,super=1"};
#define LIMIT 20000u

static uint64_t undisturbed(const void *code, size_t len, const char *engine, unsigned cpus,
                            uint64_t limit)
{
    struct doppel_vm *vm = start(code, len, engine, cpus);
    EXPECT_EQ(doppel_run(vm, limit), DOPPEL_LIMIT);
    uint64_t d = doppel_digest(vm);
    doppel_destroy(vm);
    return d;
}

TEST(execution_points_stop_each_time_and_leave_no_trace)
{
    for (unsigned e = 0; e < ARRAY_LEN(engines); e++) {
        for (unsigned cpus = 1; cpus <= 4; cpus += 3) {
            uint64_t want = undisturbed(loop_code, sizeof loop_code, engines[e], cpus, LIMIT);
            struct doppel_vm *vm = start(loop_code, sizeof loop_code, engines[e], cpus);
            unsigned fn = 0, load = 0;
            /* the code is hot before the points are there */
            EXPECT_EQ(doppel_run(vm, 1500), DOPPEL_LIMIT);
            uint64_t ecx = reg(vm, 0, "rcx");
            add(vm, DOPPEL_POINT_EXEC, false, FN, 0);
            add(vm, DOPPEL_POINT_EXEC, true, LOAD, 0);
            enum doppel_stop why;
            while ((why = doppel_run(vm, LIMIT)) == DOPPEL_BREAK) {
                const struct doppel_hit *h = doppel_last_hit(vm);
                EXPECT(h && h->point.kind == DOPPEL_POINT_EXEC && h->cpu == 0);
                EXPECT_EQ(reg(vm, 0, "rip"), h->point.address);
                EXPECT_EQ(h->icount, doppel_icount(vm));
                fn += h->point.address == FN;
                load += h->point.address == LOAD;
            }
            EXPECT_EQ(why, DOPPEL_LIMIT);
            EXPECT(fn == ecx || fn == ecx - 1);
            EXPECT(load == ecx || load == ecx - 1);
            EXPECT_EQ(doppel_digest(vm), want);
            doppel_destroy(vm);
        }
    }
}

TEST(points_that_go_and_come_and_a_point_at_a_rep)
{
    for (unsigned e = 0; e < ARRAY_LEN(engines); e++) {
        struct doppel_vm *vm = start(loop_code, sizeof loop_code, engines[e], 1);
        struct doppel_point p = {DOPPEL_POINT_EXEC, false, REP, 0};
        for (unsigned k = 0; k < 100; k++) { /* as gdb does */
            add(vm, DOPPEL_POINT_EXEC, false, FN, 0);
            EXPECT_EQ(doppel_run(vm, LIMIT), DOPPEL_BREAK);
            EXPECT_EQ(reg(vm, 0, "rip"), FN);
            EXPECT_EQ(reg(vm, 0, "rcx"), 1000 - k);
            doppel_break_clear(vm);
        }
        EXPECT(!doppel_break_remove(vm, &p));
        add(vm, DOPPEL_POINT_EXEC, false, REP, 0);
        EXPECT_EQ(doppel_run(vm, LIMIT), DOPPEL_BREAK);
        EXPECT_EQ(reg(vm, 0, "rcx"), 64);
        /* In slices of 5 units: it goes on, it does not begin. */
        for (uint64_t at = doppel_icount(vm) + 5; doppel_icount(vm) < LIMIT; at += 5) {
            EXPECT_EQ(doppel_run(vm, at < LIMIT ? at : LIMIT), DOPPEL_LIMIT);
        }
        EXPECT(doppel_break_remove(vm, &p));
        EXPECT_EQ(doppel_digest(vm),
                  undisturbed(loop_code, sizeof loop_code, engines[e], 1, LIMIT));
        doppel_destroy(vm);
    }
}

TEST(steps)
{
    for (unsigned e = 0; e < ARRAY_LEN(engines); e++) {
        struct doppel_vm *vm = start(loop_code, sizeof loop_code, engines[e], 2);
        add(vm, DOPPEL_POINT_EXEC, false, LOOP, 0);
        EXPECT_EQ(doppel_run(vm, LIMIT), DOPPEL_BREAK);
        static const uint64_t way[] = {FN, FN + 2, STORE, LOAD, AFTER_LOAD, AFTER_LOAD + 1, LOOP};
        for (unsigned k = 0; k < ARRAY_LEN(way); k++) {
            uint64_t n = doppel_icount(vm);
            EXPECT_EQ(doppel_step(vm, 0), DOPPEL_BREAK);
            EXPECT(doppel_last_hit(vm) && doppel_last_hit(vm)->point.kind == DOPPEL_POINT_STEP);
            EXPECT_EQ(doppel_icount(vm), n + 1);
            EXPECT_EQ(reg(vm, 0, "rip"), way[k]);
        }
        while (doppel_icount(vm) < LIMIT) {
            EXPECT_EQ(doppel_step(vm, 0), DOPPEL_BREAK);
        }
        EXPECT_EQ(doppel_digest(vm),
                  undisturbed(loop_code, sizeof loop_code, engines[e], 2, LIMIT));
        doppel_destroy(vm);
    }
}

TEST(watchpoints_stop_behind_the_access)
{
    for (unsigned e = 0; e < ARRAY_LEN(engines); e++) {
        for (unsigned physical = 0; physical < 2; physical++) {
            uint64_t want = undisturbed(loop_code, sizeof loop_code, engines[e], 1, LIMIT);
            struct doppel_vm *vm = start(loop_code, sizeof loop_code, engines[e], 1);
            EXPECT_EQ(doppel_run(vm, 700), DOPPEL_LIMIT);
            uint64_t left = reg(vm, 0, "rcx");
            add(vm, DOPPEL_POINT_WRITE, physical, DATA + 1, 2);
            add(vm, DOPPEL_POINT_READ, physical, DATA + 4, 1);
            add(vm, DOPPEL_POINT_ACCESS, physical, DATA + 0x107, 2);
            enum doppel_stop why;
            unsigned writes = 0, reads = 0, stos = 0;
            while ((why = doppel_run(vm, LIMIT)) == DOPPEL_BREAK) {
                const struct doppel_hit *h = doppel_last_hit(vm);
                EXPECT_EQ(h->icount, doppel_icount(vm));
                EXPECT_EQ(h->before, h->icount - 1);
                switch (h->point.kind) {
                case DOPPEL_POINT_WRITE:
                    EXPECT_EQ(reg(vm, 0, "rip"), LOAD);
                    EXPECT_EQ(h->at, DATA + 1);
                    EXPECT(h->write);
                    writes++;
                    break;
                case DOPPEL_POINT_READ:
                    EXPECT_EQ(reg(vm, 0, "rip"), AFTER_LOAD);
                    EXPECT_EQ(h->at, DATA + 4);
                    EXPECT(!h->write);
                    reads++;
                    break;
                default: /* iterations 8 and 9 of the REP */
                    EXPECT_EQ(reg(vm, 0, "rip"), REP);
                    EXPECT_EQ(reg(vm, 0, "rcx"), 64 - 8 - stos);
                    EXPECT_EQ(h->at, DATA + 0x107 + stos);
                    stos++;
                    break;
                }
            }
            EXPECT_EQ(why, DOPPEL_LIMIT);
            EXPECT(writes + 1 >= left && writes <= left);
            EXPECT(reads + 1 >= left && reads <= left);
            EXPECT_EQ(stos, 2);
            EXPECT_EQ(doppel_digest(vm), want);
            doppel_destroy(vm);
        }
    }
}

/* The demo under each engine, on one and four vCPUs, stopped all the time. */
TEST(the_demo_in_real_mode_leaves_no_trace)
{
    enum { DEMO = 150000 };
    for (unsigned e = 0; e < 3; e++) {
        for (unsigned cpus = 1; cpus <= 4; cpus += 3) {
            uint64_t want = undisturbed(NULL, 0, engines[e], cpus, DEMO);
            struct doppel_vm *vm = start(NULL, 0, engines[e], cpus);
            unsigned hits = 0;
            enum doppel_stop why = DOPPEL_BREAK;
            for (unsigned k = 0; k < 500 && why == DOPPEL_BREAK; k++) { /* to find addresses */
                why = doppel_step(vm, doppel_cpu_current(vm));
                if (k % 100 == 0) {
                    uint64_t lin = reg(vm, 0, "rip") + reg(vm, 0, "cs_base");
                    add(vm, DOPPEL_POINT_EXEC, false, (uint32_t)lin, 0);
                    add(vm, DOPPEL_POINT_ACCESS, false,
                        (uint32_t)(reg(vm, 0, "ss_base") + reg(vm, 0, "rsp")) - 4, 8);
                    add(vm, DOPPEL_POINT_WRITE, true, 0x400 + k, 16);
                }
            }
            for (; hits < 5000 && (why = doppel_run(vm, DEMO)) == DOPPEL_BREAK; hits++) {
            }
            doppel_break_clear(vm);
            EXPECT_EQ(doppel_run(vm, DEMO), DOPPEL_LIMIT);
            EXPECT_EQ(doppel_digest(vm), want);
            printf("# %s, %u vCPUs: %u hits\n", engines[e], cpus, hits);
            doppel_destroy(vm);
        }
    }
}

TEST(registers_and_memory)
{
    struct doppel_vm *vm = start(loop_code, sizeof loop_code, "interp", 1);
    add(vm, DOPPEL_POINT_EXEC, false, LOOP, 0);
    EXPECT_EQ(doppel_run(vm, LIMIT), DOPPEL_BREAK);
    EXPECT_EQ(reg(vm, 0, "rbx"), DATA);
    EXPECT(reg(vm, 0, "cr0") & 1);
    /* Each register keeps what it is given, or says no. */
    const char *name;
    unsigned bits;
    for (unsigned i = 0; (name = doppel_reg_name(i, &bits)) != NULL; i++) {
        uint8_t was[DOPPEL_REG_BYTES], v[DOPPEL_REG_BYTES] = {0}, now[DOPPEL_REG_BYTES];
        EXPECT(doppel_reg_get(vm, 0, i, was));
        EXPECT(doppel_reg_set(vm, 0, i, was));
        EXPECT(doppel_reg_get(vm, 0, i, now));
        EXPECT(memcmp(was, now, sizeof now) == 0);
        if (strncmp(name, "r", 1) == 0 || strncmp(name, "xmm", 3) == 0 ||
            strncmp(name, "ymm", 3) == 0 || strncmp(name, "st", 2) == 0) {
            for (unsigned k = 0; k < (strcmp(name, "rip") == 0 ? 2 : bits / 8); k++) {
                v[k] = (uint8_t)(i + 17 * k + 1);
            }
            EXPECT(doppel_reg_set(vm, 0, i, v));
            EXPECT(doppel_reg_get(vm, 0, i, now));
            EXPECT(memcmp(v, now, sizeof now) == 0);
            EXPECT(doppel_reg_set(vm, 0, i, was));
        }
    }
    uint8_t b[16] = {0}, back[16];
    EXPECT_EQ(doppel_memory_read(vm, 0, LOOP, b, 2), 2);
    EXPECT_EQ(b[0], 0xe8);
    for (unsigned k = 0; k < sizeof b; k++) {
        b[k] = (uint8_t)(3 * k);
    }
    EXPECT(doppel_memory_write(vm, 0, DATA + 0xff8, b, sizeof b)); /* over a page's end */
    EXPECT_EQ(doppel_memory_read(vm, DOPPEL_PHYSICAL, DATA + 0xff8, back, sizeof back), 16);
    EXPECT(memcmp(b, back, sizeof b) == 0);
    EXPECT_EQ(doppel_memory_read(vm, 0, (4u << 20) - 4, back, sizeof back), 4);
    EXPECT(!doppel_memory_write(vm, 0, (4u << 20) - 4, b, sizeof b));
    EXPECT_EQ(doppel_memory_read(vm, 0, 0xfee00000, back, 4), 0); /* a device's */
    /* Code that was run is changed: fn gets an "add edx, edx; ret" of its own. */
    static const uint8_t other[] = {0x01, 0xd2, 0xc3};
    EXPECT(doppel_memory_write(vm, 0, FN, other, sizeof other));
    uint8_t three[DOPPEL_REG_BYTES] = {3};
    EXPECT(doppel_reg_set(vm, 0, (unsigned)doppel_reg_find("rdx"), three));
    EXPECT_EQ(doppel_run(vm, LIMIT), DOPPEL_BREAK);
    EXPECT_EQ(reg(vm, 0, "rdx"), 6);
    doppel_destroy(vm);
}

TEST(bad_points_are_refused)
{
    struct doppel_vm *vm = start(loop_code, sizeof loop_code, "interp", 1);
    struct doppel_error e;
    struct doppel_point p[] = {{DOPPEL_POINT_STEP, false, 0, 1},
                               {DOPPEL_POINT_WRITE, false, 0, 0},
                               {DOPPEL_POINT_WRITE, false, 0, (1u << 20) + 1},
                               {DOPPEL_POINT_READ, false, UINT64_MAX, 2}};
    for (unsigned k = 0; k < ARRAY_LEN(p); k++) {
        EXPECT(!doppel_break_add(vm, &p[k], &e));
    }
    EXPECT_EQ(doppel_run(vm, 1000), DOPPEL_LIMIT);
    doppel_destroy(vm);
}
