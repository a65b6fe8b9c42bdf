// The fw_cfg device: selector and data ports, DMA, the directory, hostile descriptors, live files.

#include <string.h>

#include "hw/firmware/fw_cfg.h"
#include "hw/hw.h"
#include "tests/lib/rig.h"
#include "util/bits.h"

#define RAM_SIZE 0x10000u
#define DESC     0x100u

enum { ERROR = 1, READ = 2, SKIPPED = 4, SELECT = 8, WRITE = 16 };

struct fwrig {
    struct rig r;
    struct ram ram;
    struct dev *f;
    unsigned samples;
    uint32_t pretend;
};

static void sample(void *ctx, uint32_t param[FW_CFG_PARAMS])
{
    struct fwrig *x = ctx;
    x->samples++;
    param[0] = x->pretend;
}

static void build(void *ctx, const uint32_t param[FW_CFG_PARAMS])
{
    struct fwrig *x = ctx;
    uint8_t b[4];
    le32_put(b, param[0]);
    fw_cfg_replace(x->f, "etc/live", b, sizeof b);
}

static const struct fw_cfg_live live = {sample, build};

static void setup(struct fwrig *x)
{
    struct err e;
    memset(x, 0, sizeof *x);
    rig_init(&x->r);
    EXPECT(ram_init(&x->ram, RAM_SIZE));
    aspace_map_ram(&x->r.mem, 0, RAM_SIZE, &x->ram, 0, false, "ram", 0);
    x->f = rig_add(&x->r, &fw_cfg_class, "fwcfg", "");
    fw_cfg_add_num(x->f, FW_CFG_NB_CPUS, 2, 3);
    EXPECT(fw_cfg_add_file(x->f, "etc/abc", "abcdefgh", 8, &e));
    EXPECT(fw_cfg_add_file(x->f, "etc/live", "\0\0\0\0", 4, &e));
    fw_cfg_mark_live(x->f, "etc/live");
    fw_cfg_set_live(x->f, &live, x);
    rig_reset(&x->r, RESET_COLD);
}

static void teardown(struct fwrig *x)
{
    rig_fini(&x->r);
    ram_fini(&x->ram);
}

static void read_bytes(struct fwrig *x, uint16_t key, void *buf, unsigned n)
{
    uint8_t *p = buf;
    rig_outw(&x->r, 0x510, key);
    for (unsigned i = 0; i < n; i++) {
        p[i] = rig_inb(&x->r, 0x511);
    }
}

// A DMA operation; the control word that the device leaves.
static uint32_t dma(struct fwrig *x, uint32_t control, uint32_t len, uint64_t addr)
{
    uint8_t d[16];
    be32_put(d, control);
    be32_put(d + 4, len);
    be64_put(d + 8, addr);
    aspace_write_buf(&x->r.mem, DESC, d, sizeof d);
    uint8_t b[4];
    be32_put(b, DESC);
    rig_outl(&x->r, 0x514, 0);
    rig_outl(&x->r, 0x518, le32_get(b));
    aspace_read_buf(&x->r.mem, DESC, d, sizeof d);
    return be32_get(d);
}

TEST(fw_cfg_ports)
{
    struct fwrig x;
    uint8_t b[12];
    setup(&x);
    EXPECT_EQ(rig_inb(&x.r, 0x511), 0); // nothing selected
    read_bytes(&x, FW_CFG_SIGNATURE, b, 4);
    EXPECT_MEM(b, "QEMU", 4);
    read_bytes(&x, FW_CFG_ID, b, 4);
    EXPECT_EQ(le32_get(b), 3);
    read_bytes(&x, FW_CFG_NB_CPUS, b, 4);
    EXPECT_MEM(b, "\3\0\0\0", 4); // zeros behind the end
    read_bytes(&x, FW_CFG_FILE_FIRST, b, 10);
    EXPECT_MEM(b, "abcdefgh\0\0", 10);
    rig_outw(&x.r, 0x510, FW_CFG_FILE_FIRST);
    EXPECT_EQ(rig_inb(&x.r, 0x510), 'a'); // both ports give data
    EXPECT_EQ(rig_inb(&x.r, 0x511), 'b');
    rig_outb(&x.r, 0x511, 0x55); // lost
    EXPECT_EQ(rig_inb(&x.r, 0x511), 'c');
    read_bytes(&x, 0x3fff, b, 2); // no such item
    EXPECT_MEM(b, "\0\0", 2);
    teardown(&x);
}

TEST(fw_cfg_directory)
{
    struct fwrig x;
    uint8_t b[4 + 2 * 64];
    setup(&x);
    read_bytes(&x, FW_CFG_FILE_DIR, b, sizeof b);
    EXPECT_EQ(be32_get(b), 2);
    EXPECT_EQ(be32_get(b + 4), 8);
    EXPECT_EQ(be16_get(b + 8), FW_CFG_FILE_FIRST);
    EXPECT_STR((char *)b + 12, "etc/abc");
    EXPECT_EQ(be16_get(b + 64 + 8), FW_CFG_FILE_FIRST + 1);
    EXPECT_STR((char *)b + 64 + 12, "etc/live");
    struct err e;
    EXPECT(!fw_cfg_add_file(x.f, "etc/abc", "", 0, &e));
    EXPECT(!fw_cfg_add_file(x.f, "", "", 0, &e));
    EXPECT(!fw_cfg_add_file(x.f, "a-name-of-fifty-six-characters-is-too-long-by-just-one-.", "", 0,
                            &e));
    teardown(&x);
}

TEST(fw_cfg_dma)
{
    struct fwrig x;
    uint8_t b[12];
    setup(&x);
    EXPECT_EQ(rig_inl(&x.r, 0x514), 0x554d4551); // "QEMU", then " CFG"
    EXPECT_EQ(rig_inl(&x.r, 0x518), 0x47464320);
    memset(b, 0xee, sizeof b);
    aspace_write_buf(&x.r.mem, 0x1000, b, sizeof b);
    EXPECT_EQ(dma(&x, FW_CFG_FILE_FIRST << 16 | SELECT | READ, 3, 0x1000), 0);
    EXPECT_EQ(dma(&x, SKIPPED, 2, 0), 0);
    EXPECT_EQ(dma(&x, READ, 8, 0x1003), 0); // three bytes are left, then zeros
    aspace_read_buf(&x.r.mem, 0x1000, b, sizeof b);
    EXPECT_MEM(b, "abcfgh\0\0\0\0\0\xee", 12);
    EXPECT_EQ(dma(&x, FW_CFG_FILE_FIRST << 16 | SELECT, 0, 0), 0); // select alone
    EXPECT_EQ(rig_inb(&x.r, 0x511), 'a');
    EXPECT_EQ(dma(&x, WRITE, 1, 0x1000), ERROR);
    EXPECT_EQ(dma(&x, 0, 5, 0x1000), 0);
    EXPECT_EQ(rig_inb(&x.r, 0x511), 'b');
    teardown(&x);
}

TEST(fw_cfg_dma_hostile)
{
    struct fwrig x;
    uint8_t b[4];
    setup(&x);
    // Beyond RAM, at the end of the address space, wrapping, as long as can be, over itself.
    EXPECT_EQ(dma(&x, FW_CFG_FILE_FIRST << 16 | SELECT | READ, 8, RAM_SIZE - 4), 0);
    aspace_read_buf(&x.r.mem, RAM_SIZE - 4, b, 4);
    EXPECT_MEM(b, "abcd", 4);
    EXPECT_EQ(dma(&x, READ, 16, UINT64_MAX - 7), ERROR);
    EXPECT_EQ(dma(&x, FW_CFG_FILE_FIRST << 16 | SELECT | READ, UINT32_MAX, x.r.mem.size - 4), 0);
    EXPECT_EQ(dma(&x, FW_CFG_FILE_FIRST << 16 | SELECT | READ, UINT32_MAX, 0x8000), 0);
    EXPECT_EQ(dma(&x, SKIPPED, UINT32_MAX, 0), 0);
    EXPECT_EQ(dma(&x, SKIPPED, UINT32_MAX, 0), 0);
    EXPECT_EQ(rig_inb(&x.r, 0x511), 0);
    EXPECT_EQ(dma(&x, FW_CFG_FILE_FIRST << 16 | SELECT | READ, 16, DESC), 0);
    // A descriptor where there is no memory reads as all ones: a write among other things.
    rig_outl(&x.r, 0x514, 0xffffffff);
    rig_outl(&x.r, 0x518, 0xffffffff);
    rig_outb(&x.r, 0x518, 0); // odd sizes start nothing
    rig_outw(&x.r, 0x518, 0);
    teardown(&x);
}

TEST(fw_cfg_live)
{
    struct fwrig x;
    uint8_t b[4];
    setup(&x);
    x.pretend = 0x1234;
    read_bytes(&x, FW_CFG_FILE_FIRST, b, 1);
    EXPECT_EQ(x.samples, 0);
    read_bytes(&x, FW_CFG_FILE_FIRST + 1, b, 4);
    EXPECT_EQ(le32_get(b), 0x1234);
    x.pretend = 0x9999; // from here on it stays, over a load too
    fw_cfg_replace(x.f, "etc/live", "\0\0\0\0", 4);
    rig_reload(&x.r);
    read_bytes(&x, FW_CFG_FILE_FIRST + 1, b, 4);
    EXPECT_EQ(le32_get(b), 0x1234);
    EXPECT_EQ(x.samples, 1);
    rig_reset(&x.r, RESET_WARM);
    read_bytes(&x, FW_CFG_FILE_FIRST + 1, b, 4);
    EXPECT_EQ(le32_get(b), 0x9999);
    teardown(&x);
}
