/*
 * The table of options, and what is printed from it: --help and the tables of docs/options.md.
 */
#include <string.h>

#include "frontends/options_priv.h"
#include "util/bits.h"

/* An argument called FILE... or FOLDER is a path, BACKEND may hold one: INI files rely on these
 * names (frontends/options_paths.c, which has the options that are neither). */
// clang-format off
const struct option options_table[] = {
    {"m", "SIZE", "guest RAM: MiB, or with a suffix K, M, G [128]", options_set_m, NULL},
    {"smp", "N", "number of CPUs, 1 to 8 [1]", options_set_smp, NULL},
    {"cpu", "MODEL[,+FEATURE...]", "CPU model [the newest]", options_set_cpu, doppel_cpu_name},
    {"machine", "BOARD", "board [pc]", options_set_machine, doppel_machine_name},
    {"M", "BOARD", "the same", options_set_machine, doppel_machine_name},
    {"kernel", "FILE", "boot this directly: Linux bzImage, ELF with a PVH note, multiboot 1",
     options_set_kernel, NULL},
    {"initrd", "FILE", "initial RAM disk; for multiboot \"FILE ARGS,FILE ARGS\"",
     options_set_initrd, NULL},
    {"append", "TEXT", "the kernel's command line", options_set_append, NULL},
    {"bios", "FILE", "firmware, for example OVMF.fd; it starts -kernel "
     "[the board's: Debian's SeaBIOS]", options_set_bios, NULL},
    {"L", "FOLDER", "look for firmware here first; repeat for more",
     options_set_firmware_dir, NULL},
    {"boot", "ORDER", "order=dca (a floppy, c disk, d CD, n network), once=d, menu=on, "
     "splash-time=MS, reboot-timeout=MS", options_set_boot, NULL},
    {"vga", "KIND", "display adapter: std (with firmware, the default) or none",
     options_set_vga, options_vga_name},
    {"fw_cfg", "name=NAME,string=TEXT", "a file for firmware and guests; or name=NAME,file=PATH",
     options_set_fw_cfg, NULL},
    {"smbios", "type=N,KEY=TEXT,...", "what the machine says it is: "
     "type=1,manufacturer=A,product=B and the like, types 0, 1, 2, 3, 4, 11, 17",
     options_set_smbios, NULL},
    {"uuid", "UUID", "the machine's UUID [zeros]", options_set_uuid, NULL},
    {"drive", "file=FILE[,NAME=VALUE...]", "a drive: if=ide|floppy|pflash|none, index=N, "
     "media=disk|cdrom, format=raw|qcow2, snapshot=on, readonly=on, id=NAME, "
     "bootindex=N", options_drive, NULL},
    {"snapshot", NULL, "snapshot=on for every drive that does not say otherwise: images stay "
     "as they are", options_set_snapshot, NULL},
    {"hda", "FILE", "hard disk; also -hdb, -hdc, -hdd", options_hda, NULL},
    {"hdb", "FILE", "second hard disk", options_hdb, NULL},
    {"hdc", "FILE", "third hard disk", options_hdc, NULL},
    {"hdd", "FILE", "fourth hard disk", options_hdd, NULL},
    {"cdrom", "FILE", "CD-ROM", options_cdrom, NULL},
    {"fda", "FILE", "floppy in drive A", options_fda, NULL},
    {"fdb", "FILE", "floppy in drive B", options_fdb, NULL},
    {"serial", "BACKEND", "serial port: stdio, mon:stdio, file:PATH, unix:PATH,server,nowait, "
     "null, none; repeat for the next port [mon:stdio]", options_set_serial,
     options_backend_name},
    {"debugcon", "BACKEND", "debug console at ports 0xe9 and 0x402",
     options_set_debugcon, options_backend_name},
    {"parallel", "BACKEND", "printer on the parallel port: file:PATH, stdio, unix:PATH,server, "
     "null, none [none]", options_set_parallel, options_backend_name},
    {"monitor", "BACKEND", "text monitor: stdio, unix:PATH,server,nowait, none [none]",
     options_set_monitor, options_backend_name},
    {"display", "KIND", "sdl: a window (sdl,scale=integer,full-screen=on); none: nothing on the "
     "terminal unless asked for", options_set_display,
     options_display_name},
    {"nographic", NULL, "serial port and monitor on the terminal", options_set_nographic, NULL},
    {"rtc", "base=WHEN", "clock of the guest: utc, localtime or 2024-02-29T12:00:00 [utc]",
     options_set_rtc, NULL},
    {"device", "CLASS[,PROPERTY=VALUE...]", "add a device, for example "
     "isa-debug-exit,iobase=0xf4,iosize=4", options_set_device, doppel_device_name},
    {"nic", "user[,model=CARD][,mac=ADDRESS][,hostfwd=...]", "a network card (e1000; on isapc "
     "ne2k_isa) and what it is plugged into, user-mode networking or socket as for -netdev; or "
     "none [none]", options_set_nic, doppel_nic_model},
    {"netdev", "user,id=NAME[,hostfwd=...]", "the same without a card, for -device "
     "e1000,netdev=NAME; or socket,id=NAME,listen=[ADDR]:PORT or connect= or mcast=",
     options_set_netdev, NULL},
    {"net", "none", "no network card, as there is none unless asked for", options_set_net, NULL},
    {"no-reboot", NULL, "a reset or triple fault ends doppel", options_set_no_reboot, NULL},
    {"no-shutdown", NULL, "a power-off pauses instead of ending doppel",
     options_set_no_shutdown, NULL},
    {"S", NULL, "start paused, until the monitor's or gdb's \"cont\"", options_set_paused, NULL},
    {"gdb", "BACKEND", "let gdb in at tcp:HOST:PORT (tcp::PORT: from this host alone), unix:PATH "
     "or stdio; with ,arch=i8086|i386|x86-64 (docs/debugging.md)", options_set_gdb, NULL},
    {"s", NULL, "the same as -gdb tcp::1234", options_set_gdb_port, NULL},
    {"speed", "real|max|auto|NS", "virtual time keeps step with the host's; goes as fast as it "
     "can, idle time skipped; the former while somebody is there; or NS for each instruction "
     "[auto]", options_set_speed, NULL},
    {"icount", "shift=N|auto[,sleep=off]", "the same in QEMU's words: 2^N ns for each instruction, "
     "or real; sleep=off skips idle time", options_set_icount, NULL},
    {"history", "SIZE", "keep the machine's past in so much host memory, as for -m, to go back to",
     options_set_history, NULL},
    {"name", "TEXT", "the machine's name", options_set_name, NULL},
    {"d", "ITEM[,ITEM...]", "log", options_set_log, doppel_log_item},
    {"D", "FILE", "log to a file instead of standard error", options_set_log_file, NULL},
    {"engine", "ENGINE", "how guest code is run [jit]", options_set_engine, options_engine_name},
    {"seed", "N", "seed of the guest's random instructions [from the host]",
     options_set_seed, NULL},
    {"icount-limit", "N", "stop at exactly N instructions retired", options_set_icount_limit, NULL},
    {"digest", NULL, "print instructions, virtual time and digest of all state at the end",
     options_set_digest, NULL},
    {"info", "WHAT", "print the monitor's \"info WHAT\" at the end", options_set_info, NULL},
    {"save-state", "FILE[@N]", "save the machine after N instructions, or at the end",
     options_set_save_state, NULL},
    {"load-state", "FILE", "go on from a saved machine, given the same other options",
     options_set_load_state, NULL},
    {"loadvm", "NAME", "go on from a snapshot (the monitor's savevm), given the same other options",
     options_set_loadvm, NULL},
    {"snapshot-dir", "FOLDER", "where snapshots are by name [beside the image or INI file, with "
     ".snapshots behind its name; else NAME.snapshots]", options_set_snapshot_dir, NULL},
    {"flight", "TIME", "keep the last TIME (60s) in memory, written out at a crash or by the "
     "monitor's \"flight save\"; with limit=256M, file=PATH, panic=TEXT, watchdog=TIME behind it, "
     "or off [off; with a window 60s]", options_set_flight, NULL},
    {"record", "FILE", "write a log of all input, for \"doppel replay FILE\"", options_set_record,
     NULL},
    {"write-config", "FILE", "do not run: write these options as an INI file for \"doppel up\"",
     options_set_write_config, NULL},
};
// clang-format on

const unsigned options_count = ARRAY_LEN(options_table);

static const struct {
    const char *code, *meaning;
} exit_codes[] = {
    {"0", "the guest powered off or halted for good, the operator quit, a limit was reached"},
    {"1", "something could not be set up: a file, a back end, memory"},
    {"2", "the command line is wrong"},
    {"3", "a replay left the recorded run"},
    {"N", "isa-debug-exit: a write of V ends with status (V * 2 + 1) & 255"},
    {"128+N", "doppel was ended by signal N (Ctrl-C outside of a raw terminal: 130)"},
};

/* --- Printing --- */

void options_help(FILE *out)
{
    fprintf(out,
            "Usage: doppel run [IMAGE] [options]\n"
            "       doppel replay FILE [options]   (docs/replay.md)\n"
            "       doppel up FILE.ini...   (docs/ini.md)\n"
            "       doppel image create|info|check|convert ...   (docs/disks.md)\n"
            "       doppel --help | --version\n\n"
            "IMAGE is a floppy, CD or hard disk image or a kernel; doppel looks at it and says "
            "what it is.\nWith nothing to boot, a built-in demo runs.\n\n");
    for (unsigned i = 0; i < options_count; i++) {
        char head[64];
        snprintf(head, sizeof head, "-%s %s", options_table[i].name,
                 options_table[i].arg ? options_table[i].arg : "");
        fprintf(out, "  %-26s %s%s\n", head,
                strlen(head) > 26 ? "\n                             " : "", options_table[i].help);
    }
    fprintf(out, "\n\"-OPTION help\" lists values for cpu, machine, device, nic, d.\n"
                 "On the terminal: Ctrl-A x quits, Ctrl-A c switches to the monitor.\n\n"
                 "Exit status:\n");
    for (unsigned i = 0; i < ARRAY_LEN(exit_codes); i++) {
        fprintf(out, "  %-6s %s\n", exit_codes[i].code, exit_codes[i].meaning);
    }
}

void options_markdown(FILE *out)
{
    fprintf(out, "| option | meaning |\n|---|---|\n");
    for (unsigned i = 0; i < options_count; i++) {
        fprintf(out, "| `-%s%s%s` | %s |\n", options_table[i].name, options_table[i].arg ? " " : "",
                options_table[i].arg ? options_table[i].arg : "", options_table[i].help);
    }
    fprintf(out, "\n| exit status | meaning |\n|---|---|\n");
    for (unsigned i = 0; i < ARRAY_LEN(exit_codes); i++) {
        fprintf(out, "| %s | %s |\n", exit_codes[i].code, exit_codes[i].meaning);
    }
}

void options_monitor_markdown(FILE *out)
{
    const char *name, *args, *help;
    fprintf(out, "| command | meaning |\n|---|---|\n");
    for (unsigned i = 0; (name = doppel_monitor_command(i, &args, &help)) != NULL; i++) {
        fprintf(out, "| `%s%s%s` | %s |\n", name, *args ? " " : "", args, help);
    }
}

void options_list(const struct option *opt, FILE *out)
{
    const char *name, *help = "";
    for (unsigned i = 0; (name = opt->list(i, &help)) != NULL; i++) {
        fprintf(out, "%-16s %s\n", name, help ? help : "");
    }
}
