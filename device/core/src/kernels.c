/* The reference multiply, and which kernels this processor has. */
#include "kernels.h"

#if defined(NA_X86)
#include <cpuid.h>
#endif

void na_multiply_plain(const na_matrix *matrix, const int16_t *x, int32_t *sums) {
    const int8_t *row = matrix->weights;
    for (size_t r = 0; r < matrix->padded_rows; r++, row += matrix->columns) {
        int32_t sum = 0;
        for (size_t c = 0; c < matrix->columns; c++) {
            sum += row[c] * x[c];
        }
        sums[r] = sum;
    }
}

#if defined(NA_X86)

/* Register state that the operating system saves: bits 1-2 are SSE and AVX, 5-7 AVX-512. */
static uint32_t saved_state(void) {
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static int is_present(neuroamp_kernel kernel) {
    unsigned a, b, c, d, highest;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) {
        return 0;
    }
    const uint32_t saved = saved_state();
    if ((saved & 0x06) != 0x06 || !__get_cpuid_count(7, 0, &highest, &b, &c, &d) || !(b & bit_AVX2)) {
        return 0;
    }
    if (kernel == NEUROAMP_AVX512_VNNI) {
        const unsigned needed = bit_AVX512F | bit_AVX512VL;
        return (saved & 0xe6) == 0xe6 && (b & needed) == needed && (c & bit_AVX512VNNI) != 0;
    }
    if (kernel == NEUROAMP_AVX_VNNI) {
        return highest >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & bit_AVXVNNI) != 0;
    }
    return 1;
}

#elif defined(NA_ARM64)

static int is_present(neuroamp_kernel kernel) {
    if (kernel == NEUROAMP_NEON_DOT) {
        uint64_t features; /* Linux lets a program read this register */
        __asm__("mrs %0, ID_AA64ISAR0_EL1" : "=r"(features));
        return (features >> 44 & 15) != 0;
    }
    return 1;
}

#endif

/* The multiply of a kernel for plain rows. */
static na_multiply find_multiply(neuroamp_kernel kernel) {
    switch (kernel) {
    case NEUROAMP_PLAIN:
        return na_multiply_plain;
#if defined(NA_X86)
    case NEUROAMP_AVX2:
        return is_present(kernel) ? na_multiply_avx2 : NULL;
    case NEUROAMP_AVX_VNNI:
        return is_present(kernel) ? na_multiply_avx_vnni : NULL;
    case NEUROAMP_AVX512_VNNI:
        return is_present(kernel) ? na_multiply_avx512_vnni : NULL;
#elif defined(NA_ARM64)
    case NEUROAMP_NEON:
        return na_multiply_neon;
    case NEUROAMP_NEON_DOT:
        return is_present(kernel) ? na_multiply_neon_dot : NULL;
#endif
    default:
        return NULL;
    }
}

na_kernel na_find_kernel(neuroamp_kernel kernel, na_layout layout) {
#if defined(NA_DSP)
    if (layout == NA_PAIRS && kernel == NEUROAMP_DSP) {
        return (na_kernel){na_multiply_dsp, na_update_dsp};
    }
#elif defined(NA_HELIUM)
    if (layout == NA_TILES && kernel == NEUROAMP_HELIUM) {
        return (na_kernel){na_multiply_helium, na_update_helium};
    }
#endif
    const na_multiply multiply = layout == NA_ROWS ? find_multiply(kernel) : NULL;
    if (multiply == NULL) {
        return (na_kernel){NULL, NULL};
    }
#if defined(NA_X86)
    if (kernel != NEUROAMP_PLAIN) { /* every other x86 kernel needs AVX2 */
        return (na_kernel){multiply, na_update_avx2};
    }
#endif
    return (na_kernel){multiply, na_update_plain};
}

neuroamp_kernel na_fastest_kernel(na_layout layout) {
    /* The enumeration goes from the slowest to the fastest within each family. */
    for (int kernel = NEUROAMP_KERNELS - 1; kernel >= NEUROAMP_PLAIN; kernel--) {
        if (na_find_kernel((neuroamp_kernel)kernel, layout).multiply != NULL) {
            return (neuroamp_kernel)kernel;
        }
    }
    return NEUROAMP_KERNELS;
}
