/* Debian's amd64 kernel to its userspace; see linux.h. */

#include "tests/boot/linux.h"
#include "tests/t.h"

TEST(boot_amd64_1_cpu)
{
    boot_test("amd64", 1);
}

TEST(boot_amd64_4_cpus)
{
    boot_test("amd64", 4);
}
