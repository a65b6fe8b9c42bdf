/*
 * qcow2: not yet.
 */
#include "host/blk_priv.h"

struct blk *blk_qcow2_new(struct blk_file *f, const char *path, unsigned depth, struct err *e)
{
    (void)depth;
    blk_file_close(f);
    err_set(e, "%s: qcow2 images cannot be read yet", path);
    return NULL;
}
