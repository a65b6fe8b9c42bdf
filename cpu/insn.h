/*
 * A decoded instruction, the table rows it comes from, and what the decoder takes and gives.
 *
 * One table (cpu/insn_*.def) says how each instruction decodes, what it reads and writes, and which
 * semantic it is. tools/mkdecode.c turns the rows into decoder chains at build time. The decoder
 * fills one struct insn: everything that does not depend on register values is resolved then. A
 * semantic is one C function (cpu/sem.h); hot ones are instantiated for each operand form and
 * width.
 *
 * What always holds: a struct insn holds no host address except `fn` and no linear address, so a
 * block decoded for one mapping serves every mapping of the same physical bytes in the same mode.
 */
#ifndef DOPPEL_CPU_INSN_H
#define DOPPEL_CPU_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/types.h"

struct cpu;
struct insn;

typedef void (*insn_fn)(struct cpu *cpu, const struct insn *i);

/* Forms that hot semantics are instantiated for: first letter operand 0, second operand 1. R is a
 * general register (i->ra, i->rb), M the memory operand, I the immediate. Unary: RR or MR. */
enum insn_form { FORM_RR, FORM_RM, FORM_MR, FORM_RI, FORM_MI, FORM_COUNT };

/* A semantic. `any` serves every form; `by` (may be NULL) has one function per form and log2 of
 * the operand width, NULL entries fall back to `any`. ends: the block ends behind it. */
struct sem {
    insn_fn any;
    const insn_fn (*by)[4];
    bool ends;
};

enum insn_prefix {
    PFX_LOCK = 1u << 0,
    PFX_REP = 1u << 1,   /* F3 as REP/REPE */
    PFX_REPNE = 1u << 2, /* F2 */
    PFX_OSZ = 1u << 3,   /* 66 */
    PFX_REX = 1u << 4,
    PFX_W = 1u << 5, /* REX.W or VEX.W */
    PFX_VEX = 1u << 6,
    PFX_L = 1u << 7, /* VEX.L: 256 bits */
};

/* How the segment enters a memory operand's linear address. */
enum seg_mode {
    SEGM_FLAT,  /* base 0, no check beyond canonical form */
    SEGM_BASE,  /* 64-bit mode FS/GS: add the base */
    SEGM_CHECK, /* limit and rights, add the base, wrap at 4 GiB */
};

struct insn {
    insn_fn fn;
    int64_t imm;    /* sign- or zero-extended as the row says; moffs; far offset */
    int64_t disp;   /* of the memory operand; RIP-relative: from the block's start */
    uint16_t base;  /* byte offset in struct cpu of the base register's value */
    uint16_t index; /* likewise; "none" is the offset of cpu->zero */
    uint16_t ra,
        rb;         /* byte offsets in struct cpu of general-register operands 0 and 1 (see form) */
    uint16_t off;   /* bytes from the block's start to this instruction */
    uint16_t k;     /* its number in the block */
    uint16_t row;   /* in insn_rows */
    uint16_t imm2;  /* second immediate: ENTER's level, far selector, is4 */
    uint8_t len;    /* bytes, 1..15 */
    uint8_t w;      /* bytes of operand 0: 1, 2, 4, 8 (vectors: 16, 32) */
    uint8_t osz;    /* effective operand size: 2, 4, 8 */
    uint8_t asz;    /* effective address size: 2, 4, 8 */
    uint8_t ashift; /* 64 - 8 * asz: bits to cut from an effective address */
    uint8_t scale;  /* 0..3 */
    uint8_t seg;    /* SEG_xx of the memory operand, override applied */
    uint8_t segm;   /* enum seg_mode */
    uint8_t reg, rm, vvvv; /* register numbers, REX/VEX extended; rm valid if mod3 */
    uint8_t modrm;         /* the byte as read */
    uint8_t mod3;          /* the E operand is a register */
    uint8_t pfx;           /* enum insn_prefix */
    uint8_t form;          /* enum insn_form */
    uint8_t opcode;        /* the opcode byte itself */
    uint8_t segovr;        /* SEG_xx of an explicit override, SEG_NONE without */
};

/* Operand kinds of the rows, spelled as in SDM 2D appendix A.2. The letter says where, the rest how
 * wide: b 1, w 2, d 4, q 8, v = operand size, z = min(operand size, 4), y = 4 or 8 by W,
 * x = 16 or 32 by VEX.L, dq 16, ss/sd scalar, p far pointer, s descriptor-table operand. */
// clang-format off
#define INSN_OPERANDS(X)                                                                           \
    X(_)                                                                                           \
    X(Eb)                                                                                          \
    X(Ew) X(Ed) X(Eq) X(Ev) X(Ey) X(Ez) /* general register or memory */                           \
        X(Rw) X(Rd) X(Rq) X(Rv) X(Ry)   /* modrm.rm, register only */                              \
        X(M) X(Mb) X(Mw) X(Md) X(Mq) X(Mv) X(My) X(Mz) X(Mp) X(Ms) X(Mdq) X(Mx) X(Mt) X(Ma)        \
            X(RdMb) X(RdMw) X(RyMb) X(RyMw)       /* 32-bit/y register, or 8/16-bit memory */      \
        X(Gb) X(Gw) X(Gd) X(Gq) X(Gv) X(Gy) X(Gz) /* modrm.reg */                                  \
        X(By)                                     /* VEX.vvvv general register */                  \
        X(Zb) X(Zv)                               /* register in the opcode's low bits */          \
        X(AL) X(CL) X(DX) X(rAXv) X(rAXz) X(One)  /* fixed */                                      \
        X(Ib) X(sIb) X(Iw) X(Iz) X(Iv) X(Ibb)     /* sIb: sign-extended; Iz: sign-extended to 64;  \
                                                     Iv: full 64-bit; Ibb: second byte, in imm2 */ \
        X(Jb) X(Jz) X(Ap) X(Ob) X(Ov) X(Sw) X(Cy)                                                  \
            X(Dy)                           /* modrm.reg: segment, control, debug register */      \
        X(Xb) X(Xv) X(Xz) X(Yb) X(Yv) X(Yz) /* [rSI] with segment, ES:[rDI] */                     \
        X(Pq) X(Pd) X(Qq) X(Qd) X(Nq)       /* MMX: modrm.reg; rm or memory; rm register only */   \
        X(Vx) X(Vdq) X(Vq) X(Vd) X(Vss) X(Vsd)       /* modrm.reg */                               \
        X(Wx) X(Wdq) X(Wq) X(Wd) X(Ww) X(Wss) X(Wsd) /* modrm.rm or memory */                      \
        X(Ux) X(Udq) X(Uq) X(Uss) X(Usd)             /* modrm.rm, register only */                 \
        X(Hx) X(Hdq) X(Hq) X(Hss) X(Hsd)             /* VEX.vvvv */                                \
        X(Lx) X(Ldq)                                 /* is4: register in imm8[7:4] */              \
        X(ST0) X(STi)                                /* x87 */

// clang-format on

enum insn_operand {
#define X(n) OPD_##n,
    INSN_OPERANDS(X)
#undef X
        OPD_COUNT
};

/* Opcode maps. X87: D8..DF keyed by opcode and the whole modrm. */
enum insn_map { MAP_1B, MAP_0F, MAP_0F38, MAP_0F3A, MAP_V0F, MAP_V0F38, MAP_V0F3A, MAP_COUNT };

/* Mandatory prefix: ANY does not look (66/F2/F3 keep their meaning as size/REP prefixes). */
enum insn_pp { PP_ANY, PP_NP, PP_66, PP_F3, PP_F2 };

/* Row attributes. */
enum {
    A_LOCK = 1u << 0,    /* LOCK allowed with a memory destination, else #UD */
    A_I64 = 1u << 1,     /* invalid in 64-bit mode */
    A_O64 = 1u << 2,     /* 64-bit mode only */
    A_D64 = 1u << 3,     /* operand size defaults to 64 in 64-bit mode (66 gives 16) */
    A_F64 = 1u << 4,     /* operand size is 64 in 64-bit mode whatever the prefixes */
    A_CPL0 = 1u << 5,    /* #GP(0) unless CPL is 0 (checked by the semantic: documented here) */
    A_NOREAL = 1u << 6,  /* #UD in real and virtual-8086 mode */
    A_W0 = 1u << 7,      /* REX.W/VEX.W must be 0 */
    A_W1 = 1u << 8,      /* ... must be 1 */
    A_L0 = 1u << 9,      /* VEX.L must be 0 */
    A_L1 = 1u << 10,     /* VEX.L must be 1 */
    A_MOD3 = 1u << 11,   /* only with a register in modrm.rm (where operands do not say so) */
    A_MEM = 1u << 12,    /* only with memory in modrm.rm (likewise) */
    A_USER = 1u << 13,   /* user-mode testable against the host CPU */
    A_REP = 1u << 14,    /* REP/REPNE counts iterations */
    A_NOVVVV = 1u << 15, /* VEX.vvvv must be 1111 */
    A_MMX = 1u << 16,    /* enters MMX state: #NM/#MF checks, tag word valid */
    A_AVX = 1u << 17,    /* needs CR4.OSXSAVE and XCR0[2:1] */
    A_SSE = 1u << 18,    /* needs CR4.OSFXSR, not CR0.EM, #NM on TS */
    A_ALIAS = 1u << 19,  /* an undocumented alias of another row */
    A_ALIGN = 1u << 20,  /* 16-byte memory operand must be aligned (legacy SSE), else #GP(0) */
    A_EXACT = 1u << 21,  /* this row wins over rows without it when several match */
    A_ANYMOD = 1u << 22, /* modrm.mod is not looked at: modrm.rm is a register (SDM 2B, MOV CR) */
};

#define NOREG                                                                                      \
    0xffff /* the row does not look at modrm.reg; 0..7: group; 0xc0..0xff: whole modrm             \
            */

struct insn_row {
    const char *name;
    const struct sem *sem;
    uint8_t opd[4]; /* enum insn_operand */
    uint8_t map, op, pp;
    uint16_t reg;                  /* NOREG, 0..7 or 0xc0..0xff */
    uint16_t feature;              /* enum feature (cpu/feature.h): #UD without it */
    uint16_t reads, writes, undef; /* arithmetic flags, EFLAGS bits */
    uint32_t attr;
    bool modrm; /* a ModRM byte follows */
};
extern const struct insn_row insn_rows[];
extern const unsigned insn_row_count;

/* Block key besides the physical address. */
enum {
    MODE_C32 = 1u << 0,  /* CS.D */
    MODE_C64 = 1u << 1,  /* 64-bit code */
    MODE_SS32 = 1u << 2, /* SS.B (set in 64-bit mode too) */
    MODE_CPL3 = 1u << 3,
    MODE_FLAT = 1u << 4,  /* CS DS ES SS: base 0, limit 4 GiB, rights allow; set in 64-bit mode */
    MODE_PROT = 1u << 5,  /* protected mode and not virtual-8086 */
    MODE_AC = 1u << 6,    /* supervisor with EFLAGS.AC: another view of the soft TLB (SMAP) */
    MODE_LONG = 1u << 8,  /* long mode is active (32-bit code in it: compatibility mode) */
    MODE_ALIGN = 1u << 7, /* user with alignment checking on */
};

#define BLOCK_INSNS 64 /* the most instructions in a block */

/* Fetch state for the decoder: up to 15 bytes from `bytes`. */
struct decode_in {
    const uint8_t *bytes;
    unsigned avail;           /* bytes that may be read */
    uint32_t mode;            /* MODE_xx */
    unsigned off;             /* bytes from the block's start */
    const uint64_t *features; /* bit set of enum feature */
};

enum decode_status {
    DECODE_OK,
    DECODE_MORE,    /* the instruction needs more bytes than avail */
    DECODE_UD,      /* no such instruction: *out raises #UD */
    DECODE_TOOLONG, /* more than 15 bytes: *out raises #GP(0) */
};

/* Decode one instruction. On all but DECODE_MORE *out is complete and executable. */
enum decode_status insn_decode(const struct decode_in *in, struct insn *out);

#endif
