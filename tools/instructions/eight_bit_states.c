/* What the net would cost on Helium with states and features of 8 bits: one byte a value instead of
 * two, and so half the products. For counting alone (tools/count_instructions.py): it takes the high
 * bytes of the 16-bit values, is linked in the place of na_multiply_helium, and what comes out of the
 * net is not of use. */
#include "../../device/core/src/kernels.h"

#include <arm_mve.h>

void __wrap_na_multiply_helium(const na_matrix *matrix, const int16_t *x, int32_t *sums);

/* One block of sixteen columns of four rows, x in a vector register, weights in r1. */
#define FOUR_ROWS(multiply_add, x)                                                                \
    "vldrw.u32 q6, [r1], #16\n" multiply_add ".s8 r2, q6, " x "\n"                                \
    "vldrw.u32 q6, [r1], #16\n" multiply_add ".s8 r4, q6, " x "\n"                                \
    "vldrw.u32 q6, [r1], #16\n" multiply_add ".s8 r6, q6, " x "\n"                                \
    "vldrw.u32 q6, [r1], #16\n" multiply_add ".s8 r8, q6, " x "\n"

#define STORE_FOUR                                                                                \
    "str r2, [r7], #4\n"                                                                          \
    "str r4, [r7], #4\n"                                                                          \
    "str r6, [r7], #4\n"                                                                          \
    "str r8, [r7], #4\n"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter" /* the assembly takes them in place */

#define DEFINE_MULTIPLY(name, others)                                                             \
    __attribute__((naked, noinline)) static void name(const int8_t *weights, const int8_t *x,     \
                                                      int32_t *sums, const int8_t *weights_end) { \
        __asm__ volatile("push {r4-r11, lr}\n"                                                    \
                         "vpush {d8-d15}\n"                                                       \
                         "vldrw.u32 q0, [r1]\n"                                                   \
                         "vldrw.u32 q1, [r1, #16]\n"                                              \
                         "vldrw.u32 q2, [r1, #32]\n"                                              \
                         "vldrw.u32 q3, [r1, #48]\n"                                              \
                         "vldrw.u32 q4, [r1, #64]\n"                                              \
                         "vldrw.u32 q5, [r1, #80]\n"                                              \
                         "mov r10, r1\n"                                                          \
                         "mov r7, r2\n"                                                           \
                         "mov r9, r3\n"                                                           \
                         "mov r1, r0\n"                                                           \
                         "1:\n"                                                                   \
                         ".rept 4\n" FOUR_ROWS("vmladav", "q0") FOUR_ROWS("vmladava", "q1")       \
                         FOUR_ROWS("vmladava", "q2") FOUR_ROWS("vmladava", "q3") others STORE_FOUR \
                         ".endr\n"                                                                \
                         "cmp r1, r9\n"                                                           \
                         "bne 1b\n"                                                               \
                         "vpop {d8-d15}\n"                                                        \
                         "pop {r4-r11, pc}\n");                                                   \
    }

DEFINE_MULTIPLY(multiply_64_columns, "")
DEFINE_MULTIPLY(multiply_128_columns,
                FOUR_ROWS("vmladava", "q4") FOUR_ROWS("vmladava", "q5")
                "vldrw.u32 q7, [r10, #96]\n" FOUR_ROWS("vmladava", "q7")
                "vldrw.u32 q7, [r10, #112]\n" FOUR_ROWS("vmladava", "q7"))
#pragma GCC diagnostic pop

void __wrap_na_multiply_helium(const na_matrix *matrix, const int16_t *x, int32_t *sums) {
    int8_t bytes[NA_MAX_COLUMNS];
    const size_t columns = matrix->columns;
    for (size_t c = 0; c < columns; c += 16) {
        vst1q_s8(bytes + c, vld2q_s8((const int8_t *)(x + c)).val[1]);
    }
    const int8_t *end = matrix->weights + (size_t)matrix->padded_rows * columns;
    if (matrix->padded_rows % 16 == 0 && columns == 128) {
        multiply_128_columns(matrix->weights, bytes, sums, end);
    } else if (matrix->padded_rows % 16 == 0 && columns == 64) {
        multiply_64_columns(matrix->weights, bytes, sums, end);
    } /* the audiogram's layer: not part of a step */
}
