/*
 * Transfers of a drive: bounds, statistics, and the notice to the operator when the host fails.
 */
#include "core/backend_block.h"

static bool inside(const struct drive *d, uint64_t lba, uint32_t n)
{
    uint64_t size = drive_sectors(d);
    return lba <= size && n <= size - lba;
}

static bool verdict(struct drive *d, bool ok, const char *what)
{
    if (!ok) {
        d->stats.errors++;
        if (d->failed) {
            d->failed(d, what);
        }
    }
    d->transfers++;
    return d->watch ? d->watch->done(d->watch_ctx, d, ok) : ok;
}

bool drive_read(struct drive *d, uint64_t lba, void *buf, uint32_t n)
{
    if (!d->blk || !inside(d, lba, n)) {
        return false;
    }
    d->stats.reads++;
    d->stats.read_bytes += (uint64_t)n * BLK_SECTOR;
    bool ok = d->blk->read(d->blk, lba * BLK_SECTOR, buf, (size_t)n * BLK_SECTOR);
    if (ok && d->watch) {
        d->watch->after_read(d->watch_ctx, d, lba * BLK_SECTOR, (size_t)n * BLK_SECTOR);
    }
    return verdict(d, ok, "read");
}

bool drive_write(struct drive *d, uint64_t lba, const void *buf, uint32_t n)
{
    if (!d->blk || d->blk->readonly || !inside(d, lba, n)) {
        return false;
    }
    d->stats.writes++;
    d->stats.write_bytes += (uint64_t)n * BLK_SECTOR;
    if (d->watch) {
        d->watch->before_write(d->watch_ctx, d, lba * BLK_SECTOR, (size_t)n * BLK_SECTOR);
    }
    return verdict(d, d->blk->write(d->blk, lba * BLK_SECTOR, buf, (size_t)n * BLK_SECTOR),
                   "write");
}

bool drive_flush(struct drive *d)
{
    if (!d->blk) {
        return true;
    }
    d->stats.flushes++;
    return verdict(d, d->blk->flush(d->blk), "flush");
}
