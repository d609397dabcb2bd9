/* State of the fitting link, shared by its frames (link.c) and its commands (commands.c). */
#ifndef NA_LINK_H
#define NA_LINK_H

#include "neuroamp/link.h"
#include "record.h"
#include "sha256.h"

enum {
    NA_PROTOCOL = 1,
    NA_BODY_BYTES = 125,                  /* of a frame before COBS */
    NA_HEAD_BYTES = 8,
    NA_PAYLOAD_BYTES = NA_BODY_BYTES - NA_HEAD_BYTES - 4,
    NA_EVENTS = 32,
    NA_COMMAND_HELLO = 0x01,
    NA_COMMAND_PANIC = 0x11
};

typedef enum na_reply_status {
    NA_REPLY_OK,
    NA_REPLY_UNKNOWN_COMMAND,
    NA_REPLY_BAD_LENGTH,
    NA_REPLY_BAD_VALUE,
    NA_REPLY_NO_SESSION,
    NA_REPLY_NO_SUCH_EAR,
    NA_REPLY_BAD_OFFSET,
    NA_REPLY_BAD_CRC,
    NA_REPLY_NOTHING_THERE,
    NA_REPLY_NOT_NOW,
    NA_REPLY_STORE_FAILED,
    NA_REPLY_BAD_HASH,
    NA_REPLY_BAD_MODEL,
    NA_REPLY_WRONG_VERSION,
    NA_REPLY_REFUSED
} na_reply_status;

typedef enum na_source { NA_UNFITTED, NA_STORED, NA_TRIAL } na_source;

/* One ear. */
typedef struct na_side {
    uint8_t staged[NEUROAMP_FITTING_RECORD_BYTES];
    uint8_t trial[NEUROAMP_FITTING_RECORD_BYTES];
    uint16_t staged_bytes; /* all: complete and checked */
    uint8_t source;        /* na_source of what is in force */
    uint8_t program;
    uint8_t is_calibrated;
    uint32_t crc; /* of the record in force */
    uint32_t trial_end_ms;
    float volume_db;
    float mpo_db_spl;
    float fitted_reduction; /* the fitting's own noise reduction */
    float noise_reduction;  /* in force */
} na_side;

typedef struct na_event {
    uint32_t ms;
    uint16_t code;
    uint8_t ears;
    uint32_t argument;
} na_event;

/* The model that is being uploaded. */
typedef struct na_upload {
    uint32_t length, received;
    uint8_t is_open;
    uint8_t slot;
    uint8_t sha256[NA_SHA256_BYTES];
} na_upload;

/* The times being read, as docs/serial-protocol.md lays them out. */
typedef struct na_times_record {
    uint32_t ticks_per_second;
    uint32_t zero;
    neuroamp_times times;
} na_times_record;

struct neuroamp_link {
    na_times_record times;
    uint8_t times_ear, times_stage; /* what `times` is of; ear 0: of nothing */
    const neuroamp_link_device *device;
    neuroamp_settings *settings;
    na_side left, right;
    na_upload upload;

    uint32_t session, session_before; /* 0: none */
    uint16_t last_sequence;
    uint8_t kept[NA_BODY_BYTES]; /* the last reply */
    uint8_t kept_bytes;

    uint8_t incoming[NA_BODY_BYTES + 1]; /* between two zeros of the line */
    uint8_t incoming_bytes;
    uint8_t is_too_long;
    uint32_t good_frames, dropped_frames, repeats;

    na_event events[NA_EVENTS];
    uint32_t next_event; /* its number; the log has the NA_EVENTS before it */
};

/* A request's payload and its answer. */
typedef struct na_exchange {
    const uint8_t *in;
    size_t bytes;
    uint8_t *out; /* NA_PAYLOAD_BYTES - 2 */
    size_t out_bytes;
    uint32_t session;
    uint16_t sequence;
    uint8_t field, index; /* what is wrong */
} na_exchange;

/* Carries a command out. */
na_reply_status na_link_run(neuroamp_link *link, uint8_t command, na_exchange *exchange);

/* Everything as stored, or unfitted: at the start. */
void na_link_start(neuroamp_link *link);

/* Drops what belongs to a session. */
void na_link_drop_staged(neuroamp_link *link);

/* Ends trials whose time is over. */
void na_link_end_trials(neuroamp_link *link);

#endif
