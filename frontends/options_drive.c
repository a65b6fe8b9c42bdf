/*
 * Options that are drives, and an IMAGE that becomes one by its content.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "frontends/options_priv.h"
#include "util/keyval.h"

bool options_drive(struct options *o, const char *v, struct err *e)
{
    if (o->vm.ndrives == DOPPEL_MAX_DRIVES) {
        return err_set(e, "-drive %.100s: more than %u drives", v, DOPPEL_MAX_DRIVES);
    }
    o->vm.drive[o->vm.ndrives++] = v;
    return true;
}

static bool add(struct options *o, const char *where, const char *file, struct err *e)
{
    char *escaped = keyval_escape(file), text[2 * KEYVAL_VALUE + 64];
    int n = snprintf(text, sizeof text, "%s,file=%s", where, escaped);
    free(escaped);
    if (!*file || n < 0 || (size_t)n >= sizeof text) {
        return err_set(e, "\"%.100s\": want the name of a disk image", file);
    }
    return options_drive(o, options_own(o, text, (size_t)n), e);
}

bool options_hda(struct options *o, const char *v, struct err *e)
{
    return add(o, "if=ide,index=0,media=disk", v, e);
}

bool options_hdb(struct options *o, const char *v, struct err *e)
{
    return add(o, "if=ide,index=1,media=disk", v, e);
}

bool options_hdc(struct options *o, const char *v, struct err *e)
{
    return add(o, "if=ide,index=2,media=disk", v, e);
}

bool options_hdd(struct options *o, const char *v, struct err *e)
{
    return add(o, "if=ide,index=3,media=disk", v, e);
}

bool options_cdrom(struct options *o, const char *v, struct err *e)
{
    return add(o, "if=ide,index=2,media=cdrom", v, e);
}

bool options_fda(struct options *o, const char *v, struct err *e)
{
    return add(o, "if=floppy,index=0", v, e);
}

bool options_fdb(struct options *o, const char *v, struct err *e)
{
    return add(o, "if=floppy,index=1", v, e);
}

static void say(const char *path, const struct doppel_image *img)
{
    const char *const kinds[] = {[DOPPEL_IMAGE_KERNEL] = "kernel",
                                 [DOPPEL_IMAGE_HARD_DISK] = "hard disk",
                                 [DOPPEL_IMAGE_CDROM] = "CD-ROM",
                                 [DOPPEL_IMAGE_FLOPPY] = "floppy"};
    bool mib = img->bytes >= 10u << 20;
    fprintf(stderr, "doppel: %s: %s, %s, %" PRIu64 " %s%s\n", path, kinds[img->kind], img->format,
            img->bytes >> (mib ? 20 : 10), mib ? "MiB" : "KiB",
            img->readonly && img->kind != DOPPEL_IMAGE_CDROM ? ", read-only" : "");
}

bool options_image(struct options *o, struct err *e)
{
    struct doppel_image img;
    struct doppel_error why;
    if (!doppel_image_look(o->image, &img, &why)) {
        o->failed_setup = true;
        return err_set(e, "%s", why.msg);
    }
    if (img.kind == DOPPEL_IMAGE_KERNEL) {
        o->vm.kernel = o->image;
        return true;
    }
    say(o->image, &img);
    switch (img.kind) {
    case DOPPEL_IMAGE_CDROM:
        return options_cdrom(o, o->image, e);
    case DOPPEL_IMAGE_FLOPPY:
        return options_fda(o, o->image, e);
    default:
        return options_hda(o, o->image, e);
    }
}
