/*
 * rewrite.c: programs that write code: a run-time compiler that reuses its buffer, and code that
 * patches its own constants.
 */
#include "work.h"
#include <string.h>
#include <sys/mman.h>

typedef uint32_t generated(uint32_t);

static unsigned char *code_pages(unsigned size)
{
    unsigned char *p =
        mmap(NULL, size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        work_die("rewrite: no pages that run");
    }
    return p;
}

static unsigned char *put(unsigned char *at, const void *bytes, unsigned size, uint32_t value)
{
    memcpy(at, bytes, size);
    memcpy(at + size, &value, 4);
    return at + size + 4;
}

/*
 * A function of some arithmetic with random constants, at AT; the next free place. The argument
 * is in EDI (64-bit) or on the stack. The bytes are the same instructions in both modes.
 */
static unsigned char *generate(unsigned char *at, uint32_t *state)
{
    if (sizeof(long) == 8) {
        memcpy(at, "\x89\xf8", 2); /* mov eax, edi */
        at += 2;
    } else {
        memcpy(at, "\x8b\x44\x24\x04", 4); /* mov eax, [esp + 4] */
        at += 4;
    }
    for (unsigned n = 2 + work_random(state) % 6; n != 0; n--) {
        uint32_t value = work_random(state);
        switch (value % 4) {
        case 0:
            at = put(at, "\x05", 1, value);
            break; /* add eax, value */
        case 1:
            at = put(at, "\x35", 1, value);
            break; /* xor eax, value */
        case 2:
            at = put(at, "\x69\xc0", 2, value | 1);
            break; /* imul eax, eax, value */
        case 3:
            at = put(at, "\xd1\xc0\x2d", 3, value);
            break; /* rol eax, 1; sub eax, value */
        }
        if (value & 0x100) { /* test eax, eax; jns over; not eax */
            memcpy(at, "\x85\xc0\x79\x02\xf7\xd0", 6);
            at += 6;
        }
    }
    *at++ = 0xc3; /* ret */
    return at;
}

/* A buffer of 64 functions written anew again and again, each called some times. */
uint32_t work_generate(unsigned scale)
{
    enum { FUNCTIONS = 64, SIZE = 8192 };
    unsigned char *code = code_pages(SIZE);
    uint32_t state = 21, sum = 0;
    for (unsigned round = work_count(100, scale); round != 0; round--) {
        generated *functions[FUNCTIONS];
        unsigned char *at = code;
        for (unsigned i = 0; i < FUNCTIONS; i++) {
            functions[i] = (generated *)(uintptr_t)at;
            at = generate(at, &state);
        }
        __builtin___clear_cache((char *)code, (char *)at);
        for (unsigned i = 0; i < FUNCTIONS * 8; i++) {
            sum += functions[i % FUNCTIONS](sum);
        }
    }
    munmap(code, SIZE);
    return sum;
}

/* One function in a page, run between changes of one of its constants. */
uint32_t work_patch(unsigned scale)
{
    enum { SIZE = 4096 };
    unsigned char *code = code_pages(SIZE);
    uint32_t state = 23, sum = 0;
    unsigned char *at = code;
    if (sizeof(long) == 8) {
        memcpy(at, "\x89\xf8", 2);
        at += 2;
    } else {
        memcpy(at, "\x8b\x44\x24\x04", 4);
        at += 4;
    }
    at = put(at, "\x69\xc0", 2, 0x01000193);
    unsigned char *constant = at + 1;
    at = put(at, "\x35", 1, 0);
    *at = 0xc3;
    generated *function = (generated *)(uintptr_t)code;
    for (unsigned round = work_count(60000, scale); round != 0; round--) {
        uint32_t value = work_random(&state);
        memcpy(constant, &value, 4);
        __builtin___clear_cache((char *)code, (char *)at);
        for (unsigned i = 0; i < 4; i++) {
            sum = function(sum);
        }
    }
    munmap(code, SIZE);
    return sum;
}
