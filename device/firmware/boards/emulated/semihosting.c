#include "semihosting.h"

#include <string.h>

enum {
    SYS_OPEN = 0x01,
    SYS_WRITE0 = 0x04,
    SYS_WRITE = 0x05,
    SYS_READ = 0x06,
    SYS_SEEK = 0x0a,
    SYS_GET_CMDLINE = 0x15,
    SYS_EXIT_EXTENDED = 0x20
};

#define APPLICATION_EXIT 0x20026

static int32_t call(uint32_t operation, const void *parameters) {
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = parameters;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return (int32_t)r0;
}

semihosting_file semihosting_open(const char *path, int mode) {
    const uint32_t parameters[] = {(uint32_t)(uintptr_t)path, (uint32_t)mode,
                                   (uint32_t)strlen(path)};
    return call(SYS_OPEN, parameters);
}

size_t semihosting_read(semihosting_file file, void *bytes, size_t count) {
    const uint32_t parameters[] = {(uint32_t)file, (uint32_t)(uintptr_t)bytes, (uint32_t)count};
    return count - (size_t)call(SYS_READ, parameters); /* it returns what is left */
}

size_t semihosting_write(semihosting_file file, const void *bytes, size_t count) {
    const uint32_t parameters[] = {(uint32_t)file, (uint32_t)(uintptr_t)bytes, (uint32_t)count};
    return count - (size_t)call(SYS_WRITE, parameters);
}

int semihosting_seek(semihosting_file file, uint32_t offset) {
    const uint32_t parameters[] = {(uint32_t)file, offset};
    return call(SYS_SEEK, parameters) == 0;
}

int semihosting_arguments(char *text, size_t bytes) {
    uint32_t parameters[] = {(uint32_t)(uintptr_t)text, (uint32_t)bytes};
    return call(SYS_GET_CMDLINE, parameters) == 0;
}

void semihosting_print(const char *text) { call(SYS_WRITE0, text); }

_Noreturn void semihosting_exit(int code) {
    const uint32_t parameters[] = {APPLICATION_EXIT, (uint32_t)code};
    call(SYS_EXIT_EXTENDED, parameters);
    for (;;) {
    }
}
