/* The one inner loop that is worth a version per processor: int8 matrix times int16 vector. */
#ifndef NA_KERNELS_H
#define NA_KERNELS_H

#include "model.h"

/* sums[r] = the sum over c of weights[r][c] * x[c], exact, for r < padded_rows; x has `columns`
 * values. The model's reader made sure that no sum overflows. */
typedef void (*na_multiply)(const na_matrix *matrix, const int16_t *x, int32_t *sums);

/* The multiply of a kernel; null where this build or this processor does not have it. */
na_multiply na_find_kernel(neuroamp_kernel kernel);

/* The fastest kernel that this processor has. */
neuroamp_kernel na_fastest_kernel(void);

void na_multiply_plain(const na_matrix *matrix, const int16_t *x, int32_t *sums);

#if defined(__x86_64__) && defined(__GNUC__)
#define NA_X86 1
void na_multiply_avx2(const na_matrix *matrix, const int16_t *x, int32_t *sums);
void na_multiply_avx_vnni(const na_matrix *matrix, const int16_t *x, int32_t *sums);
void na_multiply_avx512_vnni(const na_matrix *matrix, const int16_t *x, int32_t *sums);
#elif defined(__aarch64__) && defined(__GNUC__)
#define NA_ARM64 1
void na_multiply_neon(const na_matrix *matrix, const int16_t *x, int32_t *sums);
void na_multiply_neon_dot(const na_matrix *matrix, const int16_t *x, int32_t *sums);
#endif

#endif
