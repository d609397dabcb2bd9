#include "cobs.h"

size_t na_cobs_encode(const uint8_t *data, size_t bytes, uint8_t *encoded) {
    size_t code = 0; /* where the distance to the next zero goes */
    for (size_t i = 0; i < bytes; i++) {
        if (data[i] == 0) {
            encoded[code] = (uint8_t)(i + 1 - code);
            code = i + 1;
        } else {
            encoded[i + 1] = data[i];
        }
    }
    encoded[code] = (uint8_t)(bytes + 1 - code);
    return bytes + 1;
}

size_t na_cobs_decode(uint8_t *data, size_t bytes) {
    size_t code = 0;
    while (code < bytes) {
        const size_t next = code + data[code];
        if (next > bytes || next == code) {
            return 0;
        }
        /* Every byte moves down by one: only the first code is without a zero of its own. */
        for (size_t i = code + 1; i < next; i++) {
            data[i - 1] = data[i];
        }
        if (next < bytes) {
            data[next - 1] = 0;
        }
        code = next;
    }
    return bytes == 0 ? 0 : bytes - 1;
}
