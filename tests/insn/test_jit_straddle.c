/*
 * An instruction that straddles into a second page, compiled: its second page changes under it, by
 * another mapping (INVLPG, MOV CR3) and by stores into it, and the guest sees what the interpreter
 * does. Nothing but the table of jumps may lead to such code, since a link would outlive a mapping.
 */
#include <string.h>

#include "tests/lib/bare.h"
#include "tests/t.h"

enum { PD = 0x1000, PT = 0x2000, CODE = 0x8000, SECOND = 0x9000, OTHER = 0xa000 };
enum { PTE = PT + 4 * (SECOND >> 12), UNITS = 40000 };

/* flush: invlpg [SECOND], or mov cr3, ecx twice. store: also inc dword [SECOND], now and then. */
static uint64_t run(const struct engine_options *o, bool invlpg, bool store)
{
    static const uint8_t code[] = {
        0x89, 0xd0,                         /* 00 mov eax, edx */
        0x83, 0xe0, 0x07,                   /* 02 and eax, 7 */
        0x75, 0x12,                         /* 05 jnz 19 */
        0x81, 0x35, 0,    0,    0,    0,    /* 07 xor dword [PTE], SECOND ^ OTHER */
        0,    0,    0,    0,                /* */
        0x90, 0x90, 0x90, 0x90, 0x90, 0x90, /* 11 */
        0x90, 0x90,                         /* 17 */
        0xf7, 0xc2, 0x1f, 0,    0,    0,    /* 19 test edx, 31 */
        0x75, 0x06,                         /* 1f jnz 27 */
        0x90, 0x90, 0x90, 0x90, 0x90, 0x90, /* 21 */
        0x42,                               /* 27 inc edx */
        0xe9, 0xd1, 0x0f, 0,    0,          /* 28 jmp 8ffe; 2d */
    };
    uint8_t p[sizeof code], again[] = {0xe9, 0xf7, 0xef, 0xff, 0xff}; /* at 9004: jmp 8000 */
    struct bare *b = bare_new("", 0x20000);
    memcpy(p, code, sizeof p);
    le_put(p + 9, 4, PTE);
    le_put(p + 13, 4, SECOND ^ OTHER);
    if (invlpg) {
        memcpy(p + 0x11, "\x0f\x01\x3d", 3);
        le_put(p + 0x14, 4, SECOND);
    } else {
        memcpy(p + 0x11, "\x0f\x22\xd9\x0f\x22\xd9", 6);
    }
    if (store) {
        memcpy(p + 0x21, "\xff\x05", 2);
        le_put(p + 0x23, 4, SECOND);
    }
    ram_write(&b->ram, CODE, p, sizeof p);
    ram_write(&b->ram, SECOND - 2, "\x81\xc3", 2); /* add ebx, what the second page begins with */
    for (unsigned k = 0; k < 2; k++) {
        ram_write(&b->ram, (k ? OTHER : SECOND), k ? "\x03\x02\x01\x55" : "\x07\x00\x30\x00", 4);
        ram_write(&b->ram, (k ? OTHER : SECOND) + 4, again, sizeof again);
    }
    uint8_t e[4];
    le_put(e, 4, PT | 7);
    ram_write(&b->ram, PD, e, 4);
    for (unsigned k = 0; k < 32; k++) {
        le_put(e, 4, k << 12 | 7);
        ram_write(&b->ram, PT + 4 * k, e, 4);
    }
    if (o && !b->engine) {
        bare_engine(b, o);
    }
    bare_mode(b, 32, 0);
    b->cpu->s.cr3 = PD;
    b->cpu->s.cr0 |= CR0_PG | CR0_PE;
    b->cpu->s.gpr[REG_RCX] = PD;
    b->cpu->s.rip = CODE;
    b->cpu->s.rflags = FL_1;
    cpu_restored(b->cpu);
    bare_run(b, UNITS, 0);
    EXPECT(b->cpu->s.gpr[REG_RDX] > UNITS / 16); /* it went round */
    uint64_t digest = bare_digest(b);
    bare_free(b);
    return digest;
}

TEST(the_second_page_changes)
{
    static const struct engine_options ways[] = {
        {.jit = true, .threshold = 1, .buffer = 1u << 20},
        {.jit = true, .threshold = 3, .super = 1, .buffer = 1u << 20},
        {.lockstep = true, .threshold = 1, .buffer = 1u << 20},
    };
    for (unsigned k = 0; k < 4; k++) {
        uint64_t want = run(NULL, k & 1, k & 2);
        for (unsigned w = 0; w < ARRAY_LEN(ways); w++) {
            t_context("%s%s, way %u", k & 1 ? "invlpg" : "cr3", k & 2 ? ", stores" : "", w);
            EXPECT_EQ(run(&ways[w], k & 1, k & 2), want);
        }
    }
}
