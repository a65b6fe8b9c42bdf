/* Debian's 686 kernel to its userspace; see linux.h. */

#include "tests/boot/linux.h"
#include "tests/t.h"

TEST(boot_686_1_cpu)
{
    boot_test("686", 1);
}

TEST(boot_686_4_cpus)
{
    boot_test("686", 4);
}
