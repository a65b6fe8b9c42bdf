/*
 * Decoded instructions to micro-operations; see cpu/jit/uop.h.
 *
 * The table row remains the source: it names the semantic, says which flags are read and written
 * and how operands are found. Here stands only which micro-operation is the same as a semantic; one
 * that is not listed, or has operands that micro-operations do not express, runs in the
 * interpreter.
 */
#include "cpu/lift.h"

#include "cpu/forms.h"
#include "cpu/holes.h"

#define SEMS(X)                                                                                    \
    X(add, ADD)                                                                                    \
    X(or, OR)                                                                                      \
    X(adc, ADC)                                                                                    \
    X(sbb, SBB)                                                                                    \
    X(and, AND)                                                                                    \
    X(sub, SUB)                                                                                    \
    X(xor, XOR)                                                                                    \
    X(cmp, CMP)                                                                                    \
    X(test, TEST)                                                                                  \
    X(inc, INC)                                                                                    \
    X(dec, DEC)                                                                                    \
    X(neg, NEG)                                                                                    \
    X(not, NOT)                                                                                    \
    X(mov, MOV)                                                                                    \
    X(movzx_b, MOVZX)                                                                              \
    X(movzx_w, MOVZX)                                                                              \
    X(movsx_b, MOVSX)                                                                              \
    X(movsx_w, MOVSX)                                                                              \
    X(movsxd, MOVSX)                                                                               \
    X(lea, LEA)                                                                                    \
    X(shl, SHL)                                                                                    \
    X(shr, SHR)                                                                                    \
    X(sar, SAR)                                                                                    \
    X(rol, ROL)                                                                                    \
    X(ror, ROR)                                                                                    \
    X(imul2, IMUL)                                                                                 \
    X(imul3, IMUL)                                                                                 \
    X(mul, MUL1)                                                                                   \
    X(imul1, IMUL1)                                                                                \
    X(div, DIV)                                                                                    \
    X(idiv, IDIV)                                                                                  \
    X(bt, BT)                                                                                      \
    X(bts, BT)                                                                                     \
    X(btr, BT)                                                                                     \
    X(btc, BT)                                                                                     \
    X(cwd, CWD)                                                                                    \
    X(cbw, CBW)                                                                                    \
    X(xchg, XCHG)                                                                                  \
    X(bswap, BSWAP)                                                                                \
    X(xchg_acc, XCHG)                                                                              \
    X(nop, NOP)                                                                                    \
    X(push, PUSH)                                                                                  \
    X(push_imm, PUSH)                                                                              \
    X(pop, POP)                                                                                    \
    X(leave, LEAVE)                                                                                \
    X(jmp_rel, JMP)                                                                                \
    X(jmp_ind, JMPI)                                                                               \
    X(call_rel, CALL)                                                                              \
    X(call_ind, CALLI)                                                                             \
    X(ret_near, RET)                                                                               \
    X(movs, MOVS)                                                                                  \
    X(stos, STOS)                                                                                  \
    X(lods, LODS)                                                                                  \
    X(cmps, CMPS)                                                                                  \
    X(scas, SCAS)                                                                                  \
    X(loopne, JCOUNT)                                                                              \
    X(loope, JCOUNT)                                                                               \
    X(loop, JCOUNT)                                                                                \
    X(jcxz, JCOUNT)                                                                                \
    X(cli, CLI)                                                                                    \
    X(sti, STI)                                                                                    \
    X(swapgs, SWAPGS)                                                                              \
    X(clac, SETAC)                                                                                 \
    X(stac, SETAC)                                                                                 \
    X(rdtsc, RDTSC)                                                                                \
    X(rdtscp, RDTSC)                                                                               \
    X(pushf, PUSHF)                                                                                \
    X(popf, POPF)                                                                                  \
    X(push_sreg, PUSHSEG)                                                                          \
    X(pop_sreg, LOADSEG)                                                                           \
    X(mov_to_sreg, LOADSEG)                                                                        \
    X(in, IN)                                                                                      \
    X(out, OUT)                                                                                    \
    X(lahf, LAHF)                                                                                  \
    X(sahf, SAHF)                                                                                  \
    X(clc, SETCF)                                                                                  \
    X(stc, SETCF)                                                                                  \
    X(cmc, SETCF)                                                                                  \
    X(cld, SETDF)                                                                                  \
    X(std, SETDF)                                                                                  \
    X(shld, SHLD)                                                                                  \
    X(shrd, SHRD)                                                                                  \
    X(rcl, RCL)                                                                                    \
    X(rcr, RCR)                                                                                    \
    X(bsf, BSF)                                                                                    \
    X(bsr, BSR)                                                                                    \
    X(tzcnt, TZCNT)                                                                                \
    X(lzcnt, LZCNT)                                                                                \
    X(popcnt, POPCNT)                                                                              \
    X(cmpxchg, CMPXCHG)                                                                            \
    X(cmpxchg8b, CMPXCHG2)                                                                         \
    X(cmpxchg16b, CMPXCHG2)                                                                        \
    X(xadd, XADD)                                                                                  \
    X(crc32, CRC32)                                                                                \
    X(movbe, MOVBE)                                                                                \
    X(andn, ANDN)                                                                                  \
    X(blsr, BLSR)                                                                                  \
    X(blsmsk, BLSMSK)                                                                              \
    X(blsi, BLSI)                                                                                  \
    X(bzhi, BZHI)                                                                                  \
    X(bextr, BEXTR)                                                                                \
    X(pext, PEXT)                                                                                  \
    X(pdep, PDEP)                                                                                  \
    X(shlx, SHLX)                                                                                  \
    X(sarx, SARX)                                                                                  \
    X(shrx, SHRX)                                                                                  \
    X(mulx, MULX)                                                                                  \
    X(rorx, RORX)

#define X(s, u) extern const struct sem sem_##s;
SEMS(X)
#undef X
#define X(l, cc) extern const struct sem sem_j##l, sem_set##l, sem_cmov##l;
FLAGS_CONDS(X)
#undef X

static const struct {
    const struct sem *sem;
    uint8_t op, cc;
} ops[] = {
#define X(s, u) {&sem_##s, U_##u, 0},
    SEMS(X)
#undef X
#define X(l, cc) {&sem_j##l, U_JCC, cc}, {&sem_set##l, U_SETCC, cc}, {&sem_cmov##l, U_CMOV, cc},
        FLAGS_CONDS(X)
#undef X
};

bool lift_mode(uint32_t mode)
{
    if (mode & MODE_ALIGN) {
        return false; /* compiled code does not check alignment */
    }
    return !lift_based(mode) || jit_host_based();
}

bool lift_based(uint32_t mode)
{
    const uint32_t flat = MODE_C32 | MODE_SS32 | MODE_FLAT | MODE_PROT;
    return !(mode & MODE_C64) && (mode & flat) != flat;
}

static uint16_t page_off(const struct block *b, const struct insn *i)
{
    return (uint16_t)((b->pa & ~PAGE_MASK) + i->off);
}

/* Register number and part from a byte offset in struct cpu. */
static void reg_operand(uint16_t off, uint8_t *kind, uint8_t *reg)
{
    unsigned o = off - (unsigned)offsetof(struct cpu, s.gpr);
    *reg = (uint8_t)(o / 8);
    *kind = o % 8 == 1 ? UK_REGH : UK_REG;
}

static uint8_t mem_reg(uint16_t off)
{
    if (off == offsetof(struct cpu, zero)) {
        return UR_NONE;
    }
    return (uint8_t)((off - offsetof(struct cpu, s.gpr)) / 8);
}

void lift_mem(const struct block *b, const struct insn *i, struct uop_mem *m)
{
    *m = (struct uop_mem){.base = UR_NONE,
                          .index = mem_reg(i->index),
                          .scale = i->scale,
                          .asz = i->asz,
                          .segm = i->segm,
                          .seg = i->seg,
                          .disp = i->disp};
    if (i->base == offsetof(struct cpu, blk_rip)) {
        m->base = UR_PAGE;
        m->disp += (int64_t)(b->pa & ~PAGE_MASK);
    } else {
        m->base = mem_reg(i->base);
    }
}

static void stack_operand(const struct block *b, struct uop *u, unsigned base, int64_t disp)
{
    u->m = (struct uop_mem){.base = (uint8_t)base,
                            .index = UR_NONE,
                            .asz = (uint8_t)(lift_stack_bits(b->mode) / 8),
                            .segm = (uint8_t)lift_stack_segm(b->mode),
                            .seg = SEG_SS,
                            .disp = disp};
}

static unsigned native_width(const struct block *b)
{
    return b->mode & MODE_C64 ? 8 : b->mode & MODE_C32 ? 4 : 2;
}

/* d and s as the form says. */
static void operands(const struct block *b, const struct insn *i, struct uop *u)
{
    bool dmem = i->form == FORM_MR || i->form == FORM_MI;
    if (dmem) {
        u->dk = UK_MEM;
    } else {
        reg_operand(i->ra, &u->dk, &u->dr);
    }
    if (i->form == FORM_RM) {
        u->sk = UK_MEM;
    } else if (i->form == FORM_RI || i->form == FORM_MI) {
        u->sk = UK_IMM;
    } else if (i->rb) {
        reg_operand(i->rb, &u->sk, &u->sr);
    }
    if (u->dk == UK_MEM || u->sk == UK_MEM) {
        lift_mem(b, i, &u->m);
        u->attr |= UF_BAIL;
    }
    u->imm = i->imm;
}

static bool lift_push(const struct block *b, const struct insn *i, struct uop *u)
{
    u->w = i->osz;
    if (lift_based(b->mode) && i->form == FORM_RR && i->ra == reg_off(REG_RSP, i->osz, false)) {
        return false;
    }
    if (insn_rows[i->row].sem == &sem_push_imm) {
        u->sk = UK_IMM;
        u->imm = i->imm;
    } else if (i->form == FORM_RR) {
        reg_operand(i->ra, &u->sk, &u->sr);
    } else {
        u->sk = UK_MEM;
        lift_mem(b, i, &u->m);
        u->attr |= UF_BAIL;
        return true;
    }
    stack_operand(b, u, REG_RSP, -(int64_t)i->osz);
    u->attr |= UF_BAIL;
    return true;
}

static bool lift_stack(const struct block *b, const struct insn *i, struct uop *u)
{
    u->w = i->osz;
    if (u->op == U_POP ? i->form != FORM_RR : i->osz != native_width(b)) {
        return false;
    }
    if (u->op == U_LEAVE && lift_based(b->mode)) {
        return false;
    }
    if (u->op == U_POP) {
        reg_operand(i->ra, &u->dk, &u->dr);
    }
    u->imm = (uint16_t)i->imm; /* RET n */
    stack_operand(b, u, u->op == U_LEAVE ? REG_RBP : REG_RSP, 0);
    u->attr |= UF_BAIL;
    return true;
}

static bool lift_branch(const struct block *b, const struct insn *i, struct uop *u)
{
    u->w = (uint8_t)native_width(b);
    if (i->osz != u->w) {
        return false;
    }
    if (u->op == U_JMPI || u->op == U_CALLI) {
        u->sw = u->w;
        if (i->mod3) {
            reg_operand(i->ra, &u->sk, &u->sr);
        } else {
            u->sk = UK_MEM;
            lift_mem(b, i, &u->m);
        }
        u->attr |= UF_BAIL;
        return true;
    }
    u->imm = (int64_t)page_off(b, i) + i->len + i->imm;
    if (u->op == U_CALL) {
        stack_operand(b, u, REG_RSP, -(int64_t)u->w);
        u->attr |= UF_BAIL;
    }
    return true;
}

static bool lift_shift(const struct insn *i, struct uop *u)
{
    unsigned n = (unsigned)i->imm & (i->w == 8 ? 63 : 31);
    if (u->sk == UK_REG) {
        u->attr |= UF_COND;
        u->attr |= u->dk == UK_REGH || u->w < 4 ? UF_BAIL : 0; /* may be left to the interpreter */
        return u->sr == REG_RCX;
    }
    u->attr |= u->dk == UK_REGH || n >= 8u * u->w ? UF_BAIL : 0;
    return u->sk == UK_IMM && n != 0;
}

static bool lift_exchange(const struct insn *i, struct uop *u, bool yields)
{
    if (i->opcode == 0x90 && i->ra == i->rb && insn_rows[i->row].sem == &sem_xchg_acc) {
        bool pause = (i->pfx & PFX_REP) && yields; /* ends the vCPU's turn */
        u->op = pause ? U_PAUSE : U_NOP;
        u->sk = u->dk = UK_NONE;
        u->attr |= pause ? UF_BAIL : 0;
        return true;
    }
    return u->sk == UK_REG && u->dk != UK_REGH && !(u->dk == UK_MEM && u->sr >= 12);
}

/* RDTSC and what works on flags as values. */
static bool lift_state(const struct block *b, const struct insn *i, struct uop *u)
{
    const struct sem *s = insn_rows[i->row].sem;
    switch (u->op) {
    case U_RDTSC:
        u->cc = s == &sem_rdtscp;
        u->attr |= UF_BAIL;
        return true;
    case U_PUSHF:
        u->w = i->osz;
        stack_operand(b, u, REG_RSP, -(int64_t)i->osz);
        u->attr |= UF_BAIL;
        return b->mode & MODE_PROT; /* not virtual-8086 */
    case U_PUSHSEG:
        u->w = i->osz;
        u->dr = i->opcode >> 3 & 7;
        stack_operand(b, u, REG_RSP, -(int64_t)i->osz);
        u->attr |= UF_BAIL;
        return true;
    case U_POPF:
        u->w = i->osz;
        stack_operand(b, u, REG_RSP, 0);
        u->attr |= UF_BAIL;
        return !lift_based(b->mode) && !(b->mode & MODE_CPL3) && i->osz == native_width(b);
    case U_SETCF:
        u->cc = s == &sem_clc ? 0 : s == &sem_stc ? 1 : 2;
        return true;
    case U_SETDF:
        u->cc = s == &sem_std;
        return true;
    default:
        return true;
    }
}

/* Operands as (register, register or memory): d by the first operand, s by modrm.rm. */
static void lift_rm(const struct block *b, const struct insn *i, struct uop *u)
{
    u->dk = UK_REG;
    u->dr = (uint8_t)((i->ra - offsetof(struct cpu, s.gpr)) / 8);
    if (i->mod3) {
        u->sk = UK_REG;
        u->sr = i->rm;
    } else {
        u->sk = UK_MEM;
        lift_mem(b, i, &u->m);
        u->attr |= UF_BAIL;
    }
    u->vr = i->vvvv;
    u->imm = i->imm;
    u->attr |= UF_BAIL; /* the host may not have it */
}

/* Strings between flat segments: one element; with REP all but LODS. */
static bool lift_string(const struct block *b, const struct insn *i, struct uop *u)
{
    bool rep = i->pfx & (PFX_REP | PFX_REPNE);
    if (lift_based(b->mode)) {
        return false;
    }
    u->m = (struct uop_mem){
        .base = REG_RSI, .index = UR_NONE, .asz = i->asz, .segm = i->segm, .seg = i->seg};
    u->attr |= UF_BAIL;
    if (!rep) {
        return i->asz >= 4;
    }
    u->cc = (i->pfx & PFX_REPNE) != 0;
    u->attr |= UF_COND;
    u->op = u->op == U_MOVS   ? U_REPMOVS
            : u->op == U_STOS ? U_REPSTOS
            : u->op == U_CMPS ? U_REPCMPS
            : u->op == U_SCAS ? U_REPSCAS
                              : u->op;
    return u->op != U_LODS && i->asz == native_width(b) && u->m.segm == US_FLAT;
}

/* IN, OUT; MOV and POP to DS, ES, FS, GS. */
static bool lift_quick(const struct block *b, const struct insn *i, struct uop *u)
{
    bool pop = insn_rows[i->row].sem == &sem_pop_sreg;
    u->attr |= UF_BAIL;
    if (lift_based(b->mode)) {
        return false;
    }
    if (u->op != U_LOADSEG) {
        u->w = i->opcode & 1 ? (i->osz == 2 ? 2 : 4) : 1;
        u->cc = !!(i->opcode & 8);
        u->imm = (uint8_t)i->imm;
        return true;
    }
    u->cc = pop;
    u->dr = (pop ? i->opcode >> 3 : i->reg) & 7;
    u->w = 2;
    if (pop) {
        u->w = i->osz;
        stack_operand(b, u, REG_RSP, 0);
    } else if (i->mod3) {
        u->sk = UK_REG;
        u->sr = i->rm;
    } else {
        u->sk = UK_MEM;
        lift_mem(b, i, &u->m);
    }
    return u->dr <= SEG_GS && u->dr != SEG_CS && u->dr != SEG_SS;
}

/* LOOP and its kind, JCXZ. */
static bool lift_count(const struct block *b, const struct insn *i, struct uop *u)
{
    const struct sem *s = insn_rows[i->row].sem;
    u->w = (uint8_t)native_width(b);
    u->sw = i->asz;
    u->cc = s == &sem_loopne ? 0 : s == &sem_loope ? 1 : s == &sem_loop ? 2 : 3;
    u->imm = (int64_t)page_off(b, i) + i->len + i->imm;
    return i->osz == u->w;
}

/* Scans, exchanges, double shifts and others of the 0F maps. */
static bool lift_more(const struct block *b, const struct insn *i, struct uop *u)
{
    bool user = b->mode & MODE_CPL3;
    switch (u->op) {
    case U_MOVS:
    case U_STOS:
    case U_LODS:
    case U_CMPS:
    case U_SCAS:
        return lift_string(b, i, u);
    case U_JCOUNT:
        return lift_count(b, i, u);
    case U_IN:
    case U_OUT:
    case U_LOADSEG:
        return lift_quick(b, i, u);
    case U_CLI:
    case U_SWAPGS:
        u->attr |= UF_BAIL;
        return !user;
    case U_STI:
        u->attr |= UF_BAIL;
        return !user && i->k + 1 < b->n;
    case U_SETAC:
        u->attr |= UF_BAIL;
        u->cc = insn_rows[i->row].sem == &sem_stac;
        u->dr = u->cc ? TLB_SUPER_AC : TLB_SUPER;
        u->imm = MODE_AC;
        return !lift_based(b->mode) && page_off(b, i) + i->len + 15u <= PAGE_SIZE; /* linked */
    case U_SHLD:
    case U_SHRD: {
        unsigned n = (unsigned)i->imm & (i->w == 8 ? 63 : 31);
        bool by_cl = i->opcode & 1;
        operands(b, i, u);
        u->imm = n;
        u->attr |= by_cl ? UF_COND | UF_BAIL : 0;
        return by_cl || (n != 0 && n <= 8u * i->w);
    }
    case U_RCL:
    case U_RCR:
        operands(b, i, u);
        return u->dk != UK_REGH && u->sk == UK_IMM &&
               ((unsigned)i->imm & (i->w == 8 ? 63 : 31)) == 1;
    case U_CMPXCHG:
    case U_XADD:
        operands(b, i, u);
        return u->dk != UK_REGH && u->sk == UK_REG;
    case U_CMPXCHG2:
        u->w = i->w / 2;
        u->dk = UK_MEM;
        lift_mem(b, i, &u->m);
        u->attr |= UF_BAIL;
        return true;
    case U_MOVBE:
        operands(b, i, u);
        return true;
    case U_CRC32:
        operands(b, i, u);
        u->sw = (uint8_t)op_width(i, 1);
        u->attr |= UF_BAIL;
        return true;
    case U_BSF:
    case U_BSR:
        lift_rm(b, i, u);
        u->wflags = FL_ZF;
        return true;
    case U_TZCNT:
    case U_LZCNT:
        lift_rm(b, i, u);
        u->wflags = FL_CF | FL_ZF;
        return true;
    default: /* POPCNT, BMI */
        lift_rm(b, i, u);
        return true;
    }
}

/* What differs from operand to operand. False: not expressible. */
static bool lift_details(const struct block *b, const struct insn *i, struct uop *u, bool yields)
{
    switch (u->op) {
    case U_NOP:
    case U_CBW:
    case U_CWD:
        u->w = i->osz;
        return true;
    case U_PUSH:
        return lift_push(b, i, u);
    case U_POP:
    case U_LEAVE:
    case U_RET:
        return lift_stack(b, i, u);
    case U_JCC:
    case U_JMP:
    case U_CALL:
    case U_JMPI:
    case U_CALLI:
        return lift_branch(b, i, u);
    default:
        break;
    }
    if (u->op > U_END) {
        return u->op <= U_SETDF ? lift_state(b, i, u) : lift_more(b, i, u);
    }
    operands(b, i, u);
    switch (u->op) {
    case U_MOVZX:
    case U_MOVSX: {
        const struct sem *s = insn_rows[i->row].sem;
        u->sw = s == &sem_movsxd ? 4 : s == &sem_movzx_b || s == &sem_movsx_b ? 1 : 2;
        return u->w > u->sw || u->sw == 4;
    }
    case U_LEA:
        u->attr = 0; /* no access */
        return u->sk == UK_MEM;
    case U_SHL:
    case U_SHR:
    case U_SAR:
    case U_ROL:
    case U_ROR:
        return lift_shift(i, u);
    case U_IMUL:
        u->attr |= insn_rows[i->row].sem == &sem_imul3 ? UF_THREE : 0;
        return u->dk == UK_REG && (u->sk == UK_REG || u->sk == UK_MEM);
    case U_MUL1:
    case U_IMUL1: /* the operand is the first of the row */
        u->sk = u->dk;
        u->sr = u->dr;
        return true;
    case U_DIV:
    case U_IDIV:
        u->sk = u->dk;
        u->sr = u->dr;
        u->wflags = 0; /* undefined: doppel leaves them */
        u->attr |= UF_BAIL;
        return true;
    case U_BT: {
        const struct sem *s = insn_rows[i->row].sem;
        u->sw = s == &sem_bt ? 0 : s == &sem_bts ? 1 : s == &sem_btr ? 2 : 3;
        u->wflags = FL_CF;
        return !(lift_based(b->mode) && u->dk == UK_MEM && u->sk == UK_REG);
    }
    case U_XCHG:
        return lift_exchange(i, u, yields);
    case U_BSWAP:
        return i->w >= 4;
    default:
        return true;
    }
}

static uint8_t find(const struct sem *s, uint8_t *cc)
{
    for (unsigned k = 0; k < ARRAY_LEN(ops); k++) {
        if (ops[k].sem == s) {
            *cc = ops[k].cc;
            return ops[k].op;
        }
    }
    return U_INTERP;
}

static bool lift_known(const struct block *b, const struct insn *i, struct uop *u, bool yields)
{
    if (u->op == U_INTERP) {
        return !lift_based(b->mode) && (lift_vec(b, i, u) || lift_x87(b, i, u));
    }
    return lift_details(b, i, u, yields);
}

/* An immediate that is a hole (cpu/holes.h) is an operand in memory. */
static bool lift_hole(const struct block *b, const struct insn *i, struct uop *u)
{
    const struct hole *h = holes_at(b, i->k);
    bool imul = u->op == U_IMUL && (u->attr & UF_THREE) && u->sk == UK_REG && u->sr == u->dr;
    if (LIKELY(!h)) {
        return true;
    }
    if (lift_based(b->mode)) {
        return false;
    }
    if (u->w != h->size || u->dk == UK_MEM || !(u->sk == UK_IMM || imul)) {
        return false;
    }
    if (u->op == U_TEST) { /* has its memory operand first */
        u->sk = u->dk;
        u->sr = u->dr;
        u->dk = UK_MEM;
    } else if ((u->op >= U_ADD && u->op <= U_CMP) || u->op == U_MOV || u->op == U_PUSH || imul) {
        u->sk = UK_MEM;
    } else {
        return false;
    }
    u->attr = (uint8_t)((u->attr & ~UF_THREE) | UF_BAIL);
    u->imm = 0;
    u->m = (struct uop_mem){.base = UR_PAGE,
                            .index = UR_NONE,
                            .asz = (uint8_t)native_width(b),
                            .segm = US_FLAT,
                            .seg = SEG_CS,
                            .disp = (int64_t)(b->pa & ~PAGE_MASK) + h->off};
    return true;
}

static void refuse(struct uop *u, bool ends)
{
    *u = (struct uop){.op = ends ? U_INTERP_END : U_INTERP,
                      .part = u->part,
                      .k = u->k,
                      .off = u->off,
                      .len = u->len,
                      .rflags = u->rflags,
                      .wflags = u->wflags,
                      .attr = UF_BAIL};
}

static void lift_one(const struct block *b, const struct insn *i, struct uop *u, bool yields)
{
    *u = (struct uop){.op = U_INTERP, .k = i->k, .off = page_off(b, i), .len = i->len};
    bool ends = true;
    if (i->row != 0xffff) {
        const struct insn_row *r = &insn_rows[i->row];
        ends = r->sem->ends;
        u->op = find(r->sem, &u->cc);
        u->w = i->w;
        u->rflags = r->reads;
        u->wflags = r->writes;
    }
    if (i->row == 0xffff || !lift_known(b, i, u, yields) || !lift_hole(b, i, u)) {
        refuse(u, ends);
    }
}

/* Micro-operations that end a block by themselves. */
static bool ends_block(const struct uop *u)
{
    return u->op == U_INTERP_END || u->op == U_JCOUNT || u->op == U_SETAC ||
           (u->op >= U_JCC && u->op <= U_CALLI);
}

bool lift_refuse(struct uop *u)
{
    if (u->op == U_NOP || u->op == U_END || u->op == U_LOOP || (u->attr & UF_SIDE)) {
        return false;
    }
    refuse(u, ends_block(u));
    return true;
}

/* Calls on the way of a superblock: where they return to. */
struct calls {
    uint16_t ret[JIT_PARTS_MAX];
    unsigned n;
};

/* The last micro-operation of a block, made to lead on to `next` (bytes from the page's first).
 * False: it does not. */
static bool lead_on(struct uop *u, uint16_t next, struct calls *calls)
{
    int64_t behind = u->off + u->len;
    switch (u->op) {
    case U_JCC:
        if (behind != next) {
            u->cc ^= 1;
            int64_t taken = u->imm;
            u->imm = behind;
            behind = taken;
        }
        u->attr |= UF_SIDE;
        return behind == next;
    case U_JMP:
        u->op = U_NOP;
        return u->imm == next;
    case U_CALL:
        u->attr |= UF_SIDE;
        calls->ret[calls->n++] = (uint16_t)behind;
        return u->imm == next && behind < (int64_t)PAGE_SIZE;
    case U_RET:
        u->attr |= UF_SIDE;
        return calls->n && calls->ret[--calls->n] == next;
    default:
        return !ends_block(u) && behind == next;
    }
}

unsigned lift_block(const struct block *b, struct uop *u, bool yields)
{
    for (unsigned k = 0; k < b->n; k++) {
        lift_one(b, &b->insn[k], &u[k], yields);
    }
    const struct insn *last = &b->insn[b->n - 1];
    bool ended = ends_block(&u[b->n - 1]);
    if (!ended) {
        u[b->n] = (struct uop){.op = U_END,
                               .k = b->n,
                               .off = (uint16_t)(page_off(b, last) + last->len),
                               .attr = UF_NEED};
    }
    return b->n + !ended;
}

unsigned lift_super(struct block *const *b, unsigned *parts, bool *loop, struct uop *u, bool yields)
{
    unsigned n = 0, wanted = *parts;
    struct calls calls = {.n = 0};
    for (unsigned p = 0; p < wanted; p++) {
        unsigned at = n;
        n += lift_block(b[p], &u[n], yields);
        for (unsigned k = at; k < n; k++) {
            u[k].part = (uint8_t)p;
        }
        bool last = p + 1 == wanted;
        if (last && !*loop) {
            break;
        }
        const struct block *to = b[last ? 0 : p + 1];
        struct uop end = u[n - 1];
        n -= end.op == U_END;
        struct uop was = u[n - 1];
        if (!lead_on(&u[n - 1], (uint16_t)(to->pa & ~PAGE_MASK), &calls)) {
            u[n - 1] = was;
            n += end.op == U_END;
            *parts = p + 1;
            *loop = false;
        } else if (last) {
            u[n] = (struct uop){.op = U_LOOP, .part = was.part, .k = was.k, .off = was.off};
            n++;
        }
        if (*parts != wanted) {
            break;
        }
    }
    return n;
}
