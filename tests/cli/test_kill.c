/*
 * What a guest has flushed survives kill -9 of doppel. A process of doppel runs the robot of
 * tests/lib; this one gives it writes and flushes at its serial port, kills it after a flush was
 * answered, or in the middle of what follows, and looks for the sectors in the image.
 *
 * qcow2 images are made and read with qemu-img where there is one.
 *
 * What was recorded until then is a good log: it replays, verified, to its last chunk.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/blk.h"
#include "tests/t.h"

enum { SECTORS = 4096, ORDER = 8, ANSWER = 4, PATIENCE = 20 /* s */ };

struct guest {
    pid_t pid;
    int in, out; /* of its serial port */
};

/* `log`: what it is recorded to; NULL: nothing. */
static bool guest_start(struct guest *g, const char *drive, const char *log)
{
    int in[2], out[2];
    if (!EXPECT(pipe(in) == 0 && pipe(out) == 0)) {
        return false;
    }
    char doppel[4096], robot[4096];
    snprintf(doppel, sizeof doppel, "%s", t_build_path("doppel"));
    snprintf(robot, sizeof robot, "%s", t_build_path("tests/lib/robot.bin"));
    g->pid = fork();
    if (g->pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[1]);
        close(out[0]);
        alarm(PATIENCE);
        execl(doppel, "doppel", "run", "-kernel", robot, "-m", "4", "-vga", "none", "-display",
              "none", "-serial", "stdio", "-drive", drive, log ? "-record" : (char *)NULL, log,
              (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    g->in = in[1];
    g->out = out[0];
    return EXPECT(g->pid > 0);
}

static void guest_kill(struct guest *g)
{
    int status = 0;
    kill(g->pid, SIGKILL);
    while (waitpid(g->pid, &status, 0) < 0 && errno == EINTR) {
    }
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    close(g->in);
    close(g->out);
}

/* On its standard input doppel takes Ctrl-A for itself; two of them are one for the guest. */
static bool give(struct guest *g, const char order[ORDER])
{
    char text[2 * ORDER];
    size_t n = 0;
    for (unsigned i = 0; i < ORDER; i++) {
        text[n++] = order[i];
        if (order[i] == 1) {
            text[n++] = 1;
        }
    }
    return EXPECT_EQ(write(g->in, text, n), n);
}

/* The first byte of the answer: a status. */
static int answer(struct guest *g)
{
    uint8_t got[ANSWER];
    for (size_t n = 0; n < sizeof got;) {
        ssize_t k = read(g->out, got + n, sizeof got - n);
        if (k <= 0 && errno != EINTR) {
            return -1;
        }
        n += k > 0 ? (size_t)k : 0;
    }
    return got[0];
}

static bool write_sector(struct guest *g, unsigned lba, uint8_t fill)
{
    const char order[ORDER] = {'W', (char)0xe0, 0x30, (char)lba, (char)(lba >> 8), 0, (char)fill};
    return give(g, order);
}

static bool ask_flush(struct guest *g)
{
    static const char order[ORDER] = {'A', (char)0xe0, (char)0xe7};
    return give(g, order);
}

static bool flush(struct guest *g)
{
    return ask_flush(g) && EXPECT_EQ(answer(g), 0x50);
}

/* Sectors `want` says (0: never flushed, may be anything) are in the raw image. */
static void check_image(const char *path, const uint8_t *want)
{
    FILE *f = fopen(path, "rb");
    if (!EXPECT(f != NULL)) {
        return;
    }
    for (unsigned lba = 0; lba < SECTORS; lba++) {
        uint8_t sector[512], fill[512];
        memset(fill, want[lba], sizeof fill);
        EXPECT(fread(sector, 1, sizeof sector, f) == sizeof sector);
        if (want[lba]) {
            t_context("sector %u", lba);
            EXPECT_MEM(sector, fill, sizeof sector);
        }
    }
    fclose(f);
}

/* One life: some flushed writes, then some that are in flight when the end comes. */
static void life(const char *drive, const char *log, uint8_t *want, struct t_rng *rng)
{
    struct guest g;
    if (!guest_start(&g, drive, log) || !EXPECT_EQ(answer(&g), 'R')) {
        return;
    }
    uint8_t dirty[SECTORS] = {0};
    for (unsigned turn = 0; turn < 3; turn++) {
        for (unsigned i = 0; i < 5; i++) {
            unsigned lba = (unsigned)t_rand_below(rng, SECTORS);
            uint8_t fill = (uint8_t)(1 + t_rand_below(rng, 255));
            EXPECT(write_sector(&g, lba, fill));
            EXPECT_EQ(answer(&g), 0x50);
            dirty[lba] = fill;
        }
        if (!flush(&g)) {
            break;
        }
        for (unsigned i = 0; i < SECTORS; i++) {
            want[i] = dirty[i] ? dirty[i] : want[i];
        }
    }
    unsigned last = (unsigned)t_rand_below(rng, SECTORS);
    want[last] = 0;
    write_sector(&g, last, 0x77);
    ask_flush(&g);
    /* A log is written out once a second. */
    usleep((useconds_t)t_rand_below(rng, log ? 1500000 : 20000));
    guest_kill(&g);
}

static void lives(const char *format)
{
    static uint8_t want[SECTORS];
    struct t_rng rng = {t_seed()};
    char dir[] = "/tmp/doppel-kill-XXXXXX", image[64], raw[64], drive[128], command[400];
    if (!EXPECT(mkdtemp(dir) != NULL)) {
        return;
    }
    bool is_raw = strcmp(format, "raw") == 0;
    snprintf(image, sizeof image, "%s/image", dir);
    snprintf(raw, sizeof raw, "%s/%s", dir, is_raw ? "image" : "raw");
    snprintf(drive, sizeof drive, "file=%s,format=%s", image, format);
    snprintf(command, sizeof command, "qemu-img create -q -f qcow2 %s %u", image, SECTORS * 512);
    EXPECT(is_raw ? close(open(image, O_CREAT | O_WRONLY, 0600)) == 0 &&
                        truncate(image, SECTORS * 512) == 0
                  : system(command) == 0);
    memset(want, 0, sizeof want);
    struct blk *b = blk_open(image, &(struct blk_how){.align = 512}, NULL, NULL);
    bool known = b && !b->readonly;
    if (b) {
        b->close(b);
    }
    if (!known) {
        SKIP("this doppel does not write qcow2");
    }
    for (unsigned i = 0; known && i < t_amount(2, 4, 20); i++) {
        life(drive, NULL, want, &rng);
        if (!is_raw) {
            snprintf(command, sizeof command,
                     "qemu-img check -q %s; [ $? -ne 2 ] && qemu-img convert -O raw %s %s", image,
                     image, raw);
            EXPECT_EQ(system(command), 0);
        }
        check_image(raw, want);
    }
    unlink(raw);
    unlink(image);
    EXPECT_EQ(rmdir(dir), 0);
}

TEST(raw)
{
    lives("raw");
}

TEST(qcow2)
{
    if (system("qemu-img --version >/dev/null 2>&1") != 0) {
        SKIP("no qemu-img");
        return;
    }
    lives("qcow2");
}

/* The log of a life that was cut replays, and is a run with as many checks and inputs as it says.
 */
TEST(recorded)
{
    static uint8_t want[SECTORS];
    struct t_rng rng = {t_seed()};
    char dir[] = "/tmp/doppel-kill-XXXXXX", image[64], log[64], drive[128], command[9000];
    if (!EXPECT(mkdtemp(dir) != NULL)) {
        return;
    }
    snprintf(image, sizeof image, "%s/image", dir);
    snprintf(log, sizeof log, "%s/log", dir);
    snprintf(drive, sizeof drive, "file=%s,format=raw", image);
    EXPECT(close(open(image, O_CREAT | O_WRONLY, 0600)) == 0 &&
           truncate(image, SECTORS * 512) == 0);
    memset(want, 0, sizeof want);
    for (unsigned i = 0; i < t_amount(2, 5, 200); i++) {
        life(drive, log, want, &rng);
        check_image(image, want);
        snprintf(command, sizeof command,
                 "timeout %d %s replay %s --verify >%s/out 2>&1; s=$?; "
                 "grep -q 'the same run' %s/out || { cat %s/out; exit 9; }; exit $s",
                 PATIENCE, t_build_path("doppel"), log, dir, dir, dir);
        EXPECT_EQ(system(command), 0);
    }
    snprintf(command, sizeof command, "rm -r %s", dir);
    EXPECT_EQ(system(command), 0);
}
