/*
 * Pending flags; see x64.h and enum jit_cc.
 *
 * Nothing is stored for flags while the values that they come from are still in guest registers:
 * the recipe is recorded at each place that can leave. It goes to memory when one of those
 * registers is about to change and somebody may still look, and at the block's end. Stores and
 * moves do not touch the host's flags, so a compare at the block's end is stored between itself and
 * its jump.
 */
#include <stddef.h>

#include "cpu/jit/pass.h"
#include "cpu/jit/x64/x64.h"

static unsigned log2_of(unsigned w)
{
    return w == 1 ? 0 : w == 2 ? 1 : w == 4 ? 2 : 3;
}

static void store_loc(struct em *e, int32_t slot, unsigned at, unsigned reg, int32_t imm)
{
    if (at == LOC_REG) {
        asm_store(&e->a, 8, xm(ENV, slot), x64_get(e, reg, T0));
    } else if (at == LOC_IMM) {
        asm_store_imm(&e->a, 8, xm(ENV, slot), imm);
    }
}

static bool uses_b(unsigned cc)
{
    return cc == CC_ADD || cc == CC_SUB || cc == CC_CMP || cc == CC_ADC || cc == CC_SBB ||
           cc == CC_SHR;
}

void x64_spill_flags(struct em *e)
{
    struct jit_recipe *r = &e->rc;
    if (r->slot) {
        return;
    }
    unsigned was = emit_class(&e->a.count, EMIT_flags);
    store_loc(e, ENV_OFF(cc_res), r->res_at, r->res_reg, 0);
    if (uses_b(r->cc)) {
        store_loc(e, ENV_OFF(cc_b), r->b_at, r->b_reg, r->b_imm);
    }
    asm_store_imm(&e->a, 4, xm(ENV, ENV_OFF(cc_op)), r->cc << 2 | r->lw | r->zf << 24);
    emit_class(&e->a.count, was);
    r->slot = true;
    r->known = !r->zf;
    r->zf = false;
    r->res_at = LOC_SLOT;
    r->b_at = r->b_at == LOC_IMM ? LOC_IMM : LOC_SLOT;
    e->over = OVER_NONE;
    e->sahf = false;
}

void x64_over(struct em *e, unsigned over, unsigned reg)
{
    unsigned was = emit_class(&e->a.count, EMIT_flags);
    asm_store(&e->a, 8, xm(ENV, ENV_OFF(cc_over)), reg);
    asm_store_imm(&e->a, 1, xm(ENV, ENV_OFF(cc_op) + 1), (int32_t)(over << 2 | log2_of(e->u->w)));
    emit_class(&e->a.count, was);
    e->over = (uint8_t)over;
    e->rc.known = false;
}

void x64_kill_reg(struct em *e, unsigned reg)
{
    struct jit_recipe *r = &e->rc;
    if (r->slot || !(e->u->attr & UF_NEED) || uop_sets_all(e->u)) {
        return;
    }
    if ((r->res_at == LOC_REG && r->res_reg == reg) ||
        (uses_b(r->cc) && r->b_at == LOC_REG && r->b_reg == reg)) {
        x64_spill_flags(e);
    }
}

void x64_set_recipe(struct em *e, unsigned cc, unsigned w)
{
    e->rc = (struct jit_recipe){.cc = (uint8_t)cc, .lw = (uint8_t)log2_of(w)};
}

void x64_res_reg(struct em *e, unsigned r)
{
    e->rc.res_at = LOC_REG;
    e->rc.res_reg = (uint8_t)r;
}

void x64_res_host(struct em *e, unsigned host)
{
    unsigned was = emit_class(&e->a.count, EMIT_flags);
    asm_store(&e->a, 8, xm(ENV, ENV_OFF(cc_res)), host);
    emit_class(&e->a.count, was);
    e->rc.res_at = LOC_SLOT;
}

void x64_b_reg(struct em *e, unsigned r)
{
    e->rc.b_at = LOC_REG;
    e->rc.b_reg = (uint8_t)r;
}

void x64_b_imm(struct em *e, int64_t v)
{
    e->rc.b_at = LOC_IMM;
    e->rc.b_imm = (int32_t)v;
}

void x64_b_host(struct em *e, unsigned host)
{
    unsigned was = emit_class(&e->a.count, EMIT_flags);
    asm_store(&e->a, 8, xm(ENV, ENV_OFF(cc_b)), host);
    emit_class(&e->a.count, was);
    e->rc.b_at = LOC_SLOT;
}

/* ---- looking at flags ---- */

/* Common code: the host's flags become those of the recipe in memory, all of them. What compares
 * and arithmetic left is done again, else C says. Ends T0. */
static void flags_again(struct asmbuf *a, unsigned kind, unsigned w)
{
    struct xo b = xm(ENV, ENV_OFF(cc_b));
    asm_load(a, 8, T0, xm(ENV, ENV_OFF(cc_res)));
    switch (kind) {
    case CC_LOGIC:
        asm_alu_imm(a, w, 7, xr(T0), 0); /* not TEST: AF is 0 */
        break;
    case CC_ADD:
        asm_alu(a, w, 5, T0, b);
        asm_alu(a, w, 0, T0, b);
        break;
    case CC_SUB:
        asm_alu(a, w, 0, T0, b);
        asm_alu(a, w, 7, T0, b);
        break;
    default:
        asm_alu(a, w, 7, T0, b);
        break;
    }
    asm_byte(a, 0xc3);
}

uint32_t x64_flags_common(const struct jit_backend *be, struct asmbuf *a)
{
    static const uint8_t kinds[] = {CC_CMP, CC_LOGIC, CC_SUB, CC_ADD};
    uint32_t at = a->at;
    asm_load(a, 4, T0, xm(ENV, ENV_OFF(cc_op)));
    for (unsigned k = 0; k < sizeof kinds; k++) {
        for (unsigned lw = 4; lw-- > 0;) {
            asm_alu_imm(a, 4, 7, xr(T0), (int32_t)(kinds[k] << 2 | lw));
            uint32_t other = asm_jcc(a, XNE);
            flags_again(a, kinds[k], 1u << lw);
            asm_here(a, other);
        }
    }
    asm_alu_imm(a, 8, 5, xr(RSP), 8);
    asm_const(a, T0, JIT_COND_IMAGE);
    asm_call_to(a, be->cond);
    asm_alu_imm(a, 8, 0, xr(RSP), 8);
    asm_alu_imm(a, 4, 4, xr(T0), 0x8d5); /* the arithmetic ones */
    asm_push(a, T0);
    asm_byte(a, 0x9d); /* popf */
    asm_byte(a, 0xc3);
    return at;
}

/* The host's flags become the guest's, from a recipe in memory that is not known. */
static void load_flags(struct em *e)
{
    x64_vec_drop(e);
    asm_call_to(&e->a, e->be->flags);
    e->host_flags = HF_ALL;
    e->over = OVER_NONE;
    e->sahf = false;
    e->rc.known = false;
}

/* C looks at the recipe in memory: T0 = what JIT_COND_xx asks for. */
static void call_cond(struct em *e, unsigned cc)
{
    x64_vec_drop(e);
    asm_const(&e->a, T0, cc);
    asm_call_to(&e->a, e->be->cond);
    e->host_flags = HF_NONE;
    e->rc.known = false; /* C may have settled them */
    e->over = OVER_NONE;
    e->sahf = false;
}

/* Does e->rc say what the flags come from, be it in memory or not? */
static bool recipe_known(const struct em *e)
{
    return !e->rc.slot || (e->rc.known && e->over == OVER_NONE && !e->sahf);
}

/* Is CF in env->cc_cf already, whatever else the recipe says? */
static bool cf_in_slot(const struct em *e)
{
    return recipe_known(e) && e->rc.cc < CC_CANON;
}

static void save_cf(struct em *e, bool aside)
{
    struct xo slot = xm(ENV, aside ? ENV_OFF(scratch) : ENV_OFF(cc_cf));
    e->aside = false;
    if (cf_in_slot(e)) {
        return;
    }
    e->aside = aside;
    if (!e->host_flags && !recipe_known(e) && e->over != OVER_CF && !e->sahf) {
        /* It is there if cc_op says one of the first kinds, and nothing about cc_over. */
        uint32_t over = 0;
        x64_vec_drop(e); /* on both ways */
        if (!aside) {
            asm_alu_imm(&e->a, 4, 7, xm(ENV, ENV_OFF(cc_op)), CC_CANON << 2);
            over = asm_jcc(&e->a, XB);
        }
        load_flags(e);
        asm_setcc(&e->a, XB, slot);
        if (!aside) {
            asm_here(&e->a, over);
            e->host_flags = HF_NONE;
        }
        return;
    }
    unsigned cc = x64_cond(e, XB);
    asm_setcc(&e->a, cc, slot);
}

void x64_save_cf(struct em *e, bool aside)
{
    unsigned was = emit_class(&e->a.count, EMIT_flags);
    save_cf(e, aside);
    emit_class(&e->a.count, was);
}

void x64_take_cf(struct em *e)
{
    if (e->aside) {
        unsigned was = emit_class(&e->a.count, EMIT_flags);
        asm_zx(&e->a, 1, T1, xm(ENV, ENV_OFF(scratch)));
        asm_store(&e->a, 1, xm(ENV, ENV_OFF(cc_cf)), T1);
        emit_class(&e->a.count, was);
    }
}

void x64_load_cf(struct em *e, int32_t slot)
{
    unsigned was = emit_class(&e->a.count, EMIT_flags);
    asm_alu_imm(&e->a, 1, 7, xm(ENV, slot), 1);
    emit_one(&e->a.count);
    asm_byte(&e->a, 0xf5); /* cmc */
    emit_class(&e->a.count, was);
}

/* The recipe's values as operands. T0 is loaded if need be. */
static unsigned res_value(struct em *e)
{
    if (e->rc.res_at == LOC_REG) {
        return x64_get(e, e->rc.res_reg, T0);
    }
    asm_load(&e->a, 8, T0, xm(ENV, ENV_OFF(cc_res)));
    return T0;
}

static void alu_b(struct em *e, unsigned w, unsigned n, unsigned reg)
{
    if (e->rc.b_at == LOC_IMM) {
        asm_alu_imm(&e->a, w, n, xr(reg), e->rc.b_imm);
    } else {
        asm_alu(&e->a, w, n, reg,
                e->rc.b_at == LOC_REG ? x64_gpr(e, e->rc.b_reg) : xm(ENV, ENV_OFF(cc_b)));
    }
}

static void copy_to_t0(struct em *e, unsigned from)
{
    if (from != T0) {
        asm_mov(&e->a, 8, T0, from);
    }
}

/* The host's flags are the guest's now, but for ZF if that comes from elsewhere. */
static void all_in_host(struct em *e)
{
    e->host_flags = e->rc.zf ? HF_NONE : HF_ALL;
}

static unsigned test_bits(struct em *e, int32_t slot, unsigned mask, unsigned cc)
{
    asm_test_imm(&e->a, 1, xm(ENV, slot), (int32_t)mask);
    return cc & 1 ? XE : XNE;
}

/* Conditions that stand as bits in memory: returns the host's condition, or -1. */
static int cond_in_memory(struct em *e, unsigned cc)
{
    static const uint8_t mask[8] = {0, 1, 0x40, 0x41, 0x80, 4, 0, 0}; /* of EFLAGS, by cc >> 1 */
    const struct jit_recipe *r = &e->rc;
    unsigned pair = cc >> 1;
    if (r->zf && pair == XE >> 1) {
        return (int)test_bits(e, ENV_OFF(cc_zf), 1, cc);
    }
    if (r->slot && e->over == OVER_CF && pair == XB >> 1) {
        return (int)test_bits(e, ENV_OFF(cc_over), 1, cc);
    }
    if (r->slot && e->sahf && mask[pair] && (e->over == OVER_NONE || !(mask[pair] & 1))) {
        return (int)test_bits(e, ENV_OFF(cc_sahf), mask[pair], cc);
    }
    if (cf_in_slot(e) && pair == XB >> 1) {
        return (int)test_bits(e, ENV_OFF(cc_cf), 1, cc);
    }
    return -1;
}

/* Conditions that the host can work out again from the recipe's values, or -1. */
static int cond_again(struct em *e, unsigned cc)
{
    const struct jit_recipe *r = &e->rc;
    unsigned w = 1u << r->lw, kind = r->cc, pair = cc >> 1;
    bool simple = pair == XE >> 1 || pair == XS >> 1 || pair == XP >> 1;
    if (!recipe_known(e) || (r->zf && (pair == XBE >> 1 || pair == XLE >> 1))) {
        return -1;
    }
    if (kind == CC_CMP) {
        alu_b(e, w, 7, res_value(e));
        all_in_host(e);
    } else if ((kind == CC_BITS || kind == CC_BITSO) && cc >= XB && cc <= XNP) {
        static const uint8_t bits[] = {0, 0x01, 0x40, 0x41, 0x80, 0x04}; /* CF, ZF, SF, PF */
        asm_test_imm(&e->a, 1, xm(ENV, ENV_OFF(cc_res) + 1), bits[pair]);
        e->host_flags = HF_NONE;
        return cc & 1 ? XE : XNE;
    } else if (kind != CC_BITS && kind != CC_BITSO &&
               (kind == CC_ZF ? pair == XE >> 1 : simple || kind == CC_LOGIC)) {
        unsigned v = res_value(e);
        asm_test(&e->a, w, xr(v), v);
        e->host_flags = HF_NONE;
        if (kind == CC_LOGIC) {
            all_in_host(e);
        }
    } else if (kind == CC_SUB || kind == CC_ADD) {
        copy_to_t0(e, res_value(e));
        alu_b(e, w, kind == CC_SUB ? 0 : 5, T0);
        alu_b(e, w, kind == CC_SUB ? 7 : 0, T0);
        all_in_host(e);
    } else if (kind == CC_NEG) {
        copy_to_t0(e, res_value(e));
        asm_un(&e->a, w, 3, xr(T0));
        asm_un(&e->a, w, 3, xr(T0));
        all_in_host(e);
    } else if ((kind == CC_INC || kind == CC_DEC) && pair != XBE >> 1) {
        copy_to_t0(e, res_value(e));
        asm_alu_imm(&e->a, w, kind == CC_INC ? 5 : 0, xr(T0), 1);
        asm_inc(&e->a, w, kind == CC_INC ? 0 : 1, xr(T0));
        e->host_flags = HF_NONE;
    } else {
        return -1;
    }
    return (int)cc;
}

static unsigned cond(struct em *e, unsigned cc)
{
    unsigned pair = cc >> 1;
    unsigned in_host = pair == XB >> 1 ? HF_CF : pair == XE >> 1 ? HF_ZF : 0;
    if (e->host_flags == HF_ALL || (e->host_flags & in_host)) {
        return cc;
    }
    int host = cond_in_memory(e, cc);
    if (host < 0) {
        host = cond_again(e, cc);
    } else {
        e->host_flags = HF_NONE;
    }
    if (host >= 0) {
        return (unsigned)host;
    }
    x64_spill_flags(e);
    load_flags(e);
    return cc;
}

unsigned x64_cond(struct em *e, unsigned cc)
{
    unsigned was = emit_class(&e->a.count, EMIT_flags);
    cc = cond(e, cc);
    emit_class(&e->a.count, was);
    return cc;
}

/* ---- some flags alone ---- */

/* What CF alone may not replace: another's OF. */
static bool only_cf(const struct em *e)
{
    return e->over == OVER_NONE || e->over == OVER_CF;
}

void x64_over_begin(struct em *e, unsigned over)
{
    x64_spill_flags(e);
    if ((over != OVER_CF && over != OVER_NONE) || only_cf(e)) {
        return;
    }
    unsigned was = emit_class(&e->a.count, EMIT_flags);
    uint32_t skip = 0;
    if (e->over == OVER_ANY) {
        x64_vec_drop(e); /* on both ways */
        asm_alu_imm(&e->a, 1, 7, xm(ENV, ENV_OFF(cc_op) + 1), 0);
        skip = asm_jcc(&e->a, XE);
    }
    call_cond(e, JIT_COND_SETTLE);
    if (skip) {
        asm_here(&e->a, skip);
    }
    emit_class(&e->a.count, was);
}

void x64_over_cf(struct em *e)
{
    unsigned was = emit_class(&e->a.count, EMIT_flags);
    asm_setcc(&e->a, XB, xm(ENV, ENV_OFF(cc_over)));
    asm_store_imm(&e->a, 1, xm(ENV, ENV_OFF(cc_op) + 1), OVER_CF << 2);
    emit_class(&e->a.count, was);
    e->over = OVER_CF;
    e->rc.known = false;
}

void x64_over_sahf(struct em *e, unsigned reg)
{
    unsigned was = emit_class(&e->a.count, EMIT_flags);
    asm_store(&e->a, 1, xm(ENV, ENV_OFF(cc_sahf)), reg);
    asm_op(&e->a, 2, 0xc7, 0, xm(ENV, ENV_OFF(cc_op) + 1), 0); /* and neither CF nor ZF alone */
    asm_imm(&e->a, 1 << 8, 2);
    asm_store_imm(&e->a, 1, xm(ENV, ENV_OFF(cc_op) + 3), 0);
    emit_class(&e->a.count, was);
    e->over = OVER_NONE;
    e->sahf = true;
    e->rc.known = false;
}

void x64_over_zf(struct em *e)
{
    unsigned was = emit_class(&e->a.count, EMIT_flags);
    asm_setcc(&e->a, XE, xm(ENV, ENV_OFF(cc_zf)));
    if (e->rc.slot) {
        asm_store_imm(&e->a, 1, xm(ENV, ENV_OFF(cc_op) + 3), 1);
        e->sahf = false; /* some of it */
        e->rc.known = false;
    } else {
        e->rc.zf = true;
    }
    emit_class(&e->a.count, was);
}

/* The host's flags, if they are the guest's, are so with AF. */
static bool sets_af(const struct em *e)
{
    unsigned cc = e->rc.cc;
    return recipe_known(e) && !e->rc.zf &&
           (cc == CC_ADD || cc == CC_SUB || cc == CC_CMP || cc == CC_NEG || cc == CC_ADC ||
            cc == CC_SBB);
}

/* The host's flags are the guest's arithmetic ones, or are made so; the others stand in memory. */
void x64_image(struct em *e)
{
    enum { ARITH = 0x8d5, AF = 0x10, VM_RF = 0x30000 };
    struct asmbuf *a = &e->a;
    unsigned was = emit_class(&a->count, EMIT_flags);
    unsigned arith = ARITH;
    if (e->host_flags == HF_ALL && recipe_known(e) && e->rc.cc == CC_LOGIC) {
        arith &= ~(unsigned)AF; /* the host's is undefined */
    } else if (e->host_flags != HF_ALL || !sets_af(e)) {
        x64_spill_flags(e);
        load_flags(e);
    }
    emit_one(&a->count);
    asm_byte(a, 0x9c); /* pushf */
    asm_pop(a, T0);
    asm_alu_imm(a, 4, 4, xr(T0), (int32_t)arith);
    asm_load(a, 4, T1, xm(ENV, e->be->l->rflags));
    asm_alu_imm(a, 4, 4, xr(T1), ~(ARITH | VM_RF));
    asm_alu(a, 4, 1, T0, xr(T1));
    e->host_flags = HF_NONE;
    emit_class(&a->count, was);
}
