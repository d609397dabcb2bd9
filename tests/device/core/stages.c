/* The core's stages one by one, flat functions for the tests to call. */
#include "bands.h"
#include "elementary.h"
#include "net_features.h"
#include "fft.h"
#include "kernels.h"
#include "limiter.h"
#include "stats.h"
#include "wdrc.h"

#include <string.h>

void stage_exp2(const float *x, float *y, size_t count) {
    for (size_t i = 0; i < count; i++) y[i] = na_exp2(x[i]);
}

void stage_log2(const float *x, float *y, size_t count) {
    for (size_t i = 0; i < count; i++) y[i] = na_log2(x[i]);
}

void stage_expm1(const float *x, float *y, size_t count) {
    for (size_t i = 0; i < count; i++) y[i] = na_expm1(x[i]);
}

void stage_sqrt(const float *x, float *y, size_t count) {
    for (size_t i = 0; i < count; i++) y[i] = na_sqrt(x[i]);
}

/* scratch: [4][length / 2] */
void stage_fft(size_t length, const float *cosine, const float *sine, const float *signal,
               float *re, float *im, float *scratch) {
    const na_fft fft = {length, cosine, sine};
    const size_t half = length / 2;
    const na_complex packed = {scratch, scratch + half};
    const na_complex work = {scratch + 2 * half, scratch + 3 * half};
    for (size_t i = 0; i < half; i++) {
        packed.re[i] = signal[2 * i];
        packed.im[i] = signal[2 * i + 1];
    }
    na_fft_forward(&fft, packed, work, (na_complex){re, im});
}

void stage_inverse_fft(size_t length, const float *cosine, const float *sine, float *re, float *im,
                       float *signal, float *scratch) {
    const na_fft fft = {length, cosine, sine};
    const size_t half = length / 2;
    const na_complex packed = {scratch, scratch + half};
    const na_complex work = {scratch + 2 * half, scratch + 3 * half};
    const na_complex found = na_fft_inverse(&fft, (na_complex){re, im}, packed, work);
    for (size_t i = 0; i < half; i++) {
        signal[2 * i] = found.re[i];
        signal[2 * i + 1] = found.im[i];
    }
}

/* power and gain_db: [frames][bins], from a compressor at rest */
int stage_wdrc(const uint8_t *data, size_t bytes, const neuroamp_fitting *fitting,
               const float *power, float steadiness, float *gain_db, size_t frames) {
    na_model model;
    na_wdrc wdrc;
    if (na_model_read(data, bytes, &model) != NEUROAMP_OK) return 0;
    na_wdrc_reset(&wdrc);
    na_wdrc_set_fitting(&wdrc, &model, fitting);
    for (size_t i = 0; i < frames; i++) {
        na_wdrc_step(&wdrc, power + i * model.bins, steadiness, gain_db + i * model.bins);
    }
    return 1;
}

int stage_features(const uint8_t *data, size_t bytes, const float *power, float *features) {
    na_model model;
    if (na_model_read(data, bytes, &model) != NEUROAMP_OK) return 0;
    na_features(&model, power, features);
    return 1;
}

int stage_net_gain(const uint8_t *data, size_t bytes, float *output, const float *power,
                   float *gain_db) {
    na_model model;
    if (na_model_read(data, bytes, &model) != NEUROAMP_OK) return 0;
    na_net_gain_db(&model, output, power, gain_db);
    return 1;
}

void stage_limiter(uint32_t sample_rate_hz, float mpo_db_spl, float *samples, size_t count) {
    na_limiter limiter;
    na_limiter_init(&limiter, sample_rate_hz);
    na_limiter_set_mpo(&limiter, mpo_db_spl);
    na_limit(&limiter, samples, count);
}

float stage_ceiling_pa(float mpo_db_spl) {
    na_limiter limiter;
    na_limiter_set_mpo(&limiter, mpo_db_spl);
    return limiter.ceiling_pa;
}

/* 0 if there is no such kernel here */
int stage_multiply(int kernel, uint32_t rows, uint32_t columns, const int8_t *weights,
                   const int32_t *row_sums, const int16_t *x, int32_t *sums) {
    const na_multiply multiply = na_find_kernel((neuroamp_kernel)kernel, NA_ROWS).multiply;
    const na_matrix matrix = {rows, rows, columns, weights, NULL, row_sums, NULL};
    if (multiply == NULL) return 0;
    multiply(&matrix, x, sums);
    return 1;
}

/* Gates of `width` units; the arrays have 4 `width` rows. 0 if there is no such kernel here */
int stage_cell(int kernel, uint32_t width, const int32_t *bias, const int32_t *input_sums,
               const int32_t *input_multipliers, const int32_t *recurrent_sums,
               const int32_t *recurrent_multipliers, const int16_t *sigmoid, const int16_t *tanh,
               const int16_t *forgetting, int32_t *cell, int16_t *hidden) {
    const na_update update = na_find_kernel((neuroamp_kernel)kernel, NA_ROWS).update;
    const na_cells cells = {
        .input_sums = input_sums,
        .recurrent_sums = recurrent_sums,
        .input_multipliers = input_multipliers,
        .recurrent_multipliers = recurrent_multipliers,
        .bias = bias,
        .sigmoid = sigmoid,
        .tanh = tanh,
        .forgetting = forgetting,
        .cell = cell,
        .hidden = hidden,
        .width = width,
    };
    if (update == NULL) return 0;
    update(&cells);
    return 1;
}

static uint64_t next_time(void *context) { return *(uint64_t *)context; }

/* Counts the given times as frames. */
void stage_times(const uint64_t *ticks, size_t count, uint64_t deadline, neuroamp_times *times) {
    uint64_t now = 0;
    na_stats stats = {next_time, &now, deadline, {{0}}};
    na_stats_reset(&stats);
    for (size_t i = 0; i < count; i++) {
        now = ticks[i];
        na_count_time(&stats, NEUROAMP_FRAME, 0);
    }
    *times = stats.times[NEUROAMP_FRAME];
}
