/* Complex FFT of half the length by Stockham's self-sorting passes, radix 4 and at most one of
 * radix 2 (Van Loan 1992, 'Computational frameworks for the FFT', 1.7 and 2.4), and the usual
 * packing of a real signal into a complex one of half the length. */
#include "fft.h"

/* Before a loop whose turns do not depend on each other, which a compiler cannot see. */
#if defined(__clang__)
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define INDEPENDENT _Pragma("GCC ivdep")
#else
#define INDEPENDENT
#endif

/* cos - i sin of an angle, of twice and of three times that angle. */
typedef struct twiddles {
    float c1, s1, c2, s2, c3, s3;
} twiddles;

static inline twiddles twiddles_at(const na_fft *fft, size_t k) {
    return (twiddles){fft->cosine[k],     fft->sine[k],     fft->cosine[2 * k],
                      fft->sine[2 * k],   fft->cosine[3 * k], fft->sine[3 * k]};
}

/* One radix-4 butterfly: from x[at], x[at + gap], ... to y[to], y[to + stride], ... */
static inline void butterfly(na_complex x, size_t at, size_t gap, na_complex y, size_t to,
                             size_t stride, twiddles w) {
    const size_t b = at + gap, c = b + gap, d = c + gap;
    const float sum_ac_re = x.re[at] + x.re[c], sum_ac_im = x.im[at] + x.im[c];
    const float dif_ac_re = x.re[at] - x.re[c], dif_ac_im = x.im[at] - x.im[c];
    const float sum_bd_re = x.re[b] + x.re[d], sum_bd_im = x.im[b] + x.im[d];
    const float dif_bd_re = x.re[b] - x.re[d], dif_bd_im = x.im[b] - x.im[d];
    /* i times the difference of b and d turns it. */
    const float e1_re = dif_ac_re + dif_bd_im, e1_im = dif_ac_im - dif_bd_re;
    const float e2_re = sum_ac_re - sum_bd_re, e2_im = sum_ac_im - sum_bd_im;
    const float e3_re = dif_ac_re - dif_bd_im, e3_im = dif_ac_im + dif_bd_re;
    y.re[to] = sum_ac_re + sum_bd_re;
    y.re[to + stride] = e1_re * w.c1 + e1_im * w.s1;
    y.re[to + 2 * stride] = e2_re * w.c2 + e2_im * w.s2;
    y.re[to + 3 * stride] = e3_re * w.c3 + e3_im * w.s3;
    y.im[to] = sum_ac_im + sum_bd_im;
    y.im[to + stride] = e1_im * w.c1 - e1_re * w.s1;
    y.im[to + 2 * stride] = e2_im * w.c2 - e2_re * w.s2;
    y.im[to + 3 * stride] = e3_im * w.c3 - e3_re * w.s3;
}

/* The first radix-4 pass, over one transform of half the real length: a vector is neighbours. */
static void first_pass4(const na_fft *fft, na_complex x, na_complex y) {
    const size_t quarter = fft->length / 8;
    INDEPENDENT
    for (size_t p = 0; p < quarter; p++) {
        butterfly(x, p, quarter, y, 4 * p, 1, twiddles_at(fft, 2 * p));
    }
}

/* One radix-4 pass over `stride` interleaved transforms of length n: a vector is several. */
static void pass4(const na_fft *fft, size_t n, size_t stride, na_complex x, na_complex y) {
    for (size_t p = 0; p < n / 4; p++) {
        const twiddles w = twiddles_at(fft, p * (fft->length / n));
        INDEPENDENT
        for (size_t q = 0; q < stride; q++) {
            butterfly(x, stride * p + q, stride * n / 4, y, 4 * stride * p + q, stride, w);
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
        if (stride == 1) {
            first_pass4(fft, x, work);
        } else {
            pass4(fft, points / stride, stride, x, work);
        }
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
    for (size_t k = 1; k <= half / 2; k++) {
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
    for (size_t k = 1; k <= half / 2; k++) {
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
