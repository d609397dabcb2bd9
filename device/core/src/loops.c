#include "loops.h"

#include "elementary.h"
#include "helium.h"

void na_window_packed(const float *samples, const float *window, na_complex packed, size_t count) {
    size_t i = 0;
#if defined(NA_HELIUM)
    for (; i + 4 <= count; i += 4) {
        const float32x4x2_t x = vld2q_f32(samples + 2 * i), w = vld2q_f32(window + 2 * i);
        vst1q_f32(packed.re + i, vmulq_f32(x.val[0], w.val[0]));
        vst1q_f32(packed.im + i, vmulq_f32(x.val[1], w.val[1]));
    }
#endif
    for (; i < count; i++) {
        packed.re[i] = samples[2 * i] * window[2 * i];
        packed.im[i] = samples[2 * i + 1] * window[2 * i + 1];
    }
}

void na_powers(na_complex spectrum, const float *scale, float *power, size_t count) {
    size_t i = 0;
#if defined(NA_HELIUM)
    for (; i + 4 <= count; i += 4) {
        const float32x4_t re = vld1q_f32(spectrum.re + i), im = vld1q_f32(spectrum.im + i);
        const float32x4_t square = vaddq_f32(vmulq_f32(re, re), vmulq_f32(im, im));
        vst1q_f32(power + i, vmulq_f32(square, vld1q_f32(scale + i)));
    }
#endif
    for (; i < count; i++) {
        const float re = spectrum.re[i], im = spectrum.im[i];
        power[i] = (re * re + im * im) * scale[i];
    }
}

void na_next_gains(const float *wanted_db, const float *net_db, float strength, float slope_db,
                   float *gain_db, float *gain, size_t count) {
    size_t i = 0;
#if defined(NA_HELIUM)
    for (; i + 4 <= count; i += 4) {
        const float32x4_t wanted =
            vaddq_f32(vld1q_f32(wanted_db + i), vmulq_n_f32(vld1q_f32(net_db + i), strength));
        const float32x4_t last = vld1q_f32(gain_db + i);
        const float32x4_t next =
            na_clamp_x4(wanted, vsubq_n_f32(last, slope_db), vaddq_n_f32(last, slope_db));
        vst1q_f32(gain_db + i, next);
        vst1q_f32(gain + i, na_exp2_x4(vmulq_n_f32(next, NA_LOG2_PER_DB_PRESSURE)));
    }
#endif
    for (; i < count; i++) {
        const float wanted = wanted_db[i] + strength * net_db[i];
        gain_db[i] = na_clamp(wanted, gain_db[i] - slope_db, gain_db[i] + slope_db);
        gain[i] = na_factor_from_db(gain_db[i]);
    }
}

void na_apply_gains(na_complex spectrum, const float *gain, size_t count) {
    size_t i = 0;
#if defined(NA_HELIUM)
    for (; i + 4 <= count; i += 4) {
        const float32x4_t factor = vld1q_f32(gain + i);
        vst1q_f32(spectrum.re + i, vmulq_f32(vld1q_f32(spectrum.re + i), factor));
        vst1q_f32(spectrum.im + i, vmulq_f32(vld1q_f32(spectrum.im + i), factor));
    }
#endif
    for (; i < count; i++) {
        spectrum.re[i] *= gain[i];
        spectrum.im[i] *= gain[i];
    }
}
