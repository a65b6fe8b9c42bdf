/*
 * Files of images: open, lock, transfer.
 *
 * Locks cover the whole file, so that QEMU's byte locks on an image it writes to conflict with ours
 * and the other way round. Where a file system has no locks, there are none.
 */
#include "host/blk_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/blk.h"

static bool lock(int fd, bool readonly)
{
#ifdef F_OFD_SETLK
    struct flock l = {.l_type = (short)(readonly ? F_RDLCK : F_WRLCK), .l_whence = SEEK_SET};
    int r = fcntl(fd, F_OFD_SETLK, &l);
#else
    int r = flock(fd, (readonly ? LOCK_SH : LOCK_EX) | LOCK_NB);
#endif
    return r == 0 || (errno != EAGAIN && errno != EACCES && errno != EWOULDBLOCK);
}

bool blk_in_use(const char *path)
{
    bool used = false;
    int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0) {
        used = !lock(fd, false);
        close(fd);
    }
    return used;
}

static bool set_size(struct blk_file *f, const struct stat *st, const char *path, struct err *e)
{
    off_t end = S_ISBLK(st->st_mode) ? lseek(f->fd, 0, SEEK_END) : st->st_size;
    f->is_device = S_ISBLK(st->st_mode);
    if (end < 0) {
        return err_set(e, "%s: %s", path, strerror(errno));
    }
    f->bytes = (uint64_t)end;
    return end > 0 ||
           err_set(e, "%s: %s", path, f->is_device ? "has no medium" : "the file is empty");
}

bool blk_file_open(struct blk_file *f, const char *path, bool readonly, struct err *e)
{
    struct stat st;
    *f = (struct blk_file){.fd = -1, .readonly = readonly};
    if (!*path) {
        return err_set(e, "a file name is empty");
    }
    /* Before open: a FIFO would wait for its other end. */
    if (stat(path, &st) != 0) {
        return err_set(e, "%s: %s", path, strerror(errno));
    }
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
        return err_set(e, "%s: %s; want a file or block device", path,
                       S_ISDIR(st.st_mode) ? "is a directory" : "is not a file");
    }
    if (!readonly) {
        f->fd = open(path, O_RDWR | O_CLOEXEC);
        f->readonly = f->fd < 0 && (errno == EACCES || errno == EPERM || errno == EROFS);
    }
    if (f->readonly) {
        f->fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (f->fd < 0) {
        return err_set(e, "%s: %s", path, strerror(errno));
    }
    if (fstat(f->fd, &st) != 0 || !set_size(f, &st, path, e)) {
        blk_file_close(f);
        return false;
    }
    f->linked = st.st_nlink > 0;
    if (!lock(f->fd, f->readonly)) {
        blk_file_close(f);
        return err_set(e, "%s: in use by another drive, machine or program%s", path,
                       readonly ? " that writes to it"
                                : "; snapshot=on or readonly=on shares it "
                                  "with others that only read");
    }
    return true;
}

bool blk_file_create(struct blk_file *f, const char *path, struct err *e)
{
    struct stat st;
    *f = (struct blk_file){.fd = -1};
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        return err_set(e, "%s: is not a file; only files are made", path);
    }
    f->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (f->fd < 0) {
        return err_set(e, "%s: %s", path, strerror(errno));
    }
    if (!lock(f->fd, false)) {
        blk_file_close(f);
        return err_set(e, "%s: in use by another machine or program", path);
    }
    f->linked = true;
    if (ftruncate(f->fd, 0) != 0) {
        err_set(e, "%s: %s", path, strerror(errno));
        blk_file_close(f);
        return false;
    }
    return true;
}

void blk_file_close(struct blk_file *f)
{
    if (f->fd >= 0) {
        close(f->fd);
    }
    f->fd = -1;
}

/* What is there; false if there is less than there was when the file was opened. */
static bool read_inside(const struct blk_file *f, uint64_t off, uint8_t *p, size_t len)
{
    while (len) {
        ssize_t n = pread(f->fd, p, len, (off_t)off);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            errno = n < 0 ? errno : EIO; /* someone cut the file short */
            return false;
        }
        p += n;
        off += (uint64_t)n;
        len -= (size_t)n;
    }
    return true;
}

bool blk_file_read(const struct blk_file *f, uint64_t off, void *buf, size_t len)
{
    uint8_t *p = buf;
    size_t inside = off >= f->bytes ? 0 : len;
    if (inside > f->bytes - off && inside) {
        inside = (size_t)(f->bytes - off);
    }
    memset(p + inside, 0, len - inside);
    if (f->ops) {
        return inside == 0 || f->ops->read(f->ctx, off, p, inside);
    }
    return read_inside(f, off, p, inside);
}

/* Is it as long as it was? */
static bool is_whole(const struct blk_file *f)
{
    struct stat st;
    if (fstat(f->fd, &st) != 0) {
        return false;
    }
    if (S_ISREG(st.st_mode) && (uint64_t)st.st_size < f->bytes) {
        errno = EIO;
        return false;
    }
    return true;
}

bool blk_file_write(struct blk_file *f, uint64_t off, const void *buf, size_t len)
{
    const uint8_t *p = buf;
    if (off > INT64_MAX - len) {
        errno = EFBIG;
        return false;
    }
    if (f->ops) {
        bool ok = f->ops->write(f->ctx, off, buf, len);
        f->bytes = ok && off + len > f->bytes ? off + len : f->bytes;
        return ok;
    }
    if (!is_whole(f)) {
        return false;
    }
    while (len) {
        ssize_t n = pwrite(f->fd, p, len, (off_t)off);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            errno = n < 0 ? errno : ENOSPC;
            return false;
        }
        p += n;
        off += (uint64_t)n;
        len -= (size_t)n;
        f->bytes = off > f->bytes ? off : f->bytes;
    }
    return true;
}

bool blk_file_sync(struct blk_file *f)
{
    struct stat st;
    int r;
    if (f->ops) {
        return f->ops->sync(f->ctx);
    }
    do {
        r = fdatasync(f->fd);
    } while (r != 0 && errno == EINTR);
    if (r != 0 && !f->lost) {
        f->lost = errno;
    }
    if (!f->lost && f->linked && fstat(f->fd, &st) == 0 && st.st_nlink == 0) {
        errno = ENOENT;
        return false;
    }
    errno = f->lost;
    return !f->lost;
}
