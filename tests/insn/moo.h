/*
 * Reader of single-step states captured from real chips: the MOO files of ../shared/silicon, whose
 * README gives the format.
 */
#ifndef DOPPEL_TESTS_INSN_MOO_H
#define DOPPEL_TESTS_INSN_MOO_H

#include <stdbool.h>
#include <stdint.h>

/* Registers in the order of the files. */
enum {
    MOO_AX,
    MOO_BX,
    MOO_CX,
    MOO_DX,
    MOO_CS,
    MOO_SS,
    MOO_DS,
    MOO_ES,
    MOO_SP,
    MOO_BP,
    MOO_SI,
    MOO_DI,
    MOO_IP,
    MOO_FLAGS,
    MOO_REGS
};

struct moo_byte {
    uint32_t addr;
    uint8_t val;
};

/* One state; in a final state registers and bytes that did not change are absent. */
struct moo_state {
    uint16_t has; /* bit r: register r is given */
    uint16_t reg[16];
    unsigned nram;
    struct moo_byte ram[512];
};

struct moo_test {
    uint32_t index; /* as the file has it; not unique there */
    uint32_t place; /* 0 for the file's first test */
    char name[64];
    char hash[41]; /* hexadecimal, "" if absent */
    uint8_t bytes[32];
    unsigned nbytes;
    struct moo_state init, fina;
    bool has_exc;
    uint8_t exc_vector;
    uint32_t exc_flags_addr; /* where the flags image was pushed */
};

struct moo_file {
    uint8_t *data;
    uint64_t len, pos;
    uint32_t count; /* tests read so far */
};

/* Read a gzip-compressed file; false: unreadable, or not one of these. */
bool moo_open(struct moo_file *f, const char *path);
/* The next test; false at the end. A malformed file ends early and sets *bad. */
bool moo_next(struct moo_file *f, struct moo_test *t, bool *bad);
void moo_close(struct moo_file *f);

#endif
