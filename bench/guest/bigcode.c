/*
 * bigcode.c: a large program: 2048 functions of some forty instructions, called in an order that
 * follows the data, some of them often and most of them now and then. It asks for translation at a
 * low cost, for a dense code buffer, and for transfers between blocks that no cache holds.
 */
#include "work.h"

static uint32_t data[4096];

/* Constants of function N, so that no two functions are the same. */
#define K(n, i) ((uint32_t)(((n)*2654435761u + (i)*40503u) | 1u))

#define DEFINE(n)                                                                                  \
    static __attribute__((noinline)) uint32_t f##n(uint32_t x)                                     \
    {                                                                                              \
        const uint32_t id = 0##n;                                                                  \
        uint32_t y = x * K(id, 1) + data[K(id, 2) >> 20];                                          \
        if (y & 1u << (id & 15)) {                                                                 \
            y ^= data[y >> 20] + K(id, 3);                                                         \
            data[K(id, 4) >> 20] = y;                                                              \
        } else {                                                                                   \
            y += x >> (id & 7);                                                                    \
            data[K(id, 5) >> 20] += y;                                                             \
        }                                                                                          \
        if (y > K(id, 6)) {                                                                        \
            y -= data[K(id, 7) >> 20] ^ x;                                                         \
        }                                                                                          \
        if ((y & 0xff) == (id & 0xff)) {                                                           \
            data[id & 4095] ^= y << 3 | y >> 29;                                                   \
        }                                                                                          \
        return y ^ y >> (id % 13 + 3);                                                             \
    }
#define NAME(n) f##n,

// clang-format off
/* Octal numbers 0000 to 3777. */
#define TIMES8(m, p) m(p##0) m(p##1) m(p##2) m(p##3) m(p##4) m(p##5) m(p##6) m(p##7)
#define TIMES64(m, p) \
    TIMES8(m, p##0) TIMES8(m, p##1) TIMES8(m, p##2) TIMES8(m, p##3) \
    TIMES8(m, p##4) TIMES8(m, p##5) TIMES8(m, p##6) TIMES8(m, p##7)
#define TIMES512(m, p) \
    TIMES64(m, p##0) TIMES64(m, p##1) TIMES64(m, p##2) TIMES64(m, p##3) \
    TIMES64(m, p##4) TIMES64(m, p##5) TIMES64(m, p##6) TIMES64(m, p##7)
#define TIMES2048(m) TIMES512(m, 0) TIMES512(m, 1) TIMES512(m, 2) TIMES512(m, 3)

TIMES2048(DEFINE)

static uint32_t (*const functions[2048])(uint32_t) = {
    TIMES2048(NAME)
};
// clang-format on

uint32_t work_bigcode(unsigned scale)
{
    uint32_t state = 17, sum = 0;
    for (unsigned n = work_count(1500000, scale); n != 0; n--) {
        uint32_t r = work_random(&state);
        /* Half of the calls go to an eighth of the functions. */
        unsigned i = r & 1 ? r >> 8 & 255 : r >> 8 & 2047;
        sum += functions[i](sum ^ r);
    }
    return sum;
}
