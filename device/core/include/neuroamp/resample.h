/* From a device's rate down to the model's and back: a multiple of it, 48 kHz and 16 kHz for one.
 *
 * Polyphase FIR with linear phase: down and up together are late by exactly `taps - 1` samples of
 * the device's rate. The taps come from outside (neuroamp/resampling.py), for the core has no
 * library of mathematics. Between the samples that the aid's limiter held, the wave of the higher
 * rate may swing higher: it is limited again, at its own rate.
 */
#ifndef NEUROAMP_RESAMPLE_H
#define NEUROAMP_RESAMPLE_H

#include "neuroamp/neuroamp.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NEUROAMP_FACTOR_MAX 6
#define NEUROAMP_TAPS_MAX 512

typedef struct neuroamp_resampler neuroamp_resampler;

/* Bytes of memory of a resampler; 0 for a factor or a number of taps beyond the bounds above, or
 * an even number of taps, whose delay would be no whole number of samples. */
NEUROAMP_API size_t neuroamp_resampler_size(unsigned factor, unsigned taps);

/* A resampler at rest in the caller's memory, aligned to NEUROAMP_ALIGNMENT; the `taps` values at
 * `filter` (symmetric, sum 1) are copied. `rate_hz` is the device's rate. */
NEUROAMP_API neuroamp_status neuroamp_resampler_init(void *memory, size_t memory_bytes,
                                                     unsigned factor, const float *filter,
                                                     unsigned taps, uint32_t rate_hz,
                                                     neuroamp_resampler **resampler);

/* Forgets what was heard. */
NEUROAMP_API void neuroamp_resampler_reset(neuroamp_resampler *resampler);

/* `samples` of the device's rate, any count, down to `out`; returns how many came out, at most
 * samples / factor rounded up. NaN and infinity count as silence. */
NEUROAMP_API size_t neuroamp_resample_down(neuroamp_resampler *resampler, const float *in,
                                           size_t samples, float *out);

/* Those that came out, processed, up to as many `samples` as went in; none above `ceiling`. */
NEUROAMP_API void neuroamp_resample_up(neuroamp_resampler *resampler, const float *in,
                                       float ceiling, float *out, size_t samples);

/* Input samples so far that were NaN or infinite. */
NEUROAMP_API uint64_t neuroamp_resampler_non_finite(const neuroamp_resampler *resampler);

#ifdef __cplusplus
}
#endif

#endif
