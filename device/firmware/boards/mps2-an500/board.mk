# Cortex-M7 with double-precision FPU; QEMU runs it as MACHINE.
CPU = -mcpu=cortex-m7 -mfpu=fpv5-d16 -mfloat-abi=hard
TARGET = cortex-m7
BOARD_SOURCES = boards/emulated/semihosting.c boards/emulated/mps.c
MACHINE = mps2-an500
