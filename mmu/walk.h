/*
 * The page walk: linear to physical address through the guest's page tables, as the SDM 3A chapter
 * 4 has it: 32-bit with PSE and PSE-36, PAE, 4-level; NX, U/S, R/W, WP, SMEP, SMAP, 1 GiB pages,
 * reserved bits, accessed and dirty bits.
 *
 * Checks before effects: accessed and dirty bits are written only when the access is allowed.
 */
#ifndef DOPPEL_MMU_WALK_H
#define DOPPEL_MMU_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "core/types.h"
#include "mmu/aspace.h"

enum mem_access { ACC_READ = 0, ACC_WRITE = 1, ACC_FETCH = 2 };

/* The paging mode; the CPU fills it whenever a control register that matters changes. */
struct walk_mode {
    uint64_t cr3;       /* as written, without the no-flush bit; PCID still in bits 11:0 */
    uint64_t pdpte[4];  /* PAE only: as loaded by MOV CR3 (SDM 3A 4.4.1) */
    uint64_t phys_mask; /* physical-address bits that exist: (1 << MAXPHYADDR) - 1 */
    uint64_t a20_mask;  /* ANDed to every physical address the walk makes; all ones: A20 open */
    bool paging;        /* CR0.PG */
    bool wp;            /* CR0.WP */
    bool pse, pae, pge, smep, smap, pcide; /* CR4 */
    bool nxe;                              /* EFER.NXE */
    bool lma;                              /* EFER.LMA: 4-level */
    bool pse36, page1g;                    /* CPUID features */
    bool no_pat; /* CPUID lacks PAT and the model faults on its bits: they are reserved */
};

/* Page-fault error-code bits (SDM 3A 4.7). */
enum {
    PF_P = 1u << 0,
    PF_W = 1u << 1,
    PF_U = 1u << 2,
    PF_RSVD = 1u << 3,
    PF_I = 1u << 4,
};

struct walk_result {
    bool ok;
    uint32_t err;      /* page-fault error code when !ok */
    gpa addr;          /* of the byte at `la` */
    uint8_t page_bits; /* 12, 21, 22 or 30 */
    /* Rights of the page itself, all levels combined, before the access was judged: */
    bool user, write, exec, global;
    bool dirty; /* the D bit is set (now) */
};

/* May this access be made, by the page's rights? 32-bit, PAE and 4-level alike (SDM 3A 4.6). */
static inline bool walk_allowed(const struct walk_mode *m, bool page_user, bool page_write,
                                bool page_exec, enum mem_access acc, bool user, bool ac)
{
    if (user) {
        return page_user && (acc == ACC_READ || (acc == ACC_WRITE ? page_write : page_exec));
    }
    if (acc == ACC_FETCH) {
        return page_exec && !(page_user && m->smep);
    }
    if (page_user && m->smap && !ac) {
        return false;
    }
    return acc == ACC_READ || page_write || !m->wp;
}

/* The error code of a fault by this access, without PF_P and PF_RSVD. */
static inline uint32_t walk_error(const struct walk_mode *m, enum mem_access acc, bool user)
{
    uint32_t err = (acc == ACC_WRITE ? PF_W : 0) | (user ? PF_U : 0);
    return acc == ACC_FETCH && (m->smep || (m->pae && m->nxe)) ? err | PF_I : err;
}

/* PAE: read the four PDPTEs that CR3 points at, as MOV to CR3 and its like do. False: one is
 * present with reserved bits set, which raises #GP(0) (SDM 3A 4.4.1); pdpte is then unchanged. */
bool walk_load_pdptes(const struct walk_mode *m, struct aspace *mem, uint64_t cr3,
                      uint64_t pdpte[4]);

/* Walk for an access. user: as CPL 3 (else supervisor); ac: EFLAGS.AC for explicit supervisor
 * accesses (pass false for implicit ones). probe: change no accessed or dirty bit. Linear address
 * must be canonical (64-bit) or below 4 GiB. */
struct walk_result walk_page(const struct walk_mode *m, struct aspace *mem, gva la,
                             enum mem_access acc, bool user, bool ac, bool probe);

#endif
