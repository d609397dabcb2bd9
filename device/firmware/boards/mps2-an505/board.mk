# Cortex-M33 with the DSP extension; QEMU runs it as MACHINE.
CPU = -mcpu=cortex-m33 -mfpu=fpv5-sp-d16 -mfloat-abi=hard
TARGET = cortex-m33
BOARD_SOURCES = boards/emulated/semihosting.c boards/emulated/mps.c
MACHINE = mps2-an505
