/* What the net hears and what its output means; neuroamp/features.py gives the definitions. */
#ifndef NA_NET_FEATURES_H
#define NA_NET_FEATURES_H

#include "model.h"

/* The net's spectral input [model->features] of bin powers [bins], Pa^2. */
void na_features(const na_model *model, const float *power, float *features);

/* The net's output [model->features] as gain per bin [bins] in dB: on top of the fitting's gain
 * for band gains, the whole gain (|Y| / |X|) for log magnitudes. `output` is overwritten. */
void na_net_gain_db(const na_model *model, float *output, const float *power, float *gain_db);

#endif
