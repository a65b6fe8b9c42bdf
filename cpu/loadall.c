/*
 * LOADALL of the 80286 (0F 05) and of the 80386 (0F 07), and the test registers of 386 and 486.
 *
 * LOADALL loads every register at once, the hidden parts of segment registers too, and checks
 * nothing: HIMEM.SYS and OS/2 of their time reach memory above 1 MiB in real mode by it. The 286
 * reads 102 bytes at physical address 800H, the 386 204 bytes at ES:EDI. PE cannot be cleared by
 * the 286's. The present bit of a hidden part says that it may be used; CPL is the DPL of SS.
 *
 * Test registers: TR3 to TR5 test the 486's cache, TR6 and TR7 the TLB. They hold what is written;
 * a look-up by TR6 always misses, as it may in a TLB, and writes no translation. Later processors
 * have neither LOADALL nor test registers (#UD).
 *
 * Sources: Intel, "Undocumented iAPX 286 Test Instruction" (the 286's table); R. Brown's interrupt
 * list, OPCODES.LST (both tables); Intel386 DX data sheet 231630, 2.9 (test registers); Intel486
 * data sheet 240440, 11.
 */
#include "cpu/desc.h"
#include "cpu/flags.h"
#include "cpu/mem.h"
#include "cpu/sem.h"

#define TR6_LOOKUP 1u        /* C: 1 look-up, 0 write */
#define TR7_HIT    (1u << 4) /* PL */

/* --- LOADALL ----------------------------------------------------------------------------------*/

static void check_cpl0(struct cpu *cpu)
{
    if (cpu->s.cpl != 0) {
        cpu_gp0(cpu);
    }
}

/* One hidden part; system registers that may not be used are null here. */
static void set_cache(struct cpu *cpu, unsigned seg, uint16_t sel, uint32_t base, uint32_t limit,
                      unsigned attr)
{
    bool unusable = seg >= SEG_LDTR && !(attr & SEG_A_P);
    cpu->s.seg[seg] = (struct seg){
        .base = base,
        .limit = limit,
        .sel = sel,
        .attr = (uint16_t)(attr | (unusable ? SEG_A_NULL : 0)),
    };
}

/* What follows from it all. */
static void loaded(struct cpu *cpu)
{
    struct cpu_state *s = &cpu->s;
    bool v86 = (s->cr0 & CR0_PE) && (s->rflags & FL_VM);
    s->cpl = v86 ? 3 : s->cr0 & CR0_PE ? s->seg[SEG_SS].attr >> 5 & 3 : 0;
    s->shadow = s->shadow_ss = false;
    tlb_flush_all(&cpu->tlb);
    cpu_restored(cpu);
}

/* 16-bit registers and six-byte hidden parts by their offset from 800H. */
static const struct {
    uint8_t at, reg;
} gpr286[] = {
    {0x26, REG_RDI}, {0x28, REG_RSI}, {0x2a, REG_RBP}, {0x2c, REG_RSP},
    {0x2e, REG_RBX}, {0x30, REG_RDX}, {0x32, REG_RCX}, {0x34, REG_RAX},
};
static const struct {
    uint8_t sel, cache, seg;
} seg286[] = {
    {0x24, 0x36, SEG_ES}, {0x22, 0x3c, SEG_CS},   {0x20, 0x42, SEG_SS},
    {0x1e, 0x48, SEG_DS}, {0x1c, 0x54, SEG_LDTR}, {0x16, 0x60, SEG_TR},
};

static uint32_t base286(const uint8_t *p)
{
    return le32_get(p) & 0xffffff;
}

SEM_END(loadall286)
{
    struct cpu_state *s = &cpu->s;
    uint8_t b[0x66];
    (void)i;
    if (cpu_has(cpu, FEAT_i386)) {
        cpu_ud(cpu);
    }
    check_cpl0(cpu);
    aspace_read_buf(cpu->mem, 0x800, b, sizeof b);
    s->cr0 = (s->cr0 & CR0_PE) | (le16_get(b + 6) & 0xfu);
    s->rflags = (le16_get(b + 0x18) & 0x7fd5u) | FL_1;
    s->rip = le16_get(b + 0x1a);
    for (unsigned k = 0; k < ARRAY_LEN(gpr286); k++) {
        s->gpr[gpr286[k].reg] = le16_get(b + gpr286[k].at);
    }
    for (unsigned k = 0; k < ARRAY_LEN(seg286); k++) {
        const uint8_t *p = b + seg286[k].cache;
        set_cache(cpu, seg286[k].seg, le16_get(b + seg286[k].sel), base286(p), le16_get(p + 4),
                  p[3]);
    }
    s->gdt_base = base286(b + 0x4e);
    s->gdt_limit = le16_get(b + 0x52);
    s->idt_base = base286(b + 0x5a);
    s->idt_limit = le16_get(b + 0x5e);
    loaded(cpu);
}

/* Selectors from 34H and hidden parts from 54H; IDTR and GDTR are between those of TR and LDTR. */
static const struct {
    uint8_t sel, cache, seg;
} seg386[] = {
    {0x34, 0x54, SEG_TR}, {0x38, 0x78, SEG_LDTR}, {0x3c, 0x84, SEG_GS}, {0x40, 0x90, SEG_FS},
    {0x44, 0x9c, SEG_DS}, {0x48, 0xa8, SEG_SS},   {0x4c, 0xb4, SEG_CS}, {0x50, 0xc0, SEG_ES},
};

SEM_END(loadall386)
{
    static const uint8_t gprs[] = {REG_RDI, REG_RSI, REG_RBP, REG_RSP,
                                   REG_RBX, REG_RDX, REG_RCX, REG_RAX};
    struct cpu_state *s = &cpu->s;
    uint8_t b[0xcc];
    (void)i;
    if (cpu_has(cpu, FEAT_i486)) {
        cpu_ud(cpu);
    }
    check_cpl0(cpu);
    gva la = mem_la(cpu, SEG_ES, (uint32_t)s->gpr[REG_RDI], sizeof b, ACC_READ);
    mem_rd_buf(cpu, SEG_ES, la, b, sizeof b, cpu->view);
    ctrl_set_cr0(cpu, le32_get(b)); /* raises for a combination that does not exist */
    s->rflags = (le32_get(b + 4) & 0x37fd5u) | FL_1;
    s->rip = le32_get(b + 8);
    for (unsigned k = 0; k < ARRAY_LEN(gprs); k++) {
        s->gpr[gprs[k]] = le32_get(b + 0xc + 4 * k);
    }
    s->dr[6] = le32_get(b + 0x2c) | 0xffff0ff0u;
    s->dr[7] = le32_get(b + 0x30) | 0x400u;
    for (unsigned k = 0; k < ARRAY_LEN(seg386); k++) {
        /* Rights as in a descriptor's second doubleword, base, limit in bytes. */
        const uint8_t *p = b + seg386[k].cache;
        uint32_t rights = le32_get(p);
        unsigned attr = (rights >> 8 & 0xff) | (rights >> 12 & 0xd00);
        set_cache(cpu, seg386[k].seg, le16_get(b + seg386[k].sel), le32_get(p + 4), le32_get(p + 8),
                  attr);
    }
    s->idt_base = le32_get(b + 0x64);
    s->idt_limit = le16_get(b + 0x68);
    s->gdt_base = le32_get(b + 0x70);
    s->gdt_limit = le16_get(b + 0x74);
    loaded(cpu);
}

/* --- Test registers ---------------------------------------------------------------------------*/

static uint32_t *test_reg(struct cpu *cpu, const struct insn *i)
{
    unsigned first = cpu_has(cpu, FEAT_i486) ? 3 : 6;
    if (cpu_has(cpu, FEAT_msr) || i->reg < first || i->reg > 7) {
        cpu_ud(cpu);
    }
    check_cpl0(cpu);
    return &cpu->s.tr[i->reg];
}

SEM(mov_from_tr)
{
    uint32_t *tr = test_reg(cpu, i);
    gpr_set(cpu, i->rm, 4, *tr);
}

SEM(mov_to_tr)
{
    uint32_t *tr = test_reg(cpu, i);
    *tr = (uint32_t)cpu->s.gpr[i->rm];
    if (i->reg == 6 && (*tr & TR6_LOOKUP)) {
        cpu->s.tr[7] &= ~TR7_HIT;
    }
}
