/*
 * Frames, pictures and screen text, with a toy adapter in the place of a display: it draws what the
 * test sets. The guest is the demo.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "host/picture.h"
#include "tests/t.h"
#include "util/bits.h"
#include "vm/vm.h"
#if HAVE_ZLIB
#include <zlib.h>
#endif

/* --- The toy: a rectangle of one color, or text --- */

static struct {
    uint32_t width, height, color;
    bool dirty;
    unsigned draws;
    struct text_screen text;
    bool is_text;
} toy;

static bool toy_draw(struct dev *d, struct frame *f, bool all)
{
    (void)d;
    bool changed = toy.dirty || all;
    toy.draws++;
    toy.dirty = false;
    if (changed && frame_resize(f, toy.width, toy.height)) {
        for (uint32_t i = 0; i < f->width * f->height; i++) {
            f->pixel[i] = toy.color + (i == 0);
        }
    }
    return changed;
}

static bool toy_text(struct dev *d, struct text_screen *t)
{
    (void)d;
    *t = toy.text;
    return toy.is_text;
}

static const struct display_ops toy_ops = {toy_draw, toy_text};

static void toy_show(uint32_t width, uint32_t height, uint32_t color)
{
    toy.width = width;
    toy.height = height;
    toy.color = color;
    toy.dirty = true;
}

/* A machine that waits at its reset vector for doppel_run. */
static struct doppel_vm *create(bool adapter)
{
    struct doppel_options o;
    doppel_options_init(&o, DOPPEL_ABI);
    o.rtc_epoch = 0;
    o.seed = 1;
    o.ram_bytes = 4u << 20;
    struct doppel_vm *vm = doppel_create(&o, NULL);
    if (EXPECT(vm != NULL) && adapter) {
        memset(&toy, 0, sizeof toy);
        vm->env.display = vm->env.devs[0];
        vm->env.display_ops = &toy_ops;
    }
    return vm;
}

static void run_on(struct doppel_vm *vm, uint64_t n)
{
    EXPECT_EQ(doppel_run(vm, doppel_icount(vm) + n), DOPPEL_LIMIT);
}

/* --- Frames --- */

TEST(frames_are_drawn_when_asked_for)
{
    struct doppel_vm *vm = create(true);
    struct doppel_frame f;
    toy_show(4, 3, 0x102030);
    run_on(vm, 1000);
    EXPECT_EQ(toy.draws, 0); /* nobody looks */
    EXPECT(!doppel_frame_get(vm, 0, &f));
    doppel_frame_request(vm);
    run_on(vm, 1000);
    if (EXPECT(doppel_frame_get(vm, 0, &f))) {
        EXPECT_EQ(f.serial, 1);
        EXPECT_EQ(f.width, 4);
        EXPECT_EQ(f.height, 3);
        EXPECT_EQ(f.pixel[0], 0x102031);
        EXPECT_EQ(f.pixel[11], 0x102030);
        EXPECT(f.vtime >= 1000 && f.vtime <= 2000);
        EXPECT(!doppel_frame_get(vm, f.serial, &f));
        doppel_frame_release(vm, &f);
    }
    unsigned draws = toy.draws;
    run_on(vm, 1000);
    EXPECT_EQ(toy.draws, draws); /* answered */
    doppel_destroy(vm);
}

TEST(unchanged_screen_keeps_its_serial_and_the_request_open)
{
    struct doppel_vm *vm = create(true);
    struct doppel_frame f, g;
    toy_show(8, 8, 1);
    doppel_frame_request(vm);
    run_on(vm, 10);
    EXPECT(doppel_frame_get(vm, 0, &f));
    doppel_frame_request(vm);
    toy.dirty = true; /* drawn anew, to the same picture */
    run_on(vm, 10);
    EXPECT(!doppel_frame_get(vm, f.serial, &g));
    toy_show(8, 8, 2); /* the request still stands */
    run_on(vm, 10);
    if (EXPECT(doppel_frame_get(vm, f.serial, &g))) {
        EXPECT_EQ(g.serial, 2);
        EXPECT_EQ(g.pixel[1], 2);
        EXPECT_EQ(f.pixel[1], 1); /* what is held does not change */
        doppel_frame_release(vm, &g);
    }
    doppel_frame_release(vm, &f);
    EXPECT(f.pixel == NULL);
    doppel_destroy(vm);
}

/* What the monitor draws must not be lost to viewers. */
TEST(looking_by_other_means_takes_nothing_from_viewers)
{
    struct doppel_vm *vm = create(true);
    struct doppel_frame f;
    toy_show(8, 8, 1);
    uint64_t one = doppel_screen_digest(vm);
    doppel_frame_request(vm);
    run_on(vm, 10);
    EXPECT(doppel_frame_get(vm, 0, &f));
    doppel_frame_release(vm, &f);
    doppel_frame_request(vm);
    toy_show(8, 8, 2);
    uint64_t two = doppel_screen_digest(vm);
    EXPECT(one != two && one != 0);
    run_on(vm, 10);
    if (EXPECT(doppel_frame_get(vm, 1, &f))) {
        EXPECT_EQ(f.pixel[1], 2);
        doppel_frame_release(vm, &f);
    }
    toy_show(4, 16, 2);
    EXPECT(doppel_screen_digest(vm) != two); /* the size counts */
    toy_show(8, 8, 1);
    EXPECT_EQ(doppel_screen_digest(vm), one);
    doppel_destroy(vm);
}

TEST(watching_changes_nothing_for_the_guest)
{
    uint64_t digest[2];
    for (unsigned watch = 0; watch < 2; watch++) {
        struct doppel_vm *vm = create(true);
        for (unsigned i = 0; i < 20; i++) {
            if (watch) {
                toy_show(16, 16, i);
                doppel_frame_request(vm);
            }
            run_on(vm, 997);
        }
        digest[watch] = doppel_digest(vm);
        doppel_destroy(vm);
    }
    EXPECT_EQ(digest[0], digest[1]);
}

TEST(viewers_hold_several_pictures)
{
    enum { N = 6 };
    struct doppel_vm *vm = create(true);
    struct doppel_frame f[N];
    for (uint32_t i = 0; i < N; i++) {
        toy_show(10 + i, 10, i);
        doppel_frame_request(vm);
        run_on(vm, 10);
        EXPECT(doppel_frame_get(vm, i, &f[i]));
    }
    for (uint32_t i = 0; i < N; i++) {
        EXPECT_EQ(f[i].serial, i + 1);
        EXPECT_EQ(f[i].width, 10 + i);
        EXPECT_EQ(f[i].pixel[5], i);
        doppel_frame_release(vm, &f[i]);
    }
    doppel_destroy(vm);
}

struct viewer {
    struct doppel_vm *vm;
    atomic_bool stop;
    unsigned seen, bad;
};

static void *watch(void *ctx)
{
    struct viewer *v = ctx;
    uint64_t last = 0;
    struct doppel_frame f;
    while (!atomic_load(&v->stop)) {
        doppel_frame_request(v->vm);
        if (doppel_frame_get(v->vm, last, &f)) {
            for (uint32_t i = 1; i < f.width * f.height; i++) {
                v->bad += f.pixel[i] != f.pixel[1];
            }
            v->bad += f.serial <= last;
            last = f.serial;
            v->seen++;
            doppel_frame_release(v->vm, &f);
        }
    }
    return NULL;
}

TEST(viewers_on_other_threads_see_whole_pictures)
{
    struct doppel_vm *vm = create(true);
    struct viewer v[2] = {{.vm = vm}, {.vm = vm}};
    pthread_t t[2];
    toy_show(64, 64, 0);
    for (unsigned i = 0; i < 2; i++) {
        pthread_create(&t[i], NULL, watch, &v[i]);
    }
    for (uint32_t n = 1; n < 20000 && (n < 500 || v[0].seen < 20 || v[1].seen < 20); n++) {
        toy_show(64 + n % 3, 64, n);
        run_on(vm, 10);
        vm->poll_credit = 0;
    }
    for (unsigned i = 0; i < 2; i++) {
        atomic_store(&v[i].stop, true);
        pthread_join(t[i], NULL);
        EXPECT_EQ(v[i].bad, 0);
        EXPECT(v[i].seen > 0);
    }
    uint64_t icount, time;
    doppel_progress(vm, &icount, &time);
    EXPECT_EQ(icount, doppel_icount(vm));
    EXPECT_EQ(time, doppel_vtime(vm));
    doppel_destroy(vm);
}

static void count_call(void *ctx)
{
    ++*(unsigned *)ctx;
}

TEST(listener_hears_of_each_picture)
{
    struct doppel_vm *vm = create(true);
    unsigned calls = 0;
    doppel_frame_listen(vm, count_call, &calls);
    toy_show(2, 2, 1);
    doppel_frame_request(vm);
    run_on(vm, 10);
    run_on(vm, 10);
    EXPECT_EQ(calls, 1);
    doppel_frame_request(vm);
    run_on(vm, 10);
    EXPECT_EQ(calls, 1);
    doppel_destroy(vm);
}

/* --- Monitor --- */

static char said[8192];

static void say(void *ctx, const char *text, size_t len)
{
    (void)ctx;
    strncat(said, text, len);
}

static const char *command(struct doppel_vm *vm, const char *line)
{
    said[0] = 0;
    doppel_command(vm, line, say, NULL);
    return said;
}

static void put_row(unsigned row, const char *bytes, size_t n)
{
    memset(toy.text.ch[row], ' ', toy.text.cols);
    memcpy(toy.text.ch[row], bytes, n);
}

TEST(screentext_is_utf8_of_code_page_437)
{
    struct doppel_vm *vm = create(true);
    toy.is_text = true;
    toy.text.cols = 10;
    toy.text.rows = 4;
    put_row(0, "A:\\>dir", 7);
    put_row(1, "\xc9\xcd\xbb \x01\x7f \0\xff", 9);
    put_row(2, "", 0);
    put_row(3, " \xe1\x84~", 4);
    EXPECT_STR(command(vm, "screentext"), "A:\\>dir\n╔═╗ ☺⌂\n\n ßä~\n");
    toy.text.cols = toy.text.rows = UINT32_MAX; /* an adapter gone wrong */
    EXPECT(strlen(command(vm, "screentext")) > 0);
    toy.is_text = false;
    toy_show(640, 350, 0);
    EXPECT_STR(command(vm, "screentext"),
               "screentext: the screen shows graphics, 640x350; want screendump\n");
    EXPECT(doppel_screen_text(vm) == NULL);
    doppel_destroy(vm);
}

TEST(no_adapter)
{
    struct doppel_vm *vm = create(false);
    struct doppel_frame f;
    doppel_frame_request(vm);
    run_on(vm, 10);
    EXPECT(!doppel_frame_get(vm, 0, &f));
    EXPECT_EQ(doppel_screen_digest(vm), 0);
    EXPECT(doppel_screen_text(vm) == NULL);
    EXPECT_STR(command(vm, "screentext"), "screentext: this machine has no display adapter\n");
    EXPECT_STR(command(vm, "screendump /tmp/x.png"),
               "screendump: this machine has no display adapter\n");
    doppel_destroy(vm);
}

static size_t read_file(const char *path, uint8_t *buf, size_t size)
{
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(buf, 1, size, f) : 0;
    if (f) {
        fclose(f);
    }
    return n;
}

TEST(screendump_ppm)
{
    static const uint8_t want[] = "P6\n2 1\n255\n\x10\x20\x31\x10\x20\x30";
    struct doppel_vm *vm = create(true);
    char path[64], line[96];
    uint8_t got[64];
    snprintf(path, sizeof path, "/tmp/doppel-screen-%d.ppm", (int)getpid());
    snprintf(line, sizeof line, "screendump %s", path);
    EXPECT(strstr(command(vm, line), "the screen shows nothing"));
    toy_show(2, 1, 0x102030);
    EXPECT_STR(command(vm, line), "");
    EXPECT_EQ(read_file(path, got, sizeof got), sizeof want - 1);
    EXPECT_MEM(got, want, sizeof want - 1);
    unlink(path);
    EXPECT(strstr(command(vm, "screendump /nonexistent/a.png"), "No such file"));
    EXPECT_STR(command(vm, "screendump"), "screendump: want a file name\n");
    doppel_destroy(vm);
}

/* --- PNG, read back by hand --- */

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Stored blocks only; the bytes behind the header. */
static size_t unstore(const uint8_t *p, uint8_t *out)
{
    size_t n = 0;
    bool last;
    p += 2;
    do {
        last = p[0] & 1;
        EXPECT_EQ(p[0] & ~1, 0);
        uint16_t len = le16_get(p + 1);
        EXPECT_EQ((uint16_t)~len, le16_get(p + 3));
        memcpy(out + n, p + 5, len);
        n += len;
        p += 5 + len;
    } while (!last);
    return n;
}

static void check_png(bool stored)
{
    enum { W = 300, H = 200, PITCH = 1 + 3 * W };
    static uint8_t rows[H * PITCH + 8];
    struct frame f = {0};
    EXPECT(frame_resize(&f, W, H));
    for (uint32_t i = 0; i < W * H; i++) {
        f.pixel[i] = i * 0x10305 & 0xffffff;
    }
    size_t len = 0;
    uint8_t *png = picture_png(&f, stored, &len);
    EXPECT_MEM(png, "\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16);
    EXPECT_EQ(be32(png + 16), W);
    EXPECT_EQ(be32(png + 20), H);
    EXPECT_MEM(png + 24, "\x08\x02\0\0\0", 5);
    uint32_t n = be32(png + 33);
    EXPECT_MEM(png + 37, "IDAT", 4);
    EXPECT_EQ(len, 33 + 12 + n + 12);
    EXPECT_MEM(png + len - 12, "\0\0\0\0IEND\xae\x42\x60\x82", 12); /* with its CRC */
    if (stored) {
        EXPECT_EQ(unstore(png + 41, rows), H * PITCH);
    }
#if HAVE_ZLIB
    uLongf size = sizeof rows;
    EXPECT_EQ(uncompress(rows, &size, png + 41, n), Z_OK); /* checks the Adler-32 too */
    EXPECT_EQ(size, H * PITCH);
    EXPECT_EQ(be32(png + 41 + n), crc32(0, png + 37, n + 4));
#endif
    for (uint32_t y = 0; y < H; y++) {
        EXPECT_EQ(rows[y * PITCH], 0);
        for (uint32_t x = 0; x < W; x++) {
            if (be32(rows + y * PITCH + 3 * x) << 8 >> 8 != f.pixel[y * W + x]) {
                FAIL("pixel %u, %u", x, y);
                y = H - 1;
                break;
            }
        }
    }
    free(png);
    frame_free(&f);
}

TEST(png_stored)
{
    check_png(true);
}

TEST(png_compressed)
{
    check_png(!HAVE_ZLIB);
}
