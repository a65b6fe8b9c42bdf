/* Disassembly for people: lengths never run past the bytes; text where capstone is there. */
#include <string.h>

#include "config.h"
#include "tests/t.h"
#include "util/disasm.h"

TEST(an_instruction_has_its_bytes_and_text)
{
    static const uint8_t code[] = {0x48, 0x89, 0xe5};
    char out[64];
    size_t n = disasm_insn(64, 0x1000, code, sizeof code, out, sizeof out);
    EXPECT(strncmp(out, "48 ", 3) == 0);
#if HAVE_CAPSTONE
    EXPECT_EQ(n, 3);
    EXPECT(strstr(out, "mov rbp, rsp") != NULL);
#else
    EXPECT_EQ(n, 1);
#endif
}

TEST(garbage_takes_one_byte)
{
    static const uint8_t code[] = {0xff, 0xff, 0xff};
    char out[8]; /* shorter than the text: cut, terminated */
    EXPECT_EQ(disasm_insn(32, 0, code, sizeof code, out, sizeof out), 1);
    EXPECT(strlen(out) < sizeof out);
}
