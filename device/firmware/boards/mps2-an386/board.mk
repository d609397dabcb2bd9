# Cortex-M4F; QEMU runs it as MACHINE.
CPU = -mcpu=cortex-m4 -mfpu=fpv4-sp-d16 -mfloat-abi=hard
TARGET = cortex-m4
BOARD_SOURCES = boards/emulated/semihosting.c boards/emulated/mps.c
MACHINE = mps2-an386
