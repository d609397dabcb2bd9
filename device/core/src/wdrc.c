#include "wdrc.h"

#include "bands.h"
#include "elementary.h"

#define FLOOR_DB_SPL (-40.0f)
#define FLOOR_POWER 4e-14f /* Pa^2 at that level */
#define REFERENCE_DB (-93.97940009f) /* 20 micropascals re 1 Pa */
#define MAX_GAIN_DB 80.0f
#define STEADYING_S 1.0f
#define STEADYING_LOUDEST 2.0f
#define STEADYING_REACH_DB 12.0f
#define STEADYING_LOW_DB (-6.0f)
#define STEADYING_HIGH_DB 2.0f

void na_wdrc_reset(na_wdrc *wdrc) {
    for (size_t c = 0; c < NEUROAMP_CHANNELS; c++) {
        wdrc->level[c] = FLOOR_DB_SPL;
    }
    wdrc->weight = 0.0f;
}

void na_wdrc_set_fitting(na_wdrc *wdrc, const na_model *model, const neuroamp_fitting *fitting) {
    const na_profile *profile = &model->profile;
    const float step_s =
        (float)(profile->hop * profile->hops_per_step) / (float)profile->sample_rate_hz;
    wdrc->model = model;
    for (size_t c = 0; c < NEUROAMP_CHANNELS; c++) {
        wdrc->knee[c] = model->speech_db_spl[c] + (fitting->knee_db_spl - 65.0f);
        wdrc->gain_65[c] = fitting->gain_65_db[c];
        wdrc->slope[c] = 1.0f / fitting->compression_ratio[c] - 1.0f;
    }
    /* ANSI S3.22 at a ratio of 2: the gain's step of 17.5 dB is within 3 dB of its end at the
     * attack time, and within 4 dB at the release time: ln(17.5 / 3) and ln(17.5 / 4). */
    wdrc->attack = -na_expm1(-step_s * 1.763588592f / fitting->attack_s);
    wdrc->release = -na_expm1(-step_s * 1.475906520f / fitting->release_s);
    wdrc->steadying = -na_expm1(-step_s / STEADYING_S);
}

/* How far the sound lay above average speech over the last second, one value for all channels, after
 * another moment at `above_db` with a weight. */
static float mean_above_db(na_wdrc *wdrc, float above_db, float weight) {
    if (wdrc->weight == 0.0f) {
        wdrc->weight = weight;
        wdrc->above_db = above_db;
    }
    const float bounded = na_min(weight, STEADYING_LOUDEST * wdrc->weight);
    wdrc->weight += wdrc->steadying * (bounded - wdrc->weight);
    const float away_db =
        na_clamp(above_db - wdrc->above_db, -STEADYING_REACH_DB, STEADYING_REACH_DB);
    wdrc->above_db += wdrc->steadying * bounded / wdrc->weight * away_db;
    return wdrc->above_db;
}

/* The root of the amplitude. Two square roots, in a loop that keeps a small processor's code small. */
static float fourth_root(float power) {
    float root = power;
    for (int i = 0; i < 2; i++) {
        root = na_sqrt(root);
    }
    return root;
}

/* The gain of channel c where the sound lies so far above average speech, dB. */
static float gain_at(const na_wdrc *wdrc, size_t c, float above_db) {
    return na_clamp(wdrc->gain_65[c] + wdrc->slope[c] * above_db, 0.0f, MAX_GAIN_DB);
}

void na_wdrc_step(na_wdrc *wdrc, const float *power, float steadiness, float *gain_db) {
    const na_model *model = wdrc->model;
    float channel_power[NEUROAMP_CHANNELS], channel_gain_db[NEUROAMP_CHANNELS];
    float weights = 0.0f, weighted_db = 0.0f;
    na_to_bands(&model->channels, model->bins, power, channel_power);
    for (size_t c = 0; c < NEUROAMP_CHANNELS; c++) {
        const float heard = na_max(channel_power[c], FLOOR_POWER);
        const float level = na_db_from_power(heard) - REFERENCE_DB;
        const float rise = level - wdrc->level[c];
        wdrc->level[c] += rise * (rise > 0.0f ? wdrc->attack : wdrc->release);
        const float above_db = na_max(wdrc->level[c], wdrc->knee[c]) - model->speech_db_spl[c];
        channel_gain_db[c] = gain_at(wdrc, c, above_db);
        const float weight = fourth_root(heard);
        weights += weight;
        weighted_db += weight * above_db;
    }
    const float mean_db = mean_above_db(wdrc, weighted_db / weights, weights);
    for (size_t c = 0; c < NEUROAMP_CHANNELS; c++) {
        const float momentary_db = channel_gain_db[c];
        const float steady_db = na_clamp(gain_at(wdrc, c, mean_db), momentary_db + STEADYING_LOW_DB,
                                         momentary_db + STEADYING_HIGH_DB);
        channel_gain_db[c] += steadiness * (steady_db - momentary_db);
    }
    na_to_bins(&model->channels, model->bins, channel_gain_db, gain_db);
}
