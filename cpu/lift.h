/*
 * The lifter: decoded instructions to micro-operations of the JIT.
 */
#ifndef DOPPEL_CPU_LIFT_H
#define DOPPEL_CPU_LIFT_H

#include "cpu/block.h"
#include "cpu/jit/jit.h"

/* Lift a block that lies in one page; u has room for BLOCK_INSNS + 1. yields: PAUSE ends the
 * slice. Returns how many. */
unsigned lift_block(const struct block *b, struct uop *u, bool yields);
/* A vector instruction: u->op becomes U_VEC. False: not one that can be expressed. (lift_vec.c) */
bool lift_vec(const struct block *b, const struct insn *i, struct uop *u);
/* An x87 instruction as U_X87 (lift_x87.c). False: the interpreter's. */
bool lift_x87(const struct block *b, const struct insn *i, struct uop *u);
/* i's memory operand. */
void lift_mem(const struct block *b, const struct insn *i, struct uop_mem *m);
/* Lift the blocks of a path, which lie in one page and of which each led to the next when it was
 * seen. `loop`: the last led to the first. As many of them as lead on: *parts and *loop say what it
 * came to. u has room for the blocks' instructions and 2. Returns how many. */
unsigned lift_super(struct block *const *b, unsigned *parts, bool *loop, struct uop *u,
                    bool yields);
/* Is there any point in compiling code of this mode (MODE_xx)? */
bool lift_mode(uint32_t mode);
/* Is its code based (struct jit_source)? */
bool lift_based(uint32_t mode);
static inline unsigned lift_stack_bits(uint32_t mode)
{
    return mode & MODE_C64 ? 64 : mode & MODE_SS32 ? 32 : 16;
}
static inline unsigned lift_stack_segm(uint32_t mode)
{
    return mode & (MODE_C64 | MODE_FLAT) ? US_FLAT : US_CHECK;
}

/* Let the interpreter run this one, for no reason (cpu/chaos.h). False: it must stay. */
bool lift_refuse(struct uop *u);

#endif
