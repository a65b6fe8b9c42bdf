/*
 * SSE and AVX instructions to U_VEC micro-operations; see struct uop_vec in cpu/jit/uop.h.
 *
 * Everything comes from the row of the instruction table: map, prefix and opcode are the identity,
 * the operand kinds (spelled as in SDM 2D appendix A.2) say what is read and written and how wide
 * memory is. Here stands only what a row does not say: which legacy instructions read their
 * destination, which opcodes depend on MXCSR, and what stays with the interpreter:
 *   - MMX, since it is x87 state;
 *   - RCPPS, RSQRTPS and DPPS with their scalars: x86 makers differ, cpu/fp defines one answer;
 *   - masked moves and gathers (faults by element), PCMPxSTRM, VZEROALL.
 */
#include "cpu/lift.h"

#include "cpu/sem.h"

/* Operand `opd` of an instruction: where it is and how wide. */
struct opnd {
    uint8_t kind; /* enum uop_kind */
    uint8_t reg;
    uint8_t bytes;
    char
        slot; /* V: modrm.reg, W: modrm.rm or memory, H: VEX.vvvv, L: is4, I: immediate, 0: other */
};

static struct opnd in_rm(const struct insn *i, unsigned kind, unsigned reg_bytes, unsigned bytes)
{
    return i->mod3 ? (struct opnd){(uint8_t)kind, i->rm, (uint8_t)reg_bytes, 'W'}
                   : (struct opnd){UK_MEM, 0, (uint8_t)bytes, 'W'};
}

static struct opnd in_reg(const struct insn *i, unsigned kind, unsigned bytes)
{
    return (struct opnd){(uint8_t)kind, i->reg, (uint8_t)bytes, 'V'};
}

/* y: bytes of Ey and Gy; vl: of Vx. */
static struct opnd operand(const struct insn *i, unsigned opd, unsigned y, unsigned vl)
{
    switch (opd) {
    case OPD_Vx:
        return in_reg(i, UK_XMM, vl);
    case OPD_Vdq:
    case OPD_Vq:
    case OPD_Vd:
    case OPD_Vss:
    case OPD_Vsd:
        return in_reg(i, UK_XMM, 16);
    case OPD_Wx:
    case OPD_Ux:
    case OPD_Mx:
        return in_rm(i, UK_XMM, vl, vl);
    case OPD_Wdq:
    case OPD_Udq:
    case OPD_Mdq:
        return in_rm(i, UK_XMM, 16, 16);
    case OPD_Wq:
    case OPD_Uq:
    case OPD_Wsd:
    case OPD_Usd:
    case OPD_Mq:
        return in_rm(i, UK_XMM, 16, 8);
    case OPD_Wd:
    case OPD_Wss:
    case OPD_Uss:
    case OPD_Md:
        return in_rm(i, UK_XMM, 16, 4);
    case OPD_Ww:
        return in_rm(i, UK_XMM, 16, 2);
    case OPD_Hx:
    case OPD_Hdq:
    case OPD_Hq:
    case OPD_Hss:
    case OPD_Hsd:
        return (struct opnd){UK_XMM, i->vvvv, 16, 'H'};
    case OPD_Lx:
    case OPD_Ldq:
        return (struct opnd){UK_XMM, (uint8_t)i->imm2, 16, 'L'};
    case OPD_Ey:
        return in_rm(i, UK_REG, y, y);
    case OPD_Ed:
        return in_rm(i, UK_REG, 4, 4);
    case OPD_RdMb:
        return in_rm(i, UK_REG, 4, 1);
    case OPD_RdMw:
        return in_rm(i, UK_REG, 4, 2);
    case OPD_Gd:
        return in_reg(i, UK_REG, 4);
    case OPD_Gy:
        return in_reg(i, UK_REG, y);
    case OPD_Ib:
        return (struct opnd){UK_IMM, 0, 1, 'I'};
    case OPD__:
        return (struct opnd){UK_NONE, 0, 0, '_'};
    default:
        return (struct opnd){UK_NONE, 0, 0, 0};
    }
}

static unsigned key(const struct uop_vec *v)
{
    return (unsigned)v->map << 8 | v->opc;
}

/* Does it depend on MXCSR? */
static bool uses_mxcsr(const struct uop_vec *v)
{
    unsigned k = key(v);
    switch (k) {
    case 0x12a: /* CVTSI2SS and the rest of the scalar conversions */
    case 0x12c:
    case 0x12d:
    case 0x12e: /* UCOMISS, COMISS */
    case 0x12f:
    case 0x151:
    case 0x17c:
    case 0x17d:
    case 0x1c2:
    case 0x1d0:
    case 0x1e6:
    case 0x213: /* VCVTPH2PS, VCVTPS2PH */
    case 0x31d:
        return true;
    default:
        return (k >= 0x158 && k <= 0x15f) || (k >= 0x308 && k <= 0x30b) ||
               (k >= 0x296 && k <= 0x2bf); /* FMA */
    }
}

/* Is the destination of a legacy instruction its first source too? Only for instructions whose
 * destination is an XMM register. In VEX forms VEX.vvvv answers that (SDM 2D, rows without H). */
static bool reads_dest(const struct uop_vec *v, bool mem)
{
    bool scalar = v->pp >= 2;
    switch (key(v)) {
    case 0x110: /* MOVSS, MOVSD: register forms merge */
        return scalar && !mem;
    case 0x111:
        return scalar;
    case 0x112: /* MOVLPS, MOVHLPS; MOVSLDUP, MOVDDUP do not */
    case 0x116:
    case 0x151: /* SQRTSS; CVTSS2SD */
        return key(v) == 0x151 ? scalar : !scalar;
    case 0x15a:
        return scalar;
    case 0x128:
    case 0x129:
    case 0x15b:
    case 0x16e:
    case 0x16f:
    case 0x170:
    case 0x17e:
    case 0x17f:
    case 0x1d6:
    case 0x1e6:
    case 0x1f0:
    case 0x22a:
    case 0x241:
    case 0x2db:
    case 0x308:
    case 0x309:
    case 0x3df:
        return false;
    default:
        return !(key(v) >= 0x21c && key(v) <= 0x21e) && !(key(v) >= 0x220 && key(v) <= 0x225) &&
               !(key(v) >= 0x230 && key(v) <= 0x235);
    }
}

static bool left_out(const struct uop_vec *v)
{
    unsigned k = key(v);
    return k == 0x152 || k == 0x153 ||                 /* RSQRTPS, RCPPS */
           k == 0x340 || k == 0x341 ||                 /* DPPS, DPPD */
           k == 0x1f7 || (k >= 0x22c && k <= 0x22f) || /* masked moves */
           k == 0x28c || k == 0x28e ||                 /* VPMASKMOVD */
           (k >= 0x290 && k <= 0x293) ||               /* gathers */
           k == 0x360 || k == 0x362 ||                 /* PCMPESTRM, PCMPISTRM */
           (k == 0x177 && v->vl == 32);                /* VZEROALL */
}

static bool find_set(unsigned feature, uint8_t *set)
{
    static const struct {
        uint16_t feature;
        uint8_t set;
    } sets[] = {{FEAT_sse, UVS_SSE2},    {FEAT_sse2, UVS_SSE2},    {FEAT_sse3, UVS_SSE3},
                {FEAT_ssse3, UVS_SSSE3}, {FEAT_sse4_1, UVS_SSE41}, {FEAT_sse4_2, UVS_SSE42},
                {FEAT_avx, UVS_AVX},     {FEAT_avx2, UVS_AVX2},    {FEAT_fma, UVS_FMA},
                {FEAT_f16c, UVS_F16C},   {FEAT_aes, UVS_AES},      {FEAT_pclmulqdq, UVS_PCLMUL},
                {FEAT_sha, UVS_SHA}};
    for (unsigned k = 0; k < ARRAY_LEN(sets); k++) {
        if (sets[k].feature == feature) {
            *set = sets[k].set;
            return true;
        }
    }
    return false;
}

/* One name for moves that differ in their names only, and VEX forms for what differs in both. */
static void normalize(struct uop_vec *v, bool mem)
{
    switch (key(v)) {
    case 0x128: /* MOVAPS, MOVAPD, MOVDQA and loads and stores without the cache */
        v->opc = 0x10;
        v->pp = 0;
        v->align = mem ? v->vl : 1;
        break;
    case 0x129:
    case 0x12b:
        v->opc = 0x11;
        v->pp = 0;
        v->align = mem ? v->vl : 1;
        break;
    case 0x110:
    case 0x111:
        v->pp = v->pp == 1 ? 0 : v->pp;
        break;
    case 0x16f:
    case 0x17f:
    case 0x1e7:
    case 0x1f0:
        v->align = mem && v->pp == 1 ? v->vl : 1;
        v->opc = v->opc == 0xf0 || v->opc == 0x6f ? 0x6f : 0x7f;
        v->pp = 2;
        break;
    case 0x22a:
        v->align = v->vl;
        v->map = 1;
        v->opc = 0x6f;
        v->pp = 2;
        break;
    case 0x210: /* PBLENDVB, BLENDVPS, BLENDVPD */
    case 0x214:
    case 0x215:
        if (!(v->flags & UV_VEX)) {
            v->opc = v->opc == 0x10 ? 0x4c : v->opc == 0x14 ? 0x4a : 0x4b;
            v->map = 3;
            v->fourth = 0;
        }
        break;
    case 0x2cb: /* SHA256RNDS2 */
        v->fourth = 0;
        break;
    default:
        break;
    }
}

/* Which operand plays which part. False: not one that is known. */
static bool place(const struct insn_row *r, const struct opnd *o, struct uop *u)
{
    struct uop_vec *v = &u->v;
    unsigned n = 0;
    bool vex = v->flags & UV_VEX, compares = r->writes != 0;
    v->a = UR_NONE;
    v->fourth = UR_NONE;
    if (compares) {
        v->a = o[0].reg;
    } else {
        u->dk = o[0].kind;
        u->dr = o[0].reg;
        u->w = o[0].bytes;
        v->flags |= o[0].slot == 'W' && r->reg == NOREG ? UV_STORE : 0;
    }
    n = 1;
    if (r->reg != NOREG) { /* shifts by an immediate: legacy (U, I), VEX (H, U, I) */
        v->flags |= UV_GROUP;
        n = vex ? 1 : 0;
    } else if (o[1].slot == 'H') {
        v->a = o[1].reg;
        n = 2;
    }
    if (o[n].slot == 'V' || o[n].slot == 'W') {
        u->sk = o[n].kind;
        u->sr = o[n].reg;
        u->sw = o[n].bytes;
        n++;
    } else {
        return false;
    }
    for (; n < 4 && o[n].slot != '_'; n++) {
        if (o[n].slot == 'I') {
            v->flags |= UV_IMM;
        } else if (o[n].slot == 'L') {
            v->fourth = o[n].reg;
        } else {
            return false;
        }
    }
    return u->dk != UK_NONE || compares;
}

/* PCMPESTRI, PCMPISTRI: ECX beside the flags; the lengths of the first are EAX and EDX, with REX.W
 * RAX and RDX. */
static void lift_compare_strings(const struct block *b, const struct insn *i, struct uop *u)
{
    u->dk = UK_REG;
    u->dr = REG_RCX;
    u->w = 4;
    u->v.flags |= (i->pfx & PFX_W) && (b->mode & MODE_C64) ? UV_W : 0;
}

/* What a row says otherwise than its operands' kinds do (cpu/sse_shuffle.c, cpu/avx_permute.c). */
static void memory_size(struct uop *u)
{
    if (u->sk == UK_MEM && key(&u->v) == 0x278) { /* VPBROADCASTB */
        u->sw = 1;
    } else if (u->sk == UK_MEM && key(&u->v) == 0x112 && u->v.pp == 3 && u->v.vl == 16) {
        u->sw = 8; /* VMOVDDUP */
    }
}

static void lift_mxcsr(struct uop *u)
{
    bool store = u->v.digit == 3;
    u->v.a = u->v.fourth = UR_NONE;
    u->v.flags |= UV_FP | (store ? UV_STORE : 0);
    u->dk = store ? UK_MEM : UK_NONE;
    u->sk = store ? UK_NONE : UK_MEM;
    u->w = u->sw = 4;
    u->op = U_VEC;
    u->attr |= UF_BAIL;
}

bool lift_vec(const struct block *b, const struct insn *i, struct uop *u)
{
    const struct insn_row *r = &insn_rows[i->row];
    struct uop_vec *v = &u->v;
    struct opnd o[4];
    bool code64 = b->mode & MODE_C64, vex = i->pfx & PFX_VEX, mem = !i->mod3, y_seen = false;
    if (!(r->attr & (A_SSE | A_AVX)) || (r->attr & A_MMX) || !find_set(r->feature, &v->need)) {
        return false;
    }
    unsigned base = r->map >= MAP_V0F ? MAP_V0F : MAP_0F;
    v->map = (uint8_t)(r->map - base + 1);
    v->pp = (uint8_t)(r->pp == PP_66 ? 1 : r->pp == PP_F3 ? 2 : r->pp == PP_F2 ? 3 : 0);
    v->opc = r->op;
    v->digit = r->reg != NOREG ? i->modrm >> 3 & 7 : 0;
    v->vl = 16;
    v->align = 1;
    v->flags = vex ? UV_VEX : 0;
    for (unsigned k = 0; k < 4; k++) {
        unsigned opd = r->opd[k];
        o[k] =
            operand(i, opd, (i->pfx & PFX_W) && code64 ? 8 : 4, vex && (i->pfx & PFX_L) ? 32 : 16);
        y_seen |= opd == OPD_Ey || opd == OPD_Gy;
        if (opd == OPD_Vx || opd == OPD_Wx || opd == OPD_Hx || opd == OPD_Ux || opd == OPD_Mx) {
            v->vl = vex && (i->pfx & PFX_L) ? 32 : 16;
        }
    }
    if ((r->attr & A_L1) && vex) {
        v->vl = 32;
    }
    if (key(v) == 0x1ae) { /* LDMXCSR, STMXCSR */
        lift_mxcsr(u);
        lift_mem(b, i, &u->m);
        return true;
    }
    if (left_out(v) || (v->map == 1 && v->opc == 0x77)) {
        if (v->map == 1 && v->opc == 0x77 && v->vl == 16) { /* VZEROUPPER */
            v->a = v->fourth = UR_NONE;
            u->op = U_VEC;
            u->attr |= UF_BAIL;
            return true;
        }
        return false;
    }
    if (!place(r, o, u)) {
        return false;
    }
    v->flags |= uses_mxcsr(v) ? UV_FP : 0;
    v->flags |= v->map == 2 && v->opc >= 0x96 && v->opc <= 0xbf ? UV_RMW : 0;
    v->flags |= (r->attr & A_W1) || (y_seen && code64 && (i->pfx & PFX_W)) ? UV_W : 0;
    if (!vex && u->dk == UK_XMM && !(v->flags & UV_GROUP) && reads_dest(v, mem)) {
        v->a = u->dr;
    }
    v->align = (r->attr & A_ALIGN) && mem ? 16 : 1;
    memory_size(u);
    normalize(v, mem);
    if (key(v) == 0x361 || key(v) == 0x363) {
        lift_compare_strings(b, i, u);
    }
    u->imm = key(v) == 0x1c2 && !vex ? i->imm & 7 : i->imm; /* VEX.CMPPS has more predicates */
    if (u->dk == UK_MEM || u->sk == UK_MEM) {
        lift_mem(b, i, &u->m);
    }
    u->op = U_VEC;
    u->attr |= UF_BAIL;
    return true;
}
