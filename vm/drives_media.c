/*
 * Medium changes and what the operator sees of drives.
 *
 * A change enters through the gate: the payload is an operation, the drive's name and a path, each
 * name ended by a zero byte. The image is opened in the handler, so a replay opens it at the same
 * instant; a failure leaves the drive as it was. The command delivers its own post, so what the
 * handler has to say goes to who asked; in a replay nobody asked, and it goes to the log.
 *
 * The guest's tray: while it is open the medium lies in it (struct vm_drive.tray) and the drive
 * reports none.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vm/drives_priv.h"
#include "vm/media.h"
#include "vm/monitor_info.h"

enum { OP_EJECT = 1, OP_CHANGE = 2, OP_FORCE = 0x80 };

/* --- Notices --- */

static void reply(struct doppel_vm *vm, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void reply(struct doppel_vm *vm, const char *fmt, ...)
{
    char text[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (vm->drives->reply) {
        mon_printf(vm->drives->reply, "%s\n", text);
    } else {
        fprintf(vm->log.out, "%s: %s\n", vm->opt.name, text);
    }
}

/* A guest tries again and again: so many lines at most within a time of the guest's. */
enum { NOTICES = 4 };
#define NOTICE_TIME (10 * VTIME_SEC)

void drive_host_failed(struct drive *d, const char *what)
{
    struct vm_drive *v = (struct vm_drive *)d;
    int why = errno;
    vtime now = clock_now(&v->vm->clock);
    if (now - v->notices_from >= NOTICE_TIME) {
        v->notices_from = now;
        v->notices = 0;
    }
    if (v->notices++ >= NOTICES) {
        return;
    }
    fprintf(v->vm->log.out, "%s: %s: %s of %s failed: %s (%" PRIu64 " failed so far)%s\n",
            v->vm->opt.name, d->name, what, v->path ? v->path : "its image", strerror(why),
            d->stats.errors,
            drive_overlay(v) ? "; snapshot=on keeps writes in memory and $TMPDIR" : "");
}

void drive_flush_medium(struct vm_drive *v)
{
    struct blk *b = drive_medium(v);
    if (b && !b->readonly && !b->flush(b)) {
        v->d.stats.errors++;
        drive_host_failed(&v->d, "flush");
    }
}

/* --- Trays --- */

static void changed(struct vm_drive *v)
{
    if (v->d.changed) {
        v->d.changed(v->d.dev);
    }
}

/* The device that calls this knows: no `changed`. */
void drive_guest_eject(struct drive *d, bool out)
{
    struct vm_drive *v = (struct vm_drive *)d;
    if (out && d->blk) {
        drive_flush_medium(v);
        v->tray = d->blk;
        d->blk = NULL;
    } else if (!out && !d->blk) {
        d->blk = v->tray;
        v->tray = NULL;
    }
}

/* May the operator take the medium? */
static bool released(struct vm_drive *v, bool force)
{
    if (!v->d.locked || force || !drive_medium(v)) {
        return true;
    }
    if (v->d.eject_asked) {
        v->d.eject_asked(v->d.dev);
    }
    reply(v->vm, "%s: locked by the guest, which has been asked; try again, or use -f", v->d.name);
    return false;
}

static void do_eject(struct vm_drive *v)
{
    if (drive_medium(v)) {
        drive_remove(v);
        changed(v);
    }
}

static void do_change(struct vm_drive *v, const char *path)
{
    struct err e = {""};
    struct vm_drive fresh = {.how = v->how, .vm = v->vm};
    if (drive_medium(v) && (strcmp(v->path, path) == 0 || blk_same_file(v->path, path))) {
        do_eject(v); /* the lock on it is ours */
    }
    memcpy(fresh.d.name, v->d.name, sizeof fresh.d.name);
    fresh.d.kind = v->d.kind;
    bool ok = drive_insert(&fresh, path, BLK_PROBE, &e);
    if (!ok) {
        media_inserted(v->vm, v, false);
        reply(v->vm, "%s: %s", v->d.name, e.msg);
        return;
    }
    do_eject(v);
    v->d.blk = fresh.d.blk;
    v->path = fresh.path;
    v->format = fresh.format;
    v->private = fresh.private;
    media_inserted(v->vm, v, true);
    changed(v);
}

static struct vm_drive *removable(struct doppel_vm *vm, const char *name)
{
    for (unsigned i = 0; i < vm->drives->n; i++) {
        struct vm_drive *v = vm->drives->list[i];
        if (strcmp(v->d.name, name) == 0) {
            if (v->d.kind != DRIVE_HD) {
                return v;
            }
            reply(vm, "%s is a hard disk; its medium stays", name);
            return NULL;
        }
    }
    reply(vm, "no drive \"%s\"; \"info block\" lists them", name);
    return NULL;
}

static void deliver(void *ctx, const uint8_t *payload, uint32_t len)
{
    struct doppel_vm *vm = ctx;
    const char *name = (const char *)payload + 1;
    /* Posted by us or by a replay's log: look twice. */
    if (len < 3 || payload[len - 1] || 1 + strlen(name) + 1 >= len) {
        return;
    }
    const char *path = name + strlen(name) + 1;
    struct vm_drive *v = removable(vm, name);
    if (!v || !released(v, payload[0] & OP_FORCE)) {
        return;
    }
    if ((payload[0] & ~OP_FORCE) == OP_CHANGE) {
        do_change(v, path);
    } else {
        do_eject(v);
    }
}

void drives_media_init(struct doppel_vm *vm)
{
    vm->drives->source = gate_source_add(&vm->gate, "block", deliver, vm);
}

/* --- Commands --- */

static void post(struct doppel_vm *vm, uint8_t op, const char *name, size_t n, const char *path,
                 struct mon_out *o)
{
    uint8_t payload[1 + 256 + 4096];
    size_t len = strlen(path);
    if (n >= 256 || len >= 4096) {
        mon_printf(o, "the name is too long\n");
        return;
    }
    payload[0] = op;
    memcpy(payload + 1, name, n);
    payload[1 + n] = 0;
    memcpy(payload + 2 + n, path, len + 1);
    vm->drives->reply = o;
    gate_post(&vm->gate, vm->drives->source, payload, (uint32_t)(2 + n + len + 1));
    gate_deliver(&vm->gate, vm->clock.s.now);
    vm->drives->reply = NULL;
}

/* "-f" in front. */
static uint8_t take_force(const char **args)
{
    if (strncmp(*args, "-f ", 3) != 0) {
        return 0;
    }
    *args += 2;
    *args += strspn(*args, " \t");
    return OP_FORCE;
}

void drives_change(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    uint8_t op = OP_CHANGE | take_force(&args);
    size_t n = strcspn(args, " \t");
    const char *path = args + n + strspn(args + n, " \t");
    size_t len = strlen(path);
    char name[PATH_MAX];
    bool quoted = len > 2 && *path == '"' && path[len - 1] == '"';
    if (!n || !*path || len >= sizeof name) {
        mon_printf(o, "change: want [-f] DRIVE FILE\n");
        return;
    }
    snprintf(name, sizeof name, "%.*s", (int)(quoted ? len - 2 : len), path + quoted);
    post(vm, op, args, n, name, o);
}

void drives_eject(struct doppel_vm *vm, const char *args, struct mon_out *o)
{
    uint8_t op = OP_EJECT | take_force(&args);
    size_t n = strcspn(args, " \t");
    if (!n || args[n + strspn(args + n, " \t")]) {
        mon_printf(o, "eject: want [-f] DRIVE\n");
        return;
    }
    post(vm, op, args, n, "", o);
}

void drives_info(struct doppel_vm *vm, struct mon_out *o)
{
    static const char *const kinds[] = {
        [DRIVE_HD] = "hard disk", [DRIVE_CDROM] = "CD-ROM", [DRIVE_FLOPPY] = "floppy"};
    for (unsigned i = 0; i < vm->drives->n; i++) {
        const struct vm_drive *v = vm->drives->list[i];
        const struct blk *b = drive_medium(v);
        const struct drive_stats *s = &v->d.stats;
        mon_printf(o, "%s: %s, ", v->d.name, kinds[v->d.kind]);
        if (!b) {
            mon_printf(o, "empty");
        } else {
            mon_printf(o, "%s (%s, %" PRIu64 " bytes%s%s%s)", v->path, blk_format_name(v->format),
                       b->bytes, b->readonly ? ", read-only" : "",
                       v->how.snapshot ? ", snapshot" : "", v->tray ? ", tray open" : "");
        }
        mon_printf(o,
                   "%s\n    %" PRIu64 " reads (%" PRIu64 " bytes), %" PRIu64 " writes (%" PRIu64
                   " bytes), %" PRIu64 " flushes, %" PRIu64 " failed\n",
                   v->d.locked ? ", locked" : "", s->reads, s->read_bytes, s->writes,
                   s->write_bytes, s->flushes, s->errors);
    }
}
