/*
 * work: the program of the bench guest, on a Linux kernel of its own and on the host.
 *
 *   work NAME [SCALE]  runs one workload (percent of its size, default 100)
 *   work all [SCALE]   runs them all
 *   work list          prints names and classes
 *   work nothing       ends at once: what the workload "exec" starts
 *
 * Each workload prints "begin NAME" and "end NAME CHECKSUM": bench/stamp.c takes the time outside
 * when these lines come. The first line is waited for until it is sent, so that nothing is left to
 * be sent while the work runs.
 *
 * As process 1 it is the whole user space of the guest: it runs, each in a process of its own, the
 * workloads in the environment's "work" (the kernel passes words of its command line there), comma
 * between two, with "scale", and powers off.
 */
#include "work.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

// clang-format off
static const struct {
    const char *name, *class; /* class: which goal of the project it counts for */
    work_fn *run;
} works[] = {
    {"hash",     "integer",   work_hash},
    {"sort",     "integer",   work_sort},
    {"table",    "integer",   work_table},
    {"bytecode", "integer",   work_bytecode},
    {"calls",    "integer",   work_calls},
    {"compress", "integer",   work_compress},
    {"bigcode",  "integer",   work_bigcode},
    {"strings",  "integer",   work_strings},
    {"scalar",   "float",     work_scalar},
    {"packed",   "float",     work_packed},
    {"x87",      "float",     work_x87},
    {"libm",     "float",     work_libm},
    {"syscall",  "system",    work_syscall},
    {"pipe",     "system",    work_pipe},
    {"fork",     "system",    work_fork},
    {"exec",     "system",    work_exec},
    {"fault",    "system",    work_fault},
    {"generate", "rewritten", work_generate},
    {"patch",    "rewritten", work_patch},
};
// clang-format on

const char *work_self;

void work_die(const char *what)
{
    printf("failed: %s\n", what);
    fflush(stdout);
    _exit(1);
}

/* Lines out, and off the wire if there is one. */
static void flush(void)
{
    fflush(stdout);
    tcdrain(STDOUT_FILENO);
}

static int run(const char *name, unsigned scale)
{
    int found = 0;
    for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++) {
        if (strcmp(name, "all") == 0 || strcmp(name, works[i].name) == 0) {
            found = 1;
            printf("begin %s\n", works[i].name);
            flush();
            uint32_t sum = works[i].run(scale);
            printf("end %s %08x\n", works[i].name, sum);
            flush();
        }
    }
    return found ? 0 : 2;
}

static int list(void)
{
    for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++) {
        printf("%s %s\n", works[i].name, works[i].class);
    }
    return 0;
}

/* Process 1. */
static void init(void)
{
    const char *scale = getenv("scale");
    char *list = getenv("work");
    printf("userspace\n");
    flush();
    for (char *name = list ? strtok(list, ",") : NULL; name; name = strtok(NULL, ",")) {
        pid_t pid = fork();
        if (pid == 0) {
            execl(work_self, work_self, name, scale ? scale : "100", (char *)NULL);
            _exit(127);
        }
        int status = 0;
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
            printf("failed: %s: status %#x\n", name, (unsigned)status);
            flush();
        }
    }
    printf("done\n");
    flush();
    reboot(RB_POWER_OFF);
    for (;;) {
        pause();
    }
}

int main(int argc, char **argv)
{
    work_self = argv[0];
    if (getpid() == 1) {
        init();
    }
    if (argc > 1 && strcmp(argv[1], "nothing") == 0) {
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "list") == 0) {
        return list();
    }
    unsigned scale = argc > 2 ? (unsigned)atoi(argv[2]) : 100;
    return argc > 1 && scale > 0 ? run(argv[1], scale) : 2;
}
