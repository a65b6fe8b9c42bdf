/*
 * x87 code compiled against x87 code interpreted: whole programs, with everything that can come
 * between two instructions while the guest's state is in the host's FPU.
 *
 * A machine in protected mode with paging and handlers: #PF saves and loads the whole x87 state
 * (FNSAVE, FRSTOR) into RAM, where the digest sees it with its pointers, and maps the page; #MF
 * stores the environment and clears exceptions; #NM clears CR0.TS; #UD counts. The same program
 * runs interpreted, and compiled in slices of several lengths; state and RAM must end equal. What
 * single instructions compute is test_x87.c's.
 *
 * Amount: T_LEVEL; seed: T_SEED.
 */
#include <string.h>

#include "cpu/fp/fp.h"
#include "cpu/x87.h"
#include "tests/lib/bare.h"
#include "tests/t.h"
#include "tests/unit/fp_gen.h"

enum {
    GDT = 0x1000,
    IDT = 0x1800,
    DIR = 0x2000,
    TABLE = 0x3000,
    HANDLERS = 0x4000,
    SAVED = 0x5000,
    STACK = 0x8000,
    CODE = 0x10000,
    DATA = 0x20000,
    HOLE = 0x21000, /* the page that comes and goes; ESI and EDI point in front of it and to it */
    BYTES = 0x40000,
    ESI = HOLE - 0x200,
    CODE_MAX = 4000,
};

struct prog {
    uint8_t code[CODE_MAX + 64];
    unsigned n;
};

static void put(struct prog *p, const void *bytes, unsigned n)
{
    if (p->n + n <= CODE_MAX) {
        memcpy(p->code + p->n, bytes, n);
        p->n += n;
    }
}
#define PUT(p, ...)                                                                                \
    put(p, (const uint8_t[]){__VA_ARGS__}, (unsigned)sizeof((const uint8_t[]){__VA_ARGS__}))

static void put32(struct prog *p, uint32_t v)
{
    uint8_t b[4];
    le_put(b, 4, v);
    put(p, b, 4);
}

/* ---- the machine ---- */

static uint8_t *at(struct bare *b, unsigned pa)
{
    return ram_write_ptr(&b->ram, pa >> 12) + (pa & 0xfff);
}

static void handler(struct bare *b, unsigned vector, const void *code, unsigned n)
{
    unsigned pa = HANDLERS + 64 * vector;
    memcpy(at(b, pa), code, n);
    le_put(at(b, IDT + 8 * vector), 4, 0x100000 | pa);
    le_put(at(b, IDT + 8 * vector + 4), 4, 0x8e00);
}

static void handlers(struct bare *b)
{
    static const uint8_t pf[] = {
        0xdd, 0x35, 0x00, 0x50, 0,    0,                       /* fnsave [0x5000] */
        0xdd, 0x25, 0x00, 0x50, 0,    0,                       /* frstor [0x5000] */
        0x50, 0x0f, 0x20, 0xd0,                                /* push eax; mov eax, cr2 */
        0xc1, 0xe8, 0x0c,                                      /* shr eax, 12 */
        0x83, 0x0c, 0x85, 0x00, 0x30, 0,    0, 0x01,           /* or dword [TABLE + eax * 4], 1 */
        0x0f, 0x20, 0xd0, 0x0f, 0x01, 0x38,                    /* mov eax, cr2; invlpg [eax] */
        0xff, 0x05, 0x00, 0x51, 0,    0,                       /* inc dword [0x5100] */
        0x58, 0x83, 0xc4, 0x04, 0xcf};                         /* pop eax; add esp, 4; iret */
    static const uint8_t mf[] = {0xd9, 0x35, 0x80, 0x50, 0, 0, /* fnstenv [0x5080] */
                                 0xdb, 0xe2,                   /* fnclex */
                                 0xff, 0x05, 0x04, 0x51, 0, 0, 0xcf};
    static const uint8_t nm[] = {0x0f, 0x06, 0xff, 0x05, 0x08, 0x51, 0, 0, 0xcf}; /* clts */
    handler(b, EXC_PF, pf, sizeof pf);
    handler(b, EXC_MF, mf, sizeof mf);
    handler(b, EXC_NM, nm, sizeof nm);
}

static struct bare *build(const char *model, const struct prog *p, uint64_t seed)
{
    struct bare *b = bare_new(model, BYTES);
    struct cpu_state *s = &b->cpu->s;
    struct x87 *f = &s->fpu[0];
    struct t_rng rng = {seed};
    struct f80 v = F80_ONE;

    for (unsigned k = 1; k < 8; k++) { /* bare_mode's selectors */
        le_put(at(b, GDT + 8 * k), 8,
               UINT64_C(0x00cf93000000ffff) | (k == 2) * (UINT64_C(8) << 40));
    }
    le_put(at(b, DIR), 4, TABLE | 3);
    for (unsigned k = 0; k < BYTES >> 12; k++) {
        le_put(at(b, TABLE + 4 * k), 4, k << 12 | 3);
    }
    handlers(b);
    memcpy(at(b, CODE), p->code, p->n);
    for (unsigned k = 0; k < 0x400; k += 16) {
        v = fp_gen_f80(&rng, v);
        uint8_t *m = at(b, ESI - 0x80 + k);
        switch (t_rand_below(&rng, 4)) {
        case 0:
            le_put(m, 4, fp_gen(&rng, 24, 8, v.m));
            break;
        case 1:
            le_put(m, 8, fp_gen(&rng, 53, 11, v.m));
            break;
        case 2:
            le_put(m, 8, fp_gen_pattern(&rng));
            break;
        default:
            le_put(m, 8, v.m);
            le_put(m + 8, 2, v.se);
            break;
        }
    }
    bare_mode(b, 32, 0);
    s->gdt_base = GDT;
    s->gdt_limit = 0x3f;
    s->idt_base = IDT;
    s->idt_limit = 8 * 32 - 1;
    s->cr3 = DIR;
    s->cr0 |= CR0_PG | CR0_WP;
    s->gpr[REG_RSP] = STACK;
    s->gpr[REG_RSI] = ESI;
    s->gpr[REG_RDI] = HOLE;
    s->rip = CODE;
    s->rflags = FL_1;
    f->cw = (uint16_t)(0x7f | (t_rand(&rng) & 0xc00) | (t_rand(&rng) & 1 ? 0x300 : 0x200));
    f->sw = (uint16_t)(t_rand(&rng) & 0x7f00);
    f->empty = (uint8_t)(t_rand(&rng) | t_rand(&rng));
    for (unsigned k = 0; k < 8; k++) {
        v = fp_gen_f80(&rng, v);
        f->m[k] = v.m;
        f->se[k] = v.se;
    }
    cpu_restored(b->cpu);
    return b;
}

/* The program must end alike in both engines. *native: instructions that were compiled and not left
 * to the interpreter. */
static bool compare(const char *model, const struct prog *p, uint64_t seed, const char *what,
                    unsigned *native)
{
    static const struct {
        uint64_t slice;
        struct engine_options o;
    } runs[] = {
        {0, {.jit = true, .threshold = 1, .buffer = 1u << 20}},
        {1000, {.jit = true, .threshold = 2, .buffer = 1u << 18}},
        {37, {.jit = true, .threshold = 1, .buffer = 1u << 20, .no_links = true}},
    };
    const uint64_t limit = 20000;
    struct bare *b = build(model, p, seed);
    uint64_t done = bare_run(b, limit, 0), want = bare_digest(b);
    struct x87 x = b->cpu->s.fpu[0];
    bool ok = true;
    bare_free(b);
    for (unsigned k = 0; k < ARRAY_LEN(runs); k++) {
        b = build(model, p, seed);
        if (!b->engine) {
            bare_engine(b, &runs[k].o);
        }
        uint64_t n = bare_run(b, limit, runs[k].slice), got = bare_digest(b);
        const struct x87 *y = &b->cpu->s.fpu[0];
        if (got != want || n != done) {
            ok = false;
            FAIL("%s, model '%s', seed %llu, run %u: after %llu units, interpreted %llu; sw %x "
                 "%x cw %x %x empty %x %x ip %llx %llx op %x %x dp %llx %llx",
                 what, model, (unsigned long long)seed, k, (unsigned long long)n,
                 (unsigned long long)done, y->sw, x.sw, y->cw, x.cw, y->empty, x.empty,
                 (unsigned long long)y->ip, (unsigned long long)x.ip, y->op, x.op,
                 (unsigned long long)y->dp, (unsigned long long)x.dp);
        }
        struct jit_stats st = engine_stats(b->engine);
        *native = (unsigned)(st.insns - st.interp_insns);
        bare_free(b);
    }
    return ok;
}

/* ---- programs by chance ---- */

static bool is_x87(const struct insn_row *r)
{
    return r->map == MAP_1B && (r->op & 0xf8) == 0xd8 && strcmp(r->name, "esc") != 0;
}

/* An instruction of the table; not FLDENV and FRSTOR as a rule, which leave little standing. */
static void random_x87(struct t_rng *rng, struct prog *p)
{
    const struct insn_row *r;
    do {
        r = &insn_rows[t_rand_below(rng, insn_row_count)];
    } while (!is_x87(r) || (!strncmp(r->name, "fldenv", 6) && t_rand_below(rng, 8)) ||
             (!strcmp(r->name, "frstor") && t_rand_below(rng, 8)) ||
             (!strcmp(r->name, "fldcw") && t_rand_below(rng, 8)));
    if (r->reg >= 0xc0 && r->reg <= 0xff) {
        PUT(p, (uint8_t)r->op, (uint8_t)r->reg);
    } else if (r->attr & A_MEM) {
        uint8_t rm = t_rand_below(rng, 8) ? 0x46 : 0x47; /* [esi + disp8], [edi + disp8] */
        PUT(p, (uint8_t)r->op, (uint8_t)(r->reg << 3 | rm), (uint8_t)t_rand_below(rng, 256));
    } else {
        PUT(p, (uint8_t)r->op, (uint8_t)(r->reg << 3 | 0xc0 | t_rand_below(rng, 8)));
    }
}

/* What stands between x87 instructions. */
static void random_other(struct t_rng *rng, struct prog *p)
{
    uint8_t x = (uint8_t)t_rand(rng);
    switch (t_rand_below(rng, 16)) {
    case 0:
        PUT(p, 0x01, 0xc8, 0x39, 0xd0); /* add eax, ecx; cmp eax, edx */
        break;
    case 1:
        PUT(p, 0xdf, 0xe0, 0x9e); /* fnstsw ax; sahf */
        break;
    case 2: /* a comparison, and a jump over a load or two */
        PUT(p, 0xdb, (uint8_t)(0xe8 + x % 16), (uint8_t)(0x70 | x >> 4), 2, 0xd9, 0xe8);
        break;
    case 3:
        PUT(p, 0x0f, (uint8_t)(0x90 | (x & 15)), 0xc2); /* setcc dl */
        break;
    case 4: /* an fcmov of flags just computed */
        PUT(p, 0x39, 0xd1, (uint8_t)(0xda | (x & 1)), (uint8_t)(0xc0 | (x >> 3)));
        break;
    case 5:
        PUT(p, 0x9b);
        break;
    case 6:                                   /* rounding to zero and back, as compilers do */
        PUT(p, 0xd9, 0x3d, 0x00, 0x52, 0, 0); /* fnstcw [0x5200] */
        PUT(p, 0x66, 0xc7, 0x05, 0x02, 0x52, 0, 0, 0x7f, x & 0x0f); /* mov word [0x5202], imm */
        PUT(p, 0xd9, 0x2d, 0x02, 0x52, 0, 0, 0xdb, 0x1e);           /* fldcw; fistp [esi] */
        PUT(p, 0xd9, 0x2d, 0x00, 0x52, 0, 0);
        break;
    case 7:
        PUT(p, 0x80, 0x25, (uint8_t)(TABLE & 0xff), 0x30, 0, 0, 0xff); /* nothing much */
        break;
    case 8: /* the hole opens */
        if (x & 1) {
            PUT(p, 0x80, 0x25, 0x84, 0x30, 0, 0, 0xfe, 0x0f, 0x01, 0x3f);
        }
        break;
    case 9: /* CR0.TS */
        if (!(x & 3)) {
            PUT(p, 0x0f, 0x20, 0xc0, 0x0c, 0x08, 0x0f, 0x22, 0xc0);
        }
        break;
    case 10: /* some empty stack */
        if (!(x & 3)) {
            PUT(p, 0xdb, 0xe3);
        }
        break;
    case 11:
        PUT(p, 0x8b, 0x46, x, 0x31, 0xc1); /* mov eax, [esi + x]; xor ecx, eax */
        break;
    case 12:
        PUT(p, 0x0f, 0xa2, 0x31, 0xdb); /* cpuid (the interpreter's); xor ebx, ebx */
        PUT(p, 0xbb, 1, 0, 0, 0);
        break;
    default:
        PUT(p, 0x41, 0x11, 0xca); /* inc ecx; adc edx, ecx */
        break;
    }
}

/* A loop; now and then it changes a constant load within itself. */
static void random_prog(struct t_rng *rng, struct prog *p)
{
    unsigned len = 5 + (unsigned)t_rand_below(rng, 120), load = 0;
    p->n = 0;
    PUT(p, 0xbd, 12, 0, 0, 0); /* mov ebp, 12 */
    unsigned head = p->n;
    for (unsigned k = 0; k < len; k++) {
        if (t_rand_below(rng, 4)) {
            random_x87(rng, p);
        } else {
            random_other(rng, p);
        }
        if (load && t_rand_below(rng, 40) == 0) {
            PUT(p, 0xc6, 0x05); /* mov byte [load + 1], imm */
            put32(p, CODE + load + 1);
            PUT(p, (uint8_t)(0xe8 + t_rand_below(rng, 7)));
        }
        if (!load && t_rand_below(rng, 10) == 0) {
            load = p->n;
            PUT(p, 0xd9, 0xeb);
        }
    }
    p->n = p->n > CODE_MAX - 8 ? CODE_MAX - 8 : p->n;
    PUT(p, 0x4d, 0x0f, 0x85); /* dec ebp; jnz head; hlt */
    put32(p, head - (p->n + 4));
    PUT(p, 0xf4);
}

TEST(x87_programs_by_chance)
{
    static const char *const models[] = {"", "", "pentium3", "core2"};
    uint64_t runs = t_amount(400, 4000, 400000), seed = t_seed(), failed = 0;
    for (uint64_t k = 0; k < runs && failed < 3; k++) {
        struct t_rng rng = {(seed + k) * 0x9e3779b97f4a7c15u};
        struct prog p;
        unsigned native;
        random_prog(&rng, &p);
        t_context("program %llu", (unsigned long long)k);
        failed += !compare(models[k % 4], &p, seed + k, "by chance", &native);
    }
    t_cases(runs - failed, failed, 0);
}

/* ---- programs for one thing each: EBX turns of `body` ---- */

static void loop(struct prog *p, const void *body, unsigned n)
{
    p->n = 0;
    PUT(p, 0xbb, 20, 0, 0, 0); /* mov ebx, 20 */
    unsigned head = p->n;
    put(p, body, n);
    PUT(p, 0x4b, 0x0f, 0x85); /* dec ebx; jnz head; hlt */
    put32(p, head - (p->n + 4));
    PUT(p, 0xf4);
}

/* On models with and without pointers that follow each instruction; at least that many of its
 * instructions run on the host. */
static void check(const void *body, unsigned n, unsigned least, const char *what)
{
    static const char *const models[] = {"", "pentium3"};
    struct prog p;
    loop(&p, body, n);
    t_context("%s", what);
    for (unsigned k = 0; k < ARRAY_LEN(models); k++) {
        for (uint64_t seed = 1; seed < 20; seed++) {
            unsigned native = 0;
            compare(models[k], &p, seed, what, &native);
#if defined(__x86_64__) || defined(__aarch64__)
            EXPECT(native >= least);
#else
            (void)least;
#endif
        }
    }
}
#define CHECK(least, what, ...)                                                                    \
    check((const uint8_t[]){__VA_ARGS__}, (unsigned)sizeof((const uint8_t[]){__VA_ARGS__}), least, \
          what)

#define CLOSE_HOLE 0x80, 0x25, 0x84, 0x30, 0, 0, 0xfe, 0x0f, 0x01, 0x3f

TEST(x87_page_fault_with_values_on_the_stack)
{
    CHECK(12, "#PF, and its handler saves the FPU", 0xdb, 0xe3, CLOSE_HOLE, 0xd9, 0xe8, 0xd9, 0xeb,
          0xd8, 0xc1,                               /* fld1; fldpi; fadd st0, st1 */
          0xdc, 0x07,                               /* fadd qword [edi]: faults */
          0xd9, 0x5e, 0x10,                         /* fstp dword [esi + 16] */
          0xd9, 0x76, 0x40,                         /* fnstenv [esi + 64] */
          CLOSE_HOLE, 0xd9, 0xee, 0xdd, 0x57, 0xfc, /* fldz; fst qword [edi - 4]: crosses, faults */
          0xde, 0xc1, 0xdb, 0x7f, 0x04);            /* faddp; fstp tbyte [edi + 4] */
}

TEST(x87_stack_faults)
{
    CHECK(12, "overflow and underflow", 0xdb, 0xe3, 0xd9, 0xe8, 0xd9, 0xe8, 0xd9, 0xe8, 0xd9, 0xe8,
          0xd9, 0xe8, 0xd9, 0xe8, 0xd9, 0xe8, 0xd9, 0xe8, 0xdd, 0x7e, 0x00, /* 8 fld1; fnstsw */
          0xd9, 0xeb, 0xdd, 0x7e, 0x02,             /* fldpi: overflow; fnstsw [esi + 2] */
          0xdb, 0xe2, 0xde, 0xd9, 0xde, 0xd9,       /* fnclex; fcompp twice */
          0xde, 0xd9, 0xde, 0xd9, 0xdd, 0x7e, 0x04, /* twice; fnstsw */
          0xde, 0xc1, 0xdd, 0x7e, 0x06,             /* faddp: underflow */
          0xd9, 0xc9, 0xdf, 0xf1, 0x9b, 0xdf, 0xe0, /* fxch; fcomip; wait; fnstsw ax */
          0x01, 0xc1);                              /* add ecx, eax */
}

/* FNSTCW, one more to the rounding and precision control, FLDCW; then a division that shows both.
 */
TEST(x87_fldcw_in_a_block)
{
    CHECK(12, "rounding and precision", 0xd9, 0x3e,          /* fnstcw [esi] */
          0x66, 0x81, 0x06, 0x00, 0x01,                      /* add word [esi], 0x100 */
          0x66, 0x81, 0x26, 0x7f, 0x0f,                      /* and word [esi], 0xf7f */
          0x66, 0x83, 0x0e, 0x3f,                            /* or word [esi], 0x3f */
          0xd9, 0xe8, 0xd8, 0x76, 0x10, 0xd9, 0x2e,          /* fld1; fdiv m32; fldcw [esi] */
          0xd9, 0xe8, 0xd8, 0x76, 0x10, 0xde, 0xc1,          /* once more; faddp */
          0xdb, 0x7c, 0x9e, 0x20, 0xd9, 0xeb, 0xdb, 0x5e, 4, /* fstp tbyte; fldpi; fistp dword */
          0xd9, 0xeb, 0xd9, 0xfc, 0xdd, 0x5e, 8);            /* fldpi; frndint; fstp m64 */
}

TEST(x87_sticky_flags)
{
    CHECK(12, "exception flags", 0xdb, 0xe2,        /* fnclex */
          0xdd, 0x44, 0xde, 0x10, 0xdf, 0xe0,       /* fld qword [esi + ebx * 8 + 16]; fnstsw ax */
          0x01, 0xc1, 0xd1, 0xc1,                   /* add ecx, eax; rol ecx, 1 */
          0xd8, 0xc8, 0xdf, 0xe0, 0x01, 0xc1,       /* fmul st0, st0; fnstsw ax; add ecx, eax */
          0xd9, 0xfa, 0xdf, 0xe0, 0x01, 0xc1,       /* fsqrt */
          0xd9, 0x56, 0x08, 0xdf, 0xe0, 0x01, 0xc1, /* fst dword */
          0xdb, 0x1e, 0xdd, 0x7e, 0x04);            /* fistp dword; fnstsw [esi + 4] */
}

/* TOP moves by one each turn, so the same code meets all eight. */
TEST(x87_top_differs)
{
    CHECK(12, "TOP", 0xd9, 0xf7, 0xd8, 0xc3, 0xdd, 0xc5, 0xd9, 0xe0, /* fincstp fadd ffree fchs */
          0xd9, 0xe5, 0xdd, 0x7e, 0x00, 0xd9, 0xc2, 0xdd, 0xd9,      /* fxam fnstsw fld fstp st1 */
          0xdf, 0xc3, 0xd9, 0xf6, 0xda, 0xc9);                       /* ffreep fdecstp fcmove */
}

TEST(x87_code_that_changes_itself)
{
    CHECK(12, "self-modified", 0x89, 0xd8, 0x24, 0x03, 0x0c, 0xe8, /* al = E8 + bl % 4 */
          0xd9, 0xe8, 0xa2, 0x10, 0x00, 0x01, 0x00,                /* fld1; mov [below], al */
          0x90, 0xd9, 0xeb,                                        /* nop; fldpi: changed */
          0xdb, 0x3e, 0xdb, 0x7e, 0x10);                           /* two fstp tbyte */
}

TEST(x87_flags_of_comparisons)
{
    CHECK(12, "FCOMI", 0xd9, 0xee, 0xdd, 0x44, 0xde, 0x10, 0xdb, 0xf1, /* fldz; fld m64; fcomi */
          0xd9, 0x1e, 0x0f, 0x92, 0xc1, 0x0f, 0x93, 0xc5,              /* fstp m32; setb setae */
          0x0f, 0x9a, 0xc2, 0x0f, 0x97, 0xc6, 0x11, 0xd1,              /* setp seta; adc */
          0xdb, 0xe8, 0x77, 0x02, 0xd9, 0xe8, 0xda, 0xd9, /* fucomi; ja; fld1; fcmovu */
          0xdf, 0xe9, 0x9c, 0x58, 0x01, 0xc1);            /* fucomip; pushf; pop eax */
}

TEST(x87_unmasked_exceptions_and_task_switched)
{
    CHECK(12, "#MF and #NM", 0xdb, 0xe3, 0x66, 0xc7, 0x06, 0x7b, 0x03, /* fninit; [esi] = 37b */
          0xd9, 0x2e, 0xd9, 0xe8, 0xd9, 0xee, 0xde, 0xf9, /* fldcw; 1 / 0, ZE unmasked */
          0xd9, 0xe8,                                     /* fld1: #MF, which masks all */
          0xd9, 0xeb, 0xdd, 0x5e, 0x08, 0x0f, 0x20, 0xc0, 0x0c, 0x08, /* cr0 |= TS */
          0x0f, 0x22, 0xc0, 0xd9, 0xe0, 0xdd, 0x5e, 0x10);
}
