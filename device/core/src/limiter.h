/* The output limiter: always last, always on, and no fitting can lift it. */
#ifndef NA_LIMITER_H
#define NA_LIMITER_H

#include "neuroamp/neuroamp.h"

typedef struct na_limiter {
    float ceiling_pa;
    float rise; /* share of its way back to one that the gain goes with a sample */
    float gain;
} na_limiter;

/* The lowest and the highest maximum power output there is, dB SPL of a sine. */
#define NA_MPO_MIN_DB_SPL 60.0f
#define NA_MPO_MAX_DB_SPL 120.0f

void na_limiter_init(na_limiter *limiter, uint32_t sample_rate_hz);

/* A new maximum power output, clamped to the device's own range; not a number: the lowest. */
void na_limiter_set_mpo(na_limiter *limiter, float mpo_db_spl);

/* Limits in place: no sample is above the ceiling in magnitude; NaN and infinity become silence. */
void na_limit(na_limiter *limiter, float *samples, size_t count);

#endif
