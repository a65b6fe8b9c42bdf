/*
 * The decoder: guest bytes to one struct insn.
 *
 * Prefixes, opcode map, then the chain of candidate rows that tools/mkdecode.c made from the table;
 * the first row whose conditions hold (feature, mandatory prefix, ModRM, W, L, mode) is the
 * instruction. No row: #UD. Nothing here knows an instruction by name. Sources: SDM 2A chapter 2
 * (formats, REX, VEX), SDM 2D appendix A (maps); for the oldest models the 8086 and 80286 manuals.
 *
 * Choices where manuals differ: 66 before a near branch in 64-bit mode is ignored (Intel); of F2
 * and F3 the last counts; a REX prefix that is not right before the opcode is ignored.
 */
#include <assert.h>

#include "cpu/insn.h"
#include "cpu/sem.h"
#include "cpu/decode_tables.inc"

extern const struct sem sem_decode_ud, sem_decode_gp;

/* The cursor over one instruction. */
struct dec {
    const struct decode_in *in;
    struct insn *o;
    unsigned max_len;          /* bytes of the longest instruction */
    unsigned pos;              /* next byte */
    bool more;                 /* ran out of bytes */
    bool toolong;              /* passed max_len */
    bool code64, legacy_sizes; /* legacy_sizes: a 386 or later (66, 67, FS, GS exist) */
    bool p66, p67;
    uint8_t rex;      /* 0 or the REX byte; VEX bits are translated to it */
    unsigned map, pp; /* pp: the mandatory prefix present (PP_NP .. PP_F2) */
    bool vex, vex_l;
    unsigned modrm_pos; /* where the ModRM byte is */
};

static bool has(const struct dec *d, enum feature f)
{
    return feature_in(d->in->features, f);
}

static uint8_t fetch8(struct dec *d)
{
    if (d->pos >= d->max_len) {
        d->toolong = true;
        return 0;
    }
    if (d->pos >= d->in->avail) {
        d->more = true;
        return 0;
    }
    return d->in->bytes[d->pos++];
}

static uint64_t fetch(struct dec *d, unsigned size)
{
    uint64_t v = 0;
    for (unsigned k = 0; k < size; k++) {
        v |= (uint64_t)fetch8(d) << (8 * k);
    }
    return v;
}

static void set_segment(struct dec *d, unsigned seg)
{
    d->o->segovr = (uint8_t)seg;
}

/* Consume one legacy prefix; false: it is none. */
static bool prefix(struct dec *d, uint8_t b)
{
    switch (b) {
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
        /* In 64-bit mode these are null prefixes and do not undo FS or GS (SDM 2A 2.1.1). */
        if (!d->code64) {
            set_segment(d, (b >> 3) & 3);
        }
        return true;
    case 0x64:
    case 0x65:
        if (!d->legacy_sizes) {
            return false;
        }
        set_segment(d, b - 0x64u + SEG_FS);
        return true;
    case 0x66:
        d->p66 = d->legacy_sizes;
        return d->legacy_sizes;
    case 0x67:
        d->p67 = d->legacy_sizes;
        return d->legacy_sizes;
    case 0xf0:
        d->o->pfx |= PFX_LOCK;
        return true;
    case 0xf1: /* an alias of LOCK on the 8086 */
        if (!has(d, FEAT_only86)) {
            return false;
        }
        d->o->pfx |= PFX_LOCK;
        return true;
    case 0xf2:
    case 0xf3:
        d->o->pfx &= (uint8_t) ~(PFX_REP | PFX_REPNE);
        d->o->pfx |= b == 0xf2 ? PFX_REPNE : PFX_REP;
        return true;
    default:
        return false;
    }
}

/* C4/C5 after the opcode byte. False: #UD (forbidden prefixes before it). */
static bool vex_prefix(struct dec *d, uint8_t b)
{
    static const uint8_t pps[4] = {PP_NP, PP_66, PP_F3, PP_F2};
    uint8_t p1 = fetch8(d), p2;
    unsigned mmmmm = 1;
    bool bad = d->p66 || d->rex || (d->o->pfx & (PFX_LOCK | PFX_REP | PFX_REPNE));
    d->rex = (uint8_t)(p1 & 0x80 ? 0 : 4);
    if (b == 0xc4) {
        d->rex |= (uint8_t)((p1 & 0x40 ? 0 : 2) | (p1 & 0x20 ? 0 : 1));
        mmmmm = p1 & 0x1f;
        p2 = fetch8(d);
        d->rex |= p2 & 0x80 ? 8 : 0;
    } else {
        p2 = p1;
    }
    if (!d->code64) {
        d->rex &= 8; /* R, X, B are not available; vvvv[3] is ignored */
    }
    d->o->vvvv = (uint8_t)(~p2 >> 3 & (d->code64 ? 15 : 7));
    d->vex_l = p2 & 4;
    d->pp = pps[p2 & 3];
    d->vex = true;
    d->map = mmmmm == 1 ? MAP_V0F : mmmmm == 2 ? MAP_V0F38 : mmmmm == 3 ? MAP_V0F3A : MAP_COUNT;
    d->o->pfx |= PFX_VEX;
    d->o->pfx |= d->vex_l ? PFX_L : 0;
    return !bad && d->map != MAP_COUNT;
}

/* Prefixes, map and opcode. False: #UD already. */
static bool opcode(struct dec *d)
{
    uint8_t b = fetch8(d);
    while (!d->more && !d->toolong) {
        if (prefix(d, b)) {
            d->rex = 0;
        } else if (d->code64 && (b & 0xf0) == 0x40) {
            d->rex = b;
        } else {
            break;
        }
        b = fetch8(d);
    }
    d->map = MAP_1B;
    d->pp = d->o->pfx & PFX_REPNE ? PP_F2 : d->o->pfx & PFX_REP ? PP_F3 : d->p66 ? PP_66 : PP_NP;
    if ((b == 0xc4 || b == 0xc5) && !d->more &&
        (d->code64 ||
         ((d->in->mode & MODE_PROT) && d->pos < d->in->avail && d->in->bytes[d->pos] >= 0xc0))) {
        if (!vex_prefix(d, b)) {
            return false;
        }
        b = fetch8(d);
    } else if (b == 0x0f && !has(d, FEAT_only86)) {
        d->map = MAP_0F;
        b = fetch8(d);
        if (b == 0x38 || b == 0x3a) {
            d->map = b == 0x38 ? MAP_0F38 : MAP_0F3A;
            b = fetch8(d);
        }
    }
    d->o->opcode = b;
    d->modrm_pos = d->pos;
    return true;
}

/* Effective address of 16-bit addressing (SDM 2A table 2-1). */
static void modrm_mem16(struct dec *d, unsigned mod, unsigned rm)
{
    static const uint8_t base[8] = {REG_RBX, REG_RBX, REG_RBP, REG_RBP,
                                    REG_RSI, REG_RDI, REG_RBP, REG_RBX};
    static const uint8_t index[4] = {REG_RSI, REG_RDI, REG_RSI, REG_RDI};
    struct insn *o = d->o;
    if (mod == 0 && rm == 6) {
        o->disp = (int64_t)fetch(d, 2);
        return;
    }
    o->base = reg_off(base[rm], 8, false);
    if (rm < 4) {
        o->index = reg_off(index[rm], 8, false);
    }
    if (base[rm] == REG_RBP) {
        o->seg = SEG_SS;
    }
    o->disp = mod == 1 ? (int64_t)(int8_t)fetch8(d) : mod == 2 ? (int64_t)(int16_t)fetch(d, 2) : 0;
}

/* 32- and 64-bit addressing (SDM 2A tables 2-2, 2-3; REX and RIP-relative 2.2.1). */
static void modrm_mem32(struct dec *d, unsigned mod, unsigned rm)
{
    struct insn *o = d->o;
    unsigned base = rm | (d->rex & 1u) << 3;
    bool no_base = false;
    if (rm == 4) {
        uint8_t sib = fetch8(d);
        unsigned index = (sib >> 3 & 7) | (d->rex & 2u) << 2;
        base = (sib & 7u) | (d->rex & 1u) << 3;
        if (index != 4) {
            o->index = reg_off(index, 8, false);
        }
        o->scale = sib >> 6; /* also without an index: it is a vector's number 4 (VSIB) */
        no_base = mod == 0 && (sib & 7) == 5;
    } else if (mod == 0 && rm == 5) {
        no_base = true;
        if (d->code64) {
            o->base = offsetof(struct cpu, blk_rip); /* disp is completed in insn_decode */
        }
    }
    if (!no_base) {
        o->base = reg_off(base, 8, false);
        if (base == REG_RSP || base == REG_RBP) {
            o->seg = SEG_SS;
        }
    }
    o->disp = mod == 1              ? (int64_t)(int8_t)fetch8(d)
              : mod == 2 || no_base ? (int64_t)(int32_t)fetch(d, 4)
                                    : 0;
}

static void modrm(struct dec *d, const struct insn_row *r)
{
    struct insn *o = d->o;
    o->modrm = fetch8(d);
    unsigned mod = o->modrm >> 6, rm = o->modrm & 7;
    o->reg = (uint8_t)((o->modrm >> 3 & 7) | (d->rex & 4u) << 1);
    if (mod == 3 || (r->attr & A_ANYMOD)) {
        o->mod3 = true;
        o->rm = (uint8_t)(rm | (d->rex & 1u) << 3);
    } else if (o->asz == 2) {
        modrm_mem16(d, mod, rm);
    } else {
        modrm_mem32(d, mod, rm);
    }
}

/* Do the row's conditions hold, ModRM's apart? */
static bool row_fits(const struct dec *d, const struct insn_row *r)
{
    uint32_t a = r->attr;
    bool w = d->rex & 8;
    if (!has(d, (enum feature)r->feature) || (r->pp != PP_ANY && r->pp != d->pp)) {
        return false;
    }
    if ((a & A_I64 && d->code64) || (a & A_O64 && !d->code64) ||
        (a & A_NOREAL && !(d->in->mode & MODE_PROT))) {
        return false;
    }
    if ((a & A_W0 && w) || (a & A_W1 && !w)) {
        return false;
    }
    return !((a & A_L0 && d->vex_l) || (a & A_L1 && !d->vex_l) ||
             (a & A_NOVVVV && d->o->vvvv != 0));
}

static bool modrm_fits(uint8_t m, const struct insn_row *r)
{
    if (r->reg >= 0xc0 && r->reg <= 0xff) {
        return m == r->reg;
    }
    if (r->reg < 8 && (m >> 3 & 7) != r->reg) {
        return false;
    }
    return !((r->attr & A_MEM && m >= 0xc0) || (r->attr & A_MOD3 && m < 0xc0));
}

/* The row for this opcode, or NULL. May set `more`. */
static const struct insn_row *find_row(struct dec *d)
{
    const uint16_t *c = &chain[chain_head[d->map][d->o->opcode]];
    for (; *c != 0xffff; c++) {
        const struct insn_row *r = &insn_rows[*c];
        if (!row_fits(d, r)) {
            continue;
        }
        if (r->modrm) {
            if (d->modrm_pos >= d->max_len) {
                d->toolong = true;
                return NULL;
            }
            if (d->modrm_pos >= d->in->avail) {
                d->more = true;
                return NULL;
            }
            if (!modrm_fits(d->in->bytes[d->modrm_pos], r)) {
                continue;
            }
        }
        return r;
    }
    return NULL;
}

static void sizes(struct dec *d, uint32_t attr)
{
    struct insn *o = d->o;
    if (d->code64) {
        bool w = d->rex & 8;
        o->osz = attr & A_F64 || w ? 8 : attr & A_D64 ? (d->p66 ? 2 : 8) : (d->p66 ? 2 : 4);
        o->asz = d->p67 ? 4 : 8;
    } else {
        bool c32 = d->in->mode & MODE_C32;
        o->osz = c32 != d->p66 ? 4 : 2;
        o->asz = c32 != d->p67 ? 4 : 2;
    }
    o->ashift = (uint8_t)(64 - 8 * o->asz);
}

/* Bytes of an operand of a kind; 0 where the kind has none. */
static unsigned kind_width(const struct insn *o, unsigned kind, bool rex_w)
{
    unsigned y = rex_w ? 8 : 4;
    unsigned z = o->osz == 2 ? 2 : 4;
    unsigned x = o->pfx & PFX_L ? 32 : 16;
    switch (kind) {
    case OPD_Eb:
    case OPD_Mb:
    case OPD_Gb:
    case OPD_Zb:
    case OPD_AL:
    case OPD_CL:
    case OPD_Ib:
    case OPD_Ibb:
    case OPD_Ob:
    case OPD_Xb:
    case OPD_Yb:
    case OPD_Jb:
        return 1;
    case OPD_Ew:
    case OPD_Rw:
    case OPD_Mw:
    case OPD_Gw:
    case OPD_DX:
    case OPD_Iw:
    case OPD_Ww:
    case OPD_Sw:
        return 2;
    case OPD_Ed:
    case OPD_Rd:
    case OPD_Md:
    case OPD_Gd:
    case OPD_Pd:
    case OPD_Qd:
    case OPD_Vd:
    case OPD_Wd:
    case OPD_Vss:
    case OPD_Wss:
    case OPD_Uss:
    case OPD_Hss:
        return 4;
    case OPD_Eq:
    case OPD_Rq:
    case OPD_Mq:
    case OPD_Gq:
    case OPD_Pq:
    case OPD_Qq:
    case OPD_Nq:
    case OPD_Vq:
    case OPD_Wq:
    case OPD_Uq:
    case OPD_Hq:
    case OPD_Vsd:
    case OPD_Wsd:
    case OPD_Usd:
    case OPD_Hsd:
        return 8;
    case OPD_Ev:
    case OPD_Rv:
    case OPD_Mv:
    case OPD_Gv:
    case OPD_Zv:
    case OPD_rAXv:
    case OPD_Iv:
    case OPD_sIb:
    case OPD_Ov:
    case OPD_Xv:
    case OPD_Yv:
    case OPD_Iz:
    case OPD_One:
    case OPD_Jz:
        return o->osz;
    case OPD_Ey:
    case OPD_Ry:
    case OPD_My:
    case OPD_Gy:
    case OPD_By:
        return y;
    case OPD_Ez:
    case OPD_Mz:
    case OPD_Gz:
    case OPD_rAXz:
    case OPD_Xz:
    case OPD_Yz:
        return z;
    case OPD_RdMb:
        return o->mod3 ? 4 : 1;
    case OPD_RdMw:
        return o->mod3 ? 4 : 2;
    case OPD_RyMb:
        return o->mod3 ? y : 1;
    case OPD_RyMw:
        return o->mod3 ? y : 2;
    case OPD_Cy:
    case OPD_Dy:
        return o->pfx & PFX_REX || y == 8 ? 8 : 4;
    case OPD_Mt:
    case OPD_ST0:
    case OPD_STi:
        return 10;
    case OPD_Mdq:
    case OPD_Vdq:
    case OPD_Wdq:
    case OPD_Udq:
    case OPD_Hdq:
    case OPD_Ldq:
        return 16;
    case OPD_Mx:
    case OPD_Vx:
    case OPD_Wx:
    case OPD_Ux:
    case OPD_Hx:
    case OPD_Lx:
        return x;
    default:
        return 0;
    }
}

unsigned op_width(const struct insn *i, unsigned n)
{
    return kind_width(i, insn_rows[i->row].opd[n], i->pfx & PFX_W);
}

/* Byte offset of a general-register operand; 0xffff: the operand is none. */
static uint16_t operand_reg(const struct dec *d, unsigned kind, unsigned w)
{
    const struct insn *o = d->o;
    unsigned r;
    switch (kind) {
    case OPD_Eb:
    case OPD_Ew:
    case OPD_Ed:
    case OPD_Eq:
    case OPD_Ev:
    case OPD_Ey:
    case OPD_Ez:
    case OPD_Rw:
    case OPD_Rd:
    case OPD_Rq:
    case OPD_Rv:
    case OPD_Ry:
    case OPD_RdMb:
    case OPD_RdMw:
    case OPD_RyMb:
    case OPD_RyMw:
        if (!o->mod3) {
            return 0xffff;
        }
        r = o->rm;
        break;
    case OPD_Gb:
    case OPD_Gw:
    case OPD_Gd:
    case OPD_Gq:
    case OPD_Gv:
    case OPD_Gy:
    case OPD_Gz:
        r = o->reg;
        break;
    case OPD_By:
        r = o->vvvv;
        break;
    case OPD_Zb:
    case OPD_Zv:
        r = (o->opcode & 7u) | (d->rex & 1u) << 3;
        break;
    case OPD_AL:
    case OPD_rAXv:
    case OPD_rAXz:
        r = REG_RAX;
        break;
    case OPD_CL:
        r = REG_RCX;
        break;
    case OPD_DX:
        r = REG_RDX;
        break;
    default:
        return 0xffff;
    }
    /* AL and CL name the low byte themselves; the other byte registers 4..7 are AH..BH without REX.
     */
    if (w == 1 && r >= 4 && r < 8 && !d->rex) {
        return reg_off(r - 4, 1, true);
    }
    return reg_off(r, w, false);
}

static bool kind_is_imm(unsigned kind)
{
    return kind == OPD_Ib || kind == OPD_sIb || kind == OPD_Iw || kind == OPD_Iz ||
           kind == OPD_Iv || kind == OPD_One;
}

static void immediate(struct dec *d, unsigned kind)
{
    struct insn *o = d->o;
    switch (kind) {
    case OPD_Ib:
        o->imm = fetch8(d);
        break;
    case OPD_sIb:
    case OPD_Jb:
        o->imm = (int8_t)fetch8(d);
        break;
    case OPD_Iw:
        o->imm = (int64_t)fetch(d, 2);
        break;
    case OPD_Iz:
    case OPD_Jz:
        o->imm = o->osz == 2 ? (int64_t)(int16_t)fetch(d, 2) : (int64_t)(int32_t)fetch(d, 4);
        break;
    case OPD_Iv:
        o->imm = (int64_t)fetch(d, o->osz);
        break;
    case OPD_Ibb:
        o->imm2 = fetch8(d);
        break;
    case OPD_Ap:
        o->imm = (int64_t)fetch(d, o->osz == 2 ? 2 : 4);
        o->imm2 = (uint16_t)fetch(d, 2);
        break;
    case OPD_Ob:
    case OPD_Ov:
        o->disp = (int64_t)fetch(d, o->asz);
        break;
    case OPD_Lx:
    case OPD_Ldq:
        o->imm2 = fetch8(d) >> 4;
        if (!d->code64) {
            o->imm2 &= 7;
        }
        break;
    case OPD_One:
        o->imm = 1;
        break;
    default:
        break;
    }
}

/* Which of the instantiated forms, and the register operands' offsets. */
static void form(struct dec *d, const struct insn_row *r)
{
    struct insn *o = d->o;
    unsigned w0 = kind_width(o, r->opd[0], d->rex & 8), w1 = kind_width(o, r->opd[1], d->rex & 8);
    uint16_t a = operand_reg(d, r->opd[0], w0), b = operand_reg(d, r->opd[1], w1);
    bool imm = kind_is_imm(r->opd[1]);
    o->w = (uint8_t)w0;
    o->ra = a == 0xffff ? 0 : a;
    o->rb = b == 0xffff ? 0 : b;
    if (a != 0xffff) {
        o->form = imm ? FORM_RI : b != 0xffff || !r->opd[1] ? FORM_RR : FORM_RM;
    } else {
        o->form = imm ? FORM_MI : FORM_MR;
    }
}

static void segment(struct dec *d)
{
    struct insn *o = d->o;
    if (o->segovr != SEG_NONE) {
        o->seg = o->segovr;
    }
    if (d->code64) {
        o->segm = o->seg >= SEG_FS ? SEGM_BASE : SEGM_FLAT;
    } else if ((d->in->mode & MODE_FLAT) && o->seg != SEG_CS && o->seg < SEG_FS) {
        o->segm = SEGM_FLAT;
    } else {
        o->segm = SEGM_CHECK;
    }
}

static insn_fn pick(const struct insn *o, const struct sem *s)
{
    if (s->by && o->w && o->w <= 8) {
        insn_fn fn = s->by[o->form][__builtin_ctz(o->w)];
        if (fn) {
            return fn;
        }
    }
    return s->any;
}

static enum decode_status give_up(struct dec *d, enum decode_status st)
{
    d->o->fn = st == DECODE_TOOLONG ? sem_decode_gp.any : sem_decode_ud.any;
    d->o->row = 0xffff;
    /* The ModRM byte may have decided: it belongs to the bytes that a block must watch. */
    unsigned seen = d->pos + (st == DECODE_UD && d->pos < d->in->avail && d->pos < 15);
    d->o->len = (uint8_t)(seen ? seen : 1);
    return st;
}

/* Outside 64-bit mode VEX.W does not size general registers (SDM 2A 2.3.6.1). */
static bool has_y_operand(const struct insn_row *r)
{
    for (unsigned n = 0; n < 4; n++) {
        unsigned k = r->opd[n];
        if (k == OPD_Ey || k == OPD_Ry || k == OPD_My || k == OPD_RyMb || k == OPD_RyMw ||
            k == OPD_Gy || k == OPD_By) {
            return true;
        }
    }
    return false;
}

enum decode_status insn_decode(const struct decode_in *in, struct insn *out)
{
    struct dec dec = {.in = in, .o = out}, *d = &dec;
    memset(out, 0, sizeof *out);
    d->code64 = in->mode & MODE_C64;
    d->legacy_sizes = feature_in(in->features, FEAT_i386);
    d->max_len = !d->legacy_sizes && feature_in(in->features, FEAT_i286) ? 10 : 15;
    out->segovr = SEG_NONE;
    out->seg = SEG_DS;
    out->base = out->index = offsetof(struct cpu, zero);
    out->off = (uint16_t)in->off;
    bool good = opcode(d);
    const struct insn_row *r = good && !d->more && !d->toolong ? find_row(d) : NULL;
    if (d->toolong) {
        return give_up(d, DECODE_TOOLONG);
    }
    if (d->more) {
        return DECODE_MORE;
    }
    if (!r) {
        return give_up(d, DECODE_UD);
    }
    out->row = (uint16_t)(r - insn_rows);
    if (d->vex && !d->code64 && has_y_operand(r)) {
        d->rex = 0;
    }
    out->pfx |= (uint8_t)((d->p66 ? PFX_OSZ : 0) | (d->rex & 8 ? PFX_W : 0) |
                          (d->rex && !d->vex ? PFX_REX : 0));
    sizes(d, r->attr);
    if (r->modrm) {
        modrm(d, r);
    }
    for (unsigned n = 0; n < 4; n++) {
        immediate(d, r->opd[n]);
    }
    if (d->toolong) {
        return give_up(d, DECODE_TOOLONG);
    }
    if (d->more) {
        return DECODE_MORE;
    }
    if (out->pfx & PFX_LOCK && feature_in(in->features, FEAT_i386) &&
        (!(r->attr & A_LOCK) || out->mod3)) {
        return give_up(d, DECODE_UD);
    }
    out->len = (uint8_t)d->pos;
    if (out->base == offsetof(struct cpu, blk_rip)) {
        out->disp += (int64_t)(in->off + out->len);
    }
    segment(d);
    form(d, r);
    out->fn = pick(out, r->sem);
    return DECODE_OK;
}

SEM(decode_ud)
{
    (void)i;
    cpu_ud(cpu);
}

SEM(decode_gp)
{
    (void)i;
    cpu_gp0(cpu);
}
