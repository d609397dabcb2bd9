#include "neuroamp/settings.h"

#include "bytes.h"
#include "crc32.h"
#include "record.h"

enum {
    PIECE = 16, /* what is programmed at a time */
    HEADER_BYTES = 32,
    CRC_AT = 28,
    FORMAT = 1,
    FITTINGS_BYTES = 2 * NEUROAMP_FITTING_RECORD_BYTES + PIECE,
    CALIBRATION_BYTES = 2 * NEUROAMP_CALIBRATION_RECORD_BYTES,
    MODEL_SLOT_AT = 2 * NEUROAMP_FITTING_RECORD_BYTES,
    NEITHER = 2
};

static const uint8_t MAGIC[4] = {'N', 'A', 's', 't'};

/* A part of a payload that is written anew; the rest is taken over from the slot that counts. */
typedef struct change {
    uint32_t at, bytes;
    const uint8_t *data; /* null: zeros */
} change;

static uint32_t payload_bytes(neuroamp_store_name name) {
    return name == NEUROAMP_FITTINGS ? FITTINGS_BYTES : CALIBRATION_BYTES;
}

static uint32_t slot_bytes(neuroamp_store_name name, uint32_t unit_bytes) {
    const uint32_t needed = HEADER_BYTES + payload_bytes(name);
    return (needed + unit_bytes - 1) / unit_bytes * unit_bytes;
}

static const neuroamp_store_name NAMES[2] = {NEUROAMP_FITTINGS, NEUROAMP_CALIBRATION};

size_t neuroamp_settings_bytes(uint32_t unit_bytes) {
    return 2 * ((size_t)slot_bytes(NEUROAMP_FITTINGS, unit_bytes) +
                slot_bytes(NEUROAMP_CALIBRATION, unit_bytes));
}

/* Whether a slot is whole, and its number. */
static int check_slot(const neuroamp_flash *flash, neuroamp_store_name name, uint32_t address,
                      uint32_t *number) {
    uint8_t header[HEADER_BYTES], piece[PIECE];
    if (!flash->read(flash->context, address, header, sizeof header) ||
        memcmp(header, MAGIC, sizeof MAGIC) != 0 || na_read_u16(header + 4) != FORMAT ||
        na_read_u16(header + 6) != (unsigned)name ||
        na_read_u32(header + 12) != payload_bytes(name)) {
        return 0;
    }
    uint32_t crc = na_crc32(0, header, CRC_AT);
    for (uint32_t at = 0; at < payload_bytes(name); at += PIECE) {
        if (!flash->read(flash->context, address + HEADER_BYTES + at, piece, sizeof piece)) {
            return 0;
        }
        crc = na_crc32(crc, piece, sizeof piece);
    }
    *number = na_read_u32(header + 8);
    return crc == na_read_u32(header + CRC_AT);
}

/* Whether all bytes of a slot's header are the same, as after an erase. */
static int is_erased(const neuroamp_flash *flash, uint32_t address) {
    uint8_t header[HEADER_BYTES];
    return flash->read(flash->context, address, header, sizeof header) &&
           memcmp(header, header + 1, sizeof header - 1) == 0;
}

static void open_store(neuroamp_settings *settings, neuroamp_store_name name) {
    neuroamp_store *store = &settings->stores[name];
    store->current = NEITHER;
    store->number = 0;
    store->damaged = 0;
    for (uint8_t slot = 0; slot < 2; slot++) {
        uint32_t number;
        if (!check_slot(settings->flash, name, store->address[slot], &number)) {
            store->damaged |= !is_erased(settings->flash, store->address[slot]);
        } else if (store->current == NEITHER || (int32_t)(number - store->number) > 0) {
            store->current = slot;
            store->number = number;
        }
    }
}

void neuroamp_settings_open(neuroamp_settings *settings, const neuroamp_flash *flash) {
    uint32_t address = 0;
    settings->flash = flash;
    for (size_t i = 0; i < 2; i++) {
        for (size_t slot = 0; slot < 2; slot++) {
            settings->stores[i].address[slot] = address;
            address += slot_bytes(NAMES[i], flash->unit_bytes);
        }
        open_store(settings, NAMES[i]);
    }
}

/* A part of the payload that counts; zeros where nothing is stored. */
static int read_payload(const neuroamp_settings *settings, neuroamp_store_name name, uint32_t at,
                        uint8_t *bytes, size_t count) {
    const neuroamp_store *store = &settings->stores[name];
    if (store->current == NEITHER) {
        memset(bytes, 0, count);
        return 1;
    }
    return settings->flash->read(settings->flash->context,
                                 store->address[store->current] + HEADER_BYTES + at, bytes, count);
}

/* The next piece of the new payload. */
static int make_piece(const neuroamp_settings *settings, neuroamp_store_name name, uint32_t at,
                      const change *changes, size_t count, uint8_t *piece) {
    if (!read_payload(settings, name, at, piece, PIECE)) {
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        const uint32_t end = changes[i].at + changes[i].bytes;
        const uint32_t from = at > changes[i].at ? at : changes[i].at;
        const uint32_t to = at + PIECE < end ? at + PIECE : end;
        if (from < to && changes[i].data != NULL) {
            memcpy(piece + (from - at), changes[i].data + (from - changes[i].at), to - from);
        } else if (from < to) {
            memset(piece + (from - at), 0, to - from);
        }
    }
    return 1;
}

/* Writes the older slot; what is there counts only with the last piece, the end of the header. */
static int write_store(neuroamp_settings *settings, neuroamp_store_name name,
                       const change *changes, size_t count) {
    const neuroamp_flash *flash = settings->flash;
    neuroamp_store *store = &settings->stores[name];
    const uint8_t slot = store->current == 0 ? 1 : 0;
    const uint32_t address = store->address[slot];
    uint8_t header[HEADER_BYTES] = {0}, piece[PIECE];
    memcpy(header, MAGIC, sizeof MAGIC);
    na_write_u16(header + 4, FORMAT);
    na_write_u16(header + 6, (unsigned)name);
    na_write_u32(header + 8, store->number + 1);
    na_write_u32(header + 12, payload_bytes(name));
    uint32_t crc = na_crc32(0, header, CRC_AT);
    for (uint32_t at = 0; at < slot_bytes(name, flash->unit_bytes); at += flash->unit_bytes) {
        if (!flash->erase(flash->context, address + at)) {
            return 0;
        }
    }
    for (uint32_t at = 0; at < payload_bytes(name); at += PIECE) {
        if (!make_piece(settings, name, at, changes, count, piece) ||
            !flash->program(flash->context, address + HEADER_BYTES + at, piece, PIECE)) {
            return 0;
        }
        crc = na_crc32(crc, piece, PIECE);
    }
    na_write_u32(header + CRC_AT, crc);
    for (uint32_t at = 0; at < HEADER_BYTES; at += PIECE) {
        if (!flash->program(flash->context, address + at, header + at, PIECE)) {
            return 0;
        }
    }
    uint32_t number;
    if (!check_slot(flash, name, address, &number) || number != store->number + 1) {
        return 0;
    }
    store->current = slot;
    store->number = number;
    return 1;
}

static uint32_t record_at(neuroamp_ear ear, uint32_t bytes) {
    return ear == NEUROAMP_LEFT ? 0 : bytes;
}

int neuroamp_settings_fitting(const neuroamp_settings *settings, neuroamp_ear ear,
                              uint8_t record[NEUROAMP_FITTING_RECORD_BYTES]) {
    na_fault fault;
    const uint32_t bytes = NEUROAMP_FITTING_RECORD_BYTES;
    return read_payload(settings, NEUROAMP_FITTINGS, record_at(ear, bytes), record, bytes) &&
           na_record_ear(record) == (unsigned)ear &&
           na_check_fitting(record, &fault) == NA_RECORD_SOUND;
}

int neuroamp_settings_calibration(const neuroamp_settings *settings, neuroamp_ear ear,
                                  uint8_t record[NEUROAMP_CALIBRATION_RECORD_BYTES]) {
    na_fault fault;
    const uint32_t bytes = NEUROAMP_CALIBRATION_RECORD_BYTES;
    return read_payload(settings, NEUROAMP_CALIBRATION, record_at(ear, bytes), record, bytes) &&
           na_record_ear(record) == (unsigned)ear &&
           na_check_calibration(record, &fault) == NA_RECORD_SOUND;
}

unsigned neuroamp_settings_model_slot(const neuroamp_settings *settings) {
    uint8_t slot;
    return read_payload(settings, NEUROAMP_FITTINGS, MODEL_SLOT_AT, &slot, 1) && slot == 1
               ? 1
               : NEUROAMP_FIRST_MODEL_SLOT;
}

int neuroamp_settings_store_fittings(neuroamp_settings *settings, const uint8_t *left,
                                     const uint8_t *right) {
    const uint32_t bytes = NEUROAMP_FITTING_RECORD_BYTES;
    change changes[2];
    size_t count = 0;
    if (left != NULL) {
        changes[count++] = (change){record_at(NEUROAMP_LEFT, bytes), bytes, left};
    }
    if (right != NULL) {
        changes[count++] = (change){record_at(NEUROAMP_RIGHT, bytes), bytes, right};
    }
    return write_store(settings, NEUROAMP_FITTINGS, changes, count);
}

int neuroamp_settings_store_calibration(neuroamp_settings *settings, neuroamp_ear ear,
                                        const uint8_t *record) {
    const uint32_t bytes = NEUROAMP_CALIBRATION_RECORD_BYTES;
    const change all = {record_at(ear, bytes), bytes, record};
    return write_store(settings, NEUROAMP_CALIBRATION, &all, 1);
}

int neuroamp_settings_store_model_slot(neuroamp_settings *settings, unsigned slot) {
    const uint8_t chosen = (uint8_t)slot;
    const change all = {MODEL_SLOT_AT, 1, &chosen};
    return write_store(settings, NEUROAMP_FITTINGS, &all, 1);
}

int neuroamp_settings_forget(neuroamp_settings *settings, neuroamp_store_name store) {
    const change all = {0, payload_bytes(store), NULL};
    return write_store(settings, store, &all, 1);
}
