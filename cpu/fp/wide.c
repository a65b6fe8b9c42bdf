/* Division of 128-bit significands: Knuth, TAOCP 2, 4.3.1 algorithm D with 64-bit digits. */
#include "cpu/fp/wide.h"

/* The next 64 quotient bits of *rest / b, where *rest < b and b has bit 127 set. */
static uint64_t next_digit(u128 *rest, u128 b)
{
    uint64_t bh = fp_hi(b), bl = fp_lo(b);
    uint64_t digit = fp_hi(*rest) >= bh ? UINT64_MAX : (uint64_t)(*rest / bh);
    u128 high = *rest - (u128)digit * bh;
    u128 low = (u128)digit * bl;

    /* The estimate is at most two too large: correct while  high * 2^64 < low. */
    while (fp_hi(high) == 0 && high << 64 < low) {
        digit--;
        high += bh;
        low -= bl;
    }
    *rest = (high << 64) - low;
    return digit;
}

struct fp_exact wide_div(struct fp_exact a, struct fp_exact b)
{
    struct fp_exact r = {0, a.exp - b.exp - 1, a.sign != b.sign};
    u128 rest = a.sig;

    if (rest >= b.sig) {
        /* Halve the dividend; the bit lost is below the error bound. */
        rest >>= 1;
        r.exp++;
    }
    uint64_t hi = next_digit(&rest, b.sig);
    uint64_t lo = next_digit(&rest, b.sig);
    return wide_normalize(fp_u128(hi, lo), r.exp, r.sign);
}
