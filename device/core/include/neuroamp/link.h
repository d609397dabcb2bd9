/* The fitting link at the device: bytes of a serial line in, bytes out (docs/serial-protocol.md).
 *
 *     serial bytes -> frames -> sessions, kept reply -> commands -> settings, and the device's own
 *                                                                   functions below
 *
 * Every value is checked here, whoever sent it, before anything is done with it. The memory is the
 * caller's; one thread at a time, never the one that computes sound. The functions of a device are
 * called from within neuroamp_link_init, neuroamp_link_receive and neuroamp_link_poll alone.
 */
#ifndef NEUROAMP_LINK_H
#define NEUROAMP_LINK_H

#include "neuroamp/aid.h"
#include "neuroamp/settings.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NEUROAMP_LINK_FRAME_BYTES 128 /* the longest on the wire */

/* Enough memory for a link on any target; `neuroamp_link_size` says how much it is. */
#define NEUROAMP_LINK_BYTES 3328

typedef struct neuroamp_link neuroamp_link;

typedef struct neuroamp_link_levels {
    float input_db_spl;       /* RMS of the last 125 ms */
    float output_db_spl;      /* the same */
    float output_peak_db_spl; /* highest sample since the start, dB SPL of a sine with that peak */
} neuroamp_link_levels;

typedef struct neuroamp_link_counts {
    neuroamp_counts chain;
    uint64_t hops;
    uint64_t late_hops;
} neuroamp_link_counts;

/* What a device does with a model that it is told to use. */
typedef enum neuroamp_link_activation {
    NEUROAMP_LINK_REFUSED, /* another profile, too large for its memory */
    NEUROAMP_LINK_NOW,
    NEUROAMP_LINK_AT_NEXT_START
} neuroamp_link_activation;

/* Events of the log; a device's own are from 256 on. */
typedef enum neuroamp_link_event {
    NEUROAMP_EVENT_STARTED = 1,
    NEUROAMP_EVENT_FITTING_STORED,
    NEUROAMP_EVENT_TRIAL_BEGAN,
    NEUROAMP_EVENT_TRIAL_RAN_OUT,
    NEUROAMP_EVENT_TRIAL_ENDED,
    NEUROAMP_EVENT_MUTED,
    NEUROAMP_EVENT_SOUNDS_AGAIN,
    NEUROAMP_EVENT_PANIC,
    NEUROAMP_EVENT_CALIBRATION_STORED,
    NEUROAMP_EVENT_UPLOAD_BEGAN,
    NEUROAMP_EVENT_MODEL_ACTIVATED,
    NEUROAMP_EVENT_FACTORY_RESET,
    NEUROAMP_EVENT_DAMAGED_SETTINGS,
    NEUROAMP_EVENT_WATCHDOG,
    NEUROAMP_EVENT_LATE,
    NEUROAMP_EVENT_AUDIO_STOPPED,
    NEUROAMP_EVENT_AUDIO_GOES_ON,
    NEUROAMP_EVENT_REFUSED,
    NEUROAMP_EVENT_UNUSABLE_MODEL
} neuroamp_link_event;

/* What a device is and does. Texts are ASCII and cut at the lengths of docs/serial-protocol.md.
 * Functions return 0 if the device refuses. */
typedef struct neuroamp_link_device {
    void *context; /* of all functions */
    const char *serial, *name, *firmware, *profile;
    uint32_t sample_rate_hz;
    uint16_t hop, delay_samples;
    uint8_t ears;              /* 1 left, 2 right, 3 both */
    uint8_t has_net;           /* 1: noise reduction has an effect */
    uint8_t keeps_settings;    /* 1: settings outlast a restart */
    uint32_t start_cause;      /* argument of the start's event */
    uint32_t ticks_per_second; /* of the times */
    uint32_t model_slot_bytes; /* 0: models cannot be uploaded */

    void (*send)(void *context, const uint8_t *bytes, size_t count);
    uint32_t (*now_ms)(void *context); /* since the start, modulo 2^32 */

    /* Fades to a fitting that was checked, its noise reduction as the program wants it. */
    int (*set_fitting)(void *context, const neuroamp_fitting *fitting);
    /* Null: the ear is not calibrated. The function is null: this device has no calibration. */
    int (*set_calibration)(void *context, neuroamp_ear ear, const neuroamp_calibration *calibration);
    void (*set_volume)(void *context, neuroamp_ear ear, float volume_db);
    void (*set_noise_reduction)(void *context, neuroamp_ear ear, float strength);
    void (*set_output)(void *context, neuroamp_output output);
    neuroamp_output (*get_output)(void *context);

    /* What the chain holds now: insertion gain for speech of 65 dB SPL, volume included. */
    void (*applied_gain_db)(void *context, neuroamp_ear ear, float gain_db[NEUROAMP_CHANNELS]);
    /* The device's own limit, whatever the fitting. */
    float (*ceiling_db_spl)(void *context, neuroamp_ear ear);
    void (*levels)(void *context, neuroamp_ear ear, neuroamp_link_levels *levels);
    void (*counts)(void *context, neuroamp_ear ear, neuroamp_link_counts *counts);
    /* Null: this device does not time its stages. */
    void (*times)(void *context, neuroamp_ear ear, neuroamp_stage stage, neuroamp_times *times);

    /* Slots of models, 0 and 1; not called if there are none to upload to. */
    unsigned (*active_model)(void *context); /* 255: none */
    /* Where a slot's bytes are, aligned to NEUROAMP_ALIGNMENT, and how many there may be. */
    const uint8_t *(*model)(void *context, unsigned slot, uint32_t *bytes);
    /* Bytes in ascending order; at offset 0 what the slot held is gone. */
    int (*write_model)(void *context, unsigned slot, uint32_t offset, const uint8_t *bytes,
                       size_t count);
    /* The slot's model is whole and sound; a device that will use it at its next start only
     * says so: the choice is stored after this. */
    neuroamp_link_activation (*activate_model)(void *context, unsigned slot);
} neuroamp_link_device;

/* Bytes of memory a link needs, at most NEUROAMP_LINK_BYTES. */
NEUROAMP_API size_t neuroamp_link_size(void);

/* Builds a link in the caller's memory, plays what is stored (or the unfitted state) and points
 * `link` at it. Device and settings must outlive it. */
NEUROAMP_API neuroamp_status neuroamp_link_init(void *memory, size_t memory_bytes,
                                                const neuroamp_link_device *device,
                                                neuroamp_settings *settings,
                                                neuroamp_link **link);

/* Takes bytes from the line, any number; replies go out by the device's `send`. */
NEUROAMP_API void neuroamp_link_receive(neuroamp_link *link, const uint8_t *bytes, size_t count);

/* Ends trials whose time is over; to be called ten times a second or more often. */
NEUROAMP_API void neuroamp_link_poll(neuroamp_link *link);

/* Adds an event to the log; `ears` 0: the device. */
NEUROAMP_API void neuroamp_link_log(neuroamp_link *link, unsigned event, unsigned ears,
                                    uint32_t argument);

#ifdef __cplusplus
}
#endif

#endif
