/* Every function that a board owes the firmware, and what is missing in each. It compiles and links,
 * and its firmware stays silent: `board_start` says that the hardware is not as expected.
 * docs/porting.md goes through them with an STM32H7 and a Teensy 4.1 in mind. */
#include "board.h"
#include "cortex_m.h"

#include <string.h>

enum {
    CORE_HZ = 400000000,
    FLASH_UNIT = 1024, /* of the settings memory below */
    FLASH_UNITS = 4,
    AUDIO_INTERRUPT = 11,  /* the chip's number of the DMA stream that reads the codec */
    SERIAL_INTERRUPT = 37, /* the chip's number of the UART */
    SERIAL_PRIORITY = 0x20,
    AUDIO_PRIORITY = 0x80
};

static board_audio audio;
static volatile uint64_t milliseconds;

/* --- Start. --- */

int board_start(void) {
    /* Clocks and voltage for CORE_HZ; flash wait states; instruction and data cache, or code and
     * data in tightly coupled memory; pins of the codec's bus and of the UART; the codec itself,
     * over I2C; the UART: 115,200 baud, 8 bits, no parity, its receive interrupt on. */
    SYSTICK_RELOAD = CORE_HZ / 1000 - 1;
    SYSTICK_VALUE = 0;
    SYSTICK_CONTROL = 7;
    interrupt_enable(SERIAL_INTERRUPT, SERIAL_PRIORITY);
    return 0; /* 1 once all of this has been done and has succeeded */
}

int board_was_watchdog(void) {
    /* The chip's register of the reset's cause. */
    return 0;
}

const char *board_serial_number(void) {
    /* The chip's unique number, as hexadecimal digits. */
    return "skeleton";
}

/* --- Audio. --- */

void board_audio_start(const board_audio *wanted) {
    audio = *wanted;
    /* Two circular DMA transfers over both halves, one from the codec into `audio.capture`, one from
     * `audio.playback` to it, `audio.sample_rate_hz`, 32-bit words with the sample at the top. The
     * interrupt at half and at full transfer is the one below. */
    interrupt_enable(AUDIO_INTERRUPT, AUDIO_PRIORITY);
}

/* --- Interrupts. --- */

void board_interrupt(unsigned number) {
    if (number == AUDIO_INTERRUPT) {
        /* Acknowledge it. Which half is full: the flag that was set, half or full transfer. With a
         * data cache, the half of the capture buffer is invalidated before, and that of the playback
         * buffer cleaned after. */
        firmware_audio(0);
    } else if (number == SERIAL_INTERRUPT) {
        /* For every byte that has come: firmware_serial(byte). */
    }
}

void board_systick(void) { milliseconds++; }

/* --- Serial port. --- */

void board_serial_write(const uint8_t *bytes, size_t count) {
    /* For every byte: wait until the transmitter takes one. */
    (void)bytes;
    (void)count;
}

/* --- Settings memory. A port keeps it in flash: here it forgets all at power off. --- */

static uint8_t memory[FLASH_UNITS * FLASH_UNIT];

size_t board_flash_unit(void) { return FLASH_UNIT; }

static int is_inside(uint32_t address, size_t count) {
    return address <= sizeof memory && count <= sizeof memory - address;
}

int board_flash_read(uint32_t address, uint8_t *bytes, size_t count) {
    if (!is_inside(address, count)) {
        return 0;
    }
    memcpy(bytes, memory + address, count);
    return 1;
}

int board_flash_erase(uint32_t address) {
    if (!is_inside(address, FLASH_UNIT)) {
        return 0;
    }
    memset(memory + address / FLASH_UNIT * FLASH_UNIT, 0xff, FLASH_UNIT);
    return 1;
}

int board_flash_program(uint32_t address, const uint8_t *bytes, size_t count) {
    if (!is_inside(address, count)) {
        return 0;
    }
    memcpy(memory + address, bytes, count);
    return 1;
}

/* --- Time. --- */

uint64_t board_ticks(void) {
    /* Milliseconds are enough for the link; for the statistics of the stages, the cycle counter
     * (DWT->CYCCNT), extended to 64 bits. */
    uint64_t whole;
    do { /* until no interrupt came between its two words */
        whole = milliseconds;
    } while (whole != milliseconds);
    return whole;
}

uint32_t board_tick_hz(void) { return 1000; }

void board_watchdog_start(uint32_t period_ms) {
    /* The chip's independent watchdog, which nothing can stop once it runs. */
    (void)period_ms;
}

void board_watchdog_feed(void) {}

void board_sleep(void) { __asm__ volatile("wfi"); }

/* --- The end: no board of this kind has one. --- */

int board_is_over(void) { return 0; }

_Noreturn void board_end(const char *report) {
    (void)report; /* for the debugger */
    for (;;) {
        board_watchdog_feed();
    }
}
