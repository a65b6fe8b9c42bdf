/*
 * Templates for hot semantics: one function on operand values becomes a handler for each operand
 * form and width.
 *
 *     FORM_BIN(add, alu_add)      dst = alu_add(cpu, w, dst, src)
 *     FORM_CMP(cmp, alu_sub)      alu_sub(cpu, w, dst, src), nothing written but flags
 *     FORM_SET(mov, move_copy)    dst = move_copy(cpu, w, src)
 *     FORM_UN(inc, alu_inc)       dst = alu_inc(cpu, w, dst)
 *     FORM_CVT(movzx_b, f, sw)    dst = f(cpu, w, src), src of sw bytes (movzx, movsx)
 *     FORM_TRI(imul3, f)          dst = f(cpu, w, src, immediate)
 *
 * Every handler has a fast path (registers, immediates, a soft TLB hit in the segment's limits)
 * that calls nothing and ends in a tail jump to the next instruction, so the compiler needs no
 * stack frame; everything else is the whole instruction again in a cold function of its own, which
 * does all checks and may raise. Values are zero-extended to their width when read; bits above the
 * width of an immediate and of a result are ignored.
 *
 * What always holds: checks before effects. A read-modify-write asks for the write first; the
 * operation, which sets flags, runs when nothing can fault any more. After a hit in the soft TLB no
 * exit can have been asked for (MMIO, code lines and watched pages are never in it), so the fast
 * path goes on without looking at exit_req.
 */
#ifndef DOPPEL_CPU_FORMS_H
#define DOPPEL_CPU_FORMS_H

#include "cpu/sem.h"

#define FORM_INLINE static inline __attribute__((always_inline))
#define FORM_COLD   static __attribute__((noinline, cold))

typedef uint64_t (*form_bin)(struct cpu *cpu, unsigned w, uint64_t a, uint64_t b);
typedef uint64_t (*form_un)(struct cpu *cpu, unsigned w, uint64_t a);

/* ---- addresses ---- */
/* The linear address of the memory operand; false: outside its segment. */
FORM_INLINE bool form_la(const struct cpu *cpu, const struct insn *i, unsigned size, bool wr,
                         gva *la)
{
    uint64_t off = insn_ea(cpu, i);
    if (LIKELY(i->segm == SEGM_FLAT)) {
        *la = off;
        return true;
    }
    const struct seg_view *v = &cpu->segv[i->seg];
    if (i->segm == SEGM_BASE) {
        *la = v->base + off;
        return true;
    }
    *la = (uint32_t)(v->base + off);
    return off >= v->lo && off + size <= (wr ? v->end_w : v->end_r);
}

/* Host address of [la, la+size) for reading or writing, NULL if the soft TLB has none. */
FORM_INLINE void *form_tlb(const struct cpu *cpu, gva la, unsigned size, bool wr)
{
    const struct tlb_entry *e = &cpu->tlb.l1[cpu->view][la >> PAGE_BITS & TLB_L1_MASK];
    uint64_t tag = wr ? e->tag_w : e->tag_r;
    if (LIKELY(((la ^ tag) & (PAGE_MASK | (size - 1))) == 0)) {
        void *p = (void *)(uintptr_t)(la + (wr ? e->bias_w : e->bias_r));
        if (!p) {
            __builtin_unreachable(); /* a valid entry never maps to NULL: spares the callers a test
                                      */
        }
        return p;
    }
    return NULL;
}

FORM_INLINE void *form_ptr(const struct cpu *cpu, const struct insn *i, unsigned size, bool wr)
{
    gva la;
    return LIKELY(form_la(cpu, i, size, wr, &la)) ? form_tlb(cpu, la, size, wr) : NULL;
}

/* The stack: host address of `size` bytes at masked stack offset sp, or NULL. */
FORM_INLINE void *form_stk(const struct cpu *cpu, uint64_t sp, unsigned size, bool wr)
{
    gva la = sp;
    if (!(cpu->mode & MODE_FLAT)) {
        const struct seg_view *v = &cpu->segv[SEG_SS];
        if (UNLIKELY(sp < v->lo || sp + size > (wr ? v->end_w : v->end_r))) {
            return NULL;
        }
        la = (uint32_t)(v->base + sp);
    }
    return form_tlb(cpu, la, size, wr);
}

/* ---- slow memory: every check, may raise ---- */
static inline uint64_t form_load(struct cpu *cpu, const struct insn *i, unsigned size)
{
    return mem_rd(cpu, i->seg, insn_la(cpu, i, size, ACC_READ), size);
}

static inline void form_store(struct cpu *cpu, const struct insn *i, unsigned size, uint64_t val)
{
    mem_wr(cpu, i->seg, insn_la(cpu, i, size, ACC_WRITE), size, val);
}

/* Operand 1 of kind Ev, as wide as operand 0. */
static inline uint64_t form_e1(struct cpu *cpu, const struct insn *i)
{
    return i->mod3 ? reg_get(cpu, i->w, i->rb) : form_load(cpu, i, i->w);
}

/* ---- dst = f(dst, src) ---- */
FORM_INLINE void form_bin_rr(struct cpu *cpu, const struct insn *i, unsigned w, form_bin f)
{
    reg_set(cpu, w, i->ra, f(cpu, w, reg_get(cpu, w, i->ra), reg_get(cpu, w, i->rb)));
    insn_chain(cpu, i);
}
FORM_INLINE void form_bin_ri(struct cpu *cpu, const struct insn *i, unsigned w, form_bin f)
{
    reg_set(cpu, w, i->ra, f(cpu, w, reg_get(cpu, w, i->ra), (uint64_t)i->imm));
    insn_chain(cpu, i);
}
FORM_INLINE void form_bin_rm_slow(struct cpu *cpu, const struct insn *i, unsigned w, form_bin f)
{
    uint64_t b = form_load(cpu, i, w);
    reg_set(cpu, w, i->ra, f(cpu, w, reg_get(cpu, w, i->ra), b));
    insn_chain_mem(cpu, i);
}
FORM_INLINE void form_bin_rm(struct cpu *cpu, const struct insn *i, unsigned w, form_bin f,
                             insn_fn slow)
{
    const void *p = form_ptr(cpu, i, w, false);
    if (LIKELY(p)) {
        reg_set(cpu, w, i->ra, f(cpu, w, reg_get(cpu, w, i->ra), le_get(p, w)));
        insn_chain(cpu, i);
    } else {
        slow(cpu, i);
    }
}
/* Read-modify-write; op: the source is the immediate or register rb. */
FORM_INLINE uint64_t form_src(const struct cpu *cpu, const struct insn *i, unsigned w, bool imm)
{
    return imm ? (uint64_t)i->imm : reg_get(cpu, w, i->rb);
}
FORM_INLINE void form_bin_m_slow(struct cpu *cpu, const struct insn *i, unsigned w, form_bin f,
                                 bool imm)
{
    gva la = insn_la(cpu, i, w, ACC_WRITE);
    uint64_t a = mem_rd_rmw(cpu, i->seg, la, w);
    mem_wr(cpu, i->seg, la, w, f(cpu, w, a, form_src(cpu, i, w, imm)));
    insn_chain_mem(cpu, i);
}
FORM_INLINE void form_bin_m(struct cpu *cpu, const struct insn *i, unsigned w, form_bin f, bool imm,
                            insn_fn slow)
{
    void *p = form_ptr(cpu, i, w, true);
    if (LIKELY(p)) {
        le_put(p, w, f(cpu, w, le_get(p, w), form_src(cpu, i, w, imm)));
        insn_chain(cpu, i);
    } else {
        slow(cpu, i);
    }
}

/* ---- f(dst, src), flags only ---- */
FORM_INLINE void form_cmp_rr(struct cpu *cpu, const struct insn *i, unsigned w, form_bin f)
{
    f(cpu, w, reg_get(cpu, w, i->ra), reg_get(cpu, w, i->rb));
    insn_chain(cpu, i);
}
FORM_INLINE void form_cmp_ri(struct cpu *cpu, const struct insn *i, unsigned w, form_bin f)
{
    f(cpu, w, reg_get(cpu, w, i->ra), (uint64_t)i->imm);
    insn_chain(cpu, i);
}
FORM_INLINE void form_cmp_rm_slow(struct cpu *cpu, const struct insn *i, unsigned w, form_bin f)
{
    uint64_t b = form_load(cpu, i, w);
    f(cpu, w, reg_get(cpu, w, i->ra), b);
    insn_chain_mem(cpu, i);
}
FORM_INLINE void form_cmp_rm(struct cpu *cpu, const struct insn *i, unsigned w, form_bin f,
                             insn_fn slow)
{
    const void *p = form_ptr(cpu, i, w, false);
    if (LIKELY(p)) {
        f(cpu, w, reg_get(cpu, w, i->ra), le_get(p, w));
        insn_chain(cpu, i);
    } else {
        slow(cpu, i);
    }
}
FORM_INLINE void form_cmp_m_slow(struct cpu *cpu, const struct insn *i, unsigned w, form_bin f,
                                 bool imm)
{
    uint64_t a = form_load(cpu, i, w);
    f(cpu, w, a, form_src(cpu, i, w, imm));
    insn_chain_mem(cpu, i);
}
FORM_INLINE void form_cmp_m(struct cpu *cpu, const struct insn *i, unsigned w, form_bin f, bool imm,
                            insn_fn slow)
{
    const void *p = form_ptr(cpu, i, w, false);
    if (LIKELY(p)) {
        f(cpu, w, le_get(p, w), form_src(cpu, i, w, imm));
        insn_chain(cpu, i);
    } else {
        slow(cpu, i);
    }
}

/* ---- dst = f(src), src of sw bytes ---- */
FORM_INLINE void form_set_rr(struct cpu *cpu, const struct insn *i, unsigned w, unsigned sw,
                             form_un f)
{
    reg_set(cpu, w, i->ra, f(cpu, w, reg_get(cpu, sw, i->rb)));
    insn_chain(cpu, i);
}
FORM_INLINE void form_set_ri(struct cpu *cpu, const struct insn *i, unsigned w, form_un f)
{
    reg_set(cpu, w, i->ra, f(cpu, w, (uint64_t)i->imm));
    insn_chain(cpu, i);
}
FORM_INLINE void form_set_rm_slow(struct cpu *cpu, const struct insn *i, unsigned w, unsigned sw,
                                  form_un f)
{
    reg_set(cpu, w, i->ra, f(cpu, w, form_load(cpu, i, sw)));
    insn_chain_mem(cpu, i);
}
FORM_INLINE void form_set_rm(struct cpu *cpu, const struct insn *i, unsigned w, unsigned sw,
                             form_un f, insn_fn slow)
{
    const void *p = form_ptr(cpu, i, sw, false);
    if (LIKELY(p)) {
        reg_set(cpu, w, i->ra, f(cpu, w, le_get(p, sw)));
        insn_chain(cpu, i);
    } else {
        slow(cpu, i);
    }
}
FORM_INLINE void form_set_m_slow(struct cpu *cpu, const struct insn *i, unsigned w, form_un f,
                                 bool imm)
{
    form_store(cpu, i, w, f(cpu, w, form_src(cpu, i, w, imm)));
    insn_chain_mem(cpu, i);
}
FORM_INLINE void form_set_m(struct cpu *cpu, const struct insn *i, unsigned w, form_un f, bool imm,
                            insn_fn slow)
{
    void *p = form_ptr(cpu, i, w, true);
    if (LIKELY(p)) {
        le_put(p, w, f(cpu, w, form_src(cpu, i, w, imm)));
        insn_chain(cpu, i);
    } else {
        slow(cpu, i);
    }
}

/* ---- dst = f(dst) ---- */
FORM_INLINE void form_un_r(struct cpu *cpu, const struct insn *i, unsigned w, form_un f)
{
    reg_set(cpu, w, i->ra, f(cpu, w, reg_get(cpu, w, i->ra)));
    insn_chain(cpu, i);
}
FORM_INLINE void form_un_m_slow(struct cpu *cpu, const struct insn *i, unsigned w, form_un f)
{
    gva la = insn_la(cpu, i, w, ACC_WRITE);
    uint64_t a = mem_rd_rmw(cpu, i->seg, la, w);
    mem_wr(cpu, i->seg, la, w, f(cpu, w, a));
    insn_chain_mem(cpu, i);
}
FORM_INLINE void form_un_m(struct cpu *cpu, const struct insn *i, unsigned w, form_un f,
                           insn_fn slow)
{
    void *p = form_ptr(cpu, i, w, true);
    if (LIKELY(p)) {
        le_put(p, w, f(cpu, w, le_get(p, w)));
        insn_chain(cpu, i);
    } else {
        slow(cpu, i);
    }
}

/* ---- dst = f(src, immediate) ---- */
FORM_INLINE void form_tri_rr(struct cpu *cpu, const struct insn *i, unsigned w, form_bin f)
{
    reg_set(cpu, w, i->ra, f(cpu, w, reg_get(cpu, w, i->rb), (uint64_t)i->imm));
    insn_chain(cpu, i);
}
FORM_INLINE void form_tri_rm_slow(struct cpu *cpu, const struct insn *i, unsigned w, form_bin f)
{
    reg_set(cpu, w, i->ra, f(cpu, w, form_load(cpu, i, w), (uint64_t)i->imm));
    insn_chain_mem(cpu, i);
}
FORM_INLINE void form_tri_rm(struct cpu *cpu, const struct insn *i, unsigned w, form_bin f,
                             insn_fn slow)
{
    const void *p = form_ptr(cpu, i, w, false);
    if (LIKELY(p)) {
        reg_set(cpu, w, i->ra, f(cpu, w, le_get(p, w), (uint64_t)i->imm));
        insn_chain(cpu, i);
    } else {
        slow(cpu, i);
    }
}

// clang-format off
/* ---- tables of handlers ---- */
/* A handler with its cold half: KIND is form_..., the rest goes behind (cpu, i). */
#define FORM_FN(fn, kind, ...)                                                           \
    static void fn(struct cpu *cpu, const struct insn *i) { kind(cpu, i, __VA_ARGS__); }
#define FORM_FN_MEM(fn, kind, ...)                                                       \
    FORM_COLD void fn##_slow(struct cpu *cpu, const struct insn *i)                      \
    {                                                                                    \
        kind##_slow(cpu, i, __VA_ARGS__);                                                \
    }                                                                                    \
    static void fn(struct cpu *cpu, const struct insn *i)                                \
    {                                                                                    \
        kind(cpu, i, __VA_ARGS__, fn##_slow);                                            \
    }

#define FORM_ROW(name, f)  {name##_##f##1, name##_##f##2, name##_##f##4, name##_##f##8}
#define FORM_ROW3(name, f) {NULL, name##_##f##2, name##_##f##4, name##_##f##8}
#define FORM_SEM(name, ...)                                                              \
    static const insn_fn name##_by[FORM_COUNT][4] = {__VA_ARGS__};                       \
    const struct sem sem_##name = {NULL, name##_by, false};
#define FORM_ALL(name)                                                                   \
    FORM_SEM(name, [FORM_RR] = FORM_ROW(name, rr), [FORM_RM] = FORM_ROW(name, rm),       \
             [FORM_MR] = FORM_ROW(name, mr), [FORM_RI] = FORM_ROW(name, ri),             \
             [FORM_MI] = FORM_ROW(name, mi))

#define FORM_BIN_W(name, f, w)                                                           \
    FORM_FN(name##_rr##w, form_bin_rr, w, f)                                             \
    FORM_FN(name##_ri##w, form_bin_ri, w, f)                                             \
    FORM_FN_MEM(name##_rm##w, form_bin_rm, w, f)                                         \
    FORM_FN_MEM(name##_mr##w, form_bin_m, w, f, false)                                   \
    FORM_FN_MEM(name##_mi##w, form_bin_m, w, f, true)
#define FORM_BIN(name, f)                                                                \
    FORM_BIN_W(name, f, 1) FORM_BIN_W(name, f, 2) FORM_BIN_W(name, f, 4)                 \
    FORM_BIN_W(name, f, 8) FORM_ALL(name)

#define FORM_CMP_W(name, f, w)                                                           \
    FORM_FN(name##_rr##w, form_cmp_rr, w, f)                                             \
    FORM_FN(name##_ri##w, form_cmp_ri, w, f)                                             \
    FORM_FN_MEM(name##_rm##w, form_cmp_rm, w, f)                                         \
    FORM_FN_MEM(name##_mr##w, form_cmp_m, w, f, false)                                   \
    FORM_FN_MEM(name##_mi##w, form_cmp_m, w, f, true)
#define FORM_CMP(name, f)                                                                \
    FORM_CMP_W(name, f, 1) FORM_CMP_W(name, f, 2) FORM_CMP_W(name, f, 4)                 \
    FORM_CMP_W(name, f, 8) FORM_ALL(name)

#define FORM_SET_W(name, f, w)                                                           \
    FORM_FN(name##_rr##w, form_set_rr, w, w, f)                                          \
    FORM_FN(name##_ri##w, form_set_ri, w, f)                                             \
    FORM_FN_MEM(name##_rm##w, form_set_rm, w, w, f)                                      \
    FORM_FN_MEM(name##_mr##w, form_set_m, w, f, false)                                   \
    FORM_FN_MEM(name##_mi##w, form_set_m, w, f, true)
#define FORM_SET(name, f)                                                                \
    FORM_SET_W(name, f, 1) FORM_SET_W(name, f, 2) FORM_SET_W(name, f, 4)                 \
    FORM_SET_W(name, f, 8) FORM_ALL(name)

#define FORM_UN_W(name, f, w)                                                            \
    FORM_FN(name##_rr##w, form_un_r, w, f)                                               \
    FORM_FN_MEM(name##_mr##w, form_un_m, w, f)
#define FORM_UN(name, f)                                                                 \
    FORM_UN_W(name, f, 1) FORM_UN_W(name, f, 2) FORM_UN_W(name, f, 4)                    \
    FORM_UN_W(name, f, 8)                                                                \
    FORM_SEM(name, [FORM_RR] = FORM_ROW(name, rr), [FORM_MR] = FORM_ROW(name, mr))

#define FORM_CVT_W(name, f, w, sw)                                                       \
    FORM_FN(name##_rr##w, form_set_rr, w, sw, f)                                         \
    FORM_FN_MEM(name##_rm##w, form_set_rm, w, sw, f)
#define FORM_CVT(name, f, sw)                                                            \
    FORM_CVT_W(name, f, 2, sw) FORM_CVT_W(name, f, 4, sw) FORM_CVT_W(name, f, 8, sw)     \
    FORM_SEM(name, [FORM_RR] = FORM_ROW3(name, rr), [FORM_RM] = FORM_ROW3(name, rm))

#define FORM_TRI_W(name, f, w)                                                           \
    FORM_FN(name##_rr##w, form_tri_rr, w, f)                                             \
    FORM_FN_MEM(name##_rm##w, form_tri_rm, w, f)
#define FORM_TRI(name, f)                                                                \
    FORM_TRI_W(name, f, 2) FORM_TRI_W(name, f, 4) FORM_TRI_W(name, f, 8)                 \
    FORM_SEM(name, [FORM_RR] = FORM_ROW3(name, rr), [FORM_RM] = FORM_ROW3(name, rm))

/* Destination a register, source register or memory: imul2, cmovcc. */
#define FORM_REG_W(name, f, w)                                                           \
    FORM_FN(name##_rr##w, form_bin_rr, w, f)                                             \
    FORM_FN_MEM(name##_rm##w, form_bin_rm, w, f)
#define FORM_REG(name, f)                                                                \
    FORM_REG_W(name, f, 2) FORM_REG_W(name, f, 4) FORM_REG_W(name, f, 8)                 \
    FORM_SEM(name, [FORM_RR] = FORM_ROW3(name, rr), [FORM_RM] = FORM_ROW3(name, rm))

/* The sixteen condition codes in encoding order: X(letters, number). */
#define FLAGS_CONDS(X)                                                                   \
    X(o, 0) X(no, 1) X(b, 2) X(ae, 3) X(e, 4) X(ne, 5) X(be, 6) X(a, 7)                  \
    X(s, 8) X(ns, 9) X(p, 10) X(np, 11) X(l, 12) X(ge, 13) X(le, 14) X(g, 15)
// clang-format on

#endif
