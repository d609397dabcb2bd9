/* Cortex-M4F, M7 and M33: the DSP extension multiplies two half-words at once.
 *
 * A half-word of NA_PAIRS is w = 256 a + b, two weights of one column. Of every word, that is two
 * columns, SMLALD adds w x to R = 256 A + B, in 64 bits so that it cannot overflow, SXTB16 leaves
 * b, and SMLAD adds b x to B; at the end A = (R - B) / 256: three instructions for four products. */
#include "kernels.h"

#if defined(NA_DSP)

#include <arm_acle.h>

/* Two packed rows of two columns: `word` is used up. */
#define TWO_WORDS(first, second, x)                                                               \
    "smlald r2, r3, " first ", " x "\n"                                                           \
    "smlald r4, r5, " second ", " x "\n"                                                          \
    "sxtb16 " first ", " first "\n"                                                               \
    "sxtb16 " second ", " second "\n"                                                             \
    "smlad r6, " first ", " x ", r6\n"                                                            \
    "smlad r7, " second ", " x ", r7\n"

/* sums = weights * x for `columns` (a multiple of 32) and rows until the weights' end; all in
 * assembly, because it takes all fourteen registers. Weights in r0, x in r1, R in r2-r3 and r4-r5,
 * B in r6 and r7; what is needed once a row waits in s0 to s3. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter" /* the assembly takes them in place */
__attribute__((naked, noinline)) static void multiply(const int8_t *weights, const int16_t *x,
                                                      int32_t *sums, const int8_t *weights_end,
                                                      const int16_t *x_end) {
    __asm__ volatile("ldr r12, [sp]\n"
                     "push {r4-r11, lr}\n"
                     "vmov s0, r1\n"
                     "vmov s1, r12\n"
                     "vmov s2, r2\n"
                     "vmov s3, r3\n"
                     "1:\n"
                     "movs r2, #0\n"
                     "movs r3, #0\n"
                     "movs r4, #0\n"
                     "movs r5, #0\n"
                     "movs r6, #0\n"
                     "movs r7, #0\n"
                     "2:\n"
                     ".rept 8\n"
                     "ldrd r12, lr, [r1], #8\n"
                     "ldmia r0!, {r8-r11}\n"
                     TWO_WORDS("r8", "r9", "r12") TWO_WORDS("r10", "r11", "lr")
                     ".endr\n"
                     "vmov r8, s1\n"
                     "cmp r1, r8\n"
                     "bne 2b\n"
                     "subs r2, r2, r6\n"
                     "sbc r3, r3, r6, asr #31\n"
                     "lsrs r2, r2, #8\n"
                     "orr r2, r2, r3, lsl #24\n"
                     "subs r4, r4, r7\n"
                     "sbc r5, r5, r7, asr #31\n"
                     "lsrs r4, r4, #8\n"
                     "orr r4, r4, r5, lsl #24\n"
                     "vmov r8, s2\n"
                     "stmia r8!, {r2, r4, r6, r7}\n"
                     "vmov s2, r8\n"
                     "vmov r1, s0\n"
                     "vmov r8, s3\n"
                     "cmp r0, r8\n"
                     "bne 1b\n"
                     "pop {r4-r11, pc}\n");
}
#pragma GCC diagnostic pop

void na_multiply_dsp(const na_matrix *matrix, const int16_t *x, int32_t *sums) {
    const size_t bytes = (size_t)matrix->padded_rows * matrix->columns;
    multiply(matrix->weights, x, sums, matrix->weights + bytes, x + matrix->columns);
}

/* (a * b + 2^31) / 2^32: with a doubled multiplier the reference's multiply_high. */
static inline int32_t smmulr(int32_t a, int32_t b) {
    int32_t product;
    __asm__("smmulr %0, %1, %2" : "=r"(product) : "r"(a), "r"(b));
    return product;
}

/* A table in Q15 at z in Q14; its points are 2^step apart and `centre` is the one of 0. A constant
 * step is one instruction: SSAT takes no other. */
__attribute__((always_inline)) static inline int32_t between(const int16_t *centre, int32_t z,
                                                             const int step) {
    int32_t bounded; /* to the table's ends */
    __asm__("ssat %0, %2, %1" : "=r"(bounded) : "r"(z), "I"(step + 10));
    const int32_t one = 1 << step, fraction = bounded & (one - 1);
    int32_t neighbours;
    __builtin_memcpy(&neighbours, centre + (bounded >> step), sizeof neighbours);
    const int32_t shares = (one - fraction) | fraction << 16;
    return __smlad(neighbours, shares, one / 2) >> step;
}

static inline int32_t activate(const int16_t *centre, int32_t z) { return between(centre, z, 8); }

void na_update_dsp(const na_cells *cells) {
    const int32_t *a = cells->input_sums, *b = cells->recurrent_sums;
    const int32_t *ma = cells->input_multipliers, *mb = cells->recurrent_multipliers;
    const int32_t *bias = cells->bias;
    const int16_t *sigmoid = cells->sigmoid + NA_ACTIVATION_POINTS / 2;
    const int16_t *tanh = cells->tanh + NA_ACTIVATION_POINTS / 2;
    const int16_t *forgetting = cells->forgetting + NA_ACTIVATION_POINTS / 2;
    for (size_t i = 0; i < cells->width; i++) {
        const int32_t take = activate(sigmoid, bias[0] + smmulr(a[0], ma[0]) + smmulr(b[0], mb[0]));
        const int32_t root =
            between(forgetting, bias[1] + smmulr(a[1], ma[1]) + smmulr(b[1], mb[1]), 9);
        const int32_t candidate =
            activate(tanh, bias[2] + smmulr(a[2], ma[2]) + smmulr(b[2], mb[2]));
        const int32_t give = activate(sigmoid, bias[3] + smmulr(a[3], ma[3]) + smmulr(b[3], mb[3]));
        const int32_t cell = cells->cell[i];
        const int32_t kept =
            cell - (int32_t)(((int64_t)cell * (2 * root * root) + (INT64_C(1) << 30)) >> 31);
        const int32_t next = __qadd(kept, (take * candidate + 1) >> 1);
        cells->cell[i] = next;
        const int32_t squashed = activate(tanh, ((next >> 14) + 1) >> 1);
        cells->hidden[i] = (int16_t)((give * squashed + (1 << 14)) >> 15);
        a += 4;
        b += 4;
        ma += 4;
        mb += 4;
        bias += 4;
    }
}

#else
typedef int na_no_dsp; /* ISO C wants one declaration a file */
#endif
