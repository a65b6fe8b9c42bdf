/*
 * memtest86+ (Debian's) of both widths through a whole pass without an error, on one vCPU and on
 * two, on a machine with little memory. A pass is some 20 billion instructions: two minutes, twice
 * for each. The last test waits 80 seconds of virtual time for bits to fade, for each of two
 * patterns; its loop has a PAUSE, which lets time pass (docs/clock.md). T_LEVEL=long.
 * (tests/boot/test_rescue.c sees it start at every level.)
 */
#include <stdio.h>

#include "tests/boot/dos.h"
#include "tests/boot/talk.h"
#include "tests/t.h"

static bool one_cpu(struct talk *t)
{
    return talk_wait_screen(t, "CPU: 1 Cores 1 Threads    SMP: Disabled", 4000) &&
           talk_wait_screen(t, "Pass:  1        Errors: 0", 200000);
}

static bool two_cpus(struct talk *t)
{
    return talk_wait_screen(t, "CPU: 2S / 2C / 2T         SMP: 2T (PAR)", 5000) &&
           talk_wait_screen(t, "Pass:  1        Errors: 0", 200000);
}

static void check(const char *iso, unsigned cpus)
{
    char drive[4200];
    if (!t_amount(0, 0, 1)) {
        SKIP("T_LEVEL=long runs it");
    } else if (dos_possible() && dos_need(iso, "memtest86+")) {
        snprintf(drive, sizeof drive, "file=%s,format=raw,media=cdrom", iso);
        struct talk_setup setup = {.drive = {drive}, .ram_mib = 8, .cpus = cpus};
        talk_twice(&setup, cpus == 2 ? two_cpus : one_cpu);
    }
}

#define ISO_32 "/usr/lib/memtest86+/memtest86+ia32.iso"
#define ISO_64 "/usr/lib/memtest86+/memtest86+x64.iso"

TEST(memtest_32)
{
    check(ISO_32, 1);
}

TEST(memtest_32_2_cpus)
{
    check(ISO_32, 2);
}

TEST(memtest_64)
{
    check(ISO_64, 1);
}

TEST(memtest_64_2_cpus)
{
    check(ISO_64, 2);
}
