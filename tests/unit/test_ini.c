/*
 * INI files: what is read, what is refused with which message, and what stays when a file is
 * written anew.
 */
#include <stdlib.h>
#include <string.h>

#include "frontends/ini.h"
#include "tests/t.h"

static bool parse(struct ini *ini, const char *text, struct err *e)
{
    return ini_parse(ini, "a.ini", text, strlen(text), e);
}

TEST(values)
{
    static const char text[] = "\xef\xbb\xbf# head\r\n[machine]\n  m =  256 \r\n; c\n"
                               "append = console=ttyS0 # not a comment\n"
                               "name=\"  a \\\"b\\\" \\\\ \\n\"\nempty =";
    static const char *const want[][2] = {
        {"m", "256"},
        {"append", "console=ttyS0 # not a comment"},
        {"name", "  a \"b\" \\ \n"},
        {"empty", ""},
    };
    struct ini ini;
    struct err e = {""};
    unsigned n = 0;
    EXPECT(parse(&ini, text, &e));
    EXPECT_EQ(ini.nlines, 7);
    for (unsigned i = 0; i < ini.nlines; i++) {
        if (ini.line[i].kind == INI_KEY && EXPECT(n < 4)) {
            EXPECT_STR(ini.line[i].name, want[n][0]);
            EXPECT_STR(ini.line[i].value, want[n++][1]);
        }
    }
    EXPECT_EQ(n, 4);
    ini_free(&ini);
}

TEST(bad_lines)
{
    static const char *const bad[][2] = {
        {"[machine]\nm\n", "a.ini:2: \"m\": want KEY = VALUE, [SECTION], or # and a comment"},
        {"= 5", "a.ini:1: want a key in front of the \"=\""},
        {"\n\n[machine", "a.ini:3: \"[machine\": want [SECTION]"},
        {"[]", "a.ini:1: \"[]\": want [SECTION]"},
        {"a = \"b", "a.ini:1: a: want the value to end at its closing quote"},
        {"a = \"b\" c", "a.ini:1: a: want the value to end at its closing quote"},
    };
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ini ini;
        struct err e = {""};
        EXPECT(!parse(&ini, bad[i][0], &e));
        EXPECT_STR(e.msg, bad[i][1]);
        EXPECT(ini.line == NULL);
    }
    struct ini ini;
    struct err e = {""};
    EXPECT(!ini_parse(&ini, "x", "a\0b", 3, &e));
    EXPECT_STR(e.msg, "x: not a text file");
    EXPECT(!ini_read(&ini, "/", &e));
    EXPECT_STR(e.msg, "/: not a regular file");
}

static void rewrite(const char *before, const struct ini_entry *entry, unsigned n,
                    const char *after)
{
    struct ini ini;
    struct err e = {""};
    size_t len;
    EXPECT(parse(&ini, before, &e));
    ini_set_section(&ini, "machine", entry, n);
    char *text = ini_text(&ini, &len);
    EXPECT_STR(text, after);
    EXPECT_EQ(len, strlen(after));
    free(text);
    ini_free(&ini);
}

TEST(rewriting_keeps_what_a_person_wrote)
{
    static const struct ini_entry entry[] = {
        {"m", "512"}, {"drive", "file=a"}, {"drive", "file=c"}, {"name", " x"}, {"smp", "2"},
    };
    rewrite("# mine\n[machine]\n# memory\nm=256\n\ndrive   =   file=a\ndrive = file=b\n"
            "old = 1\n; end\n\n[other]\nm = 3\n",
            entry, 5,
            "# mine\n[machine]\n# memory\nm = 512\n\ndrive   =   file=a\ndrive = file=c\n"
            "name = \" x\"\nsmp = 2\n; end\n\n[other]\nm = 3\n");
    rewrite("", entry, 1, "[machine]\nm = 512\n");
    rewrite("# only this\n", entry, 1, "# only this\n\n[machine]\nm = 512\n");
    rewrite("[machine]\nm = 512\n", entry, 0, "[machine]\n");
}

TEST(what_is_written_is_read_back)
{
    static const char *const odd[] = {"", " ", "\"", "a\nb", "\\", " \\\"\n ", "a # b", "\t", "="};
    for (unsigned i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        struct ini ini = {NULL, 0}, back;
        struct err e = {""};
        struct ini_entry entry = {"k", odd[i]};
        size_t len;
        ini_set_section(&ini, "machine", &entry, 1);
        char *text = ini_text(&ini, &len);
        t_context("%s", text);
        if (EXPECT(ini_parse(&back, "x", text, len, &e)) && EXPECT_EQ(back.nlines, 2)) {
            EXPECT_STR(back.line[1].value, odd[i]);
        }
        free(text);
        ini_free(&ini);
        ini_free(&back);
    }
}
