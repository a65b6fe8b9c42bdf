/* The test's side of the robot. */
#include "tests/lib/robot.h"

#include <stdio.h>
#include <string.h>

#include "tests/t.h"
#include "vm/drives_priv.h"

enum { STEP = 50000, PATIENCE = 400 };

static void on_byte(void *ctx, const uint8_t *data, size_t len)
{
    struct robot *r = ctx;
    for (; len; len--, data++) {
        if (r->n < sizeof r->answer) {
            r->answer[r->n++] = *data;
        }
    }
}

struct doppel_options robot_options(void)
{
    static char kernel[4096];
    struct doppel_options o;
    doppel_options_init(&o, DOPPEL_ABI);
    snprintf(kernel, sizeof kernel, "%s", t_build_path("tests/lib/robot.bin"));
    o.kernel = kernel;
    o.ram_bytes = 4u << 20;
    o.rtc_epoch = 1700000000;
    o.seed = 7;
    o.vga = "none";
    return o;
}

bool robot_start(struct robot *r, const struct doppel_options *o, struct doppel_error *e)
{
    *r = (struct robot){.vm = doppel_create(o, e)};
    if (!r->vm) {
        return false;
    }
    doppel_serial_listen(r->vm, 0, on_byte, r);
    return EXPECT(robot_wait(r)) && EXPECT_EQ(r->answer[0], 'R');
}

void robot_stop(struct robot *r)
{
    doppel_destroy(r->vm);
    r->vm = NULL;
}

bool robot_wait(struct robot *r)
{
    for (unsigned i = 0; i < PATIENCE && r->n < sizeof r->answer; i++) {
        doppel_run(r->vm, doppel_icount(r->vm) + STEP);
    }
    return r->n == sizeof r->answer;
}

bool robot_order(struct robot *r, const char order[8])
{
    r->n = 0;
    return EXPECT(doppel_post_input(r->vm, "com1.rx", order, 8)) && robot_wait(r);
}

static struct robot_ata answered(struct robot *r, const char order[8])
{
    if (!robot_order(r, order)) {
        FAIL("the robot does not answer");
        return (struct robot_ata){0xff, 0xff, 0xff, 0xff};
    }
    return (struct robot_ata){r->answer[0], r->answer[1], r->answer[2], r->answer[3]};
}

struct robot_ata robot_ata(struct robot *r, uint8_t dev, uint8_t cmd, uint32_t lba, uint8_t count)
{
    const char order[8] = {'A',       (char)dev,        (char)cmd,         (char)count,
                           (char)lba, (char)(lba >> 8), (char)(lba >> 16), 0};
    return answered(r, order);
}

struct robot_ata robot_write(struct robot *r, uint8_t dev, uint32_t lba, uint8_t fill)
{
    const char order[8] = {
        'W', (char)dev, 0x30, (char)lba, (char)(lba >> 8), (char)(lba >> 16), (char)fill};
    return answered(r, order);
}

struct robot_ata robot_packet(struct robot *r, uint8_t dev, uint8_t op, uint8_t b4, uint8_t b5,
                              uint8_t b8)
{
    const char order[8] = {'P', (char)dev, (char)op, (char)b4, (char)b5, (char)b8};
    return answered(r, order);
}

uint8_t robot_in(struct robot *r, uint16_t port)
{
    const char order[8] = {'i', (char)port, (char)(port >> 8)};
    return answered(r, order).status;
}

void robot_busy(struct robot *r, uint8_t n)
{
    const char order[8] = {'B', (char)n};
    r->n = 0;
    EXPECT(doppel_post_input(r->vm, "com1.rx", order, 8));
    doppel_run(r->vm, doppel_icount(r->vm) + ((uint64_t)n << 20));
    EXPECT(robot_wait(r));
}

struct robot_ata robot_floppy(struct robot *r, bool write, uint8_t cyl, uint8_t fill)
{
    const char order[8] = {'F', write, 0, (char)cyl, 0, 1, (char)fill};
    return answered(r, order);
}

struct blk *robot_medium(struct robot *r, unsigned n)
{
    return r->vm->drives->list[n]->d.blk;
}

static void collect(void *ctx, const char *text, size_t len)
{
    char *to = ctx;
    size_t at = strlen(to);
    len = len < 4095 - at ? len : 4095 - at;
    memcpy(to + at, text, len);
    to[at + len] = 0;
}

const char *robot_command(struct robot *r, const char *line)
{
    static char text[4096];
    text[0] = 0;
    doppel_command(r->vm, line, collect, text);
    return text;
}
