// The flash chip: array, status and identification modes, programming, erasing, what the drive
// gets.

#include <string.h>

#include "core/backend_block.h"
#include "hw/hw.h"
#include "tests/lib/rig.h"

#define SIZE 0x8000u
#define BASE (UINT64_C(0x100000000) - SIZE)

struct flash {
    struct rig r;
    struct drive drive;
    struct blk blk;
    uint8_t disk[SIZE];
};

static struct flash f;

static bool disk_read(struct blk *b, uint64_t off, void *buf, size_t len)
{
    (void)b;
    memcpy(buf, f.disk + off, len);
    return true;
}

static bool disk_write(struct blk *b, uint64_t off, const void *buf, size_t len)
{
    (void)b;
    memcpy(f.disk + off, buf, len);
    return true;
}

static void setup(bool readonly)
{
    struct err e = {""};
    memset(&f, 0, sizeof f);
    for (unsigned i = 0; i < SIZE; i++) {
        f.disk[i] = (uint8_t)(i * 3 + i / 256);
    }
    f.blk = (struct blk){.bytes = SIZE, .read = disk_read, .write = disk_write};
    f.blk.readonly = readonly;
    f.drive = (struct drive){.kind = DRIVE_HD, .blk = &f.blk};
    rig_init(&f.r);
    struct dev *d = dev_new(&f.r.env, &pflash_class, "flash", &e);
    if (!EXPECT(dev_set_backend(d, "drive", PROP_DRIVE, &f.drive, &e) && dev_init(d, &e))) {
        FAIL("%s", e.msg);
    }
    rig_reset(&f.r, RESET_COLD);
}

static uint8_t rd(uint32_t off)
{
    return (uint8_t)aspace_read(&f.r.mem, BASE + off, 1);
}

static void wr(uint32_t off, uint8_t val)
{
    aspace_write(&f.r.mem, BASE + off, 1, val);
}

TEST(pflash_modes)
{
    setup(false);
    EXPECT_EQ(rd(0x1234), f.disk[0x1234]);
    struct aspace_hit hit = aspace_find(&f.r.mem, BASE + 0x1234);
    EXPECT(hit.ram && hit.split); // read and run as ROM, written as registers
    wr(0x1234, 0x50);             // as OVMF looks for it: clear, then the status
    wr(0x1234, 0x70);
    EXPECT_EQ(rd(0x1234), 0);
    rig_reload(&f.r);
    EXPECT_EQ(rd(0x4321), 0);
    EXPECT(!aspace_find(&f.r.mem, BASE).ram);
    wr(0, 0x90);
    EXPECT(rd(0) == 0x89 && rd(1) == 0x18);
    wr(0x55, 0x98);
    EXPECT(rd(0x10) == 'Q' && rd(0x11) == 'R' && rd(0x12) == 'Y');
    EXPECT_EQ(rd(0x27), 15);                                  // 2^15 bytes
    EXPECT(rd(0x2c) == 1 && rd(0x2d) == 7 && rd(0x2f) == 16); // 8 blocks of 16 * 256
    wr(0, 0xff);
    EXPECT_EQ(rd(0x10), f.disk[0x10]);
    wr(0, 0x90);
    rig_reset(&f.r, RESET_WARM);
    EXPECT_EQ(rd(0), f.disk[0]);
    rig_fini(&f.r);
}

TEST(pflash_program_and_erase)
{
    setup(false);
    uint8_t below = f.disk[0x1fff], above = f.disk[0x3000];
    wr(0x2345, 0x20);
    wr(0x2345, 0xd0);
    EXPECT_EQ(rd(0), 0x80);
    wr(0, 0xff);
    EXPECT(rd(0x2000) == 0xff && rd(0x2fff) == 0xff && rd(0x1fff) == below && rd(0x3000) == above);
    EXPECT(f.disk[0x2000] == 0xff && f.disk[0x2fff] == 0xff && f.disk[0x3000] == above);
    wr(0x2345, 0x10);
    wr(0x2345, 0x5a);
    wr(0x2346, 0x40);
    wr(0x2346, 0x33);
    wr(0x2345, 0x10); // bits only go down
    wr(0x2345, 0xf0);
    EXPECT_EQ(rd(0), 0x80);
    wr(0x2345, 0xff);
    EXPECT(rd(0x2345) == 0x50 && rd(0x2346) == 0x33);
    EXPECT(f.disk[0x2345] == 0x50 && f.disk[0x2346] == 0x33);
    wr(0x2400, 0xe8); // a buffer of three
    wr(0x2400, 2);
    wr(0x2400, 1);
    wr(0x2401, 2);
    rig_reload(&f.r);
    wr(0x2402, 3);
    wr(0x2400, 0xd0);
    wr(0, 0xff);
    EXPECT(rd(0x2400) == 1 && rd(0x2401) == 2 && rd(0x2402) == 3 && rd(0x2403) == 0xff);
    wr(0, 0x50);
    wr(0, 0x20); // an erase without its confirmation
    wr(0, 0xff);
    EXPECT_EQ(rd(0), 0xb0);
    rig_fini(&f.r);
}

TEST(pflash_read_only)
{
    setup(true);
    uint8_t old = rd(0x100);
    wr(0x100, 0x10);
    wr(0x100, 0x00);
    EXPECT_EQ(rd(0), 0x92);
    wr(0, 0x50);
    wr(0, 0x20);
    wr(0, 0xd0);
    EXPECT_EQ(rd(0), 0xa2);
    wr(0, 0xff);
    EXPECT(rd(0x100) == old && f.disk[0x100] == old);
    rig_fini(&f.r);
}
