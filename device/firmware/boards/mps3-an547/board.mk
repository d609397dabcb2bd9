# Cortex-M55 with Helium, integer and float; QEMU runs it as MACHINE.
CPU = -mcpu=cortex-m55 -mfloat-abi=hard -fno-schedule-insns
TARGET = cortex-m55
BOARD_SOURCES = boards/emulated/semihosting.c boards/emulated/mps.c
MACHINE = mps3-an547
