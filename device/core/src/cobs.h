/* Consistent overhead byte stuffing (Cheshire & Baker 1999): bytes without a zero among them. */
#ifndef NA_COBS_H
#define NA_COBS_H

#include <stddef.h>
#include <stdint.h>

/* Encodes up to 254 bytes; returns their length then, one more. */
size_t na_cobs_encode(const uint8_t *data, size_t bytes, uint8_t *encoded);

/* Decodes in place bytes that hold no zero; returns the length then, 0 if they are no encoding. */
size_t na_cobs_decode(uint8_t *data, size_t bytes);

#endif
