/*
 * bench/snapshot DISK FOLDER [RUNS]: what snapshots cost, with Debian's root disk booted to its
 * login (tools/debian-root.sh), in milliseconds of elapsed time:
 *   save       the whole machine of 512 MiB to a file, with fsync
 *   changes    ten seconds of the guest's time later, what is new since then
 *   load       of the same machine with 2 GiB, until it has run 1000 instructions; `touch` until it
 *              has run a second of its time
 * The best of some runs: a busy machine only makes it longer.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "doppel.h"

enum { TAIL = 64, STEP = 50000000 };
#define LIMIT UINT64_C(60000000000)
#define SEC   UINT64_C(1000000000)

struct heard {
    char tail[TAIL + 1];
    bool login;
};

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void hear(void *ctx, const uint8_t *data, size_t len)
{
    struct heard *h = ctx;
    for (size_t i = 0; i < len; i++) {
        memmove(h->tail, h->tail + 1, TAIL - 1);
        h->tail[TAIL - 1] = data[i] ? (char)data[i] : ' ';
        h->login |= strstr(h->tail, "login: ") != NULL;
    }
}

static void die(const char *what, const char *why)
{
    fprintf(stderr, "bench: %s: %s\n", what, why);
    exit(1);
}

static struct doppel_vm *create(const char *disk, const char *folder, unsigned mib)
{
    static char drive[5000];
    struct doppel_options o;
    struct doppel_error e = {"", false};
    doppel_options_init(&o, DOPPEL_ABI);
    snprintf(drive, sizeof drive, "file=%s,format=qcow2,snapshot=on", disk);
    o.drive[o.ndrives++] = drive;
    o.boot = "order=c";
    o.ram_bytes = (uint64_t)mib << 20;
    o.serial[0] = "null";
    o.rtc_epoch = 1700000000;
    o.seed = 1;
    o.snapshot_dir = folder;
    struct doppel_vm *vm = doppel_create(&o, &e);
    if (!vm) {
        die("create", e.msg);
    }
    return vm;
}

static void boot(struct doppel_vm *vm)
{
    static struct heard h;
    memset(&h, ' ', TAIL);
    h.tail[TAIL] = 0;
    h.login = false;
    doppel_serial_listen(vm, 0, hear, &h);
    while (!h.login && doppel_icount(vm) < LIMIT) {
        doppel_run(vm, doppel_icount(vm) + STEP);
    }
    if (!h.login) {
        die("boot", "no login");
    }
    doppel_serial_listen(vm, 0, NULL, NULL);
}

static void run_for(struct doppel_vm *vm, uint64_t ns)
{
    uint64_t end = doppel_vtime(vm) + ns;
    while (doppel_vtime(vm) < end) {
        doppel_run(vm, doppel_icount(vm) + 100000);
    }
}

static double save(struct doppel_vm *vm, const char *name)
{
    struct doppel_error e;
    double from = now_ms();
    if (!doppel_snapshot_save(vm, name, 0, &e)) {
        die("save", e.msg);
    }
    return now_ms() - from;
}

static void load(struct doppel_vm *vm, const char *name)
{
    struct doppel_error e;
    if (!doppel_snapshot_load(vm, name, &e)) {
        die("load", e.msg);
    }
}

static void keep(double *best, double ms)
{
    *best = *best == 0 || ms < *best ? ms : *best;
}

static void print_size(const char *folder, const char *name)
{
    char path[5000];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (stat(path, &st) == 0) {
        printf("  file of \"%s\": %" PRIu64 " KiB\n", name, (uint64_t)st.st_size >> 10);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: snapshot DISK FOLDER [RUNS]\n");
        return 2;
    }
    const char *folder = argv[2];
    int runs = argc > 3 ? atoi(argv[3]) : 3;
    double whole = 0, changes = 0, loaded = 0, touched = 0;
    struct doppel_vm *vm = create(argv[1], folder, 512);
    boot(vm);
    for (int i = 0; i < runs; i++) {
        keep(&whole, save(vm, "whole"));
        run_for(vm, 10 * SEC);
        keep(&changes, save(vm, "changes"));
        run_for(vm, SEC);
        load(vm, "whole");
    }
    doppel_destroy(vm);
    print_size(folder, "whole");
    print_size(folder, "changes");
    vm = create(argv[1], folder, 2048);
    boot(vm);
    save(vm, "large");
    doppel_destroy(vm);
    print_size(folder, "large");
    for (int i = 0; i < runs; i++) {
        vm = create(argv[1], folder, 2048);
        double from = now_ms();
        load(vm, "large");
        doppel_run(vm, doppel_icount(vm) + 1000);
        keep(&loaded, now_ms() - from);
        run_for(vm, SEC);
        keep(&touched, now_ms() - from);
        doppel_destroy(vm);
    }
    printf("save of 512 MiB      %8.1f ms (goal 300)\n", whole);
    printf("changes after 10 s   %8.1f ms (goal 50)\n", changes);
    printf("load of 2 GiB        %8.1f ms (goal 100)\n", loaded);
    printf("  and a second of it %8.1f ms\n", touched);
    return 0;
}
