/*
 * What an ATA disk says of itself: IDENTIFY DEVICE and the geometry.
 *
 * The default geometry is 16 heads of 63 sectors, as BIOSes expect. A disk that was partitioned
 * under another one shows it in the ends of its partitions, and keeps it, so that old systems find
 * their sectors: if a table names up to 16 heads, that is the geometry; more heads are a BIOS's
 * translation, not the disk's.
 *
 * Source: ATA/ATAPI-6, 6.2 (capacity), 8.15 (IDENTIFY DEVICE).
 */
#include <string.h>

#include "hw/disk/ide.h"
#include "util/bits.h"

enum { HEADS = 16, SECS = 63, MBR_TABLE = 446, MBR_ENTRY = 16 };

static bool geometry_from_table(struct ide_unit *u, uint64_t sectors)
{
    uint8_t mbr[IDE_SECTOR];
    struct blk *b = u->drive->blk;
    if (!sectors || !b->read(b, 0, mbr, sizeof mbr) || mbr[510] != 0x55 || mbr[511] != 0xaa) {
        return false;
    }
    for (unsigned i = 0; i < 4; i++) {
        const uint8_t *part = &mbr[MBR_TABLE + i * MBR_ENTRY];
        unsigned heads = part[5] + 1u, secs = part[6] & 63;
        bool used = part[4] && le32_get(part + 12) && !(part[0] & 0x7f);
        if (!used || !secs || heads < 2 || heads > HEADS) {
            continue;
        }
        uint64_t cyls = sectors / (heads * secs);
        if (cyls && cyls <= IDE_CYLS_MAX) {
            u->chs[0] = (uint16_t)cyls;
            u->chs[1] = (uint16_t)heads;
            u->chs[2] = (uint16_t)secs;
            return true;
        }
    }
    return false;
}

void ata_geometry(struct ide_unit *u)
{
    uint64_t sectors = drive_sectors(u->drive), cyls = sectors / (HEADS * SECS);
    if (!geometry_from_table(u, sectors)) {
        u->chs[0] = (uint16_t)(cyls < 1 ? 1 : cyls > IDE_CYLS_MAX ? IDE_CYLS_MAX : cyls);
        u->chs[1] = HEADS;
        u->chs[2] = SECS;
    }
}

void ata_identify_text(uint8_t *at, const char *text, unsigned len)
{
    size_t have = strlen(text);
    for (unsigned i = 0; i < len; i++) {
        at[i ^ 1] = (uint8_t)(i < have ? text[i] : ' ');
    }
}

void ata_identify_seal(uint8_t *id)
{
    uint8_t sum = 0xa5;
    id[510] = 0xa5;
    for (unsigned i = 0; i < 510; i++) {
        sum = (uint8_t)(sum + id[i]);
    }
    id[511] = (uint8_t)(0u - sum);
}

static void word(uint8_t *id, unsigned n, uint64_t val)
{
    le16_put(id + 2 * n, (uint16_t)val);
}

void ata_identify_modes(const struct ide_unit *u, uint8_t *id)
{
    unsigned kind = u->s->xfer & 0xf8, mode = u->s->xfer & 7;
    bool dma = u->chan->dma != NULL;
    word(id, 51, 0x0200); /* PIO mode 2 without flow control */
    word(id, 52, 0x0200);
    word(id, 53, 0x0007); /* words 54-58, 64-70 and 88 mean something */
    word(id, 63, dma ? 0x07 | (kind == 0x20 ? 0x100u << mode : 0) : 0);
    word(id, 64, 0x0003); /* PIO modes 3 and 4 */
    for (unsigned n = 65; n <= 68; n++) {
        word(id, n, 120); /* ns of a cycle */
    }
    word(id, 88, dma ? 0x3f | (kind == 0x40 ? 0x100u << mode : 0) : 0);
    word(id, 93, u->chan->unit[0].s == u->s ? 0x600b : 0x6b00); /* 80 conductors */
}

/* Sectors that the current translation reaches. */
static uint32_t translated(const struct ide_unit *u, uint32_t *cyls)
{
    uint64_t sectors = drive_sectors(u->drive);
    uint32_t track = (uint32_t)u->s->heads * u->s->secs;
    uint64_t n = track ? sectors / track : 0, most = u->s->chs[0];
    if (u->s->heads != u->s->chs[1] || u->s->secs != u->s->chs[2]) {
        most = 65535;
    }
    *cyls = (uint32_t)(n < most ? n : most);
    return *cyls * track;
}

void ata_identify(const struct ide_unit *u, uint8_t *id)
{
    const struct ide_unit_state *s = u->s;
    uint64_t sectors = drive_sectors(u->drive);
    uint64_t lba28 = sectors < 0x0fffffff ? sectors : 0x0fffffff;
    uint32_t cyls, reach = translated(u, &cyls);
    memset(id, 0, IDE_SECTOR);
    word(id, 0, 0x0040); /* fixed */
    word(id, 1, s->chs[0]);
    word(id, 3, s->chs[1]);
    word(id, 4, s->chs[2] * IDE_SECTOR); /* unformatted bytes: retired */
    word(id, 5, IDE_SECTOR);
    word(id, 6, s->chs[2]);
    ata_identify_text(id + 20, u->serial, 20);
    word(id, 20, 3); /* dual ported buffer with read ahead: retired */
    word(id, 21, IDE_BUF / IDE_SECTOR);
    word(id, 22, 4);
    ata_identify_text(id + 46, "1.0", 8);
    ata_identify_text(id + 54, "DOPPEL HARDDISK", 40);
    word(id, 47, 0x8000 | IDE_MULTI_MAX);
    word(id, 48, 1);                                    /* 32-bit transfers: of old */
    word(id, 49, 0x0e00 | (u->chan->dma ? 0x0100 : 0)); /* IORDY, LBA, DMA */
    word(id, 50, 0x4000);
    ata_identify_modes(u, id);
    word(id, 54, cyls);
    word(id, 55, s->heads);
    word(id, 56, s->secs);
    word(id, 57, reach);
    word(id, 58, reach >> 16);
    word(id, 59, s->multi ? 0x0100u | s->multi : 0);
    word(id, 60, lba28);
    word(id, 61, lba28 >> 16);
    word(id, 80, 0x007c); /* ATA-2 to ATA/ATAPI-6 */
    word(id, 82, 0x7069); /* NOP, buffers, look-ahead, write cache, power, SMART */
    word(id, 83, 0x7400); /* flush, flush ext, 48-bit */
    word(id, 84, 0x4040); /* forced unit access */
    word(id, 85, 0x7008 | (s->wcache ? 0x20 : 0) | (s->lookahead ? 0x40 : 0) | (s->smart ? 1 : 0));
    word(id, 86, 0x3400);
    word(id, 87, 0x4040);
    for (unsigned i = 0; i < 4; i++) {
        word(id, 100 + i, sectors >> (16 * i));
    }
    ata_identify_seal(id);
}
