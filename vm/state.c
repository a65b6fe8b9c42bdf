/*
 * Save, load and digest of a whole machine.
 *
 * Stream: 8 bytes of magic, a 32-bit version, then sections of core/state.h: "machine" (its own
 * state), "clock", the devices (vCPUs among them), RAM, ROM; a 64-bit digest of all before it ends
 * the stream, so that a damaged file is refused as a whole. docs/state.md describes it.
 *
 * Stale TLB entries are visible to a guest, so a save flushes the TLBs of the running machine too,
 * through the gate: the run that saved and the run that was restored stay the same.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/block.h"
#include "util/bits.h"
#include "vm/boot.h"
#include "vm/drives.h"
#include "vm/screen.h"
#include "vm/vm.h"

#define STATE_VERSION 1u
#define STATE_MAX     (UINT64_C(1) << 41) /* bytes of a file */

static const char magic[8] = {'d', 'o', 'p', 'p', 'e', 'l', 's', 't'};

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

static void sync_cpus(struct doppel_vm *vm)
{
    for (unsigned i = 0; i < vm->ncpus; i++) {
        cpu_sync(vm->cpu[i]);
    }
}

uint64_t doppel_digest(struct doppel_vm *vm)
{
    sync_cpus(vm);
    uint64_t h = st_digest(ST_DIGEST_INIT, &clock_state_desc, &vm->clock.s);
    h = st_digest(h, &vm_state_desc, &vm->s);
    h = drives_digest(vm, dev_digest_all(&vm->env, h));
    h = ram_digest(&vm->ram, h);
    h = ram_digest(&vm->rom, h);
    return vm_memory_digest(vm, h);
}

static void put64(struct st_buf *b, uint64_t v)
{
    uint8_t bytes[8];
    le64_put(bytes, v);
    st_buf_put(b, bytes, sizeof bytes);
}

bool doppel_save(struct doppel_vm *vm, uint8_t **data, size_t *len)
{
    vm_operate(vm, VM_OP_FLUSH_TLB);
    do {
        gate_deliver(&vm->gate, vm->clock.s.now);
    } while (vm->gate.pending);
    sync_cpus(vm);
    struct st_buf b = {0};
    struct vm_shape shape = shape_of(vm);
    uint8_t version[4];
    le32_put(version, STATE_VERSION);
    st_buf_put(&b, magic, sizeof magic);
    st_buf_put(&b, version, sizeof version);
    st_save(&b, "shape", &vm_shape_desc, &shape);
    st_save(&b, "machine", &vm_state_desc, &vm->s);
    st_save(&b, "clock", &clock_state_desc, &vm->clock.s);
    *data = NULL;
    *len = 0;
    if (!drives_save(vm, &b)) {
        free(b.data);
        return false;
    }
    dev_save_all(&vm->env, &b);
    ram_save(&vm->ram, &b);
    ram_save(&vm->rom, &b);
    vm_memory_save(vm, &b);
    put64(&b, st_digest_bytes(ST_DIGEST_INIT, b.data, b.len));
    *data = b.data;
    *len = b.len;
    return true;
}

static bool check_stream(struct st_src *src, struct err *e)
{
    enum { HEAD = sizeof magic + 4, TAIL = 8 };
    if (src->len < HEAD + TAIL || memcmp(src->data, magic, sizeof magic) != 0) {
        return err_set(e, "not a saved machine of doppel's");
    }
    uint32_t version = le32_get(src->data + sizeof magic);
    if (version != STATE_VERSION) {
        return err_set(e, "saved in format %" PRIu32 "; this doppel reads format %u", version,
                       STATE_VERSION);
    }
    size_t body = src->len - TAIL;
    if (st_digest_bytes(ST_DIGEST_INIT, src->data, body) != le64_get(src->data + body)) {
        return err_set(e, "damaged or cut short");
    }
    src->len = body;
    src->pos = HEAD;
    return true;
}

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

/* RAM is loaded into an empty map: what the boot put there goes away first. */
static bool load_ram(struct ram *ram, struct st_src *src, struct err *e)
{
    ram_drop_all(ram);
    return ram_load(ram, src, e);
}

static bool load(struct doppel_vm *vm, struct st_src *src, struct err *e)
{
    if (!check_stream(src, e) || !check_shape(vm, src, e) ||
        !st_load(src, "machine", &vm_state_desc, &vm->s, e) ||
        !st_load(src, "clock", &clock_state_desc, &vm->clock.s, e)) {
        return false;
    }
    if (vm->s.turn >= vm->ncpus || vm->s.quantum > VM_QUANTUM || vm->s.pauses >= vm->ncpus) {
        return err_set(e, "\"machine\": no such turn");
    }
    vm_flush_all(vm);
    screen_forget(vm->screen);
    if (!drives_load(vm, src, e) || !dev_load_all(&vm->env, src, e) ||
        !load_ram(&vm->ram, src, e) || !load_ram(&vm->rom, src, e) || !vm_memory_load(vm, src, e)) {
        return false;
    }
    if (src->pos != src->len) {
        return err_set(e, "%zu bytes too many", src->len - src->pos);
    }
    vm_flush_all(vm);
    return true;
}

bool doppel_load(struct doppel_vm *vm, const uint8_t *data, size_t len, struct doppel_error *out)
{
    struct st_src src = {data, len, 0};
    struct err e = {""};
    bool ok = load(vm, &src, &e);
    if (!ok && out) {
        snprintf(out->msg, sizeof out->msg, "%s", e.msg);
        out->usage = false;
    }
    return ok;
}

/* --- Files --- */

static bool fail(struct doppel_error *out, const char *path, const char *text)
{
    if (out) {
        snprintf(out->msg, sizeof out->msg, "%.100s: %.400s", path, text);
        out->usage = false;
    }
    return false;
}

/* Written beside the target and renamed, so that a full disk destroys nothing. */
bool doppel_save_file(struct doppel_vm *vm, const char *path, struct doppel_error *out)
{
    uint8_t *data;
    size_t len;
    char *tmp = malloc(strlen(path) + 5);
    if (!tmp) {
        abort();
    }
    sprintf(tmp, "%s.tmp", path);
    if (!doppel_save(vm, &data, &len)) {
        free(tmp);
        return fail(out, path, "what snapshot=on keeps cannot be read back; nothing was saved");
    }
    FILE *f = fopen(tmp, "wb");
    bool ok = f && fwrite(data, 1, len, f) == len;
    ok = (!f || fclose(f) == 0) && ok;
    ok = ok && rename(tmp, path) == 0;
    if (!ok) {
        fail(out, path, strerror(errno));
        if (f) {
            remove(tmp);
        }
    }
    free(tmp);
    free(data);
    return ok;
}

bool doppel_load_file(struct doppel_vm *vm, const char *path, struct doppel_error *out)
{
    struct image img;
    struct err e = {""};
    if (!image_read(&img, path, "saved machine", STATE_MAX, &e)) {
        if (out) {
            snprintf(out->msg, sizeof out->msg, "%s", e.msg);
            out->usage = false;
        }
        return false;
    }
    struct doppel_error why;
    bool ok = doppel_load(vm, img.data, img.len, &why);
    image_free(&img);
    return ok || fail(out, path, why.msg);
}
