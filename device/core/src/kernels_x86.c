/* x86-64 kernels: AVX2 widens the weights; VNNI multiplies bytes, the vector split in two. */
#include "kernels.h"

#if defined(NA_X86)

#include <immintrin.h>

#define TARGET(name) __attribute__((target(name)))

/* Sums of the eight 32-bit lanes of four vectors, one after another. */
TARGET("avx2")
static inline __m128i lane_sums(__m256i a, __m256i b, __m256i c, __m256i d) {
    const __m256i pairs = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    return _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
}

TARGET("avx2")
static inline __m256i widened(const int8_t *weights) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)weights));
}

TARGET("avx2")
void na_multiply_avx2(const na_matrix *matrix, const int16_t *x, int32_t *sums) {
    const size_t columns = matrix->columns;
    for (size_t r = 0; r < matrix->padded_rows; r += 4) {
        const int8_t *w = matrix->weights + r * columns;
        __m256i s0 = _mm256_setzero_si256(), s1 = s0, s2 = s0, s3 = s0;
        for (size_t c = 0; c < columns; c += 16) {
            const __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(x + c));
            s0 = _mm256_add_epi32(s0, _mm256_madd_epi16(widened(w + c), v));
            s1 = _mm256_add_epi32(s1, _mm256_madd_epi16(widened(w + c + columns), v));
            s2 = _mm256_add_epi32(s2, _mm256_madd_epi16(widened(w + c + 2 * columns), v));
            s3 = _mm256_add_epi32(s3, _mm256_madd_epi16(widened(w + c + 3 * columns), v));
        }
        _mm_storeu_si128((__m128i *)(void *)(sums + r), lane_sums(s0, s1, s2, s3));
    }
}

/* VNNI multiplies unsigned bytes by signed ones. With u = x + 32768 = 256 high + low,
 *     sum w x = 256 sum w high + sum w low - 32768 sum w,
 * exact in 32 bits with wrap-around, since the result does not overflow. */
TARGET("avx2")
static void split(const int16_t *x, size_t columns, uint8_t *high, uint8_t *low) {
    for (size_t c = 0; c < columns; c++) {
        const unsigned u = (unsigned)(x[c] + 32768);
        high[c] = (uint8_t)(u >> 8);
        low[c] = (uint8_t)(u & 255);
    }
}

/* Four rows' results from their high and low sums. */
TARGET("avx2")
static inline __m128i joined(__m128i high, __m128i low, const int32_t *row_sums) {
    const __m128i row = _mm_loadu_si128((const __m128i *)(const void *)row_sums);
    const __m128i both = _mm_add_epi32(_mm_slli_epi32(high, 8), low);
    return _mm_sub_epi32(both, _mm_slli_epi32(row, 15));
}

TARGET("avxvnni,avx2")
void na_multiply_avx_vnni(const na_matrix *matrix, const int16_t *x, int32_t *sums) {
    uint8_t high[NA_MAX_COLUMNS], low[NA_MAX_COLUMNS];
    const size_t columns = matrix->columns;
    split(x, columns, high, low);
    for (size_t r = 0; r < matrix->padded_rows; r += 4) {
        const int8_t *w = matrix->weights + r * columns;
        __m256i h[4], l[4];
        for (int i = 0; i < 4; i++) {
            h[i] = l[i] = _mm256_setzero_si256();
        }
        for (size_t c = 0; c < columns; c += 32) {
            const __m256i vh = _mm256_loadu_si256((const __m256i *)(const void *)(high + c));
            const __m256i vl = _mm256_loadu_si256((const __m256i *)(const void *)(low + c));
            for (size_t i = 0; i < 4; i++) {
                const __m256i row =
                    _mm256_loadu_si256((const __m256i *)(const void *)(w + c + i * columns));
                h[i] = _mm256_dpbusd_avx_epi32(h[i], vh, row);
                l[i] = _mm256_dpbusd_avx_epi32(l[i], vl, row);
            }
        }
        _mm_storeu_si128((__m128i *)(void *)(sums + r),
                         joined(lane_sums(h[0], h[1], h[2], h[3]), lane_sums(l[0], l[1], l[2], l[3]),
                                matrix->row_sums + r));
    }
}

/* The upper half of a 64-byte vector added to the lower. */
TARGET("avx512f")
static inline __m256i folded(__m512i v) {
    return _mm256_add_epi32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
}

TARGET("avx512vnni,avx512bw,avx512f,avx2")
void na_multiply_avx512_vnni(const na_matrix *matrix, const int16_t *x, int32_t *sums) {
    uint8_t high[NA_MAX_COLUMNS], low[NA_MAX_COLUMNS];
    const size_t columns = matrix->columns;
    split(x, columns, high, low);
    for (size_t r = 0; r < matrix->padded_rows; r += 4) {
        const int8_t *w = matrix->weights + r * columns;
        __m512i h[4], l[4];
        for (int i = 0; i < 4; i++) {
            h[i] = l[i] = _mm512_setzero_si512();
        }
        for (size_t c = 0; c < columns; c += 64) {
            /* The columns are a multiple of 32: the last vector may be a half one. */
            const __mmask64 mask = columns - c >= 64 ? ~(__mmask64)0 : (__mmask64)0xffffffffu;
            const __m512i vh = _mm512_maskz_loadu_epi8(mask, high + c);
            const __m512i vl = _mm512_maskz_loadu_epi8(mask, low + c);
            for (size_t i = 0; i < 4; i++) {
                const __m512i row = _mm512_maskz_loadu_epi8(mask, w + c + i * columns);
                h[i] = _mm512_dpbusd_epi32(h[i], vh, row);
                l[i] = _mm512_dpbusd_epi32(l[i], vl, row);
            }
        }
        const __m128i high_sums = lane_sums(folded(h[0]), folded(h[1]), folded(h[2]), folded(h[3]));
        const __m128i low_sums = lane_sums(folded(l[0]), folded(l[1]), folded(l[2]), folded(l[3]));
        _mm_storeu_si128((__m128i *)(void *)(sums + r),
                         joined(high_sums, low_sums, matrix->row_sums + r));
    }
}

#else
typedef int na_not_x86; /* ISO C wants one declaration a file */
#endif
