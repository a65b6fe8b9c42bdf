/*
 * The fw_cfg device of QEMU, as its specification describes it, at ports 0x510 (selector, 16 bits,
 * written), 0x511 (data, read byte by byte) and 0x514 (address of a DMA descriptor, big-endian,
 * upper half first; writing the lower half starts it).
 *
 * A select sets the offset to 0. Reading past an item's end, or an item that is not there, gives
 * zeros. Nothing can be written through it: a DMA write fails, and data written to the port is
 * lost.
 *
 * What always holds: items are not state, they follow from the machine's options; but for live
 * files, which follow from the parameters in the state.
 *
 * The descriptor is the guest's and hostile: a transfer goes through the address space, in pieces,
 * so any address and length is served without more host memory than one piece.
 *
 * Source: QEMU, docs/specs/fw_cfg.
 */
#include "hw/firmware/fw_cfg.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "hw/hw.h"
#include "mmu/aspace.h"
#include "util/bits.h"

enum {
    KEY_WRITE = 0x4000,
    KEY_NONE = 0xffff,
    FIXED_ITEMS = 32,
    MAX_ITEMS = FIXED_ITEMS + FW_CFG_FILES,
    DIR_ENTRY = 64, /* size, key, reserved, name */

    DMA_ERROR = 1 << 0,
    DMA_READ = 1 << 1,
    DMA_SKIP = 1 << 2,
    DMA_SELECT = 1 << 3,
    DMA_WRITE = 1 << 4,
    DESCRIPTOR = 16, /* control, length, address */
    PIECE = 4096,
};

#define FW_CFG_STATE(S, V, A, N)                                                                   \
    V(S, uint16_t, key, 1)                                                                         \
    V(S, uint32_t, off, 1)                                                                         \
    V(S, uint32_t, dma_high, 1) /* of the descriptor's address */                                  \
    V(S, bool, sampled, 1)      /* live files are as `param` says */                               \
    A(S, uint32_t, param, FW_CFG_PARAMS, 1)

ST_DECLARE(fw_cfg_state, FW_CFG_STATE);
ST_DESCRIBE(fw_cfg_state, FW_CFG_STATE, 1);

struct item {
    unsigned key;
    uint8_t *data; /* ours */
    uint32_t len;
    bool live;
    char name[FW_CFG_NAME_MAX]; /* of a file */
};

struct fw_cfg {
    struct dev dev;
    struct fw_cfg_state s;
    struct item item[MAX_ITEMS];
    unsigned nitems, nfiles;
    uint8_t dir[4 + FW_CFG_FILES * DIR_ENTRY];
    const struct fw_cfg_live *live;
    void *live_ctx;
    uint32_t iobase, dma;
};

/* --- Items --- */

static struct item *find_key(struct fw_cfg *f, unsigned key)
{
    for (unsigned i = 0; i < f->nitems; i++) {
        if (f->item[i].key == key) {
            return &f->item[i];
        }
    }
    return NULL;
}

static struct item *find_name(struct fw_cfg *f, const char *name)
{
    for (unsigned i = 0; i < f->nitems; i++) {
        if (f->item[i].name[0] && strcmp(f->item[i].name, name) == 0) {
            return &f->item[i];
        }
    }
    return NULL;
}

static struct item *add(struct fw_cfg *f, unsigned key, const void *data, size_t len)
{
    assert(f->nitems < MAX_ITEMS && !find_key(f, key) && len <= UINT32_MAX);
    struct item *it = &f->item[f->nitems++];
    it->key = key;
    it->len = (uint32_t)len;
    it->data = malloc(len ? len : 1);
    if (!it->data) {
        abort();
    }
    if (len) {
        memcpy(it->data, data, len);
    }
    return it;
}

void fw_cfg_add(struct dev *d, unsigned key, const void *data, size_t len)
{
    add((struct fw_cfg *)d, key, data, len);
}

void fw_cfg_add_num(struct dev *d, unsigned key, unsigned size, uint64_t val)
{
    uint8_t bytes[8];
    le_put(bytes, size, val);
    add((struct fw_cfg *)d, key, bytes, size);
}

/* The directory: a count, then an entry for each file; big-endian. */
static void list_file(struct fw_cfg *f, const struct item *it)
{
    uint8_t *p = f->dir + 4 + DIR_ENTRY * f->nfiles++;
    be32_put(p, it->len);
    be16_put(p + 4, (uint16_t)it->key);
    memcpy(p + 8, it->name, sizeof it->name);
    be32_put(f->dir, f->nfiles);
}

bool fw_cfg_add_file(struct dev *d, const char *name, const void *data, size_t len, struct err *e)
{
    struct fw_cfg *f = (struct fw_cfg *)d;
    if (!*name || strlen(name) >= FW_CFG_NAME_MAX) {
        return err_set(e, "fw_cfg file \"%s\": want a name of 1 to %u characters", name,
                       FW_CFG_NAME_MAX - 1);
    }
    if (find_name(f, name) || f->nfiles == FW_CFG_FILES) {
        return err_set(e, "fw_cfg file \"%s\": %s", name,
                       f->nfiles == FW_CFG_FILES ? "too many files" : "there is one already");
    }
    struct item *it = add(f, FW_CFG_FILE_FIRST + f->nfiles, data, len);
    memcpy(it->name, name, strlen(name));
    list_file(f, it);
    return true;
}

bool fw_cfg_has_file(struct dev *d, const char *name)
{
    return find_name((struct fw_cfg *)d, name) != NULL;
}

void fw_cfg_set_live(struct dev *d, const struct fw_cfg_live *ops, void *ctx)
{
    struct fw_cfg *f = (struct fw_cfg *)d;
    f->live = ops;
    f->live_ctx = ctx;
}

void fw_cfg_mark_live(struct dev *d, const char *name)
{
    struct item *it = find_name((struct fw_cfg *)d, name);
    assert(it);
    it->live = true;
}

void fw_cfg_replace(struct dev *d, const char *name, const void *data, size_t len)
{
    struct item *it = find_name((struct fw_cfg *)d, name);
    assert(it && it->live && it->len == len);
    memcpy(it->data, data, len);
}

/* The selected item's bytes; *len 0 if it is not there. */
static const uint8_t *selected(struct fw_cfg *f, uint32_t *len)
{
    if (f->s.key == FW_CFG_FILE_DIR) {
        *len = 4 + DIR_ENTRY * f->nfiles;
        return f->dir;
    }
    const struct item *it = find_key(f, f->s.key);
    *len = it ? it->len : 0;
    return it ? it->data : NULL;
}

/* --- The register core --- */

static void select_item(struct fw_cfg *f, unsigned key)
{
    const struct item *it = find_key(f, key & ~(unsigned)KEY_WRITE);
    f->s.key = (uint16_t)(key & ~(unsigned)KEY_WRITE);
    f->s.off = 0;
    if (it && it->live && !f->s.sampled && f->live) {
        f->live->sample(f->live_ctx, f->s.param);
        f->s.sampled = true;
        f->live->build(f->live_ctx, f->s.param);
    }
}

static uint8_t read_byte(struct fw_cfg *f)
{
    uint32_t len;
    const uint8_t *data = selected(f, &len);
    return f->s.off < len ? data[f->s.off++] : 0;
}

/* Put `n` bytes from the item into memory, zeros behind its end. */
static void dma_read(struct fw_cfg *f, uint64_t addr, uint32_t n)
{
    static const uint8_t zeros[PIECE];
    struct aspace *mem = f->dev.env->mem;
    uint32_t len;
    const uint8_t *data = selected(f, &len);
    uint32_t have = f->s.off < len ? len - f->s.off : 0;
    if (have > n) {
        have = n;
    }
    if (have) {
        aspace_write_buf(mem, addr, data + f->s.off, have);
    }
    f->s.off += have;
    for (uint32_t done = have; done < n && addr + done < mem->size;) {
        uint32_t piece = n - done < PIECE ? n - done : PIECE;
        aspace_write_buf(mem, addr + done, zeros, piece);
        done += piece;
    }
}

static void dma_skip(struct fw_cfg *f, uint32_t n)
{
    uint32_t len;
    selected(f, &len);
    uint32_t left = f->s.off < len ? len - f->s.off : 0;
    f->s.off += n < left ? n : left;
}

static void dma(struct fw_cfg *f, uint64_t at)
{
    struct aspace *mem = f->dev.env->mem;
    uint8_t b[DESCRIPTOR];
    aspace_read_buf(mem, at, b, sizeof b);
    uint32_t control = be32_get(b), len = be32_get(b + 4), result = 0;
    uint64_t addr = be64_get(b + 8);
    if (control & DMA_SELECT) {
        select_item(f, control >> 16);
    }
    if (addr >= mem->size || at >= mem->size) {
        result = (control & (DMA_READ | DMA_WRITE)) ? DMA_ERROR : 0;
    } else if (control & DMA_READ) {
        dma_read(f, addr, len);
    } else if (control & DMA_WRITE) {
        result = DMA_ERROR; /* no item takes any */
    } else if (control & DMA_SKIP) {
        dma_skip(f, len);
    }
    be32_put(b, result);
    aspace_write_buf(mem, at, b, 4);
}

/* --- Bus glue --- */

/* 8-bit reads of either port give data; only 16-bit writes of the first one select. */
static uint64_t port_read(struct dev *d, uint64_t off, unsigned size)
{
    (void)off;
    return size == 1 ? read_byte((struct fw_cfg *)d) : 0xffff;
}

static void port_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    if (off == 0 && size == 2) {
        select_item((struct fw_cfg *)d, (unsigned)val & 0xffff);
    }
}

static uint64_t dma_reg_read(struct dev *d, uint64_t off, unsigned size)
{
    static const char signature[8] = {'Q', 'E', 'M', 'U', ' ', 'C', 'F', 'G'};
    uint64_t v = 0;
    (void)d;
    for (unsigned i = 0; i < size; i++) {
        v |= (uint64_t)(uint8_t)signature[(off + i) & 7] << (8 * i);
    }
    return v;
}

static void dma_reg_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
    struct fw_cfg *f = (struct fw_cfg *)d;
    uint8_t b[4];
    if (size != 4) {
        return;
    }
    le32_put(b, (uint32_t)val);
    if (off == 0) {
        f->s.dma_high = be32_get(b);
    } else {
        uint64_t at = (uint64_t)f->s.dma_high << 32 | be32_get(b);
        f->s.dma_high = 0;
        dma(f, at);
    }
}

static const struct io_ops port_ops = {port_read, port_write, 1, 2};
static const struct io_ops dma_ops = {dma_reg_read, dma_reg_write, 1, 4};

static bool fw_cfg_init(struct dev *d, struct err *e)
{
    struct fw_cfg *f = (struct fw_cfg *)d;
    (void)e;
    fw_cfg_add(d, FW_CFG_SIGNATURE, "QEMU", 4);
    fw_cfg_add_num(d, FW_CFG_ID, 4, 3); /* ports, DMA */
    aspace_map_io(d->env->io, f->iobase, 2, &port_ops, d, d->name, 0);
    aspace_map_io(d->env->io, f->dma, 8, &dma_ops, d, d->name, 0);
    return true;
}

static void fw_cfg_reset(struct dev *d, enum reset_kind kind)
{
    struct fw_cfg *f = (struct fw_cfg *)d;
    (void)kind;
    f->s = (struct fw_cfg_state){.key = KEY_NONE};
}

static void fw_cfg_restored(struct dev *d)
{
    struct fw_cfg *f = (struct fw_cfg *)d;
    if (f->s.sampled && f->live) {
        f->live->build(f->live_ctx, f->s.param);
    }
}

static void fw_cfg_fini(struct dev *d)
{
    struct fw_cfg *f = (struct fw_cfg *)d;
    while (f->nitems) {
        free(f->item[--f->nitems].data);
    }
}

static const struct prop fw_cfg_props[] = {
    {"iobase", PROP_U32, offsetof(struct fw_cfg, iobase), "0x510", 0, 0xfffe, "selector and data"},
    {"dma", PROP_U32, offsetof(struct fw_cfg, dma), "0x514", 0, 0xfff8, "address of a descriptor"},
    {0},
};

const struct dev_class fw_cfg_class = {
    .name = "fw_cfg",
    .help = "firmware configuration",
    .size = sizeof(struct fw_cfg),
    .state_off = offsetof(struct fw_cfg, s),
    .state = &fw_cfg_state_desc,
    .props = fw_cfg_props,
    .init = fw_cfg_init,
    .reset = fw_cfg_reset,
    .restored = fw_cfg_restored,
    .fini = fw_cfg_fini,
};
