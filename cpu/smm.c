/*
 * System-management mode: SMI entry and RSM, with the two save maps that firmware knows.
 *
 * Processors with long mode save by the AMD64 map (revision 20064H), others by that of the P6
 * family (20000H); SeaBIOS tells them apart by the revision, and moves SMBASE by writing the
 * field in the map. Bit 17 of the revision promises that RSM takes it from there.
 *
 * One table for each map lists what is where; entry and RSM both walk it, so they cannot differ.
 * The save area lies in guest memory and is hostile at RSM: a combination that could not have been
 * saved is a shutdown (SDM 3C 34.4.1).
 *
 * Sources: Intel SDM 3C chapter 34 (34.4 map, 34.5 environment, 34.10 auto HALT, 34.11 SMBASE);
 * AMD APM 2 table 10-1 (AMD64 map).
 */
#include "cpu/desc.h"
#include "cpu/flags.h"
#include "cpu/sem.h"
#include "cpu/x87.h"

#define MAP_BASE    0xfe00u /* from SMBASE; the map is 512 bytes */
#define MAP_LEN     0x200u
#define REV_AMD64   0x20064u
#define REV_P6      0x20000u
#define OFF_HALT64  0xc9u /* auto HALT restart */
#define OFF_HALT32  0x102u
#define OFF_INNER64 0xcau /* ours, in reserved bytes: NMI blocked; then CPL (FECBH in the APM) */
#define OFF_INNER32 0x104u
#define CR0_CLEARED (CR0_PE | CR0_EM | CR0_TS | CR0_PG)

/* One saved register: where in the map, how wide there, where in struct cpu_state. */
struct field {
    uint16_t at, size;
    uint16_t off;
    uint16_t width; /* of the state's member */
};

#define F(at, size, member)                                                                        \
    {                                                                                              \
        at, size, offsetof(struct cpu_state, member), sizeof(((struct cpu_state *)0)->member)      \
    }
#define SEG64(at, n)                                                                               \
    F(at, 2, seg[n].sel), F(at + 2, 2, seg[n].attr), F(at + 4, 4, seg[n].limit),                   \
        F(at + 8, 8, seg[n].base)
#define SEG32(selector, at, n)                                                                     \
    F(selector, 4, seg[n].sel), F(at, 4, seg[n].attr), F((at) + 4, 4, seg[n].limit),               \
        F((at) + 8, 4, seg[n].base)

// clang-format off
static const struct field map64[] = {
    SEG64(0x00, SEG_ES), SEG64(0x10, SEG_CS), SEG64(0x20, SEG_SS), SEG64(0x30, SEG_DS),
    SEG64(0x40, SEG_FS), SEG64(0x50, SEG_GS), SEG64(0x70, SEG_LDTR), SEG64(0x90, SEG_TR),
    F(0x64, 2, gdt_limit), F(0x68, 8, gdt_base), F(0x84, 2, idt_limit), F(0x88, 8, idt_base),
    F(0xd0, 8, msr[0].efer), F(0x100, 4, smbase), F(0x148, 8, cr4), F(0x150, 8, cr3),
    F(0x158, 8, cr0), F(0x160, 8, dr[7]), F(0x168, 8, dr[6]), F(0x170, 8, rflags),
    F(0x178, 8, rip),
    F(0x180, 8, gpr[15]), F(0x188, 8, gpr[14]), F(0x190, 8, gpr[13]), F(0x198, 8, gpr[12]),
    F(0x1a0, 8, gpr[11]), F(0x1a8, 8, gpr[10]), F(0x1b0, 8, gpr[9]), F(0x1b8, 8, gpr[8]),
    F(0x1c0, 8, gpr[REG_RDI]), F(0x1c8, 8, gpr[REG_RSI]), F(0x1d0, 8, gpr[REG_RBP]),
    F(0x1d8, 8, gpr[REG_RSP]), F(0x1e0, 8, gpr[REG_RBX]), F(0x1e8, 8, gpr[REG_RDX]),
    F(0x1f0, 8, gpr[REG_RCX]), F(0x1f8, 8, gpr[REG_RAX]),
    F(OFF_INNER64, 1, nmi_blocked), F(OFF_INNER64 + 1, 1, cpl),
};

static const struct field map32[] = {
    F(0x0f8, 4, smbase), F(0x114, 4, cr4),
    SEG32(0x1b4, 0x12c, SEG_DS), SEG32(0x1b8, 0x138, SEG_FS), SEG32(0x1bc, 0x144, SEG_GS),
    F(0x154, 2, idt_limit), F(0x158, 4, idt_base), F(0x170, 2, gdt_limit), F(0x174, 4, gdt_base),
    SEG32(0x1c4, 0x15c, SEG_TR), SEG32(0x1c0, 0x178, SEG_LDTR),
    SEG32(0x1a8, 0x184, SEG_ES), SEG32(0x1ac, 0x190, SEG_CS), SEG32(0x1b0, 0x19c, SEG_SS),
    F(0x1c8, 4, dr[7]), F(0x1cc, 4, dr[6]),
    F(0x1d0, 4, gpr[REG_RAX]), F(0x1d4, 4, gpr[REG_RCX]), F(0x1d8, 4, gpr[REG_RDX]),
    F(0x1dc, 4, gpr[REG_RBX]), F(0x1e0, 4, gpr[REG_RSP]), F(0x1e4, 4, gpr[REG_RBP]),
    F(0x1e8, 4, gpr[REG_RSI]), F(0x1ec, 4, gpr[REG_RDI]), F(0x1f0, 4, rip), F(0x1f4, 4, rflags),
    F(0x1f8, 4, cr3), F(0x1fc, 4, cr0),
    F(OFF_INNER32, 1, nmi_blocked), F(OFF_INNER32 + 1, 1, cpl),
};
// clang-format on

static uint64_t member_get(const struct cpu_state *s, const struct field *f)
{
    const char *p = (const char *)s + f->off;
    uint64_t v64;
    uint32_t v32;
    uint16_t v16;
    switch (f->width) {
    case 1:
        return *(const uint8_t *)p;
    case 2:
        memcpy(&v16, p, 2);
        return v16;
    case 4:
        memcpy(&v32, p, 4);
        return v32;
    default:
        memcpy(&v64, p, 8);
        return v64;
    }
}

static void member_set(struct cpu_state *s, const struct field *f, uint64_t val)
{
    char *p = (char *)s + f->off;
    uint32_t v32 = (uint32_t)val;
    uint16_t v16 = (uint16_t)val;
    switch (f->width) {
    case 1: /* bool, or a level */
        *(uint8_t *)p = val & 3;
        break;
    case 2:
        memcpy(p, &v16, 2);
        break;
    case 4:
        memcpy(p, &v32, 4);
        break;
    default:
        memcpy(p, &val, 8);
        break;
    }
}

static const struct field *pick_map(const struct cpu *cpu, size_t *n)
{
    bool wide = cpu_has(cpu, FEAT_lm);
    *n = wide ? ARRAY_LEN(map64) : ARRAY_LEN(map32);
    return wide ? map64 : map32;
}

void smm_enter(struct cpu *cpu)
{
    struct cpu_state *s = &cpu->s;
    uint8_t buf[MAP_LEN] = {0};
    size_t n;
    const struct field *map = pick_map(cpu, &n);
    bool wide = cpu_has(cpu, FEAT_lm);
    cpu_sync(cpu);
    for (size_t k = 0; k < n; k++) {
        le_put(buf + map[k].at, map[k].size, member_get(s, &map[k]));
    }
    le32_put(buf + 0xfc, wide ? REV_AMD64 : REV_P6);
    buf[wide ? OFF_HALT64 : OFF_HALT32] = s->activity == CPU_HALTED;
    s->activity = CPU_RUNNING;
    /* SMRAM must be visible already when the map is written. */
    s->smm = true;
    cpu_smm_pin(cpu, true);
    aspace_write_buf(cpu->mem, s->smbase + MAP_BASE, buf, MAP_LEN);

    for (unsigned seg = 0; seg < 6; seg++) {
        s->seg[seg] = (struct seg){.limit = 0xffffffff,
                                   .attr = SEG_A_P | SEG_A_S | SEG_A_RW | SEG_A_ACC | SEG_A_G};
    }
    s->seg[SEG_CS].sel = (uint16_t)(s->smbase >> 4);
    s->seg[SEG_CS].base = s->smbase;
    s->rip = 0x8000;
    s->rflags = FL_1;
    s->cr0 &= ~(uint64_t)CR0_CLEARED;
    s->cr4 = 0;
    s->msr[0].efer = 0;
    s->dr[7] = 0x400;
    s->cpl = 0;
    s->nmi_blocked = true;
    s->shadow = s->shadow_ss = false;
    s->db_pending = 0;
    cpu_restored(cpu);
}

/* Could this state have been saved? */
static bool plausible(const struct cpu *cpu, const struct cpu_state *s)
{
    uint64_t cr0 = s->cr0, efer = s->msr[0].efer;
    bool lma = efer & EFER_LMA;
    if (((cr0 & CR0_PG) && !(cr0 & CR0_PE)) || ((cr0 & CR0_NW) && !(cr0 & CR0_CD)) || cr0 >> 32) {
        return false;
    }
    if (lma != ((cr0 & CR0_PG) && (efer & EFER_LME)) || (lma && !(s->cr4 & CR4_PAE))) {
        return false;
    }
    if (!cpu_has(cpu, FEAT_lm) && (efer & (EFER_LME | EFER_LMA))) {
        return false;
    }
    return !((s->rflags & FL_VM) && lma) && (s->smbase & 0x7fff) == 0;
}

void smm_leave(struct cpu *cpu)
{
    struct cpu_state *s = &cpu->s;
    struct cpu_state next = *s;
    uint8_t buf[MAP_LEN];
    size_t n;
    const struct field *map = pick_map(cpu, &n);
    bool wide = cpu_has(cpu, FEAT_lm);
    aspace_read_buf(cpu->mem, s->smbase + MAP_BASE, buf, MAP_LEN);
    for (size_t k = 0; k < n; k++) {
        member_set(&next, &map[k], le_get(buf + map[k].at, map[k].size));
    }
    next.nmi_blocked = next.nmi_blocked ? true : false;
    if (!plausible(cpu, &next)) {
        s->activity = CPU_SHUTDOWN;
        cpu_update_attn(cpu);
        return;
    }
    for (unsigned seg = 0; seg < SEG_COUNT; seg++) {
        next.seg[seg].attr &= SEG_A_NULL | 0xfff;
    }
    next.rflags = (next.rflags & 0x3f7fd5) | FL_1;
    next.smm = false;
    next.shadow = next.shadow_ss = false;
    next.activity = buf[wide ? OFF_HALT64 : OFF_HALT32] & 1 ? CPU_HALTED : CPU_RUNNING;
    *s = next;
    cpu_smm_pin(cpu, false);
    if ((s->cr0 & CR0_PG) && (s->cr4 & CR4_PAE) && !(s->msr[0].efer & EFER_LMA)) {
        for (unsigned k = 0; k < 4; k++) {
            s->pdpte[k] = aspace_read(cpu->mem, (s->cr3 & 0xffffffe0) + 8 * k, 8);
        }
    }
    cpu_restored(cpu);
    x87_drive_ferr(cpu);
}

SEM_END(rsm)
{
    (void)i;
    if (!cpu->s.smm) {
        cpu_ud(cpu);
    }
    smm_leave(cpu);
}
