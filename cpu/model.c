/*
 * CPU models and CPUID.
 *
 * Each model is one row that adds features to an older one. What a leaf shows is computed from the
 * model's features, its signature and the machine's topology (one socket, one thread a core), never
 * from the host. Sources: SDM 2A CPUID; signatures of the real parts from Intel's specification
 * updates. The default model, doppel64, is x86-64-v3 with the cryptographic extensions; it carries
 * the signature of a 12th-generation Core part (no AVX-512), and the hypervisor bit, so that guests
 * do not look for microcode updates. The PMU is absent: leaf 0xa is all zero.
 */
#include "cpu/model.h"

#include <stdio.h>
#include <string.h>

#include "cpu/cpu.h"
#include "cpu/sys.h"
#include "util/suggest.h"

#define BRAND "doppel virtual CPU"

// clang-format off
const struct cpu_model cpu_models[] = {
    {"doppel64", "x86-64-v3 with AES, PCLMUL, SHA and RDRAND (default)", 0x000806f8, 0x16,
     0x80000008, 40, 48, BRAND, "nehalem",
     "x2apic pcid pclmulqdq aes fma movbe tsc_deadline xsave avx f16c rdrand hypervisor fsgsbase "
     "tsc_adjust bmi1 avx2 smep bmi2 erms invpcid rdseed fdp_excptn_only zero_fcs_fds adx smap "
     "clflushopt clwb sha umip rdpid fsrm md_clear spec_ctrl ssbd arch_capabilities bhi_ctrl "
     "xsaveopt xsavec xgetbv1 xsaves abm prefetchw pdpe1gb invtsc"},
    {"nehalem", "Core i7 of 2008: SSE4.2", 0x000106a5, 0xb, 0x80000008, 40, 48,
     "Intel(R) Core(TM) i7 CPU 920 (doppel)", "core2", "sse4_1 sse4_2 popcnt rdtscp"},
    {"core2", "Core 2 Duo: 64-bit, SSSE3", 0x000006fb, 0xa, 0x80000008, 36, 48,
     "Intel(R) Core(TM)2 Duo CPU T7700 (doppel)", "pentium3",
     "clflush sse2 ss sse3 monitor ssse3 cx16 xtpr syscall nx lm lahf_lm pse36"},
    {"pentium3", "Pentium III: PAE, SSE", 0x00000683, 0x3, 0, 36, 32, NULL, "pentium",
     "i686 pae sep mtrr pge mca cmov pat pse36 fxsr sse"},
    {"pentium", "Pentium MMX", 0x00000543, 0x1, 0, 32, 32, NULL, "486",
     "de pse tsc msr mce cx8 apic mmx"},
    {"486", "486 DX4", 0x00000480, 0x1, 0, 32, 32, NULL, "386", "i486 cpuid smm fpu vme"},
    {"386", "386 DX", 0x00000308, 0, 0, 32, 32, NULL, "286", "i386"},
    {"286", "80286", 0, 0, 0, 24, 24, NULL, NULL, "i86 i186 i286"},
    {"8086", "8086: 1 MiB, real mode only", 0, 0, 0, 20, 20, NULL, NULL, "i86 only86"},
    {0},
};

static const struct {
    const char *name;
    uint32_t leaf, sub;
    uint8_t reg, bit;
} features[FEAT_COUNT] = {
#define X(name, leaf, sub, reg, bit) {#name, leaf, sub, CPUID_##reg, bit},
    CPU_FEATURES(X)
#undef X
};
// clang-format on

/* ---- names ---- */

enum feature feature_find(const char *name, size_t len)
{
    unsigned f = 0;
    while (f < FEAT_COUNT &&
           (strlen(features[f].name) != len || memcmp(features[f].name, name, len) != 0)) {
        f++;
    }
    return (enum feature)f;
}

const char *feature_name(enum feature f)
{
    return features[f].name;
}

static const struct cpu_model *model_find(const char *name, size_t len)
{
    for (const struct cpu_model *m = cpu_models; m->name; m++) {
        if (strlen(m->name) == len && memcmp(m->name, name, len) == 0) {
            return m;
        }
    }
    return NULL;
}

void cpu_model_features(const struct cpu_model *m, uint64_t set[FEAT_WORDS])
{
    memset(set, 0, FEAT_WORDS * sizeof set[0]);
    if (m->base) {
        cpu_model_features(model_find(m->base, strlen(m->base)), set);
    }
    for (const char *p = m->adds; *p;) {
        size_t len = strcspn(p, " ");
        feature_add(set, feature_find(p, len));
        p += len;
        p += strspn(p, " ");
    }
}

/* ---- -cpu text ---- */

static void set_bit(uint64_t *set, enum feature f, bool on)
{
    uint64_t bit = UINT64_C(1) << (f % 64);
    set[f / 64] = on ? set[f / 64] | bit : set[f / 64] & ~bit;
}

static const char *model_name_at(void *ctx, unsigned i)
{
    (void)ctx;
    return cpu_models[i].name; /* the last one is NULL */
}

static const char *feature_name_at(void *ctx, unsigned i)
{
    (void)ctx;
    return i < FEAT_COUNT ? features[i].name : NULL;
}

/* One item behind the model's name: +f, -f, f=on, f=off. */
static bool parse_item(const char *item, size_t len, uint64_t *set, struct err *e)
{
    bool on = *item != '-';
    const char *name = item + (*item == '+' || *item == '-');
    size_t n = (size_t)(item + len - name);
    const char *eq = memchr(name, '=', n);
    if (eq) {
        size_t vlen = n - (size_t)(eq - name) - 1;
        bool is_on = vlen == 2 && memcmp(eq + 1, "on", 2) == 0;
        bool is_off = vlen == 3 && memcmp(eq + 1, "off", 3) == 0;
        if (!is_on && !is_off) {
            return err_usage(e, "-cpu: \"%.*s\": want FEATURE=on or FEATURE=off", (int)len, item);
        }
        on = is_on;
        n = (size_t)(eq - name);
    }
    enum feature f = feature_find(name, n);
    if (f == FEAT_COUNT) {
        char text[64];
        snprintf(text, sizeof text, "%.*s", (int)n, name);
        return err_usage(e, "-cpu: unknown feature \"%s\" (did you mean \"%s\"?)", text,
                         suggest_nearest(text, feature_name_at, NULL));
    }
    set_bit(set, f, on);
    return true;
}

const struct cpu_model *cpu_model_parse(const char *text, uint64_t set[FEAT_WORDS], struct err *e)
{
    size_t len = strcspn(text, ",");
    bool newest = len == 3 && memcmp(text, "max", 3) == 0;
    const struct cpu_model *m = newest ? &cpu_models[0] : model_find(text, len);
    if (!m) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)len, text);
        err_usage(e, "-cpu: unknown model \"%s\" (did you mean \"%s\"?)", name,
                  suggest_nearest(name, model_name_at, NULL));
        return NULL;
    }
    cpu_model_features(m, set);
    for (const char *p = text + len; *p; p += len) {
        p++;
        len = strcspn(p, ",");
        if (!parse_item(p, len, set, e)) {
            return NULL;
        }
    }
    return m;
}

/* ---- CPUID ---- */

/* Every feature bit that the leaf's register shows. */
static void feature_bits(const struct cpu *cpu, uint32_t leaf, uint32_t sub, uint32_t out[4])
{
    for (unsigned f = 0; f < FEAT_COUNT; f++) {
        if (features[f].leaf == leaf && features[f].sub == sub && cpu_has(cpu, (enum feature)f)) {
            out[features[f].reg] |= 1u << features[f].bit;
        }
    }
}

static void text_regs(uint32_t out[4], const char *text, unsigned at)
{
    char buf[48] = {0};
    snprintf(buf, sizeof buf, "%s", text ? text : "");
    for (unsigned k = 0; k < 4; k++) {
        out[k] = le32_get(buf + at + 4 * k);
    }
}

static void leaf_1(const struct cpu *cpu, uint32_t out[4])
{
    out[CPUID_EAX] = cpu->model->signature;
    out[CPUID_EBX] = cpu->index << 24 | cpu->cpus << 16;
    out[CPUID_EBX] |= cpu_has(cpu, FEAT_clflush) ? 8u << 8 : 0;
    feature_bits(cpu, 1, 0, out);
    uint64_t base;
    if (cpu->intc && cpu->intc->msr_read && cpu->intc->msr_read(cpu->intc_ctx, 0x1b, &base) &&
        !(base >> 11 & 1)) {
        out[CPUID_EDX] &= ~(1u << 9); /* the local APIC is switched off (SDM 3A 11.4.3) */
    }
    if (!(cpu->s.msr[0].misc_enable & MISC_MONITOR)) {
        out[CPUID_ECX] &= ~(1u << 3);
    }
    if (cpu->cpus > 1) {
        out[CPUID_EDX] |= 1u << 28; /* HTT: more than one logical processor in the package */
    }
    if (cpu->s.cr4 & CR4_OSXSAVE) {
        out[CPUID_ECX] |= 1u << 27;
    }
}

/* Deterministic cache parameters: 32 KiB L1D and L1I (8 ways), 1 MiB L2 (16), 16 MiB L3 (16). */
static void leaf_4(const struct cpu *cpu, uint32_t sub, uint32_t out[4])
{
    static const struct {
        uint8_t type, level, ways;
        uint16_t sets;
        bool shared;
    } cache[4] = {{1, 1, 8, 64, false},
                  {2, 1, 8, 64, false},
                  {3, 2, 16, 1024, false},
                  {3, 3, 16, 16384, true}};
    if (sub < 4) {
        uint32_t cores = cpu->cpus - 1;
        out[CPUID_EAX] = cache[sub].type | (uint32_t)cache[sub].level << 5 | 1u << 8 |
                         (cache[sub].shared ? cores << 14 : 0) | cores << 26;
        out[CPUID_EBX] = (cache[sub].ways - 1u) << 22 | 63;
        out[CPUID_ECX] = cache[sub].sets - 1u;
    }
}

/* Extended topology: one thread a core, all cores in one package. */
static void leaf_b(const struct cpu *cpu, uint32_t sub, uint32_t out[4])
{
    unsigned shift = 0;
    while ((1u << shift) < cpu->cpus) {
        shift++;
    }
    out[CPUID_ECX] = sub & 0xff;
    out[CPUID_EDX] = cpu->index;
    if (sub == 0) {
        out[CPUID_EBX] = 1;
        out[CPUID_ECX] |= 1u << 8; /* SMT level, 0 bits */
    } else if (sub == 1) {
        out[CPUID_EAX] = shift;
        out[CPUID_EBX] = cpu->cpus;
        out[CPUID_ECX] |= 2u << 8; /* core level */
    }
}

/* XSAVE: legacy area and header 576 bytes, AVX 256 bytes behind it (SDM 1 13.4). */
static void leaf_d(const struct cpu *cpu, uint32_t sub, uint32_t out[4])
{
    bool avx = cpu_has(cpu, FEAT_avx);
    uint32_t all = 576u + (avx ? 256u : 0);
    if (!cpu_has(cpu, FEAT_xsave)) {
        return;
    }
    if (sub == 0) {
        out[CPUID_EAX] = avx ? 7 : 3;
        out[CPUID_EBX] = cpu->s.xcr0 & 4 ? 832 : 576;
        out[CPUID_ECX] = all;
    } else if (sub == 1) {
        feature_bits(cpu, 0xd, 1, out);
        out[CPUID_EBX] = cpu->s.xcr0 & 4 ? 832 : 576;
    } else if (sub == 2 && avx) {
        out[CPUID_EAX] = 256;
        out[CPUID_EBX] = 576;
    }
}

/* The highest basic leaf; IA32_MISC_ENABLE can lower it to 2, for systems that know no more. */
static uint32_t max_basic(const struct cpu *cpu)
{
    uint32_t max = cpu->model->max_basic;
    return max > 2 && (cpu->s.msr[0].misc_enable & MISC_LIMIT_CPUID) ? 2 : max;
}

static void leaf_basic(const struct cpu *cpu, uint32_t leaf, uint32_t sub, uint32_t out[4])
{
    switch (leaf) {
    case 0:
        out[CPUID_EAX] = max_basic(cpu);
        out[CPUID_EBX] = 0x756e6547; /* "GenuineIntel" */
        out[CPUID_EDX] = 0x49656e69;
        out[CPUID_ECX] = 0x6c65746e;
        break;
    case 1:
        leaf_1(cpu, out);
        break;
    case 2: /* descriptors: one report; no detail but leaf 4's */
        out[CPUID_EAX] = 0x00feff01;
        out[CPUID_EDX] = cpu->model->max_basic >= 4 ? 0xff : 0;
        break;
    case 4:
        leaf_4(cpu, sub, out);
        break;
    case 5: /* 64-byte monitor line, no sub-states: guests idle by HLT */
        if (cpu_has(cpu, FEAT_monitor)) {
            out[CPUID_EAX] = out[CPUID_EBX] = 64;
            out[CPUID_ECX] = 3;
        }
        break;
    case 6:
        out[CPUID_EAX] = 4; /* ARAT: the APIC timer never stops */
        break;
    case 7:
        feature_bits(cpu, 7, sub, out);
        if (sub == 0) {
            out[CPUID_EAX] = cpu_has(cpu, FEAT_bhi_ctrl) ? 2 : 0; /* the last subleaf */
        }
        break;
    case 0xb:
        leaf_b(cpu, sub, out);
        break;
    case 0xd:
        leaf_d(cpu, sub, out);
        break;
    case 0x15: /* TSC = crystal * EBX / EAX: 1 GHz */
        out[CPUID_EAX] = 1;
        out[CPUID_EBX] = 40;
        out[CPUID_ECX] = 25000000;
        break;
    case 0x16:
        out[CPUID_EAX] = out[CPUID_EBX] = 1000;
        out[CPUID_ECX] = 100;
        break;
    default: /* 3, 8, 9, 0xa (no PMU) and the reserved ones */
        break;
    }
}

static void leaf_extended(const struct cpu *cpu, uint32_t leaf, uint32_t out[4])
{
    switch (leaf) {
    case 0x80000000:
        out[CPUID_EAX] = cpu->model->max_ext;
        break;
    case 0x80000002:
    case 0x80000003:
    case 0x80000004:
        text_regs(out, cpu->model->brand, 16 * (leaf - 0x80000002));
        break;
    case 0x80000006:
        out[CPUID_ECX] = 1024u << 16 | 6u << 12 | 64; /* L2: 1 MiB, 8 ways or more, 64-byte lines */
        break;
    case 0x80000008:
        out[CPUID_EAX] = cpu->model->phys_bits | (uint32_t)cpu->model->lin_bits << 8;
        break;
    default:
        feature_bits(cpu, leaf, 0, out);
        if (leaf == 0x80000001 && !cpu_code64(cpu)) {
            out[CPUID_EDX] &= ~(1u << 11); /* Intel: SYSCALL shows in 64-bit mode only */
        }
        if (leaf == 0x80000001 && !cpu_nx_allowed(cpu)) {
            out[CPUID_EDX] &= ~(1u << 20);
        }
        break;
    }
}

void cpuid_query(const struct cpu *cpu, uint32_t leaf, uint32_t sub, uint32_t out[4])
{
    memset(out, 0, 4 * sizeof out[0]);
    if (leaf >= 0x80000000u) {
        if (leaf <= cpu->model->max_ext) {
            leaf_extended(cpu, leaf, out);
            return;
        }
    } else if (leaf <= max_basic(cpu)) {
        leaf_basic(cpu, leaf, sub, out);
        return;
    }
    /* Beyond the highest leaf Intel CPUs answer as the highest basic one (SDM 2A CPUID). */
    if (cpu->model->max_basic) {
        leaf_basic(cpu, max_basic(cpu), sub, out);
    }
}
