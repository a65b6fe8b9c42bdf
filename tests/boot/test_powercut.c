/*
 * The power goes while Linux writes to an ext4 disk. The guest (guest/rc-powercut) makes files,
 * asks for each to be on the disk, and says so; whatever it has said must be there afterwards, and
 * e2fsck must find nothing to do but the journal's replay.
 *
 * What reached the host's file is known write by write (hostlog.h), so one run gives as many cuts
 * as wanted, among them such that lose any part of what was not flushed. Besides, doppel itself is
 * killed with SIGKILL at some instants. The run is made twice, the second time from a saved
 * machine: same text, same writes, same digest.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/boot/dos.h"
#include "tests/boot/hostlog.h"
#include "tests/boot/linux.h"
#include "tests/boot/talk.h"
#include "tests/t.h"

enum { FILES = 60, LINE = 32 };

/* A guest and its disk. */
struct place {
    const char *base;              /* the guests' image with the file system */
    bool (*begin)(struct talk *t); /* to "powercut: ready" and no further than needed */
    unsigned offset;               /* MiB of the disk before the file system */
    bool root;                     /* boots from the disk, not from initrd-powercut */
};

struct bench {
    const struct place *place;
    const char *format; /* of the image that the guest writes to: "raw" or "qcow2" */
    char *path;         /* that image */
    char *kernel, *initrd, *drive, *cd;
    struct talk_setup setup;
    uint8_t *ready; /* the image when the guest was about to begin */
    size_t ready_len;
    uint8_t *saved; /* the machine then */
    size_t saved_len;
    size_t said;         /* characters of text by then */
    struct host_log log; /* from there to the end */
    char *text;          /* all that the guest said */
    uint64_t count, digest;
    struct t_rng rng;
};

/* --- What must be on the disk --- */

/* Content of file `i`, as guest/powercut-work writes it. The caller's to free(). */
static char *content(int i, size_t *len)
{
    int lines = 40 + i * 137 % 900;
    char *text = malloc((size_t)lines * LINE);
    size_t n = 0;
    for (int k = 1; text && k <= lines; k++) {
        n += (size_t)snprintf(text + n, LINE, "%d %d\n", i, k);
    }
    *len = n;
    return text;
}

static bool holds(const char *dir, char prefix, int i)
{
    char path[4200];
    size_t want_len, len;
    snprintf(path, sizeof path, "%s/w/%c%d", dir, prefix, i);
    if (access(path, F_OK) != 0) {
        return false;
    }
    char *want = content(i, &want_len);
    uint8_t *data = dos_read_file(path, &len);
    bool ok = data && want && len == want_len && memcmp(data, want, len) == 0;
    free(data);
    free(want);
    return ok;
}

static bool told(const char *text, const char *what, int i)
{
    char line[LINE];
    snprintf(line, sizeof line, "%s f%d\r\n", what, i);
    return strstr(text, line) != NULL;
}

/* The files in `dir`/w against what the guest has said. */
static void check_files(const char *dir, const char *text)
{
    for (int i = 1; i <= FILES; i++) {
        bool moves = i % 10 == 5, goes = i % 10 == 4;
        if (!told(text, "synced", i)) {
            continue;
        }
        if (moves && told(text, "moved", i)) {
            EXPECT(holds(dir, 'g', i) && !holds(dir, 'f', i));
        } else if (moves) {
            EXPECT(holds(dir, 'f', i) || holds(dir, 'g', i)); /* on its way */
        } else if (goes && told(text, "moved", i + 1)) {
            EXPECT(!holds(dir, 'f', i));
        } else if (!goes || !told(text, "synced", i + 1)) {
            EXPECT(holds(dir, 'f', i));
        }
    }
}

/* --- The image afterwards --- */

static int sh(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int sh(const char *format, ...)
{
    char command[20000];
    va_list ap;
    va_start(ap, format);
    vsnprintf(command, sizeof command, format, ap);
    va_end(ap);
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Replay the journal, then nothing may be wrong; then look at the files. */
static void check_image(const struct bench *b, const char *image, const char *text)
{
    char *raw = strdup(t_build_path("powercut-raw.img")), *dir = strdup(t_build_path("powercut.d"));
    char *log = strdup(t_build_path("powercut.log"));
    if (strcmp(b->format, "raw") == 0) {
        EXPECT_EQ(sh("cp --sparse=always '%s' '%s'", image, raw), 0);
    } else {
        EXPECT_EQ(sh("qemu-img check -q '%s' >'%s' 2>&1; [ $? -le 3 ]", image, log), 0);
        EXPECT_EQ(sh("qemu-img convert -O raw '%s' '%s'", image, raw), 0);
    }
    if (b->place->offset) {
        EXPECT_EQ(sh("dd if='%s' of='%s.fs' bs=1M skip=%u conv=sparse status=none && "
                     "mv '%s.fs' '%s'",
                     raw, raw, b->place->offset, raw, raw),
                  0);
    }
    bool ok = EXPECT_EQ(sh("e2fsck -y -E journal_only '%s' >'%s' 2>&1", raw, log) & ~1, 0) &&
              EXPECT_EQ(sh("e2fsck -fn '%s' >>'%s' 2>&1", raw, log), 0) &&
              EXPECT_EQ(sh("rm -rf '%s' && mkdir '%s' && debugfs -R 'rdump /w %s' '%s' >>'%s' 2>&1",
                           dir, dir, dir, raw, log),
                        0);
    if (ok) {
        check_files(dir, text);
    } else {
        size_t len;
        char *said = (char *)dos_read_file(log, &len);
        FAIL("after the cut:\n%.*s\nthe image is %s", said ? (int)len : 0, said ? said : "", raw);
        free(said);
    }
    free(raw);
    free(dir);
    free(log);
}

static void put_image(const char *path, const uint8_t *data, size_t len)
{
    FILE *f = fopen(path, "wb"); /* the same file, so that a saved machine takes it */
    EXPECT(f && fwrite(data, 1, len, f) == len && fclose(f) == 0);
}

/* --- The runs --- */

static bool begin_initrd(struct talk *t)
{
    return talk_wait(t, "powercut: ready", 6000);
}

static bool begin_root(struct talk *t)
{
    return talk_wait_screen(t, "Press enter to boot the selected", 2000) && talk_press(t, "ret") &&
           talk_wait(t, "doppel login: ", 20000) && talk_type(t, "root\n") &&
           talk_wait(t, "Password: ", 3000) && talk_type(t, "root\n") &&
           talk_wait(t, ":~# ", 5000) &&
           talk_type(t,
                     "mount /dev/sr0 /mnt; mkdir /w; cd /w; sh /mnt/powercut-work; poweroff\n") &&
           talk_wait(t, "powercut: ready", 5000);
}

static const struct place small = {.base = "powercut.img", .begin = begin_initrd};
static const struct place debian = {
    .base = "debian-root.qcow2", .begin = begin_root, .offset = 1, .root = true};

static bool bench_open(struct bench *b, const struct place *place, const char *format)
{
    char text[8400], base[4200];
    *b = (struct bench){.place = place, .format = format, .rng = {t_seed()}};
    snprintf(base, sizeof base, "%s", guest_path("", place->base));
    snprintf(text, sizeof text, "powercut.%s", format);
    b->path = strdup(t_build_path(text));
    snprintf(text, sizeof text, "file=%s,format=%s", b->path, format);
    b->drive = strdup(text);
    b->setup = (struct talk_setup){.ram_mib = place->root ? 512 : 128, .drive = {b->drive}};
    if (place->root) {
        snprintf(text, sizeof text, "file=%s,format=raw,media=cdrom",
                 guest_path("", "debian-root-hello.iso"));
        b->cd = strdup(text);
        b->setup.drive[1] = b->cd;
        b->setup.boot = "order=c";
    } else {
        b->kernel = strdup(guest_path("vmlinuz-", "cloud"));
        b->initrd = strdup(guest_path("initrd-", "powercut"));
        b->setup.kernel = b->kernel;
        b->setup.initrd = b->initrd;
        b->setup.append = "console=ttyS0 quiet panic=-1";
    }
    return EXPECT_EQ(sh("qemu-img convert -O %s '%s' '%s'", format, base, b->path), 0);
}

static void bench_close(struct bench *b)
{
    unlink(b->path);
    free(b->path);
    free(b->kernel);
    free(b->initrd);
    free(b->drive);
    free(b->cd);
    free(b->ready);
    free(b->saved);
    free(b->text);
    hostlog_free(&b->log);
}

/* From power-on to power-off. */
static bool first_run(struct bench *b)
{
    struct talk t;
    bool ok = talk_open(&t, &b->setup, 0) && b->place->begin(&t);
    if (ok) {
        doppel_save(t.vm, &b->saved, &b->saved_len);
        b->ready = dos_read_file(b->path, &b->ready_len);
        b->said = t.len;
        hostlog_start(&b->log, b->path, &t.len);
        ok = b->ready && talk_wait(&t, "powercut: done", 20000) && talk_wait_off(&t, 20000);
        hostlog_stop();
        b->count = doppel_icount(t.vm);
        b->digest = doppel_digest(t.vm);
        b->text = strdup(t.text);
    }
    talk_close(&t);
    return ok;
}

/* A machine that goes on from "ready". */
static bool resume(struct bench *b, struct talk *t)
{
    struct doppel_error e;
    put_image(b->path, b->ready, b->ready_len);
    if (!talk_open(t, &b->setup, 0)) {
        return false;
    }
    if (!doppel_load(t->vm, b->saved, b->saved_len, &e)) {
        FAIL("load: %s", e.msg);
        return false;
    }
    return true;
}

static void second_run(struct bench *b)
{
    struct talk t;
    struct host_log again = {0};
    t_context("%s, again from a saved machine", b->format);
    if (resume(b, &t)) {
        hostlog_start(&again, b->path, &t.len);
        bool ok = talk_wait(&t, "powercut: done", 20000) && talk_wait_off(&t, 20000);
        hostlog_stop();
        if (ok) {
            EXPECT_EQ(doppel_icount(t.vm), b->count);
            EXPECT_EQ(doppel_digest(t.vm), b->digest);
            EXPECT_STR(t.text, b->text + b->said);
            EXPECT(hostlog_same(&again, &b->log));
        }
    }
    hostlog_free(&again);
    talk_close(&t);
}

/* The power goes at some operation of the run. */
static void cut(struct bench *b, unsigned n)
{
    static const char *const names[] = {"keeps all", "loses all", "loses some sectors"};
    size_t at = t_rand_below(&b->rng, b->log.nops), len;
    enum hostlog_cut how = (enum hostlog_cut)(n % 3);
    char *path = strdup(t_build_path("powercut-cut.img"));
    t_context("%s, cut %u: before operation %zu, %s since the last flush; T_SEED=%llu", b->format,
              n, at, names[how], (unsigned long long)t_seed());
    uint8_t *image = hostlog_cut(&b->log, at, how, &b->rng, b->ready, b->ready_len, &len);
    put_image(path, image, len);
    char *text = strndup(b->text, b->log.op[at].said);
    check_image(b, path, text);
    free(text);
    free(image);
    unlink(path);
    free(path);
}

/* --- kill -9 --- */

/* The child: what the guest says goes into the pipe as soon as it is said. */
static void go_on(struct bench *b, int out)
{
    struct talk t;
    size_t sent = 0;
    if (!resume(b, &t)) {
        _exit(1);
    }
    while (doppel_run(t.vm, doppel_icount(t.vm) + 100000) == DOPPEL_LIMIT) {
        while (sent < t.len) {
            ssize_t n = write(out, t.text + sent, t.len - sent);
            if (n <= 0) {
                _exit(1);
            }
            sent += (size_t)n;
        }
    }
    _exit(0);
}

static void kill_once(struct bench *b, unsigned n)
{
    char text[65536];
    size_t len = 0;
    int fd[2];
    unsigned lines = 5 + (unsigned)t_rand_below(&b->rng, 40), delay;
    delay = (unsigned)t_rand_below(&b->rng, 30000);
    t_context("%s, kill %u: %u us behind line %u", b->format, n, delay, lines);
    if (!EXPECT_EQ(pipe(fd), 0)) {
        return;
    }
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        close(fd[0]);
        go_on(b, fd[1]);
    }
    close(fd[1]);
    while (lines && len < sizeof text - 1) {
        ssize_t got = read(fd[0], text + len, 1);
        if (got <= 0) {
            break;
        }
        lines -= text[len] == '\n';
        len++;
    }
    text[len] = 0;
    EXPECT_EQ(lines, 0);
    usleep(delay);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(fd[0]);
    check_image(b, b->path, text);
}

static void power_cuts(const struct place *place, const char *format, uint64_t cuts, uint64_t kills)
{
    struct bench b;
    setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
    if (!guests_have("initrd-powercut") || !guests_have(place->base) ||
        !dos_need("/usr/bin/qemu-img", "qemu-utils")) {
        return;
    }
    if (bench_open(&b, place, format) && first_run(&b)) {
        size_t flushes = 0;
        for (size_t i = 0; i < b.log.nops; i++) {
            flushes += b.log.op[i].len == 0;
        }
        printf("  %s: %zu writes, %zu flushes, %zu KiB, digest %016llx\n", format,
               b.log.nops - flushes, flushes, b.log.ndata / 1024, (unsigned long long)b.digest);
        EXPECT(flushes > FILES);
        for (unsigned i = 0; i < cuts; i++) {
            cut(&b, i);
        }
        second_run(&b);
        for (unsigned i = 0; i < kills; i++) {
            kill_once(&b, i);
        }
    }
    bench_close(&b);
}

TEST(powercut_raw)
{
    power_cuts(&small, "raw", t_amount(6, 30, 2000), t_amount(1, 2, 50));
}

/* The image's own tables take part too: qemu-img finds no error, leaks at most. */
TEST(powercut_qcow2)
{
    power_cuts(&small, "qcow2", t_amount(6, 30, 2000), t_amount(1, 2, 50));
}

TEST(powercut_debian_root)
{
    if (!t_amount(0, 0, 1)) {
        SKIP("takes many minutes: T_LEVEL=long");
        return;
    }
    power_cuts(&debian, "qcow2", 60, 6);
}
