/*
 * x87 instructions to micro-operations (U_X87).
 *
 * Only those whose results processors of all makers agree on, to the bit, and which change nothing
 * but what the host's FPU keeps too. The interpreter runs the rest: transcendental functions and
 * the like (our own code on all hosts), BCD, images of the environment, FNINIT, undocumented
 * aliases but FFREEP, which compilers use.
 */
#include "cpu/lift.h"

/* Semantic, bytes of the memory operand. With NOTED the instruction becomes the one that the
 * instruction pointer shows: all but control instructions (SDM vol. 1, 8.1.8). */
#define READS(X)                                                                                   \
    X(fld_m32, 4, UX_NOTED)                                                                        \
    X(fld_m64, 8, UX_NOTED)                                                                        \
    X(fld_m80, 10, UX_NOTED)                                                                       \
    X(fild_m16, 2, UX_NOTED)                                                                       \
    X(fild_m32, 4, UX_NOTED)                                                                       \
    X(fild_m64, 8, UX_NOTED)                                                                       \
    X(farith_m32, 4, UX_NOTED)                                                                     \
    X(farith_m64, 8, UX_NOTED)                                                                     \
    X(farith_i16, 2, UX_NOTED)                                                                     \
    X(farith_i32, 4, UX_NOTED)                                                                     \
    X(fcom_m32, 4, UX_NOTED)                                                                       \
    X(fcom_m64, 8, UX_NOTED)                                                                       \
    X(ficom_i16, 2, UX_NOTED)                                                                      \
    X(ficom_i32, 4, UX_NOTED)                                                                      \
    X(fldcw, 2, 0)
#define WRITES(X)                                                                                  \
    X(fst_m32, 4, UX_NOTED)                                                                        \
    X(fst_m64, 8, UX_NOTED)                                                                        \
    X(fstp_m80, 10, UX_NOTED)                                                                      \
    X(fist_m16, 2, UX_NOTED)                                                                       \
    X(fist_m32, 4, UX_NOTED)                                                                       \
    X(fistp_m64, 8, UX_NOTED)                                                                      \
    X(fisttp_m16, 2, UX_NOTED)                                                                     \
    X(fisttp_m32, 4, UX_NOTED)                                                                     \
    X(fisttp_m64, 8, UX_NOTED)                                                                     \
    X(fnstcw, 2, 0)                                                                                \
    X(fnstsw_m16, 2, 0)
#define REGISTERS(X)                                                                               \
    X(fld_sti, 0, UX_NOTED)                                                                        \
    X(fld_const, 0, UX_NOTED)                                                                      \
    X(fst_sti, 0, UX_NOTED)                                                                        \
    X(fxch, 0, UX_NOTED)                                                                           \
    X(fcmov, 0, UX_NOTED)                                                                          \
    X(fchs, 0, UX_NOTED)                                                                           \
    X(fabs, 0, UX_NOTED)                                                                           \
    X(fxxcstp, 0, UX_NOTED)                                                                        \
    X(ffree, 0, UX_NOTED)                                                                          \
    X(farith_st0, 0, UX_NOTED)                                                                     \
    X(farith_sti, 0, UX_NOTED)                                                                     \
    X(fcom_sti, 0, UX_NOTED)                                                                       \
    X(fcomp_sti, 0, UX_NOTED)                                                                      \
    X(fucom_sti, 0, UX_NOTED)                                                                      \
    X(fucomp_sti, 0, UX_NOTED)                                                                     \
    X(fcompp, 0, UX_NOTED)                                                                         \
    X(ftst, 0, UX_NOTED)                                                                           \
    X(fcomi, 0, UX_NOTED)                                                                          \
    X(fxam, 0, UX_NOTED)                                                                           \
    X(fsqrt, 0, UX_NOTED)                                                                          \
    X(frndint, 0, UX_NOTED)                                                                        \
    X(fnstsw_ax, 0, 0)                                                                             \
    X(fnclex, 0, 0)                                                                                \
    X(fnop, 0, 0)                                                                                  \
    X(fwait, 0, 0)

#define X(s, bytes, noted) extern const struct sem sem_##s;
READS(X)
WRITES(X)
REGISTERS(X)
#undef X

static const struct known {
    const struct sem *sem;
    uint8_t bytes;
    bool writes;
    uint32_t noted;
} known[] = {
#define X(s, bytes, noted) {&sem_##s, bytes, false, noted},
    READS(X) REGISTERS(X)
#undef X
#define X(s, bytes, noted) {&sem_##s, bytes, true, noted},
        WRITES(X)
#undef X
};

bool lift_x87(const struct block *b, const struct insn *i, struct uop *u)
{
    const struct insn_row *r = &insn_rows[i->row];
    const struct known *k = NULL;
    bool x87 = r->map == MAP_1B && ((r->op & 0xf8) == 0xd8 || r->op == 0x9b);
    if (!x87 || ((r->attr & A_ALIAS) && r->sem != &sem_ffree)) {
        return false;
    }
    for (unsigned n = 0; n < ARRAY_LEN(known) && !k; n++) {
        k = known[n].sem == r->sem ? &known[n] : NULL;
    }
    if (!k) {
        return false;
    }
    u->op = U_X87;
    u->attr |= UF_BAIL;
    u->w = k->bytes;
    u->imm = (int64_t)((uint32_t)i->opcode << 8 | (i->opcode == 0x9b ? 0u : i->modrm) | k->noted);
    if (k->bytes) {
        u->dk = k->writes ? UK_MEM : UK_NONE;
        u->sk = k->writes ? UK_NONE : UK_MEM;
        lift_mem(b, i, &u->m);
    } else if (r->sem == &sem_fnstsw_ax) {
        u->dk = UK_REG;
        u->dr = REG_RAX;
    }
    return true;
}
