/* Files of the machine that runs the emulator (Arm's semihosting, version 2.0). */
#ifndef SEMIHOSTING_H
#define SEMIHOSTING_H

#include <stddef.h>
#include <stdint.h>

typedef int32_t semihosting_file; /* negative: not open */

enum { SEMIHOSTING_READ = 1, SEMIHOSTING_UPDATE = 3, SEMIHOSTING_WRITE = 5 }; /* rb, r+b, wb */

semihosting_file semihosting_open(const char *path, int mode);

/* Bytes that were read or written. */
size_t semihosting_read(semihosting_file file, void *bytes, size_t count);
size_t semihosting_write(semihosting_file file, const void *bytes, size_t count);
int semihosting_seek(semihosting_file file, uint32_t offset);

/* The words that the emulator was given as `arg=`, separated by spaces. */
int semihosting_arguments(char *text, size_t bytes);

/* A line to the emulator's standard error. */
void semihosting_print(const char *text);

_Noreturn void semihosting_exit(int code);

#endif
