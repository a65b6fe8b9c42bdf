/*
 * A machine: clock, gate, memory, vCPUs, devices, back ends, and how it starts.
 *
 * Private to vm/. One thread owns it (include/doppel.h says who may call what from elsewhere).
 *
 * What always holds: everything a guest can observe is in a state table (clock, struct vm_state,
 * the devices, among them the vCPUs) or in RAM; the rest of this struct is configuration or cache.
 */
#ifndef DOPPEL_VM_VM_H
#define DOPPEL_VM_VM_H

#include <stdatomic.h>

#include "core/backend.h"
#include "core/dev.h"
#include "cpu/cpu.h"
#include "doppel.h"
#include "host/chr.h"
#include "mmu/aspace.h"
#include "mmu/ram.h"
#include "vm/board.h"
#include "vm/input.h"
#include "vm/memory.h"
#include "vm/pace.h"
#include "vm/snapshot.h"

/* Units that a vCPU runs before the next one's turn, when there are several. Small enough that a
 * vCPU that spins for another wastes little, large enough that switching is cheap. Guests can
 * observe it: it is part of what a recording means. */
#define VM_QUANTUM 2000u

#define VM_LOW_MAX  UINT64_C(0xc0000000)  /* RAM below 4 GiB ends here at most: PCI hole behind */
#define VM_HIGH     UINT64_C(0x100000000) /* where the rest of RAM begins */
#define VM_ROM_SIZE UINT64_C(0x10000)     /* our boot code, below 4 GiB */

#define VM_STATE(S, V, A, N)                                                                       \
    V(S, uint32_t, turn, 1)    /* the vCPU whose turn it is */                                     \
    V(S, uint32_t, quantum, 1) /* units left of its turn */                                        \
    V(S, bool, off, 1)         /* powered off, or reset with no_reboot: nothing runs */            \
    N(S, typist, typist, 1, 2)                                                                     \
    V(S, bool, asleep, 3)     /* suspended to RAM: nothing runs, time passes */                    \
    V(S, uint32_t, pauses, 4) /* vCPUs that gave their turn away by PAUSE, one after the other */

ST_DECLARE(vm_state, VM_STATE);

/* Bits of doppel_vm.request, set from devices and the operator. */
enum {
    VM_REQ_RESET = 1u << 0,
    VM_REQ_POWEROFF = 1u << 1,
    VM_REQ_EXIT = 1u << 2,
    VM_REQ_QUIT = 1u << 3,
    VM_REQ_SLEEP = 1u << 4,
    VM_REQ_WAKE = 1u << 5,
};

/* bootindex=: vm/bootorder.c. */
struct vm_bootindex {
    uint32_t index;
    const void *what; /* struct drive or struct dev */
};

struct vm_listener {
    struct chr chr; /* first; what the device writes to */
    struct chr *next;
    struct doppel_vm *vm;
    void (*fn)(void *ctx, const uint8_t *data, size_t len);
    void *ctx;
};

/* Recordings of a machine: the operator's, two of the flight recorder's (vm/flight.c). */
enum { VM_RECORD, VM_FLIGHT, VM_RECORDS = VM_FLIGHT + 2 };

struct doppel_vm {
    struct doppel_options opt; /* strings are our own copies, in `strings` */
    char **strings;
    unsigned nstrings;

    struct clock clock;
    struct gate gate;
    struct log log;
    FILE *log_file; /* ours to close; NULL: standard error */
    struct aspace mem, io;
    struct ram ram, rom;
    bool have_ram, have_rom;
    struct vm_memory *memory[VM_MAX_MEMORY];
    unsigned nmemory;
    struct dev_env env;
    struct block_cache *blocks;
    struct engine *engine;
    struct cpu *cpu[DOPPEL_MAX_CPUS];
    unsigned ncpus;
    const struct board *board;
    struct firmware *firmware; /* NULL: direct boot, or the demo */
    struct vm_state s;
    struct vm_bootindex bootindex[DOPPEL_MAX_DRIVES + DOPPEL_MAX_NICS]; /* in order */
    unsigned nbootindex;

    struct snapshots snap;
    struct drives *drives;
    struct chr_set *chrs;
    struct nets *nets; /* private to nets.c */
    struct vm_listener serial[DOPPEL_MAX_SERIAL];
    struct chr *debugcon, *monitor, *parallel;
    struct monitor *mon;
    struct screen *screen;
    struct vm_debug *debug;                      /* vm/debug.c; NULL: no debugger yet */
    struct history *history;                     /* NULL: no past is kept */
    int op_source;                               /* gate source of operator commands */
    int typist_source, key_source, mouse_source; /* vm/input.c; -1: none */
    struct timer typist_timer;
    uint32_t typist_posted;        /* steps on their way through the gate */
    _Atomic uint8_t mouse_buttons; /* held by the operator */
    uint64_t epoch, seed;

    struct record *record[VM_RECORDS]; /* NULL: none */
    unsigned records;                  /* how many there are */
    struct flight *flight;             /* NULL: none */
    struct replay *replay;             /* NULL: the machine is not made from a log; a twin's is the
                                        * first machine's, to read */
    struct twin *twin;                 /* NULL: the machine is not another one's twin */
    struct vm_file *files;             /* read so far: vm/files.h */
    unsigned nfiles;
    struct st_buf small; /* vm/check.c: the latest */
    uint64_t check_at;   /* instructions at which it is due; UINT64_MAX: never */
    vtime stop_at;       /* doppel_run returns then; VTIME_NEVER: no limit */
    vtime end_when;      /* where a log ends: no timer fires there any more, but for those */
    uint64_t end_order;  /* that had before */

    struct cpu *running; /* inside cpu_run; NULL outside */
    uint32_t request;    /* VM_REQ_xx, seen at the next instruction boundary */
    bool paused;         /* by the operator, -S, or power-off with no_shutdown */
    /* Jumps of the clock since a vCPU last ran. Not state: it only says when to give up waiting. */
    uint32_t idle_skips;
    uint64_t ran[DOPPEL_MAX_CPUS]; /* instructions at the end of each vCPU's last slice */
    struct pace pace;
    int64_t poll_credit;     /* units until the host is polled again */
    atomic_bool interrupted; /* doppel_interrupt was called */
    atomic_bool live;        /* doppel_set_live */
    /* What doppel_progress tells other threads. */
    _Atomic uint64_t told_icount, told_now;
    uint32_t exit_code;
    struct err failure;

    uint64_t low_bytes;              /* RAM below 4 GiB */
    uint64_t kernel_sum, initrd_sum; /* digests of the images at first load; 0: none yet */
    bool booted;
};

/* vm/machine.c */
/* doppel_create; twin (vm/twin.h) may be NULL, and is the machine's from here on. */
struct doppel_vm *vm_create(const struct doppel_options *o, struct twin *twin, struct err *e);
void vm_flush_tlbs(struct doppel_vm *vm);
/* Drop all translations and decoded code: RAM or the memory map was replaced. */
void vm_flush_all(struct doppel_vm *vm);
bool vm_reset(struct doppel_vm *vm, enum reset_kind kind, struct err *e);
void vm_request(struct doppel_vm *vm, uint32_t req);
/* What the chipset answers a shutdown cycle, port 92H, the keyboard controller and a soft reset by
 * CF9H with: INIT to the CPUs alone, or a reset of everything. The latter without firmware, as
 * there is nothing at the reset vector that could tell; and under -no-reboot, where the first reset
 * of any kind is the end, rather than what firmware makes of it. */
static inline bool vm_resets_cpu_alone(const struct doppel_vm *vm)
{
    return vm->firmware && !vm->opt.no_reboot;
}
/* A vCPU's PAUSE (struct cpu's paused): true if its turn goes on at once, time having passed. */
bool vm_cpu_paused(void *vm);

/* vm/run.c: doppel_run without telling other threads how far it came. */
enum doppel_stop vm_run(struct doppel_vm *vm, uint64_t icount);

/* vm/build.c: make the board's parts, wire them, check. */
bool vm_build(struct doppel_vm *vm, struct err *e);

/* Operator commands that a guest can notice: through the gate, so that they are logged. */
enum vm_op {
    VM_OP_RESET = 1,
    VM_OP_FLUSH_TLB = 2,
    VM_OP_SET_REGISTER = 3, /* these two with what vm/debug.h says */
    VM_OP_WRITE_MEMORY = 4,
};
void vm_operate(struct doppel_vm *vm, enum vm_op op);

#endif
