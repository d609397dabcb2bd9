#include "lstm.h"

#include "elementary.h"
#include "helium.h"

#include <string.h>

#define Q13_ONE 8192.0f
#define Q14_ONE 16384.0f
#define Q15_ONE 32768.0f
#define AUDIOGRAM_SPAN_DB 100.0f

/* (a * b) / 2^31, rounded to nearest: SMMULR on Cortex-M, SQRDMULH on Cortex-A. */
static inline int32_t multiply_high(int32_t a, int32_t b) {
    return (int32_t)(((int64_t)a * b + (INT64_C(1) << 30)) >> 31);
}

/* A row's multiplier: one layout has it doubled. */
static inline int32_t multiplier(const na_model *model, const na_matrix *matrix, size_t row) {
    return model->layout == NA_PAIRS ? matrix->multipliers[row] / 2 : matrix->multipliers[row];
}

/* A table in Q15 at z in Q14: linear between its points, which are 2^step apart. */
static inline int32_t between(const int16_t *table, int32_t z, int step) {
    const int32_t one = 1 << step, end = one << 9;
    const int32_t position = (z < -end ? -end : z > end - 1 ? end - 1 : z) + end;
    const int32_t index = position >> step, fraction = position & (one - 1);
    return (table[index] * (one - fraction) + table[index + 1] * fraction + one / 2) >> step;
}

/* An activation: its points are 1/64 apart. */
static inline int32_t activate(const int16_t *table, int32_t z) { return between(table, z, 8); }

/* a + b within 32 bits: QADD on Cortex-M. */
static inline int32_t add_saturating(int32_t a, int32_t b) {
    const int64_t sum = (int64_t)a + b;
    return sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : (int32_t)sum;
}

/* Rounds to nearest, halves away from zero, and saturates; not a number becomes the least. */
static inline int16_t to_int16(float x) {
    const float bounded = na_clamp(x, -32767.0f, 32767.0f);
    return (int16_t)(bounded + (bounded >= 0.0f ? 0.5f : -0.5f));
}

/* Q13 of the net's features. */
static void quantise(const float *features, size_t count, int16_t *q13) {
    size_t i = 0;
#if defined(NA_HELIUM)
    for (; i + 4 <= count; i += 4) {
        const float32x4_t scaled = vmulq_n_f32(vld1q_f32(features + i), Q13_ONE);
        const float32x4_t bounded =
            na_clamp_x4(scaled, vdupq_n_f32(-32767.0f), vdupq_n_f32(32767.0f));
        vstrhq_s32(q13 + i, na_round_x4(bounded));
    }
#endif
    for (; i < count; i++) {
        q13[i] = to_int16(features[i] * Q13_ONE);
    }
}

void na_lstm_layout(na_lstm *lstm, const na_model *model, na_arena *arena) {
    const na_net_shape *shape = &model->shape;
    uint32_t rows = model->output.padded_rows;
    lstm->model = model;
    lstm->features = na_take(arena, model->input[0].columns, sizeof(int16_t));
    lstm->first_bias = na_take(arena, 4 * (size_t)shape->widths[0], sizeof(int32_t));
    for (size_t i = 0; i < shape->layers; i++) {
        lstm->hidden[i] = na_take(arena, model->recurrent[i].columns, sizeof(int16_t));
        lstm->cell[i] = na_take(arena, shape->widths[i], sizeof(int32_t));
        rows = model->input[i].padded_rows > rows ? model->input[i].padded_rows : rows;
    }
    rows = model->audiogram.padded_rows > rows ? model->audiogram.padded_rows : rows;
    lstm->input_sums = na_take(arena, rows, sizeof(int32_t));
    lstm->recurrent_sums = na_take(arena, rows, sizeof(int32_t));
}

void na_lstm_reset(na_lstm *lstm) {
    const na_model *model = lstm->model;
    memset(lstm->features, 0, model->input[0].columns * sizeof(int16_t));
    for (size_t i = 0; i < model->shape.layers; i++) {
        memset(lstm->hidden[i], 0, model->recurrent[i].columns * sizeof(int16_t));
        memset(lstm->cell[i], 0, model->shape.widths[i] * sizeof(int32_t));
    }
}

/* The listener changes only with the fitting: its part of the first layer's gates is a bias. */
void na_lstm_set_audiogram(na_lstm *lstm, const float *thresholds_db_hl) {
    const na_model *model = lstm->model;
    const na_matrix *audiogram = &model->audiogram, *listener = &model->listener;
    int16_t inputs[32] = {0}; /* the padded columns of six points */
    int16_t units[NA_MAX_COLUMNS] = {0};
    for (size_t i = 0; i < NEUROAMP_AUDIOGRAM_POINTS; i++) {
        inputs[i] = to_int16(thresholds_db_hl[i] * (Q13_ONE / AUDIOGRAM_SPAN_DB));
    }
    lstm->kernel.multiply(audiogram, inputs, lstm->input_sums);
    for (size_t i = 0; i < audiogram->rows; i++) {
        const int32_t z =
            audiogram->bias[i] + multiply_high(lstm->input_sums[i], multiplier(model, audiogram, i));
        const int32_t q13 = z > 0 ? (z + 1) >> 1 : 0; /* ReLU, Q14 to Q13 */
        units[i] = (int16_t)(q13 > INT16_MAX ? INT16_MAX : q13);
    }
    lstm->kernel.multiply(listener, units, lstm->input_sums);
    for (size_t i = 0; i < listener->rows; i++) {
        lstm->first_bias[i] = model->input[0].bias[i] +
                              multiply_high(lstm->input_sums[i], multiplier(model, listener, i));
    }
}

/* The reference of every kernel's update. Gates stand one after the other in the rows: input,
 * forget, candidate, output. */
void na_update_plain(const na_cells *c) {
    for (size_t i = c->first; i < c->width; i++) {
        int32_t z[4];
        for (size_t gate = 0; gate < 4; gate++) {
            const size_t row = gate * c->width + i;
            z[gate] = c->bias[row] + multiply_high(c->input_sums[row], c->input_multipliers[row]) +
                      multiply_high(c->recurrent_sums[row], c->recurrent_multipliers[row]);
        }
        const int32_t take = activate(c->sigmoid, z[0]);
        const int32_t root = between(c->forgetting, z[1], 9); /* 1/32 apart */
        const int32_t candidate = activate(c->tanh, z[2]);
        const int32_t give = activate(c->sigmoid, z[3]);
        const int32_t kept = c->cell[i] - multiply_high(c->cell[i], 2 * root * root); /* Q31 */
        const int32_t taken = (take * candidate + 1) >> 1; /* Q30 to Q29 */
        c->cell[i] = add_saturating(kept, taken);
        const int32_t squashed = activate(c->tanh, ((c->cell[i] >> 14) + 1) >> 1); /* to Q14 */
        c->hidden[i] = (int16_t)((give * squashed + (1 << 14)) >> 15);
    }
}

/* One layer: x [input.columns] and the states to the next states. */
static void step_layer(na_lstm *lstm, size_t layer, const int16_t *x, const int32_t *bias) {
    const na_model *model = lstm->model;
    const na_matrix *input = &model->input[layer], *recurrent = &model->recurrent[layer];
    const na_cells cells = {
        .input_sums = lstm->input_sums,
        .recurrent_sums = lstm->recurrent_sums,
        .input_multipliers = input->multipliers,
        .recurrent_multipliers = recurrent->multipliers,
        .bias = bias,
        .sigmoid = model->sigmoid,
        .tanh = model->tanh,
        .forgetting = model->forgetting,
        .cell = lstm->cell[layer],
        .hidden = lstm->hidden[layer],
        .width = model->shape.widths[layer],
    };
    lstm->kernel.multiply(input, x, lstm->input_sums);
    lstm->kernel.multiply(recurrent, lstm->hidden[layer], lstm->recurrent_sums);
    lstm->kernel.update(&cells);
}

void na_lstm_step(na_lstm *lstm, const float *features, float *output) {
    const na_model *model = lstm->model;
    const na_matrix *last = &model->output;
    quantise(features, model->features, lstm->features);
    const int16_t *x = lstm->features;
    for (size_t layer = 0; layer < model->shape.layers; layer++) {
        step_layer(lstm, layer, x, layer == 0 ? lstm->first_bias : model->input[layer].bias);
        x = lstm->hidden[layer];
    }
    lstm->kernel.multiply(last, x, lstm->input_sums);
#if defined(NA_HELIUM)
    if (model->layout == NA_TILES && model->profile.features == NA_BAND_LEVEL) {
        na_gains_helium(last, lstm->input_sums, model->sigmoid, output, model->features);
        return;
    }
#endif
    for (size_t i = 0; i < model->features; i++) {
        const int32_t z =
            last->bias[i] + multiply_high(lstm->input_sums[i], multiplier(model, last, i));
        if (model->profile.features == NA_BAND_LEVEL) {
            output[i] = (float)activate(model->sigmoid, z) / Q15_ONE;
        } else {
            output[i] = z > 0 ? (float)z / Q14_ONE : 0.0f; /* ReLU */
        }
    }
}
