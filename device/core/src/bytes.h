/* Little-endian numbers in byte buffers of any alignment. */
#ifndef NA_BYTES_H
#define NA_BYTES_H

#include <stdint.h>
#include <string.h>

static inline uint16_t na_read_u16(const uint8_t *from) {
    return (uint16_t)(from[0] | from[1] << 8);
}

static inline uint32_t na_read_u32(const uint8_t *from) {
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 |
           (uint32_t)from[3] << 24;
}

static inline float na_read_f32(const uint8_t *from) {
    const uint32_t bits = na_read_u32(from);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline void na_write_u16(uint8_t *to, uint32_t value) {
    to[0] = (uint8_t)value;
    to[1] = (uint8_t)(value >> 8);
}

static inline void na_write_u32(uint8_t *to, uint32_t value) {
    na_write_u16(to, value);
    na_write_u16(to + 2, value >> 16);
}

static inline void na_write_f32(uint8_t *to, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    na_write_u32(to, bits);
}

#endif
