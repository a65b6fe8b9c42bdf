/*
 * The table of keys. Monitor, windows and typed text derive from it.
 *
 * Sources: IBM PS/2 Hardware Interface Technical Reference (1990), "Keyboards", for scan codes of
 * set 1; Microsoft, "Keyboard Scan Code Specification" (2000), for the keys that came later; QEMU's
 * QAPI reference, QKeyCode, for the names.
 */
#include "vm/keys.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/bits.h"

// clang-format off
static const struct key keys[] = {
    {"esc", 0x01, 27, 0}, {"1", 0x02, '1', '!'}, {"2", 0x03, '2', '@'}, {"3", 0x04, '3', '#'},
    {"4", 0x05, '4', '$'}, {"5", 0x06, '5', '%'}, {"6", 0x07, '6', '^'}, {"7", 0x08, '7', '&'},
    {"8", 0x09, '8', '*'}, {"9", 0x0a, '9', '('}, {"0", 0x0b, '0', ')'},
    {"minus", 0x0c, '-', '_'}, {"equal", 0x0d, '=', '+'}, {"backspace", 0x0e, '\b', 0},
    {"tab", 0x0f, '\t', 0},
    {"q", 0x10, 'q', 'Q'}, {"w", 0x11, 'w', 'W'}, {"e", 0x12, 'e', 'E'}, {"r", 0x13, 'r', 'R'},
    {"t", 0x14, 't', 'T'}, {"y", 0x15, 'y', 'Y'}, {"u", 0x16, 'u', 'U'}, {"i", 0x17, 'i', 'I'},
    {"o", 0x18, 'o', 'O'}, {"p", 0x19, 'p', 'P'},
    {"bracket_left", 0x1a, '[', '{'}, {"bracket_right", 0x1b, ']', '}'}, {"ret", 0x1c, '\n', 0},
    {"ctrl", 0x1d, 0, 0},
    {"a", 0x1e, 'a', 'A'}, {"s", 0x1f, 's', 'S'}, {"d", 0x20, 'd', 'D'}, {"f", 0x21, 'f', 'F'},
    {"g", 0x22, 'g', 'G'}, {"h", 0x23, 'h', 'H'}, {"j", 0x24, 'j', 'J'}, {"k", 0x25, 'k', 'K'},
    {"l", 0x26, 'l', 'L'},
    {"semicolon", 0x27, ';', ':'}, {"apostrophe", 0x28, '\'', '"'},
    {"grave_accent", 0x29, '`', '~'}, {"shift", KEY_SHIFT, 0, 0}, {"backslash", 0x2b, '\\', '|'},
    {"z", 0x2c, 'z', 'Z'}, {"x", 0x2d, 'x', 'X'}, {"c", 0x2e, 'c', 'C'}, {"v", 0x2f, 'v', 'V'},
    {"b", 0x30, 'b', 'B'}, {"n", 0x31, 'n', 'N'}, {"m", 0x32, 'm', 'M'},
    {"comma", 0x33, ',', '<'}, {"dot", 0x34, '.', '>'}, {"slash", 0x35, '/', '?'},
    {"shift_r", 0x36, 0, 0}, {"kp_multiply", 0x37, 0, 0}, {"asterisk", 0x37, 0, 0},
    {"alt", 0x38, 0, 0}, {"spc", 0x39, ' ', 0}, {"caps_lock", 0x3a, 0, 0},
    {"f1", 0x3b, 0, 0}, {"f2", 0x3c, 0, 0}, {"f3", 0x3d, 0, 0}, {"f4", 0x3e, 0, 0},
    {"f5", 0x3f, 0, 0}, {"f6", 0x40, 0, 0}, {"f7", 0x41, 0, 0}, {"f8", 0x42, 0, 0},
    {"f9", 0x43, 0, 0}, {"f10", 0x44, 0, 0},
    {"num_lock", 0x45, 0, 0}, {"scroll_lock", 0x46, 0, 0},
    {"kp_7", 0x47, 0, 0}, {"kp_8", 0x48, 0, 0}, {"kp_9", 0x49, 0, 0}, {"kp_subtract", 0x4a, 0, 0},
    {"kp_4", 0x4b, 0, 0}, {"kp_5", 0x4c, 0, 0}, {"kp_6", 0x4d, 0, 0}, {"kp_add", 0x4e, 0, 0},
    {"kp_1", 0x4f, 0, 0}, {"kp_2", 0x50, 0, 0}, {"kp_3", 0x51, 0, 0},
    {"kp_0", 0x52, 0, 0}, {"kp_decimal", 0x53, 0, 0}, {"sysrq", 0x54, 0, 0},
    {"less", 0x56, 0, 0}, {"f11", 0x57, 0, 0}, {"f12", 0x58, 0, 0}, {"kp_equals", 0x59, 0, 0},
    {"katakanahiragana", 0x70, 0, 0}, {"ro", 0x73, 0, 0}, {"hiragana", 0x77, 0, 0},
    {"henkan", 0x79, 0, 0}, {"muhenkan", 0x7b, 0, 0}, {"yen", 0x7d, 0, 0},
    {"kp_comma", 0x7e, 0, 0},
    /* With the prefix 0xe0. */
    {"audioprev", 0x90, 0, 0}, {"audionext", 0x99, 0, 0}, {"kp_enter", 0x9c, 0, 0},
    {"ctrl_r", 0x9d, 0, 0}, {"audiomute", 0xa0, 0, 0}, {"calculator", 0xa1, 0, 0},
    {"audioplay", 0xa2, 0, 0}, {"audiostop", 0xa4, 0, 0}, {"volumedown", 0xae, 0, 0},
    {"volumeup", 0xb0, 0, 0}, {"ac_home", 0xb2, 0, 0}, {"kp_divide", 0xb5, 0, 0},
    {"print", 0xb7, 0, 0}, {"alt_r", 0xb8, 0, 0}, {"pause", 0xc6, 0, 0}, {"home", 0xc7, 0, 0},
    {"up", 0xc8, 0, 0}, {"pgup", 0xc9, 0, 0}, {"left", 0xcb, 0, 0}, {"right", 0xcd, 0, 0},
    {"end", 0xcf, 0, 0}, {"down", 0xd0, 0, 0}, {"pgdn", 0xd1, 0, 0}, {"insert", 0xd2, 0, 0},
    {"delete", 0xd3, 0, 0}, {"meta_l", 0xdb, 0, 0}, {"meta_r", 0xdc, 0, 0},
    {"menu", 0xdd, 0, 0}, {"compose", 0xdd, 0, 0}, {"power", 0xde, 0, 0}, {"sleep", 0xdf, 0, 0},
    {"wake", 0xe3, 0, 0}, {"ac_bookmarks", 0xe6, 0, 0}, {"ac_refresh", 0xe7, 0, 0},
    {"ac_forward", 0xe9, 0, 0}, {"ac_back", 0xea, 0, 0}, {"computer", 0xeb, 0, 0},
    {"mail", 0xec, 0, 0}, {"mediaselect", 0xed, 0, 0},
};
// clang-format on

const struct key *key_at(unsigned i)
{
    return i < ARRAY_LEN(keys) ? &keys[i] : NULL;
}

uint8_t key_code(const char *name, unsigned len)
{
    char word[24];
    if (len == 0 || len >= sizeof word) {
        return 0;
    }
    memcpy(word, name, len);
    word[len] = 0;
    if (len > 2 && word[0] == '0' && word[1] == 'x') {
        char *end;
        unsigned long v = strtoul(word + 2, &end, 16);
        return *end || v > 0xff || !(v & 0x7f) ? 0 : (uint8_t)v;
    }
    for (unsigned i = 0; i < ARRAY_LEN(keys); i++) {
        if (strcmp(keys[i].name, word) == 0) {
            return keys[i].code;
        }
    }
    return 0;
}

bool key_of_char(char c, uint8_t *code, bool *shift)
{
    for (unsigned i = 0; c && i < ARRAY_LEN(keys); i++) {
        if (keys[i].plain == c || keys[i].shifted == c) {
            *code = keys[i].code;
            *shift = keys[i].plain != c;
            return true;
        }
    }
    return false;
}
