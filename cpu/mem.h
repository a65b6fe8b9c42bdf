/*
 * Guest memory as instructions see it: segment checks, linear accesses through the soft TLB.
 *
 * Fast paths are inline; everything else (L1 miss, misaligned, two pages, MMIO, code lines, data
 * breakpoints, #AC, canonical checks, faults) is in cpu/mem.c behind one function for each kind.
 * Faults leave through cpu_raise* before anything has changed. `seg` is the segment register the
 * access goes through: it decides #SS or #GP, and nothing else at this level.
 *
 * All values are little-endian in the guest and native here. Sizes are bytes.
 */
#ifndef DOPPEL_CPU_MEM_H
#define DOPPEL_CPU_MEM_H

#include "cpu/cpu.h"

/* ---- slow paths (cpu/mem.c) ---- */
uint64_t mem_rd_slow(struct cpu *cpu, unsigned seg, gva la, unsigned size, enum tlb_view view);
void mem_wr_slow(struct cpu *cpu, unsigned seg, gva la, unsigned size, uint64_t val,
                 enum tlb_view view);
/* Fault as an access of [la, la+len) would (len <= 4096), and do nothing else. */
void mem_probe(struct cpu *cpu, unsigned seg, gva la, unsigned len, enum mem_access acc,
               enum tlb_view view);
/* #AC if alignment checks are on: for a misaligned explicit access of `size` bytes at la. */
void mem_check_align(struct cpu *cpu, unsigned seg, gva la, unsigned size);
/* Any length up to 4096, any alignment; all checks (both pages) before the first byte moves. No
 * atomicity beyond bytes. */
void mem_rd_buf(struct cpu *cpu, unsigned seg, gva la, void *buf, unsigned len, enum tlb_view view);
void mem_wr_buf(struct cpu *cpu, unsigned seg, gva la, const void *buf, unsigned len,
                enum tlb_view view);
/* Host pointer to [la, la+len) if it lies in one page of plain RAM that may be accessed so without
 * any further check or notice; NULL otherwise. For bulk string operations. */
uint8_t *mem_host_ptr(struct cpu *cpu, gva la, unsigned len, enum mem_access acc,
                      enum tlb_view view);

/* After a change of DR0-3 or DR7: which pages data breakpoints watch. */
void mem_update_watch(struct cpu *cpu);

/* The fast compare of mmu/tlb.h. */
static inline uint64_t mem_rd_view(struct cpu *cpu, unsigned seg, gva la, unsigned size,
                                   enum tlb_view view)
{
    const struct tlb_entry *e = &cpu->tlb.l1[view][la >> PAGE_BITS & TLB_L1_MASK];
    if (LIKELY(((la ^ e->tag_r) & (PAGE_MASK | (size - 1))) == 0)) {
        return le_get((const void *)(uintptr_t)(la + e->bias_r), size);
    }
    return mem_rd_slow(cpu, seg, la, size, view);
}

static inline void mem_wr_view(struct cpu *cpu, unsigned seg, gva la, unsigned size, uint64_t val,
                               enum tlb_view view)
{
    const struct tlb_entry *e = &cpu->tlb.l1[view][la >> PAGE_BITS & TLB_L1_MASK];
    if (LIKELY(((la ^ e->tag_w) & (PAGE_MASK | (size - 1))) == 0)) {
        le_put((void *)(uintptr_t)(la + e->bias_w), size, val);
        return;
    }
    mem_wr_slow(cpu, seg, la, size, val, view);
}

/* ---- explicit accesses at the current privilege ---- */
static inline uint64_t mem_rd(struct cpu *cpu, unsigned seg, gva la, unsigned size)
{
    return mem_rd_view(cpu, seg, la, size, cpu->view);
}

static inline void mem_wr(struct cpu *cpu, unsigned seg, gva la, unsigned size, uint64_t val)
{
    mem_wr_view(cpu, seg, la, size, val, cpu->view);
}

/* The read of a read-modify-write: faults as a write does, so that the mem_wr that follows at the
 * same place cannot. */
static inline uint64_t mem_rd_rmw(struct cpu *cpu, unsigned seg, gva la, unsigned size)
{
    const struct tlb_entry *e = &cpu->tlb.l1[cpu->view][la >> PAGE_BITS & TLB_L1_MASK];
    if (LIKELY(((la ^ e->tag_w) & (PAGE_MASK | (size - 1))) == 0)) {
        return le_get((const void *)(uintptr_t)(la + e->bias_w), size);
    }
    mem_probe(cpu, seg, la, size, ACC_WRITE, cpu->view);
    return mem_rd_slow(cpu, seg, la, size, cpu->view);
}

/* ---- implicit supervisor accesses: descriptor tables, TSS, stacks of inner levels ---- */
static inline uint64_t mem_rd_sys(struct cpu *cpu, gva la, unsigned size)
{
    return mem_rd_view(cpu, SEG_NONE, la, size, TLB_SUPER);
}

static inline void mem_wr_sys(struct cpu *cpu, gva la, unsigned size, uint64_t val)
{
    mem_wr_view(cpu, SEG_NONE, la, size, val, TLB_SUPER);
}

/* ---- segmentation ---- */
/* Check [off, off+size) against segment register `seg` for `acc` (read or write) and return the
 * linear address; raises #GP(0), or #SS(0) for SS. Legacy modes (SEGM_CHECK). */
gva seg_fault(struct cpu *cpu, unsigned seg); /* raises; never returns */
static inline gva seg_check(struct cpu *cpu, unsigned seg, uint64_t off, unsigned size,
                            enum mem_access acc)
{
    const struct seg_view *v = &cpu->segv[seg];
    uint64_t end = acc == ACC_WRITE ? v->end_w : v->end_r;
    if (UNLIKELY(off < v->lo || off + size > end)) {
        return seg_fault(cpu, seg);
    }
    return (uint32_t)(v->base + off);
}

/* Offset of a memory operand, cut to the address size. */
static inline uint64_t insn_ea(const struct cpu *cpu, const struct insn *i)
{
    const char *env = (const char *)cpu;
    uint64_t ea = *(const uint64_t *)(const void *)(env + i->base) +
                  (*(const uint64_t *)(const void *)(env + i->index) << i->scale) +
                  (uint64_t)i->disp;
    return ea << i->ashift >> i->ashift;
}

/* Linear address of an offset in the instruction's segment, checked for `size` bytes. */
static inline gva insn_la_off(struct cpu *cpu, const struct insn *i, uint64_t off, unsigned size,
                              enum mem_access acc)
{
    if (i->segm == SEGM_FLAT) {
        return off;
    }
    if (i->segm == SEGM_BASE) {
        return cpu->segv[i->seg].base + off;
    }
    return seg_check(cpu, i->seg, off, size, acc);
}

/* Linear address of the memory operand, checked for `size` bytes. */
static inline gva insn_la(struct cpu *cpu, const struct insn *i, unsigned size, enum mem_access acc)
{
    return insn_la_off(cpu, i, insn_ea(cpu, i), size, acc);
}

/* The linear address `skip` bytes into the operand at `la`, behind its first word: on the 8086,
 * which stays within the segment, perhaps below it. */
static inline gva insn_la_skip(const struct cpu *cpu, const struct insn *i, gva la, unsigned skip)
{
    bool wraps = cpu_has(cpu, FEAT_only86) && la + skip - cpu->segv[i->seg].base > 0xffff;
    return la + skip - (wraps ? 0x10000 : 0);
}

/* Any segment and offset in the current mode (string destinations, XLAT, far pointers). */
static inline gva mem_la(struct cpu *cpu, unsigned seg, uint64_t off, unsigned size,
                         enum mem_access acc)
{
    if (cpu_code64(cpu)) {
        return seg >= SEG_FS ? cpu->segv[seg].base + off : off;
    }
    return seg_check(cpu, seg, off, size, acc);
}

/* ---- the stack ---- */
static inline uint64_t stk_sp(const struct cpu *cpu)
{
    return cpu->s.gpr[REG_RSP] & cpu->sp_mask;
}

static inline void stk_set_sp(struct cpu *cpu, uint64_t sp)
{
    uint64_t keep = cpu->sp_mask == 0xffff ? ~UINT64_C(0xffff) : 0;
    cpu->s.gpr[REG_RSP] = (cpu->s.gpr[REG_RSP] & keep) | (sp & cpu->sp_mask);
}

/* Push `size` (2, 4, 8) bytes; RSP changes last. */
static inline void stk_push(struct cpu *cpu, unsigned size, uint64_t val)
{
    uint64_t sp = (stk_sp(cpu) - size) & cpu->sp_mask;
    mem_wr(cpu, SEG_SS, mem_la(cpu, SEG_SS, sp, size, ACC_WRITE), size, val);
    stk_set_sp(cpu, sp);
}

/* The value at the top plus `skip` bytes; RSP is not changed. */
static inline uint64_t stk_peek(struct cpu *cpu, unsigned size, unsigned skip)
{
    uint64_t sp = (stk_sp(cpu) + skip) & cpu->sp_mask;
    return mem_rd(cpu, SEG_SS, mem_la(cpu, SEG_SS, sp, size, ACC_READ), size);
}

static inline void stk_drop(struct cpu *cpu, unsigned bytes)
{
    stk_set_sp(cpu, stk_sp(cpu) + bytes);
}

#endif
