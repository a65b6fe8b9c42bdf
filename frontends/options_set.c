/*
 * What each option does, but for drives: it checks a value and writes it into struct options. A
 * value that is not known is an error that names the nearest known one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config.h"
#include "frontends/gdb.h"
#include "frontends/options_priv.h"
#include "util/bits.h"
#include "util/suggest.h"

/* --- Values --- */

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

static bool parse_size(const char *option, const char *v, uint64_t *bytes, struct err *e)
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
        return err_set(e, "-%s %s: want a size such as 256 (MiB), 512M or 2G", option, v);
    }
    *bytes = n << s;
    return true;
}

bool options_set_m(struct options *o, const char *v, struct err *e)
{
    if (!parse_size("m", v, &o->vm.ram_bytes, e)) {
        return false;
    }
    if (o->vm.ram_bytes < 1u << 20 || o->vm.ram_bytes > UINT64_C(512) << 30 ||
        o->vm.ram_bytes % (1u << 20)) {
        return err_set(e, "-m %s: want 1M to 512G, whole MiB", v);
    }
    return true;
}

bool options_set_smp(struct options *o, const char *v, struct err *e)
{
    uint64_t n;
    const char *text = strncmp(v, "cpus=", 5) == 0 ? v + 5 : v;
    if (!parse_u64(text, &n) || n < 1 || n > DOPPEL_MAX_CPUS) {
        return err_set(e, "-smp %s: want 1 to %u", v, DOPPEL_MAX_CPUS);
    }
    o->vm.cpus = (uint32_t)n;
    return true;
}

bool options_set_cpu(struct options *o, const char *v, struct err *e)
{
    o->vm.cpu = v;
    return check_name("cpu", v, strcspn(v, ","), doppel_cpu_name, e);
}

bool options_set_machine(struct options *o, const char *v, struct err *e)
{
    o->vm.machine = strncmp(v, "type=", 5) == 0 ? v + 5 : v;
    return check_name("machine", o->vm.machine, strlen(o->vm.machine), doppel_machine_name, e);
}

bool options_set_kernel(struct options *o, const char *v, struct err *e)
{
    (void)e;
    o->vm.kernel = v;
    return true;
}

bool options_set_initrd(struct options *o, const char *v, struct err *e)
{
    (void)e;
    o->vm.initrd = v;
    return true;
}

bool options_set_append(struct options *o, const char *v, struct err *e)
{
    (void)e;
    o->vm.append = v;
    return true;
}

const char *options_backend_name(unsigned i, const char **help)
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
    return check_name(option, v, path ? 5 : strlen(v), options_backend_name, e);
}

bool options_set_serial(struct options *o, const char *v, struct err *e)
{
    if (o->nserial == DOPPEL_MAX_SERIAL) {
        return err_set(e, "-serial %s: there are %u serial ports", v, DOPPEL_MAX_SERIAL);
    }
    o->vm.serial[o->nserial++] = v;
    return check_backend("serial", v, e);
}

bool options_set_debugcon(struct options *o, const char *v, struct err *e)
{
    o->vm.debugcon = v;
    return check_backend("debugcon", v, e);
}

bool options_set_parallel(struct options *o, const char *v, struct err *e)
{
    o->vm.parallel = v;
    return check_backend("parallel", v, e);
}

bool options_set_monitor(struct options *o, const char *v, struct err *e)
{
    o->vm.monitor = v;
    return check_backend("monitor", v, e);
}

const char *options_display_name(unsigned i, const char **help)
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

bool options_set_display(struct options *o, const char *v, struct err *e)
{
    size_t n = strcspn(v, ",");
    o->display_none = true;
    if (!check_name("display", v, n, options_display_name, e)) {
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

bool options_set_nographic(struct options *o, const char *v, struct err *e)
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

bool options_set_rtc(struct options *o, const char *v, struct err *e)
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

bool options_set_device(struct options *o, const char *v, struct err *e)
{
    if (o->vm.ndevices == DOPPEL_MAX_DEVICES) {
        return err_set(e, "-device %s: more than %u", v, DOPPEL_MAX_DEVICES);
    }
    o->vm.device[o->vm.ndevices++] = v;
    return check_name("device", v, strcspn(v, ","), doppel_device_name, e);
}

bool options_set_nic(struct options *o, const char *v, struct err *e)
{
    if (o->vm.nnics == DOPPEL_MAX_NICS) {
        return err_set(e, "-nic %s: more than %u", v, DOPPEL_MAX_NICS);
    }
    o->vm.nic[o->vm.nnics++] = v;
    return true;
}

bool options_set_net(struct options *o, const char *v, struct err *e)
{
    return strcmp(v, "none") == 0 ? options_set_nic(o, v, e)
                                  : err_set(e, "-net %s: want none; see -nic and -netdev", v);
}

bool options_set_netdev(struct options *o, const char *v, struct err *e)
{
    if (o->vm.nnetdevs == DOPPEL_MAX_NICS) {
        return err_set(e, "-netdev %s: more than %u", v, DOPPEL_MAX_NICS);
    }
    o->vm.netdev[o->vm.nnetdevs++] = v;
    return strstr(v, ",id=") != NULL || err_set(e, "-netdev %s: want id=NAME in it", v);
}

bool options_set_snapshot(struct options *o, const char *v, struct err *e)
{
    (void)v;
    (void)e;
    return o->vm.snapshot = true;
}

bool options_set_no_reboot(struct options *o, const char *v, struct err *e)
{
    (void)v;
    (void)e;
    return o->vm.no_reboot = true;
}

bool options_set_speed(struct options *o, const char *v, struct err *e)
{
    (void)e;
    o->vm.speed = v;
    return true;
}

bool options_set_icount(struct options *o, const char *v, struct err *e)
{
    const char *shift = strncmp(v, "shift=", 6) == 0 ? v + 6 : v;
    size_t n = strcspn(shift, ",");
    const char *rest = shift + n;
    bool off = strcmp(rest, ",sleep=off") == 0;
    if (*rest && !off && strcmp(rest, ",sleep=on") != 0) {
        return err_set(e, "-icount %s: want shift=N or shift=auto, and sleep=on or sleep=off", v);
    }
    if (n == 4 && strncmp(shift, "auto", 4) == 0) {
        o->vm.speed = off ? "max" : "real";
        return true;
    }
    char *end, text[32];
    unsigned long bits = strtoul(shift, &end, 10);
    if (*shift < '0' || *shift > '9' || end != rest || bits > 10) {
        return err_set(e, "-icount %s: want shift=0 to shift=10, or shift=auto", v);
    }
    int len = snprintf(text, sizeof text, "%lu%s", 1ul << bits, off ? ",sleep=off" : "");
    o->vm.speed = options_own(o, text, (size_t)len);
    return true;
}

bool options_set_history(struct options *o, const char *v, struct err *e)
{
    return parse_size("history", v, &o->vm.history, e) &&
           (o->vm.history >= 1u << 20 || err_set(e, "-history %s: want at least 1M", v));
}

bool options_set_no_shutdown(struct options *o, const char *v, struct err *e)
{
    (void)v;
    (void)e;
    return o->vm.no_shutdown = true;
}

bool options_set_paused(struct options *o, const char *v, struct err *e)
{
    (void)v;
    (void)e;
    return o->vm.paused = true;
}

bool options_set_name(struct options *o, const char *v, struct err *e)
{
    (void)e;
    o->vm.name = v;
    return true;
}

bool options_set_log(struct options *o, const char *v, struct err *e)
{
    o->vm.log_items = v;
    for (const char *p = v; *p; p += strcspn(p, ","), p += *p == ',') {
        if (!check_name("d", p, strcspn(p, ","), doppel_log_item, e)) {
            return false;
        }
    }
    return true;
}

bool options_set_log_file(struct options *o, const char *v, struct err *e)
{
    (void)e;
    o->vm.log_file = v;
    return true;
}

const char *options_vga_name(unsigned i, const char **help)
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

bool options_set_vga(struct options *o, const char *v, struct err *e)
{
    o->vm.vga = v;
    return check_name("vga", v, strlen(v), options_vga_name, e);
}

bool options_set_bios(struct options *o, const char *v, struct err *e)
{
    (void)e;
    o->vm.bios = v;
    return true;
}

bool options_set_firmware_dir(struct options *o, const char *v, struct err *e)
{
    if (o->vm.nfirmware_dirs == DOPPEL_MAX_DIRS) {
        return err_set(e, "-L %s: more than %u", v, DOPPEL_MAX_DIRS);
    }
    o->vm.firmware_dir[o->vm.nfirmware_dirs++] = v;
    return true;
}

bool options_set_boot(struct options *o, const char *v, struct err *e)
{
    (void)e;
    o->vm.boot = v;
    return true;
}

bool options_set_fw_cfg(struct options *o, const char *v, struct err *e)
{
    if (o->vm.nfw_cfg == DOPPEL_MAX_FW_CFG) {
        return err_set(e, "-fw_cfg %s: more than %u", v, DOPPEL_MAX_FW_CFG);
    }
    o->vm.fw_cfg[o->vm.nfw_cfg++] = v;
    return true;
}

bool options_set_smbios(struct options *o, const char *v, struct err *e)
{
    if (o->vm.nsmbios == DOPPEL_MAX_SMBIOS) {
        return err_set(e, "-smbios %s: more than %u", v, DOPPEL_MAX_SMBIOS);
    }
    o->vm.smbios[o->vm.nsmbios++] = v;
    return true;
}

bool options_set_uuid(struct options *o, const char *v, struct err *e)
{
    (void)e;
    o->vm.uuid = v;
    return true;
}

const char *options_engine_name(unsigned i, const char **help)
{
    static const char *const names[][2] = {{"interp", "the interpreter"},
                                           {"jit", "compiled code on x86-64 and aarch64 hosts"},
                                           {"lockstep", "both, compared all the time (slow)"}};
    if (i >= sizeof names / sizeof names[0]) {
        return NULL;
    }
    if (help) {
        *help = names[i][1];
    }
    return names[i][0];
}

bool options_set_engine(struct options *o, const char *v, struct err *e)
{
    o->vm.engine = v;
    return check_name("engine", v, strcspn(v, ","), options_engine_name, e);
}

bool options_set_seed(struct options *o, const char *v, struct err *e)
{
    return (parse_u64(v, &o->vm.seed) && o->vm.seed != DOPPEL_SEED_HOST) ||
           err_set(e, "-seed %s: want a number below 2^64 - 1", v);
}

bool options_set_icount_limit(struct options *o, const char *v, struct err *e)
{
    return parse_u64(v, &o->icount_limit) ||
           err_set(e, "-icount-limit %s: want a number of instructions", v);
}

bool options_set_gdb(struct options *o, const char *v, struct err *e)
{
    o->gdb = strcmp(v, "none") == 0 ? NULL : v;
    return !o->gdb || gdb_check(v, e);
}

bool options_set_gdb_port(struct options *o, const char *v, struct err *e)
{
    (void)v;
    return options_set_gdb(o, "tcp::1234", e);
}

bool options_set_digest(struct options *o, const char *v, struct err *e)
{
    (void)v;
    (void)e;
    return o->digest = true;
}

bool options_set_info(struct options *o, const char *v, struct err *e)
{
    (void)e;
    o->info = v;
    return true;
}

bool options_set_save_state(struct options *o, const char *v, struct err *e)
{
    const char *at = strrchr(v, '@');
    o->save_state = v;
    if (at && parse_u64(at + 1, &o->save_at)) {
        o->save_state = options_own(o, v, (size_t)(at - v));
    }
    return *o->save_state || err_set(e, "-save-state %s: want FILE or FILE@INSTRUCTIONS", v);
}

bool options_set_flight(struct options *o, const char *v, struct err *e)
{
    (void)e;
    o->flight = v;
    return true;
}

bool options_set_record(struct options *o, const char *v, struct err *e)
{
    (void)e;
    o->record = v;
    return true;
}

bool options_set_load_state(struct options *o, const char *v, struct err *e)
{
    (void)e;
    o->load_state = v;
    return true;
}

bool options_set_loadvm(struct options *o, const char *v, struct err *e)
{
    o->loadvm = v;
    return *v || err_set(e, "-loadvm: want the name of a snapshot");
}

bool options_set_snapshot_dir(struct options *o, const char *v, struct err *e)
{
    o->vm.snapshot_dir = v;
    return *v || err_set(e, "-snapshot-dir: want a folder");
}

void options_snapshots_beside(struct options *o, const char *path, const char *end)
{
    char name[4096];
    size_t len = strlen(path), cut = strlen(end);
    len -= len > cut && strcmp(path + len - cut, end) == 0 ? cut : 0;
    int n = snprintf(name, sizeof name, "%.*s.snapshots", (int)len, path);
    if (!o->vm.snapshot_dir && n > 0 && (size_t)n < sizeof name) {
        o->vm.snapshot_dir = options_own(o, name, (size_t)n);
    }
}

bool options_set_write_config(struct options *o, const char *v, struct err *e)
{
    (void)e;
    o->write_config = v;
    return true;
}
