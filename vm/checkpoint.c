/* See checkpoint.h. The order of what is put back is that of a saved machine (vm/state.c). */
#include "vm/checkpoint.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/block.h"
#include "host/blk_journal.h"
#include "vm/debug.h"
#include "vm/drives_priv.h"
#include "vm/screen.h"
#include "vm/vm.h"

struct checkpoint_drive {
    struct blk *medium; /* only compared */
    uint64_t mark;      /* 0: nothing to go back to (read-only, or empty) */
    uint64_t transfers; /* logs name the host's failures by their number */
    bool tray_open;
};

struct checkpoint {
    struct clock_state clock;
    struct vm_state machine;
    uint64_t order; /* of the gate */
    struct st_buf devices;
    struct ram ram, rom, memory[VM_MAX_MEMORY];
    bool have_ram, have_rom;
    unsigned nmemory, ncpus, ndrives;
    void *tlb[DOPPEL_MAX_CPUS];
    struct checkpoint_drive drive[DOPPEL_MAX_DRIVES + DRIVES_DEFAULT];
};

static bool share(struct ram *to, struct ram *from)
{
    if (!ram_init(to, from->npages * PAGE_SIZE)) {
        return false;
    }
    ram_fork(to, from);
    return true;
}

/* --- Taking --- */

static bool take_memory(struct doppel_vm *vm, struct checkpoint *cp)
{
    cp->have_ram = share(&cp->ram, &vm->ram);
    cp->have_rom = cp->have_ram && share(&cp->rom, &vm->rom);
    bool ok = cp->have_rom;
    for (unsigned i = 0; ok && i < vm->nmemory; i++) {
        ok = share(&cp->memory[i], &vm->memory[i]->ram);
        cp->nmemory += ok;
    }
    return ok;
}

static bool take_tlbs(struct doppel_vm *vm, struct checkpoint *cp)
{
    for (unsigned i = 0; i < vm->ncpus; i++) {
        cp->tlb[i] = malloc(tlb_image_bytes());
        if (!cp->tlb[i]) {
            return false;
        }
        cp->ncpus = i + 1;
        tlb_image_take(&vm->cpu[i]->tlb, cp->tlb[i]);
    }
    return true;
}

static bool take_drives(struct doppel_vm *vm, struct checkpoint *cp)
{
    for (unsigned i = 0; i < vm->drives->n; i++) {
        struct vm_drive *v = vm->drives->list[i];
        struct blk_journal *j = blk_journal_of(drive_medium(v));
        struct checkpoint_drive *d = &cp->drive[i];
        *d = (struct checkpoint_drive){
            .medium = drive_medium(v), .tray_open = v->tray != NULL, .transfers = v->d.transfers};
        cp->ndrives = i + 1;
        if (j) {
            d->mark = blk_journal_mark(j);
            if (!d->mark) {
                return false;
            }
        }
    }
    return true;
}

bool checkpoint_possible(const struct doppel_vm *vm)
{
    return !vm->request && !vm->running;
}

struct checkpoint *checkpoint_take(struct doppel_vm *vm)
{
    assert(checkpoint_possible(vm));
    struct checkpoint *cp = calloc(1, sizeof *cp);
    if (!cp) {
        return NULL;
    }
    for (unsigned i = 0; i < vm->ncpus; i++) {
        cpu_sync(vm->cpu[i]);
    }
    cp->clock = vm->clock.s;
    cp->machine = vm->s;
    cp->order = vm->gate.order;
    dev_save_all(&vm->env, &cp->devices);
    if (!take_memory(vm, cp) || !take_tlbs(vm, cp) || !take_drives(vm, cp)) {
        checkpoint_free(vm, cp);
        return NULL;
    }
    return cp;
}

void checkpoint_free(struct doppel_vm *vm, struct checkpoint *cp)
{
    if (!cp) {
        return;
    }
    for (unsigned i = 0; i < cp->ndrives; i++) {
        struct blk *b = drive_medium(vm->drives->list[i]);
        if (cp->drive[i].mark && b == cp->drive[i].medium) {
            blk_journal_forget(blk_journal_of(b), cp->drive[i].mark);
        }
    }
    for (unsigned i = 0; i < cp->ncpus; i++) {
        free(cp->tlb[i]);
    }
    for (unsigned i = 0; i < cp->nmemory; i++) {
        ram_fini(&cp->memory[i]);
    }
    if (cp->have_rom) {
        ram_fini(&cp->rom);
    }
    if (cp->have_ram) {
        ram_fini(&cp->ram);
    }
    st_buf_free(&cp->devices);
    free(cp);
}

/* --- Coming back --- */

bool checkpoint_same_media(const struct doppel_vm *vm, const struct checkpoint *cp, struct err *e)
{
    for (unsigned i = 0; i < cp->ndrives; i++) {
        const struct vm_drive *v = vm->drives->list[i];
        if (drive_medium(v) != cp->drive[i].medium) {
            return err_set(e, "%s: its medium has been changed since", v->d.name);
        }
    }
    return true;
}

static bool enter_drives(struct doppel_vm *vm, const struct checkpoint *cp, bool present,
                         struct err *e)
{
    for (unsigned i = 0; i < cp->ndrives; i++) {
        struct vm_drive *v = vm->drives->list[i];
        struct blk_journal *j = blk_journal_of(drive_medium(v));
        if (j && present) {
            blk_journal_leave(j);
        } else if (j && !blk_journal_enter(j, cp->drive[i].mark)) {
            return err_set(e, "%s: no host memory for its disk as of then", v->d.name);
        }
        drive_guest_eject(&v->d, cp->drive[i].tray_open);
        v->d.transfers = cp->drive[i].transfers;
    }
    return true;
}

static void enter_memory(struct doppel_vm *vm, const struct checkpoint *cp)
{
    struct checkpoint *from = (struct checkpoint *)cp; /* its reference counts change */
    ram_become(&vm->ram, &from->ram);
    ram_become(&vm->rom, &from->rom);
    for (unsigned i = 0; i < cp->nmemory; i++) {
        ram_become(&vm->memory[i]->ram, &from->memory[i]);
    }
}

static bool put_state(struct doppel_vm *vm, const struct checkpoint *cp, struct err *e)
{
    struct st_src devices = {cp->devices.data, cp->devices.len, 0};
    debug_mute(vm, true);
    enter_memory(vm, cp);
    vm->s = cp->machine;
    vm->clock.s = cp->clock;
    vm->gate.order = cp->order;
    vm->request = 0;
    vm->idle_skips = 0;
    bool ok = dev_load_all(&vm->env, &devices, e);
    debug_mute(vm, false);
    if (!ok) {
        return false; /* not for bytes that dev_save_all gave */
    }
    screen_forget(vm->screen);
    for (unsigned i = 0; i < cp->ncpus; i++) {
        tlb_image_put(&vm->cpu[i]->tlb, cp->tlb[i]);
    }
    return true;
}

static bool put_back(struct doppel_vm *vm, const struct checkpoint *cp, bool present, struct err *e)
{
    return checkpoint_same_media(vm, cp, e) && enter_drives(vm, cp, present, e) &&
           put_state(vm, cp, e);
}

bool checkpoint_put(struct doppel_vm *twin, const struct checkpoint *cp, struct err *e)
{
    for (unsigned i = 0; i < cp->ndrives; i++) {
        struct drive *d = &twin->drives->list[i]->d;
        drive_guest_eject(d, cp->drive[i].tray_open);
        d->transfers = cp->drive[i].transfers;
    }
    return put_state(twin, cp, e);
}

bool checkpoint_enter(struct doppel_vm *vm, const struct checkpoint *cp, struct err *e)
{
    return put_back(vm, cp, false, e);
}

bool checkpoint_return(struct doppel_vm *vm, const struct checkpoint *cp, struct err *e)
{
    return put_back(vm, cp, true, e);
}

/* --- Questions --- */

uint64_t checkpoint_icount(const struct checkpoint *cp)
{
    return cp->clock.icount;
}

uint64_t checkpoint_mark(const struct checkpoint *cp, unsigned i)
{
    return cp->drive[i].mark;
}

vtime checkpoint_now(const struct checkpoint *cp)
{
    return cp->clock.now;
}

uint64_t checkpoint_differ(const struct doppel_vm *vm, const struct checkpoint *a,
                           const struct checkpoint *b)
{
    uint64_t n = ram_differ(&a->ram, b ? &b->ram : &vm->ram);
    for (unsigned i = 0; i < a->nmemory; i++) {
        n += ram_differ(&a->memory[i], b ? &b->memory[i] : &vm->memory[i]->ram);
    }
    return n;
}

bool checkpoint_untouched(struct doppel_vm *vm, const struct checkpoint *a,
                          const struct checkpoint *b, gpa page)
{
    /* Below 1 MiB the chipset changes what an address leads to. */
    struct aspace_hit hit = aspace_find(&vm->mem, page);
    if (hit.ram != &vm->ram || (page >= 0xa0000 && page < 0x100000)) {
        return false;
    }
    /* Whoever writes to a page that a checkpoint shares gets another one. */
    return a->ram.page[hit.pfn] == b->ram.page[hit.pfn];
}

uint64_t checkpoint_bytes(const struct checkpoint *cp)
{
    return sizeof *cp + cp->devices.cap + cp->ncpus * tlb_image_bytes() +
           (cp->ram.npages + cp->rom.npages) * 16;
}
