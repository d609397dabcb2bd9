/* The two inner loops that are worth a version per processor: int8 matrix times int16 vector, and
 * what becomes of an LSTM layer's sums. All versions give the same bits. */
#ifndef NA_KERNELS_H
#define NA_KERNELS_H

#include "model.h"

/* sums[r] = the sum over c of weights[r][c] * x[c], exact, for r < padded_rows; x has `columns`
 * values and is aligned to 16 bytes. The model's reader made sure that no sum overflows. */
typedef void (*na_multiply)(const na_matrix *matrix, const int16_t *x, int32_t *sums);

/* One LSTM layer between its sums and its next states; rows of gates as in the model's layout. */
typedef struct na_cells {
    const int32_t *input_sums; /* [4 width] */
    const int32_t *recurrent_sums;
    const int32_t *input_multipliers;
    const int32_t *recurrent_multipliers;
    const int32_t *bias;    /* Q14 */
    const int16_t *sigmoid; /* [NA_ACTIVATION_POINTS] */
    const int16_t *tanh;
    int32_t *cell;   /* [width], Q29 */
    int16_t *hidden; /* [width], Q15 */
    size_t width;
    const int16_t *forgetting; /* as the tables above; its points are twice as far apart */
    size_t first; /* units before this one are done */
} na_cells;

typedef void (*na_update)(const na_cells *cells);

typedef struct na_kernel {
    na_multiply multiply;
    na_update update;
} na_kernel;

/* The functions of a kernel for matrices of a layout; null ones where this build or this processor
 * does not have it, or it takes another layout. */
na_kernel na_find_kernel(neuroamp_kernel kernel, na_layout layout);

/* The fastest kernel that this processor has for a layout; NEUROAMP_KERNELS: none. */
neuroamp_kernel na_fastest_kernel(na_layout layout);

void na_multiply_plain(const na_matrix *matrix, const int16_t *x, int32_t *sums);
void na_update_plain(const na_cells *cells);

#if defined(__x86_64__) && defined(__GNUC__)
#define NA_X86 1
void na_multiply_avx2(const na_matrix *matrix, const int16_t *x, int32_t *sums);
void na_multiply_avx_vnni(const na_matrix *matrix, const int16_t *x, int32_t *sums);
void na_multiply_avx512_vnni(const na_matrix *matrix, const int16_t *x, int32_t *sums);
void na_update_avx2(const na_cells *cells);
#elif defined(__aarch64__) && defined(__GNUC__)
#define NA_ARM64 1
void na_multiply_neon(const na_matrix *matrix, const int16_t *x, int32_t *sums);
void na_multiply_neon_dot(const na_matrix *matrix, const int16_t *x, int32_t *sums);
#elif defined(__GNUC__) && defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 2)
#define NA_HELIUM 1
void na_multiply_helium(const na_matrix *matrix, const int16_t *x, int32_t *sums);
void na_update_helium(const na_cells *cells);

/* Band gains [count], 0..1, from the sums of the output layer. */
void na_gains_helium(const na_matrix *last, const int32_t *sums, const int16_t *sigmoid,
                     float *output, size_t count);
#elif defined(__GNUC__) && defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M' &&             \
    defined(__ARM_FEATURE_DSP) && defined(__ARM_FP)
#define NA_DSP 1
void na_multiply_dsp(const na_matrix *matrix, const int16_t *x, int32_t *sums);
void na_update_dsp(const na_cells *cells);
#endif

#endif
