/* The decoder where a row's conditions are unusual. What each instruction does is tested elsewhere.
 */
#include "cpu/model.h"
#include "cpu/sem.h"
#include "tests/t.h"

static enum decode_status decode(uint32_t mode, const void *bytes, unsigned n, struct insn *i)
{
    uint64_t features[FEAT_WORDS];
    cpu_model_features(&cpu_models[0], features);
    struct decode_in in = {bytes, n, mode, 0, features};
    return insn_decode(&in, i);
}

/* MOV CR and DR take modrm.rm as a register whatever mod says, and no displacement follows. */
TEST(mov_cr_does_not_look_at_mod)
{
    static const uint8_t code[4][7] = {{0x0f, 0x20, 0x05, 1, 2, 3, 4},
                                       {0x0f, 0x22, 0x5c, 1, 2, 3, 4},
                                       {0x0f, 0x21, 0x84, 1, 2, 3, 4},
                                       {0x0f, 0x23, 0xc7, 1, 2, 3, 4}};
    static const uint8_t rm[4] = {5, 4, 4, 7};
    for (unsigned k = 0; k < 4; k++) {
        struct insn i;
        EXPECT_EQ(decode(MODE_C32 | MODE_PROT, code[k], 7, &i), DECODE_OK);
        EXPECT_EQ(i.len, 3);
        EXPECT_EQ(i.rm, rm[k]);
        EXPECT_EQ(k & 1 ? i.rb : i.ra, reg_off(rm[k], 4, false));
    }
}

TEST(an_instruction_has_fifteen_bytes_at_most)
{
    uint8_t code[16] = {0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
                        0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90, 0x90};
    struct insn i;
    EXPECT_EQ(decode(MODE_C32, code, 16, &i), DECODE_OK);
    EXPECT_EQ(i.len, 15);
    code[14] = 0x66;
    EXPECT_EQ(decode(MODE_C32, code, 16, &i), DECODE_TOOLONG);
    EXPECT_EQ(decode(MODE_C32, code, 14, &i), DECODE_MORE);
}

TEST(rip_relative_addresses_count_from_the_block)
{
    static const uint8_t code[] = {0x8b, 0x05, 0x10, 0, 0, 0}; /* mov eax, [rip + 16] */
    uint64_t features[FEAT_WORDS];
    cpu_model_features(&cpu_models[0], features);
    struct decode_in in = {code, sizeof code, MODE_C64 | MODE_PROT, 100, features};
    struct insn i;
    EXPECT_EQ(insn_decode(&in, &i), DECODE_OK);
    EXPECT_EQ(i.base, offsetof(struct cpu, blk_rip));
    EXPECT_EQ(i.disp, 100 + 6 + 16);
}
