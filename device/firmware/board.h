/* What the firmware needs of a board; docs/porting.md walks through a port function by function.
 *
 * A board is a folder under boards/: the functions below in one or more C files, `memory.ld` (where
 * flash and RAM are) and `board.mk` (compiler flags and sources). Interrupts: the serial port's
 * must be able to interrupt the audio's, for a hop takes longer to compute than a byte to arrive. */
#ifndef BOARD_H
#define BOARD_H

#include <stddef.h>
#include <stdint.h>

/* Where the converter (its DMA) reads and writes: two halves of `frames` samples each, one after
 * the other, in a circle. A sample is signed, full scale at 2^31; a codec of fewer bits has them
 * at the top of the word. */
typedef struct board_audio {
    int32_t *capture;        /* [2 * frames], microphone */
    const int32_t *playback; /* [2 * frames], receiver */
    size_t frames;           /* one hop */
    uint32_t sample_rate_hz;
} board_audio;

/* --- What the firmware calls. --- */

/* Clocks, pins, caches, flash wait states; interrupts are still off. Returns 0 if the hardware is
 * not as expected: the firmware then stays silent and only serves the link. */
int board_start(void);

/* 1 if it was the watchdog that restarted the board. */
int board_was_watchdog(void);

/* The board's own number, at most 16 ASCII characters, by which a fitting tool knows it. */
const char *board_serial_number(void);

/* Starts converter and DMA; from then on `firmware_audio` is called at every half's end. */
void board_audio_start(const board_audio *audio);

/* Sends bytes over the serial port; may wait. Never called from an interrupt. */
void board_serial_write(const uint8_t *bytes, size_t count);

/* Settings memory: `neuroamp_settings_bytes(board_flash_unit())` bytes (four erase units, where one
 * has 1 KiB or more). Addresses count from the start of that memory. An address is programmed once
 * after each erase, 16 bytes at a multiple of 16. The audio must go on meanwhile: a processor that
 * waits for its flash needs code and model elsewhere. All return 0 on failure. */
size_t board_flash_unit(void);
int board_flash_read(uint32_t address, uint8_t *bytes, size_t count);
int board_flash_erase(uint32_t address);
int board_flash_program(uint32_t address, const uint8_t *bytes, size_t count);

/* A clock that never stands still: ticks of `board_tick_hz()`. May be called from interrupts. */
uint64_t board_ticks(void);
uint32_t board_tick_hz(void);

/* From now on the board restarts unless `board_watchdog_feed` is called every `milliseconds`. */
void board_watchdog_start(uint32_t milliseconds);
void board_watchdog_feed(void);

/* Waits for the next interrupt; called with interrupts disabled, which does not keep one from
 * ending the wait (WFI). */
void board_sleep(void);

/* 1: the audio is over; only emulated boards, whose microphone is a file, say so. */
int board_is_over(void);

/* The end, silent and for ever; `report` says why, to a debugger or an emulator. */
_Noreturn void board_end(const char *report);

/* --- What the board calls. --- */

/* From the audio interrupt: half 0 or 1 of the capture buffer is full, and the same half of the
 * playback buffer has been played. */
void firmware_audio(unsigned half);

/* From the serial interrupt: a byte has come. */
void firmware_serial(uint8_t byte);

/* From cortex_m.c, with interrupts off and memory initialised. */
int main(void);

/* From cortex_m.c for every interrupt of the chip; `number` counts from 0. */
void board_interrupt(unsigned number);

#endif
