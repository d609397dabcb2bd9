/* The firmware: a hearing aid of one ear on a Cortex-M, whatever the board.
 *
 * The converter's DMA fills one half of a double buffer while the other half is worked on, in the
 * audio interrupt; everything else waits in the main loop: the fitting link, the settings memory,
 * the watchdog. The main loop feeds the watchdog only while the audio goes on, so that either of
 * them standing still restarts the aid. All memory is static. */
#include "board.h"
#include "cortex_m.h"
#include "model.h"
#include "service.h"

#include <string.h>

#define FULL_SCALE 2147483648.0f
/* The largest float below full scale: more does not fit a sample. */
#define LOUDEST 2147483520.0f

enum {
    WATCHDOG_MS = 500,
    SERIAL_BYTES = 256 /* received and not yet looked at; a power of two */
};

extern const uint8_t firmware_model[]; /* image.S */

static _Alignas(NEUROAMP_ALIGNMENT) uint8_t aid_memory[NEUROAMP_AID_BYTES];
static neuroamp_aid *aid;
static int32_t capture[2 * NEUROAMP_HOP], playback[2 * NEUROAMP_HOP];
static volatile uint32_t hops; /* heard since the start */

static uint8_t serial_bytes[SERIAL_BYTES];
static volatile uint32_t serial_received; /* a count; written by the serial interrupt alone */
static volatile uint32_t serial_taken;    /* a count; written by the main loop alone */

/* --- Interrupts. --- */

/* One hop: a half of the double buffer is full, and the same half has been played. */
void firmware_audio(unsigned half) {
    float sound[NEUROAMP_HOP];
    const int32_t *in = capture + half * NEUROAMP_HOP;
    int32_t *out = playback + half * NEUROAMP_HOP;
    for (size_t i = 0; i < NEUROAMP_HOP; i++) {
        sound[i] = (float)in[i] / FULL_SCALE;
    }
    neuroamp_aid_process(aid, sound, sound, sound, sound, NEUROAMP_HOP); /* the ear it has */
    for (size_t i = 0; i < NEUROAMP_HOP; i++) {
        const float sample = sound[i] * FULL_SCALE;
        out[i] = (int32_t)(sample > LOUDEST ? LOUDEST : sample < -LOUDEST ? -LOUDEST : sample);
    }
    hops++;
}

/* A byte has come; one that finds no room is lost, and the link asks for its frame again. */
void firmware_serial(uint8_t byte) {
    const uint32_t received = serial_received;
    if (received - serial_taken < SERIAL_BYTES) {
        serial_bytes[received % SERIAL_BYTES] = byte;
        serial_received = received + 1;
    }
}

/* --- The start. --- */

static uint64_t clock(void *context) {
    (void)context;
    return board_ticks();
}

static neuroamp_status start_aid(void) {
    const neuroamp_fitting fitting = service_stored_fitting(FIRMWARE_EAR);
    neuroamp_calibration calibration;
    const int is_calibrated = service_stored_calibration(FIRMWARE_EAR, &calibration);
    const neuroamp_aid_ear ear = {&fitting, is_calibrated ? &calibration : NULL};
    const int is_right = FIRMWARE_EAR == NEUROAMP_RIGHT;
    const neuroamp_status status =
        neuroamp_aid_init(aid_memory, sizeof aid_memory, firmware_model, NEUROAMP_MODEL_BYTES,
                          is_right ? NULL : &ear, is_right ? &ear : NULL, &aid);
    if (status == NEUROAMP_OK) {
        const uint64_t ticks = (uint64_t)board_tick_hz() * NEUROAMP_HOP / NEUROAMP_SAMPLE_RATE_HZ;
        neuroamp_aid_set_clock(aid, clock, NULL, ticks); /* a hop that took longer is late */
        neuroamp_aid_use_whole_hops(aid, 1);
    }
    return status;
}

/* --- The main loop. --- */

/* The bytes that have come, in the order in which they came. */
static void serve_link(void) {
    const uint32_t from = serial_taken % SERIAL_BYTES;
    const uint32_t waiting = serial_received - serial_taken;
    const uint32_t count = waiting < SERIAL_BYTES - from ? waiting : SERIAL_BYTES - from;
    service_run(serial_bytes + from, count);
    serial_taken += count;
}

/* Sleeps unless a byte came meanwhile; an interrupt ends the sleep although it is served after. */
static void sleep(void) {
    disable_interrupts();
    if (serial_received == serial_taken) {
        board_sleep();
    }
    enable_interrupts();
}

/* Appends "name value\n" to a text that ends at `end`; returns the new end. */
static char *append_line(char *end, const char *name, uint32_t value) {
    char digits[10];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    const size_t length = strlen(name);
    memcpy(end, name, length);
    end += length;
    *end++ = ' ';
    while (count > 0) {
        *end++ = digits[--count];
    }
    *end++ = '\n';
    *end = '\0';
    return end;
}

/* Where the audio has an end: what the run was like. */
static void end_run(void) {
    char text[160];
    neuroamp_aid_report report;
    memset(&report, 0, sizeof report);
    neuroamp_aid_read(aid, FIRMWARE_EAR, &report);
    char *end = append_line(text, "hops", (uint32_t)report.hops);
    end = append_line(end, "late hops", (uint32_t)report.late_hops);
    end = append_line(end, "missed steps", (uint32_t)report.counts.missed_steps);
    end = append_line(end, "stack used", stack_used());
    append_line(end, "stack size", stack_size());
    board_end(text);
}

int main(void) {
    const int is_whole = board_start();
    service_open_settings();
    const neuroamp_status status = start_aid();
    if (status != NEUROAMP_OK) {
        board_end(neuroamp_status_text(status));
    }
    service_start(aid, FIRMWARE_EAR);
    if (is_whole) {
        const board_audio audio = {capture, playback, NEUROAMP_HOP, NEUROAMP_SAMPLE_RATE_HZ};
        board_audio_start(&audio);
    }
    board_watchdog_start(WATCHDOG_MS);
    enable_interrupts();
    for (uint32_t fed_at = hops; !board_is_over();) {
        serve_link();
        if (hops != fed_at || !is_whole) {
            fed_at = hops;
            board_watchdog_feed();
        }
        sleep();
    }
    end_run();
}
