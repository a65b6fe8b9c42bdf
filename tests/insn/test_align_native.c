/*
 * Misaligned operands with and without EFLAGS.AC against the host's own CPU: which of #AC, #GP or
 * nothing each kind of instruction gives at which misalignment.
 */
#include "tests/t.h"

#if !defined(__x86_64__)

TEST(align_native)
{
    SKIP("the host is not x86-64");
}

#else

#include <string.h>

#include "cpu/mem.h"
#include "tests/insn/sse_gen.h"
#include "tests/lib/bare.h"

/* Every operand is at [rdi]. `may`: processors differ in whether it is #AC (SDM, the instruction's
 * page), so either fault will do. */
static const struct {
    const char *name;
    struct sse_code code;
    bool may, avx;
} list[] = {
    {"fxsave", {{0x0f, 0xae, 0x07}, 3}, true, false},
    {"fxsave64", {{0x48, 0x0f, 0xae, 0x07}, 4}, true, false},
    {"fxrstor", {{0x0f, 0xae, 0x0f}, 3}, true, false},
    {"xsave", {{0x0f, 0xae, 0x27}, 3}, true, true},
    {"xrstor", {{0x0f, 0xae, 0x2f}, 3}, true, true},
    {"movaps", {{0x0f, 0x28, 0x07}, 3}, false, false},
    {"movdqa st", {{0x66, 0x0f, 0x7f, 0x07}, 4}, false, false},
    {"movups", {{0x0f, 0x10, 0x07}, 3}, false, false},
    {"addps", {{0x0f, 0x58, 0x07}, 3}, false, false},
    {"lddqu", {{0xf2, 0x0f, 0xf0, 0x07}, 4}, false, false},
    {"movq", {{0xf3, 0x0f, 0x7e, 0x07}, 4}, false, false},
    {"pcmpistri", {{0x66, 0x0f, 0x3a, 0x63, 0x07, 0}, 6}, false, false},
    {"vmovups ymm", {{0xc5, 0xfc, 0x10, 0x07}, 4}, false, true},
    {"vmovaps ymm", {{0xc5, 0xfc, 0x28, 0x07}, 4}, false, true},
    {"vaddps", {{0xc5, 0xf8, 0x58, 0x07}, 4}, false, true},
    {"vmaskmovps", {{0xc4, 0xe2, 0x79, 0x2c, 0x07}, 5}, false, true},
    {"vmaskmovps st", {{0xc4, 0xe2, 0x79, 0x2e, 0x07}, 5}, false, true},
    {"vpmaskmovq st", {{0xc4, 0xe2, 0xf9, 0x8e, 0x07}, 5}, false, true},
    {"maskmovdqu", {{0x66, 0x0f, 0xf7, 0xc2}, 4}, false, false},
    {"maskmovq", {{0x0f, 0xf7, 0xc1}, 3}, false, false},
    {"vgatherdps", {{0xc4, 0xe2, 0x69, 0x92, 0x04, 0x0f}, 6}, false, true},
    {"vgatherqpd", {{0xc4, 0xe2, 0xe9, 0x93, 0x04, 0x0f}, 6}, false, true},
    {"vmovups ymm st", {{0xc5, 0xfc, 0x11, 0x07}, 4}, false, true},
    {"movdqu st", {{0xf3, 0x0f, 0x7f, 0x07}, 4}, false, false},
    {"vpaddb ymm", {{0xc5, 0xfd, 0xfc, 0x07}, 4}, false, true},
    {"vbroadcastf128", {{0xc4, 0xe2, 0x7d, 0x1a, 0x07}, 5}, false, true},
    {"vinsertf128", {{0xc4, 0xe3, 0x7d, 0x18, 0x07, 1}, 6}, false, true},
    {"vextractf128", {{0xc4, 0xe3, 0x7d, 0x19, 0x07, 1}, 6}, false, true},
    {"cvtps2pd", {{0x0f, 0x5a, 0x07}, 3}, false, false},
    {"vcvtpd2ps ymm", {{0xc5, 0xfd, 0x5a, 0x07}, 4}, false, true},
    {"fld m80", {{0xdb, 0x2f}, 2}, false, false},
    {"fstp m80", {{0xdb, 0x3f}, 2}, false, false},
    {"fbld", {{0xdf, 0x27}, 2}, false, false},
    {"fistp m64", {{0xdf, 0x3f}, 2}, false, false},
    {"fnstenv", {{0xd9, 0x37}, 2}, false, false},
    {"fnsave", {{0xdd, 0x37}, 2}, false, false},
    {"ldmxcsr", {{0x0f, 0xae, 0x17}, 3}, false, false},
    {"cmpxchg16b", {{0x48, 0x0f, 0xc7, 0x0f}, 4}, false, false},
    {"mov eax", {{0x8b, 0x07}, 2}, false, false},
    {"add [m16]", {{0x66, 0x01, 0x07}, 3}, false, false},
};

TEST(align_native)
{
    struct native *nat = native_open();
    struct bare *b = bare_new("", 0x400000);
    uint8_t *data = (void *)(uintptr_t)NATIVE_DATA;
    unsigned long passed = 0, failed = 0, skipped = 0;
    bare_mode(b, 64, 3);
    b->cpu->s.cr0 |= CR0_AM; /* as Linux has it */
    for (unsigned k = 0; k < ARRAY_LEN(list) * 2 * 64; k++) {
        unsigned n = k / 128, off = k & 63;
        bool ac = k & 64;
        if (list[n].avx && !__builtin_cpu_supports("avx2")) {
            skipped++;
            continue;
        }
        memset(&nat->in, 0, sizeof nat->in);
        memset(data, 0, 4096);
        le16_put(nat->in.fx, 0x37f);
        le32_put(nat->in.fx + 24, 0x1f80);
        le32_put(data + off,
                 0x037f);     /* an image to restore, and an MXCSR without its reserved bits */
        nat->in.fx[4] = 0x80; /* one register is in use: R7, ST(0) */
        le16_put(nat->in.fx + 2, 7 << 11);
        nat->in.gpr[REG_RAX] = 7;
        nat->in.gpr[REG_RDI] = NATIVE_DATA + off;
        nat->in.flags = 0x202 | (ac ? FL_AC : 0);
        memset(&nat->in.ymm[0], 0xff, 4 * sizeof nat->in.ymm[0]);
        memset(&nat->in.ymm[8], 0xff, 4 * sizeof nat->in.ymm[0]);
        b->cpu->s.rflags = nat->in.flags;
        cpu_restored(b->cpu);
        sse_load(b->cpu, &nat->in);
        mem_wr_buf(b->cpu, SEG_DS, NATIVE_DATA, data, 4096, b->cpu->view);
        int host = native_run(list[n].code.b, list[n].code.n),
            ours = sse_run(b->cpu, &list[n].code);
        bool either = list[n].may && ac && (host == EXC_AC || host == EXC_GP);
        if (host == ours || (either && (ours == EXC_AC || ours == EXC_GP))) {
            passed++;
        } else {
            FAIL("%s at +%u, AC %d: host %d, ours %d", list[n].name, off, ac, host, ours);

            failed++;
        }
    }
    bare_free(b);
    t_cases(passed, failed, skipped);
}

#endif
