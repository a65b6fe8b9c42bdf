/*
 * Reading boot images: whole files of bounded size, with errors that say what was wrong.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "vm/boot.h"

void image_free(struct image *img)
{
    free(img->data);
    img->data = NULL;
    img->len = 0;
}

static bool read_all(struct image *img, FILE *f, const char *what, uint64_t max, struct err *e)
{
    size_t cap = 0;
    for (;;) {
        if (img->len == cap) {
            if (cap > max) {
                return err_set(e, "%s %s: larger than %" PRIu64 " MiB, which is all that fits",
                               what, img->path, max >> 20);
            }
            cap = cap ? 2 * cap : 1u << 20;
            uint8_t *p = realloc(img->data, cap);
            if (!p) {
                return err_set(e, "%s %s: no host memory for it", what, img->path);
            }
            img->data = p;
        }
        size_t n = fread(img->data + img->len, 1, cap - img->len, f);
        img->len += n;
        if (n == 0) {
            break;
        }
    }
    if (ferror(f)) {
        return err_set(e, "%s %s: %s", what, img->path, strerror(errno));
    }
    if (img->len == 0) {
        return err_set(e, "%s %s: the file is empty", what, img->path);
    }
    return img->len <= max || err_set(e,
                                      "%s %s: larger than %" PRIu64 " MiB, which is all that "
                                      "fits",
                                      what, img->path, max >> 20);
}

bool image_read(struct image *img, const char *path, const char *what, uint64_t max, struct err *e)
{
    *img = (struct image){.path = path};
    struct stat st;
    if (stat(path, &st) != 0) {
        return err_set(e, "%s %s: %s", what, path, strerror(errno));
    }
    if (!S_ISREG(st.st_mode)) {
        return err_set(e, "%s %s: %s; want a file", what, path,
                       S_ISDIR(st.st_mode) ? "is a directory" : "is not a regular file");
    }
    FILE *f = fopen(path, "rb");
    if (!f) {
        return err_set(e, "%s %s: %s", what, path, strerror(errno));
    }
    bool ok = read_all(img, f, what, max, e);
    fclose(f);
    if (!ok) {
        image_free(img);
    }
    return ok;
}
