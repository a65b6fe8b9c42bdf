/*
 * A diskette exchanged under FreeDOS. SeaBIOS tells it of no change line (INT 13H, AH=15H), so it
 * looks again what is in the drive when two seconds have passed by its clock, which is set forward
 * to save them. Twice with the same digest, the second time with what came through the gate in
 * place of the monitor's command.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/boot/dos.h"
#include "tests/boot/fat.h"
#include "tests/t.h"

enum { KB = 1440 };

static const char prompt[] = "A:\\>";

/* A diskette with one file; its path, to be freed. */
static char *make_diskette(const char *name, const char *file, const char *text)
{
    struct fat_shape shape;
    struct fat f;
    uint8_t *image = calloc(KB, 1024);
    char *path = NULL;
    EXPECT(image && fat_floppy_shape(KB, &shape));
    fat_make(image, &shape, NULL);
    if (EXPECT(fat_open(&f, image, KB * (size_t)1024)) &&
        EXPECT(fat_add(&f, file, text, strlen(text), 0x20))) {
        path = dos_write_file(name, image, KB * (size_t)1024);
    }
    free(image);
    return path;
}

static void hear(void *ctx, const char *text, size_t len)
{
    (void)ctx;
    FAIL("the monitor: %.*s", (int)len, text);
}

static void change(struct dos *d, const char *path, bool replay)
{
    char line[4200];
    if (!replay) {
        snprintf(line, sizeof line, "change floppy1 %s", path);
        doppel_command(d->vm, line, hear, NULL);
        return;
    }
    int n = snprintf(line, sizeof line, "\002floppy1%c%s", 0, path);
    EXPECT(doppel_post_input(d->vm, "block", line, (uint32_t)n + 1));
}

static uint64_t exchange(const struct dos_setup *s, const char *two, bool replay)
{
    struct dos d;
    uint64_t digest = 0;
    if (!dos_open(&d, s, 0)) {
        return 0;
    }
    if (dos_wait(&d, prompt, 400) && dos_command(&d, "dir b:", prompt, 200) &&
        dos_shows(&d, "ONE      TXT") && dos_command(&d, "cls", prompt, 50)) {
        change(&d, two, replay);
        if (dos_command(&d, "time 12:00", prompt, 50) && dos_command(&d, "dir b:", prompt, 200) &&
            dos_shows(&d, "TWO      TXT") && dos_command(&d, "type b:two.txt", prompt, 50) &&
            dos_shows(&d, "the second one")) {
            EXPECT(strstr(d.screen, "ONE      TXT") == NULL);
            digest = doppel_digest(d.vm);
        }
    }
    dos_close(&d);
    return digest;
}

TEST(diskette_exchanged_under_freedos)
{
    struct dos_setup s = {.fda = dos_possible() ? dos_shared_image("freedos722.img") : NULL};
    if (!s.fda) {
        return;
    }
    char *fda = strdup(s.fda), *one = make_diskette("one.img", "ONE.TXT", "the first one\r\n"),
         *two = make_diskette("two.img", "TWO.TXT", "the second one\r\n");
    s.fda = fda;
    s.fdb = one;
    if (fda && one && two) {
        uint64_t want = exchange(&s, two, false);
        EXPECT(want != 0);
        EXPECT_EQ(exchange(&s, two, true), want);
    }
    free(fda);
    free(one);
    free(two);
}
