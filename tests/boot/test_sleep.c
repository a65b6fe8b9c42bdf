/*
 * Suspend to RAM and back: Debian's amd64 kernel from a CD, started by SeaBIOS, sleeps (ACPI S3)
 * until the RTC's alarm, twice; SeaBIOS jumps to Linux's wake-up vector. Each run of the script
 * twice, the second time saved and restored midway.
 */
#include <stdio.h>

#include "tests/boot/dos.h"
#include "tests/boot/linux.h"
#include "tests/boot/talk.h"
#include "tests/t.h"

#define SHELL "amd64 rdinit=/bin/sh\n"
#define SETUP "/bin/busybox --install -s /bin; mount -t sysfs s /sys; mount -t proc p /proc\n"
/* Time passes for the RTC alone. */
#define SLEEP                                                                                      \
    "a=$(date +%s); echo +30 >/sys/class/rtc/rtc0/wakealarm; echo mem >/sys/power/state; "         \
    "echo woke $? $(($(date +%s) - a >= 29))\n"

static bool sleeps(struct talk *t)
{
    return talk_type(t, SLEEP) && talk_wait(t, "woke 0 1\r\n", 3000) && talk_wait(t, "/ # ", 500);
}

static bool script(struct talk *t)
{
    return talk_wait(t, "ISOLINUX", 1000) && talk_wait(t, "boot: ", 100) && talk_type(t, SHELL) &&
           talk_wait(t, "/ # ", 12000) && talk_type(t, SETUP) && talk_wait(t, "/ # ", 1000) &&
           sleeps(t) && sleeps(t) && talk_type(t, "dmesg | grep -c 'Waking up from .*S3'\n") &&
           talk_wait(t, "\r\n2\r\n", 500) && talk_type(t, "poweroff -f\n") &&
           talk_wait_off(t, 1000);
}

TEST(linux_sleeps_and_wakes)
{
    char drive[4200];
    if (!dos_possible() || !guests_have("debian.iso")) {
        return;
    }
    snprintf(drive, sizeof drive, "file=%s,format=raw,media=cdrom", guest_path("", "debian.iso"));
    struct talk_setup setup = {.drive = {drive}};
    talk_twice(&setup, script);
}
