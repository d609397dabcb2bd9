"""Natural logarithm and exponential that the compiler can vectorise.

A loop over `math.log` calls the C library once a number. An ear model takes two logarithms
and one exponential a sample in each of its 32 bands, a step of an LSTM five a unit. These
two are plain arithmetic on the bits of IEEE 754 doubles, so a loop that calls them becomes SIMD.

Both are for finite normal doubles only and exact to a few units in the last place: `fast_log` for
positive x, `fast_exp` for results between 1e-300 and 1e300. (numba's cache looks at the calling
file only: after a change here, delete the __pycache__ folders of those that use it.)
"""

import numpy as np
from numba import njit

_MANTISSA_BITS = np.uint64(52)
_EXPONENT_OFFSET = np.uint64(1024)
# Bits of sqrt(1/2): subtracting them rounds the exponent so that the mantissa that is left lies
# between sqrt(1/2) and sqrt(2), where the series of log converges fastest.
_SQRT_HALF_BITS = np.uint64(0x3FE6A09E667F3BCD)
# A double with this exponent (2**52) holds a small whole number in its lowest bits, which turns
# an integer to a double and back without the conversion that AVX2 lacks for 64 bits.
_WHOLE_BITS = np.uint64(0x4330000000000000)
_WHOLE_OFFSET = 2.0**52 + 1024.0
# 1.5 * 2**52: adding it rounds a double to the nearest whole number, negative ones included.
_ROUND = 1.5 * 2.0**52
_EXPONENT_BIAS = np.uint64(1023)

_LN_2 = 0.6931471805599453
_LOG2_E = 1.4426950408889634
# ln 2 in two parts, the first with so few digits that its product with a whole number is exact.
_LN_2_HIGH = 0.6931471803691238
_LN_2_LOW = 1.9082149292705877e-10


@njit(inline="always")
def fast_log(x):  # type: ignore[no-untyped-def]  # numba infers
    """ln(x): exponent * ln 2 + 2 artanh((m - 1) / (m + 1)) with mantissa m in 0.71 to 1.41."""
    bits = np.float64(x).view(np.uint64)
    exponent = (bits - _SQRT_HALF_BITS + (_EXPONENT_OFFSET << _MANTISSA_BITS)) >> _MANTISSA_BITS
    mantissa = np.uint64(bits - ((exponent - _EXPONENT_OFFSET) << _MANTISSA_BITS)).view(np.float64)
    exponent_value = np.uint64(exponent | _WHOLE_BITS).view(np.float64) - _WHOLE_OFFSET
    f = (mantissa - 1.0) / (mantissa + 1.0)
    s = f * f
    series = s * (1 / 21) + 1 / 19
    series = series * s + 1 / 17
    series = series * s + 1 / 15
    series = series * s + 1 / 13
    series = series * s + 1 / 11
    series = series * s + 1 / 9
    series = series * s + 1 / 7
    series = series * s + 1 / 5
    series = series * s + 1 / 3
    return exponent_value * _LN_2 + 2.0 * (f + f * s * series)


@njit(inline="always")
def fast_exp(x):  # type: ignore[no-untyped-def]  # numba infers
    """exp(x): 2**k * exp(r) with whole k, |r| <= ln(2) / 2 and twelve terms of the series."""
    rounded = x * _LOG2_E + _ROUND
    k = rounded - _ROUND
    r = (x - k * _LN_2_HIGH) - k * _LN_2_LOW
    series = r * (1 / 479001600) + 1 / 39916800
    series = series * r + 1 / 3628800
    series = series * r + 1 / 362880
    series = series * r + 1 / 40320
    series = series * r + 1 / 5040
    series = series * r + 1 / 720
    series = series * r + 1 / 120
    series = series * r + 1 / 24
    series = series * r + 1 / 6
    series = series * r + 1 / 2
    series = (series * r + 1.0) * r + 1.0
    power_of_two = (np.float64(rounded).view(np.uint64) + _EXPONENT_BIAS) << _MANTISSA_BITS
    return series * np.uint64(power_of_two).view(np.float64)
