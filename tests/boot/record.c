/* See record.h. */
#include "tests/boot/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/t.h"

void boot_record_start(struct boot_record *r, struct doppel_vm *vm, bool always)
{
    struct doppel_error e = {"", false};
    *r = (struct boot_record){""};
    if (!always && !t_amount(0, 0, 1)) {
        return;
    }
    snprintf(r->path, sizeof r->path, "/tmp/doppel-boot-XXXXXX");
    int fd = mkstemp(r->path);
    if (fd < 0 || close(fd) != 0 || !doppel_record_start(vm, r->path, &e)) {
        FAIL("%s: %s", r->path, e.msg);
        r->path[0] = 0;
    }
}

static void replay(struct boot_record *r, const char *engine, uint64_t icount, uint64_t digest)
{
    struct doppel_error e = {"", false};
    struct doppel_log *l = doppel_log_open(r->path, &e);
    struct doppel_log_info info;
    if (!l) {
        FAIL("%s", e.msg);
        return;
    }
    doppel_log_info(l, &info);
    r->inputs = info.inputs;
    struct doppel_options o = *doppel_log_options(l);
    o.replay_verify = true;
    o.engine = engine;
    struct doppel_vm *vm = doppel_create(&o, &e);
    if (!vm) {
        FAIL("%s", e.msg);
    } else if (doppel_run(vm, DOPPEL_NO_LIMIT) == DOPPEL_DIVERGED) {
        FAIL("%s", doppel_failure(vm));
    } else {
        EXPECT_EQ(doppel_icount(vm), icount);
        EXPECT_EQ(doppel_digest(vm), digest);
    }
    doppel_destroy(vm);
    doppel_log_close(l);
}

void boot_record_finish(struct boot_record *r, struct doppel_vm **vm, const char *engine)
{
    struct stat st;
    if (!r->path[0]) {
        return;
    }
    doppel_record_stop(*vm);
    uint64_t icount = doppel_icount(*vm), digest = doppel_digest(*vm);
    doppel_destroy(*vm);
    *vm = NULL;
    if (stat(r->path, &st) == 0) {
        printf("  a log of %" PRIu64 " bytes, replayed\n", (uint64_t)st.st_size);
    }
    replay(r, engine, icount, digest);
    unlink(r->path);
    r->path[0] = 0;
}
