// The bench of the IDE tests.

#include "tests/dev/ide_bench.h"

#include <stdlib.h>
#include <string.h>

#include "hw/hw.h"
#include "util/bits.h"

static bool mem_read(struct blk *b, uint64_t off, void *buf, size_t len)
{
    struct mem_blk *m = (struct mem_blk *)b;
    memcpy(buf, m->data + off, len);
    return !m->fail_read && !(m->bad >= off && m->bad < off + len);
}

static bool mem_write(struct blk *b, uint64_t off, const void *buf, size_t len)
{
    struct mem_blk *m = (struct mem_blk *)b;
    m->writes++;
    if (!m->fail_write) {
        memcpy(m->data + off, buf, len);
    }
    return !m->fail_write;
}

static bool mem_flush(struct blk *b)
{
    struct mem_blk *m = (struct mem_blk *)b;
    m->flushes++;
    m->writes_flushed = m->writes;
    return !m->fail_flush;
}

void bench_pattern(uint8_t *sector, uint32_t lba)
{
    for (unsigned i = 0; i < 512; i++) {
        sector[i] = (uint8_t)(lba + i);
    }
    le32_put(sector, lba);
}

void mem_blk_init(struct mem_blk *m, uint64_t sectors)
{
    *m = (struct mem_blk){
        .blk = {.bytes = sectors * 512, .read = mem_read, .write = mem_write, .flush = mem_flush},
        .bad = UINT64_MAX};
    m->data = malloc(sectors * 512);
    for (uint64_t i = 0; i < sectors; i++) {
        bench_pattern(m->data + i * 512, (uint32_t)i);
    }
}

void mem_blk_fini(struct mem_blk *m)
{
    free(m->data);
}

static void add_drive(struct bench *b, unsigned n, int64_t sectors, struct dev *d)
{
    struct err e = {""};
    char prop[8] = "drive0";
    static const char *const names[] = {"ide0-hd0", "ide0-hd1", "ide1-hd0", "ide1-hd1"};
    prop[5] = (char)('0' + n);
    struct drive *drive = &b->drive[n];
    memcpy(drive->name, names[n], 9);
    drive->kind = sectors < 0 ? DRIVE_CDROM : DRIVE_HD;
    if (sectors != -1) {
        mem_blk_init(&b->blk[n], (uint64_t)(sectors < 0 ? -sectors : sectors));
        drive->blk = &b->blk[n].blk;
    }
    if (!EXPECT(dev_set_backend(d, prop, PROP_DRIVE, drive, &e))) {
        FAIL("%s", e.msg);
    }
}

void bench_init(struct bench *b, const struct dev_class *cls, const int64_t sectors[4],
                const char *props)
{
    struct err e = {""};
    bool pci = cls == &piix3_ide_class;
    memset(b, 0, sizeof *b);
    rig_init(&b->r);
    EXPECT(ram_init(&b->ram, BENCH_RAM));
    aspace_map_ram(&b->r.mem, 0, BENCH_RAM, &b->ram, 0, false, "ram", 0);
    rig_add(&b->r, &i440fx_class, "pci0", "");
    b->p = (struct probe *)rig_add(&b->r, &probe_class, "p", "");
    b->dev = dev_new(&b->r.env, cls, "ide", &e);
    for (unsigned n = 0; n < (pci ? 4u : 2u); n++) {
        if (sectors[n]) {
            add_drive(b, n, sectors[n], b->dev);
        }
    }
    char copy[128] = "";
    strncat(copy, props, sizeof copy - 1);
    for (char *item = strtok(copy, ","); item; item = strtok(NULL, ",")) {
        char *eq = strchr(item, '=');
        *eq = '\0';
        EXPECT(dev_set(b->dev, item, eq + 1, &e));
    }
    if (!EXPECT(dev_init(b->dev, &e))) {
        FAIL("%s", e.msg);
    }
    rig_wire(&b->r, pci ? "ide.irq14" : "ide.irq", "p.in0");
    if (pci) {
        rig_wire(&b->r, "ide.irq15", "p.in1");
    }
    rig_reset(&b->r, RESET_COLD);
    rig_run(&b->r, VTIME_MS);
    b->base = 0x1f0;
    b->control = 0x3f6;
}

void bench_fini(struct bench *b)
{
    rig_fini(&b->r);
    ram_fini(&b->ram);
    for (unsigned n = 0; n < 4; n++) {
        mem_blk_fini(&b->blk[n]);
    }
}

uint8_t bench_status(struct bench *b)
{
    return rig_inb(&b->r, b->control);
}

uint8_t bench_wait(struct bench *b)
{
    for (unsigned i = 0; i < 1000000 && (bench_status(b) & IDE_ST_BSY); i++) {
        rig_run(&b->r, 1000);
    }
    return bench_get(b, IDE_STATUS);
}

void bench_set(struct bench *b, unsigned reg, uint8_t val)
{
    rig_outb(&b->r, (uint16_t)(b->base + reg), val);
}

uint8_t bench_get(struct bench *b, unsigned reg)
{
    return rig_inb(&b->r, (uint16_t)(b->base + reg));
}

void bench_cmd(struct bench *b, unsigned unit, uint8_t cmd, uint32_t lba, uint8_t count)
{
    bench_set(b, IDE_DEVICE, (uint8_t)(0xe0 | unit << 4 | (lba >> 24 & 15)));
    bench_set(b, IDE_NSECT, count);
    bench_set(b, IDE_LBAL, (uint8_t)lba);
    bench_set(b, IDE_LBAM, (uint8_t)(lba >> 8));
    bench_set(b, IDE_LBAH, (uint8_t)(lba >> 16));
    bench_set(b, IDE_COMMAND, cmd);
}

void bench_ext(struct bench *b, unsigned unit, uint8_t cmd, uint64_t lba, uint16_t count)
{
    bench_set(b, IDE_NSECT, (uint8_t)(count >> 8));
    bench_set(b, IDE_LBAL, (uint8_t)(lba >> 24));
    bench_set(b, IDE_LBAM, (uint8_t)(lba >> 32));
    bench_set(b, IDE_LBAH, (uint8_t)(lba >> 40));
    bench_cmd(b, unit, cmd, (uint32_t)lba & 0xffffff, (uint8_t)count);
}

void bench_read(struct bench *b, void *buf, unsigned len)
{
    for (unsigned i = 0; i < len; i += 2) {
        le16_put((uint8_t *)buf + i, rig_inw(&b->r, b->base));
    }
}

void bench_write(struct bench *b, const void *buf, unsigned len)
{
    for (unsigned i = 0; i < len; i += 2) {
        rig_outw(&b->r, b->base, le16_get((const uint8_t *)buf + i));
    }
}
