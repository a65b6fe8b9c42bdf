/*
 * The block JIT: host-neutral interface between the guest CPU (cpu/engine.c) and a host back end.
 *
 * The guest CPU lifts a decoded block to micro-operations (uop.h) and gets code for it. The code
 * runs on struct jit_env, which lies inside the guest CPU's struct; other fields of that struct are
 * reached by offsets (struct jit_layout). Emitted code holds no host pointer and no linear address,
 * so one buffer serves every vCPU of a machine.
 *
 * Registers: guest registers live in host registers while code runs, and in the guest CPU's struct
 * whenever C runs. Flags: pending ones are described by a recipe (struct jit_recipe): by the site
 * where C is entered, or by env->cc_* if the site says so.
 *
 * Leaving: each place where code can leave has a site, a number that code passes to C.
 *   SITE_LINK    a direct transfer whose target is not linked; the budget is charged already
 *   SITE_BUDGET  a block whose length does not fit the budget; not entered
 *   SITE_BAIL    instruction k of the block must run in the interpreter, and the rest of the block
 *   SITE_INTERP  instruction k runs in the interpreter; code goes on behind it
 *   SITE_CHECK   a block is entered, not charged yet; env->interp is called (jit_check)
 *
 * The buffer is a ring of regions. When one is full, the code in the next, the oldest, is evicted.
 *
 * What always holds: code is freed only by jit_reset and jit_compile, between blocks. Invalid code
 * is unreachable: jit_unlink takes away every jump to it and the caller every table entry.
 */
#ifndef DOPPEL_CPU_JIT_JIT_H
#define DOPPEL_CPU_JIT_JIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpu/jit/count.h"
#include "cpu/jit/uop.h"

/* How flags come from values; kept in env->cc_op as kind * 4 + log2 of the width. */
enum jit_cc {
    /* CF in bit 0 of cf */
    CC_INC, /* res */
    CC_DEC,
    CC_SHL,   /* res; OF = sign ^ CF */
    CC_SHR,   /* res; b = count: OF as SHR by b sets it */
    CC_SAR,   /* res; OF 0 */
    CC_MUL,   /* res; OF = CF */
    CC_BITS,  /* res: the low byte of EFLAGS in bits 15:8 (LAHF); OF 0 */
    CC_BITSO, /* as CC_BITS, but OF in bit 8 of cf */
    CC_CFOF,  /* res; OF in bit 8 of cf */
    /* not so */
    CC_CANON, /* the guest CPU's own form */
    CC_ADD,   /* res, b */
    CC_SUB,   /* res, b */
    CC_CMP,   /* a in res, b */
    CC_LOGIC, /* res; carries 0 */
    CC_NEG,   /* res */
    CC_ADC,   /* res, b; carry in in cf */
    CC_SBB,
    CC_ZF, /* res; the other flags 0 */
};

/* What sets some flags alone; the value is in env->cc_over. */
enum jit_over {
    OVER_NONE,
    OVER_ROL, /* CF and OF, by the result of a rotate */
    OVER_ROR,
    OVER_CF,   /* CF in bit 0 */
    OVER_CFOF, /* CF in bit 0, OF in bit 8 */
};

/* Where a value of a recipe is. */
enum jit_loc { LOC_SLOT, LOC_REG, LOC_IMM }; /* env->cc_*, guest register, imm */

struct jit_recipe {
    uint8_t cc; /* enum jit_cc; meaningless if slot */
    uint8_t lw; /* log2 of the width */
    bool slot;  /* all of it is in env->cc_* */
    bool zf;    /* ZF is in bit 0 of env->cc_zf instead */
    bool known; /* slot: cc, lw and b say what is there; for back ends */
    uint8_t res_at, res_reg;
    uint8_t b_at, b_reg;
    int32_t b_imm;
};

#define JIT_NEAR_END 1024 /* bytes: more than any block has */
/* Jump tables: from RIP, in based code (jit_source) the linear address, to code, for transfers that
 * are not linked. One per view of the TLB. Entries belong to one (mode, TLB generation): the guest
 * CPU empties a table when these change. */
#define JIT_JT_SIZE 65536u
/* The entry of a RIP. More bits than a page's offset: functions begin at multiples of 16. */
static inline unsigned jit_jt_index(uint64_t rip)
{
    return (unsigned)(rip & (JIT_JT_SIZE - 1));
}
#define JIT_VIEWS 3u
struct jit_jt {
    uint64_t rip;
    uint64_t host; /* address of code */
};

/* What a memory access of hot code that is no constant met last: the offset of the soft TLB's
 * entry. So the entry does not wait for the address; it is compared with it all the same. An
 * address may have the tag of an entry that is not valid, though not its own entry's, if it is no
 * address of 32-bit code. So 64-bit code compares with `limit` too: the guest CPU sets that to 0
 * before code goes on if the entry let something through and no longer does. A slot is for accesses
 * of one view, size and direction (jit_backend.near_what). */
struct jit_near {
    uint64_t limit; /* address XOR tag is less if all of the access is in the page; 0: nothing is */
    uint32_t entry;
    int32_t left;  /* misses until C looks whether this pays */
    uint64_t time; /* when it did, for C */
};
#define JIT_NEAR       256u              /* slots for one view */
#define JIT_NEAR_LIMIT UINT32_C(0x10000) /* near_failed: the code looks at `limit` */

struct jit_env {
    uint64_t page; /* RIP of the first byte of the running block's page */
    /* The recipe in memory. cc_op: byte 0 as said above; byte 1, if not 0, is enum jit_over * 4 +
     * log2 of the width: some flags come from cc_over instead; before
     * that, with bit 16, all but OF from cc_sahf; behind it, with bit 24, ZF from bit 0 of cc_zf.
     * cc_cf: CF in bit 0; CC_BITSO, CC_CFOF: OF in bit 8. */
    uint64_t cc_res, cc_b, cc_over;
    uint32_t cc_op, cc_cf, cc_zf, cc_sahf;
    uint64_t target, scratch; /* of an indirect transfer; of SETcc */
    uint64_t host;
    uint64_t *runs; /* jit_runs(); only where runs are counted */
    /* Vectors. The guest CPU sets vec_no before it lets code run and MXCSR is not loaded then; code
     * unloads it in front of all C. vec_hi0: the guest's bits 255:128 are known to be zero. */
    uint8_t vec_no, vec_hi0; /* JIT_VEC_xx */
    uint32_t host_mxcsr;
    /* The clock shows tsc + ((n * tsc_rate + tsc_frac) >> 16) when n instructions of the tsc_units
     * that the budget had at first have retired. */
    uint64_t tsc, tsc_units, tsc_rate, tsc_frac;
    uint64_t once; /* refill: the bias (host minus guest address) for this one access */
    /* refill with JIT_REFILL_ONCE: a site of the code that asks. */
    uint32_t store_site;
    uint64_t next_page, linear; /* based code: of an indirect transfer */
    /* C behind the code; set by the guest CPU once. */
    int (*refill)(struct jit_env *env, uint64_t la, uint32_t what); /* what: JIT_REFILL_xx */
    int (*interp)(struct jit_env *env, uint32_t site);              /* enum jit_next */
    /* What the site's `act` says, without registers and flags being in memory. enum jit_quick */
    int (*quick)(struct jit_env *env, uint64_t val, uint32_t site);
    /* Condition cc of the recipe in memory, 0 or 1; or one of JIT_COND_xx. */
    int (*cond)(struct jit_env *env, uint32_t cc);
    /* The guest's x87 state while x87_live is set: in the host's FPU, or, in C, in x87_image (as
     * FNSAVE m108 writes it); if !jit_host_fpu() in the state table. See cpu/x87_host.c. x87_ip and
     * so on: where the last instruction and its operand were, if they are not what they were when
     * the state went live. */
    int (*x87_load)(struct jit_env *env); /* make it live: an image and x87_live; 0: not now */
    /* Where code does not use the host's FPU: do the instruction `what` (opcode << 8 | ModRM, and
     * JIT_X87_MEM) on the state table; v, and what comes back, are the memory operand's bits (of 80
     * bits: the significand). FCMOV: v is the condition; FCOMI: EFLAGS 7:0 << 8 | CF comes back. */
    uint64_t (*x87_soft)(struct jit_env *env, uint32_t what, uint64_t v);
    uint64_t x87_ip; /* JIT_X87_NONE: as it was */
    uint64_t x87_ea, x87_dp;
    uint16_t x87_op, x87_cw;
    uint8_t x87_seg; /* of x87_dp; 0xff: as it was */
    uint8_t x87_live;
    uint8_t x87_image[108];
    /* An access of hot code, whose code is at `place`, has used up the misses of its slot, which is
     * numbered from near[0][0]. */
    int (*near_failed)(struct jit_env *env, uint64_t place, uint32_t slot);
    struct jit_near near[JIT_VIEWS][JIT_NEAR];
    uint8_t near_filled[JIT_VIEWS]; /* a limit is not 0 */
    uint64_t bias[JIT_GROUPS];      /* of groups of accesses: host minus guest address */
    struct jit_jt jt[JIT_VIEWS][JIT_JT_SIZE];
};
/* What env->interp answers: go on behind the instruction; leave; go on at `host`, the entry of
 * other code, with `page` set as it needs it and the flags' recipe in memory. */
enum jit_next { JIT_NEXT, JIT_LEAVE, JIT_GO };
/* What env->quick does. */
enum jit_act {
    ACT_NONE,
    ACT_PAUSE,
    ACT_IN,  /* val: the port; the result goes to env->scratch */
    ACT_OUT, /* val: the port, and from bit 16 on the data */
    ACT_SEG, /* val: a selector */
};
/* What it answers: nothing was done, leave by the site; go on; it is done, leave behind it. */
enum jit_quick { JIT_QUICK_NOT, JIT_QUICK_ON, JIT_QUICK_LEAVE };
#define JIT_X87_NONE       (UINT64_C(1) << 63) /* no canonical address */
#define JIT_X87_MEM        0x2000u             /* clear in D8xx to DFxx */
#define JIT_COND_SETTLE    16u /* makes the recipe in memory CC_CANON; the value means nothing */
#define JIT_COND_IMAGE     17u /* that, and RFLAGS as PUSHF stores them */
#define JIT_REFILL_WRITE   0x100u
#define JIT_REFILL_VIEW(v) ((uint32_t)(v) << 9)
/* Bytes, to 4096: in bits 7:0 and 27:24. */
#define JIT_REFILL_SIZE(n)  (((n)&0xffu) | ((n) >> 8) << 24)
#define JIT_REFILL_BYTES(w) (((w)&0xffu) | ((w) >> 24) << 8)
#define JIT_REFILL_ALIGN    0x800u  /* fails unless the address is a multiple of the size */
#define JIT_REFILL_ONCE     0x1000u /* it may answer 2: no entry, but env->once for this access */
#define JIT_REFILL_KEEP     0x2000u /* ONCE must not make any code invalid */

/* Why vector instructions may not run in code just now. */
#define JIT_VEC_NO_SSE   1u /* they fault */
#define JIT_VEC_NO_AVX   2u /* VEX-encoded ones do */
#define JIT_VEC_TRAPS    4u /* an exception is unmasked in MXCSR, or MXCSR is not valid */
#define JIT_VEC_UNLOADED 8u /* the host's MXCSR is not the guest's */

/* Byte offsets from struct jit_env to fields of the guest CPU. */
struct jit_layout {
    int32_t gpr;           /* 16 registers of 8 bytes */
    int32_t budget;        /* int64_t */
    int32_t l1[JIT_VIEWS]; /* soft TLB, 32-byte entries: tag_r bias_r tag_w bias_w */
    uint32_t l1_entries;   /* a power of two */
    int32_t ymm;           /* 16 registers of 32 bytes, as in memory (little-endian hosts) */
    int32_t mxcsr;         /* uint32_t */
    int32_t rflags;        /* uint64_t: the flags that are not arithmetic */
    int32_t cr4;           /* uint64_t */
    int32_t tsc_offset;    /* uint64_t: what is added to the clock */
    int32_t tsc_aux;       /* uint32_t */
    int32_t cpl;           /* uint8_t */
    int32_t intr;          /* bool: an interrupt waits, if only for IF */
    int32_t view, mode;    /* uint32_t: which view of the TLB, and what blocks are keyed by */
    int32_t gs_base, kernel_gs_base; /* uint64_t: what SWAPGS swaps */
    int32_t segv, segv_size;         /* by segment number: base, lo, end_r, end_w, 8 bytes each */
    int32_t segv_code;               /* of the code segment */
    int32_t sel, sel_size;           /* uint16_t by segment number: selectors; bytes apart */
    /* The x87 state, as cpu/x87.h says: 8 significands, signs and exponents of 2 bytes, control and
     * status word, a byte of what is empty. */
    int32_t x87_m, x87_se, x87_cw, x87_sw, x87_empty;
};

enum jit_site_kind { SITE_LINK, SITE_BUDGET, SITE_BAIL, SITE_INTERP, SITE_CHECK };

struct jit_code;
struct jit_site {
    struct jit_code *code; /* where it is */
    void *owner;           /* the guest CPU's block */
    uint8_t kind;
    uint16_t k;           /* BAIL, INTERP: the instruction of that block; BAIL: or its end */
    uint16_t refund;      /* charged at the entry for blocks behind this one: BAIL, INTERP */
    uint8_t act;          /* BAIL: enum jit_act, what env->quick is to do there */
    bool lead;            /* BAIL: of a group of accesses that the first instruction leads */
    bool flags_dead;      /* rc may be wrong: the flags are set anew before anybody looks */
    struct jit_recipe rc; /* flags there */
    uint16_t x87_off;     /* 1 + bytes from the page's first to what x87_ip must become; 0: it is */
    uint16_t x87_op;      /* and x87_op */
    int32_t target;       /* LINK: bytes from the page's first to the target */
    uint32_t patch;       /* LINK: where the jump's displacement lies in the buffer; 0: none */
    uint32_t unlinked;    /* LINK: where it goes unlinked */
    struct jit_code *to;  /* linked to */
    uint32_t next_in;     /* next site linked to the same code, as index + 1 */
    uint32_t next_of;     /* next site of this code, or of the free ones, likewise */
};

/* Code for a block, or for a superblock. */
struct jit_code {
    void *owner;       /* the guest CPU's block where it begins */
    uint16_t charge;   /* what entering costs of the budget */
    bool valid;        /* false: a block of it was overwritten; for the guest CPU */
    bool super;        /* a superblock; for the guest CPU */
    uint32_t entry;    /* offset in the buffer */
    uint32_t bytes;    /* emitted */
    uint16_t page_off; /* of the block's first byte in its page */
    uint32_t incoming; /* sites linked here: index + 1, or 0 */
    uint32_t sites;    /* its sites: index + 1, or 0 */
    uint32_t segs;     /* its segments (count.c): the first's index + 1, or 0 */
    uint32_t emitted[EMIT_COUNT];
    struct jit_code *next;
};

/* A guest block in what is compiled. */
struct jit_part {
    void *owner;
    uint16_t charge; /* guest instructions */
};
#define JIT_PARTS_MAX 32u

/* What to compile: a block, or a superblock of several that lie in one page and run in this order
 * as a rule. In a superblock each block but the last ends with nothing (its jump is the way on), or
 * with a micro-operation marked UF_SIDE: JCC leaves for `imm` if its condition holds, CALL just
 * pushes, RET bails if the return address is not where the next micro-operation is. U_LOOP at the
 * end closes a loop. Entering charges for all blocks; where code leaves it gives back what it has
 * not begun. */
struct jit_source {
    struct jit_part part[JIT_PARTS_MAX];
    unsigned nparts;
    struct uop *u;
    unsigned n;
    uint16_t page_off; /* of the first byte, in its page */
    uint8_t bits;      /* 16, 32 or 64: of code */
    /* Segments may have bases and limits, or the stack is of another size than code: code of 16
     * bits always. RIP is not the linear address; jump tables go by that. Never a superblock. */
    bool based;
    uint8_t sp_bits, sp_segm; /* of the stack pointer; enum uop_seg of the stack segment */
    uint8_t view;             /* soft TLB array of its data accesses */
    /* The first instruction may lead a group of accesses: if its check fails it bails. */
    bool lead_first;
    /* 32-bit code: registers 0..7 have zero in their upper halves, and the soft TLB holds nothing
     * that lies above 4 GiB. */
    bool wide;
    bool x87_pointers; /* each x87 instruction notes its opcode and its operand's address */
};

/* In wide 32-bit code: a displacement that is added in 64 bits; an address that wraps then fails
 * its check. */
static inline bool jit_wide_disp(int64_t disp)
{
    return disp >= -0x8000 && disp < 0x8000;
}

struct jit_stats {
    uint64_t blocks, insns, code_bytes, sites;
    uint64_t links, unlinks, resets;
    uint64_t evictions, evicted;  /* regions, and pieces of code in them */
    uint64_t memory;              /* bytes of host memory: code, sites, tables */
    uint64_t interp_insns;        /* compiled instructions left to the interpreter */
    uint64_t emitted[EMIT_COUNT]; /* since start, like insns */
};

/* What ran in code. */
struct jit_running {
    uint64_t segments;            /* blocks, and parts of superblocks, entered */
    uint64_t insns, interp;       /* guest instructions; of these, left to the interpreter */
    uint64_t super;               /* of insns without interp: in superblocks */
    uint64_t emitted[EMIT_COUNT]; /* host instructions */
};

struct jit;
/* "x64", "a64"; "none". */
const char *jit_host_name(void);
/* Does the back end take jit_source.based? */
bool jit_host_based(void);
/* Does code keep the guest's x87 state in the host's FPU? Else it works on the state table. */
bool jit_host_fpu(void);
/* A JIT with a code buffer of `bytes`. NULL: this host has no back end, or no memory. */
struct jit *jit_new(const struct jit_layout *l, size_t bytes);
void jit_free(struct jit *j);
/* Code is about to be evicted: the guest CPU forgets it. Set-up time. */
void jit_on_evict(struct jit *j, void (*fn)(void *ctx, struct jit_code *code), void *ctx);
/* Evict the oldest region now. Not while code runs. */
void jit_evict(struct jit *j);
/* Code for a block; may evict other code. NULL: it cannot be compiled. Not while code runs. */
struct jit_code *jit_compile(struct jit *j, const struct jit_source *src);
/* Drop all code. Not while code runs. The caller forgets every struct jit_code. */
void jit_reset(struct jit *j);
/* Run code that is at `host` (jit_host) until it leaves; returns a site, or JIT_DONE if env->interp
 * said to leave. */
uint32_t jit_run(struct jit *j, struct jit_env *env, uint64_t host);
#define JIT_DONE UINT32_MAX
const struct jit_site *jit_site(const struct jit *j, uint32_t site);
/* What was emitted: code->bytes bytes, the block's own first, cold code behind. */
const unsigned char *jit_bytes(const struct jit *j, const struct jit_code *code);
/* Let a SITE_LINK in the same page jump to `to` from now on. */
void jit_link(struct jit *j, uint32_t site, struct jit_code *to);
/* jit_env.near_failed: the access at `place` uses no slot from now on. */
void jit_near_off(struct jit *j, uint32_t place, uint32_t slot);
/* Take away every jump to it. */
void jit_unlink(struct jit *j, struct jit_code *to);
/* For jump tables. */
uint64_t jit_host(const struct jit *j, const struct jit_code *code);
struct jit_stats jit_stats(const struct jit *j);
/* Let code compiled from now on call env->interp at the entry of each block. */
void jit_check(struct jit *j);
/* Let code compiled from now on count its runs. False: no memory. */
bool jit_count(struct jit *j);
/* For env->runs; NULL where runs are not counted. */
uint64_t *jit_runs(struct jit *j);
struct jit_running jit_running(const struct jit *j);

#endif
