/*
 * Manifests: a table of the options, and lines of text. A value has \n for a new line and \\ for a
 * backslash. Lines of an unknown key are refused: they would have changed the machine.
 */
#include "vm/manifest.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/bits.h"
#include "vm/files.h"
#include "vm/vm.h"

enum kind {
    STR,
    BACKEND, /* of output: what a replay does with it is its own affair */
    BOOL,
    U32,
    U64,
};

#define OPT(f) offsetof(struct doppel_options, f)

/* Scalars, or lists with their count. */
static const struct row {
    const char *key;
    enum kind kind;
    size_t off;
    unsigned max;     /* of a list; 0: a scalar */
    size_t count_off; /* of a list; 0: all of `max` */
} rows[] = {
    // clang-format off
    {"name",         STR,     OPT(name),         0, 0},
    {"machine",      STR,     OPT(machine),      0, 0},
    {"cpu",          STR,     OPT(cpu),          0, 0},
    {"cpus",         U32,     OPT(cpus),         0, 0},
    {"ram",          U64,     OPT(ram_bytes),    0, 0},
    {"kernel",       STR,     OPT(kernel),       0, 0},
    {"initrd",       STR,     OPT(initrd),       0, 0},
    {"append",       STR,     OPT(append),       0, 0},
    {"serial",       BACKEND, OPT(serial),       DOPPEL_MAX_SERIAL, 0},
    {"debugcon",     BACKEND, OPT(debugcon),     0, 0},
    {"parallel",     BACKEND, OPT(parallel),     0, 0},
    {"device",       STR,     OPT(device),       DOPPEL_MAX_DEVICES, OPT(ndevices)},
    {"drive",        STR,     OPT(drive),        DOPPEL_MAX_DRIVES,  OPT(ndrives)},
    {"snapshot",     BOOL,    OPT(snapshot),     0, 0},
    {"nic",          STR,     OPT(nic),          DOPPEL_MAX_NICS,    OPT(nnics)},
    {"netdev",       STR,     OPT(netdev),       DOPPEL_MAX_NICS,    OPT(nnetdevs)},
    {"bios",         STR,     OPT(bios),         0, 0},
    {"firmware-dir", STR,     OPT(firmware_dir), DOPPEL_MAX_DIRS,    OPT(nfirmware_dirs)},
    {"fw_cfg",       STR,     OPT(fw_cfg),       DOPPEL_MAX_FW_CFG,  OPT(nfw_cfg)},
    {"smbios",       STR,     OPT(smbios),       DOPPEL_MAX_SMBIOS,  OPT(nsmbios)},
    {"uuid",         STR,     OPT(uuid),         0, 0},
    {"boot",         STR,     OPT(boot),         0, 0},
    {"vga",          STR,     OPT(vga),          0, 0},
    {"rtc-epoch",    U64,     OPT(rtc_epoch),    0, 0},
    {"seed",         U64,     OPT(seed),         0, 0},
    {"no-reboot",    BOOL,    OPT(no_reboot),    0, 0},
    {"no-shutdown",  BOOL,    OPT(no_shutdown),  0, 0},
    // clang-format on
};

/* --- Writing --- */

static void line(struct st_buf *b, const char *key, const char *value)
{
    st_buf_put(b, key, strlen(key));
    st_buf_put(b, "=", 1);
    for (; *value; value++) {
        if (*value == '\n' || *value == '\\') {
            st_buf_put(b, *value == '\n' ? "\\n" : "\\\\", 2);
        } else {
            st_buf_put(b, value, 1);
        }
    }
    st_buf_put(b, "\n", 1);
}

static void linef(struct st_buf *b, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void linef(struct st_buf *b, const char *key, const char *fmt, ...)
{
    char text[PATH_MAX + 128];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    line(b, key, text);
}

static void write_value(struct st_buf *b, const struct row *r, const char *at)
{
    const char *const *text = (const char *const *)(const void *)at;
    switch (r->kind) {
    case STR:
    case BACKEND:
        if (*text) {
            line(b, r->key, *text);
        }
        break;
    case BOOL:
        linef(b, r->key, "%d", *(const bool *)at);
        break;
    case U32:
        linef(b, r->key, "%" PRIu32, *(const uint32_t *)(const void *)at);
        break;
    case U64:
        linef(b, r->key, "%" PRIu64, *(const uint64_t *)(const void *)at);
        break;
    }
}

static void write_options(struct st_buf *b, const struct doppel_options *o)
{
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *r = &rows[i];
        const char *base = (const char *)o;
        unsigned n = 1;
        if (r->max) {
            n = r->count_off ? *(const unsigned *)(const void *)(base + r->count_off) : r->max;
        }
        for (unsigned k = 0; k < n; k++) {
            const char *at = base + r->off + k * sizeof(char *);
            if (r->kind == BACKEND && r->max && !*(const char *const *)(const void *)at) {
                line(b, r->key, "none"); /* keeps the place of the ports behind it */
            } else {
                write_value(b, r, at);
            }
        }
    }
}

static void write_medium(struct st_buf *b, const struct run_medium *m)
{
    linef(b, "medium", "%s %s %d %d %" PRIu64 " %016" PRIx64 " %s", m->drive, m->format,
          m->readonly, m->overlay, m->bytes, m->sum, m->path);
}

void manifest_write(struct st_buf *b, struct doppel_vm *vm, const struct run_instant *begin,
                    const struct run_medium *media, unsigned nmedia)
{
    struct doppel_options o = vm->opt;
    o.rtc_epoch = (int64_t)vm->epoch;
    o.seed = vm->seed;
    line(b, "doppel", doppel_version());
    write_options(b, &o);
    for (unsigned i = 0; i < vm->nfiles; i++) {
        const struct vm_file *f = &vm->files[i];
        linef(b, "file", "%" PRIu64 " %016" PRIx64 " %s", f->bytes, f->sum, f->full);
        line(b, "file-as", f->path);
    }
    for (unsigned i = 0; i < nmedia; i++) {
        write_medium(b, &media[i]);
    }
    linef(b, "begin", "%" PRIu64 " %" PRIu64 " %" PRIu64, begin->when, begin->order, begin->icount);
}

void manifest_write_end(struct st_buf *b, uint64_t state_bytes)
{
    linef(b, "state", "%" PRIu64, state_bytes);
}

/* --- Reading --- */

static char *keep(struct manifest *m, char *text)
{
    m->strings = realloc(m->strings, (m->nstrings + 1) * sizeof m->strings[0]);
    if (!m->strings || !text) {
        abort();
    }
    return m->strings[m->nstrings++] = text;
}

const char *manifest_path(struct manifest *m, const char *path)
{
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    if (access(path, F_OK) == 0 || !*m->folder) {
        return path;
    }
    char *beside = malloc(strlen(m->folder) + strlen(base) + 1);
    if (!beside) {
        abort();
    }
    sprintf(beside, "%s%s", m->folder, base);
    if (access(beside, F_OK) != 0) {
        free(beside);
        return path;
    }
    return keep(m, beside);
}

/* What is written there belongs to who recorded; what is shown may be shown again. */
static const char *replayed_backend(const char *spec)
{
    bool terminal = strcmp(spec, "stdio") == 0 || strcmp(spec, "mon:stdio") == 0;
    return terminal ? "stdio" : strcmp(spec, "none") == 0 ? "none" : "null";
}

static bool number(const char *text, uint64_t max, uint64_t *v)
{
    char *end;
    *v = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && *v <= max;
}

static bool read_value(const struct row *r, char *at, const char *value)
{
    const char **text = (const char **)(void *)at;
    uint64_t v;
    switch (r->kind) {
    case STR:
        *text = value;
        return true;
    case BACKEND:
        *text = replayed_backend(value);
        return true;
    case BOOL:
        *(bool *)at = strcmp(value, "1") == 0;
        return number(value, 1, &v);
    case U32:
        if (!number(value, UINT32_MAX, &v)) {
            return false;
        }
        *(uint32_t *)(void *)at = (uint32_t)v;
        return true;
    case U64:
        if (!number(value, UINT64_MAX, &v)) {
            return false;
        }
        *(uint64_t *)(void *)at = v;
        return true;
    }
    return false;
}

static bool read_option(struct manifest *m, const char *key, const char *value, unsigned *seen)
{
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *r = &rows[i];
        if (strcmp(r->key, key) == 0) {
            char *base = (char *)&m->opt;
            if (seen[i] >= (r->max ? r->max : 1)) {
                return false;
            }
            char *at = base + r->off + seen[i]++ * sizeof(char *);
            if (r->count_off) {
                *(unsigned *)(void *)(base + r->count_off) = seen[i];
            }
            return read_value(r, at, value);
        }
    }
    return false;
}

static bool read_file(struct manifest *m, const char *value)
{
    int at = 0;
    struct vm_file f;
    if (sscanf(value, "%" SCNu64 " %" SCNx64 " %n", &f.bytes, &f.sum, &at) != 2 || !at ||
        m->nfiles == 1000) {
        return false;
    }
    m->files = realloc(m->files, (m->nfiles + 1) * sizeof m->files[0]);
    f.full = f.path = keep(m, strdup(value + at));
    if (!m->files) {
        abort();
    }
    m->files[m->nfiles++] = f;
    return true;
}

static bool read_medium(struct manifest *m, const char *value)
{
    int at = 0, readonly, overlay;
    struct run_medium x = {.ok = true};
    if (sscanf(value, "%31s %15s %d %d %" SCNu64 " %" SCNx64 " %n", x.drive, x.format, &readonly,
               &overlay, &x.bytes, &x.sum, &at) != 6 ||
        !at || m->nmedia == 2 * DOPPEL_MAX_DRIVES || strlen(value + at) >= sizeof x.path) {
        return false;
    }
    x.readonly = readonly != 0;
    x.overlay = overlay != 0;
    memcpy(x.path, value + at, strlen(value + at) + 1);
    m->media = realloc(m->media, (m->nmedia + 1) * sizeof m->media[0]);
    if (!m->media) {
        abort();
    }
    m->media[m->nmedia++] = x;
    return true;
}

static bool read_line(struct manifest *m, const char *key, const char *value, unsigned *seen)
{
    if (strcmp(key, "doppel") == 0) {
        return true;
    }
    if (strcmp(key, "file") == 0) {
        return read_file(m, value);
    }
    if (strcmp(key, "file-as") == 0 && m->nfiles) {
        m->files[m->nfiles - 1].path = keep(m, strdup(value));
        return true;
    }
    if (strcmp(key, "medium") == 0) {
        return read_medium(m, value);
    }
    if (strcmp(key, "begin") == 0) {
        return sscanf(value, "%" SCNu64 " %" SCNu64 " %" SCNu64, &m->begin.when, &m->begin.order,
                      &m->begin.icount) == 3 &&
               m->begin.when != VTIME_NEVER;
    }
    if (strcmp(key, "state") == 0) {
        return number(value, UINT64_C(1) << 41, &m->state_bytes);
    }
    return read_option(m, key, value, seen);
}

/* In place. */
static void unescape(char *s)
{
    char *to = s;
    for (; *s; s++) {
        if (*s == '\\' && (s[1] == 'n' || s[1] == '\\')) {
            *to++ = *++s == 'n' ? '\n' : '\\';
        } else {
            *to++ = *s;
        }
    }
    *to = 0;
}

bool manifest_read(struct manifest *m, const char *text, size_t len, const char *log, struct err *e)
{
    unsigned seen[ARRAY_LEN(rows)] = {0};
    *m = (struct manifest){0};
    doppel_options_init(&m->opt, DOPPEL_ABI);
    m->folder = keep(m, strdup(log ? log : ""));
    char *slash = strrchr(m->folder, '/');
    if (slash) {
        slash[1] = 0;
    } else if (log) {
        m->folder = keep(m, strdup("./"));
    }
    char *copy = keep(m, strndup(text, len));
    while (*copy) {
        size_t n = strcspn(copy, "\n");
        char *next = copy + n + (copy[n] == '\n'), *value = memchr(copy, '=', n);
        copy[n] = 0;
        if (!value) {
            return err_set(e, "its manifest has a line \"%.40s\"", copy);
        }
        *value++ = 0;
        unescape(value);
        if (!read_line(m, copy, value, seen)) {
            return err_set(e, "its manifest says %.40s=%.100s, which this doppel does not know",
                           copy, value);
        }
        copy = next;
    }
    return true;
}

void manifest_free(struct manifest *m)
{
    for (unsigned i = 0; i < m->nstrings; i++) {
        free(m->strings[i]);
    }
    free(m->strings);
    free(m->files);
    free(m->media);
    *m = (struct manifest){0};
}
