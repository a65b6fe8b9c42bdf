/*
 * Debian on a disk of its own (tools/debian-root.sh): ext4 in a qcow2 image, started by SeaBIOS and
 * GRUB, systemd to a login on the serial port. Somebody logs in, installs a package from a CD, asks
 * whether anything failed, and powers off. Twice, the second time saved and restored midway.
 */
#include <stdio.h>
#include <string.h>

#include "tests/boot/dos.h"
#include "tests/boot/linux.h"
#include "tests/boot/talk.h"
#include "tests/t.h"

static bool install(struct talk *t)
{
    return talk_wait_screen(t, "Press enter to boot the selected", 2000) && talk_press(t, "ret") &&
           talk_wait(t, "doppel login: ", 20000) && talk_type(t, "root\n") &&
           talk_wait(t, "Password: ", 3000) && talk_type(t, "root\n") &&
           talk_wait(t, ":~# ", 5000) &&
           talk_type(t, "mount /dev/sr0 /mnt; dpkg -i /mnt/*.deb\n") &&
           talk_wait(t, "Unpacking hello", 5000) && talk_wait(t, "Setting up hello", 5000) &&
           talk_wait(t, ":~# ", 5000) && talk_type(t, "hello; dpkg -V hello && sync\n") &&
           talk_wait(t, "Hello, world!", 2000) && talk_wait(t, ":~# ", 2000) &&
           talk_type(t,
                     "systemctl is-system-running --wait; dmesg -l emerg,alert,crit,err | wc\n") &&
           talk_wait(t, "running\r\n      0       0       0\r\n", 9000) &&
           talk_type(t, "poweroff\n") && talk_wait_off(t, 20000);
}

TEST(debian_root_installs_a_package)
{
    char drive[4200], cd[4200];
    if (!dos_possible() || !guests_have("debian-root.qcow2")) {
        return;
    }
    snprintf(drive, sizeof drive, "file=%s,format=qcow2,snapshot=on",
             guest_path("", "debian-root.qcow2"));
    snprintf(cd, sizeof cd, "file=%s,format=raw,media=cdrom",
             guest_path("", "debian-root-hello.iso"));
    struct talk_setup setup = {.drive = {drive, cd}, .boot = "order=c", .ram_mib = 512};
    talk_twice(&setup, install);
}
