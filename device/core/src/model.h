/* The model file: found sections, each within the file and of the size the others imply.
 *
 * Little-endian. A header of 64 bytes, a table of sections, the sections, each aligned to 64:
 *
 *     offset  bytes  header
 *      0       8     magic "NeuroAMP"
 *      8       4     format version, 1
 *     12       4     length of the whole file
 *     16       4     CRC-32 (IEEE 802.3) of everything from offset 20
 *     20       4     number of sections, at most 64
 *     24      32     SHA-256 of everything from offset 64; names the model, checked on the host
 *     56       8     zero
 *     64      12     per section: identifier, offset, length
 */
#ifndef NA_MODEL_H
#define NA_MODEL_H

#include "neuroamp/neuroamp.h"

#define NA_FORMAT_VERSION 1
#define NA_MAX_LAYERS 4
/* With it no accumulator of int8 times int16 overflows 32 bits: 480 * 128 * 32768 < 2^31. */
#define NA_MAX_COLUMNS 480
#define NA_MAX_ROWS 1920
/* Table of an activation: 1024 intervals from -8 to 8, both ends included. */
#define NA_ACTIVATION_POINTS 1025

/* How the net's matrices stand in the file. The packed layouts are for one kernel each, and are
 * written by `neuroamp export --target` alone; neuroamp_export/packing.py describes them too.
 *
 * NA_ROWS: row after row. Gates' rows go gate by gate: all input gates, all forget gates, ...
 *
 * NA_PAIRS, for the DSP extension: rows r, r + 1, r + 2, r + 3 in words of two columns, for every
 * four columns c the words (r, c), (r + 1, c), (r, c + 2), (r + 1, c + 2). Such a word holds the
 * half-words 256 * weight(r, c) + weight(r + 2, c) and the same of column c + 1. Gates' rows go
 * unit by unit. Multipliers are doubled.
 *
 * NA_TILES, for Helium: [rows / 4][columns / 16][4][16]. Gates' rows go by eight units: per gate
 * units 0, 2, 4, 6 and then 1, 3, 5, 7. Row sums are times 128. */
typedef enum na_layout { NA_ROWS = 0, NA_PAIRS = 1, NA_TILES = 2 } na_layout;

typedef enum na_feature_kind { NA_BAND_LEVEL = 0, NA_LOG_MAGNITUDE = 1 } na_feature_kind;

/* Section PROFILE as it stands in the file. Features and output are of one kind: a net hears band
 * levels and gives band gains, or hears log magnitudes and gives log magnitudes. */
typedef struct na_profile {
    uint32_t sample_rate_hz;
    uint32_t frame_length;
    uint32_t hop;
    uint32_t synthesis_length;
    uint32_t hops_per_step;
    uint32_t features; /* na_feature_kind */
    uint32_t bands;    /* of the net, or with NA_LOG_MAGNITUDE of its gains: 0 for one a bin */
    float gain_min_db;
    float gain_max_db;
    float level_reference_pa;
} na_profile;

/* Section NET as it stands in the file; no layers: the file has no net. */
typedef struct na_net_shape {
    uint32_t layers;
    uint32_t audiogram_units;
    uint32_t widths[NA_MAX_LAYERS];
} na_net_shape;

/* Triangular weights in two numbers a bin: `upper` of a bin's power belongs to band index + 1, the
 * rest to band index. */
typedef struct na_triangles {
    uint32_t bands;
    const uint16_t *index;
    const float *upper;
} na_triangles;

/* An int8 matrix with one scale a row. Rows are padded to a multiple of 4, columns to one of 32;
 * `columns` is the padded count. */
typedef struct na_matrix {
    uint32_t rows;
    uint32_t padded_rows;
    uint32_t columns;
    const int8_t *weights;      /* padded_rows * columns, in the model's layout */
    const int32_t *multipliers; /* [padded_rows]: sum to Q14 by (sum * multiplier) / 2^31 */
    const int32_t *row_sums;    /* [padded_rows] of the weights */
    const int32_t *bias;        /* [padded_rows] in Q14; null where another matrix has it */
} na_matrix;

typedef struct na_model {
    na_profile profile;
    na_net_shape shape;
    na_layout layout;
    uint32_t bins;
    uint32_t features;             /* length of the net's spectral input and of its output */
    const float *analysis_window;  /* [frame_length] */
    const float *synthesis_window; /* [synthesis_length] */
    const float *cosine;           /* [3/4 frame_length] */
    const float *sine;
    const float *power_scale;      /* [bins]: |X|^2 to mean square pressure */
    na_triangles bands;            /* the net's, or of its gains; none where these are a bin's */
    na_triangles channels;         /* the compressor's */
    const float *speech_db_spl;    /* [channels]: tracked level of speech at 65 dB SPL */
    const int16_t *sigmoid;        /* [NA_ACTIVATION_POINTS], Q15 */
    const int16_t *tanh;
    const int16_t *forgetting;     /* root of one minus the sigmoid, over twice the range */
    na_matrix audiogram; /* audiogram to listener units */
    na_matrix listener;  /* listener units to the first layer's gates */
    na_matrix input[NA_MAX_LAYERS];
    na_matrix recurrent[NA_MAX_LAYERS];
    na_matrix output;
} na_model;

/* Reads and checks a whole file; `model` points into `data` afterwards. Whatever the bytes are,
 * nothing outside of them is read, and a model that passes cannot make the chain read or write
 * out of bounds or overflow an integer. */
neuroamp_status na_model_read(const uint8_t *data, size_t bytes, na_model *model);

#endif
