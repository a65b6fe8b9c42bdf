/*
 * AES-NI, PCLMULQDQ and SHA.
 *
 * An AES state is 16 bytes in columns of four; a column is a little-endian doubleword, so that
 * MixColumns works on four bytes at a time. Everything runs in constant tables and shifts; no host
 * crypto instruction is used, so all hosts agree.
 *
 * Sources: SDM 2A AESDEC to AESKEYGENASSIST, SDM 2B PCLMULQDQ, SHA*; FIPS 197, FIPS 180-4.
 */
#include "cpu/packed.h"

// clang-format off
static const uint8_t aes_sbox[256] = {
    0x63, 0x7c, 0x77, 0x7b, 0xf2, 0x6b, 0x6f, 0xc5, 0x30, 0x01, 0x67, 0x2b, 0xfe, 0xd7, 0xab, 0x76,
    0xca, 0x82, 0xc9, 0x7d, 0xfa, 0x59, 0x47, 0xf0, 0xad, 0xd4, 0xa2, 0xaf, 0x9c, 0xa4, 0x72, 0xc0,
    0xb7, 0xfd, 0x93, 0x26, 0x36, 0x3f, 0xf7, 0xcc, 0x34, 0xa5, 0xe5, 0xf1, 0x71, 0xd8, 0x31, 0x15,
    0x04, 0xc7, 0x23, 0xc3, 0x18, 0x96, 0x05, 0x9a, 0x07, 0x12, 0x80, 0xe2, 0xeb, 0x27, 0xb2, 0x75,
    0x09, 0x83, 0x2c, 0x1a, 0x1b, 0x6e, 0x5a, 0xa0, 0x52, 0x3b, 0xd6, 0xb3, 0x29, 0xe3, 0x2f, 0x84,
    0x53, 0xd1, 0x00, 0xed, 0x20, 0xfc, 0xb1, 0x5b, 0x6a, 0xcb, 0xbe, 0x39, 0x4a, 0x4c, 0x58, 0xcf,
    0xd0, 0xef, 0xaa, 0xfb, 0x43, 0x4d, 0x33, 0x85, 0x45, 0xf9, 0x02, 0x7f, 0x50, 0x3c, 0x9f, 0xa8,
    0x51, 0xa3, 0x40, 0x8f, 0x92, 0x9d, 0x38, 0xf5, 0xbc, 0xb6, 0xda, 0x21, 0x10, 0xff, 0xf3, 0xd2,
    0xcd, 0x0c, 0x13, 0xec, 0x5f, 0x97, 0x44, 0x17, 0xc4, 0xa7, 0x7e, 0x3d, 0x64, 0x5d, 0x19, 0x73,
    0x60, 0x81, 0x4f, 0xdc, 0x22, 0x2a, 0x90, 0x88, 0x46, 0xee, 0xb8, 0x14, 0xde, 0x5e, 0x0b, 0xdb,
    0xe0, 0x32, 0x3a, 0x0a, 0x49, 0x06, 0x24, 0x5c, 0xc2, 0xd3, 0xac, 0x62, 0x91, 0x95, 0xe4, 0x79,
    0xe7, 0xc8, 0x37, 0x6d, 0x8d, 0xd5, 0x4e, 0xa9, 0x6c, 0x56, 0xf4, 0xea, 0x65, 0x7a, 0xae, 0x08,
    0xba, 0x78, 0x25, 0x2e, 0x1c, 0xa6, 0xb4, 0xc6, 0xe8, 0xdd, 0x74, 0x1f, 0x4b, 0xbd, 0x8b, 0x8a,
    0x70, 0x3e, 0xb5, 0x66, 0x48, 0x03, 0xf6, 0x0e, 0x61, 0x35, 0x57, 0xb9, 0x86, 0xc1, 0x1d, 0x9e,
    0xe1, 0xf8, 0x98, 0x11, 0x69, 0xd9, 0x8e, 0x94, 0x9b, 0x1e, 0x87, 0xe9, 0xce, 0x55, 0x28, 0xdf,
    0x8c, 0xa1, 0x89, 0x0d, 0xbf, 0xe6, 0x42, 0x68, 0x41, 0x99, 0x2d, 0x0f, 0xb0, 0x54, 0xbb, 0x16,
};

static const uint8_t aes_inv_sbox[256] = {
    0x52, 0x09, 0x6a, 0xd5, 0x30, 0x36, 0xa5, 0x38, 0xbf, 0x40, 0xa3, 0x9e, 0x81, 0xf3, 0xd7, 0xfb,
    0x7c, 0xe3, 0x39, 0x82, 0x9b, 0x2f, 0xff, 0x87, 0x34, 0x8e, 0x43, 0x44, 0xc4, 0xde, 0xe9, 0xcb,
    0x54, 0x7b, 0x94, 0x32, 0xa6, 0xc2, 0x23, 0x3d, 0xee, 0x4c, 0x95, 0x0b, 0x42, 0xfa, 0xc3, 0x4e,
    0x08, 0x2e, 0xa1, 0x66, 0x28, 0xd9, 0x24, 0xb2, 0x76, 0x5b, 0xa2, 0x49, 0x6d, 0x8b, 0xd1, 0x25,
    0x72, 0xf8, 0xf6, 0x64, 0x86, 0x68, 0x98, 0x16, 0xd4, 0xa4, 0x5c, 0xcc, 0x5d, 0x65, 0xb6, 0x92,
    0x6c, 0x70, 0x48, 0x50, 0xfd, 0xed, 0xb9, 0xda, 0x5e, 0x15, 0x46, 0x57, 0xa7, 0x8d, 0x9d, 0x84,
    0x90, 0xd8, 0xab, 0x00, 0x8c, 0xbc, 0xd3, 0x0a, 0xf7, 0xe4, 0x58, 0x05, 0xb8, 0xb3, 0x45, 0x06,
    0xd0, 0x2c, 0x1e, 0x8f, 0xca, 0x3f, 0x0f, 0x02, 0xc1, 0xaf, 0xbd, 0x03, 0x01, 0x13, 0x8a, 0x6b,
    0x3a, 0x91, 0x11, 0x41, 0x4f, 0x67, 0xdc, 0xea, 0x97, 0xf2, 0xcf, 0xce, 0xf0, 0xb4, 0xe6, 0x73,
    0x96, 0xac, 0x74, 0x22, 0xe7, 0xad, 0x35, 0x85, 0xe2, 0xf9, 0x37, 0xe8, 0x1c, 0x75, 0xdf, 0x6e,
    0x47, 0xf1, 0x1a, 0x71, 0x1d, 0x29, 0xc5, 0x89, 0x6f, 0xb7, 0x62, 0x0e, 0xaa, 0x18, 0xbe, 0x1b,
    0xfc, 0x56, 0x3e, 0x4b, 0xc6, 0xd2, 0x79, 0x20, 0x9a, 0xdb, 0xc0, 0xfe, 0x78, 0xcd, 0x5a, 0xf4,
    0x1f, 0xdd, 0xa8, 0x33, 0x88, 0x07, 0xc7, 0x31, 0xb1, 0x12, 0x10, 0x59, 0x27, 0x80, 0xec, 0x5f,
    0x60, 0x51, 0x7f, 0xa9, 0x19, 0xb5, 0x4a, 0x0d, 0x2d, 0xe5, 0x7a, 0x9f, 0x93, 0xc9, 0x9c, 0xef,
    0xa0, 0xe0, 0x3b, 0x4d, 0xae, 0x2a, 0xf5, 0xb0, 0xc8, 0xeb, 0xbb, 0x3c, 0x83, 0x53, 0x99, 0x61,
    0x17, 0x2b, 0x04, 0x7e, 0xba, 0x77, 0xd6, 0x26, 0xe1, 0x69, 0x14, 0x63, 0x55, 0x21, 0x0c, 0x7d,
};

#define OP(op)                                                                              \
    static ALWAYS_INLINE void op##_op(union vec *d, const union vec *a, const union vec *b, \
                                      unsigned n)
#define OP_I(op)                                                                            \
    static ALWAYS_INLINE void op##_op(union vec *d, const union vec *a, const union vec *b, \
                                      unsigned n, unsigned imm)
// clang-format on

static inline uint32_t ror32(uint32_t v, unsigned n)
{
    return v >> n | v << (32 - n);
}

static inline uint32_t rol32(uint32_t v, unsigned n)
{
    return v << n | v >> (32 - n);
}

/* ---- AES ---- */
/* Each byte times x in GF(2^8). */
static inline uint32_t aes_double(uint32_t w)
{
    return ((w & 0x7f7f7f7f) << 1) ^ ((w >> 7 & 0x01010101) * 0x1b);
}

static inline uint32_t aes_mix(uint32_t w)
{
    uint32_t x2 = aes_double(w);
    return x2 ^ ror32(w ^ x2, 8) ^ ror32(w, 16) ^ ror32(w, 24);
}

static inline uint32_t aes_inv_mix(uint32_t w)
{
    uint32_t x2 = aes_double(w), x4 = aes_double(x2), x8 = aes_double(x4);
    return (x8 ^ x4 ^ x2) ^ ror32(x8 ^ x2 ^ w, 8) ^ ror32(x8 ^ x4 ^ w, 16) ^ ror32(x8 ^ w, 24);
}

static inline uint32_t aes_sub_word(uint32_t w)
{
    return aes_sbox[w & 0xff] | (uint32_t)aes_sbox[w >> 8 & 0xff] << 8 |
           (uint32_t)aes_sbox[w >> 16 & 0xff] << 16 | (uint32_t)aes_sbox[w >> 24] << 24;
}

/* ShiftRows and SubBytes: row r of column c comes from column c + step * r. */
static inline void aes_shift_sub(union vec *d, const union vec *a, const uint8_t *box,
                                 unsigned step)
{
    for (unsigned c = 0; c < 4; c++) {
        for (unsigned r = 0; r < 4; r++) {
            d->b[VB(4 * c + r)] = box[a->b[VB(4 * ((c + step * r) & 3) + r)]];
        }
    }
}

static inline void xor_key(union vec *d, const union vec *key)
{
    d->q[0] ^= key->q[0];
    d->q[1] ^= key->q[1];
}

OP(aesenclast)
{
    (void)n;
    aes_shift_sub(d, a, aes_sbox, 1);
    xor_key(d, b);
}

OP(aesdeclast)
{
    (void)n;
    aes_shift_sub(d, a, aes_inv_sbox, 3);
    xor_key(d, b);
}

OP(aesenc)
{
    (void)n;
    aes_shift_sub(d, a, aes_sbox, 1);
    for (unsigned k = 0; k < 4; k++) {
        d->d[k] = aes_mix(d->d[k]);
    }
    xor_key(d, b);
}

OP(aesdec)
{
    (void)n;
    aes_shift_sub(d, a, aes_inv_sbox, 3);
    for (unsigned k = 0; k < 4; k++) {
        d->d[k] = aes_inv_mix(d->d[k]);
    }
    xor_key(d, b);
}

OP(aesimc)
{
    (void)a;
    for (unsigned k = 0; k < n / 4; k++) {
        d->d[k] = aes_inv_mix(b->d[k]);
    }
}

OP_I(aeskeygenassist)
{
    (void)a;
    (void)n;
    for (unsigned k = 0; k < 4; k += 2) {
        uint32_t w = aes_sub_word(b->d[VD(k + 1)]);
        d->d[VD(k)] = w;
        d->d[VD(k + 1)] = ror32(w, 8) ^ imm;
    }
}

/* ---- carry-less product of the quadwords that imm[0] and imm[4] select ---- */
OP_I(pclmulqdq)
{
    uint64_t x = a->q[imm & 1], y = b->q[imm >> 4 & 1], lo = 0, hi = 0;
    (void)n;
    for (unsigned k = 0; k < 64; k++) {
        uint64_t take = 0 - (y >> k & 1);
        lo ^= x << k & take;
        hi ^= (k ? x >> (64 - k) : 0) & take;
    }
    d->q[0] = lo;
    d->q[1] = hi;
}

/* ---- SHA-1; element 3 of a vector holds A, or the first word ---- */
OP(sha1nexte)
{
    (void)n;
    d->q[0] = b->q[0];
    d->q[1] = b->q[1];
    d->d[VD(3)] += rol32(a->d[VD(3)], 30);
}

OP(sha1msg1)
{
    (void)n;
    d->d[VD(3)] = a->d[VD(1)] ^ a->d[VD(3)];
    d->d[VD(2)] = a->d[VD(0)] ^ a->d[VD(2)];
    d->d[VD(1)] = b->d[VD(3)] ^ a->d[VD(1)];
    d->d[VD(0)] = b->d[VD(2)] ^ a->d[VD(0)];
}

OP(sha1msg2)
{
    (void)n;
    uint32_t w16 = rol32(a->d[VD(3)] ^ b->d[VD(2)], 1);
    d->d[VD(3)] = w16;
    d->d[VD(2)] = rol32(a->d[VD(2)] ^ b->d[VD(1)], 1);
    d->d[VD(1)] = rol32(a->d[VD(1)] ^ b->d[VD(0)], 1);
    d->d[VD(0)] = rol32(a->d[VD(0)] ^ w16, 1);
}

static inline uint32_t sha_ch(uint32_t x, uint32_t y, uint32_t z)
{
    return (x & y) ^ (~x & z);
}

static inline uint32_t sha_maj(uint32_t x, uint32_t y, uint32_t z)
{
    return (x & y) ^ (x & z) ^ (y & z);
}

OP_I(sha1rnds4)
{
    static const uint32_t constant[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
    uint32_t s[5] = {a->d[VD(3)], a->d[VD(2)], a->d[VD(1)], a->d[VD(0)], 0};
    (void)n;
    imm &= 3;
    for (unsigned k = 0; k < 4; k++) {
        uint32_t f = imm == 0   ? sha_ch(s[1], s[2], s[3])
                     : imm == 2 ? sha_maj(s[1], s[2], s[3])
                                : s[1] ^ s[2] ^ s[3];
        uint32_t t = f + rol32(s[0], 5) + b->d[VD(3 - k)] + s[4] + constant[imm];
        s[4] = s[3]; /* the first round's E is part of its word */
        s[3] = s[2];
        s[2] = rol32(s[1], 30);
        s[1] = s[0];
        s[0] = t;
    }
    for (unsigned k = 0; k < 4; k++) {
        d->d[VD(3 - k)] = s[k];
    }
}

/* ---- SHA-256 ---- */
static inline uint32_t sha256_s0(uint32_t w)
{
    return ror32(w, 7) ^ ror32(w, 18) ^ w >> 3;
}

static inline uint32_t sha256_s1(uint32_t w)
{
    return ror32(w, 17) ^ ror32(w, 19) ^ w >> 10;
}

OP(sha256msg1)
{
    (void)n;
    for (unsigned k = 0; k < 4; k++) {
        uint32_t next = k < 3 ? a->d[VD(k + 1)] : b->d[VD(0)];
        d->d[VD(k)] = a->d[VD(k)] + sha256_s0(next);
    }
}

OP(sha256msg2)
{
    (void)n;
    d->d[VD(0)] = a->d[VD(0)] + sha256_s1(b->d[VD(2)]);
    d->d[VD(1)] = a->d[VD(1)] + sha256_s1(b->d[VD(3)]);
    d->d[VD(2)] = a->d[VD(2)] + sha256_s1(d->d[VD(0)]);
    d->d[VD(3)] = a->d[VD(3)] + sha256_s1(d->d[VD(1)]);
}

// clang-format off
SEM_PACKED2(aesenc)  SEM_PACKED2(aesenclast) SEM_PACKED2(aesdec) SEM_PACKED2(aesdeclast)
SEM_PACKED2(aesimc)  SEM_PACKED2_I(aeskeygenassist) SEM_PACKED2_I(pclmulqdq)
SEM_SSE(sha1nexte)   SEM_SSE(sha1msg1)   SEM_SSE(sha1msg2) SEM_SSE_I(sha1rnds4)
SEM_SSE(sha256msg1)  SEM_SSE(sha256msg2)
    // clang-format on

    /* Two rounds; the words plus constants are XMM0's low half. */
    SEM(sha256rnds2)
{
    sse_check(cpu);
    union vec b = vec_w(cpu, i, 16, true), a = vec_get(cpu, i->reg, 16);
    union vec wk = vec_get(cpu, 0, 16);
    uint32_t s[8] = {b.d[VD(3)], b.d[VD(2)], a.d[VD(3)], a.d[VD(2)],
                     b.d[VD(1)], b.d[VD(0)], a.d[VD(1)], a.d[VD(0)]};
    for (unsigned k = 0; k < 2; k++) {
        uint32_t s1 = ror32(s[4], 6) ^ ror32(s[4], 11) ^ ror32(s[4], 25);
        uint32_t s0 = ror32(s[0], 2) ^ ror32(s[0], 13) ^ ror32(s[0], 22);
        uint32_t t1 = s[7] + s1 + sha_ch(s[4], s[5], s[6]) + wk.d[VD(k)];
        uint32_t t2 = s0 + sha_maj(s[0], s[1], s[2]);
        memmove(s + 1, s, 7 * sizeof s[0]);
        s[4] += t1;
        s[0] = t1 + t2;
    }
    a.d[VD(3)] = s[0];
    a.d[VD(2)] = s[1];
    a.d[VD(1)] = s[4];
    a.d[VD(0)] = s[5];
    vec_set(cpu, i->reg, &a, 16);
}
