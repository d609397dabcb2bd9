/* Elementary functions in float32 without a mathematics library, the same bits on every target.
 * Errors were measured over the stated ranges (tests/device/test_core_stages.py). */
#ifndef NA_ELEMENTARY_H
#define NA_ELEMENTARY_H

#include <stdint.h>
#include <string.h>

#define NA_LN2 0.693147181f
#define NA_LOG2_E 1.442695041f
#define NA_DB_PER_LOG2_POWER 3.010299957f /* 10 log10(2) */
#define NA_LOG2_PER_DB_PRESSURE 0.166096405f /* log2(10) / 20 */

static inline uint32_t na_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float na_from_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline int na_is_finite(float x) { return (na_bits(x) & 0x7f800000u) != 0x7f800000u; }

static inline float na_abs(float x) { return na_from_bits(na_bits(x) & 0x7fffffffu); }

static inline float na_min(float a, float b) { return a < b ? a : b; }

static inline float na_max(float a, float b) { return a > b ? a : b; }

/* x within [low, high]; a NaN becomes `low`. */
static inline float na_clamp(float x, float low, float high) {
    return na_min(na_max(x, low), high);
}

/* 2^x, relative error below 2e-7; x is clamped to -126..126. */
static inline float na_exp2(float x) {
    const float bounded = na_clamp(x, -126.0f, 126.0f);
    const int32_t whole = (int32_t)(bounded + (bounded >= 0.0f ? 0.5f : -0.5f));
    const float f = (bounded - (float)whole) * NA_LN2;
    /* exp(f), |f| <= ln(2) / 2, by its Taylor series: the next term is 5e-9. */
    float p = 1.0f / 5040.0f;
    p = p * f + 1.0f / 720.0f;
    p = p * f + 1.0f / 120.0f;
    p = p * f + 1.0f / 24.0f;
    p = p * f + 1.0f / 6.0f;
    p = p * f + 0.5f;
    p = p * f + 1.0f;
    p = p * f + 1.0f;
    return p * na_from_bits((uint32_t)(whole + 127) << 23);
}

/* log2(x) of a normal x > 0; error below 1e-7 + 1e-7 |log2(x)|. */
static inline float na_log2(float x) {
    const uint32_t bits = na_bits(x);
    /* x = 2^exponent * m with m from sqrt(1/2) to sqrt(2). */
    const int32_t exponent = ((int32_t)(bits - 0x3f3504f3u)) >> 23;
    const float m = na_from_bits(bits - ((uint32_t)exponent << 23));
    /* ln(m) = 2 artanh(t); |t| <= 0.172 and the next term is 4e-10. */
    const float t = (m - 1.0f) / (m + 1.0f);
    const float t2 = t * t;
    float p = 1.0f / 9.0f;
    p = p * t2 + 1.0f / 7.0f;
    p = p * t2 + 1.0f / 5.0f;
    p = p * t2 + 1.0f / 3.0f;
    p = p * t2 + 1.0f;
    return (float)exponent + 2.0f * NA_LOG2_E * t * p;
}

/* exp(x) - 1, relative error below 5e-7 also near zero; x is clamped to -87..87. */
static inline float na_expm1(float x) {
    if (na_abs(x) > 0.35f) {
        return na_exp2(x * NA_LOG2_E) - 1.0f;
    }
    float p = 1.0f / 40320.0f;
    p = p * x + 1.0f / 5040.0f;
    p = p * x + 1.0f / 720.0f;
    p = p * x + 1.0f / 120.0f;
    p = p * x + 1.0f / 24.0f;
    p = p * x + 1.0f / 6.0f;
    p = p * x + 0.5f;
    p = p * x + 1.0f;
    return p * x;
}

/* Square root of x >= 0, relative error below 3e-7; zero below the smallest normal number. */
static inline float na_sqrt(float x) {
    if (x < 1.17549435e-38f) {
        return 0.0f;
    }
    /* Newton's steps for 1 / sqrt(x) from a guess by the exponent, within 4 %: 2e-3, 6e-6, 1e-7. */
    float r = na_from_bits(0x5f3759dfu - (na_bits(x) >> 1));
    const float half = 0.5f * x;
    r = r * (1.5f - half * r * r);
    r = r * (1.5f - half * r * r);
    r = r * (1.5f - half * r * r);
    return x * r;
}

/* Level in dB of a power that is a normal number. */
static inline float na_db_from_power(float power) { return NA_DB_PER_LOG2_POWER * na_log2(power); }

/* Factor on a pressure of a gain in dB. */
static inline float na_factor_from_db(float db) { return na_exp2(db * NA_LOG2_PER_DB_PRESSURE); }

#endif
