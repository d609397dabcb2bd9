#include "record.h"

#include "bytes.h"
#include "crc32.h"
#include "elementary.h"
#include "limiter.h"

#define REFERENCE_PA 20e-6f

enum {
    FORMAT = 1,
    PROGRAMS = 3,
    RULE_AT = 16,
    RULE_BYTES = 40,
    NAME_AT = 56,
    NAME_BYTES = 24,
    FLOATS_AT = 80,
    POINTS_AT = 212,
    POINTS = 16,
    POINT_BYTES = 5,
    FITTING_CRC_AT = NEUROAMP_FITTING_RECORD_BYTES - 4,
    BY_AT = 28,
    BY_BYTES = 16,
    CALIBRATION_CRC_AT = NEUROAMP_CALIBRATION_RECORD_BYTES - 4,
    MEASURED = 0,
    NOT_MEASURED = 2
};

/* Fields by their numbers in docs/serial-protocol.md. */
enum {
    FIELD_FORMAT = 1,
    FIELD_EAR,
    FIELD_PROGRAM,
    FIELD_POINTS,
    FIELD_TIME,
    FIELD_RULE,
    FIELD_NAME,
    FIELD_AUDIOGRAM = 16,
    FIELD_CALIBRATION_FORMAT = 48,
    FIELD_CALIBRATION_EAR,
    FIELD_CALIBRATION_ZERO,
    FIELD_MICROPHONE,
    FIELD_RECEIVER,
    FIELD_CEILING,
    FIELD_CALIBRATION_TIME,
    FIELD_CALIBRATION_BY
};

/* Keeps the first fault. */
static void require(na_fault *fault, int is_right, unsigned field, size_t index) {
    if (!is_right && fault->field == 0) {
        fault->field = (uint8_t)field;
        fault->index = (uint8_t)index;
    }
}

static int is_ear(uint8_t ear) { return ear == NEUROAMP_LEFT || ear == NEUROAMP_RIGHT; }

/* Seconds from 0 to 2^53: a whole number in any language. */
static int is_time(const uint8_t *at) {
    const uint32_t low = na_read_u32(at), high = na_read_u32(at + 4);
    return high < 0x200000u || (high == 0x200000u && low == 0);
}

/* Printable ASCII, then zeros to the end. */
static void check_text(na_fault *fault, const uint8_t *text, size_t bytes, unsigned field) {
    int has_ended = 0;
    for (size_t i = 0; i < bytes; i++) {
        has_ended |= text[i] == 0;
        require(fault, has_ended ? text[i] == 0 : text[i] >= 0x20 && text[i] <= 0x7e, field, i);
    }
}

static void check_audiogram(na_fault *fault, const uint8_t *record) {
    const size_t count = record[3];
    size_t measured = 0;
    uint16_t before_hz = 124;
    for (size_t i = 0; i < POINTS; i++) {
        const uint8_t *point = record + POINTS_AT + i * POINT_BYTES;
        const uint16_t hz = na_read_u16(point);
        const int16_t level = (int16_t)na_read_u16(point + 2); /* hundredths of a dB HL */
        const uint8_t mark = point[4];
        if (i >= count) {
            require(fault, hz == 0 && level == 0 && mark == 0, FIELD_AUDIOGRAM, i);
            continue;
        }
        require(fault, hz > before_hz && hz <= 8000, FIELD_AUDIOGRAM, i);
        require(fault, level >= -1000 && level <= 12000 && mark <= NOT_MEASURED, FIELD_AUDIOGRAM,
                i);
        require(fault, mark != NOT_MEASURED || level == 0, FIELD_AUDIOGRAM, i);
        before_hz = hz;
        measured += mark != NOT_MEASURED;
    }
    require(fault, count == 0 || measured > 0, FIELD_AUDIOGRAM, 0);
}

unsigned na_record_ear(const uint8_t *record) { return record[1]; }

unsigned na_record_program(const uint8_t *record) { return record[2]; }

uint32_t na_record_crc(const uint8_t *record) { return na_read_u32(record + FITTING_CRC_AT); }

na_record_state na_check_fitting(const uint8_t *record, na_fault *fault) {
    *fault = (na_fault){0, 0};
    if (na_crc32(0, record, FITTING_CRC_AT) != na_record_crc(record)) {
        return NA_RECORD_BAD_CRC;
    }
    require(fault, record[0] == FORMAT, FIELD_FORMAT, 0);
    require(fault, is_ear(record[1]), FIELD_EAR, 0);
    require(fault, record[2] < PROGRAMS, FIELD_PROGRAM, 0);
    require(fault, record[3] <= POINTS, FIELD_POINTS, 0);
    require(fault, is_time(record + 8), FIELD_TIME, 0);
    check_text(fault, record + RULE_AT, RULE_BYTES, FIELD_RULE);
    check_text(fault, record + NAME_AT, NAME_BYTES, FIELD_NAME);
    neuroamp_fitting fitting;
    na_decode_fitting(record, &fitting);
    const na_fault value = na_find_fault(&fitting);
    require(fault, value.field == 0, value.field, value.index);
    check_audiogram(fault, record);
    return fault->field == 0 ? NA_RECORD_SOUND : NA_RECORD_BAD_VALUE;
}

void na_decode_fitting(const uint8_t *record, neuroamp_fitting *fitting) {
    const uint8_t *at = record + FLOATS_AT;
    fitting->ear = record[1];
    for (size_t i = 0; i < NEUROAMP_AUDIOGRAM_POINTS; i++, at += 4) {
        fitting->thresholds_db_hl[i] = na_read_f32(at);
    }
    for (size_t i = 0; i < NEUROAMP_CHANNELS; i++, at += 4) {
        fitting->gain_65_db[i] = na_read_f32(at);
    }
    for (size_t i = 0; i < NEUROAMP_CHANNELS; i++, at += 4) {
        fitting->compression_ratio[i] = na_read_f32(at);
    }
    fitting->knee_db_spl = na_read_f32(at);
    fitting->attack_s = na_read_f32(at + 4);
    fitting->release_s = na_read_f32(at + 8);
    fitting->mpo_db_spl = na_read_f32(at + 12);
    fitting->noise_reduction = na_read_f32(at + 16);
}

neuroamp_status neuroamp_read_fitting(const uint8_t *record, neuroamp_fitting *fitting) {
    na_fault fault;
    if (na_check_fitting(record, &fault) != NA_RECORD_SOUND) {
        return NEUROAMP_BAD_FITTING;
    }
    na_decode_fitting(record, fitting);
    return NEUROAMP_OK;
}

na_record_state na_check_calibration(const uint8_t *record, na_fault *fault) {
    *fault = (na_fault){0, 0};
    if (na_crc32(0, record, CALIBRATION_CRC_AT) != na_read_u32(record + CALIBRATION_CRC_AT)) {
        return NA_RECORD_BAD_CRC;
    }
    require(fault, record[0] == FORMAT, FIELD_CALIBRATION_FORMAT, 0);
    require(fault, is_ear(record[1]), FIELD_CALIBRATION_EAR, 0);
    require(fault, na_read_u16(record + 2) == 0, FIELD_CALIBRATION_ZERO, 0);
    require(fault, na_within(na_read_f32(record + 4), 80.0f, 150.0f), FIELD_MICROPHONE, 0);
    require(fault, na_within(na_read_f32(record + 8), 80.0f, 150.0f), FIELD_RECEIVER, 0);
    require(fault, na_within(na_read_f32(record + 12), NA_MPO_MIN_DB_SPL, NA_MPO_MAX_DB_SPL),
            FIELD_CEILING, 0);
    require(fault, is_time(record + 20), FIELD_CALIBRATION_TIME, 0);
    check_text(fault, record + BY_AT, BY_BYTES, FIELD_CALIBRATION_BY);
    return fault->field == 0 ? NA_RECORD_SOUND : NA_RECORD_BAD_VALUE;
}

neuroamp_status neuroamp_read_calibration(const uint8_t *record,
                                          neuroamp_calibration *calibration) {
    na_fault fault;
    if (na_check_calibration(record, &fault) != NA_RECORD_SOUND) {
        return NEUROAMP_BAD_FITTING;
    }
    calibration->ear = record[1];
    calibration->microphone_pa = REFERENCE_PA * na_factor_from_db(na_read_f32(record + 4));
    calibration->receiver_per_pa = na_factor_from_db(-na_read_f32(record + 8)) / REFERENCE_PA;
    calibration->ceiling_db_spl = na_read_f32(record + 12);
    return NEUROAMP_OK;
}

neuroamp_fitting neuroamp_unfitted(neuroamp_ear ear) {
    neuroamp_fitting fitting;
    memset(&fitting, 0, sizeof fitting);
    fitting.ear = (int32_t)ear;
    for (size_t i = 0; i < NEUROAMP_CHANNELS; i++) {
        fitting.compression_ratio[i] = 1.0f;
    }
    fitting.knee_db_spl = 50.0f;
    fitting.attack_s = 0.005f;
    fitting.release_s = 0.3f;
    fitting.mpo_db_spl = 80.0f;
    return fitting;
}
