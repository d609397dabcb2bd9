#include "net_features.h"

#include "bands.h"
#include "elementary.h"

#define CENTRE_DB 40.0f
#define SPAN_DB 30.0f
#define FLOOR_DB (-20.0f)
#define CEILING_DB 120.0f
#define LOG_MAGNITUDE_SPAN 4.0f
#define LOG_MAGNITUDE_MAX 4.029523913f /* ln(1e7) / 4, 140 dB SPL a bin */
#define LEAST_MAGNITUDE 1e-12f
#define NET_GAIN_MIN_DB (-100.0f)
#define NET_GAIN_MAX_DB 80.0f
#define LEAST_WEIGHT 1e-6f
#define NEXT_TO_NOTHING 1e-30f
#define SMALLEST_POWER 1.17549435e-38f

#if defined(__GNUC__)
#define NA_SMALL __attribute__((cold, noinline))
#else
#define NA_SMALL
#endif

void na_features(const na_model *model, const float *power, float *features) {
    const float reference = model->profile.level_reference_pa;
    const float per_reference = 1.0f / (reference * reference);
    if (model->profile.features == NA_LOG_MAGNITUDE) {
        for (size_t i = 0; i < model->bins; i++) {
            const float magnitude = na_sqrt(power[i] * per_reference);
            /* ln(1 + m): the error of 1 + m is far below the features' resolution. */
            features[i] = na_log2(1.0f + magnitude) * (NA_LN2 / LOG_MAGNITUDE_SPAN);
        }
        return;
    }
    na_to_bands(&model->bands, model->bins, power, features);
    for (size_t b = 0; b < model->features; b++) {
        const float relative = na_max(features[b] * per_reference, SMALLEST_POWER);
        const float level = na_clamp(na_db_from_power(relative), FLOOR_DB, CEILING_DB);
        features[b] = (level - CENTRE_DB) / SPAN_DB;
    }
}

static void from_band_gains(const na_model *model, float *output) {
    const float low = model->profile.gain_min_db;
    const float span = model->profile.gain_max_db - low;
    for (size_t b = 0; b < model->features; b++) {
        output[b] = low + span * na_clamp(output[b], 0.0f, 1.0f);
    }
}

static void from_log_magnitudes(const na_model *model, const float *output, const float *power,
                                float *gain_db) {
    const float reference = model->profile.level_reference_pa;
    for (size_t i = 0; i < model->bins; i++) {
        /* Both as magnitudes of the spectrum, in dB. */
        const float scale = model->power_scale[i];
        const float bounded = na_clamp(output[i], 0.0f, LOG_MAGNITUDE_MAX);
        const float pressure = reference * na_expm1(LOG_MAGNITUDE_SPAN * bounded);
        const float wanted = na_max(pressure * pressure / scale, LEAST_MAGNITUDE * LEAST_MAGNITUDE);
        const float heard = na_max(power[i] / scale, LEAST_MAGNITUDE * LEAST_MAGNITUDE);
        gain_db[i] = na_clamp(na_db_from_power(wanted) - na_db_from_power(heard), NET_GAIN_MIN_DB,
                              NET_GAIN_MAX_DB);
    }
}

/* Of gains per bin those of the bands: each has its bins' mean, in which audible ones count. `output`
 * has room for twice the bands. Small rather than fast: no net that is worn needs it. */
NA_SMALL static void gains_in_bands(const na_model *model, const float *power,
                                    const float *gain_db, float *output) {
    const na_triangles *t = &model->bands;
    const float reference = model->profile.level_reference_pa;
    const float per_reference = 1.0f / (reference * reference);
    float *weights = output + t->bands;
    for (size_t b = 0; b < 2 * t->bands; b++) {
        output[b] = NEXT_TO_NOTHING; /* a band without a bin, in a strange file, has some gain */
    }
    for (size_t i = 0; i < model->bins; i++) {
        const float heard = na_sqrt(power[i] * per_reference);
        const float wanted = heard * na_factor_from_db(gain_db[i]);
        const float weight = heard * wanted / ((1.0f + heard) * (1.0f + wanted)) + LEAST_WEIGHT;
        const float upper = weight * t->upper[i];
        const size_t band = t->index[i];
        weights[band] += weight - upper;
        weights[band + 1] += upper;
        output[band] += (weight - upper) * gain_db[i];
        output[band + 1] += upper * gain_db[i];
    }
    for (size_t b = 0; b < t->bands; b++) {
        output[b] /= weights[b];
    }
}

void na_net_gain_db(const na_model *model, float *output, const float *power, float *gain_db) {
    if (model->profile.features == NA_BAND_LEVEL) {
        from_band_gains(model, output);
    } else {
        from_log_magnitudes(model, output, power, gain_db);
        if (model->bands.bands == 0) {
            return;
        }
        gains_in_bands(model, power, gain_db, output);
    }
    na_to_bins(&model->bands, model->bins, output, gain_db);
}
