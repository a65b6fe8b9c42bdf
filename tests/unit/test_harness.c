// The harness itself: what it says about equal things is true, and its random source repeats.

#include "tests/t.h"

TEST(harness_expectations_are_values)
{
    EXPECT(EXPECT(1 + 1 == 2));
    EXPECT(EXPECT_EQ(2, 2u));
    EXPECT(EXPECT_STR("a", "a"));
    EXPECT(EXPECT_MEM("abc", "abd", 2));
}

// First outputs of splitmix64 for seed 0, as published with the algorithm.
TEST(harness_random_repeats)
{
    struct t_rng rng = {0};
    EXPECT_EQ(t_rand(&rng), 0xe220a8397b1dcdafu);
    EXPECT_EQ(t_rand(&rng), 0x6e789e6aa1b965f4u);
}
