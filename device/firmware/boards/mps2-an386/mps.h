/* Where this board has what boards/emulated/mps.c uses. */
#define UART_BASE 0x40004000
#define UART_RECEIVE_INTERRUPT 0
#define WATCHDOG_BASE 0x40008000
#define WATCHDOG_HZ 25000000
#define CORE_HZ 25000000
