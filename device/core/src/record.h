/* Records of docs/serial-protocol.md: fittings and calibrations as bytes, checked field by field. */
#ifndef NA_RECORD_H
#define NA_RECORD_H

#include "fitting.h"
#include "neuroamp/settings.h"

typedef enum na_record_state {
    NA_RECORD_SOUND,
    NA_RECORD_BAD_CRC,
    NA_RECORD_BAD_VALUE /* the fault says which */
} na_record_state;

na_record_state na_check_fitting(const uint8_t *record, na_fault *fault);
na_record_state na_check_calibration(const uint8_t *record, na_fault *fault);

/* Of a fitting record that was checked. */
void na_decode_fitting(const uint8_t *record, neuroamp_fitting *fitting);
unsigned na_record_program(const uint8_t *record);
uint32_t na_record_crc(const uint8_t *record);

/* The ear that a record of either kind says it is of; not checked. */
unsigned na_record_ear(const uint8_t *record);

#endif
