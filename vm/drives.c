/*
 * Drives from options, and who gets which.
 *
 * Slots: if=ide has four (2 * channel + unit), if=floppy two; a drive without index= takes the
 * first that is free. A CD-ROM drive as secondary master is there without being
 * asked for, empty, so that a medium can be put in later. A floppy drive is not: without a medium
 * its controller never answers, as on hardware, and firmware waits seconds for it.
 */
#include "vm/drives.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hw/disk/fd_media.h"
#include "util/keyval.h"
#include "util/suggest.h"
#include "vm/drives_priv.h"
#include "vm/firmware.h"
#include "vm/media.h"
#include "vm/record.h"
#include "vm/replay.h"
#include "vm/twin.h"

#define DEFAULT_CD 2 /* the slot of -cdrom */

/* --- One option text --- */

struct drive_opt {
    const char *text;
    char file[KEYVAL_VALUE], id[32], boot_index[12];
    bool has_file, cdrom, disk, snapshot, snapshot_given, readonly;
    enum drive_if iface;
    enum blk_format format;
    int index, bus, unit; /* -1: not given */
};

static const char *const if_names[] = {[DRIVE_IF_IDE] = "ide",
                                       [DRIVE_IF_FLOPPY] = "floppy",
                                       [DRIVE_IF_PFLASH] = "pflash",
                                       [DRIVE_IF_NONE] = "none"};

static bool opt_file(struct drive_opt *o, const struct keyval *kv, struct err *e)
{
    o->has_file = *kv->value != 0;
    memcpy(o->file, kv->value, sizeof o->file);
    return o->has_file || err_usage(e, "file=: want a file name");
}

static bool opt_if(struct drive_opt *o, const struct keyval *kv, struct err *e)
{
    for (unsigned i = 0; i < ARRAY_LEN(if_names); i++) {
        if (strcmp(kv->value, if_names[i]) == 0) {
            o->iface = (enum drive_if)i;
            return true;
        }
    }
    return err_usage(e, "if=%.60s: want ide, floppy, pflash or none", kv->value);
}

static bool opt_format(struct drive_opt *o, const struct keyval *kv, struct err *e)
{
    return blk_format_parse(kv->value, &o->format) ||
           err_usage(e, "format=%.60s: want raw or qcow2", kv->value);
}

static bool opt_media(struct drive_opt *o, const struct keyval *kv, struct err *e)
{
    o->cdrom = strcmp(kv->value, "cdrom") == 0;
    o->disk = strcmp(kv->value, "disk") == 0;
    return o->cdrom || o->disk || err_usage(e, "media=%.60s: want disk or cdrom", kv->value);
}

static bool opt_place(struct drive_opt *o, const struct keyval *kv, struct err *e)
{
    unsigned n;
    int *where = strcmp(kv->key, "index") == 0 ? &o->index
                 : strcmp(kv->key, "bus") == 0 ? &o->bus
                                               : &o->unit;
    if (!keyval_number(kv, where == &o->index ? DRIVES_IDE - 1 : 1, &n, e)) {
        return false;
    }
    *where = (int)n;
    return true;
}

static bool opt_snapshot(struct drive_opt *o, const struct keyval *kv, struct err *e)
{
    o->snapshot_given = true;
    return keyval_bool(kv, &o->snapshot, e);
}

static bool opt_readonly(struct drive_opt *o, const struct keyval *kv, struct err *e)
{
    return keyval_bool(kv, &o->readonly, e);
}

static bool opt_id(struct drive_opt *o, const struct keyval *kv, struct err *e)
{
    size_t n = strlen(kv->value);
    if (n == 0 || n >= sizeof o->id || strpbrk(kv->value, " .,=")) {
        return err_usage(e, "id=%.60s: want 1 to %zu characters without \" .,=\"", kv->value,
                         sizeof o->id - 1);
    }
    memcpy(o->id, kv->value, n + 1);
    return true;
}

static bool opt_boot_index(struct drive_opt *o, const struct keyval *kv, struct err *e)
{
    size_t n = strlen(kv->value);
    if (n == 0 || n >= sizeof o->boot_index) {
        return err_usage(e, "bootindex=%.40s: want a number from 0 on", kv->value);
    }
    memcpy(o->boot_index, kv->value, n + 1);
    return true;
}

static const struct {
    const char *key;
    bool (*set)(struct drive_opt *o, const struct keyval *kv, struct err *e);
} keys[] = {
    {"file", opt_file},
    {"if", opt_if},
    {"format", opt_format},
    {"media", opt_media},
    {"index", opt_place},
    {"bus", opt_place},
    {"unit", opt_place},
    {"snapshot", opt_snapshot},
    {"readonly", opt_readonly},
    {"read-only", opt_readonly},
    {"id", opt_id},
    {"bootindex", opt_boot_index},
};

static const char *key_name(void *ctx, unsigned i)
{
    (void)ctx;
    return i < ARRAY_LEN(keys) ? keys[i].key : NULL;
}

static bool set_key(struct drive_opt *o, const struct keyval *kv, struct err *e)
{
    for (unsigned i = 0; i < ARRAY_LEN(keys); i++) {
        if (strcmp(kv->key, keys[i].key) == 0) {
            return keys[i].set(o, kv, e);
        }
    }
    if (!kv->key[0]) {
        return err_usage(e, "\"%.60s\": want name=value, for example file=disk.img", kv->value);
    }
    return err_usage(e, "%s=: not known; the nearest is %s=", kv->key,
                     suggest_nearest(kv->key, key_name, NULL));
}

/* What the keys say together. */
static bool check_opt(struct drive_opt *o, struct err *e)
{
    bool floppy = o->iface == DRIVE_IF_FLOPPY;
    if (o->iface == DRIVE_IF_NONE && (o->index >= 0 || o->bus >= 0 || o->unit >= 0)) {
        return err_usage(e, "if=none has no index=; -device X,drive=ID attaches it");
    }
    if (o->index >= 0 && (o->bus >= 0 || o->unit >= 0)) {
        return err_usage(e, "index= and bus= or unit=: want one of them");
    }
    if (o->bus >= 0 || o->unit >= 0) {
        int bus = o->bus < 0 ? 0 : o->bus, unit = o->unit < 0 ? 0 : o->unit;
        o->index = floppy ? unit : 2 * bus + unit;
    }
    if (floppy && o->index >= (int)DRIVES_FLOPPY) {
        return err_usage(e, "if=floppy,index=%d: want 0 or 1", o->index);
    }
    if (o->iface == DRIVE_IF_PFLASH && o->index >= (int)DRIVES_PFLASH) {
        return err_usage(e, "if=pflash,index=%d: want 0 or 1", o->index);
    }
    if ((floppy || o->iface == DRIVE_IF_PFLASH) && o->cdrom) {
        return err_usage(e, "if=%s,media=cdrom: want one of them", if_names[o->iface]);
    }
    if (!o->has_file && !o->cdrom && !floppy) {
        return err_usage(e, "a hard disk needs file=; an empty drive is media=cdrom or if=floppy");
    }
    return true;
}

static bool parse_opt(struct drive_opt *o, const char *text, struct err *e)
{
    struct keyval kv;
    *o = (struct drive_opt){.text = text, .index = -1, .bus = -1, .unit = -1};
    e->msg[0] = 0;
    while (keyval_next(&text, &kv, e)) {
        if (!set_key(o, &kv, e)) {
            return false;
        }
    }
    return !e->msg[0] && check_opt(o, e);
}

/* --- Media --- */

void drive_remove(struct vm_drive *v)
{
    struct blk *b = drive_medium(v);
    drive_flush_medium(v);
    if (b && drive_overlay(v)) {
        record_before_removal(v->vm);
    }
    v->d.blk = v->tray = NULL;
    v->summed = false;
    free(v->path);
    v->path = NULL;
    if (b) {
        b->close(b);
    }
}

bool drive_insert(struct vm_drive *v, const char *path, enum blk_format format, struct err *e)
{
    struct blk_how how = v->how;
    enum blk_format found = BLK_RAW;
    const struct run_medium *m = NULL;
    struct blk *b;
    how.format = format;
    if (replay_feeds(v->vm->replay)) {
        b = replay_medium(v->vm->replay, v, &m, e);
    } else {
        b = blk_open(path, &how, &found, e);
    }
    char *copy = strdup(path);
    if (!copy) {
        abort();
    }
    if (b && v->d.kind == DRIVE_FLOPPY && !fd_fits(b->bytes / BLK_SECTOR)) {
        err_set(e, "%s: %" PRIu64 " KiB are more than any diskette holds (2880)", path,
                b->bytes / 1024);
        b->close(b);
        b = NULL;
    }
    if (b && !m && !b->readonly && !how.snapshot) { /* a replay's is private */
        b = blk_undo_new(b, path, e);
    }
    if (b && !b->readonly) {
        b = blk_journal_new(b, e);
    }
    if (!b) {
        free(copy);
        return false;
    }
    drive_remove(v);
    v->d.blk = b;
    v->path = copy;
    v->format = found;
    v->private = m && !m->readonly && !m->overlay;
    if (m) {
        blk_format_parse(m->format, &v->format);
    }
    return true;
}

/* --- The list --- */

static struct vm_drive *at_slot(const struct drives *ds, enum drive_if iface, int slot)
{
    for (unsigned i = 0; i < ds->n; i++) {
        if (ds->list[i]->iface == iface && ds->list[i]->slot == slot && slot >= 0) {
            return ds->list[i];
        }
    }
    return NULL;
}

static struct vm_drive *by_name(const struct drives *ds, const char *name)
{
    for (unsigned i = 0; i < ds->n; i++) {
        if (strcmp(ds->list[i]->d.name, name) == 0) {
            return ds->list[i];
        }
    }
    return NULL;
}

static unsigned slots_of(enum drive_if iface)
{
    return iface == DRIVE_IF_IDE      ? DRIVES_IDE
           : iface == DRIVE_IF_FLOPPY ? DRIVES_FLOPPY
           : iface == DRIVE_IF_PFLASH ? DRIVES_PFLASH
                                      : 0;
}

static bool choose_slot(struct drives *ds, struct drive_opt *o, const bool *reserved, struct err *e)
{
    unsigned n = slots_of(o->iface);
    if (o->index < 0) {
        unsigned i = 0;
        while (i < n && (reserved[i] || at_slot(ds, o->iface, (int)i))) {
            i++;
        }
        if (i == n && n) {
            return err_usage(e, "if=%s has %u drives already", if_names[o->iface], n);
        }
        o->index = n ? (int)i : -1;
    } else if (at_slot(ds, o->iface, o->index)) {
        return err_usage(e, "if=%s,index=%d is taken by another drive", if_names[o->iface],
                         o->index);
    }
    return true;
}

static void name_drive(const struct drives *ds, struct vm_drive *v, const char *id)
{
    char *name = v->d.name;
    size_t size = sizeof v->d.name;
    if (*id) {
        snprintf(name, size, "%s", id);
    } else if (v->iface == DRIVE_IF_IDE) {
        snprintf(name, size, "ide%d-%s%d", v->slot / 2, v->d.kind == DRIVE_CDROM ? "cd" : "hd",
                 v->slot % 2);
    } else if (v->iface == DRIVE_IF_FLOPPY || v->iface == DRIVE_IF_PFLASH) {
        snprintf(name, size, "%s%d", if_names[v->iface], v->slot);
    } else {
        snprintf(name, size, "none%u", ds->n);
    }
}

static struct vm_drive *add(struct doppel_vm *vm, const struct drive_opt *o)
{
    struct drives *ds = vm->drives;
    struct vm_drive *v = calloc(1, sizeof *v);
    if (!v) {
        abort();
    }
    assert(ds->n < ARRAY_LEN(ds->list));
    v->vm = vm;
    v->iface = o->iface;
    v->slot = o->index;
    v->d.kind = o->iface == DRIVE_IF_FLOPPY ? DRIVE_FLOPPY : o->cdrom ? DRIVE_CDROM : DRIVE_HD;
    v->d.guest_eject = drive_guest_eject;
    v->d.failed = drive_host_failed;
    v->how = (struct blk_how){
        .readonly = o->readonly || o->cdrom,
        .snapshot = (o->snapshot_given ? o->snapshot : vm->opt.snapshot) && !o->cdrom,
        .align = o->cdrom ? 4 * BLK_SECTOR : BLK_SECTOR,
    };
    name_drive(ds, v, o->id);
    ds->list[ds->n++] = v;
    return v;
}

static bool add_from_opt(struct doppel_vm *vm, struct drive_opt *o, const bool *reserved,
                         struct err *e)
{
    if (!choose_slot(vm->drives, o, reserved, e)) {
        return false;
    }
    if (*o->id && by_name(vm->drives, o->id)) {
        return err_usage(e, "id=%s: two drives of this name", o->id);
    }
    struct vm_drive *v = add(vm, o);
    if (*o->boot_index && !firmware_boot_index(vm, o->boot_index, &v->d, e)) {
        return false;
    }
    if (vm->twin) {
        bool ok;
        v->d.blk = twin_medium(vm, vm->drives->n - 1, &ok);
        return ok || err_set(e, "no host memory for a disk as of then");
    }
    if (replay_feeds(vm->replay)) {
        return true; /* its log says what is in there: insert_recorded */
    }
    if (o->has_file && !drive_insert(v, o->file, o->format, e)) {
        return false;
    }
    if (v->d.kind == DRIVE_HD && v->d.blk->readonly && !v->how.readonly) {
        fprintf(vm->log.out, "%s: %s: %s cannot be written to; snapshot=on keeps writes aside\n",
                vm->opt.name, v->d.name, o->file);
    }
    return true;
}

static bool has_cdrom(const struct drives *ds)
{
    for (unsigned i = 0; i < ds->n; i++) {
        if (ds->list[i]->d.kind == DRIVE_CDROM) {
            return true;
        }
    }
    return false;
}

static void add_defaults(struct doppel_vm *vm)
{
    struct drive_opt cd = {.iface = DRIVE_IF_IDE, .index = DEFAULT_CD, .cdrom = true};
    if (!has_cdrom(vm->drives) && !at_slot(vm->drives, DRIVE_IF_IDE, DEFAULT_CD)) {
        add(vm, &cd)->implicit = true;
    }
}

/* The media that were in the drives when a recording began. */
static bool insert_recorded(struct doppel_vm *vm, struct err *e)
{
    unsigned n;
    const struct run_medium *m = replay_media(vm->replay, &n);
    for (unsigned i = 0; i < n; i++) {
        int k = media_drive(vm, m[i].drive);
        if (k < 0) {
            return err_set(e, "the log has a medium for drive %s, which is not there", m[i].drive);
        }
        if (!drive_insert(vm->drives->list[k], m[i].path, BLK_PROBE, e)) {
            return false;
        }
    }
    for (unsigned i = 0; i < vm->drives->n; i++) {
        const struct vm_drive *v = vm->drives->list[i];
        if (v->d.kind == DRIVE_HD && !v->d.blk) {
            return err_set(e, "the log has no medium for drive %s", v->d.name);
        }
    }
    return true;
}

/* Drives that name their slot come first: the others get what is left. */
static bool open_all(struct doppel_vm *vm, struct drive_opt *opts, struct err *e)
{
    bool reserved[DRIVE_IF_NONE + 1][DRIVES_IDE] = {0};
    for (unsigned i = 0; i < vm->opt.ndrives; i++) {
        if (!parse_opt(&opts[i], vm->opt.drive[i], e)) {
            return err_prefix(e, "-drive");
        }
        if (opts[i].index >= 0) {
            reserved[opts[i].iface][opts[i].index] = true;
        }
    }
    for (unsigned i = 0; i < vm->opt.ndrives; i++) {
        if (!add_from_opt(vm, &opts[i], reserved[opts[i].iface], e)) {
            return e->usage ? err_prefix(e, "-drive") : false;
        }
    }
    add_defaults(vm);
    return !replay_feeds(vm->replay) || insert_recorded(vm, e);
}

bool drives_open(struct doppel_vm *vm, struct err *e)
{
    vm->drives = calloc(1, sizeof *vm->drives);
    struct drive_opt *opts = calloc(vm->opt.ndrives + 1, sizeof *opts);
    if (!vm->drives || !opts) {
        abort();
    }
    pthread_mutex_init(&vm->drives->lock, NULL);
    drives_media_init(vm);
    bool ok = open_all(vm, opts, e);
    free(opts);
    return ok;
}

void drives_close(struct doppel_vm *vm)
{
    for (unsigned i = 0; vm->drives && i < vm->drives->n; i++) {
        drive_remove(vm->drives->list[i]);
        free(vm->drives->list[i]);
    }
    if (vm->drives) {
        pthread_mutex_destroy(&vm->drives->lock);
    }
    free(vm->drives);
    vm->drives = NULL;
}

/* --- Who gets which --- */

static struct vm_drive *find(const struct drives *ds, const char *ref)
{
    unsigned n;
    char end;
    if (sscanf(ref, "ide.%u%c", &n, &end) == 1) {
        return n < DRIVES_IDE ? at_slot(ds, DRIVE_IF_IDE, (int)n) : NULL;
    }
    if (sscanf(ref, "floppy.%u%c", &n, &end) == 1) {
        return n < DRIVES_FLOPPY ? at_slot(ds, DRIVE_IF_FLOPPY, (int)n) : NULL;
    }
    if (sscanf(ref, "pflash.%u%c", &n, &end) == 1) {
        return n < DRIVES_PFLASH ? at_slot(ds, DRIVE_IF_PFLASH, (int)n) : NULL;
    }
    return by_name(ds, ref);
}

struct drive *drives_find(struct doppel_vm *vm, const char *ref)
{
    struct vm_drive *v = find(vm->drives, ref);
    if (v && strchr(ref, '.')) { /* a slot; names have no dots */
        v->taken = true;
    }
    return v ? &v->d : NULL;
}

bool drives_take(struct doppel_vm *vm, const char *id, struct drive **out, struct err *e)
{
    struct vm_drive *v = by_name(vm->drives, id);
    if (!v) {
        return err_usage(e, "drive=%.60s: no -drive has this id", id);
    }
    if (v->iface != DRIVE_IF_NONE) {
        return err_usage(e, "drive=%.60s: that one is if=%s; want if=none", id, if_names[v->iface]);
    }
    if (v->taken) {
        return err_usage(e, "drive=%.60s: another device has it", id);
    }
    v->taken = true;
    *out = &v->d;
    return true;
}

bool drives_check(const struct doppel_vm *vm, struct err *e)
{
    for (unsigned i = 0; i < vm->drives->n; i++) {
        const struct vm_drive *v = vm->drives->list[i];
        if (!v->taken && !v->implicit && v->iface != DRIVE_IF_NONE) {
            return err_usage(e, "%s: machine %s has no if=%s controller for index %d", v->d.name,
                             vm->board->name, if_names[v->iface], v->slot);
        }
    }
    return true;
}
