/* Where this board has what boards/emulated/mps.c uses, in its secure state. */
#define UART_BASE 0x50200000
#define UART_RECEIVE_INTERRUPT 32
#define WATCHDOG_BASE 0x50081000
#define WATCHDOG_HZ 20000000
#define CORE_HZ 20000000
