/* The chain's loops over bins and samples; on Cortex-M55 four values at a time, with the same
 * operations in the same order and so the same bits. */
#ifndef NA_LOOPS_H
#define NA_LOOPS_H

#include "fft.h"

/* even[i], odd[i] = samples 2i, 2i + 1 times the window's, for i < count. */
void na_window_packed(const float *samples, const float *window, na_complex packed, size_t count);

/* power = scale * |spectrum|^2, all [count]. */
void na_powers(na_complex spectrum, const float *scale, float *power, size_t count);

/* gain_db goes to wanted_db + strength * net_db, by at most `slope_db`; gain is its factor on a
 * pressure. All [count]. */
void na_next_gains(const float *wanted_db, const float *net_db, float strength, float slope_db,
                   float *gain_db, float *gain, size_t count);

/* spectrum *= gain, [count]. */
void na_apply_gains(na_complex spectrum, const float *gain, size_t count);

#endif
