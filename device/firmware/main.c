/* The firmware: a hearing aid of one ear on a Cortex-M, whatever the board.
 *
 * The converter's DMA fills one half of a double buffer while the other half is worked on, in the
 * audio interrupt; everything else waits in the main loop: the fitting link, the settings memory,
 * the watchdog. The main loop feeds the watchdog only while the audio goes on, so that either of
 * them standing still restarts the aid. All memory is static. */
#include "board.h"
#include "cortex_m.h"
#include "model.h"
#include "neuroamp/neuroamp.h"

#include <string.h>

#define EAR NEUROAMP_LEFT
#define FULL_SCALE 2147483648.0f
/* The largest float below full scale: more does not fit a sample. */
#define LOUDEST 2147483520.0f
/* Sound pressure at full scale, pascals: 120 dB SPL for an RMS of full scale. */
#define FULL_SCALE_PA 20.0f

enum {
    WATCHDOG_MS = 500,
    SERIAL_BYTES = 256 /* received and not yet looked at; a power of two */
};

extern const uint8_t firmware_model[]; /* image.S */

static _Alignas(NEUROAMP_ALIGNMENT) uint8_t chain_memory[NEUROAMP_CHAIN_BYTES];
static neuroamp *chain; /* null: the aid is silent */
static int32_t capture[2 * NEUROAMP_HOP], playback[2 * NEUROAMP_HOP];
static volatile uint32_t hops; /* heard since the start */

static uint8_t serial_bytes[SERIAL_BYTES];
static volatile uint32_t serial_received; /* count; written by the serial interrupt alone */
static uint32_t serial_taken;             /* count; written by the main loop alone */

/* --- Interrupts. --- */

/* One hop: a half of the double buffer is full, and the same half has been played. */
void firmware_audio(unsigned half) {
    float sound_pa[NEUROAMP_HOP];
    const int32_t *in = capture + half * NEUROAMP_HOP;
    int32_t *out = playback + half * NEUROAMP_HOP;
    for (size_t i = 0; i < NEUROAMP_HOP; i++) {
        sound_pa[i] = (float)in[i] * (FULL_SCALE_PA / FULL_SCALE);
    }
    neuroamp_process(chain, sound_pa, sound_pa, NEUROAMP_HOP);
    for (size_t i = 0; i < NEUROAMP_HOP; i++) {
        const float sample = sound_pa[i] * (FULL_SCALE / FULL_SCALE_PA);
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

/* --- The main loop. --- */

static void serve_link(void) { serial_taken = serial_received; }

/* The stored fitting, or none that amplifies. */
static neuroamp_fitting stored_fitting(void) {
    neuroamp_fitting fitting;
    memset(&fitting, 0, sizeof fitting);
    board_flash_read(0, (uint8_t *)&fitting, sizeof fitting);
    return fitting;
}

static neuroamp_status start_aid(void) {
    const neuroamp_fitting fitting = stored_fitting();
    return neuroamp_init(chain_memory, sizeof chain_memory, firmware_model, NEUROAMP_MODEL_BYTES,
                         EAR, &fitting, &chain);
}

/* Appends "name value\n" to a text of which `end` is the end; returns the new end. */
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

/* Where the audio has an end, what the run was like. */
static void end_run(void) {
    char report[128];
    char *end = append_line(report, "hops", hops);
    end = append_line(end, "missed steps", (uint32_t)neuroamp_get_counts(chain).missed_steps);
    end = append_line(end, "stack used", stack_used());
    append_line(end, "stack size", stack_size());
    board_end(report);
}

int main(void) {
    const int is_whole = board_start();
    const neuroamp_status status = start_aid();
    if (is_whole && status == NEUROAMP_OK) {
        const board_audio audio = {capture, playback, NEUROAMP_HOP, NEUROAMP_SAMPLE_RATE_HZ};
        board_audio_start(&audio);
    }
    board_watchdog_start(WATCHDOG_MS);
    enable_interrupts();
    for (uint32_t fed_at = hops - 1; !board_is_over();) {
        serve_link();
        if (hops != fed_at || chain == NULL) {
            fed_at = hops;
            board_watchdog_feed();
        }
        board_sleep();
    }
    end_run();
}
