/* Real FFT of a power-of-two length from 16 to 4096, with the twiddle factors as a given table. */
#ifndef NA_FFT_H
#define NA_FFT_H

#include <stddef.h>

/* A complex vector as two real ones, so that a compiler can vectorise. */
typedef struct na_complex {
    float *re;
    float *im;
} na_complex;

/* One plan: the length of the real signal and cos, sin of 2 pi k / length, k < 3/4 length. */
typedef struct na_fft {
    size_t length;
    const float *cosine;
    const float *sine;
} na_fft;

/* Number of twiddle factors of a length. */
static inline size_t na_fft_twiddles(size_t length) { return length / 4 * 3; }

/* Spectrum [length / 2 + 1] of the real signal whose even samples are packed.re [length / 2] and
 * whose odd ones packed.im. `packed` and `work` [length / 2] are overwritten. */
void na_fft_forward(const na_fft *fft, na_complex packed, na_complex work, na_complex spectrum);

/* Inverse of `na_fft_forward`, scaled so that both give the signal back: returns where the packed
 * signal is, which is one of `packed` and `work`. */
na_complex na_fft_inverse(const na_fft *fft, na_complex spectrum, na_complex packed,
                          na_complex work);

#endif
