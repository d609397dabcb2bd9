/* Complex FFT of half the length by Stockham's self-sorting passes, radix 4 and at most one of
 * radix 2 (Van Loan 1992, 'Computational frameworks for the FFT', 1.7 and 2.4), and the usual
 * packing of a real signal into a complex one of half the length. */
#include "fft.h"

#include "fft_helium.h"
#include "kernels.h"

/* Butterfly p of `stride` interleaved transforms whose quarters are `across` apart; twiddle factors
 * of the second to fourth result, or null where all are one. */
static inline void columns(size_t stride, size_t across, na_complex x, na_complex y,
                           const float *cosines, const float *sines) {
    const float *restrict are = x.re, *restrict aim = x.im;
    const float *restrict bre = are + across, *restrict bim = aim + across;
    const float *restrict cre = bre + across, *restrict cim = bim + across;
    const float *restrict dre = cre + across, *restrict dim = cim + across;
    float *restrict yre = y.re, *restrict yim = y.im;
    for (size_t q = 0; q < stride; q++) {
        const float sum_ac_re = are[q] + cre[q], sum_ac_im = aim[q] + cim[q];
        const float dif_ac_re = are[q] - cre[q], dif_ac_im = aim[q] - cim[q];
        const float sum_bd_re = bre[q] + dre[q], sum_bd_im = bim[q] + dim[q];
        const float dif_bd_re = bre[q] - dre[q], dif_bd_im = bim[q] - dim[q];
        /* i times the difference of b and d turns it. */
        const float e1_re = dif_ac_re + dif_bd_im, e1_im = dif_ac_im - dif_bd_re;
        const float e2_re = sum_ac_re - sum_bd_re, e2_im = sum_ac_im - sum_bd_im;
        const float e3_re = dif_ac_re - dif_bd_im, e3_im = dif_ac_im + dif_bd_re;
        yre[q] = sum_ac_re + sum_bd_re;
        yim[q] = sum_ac_im + sum_bd_im;
        if (cosines == NULL) {
            yre[q + stride] = e1_re;
            yim[q + stride] = e1_im;
            yre[q + 2 * stride] = e2_re;
            yim[q + 2 * stride] = e2_im;
            yre[q + 3 * stride] = e3_re;
            yim[q + 3 * stride] = e3_im;
        } else { /* times w1, w2, w3 = cos - i sin */
            yre[q + stride] = e1_re * cosines[0] + e1_im * sines[0];
            yim[q + stride] = e1_im * cosines[0] - e1_re * sines[0];
            yre[q + 2 * stride] = e2_re * cosines[1] + e2_im * sines[1];
            yim[q + 2 * stride] = e2_im * cosines[1] - e2_re * sines[1];
            yre[q + 3 * stride] = e3_re * cosines[2] + e3_im * sines[2];
            yim[q + 3 * stride] = e3_im * cosines[2] - e3_re * sines[2];
        }
    }
}

#if defined(NA_X86) || defined(NA_ARM64)

/* Before a loop whose turns do not depend on each other, which a compiler cannot see. */
#if defined(__clang__)
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define INDEPENDENT _Pragma("GCC ivdep")
#endif

/* The first pass, over one transform: a vector is neighbouring butterflies, each with twiddle
 * factors of its own. The same operations as `columns`. */
static void first_pass4(const na_fft *fft, size_t n, na_complex x, na_complex y) {
    const size_t quarter = n / 4, step = fft->length / n;
    columns(1, quarter, x, y, NULL, NULL);
    INDEPENDENT
    for (size_t p = 1; p < quarter; p++) {
        const size_t k = p * step, b = p + quarter, c = b + quarter, d = c + quarter;
        const float sum_ac_re = x.re[p] + x.re[c], sum_ac_im = x.im[p] + x.im[c];
        const float dif_ac_re = x.re[p] - x.re[c], dif_ac_im = x.im[p] - x.im[c];
        const float sum_bd_re = x.re[b] + x.re[d], sum_bd_im = x.im[b] + x.im[d];
        const float dif_bd_re = x.re[b] - x.re[d], dif_bd_im = x.im[b] - x.im[d];
        const float e1_re = dif_ac_re + dif_bd_im, e1_im = dif_ac_im - dif_bd_re;
        const float e2_re = sum_ac_re - sum_bd_re, e2_im = sum_ac_im - sum_bd_im;
        const float e3_re = dif_ac_re - dif_bd_im, e3_im = dif_ac_im + dif_bd_re;
        const float c1 = fft->cosine[k], c2 = fft->cosine[2 * k], c3 = fft->cosine[3 * k];
        const float s1 = fft->sine[k], s2 = fft->sine[2 * k], s3 = fft->sine[3 * k];
        y.re[4 * p] = sum_ac_re + sum_bd_re;
        y.re[4 * p + 1] = e1_re * c1 + e1_im * s1;
        y.re[4 * p + 2] = e2_re * c2 + e2_im * s2;
        y.re[4 * p + 3] = e3_re * c3 + e3_im * s3;
        y.im[4 * p] = sum_ac_im + sum_bd_im;
        y.im[4 * p + 1] = e1_im * c1 - e1_re * s1;
        y.im[4 * p + 2] = e2_im * c2 - e2_re * s2;
        y.im[4 * p + 3] = e3_im * c3 - e3_re * s3;
    }
}

#endif

/* One radix-4 pass over `stride` interleaved transforms of length n. */
static void pass4(const na_fft *fft, size_t n, size_t stride, na_complex x, na_complex y) {
    const size_t quarter = n / 4;
    const size_t step = fft->length / n;
#if defined(NA_HELIUM)
    if (stride == 1 && quarter % 4 == 0) {
        na_pass4_first(fft, n, x, y);
        return;
    }
    /* The three passes of 256 points with their numbers as constants, and any other. */
    if (n == 64 && stride == 4) {
        na_pass4_x4(fft, 64, 4, x, y);
        return;
    }
    if (n == 16 && stride == 16) {
        na_pass4_x4(fft, 16, 16, x, y);
        return;
    }
    if (n == 4 && stride == 64) {
        na_pass4_x4(fft, 4, 64, x, y);
        return;
    }
    if (stride % 4 == 0) {
        na_pass4_x4(fft, n, stride, x, y);
        return;
    }
#elif defined(NA_X86) || defined(NA_ARM64)
    if (stride == 1) {
        first_pass4(fft, n, x, y);
        return;
    }
#endif
    for (size_t p = 0; p < quarter; p++) {
        const na_complex from = {x.re + stride * p, x.im + stride * p};
        const na_complex to = {y.re + 4 * stride * p, y.im + 4 * stride * p};
        const size_t k = p * step;
        const float cosines[] = {fft->cosine[k], fft->cosine[2 * k], fft->cosine[3 * k]};
        const float sines[] = {fft->sine[k], fft->sine[2 * k], fft->sine[3 * k]};
        if (p == 0) {
            columns(stride, stride * quarter, from, to, NULL, NULL);
        } else {
            columns(stride, stride * quarter, from, to, cosines, sines);
        }
    }
}

/* The last pass where the length is not a power of four: all twiddle factors are one. */
static void pass2(size_t stride, na_complex x, na_complex y) {
    for (size_t q = 0; q < stride; q++) {
        const float re = x.re[q], im = x.im[q];
        const float other_re = x.re[q + stride], other_im = x.im[q + stride];
        y.re[q] = re + other_re;
        y.im[q] = im + other_im;
        y.re[q + stride] = re - other_re;
        y.im[q + stride] = im - other_im;
    }
}

/* Complex FFT of half the real length; returns which of the two buffers holds the result. */
static na_complex transform(const na_fft *fft, na_complex x, na_complex work) {
    const size_t points = fft->length / 2;
    size_t stride = 1;
    while (points / stride >= 4) {
        pass4(fft, points / stride, stride, x, work);
        const na_complex result = work;
        work = x;
        x = result;
        stride *= 4;
    }
    if (points / stride == 2) {
        pass2(stride, x, work);
        return work;
    }
    return x;
}

void na_fft_forward(const na_fft *fft, na_complex packed, na_complex work, na_complex spectrum) {
    const size_t half = fft->length / 2;
    const na_complex z = transform(fft, packed, work);
    spectrum.re[0] = z.re[0] + z.im[0];
    spectrum.im[0] = 0.0f;
    spectrum.re[half] = z.re[0] - z.im[0];
    spectrum.im[half] = 0.0f;
    size_t k = 1;
#if defined(NA_HELIUM)
    for (; k + 3 < half / 2; k += 4) {
        const na_complex_x4 low = na_load_x4(z, k), high = na_load_falling(z, half - k);
        const float32x4_t c = vld1q_f32(fft->cosine + k), s = vld1q_f32(fft->sine + k);
        const na_complex_x4 even = {vmulq_n_f32(vaddq_f32(low.re, high.re), 0.5f),
                                    vmulq_n_f32(vsubq_f32(low.im, high.im), 0.5f)};
        const na_complex_x4 odd = {vmulq_n_f32(vaddq_f32(low.im, high.im), 0.5f),
                                   vmulq_n_f32(vsubq_f32(high.re, low.re), 0.5f)};
        const na_complex_x4 turned = na_twiddle(odd, c, s);
        const na_complex_x4 mirrored = {vsubq_f32(even.re, turned.re),
                                        vsubq_f32(turned.im, even.im)};
        na_store_x4(spectrum, k, na_add_x4(even, turned));
        na_store_falling(spectrum, half - k, mirrored);
    }
#endif
    for (; k <= half / 2; k++) {
        const size_t j = half - k;
        const float c = fft->cosine[k], s = fft->sine[k];
        /* The even samples' spectrum and, turned by the twiddle factor, the odd samples'. */
        const float even_re = 0.5f * (z.re[k] + z.re[j]), even_im = 0.5f * (z.im[k] - z.im[j]);
        const float odd_re = 0.5f * (z.im[k] + z.im[j]), odd_im = 0.5f * (z.re[j] - z.re[k]);
        const float turned_re = odd_re * c + odd_im * s, turned_im = odd_im * c - odd_re * s;
        spectrum.re[k] = even_re + turned_re;
        spectrum.im[k] = even_im + turned_im;
        spectrum.re[j] = even_re - turned_re;
        spectrum.im[j] = turned_im - even_im;
    }
}

na_complex na_fft_inverse(const na_fft *fft, na_complex spectrum, na_complex packed,
                          na_complex work) {
    const size_t half = fft->length / 2;
    const float scale = 1.0f / (float)fft->length;
    packed.re[0] = scale * (spectrum.re[0] + spectrum.re[half]);
    packed.im[0] = scale * (spectrum.re[0] - spectrum.re[half]);
    size_t k = 1;
#if defined(NA_HELIUM)
    for (; k + 3 < half / 2; k += 4) {
        const na_complex_x4 low = na_load_x4(spectrum, k);
        const na_complex_x4 high = na_load_falling(spectrum, half - k);
        const float32x4_t c = vld1q_f32(fft->cosine + k), s = vld1q_f32(fft->sine + k);
        const na_complex_x4 even = {vmulq_n_f32(vaddq_f32(low.re, high.re), scale),
                                    vmulq_n_f32(vsubq_f32(low.im, high.im), scale)};
        const na_complex_x4 turned = {vmulq_n_f32(vsubq_f32(low.re, high.re), scale),
                                      vmulq_n_f32(vaddq_f32(low.im, high.im), scale)};
        const na_complex_x4 odd = {
            vsubq_f32(vmulq_f32(turned.re, c), vmulq_f32(turned.im, s)),
            vaddq_f32(vmulq_f32(turned.im, c), vmulq_f32(turned.re, s))};
        const na_complex_x4 mirrored = {vaddq_f32(even.re, odd.im), vsubq_f32(odd.re, even.im)};
        na_store_x4(packed, k, na_add_turned(even, odd));
        na_store_falling(packed, half - k, mirrored);
    }
#endif
    for (; k <= half / 2; k++) {
        const size_t j = half - k;
        const float c = fft->cosine[k], s = fft->sine[k];
        const float even_re = scale * (spectrum.re[k] + spectrum.re[j]);
        const float even_im = scale * (spectrum.im[k] - spectrum.im[j]);
        const float turned_re = scale * (spectrum.re[k] - spectrum.re[j]);
        const float turned_im = scale * (spectrum.im[k] + spectrum.im[j]);
        const float odd_re = turned_re * c - turned_im * s, odd_im = turned_im * c + turned_re * s;
        packed.re[k] = even_re - odd_im;
        packed.im[k] = even_im + odd_re;
        packed.re[j] = even_re + odd_im;
        packed.im[j] = odd_re - even_im;
    }
    /* An inverse transform is a forward one with real and imaginary part swapped on both ends. */
    const na_complex swapped = {packed.im, packed.re};
    const na_complex swapped_work = {work.im, work.re};
    const na_complex result = transform(fft, swapped, swapped_work);
    return (na_complex){result.im, result.re};
}
