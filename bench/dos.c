/*
 * bench/dos FLOPPY [BOARD [RUNS]]: host time from power-on to a DOS floppy's prompt ("A:\>" as the
 * screen's last line) through the firmware. Prints the median in milliseconds and what was retired.
 *
 * The screen is looked at every quarter of a million instructions, which costs next to nothing.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "doppel.h"

enum { CHUNK = 250000, MAX_RUNS = 99 };
#define LIMIT UINT64_C(2000000000)

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool at_prompt(struct doppel_vm *vm)
{
    char *text = doppel_screen_text(vm);
    size_t n = text ? strlen(text) : 0;
    while (n && (text[n - 1] == '\n' || text[n - 1] == ' ')) {
        n--;
    }
    bool yes = n >= 4 && memcmp(text + n - 4, "A:\\>", 4) == 0;
    free(text);
    return yes;
}

/* Seconds to the prompt; negative: it did not come. */
static double run(const char *floppy, const char *board, uint64_t *count)
{
    struct doppel_options o;
    struct doppel_error e = {"", false};
    char drive[4200];
    double start = seconds(), took = -1;
    snprintf(drive, sizeof drive, "file=%s,format=raw,if=floppy,index=0,snapshot=on", floppy);
    doppel_options_init(&o, DOPPEL_ABI);
    o.machine = board;
    o.ram_bytes = UINT64_C(16) << 20;
    o.rtc_epoch = 946684800;
    o.seed = 1;
    o.drive[o.ndrives++] = drive;
    struct doppel_vm *vm = doppel_create(&o, &e);
    if (!vm) {
        fprintf(stderr, "dos: %s\n", e.msg);
        return -1;
    }
    while (took < 0 && doppel_icount(vm) < LIMIT &&
           doppel_run(vm, doppel_icount(vm) + CHUNK) == DOPPEL_LIMIT) {
        took = at_prompt(vm) ? seconds() - start : -1;
    }
    *count = doppel_icount(vm);
    doppel_destroy(vm);
    return took;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    const char *board = argc > 2 ? argv[2] : "pc";
    int runs = argc > 3 ? atoi(argv[3]) : 3;
    double took[MAX_RUNS];
    uint64_t count = 0;
    if (argc < 2 || argc > 4 || runs < 1 || runs > MAX_RUNS) {
        fprintf(stderr, "usage: dos FLOPPY [BOARD [RUNS]]\n");
        return 2;
    }
    for (int i = 0; i < runs; i++) {
        took[i] = run(argv[1], board, &count);
        if (took[i] < 0) {
            fprintf(stderr, "dos: no prompt on %s after %" PRIu64 " instructions\n", board, count);
            return 1;
        }
    }
    qsort(took, (size_t)runs, sizeof took[0], by_value);
    printf("%-10s %10.0f ms, %.1f million instructions (board %s)\n", "DOS prompt",
           took[runs / 2] * 1000, (double)count / 1e6, board);
    return 0;
}
