/*
 * doppel replay --verify of a log in which somebody has altered an input, checksums and all: it
 * ends with status 3 and names the interval and the fields.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/t.h"
#include "vm/inlog.h"

struct place {
    char dir[64], log[96], forged[96], out[96];
};

/* Runs a command of the shell; its status. */
static int run(const char *fmt, const char *a, const char *b, const char *c)
{
    char command[3 * 4096 + 500];
    snprintf(command, sizeof command, fmt, a, b, c);
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The order to read port 0x21, given to the robot, becomes one for port 0xa1. */
static void forge(const struct place *p)
{
    static const char from[8] = "i\x21\0.....", to[8] = "i\xa1\0.....";
    struct inlog_reader in;
    struct inlog_writer out;
    struct err e;
    unsigned found = 0;
    if (!EXPECT(inlog_open(&in, p->log, &e) && inlog_create(&out, p->forged, &e))) {
        return;
    }
    while (inlog_next(&in)) {
        for (size_t i = 0; !found && in.type == INLOG_RUN && i + 8 <= in.len; i++) {
            if (memcmp(in.raw + i, from, 8) == 0) {
                memcpy(in.raw + i, to, 8);
                found++;
            }
        }
        EXPECT(inlog_put(&out, in.type, in.raw, in.len));
    }
    EXPECT_EQ(found, 1);
    inlog_reader_close(&in);
    inlog_close(&out);
}

static void expect_text(const struct place *p, const char *text)
{
    char got[4000];
    FILE *f = fopen(p->out, "r");
    size_t n = f ? fread(got, 1, sizeof got - 1, f) : 0;
    got[n] = 0;
    if (!strstr(got, text)) {
        FAIL("no \"%s\" in: %s", text, got);
    }
    if (f) {
        fclose(f);
    }
}

TEST(forged_log_is_found_out)
{
    static const char *const engines[] = {"interp", "jit"};
    struct place p;
    char doppel[4096], robot[4096], args[200];
    snprintf(p.dir, sizeof p.dir, "/tmp/doppel-forged-XXXXXX");
    EXPECT(mkdtemp(p.dir) != NULL);
    snprintf(p.log, sizeof p.log, "%s/log", p.dir);
    snprintf(p.forged, sizeof p.forged, "%s/forged", p.dir);
    snprintf(p.out, sizeof p.out, "%s/out", p.dir);
    snprintf(doppel, sizeof doppel, "%s", t_build_path("doppel"));
    snprintf(robot, sizeof robot, "%s", t_build_path("tests/lib/robot.bin"));
    EXPECT_EQ(
        run("printf 'i\\041\\000.....' | %s run -m 4 -vga none -display none -kernel %s -serial "
            "stdio -icount-limit 70000000 -record %s >/dev/null",
            doppel, robot, p.log),
        0);
    forge(&p);
    for (unsigned i = 0; i < 2; i++) {
        snprintf(args, sizeof args, "%s --verify --engine %s", p.log, engines[i]);
        EXPECT_EQ(run("%s replay %s -serial null >%s 2>&1", doppel, args, p.out), 0);
        expect_text(&p, "1 checks and the digest at the end are right");
        snprintf(args, sizeof args, "%s --verify --engine %s", p.forged, engines[i]);
        EXPECT_EQ(run("%s replay %s -serial null >%s 2>&1", doppel, args, p.out), 3);
        expect_text(&p, "leaves the recorded one between instructions 0 and 67108864; at 67108864");
        expect_text(&p, "com1.rx_fifo[1]: recorded 0x21, here 0xa1");
    }
    unlink(p.log);
    unlink(p.forged);
    unlink(p.out);
    EXPECT_EQ(rmdir(p.dir), 0);
}
