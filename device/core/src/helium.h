/* What the Cortex-M55's versions share: elementary.h four values at a time, the same bits. */
#ifndef NA_HELIUM_H
#define NA_HELIUM_H

#include "kernels.h"

#if defined(NA_HELIUM)

#include "elementary.h"

#include <arm_mve.h>

static inline float32x4_t na_clamp_x4(float32x4_t x, float32x4_t low, float32x4_t high) {
    return vminnmq_f32(vmaxnmq_f32(x, low), high);
}

/* x + 1/2 away from zero, as an integer towards zero. */
static inline int32x4_t na_round_x4(float32x4_t x) {
    const uint32x4_t sign = vandq_u32(vreinterpretq_u32_f32(x), vdupq_n_u32(0x80000000u));
    const uint32x4_t half = vorrq_u32(sign, vdupq_n_u32(0x3f000000u));
    return vcvtq_s32_f32(vaddq_f32(x, vreinterpretq_f32_u32(half)));
}

static inline float32x4_t na_exp2_x4(float32x4_t x) {
    const float32x4_t bounded = na_clamp_x4(x, vdupq_n_f32(-126.0f), vdupq_n_f32(126.0f));
    const int32x4_t whole = na_round_x4(bounded);
    const float32x4_t f = vmulq_n_f32(vsubq_f32(bounded, vcvtq_f32_s32(whole)), NA_LN2);
    float32x4_t p = vdupq_n_f32(1.0f / 5040.0f);
    p = vaddq_n_f32(vmulq_f32(p, f), 1.0f / 720.0f);
    p = vaddq_n_f32(vmulq_f32(p, f), 1.0f / 120.0f);
    p = vaddq_n_f32(vmulq_f32(p, f), 1.0f / 24.0f);
    p = vaddq_n_f32(vmulq_f32(p, f), 1.0f / 6.0f);
    p = vaddq_n_f32(vmulq_f32(p, f), 0.5f);
    p = vaddq_n_f32(vmulq_f32(p, f), 1.0f);
    p = vaddq_n_f32(vmulq_f32(p, f), 1.0f);
    const int32x4_t scale = vshlq_n_s32(vaddq_n_s32(whole, 127), 23);
    return vmulq_f32(p, vreinterpretq_f32_s32(scale));
}

#endif

#endif
