/*
 * Commands of the gdb remote protocol; see gdb_stub.h.
 *
 * Sources: gdb manual, appendix E (E.2 packets, E.3 stop replies, E.4 general queries, E.14 target
 * descriptions, 20.x reverse execution); QEMU's extension qqemu.PhyMemMode as its manual has it.
 *
 * What always holds: every packet gets one reply, but those that let the machine run, whose reply
 * is its stop; a packet that is not understood gets the empty one, as the protocol asks.
 */
#include "frontends/gdb_stub.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontends/gdb_wire.h"
#include "util/bits.h"

#define SIGNAL_INT   2
#define SIGNAL_TRAP  5
#define REPLY_BYTES  (GDB_PACKET_MAX / 2 - 8) /* of memory or of registers in one reply */
#define POINTS_MAX   1024u
#define CONSOLE_PART 512u /* bytes of one O packet */

struct stub_point {
    struct doppel_point p;
    bool hardware; /* Z1, not Z0 */
};

struct gdb_stub {
    struct doppel_vm *vm;
    struct gdb_wire wire;
    struct gdb_regs regs;
    bool attached;
    enum gdb_want want;
    unsigned step_cpu;
    unsigned general;          /* Hg: whose registers and memory */
    unsigned stop_cpu;         /* of the last stop reply */
    char stop[128];            /* the last stop reply */
    bool tell_sw, tell_hw;     /* the client knows these reasons */
    bool physical;             /* addresses are */
    struct stub_point *points; /* what we added */
    unsigned npoints;
};

/* --- Text --- */

static const char digits[] = "0123456789abcdef";

static int hex_digit(char c)
{
    const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* A number in hexadecimal, at most 16 digits; moves *p behind it. */
static bool parse_hex(const char **p, uint64_t *out)
{
    unsigned n = 0;
    *out = 0;
    for (; hex_digit(**p) >= 0; (*p)++, n++) {
        *out = *out << 4 | (unsigned)hex_digit(**p);
    }
    return n >= 1 && n <= 16;
}

static bool parse_char(const char **p, char c)
{
    bool ok = **p == c;
    *p += ok;
    return ok;
}

/* n bytes from 2n digits. */
static bool parse_bytes(const char *p, uint8_t *out, size_t n)
{
    for (size_t k = 0; k < n; k++, p += 2) {
        int high = hex_digit(p[0]), low = high < 0 ? -1 : hex_digit(p[1]);
        if (low < 0) {
            return false;
        }
        out[k] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static void put_bytes(char *to, const uint8_t *bytes, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        *to++ = digits[bytes[k] >> 4];
        *to++ = digits[bytes[k] & 15];
    }
    *to = 0;
}

static void reply(struct gdb_stub *s, const char *text)
{
    gdb_wire_reply(&s->wire, text, strlen(text));
}

static void reply_ok(struct gdb_stub *s, bool ok)
{
    reply(s, ok ? "OK" : "E22");
}

static bool starts(const char *p, const char *with)
{
    return strncmp(p, with, strlen(with)) == 0;
}

/* --- Threads --- */

/* "1", "-1", "p1.2", "0". False: no such thread. *all: any or every one. */
static bool parse_thread(struct gdb_stub *s, const char **p, unsigned *cpu, bool *all)
{
    uint64_t id;
    *all = false;
    *cpu = s->stop_cpu;
    if (parse_char(p, 'p')) { /* the one process */
        if ((!starts(*p, "-1") && !parse_hex(p, &id))) {
            return false;
        }
        *p += starts(*p, "-1") ? 2 : 0;
        if (!parse_char(p, '.')) {
            *all = true;
            return true;
        }
    }
    if (starts(*p, "-1")) {
        *p += 2;
        *all = true;
        return true;
    }
    if (!parse_hex(p, &id) || id > doppel_cpu_count(s->vm)) {
        return false;
    }
    *all = id == 0;
    *cpu = id ? (unsigned)id - 1 : s->stop_cpu;
    return true;
}

static void cmd_thread_info(struct gdb_stub *s)
{
    char text[64] = "m";
    for (unsigned k = 0; k < doppel_cpu_count(s->vm); k++) {
        size_t n = strlen(text);
        snprintf(text + n, sizeof text - n, "%s%x", k ? "," : "", k + 1);
    }
    reply(s, text);
}

static void cmd_thread_extra(struct gdb_stub *s, const char *p)
{
    unsigned cpu;
    bool all;
    char text[64], hex[160];
    if (!parse_thread(s, &p, &cpu, &all)) {
        reply(s, "E22");
        return;
    }
    snprintf(text, sizeof text, "CPU#%u [%s]", cpu, doppel_cpu_activity(s->vm, cpu));
    put_bytes(hex, (const uint8_t *)text, strlen(text));
    reply(s, hex);
}

/* --- Registers --- */

static unsigned reg_value(struct gdb_stub *s, unsigned n, uint8_t *out)
{
    const struct gdb_reg *r = &s->regs.r[n];
    uint8_t v[DOPPEL_REG_BYTES];
    doppel_reg_get(s->vm, s->general, r->reg, v);
    memset(out, 0, r->size);
    memcpy(out, v + r->skip, r->have);
    return r->size;
}

static bool reg_change(struct gdb_stub *s, unsigned n, const uint8_t *bytes)
{
    const struct gdb_reg *r = &s->regs.r[n];
    uint8_t v[DOPPEL_REG_BYTES];
    doppel_reg_get(s->vm, s->general, r->reg, v);
    if (memcmp(v + r->skip, bytes, r->have) == 0) {
        return true; /* no input for nothing */
    }
    memcpy(v + r->skip, bytes, r->have);
    return doppel_reg_set(s->vm, s->general, r->reg, v);
}

static void cmd_read_registers(struct gdb_stub *s)
{
    uint8_t bytes[GDB_REGS_MAX * 16];
    char hex[2 * sizeof bytes + 1];
    size_t n = 0;
    for (unsigned k = 0; k < s->regs.n; k++) {
        n += reg_value(s, k, bytes + n);
    }
    put_bytes(hex, bytes, n);
    reply(s, hex);
}

static void cmd_write_registers(struct gdb_stub *s, const char *p)
{
    uint8_t bytes[16];
    for (unsigned k = 0; k < s->regs.n && *p; k++) {
        unsigned size = s->regs.r[k].size;
        if (!parse_bytes(p, bytes, size)) {
            reply(s, "E22");
            return;
        }
        reg_change(s, k, bytes);
        p += 2 * size;
    }
    reply(s, "OK");
}

static void cmd_read_register(struct gdb_stub *s, const char *p)
{
    uint64_t n;
    uint8_t bytes[16];
    char hex[40];
    if (!parse_hex(&p, &n) || n >= s->regs.n) {
        reply(s, "E22");
        return;
    }
    put_bytes(hex, bytes, reg_value(s, (unsigned)n, bytes));
    reply(s, hex);
}

static void cmd_write_register(struct gdb_stub *s, const char *p)
{
    uint64_t n;
    uint8_t bytes[16];
    reply_ok(s, parse_hex(&p, &n) && n < s->regs.n && parse_char(&p, '=') &&
                    parse_bytes(p, bytes, s->regs.r[n].size) && reg_change(s, (unsigned)n, bytes));
}

/* --- Memory --- */

/* Where gdb's address is. Outside long mode linear addresses have 32 bits, and gdb may have
 * extended the sign. */
static unsigned space(struct gdb_stub *s, uint64_t *addr)
{
    if (s->physical) {
        return DOPPEL_PHYSICAL;
    }
    uint8_t efer[DOPPEL_REG_BYTES];
    doppel_reg_get(s->vm, s->general, (unsigned)doppel_reg_find("efer"), efer);
    if (!(efer[1] & 4)) { /* LMA */
        *addr = (uint32_t)*addr;
    }
    return s->general;
}

static bool parse_range(const char **p, uint64_t *addr, uint64_t *len)
{
    return parse_hex(p, addr) && parse_char(p, ',') && parse_hex(p, len);
}

static void cmd_read_memory(struct gdb_stub *s, const char *p)
{
    uint64_t addr, len;
    uint8_t bytes[REPLY_BYTES];
    char hex[2 * REPLY_BYTES + 1];
    if (!parse_range(&p, &addr, &len)) {
        reply(s, "E22");
        return;
    }
    unsigned cpu = space(s, &addr);
    len = len < REPLY_BYTES ? len : REPLY_BYTES;
    size_t n = doppel_memory_read(s->vm, cpu, addr, bytes, len);
    put_bytes(hex, bytes, n);
    reply(s, n || !len ? hex : "E14");
}

static void write_memory(struct gdb_stub *s, uint64_t addr, const uint8_t *bytes, size_t len)
{
    unsigned cpu = space(s, &addr);
    reply(s, !len || doppel_memory_write(s->vm, cpu, addr, bytes, len) ? "OK" : "E14");
}

static void cmd_write_memory(struct gdb_stub *s, const char *p)
{
    uint64_t addr, len;
    uint8_t bytes[GDB_PACKET_MAX / 2];
    if (!parse_range(&p, &addr, &len) || !parse_char(&p, ':') || len > sizeof bytes ||
        strlen(p) != 2 * len || !parse_bytes(p, bytes, len)) {
        reply(s, "E22");
        return;
    }
    write_memory(s, addr, bytes, len);
}

/* X: the bytes themselves, with escapes. */
static void cmd_write_binary(struct gdb_stub *s, const char *p, const char *end)
{
    uint64_t addr, len;
    uint8_t bytes[GDB_PACKET_MAX];
    size_t n = 0;
    if (!parse_range(&p, &addr, &len) || !parse_char(&p, ':')) {
        reply(s, "E22");
        return;
    }
    while (p < end) {
        uint8_t c = (uint8_t)*p++;
        if (c == '}' && p < end) {
            c = (uint8_t)(*p++ ^ 0x20);
        }
        bytes[n++] = c;
    }
    if (n != len) {
        reply(s, "E22");
        return;
    }
    write_memory(s, addr, bytes, n);
}

/* --- Break- and watchpoints --- */

static unsigned find_point(const struct gdb_stub *s, const struct stub_point *w)
{
    unsigned k = 0;
    while (k < s->npoints &&
           (s->points[k].p.kind != w->p.kind || s->points[k].p.address != w->p.address ||
            s->points[k].p.physical != w->p.physical || s->points[k].p.length != w->p.length ||
            s->points[k].hardware != w->hardware)) {
        k++;
    }
    return k;
}

static bool add_point(struct gdb_stub *s, const struct stub_point *w)
{
    if (find_point(s, w) < s->npoints) {
        return true; /* once more is the same, says the protocol */
    }
    if (s->npoints == POINTS_MAX || !doppel_break_add(s->vm, &w->p, NULL)) {
        return false;
    }
    s->points = realloc(s->points, (s->npoints + 1) * sizeof *s->points);
    if (!s->points) {
        abort();
    }
    s->points[s->npoints++] = *w;
    return true;
}

static void remove_point(struct gdb_stub *s, const struct stub_point *w)
{
    unsigned k = find_point(s, w);
    if (k < s->npoints) {
        doppel_break_remove(s->vm, &w->p);
        s->points[k] = s->points[--s->npoints];
    }
}

static void cmd_point(struct gdb_stub *s, const char *p, bool add)
{
    static const enum doppel_point_kind kinds[] = {DOPPEL_POINT_EXEC, DOPPEL_POINT_EXEC,
                                                   DOPPEL_POINT_WRITE, DOPPEL_POINT_READ,
                                                   DOPPEL_POINT_ACCESS};
    uint64_t type;
    struct stub_point w = {.p.physical = s->physical};
    if (!parse_hex(&p, &type) || !parse_char(&p, ',') ||
        !parse_range(&p, &w.p.address, &w.p.length)) {
        reply(s, "E22");
        return;
    }
    if (type >= ARRAY_LEN(kinds)) {
        reply(s, "");
        return;
    }
    w.p.kind = kinds[type];
    w.hardware = type == 1;
    if (w.p.kind == DOPPEL_POINT_EXEC) {
        w.p.length = 1;
    }
    if (!add) {
        remove_point(s, &w);
    }
    reply_ok(s, !add || add_point(s, &w));
}

static void drop_points(struct gdb_stub *s)
{
    while (s->npoints) {
        struct stub_point w = s->points[0];
        remove_point(s, &w);
    }
}

/* --- Running and stopping --- */

static void to_console(void *ctx, const char *text, size_t len)
{
    struct gdb_stub *s = ctx;
    char hex[2 * CONSOLE_PART + 2] = "O";
    while (len) {
        size_t n = len < CONSOLE_PART ? len : CONSOLE_PART;
        put_bytes(hex + 1, (const uint8_t *)text, n);
        reply(s, hex);
        text += n;
        len -= n;
    }
}

static void go(struct gdb_stub *s, enum gdb_want want, unsigned cpu)
{
    s->want = want;
    s->step_cpu = cpu;
    doppel_pause(s->vm, false);
}

static void stop_as(struct gdb_stub *s, int signal, unsigned cpu, const char *why)
{
    s->want = GDB_WAIT;
    s->stop_cpu = s->general = cpu;
    doppel_pause(s->vm, true);
    snprintf(s->stop, sizeof s->stop, "T%02xthread:%x;%s", (unsigned)signal, cpu + 1, why);
}

/* Why the machine stopped, as a part of the reply. */
static void hit_text(const struct gdb_stub *s, const struct doppel_hit *h, char *text, size_t size)
{
    struct stub_point w = {h->point, true};
    bool hardware = find_point(s, &w) < s->npoints;
    text[0] = 0;
    switch (h->point.kind) {
    case DOPPEL_POINT_EXEC:
        if (hardware ? s->tell_hw : s->tell_sw) {
            snprintf(text, size, "%s:;", hardware ? "hwbreak" : "swbreak");
        }
        break;
    case DOPPEL_POINT_WRITE:
        snprintf(text, size, "watch:%" PRIx64 ";", h->at);
        break;
    case DOPPEL_POINT_READ:
        snprintf(text, size, "rwatch:%" PRIx64 ";", h->at);
        break;
    case DOPPEL_POINT_ACCESS:
        snprintf(text, size, "awatch:%" PRIx64 ";", h->at);
        break;
    case DOPPEL_POINT_STEP:
        break;
    }
}

void gdb_stub_stopped(struct gdb_stub *s, enum doppel_stop why)
{
    bool told = s->attached && s->want != GDB_WAIT;
    char text[64] = "";
    const struct doppel_hit *h = doppel_last_hit(s->vm);
    if (why == DOPPEL_BREAK && h) {
        hit_text(s, h, text, sizeof text);
    } else if (why == DOPPEL_LIMIT) {
        snprintf(text, sizeof text, "replaylog:begin;");
    } else if (why != DOPPEL_BREAK && why != DOPPEL_FAILED) {
        snprintf(text, sizeof text, "replaylog:end;");
    }
    unsigned cpu = s->want == GDB_REVERSE_STEP ? s->step_cpu : doppel_cpu_current(s->vm);
    stop_as(s, SIGNAL_TRAP, h ? h->cpu : cpu, text);
    if (told && why == DOPPEL_FAILED) {
        const char *what = doppel_failure(s->vm);
        to_console(s, what, strlen(what));
        to_console(s, "\n", 1);
    }
    if (told) {
        reply(s, s->stop);
    }
}

bool gdb_stub_attached(const struct gdb_stub *s)
{
    return s->attached;
}

void gdb_stub_ended(struct gdb_stub *s, int status)
{
    char text[8];
    if (s->attached) {
        snprintf(text, sizeof text, "W%02x", (unsigned)status & 0xff);
        reply(s, text);
    }
}

/* vCont;ACTION[:THREAD]...: the first that fits counts for each vCPU. All run by their turns, so
 * there is one thing to do: a step of the first that is to do one, or to run. */
static void cmd_vcont(struct gdb_stub *s, const char *p)
{
    char done[DOPPEL_MAX_CPUS] = {0};
    unsigned cpu, step = DOPPEL_MAX_CPUS;
    bool all, any = false;
    while (parse_char(&p, ';')) {
        char action = *p;
        p += action != 0;
        uint64_t signal;
        if ((action == 'C' || action == 'S') && !parse_hex(&p, &signal)) {
            break;
        }
        all = true;
        if (parse_char(&p, ':') && !parse_thread(s, &p, &cpu, &all)) {
            break;
        }
        for (unsigned k = 0; k < doppel_cpu_count(s->vm); k++) {
            if (!done[k] && (all || k == cpu)) {
                done[k] = action;
                any |= strchr("csCS", action) != NULL;
                step = (action == 's' || action == 'S') && step == DOPPEL_MAX_CPUS ? k : step;
            }
        }
    }
    if (*p || !any) {
        reply(s, "E22");
        return;
    }
    go(s, step < DOPPEL_MAX_CPUS ? GDB_STEP : GDB_RUN, step);
}

/* c, s with an address: gdb does not send it any more. C, S: a signal comes first. */
static void cmd_resume(struct gdb_stub *s, bool step)
{
    go(s, step ? GDB_STEP : GDB_RUN, s->stop_cpu);
}

static void cmd_backwards(struct gdb_stub *s, char how)
{
    if (how == 's' || how == 'c') {
        go(s, how == 's' ? GDB_REVERSE_STEP : GDB_REVERSE_RUN, s->stop_cpu);
    } else {
        reply(s, "");
    }
}

/* --- Queries --- */

static void cmd_supported(struct gdb_stub *s, const char *p)
{
    char text[256];
    s->tell_sw = strstr(p, "swbreak+") != NULL;
    s->tell_hw = strstr(p, "hwbreak+") != NULL;
    snprintf(text, sizeof text,
             "PacketSize=%x;qXfer:features:read+;QStartNoAckMode+;vContSupported+;swbreak+;"
             "hwbreak+;ReverseStep+;ReverseContinue+",
             GDB_PACKET_MAX);
    reply(s, text);
}

static void cmd_features(struct gdb_stub *s, const char *p)
{
    uint64_t off, len;
    char part[GDB_PACKET_MAX / 2 + 1];
    if (!starts(p, "target.xml:")) {
        reply(s, "E00");
        return;
    }
    p += strlen("target.xml:");
    if (!parse_range(&p, &off, &len)) {
        reply(s, "E22");
        return;
    }
    size_t all = strlen(s->regs.xml);
    off = off < all ? off : all;
    size_t n = all - (size_t)off, most = sizeof part - 1;
    most = len < most ? (size_t)len : most;
    part[0] = n > most ? 'm' : 'l';
    n = n < most ? n : most;
    memcpy(part + 1, s->regs.xml + off, n);
    gdb_wire_reply(&s->wire, part, n + 1);
}

static void cmd_monitor(struct gdb_stub *s, const char *p)
{
    uint8_t line[1024];
    size_t n = strlen(p) / 2;
    if (n >= sizeof line || !parse_bytes(p, line, n)) {
        reply(s, "E22");
        return;
    }
    line[n] = 0;
    doppel_command(s->vm, (const char *)line, to_console, s);
    reply(s, "OK");
}

static void cmd_query(struct gdb_stub *s, const char *p)
{
    char text[32];
    if (starts(p, "qSupported")) {
        cmd_supported(s, p);
    } else if (starts(p, "qXfer:features:read:")) {
        cmd_features(s, p + strlen("qXfer:features:read:"));
    } else if (strcmp(p, "qfThreadInfo") == 0) {
        cmd_thread_info(s);
    } else if (strcmp(p, "qsThreadInfo") == 0) {
        reply(s, "l");
    } else if (starts(p, "qThreadExtraInfo,")) {
        cmd_thread_extra(s, p + strlen("qThreadExtraInfo,"));
    } else if (strcmp(p, "qC") == 0) {
        snprintf(text, sizeof text, "QC%x", s->general + 1);
        reply(s, text);
    } else if (starts(p, "qAttached")) {
        reply(s, "1");
    } else if (starts(p, "qRcmd,")) {
        cmd_monitor(s, p + strlen("qRcmd,"));
    } else if (strcmp(p, "qqemu.PhyMemMode") == 0) {
        reply(s, s->physical ? "1" : "0");
    } else if (starts(p, "Qqemu.PhyMemMode:")) {
        s->physical = p[strlen("Qqemu.PhyMemMode:")] == '1';
        reply(s, "OK");
    } else if (strcmp(p, "qqemu.Supported") == 0 || strcmp(p, "qemu.Supported") == 0) {
        reply(s, "PhyMemMode");
    } else if (strcmp(p, "QStartNoAckMode") == 0) {
        reply(s, "OK");
        s->wire.no_ack = true;
    } else {
        reply(s, "");
    }
}

static void cmd_v(struct gdb_stub *s, const char *p)
{
    if (strcmp(p, "vCont?") == 0) {
        reply(s, "vCont;c;C;s;S");
    } else if (starts(p, "vCont;")) {
        cmd_vcont(s, p + strlen("vCont"));
    } else if (starts(p, "vKill")) {
        reply(s, "OK");
        s->want = GDB_KILL;
    } else {
        reply(s, "");
    }
}

/* --- Packets --- */

static void cmd_thread(struct gdb_stub *s, const char *p)
{
    unsigned cpu;
    bool all;
    char what = *p;
    p += what != 0;
    if (!what || !parse_thread(s, &p, &cpu, &all)) {
        reply(s, "E22");
        return;
    }
    if (what == 'g') {
        s->general = cpu;
    } else if (what == 'c' && !all) {
        s->stop_cpu = cpu;
    }
    reply(s, "OK");
}

static void let_go(struct gdb_stub *s)
{
    drop_points(s);
    s->attached = false;
    s->want = GDB_RUN;
    doppel_pause(s->vm, false);
}

static void packet(struct gdb_stub *s)
{
    const char *p = (const char *)s->wire.in, *end = p + s->wire.nin;
    unsigned cpu;
    bool all;
    switch (*p++) {
    case '?':
        if (s->want != GDB_WAIT) {
            stop_as(s, SIGNAL_INT, doppel_cpu_current(s->vm), "");
        }
        reply(s, s->stop);
        break;
    case 'g':
        cmd_read_registers(s);
        break;
    case 'G':
        cmd_write_registers(s, p);
        break;
    case 'p':
        cmd_read_register(s, p);
        break;
    case 'P':
        cmd_write_register(s, p);
        break;
    case 'm':
        cmd_read_memory(s, p);
        break;
    case 'M':
        cmd_write_memory(s, p);
        break;
    case 'X':
        cmd_write_binary(s, p, end);
        break;
    case 'Z':
    case 'z':
        cmd_point(s, p, p[-1] == 'Z');
        break;
    case 'H':
        cmd_thread(s, p);
        break;
    case 'T':
        reply_ok(s, parse_thread(s, &p, &cpu, &all) && !*p);
        break;
    case 'c':
    case 'C':
        cmd_resume(s, false);
        break;
    case 's':
    case 'S':
        cmd_resume(s, true);
        break;
    case 'b':
        cmd_backwards(s, *p);
        break;
    case 'D':
        reply(s, "OK");
        let_go(s);
        break;
    case 'k':
        s->want = GDB_KILL;
        break;
    case 'q':
    case 'Q':
        cmd_query(s, p - 1);
        break;
    case 'v':
        cmd_v(s, p - 1);
        break;
    default:
        reply(s, "");
        break;
    }
}

void gdb_stub_feed(struct gdb_stub *s, const uint8_t *data, size_t len)
{
    for (size_t k = 0; k < len && s->attached && s->want != GDB_KILL; k++) {
        switch (gdb_wire_byte(&s->wire, data[k])) {
        case GDB_PACKET:
            packet(s);
            break;
        case GDB_STOP:
            if (s->want != GDB_WAIT) {
                stop_as(s, SIGNAL_INT, doppel_cpu_current(s->vm), "");
                reply(s, s->stop);
            }
            break;
        case GDB_NOTHING:
            break;
        }
    }
}

/* --- Connections --- */

struct gdb_stub *gdb_stub_new(struct doppel_vm *vm, enum gdb_arch arch,
                              void (*send)(void *ctx, const void *data, size_t len), void *ctx)
{
    struct gdb_stub *s = calloc(1, sizeof *s);
    if (!s) {
        abort();
    }
    s->vm = vm;
    s->wire.send = send;
    s->wire.ctx = ctx;
    s->want = GDB_RUN;
    if (arch == GDB_ARCHES) {
        arch = doppel_cpu_has(vm, "lm") ? GDB_X86_64 : GDB_I386;
    }
    gdb_regs_init(&s->regs, arch, doppel_cpu_has(vm, "avx"));
    return s;
}

void gdb_stub_free(struct gdb_stub *s)
{
    if (s) {
        gdb_regs_fini(&s->regs);
        free(s->points);
        free(s);
    }
}

void gdb_stub_attach(struct gdb_stub *s)
{
    gdb_wire_reset(&s->wire);
    s->attached = true;
    s->physical = s->tell_sw = s->tell_hw = false;
    stop_as(s, SIGNAL_TRAP, doppel_cpu_current(s->vm), "");
}

void gdb_stub_detach(struct gdb_stub *s)
{
    if (s->attached) {
        let_go(s);
    }
}

enum gdb_want gdb_stub_want(const struct gdb_stub *s, unsigned *cpu)
{
    *cpu = s->step_cpu;
    return s->want;
}
