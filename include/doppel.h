/*
 * doppel: the public C API. Frontends and embedders include this and nothing else of doppel.
 *
 *     struct doppel_options o;
 *     struct doppel_error e;
 *     doppel_options_init(&o, DOPPEL_ABI);
 *     o.kernel = "vmlinuz";
 *     struct doppel_vm *vm = doppel_create(&o, &e);
 *     enum doppel_stop why = doppel_run(vm, DOPPEL_NO_LIMIT);
 *     doppel_destroy(vm);
 *
 * Ownership: strings in the options are copied by doppel_create. Everything that a function
 * returns through a pointer to allocated memory says who frees it.
 *
 * Threads: one thread at a time owns a machine and calls these functions; any number of machines
 * may live in one process. Only doppel_post_input(), doppel_interrupt() and what says "any thread"
 * may be called from any thread while the owner is inside doppel_run(); doppel_interrupt() also
 * from a signal handler. Callbacks run on the thread that owns the machine.
 *
 * What always holds: a run is a function of the options, the images and what came in through
 * doppel_post_input, the character back ends and the monitor, each stamped with virtual time. The
 * host's speed and the limits given to doppel_run change nothing that a guest can observe.
 */
#ifndef DOPPEL_H
#define DOPPEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Grows when a field or function is added; doppel_options_init refuses one that it cannot serve. */
#define DOPPEL_ABI 7u

#define DOPPEL_MAX_CPUS    8u
#define DOPPEL_MAX_SERIAL  4u
#define DOPPEL_MAX_DEVICES 32u
#define DOPPEL_MAX_DRIVES  16u
#define DOPPEL_MAX_NICS    8u
#define DOPPEL_MAX_DIRS    8u
#define DOPPEL_MAX_FW_CFG  8u
#define DOPPEL_MAX_SMBIOS  16u
#define DOPPEL_NO_LIMIT    UINT64_MAX
#define DOPPEL_EPOCH_HOST  INT64_MIN /* rtc_epoch: the host's time when the machine is made */
#define DOPPEL_SEED_HOST   UINT64_MAX

struct doppel_vm;  /* a machine */
struct doppel_log; /* a recording: see "Recording" */

struct doppel_error {
    char msg[512]; /* one line: what was wrong and what would be right; no newline */
    bool usage;    /* the options are wrong in themselves, not something that they name */
};

/* What a machine is made of. NULL strings mean "none" unless a default is named. */
struct doppel_options {
    uint32_t abi;        /* set by doppel_options_init */
    const char *name;    /* for titles and logs; default "doppel" */
    const char *machine; /* "pc" */
    const char *cpu;     /* CPU model; default: the newest */
    const char *engine;  /* "jit" where the host has a back end (docs/jit.md), "interp" */
    uint32_t cpus;       /* 1 .. DOPPEL_MAX_CPUS */
    uint64_t ram_bytes;  /* a multiple of 1 MiB; default 128 MiB */
    const char *kernel;  /* file: Linux bzImage, PVH ELF or multiboot 1 */
    const char *initrd;  /* file; for multiboot "FILE ARGS,FILE ARGS..." */
    const char *append;  /* kernel command line */
    /* Character back ends: stdio, mon:stdio, file:PATH, unix:PATH[,server][,nowait], null, none.
     * A NULL serial port has no back end: it is there, and what it sends is lost. */
    const char *serial[DOPPEL_MAX_SERIAL];
    const char *debugcon; /* the port at 0xe9; NULL: not there */
    const char *monitor;  /* as serial; NULL or "none" */
    const char *parallel; /* what the printer prints; NULL or "none": no printer on the port */
    const char *device[DOPPEL_MAX_DEVICES]; /* "class,prop=value,..." */
    unsigned ndevices;
    /* As QEMU's options of these names: "file=a.img,if=ide,index=0,...", "user,hostfwd=...". */
    const char *drive[DOPPEL_MAX_DRIVES];
    unsigned ndrives;
    bool snapshot; /* as snapshot=on in every drive that does not say otherwise */
    const char *nic[DOPPEL_MAX_NICS]; /* a back end and its card; "none": no default card */
    unsigned nnics;
    const char *netdev[DOPPEL_MAX_NICS]; /* a back end alone, for -device CARD,netdev=ID */
    unsigned nnetdevs;
    /* Firmware: `bios` a file (a name is looked for in the firmware folders). NULL: the board's
     * own choice; with `kernel` none is used unless named. */
    const char *bios;
    const char *firmware_dir[DOPPEL_MAX_DIRS]; /* looked in first; then where Debian has them */
    unsigned nfirmware_dirs;
    const char *fw_cfg[DOPPEL_MAX_FW_CFG]; /* "name=opt/x,string=text", "name=opt/x,file=PATH" */
    unsigned nfw_cfg;
    const char *smbios[DOPPEL_MAX_SMBIOS]; /* "type=1,manufacturer=..." */
    unsigned nsmbios;
    const char *uuid;         /* of the machine; NULL: all zeros */
    const char *boot;         /* "order=dca,menu=on"; NULL: the firmware's order */
    const char *vga;          /* "std", "none"; NULL: std when there is firmware */
    int64_t rtc_epoch;        /* seconds since 1970 UTC that the RTC shows at power-on */
    uint64_t seed;            /* of RDRAND and RDSEED */
    bool no_reboot;           /* a reset ends doppel_run with DOPPEL_RESET */
    bool no_shutdown;         /* a power-off pauses instead of ending */
    bool paused;              /* start stopped, until "cont" */
    const char *speed;        /* "real", "max", "auto", ns for each instruction; NULL: auto */
    uint64_t history;         /* bytes of host memory for the machine's past; 0: none is kept */
    const char *log_items;    /* "int,cpu_reset"; see doppel_log_item */
    const char *log_file;     /* default: standard error */
    const char *snapshot_dir; /* folder of named snapshots, made when needed; "NAME.snapshots" */
    /* Replay: all else of the options from doppel_log_options, changed only in what a guest cannot
     * see (engine, back ends, logs). NULL: the machine is live. Not owned, nor used after
     * doppel_create. */
    struct doppel_log *replay;
    bool replay_verify;  /* compare with what the log knows of the machine; else only the inputs */
    bool replay_to_live; /* doppel_go_live may be called: a terminal's input is opened */
};

/* Fill with defaults. False: `abi` is not one this library serves. */
bool doppel_options_init(struct doppel_options *o, uint32_t abi);

/* Names for help texts and suggestions: the i-th, or NULL. *help may be NULL. */
const char *doppel_machine_name(unsigned i, const char **help);
const char *doppel_cpu_name(unsigned i, const char **help);
const char *doppel_device_name(unsigned i, const char **help);
const char *doppel_nic_model(unsigned i, const char **help); /* the network cards among them */
const char *doppel_log_item(unsigned i, const char **help);
const char *doppel_version(void);

/* What an image is by its content, without keeping it open. */
enum doppel_image_kind {
    DOPPEL_IMAGE_KERNEL, /* also what is nothing else: only its loader can tell */
    DOPPEL_IMAGE_HARD_DISK,
    DOPPEL_IMAGE_CDROM,
    DOPPEL_IMAGE_FLOPPY,
};
struct doppel_image {
    enum doppel_image_kind kind;
    char format[16]; /* "raw", "qcow2" */
    uint64_t bytes;  /* of the disk */
    bool readonly;   /* the host does not let us write it */
};
/* False: *e (may be NULL) says why it cannot be read. */
bool doppel_image_look(const char *path, struct doppel_image *img, struct doppel_error *e);

/* --- Image files: `doppel image` --- */

struct doppel_image_new {
    const char *format;         /* "raw" (also NULL) or "qcow2" */
    uint64_t bytes;             /* of the disk; 0: as the backing file */
    const char *backing;        /* relative to the new image's folder; NULL: none */
    const char *backing_format; /* NULL: by content */
    uint32_t version, cluster_size, refcount_bits; /* qcow2; 0: 3, 65536, 16 */
};
/* Make an empty image; a file of that name is replaced unless it is in use. False: *e. */
bool doppel_image_create(const char *path, const struct doppel_image_new *how,
                         struct doppel_error *e);
/* Copy what a guest sees of `from` (from_format NULL: by content) to a new image; how->bytes is
 * not used. */
bool doppel_image_convert(const char *from, const char *from_format, const char *to,
                          const struct doppel_image_new *how, struct doppel_error *e);

struct doppel_image_check {
    uint64_t clusters, allocated; /* of the disk */
    uint64_t leaks;               /* counted and not used: takes room, no harm */
    uint64_t errors;              /* anything worse */
    uint64_t end;                 /* bytes of the file */
};
/* Follow all references of a qcow2 image; with `repair` make its refcounts anew first. `say` gets a
 * line for each of the first errors. False: *e, and nothing is known. */
bool doppel_image_check(const char *path, bool repair, struct doppel_image_check *check,
                        void (*say)(void *ctx, const char *line), void *ctx,
                        struct doppel_error *e);

struct doppel_image_info {
    char format[16];
    uint64_t bytes, host_bytes;                               /* of the disk; on the host's */
    uint32_t version, cluster_size, refcount_bits, snapshots; /* qcow2 */
    bool dirty, corrupt;
    char backing[1024], backing_path[2048], backing_format[16]; /* "": none, not said */
};
bool doppel_image_info(const char *path, const char *format, struct doppel_image_info *info,
                       struct doppel_error *e);

/* Build a machine, load its boot images, leave it at its reset vector. NULL: *e says why (e may be
 * NULL). Free with doppel_destroy, which also flushes back ends and restores the terminal. */
struct doppel_vm *doppel_create(const struct doppel_options *o, struct doppel_error *e);
void doppel_destroy(struct doppel_vm *vm);

enum doppel_stop {
    DOPPEL_LIMIT,     /* retired exactly as many instructions as asked */
    DOPPEL_POWEROFF,  /* the guest powered off */
    DOPPEL_RESET,     /* the guest reset, with no_reboot */
    DOPPEL_EXIT,      /* the exit device; see doppel_exit_code */
    DOPPEL_QUIT,      /* the operator said quit */
    DOPPEL_DEAD,      /* every vCPU is halted and nothing can wake one */
    DOPPEL_INTERRUPT, /* doppel_interrupt was called */
    DOPPEL_FAILED,    /* a boot image cannot be read again at a reset; see doppel_failure */
    DOPPEL_REPLAYED,  /* the log ends here: see "Recording" */
    DOPPEL_DIVERGED,  /* a replay is not the recorded run: doppel_failure has lines of text */
    DOPPEL_BREAK,     /* a point of doppel_break_add was met, or a step is done: doppel_last_hit */
};

/* Run until the machine has retired `icount` instructions since power-on (all vCPUs together;
 * DOPPEL_NO_LIMIT: no limit), or something else ends it. May be called again. */
enum doppel_stop doppel_run(struct doppel_vm *vm, uint64_t icount);
/* The same, and not beyond `until` ns of virtual time (DOPPEL_NO_LIMIT: no limit). */
enum doppel_stop doppel_run_until(struct doppel_vm *vm, uint64_t icount, uint64_t until);
uint32_t doppel_exit_code(const struct doppel_vm *vm);  /* after DOPPEL_EXIT: the process's */
const char *doppel_failure(const struct doppel_vm *vm); /* after DOPPEL_FAILED; owned by vm */
uint64_t doppel_icount(const struct doppel_vm *vm);     /* instructions retired */
uint64_t doppel_vtime(const struct doppel_vm *vm);      /* ns of virtual time */
void doppel_interrupt(struct doppel_vm *vm);            /* makes doppel_run return soon */

/* A 64-bit digest of all that a guest can observe. Equal on every host for equal runs. */
uint64_t doppel_digest(struct doppel_vm *vm);

/* The whole machine as bytes; *data is the caller's to free(). Saving flushes TLBs, as a logged
 * event, and changes nothing else. False: the host failed to read back what snapshot=on keeps;
 * *data is NULL, and the log has the reason. */
bool doppel_save(struct doppel_vm *vm, uint8_t **data, size_t *len);
/* Load into a machine created with the same options. False: *e says why, and the machine is as it
 * was. */
bool doppel_load(struct doppel_vm *vm, const uint8_t *data, size_t len, struct doppel_error *e);
/* The same to and from a file that is compressed, and complete before it has its name. Pages of RAM
 * are read from it when they are touched, so it is kept open. */
bool doppel_save_file(struct doppel_vm *vm, const char *path, struct doppel_error *e);
bool doppel_load_file(struct doppel_vm *vm, const char *path, struct doppel_error *e);
/* By name in the machine's folder of snapshots, or by path if the name has a slash. One that is
 * saved by name may hold only the changes since the last one saved or loaded. date: seconds since
 * 1970 UTC, for lists. */
bool doppel_snapshot_save(struct doppel_vm *vm, const char *name, int64_t date,
                          struct doppel_error *e);
bool doppel_snapshot_load(struct doppel_vm *vm, const char *name, struct doppel_error *e);
bool doppel_snapshot_delete(struct doppel_vm *vm, const char *name, struct doppel_error *e);

/* Post bytes to an input source by its name ("com1.rx"). False: no such source, or too long. */
bool doppel_post_input(struct doppel_vm *vm, const char *source, const void *data, uint32_t len);
/* Bytes that a character device sends are given to `fn` as well. False: no such port (0..3 serial
 * ports). Owner's thread, before running. */
bool doppel_serial_listen(struct doppel_vm *vm, unsigned port,
                          void (*fn)(void *ctx, const uint8_t *data, size_t len), void *ctx);

/* --- Recording --- */

/* Write what comes in from now on to a log: "FILE", or "FILE,compress=off" for builds without zlib
 * to read. A machine that is not new is saved into it first. It ends with doppel_record_stop or
 * doppel_destroy, or if the host fails, which the operator is told. docs/replay.md has the rest.
 * False: *e, and nothing is recorded. */
bool doppel_record_start(struct doppel_vm *vm, const char *file, struct doppel_error *e);
void doppel_record_stop(struct doppel_vm *vm);

/* Keep the last while in memory: "60s", and behind it ",limit=256M" (of host memory), ",file=PATH"
 * (written at a triple fault, a panic, or by the watchdog; NAME.flight), ",panic=TEXT" (what a
 * serial port prints then), ",watchdog=20s" (no vCPU takes interrupts). "off": not. Ends with the
 * machine. False: *e. */
bool doppel_flight_start(struct doppel_vm *vm, const char *how, struct doppel_error *e);
/* Write it out, as a log. False: *e. */
bool doppel_flight_save(struct doppel_vm *vm, const char *file, struct doppel_error *e);

/* A log that is to be replayed: open it, take its options, make a machine of them, run that until
 * it returns DOPPEL_REPLAYED or DOPPEL_DIVERGED, or ends as the recorded one did. */
struct doppel_log_info {
    uint64_t begin_icount, begin_vtime, end_icount, end_vtime; /* of what is recorded */
    uint64_t inputs, checks;
    uint64_t digest;  /* at the end, if it is complete */
    bool complete;    /* false: doppel was killed, or could not write; it is good up to its end */
    char damage[100]; /* why it ends there; "" */
};
/* NULL: *e says what is wrong with it. */
struct doppel_log *doppel_log_open(const char *file, struct doppel_error *e);
void doppel_log_close(struct doppel_log *l);
/* With `replay` set; strings belong to the log. */
const struct doppel_options *doppel_log_options(const struct doppel_log *l);
void doppel_log_info(const struct doppel_log *l, struct doppel_log_info *info);
/* Leave the log: from here on the machine has real input (disks stay as they are, private). Back
 * ends of the network are made now. False: *e; the machine goes on without them. */
bool doppel_go_live(struct doppel_vm *vm, struct doppel_error *e);

/* --- The screen --- */

/* A picture as it was published: it does not change, and belongs to its holder until released. */
struct doppel_frame {
    uint64_t serial;        /* 1, 2, ...: pictures with the same serial are the same; 0: none */
    uint64_t vtime;         /* ns of virtual time when it was drawn */
    uint32_t width, height; /* pixels; 0: the screen is off */
    const uint32_t *pixel;  /* 0x00RRGGBB, row after row without gaps */
    void *held;
};

/* Ask for the next frame; the machine draws it soon, or as soon as it differs from the latest.
 * Nobody asking costs nothing. Any thread. */
void doppel_frame_request(struct doppel_vm *vm);
/* The latest published frame, if its serial is not `seen`. True: release it when done, before the
 * machine is destroyed. Any thread. */
bool doppel_frame_get(struct doppel_vm *vm, uint64_t seen, struct doppel_frame *frame);
void doppel_frame_release(struct doppel_vm *vm, struct doppel_frame *frame);
/* `fn` is called on the machine's thread whenever a frame has been published. NULL: nobody. */
void doppel_frame_listen(struct doppel_vm *vm, void (*fn)(void *ctx), void *ctx);

/* A digest of the screen's size and pixels at this instant; 0: no display adapter. */
uint64_t doppel_screen_digest(struct doppel_vm *vm);
/* The screen of a text mode: UTF-8, a line for each row without the blanks at its end. The caller's
 * to free(). NULL: a graphics mode, or no adapter. */
char *doppel_screen_text(struct doppel_vm *vm);

/* --- The past ---
 *
 * A machine that keeps its past (options.history, doppel_history) can go back to any instant of it,
 * exactly. In the past nothing reaches the host and nothing comes from it; doppel_run leads through
 * what is known of the future to the instant where the past was entered, and goes on live there. */

/* Keep checkpoints in at most so many bytes of host memory from now on; 0: forget them. */
bool doppel_history(struct doppel_vm *vm, uint64_t bytes, struct doppel_error *e);
bool doppel_in_past(const struct doppel_vm *vm);
/* Instants that can be gone to, in instructions since power-on. */
void doppel_history_range(const struct doppel_vm *vm, uint64_t *first, uint64_t *last);
/* Be where so many instructions had retired. False: *e, and the machine may be anywhere in the past
 * that is kept. */
bool doppel_goto(struct doppel_vm *vm, uint64_t icount, struct doppel_error *e);
/* Be where that vCPU had run one unit (instruction, REP iteration, delivery of an interrupt) less.
 * DOPPEL_BREAK: there; DOPPEL_LIMIT: the past that is kept begins here; DOPPEL_FAILED: as
 * doppel_failure says. */
enum doppel_stop doppel_reverse_step(struct doppel_vm *vm, unsigned cpu);
/* Be at the last hit of a break- or watchpoint before this instant (doppel_last_hit; in front of
 * the access), or at the first instant that is kept: returns as doppel_reverse_step. */
enum doppel_stop doppel_reverse_continue(struct doppel_vm *vm);
/* Live from this instant of the past on; what had followed it is forgotten. False: a disk image
 * cannot be written; the machine is where it was. */
bool doppel_branch(struct doppel_vm *vm, struct doppel_error *e);

/* --- The operator --- */

/* Somebody may act on this machine at any time (a window, a socket of the embedder's): while it is
 * idle, virtual time passes no faster than the host's, as with a terminal. Any thread. */
void doppel_set_live(struct doppel_vm *vm, bool live);
/* The code of a key by its name in the monitor ("a", "ret", "ctrl_r"); 0: there is none. */
unsigned doppel_key_code(const char *name);
/* A key goes down or up. False: no keyboard, or no such code. Any thread. */
bool doppel_key_event(struct doppel_vm *vm, unsigned code, bool down);
/* The mouse moves by counts to the right and down, its wheel towards the user; the buttons that are
 * held: 1 left, 2 right, 4 middle, 8, 16. False: no mouse. Any thread. */
bool doppel_mouse_event(struct doppel_vm *vm, int right, int down, int wheel, unsigned buttons);

/* How far the machine has come, as of some milliseconds ago. Any thread. */
void doppel_progress(struct doppel_vm *vm, uint64_t *icount, uint64_t *vtime);

/* The i-th command of the text monitor, or NULL; its arguments and what it does. */
const char *doppel_monitor_command(unsigned i, const char **args, const char **help);
/* Carry out one line of the text monitor; its output goes to `out` in pieces. */
void doppel_command(struct doppel_vm *vm, const char *line,
                    void (*out)(void *ctx, const char *text, size_t len), void *ctx);

/* --- Debugging --- */

/* The machine pauses as by the monitor's "stop": doppel_run waits, the monitor works; or goes on.
 */
void doppel_pause(struct doppel_vm *vm, bool on);
bool doppel_paused(const struct doppel_vm *vm);

unsigned doppel_cpu_count(const struct doppel_vm *vm);
/* The vCPU that runs next, or last did. */
unsigned doppel_cpu_current(const struct doppel_vm *vm);
/* What it does, in a word: "running", "halted". cpu below doppel_cpu_count. */
const char *doppel_cpu_activity(const struct doppel_vm *vm, unsigned cpu);
/* Has the vCPUs' model this feature, by its name on the command line ("lm": 64-bit mode)? */
bool doppel_cpu_has(const struct doppel_vm *vm, const char *feature);

/* Points leave no trace in the guest: with them or without, it runs the same. Any number, at full
 * speed while none is met (but code at the same offset of other pages as an execution point is
 * interpreted, and so are accesses to pages with watchpoints).
 * DOPPEL_POINT_EXEC: in front of the instruction at `address` (length is not used), after
 * interrupts that are due there; not again when it starts again after its fault (EFLAGS.RF), or
 * when the machine runs on from this very stop. The others: behind the instruction, the iteration
 * of a repeated string instruction or the delivery of an interrupt that accessed any of `length`
 * bytes. By linear address: any vCPU's access through this address, in any address space. By
 * physical address: writes to RAM by devices and page walks too; reads and registers by vCPUs only.
 */
enum doppel_point_kind {
    DOPPEL_POINT_EXEC,
    DOPPEL_POINT_WRITE,
    DOPPEL_POINT_READ,
    DOPPEL_POINT_ACCESS, /* read or write */
    DOPPEL_POINT_STEP,   /* only in struct doppel_hit: doppel_step has done its unit */
};
struct doppel_point {
    enum doppel_point_kind kind;
    bool physical;            /* the address: physical, else linear */
    uint64_t address, length; /* bytes, 1 .. 1 MiB */
};
struct doppel_hit {
    struct doppel_point point; /* that was met; for a step address is the instruction's */
    unsigned cpu;              /* that met it; for a device: the current one */
    bool device;               /* not by a vCPU but between instructions */
    bool write;
    uint64_t at;            /* the first byte of the point that was accessed */
    uint64_t icount, vtime; /* of the machine where it stops */
    uint64_t before;        /* icount in front of the access: where it has not happened yet */
};

/* The same point may be added more than once, and is then to be removed as often. From the next
 * doppel_run on. False: *e (may be NULL) says what is wrong. */
bool doppel_break_add(struct doppel_vm *vm, const struct doppel_point *p, struct doppel_error *e);
/* False: there is none. */
bool doppel_break_remove(struct doppel_vm *vm, const struct doppel_point *p);
void doppel_break_clear(struct doppel_vm *vm);
/* Why the last doppel_run or doppel_step returned DOPPEL_BREAK; owned by vm. NULL: it did not. */
const struct doppel_hit *doppel_last_hit(const struct doppel_vm *vm);

/* Run until this vCPU has done one unit: an instruction, an iteration of a repeated one, or the
 * delivery of an interrupt or exception. The others run in their turns until then, as always, and
 * may meet points. A halted one waits for what wakes it. An execution point at the place where it
 * stands does not count. Returns as doppel_run; DOPPEL_BREAK when done. */
enum doppel_stop doppel_step(struct doppel_vm *vm, unsigned cpu);

/* Registers of a vCPU, as a table: general, rip, eflags, segments with their bases, control
 * registers, efer, x87, SSE, AVX. The i-th one's name, or NULL; its size (1 .. 256 bits; may be
 * NULL). "rip" is the offset in CS, "pc" the linear address of the next instruction. */
#define DOPPEL_REG_BYTES 32u
const char *doppel_reg_name(unsigned i, unsigned *bits);
int doppel_reg_find(const char *name); /* -1: none */
/* Values little-endian, the bytes above the register's size zero. */
bool doppel_reg_get(struct doppel_vm *vm, unsigned cpu, unsigned i,
                    uint8_t value[DOPPEL_REG_BYTES]);
/* An input, through the gate. A selector brings its descriptor. False: no such register, it cannot
 * be changed, or the machine is in its past or a replay. Not while the machine runs. */
bool doppel_reg_set(struct doppel_vm *vm, unsigned cpu, unsigned i,
                    const uint8_t value[DOPPEL_REG_BYTES]);

/* RAM and ROM by linear address of a vCPU, by its page tables whatever their rights, or with cpu
 * DOPPEL_PHYSICAL by physical address. Reading changes nothing and never reaches a device: how many
 * bytes from the first on could be read. Writing is an input, through the gate; true: all of it.
 * False also in the past and in a replay. */
#define DOPPEL_PHYSICAL UINT32_MAX
size_t doppel_memory_read(struct doppel_vm *vm, unsigned cpu, uint64_t address, void *buf,
                          size_t len);
bool doppel_memory_write(struct doppel_vm *vm, unsigned cpu, uint64_t address, const void *buf,
                         size_t len);

#ifdef __cplusplus
}
#endif

#endif
