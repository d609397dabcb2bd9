/* Triangular bands: from bins to bands and back, in a pass over the bins. */
#ifndef NA_BANDS_H
#define NA_BANDS_H

#include "model.h"

/* Band powers [bands] of bin powers [bins]. */
static inline void na_to_bands(const na_triangles *t, size_t bins, const float *power,
                               float *band_power) {
    for (size_t b = 0; b < t->bands; b++) {
        band_power[b] = 0.0f;
    }
    for (size_t i = 0; i < bins; i++) {
        const float upper = power[i] * t->upper[i];
        band_power[t->index[i]] += power[i] - upper;
        band_power[t->index[i] + 1] += upper;
    }
}

/* Values per bin, linear between those of the bands. */
static inline void na_to_bins(const na_triangles *t, size_t bins, const float *band, float *bin) {
    for (size_t i = 0; i < bins; i++) {
        const float lower = band[t->index[i]];
        bin[i] = lower + t->upper[i] * (band[t->index[i] + 1] - lower);
    }
}

#endif
