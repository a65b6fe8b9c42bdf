/*
 * Registers as gdb has them: the target description, and where each is in a "g" packet.
 */
#ifndef DOPPEL_FRONTENDS_GDB_REGS_H
#define DOPPEL_FRONTENDS_GDB_REGS_H

#include <stdbool.h>

#include "doppel.h"

enum gdb_arch { GDB_I8086, GDB_I386, GDB_X86_64, GDB_ARCHES };
const char *gdb_arch_name(enum gdb_arch a); /* as gdb spells it, "i386:x86-64" */

#define GDB_REGS_MAX 96u

struct gdb_regs {
    struct gdb_reg {
        unsigned reg;  /* doppel_reg_name's number */
        unsigned skip; /* bytes of the value in front of what gdb gets */
        unsigned have; /* bytes of it that gdb gets */
        unsigned size; /* bytes on the wire; those beyond `have` are zero */
    } r[GDB_REGS_MAX];
    unsigned n;
    char *xml; /* ours */
};

void gdb_regs_init(struct gdb_regs *g, enum gdb_arch arch, bool avx);
void gdb_regs_fini(struct gdb_regs *g);

#endif
