/* What the test programs share: chance, memory, and sound and fittings that mean no good. */
#ifndef HOSTILE_H
#define HOSTILE_H

#include "neuroamp/neuroamp.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 1;

static inline uint64_t draw(void) { /* xorshift64* (Vigna 2016) */
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * UINT64_C(2685821657736338717);
}

static inline unsigned below(unsigned count) { return (unsigned)((draw() >> 33) % count); }

static inline float uniform(float low, float high) {
    return low + (high - low) * (float)(draw() >> 40) / 16777216.0f;
}

static inline void fail(const char *message) {
    fprintf(stderr, "%s\n", message);
    exit(1);
}

static inline void *aligned(size_t bytes) {
    const size_t rounded = (bytes + NEUROAMP_ALIGNMENT - 1) / NEUROAMP_ALIGNMENT;
    void *memory = aligned_alloc(NEUROAMP_ALIGNMENT, (rounded + 1) * NEUROAMP_ALIGNMENT);
    if (memory == NULL) fail("out of memory");
    return memory;
}

static inline uint8_t *read_file(const char *path, size_t *bytes) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) fail("cannot open the model");
    fseek(file, 0, SEEK_END);
    *bytes = (size_t)ftell(file);
    rewind(file);
    uint8_t *data = aligned(*bytes);
    if (fread(data, 1, *bytes, file) != *bytes) fail("cannot read the model");
    fclose(file);
    return data;
}

static inline neuroamp_fitting moderate(void) {
    neuroamp_fitting fitting = {0};
    fitting.ear = NEUROAMP_LEFT;
    for (int i = 0; i < NEUROAMP_AUDIOGRAM_POINTS; i++) {
        fitting.thresholds_db_hl[i] = 30.0f + 6.0f * (float)i;
    }
    for (int i = 0; i < NEUROAMP_CHANNELS; i++) {
        fitting.gain_65_db[i] = 5.0f + 2.0f * (float)i;
        fitting.compression_ratio[i] = 1.5f;
    }
    fitting.knee_db_spl = 50.0f;
    fitting.attack_s = 0.005f;
    fitting.release_s = 0.3f;
    fitting.mpo_db_spl = 110.0f;
    fitting.noise_reduction = 1.0f;
    return fitting;
}

static inline void hostile(float *samples, size_t count) {
    static const float loud[] = {2000.0f, 20.0f, 1e30f, 3.4e38f, 1e-3f};
    const unsigned kind = below(10);
    const float level = loud[below(5)];
    const unsigned period = 1 + below(64);
    for (size_t i = 0; i < count; i++) {
        const float sign = i / period % 2 ? 1.0f : -1.0f;
        uint32_t bits = (uint32_t)(draw() >> 32);
        switch (kind) {
        case 0: samples[i] = NAN; break;
        case 1: samples[i] = sign * INFINITY; break;
        case 2: samples[i] = sign * level; break;                       /* squares */
        case 3: bits &= 0x807fffffu; memcpy(samples + i, &bits, 4); break; /* subnormal */
        case 4: memcpy(samples + i, &bits, 4); break;                   /* any bits */
        case 5: samples[i] = 0.0f; break;
        case 6: samples[i] = i % period == 0 ? level : 0.0f; break;     /* clicks */
        case 7: samples[i] = uniform(-1e-4f, 1e-4f); break;             /* a quiet room */
        case 8: samples[i] = uniform(-20.0f, 20.0f); break;             /* 120 dB SPL */
        default: samples[i] = i < count / 2 ? 1e-6f : sign * level; break; /* a jump */
        }
    }
}

/* A fitting with extreme or forbidden values. */
static inline neuroamp_fitting extreme(void) {
    neuroamp_fitting fitting = moderate();
    const int is_wild = below(3) == 0;
    float *values = &fitting.thresholds_db_hl[0];
    const size_t count = (sizeof fitting - offsetof(neuroamp_fitting, thresholds_db_hl)) / 4;
    for (size_t i = 0; i < NEUROAMP_CHANNELS; i++) {
        fitting.gain_65_db[i] = uniform(0.0f, 70.0f);
        fitting.compression_ratio[i] = uniform(1.0f, 4.0f);
    }
    fitting.mpo_db_spl = uniform(60.0f, 120.0f);
    fitting.knee_db_spl = uniform(20.0f, 80.0f);
    if (is_wild) {
        const uint32_t bits = (uint32_t)(draw() >> 32);
        memcpy(values + below((unsigned)count), &bits, 4);
    }
    return fitting;
}

#endif
