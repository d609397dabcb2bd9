# Cortex-M7 with double-precision FPU; runs in QEMU.
CPU = -mcpu=cortex-m7 -mfpu=fpv5-d16 -mfloat-abi=hard
TARGET = cortex-m7
BOARD_SOURCES = boards/emulated/semihosting.c boards/emulated/mps.c
