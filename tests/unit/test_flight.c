/*
 * The flight recorder: what it writes on request and by itself is a log that replays, whatever has
 * happened to the disks since it began; it keeps within its limit.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/robot.h"
#include "tests/t.h"
#include "util/bits.h"

enum { KIB = 1024, HD0 = 0xe0, HD1 = 0xf0, READ = 0x20, FLUSH = 0xe7, COM2 = 0x2f8 };

struct place {
    char dir[64], image[96], other[96], floppy[96], log[96], text[96];
    char drive[3][200], how[300];
    struct doppel_options o;
    struct robot r;
};

static void make_image(const char *path, unsigned kib, char fill)
{
    char block[KIB];
    FILE *f = fopen(path, "wb");
    memset(block, fill, sizeof block);
    for (unsigned i = 0; i < kib && f; i++) {
        EXPECT_EQ(fwrite(block, 1, sizeof block, f), sizeof block);
    }
    EXPECT(f && fclose(f) == 0);
}

/* A robot with a disk that it writes to, one with an overlay, and such a floppy. */
static bool place_start(struct place *p, uint64_t mib, bool no_reboot)
{
    struct doppel_error e = {"", false};
    memset(p, 0, sizeof *p);
    snprintf(p->dir, sizeof p->dir, "/tmp/doppel-flight-XXXXXX");
    EXPECT(mkdtemp(p->dir) != NULL);
    char *names[] = {p->image, p->other, p->floppy, p->log, p->text};
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(names[i], sizeof p->image, "%s/%u", p->dir, i);
    }
    make_image(p->image, 512, 0x11);
    make_image(p->other, 512, 0x22);
    make_image(p->floppy, 1440, 0x33);
    p->o = robot_options();
    p->o.ram_bytes = mib << 20;
    p->o.no_reboot = no_reboot;
    p->o.log_file = p->text;
    p->o.name = "robot";
    p->o.serial[1] = "null";
    snprintf(p->drive[0], sizeof p->drive[0], "file=%s,format=raw", p->image);
    snprintf(p->drive[1], sizeof p->drive[1], "file=%s,format=raw,snapshot=on", p->other);
    snprintf(p->drive[2], sizeof p->drive[2], "file=%s,if=floppy,format=raw,snapshot=on",
             p->floppy);
    for (unsigned i = 0; i < ARRAY_LEN(p->drive); i++) {
        p->o.drive[p->o.ndrives++] = p->drive[i];
    }
    if (!robot_start(&p->r, &p->o, &e)) {
        FAIL("%s", e.msg);
        return false;
    }
    return true;
}

static void place_end(struct place *p)
{
    if (p->r.vm) {
        robot_stop(&p->r);
    }
    char *names[] = {p->image, p->other, p->floppy, p->log, p->text};
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        unlink(names[i]);
    }
    EXPECT_EQ(rmdir(p->dir), 0);
}

/* `more`: ",limit=..." and the like. */
static bool fly(struct place *p, const char *span, const char *more)
{
    struct doppel_error e = {"", false};
    snprintf(p->how, sizeof p->how, "%s,file=%s%s", span, p->log, more);
    bool ok = doppel_flight_start(p->r.vm, p->how, &e);
    EXPECT_STR(e.msg, "");
    return ok;
}

/* Long enough that the host is polled. */
static void rest(struct place *p)
{
    doppel_run(p->r.vm, doppel_icount(p->r.vm) + 2000000);
}

/* Writes to all disks and reads back, so that what they hold decides what the machine is. */
static void work(struct place *p, uint8_t fill)
{
    struct robot *r = &p->r;
    robot_write(r, HD0, 5, fill);
    robot_write(r, HD1, 5, fill);
    robot_write(r, HD1, 700, fill);
    EXPECT_EQ(robot_ata(r, HD0, READ, 5, 1).a, fill);
    EXPECT_EQ(robot_ata(r, HD1, READ, 700, 1).a, fill);
    robot_floppy(r, true, 3, fill);
    robot_ata(r, HD0, FLUSH, 0, 0);
}

static const char *from_line(struct place *p)
{
    const char *info = robot_command(&p->r, "info record");
    return strstr(info, "flight recorder: from ");
}

/* Virtual time at which what would be written begins; host KiB in use. */
static bool look(struct place *p, uint64_t *from, uint64_t *kib)
{
    const char *line = from_line(p);
    return EXPECT(
        line && sscanf(line, "flight recorder: from %" SCNu64 " ns on, %" SCNu64, from, kib) == 2);
}

/* Replays the log with every check. */
static void expect_replay(struct place *p, const char *engine)
{
    struct doppel_error e = {"", false};
    struct doppel_log_info info;
    struct doppel_log *l = doppel_log_open(p->log, &e);
    if (!l) {
        FAIL("%s", e.msg);
        return;
    }
    struct doppel_options o = *doppel_log_options(l);
    doppel_log_info(l, &info);
    o.replay_verify = true;
    o.engine = engine;
    struct doppel_vm *vm = doppel_create(&o, &e);
    if (!vm) {
        FAIL("%s", e.msg);
    } else {
        enum doppel_stop why = doppel_run(vm, DOPPEL_NO_LIMIT);
        EXPECT_STR(why == DOPPEL_DIVERGED ? doppel_failure(vm) : "", "");
        EXPECT(why == DOPPEL_REPLAYED || why == DOPPEL_RESET);
        EXPECT(info.complete);
        EXPECT_EQ(doppel_digest(vm), info.digest);
        EXPECT_EQ(doppel_icount(vm), info.end_icount);
        doppel_destroy(vm);
    }
    doppel_log_close(l);
}

static void expect_text(struct place *p, const char *want)
{
    char text[2000];
    FILE *f = fopen(p->text, "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    text[n] = 0;
    if (!EXPECT(strstr(text, want) != NULL)) {
        FAIL("not in it: %s", text);
    }
    if (f) {
        fclose(f);
    }
}

/* On request, more than once, with disks that have changed since it began. */
TEST(flight_on_request)
{
    struct place p;
    struct doppel_error e = {"", false};
    if (!place_start(&p, 4, false)) {
        return;
    }
    work(&p, 0x44);
    if (EXPECT(fly(&p, "60s", ""))) {
        for (uint8_t i = 0; i < 2; i++) {
            work(&p, (uint8_t)(0x55 + i));
            rest(&p);
            EXPECT(doppel_flight_save(p.r.vm, p.log, &e));
        }
        robot_stop(&p.r);
        expect_replay(&p, "jit");
        expect_replay(&p, "interp");
    }
    place_end(&p);
}

/* The older one goes when the newer one is old enough: the log begins later, and still replays. */
TEST(flight_moves_on)
{
    struct place p;
    struct doppel_error e = {"", false};
    uint64_t from, begun = 0, kib;
    if (!place_start(&p, 4, false)) {
        return;
    }
    if (EXPECT(fly(&p, "10ms", "") && look(&p, &begun, &kib))) {
        for (unsigned i = 0; i < 2; i++) {
            work(&p, (uint8_t)(0x66 + i));
            usleep(1100000); /* a machine that runs ahead begins anew every second at most */
            robot_busy(&p.r, 20);
        }
        work(&p, 0x70);
        EXPECT(look(&p, &from, &kib) && from > begun);
        EXPECT(doppel_flight_save(p.r.vm, p.log, &e));
        robot_stop(&p.r);
        expect_replay(&p, "jit");
    }
    place_end(&p);
}

/* What an overlay held goes with its medium; the log has it before that. */
TEST(flight_medium_change)
{
    struct place p;
    struct doppel_error e = {"", false};
    char line[200];
    if (!place_start(&p, 4, false)) {
        return;
    }
    work(&p, 0x44);
    if (EXPECT(fly(&p, "60s", ""))) {
        EXPECT_EQ(robot_floppy(&p.r, false, 3, 0).b, 0x44);
        robot_command(&p.r, "eject floppy0");
        snprintf(line, sizeof line, "change floppy0 %s", p.floppy);
        robot_command(&p.r, line);
        robot_floppy(&p.r, false, 3, 0); /* says that it has been changed */
        EXPECT_EQ(robot_floppy(&p.r, false, 3, 0).b, 0x33);
        work(&p, 0x55);
        EXPECT(doppel_flight_save(p.r.vm, p.log, &e));
        robot_stop(&p.r);
        expect_replay(&p, "jit");
    }
    place_end(&p);
}

/* A triple fault writes the log, whether the machine goes on or ends. */
TEST(flight_triple_fault)
{
    for (unsigned ends = 0; ends < 2; ends++) {
        struct place p;
        if (!place_start(&p, 4, ends)) {
            return;
        }
        if (EXPECT(fly(&p, "60s", ""))) {
            work(&p, 0x55);
            p.r.n = 0;
            doppel_post_input(p.r.vm, "com1.rx", "X.......", 8);
            enum doppel_stop why = doppel_run(p.r.vm, doppel_icount(p.r.vm) + 3000000);
            EXPECT_EQ(why, ends ? DOPPEL_RESET : DOPPEL_LIMIT);
            robot_stop(&p.r);
            expect_text(&p, "robot: a CPU shut down (triple fault) at ");
            expect_replay(&p, "jit");
        }
        place_end(&p);
    }
}

static void print(struct place *p, const char *text)
{
    for (; *text; text++) {
        const char order[8] = {'o', (char)(COM2 & 0xff), COM2 >> 8, *text};
        robot_order(&p->r, order);
    }
}

/* The text of a panic at any serial port, and no other text; once. */
TEST(flight_panic)
{
    struct place p;
    if (!place_start(&p, 4, false)) {
        return;
    }
    if (EXPECT(fly(&p, "60s", ",panic=ababc"))) {
        print(&p, "abab abc ababd abbabc");
        rest(&p);
        EXPECT(access(p.log, F_OK) != 0);
        print(&p, "abababc");
        rest(&p);
        EXPECT(access(p.log, F_OK) == 0);
        expect_text(&p, "robot: a serial port printed the text of a panic at ");
        EXPECT_EQ(unlink(p.log), 0);
        print(&p, "ababc");
        rest(&p);
        EXPECT(access(p.log, F_OK) != 0);
        EXPECT(doppel_flight_save(p.r.vm, p.log, NULL));
        robot_stop(&p.r);
        expect_replay(&p, "jit");
    }
    place_end(&p);
}

/* The robot never takes interrupts. */
TEST(flight_watchdog)
{
    struct place p;
    if (!place_start(&p, 4, false)) {
        return;
    }
    if (EXPECT(fly(&p, "60s", ",watchdog=20ms"))) {
        rest(&p);
        EXPECT(access(p.log, F_OK) != 0);
        robot_busy(&p.r, 30);
        EXPECT(access(p.log, F_OK) == 0);
        robot_stop(&p.r);
        expect_text(&p, "robot: no CPU has taken interrupts for long at ");
        expect_replay(&p, "jit");
    }
    place_end(&p);
}

/* 40 MiB of RAM, which take 42 million instructions. */
static void fill(struct place *p, uint8_t value)
{
    const char order[8] = {'M', (char)value, 40};
    EXPECT(robot_order(&p->r, order) || robot_wait(&p->r) || robot_wait(&p->r));
}

/* A machine that overwrites its RAM keeps less of its past, not more memory. */
TEST(flight_limit)
{
    enum { LIMIT = 16 };
    struct place p;
    uint64_t begun = 0, from = 0, kib = 0;
    struct doppel_error e = {"", false};
    if (!place_start(&p, 64, false)) {
        return;
    }
    fill(&p, 1); /* so that there is something to keep */
    if (EXPECT(fly(&p, "60s", ",limit=16M") && look(&p, &begun, &kib))) {
        EXPECT(kib < 2 * KIB);
        for (uint8_t i = 0; i < 4; i++) {
            fill(&p, (uint8_t)(i + 2));
        }
        for (unsigned i = 0; i < 8 && (i == 0 || kib > LIMIT * KIB); i++) {
            usleep(250000); /* it looks a few times a second */
            rest(&p);
            look(&p, &from, &kib);
        }
        if (!EXPECT(look(&p, &from, &kib) && kib < LIMIT * KIB && from > begun)) {
            FAIL("from %" PRIu64 ", first %" PRIu64 ", %" PRIu64 " KiB", from, begun, kib);
        }
        EXPECT(doppel_flight_save(p.r.vm, p.log, &e));
        robot_stop(&p.r);
        expect_replay(&p, "jit");
    }
    place_end(&p);
}

/* Off is off; what cannot be meant is refused. */
TEST(flight_options)
{
    static const char *const bad[] = {"",
                                      "x",
                                      "6x",
                                      "0s",
                                      "60s,limit",
                                      "60s,limit=1",
                                      "60s,file=",
                                      "60s,watchdog=1x",
                                      "60s,color=red"};
    struct place p;
    struct doppel_error e = {"", false};
    if (!place_start(&p, 4, false)) {
        return;
    }
    EXPECT(doppel_flight_start(p.r.vm, "off", &e));
    EXPECT(!doppel_flight_save(p.r.vm, p.log, &e));
    EXPECT(strstr(e.msg, "no flight recorder") != NULL);
    EXPECT(access(p.log, F_OK) != 0);
    EXPECT(from_line(&p) == NULL);
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        t_context("%s", bad[i]);
        e = (struct doppel_error){"", false};
        EXPECT(!doppel_flight_start(p.r.vm, bad[i], &e));
        EXPECT(e.usage && strncmp(e.msg, "-flight", 7) == 0);
    }
    EXPECT(fly(&p, "60s", ""));
    place_end(&p);
}
