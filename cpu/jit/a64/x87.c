/*
 * Common code for x87 instructions (emit_x87.c): moves of values of 80 bits, which are integers,
 * and the way to C for the rest.
 *
 * They are routines and not emitted in place since TOP is not known when code is emitted. Each does
 * the common case: registers that must be empty or full are so, numbers are normal or zero. For
 * anything else it goes on in C with its arguments as they came, and nothing changed.
 *
 * Arguments: T1 = instruction (jit_env.x87_soft), T2 = bits of its operand; T0 = bits to store. T0,
 * T3, P0, T1 and T2 may change, P1 too unless the instruction stores: it leads to the operand.
 */
#include "cpu/jit/a64/a64.h"

#define SW_C1 0x200u

/* Offsets from T3, which the routines point at the state. */
struct at {
    uint32_t se, cw, sw, empty;
};

static struct at state(struct asmbuf *a, const struct jit_layout *l)
{
    a64_env_address(a, T3, l->x87_m);
    return (struct at){(uint32_t)(l->x87_se - l->x87_m), (uint32_t)(l->x87_cw - l->x87_m),
                       (uint32_t)(l->x87_sw - l->x87_m), (uint32_t)(l->x87_empty - l->x87_m)};
}

/* C for what is not common. Keeps P1. */
static void common_call(struct jit_backend *be, struct asmbuf *a)
{
    enum { FRAME = 112 };
    be->x87[X_CALL] = a->at;
    asm_addsub_imm(a, 8, A_SUB, XSP, XSP, FRAME);
    for (unsigned r = X4; r < X16; r += 2) {
        asm_pair(a, false, r, r + 1, XSP, 8 * (int32_t)(r - X4));
    }
    asm_pair(a, false, P1, LINK, XSP, 96);
    asm_mem_imm(a, 8, A_LD, P0, ENV, (uint32_t)ENV_OFF(x87_soft));
    asm_mov(a, 8, X0, ENV);
    asm_blr(a, P0);
    for (unsigned r = X4; r < X16; r += 2) {
        asm_pair(a, true, r, r + 1, XSP, 8 * (int32_t)(r - X4));
    }
    asm_pair(a, true, P1, LINK, XSP, 96);
    asm_addsub_imm(a, 8, A_ADD, XSP, XSP, FRAME);
    asm_ret(a);
}

static void to_c(const struct jit_backend *be, struct asmbuf *a, uint32_t place)
{
    asm_patch(a, place, be->x87[X_CALL]);
}

/* d = number of ST(0). */
static void top(struct asmbuf *a, struct at at, unsigned d)
{
    asm_mem_imm(a, 2, A_LD, d, T3, at.sw);
    asm_ubfx(a, 4, d, d, 11, 3);
}

/* d = number of ST(i), T1's lowest three bits, where `top` holds that of ST(0). */
static void number(struct asmbuf *a, unsigned d, unsigned top)
{
    asm_addsub(a, 4, A_ADD, d, top, T1, A_LSL, 0);
    asm_logic_imm(a, 4, A_AND, d, d, 7);
}

/* A jump if register r is empty, or is not. Uses `tmp`. */
static uint32_t if_empty(struct asmbuf *a, struct at at, bool empty, unsigned r, unsigned tmp)
{
    asm_mem_imm(a, 1, A_LD, tmp, T3, at.empty);
    asm_two(a, 4, A_LSRV, tmp, tmp, r);
    return asm_tbz(a, empty, tmp, 0);
}

/* Sign and exponent, significand of register r: to or from se and m. Uses `tmp`. */
static void value(struct asmbuf *a, struct at at, bool load, unsigned r, unsigned se, unsigned m,
                  unsigned tmp)
{
    asm_addsub(a, 8, A_ADD, tmp, T3, r, A_LSL, 3);
    asm_mem_imm(a, 8, load ? A_LD : A_ST, m, tmp, 0);
    asm_addsub(a, 8, A_ADD, tmp, T3, r, A_LSL, 1);
    asm_mem_imm(a, 2, load ? A_LD : A_ST, se, tmp, at.se);
}

/* Mark register r. Uses t and t2. */
static void mark(struct asmbuf *a, struct at at, bool empty, unsigned r, unsigned t, unsigned t2)
{
    asm_mem_imm(a, 1, A_LD, t, T3, at.empty);
    asm_const(a, t2, 1);
    asm_two(a, 4, A_LSLV, t2, t2, r);
    asm_logic_x(a, 4, empty ? A_ORR : A_AND, !empty, t, t, t2, A_LSL, 0);
    asm_mem_imm(a, 1, A_ST, t, T3, at.empty);
}

/* C1 = 0; TOP = register r unless that is XZR. Uses t. */
static void status(struct asmbuf *a, struct at at, unsigned r, unsigned t)
{
    asm_mem_imm(a, 2, A_LD, t, T3, at.sw);
    asm_logic_imm(a, 4, A_AND, t, t, ~SW_C1);
    if (r != XZR) {
        asm_bfi(a, 4, t, r, 11, 3);
    }
    asm_mem_imm(a, 2, A_ST, t, T3, at.sw);
}

/* P0 = number of the register that a push fills; to C if it is not empty. Uses P1. */
static struct at push_begin(struct jit_backend *be, struct asmbuf *a, unsigned which)
{
    be->x87[which] = a->at;
    struct at at = state(a, be->l);
    asm_mem_imm(a, 2, A_LD, P0, T3, at.sw);
    asm_addsub_imm(a, 4, A_SUB, P0, P0, 0x800);
    asm_ubfx(a, 4, P0, P0, 11, 3);
    to_c(be, a, if_empty(a, at, false, P0, P1));
    return at;
}

/* Push sign and exponent T0, significand T2. */
static void push_end(struct asmbuf *a, struct at at)
{
    status(a, at, P0, P1);
    value(a, at, false, P0, T0, T2, P1);
    mark(a, at, false, P0, T0, T1);
    asm_ret(a);
}

/* A float of w bytes: a normal number or zero. */
static void push_float(struct jit_backend *be, struct asmbuf *a, unsigned w)
{
    unsigned exp = w == 8 ? 11 : 8, frac = w == 8 ? 52 : 23;
    struct at at = push_begin(be, a, w == 8 ? X_F64 : X_F32);
    asm_ubfx(a, 8, T0, T2, frac, exp);
    asm_addsub_imm(a, 4, A_SUB, P1, T0, 1);
    asm_addsub_imm(a, 4, A_SUBS, XZR, P1, (1u << exp) - 3);
    uint32_t odd = asm_bcond(a, A_HI);
    asm_const(a, P1, 16383 - ((1u << (exp - 1)) - 1));
    asm_addsub(a, 4, A_ADD, T0, T0, P1, A_LSL, 0);
    asm_lsr(a, w, P1, T2, 8 * w - 1);
    asm_logic_x(a, 4, A_ORR, false, T0, T0, P1, A_LSL, 15);
    asm_lsl(a, 8, T2, T2, 63 - frac);
    asm_logic_imm(a, 8, A_ORR, T2, T2, UINT64_C(1) << 63);
    uint32_t end = a->at;
    push_end(a, at);
    asm_here(a, odd);
    asm_lsl(a, w, P1, T2, 1);
    to_c(be, a, asm_cbz(a, 8, true, P1));
    asm_lsr(a, w, T0, T2, 8 * w - 1);
    asm_lsl(a, 4, T0, T0, 15);
    asm_const(a, T2, 0);
    asm_b_to(a, end);
}

static void push_int(struct jit_backend *be, struct asmbuf *a)
{
    struct at at = push_begin(be, a, X_INT);
    asm_const(a, T0, 0);
    uint32_t zero = asm_cbz(a, 8, false, T2);
    asm_asr(a, 8, P1, T2, 63);
    asm_logic(a, 8, A_EOR, T2, T2, P1);
    asm_addsub(a, 8, A_SUB, T2, T2, P1, A_LSL, 0);
    asm_clz(a, 8, T0, T2);
    asm_two(a, 8, A_LSLV, T2, T2, T0);
    asm_const(a, T1, 16383 + 63);
    asm_addsub(a, 4, A_SUB, T0, T1, T0, A_LSL, 0);
    asm_logic_imm(a, 4, A_AND, P1, P1, 0x8000);
    asm_logic(a, 4, A_ORR, T0, T0, P1);
    asm_here(a, zero);
    push_end(a, at);
}

static void push_others(struct jit_backend *be, struct asmbuf *a)
{
    push_end(a, push_begin(be, a, X_M80));

    struct at at = push_begin(be, a, X_STI);
    asm_addsub_imm(a, 4, A_ADD, T0, P0, 1); /* TOP: bits above 7 make no difference */
    number(a, T0, T0);
    to_c(be, a, if_empty(a, at, true, T0, P1));
    asm_mov(a, 4, T1, T0);
    value(a, at, true, T1, T0, T2, P1);
    push_end(a, at);
}

static void common_exchange(struct jit_backend *be, struct asmbuf *a)
{
    be->x87[X_EXCHANGE] = a->at;
    struct at at = state(a, be->l);
    top(a, at, T0);
    number(a, T2, T0);
    to_c(be, a, if_empty(a, at, true, T0, P1));
    to_c(be, a, if_empty(a, at, true, T2, P1));
    status(a, at, XZR, P1);
    asm_addsub(a, 8, A_ADD, P0, T3, T0, A_LSL, 1);
    asm_addsub(a, 8, A_ADD, P1, T3, T2, A_LSL, 1);
    asm_addsub(a, 8, A_ADD, T0, T3, T0, A_LSL, 3);
    asm_addsub(a, 8, A_ADD, T2, T3, T2, A_LSL, 3);
    asm_mem_imm(a, 8, A_LD, T1, T0, 0); /* T3 is not needed any more */
    asm_mem_imm(a, 8, A_LD, T3, T2, 0);
    asm_mem_imm(a, 8, A_ST, T3, T0, 0);
    asm_mem_imm(a, 8, A_ST, T1, T2, 0);
    asm_mem_imm(a, 2, A_LD, T1, P0, at.se);
    asm_mem_imm(a, 2, A_LD, T3, P1, at.se);
    asm_mem_imm(a, 2, A_ST, T3, P0, at.se);
    asm_mem_imm(a, 2, A_ST, T1, P1, at.se);
    asm_ret(a);
}

/* Pop register r, which is ST(0). Uses t and t2. */
static void pop(struct asmbuf *a, struct at at, unsigned r, unsigned t, unsigned t2)
{
    mark(a, at, true, r, t, t2);
    asm_addsub_imm(a, 4, A_ADD, t2, r, 1);
    status(a, at, t2, t);
}

/* FST ST(i), and FSTP, whose bit 3 is set. */
static void common_store(struct jit_backend *be, struct asmbuf *a)
{
    be->x87[X_STORE] = a->at;
    struct at at = state(a, be->l);
    top(a, at, P0);
    to_c(be, a, if_empty(a, at, true, P0, P1));
    status(a, at, XZR, P1);
    asm_addsub(a, 8, A_ADD, P1, T3, P0, A_LSL, 3);
    asm_mem_imm(a, 8, A_LD, T2, P1, 0);
    asm_addsub(a, 8, A_ADD, P1, T3, P0, A_LSL, 1);
    asm_mem_imm(a, 2, A_LD, T0, P1, at.se);
    number(a, P1, P0);
    asm_addsub(a, 8, A_ADD, P0, T3, P1, A_LSL, 1);
    asm_mem_imm(a, 2, A_ST, T0, P0, at.se);
    asm_addsub(a, 8, A_ADD, P0, T3, P1, A_LSL, 3);
    asm_mem_imm(a, 8, A_ST, T2, P0, 0);
    mark(a, at, false, P1, T0, T2);
    uint32_t pops = asm_tbz(a, true, T1, 3);
    asm_ret(a);
    asm_here(a, pops);
    top(a, at, P0);
    pop(a, at, P0, T0, T2);
    asm_ret(a);
}

static void common_sign(struct jit_backend *be, struct asmbuf *a)
{
    be->x87[X_SIGN] = a->at;
    struct at at = state(a, be->l);
    top(a, at, T0);
    to_c(be, a, if_empty(a, at, true, T0, P0));
    status(a, at, XZR, P0);
    asm_addsub(a, 8, A_ADD, T0, T3, T0, A_LSL, 1);
    asm_mem_imm(a, 2, A_LD, P0, T0, at.se);
    uint32_t chs = asm_tbz(a, false, T1, 0);
    asm_logic_imm(a, 4, A_ORR, P0, P0, 0x8000); /* FABS: set, and changed below */
    asm_here(a, chs);
    asm_logic_imm(a, 4, A_EOR, P0, P0, 0x8000);
    asm_mem_imm(a, 2, A_ST, P0, T0, at.se);
    asm_ret(a);
}

/* An empty register: C's indefinite NaN. Keeps P1. */
static void common_take(struct jit_backend *be, struct asmbuf *a)
{
    be->x87[X_TAKE] = a->at;
    struct at at = state(a, be->l);
    top(a, at, P0);
    uint32_t empty = if_empty(a, at, true, P0, T0);
    pop(a, at, P0, T0, T2);
    value(a, at, true, P0, T2, T0, T1);
    asm_ret(a);
    asm_here(a, empty);
    asm_mov(a, 8, T0, LINK);
    asm_addsub_imm(a, 8, A_SUB, XSP, XSP, 16);
    asm_mem_imm(a, 8, A_ST, T0, XSP, 0);
    asm_bl_to(a, be->x87[X_CALL]);
    asm_mem_imm(a, 8, A_LD, LINK, XSP, 0);
    asm_addsub_imm(a, 8, A_ADD, XSP, XSP, 16);
    asm_const(a, T2, 0xffff);
    asm_ret(a);
}

static void common_cmov(struct jit_backend *be, struct asmbuf *a)
{
    be->x87[X_CMOV] = a->at;
    struct at at = state(a, be->l);
    top(a, at, P0);
    number(a, T0, P0);
    to_c(be, a, if_empty(a, at, true, P0, P1));
    to_c(be, a, if_empty(a, at, true, T0, P1));
    uint32_t no = asm_cbz(a, 4, false, T2);
    asm_mov(a, 4, T1, T0);
    value(a, at, true, T1, T0, T2, P1);
    value(a, at, false, P0, T0, T2, P1);
    asm_here(a, no);
    asm_ret(a);
}

void a64_x87_common(struct jit_backend *be, struct asmbuf *a)
{
    _Static_assert(X_COUNT <= sizeof be->x87 / sizeof be->x87[0], "room for all");
    common_call(be, a);
    push_float(be, a, 8);
    push_float(be, a, 4);
    push_int(be, a);
    push_others(be, a);
    common_exchange(be, a);
    common_store(be, a);
    common_sign(be, a);
    common_take(be, a);
    common_cmov(be, a);
}
