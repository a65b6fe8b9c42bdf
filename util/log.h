/*
 * The log: what an operator reads, never what a guest sees. One struct log per machine (and one for
 * the process in a frontend), so that there is no global. Categories are the `-d` items.
 */
#ifndef DOPPEL_UTIL_LOG_H
#define DOPPEL_UTIL_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* One row per `-d` item: name on the command line, help text. */
#define LOG_CATEGORIES(X)                                                                          \
    X(guest_errors, "what a guest did that real hardware ignores")                                 \
    X(unimp, "guest use of something doppel does not have")                                        \
    X(int, "interrupts and exceptions, as delivered")                                              \
    X(in_asm, "guest code, as decoded")                                                            \
    X(uops, "micro-operations of each block that is compiled")                                     \
    X(out_asm, "host code of each block that is compiled")                                         \
    X(exec, "each block entered")                                                                  \
    X(cpu_reset, "CPU state at reset, INIT and triple fault")                                      \
    X(mmu, "page-table walks that fault")                                                          \
    X(io, "device register accesses")                                                              \
    X(pci, "PCI configuration changes")                                                            \
    X(gate, "each input that enters through the gate")

enum log_cat {
#define X(name, help) LOG_##name,
    LOG_CATEGORIES(X)
#undef X
        LOG_COUNT
};

struct log {
    FILE *out;      /* not owned; NULL: nothing is written */
    uint32_t mask;  /* 1u << enum log_cat */
    uint32_t burst; /* lines that may still be written of the rate-limited kind */
};

/* True when the category is on: guards costly arguments. log may be NULL. */
static inline bool log_on(const struct log *log, enum log_cat cat)
{
    return log && log->out && (log->mask >> cat & 1u);
}

/* Write one line (a newline is added) if the category is on. */
void log_line(struct log *log, enum log_cat cat, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* For guest misbehaviour (guest_errors, unimp): stops after `burst` lines with a last line that
 * says so, so that a hostile guest cannot fill a disk. */
void log_guest(struct log *log, enum log_cat cat, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Parse "int,cpu_reset" into a mask. False: *bad points at the unknown item in `items`. */
bool log_parse(const char *items, uint32_t *mask, const char **bad);

/* Name and help of a category, for --help. */
const char *log_name(enum log_cat cat);
const char *log_help(enum log_cat cat);

#endif
