/* What a device remembers: fittings, calibration, the choice of a model slot; in flash or anything
 * that is erased in units and programmed piece by piece.
 *
 * Two stores, each in two slots (docs/serial-protocol.md, "Settings memory"). A write goes to the
 * older slot and counts only when its last byte is there, so that a power cut leaves the old
 * settings or the new ones, whole. Fittings and calibration are never written together.
 */
#ifndef NEUROAMP_SETTINGS_H
#define NEUROAMP_SETTINGS_H

#include "neuroamp/neuroamp.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NEUROAMP_FITTING_RECORD_BYTES 296
#define NEUROAMP_CALIBRATION_RECORD_BYTES 48

/* The model slot of a device where none was chosen: its first. */
#define NEUROAMP_FIRST_MODEL_SLOT 0

/* A memory; addresses count from its start. Erased bytes may read as anything. Every function
 * returns 0 if it failed. */
typedef struct neuroamp_flash {
    void *context;
    uint32_t unit_bytes; /* what is erased at a time, a multiple of 16 */
    int (*read)(void *context, uint32_t address, uint8_t *bytes, size_t count);
    int (*erase)(void *context, uint32_t address); /* of the first byte of a unit */
    /* 16 bytes at a multiple of 16, once after each erase. */
    int (*program)(void *context, uint32_t address, const uint8_t *bytes, size_t count);
} neuroamp_flash;

typedef enum neuroamp_store_name { NEUROAMP_FITTINGS, NEUROAMP_CALIBRATION } neuroamp_store_name;

/* Where a store is and which slot counts; for settings.c alone. */
typedef struct neuroamp_store {
    uint32_t address[2];
    uint32_t number;  /* of the slot that counts */
    uint8_t current;  /* 0 or 1; 2: neither is whole */
    uint8_t damaged;  /* 1: a slot that is neither whole nor erased was found at the start */
} neuroamp_store;

typedef struct neuroamp_settings {
    const neuroamp_flash *flash;
    neuroamp_store stores[2];
} neuroamp_settings;

/* Bytes of memory that settings take in units of `unit_bytes`. */
NEUROAMP_API size_t neuroamp_settings_bytes(uint32_t unit_bytes);

/* Finds what is stored. A memory that was never written is one where nothing is stored. */
NEUROAMP_API void neuroamp_settings_open(neuroamp_settings *settings, const neuroamp_flash *flash);

/* The stored fitting record of an ear; 0 if there is none that is whole and in its ranges. */
NEUROAMP_API int neuroamp_settings_fitting(const neuroamp_settings *settings, neuroamp_ear ear,
                                           uint8_t record[NEUROAMP_FITTING_RECORD_BYTES]);

/* The stored calibration record of an ear; 0 if there is none. */
NEUROAMP_API int neuroamp_settings_calibration(const neuroamp_settings *settings, neuroamp_ear ear,
                                               uint8_t record[NEUROAMP_CALIBRATION_RECORD_BYTES]);

/* The model slot that was chosen, 0 or 1. */
NEUROAMP_API unsigned neuroamp_settings_model_slot(const neuroamp_settings *settings);

/* Stores the fitting records of one ear or both in one write; null leaves an ear's as it is. 0 if
 * the memory did not take them: what was stored is then still there. */
NEUROAMP_API int neuroamp_settings_store_fittings(neuroamp_settings *settings, const uint8_t *left,
                                                  const uint8_t *right);

/* Stores the calibration record of an ear; 0 as above. */
NEUROAMP_API int neuroamp_settings_store_calibration(neuroamp_settings *settings, neuroamp_ear ear,
                                                     const uint8_t *record);

/* Stores the choice of a model slot; 0 as above. */
NEUROAMP_API int neuroamp_settings_store_model_slot(neuroamp_settings *settings, unsigned slot);

/* Forgets the fittings and the choice of a model slot, or the calibration; 0 as above. */
NEUROAMP_API int neuroamp_settings_forget(neuroamp_settings *settings, neuroamp_store_name store);

/* The fitting of a record that is whole and in its ranges; NEUROAMP_BAD_FITTING if it is not. */
NEUROAMP_API neuroamp_status neuroamp_read_fitting(const uint8_t *record,
                                                   neuroamp_fitting *fitting);

/* The calibration of a record; NEUROAMP_BAD_FITTING if it is not whole or out of its ranges. */
NEUROAMP_API neuroamp_status neuroamp_read_calibration(const uint8_t *record,
                                                       neuroamp_calibration *calibration);

/* What an ear plays by that has no fitting: no gain, and a limit of 80 dB SPL. */
NEUROAMP_API neuroamp_fitting neuroamp_unfitted(neuroamp_ear ear);

#ifdef __cplusplus
}
#endif

#endif
