/*
 * Keys by name: QEMU's names (QKeyCode), the code that the keyboard knows, and what the key types
 * on a US layout.
 */
#ifndef DOPPEL_VM_KEYS_H
#define DOPPEL_VM_KEYS_H

#include <stdbool.h>
#include <stdint.h>

enum { KEY_SHIFT = 0x2a };

struct key {
    const char *name;
    /* The scan code of set 1, plus 0x80 for keys with the prefix 0xe0 (hw/input/ps2.h). */
    uint8_t code;
    char plain, shifted; /* characters that it types; 0: none */
};

/* The i-th key, or NULL. A code may have several names. */
const struct key *key_at(unsigned i);
/* The code of a name or of a number "0x1e"; 0: there is none. `len` bytes of `name` count. */
uint8_t key_code(const char *name, unsigned len);
/* The key that types a character on a US keyboard, and whether Shift is held. False: none does. */
bool key_of_char(char c, uint8_t *code, bool *shift);

#endif
