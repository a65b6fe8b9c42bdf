/*
 * Saving and restoring x87, SSE and AVX state: FXSAVE, XSAVE and their family, MXCSR, XCR0; fences
 * and cache-line instructions.
 *
 * The image is built in a buffer, then the parts of it that the instruction writes are probed, then
 * written; a restore reads everything first. So a fault leaves memory and registers as they were.
 *
 * State components are x87 (0), SSE (1) and AVX (2); no supervisor components, so IA32_XSS is zero
 * and XSAVES does what XSAVEC does. Both formats put AVX at byte 576. XSAVEOPT and XSAVES use the
 * init optimization and not the modified one (both are allowed; this one is simple to repeat).
 * FIP, FDP and FOP are saved always, as Intel does (AMD: only with an exception pending).
 *
 * Sources: SDM 1 10.5 (FXSAVE), 13.4 to 13.13 (XSAVE); SDM 2 the instructions' pages.
 */
#include "cpu/sem.h"
#include "cpu/vec.h"

#define X_XMM     160u
#define X_HEADER  512u
#define X_AVX     576u
#define X_SIZE    832u
#define X_COMPACT (UINT64_C(1) << 63)

#define FCW_RESET 0x37fu
#define FCW_BITS  0x1f3fu
#define FCW_FIXED 0x40u

/* ---- x87 and XMM parts of the legacy region ---- */
static void put_x87(const struct cpu *cpu, uint8_t *p, bool wide)
{
    const struct x87 *f = &cpu->s.fpu[0];
    bool zero_sel = cpu_has(cpu, FEAT_zero_fcs_fds);
    memset(p, 0, 24);
    memset(p + 32, 0, 128);
    le16_put(p, f->cw);
    le16_put(p + 2, f->sw);
    p[4] = (uint8_t)~f->empty;
    le16_put(p + 6, f->op);
    if (wide) {
        le64_put(p + 8, f->ip);
        le64_put(p + 16, f->dp);
    } else {
        le32_put(p + 8, (uint32_t)f->ip);
        le16_put(p + 12, zero_sel ? 0 : f->cs);
        le32_put(p + 16, (uint32_t)f->dp);
        le16_put(p + 20, zero_sel ? 0 : f->ds);
    }
    for (unsigned k = 0; k < 8; k++) {
        unsigned r = x87_reg(f, k);
        le64_put(p + 32 + 16 * k, f->m[r]);
        le16_put(p + 40 + 16 * k, f->se[r]);
    }
}

static void get_x87(struct cpu *cpu, const uint8_t *p, bool wide)
{
    struct x87 *f = &cpu->s.fpu[0];
    bool zero_sel = wide || cpu_has(cpu, FEAT_zero_fcs_fds);
    f->cw = (uint16_t)((le16_get(p) & FCW_BITS) | FCW_FIXED);
    f->sw = le16_get(p + 2);
    f->empty = (uint8_t)~p[4];
    f->op = le16_get(p + 6) & 0x7ff;
    f->ip = wide ? le64_get(p + 8) : le32_get(p + 8);
    f->dp = wide ? le64_get(p + 16) : le32_get(p + 16);
    f->cs = zero_sel ? 0 : le16_get(p + 12);
    f->ds = zero_sel ? 0 : le16_get(p + 20);
    for (unsigned k = 0; k < 8; k++) {
        unsigned r = x87_reg(f, k);
        f->m[r] = le64_get(p + 32 + 16 * k);
        f->se[r] = le16_get(p + 40 + 16 * k);
    }
    x87_update_es(cpu); /* ES and B follow from the flags and masks */
}

static void init_x87(struct cpu *cpu)
{
    struct x87 *f = &cpu->s.fpu[0];
    memset(f, 0, sizeof *f);
    f->cw = FCW_RESET;
    f->empty = 0xff;
    x87_update_es(cpu);
}

static bool x87_in_use(const struct cpu *cpu)
{
    const struct x87 *f = &cpu->s.fpu[0];
    uint64_t any = 0;
    for (unsigned k = 0; k < 8; k++) {
        any |= f->m[k] | f->se[k];
    }
    return f->cw != FCW_RESET || f->sw || f->empty != 0xff || f->op || f->ip || f->dp || f->cs ||
           f->ds || any;
}

/* Registers that exist in this mode: 8 or 16. */
static unsigned reg_count(const struct cpu *cpu)
{
    return cpu_code64(cpu) ? 16 : 8;
}

/* Half of a YMM register: words `at` and `at` + 1. */
static void put_half(const struct cpu *cpu, uint8_t *p, unsigned at)
{
    for (unsigned r = 0; r < reg_count(cpu); r++) {
        le64_put(p + 16 * r, cpu->s.ymm[4 * r + at]);
        le64_put(p + 16 * r + 8, cpu->s.ymm[4 * r + at + 1]);
    }
}

/* p NULL: zeros. */
static void get_half(struct cpu *cpu, const uint8_t *p, unsigned at)
{
    for (unsigned r = 0; r < reg_count(cpu); r++) {
        cpu->s.ymm[4 * r + at] = p ? le64_get(p + 16 * r) : 0;
        cpu->s.ymm[4 * r + at + 1] = p ? le64_get(p + 16 * r + 8) : 0;
    }
}

static bool half_in_use(const struct cpu *cpu, unsigned at)
{
    uint64_t any = 0;
    for (unsigned r = 0; r < 16; r++) {
        any |= cpu->s.ymm[4 * r + at] | cpu->s.ymm[4 * r + at + 1];
    }
    return any != 0;
}

static void put_mxcsr(const struct cpu *cpu, uint8_t *p)
{
    le32_put(p + 24, cpu->s.mxcsr);
    le32_put(p + 28, MXCSR_VALID);
}

/* ---- an image and the parts of it to write ---- */
struct image {
    uint8_t b[X_SIZE];
    unsigned n;
    struct {
        uint16_t off, len;
    } part[8];
};

static void add_part(struct image *m, unsigned off, unsigned len)
{
    m->part[m->n].off = (uint16_t)off;
    m->part[m->n].len = (uint16_t)len;
    m->n++;
}

static void write_image(struct cpu *cpu, const struct insn *i, gva la, const struct image *m)
{
    for (unsigned k = 0; k < m->n; k++) {
        mem_probe(cpu, i->seg, la + m->part[k].off, m->part[k].len, ACC_WRITE, cpu->view);
    }
    for (unsigned k = 0; k < m->n; k++) {
        mem_wr_buf(cpu, i->seg, la + m->part[k].off, m->b + m->part[k].off, m->part[k].len,
                   cpu->view);
    }
}

static gva area(struct cpu *cpu, const struct insn *i, unsigned size, enum mem_access acc)
{
    gva la = insn_la(cpu, i, size, acc);
    if (la & 63) {
        cpu_gp0(cpu);
    }
    return la;
}

/* ---- FXSAVE, FXRSTOR ---- */
/* With alignment checks on, processors may report #AC for some misalignments here (SDM 2A FXSAVE);
 * as AMD's do, one that is not a multiple of 4. */
static gva fx_area(struct cpu *cpu, const struct insn *i, enum mem_access acc)
{
    gva la = insn_la(cpu, i, 512, acc);
    if (la & 3) {
        mem_check_align(cpu, i->seg, la, 512);
    }
    if (la & 15) {
        cpu_gp0(cpu);
    }
    return la;
}

static void fx_check(struct cpu *cpu)
{
    if (cpu->s.cr0 & (CR0_EM | CR0_TS)) {
        cpu_raise(cpu, EXC_NM);
    }
}

SEM(fxsave)
{
    struct image m = {.n = 0};
    fx_check(cpu);
    gva la = fx_area(cpu, i, ACC_WRITE);
    put_x87(cpu, m.b, i->pfx & PFX_W);
    add_part(&m, 0, 24);
    add_part(&m, 32, 128);
    if (cpu->s.cr4 & CR4_OSFXSR) {
        put_mxcsr(cpu, m.b);
        put_half(cpu, m.b + X_XMM, 0);
        add_part(&m, 24, 8);
        add_part(&m, X_XMM, 16 * reg_count(cpu));
    }
    write_image(cpu, i, la, &m);
}

SEM(fxrstor)
{
    uint8_t b[512];
    fx_check(cpu);
    gva la = fx_area(cpu, i, ACC_READ);
    mem_rd_buf(cpu, i->seg, la, b, sizeof b, cpu->view);
    if (le32_get(b + 24) & ~MXCSR_VALID) {
        cpu_gp0(cpu);
    }
    get_x87(cpu, b, i->pfx & PFX_W);
    if (cpu->s.cr4 & CR4_OSFXSR) {
        cpu->s.mxcsr = le32_get(b + 24);
        get_half(cpu, b + X_XMM, 0);
    }
}

/* ---- XSAVE and its relatives ---- */
static void xsave_check(struct cpu *cpu)
{
    if (!(cpu->s.cr4 & CR4_OSXSAVE)) {
        cpu_ud(cpu);
    }
    if (cpu->s.cr0 & CR0_TS) {
        cpu_raise(cpu, EXC_NM);
    }
}

static uint64_t requested(const struct cpu *cpu)
{
    uint64_t mask = cpu->s.gpr[REG_RDX] << 32 | (uint32_t)cpu->s.gpr[REG_RAX];
    return mask & cpu->s.xcr0;
}

static uint64_t in_use(const struct cpu *cpu)
{
    return (x87_in_use(cpu) ? XCR0_X87 : 0) | (half_in_use(cpu, 0) ? XCR0_SSE : 0) |
           (half_in_use(cpu, 2) ? XCR0_AVX : 0);
}

/* Fill in and list the components of `save`; mxcsr: MXCSR and its mask too. */
static void put_components(const struct cpu *cpu, const struct insn *i, struct image *m,
                           uint64_t save, bool mxcsr)
{
    if (save & XCR0_X87) {
        put_x87(cpu, m->b, i->pfx & PFX_W);
        add_part(m, 0, 24);
        add_part(m, 32, 128);
    }
    if (mxcsr) {
        put_mxcsr(cpu, m->b);
        add_part(m, 24, 8);
    }
    if (save & XCR0_SSE) {
        put_half(cpu, m->b + X_XMM, 0);
        add_part(m, X_XMM, 16 * reg_count(cpu));
    }
    if (save & XCR0_AVX) {
        put_half(cpu, m->b + X_AVX, 2);
        add_part(m, X_AVX, 16 * reg_count(cpu));
    }
}

static unsigned area_size(uint64_t components)
{
    return components & XCR0_AVX ? X_SIZE : X_AVX;
}

/* XSAVE saves what is asked for; XSAVEOPT leaves out what is in its initial state. */
static void xsave_standard(struct cpu *cpu, const struct insn *i, bool optimize)
{
    struct image m = {.n = 0};
    xsave_check(cpu);
    uint64_t rfbm = requested(cpu), used = in_use(cpu);
    gva la = area(cpu, i, area_size(rfbm), ACC_WRITE);
    uint64_t old = mem_rd_rmw(cpu, i->seg, la + X_HEADER, 8);
    put_components(cpu, i, &m, optimize ? rfbm & used : rfbm, rfbm & (XCR0_SSE | XCR0_AVX));
    le64_put(m.b + X_HEADER, (old & ~rfbm) | (used & rfbm));
    add_part(&m, X_HEADER, 8);
    write_image(cpu, i, la, &m);
}

static void xsave_compact(struct cpu *cpu, const struct insn *i)
{
    struct image m = {.n = 0};
    uint64_t rfbm = requested(cpu), save = rfbm & in_use(cpu);
    if (cpu->s.mxcsr != MXCSR_RESET) {
        save |= rfbm & XCR0_SSE;
    }
    gva la = area(cpu, i, area_size(rfbm), ACC_WRITE);
    put_components(cpu, i, &m, save, save & XCR0_SSE);
    le64_put(m.b + X_HEADER, save);
    le64_put(m.b + X_HEADER + 8, rfbm | X_COMPACT);
    add_part(&m, X_HEADER, 16);
    write_image(cpu, i, la, &m);
}

SEM(xsave)
{
    xsave_standard(cpu, i, false);
}

SEM(xsaveopt)
{
    xsave_standard(cpu, i, true);
}

SEM(xsavec)
{
    xsave_check(cpu);
    xsave_compact(cpu, i);
}

SEM(xsaves)
{
    xsave_check(cpu);
    if (cpu->s.cpl) {
        cpu_gp0(cpu);
    }
    xsave_compact(cpu, i);
}

/* The header's rules (SDM 1 13.8.1, 13.12). */
static void check_header(struct cpu *cpu, const uint8_t *h, bool supervisor)
{
    uint64_t bv = le64_get(h), comp = le64_get(h + 8), rest = 0;
    bool bad;
    for (unsigned k = 16; k < 64; k += 8) {
        rest |= comp & X_COMPACT || k < 24 ? le64_get(h + k) : 0;
    }
    if (comp & X_COMPACT) {
        bad = (comp & ~(cpu->s.xcr0 | X_COMPACT)) || (bv & ~comp);
    } else {
        bad = supervisor || comp || (bv & ~cpu->s.xcr0);
    }
    if (bad || rest) {
        cpu_gp0(cpu);
    }
}

static void xrstor_common(struct cpu *cpu, const struct insn *i, bool supervisor)
{
    uint8_t b[X_SIZE];
    uint64_t rfbm = requested(cpu);
    gva la = area(cpu, i, area_size(rfbm), ACC_READ);
    mem_rd_buf(cpu, i->seg, la, b, X_AVX, cpu->view);
    check_header(cpu, b + X_HEADER, supervisor);
    uint64_t bv = le64_get(b + X_HEADER);
    bool compact = le64_get(b + X_HEADER + 8) & X_COMPACT;
    uint64_t load = rfbm & bv, init = rfbm & ~bv;
    if (load & XCR0_AVX) {
        mem_rd_buf(cpu, i->seg, la + X_AVX, b + X_AVX, 16 * reg_count(cpu), cpu->view);
    }
    bool mxcsr = compact ? load & XCR0_SSE : rfbm & (XCR0_SSE | XCR0_AVX);
    if (mxcsr && (le32_get(b + 24) & ~MXCSR_VALID)) {
        cpu_gp0(cpu);
    }
    if (load & XCR0_X87) {
        get_x87(cpu, b, i->pfx & PFX_W);
    } else if (init & XCR0_X87) {
        init_x87(cpu);
    }
    if (mxcsr) {
        cpu->s.mxcsr = le32_get(b + 24);
    } else if (compact && (init & XCR0_SSE)) {
        cpu->s.mxcsr = MXCSR_RESET;
    }
    if (rfbm & XCR0_SSE) {
        get_half(cpu, load & XCR0_SSE ? b + X_XMM : NULL, 0);
    }
    if (rfbm & XCR0_AVX) {
        get_half(cpu, load & XCR0_AVX ? b + X_AVX : NULL, 2);
    }
}

SEM(xrstor)
{
    xsave_check(cpu);
    xrstor_common(cpu, i, false);
}

SEM(xrstors)
{
    xsave_check(cpu);
    if (cpu->s.cpl) {
        cpu_gp0(cpu);
    }
    xrstor_common(cpu, i, true);
}

/* ---- XCR0 ---- */
SEM(xgetbv)
{
    uint32_t n = (uint32_t)cpu->s.gpr[REG_RCX];
    (void)i;
    if (!(cpu->s.cr4 & CR4_OSXSAVE)) {
        cpu_ud(cpu);
    }
    if (n > 1 || (n == 1 && !cpu_has(cpu, FEAT_xgetbv1))) {
        cpu_gp0(cpu);
    }
    uint64_t v = n ? cpu->s.xcr0 & in_use(cpu) : cpu->s.xcr0;
    cpu->s.gpr[REG_RAX] = (uint32_t)v;
    cpu->s.gpr[REG_RDX] = v >> 32;
}

SEM(xsetbv)
{
    uint64_t v = cpu->s.gpr[REG_RDX] << 32 | (uint32_t)cpu->s.gpr[REG_RAX];
    uint64_t may = XCR0_X87 | XCR0_SSE | (cpu_has(cpu, FEAT_avx) ? XCR0_AVX : 0);
    (void)i;
    if (!(cpu->s.cr4 & CR4_OSXSAVE)) {
        cpu_ud(cpu);
    }
    if (cpu->s.cpl || (uint32_t)cpu->s.gpr[REG_RCX] || !(v & XCR0_X87) || (v & ~may) ||
        ((v & XCR0_AVX) && !(v & XCR0_SSE))) {
        cpu_gp0(cpu);
    }
    cpu->s.xcr0 = v;
}

/* ---- MXCSR; VEX forms too ---- */
SEM(ldmxcsr)
{
    vec_check(cpu, i);
    uint32_t v = (uint32_t)vec_rd64(cpu, i, 4);
    if (v & ~MXCSR_VALID) {
        cpu_gp0(cpu);
    }
    cpu->s.mxcsr = v;
}

SEM(stmxcsr)
{
    vec_check(cpu, i);
    mem_wr(cpu, i->seg, insn_la(cpu, i, 4, ACC_WRITE), 4, cpu->s.mxcsr);
}

/* ---- LFENCE, SFENCE, MFENCE: one thread runs all vCPUs, so memory is always in order ---- */
SEM(fence)
{
    (void)cpu;
    (void)i;
}

/* ---- CLFLUSH, CLFLUSHOPT, CLWB: no caches to write back, but faults like a byte load ---- */
SEM(clflush)
{
    gva la = insn_la(cpu, i, 1, ACC_READ);
    mem_probe(cpu, i->seg, la, 1, ACC_READ, cpu->view);
}
