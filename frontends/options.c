/*
 * The table of options, their parsers, and what is printed from the table.
 *
 * Nothing is ignored silently: an option or value that is not known is an error that names the
 * nearest known one.
 */
#include "frontends/options_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config.h"
#include "util/bits.h"
#include "util/suggest.h"

struct option {
    const char *name, *arg, *help; /* arg NULL: a switch */
    bool (*set)(struct options *o, const char *value, struct err *e);
    /* Values for "help"; NULL: none to list. */
    const char *(*list)(unsigned i, const char **help);
};

/* --- Values --- */

/* Keep text made here alive as long as the options. */
const char *options_own(struct options *o, const char *text, size_t len)
{
    char *s = strndup(text, len);
    o->owned = realloc(o->owned, (o->nowned + 1) * sizeof o->owned[0]);
    if (!s || !o->owned) {
        abort();
    }
    return o->owned[o->nowned++] = s;
}

static bool parse_u64(const char *text, uint64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 0);
    return *text >= '0' && *text <= '9' && !*end && !errno;
}

struct names {
    const char *(*list)(unsigned i, const char **help);
};

static const char *listed_name(void *ctx, unsigned i)
{
    return ((const struct names *)ctx)->list(i, NULL);
}

/* The first `len` bytes of value must be a name of the list. */
static bool check_name(const char *option, const char *value, size_t len,
                       const char *(*list)(unsigned i, const char **help), struct err *e)
{
    char word[64];
    const char *n;
    snprintf(word, sizeof word, "%.*s", (int)(len < 63 ? len : 63), value);
    for (unsigned i = 0; (n = list(i, NULL)) != NULL; i++) {
        if (strcmp(n, word) == 0) {
            return true;
        }
    }
    struct names names = {list};
    return err_set(e, "-%s %s: not known; the nearest is %s (\"-%s help\" lists all)", option, word,
                   suggest_nearest(word, listed_name, &names), option);
}

/* --- One function an option --- */

static bool set_m(struct options *o, const char *v, struct err *e)
{
    static const char units[] = "kKmMgGtT";
    static const unsigned shift[] = {10, 20, 30, 40};
    const char *text = strncmp(v, "size=", 5) == 0 ? v + 5 : v;
    char *end;
    errno = 0;
    uint64_t n = strtoull(text, &end, 0);
    unsigned s = 20; /* a bare number is MiB */
    const char *u = *end ? strchr(units, *end) : NULL;
    if (u) {
        s = shift[(u - units) / 2];
        end++;
    }
    if (*text < '0' || *text > '9' || *end || errno || n > UINT64_MAX >> s) {
        return err_set(e, "-m %s: want a size such as 256 (MiB), 512M or 2G", v);
    }
    o->vm.ram_bytes = n << s;
    if (o->vm.ram_bytes < 1u << 20 || o->vm.ram_bytes > UINT64_C(1) << 40 ||
        o->vm.ram_bytes % (1u << 20)) {
        return err_set(e, "-m %s: want 1M to 1024G, whole MiB", v);
    }
    return true;
}

static bool set_smp(struct options *o, const char *v, struct err *e)
{
    uint64_t n;
    const char *text = strncmp(v, "cpus=", 5) == 0 ? v + 5 : v;
    if (!parse_u64(text, &n) || n < 1 || n > DOPPEL_MAX_CPUS) {
        return err_set(e, "-smp %s: want 1 to %u", v, DOPPEL_MAX_CPUS);
    }
    o->vm.cpus = (uint32_t)n;
    return true;
}

static bool set_cpu(struct options *o, const char *v, struct err *e)
{
    o->vm.cpu = v;
    return check_name("cpu", v, strcspn(v, ","), doppel_cpu_name, e);
}

static bool set_machine(struct options *o, const char *v, struct err *e)
{
    o->vm.machine = strncmp(v, "type=", 5) == 0 ? v + 5 : v;
    return check_name("machine", o->vm.machine, strlen(o->vm.machine), doppel_machine_name, e);
}

static bool set_kernel(struct options *o, const char *v, struct err *e)
{
    (void)e;
    o->vm.kernel = v;
    return true;
}

static bool set_initrd(struct options *o, const char *v, struct err *e)
{
    (void)e;
    o->vm.initrd = v;
    return true;
}

static bool set_append(struct options *o, const char *v, struct err *e)
{
    (void)e;
    o->vm.append = v;
    return true;
}

static const char *backend_name(unsigned i, const char **help)
{
    static const char *const known[][2] = {
        {"stdio", "the terminal (a serial port shares it with the monitor)"},
        {"mon:stdio", "the terminal, shared by a serial port and the monitor"},
        {"file:", "PATH follows: output only, into a file"},
        {"unix:", "PATH[,server][,nowait] follows: a local socket"},
        {"null", "there, but connected to nothing"},
        {"none", "not connected"},
    };
    if (i < sizeof known / sizeof known[0]) {
        if (help) {
            *help = known[i][1];
        }
        return known[i][0];
    }
    return NULL;
}

/* A back end's kind is known; whether it can be opened is found out when it is. */
static bool check_backend(const char *option, const char *v, struct err *e)
{
    bool path = strncmp(v, "file:", 5) == 0 || strncmp(v, "unix:", 5) == 0;
    return check_name(option, v, path ? 5 : strlen(v), backend_name, e);
}

static bool set_serial(struct options *o, const char *v, struct err *e)
{
    if (o->nserial == DOPPEL_MAX_SERIAL) {
        return err_set(e, "-serial %s: there are %u serial ports", v, DOPPEL_MAX_SERIAL);
    }
    o->vm.serial[o->nserial++] = v;
    return check_backend("serial", v, e);
}

static bool set_debugcon(struct options *o, const char *v, struct err *e)
{
    o->vm.debugcon = v;
    return check_backend("debugcon", v, e);
}

static bool set_parallel(struct options *o, const char *v, struct err *e)
{
    o->vm.parallel = v;
    return check_backend("parallel", v, e);
}

static bool set_monitor(struct options *o, const char *v, struct err *e)
{
    o->vm.monitor = v;
    return check_backend("monitor", v, e);
}

static const char *display_name(unsigned i, const char **help)
{
    static const char *const known[][2] = {
        {"none", "no window, and no serial port on the terminal unless asked for"},
        {"sdl", "a window; with scale=integer or scale=fit, full-screen=on"},
    };
    if (i < ARRAY_LEN(known) && help) {
        *help = known[i][1];
    }
    return i < ARRAY_LEN(known) ? known[i][0] : NULL;
}

static bool set_display(struct options *o, const char *v, struct err *e)
{
    size_t n = strcspn(v, ",");
    o->display_none = true;
    if (!check_name("display", v, n, display_name, e)) {
        return false;
    }
    o->display_sdl = strncmp(v, "sdl", 3) == 0;
    if (o->display_sdl && !HAVE_SDL2) {
        return err_set(e, "-display sdl: this doppel was built without SDL2; install libsdl2-dev "
                          "and configure it again");
    }
    for (const char *p = v + n; *p; p += n) {
        n = strcspn(++p, ",");
        if (o->display_sdl && strncmp(p, "scale=integer", n) == 0 && n == 13) {
            o->sdl_integer = true;
        } else if (o->display_sdl && strncmp(p, "scale=fit", n) == 0 && n == 9) {
            o->sdl_integer = false;
        } else if (o->display_sdl && strncmp(p, "full-screen=on", n) == 0 && n == 14) {
            o->sdl_full = true;
        } else {
            return err_set(e, "-display %s: want sdl,scale=integer|fit,full-screen=on, or none", v);
        }
    }
    return true;
}

static bool set_nographic(struct options *o, const char *v, struct err *e)
{
    (void)v;
    (void)e;
    o->nographic = true;
    return true;
}

/* Days since 1970-01-01 of a date in the Gregorian calendar. */
static int64_t days_from_civil(int y, unsigned m, unsigned d)
{
    y -= m <= 2;
    int era = y / 400;
    unsigned yoe = (unsigned)(y - era * 400);
    unsigned doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
    unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return (int64_t)era * 146097 + (int64_t)doe - 719468;
}

static bool parse_date(const char *v, int64_t *out)
{
    unsigned y, mon, d, h = 0, min = 0, s = 0;
    int used = 0;
    if (sscanf(v, "%4u-%2u-%2u%n", &y, &mon, &d, &used) != 3) {
        return false;
    }
    if (v[used]) {
        int more = 0;
        if (sscanf(v + used, "T%2u:%2u:%2u%n", &h, &min, &s, &more) != 3 || v[used + more]) {
            return false;
        }
    }
    if (y < 1970 || mon < 1 || mon > 12 || d < 1 || d > 31 || h > 23 || min > 59 || s > 59) {
        return false;
    }
    *out = days_from_civil((int)y, mon, d) * 86400 + h * 3600 + min * 60 + s;
    return true;
}

static bool set_rtc(struct options *o, const char *v, struct err *e)
{
    const char *base = strncmp(v, "base=", 5) == 0 ? v + 5 : "";
    if (strcmp(base, "utc") == 0) {
        o->vm.rtc_epoch = DOPPEL_EPOCH_HOST;
        return true;
    }
    if (strcmp(base, "localtime") == 0) {
        time_t now = time(NULL);
        struct tm tm;
        localtime_r(&now, &tm);
        o->vm.rtc_epoch = (int64_t)now + tm.tm_gmtoff;
        return true;
    }
    return parse_date(base, &o->vm.rtc_epoch) ||
           err_set(e, "-rtc %s: want base=utc, base=localtime or base=2024-02-29T12:00:00", v);
}

static bool set_device(struct options *o, const char *v, struct err *e)
{
    if (o->vm.ndevices == DOPPEL_MAX_DEVICES) {
        return err_set(e, "-device %s: more than %u", v, DOPPEL_MAX_DEVICES);
    }
    o->vm.device[o->vm.ndevices++] = v;
    return check_name("device", v, strcspn(v, ","), doppel_device_name, e);
}

static bool set_nic(struct options *o, const char *v, struct err *e)
{
    if (o->vm.nnics == DOPPEL_MAX_NICS) {
        return err_set(e, "-nic %s: more than %u", v, DOPPEL_MAX_NICS);
    }
    o->vm.nic[o->vm.nnics++] = v;
    return true;
}

static bool set_net(struct options *o, const char *v, struct err *e)
{
    return strcmp(v, "none") == 0 ? set_nic(o, v, e)
                                  : err_set(e, "-net %s: want none; see -nic and -netdev", v);
}

static bool set_netdev(struct options *o, const char *v, struct err *e)
{
    if (o->vm.nnetdevs == DOPPEL_MAX_NICS) {
        return err_set(e, "-netdev %s: more than %u", v, DOPPEL_MAX_NICS);
    }
    o->vm.netdev[o->vm.nnetdevs++] = v;
    return strstr(v, ",id=") != NULL || err_set(e, "-netdev %s: want id=NAME in it", v);
}

static bool set_no_reboot(struct options *o, const char *v, struct err *e)
{
    (void)v;
    (void)e;
    return o->vm.no_reboot = true;
}

static bool set_no_shutdown(struct options *o, const char *v, struct err *e)
{
    (void)v;
    (void)e;
    return o->vm.no_shutdown = true;
}

static bool set_paused(struct options *o, const char *v, struct err *e)
{
    (void)v;
    (void)e;
    return o->vm.paused = true;
}

static bool set_name(struct options *o, const char *v, struct err *e)
{
    (void)e;
    o->vm.name = v;
    return true;
}

static bool set_log(struct options *o, const char *v, struct err *e)
{
    o->vm.log_items = v;
    for (const char *p = v; *p; p += strcspn(p, ","), p += *p == ',') {
        if (!check_name("d", p, strcspn(p, ","), doppel_log_item, e)) {
            return false;
        }
    }
    return true;
}

static bool set_log_file(struct options *o, const char *v, struct err *e)
{
    (void)e;
    o->vm.log_file = v;
    return true;
}

static const char *vga_name(unsigned i, const char **help)
{
    static const char *const known[][2] = {
        {"std", "VGA with the Bochs VBE extension"},
        {"none", "no display adapter"},
    };
    if (i < ARRAY_LEN(known) && help) {
        *help = known[i][1];
    }
    return i < ARRAY_LEN(known) ? known[i][0] : NULL;
}

static bool set_vga(struct options *o, const char *v, struct err *e)
{
    o->vm.vga = v;
    return check_name("vga", v, strlen(v), vga_name, e);
}

static bool set_bios(struct options *o, const char *v, struct err *e)
{
    (void)e;
    o->vm.bios = v;
    return true;
}

static bool set_firmware_dir(struct options *o, const char *v, struct err *e)
{
    if (o->vm.nfirmware_dirs == DOPPEL_MAX_DIRS) {
        return err_set(e, "-L %s: more than %u", v, DOPPEL_MAX_DIRS);
    }
    o->vm.firmware_dir[o->vm.nfirmware_dirs++] = v;
    return true;
}

static bool set_boot(struct options *o, const char *v, struct err *e)
{
    (void)e;
    o->vm.boot = v;
    return true;
}

static bool set_fw_cfg(struct options *o, const char *v, struct err *e)
{
    if (o->vm.nfw_cfg == DOPPEL_MAX_FW_CFG) {
        return err_set(e, "-fw_cfg %s: more than %u", v, DOPPEL_MAX_FW_CFG);
    }
    o->vm.fw_cfg[o->vm.nfw_cfg++] = v;
    return true;
}

static const char *engine_name(unsigned i, const char **help)
{
    if (help) {
        *help = "the interpreter";
    }
    return i == 0 ? "interp" : NULL;
}

static bool set_engine(struct options *o, const char *v, struct err *e)
{
    o->vm.engine = v;
    return check_name("engine", v, strlen(v), engine_name, e);
}

static bool set_seed(struct options *o, const char *v, struct err *e)
{
    return (parse_u64(v, &o->vm.seed) && o->vm.seed != DOPPEL_SEED_HOST) ||
           err_set(e, "-seed %s: want a number below 2^64 - 1", v);
}

static bool set_icount_limit(struct options *o, const char *v, struct err *e)
{
    return parse_u64(v, &o->icount_limit) ||
           err_set(e, "-icount-limit %s: want a number of instructions", v);
}

static bool set_digest(struct options *o, const char *v, struct err *e)
{
    (void)v;
    (void)e;
    return o->digest = true;
}

static bool set_save_state(struct options *o, const char *v, struct err *e)
{
    const char *at = strrchr(v, '@');
    o->save_state = v;
    if (at && parse_u64(at + 1, &o->save_at)) {
        o->save_state = options_own(o, v, (size_t)(at - v));
    }
    return *o->save_state || err_set(e, "-save-state %s: want FILE or FILE@INSTRUCTIONS", v);
}

static bool set_load_state(struct options *o, const char *v, struct err *e)
{
    (void)e;
    o->load_state = v;
    return true;
}

static bool set_write_config(struct options *o, const char *v, struct err *e)
{
    (void)e;
    o->write_config = v;
    return true;
}

/* An argument called FILE or FOLDER is a path, BACKEND may hold one, and so may a property file=:
 * INI files rely on these names. */
// clang-format off
static const struct option table[] = {
    {"m", "SIZE", "guest RAM: MiB, or with a suffix K, M, G [128]", set_m, NULL},
    {"smp", "N", "number of CPUs, 1 to 8 [1]", set_smp, NULL},
    {"cpu", "MODEL[,+FEATURE...]", "CPU model [the newest]", set_cpu, doppel_cpu_name},
    {"machine", "BOARD", "board [pc]", set_machine, doppel_machine_name},
    {"M", "BOARD", "the same", set_machine, doppel_machine_name},
    {"kernel", "FILE", "boot this directly: Linux bzImage, ELF with a PVH note, multiboot 1",
     set_kernel, NULL},
    {"initrd", "FILE", "initial RAM disk; for multiboot \"FILE ARGS,FILE ARGS\"", set_initrd, NULL},
    {"append", "TEXT", "the kernel's command line", set_append, NULL},
    {"bios", "FILE", "start this firmware, for example OVMF.fd [the board's: Debian's SeaBIOS]",
     set_bios, NULL},
    {"L", "FOLDER", "look for firmware here first; repeat for more", set_firmware_dir, NULL},
    {"boot", "ORDER", "order=dca (a floppy, c disk, d CD, n network), once=d, menu=on, "
     "splash-time=MS, reboot-timeout=MS", set_boot, NULL},
    {"vga", "KIND", "display adapter: std (with firmware, the default) or none", set_vga, vga_name},
    {"fw_cfg", "name=NAME,string=TEXT", "a file for firmware and guests; or name=NAME,file=PATH",
     set_fw_cfg, NULL},
    {"drive", "file=FILE[,NAME=VALUE...]", "a drive: if=ide|floppy|none, index=N, "
     "media=disk|cdrom, format=raw, snapshot=on, readonly=on, id=NAME", options_drive, NULL},
    {"hda", "FILE", "hard disk; also -hdb, -hdc, -hdd", options_hda, NULL},
    {"hdb", "FILE", "second hard disk", options_hdb, NULL},
    {"hdc", "FILE", "third hard disk", options_hdc, NULL},
    {"hdd", "FILE", "fourth hard disk", options_hdd, NULL},
    {"cdrom", "FILE", "CD-ROM", options_cdrom, NULL},
    {"fda", "FILE", "floppy in drive A", options_fda, NULL},
    {"fdb", "FILE", "floppy in drive B", options_fdb, NULL},
    {"serial", "BACKEND", "serial port: stdio, mon:stdio, file:PATH, unix:PATH,server,nowait, "
     "null, none; repeat for the next port [mon:stdio]", set_serial,
     backend_name},
    {"debugcon", "BACKEND", "debug console at ports 0xe9 and 0x402", set_debugcon, backend_name},
    {"parallel", "BACKEND", "printer on the parallel port: file:PATH, stdio, unix:PATH,server, "
     "null, none [none]", set_parallel, backend_name},
    {"monitor", "BACKEND", "text monitor: stdio, unix:PATH,server,nowait, none [none]",
     set_monitor, backend_name},
    {"display", "KIND", "sdl: a window (sdl,scale=integer,full-screen=on); none: nothing on the "
     "terminal unless asked for", set_display,
     display_name},
    {"nographic", NULL, "serial port and monitor on the terminal", set_nographic, NULL},
    {"rtc", "base=WHEN", "clock of the guest: utc, localtime or 2024-02-29T12:00:00 [utc]",
     set_rtc, NULL},
    {"device", "CLASS[,PROPERTY=VALUE...]", "add a device, for example "
     "isa-debug-exit,iobase=0xf4,iosize=4", set_device, doppel_device_name},
    {"nic", "user[,model=CARD][,mac=ADDRESS][,hostfwd=...]", "a network card (ne2k_pci) behind "
     "user-mode networking, or none; options as QEMU's [none]", set_nic, NULL},
    {"netdev", "user,id=NAME[,hostfwd=...]", "the same without a card, for -device "
     "ne2k_pci,netdev=NAME", set_netdev, NULL},
    {"net", "none", "no network card, as there is none unless asked for", set_net, NULL},
    {"no-reboot", NULL, "a reset ends doppel", set_no_reboot, NULL},
    {"no-shutdown", NULL, "a power-off pauses instead of ending doppel", set_no_shutdown, NULL},
    {"S", NULL, "start paused, until the monitor's \"cont\"", set_paused, NULL},
    {"name", "TEXT", "the machine's name", set_name, NULL},
    {"d", "ITEM[,ITEM...]", "log", set_log, doppel_log_item},
    {"D", "FILE", "log to a file instead of standard error", set_log_file, NULL},
    {"engine", "ENGINE", "how guest code is run [interp]", set_engine, engine_name},
    {"seed", "N", "seed of the guest's random instructions [from the host]", set_seed, NULL},
    {"icount-limit", "N", "stop at exactly N instructions retired", set_icount_limit, NULL},
    {"digest", NULL, "print instructions, virtual time and digest of all state at the end",
     set_digest, NULL},
    {"save-state", "FILE[@N]", "save the machine after N instructions, or at the end",
     set_save_state, NULL},
    {"load-state", "FILE", "go on from a saved machine, given the same other options",
     set_load_state, NULL},
    {"write-config", "FILE", "do not run: write these options as an INI file for \"doppel up\"",
     set_write_config, NULL},
};
// clang-format on

static const struct {
    const char *code, *meaning;
} exit_codes[] = {
    {"0", "the guest powered off or halted for good, the operator quit, a limit was reached"},
    {"1", "something could not be set up: a file, a back end, memory"},
    {"2", "the command line is wrong"},
    {"N", "isa-debug-exit: a write of V ends with status (V * 2 + 1) & 255"},
    {"128+N", "doppel was ended by signal N (Ctrl-C outside of a raw terminal: 130)"},
};

/* --- Printing --- */

void options_help(FILE *out)
{
    fprintf(out,
            "Usage: doppel run [IMAGE] [options]\n"
            "       doppel up FILE.ini...   (docs/ini.md)\n"
            "       doppel --help | --version\n\n"
            "IMAGE is a floppy, CD or hard disk image or a kernel; doppel looks at it and says "
            "what it is.\nWith nothing to boot, a built-in demo runs.\n\n");
    for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
        char head[64];
        snprintf(head, sizeof head, "-%s %s", table[i].name, table[i].arg ? table[i].arg : "");
        fprintf(out, "  %-26s %s%s\n", head,
                strlen(head) > 26 ? "\n                             " : "", table[i].help);
    }
    fprintf(out, "\n\"-OPTION help\" lists values for cpu, machine, device, d.\n"
                 "On the terminal: Ctrl-A x quits, Ctrl-A c switches to the monitor.\n\n"
                 "Exit status:\n");
    for (unsigned i = 0; i < ARRAY_LEN(exit_codes); i++) {
        fprintf(out, "  %-6s %s\n", exit_codes[i].code, exit_codes[i].meaning);
    }
}

void options_markdown(FILE *out)
{
    fprintf(out, "| option | meaning |\n|---|---|\n");
    for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
        fprintf(out, "| `-%s%s%s` | %s |\n", table[i].name, table[i].arg ? " " : "",
                table[i].arg ? table[i].arg : "", table[i].help);
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

static void print_list(const struct option *opt, FILE *out)
{
    const char *name, *help = "";
    for (unsigned i = 0; (name = opt->list(i, &help)) != NULL; i++) {
        fprintf(out, "%-16s %s\n", name, help ? help : "");
    }
}

/* --- The parser --- */

static const char *option_name(void *ctx, unsigned i)
{
    (void)ctx;
    return i < ARRAY_LEN(table) ? table[i].name : NULL;
}

static const struct option *find_option(const char *name)
{
    for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
        if (strcmp(table[i].name, name) == 0) {
            return &table[i];
        }
    }
    return NULL;
}

/* What depends on several options. */
bool options_finish(struct options *o, struct err *e)
{
    if (o->image && o->vm.kernel) {
        return err_set(e, "%s and -kernel %s: want one of them", o->image, o->vm.kernel);
    }
    if (o->image && !options_image(o, e)) {
        return false;
    }
    if ((o->vm.initrd || o->vm.append) && !o->vm.kernel) {
        return err_set(e, "%s needs -kernel", o->vm.initrd ? "-initrd" : "-append");
    }
    return true;
}

/* The command line puts a serial port on the terminal unless told otherwise; always true. */
static bool default_serial(struct options *o)
{
    bool monitor_stdio = o->vm.monitor && strcmp(o->vm.monitor, "stdio") == 0;
    if (!o->nserial && !monitor_stdio && (!o->display_none || o->nographic)) {
        o->vm.serial[0] = "mon:stdio";
    }
    return true;
}

static void note_use(struct options *o, const struct option *opt, const char *value)
{
    for (const struct option *twin = table; twin < opt; twin++) {
        if (twin->set == opt->set) {
            opt = twin; /* -M is -machine */
        }
    }
    if (opt->set == set_write_config) {
        return;
    }
    o->use = realloc(o->use, (o->nuse + 1) * sizeof o->use[0]);
    if (!o->use) {
        abort();
    }
    o->use[o->nuse++] = (struct option_use){opt->name, value};
}

/* One option at argv[*i]; advances *i past its value. */
static enum options_result parse_one(struct options *o, int argc, char **argv, int *i, FILE *out,
                                     struct err *e)
{
    const char *arg = argv[*i], *name = arg + 1 + (arg[1] == '-');
    if (strcmp(name, "help") == 0 || strcmp(name, "h") == 0) {
        options_help(out);
        return OPTIONS_DONE;
    }
    const struct option *opt = find_option(name);
    if (!opt) {
        err_set(e, "%s: no such option; the nearest is -%s", arg,
                suggest_nearest(name, option_name, NULL));
        return OPTIONS_USAGE;
    }
    const char *value = "";
    if (opt->arg) {
        if (*i + 1 >= argc) {
            err_set(e, "-%s: want -%s %s", opt->name, opt->name, opt->arg);
            return OPTIONS_USAGE;
        }
        value = argv[++*i];
        if (opt->list && strcmp(value, "help") == 0) {
            print_list(opt, out);
            return OPTIONS_DONE;
        }
    }
    note_use(o, opt, opt->arg ? value : "on");
    return opt->set(o, value, e) ? OPTIONS_RUN : OPTIONS_USAGE;
}

void options_init(struct options *o)
{
    *o = (struct options){.icount_limit = DOPPEL_NO_LIMIT, .save_at = DOPPEL_NO_LIMIT};
    doppel_options_init(&o->vm, DOPPEL_ABI);
}

bool options_set(struct options *o, const char *name, const char *value, struct err *e)
{
    if (strcmp(name, "image") == 0) {
        o->image = options_own(o, value, strlen(value));
        return true;
    }
    const struct option *opt = find_option(name);
    if (!opt || opt->set == set_write_config) {
        return err_set(e, "no key \"%s\"; the nearest is \"%s\"", name,
                       suggest_nearest(name, option_name, NULL));
    }
    if (!opt->arg && strcmp(value, "off") == 0) {
        return true;
    }
    if (!opt->arg && strcmp(value, "on") != 0) {
        return err_set(e, "%s = %s: want on or off", name, value);
    }
    value = options_own(o, value, strlen(value));
    note_use(o, opt, value);
    return opt->set(o, value, e);
}

char *options_map_paths(const char *name, const char *value,
                        char *(*map)(void *ctx, const char *path, size_t len), void *ctx)
{
    const struct option *opt = find_option(name);
    const char *arg = opt && opt->arg ? opt->arg : "";
    const char *path = value, *prop = strstr(value, "file=");
    bool whole = strncmp(arg, "FILE", 4) == 0 || strcmp(arg, "FOLDER") == 0 || !opt;
    if (strcmp(arg, "BACKEND") == 0) {
        bool has = strncmp(value, "file:", 5) == 0 || strncmp(value, "unix:", 5) == 0;
        path = has ? value + 5 : NULL;
    } else if (!whole) {
        path = prop && (prop == value || prop[-1] == ',') ? prop + 5 : NULL;
    }
    /* A name without a folder is looked up where firmware lies. */
    if (!path || !*path || (opt && opt->set == set_bios && !strchr(path, '/'))) {
        return strdup(value);
    }
    size_t len = whole ? strlen(path) : strcspn(path, ",");
    char *mapped = map(ctx, path, len);
    size_t size = strlen(value) + strlen(mapped) + 1;
    char *out = malloc(size);
    if (!out) {
        abort();
    }
    snprintf(out, size, "%.*s%s%s", (int)(path - value), value, mapped, path + len);
    free(mapped);
    return out;
}

enum options_result options_parse(struct options *o, int argc, char **argv, int first, FILE *out,
                                  struct err *e)
{
    options_init(o);
    for (int i = first; i < argc; i++) {
        if (argv[i][0] != '-' || !argv[i][1]) {
            if (o->image) {
                err_set(e, "%s: a second image; %s is the first", argv[i], o->image);
                return OPTIONS_USAGE;
            }
            o->image = argv[i];
            continue;
        }
        enum options_result r = parse_one(o, argc, argv, &i, out, e);
        if (r != OPTIONS_RUN) {
            return r;
        }
    }
    return options_finish(o, e) && default_serial(o) ? OPTIONS_RUN : OPTIONS_USAGE;
}

void options_free(struct options *o)
{
    while (o->nowned) {
        free(o->owned[--o->nowned]);
    }
    free(o->owned);
    free(o->use);
    o->owned = NULL;
    o->use = NULL;
    o->nuse = 0;
}
