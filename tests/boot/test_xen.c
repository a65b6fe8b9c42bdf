/*
 * Xen (Debian's) from a CD: SeaBIOS, GRUB, multiboot 2, the hypervisor, and Debian's amd64 kernel
 * as its first domain, to the initrd's own tests and power-off. tools/xen-iso.sh made the CD
 * (tests/boot/guests.sh).
 *
 * With two vCPUs the whole way is for T_LEVEL=long; otherwise the hypervisor is seen to start them.
 */
#include <stdio.h>

#include "tests/boot/dos.h"
#include "tests/boot/linux.h"
#include "tests/boot/talk.h"
#include "tests/t.h"

static bool to_console(struct talk *t)
{
    return talk_wait(t, "(XEN) Xen version 4.", 3000) && talk_wait(t, "Bootloader: GRUB 2.", 100) &&
           talk_wait(t, "Enabling APIC mode.  Using 1 I/O APICs", 1000);
}

static bool brings_up_2(struct talk *t)
{
    return to_console(t) && talk_wait(t, "Brought up 2 CPUs", 4000);
}

static bool to_userspace(struct talk *t)
{
    return to_console(t) && talk_wait(t, "Xen  kernel: 64-bit, lsb", 12000) &&
           talk_wait(t, "doppel: Linux 6.", 20000) && talk_wait(t, "BOOT TEST PASSED", 8000) &&
           talk_wait(t, "Entering ACPI S5 state", 2000) && talk_wait_off(t, 2000);
}

static void check(bool (*script)(struct talk *t), unsigned cpus)
{
    char drive[4200];
    if (!dos_possible() || !guests_have("xen.iso")) {
        return;
    }
    snprintf(drive, sizeof drive, "file=%s,format=raw,media=cdrom", guest_path("", "xen.iso"));
    struct talk_setup setup = {.drive = {drive}, .ram_mib = 384, .cpus = cpus};
    talk_twice(&setup, script);
}

TEST(xen_starts)
{
    check(brings_up_2, 2);
}

TEST(xen_dom0)
{
    check(to_userspace, 1);
}

TEST(xen_dom0_2_cpus)
{
    if (t_amount(0, 0, 1)) {
        check(to_userspace, 2);
    } else {
        SKIP("T_LEVEL=long runs it");
    }
}
