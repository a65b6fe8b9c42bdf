/*
 * LOADALL of the models 286 and 386, and the test registers of 386 and 486. Expectations from the
 * sources in cpu/loadall.c.
 */
#include <string.h>

#include "cpu/flags.h"
#include "tests/lib/bare.h"
#include "tests/t.h"
#include "util/bits.h"

#define CODE  0x1000u
#define IMAGE 0x3000u
#define NEXT  0x2000u

/* Runs `code` in real mode; vectors 6 and 13 lead to a HLT at 600H and 700H. */
static struct bare *machine(const char *model, const void *code, unsigned len)
{
    struct bare *b = bare_new(model, 4u << 20);
    uint8_t hlt = 0xf4;
    aspace_write(&b->mem, 6 * 4, 4, 0x600);
    aspace_write(&b->mem, 13 * 4, 4, 0x700);
    aspace_write_buf(&b->mem, 0x600, &hlt, 1);
    aspace_write_buf(&b->mem, 0x700, &hlt, 1);
    aspace_write_buf(&b->mem, CODE, code, len);
    bare_mode(b, 16, 0);
    b->cpu->s.rip = CODE;
    b->cpu->s.gpr[REG_RSP] = 0x8000;
    b->cpu->s.gpr[REG_RDI] = IMAGE;
    cpu_restored(b->cpu);
    return b;
}

static void put_cache286(uint8_t *p, uint32_t base, uint8_t rights, uint16_t limit)
{
    le32_put(p, base);
    p[3] = rights;
    le16_put(p + 4, limit);
}

/* A state of real mode whose ES reaches 2 MiB, running at NEXT. */
static void make286(uint8_t b[0x66])
{
    memset(b, 0, 0x66);
    le16_put(b + 0x06, 0xfff0);
    le16_put(b + 0x16, 0x1111);
    le16_put(b + 0x18, 0x0002 | FL_CF | FL_DF);
    le16_put(b + 0x1a, NEXT);
    le16_put(b + 0x1c, 0x2222);
    for (unsigned k = 0; k < 4; k++) { /* DS SS CS ES */
        le16_put(b + 0x1e + 2 * k, (uint16_t)(0x3330 + k));
    }
    for (unsigned k = 0; k < 8; k++) { /* DI SI BP SP BX DX CX AX */
        le16_put(b + 0x26 + 2 * k, (uint16_t)(0x4440 + k));
    }
    put_cache286(b + 0x36, 0x200000, 0x93, 0x1fff); /* ES */
    put_cache286(b + 0x3c, 0, 0x93, 0xffff);        /* CS */
    put_cache286(b + 0x42, 0x10000, 0x93, 0xffff);  /* SS */
    put_cache286(b + 0x48, 0x123456, 0x13, 0xffff); /* DS, not valid */
    put_cache286(b + 0x4e, 0x54321, 0, 0x1ff);      /* GDTR */
    put_cache286(b + 0x54, 0x60000, 0x82, 0x77);    /* LDTR */
    put_cache286(b + 0x5a, 0, 0, 0x3ff);            /* IDTR */
    put_cache286(b + 0x60, 0x70000, 0x81, 0x88);    /* TR */
}

TEST(loadall_286)
{
    static const uint8_t loadall[] = {0x0f, 0x05};
    static const uint8_t next[] = {0x26, 0xa3, 0x10, 0x00, /* mov es:[10h], ax */
                                   0xa1, 0x00, 0x00};      /* mov ax, [0]: DS is not valid */
    struct bare *b = machine("286", loadall, sizeof loadall);
    struct cpu_state *s = &b->cpu->s;
    uint8_t image[0x66];
    make286(image);
    aspace_write_buf(&b->mem, 0x800, image, sizeof image);
    aspace_write_buf(&b->mem, NEXT, next, sizeof next);
    EXPECT_EQ(bare_run(b, 1, 0), 1);
    EXPECT_EQ(s->rip, NEXT);
    cpu_sync(b->cpu);
    EXPECT_EQ(s->rflags, FL_1 | FL_CF | FL_DF);
    EXPECT_EQ(s->cr0, 0);
    static const uint8_t order[] = {REG_RDI, REG_RSI, REG_RBP, REG_RSP,
                                    REG_RBX, REG_RDX, REG_RCX, REG_RAX};
    for (unsigned k = 0; k < 8; k++) {
        EXPECT_EQ(s->gpr[order[k]], 0x4440 + k);
    }
    static const uint8_t segs[] = {SEG_DS, SEG_SS, SEG_CS, SEG_ES};
    for (unsigned k = 0; k < 4; k++) {
        EXPECT_EQ(s->seg[segs[k]].sel, 0x3330 + k);
    }
    EXPECT_EQ(s->seg[SEG_ES].base, 0x200000);
    EXPECT_EQ(s->seg[SEG_ES].limit, 0x1fff);
    EXPECT_EQ(s->seg[SEG_DS].base, 0x123456);
    EXPECT_EQ(s->seg[SEG_TR].sel, 0x1111);
    EXPECT_EQ(s->seg[SEG_TR].base, 0x70000);
    EXPECT_EQ(s->seg[SEG_LDTR].limit, 0x77);
    EXPECT_EQ(s->gdt_base, 0x54321);
    EXPECT_EQ(s->gdt_limit, 0x1ff);
    EXPECT_EQ(s->idt_limit, 0x3ff);
    bare_run(b, 10, 0);
    EXPECT_EQ(aspace_read(&b->mem, 0x200010, 2), 0x4447); /* above 1 MiB in real mode */
    EXPECT_EQ(s->rip, 0x701);                             /* exception 13 by DS */
    bare_free(b);
}

/* PE can be set and not cleared; CPL is the DPL of SS. */
TEST(loadall_286_protected_mode)
{
    static const uint8_t loadall[] = {0x0f, 0x05};
    struct bare *b = machine("286", loadall, sizeof loadall);
    uint8_t image[0x66];
    make286(image);
    le16_put(image + 6, 0xfff1);
    put_cache286(image + 0x42, 0x10000, 0xf3, 0xffff);
    put_cache286(image + 0x3c, 0, 0xfb, 0xffff);
    aspace_write_buf(&b->mem, 0x800, image, sizeof image);
    bare_run(b, 1, 0);
    EXPECT_EQ(b->cpu->s.cr0, CR0_PE);
    EXPECT_EQ(b->cpu->s.cpl, 3);
    b->cpu->s.rip = CODE; /* at CPL 3: exception 13, which has no gate: shutdown */
    bare_run(b, 10, 0);
    EXPECT_EQ(b->cpu->s.activity, CPU_SHUTDOWN);
    bare_free(b);

    b = machine("286", loadall, sizeof loadall);
    make286(image);
    aspace_write_buf(&b->mem, 0x800, image, sizeof image);
    b->cpu->s.cr0 |= CR0_PE;
    b->cpu->s.seg[SEG_CS].attr |= SEG_A_CODE;
    cpu_restored(b->cpu);
    bare_run(b, 1, 0);
    EXPECT_EQ(b->cpu->s.rip, NEXT);
    EXPECT_EQ(b->cpu->s.cr0, CR0_PE);
    bare_free(b);
}

static void put_cache386(uint8_t *p, uint32_t rights, uint32_t base, uint32_t limit)
{
    le32_put(p, rights);
    le32_put(p + 4, base);
    le32_put(p + 8, limit);
}

static void make386(uint8_t b[0xcc], uint32_t cr0, uint32_t flags)
{
    memset(b, 0, 0xcc);
    le32_put(b, cr0);
    le32_put(b + 4, flags);
    le32_put(b + 8, NEXT);
    for (unsigned k = 0; k < 8; k++) { /* EDI ESI EBP ESP EBX EDX ECX EAX */
        le32_put(b + 0xc + 4 * k, 0x44444440 + k);
    }
    le32_put(b + 0x2c, 0x1);
    le32_put(b + 0x30, 0x0);
    for (unsigned k = 0; k < 8; k++) { /* TR LDTR GS FS DS SS CS ES */
        le32_put(b + 0x34 + 4 * k, 0x3330 + k);
    }
    put_cache386(b + 0x54, 0x8100, 0x70000, 0x88);
    put_cache386(b + 0x60, 0, 0, 0x3ff);         /* IDTR */
    put_cache386(b + 0x6c, 0, 0x12345678, 0xff); /* GDTR */
    put_cache386(b + 0x78, 0x8200, 0x60000, 0x77);
    for (unsigned k = 0x84; k < 0xcc; k += 12) {
        put_cache386(b + k, 0x9300, 0, 0xffff);
    }
    put_cache386(b + 0x9c, 0x9300, 0x100000, 0xffffffff); /* DS: all of memory */
}

TEST(loadall_386)
{
    static const uint8_t loadall[] = {0x0f, 0x07};
    static const uint8_t next[] = {0x67, 0xa3, 0x00, 0x00, 0x10, 0x00, /* mov [100000h], ax */
                                   0xf4};
    struct bare *b = machine("386", loadall, sizeof loadall);
    struct cpu_state *s = &b->cpu->s;
    uint8_t image[0xcc];
    make386(image, 0, FL_1 | FL_CF);
    aspace_write_buf(&b->mem, IMAGE, image, sizeof image);
    aspace_write_buf(&b->mem, NEXT, next, sizeof next);
    EXPECT_EQ(bare_run(b, 1, 0), 1);
    EXPECT_EQ(s->rip, NEXT);
    static const uint8_t order[] = {REG_RDI, REG_RSI, REG_RBP, REG_RSP,
                                    REG_RBX, REG_RDX, REG_RCX, REG_RAX};
    for (unsigned k = 0; k < 8; k++) {
        EXPECT_EQ(s->gpr[order[k]], 0x44444440 + k);
    }
    static const uint8_t segs[] = {SEG_TR, SEG_LDTR, SEG_GS, SEG_FS,
                                   SEG_DS, SEG_SS,   SEG_CS, SEG_ES};
    for (unsigned k = 0; k < 8; k++) {
        EXPECT_EQ(s->seg[segs[k]].sel, 0x3330 + k);
    }
    EXPECT_EQ(s->seg[SEG_TR].base, 0x70000);
    EXPECT_EQ(s->seg[SEG_LDTR].limit, 0x77);
    EXPECT_EQ(s->gdt_base, 0x12345678);
    EXPECT_EQ(s->gdt_limit, 0xff);
    EXPECT_EQ(s->dr[6], 0xffff0ff1);
    bare_run(b, 10, 0);
    EXPECT_EQ(aspace_read(&b->mem, 0x200000, 2), 0x4447); /* a 4 GiB segment in real mode */
    EXPECT_EQ(s->activity, CPU_HALTED);
    bare_free(b);
}

/* Into 32-bit protected mode at CPL 3, and into virtual-8086 mode. */
TEST(loadall_386_modes)
{
    static const uint8_t loadall[] = {0x0f, 0x07};
    for (unsigned vm = 0; vm < 2; vm++) {
        struct bare *b = machine("386", loadall, sizeof loadall);
        struct cpu_state *s = &b->cpu->s;
        uint8_t image[0xcc];
        make386(image, CR0_PE, FL_1 | (vm ? FL_VM : 0));
        put_cache386(image + 0xb4, 0xcffb00, 0, 0xffffffff);
        put_cache386(image + 0xa8, 0xcff300, 0, 0xffffffff);
        aspace_write_buf(&b->mem, IMAGE, image, sizeof image);
        bare_run(b, 1, 0);
        EXPECT_EQ(s->cpl, 3);
        EXPECT_EQ(s->cr0 & CR0_PE, CR0_PE);
        EXPECT_EQ(s->seg[SEG_CS].attr, 0xcfb);
        EXPECT(cpu_v86(b->cpu) == (vm != 0));
        EXPECT(!!(b->cpu->mode & MODE_C32));
        bare_free(b);
    }
}

TEST(loadall_elsewhere_is_ud)
{
    static const struct {
        const char *model;
        uint8_t op;
    } cases[] = {{"286", 7}, {"386", 5}, {"486", 5}, {"486", 7}, {"pentium3", 7}};
    for (unsigned k = 0; k < ARRAY_LEN(cases); k++) {
        const uint8_t code[] = {0x0f, cases[k].op};
        struct bare *b = machine(cases[k].model, code, 2);
        bare_run(b, 10, 0);
        t_context("%s, 0F %02x", cases[k].model, cases[k].op);
        EXPECT_EQ(b->cpu->s.rip, 0x601);
        bare_free(b);
    }
}

TEST(test_registers)
{
    static const struct {
        const char *model;
        unsigned first; /* that is there; 8: none */
    } cases[] = {{"286", 8}, {"386", 6}, {"486", 3}, {"pentium", 8}, {"", 8}};
    for (unsigned k = 0; k < ARRAY_LEN(cases); k++) {
        for (unsigned n = 0; n < 8; n++) {
            /* mov trN, eax; mov ebx, trN; hlt */
            const uint8_t code[] = {
                0x0f, 0x26, (uint8_t)(0xc0 | n << 3), 0x0f, 0x24, (uint8_t)(0xc3 | n << 3), 0xf4};
            struct bare *b = machine(cases[k].model, code, sizeof code);
            b->cpu->s.gpr[REG_RAX] = 0x12345000;
            bare_run(b, 10, 0);
            t_context("%s, TR%u", cases[k].model, n);
            bool there = n >= cases[k].first;
            EXPECT_EQ(b->cpu->s.rip, there ? CODE + 7 : 0x601);
            EXPECT(!there || b->cpu->s.gpr[REG_RBX] == 0x12345000);
            bare_free(b);
        }
    }
}

/* A look-up of the TLB says "miss". */
TEST(test_register_look_up)
{
    /* mov tr7, ebx; mov tr6, eax; mov ecx, tr7; hlt */
    static const uint8_t code[] = {0x0f, 0x26, 0xfb, 0x0f, 0x26, 0xf0, 0x0f, 0x24, 0xf9, 0xf4};
    struct bare *b = machine("386", code, sizeof code);
    b->cpu->s.gpr[REG_RBX] = 0x5010;
    b->cpu->s.gpr[REG_RAX] = 0x4001;
    bare_run(b, 10, 0);
    EXPECT_EQ(b->cpu->s.gpr[REG_RCX], 0x5000);
    bare_free(b);
}
