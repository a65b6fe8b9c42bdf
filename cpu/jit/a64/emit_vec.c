/*
 * Vector instructions on 128 bits: moves, integer operations on elements, scalar and packed
 * arithmetic, legacy and VEX-encoded. Those on 256 bits and fused arithmetic are in emit_avx.c;
 * what neither has is interpreted.
 *
 * The order within one: may it run at all (check, once per block), the check of its memory operand,
 * the batch if it is arithmetic (batch.c), the destination, which may be another host register than
 * before: sources are fetched first.
 */
#include "cpu/jit/a64/a64.h"
#include "cpu/jit/a64/asm_vec.h"

#define KEY(pp, opc) ((pp) << 8 | (opc))
enum { NP, P66, PF3, PF2 };

/* ---- may it run? ---- */

void a64_vec_check(struct em *e, bool fp)
{
    struct asmbuf *a = &e->a;
    bool vex = e->u->v.flags & UV_VEX;
    unsigned need =
        (vex ? JIT_VEC_NO_AVX : JIT_VEC_NO_SSE) | (fp ? JIT_VEC_TRAPS | JIT_VEC_UNLOADED : 0);
    need &= ~(unsigned)e->vec.checked;
    if (!need) {
        return;
    }
    uint32_t site = a64_site(e, SITE_BAIL);
    asm_mem_imm(a, 1, A_LD, P0, ENV, (uint32_t)ENV_OFF(vec_no));
    if (need & (JIT_VEC_NO_SSE | JIT_VEC_NO_AVX)) {
        _Static_assert(JIT_VEC_NO_SSE == 1 && JIT_VEC_NO_AVX == 2, "the bits tested");
        a64_leave_from(e, asm_tbz(a, true, P0, vex), site);
    }
    if (need & JIT_VEC_UNLOADED) {
        asm_logic_imm(a, 4, A_AND, P0, P0, JIT_VEC_TRAPS | JIT_VEC_UNLOADED);
        struct cold *c = a64_cold_new(e);
        c->kind = COLD_FP_ON;
        c->site = site;
        c->from = asm_cbz(a, 4, true, P0);
        c->retry = a->at;
    }
    e->vec.checked |= (uint8_t)need;
}

void a64_cold_fp_on(struct em *e, const struct cold *c)
{
    struct asmbuf *a = &e->a;
    uint32_t traps = asm_tbz(a, true, P0, 2);
    _Static_assert(JIT_VEC_TRAPS == 1u << 2, "the bit tested");
    asm_bl_to(a, e->be->fp_on);
    asm_patch(a, asm_cbz(a, 4, false, P0), c->retry);
    asm_here(a, traps);
    a64_vec_spill(e, &c->vec);
}

/* ---- operands ---- */

unsigned a64_vec_source(struct em *e)
{
    const struct uop *u = e->u;
    if (u->sk == UK_XMM) {
        return a64_vec_use(e, u->sr);
    }
    struct a64_loc at = a64_mem_aligned(e, &u->m, u->sw, false, u->v.align);
    a64_vec_access(e, true, u->sw, 1, at);
    return 1;
}

/* ---- integer and logic: d = a op s ---- */

static const struct {
    uint16_t key;
    uint32_t op;
} simple[] = {
    {KEY(NP, 0x54), V_AND},
    {KEY(P66, 0x54), V_AND},
    {KEY(P66, 0xdb), V_AND},
    {KEY(NP, 0x56), V_ORR},
    {KEY(P66, 0x56), V_ORR},
    {KEY(P66, 0xeb), V_ORR},
    {KEY(NP, 0x57), V_EOR},
    {KEY(P66, 0x57), V_EOR},
    {KEY(P66, 0xef), V_EOR},
    {KEY(P66, 0xfc), V3(0, 0, V_ADD)},
    {KEY(P66, 0xfd), V3(0, 1, V_ADD)},
    {KEY(P66, 0xfe), V3(0, 2, V_ADD)},
    {KEY(P66, 0xd4), V3(0, 3, V_ADD)},
    {KEY(P66, 0xf8), V3(1, 0, V_ADD)},
    {KEY(P66, 0xf9), V3(1, 1, V_ADD)},
    {KEY(P66, 0xfa), V3(1, 2, V_ADD)},
    {KEY(P66, 0xfb), V3(1, 3, V_ADD)},
    {KEY(P66, 0x74), V3(1, 0, 0x11)},
    {KEY(P66, 0x75), V3(1, 1, 0x11)},
    {KEY(P66, 0x76), V3(1, 2, 0x11)},
    {KEY(P66, 0x64), V3(0, 0, V_CMGT)},
    {KEY(P66, 0x65), V3(0, 1, V_CMGT)},
    {KEY(P66, 0x66), V3(0, 2, V_CMGT)},
    {KEY(P66, 0xda), V3(1, 0, V_MIN)},
    {KEY(P66, 0xde), V3(1, 0, V_MAX)},
    {KEY(P66, 0xea), V3(0, 1, V_MIN)},
    {KEY(P66, 0xee), V3(0, 1, V_MAX)},
    {KEY(P66, 0xdc), V3(1, 0, 1)}, /* PADDUSB, PADDUSW, PADDSB, PADDSW */
    {KEY(P66, 0xdd), V3(1, 1, 1)},
    {KEY(P66, 0xec), V3(0, 0, 1)},
    {KEY(P66, 0xed), V3(0, 1, 1)},
    {KEY(P66, 0xd8), V3(1, 0, 5)}, /* PSUBUSB, PSUBUSW, PSUBSB, PSUBSW */
    {KEY(P66, 0xd9), V3(1, 1, 5)},
    {KEY(P66, 0xe8), V3(0, 0, 5)},
    {KEY(P66, 0xe9), V3(0, 1, 5)},
    {KEY(P66, 0xe0), V3(1, 0, 2)}, /* PAVGB, PAVGW */
    {KEY(P66, 0xe3), V3(1, 1, 2)},
    {KEY(P66, 0xd5), V3(0, 1, 0x13)}, /* PMULLW */
    {KEY(P66, 0x60), V_ZIP1},
    {KEY(P66, 0x61), V_ZIP1 | 1u << 22},
    {KEY(P66, 0x62), V_ZIP1 | 2u << 22},
    {KEY(P66, 0x6c), V_ZIP1 | 3u << 22},
    {KEY(NP, 0x14), V_ZIP1 | 2u << 22},
    {KEY(P66, 0x14), V_ZIP1 | 3u << 22},
    {KEY(P66, 0x68), V_ZIP2},
    {KEY(P66, 0x69), V_ZIP2 | 1u << 22},
    {KEY(P66, 0x6a), V_ZIP2 | 2u << 22},
    {KEY(P66, 0x6d), V_ZIP2 | 3u << 22},
    {KEY(NP, 0x15), V_ZIP2 | 2u << 22},
    {KEY(P66, 0x15), V_ZIP2 | 3u << 22},
};

uint32_t a64_vec_simple(const struct uop *u)
{
    unsigned key = KEY((unsigned)u->v.pp, u->v.opc);
    if (u->v.a == UR_NONE || u->dk != UK_XMM) {
        return 0;
    }
    if (key == KEY(NP, 0x55) || key == KEY(P66, 0x55) || key == KEY(P66, 0xdf)) {
        return V_BIC; /* of s and a */
    }
    for (unsigned k = 0; k < sizeof simple / sizeof simple[0]; k++) {
        if (simple[k].key == key) {
            return simple[k].op;
        }
    }
    return 0;
}

static bool integer(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    uint32_t op = a64_vec_simple(u);
    if (!op) {
        return false;
    }
    a64_vec_check(e, false);
    if (u->sk == UK_XMM && u->sr == u->v.a && op == V_EOR) {
        asm_vzero(a, a64_vec_written(e, u->dr));
        a64_vec_zero_above(e, u->dr, 4);
        return true;
    }
    unsigned s = a64_vec_source(e), x = a64_vec_use(e, u->v.a);
    unsigned zero = op != V_AND                           ? 0
                    : a64_vec_is_zero_above(e, u->v.a, 4) ? 4
                    : a64_vec_is_zero_above(e, u->v.a, 8) ? 8
                                                          : 0;
    unsigned d = a64_vec_written(e, u->dr);
    if (zero) {
        a64_vec_zero_above(e, u->dr, zero);
    }
    asm_v3(a, op, d, op == V_BIC ? s : x, op == V_BIC ? x : s);
    return true;
}

/* ---- shifts by an immediate, shuffles, masks ---- */

static bool shift_group(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned w = u->v.opc == 0x71 ? 2 : u->v.opc == 0x72 ? 4 : 8, n = (unsigned)u->imm & 0xff;
    unsigned digit = u->v.digit, bits = 8 * w;
    if (u->v.opc < 0x71 || u->v.opc > 0x73 || u->v.pp != P66 ||
        (digit == 4 && (w == 8 || n == 0))) {
        return false;
    }
    a64_vec_check(e, false);
    unsigned s = a64_vec_use(e, u->sr), d = a64_vec_written(e, u->dr);
    if (digit == 4) {
        asm_vshr(a, V_SSHR, w, d, s, n < bits ? n : bits);
    } else if (digit == 3 || digit == 7) { /* by bytes */
        asm_vzero(a, 0);
        if (n > 15) {
            asm_vmov(a, d, 0);
        } else if (digit == 3) {
            asm_ext(a, d, s, 0, n);
        } else if (n == 0) {
            asm_vmov(a, d, s);
        } else {
            asm_ext(a, d, 0, s, 16 - n);
        }
    } else if (n >= bits) {
        asm_vzero(a, d);
    } else if (digit == 6) {
        asm_vshl(a, w, d, s, n);
    } else if (n) {
        asm_vshr(a, V_USHR, w, d, s, n);
    } else {
        asm_vmov(a, d, s);
    }
    return true;
}

/* PSHUFD, SHUFPS, SHUFPD: elements of v0 one by one; the common ones at once. */
static bool shuffle(struct em *e, unsigned key)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned imm = (unsigned)u->imm & 0xff, w = key == KEY(P66, 0xc6) ? 8 : 4, n = 16 / w;
    bool one =
        key == KEY(P66, 0x70) || (key == KEY(NP, 0xc6) && u->sk == UK_XMM && u->sr == u->v.a);
    if (key != KEY(P66, 0x70) && (key & 0xff) != 0xc6) {
        return false;
    }
    a64_vec_check(e, false);
    unsigned s = a64_vec_source(e), x = one ? s : a64_vec_use(e, u->v.a);
    if (one && (imm == 0x4e || imm == 0x44 || imm == 0xee || imm % 0x55 == 0)) {
        unsigned d = a64_vec_written(e, u->dr);
        if (imm == 0x4e) {
            asm_ext(a, d, s, s, 8);
        } else if (imm % 0x55 == 0) {
            asm_dup(a, 4, d, s, imm & 3);
        } else {
            asm_dup(a, 8, d, s, imm == 0xee);
        }
        return true;
    }
    for (unsigned k = 0; k < n; k++) {
        unsigned pick = w == 8 ? imm >> k & 1 : imm >> (2 * k) & 3, from = k < n / 2 ? x : s;
        if (k) {
            asm_ins(a, w, 0, k, from, pick);
        } else {
            asm_dup(a, w, 0, from, pick);
        }
    }
    asm_vmov(a, a64_vec_written(e, u->dr), 0);
    return true;
}

/* Sign bits, gathered by halves, quarters, eighths. */
void a64_vec_byte_mask(struct asmbuf *a, unsigned d, unsigned s)
{
    asm_vshr(a, V_USHR, 1, 0, s, 7);
    asm_vshr(a, V_USRA, 2, 0, 0, 7);
    asm_vshr(a, V_USRA, 4, 0, 0, 14);
    asm_vshr(a, V_USRA, 8, 0, 0, 28);
    asm_umov(a, 1, d, 0, 0);
    asm_umov(a, 1, P0, 0, 8);
    asm_logic_x(a, 4, A_ORR, false, d, d, P0, A_LSL, 8);
}

/* ---- moves ---- */

static bool store(struct em *e, unsigned key)
{
    const struct uop *u = e->u;
    static const uint16_t whole[] = {KEY(NP, 0x11),  KEY(PF3, 0x11), KEY(PF2, 0x11), KEY(PF3, 0x7f),
                                     KEY(P66, 0xd6), KEY(P66, 0x7e), KEY(NP, 0x13),  KEY(P66, 0x13),
                                     KEY(NP, 0x17),  KEY(P66, 0x17)};
    unsigned k = 0, from;
    while (k < sizeof whole / sizeof whole[0] && whole[k] != key) {
        k++;
    }
    if (k == sizeof whole / sizeof whole[0]) {
        return false;
    }
    a64_vec_check(e, false);
    from = a64_vec_use(e, u->sr);
    struct a64_loc at = a64_mem_aligned(e, &u->m, u->w, true, u->v.align);
    if ((key & 0xff) == 0x17) {
        asm_dup(&e->a, 8, 0, from, 1);
        from = 0;
    }
    a64_vec_access(e, false, u->w, from, at);
    return true;
}

/* The destination is its first source (its own old value, if it has none) with element k replaced
 * by element j of vector register s. */
static void insert(struct em *e, unsigned w, unsigned k, unsigned s, unsigned j)
{
    const struct uop *u = e->u;
    unsigned r = u->v.a != UR_NONE ? u->v.a : u->dr;
    bool z4 = k == 0 && w == 4 && a64_vec_is_zero_above(e, r, 4);
    bool z8 = k == 0 && w <= 8 && a64_vec_is_zero_above(e, r, 8);
    if (r == u->dr) {
        asm_ins(&e->a, w, a64_vec_modified(e, r), k, s, j);
    } else {
        unsigned x = a64_vec_use(e, r), d = a64_vec_written(e, u->dr);
        if (d == s) {
            asm_vmov(&e->a, 2, s);
            s = 2;
        }
        asm_vmov(&e->a, d, x);
        asm_ins(&e->a, w, d, k, s, j);
    }
    if (z8) {
        a64_vec_zero_above(e, u->dr, z4 ? 4 : 8);
    }
}

/* w bytes of memory, zero above. */
static void load_scalar(struct em *e, unsigned w)
{
    const struct uop *u = e->u;
    struct a64_loc at = a64_mem_aligned(e, &u->m, u->sw, false, u->v.align);
    a64_vec_access(e, true, w, a64_vec_written(e, u->dr), at);
    a64_vec_zero_above(e, u->dr, w);
}

static bool move(struct em *e, unsigned key)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned s;
    switch (key) {
    case KEY(NP, 0x10): /* MOVUPS and all that move whole registers */
    case KEY(NP, 0x11):
    case KEY(PF3, 0x6f):
    case KEY(PF3, 0x7f):
        a64_vec_check(e, false);
        if (u->sk == UK_MEM) {
            struct a64_loc at = a64_mem_aligned(e, &u->m, u->sw, false, u->v.align);
            a64_vec_access(e, true, u->sw, a64_vec_written(e, u->dr), at);
        } else {
            a64_vec_copy(e, u->dr, u->sr);
        }
        return true;
    case KEY(PF3, 0x10): /* MOVSS, MOVSD */
    case KEY(PF2, 0x10):
    case KEY(PF3, 0x11):
    case KEY(PF2, 0x11):
        a64_vec_check(e, false);
        if (u->sk == UK_MEM) {
            load_scalar(e, u->sw == 4 ? 4 : 8);
        } else {
            s = a64_vec_use(e, u->sr);
            insert(e, u->v.pp == PF3 ? 4 : 8, 0, s, 0);
        }
        return true;
    case KEY(PF3, 0x7e): /* MOVQ */
    case KEY(P66, 0xd6):
        a64_vec_check(e, false);
        if (u->sk == UK_MEM) {
            load_scalar(e, 8);
        } else {
            s = a64_vec_use(e, u->sr);
            asm_fmov(a, 8, a64_vec_written(e, u->dr), s);
            a64_vec_zero_above(e, u->dr, 8);
        }
        return true;
    case KEY(P66, 0x6e): /* MOVD, MOVQ from a general register */
        a64_vec_check(e, false);
        if (u->sk == UK_MEM) {
            load_scalar(e, u->sw == 4 ? 4 : 8);
        } else {
            asm_fmov_from(a, u->sw, a64_vec_written(e, u->dr), a64_host(u->sr));
            a64_vec_zero_above(e, u->dr, u->sw);
        }
        return true;
    case KEY(NP, 0x12): /* MOVLPS, MOVHPS; MOVHLPS, MOVLHPS */
    case KEY(P66, 0x12):
    case KEY(NP, 0x16):
    case KEY(P66, 0x16): {
        unsigned high = u->v.opc == 0x16;
        a64_vec_check(e, false);
        s = a64_vec_source(e);
        insert(e, 8, high, s, u->sk == UK_XMM && !high);
        return true;
    }
    default:
        return false;
    }
}

/* ---- arithmetic ---- */

/* Where arithmetic puts its result: the destination if it leaves there what x86 does, else v0. A
 * scalar's other bits are those of its first source. */
static unsigned result_in(struct em *e, unsigned w, bool scalar)
{
    const struct uop *u = e->u;
    if (scalar && !a64_vec_is_zero_above(e, u->v.a != UR_NONE ? u->v.a : u->dr, w)) {
        return 0;
    }
    unsigned d = a64_vec_written(e, u->dr);
    if (scalar) {
        a64_vec_zero_above(e, u->dr, w);
    }
    return d;
}

/* It is in d, which result_in said; w bytes if that is v0. */
static void put_result(struct em *e, unsigned w, unsigned d)
{
    if (d == 0) {
        insert(e, w, 0, 0, 0);
    }
}

/* MINPS and its like: the first where it is less (greater), else the second. NaNs bail. */
static bool select_less(struct em *e, unsigned w)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    bool min = u->v.opc == 0x5d;
    a64_vec_check(e, true);
    unsigned s = a64_vec_source(e), x = a64_vec_use(e, u->v.a);
    a64_batch(e);
    asm_fcm(a, w, false, F_CMGT, 0, min ? s : x, min ? x : s);
    asm_v3(a, V_BSL, 0, x, s);
    asm_vmov(a, a64_vec_written(e, u->dr), 0);
    return true;
}

/* CMPPS and its like: masks. NaNs bail where the predicate signals; FCMEQ does not, nor do EQ, NEQ.
 */
static bool compare_mask(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned pp = u->v.pp, w = pp == P66 || pp == PF2 ? 8 : 4, how = (unsigned)u->imm & 0x1f;
    bool scalar = pp >= PF3;
    if (how > 6 || (how & 3) == 3 || u->v.a == UR_NONE || u->dk != UK_XMM) {
        return false;
    }
    a64_vec_check(e, true);
    unsigned s = a64_vec_source(e), x = a64_vec_use(e, u->v.a);
    uint32_t op = (how & 3) == 0 ? F_CMEQ : (how & 3) == 1 ? F_CMGT : F_CMGE;
    a64_batch_compare(e);
    unsigned d = result_in(e, w, scalar), to = scalar && (how & 4) ? 0 : d;
    asm_fcm(a, w, scalar, op, to, (how & 3) == 0 ? x : s, (how & 3) == 0 ? s : x);
    if (how & 4) {
        asm_vnot(a, to, to);
    }
    if (to != d) {
        asm_fmov(a, w, d, to);
    }
    put_result(e, w, d);
    return true;
}

/* MOVMSKPS, MOVMSKPD. */
static bool sign_mask(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned d = a64_host(u->dr);
    bool pd = u->v.pp == P66;
    a64_vec_check(e, false);
    unsigned s = a64_vec_use(e, u->sr);
    a64_kill_reg(e, u->dr);
    if (pd) {
        asm_vshr(a, V_USHR, 8, 0, s, 63);
    } else {
        asm_vshr(a, V_USHR, 4, 0, s, 31);
        asm_vshr(a, V_USRA, 8, 0, 0, 31);
    }
    asm_umov(a, 1, d, 0, 0);
    asm_umov(a, 1, P0, 0, 8);
    asm_logic_x(a, 4, A_ORR, false, d, d, P0, A_LSL, pd ? 1 : 2);
    return true;
}

/* Code runs with what MXCSR says already set, and bails if more were to be: memory has it. */
static bool store_mxcsr(struct em *e)
{
    const struct uop *u = e->u;
    if (u->v.digit != 3) {
        return false;
    }
    a64_vec_check(e, false);
    struct a64_loc at = a64_mem(e, &u->m, 4, true);
    a64_env_address(&e->a, P0, e->be->l->mxcsr);
    asm_mem_imm(&e->a, 4, A_LD, T2, P0, 0);
    a64_store(e, 4, T2, at);
    return true;
}

static bool arithmetic(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned pp = u->v.pp, w = pp == P66 || pp == PF2 ? 8 : 4, s, x, d;
    bool scalar = pp >= PF3, less = u->v.opc == 0x5d || u->v.opc == 0x5f;
    static const int8_t ops[] = {[0] = F_ADD, [1] = F_MUL, [4] = F_SUB, [6] = F_DIV};
    if (less && !scalar) {
        return select_less(e, w);
    }
    a64_vec_check(e, true);
    s = a64_vec_source(e);
    x = a64_vec_use(e, u->v.a);
    a64_batch(e);
    d = result_in(e, w, scalar);
    if (less) { /* the second unless the first is less (greater): of zeros too; NaNs bail */
        e->nz = NZ_NONE;
        asm_fcmp(a, w, true, x, s);
        asm_fcsel(a, w, d, x, s, u->v.opc == 0x5d ? A_MI : A_GT);
    } else if (scalar) {
        asm_f2(a, w, (unsigned)ops[u->v.opc - 0x58], d, x, s);
    } else {
        asm_fv2(a, w, (unsigned)ops[u->v.opc - 0x58], d, x, s);
    }
    put_result(e, w, d);
    return true;
}

/* Scalars: roots and conversions. */
static bool convert(struct em *e, unsigned key)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned w = u->v.pp == PF2 ? 8 : 4, s, d;
    if (u->v.pp < PF3) {
        return false;
    }
    switch (key & 0xff) {
    case 0x51:
    case 0x5a:
        a64_vec_check(e, true);
        s = a64_vec_source(e);
        a64_batch(e);
        d = result_in(e, u->v.opc == 0x51 ? w : 12 - w, true);
        if (u->v.opc == 0x51) {
            asm_fsqrt(a, w, d, s);
        } else {
            asm_fcvt(a, w, d, s);
            w = 12 - w;
        }
        put_result(e, w, d);
        return true;
    case 0x2a: {
        a64_vec_check(e, true);
        unsigned r = u->sk == UK_REG ? a64_host(u->sr) : T0;
        if (u->sk == UK_MEM) {
            struct a64_loc at = a64_mem(e, &u->m, u->sw, false);
            a64_load(e, u->sw, T0, at);
        }
        d = result_in(e, w, true);
        asm_scvtf(a, w, u->sw, d, r);
        put_result(e, w, d);
        return true;
    }
    case 0x2c:
    case 0x2d:
        a64_vec_check(e, true);
        s = a64_vec_source(e);
        a64_batch(e);
        asm_fcvts(a, u->v.opc == 0x2c, w, u->w, T0, s);
        a64_batch_end(e);
        a64_kill_reg(e, u->dr);
        a64_put(e, u->dr, u->w, T0);
        return true;
    default:
        return false;
    }
}

/* COMISS and its like: NZCV of the comparison, and EFLAGS as LAHF has them. */
static bool compare(struct em *e)
{
    const struct uop *u = e->u;
    struct asmbuf *a = &e->a;
    unsigned w = u->v.pp == P66 ? 8 : 4;
    if (u->v.pp > P66 || u->v.a == UR_NONE) {
        return false;
    }
    a64_vec_check(e, true);
    unsigned s = a64_vec_source(e), x = a64_vec_use(e, u->v.a);
    a64_batch_compare(e);
    asm_fcmp(a, w, u->v.opc == 0x2f, x, s);
    e->nz = NZ_NONE;
    a64_batch_end(e);
    if (a64_need(e)) {
        unsigned was = a64_class(e, EMIT_flags);
        asm_cset(a, T0, A_VS);
        asm_cset(a, T2, A_LT);
        a64_store_cf(e, T2);
        asm_csel(a, 4, A_CSINC, T3, T0, XZR, A_NE); /* equal or unordered */
        asm_logic_x(a, 4, A_ORR, false, T2, T2, T0, A_LSL, 2);
        asm_logic_x(a, 4, A_ORR, false, T2, T2, T3, A_LSL, 6);
        asm_lsl(a, 4, T2, T2, 8);
        a64_class(e, was);
    }
    a64_set_recipe(e, CC_BITS, 4, NZ_FCMP);
    if (a64_need(e)) {
        a64_res_host(e, T2);
    }
    return true;
}

static bool emit(struct em *e)
{
    const struct uop *u = e->u;
    const struct uop_vec *v = &u->v;
    unsigned key = KEY((unsigned)v->pp, v->opc);
    if (v->vl == 32 || v->map != 1) {
        return a64_emit_avx(e);
    }
    if (v->fourth != UR_NONE) {
        return false;
    }
    if (v->opc == 0x77) {
        a64_vec_check(e, false);
        a64_vzeroupper(e);
        return true;
    }
    if (v->opc == 0xae) {
        return store_mxcsr(e);
    }
    if (u->dk == UK_NONE) {
        return (v->opc == 0x2e || v->opc == 0x2f) && compare(e);
    }
    if (u->dk == UK_MEM) {
        return store(e, key);
    }
    if (v->flags & UV_GROUP) {
        return shift_group(e);
    }
    if (u->dk == UK_REG) {
        if (key == KEY(P66, 0xd7)) {
            a64_vec_check(e, false);
            unsigned s = a64_vec_use(e, u->sr);
            a64_kill_reg(e, u->dr);
            a64_vec_byte_mask(&e->a, a64_host(u->dr), s);
            return true;
        }
        if (v->opc == 0x50 && v->pp <= P66) {
            return sign_mask(e);
        }
        if (key == KEY(P66, 0x7e)) { /* MOVD, MOVQ to a general register */
            a64_vec_check(e, false);
            unsigned s = a64_vec_use(e, u->sr);
            a64_kill_reg(e, u->dr);
            asm_umov(&e->a, u->w, a64_host(u->dr), s, 0);
            return true;
        }
        return convert(e, key);
    }
    switch (v->opc) {
    case 0xc2:
        return compare_mask(e);
    case 0x58:
    case 0x59:
    case 0x5c:
    case 0x5d:
    case 0x5e:
    case 0x5f:
        return v->a != UR_NONE && arithmetic(e);
    default:
        return move(e, key) || integer(e) || shuffle(e, key) || convert(e, key);
    }
}

bool a64_emit_vec(struct em *e)
{
    const struct uop *u = e->u;
    if (!emit(e)) {
        return false;
    }
    if ((u->v.flags & UV_VEX) && u->v.vl == 16 && u->dk == UK_XMM) {
        a64_vec_clear_high(e, u->dr);
    }
    return true;
}
