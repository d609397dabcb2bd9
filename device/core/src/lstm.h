/* The integer LSTM net: int8 weights, int16 inputs and hidden states, int32 cell states.
 *
 * Fixed-point formats: features and listener units Q13, hidden states and activations Q15, gate
 * inputs Q14, cell states Q29 (saturating, and so bounded to -4..4 as in training). Every
 * operation is an integer one, so all targets give the same bits; neuroamp/integer_net.py is the readable reference. */
#ifndef NA_LSTM_H
#define NA_LSTM_H

#include "kernels.h"
#include "arena.h"

typedef struct na_lstm {
    const na_model *model;
    na_kernel kernel;
    int16_t *features;              /* [input[0].columns], Q13 */
    int32_t *first_bias;            /* [4 widths[0]], Q14: with the listener's part */
    int16_t *hidden[NA_MAX_LAYERS]; /* [recurrent[i].columns], Q15 */
    int32_t *cell[NA_MAX_LAYERS];   /* [widths[i]], Q29 */
    int32_t *input_sums;            /* [the most padded rows of any matrix] */
    int32_t *recurrent_sums;
} na_lstm;

/* Takes the net's memory. */
void na_lstm_layout(na_lstm *lstm, const na_model *model, na_arena *arena);

/* Zero states, as at the start of a stream. */
void na_lstm_reset(na_lstm *lstm);

/* Prepares for a listener: thresholds [6] in dB HL. */
void na_lstm_set_audiogram(na_lstm *lstm, const float *thresholds_db_hl);

/* One step: features in, output out, [model->features] both, in the units of the net. */
void na_lstm_step(na_lstm *lstm, const float *features, float *output);

#endif
