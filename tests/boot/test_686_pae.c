/* Debian's 686-pae kernel to its userspace; see linux.h. */

#include "tests/boot/linux.h"
#include "tests/t.h"

TEST(boot_686_pae_1_cpu)
{
    boot_test("686-pae", 1);
}

TEST(boot_686_pae_4_cpus)
{
    boot_test("686-pae", 4);
}
