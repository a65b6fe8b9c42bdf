/*
 * PNG and PPM.
 *
 * A PNG is a signature and chunks: a length, a type, data and a CRC over the last two. Ours have
 * three: IHDR (8-bit RGB), one IDAT (a zlib stream of rows, each behind a filter byte 0) and IEND.
 * Without zlib the stream holds stored blocks: every reader takes them, only the file is large.
 *
 * Sources: PNG specification, 2nd edition, sections 5 (chunks), 9 (filters) and annex D (CRC);
 * RFC 1950 (zlib streams, Adler-32) and RFC 1951 section 3.2.4 (stored blocks).
 */
#include "host/picture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config.h"
#include "util/bits.h"
#if HAVE_ZLIB
#include <zlib.h>
#endif

#define STORED_MAX 65535u
#define ADLER_BASE 65521u

/* --- Rows --- */

static void put_rgb(uint8_t *out, uint32_t pixel)
{
    out[0] = (uint8_t)(pixel >> 16);
    out[1] = (uint8_t)(pixel >> 8);
    out[2] = (uint8_t)pixel;
}

/* Rows of RGB, each with `lead` zero bytes in front. NULL: no host memory. */
static uint8_t *make_rows(const struct frame *f, size_t lead, size_t *len)
{
    size_t pitch = lead + (size_t)f->width * 3;
    uint8_t *rows = calloc(f->height, pitch);
    for (uint32_t y = 0; rows && y < f->height; y++) {
        for (uint32_t x = 0; x < f->width; x++) {
            put_rgb(rows + y * pitch + lead + (size_t)x * 3, f->pixel[(size_t)y * f->width + x]);
        }
    }
    *len = pitch * f->height;
    return rows;
}

/* --- zlib streams --- */

static uint32_t adler(const uint8_t *data, size_t len)
{
    uint32_t a = 1, b = 0;
    for (size_t i = 0; i < len; i++) {
        a = (a + data[i]) % ADLER_BASE;
        b = (b + a) % ADLER_BASE;
    }
    return b << 16 | a;
}

static uint8_t *stored_stream(const uint8_t *data, size_t len, size_t *out_len)
{
    size_t blocks = (len + STORED_MAX - 1) / STORED_MAX, at = 2;
    uint8_t *out = malloc(2 + blocks * 5 + len + 4);
    if (!out) {
        return NULL;
    }
    out[0] = 0x78; /* deflate, 32 KiB window */
    out[1] = 0x01; /* makes the header a multiple of 31 */
    while (len > 0) {
        size_t n = len < STORED_MAX ? len : STORED_MAX;
        out[at] = n == len; /* the last block */
        le16_put(out + at + 1, (uint16_t)n);
        le16_put(out + at + 3, (uint16_t)~n);
        memcpy(out + at + 5, data, n);
        at += 5 + n;
        data += n;
        len -= n;
    }
    *out_len = at;
    return out;
}

static uint8_t *make_stream(const uint8_t *data, size_t len, bool stored, size_t *out_len)
{
#if HAVE_ZLIB
    if (!stored) {
        uLongf n = compressBound((uLong)len);
        uint8_t *out = malloc(n);
        if (out && compress2(out, &n, data, (uLong)len, 6) != Z_OK) {
            free(out);
            out = NULL;
        }
        *out_len = n;
        return out;
    }
#endif
    (void)stored;
    uint8_t *out = stored_stream(data, len, out_len);
    if (out) {
        be32_put(out + *out_len, adler(data, len));
        *out_len += 4;
    }
    return out;
}

/* --- Chunks --- */

static uint32_t crc(const uint8_t *data, size_t len)
{
    uint32_t c = UINT32_MAX;
    for (size_t i = 0; i < len; i++) {
        c ^= data[i];
        for (unsigned bit = 0; bit < 8; bit++) {
            c = c >> 1 ^ (c & 1 ? 0xedb88320u : 0);
        }
    }
    return ~c;
}

static size_t put_chunk(uint8_t *out, const char *type, const uint8_t *data, size_t len)
{
    be32_put(out, (uint32_t)len);
    memcpy(out + 4, type, 4);
    if (len) {
        memcpy(out + 8, data, len);
    }
    be32_put(out + 8 + len, crc(out + 4, 4 + len));
    return 12 + len;
}

uint8_t *picture_png(const struct frame *f, bool stored, size_t *len)
{
    static const uint8_t signature[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    uint8_t head[13] = {[8] = 8 /* bits a channel */, [9] = 2 /* RGB */};
    size_t rows_len, stream_len = 0;
    uint8_t *rows = make_rows(f, 1, &rows_len);
    uint8_t *stream = rows ? make_stream(rows, rows_len, stored, &stream_len) : NULL;
    uint8_t *out = stream ? malloc(sizeof signature + 3 * 12 + sizeof head + stream_len) : NULL;
    if (out) {
        size_t at = sizeof signature;
        memcpy(out, signature, sizeof signature);
        be32_put(head, f->width);
        be32_put(head + 4, f->height);
        at += put_chunk(out + at, "IHDR", head, sizeof head);
        at += put_chunk(out + at, "IDAT", stream, stream_len);
        at += put_chunk(out + at, "IEND", NULL, 0);
        *len = at;
    }
    free(stream);
    free(rows);
    return out;
}

/* --- Files --- */

static uint8_t *make_ppm(const struct frame *f, size_t *len)
{
    char head[48];
    size_t rows_len;
    size_t n = (size_t)snprintf(head, sizeof head, "P6\n%u %u\n255\n", f->width, f->height);
    uint8_t *rows = make_rows(f, 0, &rows_len), *out = rows ? malloc(n + rows_len) : NULL;
    if (out) {
        memcpy(out, head, n);
        memcpy(out + n, rows, rows_len);
        *len = n + rows_len;
    }
    free(rows);
    return out;
}

bool picture_write(const struct frame *f, const char *path, struct err *e)
{
    size_t n = strlen(path), len = 0;
    if (!f->width || !f->height) {
        return err_set(e, "%s: the screen shows nothing", path);
    }
    bool ppm = n >= 4 && strcasecmp(path + n - 4, ".ppm") == 0;
    uint8_t *data = ppm ? make_ppm(f, &len) : picture_png(f, false, &len);
    if (!data) {
        return err_set(e, "%s: no host memory for the picture", path);
    }
    FILE *file = fopen(path, "wb");
    bool ok = file && fwrite(data, 1, len, file) == len;
    ok = (!file || fclose(file) == 0) && ok;
    free(data);
    return ok || err_set(e, "%s: %s", path, strerror(errno));
}
