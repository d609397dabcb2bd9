/* The passes of fft.c four butterflies at a time, the same operations in the same order. */
#ifndef NA_FFT_HELIUM_H
#define NA_FFT_HELIUM_H

#include "fft.h"
#include "helium.h"

#if defined(NA_HELIUM)

typedef struct na_complex_x4 {
    float32x4_t re, im;
} na_complex_x4;

static inline na_complex_x4 na_load_x4(na_complex from, size_t at) {
    return (na_complex_x4){vld1q_f32(from.re + at), vld1q_f32(from.im + at)};
}

static inline void na_store_x4(na_complex to, size_t at, na_complex_x4 value) {
    vst1q_f32(to.re + at, value.re);
    vst1q_f32(to.im + at, value.im);
}

/* Four values whose indices fall. */
static inline na_complex_x4 na_load_falling(na_complex from, size_t at) {
    const uint32x4_t order = vsubq_u32(vdupq_n_u32(3), vidupq_n_u32(0, 1));
    return (na_complex_x4){vldrwq_gather_shifted_offset_f32(from.re + at - 3, order),
                           vldrwq_gather_shifted_offset_f32(from.im + at - 3, order)};
}

static inline void na_store_falling(na_complex to, size_t at, na_complex_x4 value) {
    const uint32x4_t order = vsubq_u32(vdupq_n_u32(3), vidupq_n_u32(0, 1));
    vstrwq_scatter_shifted_offset_f32(to.re + at - 3, order, value.re);
    vstrwq_scatter_shifted_offset_f32(to.im + at - 3, order, value.im);
}

static inline na_complex_x4 na_add_x4(na_complex_x4 a, na_complex_x4 b) {
    return (na_complex_x4){vaddq_f32(a.re, b.re), vaddq_f32(a.im, b.im)};
}

static inline na_complex_x4 na_sub_x4(na_complex_x4 a, na_complex_x4 b) {
    return (na_complex_x4){vsubq_f32(a.re, b.re), vsubq_f32(a.im, b.im)};
}

/* a - i b, a + i b */
static inline na_complex_x4 na_sub_turned(na_complex_x4 a, na_complex_x4 b) {
    return (na_complex_x4){vaddq_f32(a.re, b.im), vsubq_f32(a.im, b.re)};
}

static inline na_complex_x4 na_add_turned(na_complex_x4 a, na_complex_x4 b) {
    return (na_complex_x4){vsubq_f32(a.re, b.im), vaddq_f32(a.im, b.re)};
}

/* e times c - i s */
static inline na_complex_x4 na_twiddle(na_complex_x4 e, float32x4_t c, float32x4_t s) {
    return (na_complex_x4){vaddq_f32(vmulq_f32(e.re, c), vmulq_f32(e.im, s)),
                           vsubq_f32(vmulq_f32(e.im, c), vmulq_f32(e.re, s))};
}

static inline na_complex_x4 na_twiddle_by(na_complex_x4 e, float c, float s) {
    return (na_complex_x4){vaddq_f32(vmulq_n_f32(e.re, c), vmulq_n_f32(e.im, s)),
                           vsubq_f32(vmulq_n_f32(e.im, c), vmulq_n_f32(e.re, s))};
}

/* Results k = 0..3 of butterflies p..p+3 to y[4 p + k]. */
static inline void na_store_interleaved(float *to, float32x4_t y0, float32x4_t y1, float32x4_t y2,
                                        float32x4_t y3) {
    const float32x4x4_t all = {{y0, y1, y2, y3}};
    vst4q_f32(to, all);
}

/* The first pass: stride 1, n / 4 butterflies with twiddle factors of their own. */
static void na_pass4_first(const na_fft *fft, size_t n, na_complex x, na_complex y) {
    const size_t quarter = n / 4, step = fft->length / n;
    const uint32x4_t once = vmulq_n_u32(vidupq_n_u32(0, 1), (uint32_t)step);
    const uint32x4_t twice = vaddq_u32(once, once), thrice = vaddq_u32(twice, once);
    for (size_t p = 0; p < quarter; p += 4) {
        const float *cosine = fft->cosine + p * step, *sine = fft->sine + p * step;
        const size_t further = p * step;
        const na_complex_x4 a = na_load_x4(x, p), b = na_load_x4(x, p + quarter);
        const na_complex_x4 c = na_load_x4(x, p + 2 * quarter), d = na_load_x4(x, p + 3 * quarter);
        const na_complex_x4 sum_ac = na_add_x4(a, c), dif_ac = na_sub_x4(a, c);
        const na_complex_x4 sum_bd = na_add_x4(b, d), dif_bd = na_sub_x4(b, d);
        const na_complex_x4 y0 = na_add_x4(sum_ac, sum_bd);
        const na_complex_x4 y1 = na_twiddle(na_sub_turned(dif_ac, dif_bd),
                                            vldrwq_gather_shifted_offset_f32(cosine, once),
                                            vldrwq_gather_shifted_offset_f32(sine, once));
        const na_complex_x4 y2 =
            na_twiddle(na_sub_x4(sum_ac, sum_bd),
                       vldrwq_gather_shifted_offset_f32(cosine + further, twice),
                       vldrwq_gather_shifted_offset_f32(sine + further, twice));
        const na_complex_x4 y3 =
            na_twiddle(na_add_turned(dif_ac, dif_bd),
                       vldrwq_gather_shifted_offset_f32(cosine + 2 * further, thrice),
                       vldrwq_gather_shifted_offset_f32(sine + 2 * further, thrice));
        na_store_interleaved(y.re + 4 * p, y0.re, y1.re, y2.re, y3.re);
        na_store_interleaved(y.im + 4 * p, y0.im, y1.im, y2.im, y3.im);
    }
}

/* Butterflies p of `stride` interleaved transforms, four transforms at a time. In an order that
 * keeps to eight vector registers; with constant distances all addresses are immediate. */
__attribute__((always_inline)) static inline void
na_columns_x4(size_t stride, size_t across, na_complex x, na_complex y, const float *cosines,
              const float *sines) {
    for (size_t q = 0; q < stride; q += 4) {
        const float *re = x.re + q, *im = x.im + q;
        float *to_re = y.re + q, *to_im = y.im + q;
        float32x4_t a = vld1q_f32(re), c = vld1q_f32(re + 2 * across);
        const float32x4_t sum_ac_re = vaddq_f32(a, c), dif_ac_re = vsubq_f32(a, c);
        a = vld1q_f32(re + across);
        c = vld1q_f32(re + 3 * across);
        const float32x4_t sum_bd_re = vaddq_f32(a, c), dif_bd_re = vsubq_f32(a, c);
        vst1q_f32(to_re, vaddq_f32(sum_ac_re, sum_bd_re));
        const float32x4_t e2_re = vsubq_f32(sum_ac_re, sum_bd_re);
        a = vld1q_f32(im);
        c = vld1q_f32(im + 2 * across);
        const float32x4_t sum_ac_im = vaddq_f32(a, c), dif_ac_im = vsubq_f32(a, c);
        a = vld1q_f32(im + across);
        c = vld1q_f32(im + 3 * across);
        const float32x4_t sum_bd_im = vaddq_f32(a, c), dif_bd_im = vsubq_f32(a, c);
        vst1q_f32(to_im, vaddq_f32(sum_ac_im, sum_bd_im));
        na_complex_x4 e = {e2_re, vsubq_f32(sum_ac_im, sum_bd_im)};
        if (cosines != NULL) {
            e = na_twiddle_by(e, cosines[1], sines[1]);
        }
        vst1q_f32(to_re + 2 * stride, e.re);
        vst1q_f32(to_im + 2 * stride, e.im);
        e.re = vaddq_f32(dif_ac_re, dif_bd_im);
        e.im = vsubq_f32(dif_ac_im, dif_bd_re);
        if (cosines != NULL) {
            e = na_twiddle_by(e, cosines[0], sines[0]);
        }
        vst1q_f32(to_re + stride, e.re);
        vst1q_f32(to_im + stride, e.im);
        e.re = vsubq_f32(dif_ac_re, dif_bd_im);
        e.im = vaddq_f32(dif_ac_im, dif_bd_re);
        if (cosines != NULL) {
            e = na_twiddle_by(e, cosines[2], sines[2]);
        }
        vst1q_f32(to_re + 3 * stride, e.re);
        vst1q_f32(to_im + 3 * stride, e.im);
    }
}

/* A pass with a stride of at least four. */
__attribute__((always_inline)) static inline void na_pass4_x4(const na_fft *fft, size_t n,
                                                              size_t stride, na_complex x,
                                                              na_complex y) {
    const size_t quarter = n / 4, step = fft->length / n;
    na_columns_x4(stride, stride * quarter, x, y, NULL, NULL);
    for (size_t p = 1; p < quarter; p++) {
        const na_complex from = {x.re + stride * p, x.im + stride * p};
        const na_complex to = {y.re + 4 * stride * p, y.im + 4 * stride * p};
        const size_t k = p * step;
        const float cosines[] = {fft->cosine[k], fft->cosine[2 * k], fft->cosine[3 * k]};
        const float sines[] = {fft->sine[k], fft->sine[2 * k], fft->sine[3 * k]};
        na_columns_x4(stride, stride * quarter, from, to, cosines, sines);
    }
}

#endif

#endif
