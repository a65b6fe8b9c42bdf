/*
 * Registers of a vCPU for a debugger: a table of names, how each is read and changed.
 *
 * A change is made by the gate's handler alone (debug_set_register), whose payload is: the
 * operation, the vCPU, the length of the name, the name, the value. doppel_reg_set checks and posts
 * it. A value may be anything that the register's bits allow: a debugger may put a machine into
 * states that no guest reaches, but none that is not defined here.
 */
#include <string.h>

#include "cpu/block.h"
#include "cpu/desc.h"
#include "cpu/flags.h"
#include "cpu/fp/fp.h"
#include "cpu/x87.h"
#include "vm/debug.h"
#include "vm/vm.h"

enum reg_kind {
    R_GPR,
    R_RIP,
    R_PC,
    R_FLAGS,
    R_SELECTOR,
    R_BASE,
    R_KERNEL_GS,
    R_CR,
    R_EFER,
    R_ST,
    R_X87, /* n: enum */
    R_MXCSR,
    R_XMM,
    R_YMM,
};

enum { X_CTRL, X_STAT, X_TAG, X_ISEG, X_IOFF, X_OSEG, X_OOFF, X_OP };

struct reg {
    const char *name;
    uint16_t bits;
    uint8_t kind, n;
};

// clang-format off
#define EIGHT(X, name, k, bits)                                                                    \
    X(name "0", bits, k, 0), X(name "1", bits, k, 1), X(name "2", bits, k, 2),                     \
    X(name "3", bits, k, 3), X(name "4", bits, k, 4), X(name "5", bits, k, 5),                     \
    X(name "6", bits, k, 6), X(name "7", bits, k, 7)
#define SIXTEEN(X, name, k, bits)                                                                  \
    EIGHT(X, name, k, bits), X(name "8", bits, k, 8), X(name "9", bits, k, 9),                     \
    X(name "10", bits, k, 10), X(name "11", bits, k, 11), X(name "12", bits, k, 12),               \
    X(name "13", bits, k, 13), X(name "14", bits, k, 14), X(name "15", bits, k, 15)
#define ROW(name, bits, k, n) {name, bits, k, n}

static const struct reg regs[] = {
    {"rax", 64, R_GPR, REG_RAX}, {"rbx", 64, R_GPR, REG_RBX}, {"rcx", 64, R_GPR, REG_RCX},
    {"rdx", 64, R_GPR, REG_RDX}, {"rsi", 64, R_GPR, REG_RSI}, {"rdi", 64, R_GPR, REG_RDI},
    {"rbp", 64, R_GPR, REG_RBP}, {"rsp", 64, R_GPR, REG_RSP},
    {"r8", 64, R_GPR, 8}, {"r9", 64, R_GPR, 9}, {"r10", 64, R_GPR, 10}, {"r11", 64, R_GPR, 11},
    {"r12", 64, R_GPR, 12}, {"r13", 64, R_GPR, 13}, {"r14", 64, R_GPR, 14},
    {"r15", 64, R_GPR, 15},
    {"rip", 64, R_RIP, 0}, {"pc", 64, R_PC, 0}, {"eflags", 32, R_FLAGS, 0},
    {"cs", 16, R_SELECTOR, SEG_CS}, {"ss", 16, R_SELECTOR, SEG_SS},
    {"ds", 16, R_SELECTOR, SEG_DS}, {"es", 16, R_SELECTOR, SEG_ES},
    {"fs", 16, R_SELECTOR, SEG_FS}, {"gs", 16, R_SELECTOR, SEG_GS},
    {"cs_base", 64, R_BASE, SEG_CS}, {"ss_base", 64, R_BASE, SEG_SS},
    {"ds_base", 64, R_BASE, SEG_DS}, {"es_base", 64, R_BASE, SEG_ES},
    {"fs_base", 64, R_BASE, SEG_FS}, {"gs_base", 64, R_BASE, SEG_GS},
    {"k_gs_base", 64, R_KERNEL_GS, 0},
    {"cr0", 64, R_CR, 0}, {"cr2", 64, R_CR, 2}, {"cr3", 64, R_CR, 3}, {"cr4", 64, R_CR, 4},
    {"cr8", 64, R_CR, 8}, {"efer", 64, R_EFER, 0},
    EIGHT(ROW, "st", R_ST, 80),
    {"fctrl", 16, R_X87, X_CTRL}, {"fstat", 16, R_X87, X_STAT}, {"ftag", 16, R_X87, X_TAG},
    {"fiseg", 16, R_X87, X_ISEG}, {"fioff", 32, R_X87, X_IOFF}, {"foseg", 16, R_X87, X_OSEG},
    {"fooff", 32, R_X87, X_OOFF}, {"fop", 16, R_X87, X_OP},
    {"mxcsr", 32, R_MXCSR, 0},
    SIXTEEN(ROW, "xmm", R_XMM, 128),
    SIXTEEN(ROW, "ymm", R_YMM, 256),
};
// clang-format on

const char *doppel_reg_name(unsigned i, unsigned *bits)
{
    if (i >= ARRAY_LEN(regs)) {
        return NULL;
    }
    if (bits) {
        *bits = regs[i].bits;
    }
    return regs[i].name;
}

int doppel_reg_find(const char *name)
{
    for (unsigned i = 0; i < ARRAY_LEN(regs); i++) {
        if (strcmp(regs[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

/* --- Reading --- */

static uint64_t read_cr(const struct cpu *cpu, unsigned n)
{
    switch (n) {
    case 0:
        return cpu->s.cr0;
    case 2:
        return cpu->s.cr2;
    case 3:
        return cpu->s.cr3;
    case 4:
        return cpu->s.cr4;
    default:
        return cpu->intc && cpu->intc->cr8_read ? cpu->intc->cr8_read(cpu->intc_ctx) : cpu->s.cr8;
    }
}

static uint64_t read_x87(const struct x87 *f, unsigned n)
{
    unsigned tags = 0;
    switch (n) {
    case X_CTRL:
        return f->cw;
    case X_STAT:
        return f->sw;
    case X_TAG:
        for (unsigned r = 0; r < 8; r++) {
            struct f80 v = {f->m[r], f->se[r]};
            tags |= (f->empty >> r & 1 ? 3 : f80_tag(v)) << (2 * r);
        }
        return tags;
    case X_ISEG:
        return f->cs;
    case X_IOFF:
        return (uint32_t)f->ip;
    case X_OSEG:
        return f->ds;
    case X_OOFF:
        return (uint32_t)f->dp;
    default:
        return f->op;
    }
}

static void put_words(uint8_t *value, const uint64_t *word, unsigned n)
{
    for (unsigned k = 0; k < n; k++) {
        le64_put(value + 8 * k, word[k]);
    }
}

static void read_reg(struct cpu *cpu, const struct reg *r, uint8_t value[DOPPEL_REG_BYTES])
{
    const struct cpu_state *s = &cpu->s;
    uint64_t v = 0;
    memset(value, 0, DOPPEL_REG_BYTES);
    cpu_sync(cpu);
    switch ((enum reg_kind)r->kind) {
    case R_GPR:
        v = s->gpr[r->n];
        break;
    case R_RIP:
        v = s->rip;
        break;
    case R_PC:
        v = block_lin(cpu);
        break;
    case R_FLAGS:
        v = s->rflags;
        break;
    case R_SELECTOR:
        v = s->seg[r->n].sel;
        break;
    case R_BASE:
        v = s->seg[r->n].base;
        break;
    case R_KERNEL_GS:
        v = s->msr[0].kernel_gs_base;
        break;
    case R_CR:
        v = read_cr(cpu, r->n);
        break;
    case R_EFER:
        v = s->msr[0].efer;
        break;
    case R_ST:
        le64_put(value, x87_get(&s->fpu[0], r->n).m);
        le16_put(value + 8, x87_get(&s->fpu[0], r->n).se);
        return;
    case R_X87:
        v = read_x87(&s->fpu[0], r->n);
        break;
    case R_MXCSR:
        v = s->mxcsr;
        break;
    case R_XMM:
        put_words(value, &s->ymm[4 * r->n], 2);
        return;
    case R_YMM:
        put_words(value, &s->ymm[4 * r->n], 4);
        return;
    }
    le64_put(value, v);
}

bool doppel_reg_get(struct doppel_vm *vm, unsigned cpu, unsigned i, uint8_t value[DOPPEL_REG_BYTES])
{
    if (cpu >= vm->ncpus || i >= ARRAY_LEN(regs)) {
        return false;
    }
    read_reg(vm->cpu[cpu], &regs[i], value);
    return true;
}

/* --- Changing; `really` false: only say whether it can be done --- */

static bool write_selector(struct doppel_vm *vm, struct cpu *cpu, unsigned seg, uint16_t sel,
                           bool really)
{
    if (cpu_realish(cpu)) {
        if (really) {
            seg_load_real(cpu, seg, sel);
        }
        return true;
    }
    if (SEL_NULL(sel)) {
        if (really && seg != SEG_CS) {
            seg_set_null(cpu, seg, sel);
        }
        return seg != SEG_CS;
    }
    const struct seg *ldt = &cpu->s.seg[SEG_LDTR];
    uint64_t table = SEL_TI(sel) ? ldt->base : cpu->s.gdt_base;
    uint32_t limit = SEL_TI(sel) ? ldt->limit : cpu->s.gdt_limit;
    uint8_t raw[8];
    if ((sel | 7u) > limit ||
        doppel_memory_read(vm, cpu->index, table + (sel & ~7u), raw, 8) != 8) {
        return false;
    }
    struct desc d = {.lo = le32_get(raw), .hi = le32_get(raw + 4)};
    if (!desc_is_seg(&d) || !desc_present(&d) || desc_is_code(&d) != (seg == SEG_CS)) {
        return false;
    }
    if (really) {
        seg_set_desc(cpu, seg, sel, &d);
        if (seg == SEG_CS) {
            cpu->s.cpl = SEL_RPL(sel);
        }
    }
    return true;
}

static void write_cr(struct cpu *cpu, unsigned n, uint64_t v)
{
    struct cpu_state *s = &cpu->s;
    switch (n) {
    case 0:
        s->cr0 = (uint32_t)v | CR0_ET;
        break;
    case 2:
        s->cr2 = v;
        return;
    case 3:
        s->cr3 = v;
        break;
    case 4:
        s->cr4 = (uint32_t)v;
        break;
    default:
        if (cpu->intc && cpu->intc->cr8_write) {
            cpu->intc->cr8_write(cpu->intc_ctx, v & 15);
        } else {
            s->cr8 = v & 15;
        }
        return;
    }
    cpu_update_walk(cpu);
    if (cpu->walk.paging && cpu->walk.pae && !cpu->walk.lma) {
        walk_load_pdptes(&cpu->walk, cpu->mem, s->cr3, s->pdpte);
        cpu_update_walk(cpu);
    }
    tlb_flush_all(&cpu->tlb);
}

static void write_flags(struct cpu *cpu, uint64_t v)
{
    const uint64_t may = FL_ARITH | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_RF | FL_AC |
                         FL_VIF | FL_VIP | FL_ID;
    cpu_sync(cpu);
    cpu->s.rflags = (cpu->s.rflags & ~may) | (v & may);
    flags_set_arith(cpu, cpu->s.rflags);
}

static void write_x87(struct x87 *f, unsigned n, uint64_t v)
{
    switch (n) {
    case X_CTRL:
        f->cw = (uint16_t)((v & 0x1f3f) | 0x40);
        break;
    case X_STAT:
        f->sw = (uint16_t)v;
        break;
    case X_TAG:
        f->empty = 0;
        for (unsigned r = 0; r < 8; r++) {
            f->empty |= (uint8_t)((v >> 2 * r & 3) == 3 ? 1u << r : 0);
        }
        break;
    case X_ISEG:
        f->cs = (uint16_t)v;
        break;
    case X_IOFF:
        f->ip = (f->ip & ~UINT64_C(0xffffffff)) | (uint32_t)v;
        break;
    case X_OSEG:
        f->ds = (uint16_t)v;
        break;
    case X_OOFF:
        f->dp = (f->dp & ~UINT64_C(0xffffffff)) | (uint32_t)v;
        break;
    default:
        f->op = v & 0x7ff;
        break;
    }
}

static void get_words(uint64_t *word, const uint8_t *value, unsigned n)
{
    for (unsigned k = 0; k < n; k++) {
        word[k] = le64_get(value + 8 * k);
    }
}

static bool write_reg(struct doppel_vm *vm, struct cpu *cpu, const struct reg *r,
                      const uint8_t value[DOPPEL_REG_BYTES], bool really)
{
    struct cpu_state *s = &cpu->s;
    uint64_t v = le64_get(value);
    if (r->kind == R_SELECTOR) {
        if (!write_selector(vm, cpu, r->n, (uint16_t)v, really)) {
            return false;
        }
    } else if (!really) {
        return true;
    }
    switch ((enum reg_kind)r->kind) {
    case R_GPR:
        s->gpr[r->n] = v;
        break;
    case R_RIP:
        s->rip = v & cpu->ip_mask;
        break;
    case R_PC:
        s->rip = (v - (cpu->mode & MODE_C64 ? 0 : s->seg[SEG_CS].base)) & cpu->ip_mask;
        break;
    case R_FLAGS:
        write_flags(cpu, v);
        break;
    case R_SELECTOR:
        break;
    case R_BASE:
        s->seg[r->n].base = cpu_lma(cpu) ? v : (uint32_t)v;
        seg_update(cpu, r->n);
        break;
    case R_KERNEL_GS:
        s->msr[0].kernel_gs_base = v;
        break;
    case R_CR:
        write_cr(cpu, r->n, v);
        break;
    case R_EFER:
        s->msr[0].efer = v & (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE);
        cpu_update_walk(cpu);
        tlb_flush_all(&cpu->tlb);
        break;
    case R_ST: /* the tag stays as it is */
        s->fpu[0].m[x87_reg(&s->fpu[0], r->n)] = v;
        s->fpu[0].se[x87_reg(&s->fpu[0], r->n)] = le16_get(value + 8);
        break;
    case R_X87:
        write_x87(&s->fpu[0], r->n, v);
        break;
    case R_MXCSR:
        s->mxcsr = v & 0xffff;
        break;
    case R_XMM:
        get_words(&s->ymm[4 * r->n], value, 2);
        break;
    case R_YMM:
        get_words(&s->ymm[4 * r->n], value, 4);
        break;
    }
    if (really) {
        cpu_update_mode(cpu);
        cpu_update_attn(cpu);
    }
    return true;
}

void debug_set_register(struct doppel_vm *vm, const uint8_t *payload, uint32_t len)
{
    char name[16] = "";
    uint8_t value[DOPPEL_REG_BYTES] = {0};
    if (len < 4 || payload[1] >= vm->ncpus || payload[2] >= sizeof name ||
        len != 3u + payload[2] + sizeof value) {
        return;
    }
    memcpy(name, payload + 3, payload[2]);
    memcpy(value, payload + 3 + payload[2], sizeof value);
    int i = doppel_reg_find(name);
    if (i >= 0) {
        struct cpu *cpu = vm->cpu[payload[1]];
        if (write_reg(vm, cpu, &regs[i], value, false)) {
            write_reg(vm, cpu, &regs[i], value, true);
        }
    }
}

bool doppel_reg_set(struct doppel_vm *vm, unsigned cpu, unsigned i,
                    const uint8_t value[DOPPEL_REG_BYTES])
{
    if (cpu >= vm->ncpus || i >= ARRAY_LEN(regs) || vm->gate.feed ||
        !write_reg(vm, vm->cpu[cpu], &regs[i], value, false)) {
        return false;
    }
    uint8_t payload[3 + 16 + DOPPEL_REG_BYTES];
    size_t n = strlen(regs[i].name);
    payload[0] = VM_OP_SET_REGISTER;
    payload[1] = (uint8_t)cpu;
    payload[2] = (uint8_t)n;
    memcpy(payload + 3, regs[i].name, n);
    memcpy(payload + 3 + n, value, DOPPEL_REG_BYTES);
    gate_post(&vm->gate, vm->op_source, payload, (uint32_t)(3 + n + DOPPEL_REG_BYTES));
    gate_deliver(&vm->gate, vm->clock.s.now);
    return true;
}
