/* From reset to main: vectors, memory, the floating-point unit; the same on every Cortex-M. */
#include "cortex_m.h"

#include "board.h"

#include <string.h>

enum { INTERRUPTS = 96, FIRST_INTERRUPT = 16 };

#define STACK_PAINT UINT32_C(0x5afe57ac)
#define CPACR_FPU (UINT32_C(15) << 20)
#define CCR_LOW_OVERHEAD_BRANCH (UINT32_C(1) << 19)

/* From the linker script. */
extern uint32_t data_source[], data_start[], data_end[], bss_start[], bss_end[];
extern uint32_t stack_start[], stack_end[];

void reset(void);

__attribute__((weak)) void board_systick(void) {}

/* A fault restarts the firmware by the watchdog: silence is the safe output. */
static void fault(void) {
    disable_interrupts();
    for (;;) {
    }
}

static void ignore(void) {}

static void systick(void) { board_systick(); }

static void interrupt(void) {
    uint32_t exception;
    __asm__ volatile("mrs %0, ipsr" : "=r"(exception));
    board_interrupt((unsigned)exception - FIRST_INTERRUPT);
}

typedef void (*handler)(void);

typedef struct vector_table {
    uint32_t *stack;
    handler exceptions[FIRST_INTERRUPT - 1]; /* from exception 1, reset, on */
    handler interrupts[INTERRUPTS];
} vector_table;

__attribute__((section(".vectors"), used)) static const vector_table vectors = {
    .stack = stack_end,
    .exceptions = {reset, ignore, fault, fault, fault, fault, fault, fault, fault, fault, ignore,
                   ignore, fault, ignore, systick},
    .interrupts = {[0 ... INTERRUPTS - 1] = interrupt},
};

/* The stack pointer is at the end of the stack when the processor gets here. */
void reset(void) {
    disable_interrupts();
    SCB_VECTORS = (uint32_t)(uintptr_t)&vectors; /* a boot loader may have left its own */
    SCB_CPACR |= CPACR_FPU;
#if defined(__ARM_FEATURE_MVE)
    SCB_CCR |= CCR_LOW_OVERHEAD_BRANCH;
#endif
    __asm__ volatile("dsb\nisb" ::: "memory");
    uint32_t *here;
    __asm__ volatile("mov %0, sp" : "=r"(here));
    for (uint32_t *word = stack_start; word < here - 16; word++) {
        *word = STACK_PAINT;
    }
    memcpy(data_start, data_source, (size_t)((uint8_t *)data_end - (uint8_t *)data_start));
    memset(bss_start, 0, (size_t)((uint8_t *)bss_end - (uint8_t *)bss_start));
    main();
    fault();
}

uint32_t stack_size(void) { return (uint32_t)((uint8_t *)stack_end - (uint8_t *)stack_start); }

uint32_t stack_used(void) {
    const uint32_t *word = stack_start;
    while (word < stack_end && *word == STACK_PAINT) {
        word++;
    }
    return (uint32_t)((const uint8_t *)stack_end - (const uint8_t *)word);
}
