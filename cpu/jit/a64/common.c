/*
 * Common code: entering, leaving, and the ways to C and back.
 *
 * Source: Procedure Call Standard for the Arm 64-bit Architecture (AAPCS64), 6.1: x19-x29, sp and
 * d8-d15 are the callee's to keep, sp stays aligned to 16 bytes.
 */
#include "cpu/jit/a64/a64.h"
#include "cpu/jit/a64/asm_vec.h"

void a64_env_address(struct asmbuf *a, unsigned t, int32_t off)
{
    uint32_t n = off < 0 ? 0u - (uint32_t)off : (uint32_t)off;
    unsigned op = off < 0 ? A_SUB : A_ADD, from = ENV;
    if (n >> 12 || n == 0) {
        asm_addsub_imm(a, 8, op, t, ENV, n & ~UINT32_C(4095));
        from = t;
    }
    if (n & 4095) {
        asm_addsub_imm(a, 8, op, t, from, n & 4095);
    }
}

/* The register and the short offset by which ENV + off is reached; tmp is used if ENV is too far.
 */
static unsigned reach(struct asmbuf *a, unsigned tmp, int32_t off, uint32_t *low)
{
    if (asm_fits_offset(8, off)) {
        *low = (uint32_t)off;
        return ENV;
    }
    uint32_t n =
        off < 0 ? (0u - (uint32_t)off + 4095) & ~UINT32_C(4095) : (uint32_t)off & ~UINT32_C(4095);
    asm_addsub_imm(a, 8, off < 0 ? A_SUB : A_ADD, tmp, ENV, n);
    *low = (uint32_t)(off < 0 ? off + (int32_t)n : off - (int32_t)n);
    return tmp;
}

void a64_env_load(struct asmbuf *a, unsigned t, int32_t off)
{
    uint32_t low;
    unsigned base = reach(a, t, off, &low);
    asm_mem_imm(a, 8, A_LD, t, base, low);
}

void a64_env_store(struct asmbuf *a, unsigned t, int32_t off)
{
    uint32_t low;
    unsigned base = reach(a, P0, off, &low);
    asm_mem_imm(a, 8, A_ST, t, base, low);
}

/* ---- guest registers, page and budget: to memory and back; P0 is used ---- */

static void pinned(struct asmbuf *a, const struct jit_layout *l, bool load)
{
    a64_env_address(a, P0, l->gpr);
    for (unsigned r = 0; r < 16; r += 2) {
        asm_pair(a, load, a64_host(r), a64_host(r + 1), P0, 8 * (int32_t)r);
    }
    if (load) {
        a64_env_load(a, PAGE, ENV_OFF(page));
        a64_env_load(a, BUDGET, l->budget);
    } else {
        a64_env_store(a, PAGE, ENV_OFF(page));
        a64_env_store(a, BUDGET, l->budget);
    }
}

static void move_stack(struct asmbuf *a, int32_t n)
{
    asm_addsub_imm(a, 8, n < 0 ? A_SUB : A_ADD, XSP, XSP, (uint32_t)(n < 0 ? -n : n));
}

/* Call C with (env, P1, P0) or (env, P0), its result to P0; everything else stays, NZCV too. */
static uint32_t helper(const struct jit_backend *be, struct asmbuf *a, int32_t fn, bool la)
{
    enum { FRAME = 160 };
    uint32_t at = a->at;
    move_stack(a, -FRAME);
    for (unsigned r = 0; r < 16; r += 2) {
        asm_pair(a, false, r, r + 1, XSP, 8 * (int32_t)r);
    }
    asm_pair(a, false, P1, LINK, XSP, 128);
    asm_mrs_nzcv(a, T2);
    asm_mem_imm(a, 8, A_ST, T2, XSP, 144);
    asm_mem_imm(a, 1, A_LD, T3, ENV, (uint32_t)ENV_OFF(vec_no));
    asm_mem_imm(a, 8, A_ST, T3, XSP, 152);
    a64_fp_off(a, T3);
    asm_mov(a, 8, X0, ENV);
    asm_mov(a, 8, X1, la ? P1 : P0);
    asm_mov(a, 8, X2, P0);
    asm_mem_imm(a, 8, A_LD, P0, ENV, (uint32_t)fn);
    asm_blr(a, P0);
    asm_mov(a, 4, P0, X0);
    asm_mem_imm(a, 8, A_LD, T3, XSP, 152);
    uint32_t was_off = asm_tbz(a, true, T3, 3);
    asm_mov(a, 4, T3, P0);
    asm_bl_to(a, be->fp_on);
    asm_mov(a, 4, P0, T3);
    asm_here(a, was_off);
    asm_mem_imm(a, 8, A_LD, T2, XSP, 144);
    asm_msr_nzcv(a, T2);
    asm_pair(a, true, P1, LINK, XSP, 128);
    for (unsigned r = 0; r < 16; r += 2) {
        asm_pair(a, true, r, r + 1, XSP, 8 * (int32_t)r);
    }
    move_stack(a, FRAME);
    asm_ret(a);
    return at;
}

enum { ENTER_FRAME = 176 };

static void callee_saved(struct asmbuf *a, bool load)
{
    for (unsigned r = X19; r < X29; r += 2) {
        asm_pair(a, load, r, r + 1, XSP, 16 + 8 * (int32_t)(r - X19));
    }
    for (unsigned v = 8; v < 16; v += 2) {
        asm_vpair(a, load, v, v + 1, XSP, 112 + 8 * (int32_t)(v - 8));
    }
    asm_pair(a, load, X29, X30, XSP, 0);
}

void a64_common(struct jit_backend *be)
{
    struct asmbuf a = {.base = be->mem.write, .end = (uint32_t)be->mem.bytes};
    be->enter = a.at; /* x0: env, x1: code */
    move_stack(&a, -ENTER_FRAME);
    callee_saved(&a, false);
    asm_mov(&a, 8, ENV, X0);
    uint32_t go = a.at; /* x1: code */
    asm_mem_near(&a, 4, A_LDS8, TABLE, X1, -(int32_t)PREFIX_BYTES);
    asm_mem_near(&a, 4, A_LDS8, TLB, X1, 4 - (int32_t)PREFIX_BYTES);
    asm_addsub(&a, 8, A_ADD, TABLE, TABLE, ENV, A_LSL, 0);
    asm_addsub(&a, 8, A_ADD, TLB, TLB, ENV, A_LSL, 0);
    a64_env_address(&a, VECS, be->l->ymm);
    pinned(&a, be->l, true);
    asm_br(&a, X1);

    be->leave = a.at; /* T0: site */
    a64_fp_off(&a, P0);
    pinned(&a, be->l, false);
    uint32_t out = a.at;
    callee_saved(&a, true);
    move_stack(&a, ENTER_FRAME);
    asm_ret(&a);

    a64_fp_common(be, &a);
    be->refill = helper(be, &a, ENV_OFF(refill), true);
    be->cond = helper(be, &a, ENV_OFF(cond), false);
    be->x87_load = helper(be, &a, ENV_OFF(x87_load), false);
    a64_x87_common(be, &a);

    be->interp = a.at; /* T0: site */
    a64_fp_off(&a, P0);
    pinned(&a, be->l, false);
    move_stack(&a, -16);
    asm_mem_imm(&a, 8, A_ST, LINK, XSP, 0);
    asm_mov(&a, 4, X1, T0);
    asm_mov(&a, 8, X0, ENV);
    asm_mem_imm(&a, 8, A_LD, P0, ENV, (uint32_t)ENV_OFF(interp));
    asm_blr(&a, P0);
    asm_mem_imm(&a, 8, A_LD, LINK, XSP, 0);
    move_stack(&a, 16);
    uint32_t gone = asm_cbz(&a, 4, true, X0);
    pinned(&a, be->l, true);
    asm_ret(&a);
    asm_here(&a, gone);
    asm_mem_imm(&a, 8, A_LD, X1, ENV, (uint32_t)ENV_OFF(host));
    uint32_t done = asm_tbz(&a, false, X0, 1); /* JIT_GO is the only one with this bit */
    asm_b_to(&a, go);
    asm_here(&a, done);
    asm_const(&a, T0, JIT_DONE);
    asm_b_to(&a, out);
    be->at = be->start = (a.at + 15) & ~15u;
}
