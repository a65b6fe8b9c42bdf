/*
 * How many host instructions each back end emits, by class, for hot guest instructions and
 * sequences: worse code is a visible difference. The golden file is tests/insn/golden/HOST.txt;
 * to rewrite it after a change that is meant:
 *
 *     T_GOLDEN=write BUILD=. ./tests/insn/test_jit_golden      (in the build folder)
 *
 * A row that needs more instructions (without the cold ones) fails; one that needs fewer is shown.
 *
 * Each sequence is a block of its own, ended by a jump to itself where it does not end in a
 * transfer, so "nothing" is what a block costs at least. Cold code is counted too.
 *
 * The x86-64 back end emits other code where the host lacks BMI2 or AVX2: no comparison there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/bare.h"
#include "tests/t.h"

enum { NAME_END = 35, CODE = 0x8000, DATA = 0x20000, RAM_BYTES = 1 << 18 };

struct row {
    unsigned bits;
    const char *name, *hex; /* guest code, in hexadecimal; blanks between instructions */
};

// clang-format off
static const struct row rows[] = {
    {64, "nothing (jmp to itself)",        "ebfe"},
    {64, "nop",                            "90"},
    {64, "mov eax, ebx",                   "89d8"},
    {64, "mov rax, rbx",                   "4889d8"},
    {64, "mov r12, r13",                   "4d89ec"},
    {64, "mov eax, imm",                   "b878563412"},
    {64, "mov rax, [rbx]",                 "488b03"},
    {64, "mov rax, [rbx+8]",               "488b4308"},
    {64, "mov rax, [rbx+rcx*8+8]",         "488b44cb08"},
    {64, "mov rax, [rip+16]",              "488b0510000000"},
    {64, "mov rax, [rsp+8]",               "488b442408"},
    {64, "mov rax, [r12]",                 "498b0424"},
    {64, "mov rax, fs:[rbx]",              "64488b03"},
    {64, "mov [rbx], rax",                 "488903"},
    {64, "mov [rbx], imm",                 "c70301000000"},
    {64, "mov [rbx], al",                  "8803"},
    {64, "movzx eax, byte [rbx]",          "0fb603"},
    {64, "movsxd rax, dword [rbx]",        "486303"},
    {64, "movzx eax, cl",                  "0fb6c1"},
    {64, "lea rax, [rbx+rcx*4+8]",         "488d448b08"},
    {64, "add rax, rbx",                   "4801d8"},
    {64, "add eax, 1",                     "83c001"},
    {64, "add ah, bl",                     "00dc"},
    {64, "add [rbx], eax",                 "0103"},
    {64, "add eax, [rbx]",                 "0303"},
    {64, "adc rax, rbx",                   "4811d8"},
    {64, "add rax, rbx; adc rcx, rdx",     "4801d8 4811d1"},
    {64, "xor eax, eax",                   "31c0"},
    {64, "cmp eax, 5",                     "83f805"},
    {64, "test eax, eax",                  "85c0"},
    {64, "inc eax",                        "ffc0"},
    {64, "dec [rbx]",                      "ff0b"},
    {64, "neg rax",                        "48f7d8"},
    {64, "not eax",                        "f7d0"},
    {64, "shl eax, 3",                     "c1e003"},
    {64, "shr rax, cl",                    "48d3e8"},
    {64, "sar eax, 31",                    "c1f81f"},
    {64, "rol eax, 5",                     "c1c005"},
    {64, "imul rax, rbx",                  "480fafc3"},
    {64, "imul eax, ebx, 10",              "6bc30a"},
    {64, "mul rbx",                        "48f7e3"},
    {64, "div ebx",                        "f7f3"},
    {64, "bt eax, 3",                      "0fbae003"},
    {64, "xchg rax, rbx",                  "4893"},
    {64, "bswap eax",                      "0fc8"},
    {64, "cmp eax, ebx; cmovl ecx, edx",   "39d8 0f4cca"},
    {64, "cmp eax, ebx; sete cl",          "39d8 0f94c1"},
    {64, "cdqe",                           "4898"},
    {64, "cqo",                            "4899"},
    {64, "push rbx",                       "53"},
    {64, "pop rbx",                        "5b"},
    {64, "push rbx; push rbp",             "53 55"},
    {64, "leave",                          "c9"},
    {64, "cmp eax, ebx; jne back",         "39d8 75fc"},
    {64, "test rax, rax; je back",         "4885c0 74fb"},
    {64, "dec ecx; jnz back",              "ffc9 75fc"},
    {64, "call next",                      "e800000000"},
    {64, "call far away",                  "e800100000"},
    {64, "ret",                            "c3"},
    {64, "jmp rax",                        "ffe0"},
    {64, "call rax",                       "ffd0"},
    {64, "jmp far away",                   "e900100000"},
    {64, "strlen's loop",                  "803c0700 7408 48ffc0"},
    {64, "sum of an array",                "488b04cf 4801c6 48ffc1 4839d1 75f1"},
    {64, "chase",                          "488b1b 4885db 75f8"},
    {64, "prologue",                       "55 4889e5 53 4883ec18"},
    {64, "epilogue",                       "4883c418 5b 5d c3"},
    {64, "addsd xmm0, xmm1",               "f20f58c1"},
    {64, "rep movsb",                      "f3a4"},
    {64, "rep stosq",                      "f348ab"},
    {32, "repne scasb",                    "f2ae"},
    {32, "repe cmpsd",                     "f3a7"},
    {64, "movsd xmm0, [rbx]",              "f20f1003"},
    {64, "movaps [rbx], xmm0",             "0f2903"},
    {64, "paddd xmm0, xmm1",               "660ffec1"},
    {64, "movdqu xmm0, [rbx]",             "f30f6f03"},
    {64, "fld qword [rbx]; fadd st1",      "dd03 d8c1"},
    {64, "fcomi st1; ja",                  "dbf1 7700"},
    {64, "fnstsw ax; fxch st2",            "dfe0 d9ca"},
    {64, "fstp qword [rbx]",               "dd1b"},
    {64, "cli",                            "fa"},
    {64, "sti; nop",                       "fb 90"},
    {64, "swapgs",                         "0f01f8"},
    {64, "stac",                           "0f01cb"},
    {32, "mov eax, [ebx]",                 "8b03"},
    {32, "mov [ebx], eax",                 "8903"},
    {32, "mov eax, [0x1234]",              "a134120000"},
    {32, "push ebx",                       "53"},
    {32, "pop ebx",                        "5b"},
    {32, "call next",                      "e800000000"},
    {32, "ret",                            "c3"},
    {32, "add eax, [ebp-8]",               "0345f8"},
};
// clang-format on

static unsigned unhex(const char *hex, uint8_t *code)
{
    unsigned n = 0;
    for (const char *p = hex; *p;) {
        unsigned v;
        if (*p == ' ') {
            p++;
        } else if (sscanf(p, "%2x", &v) == 1) {
            code[n++] = (uint8_t)v;
            p += 2;
        } else {
            break;
        }
    }
    return n;
}

/* Counts for one row into text. False: no back end here. */
static bool measure(const struct row *r, char *text, size_t size)
{
    uint8_t code[64];
    unsigned n = unhex(r->hex, code);
    code[n] = 0xeb; /* jmp to the start */
    code[n + 1] = (uint8_t)(0 - (n + 2));
    struct bare *b = bare_new("", RAM_BYTES);
    if (!b->engine) {
        bare_engine(b, &(struct engine_options){.jit = true, .threshold = 1, .buffer = 1u << 20});
    }
    if (!engine_has_jit(b->engine)) {
        bare_free(b);
        return false;
    }
    ram_write(&b->ram, CODE, code, n + 2);
    bare_mode(b, r->bits, 0);
    struct jit_stats s = {0};
    for (unsigned units = 1; units < 16 && !s.blocks; units++) {
        /* Only a block that fits the budget is compiled: so this one, once, and no other. */
        for (unsigned k = 0; k < 16; k++) {
            b->cpu->s.gpr[k] = DATA;
        }
        b->cpu->s.gpr[REG_RDX] = 0;
        b->cpu->s.fpu[0].cw = 0x37f; /* as FNINIT leaves it */
        b->cpu->s.rip = CODE;
        cpu_restored(b->cpu);
        bare_run(b, units, 0);
        s = engine_stats(b->engine);
    }
    bare_free(b);
    int at = snprintf(text, size, "%u %-32s", r->bits, r->name);
    for (unsigned k = 0; k < EMIT_COUNT && s.blocks; k++) {
        at += snprintf(text + at, size - (size_t)at, " %3u", (unsigned)s.emitted[k]);
    }
    if (!s.blocks) {
        snprintf(text + at, size - (size_t)at, " not compiled");
    }
    return true;
}

static void write_golden(const char *path)
{
    FILE *f = fopen(path, "w");
    if (!f) {
        FAIL("%s: cannot be written", path);
        return;
    }
    fprintf(f, "# Written by tests/insn/test_jit_golden: see its head.\n# bits, guest code,");
#define X(name, help) fprintf(f, " %s", #name);
    EMIT_CLASSES(X)
#undef X
    fprintf(f, "\n");
    for (unsigned k = 0; k < ARRAY_LEN(rows); k++) {
        char text[160];
        measure(&rows[k], text, sizeof text);
        fprintf(f, "%s\n", text);
    }
    fclose(f);
}

/* The next line that is no comment, without its end. False: none. */
static bool next_line(FILE *f, char *line, int size)
{
    do {
        if (!fgets(line, size, f)) {
            return false;
        }
    } while (line[0] == '#');
    line[strcspn(line, "\n")] = '\0';
    return true;
}

/* What runs, of a line: all classes but the last. Not compiled: more than anything. */
static unsigned cost(const char *line)
{
    unsigned sum = 0, n[EMIT_COUNT];
    if (strlen(line) < NAME_END ||
        sscanf(line + NAME_END, "%u %u %u %u %u", &n[0], &n[1], &n[2], &n[3], &n[4]) != 5) {
        return UINT32_MAX;
    }
    for (unsigned k = 0; k < EMIT_cold; k++) {
        sum += n[k];
    }
    return sum;
}

static bool comparable(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("avx2");
#else
    return true;
#endif
}

TEST(emitted_instructions)
{
    char text[160], want[160];
    if (!comparable()) {
        SKIP("the golden file is of a host with BMI2 and AVX2");
        return;
    }
    if (!measure(&rows[0], text, sizeof text)) {
        SKIP("no back end for this host");
        return;
    }
    char path[512];
    snprintf(path, sizeof path, "tests/insn/golden/%s.txt", jit_host_name());
    snprintf(path, sizeof path, "%s", t_source_path(path));
    const char *mode = getenv("T_GOLDEN");
    if (mode && strcmp(mode, "write") == 0) {
        write_golden(path);
        return;
    }
    FILE *f = fopen(path, "r");
    if (!EXPECT(f != NULL)) {
        return;
    }
    unsigned long passed = 0, failed = 0;
    for (unsigned k = 0; k < ARRAY_LEN(rows); k++) {
        if (!next_line(f, want, sizeof want)) {
            snprintf(want, sizeof want, "(the file ends)");
        }
        measure(&rows[k], text, sizeof text);
        bool ok = cost(text) <= cost(want);
        passed += ok;
        failed += !ok;
        if (!ok) {
            FAIL("emitted: %s\n     golden: %s", text, want);
        } else if (strcmp(text, want) != 0) {
            printf("other code than the golden file has, and no worse: %s\n", text);
        }
    }
    fclose(f);
    t_cases(passed, failed, 0);
}
