/*
 * fp.c: floating point: scalar double and packed float in SSE2, the x87 (long double, in 32-bit and
 * 64-bit programs alike), and the C library's functions.
 */
#include "work.h"
#include <emmintrin.h>
#include <math.h>
#include <string.h>

/* A checksum of the bits of a double. */
static uint32_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return work_mix((uint32_t)bits, (uint32_t)(bits >> 32));
}

/* The planets around the sun, in doubles (the n-body problem). */
uint32_t work_scalar(unsigned scale)
{
    static const double start[5][7] = {
        {0, 0, 0, 0, 0, 0, 39.4784176},
        {4.8414314, -1.1603200, -0.1036220, 0.6063263, 2.8119868, -0.0252183, 0.0376936},
        {8.3433667, 4.1247985, -0.4035234, -1.0107743, 1.8256623, 0.0084157, 0.0112863},
        {12.8943695, -15.1111514, -0.2233075, 1.0827910, 0.8687130, -0.0108326, 0.0017237},
        {15.3796971, -25.9193146, 0.1792587, 0.9790907, 0.5946989, -0.0347559, 0.0020336},
    };
    double b[5][7];
    memcpy(b, start, sizeof(b));
    for (unsigned step = work_count(150000, scale); step != 0; step--) {
        for (int i = 0; i < 5; i++) {
            for (int j = i + 1; j < 5; j++) {
                double x = b[i][0] - b[j][0], y = b[i][1] - b[j][1], z = b[i][2] - b[j][2];
                double square = x * x + y * y + z * z, m = 0.01 / (square * sqrt(square));
                for (int k = 0; k < 3; k++) {
                    double d = b[i][k] - b[j][k];
                    b[i][k + 3] -= d * b[j][6] * m;
                    b[j][k + 3] += d * b[i][6] * m;
                }
            }
        }
        for (int i = 0; i < 5; i++) {
            for (int k = 0; k < 3; k++) {
                b[i][k] += 0.01 * b[i][k + 3];
            }
        }
    }
    uint32_t sum = 0;
    for (int i = 0; i < 5; i++) {
        sum = work_mix(sum, bits_of(b[i][0]));
    }
    return sum;
}

/* The Mandelbrot set, four points at a time; then points times a matrix, with shuffles. */
static uint32_t mandelbrot(float shift)
{
    uint32_t sum = 0;
    for (int row = 0; row < 32; row++) {
        for (int column = 0; column < 32; column += 4) {
            __m128 cx = _mm_add_ps(_mm_set1_ps((float)column / 16 - 1.5f + shift),
                                   _mm_setr_ps(0, 1 / 16.0f, 2 / 16.0f, 3 / 16.0f));
            __m128 cy = _mm_set1_ps((float)row / 16 - 1), x = cx, y = cy;
            __m128i count = _mm_setzero_si128();
            for (int n = 0; n < 50; n++) {
                __m128 xx = _mm_mul_ps(x, x), yy = _mm_mul_ps(y, y), xy = _mm_mul_ps(x, y);
                __m128 in = _mm_cmplt_ps(_mm_add_ps(xx, yy), _mm_set1_ps(4));
                if (_mm_movemask_ps(in) == 0) {
                    break;
                }
                count = _mm_sub_epi32(count, _mm_castps_si128(in));
                x = _mm_add_ps(_mm_sub_ps(xx, yy), cx);
                y = _mm_add_ps(_mm_add_ps(xy, xy), cy);
            }
            int32_t counts[4];
            _mm_storeu_si128((__m128i *)counts, count);
            for (int i = 0; i < 4; i++) {
                sum = work_mix(sum, (uint32_t)counts[i]);
            }
        }
    }
    return sum;
}

static uint32_t transform(void)
{
    static float points[1024][4];
    const __m128 m[4] = {_mm_setr_ps(0.8f, 0.6f, 0, 0), _mm_setr_ps(-0.6f, 0.8f, 0, 0),
                         _mm_setr_ps(0, 0, 0.5f, 0.5f), _mm_setr_ps(0, 0, -0.5f, 0.5f)};
    for (int i = 0; i < 1024; i++) {
        __m128 p = _mm_add_ps(_mm_loadu_ps(points[i]), _mm_set1_ps((float)i));
        __m128 q = _mm_mul_ps(_mm_shuffle_ps(p, p, 0x00), m[0]);
        q = _mm_add_ps(q, _mm_mul_ps(_mm_shuffle_ps(p, p, 0x55), m[1]));
        q = _mm_add_ps(q, _mm_mul_ps(_mm_shuffle_ps(p, p, 0xaa), m[2]));
        q = _mm_add_ps(q, _mm_mul_ps(_mm_shuffle_ps(p, p, 0xff), m[3]));
        _mm_storeu_ps(points[i], _mm_min_ps(q, _mm_set1_ps(1000)));
    }
    uint32_t sum = 0;
    for (int i = 0; i < 1024; i += 64) {
        sum = work_mix(sum, bits_of(points[i][0] + points[i][3]));
    }
    return sum;
}

uint32_t work_packed(unsigned scale)
{
    uint32_t sum = 0;
    for (unsigned round = work_count(350, scale); round != 0; round--) {
        sum = work_mix(sum, mandelbrot((float)(round % 8) / 64));
        sum = work_mix(sum, transform());
    }
    return sum;
}

/* Long double: a polynomial, roots, an integral, and conversions to and from integers. */
uint32_t work_x87(unsigned scale)
{
    static const double coefficient[8] = {1, -0.5, 0.25, -0.125, 0.5, 0.75, -1, 2};
    static double results[64];
    uint32_t sum = 0;
    for (unsigned round = work_count(1500, scale); round != 0; round--) {
        long double total = 0;
        for (int i = 1; i <= 400; i++) {
            long double x = (long double)i / 400 + (long double)round / 1000, p = 0;
            for (int k = 0; k < 8; k++) {
                p = p * x + coefficient[k];
            }
            total += p / (1 + x * x) - sqrtl(x);
            results[i % 64] = (double)total;
        }
        sum = work_mix(sum, (uint32_t)(int32_t)(total * 1000));
        sum = work_mix(sum, bits_of(results[round % 64]));
    }
    return sum;
}

uint32_t work_libm(unsigned scale)
{
    double total = 0;
    for (unsigned i = work_count(150000, scale); i != 0; i--) {
        double x = (double)(i % 1000) / 100 + 0.001;
        total += sin(x) * cos(x * 3) + exp(-x) + log(x) + pow(x, 0.7) + atan(x) / 3;
    }
    return bits_of(floor(total * 1e5 + 0.5));
}
