/* What every Cortex-M has: interrupt controller, SysTick, stack paint. Addresses and bits from the
 * Armv7-M and Armv8-M Architecture Reference Manuals. */
#ifndef CORTEX_M_H
#define CORTEX_M_H

#include <stdint.h>

#define SYSTICK_CONTROL (*(volatile uint32_t *)0xe000e010)
#define SYSTICK_RELOAD (*(volatile uint32_t *)0xe000e014)
#define SYSTICK_VALUE (*(volatile uint32_t *)0xe000e018)
#define NVIC_ENABLE ((volatile uint32_t *)0xe000e100)
#define NVIC_PEND ((volatile uint32_t *)0xe000e200)
#define NVIC_PRIORITY ((volatile uint8_t *)0xe000e400)
#define SCB_VECTORS (*(volatile uint32_t *)0xe000ed08)
#define SCB_CCR (*(volatile uint32_t *)0xe000ed14)
#define SCB_PRIORITY ((volatile uint8_t *)0xe000ed14) /* [exception number], from 4 */
#define SCB_CPACR (*(volatile uint32_t *)0xe000ed88)

static inline void enable_interrupts(void) { __asm__ volatile("cpsie i" ::: "memory"); }

static inline void disable_interrupts(void) { __asm__ volatile("cpsid i" ::: "memory"); }

static inline void interrupt_enable(unsigned number, uint8_t priority) {
    NVIC_PRIORITY[number] = priority;
    NVIC_ENABLE[number / 32] = UINT32_C(1) << (number % 32);
}

static inline void interrupt_pend(unsigned number) {
    NVIC_PEND[number / 32] = UINT32_C(1) << (number % 32);
}

/* Bytes of the stack that were ever used, and its size. */
uint32_t stack_used(void);
uint32_t stack_size(void);

/* Called by cortex_m.c at every SysTick; boards that use it define it. */
void board_systick(void);

#endif
