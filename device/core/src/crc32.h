/* CRC-32 of IEEE 802.3, as zlib computes it. */
#ifndef NA_CRC32_H
#define NA_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* CRC of what `crc` is of, and the bytes after it; 0 is the CRC of nothing. */
uint32_t na_crc32(uint32_t crc, const uint8_t *data, size_t bytes);

#endif
