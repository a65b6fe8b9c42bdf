/*
 * A machine's life: options, creation, reset, destruction, digest.
 *
 * Order of creation: gate and clock, values from the host (through the gate, so that they are
 * logged), memory, back ends, the board, power-on reset, boot images.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "cpu/block.h"
#include "cpu/engine.h"
#include "cpu/model.h"
#include "host/hosttime.h"
#include "hw/hw.h"
#include "util/disasm.h"
#include "util/suggest.h"
#include "vm/boot.h"
#include "vm/debug.h"
#include "vm/drives.h"
#include "vm/firmware.h"
#include "vm/files.h"
#include "vm/flight.h"
#include "vm/history.h"
#include "vm/monitor.h"
#include "vm/nets.h"
#include "vm/record.h"
#include "vm/replay.h"
#include "vm/screen.h"
#include "vm/twin.h"
#include "vm/vm.h"

#define MIB         (UINT64_C(1) << 20)
#define RAM_DEFAULT (128 * MIB)
#define RAM_MAX     (UINT64_C(1) << 39) /* half of what 40 address bits reach */

ST_DESCRIBE(vm_state, VM_STATE, 4);

/* --- Names --- */

const char *doppel_machine_name(unsigned i, const char **help)
{
    if (boards[i] && help) {
        *help = boards[i]->help;
    }
    return boards[i] ? boards[i]->name : NULL;
}

const char *doppel_cpu_name(unsigned i, const char **help)
{
    if (help) {
        *help = cpu_models[i].help;
    }
    return cpu_models[i].name;
}

const char *doppel_device_name(unsigned i, const char **help)
{
    if (hw_classes[i] && help) {
        *help = hw_classes[i]->help;
    }
    return hw_classes[i] ? hw_classes[i]->name : NULL;
}

const char *doppel_log_item(unsigned i, const char **help)
{
    if (i >= LOG_COUNT) {
        return NULL;
    }
    if (help) {
        *help = log_help((enum log_cat)i);
    }
    return log_name((enum log_cat)i);
}

const char *doppel_version(void)
{
    return DOPPEL_VERSION;
}

bool doppel_options_init(struct doppel_options *o, uint32_t abi)
{
    if (abi != DOPPEL_ABI) {
        return false;
    }
    *o = (struct doppel_options){
        .abi = abi,
        .name = "doppel",
        .machine = "pc",
        .engine = "jit",
        .cpus = 1,
        .ram_bytes = RAM_DEFAULT,
        .rtc_epoch = DOPPEL_EPOCH_HOST,
        .seed = DOPPEL_SEED_HOST,
    };
    return true;
}

/* --- Options --- */

static void own(struct doppel_vm *vm, const char **s)
{
    if (!*s) {
        return;
    }
    char *copy = strdup(*s);
    vm->strings = realloc(vm->strings, (vm->nstrings + 1) * sizeof vm->strings[0]);
    if (!copy || !vm->strings) {
        abort();
    }
    vm->strings[vm->nstrings++] = copy;
    *s = copy;
}

static void own_list(struct doppel_vm *vm, const char **list, unsigned n, unsigned max)
{
    for (unsigned i = 0; i < n && i < max; i++) {
        own(vm, &list[i]);
    }
}

static void own_options(struct doppel_vm *vm, const struct doppel_options *o)
{
    vm->opt = *o;
    const char **all[] = {
        &vm->opt.name,         &vm->opt.machine,   &vm->opt.cpu,      &vm->opt.engine,
        &vm->opt.kernel,       &vm->opt.initrd,    &vm->opt.append,   &vm->opt.debugcon,
        &vm->opt.monitor,      &vm->opt.log_items, &vm->opt.log_file, &vm->opt.bios,
        &vm->opt.parallel,     &vm->opt.boot,      &vm->opt.vga,      &vm->opt.uuid,
        &vm->opt.snapshot_dir,
    };
    for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
        own(vm, all[i]);
    }
    for (unsigned i = 0; i < DOPPEL_MAX_SERIAL; i++) {
        own(vm, &vm->opt.serial[i]);
    }
    own_list(vm, vm->opt.device, vm->opt.ndevices, DOPPEL_MAX_DEVICES);
    own_list(vm, vm->opt.drive, vm->opt.ndrives, DOPPEL_MAX_DRIVES);
    own_list(vm, vm->opt.nic, vm->opt.nnics, DOPPEL_MAX_NICS);
    own_list(vm, vm->opt.netdev, vm->opt.nnetdevs, DOPPEL_MAX_NICS);
    own_list(vm, vm->opt.fw_cfg, vm->opt.nfw_cfg, DOPPEL_MAX_FW_CFG);
    own_list(vm, vm->opt.smbios, vm->opt.nsmbios, DOPPEL_MAX_SMBIOS);
    own_list(vm, vm->opt.firmware_dir, vm->opt.nfirmware_dirs, DOPPEL_MAX_DIRS);
}

static const char *machine_name(void *ctx, unsigned i)
{
    (void)ctx;
    return doppel_machine_name(i, NULL);
}

static bool check_options(struct doppel_vm *vm, struct err *e)
{
    const struct doppel_options *o = &vm->opt;
    if (o->abi != DOPPEL_ABI || o->ndevices > DOPPEL_MAX_DEVICES ||
        o->ndrives > DOPPEL_MAX_DRIVES || o->nnics > DOPPEL_MAX_NICS ||
        o->nnetdevs > DOPPEL_MAX_NICS || o->nfirmware_dirs > DOPPEL_MAX_DIRS ||
        o->nfw_cfg > DOPPEL_MAX_FW_CFG || o->nsmbios > DOPPEL_MAX_SMBIOS) {
        return err_usage(e,
                         "options for ABI %u with %u devices, %u drives, %u network cards, %u "
                         "firmware folders; this library has ABI %u and takes %u, %u, %u, %u",
                         o->abi, o->ndevices, o->ndrives, o->nnics + o->nnetdevs, o->nfirmware_dirs,
                         DOPPEL_ABI, DOPPEL_MAX_DEVICES, DOPPEL_MAX_DRIVES, DOPPEL_MAX_NICS,
                         DOPPEL_MAX_DIRS);
    }
    if (o->cpus < 1 || o->cpus > DOPPEL_MAX_CPUS) {
        return err_usage(e, "-smp %u: want 1 to %u", o->cpus, DOPPEL_MAX_CPUS);
    }
    if (o->ram_bytes < MIB || o->ram_bytes > RAM_MAX || o->ram_bytes % MIB) {
        return err_usage(e, "-m: %" PRIu64 " bytes; want 1 MiB to %" PRIu64 " GiB, whole MiB",
                         o->ram_bytes, RAM_MAX >> 30);
    }
    struct engine_options eo;
    if (!engine_options_parse(o->engine ? o->engine : "jit", &eo, e)) {
        return false;
    }
    if (o->initrd && !o->kernel) {
        return err_usage(e, "-initrd needs -kernel");
    }
    if (o->append && !o->kernel) {
        return err_usage(e, "-append needs -kernel");
    }
    for (unsigned i = 0; boards[i]; i++) {
        if (o->machine && strcmp(boards[i]->name, o->machine) == 0) {
            vm->board = boards[i];
            unsigned max = vm->board->max_cpus;
            return !max || o->cpus <= max ||
                   err_usage(e, "-smp %u: machine %s takes at most %u", o->cpus, o->machine, max);
        }
    }
    return err_usage(e, "-machine %s: no such machine; the nearest is %s", o->machine,
                     suggest_nearest(o->machine ? o->machine : "", machine_name, NULL));
}

static void log_input(void *ctx, const struct gate_event *ev)
{
    struct doppel_vm *vm = ctx;
    log_line(&vm->log, LOG_gate, "%" PRIu64 ": %s, %" PRIu32 " bytes, first %#x", ev->when,
             ev->source, ev->len, ev->len ? ev->payload[0] : 0);
}

static bool open_log(struct doppel_vm *vm, struct err *e)
{
    vm->log = (struct log){.burst = 1000};
    const char *bad;
    if (vm->opt.log_items && !log_parse(vm->opt.log_items, &vm->log.mask, &bad)) {
        return err_usage(e, "-d: no log item \"%.*s\"; \"-d help\" lists them",
                         (int)strcspn(bad, ","), bad);
    }
    vm->log.out = stderr;
    if (vm->opt.log_file) {
        vm->log.out = vm->log_file = fopen(vm->opt.log_file, "w");
        if (!vm->log_file) {
            return err_set(e, "-D %s: cannot be written", vm->opt.log_file);
        }
        setvbuf(vm->log_file, NULL, _IOLBF, 0);
    }
    if (!disasm_present()) {
        enum log_cat cat = log_on(&vm->log, LOG_in_asm) ? LOG_in_asm : LOG_out_asm;
        log_line(&vm->log, cat, "this doppel is built without capstone: code is shown as bytes");
    }
    vm->mem.log = vm->io.log = &vm->log;
    if (log_on(&vm->log, LOG_gate)) {
        gate_listen(&vm->gate, log_input, vm);
    }
    return true;
}

/* --- Memory --- */

static void memory_changed(void *ctx)
{
    struct doppel_vm *vm = ctx;
    if (vm->blocks) {
        block_cache_remapped(vm->blocks);
    }
    /* Translations stay, only what they find there is another thing: so when this happens does not
     * show in a guest's stale TLB entries (vm/firmware.c depends on it). */
    for (unsigned i = 0; i < vm->ncpus; i++) {
        tlb_drop_l1(&vm->cpu[i]->tlb);
    }
    debug_remapped(vm);
}

static bool make_memory(struct doppel_vm *vm, struct err *e)
{
    uint64_t size = vm->opt.ram_bytes;
    vm->low_bytes = size < VM_LOW_MAX ? size : VM_LOW_MAX;
    vm->have_ram = ram_init(&vm->ram, size);
    vm->have_rom = vm->have_ram && ram_init(&vm->rom, VM_ROM_SIZE);
    if (!vm->have_rom) {
        return err_set(e, "-m %" PRIu64 ": no host memory for it", size >> 20);
    }
    aspace_map_ram(&vm->mem, 0, 0xa0000, &vm->ram, 0, false, "ram", 0);
    uint64_t next = firmware_wanted(vm) ? 0x100000 : 0xc0000;
    if (vm->low_bytes > next) {
        aspace_map_ram(&vm->mem, next, vm->low_bytes - next, &vm->ram, next, false, "ram", 0);
    }
    if (size > vm->low_bytes) {
        aspace_map_ram(&vm->mem, VM_HIGH, size - vm->low_bytes, &vm->ram, vm->low_bytes, false,
                       "ram-high", 0);
    }
    if (!firmware_map(vm, e) || vm->firmware) {
        return vm->firmware != NULL;
    }
    aspace_map_ram(&vm->mem, VM_HIGH - VM_ROM_SIZE, VM_ROM_SIZE, &vm->rom, 0, true, "rom", 1);
    if (!vm->opt.kernel) {
        /* The demo runs in real mode, also on models without 32 address lines. */
        aspace_map_ram(&vm->mem, 0x100000 - VM_ROM_SIZE, VM_ROM_SIZE, &vm->rom, 0, true, "rom-low",
                       1);
        aspace_map_ram(&vm->mem, 0x1000000 - VM_ROM_SIZE, VM_ROM_SIZE, &vm->rom, 0, true, "rom-286",
                       1);
    }
    return true;
}

void vm_flush_tlbs(struct doppel_vm *vm)
{
    for (unsigned i = 0; i < vm->ncpus; i++) {
        tlb_flush_all(&vm->cpu[i]->tlb);
    }
}

void vm_flush_all(struct doppel_vm *vm)
{
    block_cache_flush(vm->blocks);
    vm_flush_tlbs(vm);
}

/* --- Back ends --- */

/* What a serial port writes to: the host's back end if there is one, and a listener. */
static void listener_write(struct chr *c, const uint8_t *data, size_t len)
{
    struct vm_listener *l = (struct vm_listener *)c;
    chr_write(l->next, data, len);
    if (l->fn) {
        l->fn(l->ctx, data, len);
    }
    if (l->vm) {
        flight_output(l->vm, (unsigned)(l - l->vm->serial), data, len);
    }
}

static void monitor_input(void *ctx, struct chr *from, const uint8_t *data, size_t len)
{
    struct doppel_vm *vm = ctx;
    monitor_feed(vm->mon, from, data, len);
}

static void quit_key(void *ctx)
{
    vm_request(ctx, VM_REQ_QUIT);
}

static bool open_backends(struct doppel_vm *vm, struct err *e)
{
    struct chr_hooks hooks = {vm, monitor_input, quit_key};
    vm->mon = monitor_new(vm);
    vm->chrs = chr_set_new(&hooks);
    vm->screen = screen_new(vm);
    if (!vm->chrs || !vm->mon || !vm->screen) {
        return err_set(e, "no host memory or file descriptors for back ends");
    }
    /* In a replay that stays one nobody types. */
    enum chr_role role = vm->opt.replay && !vm->opt.replay_to_live ? CHR_DEBUG : CHR_SERIAL;
    for (unsigned i = 0; i < DOPPEL_MAX_SERIAL; i++) {
        vm->serial[i].chr = (struct chr){.write = listener_write, .source = -1};
        vm->serial[i].vm = vm;
        if (vm->opt.serial[i] &&
            !chr_set_open(vm->chrs, vm->opt.serial[i], role, &vm->serial[i].next, NULL, e)) {
            return err_prefix(e, "-serial");
        }
    }
    if (vm->opt.debugcon &&
        !chr_set_open(vm->chrs, vm->opt.debugcon, CHR_DEBUG, &vm->debugcon, NULL, e)) {
        return err_prefix(e, "-debugcon");
    }
    if (vm->opt.parallel &&
        !chr_set_open(vm->chrs, vm->opt.parallel, CHR_DEBUG, &vm->parallel, NULL, e)) {
        return err_prefix(e, "-parallel");
    }
    if (vm->opt.monitor &&
        !chr_set_open(vm->chrs, vm->opt.monitor, CHR_MONITOR, &vm->monitor, NULL, e)) {
        return err_prefix(e, "-monitor");
    }
    return true;
}

/* A device attached to the listener; input comes from the back end behind it. */
static void pass_attachments(struct doppel_vm *vm)
{
    for (unsigned i = 0; i < DOPPEL_MAX_SERIAL; i++) {
        struct vm_listener *l = &vm->serial[i];
        if (l->next) {
            chr_attach(l->next, l->chr.gate, l->chr.source, l->chr.room, l->chr.room_ctx);
        }
    }
}

bool doppel_serial_listen(struct doppel_vm *vm, unsigned port,
                          void (*fn)(void *ctx, const uint8_t *data, size_t len), void *ctx)
{
    if (port >= DOPPEL_MAX_SERIAL) {
        return false;
    }
    vm->serial[port].fn = fn;
    vm->serial[port].ctx = ctx;
    return true;
}

/* --- Requests --- */

void vm_request(struct doppel_vm *vm, uint32_t req)
{
    vm->request |= req;
    if (vm->running) {
        vm->running->stop = true;
        cpu_kick(vm->running);
    }
}

static void dev_requested(void *ctx, enum dev_request what, uint32_t arg)
{
    struct doppel_vm *vm = ctx;
    switch (what) {
    case DEV_REQ_RESET:
        vm_request(vm, VM_REQ_RESET);
        break;
    case DEV_REQ_POWEROFF:
        vm_request(vm, VM_REQ_POWEROFF);
        break;
    case DEV_REQ_SLEEP:
        vm_request(vm, VM_REQ_SLEEP);
        break;
    case DEV_REQ_WAKE:
        vm_request(vm, VM_REQ_WAKE);
        break;
    case DEV_REQ_EXIT:
        vm->exit_code = arg;
        vm_request(vm, VM_REQ_EXIT);
        break;
    case DEV_REQ_PANIC:
        log_line(&vm->log, LOG_guest_errors, "the guest reports a panic");
        flight_crash(vm, "the guest reports a panic");
        break;
    }
}

/* A timer was set to fire within the running slice. */
static void clock_kick(void *ctx)
{
    struct doppel_vm *vm = ctx;
    if (vm->running) {
        vm->running->stop = true;
        cpu_kick(vm->running);
    }
}

static void operate(void *ctx, const uint8_t *payload, uint32_t len)
{
    struct doppel_vm *vm = ctx;
    switch (len == 1 ? payload[0] : 0) {
    case VM_OP_RESET:
        vm_request(vm, VM_REQ_RESET);
        break;
    case VM_OP_FLUSH_TLB:
        vm_flush_tlbs(vm);
        break;
    default:
        debug_operate(vm, payload, len);
        break;
    }
}

void vm_operate(struct doppel_vm *vm, enum vm_op op)
{
    uint8_t byte = (uint8_t)op;
    gate_post(&vm->gate, vm->op_source, &byte, 1);
}

/* --- Life --- */

bool vm_reset(struct doppel_vm *vm, enum reset_kind kind, struct err *e)
{
    log_line(&vm->log, LOG_cpu_reset, "system reset at %" PRIu64, clock_now(&vm->clock));
    dev_reset_all(&vm->env, kind);
    firmware_reset(vm, kind);
    vm->s.asleep = false;
    vm->s.turn = 0;
    vm->s.quantum = VM_QUANTUM;
    vm->s.pauses = 0;
    return boot_load(vm, e);
}

/* Something came in from another thread: an idle machine goes on. */
static void posted(void *ctx)
{
    struct doppel_vm *vm = ctx;
    if (vm->chrs) {
        chr_set_wake(vm->chrs);
    }
}

static void set_up(struct doppel_vm *vm)
{
    clock_init(&vm->clock);
    vm->clock.kick = clock_kick;
    vm->clock.kick_ctx = vm;
    vm->clock.elapsed = cpu_elapsed;
    gate_init(&vm->gate);
    vm->gate.wake = posted;
    vm->gate.wake_ctx = vm;
    aspace_init(&vm->mem, UINT64_C(1) << 46);
    aspace_init(&vm->io, 0x10000);
    vm->mem.changed = memory_changed;
    vm->mem.changed_ctx = vm;
    vm->env = (struct dev_env){
        .clock = &vm->clock,
        .gate = &vm->gate,
        .log = &vm->log,
        .mem = &vm->mem,
        .io = &vm->io,
        .request = dev_requested,
        .request_ctx = vm,
        .ram_new = vm_memory_new,
        .ram_ctx = vm,
    };
    vm->op_source = gate_source_add(&vm->gate, "operator", operate, vm);
    input_init(vm);
    vm->paused = vm->opt.paused;
    vm->check_at = UINT64_MAX;
    vm->stop_at = vm->end_when = VTIME_NEVER;
}

static bool create(struct doppel_vm *vm, struct err *e)
{
    if (!check_options(vm, e) || !open_log(vm, e)) {
        return false;
    }
    if (vm->twin) {
        vm->replay = twin_replay(vm);
    } else if (vm->opt.replay && !(vm->replay = replay_new(vm, vm->opt.replay, e))) {
        return false;
    }
    int64_t epoch = vm->opt.rtc_epoch == DOPPEL_EPOCH_HOST ? host_epoch() : vm->opt.rtc_epoch;
    uint64_t seed = vm->opt.seed == DOPPEL_SEED_HOST ? host_seed() : vm->opt.seed;
    vm->epoch = gate_value(&vm->gate, "rtc.epoch", (uint64_t)epoch);
    vm->seed = gate_value(&vm->gate, "seed", seed);
    struct engine_options eo;
    if (!engine_options_parse(vm->opt.engine ? vm->opt.engine : "jit", &eo, e) ||
        !pace_init(vm, vm->opt.speed, e)) {
        return false;
    }
    vm->blocks = block_cache_new();
    vm->engine = engine_new(&eo);
    if (!vm->blocks || !vm->engine) {
        return err_set(e, "no host memory");
    }
    block_cache_set_engine(vm->blocks, vm->engine);
    if (!open_backends(vm, e) || !drives_open(vm, e) || !make_memory(vm, e) || !nets_open(vm, e) ||
        !vm_build(vm, e) || !drives_check(vm, e) || !firmware_tell(vm, e)) {
        return false;
    }
    if (vm->opt.kernel && vm->opt.vga && strcmp(vm->opt.vga, "none") != 0 && !vm->firmware) {
        fprintf(vm->log.out,
                "%s: -vga %s: a kernel started without firmware finds no video BIOS; -bios "
                "bios-256k.bin starts it with one\n",
                vm->opt.name, vm->opt.vga);
    }
    pass_attachments(vm);
    input_bind(vm);
    block_cache_watch(vm->blocks, &vm->ram);
    block_cache_watch(vm->blocks, &vm->rom);
    if (!vm_reset(vm, RESET_COLD, e)) {
        return false;
    }
    bool ok = vm->twin || (vm->replay ? replay_begin(vm->replay, e) : nets_start(vm, e));
    return ok && (!vm->opt.history || history_start(vm, vm->opt.history, e));
}

struct doppel_vm *vm_create(const struct doppel_options *o, struct twin *twin, struct err *e)
{
    struct doppel_vm *vm = calloc(1, sizeof *vm);
    if (!vm) {
        abort();
    }
    vm->twin = twin;
    own_options(vm, o);
    set_up(vm);
    if (create(vm, e)) {
        return vm;
    }
    doppel_destroy(vm);
    return NULL;
}

struct doppel_vm *doppel_create(const struct doppel_options *o, struct doppel_error *out)
{
    struct err e = {""};
    struct doppel_vm *vm = vm_create(o, NULL, &e);
    if (!vm && out) {
        snprintf(out->msg, sizeof out->msg, "%s", e.msg);
        out->usage = e.usage;
    }
    return vm;
}

void doppel_destroy(struct doppel_vm *vm)
{
    if (!vm) {
        return;
    }
    history_stop(vm);
    record_end(vm);
    nets_close(vm); /* its threads post to the gate */
    snapshot_fini(vm);
    dev_free_all(&vm->env);
    drives_close(vm);
    if (vm->blocks) {
        block_cache_free(vm->blocks);
    }
    engine_free(vm->engine);
    aspace_fini(&vm->mem);
    aspace_fini(&vm->io);
    if (vm->have_ram) {
        ram_fini(&vm->ram);
    }
    if (vm->have_rom) {
        ram_fini(&vm->rom);
    }
    vm_memory_free(vm);
    firmware_free(vm);
    chr_set_free(vm->chrs);
    monitor_free(vm->mon);
    screen_free(vm->screen);
    debug_free(vm);
    clock_fini(&vm->clock);
    gate_fini(&vm->gate);
    if (!vm->twin) {
        replay_free(vm->replay);
    }
    free(vm->twin);
    files_free(vm);
    st_buf_free(&vm->small);
    if (vm->log_file) {
        fclose(vm->log_file);
    }
    for (unsigned i = 0; i < vm->nstrings; i++) {
        free(vm->strings[i]);
    }
    free(vm->strings);
    free(vm);
}

bool doppel_post_input(struct doppel_vm *vm, const char *source, const void *data, uint32_t len)
{
    if (!gate_post(&vm->gate, gate_source_find(&vm->gate, source), data, len)) {
        return false;
    }
    chr_set_wake(vm->chrs);
    return true;
}
