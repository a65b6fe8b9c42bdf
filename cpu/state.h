/*
 * The architectural state of a vCPU: everything a guest can observe, as one state table.
 *
 * Lazy flags, the soft TLB and decoded blocks are not here: cpu_sync() brings the table up to date
 * before a save or a digest. Vectors are stored as 64-bit words, low first.
 */
#ifndef DOPPEL_CPU_STATE_H
#define DOPPEL_CPU_STATE_H

#include "core/state.h"

enum { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI };

/* Segment registers in encoding order, then the two system ones. SEG_NONE marks "no segment". */
enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEG_COUNT, SEG_NONE = 15 };

/* attr: the descriptor's access byte in bits 7:0 (type 3:0, S 4, DPL 6:5, P 7), AVL 8, L 9, D/B 10,
 * G 11, as in the second doubleword's bits 8-15 and 20-23 (SDM 3A 3.4.5), and SEG_NULL. */
#define SEG_A_TYPE 0x00fu
#define SEG_A_ACC  0x001u /* accessed */
#define SEG_A_RW   0x002u /* data: writable; code: readable */
#define SEG_A_EC   0x004u /* data: expand-down; code: conforming */
#define SEG_A_CODE 0x008u
#define SEG_A_S    0x010u
#define SEG_A_DPL  0x060u
#define SEG_A_P    0x080u
#define SEG_A_AVL  0x100u
#define SEG_A_L    0x200u
#define SEG_A_DB   0x400u
#define SEG_A_G    0x800u
#define SEG_A_NULL 0x1000u /* a null selector was loaded: unusable */

#define SEG_STATE(S, V, A, N)                                                                      \
    V(S, uint64_t, base, 1)                                                                        \
    V(S, uint32_t, limit, 1) /* bytes, granularity applied */                                      \
    V(S, uint16_t, sel, 1)                                                                         \
    V(S, uint16_t, attr, 1)

ST_DECLARE(seg, SEG_STATE);

#define X87_STATE(S, V, A, N)                                                                      \
    A(S, uint64_t, m, 8, 1)  /* significands by physical register R0..R7 */                        \
    A(S, uint16_t, se, 8, 1) /* sign and exponent */                                               \
    V(S, uint16_t, cw, 1)                                                                          \
    V(S, uint16_t, sw, 1)   /* TOP in bits 13:11 */                                                \
    V(S, uint8_t, empty, 1) /* bit r: physical register r is empty */                              \
    V(S, uint16_t, op, 1)   /* last opcode, 11 bits */                                             \
    V(S, uint64_t, ip, 1)                                                                          \
    V(S, uint64_t, dp, 1)                                                                          \
    V(S, uint16_t, cs, 1)                                                                          \
    V(S, uint16_t, ds, 1)

ST_DECLARE(x87, X87_STATE);

#define MTRR_VARS 8
#define MC_BANKS  4

#define MSR_STATE(S, V, A, N)                                                                      \
    V(S, uint64_t, efer, 1)                                                                        \
    V(S, uint64_t, star, 1)                                                                        \
    V(S, uint64_t, lstar, 1)                                                                       \
    V(S, uint64_t, cstar, 1)                                                                       \
    V(S, uint64_t, fmask, 1)                                                                       \
    V(S, uint64_t, kernel_gs_base, 1)                                                              \
    V(S, uint64_t, sysenter_cs, 1)                                                                 \
    V(S, uint64_t, sysenter_esp, 1)                                                                \
    V(S, uint64_t, sysenter_eip, 1)                                                                \
    V(S, uint64_t, tsc_offset, 1) /* TSC = clock_now() + tsc_offset (1 GHz) */                     \
    V(S, uint64_t, tsc_adjust, 1)                                                                  \
    V(S, uint32_t, tsc_aux, 1)                                                                     \
    V(S, uint64_t, pat, 1)                                                                         \
    V(S, uint64_t, mtrr_def, 1)                                                                    \
    A(S, uint64_t, mtrr_fix, 11, 1)                                                                \
    A(S, uint64_t, mtrr_base, MTRR_VARS, 1)                                                        \
    A(S, uint64_t, mtrr_mask, MTRR_VARS, 1)                                                        \
    V(S, uint64_t, misc_enable, 1)                                                                 \
    V(S, uint64_t, feature_control, 1)                                                             \
    V(S, uint64_t, spec_ctrl, 1)                                                                   \
    V(S, uint64_t, xss, 1)                                                                         \
    V(S, uint64_t, debugctl, 1)                                                                    \
    V(S, uint64_t, mcg_status, 1)                                                                  \
    V(S, uint64_t, mcg_ctl, 1) /* this and the banks: not shown, only kept for saved machines */   \
    A(S, uint64_t, mc_ctl, MC_BANKS, 1)                                                            \
    A(S, uint64_t, mc_status, MC_BANKS, 1)                                                         \
    A(S, uint64_t, mc_addr, MC_BANKS, 1)                                                           \
    A(S, uint64_t, mc_misc, MC_BANKS, 1)                                                           \
    V(S, uint64_t, bios_sign_id, 1)                                                                \
    V(S, uint64_t, platform_info, 1)

ST_DECLARE(msrs, MSR_STATE);

/* What the vCPU is doing. */
enum cpu_activity { CPU_RUNNING, CPU_HALTED, CPU_WAIT_SIPI, CPU_SHUTDOWN, CPU_MWAIT };

#define CPU_STATE(S, V, A, N)                                                                      \
    A(S, uint64_t, gpr, 16, 1)                                                                     \
    V(S, uint64_t, rip, 1)                                                                         \
    V(S, uint64_t, rflags, 1) /* see cpu/flags.h: arithmetic bits valid after cpu_sync */          \
    N(S, seg, seg, 8, 1)      /* SEG_ES .. SEG_TR */                                               \
    V(S, uint64_t, gdt_base, 1)                                                                    \
    V(S, uint64_t, idt_base, 1)                                                                    \
    V(S, uint16_t, gdt_limit, 1)                                                                   \
    V(S, uint16_t, idt_limit, 1)                                                                   \
    V(S, uint64_t, cr0, 1)                                                                         \
    V(S, uint64_t, cr2, 1)                                                                         \
    V(S, uint64_t, cr3, 1)                                                                         \
    V(S, uint64_t, cr4, 1)                                                                         \
    V(S, uint64_t, cr8, 1) /* used only by a vCPU without a local APIC */                          \
    A(S, uint64_t, pdpte, 4, 1)                                                                    \
    V(S, uint64_t, xcr0, 1)                                                                        \
    A(S, uint64_t, dr, 8, 1) /* 4 and 5 unused */                                                  \
    V(S, uint8_t, cpl, 1)                                                                          \
    N(S, msrs, msr, 1, 1)                                                                          \
    N(S, x87, fpu, 1, 1)                                                                           \
    V(S, uint32_t, mxcsr, 1)                                                                       \
    A(S, uint64_t, ymm, 64, 1) /* register n: words 4n .. 4n+3 */                                  \
    V(S, uint8_t, activity, 1) /* enum cpu_activity */                                             \
    V(S, bool, shadow, 1)      /* interrupts blocked for one instruction (STI, MOV SS) */          \
    V(S, bool, shadow_ss, 1)   /* ... by MOV/POP SS: debug traps blocked too */                    \
    V(S, bool, nmi_blocked, 1) /* until IRET */                                                    \
    V(S, bool, nmi_pending, 1)                                                                     \
    V(S, bool, smi_pending, 1)                                                                     \
    V(S, bool, init_pending, 1)                                                                    \
    V(S, bool, sipi_pending, 1)                                                                    \
    V(S, uint8_t, sipi_vector, 1)                                                                  \
    V(S, bool, smm, 1)                                                                             \
    V(S, uint32_t, smbase, 1)                                                                      \
    V(S, bool, a20_masked, 1)          /* the A20M# pin is asserted */                             \
    V(S, uint64_t, db_pending, 1)      /* DR6 bits of a debug trap due after this instruction */   \
    V(S, uint64_t, monitor_addr, 1)    /* physical line armed by MONITOR; all ones: none */        \
    A(S, uint64_t, monitor_data, 8, 1) /* what that line held then */                              \
    V(S, bool, mwait_break, 1)         /* MWAIT ends at an interrupt even with IF clear */         \
    V(S, uint64_t, rng, 1)             /* RDRAND/RDSEED stream, seeded through the gate */         \
    V(S, uint64_t, icount, 1)          /* instructions retired by this vCPU */                     \
    A(S, uint32_t, tr, 8, 2)           /* test registers of 386 and 486; 0 to 2 unused */

ST_DECLARE(cpu_state, CPU_STATE);

#endif
