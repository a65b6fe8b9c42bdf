/*
 * The x86-64 back end: shared by its files.
 *
 * Register map. Guest registers 0..11 live in host registers, RAX RCX RDX RBX RSI RDI R8-R11 in
 * their own, RSP in r12, RBP in r13; guest R12-R15 stay in memory. rbp points at struct jit_env,
 * rsp is the host's stack, r14 (T0) and r15 (T1) hold nothing between guest instructions. 32-bit
 * code has no R8-R11: there r8 to r11 are free for the back end (mem.c: where groups of accesses
 * are) and the guest's stay in memory.
 *
 * Host flags: after an arithmetic micro-operation they are the guest's (em.host_flags) until
 * something is emitted that changes them; moves and stores do not. The recipe em.rc says how to get
 * flags back otherwise.
 */
#ifndef DOPPEL_CPU_JIT_X64_X64_H
#define DOPPEL_CPU_JIT_X64_X64_H

#include "cpu/jit/backend.h"
#include "cpu/jit/x64/asm.h"
#include "cpu/jit/x64/vec.h"

enum { T0 = R14, T1 = R15, ENV = RBP };
#define GUEST_PINNED 12u

/* Cold code, emitted behind the block. */
enum cold_kind {
    COLD_REFILL,
    COLD_JUMP,
    COLD_BUDGET,
    COLD_LINK,
    COLD_CROSS,
    COLD_VEC,
    COLD_X87,
    COLD_SIDE,
    COLD_HERE,     /* the next piece is the one */
    COLD_REP_UNDO, /* likewise, behind what it does (emit_rep.c) */
    COLD_REP
};
struct cold {
    uint8_t kind;
    bool lead;  /* REFILL: of a group: code leaves if it fails */
    bool known; /* REFILL: the address is a constant, `to` */
    bool near;  /* REFILL: the entry came from slot `slot`, read at `look` */
    uint16_t slot;
    uint32_t look, hit; /* hit: where to go on when there is the right entry */
    uint32_t what;      /* REFILL: size, JIT_REFILL_xx; VEC: JIT_VEC_xx that were tested */
    uint32_t from;      /* displacement to patch to here */
    uint32_t retry;     /* REFILL, X87, REP: where to go on */
    uint32_t once;      /* REFILL: and where with the bias in T0 */
    uint32_t site;
    int32_t tag;    /* REFILL: offset of the tag array; T0 its entry, T1 the address XOR the tag */
    uint32_t to;    /* JUMP: common code; REFILL: see known */
    int32_t target; /* CROSS, SIDE: from the page's first byte */
    /* SIDE: the state there. */
    const struct uop *u; /* of REP_UNDO too */
    struct jit_recipe rc;
    uint8_t over;
    bool sahf;
    uint16_t x87_off, x87_op;
};

#define COLD_MAX 1024

enum { HF_NONE = 0, HF_ALL = 1, HF_CF = 2, HF_ZF = 4 };

#define OVER_ANY 0xff /* not known at compile time */

struct em {
    struct asmbuf a;
    struct jit_backend *be;
    const struct jit_source *src;
    struct jit_code *code;
    const struct uop *u;       /* the current one */
    struct jit_recipe rc;      /* pending flags */
    bool aside;                /* x64_save_cf put CF into env->scratch */
    uint8_t over;              /* enum jit_over that is in memory, or OVER_ANY */
    bool sahf;                 /* bit 16 of env->cc_op is set, bit 24 not */
    uint8_t host_flags;        /* the host's flags are the guest's */
    struct vec_place vec;      /* vector registers */
    struct vec_state vec_head; /* at the head of a loop */
    uint32_t groups;           /* those whose place is in env->bias */
    bool vec_loop;             /* it keeps vector registers from run to run */
    uint32_t body;             /* of a loop: behind its entry */
    uint8_t align;     /* of the next memory operand: x64_mem bails unless it is aligned so */
    struct cold *cold; /* COLD_MAX */
    struct vec_state *cold_vec; /* likewise: where each piece is jumped to */
    unsigned ncold;
    bool failed; /* more than the tables hold */
    bool keep;   /* memory operands: JIT_REFILL_KEEP */
    /* The segment (count.c) being emitted: where it began; guest instructions so far. */
    uint32_t seg;
    struct emit_counts seg_from;
    unsigned seg_insns, seg_interp;
    bool x87_on; /* the guest's x87 state is known to be in the host's FPU */
    /* What env->x87_ip and x87_op must become, as in struct jit_site. */
    uint16_t x87_off, x87_op;
};

/* ---- registers (emit.c) ---- */
static inline unsigned x64_host(unsigned guest)
{
    static const uint8_t map[16] = {RAX, RCX, RDX, RBX, R12,   R13,   RSI,   RDI,
                                    R8,  R9,  R10, R11, RNONE, RNONE, RNONE, RNONE};
    return map[guest & 15];
}
static inline struct xo x64_env(const struct em *e, int32_t off)
{
    (void)e;
    return xm(ENV, off);
}
#define ENV_OFF(field) ((int32_t)offsetof(struct jit_env, field))
/* The place of a guest register: a host register or memory. */
struct xo x64_gpr(const struct em *e, unsigned r);
/* A host register that holds all of guest register r: its own, or tmp. */
unsigned x64_get(struct em *e, unsigned r, unsigned tmp);
/* Write w bytes of host register `from` to guest register r. */
void x64_put(struct em *e, unsigned r, unsigned w, unsigned from);
/* The same for bits 15:8. */
void x64_put_high(struct em *e, unsigned r, unsigned from);

/* ---- flags (flags.c) ---- */
/* Guest register r is about to change: save what the recipe needs of it, if anybody may look. */
void x64_kill_reg(struct em *e, unsigned r);
/* Put the whole recipe into memory. */
void x64_spill_flags(struct em *e);
/* The current micro-operation sets some flags alone, those of `over` (enum jit_over): put the
 * pending recipe into memory, and there make room (OVER_NONE: for SAHF). Ends host_flags. */
void x64_over_begin(struct em *e, unsigned over);
/* Behind x64_over_begin. OVER_ROL or ROR: from the value in host register reg. */
void x64_over(struct em *e, unsigned over, unsigned reg);
void x64_over_cf(struct em *e);                 /* CF is the host's */
void x64_over_sahf(struct em *e, unsigned reg); /* all but OF are reg's low byte */
/* ZF alone is the host's from now on; needs no x64_over_begin. */
void x64_over_zf(struct em *e);
/* A new recipe may have been put into memory at run time, or not. */
static inline void x64_over_maybe(struct em *e)
{
    e->over = e->over == OVER_NONE ? OVER_NONE : OVER_ANY;
    e->sahf = false;
    e->rc.known = false;
}
/* Common code for conditions: returns where it is; be->cond is there already. */
uint32_t x64_flags_common(const struct jit_backend *be, struct asmbuf *a);
/* T0 = RFLAGS as PUSHF stores them. Ends host_flags and T1. */
void x64_image(struct em *e);
/* A new recipe replaces the pending one. */
void x64_set_recipe(struct em *e, unsigned cc, unsigned w);
void x64_res_reg(struct em *e, unsigned r);
void x64_res_host(struct em *e, unsigned host); /* store it in the slot */
void x64_b_reg(struct em *e, unsigned r);
void x64_b_imm(struct em *e, int64_t v);
void x64_b_host(struct em *e, unsigned host);
/* Keep the guest's CF as it is before the current micro-operation: in env->cc_cf, or, if `aside`
 * because a memory check comes first whose bail must find cc_cf as it was, in env->scratch until
 * x64_take_cf. Uses T0. */
void x64_save_cf(struct em *e, bool aside);
/* Behind the check: env->cc_cf = what was kept aside. Uses T1. */
void x64_take_cf(struct em *e);
/* The host's CF = the byte at env + slot, 0 or 1. (Not by BT: its wider load does not get a byte
 * that was just stored from the store buffer.) The host's other flags are lost. */
void x64_load_cf(struct em *e, int32_t slot);
/* The host's flags, OF and bits that LAHF does not have clear, are the guest's, and the recipe says
 * so. Only where HOST_LAHF_BIT. Uses T0 and T1. */
void x64_keep_flags(struct em *e);
/* Make the host's flags answer for guest condition cc; returns the host's condition. Uses T0. */
unsigned x64_cond(struct em *e, unsigned cc);

/* ---- memory (mem.c) ---- */
/* Check the memory operand of the current micro-operation for an access of `size` bytes and return
 * where it is for the host. free_t1: T1 is not part of it. Ends host_flags. */
struct xo x64_mem(struct em *e, const struct uop_mem *m, unsigned size, bool write, bool free_t1);
/* dst = the effective address. dst is T0 or T1, or w of uop LEA a pinned register. */
void x64_ea(struct em *e, const struct uop_mem *m, unsigned dst, int32_t more);
/* T0 = the offset of T1's entry in the soft TLB. */
void x64_tlb_entry(const struct jit_backend *be, struct asmbuf *a);
static inline int32_t x64_near(unsigned slot)
{
    return ENV_OFF(near) + (int32_t)(sizeof(struct jit_near) * slot);
}
/* From there, and how long: the comparison with a slot's limit. */
#define NEAR_COMPARE       (NEAR_BYTES + 8u)
#define NEAR_COMPARE_BYTES 7u
#define NEAR_BYTES         13u /* of what x64_tlb_entry emits where there are slots */
/* Jump by cc if T1, an address XOR its entry's tag, is not where `what` (JIT_REFILL_xx) goes. */
uint32_t x64_tlb_compare(struct em *e, uint32_t what);
uint32_t x64_site(struct em *e, unsigned kind);
/* What the entry charged for blocks behind the current micro-operation's. */
int32_t x64_refund(const struct em *e);
/* Bail if the host's condition holds. */
void x64_bail_if(struct em *e, unsigned cc, uint32_t site);

/* ---- flow (flow.c) ---- */
void x64_block_entry(struct em *e);
/* A segment begins here, another one may end. Keeps the host's flags; ends T0 and T1. */
void x64_segment(struct em *e);
void x64_segment_end(struct em *e);
bool x64_flow(struct em *e);   /* the current micro-operation is a transfer: emit it */
void x64_interp(struct em *e); /* U_INTERP */
void x64_go_on(struct em *e);  /* jump to the next instruction, of another block */
void x64_emit_jcount(struct em *e);
void x64_leave(struct em *e, unsigned kind);
/* Common code for the width of this code. */
static inline uint32_t x64_leave_at(const struct em *e)
{
    return e->src->bits != 64 ? e->be->leave32 : e->be->leave;
}
static inline uint32_t x64_interp_at(const struct em *e)
{
    return e->src->bits != 64 ? e->be->interp32 : e->be->interp;
}
/* The first n micro-operations (emit.c). */
void x64_run(struct em *e, unsigned n);
/* Behind the body of a loop: close it. */
void x64_loop(struct em *e);
/* A piece of cold code to be emitted behind the block. */
struct cold *x64_cold_new(struct em *e);
/* It leaves for `target` (bytes from the page's first): what it needs to know of here. */
void x64_cold_state(struct em *e, struct cold *c, int32_t target);
void x64_cold(struct em *e); /* emit all cold code */
void x64_common(struct jit_backend *be);

/* ---- operations (emit_*.c): false: not this one ---- */
bool x64_emit_mov(struct em *e);
void x64_emit_extend(struct em *e);
void x64_emit_lea(struct em *e);
bool x64_emit_alu(struct em *e);
bool x64_emit_incdec(struct em *e);
void x64_emit_negnot(struct em *e);
bool x64_emit_shift_imm(struct em *e);
bool x64_emit_shift_cl(struct em *e);
bool x64_emit_imul(struct em *e);
void x64_emit_mul1(struct em *e);
void x64_emit_div(struct em *e);
void x64_emit_bt(struct em *e);
bool x64_emit_double(struct em *e);    /* SHLD, SHRD */
bool x64_emit_rotate_cf(struct em *e); /* RCL, RCR */
bool x64_emit_scan(struct em *e);
bool x64_emit_crc32(struct em *e);
void x64_emit_movbe(struct em *e);
bool x64_emit_bmi(struct em *e);
void x64_emit_cmpxchg(struct em *e);
bool x64_emit_cmpxchg_pair(struct em *e);
void x64_emit_xadd(struct em *e);
void x64_emit_set_cf(struct em *e);
void x64_emit_set_df(struct em *e);
void x64_emit_lahf(struct em *e);
void x64_emit_sahf(struct em *e);
void x64_emit_pushf(struct em *e);
void x64_emit_popf(struct em *e);
void x64_emit_pushseg(struct em *e);
void x64_emit_rdtsc(struct em *e);
void x64_emit_quick(struct em *e); /* PAUSE, IN, OUT, LOADSEG */
void x64_emit_if(struct em *e);    /* CLI, STI */
void x64_emit_swapgs(struct em *e);
void x64_emit_setac(struct em *e);
void x64_emit_string(struct em *e);
void x64_emit_string_compare(struct em *e);
void x64_emit_rep_move(struct em *e);
void x64_emit_rep_scan(struct em *e);
void x64_rep_cold(struct em *e, const struct cold *c);
bool x64_emit_cmov(struct em *e);
void x64_emit_setcc(struct em *e);
bool x64_emit_xchg(struct em *e);
void x64_emit_bswap(struct em *e);
void x64_emit_sign(struct em *e);
bool x64_emit_push(struct em *e);
void x64_emit_pop(struct em *e);
void x64_emit_leave(struct em *e);
void x64_add_sp(struct em *e, int32_t n);

/* ---- x87 (emit_x87.c) ---- */
bool x64_emit_x87(struct em *e);
/* Where the last instruction was goes to memory. In front of each transfer; keeps flags, uses T0.
 */
void x64_x87_spill(struct em *e);
void x64_x87_cold(struct em *e, const struct cold *c);
/* Common code: if the guest's state is in the host's FPU, bring it to env->x87_image and leave the
 * FPU as C wants it; and the other way. End host flags, keep registers. */
void x64_x87_out(struct asmbuf *a);
void x64_x87_back(struct asmbuf *a);

/* dst = bits 15:8 of guest register r. */
void x64_get_high(struct em *e, unsigned r, unsigned dst);
/* May somebody look at the flags that the current micro-operation leaves? */
static inline bool x64_need(const struct em *e)
{
    return e->u->attr & UF_NEED;
}

/* ---- the host (emit_scan.c): what it has beyond x86-64 ---- */
uint32_t x64_host_has(void);
bool x64_has_cx16(const struct em *e);
bool x64_has_bmi2(const struct jit_backend *be);

/* ---- the rest (emit.c) ---- */
bool x64_uop(struct em *e);

#endif
