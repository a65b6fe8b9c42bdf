/*
 * The monitor's commands, as a table, and the line editor in front of them.
 *
 * Looking changes nothing that a guest could notice: reads go to RAM, never to device registers.
 * Commands that a guest can notice enter through the gate.
 */
#include "vm/monitor.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/hosttime.h"
#include "util/suggest.h"
#include "vm/drives.h"
#include "vm/flight.h"
#include "vm/monitor_history.h"
#include "vm/monitor_info.h"
#include "vm/nets.h"
#include "vm/pace.h"
#include "vm/record.h"
#include "vm/screen.h"
#include "vm/vm.h"

#define LINE_MAX_LEN 256u
#define PROMPT       "(doppel) "

struct monitor {
    struct doppel_vm *vm;
    char line[LINE_MAX_LEN];
    size_t len;
    uint8_t last; /* byte typed: \r\n counts once */
};

void mon_printf(struct mon_out *o, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n > 0) {
        o->fn(o->ctx, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
    }
}

/* --- Commands --- */

static void cmd_stop(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    (void)args;
    (void)o;
    vm->paused = true;
}

static void cmd_cont(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    (void)args;
    (void)o;
    vm->paused = false;
}

static void cmd_reset(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    (void)args;
    (void)o;
    vm_operate(vm, VM_OP_RESET);
}

static void cmd_powerdown(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    (void)args;
    uint8_t pressed = 1;
    const char *button = vm->board->power_source;
    if (!button || !gate_post(&vm->gate, gate_source_find(&vm->gate, button), &pressed, 1)) {
        mon_printf(o, "this board has no power button\n");
    }
}

/* The button that powers down wakes, too. */
static void cmd_wakeup(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    if (vm->s.asleep) {
        cmd_powerdown(vm, args, o);
    } else {
        mon_printf(o, "the machine is not suspended\n");
    }
}

static void cmd_quit(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    (void)args;
    (void)o;
    vm_request(vm, VM_REQ_QUIT);
}

static void cmd_digest(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    (void)args;
    mon_printf(o, "icount %" PRIu64 " vtime %" PRIu64 " digest %016" PRIx64 "\n", doppel_icount(vm),
               doppel_vtime(vm), doppel_digest(vm));
}

static void cmd_savevm(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    struct doppel_error e;
    if (!doppel_snapshot_save(vm, args, host_epoch(), &e)) {
        mon_printf(o, "savevm: %s\n", e.msg);
    }
}

static void cmd_loadvm(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    struct doppel_error e;
    if (!doppel_snapshot_load(vm, args, &e)) {
        mon_printf(o, "loadvm: %s\n", e.msg);
    }
}

static void cmd_delvm(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    struct doppel_error e;
    if (!doppel_snapshot_delete(vm, args, &e)) {
        mon_printf(o, "delvm: %s\n", e.msg);
    }
}

static void cmd_screendump(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    struct err e = {""};
    if (!*args) {
        mon_printf(o, "screendump: want a file name\n");
    } else if (!screen_dump(vm, args, &e)) {
        mon_printf(o, "screendump: %s\n", e.msg);
    }
}

static void cmd_screentext(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    (void)args;
    struct err e = {""};
    if (!screen_text(vm, o, &e)) {
        mon_printf(o, "screentext: %s\n", e.msg);
    }
}

static void cmd_help(struct doppel_vm *vm, const char *args, struct mon_out *o);

static const struct command {
    const char *name, *args, *help;
    void (*fn)(struct doppel_vm *vm, const char *args, struct mon_out *o);
} commands[] = {
    {"help", "", "this list", cmd_help},
    {"info", "WHAT",
     "status, registers, cpus, mem, tlb, pic, pci, mtree, devices, block, jit, "
     "network, snapshots, history, record",
     mon_info},
    {"x", "/NF ADDR", "dump N items of memory at a linear address of CPU 0; F: x d, size b h w g",
     mon_x},
    {"xp", "/NF ADDR", "the same at a physical address", mon_xp},
    {"stop", "", "pause the machine", cmd_stop},
    {"cont", "", "let it run on", cmd_cont},
    {"system_reset", "", "press the reset button", cmd_reset},
    {"system_powerdown", "", "press the power button", cmd_powerdown},
    {"system_wakeup", "", "wake a machine that is suspended to RAM", cmd_wakeup},
    {"change", "[-f] DRIVE FILE", "put another medium into a CD-ROM or floppy drive",
     drives_change},
    {"eject", "[-f] DRIVE", "take the medium out; -f: though the guest has locked it",
     drives_eject},
    {"hostfwd_add", "[NETDEV] tcp:[ADDR]:PORT-[ADDR]:PORT",
     "forward a port of the host to the "
     "guest",
     nets_forward_add},
    {"hostfwd_remove", "[NETDEV] tcp:[ADDR]:PORT", "give it back", nets_forward_remove},
    {"digest", "", "instructions retired, virtual time, digest of all state", cmd_digest},
    {"savevm", "NAME", "save the machine as a snapshot; with a slash in it NAME is a file",
     cmd_savevm},
    {"loadvm", "NAME", "go on from a snapshot; if that fails, the machine stays as it is",
     cmd_loadvm},
    {"delvm", "NAME", "delete a snapshot", cmd_delvm},
    {"record", "start FILE | stop",
     "record all input from now on, for \"doppel replay\"; \"info record\" tells how far it is",
     record_command},
    {"flight", "save FILE", "write the flight recorder (-flight) to a log", flight_command},
    {"device_table", "[NAME]", "every field of a device's state; without a name: all devices",
     mon_device_table},
    {"sendkey", "KEYS [MS]",
     "press keys by name, as ctrl-alt-delete, a, f1, kp_0, 0x1e; release "
     "them after MS [100] of virtual time",
     mon_sendkey},
    {"sendtext", "TEXT",
     "type TEXT on a US keyboard; \\n is Enter, \\t Tab, \\e Escape, \\\\ a "
     "backslash",
     mon_sendtext},
    {"mouse_move", "DX DY [DZ]", "move the mouse right and down, turn its wheel up",
     mon_mouse_move},
    {"mouse_button", "MASK", "buttons held from now on: 1 left, 2 right, 4 middle, 0 none",
     mon_mouse_button},
    {"screendump", "FILE", "write the screen as a picture: PNG, or PPM if FILE ends in .ppm",
     cmd_screendump},
    {"screentext", "", "print the screen of a text mode", cmd_screentext},
    {"speed", "[real|max|auto|NS]",
     "virtual time keeps step with the host's, goes as fast as it can, the former while somebody "
     "is "
     "there; or ns for each instruction; without an argument: tell",
     mon_speed},
    {"history", "[MIB|off]", "keep the machine's past from now on, in so much host memory [256]",
     mon_history},
    {"goto", "ICOUNT|end", "be where so many instructions had retired, paused; or in the present",
     mon_goto},
    {"reverse", "[N]", "go back by so many instructions [1], paused", mon_reverse},
    {"last-write", "[-p] ADDRESS [BYTES]",
     "go back to who wrote last to an address, linear or (-p) physical", mon_last_write},
    {"branch", "", "let the machine live on from where it is in its past", mon_branch},
    {"quit", "", "end doppel", cmd_quit},
};

const char *monitor_command(unsigned i, const char **args, const char **help)
{
    if (i >= ARRAY_LEN(commands)) {
        return NULL;
    }
    if (args) {
        *args = commands[i].args;
    }
    if (help) {
        *help = commands[i].help;
    }
    return commands[i].name;
}

const char *doppel_monitor_command(unsigned i, const char **args, const char **help)
{
    return monitor_command(i, args, help);
}

static const char *command_name(void *ctx, unsigned i)
{
    (void)ctx;
    return monitor_command(i, NULL, NULL);
}

static void cmd_help(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    (void)vm;
    (void)args;
    for (unsigned i = 0; i < ARRAY_LEN(commands); i++) {
        char head[48];
        snprintf(head, sizeof head, "%s %s", commands[i].name, commands[i].args);
        mon_printf(o, "%-18s %s\n", head, commands[i].help);
    }
}

void doppel_command(struct doppel_vm *vm, const char *line,
                    void (*out)(void *ctx, const char *text, size_t len), void *ctx)
{
    struct mon_out o = {out, ctx};
    char name[32];
    line += strspn(line, " \t");
    size_t n = strcspn(line, " \t/");
    if (n == 0) {
        return;
    }
    snprintf(name, sizeof name, "%.*s", (int)(n < 31 ? n : 31), line);
    const char *args = line + n + strspn(line + n, " \t");
    for (unsigned i = 0; i < ARRAY_LEN(commands); i++) {
        if (strcmp(name, commands[i].name) == 0) {
            commands[i].fn(vm, args, &o);
            return;
        }
    }
    mon_printf(&o, "no command \"%s\"; the nearest is \"%s\" (\"help\" lists all)\n", name,
               suggest_nearest(name, command_name, NULL));
}

/* --- The line editor --- */

static void to_chr(void *ctx, const char *text, size_t len)
{
    chr_write(ctx, text, len);
}

struct monitor *monitor_new(struct doppel_vm *vm)
{
    struct monitor *m = calloc(1, sizeof *m);
    if (m) {
        m->vm = vm;
    }
    return m;
}

void monitor_free(struct monitor *m)
{
    free(m);
}

void monitor_feed(struct monitor *m, struct chr *from, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        uint8_t c = data[i], last = m->last;
        m->last = c;
        if (c == '\r' || c == '\n') {
            if (c == '\n' && last == '\r') {
                continue;
            }
            m->line[m->len] = 0;
            m->len = 0;
            chr_write(from, "\n", 1);
            doppel_command(m->vm, m->line, to_chr, from);
            chr_write(from, PROMPT, sizeof PROMPT - 1);
        } else if (c == '\b' || c == 0x7f) {
            if (m->len) {
                m->len--;
                chr_write(from, "\b \b", 3);
            }
        } else if (isprint(c) && m->len < LINE_MAX_LEN - 1) {
            m->line[m->len++] = (char)c;
            chr_write(from, &c, 1);
        }
    }
}
