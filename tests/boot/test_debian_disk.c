/*
 * Debian's four kernels from a hard disk: SeaBIOS, MBR, GRUB on ext2, to the initrd's own tests and
 * power-off. tools/boot-image.sh made the disk (tests/boot/guests.sh). GRUB's menu is on the screen
 * and its keys come from the keyboard. Each runs twice, the second time saved and restored midway.
 */
#include <stdio.h>
#include <string.h>

#include "tests/boot/dos.h"
#include "tests/boot/linux.h"
#include "tests/boot/talk.h"
#include "tests/t.h"

/* `key`: the number of the menu's line. */
static bool boot(struct talk *t, const char *key)
{
    return talk_wait_screen(t, "Press enter to boot the selected", 2000) && talk_press(t, key) &&
           talk_wait(t, "doppel: Linux 6.", 12000) && talk_wait(t, "BOOT TEST PASSED", 8000) &&
           talk_wait_off(t, 1000);
}

static bool boot_amd64(struct talk *t)
{
    return boot(t, "1");
}

static bool boot_cloud(struct talk *t)
{
    return boot(t, "2");
}

static bool boot_686(struct talk *t)
{
    return boot(t, "3");
}

static bool boot_686_pae(struct talk *t)
{
    return boot(t, "4");
}

static void check(bool (*script)(struct talk *t))
{
    char drive[4200];
    if (!dos_possible() || !guests_have("debian.img")) {
        return;
    }
    snprintf(drive, sizeof drive, "file=%s,format=raw,snapshot=on", guest_path("", "debian.img"));
    struct talk_setup setup = {.drive = {drive}, .recorded = script == boot_cloud};
    talk_twice(&setup, script);
}

TEST(debian_disk_cloud)
{
    check(boot_cloud);
}

TEST(debian_disk_amd64)
{
    check(boot_amd64);
}

TEST(debian_disk_686)
{
    check(boot_686);
}

TEST(debian_disk_686_pae)
{
    check(boot_686_pae);
}
