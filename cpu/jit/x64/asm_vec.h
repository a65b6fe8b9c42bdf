/*
 * The assembler's half for vector registers: one instruction, VEX-encoded or in its legacy form.
 *
 * map, pp and opc are VEX.mmmmm, VEX.pp and the opcode byte (as in struct uop_vec). An immediate is
 * the caller's to append. Sources: Intel SDM 2A 2.3.5 (VEX), 2.1 (legacy prefixes).
 */
#ifndef DOPPEL_CPU_JIT_X64_ASM_VEC_H
#define DOPPEL_CPU_JIT_X64_ASM_VEC_H

#include "cpu/jit/x64/asm.h"

enum { VMAP_0F = 1, VMAP_0F38 = 2, VMAP_0F3A = 3 };
enum { VPP_NONE, VPP_66, VPP_F3, VPP_F2 };

struct vop {
    uint8_t map, pp, opc;
    bool w, l; /* VEX.W or REX.W; VEX.L */
};

/* vvvv: 0 where the instruction has no such operand. */
static inline void asm_vex(struct asmbuf *a, struct vop o, unsigned reg, unsigned vvvv,
                           struct xo rm)
{
    unsigned not_r = reg >= 8 ? 0 : 0x80, not_b = rm.reg >= 8 ? 0 : 0x20;
    unsigned not_x = rm.mem && rm.index != RNONE && rm.index >= 8 ? 0 : 0x40;
    unsigned rest = (~vvvv & 15) << 3 | (o.l ? 4u : 0) | o.pp;
    emit_one(&a->count);
    if (o.map == VMAP_0F && !o.w && not_x && not_b) {
        asm_byte(a, 0xc5);
        asm_byte(a, not_r | rest);
    } else {
        asm_byte(a, 0xc4);
        asm_byte(a, not_r | not_x | not_b | o.map);
        asm_byte(a, (o.w ? 0x80u : 0) | rest);
    }
    asm_byte(a, o.opc);
    asm_modrm(a, reg, rm);
}

static inline void asm_legacy(struct asmbuf *a, struct vop o, unsigned reg, struct xo rm)
{
    static const uint8_t prefix[] = {0, 0x66, 0xf3, 0xf2};
    unsigned rex = (o.w ? 8u : 0) | (reg >= 8 ? 4u : 0) | (rm.reg >= 8 ? 1u : 0);
    rex |= rm.mem && rm.index != RNONE && rm.index >= 8 ? 2u : 0;
    emit_one(&a->count);
    if (o.pp) {
        asm_byte(a, prefix[o.pp]);
    }
    if (rex) {
        asm_byte(a, 0x40 | rex);
    }
    asm_byte(a, 0x0f);
    if (o.map != VMAP_0F) {
        asm_byte(a, o.map == VMAP_0F38 ? 0x38 : 0x3a);
    }
    asm_byte(a, o.opc);
    asm_modrm(a, reg, rm);
}

#endif
