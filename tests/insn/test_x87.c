/*
 * x87 instructions as a whole, against the host's FPU on x86-64: every row of cpu/insn_x87.def,
 * register and memory forms, over random register stacks, tags, control and status words.
 * Registers, tags, status word with condition codes and C1, memory, EFLAGS and AX are compared;
 * instruction and data pointers are not, since processors differ there (see cpu/x87.c).
 *
 * Of transcendentals only the special results and the exceptions are compared here; their
 * accuracy is tests/unit/test_fp_transcendental.c's.
 */
#include <string.h>

#include "cpu/flags.h"
#include "cpu/fp/fp.h"
#include "tests/lib/bare.h"
#include "tests/t.h"
#include "tests/unit/fp_gen.h"

/* Each instruction has a place of its own, so that code never changes. */
enum { DATA = 0x2000, DATA_BYTES = 128, CODE = 0x10000, CODE_STEP = 32 };

/* What goes in and what comes out, of host and doppel alike. */
struct image {
    uint16_t cw, sw;
    uint8_t empty; /* by physical register */
    struct f80 st[8];
    uint8_t mem[DATA_BYTES];
    uint64_t rax, rflags;
};

struct scene {
    const struct insn_row *row;
    uint8_t code[2];
    struct image before;
};

static bool is_transcendental(const struct scene *s)
{
    uint8_t op = s->code[0], m = s->code[1];
    return op == 0xd9 && ((m >= 0xf0 && m <= 0xf3) || m == 0xf9 || m == 0xfb || m >= 0xfe);
}

/* Does the host's CPU tell what doppel's default model does here? */
static bool comparable(const struct insn_row *r)
{
    return r->map == MAP_1B && ((r->op >= 0xd8 && r->op <= 0xdf) || r->op == 0x9b) &&
           strcmp(r->name, "esc") != 0;
}

static void put_f80(uint8_t *p, struct f80 v)
{
    le_put(p, 8, v.m);
    le_put(p + 8, 2, v.se);
}

/* A memory operand: an image of an environment where one is loaded, else a number of some kind. */
static void generate_mem(struct t_rng *rng, struct scene *s)
{
    uint8_t *m = s->before.mem;

    for (unsigned n = 0; n < DATA_BYTES; n++) {
        m[n] = (uint8_t)t_rand(rng);
    }
    switch (t_rand_below(rng, 5)) {
    case 0:
        le_put(m, 4, fp_gen(rng, 24, 8, t_rand(rng)));
        break;
    case 1:
        le_put(m, 8, fp_gen(rng, 53, 11, t_rand(rng)));
        break;
    case 2:
        put_f80(m, fp_gen_f80(rng, s->before.st[0]));
        break;
    case 3:
        le_put(m, 8, fp_gen_pattern(rng));
        break;
    default:
        for (unsigned n = 0; n < 10; n++) {
            m[n] = fp_gen_bcd(rng);
        }
        break;
    }
    if (!strcmp(s->row->name, "fldenv") || !strcmp(s->row->name, "frstor")) {
        le_put(m + 4, 2, le_get(m + 4, 2) & ~(uint64_t)0x80ff); /* nothing pending */
    }
    if (!strcmp(s->row->name, "fbld")) { /* valid digits only; others are undefined */
        for (unsigned n = 0; n < 10; n++) {
            m[n] = fp_gen_bcd(rng);
        }
    }
    if (!strcmp(s->row->name, "fldcw")) {
        le_put(m, 2, t_rand(rng) | FP_ALL_FLAGS);
    }
}

static void generate(struct t_rng *rng, struct scene *s)
{
    struct image *b = &s->before;
    const struct insn_row *r = s->row;
    uint64_t x = t_rand(rng);

    s->code[0] = r->op;
    if (r->reg >= 0xc0 && r->reg <= 0xff) {
        s->code[1] = (uint8_t)r->reg;
    } else {
        s->code[1] = (uint8_t)(r->reg << 3 | (r->attr & A_MEM ? 6 : 0xc0 | (x & 7)));
    }
    b->cw = (uint16_t)(0x40 | (x >> 8 & 0xf) << 8 | (x >> 16 & 1 ? 0x3f : x >> 20 & 0x3f));
    if ((b->cw & 0x300) == 0x100) {
        b->cw ^= 0x100;
    }
    b->sw = (uint16_t)((x >> 32 & 0x7f40) | (x >> 48 & b->cw & 0x3f));
    b->empty = (uint8_t)(t_rand(rng) & 1 ? 0 : t_rand(rng));
    if (t_rand(rng) & 1) {
        b->empty |= (uint8_t)(1u << ((b->sw >> 11 & 7) + 7) % 8); /* room for a push */
    }
    b->st[0] = fp_gen_f80(rng, F80_ONE);
    for (unsigned n = 1; n < 8; n++) {
        b->st[n] = fp_gen_f80(rng, b->st[0]);
    }
    generate_mem(rng, s);
    b->rax = 0xa5a5a5a5;
    b->rflags = 2 | (t_rand(rng) & FL_ARITH);
}

/* ---- doppel ---- */

static unsigned code_place(const uint8_t code[2])
{
    return CODE + CODE_STEP * (code[0] == 0x9b ? 2048u : (code[0] - 0xd8u) * 256 + code[1]);
}

static void place_code(struct bare *m)
{
    for (unsigned op = 0; op <= 2048; op++) {
        unsigned at = CODE + CODE_STEP * op;
        uint8_t *p = ram_write_ptr(&m->ram, at >> 12) + (at & 0xfff);
        p[0] = (uint8_t)(op == 2048 ? 0x9b : 0xd8 + op / 256);
        p[1] = (uint8_t)(op == 2048 ? 0x90 : op);
        p[2] = 0xf4;
    }
}

static void run_doppel(struct bare *m, const struct scene *s, struct image *out)
{
    struct cpu *cpu = m->cpu;
    struct x87 *f = &cpu->s.fpu[0];

    memcpy(ram_write_ptr(&m->ram, DATA >> 12), s->before.mem, DATA_BYTES);
    f->cw = s->before.cw;
    f->sw = s->before.sw;
    f->empty = s->before.empty;
    for (unsigned n = 0; n < 8; n++) {
        unsigned r = (n + (f->sw >> 11)) & 7;
        f->m[r] = s->before.st[n].m;
        f->se[r] = s->before.st[n].se;
    }
    cpu->s.gpr[REG_RAX] = s->before.rax;
    cpu->s.gpr[REG_RSI] = DATA;
    cpu->s.rflags = s->before.rflags;
    cpu->s.activity = CPU_RUNNING; /* an undefined opcode shuts down: there is no IDT */
    cpu->s.rip = code_place(s->code);
    flags_set_arith(cpu, s->before.rflags);
    bare_run(m, 2, 0); /* with its HLT, so that the block fits the budget and may be compiled */
    cpu_sync(cpu);
    out->cw = f->cw;
    out->sw = f->sw;
    out->empty = f->empty;
    for (unsigned n = 0; n < 8; n++) {
        unsigned r = (n + (f->sw >> 11)) & 7;
        out->st[n] = (struct f80){f->m[r], f->se[r]};
    }
    memcpy(out->mem, ram_write_ptr(&m->ram, DATA >> 12), DATA_BYTES);
    out->rax = cpu->s.gpr[REG_RAX];
    out->rflags = cpu->s.rflags;
}

/* ---- the host ---- */

#if defined(__x86_64__)
#include <sys/mman.h>

/* FXSAVE images, then RAX and RFLAGS; the code below addresses it by RDI. */
struct host_area {
    uint8_t in[512], out[512];
    uint64_t rax, rflags;
};

typedef void host_fn(struct host_area *a, void *mem, uint64_t rflags);

static void *make_code(void)
{
    void *p =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static void put_code(uint8_t *p, const uint8_t insn[2], unsigned len)
{
    static const uint8_t head[] = {0x48, 0x0f, 0xae, 0x0f, /* fxrstor64 [rdi] */
                                   0x52, 0x9d,             /* push rdx; popfq */
                                   0xb8, 0xa5, 0xa5, 0xa5, 0xa5,
                                   /* mov eax, 0xa5a5a5a5 */};
    static const uint8_t tail[] = {0x48, 0x0f, 0xae, 0x87, 0, 2, 0, 0, /* fxsave64 [rdi+512] */
                                   0x9c, 0x5a,                         /* pushfq; pop rdx */
                                   0xdb, 0xe3,                         /* fninit */
                                   0x48, 0x89, 0x87, 0,    4, 0, 0,    /* mov [rdi+1024], rax */
                                   0x48, 0x89, 0x97, 8,    4, 0, 0,    /* mov [rdi+1032], rdx */
                                   0xfc, 0xc3};
    memcpy(p, head, sizeof head);
    memcpy(p + sizeof head, insn, len);
    memcpy(p + sizeof head + len, tail, sizeof tail);
}

static void run_host(uint8_t *code, const struct scene *s, struct image *out)
{
    static _Alignas(64) struct host_area a;
    static _Alignas(64) uint8_t mem[DATA_BYTES];
    host_fn *fn;
    uint8_t valid = (uint8_t)~s->before.empty;

    memset(&a, 0, sizeof a);
    memcpy(mem, s->before.mem, DATA_BYTES);
    memcpy(a.in, &s->before.cw, 2);
    memcpy(a.in + 2, &s->before.sw, 2);
    a.in[4] = valid;
    le_put(a.in + 24, 4, 0x1f80);
    for (unsigned n = 0; n < 8; n++) {
        put_f80(a.in + 32 + 16 * n, s->before.st[n]);
    }
    put_code(code, s->code, s->code[0] == 0x9b ? 1 : 2);
    memcpy(&fn, &(void *){code}, sizeof fn);
    fn(&a, mem, s->before.rflags);
    out->cw = (uint16_t)le_get(a.out, 2);
    out->sw = (uint16_t)le_get(a.out + 2, 2);
    out->empty = (uint8_t)~a.out[4];
    for (unsigned n = 0; n < 8; n++) {
        out->st[n] =
            (struct f80){le_get(a.out + 32 + 16 * n, 8), (uint16_t)le_get(a.out + 40 + 16 * n, 2)};
    }
    memcpy(out->mem, mem, DATA_BYTES);
    out->rax = a.rax;
    out->rflags = a.rflags;
}

static bool same_f80(struct f80 a, struct f80 b)
{
    return a.m == b.m && a.se == b.se;
}

/* A finite nonzero result of a transcendental is not compared. */
static bool is_number(struct f80 v)
{
    return (v.se & 0x7fff) != 0x7fff && v.m != 0;
}

static const char *difference(const struct scene *s, const struct image *h, const struct image *d)
{
    unsigned sw_mask = 0xffff;
    bool inexact = is_transcendental(s);

    if (inexact) {
        sw_mask = 0xffff & ~(unsigned)(FP_PE | FP_UE | 0x200 | 0x8080);
    }
    bool fcomi = strstr(s->row->name, "comi") != NULL;
    if (fcomi) { /* see cpu/x87_arith.c: SDM and AMD differ */
        sw_mask &= ~0x200u;
    }
    if (h->cw != d->cw) {
        return "control word";
    }
    if ((h->sw ^ d->sw) & sw_mask) {
        return "status word";
    }
    if (h->empty != d->empty) {
        return "tags";
    }
    for (unsigned n = 0; n < 8; n++) {
        bool skip = inexact && n < 2 && is_number(h->st[n]) && is_number(d->st[n]);
        if (!skip && !same_f80(h->st[n], d->st[n])) {
            return "registers";
        }
    }
    bool env = !strcmp(s->row->name, "fnstenv") || !strcmp(s->row->name, "fnsave");
    for (unsigned n = 0; n < DATA_BYTES; n++) {
        if (h->mem[n] != d->mem[n] && !(env && n >= 12 && n < 28)) {
            return "memory";
        }
    }
    if (h->rax != d->rax) {
        return "AX";
    }
    if (fcomi && (d->sw & ~d->cw & FP_IE)) {
        return d->rflags == s->before.rflags ? NULL : "EFLAGS";
    }
    return (h->rflags ^ d->rflags) & FL_ARITH ? "EFLAGS" : NULL;
}

static void show(const char *who, const struct image *x)
{
    char text[400];
    int at = 0;
    for (unsigned n = 0; n < 8; n++) {
        at += snprintf(text + at, sizeof text - (size_t)at, " %04x:%016llx", x->st[n].se,
                       (unsigned long long)x->st[n].m);
    }
    printf("    %-6s cw %04x sw %04x empty %02x%s mem %016llx %016llx rax %llx fl %llx\n", who,
           x->cw, x->sw, x->empty, text, (unsigned long long)le_get(x->mem, 8),
           (unsigned long long)le_get(x->mem + 8, 8), (unsigned long long)x->rax,
           (unsigned long long)x->rflags);
}

/* Operands for which the manual leaves the result undefined. */
static bool undefined(const struct scene *s)
{
    uint16_t exp = s->before.st[0].se & 0x7fff;
    if (s->code[0] != 0xd9) {
        return false;
    }
    if (s->code[1] == 0xf0) { /* F2XM1 outside [-1, 1] */
        return exp >= 0x3fff && exp != 0x7fff;
    }
    return s->code[1] == 0xf9 && exp >= 0x3ffd && exp != 0x7fff; /* FYL2XP1 */
}
#endif

TEST(x87_like_host)
{
#if defined(__x86_64__)
    uint8_t *code = make_code();
    struct bare *m = bare_new("", 0x40000);
    unsigned long passed = 0, failed = 0;
    uint64_t cases = t_amount(1000, 30000, 1000000);

    if (!EXPECT(code != NULL)) {
        return;
    }
    bare_mode(m, 64, 0);
    place_code(m);
    for (unsigned k = 0; k < insn_row_count; k++) {
        struct t_rng rng = {t_seed() + k * 7919};
        unsigned bad = 0;
        if (!comparable(&insn_rows[k])) {
            continue;
        }
        for (uint64_t n = 0; n < cases && bad < 2; n++) {
            struct scene s = {.row = &insn_rows[k]};
            struct image host, ours;
            generate(&rng, &s);
            if (undefined(&s)) {
                continue;
            }
            run_host(code, &s, &host);
            run_doppel(m, &s, &ours);
            const char *what = difference(&s, &host, &ours);
            if (what) {
                FAIL("%s (%02x %02x): %s", s.row->name, s.code[0], s.code[1], what);
                show("before", &s.before);
                show("host", &host);
                show("ours", &ours);
                bad++;
            }
            passed++;
        }
        passed -= bad;
        failed += bad;
    }
    bare_free(m);
    munmap(code, 4096);
    t_cases(passed, failed, 0);
#else
    SKIP("the host is not x86-64");
#endif
}

/* The same on every host: what x87_like_host verified, as one number. */
TEST(x87_digest)
{
    struct bare *m = bare_new("", 0x40000);
    uint64_t digest = 0;

    bare_mode(m, 64, 0);
    place_code(m);
    for (unsigned op = 0xd8; op <= 0xdf; op++) {
        for (unsigned modrm = 0; modrm <= 0xff; modrm++) {
            struct t_rng rng = {op << 8 | modrm};
            const struct insn_row fake = {.name = "", .op = (uint8_t)op, .reg = 0xc0};
            for (unsigned n = 0; n < 8; n++) {
                struct scene s = {.row = &fake};
                struct image out;
                generate(&rng, &s);
                s.code[1] = (uint8_t)(modrm < 0xc0 ? (modrm & 0x38) | 6 : modrm);
                s.before.sw &= 0x7f40; /* nothing pending */
                run_doppel(m, &s, &out);
                digest =
                    fp_digest(digest, out.cw | (uint64_t)out.sw << 16 | (uint64_t)out.empty << 32);
                digest = fp_digest(digest, out.rflags ^ out.rax << 32);
                for (unsigned k = 0; k < 8; k++) {
                    digest = fp_digest(fp_digest(digest, out.st[k].m), out.st[k].se);
                    digest = fp_digest(digest, le_get(out.mem + 16 * k, 8));
                    digest = fp_digest(digest, le_get(out.mem + 16 * k + 8, 8));
                }
            }
        }
    }
    EXPECT_EQ(digest, UINT64_C(0xf50251f6320728b5));
    bare_free(m);
}
