/* Debian's cloud kernel to its userspace; see linux.h. */

#include "tests/boot/linux.h"
#include "tests/t.h"

TEST(boot_cloud_1_cpu)
{
    boot_test("cloud", 1);
}

TEST(boot_cloud_4_cpus)
{
    boot_test("cloud", 4);
}
