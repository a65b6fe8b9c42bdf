/*
 * x87: the beginning and end of each instruction, exceptions, and the stack's data movement (loads,
 * stores, exchanges, conditional moves).
 *
 * Exceptions. With CR0.NE an unmasked exception becomes #MF at the next waiting instruction.
 * Without it FERR# is asserted at once, and the board turns that into IRQ 13. The next waiting
 * instruction goes on if the board asserts IGNNE#; otherwise the processor stops in front of it
 * until an interrupt comes (SDM vol. 1, D.2.1; vol. 3A, 2.5 NE).
 *
 * FIP is that of the last non-control instruction. FDP and FOP follow the model: with the
 * feature fdp_excptn_only they change only when an unmasked exception occurs; with zero_fcs_fds FCS
 * and FDS are always 0 (SDM vol. 1, 8.1.8, 8.1.9). In real and virtual-8086 mode such a
 * model keeps linear addresses in FIP and FDP.
 */
#include "cpu/x87.h"

enum { PIN_FERR = 0 };  /* in cpu_pins_out */
enum { PIN_IGNNE = 5 }; /* in cpu_pins_in */

void x87_drive_ferr(struct cpu *cpu)
{
    dev_pin_set(&cpu->dev, PIN_FERR, (x87_of(cpu)->sw & X87_ES) && !(cpu->s.cr0 & CR0_NE));
}

void x87_pending(struct cpu *cpu)
{
    if (cpu->s.cr0 & CR0_NE) {
        cpu_raise(cpu, EXC_MF);
    }
    if (!dev_pin_in(&cpu->dev, PIN_IGNNE)) {
        cpu_raise(cpu, EXC_STOP);
    }
}

void x87_update_es(struct cpu *cpu)
{
    struct x87 *f = x87_of(cpu);
    bool pending = f->sw & ~f->cw & FP_ALL_FLAGS;

    f->sw = (uint16_t)(pending ? f->sw | X87_ES | X87_B : f->sw & ~(X87_ES | X87_B));
    x87_drive_ferr(cpu);
}

/* Where the instruction and its operand lie, for FSTENV and FXSAVE. */
static void note_pointers(struct cpu *cpu, const struct insn *i, bool unmasked)
{
    struct x87 *f = x87_of(cpu);
    bool no_selectors = cpu_has(cpu, FEAT_zero_fcs_fds), linear = no_selectors && cpu_realish(cpu);

    f->ip = insn_ip(cpu, i) + (linear ? cpu->s.seg[SEG_CS].base : 0);
    f->cs = no_selectors ? 0 : cpu->s.seg[SEG_CS].sel;
    if (unmasked || !cpu_has(cpu, FEAT_fdp_excptn_only)) {
        f->op = (uint16_t)((i->opcode & 7) << 8 | i->modrm);
        if (!i->mod3) {
            f->dp = insn_ea(cpu, i) + (linear ? cpu->s.seg[i->seg].base : 0);
            f->ds = no_selectors ? 0 : cpu->s.seg[i->seg].sel;
        }
    }
}

void x87_finish(struct cpu *cpu, const struct insn *i, const struct fp_env *e)
{
    struct x87 *f = x87_of(cpu);

    f->sw = (uint16_t)((f->sw & ~X87_C1) | e->flags | (e->roundup ? X87_C1 : 0));
    if (i) {
        note_pointers(cpu, i, x87_unmasked(e, FP_ALL_FLAGS));
    }
    if (UNLIKELY(x87_unmasked(e, FP_ALL_FLAGS))) {
        x87_update_es(cpu);
    }
}

void x87_finish_reg(struct cpu *cpu, const struct insn *i, const struct fp_env *e, unsigned dst,
                    struct f80 v, unsigned pops)
{
    struct x87 *f = x87_of(cpu);

    if (LIKELY(!x87_blocked(e))) {
        x87_set(f, dst, v);
        x87_pop(f, pops);
    }
    x87_finish(cpu, i, e);
}

void x87_finish_push(struct cpu *cpu, const struct insn *i, struct fp_env *e, struct f80 v)
{
    struct x87 *f = x87_of(cpu);

    if (UNLIKELY(!x87_empty(f, 7) && !(e->flags & X87_SF))) { /* underflow comes first */
        e->flags = FP_IE | X87_SF;
        e->roundup = true;
        v = F80_INDEFINITE;
    }
    if (LIKELY(!x87_unmasked(e, FP_IE))) {
        x87_move_top(f, 7);
        x87_set(f, 0, v);
    }
    x87_finish(cpu, i, e);
}

/* ---- loads ---- */

/* A float or an integer in memory, exact or with the flags that a load raises. */
static struct f80 loaded(struct fp_env *e, enum x87_form form, uint64_t v)
{
    switch (form) {
    case X87_F32:
        return f80_from_f32(e, (uint32_t)v);
    case X87_F64:
        return f80_from_f64(e, v);
    case X87_I16:
        return f80_from_i32((int16_t)v);
    case X87_I32:
        return f80_from_i32((int32_t)v);
    default:
        return f80_from_i64((int64_t)v);
    }
}

void x87_push_from(struct cpu *cpu, const struct insn *i, enum x87_form form, uint64_t v)
{
    struct fp_env e = x87_env(x87_of(cpu));
    x87_finish_push(cpu, i, &e, loaded(&e, form, v));
}

static void load(struct cpu *cpu, const struct insn *i, enum x87_form form, unsigned size)
{
    x87_begin(cpu);
    x87_push_from(cpu, i, form, x87_load(cpu, i, size));
}

SEM(fld_m32)
{
    load(cpu, i, X87_F32, 4);
}

SEM(fld_m64)
{
    load(cpu, i, X87_F64, 8);
}

SEM(fld_m80)
{
    struct x87 *f = x87_begin(cpu);
    uint8_t b[10];
    mem_rd_buf(cpu, i->seg, x87_la(cpu, i, 10, 8, ACC_READ), b, 10, cpu->view);
    struct fp_env e = x87_env(f);
    struct f80 v = {le_get(b, 8), (uint16_t)le_get(b + 8, 2)};
    x87_finish_push(cpu, i, &e, v);
}

SEM(fild_m16)
{
    load(cpu, i, X87_I16, 2);
}

SEM(fild_m32)
{
    load(cpu, i, X87_I32, 4);
}

SEM(fild_m64)
{
    load(cpu, i, X87_I64, 8);
}

SEM(fbld)
{
    struct x87 *f = x87_begin(cpu);
    uint8_t b[10];
    mem_rd_buf(cpu, i->seg, x87_la(cpu, i, 10, 8, ACC_READ), b, 10, cpu->view);
    struct fp_env e = x87_env(f);
    x87_finish_push(cpu, i, &e, f80_from_bcd(b));
}

void x87_push_sti(struct cpu *cpu, const struct insn *i, unsigned n)
{
    const struct x87 *f = x87_of(cpu);
    struct fp_env e = x87_env(f);
    struct f80 v = x87_get(f, n);
    if (x87_empty(f, n)) {
        x87_underflow(&e);
        v = F80_INDEFINITE;
    }
    x87_finish_push(cpu, i, &e, v);
}

SEM(fld_sti)
{
    x87_begin(cpu);
    x87_push_sti(cpu, i, i->rm & 7);
}

void x87_push_const(struct cpu *cpu, const struct insn *i, unsigned n)
{
    struct fp_env e = x87_env(x87_of(cpu));
    x87_finish_push(cpu, i, &e, f80_constant(&e, n));
}

SEM(fld_const)
{
    x87_begin(cpu);
    x87_push_const(cpu, i, i->modrm & 7);
}

/* ---- stores ---- */

/* An exception that keeps a store from memory, and the stack from its pop. */
static bool store_blocked(const struct fp_env *e)
{
    return x87_unmasked(e, FP_IE | FP_DE | FP_ZE | FP_OE | FP_UE);
}

/* `size` bytes at p, and a pop, unless blocked. */
static void finish_store(struct cpu *cpu, const struct insn *i, const struct fp_env *e,
                         const uint8_t *p, unsigned size, bool pop)
{
    gva la = size == 10 ? x87_la(cpu, i, 10, 8, ACC_WRITE) : insn_la(cpu, i, size, ACC_WRITE);
    if (store_blocked(e)) {
        mem_probe(cpu, i->seg, la, size, ACC_WRITE, cpu->view); /* faults all the same */
    } else {
        if (size == 10) {
            mem_wr_buf(cpu, i->seg, la, p, 10, cpu->view);
        } else {
            mem_wr(cpu, i->seg, la, size, le_get(p, size));
        }
        x87_pop(x87_of(cpu), pop);
    }
    x87_finish(cpu, i, e);
}

/* ST0 in the form wanted, into p; its size. */
static unsigned convert(struct fp_env *e, enum x87_form form, struct f80 v, bool truncate,
                        uint8_t *p)
{
    switch (form) {
    case X87_F32:
        le_put(p, 4, f80_to_f32(e, v));
        return 4;
    case X87_F64:
        le_put(p, 8, f80_to_f64(e, v));
        return 8;
    case X87_F80:
        le_put(p, 8, v.m);
        le_put(p + 8, 2, v.se);
        return 10;
    case X87_I16:
        le_put(p, 2, (uint64_t)f80_to_i16(e, v, truncate));
        return 2;
    case X87_I32:
        le_put(p, 4, (uint64_t)f80_to_i32(e, v, truncate));
        return 4;
    case X87_I64:
        le_put(p, 8, (uint64_t)f80_to_i64(e, v, truncate));
        return 8;
    default:
        f80_to_bcd(e, v, p);
        return 10;
    }
}

static void store(struct cpu *cpu, const struct insn *i, enum x87_form form, bool truncate,
                  bool pop)
{
    struct x87 *f = x87_begin(cpu);
    struct fp_env e = x87_env(f);
    uint8_t bytes[10];
    bool empty = x87_empty(f, 0);
    unsigned size = convert(&e, form, empty ? F80_INDEFINITE : x87_get(f, 0), truncate, bytes);

    if (empty) {
        x87_underflow(&e);
    }
    finish_store(cpu, i, &e, bytes, size, pop);
}

uint64_t x87_take(struct cpu *cpu, enum x87_form form, bool truncate, bool pop)
{
    struct x87 *f = x87_of(cpu);
    struct fp_env e = x87_env(f);
    uint8_t bytes[10];
    bool empty = x87_empty(f, 0);
    unsigned size = convert(&e, form, empty ? F80_INDEFINITE : x87_get(f, 0), truncate, bytes);
    if (empty) {
        x87_underflow(&e);
    }
    x87_pop(f, pop);
    x87_finish(cpu, NULL, &e);
    return le_get(bytes, size < 8 ? size : 8);
}

SEM(fst_m32)
{
    store(cpu, i, X87_F32, false, i->reg & 1);
}

SEM(fst_m64)
{
    store(cpu, i, X87_F64, false, i->reg & 1);
}

SEM(fstp_m80)
{
    store(cpu, i, X87_F80, false, true);
}

SEM(fist_m16)
{
    store(cpu, i, X87_I16, false, i->reg & 1);
}

SEM(fist_m32)
{
    store(cpu, i, X87_I32, false, i->reg & 1);
}

SEM(fistp_m64)
{
    store(cpu, i, X87_I64, false, true);
}

SEM(fisttp_m16)
{
    store(cpu, i, X87_I16, true, true);
}

SEM(fisttp_m32)
{
    store(cpu, i, X87_I32, true, true);
}

SEM(fisttp_m64)
{
    store(cpu, i, X87_I64, true, true);
}

SEM(fbstp)
{
    store(cpu, i, X87_BCD, false, true);
}

void x87_store_sti(struct cpu *cpu, const struct insn *i, unsigned n, bool pop)
{
    struct x87 *f = x87_of(cpu);
    struct fp_env e = x87_env(f);
    struct f80 v = x87_get(f, 0);
    if (x87_empty(f, 0)) {
        x87_underflow(&e);
        v = F80_INDEFINITE;
    }
    x87_finish_reg(cpu, i, &e, n, v, pop);
}

/* FST and FSTP to a register; DD D8+i and its aliases D9 D8+i, DF D0+i, DF D8+i pop. FSTP1 (D9)
 * knows no stack underflow: an empty ST0 is popped and nothing stored. */
SEM(fst_sti)
{
    struct x87 *f = x87_begin(cpu);
    struct fp_env e = x87_env(f);
    if (x87_empty(f, 0) && i->opcode == 0xd9) {
        x87_pop(f, 1);
        x87_finish(cpu, i, &e);
        return;
    }
    x87_store_sti(cpu, i, i->rm & 7, i->opcode != 0xdd || (i->reg & 1));
}

/* ---- within the stack ---- */

void x87_exchange(struct cpu *cpu, const struct insn *i, unsigned n)
{
    struct x87 *f = x87_of(cpu);
    struct fp_env e = x87_env(f);
    struct f80 a = x87_get(f, 0), b = x87_get(f, n);
    if (x87_empty(f, 0) || x87_empty(f, n)) {
        x87_underflow(&e);
        a = x87_empty(f, 0) ? F80_INDEFINITE : a;
        b = x87_empty(f, n) ? F80_INDEFINITE : b;
    }
    if (!x87_blocked(&e)) {
        x87_set(f, n, a);
        x87_set(f, 0, b);
    }
    x87_finish(cpu, i, &e);
}

SEM(fxch)
{
    x87_begin(cpu);
    x87_exchange(cpu, i, i->rm & 7);
}

/* C1 stays but for a stack underflow. */
void x87_cmov(struct cpu *cpu, const struct insn *i, unsigned n, bool cond)
{
    const struct x87 *f = x87_of(cpu);
    struct fp_env e = x87_env(f);
    struct f80 v = x87_get(f, cond ? n : 0);
    e.roundup = f->sw & X87_C1;
    if (x87_empty(f, 0) || x87_empty(f, n)) {
        x87_underflow(&e);
        v = F80_INDEFINITE;
    }
    x87_finish_reg(cpu, i, &e, 0, v, 0);
}

/* DA C0+: B, E, BE, U; DB C0+: their opposites. */
SEM(fcmov)
{
    bool cond;
    x87_begin(cpu);
    switch (i->reg & 3) {
    case 0:
        cond = flag_cf(cpu);
        break;
    case 1:
        cond = flag_zf(cpu);
        break;
    case 2:
        cond = flag_cf(cpu) || flag_zf(cpu);
        break;
    default:
        cond = flag_pf(cpu);
        break;
    }
    x87_cmov(cpu, i, i->rm & 7, cond ^ (i->opcode == 0xdb));
}

void x87_sign(struct cpu *cpu, const struct insn *i, bool absolute)
{
    const struct x87 *f = x87_of(cpu);
    struct fp_env e = x87_env(f);
    struct f80 v = x87_get(f, 0);
    v = absolute ? f80_abs(v) : f80_negate(v);
    if (x87_empty(f, 0)) {
        x87_underflow(&e);
        v = F80_INDEFINITE;
    }
    x87_finish_reg(cpu, i, &e, 0, v, 0);
}

SEM(fchs)
{
    x87_begin(cpu);
    x87_sign(cpu, i, false);
}

SEM(fabs)
{
    x87_begin(cpu);
    x87_sign(cpu, i, true);
}

/* FDECSTP, FINCSTP: D9 F6, D9 F7. */
SEM(fxxcstp)
{
    struct x87 *f = x87_begin(cpu);
    struct fp_env e = x87_env(f);
    x87_move_top(f, i->modrm & 1 ? 1 : 7);
    x87_finish(cpu, i, &e);
}

/* FFREE (DD C0+i), and the undocumented FFREEP (DF C0+i), which pops. */
SEM(ffree)
{
    struct x87 *f = x87_begin(cpu);
    struct fp_env e = x87_env(f);
    x87_free(f, i->rm & 7);
    x87_pop(f, i->opcode == 0xdf);
    x87_finish(cpu, i, &e);
}
