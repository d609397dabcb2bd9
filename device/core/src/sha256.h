/* SHA-256 (FIPS 180-4). */
#ifndef NA_SHA256_H
#define NA_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define NA_SHA256_BYTES 32

void na_sha256(const uint8_t *data, size_t bytes, uint8_t digest[NA_SHA256_BYTES]);

#endif
