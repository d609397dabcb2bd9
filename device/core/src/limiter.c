#include "limiter.h"

#include "elementary.h"

#define RELEASE_S 0.05f
#define RELEASED (1.0f - 1e-6f)
#define PEAK_AT_0_DB_SPL 2.828427125e-5f /* of a sine, pascals */
/* More than the error of the ceiling's computation, so that it never lies above the MPO. */
#define ROUNDING_MARGIN 0.999998f

void na_limiter_init(na_limiter *limiter, uint32_t sample_rate_hz) {
    limiter->rise = -na_expm1(-1.0f / (RELEASE_S * (float)sample_rate_hz));
    limiter->gain = 1.0f;
}

void na_limiter_set_mpo(na_limiter *limiter, float mpo_db_spl) {
    const float mpo = na_clamp(mpo_db_spl, NA_MPO_MIN_DB_SPL, NA_MPO_MAX_DB_SPL);
    limiter->ceiling_pa = PEAK_AT_0_DB_SPL * na_factor_from_db(mpo) * ROUNDING_MARGIN;
}

void na_limit(na_limiter *limiter, float *samples, size_t count) {
    const float ceiling = limiter->ceiling_pa;
    float gain = limiter->gain;
    for (size_t i = 0; i < count; i++) {
        const float sample = na_is_finite(samples[i]) ? samples[i] : 0.0f;
        const float magnitude = na_abs(sample);
        /* 1 - (1 - gain) release, in the form that keeps the digits of a small gain. */
        gain = gain * (1.0f - limiter->rise) + limiter->rise;
        if (gain > RELEASED) {
            gain = 1.0f;
        }
        if (magnitude * gain > ceiling) {
            gain = ceiling / magnitude;
        }
        samples[i] = na_clamp(sample * gain, -ceiling, ceiling);
    }
    limiter->gain = gain;
}
