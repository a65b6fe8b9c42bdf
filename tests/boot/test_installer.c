/*
 * Debian's netboot installers of amd64 and i386, started through SeaBIOS with -kernel, to their
 * first dialog: in text on the VGA's text screen, where it is read; graphical (X on the frame
 * buffer of bochs-drm), where the picture has to come to rest, and keys and mouse have to change
 * it.
 *
 * 15 to 40 billion instructions each, twice: T_LEVEL=long. Packages:
 * debian-installer-12-netboot-amd64 and -i386 (tests/boot/guests-long.sh).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/boot/dos.h"
#include "tests/boot/talk.h"
#include "tests/t.h"

#define IMAGES "/usr/lib/debian-installer/images/12"
#define WHITE  0xffffffu /* of the list of languages, then of countries */

/* Press and release at one instant: between two instants an idle guest may let minutes pass, and a
 * held key repeats. */
static bool tap(struct talk *t, const char *key)
{
    unsigned code = doppel_key_code(key);
    return EXPECT(doppel_key_event(t->vm, code, true) && doppel_key_event(t->vm, code, false));
}

/* --- Text --- */

/* Is it this picture at one of several instants? (A cursor may blink.) */
static bool seen(struct talk *t, uint64_t picture)
{
    for (unsigned i = 0; i < 40; i++) {
        if (doppel_screen_digest(t->vm) == picture) {
            return true;
        }
        talk_run(t, 5);
    }
    return false;
}

static bool text(struct talk *t)
{
    if (!talk_wait_screen(t, "Select a language", 40000) || !talk_run(t, 500)) {
        return false;
    }
    uint64_t first = doppel_screen_digest(t->vm);
    if (!tap(t, "down") || !talk_run(t, 200)) {
        return false;
    }
    EXPECT(!seen(t, first)); /* the bar went to another language */
    if (!tap(t, "up") || !talk_run(t, 200)) {
        return false;
    }
    EXPECT(seen(t, first));
    return tap(t, "ret") && talk_wait_screen(t, "Select your location", 10000);
}

/* --- Graphics --- */

/* The share, in percent, of the picture that has this color. */
static unsigned percent(struct talk *t, uint32_t color)
{
    struct doppel_frame f;
    uint64_t n = 0, all;
    doppel_frame_request(t->vm);
    if (!talk_run(t, 1) || !doppel_frame_get(t->vm, 0, &f)) {
        return 0;
    }
    all = (uint64_t)f.width * f.height;
    for (uint64_t i = 0; i < all; i++) {
        n += f.pixel[i] == color;
    }
    doppel_frame_release(t->vm, &f);
    return all ? (unsigned)(n * 100 / all) : 0;
}

/* A picture that is mostly white (the list of a dialog), the same for `still` million instructions:
 * what comes before it is darker. */
static bool wait_picture(struct talk *t, unsigned still, unsigned millions)
{
    uint64_t last = 0;
    for (unsigned done = 0, same = 0; done < millions; done += 100) {
        if (!talk_run(t, 100)) {
            return false;
        }
        uint64_t now = doppel_screen_digest(t->vm);
        same = now == last ? same + 100 : 0;
        last = now;
        if (same >= still && percent(t, WHITE) > 40) {
            return true;
        }
    }
    FAIL("no dialog whose picture comes to rest");
    t->failed = true;
    return false;
}

static bool key_changes(struct talk *t, const char *key)
{
    uint64_t before = doppel_screen_digest(t->vm);
    return tap(t, key) && wait_picture(t, 500, 10000) &&
           EXPECT(doppel_screen_digest(t->vm) != before);
}

static bool graphical(struct talk *t)
{
    if (!wait_picture(t, 500, 80000)) {
        return false;
    }
    uint64_t first = doppel_screen_digest(t->vm);
    printf("  the first dialog's picture: %016" PRIx64 "\n", first);
    EXPECT(doppel_mouse_event(t->vm, 150, -100, 0, 0));
    if (!wait_picture(t, 200, 2000)) {
        return false;
    }
    uint64_t pointed = doppel_screen_digest(t->vm);
    EXPECT(pointed != first);
    EXPECT(doppel_mouse_event(t->vm, -150, 100, 0, 0));
    if (!wait_picture(t, 200, 2000)) {
        return false;
    }
    EXPECT(doppel_screen_digest(t->vm) != pointed);
    return key_changes(t, "down") && key_changes(t, "ret");
}

/* --- Both --- */

static void check(const char *arch, const char *kind, const char *append,
                  bool (*script)(struct talk *t))
{
    char kernel[200], initrd[200], package[64];
    const char *form = IMAGES "/%s/%s/debian-installer/%s/%s";
    snprintf(kernel, sizeof kernel, form, arch, kind, arch, "linux");
    snprintf(initrd, sizeof initrd, form, arch, kind, arch, "initrd.gz");
    snprintf(package, sizeof package, "debian-installer-12-netboot-%s", arch);
    if (!t_amount(0, 0, 1)) {
        SKIP("T_LEVEL=long runs it");
    } else if (dos_possible() && dos_need(kernel, package)) {
        struct talk_setup setup = {.kernel = kernel,
                                   .initrd = initrd,
                                   .append = append,
                                   .bios = "bios-256k.bin",
                                   .ram_mib = 1024};
        talk_twice(&setup, script);
    }
}

/* Without its frame buffer driver the kernel stays in the VGA's text mode. */
#define TEXT "vga=normal nomodeset"

TEST(installer_amd64_text)
{
    check("amd64", "text", TEXT, text);
}

TEST(installer_i386_text)
{
    check("i386", "text", TEXT, text);
}

TEST(installer_amd64_graphical)
{
    check("amd64", "gtk", "vga=788 quiet", graphical);
}

TEST(installer_i386_graphical)
{
    check("i386", "gtk", "vga=788 quiet", graphical);
}
