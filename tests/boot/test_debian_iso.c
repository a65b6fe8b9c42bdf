/*
 * Debian's four kernels from a CD: SeaBIOS, El Torito, ISOLINUX, to the initrd's own tests and
 * power-off. tools/boot-image.sh made the CD (tests/boot/guests.sh). A kernel is chosen over the
 * serial port. Each runs twice, the second time saved and restored midway.
 */
#include <stdio.h>
#include <string.h>

#include "tests/boot/dos.h"
#include "tests/boot/linux.h"
#include "tests/boot/talk.h"
#include "tests/t.h"

static bool boot(struct talk *t, const char *name)
{
    char line[64];
    snprintf(line, sizeof line, "%s\n", name);
    return talk_wait(t, "ISOLINUX", 1000) && talk_wait(t, "boot: ", 100) && talk_type(t, line) &&
           talk_wait(t, "doppel: Linux 6.", 12000) && talk_wait(t, "BOOT TEST PASSED", 8000) &&
           talk_wait_off(t, 1000);
}

static bool boot_amd64(struct talk *t)
{
    return boot(t, "amd64");
}

static bool boot_cloud(struct talk *t)
{
    return boot(t, "cloud");
}

static bool boot_686(struct talk *t)
{
    return boot(t, "686");
}

static bool boot_686_pae(struct talk *t)
{
    return boot(t, "686-pae");
}

static void check(bool (*script)(struct talk *t))
{
    char drive[4200];
    if (!dos_possible() || !guests_have("debian.iso")) {
        return;
    }
    snprintf(drive, sizeof drive, "file=%s,format=raw,media=cdrom", guest_path("", "debian.iso"));
    struct talk_setup setup = {.drive = {drive}};
    talk_twice(&setup, script);
}

TEST(debian_iso_cloud)
{
    check(boot_cloud);
}

TEST(debian_iso_686_pae)
{
    check(boot_686_pae);
}

TEST(debian_iso_amd64)
{
    check(boot_amd64);
}

TEST(debian_iso_686)
{
    check(boot_686);
}
