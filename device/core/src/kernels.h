/* The inner loops of the net that are worth a version per processor: int8 matrix times int16 vector,
 * and from the gates' sums to the next states. */
#ifndef NA_KERNELS_H
#define NA_KERNELS_H

#include "model.h"

/* sums[r] = the sum over c of weights[r][c] * x[c], exact, for r < padded_rows; x has `columns`
 * values. The model's reader made sure that no sum overflows. */
typedef void (*na_multiply)(const na_matrix *matrix, const int16_t *x, int32_t *sums);

/* The cell state's bound, 4 in Q28. */
#define NA_CELL_BOUND_Q28 (1 << 30)

/* One layer's gates before their activations, gate by gate: input, forget, candidate, output. */
typedef struct na_gates {
    size_t width; /* units; the arrays have four rows a unit */
    const int32_t *bias;
    const int32_t *input_sums;
    const int32_t *input_multipliers;
    const int32_t *recurrent_sums;
    const int32_t *recurrent_multipliers;
    const int16_t *sigmoid; /* [NA_ACTIVATION_POINTS] */
    const int16_t *tanh;
} na_gates;

/* The next states of the units from `first` on: cell in Q28, hidden in Q15. */
typedef void (*na_cell)(const na_gates *gates, size_t first, int32_t *cell, int16_t *hidden);

/* The gates' version that goes with a kernel. */
na_cell na_find_cell(neuroamp_kernel kernel);

void na_cell_plain(const na_gates *gates, size_t first, int32_t *cell, int16_t *hidden);

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
void na_cell_avx2(const na_gates *gates, size_t first, int32_t *cell, int16_t *hidden);
#elif defined(__aarch64__) && defined(__GNUC__)
#define NA_ARM64 1
void na_multiply_neon(const na_matrix *matrix, const int16_t *x, int32_t *sums);
void na_multiply_neon_dot(const na_matrix *matrix, const int16_t *x, int32_t *sums);
#endif

#endif
