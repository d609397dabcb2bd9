/* x86-64 kernels: AVX2 widens the weights; VNNI multiplies bytes, the vector split in two. The gates
 * are the same for all: AVX2's gathered loads look the activations up. */
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

TARGET("avx2")
static inline __m256i load(const void *from) { return _mm256_loadu_si256((const __m256i *)from); }

TARGET("avx2")
static inline __m256i joined(__m256i high, __m256i low) {
    return _mm256_add_epi32(_mm256_slli_epi32(high, 8), low);
}

/* Four rows' results, without the last term, from sums of every eighth or sixteenth product. */
TARGET("avx2")
static inline void store(int32_t *sums, __m128i joined_sums, const int32_t *row_sums) {
    const __m128i row = _mm_loadu_si128((const __m128i *)(const void *)row_sums);
    _mm_storeu_si128((__m128i *)(void *)sums, _mm_sub_epi32(joined_sums, _mm_slli_epi32(row, 15)));
}

TARGET("avxvnni,avx2")
void na_multiply_avx_vnni(const na_matrix *matrix, const int16_t *x, int32_t *sums) {
    uint8_t high[NA_MAX_COLUMNS], low[NA_MAX_COLUMNS];
    const size_t columns = matrix->columns;
    split(x, columns, high, low);
    for (size_t r = 0; r < matrix->padded_rows; r += 4) {
        const int8_t *w = matrix->weights + r * columns;
        const __m256i zero = _mm256_setzero_si256();
        __m256i h[4] = {zero, zero, zero, zero}, l[4] = {zero, zero, zero, zero};
        for (size_t c = 0; c < columns; c += 32) {
            const __m256i vh = load(high + c), vl = load(low + c);
            for (size_t i = 0; i < 4; i++) {
                const __m256i row = load(w + c + i * columns);
                h[i] = _mm256_dpbusd_avx_epi32(h[i], vh, row);
                l[i] = _mm256_dpbusd_avx_epi32(l[i], vl, row);
            }
        }
        const __m128i total = lane_sums(joined(h[0], l[0]), joined(h[1], l[1]),
                                        joined(h[2], l[2]), joined(h[3], l[3]));
        store(sums + r, total, matrix->row_sums + r);
    }
}

/* Of each of four vectors the sum of its lanes, in four parts: lane i of 128 bits holds, vector by
 * vector, the sum over its own lanes. */
TARGET("avx512f")
static inline __m512i quarter_sums(__m512i a, __m512i b, __m512i c, __m512i d) {
    const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    return _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
}

/* The high and low sums of one row, and 64 columns on top of them. */
typedef struct na_wide {
    __m512i high;
    __m512i low;
} na_wide;

TARGET("avx512f")
static inline __m512i joined_wide(na_wide sums) {
    return _mm512_add_epi32(_mm512_slli_epi32(sums.high, 8), sums.low);
}

TARGET("avx512vnni")
static inline na_wide dot(na_wide sums, __m512i high, __m512i low, __mmask16 mask, const int8_t *w) {
    const __m512i row = _mm512_maskz_loadu_epi32(mask, w);
    return (na_wide){_mm512_dpbusd_epi32(sums.high, high, row),
                     _mm512_dpbusd_epi32(sums.low, low, row)};
}

TARGET("avx512vnni,avx512vl,avx2")
void na_multiply_avx512_vnni(const na_matrix *matrix, const int16_t *x, int32_t *sums) {
    uint8_t high[NA_MAX_COLUMNS], low[NA_MAX_COLUMNS];
    const size_t columns = matrix->columns;
    split(x, columns, high, low);
    for (size_t r = 0; r < matrix->padded_rows; r += 4) {
        const int8_t *w = matrix->weights + r * columns;
        na_wide a = {_mm512_setzero_si512(), _mm512_setzero_si512()}, b = a, c = a, d = a;
        for (size_t from = 0; from < columns; from += 64) {
            /* The last 32 columns may be half a vector: what lies beyond is another row's. */
            const __mmask16 mask = columns - from < 64 ? 0x00ff : 0xffff;
            const __m512i vh = _mm512_maskz_loadu_epi32(mask, high + from);
            const __m512i vl = _mm512_maskz_loadu_epi32(mask, low + from);
            a = dot(a, vh, vl, mask, w + from);
            b = dot(b, vh, vl, mask, w + columns + from);
            c = dot(c, vh, vl, mask, w + 2 * columns + from);
            d = dot(d, vh, vl, mask, w + 3 * columns + from);
        }
        const __m512i quarters = quarter_sums(joined_wide(a), joined_wide(b), joined_wide(c),
                                              joined_wide(d));
        const __m256i halves = _mm256_add_epi32(_mm512_castsi512_si256(quarters),
                                                _mm512_extracti64x4_epi64(quarters, 1));
        const __m128i total = _mm_add_epi32(_mm256_castsi256_si128(halves),
                                            _mm256_extracti128_si256(halves, 1));
        store(sums + r, total, matrix->row_sums + r);
    }
}

TARGET("avx2")
static inline __m256i eight(const int32_t *from) { return load(from); }

/* As multiply_high of lstm.c, eight at a time: the low half of the shifted products is all that is
 * kept, so that a shift of zeros does as well as one of signs. */
TARGET("avx2")
static inline __m256i multiply_high(__m256i a, __m256i b) {
    const __m256i half = _mm256_set1_epi64x(1 << 30);
    const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(a, b), half);
    const __m256i odd = _mm256_add_epi64(
        _mm256_mul_epi32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32)), half);
    return _mm256_blend_epi32(_mm256_srli_epi64(even, 31), _mm256_slli_epi64(odd, 1), 0xaa);
}

/* Between the points of a table that are 2^step of Q14 apart. Both points that the argument lies
 * between come in one 32-bit load. */
TARGET("avx2")
static inline __m256i between(const int16_t *table, __m256i z, int step) {
    const int32_t one = 1 << step, end = one << 9;
    const __m256i bounded = _mm256_min_epi32(_mm256_max_epi32(z, _mm256_set1_epi32(-end)),
                                             _mm256_set1_epi32(end - 1));
    const __m256i position = _mm256_add_epi32(bounded, _mm256_set1_epi32(end));
    const __m256i index = _mm256_srli_epi32(position, step);
    const __m256i upper = _mm256_and_si256(position, _mm256_set1_epi32(one - 1));
    const __m256i lower = _mm256_sub_epi32(_mm256_set1_epi32(one), upper);
    const __m256i points = _mm256_i32gather_epi32((const int *)(const void *)table, index, 2);
    const __m256i shares = _mm256_or_si256(lower, _mm256_slli_epi32(upper, 16));
    const __m256i sum = _mm256_madd_epi16(points, shares);
    return _mm256_srai_epi32(_mm256_add_epi32(sum, _mm256_set1_epi32(one / 2)), step);
}

TARGET("avx2")
static inline __m256i activate(const int16_t *table, __m256i z) { return between(table, z, 8); }

TARGET("avx2")
static inline __m256i gate_input(const na_cells *c, size_t row) {
    const __m256i input = multiply_high(eight(c->input_sums + row), eight(c->input_multipliers + row));
    const __m256i recurrent =
        multiply_high(eight(c->recurrent_sums + row), eight(c->recurrent_multipliers + row));
    return _mm256_add_epi32(eight(c->bias + row), _mm256_add_epi32(input, recurrent));
}

/* A sum overflowed where its sign is neither term's; what then counts is the sign of the first. */
TARGET("avx2")
static inline __m256i add_saturating(__m256i a, __m256i b) {
    const __m256i sum = _mm256_add_epi32(a, b);
    const __m256i overflowed =
        _mm256_and_si256(_mm256_xor_si256(a, sum), _mm256_xor_si256(b, sum));
    const __m256i end = _mm256_xor_si256(_mm256_srai_epi32(a, 31), _mm256_set1_epi32(INT32_MAX));
    return _mm256_blendv_epi8(sum, end, _mm256_srai_epi32(overflowed, 31));
}

TARGET("avx2")
void na_update_avx2(const na_cells *c) {
    const size_t width = c->width;
    const __m256i one = _mm256_set1_epi32(1);
    size_t i = c->first;
    for (; i + 8 <= width; i += 8) {
        const __m256i take = activate(c->sigmoid, gate_input(c, i));
        const __m256i root = between(c->forgetting, gate_input(c, i + width), 9);
        const __m256i candidate = activate(c->tanh, gate_input(c, i + 2 * width));
        const __m256i give = activate(c->sigmoid, gate_input(c, i + 3 * width));
        const __m256i square = _mm256_slli_epi32(_mm256_mullo_epi32(root, root), 1);
        const __m256i cell = eight(c->cell + i);
        const __m256i kept = _mm256_sub_epi32(cell, multiply_high(cell, square));
        const __m256i taken =
            _mm256_srai_epi32(_mm256_add_epi32(_mm256_mullo_epi32(take, candidate), one), 1);
        const __m256i next = add_saturating(kept, taken);
        _mm256_storeu_si256((__m256i *)(void *)(c->cell + i), next);
        const __m256i q14 = _mm256_srai_epi32(_mm256_add_epi32(_mm256_srai_epi32(next, 14), one), 1);
        const __m256i product = _mm256_mullo_epi32(give, activate(c->tanh, q14));
        const __m256i output =
            _mm256_srai_epi32(_mm256_add_epi32(product, _mm256_set1_epi32(1 << 14)), 15);
        const __m128i packed = _mm_packs_epi32(_mm256_castsi256_si128(output),
                                               _mm256_extracti128_si256(output, 1));
        _mm_storeu_si128((__m128i *)(void *)(c->hidden + i), packed);
    }
    na_cells rest = *c;
    rest.first = i;
    na_update_plain(&rest);
}

#else
typedef int na_not_x86; /* ISO C wants one declaration a file */
#endif
