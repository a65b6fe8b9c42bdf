/*
 * What compiled code has done by C in its midst (cpu/quick.c): IN, OUT, PAUSE, loads of segment
 * registers; and PUSHF and POPF between them. Random programs of these, in ring 0, interpreted and
 * compiled, in slices: the device and PAUSE see the time, some writes ask for attention, some
 * descriptors are not flat or not accessed yet.
 */
#include <string.h>

#include "tests/lib/bare.h"
#include "tests/t.h"
#include "util/bits.h"

enum { CODE = 0x8000, GDT = 0x9000, MEMORY = 0x20000 };

static uint64_t state;

static unsigned below(unsigned n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 20) % n;
}

/* ---- the device: the vCPU itself ---- */

static uint64_t port_read(struct dev *d, uint64_t off, unsigned size)
{
    (void)size;
    return cpu_elapsed(d) * 0x10001 + off;
}

static void port_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    struct cpu *cpu = (struct cpu *)(void *)d;
    uint32_t *sum = &cpu->s.msr[0].tsc_aux;
    *sum = *sum * 31 + (uint32_t)(val + off + size + cpu_elapsed(d));
    if (*sum % 5 == 0) {
        cpu_kick(cpu);
    }
}

static bool paused(void *ctx)
{
    return cpu_elapsed(ctx) % 3 != 0;
}

static const struct io_ops ops = {.read = port_read, .write = port_write};

/* ---- programs ---- */

struct text {
    uint8_t p[600];
    unsigned n;
};

static void put(struct text *t, const char *bytes, unsigned n)
{
    memcpy(t->p + t->n, bytes, n);
    t->n += n;
}

static void byte(struct text *t, unsigned v)
{
    t->p[t->n++] = (uint8_t)v;
}

static void port_insn(struct text *t)
{
    if (below(3) == 0) {
        byte(t, 0x66);
    }
    byte(t, (below(2) ? 0xec : 0xe4) | below(4));
    if (t->p[t->n - 1] < 0xe8) {
        byte(t, 0x80 + below(12));
    }
}

/* Selectors of the table below; 0 and 3 are null. */
static unsigned selector(void)
{
    static const uint8_t sel[] = {0, 3, 0x18, 0x18, 0x18, 0x1b, 0x20, 0x28, 0x30, 0x33};
    return sel[below(sizeof sel)];
}

static void segment(struct text *t, bool wide)
{
    static const char *const pairs[] = {"\x0f\xa0\x0f\xa9", "\x0f\xa8\x0f\xa1", "\x0f\xa0\x0f\xa1"};
    static const uint8_t to[] = {0xd8, 0xc0, 0xe0, 0xe8};
    unsigned k = below(8);
    if (k == 0) {
        put(t, pairs[below(3)], 4);
    } else if (k == 1 && !wide) {
        put(t, below(2) ? "\x1e\x07" : "\x06\x1f", 2);
    } else { /* MOV EAX, selector; with 6A: PUSH it and POP FS */
        byte(t, k == 2 ? 0x6a : 0xb8);
        byte(t, selector());
        if (k == 2) {
            put(t, "\x0f\xa1", 2);
            return;
        }
        put(t, "\0\0\0\x8e", 4);
        byte(t, to[below(4)]);
    }
}

static void one(struct text *t, bool wide)
{
    switch (below(7)) {
    case 0:
        put(t, "\xf3\x90", 2);
        break;
    case 1:
        put(t, "\x01\xc3\x83\xd1\x00", 5); /* ADD EBX, EAX; ADC ECX, 0 */
        break;
    case 2:
        put(t, "\x9c\x5d", 2); /* PUSHF; POP rBP */
        break;
    case 3:
        put(t, "\x83\xcd\x02\x55\x9d", 5); /* OR EBP, 2; PUSH rBP; POPF */
        break;
    case 4:
    case 5:
        port_insn(t);
        break;
    default:
        segment(t, wide);
        break;
    }
}

static void start(struct bare *b, const struct text *t, unsigned bits)
{
    static const uint64_t table[] = {
        0,
        0,
        0,
        UINT64_C(0x00cf93000000ffff), /* flat */
        UINT64_C(0x00cf92000000ffff), /* not accessed */
        UINT64_C(0x00cf93001000ffff), /* base 1000 */
        UINT64_C(0x00cff3000000ffff), /* DPL 3 */
    };
    uint8_t le[8];
    for (unsigned k = 0; k < ARRAY_LEN(table); k++) {
        le64_put(le, table[k]);
        ram_write(&b->ram, GDT + 8 * k, le, 8);
    }
    ram_write(&b->ram, CODE, t->p, t->n);
    aspace_map_io(&b->io, 0x80, 12, &ops, &b->cpu->dev, "ports", 0);
    bare_mode(b, bits, 0);
    struct cpu *c = b->cpu;
    c->s.gdt_base = GDT;
    c->s.gdt_limit = 0x37;
    c->yields = true;
    c->paused = paused;
    c->paused_ctx = c;
    c->s.rip = CODE;
    c->s.rflags = 2;
    c->s.gpr[REG_RDX] = 0x80;
    c->s.gpr[REG_RSP] = 0x7000;
    c->s.gpr[REG_RBP] = 2;
    cpu_restored(c);
}

TEST(quick_instructions_are_the_same_compiled)
{
    unsigned rounds = (unsigned)t_amount(400, 3000, 40000);
    for (unsigned k = 0; k < rounds; k++) {
        unsigned bits = k % 2 ? 64 : 32, insns = 3 + k % 30;
        struct text t = {.n = 0};
        state = 0x9e3779b97f4a7c15 * (k + 1);
        for (unsigned j = 0; j < insns; j++) {
            one(&t, bits == 64);
        }
        byte(&t, 0xe9);
        uint8_t back[4];
        le32_put(back, 0u - (t.n + 4));
        put(&t, (const char *)back, 4);
        struct bare *b = bare_new("", MEMORY), *j = bare_new("", MEMORY);
        if (!j->engine) {
            bare_engine(j, &(struct engine_options){
                               .jit = k % 5 != 0, .lockstep = k % 5 == 0, .threshold = 1 + k % 2});
        }
        start(b, &t, bits);
        start(j, &t, bits);
        t_context("program %u", k);
        for (unsigned run = 0; run < 8; run++) {
            unsigned units = below(2) ? 300 + below(900) : 1 + below(60);
            bare_run(b, units, 0);
            bare_run(j, units, 0);
            EXPECT_EQ(bare_digest(j), bare_digest(b));
        }
        bare_free(b);
        bare_free(j);
    }
}
