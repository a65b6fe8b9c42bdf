/*
 * A code buffer that is too small: code is evicted region by region while links, jump-table entries
 * and calls lead to it from code that stays, and nothing of it shows. And more decoded blocks than
 * the cache holds: those that ran a few times go, code stays.
 */
#include <string.h>

#include "tests/lib/bare.h"
#include "tests/t.h"

enum { CODE = 0x10000, BLOCKS = 4096, STEP = 32, RAM_BYTES = 1 << 19, STACK = 0xf000 };

/* BLOCKS blocks in a ring, each of its own: arithmetic, a store, and a way on: to the next one by
 * jump, by a conditional jump that skips one, by a call that drops its return address, or by an
 * indirect jump. One in each page is hot: it loops for a while. */
static void put_code(struct bare *b, uint64_t seed)
{
    struct t_rng rng = {seed};
    for (uint32_t k = 0; k < BLOCKS; k++) {
        uint32_t at = CODE + k * STEP, next = CODE + (k + 1) % BLOCKS * STEP;
        uint8_t c[STEP];
        unsigned n = 0;
        memset(c, 0x90, sizeof c);
        c[n++] = 0x48, c[n++] = 0x05; /* add rax, imm32 */
        le32_put(c + n, (uint32_t)t_rand(&rng));
        n += 4;
        c[n++] = 0x48, c[n++] = 0xd1, c[n++] = 0xc0; /* rol rax, 1 */
        c[n++] = 0x89, c[n++] = 0x03;                /* mov [rbx], eax */
        if (k % 128 == 64) {
            c[n++] = 0xff, c[n++] = 0xca;               /* dec edx */
            c[n++] = 0x75, c[n] = (uint8_t)(0 - n - 1); /* jnz to the start */
            n++;
            c[n++] = 0xba; /* mov edx, 20 */
            le32_put(c + n, 20);
            n += 4;
        }
        switch (t_rand_below(&rng, 4)) {
        case 0: /* push the target, ret */
            c[n++] = 0x68;
            le32_put(c + n, next);
            n += 4;
            c[n++] = 0xc3;
            break;
        case 1: /* jc to the next, or jump there */
            c[n++] = 0x0f, c[n++] = 0x82;
            le32_put(c + n, next - (at + n + 4));
            n += 4;
            /* fall through */
        default:
            c[n++] = 0xe9;
            le32_put(c + n, next - (at + n + 4));
            break;
        }
        ram_write(&b->ram, at, c, sizeof c);
    }
}

static uint64_t run(const struct engine_options *o, uint64_t seed, uint64_t n, struct jit_stats *s)
{
    struct bare *b = bare_new("", RAM_BYTES);
    if (o && !b->engine) {
        bare_engine(b, o);
    }
    put_code(b, seed);
    bare_mode(b, 64, 0);
    b->cpu->s.gpr[REG_RBX] = 0x8000;
    b->cpu->s.gpr[REG_RDX] = 20;
    b->cpu->s.gpr[REG_RSP] = STACK;
    b->cpu->s.rip = CODE;
    cpu_restored(b->cpu);
    bare_run(b, n, 3333);
    *s = b->engine ? engine_stats(b->engine) : (struct jit_stats){0};
    bool has = b->engine && engine_has_jit(b->engine);
    uint64_t digest = bare_digest(b);
    bare_free(b);
    s->blocks = has ? s->blocks : UINT64_MAX;
    return digest;
}

TEST(a_small_buffer_is_evicted_by_regions)
{
    static const struct engine_options ways[] = {
        {.jit = true, .threshold = 1, .buffer = 64u << 10},
        {.jit = true, .threshold = 2, .buffer = 128u << 10},
        {.jit = true, .threshold = 1, .buffer = 64u << 10, .count = true},
        {.jit = true, .threshold = 1, .buffer = 64u << 10, .no_links = true},
        {.lockstep = true, .threshold = 1, .buffer = 96u << 10},
    };
    uint64_t n = t_amount(200000, 1000000, 20000000), seed = t_seed();
    struct jit_stats s;
    uint64_t want = run(NULL, seed, n, &s);
    for (unsigned k = 0; k < ARRAY_LEN(ways); k++) {
        t_context("way %u", k);
        EXPECT_EQ(run(&ways[k], seed, n, &s), want);
        if (s.blocks == UINT64_MAX) {
            SKIP("no back end for this host");
            return;
        }
        EXPECT(s.evictions > 10);
        EXPECT(s.evicted > s.evictions);
        EXPECT(s.blocks > 0 && s.code_bytes <= 128u << 10);
        EXPECT(s.memory < 1u << 20); /* sites are used again */
        EXPECT_EQ(s.resets, 0);
    }
}

/* A loop, then many blocks of one jump to the next each, then the loop again. */
static uint64_t run_many(const struct engine_options *o, struct block_stats *s, struct jit_stats *j)
{
    enum { MANY = 0x20000, COUNT = 100000 };
    /* mov edx, 100; add rax, rcx; ror rax, 5; dec edx; jnz -11; jmp MANY */
    static const uint8_t loop[] = {0xba, 100,  0,    0,    0,    0x48, 0x01, 0xc8, 0x48,
                                   0xc1, 0xc8, 0x05, 0xff, 0xca, 0x75, 0xf5, 0xe9};
    struct bare *b = bare_new("", RAM_BYTES);
    if (!b->engine) {
        bare_engine(b, o);
    }
    uint8_t jump[4];
    ram_write(&b->ram, CODE, loop, sizeof loop);
    le32_put(jump, MANY - (CODE + sizeof loop + 4));
    ram_write(&b->ram, CODE + sizeof loop, jump, 4);
    for (uint32_t k = 0; k < COUNT; k++) {
        static const uint8_t next[] = {0xeb, 0};
        ram_write(&b->ram, MANY + 2 * k, next, 2);
    }
    static const uint8_t again[] = {0xe9};
    ram_write(&b->ram, MANY + 2 * COUNT, again, 1);
    le32_put(jump, (uint32_t)CODE - (MANY + 2 * COUNT + 5));
    ram_write(&b->ram, MANY + 2 * COUNT + 1, jump, 4);
    bare_mode(b, 64, 0);
    b->cpu->s.gpr[REG_RAX] = 1;
    b->cpu->s.gpr[REG_RCX] = 12345;
    b->cpu->s.rip = CODE;
    cpu_restored(b->cpu);
    bare_run(b, COUNT + 700, 3333);
    *j = b->engine ? engine_stats(b->engine) : (struct jit_stats){0};
    *s = block_cache_stats(b->blocks);
    uint64_t digest = bare_digest(b);
    bare_free(b);
    return digest;
}

TEST(blocks_that_ran_once_make_room_and_code_stays)
{
    struct block_stats interp, blocks;
    struct jit_stats none, code;
    uint64_t want = run_many(&(struct engine_options){0}, &interp, &none);
    EXPECT_EQ(run_many(&(struct engine_options){.jit = true}, &blocks, &code), want);
    EXPECT(interp.trims == 1 && blocks.trims == 1);
    EXPECT(blocks.flushes == 0 && blocks.bytes < 24u << 20);
    if (code.insns == 0) {
        SKIP("no back end for this host");
        return;
    }
    EXPECT_EQ(code.blocks, 1);
    EXPECT_EQ(code.resets, 0); /* nothing was flushed */
}
