/* Where this board has what boards/emulated/mps.c uses. */
#define UART_BASE 0x59303000
#define UART_RECEIVE_INTERRUPT 33
#define WATCHDOG_BASE 0x5802e000
#define WATCHDOG_HZ 32768
#define CORE_HZ 32000000
