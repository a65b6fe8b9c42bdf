/*
 * Segment and system descriptors, taken apart; stack frames on a stack that is not loaded yet.
 * Private to the system files of cpu/ (seg, event, far, task, syscall, smm).
 *
 * A struct desc is a raw image of a table entry (SDM 3A 3.4.5, 3.5, 8.2.3). Everything here only
 * computes or raises; nothing changes registers.
 */
#ifndef DOPPEL_CPU_DESC_H
#define DOPPEL_CPU_DESC_H

#include "cpu/mem.h"
#include "cpu/sys.h"

#define SEL_RPL(sel)  ((sel)&3u)
#define SEL_ERR(sel)  ((sel)&0xfffcu) /* as an error code */
#define SEL_TI(sel)   ((sel)&4u)      /* in the LDT */
#define SEL_NULL(sel) (!SEL_ERR(sel))

/* Types: bits 4:0 are S and type (SDM 3A tables 3-1 and 3-2). */
enum {
    DT_TSS16 = 0x01,
    DT_LDT = 0x02,
    DT_TSS16_BUSY = 0x03,
    DT_CALL16 = 0x04,
    DT_TASK = 0x05,
    DT_INT16 = 0x06,
    DT_TRAP16 = 0x07,
    DT_TSS32 = 0x09,
    DT_TSS32_BUSY = 0x0b,
    DT_CALL32 = 0x0c,
    DT_INT32 = 0x0e,
    DT_TRAP32 = 0x0f,
    DT_BUSY = 0x02, /* the bit that makes an available TSS busy */
};

static inline unsigned desc_type(const struct desc *d)
{
    return d->hi >> 8 & 0x1f;
}
static inline unsigned desc_dpl(const struct desc *d)
{
    return d->hi >> 13 & 3;
}
static inline bool desc_present(const struct desc *d)
{
    return d->hi >> 15 & 1;
}
static inline bool desc_is_seg(const struct desc *d) /* code or data, not system */
{
    return d->hi >> 12 & 1;
}
static inline bool desc_is_code(const struct desc *d)
{
    return (d->hi >> 11 & 3) == 3;
}
static inline bool desc_conforming(const struct desc *d) /* of a code segment */
{
    return d->hi >> 10 & 1;
}
static inline bool desc_is_data_w(const struct desc *d) /* writable data */
{
    return (d->hi >> 9 & 0xd) == 0x9;
}
static inline bool desc_readable(const struct desc *d) /* data, or readable code */
{
    return desc_is_seg(d) && (!desc_is_code(d) || (d->hi >> 9 & 1));
}
static inline bool desc_l(const struct desc *d)
{
    return d->hi >> 21 & 1;
}
static inline bool desc_db(const struct desc *d)
{
    return d->hi >> 22 & 1;
}
static inline uint64_t desc_base(const struct desc *d)
{
    return d->lo >> 16 | (d->hi & 0xff) << 16 | (d->hi & 0xff000000) | (uint64_t)d->base_hi << 32;
}
static inline uint32_t desc_limit(const struct desc *d) /* bytes */
{
    uint32_t l = (d->lo & 0xffff) | (d->hi & 0xf0000);
    return d->hi >> 23 & 1 ? l << 12 | 0xfff : l;
}
static inline uint16_t desc_attr(const struct desc *d) /* SEG_A_xx */
{
    return (uint16_t)((d->hi >> 8 & 0xff) | (d->hi >> 12 & 0xf00));
}
/* Gates: selector and offset. */
static inline uint16_t gate_sel(const struct desc *d)
{
    return (uint16_t)(d->lo >> 16);
}
static inline uint64_t gate_off(const struct desc *d)
{
    uint32_t low = d->lo & 0xffff;
    return desc_type(d) & 8 ? low | (d->hi & 0xffff0000) | (uint64_t)d->base_hi << 32 : low;
}

static inline bool canonical(uint64_t la)
{
    return bits_sext(la, 48) == la;
}

/* Set the accessed bit of a code or data descriptor in its table, if it is clear. May fault. */
void desc_set_accessed(struct cpu *cpu, uint16_t sel, struct desc *d);
/* Set or clear the busy bit of a TSS descriptor in the GDT. */
void desc_set_busy(struct cpu *cpu, uint16_t sel, bool busy);
/* Linear address of a selector's entry (no checks). */
gva desc_addr(const struct cpu *cpu, uint16_t sel);
/* Load a null selector: unusable, but the selector is kept. */
void seg_set_null(struct cpu *cpu, unsigned seg, uint16_t sel);

/* Check a new CS:offset against the segment it would run in: #GP(0) beyond the limit, or if not
 * canonical in 64-bit code. */
void far_check_target(struct cpu *cpu, const struct desc *d, uint64_t off);
/* As above for a code segment that stays in real or virtual-8086 mode. */
void far_check_real(struct cpu *cpu, uint64_t off);
/* Load CS from a code descriptor with the given CPL, set RIP; nothing can fault. */
void far_enter(struct cpu *cpu, uint16_t sel, const struct desc *d, unsigned cpl, uint64_t rip);
/* SS:ESP for `level` from the current TSS; #TS if it is too short. */
void tss_stack(struct cpu *cpu, unsigned level, uint16_t *ss, uint64_t *sp);
/* RSP (n 0..2) or IST (n 1..7) of a 64-bit TSS, canonical or #SS(0)/#TS. */
uint64_t tss_rsp(struct cpu *cpu, unsigned level);
uint64_t tss_ist(struct cpu *cpu, unsigned ist);
/* The checks of a new stack segment for an inner level: #TS(sel), #SS(sel). */
void stack_seg_check(struct cpu *cpu, uint16_t ss, unsigned dpl, struct desc *d);
/* After a return to an outer level: null data segments that it may not use. */
void far_drop_segs(struct cpu *cpu);

/*
 * A stack that pushes go to before SS:RSP is committed: the current one, or one just looked up.
 * frame_reserve checks and probes room for all that will be pushed, so frame_push cannot fault.
 */
struct frame {
    struct seg_view v;
    uint64_t mask; /* of the stack pointer */
    uint64_t sp;
    enum tlb_view view;
    uint32_t err; /* of the #SS raised when there is no room */
    bool flat64;
};
struct frame frame_current(const struct cpu *cpu);
struct frame frame_inner(const struct cpu *cpu, uint16_t ss, const struct desc *d, uint64_t sp,
                         unsigned cpl);
struct frame frame_long(const struct cpu *cpu, uint64_t rsp, unsigned cpl);
void frame_reserve(struct cpu *cpu, const struct frame *f, unsigned size, unsigned count);
void frame_push(struct cpu *cpu, struct frame *f, unsigned size, uint64_t val);

#endif
