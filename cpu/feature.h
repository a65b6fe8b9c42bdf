/*
 * CPU features: what a model has, what an instruction row needs, and where CPUID shows it.
 *
 * One row a feature: name as on the `-cpu` command line, CPUID leaf, subleaf, register, bit. Rows
 * with leaf NOLEAF are generations: instruction sets older than CPUID. The CPU models (cpu/model.c)
 * are sets of these; CPUID never depends on the host.
 */
#ifndef DOPPEL_CPU_FEATURE_H
#define DOPPEL_CPU_FEATURE_H

#include <stdbool.h>
#include <stdint.h>

#define NOLEAF 0xffffffffu
enum { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

// clang-format off
#define CPU_FEATURES(X)                                     \
    X(i86,        NOLEAF, 0, EAX, 0)  /* always there */    \
    X(i186,       NOLEAF, 0, EAX, 1)                        \
    X(i286,       NOLEAF, 0, EAX, 2)                        \
    X(i386,       NOLEAF, 0, EAX, 3)                        \
    X(i486,       NOLEAF, 0, EAX, 4)                        \
    X(cpuid,      NOLEAF, 0, EAX, 5)                        \
    X(only86,     NOLEAF, 0, EAX, 6)  /* 8086: POP CS, aliases, wrap */ \
    X(smm,        NOLEAF, 0, EAX, 7)                        \
    X(i686,       NOLEAF, 0, EAX, 8)  /* UD2/UD1, RDPMC, long NOP */ \
    X(fpu,        1, 0, EDX, 0)   X(vme,      1, 0, EDX, 1)   X(de,       1, 0, EDX, 2)  \
    X(pse,        1, 0, EDX, 3)   X(tsc,      1, 0, EDX, 4)   X(msr,      1, 0, EDX, 5)  \
    X(pae,        1, 0, EDX, 6)   X(mce,      1, 0, EDX, 7)   X(cx8,      1, 0, EDX, 8)  \
    X(apic,       1, 0, EDX, 9)   X(sep,      1, 0, EDX, 11)  X(mtrr,     1, 0, EDX, 12) \
    X(pge,        1, 0, EDX, 13)  X(mca,      1, 0, EDX, 14)  X(cmov,     1, 0, EDX, 15) \
    X(pat,        1, 0, EDX, 16)  X(pse36,    1, 0, EDX, 17)  X(clflush,  1, 0, EDX, 19) \
    X(mmx,        1, 0, EDX, 23)  X(fxsr,     1, 0, EDX, 24)  X(sse,      1, 0, EDX, 25) \
    X(sse2,       1, 0, EDX, 26)  X(ss,       1, 0, EDX, 27)  X(ht,       1, 0, EDX, 28) \
    X(sse3,       1, 0, ECX, 0)   X(pclmulqdq, 1, 0, ECX, 1)  X(monitor,  1, 0, ECX, 3)  \
    X(ssse3,      1, 0, ECX, 9)   X(fma,      1, 0, ECX, 12)  X(cx16,     1, 0, ECX, 13) \
    X(xtpr,     1, 0, ECX, 14)                              \
    X(pcid,       1, 0, ECX, 17)  X(sse4_1,   1, 0, ECX, 19)  X(sse4_2,   1, 0, ECX, 20) \
    X(x2apic,     1, 0, ECX, 21)  X(movbe,    1, 0, ECX, 22)  X(popcnt,   1, 0, ECX, 23) \
    X(tsc_deadline, 1, 0, ECX, 24) X(aes,     1, 0, ECX, 25)  X(xsave,    1, 0, ECX, 26) \
    X(avx,        1, 0, ECX, 28)  X(f16c,     1, 0, ECX, 29)  X(rdrand,   1, 0, ECX, 30) \
    X(hypervisor, 1, 0, ECX, 31)                            \
    X(fsgsbase,   7, 0, EBX, 0)   X(tsc_adjust, 7, 0, EBX, 1) X(bmi1,     7, 0, EBX, 3)  \
    X(avx2,       7, 0, EBX, 5)   X(smep,     7, 0, EBX, 7)   X(bmi2,     7, 0, EBX, 8)  \
    X(erms,       7, 0, EBX, 9)   X(invpcid,  7, 0, EBX, 10)  X(rdseed,   7, 0, EBX, 18) \
    X(fdp_excptn_only, 7, 0, EBX, 6) X(zero_fcs_fds, 7, 0, EBX, 13) \
    X(adx,        7, 0, EBX, 19)  X(smap,     7, 0, EBX, 20)  X(clflushopt, 7, 0, EBX, 23) \
    X(clwb,       7, 0, EBX, 24)  X(sha,      7, 0, EBX, 29)  X(umip,     7, 0, ECX, 2)  \
    X(rdpid,      7, 0, ECX, 22)  X(fsrm,     7, 0, EDX, 4)   X(md_clear, 7, 0, EDX, 10) \
    X(spec_ctrl,  7, 0, EDX, 26)  X(arch_capabilities, 7, 0, EDX, 29) \
    X(ssbd,       7, 0, EDX, 31)  X(bhi_ctrl, 7, 2, EDX, 4) \
    X(xsaveopt,   0xd, 1, EAX, 0) X(xsavec,   0xd, 1, EAX, 1) X(xgetbv1,  0xd, 1, EAX, 2) \
    X(xsaves,     0xd, 1, EAX, 3)                           \
    X(lahf_lm,    0x80000001, 0, ECX, 0)  X(abm,      0x80000001, 0, ECX, 5)  \
    X(prefetchw,  0x80000001, 0, ECX, 8)  X(syscall,  0x80000001, 0, EDX, 11) \
    X(nx,         0x80000001, 0, EDX, 20) X(pdpe1gb,  0x80000001, 0, EDX, 26) \
    X(rdtscp,     0x80000001, 0, EDX, 27) X(lm,       0x80000001, 0, EDX, 29) \
    X(invtsc,     0x80000007, 0, EDX, 8)
// clang-format on

enum feature {
#define X(name, leaf, sub, reg, bit) FEAT_##name,
    CPU_FEATURES(X)
#undef X
        FEAT_COUNT
};

#define FEAT_WORDS ((FEAT_COUNT + 63) / 64)

static inline bool feature_in(const uint64_t *set, enum feature f)
{
    return set[f / 64] >> (f % 64) & 1;
}

static inline void feature_add(uint64_t *set, enum feature f)
{
    set[f / 64] |= UINT64_C(1) << (f % 64);
}

#endif
