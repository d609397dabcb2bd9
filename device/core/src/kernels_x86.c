/* x86-64 kernels: AVX2 widens the weights; VNNI multiplies bytes, the vector split in two. */
#include "kernels.h"

#if defined(NA_X86)

#include <immintrin.h>

#ifndef TARGET /* a test compiles this file for a processor without VNNI */
#define TARGET(name) __attribute__((target(name)))
#endif

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

TARGET("avx2")
static inline __m256i load(const void *from) { return _mm256_loadu_si256((const __m256i *)from); }

/* The same function for the two encodings of the instruction; `dot` is its intrinsic. */
#define DEFINE_VNNI(name, target, dot)                                                            \
    TARGET(target)                                                                                \
    void name(const na_matrix *matrix, const int16_t *x, int32_t *sums) {                         \
        uint8_t high[NA_MAX_COLUMNS], low[NA_MAX_COLUMNS];                                        \
        const size_t columns = matrix->columns;                                                   \
        split(x, columns, high, low);                                                             \
        for (size_t r = 0; r < matrix->padded_rows; r += 4) {                                     \
            const int8_t *w = matrix->weights + r * columns;                                      \
            const __m256i zero = _mm256_setzero_si256();                                          \
            __m256i h[4] = {zero, zero, zero, zero}, l[4] = {zero, zero, zero, zero};             \
            for (size_t c = 0; c < columns; c += 32) {                                            \
                const __m256i vh = load(high + c), vl = load(low + c);                            \
                for (size_t i = 0; i < 4; i++) {                                                  \
                    const __m256i row = load(w + c + i * columns);                                \
                    h[i] = dot(h[i], vh, row);                                                    \
                    l[i] = dot(l[i], vl, row);                                                    \
                }                                                                                 \
            }                                                                                     \
            const __m128i high_sums = lane_sums(h[0], h[1], h[2], h[3]);                          \
            const __m128i low_sums = lane_sums(l[0], l[1], l[2], l[3]);                           \
            _mm_storeu_si128((__m128i *)(void *)(sums + r),                                       \
                             joined(high_sums, low_sums, matrix->row_sums + r));                  \
        }                                                                                         \
    }

DEFINE_VNNI(na_multiply_avx_vnni, "avxvnni,avx2", _mm256_dpbusd_avx_epi32)
DEFINE_VNNI(na_multiply_avx512_vnni, "avx512vnni,avx512vl,avx2", _mm256_dpbusd_epi32)

#else
typedef int na_not_x86; /* ISO C wants one declaration a file */
#endif
