/* The device of docs/serial-protocol.md's vectors for the link's C tests, on an emulated flash whose
 * power can go at any byte. */
#ifndef LINK_DOUBLE_H
#define LINK_DOUBLE_H

#include "neuroamp/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FLASH_UNIT = 256,
    FLASH_BYTES = 4096,
    FLASH_PIECE = 16,
    SLOT_BYTES = 1 << 16,
    REPLIES_BYTES = 1 << 12
};

static void fail(const char *message) {
    fprintf(stderr, "%s\n", message);
    abort();
}

/* --- A flash that forgets its power at a byte. --- */

typedef struct flash_memory {
    uint8_t bytes[FLASH_BYTES];
    uint8_t is_programmed[FLASH_BYTES];
    long budget;  /* bytes that can still be erased or programmed; negative: no end */
    long spent;   /* bytes that were */
    unsigned noise;
} flash_memory;

static int spend(flash_memory *flash) {
    if (flash->budget == 0) return 0;
    if (flash->budget > 0) flash->budget--;
    flash->spent++;
    return 1;
}

static uint8_t weak(flash_memory *flash) { /* what a byte holds that was cut in the middle */
    flash->noise = flash->noise * 1103515245u + 12345u;
    return (uint8_t)(flash->noise >> 16);
}

static int flash_read(void *context, uint32_t address, uint8_t *bytes, size_t count) {
    const flash_memory *flash = context;
    if (address > FLASH_BYTES || count > FLASH_BYTES - address) fail("read beyond the flash");
    memcpy(bytes, flash->bytes + address, count);
    return flash->budget != 0;
}

static int flash_erase(void *context, uint32_t address) {
    flash_memory *flash = context;
    if (address % FLASH_UNIT != 0 || address >= FLASH_BYTES) fail("erase of no unit");
    for (uint32_t i = address; i < address + FLASH_UNIT; i++) {
        if (!spend(flash)) {
            flash->bytes[i] |= weak(flash);
            return 0;
        }
        flash->bytes[i] = 0xff;
        flash->is_programmed[i] = 0;
    }
    return 1;
}

static int flash_program(void *context, uint32_t address, const uint8_t *bytes, size_t count) {
    flash_memory *flash = context;
    if (address % FLASH_PIECE != 0 || count != FLASH_PIECE || address > FLASH_BYTES - FLASH_PIECE) {
        fail("programming of no piece");
    }
    for (uint32_t i = 0; i < count; i++) {
        if (flash->is_programmed[address + i] || flash->bytes[address + i] != 0xff) {
            fail("a byte is programmed twice");
        }
        if (!spend(flash)) {
            flash->bytes[address + i] &= (uint8_t)(bytes[i] | weak(flash));
            return 0;
        }
        flash->bytes[address + i] = bytes[i];
        flash->is_programmed[address + i] = 1;
    }
    return 1;
}

static void flash_format(flash_memory *flash) {
    memset(flash, 0, sizeof *flash);
    memset(flash->bytes, 0xff, sizeof flash->bytes);
    flash->budget = -1;
}

static neuroamp_flash flash_driver(flash_memory *flash) {
    return (neuroamp_flash){flash, FLASH_UNIT, flash_read, flash_erase, flash_program};
}

/* --- The device. --- */

typedef struct ear_double {
    neuroamp_fitting fitting;
    float volume_db, ceiling_db_spl;
} ear_double;

typedef struct device_double {
    flash_memory flash;
    neuroamp_flash driver;
    neuroamp_settings settings;
    neuroamp_link_device device;
    _Alignas(NEUROAMP_ALIGNMENT) uint8_t memory[NEUROAMP_LINK_BYTES];
    neuroamp_link *link;
    uint32_t now_ms;
    ear_double left, right;
    neuroamp_output output;
    unsigned active_model;
    _Alignas(NEUROAMP_ALIGNMENT) uint8_t models[2][SLOT_BYTES];
    uint8_t replies[REPLIES_BYTES];
    size_t reply_bytes;
    unsigned long effects; /* calls that change what is heard or in a model's slot */
} device_double;

static ear_double *ear_of(device_double *d, neuroamp_ear ear) {
    if (ear != NEUROAMP_LEFT && ear != NEUROAMP_RIGHT) fail("no ear");
    return ear == NEUROAMP_LEFT ? &d->left : &d->right;
}

static void on_send(void *context, const uint8_t *bytes, size_t count) {
    device_double *d = context;
    if (count > NEUROAMP_LINK_FRAME_BYTES) fail("a frame is too long");
    if (count > sizeof d->replies - d->reply_bytes) d->reply_bytes = 0;
    memcpy(d->replies + d->reply_bytes, bytes, count);
    d->reply_bytes += count;
}

static uint32_t on_now_ms(void *context) { return ((device_double *)context)->now_ms; }

static int within(float value, float low, float high) { return value >= low && value <= high; }

static int on_set_fitting(void *context, const neuroamp_fitting *fitting) {
    device_double *d = context;
    if (!within(fitting->mpo_db_spl, 60.0f, 120.0f) ||
        !within(fitting->noise_reduction, 0.0f, 1.0f)) {
        fail("a fitting out of its ranges came through");
    }
    for (size_t i = 0; i < NEUROAMP_CHANNELS; i++) {
        if (!within(fitting->gain_65_db[i], 0.0f, 70.0f)) fail("a gain out of range came through");
    }
    ear_of(d, (neuroamp_ear)fitting->ear)->fitting = *fitting;
    d->effects++;
    return 1;
}

static int on_set_calibration(void *context, neuroamp_ear ear,
                              const neuroamp_calibration *calibration) {
    device_double *d = context;
    const float ceiling = calibration == NULL ? 85.0f : calibration->ceiling_db_spl;
    if (!within(ceiling, 60.0f, 120.0f)) fail("a ceiling out of range came through");
    ear_of(d, ear)->ceiling_db_spl = ceiling;
    d->effects++;
    return 1;
}

static void on_set_volume(void *context, neuroamp_ear ear, float volume_db) {
    device_double *d = context;
    if (!within(volume_db, -40.0f, 10.0f)) fail("a volume out of range came through");
    ear_of(d, ear)->volume_db = volume_db;
    d->effects++;
}

static void on_set_noise_reduction(void *context, neuroamp_ear ear, float strength) {
    device_double *d = context;
    if (!within(strength, 0.0f, 1.0f)) fail("a strength out of range came through");
    ear_of(d, ear)->fitting.noise_reduction = strength;
    d->effects++;
}

static void on_set_output(void *context, neuroamp_output output) {
    device_double *d = context;
    d->output = output;
    d->effects++;
}

static neuroamp_output on_get_output(void *context) {
    return ((device_double *)context)->output;
}

static void on_applied_gain_db(void *context, neuroamp_ear ear, float *gain_db) {
    const ear_double *found = ear_of(context, ear);
    for (size_t i = 0; i < NEUROAMP_CHANNELS; i++) {
        gain_db[i] = found->fitting.gain_65_db[i] + found->volume_db;
    }
}

static float on_ceiling_db_spl(void *context, neuroamp_ear ear) {
    return ear_of(context, ear)->ceiling_db_spl;
}

static void on_levels(void *context, neuroamp_ear ear, neuroamp_link_levels *levels) {
    ear_of(context, ear);
    *levels = (neuroamp_link_levels){61.5f, 78.25f, 90.5f};
}

static void on_counts(void *context, neuroamp_ear ear, neuroamp_link_counts *counts) {
    ear_of(context, ear);
    *counts = (neuroamp_link_counts){{123456789012, 42, 7}, 246913578024, 3};
}

static void on_times(void *context, neuroamp_ear ear, neuroamp_stage stage,
                     neuroamp_times *times) {
    ear_of(context, ear);
    if ((unsigned)stage >= NEUROAMP_STAGES) fail("no stage");
    times->count = 1000;
    times->total = 250000000;
    times->max = 900000;
    times->deadline_misses = 3;
    times->histogram[0] = 1;
    times->histogram[100] = 990;
    times->histogram[255] = 9;
}

static unsigned on_active_model(void *context) {
    return ((device_double *)context)->active_model;
}

static const uint8_t *on_model(void *context, unsigned slot, uint32_t *bytes) {
    device_double *d = context;
    if (slot > 1) fail("no slot");
    *bytes = d->device.model_slot_bytes;
    return d->models[slot];
}

static int on_write_model(void *context, unsigned slot, uint32_t offset, const uint8_t *bytes,
                          size_t count) {
    device_double *d = context;
    if (slot > 1 || slot == d->active_model || offset > SLOT_BYTES || count > SLOT_BYTES - offset) {
        fail("a model is written where it must not be");
    }
    memcpy(d->models[slot] + offset, bytes, count);
    d->effects++;
    return 1;
}

static neuroamp_link_activation on_activate_model(void *context, unsigned slot) {
    device_double *d = context;
    if (neuroamp_check_model(d->models[slot], SLOT_BYTES, NULL) != NEUROAMP_OK) {
        fail("a model that is not whole was made active");
    }
    d->effects++;
    return NEUROAMP_LINK_AT_NEXT_START;
}

/* The device starts: with what its flash holds, uncalibrated until it is told otherwise. */
static void double_start(device_double *d, uint32_t model_slot_bytes) {
    const neuroamp_link_device device = {
        .context = d,
        .serial = "NA-0001",
        .name = "bench device",
        .firmware = "1.2.3",
        .profile = "wear",
        .sample_rate_hz = 16000,
        .hop = 32,
        .delay_samples = 64,
        .ears = NEUROAMP_LEFT | NEUROAMP_RIGHT,
        .has_net = 1,
        .keeps_settings = 1,
        .start_cause = 0,
        .ticks_per_second = 1000000000,
        .model_slot_bytes = model_slot_bytes,
        .send = on_send,
        .now_ms = on_now_ms,
        .set_fitting = on_set_fitting,
        .set_calibration = on_set_calibration,
        .set_volume = on_set_volume,
        .set_noise_reduction = on_set_noise_reduction,
        .set_output = on_set_output,
        .get_output = on_get_output,
        .applied_gain_db = on_applied_gain_db,
        .ceiling_db_spl = on_ceiling_db_spl,
        .levels = on_levels,
        .counts = on_counts,
        .times = on_times,
        .active_model = on_active_model,
        .model = on_model,
        .write_model = on_write_model,
        .activate_model = on_activate_model,
    };
    d->device = device;
    d->driver = flash_driver(&d->flash);
    d->now_ms = 0;
    d->output = NEUROAMP_SOUNDING;
    d->left.volume_db = d->right.volume_db = 0.0f;
    d->reply_bytes = 0;
    neuroamp_settings_open(&d->settings, &d->driver);
    memset(d->memory, 0xa5, sizeof d->memory);
    if (neuroamp_link_init(d->memory, sizeof d->memory, &d->device, &d->settings, &d->link) !=
        NEUROAMP_OK) {
        fail("the link does not start");
    }
}

/* A device out of its box. */
static device_double *double_new(uint32_t model_slot_bytes) {
    device_double *d = aligned_alloc(_Alignof(device_double), sizeof *d);
    if (d == NULL) fail("out of memory");
    memset(d, 0, sizeof *d);
    flash_format(&d->flash);
    d->active_model = 255;
    double_start(d, model_slot_bytes);
    return d;
}

#endif
