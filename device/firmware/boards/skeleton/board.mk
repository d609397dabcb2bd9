# A Cortex-M7 that does nothing yet: the start of a port (docs/porting.md).
CPU = -mcpu=cortex-m7 -mfpu=fpv5-d16 -mfloat-abi=hard
TARGET = cortex-m7
BOARD_SOURCES = boards/skeleton/skeleton.c
