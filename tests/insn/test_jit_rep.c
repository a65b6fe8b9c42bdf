/*
 * String instructions with REP, compiled: every element size, counts from none to pages, both
 * directions, operands that overlap or cross pages or hold code, budgets that end anywhere. Two
 * machines take the same steps, one interprets.
 */
#include <string.h>

#include "tests/lib/bare.h"
#include "tests/t.h"
#include "util/bits.h"

enum { CODE = 0x8000, MEMORY = 0x20000 };

static uint64_t state;

static unsigned below(unsigned n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 20) % n;
}

/* add eax, 7; [cmp ebx, ecx]; rep insn; adc edx, 0; jmp back */
static unsigned program(uint8_t *p, unsigned bits, bool flags)
{
    static const uint8_t ops[] = {0xa4, 0xa5, 0xaa, 0xab, 0xa6, 0xa7, 0xae, 0xaf};
    unsigned n = 0;
    if (flags) {
        memcpy(p, "\x39\xcb", 2);
        n = 2;
    }
    p[n++] = below(2) ? 0xf2 : 0xf3;
    switch (below(bits == 64 ? 3 : 2)) {
    case 1:
        p[n++] = 0x66;
        break;
    case 2:
        p[n++] = 0x48;
        break;
    default:
        break;
    }
    p[n++] = ops[below(ARRAY_LEN(ops))];
    memcpy(p + n, "\x83\xd2\x00\xeb", 4);
    n += 4;
    p[n] = (uint8_t) - (int)(n + 1);
    return n + 1;
}

static unsigned somewhere(void)
{
    switch (below(6)) {
    case 0:
        return 0x10000 + below(0x3000);
    case 1: /* a page's end */
        return 0x11000 - below(40);
    case 2: /* beside code, or code */
        return CODE + below(64);
    case 3: /* no such memory */
        return MEMORY - below(64);
    default:
        return 0x10000 + below(256);
    }
}

static void steps(struct bare *b, struct bare *j, unsigned bits)
{
    uint8_t code[32];
    unsigned n = program(code, bits, below(2));
    struct bare *both[2] = {b, j};
    for (unsigned k = 0; k < 2; k++) {
        ram_write(&both[k]->ram, CODE, code, n);
    }
    for (unsigned run = 0; run < 6; run++) {
        uint64_t regs[] = {below(2) ? 0 : below(~0u), below(8) ? below(80) : below(9000), 0, 0};
        regs[2] = somewhere();
        regs[3] = below(3) ? somewhere() : regs[2] + below(9) - 4;
        unsigned units = below(3) ? 200 + below(4000) : 1 + below(60);
        bool down = below(6) == 0, same = below(2);
        for (unsigned k = 0; k < 2; k++) {
            struct cpu *c = both[k]->cpu;
            c->s.rip = CODE;
            c->s.rflags = 2 | (down ? FL_DF : 0);
            c->s.gpr[REG_RAX] = regs[0];
            c->s.gpr[REG_RCX] = regs[1];
            c->s.gpr[REG_RSI] = regs[2];
            c->s.gpr[REG_RDI] = regs[3];
            c->s.activity = CPU_RUNNING;
            if (same) { /* long runs of equal bytes */
                static const uint8_t zeros[0x800];
                ram_write(&both[k]->ram, 0x10800, zeros, sizeof zeros);
            }
            cpu_restored(c);
            bare_run(both[k], units, 0);
        }
        EXPECT_EQ(bare_digest(j), bare_digest(b));
    }
}

TEST(rep_is_the_same_compiled)
{
    unsigned rounds = (unsigned)t_amount(300, 1500, 20000);
    for (unsigned k = 0; k < rounds; k++) {
        unsigned bits = k % 2 ? 64 : 32;
        state = 0x9e3779b97f4a7c15 * (k + 1);
        struct bare *b = bare_new("", MEMORY), *j = bare_new("", MEMORY);
        if (!j->engine) {
            bare_engine(j, &(struct engine_options){
                               .jit = k % 3 != 0, .lockstep = k % 3 == 0, .threshold = 1});
        }
        bare_mode(b, bits, 0);
        bare_mode(j, bits, 0);
        t_context("program %u", k);
        steps(b, j, bits);
        bare_free(b);
        bare_free(j);
    }
}
