#include "wdrc.h"

#include "bands.h"
#include "elementary.h"

#define FLOOR_DB_SPL (-40.0f)
#define FLOOR_POWER 4e-14f /* Pa^2 at that level */
#define REFERENCE_DB (-93.97940009f) /* 20 micropascals re 1 Pa */
#define MAX_GAIN_DB 80.0f

void na_wdrc_reset(na_wdrc *wdrc) {
    for (size_t c = 0; c < NEUROAMP_CHANNELS; c++) {
        wdrc->level[c] = FLOOR_DB_SPL;
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
}

void na_wdrc_step(na_wdrc *wdrc, const float *power, float *gain_db) {
    const na_model *model = wdrc->model;
    float channel_power[NEUROAMP_CHANNELS], channel_gain_db[NEUROAMP_CHANNELS];
    na_to_bands(&model->channels, model->bins, power, channel_power);
    for (size_t c = 0; c < NEUROAMP_CHANNELS; c++) {
        const float level =
            na_db_from_power(na_max(channel_power[c], FLOOR_POWER)) - REFERENCE_DB;
        const float rise = level - wdrc->level[c];
        wdrc->level[c] += rise * (rise > 0.0f ? wdrc->attack : wdrc->release);
        const float above_speech = na_max(wdrc->level[c], wdrc->knee[c]) - model->speech_db_spl[c];
        channel_gain_db[c] =
            na_clamp(wdrc->gain_65[c] + wdrc->slope[c] * above_speech, 0.0f, MAX_GAIN_DB);
    }
    na_to_bins(&model->channels, model->bins, channel_gain_db, gain_db);
}
