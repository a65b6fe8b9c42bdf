/*
 * bench/screen SECTOR [RUNS]: what looking at a screen costs. SECTOR is bench/screen.asm,
 * assembled; the guest counts, and paints its whole screen after every ten million instructions, or
 * never.
 *
 * For each kind of screen, three things, all in processor time of the process:
 *   check    a look at a screen that has not changed: what a still screen costs, once for every
 *            quarter of a million instructions while a viewer waits for a frame
 *   frame    a look after one byte of it has changed: drawn, compared, published
 *   viewer   the guest's rounds with a viewer that asks for a frame whenever it got one (at most
 *            for every million instructions) against those without, runs in turn, medians; noise
 *            of a few percent on a busy machine
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "doppel.h"
#include "mmu/aspace.h"
#include "util/bits.h"
#include "vm/screen.h"
#include "vm/vm.h"

enum { CHUNK = 1000000, ROUNDS = 20, CHECKS = 20000, FRAMES = 100 };
enum { MAX_RUNS = 99, IMAGE_BYTES = 1474560 };
#define LIMIT UINT64_C(20000000000)

static const struct kind {
    const char *name;
    uint16_t mode, banks;
    uint8_t cursor, paint;
    uint32_t byte; /* an address on the screen */
} kinds[] = {
    {"text, still", 3, 0, 0, 0, 0xb8000},
    {"text, cursor blinks", 3, 0, 1, 0, 0xb8000},
    {"text, painted", 3, 0, 0, 1, 0xb8000},
    {"640x480x4, still", 0x12, 0, 0, 0, 0xa0000},
    {"320x200x8, still", 0x13, 0, 0, 0, 0xa0000},
    {"320x200x8, painted", 0x13, 0, 0, 2, 0xa0000},
    {"1024x768x32, still", 0x4144, 48, 0, 0, 0xa0000},
    {"1024x768x32, painted", 0x4144, 48, 0, 3, 0xa0000},
};
struct cost {
    double check, frame, run[2][MAX_RUNS]; /* seconds */
    uint64_t frames;
};

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool write_image(const char *path, const uint8_t *sector, const struct kind *k)
{
    uint8_t *image = calloc(1, IMAGE_BYTES);
    FILE *f = image ? fopen(path, "wb") : NULL;
    if (!f) {
        free(image);
        return false;
    }
    memcpy(image, sector, 512);
    le16_put(image + 500, k->mode);
    le16_put(image + 502, k->banks);
    le16_put(image + 504, ROUNDS);
    image[506] = k->cursor;
    image[507] = k->paint;
    bool ok = fwrite(image, 1, IMAGE_BYTES, f) == IMAGE_BYTES;
    free(image);
    return fclose(f) == 0 && ok;
}

static uint16_t mark(struct doppel_vm *vm)
{
    return (uint16_t)aspace_read(&vm->mem, 0x600, 2);
}

static bool advance(struct doppel_vm *vm)
{
    uint64_t n = doppel_icount(vm);
    return n < LIMIT && doppel_run(vm, n + CHUNK) == DOPPEL_LIMIT;
}

/* One look at a time, without the guest. */
static void look(struct doppel_vm *vm, const struct kind *k, struct cost *c)
{
    struct doppel_frame f = {0};
    doppel_frame_request(vm);
    screen_poll(vm->screen);
    double start = cpu_seconds();
    for (unsigned i = 0; i < CHECKS; i++) {
        doppel_frame_request(vm);
        screen_poll(vm->screen);
    }
    c->check = (cpu_seconds() - start) / CHECKS;
    start = cpu_seconds();
    uint64_t seen = 0, n = 0;
    for (unsigned i = 0; i < FRAMES; i++) {
        aspace_write(&vm->mem, k->byte, 1, 'A' + (i & 1));
        doppel_frame_request(vm);
        screen_poll(vm->screen);
        if (doppel_frame_get(vm, seen, &f)) {
            seen = f.serial;
            doppel_frame_release(vm, &f);
            n++;
        }
    }
    c->frame = (cpu_seconds() - start) / (double)(n ? n : 1);
}

/* Processor seconds of the rounds, negative: it did not run. */
static double run(const char *image, const struct kind *k, bool viewer, struct cost *c)
{
    struct doppel_options o;
    struct doppel_error e = {"", false};
    struct doppel_frame f = {0};
    char drive[4200];
    snprintf(drive, sizeof drive, "file=%s,format=raw,if=floppy,snapshot=on", image);
    doppel_options_init(&o, DOPPEL_ABI);
    o.rtc_epoch = 946684800;
    o.seed = 1;
    o.boot = "order=a";
    o.drive[o.ndrives++] = drive;
    struct doppel_vm *vm = doppel_create(&o, &e);
    if (!vm) {
        fprintf(stderr, "screen: %s\n", e.msg);
        return -1;
    }
    while (mark(vm) != 0x1111 && advance(vm)) {
    }
    if (viewer) {
        look(vm, k, c);
        doppel_frame_request(vm);
    }
    double start = cpu_seconds();
    uint64_t seen = 0;
    c->frames = 0;
    while (mark(vm) == 0x1111 && advance(vm)) {
        if (viewer && doppel_frame_get(vm, seen, &f)) {
            seen = f.serial;
            c->frames++;
            doppel_frame_release(vm, &f);
            doppel_frame_request(vm);
        }
    }
    double took = mark(vm) == 0x2222 ? cpu_seconds() - start : -1;
    doppel_destroy(vm);
    return took;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool measure(const struct kind *k, const char *image, const uint8_t *sector, int runs)
{
    static struct cost c;
    if (!write_image(image, sector, k)) {
        fprintf(stderr, "screen: cannot write %s\n", image);
        return false;
    }
    for (int i = 0; i < runs; i++) {
        for (int viewer = 0; viewer < 2; viewer++) {
            c.run[viewer][i] = run(image, k, viewer, &c);
            if (c.run[viewer][i] < 0) {
                fprintf(stderr, "screen: %s: the guest did not come to its end\n", k->name);
                return false;
            }
        }
    }
    qsort(c.run[0], (size_t)runs, sizeof c.run[0][0], by_value);
    qsort(c.run[1], (size_t)runs, sizeof c.run[1][0], by_value);
    double without = c.run[0][runs / 2], with = c.run[1][runs / 2];
    printf("%-22s %8.0f ns %8.2f ms %8.0f ms %8.0f ms %6.1f %% %5" PRIu64 " frames\n", k->name,
           c.check * 1e9, c.frame * 1e3, without * 1e3, with * 1e3, (with / without - 1) * 100,
           c.frames);
    fflush(stdout);
    return true;
}

int main(int argc, char **argv)
{
    uint8_t sector[512];
    int runs = argc > 2 ? atoi(argv[2]) : 3;
    FILE *f = argc > 1 ? fopen(argv[1], "rb") : NULL;
    if (!f || argc > 3 || runs < 1 || runs > MAX_RUNS || fread(sector, 1, 512, f) != 512) {
        fprintf(stderr, "usage: screen SECTOR [RUNS]\n");
        return 2;
    }
    fclose(f);
    printf("%-22s %11s %11s %11s %11s\n", "screen", "check", "frame", "no viewer", "viewer");
    bool ok = true;
    for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
        ok &= measure(&kinds[i], "screen.img", sector, runs);
    }
    remove("screen.img");
    return ok ? 0 : 1;
}
