/* Cortex-M55: Helium multiplies sixteen signed bytes at once and adds them to one register.
 *
 * With x = 256 high + low, both signed bytes,
 *     sum w x = 256 sum w high + sum w low,
 * exact in 32 bits with wrap-around, since the result does not overflow. That takes every x up to
 * 32639. A vector with a larger one, which a hidden state hardly ever has, is split into
 * x = 256 high + low + 128 instead, which takes every x, and 128 sum w is added. */
#include "kernels.h"

#if defined(NA_HELIUM)

#include <arm_mve.h>
#include <stddef.h>

/* Bytes of x: per sixteen columns sixteen high ones, then sixteen low ones. Returns 0, and has
 * done nothing of use, if an x is above 32639. */
static int split(const int16_t *x, size_t columns, int8_t *bytes) {
    int8_t most = 0;
    for (size_t c = 0; c < columns; c += 16) {
        const int8x16x2_t both = vld2q_s8((const int8_t *)(x + c));
        const int8x16_t borrow = vshrq_n_s8(both.val[0], 7);
        vst1q_s8(bytes + 2 * c, vsubq_s8(both.val[1], borrow));
        vst1q_s8(bytes + 2 * c + 16, both.val[0]);
        most = vmaxvq_s8(most, vhsubq_s8(both.val[1], borrow)); /* 64 where 127 - -1 overflows */
    }
    return most < 64;
}

/* The same with low bytes less 128. */
static void split_any(const int16_t *x, size_t columns, int8_t *bytes) {
    const int8x16_t flip = vdupq_n_s8(-128);
    for (size_t c = 0; c < columns; c += 16) {
        const int8x16x2_t both = vld2q_s8((const int8_t *)(x + c));
        vst1q_s8(bytes + 2 * c, both.val[1]);
        vst1q_s8(bytes + 2 * c + 16, veorq_s8(both.val[0], flip));
    }
}

/* One block of sixteen columns of four rows, their bytes of x in two vector registers; the first
 * block of all with the accumulator-less "vmladav". Sums are in the even registers: high in r0,
 * r4, r8, r12, low in r2, r6, r10, lr; weights in r1. */
#define FOUR_ROWS(multiply_add, high, low)                                                        \
    "vldrw.u32 q6, [r1], #16\n" multiply_add ".s8 r0, q6, " high "\n"                             \
    multiply_add ".s8 r2, q6, " low "\n"                                                          \
    "vldrw.u32 q6, [r1], #16\n" multiply_add ".s8 r4, q6, " high "\n"                             \
    multiply_add ".s8 r6, q6, " low "\n"                                                          \
    "vldrw.u32 q6, [r1], #16\n" multiply_add ".s8 r8, q6, " high "\n"                             \
    multiply_add ".s8 r10, q6, " low "\n"                                                         \
    "vldrw.u32 q6, [r1], #16\n" multiply_add ".s8 r12, q6, " high "\n"                            \
    multiply_add ".s8 lr, q6, " low "\n"

/* A block whose bytes of x, at `offset` from r3, are loaded for it. */
#define STREAMED(offset)                                                                          \
    "vldrw.u32 q4, [r3, #" #offset "]\n"                                                          \
    "vldrw.u32 q5, [r3, #" #offset " + 16]\n" FOUR_ROWS("vmladava", "q4", "q5")

/* The first blocks: x of two and a half of them stays in q0 to q3 and q7. */
#define RESIDENT                                                                                  \
    FOUR_ROWS("vmladav", "q0", "q1")                                                              \
    FOUR_ROWS("vmladava", "q2", "q3")                                                             \
    "vldrw.u32 q4, [r3, #80]\n" FOUR_ROWS("vmladava", "q7", "q4")

#define STORE_FOUR                                                                                \
    "add r2, r2, r0, lsl #8\n"                                                                    \
    "add r6, r6, r4, lsl #8\n"                                                                    \
    "add r10, r10, r8, lsl #8\n"                                                                  \
    "add lr, lr, r12, lsl #8\n"                                                                   \
    "strd r2, r6, [r7], #8\n"                                                                     \
    "strd r10, lr, [r7], #8\n"

#define LOAD_RESIDENT                                                                             \
    "vldrw.u32 q0, [r1]\n"                                                                        \
    "vldrw.u32 q1, [r1, #16]\n"                                                                   \
    "vldrw.u32 q2, [r1, #32]\n"                                                                   \
    "vldrw.u32 q3, [r1, #48]\n"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter" /* the assembly takes them in place */

/* Rows until `weights_end`, sixteen at a time, for a fixed number of blocks. */
#define ROWS(streamed) RESIDENT streamed STORE_FOUR
#define DEFINE_MULTIPLY(name, streamed)                                                           \
    __attribute__((naked, noinline)) static void name(const int8_t *weights, const int8_t *bytes, \
                                                      int32_t *sums, const int8_t *weights_end) { \
        __asm__ volatile("push {r4-r11, lr}\n"                                                    \
                         "vpush {d8-d15}\n" LOAD_RESIDENT "vldrw.u32 q7, [r1, #64]\n"             \
                         "mov r7, r2\n"                                                           \
                         "mov r9, r3\n"                                                           \
                         "mov r3, r1\n"                                                           \
                         "mov r1, r0\n"                                                           \
                         "1:\n" ROWS(streamed) ROWS(streamed) ROWS(streamed) ROWS(streamed)       \
                         "cmp r1, r9\n"                                                           \
                         "bne 1b\n"                                                               \
                         "vpop {d8-d15}\n"                                                        \
                         "pop {r4-r11, pc}\n");                                                   \
    }

DEFINE_MULTIPLY(multiply_64_columns, STREAMED(96))
DEFINE_MULTIPLY(multiply_128_columns,
                STREAMED(96) STREAMED(128) STREAMED(160) STREAMED(192) STREAMED(224))

/* Four rows at a time for any number of blocks, with 128 times the row sums (or zeros) added. The
 * blocks beyond two are unrolled for NA_MAX_COLUMNS and entered where as many follow as there are,
 * at fixed distances from the end of x. */
#define MOST_BLOCKS "28"

__attribute__((naked, noinline)) static void multiply(const int8_t *weights, const int8_t *bytes,
                                                      int32_t *sums, const int8_t *weights_end,
                                                      const int32_t *row_sums, size_t blocks) {
    __asm__ volatile("push {r4-r11, lr}\n"
                     "vpush {d8-d15}\n" LOAD_RESIDENT
                     "mov r7, r2\n"
                     "mov r9, r3\n"
                     "ldr r5, [sp, #100]\n"
                     "ldr r4, [sp, #104]\n"
                     "add r3, r1, r4, lsl #5\n"
                     "sub r3, r3, #448\n"
                     "adr r11, 2f\n"
                     "orr r11, r11, #1\n"
                     "rsb r4, r4, #2 + " MOST_BLOCKS "\n"
                     "movs r6, #56\n" /* bytes of a block's code */
                     "mla r11, r4, r6, r11\n"
                     "mov r1, r0\n"
                     "1:\n"
                     "ldrd r2, r6, [r5], #8\n"
                     "ldrd r10, lr, [r5], #8\n"
                     "movs r0, #0\n"
                     "movs r4, #0\n"
                     "mov r8, r0\n"
                     "mov r12, r0\n"
                     FOUR_ROWS("vmladava", "q0", "q1")
                     FOUR_ROWS("vmladava", "q2", "q3")
                     "bx r11\n"
                     ".balign 4\n"
                     "2:\n"
                     ".set distance, " MOST_BLOCKS "\n"
                     ".rept " MOST_BLOCKS "\n"
                     "vldrw.u32 q4, [r3, #448 - 32 * distance]\n"
                     "vldrw.u32 q5, [r3, #464 - 32 * distance]\n"
                     FOUR_ROWS("vmladava", "q4", "q5")
                     ".set distance, distance - 1\n"
                     ".endr\n"
                     STORE_FOUR
                     "cmp r1, r9\n"
                     "bne 1b\n"
                     "vpop {d8-d15}\n"
                     "pop {r4-r11, pc}\n");
}
#pragma GCC diagnostic pop

void na_multiply_helium(const na_matrix *matrix, const int16_t *x, int32_t *sums) {
    _Alignas(16) int8_t bytes[2 * NA_MAX_COLUMNS];
    const size_t columns = matrix->columns;
    const int8_t *weights = matrix->weights, *end = weights + matrix->padded_rows * columns;
    const int is_fixed = matrix->padded_rows % 16 == 0 && (columns == 128 || columns == 64);
    if (is_fixed && split(x, columns, bytes)) {
        (columns == 128 ? multiply_128_columns : multiply_64_columns)(weights, bytes, sums, end);
    } else {
        split_any(x, columns, bytes);
        multiply(weights, bytes, sums, end, matrix->row_sums, columns / 16);
    }
}

/* Gate inputs in Q14 of four rows to `z`; q2 and q3 are used up. Every pointer goes on. */
#define GATE_INPUTS(z)                                                                            \
    "vldrw.u32 " z ", [r0], #16\n"                                                                \
    "vldrw.u32 q2, [r2], #16\n"                                                                   \
    "vqrdmulh.s32 " z ", " z ", q2\n"                                                             \
    "vldrw.u32 q2, [r1], #16\n"                                                                   \
    "vldrw.u32 q3, [r3], #16\n"                                                                   \
    "vqrdmulh.s32 q2, q2, q3\n"                                                                   \
    "vldrw.u32 q3, [r4], #16\n"                                                                   \
    "vadd.i32 " z ", " z ", q3\n"                                                                 \
    "vadd.i32 " z ", " z ", q2\n"

/* Where the arguments in Q14 of eight units, in q0 (even units) and q1 (odd ones), lie in a table:
 * the index in q2, the way to the next point as Q15 in q0. The index saturates, the way does not:
 * the model's reader made sure that the table's ends are flat. `shrink` are vqshrnb.s32 q2, q0, #n
 * and vqshrnt.s32 q2, q1, #n as numbers, because binutils up to at least 2.40 assembles their
 * rounding relatives in their place; `way` is 9 - n. */
#define FIND(shrink, way)                                                                         \
    shrink                                                                                        \
    "vadd.i16 q2, q2, r11\n"                                                                      \
    "vshr.u16 q2, q2, #6\n"                                                                       \
    "vmovnt.i32 q0, q1\n"                                                                         \
    "vshl.i16 q0, q0, #" way "\n"                                                                 \
    "vbic.i16 q0, #0x8000\n"

#define SHRINK_BY_2 ".inst.w 0xee9e4f40\n.inst.w 0xee9e5f42\n"
#define SHRINK_BY_3 ".inst.w 0xee9d4f40\n.inst.w 0xee9d5f42\n"

/* Activations in Q15 of the arguments in q0 and q1; q2 and q3 are used up. The table and its second
 * point are in `here` and `next`. */
#define ACTIVATE(result, here, next)                                                              \
    FIND(SHRINK_BY_2, "7")                                                                        \
    "vldrh.u16 q1, [" here ", q2, uxtw #1]\n"                                                     \
    "vldrh.u16 q3, [" next ", q2, uxtw #1]\n"                                                     \
    "vsub.i16 q3, q3, q1\n"                                                                       \
    "vqrdmulh.s16 q3, q3, q0\n"                                                                   \
    "vadd.i16 " result ", q1, q3\n"

/* The roots of what is forgotten, Q15, to q5; there is one register for the table in r12. */
#define FORGETTING_ROOTS                                                                          \
    FIND(SHRINK_BY_3, "6")                                                                        \
    "vldrh.u16 q1, [r12, q2, uxtw #1]\n"                                                          \
    "add r12, r12, #2\n"                                                                          \
    "vldrh.u16 q3, [r12, q2, uxtw #1]\n"                                                          \
    "sub r12, r12, #2\n"                                                                          \
    "vsub.i16 q3, q3, q1\n"                                                                       \
    "vqrdmulh.s16 q3, q3, q0\n"                                                                   \
    "vadd.i16 q5, q1, q3\n"

/* Next cell states of four units from `taken`, the product of two activations, which become the
 * arguments of tanh; `square` doubles the squares of the even or the odd units of q5: Q31. */
#define CELLS(taken, square)                                                                      \
    square " q2, q5, q5\n"                                                                        \
    "vldrw.u32 q3, [r9]\n"                                                                        \
    "vqrdmulh.s32 q2, q3, q2\n"                                                                   \
    "vrshr.s32 " taken ", " taken ", #1\n"                                                        \
    "vsub.i32 q3, q3, q2\n"                                                                       \
    "vqadd.s32 " taken ", " taken ", q3\n"                                                        \
    "vstrw.32 " taken ", [r9], #16\n"                                                             \
    "vrshr.s32 " taken ", " taken ", #15\n"

_Static_assert(offsetof(na_cells, forgetting) == 40, "the members are loaded in their order");

/* Eight units at a time. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter" /* the assembly takes them in place */
__attribute__((naked)) void na_update_helium(const na_cells *cells) {
    __asm__ volatile(
        "push {r4-r11, lr}\n"
        "vpush {d8-d15}\n"
        "mov r12, r0\n"
        /* sums, multipliers, bias, sigmoid, tanh; cell, hidden, width, forgetting */
        "ldmia r12, {r0-r6, r9-r12}\n"
        "lsr lr, r11, #3\n"
        "mov r7, r6\n"
        "add r6, r5, #2\n"
        "add r8, r7, #2\n"
        "mov r11, #0x8000\n"
        "dls lr, lr\n"
        "1:\n"
        GATE_INPUTS("q0") GATE_INPUTS("q1") ACTIVATE("q4", "r5", "r6") /* input gate */
        GATE_INPUTS("q0") GATE_INPUTS("q1") FORGETTING_ROOTS /* forget gate */
        GATE_INPUTS("q0") GATE_INPUTS("q1") ACTIVATE("q6", "r7", "r8") /* candidate */
        GATE_INPUTS("q0") GATE_INPUTS("q1") ACTIVATE("q7", "r5", "r6") /* output gate */
        "vmullb.s16 q0, q4, q6\n"
        "vmullt.s16 q1, q4, q6\n"
        CELLS("q0", "vqdmullb.s16") CELLS("q1", "vqdmullt.s16")
        ACTIVATE("q1", "r7", "r8")
        "vqrdmulh.s16 q1, q1, q7\n"
        "vstrh.16 q1, [r10], #16\n"
        "le lr, 1b\n"
        "vpop {d8-d15}\n"
        "pop {r4-r11, pc}\n");
}
#pragma GCC diagnostic pop

void na_gains_helium(const na_matrix *last, const int32_t *sums, const int16_t *sigmoid,
                     float *output, size_t count) {
    const int32_t *multipliers = last->multipliers, *bias = last->bias;
    for (size_t i = 0; i < count; i += 4) {
        const mve_pred16_t lanes = vctp32q((uint32_t)(count - i));
        const int32x4_t scaled = vqrdmulhq_s32(vld1q_s32(sums + i), vld1q_s32(multipliers + i));
        const int32x4_t z = vaddq_s32(scaled, vld1q_s32(bias + i));
        const int32x4_t bounded =
            vmaxq_s32(vminq_s32(z, vdupq_n_s32((8 << 14) - 1)), vdupq_n_s32(-(8 << 14)));
        const uint32x4_t place = vreinterpretq_u32_s32(vaddq_n_s32(bounded, 8 << 14));
        const uint32x4_t index = vshrq_n_u32(place, 8);
        const int32x4_t fraction = vreinterpretq_s32_u32(vandq_u32(place, vdupq_n_u32(255)));
        const int32x4_t here = vldrhq_gather_shifted_offset_s32(sigmoid, index);
        const int32x4_t next = vldrhq_gather_shifted_offset_s32(sigmoid + 1, index);
        const int32x4_t way = vrshrq_n_s32(vmulq_s32(vsubq_s32(next, here), fraction), 8);
        const float32x4_t gain = vmulq_n_f32(vcvtq_f32_s32(vaddq_s32(here, way)), 1.0f / 32768.0f);
        vst1q_p_f32(output + i, gain, lanes);
    }
}

#else
typedef int na_no_helium; /* ISO C wants one declaration a file */
#endif
