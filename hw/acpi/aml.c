/*
 * The AML writer.
 *
 * Source: ACPI 6.4, chapter 20 (AML grammar) and 6.4 (resource descriptors).
 */
#include "hw/acpi/aml.h"

#include <string.h>

#include "util/bits.h"

enum {
    OP_BYTE = 0x0a,
    OP_WORD = 0x0b,
    OP_DWORD = 0x0c,
    OP_STRING = 0x0d,
    OP_QWORD = 0x0e,
    OP_NAME = 0x08,
    OP_SCOPE = 0x10,
    OP_BUFFER = 0x11,
    OP_PACKAGE = 0x12,
    OP_METHOD = 0x14,
    OP_DUAL_NAME = 0x2e,
    OP_MULTI_NAME = 0x2f,
    OP_EXT = 0x5b,
    OP_REGION = 0x80,
    OP_FIELD = 0x81,
    OP_DEVICE = 0x82,
    OP_IF = 0xa0,
    OP_ELSE = 0xa1,
    OP_RETURN = 0xa4,
    PKG_LEN = 3,
};

void aml_byte(struct aml *a, unsigned v)
{
    if (a->len < a->cap) {
        a->buf[a->len++] = (uint8_t)v;
    } else {
        a->overflow = true;
    }
}

void aml_num(struct aml *a, unsigned size, uint64_t v)
{
    for (unsigned i = 0; i < size; i++) {
        aml_byte(a, (unsigned)(v >> (8 * i)) & 0xff);
    }
}

void aml_bytes(struct aml *a, const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        aml_byte(a, ((const uint8_t *)p)[i]);
    }
}

void aml_int(struct aml *a, uint64_t v)
{
    if (v <= 1) {
        aml_byte(a, (unsigned)v); /* ZeroOp, OneOp */
    } else if (v <= 0xff) {
        aml_byte(a, OP_BYTE);
        aml_num(a, 1, v);
    } else if (v <= 0xffff) {
        aml_byte(a, OP_WORD);
        aml_num(a, 2, v);
    } else if (v <= 0xffffffff) {
        aml_byte(a, OP_DWORD);
        aml_num(a, 4, v);
    } else {
        aml_byte(a, OP_QWORD);
        aml_num(a, 8, v);
    }
}

void aml_name(struct aml *a, const char *path)
{
    if (*path == '\\') {
        aml_byte(a, '\\');
        path++;
    }
    unsigned segments = *path != '\0';
    for (const char *p = path; *p; p++) {
        segments += *p == '.';
    }
    if (segments == 0) {
        aml_byte(a, 0);
    } else if (segments == 2) {
        aml_byte(a, OP_DUAL_NAME);
    } else if (segments > 2) {
        aml_byte(a, OP_MULTI_NAME);
        aml_byte(a, segments);
    }
    while (*path) {
        for (unsigned i = 0; i < 4; i++) {
            bool end = !*path || *path == '.';
            aml_byte(a, (uint8_t)(end ? '_' : *path));
            path += !end;
        }
        path += *path == '.';
    }
}

void aml_str(struct aml *a, const char *s)
{
    aml_byte(a, OP_STRING);
    aml_bytes(a, s, strlen(s) + 1);
}

static unsigned hex(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'A' + 10);
}

void aml_eisaid(struct aml *a, const char *id)
{
    unsigned letters = (unsigned)((id[0] - '@') << 10 | (id[1] - '@') << 5 | (id[2] - '@'));
    aml_byte(a, OP_DWORD);
    aml_byte(a, letters >> 8 & 0xff);
    aml_byte(a, letters & 0xff);
    aml_byte(a, hex(id[3]) << 4 | hex(id[4]));
    aml_byte(a, hex(id[5]) << 4 | hex(id[6]));
}

/* --- Package lengths --- */

static size_t begin(struct aml *a)
{
    size_t mark = a->len;
    aml_num(a, PKG_LEN, 0);
    return mark;
}

void aml_end(struct aml *a, size_t mark)
{
    if (a->overflow) {
        return;
    }
    size_t n = a->len - mark;
    a->buf[mark] = (uint8_t)((PKG_LEN - 1) << 6 | (n & 15));
    a->buf[mark + 1] = (uint8_t)(n >> 4);
    a->buf[mark + 2] = (uint8_t)(n >> 12);
}

size_t aml_scope(struct aml *a, const char *path)
{
    aml_byte(a, OP_SCOPE);
    size_t mark = begin(a);
    aml_name(a, path);
    return mark;
}

size_t aml_device(struct aml *a, const char *path)
{
    aml_byte(a, OP_EXT);
    aml_byte(a, OP_DEVICE);
    size_t mark = begin(a);
    aml_name(a, path);
    return mark;
}

size_t aml_method(struct aml *a, const char *path, unsigned nargs)
{
    aml_byte(a, OP_METHOD);
    size_t mark = begin(a);
    aml_name(a, path);
    aml_byte(a, nargs);
    return mark;
}

size_t aml_package(struct aml *a, unsigned count)
{
    aml_byte(a, OP_PACKAGE);
    size_t mark = begin(a);
    aml_byte(a, count);
    return mark;
}

size_t aml_if(struct aml *a)
{
    aml_byte(a, OP_IF);
    return begin(a);
}

size_t aml_else(struct aml *a)
{
    aml_byte(a, OP_ELSE);
    return begin(a);
}

void aml_named(struct aml *a, const char *path)
{
    aml_byte(a, OP_NAME);
    aml_name(a, path);
}

void aml_return(struct aml *a)
{
    aml_byte(a, OP_RETURN);
}

size_t aml_buffer(struct aml *a, unsigned size)
{
    aml_byte(a, OP_BUFFER);
    size_t mark = begin(a);
    aml_int(a, size);
    return mark;
}

void aml_region(struct aml *a, const char *path, unsigned space, uint64_t base, uint64_t len)
{
    aml_byte(a, OP_EXT);
    aml_byte(a, OP_REGION);
    aml_name(a, path);
    aml_byte(a, space);
    aml_int(a, base);
    aml_int(a, len);
}

size_t aml_field(struct aml *a, const char *region, unsigned access)
{
    aml_byte(a, OP_EXT);
    aml_byte(a, OP_FIELD);
    size_t mark = begin(a);
    aml_name(a, region);
    aml_byte(a, access);
    return mark;
}

void aml_field_bits(struct aml *a, const char *name, unsigned bits)
{
    aml_name(a, name);
    aml_byte(a, bits); /* a package length of one byte: below 64 */
}

/* --- Resource templates --- */

size_t aml_resources(struct aml *a, const char *name)
{
    aml_named(a, name);
    aml_byte(a, OP_BUFFER);
    size_t mark = begin(a);
    aml_byte(a, OP_WORD); /* the buffer's size, filled in at the end */
    aml_num(a, 2, 0);
    return mark;
}

size_t aml_crs(struct aml *a)
{
    return aml_resources(a, "_CRS");
}

void aml_crs_end(struct aml *a, size_t mark)
{
    aml_num(a, 2, 0x0079); /* end tag, no checksum */
    if (!a->overflow) {
        size_t at = mark + PKG_LEN + 1;
        le16_put(&a->buf[at], (uint16_t)(a->len - at - 2));
    }
    aml_end(a, mark);
}

void aml_crs_io(struct aml *a, uint16_t base, uint8_t len)
{
    aml_byte(a, 0x47);
    aml_byte(a, 1); /* 16-bit decode */
    aml_num(a, 2, base);
    aml_num(a, 2, base);
    aml_byte(a, 1);
    aml_byte(a, len);
}

void aml_crs_irq(struct aml *a, unsigned irq)
{
    aml_byte(a, 0x22); /* edge, active high */
    aml_num(a, 2, 1u << irq);
}

void aml_crs_irq_shared(struct aml *a, unsigned irqs)
{
    aml_byte(a, 0x23);
    aml_num(a, 2, irqs);
    aml_byte(a, 0x18);
}

void aml_crs_dma(struct aml *a, unsigned channel)
{
    aml_byte(a, 0x2a);
    aml_byte(a, 1u << channel);
    aml_byte(a, 0); /* compatibility timing, no bus master, 8 bits */
}

void aml_crs_range(struct aml *a, unsigned size, unsigned type, uint64_t min, uint64_t max)
{
    static const uint8_t flags[] = {0x01, 0x03, 0x00}; /* read-write; entire range; none */
    aml_byte(a, size == 2 ? 0x88 : 0x87);
    aml_num(a, 2, 3 + 5 * size);
    aml_byte(a, type);
    aml_byte(a, 0x0c); /* minimum and maximum fixed, positive decode, producer */
    aml_byte(a, flags[type]);
    aml_num(a, size, 0); /* granularity */
    aml_num(a, size, min);
    aml_num(a, size, max);
    aml_num(a, size, 0); /* translation */
    aml_num(a, size, max - min + 1);
}

void aml_crs_fixed_memory(struct aml *a, uint32_t base, uint32_t len)
{
    aml_byte(a, 0x86);
    aml_num(a, 2, 9);
    aml_byte(a, 0); /* read-only */
    aml_num(a, 4, base);
    aml_num(a, 4, len);
}
