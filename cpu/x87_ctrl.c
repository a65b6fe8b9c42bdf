/*
 * x87: control instructions, the environment in its four formats, FSAVE and FRSTOR, FWAIT, and what
 * ESC opcodes do on a processor without an FPU.
 *
 * The environment (SDM vol. 1, 8.1.10) is seven words or seven doublewords by operand size; where
 * the pointers go in it depends on real-address (and virtual-8086) or protected mode. In 64-bit
 * mode the formats are those of protected mode, pointers cut to 32 bits.
 */
#include "cpu/x87.h"

#define CW_INIT  0x037f
#define CW_BITS  0x1f3f
#define CW_FIXED 0x0040 /* reads as 1 */

/* ---- control and status word ---- */

static void load_cw(struct cpu *cpu, uint16_t cw)
{
    x87_of(cpu)->cw = (uint16_t)((cw & CW_BITS) | CW_FIXED);
    x87_update_es(cpu);
}

SEM(fldcw)
{
    x87_begin(cpu);
    load_cw(cpu, (uint16_t)x87_load(cpu, i, 2));
}

SEM(fnstcw)
{
    x87_begin_nowait(cpu);
    x87_store(cpu, i, 2, x87_of(cpu)->cw);
}

SEM(fnstsw_m16)
{
    x87_begin_nowait(cpu);
    x87_store(cpu, i, 2, x87_of(cpu)->sw);
}

SEM(fnstsw_ax)
{
    (void)i;
    x87_begin_nowait(cpu);
    gpr_set(cpu, REG_RAX, 2, x87_of(cpu)->sw);
}

SEM(fnclex)
{
    (void)i;
    x87_begin_nowait(cpu);
    struct x87 *f = x87_of(cpu);
    f->sw &= X87_C3 | X87_TOP | X87_C2 | X87_C1 | X87_C0;
    x87_update_es(cpu);
}

static void init(struct cpu *cpu)
{
    struct x87 *f = x87_of(cpu);
    f->cw = CW_INIT;
    f->sw = 0;
    f->empty = 0xff;
    f->op = 0;
    f->ip = f->dp = 0;
    f->cs = f->ds = 0;
    x87_update_es(cpu);
}

SEM(fninit)
{
    (void)i;
    x87_begin_nowait(cpu);
    init(cpu);
}

/* FNOP. */
SEM(fnop)
{
    (void)i;
    x87_begin(cpu);
}

/* FNENI, FNDISI, FNSETPM of older coprocessors: ignored since the 387. */
SEM(fnop_old)
{
    (void)i;
    x87_begin_nowait(cpu);
}

SEM(fwait)
{
    (void)i;
    const uint64_t both = CR0_MP | CR0_TS;
    if ((cpu->s.cr0 & both) == both) {
        cpu_raise(cpu, EXC_NM);
    }
    if (cpu_has(cpu, FEAT_fpu) && (x87_of(cpu)->sw & X87_ES)) {
        x87_pending(cpu);
    }
}

/*
 * D8..DF that is no x87 instruction: #UD. Without an FPU, all of them: #NM if CR0 asks for
 * emulation, else nothing happens but the read of the operand that the processor makes for the
 * coprocessor's sake.
 */
SEM(esc)
{
    if (cpu_has(cpu, FEAT_fpu)) {
        cpu_ud(cpu);
    }
    x87_begin_nowait(cpu); /* on an 8086 CR0 is 0 */
    if (!i->mod3) {
        x87_load(cpu, i, 2);
    }
}

/* ---- the environment ---- */

static uint16_t full_tags(const struct x87 *f)
{
    unsigned tags = 0;
    for (unsigned r = 0; r < 8; r++) {
        struct f80 v = {f->m[r], f->se[r]};
        tags |= (f->empty >> r & 1 ? 3 : f80_tag(v)) << (2 * r);
    }
    return (uint16_t)tags;
}

static unsigned env_size(const struct insn *i)
{
    return i->osz == 2 ? 14 : 28;
}

/* The image of 14 or 28 bytes at p. */
static void put_env(struct cpu *cpu, const struct insn *i, uint8_t *p)
{
    const struct x87 *f = x87_of(cpu);
    uint32_t word[7] = {f->cw, f->sw, full_tags(f)};

    if (cpu_realish(cpu)) {
        uint32_t ip = (uint32_t)f->ip + ((uint32_t)f->cs << 4);
        uint32_t dp = (uint32_t)f->dp + ((uint32_t)f->ds << 4);
        word[3] = ip & 0xffff;
        word[4] = (ip >> 16) << 12 | f->op;
        word[5] = dp & 0xffff;
        word[6] = (dp >> 16) << 12;
    } else {
        word[3] = (uint32_t)f->ip;
        word[4] = f->cs | (i->osz == 2 ? 0 : (uint32_t)f->op << 16);
        word[5] = (uint32_t)f->dp;
        word[6] = f->ds;
    }
    for (unsigned n = 0; n < 7; n++) {
        if (i->osz == 2) {
            le_put(p + 2 * n, 2, word[n]);
        } else {
            bool half = n < 3 || (cpu_realish(cpu) ? n == 3 || n == 5 : n == 6);
            le_put(p + 4 * n, 4, half ? word[n] | 0xffff0000 : word[n]);
        }
    }
}

static void get_env(struct cpu *cpu, const struct insn *i, const uint8_t *p)
{
    struct x87 *f = x87_of(cpu);
    unsigned size = i->osz == 2 ? 2 : 4;
    uint32_t word[7];

    for (unsigned n = 0; n < 7; n++) {
        word[n] = (uint32_t)le_get(p + size * n, size);
    }
    f->sw = (uint16_t)word[1];
    f->empty = 0;
    for (unsigned r = 0; r < 8; r++) {
        f->empty |= (uint8_t)((word[2] >> (2 * r) & 3) == 3 ? 1u << r : 0);
    }
    if (cpu_realish(cpu)) {
        f->ip = (word[3] & 0xffff) | (word[4] >> 12 & 0xffff) << 16;
        f->op = word[4] & 0x7ff;
        f->dp = (word[5] & 0xffff) | (word[6] >> 12 & 0xffff) << 16;
        f->cs = f->ds = 0;
    } else {
        f->ip = word[3];
        f->cs = (uint16_t)word[4];
        f->op = i->osz == 2 ? f->op : word[4] >> 16 & 0x7ff;
        f->dp = word[5];
        f->ds = (uint16_t)word[6];
        if (cpu_has(cpu, FEAT_zero_fcs_fds)) {
            f->cs = f->ds = 0;
        }
    }
    load_cw(cpu, (uint16_t)word[0]);
}

/* Masks all exceptions behind it. */
SEM(fnstenv)
{
    x87_begin_nowait(cpu);
    uint8_t b[28];
    gva la = x87_la(cpu, i, env_size(i), env_size(i) / 7, ACC_WRITE);
    put_env(cpu, i, b);
    mem_wr_buf(cpu, i->seg, la, b, env_size(i), cpu->view);
    load_cw(cpu, x87_of(cpu)->cw | FP_ALL_FLAGS);
}

SEM(fldenv)
{
    x87_begin(cpu);
    uint8_t b[28];
    mem_rd_buf(cpu, i->seg, x87_la(cpu, i, env_size(i), env_size(i) / 7, ACC_READ), b, env_size(i),
               cpu->view);
    get_env(cpu, i, b);
}

/* The environment, then ST0 to ST7; the FPU is initialized behind it. */
SEM(fnsave)
{
    x87_begin_nowait(cpu);
    const struct x87 *f = x87_of(cpu);
    uint8_t b[108];
    unsigned env = env_size(i);
    gva la = x87_la(cpu, i, env + 80, env / 7, ACC_WRITE);
    put_env(cpu, i, b);
    for (unsigned n = 0; n < 8; n++) {
        struct f80 v = x87_get(f, n);
        le_put(b + env + 10 * n, 8, v.m);
        le_put(b + env + 10 * n + 8, 2, v.se);
    }
    mem_wr_buf(cpu, i->seg, la, b, env + 80, cpu->view);
    init(cpu);
}

SEM(frstor)
{
    struct x87 *f = x87_begin(cpu);
    uint8_t b[108];
    unsigned env = env_size(i);
    mem_rd_buf(cpu, i->seg, x87_la(cpu, i, env + 80, env / 7, ACC_READ), b, env + 80, cpu->view);
    get_env(cpu, i, b);
    for (unsigned n = 0; n < 8; n++) {
        unsigned r = x87_reg(f, n);
        f->m[r] = le_get(b + env + 10 * n, 8);
        f->se[r] = (uint16_t)le_get(b + env + 10 * n + 8, 2);
    }
}
