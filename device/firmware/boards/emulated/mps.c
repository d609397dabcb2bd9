/* Arm's MPS2 and MPS3 boards as QEMU models them: microphone, receiver and flash are files of the
 * machine that runs the emulator, the serial port is the emulator's. Arguments (-semihosting-config
 * arg=...), each NAME=VALUE:
 *
 *     in=FILE     microphone: int32 samples, little-endian; at its end the firmware ends. Without it
 *                 silence, without end
 *     out=FILE    receiver: the same
 *     flash=FILE  settings memory, 64 KiB; must exist
 *     cut=N       the power fails when N more bytes of the settings memory have been written
 *     stall=N     the converter stops after N samples
 *     paced       audio by the timer, in real time. Without it the timer stands still, a half of the
 *                 double buffer is due whenever the firmware would sleep, and the clock goes by the
 *                 audio: nothing is ever late, and a run is the same to the instruction every time
 */
#include "board.h"
#include "cortex_m.h"
#include "mps.h"
#include "semihosting.h"

#include <string.h>

enum {
    AUDIO_INTERRUPT = 20, /* belongs to no device: pended by software */
    SERIAL_PRIORITY = 0x20,
    TIMER_PRIORITY = 0x40,
    AUDIO_PRIORITY = 0x80,
    SYSTICK_EXCEPTION = 15,
    TICKS_PER_MS = CORE_HZ / 1000,
    FLASH_UNIT = 4096,
    FLASH_UNITS = 16,
    POWER_CUT_EXIT = 3,
    WATCHDOG_PATIENCE = 10
};

#define UART_DATA (*(volatile uint32_t *)(UART_BASE + 0x00))
#define UART_STATE (*(volatile uint32_t *)(UART_BASE + 0x04))
#define UART_CONTROL (*(volatile uint32_t *)(UART_BASE + 0x08))
#define UART_INTERRUPT (*(volatile uint32_t *)(UART_BASE + 0x0c))
#define UART_DIVIDER (*(volatile uint32_t *)(UART_BASE + 0x10))
#define UART_TRANSMIT_FULL 1u
#define UART_RECEIVE_FULL 2u
#define UART_ENABLE (1u | 2u | 8u) /* transmitter, receiver, receive interrupt */
#define UART_RECEIVED 2u

#define WATCHDOG_LOAD (*(volatile uint32_t *)(WATCHDOG_BASE + 0x00))
#define WATCHDOG_CONTROL (*(volatile uint32_t *)(WATCHDOG_BASE + 0x08))
#define WATCHDOG_CLEAR (*(volatile uint32_t *)(WATCHDOG_BASE + 0x0c))
#define WATCHDOG_LOCK (*(volatile uint32_t *)(WATCHDOG_BASE + 0xc00))
#define WATCHDOG_UNLOCK UINT32_C(0x1acce551)

static char arguments[512];
static board_audio audio;
static semihosting_file microphone = -1, receiver = -1, flash = -1;
static unsigned half;
static int is_paced;
static uint32_t bytes_to_cut; /* 0: the power stays */
static uint32_t stalls_at;    /* samples; 0: never */
static volatile int is_over;
static volatile uint32_t milliseconds; /* by the timer */
static volatile uint64_t samples;      /* exchanged so far */

/* The value of NAME=VALUE, ended by a null; or of NAME alone, ""; null if it was not given. */
static const char *argument(const char *name) {
    const size_t length = strlen(name);
    for (const char *word = arguments; word < arguments + sizeof arguments; word += strlen(word) + 1) {
        if (strncmp(word, name, length) == 0 && (word[length] == '=' || word[length] == '\0')) {
            return word[length] == '=' ? word + length + 1 : word + length;
        }
    }
    return NULL;
}

static uint32_t number_argument(const char *name) {
    uint32_t number = 0;
    const char *digit = argument(name);
    for (; digit != NULL && *digit >= '0' && *digit <= '9'; digit++) {
        number = 10 * number + (uint32_t)(*digit - '0');
    }
    return number;
}

static semihosting_file open_argument(const char *name, int mode) {
    const char *path = argument(name);
    return path == NULL ? -1 : semihosting_open(path, mode);
}

int board_start(void) {
    if (!semihosting_arguments(arguments, sizeof arguments - 1)) {
        return 0;
    }
    for (size_t i = 0; i < sizeof arguments; i++) {
        arguments[i] = arguments[i] == ' ' ? '\0' : arguments[i];
    }
    microphone = open_argument("in", SEMIHOSTING_READ);
    receiver = open_argument("out", SEMIHOSTING_WRITE);
    flash = open_argument("flash", SEMIHOSTING_UPDATE);
    bytes_to_cut = number_argument("cut");
    stalls_at = number_argument("stall");
    is_paced = argument("paced") != NULL;
    UART_DIVIDER = 217; /* the emulator does not mind the rate */
    UART_CONTROL = UART_ENABLE;
    interrupt_enable(UART_RECEIVE_INTERRUPT, SERIAL_PRIORITY);
    SCB_PRIORITY[SYSTICK_EXCEPTION] = TIMER_PRIORITY;
    SYSTICK_RELOAD = TICKS_PER_MS - 1;
    SYSTICK_VALUE = 0;
    SYSTICK_CONTROL = is_paced ? 7 : 0; /* count, interrupt, processor clock */
    return 1;
}

void board_audio_start(const board_audio *wanted) {
    audio = *wanted;
    interrupt_enable(AUDIO_INTERRUPT, AUDIO_PRIORITY);
}

/* One half of the double buffer to and from the files, as a converter's DMA would. */
static void exchange(void) {
    if (stalls_at != 0 && samples >= stalls_at) {
        return;
    }
    const size_t offset = half * audio.frames, bytes = audio.frames * sizeof(int32_t);
    if (microphone >= 0 && semihosting_read(microphone, audio.capture + offset, bytes) < bytes) {
        is_over = 1;
        return;
    }
    firmware_audio(half);
    if (receiver >= 0) {
        /* Real hardware plays this half when the other one has been captured. */
        semihosting_write(receiver, audio.playback + offset, bytes);
    }
    half ^= 1;
    samples += audio.frames;
}

void board_systick(void) {
    static uint32_t due;
    milliseconds++;
    if (is_paced && audio.frames != 0) {
        due += audio.sample_rate_hz;
        if (due >= 1000 * audio.frames) {
            due -= 1000 * (uint32_t)audio.frames;
            interrupt_pend(AUDIO_INTERRUPT);
        }
    }
}

void board_interrupt(unsigned number) {
    if (number == AUDIO_INTERRUPT) {
        exchange();
    } else if (number == UART_RECEIVE_INTERRUPT) {
        UART_INTERRUPT = UART_RECEIVED;
        while (UART_STATE & UART_RECEIVE_FULL) {
            firmware_serial((uint8_t)UART_DATA);
        }
    }
}

void board_serial_write(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        while (UART_STATE & UART_TRANSMIT_FULL) {
        }
        UART_DATA = bytes[i];
    }
}

int board_was_watchdog(void) { return 0; }

const char *board_serial_number(void) { return "emulated"; }

size_t board_flash_unit(void) { return FLASH_UNIT; }

int board_flash_read(uint32_t address, uint8_t *bytes, size_t count) {
    if (address + count > FLASH_UNITS * FLASH_UNIT || !semihosting_seek(flash, address)) {
        return 0;
    }
    const size_t had = semihosting_read(flash, bytes, count);
    memset(bytes + had, 0xff, count - had); /* the file may be shorter than the memory */
    return 1;
}

/* Writes as far as the power lasts. */
static int write_flash(const uint8_t *bytes, size_t count) {
    if (bytes_to_cut != 0 && bytes_to_cut <= count) {
        semihosting_write(flash, bytes, bytes_to_cut);
        semihosting_exit(POWER_CUT_EXIT);
    }
    bytes_to_cut -= bytes_to_cut == 0 ? 0 : (uint32_t)count;
    return semihosting_write(flash, bytes, count) == count;
}

int board_flash_program(uint32_t address, const uint8_t *bytes, size_t count) {
    return address + count <= FLASH_UNITS * FLASH_UNIT && semihosting_seek(flash, address) &&
           write_flash(bytes, count);
}

int board_flash_erase(uint32_t address) {
    uint8_t erased[64];
    memset(erased, 0xff, sizeof erased);
    int is_done = address < FLASH_UNITS * FLASH_UNIT && semihosting_seek(flash, address);
    for (size_t i = 0; is_done && i < FLASH_UNIT; i += sizeof erased) {
        is_done = write_flash(erased, sizeof erased);
    }
    return is_done;
}

uint64_t board_ticks(void) {
    if (!is_paced) {
        return audio.frames == 0 ? 0 : samples * CORE_HZ / audio.sample_rate_hz;
    }
    uint32_t whole, rest;
    do { /* until no millisecond ended in between */
        whole = milliseconds;
        rest = TICKS_PER_MS - 1 - SYSTICK_VALUE;
    } while (whole != milliseconds);
    return (uint64_t)whole * TICKS_PER_MS + rest;
}

uint32_t board_tick_hz(void) { return CORE_HZ; }

/* The emulator's time goes on while the emulator itself waits for a processor: more patience. */
void board_watchdog_start(uint32_t period) {
    const uint64_t patient = (uint64_t)period * WATCHDOG_PATIENCE;
    WATCHDOG_LOCK = WATCHDOG_UNLOCK;
    WATCHDOG_LOAD = (uint32_t)(patient * WATCHDOG_HZ / 2000); /* it bites at the second */
    WATCHDOG_CONTROL = 3;
    WATCHDOG_LOCK = 0;
}

void board_watchdog_feed(void) {
    WATCHDOG_LOCK = WATCHDOG_UNLOCK;
    WATCHDOG_CLEAR = 1;
    WATCHDOG_LOCK = 0;
}

void board_sleep(void) {
    if (is_paced || audio.frames == 0) {
        __asm__ volatile("wfi");
    } else {
        interrupt_pend(AUDIO_INTERRUPT);
    }
}

int board_is_over(void) { return is_over; }

_Noreturn void board_end(const char *report) {
    semihosting_print(report);
    semihosting_exit(0);
}
