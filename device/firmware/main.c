#include "board.h"
#include "cortex_m.h"
#include "model.h"
#include "neuroamp/neuroamp.h"
#include <string.h>

extern const uint8_t firmware_model[];
static _Alignas(16) uint8_t memory[NEUROAMP_CHAIN_BYTES];
static int32_t capture[2 * NEUROAMP_HOP], playback[2 * NEUROAMP_HOP];
static neuroamp *chain;

void firmware_audio(unsigned half) {
    float samples[NEUROAMP_HOP];
    const int32_t *in = capture + half * NEUROAMP_HOP;
    int32_t *out = playback + half * NEUROAMP_HOP;
    for (size_t i = 0; i < NEUROAMP_HOP; i++) {
        samples[i] = (float)in[i] * (1.0f / 2147483648.0f);
    }
    neuroamp_process(chain, samples, samples, NEUROAMP_HOP);
    memcpy(out, samples, sizeof samples);
}
void firmware_serial(uint8_t byte) { (void)byte; }

int main(void) {
    static neuroamp_fitting fitting;
    board_start();
    board_flash_read(0, (uint8_t *)&fitting, sizeof fitting);
    neuroamp_status s = neuroamp_init(memory, sizeof memory, firmware_model, NEUROAMP_MODEL_BYTES, NEUROAMP_LEFT, &fitting, &chain);
    if (s != NEUROAMP_OK) { board_end(neuroamp_status_text(s)); }
    const board_audio audio = {capture, playback, NEUROAMP_HOP, NEUROAMP_SAMPLE_RATE_HZ};
    board_audio_start(&audio);
    enable_interrupts();
    while (!board_is_over()) { board_sleep(); }
    board_end("done\n");
    return 0;
}
