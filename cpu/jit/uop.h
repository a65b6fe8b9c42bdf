/*
 * Micro-operations: what the lifter (cpu/lift.c) hands to a host back end.
 *
 * One per guest instruction. The shape is x86's: two operands, of which one may be memory, widths
 * of 1, 2, 4 and 8 bytes, 32-bit register writes clear the upper half. A back end that cannot emit
 * one returns false and the instruction runs in the interpreter (U_INTERP), so an empty back end is
 * correct.
 *
 * No header of the guest CPU is known here: registers are numbers 0..15 in x86 encoding order,
 * flags have EFLAGS positions, and fields of the guest CPU are byte offsets in struct jit_layout.
 *
 * Contract at a micro-operation with a memory operand: every check comes before every effect. If a
 * check fails, the code bails with registers and flags as before the instruction.
 */
#ifndef DOPPEL_CPU_JIT_UOP_H
#define DOPPEL_CPU_JIT_UOP_H

#include <stdbool.h>
#include <stdint.h>

/* d: destination (also first source), s: second source. */
// clang-format off
#define UOPS(X)                                                                          \
    X(INTERP)     /* run the instruction in the interpreter, then go on */               \
    X(INTERP_END) /* likewise; the block ends there */                                   \
    X(NOP)                                                                               \
    X(MOV)                                                                               \
    X(MOVZX)      /* sw: bytes of the source */                                          \
    X(MOVSX)                                                                             \
    X(LEA)        /* d = address of m, no access */                                      \
    X(ADD) X(OR) X(ADC) X(SBB) X(AND) X(SUB) X(XOR) X(CMP) /* in encoding order */       \
    X(TEST)                                                                              \
    X(INC) X(DEC) X(NEG) X(NOT)                                                          \
    X(SHL) X(SHR) X(SAR) X(ROL) X(ROR) /* s: immediate, or register 1 (CL) */            \
    X(IMUL)       /* d = d * s, or s * imm with UF_THREE */                              \
    X(MUL1) X(IMUL1) /* rDX:rAX = rAX * s */                                             \
    X(DIV) X(IDIV) /* rDX:rAX by s; flags stay */                                        \
    X(CWD)        /* rDX = sign of rAX */                                                \
    X(CBW)        /* rAX = sign-extended lower half */                                   \
    X(XCHG) X(BSWAP)                                                                     \
    X(CMOV) X(SETCC) /* cc */                                                            \
    X(BT)         /* sw: 0 test, 1 set, 2 reset, 3 complement bit s of d; sets CF alone. \
                   * d memory and s register: s is signed and reaches other operands */  \
    X(PUSH) X(POP) X(LEAVE) /* slots of w bytes; PUSH of memory s: m is that */          \
    X(X87)        /* an x87 instruction; see below */                                    \
    X(JCC) X(JMP) X(CALL) /* imm: target, bytes from the block's page */                 \
    X(RET)        /* imm: bytes to drop behind the return address */                     \
    X(JMPI) X(CALLI) /* s: target */                                                     \
    X(VEC)        /* SSE, AVX: struct uop_vec says which */                              \
    X(END)        /* the block ends in front of the next instruction */                  \
    X(LOOP)       /* last of a superblock: go back to its first micro-operation */       \
    /* The three accesses of time, flags as values: */                                   \
    X(RDTSC)      /* EDX:EAX = time; cc 1: and ECX = TSC_AUX. Bails with CR4.TSD. */     \
    X(PUSHF)      /* a slot of w bytes at m: JIT_COND_IMAGE */                           \
    X(PUSHSEG)    /* likewise: the selector of segment register dr */                    \
    X(POPF)       /* CPL 0; bails if flags change that are not in code's reach: those of \
                   * others than IF, DF and the arithmetic ones, or IF while an          \
                   * interrupt waits */                                                  \
    X(LAHF) X(SAHF)                                                                      \
    X(SETCF)      /* CF alone = cc 0: 0, 1: 1, 2: its complement */                      \
    X(SETDF)      /* bit 10 of rflags = cc */                                            \
    /* d by s, which is a register; the count: imm, with UF_COND CL instead. imm is      \
     * masked and 1 to 8*w. OF: the sign changed; SF ZF PF of the result, AF 0. */       \
    X(SHLD) X(SHRD)                                                                      \
    X(RCL) X(RCR) /* d by one; CF and OF alone */                                        \
    /* d is a register, s register or memory. BSF, BSR: ZF alone; of 0: d stays. TZCNT,  \
     * LZCNT: CF (s is 0) and ZF (of the result) alone. POPCNT: ZF, the others 0. */     \
    X(BSF) X(BSR) X(TZCNT) X(LZCNT) X(POPCNT)                                            \
    X(CMPXCHG)    /* rAX with d: equal: d = s, else rAX = d; flags of CMP rAX, d */      \
    X(CMPXCHG2)   /* rDX:rAX, halves of w bytes, with m; rCX:rBX; ZF alone */            \
    X(XADD)       /* s = d, d = sum; d last */                                           \
    X(CRC32)      /* d (4 bytes, upper half 0), s of sw bytes */                         \
    X(MOVBE)                                                                             \
    /* BMI1, BMI2: d, s register or memory, vr the other register (BLSx, RORX: none).    \
     * Those in the first line set flags: SF ZF PF of the result, AF OF 0, CF as the SDM \
     * says (ANDN, BEXTR: 0). MULX: d high half, then vr low; RORX: by imm. */           \
    X(ANDN) X(BLSR) X(BLSMSK) X(BLSI) X(BZHI) X(BEXTR)                                   \
    X(PEXT) X(PDEP) X(SHLX) X(SARX) X(SHRX) X(MULX) X(RORX)                              \
    /* Strings, one element of w bytes: m is the source, by rSI; the destination is      \
     * ES:rDI, flat, as wide as m.asz. Forward: bails with DF. CMPS, SCAS: flags of CMP  \
     * source (rAX), destination. */                                                     \
    X(MOVS) X(STOS) X(LODS) X(CMPS) X(SCAS)                                              \
    /* LOOPNE, LOOPE, LOOP, JCXZ: cc 0 to 3; the count is sw bytes of rCX; imm: target.  \
     * Ends a block. */                                                                  \
    X(JCOUNT)                                                                            \
    /* Strings with REP, flat, by rCX as wide as m.asz. Each iteration is a unit: what   \
     * takes more than one page of an operand, more than the budget, or DF is left to    \
     * the interpreter, also in the middle. cc: ends at the first that is unequal (0) or \
     * equal (1); flags as CMP, or as they were if rCX is 0. */                          \
    X(REPMOVS) X(REPSTOS) X(REPCMPS) X(REPSCAS)                                          \
    /* By env->quick; they bail if it says so. IN, OUT: w bytes of rAX; the port is imm, or     \
     * with cc 1 DX. LOADSEG: segment register dr = s; with cc 1 from a slot of w bytes. */      \
    X(PAUSE) X(IN) X(OUT) X(LOADSEG)                                                     \
    /* These bail unless CPL is 0. STI: also while an interrupt waits; never the last of a \
     * block, so that nobody sees its shadow. */                                         \
    X(CLI) X(STI)                                                                        \
    X(SWAPGS)                                                                            \
    X(SETAC)      /* CLAC, STAC: RFLAGS.AC = cc. dr: the view of the TLB from then on; imm: \
                   * the bit of the guest CPU's mode that becomes cc. Ends a block. */
// clang-format on

enum uop_code {
#define X(n) U_##n,
    UOPS(X)
#undef X
        UOP_COUNT
};

enum uop_kind { UK_NONE, UK_REG, UK_REGH, UK_IMM, UK_MEM, UK_XMM }; /* REGH: bits 15:8 of 0..3 */

/* How the segment enters; as enum seg_mode of cpu/insn.h. */
enum uop_seg { US_FLAT, US_BASE, US_CHECK };

#define UR_NONE    0xff /* no base or index register */
#define UR_PAGE    0xfe /* base: the RIP of the block's page (RIP-relative addresses) */
#define UR_SCRATCH 0xfd /* base: env->scratch; a back end's own */

/* A memory operand: seg + (base + (index << scale) + disp) cut to asz bytes. */
struct uop_mem {
    uint8_t base, index, scale;
    uint8_t asz;  /* 2, 4, 8 */
    uint8_t segm; /* enum uop_seg */
    uint8_t seg;  /* number of the segment register, for jit_layout.segv */
    int64_t disp;
};

enum {
    UF_NEED = 1u << 0,  /* somebody may look at the flags it leaves (jit_pass_flags) */
    UF_BAIL = 1u << 1,  /* may leave for the interpreter in front of itself */
    UF_COND = 1u << 2,  /* may leave the flags as they were (shift by CL) */
    UF_THREE = 1u << 3, /* IMUL with an immediate */
    UF_SIDE = 1u << 4,  /* JCC, CALL, RET: as a rule the next micro-operation follows; see jit.h */
};

/* What distinguishes the vector instructions, all of them U_VEC. The identity of one is its VEX
 * encoding (map, pp, opc, digit, W; SDM 2A 2.3.5, SDM 2C, 2D), also for the legacy form of it;
 * legacy ones without a VEX form (SHA) have the numbers that a VEX form would have.
 *
 * Operands: d = f(a, s, fourth, imm). d is UK_XMM, UK_REG or UK_MEM with w bytes, or UK_NONE. a is
 * an XMM register or UR_NONE; legacy forms that read their destination have a == dr. s is UK_XMM,
 * UK_REG, UK_MEM with sw bytes, or UK_NONE. A write to an XMM register keeps (legacy) or clears
 * (UV_VEX) what lies above its vl bytes. The immediate is uop.imm.
 *
 * LDMXCSR and STMXCSR (0F AE /2, /3) are here too: s or d is their memory operand, nothing else.
 * PCMPESTRI and PCMPISTRI (0F3A 61, 63): d is RCX, a and s are compared, all flags are set.
 *
 * Normalized: moves of whole registers are MOVUPS or MOVDQU (F3 6F, F3 7F) whatever they were (with
 * `align`); BLENDVPS, BLENDVPD and PBLENDVB are the VEX forms with register 0 as `fourth`. */
struct uop_vec {
    uint8_t map;    /* 1: 0F, 2: 0F 38, 3: 0F 3A */
    uint8_t pp;     /* 0: none, 1: 66, 2: F3, 3: F2 */
    uint8_t opc;    /* opcode byte */
    uint8_t digit;  /* modrm.reg where that extends the opcode (UV_GROUP), else 0 */
    uint8_t a;      /* first source */
    uint8_t fourth; /* VEX.is4, or XMM0 read implicitly; UR_NONE */
    uint8_t vl;     /* 16 or 32 */
    uint8_t align;  /* #GP(0) unless the memory operand's address is a multiple of it; 1: any */
    uint8_t need;   /* enum uop_vec_set: a host that has it can have the same instruction */
    uint8_t flags;  /* UV_xx */
};
enum uop_vec_set {
    UVS_SSE2,
    UVS_SSE3,
    UVS_SSSE3,
    UVS_SSE41,
    UVS_SSE42,
    UVS_AVX,
    UVS_AVX2,
    UVS_FMA,
    UVS_F16C,
    UVS_AES,
    UVS_PCLMUL,
    UVS_SHA
};
enum {
    UV_VEX = 1u << 0,   /* may only run with AVX enabled; clears upper bits */
    UV_W = 1u << 1,     /* VEX.W, where it means something */
    UV_IMM = 1u << 2,   /* has an imm8 */
    UV_STORE = 1u << 3, /* d is modrm.rm and s modrm.reg; otherwise the other way round */
    UV_GROUP = 1u << 4, /* d is VEX.vvvv, s is modrm.rm (shifts by an immediate) */
    UV_FP = 1u << 5,    /* depends on MXCSR and sets its flags */
    UV_RMW = 1u << 6,   /* reads d besides a and s (FMA) */
};

/* U_X87: imm is opcode << 8 | ModRM as the guest has them (D8..DF; with memory only ModRM's reg
 * counts), 0x9b00 is WAIT, UX_NOTED added if it becomes what the instruction pointer shows. w:
 * bytes of the memory operand, or 0; sk, dk: UK_MEM if it reads, writes it; dk UK_REG: it writes
 * rAX. */
#define UX_NOTED 0x10000

#define JIT_GROUPS 32u

struct uop {
    uint8_t op;              /* enum uop_code */
    uint8_t w;               /* bytes of d */
    uint8_t sw;              /* bytes of s, where it differs */
    uint8_t cc;              /* condition, as encoded in Jcc */
    uint8_t dk, dr, sk, sr;  /* kinds and registers */
    uint8_t attr;            /* UF_xx */
    uint8_t len;             /* bytes of the instruction */
    uint8_t vr;              /* register of the BMI operations */
    uint8_t part;            /* its guest block, in jit_source.part */
    uint16_t k;              /* its number in that guest block */
    uint16_t off;            /* bytes from the page's first byte */
    uint16_t rflags, wflags; /* arithmetic flags read and written */
    int64_t imm;
    struct uop_mem m;
    struct uop_vec v; /* U_VEC */
    /* Accesses that need one check together (jit_pass_groups). The leader checks gspan bytes from
     * its own address + glo, for writing with gwrite; others of the group need no check. */
    uint8_t group; /* 1..JIT_GROUPS; 0: none */
    bool glead, gwrite;
    bool gkeep; /* of a leader: in a loop its address is the same in each run */
    bool gwide; /* 32-bit code: its address may be added up in 64 bits (jit_source.wide) */
    uint16_t gspan;
    uint8_t gsize; /* of its own access */
    int16_t glo;
    int16_t gat; /* from the lowest byte that the group checks */
};

#endif
