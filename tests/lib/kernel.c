#include "tests/lib/kernel.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/t.h"
#include "util/bits.h"

char *kernel_make(const char *path, const void *code, size_t len)
{
    enum { MAGIC = 0x1badb002, FLAGS = 0x10003, LOAD = KERNEL_ENTRY - 64 };
    uint8_t image[64 + KERNEL_MOST] = {0};
    const uint32_t end = LOAD + sizeof image;
    const uint32_t head[] = {MAGIC, FLAGS, 0u - MAGIC - FLAGS, LOAD, LOAD, end, end, KERNEL_ENTRY};
    for (unsigned i = 0; i < ARRAY_LEN(head); i++) {
        le32_put(image + (size_t)4 * i, head[i]);
    }
    EXPECT(len <= KERNEL_MOST);
    memcpy(image + 64, code, len <= KERNEL_MOST ? len : KERNEL_MOST);
    char *name = strdup(path ? path : "/tmp/doppel-kernel-XXXXXX");
    int fd = path ? open(name, O_CREAT | O_TRUNC | O_WRONLY, 0600) : mkstemp(name);
    EXPECT(fd >= 0 && write(fd, image, sizeof image) == (ssize_t)sizeof image);
    if (fd >= 0) {
        close(fd);
    }
    return name;
}
