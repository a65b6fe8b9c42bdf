/*
 * What the host-neutral half (jit.c) and a host back end know of each other.
 */
#ifndef DOPPEL_CPU_JIT_BACKEND_H
#define DOPPEL_CPU_JIT_BACKEND_H

#include "cpu/jit/count.h"
#include "cpu/jit/jit.h"
#include "util/os_code.h"

struct jit_backend {
    const struct jit_layout *l;
    struct os_code mem;
    uint32_t has;                             /* of the host, for the back end alone */
    uint32_t at;                              /* next free byte */
    uint32_t end;                             /* code being emitted ends here at the latest */
    uint32_t near;                            /* slots of env->near given away */
    uint16_t near_what[JIT_VIEWS * JIT_NEAR]; /* bytes, and bit 15 for writes; 0: none so far */
    bool full;                                /* jit_host_emit: it did not fit */
    uint32_t start;                           /* behind the common code */
    /* Common code, offsets. */
    uint32_t enter, leave, refill, near_failed, interp, cond, fp_on, vec_zero, x87_load, flags;
    uint32_t x87[16]; /* x87 instructions, as the back end numbers them */
    uint32_t quick;
    uint32_t leave32, interp32; /* the same for 32-bit code, if that has other registers */
    uint32_t features;          /* of the host, as the back end numbers them */
    struct jit_site *site;
    uint32_t nsites, max_sites;
    uint32_t free_site;            /* index + 1 */
    struct jit_counting *counting; /* NULL: code does not count its runs */
    bool check;                    /* blocks begin with a SITE_CHECK */
};

/* Emit the common code at the buffer's start and set be->at, be->start. */
void jit_host_common(struct jit_backend *be);
/* Emit a block between be->at and be->end; code->entry and bytes are set, be->at moves. False: no
 * room (be->full), or the block is more than the back end can hold. */
bool jit_host_emit(struct jit_backend *be, const struct jit_source *src, struct jit_code *code);
/* The displacement at `place` leads to `target` from now on. */
void jit_host_patch(struct jit_backend *be, uint32_t place, uint32_t target);
/* The access whose look at its slot is at `place` computes its entry's offset from now on. */
void jit_host_near_off(struct jit_backend *be, uint32_t place, uint32_t slot);
/* Can this process run what is emitted? */
bool jit_host_runs(void);

/* The kind of recipe (enum jit_cc) that an operation on two operands leaves: ADD to TEST. */
static inline unsigned jit_alu_kind(unsigned op)
{
    switch (op) {
    case U_ADD:
        return CC_ADD;
    case U_ADC:
        return CC_ADC;
    case U_SBB:
        return CC_SBB;
    case U_SUB:
        return CC_SUB;
    case U_CMP:
        return CC_CMP;
    default:
        return CC_LOGIC;
    }
}

/* What entering charged for blocks behind this part. */
static inline int32_t jit_refund(const struct jit_source *src, unsigned part)
{
    int32_t n = 0;
    for (unsigned p = part + 1; p < src->nparts; p++) {
        n += src->part[p].charge;
    }
    return n;
}

/* A new site; its index, or UINT32_MAX: no memory. */
uint32_t jit_site_new(struct jit_backend *be, struct jit_code *code, unsigned kind);

/* ---- counting runs (count.c); only if be->counting ---- */
struct jit_counting *jit_counting_new(void);
void jit_counting_free(struct jit_counting *c);
uint64_t *jit_counting_runs(struct jit_counting *c);
/* A segment of code begins: code is to increment env->runs[result], a uint64_t. UINT32_MAX: there
 * are too many; the block cannot be compiled now. */
uint32_t jit_segment_new(struct jit_counting *c, struct jit_code *code);
/* It ends: it holds what was emitted between `from` and `to`, for `insns` guest instructions, of
 * which `interp` are left to the interpreter. */
void jit_segment_end(struct jit_counting *c, uint32_t seg, const struct emit_counts *from,
                     const struct emit_counts *to, unsigned insns, unsigned interp);
/* code is dropped: keep what its segments counted. */
void jit_segments_drop(struct jit_counting *c, struct jit_code *code);
struct jit_running jit_counting_sum(const struct jit_counting *c);

#endif
