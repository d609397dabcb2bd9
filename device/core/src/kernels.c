/* The reference kernel, and which kernels this processor has. */
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

na_multiply na_find_kernel(neuroamp_kernel kernel) {
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

na_cell na_find_cell(neuroamp_kernel kernel) {
#if defined(NA_X86)
    if (kernel != NEUROAMP_PLAIN && na_find_kernel(kernel) != NULL) {
        return na_cell_avx2; /* every x86 kernel but the plain one needs AVX2 */
    }
#else
    (void)kernel;
#endif
    return na_cell_plain;
}

neuroamp_kernel na_fastest_kernel(void) {
    /* The enumeration goes from the slowest to the fastest within each family. */
    for (int kernel = NEUROAMP_KERNELS - 1; kernel > NEUROAMP_PLAIN; kernel--) {
        if (na_find_kernel((neuroamp_kernel)kernel) != NULL) {
            return (neuroamp_kernel)kernel;
        }
    }
    return NEUROAMP_PLAIN;
}
