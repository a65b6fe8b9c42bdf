/*
 * A machine into a snapshot, and out of one.
 *
 * The head says what the machine is made of (its shape, its drives), the tables hold its own
 * state, the clock and every device; RAM, memory of devices and overlays are regions.
 *
 * A load looks at everything first: every checksum, the shape, the drives, all state tables by a
 * rehearsal that is taken back. Only then does it change anything, and from there on nothing can
 * fail. RAM is not read but given a source: a page comes in when it is touched.
 *
 * Stale TLB entries are visible to a guest, so a save flushes the TLBs of the running machine too,
 * through the gate: the run that saved and the run that was restored stay the same.
 */
#include "vm/snapshot.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/block.h"
#include "util/bits.h"
#include "vm/drives.h"
#include "vm/history.h"
#include "vm/record.h"
#include "vm/screen.h"
#include "vm/vm.h"

/* What the loading machine must be made of; compared, not loaded. */
#define SHAPE_STATE(S, V, A, N)                                                                    \
    V(S, uint64_t, ram_bytes, 1)                                                                   \
    V(S, uint32_t, cpus, 1)                                                                        \
    V(S, bool, direct_boot, 1)                                                                     \
    V(S, bool, firmware, 2)

ST_DECLARE(vm_shape, SHAPE_STATE);
ST_DESCRIBE(vm_shape, SHAPE_STATE, 2);

static struct vm_shape shape_of(const struct doppel_vm *vm)
{
    return (struct vm_shape){vm->opt.ram_bytes, vm->ncpus, vm->opt.kernel != NULL,
                             vm->firmware != NULL};
}

/* --- Regions of memory --- */

static void memory_name(const struct vm_memory *m, char name[SNAP_REGION])
{
    snprintf(name, SNAP_REGION, "memory:%s", m->name);
}

static void put_ram(struct snap_writer *w, const char *name, const struct ram *r, bool changes_only)
{
    snap_region(w, name, r->npages);
    for (uint64_t pfn = 0; pfn < r->npages; pfn++) {
        if (changes_only && !ram_is_dirty(r, pfn)) {
            snap_put_kind(w, pfn, SNAP_PARENT);
            continue;
        }
        const uint8_t *p = ram_content(r, pfn);
        if (p) {
            snap_put(w, pfn, p);
        }
    }
}

static void put_memory(struct doppel_vm *vm, struct snap_writer *w, bool changes_only)
{
    char name[SNAP_REGION];
    put_ram(w, "ram", &vm->ram, changes_only);
    put_ram(w, "rom", &vm->rom, false);
    for (unsigned i = 0; i < vm->nmemory; i++) {
        memory_name(vm->memory[i], name);
        put_ram(w, name, &vm->memory[i]->ram, false); /* its dirty marks are its adapter's */
    }
}

static bool check_memory(const struct doppel_vm *vm, const struct snap_file *f, struct err *e)
{
    char name[SNAP_REGION];
    bool ok =
        snap_has_region(f, "ram", vm->ram.npages) && snap_has_region(f, "rom", vm->rom.npages);
    for (unsigned i = 0; ok && i < vm->nmemory; i++) {
        memory_name(vm->memory[i], name);
        ok = snap_has_region(f, name, vm->memory[i]->ram.npages);
    }
    return ok || err_set(e, "guest memory of other sizes than this machine's");
}

/* What is loaded lazily goes on being so; video memory is wanted at once anyway. */
static void load_memory(struct doppel_vm *vm, struct snap_chain *c)
{
    char name[SNAP_REGION];
    ram_drop_all(&vm->ram);
    snap_chain_ram(c, "ram", &vm->ram);
    ram_drop_all(&vm->rom);
    snap_chain_ram(c, "rom", &vm->rom);
    for (unsigned i = 0; i < vm->nmemory; i++) {
        memory_name(vm->memory[i], name);
        ram_drop_all(&vm->memory[i]->ram);
        snap_chain_ram(c, name, &vm->memory[i]->ram);
    }
    ram_dirty_clear(&vm->ram);
}

/* --- Save --- */

static void sync_for_save(struct doppel_vm *vm)
{
    vm_operate(vm, VM_OP_FLUSH_TLB);
    do {
        gate_deliver(&vm->gate, vm->clock.s.now);
    } while (vm->gate.pending);
    for (unsigned i = 0; i < vm->ncpus; i++) {
        cpu_sync(vm->cpu[i]);
    }
}

static void save_tables(struct doppel_vm *vm, struct st_buf *b)
{
    st_save(b, "machine", &vm_state_desc, &vm->s);
    st_save(b, "clock", &clock_state_desc, &vm->clock.s);
    dev_save_all(&vm->env, b);
}

static void copy_name(uint8_t *to, const char *from)
{
    memcpy(to, from, strnlen(from, SNAP_NAME - 1));
}

/* What a snapshot says beside its regions. */
struct words {
    struct st_buf head, tables;
    uint64_t icount;
    vtime now;
};

static bool put_words(struct doppel_vm *vm, const char *path, struct words *s, struct err *e)
{
    struct vm_shape shape = shape_of(vm);
    sync_for_save(vm);
    st_save(&s->head, "shape", &vm_shape_desc, &shape);
    bool ok = drives_save(vm, &s->head, path, e);
    save_tables(vm, &s->tables);
    s->icount = vm->clock.s.icount;
    s->now = vm->clock.s.now;
    return ok;
}

static void words_free(struct words *s)
{
    st_buf_free(&s->head);
    st_buf_free(&s->tables);
}

/* The regions are in w. */
static bool write_out(struct snap_writer *w, const struct words *s, const struct snapshot_how *how,
                      unsigned threads, int fd, struct st_buf *mem, uint64_t *id, struct err *e)
{
    struct snap_contents c = {.head = s->head.data,
                              .head_len = s->head.len,
                              .tables = s->tables.data,
                              .tables_len = s->tables.len,
                              .compress = how->compress,
                              .threads = threads};
    c.manifest = (struct snap_manifest){.date = how->date, .icount = s->icount, .vtime = s->now};
    copy_name(c.manifest.name, how->name);
    if (how->parent) {
        c.manifest.parent = how->parent->id;
        copy_name(c.manifest.parent_name, how->parent->name);
    }
    return snap_write(w, &c, fd, mem, id) ||
           err_set(e, "%s%s",
                   snap_unreadable(w) ? "what snapshot=on keeps cannot be read back: " : "",
                   strerror(errno));
}

bool snapshot_write(struct doppel_vm *vm, const struct snapshot_how *how, int fd,
                    struct st_buf *mem, uint64_t *id, struct err *e)
{
    struct words s = {.icount = 0};
    struct snap_writer *w = snap_writer_new();
    bool ok = put_words(vm, how->path, &s, e);
    put_memory(vm, w, how->parent != NULL);
    ok = ok && drives_put(vm, w, how->parent != NULL, e) &&
         write_out(w, &s, how, drives_in_past(vm) ? 1 : how->threads, fd, mem, id, e);
    snap_writer_free(w);
    words_free(&s);
    return ok;
}

/* --- Taken now, written later --- */

struct held_memory {
    char name[SNAP_REGION];
    struct ram ram, *of; /* the machine's */
};

struct snapshot_held {
    struct words words;
    struct held_memory memory[2 + VM_MAX_MEMORY];
    unsigned nmemory;
    struct drives_held *drives;
};

static bool hold_ram(struct snapshot_held *h, const char *name, struct ram *of)
{
    struct held_memory *m = &h->memory[h->nmemory];
    if (!ram_init(&m->ram, of->npages * PAGE_SIZE)) {
        return false;
    }
    h->nmemory++;
    snprintf(m->name, sizeof m->name, "%s", name);
    m->of = of;
    ram_fork(&m->ram, of);
    return true;
}

struct snapshot_held *snapshot_hold(struct doppel_vm *vm, struct err *e)
{
    struct snapshot_held *h = calloc(1, sizeof *h);
    if (!h) {
        abort();
    }
    bool ok = put_words(vm, NULL, &h->words, e);
    drives_save_end(vm, "", ok);
    if (!ok) {
        snapshot_held_free(h);
        return NULL;
    }
    ok = hold_ram(h, "ram", &vm->ram) && hold_ram(h, "rom", &vm->rom);
    for (unsigned i = 0; ok && i < vm->nmemory; i++) {
        char name[SNAP_REGION];
        memory_name(vm->memory[i], name);
        ok = hold_ram(h, name, &vm->memory[i]->ram);
    }
    h->drives = ok ? drives_hold(vm) : NULL;
    if (!h->drives) {
        err_set(e, "no host memory to keep the machine as it is now");
        snapshot_held_free(h);
        return NULL;
    }
    return h;
}

bool snapshot_held_write(struct snapshot_held *h, const struct snapshot_how *how, int fd,
                         struct st_buf *mem, uint64_t *id, struct err *e)
{
    struct snap_writer *w = snap_writer_new();
    for (unsigned i = 0; i < h->nmemory; i++) {
        put_ram(w, h->memory[i].name, &h->memory[i].ram, false);
    }
    bool ok = drives_held_put(h->drives, w, e) && write_out(w, &h->words, how, 1, fd, mem, id, e);
    drives_held_done(h->drives);
    snap_writer_free(w);
    return ok;
}

uint64_t snapshot_held_bytes(const struct snapshot_held *h, const struct snapshot_held *other)
{
    uint64_t pages = 0;
    for (unsigned i = 0; i < h->nmemory; i++) {
        pages += ram_alone(&h->memory[i].ram, other ? &other->memory[i].ram : h->memory[i].of);
    }
    /* What was overwritten since the younger is one with what was since the older. */
    uint64_t disks = drives_held_bytes(h->drives) - (other ? drives_held_bytes(other->drives) : 0);
    return sizeof *h + h->words.head.cap + h->words.tables.cap + pages * PAGE_SIZE + disks;
}

void snapshot_held_free(struct snapshot_held *h)
{
    if (h) {
        drives_held_free(h->drives);
        while (h->nmemory) {
            ram_fini(&h->memory[--h->nmemory].ram);
        }
        words_free(&h->words);
        free(h);
    }
}

static void base_set(struct doppel_vm *vm, const char *folder, const char *name, uint64_t id,
                     unsigned depth)
{
    struct snapshot_base *b = &vm->snap.base;
    free(b->folder);
    *b = (struct snapshot_base){.valid = folder != NULL, .id = id, .depth = depth};
    b->folder = folder ? strdup(folder) : NULL;
    snprintf(b->name, sizeof b->name, "%s", name);
}

void snapshot_saved(struct doppel_vm *vm, const char *folder, const char *name, uint64_t id,
                    unsigned depth)
{
    ram_dirty_clear(&vm->ram);
    drives_saved(vm);
    base_set(vm, folder, name, id, depth);
}

/* --- Load --- */

static bool check_shape(struct doppel_vm *vm, struct st_src *src, struct err *e)
{
    struct vm_shape want = shape_of(vm), have = {0};
    if (!st_load(src, "shape", &vm_shape_desc, &have, e)) {
        return false;
    }
    if (st_diff(&vm_shape_desc, &want, &have, NULL, NULL)) {
        return err_set(e,
                       "saved with -m %" PRIu64 " -smp %" PRIu32 ", %s -kernel and %s firmware; "
                       "start it with the same options",
                       have.ram_bytes >> 20, have.cpus, have.direct_boot ? "a" : "no",
                       have.firmware ? "with" : "no");
    }
    return true;
}

/* The state tables. `check`: nothing changes. Else they have been checked. */
static bool load_tables(struct doppel_vm *vm, struct st_src *src, bool check, struct err *e)
{
    struct vm_state s = vm->s;
    struct clock_state c = vm->clock.s;
    if (!st_load(src, "machine", &vm_state_desc, &s, e) ||
        !st_load(src, "clock", &clock_state_desc, &c, e)) {
        return false;
    }
    if (s.turn >= vm->ncpus || s.quantum > VM_QUANTUM || s.pauses >= vm->ncpus) {
        return err_set(e, "\"machine\": no such turn");
    }
    if (c.rate < CLOCK_RATE_ONE || c.rate > CLOCK_RATE_MAX || c.frac > 0xffff) {
        return err_set(e, "\"clock\": no such rate");
    }
    if (!check) {
        vm->s = s;
        vm->clock.s = c;
    }
    if (!(check ? dev_check_all(&vm->env, src, e) : dev_load_all(&vm->env, src, e))) {
        return false;
    }
    return src->pos == src->len || err_set(e, "%zu bytes too many", src->len - src->pos);
}

static void fetch_failed(void *ctx, const char *why)
{
    struct doppel_vm *vm = ctx;
    err_set(&vm->snap.why, "guest memory cannot be read from the snapshot any more: %s", why);
    vm->snap.broken = true;
    if (vm->running) {
        vm->running->stop = true;
        cpu_kick(vm->running);
    }
}

static void chain_set(struct doppel_vm *vm, struct snap_chain *c)
{
    if (vm->snap.chain) {
        snap_chain_detach(vm->snap.chain);
        snap_chain_put(vm->snap.chain);
    }
    vm->snap.chain = c;
}

/* Everything has been checked. */
static void become(struct doppel_vm *vm, struct drives_plan *plan, struct snap_chain *c,
                   struct st_src *tables)
{
    struct err e;
    history_restart(vm);
    record_break(vm, "another machine is loaded");
    vm_flush_all(vm);
    screen_forget(vm->screen);
    drives_apply(vm, plan);
    bool ok = load_tables(vm, tables, false, &e);
    assert(ok);
    (void)ok;
    load_memory(vm, c);
    chain_set(vm, c);
    vm_flush_all(vm);
    base_set(vm, NULL, "", 0, 0);
    drives_saved(vm);
    vm->snap.broken = false;
    vm->snap.loads++;
    vm->request &= VM_REQ_QUIT; /* the operator's, who may have said both at once */
}

bool snapshot_read(struct doppel_vm *vm, struct snap_file *f, struct err *e)
{
    const struct snap_info *info = snap_info_of(f);
    struct st_src head = {info->head, info->head_len, 0};
    uint8_t *data = NULL;
    size_t len;
    if (!snap_verify(f, e) || !check_shape(vm, &head, e) || !check_memory(vm, f, e) ||
        !snap_tables(f, &data, &len, e)) {
        snap_close(f);
        return false;
    }
    struct st_src tables = {data, len, 0}, rehearsal = tables;
    struct snap_chain *c = snap_chain_new(f, fetch_failed, vm);
    struct drives_plan *plan = drives_plan(vm, &head, c, e);
    bool ok = plan && load_tables(vm, &rehearsal, true, e);
    if (ok && head.pos != head.len) {
        ok = err_set(e, "the head has %zu bytes too many", head.len - head.pos);
    }
    if (ok && drives_go(vm, plan, e)) {
        become(vm, plan, c, &tables);
    } else {
        ok = false;
        if (plan) {
            drives_plan_free(plan);
        }
        snap_chain_put(c);
    }
    free(data);
    return ok;
}

void snapshot_fini(struct doppel_vm *vm)
{
    chain_set(vm, NULL);
    base_set(vm, NULL, "", 0, 0);
}
