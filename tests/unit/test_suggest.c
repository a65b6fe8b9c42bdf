/* Edit distance, and the nearest word of a list. */
#include "util/suggest.h"
#include "tests/t.h"

TEST(distance)
{
    static const struct {
        const char *a, *b;
        unsigned d;
    } cases[] = {
        {"", "", 0},
        {"a", "", 1},
        {"", "abc", 3},
        {"kernel", "kernel", 0},
        {"kernal", "kernel", 1},
        {"krenel", "kernel", 1},
        {"ab", "ba", 1},
        {"abc", "ca", 3},
        {"serial", "seril", 1},
        {"smp", "m", 2},
        {"no-reboot", "noreboot", 1},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        t_context("%s, %s", cases[i].a, cases[i].b);
        EXPECT_EQ(suggest_distance(cases[i].a, cases[i].b), cases[i].d);
        EXPECT_EQ(suggest_distance(cases[i].b, cases[i].a), cases[i].d);
    }
}

TEST(long_words_are_cut)
{
    char a[200], b[200];
    for (unsigned i = 0; i < 199; i++) {
        a[i] = 'a';
        b[i] = 'b';
    }
    a[199] = b[199] = 0;
    EXPECT_EQ(suggest_distance(a, b), 63);
}

static const char *color(void *ctx, unsigned i)
{
    static const char *const names[] = {"red", "green", "blue"};
    (void)ctx;
    return i < 3 ? names[i] : (const char *)0;
}

static const char *nothing(void *ctx, unsigned i)
{
    (void)ctx;
    (void)i;
    return (const char *)0;
}

TEST(nearest)
{
    EXPECT_STR(suggest_nearest("gren", color, (void *)0), "green");
    EXPECT_STR(suggest_nearest("blu", color, (void *)0), "blue");
    EXPECT(suggest_nearest("x", nothing, (void *)0) == (const char *)0);
}
