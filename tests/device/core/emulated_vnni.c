/* The AVX-VNNI kernel on a processor without it: the instruction is replaced by its definition
 * (Intel SDM, VPDPBUSD: four products of an unsigned and a signed byte added to each lane). */
#include "kernels.h"

#if defined(NA_X86)

#include <immintrin.h>
#include <string.h>

#undef _mm256_dpbusd_avx_epi32
#define _mm256_dpbusd_avx_epi32 dpbusd
#define na_multiply_avx2 emulated_avx2
#define na_multiply_avx_vnni emulated_avx_vnni
#define na_multiply_avx512_vnni not_emulated_avx512_vnni
#define na_update_avx2 not_emulated_cell_avx2

__attribute__((target("avx2"))) static __m256i dpbusd(__m256i sums, __m256i unsigned_bytes, __m256i signed_bytes) {
    int32_t sum[8];
    uint8_t u[32];
    int8_t s[32];
    memcpy(sum, &sums, 32);
    memcpy(u, &unsigned_bytes, 32);
    memcpy(s, &signed_bytes, 32);
    for (int i = 0; i < 32; i++) {
        sum[i / 4] = (int32_t)((uint32_t)sum[i / 4] + (uint32_t)(u[i] * s[i]));
    }
    memcpy(&sums, sum, 32);
    return sums;
}

#include "kernels_x86.c"

#endif

/* 0 if this is no x86 processor with AVX2 */
int stage_emulated_vnni(uint32_t rows, uint32_t columns, const int8_t *weights,
                        const int32_t *row_sums, const int16_t *x, int32_t *sums) {
#if defined(NA_X86)
    const na_matrix matrix = {rows, rows, columns, weights, NULL, row_sums, NULL};
    if (na_find_kernel(NEUROAMP_AVX2, NA_ROWS).multiply == NULL) return 0;
    emulated_avx_vnni(&matrix, x, sums);
    return 1;
#else
    return 0;
#endif
}
