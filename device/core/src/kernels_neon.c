/* 64-bit ARM kernels: widening multiplies (Cortex-A72 and older), byte dot products (A76 on). */
#include "kernels.h"

#if defined(NA_ARM64)

#include <arm_neon.h>

static inline int32x4_t lane_sums(const int32x4_t v[4]) {
    return vpaddq_s32(vpaddq_s32(v[0], v[1]), vpaddq_s32(v[2], v[3]));
}

void na_multiply_neon(const na_matrix *matrix, const int16_t *x, int32_t *sums) {
    const size_t columns = matrix->columns;
    for (size_t r = 0; r < matrix->padded_rows; r += 4) {
        const int8_t *w = matrix->weights + r * columns;
        int32x4_t s[4];
        for (int i = 0; i < 4; i++) {
            s[i] = vdupq_n_s32(0);
        }
        for (size_t c = 0; c < columns; c += 16) {
            const int16x8_t v0 = vld1q_s16(x + c), v1 = vld1q_s16(x + c + 8);
            for (size_t i = 0; i < 4; i++) {
                const int8x16_t row = vld1q_s8(w + c + i * columns);
                const int16x8_t w0 = vmovl_s8(vget_low_s8(row)), w1 = vmovl_high_s8(row);
                s[i] = vmlal_s16(s[i], vget_low_s16(w0), vget_low_s16(v0));
                s[i] = vmlal_high_s16(s[i], w0, v0);
                s[i] = vmlal_s16(s[i], vget_low_s16(w1), vget_low_s16(v1));
                s[i] = vmlal_high_s16(s[i], w1, v1);
            }
        }
        vst1q_s32(sums + r, lane_sums(s));
    }
}

/* The dot product takes signed bytes. With x = 256 high + low + 128, low from -128 to 127,
 *     sum w x = 256 sum w high + sum w low + 128 sum w,
 * exact in 32 bits with wrap-around, since the result does not overflow. */
__attribute__((target("arch=armv8.2-a+dotprod")))
void na_multiply_neon_dot(const na_matrix *matrix, const int16_t *x, int32_t *sums) {
    int8_t high[NA_MAX_COLUMNS], low[NA_MAX_COLUMNS];
    const size_t columns = matrix->columns;
    for (size_t c = 0; c < columns; c++) {
        high[c] = (int8_t)(x[c] >> 8);
        low[c] = (int8_t)((x[c] & 255) - 128);
    }
    for (size_t r = 0; r < matrix->padded_rows; r += 4) {
        const int8_t *w = matrix->weights + r * columns;
        int32x4_t h[4], l[4];
        for (int i = 0; i < 4; i++) {
            h[i] = l[i] = vdupq_n_s32(0);
        }
        for (size_t c = 0; c < columns; c += 16) {
            const int8x16_t vh = vld1q_s8(high + c), vl = vld1q_s8(low + c);
            for (size_t i = 0; i < 4; i++) {
                const int8x16_t row = vld1q_s8(w + c + i * columns);
                h[i] = vdotq_s32(h[i], row, vh);
                l[i] = vdotq_s32(l[i], row, vl);
            }
        }
        const int32x4_t rows = vshlq_n_s32(vld1q_s32(matrix->row_sums + r), 7);
        const int32x4_t both = vaddq_s32(vshlq_n_s32(lane_sums(h), 8), lane_sums(l));
        vst1q_s32(sums + r, vaddq_s32(both, rows));
    }
}

#else
typedef int na_not_arm64; /* ISO C wants one declaration a file */
#endif
