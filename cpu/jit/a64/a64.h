/*
 * The aarch64 back end: shared by its files.
 *
 * Register map (JIT-NOTES 2.2). All sixteen guest registers live in host registers: RAX RCX RDX RBX
 * RSP RBP RSI RDI R8-R11 in x4-x15, R12-R15 in x19-x22, so that those C may change lie together.
 * x28 points at struct jit_env; x27 at the soft TLB's array and x26 at the jump table of the
 * running view; x25 is env->page and x24 the budget, both in memory whenever C runs. x0-x3 (T0-T3),
 * x16 and x17 (P0, P1) and x30 hold nothing between guest instructions. x18 belongs to some hosts'
 * systems and is never touched; x23 points at the guest's vector registers, x29 at what the first
 * group of accesses checked (mem.c).
 *
 * Who may change what within one micro-operation: flags.c P0 and x30 (and T3, where a64_cond says
 * so); a memory check P0, P1, x30 and, for the address, T1; a call to C nothing but P0. After a
 * check P1 and the address register lead to the host's memory until used.
 *
 * NZCV: after an arithmetic micro-operation they may hold the guest's flags (em.nz) until something
 * is emitted that changes them; moves, memory checks and stores do not. Carry after a subtraction
 * is the inverse of x86's. The recipe em.rc says how to get flags back otherwise.
 */
#ifndef DOPPEL_CPU_JIT_A64_A64_H
#define DOPPEL_CPU_JIT_A64_A64_H

#include <stddef.h>

#include "cpu/jit/a64/asm.h"
#include "cpu/jit/backend.h"

enum { T0 = X0, T1 = X1, T2 = X2, T3 = X3, P0 = X16, P1 = X17, LINK = X30 };
enum { VECS = X23, GROUP = X29, BUDGET = X24, PAGE = X25, TABLE = X26, TLB = X27, ENV = X28 };

/* Words in front of a block's entry: offsets from ENV to the jump table and the soft TLB. */
#define PREFIX_BYTES 8u

/* Cold code, emitted behind the block. */
enum cold_kind {
    COLD_REFILL,
    COLD_LEAVE,
    COLD_BUDGET,
    COLD_LINK,
    COLD_CROSS,
    COLD_SIDE,
    COLD_FP_ON,
    COLD_FP_ODD,
    COLD_X87
};
/* Guest vector registers; see vec.c. */
struct vec {
    uint16_t live, dirty; /* in their host registers; and not in memory */
    uint16_t z4, z8;      /* live, and bits 127:32, 127:64 are zero */
    uint16_t high0;       /* bits 255:128 are zero; and */
    uint16_t hclr;        /* memory does not say so yet */
    uint8_t host[16];     /* where they are: v16 up, or, in batches, another */
    uint8_t checked;      /* JIT_VEC_xx that are known not to hold */
    bool hi0_off;         /* env->vec_hi0 is 0 */
};
/* A run of vector instructions with one look at FPSR behind it; see batch.c. */
struct batch {
    struct vec vec;  /* at its beginning */
    uint32_t site;   /* to leave there */
    uint32_t odd_at; /* cold code that does; 0: not emitted yet */
};
#define BATCH_MAX 128
struct cold {
    uint8_t kind;
    uint8_t batch; /* 1 + number of the batch that it is in; 0: none */
    bool aligned;  /* REFILL: only to a multiple of the size */
    uint8_t size;  /* REFILL: of the access */
    uint8_t addr;  /* REFILL: the register with the address */
    bool compared; /* FP_ODD: as in struct em */
    bool before;
    bool lead;      /* REFILL: of a group: leaves for `target` */
    uint32_t what;  /* REFILL: size, JIT_REFILL_xx */
    uint32_t from;  /* transfer to patch to here */
    uint32_t retry; /* REFILL: where to go on */
    uint32_t pass;  /* REFILL: behind the check */
    uint32_t site;
    int32_t target;           /* CROSS, SIDE, lead: from the page's first byte */
    struct jit_recipe rc;     /* SIDE, lead: flags to put into memory */
    uint16_t x87_off, x87_op; /* likewise, as in struct em */
    struct vec vec;
    const struct uop *u;
};

#define COLD_MAX 1024

/* What NZCV hold: which x86 conditions they answer. */
enum {
    NZ_NONE,
    NZ_SUB,   /* all; C inverted */
    NZ_ADD,   /* all, BE not by one condition */
    NZ_LOGIC, /* all; C = V = 0 */
    NZ_NOC,   /* no carry: INC, DEC */
    NZ_ZS,    /* Z and N */
    NZ_Z,     /* Z */
    NZ_SUBU,  /* Z and inverted C */
    NZ_CF,    /* C */
    NZ_FCMP,  /* of a floating-point comparison: B, BE, P */
};

struct em {
    struct asmbuf a;
    struct jit_backend *be;
    const struct jit_source *src;
    struct jit_code *code;
    const struct uop *u;  /* the current one */
    struct jit_recipe rc; /* pending flags */
    struct vec vec;
    struct batch *batch; /* BATCH_MAX */
    unsigned nbatch;
    bool open;       /* the last one is; */
    bool compared;   /* it ends with a comparison */
    bool before;     /* and T2 is FPSR in front of that */
    bool close;      /* the current micro-operation does not fit into it: it ends in front of it */
    bool aside;      /* a64_save_cf put CF into T2 */
    bool over_clean; /* in memory: no enum jit_over is there */
    uint8_t nz;      /* what NZCV hold */
    bool x87_on;     /* env->x87_live is known to be set */
    uint16_t x87_off, x87_op; /* what env->x87_ip and x87_op must become: as in struct jit_site */
    uint32_t groups;          /* those that have been checked: their places are known */
    /* Of a superblock that closes a loop: */
    bool vec_loop; /* registers stay round it: vec_head says which, and what is dirty */
    struct vec vec_head;
    uint32_t body;     /* behind the entry */
    struct cold *cold; /* COLD_MAX */
    unsigned ncold;
    bool failed; /* more than the tables hold */
    /* The segment (count.h) being emitted: where it began; guest instructions so far. */
    uint32_t seg;
    struct emit_counts seg_from;
    unsigned seg_insns, seg_interp;
};

/* ---- registers (emit.c) ---- */
static inline unsigned a64_host(unsigned guest)
{
    guest &= 15;
    return guest < 12 ? X4 + guest : X19 + guest - 12;
}
#define ENV_OFF(field) ((int32_t)offsetof(struct jit_env, field))
/* Write w bytes of host register `from` to guest register r. */
void a64_put(struct em *e, unsigned r, unsigned w, unsigned from);
/* A host register with the current source, not memory, in its low bytes: its own, or tmp. */
unsigned a64_src(struct em *e, unsigned tmp);
/* The field at ENV + off, any offset, 8 bytes: to host register t, through P0 for stores. */
void a64_env_load(struct asmbuf *a, unsigned t, int32_t off);
void a64_env_store(struct asmbuf *a, unsigned t, int32_t off);
/* t = ENV + off. */
void a64_env_address(struct asmbuf *a, unsigned t, int32_t off);
/* d = n + v at width w; d is also a temporary unless v is a short immediate. */
void a64_add_const(struct asmbuf *a, unsigned w, unsigned d, unsigned n, int64_t v);

/* What comes is of this class (cpu/jit/count.h); returns the one before, to go back to. */
static inline unsigned a64_class(struct em *e, unsigned cls)
{
    return emit_class(&e->a.count, cls);
}

/* ---- flags (flags.c) ---- */
/* Guest register r is about to change: save what the recipe needs of it, if anybody may look. */
void a64_kill_reg(struct em *e, unsigned r);
/* Put the whole recipe into memory. */
void a64_spill_flags(struct em *e);
/* The recipe is in memory; CF and OF come from the value in host register reg from now on. */
void a64_over(struct em *e, unsigned over, unsigned reg);
/* A new recipe replaces the pending one; NZCV hold `nz` of it. */
void a64_set_recipe(struct em *e, unsigned cc, unsigned w, unsigned nz);
void a64_res_reg(struct em *e, unsigned r);
void a64_res_host(struct em *e, unsigned host); /* store it in the slot */
void a64_b_reg(struct em *e, unsigned r);
void a64_b_imm(struct em *e, int64_t v);
void a64_b_host(struct em *e, unsigned host);
/* Keep the guest's CF as it is before the current micro-operation: in env->cc_cf, or, if `aside`
 * because a memory check comes first whose bail must find cc_cf as it was, in T2 until
 * a64_take_cf. */
void a64_save_cf(struct em *e, bool aside);
/* Behind the check: env->cc_cf = what was kept aside. */
void a64_take_cf(struct em *e);
/* env->cc_cf = host register reg, 0 or 1. */
void a64_store_cf(struct em *e, unsigned reg);

/* A guest condition as something the host can test. */
struct a64_test {
    enum { TEST_NZCV, TEST_ZERO, TEST_BIT } kind;
    uint8_t cc;     /* NZCV: the host's condition */
    uint8_t reg, w; /* ZERO: w bytes are zero; BIT: of reg */
    uint8_t bit;    /* BIT: is set */
    bool inv;       /* ZERO, BIT: the opposite */
};
/* Make the host answer for guest condition cc. May use T3 and P0, which the test may be in. */
struct a64_test a64_cond(struct em *e, unsigned cc);
/* The same as a host condition. */
unsigned a64_cond_nzcv(struct em *e, unsigned cc);
/* A jump if it holds. */
uint32_t a64_jump_if(struct em *e, struct a64_test t);
/* The condition for which compiled code will look first at the flags that the current
 * micro-operation leaves; WANT_NONE: for none in this code. */
#define WANT_NONE 16u
unsigned a64_wanted(const struct em *e);
/* Is that in the very next micro-operation? */
bool a64_wanted_next(const struct em *e);
/* NZCV = of w < 4 bytes of x minus y (or imm if y is XZR), as far as condition cc needs them;
 * clean: x is zero-extended. Returns what NZCV hold. */
unsigned a64_cmp_narrow(struct em *e, unsigned w, unsigned x, bool clean, unsigned y, int64_t imm,
                        unsigned cc);
/* NZCV = sign and zero of w bytes of x; C = V = 0. */
void a64_tst(struct em *e, unsigned w, unsigned x);
/* d = x op (y, or imm if y is XZR), w >= 4, op A_ADD..A_SUBS. */
void a64_addsub(struct em *e, unsigned w, unsigned op, unsigned d, unsigned x, unsigned y,
                int64_t imm);

/* ---- memory (mem.c) ---- */
/* Where an access goes: [base + index], or [base + disp] if index is XZR. */
struct a64_loc {
    uint8_t base, index;
    int16_t disp;
};
/* Check a memory operand for an access of `size` bytes. NZCV stay, unless limits are checked. */
struct a64_loc a64_mem(struct em *e, const struct uop_mem *m, unsigned size, bool write);
/* It bails unless the address is a multiple of `align`, which is 1 or size. */
struct a64_loc a64_mem_aligned(struct em *e, const struct uop_mem *m, unsigned size, bool write,
                               unsigned align);
/* op: A_LD, A_ST, A_LDS8 ... */
void a64_access(struct em *e, unsigned w, unsigned op, unsigned t, struct a64_loc at);
static inline void a64_load(struct em *e, unsigned w, unsigned t, struct a64_loc at)
{
    a64_access(e, w, A_LD, t, at);
}
static inline void a64_store(struct em *e, unsigned w, unsigned t, struct a64_loc at)
{
    a64_access(e, w, A_ST, t, at);
}
/* Of w bytes, 4 to 16, of vector register t. */
void a64_vec_access(struct em *e, bool load, unsigned w, unsigned t, struct a64_loc at);
/* The same place by a register and a displacement alone; P1 may be that register. */
struct a64_loc a64_flat(struct em *e, struct a64_loc at);
/* A host register with the effective address: dst, or a guest's own if it is that already. */
unsigned a64_ea(struct em *e, const struct uop_mem *m, unsigned dst);
uint32_t a64_site(struct em *e, unsigned kind);
/* What the entry charged for blocks behind the current micro-operation's. */
int32_t a64_refund(const struct em *e);
/* The transfer at `place` leaves by `site`. */
void a64_leave_from(struct em *e, uint32_t place, uint32_t site);

/* ---- runs of micro-operations (emit.c) ---- */
/* Emit the first n. */
void a64_run(struct em *e, unsigned n);

/* ---- flow (flow.c) ---- */
void a64_block_entry(struct em *e);
/* The end of a loop whose body was emitted once. */
void a64_loop(struct em *e);
/* A segment begins here, another one may end. Keeps NZCV. */
void a64_segment(struct em *e);
void a64_segment_end(struct em *e);
bool a64_flow(struct em *e);   /* the current micro-operation is a transfer: emit it */
void a64_interp(struct em *e); /* U_INTERP */
void a64_leave(struct em *e, unsigned kind);
/* A piece of cold code to be emitted behind the block. */
struct cold *a64_cold_new(struct em *e);
void a64_cold(struct em *e); /* emit all cold code */

/* ---- common code (common.c) ---- */
void a64_common(struct jit_backend *be);

/* ---- vectors (vec.c, emit_vec.c, emit_avx.c) ---- */
/* Its own host register, and where it is just now. */
static inline unsigned a64_v_own(unsigned guest)
{
    return 16 + (guest & 15);
}
static inline unsigned a64_v(const struct em *e, unsigned guest)
{
    return e->vec.host[guest & 15];
}
/* What is known at a block's beginning. */
struct vec a64_vec_none(void);
/* For code that leaves: store what is dirty. Or calls C: what is loaded counts no more. Or calls
 * the interpreter: nothing is known any more. NZCV stay. */
void a64_vec_flush(struct em *e);
void a64_vec_drop(struct em *e);
void a64_vec_forget(struct em *e);
/* In cold code: store what is dirty in v; load again what is live. */
void a64_vec_spill(struct em *e, const struct vec *v);
void a64_vec_reload(struct em *e, const struct vec *v);
/* What the loop uses stays in registers round it: load that. False: it has none. At the loop's end,
 * what belongs in registers at its head is there again. */
bool a64_vec_loop_begin(struct em *e);
void a64_vec_loop_end(struct em *e);
/* Every live one to its own host register. */
void a64_vec_own(struct em *e);
/* The host register of guest register r, loaded; the one that it is about to be written to, perhaps
 * another; the same with its value. */
unsigned a64_vec_use(struct em *e, unsigned r);
unsigned a64_vec_written(struct em *e, unsigned r);
unsigned a64_vec_modified(struct em *e, unsigned r);
/* Register d = s: they share a host register until one of them is written. */
void a64_vec_copy(struct em *e, unsigned d, unsigned s);
/* r was just written: bits above its low w bytes, 4 or 8, are zero. */
void a64_vec_zero_above(struct em *e, unsigned r, unsigned w);
/* Are they? */
static inline bool a64_vec_is_zero_above(const struct em *e, unsigned r, unsigned w)
{
    return (w == 4 ? e->vec.z4 : e->vec.z8) >> (r & 15) & 1;
}
/* Bits 255:128 of guest register r, which are in memory: to host register v, from it, or zero (in
 * memory later). */
void a64_vec_high(struct em *e, bool load, unsigned r, unsigned v);
void a64_vec_clear_high(struct em *e, unsigned r);
/* May the current micro-operation run, fp: also with floating point? Otherwise it bails. */
void a64_vec_check(struct em *e, bool fp);
/* Arithmetic comes, before the destination is written: a batch begins, or goes on. */
void a64_batch(struct em *e);
/* The same for a comparison, which gives the same for NaNs too. May write T2. */
void a64_batch_compare(struct em *e);
/* The batch ends, if one is open: leave for where it began if not all of its arithmetic was
 * ordinary. NZCV stay. */
void a64_batch_end(struct em *e);
/* Can the current micro-operation be in a batch? */
bool a64_batch_fits(const struct em *e);
/* In cold code: end the batch of c; uses P0. Where it was not ordinary. */
void a64_cold_batch(struct em *e, const struct cold *c);
void a64_cold_fp_odd(struct em *e, const struct cold *c);
/* The source of 128 bits or less in a vector register; memory (sw bytes, zero above) in v1. */
unsigned a64_vec_source(struct em *e);
/* One instruction that does the same to each 128 bits of a and s; 0: none. V_BIC: to s and a. */
uint32_t a64_vec_simple(const struct uop *u);
/* General register d = sign bits of the bytes of s. Uses v0 and P0. */
void a64_vec_byte_mask(struct asmbuf *a, unsigned d, unsigned s);
/* Common code: be->vec_zero, be->fp_on; the host's FPCR for C again. */
void a64_fp_common(struct jit_backend *be, struct asmbuf *a);
void a64_fp_off(struct asmbuf *a, unsigned tmp);
/* Cold code up to where the block leaves. */
void a64_cold_fp_on(struct em *e, const struct cold *c);
/* FPSR: all but IXC and two bits that are zero. */
#define FPSR_TELLS 0xffffff8fu

/* ---- x87 (emit_x87.c; x87.c: common code) ---- */
enum a64_x87 { /* jit_backend.x87 */
               X_CALL,
               X_F64, /* push T2, of that form */
               X_F32,
               X_INT, /* sign-extended to 64 bits */
               X_M80, /* T2, and sign and exponent T0 */
               X_STI, /* push ST(i) */
               X_EXCHANGE,
               X_STORE, /* FST and FSTP to a register */
               X_SIGN,  /* FCHS, FABS */
               X_TAKE,  /* FSTP m80: T0 and, sign and exponent, T2 */
               X_CMOV,  /* if T2 is not 0 */
               X_COUNT
};
bool a64_emit_x87(struct em *e);
/* The instruction and data pointers into memory, in front of transfers. Keeps NZCV and T0. */
void a64_x87_spill(struct em *e);
void a64_x87_cold(struct em *e, const struct cold *c);
void a64_x87_common(struct jit_backend *be, struct asmbuf *a);

/* ---- operations (emit_move.c, emit_alu.c, emit_bits.c): false: not this one ---- */
bool a64_emit_move(struct em *e);
bool a64_emit_alu(struct em *e);
bool a64_emit_bits(struct em *e);
bool a64_emit_vec(struct em *e);
bool a64_emit_avx(struct em *e); /* 256 bits; opcode maps 0F 38 and 0F 3A */
void a64_vzeroupper(struct em *e);
bool a64_emit_more(struct em *e);
/* Is it one that a64_emit_more emits? */
bool a64_has_more(const struct uop *u);

/* dst = bits 15:8 of guest register r. */
static inline void a64_get_high(struct em *e, unsigned r, unsigned dst)
{
    asm_ubfx(&e->a, 4, dst, a64_host(r), 8, 8);
}
static inline void a64_put_high(struct em *e, unsigned r, unsigned from)
{
    asm_bfi(&e->a, 8, a64_host(r), from, 8, 8);
}
/* May somebody look at the flags that the current micro-operation leaves? */
static inline bool a64_need(const struct em *e)
{
    return e->u->attr & UF_NEED;
}

#endif
