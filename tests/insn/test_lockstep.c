/*
 * Lockstep notices each kind of difference: the test plays compiled code that does right, or wrong
 * in one way. And random code in slices runs under it without one.
 */
#include <string.h>

#include "cpu/block.h"
#include "cpu/flags.h"
#include "cpu/lockstep.h"
#include "tests/lib/bare.h"
#include "tests/t.h"

enum { CODE = 0x8000, DATA = 0x20000, RAM_BYTES = 1 << 18 };

/* add rax, rbx; mov [rcx], eax; jmp to itself */
static const uint8_t code[] = {0x48, 0x01, 0xd8, 0x89, 0x01, 0xeb, 0xfe};

struct fake {
    struct bare *b;
    struct lockstep *ls;
};

static bool begin(struct fake *f)
{
    f->b = bare_new("", RAM_BYTES);
    if (f->b->engine) {
        bare_free(f->b); /* T_ENGINE */
        return false;
    }
    ram_write(&f->b->ram, CODE, code, sizeof code);
    bare_mode(f->b, 64, 0);
    struct cpu *cpu = f->b->cpu;
    cpu->s.gpr[REG_RAX] = 5;
    cpu->s.gpr[REG_RBX] = 7;
    cpu->s.gpr[REG_RCX] = DATA + 8;
    cpu->s.rip = CODE;
    cpu_restored(cpu);
    f->ls = lockstep_new(cpu);
    cpu->budget = 100;
    lockstep_begin(f->ls, block_lookup(cpu), 0);
    return f->ls != NULL;
}

/* What compiled code would do: two instructions, its store through the soft TLB. */
static void play(struct fake *f, uint32_t value, uint64_t to)
{
    struct cpu *cpu = f->b->cpu;
    cpu->s.gpr[REG_RAX] = 12;
    flags_set_carry(cpu, 8, 12, (5 & 7) | ((5 | 7) & ~UINT64_C(12)));
    tlb_refill(&cpu->tlb, &cpu->walk, cpu->mem, to, ACC_WRITE, cpu->view);
    le32_put(ram_write_ptr(&f->b->ram, to >> PAGE_BITS) + (to & ~PAGE_MASK), value);
    cpu->s.rip = CODE + 5;
    cpu->budget = 98;
}

/* End the stretch; want a report that holds `text`, or none. Ends the fake. */
static void end(struct fake *f, const char *text)
{
    bool ok = lockstep_end(f->ls, 0, false);
    const char *report = lockstep_report(f->ls);
    if (!text) {
        EXPECT(ok && !report);
        EXPECT_EQ(f->b->cpu->s.gpr[REG_RAX], 12);
    } else {
        EXPECT(!ok);
        if (EXPECT(report != NULL) && !EXPECT(strstr(report, text) != NULL)) {
            t_context("the report is: %s", report);
            FAIL("no \"%s\" in it", text);
        }
    }
    lockstep_free(f->ls);
    bare_free(f->b);
}

TEST(what_is_right_passes)
{
    struct fake f;
    if (!begin(&f)) {
        SKIP("the engine is another one");
        return;
    }
    play(&f, 12, DATA + 8);
    end(&f, NULL);
}

TEST(a_wrong_register_is_reported)
{
    struct fake f;
    if (!begin(&f)) {
        SKIP("the engine is another one");
        return;
    }
    play(&f, 12, DATA + 8);
    f.b->cpu->s.gpr[REG_RDX] ^= 1;
    end(&f, "gpr[2]: compiled 0x");
}

TEST(a_wrong_flag_is_reported)
{
    struct fake f;
    if (!begin(&f)) {
        SKIP("the engine is another one");
        return;
    }
    play(&f, 12, DATA + 8);
    flags_set_cf(f.b->cpu, true);
    end(&f, "rflags: compiled");
}

TEST(a_wrong_vector_or_x87_register_is_reported)
{
    struct fake f;
    if (!begin(&f)) {
        SKIP("the engine is another one");
        return;
    }
    play(&f, 12, DATA + 8);
    f.b->cpu->s.ymm[4] = 1;
    f.b->cpu->s.fpu->sw ^= 0x3800;
    end(&f, "ymm[4]: compiled 0x1, interpreted 0x0");
}

TEST(a_wrong_store_is_reported)
{
    struct fake f;
    if (!begin(&f)) {
        SKIP("the engine is another one");
        return;
    }
    play(&f, 13, DATA + 8);
    end(&f, "memory 0x20008: compiled 0d, interpreted 0c, before 00");
}

TEST(a_store_too_many_is_reported)
{
    struct fake f;
    if (!begin(&f)) {
        SKIP("the engine is another one");
        return;
    }
    play(&f, 1, DATA + 0x1000);
    play(&f, 12, DATA + 8);
    end(&f, "memory 0x21000: compiled 01, interpreted 00, before 00");
}

TEST(a_missing_store_is_reported)
{
    struct fake f;
    if (!begin(&f)) {
        SKIP("the engine is another one");
        return;
    }
    play(&f, 0, DATA + 0x1000);
    end(&f, "memory 0x20008: compiled 00, interpreted 0c, before 00");
}

TEST(a_wrong_count_is_reported)
{
    struct fake f;
    if (!begin(&f)) {
        SKIP("the engine is another one");
        return;
    }
    play(&f, 12, DATA + 8);
    f.b->cpu->budget++;
    end(&f, "rip: compiled 0x8005, interpreted 0x8003");
}

TEST(the_report_shows_the_block)
{
    struct fake f;
    if (!begin(&f)) {
        SKIP("the engine is another one");
        return;
    }
    play(&f, 13, DATA + 8);
    end(&f, "MOV.4 [rcx], rax");
}
