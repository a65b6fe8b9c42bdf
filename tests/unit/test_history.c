/*
 * A search backwards leaves out intervals in which a linear page was not written (vm/history.h).
 * What it finds is what a search finds that runs them all, in random programs: paging on and off,
 * address spaces and large pages in which a page has several addresses, accesses of all sizes that
 * straddle, strings, stacks, pages with code, one vCPU and three.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doppel.h"
#include "tests/lib/kernel.h"
#include "tests/t.h"
#include "util/bits.h"
#include "vm/history_priv.h"
#include "vm/vm.h"

/* Physical addresses. The data's pages are seen there (SAME; all of it one 4 MiB page), at SMALL by
 * 4 KiB pages in an order that differs between the two address spaces, and at LARGE + DATA. */
enum {
    TRAMPOLINE = 0x8000,
    STACKS = 0x100c00,
    DATA = 0x240000,
    PAGES = 16,
    TABLES = 0x200000, /* directory 0, directory 1, table 0, table 1 */
    PROGRAM = 0x300000,
    PROGRAM_AP = 0x320000,
    SMALL = 0x40000000,
    LARGE = 0x40400000,
};
#define RAM UINT64_C(0x800000)

struct program {
    uint8_t code[16384];
    size_t n, at;   /* `at`: where it will be */
    size_t pad[64]; /* places for data amid the code */
    unsigned npads;
    bool paged;
    struct t_rng rng;
};

static uint32_t below(struct program *p, uint32_t n)
{
    return (uint32_t)(t_rand(&p->rng) % n);
}

static void put(struct program *p, size_t len, uint64_t bytes)
{
    EXPECT(p->n + len <= sizeof p->code);
    for (size_t i = 0; i < len; i++) {
        p->code[p->n++] = (uint8_t)(bytes >> (8 * i));
    }
}

static void put32(struct program *p, size_t len, uint64_t op, uint32_t imm)
{
    put(p, len, op);
    put(p, 4, imm);
}

static void store32(struct program *p, uint32_t at, uint32_t val)
{
    put32(p, 2, 0x05c7, at);
    put(p, 4, val);
}

static uint32_t base(struct program *p)
{
    static const uint32_t bases[] = {DATA, SMALL, LARGE + DATA};
    return bases[p->paged ? below(p, 3) : 0];
}

/* Somewhere in the data, by any of its addresses; most often in few of the pages. Behind it are at
 * least `room` bytes of it. */
static uint32_t place(struct program *p, uint32_t room)
{
    uint32_t pages = below(p, 8) ? 4 : PAGES, end = pages * (uint32_t)PAGE_SIZE;
    uint32_t at = below(p, 3) ? below(p, end) : (below(p, pages) + 1) * (uint32_t)PAGE_SIZE - 3;
    return base(p) + (at + room <= PAGES * PAGE_SIZE ? at : at - room);
}

/* Directories and tables; CR4.PSE and OSFXSR. */
static void put_tables(struct program *p)
{
    static const uint8_t zero[] = {0xbf, 0x00, 0x00, 0x20, 0x00, 0xb9, 0x00,
                                   0x10, 0x00, 0x00, 0x31, 0xc0, 0xf3, 0xab}; /* rep stosd */
    for (unsigned i = 0; i < sizeof zero; i++) {
        put(p, 1, zero[i]);
    }
    for (uint32_t space = 0; space < 2; space++) {
        uint32_t dir = TABLES + space * 0x1000, table = TABLES + 0x2000 + space * 0x1000;
        store32(p, dir, 0x83);
        store32(p, dir + (SMALL >> 22) * 4, table | 3);
        store32(p, dir + (LARGE >> 22) * 4, 0x83);
        for (uint32_t i = 0; i < PAGES; i++) {
            uint32_t to = space ? PAGES - 1 - i : i ^ 5;
            store32(p, table + i * 4, (DATA + to * (uint32_t)PAGE_SIZE) | 3);
        }
    }
    put32(p, 1, 0xb8, 0x210); /* mov eax */
    put(p, 3, 0xe0220f);      /* mov cr4, eax */
}

static void put_cr3(struct program *p)
{
    put32(p, 1, 0xb8, TABLES + below(p, 2) * 0x1000);
    put(p, 3, 0xd8220f);
}

static void put_paging(struct program *p, bool on)
{
    put(p, 3, 0xc0200f);                                     /* mov eax, cr0 */
    put32(p, 1, on ? 0x0d : 0x25, on ? 1u << 31 : ~0u >> 1); /* or, and */
    put(p, 3, 0xc0220f);
    p->paged = on;
}

static void put_loop(struct program *p)
{
    uint32_t n = 5 + below(p, 60);
    put32(p, 1, 0xbf, place(p, 4 * n + 8)); /* mov edi */
    put32(p, 1, 0xb9, n);                   /* mov ecx */
    put(p, 6, 0xfa75498f0c89);              /* 1: mov [edi+4*ecx], ecx; dec ecx; jnz 1b */
}

static void put_string(struct program *p)
{
    uint32_t n = 1 + below(p, below(p, 4) ? 40 : 6000);
    put32(p, 1, 0xbe, place(p, n)); /* mov esi */
    put32(p, 1, 0xbf, place(p, n));
    put32(p, 1, 0xb9, n);
    put(p, 2, below(p, 2) ? 0xaaf3 : 0xa4f3); /* rep stosb, rep movsb */
}

static void put_stack(struct program *p)
{
    put32(p, 1, 0xbc, place(p, 64) + 64); /* mov esp */
    put(p, 2, 0x5060);                    /* pusha, push eax */
    put(p, 5, 0xe8);                      /* call +0 */
}

static uint32_t pad(struct program *p)
{
    return (uint32_t)p->pad[below(p, p->npads)] + (p->paged && below(p, 2) ? LARGE : 0);
}

/* Into the page that runs: four bytes of data that are jumped over. */
static void put_pad(struct program *p)
{
    if (p->npads < ARRAY_LEN(p->pad) && below(p, 2)) {
        p->pad[p->npads++] = p->at + p->n + 2;
        put(p, 6, 0x04eb);
    } else if (p->npads) {
        store32(p, pad(p), 0x11111111);
        put32(p, 1, 0xa1, pad(p)); /* mov eax, []: L1 has the page, but not for writes */
        store32(p, pad(p), 0x22222222);
    }
}

static void put_something(struct program *p)
{
    switch (below(p, 15)) {
    case 0:
        put32(p, 2, 0x05c6, place(p, 1)); /* mov byte */
        put(p, 1, 0x5a);
        break;
    case 1:
        put32(p, 3, 0x05c766, place(p, 2)); /* mov word */
        put(p, 2, 0xa5a5);
        break;
    case 2:
        store32(p, place(p, 4), 0x12345678);
        break;
    case 3:
        put32(p, 2, 0x0583, place(p, 4)); /* add dword, imm8 */
        put(p, 1, 3);
        break;
    case 4:
        put32(p, 4, 0x05c10ff0, place(p, 4)); /* lock xadd [], eax */
        break;
    case 5:
        put32(p, 4, 0x1dddebd9, place(p, 8)); /* fldpi; fstp qword [] */
        break;
    case 6:
        put32(p, 3, 0x05110f, place(p, 16)); /* movups [], xmm0 */
        break;
    case 7:
        put32(p, 1, 0xa1, place(p, 4)); /* mov eax, [] */
        break;
    case 8:
        put32(p, 3, 0x3d010f, place(p, 1)); /* invlpg */
        break;
    case 9:
        put_string(p);
        break;
    case 10:
        put_stack(p);
        break;
    case 11:
        put_pad(p);
        break;
    case 12:
        if (p->paged) {
            put_cr3(p);
        }
        break;
    default:
        put_loop(p);
        break;
    }
}

static void put_body(struct program *p)
{
    put(p, 2, 0xe3db); /* fninit */
    size_t top = p->n;
    for (unsigned part = 0; part < 4; part++) {
        put_cr3(p);
        put_paging(p, part != 0);
        for (unsigned i = 0; i < 60; i++) {
            put_something(p);
        }
    }
    put32(p, 1, 0xe9, (uint32_t)(top - (p->n + 5)));
}

static void program_write(struct doppel_vm *vm, struct program *p)
{
    EXPECT(doppel_memory_write(vm, DOPPEL_PHYSICAL, p->at, p->code, p->n));
}

/* Real mode, to 32-bit protected mode and PROGRAM_AP. */
static void write_trampoline(struct doppel_vm *vm)
{
    struct program t = {.at = TRAMPOLINE};
    put(&t, 1, 0xfa);           /* cli */
    put(&t, 6, 0x004016010f2e); /* lgdt cs:[0x40] */
    put(&t, 3, 0xc0200f);       /* mov eax, cr0 */
    put(&t, 2, 0x010c);         /* or al, 1 */
    put(&t, 3, 0xc0220f);       /* mov cr0, eax */
    put32(&t, 2, 0xea66, PROGRAM_AP);
    put(&t, 2, 8);
    t.n = 0x40;
    put(&t, 2, 23);
    put(&t, 4, TRAMPOLINE + 0x50);
    t.n = 0x58;
    put(&t, 8, 0x00cf9a000000ffff);
    put(&t, 8, 0x00cf92000000ffff);
    program_write(vm, &t);
}

static struct doppel_vm *start(uint64_t seed, const char *engine, unsigned cpus)
{
    struct doppel_options o;
    struct doppel_error e;
    struct program p = {.at = PROGRAM, .rng = {seed}}, ap = {.at = PROGRAM_AP, .rng = {seed + 99}};
    uint8_t jump[5] = {0xe9};
    le32_put(jump + 1, PROGRAM - KERNEL_ENTRY - 5);
    char *path = kernel_make(NULL, jump, sizeof jump);
    doppel_options_init(&o, DOPPEL_ABI);
    o.rtc_epoch = 1700000000;
    o.seed = 7;
    o.ram_bytes = RAM;
    o.engine = engine;
    o.cpus = cpus;
    o.kernel = path;
    struct doppel_vm *vm = doppel_create(&o, &e);
    if (!vm) {
        FAIL("%s", e.msg);
        exit(1);
    }
    put_tables(&p);
    store32(&p, 0xfee00300, 0xc4500);                       /* INIT to all others */
    store32(&p, 0xfee00300, 0xc4600 | TRAMPOLINE / 0x1000); /* SIPI */
    put_body(&p);
    put(&ap, 4, 0x0010b866);     /* mov ax, 16 */
    put(&ap, 6, 0xd08ec08ed88e); /* mov ds, es, ss */
    put32(&ap, 1, 0xb8, 0x210);
    put(&ap, 3, 0xe0220f);
    put_body(&ap);
    program_write(vm, &p);
    program_write(vm, &ap);
    write_trampoline(vm);
    unlink(path);
    free(path);
    return vm;
}

enum { HITS = 3 };

struct hits {
    uint64_t icount[HITS], at[HITS];
    unsigned cpu[HITS], n;
};

static struct hits find(struct doppel_vm *vm, bool brute, uint64_t from, size_t *looked)
{
    struct hits h;
    struct doppel_error e;
    memset(&h, 0, sizeof h);
    vm->history->brute = brute;
    EXPECT(doppel_goto(vm, from, &e));
    for (*looked = 0; h.n < HITS && doppel_reverse_continue(vm) == DOPPEL_BREAK; h.n++) {
        h.icount[h.n] = doppel_icount(vm);
        h.at[h.n] = doppel_last_hit(vm)->at;
        h.cpu[h.n] = doppel_last_hit(vm)->cpu;
        *looked += vm->history->looked;
    }
    *looked += vm->history->looked;
    return h;
}

/* One search with all intervals, one without those in which nothing can be. */
static struct hits both_ways(struct doppel_vm *vm, struct program *p, uint64_t end,
                             size_t looked[2])
{
    struct doppel_error e;
    static const uint32_t elsewhere[] = {STACKS, PROGRAM, PROGRAM_AP, TABLES};
    p->paged = true;
    uint32_t at = below(p, 3) ? place(p, 8)
                              : elsewhere[below(p, 4)] + below(p, 8192) + (below(p, 2) ? LARGE : 0);
    struct doppel_point point = {DOPPEL_POINT_WRITE, false, at,
                                 below(p, 9) ? 1 + below(p, 4) : 1 + below(p, 9000)};
    size_t n[2];
    t_context("%u bytes at %#x", (unsigned)point.length, at);
    EXPECT(doppel_break_add(vm, &point, &e));
    struct hits all = find(vm, true, end, &n[0]), some = find(vm, false, end, &n[1]);
    EXPECT_MEM(&all, &some, sizeof all);
    EXPECT(n[1] <= n[0]);
    looked[0] += n[0];
    looked[1] += n[1];
    EXPECT(doppel_break_remove(vm, &point));
    return all;
}

static void run_on(struct doppel_vm *vm, uint64_t n)
{
    for (uint64_t end = doppel_icount(vm) + n; doppel_icount(vm) < end;) {
        /* checkpoints come between runs */
        EXPECT_EQ(doppel_run(vm, doppel_icount(vm) + 600), DOPPEL_LIMIT);
    }
}

static uint64_t search(struct doppel_vm *vm, struct program *draw, size_t looked[2])
{
    uint64_t sum = 0;
    uint64_t end = doppel_icount(vm);
    struct doppel_error e;
    for (unsigned i = 0; i < 8; i++) {
        uint64_t from = below(draw, 3) ? end : end - below(draw, 20000);
        struct hits h = both_ways(vm, draw, from, looked);
        sum = st_digest_bytes(sum, &h, sizeof h);
    }
    EXPECT(doppel_goto(vm, end, &e));
    return sum;
}

/* Every second one has so little memory that intervals are put together. The sum of all hits. */
static uint64_t random_programs(const char *engine, unsigned cpus)
{
    struct doppel_error e;
    size_t looked[2] = {0, 0};
    uint64_t sum = 0;
    for (uint64_t seed = 1; seed <= t_amount(2, 4, 40); seed++) {
        struct doppel_vm *vm = start(t_seed() * 1000 + seed, engine, cpus);
        struct program draw = {.rng = {seed}};
        EXPECT(doppel_history(vm, UINT64_C(1) * (seed % 2 ? 64 : 4) << 20, &e));
        history_set_interval(vm, 2500);
        history_set_workers(vm, 1);
        run_on(vm, 60000);
        EXPECT(seed % 2 ? vm->history->points.n > 20 : vm->history->points.n > 5);
        EXPECT(cpus == 1 || vm->ran[1]);
        sum ^= search(vm, &draw, looked);
        EXPECT(doppel_goto(vm, doppel_icount(vm) - below(&draw, 20000) - 1, &e));
        EXPECT(doppel_branch(vm, &e)); /* what is written goes on where the past was left */
        run_on(vm, below(&draw, 5000));
        sum ^= search(vm, &draw, looked) * 3;
        doppel_destroy(vm);
    }
    EXPECT(looked[1] < looked[0] * 3 / 4);
    return sum;
}

TEST(page_sets)
{
    struct page_set s = {.slot = NULL}, t = {.slot = NULL};
    EXPECT(!page_set_has(&s, 0));
    for (uint64_t k = 0; k < 3000; k++) {
        page_set_add(&s, k * k);
        page_set_add(&t, UINT64_MAX >> (k % 60 + 1));
    }
    for (uint64_t k = 0; k < 3000; k++) {
        EXPECT(page_set_has(&s, k * k));
    }
    EXPECT(!page_set_has(&s, 2) && !page_set_has(&t, 2));
    EXPECT_EQ(s.n, 3000);
    EXPECT_EQ(t.n, 60);
    page_set_join(&s, &t);
    EXPECT(page_set_has(&s, UINT64_MAX >> 1) && page_set_has(&s, 2999 * 2999));
    EXPECT(page_set_bytes(&s) >= 6000 * sizeof(uint64_t));
    for (uint64_t k = 0; k <= PAGE_SET_MAX; k++) {
        page_set_add(&t, 5 * k);
    }
    EXPECT(t.every && page_set_has(&t, 2)); // too many: perhaps all
    EXPECT_EQ(page_set_bytes(&t), 0);
    page_set_join(&s, &t);
    EXPECT(s.every && page_set_has(&s, 2));
    page_set_free(&s);
    page_set_free(&t);
    EXPECT(!page_set_has(&s, 2));
}

TEST(a_filtered_search_finds_what_a_full_one_finds)
{
    EXPECT_EQ(random_programs("interp", 1), random_programs("jit,threshold=1", 1));
}

TEST(a_filtered_search_finds_what_a_full_one_finds_three_cpus)
{
    EXPECT_EQ(random_programs("interp", 3), random_programs("jit", 3));
}
