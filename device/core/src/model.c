#include "model.h"

#include "bytes.h"
#include "crc32.h"
#include "fft.h"

#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the model file is little-endian and read in place"
#endif

enum {
    HEADER_BYTES = 64,
    ENTRY_BYTES = 12,
    CRC_FROM = 20,
    MAX_SECTIONS = 64
};

enum {
    SECTION_PROFILE = 2,
    SECTION_NET = 3,
    SECTION_LAYOUT = 4, /* absent: NA_ROWS */
    SECTION_ANALYSIS_WINDOW = 16,
    SECTION_SYNTHESIS_WINDOW,
    SECTION_COSINE,
    SECTION_SINE,
    SECTION_POWER_SCALE,
    SECTION_BAND_INDEX,
    SECTION_BAND_UPPER,
    SECTION_CHANNEL_INDEX,
    SECTION_CHANNEL_UPPER,
    SECTION_SPEECH,
    SECTION_SIGMOID,
    SECTION_TANH,
    SECTION_FORGETTING,
    /* A matrix's sections are its slot plus one of the four parts. */
    SLOT_AUDIOGRAM = 0x100,
    SLOT_LISTENER = 0x200,
    SLOT_OUTPUT = 0x300,
    SLOT_INPUT = 0x400, /* of layer 0; 0x200 further for every next layer */
    SLOT_RECURRENT = 0x500,
    SLOTS_PER_LAYER = 0x200,
    PART_WEIGHTS = 0,
    PART_MULTIPLIERS,
    PART_ROW_SUMS,
    PART_BIAS
};

/* Bounds with which (a * multiplier) / 2^31 of three sums and a bias cannot overflow 32 bits. */
#define MAX_MULTIPLIER (1 << 29)
#define MAX_BIAS (1 << 29)

typedef struct file {
    const uint8_t *data;
    uint32_t sections;
    na_layout layout;
    int is_sound; /* cleared by whatever is missing or out of range */
} file;

static void require(file *f, int condition) {
    if (!condition) {
        f->is_sound = 0;
    }
}

/* Where a section of exactly `bytes` lies; null, and the file is not sound, if there is none. */
static const void *section(file *f, uint32_t identifier, size_t bytes) {
    const uint32_t file_bytes = na_read_u32(f->data + 12);
    for (uint32_t i = 0; i < f->sections; i++) {
        const uint8_t *entry = f->data + HEADER_BYTES + (size_t)i * ENTRY_BYTES;
        if (na_read_u32(entry) != identifier) {
            continue;
        }
        const uint32_t offset = na_read_u32(entry + 4), length = na_read_u32(entry + 8);
        if (length == bytes && offset % NEUROAMP_ALIGNMENT == 0 && offset <= file_bytes &&
            length <= file_bytes - offset) {
            return f->data + offset;
        }
        break;
    }
    f->is_sound = 0;
    return NULL;
}

/* The layout of the matrices; a file without the section has plain ones. */
static na_layout read_layout(file *f) {
    for (uint32_t i = 0; i < f->sections; i++) {
        if (na_read_u32(f->data + HEADER_BYTES + (size_t)i * ENTRY_BYTES) == SECTION_LAYOUT) {
            const uint32_t *stored = section(f, SECTION_LAYOUT, sizeof(uint32_t));
            require(f, stored != NULL && *stored <= NA_TILES);
            return f->is_sound ? (na_layout)*stored : NA_ROWS;
        }
    }
    return NA_ROWS;
}

/* A section of floats, all finite and within a range. */
static const float *floats(file *f, uint32_t identifier, size_t count, float low, float high) {
    const float *values = section(f, identifier, count * sizeof(float));
    for (size_t i = 0; values != NULL && i < count; i++) {
        require(f, values[i] >= low && values[i] <= high); /* false for a NaN */
    }
    return values;
}

static const int32_t *integers(file *f, uint32_t identifier, size_t count, int32_t low,
                               int32_t high) {
    const int32_t *values = section(f, identifier, count * sizeof(int32_t));
    for (size_t i = 0; values != NULL && i < count; i++) {
        require(f, values[i] >= low && values[i] <= high);
    }
    return values;
}

/* A table of an activation in Q15; -32768 is not allowed, so that no product of two overflows. */
static const int16_t *activation(file *f, uint32_t identifier) {
    const int16_t *values = section(f, identifier, NA_ACTIVATION_POINTS * sizeof(int16_t));
    for (size_t i = 0; values != NULL && i < NA_ACTIVATION_POINTS; i++) {
        require(f, values[i] > INT16_MIN);
    }
    if (values != NULL && f->layout == NA_TILES) {
        /* That kernel lets the fraction run on where the argument saturates. */
        require(f, values[0] == values[1]);
        require(f, values[NA_ACTIVATION_POINTS - 2] == values[NA_ACTIVATION_POINTS - 1]);
    }
    return values;
}

static na_triangles triangles(file *f, uint32_t index_section, uint32_t bins, uint32_t bands) {
    na_triangles found = {bands, NULL, NULL};
    found.index = section(f, index_section, bins * sizeof(uint16_t));
    for (size_t i = 0; found.index != NULL && i < bins; i++) {
        require(f, found.index[i] + 1u < bands);
    }
    found.upper = floats(f, index_section + 1, bins, 0.0f, 1.0f);
    return found;
}

/* One weight of a packed or plain matrix. */
static int32_t weight(const file *f, const na_matrix *matrix, size_t row, size_t column) {
    const int8_t *weights = matrix->weights;
    const size_t quad = row / 4 * 4 * matrix->columns;
    switch (f->layout) {
    case NA_PAIRS: {
        /* Bytes of the half-word 256 * upper + lower; a negative lower borrows from the upper. */
        const size_t half = quad / 2 + column / 4 * 8 + (column / 2 % 2) * 4 + row % 2 * 2 + column % 2;
        const int32_t lower = weights[2 * half];
        return row % 4 < 2 ? weights[2 * half + 1] + (lower < 0) : lower;
    }
    case NA_TILES:
        return weights[quad + column / 16 * 64 + row % 4 * 16 + column % 16];
    default:
        return weights[row * matrix->columns + column];
    }
}

static na_matrix matrix(file *f, uint32_t slot, uint32_t rows, uint32_t columns, int has_bias) {
    na_matrix found = {0};
    found.rows = rows;
    found.padded_rows = (rows + 3) / 4 * 4;
    found.columns = (columns + 31) / 32 * 32;
    require(f, rows >= 1 && rows <= NA_MAX_ROWS && columns >= 1 && columns <= NA_MAX_COLUMNS);
    if (!f->is_sound) {
        return found;
    }
    const size_t count = found.padded_rows;
    found.weights = section(f, slot + PART_WEIGHTS, count * found.columns);
    const int32_t largest = f->layout == NA_PAIRS ? 2 * MAX_MULTIPLIER : MAX_MULTIPLIER;
    found.multipliers = integers(f, slot + PART_MULTIPLIERS, count, 0, largest);
    found.row_sums = section(f, slot + PART_ROW_SUMS, count * sizeof(int32_t));
    if (has_bias) {
        found.bias = integers(f, slot + PART_BIAS, count, -MAX_BIAS, MAX_BIAS);
    }
    for (size_t row = 0; f->is_sound && row < count; row++) {
        int32_t sum = 0;
        for (size_t column = 0; column < found.columns; column++) {
            sum += weight(f, &found, row, column);
        }
        require(f, found.row_sums[row] == (f->layout == NA_TILES ? 128 * sum : sum));
    }
    return found;
}

static int is_power_of_two(uint32_t n) { return n != 0 && (n & (n - 1)) == 0; }

static void read_profile(file *f, na_model *model) {
    const na_profile *stored = section(f, SECTION_PROFILE, sizeof(na_profile));
    if (stored == NULL) {
        return;
    }
    const na_profile p = *stored;
    model->profile = p;
    require(f, p.sample_rate_hz >= 8000 && p.sample_rate_hz <= 48000);
    require(f, p.frame_length >= 16 && p.frame_length <= 4096 && is_power_of_two(p.frame_length));
    require(f, p.hop >= 1 && p.hop <= p.frame_length / 2 && p.synthesis_length == 2 * p.hop);
    require(f, p.hops_per_step >= 1 && p.hops_per_step <= 16);
    require(f, p.features == NA_BAND_LEVEL || p.features == NA_LOG_MAGNITUDE);
    require(f, p.gain_min_db >= -60.0f && p.gain_min_db <= 0.0f);
    require(f, p.gain_max_db >= 0.0f && p.gain_max_db <= 20.0f);
    require(f, p.level_reference_pa >= 1e-6f && p.level_reference_pa <= 1.0f);
    model->bins = p.frame_length / 2 + 1;
    if (p.features == NA_BAND_LEVEL) {
        require(f, p.bands >= 4 && p.bands <= model->bins);
        model->features = p.bands;
    } else {
        require(f, p.bands == 0 || (p.bands >= 4 && p.bands <= model->bins / 2));
        model->features = model->bins;
    }
}

static void read_tables(file *f, na_model *model) {
    const na_profile *p = &model->profile;
    const size_t twiddles = na_fft_twiddles(p->frame_length);
    model->analysis_window = floats(f, SECTION_ANALYSIS_WINDOW, p->frame_length, -4.0f, 4.0f);
    model->synthesis_window =
        floats(f, SECTION_SYNTHESIS_WINDOW, p->synthesis_length, -1000.0f, 1000.0f);
    model->cosine = floats(f, SECTION_COSINE, twiddles, -1.0f, 1.0f);
    model->sine = floats(f, SECTION_SINE, twiddles, -1.0f, 1.0f);
    model->power_scale = floats(f, SECTION_POWER_SCALE, model->bins, 1e-12f, 1.0f);
    model->channels = triangles(f, SECTION_CHANNEL_INDEX, model->bins, NEUROAMP_CHANNELS);
    model->speech_db_spl = floats(f, SECTION_SPEECH, NEUROAMP_CHANNELS, -200.0f, 200.0f);
    if (p->bands > 0) {
        model->bands = triangles(f, SECTION_BAND_INDEX, model->bins, p->bands);
    }
}

static void read_net(file *f, na_model *model) {
    const na_net_shape *shape = section(f, SECTION_NET, sizeof(na_net_shape));
    if (shape == NULL) {
        return;
    }
    model->shape = *shape;
    if (shape->layers == 0) {
        return;
    }
    require(f, shape->layers <= NA_MAX_LAYERS);
    require(f, shape->audiogram_units >= 1 && shape->audiogram_units <= NA_MAX_COLUMNS);
    for (size_t i = 0; f->is_sound && i < shape->layers; i++) {
        require(f, shape->widths[i] >= 1 && shape->widths[i] <= NA_MAX_COLUMNS);
        require(f, f->layout != NA_TILES || shape->widths[i] % 8 == 0);
    }
    if (!f->is_sound) {
        return;
    }
    model->sigmoid = activation(f, SECTION_SIGMOID);
    model->tanh = activation(f, SECTION_TANH);
    model->forgetting = activation(f, SECTION_FORGETTING);
    model->audiogram =
        matrix(f, SLOT_AUDIOGRAM, shape->audiogram_units, NEUROAMP_AUDIOGRAM_POINTS, 1);
    model->listener = matrix(f, SLOT_LISTENER, 4 * shape->widths[0], shape->audiogram_units, 0);
    uint32_t columns = model->features;
    for (uint32_t i = 0; i < shape->layers; i++) {
        const uint32_t width = shape->widths[i], next = i * SLOTS_PER_LAYER;
        model->input[i] = matrix(f, SLOT_INPUT + next, 4 * width, columns, 1);
        model->recurrent[i] = matrix(f, SLOT_RECURRENT + next, 4 * width, width, 0);
        columns = width;
    }
    model->output = matrix(f, SLOT_OUTPUT, model->features, columns, 1);
}

neuroamp_status na_model_read(const uint8_t *data, size_t bytes, na_model *model) {
    memset(model, 0, sizeof *model);
    if (data == NULL || (uintptr_t)data % NEUROAMP_ALIGNMENT != 0) {
        return NEUROAMP_BAD_ARGUMENT;
    }
    if (bytes < HEADER_BYTES || memcmp(data, "NeuroAMP", 8) != 0) {
        return NEUROAMP_NOT_A_MODEL;
    }
    if (na_read_u32(data + 8) != NA_FORMAT_VERSION) {
        return NEUROAMP_WRONG_VERSION;
    }
    const uint32_t file_bytes = na_read_u32(data + 12);
    if (file_bytes < HEADER_BYTES || file_bytes > bytes) {
        return NEUROAMP_NOT_A_MODEL;
    }
    if (na_read_u32(data + 16) != na_crc32(0, data + CRC_FROM, file_bytes - CRC_FROM)) {
        return NEUROAMP_DAMAGED_MODEL;
    }
    file f = {data, na_read_u32(data + 20), NA_ROWS, 1};
    if (f.sections > MAX_SECTIONS || f.sections > (file_bytes - HEADER_BYTES) / ENTRY_BYTES) {
        return NEUROAMP_BAD_MODEL;
    }
    read_profile(&f, model);
    model->layout = f.layout = read_layout(&f);
    if (f.is_sound) {
        read_tables(&f, model);
    }
    if (f.is_sound) {
        read_net(&f, model);
    }
    return f.is_sound ? NEUROAMP_OK : NEUROAMP_BAD_MODEL;
}
