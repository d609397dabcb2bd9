#include "wdrc.h"

#include "bands.h"
#include "elementary.h"

#define FLOOR_DB_SPL (-40.0f)
#define FLOOR_POWER 4e-14f /* Pa^2 at that level */
#define REFERENCE_DB (-93.97940009f) /* 20 micropascals re 1 Pa */
#define MAX_GAIN_DB 80.0f
#define STEADYING_S 1.0f
#define STEADYING_LOUDEST 4.0f
#define STEADYING_REACH_DB 6.0f
#define STEADYING_LOW_DB (-6.0f)
#define STEADYING_HIGH_DB 2.0f

void na_wdrc_reset(na_wdrc *wdrc) {
    for (size_t c = 0; c < NEUROAMP_CHANNELS; c++) {
        wdrc->level[c] = FLOOR_DB_SPL;
        wdrc->weight[c] = 0.0f;
    }
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

/* The mean of channel c's gain over the last second, each weighted with the amplitude of its moment,
 * near the momentary one, dB. */
static float steadied_db(na_wdrc *wdrc, size_t c, float amplitude, float gain_db) {
    if (wdrc->weight[c] == 0.0f) {
        wdrc->weight[c] = amplitude;
        wdrc->mean_db[c] = gain_db;
    }
    const float weight = na_min(amplitude, STEADYING_LOUDEST * wdrc->weight[c]);
    wdrc->weight[c] += wdrc->steadying * (weight - wdrc->weight[c]);
    const float away_db =
        na_clamp(gain_db - wdrc->mean_db[c], -STEADYING_REACH_DB, STEADYING_REACH_DB);
    wdrc->mean_db[c] += wdrc->steadying * weight / wdrc->weight[c] * away_db;
    return na_clamp(wdrc->mean_db[c], gain_db + STEADYING_LOW_DB, gain_db + STEADYING_HIGH_DB);
}

void na_wdrc_step(na_wdrc *wdrc, const float *power, float steadiness, float *gain_db) {
    const na_model *model = wdrc->model;
    float channel_power[NEUROAMP_CHANNELS], channel_gain_db[NEUROAMP_CHANNELS];
    na_to_bands(&model->channels, model->bins, power, channel_power);
    for (size_t c = 0; c < NEUROAMP_CHANNELS; c++) {
        const float heard = na_max(channel_power[c], FLOOR_POWER);
        const float level = na_db_from_power(heard) - REFERENCE_DB;
        const float rise = level - wdrc->level[c];
        wdrc->level[c] += rise * (rise > 0.0f ? wdrc->attack : wdrc->release);
        const float above_speech = na_max(wdrc->level[c], wdrc->knee[c]) - model->speech_db_spl[c];
        const float momentary_db =
            na_clamp(wdrc->gain_65[c] + wdrc->slope[c] * above_speech, 0.0f, MAX_GAIN_DB);
        const float steady_db = steadied_db(wdrc, c, na_sqrt(heard), momentary_db);
        channel_gain_db[c] = momentary_db + steadiness * (steady_db - momentary_db);
    }
    na_to_bins(&model->channels, model->bins, channel_gain_db, gain_db);
}
