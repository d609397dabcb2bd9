/* Wide dynamic range compression: the fitting's own gains; neuroamp/wdrc.py gives the reasons. */
#ifndef NA_WDRC_H
#define NA_WDRC_H

#include "model.h"

typedef struct na_wdrc {
    const na_model *model;
    float knee[NEUROAMP_CHANNELS];   /* dB SPL of the tracked level */
    float gain_65[NEUROAMP_CHANNELS]; /* dB */
    float slope[NEUROAMP_CHANNELS];  /* dB of gain per dB of level */
    float attack, release, steadying; /* share of the way that one step goes */
    float level[NEUROAMP_CHANNELS];  /* tracked, dB SPL */
    float weight;   /* mean sum over the channels of the root of the amplitude; 0 at rest */
    float above_db; /* mean level over average speech's, weighted with it */
} na_wdrc;

void na_wdrc_reset(na_wdrc *wdrc);

/* New gains; the tracked levels stay, so that nothing jumps. */
void na_wdrc_set_fitting(na_wdrc *wdrc, const na_model *model, const neuroamp_fitting *fitting);

/* Insertion gain [bins], dB, for one more frame's bin powers [bins], Pa^2. `steadiness` is the share
 * of the way from the momentary to the steadied gains, 0 to 1. */
void na_wdrc_step(na_wdrc *wdrc, const float *power, float steadiness, float *gain_db);

#endif
