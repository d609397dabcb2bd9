/* Polyphase resampling by a whole factor. Sample n of the device's rate completes a group if
 * (n + 1) is a multiple of the factor; that group's sample of the lower rate goes out and comes back
 * processed in between, so that the first of its samples upwards leaves at n itself. */
#include "neuroamp/resample.h"

#include "arena.h"
#include "elementary.h"
#include "limiter.h"

#include <string.h>

/* The last `length` samples, each written twice, so that they always stand in one piece. */
typedef struct na_history {
    float *samples; /* [2 * length] */
    uint32_t length;
    uint32_t newest;
} na_history;

struct neuroamp_resampler {
    uint32_t factor, taps, branch_taps;
    float *filter;   /* [taps] */
    float *branches; /* [factor][branch_taps], the filter's every factor-th value, times the factor */
    na_history high; /* of the device's rate */
    na_history low;
    uint32_t down_phase; /* samples of the group that have gone in */
    uint32_t up_phase;   /* samples of the group that have come out */
    na_limiter limiter;
    uint64_t non_finite;
};

static void push(na_history *history, float sample) {
    history->newest = history->newest == 0 ? history->length - 1 : history->newest - 1;
    history->samples[history->newest] = sample;
    history->samples[history->newest + history->length] = sample;
}

/* Sum of the filter's values and the samples, the newest first. */
static float filtered(const na_history *history, const float *filter) {
    const float *newest = history->samples + history->newest;
    float sum = 0.0f;
    for (uint32_t i = 0; i < history->length; i++) {
        sum += filter[i] * newest[i];
    }
    return sum;
}

static void layout(neuroamp_resampler *made, unsigned factor, unsigned taps, na_arena *arena) {
    made->factor = factor;
    made->taps = taps;
    made->branch_taps = (taps + factor - 1) / factor;
    made->filter = na_take(arena, taps, sizeof(float));
    made->branches = na_take(arena, factor * made->branch_taps, sizeof(float));
    made->high.length = taps;
    made->high.samples = na_take(arena, 2 * taps, sizeof(float));
    made->low.length = made->branch_taps;
    made->low.samples = na_take(arena, 2 * made->branch_taps, sizeof(float));
}

size_t neuroamp_resampler_size(unsigned factor, unsigned taps) {
    if (factor < 2 || factor > NEUROAMP_FACTOR_MAX || taps > NEUROAMP_TAPS_MAX || taps % 2 == 0) {
        return 0;
    }
    neuroamp_resampler scratch;
    na_arena arena = {NULL, 0};
    na_take(&arena, 1, sizeof(neuroamp_resampler));
    layout(&scratch, factor, taps, &arena);
    return arena.used;
}

neuroamp_status neuroamp_resampler_init(void *memory, size_t memory_bytes, unsigned factor,
                                        const float *filter, unsigned taps, uint32_t rate_hz,
                                        neuroamp_resampler **resampler) {
    const size_t needed = neuroamp_resampler_size(factor, taps);
    if (memory == NULL || (uintptr_t)memory % NEUROAMP_ALIGNMENT != 0 || filter == NULL ||
        resampler == NULL || needed == 0 || rate_hz == 0) {
        return NEUROAMP_BAD_ARGUMENT;
    }
    if (memory_bytes < needed) {
        return NEUROAMP_TOO_LITTLE_MEMORY;
    }
    na_arena arena = {memory, 0};
    neuroamp_resampler *made = na_take(&arena, 1, sizeof(neuroamp_resampler));
    memset(made, 0, sizeof *made);
    layout(made, factor, taps, &arena);
    memcpy(made->filter, filter, taps * sizeof(float));
    for (uint32_t p = 0; p < factor; p++) {
        for (uint32_t j = 0; j < made->branch_taps; j++) {
            const uint32_t tap = j * factor + p;
            made->branches[p * made->branch_taps + j] =
                tap < taps ? (float)factor * filter[tap] : 0.0f;
        }
    }
    na_limiter_init(&made->limiter, rate_hz);
    neuroamp_resampler_reset(made);
    *resampler = made;
    return NEUROAMP_OK;
}

void neuroamp_resampler_reset(neuroamp_resampler *resampler) {
    memset(resampler->high.samples, 0, 2 * resampler->high.length * sizeof(float));
    memset(resampler->low.samples, 0, 2 * resampler->low.length * sizeof(float));
    resampler->high.newest = resampler->low.newest = 0;
    resampler->down_phase = 0;
    resampler->up_phase = 0;
    resampler->limiter.gain = 1.0f;
}

size_t neuroamp_resample_down(neuroamp_resampler *resampler, const float *in, size_t samples,
                              float *out) {
    size_t count = 0;
    for (size_t i = 0; i < samples; i++) {
        if (na_is_finite(in[i])) {
            push(&resampler->high, in[i]);
        } else { /* it would stay in the history */
            resampler->non_finite++;
            push(&resampler->high, 0.0f);
        }
        if (++resampler->down_phase == resampler->factor) {
            resampler->down_phase = 0;
            out[count++] = filtered(&resampler->high, resampler->filter);
        }
    }
    return count;
}

void neuroamp_resample_up(neuroamp_resampler *resampler, const float *in, float ceiling,
                          float *out, size_t samples) {
    for (size_t i = 0; i < samples; i++) {
        if (++resampler->up_phase == resampler->factor) {
            resampler->up_phase = 0;
            push(&resampler->low, *in++);
        }
        out[i] = filtered(&resampler->low,
                          resampler->branches + resampler->up_phase * resampler->branch_taps);
    }
    resampler->limiter.ceiling_pa = na_max(ceiling, 0.0f); /* in whatever unit the samples are */
    na_limit(&resampler->limiter, out, samples);
}

uint64_t neuroamp_resampler_non_finite(const neuroamp_resampler *resampler) {
    return resampler->non_finite;
}
