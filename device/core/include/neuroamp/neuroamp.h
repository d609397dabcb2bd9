/* NeuroAMP core: the streaming chain of one ear, from microphone to receiver pressure.
 *
 *     input -> analysis -> spectrum -> gains -> synthesis -> limiter -> output
 *                             |          |
 *                             +-> WDRC --+   the fitting's own gains, dB per bin
 *                             +-> net ---+   what the net asks for on top of them
 *
 * The caller owns all memory: ask `neuroamp_size`, give that much to `neuroamp_init`. The core
 * allocates nothing, has no global state, and of the C library uses <string.h> alone; whatever a
 * library of mathematics would compute at start-up stands as a table in the model file. The model
 * file (docs/core.md, written by neuroamp_export) stays where it is, memory-mapped or in flash,
 * and must outlive the chain.
 *
 * Sound is in pascals (0 dB SPL = 20 micropascals RMS), times are in seconds, levels in dB SPL.
 * One chain is used by one thread at a time; different chains are independent.
 */
#ifndef NEUROAMP_H
#define NEUROAMP_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define NEUROAMP_API __attribute__((visibility("default")))
#else
#define NEUROAMP_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Alignment in bytes of the model file and of the chain's memory. */
#define NEUROAMP_ALIGNMENT 16

#define NEUROAMP_AUDIOGRAM_POINTS 6 /* 250, 500, 1000, 2000, 4000, 6000 Hz */
#define NEUROAMP_CHANNELS 11        /* 125 Hz to 8 kHz, the compressor's channels */
#define NEUROAMP_BUCKETS 256        /* of a time histogram */

typedef struct neuroamp neuroamp;

typedef enum neuroamp_status {
    NEUROAMP_OK = 0,
    NEUROAMP_BAD_ARGUMENT,    /* a null pointer, or memory that is not aligned */
    NEUROAMP_NOT_A_MODEL,     /* the magic number is wrong or the file is cut short */
    NEUROAMP_WRONG_VERSION,   /* another format version than this core reads */
    NEUROAMP_DAMAGED_MODEL,   /* the CRC-32 is wrong */
    NEUROAMP_BAD_MODEL,       /* a section is missing, out of bounds or contradicts another */
    NEUROAMP_TOO_LITTLE_MEMORY,
    NEUROAMP_WRONG_EAR,       /* the fitting is for the other ear */
    NEUROAMP_BAD_FITTING,     /* a value is not a number or out of its range */
    NEUROAMP_NOT_SUPPORTED,   /* this processor lacks that kernel, or the model is packed for another */
    NEUROAMP_BAD_CALIBRATION  /* a value is not a number or out of its range */
} neuroamp_status;

typedef enum neuroamp_ear { NEUROAMP_LEFT = 1, NEUROAMP_RIGHT = 2 } neuroamp_ear;

/* One ear's fitting; ranges as in neuroamp/fitting.py, checked by the core. */
typedef struct neuroamp_fitting {
    int32_t ear;                                       /* neuroamp_ear */
    float thresholds_db_hl[NEUROAMP_AUDIOGRAM_POINTS]; /* -10 .. 120 */
    float gain_65_db[NEUROAMP_CHANNELS];               /* insertion gain at 65 dB SPL, 0 .. 70 */
    float compression_ratio[NEUROAMP_CHANNELS];        /* 1 .. 4 */
    float knee_db_spl;                                 /* 20 .. 80 */
    float attack_s;                                    /* 0.001 .. 0.1, ANSI S3.22 */
    float release_s;                                   /* 0.01 .. 3 */
    float mpo_db_spl;                                  /* maximum power output, 60 .. 120 */
    float noise_reduction;                             /* 0 .. 1, share of steadying and net */
} neuroamp_fitting;

/* What converts between sound and numbers at one ear; apart from any fitting. Full scale is a
 * digital 1.0. */
typedef struct neuroamp_calibration {
    int32_t ear;           /* neuroamp_ear */
    float microphone_pa;   /* pascals that read as full scale, 0.19 .. 640 (80 .. 150 dB SPL) */
    float receiver_per_pa; /* full scales that give one pascal, 1/640 .. 1/0.19 */
    float ceiling_db_spl;  /* the device's own limit, dB SPL of a sine, 60 .. 120 */
} neuroamp_calibration;

/* The numbers of a model's profile that a caller needs. */
typedef struct neuroamp_info {
    uint32_t sample_rate_hz;
    uint32_t hop;           /* samples from one frame to the next */
    uint32_t hops_per_step; /* frames from one net step to the next */
    uint32_t delay_samples; /* of the output against the input, exactly */
    uint32_t bins;          /* 0 Hz to half the sample rate */
    uint32_t features;      /* length of the net's spectral input and of its output */
    uint32_t has_net;       /* 0: the file has no net, the chain amplifies by the fitting alone */
} neuroamp_info;

/* What happened since the chain was made or reset. */
typedef struct neuroamp_counts {
    uint64_t steps;              /* gain computations */
    uint64_t missed_steps;       /* of these, without the net although there is one */
    uint64_t non_finite_samples; /* NaN or infinite input samples, taken as silence */
} neuroamp_counts;

typedef enum neuroamp_stage {
    NEUROAMP_ANALYSIS,
    NEUROAMP_GAINS, /* levels, compression, the net, gains per bin */
    NEUROAMP_NET,
    NEUROAMP_SYNTHESIS,
    NEUROAMP_LIMITER,
    NEUROAMP_FRAME, /* all of the above, one hop */
    NEUROAMP_STAGES
} neuroamp_stage;

/* Times of one stage in ticks of the caller's clock. Bucket b of the histogram counts times from
 * `neuroamp_bucket_start(b)` up to the start of the next: exact below 8 ticks, then eight buckets
 * an octave; the last takes all that is longer. */
typedef struct neuroamp_times {
    uint64_t count;
    uint64_t total;
    uint64_t max;
    uint64_t deadline_misses; /* times above the deadline given to neuroamp_set_clock */
    uint32_t histogram[NEUROAMP_BUCKETS];
} neuroamp_times;

/* A clock: monotonic ticks of any unit. */
typedef uint64_t (*neuroamp_clock)(void *context);

/* A net from outside the core: one step from `features` to `output`, which may be the same array,
 * as many values as neuroamp_info counts, for a listener of these thresholds in dB HL
 * [NEUROAMP_AUDIOGRAM_POINTS]. Returns 0 if it has no output in time. */
typedef int (*neuroamp_net)(void *context, const float *thresholds_db_hl, const float *features,
                            float *output);

/* How the net's matrices are multiplied. All give the same bits. */
typedef enum neuroamp_kernel {
    NEUROAMP_PLAIN, /* portable C, the reference */
    NEUROAMP_AVX2,
    NEUROAMP_AVX_VNNI,
    NEUROAMP_AVX512_VNNI,
    NEUROAMP_NEON,
    NEUROAMP_NEON_DOT,
    NEUROAMP_DSP,    /* Cortex-M with the DSP extension: M4F, M7, M33 */
    NEUROAMP_HELIUM, /* Cortex-M55 */
    NEUROAMP_KERNELS
} neuroamp_kernel;

/* What a status means, as half a sentence for people. */
NEUROAMP_API const char *neuroamp_status_text(neuroamp_status status);

/* Checks a model file in full (CRC-32, every bound and range); `info` may be null. */
NEUROAMP_API neuroamp_status neuroamp_check_model(const void *model, size_t model_bytes,
                                                  neuroamp_info *info);

/* Bytes of memory a chain of this model needs; 0 if the model is refused. */
NEUROAMP_API size_t neuroamp_size(const void *model, size_t model_bytes);

/* Builds a chain at rest for one ear in the caller's memory and points `chain` at it. */
NEUROAMP_API neuroamp_status neuroamp_init(void *memory, size_t memory_bytes, const void *model,
                                           size_t model_bytes, neuroamp_ear ear,
                                           const neuroamp_fitting *fitting, neuroamp **chain);

/* Whether a chain of this ear takes the fitting: OK, WRONG_EAR or BAD_FITTING. */
NEUROAMP_API neuroamp_status neuroamp_check_fitting(neuroamp_ear ear,
                                                    const neuroamp_fitting *fitting);

/* Takes another fitting: its limit at once, its gains from the next step on, with no break in the
 * sound. A refused fitting leaves the chain as it was. */
NEUROAMP_API neuroamp_status neuroamp_set_fitting(neuroamp *chain,
                                                  const neuroamp_fitting *fitting);

/* The next `samples` for the receiver, as many as came from the microphone, in pascals; any
 * count, and `out` may be `in`. No output sample ever exceeds the ceiling of the limiter. */
NEUROAMP_API void neuroamp_process(neuroamp *chain, const float *in, float *out, size_t samples);

/* For a caller that always processes whole hops (an audio device with blocks of them): with 1, a
 * hop's output is given back in the call that brought the hop, and `delay_samples` is one hop
 * less. A call of another length ends it for good. For a chain at rest. */
NEUROAMP_API void neuroamp_use_whole_hops(neuroamp *chain, int enabled);

/* With 0, the net's steps count as missed: its last gains fade to the fitting's own. This is
 * what a loop does that is late; with 1 the net goes on. */
NEUROAMP_API void neuroamp_enable_net(neuroamp *chain, int enabled);

/* From now on `net` makes the steps, in place of the model's own net if it has one (null: that one
 * again). A step without output or with one that is not finite counts as missed. */
NEUROAMP_API void neuroamp_set_net(neuroamp *chain, neuroamp_net net, void *context);

/* Forgets all that was heard, and the statistics; the fitting, kernel and clock stay. */
NEUROAMP_API void neuroamp_reset(neuroamp *chain);

/* One step of the net alone: `features` in and out, as neuroamp_info counts them, with the
 * states kept inside. For comparing engines; does nothing where there is no net. */
NEUROAMP_API void neuroamp_step_net(neuroamp *chain, const float *features, float *output);

/* Gain of the last step, dB, one per bin. */
NEUROAMP_API void neuroamp_insertion_gain_db(const neuroamp *chain, float *gain_db);

/* Chooses a kernel; `neuroamp_init` has chosen the fastest that this processor has. */
NEUROAMP_API neuroamp_status neuroamp_use_kernel(neuroamp *chain, neuroamp_kernel kernel);

/* The kernel in use. */
NEUROAMP_API neuroamp_kernel neuroamp_kernel_in_use(const neuroamp *chain);

/* Times every stage from now on by `clock` (null: no more). A frame longer than `deadline`
 * ticks counts as a miss. */
NEUROAMP_API void neuroamp_set_clock(neuroamp *chain, neuroamp_clock clock, void *context,
                                     uint64_t deadline);

/* The counts so far. */
NEUROAMP_API neuroamp_counts neuroamp_get_counts(const neuroamp *chain);

/* The times so far of one stage; null if there is no such stage. */
NEUROAMP_API const neuroamp_times *neuroamp_get_times(const neuroamp *chain,
                                                      neuroamp_stage stage);

/* Ticks that the share `fraction` (0..1) of the times did not exceed, to the histogram's
 * resolution of an eighth of an octave, rounded up; never above the longest time. */
NEUROAMP_API uint64_t neuroamp_percentile(const neuroamp_times *times, double fraction);

/* First tick of a bucket of the histogram. */
NEUROAMP_API uint64_t neuroamp_bucket_start(unsigned bucket);

#ifdef __cplusplus
}
#endif

#endif
