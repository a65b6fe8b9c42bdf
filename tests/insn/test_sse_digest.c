/*
 * Vector instructions give the same bits on every host: a digest over some cases of each row, as
 * recorded on an x86-64 where test_sse_native holds the same cases' kind equal to the processor.
 *
 * A row that is added or changed moves its map's digest: run with SSE_DIGEST=rows to see each
 * row's, and put the new sum here once test_sse_native passes.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/flags.h"
#include "cpu/mem.h"
#include "tests/insn/sse_gen.h"
#include "tests/lib/bare.h"

#define CASES 24

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 29;
}

static uint64_t state_digest(struct cpu *cpu, uint64_t h)
{
    const struct x87 *f = &cpu->s.fpu[0];
    uint8_t mem[DATA_SIZE];
    for (unsigned k = 0; k < 16; k++) {
        h = mix(h, cpu->s.gpr[k]);
    }
    for (unsigned k = 0; k < 64; k++) {
        h = mix(h, cpu->s.ymm[k]);
    }
    h = mix(mix(mix(h, flags_arith(cpu)), cpu->s.mxcsr), f->sw | (uint64_t)f->empty << 16);
    for (unsigned k = 0; k < 8; k++) {
        h = mix(mix(h, f->m[k]), f->se[k]);
    }
    mem_rd_buf(cpu, SEG_DS, DATA, mem, DATA_SIZE, cpu->view);
    for (unsigned k = 0; k < DATA_SIZE; k += 8) {
        h = mix(h, le64_get(mem + k));
    }
    return h;
}

static uint64_t row_digest(struct cpu *cpu, struct sse_gen *g, const struct insn_row *r)
{
    uint64_t h = r->op | (uint64_t)r->pp << 8 | (uint64_t)r->reg << 16;
    for (const char *p = r->name; *p; p++) {
        h = mix(h, (uint8_t)*p);
    }
    g->rng.state = h;
    for (unsigned n = 0; n < CASES; n++) {
        struct sse_code c = sse_gen_case(g, r, false);
        sse_load(cpu, g->in);
        mem_wr_buf(cpu, SEG_DS, DATA, g->data, DATA_SIZE, cpu->view);
        h = mix(h, (uint64_t)(int64_t)sse_run(cpu, &c));
        h = state_digest(cpu, h);
    }
    return h;
}

static void check_map(unsigned map, uint64_t want)
{
    static struct side side;
    static uint8_t data[DATA_SIZE];
    const char *show = getenv("SSE_DIGEST");
    struct sse_gen g = {.in = &side, .data = data};
    struct bare *b = bare_new("", 0x400000);
    uint64_t sum = 0;
    bare_mode(b, 64, 3);
    for (unsigned k = 0; k < insn_row_count; k++) {
        const struct insn_row *r = &insn_rows[k];
        if (r->map == map && sse_gen_row(r)) {
            uint64_t h = row_digest(b->cpu, &g, r);
            sum += h;
            if (show) {
                printf("%u %02x %u %u %s %016" PRIx64 "\n", map, r->op, r->pp, r->reg, r->name, h);
            }
        }
    }
    bare_free(b);
    EXPECT_EQ(sum, want);
}

TEST(map_0f)
{
    check_map(MAP_0F, UINT64_C(0xaecc9ee5ebcdf906));
}

TEST(map_0f38)
{
    check_map(MAP_0F38, UINT64_C(0x9842eef2ea6aeaaf));
}

TEST(map_0f3a)
{
    check_map(MAP_0F3A, UINT64_C(0xa4f6700fca3f193a));
}

TEST(map_vex_0f)
{
    check_map(MAP_V0F, UINT64_C(0xcf362330bf7b0027));
}

TEST(map_vex_0f38)
{
    check_map(MAP_V0F38, UINT64_C(0xf6c30653fa24c046));
}

TEST(map_vex_0f3a)
{
    check_map(MAP_V0F3A, UINT64_C(0x9377c5b20e0358d8));
}
